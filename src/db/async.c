/* SPDX-License-Identifier: MIT */
/* The asynchronous verbs: each makes a task and submits it. Any thread. */
#include "db/async.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "sql/effects.h"

#include <string.h>

void pgdbm__db_address(const pgdbm_db *db, const struct pgdbm__run *run, struct pgdbm_request *task)
{
    task->need.account = pgdbm__account_ref(db->account);
    task->need.spot = run->spot;
    task->need.since = run->now;
    task->need.deadline = run->acquire_deadline;
    task->deadline = run->deadline;
    task->lease = run->lease;
    task->raw = run->raw;
    task->idempotent = run->idempotent;
    task->asked = true;
    task->in_transaction = pgdbm__db_is_inside(db);
}

pgdbm_status pgdbm__db_submit(struct pgdbm_request *task, pgdbm_done_callback on_done, void *context,
                              pgdbm_request **request, pgdbm_error *err)
{
    task->on_done = on_done;
    task->context = context;
    task->direct = pgdbm__future_hold(on_done, context);
    struct pgdbm_request *handle = request != NULL ? pgdbm__task_ref(task) : NULL;
    pgdbm_status status = pgdbm__task_submit(task, err);
    if (status != PGDBM_OK) {
        pgdbm__future_release(task->direct, context);
        pgdbm__task_unref(handle);
        handle = NULL;
        pgdbm__task_unref(task);
    }
    if (request != NULL)
        *request = handle;
    return status;
}

static enum pgdbm__rows rows_of(pgdbm_rows_kept rows)
{
    return rows == PGDBM_ROWS_ALL ? PGDBM__ROWS_ALL : rows == PGDBM_ROWS_ONE ? PGDBM__ROWS_FIRST : PGDBM__ROWS_DISCARD;
}

static pgdbm_status check_sets(const pgdbm_params *sets, size_t n_sets, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (n_sets > 0 && sets == NULL)
        return pgdbm__fail_null(err, "pgdbm_submit", "sets");
    for (size_t i = 0; status == PGDBM_OK && i < n_sets; i++)
        status = pgdbm__db_check_params(&sets[i], "pgdbm_submit", err);
    return status;
}

pgdbm_status pgdbm_submit_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, pgdbm_rows_kept rows,
                                const char *sql, const pgdbm_params *sets, size_t n_sets, pgdbm_done_callback on_done,
                                void *context, pgdbm_request **request, pgdbm_error *err)
{
    struct pgdbm__run run;
    struct pgdbm__statement *statement = NULL;
    struct pgdbm_request *task = NULL;
    if (request != NULL)
        *request = NULL;
    if (on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_submit", "on_done");
    pgdbm_status status = check_sets(sets, n_sets, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_prepare_run(db, "pgdbm_submit", call, call_bytes, sql, pgdbm_no_args, &run, err);
    if (status == PGDBM_OK)
        status = pgdbm__statements_find(db->pool, run.schema, sql, &statement, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_refuse(run.raw, statement->effects, err);
    if (status == PGDBM_OK)
        status = pgdbm__task_new(db->pool, n_sets > 0 ? PGDBM__TASK_STATEMENT : PGDBM__TASK_DELAY, sets, n_sets, NULL,
                                 &task, err);
    if (status != PGDBM_OK) {
        pgdbm__statement_unref(statement);
        return status;
    }
    pgdbm__db_address(db, &run, task);
    task->statement = statement;
    task->need.statement = statement;
    task->rows = rows_of(rows);
    task->own_lease = run.lease == NULL && (n_sets > 1 || (statement->effects & PGDBM__EFFECT_SESSION) != 0);
    task->need.lease = task->own_lease;
    if (n_sets == 0)
        task->deadline = run.now; /* nothing to do: complete at once */
    return pgdbm__db_submit(task, on_done, context, request, err);
}

/* --- helper threads --- */

static void *work(void *context)
{
    struct pgdbm_request *task = context;
    pgdbm_error err;
    pgdbm__fail(&err, PGDBM_OK, "%s", "");
    pgdbm_status status = task->work(task->owner, &err);
    err.status = status;
    pgdbm__task_complete(task, status, &err);
    return NULL;
}

pgdbm_status pgdbm_offload(pgdbm_pool *pool, pgdbm_work function, void *work_context, pgdbm_done_callback on_done,
                           void *context, pgdbm_error *err)
{
    struct pgdbm_request *task = NULL;
    if (pool == NULL || function == NULL || on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_offload", pool == NULL ? "pool" : function == NULL ? "work" : "on_done");
    pgdbm_status status = pgdbm__task_new(pool, PGDBM__TASK_WORK, NULL, 0, NULL, &task, err);
    if (status != PGDBM_OK)
        return status;
    task->work = function;
    task->owner = work_context;
    status = pgdbm__db_submit(task, on_done, context, NULL, err);
    if (status != PGDBM_OK)
        return status;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failure = pgdbm__thread_start(&thread, &attributes, work, task);
    pthread_attr_destroy(&attributes);
    if (failure == 0)
        return PGDBM_OK;
    pgdbm_error reason; /* it has been submitted: its callback says what happened */
    pgdbm__fail(&reason, PGDBM_ERR_POOL, "cannot start a helper thread: %s", strerror(failure));
    pgdbm__task_complete(task, PGDBM_ERR_POOL, &reason);
    return PGDBM_OK;
}
