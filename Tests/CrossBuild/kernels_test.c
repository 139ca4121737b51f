// Compares the builds of the kernels that this machine has, bit for bit, and prints a checksum of every part's results,
// which are to be the same on every machine. `run.sh` runs it on several.
//
// A part whose line begins with "libm" calls the C library's functions, which round as the machine likes.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckernels.h"

#pragma STDC FP_CONTRACT OFF

enum { ROWS = 35, OUTPUTS = 100, PANELS = (OUTPUTS + 15) / 16 };

static const char *const formats[] = {"f32", "f16", "bf16", "q8", "q4"};
static const double bounds[] = {1e-6, 1e-6, 1e-6, 1e-4, 2e-2};

static int builds[4], build_count;
static long passed, failed;

static void check(bool holds, const char *part, const char *what) {
  if (holds) passed++;
  else if (failed++ < 20) fprintf(stderr, "FAILED: %s: %s\n", part, what);
}

static void *room(long bytes) {
  void *p = calloc(1, (size_t)bytes + 64);
  if (!p) exit(70);
  return p;
}

// In -0.5 ... 0.5, the sum of two uniform numbers.
static void noise(float *x, long count, uint64_t seed, float scale) {
  for (long i = 0; i < count; i++) {
    uint64_t bits = mp_mix(seed, (uint64_t)i);
    x[i] = ((float)(bits >> 44) + (float)(bits & 0xfffff)) * 0x1p-21f * scale - 0.5f * scale;
  }
}

// What sums and roundings are most likely to stumble over.
static const float odd[] = {NAN, INFINITY, -INFINITY, 3.2e38f, -3.2e38f, 1e-38f, -1e-41f, -0.0f, 0.0f, 65520.0f};

static void break_some(float *x, long count) {
  for (long i = 3; i < count; i += 7) x[i] = odd[i / 7 % 10];
}

// Which of the numbers that are none comes out is up to the machine.
static void settle(float *x, long count) {
  for (long i = 0; i < count; i++) if (x[i] != x[i]) memcpy(x + i, &(uint32_t){0x7fc00000}, 4);
}

static uint64_t fold(uint64_t sum, const void *bytes, long count) {
  for (long i = 0; i < count; i++) sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
  return sum;
}

static void report(const char *part, const void *bytes, long count) {
  printf("%s: %016llx\n", part, (unsigned long long)fold(0xcbf29ce484222325u, bytes, count));
}

// Runs a part with every build. `run` fills `bytes` bytes, in floats where they are to be settled.
static void part(const char *name, void (*run)(long of, void *out), long of, long bytes, bool floats) {
  char *first = room(bytes), *other = room(bytes);
  for (int b = 0; b < build_count; b++) {
    char *out = b == 0 ? first : other;
    memset(out, 0xaa, (size_t)bytes);
    mp_limit_instructions(builds[b]);
    run(of, out);
    if (floats) settle((float *)out, bytes / 4);
    if (b > 0) check(memcmp(first, other, (size_t)bytes) == 0, name, "the builds differ");
  }
  report(name, first, bytes);
  free(first), free(other);
}

// Rows of weights: most are noise, some all positive, constant, zero, large, tiny.
static float *weights(long k, long whole) {
  float *w = room(PANELS * 16 * whole * 4);
  for (long n = 0; n < OUTPUTS; n++) {
    float *row = w + n * whole;
    noise(row, k, 100 + (uint64_t)n, n % 16 == 13 ? 1e5f : n % 16 == 14 ? 1e-6f : 0.1f);
    for (long i = 0; i < k; i++) {
      if (n % 16 == 9) row[i] = fabsf(row[i]);
      if (n % 16 == 10) row[i] = 0.25f;
      if (n % 16 == 11) row[i] = i % 2 ? 0.0f : -0.0f;
      if (n % 16 == 12) row[i] = -fabsf(row[i]);
      if (n % 16 == 13 && row[i] > 6e4f) row[i] = 6e4f;
    }
  }
  return w;
}

