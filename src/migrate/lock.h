/* SPDX-License-Identifier: MIT */
/* The module's lock: one process at a time applies a migration of a module. The key is the Python pgdbm's, so that both
 * wait for each other. */
#ifndef PGDBM_MIGRATE_LOCK_H
#define PGDBM_MIGRATE_LOCK_H

#include <pgdbm/db.h>

/* Takes the lock on a pinned session, outside of any transaction. Never waits inside the server: a blocked lock is a
 * statement with a snapshot, and CREATE INDEX CONCURRENTLY in the process that holds the lock would wait for it for
 * ever. `*role` becomes the session's role ("none" when none is set), released with pgdbm_free. PGDBM_ERR_TIMEOUT names
 * who holds the lock. */
pgdbm_status pgdbm__migration_lock(pgdbm_db *session, const char *module, int64_t deadline, char **role,
                                   pgdbm_error *err);

/* Gives it back. PGDBM_ERR_MIGRATION, outcome DONE, when the session did not have it any more. */
pgdbm_status pgdbm__migration_unlock(pgdbm_db *session, const char *module, pgdbm_error *err);

#endif
