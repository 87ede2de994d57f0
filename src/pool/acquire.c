/* SPDX-License-Identifier: MIT */
/* Taking a session and giving it back, for threads that wait. Who cannot be served at once waits in its manager's queue
 * (account.c), asleep; or, when asynchronous requests are under way, driving the pool meanwhile: the thread may be the
 * very one that is expected to. */
#include "pool/task.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

static const struct pgdbm__member *longest_lease(const struct pgdbm_pool *pool)
{
    const struct pgdbm__member *longest = NULL;
    for (const struct pgdbm__member *member = pool->places[PGDBM__LEASED].first; member != NULL; member = member->next)
        if (longest == NULL || member->leased_since <= longest->leased_since)
            longest = member; /* the clock is coarse; of equals the one further back is the older */
    return longest;
}

static const char *file_of(struct pgdbm__spot spot, const char *otherwise)
{
    return spot.file != NULL ? spot.file : otherwise;
}

/* "no session within 30000 ms": with everything one needs to see why. */
pgdbm_status pgdbm__pool_time_out(struct pgdbm_pool *pool, const struct pgdbm__need *need, int64_t waited_ns,
                                  pgdbm_error *err)
{
    pool->counters.acquire_timeouts++;
    pgdbm__fail(err, PGDBM_ERR_POOL,
                "no session became free within %lld ms: %zu of at most %d open, %zu leased, %zu shared, %zu waiting "
                "(asked for at %s:%d)",
                (long long)(waited_ns / PGDBM__MS), pgdbm__pool_live(pool), pool->config->values.max_connections,
                pool->places[PGDBM__LEASED].length, pool->places[PGDBM__SHARED].length, pool->n_waiters + 1,
                file_of(need->spot, "a verb"), need->spot.line);
    const struct pgdbm__member *longest = longest_lease(pool);
    if (longest != NULL)
        pgdbm__error_detail(err, "the longest-held lease is %lld ms old and was taken at %s:%d",
                            (long long)((pgdbm__now_ns() - longest->leased_since) / PGDBM__MS),
                            file_of(longest->spot, "?"), longest->spot.line);
    else if (pool->failures > 0)
        pgdbm__error_detail(err, "the last attempt to connect failed: %s", pool->connect_error.message);
    pgdbm__error_hint(
        err, "end transactions and pinned sessions sooner, raise max_connections, or wait longer (acquire_timeout_ms)");
    return PGDBM_ERR_POOL;
}

pgdbm_status pgdbm__pool_ours(const struct pgdbm_pool *pool, pgdbm_error *err)
{
    if (pool->process == pgdbm__process_number())
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_POOL, "this pool belongs to the process that this one was forked from");
    pgdbm__error_hint(err, "open a pool after the fork: two processes cannot speak on one connection");
    return PGDBM_ERR_POOL;
}

pgdbm_status pgdbm__pool_usable(struct pgdbm_pool *pool, pgdbm_error *err)
{
    if (!pool->closed)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_POOL, "the pool is closed");
    pgdbm__error_hint(err, "close managers before the pool they are attached to, or stop using them then");
    return PGDBM_ERR_POOL;
}

/* Whether a thread with this token waits for a session. */
static bool waits(const struct pgdbm_pool *pool, const char *thread)
{
    const struct pgdbm__account *account = pool->ring;
    if (account == NULL || thread == NULL)
        return false;
    do {
        for (int kind = 0; kind < PGDBM__WAITING_KINDS; kind++)
            for (const struct pgdbm__waiter *waiter = account->waiting[kind].first; waiter != NULL;
                 waiter = waiter->next)
                if (waiter->answer == NULL && waiter->need->thread == thread)
                    return true;
        account = account->next;
    } while (account != pool->ring);
    return false;
}

/* Every session is leased, and each by a thread that waits here itself: none will ever be given back. Returns a lease of
 * the thread that asks, to be named, or NULL when there is hope. */
