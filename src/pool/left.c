/* SPDX-License-Identifier: MIT */
/* What threads leave behind: a request that is in flight on a shared session, behind another one, when its deadline
 * passes. Its thread goes; a stand-in takes its place, holds its session and what else is needed until the server has
 * answered, and is cancelled when the server comes to it. Whoever reads the session reads for it. */
#include "pool/task.h"

#include "base/alloc.h"

struct left {
    struct pgdbm__request flight; /* first: what the session knows */
    struct pgdbm_pool *pool;
    struct pgdbm__member *member;
    struct pgdbm__need need;
    struct pgdbm__statement *statement;
};

static void free_left(struct left *left)
{
    struct pgdbm_pool *pool = left->pool;
    pgdbm__statement_unref(left->statement);
    pgdbm__account_unref(left->need.account);
    pgdbm__free(left);
    pgdbm__pool_unref(pool);
}

static void notified(struct pgdbm__request *flight, uint32_t reason)
{
    struct left *left = (struct left *)(void *)flight;
    struct pgdbm_pool *pool = left->pool;
    if (reason == PGDBM__SIGNAL_HEAD) {
        pthread_mutex_lock(&pool->lock);
        if (pgdbm__session_await_head(&left->member->session, flight, true))
            pgdbm__cancel_begin(pool, left->member, flight);
        pgdbm__pool_unlock(pool);
        return;
    }
    if (reason != PGDBM__SIGNAL_DONE)
        return;
    pgdbm__request_conclude(flight);
    pgdbm_result_free(flight->result);
    pgdbm__free(flight->new_types);
    if (flight->kind == PGDBM__REQUEST_DESCRIBE) /* else it has been given back */
        pgdbm__description_unref(flight->description);
    pthread_mutex_lock(&pool->lock);
    pool->n_chores--;
    pgdbm__cancel_landed(pool, left->member, flight);
    pgdbm__task_release(pool, left->member, &left->need);
    pgdbm__pool_unlock(pool);
    free_left(left);
}

struct pgdbm__request *pgdbm__left_make(struct pgdbm__request *request)
{
    const struct pgdbm__stay *stay = request->context;
    struct left *left = pgdbm__alloc_zero(1, sizeof *left);
    if (left == NULL)
        return NULL;
    left->pool = pgdbm__pool_ref(stay->pool);
    left->member = stay->member;
    left->need = *stay->need;
    left->need.account = pgdbm__account_ref(stay->need->account);
    left->statement = pgdbm__statement_ref(request->statement);
    left->need.statement = left->statement;
    left->flight.notify = notified;
    pthread_mutex_lock(&left->pool->lock);
    left->pool->n_chores++;
    pgdbm__pool_wake(left->pool);
    pthread_mutex_unlock(&left->pool->lock);
    return &left->flight;
}

void pgdbm__left_drop(struct pgdbm__request *stand_in)
{
    struct left *left = (struct left *)(void *)stand_in;
    pthread_mutex_lock(&left->pool->lock);
    left->pool->n_chores--;
    pthread_mutex_unlock(&left->pool->lock);
    free_left(left);
}
