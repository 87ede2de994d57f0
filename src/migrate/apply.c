/* SPDX-License-Identifier: MIT */
/* Running a script as one transaction, its history row included. No state, any thread. */
#include "migrate/apply.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "migrate/blockers.h"
#include "migrate/job.h"

#include <pgdbm/transaction.h>

void pgdbm__attempt_close(struct pgdbm__attempt *attempt, char **blockers)
{
    pgdbm__watch_end(attempt->watch, blockers);
    pgdbm_close(attempt->tx); /* rolls back what is not committed */
    pgdbm_result_free(attempt->opened);
    *attempt = (struct pgdbm__attempt){0};
}

/* The time-outs that statements of the application have are no business of DDL. In the transaction only, so that they
 * hold behind a pooler too. */
pgdbm_status pgdbm__attempt_set_timeouts(struct pgdbm__job *job, struct pgdbm__attempt *attempt)
{
    static const char sql[] = "SELECT pg_catalog.txid_current()::text, pg_catalog.pg_backend_pid(),"
                              " pg_catalog.set_config('lock_timeout', $1::int8::text, true),"
                              " pg_catalog.set_config('statement_timeout', '0', true),"
                              " pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),"
                              " CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL"
                              " THEN pg_catalog.set_config('transaction_timeout', '0', true) END";
    int timeout_ms = pgdbm__job_lock_timeout_ms(job);
    int64_t pid = 0;
    pgdbm_result_free(attempt->opened);
    attempt->opened = NULL;
    pgdbm_status status = pgdbm_fetch_one(attempt->tx, sql, pgdbm_args(timeout_ms), &attempt->opened, &job->error);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(attempt->opened, 0, 0, &attempt->transaction, &job->error);
    if (status == PGDBM_OK)
        status = pgdbm_get_int64(attempt->opened, 0, 1, &pid, &job->error);
    if (status == PGDBM_OK && timeout_ms > 0 && attempt->watch == NULL && pgdbm__job_last_attempt(job))
        attempt->watch = pgdbm__watch_begin(job->run->db, (int)pid, timeout_ms);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "before its first statement");
}

pgdbm_status pgdbm__attempt_open(struct pgdbm__job *job, struct pgdbm__attempt *attempt)
{
    /* Under an isolation that keeps one snapshot, a statement would not see what others have committed before it got its
     * locks. A transaction that is open already (behind a pooler) has its isolation. */
    pgdbm_tx_options options = {.isolation = job->run->pooled ? PGDBM_ISOLATION_DEFAULT : PGDBM_READ_COMMITTED};
    pgdbm_status status = pgdbm_begin(job->run->session, &options, &attempt->tx, &job->error);
    return status == PGDBM_OK ? pgdbm__attempt_set_timeouts(job, attempt)
                              : pgdbm__job_fail(job, status, "before its first statement");
}

static pgdbm_status run_statements(struct pgdbm__job *job, pgdbm_db *tx)
{
    pgdbm_status status = PGDBM_OK;
    for (job->statement = 0; status == PGDBM_OK && job->statement < job->script->n_statements; job->statement++) {
        const char *sql = job->script->statements[job->statement].sql;
        status = pgdbm__job_tell(job, PGDBM_PHASE_STATEMENT);
        if (status != PGDBM_OK)
            break;
        int64_t sent = pgdbm__now_ns();
        status = pgdbm_execute_simple_with(tx, &(pgdbm_call){.timeout_ms = -1}, sql, &job->error);
        if (status != PGDBM_OK)
            return pgdbm__job_fail_statement(job, status);
        if (job->observe != NULL)
            status = job->observe(job, tx, (double)(pgdbm__now_ns() - sent) / (double)PGDBM__MS);
    }
    return status;
}

static pgdbm_status record(struct pgdbm__job *job, const struct pgdbm__attempt *attempt)
{
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = pgdbm__job_check_hold(job, attempt->tx, attempt->transaction);
    if (status == PGDBM_OK) {
        pgdbm__job_identity_sql(job, &sql);
        pgdbm__job_record_sql(job, &sql);
        status = pgdbm__job_send(job, attempt->tx, &sql);
    }
    if (status == PGDBM_OK)
        status = pgdbm_schema_changed(attempt->tx, &job->error);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "while it was being recorded");
}

