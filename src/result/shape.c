/* SPDX-License-Identifier: MIT */
/* Rows into structs. What is to be done with each column is found out once; reading a value of the usual types is then
 * one switch and one store. Texts and bytes go into the result's arena. One thread builds; nobody reads meanwhile. */
#include "result/shape.h"

#include "base/alloc.h"
#include "base/error.h"
#include "types/number.h"
#include "types/oid.h"
#include "types/param.h"
#include "types/value.h"

#include <stdalign.h>
#include <string.h>

#define FIRST_CAPACITY 16

enum operation {
    SWAP_2, /* the field is the value in this machine's byte order */
    SWAP_4,
    SWAP_8,
    KEEP_TEXT,  /* the value is a text as it is */
    KEEP_BYTES, /* or a run of bytes */
    KEEP_VALUE, /* read by pgdbm__value_read, and points into the value, which is kept */
    READ_VALUE,
    PRINT_TEXT /* the text is made */
};

/* What becomes of a column. */
struct step {
    enum operation operation;
    pgdbm_field_kind kind;
    size_t offset, companion;
    const struct pgdbm__column *column;
};

struct pgdbm__structs {
    size_t struct_bytes;
    char *rows;
    size_t capacity;              /* in rows */
    struct pgdbm__buffer printed; /* scratch */
    struct step steps[];          /* one for each column */
};

static const char no_memory[] = "out of memory"; /* told apart by its address */

static size_t alignment_of(pgdbm_field_kind kind)
{
    switch (kind) {
    case PGDBM_BOOL:
    case PGDBM_UUID:
    case PGDBM_INET:
    case PGDBM_MACADDR:
        return 1;
    case PGDBM_INT16:
        return alignof(int16_t);
    case PGDBM_INT32:
    case PGDBM_UINT32:
    case PGDBM_DATE:
        return alignof(int32_t);
    case PGDBM_FLOAT:
        return alignof(float);
    case PGDBM_DOUBLE:
        return alignof(double);
    case PGDBM_TEXT:
        return alignof(const char *);
    case PGDBM_BYTES:
    case PGDBM_BITS:
        return alignof(pgdbm_blob);
    default:
        return alignof(int64_t);
    }
}

static const char *field_fault(const pgdbm_struct *shape, const pgdbm_field *field)
{
    size_t bytes = pgdbm__kind_bytes(field->kind);
    if (bytes == 0)
        return "its kind is none of pgdbm_field_kind";
    if (field->bytes != bytes)
        return "the field's C type is not that of its kind";
    if (field->offset > shape->bytes || bytes > shape->bytes - field->offset)
        return "the field ends behind the struct";
    if (field->offset % alignment_of(field->kind) != 0)
        return "the field is not aligned (a packed struct?)";
    if (field->companion != PGDBM_NO_COMPANION && field->companion >= shape->bytes)
        return "its companion is not in the struct";
    return NULL;
}

pgdbm_status pgdbm__shape_check(const pgdbm_struct *shape, const char *function, pgdbm_error *err)
{
    if (shape == NULL || shape->fields == NULL)
        return pgdbm__fail_null(err, function, shape == NULL ? "shape" : "shape->fields");
    const char *name = shape->name != NULL ? shape->name : "struct";
    if (shape->n_fields == 0) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: the table of %s has no fields", function, name);
        pgdbm__error_hint(err, "make the table with PGDBM_STRUCT from an array of PGDBM_FIELD");
        return PGDBM_ERR_ARGUMENT;
    }
    for (size_t i = 0; i < shape->n_fields; i++) {
        const pgdbm_field *field = &shape->fields[i];
        const char *fault = field->column == NULL ? "it has no column's name" : field_fault(shape, field);
        if (fault == NULL)
            continue;
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: field %zu of %s (\"%s\", %s): %s", function, i + 1, name,
                    field->column != NULL ? field->column : "", pgdbm__kind_name(field->kind), fault);
        pgdbm__error_hint(err,
                          "PGDBM_FIELD(type, member, kind) fills offset and size; <pgdbm/structs.h> has the C type "
                          "of each kind");
        return PGDBM_ERR_ARGUMENT;
    }
    return PGDBM_OK;
}

