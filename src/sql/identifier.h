/* SPDX-License-Identifier: MIT */
/* The names that pgdbm accepts for schemas and tables: a letter or underscore, then letters, digits and underscores, 63
 * bytes at most, ASCII. Folded to lower case as PostgreSQL folds unquoted names, so that quoting them later is safe in
 * any place of a statement. */
#ifndef PGDBM_SQL_IDENTIFIER_H
#define PGDBM_SQL_IDENTIFIER_H

#include <pgdbm/error.h>

#include <stddef.h>

#define PGDBM__IDENTIFIER_BYTES 64 /* the longest name with its terminator: PostgreSQL's NAMEDATALEN */

/* The rule as a sentence for hints. */
#define PGDBM__IDENTIFIER_RULE                                                                                         \
    "a name is a letter or underscore, then letters, digits or underscores (ASCII), 63 bytes at most; it is folded "   \
    "to "                                                                                                              \
    "lower case"

/* What is wrong with a name, as the end of a sentence that begins with the name ("is empty"); NULL when it is a good
 * one. Static. */
const char *pgdbm__identifier_fault(const char *name, size_t bytes);

/* Folds a name into `folded`. Otherwise PGDBM_ERR_SCHEMA, whose message names `what` ("schema", "table"), the name and
 * its fault. */
pgdbm_status pgdbm__identifier_fold(const char *name, size_t bytes, const char *what,
                                    char folded[PGDBM__IDENTIFIER_BYTES], pgdbm_error *err);

#endif
