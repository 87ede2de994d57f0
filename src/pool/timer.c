/* SPDX-License-Identifier: MIT */
/* Timers: a heap in an array, the earliest first. Everything here is called with the pool's lock held. */
#include "pool/pool.h"

#include "base/alloc.h"

static void put(struct pgdbm_pool *pool, struct pgdbm__timer *timer, size_t place)
{
    pool->timers[place - 1] = timer;
    timer->place = place;
}

static void sift_up(struct pgdbm_pool *pool, struct pgdbm__timer *timer, size_t place)
{
    for (size_t parent = place / 2; parent > 0 && pool->timers[parent - 1]->due > timer->due; parent = place / 2) {
        put(pool, pool->timers[parent - 1], place);
        place = parent;
    }
    put(pool, timer, place);
}

static void sift_down(struct pgdbm_pool *pool, struct pgdbm__timer *timer, size_t place)
{
    for (size_t child = place * 2; child <= pool->n_timers; child = place * 2) {
        if (child < pool->n_timers && pool->timers[child]->due < pool->timers[child - 1]->due)
            child++;
        if (pool->timers[child - 1]->due >= timer->due)
            break;
        put(pool, pool->timers[child - 1], place);
        place = child;
    }
    put(pool, timer, place);
}

bool pgdbm__timer_start(struct pgdbm_pool *pool, struct pgdbm__timer *timer, int64_t due)
{
    pgdbm__timer_stop(pool, timer);
    if (pool->n_timers >= pool->timers_capacity) {
        size_t capacity = pool->timers_capacity > 0 ? pool->timers_capacity * 2 : 64;
        struct pgdbm__timer **grown = pgdbm__realloc(pool->timers, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        pool->timers = grown;
        pool->timers_capacity = capacity;
    }
    timer->due = due;
    sift_up(pool, timer, ++pool->n_timers);
    if (due < pool->timer_set)
        pgdbm__pool_nudge(pool); /* whoever drives sets the poller's timer before it waits */
    return true;
}

void pgdbm__timer_stop(struct pgdbm_pool *pool, struct pgdbm__timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct pgdbm__timer *last = pool->timers[--pool->n_timers];
    if (last == timer)
        return;
    sift_up(pool, last, place);
    sift_down(pool, last, last->place);
}

void pgdbm__timers_fire(struct pgdbm_pool *pool, int64_t now)
{
    while (pool->n_timers > 0 && pool->timers[0]->due <= now) {
        struct pgdbm__timer *timer = pool->timers[0];
        pgdbm__timer_stop(pool, timer);
        timer->fire(pool, timer);
    }
}
