// Chunks of products of quantised weights: some rows of quantised x by one panel. A group's sum is an integer, so it is
// the same in any order; the groups' sums become floats and are added in their order.
//
// Included by kernel bodies, once for each instruction set.
#include "panels.h"

// Two columns of 16 lanes, as dot2 reads them: a lane's two side by side, but one column after the other for NEON,
// which multiplies by one number of x at a time.
MP_INLINE i16x32 ISA(widen_q8)(const char *w) {
  i8x32 narrow;
  memcpy(&narrow, w, sizeof narrow);
#if MP_LEVEL == MP_NEON
  narrow = __builtin_shufflevector(narrow, narrow, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,  //
                                   1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
  return __builtin_convertvector(narrow, i16x32);
}

// sum[lane] += a lane's two of w, each times its own of x, the two of x as one word.
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
#elif MP_LEVEL == MP_NEON
  int16x4_t pair = vreinterpret_s16_s32(vdup_n_s32(x));
  int16x4_t half[8];
  int32x4_t part[4];
  memcpy(half, &w, sizeof w);
  memcpy(part, &sum, sizeof sum);
  for (int l = 0; l < 4; l++) part[l] = vmlal_lane_s16(vmlal_lane_s16(part[l], half[l], pair, 0), half[4 + l], pair, 1);
  memcpy(&sum, part, sizeof sum);
  return sum;
#else
  i32x16 low = ((i32x16)w << 16) >> 16, high = (i32x16)w >> 16;
  return sum + low * (int32_t)(int16_t)x + high * (x >> 16);
#endif
}

// The sums of six rows leave NEON no registers for a second step.
#undef Q8_UNROLL
#if MP_LEVEL == MP_NEON
#define Q8_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define Q8_UNROLL _Pragma("clang loop unroll_count(2)")
#endif

