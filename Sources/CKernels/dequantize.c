// Blocks of llama.cpp's formats to floats.
//
// Source: the layouts of ggml's block structures. Products d * scale * q are exact in f32, so a value depends on nothing
// but its block.
#include <string.h>

#include "blocks.h"

#pragma STDC FP_CONTRACT OFF

int mp_whole_block(int type, const uint8_t *b, int8_t *q) {
  uint32_t high;
  switch (type) {
    case MP_GGML_Q8_0:
      memcpy(q, b + 2, 32);
      return 34;
    case MP_GGML_Q4_0:
      for (int i = 0; i < 32; i++) q[i] = (int8_t)((b[2 + i % 16] >> 4 * (i / 16) & 15) - 8);
      return 18;
    case MP_GGML_Q5_0:
      memcpy(&high, b + 2, 4);
      for (int i = 0; i < 32; i++)
        q[i] = (int8_t)(((b[6 + i % 16] >> 4 * (i / 16) & 15) | (int)(high >> i & 1) << 4) - 16);
      return 22;
    default: return 0;
  }
}

void mp_k_scale(const uint8_t *s, int j, int *scale, int *minimum) {
  int sc = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4;
  int mn = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4;
  *scale = sc;
  *minimum = mn;
}

// Q4_K, and Q5_K where `high` holds the fifth bits.
static void k_block(const uint8_t *b, const uint8_t *high, const uint8_t *low, float *x) {
  float d = mp_half_at(b), m = mp_half_at(b + 2);
  int scale, minimum;
  for (int j = 0; j < 8; j++) {
    mp_k_scale(b + 4, j, &scale, &minimum);
    for (int i = 0; i < 32; i++) {
      int q = mp_k_low(low, j, i);
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
  float d = mp_half_at(b + 208);
  for (int i = 0; i < 256; i++) {
    int h = i / 128, g = i % 128 / 32, l = i % 32;
    int q = (low[64 * h + 32 * (g % 2) + l] >> 4 * (g / 2) & 15) | (high[32 * h + l] >> 2 * g & 3) << 4;
    x[i] = d * (float)scales[i / 16] * (float)(q - 32);
  }
}

int mp_dequantize(int type, const void *in, float *out, long weights) {
  int8_t q[32];
  const uint8_t *block = in;
  if (type == MP_GGML_Q8_0 || type == MP_GGML_Q4_0 || type == MP_GGML_Q5_0) {
    for (long i = 0; i + 32 <= weights; i += 32) {
      float d = mp_half_at(block);
      block += mp_whole_block(type, block, q);
      for (int j = 0; j < 32; j++) out[i + j] = d * (float)q[j];
    }
    return 0;
  }
  static const struct {
    int type, bytes;
    void (*block)(const uint8_t *, float *);
  } formats[] = {{MP_GGML_Q4_K, MP_Q4_K_BYTES, q4_k}, {MP_GGML_Q5_K, 176, q5_k}, {MP_GGML_Q6_K, 210, q6_k}};
  for (unsigned f = 0; f < sizeof formats / sizeof *formats; f++) {
    if (formats[f].type != type) continue;
    for (long i = 0; i + 256 <= weights; i += 256, block += formats[f].bytes) formats[f].block(block, out + i);
    return 0;
  }
  return -1;
}
