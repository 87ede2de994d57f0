/* SPDX-License-Identifier: MIT */
/* Applying, looking, and the report of what there is: the calls that most programs make.
 *
 * Each file is an act of its own, with a session of its own and the lock taken again: what a file leaves behind in its
 * session (search_path, role, temporary tables) cannot reach the next one. Who has the lock reads the history again, so it
 * does not matter which process applies which file. */
#include "base/error.h"
#include "migrate/apply.h"
#include "migrate/dry_run.h"
#include "migrate/heads.h"
#include "migrate/plan.h"

static pgdbm_status refuse_pooled(const struct pgdbm__run *run, const struct pgdbm__migration_file *file,
                                  pgdbm_error *err)
{
    pgdbm__fail(
        err, PGDBM_ERR_MIGRATION,
        "migration %s of module %s cannot run here: it is one without a transaction, and a pooler stands between "
        "this program and the server",
        file->filename, run->history.module);
    pgdbm__error_detail(err,
                        "the lock that keeps others away would be gone after the first statement, because the pooler "
                        "hands the server to somebody else then");
    pgdbm__error_hint(err, "migrate over a direct connection to the server");
    return PGDBM_ERR_MIGRATION;
}

/* The next file. `context` becomes it, NULL when there is none any more. */
static pgdbm_status apply_next(struct pgdbm__run *run, void *context, pgdbm_error *err)
{
    struct pgdbm__migration_file **applied = context;
    pgdbm_status status = pgdbm__run_check(run, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__migration_file *file = pgdbm__plan_next(&run->set, run->options.target);
    if (file == NULL)
        return PGDBM_OK;
    if (run->pooled && file->no_transaction)
        return refuse_pooled(run, file, err);
    *applied = file;
    run->n_files = run->file + pgdbm__plan_count(&run->set, run->options.target);
    run->file++;
    return pgdbm__migration_apply(run, file, err);
}

static pgdbm_status apply_all(struct pgdbm__run *run, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    while (status == PGDBM_OK && pgdbm__plan_next(&run->set, run->options.target) != NULL) {
        struct pgdbm__migration_file *file = NULL;
        status = pgdbm__run_locked(run, apply_next, &file, err);
        if (file != NULL && file->applied_now)
            file->state = PGDBM_MIGRATION_APPLIED;
    }
    return status;
}

static pgdbm_status migrate(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                            bool check_requirements, pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    if (report != NULL)
        *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, "pgdbm_migrate", db, options, options_bytes, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_check(&run, err);
    if (status == PGDBM_OK && check_requirements)
        status = pgdbm__run_requirements(&run, err);
    if (status == PGDBM_OK)
        status = run.options.dry_run ? pgdbm__dry_run(&run, err) : apply_all(&run, err);
    return pgdbm__run_end(&run, status, report, err);
}

pgdbm_status pgdbm_migrate_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                 pgdbm_migration_report **report, pgdbm_error *err)
{
    return migrate(db, options, options_bytes, true, report, err);
}

pgdbm_status pgdbm__migrate_ordered(pgdbm_db *db, const pgdbm_migrate_options *options, pgdbm_migration_report **report,
                                    pgdbm_error *err)
{
    return migrate(db, options, sizeof *options, false, report, err);
}

pgdbm_status pgdbm_migrate_status_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                        pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    if (report == NULL)
        return pgdbm__fail_null(err, "pgdbm_migrate_status", "report");
    *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, "pgdbm_migrate_status", db, options, options_bytes, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    run.options.dry_run = false; /* what would be applied is pending here */
    return pgdbm__run_end(&run, status, report, err);
}

pgdbm_status pgdbm_migrate_history_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                         pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    if (report == NULL)
        return pgdbm__fail_null(err, "pgdbm_migrate_history", "report");
    *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, "pgdbm_migrate_history", db, options, options_bytes, false, err);
    if (status == PGDBM_OK)
        status = pgdbm__history_read(&run.history, run.db, &run.rows, err);
    if (status == PGDBM_OK)
        status = pgdbm__plan_report_rows(&run.rows, &run.history, report, err);
    return pgdbm__run_end(&run, status, NULL, err);
}
