// Compiles KERNEL_BODY once for each instruction set. The body names its functions with ISA(name), asks MP_LEVEL where
// an instruction has no other spelling, and computes on vectors that a compiler for a smaller machine splits without
// changing a bit.
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "ckernels.h"

#ifndef MP_V8
#define MP_V8
typedef float v8 __attribute__((vector_size(32), aligned(4)));
typedef float v16 __attribute__((vector_size(64), aligned(4)));
typedef uint16_t u16x8 __attribute__((vector_size(16), aligned(2)));
typedef _Float16 f16x8 __attribute__((vector_size(16), aligned(2)));
typedef _Float16 f16x16 __attribute__((vector_size(32), aligned(2)));
typedef int32_t i32x8 __attribute__((vector_size(32), aligned(4)));
typedef uint32_t u32x8 __attribute__((vector_size(32), aligned(4)));
typedef int32_t i32x16 __attribute__((vector_size(64), aligned(4)));
typedef uint32_t u32x16 __attribute__((vector_size(64), aligned(4)));
typedef int8_t i8x16 __attribute__((vector_size(16), aligned(1)));
typedef int16_t i16x16 __attribute__((vector_size(32), aligned(2)));
typedef int8_t i8x32 __attribute__((vector_size(32), aligned(1)));
typedef int16_t i16x32 __attribute__((vector_size(64), aligned(2)));
typedef uint8_t u8x8 __attribute__((vector_size(8), aligned(1)));
typedef uint8_t u8x16 __attribute__((vector_size(16), aligned(1)));
typedef uint8_t u8x64 __attribute__((vector_size(64), aligned(1)));
#define MP_INLINE static inline __attribute__((always_inline))
#endif

// Vectors cross no real call: the functions that take them are inlined.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

#define ISA(name) name##_generic
#define MP_LEVEL MP_GENERIC
#include "lanes.h"
#include KERNEL_BODY
#undef MP_LEVEL
#undef ISA

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define ISA(name) name##_avx2
#define MP_LEVEL MP_AVX2
#include "lanes.h"
#include KERNEL_BODY
#undef MP_LEVEL
#undef ISA
#pragma clang attribute pop
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)
#define ISA(name) name##_avx512
#define MP_LEVEL MP_AVX512
#include "lanes.h"
#include KERNEL_BODY
#undef MP_LEVEL
#undef ISA
#pragma clang attribute pop
#define MP_CALL(name, ...)                                  \
  (mp_instructions() == MP_AVX512  ? name##_avx512(__VA_ARGS__) \
   : mp_instructions() == MP_AVX2 ? name##_avx2(__VA_ARGS__)   \
                                   : name##_generic(__VA_ARGS__))
#elif defined(__aarch64__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define ISA(name) name##_neon
#define MP_LEVEL MP_NEON
#include "lanes.h"
#include KERNEL_BODY
#undef MP_LEVEL
#undef ISA
#pragma clang attribute pop
#define MP_CALL(name, ...) (mp_instructions() == MP_NEON ? name##_neon(__VA_ARGS__) : name##_generic(__VA_ARGS__))
#else
#define MP_CALL(name, ...) name##_generic(__VA_ARGS__)
#endif
