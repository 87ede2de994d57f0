/* SPDX-License-Identifier: MIT */
/* Building results from the server's messages, which are checked byte by byte before they are believed. Each row is
 * copied once: its cells, then its values, each ending with NUL so that text can be handed out where it lies. One
 * thread builds; nobody reads meanwhile. */
#include "result/result.h"

#include "base/alloc.h"
#include "base/error.h"
#include "result/text.h"
#include "types/number.h"

#include <string.h>

#define INSIDE_BYTES 512
#define FIRST_CHUNK_BYTES ((size_t)8 * 1024)
#define LARGEST_CHUNK_BYTES ((size_t)1024 * 1024)

/* What stands behind each name in a RowDescription: table, column, type, length, modifier, format. */
#define COLUMN_TAIL_BYTES 18

static pgdbm_status malformed(pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_CONNECTION, "the server broke protocol: a row description is malformed");
    pgdbm__error_hint(err, "the session is closed; is there something between this program and PostgreSQL?");
    return PGDBM_ERR_CONNECTION;
}

/* Checks the body and sums up the names' bytes with their NULs. */
static bool measure(const unsigned char *body, size_t bytes, size_t n_columns, size_t *name_bytes)
{
    size_t at = 2;
    *name_bytes = 0;
    for (size_t i = 0; i < n_columns; i++) {
        const unsigned char *end = at < bytes ? memchr(body + at, '\0', bytes - at) : NULL;
        if (end == NULL)
            return false;
        size_t length = (size_t)(end - (body + at)) + 1;
        *name_bytes += length;
        at += length;
        if (bytes - at < COLUMN_TAIL_BYTES)
            return false;
        at += COLUMN_TAIL_BYTES;
    }
    return at == bytes;
}

pgdbm_status pgdbm__description_parse(const unsigned char *body, size_t bytes, struct pgdbm__description **description,
                                      pgdbm_error *err)
{
    *description = NULL;
    size_t name_bytes;
    if (bytes < 2)
        return malformed(err);
    size_t n_columns = pgdbm__get_uint16(body);
    if (n_columns > INT16_MAX || !measure(body, bytes, n_columns, &name_bytes))
        return malformed(err);
    size_t head = sizeof **description + n_columns * sizeof(struct pgdbm__column);
    struct pgdbm__description *made = pgdbm__alloc(head + name_bytes);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "reading a statement's columns");
    atomic_init(&made->references, 1);
    made->catalog = NULL;
    made->generation = 0;
    made->n_columns = n_columns;
    char *name = (char *)made + head;
    const unsigned char *at = body + 2;
    for (size_t i = 0; i < n_columns; i++) {
        size_t length = strlen((const char *)at) + 1;
        memcpy(name, at, length);
        at += length;
        uint32_t type = pgdbm__get_uint32(at + 6);
        const struct pgdbm__type *info = pgdbm__type_builtin(type);
        made->columns[i] = (struct pgdbm__column){
            .name = name, .type = type, .format = info != NULL, .info = info != NULL ? info : &pgdbm__type_unknown};
        at += COLUMN_TAIL_BYTES;
        name += length;
    }
    *description = made;
    return PGDBM_OK;
}

struct pgdbm__description *pgdbm__description_ref(struct pgdbm__description *description)
{
    if (description != NULL)
        atomic_fetch_add_explicit(&description->references, 1, memory_order_relaxed);
    return description;
}

void pgdbm__description_unref(struct pgdbm__description *description)
{
    if (description == NULL || atomic_fetch_sub_explicit(&description->references, 1, memory_order_acq_rel) != 1)
        return;
    pgdbm__catalog_unref(description->catalog);
    pgdbm__free(description);
}

