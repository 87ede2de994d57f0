/* SPDX-License-Identifier: MIT */
/* Reading binary values as C values. The sizes are checked: they come from outside. */
#include "types/value.h"

#include "types/number.h"
#include "types/oid.h"
#include "types/scalar.h"

#include <math.h>

/* The integers that float8 holds exactly. */
#define EXACT_DOUBLE (INT64_C(1) << 53)

static const char no_fit[] = "the types do not go together";
static const char wrong_size[] = "the server sent a value of the wrong size";
static const char out_of_range[] = "the value is out of range";

static const struct {
    const char *name;
    size_t bytes;
} kinds[] = {
    [PGDBM_BOOL] = {"bool", sizeof(bool)},
    [PGDBM_INT16] = {"int16", sizeof(int16_t)},
    [PGDBM_INT32] = {"int32", sizeof(int32_t)},
    [PGDBM_INT64] = {"int64", sizeof(int64_t)},
    [PGDBM_UINT32] = {"uint32", sizeof(uint32_t)},
    [PGDBM_FLOAT] = {"float", sizeof(float)},
    [PGDBM_DOUBLE] = {"double", sizeof(double)},
    [PGDBM_TEXT] = {"text", sizeof(const char *)},
    [PGDBM_BYTES] = {"bytes", sizeof(pgdbm_blob)},
    [PGDBM_TIMESTAMP] = {"timestamp", sizeof(pgdbm_timestamp)},
    [PGDBM_DATE] = {"date", sizeof(pgdbm_date)},
    [PGDBM_TIME] = {"time", sizeof(pgdbm_time)},
    [PGDBM_TIMETZ] = {"timetz", sizeof(pgdbm_timetz)},
    [PGDBM_INTERVAL] = {"interval", sizeof(pgdbm_interval)},
    [PGDBM_DECIMAL] = {"decimal", sizeof(pgdbm_decimal)},
    [PGDBM_UUID] = {"uuid", sizeof(pgdbm_uuid)},
    [PGDBM_INET] = {"inet", sizeof(pgdbm_inet)},
    [PGDBM_MACADDR] = {"macaddr", sizeof(pgdbm_macaddr)},
    [PGDBM_BITS] = {"bits", sizeof(pgdbm_bits)},
};

static bool is_kind(pgdbm_field_kind kind)
{
    return kind >= PGDBM_BOOL && kind <= PGDBM_BITS;
}

const char *pgdbm__kind_name(pgdbm_field_kind kind)
{
    return is_kind(kind) ? kinds[kind].name : "no known kind";
}

size_t pgdbm__kind_bytes(pgdbm_field_kind kind)
{
    return is_kind(kind) ? kinds[kind].bytes : 0;
}

static bool is_integer(uint32_t oid)
{
    return oid == PGDBM__OID_INT2 || oid == PGDBM__OID_INT4 || oid == PGDBM__OID_INT8 || oid == PGDBM__OID_OID;
}

bool pgdbm__value_fits(const struct pgdbm__type *type, pgdbm_field_kind kind)
{
    uint32_t oid = pgdbm__type_base(type)->oid;
    bool text = pgdbm__type_base(type)->kind == PGDBM__TYPE_TEXT;
    switch (kind) {
    case PGDBM_BOOL:
        return oid == PGDBM__OID_BOOL;
    case PGDBM_INT16:
    case PGDBM_INT32:
    case PGDBM_INT64:
    case PGDBM_UINT32:
        return is_integer(oid);
    case PGDBM_FLOAT:
    case PGDBM_DOUBLE:
        return is_integer(oid) || oid == PGDBM__OID_FLOAT4 || oid == PGDBM__OID_FLOAT8;
    case PGDBM_TEXT:
        return oid != PGDBM__OID_BYTEA;
    case PGDBM_BYTES:
        return oid == PGDBM__OID_BYTEA || text || oid == PGDBM__OID_JSONB;
    case PGDBM_TIMESTAMP:
        return oid == PGDBM__OID_TIMESTAMP || oid == PGDBM__OID_TIMESTAMPTZ;
    case PGDBM_DATE:
        return oid == PGDBM__OID_DATE;
    case PGDBM_TIME:
        return oid == PGDBM__OID_TIME;
    case PGDBM_TIMETZ:
        return oid == PGDBM__OID_TIMETZ;
    case PGDBM_INTERVAL:
        return oid == PGDBM__OID_INTERVAL;
    case PGDBM_DECIMAL:
        return oid == PGDBM__OID_NUMERIC || is_integer(oid);
    case PGDBM_UUID:
        return oid == PGDBM__OID_UUID;
    case PGDBM_INET:
        return oid == PGDBM__OID_INET || oid == PGDBM__OID_CIDR;
    case PGDBM_MACADDR:
        return oid == PGDBM__OID_MACADDR;
    case PGDBM_BITS:
        return oid == PGDBM__OID_BIT || oid == PGDBM__OID_VARBIT;
    }
    return false;
}

