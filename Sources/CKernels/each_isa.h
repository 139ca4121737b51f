// Compiles KERNEL_BODY once for each instruction set. The body names its functions with ISA(name) and computes on
// `v8`, eight floats, which a compiler for a smaller machine splits without changing a bit.
#include <stdint.h>
#include <string.h>

#include "ckernels.h"

#ifndef MP_V8
#define MP_V8
typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef uint16_t u16x8 __attribute__((vector_size(16), aligned(2)));
typedef _Float16 f16x8 __attribute__((vector_size(16), aligned(2)));
typedef int32_t i32x8 __attribute__((vector_size(32), aligned(4)));
typedef uint32_t u32x8 __attribute__((vector_size(32), aligned(4)));
#define MP_INLINE static inline __attribute__((always_inline))
#endif

// Vectors cross no real call: the functions that take them are inlined.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

#define ISA(name) name##_generic
#include KERNEL_BODY
#undef ISA

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define ISA(name) name##_avx2
#include KERNEL_BODY
#undef ISA
#pragma clang attribute pop
#define MP_CALL(name, ...) (mp_has_avx2() ? name##_avx2(__VA_ARGS__) : name##_generic(__VA_ARGS__))
#else
#define MP_CALL(name, ...) name##_generic(__VA_ARGS__)
#endif
