/* SPDX-License-Identifier: MIT */
/* Rows of literals behind VALUES. No rule finds anything in them, and the parser's tree of (1),(2),(3) is many times as long
 * as its text; so all but the first are made blank before the text is parsed. Measured: 9 MB/s become 60. Anything that is not a plain literal is left to the parser, with the rest of its list. No state. */
#include "check/text.h"

#include <string.h>
#include <strings.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0 || is_digit(c);
}

static size_t behind_word(const char *text, size_t at, size_t end)
{
    while (at < end && (is_word_byte(text[at]) || text[at] == '$'))
        at++;
    return at;
}

/* Behind a string or a name in quotes; `end` when nothing closes it. */
static size_t behind_quotes(const char *text, size_t at, size_t end, bool escapes)
{
    char quote = text[at++];
    while (at < end) {
        if (escapes && text[at] == '\\')
            at += at + 1 < end ? 2 : 1;
        else if (text[at] != quote)
            at++;
        else if (at + 1 < end && text[at + 1] == quote)
            at += 2;
        else
            return at + 1;
    }
    return end;
}

/* Behind a string in dollars, or behind a dollar that begins none. */
static size_t behind_dollar(const char *text, size_t at, size_t end)
{
    size_t tag = at + 1;
    if (tag < end && !is_digit(text[tag]))
        while (tag < end && is_word_byte(text[tag]))
            tag++;
    if (tag >= end || text[tag] != '$')
        return at + 1;
    size_t bytes = tag + 1 - at;
    const char *closing = memmem(text + tag + 1, end - tag - 1, text + at, bytes);
    return closing != NULL ? (size_t)(closing - text) + bytes : end;
}

/* Behind [+-] digits [. digits] [e [+-] digits]; `at` when there is none. What else counts as a number is left alone. */
static size_t behind_number(const char *text, size_t at, size_t end)
{
    size_t here = at;
    if (here < end && (text[here] == '-' || text[here] == '+'))
        here++;
    size_t digits = here;
    while (here < end && is_digit(text[here]))
        here++;
    if (here == digits)
        return at;
    if (here + 1 < end && text[here] == '.' && is_digit(text[here + 1]))
        for (here++; here < end && is_digit(text[here]);)
            here++;
    if (here < end && (text[here] == 'e' || text[here] == 'E')) {
        size_t exponent = here + 1;
        if (exponent < end && (text[exponent] == '-' || text[exponent] == '+'))
            exponent++;
        if (exponent >= end || !is_digit(text[exponent]))
            return at;
        for (here = exponent; here < end && is_digit(text[here]);)
            here++;
    }
    return here < end && is_word_byte(text[here]) ? at : here;
}

static bool is_word(const char *text, size_t begin, size_t end, const char *word)
{
    return strlen(word) == end - begin && strncasecmp(text + begin, word, end - begin) == 0;
}

/* Behind a literal, or a call like now(); `at` when there is none. */
static size_t behind_literal(const char *text, size_t at, size_t end)
{
    if (at >= end)
        return at;
    if (text[at] == '\'')
        return behind_quotes(text, at, end, false);
    if ((text[at] == 'e' || text[at] == 'E') && at + 1 < end && text[at + 1] == '\'')
        return behind_quotes(text, at + 1, end, true);
    if (!is_word_byte(text[at]) || is_digit(text[at]))
        return behind_number(text, at, end);
    size_t word = behind_word(text, at, end);
    if (end - word > 2 && text[word] == '(' && text[word + 1] == ')')
        return word + 2;
    return is_word(text, at, word, "null") || is_word(text, at, word, "true") || is_word(text, at, word, "false") ||
                   is_word(text, at, word, "default")
               ? word
               : at;
}

/* Behind ::type, or where it could stand; a type's schema or modifier is left alone, so that the row is no row of literals. */
static size_t behind_cast(const char *text, size_t at, size_t end)
{
    bool cast =
        end - at > 2 && text[at] == ':' && text[at + 1] == ':' && is_word_byte(text[at + 2]) && !is_digit(text[at + 2]);
    return cast ? behind_word(text, at + 2, end) : at;
}

/* Behind a row whose values are all literals, `at` when it has something else. */
static size_t behind_row(const char *text, size_t at, size_t end)
{
    size_t here = at;
    if (here >= end || text[here] != '(')
        return at;
    do {
        size_t value = pgdbm__check_skip_blank(text, here + 1, end);
        here = behind_literal(text, value, end);
        if (here == value)
            return at;
        here = pgdbm__check_skip_blank(text, behind_cast(text, here, end), end);
    } while (here < end && text[here] == ',');
    return here < end && text[here] == ')' ? here + 1 : at;
}

/* Blanks the rows from the second on. Returns where to go on. */
static size_t blank_rows(char *text, size_t at, size_t end)
{
    size_t row = pgdbm__check_skip_blank(text, at, end);
    size_t first = behind_row(text, row, end);
    size_t last = first;
    if (first == row)
        return at;
    for (;;) {
        size_t comma = pgdbm__check_skip_blank(text, last, end);
        if (comma >= end || text[comma] != ',')
            break;
        row = pgdbm__check_skip_blank(text, comma + 1, end);
        size_t behind = behind_row(text, row, end);
        if (behind == row)
            break;
        last = behind;
    }
    memset(text + first, ' ', last - first);
    return last;
}

void pgdbm__check_blank_rows(struct pgdbm__check_text *text)
{
    char *bytes = text->text;
    size_t end = text->bytes;
    size_t at = 0;
    while ((at = pgdbm__check_skip_blank(bytes, at, end)) < end) {
        size_t begin = at;
        if (bytes[at] == '\'' || bytes[at] == '"')
            at = behind_quotes(bytes, at, end, false);
        else if ((bytes[at] == 'e' || bytes[at] == 'E') && bytes[at + 1] == '\'')
            at = behind_quotes(bytes, at + 1, end, true);
        else if (bytes[at] == '$')
            at = behind_dollar(bytes, at, end);
        else if (!is_word_byte(bytes[at]))
            at++;
        else {
            at = behind_word(bytes, at, end);
            if (is_word(bytes, begin, at, "values"))
                at = blank_rows(bytes, at, end);
        }
    }
}
