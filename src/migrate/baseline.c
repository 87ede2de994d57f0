/* SPDX-License-Identifier: MIT */
/* Recording files as applied without running them. No state, any thread. */
#include "migrate/plan.h"
#include "migrate/run.h"

#include "base/error.h"

#include <pgdbm/transaction.h>
#include <string.h>

#define FUNCTION "pgdbm_migrate_baseline"

/* A history that has begun knows better than whoever calls what was applied. */
static pgdbm_status check_untouched(const struct pgdbm__run *run, pgdbm_error *err)
{
    const char *known = NULL;
    for (size_t i = 0; known == NULL && i < run->rows.n_rows; i++)
        if (run->rows.rows[i].named)
            known = run->rows.rows[i].filename;
    for (size_t i = 0; known == NULL && i < run->set.n_files; i++)
        if (run->set.files[i].state == PGDBM_MIGRATION_PARTIAL)
            known = run->set.files[i].filename;
    if (known == NULL)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "module %s has a history in schema %s already: %s", run->history.module,
                run->history.schema, known);
    pgdbm__error_hint(err, "a baseline is for a database that this module was never recorded in: migrate instead");
    return PGDBM_ERR_MIGRATION;
}

static pgdbm_status record_files(struct pgdbm__run *run, pgdbm_db *tx, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &run->set.files[i];
        if (!pgdbm__plan_runs(file, run->options.target))
            continue;
        struct pgdbm__history_entry entry = pgdbm__run_entry(file, -1);
        if (!file->repeatable)
            entry.kind = "B";
        status = pgdbm__history_record(&run->history, tx, &entry, err);
    }
    return status;
}

/* All of them or none: half a baseline would have the next run do what is done. */
static pgdbm_status record_all(struct pgdbm__run *run, void *context, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    (void)context;
    pgdbm_status status = check_untouched(run, err);
    if (status == PGDBM_OK)
        status = pgdbm_begin(run->session, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = record_files(run, tx, err);
    if (status != PGDBM_OK) {
        pgdbm_close(tx);
        return status;
    }
    status = pgdbm_commit(tx, err);
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++)
        run->set.files[i].applied_now = pgdbm__plan_runs(&run->set.files[i], run->options.target);
    return status;
}

pgdbm_status pgdbm_migrate_baseline_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                          pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    if (report != NULL)
        *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, FUNCTION, db, options, options_bytes, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    if (status == PGDBM_OK)
        status = check_untouched(&run, err);
    if (status == PGDBM_OK && !run.options.dry_run)
        status = pgdbm__run_locked(&run, record_all, NULL, err);
    return pgdbm__run_end(&run, status, report, err);
}
