#define KERNEL_BODY "roofline_body.h"
#include "each_isa.h"

uint64_t mp_read_streams(const void *bytes, long count) { return MP_CALL(read_streams, bytes, count); }

double mp_multiply_add(long rounds, float *sink) {
  *sink = MP_CALL(multiply_add, rounds);
  return (double)rounds * 12 * 2 * (mp_instructions() == MP_AVX512 ? 16 : 8);
}
