/* SPDX-License-Identifier: MIT */
/* A run, from the files to the report. Its state is the caller's struct; one thread. */
#include "migrate/run.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "migrate/apply.h"
#include "migrate/plan.h"
#include "migrate/progress.h"

#include <pgdbm/memory.h>
#include <pgdbm/transaction.h>
#include <string.h>

#define DEFAULT_WAIT_MS 300000
#define DEFAULT_LOCK_TIMEOUT_MS 2000
#define DEFAULT_LOCK_ATTEMPTS 10

/* Only a manager can give sessions, and a statement that fails would harm the caller's transaction. */
static pgdbm_status check_manager(const char *function, pgdbm_db *db, pgdbm_error *err)
{
    int pid = 0;
    if (pgdbm_session_pid(db, &pid, NULL) == PGDBM_ERR_ARGUMENT)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "%s needs sessions of its own", function);
    pgdbm__error_hint(err, "migrate on the manager itself, not on a transaction or a pinned session");
    return PGDBM_ERR_TRANSACTION;
}

static void take_options(struct pgdbm__run *run, const pgdbm_migrate_options *options, size_t options_bytes)
{
    pgdbm_migrate_options *own = &run->options;
    memcpy(own, options, options_bytes < sizeof *own ? options_bytes : sizeof *own);
    if (own->wait_timeout_ms == 0)
        own->wait_timeout_ms = DEFAULT_WAIT_MS;
    if (own->lock_timeout_ms == 0)
        own->lock_timeout_ms = DEFAULT_LOCK_TIMEOUT_MS;
    if (own->lock_attempts <= 0)
        own->lock_attempts = DEFAULT_LOCK_ATTEMPTS;
}

static pgdbm_status check_target(const struct pgdbm__run *run, pgdbm_error *err)
{
    const char *target = run->options.target;
    if (target == NULL)
        return PGDBM_OK;
    for (size_t i = 0; i < run->set.n_versioned; i++)
        if (pgdbm__migration_version_compare(run->set.files[i].version, target) == 0)
            return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "no migration of module %s has the number \"%.60s\"", run->history.module,
                target);
    pgdbm__error_hint(err, "a target is the number of a file: of 007_orders.sql it is 7");
    return PGDBM_ERR_MIGRATION;
}

pgdbm_status pgdbm__run_begin(struct pgdbm__run *run, const char *function, pgdbm_db *db,
                              const pgdbm_migrate_options *options, size_t options_bytes, bool needs_files,
                              pgdbm_error *err)
{
    if (db == NULL || options == NULL)
        return pgdbm__fail_null(err, function, db == NULL ? "db" : "options");
    run->started = pgdbm__now_ns();
    take_options(run, options, options_bytes);
    const pgdbm_migrations *migrations = run->options.migrations;
    if (migrations == NULL && needs_files)
        return pgdbm__fail_null(err, function, "options->migrations");
    run->db = db;
    run->template_schema = pgdbm_schema(db);
    pgdbm_status status = check_manager(function, db, err);
    if (status == PGDBM_OK)
        status = pgdbm__history_init(&run->history, run->options.module, run->template_schema, run->options.table,
                                     run->options.per_schema, err);
    run->history.build = run->options.build;
    if (status != PGDBM_OK || migrations == NULL)
        return status;
    status = pgdbm__migration_set_load(&run->set, migrations, &run->options.policies, run->options.allow_empty, err);
    run->history.set_digest = run->set.digest;
    return status == PGDBM_OK ? check_target(run, err) : status;
}

/* Rows of others may have the text and no semantic checksum. */
static pgdbm_status compare_bodies(struct pgdbm__run *run, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++) {
        struct pgdbm__migration_file *file = &run->set.files[i];
        char checksum[PGDBM__CHECKSUM_BYTES];
        char *body = NULL;
        if (file->state != PGDBM_MIGRATION_CHANGED || file->applied->semantic_checksum != NULL)
            continue;
        status = pgdbm__history_body(&run->history, db, file->applied, &body, err);
        if (body != NULL && !pgdbm__migration_semantic_checksum(body, strlen(body), checksum))
            status = pgdbm__fail_nomem(err, "comparing migrations");
        else if (body != NULL && strcmp(checksum, file->semantic_checksum) == 0)
            file->state = PGDBM_MIGRATION_REFORMATTED;
        pgdbm_free(body);
    }
    return status;
}

static struct pgdbm__migration_file *file_called(const struct pgdbm__run *run, const char *filename)
{
    for (size_t i = 0; i < run->set.n_files; i++)
        if (strcmp(run->set.files[i].filename, filename) == 0)
            return &run->set.files[i];
    return NULL;
}

/* Also among the files that are a transaction now, and those that are gone: under another name, what is done of one would
 * be done again. */
