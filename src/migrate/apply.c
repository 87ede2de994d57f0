/* SPDX-License-Identifier: MIT */
/* Running one file. No state, any thread. */
#include "migrate/apply.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <pgdbm/transaction.h>
#include <stdio.h>
#include <string.h>

struct application {
    const struct pgdbm__history *history;
    const struct pgdbm__migration_file *file;
    const char *role;
    int64_t started;
    size_t statement; /* the one that runs */
    pgdbm_error cause;
};

/* The line of the file at which the server found the fault: it counts characters, we look for line ends. */
static size_t fault_line(const struct pgdbm__script_statement *statement, int position)
{
    size_t line = statement->line;
    int character = 1;
    for (const char *at = statement->sql; *at != '\0' && character < position; at++) {
        if (*at == '\n')
            line++;
        if (((unsigned char)at[1] & 0xC0) != 0x80)
            character++;
    }
    return line;
}

static bool is_the_migrations_fault(pgdbm_status status)
{
    return status == PGDBM_ERR_QUERY || status == PGDBM_ERR_SCHEMA || status == PGDBM_ERR_TYPE ||
           status == PGDBM_ERR_TRANSACTION;
}

static const char *hint_for(const struct application *application, const char *hint)
{
    const pgdbm_error *cause = &application->cause;
    if (application->file->no_transaction && application->statement > 0)
        return "the statements before this line stay applied: write the file so that it can run again, and drop an "
               "index that CREATE INDEX CONCURRENTLY left invalid";
    if (application->file->no_transaction)
        return "an index that CREATE INDEX CONCURRENTLY left invalid must be dropped before the next run";
    if (strcmp(cause->sqlstate, "25001") == 0)
        return "put the line -- pgdbm:no-transaction before the first statement of the file";
    if (strcmp(cause->sqlstate, "55P03") == 0)
        return "somebody works on the same table: run again at a quieter time, or raise lock_timeout_ms";
    return hint;
}

/* The cause, with the file and the line before its message; everything else of it is kept. */
static pgdbm_status fail(const struct application *application, pgdbm_status status, const char *where, size_t line,
                         pgdbm_error *err)
{
    const pgdbm_error *cause = &application->cause;
    if (is_the_migrations_fault(status))
        status = PGDBM_ERR_MIGRATION;
    if (err == NULL)
        return status;
    char place[64] = "";
    if (line > 0)
        snprintf(place, sizeof place, " at line %zu", line);
    pgdbm__fail(err, status, "migration %s of module %s failed%s%s: %s", application->file->filename,
                application->history->module, where, place, cause->message);
    memcpy(err->sqlstate, cause->sqlstate, sizeof err->sqlstate);
    err->outcome = cause->outcome;
    err->retryable = cause->retryable;
    err->position = cause->position;
    memcpy(err->detail, cause->detail, sizeof err->detail);
    pgdbm__error_hint(err, "%s", hint_for(application, cause->hint));
    memcpy(err->statement, cause->statement, sizeof err->statement);
    memcpy(err->constraint, cause->constraint, sizeof err->constraint);
    return status;
}

static pgdbm_status run_statements(struct application *application, pgdbm_db *db, pgdbm_error *err)
{
    const struct pgdbm__script *script = &application->file->script;
    for (application->statement = 0; application->statement < script->n_statements; application->statement++) {
        const struct pgdbm__script_statement *statement = &script->statements[application->statement];
        pgdbm_status status =
            pgdbm_execute_simple_with(db, &(pgdbm_call){.timeout_ms = -1}, statement->sql, &application->cause);
        if (status != PGDBM_OK) {
            if (application->cause.statement[0] == '\0')
                pgdbm__error_statement(&application->cause, statement->sql);
            return fail(application, status, "", fault_line(statement, application->cause.position), err);
        }
    }
    return PGDBM_OK;
}

/* Back to who the session was: the file may have changed the role to one that must not write the history. */
static pgdbm_status restore_identity(struct application *application, pgdbm_db *db)
{
    struct pgdbm__buffer sql = {0};
    bool has_role = strcmp(application->role, "none") != 0;
    pgdbm__buffer_text(&sql, "SET SESSION AUTHORIZATION DEFAULT; SET ROLE ");
    if (has_role)
        pgdbm__quote_name(&sql, application->role);
    else
        pgdbm__buffer_text(&sql, "NONE");
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed ? pgdbm__fail_nomem(&application->cause, "recording a migration")
                                     : pgdbm_execute_simple(db, sql.data, &application->cause);
    pgdbm__buffer_free(&sql);
    return status;
}

