/* SPDX-License-Identifier: MIT */
/* Reading results: any number of threads, each value checked against its column's type and range. */
#include "result/result.h"

#include "base/alloc.h"
#include "base/error.h"
#include "types/number.h"
#include "types/oid.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The integers that float8 holds exactly. */
#define EXACT_DOUBLE (INT64_C(1) << 53)

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

/* A value and what is needed to read it and to complain about it. */
struct value {
    const struct pgdbm__column *column;
    const char *data;
    int32_t length;
};

static pgdbm_status complain(const struct value *value, const char *wanted, const char *why, pgdbm_error *err)
{
    char scratch[32];
    pgdbm__fail(err, PGDBM_ERR_TYPE, "column \"%s\" (%s) cannot be read as %s: %s", value->column->name,
                pgdbm__type_name(value->column->type, scratch), wanted, why);
    pgdbm__error_hint(err, "read it with the accessor of its type, or cast it in the statement");
    pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    return PGDBM_ERR_TYPE;
}

static pgdbm_status find_value(const pgdbm_result *result, size_t row, size_t column, const void *out,
                               struct value *value, pgdbm_error *err)
{
    if (result == NULL || out == NULL) {
        pgdbm__fail_null(err, "reading a result", result == NULL ? "result" : "value");
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

/* As find_value, for what cannot be NULL and must come in binary. */
static pgdbm_status find_number(const pgdbm_result *result, size_t row, size_t column, const void *out,
                                const char *wanted, struct value *value, pgdbm_error *err)
{
    pgdbm_status status = find_value(result, row, column, out, value, err);
    if (status != PGDBM_OK)
        return status;
    if (value->length < 0)
        return complain(value, wanted, "it is NULL (ask pgdbm_is_null first)", err);
    if (value->column->format != 1)
        return complain(value, wanted, "the types do not go together", err);
    return PGDBM_OK;
}

static pgdbm_status read_integer(const struct value *value, const char *wanted, int64_t *number, pgdbm_error *err)
{
    switch (value->column->type) {
    case PGDBM__OID_INT4:
        if (value->length != 4)
            break;
        *number = (int32_t)pgdbm__get_uint32(value->data);
        return PGDBM_OK;
    case PGDBM__OID_INT8:
        if (value->length != 8)
            break;
        *number = (int64_t)pgdbm__get_uint64(value->data);
        return PGDBM_OK;
    case PGDBM__OID_INT2:
        if (value->length != 2)
            break;
        *number = (int16_t)pgdbm__get_uint16(value->data);
        return PGDBM_OK;
    case PGDBM__OID_OID:
        if (value->length != 4)
            break;
        *number = pgdbm__get_uint32(value->data);
        return PGDBM_OK;
    default:
        return complain(value, wanted, "the types do not go together", err);
    }
    return complain(value, wanted, "the server sent a value of the wrong size", err);
}

static pgdbm_status get_integer(const pgdbm_result *result, size_t row, size_t column, const void *out,
                                const char *wanted, int64_t low, int64_t high, int64_t *number, pgdbm_error *err)
{
    struct value value;
    pgdbm_status status = find_number(result, row, column, out, wanted, &value, err);
    if (status == PGDBM_OK)
        status = read_integer(&value, wanted, number, err);
    if (status == PGDBM_OK && (*number < low || *number > high))
        status = complain(&value, wanted, "the value is out of range", err);
    return status;
}

static pgdbm_status read_double(const struct value *value, const char *wanted, double *number, pgdbm_error *err)
{
    if (value->column->type == PGDBM__OID_FLOAT8 && value->length == 8) {
        uint64_t bits = pgdbm__get_uint64(value->data);
        memcpy(number, &bits, sizeof *number);
        return PGDBM_OK;
    }
    if (value->column->type == PGDBM__OID_FLOAT4 && value->length == 4) {
        uint32_t bits = pgdbm__get_uint32(value->data);
        float single;
        memcpy(&single, &bits, sizeof single);
        *number = (double)single;
        return PGDBM_OK;
    }
    int64_t integer;
    pgdbm_status status = read_integer(value, wanted, &integer, err);
    if (status == PGDBM_OK && (integer > EXACT_DOUBLE || integer < -EXACT_DOUBLE))
        status = complain(value, wanted, "the integer has more digits than a double holds", err);
    if (status == PGDBM_OK)
        *number = (double)integer;
    return status;
}

pgdbm_status pgdbm_is_null_at(const pgdbm_result *result, size_t row, size_t column, bool *value, pgdbm_error *err)
{
    struct value found;
    pgdbm_status status = find_value(result, row, column, value, &found, err);
    if (status == PGDBM_OK)
        *value = found.length < 0;
    return status;
}

pgdbm_status pgdbm_get_bool_at(const pgdbm_result *result, size_t row, size_t column, bool *value, pgdbm_error *err)
{
    struct value found;
    pgdbm_status status = find_number(result, row, column, value, "bool", &found, err);
    if (status == PGDBM_OK && (found.column->type != PGDBM__OID_BOOL || found.length != 1))
        status = complain(&found, "bool", "the types do not go together", err);
    if (status == PGDBM_OK)
        *value = found.data[0] != 0;
    return status;
}

#define INTEGER_ACCESSOR(name, type, low, high)                                                                        \
    pgdbm_status pgdbm_get_##name##_at(const pgdbm_result *result, size_t row, size_t column, type *value,             \
                                       pgdbm_error *err)                                                               \
    {                                                                                                                  \
        int64_t number = 0;                                                                                            \
        pgdbm_status status = get_integer(result, row, column, value, #name, low, high, &number, err);                 \
        if (status == PGDBM_OK)                                                                                        \
            *value = (type)number;                                                                                     \
        return status;                                                                                                 \
    }

INTEGER_ACCESSOR(int16, int16_t, INT16_MIN, INT16_MAX)
INTEGER_ACCESSOR(int32, int32_t, INT32_MIN, INT32_MAX)
INTEGER_ACCESSOR(int64, int64_t, INT64_MIN, INT64_MAX)

pgdbm_status pgdbm_get_double_at(const pgdbm_result *result, size_t row, size_t column, double *value, pgdbm_error *err)
{
    struct value found;
    pgdbm_status status = find_number(result, row, column, value, "double", &found, err);
    return status == PGDBM_OK ? read_double(&found, "double", value, err) : status;
}

pgdbm_status pgdbm_get_float_at(const pgdbm_result *result, size_t row, size_t column, float *value, pgdbm_error *err)
{
    struct value found;
    double number = 0;
    pgdbm_status status = find_number(result, row, column, value, "float", &found, err);
    if (status == PGDBM_OK)
        status = read_double(&found, "float", &number, err);
    if (status == PGDBM_OK && isfinite(number) && isinf((float)number))
        status = complain(&found, "float", "the value is out of range", err);
    if (status == PGDBM_OK)
        *value = (float)number;
    return status;
}

/* A binary value as PostgreSQL prints it; false when the type is none of ours. */
static bool print_value(const struct value *value, char text[PGDBM__NUMBER_BYTES])
{
    int64_t integer;
    double number;
    if (value->column->type == PGDBM__OID_BOOL && value->length == 1)
        snprintf(text, PGDBM__NUMBER_BYTES, "%s", value->data[0] != 0 ? "t" : "f");
    else if (value->column->type == PGDBM__OID_FLOAT4 && read_double(value, "", &number, NULL) == PGDBM_OK)
        pgdbm__float_text((float)number, text);
    else if (value->column->type == PGDBM__OID_FLOAT8 && read_double(value, "", &number, NULL) == PGDBM_OK)
        pgdbm__double_text(number, text);
    else if (read_integer(value, "", &integer, NULL) == PGDBM_OK)
        snprintf(text, PGDBM__NUMBER_BYTES, "%" PRId64, integer);
    else
        return false;
    return true;
}

/* A result has no lock of its own, because nearly none ever needs one; these are shared by address. */
#define LOCK_ROW                                                                                                       \
    PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER
static pthread_mutex_t text_locks[] = {LOCK_ROW, LOCK_ROW};

static pthread_mutex_t *lock_of(const pgdbm_result *result)
{
    return &text_locks[((uintptr_t)result >> 6) % (sizeof text_locks / sizeof *text_locks)];
}

/* The text made for this value before, or a new one. A result looks unchanging from outside: that is why it may be cast
 * here. */
static const char *made_text(const pgdbm_result *constant, size_t row, size_t column, const char *text)
{
    pgdbm_result *result = (pgdbm_result *)constant;
    size_t bytes = strlen(text) + 1;
    pthread_mutex_lock(lock_of(result));
    struct pgdbm__made_text *made = result->made_texts;
    while (made != NULL && (made->row != row || made->column != column))
        made = made->next;
    if (made == NULL && (made = pgdbm__alloc(sizeof *made + bytes)) != NULL) {
        made->row = row;
        made->column = column;
        memcpy(made->text, text, bytes);
        made->next = result->made_texts;
        result->made_texts = made;
    }
    pthread_mutex_unlock(lock_of(result));
    return made != NULL ? made->text : NULL;
}

pgdbm_status pgdbm_get_text_at(const pgdbm_result *result, size_t row, size_t column, const char **value,
                               pgdbm_error *err)
{
    struct value found;
    char text[PGDBM__NUMBER_BYTES];
    pgdbm_status status = find_value(result, row, column, value, &found, err);
    if (status != PGDBM_OK)
        return status;
    if (found.length < 0)
        *value = NULL;
    else if (found.column->format == 0 || pgdbm__type_is_text(found.column->type))
        *value = found.data;
    else if (print_value(&found, text)) {
        const char *made = made_text(result, row, column, text);
        if (made == NULL)
            return pgdbm__fail_nomem(err, "printing a value");
        *value = made;
    } else
        return complain(&found, "text", "its bytes are not text (use pgdbm_get_bytes)", err);
    return PGDBM_OK;
}

pgdbm_status pgdbm_get_bytes_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_blob *value,
                                pgdbm_error *err)
{
    struct value found;
    pgdbm_status status = find_value(result, row, column, value, &found, err);
    if (status != PGDBM_OK)
        return status;
    bool plain =
        found.column->format == 0 || found.column->type == PGDBM__OID_BYTEA || pgdbm__type_is_text(found.column->type);
    if (!plain)
        return complain(&found, "bytes", "the types do not go together", err);
    *value = found.length < 0 ? (pgdbm_blob){NULL, 0} : (pgdbm_blob){found.data, (size_t)found.length};
    return PGDBM_OK;
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
