/* SPDX-License-Identifier: MIT */
/* Running everything that is pending in one transaction that is rolled back, to see whether it would run and which locks
 * it takes. What it finds belongs to the call; any thread. */
#include "migrate/job.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "migrate/heads.h"
#include "migrate/plan.h"

#include <pgdbm/memory.h>
#include <string.h>

/* The first oid that is no catalog's. */
#define FIRST_OWN_OID "16384"

/* A lock that our session has. */
struct held {
    int64_t relation;
    char mode[32]; /* the longest is ShareUpdateExclusiveLock */
    char *filename;
    size_t line; /* of the statement that took it; 0: none of a file */
    double statement_ms;
    char *name; /* of the relation, if it is there when all is rolled back */
};

struct trial {
    struct held *locks;
    size_t n_locks, capacity;
    char *search_path; /* as it was before the first file; pgdbm_free */
};

static void forget_locks(struct trial *trial)
{
    for (size_t i = 0; i < trial->n_locks; i++) {
        pgdbm__free(trial->locks[i].filename);
        pgdbm__free(trial->locks[i].name);
    }
    trial->n_locks = 0;
}

static void trial_free(struct trial *trial)
{
    forget_locks(trial);
    pgdbm__free(trial->locks);
    pgdbm_free(trial->search_path);
}

static bool is_known(const struct trial *trial, size_t n, int64_t relation, const char *mode)
{
    for (size_t i = 0; i < n; i++)
        if (trial->locks[i].relation == relation && strcmp(trial->locks[i].mode, mode) == 0)
            return true;
    return false;
}

static bool add(struct trial *trial, struct held lock, const char *mode, const char *filename)
{
    if (trial->n_locks == trial->capacity) {
        size_t capacity = trial->capacity > 0 ? trial->capacity * 2 : 64;
        struct held *locks = pgdbm__realloc(trial->locks, capacity * sizeof *locks);
        if (locks == NULL)
            return false;
        trial->locks = locks;
        trial->capacity = capacity;
    }
    PGDBM__COPY_TEXT(lock.mode, mode, strlen(mode));
    lock.filename = pgdbm__strdup(filename);
    trial->locks[trial->n_locks++] = lock;
    return lock.filename != NULL;
}

/* Adds the locks that are new since it was called last, as those of this statement. */
static pgdbm_status note_locks(struct pgdbm__job *job, pgdbm_db *tx, size_t line, double statement_ms)
{
    static const char sql[] =
        "SELECT DISTINCT relation::int8, mode FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid()"
        " AND locktype = 'relation' AND granted AND relation::int8 >= " FIRST_OWN_OID
        " AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";
    struct trial *trial = job->observer;
    size_t n_before = trial->n_locks; /* the rows are distinct: what is added now need not be looked through */
    pgdbm_result *result = NULL;
    pgdbm_status status = pgdbm_fetch_all(tx, sql, pgdbm_no_args, &result, &job->error);
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm_result_rows(result); i++) {
        int64_t relation = 0;
        const char *mode = NULL;
        status = pgdbm_get_int64(result, i, 0, &relation, &job->error);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(result, i, 1, &mode, &job->error);
        if (status != PGDBM_OK || is_known(trial, n_before, relation, mode))
            continue;
        if (!add(trial, (struct held){.relation = relation, .line = line, .statement_ms = statement_ms}, mode,
                 job->script->source.filename))
            status = pgdbm__fail_nomem(&job->error, "trying migrations");
    }
    pgdbm_result_free(result);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "while its locks were being looked at");
}

static pgdbm_status observe(struct pgdbm__job *job, pgdbm_db *tx, double statement_ms)
{
    return note_locks(job, tx, job->script->statements[job->statement].line, statement_ms);
}

/* In the transaction: what a run would make before its first file. */
static pgdbm_status make_history(struct pgdbm__job *job, pgdbm_db *tx)
{
    struct pgdbm__history *history = &job->run->history;
    struct pgdbm__buffer sql = {0};
    unsigned lacks = 0;
    pgdbm_status status = pgdbm__history_look(history, tx, &lacks, &job->error);
    /* Columns that only the owner can add are no reason to fail. */
    history->plain = lacks == PGDBM__LACKS_COLUMNS;
    if (status == PGDBM_OK && lacks != 0 && !history->plain) {
        pgdbm__history_create_sql(history, lacks, &sql);
        status = pgdbm__job_send(job, tx, &sql);
    }
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "while the history was being made");
}

/* What separate sessions would keep from the next file. The role was restored for the history. */
static pgdbm_status restore_search_path(struct pgdbm__job *job, pgdbm_db *tx)
{
    struct trial *trial = job->observer;
    pgdbm_status status = trial->search_path == NULL
                              ? pgdbm_fetch_value_text(tx, "SELECT pg_catalog.current_setting('search_path')",
                                                       pgdbm_no_args, &trial->search_path, &job->error)
                              : pgdbm_execute(tx, "SELECT pg_catalog.set_config('search_path', $1, true)",
                                              pgdbm_args((const char *)trial->search_path), NULL, &job->error);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "before its first statement");
}

static pgdbm_status try_file(struct pgdbm__job *job, struct pgdbm__attempt *attempt)
{
    struct pgdbm__run *run = job->run;
    run->file++;
    pgdbm_status status = pgdbm__job_tell(job, PGDBM_PHASE_BEFORE);
    if (status == PGDBM_OK && attempt->tx == NULL) {
        status = pgdbm__attempt_open(job, attempt);
        if (status == PGDBM_OK)
            status = make_history(job, attempt->tx);
    } else if (status == PGDBM_OK)
        status = pgdbm__attempt_set_timeouts(job, attempt);
    if (status == PGDBM_OK)
        status = restore_search_path(job, attempt->tx);
    if (status == PGDBM_OK)
        status = note_locks(job, attempt->tx, 0, 0);
    if (status == PGDBM_OK)
        status = pgdbm__attempt_run(job, attempt);
    if (status != PGDBM_OK)
        return status;
    /* What a commit would check. */
    status =
        pgdbm_execute_simple(attempt->tx, "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED", &job->error);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "at its commit");
}