static const char *read_integer(uint32_t oid, const char *data, size_t bytes, int64_t *number)
{
    switch (oid) {
    case PGDBM__OID_INT4:
        if (bytes != 4)
            return wrong_size;
        *number = (int32_t)pgdbm__get_uint32(data);
        return NULL;
    case PGDBM__OID_INT8:
        if (bytes != 8)
            return wrong_size;
        *number = (int64_t)pgdbm__get_uint64(data);
        return NULL;
    case PGDBM__OID_INT2:
        if (bytes != 2)
            return wrong_size;
        *number = (int16_t)pgdbm__get_uint16(data);
        return NULL;
    case PGDBM__OID_OID:
        if (bytes != 4)
            return wrong_size;
        *number = pgdbm__get_uint32(data);
        return NULL;
    default:
        return no_fit;
    }
}

static const char *read_ranged(uint32_t oid, const char *data, size_t bytes, int64_t low, int64_t high, int64_t *number)
{
    const char *reason = read_integer(oid, data, bytes, number);
    return reason == NULL && (*number < low || *number > high) ? out_of_range : reason;
}

static const char *read_double(uint32_t oid, const char *data, size_t bytes, double *number)
{
    if (oid == PGDBM__OID_FLOAT8) {
        if (bytes != 8)
            return wrong_size;
        uint64_t bits = pgdbm__get_uint64(data);
        memcpy(number, &bits, sizeof *number);
        return NULL;
    }
    if (oid == PGDBM__OID_FLOAT4) {
        if (bytes != 4)
            return wrong_size;
        uint32_t bits = pgdbm__get_uint32(data);
        float single;
        memcpy(&single, &bits, sizeof single);
        *number = (double)single;
        return NULL;
    }
    int64_t integer = 0;
    const char *reason = read_integer(oid, data, bytes, &integer);
    if (reason == NULL && (integer > EXACT_DOUBLE || integer < -EXACT_DOUBLE))
        return "the integer has more digits than a double holds";
    *number = (double)integer;
    return reason;
}

/* Integers and floating-point numbers: each kind is stored in its own width. */
static const char *read_number(uint32_t oid, const char *data, size_t bytes, pgdbm_field_kind kind, void *out)
{
    const char *reason;
    int64_t integer = 0;
    double number = 0;
    switch (kind) {
    case PGDBM_INT16:
        if ((reason = read_ranged(oid, data, bytes, INT16_MIN, INT16_MAX, &integer)) == NULL)
            *(int16_t *)out = (int16_t)integer;
        return reason;
    case PGDBM_INT32:
        if ((reason = read_ranged(oid, data, bytes, INT32_MIN, INT32_MAX, &integer)) == NULL)
            *(int32_t *)out = (int32_t)integer;
        return reason;
    case PGDBM_UINT32:
        if ((reason = read_ranged(oid, data, bytes, 0, UINT32_MAX, &integer)) == NULL)
            *(uint32_t *)out = (uint32_t)integer;
        return reason;
    case PGDBM_FLOAT:
        if ((reason = read_double(oid, data, bytes, &number)) != NULL)
            return reason;
        if (isfinite(number) && isinf((float)number))
            return out_of_range;
        *(float *)out = (float)number;
        return NULL;
    case PGDBM_DOUBLE:
        return read_double(oid, data, bytes, out);
    default:
        return read_integer(oid, data, bytes, out);
    }
}

