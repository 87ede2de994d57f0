/* SPDX-License-Identifier: MIT */
/* The tokenizer. No state but the caller's scanner; any thread. */
#include "sql/scan.h"

#include <string.h>

/* Not <ctype.h>: its answers change with the locale. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Every byte of a multi-byte character is a letter to PostgreSQL. */
static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_operator(char c)
{
    return c != '\0' && strchr("~!@#^&|`?+-*/%<>=", c) != NULL;
}

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* The byte at a place, or NUL behind the end, which begins and continues nothing. */
static char at(const struct pgdbm__scanner *scanner, size_t offset)
{
    return offset < scanner->bytes ? scanner->text[offset] : '\0';
}

static bool comment_begins(const struct pgdbm__scanner *scanner, size_t offset)
{
    return (at(scanner, offset) == '-' && at(scanner, offset + 1) == '-') ||
           (at(scanner, offset) == '/' && at(scanner, offset + 1) == '*');
}

/* The end of a comment that began with two hyphens: before its line break. */
static size_t line_end(const struct pgdbm__scanner *scanner, size_t offset)
{
    while (offset < scanner->bytes && scanner->text[offset] != '\n' && scanner->text[offset] != '\r')
        offset++;
    return offset;
}

/* Finds the end of a comment that begins at *offset. They nest. False when nothing closes it. */
static bool block_end(const struct pgdbm__scanner *scanner, size_t *offset)
{
    size_t depth = 0;
    size_t i = *offset;
    while (i < scanner->bytes) {
        char next = at(scanner, i + 1);
        if (scanner->text[i] == '/' && next == '*') {
            depth++;
            i += 2;
        } else if (scanner->text[i] == '*' && next == '/') {
            depth--;
            i += 2;
            if (depth == 0) {
                *offset = i;
                return true;
            }
        } else
            i++;
    }
    return false;
}

/* Passes white space and comments. False when a comment stays open; the scanner stands where it begins. */
static bool pass_gap(struct pgdbm__scanner *scanner)
{
    while (scanner->offset < scanner->bytes) {
        if (is_space(scanner->text[scanner->offset]))
            scanner->offset++;
        else if (!comment_begins(scanner, scanner->offset))
            break;
        else if (scanner->text[scanner->offset] == '-')
            scanner->offset = line_end(scanner, scanner->offset);
        else if (!block_end(scanner, &scanner->offset))
            return false;
    }
    return true;
}

/* A string goes on when nothing but white space with a line break, and comments to the end of the line, lie before
 * another quote. Moves *offset behind that quote. */
static bool string_continues(const struct pgdbm__scanner *scanner, size_t *offset)
{
    bool line_break = false;
    size_t i = *offset;
    for (;;) {
        char c = at(scanner, i);
        if (c == '-' && at(scanner, i + 1) == '-')
            i = line_end(scanner, i);
        else if (is_space(c)) {
            line_break = line_break || c == '\n' || c == '\r';
            i++;
        } else if (c == '\'' && line_break) {
            *offset = i + 1;
            return true;
        } else
            return false;
    }
}

/* Reads from behind the opening quote to behind the closing one. `kind` is the lower-case letter before the quote: E''
 * has escapes, as what continues it, and in B'' and X'' a doubled quote is the end and another beginning. */
static bool string_end(const struct pgdbm__scanner *scanner, size_t *offset, char kind)
{
    bool escapes = kind == 'e';
    bool doubles = kind != 'b' && kind != 'x';
    size_t i = *offset;
    while (i < scanner->bytes) {
        if (scanner->text[i] == '\\' && escapes)
            i += 2;
        else if (scanner->text[i++] == '\'') {
            if (at(scanner, i) == '\'' && doubles)
                i++;
            else if (!string_continues(scanner, &i)) {
                *offset = i;
                return true;
            }
        }
    }
    return false;
}

static bool identifier_end(const struct pgdbm__scanner *scanner, size_t *offset)
{
    size_t i = *offset;
    while (i < scanner->bytes) {
        if (scanner->text[i++] == '"') {
            if (at(scanner, i) != '"') {
                *offset = i;
                return true;
            }
            i++;
        }
    }
    return false;
}

