/* SPDX-License-Identifier: MIT */
/* Undoing what was applied, the highest number first. All down parts are found and made ready before the first one runs; then
 * each is a transaction of its own under the module's lock, in which the history is read again. No state, any thread. */
#include "migrate/apply.h"
#include "migrate/dry_run.h"
#include "migrate/plan.h"
#include "migrate/run.h"

#include "base/alloc.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION "pgdbm_migrate_rollback"

/* One file that is to be undone. Its row and its file are borrowed from the run as it was when the steps were chosen, and are
 * good until it looks again. */
struct step {
    const struct pgdbm__history_row *row;
    const struct pgdbm__migration_file *file; /* NULL: it is gone */
    char *filename, *version;
    char *recorded; /* the down part, where it comes from the history */
    struct pgdbm__script_source source;
    struct pgdbm__script script;
    char *sql; /* of a dry run */
};

struct rollback {
    struct pgdbm__run run;
    struct step *steps; /* the highest number first */
    size_t n_steps;
    size_t n_chosen;                           /* so many of them are to be undone */
    size_t at;                                 /* the one at hand */
    bool undone;                               /* by this call, not by another's meanwhile */
    struct pgdbm__migration_file *undone_file; /* NULL: it is gone */
    size_t n_undone;
};

static void rollback_free(struct rollback *rollback)
{
    for (size_t i = 0; i < rollback->n_steps; i++) {
        pgdbm__script_free(&rollback->steps[i].script);
        pgdbm__free(rollback->steps[i].filename);
        pgdbm__free(rollback->steps[i].version);
        pgdbm__free(rollback->steps[i].sql);
        pgdbm_free(rollback->steps[i].recorded);
    }
    pgdbm__free(rollback->steps);
}

static int compare_steps(const void *a, const void *b)
{
    const struct step *x = a;
    const struct step *y = b;
    int order = pgdbm__migration_version_compare(y->version, x->version);
    return order != 0 ? order : strcmp(y->filename, x->filename);
}

static struct pgdbm__migration_file *file_of(const struct pgdbm__run *run, const struct pgdbm__history_row *row)
{
    for (size_t i = 0; i < run->set.n_files; i++)
        if (run->set.files[i].applied == row)
            return &run->set.files[i];
    return NULL;
}

static bool is_repeatable(const struct pgdbm__history_row *row)
{
    struct pgdbm__migration_name name = {0};
    return (row->kind != NULL && strcmp(row->kind, "R") == 0) ||
           (pgdbm__migration_name_parse(row->filename, &name) && name.repeatable);
}

/* A row without a module name counts only where a file of this module has taken it. */
static bool can_be_undone(const struct pgdbm__run *run, const struct pgdbm__history_row *row)
{
    return !is_repeatable(row) && (row->named || file_of(run, row) != NULL);
}

/* Everything that is applied, in the order in which it would be undone. */
static pgdbm_status list_applied(struct rollback *rollback, pgdbm_error *err)
{
    const struct pgdbm__run *run = &rollback->run;
    rollback->steps = pgdbm__alloc_zero(run->rows.n_rows, sizeof *rollback->steps);
    if (rollback->steps == NULL)
        return pgdbm__fail_nomem(err, "rolling back migrations");
    for (size_t i = 0; i < run->rows.n_rows; i++) {
        const struct pgdbm__history_row *row = &run->rows.rows[i];
        if (!can_be_undone(run, row))
            continue;
        struct step *step = &rollback->steps[rollback->n_steps++];
        step->row = row;
        step->file = file_of(run, row);
        step->filename = pgdbm__strdup(row->filename);
        step->version = pgdbm__strdup(row->version);
        if (step->filename == NULL || step->version == NULL)
            return pgdbm__fail_nomem(err, "rolling back migrations");
    }
    qsort(rollback->steps, rollback->n_steps, sizeof *rollback->steps, compare_steps);
    return PGDBM_OK;
}

/* Down to a number, or by count. A number that is not applied is nearly always a slip of the finger, and too low a one would
 * undo too much; 0 means everything. */
static pgdbm_status choose(struct rollback *rollback, const char *target, size_t count, pgdbm_error *err)
{
    rollback->n_chosen = count < rollback->n_steps ? count : rollback->n_steps;
    if (target == NULL)
        return PGDBM_OK;
    size_t above = 0;
    while (above < rollback->n_steps && pgdbm__migration_version_compare(rollback->steps[above].version, target) > 0)
        above++;
    bool stays =
        above < rollback->n_steps && pgdbm__migration_version_compare(rollback->steps[above].version, target) == 0;
    if (!stays && (target[0] != '0' || pgdbm__migration_version_compare(target, "0") != 0)) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                    "module %s has no migration \"%.60s\" applied to schema %s to roll back to",
                    rollback->run.history.module, target, rollback->run.history.schema);
        pgdbm__error_hint(err, "name the number that shall stay, or 0 to undo everything");
        return PGDBM_ERR_MIGRATION;
    }
    rollback->n_chosen = above;
    return PGDBM_OK;
}

