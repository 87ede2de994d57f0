/* SPDX-License-Identifier: MIT */
/* Making a migration ready to run. No state, any thread. */
#include "migrate/script.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/text.h"
#include "sql/effects.h"
#include "sql/report.h"
#include "sql/scan.h"
#include "sql/split.h"
#include "sql/template.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* While statements are found in the expanded text, which only goes forward: where that is in the file. */
struct follower {
    size_t offset;
    struct pgdbm__text_place place;
};

/* The source without what no server accepts. */
static const char *source_text(const struct pgdbm__script_source *source, size_t *bytes)
{
    size_t bom = pgdbm__text_bom(source->text, source->bytes);
    *bytes = source->bytes - bom;
    return source->text + bom;
}

/* A place in the source's text as one in its file. */
static struct pgdbm__script_place in_file(const struct pgdbm__script_source *source, struct pgdbm__text_place place)
{
    size_t first = source->first_line > 0 ? source->first_line : 1;
    return (struct pgdbm__script_place){first - 1 + place.line, place.column};
}

/* Where a character (from 1) begins, at most at the end. */
static size_t offset_of(const char *text, size_t bytes, int character)
{
    size_t offset = 0;
    for (int at = 1; at < character && offset < bytes; at++)
        do
            offset++;
        while (offset < bytes && ((unsigned char)text[offset] & 0xC0) == 0x80);
    return offset;
}

static struct pgdbm__script_place place_of(const struct pgdbm__script_source *source, size_t offset)
{
    size_t bytes;
    const char *text = source_text(source, &bytes);
    return in_file(source, pgdbm__place_of(text, bytes, offset));
}

/* Names the file and the place in it, instead of the place in a piece of it that stands before the message. `offset` is in the
 * source's text. */
static pgdbm_status name_file(const struct pgdbm__script_source *source, size_t offset, pgdbm_status status,
                              pgdbm_error *err)
{
    if (err == NULL || status == PGDBM_ERR_NOMEM)
        return status;
    pgdbm_error cause = *err;
    struct pgdbm__script_place place = place_of(source, offset);
    const char *message = strstr(cause.message, ": ");
    pgdbm__fail(err, status, "migration %s, line %zu, column %zu: %s", source->filename, place.line, place.column,
                message != NULL ? message + 2 : cause.message);
    pgdbm__error_detail(err, "%s", cause.detail);
    pgdbm__error_hint(err, "%s", cause.hint);
    err->position = cause.position;
    return status;
}

static pgdbm_status read_header(struct pgdbm__script *script, pgdbm_error *err)
{
    struct pgdbm__migration_header header = {0};
    pgdbm_status status = pgdbm__migration_header_read(&script->source, &header, err);
    script->no_transaction = header.no_transaction;
    script->lock_timeout_ms = header.lock_timeout_ms;
    pgdbm__migration_header_free(&header);
    return status;
}

static pgdbm_status refuse(const struct pgdbm__script *script, const struct pgdbm__script_statement *statement,
                           const char *what, const char *hint, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s, line %zu, column %zu: %s", script->source.filename,
                statement->line, statement->column, what);
    pgdbm__error_hint(err, "%s", hint);
    if (err != NULL)
        PGDBM__COPY_TEXT(err->statement, statement->sql, statement->bytes);
    return PGDBM_ERR_MIGRATION;
}

static pgdbm_status refuse_outside(const struct pgdbm__script *script, const struct pgdbm__script_statement *statement,
                                   pgdbm_error *err)
{
    bool down = script->source.down;
    char what[128];
    snprintf(what, sizeof what, "%s cannot run in a transaction, which %s is", statement->outside,
             down ? "a down part" : "this file");
    const char *hint = "put this line before the first statement of the file: -- pgdbm:no-transaction";
    if (down)
        hint =
            statement->concurrently ? "leave CONCURRENTLY out" : "take it out, and do it by hand after the roll-back";
    return refuse(script, statement, what, hint, err);
}

