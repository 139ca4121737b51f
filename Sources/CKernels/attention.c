#include "panels.h"

#define KERNEL_BODY "attention_body.h"
#include "each_isa.h"

long mp_attend_scratch(long rows, long slots, long dim) {
  return rows * ((slots + 31) / 16 * 16 + (dim + 15) / 16 * 16);
}

void mp_store_key(int format, const float *key, long dim, void *panel, long lane) {
  if (format == MP_F32) {
    float *out = (float *)panel + lane;
    for (long i = 0; i < dim; i++) out[i * 16] = key[i];
    return;
  }
  uint16_t *out = (uint16_t *)panel + lane;
  for (long i = 0; i < dim; i += 16) {
    uint16_t half[16];
    int count = dim - i < 16 ? (int)(dim - i) : 16;
    mp_store_value(format, key + i, count, half);
    for (int l = 0; l < count; l++) out[(i + l) * 16] = half[l];
  }
}

void mp_store_value(int format, const float *value, long dim, void *out) {
  if (format == MP_F32) {
    memcpy(out, value, (size_t)dim * 4);
    return;
  }
  float bounded[256];
  for (long i = 0; i < dim; i += 256) {
    long count = dim - i < 256 ? dim - i : 256;
    for (long l = 0; l < count; l++) {
      float v = value[i + l];
      bounded[l] = v > 65504.0f ? 65504.0f : v < -65504.0f ? -65504.0f : v;
    }
    mp_narrow_f16(bounded, (uint16_t *)out + i, count);
  }
}

void mp_attend(int format, const float *q, long q_stride, long rows, const void *keys, const void *values,
               long value_stride, const long *from, const long *to, long dim, float scale, float *scratch, float *out,
               long out_stride) {
  if (rows < 1) return;
  if (format == MP_F16)
    MP_CALL(attend_f16, q, q_stride, rows, keys, values, value_stride, from, to, dim, scale, scratch, out, out_stride);
  else
    MP_CALL(attend_f32, q, q_stride, rows, keys, values, value_stride, from, to, dim, scale, scratch, out, out_stride);
}
