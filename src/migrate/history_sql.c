/* SPDX-License-Identifier: MIT */
/* The text of the statements that write the history. No state, any thread. */
#include "migrate/history.h"

#include <math.h>
#include <string.h>

/* Quoted: `quote` and, in a literal, backslashes are doubled. */
static void append_doubling(struct pgdbm__buffer *buffer, const char *text, size_t bytes, const char *doubled)
{
    size_t done = 0;
    for (size_t i = 0; i < bytes; i++)
        if (strchr(doubled, text[i]) != NULL && text[i] != '\0') {
            pgdbm__buffer_append(buffer, text + done, i + 1 - done);
            done = i; /* the next piece begins with it once more */
        }
    pgdbm__buffer_append(buffer, text + done, bytes - done);
}

void pgdbm__quote_name(struct pgdbm__buffer *buffer, const char *name)
{
    pgdbm__buffer_text(buffer, "\"");
    append_doubling(buffer, name, strlen(name), "\"");
    pgdbm__buffer_text(buffer, "\"");
}

void pgdbm__quote_literal(struct pgdbm__buffer *buffer, const char *text, size_t bytes)
{
    pgdbm__buffer_text(buffer, "E'");
    append_doubling(buffer, text, bytes, "'\\");
    pgdbm__buffer_text(buffer, "'");
}

static void append_value(struct pgdbm__buffer *sql, const char *text, size_t bytes)
{
    if (text != NULL)
        pgdbm__quote_literal(sql, text, bytes);
    else
        pgdbm__buffer_text(sql, "NULL");
}

static void append_text(struct pgdbm__buffer *sql, const char *text)
{
    append_value(sql, text, text != NULL ? strlen(text) : 0);
}

/* Whole milliseconds, 1 at least: 0 is what "not recorded" reads as. */
static void append_ms(struct pgdbm__buffer *sql, double ms)
{
    double rounded = ceil(ms);
    if (ms < 0)
        pgdbm__buffer_text(sql, "NULL");
    else
        pgdbm__buffer_format(sql, "%d", rounded < 1 ? 1 : rounded > INT32_MAX ? INT32_MAX : (int)rounded);
}

static void separate(struct pgdbm__buffer *sql)
{
    if (sql->length > 0)
        pgdbm__buffer_text(sql, ";\n");
}

#define OWN_COLUMNS(add)                                                                                               \
    add "kind text, " add "semantic_checksum text, " add "body text, " add "down text, " add "build text, " add        \
        "set_digest text, " add "applied_at_tz timestamptz"

void pgdbm__history_create_sql(const struct pgdbm__history *history, unsigned lacks, struct pgdbm__buffer *sql)
{
    if (lacks & PGDBM__LACKS_SCHEMA) {
        separate(sql);
        pgdbm__buffer_format(sql, "CREATE SCHEMA %s", history->quoted_schema);
    }
    if (lacks & PGDBM__LACKS_TABLE) {
        separate(sql);
        pgdbm__buffer_format(sql,
                             "CREATE TABLE %s (id serial PRIMARY KEY, filename varchar(255) NOT NULL,"
                             " checksum varchar(64) NOT NULL, module_name varchar(100),"
                             " applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,"
                             " applied_by varchar(100) DEFAULT CURRENT_USER, execution_time_ms integer, " OWN_COLUMNS(
                                 "") " DEFAULT CURRENT_TIMESTAMP, UNIQUE (filename, module_name));\n"
                                     "CREATE INDEX \"idx_%s_module\" ON %s (module_name, filename)",
                             history->qualified, history->table, history->qualified);
    } else if (lacks & PGDBM__LACKS_COLUMNS) {
        separate(sql);
        /* The default comes after the column: rows that are there would be given the present time. */
        pgdbm__buffer_format(sql,
                             "SET LOCAL lock_timeout = '2s';\nALTER TABLE %s " OWN_COLUMNS(
                                 "ADD COLUMN IF NOT EXISTS ") ", ALTER COLUMN applied_at_tz SET DEFAULT "
                                                              "CURRENT_TIMESTAMP",
                             history->qualified);
    }
}

/* A repeatable file has one row, as of when it last ran. */
static void append_replacing(const struct pgdbm__history *history, const struct pgdbm__history_entry *entry,
                             struct pgdbm__buffer *sql)
{
    pgdbm__buffer_format(sql, "DELETE FROM %s WHERE filename = ", history->qualified);
    append_text(sql, entry->filename);
    pgdbm__buffer_text(sql, " AND module_name = ");
    append_text(sql, history->module);
    pgdbm__buffer_text(sql, ";\n");
}

