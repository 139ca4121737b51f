// What the machine can do at most: reading memory, and multiplying and adding.

// Four streams at once, as the products read their weights. The sum keeps the reads from being left out.
static uint64_t ISA(read_streams)(const char *bytes, long count) {
  u32x16 sum[4] = {{0}, {0}, {0}, {0}};
  long part = count / 4 / 64 * 64;
  for (long at = 0; at < part; at += 64)
    for (int i = 0; i < 4; i++) {
      u32x16 word;
      memcpy(&word, bytes + i * part + at, sizeof word);
      sum[i] ^= word;
    }
  u32x16 all = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
  return all[0] ^ all[7];
}

// Enough independent sums to fill every multiplier, in registers.
static float ISA(multiply_add)(long rounds) {
#if MP_LEVEL == MP_AVX512
#define PEAK_TYPE v16
#define PEAK_FMA ISA(fma16)
#else
#define PEAK_TYPE v8
#define PEAK_FMA ISA(fma8)
#endif
  PEAK_TYPE sum[12], one = (PEAK_TYPE){0} + 0.999f, two = (PEAK_TYPE){0} + 1e-3f;
  for (int i = 0; i < 12; i++) sum[i] = (PEAK_TYPE){0} + (float)i;
  for (long r = 0; r < rounds; r++)
    _Pragma("clang loop unroll(full)") for (int i = 0; i < 12; i++) sum[i] = PEAK_FMA(sum[i], one, two);
  PEAK_TYPE all = sum[0];
  for (int i = 1; i < 12; i++) all += sum[i];
#undef PEAK_TYPE
#undef PEAK_FMA
  return all[0];
}
