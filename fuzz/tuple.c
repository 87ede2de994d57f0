/* SPDX-License-Identifier: MIT */
/* Any bytes as COPY's binary format: in pieces of any size, the same rows are found as in one piece. */
#include "result/tuple.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* What was found, in order. */
struct found {
    uint64_t rows, digest;
    enum pgdbm__tuple_found end;
};

static struct pgdbm__description *describe(size_t n_columns)
{
    unsigned char body[2 + 4 * 19] = {0, (unsigned char)n_columns}; /* without names */
    struct pgdbm__description *description = NULL;
    require(pgdbm__description_parse(body, 2 + n_columns * 19, &description, NULL) == PGDBM_OK);
    return description;
}

static void look(struct found *found, pgdbm_result *row, unsigned char *body, size_t bytes)
{
    found->rows++;
    for (size_t i = 0; i < bytes; i++)
        found->digest = (found->digest ^ body[i]) * UINT64_C(0x100000001b3);
    unsigned char behind = body[bytes];
    require(pgdbm__result_borrow_row(row, body, bytes) == PGDBM__ROW_OK);
    body[bytes] = behind;
}

/* In pieces of `piece` bytes, each in memory of its own with a byte behind it. */
static struct found read_in(const uint8_t *data, size_t size, size_t n_columns, size_t piece)
{
    struct found found = {.end = PGDBM__TUPLE_MORE};
    struct pgdbm__tuple_reader reader = {.n_columns = n_columns};
    struct pgdbm__description *description = describe(n_columns);
    pgdbm_result *row = pgdbm__result_new(NULL);
    pgdbm__result_init_borrowed(row, description);
    for (size_t at = 0; at < size && found.end == PGDBM__TUPLE_MORE; at += piece) {
        size_t bytes = size - at < piece ? size - at : piece;
        char *copy = malloc(bytes + 1);
        unsigned char *body = NULL;
        size_t length = 0;
        memcpy(copy, data + at, bytes);
        require(pgdbm__tuples_feed(&reader, copy, bytes));
        while ((found.end = pgdbm__tuples_next(&reader, &body, &length)) == PGDBM__TUPLE_ROW)
            look(&found, row, body, length);
        require(found.end != PGDBM__TUPLE_NOMEM);
        free(copy);
    }
    pgdbm__buffer_free(&reader.held);
    pgdbm_result_free(row);
    pgdbm__description_unref(description);
    return found;
}

/* The first byte says how many columns there are, the second how large a piece is; the rest comes behind a header. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t header[19] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 255, '\r', '\n', 0};
    if (size < 3)
        return 0;
    size_t n_columns = data[0] % 5;
    bool headed = data[0] < 128;
    size_t head = headed ? sizeof header : 0;
    uint8_t *stream = malloc(head + size - 2);
    memcpy(stream, header, head);
    memcpy(stream + head, data + 2, size - 2);
    struct found whole = read_in(stream, head + size - 2, n_columns, SIZE_MAX / 2);
    struct found pieces = read_in(stream, head + size - 2, n_columns, 1 + data[1] % 64);
    require(whole.rows == pieces.rows && whole.digest == pieces.digest && whole.end == pieces.end);
    free(stream);
    return 0;
}
