/* SPDX-License-Identifier: MIT */
/* A pool: the sessions of one process to one database, shared by any number of managers (pgdbm_attach in <pgdbm/db.h>).
 *
 * Independent statements are multiplexed over the sessions; a transaction, a pinned session or a stream has a session
 * to itself for as long as it lasts (a lease). Who finds no session waits, first come, first served, for
 * acquire_timeout_ms. A pool may be used from any thread. It has two threads of its own: one opens connections, one
 * keeps house. */
#ifndef PGDBM_POOL_H
#define PGDBM_POOL_H

#include <pgdbm/config.h>

typedef struct pgdbm_pool pgdbm_pool;

/* A moment of a pool. The first six are where its sessions are; each session is in exactly one of these places. */
typedef struct pgdbm_pool_stats {
    size_t connecting;
    size_t idle;
    size_t shared;   /* with independent statements in flight */
    size_t leased;   /* a transaction, a pinned session, a stream */
    size_t retiring; /* in use for the last time */
    size_t dead;     /* lost or finished, about to be closed */
    size_t waiting;  /* callers waiting for a session */
    size_t max_connections;
    uint64_t connections_opened;
    uint64_t connections_failed;
    uint64_t connections_closed;
    uint64_t statements; /* requests answered, with success or not */
    uint64_t statements_failed;
    uint64_t statements_prepared; /* Parse messages sent */
    uint64_t statements_repeated; /* transparently sent again: re-prepared, or moved off a lost session */
    uint64_t leases;
    uint64_t resets; /* leases that came back dirty and were cleaned */
    uint64_t acquire_timeouts;
    uint64_t acquire_wait_us; /* total time callers spent waiting */
    size_t submitted;         /* asynchronous requests whose callback has not run yet */
    size_t queued;            /* of those: not sent yet */
    size_t canceling;         /* connections that carry a cancel request */
    size_t managers;          /* attached and not closed; transactions and pinned sessions do not count */
} pgdbm_pool_stats;

PGDBM_BEGIN_DECLS

/* Opens a pool and its first session; further ones follow in the background. On success `*pool` is the caller's, to be
 * closed with pgdbm_pool_close. `config` is copied. Errors: ARGUMENT, CONFIG (malformed connection string, a second
 * pool when forbidden), CONNECTION (names host, port, database, user, attempts, and what to check), NOMEM. */
PGDBM_EXPORT pgdbm_status pgdbm_pool_open_at(const char *file, int line, const pgdbm_config *config,
                                             size_t config_bytes, pgdbm_pool **pool, pgdbm_error *err);

static inline pgdbm_status pgdbm_pool_open_here(const char *file, int line, const pgdbm_config *config,
                                                pgdbm_pool **pool, pgdbm_error *err)
{
    return pgdbm_pool_open_at(file, line, config, sizeof *config, pool, err);
}

/* pgdbm_pool_open(const pgdbm_config *config, pgdbm_pool **pool, pgdbm_error *err) */
#define pgdbm_pool_open(...) pgdbm_pool_open_here(PGDBM_HERE, __VA_ARGS__)

/* Ends the pool: refuses new work, waits up to drain_timeout_ms for work in flight, then cancels it, closes every
 * session and joins the pool's threads. The handle is gone afterwards. Managers that are still attached stay valid
 * objects: they answer PGDBM_ERR_POOL to everything and are released with pgdbm_close. As long as there is one, closing the
 * pool once more does nothing, nor does it wait for another thread that is closing it. NULL is legal. Must not be called
 * from a log callback or a row callback of the same pool. Asynchronous requests are completed, and their callbacks run,
 * before it returns. In a process that was forked from the pool's it does nothing. */
PGDBM_EXPORT void pgdbm_pool_close(pgdbm_pool *pool);

/* Copies the counters. Errors: ARGUMENT. Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_pool_stats_read_sized(pgdbm_pool *pool, pgdbm_pool_stats *stats, size_t stats_bytes,
                                                      pgdbm_error *err);

static inline pgdbm_status pgdbm_pool_stats_read(pgdbm_pool *pool, pgdbm_pool_stats *stats, pgdbm_error *err)
{
    return pgdbm_pool_stats_read_sized(pool, stats, sizeof *stats, err);
}

PGDBM_END_DECLS
#endif
