// Weights into panels, from rows of floats or from llama.cpp's blocks, and back into rows of floats.
#include "blocks.h"
#include "panels.h"

#define KERNEL_BODY "pack_body.h"
#include "each_isa.h"

void mp_interleave(const float *rows, long stride, long k, float *columns) {
  mp_transpose(rows, stride, 16, k, columns, 16);
}

long mp_whole_columns(int format, long k) { return format == MP_Q8 || format == MP_Q4 ? mp_groups(k) * MP_GROUP : k; }

void mp_pack_panel(int format, const float *columns, const float *importance, long k, void *panel) {
  char *out = panel;
  switch (format) {
    case MP_F32: memcpy(out, columns, (size_t)k * 64); break;
    case MP_F16: MP_CALL(pack_f16, columns, k, out); break;
    case MP_BF16:
      for (long i = 0; i < k; i++) {
        uint16_t half[16];
        mp_narrow_bf16(columns + i * 16, half, 16);
        for (int l = 0; l < 16; l++) memcpy(out + i / 2 * 64 + l * 4 + i % 2 * 2, half + l, 2);
      }
      if (k % 2)
        for (int l = 0; l < 16; l++) memset(out + k / 2 * 64 + l * 4 + 2, 0, 2);
      break;
    case MP_Q8: MP_CALL(pack_q8, columns, k, out); break;
    case MP_Q4: MP_CALL(pack_q4, columns, importance, k, out); break;
  }
}

void mp_unpack_row(int format, const void *panel, int lane, long k, float *out) {
  const char *in = panel;
  for (long i = 0; i < k; i++) {
    long g = i / MP_GROUP, j = i % MP_GROUP;
    switch (format) {
      case MP_F32: memcpy(out + i, in + (i * 16 + lane) * 4, 4); break;
      case MP_F16: mp_widen_f16(in + (i * 16 + lane) * 2, out + i, 1); break;
      case MP_BF16: mp_widen_bf16(in + i / 2 * 64 + lane * 4 + i % 2 * 2, out + i, 1); break;
      case MP_Q8: {
        const char *group = in + g * MP_Q8_GROUP;
        out[i] = mp_half_at(group + 16 * MP_GROUP + lane * 2) * (float)(int8_t)group[j / 2 * 32 + lane * 2 + j % 2];
        break;
      }
      case MP_Q4: {
        const char *block = in + g / MP_GROUPS_A_BLOCK * MP_Q4_BLOCK;
        const uint8_t *group = (const uint8_t *)block + MP_Q4_HEAD + g % MP_GROUPS_A_BLOCK * MP_Q4_GROUP;
        float q = (float)(group[32 + j / 8 * 64 + lane * 4 + j % 4] >> (j / 4 % 2 * 4) & 15);
        out[i] = mp_half_at(block + lane * 2) * (float)group[lane] * q -
                 mp_half_at(block + 32 + lane * 2) * (float)group[16 + lane];
        break;
      }
    }
  }
}

// One lane's group of whole numbers with their scale.
static void put_q8(char *group, int lane, const uint8_t *half, const int8_t *q) {
  for (int i = 0; i < MP_GROUP; i++) group[i / 2 * 32 + lane * 2 + i % 2] = (char)q[i];
  memcpy(group + 16 * MP_GROUP + lane * 2, half, 2);
}

static void q4_k_block(const uint8_t *b, char *block, int lane) {
  memcpy(block + lane * 2, b, 2);
  memcpy(block + 32 + lane * 2, b + 2, 2);
  for (int g = 0; g < MP_GROUPS_A_BLOCK; g++) {
    uint8_t *group = (uint8_t *)block + MP_Q4_HEAD + g * MP_Q4_GROUP;
    int scale, minimum;
    mp_k_scale(b + 4, g, &scale, &minimum);
    group[lane] = (uint8_t)scale;
    group[16 + lane] = (uint8_t)minimum;
    for (int i = 0; i < MP_GROUP; i++) {
      int q = mp_k_low(b + 16, g, i);
      uint8_t *place = &group[32 + i / 8 * 64 + lane * 4 + i % 4];
      int shift = i / 4 % 2 * 4;
      *place = (uint8_t)((*place & ~(15 << shift)) | q << shift);
    }
  }
}

int mp_block_format(int type) {
  switch (type) {
    case MP_GGML_Q8_0:
    case MP_GGML_Q4_0:
    case MP_GGML_Q5_0: return MP_Q8;
    case MP_GGML_Q4_K: return MP_Q4;
    default: return -1;
  }
}

void mp_pack_blocks(int type, const void *row, long k, int lane, void *panel) {
  const uint8_t *block = row;
  char *out = panel;
  if (type == MP_GGML_Q4_K)
    for (long i = 0; i < k; i += 256, block += MP_Q4_K_BYTES, out += MP_Q4_BLOCK) q4_k_block(block, out, lane);
  else
    for (long i = 0; i < k; i += 32, out += MP_Q8_GROUP) {
      int8_t q[MP_GROUP];
      const uint8_t *scale = block;
      block += mp_whole_block(type, block, q);
      put_q8(out, lane, scale, q);
    }
}
