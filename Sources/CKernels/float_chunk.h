// A chunk of a product: R rows of x by P panels of 16 weight rows, over some columns. Every lane is one sum in the order
// of the columns, whatever R and P are: they differ only in how many sums run side by side.
//
// Included by kernel bodies, once for each instruction set.

#define STEP_f32 1
#define STEP_f16 1
#define STEP_bf16 2

MP_INLINE void ISA(weights_f32)(const char *w, v16 *out) { memcpy(out, w, sizeof *out); }

MP_INLINE void ISA(weights_f16)(const char *w, v16 *out) { *out = ISA(halves16)(w); }

MP_INLINE void ISA(weights_bf16)(const char *w, v16 *out) {
  u32x16 pair, even, odd;
  memcpy(&pair, w, sizeof pair);
  even = pair << 16;
  odd = pair & 0xffff0000u;
  memcpy(&out[0], &even, sizeof even);
  memcpy(&out[1], &odd, sizeof odd);
}

// What a chunk makes of what stands where its sums go: it goes on from there, adds its own sums, or takes the place.
#ifndef MP_SUMS
#define MP_SUMS
enum { MP_GO_ON, MP_ADD, MP_SET };
// Columns between two moves of the pointers to rows.
enum { MP_MOVE = 4 };
// Keeps a compiler from loading what the next step needs while all registers hold sums.
#define MP_IN_TURN __asm__ volatile("" ::: "memory")
// Moves a pointer, which stays one: a row's address is its pointer and a constant, or one multiple of the rows' distance.
// A compiler would compute all rows' addresses anew at each step, in the time of several products.
#define MP_NEXT(pointer, columns)                                                                                      \
  do {                                                                                                                 \
    (pointer) += (columns);                                                                                            \
    __asm__("" : "+r"(pointer));                                                                                       \
  } while (0)
#endif

