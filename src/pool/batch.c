/* SPDX-License-Identifier: MIT */
/* Batches in flight: many requests on one lease, sent in one go. First those of which the pool does not know the types
 * are described, all in one round trip; then all are executed. As one transaction they share the Sync of the last, so
 * that the server undoes all when one fails. */
#include "pool/batch.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void execute(struct pgdbm_request *task);
static void start(struct pgdbm_request *task);

/* A prepared statement that the server has forgotten, or whose columns have changed: what was undone over it, all of a
 * transaction or that one, is asked again with statements found anew. Never inside somebody's transaction. */
static bool asks_again(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    bool again = false;
    pgdbm_error error;
    if (task->transaction_before != 'I' || task->canceled || task->timed_out || task->repeats >= PGDBM__REPEATS)
        return false;
    for (size_t i = 0; i < flights->count; i++)
        again = again || flights->items[i].outdated;
    task->repeats += again;
    for (size_t i = 0; again && i < flights->count; i++) {
        struct pgdbm__batch_item *item = &flights->items[i];
        struct pgdbm__statement *found = NULL;
        item->todo = item->outdated || !flights->independent;
        if (item->outdated && pgdbm__statements_find(task->pool, item->statement->schema, item->statement->sql, &found,
                                                     &error) != PGDBM_OK)
            return false;
        if (found != NULL) {
            pgdbm__statement_unref(item->statement);
            item->statement = found;
        }
        item->outdated = false;
        if (item->todo) {
            pgdbm_result_free(item->result);
            item->result = NULL;
        }
    }
    return again;
}

static void say_ended(const struct pgdbm_request *task, struct pgdbm__request *flight, const char *late,
                      pgdbm_outcome_kind outcome)
{
    bool is_late = task->timed_out && !task->canceled;
    flight->status = pgdbm__fail(&flight->error, is_late ? PGDBM_ERR_TIMEOUT : PGDBM_ERR_CANCELED, "%s",
                                 is_late ? late : "the batch was cancelled");
    pgdbm__error_outcome(&flight->error, outcome);
}

/* It was to end before it had begun: what was not executed says so. */
static void say_not_sent(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    for (size_t i = flights->count; i > 0; i--) {
        struct pgdbm__request *flight = flights->items[i - 1].flight;
        if (!flights->items[i - 1].todo || flight->status != PGDBM_OK)
            continue;
        say_ended(task, flight, "the batch had not been sent when its deadline passed", PGDBM_OUTCOME_NOT_SENT);
        flights->failed = i - 1 < flights->failed ? i - 1 : flights->failed;
    }
}

/* It was to end before it could be asked again: what would have been says so. */
static void say_undone(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    for (size_t i = 0; i < flights->count; i++)
        if (flights->items[i].outdated)
            say_ended(task, flights->items[i].flight, "the batch was not done when its deadline passed",
                      PGDBM_OUTCOME_ROLLED_BACK);
}

/* The batch is over, or its first half is. */
static void half_done(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    pgdbm_error *failure = NULL;
    if (flights->describing) {
        flights->describing = false;
        bool may_execute = flights->failed == flights->count || flights->independent;
        if (may_execute && !task->canceled && !task->timed_out && atomic_load(&task->member->session.canceling) == 0) {
            execute(task);
            return;
        }
    }
    if (asks_again(task)) {
        start(task);
        return;
    }
    if (task->transaction_before == 'I' && (task->canceled || task->timed_out))
        say_undone(task);
    if (!flights->executed && (flights->failed == flights->count || flights->independent))
        say_not_sent(task);
    if (flights->failed < flights->count)
        failure = &flights->items[flights->failed].flight->error;
    pgdbm__task_complete(task, failure != NULL ? failure->status : PGDBM_OK, failure);
}

static void name_statement(struct pgdbm__flights *flights, size_t number, pgdbm_error *error)
{
    char detail[sizeof error->detail];
    memcpy(detail, error->detail, sizeof detail);
    pgdbm__error_detail(error, "in statement %zu of %zu (from 0)%s%s%.400s", number, flights->count,
                        flights->independent ? "" : "; nothing of the batch remains", detail[0] != '\0' ? ". " : "",
                        detail);
}

static void note_failure(struct pgdbm__flights *flights, struct pgdbm__batch_item *item)
{
    size_t number = (size_t)(item - flights->items);
    if (item->flight->skipped)
        return; /* because of another one's failure */
    name_statement(flights, number, &item->flight->error);
    if (number < flights->failed)
        flights->failed = number;
}

static bool learn(struct pgdbm__batch_item *item);

