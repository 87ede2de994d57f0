/* SPDX-License-Identifier: MIT */
/* Futures: start many requests, then wait for all. A future is the receiver of one outcome; every asynchronous verb takes
 * it in place of a callback:
 *
 *     pgdbm_future *future;
 *     pgdbm_future_new(pool, &future, &err);
 *     pgdbm_submit(db, sql, pgdbm_args(1), pgdbm_future_done, future, &err);
 *     ...
 *     const pgdbm_outcome *outcome = pgdbm_future_wait(future, -1);
 *     pgdbm_future_free(future);
 *
 * It is complete as soon as the answer has been read, whoever read it; waiting needs no dispatching thread. */
#ifndef PGDBM_FUTURE_H
#define PGDBM_FUTURE_H

#include <pgdbm/async.h>

typedef struct pgdbm_future pgdbm_future;

PGDBM_BEGIN_DECLS

/* A future for one request on `pool`. `*future` is the caller's. Errors: ARGUMENT, NOMEM. */
PGDBM_EXPORT pgdbm_status pgdbm_future_new(pgdbm_pool *pool, pgdbm_future **future, pgdbm_error *err);

/* The callback to submit with; its context is the future. A second outcome for the same future is dropped. */
PGDBM_EXPORT void pgdbm_future_done(const pgdbm_outcome *outcome, void *future);

/* Waits until it is complete, up to `timeout_ms` (-1: as long as it takes). The outcome lives as long as the future,
 * except that outcome->db is the receiver's as always; NULL when the time is up, or when nothing was submitted with it.
 * Any thread; may be called in a callback. */
PGDBM_EXPORT const pgdbm_outcome *pgdbm_future_wait(pgdbm_future *future, int timeout_ms);

/* The outcome when it is complete, else NULL. Does not wait, does not drive the pool. */
PGDBM_EXPORT const pgdbm_outcome *pgdbm_future_poll(pgdbm_future *future);

/* `on_done` is called once with the outcome, where the pool's callbacks run, also when it is complete already. One per
 * future. Errors: ARGUMENT (NULL, a second one), POOL (closed), NOMEM. */
PGDBM_EXPORT pgdbm_status pgdbm_future_then(pgdbm_future *future, pgdbm_done_callback on_done, void *context,
                                            pgdbm_error *err);

/* Releases it, complete or not; a request under way goes on, and its outcome is dropped (a transaction it began is
 * rolled back). NULL is legal. */
PGDBM_EXPORT void pgdbm_future_free(pgdbm_future *future);

PGDBM_END_DECLS
#endif
