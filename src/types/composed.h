/* SPDX-License-Identifier: MIT */
/* Parameters made of others: ranges, arrays, rows. For param.c, which has the values inside of them. */
#ifndef PGDBM_TYPES_COMPOSED_H
#define PGDBM_TYPES_COMPOSED_H

#include "types/param.h"

/* Reasons that are told apart: the types do not go together; this side cannot parse a text, but the server may. */
extern const char pgdbm__param_no_fit[];
extern const char pgdbm__param_unparsed[];

const char *pgdbm__param_kind_name(pgdbm_param_kind kind);
size_t pgdbm__param_text_bytes(const pgdbm_param *param);

/* The binary form without its length, and the text form. NULL, or why it cannot be. */
const char *pgdbm__composed_binary(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out);
const char *pgdbm__composed_text(const pgdbm_param *param, const struct pgdbm__type *type, struct pgdbm__buffer *out);

#endif
