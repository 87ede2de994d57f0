/* SPDX-License-Identifier: MIT */
/* Running a script whose statements are transactions of their own. Each is announced in the progress table before it is
 * sent and ticked off behind it, so that a run that died can be resumed. No state, any thread. */
#include "migrate/index.h"
#include "migrate/job.h"
#include "migrate/progress.h"

#include "base/alloc.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <string.h>

/* A job with what is needed between its statements. */
struct steps {
    struct pgdbm__job *job;
    pgdbm_db *session;
    struct pgdbm__progress found; /* what an earlier run left */
    size_t done;
    char checksum[PGDBM__CHECKSUM_BYTES]; /* of those */
    char *mark; /* a transaction before the statement at hand; NULL: it builds no index. pgdbm_free */
};

static const struct pgdbm__script_statement *at_hand(const struct steps *steps)
{
    return &steps->job->script->statements[steps->job->statement];
}

/* An earlier run sent the statement at hand, and died. */
static bool is_in_doubt(const struct steps *steps)
{
    return steps->found.started && steps->job->statement == steps->found.done;
}

static const char *mark_of(const struct steps *steps)
{
    return is_in_doubt(steps) ? steps->found.mark : steps->mark;
}

/* ---- the row ---- */

static pgdbm_status write_row(struct steps *steps, bool started)
{
    struct pgdbm__job *job = steps->job;
    struct pgdbm__buffer sql = {0};
    /* One message is one transaction: afterwards the session is who the script made it again. */
    pgdbm__job_identity_sql(job, &sql);
    pgdbm__progress_write_sql(&job->run->history, job->script, steps->done, started, steps->checksum, &sql);
    return pgdbm__job_send(job, steps->session, &sql);
}

static pgdbm_status fail_changed(struct pgdbm__job *job, size_t done)
{
    const char *filename = job->script->source.filename;
    pgdbm__fail(&job->error, PGDBM_ERR_MIGRATION,
                "%s was changed in what is done of it already: %zu of its statements (module %s)", filename, done,
                job->run->history.module);
    pgdbm__error_hint(&job->error,
                      "restore these statements (those behind them may be changed); or, to begin again, undo them and "
                      "delete the file's row from %s",
                      job->run->history.qualified_progress);
    pgdbm__error_outcome(&job->error, PGDBM_OUTCOME_NOT_SENT);
    return PGDBM_ERR_MIGRATION;
}

/* What is done must be what the file begins with. One statement fewer will do: a person who has looked after one that
 * was in doubt sets statement_started to false, and leaves the checksum alone. */
static pgdbm_status check_resumed(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    const struct pgdbm__progress *found = &steps->found;
    char before[PGDBM__CHECKSUM_BYTES] = "";
    if (!found->found)
        return PGDBM_OK;
    if (found->done > job->script->n_statements)
        return fail_changed(job, found->done);
    for (steps->done = 0; steps->done < found->done; steps->done++) {
        memcpy(before, steps->checksum, sizeof before);
        if (!pgdbm__progress_checksum_step(steps->checksum, &job->script->statements[steps->done]))
            return pgdbm__fail_nomem(&job->error, "resuming a migration");
    }
    bool same =
        strcmp(found->checksum, steps->checksum) == 0 || (!found->started && strcmp(found->checksum, before) == 0);
    return same ? PGDBM_OK : fail_changed(job, found->done);
}

/* ---- the session ---- */

static pgdbm_status set_timeouts(struct pgdbm__job *job, pgdbm_db *session)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(
        &sql,
        "SET lock_timeout = %d; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
        " SELECT pg_catalog.set_config('transaction_timeout', '0', false)"
        " WHERE pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL",
        pgdbm__job_lock_timeout_ms(job));
    return pgdbm__job_send(job, session, &sql);
}

