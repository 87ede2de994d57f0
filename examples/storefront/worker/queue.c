/* SPDX-License-Identifier: MIT */
/* The worker's queue. No state: everything is in the database. */
#include "worker/queue.h"

enum { BATCH = 20 };

pgdbm_status queue_add(pgdbm_db *tx, int64_t order_id, pgdbm_error *err)
{
    /* The transaction is bound to the caller's schema, so the table is named with its own. */
    return pgdbm_execute(tx, "INSERT INTO {{tables.worker.jobs}} (order_id) VALUES ($1)", pgdbm_args(order_id), NULL,
                         err);
}

/* Does the jobs that were taken: here, a receipt is all the work. */
static pgdbm_status finish(pgdbm_db *tx, const pgdbm_result *jobs, pgdbm_error *err)
{
    pgdbm_param ids[BATCH];
    pgdbm_params sets[BATCH];
    size_t n_jobs = pgdbm_result_rows(jobs);
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < n_jobs; i++) {
        int64_t id = 0;
        status = pgdbm_get_int64(jobs, i, "id", &id, err);
        ids[i] = pgdbm_param_int64(id);
        sets[i] = pgdbm_params_array(&ids[i], 1);
    }
    if (status == PGDBM_OK)
        status =
            pgdbm_execute_many(tx, "INSERT INTO {{tables.receipts}} (job_id) VALUES ($1)", sets, n_jobs, NULL, err);
    if (status == PGDBM_OK)
        status =
            pgdbm_execute_many(tx, "UPDATE {{tables.jobs}} SET done_at = now() WHERE id = $1", sets, n_jobs, NULL, err);
    return status;
}

static pgdbm_status work(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    size_t *done = context;
    pgdbm_result *jobs = NULL;
    /* SKIP LOCKED: jobs that another worker has taken are passed over, not waited for. */
    pgdbm_status status = pgdbm_fetch_all(tx,
                                          "SELECT id FROM {{tables.jobs}} WHERE done_at IS NULL"
                                          " ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
                                          pgdbm_args((int)BATCH), &jobs, err);
    if (status == PGDBM_OK)
        status = finish(tx, jobs, err);
    *done = pgdbm_result_rows(jobs);
    pgdbm_result_free(jobs);
    return status;
}

pgdbm_status queue_work(pgdbm_db *worker, size_t *done, pgdbm_error *err)
{
    return pgdbm_transact(worker, NULL, work, done, err);
}