pgdbm_param pgdbm__field_param(const pgdbm_field *field, const char *row)
{
    bool given = field->companion == PGDBM_NO_COMPANION || *(const bool *)(row + field->companion);
    return given ? pgdbm__param_of(field->kind, row + field->offset) : pgdbm_param_null();
}

static enum operation text_operation(const struct pgdbm__column *column)
{
    const struct pgdbm__type *base = pgdbm__type_base(column->info);
    if (column->format == 0 || base->kind == PGDBM__TYPE_TEXT)
        return KEEP_TEXT;
    return base->oid == PGDBM__OID_JSONB ? KEEP_VALUE : PRINT_TEXT;
}

static enum operation operation_of(const struct pgdbm__column *column, pgdbm_field_kind kind)
{
    uint32_t oid = pgdbm__type_base(column->info)->oid;
    switch (kind) {
    case PGDBM_TEXT:
        return text_operation(column);
    case PGDBM_BYTES:
        return oid == PGDBM__OID_JSONB ? KEEP_VALUE : KEEP_BYTES;
    case PGDBM_BITS:
        return KEEP_VALUE;
    case PGDBM_INT16:
        return oid == PGDBM__OID_INT2 ? SWAP_2 : READ_VALUE;
    case PGDBM_INT32:
        return oid == PGDBM__OID_INT4 ? SWAP_4 : READ_VALUE;
    case PGDBM_UINT32:
        return oid == PGDBM__OID_OID ? SWAP_4 : READ_VALUE;
    case PGDBM_FLOAT:
        return oid == PGDBM__OID_FLOAT4 ? SWAP_4 : READ_VALUE;
    case PGDBM_INT64:
        return oid == PGDBM__OID_INT8 ? SWAP_8 : READ_VALUE;
    case PGDBM_DOUBLE:
        return oid == PGDBM__OID_FLOAT8 ? SWAP_8 : READ_VALUE;
    case PGDBM_DATE:
        return SWAP_4;
    case PGDBM_TIMESTAMP:
    case PGDBM_TIME:
        return SWAP_8;
    default:
        return READ_VALUE;
    }
}

/* Whether the values come in a format that can be read so. They do not when the statement's columns changed after it was
 * asked for: the formats are then those of the columns before. */
static bool is_readable(const struct pgdbm__column *column, pgdbm_field_kind kind)
{
    if (!pgdbm__value_fits(column->info, kind))
        return false;
    return column->format == 0 ? kind == PGDBM_TEXT : pgdbm__type_is_binary(column->info);
}

static pgdbm_status fail_match(const pgdbm_struct *shape, pgdbm_error *err, const char *what, const char *name)
{
    pgdbm__fail(err, PGDBM_ERR_TYPE, "%s \"%s\" (%s)", what, name, shape->name != NULL ? shape->name : "struct");
    pgdbm__error_hint(err,
                      "a field is matched with the column of its name: name the columns in the select list, with AS "
                      "where they are called otherwise");
    return PGDBM_ERR_TYPE;
}

/* The field of this column that no column before it has. Structs are mostly written in their columns' order, so it is
 * looked for from the column's own place on. */
static size_t find_field(const pgdbm_struct *shape, const char *column, size_t place)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        size_t at = (place + i) % shape->n_fields;
        if (strcmp(shape->fields[at].column, column) == 0)
            return at;
    }
    return shape->n_fields;
}

static pgdbm_status compile_step(const pgdbm_struct *shape, const struct pgdbm__description *description, size_t number,
                                 struct step *steps, pgdbm_error *err)
{
    const struct pgdbm__column *column = &description->columns[number];
    size_t place = find_field(shape, column->name, number);
    if (place == shape->n_fields)
        return fail_match(shape, err, "no field of the struct is for column", column->name);
    const pgdbm_field *field = &shape->fields[place];
    for (size_t i = 0; i < number; i++)
        if (steps[i].offset == field->offset)
            return fail_match(shape, err, "two columns of the result are called", column->name);
    if (!is_readable(column, field->kind)) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "column \"%s\" (%s) cannot be read as %s: the types do not go together",
                    column->name, column->info->name, pgdbm__kind_name(field->kind));
        pgdbm__error_hint(err,
                          "give the field the kind of the column (<pgdbm/structs.h> has them), or cast the column in "
                          "the statement");
        return PGDBM_ERR_TYPE;
    }
    steps[number] =
        (struct step){operation_of(column, field->kind), field->kind, field->offset, field->companion, column};
    return PGDBM_OK;
}