static pgdbm_status note_begun(struct pgdbm__run *run, const pgdbm_result *rows, size_t row, pgdbm_error *err)
{
    const char *filename = NULL;
    int64_t done = 0;
    int64_t n_statements = 0;
    pgdbm_status status = pgdbm_get_text(rows, row, 0, &filename, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_int64(rows, row, 1, &done, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_int64(rows, row, 2, &n_statements, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__migration_file *file = file_called(run, filename);
    if (file == NULL && run->begun_and_gone == NULL)
        return (run->begun_and_gone = pgdbm__strdup(filename)) != NULL
                   ? PGDBM_OK
                   : pgdbm__fail_nomem(err, "reading how far migrations have come");
    if (file != NULL && pgdbm__plan_is_pending(file->state)) {
        file->state = PGDBM_MIGRATION_PARTIAL;
        file->statements_done = done > 0 ? (size_t)done : 0;
        file->n_statements = n_statements > 0 ? (size_t)n_statements : 0;
    }
    return PGDBM_OK;
}

static pgdbm_status find_partial(struct pgdbm__run *run, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_result *rows = NULL;
    bool exists = pgdbm__plan_next(&run->set, NULL) != NULL;
    pgdbm_status status = exists ? pgdbm__progress_exists(&run->history, db, &exists, err) : PGDBM_OK;
    pgdbm__free(run->begun_and_gone);
    run->begun_and_gone = NULL;
    if (status == PGDBM_OK && exists)
        status = pgdbm__progress_list(&run->history, db, &rows, err);
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm_result_rows(rows); i++)
        status = note_begun(run, rows, i, err);
    pgdbm_result_free(rows);
    return status;
}

pgdbm_status pgdbm__run_look(struct pgdbm__run *run, pgdbm_error *err)
{
    pgdbm_db *db = run->session != NULL ? run->session : run->db;
    struct pgdbm__history_rows rows = {0};
    pgdbm_status status = pgdbm__history_read(&run->history, db, &rows, err);
    if (status != PGDBM_OK) { /* what was known before stays */
        pgdbm__history_rows_free(&rows);
        return status;
    }
    pgdbm__history_rows_free(&run->rows);
    run->rows = rows;
    pgdbm__plan_match(&run->set, &run->rows);
    run->matched = true;
    status = compare_bodies(run, db, err);
    /* Behind a pooler no such file runs, and a table that is missing would end the transaction. */
    if (status == PGDBM_OK && !run->rows.no_table && !run->pooled)
        status = find_partial(run, db, err);
    run->current = status == PGDBM_OK;
    return status;
}

static pgdbm_status fail_fault(struct pgdbm__run *run, const struct pgdbm__plan_fault *fault, pgdbm_error *err)
{
    char *body = NULL;
    if (err != NULL && fault->state == PGDBM_MIGRATION_CHANGED)
        pgdbm__history_body(&run->history, run->session != NULL ? run->session : run->db, fault->row, &body, NULL);
    pgdbm_status status = pgdbm__plan_fail(fault, &run->set, &run->rows, &run->history, err);
    pgdbm__plan_explain(fault, body, err);
    pgdbm_free(body);
    return status;
}

static pgdbm_status fail_begun(const struct pgdbm__run *run, const struct pgdbm__migration_file *file, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                "%s was begun without a transaction, and is one now: %zu of its statements would be done again "
                "(module %s)",
                file->filename, file->statements_done, run->history.module);
    pgdbm__error_hint(err,
                      "give it -- pgdbm:no-transaction back; or, to begin again, undo them and delete the file's row "
                      "from %s",
                      run->history.qualified_progress);
    return PGDBM_ERR_MIGRATION;
}

static pgdbm_status fail_gone(const struct pgdbm__run *run, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                "migration %s of module %s was begun and has not ended, and there is no such file", run->begun_and_gone,
                run->history.module);
    pgdbm__error_hint(
        err,
        "bring the file back under this name (was it renamed?); or undo what is done of it and delete its "
        "row from %s; policies.missing allows it",
        run->history.qualified_progress);
    return PGDBM_ERR_MIGRATION;
}

pgdbm_status pgdbm__run_check(struct pgdbm__run *run, pgdbm_error *err)
{
    struct pgdbm__plan_fault fault;
    pgdbm_status status = PGDBM_OK;
    if (run->begun_and_gone != NULL && run->options.policies.missing != PGDBM_POLICY_ALLOW)
        return fail_gone(run, err);
    if (pgdbm__plan_find_fault(&run->set, &run->rows, &run->options.policies, run->options.target, &fault))
        return fail_fault(run, &fault, err);
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++)
        if (pgdbm__plan_runs(&run->set.files[i], run->options.target)) {
            struct pgdbm__migration_file *file = &run->set.files[i];
            if (file->state == PGDBM_MIGRATION_PARTIAL && !file->no_transaction)
                return fail_begun(run, file, err);
            status = pgdbm__migration_file_prepare(file, run->template_schema, err);
        }
    return status;
}

static pgdbm_status waiting(void *context, pgdbm_error *err)
{
    return pgdbm__run_progress(context, (pgdbm_migration_progress){.phase = PGDBM_PHASE_WAITING}, err);
}

