/* SPDX-License-Identifier: MIT */
/* Places. State is list membership: nothing but pgdbm__pool_move changes where a session is. Everything here is called
 * with the pool's lock held. */
#include "pool/pool.h"

#include <assert.h>

static void unlink_member(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    struct pgdbm__members *list = &pool->places[member->place];
    if (member->previous != NULL)
        member->previous->next = member->next;
    else
        list->first = member->next;
    if (member->next != NULL)
        member->next->previous = member->previous;
    else
        list->last = member->previous;
    member->previous = member->next = NULL;
    list->length--;
}

/* A session has a slot, by which the poller's events find it, from its beginning until nobody uses it any more. */
static void take_slot(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    unsigned number = 0;
    while (pool->slots[number] != NULL)
        number++;
    pool->slots[number] = member;
    member->session.number = number;
    member->session.key = number;
}

static void free_slot(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    if (pool->slots[member->session.number] == member)
        pool->slots[member->session.number] = NULL;
}

/* At the front: the session that came back last is the warmest, and the coldest one gets to its idle time-out. */
void pgdbm__pool_insert(struct pgdbm_pool *pool, struct pgdbm__member *member, enum pgdbm__place place)
{
    struct pgdbm__members *list = &pool->places[place];
    member->place = place;
    member->previous = NULL;
    member->next = list->first;
    if (list->first != NULL)
        list->first->previous = member;
    else
        list->last = member;
    list->first = member;
    list->length++;
    if (place == PGDBM__CONNECTING)
        take_slot(pool, member);
    else if (place == PGDBM__DEAD)
        free_slot(pool, member);
}

void pgdbm__pool_remove(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    unlink_member(pool, member);
    free_slot(pool, member);
}

void pgdbm__pool_move(struct pgdbm_pool *pool, struct pgdbm__member *member, enum pgdbm__place place)
{
    assert(place == PGDBM__SHARED || place == PGDBM__RETIRING || member->in_flight == 0);
    unlink_member(pool, member);
    member->draining = false;
    pgdbm__pool_insert(pool, member, place);
}

size_t pgdbm__pool_live(const struct pgdbm_pool *pool)
{
    return pool->places[PGDBM__IDLE].length + pool->places[PGDBM__SHARED].length + pool->places[PGDBM__LEASED].length +
           pool->places[PGDBM__RETIRING].length;
}

bool pgdbm__pool_is_valid(const struct pgdbm_pool *pool)
{
    size_t total = pgdbm__pool_live(pool) + pool->places[PGDBM__CONNECTING].length;
    if (total > (size_t)pool->config->values.max_connections)
        return false;
    if (pool->closed || pool->ring == NULL || pool->places[PGDBM__IDLE].length == 0)
        return true;
    /* Only who has its full share already may wait beside an idle session. */
    const struct pgdbm__account *account = pool->ring;
    do {
        if (!pgdbm__account_is_full(account))
            return false;
        account = account->next;
    } while (account != pool->ring);
    return true;
}
