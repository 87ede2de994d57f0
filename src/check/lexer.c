/* SPDX-License-Identifier: MIT */
/* Tokens, and what string literals mean. Pure. */
#include "check/lexer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Where the reading is. */
struct reader {
    const char *text;
    size_t at, end;
    struct pgdbm__check_place place;
    bool line_begins; /* only blanks since the last new line: a # is a directive */
};

static int peek(const struct reader *reader, size_t ahead)
{
    return reader->at + ahead < reader->end ? (unsigned char)reader->text[reader->at + ahead] : -1;
}

static void step(struct reader *reader)
{
    if (reader->text[reader->at++] == '\n') {
        reader->place.line++;
        reader->place.column = 1;
    } else
        reader->place.column++;
}

static void skip(struct reader *reader, size_t bytes)
{
    while (bytes-- > 0 && reader->at < reader->end)
        step(reader);
}

/* The length of a backslash at the end of a line, with the new line; 0: there is none. */
static size_t continuation(const struct reader *reader)
{
    if (peek(reader, 0) != '\\')
        return 0;
    return peek(reader, 1) == '\n' ? 2 : peek(reader, 1) == '\r' && peek(reader, 2) == '\n' ? 3 : 0;
}

static void skip_line(struct reader *reader)
{
    while (reader->at < reader->end && peek(reader, 0) != '\n')
        skip(reader, continuation(reader) > 0 ? continuation(reader) : 1);
}

static bool skip_comment(struct reader *reader)
{
    if (peek(reader, 0) != '/' || (peek(reader, 1) != '/' && peek(reader, 1) != '*'))
        return false;
    if (peek(reader, 1) == '/') {
        skip_line(reader);
        return true;
    }
    skip(reader, 2);
    while (reader->at < reader->end && !(peek(reader, 0) == '*' && peek(reader, 1) == '/'))
        step(reader);
    skip(reader, 2);
    return true;
}

/* A directive ends with its line; a comment in it may go on over lines. */
static void skip_directive(struct reader *reader)
{
    while (reader->at < reader->end && peek(reader, 0) != '\n') {
        int quote = peek(reader, 0);
        if (skip_comment(reader))
            continue;
        skip(reader, continuation(reader) > 0 ? continuation(reader) : 1);
        if (quote != '"' && quote != '\'')
            continue;
        while (reader->at < reader->end && peek(reader, 0) != quote && peek(reader, 0) != '\n')
            skip(reader, continuation(reader) > 0 ? continuation(reader) : peek(reader, 0) == '\\' ? 2 : 1);
        if (peek(reader, 0) == quote)
            step(reader);
    }
}

static bool begins_name(int letter)
{
    return letter == '_' || letter == '$' || letter >= 0x80 || isalpha(letter);
}

static bool continues_name(int letter)
{
    return begins_name(letter) || (letter >= 0 && isdigit(letter));
}

/* The length of what stands before the quote of a string: L, u8, R, LR and so on; `*raw` for those with an R. -1: it begins no
 * string. */
static int string_prefix(const struct reader *reader, bool *raw)
{
    static const char *const prefixes[] = {"", "L", "u", "U", "u8"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t bytes = strlen(prefixes[i]);
        if (reader->end - reader->at < bytes || strncmp(reader->text + reader->at, prefixes[i], bytes) != 0)
            continue;
        *raw = peek(reader, bytes) == 'R' && peek(reader, bytes + 1) == '"';
        if (*raw || peek(reader, bytes) == '"')
            return (int)(bytes + *raw);
    }
    return -1;
}

/* Behind R: "delimiter(...)delimiter". */
static void skip_raw(struct reader *reader)
{
    enum { LONGEST = 16 };
    char closing[LONGEST + 3] = ")";
    size_t bytes = 1;
    skip(reader, 1);
    while (peek(reader, 0) >= 0 && peek(reader, 0) != '(' && bytes <= LONGEST) {
        closing[bytes++] = (char)peek(reader, 0);
        step(reader);
    }
    closing[bytes++] = '"';
    while (reader->at < reader->end &&
           (reader->end - reader->at < bytes || memcmp(reader->text + reader->at, closing, bytes) != 0))
        step(reader);
    skip(reader, bytes);
}

