/* SPDX-License-Identifier: MIT */
/* Encoding parameters. A value that does not fit its type is refused here, before anything is sent. Whatever C value meets
 * whatever type, there is one way to its binary form; the text form is that one, printed. Only a text is sent as it is when
 * the server is to make something of it. */
#include "types/param.h"

#include "base/error.h"
#include "types/composed.h"
#include "types/number.h"
#include "types/oid.h"
#include "types/scalar.h"
#include "wire/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char pgdbm__param_no_fit[] = "the types do not go together";
const char pgdbm__param_unparsed[] = "this side cannot make that type of a text";

static const struct {
    const char *name;  /* in messages: "parameter $1 is ..." */
    uint32_t types[2]; /* by address: those it goes into, without a change but byte order */
} kinds[] = {
    [PGDBM_PARAM_NULL] = {"NULL", {0}},
    [PGDBM_PARAM_BOOL] = {"a bool", {0}},
    [PGDBM_PARAM_INT64] = {"an integer", {0}},
    [PGDBM_PARAM_UINT64] = {"an integer", {0}},
    [PGDBM_PARAM_DOUBLE] = {"a floating-point number", {0}},
    [PGDBM_PARAM_TEXT] = {"a text", {0}},
    [PGDBM_PARAM_BYTES] = {"a run of bytes", {0}},
    [PGDBM_PARAM_TIMESTAMP] = {"a timestamp", {PGDBM__OID_TIMESTAMPTZ, PGDBM__OID_TIMESTAMP}},
    [PGDBM_PARAM_DATE] = {"a date", {PGDBM__OID_DATE}},
    [PGDBM_PARAM_TIME] = {"a time", {PGDBM__OID_TIME}},
    [PGDBM_PARAM_TIMETZ] = {"a timetz", {PGDBM__OID_TIMETZ}},
    [PGDBM_PARAM_INTERVAL] = {"an interval", {PGDBM__OID_INTERVAL}},
    [PGDBM_PARAM_DECIMAL] = {"a decimal", {PGDBM__OID_NUMERIC}},
    [PGDBM_PARAM_UUID] = {"a uuid", {PGDBM__OID_UUID}},
    [PGDBM_PARAM_INET] = {"an inet", {PGDBM__OID_INET, PGDBM__OID_CIDR}},
    [PGDBM_PARAM_MACADDR] = {"a macaddr", {PGDBM__OID_MACADDR}},
    [PGDBM_PARAM_BITS] = {"a run of bits", {PGDBM__OID_BIT, PGDBM__OID_VARBIT}},
    [PGDBM_PARAM_RANGE] = {"a range", {0}},
    [PGDBM_PARAM_ARRAY] = {"an array", {0}},
    [PGDBM_PARAM_ROW] = {"a row", {0}},
    [PGDBM_PARAM_INT32S] = {"an array of integers", {0}},
    [PGDBM_PARAM_INT64S] = {"an array of integers", {0}},
    [PGDBM_PARAM_DOUBLES] = {"an array of floating-point numbers", {0}},
    [PGDBM_PARAM_BOOLS] = {"an array of bools", {0}},
    [PGDBM_PARAM_TEXTS] = {"an array of texts", {0}},
};

static bool is_kind(pgdbm_param_kind kind)
{
    return (size_t)kind < sizeof kinds / sizeof *kinds;
}

const char *pgdbm__param_kind_name(pgdbm_param_kind kind)
{
    return is_kind(kind) ? kinds[kind].name : "of no known kind";
}

static void put_bytes(struct pgdbm__buffer *out, const void *data, size_t bytes)
{
    pgdbm__wire_int32(out, (int32_t)bytes);
    pgdbm__buffer_append(out, data, bytes);
}

static void put_uint64(struct pgdbm__buffer *out, uint64_t value)
{
    pgdbm__wire_int32(out, (int32_t)(value >> 32));
    pgdbm__wire_int32(out, (int32_t)(uint32_t)value);
}

