/* SPDX-License-Identifier: MIT */
/* COPY's formats. Writing structs is where the time of a bulk load goes on this side, so how a field becomes a column is
 * found out once, and the usual pairs are one store. Reading trusts no length. No state of its own. */
#include "result/tuple.h"

#include "base/alloc.h"
#include "base/error.h"
#include "types/composed.h"
#include "types/number.h"
#include "types/oid.h"
#include "types/param.h"
#include "types/value.h"

#include <string.h>

/* The longest of a value that PUT_2 to PUT_8 write, with its length. */
#define FIXED_BYTES 12

/* Signature, flags, length of the header's extension. */
#define HEADER_BYTES 19
static const char header[HEADER_BYTES] = "PGCOPY\n\377\r\n\0";

enum operation {
    PUT_PARAM = 0, /* as a parameter is written */
    PUT_2,         /* the field, in network order */
    PUT_4,
    PUT_8,
    PUT_BOOL,
    PUT_TEXT /* a text into a column whose values are texts */
};

static enum operation fast_operation(uint32_t oid, pgdbm_field_kind kind)
{
    switch (kind) {
    case PGDBM_BOOL:
        return oid == PGDBM__OID_BOOL ? PUT_BOOL : PUT_PARAM;
    case PGDBM_INT16:
        return oid == PGDBM__OID_INT2 ? PUT_2 : PUT_PARAM;
    case PGDBM_INT32:
        return oid == PGDBM__OID_INT4 ? PUT_4 : PUT_PARAM;
    case PGDBM_UINT32:
        return oid == PGDBM__OID_OID ? PUT_4 : PUT_PARAM;
    case PGDBM_FLOAT:
        return oid == PGDBM__OID_FLOAT4 ? PUT_4 : PUT_PARAM;
    case PGDBM_DATE:
        return oid == PGDBM__OID_DATE ? PUT_4 : PUT_PARAM;
    case PGDBM_INT64:
        return oid == PGDBM__OID_INT8 ? PUT_8 : PUT_PARAM;
    case PGDBM_DOUBLE:
        return oid == PGDBM__OID_FLOAT8 ? PUT_8 : PUT_PARAM;
    case PGDBM_TIMESTAMP:
        return oid == PGDBM__OID_TIMESTAMP || oid == PGDBM__OID_TIMESTAMPTZ ? PUT_8 : PUT_PARAM;
    default:
        return PUT_PARAM;
    }
}

/* Whether values of the kind can go into the type, in binary and as text: found out with one that is harmless. */
static void try_pair(const struct pgdbm__type *type, pgdbm_field_kind kind, bool *binary, bool *text,
                     struct pgdbm__buffer *scratch)
{
    const union {
        int64_t integer;
        double number;
        const char *text;
        pgdbm_blob blob;
        pgdbm_decimal decimal;
        pgdbm_inet inet;
        char bytes[32];
    } zero = {.bytes = {0}};
    const pgdbm_inet address = {.family = 4, .bits = 32};
    const char *none = "";
    const pgdbm_blob nothing = {"", 0};
    const void *sample = kind == PGDBM_INET    ? (const void *)&address
                         : kind == PGDBM_TEXT  ? (const void *)&none
                         : kind == PGDBM_BYTES ? (const void *)&nothing
                                               : (const void *)&zero;
    const pgdbm_param param = pgdbm__param_of(kind, sample);
    const struct pgdbm__type *base = pgdbm__type_base(type);
    scratch->length = 0;
    /* What a text says decides whether this side can parse it: texts of other types are left to the server. */
    *binary = kind == PGDBM_TEXT ? base->kind == PGDBM__TYPE_TEXT || base->oid == PGDBM__OID_JSONB
                                 : pgdbm__param_binary(&param, type, scratch) == NULL;
    scratch->length = 0;
    *text = pgdbm__param_text(&param, type, scratch) == NULL;
}

