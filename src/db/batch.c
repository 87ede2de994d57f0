/* SPDX-License-Identifier: MIT */
/* Collecting batches, and what came of them. The flying is in pool/batch.c. */
#include "pool/batch.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/async.h"

#include <pgdbm/batch.h>
#include <pgdbm/future.h>
#include <string.h>

struct pgdbm_batch {
    pgdbm_db *db;
    pgdbm_batch_options options;
    struct pgdbm__flights *flights; /* until it is run */
    struct pgdbm_request *task;     /* from then on; one reference, which keeps the flights */
};

pgdbm_status pgdbm_batch_new_sized(pgdbm_db *db, const pgdbm_batch_options *options, size_t options_bytes,
                                   pgdbm_batch **batch, pgdbm_error *err)
{
    if (db == NULL || batch == NULL)
        return pgdbm__fail_null(err, "pgdbm_batch_new", db == NULL ? "db" : "batch");
    *batch = NULL;
    struct pgdbm_batch *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made != NULL)
        made->flights = pgdbm__alloc_zero(1, sizeof *made->flights);
    if (made == NULL || made->flights == NULL) {
        pgdbm__free(made);
        return pgdbm__fail_nomem(err, "making a batch");
    }
    if (options != NULL)
        memcpy(&made->options, options, options_bytes < sizeof made->options ? options_bytes : sizeof made->options);
    made->db = db;
    made->flights->independent = made->options.independent;
    made->flights->discard_rows = made->options.discard_rows;
    *batch = made;
    return PGDBM_OK;
}

static pgdbm_status check_usable(const pgdbm_batch *batch, const char *function, pgdbm_error *err)
{
    if (batch == NULL)
        return pgdbm__fail_null(err, function, "batch");
    if (batch->flights == NULL) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: the batch has been run", function);
        pgdbm__error_hint(err, "make another one with pgdbm_batch_new");
        return PGDBM_ERR_ARGUMENT;
    }
    return PGDBM_OK;
}

static struct pgdbm__batch_item *add_item(struct pgdbm__flights *flights)
{
    if (flights->count >= flights->capacity) {
        size_t capacity = flights->capacity > 0 ? flights->capacity * 2 : 16;
        struct pgdbm__batch_item *grown = pgdbm__realloc(flights->items, capacity * sizeof *grown);
        if (grown == NULL)
            return NULL;
        flights->items = grown;
        flights->capacity = capacity;
    }
    struct pgdbm__batch_item *item = &flights->items[flights->count];
    *item = (struct pgdbm__batch_item){0};
    return item;
}

