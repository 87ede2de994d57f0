/* SPDX-License-Identifier: MIT */
/* Routing: which session takes a request.
 *
 * An idle session is taken first. Where there is none the pool is asked to grow, and meanwhile an independent request
 * shares the session that the server is expected to be done with soonest: each statement's time is measured, a
 * statement that has not been measured yet counts as slow, and so does one that is taking longer than it did. A session
 * with a few milliseconds of measured work in flight takes nothing more: what waits in the pool's queue can still go
 * anywhere, be cancelled without a trace, and is served in fair turns. A lease waits for a session that nobody is on;
 * for each lease that waits one shared session is drained (it takes nothing new), so that traffic cannot starve it.
 *
 * Everything here is called with the pool's lock held. */
#include "pool/pool.h"

#include "base/clock.h"

#include <assert.h>

/* What a statement that has not been measured is taken for: when a neighbour is looked for, and when a turn is charged.
 */
#define UNKNOWN_LOAD_NS (INT64_C(100) * PGDBM__MS)
#define UNKNOWN_COST_NS (INT64_C(50) * 1000)
/* So much measured work on a session is enough; on a slow network it takes more of it to keep the session busy. */
#define ENOUGH_NS (INT64_C(2) * PGDBM__MS)
#define ENOUGH_ROUND_TRIPS 4
/* Who would be so much later on the session that has room waits for one that has enough to do at the moment. */
#define MUCH_LATER_NS (INT64_C(10) * PGDBM__MS)
/* Above what the coarse clock lags behind, so that sessions in constant use are not looked at. */
#define RESTED_NS (INT64_C(5) * PGDBM__MS)

int64_t pgdbm__statement_cost(const struct pgdbm__statement *statement)
{
    int64_t known = statement != NULL ? atomic_load_explicit(&statement->service_ns, memory_order_relaxed) : 0;
    return known > 0 ? known : UNKNOWN_COST_NS;
}

static bool can_grow(const struct pgdbm_pool *pool)
{
    size_t sessions = pgdbm__pool_live(pool) + pool->places[PGDBM__CONNECTING].length + pool->n_canceling;
    return sessions < (size_t)pool->config->values.max_connections;
}

static bool is_prepared(const struct pgdbm__member *member, const struct pgdbm__statement *statement)
{
    return statement != NULL &&
           (atomic_load_explicit(&statement->prepared_on, memory_order_relaxed) >> (member->session.number % 64) & 1) !=
               0;
}

static bool can_share(const struct pgdbm__member *member)
{
    return !member->draining && !atomic_load_explicit(&member->session.lost, memory_order_relaxed) &&
           atomic_load_explicit(&member->session.canceling, memory_order_relaxed) == 0;
}

/* When the server may be done with it: what is in flight, and as long again as the head has been in work already. */
static int64_t expected_ns(const struct pgdbm__member *member, int64_t now)
{
    int64_t since = atomic_load_explicit(&member->session.head_since, memory_order_relaxed);
    int64_t round_trip = atomic_load_explicit(&member->session.round_trip_ns, memory_order_relaxed);
    int64_t in_work = since > 0 ? now - since - round_trip : 0;
    return member->load_ns + (in_work > 0 ? in_work : 0);
}

/* The shared session that takes one more soonest, or NULL: also when all that have room are at something slow, and another
 * one has not. Of equals the one that has the statement prepared. */
static struct pgdbm__member *soonest(struct pgdbm_pool *pool, size_t limit, const struct pgdbm__need *need)
{
    struct pgdbm__member *best = NULL;
    int64_t best_ns = 0;
    int64_t full_ns = INT64_MAX;
    for (struct pgdbm__member *member = pool->places[PGDBM__SHARED].first; member != NULL; member = member->next) {
        if (!can_share(member))
            continue;
        int64_t round_trips =
            atomic_load_explicit(&member->session.round_trip_ns, memory_order_relaxed) * ENOUGH_ROUND_TRIPS;
        int64_t ns = expected_ns(member, need->since);
        if (member->in_flight >= limit ||
            (member->in_flight > 0 && member->known_ns >= (ENOUGH_NS > round_trips ? ENOUGH_NS : round_trips))) {
            full_ns = ns < full_ns ? ns : full_ns;
            continue;
        }
        bool better = best == NULL || ns < best_ns || (ns == best_ns && member->in_flight < best->in_flight);
        if (!better && ns == best_ns && member->in_flight == best->in_flight)
            better = is_prepared(member, need->statement) && !is_prepared(best, need->statement);
        if (better) {
            best = member;
            best_ns = ns;
        }
    }
    return full_ns < best_ns - MUCH_LATER_NS ? NULL : best;
}

/* The idle session this thread used last, else one that no thread used yet, else one that has the statement prepared, else
 * the warmest. A thread that stays with its session stays with its backend: the kernel then keeps the two close, which
 * is worth a third of the throughput when there are as many callers as sessions. */
static struct pgdbm__member *choose_idle(struct pgdbm_pool *pool, const struct pgdbm__need *need)
{
    struct pgdbm__member *best = NULL;
    struct pgdbm__member *next;
    int best_rank = -1;
    for (struct pgdbm__member *member = pool->places[PGDBM__IDLE].first; member != NULL; member = next) {
        next = member->next;
        if (atomic_load_explicit(&member->session.lost, memory_order_relaxed)) {
            pgdbm__pool_move(pool, member, PGDBM__DEAD);
            continue;
        }
        if (member->last_thread == need->thread)
            return member;
        int rank = is_prepared(member, need->statement) ? 1 : 0;
        if (member->last_thread == NULL && !need->no_thread)
            rank += 2; /* it is no other thread's */
        if (rank > best_rank) {
            best = member;
            best_rank = rank;
        }
    }
    if (best != NULL)
        best->last_thread = need->thread;
    return best;
}

