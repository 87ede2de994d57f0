/* SPDX-License-Identifier: MIT */
/* Rows in the formats of COPY (PostgreSQL documentation, COPY, "File Formats"): structs and parameters into binary or text
 * format, and binary format back into rows. */
#ifndef PGDBM_RESULT_TUPLE_H
#define PGDBM_RESULT_TUPLE_H

#include "result/shape.h"

#include <pgdbm/params.h>

/* A column that is written. */
struct pgdbm__tuple_column {
    const char *name;
    const struct pgdbm__type *type;
    /* Of structs: pgdbm__tuples_compile fills it in. */
    const pgdbm_field *field;
    size_t offset, companion; /* the field's */
    int operation;
};

/* A writer. Zeroed, with its columns (`n_columns` of them, allocated); what is to be sent collects in `out`. */
struct pgdbm__tuples {
    struct pgdbm__tuple_column *columns;
    size_t n_columns;
    bool as_text;
    bool begun;
    int64_t rows; /* put so far */
    struct pgdbm__buffer out;
    struct pgdbm__buffer text; /* scratch */
};

/* Decides how each field goes into its column (`field` and `type` are set). When some pair has no binary form, all is
 * text. Errors: TYPE when a pair has neither. */
pgdbm_status pgdbm__tuples_compile(struct pgdbm__tuples *tuples, pgdbm_error *err);

/* Each adds to `out`. Errors: TYPE, naming row and column; NOMEM. */
pgdbm_status pgdbm__tuples_put_struct(struct pgdbm__tuples *tuples, const char *row, pgdbm_error *err);
pgdbm_status pgdbm__tuples_put_params(struct pgdbm__tuples *tuples, const pgdbm_param *values, pgdbm_error *err);
pgdbm_status pgdbm__tuples_end(struct pgdbm__tuples *tuples, pgdbm_error *err);
void pgdbm__tuples_free(struct pgdbm__tuples *tuples);

/* A reader: bytes in any pieces, tuples out. Zeroed. */
struct pgdbm__tuple_reader {
    struct pgdbm__buffer held; /* what is left of the pieces before */
    char *at;
    size_t bytes;
    size_t n_columns;
    bool headed, ended;
};

enum pgdbm__tuple_found { PGDBM__TUPLE_ROW, PGDBM__TUPLE_MORE, PGDBM__TUPLE_BROKEN, PGDBM__TUPLE_NOMEM };

/* The next piece, which must stay until the reader wants MORE, and may be written to, one byte behind it, too. False when
 * memory is short. */
bool pgdbm__tuples_feed(struct pgdbm__tuple_reader *reader, char *data, size_t bytes);
/* A tuple, laid out as the body of a DataRow message; the byte behind it may be written, and must be put back. */
enum pgdbm__tuple_found pgdbm__tuples_next(struct pgdbm__tuple_reader *reader, unsigned char **body, size_t *bytes);

#endif
