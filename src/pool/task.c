/* SPDX-License-Identifier: MIT */
/* The life of an asynchronous request, from submitting to completing; see task.h for its stages. What may be repeated
 * follows the rules of run.c. */
#include "pool/copy.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <string.h>

/* --- under the pool's lock --- */

void pgdbm__task_granted(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    task->stage = PGDBM__STAGE_GRANTED;
    task->next = NULL;
    if (pool->last_granted != NULL)
        pool->last_granted->next = task;
    else
        pool->first_granted = task;
    pool->last_granted = task;
}

/* What this thread has to go on with. One thing leads to another (a lost session fails its requests one after the other):
 * they are taken up in turn, and do not pile up on the stack. */
struct onward {
    struct pgdbm_request *first, *last; /* to be launched */
    struct pgdbm__post *first_direct, *last_direct;
    bool running;
};
static _Thread_local struct onward onward;

/* Locked. */
static void take_along(struct pgdbm_pool *pool)
{
    if (pool->first_granted != NULL) {
        if (onward.last != NULL)
            onward.last->next = pool->first_granted;
        else
            onward.first = pool->first_granted;
        onward.last = pool->last_granted;
        pool->first_granted = pool->last_granted = NULL;
    }
    if (pool->direct.first != NULL) {
        if (onward.last_direct != NULL)
            onward.last_direct->next = pool->direct.first;
        else
            onward.first_direct = pool->direct.first;
        for (onward.last_direct = pool->direct.first; onward.last_direct->next != NULL;)
            onward.last_direct = onward.last_direct->next;
        pool->direct = (struct pgdbm__posts){NULL, &pool->direct.first};
    }
}

static void go_onward(void)
{
    struct pgdbm_request *task;
    struct pgdbm__post *post;
    onward.running = true;
    while (onward.first != NULL || onward.first_direct != NULL)
        if ((task = onward.first) != NULL) {
            onward.first = task->next;
            onward.last = onward.first != NULL ? onward.last : NULL;
            pgdbm__task_launch(task);
        } else {
            post = onward.first_direct;
            onward.first_direct = post->next;
            onward.last_direct = onward.first_direct != NULL ? onward.last_direct : NULL;
            post->run(post);
        }
    onward.running = false;
}

/* Tasks that got a session, and those that failed before they had one, go on when the lock is let go. */
void pgdbm__pool_unlock(struct pgdbm_pool *pool)
{
    bool more = pool->first_granted != NULL || pool->direct.first != NULL;
    if (more)
        take_along(pool);
    pthread_mutex_unlock(&pool->lock);
    if (more && !onward.running)
        go_onward();
}

/* Its error is kept in a flight, which has room for one. */
static void keep_error(struct pgdbm_request *task, const pgdbm_error *error)
{
    if (error != NULL)
        task->outcome.status = error->status;
    if (error != NULL)
        task->unsaid = error->outcome;
    if (error != NULL && task->flight != NULL && &task->flight->error != error)
        task->flight->error = *error;
    if (error != NULL && task->doubtful && task->unsaid != PGDBM_OUTCOME_DONE) {
        task->unsaid = PGDBM_OUTCOME_UNKNOWN;
        if (task->flight != NULL)
            task->flight->error.outcome = PGDBM_OUTCOME_UNKNOWN;
    }
}

void pgdbm__task_fail(struct pgdbm_request *task, const pgdbm_error *error)
{
    if (task->flight == NULL)
        task->flight = pgdbm__flight_take_locked(task->pool);
    keep_error(task, error);
    task->failed = true;
    pgdbm__task_granted(task->pool, task);
}

void pgdbm__task_say(struct pgdbm_request *task, const pgdbm_error *error)
{
    if (task->flight == NULL)
        task->flight = pgdbm__flight_take(task->pool);
    keep_error(task, error);
    task->outcome.error = task->flight != NULL ? &task->flight->error : NULL;
}

