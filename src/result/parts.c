/* SPDX-License-Identifier: MIT */
/* Values made of others, as results of their own: the bytes are copied once, and cut into rows as those of the server are. So
 * everything that reads a result reads an array, a record, ranges and an hstore, too. */
#include "result/text.h"

#include "base/alloc.h"
#include "base/error.h"
#include "types/number.h"
#include "types/oid.h"

#include <string.h>

static const char malformed[] = "malformed";

/* A value being cut: its copy, and how far it has been read. */
struct cutter {
    char *base;
    size_t at, bytes;
};

/* The next value, behind `skip` bytes and its length. The end of the one before becomes a NUL, over what has been read. */
static bool cut(struct cutter *cutter, size_t skip, struct pgdbm__cell *cell)
{
    if (cutter->bytes - cutter->at < skip + 4)
        return false;
    int32_t length = (int32_t)pgdbm__get_uint32(cutter->base + cutter->at + skip);
    cutter->base[cutter->at] = '\0';
    cutter->at += skip + 4;
    if (length < -1 || (length > 0 && (size_t)length > cutter->bytes - cutter->at))
        return false;
    *cell = (struct pgdbm__cell){(uint32_t)cutter->at, length};
    cutter->at += length > 0 ? (size_t)length : 0;
    return true;
}

static struct pgdbm__column column_of(const char *name, const struct pgdbm__type *type)
{
    return (struct pgdbm__column){.name = name, .type = type->oid, .format = pgdbm__type_is_binary(type), .info = type};
}

/* An empty result with these columns; their names stay as long as the catalog, or for ever. */
static pgdbm_result *make(const pgdbm_result *from, const struct pgdbm__column *columns, size_t n_columns)
{
    size_t bytes = n_columns * sizeof *columns;
    struct pgdbm__description *description = pgdbm__alloc(sizeof *description + bytes);
    if (description == NULL)
        return NULL;
    atomic_init(&description->references, 1);
    description->catalog = pgdbm__catalog_ref(from->description->catalog);
    description->generation = from->description->generation;
    description->n_columns = n_columns;
    if (bytes > 0)
        memcpy(description->columns, columns, bytes);
    pgdbm_result *made = pgdbm__result_new(description);
    pgdbm__description_unref(description);
    return made;
}

/* Rows of `n_columns` values each, taken from the copy one after the other. */
static const char *cut_rows(pgdbm_result *made, struct cutter *cutter, size_t n_rows, size_t n_columns, size_t skip)
{
    struct pgdbm__cell *cells = pgdbm__result_take(made, n_rows * n_columns * sizeof *cells);
    if (cells == NULL)
        return "";
    for (size_t row = 0; row < n_rows; row++, cells += n_columns) {
        for (size_t i = 0; i < n_columns; i++)
            if (!cut(cutter, skip, &cells[i]))
                return malformed;
        if (!pgdbm__result_add(made, cutter->base, cells))
            return "";
    }
    if (cutter->at != cutter->bytes)
        return malformed;
    cutter->base[cutter->bytes] = '\0';
    return NULL;
}

static bool copy_value(pgdbm_result *made, const struct pgdbm__value *value, struct cutter *cutter)
{
    cutter->bytes = (size_t)value->length;
    cutter->base = pgdbm__result_take(made, cutter->bytes + 1);
    if (cutter->base != NULL)
        memcpy(cutter->base, value->data, cutter->bytes);
    return cutter->base != NULL;
}

/* The parts of a value; NULL, or a reason ("": no memory). */
typedef const char *(*taker)(const pgdbm_result *from, const struct pgdbm__value *value, pgdbm_result **made);

static const char *take_array(const pgdbm_result *from, const struct pgdbm__value *value, pgdbm_result **made)
{
    const struct pgdbm__type *type = pgdbm__type_base(value->column->info);
    struct pgdbm__reader reader = {value->data, (size_t)value->length};
    struct pgdbm__array_head head;
    struct cutter cutter = {0};
    if (type->kind != PGDBM__TYPE_ARRAY)
        return "the types do not go together";
    if (!pgdbm__read_array_head(&reader, type, &head))
        return malformed;
    const struct pgdbm__column column = column_of("element", type->element);
    *made = make(from, &column, 1);
    if (*made == NULL || !copy_value(*made, value, &cutter) ||
        ((*made)->array = pgdbm__result_take(*made, sizeof head)) == NULL)
        return "";
    *(*made)->array = head;
    cutter.at = cutter.bytes - reader.bytes;
    return cut_rows(*made, &cutter, head.count, 1, 0);
}

