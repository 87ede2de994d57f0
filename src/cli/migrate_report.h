/* SPDX-License-Identifier: MIT */
/* Reports of migrations, for people and for programs. One thread. */
#ifndef PGDBM_CLI_MIGRATE_REPORT_H
#define PGDBM_CLI_MIGRATE_REPORT_H

#include <jansson.h>
#include <pgdbm/pgdbm.h>

/* What a verb did, or would do in a dry run. */
enum pgdbm__cli_verb {
    CLI_APPLY = 0,
    CLI_TRY,
    CLI_STATUS,
    CLI_ROLLBACK,
    CLI_BASELINE,
    CLI_REPAIR,
    CLI_VERIFY,
    CLI_HISTORY
};

size_t pgdbm__cli_count(const pgdbm_migration_report *report, pgdbm_migration_state state);

/* Whether every file is applied and nothing else is: a run would find nothing to do and nothing to refuse. */
bool pgdbm__cli_all_applied(const pgdbm_migration_report *report);

/* The report, and what went wrong if anything did; either may be NULL. NULL: out of memory. */
json_t *pgdbm__cli_json_report(const pgdbm_migration_report *report, bool dry_run, const pgdbm_error *err);

/* False: out of memory, and said so. */
bool pgdbm__cli_print_report(enum pgdbm__cli_verb verb, const pgdbm_migration_report *report, bool dry_run,
                             bool failed);

/* For on_progress: shows a person what a run is at and waits for; what it waits for goes to a log, too. Stops it when a signal
 * came. The context is a bool, false at first: whether it was said already that it waits. */
bool pgdbm__cli_progress(const pgdbm_migration_progress *progress, void *context);

#endif
