/* SPDX-License-Identifier: MIT */
/* What stands against a run, in words. No state, any thread. */
#include "base/error.h"
#include "migrate/difference.h"
#include "migrate/plan.h"

#include <string.h>

static bool is_allowed(const pgdbm_migration_policies *policies, pgdbm_migration_state state)
{
    switch (state) {
    case PGDBM_MIGRATION_CHANGED:
        return policies->changed == PGDBM_POLICY_ALLOW;
    case PGDBM_MIGRATION_MISSING:
        return policies->missing == PGDBM_POLICY_ALLOW;
    case PGDBM_MIGRATION_OUT_OF_ORDER:
        return policies->out_of_order == PGDBM_POLICY_ALLOW;
    case PGDBM_MIGRATION_FUTURE:
        return policies->future == PGDBM_POLICY_ALLOW;
    case PGDBM_MIGRATION_GAP:
        return policies->gap == PGDBM_POLICY_ALLOW;
    default:
        return true;
    }
}

bool pgdbm__plan_find_fault(const struct pgdbm__migration_set *set, const struct pgdbm__history_rows *rows,
                            const pgdbm_migration_policies *policies, const char *target,
                            struct pgdbm__plan_fault *fault)
{
    /* What is in the history first: it explains the others (a missing file, a gap). */
    for (size_t i = 0; i < set->n_files; i++) {
        const struct pgdbm__migration_file *file = &set->files[i];
        *fault = (struct pgdbm__plan_fault){file->state, file, file->applied};
        if (file->applied != NULL && !is_allowed(policies, file->state))
            return true;
    }
    for (size_t i = 0; i < rows->n_rows; i++) {
        *fault = (struct pgdbm__plan_fault){rows->rows[i].state, NULL, &rows->rows[i]};
        if (!is_allowed(policies, fault->state))
            return true;
    }
    for (size_t i = 0; i < set->n_files; i++) {
        *fault = (struct pgdbm__plan_fault){set->files[i].state, &set->files[i], NULL};
        if (pgdbm__plan_runs(fault->file, target) && !is_allowed(policies, fault->state))
            return true;
    }
    return false;
}

static void fail_changed(const struct pgdbm__plan_fault *fault, const struct pgdbm__history *history, pgdbm_error *err)
{
    const struct pgdbm__migration_file *file = fault->file;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s was changed after it was applied to schema %s",
                file->filename, history->module, history->schema);
    pgdbm__error_detail(err, "applied checksum %s, the file's is %s", fault->row->checksum, file->checksum);
    if (fault->row->named)
        pgdbm__error_hint(err, "restore the file as it was applied and put the change into a new migration");
    else
        pgdbm__error_hint(err,
                          "restore the file as it was applied; if its row in %s belongs to another module, "
                          "set that row's module_name",
                          history->qualified);
}

static void fail_without_file(const struct pgdbm__plan_fault *fault, const struct pgdbm__migration_set *set,
                              const struct pgdbm__history *history, pgdbm_error *err)
{
    const struct pgdbm__history_row *row = fault->row;
    const char *newest = set->n_versioned > 0 ? set->files[set->n_versioned - 1].filename : "no file";
    if (fault->state == PGDBM_MIGRATION_FUTURE) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                    "schema %s is ahead of this program: %s of module %s is applied, and the newest file is %s",
                    history->schema, row->filename, history->module, newest);
        pgdbm__error_hint(err, "start the program's newer build, or roll the schema back with it; policies.future "
                               "allows an older one beside it");
        return;
    }
    pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                "migration %s of module %s is applied to schema %s, and there is no such file", row->filename,
                history->module, history->schema);
    pgdbm__error_hint(err, "bring the file back (was it renamed?); policies.missing allows it, and repair with it "
                           "forgets the row");
}

static void fail_pending(const struct pgdbm__plan_fault *fault, const struct pgdbm__migration_set *set,
                         const struct pgdbm__history_rows *rows, const struct pgdbm__history *history, pgdbm_error *err)
{
    const struct pgdbm__migration_file *file = fault->file;
    if (fault->state == PGDBM_MIGRATION_OUT_OF_ORDER) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                    "migration %s of module %s comes before %s, which is applied to schema %s", file->filename,
                    history->module, pgdbm__plan_head(rows), history->schema);
        pgdbm__error_hint(err, "give it the next free number; where the order does not matter, policies.out_of_order "
                               "allows it");
        return;
    }
    const char *before = "the one before";
    for (size_t i = 0; i < set->n_files && &set->files[i] != file; i++)
        before = set->files[i].filename;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s does not follow %s: a number is left out",
                file->filename, history->module, before);
    pgdbm__error_hint(err, "a file is not there yet, or this one has a wrong number; policies.gap allows it");
}

pgdbm_status pgdbm__plan_fail(const struct pgdbm__plan_fault *fault, const struct pgdbm__migration_set *set,
                              const struct pgdbm__history_rows *rows, const struct pgdbm__history *history,
                              pgdbm_error *err)
{
    if (fault->file == NULL)
        fail_without_file(fault, set, history, err);
    else if (fault->row != NULL)
        fail_changed(fault, history, err);
    else
        fail_pending(fault, set, rows, history, err);
    return PGDBM_ERR_MIGRATION;
}

void pgdbm__plan_explain(const struct pgdbm__plan_fault *fault, const char *body, pgdbm_error *err)
{
    char difference[320];
    if (err == NULL || body == NULL || fault->state != PGDBM_MIGRATION_CHANGED)
        return;
    pgdbm__text_difference(body, strlen(body), fault->file->text, fault->file->bytes, difference, sizeof difference);
    if (difference[0] != '\0')
        pgdbm__error_detail(err, "applied checksum %s, the file's is %s; %s", fault->row->checksum,
                            fault->file->checksum, difference);
}
