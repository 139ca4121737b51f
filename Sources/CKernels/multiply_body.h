// y = x W^T for any number of rows of x. A task is a tile of four panels: its weights come from memory once for as many
// rows as the registers hold, as four streams, and from the cache for the rows after them.
#include "float_chunk.h"
#include "quantised_chunk.h"

FLOAT_CHUNKS(f32)
FLOAT_CHUNKS(f16)
FLOAT_CHUNKS(bf16)

// The totals of a pass over the rows that go together, with their bias, to where they belong.
static void ISA(finish)(const float *total, int rows, long first, long last, const float *bias, float *y, long ys) {
  for (int r = 0; r < rows; r++)
    for (long n = first; n < last; n++) y[r * ys + n] = total[r * MP_TILE + n - first] + (bias ? bias[n] : 0.0f);
}

// How many of the rows that are left go through the weights together: `most`, or the halves of what is little more.
MP_INLINE int ISA(take)(long left, int most) {
  return left <= most ? (int)left : left < 2 * most ? (int)((left + 1) / 2) : most;
}

// Columns that are gone through before the next panel has its turn: short enough that all four stay streams. Rows that
// repay making floats of the weights first.
enum { ISA(columns) = 256, ISA(enough) = 32 };

MP_INLINE void ISA(add_bias)(const float *bias, long columns, long rows, float *y, long ys) {
  for (long r = 0; bias && r < rows; r++)
    for (long n = 0; n < columns; n++) y[r * ys + n] += bias[n];
}

