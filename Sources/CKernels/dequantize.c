// Blocks of llama.cpp's formats to floats.
//
// Source: the layouts of ggml's block structures. Products d * scale * q are exact in f32, so a value depends on nothing
// but its block.
#include <string.h>

#include "panels.h"

#pragma STDC FP_CONTRACT OFF

static float half_at(const uint8_t *p) {
  float value;
  mp_widen_f16(p, &value, 1);
  return value;
}

static void q8_0(const uint8_t *b, float *x) {
  float d = half_at(b);
  for (int i = 0; i < 32; i++) x[i] = d * (float)(int8_t)b[2 + i];
}

static void q4_0(const uint8_t *b, float *x) {
  float d = half_at(b);
  for (int i = 0; i < 32; i++) x[i] = d * (float)((b[2 + i % 16] >> 4 * (i / 16) & 15) - 8);
}

static void q5_0(const uint8_t *b, float *x) {
  float d = half_at(b);
  uint32_t high;
  memcpy(&high, b + 2, 4);
  for (int i = 0; i < 32; i++)
    x[i] = d * (float)(((b[6 + i % 16] >> 4 * (i / 16) & 15) | (int)(high >> i & 1) << 4) - 16);
}

// The 6-bit scale and minimum of the group of 32 weights numbered j, from the twelve bytes that hold eight of each.
void mp_k_scale(const uint8_t *s, int j, int *scale, int *minimum) {
  int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
  int mn = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
  *scale = sc;
  *minimum = mn;
}

// Q4_K, and Q5_K where `high` holds the fifth bits.
static void k_block(const uint8_t *b, const uint8_t *high, const uint8_t *low, float *x) {
  float d = half_at(b), m = half_at(b + 2);
  int scale, minimum;
  for (int j = 0; j < 8; j++) {
    mp_k_scale(b + 4, j, &scale, &minimum);
    for (int i = 0; i < 32; i++) {
      int q = low[32 * (j / 2) + i] >> 4 * (j % 2) & 15;
      if (high) q |= (high[i] >> j & 1) << 4;
      x[32 * j + i] = d * (float)scale * (float)q - m * (float)minimum;
    }
  }
}

static void q4_k(const uint8_t *b, float *x) { k_block(b, NULL, b + 16, x); }

static void q5_k(const uint8_t *b, float *x) { k_block(b, b + 16, b + 48, x); }

static void q6_k(const uint8_t *b, float *x) {
  const uint8_t *low = b, *high = b + 128;
  const int8_t *scales = (const int8_t *)(b + 192);
  float d = half_at(b + 208);
  for (int i = 0; i < 256; i++) {
    int h = i / 128, g = i % 128 / 32, l = i % 32;
    int q = (low[64 * h + 32 * (g % 2) + l] >> 4 * (g / 2) & 15) | (high[32 * h + l] >> 2 * g & 3) << 4;
    x[i] = d * (float)scales[i / 16] * (float)(q - 32);
  }
}

int mp_dequantize(int type, const void *in, float *out, long weights) {
  static const struct {
    int type, weights, bytes;
    void (*block)(const uint8_t *, float *);
  } formats[] = {{MP_GGML_Q4_0, 32, 18, q4_0},   {MP_GGML_Q5_0, 32, 22, q5_0},   {MP_GGML_Q8_0, 32, 34, q8_0},
                 {MP_GGML_Q4_K, 256, 144, q4_k}, {MP_GGML_Q5_K, 256, 176, q5_k}, {MP_GGML_Q6_K, 256, 210, q6_k}};
  for (unsigned f = 0; f < sizeof formats / sizeof *formats; f++) {
    if (formats[f].type != type) continue;
    const uint8_t *block = in;
    for (long i = 0; i + formats[f].weights <= weights; i += formats[f].weights, block += formats[f].bytes)
      formats[f].block(block, out + i);
    return 0;
  }
  return -1;
}
