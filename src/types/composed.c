/* SPDX-License-Identifier: MIT */
/* Encoding ranges, arrays and rows: their own form here, the values inside by param.c. How deep that goes is bounded by
 * the type, and for arrays by PostgreSQL's number of dimensions. */
#include "types/composed.h"

#include "types/container.h"
#include "types/oid.h"
#include "wire/encode.h"

#include <string.h>

static const char too_many[] = "it has more values than PostgreSQL holds";

static bool is_array(pgdbm_param_kind kind)
{
    return kind == PGDBM_PARAM_ARRAY || (kind >= PGDBM_PARAM_INT32S && kind <= PGDBM_PARAM_TEXTS);
}

/* One value of an array or a row, whatever it is kept in. */
static pgdbm_param value_at(const pgdbm_param *param, size_t number)
{
    switch (param->kind) {
    case PGDBM_PARAM_INT32S:
        return pgdbm_param_int64(((const int32_t *)param->value.data)[number]);
    case PGDBM_PARAM_INT64S:
        return pgdbm_param_int64(((const int64_t *)param->value.data)[number]);
    case PGDBM_PARAM_DOUBLES:
        return pgdbm_param_double(((const double *)param->value.data)[number]);
    case PGDBM_PARAM_BOOLS:
        return pgdbm_param_bool(((const bool *)param->value.data)[number]);
    case PGDBM_PARAM_TEXTS:
        return pgdbm_param_text(((const char *const *)param->value.data)[number]);
    default:
        return param->value.values[number];
    }
}

/* The lengths of the dimensions. All inner arrays of one depth must have the same; those without a value make it empty. */
static const char *measure(const pgdbm_param *array, size_t depth, size_t *n_dimensions, int32_t sizes[])
{
    if (depth == PGDBM__ARRAY_DIMENSIONS)
        return "an array has at most 6 dimensions";
    if (array->bytes > INT32_MAX / 4)
        return too_many;
    bool known = depth < *n_dimensions;
    if (known && sizes[depth] != (int32_t)array->bytes)
        return "its inner arrays differ in length";
    sizes[depth] = (int32_t)array->bytes;
    if (!known)
        *n_dimensions = depth + 1;
    bool deeper = array->kind == PGDBM_PARAM_ARRAY && array->bytes > 0 && is_array(array->value.values[0].kind);
    if (known && deeper != (depth + 1 < *n_dimensions))
        return "its inner arrays differ in depth";
    const char *reason = NULL;
    for (size_t i = 0; reason == NULL && array->kind == PGDBM_PARAM_ARRAY && i < array->bytes; i++) {
        const pgdbm_param *inner = &array->value.values[i];
        if (is_array(inner->kind) != deeper)
            reason = "it has arrays beside other values";
        else if (deeper)
            reason = measure(inner, depth + 1, n_dimensions, sizes);
    }
    return reason;
}

static const char *put_elements(const pgdbm_param *array, const struct pgdbm__type *element, struct pgdbm__buffer *out,
                                bool *has_null)
{
    const char *reason = NULL;
    for (size_t i = 0; reason == NULL && i < array->bytes; i++) {
        pgdbm_param value = value_at(array, i);
        *has_null = *has_null || value.kind == PGDBM_PARAM_NULL;
        reason = is_array(value.kind) ? put_elements(&value, element, out, has_null)
                                      : pgdbm__param_binary(&value, element, out);
    }
    return reason;
}

static const char *array_binary(const pgdbm_param *array, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    size_t n_dimensions = 0;
    int32_t sizes[PGDBM__ARRAY_DIMENSIONS];
    bool has_null = false;
    if (!is_array(array->kind))
        return pgdbm__param_no_fit;
    const char *reason = measure(array, 0, &n_dimensions, sizes);
    if (reason != NULL)
        return reason;
    for (size_t i = 0; i < n_dimensions; i++)
        if (sizes[i] == 0)
            n_dimensions = 0;
    pgdbm__wire_int32(out, (int32_t)n_dimensions);
    size_t flags = out->length;
    pgdbm__wire_int32(out, 0);
    pgdbm__wire_int32(out, (int32_t)type->element->oid);
    for (size_t i = 0; i < n_dimensions; i++) {
        pgdbm__wire_int32(out, sizes[i]);
        pgdbm__wire_int32(out, 1);
    }
    reason = n_dimensions > 0 ? put_elements(array, type->element, out, &has_null) : NULL;
    if (reason == NULL && has_null && !out->failed)
        out->data[flags + 3] = 1;
    return reason;
}