#define FLOAT_LINEAR(T, SIZE)                                                                                          \
  /* Up to MOST_T rows at a time, the weights as they are. */                                                          \
  static void ISA(few_##T)(const char *x, long xs, long rows, const char *w, long k, int panels, long first,           \
                           long last, const float *bias, float *y, long ys) {                                          \
    long panel = mp_panel_bytes(SIZE, k), step = mp_panel_bytes(SIZE, STEP_##T);                                       \
    bool isWhole = last - first == 16 * panels;                                                                        \
    for (long r = 0; r < rows;) {                                                                                      \
      int now = ISA(take)(rows - r, MOST_##T);                                                                         \
      /* The last panel of a matrix may have lanes that y has no place for. */                                         \
      float total[MOST_##T * MP_TILE], *out = isWhole ? y + r * ys + first : total;                                    \
      const float *in = (const float *)(x + r * xs);                                                                   \
      for (long i = 0; i < k; i += ISA(columns)) {                                                                     \
        long count = k - i < ISA(columns) ? k - i : ISA(columns);                                                      \
        ISA(chunk_##T)(in + i, xs / 4, now, w + i / STEP_##T * step, step, panel, panels, count, i ? MP_ADD : MP_SET,  \
                       out, isWhole ? ys : MP_TILE);                                                                   \
      }                                                                                                                \
      if (isWhole) ISA(add_bias)(bias ? bias + first : 0, 16 * panels, now, out, ys);                                  \
      else ISA(finish)(total, now, first, last, bias, y + r * ys, ys);                                                 \
      r += now;                                                                                                        \
    }                                                                                                                  \
  }                                                                                                                    \
  /* Many rows: two panels at a time become floats once for all of them. */                                            \
  static void ISA(many_##T)(const char *x, long xs, long rows, const char *w, long k, int panels, const float *bias,   \
                            float *y, long ys) {                                                                       \
    long panel = mp_panel_bytes(SIZE, k), step = mp_panel_bytes(SIZE, STEP_##T);                                       \
    _Alignas(64) float wide[2][ISA(columns)][16];                                                                      \
    for (int p = 0; p < panels; p += 2) {                                                                              \
      int pair = panels - p < 2 ? 1 : 2;                                                                               \
      for (long i = 0; i < k; i += ISA(columns)) {                                                                     \
        long count = k - i < ISA(columns) ? k - i : ISA(columns);                                                      \
        const char *from = w + p * panel + i / STEP_##T * step;                                                        \
        for (int q = 0; q < pair; q++)                                                                                 \
          for (long c = 0; c < count; c += STEP_##T) {                                                                 \
            MP_PREFETCH(from + q * panel + c / STEP_##T * step, ISA(enough));                                          \
            ISA(weights_##T)(from + q * panel + c / STEP_##T * step, (v16 *)wide[q][c]);                               \
          }                                                                                                            \
        for (long r = 0; r < rows;) {                                                                                  \
          int now = ISA(take)(rows - r, MOST_f32);                                                                     \
          ISA(chunk_f32)((const float *)(x + r * xs) + i, xs / 4, now, (const char *)wide, 64, sizeof wide[0], pair,   \
                         count, i ? MP_ADD : MP_SET, y + r * ys + p * 16, ys);                                         \
          r += now;                                                                                                    \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    ISA(add_bias)(bias, 16 * panels, rows, y, ys);                                                                     \
  }                                                                                                                    \
  static void ISA(multiply_##T)(const void *x, long xs, long rows, const char *w, long k, int panels, long first,      \
                                long last, const float *bias, float *y, long ys) {                                     \
    if (SIZE != MP_F32 && rows >= ISA(enough) && last - first == 16 * panels)                                          \
      ISA(many_##T)(x, xs, rows, w, k, panels, bias ? bias + first : 0, y + first, ys);                                \
    else ISA(few_##T)(x, xs, rows, w, k, panels, first, last, bias, y, ys);                                            \
  }
FLOAT_LINEAR(f32, MP_F32)
FLOAT_LINEAR(f16, MP_F16)
FLOAT_LINEAR(bf16, MP_BF16)
#undef FLOAT_LINEAR

#define QUANTISED_LINEAR(T, FORMAT, TOGETHER)                                                                          \
  static void ISA(multiply_##T)(const void *x, long xs, long rows, const char *w, long k, int panels, long first,      \
                                long last, const float *bias, float *y, long ys) {                                     \
    long panel = mp_panel_bytes(FORMAT, k);                                                                            \
    for (long r = 0; r < rows;) {                                                                                      \
      int now = ISA(take)(rows - r, TOGETHER);                                                                         \
      float total[TOGETHER * MP_TILE] = {0};                                                                           \
      for (int p = 0; p < panels; p++)                                                                                 \
        ISA(chunk_##T)((const char *)x + r * xs, xs, now, w + p * panel, k, total + p * 16);                           \
      ISA(finish)(total, now, first, last, bias, y + r * ys, ys);                                                      \
      r += now;                                                                                                        \
    }                                                                                                                  \
  }
QUANTISED_LINEAR(q8, MP_Q8, 6)
QUANTISED_LINEAR(q4, MP_Q4, 24)
#undef QUANTISED_LINEAR

// Rows of x as the products of quantised weights read them.

// The largest magnitude of a group; not a number where any is none.
MP_INLINE float ISA(largest)(const float *x) {
  v16 a = ISA(load16)(x), b = ISA(load16)(x + 16);
  i32x16 none = (a != a) | (b != b);
  if (__builtin_reduce_or(none)) return __builtin_nanf("");
  return __builtin_reduce_max(__builtin_elementwise_max(__builtin_elementwise_abs(a), __builtin_elementwise_abs(b)));
}

static void ISA(quantise_input)(const float *x, long k, int bits, char *out) {
  long groups = mp_groups(k);
  float most = bits == 16 ? 32767.0f : 127.0f;
  char *scales = out + groups * MP_GROUP * (bits / 8);
  for (long g = 0; g < groups; g++, out += MP_GROUP * (bits / 8)) {
    float padded[MP_GROUP] = {0};
    const float *group = x + g * MP_GROUP;
    long count = k - g * MP_GROUP;
    if (count < MP_GROUP) group = memcpy(padded, group, (size_t)count * 4);
    float top = ISA(largest)(group), scale = top / most, inverse = most / top;
    // What is no number, or too large for one, makes the whole group none; what is too small to divide by is zero.
    bool isNone = !(top <= 3.0e38f);
    if (isNone || top < 1.0e-30f) scale = isNone ? __builtin_nanf("") : 0, inverse = 0, group = memset(padded, 0, sizeof padded);
    i32x16 low = __builtin_convertvector(__builtin_elementwise_rint(ISA(load16)(group) * inverse), i32x16);
    i32x16 high = __builtin_convertvector(__builtin_elementwise_rint(ISA(load16)(group + 16) * inverse), i32x16);
    if (bits == 16) {
      i16x16 narrow[2] = {__builtin_convertvector(low, i16x16), __builtin_convertvector(high, i16x16)};
      memcpy(out, narrow, sizeof narrow);
      memcpy(scales + g * 4, &scale, 4);
    } else {
      i8x16 narrow[2] = {__builtin_convertvector(low, i8x16), __builtin_convertvector(high, i8x16)};
      memcpy(out, narrow, sizeof narrow);
      float pair[2] = {scale, scale * (float)__builtin_reduce_add(low + high)};
      memcpy(scales + g * 8, pair, 8);
    }
  }
}
