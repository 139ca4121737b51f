#define KERNEL_BODY "attention_body.h"
#include "each_isa.h"

void mp_attend(const float *q, const float *keys, long key_stride, const float *values, long value_stride, long count,
               long dim, float scale, float *scores, float *out) {
  MP_CALL(attend, q, keys, key_stride, values, value_stride, count, dim, scale, scores, out);
}