bool pgdbm__description_resolve(struct pgdbm__description *description, struct pgdbm__catalog *catalog,
                                void (*missing)(void *context, uint32_t oid), void *context)
{
    bool all = true;
    if (description != NULL)
        description->generation = pgdbm__catalog_generation(catalog);
    for (size_t i = 0; description != NULL && i < description->n_columns; i++) {
        struct pgdbm__column *column = &description->columns[i];
        const struct pgdbm__type *info = pgdbm__catalog_find(catalog, column->type);
        all = all && info != NULL;
        if (info == NULL && missing != NULL)
            missing(context, column->type);
        if (info == NULL)
            continue;
        if (description->catalog == NULL && pgdbm__type_builtin(column->type) == NULL)
            description->catalog = pgdbm__catalog_ref(catalog);
        column->info = info;
        column->format = pgdbm__type_is_binary(info);
    }
    return all;
}

bool pgdbm__description_equal(const struct pgdbm__description *a, const struct pgdbm__description *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->n_columns != b->n_columns)
        return false;
    for (size_t i = 0; i < a->n_columns; i++)
        if (a->columns[i].type != b->columns[i].type || strcmp(a->columns[i].name, b->columns[i].name) != 0)
            return false;
    return true;
}

pgdbm_result *pgdbm__result_new(struct pgdbm__description *description)
{
    pgdbm_result *result = pgdbm__alloc(sizeof *result + INSIDE_BYTES);
    if (result == NULL)
        return NULL;
    memset(result, 0, sizeof *result);
    atomic_init(&result->references, 1);
    result->description = pgdbm__description_ref(description);
    result->inside.at = result->space;
    result->inside.end = result->space + INSIDE_BYTES;
    result->chunks = &result->inside;
    return result;
}

pgdbm_result *pgdbm_result_keep(pgdbm_result *result)
{
    if (result != NULL)
        atomic_fetch_add_explicit(&result->references, 1, memory_order_relaxed);
    return result;
}

void pgdbm_result_free(pgdbm_result *result)
{
    if (result == NULL || atomic_fetch_sub_explicit(&result->references, 1, memory_order_acq_rel) != 1)
        return;
    pgdbm__texts_clear(result);
    while (result->chunks != &result->inside) {
        struct pgdbm__chunk *chunk = result->chunks;
        result->chunks = chunk->next;
        pgdbm__free(chunk);
    }
    pgdbm__free(result->rows);
    pgdbm__free(result->borrowed);
    pgdbm__structs_free(result->structs);
    pgdbm__description_unref(result->description);
    pgdbm__free(result);
}

/* Chunks double up to a megabyte. */
char *pgdbm__result_take_bytes(pgdbm_result *result, size_t bytes)
{
    struct pgdbm__chunk *chunk = result->chunks;
    if ((size_t)(chunk->end - chunk->at) < bytes) {
        size_t last = chunk == &result->inside ? FIRST_CHUNK_BYTES / 2 : (size_t)(chunk->end - (char *)chunk);
        size_t size = last < LARGEST_CHUNK_BYTES ? last * 2 : LARGEST_CHUNK_BYTES;
        if (size < bytes + sizeof *chunk)
            size = bytes + sizeof *chunk;
        struct pgdbm__chunk *grown = pgdbm__alloc(size);
        if (grown == NULL)
            return NULL;
        grown->next = chunk;
        grown->at = (char *)(grown + 1);
        grown->end = (char *)grown + size;
        result->chunks = chunk = grown;
    }
    char *taken = chunk->at;
    chunk->at += bytes;
    return taken;
}

void *pgdbm__result_take(pgdbm_result *result, size_t bytes)
{
    return pgdbm__result_take_bytes(result, (bytes + 7) & ~(size_t)7);
}