/* What `bounds` says, and which bounds there are; false when it says nothing that is known. */
static bool range_flags(const pgdbm_range *range, unsigned *flags)
{
    const char *bounds = range->bounds != NULL ? range->bounds : "[)";
    *flags = 0;
    if (strcmp(bounds, "empty") == 0) {
        *flags = PGDBM__RANGE_EMPTY;
        return true;
    }
    if (strlen(bounds) != 2 || (bounds[0] != '[' && bounds[0] != '(') || (bounds[1] != ']' && bounds[1] != ')'))
        return false;
    if (range->lower.kind == PGDBM_PARAM_NULL)
        *flags |= PGDBM__RANGE_LOWER_INFINITE;
    else if (bounds[0] == '[')
        *flags |= PGDBM__RANGE_LOWER_INCLUSIVE;
    if (range->upper.kind == PGDBM_PARAM_NULL)
        *flags |= PGDBM__RANGE_UPPER_INFINITE;
    else if (bounds[1] == ']')
        *flags |= PGDBM__RANGE_UPPER_INCLUSIVE;
    return true;
}

static const char bad_bounds[] = "its bounds are none of \"[)\", \"[]\", \"()\", \"(]\", \"empty\"";

static const char *range_binary(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    unsigned flags;
    if (param->kind != PGDBM_PARAM_RANGE)
        return pgdbm__param_no_fit;
    const pgdbm_range *range = param->value.data;
    if (!range_flags(range, &flags))
        return bad_bounds;
    char first = (char)flags;
    pgdbm__buffer_append(out, &first, 1);
    const char *reason = NULL;
    if ((flags & (PGDBM__RANGE_EMPTY | PGDBM__RANGE_LOWER_INFINITE)) == 0)
        reason = pgdbm__param_binary(&range->lower, type->element, out);
    if (reason == NULL && (flags & (PGDBM__RANGE_EMPTY | PGDBM__RANGE_UPPER_INFINITE)) == 0)
        reason = pgdbm__param_binary(&range->upper, type->element, out);
    return reason;
}

static const char *multirange_binary(const pgdbm_param *param, const struct pgdbm__type *type,
                                     struct pgdbm__buffer *out)
{
    const char *reason = NULL;
    if (param->kind != PGDBM_PARAM_ARRAY)
        return pgdbm__param_no_fit;
    if (param->bytes > INT32_MAX)
        return too_many;
    pgdbm__wire_int32(out, (int32_t)param->bytes);
    for (size_t i = 0; reason == NULL && i < param->bytes; i++)
        reason = param->value.values[i].kind == PGDBM_PARAM_RANGE
                     ? pgdbm__param_binary(&param->value.values[i], type->element, out)
                     : pgdbm__param_no_fit;
    return reason;
}

static const char *row_binary(const pgdbm_param *row, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    const char *reason = NULL;
    if (row->kind != PGDBM_PARAM_ROW)
        return pgdbm__param_no_fit;
    if (row->bytes != type->n_fields)
        return "it has another number of fields";
    pgdbm__wire_int32(out, (int32_t)type->n_fields);
    for (size_t i = 0; reason == NULL && i < row->bytes; i++) {
        pgdbm__wire_int32(out, (int32_t)type->fields[i].type->oid);
        reason = pgdbm__param_binary(&row->value.values[i], type->fields[i].type, out);
    }
    return reason;
}

static const char *hstore_binary(const pgdbm_param *param, struct pgdbm__buffer *out)
{
    const struct pgdbm__type *text = pgdbm__type_builtin(PGDBM__OID_TEXT);
    const char *reason = NULL;
    if (param->kind != PGDBM_PARAM_ARRAY && param->kind != PGDBM_PARAM_TEXTS)
        return pgdbm__param_no_fit;
    if (param->bytes % 2 != 0 || param->bytes / 2 > INT32_MAX)
        return "an hstore needs a value for each key";
    pgdbm__wire_int32(out, (int32_t)(param->bytes / 2));
    for (size_t i = 0; reason == NULL && i < param->bytes; i++) {
        pgdbm_param value = value_at(param, i);
        bool text_or_null = value.kind == PGDBM_PARAM_TEXT || (value.kind == PGDBM_PARAM_NULL && i % 2 == 1);
        reason = text_or_null ? pgdbm__param_binary(&value, text, out) : pgdbm__param_no_fit;
    }
    return reason;
}

const char *pgdbm__composed_binary(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    switch (type->kind) {
    case PGDBM__TYPE_ARRAY:
        return array_binary(param, type, out);
    case PGDBM__TYPE_RANGE:
        return range_binary(param, type, out);
    case PGDBM__TYPE_MULTIRANGE:
        return multirange_binary(param, type, out);
    case PGDBM__TYPE_COMPOSITE:
        return row_binary(param, type, out);
    case PGDBM__TYPE_HSTORE:
        return hstore_binary(param, out);
    case PGDBM__TYPE_OPAQUE:
        return pgdbm__param_unparsed;
    default:
        return pgdbm__param_no_fit;
    }
}

/* --- as text --- */

static void put(struct pgdbm__buffer *out, char character)
{
    pgdbm__buffer_append(out, &character, 1);
}

/* Types that are not known are taken to be made of what is given: the server will say. */
static const struct pgdbm__type *part_of(const struct pgdbm__type *type, size_t field)
{
    if (type->kind == PGDBM__TYPE_COMPOSITE)
        return type->fields[field].type;
    return type->element != NULL ? type->element : type;
}