pgdbm_status pgdbm__tuples_compile(struct pgdbm__tuples *tuples, pgdbm_error *err)
{
    for (size_t i = 0; i < tuples->n_columns; i++) {
        struct pgdbm__tuple_column *column = &tuples->columns[i];
        pgdbm_field_kind kind = column->field->kind;
        const struct pgdbm__type *base = pgdbm__type_base(column->type);
        bool binary;
        bool text;
        try_pair(column->type, kind, &binary, &text, &tuples->text);
        if (!binary && !text && !tuples->text.failed) {
            pgdbm__fail(err, PGDBM_ERR_TYPE,
                        "field \"%s\" (%s) cannot go into column \"%s\" (%s): the types do not go "
                        "together",
                        column->name, pgdbm__kind_name(kind), column->name, column->type->name);
            pgdbm__error_hint(err,
                              "give the field the kind of the column (<pgdbm/structs.h> has them), or make it a text, "
                              "which the server parses");
            return PGDBM_ERR_TYPE;
        }
        tuples->as_text = tuples->as_text || !binary;
        column->offset = column->field->offset;
        column->companion = column->field->companion;
        column->operation =
            kind == PGDBM_TEXT && base->kind == PGDBM__TYPE_TEXT ? PUT_TEXT : fast_operation(base->oid, kind);
    }
    return tuples->text.failed ? pgdbm__fail_nomem(err, "preparing a COPY") : PGDBM_OK;
}

void pgdbm__tuples_free(struct pgdbm__tuples *tuples)
{
    pgdbm__buffer_free(&tuples->out);
    pgdbm__buffer_free(&tuples->text);
    pgdbm__free(tuples->columns);
    tuples->columns = NULL;
}

static pgdbm_status refuse(const struct pgdbm__tuples *tuples, size_t column, const pgdbm_param *value,
                           const char *reason, pgdbm_error *err)
{
    const char *name = tuples->columns[column].name;
    const char *type = tuples->columns[column].type->name;
    const char *given = pgdbm__param_kind_name(value->kind);
    long long row = (long long)tuples->rows + 1;
    bool out_of_range =
        reason != pgdbm__param_no_fit && value->kind != PGDBM_PARAM_TEXT && value->kind != PGDBM_PARAM_BYTES;
    if (out_of_range)
        pgdbm__fail(err, PGDBM_ERR_TYPE, "row %lld, column \"%s\": %s is out of range for %s (%s)", row, name, given,
                    type, reason);
    else
        pgdbm__fail(err, PGDBM_ERR_TYPE, "row %lld, column \"%s\": %s cannot go into %s: %s", row, name, given, type,
                    reason);
    pgdbm__error_hint(err, reason == pgdbm__param_unparsed
                               ? "set as_text, so that the server parses it"
                               : "check the value before it is copied, or widen the column");
    return PGDBM_ERR_TYPE;
}

static pgdbm_status finish_row(struct pgdbm__tuples *tuples, pgdbm_error *err)
{
    if (tuples->out.failed || tuples->text.failed)
        return pgdbm__fail_nomem(err, "composing a row of a COPY");
    tuples->rows++;
    return PGDBM_OK;
}

static void begin_row(struct pgdbm__tuples *tuples)
{
    if (!tuples->begun && !tuples->as_text)
        pgdbm__buffer_append(&tuples->out, header, sizeof header);
    tuples->begun = true;
}

pgdbm_status pgdbm__tuples_end(struct pgdbm__tuples *tuples, pgdbm_error *err)
{
    begin_row(tuples);
    if (!tuples->as_text)
        pgdbm__buffer_append(&tuples->out, "\377\377", 2);
    return tuples->out.failed ? pgdbm__fail_nomem(err, "composing a row of a COPY") : PGDBM_OK;
}

/* --- text format --- */

static void put_escaped(struct pgdbm__buffer *out, const char *text, size_t bytes)
{
    size_t copied = 0;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (c != '\\' && c != '\t' && c != '\n' && c != '\r')
            continue;
        pgdbm__buffer_append(out, text + copied, i - copied);
        const char escape[2] = {'\\', c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : '\\'};
        pgdbm__buffer_append(out, escape, sizeof escape);
        copied = i + 1;
    }
    pgdbm__buffer_append(out, text + copied, bytes - copied);
}

/* NULL, or why it cannot be. */
static const char *put_text(struct pgdbm__tuples *tuples, size_t column, const pgdbm_param *value)
{
    struct pgdbm__buffer *out = &tuples->out;
    if (column > 0)
        pgdbm__buffer_append(out, "\t", 1);
    if (value->kind == PGDBM_PARAM_NULL)
        pgdbm__buffer_append(out, "\\N", 2);
    else {
        tuples->text.length = 0;
        const char *reason = pgdbm__param_text(value, tuples->columns[column].type, &tuples->text);
        if (reason != NULL)
            return reason;
        if (tuples->text.length > 0)
            put_escaped(out, tuples->text.data, tuples->text.length);
    }
    if (column + 1 == tuples->n_columns)
        pgdbm__buffer_append(out, "\n", 1);
    return NULL;
}

/* --- binary format --- */