static struct pgdbm__row *add_row(pgdbm_result *result)
{
    if (result->n_rows == 0)
        return &result->one;
    if (result->n_rows >= result->rows_capacity) {
        size_t capacity = result->rows_capacity == 0 ? 16 : result->rows_capacity * 2;
        struct pgdbm__row *rows = pgdbm__realloc(result->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return NULL;
        if (result->rows_capacity == 0)
            rows[0] = result->one;
        result->rows = rows;
        result->rows_capacity = capacity;
    }
    return &result->rows[result->n_rows];
}

bool pgdbm__result_add(pgdbm_result *result, const char *base, const struct pgdbm__cell *cells)
{
    struct pgdbm__row *row = add_row(result);
    if (row == NULL)
        return false;
    *row = (struct pgdbm__row){base, cells};
    result->n_rows++;
    return true;
}

/* Finds the values of a row and ends each with NUL, over the length word that has been read by then. */
static bool cut(char *base, size_t bytes, struct pgdbm__cell *cells, size_t n_columns)
{
    size_t at = 2;
    for (size_t i = 0; i < n_columns; i++) {
        if (bytes - at < 4)
            return false;
        int32_t length = (int32_t)pgdbm__get_uint32(base + at);
        base[at] = '\0'; /* the end of the value before */
        at += 4;
        if (length < -1 || (length > 0 && (size_t)length > bytes - at))
            return false;
        cells[i] = (struct pgdbm__cell){(uint32_t)at, length};
        at += length > 0 ? (size_t)length : 0;
    }
    base[bytes] = '\0';
    return at == bytes;
}

static size_t columns_of(const pgdbm_result *result)
{
    return result->description != NULL ? result->description->n_columns : 0;
}

static bool right_count(const pgdbm_result *result, const unsigned char *body, size_t bytes)
{
    return bytes >= 2 && pgdbm__get_uint16(body) == columns_of(result) && bytes <= UINT32_MAX;
}

enum pgdbm__row_status pgdbm__result_append(pgdbm_result *result, const unsigned char *body, size_t bytes)
{
    if (!right_count(result, body, bytes))
        return PGDBM__ROW_MALFORMED;
    size_t n_columns = columns_of(result);
    struct pgdbm__row *row = add_row(result);
    char *space = row != NULL ? pgdbm__result_take(result, n_columns * sizeof(struct pgdbm__cell) + bytes + 1) : NULL;
    if (space == NULL)
        return PGDBM__ROW_NOMEM;
    struct pgdbm__cell *cells = (struct pgdbm__cell *)(void *)space;
    char *base = space + n_columns * sizeof *cells;
    memcpy(base, body, bytes);
    if (!cut(base, bytes, cells, n_columns))
        return PGDBM__ROW_MALFORMED;
    *row = (struct pgdbm__row){base, cells};
    result->n_rows++;
    return PGDBM__ROW_OK;
}

void pgdbm__result_init_borrowed(pgdbm_result *result, struct pgdbm__description *description)
{
    pgdbm__description_ref(description);
    pgdbm__description_unref(result->description);
    result->description = description;
    result->n_rows = 0;
}

enum pgdbm__row_status pgdbm__result_borrow_row(pgdbm_result *result, unsigned char *body, size_t bytes)
{
    if (!right_count(result, body, bytes))
        return PGDBM__ROW_MALFORMED;
    size_t n_columns = columns_of(result);
    if (n_columns > result->borrowed_capacity) {
        struct pgdbm__cell *cells = pgdbm__realloc(result->borrowed, n_columns * sizeof *cells);
        if (cells == NULL)
            return PGDBM__ROW_NOMEM;
        result->borrowed = cells;
        result->borrowed_capacity = n_columns;
    }
    if (result->made_texts.count > 0)
        pgdbm__texts_clear(result);
    if (!cut((char *)body, bytes, result->borrowed, n_columns))
        return PGDBM__ROW_MALFORMED;
    result->one = (struct pgdbm__row){(const char *)body, result->borrowed};
    result->n_rows = 1;
    return PGDBM__ROW_OK;
}

void pgdbm__result_view_row(pgdbm_result *result, const pgdbm_result *piece, size_t row)
{
    if (result->made_texts.count > 0)
        pgdbm__texts_clear(result);
    result->one = piece->rows != NULL ? piece->rows[row] : piece->one;
    result->n_rows = 1;
}

void pgdbm__result_drop_rows(pgdbm_result *result, size_t n_rows)
{
    pgdbm__texts_clear(result); /* they have the rows' numbers */
    result->n_rows -= n_rows;
    if (result->rows != NULL)
        memmove(result->rows, result->rows + n_rows, result->n_rows * sizeof *result->rows);
}
