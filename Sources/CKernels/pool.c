// A fork and join that costs well under a microsecond while the workers still spin.
//
// A run publishes its task and raises `generation`; workers that see it claim indices from `next` until none is left.
// A worker that saw nothing for a while sleeps on the generation's futex, so an idle tool uses no processor.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ckernels.h"

enum { SPINS_BEFORE_SLEEP = 4000, SPINS_BEFORE_YIELD = 500 };

struct mp_pool {
  _Atomic uint32_t generation;
  atomic_int sleepers;
  atomic_int working;
  atomic_bool ending;
  atomic_flag busy;
  atomic_long next;
  long count;
  void (*task)(void *, long);
  void *context;
  int workers;
  pthread_t threads[];
};

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void claim_all(mp_pool *pool) {
  for (;;) {
    long i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (i >= pool->count) return;
    pool->task(pool->context, i);
  }
}

static void await_generation(mp_pool *pool, uint32_t seen) {
  for (int spin = 0; spin < SPINS_BEFORE_SLEEP; spin++) {
    if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) return;
    pause_briefly();
  }
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->generation) == seen)
    syscall(SYS_futex, &pool->generation, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
  atomic_fetch_sub(&pool->sleepers, 1);
}

static void *work(void *argument) {
  mp_pool *pool = argument;
  uint32_t seen = 0;
  for (;;) {
    await_generation(pool, seen);
    seen++;
    if (atomic_load(&pool->ending)) return NULL;
    claim_all(pool);
    atomic_fetch_sub_explicit(&pool->working, 1, memory_order_release);
  }
}

static void raise_generation(mp_pool *pool) {
  atomic_fetch_add(&pool->generation, 1);
  if (atomic_load(&pool->sleepers) > 0)
    syscall(SYS_futex, &pool->generation, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}

mp_pool *mp_pool_create(int threads) {
  int workers = threads > 1 ? threads - 1 : 0;
  mp_pool *pool = calloc(1, sizeof *pool + (size_t)workers * sizeof(pthread_t));
  if (!pool) return NULL;
  atomic_flag_clear(&pool->busy);
  for (int i = 0; i < workers; i++) {
    if (pthread_create(&pool->threads[i], NULL, work, pool) != 0) break;
    pool->workers++;
  }
  return pool;
}

void mp_pool_destroy(mp_pool *pool) {
  atomic_store(&pool->ending, true);
  raise_generation(pool);
  for (int i = 0; i < pool->workers; i++) pthread_join(pool->threads[i], NULL);
  free(pool);
}

void mp_pool_run(mp_pool *pool, void (*task)(void *context, long index), void *context, long count) {
  if (count <= 0) return;
  if (count == 1 || pool->workers == 0 || atomic_flag_test_and_set(&pool->busy)) {
    for (long i = 0; i < count; i++) task(context, i);
    return;
  }
  pool->task = task;
  pool->context = context;
  pool->count = count;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool->working, pool->workers, memory_order_relaxed);
  raise_generation(pool);
  claim_all(pool);
  for (int spin = 0; atomic_load_explicit(&pool->working, memory_order_acquire) > 0; spin++) {
    if (spin < SPINS_BEFORE_YIELD) pause_briefly(); else sched_yield();
  }
  atomic_flag_clear(&pool->busy);
}
