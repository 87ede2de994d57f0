/* SPDX-License-Identifier: MIT */
/* The outer statement of a text: where it begins behind the list of WITH, where it ends without semicolons and
 * comments. For those that put something around or behind a caller's statement. */
#ifndef PGDBM_SQL_OUTER_H
#define PGDBM_SQL_OUTER_H

#include <stdbool.h>
#include <stddef.h>

struct pgdbm__outer {
    size_t begin;    /* of SELECT, INSERT and so on; the text's length when there is none */
    size_t end;      /* behind its last token */
    bool with;       /* WITH and its list stand before it */
    bool gives_rows; /* SELECT, VALUES, TABLE, or what writes with RETURNING */
};

/* Linear time; any thread. */
struct pgdbm__outer pgdbm__sql_outer(const char *sql, size_t bytes);

#endif
