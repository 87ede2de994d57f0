/* SPDX-License-Identifier: MIT */
/* Asynchronous requests that are to end: cancelled, or out of time. One that has not been sent is taken out of its queue;
 * one that has is cancelled on the server when that is at it (cancel.c). */
#include "pool/task.h"

#include "base/clock.h"
#include "base/error.h"

bool pgdbm__timer_is_delay(const struct pgdbm__timer *timer)
{
    if (timer->fire != pgdbm__task_time_is_up)
        return false;
    const struct pgdbm_request *task = pgdbm__task_of((void *)(uintptr_t)timer, offsetof(struct pgdbm_request, timer));
    return task->kind == PGDBM__TASK_DELAY;
}

static void say_late(const struct pgdbm_request *task, pgdbm_outcome_kind outcome, pgdbm_error *error)
{
    pgdbm__fail(error, PGDBM_ERR_TIMEOUT, "%s when its deadline passed",
                outcome == PGDBM_OUTCOME_NOT_SENT ? "the request had not been sent"
                                                  : "the request was in flight behind another one");
    pgdbm__error_hint(error,
                      "raise command_timeout_ms or the call's timeout_ms, or see what it waits for (the pool's and "
                      "the manager's statistics, pg_stat_activity)");
    pgdbm__error_statement(error, task->statement != NULL ? task->statement->text : task->sql);
    error->outcome = outcome;
}

static void say_canceled(const struct pgdbm_request *task, pgdbm_outcome_kind outcome, pgdbm_error *error)
{
    pgdbm__fail(error, PGDBM_ERR_CANCELED, "the request was cancelled%s",
                outcome == PGDBM_OUTCOME_NOT_SENT ? " before it was sent" : "");
    pgdbm__error_statement(error, task->statement != NULL ? task->statement->text : task->sql);
    error->outcome = outcome;
}

void pgdbm__task_say_ended(const struct pgdbm_request *task, pgdbm_outcome_kind outcome, pgdbm_error *error)
{
    if (task->timed_out)
        say_late(task, outcome, error);
    else
        say_canceled(task, outcome, error);
}

/* The end of a transaction that is to end before it was sent, too. It keeps its place, so that it is still the last to
 * complete; what is in flight before it need not be waited for when nothing of the transaction will remain. */
bool pgdbm__task_is_end(const struct pgdbm_request *task)
{
    return task->ends && task->lease != NULL;
}

static void end_early(struct pgdbm_request *task)
{
    if (task->ends_lease)
        pgdbm__session_abort(&task->lease->session, "its transaction could not be ended in time");
}

/* Takes a task that has not been sent out of its queue. */
static void leave_queue(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    if (task->stage == PGDBM__STAGE_WAITING)
        pgdbm__wait_leave(pool, &task->waiter);
    else
        pgdbm__lease_leave(task->lease, task);
    pool->n_queued--;
}

/* The owner of a request in flight is told now that its time is up. The server may be at something else still: what it
 * does with this one is not known. On a lease the order of answers is promised, so the server's is waited for. */
static void report_early(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    struct pgdbm__request *told = pgdbm__flight_take_locked(pool);
    int open = PGDBM__FATE_OPEN;
    if (told == NULL || !atomic_compare_exchange_strong(&task->fate, &open, PGDBM__FATE_REPORTED)) {
        pgdbm__flight_give_locked(pool, told);
        return; /* no memory, or its answer has come: that will be told */
    }
    pool->n_tasks++; /* the flight is waited for when the pool closes */
    task->told = told;
    /* Also when it has not left yet: nobody takes it back, so it will. */
    say_late(task, PGDBM_OUTCOME_UNKNOWN, &told->error);
    task->outcome.status = PGDBM_ERR_TIMEOUT;
    task->outcome.error = &told->error;
    pgdbm__task_ref(task); /* the flight's */
    pgdbm__task_deliver(task);
}

/* It is to end, and in flight: cancelled on the server when the server is at it, now or later. */
void pgdbm__task_cancel_flight(struct pgdbm_pool *pool, struct pgdbm_request *task)
{
    if (task->kind == PGDBM__TASK_BATCH)
        pgdbm__batch_cancel(pool, task);
    else if (task->flight == NULL)
        return; /* it was granted a session, and is about to complete */
    else if (pgdbm__session_await_head(&task->member->session, task->flight, task->timed_out))
        pgdbm__cancel_begin(pool, task->member, task->flight);
    else if (task->timed_out && task->lease == NULL && task->kind == PGDBM__TASK_STATEMENT)
        report_early(pool, task);
}

void pgdbm__task_time_is_up(struct pgdbm_pool *pool, struct pgdbm__timer *timer)
{
    struct pgdbm_request *task = pgdbm__task_of(timer, offsetof(struct pgdbm_request, timer));
    pgdbm_error error;
    int64_t now = pgdbm__now_ns();
    switch (task->stage) {
    case PGDBM__STAGE_WAITING:
        leave_queue(pool, task);
        pgdbm__pool_time_out(pool, &task->need, now - task->need.since, &error);
        pgdbm__task_fail(task, &error);
        pgdbm__pool_serve(pool); /* a session drained for it is free again */
        break;
    case PGDBM__STAGE_ORDERED:
        if (pgdbm__task_is_end(task)) {
            task->timed_out = true;
            end_early(task);
            break;
        }
        leave_queue(pool, task);
        say_late(task, PGDBM_OUTCOME_NOT_SENT, &error);
        pgdbm__task_fail(task, &error);
        break;
    case PGDBM__STAGE_GRANTED: /* it has failed, or is about to complete */
        break;
    case PGDBM__STAGE_FLYING:
        task->timed_out = true;
        pgdbm__task_cancel_flight(pool, task);
        break;
    case PGDBM__STAGE_WORKING:
        pgdbm__task_granted(pool, task); /* a delay is over */
        break;
    case PGDBM__STAGE_NEW:
    case PGDBM__STAGE_COMPLETE:
        break;
    }
}

void pgdbm_cancel(pgdbm_request *task)
{
    pgdbm_error error;
    if (task == NULL || pgdbm__pool_ours(task->pool, NULL) != PGDBM_OK)
        return;
    struct pgdbm_pool *pool = task->pool;
    pthread_mutex_lock(&pool->lock);
    bool first = !task->canceled;
    task->canceled = true;
    if (task->stage == PGDBM__STAGE_ORDERED && pgdbm__task_is_end(task)) {
        end_early(task);
    } else if (task->stage == PGDBM__STAGE_WAITING || task->stage == PGDBM__STAGE_ORDERED) {
        leave_queue(pool, task);
        say_canceled(task, PGDBM_OUTCOME_NOT_SENT, &error);
        pgdbm__task_fail(task, &error);
        pgdbm__pool_serve(pool);
    } else if (task->stage == PGDBM__STAGE_FLYING && first)
        pgdbm__task_cancel_flight(pool, task);
    pgdbm__pool_unlock(pool);
}

void pgdbm_request_release(pgdbm_request *task)
{
    pgdbm__task_unref(task);
}
