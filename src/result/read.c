/* SPDX-License-Identifier: MIT */
/* Reading results: any number of threads, each value checked against its column's type and range. */
#include "result/result.h"

#include "base/error.h"
#include "result/text.h"
#include "types/oid.h"
#include "types/value.h"

#include <stdio.h>
#include <string.h>

size_t pgdbm_result_rows(const pgdbm_result *result)
{
    return result != NULL ? result->n_rows : 0;
}

size_t pgdbm_result_columns(const pgdbm_result *result)
{
    return result != NULL && result->description != NULL ? result->description->n_columns : 0;
}

int64_t pgdbm_result_affected(const pgdbm_result *result)
{
    return result != NULL ? result->affected : 0;
}

const char *pgdbm_result_column_name(const pgdbm_result *result, size_t column)
{
    return column < pgdbm_result_columns(result) ? result->description->columns[column].name : NULL;
}

uint32_t pgdbm_result_column_type(const pgdbm_result *result, size_t column)
{
    return column < pgdbm_result_columns(result) ? result->description->columns[column].type : 0;
}

int pgdbm_result_column(const pgdbm_result *result, const char *name)
{
    size_t n_columns = pgdbm_result_columns(result);
    for (size_t i = 0; name != NULL && i < n_columns; i++)
        if (strcmp(result->description->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

pgdbm_status pgdbm__value_refuse(const struct pgdbm__value *value, const char *wanted, const char *why,
                                 pgdbm_error *err)
{
    const struct pgdbm__type *type = value->column->info;
    char scratch[32];
    const char *name = type->name;
    if (type == &pgdbm__type_unknown) {
        snprintf(scratch, sizeof scratch, "type %lu", (unsigned long)value->column->type);
        name = scratch;
    }
    pgdbm__fail(err, PGDBM_ERR_TYPE, "column \"%s\" (%s) cannot be read as %s: %s", value->column->name, name, wanted,
                why);
    pgdbm__error_hint(err, "read it with the accessor of its type, or cast it in the statement");
    pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    return PGDBM_ERR_TYPE;
}

const char *pgdbm__value_malformed(const pgdbm_result *result)
{
    struct pgdbm__catalog *catalog = result->description->catalog;
    pgdbm__catalog_forget(catalog, result->description->generation);
    return catalog != NULL ? "the type has been changed; run the statement again"
                           : "the server sent a value that is none of its type";
}

pgdbm_status pgdbm__value_find(const pgdbm_result *result, size_t row, size_t column, const void *out,
                               struct pgdbm__value *value, pgdbm_error *err)
{
    if (result == NULL || out == NULL) {
        pgdbm__fail_null(err, "reading a result", result == NULL ? "result" : "value");
        return PGDBM_ERR_ARGUMENT;
    }
    if (result->structs != NULL) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "the result's rows are structs");
        pgdbm__error_hint(err, "read them with pgdbm_result_structs, or fetch rows with pgdbm_fetch_all");
        return PGDBM_ERR_ARGUMENT;
    }
    if (row >= result->n_rows) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "there is no row %zu in a result of %zu", row, result->n_rows);
        return PGDBM_ERR_ARGUMENT;
    }
    if (column >= result->description->n_columns) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "there is no column %zu in a result of %zu", column,
                    result->description->n_columns);
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
        return PGDBM_ERR_TYPE;
    }
    const struct pgdbm__row *found = result->rows != NULL ? &result->rows[row] : &result->one;
    value->column = &result->description->columns[column];
    value->data = found->base + found->cells[column].offset;
    value->length = found->cells[column].length;
    return PGDBM_OK;
}

pgdbm_status pgdbm_is_null_at(const pgdbm_result *result, size_t row, size_t column, bool *value, pgdbm_error *err)
{
    struct pgdbm__value found;
    pgdbm_status status = pgdbm__value_find(result, row, column, value, &found, err);
    if (status == PGDBM_OK)
        *value = found.length < 0;
    return status;
}

/* What cannot be NULL and must come in binary. */
static pgdbm_status get(const pgdbm_result *result, size_t row, size_t column, pgdbm_field_kind kind, void *value,
                        pgdbm_error *err)
{
    struct pgdbm__value found;
    pgdbm_status status = pgdbm__value_find(result, row, column, value, &found, err);
    if (status != PGDBM_OK)
        return status;
    const char *reason = "the types do not go together";
    if (found.length < 0)
        reason = "it is NULL (ask pgdbm_is_null first)";
    else if (found.column->format == 1)
        reason = pgdbm__value_read(found.column->info, found.data, (size_t)found.length, kind, value);
    return reason != NULL ? pgdbm__value_refuse(&found, pgdbm__kind_name(kind), reason, err) : PGDBM_OK;
}

#define ACCESSOR(name, type, kind)                                                                                     \
    pgdbm_status pgdbm_get_##name##_at(const pgdbm_result *result, size_t row, size_t column, type *value,             \
                                       pgdbm_error *err)                                                               \
    {                                                                                                                  \
        return get(result, row, column, kind, value, err);                                                             \
    }