pgdbm_status pgdbm_batch_add(pgdbm_batch *batch, const char *sql, pgdbm_params params, pgdbm_error *err)
{
    pgdbm_status status = check_usable(batch, "pgdbm_batch_add", err);
    if (status == PGDBM_OK && sql == NULL)
        status = pgdbm__fail_null(err, "pgdbm_batch_add", "sql");
    if (status == PGDBM_OK)
        status = pgdbm__db_check_params(&params, "pgdbm_batch_add", err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_pool *pool = batch->db->pool;
    struct pgdbm__batch_item *item = add_item(batch->flights);
    if (item == NULL)
        return pgdbm__fail_nomem(err, "adding to a batch");
    status = pgdbm__statements_find(pool, pgdbm_schema(batch->db), sql, &item->statement, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_refuse(batch->db->kind == PGDBM__DB_PINNED && batch->options.independent,
                                   item->statement->effects, err);
    if (status == PGDBM_OK) {
        item->flight = pgdbm__flight_take(pool);
        item->params = pgdbm__sets_duplicate(&params, 1);
        if (item->flight == NULL || item->params == NULL)
            status = pgdbm__fail_nomem(err, "adding to a batch");
    }
    if (status != PGDBM_OK) {
        pgdbm__statement_unref(item->statement);
        pgdbm__flight_give(pool, item->flight);
        pgdbm__free(item->params);
        return status;
    }
    batch->flights->count++;
    return PGDBM_OK;
}

/* The batch is over: its outcome shows the results. */
static void flown(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    bool kept = flights->independent || task->outcome.status == PGDBM_OK;
    for (size_t i = 0; i < flights->count; i++) {
        struct pgdbm__batch_item *item = &flights->items[i];
        if (!kept) { /* what was answered before the failure was undone */
            pgdbm_result_free(item->result);
            item->result = NULL;
            item->affected = 0;
        }
        flights->results[i] = item->result;
        task->outcome.affected += item->affected;
    }
    task->outcome.results = flights->results;
    task->outcome.n_results = flights->count;
    task->outcome.failed = flights->failed;
}

/* Makes the task; the flights are its from then on. */
static pgdbm_status make_task(pgdbm_batch *batch, struct pgdbm_request **task, pgdbm_error *err)
{
    struct pgdbm__run run;
    struct pgdbm__flights *flights = batch->flights;
    const pgdbm_call call = {.timeout_ms = batch->options.timeout_ms};
    pgdbm_status status =
        pgdbm__db_prepare_run(batch->db, "pgdbm_batch_run", &call, sizeof call, "", pgdbm_no_args, &run, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__free(flights->results);
    flights->results = pgdbm__alloc_zero(flights->count + 1, sizeof *flights->results);
    if (flights->results == NULL)
        return pgdbm__fail_nomem(err, "running a batch");
    status = pgdbm__task_new(batch->db->pool, PGDBM__TASK_BATCH, NULL, 0, NULL, task, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__db_address(batch->db, &run, *task);
    if ((*task)->in_transaction)
        flights->independent = false;
    for (size_t i = 0; i < flights->count; i++)
        flights->items[i].task = *task;
    (*task)->flights = flights;
    (*task)->finish = flown;
    (*task)->own_lease = (*task)->need.lease = run.lease == NULL;
    batch->flights = NULL;
    return PGDBM_OK;
}

pgdbm_status pgdbm_batch_submit(pgdbm_batch *batch, pgdbm_done_callback on_done, void *context, pgdbm_request **request,
                                pgdbm_error *err)
{
    struct pgdbm_request *task = NULL;
    if (request != NULL)
        *request = NULL;
    pgdbm_status status = check_usable(batch, "pgdbm_batch_submit", err);
    if (status == PGDBM_OK && on_done == NULL)
        status = pgdbm__fail_null(err, "pgdbm_batch_submit", "on_done");
    if (status == PGDBM_OK)
        status = make_task(batch, &task, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_request *own = pgdbm__task_ref(task);
    status = pgdbm__db_submit(task, on_done, context, request, err);
    if (status != PGDBM_OK) { /* the batch is as it was */
        batch->flights = own->flights;
        own->flights = NULL;
        pgdbm__task_unref(own);
        return status;
    }
    pgdbm__task_unref(own);
    pgdbm__free(batch);
    return PGDBM_OK;
}

pgdbm_status pgdbm_batch_run(pgdbm_batch *batch, pgdbm_error *err)
{
    struct pgdbm_request *task = NULL;
    pgdbm_future *future = NULL;
    pgdbm_status status = check_usable(batch, "pgdbm_batch_run", err);
    if (status == PGDBM_OK)
        status = pgdbm_future_new(batch->db->pool, &future, err);
    if (status == PGDBM_OK)
        status = make_task(batch, &task, err);
    if (status != PGDBM_OK) {
        pgdbm_future_free(future);
        return status;
    }
    batch->task = pgdbm__task_ref(task);
    status = pgdbm__db_submit(task, pgdbm_future_done, future, NULL, err);
    if (status != PGDBM_OK) {
        batch->flights = batch->task->flights;
        batch->task->flights = NULL;
        pgdbm__task_unref(batch->task);
        batch->task = NULL;
    } else {
        const pgdbm_outcome *outcome = pgdbm_future_wait(future, -1);
        status = outcome->status;
        if (status != PGDBM_OK && err != NULL && outcome->error != NULL)
            *err = *outcome->error;
        else if (status != PGDBM_OK && outcome->error == NULL)
            pgdbm__fail_nomem(err, "running a batch");
    }
    pgdbm_future_free(future);
    return status;
}

static const struct pgdbm__flights *flights_of(const pgdbm_batch *batch)
{
    static const struct pgdbm__flights none;
    if (batch == NULL)
        return &none;
    return batch->task != NULL ? batch->task->flights : batch->flights;
}

size_t pgdbm_batch_count(const pgdbm_batch *batch)
{
    return flights_of(batch)->count;
}

pgdbm_result *pgdbm_batch_result(const pgdbm_batch *batch, size_t number)
{
    const struct pgdbm__flights *flights = flights_of(batch);
    return number < flights->count ? flights->items[number].result : NULL;
}

int64_t pgdbm_batch_affected(const pgdbm_batch *batch, size_t number)
{
    const struct pgdbm__flights *flights = flights_of(batch);
    return number < flights->count ? flights->items[number].affected : 0;
}

size_t pgdbm_batch_failed(const pgdbm_batch *batch)
{
    return batch != NULL && batch->task != NULL ? flights_of(batch)->failed : flights_of(batch)->count;
}

const pgdbm_error *pgdbm_batch_error(const pgdbm_batch *batch, size_t number)
{
    const struct pgdbm__flights *flights = flights_of(batch);
    if (number >= flights->count || batch->task == NULL || flights->items[number].flight->status == PGDBM_OK)
        return NULL;
    return &flights->items[number].flight->error;
}

void pgdbm_batch_free(pgdbm_batch *batch)
{
    if (batch == NULL)
        return;
    if (batch->task != NULL)
        pgdbm__task_unref(batch->task);
    else
        pgdbm__flights_free(batch->db->pool, batch->flights);
    pgdbm__free(batch);
}