static int format_now;
static const float *weights_now;

static void pack(long k, void *out) {
  long whole = mp_whole_columns(format_now, k), bytes = mp_panel_bytes(format_now, k);
  float *columns = room(16 * whole * 4);
  for (long p = 0; p < PANELS; p++) {
    mp_interleave(weights_now + p * 16 * whole, whole, whole, columns);
    mp_pack_panel(format_now, columns, NULL, k, (char *)out + p * bytes);
  }
  free(columns);
}

typedef struct {
  int format;
  const void *x;
  long stride, rows, k;
  const void *w;
  const float *bias;
  float *y;
} product;

static void one_tile(void *context, long tile) {
  product *p = context;
  mp_multiply(p->format, p->x, p->stride, p->rows, p->w, p->k, OUTPUTS, tile, p->bias, p->y, OUTPUTS);
}

// Relative to double precision with the weights as they are packed, the rows of large weights left out.
static double miss(const product *p, const float *x, const float *y) {
  double wrong = 0, all = 0;
  float *w = room(p->k * 4);
  for (long n = 0; n < OUTPUTS; n++) {
    if (n % 16 == 13) continue;
    mp_unpack_row(p->format, (const char *)p->w + n / 16 * mp_panel_bytes(p->format, p->k), (int)(n % 16), p->k, w);
    for (long r = 0; r < ROWS; r++) {
      double exact = p->bias[n];
      for (long i = 0; i < p->k; i++) exact += (double)w[i] * (double)x[r * p->k + i];
      wrong += (exact - y[r * OUTPUTS + n]) * (exact - y[r * OUTPUTS + n]);
      all += exact * exact;
    }
  }
  free(w);
  return sqrt(wrong / all);
}

// Rows as products read them, from floats.
static char *inputs(int format, const float *x, long k, long *stride) {
  long own = mp_input_bytes(format, k);
  *stride = own ? own : k * 4;
  char *in = room(ROWS * *stride);
  if (own) for (long r = 0; r < ROWS; r++) mp_quantise_input(format, x + r * k, k, in + r * own);
  else memcpy(in, x, (size_t)(ROWS * k) * 4);
  return in;
}

static void products(int format, long k, bool broken, mp_pool *pool) {
  char name[64];
  snprintf(name, sizeof name, "%s k %ld %s", formats[format], k, broken ? "broken products" : "products");
  long whole = mp_whole_columns(format, k), size = ROWS * OUTPUTS * 4;
  float *x = room(ROWS * k * 4), *bias = room(OUTPUTS * 4), *w = weights(k, whole);
  float *alone = room(size), *y = room(size);
  char *packed = room(PANELS * mp_panel_bytes(format, k)), *first = NULL;
  noise(x, ROWS * k, 1, 4), noise(bias, OUTPUTS, 2, 0.1f);
  // One odd number in every other row.
  for (long r = 0; broken && r < ROWS; r += 2) x[r * k + r * 15 % k] = odd[r / 2 % 10];
  format_now = format, weights_now = w;
  mp_limit_instructions(MP_GENERIC);
  pack(k, packed);
  product p = {format, NULL, 0, 1, k, packed, bias, NULL};
  for (int b = 0; b < build_count; b++) {
    mp_limit_instructions(builds[b]);
    char *in = inputs(format, x, k, &p.stride);
    if (!first) first = in;
    else if (!broken) check(memcmp(first, in, (size_t)(ROWS * p.stride)) == 0, name, "inputs differ between builds");
    for (long r = 0; b == 0 && r < ROWS; r++) {
      p.rows = 1, p.x = in + r * p.stride, p.y = alone + r * OUTPUTS;
      for (long t = 0; t < 2; t++) one_tile(&p, t);
    }
    if (b == 0) settle(alone, ROWS * OUTPUTS);
    for (long rows = 1; rows <= ROWS; rows++) {
      // The last rows of all, so that every row has its turn alone and at every place among others.
      memset(y, 0xaa, (size_t)size);
      p.rows = rows, p.x = in + (ROWS - rows) * p.stride, p.y = y;
      mp_pool_run(pool, one_tile, &p, 2);
      settle(y, rows * OUTPUTS);
      check(memcmp(y, alone + (ROWS - rows) * OUTPUTS, (size_t)(rows * OUTPUTS * 4)) == 0, name,
            "rows among others are not those of the generic build alone");
    }
    if (in != first) free(in);
  }
  if (!broken) check(miss(&p, x, alone) < bounds[format], name, "too far from double precision");
  report(name, alone, size);
  free(x), free(bias), free(w), free(alone), free(y), free(packed), free(first);
}

