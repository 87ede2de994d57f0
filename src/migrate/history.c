/* SPDX-License-Identifier: MIT */
/* The history table. No state, any thread. */
#include "migrate/history.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"
#include "sql/identifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a creation that another process won is looked at again: each time one process has succeeded. */
enum { CREATE_ATTEMPTS = 20 };

/* With "_progress" behind it the name must still be one that the server does not cut. */
enum { TABLE_LIMIT = PGDBM__IDENTIFIER_BYTES - 1 - (int)sizeof "progress" };

static char *qualify(const char *schema, const char *table, const char *suffix)
{
    struct pgdbm__buffer text = {0};
    char name[PGDBM__IDENTIFIER_BYTES + 16];
    snprintf(name, sizeof name, "%s%s", table, suffix);
    pgdbm__quote_name(&text, schema);
    pgdbm__buffer_text(&text, ".");
    pgdbm__quote_name(&text, name);
    char *qualified = pgdbm__buffer_take(&text);
    pgdbm__buffer_free(&text);
    return qualified;
}

pgdbm_status pgdbm__history_init(struct pgdbm__history *history, const char *module, const char *schema,
                                 const char *table, bool per_schema, pgdbm_error *err)
{
    char folded[PGDBM__IDENTIFIER_BYTES];
    struct pgdbm__buffer text = {0};
    if (table == NULL)
        table = "schema_migrations";
    history->schema = schema != NULL ? schema : "public";
    pgdbm_status status =
        pgdbm__migration_module_name(module, per_schema ? history->schema : NULL, history->module, err);
    if (status == PGDBM_OK)
        status = pgdbm__identifier_fold(table, strlen(table), "history table", folded, err);
    if (status == PGDBM_OK && strlen(folded) > TABLE_LIMIT)
        status = pgdbm__fail(err, PGDBM_ERR_SCHEMA, "history table %s: its name has %zu bytes, %d at most", folded,
                             strlen(folded), TABLE_LIMIT);
    if (status != PGDBM_OK)
        return status;
    history->table = pgdbm__strdup(folded);
    pgdbm__quote_name(&text, history->schema);
    history->quoted_schema = pgdbm__buffer_take(&text);
    pgdbm__buffer_free(&text);
    history->qualified = qualify(history->schema, folded, "");
    history->qualified_progress = qualify(history->schema, folded, "_progress");
    if (history->table == NULL || history->quoted_schema == NULL || history->qualified == NULL ||
        history->qualified_progress == NULL)
        return pgdbm__fail_nomem(err, "preparing migrations");
    return PGDBM_OK;
}

void pgdbm__history_free(struct pgdbm__history *history)
{
    pgdbm__free(history->table);
    pgdbm__free(history->qualified);
    pgdbm__free(history->qualified_progress);
    pgdbm__free(history->quoted_schema);
    *history = (struct pgdbm__history){0};
}