static bool is_null(const struct pgdbm__tuple_column *column, const char *row)
{
    return column->companion != PGDBM_NO_COMPANION && !*(const bool *)(row + column->companion);
}

/* Writes a value of a fixed size, for which there is room, and returns what is behind it. */
static char *put_fixed(char *at, enum operation operation, const char *field)
{
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (operation) {
    case PUT_2:
        memcpy(&two, field, sizeof two);
        pgdbm__put_uint32(at, 2);
        pgdbm__put_uint16(at + 4, two);
        return at + 6;
    case PUT_4:
        memcpy(&four, field, sizeof four);
        pgdbm__put_uint32(at, 4);
        pgdbm__put_uint32(at + 4, four);
        return at + 8;
    case PUT_8:
        memcpy(&eight, field, sizeof eight);
        pgdbm__put_uint32(at, 8);
        pgdbm__put_uint64(at + 4, eight);
        return at + 12;
    default:
        pgdbm__put_uint32(at, 1);
        at[4] = *(const bool *)field ? 1 : 0;
        return at + 5;
    }
}

/* A text of PostgreSQL's is less than 1 GiB. */
#define TEXT_LIMIT ((size_t)0x3fffffff)

static pgdbm_status put_struct_binary(struct pgdbm__tuples *tuples, const char *row, pgdbm_error *err)
{
    struct pgdbm__buffer *out = &tuples->out;
    size_t fixed = 2 + tuples->n_columns * FIXED_BYTES; /* room for all that is still to come but texts */
    if (!pgdbm__buffer_reserve(out, fixed))
        return PGDBM_OK; /* said at the end */
    char *at = out->data + out->length;
    pgdbm__put_uint16(at, (uint16_t)tuples->n_columns);
    at += 2;
    for (size_t i = 0; i < tuples->n_columns; i++) {
        const struct pgdbm__tuple_column *column = &tuples->columns[i];
        const char *field = row + column->offset;
        enum operation operation = (enum operation)column->operation;
        const char *text = operation == PUT_TEXT ? *(const char *const *)(const void *)field : "";
        if (is_null(column, row) || text == NULL) {
            pgdbm__put_uint32(at, UINT32_MAX);
            at += 4;
        } else if (operation == PUT_TEXT) {
            size_t bytes = strlen(text);
            if (bytes > TEXT_LIMIT) {
                const pgdbm_param param = pgdbm_param_text(text);
                return refuse(tuples, i, &param, "it is larger than PostgreSQL's limit of 1 GiB", err);
            }
            out->length = (size_t)(at - out->data);
            if (!pgdbm__buffer_reserve(out, bytes + 4 + fixed))
                return PGDBM_OK;
            at = out->data + out->length;
            pgdbm__put_uint32(at, (uint32_t)bytes);
            memcpy(at + 4, text, bytes);
            at += 4 + bytes;
        } else if (operation == PUT_PARAM) {
            const pgdbm_param param = pgdbm__param_of(column->field->kind, field);
            out->length = (size_t)(at - out->data);
            const char *reason = pgdbm__param_binary(&param, column->type, out);
            if (reason != NULL)
                return refuse(tuples, i, &param, reason, err);
            if (!pgdbm__buffer_reserve(out, fixed))
                return PGDBM_OK;
            at = out->data + out->length;
        } else
            at = put_fixed(at, operation, field);
    }
    out->length = (size_t)(at - out->data);
    return PGDBM_OK;
}

pgdbm_status pgdbm__tuples_put_struct(struct pgdbm__tuples *tuples, const char *row, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    begin_row(tuples);
    if (!tuples->as_text)
        status = put_struct_binary(tuples, row, err);
    for (size_t i = 0; tuples->as_text && status == PGDBM_OK && i < tuples->n_columns; i++) {
        const struct pgdbm__tuple_column *column = &tuples->columns[i];
        const pgdbm_param value = pgdbm__field_param(column->field, row);
        const char *reason = put_text(tuples, i, &value);
        if (reason != NULL)
            status = refuse(tuples, i, &value, reason, err);
    }
    return status == PGDBM_OK ? finish_row(tuples, err) : status;
}

