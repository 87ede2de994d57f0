/* SPDX-License-Identifier: MIT */
/* The module's lock: one process at a time applies a migration of a module. The key is the Python pgdbm's, so that both
 * wait for each other. */
#ifndef PGDBM_MIGRATE_LOCK_H
#define PGDBM_MIGRATE_LOCK_H

#include <pgdbm/db.h>

#include <stdbool.h>
#include <stdint.h>

/* Whether the session's server stays the same. */
enum pgdbm__server_kind {
    PGDBM__SERVER_UNKNOWN = 0,
    PGDBM__SERVER_OWN,
    PGDBM__SERVER_POOLED /* another process than the one we were given at connect answers: a pooler stands in between */
};

/* A lock that is held, and on what. Zero-initialise. */
struct pgdbm__migration_lock {
    enum pgdbm__server_kind server; /* once found, it stays */
    pgdbm_db *pin;                  /* the pinned session; NULL behind a pooler */
    pgdbm_db *tx;                   /* behind a pooler: the transaction that has the lock */
    char *role;                     /* the session's ("none" when none is set); pgdbm_free */
};

/* Called between two looks; another status than PGDBM_OK ends the wait with it. */
typedef pgdbm_status (*pgdbm__migration_waiting)(void *context, pgdbm_error *err);

/* Takes the lock of `module` (as recorded) on a session of the manager `db`. Never waits inside the server: a blocked lock is
 * a statement with a snapshot, and CREATE INDEX CONCURRENTLY in the process that holds the lock would wait for it for ever.
 * PGDBM_ERR_TIMEOUT at `deadline` names who holds the lock. Whatever it returns, pgdbm__migration_lock_free is due. */
pgdbm_status pgdbm__migration_lock(struct pgdbm__migration_lock *lock, pgdbm_db *db, const char *module,
                                   int64_t deadline, pgdbm__migration_waiting waiting, void *context, pgdbm_error *err);

/* Gives it back; behind a pooler that is the commit. PGDBM_ERR_MIGRATION, outcome DONE, when the session did not have it any
 * more. */
pgdbm_status pgdbm__migration_unlock(struct pgdbm__migration_lock *lock, const char *module, pgdbm_error *err);

/* Gives the session back to the pool, which undoes what was done to it, the lock included; a transaction that is open is
 * rolled back. */
void pgdbm__migration_lock_free(struct pgdbm__migration_lock *lock);

#endif