/* The length of $tag$ at `offset`, 0 when there is none. */
static size_t dollar_tag(const struct pgdbm__scanner *scanner, size_t offset)
{
    size_t i = offset + 1;
    if (is_word_start(at(scanner, i)))
        while (is_word_start(at(scanner, i)) || is_digit(at(scanner, i)))
            i++;
    return at(scanner, i) == '$' ? i + 1 - offset : 0;
}

static size_t digits_end(const struct pgdbm__scanner *scanner, size_t offset)
{
    while (is_digit(at(scanner, offset)) || (at(scanner, offset) == '_' && is_digit(at(scanner, offset + 1))))
        offset++;
    return offset;
}

/* 1, 1.5, .5, 1e-3, 0xFF, 1_000; 1..3 is a number and the beginning of a range. */
static size_t number_end(const struct pgdbm__scanner *scanner, size_t offset)
{
    size_t i = digits_end(scanner, offset);
    if (i == offset + 1 && scanner->text[offset] == '0' && strchr("xob", lower(at(scanner, i))) != NULL &&
        at(scanner, i) != '\0') {
        size_t digits = ++i;
        while (is_digit(at(scanner, i)) || (lower(at(scanner, i)) >= 'a' && lower(at(scanner, i)) <= 'f') ||
               at(scanner, i) == '_')
            i++;
        return i > digits ? i : offset + 1;
    }
    if (at(scanner, i) == '.' && at(scanner, i + 1) != '.')
        i = digits_end(scanner, i + 1);
    if (lower(at(scanner, i)) == 'e') {
        size_t exponent = i + 1;
        if (at(scanner, exponent) == '+' || at(scanner, exponent) == '-')
            exponent++;
        if (is_digit(at(scanner, exponent)))
            i = digits_end(scanner, exponent);
    }
    return i;
}

/* An operator ends before a comment, and ends with + or - only if a character in it is not plain arithmetic: in `=-1`
 * the minus belongs to the number. */
static size_t operator_end(struct pgdbm__scanner *scanner, size_t offset)
{
    bool keeps_sign = false;
    size_t i = offset;
    if (offset >= scanner->run_end) {
        scanner->run_kept = offset;
        for (; is_operator(at(scanner, i)) && !comment_begins(scanner, i); i++) {
            keeps_sign = keeps_sign || strchr("~!@#^&|`?%", scanner->text[i]) != NULL;
            if (scanner->text[i] != '+' && scanner->text[i] != '-')
                scanner->run_kept = i + 1;
        }
        scanner->run_end = i;
    }
    if (keeps_sign)
        return i;
    return scanner->run_kept > offset ? scanner->run_kept : offset + 1;
}

/* The length of what stands before the quote of a prefixed string or identifier (E' B' X' N' U&' U&"), else 0. */
static size_t quote_prefix(const struct pgdbm__scanner *scanner, size_t offset)
{
    char first = lower(at(scanner, offset));
    char second = at(scanner, offset + 1);
    if (first == 'u' && second == '&')
        return at(scanner, offset + 2) == '\'' || at(scanner, offset + 2) == '"' ? 2 : 0;
    return second == '\'' && (first == 'e' || first == 'b' || first == 'x' || first == 'n') ? 1 : 0;
}

/* Reads a quoted construct at the scanner's place, `prefix` bytes of which stand before its quote. */
static enum pgdbm__token_kind read_quoted(struct pgdbm__scanner *scanner, size_t prefix)
{
    size_t begin = scanner->offset;
    char quote = scanner->text[begin + prefix];
    size_t end = begin + prefix + 1;
    bool string = quote == '\'';
    bool closed = string ? string_end(scanner, &end, prefix == 1 ? lower(scanner->text[begin]) : '\'')
                         : identifier_end(scanner, &end);
    scanner->offset = closed ? end : scanner->bytes;
    if (string)
        return closed ? PGDBM__TOKEN_STRING : PGDBM__TOKEN_OPEN_STRING;
    return closed ? PGDBM__TOKEN_IDENTIFIER : PGDBM__TOKEN_OPEN_IDENTIFIER;
}

