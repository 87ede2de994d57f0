/* SPDX-License-Identifier: MIT */
/* Parameters of a statement: `pgdbm_args("alice@example.com", 42, true, 3.5, pgdbm_null, pgdbm_bytes(p, n))`.
 *
 * The kind of each value is picked at compile time (_Generic); its PostgreSQL type is what the server says the
 * parameter is, and the value is converted to that or refused before anything is sent:
 *
 * | C value               | goes into                                                                           |
 * |-----------------------|-------------------------------------------------------------------------------------|
 * | integers              | int2, int4, int8, oid (range checked), float4, float8, numeric, bool (0 and 1 only) |
 * | bool                  | bool                                                                                |
 * | float, double         | float4, float8, numeric                                                             |
 * | const char *          | every type: a text as it is, anything else is parsed by the server ('2026-01-31')   |
 * | pgdbm_text(p, n)      | the same, with a length; a NUL byte inside is refused                               |
 * | pgdbm_bytes(p, n)     | bytea                                                                               |
 * | pgdbm_null, NULL text | NULL of any type                                                                    |
 * | &timestamp, &uuid, .. | the type of that name: a C type of <pgdbm/types.h>, by its address (NULL: NULL)     |
 * | pgdbm_array_of(...)   | arrays: `pgdbm_array_of(1, 2, pgdbm_null)`; of arrays, with one more dimension      |
 * | pgdbm_array(v, n)     | the same, from an array of parameters                                               |
 * | pgdbm_int64s(p, n) .. | arrays, from a C array: also _int32s, _doubles, _bools, _texts                      |
 * | pgdbm_row_of(...)     | composite types: a value for each field; also pgdbm_row(v, n)                       |
 * | &range                | ranges: a pgdbm_range by its address; multiranges: an array of them                 |
 *
 * An hstore is an array of texts: key, value, key, value. Arrays whose inner arrays differ in length are refused.
 * The values are read during the call only; the asynchronous calls copy them. */
#ifndef PGDBM_PARAMS_H
#define PGDBM_PARAMS_H

#include <pgdbm/types.h>

typedef enum pgdbm_param_kind {
    PGDBM_PARAM_NULL = 0,
    PGDBM_PARAM_BOOL,
    PGDBM_PARAM_INT64,
    PGDBM_PARAM_UINT64,
    PGDBM_PARAM_DOUBLE,
    PGDBM_PARAM_TEXT,
    PGDBM_PARAM_BYTES,
    /* By address, in the order of pgdbm_field_kind. */
    PGDBM_PARAM_TIMESTAMP,
    PGDBM_PARAM_DATE,
    PGDBM_PARAM_TIME,
    PGDBM_PARAM_TIMETZ,
    PGDBM_PARAM_INTERVAL,
    PGDBM_PARAM_DECIMAL,
    PGDBM_PARAM_UUID,
    PGDBM_PARAM_INET,
    PGDBM_PARAM_MACADDR,
    PGDBM_PARAM_BITS,
    /* Made of others. */
    PGDBM_PARAM_RANGE,
    PGDBM_PARAM_ARRAY,
    PGDBM_PARAM_ROW,
    PGDBM_PARAM_INT32S,
    PGDBM_PARAM_INT64S,
    PGDBM_PARAM_DOUBLES,
    PGDBM_PARAM_BOOLS,
    PGDBM_PARAM_TEXTS
} pgdbm_param_kind;

/* `bytes` of a text that is terminated by NUL. */
#define PGDBM_TERMINATED SIZE_MAX

typedef struct pgdbm_param {
    pgdbm_param_kind kind;
    size_t bytes; /* TEXT (or PGDBM_TERMINATED) and BYTES; of arrays and rows: how many values */
    union {
        bool boolean;
        int64_t int64;
        uint64_t uint64;
        double float64;
        const char *text;
        const void *data;
        const struct pgdbm_param *values; /* ARRAY and ROW */
    } value;
} pgdbm_param;

/* A range. A bound that is null is infinite; which ones belong to it says `bounds`, "[)" when NULL. */
typedef struct pgdbm_range {
    pgdbm_param lower;
    pgdbm_param upper;
    const char *bounds; /* "[)", "[]", "()", "(]" or "empty" */
} pgdbm_range;

/* A list of parameters, passed by value. At most 65 535 (the protocol's limit). */
typedef struct pgdbm_params {
    size_t count;
    const pgdbm_param *values;
} pgdbm_params;

static inline pgdbm_param pgdbm_param_null(void)
{
    pgdbm_param param;
    param.kind = PGDBM_PARAM_NULL;
    param.bytes = 0;
    param.value.int64 = 0;
    return param;
}

