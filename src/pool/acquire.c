/* SPDX-License-Identifier: MIT */
/* Routing and waiting.
 *
 * An idle session is taken first, the warmest one. Where there is none the pool is asked to grow, and an independent
 * request shares the session with the fewest in flight; a lease waits. Waiters are served first come, first served; for
 * each lease that waits one shared session is drained (it takes nothing new), so that traffic cannot starve it. */
#include "pool/pool.h"

#include "base/clock.h"
#include "base/error.h"

#include <assert.h>

/* The shared session that can take one more, or NULL. */
static struct pgdbm__member *least_loaded(struct pgdbm_pool *pool, size_t limit)
{
    struct pgdbm__member *best = NULL;
    for (struct pgdbm__member *member = pool->places[PGDBM__SHARED].first; member != NULL; member = member->next)
        if (!member->draining && member->in_flight < limit && (best == NULL || member->in_flight < best->in_flight) &&
            !atomic_load_explicit(&member->session.lost, memory_order_relaxed) &&
            atomic_load_explicit(&member->session.canceling, memory_order_relaxed) == 0)
            best = member;
    return best;
}

/* The idle session this thread used last, else one that nobody used yet, else the warmest. A thread that stays with its
 * session stays with its backend: the kernel then keeps the two close, which is worth a third of the throughput when
 * there are as many callers as sessions. */
static struct pgdbm__member *take_idle(struct pgdbm_pool *pool)
{
    const char *this_thread = pgdbm__thread_token();
    struct pgdbm__member *best = NULL;
    struct pgdbm__member *next;
    for (struct pgdbm__member *member = pool->places[PGDBM__IDLE].first; member != NULL; member = next) {
        next = member->next;
        if (atomic_load_explicit(&member->session.lost, memory_order_relaxed))
            pgdbm__pool_move(pool, member, PGDBM__DEAD);
        else if (member->last_thread == this_thread)
            return member;
        else if (best == NULL || (best->last_thread != NULL && member->last_thread == NULL))
            best = member;
    }
    if (best != NULL)
        best->last_thread = this_thread;
    return best;
}

static bool can_grow(const struct pgdbm_pool *pool)
{
    size_t sessions = pgdbm__pool_live(pool) + pool->places[PGDBM__CONNECTING].length;
    return sessions < (size_t)pool->config->values.max_connections;
}

/* A session for this kind of use, already moved and counted; NULL when there is none. */
static struct pgdbm__member *route(struct pgdbm_pool *pool, bool lease, struct pgdbm__spot spot)
{
    struct pgdbm__member *member = take_idle(pool);
    if (member == NULL && !pool->grow && can_grow(pool)) {
        pool->grow = true;
        pthread_cond_broadcast(&pool->changed);
    }
    if (member == NULL && !lease)
        member = least_loaded(pool, (size_t)pool->config->values.max_pipeline);
    if (member == NULL)
        return NULL;
    if (lease) {
        pgdbm__pool_move(pool, member, PGDBM__LEASED);
        member->leased_since = pgdbm__now_coarse_ns();
        member->spot = spot;
        member->leak_reported = false;
        pool->counters.leases++;
    } else {
        if (member->place == PGDBM__IDLE)
            pgdbm__pool_move(pool, member, PGDBM__SHARED);
        member->in_flight++;
    }
    member->uses++;
    return member;
}

static void unlink_waiter(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter)
{
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        pool->first_waiter = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        pool->last_waiter = waiter->previous;
    pool->n_waiters--;
}

static void link_waiter(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter)
{
    waiter->previous = pool->last_waiter;
    if (pool->last_waiter != NULL)
        pool->last_waiter->next = waiter;
    else
        pool->first_waiter = waiter;
    pool->last_waiter = waiter;
    pool->n_waiters++;
}

/* As many shared sessions are drained as leases wait, those with the least to finish first. */
static void drain_for(struct pgdbm_pool *pool, size_t leases)
{
    for (struct pgdbm__member *member = pool->places[PGDBM__SHARED].first; member != NULL; member = member->next) {
        if (member->draining && leases > 0)
            leases--;
        else
            member->draining = false;
    }
    while (leases > 0) {
        struct pgdbm__member *member = least_loaded(pool, SIZE_MAX);
        if (member == NULL)
            return;
        member->draining = true;
        leases--;
    }
}