/* It has been described, and has types that nobody knows yet, or that were forgotten while they were looked up. */
static bool goes_on_to_lookup(struct pgdbm__batch_item *item)
{
    struct pgdbm_request *task = item->task;
    struct pgdbm_pool *pool = task->pool;
    unsigned number = task->member->session.number;
    bool ready = atomic_load_explicit(&item->statement->ready, memory_order_acquire);
    if (item->flight->status != PGDBM_OK || ready || task->canceled || task->timed_out ||
        atomic_load(&task->member->session.canceling) > 0)
        return false;
    pgdbm__task_ref(task); /* it may be answered, and the task gone, before this returns */
    bool queued = learn(item);
    if (queued)
        pgdbm__pool_unpushed(pool, number);
    if (queued && (task->canceled || task->timed_out)) { /* since we looked: nobody found it in the FIFO then */
        pthread_mutex_lock(&pool->lock);
        if (task->stage == PGDBM__STAGE_FLYING)
            pgdbm__batch_cancel(pool, task);
        pgdbm__pool_unlock(pool);
    }
    pgdbm__task_unref(task);
    return queued;
}

static void landed(struct pgdbm__batch_item *item)
{
    struct pgdbm_request *task = item->task;
    struct pgdbm__flights *flights = task->flights;
    struct pgdbm__request *flight = item->flight;
    struct pgdbm__session *session = &task->member->session;
    if (flight->kind == PGDBM__REQUEST_DESCRIBE)
        pgdbm__statements_described(task->pool, session, flight);
    if (flight->kind != PGDBM__REQUEST_EXECUTE && goes_on_to_lookup(item))
        return;
    if (flight->kind == PGDBM__REQUEST_EXECUTE) {
        item->result = flight->result;
        flight->result = NULL;
        item->affected = flight->status == PGDBM_OK ? flight->affected : 0;
    }
    if (flight->stale || flight->gone) {
        pgdbm__statements_forget(task->pool, item->statement, flight->stale);
        item->outdated = flight->status != PGDBM_OK;
    }
    pthread_mutex_lock(&task->pool->lock);
    if (flight->status != PGDBM_OK)
        note_failure(flights, item); /* locked: what cannot be sent lands while another thread reads answers */
    pgdbm__cancel_landed(task->pool, task->member, flight);
    pgdbm__pool_unlock(task->pool);
    if (atomic_fetch_sub(&flights->in_flight, 1) == 1)
        half_done(task);
}

static void notified(struct pgdbm__request *flight, uint32_t reason)
{
    struct pgdbm__batch_item *item = flight->context;
    struct pgdbm_pool *pool = item->task->pool;
    if (reason == PGDBM__SIGNAL_DONE) {
        pgdbm__request_conclude(flight);
        landed(item);
    } else if (reason == PGDBM__SIGNAL_HEAD) {
        pthread_mutex_lock(&pool->lock);
        if (item->task->stage == PGDBM__STAGE_FLYING &&
            pgdbm__session_await_head(&item->task->member->session, flight, item->task->timed_out))
            pgdbm__cancel_begin(pool, item->task->member, flight);
        pgdbm__pool_unlock(pool);
    }
}

/* Puts one request into the session's FIFO; what cannot be sent lands at once (false). What was put there is the reader's
 * to touch, and may be complete already. */
static bool enqueue(struct pgdbm__batch_item *item)
{
    struct pgdbm__request *flight = item->flight;
    if (flight->status == PGDBM_OK &&
        pgdbm__session_enqueue(&item->task->member->session, flight, item->task->deadline))
        return true;
    landed(item);
    return false;
}

/* All have been sent: the batch may go on, or end. One that was to end meanwhile could not be cancelled before. */
static void all_sent(struct pgdbm_request *task, unsigned number)
{
    struct pgdbm_pool *pool = task->pool;
    pgdbm__pool_unpushed(pool, number);
    if (task->canceled || task->timed_out) {
        pthread_mutex_lock(&pool->lock);
        pgdbm__batch_cancel(pool, task);
        pgdbm__pool_unlock(pool);
    }
    if (atomic_fetch_sub(&task->flights->in_flight, 1) == 1)
        half_done(task);
}

static void clear(struct pgdbm__batch_item *item)
{
    memset(item->flight, 0, offsetof(struct pgdbm__request, error));
    item->flight->notify = notified;
    item->flight->context = item;
    item->flight->statement = item->statement;
}

/* Asks for the statement's types, or for what they are. False when it cannot be sent. */
static bool learn(struct pgdbm__batch_item *item)
{
    bool described = atomic_load_explicit(&item->statement->described, memory_order_acquire);
    clear(item);
    item->flight->kind = described ? PGDBM__REQUEST_LOOKUP : PGDBM__REQUEST_DESCRIBE;
    item->flight->catalog = item->task->pool->catalog;
    return pgdbm__session_enqueue(&item->task->member->session, item->flight, item->task->deadline);
}