static inline pgdbm_param pgdbm_param_bool(bool value)
{
    pgdbm_param param = pgdbm_param_null();
    param.kind = PGDBM_PARAM_BOOL;
    param.value.boolean = value;
    return param;
}

static inline pgdbm_param pgdbm_param_int64(int64_t value)
{
    pgdbm_param param = pgdbm_param_null();
    param.kind = PGDBM_PARAM_INT64;
    param.value.int64 = value;
    return param;
}

static inline pgdbm_param pgdbm_param_uint64(uint64_t value)
{
    pgdbm_param param = pgdbm_param_null();
    param.kind = PGDBM_PARAM_UINT64;
    param.value.uint64 = value;
    return param;
}

static inline pgdbm_param pgdbm_param_double(double value)
{
    pgdbm_param param = pgdbm_param_null();
    param.kind = PGDBM_PARAM_DOUBLE;
    param.value.float64 = value;
    return param;
}

/* Text of a known length. A NULL pointer is SQL NULL. */
static inline pgdbm_param pgdbm_text(const char *text, size_t bytes)
{
    pgdbm_param param = pgdbm_param_null();
    if (text != NULL) {
        param.kind = PGDBM_PARAM_TEXT;
        param.bytes = bytes;
        param.value.text = text;
    }
    return param;
}

/* Text that ends with NUL. A NULL pointer is SQL NULL. */
static inline pgdbm_param pgdbm_param_text(const char *text)
{
    return pgdbm_text(text, PGDBM_TERMINATED);
}

/* Bytes for a bytea. A NULL pointer is SQL NULL; zero bytes behind a pointer are an empty bytea. */
static inline pgdbm_param pgdbm_bytes(const void *data, size_t bytes)
{
    pgdbm_param param = pgdbm_param_null();
    if (data != NULL) {
        param.kind = PGDBM_PARAM_BYTES;
        param.bytes = bytes;
        param.value.data = data;
    }
    return param;
}

static inline pgdbm_param pgdbm_param_counted(pgdbm_param_kind kind, const void *data, size_t count)
{
    pgdbm_param param = pgdbm_param_null();
    if (data != NULL || count == 0) {
        param.kind = kind;
        param.bytes = count;
        param.value.data = data;
    }
    return param;
}

/* An array, and a row of a composite type. The values must stay as long as the parameter is used. A NULL pointer with a
 * count is SQL NULL; a count of 0 is an empty array. */
static inline pgdbm_param pgdbm_array(const pgdbm_param *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_ARRAY, values, count);
}

static inline pgdbm_param pgdbm_row(const pgdbm_param *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_ROW, values, count);
}

/* Arrays without NULLs, from C arrays: `... WHERE id = ANY($1)`. Of texts a NULL pointer is a NULL. */
static inline pgdbm_param pgdbm_int32s(const int32_t *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_INT32S, values, count);
}

static inline pgdbm_param pgdbm_int64s(const int64_t *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_INT64S, values, count);
}

static inline pgdbm_param pgdbm_doubles(const double *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_DOUBLES, values, count);
}

static inline pgdbm_param pgdbm_bools(const bool *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_BOOLS, values, count);
}

static inline pgdbm_param pgdbm_texts(const char *const *values, size_t count)
{
    return pgdbm_param_counted(PGDBM_PARAM_TEXTS, values, count);
}

/* The C types of <pgdbm/types.h>, by address; NULL is SQL NULL. */
#define PGDBM_PARAM_BY_ADDRESS(name, kind)                                                                             \
    static inline pgdbm_param pgdbm_param_##name(const pgdbm_##name *value)                                            \
    {                                                                                                                  \
        return value != NULL ? pgdbm_param_counted(kind, value, 1) : pgdbm_param_null();                               \
    }
PGDBM_PARAM_BY_ADDRESS(timestamp, PGDBM_PARAM_TIMESTAMP)
PGDBM_PARAM_BY_ADDRESS(date, PGDBM_PARAM_DATE)
PGDBM_PARAM_BY_ADDRESS(time, PGDBM_PARAM_TIME)
PGDBM_PARAM_BY_ADDRESS(timetz, PGDBM_PARAM_TIMETZ)
PGDBM_PARAM_BY_ADDRESS(interval, PGDBM_PARAM_INTERVAL)
PGDBM_PARAM_BY_ADDRESS(decimal, PGDBM_PARAM_DECIMAL)
PGDBM_PARAM_BY_ADDRESS(uuid, PGDBM_PARAM_UUID)
PGDBM_PARAM_BY_ADDRESS(inet, PGDBM_PARAM_INET)
PGDBM_PARAM_BY_ADDRESS(macaddr, PGDBM_PARAM_MACADDR)
PGDBM_PARAM_BY_ADDRESS(bits, PGDBM_PARAM_BITS)
PGDBM_PARAM_BY_ADDRESS(range, PGDBM_PARAM_RANGE)
#undef PGDBM_PARAM_BY_ADDRESS