static void put_double(struct pgdbm__buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    pgdbm__wire_int32(out, 8);
    put_uint64(out, bits);
}

static void put_float(struct pgdbm__buffer *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    pgdbm__wire_int32(out, 4);
    pgdbm__wire_int32(out, (int32_t)bits);
}

/* What is appended by `append` gets its length before it. */
static size_t open_item(struct pgdbm__buffer *out)
{
    pgdbm__wire_int32(out, 0);
    return out->length;
}

static const char *close_item(struct pgdbm__buffer *out, size_t begin)
{
    if (out->failed)
        return NULL;
    size_t bytes = out->length - begin;
    if (bytes > PGDBM__VALUE_BYTES)
        return "it is larger than PostgreSQL's limit of 1 GiB";
    unsigned char *at = (unsigned char *)out->data + begin - 4;
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(bytes >> (24 - 8 * i));
    return NULL;
}

static const char *put_decimal(struct pgdbm__buffer *out, const pgdbm_decimal *decimal)
{
    if (decimal->scale < 0 || decimal->scale > 16383)
        return "its scale is not from 0 to 16383";
    size_t begin = open_item(out);
    pgdbm__decimal_append(decimal, out);
    return close_item(out, begin);
}

static const char *encode_integer(int64_t value, uint32_t type, struct pgdbm__buffer *out)
{
    switch (type) {
    case PGDBM__OID_INT4:
        if (value < INT32_MIN || value > INT32_MAX)
            return "-2147483648 to 2147483647";
        pgdbm__wire_int32(out, 4);
        pgdbm__wire_int32(out, (int32_t)value);
        return NULL;
    case PGDBM__OID_INT8:
        pgdbm__wire_int32(out, 8);
        put_uint64(out, (uint64_t)value);
        return NULL;
    case PGDBM__OID_INT2:
        if (value < INT16_MIN || value > INT16_MAX)
            return "-32768 to 32767";
        pgdbm__wire_int32(out, 2);
        pgdbm__wire_int16(out, (int16_t)value);
        return NULL;
    case PGDBM__OID_OID:
        if (value < 0 || value > UINT32_MAX)
            return "0 to 4294967295";
        pgdbm__wire_int32(out, 4);
        pgdbm__wire_int32(out, (int32_t)(uint32_t)value);
        return NULL;
    case PGDBM__OID_FLOAT8:
        put_double(out, (double)value);
        return NULL;
    case PGDBM__OID_FLOAT4:
        put_float(out, (float)value);
        return NULL;
    case PGDBM__OID_BOOL:
        if (value != 0 && value != 1)
            return "0 and 1 only";
        put_bytes(out, value == 1 ? "\1" : "\0", 1);
        return NULL;
    case PGDBM__OID_NUMERIC:
        return put_decimal(out, &(pgdbm_decimal){.high = value < 0 ? -1 : 0, .low = (uint64_t)value});
    default:
        return pgdbm__param_no_fit;
    }
}

static const char *encode_unsigned(uint64_t value, uint32_t type, struct pgdbm__buffer *out)
{
    if (value <= INT64_MAX)
        return encode_integer((int64_t)value, type, out);
    if (type == PGDBM__OID_NUMERIC)
        return put_decimal(out, &(pgdbm_decimal){.low = value});
    if (type != PGDBM__OID_FLOAT8)
        return "the value is above 9223372036854775807";
    put_double(out, (double)value);
    return NULL;
}

/* A text of `type` that this side understands. */
static const char *encode_parsed(const struct pgdbm__type *type, const char *text, size_t bytes,
                                 struct pgdbm__buffer *out)
{
    size_t begin = open_item(out);
    if (type->parse == NULL || !type->parse(type, text, bytes, out))
        return pgdbm__param_unparsed;
    return close_item(out, begin);
}

/* A numeric is parsed here only when it is written without an exponent. Of a double that takes 309 digits before the point,
 * or 324 behind it. */