static pgdbm_status check_statement(const struct pgdbm__script *script, const struct pgdbm__script_statement *statement,
                                    pgdbm_error *err)
{
    unsigned effects = pgdbm__sql_effects(statement->sql, statement->bytes);
    if (effects & PGDBM__EFFECT_TRANSACTION)
        return refuse(script, statement, "a migration must not begin or end transactions itself",
                      script->source.down
                          ? "take it out: a down part is one transaction, the change of the history included"
                          : "take it out: the file is one transaction, its history row included; with -- "
                            "pgdbm:no-transaction at the top each statement is one of its own",
                      err);
    if (effects & PGDBM__EFFECT_COPY)
        return refuse(script, statement, "COPY from or to the client has nobody to talk to here",
                      "use INSERT (pg_dump --inserts), or load the data outside of migrations", err);
    if (statement->bytes > 0 && statement->sql[0] == '\\')
        return refuse(script, statement, "a command of psql, which the server does not know",
                      "write it in SQL, or take it out", err);
    if (statement->outside != NULL && !script->no_transaction)
        return refuse_outside(script, statement, err);
    return PGDBM_OK;
}

/* Room for one more statement; zeroed. NULL when memory is short. */
static struct pgdbm__script_statement *next_statement(struct pgdbm__script *script)
{
    if (script->n_statements == script->capacity) {
        size_t capacity = script->capacity > 0 ? script->capacity * 2 : 16;
        struct pgdbm__script_statement *statements =
            capacity > SIZE_MAX / sizeof *statements
                ? NULL
                : pgdbm__realloc(script->statements, capacity * sizeof *statements);
        if (statements == NULL)
            return NULL;
        script->statements = statements;
        script->capacity = capacity;
    }
    struct pgdbm__script_statement *statement = &script->statements[script->n_statements++];
    *statement = (struct pgdbm__script_statement){0};
    return statement;
}

/* A copy of a part of the statement; NULL stays NULL. */
static bool copy_part(const struct pgdbm__script_statement *statement, struct pgdbm__statement_part part, char **copy)
{
    if (part.bytes > 0)
        *copy = pgdbm__memdup(statement->sql + part.offset, part.bytes);
    return part.bytes == 0 || *copy != NULL;
}

static pgdbm_status add_statement(struct pgdbm__script *script, const struct pgdbm__statement_span *span,
                                  struct follower *follower, pgdbm_error *err)
{
    struct pgdbm__script_statement *statement = next_statement(script);
    if (statement == NULL)
        return pgdbm__fail_nomem(err, "reading a migration");
    statement->sql = script->text + span->offset;
    statement->bytes = span->bytes;
    size_t bytes;
    const char *text = source_text(&script->source, &bytes);
    size_t origin = pgdbm__template_origin(&script->marks, span->offset);
    pgdbm__place_advance(&follower->place, text, bytes, follower->offset, origin);
    follower->offset = origin;
    struct pgdbm__script_place place = in_file(&script->source, follower->place);
    statement->line = place.line;
    statement->column = place.column;
    struct pgdbm__statement_facts facts = pgdbm__statement_facts(statement->sql, statement->bytes);
    statement->kind = facts.kind;
    statement->concurrently = facts.concurrently.bytes > 0;
    statement->outside = facts.outside;
    if (!copy_part(statement, facts.index, &statement->index_name) ||
        !copy_part(statement, facts.table, &statement->table_name))
        return pgdbm__fail_nomem(err, "reading a migration");
    return check_statement(script, statement, err);
}

static pgdbm_status split(struct pgdbm__script *script, size_t bytes, pgdbm_error *err)
{
    struct pgdbm__splitter splitter;
    struct follower follower = {0, PGDBM__PLACE_BEGIN};
    bool found = true;
    pgdbm__splitter_init(&splitter, script->text, bytes);
    while (found) {
        struct pgdbm__statement_span span;
        pgdbm_error fault = {0};
        pgdbm_status status = pgdbm__split_next(&splitter, &span, &found, &fault);
        if (status != PGDBM_OK) {
            size_t origin = pgdbm__template_origin(&script->marks, offset_of(script->text, bytes, fault.position));
            if (err != NULL)
                *err = fault;
            return name_file(&script->source, origin, status, err);
        }
        if (found)
            status = add_statement(script, &span, &follower, err);
        if (status != PGDBM_OK)
            return status;
    }
    /* Behind a statement stands nothing that is needed once everything is cut. */
    for (size_t i = 0; i < script->n_statements; i++)
        script->text[(size_t)(script->statements[i].sql - script->text) + script->statements[i].bytes] = '\0';
    return PGDBM_OK;
}