/* It has a session (task->member), and takes off when the lock is let go. */
void pgdbm__task_board(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    bool flies =
        task->kind == PGDBM__TASK_STATEMENT || task->kind == PGDBM__TASK_COMMAND || task->kind == PGDBM__TASK_COPY;
    if (flies && task->flight == NULL)
        task->flight = pgdbm__flight_take_locked(pool);
    if (flies && task->flight == NULL) {
        task->outcome.status = PGDBM_ERR_NOMEM;
        task->unsaid = PGDBM_OUTCOME_NOT_SENT;
        task->failed = true;
    }
    pgdbm__task_granted(pool, task);
    task->stage = PGDBM__STAGE_FLYING;
}

struct pgdbm_request *pgdbm__task_of_outcome(const pgdbm_outcome *outcome)
{
    return pgdbm__task_of((void *)(uintptr_t)outcome, offsetof(struct pgdbm_request, outcome));
}

/* The answer to its waiting. */
void pgdbm__task_answered(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter, const pgdbm_error *refusal)
{
    struct pgdbm_request *task = pgdbm__task_of(waiter, offsetof(struct pgdbm_request, waiter));
    pool->n_queued--;
    if (refusal != NULL) {
        pgdbm__task_fail(task, refusal);
        return;
    }
    task->member = waiter->granted;
    pgdbm__task_board(pool, task);
    if (task->timer.place != 0 && task->timer.due != task->deadline) {
        pgdbm__timer_stop(pool, &task->timer);
        if (task->deadline != PGDBM__NEVER) /* there is room: one has just been taken out */
            (void)pgdbm__timer_start(pool, &task->timer, task->deadline);
    }
}

/* --- flying --- */

static void landed(struct pgdbm_request *task);

/* The server has come to a request that is to end. */
static void came_to_head(struct pgdbm_request *task)
{
    struct pgdbm_pool *pool = task->pool;
    pthread_mutex_lock(&pool->lock);
    if (task->stage == PGDBM__STAGE_FLYING && (task->canceled || task->timed_out))
        pgdbm__task_cancel_flight(pool, task);
    pgdbm__pool_unlock(pool);
}

static void notified(struct pgdbm__request *flight, uint32_t reason)
{
    struct pgdbm_request *task = flight->context;
    if (reason == PGDBM__SIGNAL_HEAD)
        came_to_head(task);
    else if (reason == PGDBM__SIGNAL_ROOM)
        pgdbm__copy_room(task);
    else if (reason == PGDBM__SIGNAL_DONE) {
        pgdbm__request_conclude(flight);
        landed(task);
    }
}

/* Fills a flight with what is to be sent next. */
static pgdbm_status load(struct pgdbm_request *task, struct pgdbm__request *flight)
{
    struct pgdbm__session *session = &task->member->session;
    struct pgdbm__statement *statement = task->statement;
    flight->notify = notified;
    flight->context = task;
    flight->statement = statement;
    flight->max_result_bytes = (size_t)task->pool->config->values.max_result_bytes;
    task->describing = false;
    task->transaction_before = task->lease != NULL ? atomic_load(&session->transaction_status) : 'I';
    if (task->kind == PGDBM__TASK_COMMAND) {
        flight->kind = PGDBM__REQUEST_SIMPLE;
        flight->simple_sql = task->sql;
        return PGDBM_OK;
    }
    if (task->kind == PGDBM__TASK_COPY) {
        pgdbm__copy_load(task, flight);
        return PGDBM_OK;
    }
    if (!atomic_load_explicit(&statement->ready, memory_order_acquire)) {
        bool described = atomic_load_explicit(&statement->described, memory_order_acquire);
        flight->kind = described ? PGDBM__REQUEST_LOOKUP : PGDBM__REQUEST_DESCRIBE;
        flight->catalog = task->pool->catalog;
        flight->max_result_bytes = 0; /* nobody gets what is learned */
        task->describing = true;
        return PGDBM_OK;
    }
    flight->kind = PGDBM__REQUEST_EXECUTE;
    flight->sets = task->sets;
    flight->n_sets = task->n_sets;
    flight->rows = task->rows;
    flight->repeated = task->repeats > 0;
    flight->may_share_sync =
        task->lease == NULL && !task->own_lease && task->repeats == 0 && pgdbm__run_may_share(task->pool, statement);
    pgdbm__run_mark_effects(task->lease != NULL, session, statement->effects);
    return pgdbm__run_check_counts(flight, &flight->error);
}

