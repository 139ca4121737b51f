// y = x W^T for any number of rows of x. A task is a tile of four panels: its weights come from memory once for up to six
// rows, as four streams, and from the cache for the rows after them.
#include "float_chunk.h"
#include "quantised_chunk.h"

FLOAT_CHUNKS(f32)
FLOAT_CHUNKS(f16)
FLOAT_CHUNKS(bf16)

// The totals of a pass over up to six rows, with their bias, to where they belong.
static void ISA(finish)(const float *total, int rows, long first, long last, const float *bias, float *y, long ys) {
  for (int r = 0; r < rows; r++)
    for (long n = first; n < last; n++) y[r * ys + n] = total[r * MP_TILE + n - first] + (bias ? bias[n] : 0.0f);
}

MP_INLINE int ISA(take)(long left) { return left <= 6 ? (int)left : left < 12 ? (int)((left + 1) / 2) : 6; }

// Columns that are gone through before the next panel has its turn: short enough that all four stay streams.
enum { ISA(columns) = 256 };

#define FLOAT_LINEAR(T, SIZE)                                                                                          \
  static void ISA(multiply_##T)(const void *x, long xs, long rows, const char *w, long k, int panels, long first,      \
                                long last, const float *bias, float *y, long ys) {                                     \
    long panel = mp_panel_bytes(SIZE, k), step = mp_panel_bytes(SIZE, STEP_##T);                 \
    for (long r = 0; r < rows;) {                                                                                      \
      int now = ISA(take)(rows - r);                                                                                   \
      float total[6 * MP_TILE] = {0};                                                                                  \
      const float *in = (const float *)((const char *)x + r * xs);                                                     \
      for (long i = 0; i < k; i += ISA(columns)) {                                                                     \
        long count = k - i < ISA(columns) ? k - i : ISA(columns);                                                      \
        ISA(chunk_##T)(in + i, xs / 4, now, w + i / STEP_##T * step, step, panel, panels, count, true, total);         \
      }                                                                                                                \
      ISA(finish)(total, now, first, last, bias, y + r * ys, ys);                                                      \
      r += now;                                                                                                        \
    }                                                                                                                  \
  }
FLOAT_LINEAR(f32, MP_F32)
FLOAT_LINEAR(f16, MP_F16)
FLOAT_LINEAR(bf16, MP_BF16)
#undef FLOAT_LINEAR

#define QUANTISED_LINEAR(T, FORMAT)                                                                                    \
  static void ISA(multiply_##T)(const void *x, long xs, long rows, const char *w, long k, int panels, long first,      \
                                long last, const float *bias, float *y, long ys) {                                     \
    typedef void chunk(const char *, long, const char *, long, long, long, float *);                                   \
    static chunk *const chunks[] = {ISA(chunk_##T##_1), ISA(chunk_##T##_2), ISA(chunk_##T##_3),                        \
                                    ISA(chunk_##T##_4), ISA(chunk_##T##_5), ISA(chunk_##T##_6)};                       \
    long panel = mp_panel_bytes(FORMAT, k), groups = mp_groups(k);                                                     \
    for (long r = 0; r < rows;) {                                                                                      \
      int now = ISA(take)(rows - r);                                                                                   \
      float total[6 * MP_TILE] = {0};                                                                                  \
      for (long g = 0; g < groups; g += MP_GROUPS_A_BLOCK) {                                                           \
        long end = g + MP_GROUPS_A_BLOCK < groups ? g + MP_GROUPS_A_BLOCK : groups;                                    \
        for (int p = 0; p < panels; p++)                                                                               \
          chunks[now - 1]((const char *)x + r * xs, xs, w + p * panel, k, g, end, total + p * 16);                     \
      }                                                                                                                \
      ISA(finish)(total, now, first, last, bias, y + r * ys, ys);                                                      \
      r += now;                                                                                                        \
    }                                                                                                                  \
  }
QUANTISED_LINEAR(q8, MP_Q8)
QUANTISED_LINEAR(q4, MP_Q4)
#undef QUANTISED_LINEAR

// Rows of x as the products of quantised weights read them.

// The largest magnitude of a group; not a number where any is none.
MP_INLINE float ISA(largest)(const float *x) {
  v16 a = ISA(load16)(x), b = ISA(load16)(x + 16);
  i32x16 none = (a != a) | (b != b);
  if (__builtin_reduce_or(none)) return __builtin_nanf("");
  return __builtin_reduce_max(__builtin_elementwise_max(__builtin_elementwise_abs(a), __builtin_elementwise_abs(b)));
}

// 32 values times `inverse`, rounded to nearest even.
MP_INLINE void ISA(round_group)(const float *x, float inverse, int32_t *out) {
  for (int h = 0; h < 2; h++) {
    v16 value = __builtin_elementwise_rint(ISA(load16)(x + 16 * h) * inverse);
    i32x16 whole = __builtin_convertvector(value, i32x16);
    memcpy(out + 16 * h, &whole, sizeof whole);
  }
}

static void ISA(quantise_input)(const float *x, long k, int bits, char *out) {
  long groups = mp_groups(k);
  float most = bits == 16 ? 32767.0f : 127.0f;
  char *scales = out + groups * MP_GROUP * (bits / 8);
  for (long g = 0; g < groups; g++) {
    float group[MP_GROUP] = {0};
    long count = k - g * MP_GROUP < MP_GROUP ? k - g * MP_GROUP : MP_GROUP;
    memcpy(group, x + g * MP_GROUP, (size_t)count * 4);
    float top = ISA(largest)(group), scale = top / most;
    int32_t whole[MP_GROUP] = {0};
    // What is no number, or too large for one, makes the whole group none; what is too small to divide by is zero.
    if (!(top <= 3.0e38f))
      scale = __builtin_nanf("");
    else if (top < 1.0e-30f)
      scale = 0;
    else
      ISA(round_group)(group, most / top, whole);
    if (bits == 16) {
      int16_t narrow[MP_GROUP];
      for (int i = 0; i < MP_GROUP; i++) narrow[i] = (int16_t)whole[i];
      memcpy(out + g * sizeof narrow, narrow, sizeof narrow);
      memcpy(scales + g * 4, &scale, 4);
    } else {
      int8_t narrow[MP_GROUP];
      int32_t sum = 0;
      for (int i = 0; i < MP_GROUP; i++) narrow[i] = (int8_t)whole[i], sum += whole[i];
      memcpy(out + g * sizeof narrow, narrow, sizeof narrow);
      float pair[2] = {scale, scale * (float)sum};
      memcpy(scales + g * 8, pair, 8);
    }
  }
}