/* A session that has rested is looked at before it is taken: on a busy machine the housekeeper may not have come to see that
 * it has ended, and what is sent on it then has an unknown outcome. */
static struct pgdbm__member *take_idle(struct pgdbm_pool *pool, const struct pgdbm__need *need)
{
    struct pgdbm__member *member = choose_idle(pool, need);
    while (member != NULL && need->since - member->idle_since > RESTED_NS &&
           pgdbm__transport_has_ended(&member->session.transport)) {
        atomic_store(&member->session.lost, true);
        member = choose_idle(pool, need);
    }
    return member;
}

static void charge(struct pgdbm__member *member, struct pgdbm__need *need)
{
    int64_t known =
        need->statement != NULL ? atomic_load_explicit(&need->statement->service_ns, memory_order_relaxed) : 0;
    need->load_ns = known > 0 ? known : UNKNOWN_LOAD_NS;
    need->known_ns = known;
    member->in_flight++;
    member->load_ns += need->load_ns;
    member->known_ns += need->known_ns;
}

void pgdbm__member_discharge(struct pgdbm__member *member, const struct pgdbm__need *need)
{
    member->in_flight--;
    member->load_ns -= need->load_ns;
    member->known_ns -= need->known_ns;
}

struct pgdbm__member *pgdbm__pool_route(struct pgdbm_pool *pool, struct pgdbm__need *need)
{
    struct pgdbm__member *member = take_idle(pool, need);
    if (member == NULL && !pool->grow && can_grow(pool)) {
        pool->grow = true;
        pthread_cond_broadcast(&pool->changed);
    }
    if (member == NULL && !need->lease)
        member = soonest(pool, (size_t)pool->config->values.max_pipeline, need);
    if (member == NULL)
        return NULL;
    if (need->lease) {
        pgdbm__pool_move(pool, member, PGDBM__LEASED);
        member->leased_since = pgdbm__now_coarse_ns();
        member->spot = need->spot;
        member->owner = need->no_thread ? NULL : need->thread;
        member->leak_reported = false;
        pool->counters.leases++;
    } else {
        if (member->place == PGDBM__IDLE)
            pgdbm__pool_move(pool, member, PGDBM__SHARED);
        charge(member, need);
    }
    need->account->in_flight++;
    need->account->granted++;
    member->uses++;
    return member;
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
        struct pgdbm__member *best = NULL;
        for (struct pgdbm__member *member = pool->places[PGDBM__SHARED].first; member != NULL; member = member->next)
            if (can_share(member) && (best == NULL || member->in_flight < best->in_flight))
                best = member;
        if (best == NULL)
            return;
        best->draining = true;
        leases--;
    }
}

static void answer(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter, const pgdbm_error *refusal)
{
    if (waiter->answer != NULL) {
        waiter->answer(pool, waiter, refusal);
        return;
    }
    bool drives = waiter->drives;
    waiter->refused = refusal != NULL;
    if (refusal != NULL)
        *waiter->reason = *refusal;
    pgdbm__signal_raise(&waiter->signal, PGDBM__SIGNAL_FIRST);
    if (drives)
        pgdbm__poller_wake(&pool->poller);
}

static bool serve_one(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter)
{
    struct pgdbm__account *account = waiter->need->account;
    uint64_t waited_us = (uint64_t)(pool->served_at - waiter->need->since) / 1000;
    waiter->granted = pgdbm__pool_route(pool, waiter->need);
    if (waiter->granted == NULL)
        return false;
    account->waited++;
    account->wait_us += waited_us;
    if (waited_us > account->longest_wait_us)
        account->longest_wait_us = waited_us;
    pool->counters.acquire_wait_us += waited_us;
    pgdbm__wait_served(pool, waiter);
    answer(pool, waiter, NULL);
    return true;
}

/* Leases and requests compete for idle sessions; who has waited longer goes first. */
void pgdbm__pool_serve(struct pgdbm_pool *pool)
{
    if (pool->n_waiters > 0)
        pool->served_at = pgdbm__now_ns();
    while (pool->n_waiters > 0) {
        struct pgdbm__waiter *lease = pgdbm__wait_next(pool, PGDBM__LEASES);
        struct pgdbm__waiter *request = pgdbm__wait_next(pool, PGDBM__REQUESTS);
        bool lease_first = lease != NULL && (request == NULL || lease->need->since <= request->need->since);
        struct pgdbm__waiter *first = lease_first ? lease : request;
        struct pgdbm__waiter *second = lease_first ? request : lease;
        if (first == NULL)
            break;
        if (!serve_one(pool, first) && (second == NULL || !serve_one(pool, second)))
            break;
    }
    drain_for(pool, pool->n_waiting[PGDBM__LEASES]);
    assert(pgdbm__pool_is_valid(pool));
}

void pgdbm__pool_refuse(struct pgdbm_pool *pool, const pgdbm_error *reason)
{
    while (pool->ring != NULL) {
        struct pgdbm__account *account = pool->ring;
        struct pgdbm__waiter *waiter = account->waiting[PGDBM__REQUESTS].first;
        if (waiter == NULL)
            waiter = account->waiting[PGDBM__LEASES].first;
        pgdbm__wait_leave(pool, waiter);
        answer(pool, waiter, reason);
    }
}