pgdbm_status pgdbm__tuples_put_params(struct pgdbm__tuples *tuples, const pgdbm_param *values, pgdbm_error *err)
{
    const char *reason = NULL;
    begin_row(tuples);
    if (!tuples->as_text && pgdbm__buffer_reserve(&tuples->out, 2)) {
        pgdbm__put_uint16(tuples->out.data + tuples->out.length, (uint16_t)tuples->n_columns);
        tuples->out.length += 2;
    }
    for (size_t i = 0; reason == NULL && i < tuples->n_columns; i++) {
        reason = tuples->as_text ? put_text(tuples, i, &values[i])
                                 : pgdbm__param_binary(&values[i], tuples->columns[i].type, &tuples->out);
        if (reason != NULL)
            return refuse(tuples, i, &values[i], reason, err);
    }
    return finish_row(tuples, err);
}

/* --- reading --- */

bool pgdbm__tuples_feed(struct pgdbm__tuple_reader *reader, char *data, size_t bytes)
{
    struct pgdbm__buffer *held = &reader->held;
    if (reader->bytes == 0) {
        reader->at = data;
        reader->bytes = bytes;
        return true;
    }
    /* Only what is held is left when more is wanted. */
    if (!pgdbm__buffer_reserve(held, bytes + 1))
        return false;
    pgdbm__buffer_append(held, data, bytes);
    reader->at = held->data;
    reader->bytes = held->length;
    return true;
}

/* What is left is kept until there is more. */
static enum pgdbm__tuple_found want_more(struct pgdbm__tuple_reader *reader)
{
    struct pgdbm__buffer *held = &reader->held;
    if (reader->bytes > 0 && held->data != NULL && reader->at >= held->data && reader->at < held->data + held->length)
        memmove(held->data, reader->at, reader->bytes);
    else if (reader->bytes > 0) {
        held->length = 0;
        if (!pgdbm__buffer_reserve(held, reader->bytes + 1))
            return PGDBM__TUPLE_NOMEM;
        memcpy(held->data, reader->at, reader->bytes);
    }
    held->length = reader->bytes;
    reader->at = held->data;
    return PGDBM__TUPLE_MORE;
}

static void advance(struct pgdbm__tuple_reader *reader, size_t bytes)
{
    reader->at += bytes;
    reader->bytes -= bytes;
}

/* The header, and the extension that a later version of PostgreSQL may put behind it. */
static enum pgdbm__tuple_found read_header(struct pgdbm__tuple_reader *reader)
{
    if (reader->bytes < HEADER_BYTES)
        return PGDBM__TUPLE_MORE;
    if (memcmp(reader->at, header, 11) != 0)
        return PGDBM__TUPLE_BROKEN;
    size_t extension = pgdbm__get_uint32(reader->at + 15);
    if (extension > INT32_MAX)
        return PGDBM__TUPLE_BROKEN;
    if (reader->bytes - HEADER_BYTES < extension)
        return PGDBM__TUPLE_MORE;
    advance(reader, HEADER_BYTES + extension);
    reader->headed = true;
    return PGDBM__TUPLE_ROW;
}

/* How long the tuple at the beginning is. */
static enum pgdbm__tuple_found measure(const struct pgdbm__tuple_reader *reader, size_t *size)
{
    size_t at = 2;
    for (size_t i = 0; i < reader->n_columns; i++) {
        if (reader->bytes - at < 4)
            return PGDBM__TUPLE_MORE;
        int32_t length = (int32_t)pgdbm__get_uint32(reader->at + at);
        at += 4;
        if (length < -1)
            return PGDBM__TUPLE_BROKEN;
        if (length > 0 && (size_t)length > reader->bytes - at)
            return PGDBM__TUPLE_MORE;
        at += length > 0 ? (size_t)length : 0;
    }
    *size = at;
    return PGDBM__TUPLE_ROW;
}

enum pgdbm__tuple_found pgdbm__tuples_next(struct pgdbm__tuple_reader *reader, unsigned char **body, size_t *bytes)
{
    enum pgdbm__tuple_found found = reader->headed ? PGDBM__TUPLE_ROW : read_header(reader);
    if (found == PGDBM__TUPLE_ROW && reader->bytes < 2)
        found = PGDBM__TUPLE_MORE;
    if (found == PGDBM__TUPLE_ROW) {
        uint16_t count = pgdbm__get_uint16(reader->at);
        if (count == UINT16_MAX && !reader->ended) {
            reader->ended = true;
            advance(reader, 2);
            return pgdbm__tuples_next(reader, body, bytes);
        }
        found = count == reader->n_columns && !reader->ended ? measure(reader, bytes) : PGDBM__TUPLE_BROKEN;
    }
    if (found == PGDBM__TUPLE_MORE)
        return want_more(reader);
    if (found == PGDBM__TUPLE_ROW) {
        *body = (unsigned char *)reader->at;
        advance(reader, *bytes);
    }
    return found;
}
