/* SPDX-License-Identifier: MIT */
/* A JSON fixture taken apart: {"table": [{"column": value, ...}, ...], ...}. */
#ifndef PGDBM_TESTKIT_DOCUMENT_H
#define PGDBM_TESTKIT_DOCUMENT_H

#include "testkit/json.h"

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct pgdbm__document_row {
    size_t offset, bytes; /* of its object in the text */
    size_t line;
    size_t first_name, n_names; /* of its columns */
};

struct pgdbm__document_table {
    char *name;
    size_t line;
    size_t first_row, n_rows;
};

/* Zero-initialise; pgdbm__document_free accepts what is half read. */
struct pgdbm__document {
    struct pgdbm__document_table *tables;
    struct pgdbm__document_row *rows;
    char **names;
    size_t n_tables, n_rows, n_names;
    struct pgdbm__buffer table_space, row_space, name_space; /* where those lie */
};

/* What is wrong with a text, and where. */
struct pgdbm__document_fault {
    const char *what; /* NULL: out of memory. Static */
    const char *name; /* of the table that it is in, or NULL; the document's */
    size_t line;
};

/* Reads the text, which is borrowed: rows point into it. */
bool pgdbm__document_read(struct pgdbm__document *document, const char *text, size_t bytes,
                          struct pgdbm__document_fault *fault);
void pgdbm__document_free(struct pgdbm__document *document);

#endif
