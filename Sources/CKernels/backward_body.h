// What flows back: the gradients of the operations on single rows, and of attention's softmax. Forward: elementwise_body.h.
#include "exponential.h"

MP_INLINE v8 ISA(sigmoid8)(v8 x) { return 1.0f / (1.0f + ISA(exp8)(-x)); }

// y = weight x s with s = 1 / sqrt(mean(x^2) + eps), so dx = s (weight dy - x s^2 mean(weight dy x)).
static void ISA(rms_norm_backward)(const float *x, const float *weight, float eps, long count, const float *dy,
                                   float *dx, float *dweight) {
  v8 squares = {0}, dots = {0};
  long i = 0;
  for (; i + 8 <= count; i += 8) {
    v8 v = ISA(load8)(x + i);
    squares = ISA(fma8)(v, v, squares);
    dots = ISA(fma8)(ISA(load8)(weight + i) * ISA(load8)(dy + i), v, dots);
  }
  float square = ISA(fold8)(squares), dot = ISA(fold8)(dots);
  for (long j = i; j < count; j++) square += x[j] * x[j], dot += weight[j] * dy[j] * x[j];
  float scale = 1.0f / __builtin_sqrtf(square / (float)count + eps);
  float share = dot / (float)count * scale * scale;
  for (long j = 0; j < count; j++) dx[j] = scale * (weight[j] * dy[j] - x[j] * share);
  if (dweight)
    for (long j = 0; j < count; j++) dweight[j] += dy[j] * (x[j] * scale);
}

// y = weight n + bias with n = (x - mean) s, so dx = s (g - mean(g) - n mean(g n)) with g = weight dy.
static void ISA(layer_norm_backward)(const float *x, const float *weight, float eps, long count, const float *dy,
                                     float *dx, float *dweight, float *dbias) {
  v8 sums = {0};
  long i = 0;
  for (; i + 8 <= count; i += 8) sums += ISA(load8)(x + i);
  float mean = ISA(fold8)(sums);
  for (long j = i; j < count; j++) mean += x[j];
  mean /= (float)count;
  v8 squares = {0}, gradients = {0}, dots = {0};
  for (i = 0; i + 8 <= count; i += 8) {
    v8 v = ISA(load8)(x + i) - mean, g = ISA(load8)(weight + i) * ISA(load8)(dy + i);
    squares = ISA(fma8)(v, v, squares);
    gradients += g;
    dots = ISA(fma8)(g, v, dots);
  }
  float square = ISA(fold8)(squares), gradient = ISA(fold8)(gradients), dot = ISA(fold8)(dots);
  for (long j = i; j < count; j++) {
    float v = x[j] - mean, g = weight[j] * dy[j];
    square += v * v, gradient += g, dot += g * v;
  }
  float scale = 1.0f / __builtin_sqrtf(square / (float)count + eps);
  float level = gradient / (float)count, share = dot / (float)count * scale * scale;
  for (long j = 0; j < count; j++) {
    float v = x[j] - mean;
    dx[j] = scale * (weight[j] * dy[j] - level - v * share);
    if (dweight) dweight[j] += dy[j] * (v * scale);
    if (dbias) dbias[j] += dy[j];
  }
}

// An activation f(x) = x sigmoid(z(x)), and f'(x) = s + x s (1 - s) z'(x).
MP_INLINE void ISA(silu_slope)(v8 x, v8 *value, v8 *slope) {
  v8 s = ISA(sigmoid8)(x);
  *value = x * s;
  *slope = s * (1.0f + x * (1.0f - s));
}
MP_INLINE void ISA(gelu_tanh_slope)(v8 x, v8 *value, v8 *slope) {
  v8 s = ISA(sigmoid8)(1.59576912f * (x + 0.044715f * (x * x * x)));
  *value = x * s;
  *slope = s * (1.0f + x * (1.0f - s) * (1.59576912f + 0.214070998f * (x * x)));
}