enum { QUERIES = 19, SLOTS = 608, WIDEST = 128 };

// Queries, alone and by nineteen, over slots of which each sees its own.
static void attend(int format, long dim) {
  char name[64];
  snprintf(name, sizeof name, "%s attention of width %ld", formats[format], dim);
  long wide = (dim + 15) / 16 * 16, element = format == MP_F32 ? 4 : 2, from[QUERIES], to[QUERIES], size = QUERIES * dim * 4;
  float *q = room(size), *row = room(dim * 4), *y = room(size), *alone = room(size);
  float *k = room(SLOTS * dim * 4), *v = room(SLOTS * dim * 4);
  float *scratch = room(mp_attend_scratch(QUERIES, SLOTS, dim) * 4), scale = 4;
  char *keys = room(SLOTS * dim * element), *values = room(SLOTS * wide * element);
  noise(q, QUERIES * dim, 3, 2);
  for (long j = 0; j < SLOTS; j++) {
    noise(row, dim, 1000 + (uint64_t)j, 2);
    mp_store_key(format, row, dim, keys + j / 16 * 16 * dim * element, j % 16);
    if (format == MP_F16) mp_narrow_f16(row, (uint16_t *)values, dim), mp_widen_f16(values, k + j * dim, dim);
    else memcpy(k + j * dim, row, (size_t)dim * 4);
    noise(v + j * dim, dim, 5000 + (uint64_t)j, 2);
  }
  for (long j = 0; j < SLOTS; j++) {
    mp_store_value(format, v + j * dim, dim, values + j * wide * element);
    if (format == MP_F16) mp_widen_f16(values + j * wide * 2, v + j * dim, dim);
  }
  for (long r = 0; r < QUERIES; r++) from[r] = r % 4 == 3 ? r * 9 : r / 5, to[r] = r % 3 ? 20 + r * 30 : SLOTS - 1;
  for (int b = 0; b < build_count; b++) {
    mp_limit_instructions(builds[b]);
    for (long r = 0; b == 0 && r < QUERIES; r++)
      mp_attend(format, q + r * dim, dim, 1, keys, values, wide, from + r, to + r, dim, scale, scratch,
                alone + r * dim, dim);
    for (long rows = 1; rows <= QUERIES; rows++) {
      long at = QUERIES - rows;
      memset(y, 0xaa, (size_t)size);
      mp_attend(format, q + at * dim, dim, rows, keys, values, wide, from + at, to + at, dim, scale, scratch, y, dim);
      check(memcmp(y, alone + at * dim, (size_t)(rows * dim * 4)) == 0, name,
            "queries among others are not those of the generic build alone");
    }
  }
  double wrong = 0, all = 0, weight[SLOTS];
  for (long r = 0; r < QUERIES; r++) {
    double sum = 0;
    for (long j = from[r]; j < to[r]; j++) {
      double score = 0;
      for (long i = 0; i < dim; i++) score += (double)q[r * dim + i] * (double)k[j * dim + i];
      sum += weight[j] = exp(scale * score);
    }
    for (long i = 0; i < dim; i++) {
      double exact = 0;
      for (long j = from[r]; j < to[r]; j++) exact += weight[j] / sum * (double)v[j * dim + i];
      wrong += (exact - alone[r * dim + i]) * (exact - alone[r * dim + i]);
      all += exact * exact;
    }
  }
  check(sqrt(wrong / all) < 5e-6, name, "too far from double precision");
  report(name, alone, size);
  free(q), free(row), free(y), free(alone), free(k), free(v), free(scratch), free(keys), free(values);
}

