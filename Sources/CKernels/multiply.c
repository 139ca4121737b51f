// Products of rows with packed weights, in every format.
#include "panels.h"

#define KERNEL_BODY "multiply_body.h"
#include "each_isa.h"

long mp_panel_bytes(int format, long k) {
  switch (format) {
    case MP_F32: return 64 * k;
    case MP_F16: return 32 * k;
    case MP_BF16: return 64 * ((k + 1) / 2);
    case MP_Q8: return mp_groups(k) * MP_Q8_GROUP;
    case MP_Q4:
      return (mp_groups(k) + MP_GROUPS_A_BLOCK - 1) / MP_GROUPS_A_BLOCK * MP_Q4_HEAD + mp_groups(k) * MP_Q4_GROUP;
    default: return 0;
  }
}

long mp_input_bytes(int format, long k) {
  switch (format) {
    case MP_Q8: return mp_groups(k) * (MP_GROUP * 2 + 4);
    case MP_Q4: return mp_groups(k) * (MP_GROUP + 8);
    default: return 0;
  }
}

void mp_quantise_input(int format, const float *x, long k, void *out) {
  MP_CALL(quantise_input, x, k, format == MP_Q8 ? 16 : 8, out);
}

void mp_multiply(int format, const void *x, long x_stride, long rows, const void *w, long k, long n, long tile,
                 const float *bias, float *y, long y_stride) {
  long first = tile * MP_TILE, last = first + MP_TILE < n ? first + MP_TILE : n;
  int panels = (int)((last - first + 15) / 16);
  const char *start = (const char *)w + tile * MP_PANELS_A_TILE * mp_panel_bytes(format, k);
  switch (format) {
    case MP_F32: MP_CALL(multiply_f32, x, x_stride, rows, start, k, panels, first, last, bias, y, y_stride); break;
    case MP_F16: MP_CALL(multiply_f16, x, x_stride, rows, start, k, panels, first, last, bias, y, y_stride); break;
    case MP_BF16: MP_CALL(multiply_bf16, x, x_stride, rows, start, k, panels, first, last, bias, y, y_stride); break;
    case MP_Q8: MP_CALL(multiply_q8, x, x_stride, rows, start, k, panels, first, last, bias, y, y_stride); break;
    case MP_Q4: MP_CALL(multiply_q4, x, x_stride, rows, start, k, panels, first, last, bias, y, y_stride); break;
  }
}

void mp_multiply_tiles(const mp_product *products, long first, long count, long row, long rows) {
  for (const mp_product *p = products; count > 0; p++) {
    long tiles = (p->n + MP_TILE - 1) / MP_TILE;
    for (; first < tiles && count > 0; first++, count--)
      mp_multiply(p->format, (const char *)p->x + row * p->x_stride, p->x_stride, rows, p->w, p->k, p->n, first, p->bias,
                  p->y + row * p->y_stride, p->y_stride);
    first -= tiles;
  }
}

void mp_multiply_largest(const mp_product *p, long first, long count, long columns, long row, long rows, float *scratch,
                         float *best, int32_t *place) {
  enum { TILES = MP_LARGEST_COLUMNS / MP_TILE };
  const char *x = (const char *)p->x + row * p->x_stride;
  long end = first + count;
  for (long tile = first; tile < end; tile += TILES) {
    long column = tile * MP_TILE, stop = tile + TILES < end ? tile + TILES : end;
    long n = stop * MP_TILE < p->n ? stop * MP_TILE - column : p->n - column;
    const char *w = (const char *)p->w + tile * MP_PANELS_A_TILE * mp_panel_bytes(p->format, p->k);
    for (long one = 0; one < stop - tile; one++)
      mp_multiply(p->format, x, p->x_stride, rows, w, p->k, n, one, p->bias ? p->bias + column : 0, scratch,
                  MP_LARGEST_COLUMNS);
    long seen = columns - column < n ? columns - column : n;
    for (long r = 0; r < rows && seen > 0; r++) {
      const float *y = scratch + r * MP_LARGEST_COLUMNS;
      long at = mp_argmax(y, seen);
      if (at >= 0 && y[at] > best[row + r]) best[row + r] = y[at], place[row + r] = (int32_t)(column + at);
    }
  }
}