#define GATED_BACKWARD(NAME)                                                                                           \
  static void ISA(NAME##_multiply_backward)(const float *gate, const float *up, const float *dy, float *dgate,         \
                                            float *dup, long count) {                                                  \
    for (long i = 0; i < count; i += 8) {                                                                              \
      long width = count - i < 8 ? count - i : 8;                                                                      \
      v8 g = {0}, u = {0}, d = {0}, value, slope;                                                                      \
      memcpy(&g, gate + i, (size_t)width * 4);                                                                         \
      memcpy(&u, up + i, (size_t)width * 4);                                                                           \
      memcpy(&d, dy + i, (size_t)width * 4);                                                                           \
      ISA(NAME##_slope)(g, &value, &slope);                                                                            \
      v8 left = d * u * slope, right = d * value;                                                                      \
      memcpy(dgate + i, &left, (size_t)width * 4);                                                                     \
      memcpy(dup + i, &right, (size_t)width * 4);                                                                      \
    }                                                                                                                  \
  }
GATED_BACKWARD(silu)
GATED_BACKWARD(gelu_tanh)
#undef GATED_BACKWARD

static void ISA(gelu_tanh_backward)(const float *x, const float *dy, float *dx, long count) {
  for (long i = 0; i < count; i += 8) {
    long width = count - i < 8 ? count - i : 8;
    v8 v = {0}, d = {0}, value, slope;
    memcpy(&v, x + i, (size_t)width * 4);
    memcpy(&d, dy + i, (size_t)width * 4);
    ISA(gelu_tanh_slope)(v, &value, &slope);
    v8 result = d * slope;
    memcpy(dx + i, &result, (size_t)width * 4);
  }
}

MP_INLINE v8 ISA(choose8)(i32x8 mask, v8 yes, v8 no) {
  i32x8 a, b;
  memcpy(&a, &yes, sizeof a);
  memcpy(&b, &no, sizeof b);
  a = (a & mask) | (b & ~mask);
  memcpy(&yes, &a, sizeof yes);
  return yes;
}

// Which of eight queries, from `r` on, see a slot.
MP_INLINE i32x8 ISA(sees)(const int32_t *from, const int32_t *to, long r, int32_t slot) {
  i32x8 first, last;
  memcpy(&first, from + r, sizeof first);
  memcpy(&last, to + r, sizeof last);
  return (first <= slot) & (last > slot);
}

static void ISA(softmax_columns)(float *scores, long slots, long stride, const int32_t *from, const int32_t *to,
                                 float scale) {
  const v8 least = (v8){0} - 3.0e38f;
  for (long r = 0; r < stride; r += 8) {
    v8 top = least, sum = {0};
    for (long s = 0; s < slots; s++) {
      v8 v = ISA(load8)(scores + s * stride + r) * scale;
      v = ISA(choose8)(ISA(sees)(from, to, r, (int32_t)s), v, least);
      ISA(store8)(scores + s * stride + r, v);
      top = __builtin_elementwise_max(top, v);
    }
    for (long s = 0; s < slots; s++) {
      v8 v = ISA(exp8)(ISA(load8)(scores + s * stride + r) - top);
      v = ISA(choose8)(ISA(sees)(from, to, r, (int32_t)s), v, (v8){0});
      ISA(store8)(scores + s * stride + r, v);
      sum += v;
    }
    v8 share = 1.0f / ISA(choose8)(sum == 0.0f, (v8){0} + 1.0f, sum);
    for (long s = 0; s < slots; s++)
      ISA(store8)(scores + s * stride + r, ISA(load8)(scores + s * stride + r) * share);
  }
}

static void ISA(softmax_columns_backward)(const float *weights, float *gradient, long slots, long stride, float scale) {
  for (long r = 0; r < stride; r += 8) {
    v8 dot = {0};
    for (long s = 0; s < slots; s++)
      dot = ISA(fma8)(ISA(load8)(weights + s * stride + r), ISA(load8)(gradient + s * stride + r), dot);
    for (long s = 0; s < slots; s++) {
      float *place = gradient + s * stride + r;
      ISA(store8)(place, ISA(load8)(weights + s * stride + r) * (ISA(load8)(place) - dot) * scale);
    }
  }
}

// Sums of squares, in doubles: a gradient has millions of them.
static double ISA(sum_squares)(const float *x, long count) {
  double total = 0;
  for (long first = 0; first < count; first += 4096) {
    long end = count - first < 4096 ? count : first + 4096, i = first;
    v8 sum = {0};
    for (; i + 8 <= end; i += 8) {
      v8 v = ISA(load8)(x + i);
      sum = ISA(fma8)(v, v, sum);
    }
    float part = ISA(fold8)(sum);
    for (; i < end; i++) part = __builtin_fmaf(x[i], x[i], part);
    total += (double)part;
  }
  return total;
}

static void ISA(adamw)(float *weights, float *first, float *second, const float *gradient, long count,
                       const mp_adamw_step *step) {
  const float rest1 = 1.0f - step->beta1, rest2 = 1.0f - step->beta2;
  for (long i = 0; i < count; i++) {
    float g = gradient[i] * step->gradient_scale;
    float m = step->beta1 * first[i] + rest1 * g, v = step->beta2 * second[i] + rest2 * (g * g);
    first[i] = m;
    second[i] = v;
    float kept = weights[i] - step->rate * step->decay * weights[i];
    weights[i] = kept - step->rate * step->correction1 * m / (__builtin_sqrtf(v * step->correction2) + step->epsilon);
  }
}

// Eight rows of eight, turned in registers: neighbours, then pairs, then halves change places.
MP_INLINE void ISA(transpose8)(const float *in, long stride, float *out, long out_stride) {
  v8 a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = ISA(load8)(in + i * stride);
  for (int i = 0; i < 8; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + j] = __builtin_shufflevector(b[i + j], b[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[i + j + 2] = __builtin_shufflevector(b[i + j], b[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    ISA(store8)(out + i * out_stride, __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11));
    ISA(store8)(out + (i + 4) * out_stride, __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15));
  }
}

static void ISA(transpose)(const float *in, long stride, long rows, long columns, float *out, long out_stride) {
  long right = columns / 8 * 8, bottom = rows / 8 * 8;
  // Sixteen columns at a time: a line of the cache is read whole.
  for (long c = 0; c < right; c += 16)
    for (long r = 0; r < bottom; r += 8)
      for (long j = c; j < c + 16 && j < right; j += 8)
        ISA(transpose8)(in + r * stride + j, stride, out + j * out_stride + r, out_stride);
  for (long r = 0; r < rows; r++)
    for (long c = r < bottom ? right : 0; c < columns; c++) out[c * out_stride + r] = in[r * stride + c];
}

static void ISA(scale)(float *x, float factor, long count) {
  for (long i = 0; i < count; i++) x[i] *= factor;
}

// Probabilities in the place of logits: exp(x - total).
static void ISA(exp_minus)(float *x, float total, long count) {
  for (long i = 0; i < count; i += 8) {
    long width = count - i < 8 ? count - i : 8;
    v8 v = {0};
    memcpy(&v, x + i, (size_t)width * 4);
    v = ISA(exp8)(v - total);
    memcpy(x + i, &v, (size_t)width * 4);
  }
}
