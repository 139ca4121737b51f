// Queries over one head's keys and values: scores, softmax, weighted sum of values, each in the order of the slots.
//
// Both products are those of packed weights: a panel of 16 keys is 16 weight rows of `dim` columns, and 16 columns of the
// values are 16 weight rows whose columns are the slots. Slots that a query does not see weigh exactly nothing, and their
// values are not looked at.
#include "float_chunk.h"
#include "exponential.h"

FLOAT_CHUNKS(f32)
FLOAT_CHUNKS(f16)

// exp(scale * (score - top)) in place for slots from … to, zero for the others of `count`, whole panels; returns the sum.
// Its lanes are slots modulo eight.
static float ISA(soften)(float *scores, long from, long to, long count, float scale) {
  const v16 least = (v16){0} - __builtin_inff();
  for (long j = 0; j < from; j++) scores[j] = least[0];
  for (long j = to; j < count; j++) scores[j] = least[0];
  v16 most = least;
  for (long j = 0; j < count; j += 16) most = __builtin_elementwise_max(ISA(load16)(scores + j), most);
  float top = __builtin_reduce_max(most);
  v8 sum = {0};
  for (long j = 0; j < count; j += 16) {
    v16 v = ISA(exp16)(scale * (ISA(load16)(scores + j) - top));
    sum += ISA(low8)(v);
    sum += ISA(high8)(v);
    ISA(store16)(scores + j, v);
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
      for (long r = 0; r < rows; r += MOST_##T) {                                                                      \
        int now = rows - r < MOST_##T ? (int)(rows - r) : MOST_##T;                                                    \
        ISA(chunk_##T)(q + r * qs, qs, now, keys + j * dim * SIZE, 16 * SIZE, 16 * dim * SIZE, panels, dim, MP_SET,    \
                       scores + r * count + j, count);                                                                 \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  /* sums[r][d] += scores[r][j] * values[j][d], j by j from `begin` to `end`. */                                       \
  static void ISA(mix_##T)(const float *scores, long count, long rows, const char *values, long stride, long begin,    \
                           long end, long dim, float *sums) {                                                          \
    long wide = (dim + 15) / 16 * 16;                                                                                  \
    for (long j = begin; j < end; j += ISA(stretch)) {                                                                 \
      long some = end - j < ISA(stretch) ? end - j : ISA(stretch);                                                     \
      for (long r = 0; r < rows; r += MOST_##T) {                                                                      \
        int now = rows - r < MOST_##T ? (int)(rows - r) : MOST_##T;                                                    \
        for (long d = 0; d < wide; d += MP_TILE) {                                                                     \
          int panels = (int)((wide - d < MP_TILE ? wide - d : MP_TILE) / 16);                                          \
          ISA(chunk_##T)(scores + r * count + j, count, now, values + (j * stride + d) * SIZE, stride * SIZE,          \
                         16 * SIZE, panels, some, MP_GO_ON, sums + r * wide + d, wide);                                \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }                                                                                                                    \
  /* The same over the slots that all rows see, and before and behind them over those that each sees itself: a value */\
  /* that is no number reaches none but the rows that see it. */                                                       \
  static void ISA(mix_seen_##T)(const float *scores, long count, long rows, const char *values, long stride,           \
                                const long *from, const long *to, long first, long dim, float *sums) {                 \
    long wide = (dim + 15) / 16 * 16, begin = from[0], end = to[0];                                                    \
    for (long r = 1; r < rows; r++) {                                                                                  \
      begin = from[r] > begin ? from[r] : begin;                                                                       \
      end = to[r] < end ? to[r] : end;                                                                                 \
    }                                                                                                                  \
    if (end < begin) end = begin;                                                                                      \
    memset(sums, 0, (size_t)(rows * wide) * 4);                                                                        \
    for (long r = 0, next; r < rows; r = next) {                                                                       \
      for (next = r + 1; next < rows && from[next] == from[r] && to[next] == to[r];) next++;                           \
      long until = to[r] < begin ? to[r] : begin;                                                                      \
      ISA(mix_##T)(scores + r * count, count, next - r, values, stride, from[r] - first, until - first, dim,           \
                   sums + r * wide);                                                                                   \
    }                                                                                                                  \
    ISA(mix_##T)(scores, count, rows, values, stride, begin - first, end - first, dim, sums);                          \
    for (long r = 0, next; r < rows; r = next) {                                                                       \
      for (next = r + 1; next < rows && from[next] == from[r] && to[next] == to[r];) next++;                           \
      ISA(mix_##T)(scores + r * count, count, next - r, values, stride, end - first, to[r] - first, dim,               \
                   sums + r * wide);                                                                                   \
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
    ISA(scores_##T)(q, qs, rows, keys + first * dim * SIZE, count, dim, scores);                                       \
    for (long r = 0; r < rows; r++) {                                                                                  \
      float inverse = 1.0f / ISA(soften)(scores + r * count, from[r] - first, to[r] - first, count, scale);            \
      for (long j = 0; j < count; j++) scores[r * count + j] *= inverse;                                               \
    }                                                                                                                  \
    ISA(mix_seen_##T)(scores, count, rows, values + first * stride * SIZE, stride, from, to, first, dim, sums);        \
    for (long r = 0; r < rows; r++) memcpy(out + r * os, sums + r * wide, (size_t)dim * 4);                            \
  }
ATTEND(f32, 4)
ATTEND(f16, 2)
#undef ATTEND
