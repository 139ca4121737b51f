// How weights lie in memory: panels of 16 rows, the rows interleaved, so that one load brings the same columns of all of
// them, and a row of the result is a lane.
//
//   f32   [k][16] floats
//   f16   [k][16] halves
//   bf16  [k/2][16][2]: a lane's two neighbouring columns share 32 bits, so each is one shift or mask away
//   q8    groups of 32 columns: [16 pairs][16][2] int8, then 16 half scales. w = scale * q
//   q4    superblocks of 8 groups: 16 half d, 16 half m, then groups: 16 byte scales, 16 byte minima, and
//         [4][16][4] bytes whose low halves are columns 8j … 8j+3 and high halves 8j+4 … 8j+7.
//         w = d * scale * q - m * minimum
//
// Rows and columns that a matrix has not are zeros.
#ifndef MP_PANELS_H
#define MP_PANELS_H

#include "ckernels.h"

enum {
  MP_TILE = 16 * MP_PANELS_A_TILE,
  // Bytes between what is read and what is asked for: far enough that it is there in time. Panels lie one behind the
  // other, so what is ahead is what comes next.
  MP_AHEAD = 4096,
  MP_AHEAD_OF_MANY = 5120,
  MP_GROUP = 32,
  MP_GROUPS_A_BLOCK = 8,
  MP_Q8_GROUP = 16 * MP_GROUP + 32,
  MP_Q4_GROUP = 32 + 16 * MP_GROUP / 2,
  MP_Q4_HEAD = 64,
  MP_Q4_BLOCK = MP_Q4_HEAD + MP_GROUPS_A_BLOCK * MP_Q4_GROUP,
};

// Asks for weights of which `rows` rows make products. Few rows need them at once, and in the nearest cache. More take so
// long over each that the cache behind it is near enough, which holds more requests open: on Zen 4, six rows of f32 and q8
// take 0.63 and 0.73 of the time, four of bf16 0.77. `rows` is a constant.
#define MP_PREFETCH(at, rows)                                                                                          \
  ((rows) < 3 ? __builtin_prefetch((at) + MP_AHEAD) : __builtin_prefetch((at) + MP_AHEAD_OF_MANY, 0, 2))

static inline long mp_groups(long k) { return (k + MP_GROUP - 1) / MP_GROUP; }

#endif