/* Puts the next messages of a task into its session's FIFO. They may be answered before this returns. */
static void take_off(struct pgdbm_request *task)
{
    struct pgdbm_pool *pool = task->pool;
    struct pgdbm__member *member = task->member;
    struct pgdbm__request *flight = task->flight;
    memset(flight, 0, offsetof(struct pgdbm__request, error));
    flight->status = load(task, flight);
    if (flight->status == PGDBM_OK) {
        unsigned number = member->session.number;
        pgdbm__task_ref(task);
        bool queued = pgdbm__session_enqueue(&member->session, flight, task->deadline);
        if (queued) {
            pgdbm__pool_unpushed(pool, number);
            if (task->canceled || task->timed_out)
                came_to_head(task);
        }
        pgdbm__task_unref(task);
        if (queued)
            return;
    }
    landed(task);
}

/* Its outcome stands. Locked. */
void pgdbm__task_deliver(struct pgdbm_request *task)
{
    struct pgdbm_pool *pool = task->pool;
    pgdbm__timer_stop(pool, &task->timer);
    if (task->kind == PGDBM__TASK_STATEMENT)
        atomic_fetch_add_explicit(&pool->statements, 1, memory_order_relaxed);
    if (task->kind == PGDBM__TASK_STATEMENT && task->outcome.status != PGDBM_OK)
        atomic_fetch_add_explicit(&pool->statements_failed, 1, memory_order_relaxed);
    if (!task->direct) {
        pgdbm__pool_post(pool, &task->post);
        return;
    }
    task->post.next = NULL;
    *pool->direct.last = &task->post;
    pool->direct.last = &task->post.next;
}

/* Runs the callback, if there is one. */
static void call_back(struct pgdbm_request *task)
{
    struct pgdbm_pool *pool = task->pool;
    pgdbm_error local;
    pthread_mutex_lock(&pool->lock);
    pool->n_calling += !task->direct;
    pthread_mutex_unlock(&pool->lock);
    if (task->outcome.status != PGDBM_OK && task->outcome.error == NULL) {
        pgdbm__fail(&local, task->outcome.status, "the request failed, and there was no memory to say why");
        pgdbm__error_outcome(&local, task->unsaid);
        task->outcome.error = &local;
    }
    if (task->told != NULL && pgdbm__is_observed(&pool->observers)) /* it is late, and in flight still */
        pgdbm__observe_task(task);
    if (task->on_done != NULL)
        task->on_done(&task->outcome, task->context);
    if (task->outcome.error == &local)
        task->outcome.error = NULL;
    pthread_mutex_lock(&pool->lock);
    pool->n_calling -= !task->direct;
    pool->n_tasks--;
    if (pool->closed) {
        pthread_cond_broadcast(&pool->changed);
        pgdbm__pool_progress(pool); /* who closes may be driving: a future's callback runs where nobody dispatches */
    }
    pthread_mutex_unlock(&pool->lock);
    pgdbm__task_unref(task);
}

void pgdbm__task_run_callback(struct pgdbm__post *post)
{
    call_back(pgdbm__task_of(post, offsetof(struct pgdbm_request, post)));
}

/* The end of a transaction gives its session back, also when it could not be sent. Locked. */
static void end_lease(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    const struct pgdbm__need need = {.lease = true, .account = task->need.account};
    pgdbm__task_release(pool, task->lease, &need);
}

/* Gives back what it flew on. Locked. */
static void dismount(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    struct pgdbm__member *member = task->member;
    task->member = NULL;
    if (member == NULL) {
        if (task->ends_lease)
            end_lease(pool, task);
        return;
    }
    if (task->flight != NULL)
        pgdbm__cancel_landed(pool, member, task->flight);
    if (task->lease != NULL) {
        member->ordered_in_flight--;
        pgdbm__lease_advance(pool, member);
        if (task->ends_lease)
            end_lease(pool, task);
        else
            pgdbm__lease_look(pool, member);
        pgdbm__pool_released(pool); /* somebody may wait until the lease is quiet */
    } else if (task->keeps_lease && task->outcome.status == PGDBM_OK)
        task->granted = member;
    else
        pgdbm__task_release(pool, member, &task->need);
}

