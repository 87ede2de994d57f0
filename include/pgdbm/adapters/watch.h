/* SPDX-License-Identifier: MIT */
/* What the adapters share, and where one for another event loop begins: the descriptor to watch, and what to do when it
 * is readable.
 *
 *     pgdbm_watch_begin(&watch, pool, &err);          watch.fd is what your loop watches for reading
 *     switch (pgdbm_watch_turn(&watch)) {             when it is readable
 *     case PGDBM_WATCH_GOING: break;
 *     case PGDBM_WATCH_CLOSED: ...                    take watch.fd out of your loop
 *     case PGDBM_WATCH_ENDED: return ...              touch nothing: a callback has ended the watch
 *     }
 *     pgdbm_watch_end(&watch);                        after watch.fd was taken out of your loop
 *
 * Two things are done here so that callbacks may do what they like. The descriptor is a duplicate: it stays valid, and
 * its number stays taken, when the pool is closed. And the watch holds a manager, which keeps the pool's handle, so that
 * it can be asked whether it was closed. All calls belong to the thread that runs the loop. */
#ifndef PGDBM_ADAPTERS_WATCH_H
#define PGDBM_ADAPTERS_WATCH_H

#include <errno.h>
#include <fcntl.h>
#include <pgdbm/async.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct pgdbm_watch {
    int fd;            /* to be watched for reading; -1: not begun, or ended */
    pgdbm_db *manager; /* keeps what the pool's handle points to */
    bool *ended;       /* of the turn under way: set when the watch ends in it */
} pgdbm_watch;

typedef enum pgdbm_watch_state {
    PGDBM_WATCH_GOING = 0, /* go on watching */
    PGDBM_WATCH_CLOSED,    /* the pool was closed: stop watching; the watch is still to be ended */
    PGDBM_WATCH_ENDED      /* pgdbm_watch_end was called in a callback: the watch may not even exist any more */
} pgdbm_watch_state;

PGDBM_BEGIN_DECLS

/* Fills an error of an adapter. Returns `status`. */
static inline pgdbm_status pgdbm_watch_fail(pgdbm_error *err, pgdbm_status status, const char *what, const char *why)
{
    if (err != NULL) {
        memset(err, 0, sizeof *err);
        err->status = status;
        snprintf(err->message, sizeof err->message, "%s: %s", what, why);
    }
    return status;
}

/* Begins to watch `pool`, which stays the caller's. Errors: ARGUMENT; POOL (closed, or no descriptor to be had); NOMEM.
 * After an error pgdbm_watch_end is legal and does nothing. */
static inline pgdbm_status pgdbm_watch_begin(pgdbm_watch *watch, pgdbm_pool *pool, pgdbm_error *err)
{
    pgdbm_status status;
    if (watch == NULL || pool == NULL)
        return pgdbm_watch_fail(err, PGDBM_ERR_ARGUMENT, "cannot attach the pool to the loop", "an argument is NULL");
    watch->fd = -1;
    watch->manager = NULL;
    watch->ended = NULL;
    status = pgdbm_attach(pool, NULL, &watch->manager, err);
    if (status != PGDBM_OK)
        return status;
#ifdef F_DUPFD_CLOEXEC
    watch->fd = fcntl(pgdbm_fd(pool), F_DUPFD_CLOEXEC, 0);
#else
    watch->fd = dup(pgdbm_fd(pool));
#endif
    if (watch->fd >= 0)
        return PGDBM_OK;
    status = pgdbm_watch_fail(err, PGDBM_ERR_POOL, "cannot watch the pool's descriptor", strerror(errno));
    pgdbm_close(watch->manager);
    watch->manager = NULL;
    return status;
}

/* Dispatches the pool once, without waiting. */
static inline pgdbm_watch_state pgdbm_watch_turn(pgdbm_watch *watch)
{
    bool ended = false;
    watch->ended = &ended;
    (void)pgdbm_dispatch(pgdbm_pool_of(watch->manager), 0);
    if (ended)
        return PGDBM_WATCH_ENDED;
    watch->ended = NULL;
    return pgdbm_fd(pgdbm_pool_of(watch->manager)) < 0 ? PGDBM_WATCH_CLOSED : PGDBM_WATCH_GOING;
}

/* Ends it; the pool is not touched. Legal in a callback of the pool, before the pool is closed and after, and twice.
 * The loop must not watch the descriptor any more: it is closed. */
static inline void pgdbm_watch_end(pgdbm_watch *watch)
{
    if (watch->ended != NULL)
        *watch->ended = true;
    if (watch->fd >= 0)
        close(watch->fd);
    pgdbm_close(watch->manager);
    watch->fd = -1;
    watch->manager = NULL;
    watch->ended = NULL;
}

PGDBM_END_DECLS
#endif
