/* SPDX-License-Identifier: MIT */
/* A row description and rows of any bytes, read by every accessor. */
#include "result/result.h"

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
    pgdbm_result_free(result);
    pgdbm_result_free(borrowed);
    pgdbm__description_unref(description);
    return 0;
}
