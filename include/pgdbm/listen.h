/* SPDX-License-Identifier: MIT */
/* LISTEN and NOTIFY. All listeners of a pool share one session of it (counted inside max_connections, leased while there
 * is a listener). It survives the loss of its connection: the pool listens again by itself, and tells every listener
 * that there was a gap in which something may have been missed.
 *
 * Channels belong to the manager's schema: "jobs" of a manager with schema "app" is the channel "app.jobs" on the
 * server, so that tenants do not hear each other; a manager without a schema uses the name as it is. Other clients
 * notify with: SELECT pg_notify('app.jobs', 'payload').
 *
 * Events come where the pool's callbacks run (<pgdbm/async.h>). */
#ifndef PGDBM_LISTEN_H
#define PGDBM_LISTEN_H

#include <pgdbm/async.h>

typedef enum pgdbm_event_kind {
    PGDBM_EVENT_READY = 0,    /* from now on nothing is missed; the first event of every listener */
    PGDBM_EVENT_NOTIFICATION, /* somebody notified */
    PGDBM_EVENT_GAP           /* the connection was lost and is back: what was sent in between never came. Look again at
                               * whatever the notifications are about. */
} pgdbm_event_kind;

typedef struct pgdbm_event {
    pgdbm_event_kind kind;
    const char *channel; /* as it was given to pgdbm_listen */
    const char *payload; /* "" when there was none */
    int sender;          /* process number of the backend that notified; PostgreSQL documentation, pg_backend_pid */
} pgdbm_event;

/* The event lives until the callback returns. */
typedef void (*pgdbm_event_callback)(const pgdbm_event *event, void *context);

typedef struct pgdbm_listener pgdbm_listener;

PGDBM_BEGIN_DECLS

/* Listens to `channel` (a letter or underscore, then letters, digits, underscores and dots; with schema and dot at most
 * 63 bytes). Returns at once: READY comes when the server listens. `*listener` is the caller's, to be ended with
 * pgdbm_unlisten, at the latest before the pool is closed. Errors: ARGUMENT, SCHEMA (the name), TRANSACTION (`db` is a
 * transaction or a pinned session), POOL (closed), NOMEM. Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_listen(pgdbm_db *db, const char *channel, pgdbm_event_callback on_event, void *context,
                                       pgdbm_listener **listener, pgdbm_error *err);

/* Ends it: when called where the callbacks run (or when nobody dispatches) no event comes after it returns; another
 * thread may still be inside the callback. NULL is legal. */
PGDBM_EXPORT void pgdbm_unlisten(pgdbm_listener *listener);

/* Notifies everybody who listens to `channel` of the manager's schema, with a payload of at most 7999 bytes (NULL: "").
 * In a transaction it is sent with the commit (PostgreSQL documentation, NOTIFY). Errors: SCHEMA, and those of
 * pgdbm_execute. */
PGDBM_EXPORT pgdbm_status pgdbm_notify(pgdbm_db *db, const char *channel, const char *payload, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_notify_async(pgdbm_db *db, const char *channel, const char *payload,
                                             pgdbm_done_callback on_done, void *context, pgdbm_error *err);

PGDBM_END_DECLS
#endif
