/* SPDX-License-Identifier: MIT */
/* Rows that came back. A result is immutable, owned by whoever received it, released with pgdbm_result_free, and may be
 * read by several threads at once.
 *
 * Values are read by column number or by column name; the accessor is chosen by the argument's type:
 *
 *     int64_t id;
 *     const char *email;
 *     pgdbm_get_int64(result, 0, "id", &id, &err);
 *     pgdbm_get_text(result, 0, 1, &email, &err);
 *
 * | accessor                        | reads                                                                       |
 * |---------------------------------|-----------------------------------------------------------------------------|
 * | pgdbm_get_bool                  | bool                                                                        |
 * | pgdbm_get_int16, _int32, _int64 | int2, int4, int8, oid: any of them that holds the value, else ERR_TYPE      |
 * | pgdbm_get_float, _double        | float4, float8 and the integers; _float refuses a float8 beyond its range   |
 * | pgdbm_get_text                  | every type but bytea, as PostgreSQL prints it (a bool is `t` or `f`); ends  |
 * |                                 | with NUL; a NULL pointer for SQL NULL                                       |
 * | pgdbm_get_bytes                 | bytea, and the bytes of texts, enums, json, jsonb; data NULL for SQL NULL   |
 * | pgdbm_get_timestamp             | timestamp and timestamptz, as the C type of <pgdbm/types.h>; and so on:     |
 * | _date, _time, _timetz, _interval, _uuid, _inet, _macaddr, _bits | the types of these names (_inet also cidr,  |
 * |                                 | _bits also varbit; what pgdbm_bits points to belongs to the result)         |
 * | pgdbm_get_decimal               | numeric that fits into 128 bits, and the integers                           |
 * | pgdbm_get_array                 | arrays: a result with a row for each element, in its column "element"       |
 * | pgdbm_get_record                | composite types: a result with one row and a column for each field          |
 * | pgdbm_get_ranges                | ranges and multiranges: a result with a row for each range that is not      |
 * |                                 | empty: lower, upper (NULL: infinite), lower_inclusive, upper_inclusive      |
 * | pgdbm_get_hstore                | hstore: a result with a row for each pair: key, value                       |
 *
 * A domain is read as what it is made of. docs/types.md has all types.
 *
 * A result made of a value is yours to release; it lives by itself. The text of a timestamptz is in UTC, and all texts are
 * those of PostgreSQL's default settings (DateStyle ISO, IntervalStyle postgres), whatever those of the session are.
 *
 * Reading SQL NULL as anything but text or bytes is ERR_TYPE (ask pgdbm_is_null first): a silent zero is how wrong sums
 * are made. Errors of every accessor: ARGUMENT (NULL argument, no such row, rows that are structs), TYPE (no such column,
 * type or range does not fit: the message names column and types; a user's type that was altered since it was looked up:
 * the next execution knows it), NOMEM where something is made. When a name occurs twice the first column has it. */
#ifndef PGDBM_RESULT_H
#define PGDBM_RESULT_H

#include <pgdbm/error.h>
#include <pgdbm/types.h>

typedef struct pgdbm_result pgdbm_result;

PGDBM_BEGIN_DECLS

/* Releases the result and everything read from it by pointer. NULL is legal. */
PGDBM_EXPORT void pgdbm_result_free(pgdbm_result *result);

/* Keeps a result that belongs to somebody else (an outcome's): returns it, and it is then yours to release too. */
PGDBM_EXPORT pgdbm_result *pgdbm_result_keep(pgdbm_result *result);

/* How many rows and columns. 0 for NULL. */
PGDBM_EXPORT size_t pgdbm_result_rows(const pgdbm_result *result);
PGDBM_EXPORT size_t pgdbm_result_columns(const pgdbm_result *result);

/* How many rows the statement processed, from its command tag (PostgreSQL documentation 55.7, CommandComplete). */
PGDBM_EXPORT int64_t pgdbm_result_affected(const pgdbm_result *result);

/* A column's name and its type's OID. Borrowed from the result; NULL and 0 when there is no such column. */
PGDBM_EXPORT const char *pgdbm_result_column_name(const pgdbm_result *result, size_t column);
PGDBM_EXPORT uint32_t pgdbm_result_column_type(const pgdbm_result *result, size_t column);

/* The number of the column with this name, or -1. */
PGDBM_EXPORT int pgdbm_result_column(const pgdbm_result *result, const char *name);