static const struct pgdbm__member *deadlocked(const struct pgdbm_pool *pool, const struct pgdbm__need *need)
{
    const struct pgdbm__member *own = NULL;
    if (pool->places[PGDBM__LEASED].length < (size_t)pool->config->values.max_connections)
        return NULL;
    for (const struct pgdbm__member *member = pool->places[PGDBM__LEASED].first; member != NULL;
         member = member->next) {
        if (member->hub)
            continue;
        if (member->owner == need->thread)
            own = member;
        else if (!waits(pool, member->owner))
            return NULL;
    }
    return own;
}

static pgdbm_status refuse_deadlock(struct pgdbm_pool *pool, const struct pgdbm__need *need,
                                    const struct pgdbm__member *own, pgdbm_error *err)
{
    pgdbm__fail(
        err, PGDBM_ERR_POOL,
        "waiting for a session at %s:%d would never end: this thread holds the one it took at %s:%d, and all %d "
        "sessions are held by threads that wait for another",
        file_of(need->spot, "a verb"), need->spot.line, file_of(own->spot, "?"), own->spot.line,
        pool->config->values.max_connections);
    pgdbm__error_hint(err,
                      "use the handle that is open (the transaction's, the pinned session's) for what is done while "
                      "it is open, or raise max_connections above the number of threads that nest");
    pool->counters.acquire_timeouts++;
    return PGDBM_ERR_POOL;
}

static bool is_answered(void *context)
{
    const struct pgdbm__waiter *waiter = context;
    return waiter->granted != NULL || waiter->refused;
}

/* Sleeps in the queue. Locked on entry and on return. */
static pgdbm_status wait_in_queue(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter, pgdbm_error *err)
{
    struct pgdbm__need *need = waiter->need;
    const struct pgdbm__member *own = deadlocked(pool, need);
    if (own != NULL)
        return refuse_deadlock(pool, need, own, err);
    pgdbm__wait_enter(pool, waiter);
    waiter->drives = pool->n_tasks + pool->n_chores > 0;
    pgdbm__pool_serve(pool);
    pgdbm__pool_unlock(pool);
    int cancel_state = pgdbm__cancel_defer();
    if (waiter->drives)
        pgdbm__pool_drive_until(pool, is_answered, waiter, need->deadline);
    else
        pgdbm__signal_wait(&waiter->signal, need->deadline);
    pgdbm__cancel_restore(cancel_state);
    pthread_mutex_lock(&pool->lock);
    if (waiter->granted != NULL)
        return PGDBM_OK;
    int64_t waited = pgdbm__now_ns() - need->since;
    pool->counters.acquire_wait_us += (uint64_t)(waited / 1000);
    if (waiter->refused) {
        if (err != NULL)
            *err = *waiter->reason;
        return waiter->reason->status;
    }
    pgdbm__wait_leave(pool, waiter);
    pgdbm_status status = pgdbm__pool_time_out(pool, need, waited, err);
    pgdbm__pool_serve(pool); /* a session drained for us is free again */
    return status;
}

pgdbm_status pgdbm__pool_acquire(struct pgdbm_pool *pool, struct pgdbm__need *need, struct pgdbm__member **member,
                                 pgdbm_error *err)
{
    *member = NULL;
    pgdbm_status status = pgdbm__pool_ours(pool, err);
    if (status != PGDBM_OK)
        return status;
    if (need->account == NULL)
        need->account = &pool->account;
    need->thread = pgdbm__thread_token();
    pgdbm__pool_push_left(pool);
    pthread_mutex_lock(&pool->lock);
    status = pgdbm__pool_usable(pool, err);
    if (status == PGDBM_OK) {
        *member = pgdbm__pool_try(pool, need);
        if (*member == NULL) {
            pgdbm_error reason;
            struct pgdbm__waiter waiter = {.need = need, .reason = &reason};
            status = wait_in_queue(pool, &waiter, err);
            *member = waiter.granted;
        }
    }
    pgdbm__pool_unlock(pool);
    return status;
}

