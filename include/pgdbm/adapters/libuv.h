/* SPDX-License-Identifier: MIT */
/* A pool on a libuv loop: its callbacks run in the loop's thread, between the loop's own. Link with libuv.
 *
 *     pgdbm_libuv adapter;
 *     pgdbm_libuv_attach(&adapter, loop, pool, &err);
 *     pgdbm_submit(db, sql, pgdbm_args(42), on_row, context, &err);
 *     uv_run(loop, UV_RUN_DEFAULT);
 *
 * The pool may be on one loop at a time. All calls belong to the loop's thread; submitting does not. */
#ifndef PGDBM_ADAPTERS_LIBUV_H
#define PGDBM_ADAPTERS_LIBUV_H

#include <pgdbm/adapters/watch.h>
#include <uv.h>

/* Called when the loop has let go of the adapter. */
typedef void (*pgdbm_libuv_closed)(void *context);

/* The caller's, at the same address from attach until on_closed. */
typedef struct pgdbm_libuv {
    uv_poll_t poll; /* active as long as the pool is watched; uv_unref it, and it does not keep the loop running */
    pgdbm_watch watch;
    pgdbm_libuv_closed on_closed;
    void *context;
} pgdbm_libuv;

PGDBM_BEGIN_DECLS

static inline void pgdbm_libuv_on_closed(uv_handle_t *handle)
{
    pgdbm_libuv *adapter = (pgdbm_libuv *)handle->data;
    if (adapter->on_closed != NULL)
        adapter->on_closed(adapter->context);
}

/* An error of the descriptor comes here too; dispatching is right then as well. */
static inline void pgdbm_libuv_on_readable(uv_poll_t *poll, int status, int events)
{
    pgdbm_libuv *adapter = (pgdbm_libuv *)poll->data;
    (void)status;
    (void)events;
    if (pgdbm_watch_turn(&adapter->watch) == PGDBM_WATCH_CLOSED)
        (void)uv_poll_stop(poll);
}

/* Detaches. The loop calls `on_closed` (may be NULL) in a later turn; the adapter may be used again or freed from then
 * on, and no earlier, so the loop must be run until it has come. The pool is not touched: what was submitted goes on,
 * and its callbacks run where the pool is dispatched next, or closed. Legal in a callback of the pool, also to close
 * the pool next. A pool should be detached before it is closed; one that a callback closes is let go by the adapter,
 * which is still to be detached. Once for each attach that succeeded. */
static inline void pgdbm_libuv_detach(pgdbm_libuv *adapter, pgdbm_libuv_closed on_closed, void *context)
{
    adapter->on_closed = on_closed;
    adapter->context = context;
    uv_close((uv_handle_t *)&adapter->poll, pgdbm_libuv_on_closed); /* from here on the descriptor is not watched */
    pgdbm_watch_end(&adapter->watch);
}

/* Attaches `pool` to `loop`; both stay the caller's. Requests submitted earlier are not missed. Errors: ARGUMENT; POOL
 * (closed, no descriptor to be had, or libuv refused; the message has its reason); NOMEM. After an error there is
 * nothing to detach, and the adapter is the caller's again. */
static inline pgdbm_status pgdbm_libuv_attach(pgdbm_libuv *adapter, uv_loop_t *loop, pgdbm_pool *pool, pgdbm_error *err)
{
    pgdbm_status status;
    int failure;
    if (adapter == NULL || loop == NULL)
        return pgdbm_watch_fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_libuv_attach", "an argument is NULL");
    status = pgdbm_watch_begin(&adapter->watch, pool, err);
    if (status != PGDBM_OK)
        return status;
    failure = uv_poll_init(loop, &adapter->poll, adapter->watch.fd);
    if (failure == 0) {
        adapter->poll.data = adapter;
        /* Of a descriptor that poll_init took, starting cannot fail. */
        (void)uv_poll_start(&adapter->poll, UV_READABLE, pgdbm_libuv_on_readable);
        return PGDBM_OK;
    }
    pgdbm_watch_end(&adapter->watch);
    return pgdbm_watch_fail(err, PGDBM_ERR_POOL, "libuv cannot watch the pool's descriptor", uv_strerror(failure));
}

PGDBM_END_DECLS
#endif
