/* SPDX-License-Identifier: MIT */
/* Any bytes as a value made of others, of built-in and of users' types: it has a text just when it can be taken apart down
 * to values that have one. */
#include "result/text.h"
#include "types/number.h"
#include "types/oid.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* ---- the types ---- */

enum { MOOD = 20000, POSITIVE, POSITIVES, MOODS, PERSON, PEOPLE, CITIZEN, HSTORE, NOTHING, COUPLE };

static struct pgdbm__type users_types[] = {
    {.oid = MOOD, .kind = PGDBM__TYPE_TEXT, .name = "mood", .print = pgdbm__print_text, .parse = pgdbm__parse_text},
    {.oid = POSITIVE, .kind = PGDBM__TYPE_DOMAIN, .name = "positive"},
    {.oid = POSITIVES, .kind = PGDBM__TYPE_ARRAY, .name = "positive[]", .print = pgdbm__print_array, .delimiter = ';'},
    {.oid = MOODS, .kind = PGDBM__TYPE_RANGE, .name = "moods", .print = pgdbm__print_range},
    {.oid = PERSON, .kind = PGDBM__TYPE_COMPOSITE, .name = "person", .print = pgdbm__print_composite},
    {.oid = PEOPLE, .kind = PGDBM__TYPE_ARRAY, .name = "person[]", .print = pgdbm__print_array},
    {.oid = CITIZEN, .kind = PGDBM__TYPE_DOMAIN, .name = "citizen"},
    {.oid = HSTORE, .kind = PGDBM__TYPE_HSTORE, .name = "hstore", .print = pgdbm__print_hstore},
    {.oid = NOTHING, .kind = PGDBM__TYPE_COMPOSITE, .name = "nothing", .print = pgdbm__print_composite},
    {.oid = COUPLE, .kind = PGDBM__TYPE_COMPOSITE, .name = "couple", .print = pgdbm__print_composite},
};

static struct pgdbm__type_field person_fields[5] = {
    {.name = "name"}, {.name = "feels"}, {.name = "age"}, {.name = "tags"}, {.name = "lived"}};
static struct pgdbm__type_field couple_fields[3] = {{.name = "left"}, {.name = "right"}, {.name = "children"}};

static struct pgdbm__type *user(uint32_t oid)
{
    return &users_types[oid - MOOD];
}

static void tie_types(void)
{
    user(POSITIVE)->element = pgdbm__type_builtin(PGDBM__OID_INT4);
    user(POSITIVES)->element = user(POSITIVE);
    user(MOODS)->element = user(MOOD);
    user(PEOPLE)->element = user(PERSON);
    user(CITIZEN)->element = user(PERSON);
    person_fields[0].type = pgdbm__type_builtin(PGDBM__OID_TEXT);
    person_fields[1].type = user(MOOD);
    person_fields[2].type = user(POSITIVE);
    person_fields[3].type = user(HSTORE);
    person_fields[4].type = pgdbm__type_builtin(3912); /* daterange */
    couple_fields[0].type = user(CITIZEN);
    couple_fields[1].type = user(PERSON);
    couple_fields[2].type = user(PEOPLE);
    user(PERSON)->fields = person_fields;
    user(PERSON)->n_fields = 5;
    user(COUPLE)->fields = couple_fields;
    user(COUPLE)->n_fields = 3;
}

static const struct pgdbm__type *choose_type(unsigned number)
{
    /* bool[], int4[], text[], bytea[], numeric[], timestamptz[], jsonb[]; ranges, multiranges, and arrays of those */
    static const uint32_t builtin[] = {1000, 1007, 1009, 1001, 1231, 1185, 3807,
                                       3904, 3906, 3910, 4451, 4533, 3905, 6155};
    const size_t n_builtin = sizeof builtin / sizeof *builtin;
    const size_t n_users = sizeof users_types / sizeof *users_types;
    number %= n_builtin + n_users;
    return number < n_builtin ? pgdbm__type_builtin(builtin[number]) : &users_types[number - n_builtin];
}

/* ---- sound values, shaped by the input ---- */

struct input {
    const uint8_t *at;
    size_t bytes;
};

/* 0 at the end: so what is shaped by it ends, too. */
static unsigned next(struct input *input)
{
    if (input->bytes == 0)
        return 0;
    input->bytes--;
    return *input->at++;
}

