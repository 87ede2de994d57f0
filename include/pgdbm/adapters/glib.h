/* SPDX-License-Identifier: MIT */
/* A pool on a GLib main context, as GTK and GStreamer programs have: its callbacks run in the thread that runs the
 * context. Link with glib-2.0.
 *
 *     pgdbm_glib adapter;
 *     pgdbm_glib_attach(&adapter, NULL, pool, &err);
 *     pgdbm_submit(db, sql, pgdbm_args(42), on_row, context, &err);
 *     g_main_loop_run(loop);
 *
 * The pool may be on one context at a time. All calls belong to the thread that runs the context; submitting does not.
 * A callback that runs a main loop of its own gets no callbacks of the pool in there. */
#ifndef PGDBM_ADAPTERS_GLIB_H
#define PGDBM_ADAPTERS_GLIB_H

#include <glib-unix.h>
#include <glib.h>
#include <pgdbm/adapters/watch.h>

/* The caller's, at the same address from attach until detach. */
typedef struct pgdbm_glib {
    GSource *source; /* of G_PRIORITY_DEFAULT; g_source_set_priority changes it */
    pgdbm_watch watch;
} pgdbm_glib;

PGDBM_BEGIN_DECLS

static inline gboolean pgdbm_glib_on_readable(gint fd, GIOCondition condition, gpointer context)
{
    pgdbm_glib *adapter = (pgdbm_glib *)context;
    (void)fd;
    (void)condition;
    return pgdbm_watch_turn(&adapter->watch) == PGDBM_WATCH_GOING;
}

/* Detaches; the adapter may be used again or freed at once. The pool is not touched: what was submitted goes on, and
 * its callbacks run where the pool is dispatched next, or closed. Legal in a callback of the pool, also to close the
 * pool next. A pool should be detached before it is closed; one that a callback closes is let go by the adapter, which
 * is still to be detached. Once for each attach that succeeded. */
static inline void pgdbm_glib_detach(pgdbm_glib *adapter)
{
    g_source_destroy(adapter->source); /* from here on the descriptor is not watched */
    g_source_unref(adapter->source);
    adapter->source = NULL;
    pgdbm_watch_end(&adapter->watch);
}

/* Attaches `pool` to `main_context` (NULL: the default one); both stay the caller's. Requests submitted earlier are not
 * missed. Errors: ARGUMENT; POOL (closed, or no descriptor to be had); NOMEM. After an error there is nothing to
 * detach.
 */
static inline pgdbm_status pgdbm_glib_attach(pgdbm_glib *adapter, GMainContext *main_context, pgdbm_pool *pool,
                                             pgdbm_error *err)
{
    pgdbm_status status;
    if (adapter == NULL)
        return pgdbm_watch_fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_glib_attach", "an argument is NULL");
    adapter->source = NULL;
    status = pgdbm_watch_begin(&adapter->watch, pool, err);
    if (status != PGDBM_OK)
        return status;
    adapter->source = g_unix_fd_source_new(adapter->watch.fd, G_IO_IN);
    g_source_set_callback(adapter->source, G_SOURCE_FUNC(pgdbm_glib_on_readable), adapter, NULL);
    (void)g_source_attach(adapter->source, main_context);
    return PGDBM_OK;
}

PGDBM_END_DECLS
#endif
