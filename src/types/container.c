/* SPDX-License-Identifier: MIT */
/* Walking and printing values made of others. How deep that goes is bounded by the type, which is never made of itself, and
 * never of very many one in another (session/lookup.c). */
#include "types/container.h"

#include "types/number.h"

#include <string.h>
#include <strings.h>

bool pgdbm__read_int32(struct pgdbm__reader *reader, int32_t *number)
{
    if (reader->bytes < 4)
        return false;
    *number = (int32_t)pgdbm__get_uint32(reader->at);
    reader->at += 4;
    reader->bytes -= 4;
    return true;
}

bool pgdbm__read_item(struct pgdbm__reader *reader, const char **data, int32_t *length)
{
    if (!pgdbm__read_int32(reader, length) || *length < -1 || (*length > 0 && (size_t)*length > reader->bytes))
        return false;
    *data = reader->at;
    if (*length > 0) {
        reader->at += *length;
        reader->bytes -= (size_t)*length;
    }
    return true;
}

bool pgdbm__read_field(struct pgdbm__reader *reader, const struct pgdbm__type *type, const char **data, int32_t *length)
{
    int32_t oid;
    return pgdbm__read_int32(reader, &oid) && (uint32_t)oid == type->oid && pgdbm__read_item(reader, data, length);
}

bool pgdbm__read_array_head(struct pgdbm__reader *reader, const struct pgdbm__type *type,
                            struct pgdbm__array_head *head)
{
    int32_t dimensions;
    int32_t flags;
    int32_t element;
    *head = (struct pgdbm__array_head){0};
    if (!pgdbm__read_int32(reader, &dimensions) || dimensions < 0 || dimensions > PGDBM__ARRAY_DIMENSIONS ||
        !pgdbm__read_int32(reader, &flags) || !pgdbm__read_int32(reader, &element) ||
        (uint32_t)element != type->element->oid)
        return false;
    size_t count = dimensions > 0 ? 1 : 0;
    for (int32_t i = 0; i < dimensions; i++) {
        if (!pgdbm__read_int32(reader, &head->sizes[i]) || !pgdbm__read_int32(reader, &head->lower[i]) ||
            head->sizes[i] < 0 || (head->sizes[i] > 0 && count > SIZE_MAX / (size_t)head->sizes[i]))
            return false;
        count *= (size_t)head->sizes[i];
    }
    head->n_dimensions = count > 0 ? (size_t)dimensions : 0;
    head->count = count;
    return count <= reader->bytes / 4; /* each element has at least its length */
}

bool pgdbm__print_text(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out)
{
    (void)type;
    pgdbm__buffer_append(out, data, bytes);
    return true;
}

bool pgdbm__parse_text(const struct pgdbm__type *type, const char *text, size_t bytes, struct pgdbm__buffer *out)
{
    return pgdbm__print_text(type, text, bytes, out);
}

static void put(struct pgdbm__buffer *out, char character)
{
    pgdbm__buffer_append(out, &character, 1);
}

static bool is_space(char character)
{
    return character == ' ' || (character >= '\t' && character <= '\r');
}

/* In double quotes. An inner quote is doubled where `doubles`, else escaped as a backslash is. */
static void quote(const char *text, size_t bytes, bool doubles, struct pgdbm__buffer *out)
{
    put(out, '"');
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\\' || text[i] == '"')
            put(out, doubles ? text[i] : '\\');
        put(out, text[i]);
    }
    put(out, '"');
}

static bool has_any(const char *text, size_t bytes, const char *characters)
{
    for (size_t i = 0; i < bytes; i++)
        if (is_space(text[i]) || (text[i] != '\0' && strchr(characters, text[i]) != NULL))
            return true;
    return false;
}

