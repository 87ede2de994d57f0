/* SPDX-License-Identifier: MIT */
/* The history table. No state, any thread. */
#include "migrate/history.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"
#include "sql/identifier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How often a creation that another process won is looked at again: each time one process has succeeded. */
enum { CREATE_ATTEMPTS = 20 };

void pgdbm__quote_name(struct pgdbm__buffer *buffer, const char *name)
{
    pgdbm__buffer_text(buffer, "\"");
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '"')
            pgdbm__buffer_text(buffer, "\"");
        pgdbm__buffer_append(buffer, at, 1);
    }
    pgdbm__buffer_text(buffer, "\"");
}

static pgdbm_status check_module(const char *module, pgdbm_error *err)
{
    size_t length = module != NULL ? strlen(module) : 0;
    if (length == 0) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "migrations need a module name");
        pgdbm__error_hint(err, "set .module: without it, two modules in one schema would take each other's "
                               "migrations for their own");
        return PGDBM_ERR_CONFIG;
    }
    if (length > PGDBM__MODULE_LIMIT) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "module name %.60s... has %zu bytes; the history holds %d", module, length,
                    PGDBM__MODULE_LIMIT);
        pgdbm__error_hint(err, "choose a shorter module name");
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__history_init(struct pgdbm__history *history, const char *module, const char *schema,
                                 const char *table, pgdbm_error *err)
{
    char folded[PGDBM__IDENTIFIER_BYTES];
    struct pgdbm__buffer text = {0};
    if (table == NULL)
        table = "schema_migrations";
    history->module = module;
    history->schema = schema != NULL ? schema : "public";
    pgdbm_status status = check_module(module, err);
    if (status == PGDBM_OK)
        status = pgdbm__identifier_fold(table, strlen(table), "history table", folded, err);
    if (status != PGDBM_OK)
        return status;
    history->table = pgdbm__strdup(folded);
    pgdbm__quote_name(&text, history->schema);
    history->quoted_schema = pgdbm__buffer_take(&text);
    pgdbm__quote_name(&text, history->schema);
    pgdbm__buffer_text(&text, ".");
    pgdbm__quote_name(&text, folded);
    history->qualified = pgdbm__buffer_take(&text);
    pgdbm__buffer_free(&text);
    if (history->table == NULL || history->quoted_schema == NULL || history->qualified == NULL)
        return pgdbm__fail_nomem(err, "preparing migrations");
    return PGDBM_OK;
}

void pgdbm__history_free(struct pgdbm__history *history)
{
    pgdbm__free(history->table);
    pgdbm__free(history->qualified);
    pgdbm__free(history->quoted_schema);
    *history = (struct pgdbm__history){0};
}

static int compare_rows(const void *a, const void *b)
{
    const struct pgdbm__history_row *x = a;
    const struct pgdbm__history_row *y = b;
    int order = strcmp(x->filename, y->filename);
    return order != 0 ? order : (int)y->named - (int)x->named;
}

static pgdbm_status read_row(const pgdbm_result *result, size_t row, struct pgdbm__history_row *out, pgdbm_error *err)
{
    pgdbm_status status = pgdbm_get_text(result, row, 0, &out->filename, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, row, 1, &out->checksum, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, row, 2, &out->named, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, row, 3, &out->applied_at, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, row, 4, &out->applied_by, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_double(result, row, 5, &out->execution_ms, err);
    return status;
}

static pgdbm_status read_rows(struct pgdbm__history_rows *rows, pgdbm_error *err)
{
    size_t n_rows = pgdbm_result_rows(rows->result);
    pgdbm_status status = PGDBM_OK;
    rows->rows = pgdbm__alloc_zero(n_rows, sizeof *rows->rows);
    if (rows->rows == NULL)
        return pgdbm__fail_nomem(err, "reading the migration history");
    for (size_t i = 0; status == PGDBM_OK && i < n_rows; i++)
        status = read_row(rows->result, i, &rows->rows[i], err);
    if (status == PGDBM_OK) {
        rows->n_rows = n_rows;
        qsort(rows->rows, n_rows, sizeof *rows->rows, compare_rows);
    }
    return status;
}

pgdbm_status pgdbm__history_read(const struct pgdbm__history *history, pgdbm_db *db, struct pgdbm__history_rows *rows,
                                 pgdbm_error *err)
{
    pgdbm_error cause = {0};
    struct pgdbm__buffer sql = {0};
    pgdbm__history_rows_free(rows);
    pgdbm__buffer_format(&sql,
                         "SELECT filename, checksum, module_name IS NOT NULL, applied_at::text, applied_by,"
                         " coalesce(execution_time_ms, 0)::float8 FROM %s"
                         " WHERE module_name = $1 OR module_name IS NULL",
                         history->qualified);
    pgdbm_status status = sql.failed
                              ? pgdbm__fail_nomem(&cause, "reading the migration history")
                              : pgdbm_fetch_all(db, sql.data, pgdbm_args(history->module), &rows->result, &cause);
    if (status == PGDBM_OK)
        status = read_rows(rows, &cause);
    else if (strcmp(cause.sqlstate, "42P01") == 0) {
        rows->no_table = true;
        status = PGDBM_OK;
    }
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    pgdbm__buffer_free(&sql);
    return status;
}

void pgdbm__history_rows_free(struct pgdbm__history_rows *rows)
{
    pgdbm_result_free(rows->result);
    pgdbm__free(rows->rows);
    *rows = (struct pgdbm__history_rows){0};
}

/* Looks into the catalog: CREATE ... IF NOT EXISTS asks for rights, and takes locks, even when there is nothing to do.
 */
static pgdbm_status look(const struct pgdbm__history *history, pgdbm_db *db, bool *has_schema, bool *has_table,
                         pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    pgdbm_status status = pgdbm_fetch_one(
        db,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1),"
        " EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = $2)",
        pgdbm_args(history->schema, history->table), &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 0, has_schema, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 1, has_table, err);
    pgdbm_result_free(result);
    return status;
}