static pgdbm_status expand(struct pgdbm__script *script, const char *schema, size_t *expanded_bytes, pgdbm_error *err)
{
    struct pgdbm__buffer expanded = {0};
    pgdbm_error fault = {0};
    size_t bytes;
    const char *text = source_text(&script->source, &bytes);
    pgdbm_status status = pgdbm__template_expand_marked(text, bytes, schema, &expanded, &script->marks, &fault);
    *expanded_bytes = expanded.length;
    if (status != PGDBM_OK) {
        if (err != NULL)
            *err = fault;
        status = name_file(&script->source, offset_of(text, bytes, fault.position), status, err);
    } else if ((script->text = pgdbm__buffer_take(&expanded)) == NULL)
        status = pgdbm__fail_nomem(err, "reading a migration");
    pgdbm__buffer_free(&expanded);
    return status;
}

pgdbm_status pgdbm__script_prepare(struct pgdbm__script *script, const struct pgdbm__script_source *source,
                                   const char *schema, pgdbm_error *err)
{
    size_t expanded_bytes = 0;
    if (script->text != NULL)
        return PGDBM_OK;
    script->source = *source;
    pgdbm_status status = read_header(script, err);
    if (status == PGDBM_OK)
        status = expand(script, schema, &expanded_bytes, err);
    if (status == PGDBM_OK)
        status = split(script, expanded_bytes, err);
    if (status == PGDBM_OK && script->n_statements == 0) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s contains no statement%s", source->filename,
                             source->down ? " in its down part" : "");
        pgdbm__error_hint(err, "an empty migration is nearly always a file that was not saved; SELECT 1 is one that is "
                               "meant to do nothing");
    }
    if (status != PGDBM_OK)
        pgdbm__script_free(script);
    return status;
}

void pgdbm__script_free(struct pgdbm__script *script)
{
    for (size_t i = 0; i < script->n_statements; i++) {
        pgdbm__free(script->statements[i].index_name);
        pgdbm__free(script->statements[i].table_name);
    }
    pgdbm__free(script->text);
    pgdbm__free(script->statements);
    pgdbm__buffer_free(&script->marks);
    *script = (struct pgdbm__script){0};
}

struct pgdbm__script_place pgdbm__script_place(const struct pgdbm__script *script,
                                               const struct pgdbm__script_statement *statement, int position)
{
    if (position <= 1)
        return (struct pgdbm__script_place){statement->line, statement->column};
    size_t offset = (size_t)(statement->sql - script->text) + offset_of(statement->sql, statement->bytes, position);
    return place_of(&script->source, pgdbm__template_origin(&script->marks, offset));
}

bool pgdbm__script_begins_with(const struct pgdbm__script_statement *statement, const char *word)
{
    struct pgdbm__scanner scanner = {.text = statement->sql, .bytes = statement->bytes};
    struct pgdbm__token token;
    pgdbm__scan_next(&scanner, &token);
    return pgdbm__token_is_word(statement->sql, &token, word);
}

/* SELECT pg_catalog.set_config(...), as pg_dump sets search_path. */
static bool calls_set_config(const struct pgdbm__script_statement *statement)
{
    struct pgdbm__scanner scanner = {.text = statement->sql, .bytes = statement->bytes};
    struct pgdbm__token token;
    pgdbm__scan_next(&scanner, &token);
    if (!pgdbm__token_is_word(statement->sql, &token, "select"))
        return false;
    pgdbm__scan_next(&scanner, &token);
    if (pgdbm__token_is_word(statement->sql, &token, "pg_catalog")) {
        pgdbm__scan_next(&scanner, &token); /* the dot */
        pgdbm__scan_next(&scanner, &token);
    }
    return pgdbm__token_is_word(statement->sql, &token, "set_config");
}

bool pgdbm__script_sets(const struct pgdbm__script_statement *statement)
{
    return pgdbm__script_begins_with(statement, "set") || pgdbm__script_begins_with(statement, "reset") ||
           calls_set_config(statement);
}

void pgdbm__script_append_blocking(const struct pgdbm__script_statement *statement, struct pgdbm__buffer *out)
{
    struct pgdbm__statement_part word = pgdbm__statement_facts(statement->sql, statement->bytes).concurrently;
    pgdbm__buffer_append(out, statement->sql, word.offset);
    size_t behind = word.offset + word.bytes;
    pgdbm__buffer_append(out, statement->sql + behind, statement->bytes - behind);
}
