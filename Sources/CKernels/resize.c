// Pillow's resampling of 8-bit RGB, bit for bit: coefficients in 22-bit fixed point, one axis after the other.
//
// Source: Pillow's libImaging/Resample.c, whose arithmetic (not its code) this follows.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckernels.h"

#pragma STDC FP_CONTRACT OFF

enum { PRECISION = 22 };

static double bilinear(double x) {
  x = fabs(x);
  return x < 1 ? 1 - x : 0;
}

static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

static double sinc(double x) {
  if (x == 0) return 1;
  x *= M_PI;
  return sin(x) / x;
}

static double lanczos(double x) { return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

// For each output place: the first input place it draws from, how many, and their weights.
typedef struct {
  int *first, *count, *weights;
  int width;
} filter;

static void filter_free(filter *f) { free(f->first), free(f->count), free(f->weights); }

static int filter_make(filter *f, long in, long out, int kind) {
  double (*shape)(double) = kind == MP_LANCZOS ? lanczos : kind == MP_BILINEAR ? bilinear : bicubic;
  double scale = (double)in / (double)out, spread = scale < 1 ? 1 : scale;
  double support = (kind == MP_LANCZOS ? 3 : kind == MP_BILINEAR ? 1 : 2) * spread, inverse = 1 / spread;
  f->width = (int)ceil(support) * 2 + 1;
  f->first = malloc((size_t)out * sizeof(int));
  f->count = malloc((size_t)out * sizeof(int));
  f->weights = calloc((size_t)out * (size_t)f->width, sizeof(int));
  double *exact = malloc((size_t)f->width * sizeof(double));
  int made = f->first && f->count && f->weights && exact;
  for (long x = 0; made && x < out; x++) {
    double centre = ((double)x + 0.5) * scale, sum = 0;
    int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);
    if (low < 0) low = 0;
    if (high > in) high = (int)in;
    for (int i = 0; i < high - low; i++) sum += exact[i] = shape((i + low - centre + 0.5) * inverse);
    for (int i = 0; i < high - low; i++) {
      double weight = (sum != 0 ? exact[i] / sum : exact[i]) * (1 << PRECISION);
      f->weights[x * f->width + i] = (int)(weight < 0 ? weight - 0.5 : weight + 0.5);
    }
    f->first[x] = low;
    f->count[x] = high - low;
  }
  free(exact);
  return made;
}

static inline uint8_t clip(int sum) {
  int value = sum >> PRECISION;
  return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resize_row(const uint8_t *in, uint8_t *out, long width, const filter *f) {
  for (long x = 0; x < width; x++) {
    const uint8_t *p = in + 3 * f->first[x];
    const int *w = f->weights + x * f->width;
    int r = 1 << (PRECISION - 1), g = r, b = r;
    for (int i = 0; i < f->count[x]; i++, p += 3) {
      r += p[0] * w[i];
      g += p[1] * w[i];
      b += p[2] * w[i];
    }
    out[3 * x] = clip(r);
    out[3 * x + 1] = clip(g);
    out[3 * x + 2] = clip(b);
  }
}

// One output row from some input rows, a stretch of bytes at a time so that the sums stay in registers.
static void blend_rows(const uint8_t *in, long stride, const int *w, int count, uint8_t *out) {
  enum { STRETCH = 64 };
  for (long at = 0; at < stride; at += STRETCH) {
    int sum[STRETCH];
    long width = stride - at < STRETCH ? stride - at : STRETCH;
    for (int i = 0; i < STRETCH; i++) sum[i] = 1 << (PRECISION - 1);
    for (int j = 0; j < count; j++) {
      const uint8_t *row = in + j * stride + at;
      if (width == STRETCH)
        for (int i = 0; i < STRETCH; i++) sum[i] += row[i] * w[j];
      else
        for (long i = 0; i < width; i++) sum[i] += row[i] * w[j];
    }
    for (long i = 0; i < width; i++) out[at + i] = clip(sum[i]);
  }
}

static void resize_rows(const uint8_t *in, long width, long rows, uint8_t *out, long out_width, const filter *f) {
  for (long y = 0; y < rows; y++) resize_row(in + y * width * 3, out + y * out_width * 3, out_width, f);
}

// `first` is the place of the row that `in` begins with.
static void resize_columns(const uint8_t *in, long first, long width, uint8_t *out, long out_height, const filter *f) {
  long stride = width * 3;
  for (long y = 0; y < out_height; y++)
    blend_rows(in + (f->first[y] - first) * stride, stride, f->weights + y * f->width, f->count[y], out + y * stride);
}

int mp_resize_rgb(const uint8_t *in, long width, long height, uint8_t *out, long out_width, long out_height, int kind) {
  filter across = {0}, down = {0};
  uint8_t *between = NULL;
  int made = filter_make(&across, width, out_width, kind) && filter_make(&down, height, out_height, kind);
  // The order decides how the middle is rounded. Pillow has taken columns first since version 13 where the height
  // loses more than twice what the width loses.
  int columns_first = height > out_height && height - out_height > 2 * (width - out_width);
  if (made && height == out_height) {
    resize_rows(in, width, height, out, out_width, &across);
  } else if (made && width == out_width) {
    resize_columns(in, 0, width, out, out_height, &down);
  } else if (made && columns_first) {
    between = malloc((size_t)out_height * (size_t)width * 3);
    made = between != NULL;
    if (made) resize_columns(in, 0, width, between, out_height, &down);
    if (made) resize_rows(between, width, out_height, out, out_width, &across);
  } else if (made) {
    // Only rows that some output row draws from are resized.
    long first = down.first[0], last = down.first[out_height - 1] + down.count[out_height - 1];
    between = malloc((size_t)(last - first) * (size_t)out_width * 3);
    made = between != NULL;
    if (made) resize_rows(in + first * width * 3, width, last - first, between, out_width, &across);
    if (made) resize_columns(between, first, out_width, out, out_height, &down);
  }
  filter_free(&across);
  filter_free(&down);
  free(between);
  return made ? 0 : -1;
}
