#define KERNEL_BODY "backward_body.h"
#include "each_isa.h"

#include <math.h>

void mp_rms_norm_backward(const float *x, const float *weight, float eps, long count, const float *dy, float *dx,
                          float *dweight) {
  MP_CALL(rms_norm_backward, x, weight, eps, count, dy, dx, dweight);
}

void mp_layer_norm_backward(const float *x, const float *weight, float eps, long count, const float *dy, float *dx,
                            float *dweight, float *dbias) {
  MP_CALL(layer_norm_backward, x, weight, eps, count, dy, dx, dweight, dbias);
}

void mp_gelu_tanh_backward(const float *x, const float *dy, float *dx, long count) {
  MP_CALL(gelu_tanh_backward, x, dy, dx, count);
}

void mp_silu_multiply_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                               long count) {
  MP_CALL(silu_multiply_backward, gate, up, dy, dgate, dup, count);
}

void mp_gelu_tanh_multiply_backward(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                    long count) {
  MP_CALL(gelu_tanh_multiply_backward, gate, up, dy, dgate, dup, count);
}

void mp_gelu_backward(const float *x, const float *dy, float *dx, long count) {
  for (long i = 0; i < count; i++) {
    float below = 0.5f * (1.0f + erff(x[i] * 0.707106781f)), density = 0.398942280f * expf(-0.5f * x[i] * x[i]);
    dx[i] = dy[i] * (below + x[i] * density);
  }
}

void mp_soft_cap_backward(const float *y, float cap, const float *dy, float *dx, long count) {
  for (long i = 0; i < count; i++) dx[i] = dy[i] * (1.0f - y[i] / cap * (y[i] / cap));
}

void mp_softmax_columns(float *scores, long slots, long stride, const int32_t *from, const int32_t *to, float scale) {
  MP_CALL(softmax_columns, scores, slots, stride, from, to, scale);
}

void mp_softmax_columns_backward(const float *weights, float *gradient, long slots, long stride, float scale) {
  MP_CALL(softmax_columns_backward, weights, gradient, slots, stride, scale);
}

float mp_softmax(float *logits, long count) {
  float total = mp_log_sum_exp(logits, count);
  MP_CALL(exp_minus, logits, total, count);
  return total;
}

double mp_sum_squares(const float *x, long count) { return MP_CALL(sum_squares, x, count); }

void mp_adamw(float *weights, float *first, float *second, const float *gradient, long count,
              const mp_adamw_step *step) {
  MP_CALL(adamw, weights, first, second, gradient, count, step);
}

void mp_scale(float *x, float factor, long count) { MP_CALL(scale, x, factor, count); }

void mp_transpose(const float *in, long stride, long rows, long columns, float *out, long out_stride) {
  MP_CALL(transpose, in, stride, rows, columns, out, out_stride);
}

void mp_panels_of_rows(const float *in, long stride, long rows, long k, float *out) {
  for (long r = 0; r < rows; r += 16, out += 16 * k) {
    long now = rows - r < 16 ? rows - r : 16;
    if (now == 16) {
      mp_interleave(in + r * stride, stride, k, out);
      continue;
    }
    memset(out, 0, (size_t)(16 * k) * 4);
    mp_transpose(in + r * stride, stride, now, k, out, 16);
  }
}

void mp_panels_of_columns(const float *in, long stride, long k, long columns, float *out) {
  for (long c = 0; c < columns; c += 16) {
    long now = columns - c < 16 ? columns - c : 16;
    for (long r = 0; r < k; r++, out += 16) {
      memcpy(out, in + r * stride + c, (size_t)now * 4);
      if (now < 16) memset(out + now, 0, (size_t)(16 - now) * 4);
    }
  }
}
