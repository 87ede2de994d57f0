/* SPDX-License-Identifier: MIT */
/* Batches: any number of statements in one round trip (one more the first time the pool sees a statement).
 *
 *     pgdbm_batch *batch;
 *     pgdbm_batch_new(db, NULL, &batch, &err);
 *     pgdbm_batch_add(batch, "INSERT INTO {{tables.a}} VALUES ($1)", pgdbm_args(1), &err);
 *     pgdbm_batch_add(batch, "SELECT count(*) FROM {{tables.a}}", pgdbm_no_args, &err);
 *     pgdbm_batch_run(batch, &err);
 *     const pgdbm_result *count = pgdbm_batch_result(batch, 1);
 *     pgdbm_batch_free(batch);
 *
 * |             | as one transaction (default)              | each on its own (.independent)                        |
 * |-------------|-------------------------------------------|-------------------------------------------------------|
 * | one fails   | nothing of the batch remains              | the others are not touched                            |
 * | status      | that statement's error                    | the first error, when there was one                   |
 * | the error   | names the statement's number, from 0, in its detail; pgdbm_batch_failed says it too               |
 *
 * On a transaction's handle a batch is part of that transaction, and its statements are never independent. A batch is
 * one thread's at a time. */
#ifndef PGDBM_BATCH_H
#define PGDBM_BATCH_H

#include <pgdbm/async.h>

typedef struct pgdbm_batch pgdbm_batch;

typedef struct pgdbm_batch_options {
    bool independent;  /* each statement its own transaction */
    int timeout_ms;    /* of the whole; 0: command_timeout_ms; -1: none */
    bool discard_rows; /* keep no results, only the count */
} pgdbm_batch_options;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_batch_new_sized(pgdbm_db *db, const pgdbm_batch_options *options, size_t options_bytes,
                                                pgdbm_batch **batch, pgdbm_error *err);

/* An empty batch on `db`, which must stay until the batch is run. `*batch` is the caller's. Errors: ARGUMENT, NOMEM. */
static inline pgdbm_status pgdbm_batch_new(pgdbm_db *db, const pgdbm_batch_options *options, pgdbm_batch **batch,
                                           pgdbm_error *err)
{
    return pgdbm_batch_new_sized(db, options, sizeof *options, batch, err);
}

/* Adds a statement; SQL and parameters are copied. Errors: ARGUMENT, SCHEMA (a bad template), TYPE (too many
 * parameters), TRANSACTION (transaction control, COPY), NOMEM. After an error the batch is what it was before. */
PGDBM_EXPORT pgdbm_status pgdbm_batch_add(pgdbm_batch *batch, const char *sql, pgdbm_params params, pgdbm_error *err);

/* Runs it and waits. A batch runs once. An empty one is PGDBM_OK. Errors: those of the verbs. */
PGDBM_EXPORT pgdbm_status pgdbm_batch_run(pgdbm_batch *batch, pgdbm_error *err);

/* Submits it; the outcome has results, n_results and failed, valid until the callback returns. After PGDBM_OK the batch
 * belongs to the request: do not use or free it. */
PGDBM_EXPORT pgdbm_status pgdbm_batch_submit(pgdbm_batch *batch, pgdbm_done_callback on_done, void *context,
                                             pgdbm_request **request, pgdbm_error *err);

/* After pgdbm_batch_run: how many statements, the result of one (NULL when it failed or none was kept), the rows it
 * affected, and the number of the first that failed (the count of statements when none did). Borrowed. */
PGDBM_EXPORT size_t pgdbm_batch_count(const pgdbm_batch *batch);
PGDBM_EXPORT pgdbm_result *pgdbm_batch_result(const pgdbm_batch *batch, size_t number);
PGDBM_EXPORT int64_t pgdbm_batch_affected(const pgdbm_batch *batch, size_t number);
PGDBM_EXPORT size_t pgdbm_batch_failed(const pgdbm_batch *batch);
/* The error of one statement, or NULL. */
PGDBM_EXPORT const pgdbm_error *pgdbm_batch_error(const pgdbm_batch *batch, size_t number);

/* Frees the batch with its results. NULL is legal. */
PGDBM_EXPORT void pgdbm_batch_free(pgdbm_batch *batch);

PGDBM_END_DECLS
#endif