void pgdbm__task_complete(struct pgdbm_request *task, pgdbm_status status, const pgdbm_error *error)
{
    struct pgdbm_pool *pool = task->pool;
    if (status != PGDBM_OK && task->flight == NULL)
        task->flight = pgdbm__flight_take(pool);
    task->outcome.status = status;
    if (status != PGDBM_OK) {
        keep_error(task, error);
        task->outcome.error = task->flight != NULL ? &task->flight->error : NULL;
    }
    if (task->finish != NULL)
        task->finish(task);
    if (pgdbm__is_observed(&pool->observers))
        pgdbm__observe_task(task);
    pthread_mutex_lock(&pool->lock);
    dismount(pool, task);
    task->stage = PGDBM__STAGE_COMPLETE;
    if (task->outcome.status == PGDBM_OK) {
        pgdbm__flight_give_locked(pool, task->flight);
        task->flight = NULL;
    }
    pgdbm__task_deliver(task);
    pgdbm__pool_unlock(pool);
}

/* The answer to a request whose owner has been told that it was too late. */
static void drop(struct pgdbm_request *task)
{
    struct pgdbm_pool *pool = task->pool;
    pthread_mutex_lock(&pool->lock);
    dismount(pool, task);
    task->stage = PGDBM__STAGE_COMPLETE; /* whoever still has a handle may cancel it: there is nothing to be done */
    pool->n_tasks--;
    if (pool->closed)
        pthread_cond_broadcast(&pool->changed);
    pgdbm__pool_unlock(pool);
    pgdbm__task_unref(task);
}

/* Finds the statement anew for another attempt. */
static pgdbm_status find_again(struct pgdbm_request *task, pgdbm_error *err)
{
    struct pgdbm__statement *found = NULL;
    struct pgdbm__statement *old = task->statement;
    pgdbm_status status = task->repeats < PGDBM__OWN_STATEMENT
                              ? pgdbm__statements_find(task->pool, old->schema, old->sql, &found, err)
                              : pgdbm__statements_make(task->pool, old->schema, old->sql, &found, err);
    if (status != PGDBM_OK)
        return status;
    task->statement = found;
    task->need.statement = found;
    pgdbm__statement_unref(old);
    return PGDBM_OK;
}

/* It failed for a reason that is not its own, and left no trace. */
static bool is_undone(const struct pgdbm__request *flight, char transaction_before)
{
    return flight->status != PGDBM_OK && flight->error.outcome != PGDBM_OUTCOME_DONE && !flight->lost &&
           transaction_before == 'I' && (flight->gone || flight->stale || flight->canceled_by_other || flight->skipped);
}

static bool asks_again(struct pgdbm_request *task, struct pgdbm__request *flight, char transaction_before)
{
    if (flight->statement != NULL && (flight->stale || flight->gone))
        pgdbm__statements_forget(task->pool, flight->statement, flight->stale);
    if (task->canceled || task->timed_out || task->repeats > PGDBM__REPEATS)
        return false;
    if (task->kind == PGDBM__TASK_COPY && flight->sent_end > 0)
        return false; /* its data has been used up */
    if (flight->status == PGDBM_OK)
        return pgdbm__run_should_ask_again(flight, transaction_before);
    if (flight->lost)
        return task->lease == NULL && (flight->error.outcome != PGDBM_OUTCOME_UNKNOWN || task->idempotent);
    return is_undone(flight, transaction_before);
}

