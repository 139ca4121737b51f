#define KERNEL_BODY "elementwise_body.h"
#include "each_isa.h"

#include <math.h>

void mp_rms_norm(const float *x, const float *weight, float eps, long count, float *y) {
  MP_CALL(rms_norm, x, weight, eps, count, y);
}

void mp_rotate(float *x, long heads, long dim, const float *cosine, const float *sine) {
  MP_CALL(rotate, x, heads, dim, cosine, sine);
}

void mp_layer_norm(const float *x, const float *weight, const float *bias, float eps, long count, float *y) {
  MP_CALL(layer_norm, x, weight, bias, eps, count, y);
}

void mp_silu_multiply(float *gate, const float *up, long count) { MP_CALL(silu_in_place_multiply, gate, up, count); }

void mp_gelu_tanh_multiply(float *gate, const float *up, long count) { MP_CALL(gelu_tanh_multiply, gate, up, count); }

void mp_gelu_tanh(float *x, long count) { MP_CALL(gelu_tanh, x, count); }

void mp_quick_gelu(float *x, long count) { MP_CALL(quick_gelu, x, count); }

void mp_soft_cap(float *x, float cap, long count) {
  for (long i = 0; i < count; i++) x[i] = tanhf(x[i] / cap) * cap;
}

void mp_gelu(float *x, long count) { MP_CALL(gelu, x, count); }

void mp_add(float *y, const float *x, long count) {
  for (long i = 0; i < count; i++) y[i] += x[i];
}

void mp_sum(const float *x, const float *y, float *out, long count) {
  for (long i = 0; i < count; i++) out[i] = x[i] + y[i];
}

float mp_log_sum_exp(const float *x, long count) {
  long best = mp_argmax(x, count);
  float top = best < 0 ? -INFINITY : x[best];
  if (!isfinite(top)) return top;
  return top + logf(MP_CALL(sum_exp, x, count, top));
}

float mp_largest_probability(const float *x, long count, long best) {
  return isfinite(x[best]) ? 1 / MP_CALL(sum_exp, x, count, x[best]) : 0;
}

long mp_argmax(const float *x, long count) { return MP_CALL(argmax, x, count); }