static bool broken_now;

// Everything that works on a row, for rows of every width up to 40 and two more.
static void rows(long which, void *out) {
  static const long more[] = {300, 1536};
  float x[1536], a[1536], b[1536], *y = out;
  for (long i = 1; i <= 42; i++, y += 1536) {
    long count = i <= 40 ? i : more[i - 41], half = count / 2;
    memset(y, 0, 1536 * 4);
    noise(x, count, 11, 20), noise(a, count, 12, 2), noise(b, count, 13, 2);
    if (broken_now) break_some(x, count);
    switch (which) {
      case 0: mp_rms_norm(x, a, 1e-6f, count, y); continue;
      case 1: mp_layer_norm(x, a, b, 1e-5f, count, y); continue;
      case 2: mp_rotate(x, 1, half * 2, a, b); break;
      case 3: mp_silu_multiply(x, a, count); break;
      case 4: mp_gelu_tanh_multiply(x, a, count); break;
      case 5: mp_gelu_tanh(x, count); break;
      case 6: mp_quick_gelu(x, count); break;
      case 7: mp_add(x, a, count); break;
      case 8: mp_gelu(x, count); break;
      case 9: mp_soft_cap(x, 5, count); break;
      case 10: x[0] = mp_log_sum_exp(x, count); break;
      case 11: x[0] = (float)mp_gumbel_argmax(a, count, 7); break;
      case 12: x[0] = (float)mp_argmax(x, count); break;
    }
    memcpy(y, x, (size_t)count * 4);
  }
}

static void widen(long bfloat, void *out) {
  uint16_t *all = room(65536 * 2);
  for (long i = 0; i < 65536; i++) all[i] = (uint16_t)i;
  if (bfloat) mp_widen_bf16(all, out, 65536);
  else mp_widen_f16(all, out, 65536);
  free(all);
}

// Floats of every size, through halves and back.
static void narrow(long bfloat, void *out) {
  float *x = out;
  uint16_t *half = room(65536 * 2);
  for (uint64_t i = 0; i < 65536; i++) {
    uint32_t bits = (uint32_t)mp_mix(21, i);
    if (i % 2) bits = (bits & 0x8fffffff) | 0x30000000;
    memcpy(x + i, &bits, 4);
  }
  if (bfloat) mp_narrow_bf16(x, half, 65536), mp_widen_bf16(half, x, 65536);
  else mp_narrow_f16(x, half, 65536), mp_widen_f16(half, x, 65536);
  free(half);
}

static void sum_bytes(long unused, void *out) {
  (void)unused;
  uint8_t bytes[1000];
  for (long i = 0; i < 1000; i++) bytes[i] = (uint8_t)mp_mix(31, (uint64_t)i);
  for (long i = 0; i < 10; i++) ((uint64_t *)out)[i] = mp_checksum(bytes + i, 990 - 100 * i);
}

// Blocks of random bits whose halves are finite.
static void fill_blocks(int type, uint8_t *bytes, long count) {
  for (long i = 0; i < 8192; i++) bytes[i] = (uint8_t)mp_mix(41, (uint64_t)i);
  long size = (long[]){[2] = 18, [6] = 22, [8] = 34, [12] = 144, [13] = 176, [14] = 210}[type];
  for (long b = 0; b < count / (type < 9 ? 32 : 256); b++) {
    bytes[b * size + (type == MP_GGML_Q6_K ? 209 : 1)] &= 0xbb;
    if (type == MP_GGML_Q4_K || type == MP_GGML_Q5_K) bytes[b * size + 3] &= 0xbb;
  }
}