static pgdbm_status commit(struct pgdbm__job *job, struct pgdbm__attempt *attempt)
{
    pgdbm_db *tx = attempt->tx;
    attempt->tx = NULL;
    pgdbm_status status = pgdbm_commit(tx, &job->error);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "at its commit");
}

pgdbm_status pgdbm__attempt_run(struct pgdbm__job *job, const struct pgdbm__attempt *attempt)
{
    const pgdbm_migrate_options *options = &job->run->options;
    pgdbm_status status = pgdbm__job_hook(job, options->before, "its before hook", attempt->tx);
    if (status == PGDBM_OK)
        status = run_statements(job, attempt->tx);
    if (status == PGDBM_OK)
        status = pgdbm__job_hook(job, options->after, "its after hook", attempt->tx);
    return status == PGDBM_OK ? record(job, attempt) : status;
}

void pgdbm__attempt_give_up(struct pgdbm__job *job, struct pgdbm__attempt *attempt)
{
    char *blockers = NULL;
    if (attempt->tx != NULL && job->error.outcome == PGDBM_OUTCOME_UNKNOWN)
        pgdbm__error_outcome(&job->error, PGDBM_OUTCOME_ROLLED_BACK); /* no COMMIT was sent */
    pgdbm__attempt_close(attempt, &blockers);
    if (pgdbm__job_is_busy(job) && pgdbm__job_last_attempt(job))
        pgdbm__job_name_blockers(job, blockers);
    pgdbm__free(blockers);
}

static pgdbm_status attempt_once(struct pgdbm__job *job)
{
    struct pgdbm__attempt attempt = {0};
    pgdbm_status status = pgdbm__attempt_open(job, &attempt);
    if (status == PGDBM_OK)
        status = pgdbm__attempt_run(job, &attempt);
    if (status == PGDBM_OK)
        status = commit(job, &attempt);
    if (status != PGDBM_OK)
        pgdbm__attempt_give_up(job, &attempt);
    pgdbm__attempt_close(&attempt, NULL);
    return status;
}

static pgdbm_status run_job(struct pgdbm__job *job, pgdbm_error *err)
{
    job->started = pgdbm__now_ns();
    job->attempt = 1;
    pgdbm_status status = pgdbm__job_tell(job, PGDBM_PHASE_BEFORE);
    if (status == PGDBM_OK && job->script->no_transaction)
        status = pgdbm__job_stepwise(job);
    else if (status == PGDBM_OK)
        do
            status = attempt_once(job);
        while (pgdbm__job_again(job, &status));
    job->done = status == PGDBM_OK;
    job->run->current = job->run->current && !job->done;
    if (job->done && job->file != NULL)
        job->file->applied_now = true;
    if (status == PGDBM_OK && job->run->pooled) {
        job->run->uncommitted = job->script;
        job->run->uncommitted_file = job->file;
    } else if (status == PGDBM_OK)
        status = pgdbm__job_tell(job, PGDBM_PHASE_AFTER);
    if (status != PGDBM_OK && err != NULL)
        *err = job->error;
    return status;
}

pgdbm_status pgdbm__migration_apply(struct pgdbm__run *run, struct pgdbm__migration_file *file, pgdbm_error *err)
{
    struct pgdbm__job job = {.run = run, .script = &file->script, .file = file};
    return run_job(&job, err);
}

pgdbm_status pgdbm__migration_undo(struct pgdbm__run *run, const struct pgdbm__script *down,
                                   const struct pgdbm__history_row *row, bool *undone, pgdbm_error *err)
{
    struct pgdbm__job job = {.run = run, .script = down, .row = row};
    pgdbm_status status = run_job(&job, err);
    *undone = job.done;
    return status;
}

pgdbm_status pgdbm__migration_committed(struct pgdbm__run *run, pgdbm_status status, pgdbm_error *err)
{
    struct pgdbm__job job = {.run = run, .script = run->uncommitted, .file = run->uncommitted_file};
    run->uncommitted = NULL;
    run->uncommitted_file = NULL;
    if (status == PGDBM_OK)
        status = pgdbm__job_tell(&job, PGDBM_PHASE_AFTER);
    else {
        if (job.file != NULL)
            job.file->applied_now = false;
        if (err != NULL)
            job.error = *err;
        status = pgdbm__job_fail(&job, status, "at its commit");
    }
    if (status != PGDBM_OK && err != NULL)
        *err = job.error;
    return status;
}
