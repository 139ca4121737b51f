// A fork and join that costs well under a microsecond while the workers still spin.
//
// A run publishes one word, the ticket: which run it is, how many tasks it has, and the next task. Workers claim tasks
// by counting the ticket on, so one that wakes late finds nothing to claim and holds nobody up; the caller waits for
// tasks, not for workers. A worker that saw nothing for a while sleeps on the generation's futex, so an idle tool uses
// no processor.
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ckernels.h"

// A worker stays awake while a drafter proposes alone: waking it takes longer than many a pass.
enum { NANOSECONDS_BEFORE_SLEEP = 500 * 1000, SPINS_BEFORE_YIELD = 500 };

// A ticket: 24 bits of the run's number, 20 bits of its count of tasks, 20 bits of the next task.
enum { COUNT_BITS = 20, MAX_COUNT = (1 << COUNT_BITS) - 1 };

struct mp_pool {
  _Atomic uint32_t generation;
  _Atomic uint64_t ticket;
  atomic_long done;
  atomic_int sleepers;
  atomic_bool ending;
  atomic_flag busy;
  // Of the run that the ticket stands for: they stay as they are until all its tasks are done.
  void (*task)(void *, long);
  void *context;
  long first;
  int workers;
  pthread_t threads[];
};

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __builtin_arm_yield();
#endif
}

static void claim_all(mp_pool *pool) {
  uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  for (;;) {
    long next = (long)(ticket & MAX_COUNT), count = (long)(ticket >> COUNT_BITS & MAX_COUNT);
    if (next >= count) return;
    if (!atomic_compare_exchange_weak_explicit(
            &pool->ticket, &ticket, ticket + 1, memory_order_acq_rel, memory_order_acquire))
      continue;
    pool->task(pool->context, pool->first + next);
    atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
    ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
  }
}

// How long a pause takes is up to the processor, so a clock says when it has been enough.
static bool is_over(const struct timespec *start) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - start->tv_sec) * 1000000000L + now.tv_nsec - start->tv_nsec > NANOSECONDS_BEFORE_SLEEP;
}

static void await_generation(mp_pool *pool, uint32_t seen) {
  struct timespec start;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int spin = 1; spin % 64 != 0 || !is_over(&start); spin++) {
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
    seen = atomic_load(&pool->generation);
    if (atomic_load(&pool->ending)) return NULL;
    claim_all(pool);
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

static void run_some(mp_pool *pool, long first, long count) {
  pool->first = first;
  atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
  uint64_t run = (atomic_load(&pool->generation) + 1) & 0xFFFFFF;
  atomic_store_explicit(&pool->ticket, run << 2 * COUNT_BITS | (uint64_t)count << COUNT_BITS, memory_order_release);
  raise_generation(pool);
  claim_all(pool);
  for (int spin = 0; atomic_load_explicit(&pool->done, memory_order_acquire) < count; spin++) {
    if (spin < SPINS_BEFORE_YIELD) pause_briefly(); else sched_yield();
  }
}

void mp_pool_run(mp_pool *pool, void (*task)(void *context, long index), void *context, long count) {
  if (count <= 0) return;
  if (count == 1 || pool->workers == 0 || atomic_flag_test_and_set(&pool->busy)) {
    for (long i = 0; i < count; i++) task(context, i);
    return;
  }
  pool->task = task;
  pool->context = context;
  for (long first = 0; first < count; first += MAX_COUNT)
    run_some(pool, first, count - first < MAX_COUNT ? count - first : MAX_COUNT);
  atomic_flag_clear(&pool->busy);
}