void pgdbm__pool_serve(struct pgdbm_pool *pool)
{
    size_t leases = 0;
    struct pgdbm__waiter *next;
    for (struct pgdbm__waiter *waiter = pool->first_waiter; waiter != NULL; waiter = next) {
        next = waiter->next;
        waiter->granted = route(pool, waiter->lease, waiter->spot);
        if (waiter->granted != NULL) {
            unlink_waiter(pool, waiter);
            pgdbm__signal_raise(&waiter->signal, PGDBM__SIGNAL_FIRST);
        } else if (waiter->lease)
            leases++;
        else
            break;
    }
    drain_for(pool, leases);
    assert(pgdbm__pool_is_valid(pool));
}

void pgdbm__pool_refuse(struct pgdbm_pool *pool, const pgdbm_error *reason)
{
    while (pool->first_waiter != NULL) {
        struct pgdbm__waiter *waiter = pool->first_waiter;
        unlink_waiter(pool, waiter);
        waiter->refused = true;
        *waiter->reason = *reason;
        pgdbm__signal_raise(&waiter->signal, PGDBM__SIGNAL_FIRST);
    }
}

static const struct pgdbm__member *longest_lease(const struct pgdbm_pool *pool)
{
    const struct pgdbm__member *longest = NULL;
    for (const struct pgdbm__member *member = pool->places[PGDBM__LEASED].first; member != NULL; member = member->next)
        if (longest == NULL || member->leased_since <= longest->leased_since)
            longest = member; /* the clock is coarse; of equals the one further back is the older */
    return longest;
}

/* "no session within 30000 ms": with everything one needs to see why. Locked. */
static pgdbm_status time_out(struct pgdbm_pool *pool, const struct pgdbm__waiter *waiter, int64_t waited_ns,
                             pgdbm_error *err)
{
    pool->counters.acquire_timeouts++;
    pgdbm__fail(err, PGDBM_ERR_POOL,
                "no session became free within %lld ms: %zu of at most %d open, %zu leased, %zu shared, %zu waiting "
                "(asked for at %s:%d)",
                (long long)(waited_ns / PGDBM__MS), pgdbm__pool_live(pool), pool->config->values.max_connections,
                pool->places[PGDBM__LEASED].length, pool->places[PGDBM__SHARED].length, pool->n_waiters + 1,
                waiter->spot.file != NULL ? waiter->spot.file : "a verb", waiter->spot.line);
    const struct pgdbm__member *longest = longest_lease(pool);
    if (longest != NULL)
        pgdbm__error_detail(err, "the longest-held lease is %lld ms old and was taken at %s:%d",
                            (long long)((pgdbm__now_ns() - longest->leased_since) / PGDBM__MS),
                            longest->spot.file != NULL ? longest->spot.file : "?", longest->spot.line);
    else if (pool->failures > 0)
        pgdbm__error_detail(err, "the last attempt to connect failed: %s", pool->connect_error.message);
    pgdbm__error_hint(
        err, "end transactions and pinned sessions sooner, raise max_connections, or wait longer (acquire_timeout_ms)");
    return PGDBM_ERR_POOL;
}

static pgdbm_status closed_error(pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_POOL, "the pool is closed");
    pgdbm__error_hint(err, "close managers before the pool they are attached to, or stop using them then");
    return PGDBM_ERR_POOL;
}

/* Sleeps in the queue. Locked on entry and on return. */
static pgdbm_status wait_in_queue(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter, int64_t deadline,
                                  pgdbm_error *err)
{
    int64_t since = pgdbm__now_ns();
    link_waiter(pool, waiter);
    pgdbm__pool_serve(pool);
    pthread_mutex_unlock(&pool->lock);
    pgdbm__signal_wait(&waiter->signal, deadline);
    pthread_mutex_lock(&pool->lock);
    int64_t waited = pgdbm__now_ns() - since;
    pool->counters.acquire_wait_us += (uint64_t)(waited / 1000);
    if (waiter->granted != NULL)
        return PGDBM_OK;
    if (waiter->refused) {
        if (err != NULL)
            *err = *waiter->reason;
        return waiter->reason->status;
    }
    unlink_waiter(pool, waiter);
    pgdbm_status status = time_out(pool, waiter, waited, err);
    pgdbm__pool_serve(pool); /* a session drained for us is free again */
    return status;
}