static const char *encode_double_as_numeric(double value, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    char text[PGDBM__NUMBER_BYTES];
    char digits[PGDBM__NUMBER_BYTES];
    char plain[400];
    char *at = plain;
    int count = 0;
    size_t bytes = (size_t)pgdbm__double_text(value, text);
    const char *mark = strchr(text, 'e');
    if (mark == NULL)
        return encode_parsed(type, text, bytes, out);
    int exponent = atoi(mark + 1);
    for (const char *from = text; from < mark; from++)
        if (*from >= '0' && *from <= '9')
            digits[count++] = *from;
    if (text[0] == '-')
        *at++ = '-';
    for (int place = exponent < 0 ? exponent : 0; place < count || place <= exponent; place++) {
        *at++ = place >= 0 && place < count ? digits[place] : '0';
        if (place == exponent && place + 1 < count)
            *at++ = '.';
    }
    return encode_parsed(type, plain, (size_t)(at - plain), out);
}

static const char *encode_double(double value, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    switch (type->oid) {
    case PGDBM__OID_FLOAT8:
        put_double(out, value);
        return NULL;
    case PGDBM__OID_FLOAT4:
        if (isfinite(value) && isinf((float)value))
            return "about 3.4e38 either way";
        put_float(out, (float)value);
        return NULL;
    case PGDBM__OID_NUMERIC:
        return encode_double_as_numeric(value, type, out);
    default:
        return pgdbm__param_no_fit;
    }
}

size_t pgdbm__param_text_bytes(const pgdbm_param *param)
{
    return param->bytes == PGDBM_TERMINATED ? strlen(param->value.text) : param->bytes;
}

static const char *check_text(const pgdbm_param *param, size_t bytes)
{
    if (bytes > PGDBM__VALUE_BYTES)
        return "it is larger than PostgreSQL's limit of 1 GiB";
    if (param->bytes != PGDBM_TERMINATED && bytes > 0 && memchr(param->value.text, '\0', bytes) != NULL)
        return "it is text with a NUL byte inside, which PostgreSQL cannot store";
    return NULL;
}

static const char *encode_text(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    size_t bytes = pgdbm__param_text_bytes(param);
    const char *reason = check_text(param, bytes);
    if (reason != NULL)
        return reason;
    if (type->kind != PGDBM__TYPE_TEXT)
        return encode_parsed(type, param->value.text, bytes, out);
    put_bytes(out, param->value.text, bytes);
    return NULL;
}

static const char *encode_bytes(const pgdbm_param *param, uint32_t type, struct pgdbm__buffer *out)
{
    if (type != PGDBM__OID_BYTEA)
        return pgdbm__param_no_fit;
    if (param->bytes > PGDBM__VALUE_BYTES)
        return "it is larger than PostgreSQL's limit of 1 GiB";
    put_bytes(out, param->value.data, param->bytes);
    return NULL;
}

static const char *encode_bits(const pgdbm_bits *bits, struct pgdbm__buffer *out)
{
    size_t bytes = bits->count / 8 + (bits->count % 8 != 0);
    if (bits->count > INT32_MAX - 7)
        return "it has more bits than PostgreSQL holds";
    pgdbm__wire_int32(out, (int32_t)(bytes + 4));
    pgdbm__wire_int32(out, (int32_t)bits->count);
    pgdbm__buffer_append(out, bits->data, bytes);
    if (bits->count % 8 != 0 && !out->failed) /* what is behind the last bit must be zero */
        out->data[out->length - 1] &= (char)(0xff00 >> bits->count % 8);
    return NULL;
}

static const char *encode_inet(const pgdbm_inet *inet, uint32_t type, struct pgdbm__buffer *out)
{
    if ((inet->family != 4 && inet->family != 6) || inet->bits > (inet->family == 4 ? 32 : 128))
        return "it is no address: family must be 4 or 6, bits at most 32 or 128";
    size_t begin = open_item(out);
    pgdbm__inet_append(inet, type == PGDBM__OID_CIDR, out);
    return close_item(out, begin);
}