/* Fills the steps. */
static pgdbm_status compile(const pgdbm_struct *shape, const struct pgdbm__description *description, struct step *steps,
                            pgdbm_error *err)
{
    size_t n_columns = description != NULL ? description->n_columns : 0;
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < n_columns; i++)
        status = compile_step(shape, description, i, steps, err);
    for (size_t i = 0; status == PGDBM_OK && i < shape->n_fields; i++) {
        size_t found = 0;
        while (found < n_columns && steps[found].offset != shape->fields[i].offset)
            found++;
        if (found == n_columns)
            status = fail_match(shape, err, "no column of the result is for field", shape->fields[i].column);
    }
    return status;
}

pgdbm_status pgdbm__structs_new(struct pgdbm__description *description, const pgdbm_struct *shape,
                                pgdbm_result **result, pgdbm_error *err)
{
    size_t n_columns = description != NULL ? description->n_columns : 0;
    *result = NULL;
    struct pgdbm__structs *made = pgdbm__alloc(sizeof *made + n_columns * sizeof *made->steps);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "reading rows as structs");
    *made = (struct pgdbm__structs){.struct_bytes = shape->bytes};
    pgdbm_status status = compile(shape, description, made->steps, err);
    if (status == PGDBM_OK && (*result = pgdbm__result_new(description)) == NULL)
        status = pgdbm__fail_nomem(err, "reading rows as structs");
    if (status == PGDBM_OK)
        (*result)->structs = made;
    else
        pgdbm__structs_free(made);
    return status;
}

void pgdbm__structs_free(struct pgdbm__structs *structs)
{
    if (structs == NULL)
        return;
    pgdbm__buffer_free(&structs->printed);
    pgdbm__free(structs->rows);
    pgdbm__free(structs);
}

const void *pgdbm_result_structs(const pgdbm_result *result)
{
    return result != NULL && result->structs != NULL && result->n_rows > 0 ? result->structs->rows : NULL;
}

/* The place of the next struct. */
static char *add_row(struct pgdbm__structs *structs, size_t n_rows)
{
    if (n_rows >= structs->capacity) {
        size_t capacity = structs->capacity == 0 ? FIRST_CAPACITY : structs->capacity * 2;
        char *rows = capacity <= SIZE_MAX / 2 / structs->struct_bytes
                         ? pgdbm__realloc(structs->rows, capacity * structs->struct_bytes)
                         : NULL;
        if (rows == NULL)
            return NULL;
        structs->rows = rows;
        structs->capacity = capacity;
    }
    return structs->rows + n_rows * structs->struct_bytes;
}

/* A copy that lives as long as the result, and ends with NUL. */
static char *keep(pgdbm_result *result, const char *data, size_t bytes)
{
    char *kept = pgdbm__result_take_bytes(result, bytes + 1);
    if (kept == NULL)
        return NULL;
    if (bytes > 0)
        memcpy(kept, data, bytes);
    kept[bytes] = '\0';
    return kept;
}

static const char *print_text(pgdbm_result *result, const struct step *step, const char *data, size_t bytes,
                              const char **field)
{
    struct pgdbm__buffer *printed = &result->structs->printed;
    const struct pgdbm__type *type = pgdbm__type_base(step->column->info);
    printed->length = 0;
    printed->failed = false;
    if (!type->print(type, data, bytes, printed))
        return "the server sent bytes that are no such value";
    *field = printed->failed ? NULL : keep(result, printed->data, printed->length);
    return *field == NULL ? no_memory : NULL;
}

