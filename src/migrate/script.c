/* SPDX-License-Identifier: MIT */
/* Making a migration ready to run. No state, any thread. */
#include "migrate/script.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"
#include "migrate/text.h"
#include "sql/effects.h"
#include "sql/template.h"

/* Puts the file before a message that has the line already. */
static pgdbm_status name_file(const char *filename, pgdbm_status status, pgdbm_error *err)
{
    if (err == NULL || status == PGDBM_ERR_NOMEM)
        return status;
    pgdbm_error cause = *err;
    pgdbm__fail(err, status, "migration %s, %s", filename, cause.message);
    pgdbm__error_detail(err, "%s", cause.detail);
    pgdbm__error_hint(err, "%s", cause.hint);
    err->position = cause.position;
    return status;
}

static pgdbm_status check_header(const char *filename, const char *text, size_t bytes, pgdbm_error *err)
{
    struct pgdbm__migration_header header = pgdbm__migration_header_read(text, bytes);
    if (header.unknown == NULL)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s, line %zu: \"%.*s\" is no directive that is known", filename,
                header.unknown_line, header.unknown_bytes < 80 ? (int)header.unknown_bytes : 80, header.unknown);
    pgdbm__error_hint(err, "the one there is reads: -- pgdbm:no-transaction");
    return PGDBM_ERR_MIGRATION;
}

static pgdbm_status refuse(const char *filename, size_t line, const char *what, const char *hint, const char *statement,
                           size_t bytes, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s, line %zu: %s", filename, line, what);
    pgdbm__error_hint(err, "%s", hint);
    if (err != NULL)
        PGDBM__COPY_TEXT(err->statement, statement, bytes);
    return PGDBM_ERR_MIGRATION;
}

static pgdbm_status check_statement(const char *filename, const char *text, size_t bytes, size_t line, pgdbm_error *err)
{
    unsigned effects = pgdbm__sql_effects(text, bytes);
    if (effects & PGDBM__EFFECT_TRANSACTION)
        return refuse(filename, line, "a migration must not begin or end transactions itself",
                      "take it out: the file is one transaction, its history row included; with -- "
                      "pgdbm:no-transaction at the top each statement is one of its own",
                      text, bytes, err);
    if (effects & PGDBM__EFFECT_COPY)
        return refuse(filename, line, "COPY from or to the client has nobody to talk to here",
                      "use INSERT (pg_dump --inserts), or load the data outside of migrations", text, bytes, err);
    if (bytes > 0 && text[0] == '\\')
        return refuse(filename, line, "a command of psql, which the server does not know",
                      "write it in SQL, or take it out", text, bytes, err);
    return PGDBM_OK;
}

static bool add_statement(struct pgdbm__script *script, const struct pgdbm__statement_span *span)
{
    if (script->n_statements == script->capacity) {
        size_t capacity = script->capacity > 0 ? script->capacity * 2 : 16;
        struct pgdbm__script_statement *statements =
            capacity > SIZE_MAX / sizeof *statements
                ? NULL
                : pgdbm__realloc(script->statements, capacity * sizeof *statements);
        if (statements == NULL)
            return false;
        script->statements = statements;
        script->capacity = capacity;
    }
    struct pgdbm__script_statement *statement = &script->statements[script->n_statements++];
    statement->sql = script->text + span->offset;
    statement->bytes = span->bytes;
    statement->line = span->line;
    return true;
}

static pgdbm_status split(struct pgdbm__script *script, const char *filename, size_t bytes, pgdbm_error *err)
{
    struct pgdbm__splitter splitter;
    pgdbm__splitter_init(&splitter, script->text, bytes);
    for (;;) {
        struct pgdbm__statement_span span;
        bool found = false;
        pgdbm_status status = pgdbm__split_next(&splitter, &span, &found, err);
        if (status != PGDBM_OK)
            return name_file(filename, status, err);
        if (!found)
            break;
        status = check_statement(filename, script->text + span.offset, span.bytes, span.line, err);
        if (status != PGDBM_OK)
            return status;
        if (!add_statement(script, &span))
            return pgdbm__fail_nomem(err, "reading a migration");
    }
    /* Behind a statement stands nothing that is needed once everything is cut. */
    for (size_t i = 0; i < script->n_statements; i++)
        script->text[(size_t)(script->statements[i].sql - script->text) + script->statements[i].bytes] = '\0';
    return PGDBM_OK;
}

static pgdbm_status expand(struct pgdbm__script *script, const char *filename, const char *text, size_t bytes,
                           const char *schema, size_t *expanded_bytes, pgdbm_error *err)
{
    struct pgdbm__buffer expanded = {0};
    size_t bom = pgdbm__text_bom(text, bytes);
    pgdbm_status status = pgdbm__template_expand(text + bom, bytes - bom, schema, &expanded, err);
    *expanded_bytes = expanded.length;
    if (status != PGDBM_OK)
        status = name_file(filename, status, err);
    else if ((script->text = pgdbm__buffer_take(&expanded)) == NULL)
        status = pgdbm__fail_nomem(err, "reading a migration");
    pgdbm__buffer_free(&expanded);
    return status;
}

pgdbm_status pgdbm__script_prepare(struct pgdbm__script *script, const char *filename, const char *text, size_t bytes,
                                   const char *schema, pgdbm_error *err)
{
    size_t expanded_bytes = 0;
    if (script->text != NULL)
        return PGDBM_OK;
    pgdbm_status status = check_header(filename, text, bytes, err);
    if (status == PGDBM_OK)
        status = expand(script, filename, text, bytes, schema, &expanded_bytes, err);
    if (status == PGDBM_OK)
        status = split(script, filename, expanded_bytes, err);
    if (status == PGDBM_OK && script->n_statements == 0) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s contains no statement", filename);
        pgdbm__error_hint(err, "an empty migration is nearly always a file that was not saved; SELECT 1 is one that is "
                               "meant to do nothing");
    }
    if (status != PGDBM_OK)
        pgdbm__script_free(script);
    return status;
}

void pgdbm__script_free(struct pgdbm__script *script)
{
    pgdbm__free(script->text);
    pgdbm__free(script->statements);
    *script = (struct pgdbm__script){0};
}