static pgdbm_status try_all(struct pgdbm__job *job)
{
    struct pgdbm__run *run = job->run;
    struct trial *trial = job->observer;
    struct pgdbm__attempt attempt = {0};
    pgdbm_status status = PGDBM_OK;
    run->file = 0;
    forget_locks(trial); /* of an attempt before */
    for (size_t i = 0; status == PGDBM_OK && i < run->set.n_files; i++) {
        job->file = &run->set.files[i];
        job->script = &job->file->script;
        job->started = pgdbm__now_ns();
        if (pgdbm__plan_runs(job->file, run->options.target))
            status = try_file(job, &attempt);
    }
    if (status != PGDBM_OK)
        pgdbm__attempt_give_up(job, &attempt);
    pgdbm__attempt_close(&attempt, NULL);
    return status;
}

static pgdbm_status refuse_no_transaction(const struct pgdbm__run *run, pgdbm_error *err)
{
    for (size_t i = 0; i < run->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &run->set.files[i];
        if (!file->no_transaction || !pgdbm__plan_runs(file, run->options.target))
            continue;
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s cannot be tried: it does without a transaction (module %s)",
                    file->filename, run->history.module);
        pgdbm__error_hint(err, "try what stands before it, with the number of the last such file as target");
        return PGDBM_ERR_MIGRATION;
    }
    return PGDBM_OK;
}

static pgdbm_status try_under_lock(struct pgdbm__run *run, void *context, pgdbm_error *err)
{
    struct pgdbm__job job = {.run = run, .observe = observe, .observer = context, .attempt = 1};
    pgdbm_status status = pgdbm__run_check(run, err);
    if (status == PGDBM_OK)
        status = refuse_no_transaction(run, err);
    if (status != PGDBM_OK)
        return status;
    run->n_files = pgdbm__plan_count(&run->set, run->options.target);
    do
        status = try_all(&job);
    while (pgdbm__job_again(&job, &status));
    if (status != PGDBM_OK && err != NULL)
        *err = job.error;
    return status;
}

/* What is there after everything was rolled back was there before. */
static pgdbm_status name_relations(struct trial *trial, pgdbm_db *db, pgdbm_error *err)
{
    static const char sql[] =
        "SELECT coalesce((SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = l.oid::oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')), '')"
        " FROM pg_catalog.unnest($1::int8[]) WITH ORDINALITY l (oid, place) ORDER BY l.place";
    int64_t *oids = pgdbm__alloc_zero(trial->n_locks, sizeof *oids);
    pgdbm_result *result = NULL;
    if (oids == NULL)
        return pgdbm__fail_nomem(err, "trying migrations");
    for (size_t i = 0; i < trial->n_locks; i++)
        oids[i] = trial->locks[i].relation;
    pgdbm_status status = pgdbm_fetch_all(db, sql, pgdbm_args(pgdbm_int64s(oids, trial->n_locks)), &result, err);
    for (size_t i = 0; status == PGDBM_OK && i < trial->n_locks && i < pgdbm_result_rows(result); i++) {
        const char *name = NULL;
        status = pgdbm_get_text(result, i, 0, &name, err);
        if (status == PGDBM_OK && name[0] != '\0' && (trial->locks[i].name = pgdbm__strdup(name)) == NULL)
            status = pgdbm__fail_nomem(err, "trying migrations");
    }
    pgdbm_result_free(result);
    pgdbm__free(oids);
    return status;
}

/* Moves what was found into the report. */
static pgdbm_status report_locks(struct trial *trial, pgdbm_migration_report *report, pgdbm_error *err)
{
    report->locks = pgdbm__alloc_zero(trial->n_locks, sizeof *report->locks);
    if (report->locks == NULL)
        return pgdbm__fail_nomem(err, "reporting locks");
    for (size_t i = 0; i < trial->n_locks; i++) {
        struct held *held = &trial->locks[i];
        pgdbm_migration_lock *lock = &report->locks[report->n_locks];
        if (held->line == 0 || held->name == NULL)
            continue;
        report->n_locks++;
        lock->filename = held->filename;
        lock->mode = pgdbm__strdup(held->mode);
        lock->line = held->line;
        lock->statement_ms = held->statement_ms;
        lock->relation = held->name;
        held->filename = held->name = NULL;
        if (lock->mode == NULL)
            return pgdbm__fail_nomem(err, "reporting locks");
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm_migrate_try_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                     pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {.trial = true};
    struct trial trial = {0};
    if (report != NULL)
        *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, "pgdbm_migrate_try", db, options, options_bytes, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_requirements(&run, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_locked(&run, try_under_lock, &trial, err);
    if (report != NULL && trial.n_locks > 0) {
        pgdbm_status named = name_relations(&trial, db, status == PGDBM_OK ? err : NULL);
        status = status == PGDBM_OK ? named : status;
    }
    status = pgdbm__run_end(&run, status, report, err);
    if (report != NULL && *report != NULL) {
        pgdbm_status reported = report_locks(&trial, *report, status == PGDBM_OK ? err : NULL);
        status = status == PGDBM_OK ? reported : status;
    }
    trial_free(&trial);
    return status;
}