void pgdbm__history_record_sql(const struct pgdbm__history *history, const struct pgdbm__history_entry *entry,
                               struct pgdbm__buffer *sql)
{
    if (entry->kind != NULL && strcmp(entry->kind, "R") == 0)
        append_replacing(history, entry, sql);
    pgdbm__buffer_format(sql, "INSERT INTO %s (filename, checksum, module_name, execution_time_ms%s) VALUES (",
                         history->qualified,
                         history->plain ? "" : ", kind, semantic_checksum, body, down, build, set_digest");
    append_text(sql, entry->filename);
    pgdbm__buffer_text(sql, ", ");
    append_text(sql, entry->checksum);
    pgdbm__buffer_text(sql, ", ");
    append_text(sql, history->module);
    pgdbm__buffer_text(sql, ", ");
    if (entry->execution_sql != NULL)
        pgdbm__buffer_text(sql, entry->execution_sql);
    else
        append_ms(sql, entry->execution_ms);
    if (!history->plain) {
        pgdbm__buffer_text(sql, ", ");
        append_text(sql, entry->kind);
        pgdbm__buffer_text(sql, ", ");
        append_text(sql, entry->semantic_checksum);
        pgdbm__buffer_text(sql, ", ");
        append_value(sql, entry->body, entry->body_bytes);
        pgdbm__buffer_text(sql, ", ");
        append_value(sql, entry->down, entry->down_bytes);
        pgdbm__buffer_text(sql, ", ");
        append_text(sql, history->build);
        pgdbm__buffer_text(sql, ", ");
        append_text(sql, history->set_digest);
    }
    pgdbm__buffer_text(sql, ")");
}

/* A fleet must not rely on what it knows of this schema when something was taken from its history: its row in pgdbm.target, if
 * there is one that this role may write, is unknown until the history is read again. (What is added to a history, a fleet
 * notices by itself.) The table is there only when the database has fleets: hence a block that looks first. Nobody's digest is
 * "?". */
static void append_forgetting_target(const struct pgdbm__history *history, struct pgdbm__buffer *sql)
{
    struct pgdbm__buffer body = {0};
    size_t module = strlen(history->module);
    size_t schema = strlen(history->schema);
    if (module <= schema + 1 || history->module[module - schema - 1] != '_' ||
        strcmp(history->module + module - schema, history->schema) != 0)
        return;
    pgdbm__buffer_text(&body, "BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
                              " ON n.oid = c.relnamespace WHERE n.nspname = 'pgdbm' AND c.relname = 'target'"
                              " AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
                              " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
                              " AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')) THEN"
                              " UPDATE pgdbm.target SET head = '', digest = '?', state = CASE state"
                              " WHEN 'quarantined' THEN state ELSE 'unknown' END, error = CASE state"
                              " WHEN 'quarantined' THEN error END WHERE module = ");
    pgdbm__quote_literal(&body, history->module, module - schema - 1);
    pgdbm__buffer_text(&body, " AND schema = ");
    pgdbm__quote_literal(&body, history->schema, schema);
    pgdbm__buffer_text(&body, "; END IF; END");
    pgdbm__buffer_text(sql, ";\nDO ");
    if (body.failed)
        sql->failed = true;
    else
        pgdbm__quote_literal(sql, body.data, body.length);
    pgdbm__buffer_free(&body);
}

void pgdbm__history_correct_sql(const struct pgdbm__history *history, const struct pgdbm__history_row *row,
                                const struct pgdbm__history_entry *entry, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_format(sql, "UPDATE %s SET checksum = ", history->qualified);
    append_text(sql, entry->checksum);
    pgdbm__buffer_text(sql, ", module_name = ");
    append_text(sql, history->module);
    if (!history->plain) {
        pgdbm__buffer_text(sql, ", semantic_checksum = ");
        append_text(sql, entry->semantic_checksum);
        pgdbm__buffer_text(sql, ", body = ");
        append_value(sql, entry->body, entry->body_bytes);
        pgdbm__buffer_text(sql, ", down = ");
        append_value(sql, entry->down, entry->down_bytes);
    }
    pgdbm__buffer_format(sql, " WHERE id = %lld", (long long)row->id);
    append_forgetting_target(history, sql);
}

void pgdbm__history_delete_sql(const struct pgdbm__history *history, const struct pgdbm__history_row *row,
                               struct pgdbm__buffer *sql)
{
    pgdbm__buffer_format(sql, "DELETE FROM %s WHERE id = %lld", history->qualified, (long long)row->id);
    append_forgetting_target(history, sql);
}

void pgdbm__history_lock_key_sql(const struct pgdbm__history *history, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, "pg_catalog.hashtext('pgdbm_migration_' || ");
    append_text(sql, history->module);
    pgdbm__buffer_text(sql, ")::bigint");
}
