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

// `step` is the distance in bytes from one step of columns to the next, `panel` from one panel to the next. Totals lie
// `MP_TILE` apart. A fresh chunk adds its own sums to the totals; one that is not goes on with them.
#define FLOAT_CHUNK(T, R, P)                                                                                           \
  static __attribute__((noinline, unused)) void ISA(chunk_##T##_##R##x##P)(                                            \
      const float *x, long xs, const char *w, long step, long panel, long k, bool fresh, float *total) {               \
    v16 sum[P][R];                                                                                                     \
    for (int p = 0; p < P; p++)                                                                                        \
      for (int r = 0; r < R; r++) sum[p][r] = fresh ? (v16){0} : ISA(load16)(total + r * MP_TILE + p * 16);            \
    long i = 0;                                                                                                        \
    for (; i + STEP_##T <= k; i += STEP_##T, w += step) {                                                              \
      v16 row[P][STEP_##T];                                                                                            \
      _Pragma("clang loop unroll(full)") for (int p = 0; p < P; p++) {                                                 \
        __builtin_prefetch(w + p * panel + MP_AHEAD);                                                                  \
        ISA(weights_##T)(w + p * panel, row[p]);                                                                       \
      }                                                                                                                \
      _Pragma("clang loop unroll(full)") for (int s = 0; s < STEP_##T; s++)                                            \
          _Pragma("clang loop unroll(full)") for (int r = 0; r < R; r++) {                                             \
        v16 in = x[r * xs + i + s] - (v16){0};                                                                         \
        _Pragma("clang loop unroll(full)") for (int p = 0; p < P; p++) sum[p][r] =                                     \
            ISA(fma16)(row[p][s], in, sum[p][r]);                                                                      \
      }                                                                                                                \
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
        float *place = total + r * MP_TILE + p * 16;                                                                   \
        ISA(store16)(place, fresh ? ISA(load16)(place) + sum[p][r] : sum[p][r]);                                       \
      }                                                                                                                \
  }

#define FLOAT_CHUNKS(T)                                                                                                \
  FLOAT_CHUNK(T, 1, 1) FLOAT_CHUNK(T, 2, 1) FLOAT_CHUNK(T, 3, 1) FLOAT_CHUNK(T, 4, 1) FLOAT_CHUNK(T, 5, 1)             \
  FLOAT_CHUNK(T, 6, 1) FLOAT_CHUNK(T, 1, 2) FLOAT_CHUNK(T, 2, 2) FLOAT_CHUNK(T, 3, 2) FLOAT_CHUNK(T, 4, 2)             \
  FLOAT_CHUNK(T, 5, 2) FLOAT_CHUNK(T, 6, 2)                                                                            \
  /* Up to six rows by all the panels of a tile. */                                                                    \
  static void ISA(chunk_##T)(const float *x, long xs, int rows, const char *w, long step, long panel, int panels,      \
                             long k, bool fresh, float *total) {                                                       \
    int p = 0;                                                                                                         \
    switch (rows) {                                                                                                    \
      FLOAT_ROWS(T, 1, 2) FLOAT_ROWS(T, 2, 2) FLOAT_ROWS(T, 3, WIDE_PANELS) FLOAT_ROWS(T, 4, WIDE_PANELS)                        \
      FLOAT_ROWS(T, 5, WIDE_PANELS) FLOAT_ROWS(T, 6, WIDE_PANELS)                                                      \
    }                                                                                                                  \
  }

#define FLOAT_ROWS(T, R, P) FLOAT_ROWS_(T, R, P)
#define FLOAT_ROWS_(T, R, P)                                                                                           \
  case R:                                                                                                              \
    for (; p + P <= panels; p += P)                                                                                    \
      ISA(chunk_##T##_##R##x##P)(x, xs, w + p * panel, step, panel, k, fresh, total + p * 16);                         \
    for (; p < panels; p++) ISA(chunk_##T##_##R##x1)(x, xs, w + p * panel, step, panel, k, fresh, total + p * 16);     \
    break;

// Three rows and more fill AVX2's sixteen registers with one panel.
#undef WIDE_PANELS
#if MP_LEVEL == MP_AVX512
#define WIDE_PANELS 2
#else
#define WIDE_PANELS 1
#endif
