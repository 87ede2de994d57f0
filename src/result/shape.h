/* SPDX-License-Identifier: MIT */
/* Results whose rows are structs: a table of fields (<pgdbm/structs.h>) is compiled against a description once, then each
 * row is read from its message straight into its struct. */
#ifndef PGDBM_RESULT_SHAPE_H
#define PGDBM_RESULT_SHAPE_H

#include "result/result.h"

#include <pgdbm/structs.h>

/* Whether the table makes sense by itself: it comes from the program's text, so a fault is an ARGUMENT error. */
pgdbm_status pgdbm__shape_check(const pgdbm_struct *shape, const char *function, pgdbm_error *err);

/* A struct's field as a parameter, which points to it. */
pgdbm_param pgdbm__field_param(const pgdbm_field *field, const char *row);

/* An empty result for rows of this description. `shape`, which has been checked, must stay. Errors: TYPE when columns and
 * fields do not go together, NOMEM. */
pgdbm_status pgdbm__structs_new(struct pgdbm__description *description, const pgdbm_struct *shape,
                                pgdbm_result **result, pgdbm_error *err);

/* Adds a DataRow message's row. PGDBM__ROW_REFUSED: a value does not fit; `err` says which. */
enum pgdbm__row_status pgdbm__structs_append(pgdbm_result *result, const unsigned char *body, size_t bytes,
                                             pgdbm_error *err);

#endif