/* Another attempt, from the beginning. */
static void ask_again(struct pgdbm_request *task)
{
    struct pgdbm_pool *pool = task->pool;
    pgdbm_error error;
    task->repeats++;
    if (task->kind == PGDBM__TASK_STATEMENT && task->flight->lost &&
        task->flight->error.outcome == PGDBM_OUTCOME_UNKNOWN)
        task->doubtful = true;
    atomic_fetch_add_explicit(&pool->statements_repeated, 1, memory_order_relaxed);
    pgdbm_status status = task->statement != NULL ? find_again(task, &error) : PGDBM_OK;
    if (status != PGDBM_OK) {
        pgdbm__task_complete(task, status, &error);
        return;
    }
    pthread_mutex_lock(&pool->lock);
    struct pgdbm__member *lease = task->lease;
    struct pgdbm__member *member = task->member;
    task->member = NULL;
    task->stage = PGDBM__STAGE_NEW;
    pgdbm__cancel_landed(pool, member, task->flight);
    if (lease != NULL)
        member->ordered_in_flight--;
    else
        pgdbm__task_release(pool, member, &task->need);
    atomic_store(&task->fate, PGDBM__FATE_OPEN);
    if (task->canceled || task->timed_out) { /* since we looked */
        pgdbm__task_say_ended(task, PGDBM_OUTCOME_ROLLED_BACK, &error);
        pgdbm__task_fail(task, &error);
        if (lease != NULL) { /* those behind it go on */
            pgdbm__lease_advance(pool, lease);
            pgdbm__lease_look(pool, lease);
            pgdbm__pool_released(pool);
        }
    } else
        pgdbm__task_queue(task, true);
    pgdbm__pool_unlock(pool);
}

/* The types of its statement have come. True when it has gone on: to what they are, or to be executed. */
static bool described(struct pgdbm_request *task)
{
    struct pgdbm__request *flight = task->flight;
    struct pgdbm__session *session = &task->member->session;
    if (flight->kind == PGDBM__REQUEST_DESCRIBE)
        pgdbm__statements_described(task->pool, session, flight);
    if (flight->status != PGDBM_OK || task->canceled || task->timed_out ||
        atomic_load_explicit(&session->canceling, memory_order_relaxed) > 0)
        return false;
    take_off(task);
    return true;
}

/* Its flight is over, or never was: flight->status says how. In the thread that read the answer. */
static void landed(struct pgdbm_request *task)
{
    struct pgdbm__request *flight = task->flight;
    bool half = task->describing;
    if (half && described(task))
        return;
    if (!half)
        pgdbm__run_measured(flight);
    int open = PGDBM__FATE_OPEN;
    pgdbm_result *result = flight->result;
    flight->result = NULL;
    if (!atomic_compare_exchange_strong(&task->fate, &open, PGDBM__FATE_LANDED)) {
        pgdbm_result_free(result);
        drop(task);
        return;
    }
    bool again = asks_again(task, flight, task->transaction_before);
    if ((task->canceled || task->timed_out) && is_undone(flight, task->transaction_before)) {
        pgdbm__task_say_ended(task, PGDBM_OUTCOME_ROLLED_BACK, &flight->error); /* it would have been asked again */
        flight->status = flight->error.status;
    }
    if (half && flight->status == PGDBM_OK) { /* its execution has not been sent */
        again = !task->canceled && !task->timed_out;
        pgdbm__task_say_ended(task, PGDBM_OUTCOME_NOT_SENT, &flight->error);
        flight->status = flight->error.status;
    }
    if (again) {
        pgdbm_result_free(result);
        ask_again(task);
        return;
    }
    task->outcome.result = flight->status == PGDBM_OK ? result : NULL;
    task->outcome.affected = flight->status == PGDBM_OK ? flight->affected : 0;
    if (task->n_sets > 1 && flight->status != PGDBM_OK)
        pgdbm__run_name_set(flight, &flight->error);
    pgdbm__task_complete(task, flight->status, &flight->error);
}

/* --- submitting --- */

static pgdbm_status refuse_queued(struct pgdbm_pool *pool, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_POOL,
                "too many requests wait: %zu of at most %d queued (max_queued), %zu in flight on %zu sessions",
                pool->n_queued, pool->config->values.max_queued, pool->n_tasks - pool->n_queued,
                pgdbm__pool_live(pool));
    pgdbm__error_hint(err, "submit more when some have completed; raise max_connections when the server can do more, "
                           "or max_queued when there is memory");
    return PGDBM_ERR_POOL;
}

/* Its timer goes at its deadline, and while it waits for a session at the end of its patience. */
static bool start_timer(struct pgdbm_pool *pool, struct pgdbm_request *task, bool waits)
{
    int64_t due = waits && task->need.deadline < task->deadline ? task->need.deadline : task->deadline;
    if (due == PGDBM__NEVER) {
        pgdbm__timer_stop(pool, &task->timer);
        return true;
    }
    return (task->timer.place != 0 && task->timer.due == due) || pgdbm__timer_start(pool, &task->timer, due);
}