static inline pgdbm_param pgdbm_param_same(pgdbm_param param)
{
    return param;
}

/* No parameters. */
static inline pgdbm_params pgdbm_params_none(void)
{
    pgdbm_params params;
    params.count = 0;
    params.values = NULL;
    return params;
}

/* Parameters from an array that the caller built: for lists of unknown or large length. */
static inline pgdbm_params pgdbm_params_array(const pgdbm_param *values, size_t count)
{
    pgdbm_params params;
    params.count = count;
    params.values = values;
    return params;
}

#define pgdbm_null (pgdbm_param_null())
#define pgdbm_no_args (pgdbm_params_none())

#ifndef __cplusplus

#define PGDBM_PARAM(x)                                                                                                 \
    _Generic((x),                                                                                                      \
        _Bool: pgdbm_param_bool,                                                                                       \
        char: pgdbm_param_int64,                                                                                       \
        signed char: pgdbm_param_int64,                                                                                \
        short: pgdbm_param_int64,                                                                                      \
        int: pgdbm_param_int64,                                                                                        \
        long: pgdbm_param_int64,                                                                                       \
        long long: pgdbm_param_int64,                                                                                  \
        unsigned char: pgdbm_param_uint64,                                                                             \
        unsigned short: pgdbm_param_uint64,                                                                            \
        unsigned int: pgdbm_param_uint64,                                                                              \
        unsigned long: pgdbm_param_uint64,                                                                             \
        unsigned long long: pgdbm_param_uint64,                                                                        \
        float: pgdbm_param_double,                                                                                     \
        double: pgdbm_param_double,                                                                                    \
        char *: pgdbm_param_text,                                                                                      \
        const char *: pgdbm_param_text,                                                                                \
        pgdbm_timestamp *: pgdbm_param_timestamp,                                                                      \
        const pgdbm_timestamp *: pgdbm_param_timestamp,                                                                \
        pgdbm_date *: pgdbm_param_date,                                                                                \
        const pgdbm_date *: pgdbm_param_date,                                                                          \
        pgdbm_time *: pgdbm_param_time,                                                                                \
        const pgdbm_time *: pgdbm_param_time,                                                                          \
        pgdbm_timetz *: pgdbm_param_timetz,                                                                            \
        const pgdbm_timetz *: pgdbm_param_timetz,                                                                      \
        pgdbm_interval *: pgdbm_param_interval,                                                                        \
        const pgdbm_interval *: pgdbm_param_interval,                                                                  \
        pgdbm_decimal *: pgdbm_param_decimal,                                                                          \
        const pgdbm_decimal *: pgdbm_param_decimal,                                                                    \
        pgdbm_uuid *: pgdbm_param_uuid,                                                                                \
        const pgdbm_uuid *: pgdbm_param_uuid,                                                                          \
        pgdbm_inet *: pgdbm_param_inet,                                                                                \
        const pgdbm_inet *: pgdbm_param_inet,                                                                          \
        pgdbm_macaddr *: pgdbm_param_macaddr,                                                                          \
        const pgdbm_macaddr *: pgdbm_param_macaddr,                                                                    \
        pgdbm_bits *: pgdbm_param_bits,                                                                                \
        const pgdbm_bits *: pgdbm_param_bits,                                                                          \
        pgdbm_range *: pgdbm_param_range,                                                                              \
        const pgdbm_range *: pgdbm_param_range,                                                                        \
        pgdbm_param: pgdbm_param_same)(x)

/* One to 32 parameters; more go through pgdbm_params_array. The array lives as long as the enclosing block. */
#define pgdbm_args(...) ((pgdbm_params){PGDBM_COUNT(__VA_ARGS__), (const pgdbm_param[]){PGDBM_MAP(__VA_ARGS__)}})

/* `pgdbm_array_of(1, 2, 3)`, `pgdbm_row_of("Main Street", 5)`: 1 to 32 values, which live as long as the enclosing block. */
#define pgdbm_array_of(...) (pgdbm_array((const pgdbm_param[]){PGDBM_MAP(__VA_ARGS__)}, PGDBM_COUNT(__VA_ARGS__)))
#define pgdbm_row_of(...) (pgdbm_row((const pgdbm_param[]){PGDBM_MAP(__VA_ARGS__)}, PGDBM_COUNT(__VA_ARGS__)))

