/* SPDX-License-Identifier: MIT */
/* What is to be done: the files beside the history. Pure functions. */
#ifndef PGDBM_MIGRATE_PLAN_H
#define PGDBM_MIGRATE_PLAN_H

#include "migrate/history.h"
#include "migrate/source.h"

/* Finds each file's row and state; a row stays borrowed by its file. A row without a module name counts for the file it
 * names, but only where the module has no row of its own. */
void pgdbm__plan_match(struct pgdbm__migration_set *set, struct pgdbm__history_rows *rows);

/* The first pending file, or NULL. */
struct pgdbm__migration_file *pgdbm__plan_pending(struct pgdbm__migration_set *set);

/* PGDBM_ERR_MIGRATION when a file was changed after it was applied: names it and both checksums. */
pgdbm_status pgdbm__plan_check(const struct pgdbm__migration_set *set, const struct pgdbm__history *history,
                               pgdbm_error *err);

/* The report of a matched set; `*report` is the caller's. */
pgdbm_status pgdbm__plan_report(const struct pgdbm__migration_set *set, const struct pgdbm__history_rows *rows,
                                const struct pgdbm__history *history, bool dry_run, pgdbm_migration_report **report,
                                pgdbm_error *err);

#endif