/* The way back of a text that is another now would not be the way back of what was applied. */
static pgdbm_status check_file(const struct pgdbm__run *run, const struct pgdbm__migration_file *file, pgdbm_error *err)
{
    if (file->state == PGDBM_MIGRATION_PARTIAL) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s was begun and has not ended", file->filename,
                    run->history.module);
        pgdbm__error_hint(err, "migrate first: the rest of it runs; then roll back");
        return PGDBM_ERR_MIGRATION;
    }
    if (file->state == PGDBM_MIGRATION_CHANGED && run->options.policies.changed != PGDBM_POLICY_ALLOW) {
        pgdbm__fail(
            err, PGDBM_ERR_MIGRATION,
            "migration %s of module %s was changed after it was applied to schema %s: its down part may not undo "
            "what was done",
            file->filename, run->history.module, run->history.schema);
        pgdbm__error_hint(err, "restore the file as it was applied, or allow changed files (policies.changed)");
        return PGDBM_ERR_MIGRATION;
    }
    return PGDBM_OK;
}

static pgdbm_status check_files(const struct rollback *rollback, pgdbm_error *err)
{
    const struct pgdbm__run *run = &rollback->run;
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++)
        if (run->set.files[i].state == PGDBM_MIGRATION_PARTIAL)
            status = check_file(run, &run->set.files[i], err);
    for (size_t i = 0; status == PGDBM_OK && i < rollback->n_chosen; i++)
        if (rollback->steps[i].file != NULL)
            status = check_file(run, rollback->steps[i].file, err);
    return status;
}

static pgdbm_status find_down(struct rollback *rollback, struct step *step, pgdbm_error *err)
{
    const struct pgdbm__run *run = &rollback->run;
    pgdbm_status status = PGDBM_OK;
    if (step->file != NULL)
        step->source = step->file->down;
    else if (step->row->has_down) {
        status = pgdbm__history_down(&run->history, run->db, step->row, &step->recorded, err);
        step->source = (struct pgdbm__script_source){
            .filename = step->filename,
            .text = step->recorded,
            .bytes = step->recorded != NULL ? strlen(step->recorded) : 0,
            .down = true,
        };
    }
    if (status == PGDBM_OK && step->source.text == NULL) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s has no down part%s", step->filename,
                             run->history.module, step->file == NULL ? ": its file is gone and none was recorded" : "");
        pgdbm__error_hint(err,
                          "write what undoes it behind a line -- pgdbm:down, or into the file's .down.sql; nothing was "
                          "rolled back");
    }
    return status;
}

static pgdbm_status prepare(struct rollback *rollback, pgdbm_error *err)
{
    pgdbm_status status = check_files(rollback, err);
    for (size_t i = 0; status == PGDBM_OK && i < rollback->n_chosen; i++) {
        struct step *step = &rollback->steps[i];
        status = find_down(rollback, step, err);
        if (status == PGDBM_OK)
            status = pgdbm__script_prepare(&step->script, &step->source, rollback->run.template_schema, err);
    }
    return status;
}

/* The row that the step is to undo, as the history has it now; NULL when another process has undone it meanwhile. What was
 * applied on top of it meanwhile was not asked to be undone, and might need it. */
static pgdbm_status find_row_again(const struct rollback *rollback, const struct pgdbm__history_row **found,
                                   pgdbm_error *err)
{
    const struct pgdbm__run *run = &rollback->run;
    const struct step *step = &rollback->steps[rollback->at];
    const char *above = NULL;
    *found = NULL;
    for (size_t i = 0; i < run->rows.n_rows; i++) {
        const struct pgdbm__history_row *row = &run->rows.rows[i];
        if (!can_be_undone(run, row))
            continue;
        if (strcmp(row->filename, step->filename) == 0)
            *found = row;
        else if (pgdbm__migration_version_compare(row->version, step->version) > 0)
            above = row->filename;
    }
    if (*found == NULL || above == NULL)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s was applied by another process meanwhile", above,
                run->history.module);
    pgdbm__error_hint(err, "stop whoever migrates, then roll back again");
    return PGDBM_ERR_MIGRATION;
}

