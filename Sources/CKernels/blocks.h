// What llama.cpp's blocks hold, for those who make floats of them and for those who pack them.
#ifndef MP_BLOCKS_H
#define MP_BLOCKS_H

#include "ckernels.h"

enum { MP_Q4_K_BYTES = 144 };

static inline float mp_half_at(const void *p) {
  float value;
  mp_widen_f16(p, &value, 1);
  return value;
}

// The 32 whole numbers of a Q8_0, Q4_0 or Q5_0 block, which the half that it begins with scales. Returns the block's
// bytes, 0 for another type.
int mp_whole_block(int type, const uint8_t *block, int8_t *q);

// The 6-bit scale and minimum of group j of a Q4_K or Q5_K block, from the twelve bytes that hold eight of each.
void mp_k_scale(const uint8_t *twelve, int j, int *scale, int *minimum);

// The four low bits of weight i of group j, from the 128 bytes that hold those of a K block.
static inline int mp_k_low(const uint8_t *low, int j, int i) { return low[32 * (j / 2) + i] >> 4 * (j % 2) & 15; }

#endif
