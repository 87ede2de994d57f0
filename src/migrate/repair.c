/* SPDX-License-Identifier: MIT */
/* Making the history say what the files say, where that is harmless or was asked for. No state, any thread. */
#include "migrate/plan.h"
#include "migrate/run.h"

#include "base/error.h"

#include <pgdbm/transaction.h>
#include <string.h>

#define FUNCTION "pgdbm_migrate_repair"

/* A row without a name whose text is another's is some other module's: never taken, whatever is allowed. */
static bool needs_correction(const struct pgdbm__run *run, const struct pgdbm__migration_file *file)
{
    if (file->applied == NULL)
        return false;
    switch (file->state) {
    case PGDBM_MIGRATION_REFORMATTED:
        return true;
    case PGDBM_MIGRATION_APPLIED:
        return !file->applied->named;
    case PGDBM_MIGRATION_CHANGED:
        return file->applied->named && run->options.policies.changed == PGDBM_POLICY_ALLOW;
    default:
        return false;
    }
}

static bool is_to_be_deleted(const struct pgdbm__run *run, const struct pgdbm__history_row *row)
{
    return row->state == PGDBM_MIGRATION_MISSING && run->options.policies.missing == PGDBM_POLICY_ALLOW;
}

static size_t count_needed(const struct pgdbm__run *run)
{
    size_t count = 0;
    for (size_t i = 0; i < run->set.n_files; i++)
        count += needs_correction(run, &run->set.files[i]);
    for (size_t i = 0; i < run->rows.n_rows; i++)
        count += is_to_be_deleted(run, &run->rows.rows[i]);
    return count;
}

static pgdbm_status correct_rows(struct pgdbm__run *run, pgdbm_db *tx, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &run->set.files[i];
        if (!needs_correction(run, file))
            continue;
        struct pgdbm__history_entry entry = pgdbm__run_entry(file, file->applied->execution_ms);
        status = pgdbm__history_correct(&run->history, tx, file->applied, &entry, err);
    }
    for (size_t i = 0; status == PGDBM_OK && i < run->rows.n_rows; i++)
        if (is_to_be_deleted(run, &run->rows.rows[i]))
            status = pgdbm__history_delete(&run->history, tx, &run->rows.rows[i], err);
    return status;
}

static pgdbm_status correct(struct pgdbm__run *run, void *context, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    size_t *corrected = context;
    *corrected = count_needed(run);
    if (*corrected == 0) /* another process has done it meanwhile */
        return PGDBM_OK;
    pgdbm_status status = pgdbm_begin(run->session, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = correct_rows(run, tx, err);
    if (status != PGDBM_OK) {
        pgdbm_close(tx);
        return status;
    }
    status = pgdbm_commit(tx, err);
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++)
        if (needs_correction(run, &run->set.files[i]))
            run->set.files[i].applied_now = true;
    return status;
}

pgdbm_status pgdbm_migrate_repair_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                        pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    size_t corrected = 0;
    if (report != NULL)
        *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, FUNCTION, db, options, options_bytes, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    if (status == PGDBM_OK && run.options.dry_run)
        corrected = count_needed(&run);
    else if (status == PGDBM_OK && count_needed(&run) > 0) {
        status = pgdbm__run_locked(&run, correct, &corrected, err);
        if (status == PGDBM_OK)
            status = pgdbm__run_look(&run, err);
        else
            corrected = 0;
    }
    if (status == PGDBM_OK && !run.options.dry_run)
        status = pgdbm__run_check(&run, err);
    status = pgdbm__run_end(&run, status, report, err);
    if (report != NULL && *report != NULL)
        (*report)->n_applied = corrected;
    return status;
}
