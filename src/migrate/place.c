/* SPDX-License-Identifier: MIT */
/* What is said of a migration that failed. No state, any thread. */
#include "migrate/job.h"

#include "base/error.h"
#include "migrate/blockers.h"

#include <pgdbm/memory.h>
#include <string.h>

static bool is_the_migrations_fault(pgdbm_status status)
{
    return status == PGDBM_ERR_QUERY || status == PGDBM_ERR_SCHEMA || status == PGDBM_ERR_TYPE ||
           status == PGDBM_ERR_TRANSACTION;
}

/* What the server cannot know, by what it said. */
static const char *hint_for(const struct pgdbm__job *job, const pgdbm_error *cause)
{
    if (strcmp(cause->sqlstate, "25001") == 0 && !job->script->no_transaction)
        return "put the line -- pgdbm:no-transaction before the first statement of the file";
    if (strcmp(cause->sqlstate, "2D000") == 0 && !job->script->no_transaction)
        return "the file is one transaction, which a DO block or a procedure must not end; put the line -- "
               "pgdbm:no-transaction before its first statement";
    if (strcmp(cause->sqlstate, "55P03") == 0)
        return "somebody works on the same table: end that transaction, run again at a quieter time, or raise "
               "lock_timeout_ms or lock_attempts";
    return cause->hint;
}

/* The cause with this before its message; everything else of it is kept. */
static pgdbm_status prefix(struct pgdbm__job *job, pgdbm_status status, const char *place)
{
    pgdbm_error cause = job->error;
    pgdbm_error *err = &job->error;
    if (is_the_migrations_fault(status))
        status = PGDBM_ERR_MIGRATION;
    pgdbm__fail(err, status, "%s: %s (module %s)", place, cause.message, job->run->history.module);
    memcpy(err->sqlstate, cause.sqlstate, sizeof err->sqlstate);
    memcpy(err->detail, cause.detail, sizeof err->detail);
    memcpy(err->statement, cause.statement, sizeof err->statement);
    memcpy(err->constraint, cause.constraint, sizeof err->constraint);
    err->outcome = cause.outcome;
    err->retryable = cause.retryable;
    err->position = cause.position;
    pgdbm__error_hint(err, "%s", hint_for(job, &cause));
    return status;
}

pgdbm_status pgdbm__job_fail_statement(struct pgdbm__job *job, pgdbm_status status)
{
    const struct pgdbm__script_statement *statement = &job->script->statements[job->statement];
    struct pgdbm__script_place place = pgdbm__script_place(job->script, statement, job->error.position);
    struct pgdbm__buffer text = {0};
    if (job->error.statement[0] == '\0')
        pgdbm__error_statement(&job->error, statement->sql);
    pgdbm__buffer_format(&text, "%s:%zu:%zu", job->script->source.filename, place.line, place.column);
    pgdbm__buffer_append(&text, "", 1);
    status = prefix(job, status, text.failed ? job->script->source.filename : text.data);
    pgdbm__buffer_free(&text);
    return status;
}

pgdbm_status pgdbm__job_fail(struct pgdbm__job *job, pgdbm_status status, const char *when)
{
    struct pgdbm__buffer text = {0};
    pgdbm__buffer_format(&text, "%s: %s", job->script->source.filename, when);
    pgdbm__buffer_append(&text, "", 1);
    status = prefix(job, status, text.failed ? job->script->source.filename : text.data);
    pgdbm__buffer_free(&text);
    return status;
}

void pgdbm__job_name_blockers(struct pgdbm__job *job, const char *blockers)
{
    const struct pgdbm__script_statement *statement = &job->script->statements[job->statement];
    char *found = NULL;
    if (blockers == NULL) {
        found = pgdbm__blockers_of_statement(job->run->session, statement->sql, job->error.detail);
        blockers = found;
    }
    if (blockers != NULL) {
        struct pgdbm__buffer text = {0};
        if (job->error.detail[0] != '\0') /* of a deadlock: who waited for whom */
            pgdbm__buffer_format(&text, "%s\n", job->error.detail);
        pgdbm__buffer_text(&text, blockers);
        pgdbm__buffer_append(&text, "", 1);
        if (!text.failed)
            pgdbm__error_detail(&job->error, "%s", text.data);
        pgdbm__buffer_free(&text);
    }
    pgdbm_free(found);
}
