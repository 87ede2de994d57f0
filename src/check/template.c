/* SPDX-License-Identifier: MIT */
/* Templates as pgdbm expands them (docs: <pgdbm/db.h>), replaced in place by names of the same length. No state. */
#include "check/text.h"

#include <string.h>

#define NAME_LIMIT 63

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Folds a name in place; false: it is none. */
static bool fold(char *name, size_t bytes)
{
    if (bytes == 0 || bytes > NAME_LIMIT || !is_letter(*name))
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (!is_letter(name[i]) && (name[i] < '0' || name[i] > '9'))
            return false;
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] - 'A' + 'a');
    }
    return true;
}

/* Writes "{schema"."table" (a table of 0 bytes: none) over a placeholder, and blanks behind it. The names lie in the
 * placeholder, behind where they are written to. */
static void write_names(char *at, size_t bytes, const char *schema, size_t schema_bytes, const char *table,
                        size_t table_bytes)
{
    char names[2 * NAME_LIMIT + 8];
    size_t length = 0;
    names[length++] = '"';
    names[length++] = PGDBM__CHECK_MARK;
    if (schema_bytes > 0)
        memcpy(names + length, schema, schema_bytes);
    length += schema_bytes;
    names[length++] = '"';
    if (table_bytes > 0) {
        names[length++] = '.';
        names[length++] = '"';
        memcpy(names + length, table, table_bytes);
        length += table_bytes;
        names[length++] = '"';
    }
    memset(at, ' ', bytes);
    memcpy(at, names, length);
}

/* Replaces a placeholder that is as it should be. `inside` is what stands between the braces, without outer blanks. */
static bool replace(struct pgdbm__check_text *text, size_t offset, size_t bytes, char *inside, size_t inside_bytes)
{
    char *at = text->text + offset;
    if (inside_bytes == 6 && memcmp(inside, "schema", 6) == 0) {
        write_names(at, bytes, NULL, 0, NULL, 0);
        return true;
    }
    if (inside_bytes < 7 || memcmp(inside, "tables.", 7) != 0)
        return false;
    char *schema = inside + 7;
    char *end = inside + inside_bytes;
    char *dot = memchr(schema, '.', (size_t)(end - schema));
    char *table = dot != NULL ? dot + 1 : schema;
    size_t schema_bytes = dot != NULL ? (size_t)(dot - schema) : 0;
    if ((dot != NULL && !fold(schema, schema_bytes)) || !fold(table, (size_t)(end - table)))
        return false;
    if (dot == NULL) {
        char name[NAME_LIMIT + 1];
        memcpy(name, table, (size_t)(end - table));
        name[end - table] = '\0';
        pgdbm__check_names_templated(text, name, offset);
    }
    write_names(at, bytes, schema, schema_bytes, table, (size_t)(end - table));
    return true;
}

/* What stands between braces, as far as a message shows it. */
static int shown(size_t bytes)
{
    return bytes > 60 ? 60 : (int)bytes;
}

/* The placeholder whose braces open at `offset`. Returns where to go on. */
static size_t expand_one(struct pgdbm__check_text *text, size_t offset)
{
    char *inside = text->text + offset + 2;
    char *end = text->text + text->bytes;
    char *closing = inside;
    while (closing + 1 < end && *closing != '\n' && (closing[0] != '}' || closing[1] != '}') &&
           (closing[0] != '{' || closing[1] != '{'))
        closing++;
    if (closing + 1 >= end || *closing != '}') {
        pgdbm__check_report(text, &pgdbm__check_rule_bad_template, offset,
                            "{{ opens a placeholder that is not closed on its line");
        memset(inside - 2, ' ', 2);
        return offset + 2;
    }
    size_t bytes = (size_t)(closing + 2 - (inside - 2));
    while (inside < closing && is_space(*inside))
        inside++;
    while (closing > inside && is_space(closing[-1]))
        closing--;
    size_t inside_bytes = (size_t)(closing - inside);
    if (!replace(text, offset, bytes, inside, inside_bytes)) {
        pgdbm__check_report(text, &pgdbm__check_rule_bad_template, offset,
                            "{{%.*s}} is none of {{tables.NAME}}, {{tables.SCHEMA.NAME}}, {{schema}}",
                            shown(inside_bytes), inside);
        write_names(text->text + offset, bytes, NULL, 0, NULL, 0);
    }
    return offset + bytes;
}

void pgdbm__check_expand(struct pgdbm__check_text *text)
{
    size_t at = 0;
    while (at + 1 < text->bytes) {
        const char *brace = memchr(text->text + at, '{', text->bytes - at - 1);
        if (brace == NULL)
            return;
        at = (size_t)(brace - text->text);
        at = brace[1] == '{' ? expand_one(text, at) : at + 1;
    }
}
