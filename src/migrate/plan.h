/* SPDX-License-Identifier: MIT */
/* What is to be done: the files beside the history. Pure functions; plan.c decides, policy.c objects, report.c tells. */
#ifndef PGDBM_MIGRATE_PLAN_H
#define PGDBM_MIGRATE_PLAN_H

#include "migrate/history.h"
#include "migrate/source.h"

/* Finds each file's row and state; a row stays borrowed by its file. A row without a module name counts for the file it
 * names, but only where the module has no row of its own. A file whose text is another than what was applied is CHANGED, or
 * REFORMATTED when the recorded semantic checksum says so. */
void pgdbm__plan_match(struct pgdbm__migration_set *set, struct pgdbm__history_rows *rows);

/* Whether a file in this state is one that a run would apply: PENDING, OUT_OF_ORDER, GAP, PARTIAL, REPEAT. */
bool pgdbm__plan_is_pending(pgdbm_migration_state state);

/* Whether a run up to `target` (NULL: all) applies this file. */
bool pgdbm__plan_runs(const struct pgdbm__migration_file *file, const char *target);

/* The first file that runs, or NULL; and how many. */
struct pgdbm__migration_file *pgdbm__plan_next(struct pgdbm__migration_set *set, const char *target);
size_t pgdbm__plan_count(const struct pgdbm__migration_set *set, const char *target);

/* The highest number that is applied, as written; "" when there is none. Borrowed from the rows. */
const char *pgdbm__plan_head(const struct pgdbm__history_rows *rows);

/* What stands against a run up to `target`: the first state that the policies do not allow. */
struct pgdbm__plan_fault {
    pgdbm_migration_state state;
    const struct pgdbm__migration_file *file; /* NULL of a row without a file */
    const struct pgdbm__history_row *row;     /* NULL of a file that is not applied */
};
bool pgdbm__plan_find_fault(const struct pgdbm__migration_set *set, const struct pgdbm__history_rows *rows,
                            const pgdbm_migration_policies *policies, const char *target,
                            struct pgdbm__plan_fault *fault);

/* The fault as PGDBM_ERR_MIGRATION that names file, module, schema and the way out. */
pgdbm_status pgdbm__plan_fail(const struct pgdbm__plan_fault *fault, const struct pgdbm__migration_set *set,
                              const struct pgdbm__history_rows *rows, const struct pgdbm__history *history,
                              pgdbm_error *err);

/* Shows in a CHANGED error where the text that was applied and the file differ. */
void pgdbm__plan_explain(const struct pgdbm__plan_fault *fault, const char *body, pgdbm_error *err);

/* The report of a matched set, by number (repeatable files last); or of the rows alone, in the order in which they were applied.
 * `*report` is the caller's. */
pgdbm_status pgdbm__plan_report(const struct pgdbm__migration_set *set, const struct pgdbm__history_rows *rows,
                                const struct pgdbm__history *history, pgdbm_migration_report **report,
                                pgdbm_error *err);
pgdbm_status pgdbm__plan_report_rows(const struct pgdbm__history_rows *rows, const struct pgdbm__history *history,
                                     pgdbm_migration_report **report, pgdbm_error *err);

#endif
