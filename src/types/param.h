/* SPDX-License-Identifier: MIT */
/* C values on their way to the server, by the table in <pgdbm/params.h>. */
#ifndef PGDBM_TYPES_PARAM_H
#define PGDBM_TYPES_PARAM_H

#include "types/type.h"

#include <pgdbm/error.h>
#include <pgdbm/params.h>
#include <pgdbm/types.h>

/* PostgreSQL's limit of one value. */
#define PGDBM__VALUE_BYTES ((size_t)0x3fffffff)

/* Appends the parameter as Bind wants it (length, value) and says in which format. `number` counts from 1, for
 * messages. Errors: TYPE. */
pgdbm_status pgdbm__param_encode(const pgdbm_param *param, const struct pgdbm__type *type, size_t number,
                                 struct pgdbm__buffer *out, int16_t *format, pgdbm_error *err);

/* Appends the length and the binary form (NULL: length -1). NULL, or why it cannot be, for messages: `out` then has
 * anything. */
const char *pgdbm__param_binary(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out);

/* Appends the text form, as the server reads it as `type`. Not of NULL. NULL, or why it cannot be. */
const char *pgdbm__param_text(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out);

/* What a copy of everything the parameter points to takes, a multiple of 8; SIZE_MAX: more than there can be. And the copy:
 * `param` then points into `*space` (aligned to 8), which moves on. */
size_t pgdbm__param_copy_bytes(const pgdbm_param *param);
void pgdbm__param_copy(pgdbm_param *param, char **space);

/* A C value of a struct as a parameter; it points to it. A NULL text is NULL. */
pgdbm_param pgdbm__param_of(pgdbm_field_kind kind, const void *value);

#endif
