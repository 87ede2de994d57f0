/* SPDX-License-Identifier: MIT */
/* What both ways of running a script need. No state, any thread. */
#include "migrate/job.h"

#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <string.h>
#include <time.h>

/* Between two attempts: at first short, because most holders are; then long enough that an application whose statements
 * queued up behind the attempt has worked them off. */
#define FIRST_PAUSE_MS INT64_C(100)
#define LONGEST_PAUSE_MS INT64_C(3000)

static pgdbm_migration_progress progress_of(const struct pgdbm__job *job, pgdbm_migration_phase phase)
{
    pgdbm_migration_progress progress = {
        .phase = phase, .filename = job->script->source.filename, .n_statements = job->script->n_statements};
    if (phase == PGDBM_PHASE_STATEMENT) {
        progress.statement = job->statement + 1;
        progress.line = job->script->statements[job->statement].line;
    }
    return progress;
}

pgdbm_status pgdbm__job_tell(struct pgdbm__job *job, pgdbm_migration_phase phase)
{
    return pgdbm__run_progress(job->run, progress_of(job, phase), &job->error);
}

pgdbm_status pgdbm__job_hook(struct pgdbm__job *job, pgdbm_migration_hook hook, const char *which, pgdbm_db *tx)
{
    if (hook == NULL)
        return PGDBM_OK;
    pgdbm_migration_progress progress = progress_of(job, PGDBM_PHASE_BEFORE);
    progress.module = job->run->history.module;
    progress.schema = job->run->history.schema;
    progress.file = job->run->file;
    progress.n_files = job->run->n_files;
    progress.elapsed_ms = (double)(pgdbm__now_ns() - job->run->started) / (double)PGDBM__MS;
    pgdbm__fail(&job->error, PGDBM_OK, "it said nothing more"); /* a hook need not fill in an error */
    pgdbm_status status = hook(tx, &progress, job->run->options.context, &job->error);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, which);
}

bool pgdbm__job_last_attempt(const struct pgdbm__job *job)
{
    return job->attempt >= job->run->options.lock_attempts;
}

static void pause_before(int attempt)
{
    int64_t pause_ms = attempt < 10 ? FIRST_PAUSE_MS << attempt : LONGEST_PAUSE_MS;
    int64_t pause = pgdbm__jitter((pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS) * PGDBM__MS, 50);
    struct timespec span = {.tv_sec = (time_t)(pause / 1000000000), .tv_nsec = (long)(pause % 1000000000)};
    nanosleep(&span, NULL); /* a signal makes the next attempt earlier, which does no harm */
}

bool pgdbm__job_is_busy(const struct pgdbm__job *job)
{
    return strcmp(job->error.sqlstate, "55P03") == 0 || strcmp(job->error.sqlstate, "40P01") == 0;
}

bool pgdbm__job_again(struct pgdbm__job *job, pgdbm_status *status)
{
    if (*status == PGDBM_OK || !pgdbm__job_is_busy(job) || pgdbm__job_last_attempt(job))
        return false;
    pgdbm_status told = pgdbm__job_tell(job, PGDBM_PHASE_RETRY);
    if (told != PGDBM_OK) {
        *status = told;
        return false;
    }
    pause_before(job->attempt - 1);
    job->attempt++;
    return true;
}

int pgdbm__job_lock_timeout_ms(const struct pgdbm__job *job)
{
    int timeout_ms =
        job->script->lock_timeout_ms != 0 ? job->script->lock_timeout_ms : job->run->options.lock_timeout_ms;
    return timeout_ms > 0 ? timeout_ms : 0;
}

void pgdbm__job_identity_sql(const struct pgdbm__job *job, struct pgdbm__buffer *sql)
{
    const char *role = job->run->lock.role;
    pgdbm__buffer_text(sql, "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE ");
    if (role != NULL && strcmp(role, "none") != 0)
        pgdbm__quote_name(sql, role);
    else
        pgdbm__buffer_text(sql, "NONE");
    pgdbm__buffer_text(sql, "; ");
}

void pgdbm__job_record_sql(const struct pgdbm__job *job, struct pgdbm__buffer *sql)
{
    const struct pgdbm__history *history = &job->run->history;
    double elapsed_ms = (double)(pgdbm__now_ns() - job->started) / (double)PGDBM__MS;
    if (job->file == NULL) {
        pgdbm__history_delete_sql(history, job->row, sql);
        return;
    }
    struct pgdbm__history_entry entry = pgdbm__run_entry(job->file, elapsed_ms);
    pgdbm__history_record_sql(history, &entry, sql);
}

pgdbm_status pgdbm__job_send(struct pgdbm__job *job, pgdbm_db *db, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_append(sql, "", 1);
    pgdbm_status status = sql->failed
                              ? pgdbm__fail_nomem(&job->error, "migrating")
                              : pgdbm_execute_simple_with(db, &(pgdbm_call){.timeout_ms = -1}, sql->data, &job->error);
    pgdbm__buffer_free(sql);
    return status;
}

pgdbm_status pgdbm__job_check_hold(struct pgdbm__job *job, pgdbm_db *db, const char *transaction)
{
    struct pgdbm__buffer key = {0};
    struct pgdbm__buffer sql = {0};
    char *lost = NULL;
    pgdbm__history_lock_key_sql(&job->run->history, &key);
    pgdbm__buffer_append(&key, "", 1);
    pgdbm__buffer_format(
        &sql,
        "SELECT CASE WHEN pg_catalog.txid_current()::text <> $1::text THEN 'its transaction was ended'"
        " WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted"
        " AND l.pid = pg_catalog.pg_backend_pid() AND l.objsubid = 1"
        " AND l.classid::bigint = ((%s >> 32) & 4294967295) AND l.objid::bigint = (%s & 4294967295))"
        " THEN 'the lock of module ' || $2::text || ' was lost' END",
        key.failed ? "" : key.data, key.failed ? "" : key.data);
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status =
        key.failed || sql.failed
            ? pgdbm__fail_nomem(&job->error, "migrating")
            : pgdbm_fetch_value_text(db, sql.data, pgdbm_args(transaction, (const char *)job->run->history.module),
                                     &lost, &job->error);
    if (status == PGDBM_OK && lost != NULL) {
        status = pgdbm__fail(&job->error, PGDBM_ERR_MIGRATION, "%s while it ran", lost);
        pgdbm__error_hint(&job->error, "take pg_advisory_unlock_all(), DISCARD and everything that ends transactions "
                                       "out of the migration");
        pgdbm__error_outcome(&job->error, transaction != NULL ? PGDBM_OUTCOME_ROLLED_BACK : PGDBM_OUTCOME_DONE);
    }
    pgdbm_free(lost);
    pgdbm__buffer_free(&key);
    pgdbm__buffer_free(&sql);
    return status;
}