static void put_int32(struct pgdbm__buffer *out, uint32_t number)
{
    const char bytes[] = {(char)(number >> 24), (char)(number >> 16), (char)(number >> 8), (char)number};
    pgdbm__buffer_append(out, bytes, sizeof bytes);
}

static void shape(const struct pgdbm__type *type, struct input *input, struct pgdbm__buffer *out);

static void shape_item(const struct pgdbm__type *type, bool nullable, struct input *input, struct pgdbm__buffer *out)
{
    size_t begin = out->length;
    put_int32(out, UINT32_MAX);
    if (nullable && next(input) % 8 == 7)
        return;
    shape(type, input, out);
    struct pgdbm__buffer length = {0};
    put_int32(&length, (uint32_t)(out->length - begin - 4));
    memcpy(out->data + begin, length.data, 4);
    pgdbm__buffer_free(&length);
}

/* The first text that the type takes, from the chosen one on. */
static void shape_scalar(const struct pgdbm__type *type, struct input *input, struct pgdbm__buffer *out)
{
    static const char *const texts[] = {"1",        "",   "NULL", "a\"b\\c {(,)}",          "-3.50", "2026-01-31",
                                        "infinity", " t", "{}",   "2026-01-31 12:00:00+00", ";",     "t",
                                        "\\x00"};
    const size_t n_texts = sizeof texts / sizeof *texts;
    size_t chosen = next(input) % n_texts;
    size_t tries = 0;
    while (tries < n_texts && !type->parse(type, texts[chosen], strlen(texts[chosen]), out)) {
        chosen = (chosen + 1) % n_texts;
        tries++;
    }
    require(tries < n_texts);
}

static void shape_array(const struct pgdbm__type *type, struct input *input, struct pgdbm__buffer *out)
{
    unsigned dimensions = next(input) % (PGDBM__ARRAY_DIMENSIONS + 1);
    size_t count = dimensions > 0;
    put_int32(out, dimensions);
    put_int32(out, 0);
    put_int32(out, type->element->oid);
    for (unsigned i = 0; i < dimensions; i++) {
        unsigned length = 1 + next(input) % 3;
        put_int32(out, length);
        put_int32(out, next(input) % 4);
        count *= length;
    }
    for (size_t i = 0; i < count; i++)
        shape_item(type->element, true, input, out);
}

static void shape_range(const struct pgdbm__type *type, struct input *input, struct pgdbm__buffer *out)
{
    unsigned flags = next(input) % 32;
    char byte = (char)flags;
    pgdbm__buffer_append(out, &byte, 1);
    if ((flags & PGDBM__RANGE_EMPTY) != 0)
        return;
    if ((flags & PGDBM__RANGE_LOWER_INFINITE) == 0)
        shape_item(type->element, false, input, out);
    if ((flags & PGDBM__RANGE_UPPER_INFINITE) == 0)
        shape_item(type->element, false, input, out);
}

static void shape_many(const struct pgdbm__type *first, const struct pgdbm__type *second, struct input *input,
                       struct pgdbm__buffer *out)
{
    unsigned count = next(input) % 4;
    put_int32(out, count);
    for (unsigned i = 0; i < count; i++) {
        shape_item(first, false, input, out);
        if (second != NULL)
            shape_item(second, true, input, out);
    }
}

static void shape(const struct pgdbm__type *type, struct input *input, struct pgdbm__buffer *out)
{
    const struct pgdbm__type *base = pgdbm__type_base(type);
    const struct pgdbm__type *text = pgdbm__type_builtin(PGDBM__OID_TEXT);
    switch (base->kind) {
    case PGDBM__TYPE_ARRAY:
        shape_array(base, input, out);
        break;
    case PGDBM__TYPE_RANGE:
        shape_range(base, input, out);
        break;
    case PGDBM__TYPE_MULTIRANGE:
        shape_many(base->element, NULL, input, out);
        break;
    case PGDBM__TYPE_HSTORE:
        shape_many(text, text, input, out);
        break;
    case PGDBM__TYPE_COMPOSITE:
        put_int32(out, (uint32_t)base->n_fields);
        for (size_t i = 0; i < base->n_fields; i++) {
            put_int32(out, base->fields[i].type->oid);
            shape_item(base->fields[i].type, true, input, out);
        }
        break;
    default:
        shape_scalar(base, input, out);
    }
}

/* ---- reading it both ways ---- */

