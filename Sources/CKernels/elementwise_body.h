// Norm, rotation, activations: one row at a time, every sum in the order of its own index.
#include "lanes.h"
#include "exponential.h"

static void ISA(rms_norm)(const float *x, const float *weight, float eps, long count, float *y) {
  v8 sum = {0};
  long i = 0;
  for (; i + 8 <= count; i += 8) {
    v8 v = ISA(load8)(x + i);
    sum = ISA(fma8)(v, v, sum);
  }
  float total = ISA(fold8)(sum);
  for (long j = i; j < count; j++) total = __builtin_fmaf(x[j], x[j], total);
  float scale = 1.0f / __builtin_sqrtf(total / (float)count + eps);
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

static void ISA(silu_multiply)(float *gate, const float *up, long count) {
  for (long i = 0; i < count; i += 8) {
    long width = count - i < 8 ? count - i : 8;
    v8 g = {0}, u = {0};
    memcpy(&g, gate + i, (size_t)width * 4);
    memcpy(&u, up + i, (size_t)width * 4);
    v8 value = g / (1.0f + ISA(exp8)(-g)) * u;
    memcpy(gate + i, &value, (size_t)width * 4);
  }
}

static float ISA(log_sum_exp)(const float *x, long count, float top) {
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