/* What the statements that are done had set was lost with their session. */
static pgdbm_status set_again(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    pgdbm_status status = PGDBM_OK;
    for (job->statement = 0; status == PGDBM_OK && job->statement < steps->done; job->statement++) {
        const struct pgdbm__script_statement *statement = at_hand(steps);
        if (!pgdbm__script_sets(statement))
            continue;
        status = pgdbm_execute_simple(steps->session, statement->sql, &job->error);
        if (status != PGDBM_OK)
            return pgdbm__job_fail_statement(job, status);
    }
    return status;
}

/* lock_timeout also counts the wait for older transactions, of which CONCURRENTLY is made; to give up there leaves an
 * invalid index. `*before` is what the setting was. */
static pgdbm_status unlimit(const struct steps *steps, char **before)
{
    return pgdbm_fetch_value_text(steps->session,
                                  "SELECT pg_catalog.concat(pg_catalog.current_setting('lock_timeout'),"
                                  " pg_catalog.left(pg_catalog.set_config('lock_timeout', '0', false), 0))",
                                  pgdbm_no_args, before, &steps->job->error);
}

static void limit(const struct steps *steps, const char *before)
{
    /* When it fails the session is lost, and the next statement says so. */
    (void)pgdbm_execute(steps->session, "SELECT pg_catalog.set_config('lock_timeout', $1, false)", pgdbm_args(before),
                        NULL, NULL);
}

/* ---- indexes ---- */

static pgdbm_status fail_index(struct pgdbm__job *job, const struct pgdbm__index *index)
{
    pgdbm_status status = PGDBM_ERR_MIGRATION;
    if (index->builder != NULL) {
        pgdbm__fail(&job->error, status, "index %s is being built by another session", index->name);
        pgdbm__error_detail(&job->error, "%s", index->builder);
        pgdbm__error_hint(&job->error, "let it finish and migrate again");
        /* Tried again, like everything that waits for somebody. */
        memcpy(job->error.sqlstate, "55P03", sizeof "55P03");
    } else {
        pgdbm__fail(&job->error, status, "index %s is invalid", index->name);
        pgdbm__error_hint(&job->error, "migrate again: it is dropped and built again");
    }
    pgdbm__error_outcome(&job->error, PGDBM_OUTCOME_DONE);
    return status;
}

/* Drops what a run that failed has left: with it there, the statement would fail, or worse, succeed. */
static pgdbm_status clear_indexes(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    struct pgdbm__index index = {0};
    const char *recorded = is_in_doubt(steps) ? steps->found.index : NULL;
    pgdbm_status status = PGDBM_OK;
    for (;;) {
        struct pgdbm__buffer sql = {0};
        status =
            pgdbm__index_find(steps->session, at_hand(steps), mark_of(steps), recorded, false, &index, &job->error);
        if (status == PGDBM_OK && index.name != NULL && index.builder != NULL)
            status = fail_index(job, &index);
        if (status != PGDBM_OK || index.name == NULL)
            break;
        pgdbm__buffer_format(&sql, "DROP INDEX CONCURRENTLY IF EXISTS %s", index.name);
        status = pgdbm__job_send(job, steps->session, &sql);
        if (status != PGDBM_OK)
            break;
    }
    pgdbm__index_free(&index);
    return status;
}

static pgdbm_status check_index(const struct steps *steps)
{
    struct pgdbm__index index = {0};
    pgdbm_status status =
        pgdbm__index_find(steps->session, at_hand(steps), mark_of(steps), NULL, false, &index, &steps->job->error);
    if (status == PGDBM_OK && index.name != NULL)
        status = fail_index(steps->job, &index);
    pgdbm__index_free(&index);
    return status;
}

/* The run before died between the end of the statement and the note of it. */
static pgdbm_status is_built_already(const struct steps *steps, bool *built)
{
    struct pgdbm__index index = {0};
    *built = false;
    if (!is_in_doubt(steps) || at_hand(steps)->kind != PGDBM__STATEMENT_CREATE_INDEX)
        return PGDBM_OK;
    pgdbm_status status =
        pgdbm__index_find(steps->session, at_hand(steps), mark_of(steps), NULL, true, &index, &steps->job->error);
    *built = index.name != NULL;
    pgdbm__index_free(&index);
    return status;
}

