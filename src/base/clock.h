/* SPDX-License-Identifier: MIT */
/* Time and chance. Monotonic, so that a change of the wall clock moves no deadline. */
#ifndef PGDBM_BASE_CLOCK_H
#define PGDBM_BASE_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed moment. */
int64_t pgdbm__now_ns(void);
/* The same clock, some milliseconds behind and several times cheaper. */
int64_t pgdbm__now_coarse_ns(void);
#define PGDBM__MS INT64_C(1000000)

/* For simulations: time is what `clock` says, and chance follows from `seed` alone. NULL: the real ones again. Not while
 * other threads run. */
void pgdbm__clock_simulate(int64_t (*clock)(void), uint64_t seed);

/* No deadline. */
#define PGDBM__NEVER INT64_MAX

/* Now plus `timeout_ms`; PGDBM__NEVER for a negative one. */
int64_t pgdbm__deadline(int64_t timeout_ms);
/* Milliseconds from now until `deadline` for poll(): -1 for PGDBM__NEVER, 0 when it has passed, rounded up. */
int pgdbm__remaining_ms(int64_t deadline);

/* A number in [0, limit), good enough to spread retries. Any thread. */
uint64_t pgdbm__random(uint64_t limit);
/* `value` varied evenly by up to +-percent. */
int64_t pgdbm__jitter(int64_t value, int percent);

#endif