/* A C type of <pgdbm/types.h>. */
static const char *encode_by_address(const pgdbm_param *param, uint32_t type, struct pgdbm__buffer *out)
{
    const void *data = param->value.data;
    if (param->kind == PGDBM_PARAM_DECIMAL && type == PGDBM__OID_NUMERIC)
        return put_decimal(out, data);
    if (type == 0 || (type != kinds[param->kind].types[0] && type != kinds[param->kind].types[1]))
        return pgdbm__param_no_fit; /* 0 is no type, whatever a server says, and fills what is left of a row above */
    switch (param->kind) {
    case PGDBM_PARAM_TIMESTAMP:
    case PGDBM_PARAM_TIME:
        pgdbm__wire_int32(out, 8);
        put_uint64(out, *(const uint64_t *)data); /* their only member */
        return NULL;
    case PGDBM_PARAM_DATE:
        pgdbm__wire_int32(out, 4);
        pgdbm__wire_int32(out, ((const pgdbm_date *)data)->days);
        return NULL;
    case PGDBM_PARAM_TIMETZ: /* PostgreSQL counts west */
        pgdbm__wire_int32(out, 12);
        put_uint64(out, (uint64_t)((const pgdbm_timetz *)data)->us);
        pgdbm__wire_int32(out, (int32_t)(0 - (uint32_t)((const pgdbm_timetz *)data)->east_s));
        return NULL;
    case PGDBM_PARAM_INTERVAL:
        pgdbm__wire_int32(out, 16);
        put_uint64(out, (uint64_t)((const pgdbm_interval *)data)->us);
        pgdbm__wire_int32(out, ((const pgdbm_interval *)data)->days);
        pgdbm__wire_int32(out, ((const pgdbm_interval *)data)->months);
        return NULL;
    case PGDBM_PARAM_UUID:
        put_bytes(out, data, sizeof(pgdbm_uuid));
        return NULL;
    case PGDBM_PARAM_MACADDR:
        put_bytes(out, data, sizeof(pgdbm_macaddr));
        return NULL;
    case PGDBM_PARAM_INET:
        return encode_inet(data, type, out);
    default:
        return encode_bits(data, out);
    }
}

const char *pgdbm__param_binary(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    const struct pgdbm__type *base = pgdbm__type_base(type);
    switch (param->kind) {
    case PGDBM_PARAM_NULL:
        pgdbm__wire_int32(out, -1);
        return NULL;
    case PGDBM_PARAM_INT64:
        return encode_integer(param->value.int64, base->oid, out);
    case PGDBM_PARAM_TEXT:
        return encode_text(param, base, out);
    case PGDBM_PARAM_UINT64:
        return encode_unsigned(param->value.uint64, base->oid, out);
    case PGDBM_PARAM_DOUBLE:
        return encode_double(param->value.float64, base, out);
    case PGDBM_PARAM_BYTES:
        return encode_bytes(param, base->oid, out);
    case PGDBM_PARAM_BOOL:
        if (base->oid != PGDBM__OID_BOOL)
            return pgdbm__param_no_fit;
        put_bytes(out, param->value.boolean ? "\1" : "\0", 1);
        return NULL;
    default:
        break;
    }
    if (!is_kind(param->kind))
        return pgdbm__param_no_fit;
    if (param->kind < PGDBM_PARAM_RANGE)
        return encode_by_address(param, base->oid, out);
    size_t begin = open_item(out);
    const char *reason = pgdbm__composed_binary(param, base, out);
    return reason != NULL ? reason : close_item(out, begin);
}

