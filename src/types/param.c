/* SPDX-License-Identifier: MIT */
/* Encoding parameters. A value that does not fit its type is refused here, before anything is sent. */
#include "types/param.h"

#include "base/error.h"
#include "types/number.h"
#include "types/oid.h"
#include "wire/encode.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

/* PostgreSQL's limit of one value. */
#define VALUE_LIMIT ((size_t)0x3fffffff)

int16_t pgdbm__result_format(uint32_t type)
{
    switch (type) {
    case PGDBM__OID_BOOL:
    case PGDBM__OID_BYTEA:
    case PGDBM__OID_INT2:
    case PGDBM__OID_INT4:
    case PGDBM__OID_INT8:
    case PGDBM__OID_OID:
    case PGDBM__OID_FLOAT4:
    case PGDBM__OID_FLOAT8:
        return 1;
    default:
        return pgdbm__type_is_text(type) ? 1 : 0;
    }
}

static pgdbm_status mismatch(size_t number, const char *given, uint32_t type, pgdbm_error *err)
{
    char scratch[32];
    pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu is %s, the statement wants %s", number, given,
                pgdbm__type_name(type, scratch));
    pgdbm__error_hint(err, "pass a value of that type, pass it as text, or cast in the statement ($%zu::...)", number);
    return PGDBM_ERR_TYPE;
}

static pgdbm_status out_of_range(size_t number, uint32_t type, const char *range, pgdbm_error *err)
{
    char scratch[32];
    pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu is out of range for %s (%s)", number,
                pgdbm__type_name(type, scratch), range);
    pgdbm__error_hint(err, "check the value before it is stored, or widen the column");
    return PGDBM_ERR_TYPE;
}

static void put_bytes(struct pgdbm__buffer *out, const void *data, size_t bytes)
{
    pgdbm__wire_int32(out, (int32_t)bytes);
    pgdbm__buffer_append(out, data, bytes);
}

static void put_uint64(struct pgdbm__buffer *out, uint64_t value)
{
    pgdbm__wire_int32(out, 8);
    pgdbm__wire_int32(out, (int32_t)(value >> 32));
    pgdbm__wire_int32(out, (int32_t)(uint32_t)value);
}

static void put_double(struct pgdbm__buffer *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_uint64(out, bits);
}

static void put_float(struct pgdbm__buffer *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    pgdbm__wire_int32(out, 4);
    pgdbm__wire_int32(out, (int32_t)bits);
}

static pgdbm_status encode_integer(int64_t value, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                   int16_t *format, pgdbm_error *err)
{
    char text[PGDBM__NUMBER_BYTES];
    *format = 1;
    switch (type) {
    case PGDBM__OID_INT4:
        if (value < INT32_MIN || value > INT32_MAX)
            return out_of_range(number, type, "-2147483648 to 2147483647", err);
        pgdbm__wire_int32(out, 4);
        pgdbm__wire_int32(out, (int32_t)value);
        return PGDBM_OK;
    case PGDBM__OID_INT8:
        put_uint64(out, (uint64_t)value);
        return PGDBM_OK;
    case PGDBM__OID_INT2:
        if (value < INT16_MIN || value > INT16_MAX)
            return out_of_range(number, type, "-32768 to 32767", err);
        pgdbm__wire_int32(out, 2);
        pgdbm__wire_int16(out, (int16_t)value);
        return PGDBM_OK;
    case PGDBM__OID_OID:
        if (value < 0 || value > UINT32_MAX)
            return out_of_range(number, type, "0 to 4294967295", err);
        pgdbm__wire_int32(out, 4);
        pgdbm__wire_int32(out, (int32_t)(uint32_t)value);
        return PGDBM_OK;
    case PGDBM__OID_FLOAT8:
        put_double(out, (double)value);
        return PGDBM_OK;
    case PGDBM__OID_FLOAT4:
        put_float(out, (float)value);
        return PGDBM_OK;
    case PGDBM__OID_BOOL:
        if (value != 0 && value != 1)
            return out_of_range(number, type, "0 and 1 only", err);
        put_bytes(out, value == 1 ? "\1" : "\0", 1);
        return PGDBM_OK;
    case PGDBM__OID_NUMERIC:
        *format = 0;
        put_bytes(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
        return PGDBM_OK;
    default:
        return mismatch(number, "an integer", type, err);
    }
}

static pgdbm_status encode_unsigned(uint64_t value, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                    int16_t *format, pgdbm_error *err)
{
    char text[PGDBM__NUMBER_BYTES];
    if (value <= INT64_MAX)
        return encode_integer((int64_t)value, type, number, out, format, err);
    *format = 0;
    if (type == PGDBM__OID_NUMERIC)
        put_bytes(out, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, value));
    else if (type == PGDBM__OID_FLOAT8) {
        *format = 1;
        put_double(out, (double)value);
    } else
        return out_of_range(number, type, "the value is above 9223372036854775807", err);
    return PGDBM_OK;
}