/* ---- one statement ---- */

static pgdbm_status send(const struct steps *steps)
{
    return pgdbm_execute_simple_with(steps->session, &(pgdbm_call){.timeout_ms = -1}, at_hand(steps)->sql,
                                     &steps->job->error);
}

static pgdbm_status build_index(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    bool built = false;
    pgdbm_status status = PGDBM_OK;
    if (mark_of(steps) == NULL)
        status = pgdbm__index_mark(steps->session, &steps->mark, &job->error);
    if (status == PGDBM_OK)
        status = clear_indexes(steps);
    if (status == PGDBM_OK)
        status = is_built_already(steps, &built);
    if (status == PGDBM_OK && !built)
        status = send(steps);
    return status == PGDBM_OK ? check_index(steps) : status;
}

/* Announced already. */
static pgdbm_status run_statement(struct steps *steps)
{
    const struct pgdbm__script_statement *statement = at_hand(steps);
    char *lock_timeout = NULL;
    if (statement->concurrently == 0)
        return send(steps);
    pgdbm_status status = unlimit(steps, &lock_timeout);
    if (status == PGDBM_OK) {
        status = pgdbm__index_is_built(statement) ? build_index(steps) : send(steps);
        limit(steps, lock_timeout);
    }
    pgdbm_free(lock_timeout);
    return status;
}

/* Whether the statement at hand, when the server has refused it, has certainly changed nothing. */
static bool left_nothing(const struct steps *steps)
{
    const struct pgdbm__script_statement *statement = at_hand(steps);
    return steps->job->error.outcome == PGDBM_OUTCOME_ROLLED_BACK && statement->concurrently == 0 &&
           !pgdbm__script_begins_with(statement, "call") && !pgdbm__script_begins_with(statement, "do");
}

static void tell_doubt(struct pgdbm__job *job)
{
    struct pgdbm__buffer where = {0};
    char hint[sizeof job->error.hint]; /* the server's, which may know the way (FINALIZE) */
    memcpy(hint, job->error.hint, sizeof hint);
    pgdbm__progress_key_sql(&job->run->history, job->script->source.filename, &where);
    pgdbm__buffer_append(&where, "", 1);
    pgdbm__error_hint(&job->error,
                      "%s%sa run before this one ended while this statement ran: it may be done. If it is, say so and "
                      "migrate again: UPDATE %s SET statement_started = false%s",
                      hint, hint[0] != '\0' ? " " : "", job->run->history.qualified_progress,
                      where.failed ? "" : where.data);
    pgdbm__buffer_free(&where);
}

static pgdbm_status tell_failure(const struct steps *steps, pgdbm_status status)
{
    struct pgdbm__job *job = steps->job;
    status = pgdbm__job_fail_statement(job, status);
    if (pgdbm__job_is_busy(job) && pgdbm__job_last_attempt(job) && job->error.detail[0] == '\0')
        pgdbm__job_name_blockers(job, NULL);
    if (pgdbm__index_is_built(at_hand(steps)))
        pgdbm__error_hint(&job->error, "the next run goes on here; an index that was left invalid is dropped then, and "
                                       "built again");
    else if (is_in_doubt(steps))
        tell_doubt(job);
    else if (job->error.hint[0] == '\0')
        pgdbm__error_hint(&job->error, "what stands before it is done; the next run goes on with this statement");
    return status;
}

/* A DROP INDEX CONCURRENTLY in doubt whose index is gone has done its work. */
static bool is_done_after_all(const struct steps *steps)
{
    return is_in_doubt(steps) && at_hand(steps)->kind == PGDBM__STATEMENT_DROP_INDEX &&
           strcmp(steps->job->error.sqlstate, "42704") == 0;
}

