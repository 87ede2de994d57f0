/* SPDX-License-Identifier: MIT */
/* The names that may stand before an opening parenthesis without calling code that somebody else wrote: common
 * functions of pg_catalog that keep nothing in the session beyond the transaction, keywords, and types with a modifier.
 * Short of complete on purpose: a name that is missing costs a little speed, a name too many costs isolation. */
#ifndef PGDBM_SQL_HARMLESS_H
#define PGDBM_SQL_HARMLESS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a folded name, NUL-terminated, is in the table. Any thread. */
bool pgdbm__sql_harmless(const char *name);

/* The table itself, in the order of strcmp. */
extern const char *const pgdbm__harmless_names[];
extern const size_t pgdbm__harmless_count;

#endif