static pgdbm_status record(struct application *application, pgdbm_db *db, pgdbm_error *err)
{
    const struct pgdbm__migration_file *file = application->file;
    pgdbm_status status = restore_identity(application, db);
    if (status == PGDBM_OK)
        status = pgdbm__history_record(application->history, db, file->filename, file->checksum,
                                       (double)(pgdbm__now_ns() - application->started) / (double)PGDBM__MS,
                                       &application->cause);
    return status == PGDBM_OK ? status : fail(application, status, " while it was being recorded", 0, err);
}

static pgdbm_status apply_as_transaction(struct application *application, pgdbm_db *session, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    pgdbm_status status = pgdbm_begin(session, NULL, &tx, &application->cause);
    /* How long DDL may take is no business of the time-out that statements of the application have. */
    if (status == PGDBM_OK)
        status = pgdbm_execute_simple(tx, "SET LOCAL statement_timeout = 0", &application->cause);
    if (status != PGDBM_OK)
        status = fail(application, status, " before its first statement", 0, err);
    else
        status = run_statements(application, tx, err);
    if (status == PGDBM_OK)
        status = record(application, tx, err);
    if (status != PGDBM_OK) {
        pgdbm_close(tx);
        return status;
    }
    status = pgdbm_commit(tx, &application->cause);
    return status == PGDBM_OK ? status : fail(application, status, " at its commit", 0, err);
}

/* A CREATE INDEX CONCURRENTLY that fails leaves an index nobody uses; with IF NOT EXISTS the next run would take it for
 * the one it was to build. Indexes that are being built right now are somebody else's. */
static pgdbm_status check_indexes(struct application *application, pgdbm_db *session, pgdbm_error *err)
{
    static const char sql[] =
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i"
        " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = $1"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid)"
        " AND pg_catalog.strpos(pg_catalog.lower($2), pg_catalog.lower(c.relname)) > 0 LIMIT 1";
    const struct pgdbm__script *script = &application->file->script;
    char *index = NULL;
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && index == NULL && i < script->n_statements; i++) {
        const struct pgdbm__script_statement *statement = &script->statements[i];
        if (strcasestr(statement->sql, "concurrently") != NULL)
            status = pgdbm_fetch_value_text(
                session, sql, pgdbm_args(application->history->schema, pgdbm_text(statement->sql, statement->bytes)),
                &index, &application->cause);
    }
    if (status != PGDBM_OK)
        return fail(application, status, " while its indexes were being checked", 0, err);
    if (index != NULL) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s: index %s is invalid",
                             application->file->filename, application->history->module, index);
        pgdbm__error_detail(err,
                            "a CREATE INDEX CONCURRENTLY that failed leaves such an index, and IF NOT EXISTS takes "
                            "it for a good one");
        pgdbm__error_hint(err, "DROP INDEX %s, then migrate again", index);
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
        pgdbm_free(index);
    }
    return status;
}

static pgdbm_status apply_statement_by_statement(struct application *application, pgdbm_db *session, pgdbm_error *err)
{
    /* lock_timeout would also count CREATE INDEX CONCURRENTLY's wait for older transactions. */
    pgdbm_status status =
        pgdbm_execute_simple(session, "SET statement_timeout = 0; SET lock_timeout = 0", &application->cause);
    if (status != PGDBM_OK)
        return fail(application, status, " before its first statement", 0, err);
    status = run_statements(application, session, err);
    if (status == PGDBM_OK)
        status = check_indexes(application, session, err);
    return status == PGDBM_OK ? record(application, session, err) : status;
}

pgdbm_status pgdbm__migration_apply(const struct pgdbm__history *history, const struct pgdbm__migration_file *file,
                                    pgdbm_db *session, const char *role, pgdbm_error *err)
{
    struct application application = {.history = history, .file = file, .role = role, .started = pgdbm__now_ns()};
    return file->no_transaction ? apply_statement_by_statement(&application, session, err)
                                : apply_as_transaction(&application, session, err);
}
