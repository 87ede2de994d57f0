/* SPDX-License-Identifier: MIT */
/* What an error message says of a piece of outside text: where it stands and how it looks. */
#ifndef PGDBM_SQL_REPORT_H
#define PGDBM_SQL_REPORT_H

#include <stddef.h>

/* All 1-based, in characters of UTF-8; a byte that is not UTF-8 counts as one character. */
struct pgdbm__text_place {
    size_t line;
    size_t column;
    int character; /* from the beginning of the text, as PostgreSQL counts positions; INT_MAX at most */
};

/* Where `offset` (0 .. bytes) stands in the text. */
struct pgdbm__text_place pgdbm__place_of(const char *text, size_t bytes, size_t offset);

/* Copies text to show it to a person: shortened with an ellipsis to what fits in, control characters and bytes that are
 * not UTF-8 as \x1B. `out_bytes` is 16 at least. Returns `out`. */
const char *pgdbm__printable(const char *text, size_t bytes, char *out, size_t out_bytes);

#endif