ACCESSOR(bool, bool, PGDBM_BOOL)
ACCESSOR(int16, int16_t, PGDBM_INT16)
ACCESSOR(int32, int32_t, PGDBM_INT32)
ACCESSOR(int64, int64_t, PGDBM_INT64)
ACCESSOR(float, float, PGDBM_FLOAT)
ACCESSOR(double, double, PGDBM_DOUBLE)
ACCESSOR(timestamp, pgdbm_timestamp, PGDBM_TIMESTAMP)
ACCESSOR(date, pgdbm_date, PGDBM_DATE)
ACCESSOR(time, pgdbm_time, PGDBM_TIME)
ACCESSOR(timetz, pgdbm_timetz, PGDBM_TIMETZ)
ACCESSOR(interval, pgdbm_interval, PGDBM_INTERVAL)
ACCESSOR(decimal, pgdbm_decimal, PGDBM_DECIMAL)
ACCESSOR(uuid, pgdbm_uuid, PGDBM_UUID)
ACCESSOR(inet, pgdbm_inet, PGDBM_INET)
ACCESSOR(macaddr, pgdbm_macaddr, PGDBM_MACADDR)
ACCESSOR(bits, pgdbm_bits, PGDBM_BITS)

pgdbm_status pgdbm_get_text_at(const pgdbm_result *result, size_t row, size_t column, const char **value,
                               pgdbm_error *err)
{
    struct pgdbm__value found;
    pgdbm_status status = pgdbm__value_find(result, row, column, value, &found, err);
    if (status != PGDBM_OK)
        return status;
    const struct pgdbm__type *type = found.column->info;
    const char *text = NULL;
    if (found.length < 0)
        *value = NULL;
    else if (found.column->format == 0)
        *value = found.data;
    else if (pgdbm__type_base(type)->oid == PGDBM__OID_BYTEA)
        status = pgdbm__value_refuse(&found, "text", "its bytes are not text (use pgdbm_get_bytes)", err);
    else if (pgdbm__value_read(type, found.data, (size_t)found.length, PGDBM_TEXT, &text) == NULL)
        *value = text;
    else
        status = pgdbm__text_make(result, row, column, &found, value, err);
    return status;
}

pgdbm_status pgdbm_get_bytes_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_blob *value,
                                pgdbm_error *err)
{
    struct pgdbm__value found;
    pgdbm_status status = pgdbm__value_find(result, row, column, value, &found, err);
    if (status != PGDBM_OK)
        return status;
    const char *reason = NULL;
    if (found.length < 0)
        *value = (pgdbm_blob){NULL, 0};
    else if (found.column->format == 0)
        *value = (pgdbm_blob){found.data, (size_t)found.length};
    else
        reason = pgdbm__value_read(found.column->info, found.data, (size_t)found.length, PGDBM_BYTES, value);
    return reason != NULL ? pgdbm__value_refuse(&found, "bytes", reason, err) : PGDBM_OK;
}

static pgdbm_status find_column(const pgdbm_result *result, const char *name, size_t *column, pgdbm_error *err)
{
    if (result == NULL || name == NULL)
        return pgdbm__fail_null(err, "reading a result", result == NULL ? "result" : "column");
    int number = pgdbm_result_column(result, name);
    if (number < 0) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "there is no column \"%s\" in the result", name);
        pgdbm__error_hint(err,
                          "columns are named as in the statement's select list; give an expression a name with AS");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
        return PGDBM_ERR_TYPE;
    }
    *column = (size_t)number;
    return PGDBM_OK;
}

#define BY_NAME(name, type)                                                                                            \
    pgdbm_status pgdbm_##name##_named(const pgdbm_result *result, size_t row, const char *column, type *value,         \
                                      pgdbm_error *err)                                                                \
    {                                                                                                                  \
        size_t number = 0;                                                                                             \
        pgdbm_status status = find_column(result, column, &number, err);                                               \
        return status == PGDBM_OK ? pgdbm_##name##_at(result, row, number, value, err) : status;                       \
    }

BY_NAME(is_null, bool)
BY_NAME(get_bool, bool)
BY_NAME(get_int16, int16_t)
BY_NAME(get_int32, int32_t)
BY_NAME(get_int64, int64_t)
BY_NAME(get_float, float)
BY_NAME(get_double, double)
BY_NAME(get_text, const char *)
BY_NAME(get_bytes, pgdbm_blob)
BY_NAME(get_timestamp, pgdbm_timestamp)
BY_NAME(get_date, pgdbm_date)
BY_NAME(get_time, pgdbm_time)
BY_NAME(get_timetz, pgdbm_timetz)
BY_NAME(get_interval, pgdbm_interval)
BY_NAME(get_decimal, pgdbm_decimal)
BY_NAME(get_uuid, pgdbm_uuid)
BY_NAME(get_inet, pgdbm_inet)
BY_NAME(get_macaddr, pgdbm_macaddr)
BY_NAME(get_bits, pgdbm_bits)
BY_NAME(get_array, pgdbm_result *)
BY_NAME(get_record, pgdbm_result *)
BY_NAME(get_ranges, pgdbm_result *)
BY_NAME(get_hstore, pgdbm_result *)