static pgdbm_status encode_double(double value, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                  int16_t *format, pgdbm_error *err)
{
    char text[PGDBM__NUMBER_BYTES];
    *format = 1;
    switch (type) {
    case PGDBM__OID_FLOAT8:
        put_double(out, value);
        return PGDBM_OK;
    case PGDBM__OID_FLOAT4:
        if (isfinite(value) && isinf((float)value))
            return out_of_range(number, type, "about 3.4e38 either way", err);
        put_float(out, (float)value);
        return PGDBM_OK;
    case PGDBM__OID_NUMERIC:
        *format = 0;
        put_bytes(out, text, (size_t)pgdbm__double_text(value, text));
        return PGDBM_OK;
    default:
        return mismatch(number, "a floating-point number", type, err);
    }
}

static pgdbm_status check_size(size_t bytes, size_t number, pgdbm_error *err)
{
    if (bytes <= VALUE_LIMIT)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu has %zu bytes; PostgreSQL's limit is 1 GiB", number, bytes);
    pgdbm__error_hint(err, "split the value, or keep it outside of the database");
    return PGDBM_ERR_TYPE;
}

static pgdbm_status encode_text(const pgdbm_param *param, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                int16_t *format, pgdbm_error *err)
{
    const char *text = param->value.text;
    size_t bytes = param->bytes == PGDBM_TERMINATED ? strlen(text) : param->bytes;
    pgdbm_status status = check_size(bytes, number, err);
    if (status != PGDBM_OK)
        return status;
    if (param->bytes != PGDBM_TERMINATED && bytes > 0 && memchr(text, '\0', bytes) != NULL) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu is text with a NUL byte inside, which PostgreSQL cannot store",
                    number);
        pgdbm__error_hint(err, "use bytea and pgdbm_bytes for binary data");
        return PGDBM_ERR_TYPE;
    }
    *format = pgdbm__type_is_text(type) ? 1 : 0;
    put_bytes(out, text, bytes);
    return PGDBM_OK;
}

static pgdbm_status encode_bytes(const pgdbm_param *param, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                 int16_t *format, pgdbm_error *err)
{
    if (type != PGDBM__OID_BYTEA)
        return mismatch(number, "a run of bytes", type, err);
    pgdbm_status status = check_size(param->bytes, number, err);
    *format = 1;
    if (status == PGDBM_OK)
        put_bytes(out, param->value.data, param->bytes);
    return status;
}

pgdbm_status pgdbm__param_encode(const pgdbm_param *param, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                 int16_t *format, pgdbm_error *err)
{
    switch (param->kind) {
    case PGDBM_PARAM_INT64:
        return encode_integer(param->value.int64, type, number, out, format, err);
    case PGDBM_PARAM_TEXT:
        return encode_text(param, type, number, out, format, err);
    case PGDBM_PARAM_UINT64:
        return encode_unsigned(param->value.uint64, type, number, out, format, err);
    case PGDBM_PARAM_DOUBLE:
        return encode_double(param->value.float64, type, number, out, format, err);
    case PGDBM_PARAM_BYTES:
        return encode_bytes(param, type, number, out, format, err);
    case PGDBM_PARAM_BOOL:
        *format = 1;
        if (type != PGDBM__OID_BOOL)
            return mismatch(number, "a bool", type, err);
        put_bytes(out, param->value.boolean ? "\1" : "\0", 1);
        return PGDBM_OK;
    case PGDBM_PARAM_NULL:
        *format = 0;
        pgdbm__wire_int32(out, -1);
        return PGDBM_OK;
    }
    return mismatch(number, "of no known kind", type, err);
}
