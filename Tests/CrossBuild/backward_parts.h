// The parts of kernels_test.c that check what training adds: gradients, softmax, AdamW, the layouts of their products.

enum { WIDE = 1536, RESULTS = 3 };

// Results of one row lie side by side, each in WIDE floats.
static void backward_row(long which, long count, float *y) {
  float x[WIDE], a[WIDE], dy[WIDE], *first = y, *second = y + WIDE, *third = y + 2 * WIDE;
  mp_adamw_step step = {0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 1.3f, 1.7f, 0.7f};
  noise(x, count, 14, 20), noise(a, count, 15, 2), noise(dy, count, 16, 2);
  if (broken_now) break_some(x, count);
  switch (which) {
    case 0:
      noise(second, count, 17, 2);
      mp_rms_norm_backward(x, a, 1e-6f, count, dy, third, NULL);
      mp_rms_norm_backward(x, a, 1e-6f, count, dy, first, second);
      settle(first, count), settle(third, count);
      check(memcmp(first, third, (size_t)count * 4) == 0, "rms norm back", "the weight's gradient changes the row's");
      break;
    case 1: mp_silu_multiply_backward(x, a, dy, first, second, count); break;
    case 2: mp_gelu_tanh_multiply_backward(x, a, dy, first, second, count); break;
    case 3: mp_gelu_backward(x, dy, first, count); break;
    case 4: mp_soft_cap_backward(x, 5, dy, first, count); break;
    case 5:
      memcpy(first, x, (size_t)count * 4);
      *second = mp_softmax(first, count);
      break;
    case 6: {
      double sum = mp_sum_squares(x, count);
      if (sum != sum) sum = -1;
      memcpy(first, &sum, sizeof sum);
      break;
    }
    case 7:
      memcpy(first, a, (size_t)count * 4), noise(second, count, 18, 2), noise(third, count, 19, 2);
      for (long i = 0; i < count; i++) third[i] = fabsf(third[i]);
      mp_adamw(first, second, third, x, count, &step);
      break;
    case 8:
      memcpy(first, x, (size_t)count * 4);
      mp_scale(first, 0.3f, count);
      break;
  }
}

static void backward_rows(long which, void *out) {
  float *y = out;
  memset(y, 0, 42 * RESULTS * WIDE * 4);
  for (long i = 1; i <= 42; i++, y += RESULTS * WIDE) backward_row(which, i <= 40 ? i : i == 41 ? 300 : WIDE, y);
}

enum { COLUMNS = 40 };

// Weights and gradients of queries that see all slots, some or none.
static void softmax_columns(long slots, void *out) {
  float *weights = out, *gradient = weights + slots * COLUMNS;
  int32_t from[COLUMNS], to[COLUMNS];
  for (long r = 0; r < COLUMNS; r++) {
    from[r] = (int32_t)(r % 3 * slots / 4);
    to[r] = (int32_t)(r % 4 == 3 ? 0 : slots - r % 2 * slots / 4);
  }
  noise(weights, slots * COLUMNS, 61, 100), noise(gradient, slots * COLUMNS, 62, 2);
  if (broken_now) break_some(weights, slots * COLUMNS);
  mp_softmax_columns(weights, slots, COLUMNS, from, to, 0.3f);
  mp_softmax_columns_backward(weights, gradient, slots, COLUMNS, 0.3f);
}

enum { TALL = 37, BROAD = 45 };

// A matrix turned, and as panels of its rows and of its columns.
static void layouts(long unused, void *out) {
  (void)unused;
  float x[TALL * BROAD], *turned = out, *of_rows = turned + TALL * BROAD, *of_columns = of_rows + 48 * BROAD;
  noise(x, TALL * BROAD, 71, 2);
  mp_transpose(x, BROAD, TALL, BROAD, turned, TALL);
  mp_panels_of_rows(x, BROAD, TALL, BROAD, of_rows);
  mp_panels_of_columns(x, BROAD, TALL, BROAD, of_columns);
  for (long r = 0; r < TALL; r++)
    for (long c = 0; c < BROAD; c++) {
      float value = x[r * BROAD + c];
      bool same = turned[c * TALL + r] == value && of_rows[(r / 16 * BROAD + c) * 16 + r % 16] == value &&
                  of_columns[(c / 16 * TALL + r) * 16 + c % 16] == value;
      check(same, "layouts", "a value is not where it belongs");
    }
}

static void backward_parts(void) {
  static const char *const on_rows[] = {"rms norm back", "silu product back", "gelu tanh product back",
                                        "libm gelu back", "soft cap back", "libm softmax", "sum of squares",
                                        "adamw", "scale"};
  char name[64];
  for (int i = 0; i < 18; i++) {
    broken_now = i % 2;
    snprintf(name, sizeof name, "%s%s", on_rows[i / 2], broken_now ? " of broken rows" : "");
    part(name, backward_rows, i / 2, 42 * RESULTS * WIDE * 4, true);
  }
  for (int i = 0; i < 6; i++) {
    long slots = (long[]){1, 7, 130}[i / 2];
    broken_now = i % 2;
    snprintf(name, sizeof name, "softmax of %ld slots%s", slots, broken_now ? ", broken" : "");
    part(name, softmax_columns, slots, 2 * slots * COLUMNS * 4, true);
  }
  broken_now = false;
  part("layouts", layouts, 0, (TALL * BROAD + 48 * BROAD + 48 * TALL) * 4, false);
}