static const char *take_record(const pgdbm_result *from, const struct pgdbm__value *value, pgdbm_result **made)
{
    const struct pgdbm__type *type = pgdbm__type_base(value->column->info);
    struct cutter cutter = {0};
    if (type->kind != PGDBM__TYPE_COMPOSITE)
        return "the types do not go together";
    struct pgdbm__reader reader = {value->data, (size_t)value->length};
    int32_t count;
    if (!pgdbm__read_int32(&reader, &count) || (uint32_t)count != type->n_fields)
        return malformed;
    for (size_t i = 0; i < type->n_fields; i++) {
        const char *data;
        if (!pgdbm__read_field(&reader, type->fields[i].type, &data, &count))
            return malformed;
    }
    struct pgdbm__column *columns = pgdbm__alloc_zero(type->n_fields, sizeof *columns);
    if (columns == NULL && type->n_fields > 0)
        return "";
    for (size_t i = 0; i < type->n_fields; i++)
        columns[i] = column_of(type->fields[i].name, type->fields[i].type);
    *made = make(from, columns, type->n_fields);
    pgdbm__free(columns);
    if (*made == NULL || !copy_value(*made, value, &cutter))
        return "";
    cutter.at = 4;
    return cut_rows(*made, &cutter, 1, type->n_fields, 4); /* each behind its type */
}

static const char *take_hstore(const pgdbm_result *from, const struct pgdbm__value *value, pgdbm_result **made)
{
    const struct pgdbm__type *text = pgdbm__type_builtin(PGDBM__OID_TEXT);
    const struct pgdbm__column columns[] = {column_of("key", text), column_of("value", text)};
    struct cutter cutter = {0};
    if (pgdbm__type_base(value->column->info)->kind != PGDBM__TYPE_HSTORE)
        return "the types do not go together";
    struct pgdbm__reader reader = {value->data, (size_t)value->length};
    int32_t count;
    if (!pgdbm__read_int32(&reader, &count) || count < 0)
        return malformed;
    for (int32_t i = 0; i < count; i++) {
        const char *data;
        int32_t length;
        if (!pgdbm__read_item(&reader, &data, &length) || length < 0 || !pgdbm__read_item(&reader, &data, &length))
            return malformed;
    }
    *made = make(from, columns, 2);
    if (*made == NULL || !copy_value(*made, value, &cutter))
        return "";
    cutter.at = 4;
    return cut_rows(*made, &cutter, (size_t)count, 2, 0);
}

enum { LOWER, UPPER, LOWER_INCLUSIVE, UPPER_INCLUSIVE, RANGE_COLUMNS };

/* NULL is no bound: an infinite one has a flag, and no value. */
static bool cut_bound(struct cutter *cutter, struct pgdbm__cell *cell)
{
    return cut(cutter, 0, cell) && cell->length >= 0;
}

/* One range as a row, unless it is empty. */
static const char *add_range(pgdbm_result *made, const char *data, size_t bytes)
{
    struct pgdbm__cell *cells = pgdbm__result_take(made, RANGE_COLUMNS * sizeof *cells);
    char *base = pgdbm__result_take(made, bytes + 4);
    if (cells == NULL || base == NULL)
        return "";
    if (bytes < 1)
        return malformed;
    unsigned flags = (unsigned char)data[0];
    if ((flags & PGDBM__RANGE_EMPTY) != 0)
        return bytes == 1 ? NULL : malformed;
    memcpy(base, data, bytes);
    struct cutter cutter = {base, 1, bytes};
    cells[LOWER] = cells[UPPER] = (struct pgdbm__cell){0, -1};
    if ((flags & PGDBM__RANGE_LOWER_INFINITE) == 0 && !cut_bound(&cutter, &cells[LOWER]))
        return malformed;
    if ((flags & PGDBM__RANGE_UPPER_INFINITE) == 0 && !cut_bound(&cutter, &cells[UPPER]))
        return malformed;
    if (cutter.at != bytes)
        return malformed;
    base[bytes] = '\0';
    base[bytes + 1] = (flags & PGDBM__RANGE_LOWER_INCLUSIVE) != 0;
    base[bytes + 2] = (flags & PGDBM__RANGE_UPPER_INCLUSIVE) != 0;
    cells[LOWER_INCLUSIVE] = (struct pgdbm__cell){(uint32_t)bytes + 1, 1};
    cells[UPPER_INCLUSIVE] = (struct pgdbm__cell){(uint32_t)bytes + 2, 1};
    return pgdbm__result_add(made, base, cells) ? NULL : "";
}