// x rows: k int16 in whole groups, then a float scale a group; `xs` bytes from row to row.
#define Q8_CHUNK(R)                                                                                                    \
  static __attribute__((noinline)) void ISA(chunk_q8_##R)(                                                             \
      const char *x, long xs, const char *w, long k, float *total) {                                                   \
    long groups = mp_groups(k), scales = groups * MP_GROUP * 2;                                                        \
    for (long g = 0; g < groups; g++, w += MP_Q8_GROUP) {                                                              \
      i32x16 sum[R];                                                                                                   \
      for (int r = 0; r < R; r++) sum[r] = (i32x16){0};                                                                \
      const char *in = x + g * MP_GROUP * 2;                                                                           \
      for (int i = 0; i < MP_Q8_GROUP; i += 64) MP_PREFETCH(w + i, R);                                                 \
      Q8_UNROLL for (int s = 0; s < MP_GROUP / 2; s++) {                                                               \
        i16x32 row = ISA(widen_q8)(w + s * 32);                                                                        \
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

static void ISA(chunk_q8)(const char *x, long xs, int rows, const char *w, long k, float *total) {
  typedef void chunk(const char *, long, const char *, long, float *);
  static chunk *const chunks[] = {ISA(chunk_q8_1), ISA(chunk_q8_2), ISA(chunk_q8_3),
                                  ISA(chunk_q8_4), ISA(chunk_q8_5), ISA(chunk_q8_6)};
  chunks[rows - 1](x, xs, w, k, total);
}

// A group of four-bit weights, eight lanes of it for AVX2 and NEON and sixteen elsewhere, stays in registers for all
// rows.
#if MP_LEVEL == MP_AVX2
enum { ISA(q4_lanes) = 8 };
typedef v8 ISA(q4_floats);
typedef __m256i ISA(q4_bytes);

MP_INLINE void ISA(unpack_q4)(const char *w, ISA(q4_bytes) * low, ISA(q4_bytes) * high) {
  __m256i raw = _mm256_loadu_si256((const __m256i *)w), mask = _mm256_set1_epi8(15);
  *low = _mm256_and_si256(raw, mask);
  *high = _mm256_and_si256(_mm256_srli_epi16(raw, 4), mask);
}

// The sums of a group as floats. Eight products of 4 by 8 bits are at most 8 * 2 * 15 * 127: they fit 16 bits.
MP_INLINE v8 ISA(sum_q4)(const ISA(q4_bytes) * w, const char *in) {
  __m256i sum = _mm256_setzero_si256();
  _Pragma("clang loop unroll(full)") for (int j = 0; j < MP_GROUP / 4; j++) {
    int32_t x;
    memcpy(&x, in + j * 4, 4);
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[j], _mm256_set1_epi32(x)));
  }
  return (v8)_mm256_cvtepi32_ps(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
}

MP_INLINE v8 ISA(bytes_q4)(const char *p) {
  return (v8)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

MP_INLINE v8 ISA(halves_q4)(const char *p) { return (v8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#elif MP_LEVEL == MP_NEON
enum { ISA(q4_lanes) = 8 };
typedef v8 ISA(q4_floats);
typedef int8x16x2_t ISA(q4_bytes);

MP_INLINE void ISA(unpack_q4)(const char *w, ISA(q4_bytes) * low, ISA(q4_bytes) * high) {
  for (int h = 0; h < 2; h++) {
    uint8x16_t raw = vld1q_u8((const uint8_t *)w + 16 * h);
    low->val[h] = vreinterpretq_s8_u8(vandq_u8(raw, vdupq_n_u8(15)));
    high->val[h] = vreinterpretq_s8_u8(vshrq_n_u8(raw, 4));
  }
}

MP_INLINE v8 ISA(sum_q4)(const ISA(q4_bytes) * w, const char *in) {
  int32x4_t sum[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
  i32x8 x;
  memcpy(&x, in, sizeof x);
  _Pragma("clang loop unroll(full)") for (int j = 0; j < MP_GROUP / 4; j++)
      for (int h = 0; h < 2; h++) sum[h] = vdotq_s32(sum[h], w[j].val[h], vreinterpretq_s8_s32(vdupq_n_s32(x[j])));
  i32x8 all;
  memcpy(&all, sum, sizeof all);
  return __builtin_convertvector(all, v8);
}

MP_INLINE v8 ISA(bytes_q4)(const char *p) {
  u8x8 bytes;
  memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, v8);
}

MP_INLINE v8 ISA(halves_q4)(const char *p) {
  f16x8 half;
  memcpy(&half, p, sizeof half);
  return __builtin_convertvector(half, v8);
}
#else
enum { ISA(q4_lanes) = 16 };
typedef v16 ISA(q4_floats);
typedef u8x64 ISA(q4_bytes);

MP_INLINE void ISA(unpack_q4)(const char *w, ISA(q4_bytes) * low, ISA(q4_bytes) * high) {
  u8x64 raw;
  memcpy(&raw, w, sizeof raw);
  *low = raw & 15;
  *high = raw >> 4;
}

MP_INLINE v16 ISA(sum_q4)(const ISA(q4_bytes) * w, const char *in) {
  i32x16 sum = {0};
  _Pragma("clang loop unroll(full)") for (int j = 0; j < MP_GROUP / 4; j++) {
    int32_t x;
    memcpy(&x, in + j * 4, 4);
#if MP_LEVEL == MP_AVX512
    sum = (i32x16)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w[j], _mm512_set1_epi32(x));
#else
    u32x16 word = (u32x16)w[j];
    for (int b = 0; b < 4; b++)
      sum += __builtin_convertvector(word >> 8 * b & 255, i32x16) * (int32_t)(int8_t)(x >> 8 * b);
#endif
  }
  return __builtin_convertvector(sum, v16);
}

MP_INLINE v16 ISA(bytes_q4)(const char *p) {
  u8x16 bytes;
  memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, v16);
}

MP_INLINE v16 ISA(halves_q4)(const char *p) { return ISA(halves16)(p); }
#endif

// x rows: k int8 in whole groups, then for each group a float scale and the float sum of what it stands for.
static __attribute__((noinline)) void ISA(chunk_q4)(
    const char *x, long xs, int rows, const char *w, long k, float *total) {
  long groups = mp_groups(k), scales = groups * MP_GROUP;
  ISA(q4_floats) none = {0};
  for (long g = 0; g < groups; g++) {
    const char *block = w + g / MP_GROUPS_A_BLOCK * MP_Q4_BLOCK;
    const char *group = block + MP_Q4_HEAD + g % MP_GROUPS_A_BLOCK * MP_Q4_GROUP;
    for (int i = 0; i < MP_Q4_GROUP; i += 64) __builtin_prefetch(group + MP_AHEAD + i);
    for (int l = 0; l < 16; l += ISA(q4_lanes)) {
      ISA(q4_bytes) part[MP_GROUP / 4];
      _Pragma("clang loop unroll(full)") for (int j = 0; j < MP_GROUP / 8; j++)
          ISA(unpack_q4)(group + 32 + j * 64 + l * 4, &part[2 * j], &part[2 * j + 1]);
      ISA(q4_floats) scale = ISA(halves_q4)(block + l * 2) * ISA(bytes_q4)(group + l);
      ISA(q4_floats) minimum = -ISA(halves_q4)(block + 32 + l * 2) * ISA(bytes_q4)(group + 16 + l);
      const char *in = x + g * MP_GROUP, *own = x + scales + g * 8;
      float *place = total + l;
      _Pragma("clang loop unroll_count(2)") for (int r = 0; r < rows; r++, in += xs, own += xs, place += MP_TILE) {
        float pair[2];
        memcpy(pair, own, sizeof pair);
        ISA(q4_floats) value;
        memcpy(&value, place, sizeof value);
        value = __builtin_elementwise_fma(ISA(sum_q4)(part, in), scale * pair[0], value);
        value = __builtin_elementwise_fma(minimum, pair[1] - none, value);
        memcpy(place, &value, sizeof value);
      }
    }
  }
}
