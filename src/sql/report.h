/* SPDX-License-Identifier: MIT */
/* What an error message says of a piece of outside text: where it stands and how it looks. */
#ifndef PGDBM_SQL_REPORT_H
#define PGDBM_SQL_REPORT_H

#include <stddef.h>

/* All 1-based, in characters of UTF-8; a byte that is not UTF-8 counts as one character. A line ends with LF, CRLF or CR.
 */
struct pgdbm__text_place {
    size_t line;
    size_t column;
    int character; /* from the beginning of the text, as PostgreSQL counts positions; INT_MAX at most */
};

/* That of the first byte. */
#define PGDBM__PLACE_BEGIN ((struct pgdbm__text_place){1, 1, 1})

/* Makes the place of the offset `from` that of `to`, which is not before it. */
void pgdbm__place_advance(struct pgdbm__text_place *place, const char *text, size_t bytes, size_t from, size_t to);

/* Where `offset` (0 .. bytes) stands in the text. */
struct pgdbm__text_place pgdbm__place_of(const char *text, size_t bytes, size_t offset);

/* Copies text to show it to a person: shortened with an ellipsis to what fits in, control characters and bytes that are
 * not UTF-8 as \x1B. `out_bytes` is 16 at least. Returns `out`. */
const char *pgdbm__printable(const char *text, size_t bytes, char *out, size_t out_bytes);

#endif