void pgdbm__quote_element(const char *text, size_t bytes, char delimiter, struct pgdbm__buffer *out)
{
    const char special[] = {'"', '\\', '{', '}', delimiter, '\0'};
    if (bytes == 0 || (bytes == 4 && strncasecmp(text, "NULL", 4) == 0) || has_any(text, bytes, special))
        quote(text, bytes, false, out);
    else
        pgdbm__buffer_append(out, text, bytes);
}

void pgdbm__quote_field(const char *text, size_t bytes, struct pgdbm__buffer *out)
{
    if (bytes == 0 || has_any(text, bytes, "\"\\(),"))
        quote(text, bytes, true, out);
    else
        pgdbm__buffer_append(out, text, bytes);
}

void pgdbm__quote_bound(const char *text, size_t bytes, struct pgdbm__buffer *out)
{
    if (bytes == 0 || has_any(text, bytes, "\"\\()[],"))
        quote(text, bytes, true, out);
    else
        pgdbm__buffer_append(out, text, bytes);
}

/* The text of one value inside, in `scratch`. */
static bool print_inside(const struct pgdbm__type *type, const char *data, int32_t length,
                         struct pgdbm__buffer *scratch)
{
    const struct pgdbm__type *base = pgdbm__type_base(type);
    scratch->length = 0;
    return base->print != NULL && base->print(base, data, (size_t)length, scratch);
}

static char delimiter_of(const struct pgdbm__type *element)
{
    return element->delimiter != '\0' ? element->delimiter : ',';
}

static bool print_element(const struct pgdbm__type *element, struct pgdbm__reader *reader,
                          struct pgdbm__buffer *scratch, struct pgdbm__buffer *out)
{
    const char *data;
    int32_t length;
    if (!pgdbm__read_item(reader, &data, &length))
        return false;
    if (length < 0) {
        pgdbm__buffer_append(out, "NULL", 4);
        return true;
    }
    if (!print_inside(element, data, length, scratch))
        return false;
    pgdbm__quote_element(scratch->data, scratch->length, delimiter_of(element), out);
    return true;
}

/* The bounds are printed when one of them does not begin with 1. */
static void print_bounds(const struct pgdbm__array_head *head, struct pgdbm__buffer *out)
{
    bool needed = false;
    for (size_t i = 0; i < head->n_dimensions; i++)
        needed = needed || head->lower[i] != 1;
    for (size_t i = 0; needed && i < head->n_dimensions; i++)
        pgdbm__buffer_format(out, "[%ld:%ld]", (long)head->lower[i], (long)head->lower[i] + head->sizes[i] - 1);
    if (needed)
        put(out, '=');
}

bool pgdbm__print_array(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out)
{
    struct pgdbm__reader reader = {data, bytes};
    struct pgdbm__array_head head;
    struct pgdbm__buffer scratch = {0};
    if (!pgdbm__read_array_head(&reader, type, &head))
        return false;
    if (head.count == 0) {
        pgdbm__buffer_append(out, "{}", 2);
        return reader.bytes == 0;
    }
    print_bounds(&head, out);
    bool sound = true;
    for (size_t number = 0; sound && number < head.count; number++) {
        size_t stride = 1; /* a brace for each dimension that begins here, and ends behind it */
        for (size_t i = head.n_dimensions; i-- > 0;) {
            stride *= (size_t)head.sizes[i];
            if (number % stride == 0)
                put(out, '{');
        }
        sound = print_element(type->element, &reader, &scratch, out);
        stride = 1;
        for (size_t i = head.n_dimensions; i-- > 0;) {
            stride *= (size_t)head.sizes[i];
            if ((number + 1) % stride == 0)
                put(out, '}');
        }
        if (number + 1 < head.count)
            put(out, delimiter_of(type->element));
    }
    out->failed = out->failed || scratch.failed;
    pgdbm__buffer_free(&scratch);
    return sound && reader.bytes == 0;
}

