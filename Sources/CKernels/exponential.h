// exp of eight or sixteen floats, within 2 ulp, from additions and multiplications alone so that every build agrees.
// Included by kernel bodies, once for each instruction set. Below -87 (and for NaN) the result is 0,
// above 88 that of 88: softmax never asks for either.
#define EXPONENTIAL(W)                                                                                                 \
  MP_INLINE v##W ISA(exp##W)(v##W x) {                                                                                 \
    const v##W one = (v##W){0} + 1.0f;                                                                                 \
    v##W bounded = __builtin_elementwise_max(__builtin_elementwise_min(x, 88.0f * one), -87.0f * one);                 \
    v##W shifted = ISA(fma##W)(bounded, 1.44269504f * one, 12582912.0f * one);                                         \
    v##W whole = shifted - 12582912.0f;                                                                                \
    v##W rest = ISA(fma##W)(whole, -0.693145752f * one, bounded);                                                      \
    rest = ISA(fma##W)(whole, -1.42860677e-6f * one, rest);                                                            \
    v##W sum = ISA(fma##W)(rest, 1.98412698e-4f * one, 1.38888889e-3f * one);                                          \
    sum = ISA(fma##W)(sum, rest, 8.33333333e-3f * one);                                                                \
    sum = ISA(fma##W)(sum, rest, 4.16666667e-2f * one);                                                                \
    sum = ISA(fma##W)(sum, rest, 1.66666667e-1f * one);                                                                \
    sum = ISA(fma##W)(sum, rest, 0.5f * one);                                                                          \
    sum = ISA(fma##W)(sum, rest, one);                                                                                 \
    sum = ISA(fma##W)(sum, rest, one);                                                                                 \
    i32x##W power = (__builtin_convertvector(whole, i32x##W) + 127) << 23;                                             \
    v##W scale;                                                                                                        \
    memcpy(&scale, &power, sizeof scale);                                                                              \
    v##W result = sum * scale;                                                                                         \
    i32x##W bits, keep = x >= -87.0f * one;                                                                            \
    memcpy(&bits, &result, sizeof bits);                                                                               \
    bits &= keep;                                                                                                      \
    memcpy(&result, &bits, sizeof result);                                                                             \
    return result;                                                                                                     \
  }
EXPONENTIAL(8)
EXPONENTIAL(16)
#undef EXPONENTIAL
