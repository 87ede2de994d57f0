/* SPDX-License-Identifier: MIT */
/* One value as a C value: what the accessors of results, and structs, are filled with. */
#ifndef PGDBM_TYPES_VALUE_H
#define PGDBM_TYPES_VALUE_H

#include "types/type.h"

#include <pgdbm/result.h>
#include <pgdbm/types.h>

/* The C type's name, for messages; and its size, 0 for a kind that is none. */
const char *pgdbm__kind_name(pgdbm_field_kind kind);
size_t pgdbm__kind_bytes(pgdbm_field_kind kind);

/* Reads a binary value of `type` as the C type of `kind` into `out`; what it points to is in `data`. NULL, or why it cannot
 * be ("the types do not go together"), for messages. PGDBM_TEXT only of types whose binary form is their text: the others
 * are printed (pgdbm__type.print). */
const char *pgdbm__value_read(const struct pgdbm__type *type, const char *data, size_t bytes, pgdbm_field_kind kind,
                              void *out);

/* Whether values of `type` can be read as `kind` at all. */
bool pgdbm__value_fits(const struct pgdbm__type *type, pgdbm_field_kind kind);

#endif
