/* SPDX-License-Identifier: MIT */
/* Building results. */
#ifndef PGDBM_RESULT_RESULT_H
#define PGDBM_RESULT_RESULT_H

#include "types/catalog.h"
#include "types/container.h"

#include <pgdbm/result.h>
#include <stdatomic.h>

struct pgdbm__column {
    const char *name;
    uint32_t type;
    int16_t format;                 /* 1: the values come in binary */
    const struct pgdbm__type *info; /* never NULL */
};

/* What the columns are; immutable once rows are read by it, shared by reference between statements and results. */
struct pgdbm__description {
    _Atomic int references;
    struct pgdbm__catalog *catalog; /* has what `info` points to; NULL: built-in types only */
    uint32_t generation;            /* of that catalog */
    size_t n_columns;
    struct pgdbm__column columns[];
};

/* Reads a RowDescription message (PostgreSQL documentation 55.7). Formats are set to those we ask for: binary for the
 * types that are known, text for the others. Errors: CONNECTION when it is malformed, NOMEM. */
pgdbm_status pgdbm__description_parse(const unsigned char *body, size_t bytes, struct pgdbm__description **description,
                                      pgdbm_error *err);
/* Those that users made are looked for in the catalog; false: one is not there yet (see pgdbm__statement_resolve). NULL
 * has no columns. */
bool pgdbm__description_resolve(struct pgdbm__description *description, struct pgdbm__catalog *catalog,
                                void (*missing)(void *context, uint32_t oid), void *context);
struct pgdbm__description *pgdbm__description_ref(struct pgdbm__description *description);
void pgdbm__description_unref(struct pgdbm__description *description);
/* Same names and types; NULL means no columns. */
bool pgdbm__description_equal(const struct pgdbm__description *a, const struct pgdbm__description *b);

/* One value: where it begins behind the row's base, and how long it is; -1 is NULL. */
struct pgdbm__cell {
    uint32_t offset;
    int32_t length;
};

struct pgdbm__row {
    const char *base;
    const struct pgdbm__cell *cells;
};

struct pgdbm__chunk {
    struct pgdbm__chunk *next;
    char *at, *end;
};

struct pgdbm__made_text;

/* Texts made of binary values, kept as long as the result: text.c, with its locks. */
struct pgdbm__made_texts {
    struct pgdbm__made_text **buckets;
    size_t n_buckets, count;
};

struct pgdbm__structs;

struct pgdbm_result {
    _Atomic int references;
    struct pgdbm__description *description;
    int64_t affected;
    size_t n_rows, rows_capacity;
    struct pgdbm__row *rows; /* NULL while one row is enough: `one` */
    struct pgdbm__row one;
    struct pgdbm__cell *borrowed; /* of a stream's row */
    size_t borrowed_capacity;
    struct pgdbm__structs *structs; /* NULL: its rows are rows, else structs (shape.h) */
    struct pgdbm__chunk *chunks;    /* the newest first; the oldest is `inside` */
    struct pgdbm__made_texts made_texts;
    struct pgdbm__array_head *array; /* of one that was made of an array: in its chunks */
    struct pgdbm__chunk inside;
    char space[];
};

enum pgdbm__row_status { PGDBM__ROW_OK, PGDBM__ROW_NOMEM, PGDBM__ROW_MALFORMED, PGDBM__ROW_REFUSED };

/* An empty result; `description` may be NULL (no columns). NULL when memory is short. A small result needs this one
 * allocation. */
pgdbm_result *pgdbm__result_new(struct pgdbm__description *description);
/* Adds a DataRow message's row, copied. */
enum pgdbm__row_status pgdbm__result_append(pgdbm_result *result, const unsigned char *body, size_t bytes);

/* `bytes` that live as long as the result, aligned to 8; NULL when memory is short. */
void *pgdbm__result_take(pgdbm_result *result, size_t bytes);
/* The same, not aligned: for results that take nothing else. */
char *pgdbm__result_take_bytes(pgdbm_result *result, size_t bytes);
void pgdbm__structs_free(struct pgdbm__structs *structs);

/* Adds a row of what lies in the result already. False when memory is short. */
bool pgdbm__result_add(pgdbm_result *result, const char *base, const struct pgdbm__cell *cells);

/* For streams: makes `result` one that borrows its single row. */
void pgdbm__result_init_borrowed(pgdbm_result *result, struct pgdbm__description *description);
/* The row becomes that of `body`, in place: the bytes of lengths are overwritten by terminators, and body[bytes] too,
 * which the caller puts back afterwards. */
enum pgdbm__row_status pgdbm__result_borrow_row(pgdbm_result *result, unsigned char *body, size_t bytes);

/* For cursors: makes `result` one whose single row is that row of `piece`, which must outlive it; no bytes are moved. */
void pgdbm__result_view_row(pgdbm_result *result, const pgdbm_result *piece, size_t row);
/* Forgets the first rows, of which nothing has been asked. */
void pgdbm__result_drop_rows(pgdbm_result *result, size_t n_rows);

#endif
