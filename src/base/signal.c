/* SPDX-License-Identifier: MIT */
/* Signals between two threads, on Linux by futex(2). The state is 0 (nobody sleeps), 1 (the owner sleeps) or a reason.
 */
#include "base/signal.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLEEPING 1U

void pgdbm__signal_raise(struct pgdbm__signal *signal, uint32_t reason)
{
    /* After the exchange the waiter may be gone: only the address is used. A wake-up that reaches somebody else's futex
     * at the same address is a spurious one, which every futex user must bear. */
    if (atomic_exchange_explicit(&signal->state, reason, memory_order_acq_rel) == SLEEPING)
        syscall(SYS_futex, &signal->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

uint32_t pgdbm__signal_wait(struct pgdbm__signal *signal, int64_t deadline)
{
    for (;;) {
        uint32_t state = atomic_load_explicit(&signal->state, memory_order_acquire);
        if (state >= PGDBM__SIGNAL_FIRST) {
            if (atomic_compare_exchange_strong_explicit(&signal->state, &state, PGDBM__SIGNAL_NONE,
                                                        memory_order_acq_rel, memory_order_acquire))
                return state;
            continue;
        }
        if (state == PGDBM__SIGNAL_NONE &&
            !atomic_compare_exchange_strong_explicit(&signal->state, &state, SLEEPING, memory_order_acq_rel,
                                                     memory_order_acquire))
            continue;
        struct timespec until;
        if (deadline != PGDBM__NEVER) {
            if (pgdbm__now_ns() >= deadline) {
                state = SLEEPING;
                if (atomic_compare_exchange_strong_explicit(&signal->state, &state, PGDBM__SIGNAL_NONE,
                                                            memory_order_acq_rel, memory_order_acquire))
                    return PGDBM__SIGNAL_NONE;
                continue;
            }
            until.tv_sec = (time_t)(deadline / 1000000000);
            until.tv_nsec = (long)(deadline % 1000000000);
        }
        /* FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time; EINTR, EAGAIN and ETIMEDOUT are all handled above.
         */
        syscall(SYS_futex, &signal->state, FUTEX_WAIT_BITSET_PRIVATE, SLEEPING,
                deadline != PGDBM__NEVER ? &until : NULL, NULL, FUTEX_BITSET_MATCH_ANY);
    }
}

const char *pgdbm__thread_token(void)
{
    static _Thread_local char token;
    return &token;
}