/* Whoever waits has been here longer; but a request that a shared session can take does not queue behind a lease. */
struct pgdbm__member *pgdbm__pool_try(struct pgdbm_pool *pool, struct pgdbm__need *need)
{
    bool behind = need->lease ? pool->n_waiters > 0
                              : pool->n_waiting[PGDBM__REQUESTS] > 0 ||
                                    (pool->n_waiters > 0 && pool->places[PGDBM__IDLE].length > 0);
    if (behind || pgdbm__account_is_full(need->account))
        return NULL;
    return pgdbm__pool_route(pool, need);
}

static bool worn_out(const struct pgdbm_pool *pool, const struct pgdbm__member *member)
{
    const pgdbm_config *config = &pool->config->values;
    return atomic_load_explicit(&member->session.lost, memory_order_relaxed) || pool->closed || member->worn ||
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
    pgdbm__session_abort(&member->session, "it could not be cleaned");
}

bool pgdbm__member_needs_cleaning(const struct pgdbm__member *member)
{
    return !atomic_load(&member->session.lost) &&
           (atomic_load(&member->session.dirty) || atomic_load(&member->session.transaction_status) != 'I');
}

void pgdbm__member_settle(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    member->load_ns = member->known_ns = 0;
    member->hub = false;
    if (worn_out(pool, member)) {
        pgdbm__pool_move(pool, member, PGDBM__DEAD);
        pgdbm__pool_wake(pool);
    } else {
        pgdbm__pool_move(pool, member, PGDBM__IDLE);
        member->idle_since = pgdbm__now_coarse_ns();
    }
}

void pgdbm__pool_released(struct pgdbm_pool *pool)
{
    if (pool->closed)
        pthread_cond_broadcast(&pool->changed);
    else if (pool->n_waiters > 0)
        pgdbm__pool_serve(pool);
    pgdbm__pool_progress(pool);
}

void pgdbm__pool_hold(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pthread_mutex_lock(&pool->lock);
    pgdbm__pool_ref(pool);
    member->in_flight++;
    pthread_mutex_unlock(&pool->lock);
}

/* Nobody is on the session any more. Locked; let go while a session is cleaned. */
static void vacate(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    if (pgdbm__member_needs_cleaning(member)) {
        if (member->place != PGDBM__LEASED)
            pgdbm__pool_move(pool, member, PGDBM__LEASED);
        member->leased_since = pgdbm__now_coarse_ns();
        member->owner = NULL;
        pool->counters.resets++;
        pthread_mutex_unlock(&pool->lock);
        clean(pool, member);
        pthread_mutex_lock(&pool->lock);
    }
    pgdbm__member_settle(pool, member);
}

void pgdbm__pool_let_go(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    pthread_mutex_lock(&pool->lock);
    member->in_flight--;
    if (member->abandoned && member->in_flight == 0 && pgdbm__lease_is_quiet(member)) {
        member->abandoned = false;
        vacate(pool, member);
        pgdbm__pool_released(pool);
    }
    pgdbm__pool_unlock(pool);
    pgdbm__pool_unref(pool);
}

void pgdbm__pool_release(struct pgdbm_pool *pool, struct pgdbm__member *member, const struct pgdbm__need *need)
{
    if (need->lease)
        pgdbm__lease_quiesce(pool, member);
    pthread_mutex_lock(&pool->lock);
    need->account->in_flight--;
    if (!need->lease)
        pgdbm__member_discharge(member, need);
    if (need->lease && member->in_flight > 0) { /* a stream's callback has ended its own transaction */
        member->abandoned = true;
        pgdbm__session_abort(&member->session, "its transaction was ended by the callback of its own stream");
    } else if (member->in_flight == 0 && !member->abandoned)
        vacate(pool, member);
    pgdbm__pool_released(pool);
    pgdbm__pool_unlock(pool);
}
