/* SPDX-License-Identifier: MIT */
/* Making asynchronous requests, with copies of what was given, and freeing them; and the flights they borrow. */
#include "pool/task.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "session/sets.h"

#include <string.h>

/* Flights kept for the next request. */
#define SPARE_FLIGHTS 512

struct pgdbm__request *pgdbm__flight_take_locked(struct pgdbm_pool *pool)
{
    struct pgdbm__request *flight = pool->spare_flights;
    if (flight != NULL) {
        pool->spare_flights = flight->next;
        pool->n_spare_flights--;
    } else
        flight = pgdbm__alloc(sizeof *flight);
    if (flight != NULL) /* all but the error, which is long and written before it is read */
        memset(flight, 0, offsetof(struct pgdbm__request, error));
    return flight;
}

void pgdbm__flight_give_locked(struct pgdbm_pool *pool, struct pgdbm__request *flight)
{
    if (flight == NULL)
        return;
    if (pool->n_spare_flights >= SPARE_FLIGHTS) {
        pgdbm__free(flight);
        return;
    }
    flight->next = pool->spare_flights;
    pool->spare_flights = flight;
    pool->n_spare_flights++;
}

struct pgdbm__request *pgdbm__flight_take(struct pgdbm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct pgdbm__request *flight = pgdbm__flight_take_locked(pool);
    pthread_mutex_unlock(&pool->lock);
    return flight;
}

void pgdbm__flight_give(struct pgdbm_pool *pool, struct pgdbm__request *flight)
{
    if (flight == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pgdbm__flight_give_locked(pool, flight);
    pthread_mutex_unlock(&pool->lock);
}

pgdbm_status pgdbm__task_new(struct pgdbm_pool *pool, enum pgdbm__task_kind kind, const pgdbm_params *sets,
                             size_t n_sets, const char *sql, struct pgdbm_request **task, pgdbm_error *err)
{
    size_t sets_bytes = 0;
    size_t sql_bytes = sql != NULL ? strlen(sql) + 1 : 0;
    struct pgdbm_request *made = NULL;
    if (pgdbm__sets_measure(sets, n_sets, &sets_bytes))
        made = pgdbm__alloc(sizeof *made + sets_bytes + sql_bytes);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "submitting a request");
    memset(made, 0, sizeof *made);
    char *behind = (char *)(made + 1);
    if (sets != NULL && n_sets > 0)
        made->sets = pgdbm__sets_copy(sets, n_sets, behind);
    made->n_sets = n_sets;
    if (sql != NULL)
        made->sql = memcpy(behind + sets_bytes, sql, sql_bytes);
    atomic_init(&made->references, 1);
    made->pool = pgdbm__pool_ref(pool);
    made->kind = kind;
    made->need = (struct pgdbm__need){
        .account = &pool->account, .deadline = PGDBM__NEVER, .thread = pgdbm__thread_token(), .no_thread = true};
    made->waiter = (struct pgdbm__waiter){.need = &made->need, .answer = pgdbm__task_answered};
    made->deadline = PGDBM__NEVER;
    made->timer.fire = pgdbm__task_time_is_up;
    made->post.run = pgdbm__task_run_callback;
    *task = made;
    return PGDBM_OK;
}

struct pgdbm_request *pgdbm__task_ref(struct pgdbm_request *task)
{
    atomic_fetch_add_explicit(&task->references, 1, memory_order_relaxed);
    return task;
}

void pgdbm__task_unref(struct pgdbm_request *task)
{
    if (task == NULL || atomic_fetch_sub_explicit(&task->references, 1, memory_order_acq_rel) != 1)
        return;
    struct pgdbm_pool *pool = task->pool;
    pgdbm_result_free(task->outcome.result);
    pgdbm__statement_unref(task->statement);
    pgdbm__flights_free(pool, task->flights);
    pgdbm__flight_give(pool, task->flight);
    pgdbm__flight_give(pool, task->told);
    if (task->need.account != &pool->account)
        pgdbm__account_unref(task->need.account);
    pgdbm__free(task);
    pgdbm__pool_unref(pool);
}
