/* SPDX-License-Identifier: MIT */
/* What stands in a file beside its SQL: the directives of a migration's comments (docs/migrations.md), commands of psql and
 * the data lines of its COPY. No state. */
#include "check/text.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static size_t line_end(const char *text, size_t at, size_t end)
{
    const char *found = at < end ? memchr(text + at, '\n', end - at) : NULL;
    return found != NULL ? (size_t)(found - text) : end;
}

/* Behind a block comment, which may have others in it. */
static size_t behind_comment(const char *text, size_t at, size_t end)
{
    size_t depth = 0;
    do {
        char next = at + 1 < end ? text[at + 1] : '\0';
        bool opens = text[at] == '/' && next == '*';
        bool closes = text[at] == '*' && next == '/';
        depth += opens;
        depth -= closes;
        at += opens || closes ? 2 : 1;
    } while (depth > 0 && at < end);
    return at < end ? at : end;
}

size_t pgdbm__check_skip_blank(const char *text, size_t at, size_t end)
{
    while (at < end) {
        char next = at + 1 < end ? text[at + 1] : '\0';
        if (is_blank(text[at]))
            at++;
        else if (text[at] == '-' && next == '-')
            at = line_end(text, at, end);
        else if (text[at] == '/' && next == '*')
            at = behind_comment(text, at, end);
        else
            break;
    }
    return at;
}

/* Whether a line comment is this directive: `-- pgdbm:name`, then nothing or a blank. `rest` is what follows. */
static bool is_directive(const char *comment, const char *end, const char *name, const char **rest)
{
    const char *at = comment + 2;
    size_t length = strlen(name);
    while (at < end && is_blank(*at))
        at++;
    if (end - at < 6 || memcmp(at, "pgdbm:", 6) != 0)
        return false;
    for (at += 6; at < end && is_blank(*at);)
        at++;
    if ((size_t)(end - at) < length || memcmp(at, name, length) != 0)
        return false;
    at += length;
    if (at < end && !is_blank(*at))
        return false;
    while (at < end && is_blank(*at))
        at++;
    *rest = at;
    return true;
}

/* The directives before the first statement from `at` on. */
static void read_header(struct pgdbm__check_text *text, size_t at)
{
    size_t end = pgdbm__check_skip_blank(text->text, at, text->bytes);
    text->lock_timeout_off = false;
    while (at < end) {
        const char *comment = text->text + at;
        const char *rest;
        if (*comment == '/')
            at = behind_comment(text->text, at, end);
        else if (*comment != '-')
            at++;
        else {
            at = line_end(text->text, at, end);
            if (is_directive(comment, text->text + at, "no-transaction", &rest))
                text->no_transaction = true;
            else if (is_directive(comment, text->text + at, "lock-timeout", &rest) && strncmp(rest, "off", 3) == 0)
                text->lock_timeout_off = true;
        }
    }
}

static bool is_down_file(const char *file)
{
    static const char ending[] = ".down.sql";
    size_t length = strlen(file);
    return length >= sizeof ending - 1 && strcasecmp(file + length - (sizeof ending - 1), ending) == 0;
}

/* Where the line `-- pgdbm:down` stands. One in a literal is taken for it, too: what follows is then judged more mildly. */
static size_t find_down(const struct pgdbm__check_text *text)
{
    for (size_t at = 0; at < text->bytes; at++) {
        size_t end = line_end(text->text, at, text->bytes);
        const char *rest;
        while (at < end && is_blank(text->text[at]))
            at++;
        if (end - at > 2 && text->text[at] == '-' && text->text[at + 1] == '-' &&
            is_directive(text->text + at, text->text + end, "down", &rest))
            return at;
        at = end;
    }
    return text->bytes;
}

/* COPY name FROM stdin; at the end of a line: data follow. */
static bool begins_data(const char *line, size_t bytes)
{
    if (bytes < 10 || strncasecmp(line, "COPY ", 5) != 0)
        return false;
    while (bytes > 0 && is_blank(line[bytes - 1]))
        bytes--;
    if (line[bytes - 1] != ';')
        return false;
    for (size_t i = 5; i + 10 < bytes; i++)
        if (strncasecmp(line + i, "FROM stdin", 10) == 0)
            return true;
    return false;
}

/* Blanks a line, but for its end. */
static void blank(char *text, size_t begin, size_t end)
{
    for (; begin < end; begin++)
        if (text[begin] != '\r')
            text[begin] = ' ';
}

/* Makes blank what is for psql. */
static void blank_psql(struct pgdbm__check_text *text)
{
    bool data = false;
    for (size_t at = 0; at < text->bytes; at++) {
        size_t end = line_end(text->text, at, text->bytes);
        bool command = end > at && text->text[at] == '\\';
        bool data_end = command && end - at >= 2 && text->text[at + 1] == '.';
        if (!data && !command)
            data = begins_data(text->text + at, end - at);
        else {
            blank(text->text, at, end);
            data = data && !data_end;
        }
        at = end;
    }
}

void pgdbm__check_read_script(struct pgdbm__check_text *text)
{
    if (text->bytes >= 3 && memcmp(text->text, "\xEF\xBB\xBF", 3) == 0)
        memset(text->text, ' ', 3);
    text->down = text->bytes;
    if (text->sql->migration) {
        read_header(text, 0);
        text->down = is_down_file(text->sql->file) ? 0 : find_down(text);
    } else if (text->sql->pieces == NULL && memchr(text->text, '\\', text->bytes) != NULL)
        blank_psql(text);
}

void pgdbm__check_enter_down(struct pgdbm__check_text *text)
{
    bool no_transaction = text->no_transaction;
    text->is_down = true;
    read_header(text, text->down);
    text->no_transaction = no_transaction; /* of the way up; a way back is always a transaction */
}