static int compare_rows(const void *a, const void *b)
{
    const struct pgdbm__history_row *x = *(struct pgdbm__history_row *const *)a;
    const struct pgdbm__history_row *y = *(struct pgdbm__history_row *const *)b;
    int order = strcmp(x->filename, y->filename);
    if (order == 0)
        order = (int)y->named - (int)x->named;
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

static pgdbm_status read_row(const pgdbm_result *result, size_t row, struct pgdbm__history_row *out, pgdbm_error *err)
{
    const char **texts[] = {&out->filename, &out->checksum, &out->applied_at,        &out->applied_by,
                            &out->kind,     &out->build,    &out->semantic_checksum, NULL};
    bool *flags[] = {&out->named, &out->has_body, &out->has_down, NULL};
    pgdbm_status status = pgdbm_get_int64(result, row, 0, &out->id, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_double(result, row, 1, &out->execution_ms, err);
    size_t column = 2;
    for (size_t i = 0; status == PGDBM_OK && texts[i] != NULL; i++)
        status = pgdbm_get_text(result, row, column++, texts[i], err);
    for (size_t i = 0; status == PGDBM_OK && flags[i] != NULL; i++)
        status = pgdbm_get_bool(result, row, column++, flags[i], err);
    return status;
}

/* Terminated copies of the numbers, all in one piece. */
static bool read_versions(struct pgdbm__history_rows *rows)
{
    struct pgdbm__buffer text = {0};
    size_t offset = 0;
    for (size_t i = 0; i < rows->n_rows; i++) {
        struct pgdbm__migration_name name = {.version = ""};
        if (pgdbm__migration_name_parse(rows->rows[i].filename, &name))
            pgdbm__buffer_append(&text, name.version, name.version_bytes);
        pgdbm__buffer_append(&text, "", 1);
    }
    rows->versions = pgdbm__buffer_take(&text);
    pgdbm__buffer_free(&text);
    for (size_t i = 0; rows->versions != NULL && i < rows->n_rows; i++) {
        rows->rows[i].version = rows->versions + offset;
        offset += strlen(rows->rows[i].version) + 1;
    }
    return rows->versions != NULL;
}

static pgdbm_status read_rows(struct pgdbm__history_rows *rows, pgdbm_error *err)
{
    size_t n_rows = pgdbm_result_rows(rows->result);
    pgdbm_status status = PGDBM_OK;
    rows->rows = pgdbm__alloc_zero(n_rows, sizeof *rows->rows);
    rows->by_name = pgdbm__alloc_zero(n_rows, sizeof *rows->by_name);
    if (rows->rows == NULL || rows->by_name == NULL)
        return pgdbm__fail_nomem(err, "reading the migration history");
    for (size_t i = 0; status == PGDBM_OK && i < n_rows; i++) {
        status = read_row(rows->result, i, &rows->rows[i], err);
        rows->by_name[i] = &rows->rows[i];
    }
    if (status == PGDBM_OK) {
        rows->n_rows = n_rows;
        if (!read_versions(rows))
            return pgdbm__fail_nomem(err, "reading the migration history");
        qsort(rows->by_name, n_rows, sizeof *rows->by_name, compare_rows);
    }
    return status;
}

/* What the table lacks is found one level out, where it is NULL. Whole rows are never made (to_jsonb), because they would
 * bring the bodies. A naive time is the local one of the server as it is configured, whatever this session's is; the setting
 * is looked up only when there is such a row. */
#define READ_SQL                                                                                                       \
    "SELECT t.* FROM (SELECT NULL::text AS kind, NULL::text AS build, NULL::text AS semantic_checksum,"                \
    " NULL::text AS body, NULL::text AS down, NULL::timestamptz AS applied_at_tz) lacking, LATERAL ("                  \
    "SELECT id::bigint, coalesce(execution_time_ms, 0)::float8, filename::text, checksum::text,"                       \
    " pg_catalog.to_char(coalesce(applied_at_tz, applied_at AT TIME ZONE (SELECT reset_val FROM"                       \
    " pg_catalog.pg_settings WHERE name = 'TimeZone')) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS\"+00\"'),"           \
    " applied_by::text, kind::text, build::text, semantic_checksum::text, module_name IS NOT NULL,"                    \
    " body IS NOT NULL, down IS NOT NULL FROM %s WHERE module_name = $1 OR module_name IS NULL) t ORDER BY 1"

/* Other tools call their table schema_migrations, too. */
static pgdbm_status fail_other_table(const struct pgdbm__history *history, const pgdbm_error *cause, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s is not pgdbm's history of migrations: %s", history->qualified,
                cause->message);
    pgdbm__error_hint(
        err, "the table belongs to another program, and is left alone: let pgdbm keep its history in a table of "
             "another name, or migrate another schema");
    if (err != NULL) {
        memcpy(err->sqlstate, cause->sqlstate, sizeof err->sqlstate);
        err->outcome = cause->outcome;
    }
    return PGDBM_ERR_MIGRATION;
}

pgdbm_status pgdbm__history_read(const struct pgdbm__history *history, pgdbm_db *db, struct pgdbm__history_rows *rows,
                                 pgdbm_error *err)
{
    pgdbm_error cause = {0};
    struct pgdbm__buffer sql = {0};
    pgdbm__history_rows_free(rows);
    pgdbm__buffer_format(&sql, READ_SQL, history->qualified);
    pgdbm__buffer_append(&sql, "", 1);
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
    if (status != PGDBM_OK && strcmp(cause.sqlstate, "42703") == 0)
        status = fail_other_table(history, &cause, err);
    pgdbm__buffer_free(&sql);
    return status;
}

void pgdbm__history_rows_free(struct pgdbm__history_rows *rows)
{
    pgdbm_result_free(rows->result);
    pgdbm__free(rows->rows);
    pgdbm__free(rows->by_name);
    pgdbm__free(rows->versions);
    *rows = (struct pgdbm__history_rows){0};
}

static pgdbm_status fetch_text(const struct pgdbm__history *history, pgdbm_db *db, const struct pgdbm__history_row *row,
                               const char *column, char **text, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql, "SELECT %s FROM %s WHERE id = $1", column, history->qualified);
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed ? pgdbm__fail_nomem(err, "reading the migration history")
                                     : pgdbm_fetch_value_text(db, sql.data, pgdbm_args(row->id), text, err);
    pgdbm__buffer_free(&sql);
    return status;
}

pgdbm_status pgdbm__history_body(const struct pgdbm__history *history, pgdbm_db *db,
                                 const struct pgdbm__history_row *row, char **text, pgdbm_error *err)
{
    *text = NULL;
    return row->has_body ? fetch_text(history, db, row, "body", text, err) : PGDBM_OK;
}

pgdbm_status pgdbm__history_down(const struct pgdbm__history *history, pgdbm_db *db,
                                 const struct pgdbm__history_row *row, char **text, pgdbm_error *err)
{
    *text = NULL;
    return row->has_down ? fetch_text(history, db, row, "down", text, err) : PGDBM_OK;
}