static void fail_nomem(struct pgdbm_request *task)
{
    pgdbm_error error;
    pgdbm__fail_nomem(&error, "queueing a request");
    pgdbm__task_fail(task, &error);
}

void pgdbm__task_queue(struct pgdbm_request *task, bool again)
{
    struct pgdbm_pool *pool = task->pool;
    pgdbm_error error;
    if (pgdbm__pool_usable(pool, &error) != PGDBM_OK && task->lease == NULL) {
        pgdbm__task_fail(task, &error);
        return;
    }
    if (task->lease != NULL) {
        if (!start_timer(pool, task, false)) {
            fail_nomem(task);
            return;
        }
        pgdbm__lease_enter(task->lease, task, again);
        pool->n_queued++;
        pgdbm__lease_advance(pool, task->lease);
        return;
    }
    struct pgdbm__member *member = pgdbm__pool_try(pool, &task->need);
    if (!start_timer(pool, task, member == NULL)) {
        task->member = member;
        fail_nomem(task);
    } else if (member != NULL) {
        task->member = member;
        pgdbm__task_board(pool, task);
    } else {
        task->stage = PGDBM__STAGE_WAITING;
        pool->n_queued++;
        pgdbm__wait_enter(pool, &task->waiter);
        pgdbm__pool_serve(pool);
    }
}

pgdbm_status pgdbm__task_submit(struct pgdbm_request *task, pgdbm_error *err)
{
    struct pgdbm_pool *pool = task->pool;
    pgdbm_status status = pgdbm__pool_ours(pool, err);
    if (status != PGDBM_OK)
        return status;
    pthread_mutex_lock(&pool->lock);
    if (!task->ends || pool->quiet)
        status = pgdbm__pool_usable(pool, err);
    bool limited = task->kind == PGDBM__TASK_STATEMENT || task->kind == PGDBM__TASK_BATCH;
    if (status == PGDBM_OK && limited && pool->n_queued >= (size_t)pool->config->values.max_queued)
        status = refuse_queued(pool, err);
    if (status == PGDBM_OK) {
        pool->n_tasks++;
        if (task->kind == PGDBM__TASK_WORK)
            task->stage = PGDBM__STAGE_WORKING;
        else if (task->kind == PGDBM__TASK_DELAY) {
            task->stage = PGDBM__STAGE_WORKING;
            if (!start_timer(pool, task, false))
                fail_nomem(task);
        } else
            pgdbm__task_queue(task, false);
    }
    pgdbm__pool_unlock(pool);
    return status;
}

static void launch(struct pgdbm_request *task)
{
    if (task->failed) {
        pgdbm__task_complete(task, task->outcome.status, task->flight != NULL ? &task->flight->error : NULL);
        return;
    }
    if (atomic_load(&task->fate) == PGDBM__FATE_REPORTED) { /* between being granted a session and here */
        drop(task);
        return;
    }
    if (pgdbm__task_is_end(task) && (task->canceled || task->timed_out)) {
        pgdbm__task_say_ended(task, PGDBM_OUTCOME_NOT_SENT, &task->flight->error);
        pgdbm__task_complete(task, task->flight->error.status, &task->flight->error);
        return;
    }
    switch (task->kind) {
    case PGDBM__TASK_STATEMENT:
    case PGDBM__TASK_COMMAND:
    case PGDBM__TASK_COPY:
        take_off(task);
        break;
    case PGDBM__TASK_BATCH:
        pgdbm__batch_launch(task);
        break;
    case PGDBM__TASK_LEASE:
    case PGDBM__TASK_WORK:
    case PGDBM__TASK_DELAY:
        pgdbm__task_complete(task, PGDBM_OK, NULL);
        break;
    }
}

void pgdbm__task_launch(struct pgdbm_request *task)
{
    if (!task->departs_last) {
        launch(task);
        return;
    }
    struct pgdbm_pool *pool = pgdbm__pool_ref(task->pool);
    struct pgdbm__member *member = task->member;
    task->departs_last = false;
    launch(task); /* it may be complete and gone afterwards; the session is kept */
    pgdbm__lease_departed(pool, member);
    pgdbm__pool_unref(pool);
}
