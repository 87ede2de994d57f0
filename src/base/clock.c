/* SPDX-License-Identifier: MIT */
/* Time and chance. The random state is one atomic counter shared by all threads. */
#include "base/clock.h"

#include <limits.h>
#include <stdatomic.h>
#include <time.h>

static int64_t (*simulated)(void);
static _Atomic uint64_t chance;

void pgdbm__clock_simulate(int64_t (*clock)(void), uint64_t seed)
{
    simulated = clock;
    atomic_store(&chance, seed);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    if (simulated != NULL)
        return simulated();
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t pgdbm__now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t pgdbm__now_coarse_ns(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    return read_clock(CLOCK_MONOTONIC_COARSE);
#else
    return read_clock(CLOCK_MONOTONIC);
#endif
}

int64_t pgdbm__deadline(int64_t timeout_ms)
{
    return timeout_ms < 0 ? PGDBM__NEVER : pgdbm__now_ns() + timeout_ms * PGDBM__MS;
}

int pgdbm__remaining_ms(int64_t deadline)
{
    if (deadline == PGDBM__NEVER)
        return -1;
    int64_t left = deadline - pgdbm__now_ns();
    if (left <= 0)
        return 0;
    int64_t ms = (left + PGDBM__MS - 1) / PGDBM__MS;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

uint64_t pgdbm__random(uint64_t limit)
{
    /* splitmix64 over a counter mixed with the clock: no two threads and no two processes started together agree. */
    uint64_t x = atomic_fetch_add_explicit(&chance, UINT64_C(0x9E3779B97F4A7C15), memory_order_relaxed);
    x += (uint64_t)pgdbm__now_ns();
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    return limit > 0 ? x % limit : 0;
}

int64_t pgdbm__jitter(int64_t value, int percent)
{
    int64_t span = value / 100 * percent;
    return span > 0 ? value - span + (int64_t)pgdbm__random((uint64_t)span * 2 + 1) : value;
}
