// Lanes and how they fold. Included before every kernel body, once for each instruction set.

MP_INLINE v8 ISA(load8)(const float *p) {
  v8 v;
  memcpy(&v, p, sizeof v);
  return v;
}

MP_INLINE void ISA(store8)(float *p, v8 v) { memcpy(p, &v, sizeof v); }

MP_INLINE v8 ISA(fma8)(v8 a, v8 b, v8 c) { return __builtin_elementwise_fma(a, b, c); }

// The one order in which eight lanes become one number.
MP_INLINE float ISA(fold8)(v8 v) {
  float a = v[0] + v[4], b = v[1] + v[5], c = v[2] + v[6], d = v[3] + v[7];
  return (a + c) + (b + d);
}

MP_INLINE v16 ISA(load16)(const float *p) {
  v16 v;
  memcpy(&v, p, sizeof v);
  return v;
}

MP_INLINE void ISA(store16)(float *p, v16 v) { memcpy(p, &v, sizeof v); }

MP_INLINE v16 ISA(fma16)(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }

MP_INLINE v16 ISA(halves16)(const void *p) {
  f16x16 half;
  memcpy(&half, p, sizeof half);
  return __builtin_convertvector(half, v16);
}

MP_INLINE v8 ISA(low8)(v16 v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }

MP_INLINE v8 ISA(high8)(v16 v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
