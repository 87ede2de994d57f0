/* SPDX-License-Identifier: MIT */
/* Futures. They are complete in the thread that completes the request: the engine runs a future's callback at once,
 * because it runs no code of the user's. A future keeps its request, and with it everything the outcome points to, and
 * the error itself. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/async.h"

#include <pgdbm/future.h>
#include <stddef.h>
#include <string.h>

struct pgdbm_future {
    _Atomic int references; /* the owner's, and the engine's for each request that was submitted with it */
    struct pgdbm_pool *pool;
    /* Guarded by the pool's lock. */
    size_t engaged; /* requests that were submitted with it */
    bool seen;
    struct pgdbm_request *task;      /* whose outcome it has: one reference; NULL: not complete */
    struct pgdbm_request *then_task; /* to be completed then; its callback is `run_then` */
    pgdbm_done_callback then;
    void *then_context;
    pgdbm_error error; /* of the outcome: what it came with may only live as long as a callback */
};

static void release(struct pgdbm_future *future)
{
    if (atomic_fetch_sub(&future->references, 1) != 1)
        return;
    if (future->task != NULL && future->task->outcome.db != NULL && !future->seen)
        pgdbm__db_abandon(future->task->outcome.db);
    pgdbm__task_unref(future->task);
    pgdbm__pool_unref(future->pool);
    pgdbm__free(future);
}

pgdbm_status pgdbm_future_new(pgdbm_pool *pool, pgdbm_future **future, pgdbm_error *err)
{
    if (pool == NULL || future == NULL)
        return pgdbm__fail_null(err, "pgdbm_future_new", pool == NULL ? "pool" : "future");
    *future = pgdbm__alloc(sizeof **future);
    if (*future == NULL)
        return pgdbm__fail_nomem(err, "making a future");
    memset(*future, 0, offsetof(struct pgdbm_future, error)); /* that is long, and written before it is read */
    atomic_init(&(*future)->references, 1);
    (*future)->pool = pgdbm__pool_ref(pool);
    return PGDBM_OK;
}

bool pgdbm__future_hold(pgdbm_done_callback on_done, void *context)
{
    struct pgdbm_future *future = context;
    if (on_done != pgdbm_future_done || future == NULL)
        return false;
    atomic_fetch_add(&future->references, 1);
    pthread_mutex_lock(&future->pool->lock);
    future->engaged++;
    pthread_mutex_unlock(&future->pool->lock);
    return true;
}

void pgdbm__future_release(bool held, void *context)
{
    struct pgdbm_future *future = context;
    if (!held)
        return;
    pthread_mutex_lock(&future->pool->lock);
    future->engaged--;
    pgdbm__pool_progress(future->pool); /* who waits for it already waits for nothing */
    pthread_mutex_unlock(&future->pool->lock);
    release(future);
}

void pgdbm_future_done(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_future *future = context;
    if (outcome == NULL || future == NULL)
        return;
    struct pgdbm_request *task = pgdbm__task_ref(pgdbm__task_of_outcome(outcome));
    pthread_mutex_lock(&future->pool->lock);
    struct pgdbm_request *unwanted = future->task == NULL ? NULL : task;
    struct pgdbm_request *then_task = future->then_task;
    if (unwanted == NULL && outcome->status != PGDBM_OK) {
        future->error = *outcome->error;
        task->outcome.error = &future->error;
    }
    if (unwanted == NULL)
        future->task = task;
    future->then_task = NULL;
    pgdbm__pool_progress(future->pool);
    pthread_mutex_unlock(&future->pool->lock);
    if (then_task != NULL)
        pgdbm__task_complete(then_task, PGDBM_OK, NULL);
    if (unwanted != NULL && outcome->db != NULL)
        pgdbm__db_abandon(outcome->db);
    pgdbm__task_unref(unwanted);
    release(future);
}

static bool is_complete(void *context)
{
    struct pgdbm_future *future = context;
    return future->task != NULL || future->engaged == 0;
}

static const pgdbm_outcome *look(struct pgdbm_future *future)
{
    pthread_mutex_lock(&future->pool->lock);
    const pgdbm_outcome *outcome = future->task != NULL ? &future->task->outcome : NULL;
    future->seen = future->seen || outcome != NULL;
    pthread_mutex_unlock(&future->pool->lock);
    return outcome;
}

const pgdbm_outcome *pgdbm_future_wait(pgdbm_future *future, int timeout_ms)
{
    if (future == NULL || pgdbm__pool_ours(future->pool, NULL) != PGDBM_OK)
        return NULL;
    pgdbm__pool_drive_until(future->pool, is_complete, future, pgdbm__deadline(timeout_ms));
    return look(future);
}

const pgdbm_outcome *pgdbm_future_poll(pgdbm_future *future)
{
    if (future == NULL || pgdbm__pool_ours(future->pool, NULL) != PGDBM_OK)
        return NULL;
    return look(future);
}

static void run_then(const pgdbm_outcome *outcome, void *context)
{
    (void)outcome;
    struct pgdbm_future *future = context;
    const pgdbm_outcome *own = look(future);
    if (own != NULL)
        future->then(own, future->then_context);
    release(future);
}

pgdbm_status pgdbm_future_then(pgdbm_future *future, pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    if (future == NULL || on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_future_then", future == NULL ? "future" : "on_done");
    struct pgdbm_request *task = NULL;
    pgdbm_status status = pgdbm__pool_ours(future->pool, err);
    if (status == PGDBM_OK)
        status = pgdbm__task_new(future->pool, PGDBM__TASK_WORK, NULL, 0, NULL, &task, err);
    if (status != PGDBM_OK)
        return status;
    task->on_done = run_then;
    task->context = future;
    pthread_mutex_lock(&future->pool->lock);
    bool engaged = future->engaged > 0;
    bool second = future->then != NULL;
    if (engaged && !second) {
        future->then = on_done;
        future->then_context = context;
    }
    pthread_mutex_unlock(&future->pool->lock);
    if (!engaged || second)
        status = pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_future_then: the future %s",
                             second ? "has a callback already" : "has not been submitted with");
    if (status == PGDBM_OK)
        status = pgdbm__task_submit(task, err);
    if (status != PGDBM_OK) {
        pgdbm__task_unref(task);
        return status;
    }
    atomic_fetch_add(&future->references, 1);
    pthread_mutex_lock(&future->pool->lock);
    bool complete = future->task != NULL;
    if (!complete)
        future->then_task = task;
    pthread_mutex_unlock(&future->pool->lock);
    if (complete)
        pgdbm__task_complete(task, PGDBM_OK, NULL);
    return PGDBM_OK;
}

void pgdbm_future_free(pgdbm_future *future)
{
    if (future != NULL)
        release(future);
}