static pgdbm_status undo_one(struct pgdbm__run *run, void *context, pgdbm_error *err)
{
    struct rollback *rollback = context;
    const struct pgdbm__history_row *row = NULL;
    pgdbm_status status = find_row_again(rollback, &row, err);
    if (status != PGDBM_OK || row == NULL)
        return status;
    struct pgdbm__migration_file *file = file_of(run, row);
    if (file != NULL)
        status = check_file(run, file, err);
    run->file = rollback->at + 1;
    if (status == PGDBM_OK)
        status = pgdbm__migration_undo(run, &rollback->steps[rollback->at].script, row, &rollback->undone, err);
    rollback->undone_file = file;
    return status;
}

/* Behind a pooler the commit is the unlocking, and the file is undone only then; canceled can only be who was told of it. */
static void note_undone(struct rollback *rollback, pgdbm_status status)
{
    bool pooled = rollback->run.lock.server == PGDBM__SERVER_POOLED;
    if (!rollback->undone || (pooled && status != PGDBM_OK && status != PGDBM_ERR_CANCELED))
        return;
    rollback->n_undone++;
    if (rollback->undone_file != NULL)
        rollback->undone_file->applied_now = true;
}

static pgdbm_status undo_all(struct rollback *rollback, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    rollback->run.n_files = rollback->n_chosen;
    for (rollback->at = 0; status == PGDBM_OK && rollback->at < rollback->n_chosen; rollback->at++) {
        rollback->undone = false;
        status = pgdbm__run_locked(&rollback->run, undo_one, rollback, err);
        note_undone(rollback, status);
    }
    return status;
}

static pgdbm_status show(struct rollback *rollback, pgdbm_error *err)
{
    for (size_t i = 0; i < rollback->n_chosen; i++) {
        struct step *step = &rollback->steps[i];
        struct pgdbm__buffer sql = {0};
        pgdbm__dry_run_undo(&rollback->run, &step->script, step->row, &sql);
        step->sql = pgdbm__buffer_take(&sql);
        pgdbm__buffer_free(&sql);
        if (step->sql == NULL)
            return pgdbm__fail_nomem(err, "composing a dry run");
    }
    rollback->n_undone = rollback->n_chosen;
    return PGDBM_OK;
}

/* What the report cannot know of a file that is gone. */
static void complete_report(struct rollback *rollback, pgdbm_migration_report *report)
{
    report->n_applied = rollback->n_undone;
    for (size_t i = 0; i < rollback->n_steps; i++)
        for (size_t k = 0; rollback->steps[i].sql != NULL && k < report->n_migrations; k++)
            if (strcmp(report->migrations[k].filename, rollback->steps[i].filename) == 0) {
                report->migrations[k].sql = rollback->steps[i].sql;
                rollback->steps[i].sql = NULL;
            }
}

static pgdbm_status roll_back(struct rollback *rollback, const char *target, size_t count, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__run_look(&rollback->run, err);
    if (status == PGDBM_OK)
        status = list_applied(rollback, err);
    if (status == PGDBM_OK)
        status = choose(rollback, target, count, err);
    if (status == PGDBM_OK)
        status = prepare(rollback, err);
    if (status == PGDBM_OK)
        status = rollback->run.options.dry_run ? show(rollback, err) : undo_all(rollback, err);
    return status;
}

pgdbm_status pgdbm_migrate_rollback_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                          size_t count, pgdbm_migration_report **report, pgdbm_error *err)
{
    struct rollback rollback = {0};
    pgdbm_migrate_options own = {0};
    if (report != NULL)
        *report = NULL;
    if (options != NULL)
        memcpy(&own, options, options_bytes < sizeof own ? options_bytes : sizeof own);
    const char *target = own.target;
    own.target = NULL; /* of other calls it is the number of a file; here it may be 0, or of a file that is gone */
    pgdbm_status status =
        pgdbm__run_begin(&rollback.run, FUNCTION, db, options != NULL ? &own : NULL, sizeof own, true, err);
    if (status == PGDBM_OK && target == NULL && count == 0) {
        status = pgdbm__fail(err, PGDBM_ERR_ARGUMENT, FUNCTION ": neither a target nor a count");
        pgdbm__error_hint(err, "set options.target to the number that shall stay, or say how many files to undo");
    }
    if (status == PGDBM_OK)
        status = roll_back(&rollback, target, count, err);
    status = pgdbm__run_end(&rollback.run, status, report, err);
    if (report != NULL && *report != NULL)
        complete_report(&rollback, *report);
    rollback_free(&rollback);
    return status;
}
