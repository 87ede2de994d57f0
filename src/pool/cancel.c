/* SPDX-License-Identifier: MIT */
/* Cancelling asynchronous requests on the server.
 *
 * A cancel request names a backend, not a statement, and travels on a connection of its own: it may come before the
 * statement has begun (then it is ignored, and sent again), or after it is done (then it would hit the next). So it is
 * sent only for the request that the server is at; from then on the session takes nothing new; and when the request is
 * complete and the server has closed the cancel's connection, a round trip proves that the backend has seen it. A
 * neighbour that is hit all the same was rolled back, and is asked again (run.c). When the server comes to another request
 * that is to end before that is proven, the cancel goes over to it: the proof stands behind it in the session's FIFO.
 *
 * The housekeeper sends cancels, because libpq's call for it blocks. Everything here is called with the pool's lock
 * held. */
#include "pool/task.h"

#include "base/clock.h"

#include <string.h>

#define FIRST_PATIENCE_NS (INT64_C(20) * PGDBM__MS)

static void send_one(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    member->canceling.sending = true;
    member->canceling.successor = NULL;
    if (pool->last_cancel != NULL)
        pool->last_cancel->canceling.successor = member;
    else
        pool->first_cancel = member;
    pool->last_cancel = member;
    pool->n_canceling++;
    pgdbm__pool_wake(pool);
}

/* The session takes requests again. */
static void finish(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    member->canceling.under_way = false;
    pool->n_chores--;
    atomic_fetch_sub(&member->session.canceling, 1);
    if (member->place != PGDBM__LEASED) {
        if (--member->in_flight == 0)
            pgdbm__member_vacate(pool, member);
    } else if (member->abandoned) {
        member->in_flight--;
        member->abandoned = false;
        pgdbm__member_vacate(pool, member);
    } else {
        member->in_flight--;
        pgdbm__lease_advance(pool, member);
    }
    pgdbm__pool_released(pool);
}

static void proven(struct pgdbm__request *flight, uint32_t reason)
{
    struct pgdbm__member *member = flight->context;
    struct pgdbm_pool *pool = member->pool;
    if (reason != PGDBM__SIGNAL_DONE)
        return;
    pthread_mutex_lock(&pool->lock);
    struct pgdbm__canceling *canceling = &member->canceling;
    pgdbm__flight_give_locked(pool, flight);
    canceling->proofs--;
    if (canceling->proofs == 0 && canceling->target == NULL && !canceling->sending) {
        pgdbm__timer_stop(pool, &canceling->timer);
        finish(pool, member);
    }
    pgdbm__pool_unlock(pool);
}

static void is_late(struct pgdbm_pool *pool, struct pgdbm__timer *timer)
{
    struct pgdbm__member *member =
        (struct pgdbm__member *)(void *)((char *)timer - offsetof(struct pgdbm__member, canceling.timer));
    struct pgdbm__canceling *canceling = &member->canceling;
    int64_t now = pgdbm__now_ns();
    if (now >= canceling->give_up) {
        pgdbm__session_abort(&member->session); /* its requests come back as lost */
        return;
    }
    if (canceling->target == NULL) { /* the proof is on its way */
        (void)pgdbm__timer_start(pool, timer, canceling->give_up);
        return;
    }
    canceling->patience_ns *= 2;
    send_one(pool, member);
}

/* The request is complete and the cancel has been delivered. */
static void prove(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    struct pgdbm__request *flight = pgdbm__flight_take_locked(pool);
    if (flight != NULL) {
        flight->kind = PGDBM__REQUEST_SYNC;
        flight->notify = proven;
        flight->context = member;
        if (pgdbm__session_enqueue(&member->session, flight, PGDBM__NEVER)) {
            member->canceling.proofs++;
            (void)pgdbm__timer_start(pool, &member->canceling.timer, member->canceling.give_up);
            pgdbm__pool_unpushed(pool, member->session.number);
            return;
        }
        pgdbm__flight_give_locked(pool, flight);
    }
    pgdbm__session_abort(&member->session); /* lost already, or no memory to go on with it */
    if (member->canceling.proofs == 0)      /* else the one in flight comes back as lost */
        finish(pool, member);
}

/* Takes aim at a request that is at the head. */
static void aim(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *target)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    canceling->target = target;
    canceling->give_up = pgdbm__now_ns() + PGDBM__CANCEL_GRACE_NS;
    canceling->patience_ns = FIRST_PATIENCE_NS;
    canceling->timer.fire = is_late;
    pgdbm__timer_stop(pool, &canceling->timer);
    if (!canceling->sending) /* else it is asked for again when that one has not helped */
        send_one(pool, member);
}

void pgdbm__cancel_begin(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *target)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    if (canceling->under_way && canceling->target != NULL) {
        if (canceling->target != target)
            canceling->next = target;
        return;
    }
    if (!canceling->under_way) {
        canceling->under_way = true;
        member->in_flight++;
        pool->n_chores++;
        atomic_fetch_add(&member->session.canceling, 1);
    }
    aim(pool, member, target);
}

void pgdbm__cancel_landed(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *request)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    if (canceling->next == request)
        canceling->next = NULL;
    if (!canceling->under_way || canceling->target != request)
        return;
    struct pgdbm__request *next = canceling->next;
    canceling->target = canceling->next = NULL;
    pgdbm__timer_stop(pool, &canceling->timer);
    if (next != NULL)
        aim(pool, member, next);
    else if (!canceling->sending)
        prove(pool, member);
}

void pgdbm__cancels_send(struct pgdbm_pool *pool)
{
    struct pgdbm__member *member;
    while ((member = pool->first_cancel) != NULL) {
        struct pgdbm__canceling *canceling = &member->canceling;
        pool->first_cancel = canceling->successor;
        if (pool->first_cancel == NULL)
            pool->last_cancel = NULL;
        bool wanted = canceling->target != NULL;
        pthread_mutex_unlock(&pool->lock);
        if (wanted)
            (void)pgdbm__transport_cancel(&member->session.transport);
        pthread_mutex_lock(&pool->lock);
        pool->n_canceling--;
        canceling->sending = false;
        if (canceling->target == NULL)
            prove(pool, member);
        else if (!pgdbm__timer_start(pool, &canceling->timer, pgdbm__now_ns() + canceling->patience_ns))
            pgdbm__session_abort(&member->session);
    }
}