const char *pgdbm__param_text(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    const struct pgdbm__type *base = pgdbm__type_base(type);
    if (param->kind == PGDBM_PARAM_TEXT) {
        size_t bytes = pgdbm__param_text_bytes(param);
        const char *reason = check_text(param, bytes);
        if (reason == NULL)
            pgdbm__buffer_append(out, param->value.text, bytes);
        return reason;
    }
    if (param->kind >= PGDBM_PARAM_RANGE && is_kind(param->kind))
        return pgdbm__composed_text(param, base, out);
    struct pgdbm__buffer binary = {0};
    const char *reason = base->print != NULL ? pgdbm__param_binary(param, base, &binary) : pgdbm__param_no_fit;
    if (reason == NULL && !binary.failed && !base->print(base, binary.data + 4, binary.length - 4, out))
        reason = "its value is out of range";
    out->failed = out->failed || binary.failed;
    pgdbm__buffer_free(&binary);
    return reason;
}

/* The reasons that are a range, or what is to be done, have a message of their own. */
static pgdbm_status refuse(const pgdbm_param *param, const struct pgdbm__type *type, size_t number, const char *reason,
                           pgdbm_error *err)
{
    if (reason == pgdbm__param_no_fit || reason == pgdbm__param_unparsed) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu is %s, the statement wants %s", number,
                    pgdbm__param_kind_name(param->kind), type->name);
        pgdbm__error_hint(err, "pass a value of that type, pass it as text, or cast in the statement ($%zu::...)",
                          number);
    } else if (param->kind == PGDBM_PARAM_TEXT || param->kind == PGDBM_PARAM_BYTES) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu cannot be sent: %s", number, reason);
        pgdbm__error_hint(err, "use bytea and pgdbm_bytes for binary data; split what is too large");
    } else {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu is out of range for %s (%s)", number, type->name, reason);
        pgdbm__error_hint(err, "check the value before it is stored, or widen the column");
    }
    return PGDBM_ERR_TYPE;
}

/* Text is sent as it is, for the server to parse; and so is what has such a text inside that this side cannot parse. */
pgdbm_status pgdbm__param_encode(const pgdbm_param *param, const struct pgdbm__type *type, size_t number,
                                 struct pgdbm__buffer *out, int16_t *format, pgdbm_error *err)
{
    size_t mark = out->length;
    bool text = param->kind == PGDBM_PARAM_TEXT && pgdbm__type_base(type)->kind != PGDBM__TYPE_TEXT;
    const char *reason = NULL;
    *format = 1;
    if (!text)
        reason = pgdbm__param_binary(param, type, out);
    if (text || (reason == pgdbm__param_unparsed && param->kind >= PGDBM_PARAM_RANGE)) {
        out->length = mark;
        *format = 0;
        size_t begin = open_item(out);
        reason = pgdbm__param_text(param, type, out);
        reason = reason != NULL ? reason : close_item(out, begin);
    }
    return reason != NULL ? refuse(param, type, number, reason, err) : PGDBM_OK;
}

pgdbm_param pgdbm__param_of(pgdbm_field_kind kind, const void *value)
{
    switch (kind) {
    case PGDBM_BOOL:
        return pgdbm_param_bool(*(const bool *)value);
    case PGDBM_INT16:
        return pgdbm_param_int64(*(const int16_t *)value);
    case PGDBM_INT32:
        return pgdbm_param_int64(*(const int32_t *)value);
    case PGDBM_INT64:
        return pgdbm_param_int64(*(const int64_t *)value);
    case PGDBM_UINT32:
        return pgdbm_param_int64(*(const uint32_t *)value);
    case PGDBM_FLOAT:
        return pgdbm_param_double((double)*(const float *)value);
    case PGDBM_DOUBLE:
        return pgdbm_param_double(*(const double *)value);
    case PGDBM_TEXT:
        return pgdbm_param_text(*(const char *const *)value);
    case PGDBM_BYTES:
        return pgdbm_bytes(((const pgdbm_blob *)value)->data, ((const pgdbm_blob *)value)->bytes);
    default:
        return pgdbm_param_counted((pgdbm_param_kind)((int)PGDBM_PARAM_TIMESTAMP + (int)kind - (int)PGDBM_TIMESTAMP),
                                   value, 1);
    }
}
