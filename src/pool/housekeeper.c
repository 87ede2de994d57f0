/* SPDX-License-Identifier: MIT */
/* The housekeeper thread: sends cancel requests, closes dead sessions (nobody else closes one, so that no descriptor is reused under its
 * eyes), retires idle ones by idle time and age, notices sessions that the server ended, and reports leases that are
 * held too long. */
#include "pool/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* Time-outs are looked at this often: they are in seconds and minutes. */
#define TICK_MS 500
#define WATCHED 512

void pgdbm__pool_wake(struct pgdbm_pool *pool)
{
    int cancel_state = pgdbm__cancel_defer(); /* the caller holds the pool's lock, as a rule */
    /* A full pipe means that the housekeeper has been told already. */
    ssize_t written = write(pool->wake[1], "w", 1);
    (void)written;
    if (atomic_load(&pool->housekeeper_drives))
        pgdbm__poller_wake(&pool->poller);
    pgdbm__cancel_restore(cancel_state);
}

static void close_dead(struct pgdbm_pool *pool)
{
    struct pgdbm__member *member;
    while (!pool->handling && !pool->interrupting && (member = pool->places[PGDBM__DEAD].first) != NULL) {
        pgdbm__pool_remove(pool, member);
        pool->counters.connections_closed++;
        pthread_mutex_unlock(&pool->lock);
        pgdbm__session_destroy(&member->session);
        pgdbm__free(member);
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->changed); /* there is room for another one */
    }
}

/* Sessions nobody uses: too old, idle for too long while there are more than enough, or ended by the server. */
static void retire_idle(struct pgdbm_pool *pool)
{
    const pgdbm_config *config = &pool->config->values;
    int64_t now = pgdbm__now_ns();
    struct pgdbm__member *previous;
    for (struct pgdbm__member *member = pool->places[PGDBM__IDLE].last; member != NULL; member = previous) {
        previous = member->previous;
        bool spare = pgdbm__pool_live(pool) > (size_t)config->min_connections;
        bool rested = config->idle_timeout_ms > 0 && now - member->idle_since > config->idle_timeout_ms * PGDBM__MS;
        if (atomic_load(&member->session.lost) || now > member->expires || (spare && rested))
            pgdbm__pool_move(pool, member, PGDBM__DEAD);
    }
    if (pool->places[PGDBM__DEAD].length > 0)
        pthread_cond_broadcast(&pool->changed); /* the connector keeps the minimum */
}

struct leak {
    struct pgdbm__spot spot;
    int64_t age_ms;
};

/* One lease that has been held for too long and was not reported before. */
static bool find_leak(struct pgdbm_pool *pool, struct leak *leak)
{
    int limit = pool->config->values.leak_detection_ms;
    int64_t now = pgdbm__now_ns();
    for (struct pgdbm__member *member = pool->places[PGDBM__LEASED].first; limit > 0 && member != NULL;
         member = member->next)
        if (!member->leak_reported && now - member->leased_since > limit * PGDBM__MS) {
            member->leak_reported = true;
            *leak = (struct leak){member->spot, (now - member->leased_since) / PGDBM__MS};
            return true;
        }
    return false;
}

static void report_leaks(struct pgdbm_pool *pool)
{
    struct leak leak;
    while (find_leak(pool, &leak)) {
        pthread_mutex_unlock(&pool->lock);
        pgdbm__log_write(&pool->log, PGDBM_LOG_WARNING,
                         "a session has been held for %lld ms; it was taken at %s:%d and may have been forgotten",
                         (long long)leak.age_ms, leak.spot.file != NULL ? leak.spot.file : "?", leak.spot.line);
        pthread_mutex_lock(&pool->lock);
    }
}

static size_t watch(struct pgdbm_pool *pool, struct pollfd *entries, struct pgdbm__member **members)
{
    size_t count = 1;
    entries[0] = (struct pollfd){.fd = pool->wake[0], .events = POLLIN};
    for (struct pgdbm__member *member = pool->places[PGDBM__IDLE].first; member != NULL && count < WATCHED;
         member = member->next) {
        members[count] = member;
        entries[count++] = (struct pollfd){.fd = member->session.transport.fd, .events = POLLRDHUP};
    }
    return count;
}

/* Between poll() and here a session may have been taken: whoever has it finds out by itself, and the mark does no harm.
 */
static void mark_lost(const struct pollfd *entries, struct pgdbm__member *const *members, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if ((entries[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
            atomic_store(&members[i]->session.lost, true);
}

/* Deadlines of asynchronous requests are looked after by whoever drives. Nobody does while the thread that should is in a
 * verb that blocks, perhaps behind the very request whose time is up. Locked. */
static void fire_late_timers(struct pgdbm_pool *pool)
{
    if (!pool->driving && pool->n_timers > 0)
        pgdbm__timers_fire(pool, pgdbm__now_ns());
}

static void drain_pipe(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        continue;
}

/* A session is being cleaned, or a cancel has to land, and nobody is there to drive: no request is submitted, no thread
 * waits. Locked; let go meanwhile. */
static bool drive_chores(struct pgdbm_pool *pool)
{
    if (pool->n_chores == 0 || pool->n_tasks > 0 || pool->until_waiters > 0)
        return false;
    atomic_store(&pool->housekeeper_drives, true);
    bool wanted = pool->first_cancel == NULL && pool->places[PGDBM__DEAD].length == 0 && !pool->quiet;
    pthread_mutex_unlock(&pool->lock);
    if (wanted)
        pgdbm__pool_drive(pool, pgdbm__deadline(TICK_MS));
    atomic_store(&pool->housekeeper_drives, false);
    drain_pipe(pool->wake[0]);
    pthread_mutex_lock(&pool->lock);
    return true;
}

void pgdbm__housekeeper_step(struct pgdbm_pool *pool)
{
    pgdbm__cancels_send(pool);
    retire_idle(pool);
    close_dead(pool);
    report_leaks(pool);
    pgdbm__pool_unlock(pool); /* what the end of a cancel has set free goes on */
    pthread_mutex_lock(&pool->lock);
}

void *pgdbm__housekeeper_main(void *context)
{
    struct pgdbm_pool *pool = context;
    struct pollfd entries[WATCHED];
    struct pgdbm__member *members[WATCHED];
    pthread_mutex_lock(&pool->lock);
    while (!pool->quiet) {
        fire_late_timers(pool);
        pgdbm__housekeeper_step(pool);
        if (drive_chores(pool))
            continue;
        size_t count = watch(pool, entries, members);
        pthread_mutex_unlock(&pool->lock);
        int ready = poll(entries, count, TICK_MS);
        if (ready > 0 && entries[0].revents != 0)
            drain_pipe(pool->wake[0]);
        pthread_mutex_lock(&pool->lock);
        if (ready > 0)
            mark_lost(entries, members, count);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}
