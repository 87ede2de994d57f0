/* SPDX-License-Identifier: MIT */
/* The worker's queue, seen from both sides: other services add jobs in their own transactions, the worker does them.
 * Any thread, any process. */
#ifndef STOREFRONT_QUEUE_H
#define STOREFRONT_QUEUE_H

#include <pgdbm/pgdbm.h>

/* Adds a job inside the caller's transaction: the job exists if and only if the order does. */
pgdbm_status queue_add(pgdbm_db *tx, int64_t order_id, pgdbm_error *err);

/* Takes some open jobs that nobody else has taken, does them, and marks them as done, all in one transaction: a worker
 * that dies half-way has done nothing. `*done` is 0 when there is nothing to do. */
pgdbm_status queue_work(pgdbm_db *worker, size_t *done, pgdbm_error *err);

#endif
