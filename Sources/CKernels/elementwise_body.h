// Norm, rotation, activations: one row at a time, every sum in the order of its own index.
#include "exponential.h"

static float ISA(sum_of_squares)(const float *x, long count) {
  v8 sum = {0};
  long i = 0;
  for (; i + 8 <= count; i += 8) {
    v8 v = ISA(load8)(x + i);
    sum = ISA(fma8)(v, v, sum);
  }
  float total = ISA(fold8)(sum);
  for (long j = i; j < count; j++) total = __builtin_fmaf(x[j], x[j], total);
  return total;
}

static float ISA(sum)(const float *x, long count) {
  v8 sum = {0};
  long i = 0;
  for (; i + 8 <= count; i += 8) sum += ISA(load8)(x + i);
  float total = ISA(fold8)(sum);
  for (long j = i; j < count; j++) total += x[j];
  return total;
}

static void ISA(rms_norm)(const float *x, const float *weight, float eps, long count, float *y) {
  float scale = 1.0f / __builtin_sqrtf(ISA(sum_of_squares)(x, count) / (float)count + eps);
  for (long j = 0; j < count; j++) y[j] = weight[j] * (x[j] * scale);
}

static void ISA(rotate)(float *x, long heads, long dim, const float *cosine, const float *sine) {
  long half = dim / 2;
  for (long h = 0; h < heads; h++, x += dim)
    for (long i = 0; i < half; i++) {
      float a = x[i], b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + half] = b * cosine[i] + a * sine[i];
    }
}

static void ISA(layer_norm)(const float *x, const float *weight, const float *bias, float eps, long count, float *y) {
  float mean = ISA(sum)(x, count) / (float)count;
  for (long j = 0; j < count; j++) y[j] = x[j] - mean;
  float scale = 1.0f / __builtin_sqrtf(ISA(sum_of_squares)(y, count) / (float)count + eps);
  for (long j = 0; j < count; j++) y[j] = __builtin_fmaf(y[j] * scale, weight[j], bias[j]);
}

// Each is x * sigmoid(f(x)) with an f of its own.
MP_INLINE v16 ISA(silu16)(v16 x) { return x / (1.0f + ISA(exp16)(-x)); }
MP_INLINE v16 ISA(quick_gelu16)(v16 x) { return x / (1.0f + ISA(exp16)(-1.702f * x)); }
MP_INLINE v16 ISA(gelu_tanh16)(v16 x) {
  // 1 + tanh(z) = 2 / (1 + exp(-2z)) with z = sqrt(2/pi) (x + 0.044715 x^3).
  return x / (1.0f + ISA(exp16)(-1.59576912f * (x + 0.044715f * (x * x * x))));
}

// x times the share of a normal distribution below it. The share beyond |x| is exp(-z^2) times a polynomial, with
// z = |x| / sqrt(2): Chebyshev's fit in t = 1 / (1 + z / 2), whose relative error is below 1.2e-7 everywhere
// (Numerical Recipes, erfcc).
MP_INLINE v16 ISA(gelu16)(v16 x) {
  const v16 one = (v16){0} + 1.0f;
  v16 z = __builtin_elementwise_abs(x) * 0.707106781f, t = 1.0f / (1.0f + 0.5f * z);
  v16 sum = ISA(fma16)(0.17087277f * one, t, -0.82215223f * one);
  sum = ISA(fma16)(sum, t, 1.48851587f * one);
  sum = ISA(fma16)(sum, t, -1.13520398f * one);
  sum = ISA(fma16)(sum, t, 0.27886807f * one);
  sum = ISA(fma16)(sum, t, -0.18628806f * one);
  sum = ISA(fma16)(sum, t, 0.09678418f * one);
  sum = ISA(fma16)(sum, t, 0.37409196f * one);
  sum = ISA(fma16)(sum, t, 1.00002368f * one);
  sum = ISA(fma16)(sum, t, -1.26551223f * one);
  v16 beyond = 0.5f * t * ISA(exp16)(ISA(fma16)(-z, z, sum)), below = 1.0f - beyond;
  i32x16 isNegative = x < (v16){0}, left, right;
  memcpy(&left, &beyond, sizeof left);
  memcpy(&right, &below, sizeof right);
  left = (left & isNegative) | (right & ~isNegative);
  memcpy(&below, &left, sizeof below);
  return x * below;
}

#define ACTIVATION(NAME, F)                                                                                            \
  __attribute__((unused)) static void ISA(NAME)(float *x, long count) {                                                \
    long i = 0;                                                                                                        \
    for (; i + 16 <= count; i += 16) ISA(store16)(x + i, ISA(F)(ISA(load16)(x + i)));                                  \
    if (i == count) return;                                                                                            \
    v16 v = {0};                                                                                                       \
    memcpy(&v, x + i, (size_t)(count - i) * 4);                                                                        \
    v = ISA(F)(v);                                                                                                     \
    memcpy(x + i, &v, (size_t)(count - i) * 4);                                                                        \
  }                                                                                                                    \
  __attribute__((unused)) static void ISA(NAME##_multiply)(float *gate, const float *up, long count) {                 \
    long i = 0;                                                                                                        \
    for (; i + 16 <= count; i += 16) ISA(store16)(gate + i, ISA(F)(ISA(load16)(gate + i)) * ISA(load16)(up + i));      \
    if (i == count) return;                                                                                            \
    v16 g = {0}, u = {0};                                                                                              \
    memcpy(&g, gate + i, (size_t)(count - i) * 4);                                                                     \
    memcpy(&u, up + i, (size_t)(count - i) * 4);                                                                       \
    v16 value = ISA(F)(g) * u;                                                                                         \
    memcpy(gate + i, &value, (size_t)(count - i) * 4);                                                                 \
  }
ACTIVATION(silu_in_place, silu16)
ACTIVATION(quick_gelu, quick_gelu16)
ACTIVATION(gelu_tanh, gelu_tanh16)
ACTIVATION(gelu, gelu16)
#undef ACTIVATION

static float ISA(sum_exp)(const float *x, long count, float top) {
  v8 sum = {0};
  for (long i = 0; i < count; i += 8) {
    long width = count - i < 8 ? count - i : 8;
    v8 v = {-__builtin_inff(), -__builtin_inff(), -__builtin_inff(), -__builtin_inff(),
            -__builtin_inff(), -__builtin_inff(), -__builtin_inff(), -__builtin_inff()};
    memcpy(&v, x + i, (size_t)width * 4);
    sum += ISA(exp8)(v - top);
  }
  return ISA(fold8)(sum);
}

// The largest value is looked for by blocks, then its place within the first block that has it.
static long ISA(argmax)(const float *x, long count) {
  enum { BLOCK = 512 };
  const float least = -__builtin_inff();
  float top = least;
  long at = 0;
  for (long first = 0; first < count; first += BLOCK) {
    long end = count - first < BLOCK ? count : first + BLOCK, i = first;
    v16 most = (v16){0} + least;
    // What is no number is passed over: the maximum of it and a number is the number.
    for (; i + 16 <= end; i += 16) most = __builtin_elementwise_max(ISA(load16)(x + i), most);
    float own = __builtin_reduce_max(most);
    for (; i < end; i++) own = x[i] > own ? x[i] : own;
    if (own > top) top = own, at = first;
  }
  for (long i = at; i < count; i++)
    if (x[i] == top) return i;
  return -1;
}