PGDBM_EXPORT pgdbm_status pgdbm_is_null_at(const pgdbm_result *result, size_t row, size_t column, bool *value,
                                           pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_is_null_named(const pgdbm_result *result, size_t row, const char *column, bool *value,
                                              pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_bool_at(const pgdbm_result *result, size_t row, size_t column, bool *value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_bool_named(const pgdbm_result *result, size_t row, const char *column, bool *value,
                                               pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_int16_at(const pgdbm_result *result, size_t row, size_t column, int16_t *value,
                                             pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_int16_named(const pgdbm_result *result, size_t row, const char *column,
                                                int16_t *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_int32_at(const pgdbm_result *result, size_t row, size_t column, int32_t *value,
                                             pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_int32_named(const pgdbm_result *result, size_t row, const char *column,
                                                int32_t *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_int64_at(const pgdbm_result *result, size_t row, size_t column, int64_t *value,
                                             pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_int64_named(const pgdbm_result *result, size_t row, const char *column,
                                                int64_t *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_float_at(const pgdbm_result *result, size_t row, size_t column, float *value,
                                             pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_float_named(const pgdbm_result *result, size_t row, const char *column,
                                                float *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_double_at(const pgdbm_result *result, size_t row, size_t column, double *value,
                                              pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_double_named(const pgdbm_result *result, size_t row, const char *column,
                                                 double *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_text_at(const pgdbm_result *result, size_t row, size_t column, const char **value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_text_named(const pgdbm_result *result, size_t row, const char *column,
                                               const char **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_bytes_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_blob *value,
                                             pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_bytes_named(const pgdbm_result *result, size_t row, const char *column,
                                                pgdbm_blob *value, pgdbm_error *err);

PGDBM_EXPORT pgdbm_status pgdbm_get_timestamp_at(const pgdbm_result *result, size_t row, size_t column,
                                                 pgdbm_timestamp *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_timestamp_named(const pgdbm_result *result, size_t row, const char *column,
                                                    pgdbm_timestamp *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_date_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_date *value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_date_named(const pgdbm_result *result, size_t row, const char *column,
                                               pgdbm_date *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_time_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_time *value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_time_named(const pgdbm_result *result, size_t row, const char *column,
                                               pgdbm_time *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_timetz_at(const pgdbm_result *result, size_t row, size_t column,
                                              pgdbm_timetz *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_timetz_named(const pgdbm_result *result, size_t row, const char *column,
                                                 pgdbm_timetz *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_interval_at(const pgdbm_result *result, size_t row, size_t column,
                                                pgdbm_interval *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_interval_named(const pgdbm_result *result, size_t row, const char *column,
                                                   pgdbm_interval *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_decimal_at(const pgdbm_result *result, size_t row, size_t column,
                                               pgdbm_decimal *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_decimal_named(const pgdbm_result *result, size_t row, const char *column,
                                                  pgdbm_decimal *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_uuid_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_uuid *value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_uuid_named(const pgdbm_result *result, size_t row, const char *column,
                                               pgdbm_uuid *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_inet_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_inet *value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_inet_named(const pgdbm_result *result, size_t row, const char *column,
                                               pgdbm_inet *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_macaddr_at(const pgdbm_result *result, size_t row, size_t column,
                                               pgdbm_macaddr *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_macaddr_named(const pgdbm_result *result, size_t row, const char *column,
                                                  pgdbm_macaddr *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_bits_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_bits *value,
                                            pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_bits_named(const pgdbm_result *result, size_t row, const char *column,
                                               pgdbm_bits *value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_array_at(const pgdbm_result *result, size_t row, size_t column,
                                             pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_array_named(const pgdbm_result *result, size_t row, const char *column,
                                                pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_record_at(const pgdbm_result *result, size_t row, size_t column,
                                              pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_record_named(const pgdbm_result *result, size_t row, const char *column,
                                                 pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_ranges_at(const pgdbm_result *result, size_t row, size_t column,
                                              pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_ranges_named(const pgdbm_result *result, size_t row, const char *column,
                                                 pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_hstore_at(const pgdbm_result *result, size_t row, size_t column,
                                              pgdbm_result **value, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_get_hstore_named(const pgdbm_result *result, size_t row, const char *column,
                                                 pgdbm_result **value, pgdbm_error *err);

/* Of a result that pgdbm_get_array made: its number of dimensions (0: empty), and the length and first subscript of one. */
PGDBM_EXPORT size_t pgdbm_array_dimensions(const pgdbm_result *array);
PGDBM_EXPORT size_t pgdbm_array_length(const pgdbm_result *array, size_t dimension);
PGDBM_EXPORT int32_t pgdbm_array_lower_bound(const pgdbm_result *array, size_t dimension);

PGDBM_END_DECLS

#ifndef __cplusplus
/* By number when `column` is an integer, by name when it is text. */
#define PGDBM_BY_COLUMN(accessor, column)                                                                              \
    _Generic((column), char * : accessor##_named, const char * : accessor##_named, default : accessor##_at)

#define pgdbm_is_null(result, row, column, value, err)                                                                 \
    PGDBM_BY_COLUMN(pgdbm_is_null, column)((result), (row), (column), (value), (err))
#define pgdbm_get_bool(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_bool, column)((result), (row), (column), (value), (err))
#define pgdbm_get_int16(result, row, column, value, err)                                                               \
    PGDBM_BY_COLUMN(pgdbm_get_int16, column)((result), (row), (column), (value), (err))
#define pgdbm_get_int32(result, row, column, value, err)                                                               \
    PGDBM_BY_COLUMN(pgdbm_get_int32, column)((result), (row), (column), (value), (err))
#define pgdbm_get_int64(result, row, column, value, err)                                                               \
    PGDBM_BY_COLUMN(pgdbm_get_int64, column)((result), (row), (column), (value), (err))
#define pgdbm_get_float(result, row, column, value, err)                                                               \
    PGDBM_BY_COLUMN(pgdbm_get_float, column)((result), (row), (column), (value), (err))
#define pgdbm_get_double(result, row, column, value, err)                                                              \
    PGDBM_BY_COLUMN(pgdbm_get_double, column)((result), (row), (column), (value), (err))
#define pgdbm_get_text(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_text, column)((result), (row), (column), (value), (err))
#define pgdbm_get_bytes(result, row, column, value, err)                                                               \
    PGDBM_BY_COLUMN(pgdbm_get_bytes, column)((result), (row), (column), (value), (err))
#define pgdbm_get_timestamp(result, row, column, value, err)                                                           \
    PGDBM_BY_COLUMN(pgdbm_get_timestamp, column)((result), (row), (column), (value), (err))
#define pgdbm_get_date(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_date, column)((result), (row), (column), (value), (err))
#define pgdbm_get_time(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_time, column)((result), (row), (column), (value), (err))
#define pgdbm_get_timetz(result, row, column, value, err)                                                              \
    PGDBM_BY_COLUMN(pgdbm_get_timetz, column)((result), (row), (column), (value), (err))
#define pgdbm_get_interval(result, row, column, value, err)                                                            \
    PGDBM_BY_COLUMN(pgdbm_get_interval, column)((result), (row), (column), (value), (err))
#define pgdbm_get_decimal(result, row, column, value, err)                                                             \
    PGDBM_BY_COLUMN(pgdbm_get_decimal, column)((result), (row), (column), (value), (err))
#define pgdbm_get_uuid(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_uuid, column)((result), (row), (column), (value), (err))
#define pgdbm_get_inet(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_inet, column)((result), (row), (column), (value), (err))
#define pgdbm_get_macaddr(result, row, column, value, err)                                                             \
    PGDBM_BY_COLUMN(pgdbm_get_macaddr, column)((result), (row), (column), (value), (err))
#define pgdbm_get_bits(result, row, column, value, err)                                                                \
    PGDBM_BY_COLUMN(pgdbm_get_bits, column)((result), (row), (column), (value), (err))
#define pgdbm_get_array(result, row, column, value, err)                                                               \
    PGDBM_BY_COLUMN(pgdbm_get_array, column)((result), (row), (column), (value), (err))
#define pgdbm_get_record(result, row, column, value, err)                                                              \
    PGDBM_BY_COLUMN(pgdbm_get_record, column)((result), (row), (column), (value), (err))
#define pgdbm_get_ranges(result, row, column, value, err)                                                              \
    PGDBM_BY_COLUMN(pgdbm_get_ranges, column)((result), (row), (column), (value), (err))
#define pgdbm_get_hstore(result, row, column, value, err)                                                              \
    PGDBM_BY_COLUMN(pgdbm_get_hstore, column)((result), (row), (column), (value), (err))
#endif

#endif
