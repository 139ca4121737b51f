// Chunks of products of quantised weights: R rows of quantised x by one panel, over some groups of 32 columns. A group's
// sum is an integer, so it is the same in any order; the groups' sums become floats and are added in their order.
//
// Included by kernel bodies, once for each instruction set.
#include "panels.h"

// sum[lane] += w[2 lane] * x[0] + w[2 lane + 1] * x[1], the two of x as one word.
MP_INLINE i32x16 ISA(dot2)(i32x16 sum, i16x32 w, int32_t x) {
#if MP_LEVEL == MP_AVX512
  return (i32x16)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)w, _mm512_set1_epi32(x));
#elif MP_LEVEL == MP_AVX2
  __m256i pair = _mm256_set1_epi32(x), half[2], part[2];
  memcpy(half, &w, sizeof w);
  memcpy(part, &sum, sizeof sum);
  for (int h = 0; h < 2; h++) part[h] = _mm256_add_epi32(part[h], _mm256_madd_epi16(half[h], pair));
  memcpy(&sum, part, sizeof sum);
  return sum;
#else
  i32x16 low = ((i32x16)w << 16) >> 16, high = (i32x16)w >> 16;
  return sum + low * (int32_t)(int16_t)x + high * (x >> 16);
#endif
}

// x rows: k int16 in whole groups, then a float scale a group; `xs` bytes from row to row.
#define Q8_CHUNK(R)                                                                                                    \
  static __attribute__((noinline)) void ISA(chunk_q8_##R)(                                                             \
      const char *x, long xs, const char *w, long k, long first, long last, float *total) {                            \
    long scales = mp_groups(k) * MP_GROUP * 2;                                                                         \
    w += first * MP_Q8_GROUP;                                                                                          \
    for (long g = first; g < last; g++, w += MP_Q8_GROUP) {                                                            \
      i32x16 sum[R];                                                                                                   \
      for (int r = 0; r < R; r++) sum[r] = (i32x16){0};                                                                \
      const char *in = x + g * MP_GROUP * 2;                                                                           \
      _Pragma("clang loop unroll_count(2)") for (int s = 0; s < MP_GROUP / 2; s++) {                                   \
        i8x32 narrow;                                                                                                  \
        memcpy(&narrow, w + s * 32, sizeof narrow);                                                                    \
        i16x32 row = __builtin_convertvector(narrow, i16x32);                                                          \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {                                               \
          int32_t pair;                                                                                                \
          memcpy(&pair, in + r * xs + s * 4, 4);                                                                       \
          sum[r] = ISA(dot2)(sum[r], row, pair);                                                                       \
        }                                                                                                              \
      }                                                                                                                \
      v16 scale = ISA(halves16)(w + 16 * MP_GROUP);                                                                    \
      for (int r = 0; r < R; r++) {                                                                                    \
        float own;                                                                                                     \
        memcpy(&own, x + r * xs + scales + g * 4, 4);                                                                  \
        float *place = total + r * MP_TILE;                                                                            \
        ISA(store16)(place,                                                                                            \
                     ISA(fma16)(__builtin_convertvector(sum[r], v16), scale * own, ISA(load16)(place)));               \
      }                                                                                                                \
    }                                                                                                                  \
  }
Q8_CHUNK(1) Q8_CHUNK(2) Q8_CHUNK(3) Q8_CHUNK(4) Q8_CHUNK(5) Q8_CHUNK(6)
#undef Q8_CHUNK

#if MP_LEVEL != MP_AVX2
// sum[lane] += the four products of w[4 lane …] and the four int8 of x.
MP_INLINE i32x16 ISA(dot4)(i32x16 sum, u8x64 w, int32_t x) {
#if MP_LEVEL == MP_AVX512
  return (i32x16)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, _mm512_set1_epi32(x));
#else
  u32x16 word = (u32x16)w;
  for (int b = 0; b < 4; b++)
    sum += __builtin_convertvector(word >> 8 * b & 255, i32x16) * (int32_t)(int8_t)(x >> 8 * b);
  return sum;
#endif
}
#endif

