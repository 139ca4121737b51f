// Eight lanes and how they fold. Included by kernel bodies, once for each instruction set.

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
