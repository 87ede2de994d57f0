/* SPDX-License-Identifier: MIT */
/* The progress table. No state, any thread. */
#include "migrate/progress.h"

#include "base/error.h"

#include <string.h>

/* How often a creation that another process won is looked at again. */
enum { CREATE_ATTEMPTS = 20 };

static pgdbm_status read_row(struct pgdbm__progress *progress, pgdbm_error *err)
{
    const pgdbm_result *result = progress->result;
    int64_t statement = 0;
    int64_t n_statements = 0;
    pgdbm_status status = pgdbm_get_int64(result, 0, 0, &statement, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_int64(result, 0, 1, &n_statements, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 2, &progress->started, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, 3, &progress->checksum, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, 4, &progress->index, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, 5, &progress->mark, err);
    progress->found = status == PGDBM_OK;
    progress->n_statements = n_statements > 0 ? (size_t)n_statements : 0;
    statement -= progress->started ? 1 : 0;
    progress->done = statement > 0 ? (size_t)statement : 0;
    return status;
}

pgdbm_status pgdbm__progress_read(const struct pgdbm__history *history, pgdbm_db *db, const char *filename,
                                  struct pgdbm__progress *progress, pgdbm_error *err)
{
    pgdbm_error cause = {0};
    struct pgdbm__buffer sql = {0};
    pgdbm__progress_free(progress);
    pgdbm__buffer_format(&sql,
                         "SELECT statement, n_statements, statement_started, checksum::text, index_name, xmin::text"
                         " FROM %s WHERE module_name = $1 AND filename = $2",
                         history->qualified_progress);
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed
                              ? pgdbm__fail_nomem(&cause, "reading how far a migration has come")
                              : pgdbm_fetch_all(db, sql.data, pgdbm_args((const char *)history->module, filename),
                                                &progress->result, &cause);
    if (status == PGDBM_OK && pgdbm_result_rows(progress->result) > 0)
        status = read_row(progress, &cause);
    else if (strcmp(cause.sqlstate, "42P01") == 0)
        status = PGDBM_OK;
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    pgdbm__buffer_free(&sql);
    return status;
}

void pgdbm__progress_free(struct pgdbm__progress *progress)
{
    pgdbm_result_free(progress->result);
    *progress = (struct pgdbm__progress){0};
}

pgdbm_status pgdbm__progress_exists(const struct pgdbm__history *history, pgdbm_db *db, bool *exists, pgdbm_error *err)
{
    return pgdbm_fetch_value_bool(db, "SELECT pg_catalog.to_regclass($1) IS NOT NULL",
                                  pgdbm_args((const char *)history->qualified_progress), exists, err);
}

pgdbm_status pgdbm__progress_list(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_result **rows,
                                  pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql,
                         "SELECT filename, (statement - statement_started::int)::int8, n_statements::int8 FROM %s"
                         " WHERE module_name = $1 ORDER BY filename",
                         history->qualified_progress);
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed
                              ? pgdbm__fail_nomem(err, "reading how far migrations have come")
                              : pgdbm_fetch_all(db, sql.data, pgdbm_args((const char *)history->module), rows, err);
    pgdbm__buffer_free(&sql);
    return status;
}

/* Looks into the catalog first: CREATE TABLE IF NOT EXISTS asks for rights even when there is nothing to do. */
static pgdbm_status create_once(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_error *err)
{
    bool exists = false;
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = pgdbm__progress_exists(history, db, &exists, err);
    if (status != PGDBM_OK || exists)
        return status;
    pgdbm__buffer_format(&sql,
                         "CREATE TABLE %s (module_name varchar(100), filename varchar(255),"
                         " checksum varchar(64) NOT NULL, statement integer NOT NULL, n_statements integer NOT NULL,"
                         " statement_started boolean NOT NULL, index_name text,"
                         " updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,"
                         " PRIMARY KEY (module_name, filename))",
                         history->qualified_progress);
    pgdbm__buffer_append(&sql, "", 1);
    status = sql.failed ? pgdbm__fail_nomem(err, "migrating") : pgdbm_execute_simple(db, sql.data, err);
    pgdbm__buffer_free(&sql);
    return status;
}