static void skip_quoted(struct reader *reader)
{
    int quote = peek(reader, 0);
    skip(reader, 1);
    /* A line that ends in a string is an error of the file's, which must not swallow all the rest. */
    while (reader->at < reader->end && peek(reader, 0) != quote && peek(reader, 0) != '\n')
        skip(reader, continuation(reader) > 0 ? continuation(reader) : peek(reader, 0) == '\\' ? 2 : 1);
    if (peek(reader, 0) == quote)
        step(reader);
}

static void skip_number(struct reader *reader)
{
    while (reader->at < reader->end) {
        int letter = peek(reader, 0);
        bool exponent = strchr("eEpP", letter) != NULL && (peek(reader, 1) == '+' || peek(reader, 1) == '-');
        bool separator = letter == '\'' && continues_name(peek(reader, 1));
        if (!continues_name(letter) && letter != '.' && !separator)
            return;
        skip(reader, exponent || separator ? 2 : 1);
    }
}

/* Passes one token, which there is. */
static enum pgdbm__token_kind pass(struct reader *reader)
{
    bool raw = false;
    int letter = peek(reader, 0);
    int prefix = string_prefix(reader, &raw);
    if (letter == '#' && reader->line_begins) {
        skip_directive(reader);
        return TOKEN_DIRECTIVE;
    }
    if (prefix >= 0) {
        skip(reader, (size_t)prefix);
        if (raw)
            skip_raw(reader);
        else
            skip_quoted(reader);
        return TOKEN_STRING;
    }
    if (letter == '\'') {
        skip_quoted(reader);
        return TOKEN_NUMBER;
    }
    if (isdigit(letter) || (letter == '.' && peek(reader, 1) >= 0 && isdigit(peek(reader, 1)))) {
        skip_number(reader);
        return TOKEN_NUMBER;
    }
    if (!begins_name(letter)) {
        step(reader);
        return TOKEN_SIGN;
    }
    while (reader->at < reader->end && continues_name(peek(reader, 0)))
        step(reader);
    return TOKEN_NAME;
}

/* Passes blanks and comments. */
static void skip_space(struct reader *reader)
{
    for (; reader->at < reader->end;) {
        int letter = peek(reader, 0);
        if (continuation(reader) > 0)
            skip(reader, continuation(reader));
        else if (letter == '\n') {
            reader->line_begins = true;
            step(reader);
        } else if (letter == ' ' || (letter >= '\t' && letter <= '\r') || letter == 0)
            step(reader);
        else if (!skip_comment(reader))
            return;
    }
}

bool pgdbm__lex(struct pgdbm__tokens *tokens, const char *text, size_t from, size_t to, struct pgdbm__check_place place)
{
    struct reader reader = {.text = text, .at = from, .end = to, .place = place, .line_begins = true};
    tokens->text = text;
    tokens->bytes = to;
    for (skip_space(&reader); reader.at < reader.end; skip_space(&reader)) {
        if (tokens->n_tokens == tokens->capacity) {
            size_t capacity = tokens->capacity == 0 ? 256 : 2 * tokens->capacity;
            struct pgdbm__token *longer = realloc(tokens->tokens, capacity * sizeof *longer);
            if (longer == NULL)
                return false;
            tokens->tokens = longer;
            tokens->capacity = capacity;
        }
        struct pgdbm__token *token = &tokens->tokens[tokens->n_tokens++];
        *token = (struct pgdbm__token){.offset = reader.at, .place = reader.place};
        token->kind = pass(&reader);
        token->bytes = reader.at - token->offset;
        reader.line_begins = false;
    }
    return true;
}

void pgdbm__tokens_trim(struct pgdbm__tokens *tokens)
{
    struct pgdbm__token *shorter = realloc(tokens->tokens, (tokens->n_tokens + 1) * sizeof *shorter);
    if (shorter == NULL)
        return;
    tokens->tokens = shorter;
    tokens->capacity = tokens->n_tokens + 1;
}

void pgdbm__tokens_free(struct pgdbm__tokens *tokens)
{
    free(tokens->tokens);
    *tokens = (struct pgdbm__tokens){0};
}

bool pgdbm__token_is(const struct pgdbm__tokens *tokens, size_t at, const char *word)
{
    if (at >= tokens->n_tokens)
        return false;
    const struct pgdbm__token *token = &tokens->tokens[at];
    return (token->kind == TOKEN_NAME || token->kind == TOKEN_SIGN) && strlen(word) == token->bytes &&
           memcmp(tokens->text + token->offset, word, token->bytes) == 0;
}