static void append_creation(struct pgdbm__buffer *sql, const struct pgdbm__history *history, bool has_schema)
{
    if (!has_schema) {
        pgdbm__buffer_format(sql, "CREATE SCHEMA %s", history->quoted_schema);
        return;
    }
    /* One message, so one transaction: never a table without its index. */
    pgdbm__buffer_format(sql,
                         "CREATE TABLE %s (id serial PRIMARY KEY, filename varchar(255) NOT NULL,"
                         " checksum varchar(64) NOT NULL, module_name varchar(100),"
                         " applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,"
                         " applied_by varchar(100) DEFAULT CURRENT_USER, execution_time_ms integer,"
                         " UNIQUE (filename, module_name)); "
                         "CREATE INDEX \"idx_%s_module\" ON %s (module_name, filename)",
                         history->qualified, history->table, history->qualified);
}

/* Two processes that create the same thing: the slower one gets one of these once the faster one has committed. */
static bool was_created_by_another(const pgdbm_error *err)
{
    return strcmp(err->sqlstate, "23505") == 0 || strcmp(err->sqlstate, "42P06") == 0 ||
           strcmp(err->sqlstate, "42P07") == 0 || strcmp(err->sqlstate, "42710") == 0;
}

pgdbm_status pgdbm__history_create(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_error cause = {0};
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = PGDBM_OK;
    bool has_schema = false;
    bool has_table = false;
    int lost = 0;
    for (;;) {
        status = look(history, db, &has_schema, &has_table, &cause);
        if (status != PGDBM_OK || has_table)
            break;
        sql.length = 0;
        append_creation(&sql, history, has_schema);
        status = sql.failed ? pgdbm__fail_nomem(&cause, "creating the migration history")
                            : pgdbm_execute_simple(db, sql.data, &cause);
        if (status != PGDBM_OK && !(was_created_by_another(&cause) && ++lost < CREATE_ATTEMPTS))
            break;
    }
    if (status != PGDBM_OK && err != NULL) {
        *err = cause;
        if (strcmp(cause.sqlstate, "42501") == 0)
            pgdbm__error_hint(err, "let an administrator create %s %s for this role, or run migrations as its owner",
                              has_schema ? "table" : "schema",
                              has_schema ? history->qualified : history->quoted_schema);
    }
    pgdbm__buffer_free(&sql);
    return status;
}

pgdbm_status pgdbm__history_record(const struct pgdbm__history *history, pgdbm_db *db, const char *filename,
                                   const char *checksum, double execution_ms, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    /* Whole milliseconds, 1 at least: 0 is what "not recorded" reads as. */
    double rounded = ceil(execution_ms);
    int32_t ms = rounded < 1 ? 1 : rounded > INT32_MAX ? INT32_MAX : (int32_t)rounded;
    pgdbm__buffer_format(&sql,
                         "INSERT INTO %s (filename, checksum, module_name, execution_time_ms) VALUES ($1, $2, $3, $4)",
                         history->qualified);
    pgdbm_status status =
        sql.failed ? pgdbm__fail_nomem(err, "recording a migration")
                   : pgdbm_execute(db, sql.data, pgdbm_args(filename, checksum, history->module, ms), NULL, err);
    pgdbm__buffer_free(&sql);
    return status;
}