static void dequantise(long type, void *out) {
  uint8_t bytes[8192];
  float own[512];
  fill_blocks((int)type, bytes, 512);
  mp_dequantize((int)type, bytes, out, 512);
  int format = mp_block_format((int)type);
  if (format < 0) return;
  char *panel = room(mp_panel_bytes(format, 512));
  mp_pack_blocks((int)type, bytes, 512, 5, panel);
  mp_unpack_row(format, panel, 5, 512, own);
  check(memcmp(own, out, sizeof own) == 0, "blocks", "a packed block is not what the block says");
  free(panel);
}

static void resize(long kind, void *out) {
  uint8_t in[3 * 50 * 40];
  for (long i = 0; i < (long)sizeof in; i++) in[i] = (uint8_t)mp_mix(51, (uint64_t)i);
  mp_resize_rgb(in, 50, 40, out, 33, 61, (int)kind);
}

#include "backward_parts.h"

int main(void) {
  static const int levels[] = {MP_GENERIC, MP_AVX2, MP_AVX512, MP_NEON};
  static const char *const names[] = {"generic", "avx2", "avx512", "neon"};
  static const char *const on_rows[] = {"rms norm", "layer norm", "rotation", "silu", "gelu tanh product", "gelu tanh",
                                        "quick gelu", "sum", "gelu", "libm soft cap", "libm log sum exp",
                                        "libm gumbel", "argmax"};
  static const long widths[] = {1, 33, 100, 300, 1536};
  static const int types[] = {MP_GGML_Q4_0, MP_GGML_Q5_0, MP_GGML_Q8_0, MP_GGML_Q4_K, MP_GGML_Q5_K, MP_GGML_Q6_K};
  char name[64];
  printf("builds:");
  for (int l = 0; l < 4; l++) {
    mp_limit_instructions(levels[l]);
    if (mp_instructions() == levels[l]) builds[build_count++] = levels[l], printf(" %s", names[l]);
  }
  printf("\n");
  mp_limit_instructions(MP_BEST);
  check(mp_instructions() == builds[build_count - 1], "limit", "without one, the best build does not run");
  check(builds[build_count - 1] != MP_NEON || build_count == 2, "limit", "another machine's builds are said to run");
  mp_pool *pool = mp_pool_create(3);
  if (!pool) return 70;
  for (int f = 0; f < 5; f++)
    for (int i = 0; i < 5; i++) {
      long k = widths[i];
      format_now = f;
      float *w = weights(k, mp_whole_columns(f, k));
      weights_now = w;
      snprintf(name, sizeof name, "%s k %ld packed", formats[f], k);
      part(name, pack, k, PANELS * mp_panel_bytes(f, k), false);
      free(w);
      products(f, k, false, pool);
      if (k == 300) products(f, k, true, pool);
    }
  for (int f = 0; f < 2; f++)
    for (int i = 0; i < 4; i++) attend(f, (long[]){8, 20, 72, WIDEST}[i]);
  for (int i = 0; i < 26; i++) {
    broken_now = i % 2;
    snprintf(name, sizeof name, "%s%s", on_rows[i / 2], broken_now ? " of broken rows" : "");
    part(name, rows, i / 2, 42 * 1536 * 4, true);
  }
  backward_parts();
  part("widened halves", widen, 0, 65536 * 4, true), part("widened bfloats", widen, 1, 65536 * 4, true);
  part("narrowed halves", narrow, 0, 65536 * 4, true), part("narrowed bfloats", narrow, 1, 65536 * 4, true);
  part("checksum", sum_bytes, 0, 80, false);
  for (int i = 0; i < 6; i++) {
    snprintf(name, sizeof name, "blocks of type %d", types[i]);
    part(name, dequantise, types[i], 512 * 4, true);
  }
  for (int i = 1; i < 4; i++) {
    snprintf(name, sizeof name, "resized by %d", i);
    part(name, resize, i, 33 * 61 * 3, false);
  }
  mp_pool_destroy(pool);
  fprintf(stderr, "%ld passed, %ld failed\n", passed, failed);
  return failed ? 1 : 0;
}
