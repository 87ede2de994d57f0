/* SPDX-License-Identifier: MIT */
/* Cancelling asynchronous requests on the server.
 *
 * A cancel request names a backend, not a statement, and travels on a connection of its own: it may come before the
 * statement has begun (then it is ignored, and sent again), or after it is done (then it would hit the next). So it is
 * sent only for the request that the server is at; from then on the session takes nothing new; and when the request is
 * complete and the server has closed the cancel's connection, a round trip proves that the backend has seen it. A
 * neighbour that is hit all the same was rolled back, and is asked again (run.c).
 *
 * The housekeeper sends cancels, because libpq's call for it blocks. Everything here is called with the pool's lock
 * held. */
#include "pool/task.h"

#include "base/clock.h"

#include <string.h>

#define FIRST_PATIENCE_NS (INT64_C(20) * PGDBM__MS)
#define MAX_PATIENCE_NS (INT64_C(1000) * PGDBM__MS)

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

static void prove(struct pgdbm_pool *pool, struct pgdbm__member *member);

/* The session takes requests again. */
static void finish(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    member->canceling.under_way = false;
    pgdbm__timer_stop(pool, &member->canceling.timer);
    pool->n_chores--;
    member->in_flight--;
    atomic_fetch_sub(&member->session.canceling, 1);
    if (member->place == PGDBM__LEASED) {
        pgdbm__lease_advance(pool, member);
        pgdbm__lease_look(pool, member);
    } else if (member->in_flight == 0)
        pgdbm__member_vacate(pool, member);
    pgdbm__pool_released(pool);
}

/* When nothing is to be cancelled and no cancel is on its way: the last one has to be proven, or has been. */
static void go_on(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    if (canceling->target != NULL || canceling->sending || canceling->proof != NULL)
        return;
    if (canceling->unproven)
        prove(pool, member);
    else
        finish(pool, member);
}

static void proven(struct pgdbm__request *flight, uint32_t reason)
{
    struct pgdbm__member *member = flight->context;
    struct pgdbm_pool *pool = member->pool;
    if (reason != PGDBM__SIGNAL_DONE)
        return;
    pthread_mutex_lock(&pool->lock);
    pgdbm__flight_give_locked(pool, flight);
    member->canceling.proof = NULL;
    go_on(pool, member);
    pgdbm__pool_unlock(pool);
}

/* No answer. The proof may stand behind a neighbour's statement that takes long: only when the server is at the proof, and
 * does not answer even then, is the session given up. */
static void is_late(struct pgdbm_pool *pool, struct pgdbm__timer *timer)
{
    struct pgdbm__member *member =
        (struct pgdbm__member *)(void *)((char *)timer - offsetof(struct pgdbm__member, canceling.timer));
    struct pgdbm__canceling *canceling = &member->canceling;
    int64_t now = pgdbm__now_ns();
    int64_t heard = atomic_load_explicit(&member->session.read_ns, memory_order_relaxed);
    bool patient = now < canceling->give_up || now < heard + PGDBM__CANCEL_GRACE_NS;
    if (canceling->target == NULL) {
        bool its_turn = canceling->proof != NULL && pgdbm__session_await_head(&member->session, canceling->proof, true);
        patient = !(its_turn && canceling->proof_was_due);
        canceling->proof_was_due = its_turn;
    }
    if (!patient)
        pgdbm__session_abort(&member->session,
                             "the server does not answer a cancel request"); /* its requests come back as lost */
    else if (canceling->target == NULL)
        (void)pgdbm__timer_start(pool, timer, now + PGDBM__CANCEL_GRACE_NS);
    else {
        canceling->patience_ns =
            canceling->patience_ns < MAX_PATIENCE_NS ? canceling->patience_ns * 2 : MAX_PATIENCE_NS;
        send_one(pool, member);
    }
}

/* The request is complete and the cancel has been delivered. */
static void prove(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    struct pgdbm__request *flight = pgdbm__flight_take_locked(pool);
    member->canceling.unproven = false;
    if (flight != NULL) {
        flight->kind = PGDBM__REQUEST_SYNC;
        flight->notify = proven;
        flight->context = member;
        member->canceling.proof_was_due = false;
        if (pgdbm__session_enqueue(&member->session, flight, PGDBM__NEVER))
            member->canceling.proof = flight;
    }
    if (member->canceling.proof == NULL) { /* lost already, or no memory to go on with it */
        pgdbm__flight_give_locked(pool, flight);
        pgdbm__session_abort(&member->session, "there is no memory to see a cancel through");
        finish(pool, member);
        return;
    }
    (void)pgdbm__timer_start(pool, &member->canceling.timer, pgdbm__now_ns() + PGDBM__CANCEL_GRACE_NS);
    pgdbm__pool_unpushed(pool, member->session.number);
}

/* Cancels for this request, now. */
static void aim(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *target)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    canceling->target = target;
    canceling->give_up = pgdbm__now_ns() + PGDBM__CANCEL_GRACE_NS;
    canceling->patience_ns = FIRST_PATIENCE_NS;
    pgdbm__timer_stop(pool, &canceling->timer);
    if (!canceling->sending)
        send_one(pool, member);
}

void pgdbm__cancel_begin(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *target)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    if (!canceling->under_way) {
        canceling->under_way = true;
        canceling->timer.fire = is_late;
        member->in_flight++;
        pool->n_chores++;
        atomic_fetch_add(&member->session.canceling, 1);
    }
    if (canceling->target == NULL)
        aim(pool, member, target); /* it was sent before the session was kept free */
    else if (canceling->target != target)
        canceling->next = target; /* the other one is complete; we are about to be told */
}

void pgdbm__cancel_landed(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *request)
{
    struct pgdbm__canceling *canceling = &member->canceling;
    struct pgdbm__request *next = canceling->next;
    if (next == request)
        canceling->next = NULL;
    if (!canceling->under_way || canceling->target != request)
        return;
    canceling->target = NULL;
    canceling->next = NULL;
    pgdbm__timer_stop(pool, &canceling->timer);
    if (next != NULL && next != request)
        aim(pool, member, next);
    else
        go_on(pool, member);
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
        canceling->unproven = canceling->unproven || wanted;
        pthread_mutex_unlock(&pool->lock);
        if (wanted)
            (void)pgdbm__transport_cancel(&member->session.transport);
        pthread_mutex_lock(&pool->lock);
        pool->n_canceling--;
        canceling->sending = false;
        if (canceling->target != NULL &&
            !pgdbm__timer_start(pool, &canceling->timer, pgdbm__now_ns() + canceling->patience_ns))
            pgdbm__session_abort(&member->session, "there is no memory to see a cancel through");
        go_on(pool, member);
    }
}
