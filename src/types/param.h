/* SPDX-License-Identifier: MIT */
/* Parameters on their way into a Bind message, by the table in <pgdbm/params.h>. */
#ifndef PGDBM_TYPES_PARAM_H
#define PGDBM_TYPES_PARAM_H

#include "base/buffer.h"

#include <pgdbm/error.h>
#include <pgdbm/params.h>

/* The format we ask the server for: 1 (binary) for types decoded here, 0 (text) for all others. */
int16_t pgdbm__result_format(uint32_t type);

/* Appends the parameter as Bind wants it (length, value) and says in which format. `number` counts from 1, for
 * messages. Errors: TYPE. */
pgdbm_status pgdbm__param_encode(const pgdbm_param *param, uint32_t type, size_t number, struct pgdbm__buffer *out,
                                 int16_t *format, pgdbm_error *err);

#endif
