/* SPDX-License-Identifier: MIT */
/* Runs one migration and records it. */
#ifndef PGDBM_MIGRATE_APPLY_H
#define PGDBM_MIGRATE_APPLY_H

#include "migrate/run.h"

/* Applies a prepared file on run->session, which has the module's lock, and records it as the session's own role, whatever
 * the file switched to. Tells the progress BEFORE, STATEMENT and RETRY; and AFTER, unless run->pooled: then
 * pgdbm__migration_committed does. file->applied_now is set once it is committed (run->pooled: ready to be). What the file left in the session is
 * the caller's to clean. Errors: MIGRATION (file:line:column and the server's words), CANCELED (by the progress callback;
 * after AFTER the file stays applied), and of the connection. */
pgdbm_status pgdbm__migration_apply(struct pgdbm__run *run, struct pgdbm__migration_file *file, pgdbm_error *err);

/* The same with a down part that is prepared, in one transaction, and the deletion of `row` instead of a new one; `*undone` as
 * applied_now above. */
pgdbm_status pgdbm__migration_undo(struct pgdbm__run *run, const struct pgdbm__script *down,
                                   const struct pgdbm__history_row *row, bool *undone, pgdbm_error *err);

/* Behind a pooler, once the commit of run->uncommitted has ended with `status`: tells the progress AFTER, or names the file in
 * the error. Returns `status`, or what the progress callback made of it. */
pgdbm_status pgdbm__migration_committed(struct pgdbm__run *run, pgdbm_status status, pgdbm_error *err);

#endif
