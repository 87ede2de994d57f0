/* SPDX-License-Identifier: MIT */
/* Observers. Each pool has a list of them under a lock of its own, so that who tells does not meet who routes. An observer
 * that a thread is telling is kept in the list: who takes it out waits until the last such thread has left, or leaves that
 * to it when it is that thread itself. */
#include "pool/observe.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "pool/batch.h"
#include "sql/effects.h"

struct pgdbm_observer {
    struct pgdbm_pool *pool; /* one reference */
    pgdbm_observe_callback callback;
    void *context;

    struct pgdbm_observer *next; /* guarded, as what follows, by the list's lock */
    size_t telling;              /* threads in its callback */
    bool leaving;                /* no thread enters any more */
    bool forsaken;               /* its owner does not wait: the last thread frees it */
};

/* The callbacks that this thread is in, innermost first. */
struct telling {
    const struct pgdbm_observer *observer;
    const struct telling *outer;
};
static _Thread_local const struct telling *telling;

void pgdbm__observers_init(struct pgdbm__observers *observers)
{
    atomic_init(&observers->count, 0);
    pthread_mutex_init(&observers->lock, NULL);
    pthread_cond_init(&observers->left, NULL);
}

void pgdbm__observers_destroy(struct pgdbm__observers *observers)
{
    pthread_cond_destroy(&observers->left);
    pthread_mutex_destroy(&observers->lock);
}

pgdbm_status pgdbm__observe(struct pgdbm_pool *pool, pgdbm_observe_callback callback, void *context,
                            struct pgdbm_observer **observer, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__pool_ours(pool, err);
    if (status != PGDBM_OK)
        return status;
    if (pgdbm__pool_is_closed(pool))
        return pgdbm__fail(err, PGDBM_ERR_POOL, "the pool is closed: there is nothing to observe");
    struct pgdbm_observer *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "observing a pool");
    made->pool = pgdbm__pool_ref(pool);
    made->callback = callback;
    made->context = context;
    *observer = made; /* before it is told anything: another thread may run a statement */
    pthread_mutex_lock(&pool->observers.lock);
    struct pgdbm_observer **last = &pool->observers.first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = made;
    atomic_fetch_add_explicit(&pool->observers.count, 1, memory_order_relaxed);
    pthread_mutex_unlock(&pool->observers.lock);
    return PGDBM_OK;
}

static bool is_told_here(const struct pgdbm_observer *observer)
{
    for (const struct telling *at = telling; at != NULL; at = at->outer)
        if (at->observer == observer)
            return true;
    return false;
}

/* Takes it out of the list. Locked. */
static void unlink_observer(struct pgdbm_observer *observer)
{
    struct pgdbm_observer **at = &observer->pool->observers.first;
    while (*at != observer)
        at = &(*at)->next;
    *at = observer->next;
}

void pgdbm_unobserve(struct pgdbm_observer *observer)
{
    if (observer == NULL || pgdbm__pool_ours(observer->pool, NULL) != PGDBM_OK)
        return; /* a forked child leaves its parent's things alone */
    struct pgdbm_pool *pool = observer->pool;
    struct pgdbm__observers *observers = &pool->observers;
    pthread_mutex_lock(&observers->lock);
    observer->leaving = true;
    atomic_fetch_sub_explicit(&observers->count, 1, memory_order_relaxed);
    observer->forsaken = is_told_here(observer);
    bool forsaken = observer->forsaken; /* when the lock is let go it may be gone */
    int cancel_state = pgdbm__cancel_defer();
    while (!forsaken && observer->telling > 0)
        pthread_cond_wait(&observers->left, &observers->lock);
    if (!forsaken)
        unlink_observer(observer);
    pthread_mutex_unlock(&observers->lock);
    pgdbm__cancel_restore(cancel_state);
    if (forsaken)
        return;
    pgdbm__free(observer);
    pgdbm__pool_unref(pool);
}

/* Calls one of them. Locked, but for the call. Returns the next one. */
static struct pgdbm_observer *tell_one(struct pgdbm__observers *observers, struct pgdbm_observer *observer,
                                       const pgdbm_observation *observation)
{
    /* One that makes a statement in spite of all is not told of that. */
    if (observer->leaving || is_told_here(observer))
        return observer->next;
    const struct telling here = {observer, telling};
    observer->telling++;
    pthread_mutex_unlock(&observers->lock);
    telling = &here;
    observer->callback(observation, observer->context);
    telling = here.outer;
    pthread_mutex_lock(&observers->lock);
    struct pgdbm_observer *next = observer->next;
    if (--observer->telling > 0 || !observer->leaving)
        return next;
    if (observer->forsaken) {
        struct pgdbm_pool *pool = observer->pool;
        unlink_observer(observer);
        pgdbm__free(observer);
        pgdbm__pool_unref(pool); /* who tells has another one */
    } else
        pthread_cond_broadcast(&observers->left);
    return next;
}