/* Where the tag at `begin` stands again behind itself; NULL when it does not. */
static const char *closing_tag(const struct pgdbm__scanner *scanner, const char *begin, size_t tag)
{
    const char *end = scanner->text + scanner->bytes;
    const char *closing = begin + tag;
    while ((size_t)(end - closing) >= tag && (closing = memchr(closing, '$', (size_t)(end - closing))) != NULL) {
        if ((size_t)(end - closing) >= tag && memcmp(closing, begin, tag) == 0)
            return closing;
        closing++;
    }
    return NULL;
}

static enum pgdbm__token_kind read_dollar(struct pgdbm__scanner *scanner)
{
    const char *begin = scanner->text + scanner->offset;
    size_t tag = dollar_tag(scanner, scanner->offset);
    if (tag > 0) {
        const char *closing = closing_tag(scanner, begin, tag);
        scanner->offset = closing != NULL ? (size_t)(closing - scanner->text) + tag : scanner->bytes;
        return closing != NULL ? PGDBM__TOKEN_STRING : PGDBM__TOKEN_OPEN_DOLLAR;
    }
    scanner->offset++;
    if (!is_digit(at(scanner, scanner->offset)))
        return PGDBM__TOKEN_SYMBOL;
    while (is_digit(at(scanner, scanner->offset)))
        scanner->offset++;
    return PGDBM__TOKEN_PARAMETER;
}

static enum pgdbm__token_kind read_word(struct pgdbm__scanner *scanner)
{
    char c;
    do
        c = at(scanner, ++scanner->offset);
    while (is_word_start(c) || is_digit(c) || c == '$');
    return PGDBM__TOKEN_WORD;
}

static enum pgdbm__token_kind read_token(struct pgdbm__scanner *scanner)
{
    char c = scanner->text[scanner->offset];
    size_t prefix = quote_prefix(scanner, scanner->offset);
    if (c == '\'' || c == '"' || prefix > 0)
        return read_quoted(scanner, prefix);
    if (is_word_start(c))
        return read_word(scanner);
    if (c == '$')
        return read_dollar(scanner);
    if (is_digit(c) || (c == '.' && is_digit(at(scanner, scanner->offset + 1)))) {
        scanner->offset = number_end(scanner, scanner->offset);
        return PGDBM__TOKEN_NUMBER;
    }
    if (is_operator(c)) {
        scanner->offset = operator_end(scanner, scanner->offset);
        return PGDBM__TOKEN_OPERATOR;
    }
    char next = at(scanner, scanner->offset + 1);
    bool pair = (c == '.' && next == '.') || (c == ':' && (next == ':' || next == '='));
    scanner->offset += pair ? 2 : 1;
    return PGDBM__TOKEN_SYMBOL;
}

void pgdbm__scan_next(struct pgdbm__scanner *scanner, struct pgdbm__token *token)
{
    bool closed = pass_gap(scanner);
    token->offset = scanner->offset;
    if (!closed) {
        token->kind = PGDBM__TOKEN_OPEN_COMMENT;
        scanner->offset = scanner->bytes;
    } else if (scanner->offset == scanner->bytes)
        token->kind = PGDBM__TOKEN_END;
    else
        token->kind = read_token(scanner);
    token->bytes = scanner->offset - token->offset;
}

bool pgdbm__token_is_word(const char *text, const struct pgdbm__token *token, const char *word)
{
    if (token->kind != PGDBM__TOKEN_WORD)
        return false;
    for (size_t i = 0; i < token->bytes; i++)
        if (word[i] == '\0' || lower(text[token->offset + i]) != word[i])
            return false;
    return word[token->bytes] == '\0';
}

bool pgdbm__token_is_symbol(const char *text, const struct pgdbm__token *token, char symbol)
{
    return token->kind == PGDBM__TOKEN_SYMBOL && token->bytes == 1 && text[token->offset] == symbol;
}

size_t pgdbm__scan_end(const char *sql, size_t bytes)
{
    struct pgdbm__scanner scanner = {.text = sql, .bytes = bytes};
    struct pgdbm__token token;
    size_t end = 0;
    for (pgdbm__scan_next(&scanner, &token); token.kind != PGDBM__TOKEN_END; pgdbm__scan_next(&scanner, &token))
        if (!pgdbm__token_is_symbol(sql, &token, ';'))
            end = token.offset + token.bytes;
    return end;
}
