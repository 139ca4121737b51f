// Which build of the kernels runs: asked once, at the first call.
#include <stdatomic.h>

#include "ckernels.h"

static atomic_int state = -1;
static atomic_bool permitted = true;

bool mp_has_avx2(void) {
  int known = atomic_load_explicit(&state, memory_order_relaxed);
  if (known < 0) {
#if defined(__x86_64__)
    known = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#else
    known = 0;
#endif
    atomic_store_explicit(&state, known, memory_order_relaxed);
  }
  return known && atomic_load_explicit(&permitted, memory_order_relaxed);
}

void mp_allow_simd(bool allowed) { atomic_store(&permitted, allowed); }
