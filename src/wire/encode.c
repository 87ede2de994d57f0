/* SPDX-License-Identifier: MIT */
/* Frontend messages. No state. */
#include "wire/encode.h"

#include <string.h>

static void put_int32(char *at, uint32_t value)
{
    at[0] = (char)(value >> 24);
    at[1] = (char)(value >> 16);
    at[2] = (char)(value >> 8);
    at[3] = (char)value;
}

size_t pgdbm__wire_begin(struct pgdbm__buffer *out, char type)
{
    size_t begin = out->length;
    char head[5] = {type, 0, 0, 0, 0};
    pgdbm__buffer_append(out, head, sizeof head);
    return begin;
}

void pgdbm__wire_end(struct pgdbm__buffer *out, size_t begin)
{
    if (out->failed)
        return;
    size_t length = out->length - begin - 1;
    if (length > INT32_MAX)
        out->failed = true;
    else
        put_int32(out->data + begin + 1, (uint32_t)length);
}

void pgdbm__wire_int16(struct pgdbm__buffer *out, int16_t value)
{
    char bytes[2] = {(char)((uint16_t)value >> 8), (char)value};
    pgdbm__buffer_append(out, bytes, sizeof bytes);
}

void pgdbm__wire_int32(struct pgdbm__buffer *out, int32_t value)
{
    char bytes[4];
    put_int32(bytes, (uint32_t)value);
    pgdbm__buffer_append(out, bytes, sizeof bytes);
}

void pgdbm__wire_string(struct pgdbm__buffer *out, const char *text, size_t bytes)
{
    if (pgdbm__buffer_reserve(out, bytes + 1)) {
        pgdbm__buffer_append(out, text, bytes);
        pgdbm__buffer_append(out, "", 1);
    }
}

void pgdbm__wire_parse(struct pgdbm__buffer *out, const char *name, const char *sql, size_t sql_bytes,
                       const uint32_t *types, size_t n_types)
{
    size_t begin = pgdbm__wire_begin(out, 'P');
    pgdbm__wire_string(out, name, strlen(name));
    pgdbm__wire_string(out, sql, sql_bytes);
    pgdbm__wire_int16(out, (int16_t)n_types);
    for (size_t i = 0; i < n_types; i++)
        pgdbm__wire_int32(out, (int32_t)types[i]);
    pgdbm__wire_end(out, begin);
}

/* `what` is S for a statement, P for a portal. */
static void named_message(struct pgdbm__buffer *out, char type, char what, const char *name)
{
    size_t begin = pgdbm__wire_begin(out, type);
    pgdbm__buffer_append(out, &what, 1);
    pgdbm__wire_string(out, name, strlen(name));
    pgdbm__wire_end(out, begin);
}

void pgdbm__wire_describe_statement(struct pgdbm__buffer *out, const char *name)
{
    named_message(out, 'D', 'S', name);
}

void pgdbm__wire_close_statement(struct pgdbm__buffer *out, const char *name)
{
    named_message(out, 'C', 'S', name);
}

void pgdbm__wire_close_portal(struct pgdbm__buffer *out, const char *portal)
{
    named_message(out, 'C', 'P', portal);
}

void pgdbm__wire_execute(struct pgdbm__buffer *out, const char *portal, int32_t max_rows)
{
    size_t begin = pgdbm__wire_begin(out, 'E');
    pgdbm__wire_string(out, portal, strlen(portal));
    pgdbm__wire_int32(out, max_rows);
    pgdbm__wire_end(out, begin);
}

void pgdbm__wire_sync(struct pgdbm__buffer *out)
{
    pgdbm__wire_end(out, pgdbm__wire_begin(out, 'S'));
}

void pgdbm__wire_query(struct pgdbm__buffer *out, const char *sql, size_t sql_bytes)
{
    size_t begin = pgdbm__wire_begin(out, 'Q');
    pgdbm__wire_string(out, sql, sql_bytes);
    pgdbm__wire_end(out, begin);
}

void pgdbm__wire_copy_data(struct pgdbm__buffer *out, const void *data, size_t bytes)
{
    size_t begin = pgdbm__wire_begin(out, 'd');
    pgdbm__buffer_append(out, data, bytes);
    pgdbm__wire_end(out, begin);
}

void pgdbm__wire_copy_done(struct pgdbm__buffer *out)
{
    pgdbm__wire_end(out, pgdbm__wire_begin(out, 'c'));
}

void pgdbm__wire_copy_fail(struct pgdbm__buffer *out, const char *reason)
{
    size_t begin = pgdbm__wire_begin(out, 'f');
    pgdbm__wire_string(out, reason, strlen(reason));
    pgdbm__wire_end(out, begin);
}

void pgdbm__wire_terminate(struct pgdbm__buffer *out)
{
    pgdbm__wire_end(out, pgdbm__wire_begin(out, 'X'));
}