static const char *take_ranges(const pgdbm_result *from, const struct pgdbm__value *value, pgdbm_result **made)
{
    const struct pgdbm__type *type = pgdbm__type_base(value->column->info);
    const struct pgdbm__type *bools = pgdbm__type_builtin(PGDBM__OID_BOOL);
    struct pgdbm__reader reader = {value->data, (size_t)value->length};
    bool many = type->kind == PGDBM__TYPE_MULTIRANGE;
    if (!many && type->kind != PGDBM__TYPE_RANGE)
        return "the types do not go together";
    const struct pgdbm__type *subtype = many ? type->element->element : type->element;
    const struct pgdbm__column columns[] = {
        [LOWER] = column_of("lower", subtype),
        [UPPER] = column_of("upper", subtype),
        [LOWER_INCLUSIVE] = column_of("lower_inclusive", bools),
        [UPPER_INCLUSIVE] = column_of("upper_inclusive", bools),
    };
    *made = make(from, columns, RANGE_COLUMNS);
    if (*made == NULL)
        return "";
    if (!many)
        return add_range(*made, value->data, (size_t)value->length);
    int32_t count;
    const char *reason = pgdbm__read_int32(&reader, &count) && count >= 0 ? NULL : malformed;
    for (int32_t i = 0; reason == NULL && i < count; i++) {
        const char *data;
        int32_t length;
        reason = pgdbm__read_item(&reader, &data, &length) && length >= 0 ? add_range(*made, data, (size_t)length)
                                                                          : malformed;
    }
    return reason == NULL && reader.bytes > 0 ? malformed : reason;
}

static pgdbm_status take_parts(const pgdbm_result *result, size_t row, size_t column, const char *wanted, taker take,
                               pgdbm_result **value, pgdbm_error *err)
{
    struct pgdbm__value found;
    pgdbm_result *made = NULL;
    pgdbm_status status = pgdbm__value_find(result, row, column, value, &found, err);
    if (value != NULL)
        *value = NULL;
    if (status != PGDBM_OK)
        return status;
    const char *reason = "it is NULL (ask pgdbm_is_null first)";
    if (found.length >= 0)
        reason = found.column->format == 1 ? take(result, &found, &made) : "this side has it as text only";
    if (reason == NULL) {
        *value = made;
        return PGDBM_OK;
    }
    pgdbm_result_free(made);
    reason = reason == malformed ? pgdbm__value_malformed(result) : reason;
    return reason[0] == '\0' ? pgdbm__fail_nomem(err, "reading a result")
                             : pgdbm__value_refuse(&found, wanted, reason, err);
}

#define ACCESSOR(name, take)                                                                                           \
    pgdbm_status pgdbm_get_##name##_at(const pgdbm_result *result, size_t row, size_t column, pgdbm_result **value,    \
                                       pgdbm_error *err)                                                               \
    {                                                                                                                  \
        return take_parts(result, row, column, #name, take, value, err);                                               \
    }

ACCESSOR(array, take_array)
ACCESSOR(record, take_record)
ACCESSOR(ranges, take_ranges)
ACCESSOR(hstore, take_hstore)

size_t pgdbm_array_dimensions(const pgdbm_result *array)
{
    return array != NULL && array->array != NULL ? array->array->n_dimensions : 0;
}

size_t pgdbm_array_length(const pgdbm_result *array, size_t dimension)
{
    return dimension < pgdbm_array_dimensions(array) ? (size_t)array->array->sizes[dimension] : 0;
}

int32_t pgdbm_array_lower_bound(const pgdbm_result *array, size_t dimension)
{
    return dimension < pgdbm_array_dimensions(array) ? array->array->lower[dimension] : 1;
}
