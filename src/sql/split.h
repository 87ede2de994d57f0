/* SPDX-License-Identifier: MIT */
/* The statements of a migration file, for those that cannot run as one transaction. Knows what the server's grammar and
 * psql know of the end of a statement: quotes, comments, parentheses (CREATE RULE ... DO (...; ...)), and the bodies
 * BEGIN ATOMIC ... END of functions and procedures. Does not know psql's own language: backslash commands, and data
 * lines behind COPY ... FROM stdin. */
#ifndef PGDBM_SQL_SPLIT_H
#define PGDBM_SQL_SPLIT_H

#include "sql/scan.h"

#include <pgdbm/error.h>

#include <stdbool.h>
#include <stddef.h>

/* A statement without its semicolon and without comments before and behind it. */
struct pgdbm__statement_span {
    size_t offset;
    size_t bytes;
    size_t line; /* of its first byte, 1-based */
};

struct pgdbm__splitter {
    struct pgdbm__scanner scanner;
    size_t line;    /* the line ... */
    size_t line_at; /* ... of this offset */
};

/* Begins at the text's first byte (or behind a UTF-8 byte order mark, which no server accepts). The text is borrowed.
 */
void pgdbm__splitter_init(struct pgdbm__splitter *splitter, const char *text, size_t bytes);

/* Finds the next statement; empty ones are passed over, and *found is false at the end. A quote, comment, parenthesis
 * or body that nothing closes is PGDBM_ERR_MIGRATION with the line where it begins, and stays it when asked again. */
pgdbm_status pgdbm__split_next(struct pgdbm__splitter *splitter, struct pgdbm__statement_span *span, bool *found,
                               pgdbm_error *err);

#endif
