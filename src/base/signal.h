/* SPDX-License-Identifier: MIT */
/* One thread sleeps, another wakes it with a reason. Cheaper than a condition variable where many threads each wait for
 * an event of their own: the waker makes a system call only when the other really sleeps, and the sleeper needs no
 * mutex to wake.
 *
 * A signal may live on the stack of the waiting thread: once the last reason has been raised the waiter may return and
 * the memory may go, because raising touches it no more (the kernel is only given its address to look for sleepers). */
#ifndef PGDBM_BASE_SIGNAL_H
#define PGDBM_BASE_SIGNAL_H

#include <stdatomic.h>
#include <stdint.h>

/* Zero-initialise. Reasons are the caller's numbers from PGDBM__SIGNAL_FIRST upwards. */
struct pgdbm__signal {
    _Atomic uint32_t state;
};

#define PGDBM__SIGNAL_NONE 0U
#define PGDBM__SIGNAL_FIRST 2U

/* Raises a reason; it replaces one that was raised before and not yet seen. */
void pgdbm__signal_raise(struct pgdbm__signal *signal, uint32_t reason);

/* Sleeps until a reason is raised, and takes it; PGDBM__SIGNAL_NONE when the deadline passes first. */
uint32_t pgdbm__signal_wait(struct pgdbm__signal *signal, int64_t deadline);

/* An address that tells living threads apart; never followed. */
const char *pgdbm__thread_token(void);

#endif
