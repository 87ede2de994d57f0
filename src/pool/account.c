/* SPDX-License-Identifier: MIT */
/* Who waits, and in what order: fair between managers, first come first served within one.
 *
 * Managers in whose name somebody waits stand in a ring. A turn gives a manager credit in proportion to its weight, and
 * each request it is served costs what its statement has been measured to take (deficit round robin), so that a manager
 * that floods the pool, or sends slow statements, is served in turn with one that asks for little. Everything here but
 * references is called with the pool's lock held. */
#include "pool/pool.h"

#include "base/alloc.h"

/* Credit for one turn of weight 1; and the most that one request is charged, so that a manager whose statements take
 * long waits some turns for them and not hundreds. */
#define TURN_NS (INT64_C(200) * 1000)
#define LARGEST_CHARGE_NS (TURN_NS * 20)

struct pgdbm__account *pgdbm__account_new(uint32_t weight, uint32_t quota)
{
    struct pgdbm__account *account = pgdbm__alloc_zero(1, sizeof *account);
    if (account == NULL)
        return NULL;
    atomic_init(&account->references, 1);
    account->weight = weight > 0 ? weight : 1;
    account->quota = quota;
    return account;
}

struct pgdbm__account *pgdbm__account_ref(struct pgdbm__account *account)
{
    atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
    return account;
}

void pgdbm__account_unref(struct pgdbm__account *account)
{
    if (account != NULL && atomic_fetch_sub_explicit(&account->references, 1, memory_order_acq_rel) == 1)
        pgdbm__free(account);
}

bool pgdbm__account_is_full(const struct pgdbm__account *account)
{
    return account->quota > 0 && account->in_flight >= account->quota;
}

/* Last in the ring: it has its turn when all others have had theirs. */
static void join_ring(struct pgdbm_pool *pool, struct pgdbm__account *account)
{
    if (pool->ring == NULL) {
        pool->ring = account->previous = account->next = account;
        return;
    }
    account->next = pool->ring;
    account->previous = pool->ring->previous;
    account->previous->next = account;
    pool->ring->previous = account;
}

static void leave_ring(struct pgdbm_pool *pool, struct pgdbm__account *account)
{
    if (pool->ring == account)
        pool->ring = account->next != account ? account->next : NULL;
    account->previous->next = account->next;
    account->next->previous = account->previous;
    account->previous = account->next = NULL;
    if (account->credit_ns > 0)
        account->credit_ns = 0; /* who asks for nothing saves nothing up */
}

void pgdbm__wait_enter(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter)
{
    int kind = waiter->need->lease ? PGDBM__LEASES : PGDBM__REQUESTS;
    struct pgdbm__waiters *queue = &waiter->need->account->waiting[kind];
    waiter->queued = true;
    waiter->next = NULL;
    waiter->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
    if (waiter->need->account->queued++ == 0)
        join_ring(pool, waiter->need->account);
    pool->n_waiting[kind]++;
    pool->n_waiters++;
}

void pgdbm__wait_leave(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter)
{
    int kind = waiter->need->lease ? PGDBM__LEASES : PGDBM__REQUESTS;
    struct pgdbm__waiters *queue = &waiter->need->account->waiting[kind];
    if (waiter->previous != NULL)
        waiter->previous->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->previous = waiter->previous;
    else
        queue->last = waiter->previous;
    waiter->previous = waiter->next = NULL;
    waiter->queued = false;
    if (--waiter->need->account->queued == 0)
        leave_ring(pool, waiter->need->account);
    pool->n_waiting[kind]--;
    pool->n_waiters--;
}

static bool has_turn(const struct pgdbm__account *account, int kind)
{
    return account->waiting[kind].first != NULL && !pgdbm__account_is_full(account);
}

/* An account that has used its credit up gets new credit and steps back. The loop ends: one turn of the ring finds
 * whether anybody can be served at all, and then everybody's credit grows with each further one. */
struct pgdbm__waiter *pgdbm__wait_next(struct pgdbm_pool *pool, int kind)
{
    if (pool->n_waiting[kind] == 0)
        return NULL;
    struct pgdbm__account *account = pool->ring;
    while (!has_turn(account, kind)) {
        account = account->next;
        if (account == pool->ring)
            return NULL;
    }
    while (!has_turn(pool->ring, kind) || pool->ring->credit_ns <= 0) {
        if (has_turn(pool->ring, kind))
            pool->ring->credit_ns += TURN_NS * pool->ring->weight;
        if (has_turn(pool->ring, kind) && pool->ring->next == pool->ring)
            continue;
        pool->ring = pool->ring->next;
    }
    return pool->ring->waiting[kind].first;
}

void pgdbm__wait_served(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter)
{
    int64_t cost = pgdbm__statement_cost(waiter->need->statement);
    waiter->need->account->credit_ns -= cost < LARGEST_CHARGE_NS ? cost : LARGEST_CHARGE_NS;
    pgdbm__wait_leave(pool, waiter);
}
