// One query over its keys: scores, softmax, weighted sum of values, each in the order of the keys.
#include "lanes.h"
#include "exponential.h"

MP_INLINE float ISA(dot)(const float *a, const float *b, long count) {
  v8 sum = {0};
  long i = 0;
  for (; i + 8 <= count; i += 8) sum = ISA(fma8)(ISA(load8)(a + i), ISA(load8)(b + i), sum);
  float total = ISA(fold8)(sum);
  for (; i < count; i++) total = __builtin_fmaf(a[i], b[i], total);
  return total;
}

// exp(score - top) in place; returns the sum.
static float ISA(soften)(float *scores, long count) {
  float top = scores[0];
  for (long j = 1; j < count; j++) top = scores[j] > top ? scores[j] : top;
  v8 sum = {0};
  for (long j = 0; j < count; j += 8) {
    long width = count - j < 8 ? count - j : 8;
    v8 v = {-__builtin_inff(), -__builtin_inff(), -__builtin_inff(), -__builtin_inff(),
            -__builtin_inff(), -__builtin_inff(), -__builtin_inff(), -__builtin_inff()};
    memcpy(&v, scores + j, (size_t)width * 4);
    v = ISA(exp8)(v - top);
    sum += v;
    memcpy(scores + j, &v, (size_t)width * 4);
  }
  return ISA(fold8)(sum);
}

// Adds the values of all keys into `lanes` groups of eight columns held in registers.
#define GATHER(LANES)                                                                                                  \
  MP_INLINE void ISA(gather##LANES)(const float *p, const float *values, long stride, long count, float inverse,       \
                                    float *out) {                                                                      \
    v8 sum[LANES];                                                                                                     \
    for (int a = 0; a < LANES; a++) sum[a] = (v8){0};                                                                  \
    for (long j = 0; j < count; j++) {                                                                                 \
      v8 weight = p[j] - (v8){0};                                                                                      \
      for (int a = 0; a < LANES; a++) sum[a] = ISA(fma8)(weight, ISA(load8)(values + j * stride + a * 8), sum[a]);     \
    }                                                                                                                  \
    for (int a = 0; a < LANES; a++) ISA(store8)(out + a * 8, sum[a] * inverse);                                        \
  }
GATHER(1)
GATHER(4)
#undef GATHER

static void ISA(attend)(const float *q, const float *keys, long key_stride, const float *values, long value_stride,
                        long count, long dim, float scale, float *scores, float *out) {
  for (long j = 0; j < count; j++) scores[j] = scale * ISA(dot)(q, keys + j * key_stride, dim);
  float inverse = 1.0f / ISA(soften)(scores, count);
  long d = 0;
  for (; d + 32 <= dim; d += 32) ISA(gather4)(scores, values + d, value_stride, count, inverse, out + d);
  for (; d + 8 <= dim; d += 8) ISA(gather1)(scores, values + d, value_stride, count, inverse, out + d);
  for (; d < dim; d++) {
    float sum = 0;
    for (long j = 0; j < count; j++) sum = __builtin_fmaf(scores[j], values[j * value_stride + d], sum);
    out[d] = sum * inverse;
  }
}
