/* SPDX-License-Identifier: MIT */
/* Template expansion. No state; any thread. */
#include "sql/template.h"

#include "base/error.h"
#include "sql/identifier.h"
#include "sql/report.h"

#include <stdio.h>
#include <string.h>

/* A piece of the text. */
struct piece {
    const char *data;
    size_t bytes;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool equals(struct piece piece, const char *word)
{
    return piece.bytes == strlen(word) && memcmp(piece.data, word, piece.bytes) == 0;
}

static struct piece trimmed(struct piece piece)
{
    while (piece.bytes > 0 && is_space(piece.data[0])) {
        piece.data++;
        piece.bytes--;
    }
    while (piece.bytes > 0 && is_space(piece.data[piece.bytes - 1]))
        piece.bytes--;
    return piece;
}

/* Splits at the first dot; false when there is none. */
static bool split_dot(struct piece whole, struct piece *head, struct piece *tail)
{
    const char *dot = whole.bytes > 0 ? memchr(whole.data, '.', whole.bytes) : NULL;
    *head = whole;
    *tail = (struct piece){0};
    if (dot == NULL)
        return false;
    head->bytes = (size_t)(dot - whole.data);
    *tail = (struct piece){dot + 1, whole.bytes - head->bytes - 1};
    return true;
}

/* Whether one edit (a letter more, less or other, two neighbours swapped), or writing in capitals, or both, makes
 * `word` of a piece. */
static bool nearly(struct piece piece, const char *word)
{
    char folded[16];
    size_t length = strlen(word);
    if (piece.bytes + 1 < length || piece.bytes > length + 1)
        return false;
    for (size_t i = 0; i < piece.bytes; i++)
        folded[i] = (char)(piece.data[i] >= 'A' && piece.data[i] <= 'Z' ? piece.data[i] - 'A' + 'a' : piece.data[i]);
    size_t same = 0;
    while (same < piece.bytes && same < length && folded[same] == word[same])
        same++;
    const char *rest = folded + same;
    size_t rest_bytes = piece.bytes - same;
    const char *wanted = word + same;
    size_t wanted_bytes = length - same;
    if (rest_bytes < wanted_bytes)
        return memcmp(rest, wanted + 1, rest_bytes) == 0;
    if (rest_bytes > wanted_bytes)
        return memcmp(rest + 1, wanted, wanted_bytes) == 0;
    if (rest_bytes == 0 || memcmp(rest + 1, wanted + 1, rest_bytes - 1) == 0)
        return true;
    return rest_bytes >= 2 && rest[0] == wanted[1] && rest[1] == wanted[0] &&
           memcmp(rest + 2, wanted + 2, rest_bytes - 2) == 0;
}

/* What is being expanded, for its messages. */
struct expansion {
    const char *text;
    size_t bytes;
    const char *schema;
    struct pgdbm__buffer *out;
    pgdbm_error *err;
};

/* Reports the placeholder that begins at `opening`. `shown` is what the message shows of it. */
static pgdbm_status fail_at(const struct expansion *expansion, size_t opening, struct piece shown, const char *fault)
{
    char excerpt[96];
    struct pgdbm__text_place place = pgdbm__place_of(expansion->text, expansion->bytes, opening);
    pgdbm__fail(expansion->err, PGDBM_ERR_SCHEMA, "line %zu, column %zu: %s %s", place.line, place.column,
                pgdbm__printable(shown.data, shown.bytes, excerpt, sizeof excerpt), fault);
    if (expansion->err != NULL)
        expansion->err->position = place.character;
    return PGDBM_ERR_SCHEMA;
}

static pgdbm_status fail_open(const struct expansion *expansion, size_t opening)
{
    struct piece shown = {expansion->text + opening, expansion->bytes - opening};
    if (shown.bytes > 24)
        shown.bytes = 24;
    const char *line_break = memchr(shown.data, '\n', shown.bytes);
    if (line_break != NULL)
        shown.bytes = (size_t)(line_break - shown.data);
    fail_at(expansion, opening, shown, "is an opened placeholder that is not closed");
    pgdbm__error_hint(expansion->err, "close it with }} on the same line; two braces that open no placeholder are "
                                      "written with a space between them: { {");
    return PGDBM_ERR_SCHEMA;
}

/* A placeholder that is none of the three forms: says which one was probably meant. */
static void hint_for_unknown(const struct expansion *expansion, struct piece expression)
{
    struct piece head;
    struct piece tail;
    char name[96];
    bool dotted = split_dot(expression, &head, &tail);
    pgdbm__printable(dotted ? tail.data : expression.data, dotted ? tail.bytes : expression.bytes, name, sizeof name);
    if (dotted && (nearly(head, "tables") || nearly(head, "schema")))
        pgdbm__error_hint(expansion->err, "did you mean {{tables.%s}}?", name);
    else if (!dotted && nearly(expression, "schema"))
        pgdbm__error_hint(expansion->err, "did you mean {{schema}}?");
    else if (!dotted && nearly(expression, "tables"))
        pgdbm__error_hint(expansion->err, "name the table: {{tables.users}}");
    else if (pgdbm__identifier_fault(expression.data, expression.bytes) == NULL)
        pgdbm__error_hint(expansion->err,
                          "did you mean {{tables.%s}}? There are {{tables.NAME}}, "
                          "{{tables.SCHEMA.NAME}} and {{schema}}",
                          name);
    else
        pgdbm__error_hint(expansion->err,
                          "there are {{tables.NAME}}, {{tables.SCHEMA.NAME}} and {{schema}}; two braces "
                          "that open no placeholder, as in an array, are written with a space: "
                          "'{ {1,2},{3,4}}'");
}

/* Folds one name of a placeholder. */
static pgdbm_status fold_name(const struct expansion *expansion, size_t opening, struct piece whole, struct piece name,
                              const char *what, char folded[PGDBM__IDENTIFIER_BYTES])
{
    const char *fault = pgdbm__identifier_fault(name.data, name.bytes);
    if (fault == NULL)
        return pgdbm__identifier_fold(name.data, name.bytes, what, folded, expansion->err);
    char shown[64];
    char sentence[192];
    snprintf(sentence, sizeof sentence, "is malformed: %s name \"%s\" %s", what,
             pgdbm__printable(name.data, name.bytes, shown, sizeof shown), fault);
    fail_at(expansion, opening, whole, sentence);
    pgdbm__error_hint(expansion->err, "%s", PGDBM__IDENTIFIER_RULE);
    return PGDBM_ERR_SCHEMA;
}

static void append_quoted(struct pgdbm__buffer *out, const char *name)
{
    pgdbm__buffer_append(out, "\"", 1);
    pgdbm__buffer_text(out, name);
    pgdbm__buffer_append(out, "\"", 1);
}

/* NAME or SCHEMA.NAME, what follows `tables.` in a placeholder. */
static pgdbm_status expand_table(const struct expansion *expansion, size_t opening, struct piece whole,
                                 struct piece table)
{
    char schema[PGDBM__IDENTIFIER_BYTES];
    char name[PGDBM__IDENTIFIER_BYTES];
    struct piece head;
    struct piece tail;
    const char *in_schema = expansion->schema;
    pgdbm_status status = PGDBM_OK;
    if (split_dot(table, &head, &tail)) {
        if (memchr(tail.data, '.', tail.bytes) != NULL) {
            fail_at(expansion, opening, whole, "is malformed: too many dots");
            pgdbm__error_hint(expansion->err, "write {{tables.NAME}} or {{tables.SCHEMA.NAME}}; the database is the "
                                              "one the pool is connected to");
            return PGDBM_ERR_SCHEMA;
        }
        status = fold_name(expansion, opening, whole, head, "schema", schema);
        in_schema = schema;
    } else
        tail = head;
    if (status == PGDBM_OK)
        status = fold_name(expansion, opening, whole, tail, "table", name);
    if (status != PGDBM_OK)
        return status;
    if (in_schema != NULL) {
        append_quoted(expansion->out, in_schema);
        pgdbm__buffer_append(expansion->out, ".", 1);
    }
    append_quoted(expansion->out, name);
    return PGDBM_OK;
}

/* The first two braces in a row. Run for each call of a verb: a brace is rare in SQL, and one byte is found faster than
 * two. */
static const char *find_pair(const char *text, size_t bytes, char brace)
{
    const char *end = text + bytes;
    const char *found = text;
    while (found < end && (found = memchr(found, brace, (size_t)(end - found))) != NULL)
        if (++found < end && *found == brace)
            return found - 1;
    return NULL;
}

/* Expands the placeholder whose braces open at `opening`, and moves *next behind those that close it. */
static pgdbm_status expand_one(const struct expansion *expansion, size_t opening, size_t *next)
{
    const char *inside = expansion->text + opening + 2;
    size_t rest = expansion->bytes - opening - 2;
    const char *closing = find_pair(inside, rest, '}');
    if (closing == NULL)
        return fail_open(expansion, opening);
    struct piece between = {inside, (size_t)(closing - inside)};
    struct piece expression = trimmed(between);
    struct piece whole = {expansion->text + opening, between.bytes + 4};
    *next = opening + whole.bytes;
    if (find_pair(expression.data, expression.bytes, '{') != NULL ||
        (expression.bytes > 0 && memchr(expression.data, '\n', expression.bytes) != NULL))
        return fail_open(expansion, opening);
    struct piece head;
    struct piece tail;
    bool dotted = split_dot(expression, &head, &tail);
    if (dotted && equals(head, "tables"))
        return expand_table(expansion, opening, whole, tail);
    if (equals(expression, "schema")) {
        append_quoted(expansion->out, expansion->schema != NULL ? expansion->schema : "public");
        return PGDBM_OK;
    }
    fail_at(expansion, opening, whole, expression.bytes == 0 ? "is an empty placeholder" : "is an unknown placeholder");
    hint_for_unknown(expansion, expression);
    return PGDBM_ERR_SCHEMA;
}

bool pgdbm__template_needed(const char *text, size_t bytes)
{
    return find_pair(text, bytes, '{') != NULL;
}

pgdbm_status pgdbm__template_expand_marked(const char *text, size_t bytes, const char *schema,
                                           struct pgdbm__buffer *out, struct pgdbm__buffer *marks, pgdbm_error *err)
{
    struct expansion expansion = {text, bytes, schema, out, err};
    size_t held = out->length;
    size_t copied = 0;
    pgdbm_status status = PGDBM_OK;
    while (status == PGDBM_OK && bytes - copied >= 2) {
        const char *braces = find_pair(text + copied, bytes - copied, '{');
        if (braces == NULL)
            break;
        struct pgdbm__template_mark mark = {.offset = (size_t)(braces - text)};
        pgdbm__buffer_append(out, text + copied, mark.offset - copied);
        mark.expanded_offset = out->length;
        status = expand_one(&expansion, mark.offset, &copied);
        mark.bytes = copied - mark.offset;
        mark.expanded_bytes = out->length - mark.expanded_offset;
        if (marks != NULL)
            pgdbm__buffer_append(marks, &mark, sizeof mark);
    }
    if (status == PGDBM_OK) {
        pgdbm__buffer_append(out, text + copied, bytes - copied);
        if (out->failed || (marks != NULL && marks->failed))
            status = pgdbm__fail_nomem(err, "expanding a template");
    }
    if (status != PGDBM_OK)
        out->length = held;
    return status;
}

pgdbm_status pgdbm__template_expand(const char *text, size_t bytes, const char *schema, struct pgdbm__buffer *out,
                                    pgdbm_error *err)
{
    return pgdbm__template_expand_marked(text, bytes, schema, out, NULL, err);
}

size_t pgdbm__template_origin(const struct pgdbm__buffer *marks, size_t expanded_offset)
{
    struct pgdbm__template_mark before = {0};
    size_t low = 0;
    size_t high = marks->length / sizeof before;
    while (low < high) { /* the last one that begins at or before the offset */
        struct pgdbm__template_mark mark;
        size_t middle = low + (high - low) / 2;
        memcpy(&mark, marks->data + middle * sizeof mark, sizeof mark);
        if (mark.expanded_offset <= expanded_offset) {
            before = mark;
            low = middle + 1;
        } else
            high = middle;
    }
    size_t behind = expanded_offset - before.expanded_offset;
    return behind < before.expanded_bytes ? before.offset
                                          : before.offset + before.bytes + (behind - before.expanded_bytes);
}