/* Counting and mapping over the arguments, by hand because C has no other way. */
/* clang-format off */
#define PGDBM_COUNT(...) PGDBM_PICK(__VA_ARGS__, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define PGDBM_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, _17, _18, _19, _20, _21, _22, _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, count, ...) count
#define PGDBM_JOIN(a, b) PGDBM_JOIN_(a, b)
#define PGDBM_JOIN_(a, b) a##b
#define PGDBM_MAP(...) PGDBM_JOIN(PGDBM_MAP_, PGDBM_COUNT(__VA_ARGS__))(__VA_ARGS__)
#define PGDBM_MAP_1(x) PGDBM_PARAM(x)
#define PGDBM_MAP_2(x, ...) PGDBM_PARAM(x), PGDBM_MAP_1(__VA_ARGS__)
#define PGDBM_MAP_3(x, ...) PGDBM_PARAM(x), PGDBM_MAP_2(__VA_ARGS__)
#define PGDBM_MAP_4(x, ...) PGDBM_PARAM(x), PGDBM_MAP_3(__VA_ARGS__)
#define PGDBM_MAP_5(x, ...) PGDBM_PARAM(x), PGDBM_MAP_4(__VA_ARGS__)
#define PGDBM_MAP_6(x, ...) PGDBM_PARAM(x), PGDBM_MAP_5(__VA_ARGS__)
#define PGDBM_MAP_7(x, ...) PGDBM_PARAM(x), PGDBM_MAP_6(__VA_ARGS__)
#define PGDBM_MAP_8(x, ...) PGDBM_PARAM(x), PGDBM_MAP_7(__VA_ARGS__)
#define PGDBM_MAP_9(x, ...) PGDBM_PARAM(x), PGDBM_MAP_8(__VA_ARGS__)
#define PGDBM_MAP_10(x, ...) PGDBM_PARAM(x), PGDBM_MAP_9(__VA_ARGS__)
#define PGDBM_MAP_11(x, ...) PGDBM_PARAM(x), PGDBM_MAP_10(__VA_ARGS__)
#define PGDBM_MAP_12(x, ...) PGDBM_PARAM(x), PGDBM_MAP_11(__VA_ARGS__)
#define PGDBM_MAP_13(x, ...) PGDBM_PARAM(x), PGDBM_MAP_12(__VA_ARGS__)
#define PGDBM_MAP_14(x, ...) PGDBM_PARAM(x), PGDBM_MAP_13(__VA_ARGS__)
#define PGDBM_MAP_15(x, ...) PGDBM_PARAM(x), PGDBM_MAP_14(__VA_ARGS__)
#define PGDBM_MAP_16(x, ...) PGDBM_PARAM(x), PGDBM_MAP_15(__VA_ARGS__)
#define PGDBM_MAP_17(x, ...) PGDBM_PARAM(x), PGDBM_MAP_16(__VA_ARGS__)
#define PGDBM_MAP_18(x, ...) PGDBM_PARAM(x), PGDBM_MAP_17(__VA_ARGS__)
#define PGDBM_MAP_19(x, ...) PGDBM_PARAM(x), PGDBM_MAP_18(__VA_ARGS__)
#define PGDBM_MAP_20(x, ...) PGDBM_PARAM(x), PGDBM_MAP_19(__VA_ARGS__)
#define PGDBM_MAP_21(x, ...) PGDBM_PARAM(x), PGDBM_MAP_20(__VA_ARGS__)
#define PGDBM_MAP_22(x, ...) PGDBM_PARAM(x), PGDBM_MAP_21(__VA_ARGS__)
#define PGDBM_MAP_23(x, ...) PGDBM_PARAM(x), PGDBM_MAP_22(__VA_ARGS__)
#define PGDBM_MAP_24(x, ...) PGDBM_PARAM(x), PGDBM_MAP_23(__VA_ARGS__)
#define PGDBM_MAP_25(x, ...) PGDBM_PARAM(x), PGDBM_MAP_24(__VA_ARGS__)
#define PGDBM_MAP_26(x, ...) PGDBM_PARAM(x), PGDBM_MAP_25(__VA_ARGS__)
#define PGDBM_MAP_27(x, ...) PGDBM_PARAM(x), PGDBM_MAP_26(__VA_ARGS__)
#define PGDBM_MAP_28(x, ...) PGDBM_PARAM(x), PGDBM_MAP_27(__VA_ARGS__)
#define PGDBM_MAP_29(x, ...) PGDBM_PARAM(x), PGDBM_MAP_28(__VA_ARGS__)
#define PGDBM_MAP_30(x, ...) PGDBM_PARAM(x), PGDBM_MAP_29(__VA_ARGS__)
#define PGDBM_MAP_31(x, ...) PGDBM_PARAM(x), PGDBM_MAP_30(__VA_ARGS__)
#define PGDBM_MAP_32(x, ...) PGDBM_PARAM(x), PGDBM_MAP_31(__VA_ARGS__)
/* clang-format on */

#endif /* __cplusplus */
#endif
