/* SPDX-License-Identifier: MIT */
/* The statement splitter. No state but the caller's; any thread. */
#include "sql/split.h"

#include "base/error.h"
#include "sql/report.h"

#include <string.h>

/* How far the head of a statement has been recognised: CREATE [OR REPLACE] {FUNCTION | PROCEDURE}. Only these have
 * bodies with semicolons in them; elsewhere BEGIN and CASE are ordinary words. */
enum head { HEAD_NOTHING, HEAD_CREATE, HEAD_OR, HEAD_REPLACE, HEAD_ROUTINE, HEAD_OTHER };

/* The statement being read. */
struct reading {
    const char *text;
    enum head head;
    struct pgdbm__token previous;
    size_t parens;
    size_t paren_offset; /* of the outermost open one */
    size_t blocks;       /* BEGIN ATOMIC */
    size_t block_offset; /* of the BEGIN */
};

static enum head next_head(enum head head, const char *text, const struct pgdbm__token *token)
{
    bool routine = pgdbm__token_is_word(text, token, "function") || pgdbm__token_is_word(text, token, "procedure");
    switch (head) {
    case HEAD_NOTHING:
        return pgdbm__token_is_word(text, token, "create") ? HEAD_CREATE : HEAD_OTHER;
    case HEAD_CREATE:
        if (pgdbm__token_is_word(text, token, "or"))
            return HEAD_OR;
        return routine ? HEAD_ROUTINE : HEAD_OTHER;
    case HEAD_OR:
        return pgdbm__token_is_word(text, token, "replace") ? HEAD_REPLACE : HEAD_OTHER;
    case HEAD_REPLACE:
        return routine ? HEAD_ROUTINE : HEAD_OTHER;
    case HEAD_ROUTINE:
    case HEAD_OTHER:
        break;
    }
    return head;
}

/* Counts the bodies BEGIN ATOMIC ... END that are open. The END of one stands behind a semicolon or behind ATOMIC, which no
 * other END does: that of CASE, and a label or column of that name. */
static void follow_block(struct reading *reading, const struct pgdbm__token *token)
{
    bool atomic = pgdbm__token_is_word(reading->text, &reading->previous, "atomic");
    if (pgdbm__token_is_word(reading->text, token, "atomic") &&
        pgdbm__token_is_word(reading->text, &reading->previous, "begin")) {
        if (reading->blocks == 0)
            reading->block_offset = reading->previous.offset;
        reading->blocks++;
    } else if (reading->blocks > 0 && pgdbm__token_is_word(reading->text, token, "end") &&
               (atomic || pgdbm__token_is_symbol(reading->text, &reading->previous, ';')))
        reading->blocks--;
}

static void follow(struct reading *reading, const struct pgdbm__token *token)
{
    reading->head = next_head(reading->head, reading->text, token);
    if (pgdbm__token_is_symbol(reading->text, token, '(')) {
        if (reading->parens == 0)
            reading->paren_offset = token->offset;
        reading->parens++;
    } else if (pgdbm__token_is_symbol(reading->text, token, ')')) {
        if (reading->parens > 0) /* one too many is for the server to refuse */
            reading->parens--;
    } else if (reading->parens == 0 && reading->head == HEAD_ROUTINE)
        follow_block(reading, token);
    reading->previous = *token;
}

static pgdbm_status fail_open(const struct pgdbm__scanner *scanner, size_t offset, const char *what, const char *hint,
                              pgdbm_error *err)
{
    char shown[64];
    struct pgdbm__text_place place = pgdbm__place_of(scanner->text, scanner->bytes, offset);
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "line %zu: %s that begins here is never closed: %s", place.line, what,
                pgdbm__printable(scanner->text + offset, scanner->bytes - offset, shown, sizeof shown));
    pgdbm__error_hint(err, "%s", hint);
    if (err != NULL)
        err->position = place.character;
    return PGDBM_ERR_MIGRATION;
}

/* The text has ended, or `token` begins something that reaches to its end. */
static pgdbm_status check_closed(const struct pgdbm__scanner *scanner, const struct reading *reading,
                                 const struct pgdbm__token *token, pgdbm_error *err)
{
    switch (token->kind) {
    case PGDBM__TOKEN_OPEN_STRING:
        return fail_open(scanner, token->offset, "the string",
                         "close it with '; a quote inside is doubled ('it''s'), or use $$it's$$", err);
    case PGDBM__TOKEN_OPEN_IDENTIFIER:
        return fail_open(scanner, token->offset, "the quoted name", "close it with \"; a quote inside is doubled", err);
    case PGDBM__TOKEN_OPEN_DOLLAR:
        return fail_open(scanner, token->offset, "the dollar-quoted string",
                         "close it with the same tag, capitals and small letters alike", err);
    case PGDBM__TOKEN_OPEN_COMMENT:
        return fail_open(scanner, token->offset, "the comment", "comments nest: every /* needs a */ of its own", err);
    default:
        break;
    }
    if (reading->parens > 0)
        return fail_open(scanner, reading->paren_offset, "the parenthesis", "close it before the statement ends", err);
    if (reading->blocks > 0)
        return fail_open(scanner, reading->block_offset, "the body",
                         "every BEGIN ATOMIC needs an END of its own, behind the semicolon of its last statement", err);
    return PGDBM_OK;
}

/* The line of an offset that is not before any asked for earlier. */
static size_t line_of(struct pgdbm__splitter *splitter, size_t offset)
{
    const char *text = splitter->scanner.text;
    for (; splitter->line_at < offset; splitter->line_at++)
        if (text[splitter->line_at] == '\n' || (text[splitter->line_at] == '\r' && text[splitter->line_at + 1] != '\n'))
            splitter->line++;
    return splitter->line;
}

void pgdbm__splitter_init(struct pgdbm__splitter *splitter, const char *text, size_t bytes)
{
    *splitter = (struct pgdbm__splitter){.scanner = {.text = text, .bytes = bytes}, .line = 1};
    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        splitter->scanner.offset = 3;
}

pgdbm_status pgdbm__split_next(struct pgdbm__splitter *splitter, struct pgdbm__statement_span *span, bool *found,
                               pgdbm_error *err)
{
    struct pgdbm__scanner scanner = splitter->scanner;
    struct reading reading = {.text = scanner.text};
    struct pgdbm__token token;
    *found = false;
    for (;;) {
        pgdbm__scan_next(&scanner, &token);
        if (token.kind == PGDBM__TOKEN_END || token.kind >= PGDBM__TOKEN_OPEN_STRING)
            break;
        if (reading.parens == 0 && reading.blocks == 0 && pgdbm__token_is_symbol(scanner.text, &token, ';')) {
            if (*found)
                break;
            continue;
        }
        if (!*found)
            *span = (struct pgdbm__statement_span){.offset = token.offset};
        *found = true;
        span->bytes = token.offset + token.bytes - span->offset;
        follow(&reading, &token);
    }
    pgdbm_status status = check_closed(&scanner, &reading, &token, err);
    if (status != PGDBM_OK) {
        *found = false;
        return status;
    }
    if (*found)
        span->line = line_of(splitter, span->offset);
    splitter->scanner = scanner;
    return PGDBM_OK;
}