static void tell(struct pgdbm_pool *pool, const pgdbm_observation *observation)
{
    struct pgdbm__observers *observers = &pool->observers;
    int cancel_state = pgdbm__cancel_defer(); /* a thread that ended inside of a callback would be in it for ever */
    pthread_mutex_lock(&observers->lock);
    for (struct pgdbm_observer *at = observers->first; at != NULL;)
        at = tell_one(observers, at, observation);
    pthread_mutex_unlock(&observers->lock);
    pgdbm__cancel_restore(cancel_state);
}

static bool was_sent(pgdbm_status status, const pgdbm_error *error)
{
    return status == PGDBM_OK || error == NULL || error->outcome != PGDBM_OUTCOME_NOT_SENT;
}

static pgdbm_observed kind_of(const struct pgdbm__statement *statement)
{
    return (statement->effects & PGDBM__EFFECT_TRANSACTION) != 0 ? PGDBM_OBSERVED_CONTROL : PGDBM_OBSERVED_STATEMENT;
}

void pgdbm__observe_run(const struct pgdbm__run *run, const struct pgdbm__request *request, pgdbm_status status,
                        const pgdbm_error *error)
{
    if (request->kind != PGDBM__REQUEST_EXECUTE || request->statement == NULL || !was_sent(status, error))
        return;
    const pgdbm_observation observation = {
        .kind = kind_of(request->statement),
        .sql = request->statement->text,
        .n_params = request->n_sets > 0 ? request->sets[0].count : 0,
        .n_executions = request->n_sets,
        .duration_ns = pgdbm__now_ns() - run->now,
        .affected = status == PGDBM_OK ? request->affected : 0,
        .status = status,
        .error = status == PGDBM_OK ? NULL : error,
    };
    tell(run->pool, &observation);
}

void pgdbm__observe_text(struct pgdbm_pool *pool, pgdbm_observed kind, const char *sql, int64_t since, int64_t affected,
                         pgdbm_status status, const pgdbm_error *error)
{
    if (!was_sent(status, error))
        return;
    const pgdbm_observation observation = {
        .kind = kind,
        .sql = sql,
        .n_executions = 1,
        .duration_ns = pgdbm__now_ns() - since,
        .affected = status == PGDBM_OK ? affected : 0,
        .status = status,
        .error = status == PGDBM_OK ? NULL : error,
    };
    tell(pool, &observation);
}

/* Each statement of a batch that the server has looked at. */
static void tell_of_batch(const struct pgdbm_request *task, int64_t duration_ns)
{
    const struct pgdbm__flights *flights = task->flights;
    for (size_t i = 0; i < flights->count; i++) {
        const struct pgdbm__batch_item *item = &flights->items[i];
        const struct pgdbm__request *flight = item->flight;
        bool good = flight->status == PGDBM_OK;
        if (flight->skipped || !was_sent(flight->status, &flight->error) ||
            (good && flight->kind != PGDBM__REQUEST_EXECUTE))
            continue;
        const pgdbm_observation observation = {
            .kind = kind_of(item->statement),
            .sql = item->statement->text,
            .n_params = item->params->count,
            .n_executions = 1,
            .duration_ns = duration_ns,
            .affected = good ? flight->affected : 0,
            .status = flight->status,
            .error = good ? NULL : &flight->error,
        };
        tell(task->pool, &observation);
    }
}

void pgdbm__observe_task(const struct pgdbm_request *task)
{
    bool good = task->outcome.status == PGDBM_OK;
    const pgdbm_error *error = task->outcome.error;
    int64_t duration_ns = pgdbm__now_ns() - task->need.since;
    if (!task->asked)
        return;
    if (task->kind == PGDBM__TASK_BATCH) {
        tell_of_batch(task, duration_ns);
        return;
    }
    bool speaks =
        task->kind == PGDBM__TASK_STATEMENT || task->kind == PGDBM__TASK_COMMAND || task->kind == PGDBM__TASK_COPY;
    bool sent = good || (error != NULL ? error->outcome : task->unsaid) != PGDBM_OUTCOME_NOT_SENT;
    if (!speaks || !sent)
        return;
    pgdbm_observation observation = {
        .kind = task->kind == PGDBM__TASK_COPY ? PGDBM_OBSERVED_COPY : PGDBM_OBSERVED_CONTROL,
        .sql = task->sql,
        .n_executions = 1,
        .duration_ns = duration_ns,
        .affected = good ? task->outcome.affected : 0,
        .status = task->outcome.status,
        .error = good ? NULL : error,
    };
    if (task->statement != NULL) {
        observation.kind = kind_of(task->statement);
        observation.sql = task->statement->text;
        observation.n_params = task->n_sets > 0 ? task->sets[0].count : 0;
        observation.n_executions = task->n_sets;
    }
    tell(task->pool, &observation);
}
