// Queries over one head's keys and values: scores, softmax, weighted sum of values, each in the order of the slots.
//
// Both products are those of packed weights: a panel of 16 keys is 16 weight rows of `dim` columns, and 16 columns of the
// values are 16 weight rows whose columns are the slots. Slots that a query does not see weigh exactly nothing.
#include "float_chunk.h"
#include "exponential.h"

FLOAT_CHUNKS(f32)
FLOAT_CHUNKS(f16)

// exp(scale * (score - top)) in place for slots from … to, zero for the others of `count`; returns the sum. Lanes are
// slots modulo eight.
static float ISA(soften)(float *scores, long from, long to, long count, float scale) {
  float top = scores[from];
  for (long j = from; j < to; j++) top = scores[j] > top ? scores[j] : top;
  for (long j = 0; j < from; j++) scores[j] = -__builtin_inff();
  for (long j = to; j < count; j++) scores[j] = -__builtin_inff();
  v8 sum = {0};
  for (long j = 0; j < count; j += 8) {
    v8 v = ISA(exp8)(scale * (ISA(load8)(scores + j) - top));
    sum += v;
    ISA(store8)(scores + j, v);
  }
  return ISA(fold8)(sum);
}

// Slots whose values stay in the cache while all queries have their turn with them.
enum { ISA(stretch) = 512 };

#define ATTEND(T, SIZE)                                                                                                \
  static void ISA(scores_##T)(const float *q, long qs, long rows, const char *keys, long count, long dim,              \
                              float *scores) {                                                                         \
    for (long j = 0; j < count; j += MP_TILE) {                                                                        \
      int panels = (int)((count - j < MP_TILE ? count - j : MP_TILE) / 16);                                            \
      for (long r = 0; r < rows; r += 6) {                                                                             \
        int now = rows - r < 6 ? (int)(rows - r) : 6;                                                                  \
        float total[6 * MP_TILE] = {0};                                                                                \
        ISA(chunk_##T)(q + r * qs, qs, now, keys + j * dim * SIZE, 16 * SIZE, 16 * dim * SIZE, panels, dim, false,     \
                       total);                                                                                         \
        for (int i = 0; i < now; i++) memcpy(scores + (r + i) * count + j, total + i * MP_TILE, (size_t)panels * 64);  \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  /* sums[r][d] += scores[r][j] * values[j][d], j by j. */                                                             \
  static void ISA(mix_##T)(const float *scores, long count, long rows, const char *values, long stride, long used,     \
                           long dim, float *sums) {                                                                    \
    long wide = (dim + 15) / 16 * 16;                                                                                  \
    for (long j = 0; j < used; j += ISA(stretch)) {                                                                    \
      long some = used - j < ISA(stretch) ? used - j : ISA(stretch);                                                   \
      for (long r = 0; r < rows; r += 6) {                                                                             \
        int now = rows - r < 6 ? (int)(rows - r) : 6;                                                                  \
        for (long d = 0; d < wide; d += MP_TILE) {                                                                     \
          int panels = (int)((wide - d < MP_TILE ? wide - d : MP_TILE) / 16);                                          \
          float total[6 * MP_TILE];                                                                                    \
          for (int i = 0; i < now; i++) memcpy(total + i * MP_TILE, sums + (r + i) * wide + d, (size_t)panels * 64);   \
          ISA(chunk_##T)(scores + r * count + j, count, now, values + (j * stride + d) * SIZE, stride * SIZE,          \
                         16 * SIZE, panels, some, false, total);                                                       \
          for (int i = 0; i < now; i++) memcpy(sums + (r + i) * wide + d, total + i * MP_TILE, (size_t)panels * 64);   \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  static void ISA(attend_##T)(const float *q, long qs, long rows, const char *keys, const char *values, long stride,   \
                              const long *from, const long *to, long dim, float scale, float *scratch, float *out,     \
                              long os) {                                                                               \
    long first = from[0], last = to[0];                                                                                \
    for (long r = 1; r < rows; r++) {                                                                                  \
      first = from[r] < first ? from[r] : first;                                                                       \
      last = to[r] > last ? to[r] : last;                                                                              \
    }                                                                                                                  \
    /* Whole panels, counted from a multiple of 16, so that a slot's lane is always the same. */                       \
    first = first / 16 * 16;                                                                                           \
    long count = (last - first + 15) / 16 * 16, wide = (dim + 15) / 16 * 16;                                           \
    float *scores = scratch, *sums = scratch + rows * count;                                                           \
    memset(sums, 0, (size_t)(rows * wide) * 4);                                                                        \
    ISA(scores_##T)(q, qs, rows, keys + first * dim * SIZE, count, dim, scores);                                       \
    for (long r = 0; r < rows; r++) {                                                                                  \
      float inverse = 1.0f / ISA(soften)(scores + r * count, from[r] - first, to[r] - first, count, scale);            \
      for (long j = 0; j < count; j++) scores[r * count + j] *= inverse;                                               \
    }                                                                                                                  \
    ISA(mix_##T)(scores, count, rows, values + first * stride * SIZE, stride, last - first, dim, sums);                \
    for (long r = 0; r < rows; r++) memcpy(out + r * os, sums + r * wide, (size_t)dim * 4);                            \
  }
ATTEND(f32, 4)
ATTEND(f16, 2)
#undef ATTEND
