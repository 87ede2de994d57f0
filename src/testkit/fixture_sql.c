/* SPDX-License-Identifier: MIT */
/* SQL files as fixtures: templates are expanded in the whole text, statements are found and sent one by one, as those of a
 * migration. No state; any thread. */
#include "base/error.h"
#include "sql/report.h"
#include "sql/split.h"
#include "sql/template.h"
#include "testkit/fixture.h"

#include <string.h>

struct script {
    const struct pgdbm__fixture *fixture;
    struct pgdbm__buffer text, marks; /* expanded, a NUL behind it; where that was */
    size_t bytes;
};

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

/* Names the place in the file. `offset` is one in the file's text. */
static pgdbm_status name_place(const struct pgdbm__fixture *fixture, size_t offset, pgdbm_error *err)
{
    struct pgdbm__text_place place = pgdbm__place_of(fixture->text, fixture->bytes, offset);
    return pgdbm__fixture_name(fixture, place.line, err, "%s", "");
}

/* What is wrong with a template or a quote says its place in front; here that is the file's. */
static void cut_place(pgdbm_error *err)
{
    const char *message = strstr(err->message, ": ");
    if (message != NULL)
        memmove(err->message, message + 2, strlen(message + 2) + 1);
}

static pgdbm_status expand(struct script *script, pgdbm_error *err)
{
    const struct pgdbm__fixture *fixture = script->fixture;
    pgdbm_status status = pgdbm__template_expand_marked(fixture->text, fixture->bytes, pgdbm_schema(fixture->tx),
                                                        &script->text, &script->marks, err);
    script->bytes = script->text.length;
    if (status == PGDBM_ERR_SCHEMA) {
        cut_place(err);
        return name_place(fixture, offset_of(fixture->text, fixture->bytes, err->position), err);
    }
    pgdbm__buffer_append(&script->text, "", 1);
    if (status == PGDBM_OK && (script->text.failed || script->marks.failed))
        return pgdbm__fail_nomem(err, "reading a fixture");
    return status;
}

static pgdbm_status run(struct script *script, const struct pgdbm__statement_span *span, pgdbm_error *err)
{
    char *sql = script->text.data + span->offset;
    char behind = sql[span->bytes];
    sql[span->bytes] = '\0';
    pgdbm_status status = pgdbm_execute_simple(script->fixture->tx, sql, err);
    sql[span->bytes] = behind;
    if (status == PGDBM_OK || status == PGDBM_ERR_NOMEM)
        return status;
    size_t offset = span->offset + offset_of(sql, span->bytes, err->position);
    return name_place(script->fixture, pgdbm__template_origin(&script->marks, offset), err);
}

static pgdbm_status run_all(struct script *script, pgdbm_error *err)
{
    struct pgdbm__splitter splitter;
    struct pgdbm__statement_span span;
    pgdbm_status status = PGDBM_OK;
    bool found = true;
    pgdbm__splitter_init(&splitter, script->text.data, script->bytes);
    while (status == PGDBM_OK && found) {
        status = pgdbm__split_next(&splitter, &span, &found, err);
        if (status != PGDBM_OK) {
            size_t offset = offset_of(script->text.data, script->bytes, err->position);
            err->status = PGDBM_ERR_TESTDB;
            cut_place(err);
            return name_place(script->fixture, pgdbm__template_origin(&script->marks, offset), err);
        }
        if (found)
            status = run(script, &span, err);
    }
    return status;
}

pgdbm_status pgdbm__fixture_load_sql(const struct pgdbm__fixture *fixture, pgdbm_error *err)
{
    struct script script = {.fixture = fixture};
    pgdbm_status status = expand(&script, err);
    if (status == PGDBM_OK)
        status = run_all(&script, err);
    pgdbm__buffer_free(&script.text);
    pgdbm__buffer_free(&script.marks);
    return status;
}