// One step of columns, `t` columns behind where `from` stands.
#define FLOAT_STEP(T, R, P, at, t)                                                                                     \
  {                                                                                                                    \
    v16 row[P][STEP_##T];                                                                                              \
    _Pragma("clang loop unroll(full)") for (int p = 0; p < P; p++) {                                                   \
      MP_PREFETCH((at) + p * panel, R);                                                                                \
      ISA(weights_##T)((at) + p * panel, row[p]);                                                                      \
    }                                                                                                                  \
    _Pragma("clang loop unroll(full)") for (int s = 0; s < STEP_##T; s++) {                                            \
      if (R > 6) MP_IN_TURN;                                                                                           \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {                                                 \
        v16 in = from[r / 3][r % 3 * xs + (t) + s] - (v16){0};                                                         \
        _Pragma("clang loop unroll(full)") for (int p = 0; p < P; p++) sum[p][r] =                                     \
            ISA(fma16)(row[p][s], in, sum[p][r]);                                                                      \
      }                                                                                                                \
    }                                                                                                                  \
  }

// `step` is the distance in bytes from one step of columns to the next, `panel` from one panel to the next. Rows of sums
// lie `ys` floats apart.
#define FLOAT_CHUNK(T, R, P)                                                                                           \
  static __attribute__((noinline, unused)) void ISA(chunk_##T##_##R##x##P)(                                            \
      const float *x, long xs, const char *w, long step, long panel, long k, int how, float *y, long ys) {             \
    v16 sum[P][R];                                                                                                     \
    for (int p = 0; p < P; p++)                                                                                        \
      for (int r = 0; r < R; r++) sum[p][r] = how == MP_GO_ON ? ISA(load16)(y + r * ys + p * 16) : (v16){0};           \
    const float *from[(R + 2) / 3];                                                                                    \
    for (int q = 0; q < (R + 2) / 3; q++) from[q] = x + 3 * q * xs;                                                    \
    long i = 0;                                                                                                        \
    for (; i + MP_MOVE <= k; i += MP_MOVE, w += MP_MOVE / STEP_##T * step) {                                           \
      _Pragma("clang loop unroll(full)") for (int t = 0; t < MP_MOVE; t += STEP_##T)                                   \
          FLOAT_STEP(T, R, P, w + t / STEP_##T * step, t)                                                              \
      _Pragma("clang loop unroll(full)") for (int q = 0; q < (R + 2) / 3; q++) MP_NEXT(from[q], MP_MOVE);              \
    }                                                                                                                  \
    for (; i + STEP_##T <= k; i += STEP_##T, w += step) {                                                              \
      FLOAT_STEP(T, R, P, w, 0)                                                                                        \
      for (int q = 0; q < (R + 2) / 3; q++) MP_NEXT(from[q], STEP_##T);                                                \
    }                                                                                                                  \
    if (i < k) {                                                                                                       \
      for (int p = 0; p < P; p++) {                                                                                    \
        v16 row[STEP_##T];                                                                                             \
        ISA(weights_##T)(w + p * panel, row);                                                                          \
        for (int r = 0; r < R; r++) sum[p][r] = ISA(fma16)(row[0], x[r * xs + i] - (v16){0}, sum[p][r]);               \
      }                                                                                                                \
    }                                                                                                                  \
    for (int p = 0; p < P; p++)                                                                                        \
      for (int r = 0; r < R; r++) {                                                                                    \
        float *place = y + r * ys + p * 16;                                                                            \
        ISA(store16)(place, how == MP_ADD ? ISA(load16)(place) + sum[p][r] : sum[p][r]);                               \
      }                                                                                                                \
  }

#define FLOAT_CHUNKS_OF(T, R) FLOAT_CHUNK(T, R, 1) FLOAT_CHUNK(T, R, 2)

#define FLOAT_CHUNKS(T)                                                                                                \
  FLOAT_CHUNKS_OF(T, 1) FLOAT_CHUNKS_OF(T, 2) FLOAT_CHUNKS_OF(T, 3) FLOAT_CHUNKS_OF(T, 4) FLOAT_CHUNKS_OF(T, 5)        \
  FLOAT_CHUNKS_OF(T, 6) MORE_CHUNKS(T) FLOAT_CHUNK(T, 1, 4)                                                            \
  /* Up to MOST_T rows by all the panels of a tile. */                                                         \
  static void ISA(chunk_##T)(const float *x, long xs, int rows, const char *w, long step, long panel, int panels,      \
                             long k, int how, float *y, long ys) {                                                     \
    int p = 0;                                                                                                         \
    switch (rows) {                                                                                                    \
      FLOAT_ROWS(T, 1, 4) FLOAT_ROWS(T, 2, 2) FLOAT_ROWS(T, 3, WIDE_PANELS) FLOAT_ROWS(T, 4, WIDE_PANELS)              \
      FLOAT_ROWS(T, 5, WIDE_PANELS) FLOAT_ROWS(T, 6, WIDE_PANELS) MORE_ROWS(T)                                         \
    }                                                                                                                  \
  }

#define FLOAT_ROWS(T, R, P) FLOAT_ROWS_(T, R, P)
#define FLOAT_ROWS_(T, R, P)                                                                                           \
  case R:                                                                                                              \
    for (; p + P <= panels; p += P)                                                                                    \
      ISA(chunk_##T##_##R##x##P)(x, xs, w + p * panel, step, panel, k, how, y + p * 16, ys);                           \
    if (P > 2 && p + 2 <= panels) {                                                                                    \
      ISA(chunk_##T##_##R##x2)(x, xs, w + p * panel, step, panel, k, how, y + p * 16, ys);                             \
      p += 2;                                                                                                          \
    }                                                                                                                  \
    for (; p < panels; p++) ISA(chunk_##T##_##R##x1)(x, xs, w + p * panel, step, panel, k, how, y + p * 16, ys);       \
    break;

// A sum waits for the one before it: a single row takes four panels to have enough of them side by side.
// Twelve rows by two panels fill AVX-512's thirty-two registers, nine where a step has two columns; three rows and more
// by one panel fill the others'.
#undef WIDE_PANELS
#undef MOST_f32
#undef MOST_f16
#undef MOST_bf16
#undef MORE_CHUNKS
#undef MORE_ROWS
#if MP_LEVEL == MP_AVX512
#define WIDE_PANELS 2
#define MOST_f32 12
#define MOST_f16 12
#define MOST_bf16 9
#define MORE_CHUNKS(T)                                                                                                 \
  FLOAT_CHUNKS_OF(T, 7) FLOAT_CHUNKS_OF(T, 8) FLOAT_CHUNKS_OF(T, 9) FLOAT_CHUNKS_OF(T, 10) FLOAT_CHUNKS_OF(T, 11)      \
  FLOAT_CHUNKS_OF(T, 12)
#define MORE_ROWS(T)                                                                                                   \
  FLOAT_ROWS(T, 7, 2) FLOAT_ROWS(T, 8, 2) FLOAT_ROWS(T, 9, 2) FLOAT_ROWS(T, 10, 2) FLOAT_ROWS(T, 11, 2)                \
  FLOAT_ROWS(T, 12, 2)
#else
#define WIDE_PANELS 1
#define MOST_f32 6
// Six rows of what is widened first leave AVX2 no registers for it: twice three take three fifths of their time.
#define MOST_f16 (MP_LEVEL == MP_AVX2 ? 5 : 6)
#define MOST_bf16 (MP_LEVEL == MP_AVX2 ? 5 : 6)
#define MORE_CHUNKS(T)
#define MORE_ROWS(T)
#endif
