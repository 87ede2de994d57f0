/* SPDX-License-Identifier: MIT */
/* The public calls. A run owns its files, its rows and one pinned session at a time; nothing outlives the call but the
 * report.
 *
 * Each file has a pinned session of its own, with the lock taken again: what a file leaves behind in its session
 * (search_path, role, temporary tables) is undone by the pool when the session goes back, and cannot reach the next
 * file. Who has the lock reads the history again, so it does not matter which process applies which file. */
#include "migrate/apply.h"
#include "migrate/lock.h"
#include "migrate/plan.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <pgdbm/transaction.h>
#include <string.h>

#define DEFAULT_WAIT_MS 300000

struct run {
    pgdbm_db *db;
    pgdbm_migrate_options options;
    const char *template_schema; /* the manager's, NULL for none */
    struct pgdbm__history history;
    struct pgdbm__migration_set set;
    struct pgdbm__history_rows rows;
    bool matched; /* the files have their states */
    pgdbm_db *session;
};

static void run_free(struct run *run)
{
    pgdbm_close(run->session);
    pgdbm__history_rows_free(&run->rows);
    pgdbm__migration_set_free(&run->set);
    pgdbm__history_free(&run->history);
}

/* Everything that can be known without the database. */
static pgdbm_status run_init(struct run *run, const char *function, pgdbm_db *db, const pgdbm_migrate_options *options,
                             size_t options_bytes, pgdbm_error *err)
{
    if (db == NULL || options == NULL)
        return pgdbm__fail_null(err, function, db == NULL ? "db" : "options");
    memcpy(&run->options, options, options_bytes < sizeof run->options ? options_bytes : sizeof run->options);
    if (run->options.migrations == NULL)
        return pgdbm__fail_null(err, function, "options->migrations");
    run->db = db;
    run->template_schema = pgdbm_schema(db);
    if (run->options.wait_timeout_ms == 0)
        run->options.wait_timeout_ms = DEFAULT_WAIT_MS;
    pgdbm_status status =
        pgdbm__history_init(&run->history, run->options.module, run->template_schema, run->options.table, err);
    if (status == PGDBM_OK)
        status = pgdbm__migration_set_load(&run->set, run->options.migrations, run->options.allow_empty, err);
    return status;
}

static pgdbm_status take_session(struct run *run, pgdbm_error *err)
{
    pgdbm_status status = pgdbm_pin(run->db, &run->session, err);
    if (status == PGDBM_ERR_TRANSACTION)
        pgdbm__error_hint(err, "migrate on the manager itself, not on a transaction or a pinned session");
    return status;
}

/* When it fails, what was known before stays. */
static pgdbm_status read_history(struct run *run, pgdbm_error *err)
{
    struct pgdbm__history_rows rows = {0};
    pgdbm_status status = pgdbm__history_read(&run->history, run->session, &rows, err);
    if (status != PGDBM_OK) {
        pgdbm__history_rows_free(&rows);
        return status;
    }
    pgdbm__history_rows_free(&run->rows);
    run->rows = rows;
    pgdbm__plan_match(&run->set, &run->rows);
    run->matched = true;
    return PGDBM_OK;
}

static pgdbm_status prepare_pending(struct run *run, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++) {
        struct pgdbm__migration_file *file = &run->set.files[i];
        if (file->state == PGDBM_MIGRATION_PENDING)
            status = pgdbm__script_prepare(&file->script, file->filename, file->text, file->bytes, run->template_schema,
                                           err);
    }
    return status;
}

/* Reads, and finds out whether what is pending could run. Under the lock what it finds stays so. */
static pgdbm_status look(struct run *run, pgdbm_error *err)
{
    pgdbm_status status = read_history(run, err);
    if (status == PGDBM_OK)
        status = pgdbm__plan_check(&run->set, &run->history, err);
    if (status == PGDBM_OK)
        status = prepare_pending(run, err);
    return status;
}