pgdbm_status pgdbm__pool_acquire(struct pgdbm_pool *pool, bool lease, struct pgdbm__spot spot, int64_t deadline,
                                 struct pgdbm__member **member, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    pthread_mutex_lock(&pool->lock);
    *member = NULL;
    if (pool->closed)
        status = closed_error(err);
    else {
        /* Whoever waits has been here longer; but a request that a shared session can take does not queue behind a
         * lease. */
        bool behind = pool->first_waiter != NULL && (lease || pool->places[PGDBM__IDLE].length > 0);
        *member = behind ? NULL : route(pool, lease, spot);
        if (*member == NULL) {
            pgdbm_error reason;
            struct pgdbm__waiter waiter = {.lease = lease, .spot = spot, .reason = &reason};
            status = wait_in_queue(pool, &waiter, deadline, err);
            *member = waiter.granted;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return status;
}

static bool worn_out(const struct pgdbm_pool *pool, const struct pgdbm__member *member)
{
    const pgdbm_config *config = &pool->config->values;
    return atomic_load_explicit(&member->session.lost, memory_order_relaxed) || pool->closed ||
           (config->max_uses > 0 && member->uses >= (uint64_t)config->max_uses) ||
           (member->expires != PGDBM__NEVER && (member->uses & 63) == 0 && pgdbm__now_ns() > member->expires);
}

/* Cleans a session that nobody else is on. A session that cannot be cleaned is not used again. */
static void clean(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    const pgdbm_config *config = &pool->config->values;
    pgdbm_error err;
    if (pgdbm__session_reset(&member->session, config->init_commands, config->n_init_commands, pgdbm__deadline(5000),
                             &err) == PGDBM_OK)
        return;
    if (!atomic_load(&member->session.lost))
        pgdbm__log_write(&pool->log, PGDBM_LOG_WARNING, "a session could not be cleaned and is closed: %s",
                         err.message);
    pgdbm__session_abort(&member->session);
}

static bool needs_cleaning(const struct pgdbm__member *member)
{
    return !atomic_load(&member->session.lost) &&
           (atomic_load(&member->session.dirty) || atomic_load(&member->session.transaction_status) != 'I');
}

/* Where a session goes that nobody uses any more. Locked. */
static void settle(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    if (worn_out(pool, member)) {
        pgdbm__pool_move(pool, member, PGDBM__DEAD);
        pgdbm__pool_wake(pool);
    } else {
        pgdbm__pool_move(pool, member, PGDBM__IDLE);
        member->idle_since = pgdbm__now_coarse_ns();
    }
}

void pgdbm__pool_hold(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pthread_mutex_lock(&pool->lock);
    pgdbm__pool_ref(pool);
    member->in_flight++;
    pthread_mutex_unlock(&pool->lock);
}

void pgdbm__pool_let_go(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pthread_mutex_lock(&pool->lock);
    bool abandoned = member->abandoned;
    if (!abandoned)
        member->in_flight--;
    pthread_mutex_unlock(&pool->lock);
    if (abandoned)
        pgdbm__pool_release(pool, member, false);
    pgdbm__pool_unref(pool);
}

void pgdbm__pool_release(struct pgdbm_pool *pool, struct pgdbm__member *member, bool lease)
{
    pthread_mutex_lock(&pool->lock);
    if (!lease)
        member->in_flight--;
    if (lease && member->in_flight > 0) {
        member->abandoned = true;
        pgdbm__session_abort(&member->session);
    } else if (member->in_flight == 0) {
        if (needs_cleaning(member)) {
            if (!lease)
                pgdbm__pool_move(pool, member, PGDBM__LEASED);
            member->leased_since = pgdbm__now_coarse_ns();
            pool->counters.resets++;
            pthread_mutex_unlock(&pool->lock);
            clean(pool, member);
            pthread_mutex_lock(&pool->lock);
        }
        settle(pool, member);
    }
    if (pool->closed)
        pthread_cond_broadcast(&pool->changed);
    else if (pool->first_waiter != NULL)
        pgdbm__pool_serve(pool);
    pthread_mutex_unlock(&pool->lock);
}
