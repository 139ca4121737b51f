// Between IEEE half and float: exact one way, rounded to nearest even the other, so every build agrees.
static void ISA(widen_f16)(const void *in, float *out, long count) {
  const char *bytes = in;
  long i = 0;
  for (; i + 8 <= count; i += 8) {
    f16x8 half;
    memcpy(&half, bytes + i * 2, sizeof half);
    v8 wide = __builtin_convertvector(half, v8);
    memcpy(out + i, &wide, sizeof wide);
  }
  for (; i < count; i++) {
    _Float16 half;
    memcpy(&half, bytes + i * 2, 2);
    out[i] = (float)half;
  }
}

static void ISA(narrow_f16)(const float *in, uint16_t *out, long count) {
  for (long i = 0; i < count; i++) {
    _Float16 half = (_Float16)in[i];
    memcpy(out + i, &half, 2);
  }
}

// Every word of 64 lanes is mixed into its own lane, which multiplies by an odd number: no change of one word is lost.
static uint64_t ISA(checksum)(const char *bytes, long count) {
  u32x16 sum[4];
  for (int i = 0; i < 4; i++) sum[i] = (u32x16){0} + (uint32_t)(i + 1);
  long at = 0;
  for (; at + 256 <= count; at += 256)
    for (int i = 0; i < 4; i++) {
      u32x16 word;
      memcpy(&word, bytes + at + i * 64, sizeof word);
      sum[i] = (sum[i] ^ word) * 0x9e3779b1u;
    }
  uint64_t total = (uint64_t)count;
  for (int i = 0; i < 4; i++)
    for (int l = 0; l < 16; l++) total = mp_mix(total, sum[i][l]);
  for (; at < count; at++) total = mp_mix(total, (uint8_t)bytes[at]);
  return total;
}
