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