static bool has_text(const pgdbm_result *result, size_t row, size_t column)
{
    struct pgdbm__value value;
    struct pgdbm__buffer text = {0};
    require(pgdbm__value_find(result, row, column, &value, &value, NULL) == PGDBM_OK);
    const struct pgdbm__type *type = pgdbm__type_base(value.column->info);
    bool has = value.length < 0 || type->print(type, value.data, (size_t)value.length, &text);
    pgdbm__buffer_free(&text);
    return has;
}

static bool comes_apart(const pgdbm_result *result, size_t row, size_t column)
{
    static pgdbm_status (*const getters[])(const pgdbm_result *, size_t, size_t, pgdbm_result **, pgdbm_error *) = {
        [PGDBM__TYPE_ARRAY] = pgdbm_get_array_at,       [PGDBM__TYPE_RANGE] = pgdbm_get_ranges_at,
        [PGDBM__TYPE_MULTIRANGE] = pgdbm_get_ranges_at, [PGDBM__TYPE_COMPOSITE] = pgdbm_get_record_at,
        [PGDBM__TYPE_HSTORE] = pgdbm_get_hstore_at,     [PGDBM__TYPE_OPAQUE] = NULL};
    struct pgdbm__value value;
    pgdbm_result *parts = NULL;
    require(pgdbm__value_find(result, row, column, &value, &value, NULL) == PGDBM_OK);
    const struct pgdbm__type *type = pgdbm__type_base(value.column->info);
    if (value.length < 0 || getters[type->kind] == NULL)
        return has_text(result, row, column);
    if (getters[type->kind](result, row, column, &parts, NULL) != PGDBM_OK)
        return false;
    bool sound = true;
    size_t expected = pgdbm_array_dimensions(parts) > 0;
    for (size_t i = 0; i < pgdbm_array_dimensions(parts); i++)
        expected *= pgdbm_array_length(parts, i);
    require(type->kind != PGDBM__TYPE_ARRAY || pgdbm_result_rows(parts) == expected);
    for (size_t i = 0; i < pgdbm_result_rows(parts); i++)
        for (size_t j = 0; j < pgdbm_result_columns(parts); j++)
            sound = comes_apart(parts, i, j) && sound;
    pgdbm_result_free(parts);
    return sound;
}

static pgdbm_result *result_of(const struct pgdbm__type *type, const struct pgdbm__buffer *value)
{
    static const unsigned char description_body[2 + 2 + 18] = {0, 1, 'v'};
    struct pgdbm__description *description = NULL;
    struct pgdbm__buffer body = {0};
    require(pgdbm__description_parse(description_body, sizeof description_body, &description, NULL) == PGDBM_OK);
    description->columns[0] =
        (struct pgdbm__column){.name = description->columns[0].name, .type = type->oid, .format = 1, .info = type};
    pgdbm_result *result = pgdbm__result_new(description);
    pgdbm__buffer_append(&body, "\0\1", 2);
    put_int32(&body, (uint32_t)value->length);
    pgdbm__buffer_append(&body, value->data, value->length);
    require(pgdbm__result_append(result, (const unsigned char *)body.data, body.length) == PGDBM__ROW_OK);
    pgdbm__description_unref(description);
    pgdbm__buffer_free(&body);
    return result;
}

/* The first byte chooses the type. The second: the rest is the value as it is, or shapes a sound one; then, unless the
 * input has ended, one byte of that is damaged. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgdbm__buffer value = {0};
    if (size < 2)
        return 0;
    tie_types();
    const struct pgdbm__type *type = choose_type(data[0]);
    struct input input = {data + 2, size - 2};
    bool must_be_sound = data[1] % 2 == 1;
    if (must_be_sound)
        shape(type, &input, &value);
    else
        pgdbm__buffer_append(&value, input.at, input.bytes);
    if (must_be_sound && input.bytes >= 3 && value.length > 0) {
        size_t place = (next(&input) << 8 | next(&input)) % value.length;
        value.data[place] = (char)(value.data[place] ^ next(&input));
        must_be_sound = false;
    }
    pgdbm_result *result = result_of(type, &value);
    bool printed = has_text(result, 0, 0);
    require(printed || !must_be_sound);
    require(comes_apart(result, 0, 0) == printed);
    pgdbm_result_free(result);
    pgdbm__buffer_free(&value);
    return 0;
}
