// exp of eight floats, within 2 ulp, from additions and multiplications alone so that every build agrees.
// Included by kernel bodies, once for each instruction set. Below -87 (and for NaN) the result is 0,
// above 88 that of 88: softmax never asks for either.
MP_INLINE v8 ISA(exp8)(v8 x) {
  const v8 one = {1, 1, 1, 1, 1, 1, 1, 1};
  v8 bounded = __builtin_elementwise_max(__builtin_elementwise_min(x, 88.0f * one), -87.0f * one);
  v8 shifted = ISA(fma8)(bounded, 1.44269504f * one, 12582912.0f * one);
  v8 whole = shifted - 12582912.0f;
  v8 rest = ISA(fma8)(whole, -0.693145752f * one, bounded);
  rest = ISA(fma8)(whole, -1.42860677e-6f * one, rest);
  v8 sum = ISA(fma8)(rest, 1.98412698e-4f * one, 1.38888889e-3f * one);
  sum = ISA(fma8)(sum, rest, 8.33333333e-3f * one);
  sum = ISA(fma8)(sum, rest, 4.16666667e-2f * one);
  sum = ISA(fma8)(sum, rest, 1.66666667e-1f * one);
  sum = ISA(fma8)(sum, rest, 0.5f * one);
  sum = ISA(fma8)(sum, rest, one);
  sum = ISA(fma8)(sum, rest, one);
  i32x8 power = (__builtin_convertvector(whole, i32x8) + 127) << 23;
  v8 scale;
  memcpy(&scale, &power, sizeof scale);
  v8 result = sum * scale;
  i32x8 bits, keep = x >= -87.0f * one;
  memcpy(&bits, &result, sizeof bits);
  bits &= keep;
  memcpy(&result, &bits, sizeof result);
  return result;
}
