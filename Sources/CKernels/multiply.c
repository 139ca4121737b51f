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
