/* SPDX-License-Identifier: MIT */
/* A row description and rows of any bytes, read by every accessor, and as structs. */
#include "result/shape.h"
#include "types/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const pgdbm_result *result)
{
    for (size_t row = 0; row < pgdbm_result_rows(result); row++)
        for (size_t column = 0; column < pgdbm_result_columns(result); column++) {
            bool boolean;
            int16_t int16;
            int32_t int32;
            int64_t int64;
            float single;
            double number;
            const char *text;
            pgdbm_blob blob;
            (void)pgdbm_is_null(result, row, column, &boolean, NULL);
            (void)pgdbm_get_bool(result, row, column, &boolean, NULL);
            (void)pgdbm_get_int16(result, row, column, &int16, NULL);
            (void)pgdbm_get_int32(result, row, column, &int32, NULL);
            (void)pgdbm_get_int64(result, row, column, &int64, NULL);
            (void)pgdbm_get_float(result, row, column, &single, NULL);
            (void)pgdbm_get_double(result, row, column, &number, NULL);
            if (pgdbm_get_text(result, row, column, &text, NULL) == PGDBM_OK && text != NULL && strlen(text) > 1 << 20)
                abort();
            (void)pgdbm_get_bytes(result, row, column, &blob, NULL);
            (void)pgdbm_get_text(result, row, pgdbm_result_column_name(result, column), &text, NULL);
        }
}

/* ---- as structs ---- */

enum { FIELDS = 32, SLOT = 32 }; /* a slot holds every kind of field, and its companion at its end */

/* A field for each column, of a kind that fits: which one says `choice`. */
static pgdbm_struct shape_of(const struct pgdbm__description *description, unsigned choice, pgdbm_field *fields)
{
    for (size_t i = 0; i < description->n_columns; i++) {
        unsigned kind = choice + (unsigned)i;
        for (unsigned tries = 0; tries <= PGDBM_BITS; tries++, kind++)
            if (pgdbm__value_fits(description->columns[i].info, (pgdbm_field_kind)(1 + kind % PGDBM_BITS)))
                break;
        fields[i] = (pgdbm_field){.column = description->columns[i].name,
                                  .kind = (pgdbm_field_kind)(1 + kind % PGDBM_BITS),
                                  .offset = i * SLOT,
                                  .companion = (choice + i) % 3 != 0 ? i * SLOT + SLOT - 1 : PGDBM_NO_COMPANION};
        fields[i].bytes = pgdbm__kind_bytes(fields[i].kind);
    }
    return (pgdbm_struct){"row", description->n_columns * SLOT, fields, description->n_columns};
}

static void read_structs(const pgdbm_result *result, const pgdbm_struct *shape)
{
    const char *rows = pgdbm_result_structs(result);
    for (size_t row = 0; row < pgdbm_result_rows(result); row++)
        for (size_t i = 0; i < shape->n_fields; i++) {
            const char *text = NULL;
            if (shape->fields[i].kind == PGDBM_TEXT)
                memcpy(&text, rows + row * shape->bytes + shape->fields[i].offset, sizeof text);
            if (text != NULL && strlen(text) > 1 << 20)
                abort();
        }
}

static void append_structs(struct pgdbm__description *description, const uint8_t *data, size_t size)
{
    pgdbm_field fields[FIELDS];
    pgdbm_result *result = NULL;
    if (description->n_columns == 0 || description->n_columns > FIELDS)
        return;
    const pgdbm_struct shape = shape_of(description, data[size - 1], fields);
    if (pgdbm__shape_check(&shape, "fuzz", NULL) != PGDBM_OK ||
        pgdbm__structs_new(description, &shape, &result, NULL) != PGDBM_OK)
        return;
    enum pgdbm__row_status status = PGDBM__ROW_OK;
    for (size_t at = (size_t)data[0] + 1; at < size && status == PGDBM__ROW_OK;) {
        size_t bytes = data[at] < size - at - 1 ? data[at] : size - at - 1;
        unsigned char *body = malloc(bytes + 1);
        memcpy(body, data + at + 1, bytes);
        status = pgdbm__structs_append(result, body, bytes, NULL);
        free(body);
        at += bytes + 1;
    }
    read_structs(result, &shape);
    pgdbm_result_free(result);
}

/* The input is cut into bodies by a length byte each: the description first, then rows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgdbm__description *description = NULL;
    if (size < 1 ||
        pgdbm__description_parse(data + 1, data[0] < size - 1 ? data[0] : size - 1, &description, NULL) != PGDBM_OK)
        return 0;
    pgdbm_result *result = pgdbm__result_new(description);
    pgdbm_result *borrowed = pgdbm__result_new(NULL);
    pgdbm__result_init_borrowed(borrowed, description);
    for (size_t at = (size_t)data[0] + 1; at < size;) {
        size_t bytes = data[at] < size - at - 1 ? data[at] : size - at - 1;
        unsigned char *body = malloc(bytes + 1);
        memcpy(body, data + at + 1, bytes);
        (void)pgdbm__result_append(result, body, bytes);
        if (pgdbm__result_borrow_row(borrowed, body, bytes) == PGDBM__ROW_OK)
            read_all(borrowed);
        borrowed->n_rows = 0;
        free(body);
        at += bytes + 1;
    }
    read_all(result);
    append_structs(description, data, size);
    pgdbm_result_free(result);
    pgdbm_result_free(borrowed);
    pgdbm__description_unref(description);
    return 0;
}