static bool print_bound(const struct pgdbm__type *subtype, struct pgdbm__reader *reader, struct pgdbm__buffer *out)
{
    struct pgdbm__buffer scratch = {0};
    const char *data;
    int32_t length;
    bool sound =
        pgdbm__read_item(reader, &data, &length) && length >= 0 && print_inside(subtype, data, length, &scratch);
    if (sound)
        pgdbm__quote_bound(scratch.data, scratch.length, out);
    out->failed = out->failed || scratch.failed;
    pgdbm__buffer_free(&scratch);
    return sound;
}

bool pgdbm__print_range(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out)
{
    if (bytes < 1)
        return false;
    struct pgdbm__reader reader = {data + 1, bytes - 1};
    unsigned flags = (unsigned char)data[0];
    if ((flags & PGDBM__RANGE_EMPTY) != 0) {
        pgdbm__buffer_append(out, "empty", 5);
        return bytes == 1;
    }
    put(out, (flags & PGDBM__RANGE_LOWER_INCLUSIVE) != 0 ? '[' : '(');
    bool sound = (flags & PGDBM__RANGE_LOWER_INFINITE) != 0 || print_bound(type->element, &reader, out);
    put(out, ',');
    sound = sound && ((flags & PGDBM__RANGE_UPPER_INFINITE) != 0 || print_bound(type->element, &reader, out));
    put(out, (flags & PGDBM__RANGE_UPPER_INCLUSIVE) != 0 ? ']' : ')');
    return sound && reader.bytes == 0;
}

bool pgdbm__print_multirange(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out)
{
    struct pgdbm__reader reader = {data, bytes};
    int32_t count;
    if (!pgdbm__read_int32(&reader, &count) || count < 0)
        return false;
    put(out, '{');
    for (int32_t i = 0; i < count; i++) {
        const char *range;
        int32_t length;
        if (i > 0)
            put(out, ',');
        if (!pgdbm__read_item(&reader, &range, &length) || length < 0 ||
            !pgdbm__print_range(type->element, range, (size_t)length, out))
            return false;
    }
    put(out, '}');
    return reader.bytes == 0;
}

bool pgdbm__print_composite(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out)
{
    struct pgdbm__reader reader = {data, bytes};
    struct pgdbm__buffer scratch = {0};
    int32_t count;
    if (!pgdbm__read_int32(&reader, &count) || count < 0 || (size_t)count != type->n_fields)
        return false;
    bool sound = true;
    put(out, '(');
    for (size_t i = 0; sound && i < type->n_fields; i++) {
        const char *value;
        int32_t length;
        if (i > 0)
            put(out, ',');
        sound = pgdbm__read_field(&reader, type->fields[i].type, &value, &length) &&
                (length < 0 || print_inside(type->fields[i].type, value, length, &scratch));
        if (sound && length >= 0)
            pgdbm__quote_field(scratch.data, scratch.length, out);
    }
    put(out, ')');
    out->failed = out->failed || scratch.failed;
    pgdbm__buffer_free(&scratch);
    return sound && reader.bytes == 0;
}

bool pgdbm__print_hstore(const struct pgdbm__type *type, const char *data, size_t bytes, struct pgdbm__buffer *out)
{
    struct pgdbm__reader reader = {data, bytes};
    int32_t count;
    (void)type;
    if (!pgdbm__read_int32(&reader, &count) || count < 0)
        return false;
    for (int32_t i = 0; i < count; i++) {
        const char *text;
        int32_t length;
        if (i > 0)
            pgdbm__buffer_append(out, ", ", 2);
        if (!pgdbm__read_item(&reader, &text, &length) || length < 0)
            return false;
        quote(text, (size_t)length, false, out);
        pgdbm__buffer_append(out, "=>", 2);
        if (!pgdbm__read_item(&reader, &text, &length))
            return false;
        if (length >= 0)
            quote(text, (size_t)length, false, out);
        else
            pgdbm__buffer_append(out, "NULL", 4);
    }
    return reader.bytes == 0;
}
