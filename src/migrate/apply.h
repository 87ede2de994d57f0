/* SPDX-License-Identifier: MIT */
/* Runs one migration and records it. */
#ifndef PGDBM_MIGRATE_APPLY_H
#define PGDBM_MIGRATE_APPLY_H

#include "migrate/history.h"
#include "migrate/source.h"

/* Applies a prepared file on a pinned session that holds the module's lock. `role` is the session's own (as
 * pgdbm__migration_lock gave it): the history is written as that role, whatever the file switched to. What the file
 * left in the session is the caller's to clean. Errors: MIGRATION (file, line and the server's words), and of the
 * connection. */
pgdbm_status pgdbm__migration_apply(const struct pgdbm__history *history, const struct pgdbm__migration_file *file,
                                    pgdbm_db *session, const char *role, pgdbm_error *err);

#endif
