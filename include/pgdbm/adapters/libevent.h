/* SPDX-License-Identifier: MIT */
/* A pool on a libevent base: its callbacks run in the base's thread, between the base's own. Link with libevent_core.
 *
 *     pgdbm_libevent adapter;
 *     pgdbm_libevent_attach(&adapter, base, pool, &err);
 *     pgdbm_submit(db, sql, pgdbm_args(42), on_row, context, &err);
 *     event_base_dispatch(base);
 *
 * The pool may be on one base at a time. All calls belong to the base's thread; submitting does not. The base must not
 * have EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST, which forbids duplicates of descriptors. */
#ifndef PGDBM_ADAPTERS_LIBEVENT_H
#define PGDBM_ADAPTERS_LIBEVENT_H

#include <event2/event.h>
#include <pgdbm/adapters/watch.h>

/* The caller's, at the same address from attach until detach. */
typedef struct pgdbm_libevent {
    struct event *event; /* pending as long as the pool is watched */
    pgdbm_watch watch;
} pgdbm_libevent;

PGDBM_BEGIN_DECLS

static inline void pgdbm_libevent_on_readable(evutil_socket_t fd, short events, void *context)
{
    pgdbm_libevent *adapter = (pgdbm_libevent *)context;
    (void)fd;
    (void)events;
    if (pgdbm_watch_turn(&adapter->watch) == PGDBM_WATCH_CLOSED)
        (void)event_del(adapter->event);
}

/* Detaches; the adapter may be used again or freed at once. The pool is not touched: what was submitted goes on, and
 * its callbacks run where the pool is dispatched next, or closed. Legal in a callback of the pool, also to close the
 * pool next. A pool should be detached before it is closed; one that a callback closes is let go by the adapter, which
 * is still to be detached. Before the base is freed. Once for each attach that succeeded. */
static inline void pgdbm_libevent_detach(pgdbm_libevent *adapter)
{
    event_free(adapter->event); /* from here on the descriptor is not watched */
    adapter->event = NULL;
    pgdbm_watch_end(&adapter->watch);
}

/* Attaches `pool` to `base`; both stay the caller's. Requests submitted earlier are not missed. Errors: ARGUMENT; POOL
 * (closed, or no descriptor to be had); NOMEM. After an error there is nothing to detach. */
static inline pgdbm_status pgdbm_libevent_attach(pgdbm_libevent *adapter, struct event_base *base, pgdbm_pool *pool,
                                                 pgdbm_error *err)
{
    pgdbm_status status;
    if (adapter == NULL || base == NULL)
        return pgdbm_watch_fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_libevent_attach", "an argument is NULL");
    adapter->event = NULL;
    status = pgdbm_watch_begin(&adapter->watch, pool, err);
    if (status != PGDBM_OK)
        return status;
    adapter->event =
        event_new(base, adapter->watch.fd, EV_READ | EV_PERSIST, pgdbm_libevent_on_readable, (void *)adapter);
    if (adapter->event != NULL && event_add(adapter->event, NULL) == 0)
        return PGDBM_OK;
    if (adapter->event != NULL)
        event_free(adapter->event);
    adapter->event = NULL;
    pgdbm_watch_end(&adapter->watch);
    return pgdbm_watch_fail(err, PGDBM_ERR_NOMEM, "libevent cannot watch the pool's descriptor", "out of memory");
}

PGDBM_END_DECLS
#endif
