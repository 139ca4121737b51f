// Which build of the kernels runs: asked once, at the first call.
#include <stdatomic.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "ckernels.h"

static atomic_int best = -1;
static atomic_int limit = MP_BEST;

static int ask(void) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c"))
    return MP_GENERIC;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
    return MP_AVX512;
  return MP_AVX2;
#elif defined(__aarch64__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? MP_NEON : MP_GENERIC;
#else
  return MP_GENERIC;
#endif
}

int mp_instructions(void) {
  int known = atomic_load_explicit(&best, memory_order_relaxed);
  if (known < 0) {
    known = ask();
    atomic_store_explicit(&best, known, memory_order_relaxed);
  }
  int most = atomic_load_explicit(&limit, memory_order_relaxed);
  // Below NEON, the builds are another machine's.
  return known <= most ? known : known == MP_NEON ? MP_GENERIC : most;
}

void mp_limit_instructions(int most) { atomic_store(&limit, most); }
