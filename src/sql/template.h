/* SPDX-License-Identifier: MIT */
/* Templates in SQL: {{tables.users}}, {{tables.billing.invoices}}, {{schema}} become quoted names (<pgdbm/db.h> has the
 * table). They are expanded everywhere, in strings, comments and function bodies too, because a migration needs it
 * there: a name that passes the rule of identifiers cannot leave any kind of quotes. */
#ifndef PGDBM_SQL_TEMPLATE_H
#define PGDBM_SQL_TEMPLATE_H

#include "base/buffer.h"

#include <pgdbm/error.h>

#include <stdbool.h>
#include <stddef.h>

/* Whether there is anything to expand; without, the text may be used as it is. */
bool pgdbm__template_needed(const char *text, size_t bytes);

/* Appends the expanded text to `out`. `schema` is a folded identifier, or NULL for none. PGDBM_ERR_SCHEMA for an
 * unknown or malformed placeholder (line and column in the message, position set), PGDBM_ERR_NOMEM; after an error
 * `out` holds what it held before. */
pgdbm_status pgdbm__template_expand(const char *text, size_t bytes, const char *schema, struct pgdbm__buffer *out,
                                    pgdbm_error *err);

/* A placeholder: where it stands in the text, and where in the expanded text what it became does. */
struct pgdbm__template_mark {
    size_t offset, bytes;
    size_t expanded_offset, expanded_bytes;
};

/* The same, and appends a struct pgdbm__template_mark for each placeholder to `marks` (NULL: none wanted), which is
 * of no use after an error. `out` must be empty. */
pgdbm_status pgdbm__template_expand_marked(const char *text, size_t bytes, const char *schema,
                                           struct pgdbm__buffer *out, struct pgdbm__buffer *marks, pgdbm_error *err);

/* The offset in the text of an offset in the expanded text; inside of what a placeholder became, the placeholder's. */
size_t pgdbm__template_origin(const struct pgdbm__buffer *marks, size_t expanded_offset);

#endif