/* The text of one value inside, in `scratch`. */
static const char *inside(const pgdbm_param *value, const struct pgdbm__type *type, struct pgdbm__buffer *scratch)
{
    scratch->length = 0;
    return pgdbm__param_text(value, type, scratch);
}

/* Also of a multirange, whose ranges stand as they are. */
static const char *array_text(const pgdbm_param *array, const struct pgdbm__type *type, struct pgdbm__buffer *scratch,
                              struct pgdbm__buffer *out)
{
    const struct pgdbm__type *element = part_of(type, 0);
    char delimiter = element->delimiter != '\0' ? element->delimiter : ',';
    const char *reason = NULL;
    put(out, '{');
    for (size_t i = 0; reason == NULL && i < array->bytes; i++) {
        pgdbm_param value = value_at(array, i);
        if (i > 0)
            put(out, delimiter);
        if (value.kind == PGDBM_PARAM_NULL)
            pgdbm__buffer_append(out, "NULL", 4);
        else if (is_array(value.kind))
            reason = array_text(&value, type, scratch, out);
        else if ((reason = inside(&value, element, scratch)) != NULL)
            continue;
        else if (type->kind == PGDBM__TYPE_MULTIRANGE)
            pgdbm__buffer_append(out, scratch->data, scratch->length);
        else
            pgdbm__quote_element(scratch->data, scratch->length, delimiter, out);
    }
    put(out, '}');
    return reason;
}

static const char *range_text(const pgdbm_range *range, const struct pgdbm__type *subtype,
                              struct pgdbm__buffer *scratch, struct pgdbm__buffer *out)
{
    unsigned flags;
    const char *reason = NULL;
    if (!range_flags(range, &flags))
        return bad_bounds;
    if ((flags & PGDBM__RANGE_EMPTY) != 0) {
        pgdbm__buffer_append(out, "empty", 5);
        return NULL;
    }
    put(out, (flags & PGDBM__RANGE_LOWER_INCLUSIVE) != 0 ? '[' : '(');
    if (range->lower.kind != PGDBM_PARAM_NULL && (reason = inside(&range->lower, subtype, scratch)) == NULL)
        pgdbm__quote_bound(scratch->data, scratch->length, out);
    put(out, ',');
    if (reason == NULL && range->upper.kind != PGDBM_PARAM_NULL &&
        (reason = inside(&range->upper, subtype, scratch)) == NULL)
        pgdbm__quote_bound(scratch->data, scratch->length, out);
    put(out, (flags & PGDBM__RANGE_UPPER_INCLUSIVE) != 0 ? ']' : ')');
    return reason;
}

static const char *row_text(const pgdbm_param *row, const struct pgdbm__type *type, struct pgdbm__buffer *scratch,
                            struct pgdbm__buffer *out)
{
    const char *reason = NULL;
    if (type->kind == PGDBM__TYPE_COMPOSITE && row->bytes != type->n_fields)
        return "it has another number of fields";
    put(out, '(');
    for (size_t i = 0; reason == NULL && i < row->bytes; i++) {
        const pgdbm_param *value = &row->value.values[i];
        if (i > 0)
            put(out, ',');
        if (value->kind != PGDBM_PARAM_NULL && (reason = inside(value, part_of(type, i), scratch)) == NULL)
            pgdbm__quote_field(scratch->data, scratch->length, out);
    }
    put(out, ')');
    return reason;
}

/* An hstore has its texts as they are: what is sent in binary, printed. */
static const char *hstore_text(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *scratch,
                               struct pgdbm__buffer *out)
{
    const char *reason = hstore_binary(param, scratch);
    if (reason == NULL && !scratch->failed)
        (void)type->print(type, scratch->data, scratch->length, out);
    return reason;
}

const char *pgdbm__composed_text(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out)
{
    struct pgdbm__buffer scratch = {0};
    bool opaque = type->kind == PGDBM__TYPE_OPAQUE;
    const char *reason = pgdbm__param_no_fit;
    if (type->kind == PGDBM__TYPE_HSTORE)
        reason = hstore_text(param, type, &scratch, out);
    else if (is_array(param->kind) &&
             (type->kind == PGDBM__TYPE_ARRAY || type->kind == PGDBM__TYPE_MULTIRANGE || opaque)) {
        size_t n_dimensions = 0;
        int32_t sizes[PGDBM__ARRAY_DIMENSIONS];
        reason = measure(param, 0, &n_dimensions, sizes);
        if (reason == NULL)
            reason = array_text(param, type, &scratch, out);
    } else if (param->kind == PGDBM_PARAM_RANGE && (type->kind == PGDBM__TYPE_RANGE || opaque))
        reason = range_text(param->value.data, part_of(type, 0), &scratch, out);
    else if (param->kind == PGDBM_PARAM_ROW && (type->kind == PGDBM__TYPE_COMPOSITE || opaque))
        reason = row_text(param, type, &scratch, out);
    out->failed = out->failed || scratch.failed;
    pgdbm__buffer_free(&scratch);
    return reason;
}