pgdbm_status pgdbm__progress_create(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_error cause = {0};
    pgdbm_status status = PGDBM_OK;
    for (int attempt = 0; attempt < CREATE_ATTEMPTS; attempt++) {
        status = create_once(history, db, &cause);
        /* Another module's run was faster. */
        if (status == PGDBM_OK || !pgdbm__was_created_by_another(&cause))
            break;
    }
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    return status;
}

bool pgdbm__progress_checksum_step(char checksum[PGDBM__CHECKSUM_BYTES],
                                   const struct pgdbm__script_statement *statement)
{
    char one[PGDBM__CHECKSUM_BYTES];
    return pgdbm__migration_semantic_checksum(statement->sql, statement->bytes, one) &&
           pgdbm__migration_digest_step(checksum, "", one);
}

/* The name that the index will have, which is in the schema of its table. */
static void append_index_name(const struct pgdbm__script_statement *statement, struct pgdbm__buffer *sql)
{
    if (statement->kind != PGDBM__STATEMENT_CREATE_INDEX || statement->index_name == NULL ||
        statement->table_name == NULL) {
        pgdbm__buffer_text(sql, "NULL");
        return;
    }
    pgdbm__buffer_text(sql, "(SELECT pg_catalog.format('%I.%I', n.nspname, (pg_catalog.parse_ident(");
    pgdbm__quote_literal(sql, statement->index_name, strlen(statement->index_name));
    pgdbm__buffer_text(sql, "))[1]::name) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                            " ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass(");
    pgdbm__quote_literal(sql, statement->table_name, strlen(statement->table_name));
    pgdbm__buffer_text(sql, "))");
}

void pgdbm__progress_write_sql(const struct pgdbm__history *history, const struct pgdbm__script *script, size_t done,
                               bool started, const char *checksum, struct pgdbm__buffer *sql)
{
    const char *filename = script->source.filename;
    pgdbm__buffer_format(sql,
                         "INSERT INTO %s (module_name, filename, checksum, statement, n_statements, statement_started,"
                         " index_name, updated_at) VALUES (",
                         history->qualified_progress);
    pgdbm__quote_literal(sql, history->module, strlen(history->module));
    pgdbm__buffer_text(sql, ", ");
    pgdbm__quote_literal(sql, filename, strlen(filename));
    pgdbm__buffer_format(sql, ", '%s', %zu, %zu, %s, ", checksum, done + (started ? 1 : 0), script->n_statements,
                         started ? "true" : "false");
    if (started)
        append_index_name(&script->statements[done], sql);
    else
        pgdbm__buffer_text(sql, "NULL");
    pgdbm__buffer_text(sql, ", CURRENT_TIMESTAMP) ON CONFLICT (module_name, filename) DO UPDATE SET"
                            " checksum = EXCLUDED.checksum, statement = EXCLUDED.statement,"
                            " n_statements = EXCLUDED.n_statements, statement_started = EXCLUDED.statement_started,"
                            " index_name = EXCLUDED.index_name, updated_at = EXCLUDED.updated_at");
}

void pgdbm__progress_key_sql(const struct pgdbm__history *history, const char *filename, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, " WHERE filename = ");
    pgdbm__quote_literal(sql, filename, strlen(filename));
    pgdbm__buffer_text(sql, " AND module_name = ");
    pgdbm__quote_literal(sql, history->module, strlen(history->module));
}

void pgdbm__progress_delete_sql(const struct pgdbm__history *history, const char *filename, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_format(sql, "DELETE FROM %s", history->qualified_progress);
    pgdbm__progress_key_sql(history, filename, sql);
}
