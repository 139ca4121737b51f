// y = x W^T for a few rows of x: each weight is read from memory once for all of them.
//
// A tile is WR weight rows by MR rows of x, each pair with one accumulator of eight lanes. What a pair adds up, and in
// which order, is the same in every tile shape; the shapes differ only in how many sums run side by side.
#include "lanes.h"

MP_INLINE v8 ISA(weights_f32)(const char *w, long i) {
  v8 v;
  memcpy(&v, w + i * 4, sizeof v);
  return v;
}

MP_INLINE v8 ISA(weights_bf16)(const char *w, long i) {
  u16x8 half;
  memcpy(&half, w + i * 2, sizeof half);
  u32x8 wide = __builtin_convertvector(half, u32x8) << 16;
  v8 v;
  memcpy(&v, &wide, sizeof v);
  return v;
}

MP_INLINE v8 ISA(weights_f16)(const char *w, long i) {
  f16x8 half;
  memcpy(&half, w + i * 2, sizeof half);
  return __builtin_convertvector(half, v8);
}

MP_INLINE float ISA(weight_f16)(const char *w, long i) {
  _Float16 half;
  memcpy(&half, w + i * 2, 2);
  return (float)half;
}

MP_INLINE float ISA(weight_f32)(const char *w, long i) {
  float v;
  memcpy(&v, w + i * 4, 4);
  return v;
}

MP_INLINE float ISA(weight_bf16)(const char *w, long i) {
  uint16_t half;
  memcpy(&half, w + i * 2, 2);
  uint32_t wide = (uint32_t)half << 16;
  float v;
  memcpy(&v, &wide, 4);
  return v;
}

#define TILE(T, SIZE, WR, MR)                                                                                          \
  static __attribute__((noinline)) void ISA(tile_##T##_##WR##x##MR)(                                                   \
      const float *x, long xs, const char *w, long k, const float *bias, float *y, long ys) {                          \
    v8 sum[WR][MR];                                                                                                    \
    for (int a = 0; a < WR; a++)                                                                                       \
      for (int b = 0; b < MR; b++) sum[a][b] = (v8){0};                                                                \
    long i = 0;                                                                                                        \
    for (; i + 8 <= k; i += 8) {                                                                                       \
      v8 row[WR];                                                                                                      \
      _Pragma("clang loop unroll(full)") for (int a = 0; a < WR; a++) row[a] =                                         \
          ISA(weights_##T)(w + (long)a * k * SIZE, i);                                                                 \
      _Pragma("clang loop unroll(full)") for (int b = 0; b < MR; b++) {                                                \
        v8 in = ISA(load8)(x + b * xs + i);                                                                            \
        _Pragma("clang loop unroll(full)") for (int a = 0; a < WR; a++) sum[a][b] =                                    \
            ISA(fma8)(row[a], in, sum[a][b]);                                                                          \
      }                                                                                                                \
    }                                                                                                                  \
    for (int b = 0; b < MR; b++)                                                                                       \
      for (int a = 0; a < WR; a++) {                                                                                   \
        float total = ISA(fold8)(sum[a][b]);                                                                           \
        for (long j = i; j < k; j++)                                                                                   \
          total = __builtin_fmaf(ISA(weight_##T)(w + (long)a * k * SIZE, j), x[b * xs + j], total);                    \
        y[b * ys + a] = bias ? total + bias[a] : total;                                                                \
      }                                                                                                                \
  }

#define ROWS(T, SIZE, WR, MR)                                                                                          \
  case MR:                                                                                                             \
    for (; n + WR <= last; n += WR)                                                                                    \
      ISA(tile_##T##_##WR##x##MR)(x, xs, base + n * k * SIZE, k, bias ? bias + n : 0, y + n, ys);                      \
    for (; n < last; n++)                                                                                              \
      ISA(tile_##T##_1x##MR)(x, xs, base + n * k * SIZE, k, bias ? bias + n : 0, y + n, ys);                           \
    break;

// Up to six rows go through one pass; more are cut into passes over a block of weight rows that stays in the cache.
#define LINEAR(T, SIZE)                                                                                                \
  TILE(T, SIZE, 8, 1) TILE(T, SIZE, 4, 2) TILE(T, SIZE, 4, 3) TILE(T, SIZE, 2, 4) TILE(T, SIZE, 2, 5)                  \
  TILE(T, SIZE, 2, 6) TILE(T, SIZE, 1, 1) TILE(T, SIZE, 1, 2) TILE(T, SIZE, 1, 3) TILE(T, SIZE, 1, 4)                  \
  TILE(T, SIZE, 1, 5) TILE(T, SIZE, 1, 6)                                                                              \
  static void ISA(pass_##T)(const float *x, long xs, int rows, const char *base, long k, long first, long last,        \
                            const float *bias, float *y, long ys) {                                                    \
    long n = first;                                                                                                    \
    switch (rows) {                                                                                                    \
      ROWS(T, SIZE, 8, 1) ROWS(T, SIZE, 4, 2) ROWS(T, SIZE, 4, 3) ROWS(T, SIZE, 2, 4) ROWS(T, SIZE, 2, 5)              \
      ROWS(T, SIZE, 2, 6)                                                                                              \
    }                                                                                                                  \
  }                                                                                                                    \
  static void ISA(linear_##T)(const float *x, long xs, int rows, const void *w, long k, long first, long last,         \
                              const float *bias, float *y, long ys) {                                                  \
    for (long n = first; n < last; n += 8) {                                                                           \
      long end = n + 8 < last ? n + 8 : last;                                                                          \
      if (rows <= 6) end = last;                                                                                       \
      for (int r = 0; r < rows;) {                                                                                     \
        int left = rows - r, now = left <= 6 ? left : left < 12 ? (left + 1) / 2 : 6;                                  \
        ISA(pass_##T)(x + r * xs, xs, now, (const char *)w, k, n, end, bias, y + r * ys, ys);                          \
        r += now;                                                                                                      \
      }                                                                                                                \
      if (end == last) break;                                                                                          \
    }                                                                                                                  \
  }

LINEAR(f32, 4)
LINEAR(bf16, 2)
LINEAR(f16, 2)

#undef LINEAR
#undef ROWS
#undef TILE