/* CREATE ... IF NOT EXISTS asks for rights, and takes locks, even when there is nothing to do: so the catalog is asked. */
pgdbm_status pgdbm__history_look(const struct pgdbm__history *history, pgdbm_db *db, unsigned *lacks, pgdbm_error *err)
{
    int64_t found = 0;
    pgdbm_status status = pgdbm_fetch_value_int64(
        db,
        "SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1) THEN 7"
        " ELSE (SELECT CASE WHEN pg_catalog.count(*) = 0 THEN 6 WHEN pg_catalog.count(a.attnum) < 7 THEN 4 ELSE 0 END"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND a.attname IN ("
        "'kind', 'semantic_checksum', 'body', 'down', 'build', 'set_digest', 'applied_at_tz')"
        " WHERE n.nspname = $1 AND c.relname = $2) END::bigint",
        pgdbm_args(history->schema, history->table), &found, err);
    *lacks = status == PGDBM_OK ? (unsigned)found : 0;
    return status;
}

bool pgdbm__was_created_by_another(const pgdbm_error *err)
{
    static const char *const states[] = {"23505", "42P06", "42P07", "42710"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(err->sqlstate, states[i]) == 0)
            return true;
    return false;
}

static bool can_do_without_columns(const pgdbm_error *err, unsigned lacks)
{
    return lacks == PGDBM__LACKS_COLUMNS &&
           (strcmp(err->sqlstate, "42501") == 0 || strcmp(err->sqlstate, "55P03") == 0);
}

static pgdbm_status make(const struct pgdbm__history *history, pgdbm_db *db, unsigned lacks, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__history_create_sql(history, lacks, &sql);
    pgdbm__buffer_append(&sql, "", 1);
    /* One message, so one transaction: never a table without its index. */
    pgdbm_status status =
        sql.failed ? pgdbm__fail_nomem(err, "creating the migration history") : pgdbm_execute_simple(db, sql.data, err);
    pgdbm__buffer_free(&sql);
    return status;
}

static pgdbm_status fail_no_schema(const struct pgdbm__history *history, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_SCHEMA, "schema %s is not there (any more)", history->quoted_schema);
    pgdbm__error_hint(err, "create it, or migrate without schema_must_exist");
    if (err != NULL)
        memcpy(err->sqlstate, "3F000", sizeof err->sqlstate);
    return PGDBM_ERR_SCHEMA;
}

pgdbm_status pgdbm__history_create(struct pgdbm__history *history, pgdbm_db *db, bool must_exist, pgdbm_error *err)
{
    pgdbm_error cause = {0};
    pgdbm_status status = PGDBM_OK;
    unsigned lacks = 0;
    for (int lost = 0;;) {
        status = pgdbm__history_look(history, db, &lacks, &cause);
        if (status != PGDBM_OK || lacks == 0)
            break;
        if (must_exist && (lacks & PGDBM__LACKS_SCHEMA) != 0)
            return fail_no_schema(history, err);
        status = make(history, db, lacks, &cause);
        if (status != PGDBM_OK && can_do_without_columns(&cause, lacks)) {
            history->plain = true;
            return PGDBM_OK;
        }
        if (status != PGDBM_OK && !(pgdbm__was_created_by_another(&cause) && ++lost < CREATE_ATTEMPTS))
            break;
    }
    if (status != PGDBM_OK && err != NULL) {
        *err = cause;
        bool no_schema = (lacks & PGDBM__LACKS_SCHEMA) != 0;
        if (strcmp(cause.sqlstate, "42501") == 0)
            pgdbm__error_hint(err, "let an administrator create %s %s for this role, or run migrations as its owner",
                              no_schema ? "schema" : "table", no_schema ? history->quoted_schema : history->qualified);
    }
    return status;
}

/* Sends what was composed, and frees it. */
static pgdbm_status send(struct pgdbm__buffer *sql, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm__buffer_append(sql, "", 1);
    pgdbm_status status =
        sql->failed ? pgdbm__fail_nomem(err, "recording a migration") : pgdbm_execute_simple(db, sql->data, err);
    pgdbm__buffer_free(sql);
    return status;
}

pgdbm_status pgdbm__history_record(const struct pgdbm__history *history, pgdbm_db *db,
                                   const struct pgdbm__history_entry *entry, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__history_record_sql(history, entry, &sql);
    return send(&sql, db, err);
}

pgdbm_status pgdbm__history_correct(const struct pgdbm__history *history, pgdbm_db *db,
                                    const struct pgdbm__history_row *row, const struct pgdbm__history_entry *entry,
                                    pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__history_correct_sql(history, row, entry, &sql);
    return send(&sql, db, err);
}

pgdbm_status pgdbm__history_delete(const struct pgdbm__history *history, pgdbm_db *db,
                                   const struct pgdbm__history_row *row, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__history_delete_sql(history, row, &sql);
    return send(&sql, db, err);
}