static pgdbm_status act_under_lock(struct pgdbm__run *run, pgdbm__run_act act, void *context, pgdbm_error *err)
{
    const char *module = run->history.module;
    run->session = run->lock.tx != NULL ? run->lock.tx : run->lock.pin;
    run->pooled = run->lock.tx != NULL;
    run->acted = true;
    pgdbm_status status = pgdbm__run_look(run, err);
    if (status == PGDBM_OK)
        status = act(run, context, err);
    run->current = run->current && status != PGDBM_OK;
    if (status == PGDBM_OK) {
        status = pgdbm__migration_unlock(&run->lock, module, err);
        return run->uncommitted != NULL ? pgdbm__migration_committed(run, status, err) : status;
    }
    run->uncommitted = NULL;
    /* The error is reported; the pool undoes what the session may still hold. Nothing is committed. */
    if (!run->pooled)
        pgdbm__migration_unlock(&run->lock, module, NULL);
    return status;
}

pgdbm_status pgdbm__run_locked(struct pgdbm__run *run, pgdbm__run_act act, void *context, pgdbm_error *err)
{
    /* On a session of the pool, and before the lock: behind a pooler the lock is a transaction, which a lost race would end. */
    pgdbm_status status =
        run->trial ? PGDBM_OK : pgdbm__history_create(&run->history, run->db, run->options.schema_must_exist, err);
    if (status == PGDBM_OK)
        status = pgdbm__migration_lock(&run->lock, run->db, run->history.module,
                                       pgdbm__deadline(run->options.wait_timeout_ms), waiting, run, err);
    if (status == PGDBM_OK)
        status = act_under_lock(run, act, context, err);
    pgdbm__migration_lock_free(&run->lock);
    run->session = NULL;
    run->pooled = false;
    return status;
}

pgdbm_status pgdbm__run_progress(const struct pgdbm__run *run, pgdbm_migration_progress progress, pgdbm_error *err)
{
    if (run->options.on_progress == NULL)
        return PGDBM_OK;
    progress.module = run->history.module;
    progress.schema = run->history.schema;
    progress.file = run->file;
    progress.n_files = run->n_files;
    progress.elapsed_ms = (double)(pgdbm__now_ns() - run->started) / (double)PGDBM__MS;
    if (run->options.on_progress(&progress, run->options.context))
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_CANCELED, "migrating module %s was canceled%s%s", run->history.module,
                progress.filename != NULL ? " at " : "", progress.filename != NULL ? progress.filename : "");
    pgdbm__error_hint(err, "the progress callback returned false; the next run goes on where this one stopped");
    return PGDBM_ERR_CANCELED;
}

struct pgdbm__history_entry pgdbm__run_entry(const struct pgdbm__migration_file *file, double execution_ms)
{
    return (struct pgdbm__history_entry){
        .filename = file->filename,
        .checksum = file->checksum,
        .kind = file->repeatable ? "R" : NULL,
        .semantic_checksum = file->semantic_checksum,
        .body = file->text,
        .body_bytes = file->bytes,
        .down = file->down.text,
        .down_bytes = file->down.bytes,
        .execution_ms = execution_ms,
    };
}

/* After something was done the history is read once more, because it has when and by whom. A server that is gone is not waited for
 * when that would tell nothing new: the act left no trace, and what was there before it is known. */
static bool must_look(struct pgdbm__run *run, pgdbm_status status, const pgdbm_error *failure)
{
    if (!run->acted || status != PGDBM_ERR_CONNECTION)
        return run->acted;
    bool traceless = failure != NULL &&
                     (failure->outcome == PGDBM_OUTCOME_ROLLED_BACK || failure->outcome == PGDBM_OUTCOME_NOT_SENT);
    return !(traceless && run->current) &&
           pgdbm__run_progress(run, (pgdbm_migration_progress){.phase = PGDBM_PHASE_LOST}, NULL) == PGDBM_OK;
}

/* `err` is NULL when the run's own error is the one to be told. */
static pgdbm_status make_report(struct pgdbm__run *run, bool look, pgdbm_migration_report **report, pgdbm_error *err)
{
    pgdbm_status status = look ? pgdbm__run_look(run, err) : PGDBM_OK;
    pgdbm_status made =
        pgdbm__plan_report(&run->set, &run->rows, &run->history, report, status == PGDBM_OK ? err : NULL);
    if (made == PGDBM_OK && run->options.dry_run)
        (*report)->n_applied = pgdbm__plan_count(&run->set, run->options.target);
    return status == PGDBM_OK ? made : status;
}

pgdbm_status pgdbm__run_end(struct pgdbm__run *run, pgdbm_status status, pgdbm_migration_report **report,
                            pgdbm_error *err)
{
    if (report != NULL && run->matched) {
        bool look = must_look(run, status, err);
        pgdbm_status reported = make_report(run, look, report, status == PGDBM_OK ? err : NULL);
        if (status == PGDBM_OK)
            status = reported;
    }
    for (size_t i = 0; i < run->set.n_files; i++)
        pgdbm__free(run->set.files[i].sql);
    pgdbm__free(run->begun_and_gone);
    pgdbm__migration_lock_free(&run->lock);
    pgdbm__history_rows_free(&run->rows);
    pgdbm__migration_set_free(&run->set);
    pgdbm__history_free(&run->history);
    return status;
}