static void execute(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    bool sound = true;
    flights->executed = true;
    /* All are checked before any is sent: one that cannot be would leave the others without their Sync. */
    for (size_t i = 0; i < flights->count; i++) {
        struct pgdbm__batch_item *item = &flights->items[i];
        struct pgdbm__request *flight = item->flight;
        bool learning = flight->kind == PGDBM__REQUEST_DESCRIBE || flight->kind == PGDBM__REQUEST_LOOKUP;
        if (learning && flight->status != PGDBM_OK)
            item->todo = false; /* that was its end; the others of an independent batch are not touched */
        if (!item->todo)
            continue;
        clear(item);
        flight->kind = PGDBM__REQUEST_EXECUTE;
        flight->sets = item->params;
        flight->n_sets = 1;
        flight->rows = flights->discard_rows ? PGDBM__ROWS_DISCARD : PGDBM__ROWS_ALL;
        flight->max_result_bytes = (size_t)task->pool->config->values.max_result_bytes;
        flight->keeps_sync_open = !flights->independent && i + 1 < flights->count;
        flight->status = pgdbm__run_check_counts(flight, &flight->error);
        if (flight->status == PGDBM_OK)
            flight->status = pgdbm__session_check_params(item->statement, item->params, &flight->error);
        sound = sound && flight->status == PGDBM_OK;
        pgdbm__run_mark_effects(true, &task->member->session, item->statement->effects);
    }
    atomic_store(&flights->in_flight, flights->count + 1);
    struct pgdbm__member *member = task->member;
    unsigned number = member->session.number;
    for (size_t i = 0; i < flights->count; i++) {
        struct pgdbm__request *flight = flights->items[i].flight;
        if (!flights->items[i].todo) {
            atomic_fetch_sub(&flights->in_flight, 1);
            continue;
        }
        if (!sound && !flights->independent && flight->status == PGDBM_OK) {
            flight->status = pgdbm__fail(&flight->error, PGDBM_ERR_QUERY, "another statement could not be sent");
            flight->skipped = true;
        }
        bool sendable = flight->status == PGDBM_OK;
        bool queued = enqueue(&flights->items[i]);
        if (sendable && !queued && !flights->independent) /* those before it have no Sync: the server undoes them */
            pgdbm__session_abort(&member->session, "a statement of a batch could not be sent");
    }
    all_sent(task, number);
}

/* Describes what is not known yet, and goes on to execute when that is done or there is nothing of the kind. */
static void start(struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    unsigned number = task->member->session.number;
    flights->failed = flights->count;
    flights->executed = false;
    flights->describing = true;
    atomic_store(&flights->in_flight, 1);
    for (size_t i = flights->count; i > 0; i--) /* of the attempt before, what is not asked again */
        if (!flights->items[i - 1].todo && flights->items[i - 1].flight->status != PGDBM_OK)
            flights->failed = i - 1;
    for (size_t i = 0; i < flights->count; i++) {
        struct pgdbm__batch_item *item = &flights->items[i];
        item->flight->status = item->todo ? PGDBM_OK : item->flight->status;
        if (!item->todo || atomic_load_explicit(&item->statement->ready, memory_order_acquire))
            continue;
        atomic_fetch_add(&flights->in_flight, 1);
        if (!learn(item))
            landed(item);
    }
    all_sent(task, number);
}

void pgdbm__batch_launch(struct pgdbm_request *task)
{
    task->transaction_before = task->lease != NULL ? atomic_load(&task->member->session.transaction_status) : 'I';
    if (task->in_transaction)
        task->transaction_before = 'T';
    for (size_t i = 0; i < task->flights->count; i++)
        task->flights->items[i].todo = true;
    start(task);
}

void pgdbm__batch_cancel(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    struct pgdbm__flights *flights = task->flights;
    for (size_t i = 0; i < flights->count; i++)
        if (pgdbm__session_await_head(&task->member->session, flights->items[i].flight, task->timed_out))
            pgdbm__cancel_begin(pool, task->member, flights->items[i].flight);
}

void pgdbm__flights_free(struct pgdbm_pool *pool, struct pgdbm__flights *flights)
{
    if (flights == NULL)
        return;
    for (size_t i = 0; i < flights->count; i++) {
        struct pgdbm__batch_item *item = &flights->items[i];
        pgdbm_result_free(item->result);
        pgdbm__statement_unref(item->statement);
        pgdbm__flight_give(pool, item->flight);
        pgdbm__free(item->params);
    }
    pgdbm__free(flights->items);
    pgdbm__free(flights->results);
    pgdbm__free(flights);
}