static pgdbm_status attempt(struct steps *steps)
{
    pgdbm_status status = run_statement(steps);
    if (status != PGDBM_OK && is_done_after_all(steps))
        return PGDBM_OK;
    return status == PGDBM_OK ? status : tell_failure(steps, status);
}

/* Takes the announcement back. The error is what is to be told, whatever becomes of that. */
static void withdraw(struct steps *steps)
{
    pgdbm_error told = steps->job->error;
    (void)write_row(steps, false);
    steps->job->error = told;
}

static pgdbm_status step(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    bool doubt = is_in_doubt(steps);
    pgdbm_free(steps->mark);
    steps->mark = NULL;
    pgdbm_status status = pgdbm__job_tell(job, PGDBM_PHASE_STATEMENT);
    if (status != PGDBM_OK)
        return status;
    /* What an earlier run announced stays as it is: its transaction is older than what it left. */
    if (!doubt && (status = write_row(steps, true)) != PGDBM_OK)
        return pgdbm__job_fail(job, status, "while its progress was being noted");
    bool certain = false;
    job->attempt = 1;
    do {
        status = attempt(steps);
        certain = left_nothing(steps);
        /* What a procedure has committed before it had to wait must not be done once more. */
    } while ((certain || at_hand(steps)->concurrently) && pgdbm__job_again(job, &status));
    if (status != PGDBM_OK) {
        if (certain && !doubt)
            withdraw(steps);
        return status;
    }
    if (!pgdbm__progress_checksum_step(steps->checksum, at_hand(steps)))
        return pgdbm__fail_nomem(&job->error, "noting how far a migration has come");
    steps->done++;
    status = write_row(steps, false);
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "while its progress was being noted");
}

/* ---- the file ---- */

static pgdbm_status run_steps(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    pgdbm_status status = pgdbm__job_hook(job, job->run->options.before, "its before hook", steps->session);
    if (status == PGDBM_OK)
        status = set_again(steps);
    for (job->statement = steps->done; status == PGDBM_OK && job->statement < job->script->n_statements;
         job->statement++)
        status = step(steps);
    if (status == PGDBM_OK)
        status = pgdbm__job_hook(job, job->run->options.after, "its after hook", steps->session);
    return status;
}

/* The row of the history takes the place of the row of the progress. */
static pgdbm_status finish(struct steps *steps)
{
    struct pgdbm__job *job = steps->job;
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = pgdbm__job_check_hold(job, steps->session, NULL);
    if (status == PGDBM_OK) {
        pgdbm__job_identity_sql(job, &sql);
        pgdbm__job_record_sql(job, &sql);
        pgdbm__buffer_text(&sql, "; ");
        pgdbm__progress_delete_sql(&job->run->history, job->script->source.filename, &sql);
        status = pgdbm__job_send(job, steps->session, &sql);
    }
    return status == PGDBM_OK ? status : pgdbm__job_fail(job, status, "while it was being recorded");
}

pgdbm_status pgdbm__job_stepwise(struct pgdbm__job *job)
{
    struct steps steps = {.job = job, .session = job->run->session};
    const struct pgdbm__history *history = &job->run->history;
    const char *filename = job->script->source.filename;
    job->run->current = false; /* each statement stays */
    pgdbm_status status = pgdbm__progress_create(history, steps.session, &job->error);
    if (status == PGDBM_OK)
        status = pgdbm__progress_read(history, steps.session, filename, &steps.found, &job->error);
    if (status == PGDBM_OK)
        status = check_resumed(&steps);
    if (status == PGDBM_OK)
        status = set_timeouts(job, steps.session);
    if (status == PGDBM_OK)
        status = run_steps(&steps);
    if (status == PGDBM_OK)
        status = finish(&steps);
    /* Also when it stopped half-way. A courtesy: it does not matter when the session is lost. */
    if (steps.done > steps.found.done)
        (void)pgdbm_schema_changed(steps.session, NULL);
    pgdbm_free(steps.mark);
    pgdbm__progress_free(&steps.found);
    return status;
}
