// Between element types.
#define KERNEL_BODY "convert_body.h"
#include "each_isa.h"

void mp_widen_bf16(const void *in, float *out, long count) {
  const char *bytes = in;
  for (long i = 0; i < count; i++) {
    uint16_t half;
    memcpy(&half, bytes + i * 2, 2);
    uint32_t wide = (uint32_t)half << 16;
    memcpy(out + i, &wide, 4);
  }
}

void mp_widen_f16(const void *in, float *out, long count) { MP_CALL(widen_f16, in, out, count); }

void mp_narrow_bf16(const float *in, uint16_t *out, long count) {
  for (long i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, in + i, 4);
    bool nan = (bits & 0x7fffffff) > 0x7f800000;
    out[i] = nan ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

void mp_narrow_f16(const float *in, uint16_t *out, long count) { MP_CALL(narrow_f16, in, out, count); }

uint64_t mp_checksum(const void *bytes, long count) { return MP_CALL(checksum, bytes, count); }