static pgdbm_status apply_first_pending(struct run *run, const char *role, pgdbm_error *err)
{
    struct pgdbm__migration_file *file = pgdbm__plan_pending(&run->set);
    pgdbm_status status = PGDBM_OK;
    if (file == NULL)
        return PGDBM_OK;
    if (run->rows.no_table)
        status = pgdbm__history_create(&run->history, run->session, err);
    if (status == PGDBM_OK)
        status = pgdbm__migration_apply(&run->history, file, run->session, role, err);
    if (status == PGDBM_OK) {
        file->applied_now = true;
        file->state = PGDBM_MIGRATION_APPLIED;
    }
    return status;
}

/* One file under the lock, on the session that is there; afterwards there is none. */
static pgdbm_status step(struct run *run, pgdbm_error *err)
{
    char *role = NULL;
    int64_t deadline = pgdbm__deadline(run->options.wait_timeout_ms);
    pgdbm_status status = pgdbm__migration_lock(run->session, run->history.module, deadline, &role, err);
    bool locked = status == PGDBM_OK;
    if (status == PGDBM_OK)
        status = look(run, err);
    if (status == PGDBM_OK)
        status = apply_first_pending(run, role, err);
    if (locked) {
        /* After an error that one is reported; the pool frees what the session may still hold. */
        pgdbm_status unlocked =
            pgdbm__migration_unlock(run->session, run->history.module, status == PGDBM_OK ? err : NULL);
        if (status == PGDBM_OK)
            status = unlocked;
    }
    pgdbm_free(role);
    pgdbm_close(run->session);
    run->session = NULL;
    return status;
}

static pgdbm_status apply_all(struct run *run, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    while (status == PGDBM_OK && pgdbm__plan_pending(&run->set) != NULL) {
        if (run->session == NULL)
            status = take_session(run, err);
        if (status == PGDBM_OK)
            status = step(run, err);
    }
    return status;
}

static pgdbm_status look_on_new_session(struct run *run, pgdbm_error *err)
{
    pgdbm_status status = take_session(run, err);
    return status == PGDBM_OK ? read_history(run, err) : status;
}

/* Whatever is known of the files; after a step the history is read once more, because it has when and by whom. */
static pgdbm_status make_report(struct run *run, pgdbm_migration_report **report, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (run->session == NULL)
        status = look_on_new_session(run, err);
    pgdbm_status reported = pgdbm__plan_report(&run->set, &run->rows, &run->history, run->options.dry_run, report,
                                               status == PGDBM_OK ? err : NULL);
    return status == PGDBM_OK ? reported : status;
}

pgdbm_status pgdbm_migrate_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                 pgdbm_migration_report **report, pgdbm_error *err)
{
    struct run run = {0};
    if (report != NULL)
        *report = NULL;
    pgdbm_status status = run_init(&run, "pgdbm_migrate", db, options, options_bytes, err);
    if (status == PGDBM_OK)
        status = take_session(&run, err);
    if (status == PGDBM_OK)
        status = look(&run, err);
    if (status == PGDBM_OK && !run.options.dry_run)
        status = apply_all(&run, err);
    if (report != NULL && run.matched) {
        /* The error of the run is the one to be told. */
        pgdbm_status reported = make_report(&run, report, status == PGDBM_OK ? err : NULL);
        if (status == PGDBM_OK)
            status = reported;
    }
    run_free(&run);
    return status;
}

pgdbm_status pgdbm_migrate_status_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                        pgdbm_migration_report **report, pgdbm_error *err)
{
    struct run run = {0};
    if (report == NULL)
        return pgdbm__fail_null(err, "pgdbm_migrate_status", "report");
    *report = NULL;
    pgdbm_status status = run_init(&run, "pgdbm_migrate_status", db, options, options_bytes, err);
    if (status == PGDBM_OK)
        status = look_on_new_session(&run, err);
    if (status == PGDBM_OK)
        status = pgdbm__plan_report(&run.set, &run.rows, &run.history, false, report, err);
    run_free(&run);
    return status;
}