static const char *read_bits(const char *data, size_t bytes, pgdbm_bits *bits)
{
    uint32_t count = bytes >= 4 ? pgdbm__get_uint32(data) : UINT32_MAX;
    if (count > INT32_MAX || bytes - 4 != ((size_t)count + 7) / 8)
        return wrong_size;
    *bits = (pgdbm_bits){count, data + 4};
    return NULL;
}

static const char *read_decimal(uint32_t oid, const char *data, size_t bytes, pgdbm_decimal *decimal)
{
    if (oid == PGDBM__OID_NUMERIC)
        return pgdbm__decimal_read(data, bytes, decimal);
    int64_t integer = 0;
    const char *reason = read_integer(oid, data, bytes, &integer);
    *decimal = (pgdbm_decimal){.high = integer < 0 ? -1 : 0, .low = (uint64_t)integer};
    return reason;
}

/* Those whose binary form has one size. */
static const char *read_sized(const char *data, size_t bytes, pgdbm_field_kind kind, void *out)
{
    static const size_t sizes[] = {[PGDBM_BOOL] = 1,    [PGDBM_TIMESTAMP] = 8, [PGDBM_DATE] = 4,    [PGDBM_TIME] = 8,
                                   [PGDBM_TIMETZ] = 12, [PGDBM_INTERVAL] = 16, [PGDBM_MACADDR] = 6, [PGDBM_UUID] = 16};
    if (bytes != sizes[kind])
        return wrong_size;
    switch (kind) {
    case PGDBM_BOOL:
        *(bool *)out = data[0] != 0;
        return NULL;
    case PGDBM_TIMESTAMP:
    case PGDBM_TIME:
        *(int64_t *)out = (int64_t)pgdbm__get_uint64(data); /* their only member */
        return NULL;
    case PGDBM_DATE:
        ((pgdbm_date *)out)->days = (int32_t)pgdbm__get_uint32(data);
        return NULL;
    case PGDBM_TIMETZ: /* PostgreSQL counts west */
        *(pgdbm_timetz *)out =
            (pgdbm_timetz){(int64_t)pgdbm__get_uint64(data), (int32_t)(0 - pgdbm__get_uint32(data + 8))};
        return NULL;
    case PGDBM_INTERVAL:
        *(pgdbm_interval *)out =
            (pgdbm_interval){(int64_t)pgdbm__get_uint64(data), (int32_t)pgdbm__get_uint32(data + 8),
                             (int32_t)pgdbm__get_uint32(data + 12)};
        return NULL;
    default:
        memcpy(out, data, bytes);
        return NULL;
    }
}

const char *pgdbm__value_read(const struct pgdbm__type *type, const char *data, size_t bytes, pgdbm_field_kind kind,
                              void *out)
{
    uint32_t oid = pgdbm__type_base(type)->oid;
    if (!pgdbm__value_fits(type, kind))
        return no_fit;
    switch (kind) {
    case PGDBM_INT16:
    case PGDBM_INT32:
    case PGDBM_INT64:
    case PGDBM_UINT32:
    case PGDBM_FLOAT:
    case PGDBM_DOUBLE:
        return read_number(oid, data, bytes, kind, out);
    case PGDBM_TEXT:
    case PGDBM_BYTES:
        if (oid == PGDBM__OID_JSONB && bytes < 1)
            return wrong_size;
        if (oid == PGDBM__OID_JSONB) { /* its version is before it */
            data++;
            bytes--;
        } else if (kind == PGDBM_TEXT && pgdbm__type_base(type)->kind != PGDBM__TYPE_TEXT)
            return no_fit;
        if (kind == PGDBM_TEXT)
            *(const char **)out = data;
        else
            *(pgdbm_blob *)out = (pgdbm_blob){data, bytes};
        return NULL;
    case PGDBM_DECIMAL:
        return read_decimal(oid, data, bytes, out);
    case PGDBM_INET:
        return pgdbm__inet_read(data, bytes, out);
    case PGDBM_BITS:
        return read_bits(data, bytes, out);
    default:
        return read_sized(data, bytes, kind, out);
    }
}