// The integer sums of one group for R rows. AVX2 adds eight products of 4 by 8 bits in 16 bits, 8 * 2 * 15 * 127 at most.
#if MP_LEVEL == MP_AVX2
#define Q4_SUMS(R)                                                                                                     \
  MP_INLINE void ISA(sums_q4_##R)(const char *in, long xs, const char *w, i32x16 *sum) {                               \
    _Pragma("clang loop unroll(full)") for (int h = 0; h < 2; h++) {                                                   \
      __m256i part[R];                                                                                                 \
      for (int r = 0; r < R; r++) part[r] = _mm256_setzero_si256();                                                    \
      const __m256i mask = _mm256_set1_epi8(15);                                                                       \
      _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++) {                                                 \
        __m256i raw = _mm256_loadu_si256((const __m256i *)(w + j * 64 + h * 32));                                      \
        __m256i low = _mm256_and_si256(raw, mask), high = _mm256_and_si256(_mm256_srli_epi16(raw, 4), mask);           \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {                                               \
          int32_t x[2];                                                                                                \
          memcpy(x, in + r * xs + j * 8, 8);                                                                           \
          part[r] = _mm256_add_epi16(part[r], _mm256_maddubs_epi16(low, _mm256_set1_epi32(x[0])));                     \
          part[r] = _mm256_add_epi16(part[r], _mm256_maddubs_epi16(high, _mm256_set1_epi32(x[1])));                    \
        }                                                                                                              \
      }                                                                                                                \
      for (int r = 0; r < R; r++) {                                                                                    \
        __m256i wide = _mm256_madd_epi16(part[r], _mm256_set1_epi16(1));                                               \
        memcpy((char *)&sum[r] + h * 32, &wide, 32);                                                                   \
      }                                                                                                                \
    }                                                                                                                  \
  }
#else
#define Q4_SUMS(R)                                                                                                     \
  MP_INLINE void ISA(sums_q4_##R)(const char *in, long xs, const char *w, i32x16 *sum) {                               \
    for (int r = 0; r < R; r++) sum[r] = (i32x16){0};                                                                  \
    _Pragma("clang loop unroll(full)") for (int j = 0; j < 4; j++) {                                                   \
      u8x64 raw;                                                                                                       \
      memcpy(&raw, w + j * 64, sizeof raw);                                                                            \
      u8x64 low = raw & 15, high = raw >> 4;                                                                           \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {                                                 \
        int32_t x[2];                                                                                                  \
        memcpy(x, in + r * xs + j * 8, 8);                                                                             \
        sum[r] = ISA(dot4)(ISA(dot4)(sum[r], low, x[0]), high, x[1]);                                                  \
      }                                                                                                                \
    }                                                                                                                  \
  }
#endif

// x rows: k int8 in whole groups, then for each group a float scale and the float sum of what it stands for.
#define Q4_CHUNK(R)                                                                                                    \
  Q4_SUMS(R)                                                                                                           \
  static __attribute__((noinline)) void ISA(chunk_q4_##R)(                                                             \
      const char *x, long xs, const char *w, long k, long first, long last, float *total) {                            \
    long scales = mp_groups(k) * MP_GROUP;                                                                             \
    v16 d, m;                                                                                                          \
    for (long g = first; g < last; g++) {                                                                              \
      const char *block = w + g / MP_GROUPS_A_BLOCK * MP_Q4_BLOCK;                                                     \
      if (g == first || g % MP_GROUPS_A_BLOCK == 0) {                                                                  \
        d = ISA(halves16)(block);                                                                                      \
        m = ISA(halves16)(block + 32);                                                                                 \
      }                                                                                                                \
      const char *group = block + MP_Q4_HEAD + g % MP_GROUPS_A_BLOCK * MP_Q4_GROUP;                                    \
      i32x16 sum[R];                                                                                                   \
      ISA(sums_q4_##R)(x + g * MP_GROUP, xs, group + 32, sum);                                                         \
      u8x16 bytes;                                                                                                     \
      memcpy(&bytes, group, sizeof bytes);                                                                             \
      v16 scale = d * __builtin_convertvector(bytes, v16);                                                             \
      memcpy(&bytes, group + 16, sizeof bytes);                                                                        \
      v16 minimum = -m * __builtin_convertvector(bytes, v16);                                                          \
      for (int r = 0; r < R; r++) {                                                                                    \
        float own[2];                                                                                                  \
        memcpy(own, x + r * xs + scales + g * 8, 8);                                                                   \
        float *place = total + r * MP_TILE;                                                                            \
        v16 value = ISA(fma16)(__builtin_convertvector(sum[r], v16), scale * own[0], ISA(load16)(place));              \
        ISA(store16)(place, ISA(fma16)(minimum, own[1] - (v16){0}, value));                                            \
      }                                                                                                                \
    }                                                                                                                  \
  }
Q4_CHUNK(1) Q4_CHUNK(2) Q4_CHUNK(3) Q4_CHUNK(4) Q4_CHUNK(5) Q4_CHUNK(6)
#undef Q4_CHUNK
#undef Q4_SUMS