/* NULL, or why the value cannot be read. */
static const char *read_value(pgdbm_result *result, const struct step *step, const char *data, size_t bytes,
                              char *field)
{
    static const char wrong_size[] = "the server sent a value of the wrong size";
    switch (step->operation) {
    case SWAP_2: {
        uint16_t value;
        if (bytes != sizeof value)
            return wrong_size;
        value = pgdbm__get_uint16(data);
        memcpy(field, &value, sizeof value);
        return NULL;
    }
    case SWAP_4: {
        uint32_t value;
        if (bytes != sizeof value)
            return wrong_size;
        value = pgdbm__get_uint32(data);
        memcpy(field, &value, sizeof value);
        return NULL;
    }
    case SWAP_8: {
        uint64_t value;
        if (bytes != sizeof value)
            return wrong_size;
        value = pgdbm__get_uint64(data);
        memcpy(field, &value, sizeof value);
        return NULL;
    }
    case KEEP_TEXT: {
        const char *text = keep(result, data, bytes);
        memcpy(field, &text, sizeof text);
        return text == NULL ? no_memory : NULL;
    }
    case KEEP_BYTES: {
        const pgdbm_blob blob = {keep(result, data, bytes), bytes};
        memcpy(field, &blob, sizeof blob);
        return blob.data == NULL ? no_memory : NULL;
    }
    case KEEP_VALUE: {
        const char *kept = keep(result, data, bytes);
        return kept == NULL ? no_memory : pgdbm__value_read(step->column->info, kept, bytes, step->kind, field);
    }
    case READ_VALUE:
        return pgdbm__value_read(step->column->info, data, bytes, step->kind, field);
    case PRINT_TEXT:
        return print_text(result, step, data, bytes, (const char **)(void *)field);
    }
    return no_memory;
}

/* A field without a value stays zero; without a companion only a pointer can say so. */
static const char *read_null(const struct step *step)
{
    if (step->companion != PGDBM_NO_COMPANION || step->kind == PGDBM_TEXT || step->kind == PGDBM_BYTES)
        return NULL;
    return "it is NULL, and the field has no companion to say so";
}

static enum pgdbm__row_status refuse(const pgdbm_result *result, const struct step *step, const char *reason,
                                     pgdbm_error *err)
{
    if (reason == no_memory)
        return PGDBM__ROW_NOMEM;
    pgdbm__fail(err, PGDBM_ERR_TYPE, "row %zu, column \"%s\" (%s) cannot be read as %s: %s", result->n_rows + 1,
                step->column->name, step->column->info->name, pgdbm__kind_name(step->kind), reason);
    pgdbm__error_hint(err,
                      "give the field a kind that holds all values of the column, PGDBM_FIELD_NULLABLE where there may "
                      "be none, or cast the column in the statement");
    pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    return PGDBM__ROW_REFUSED;
}

enum pgdbm__row_status pgdbm__structs_append(pgdbm_result *result, const unsigned char *body, size_t bytes,
                                             pgdbm_error *err)
{
    struct pgdbm__structs *structs = result->structs;
    size_t n_columns = result->description != NULL ? result->description->n_columns : 0;
    if (bytes < 2 || pgdbm__get_uint16(body) != n_columns)
        return PGDBM__ROW_MALFORMED;
    char *row = add_row(structs, result->n_rows);
    if (row == NULL)
        return PGDBM__ROW_NOMEM;
    memset(row, 0, structs->struct_bytes);
    const char *at = (const char *)body + 2;
    const char *end = (const char *)body + bytes;
    for (size_t i = 0; i < n_columns; i++) {
        const struct step *step = &structs->steps[i];
        if (end - at < 4)
            return PGDBM__ROW_MALFORMED;
        int32_t length = (int32_t)pgdbm__get_uint32(at);
        at += 4;
        if (length < -1 || length > end - at)
            return PGDBM__ROW_MALFORMED;
        const char *reason =
            length < 0 ? read_null(step) : read_value(result, step, at, (size_t)length, row + step->offset);
        if (reason != NULL)
            return refuse(result, step, reason, err);
        if (length < 0)
            continue;
        if (step->companion != PGDBM_NO_COMPANION)
            *(bool *)(row + step->companion) = true;
        at += length;
    }
    if (at != end)
        return PGDBM__ROW_MALFORMED;
    result->n_rows++;
    return PGDBM__ROW_OK;
}
