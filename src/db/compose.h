/* SPDX-License-Identifier: MIT */
/* Statements composed from the names of tables and columns. */
#ifndef PGDBM_DB_COMPOSE_H
#define PGDBM_DB_COMPOSE_H

#include "base/buffer.h"
#include "db/manager.h"

/* Appends the table's quoted name: `users` is in the manager's schema, `schema.users` is where it says. Folded as templates
 * fold. Errors: SCHEMA. */
pgdbm_status pgdbm__compose_table(const pgdbm_db *db, const char *table, struct pgdbm__buffer *out, pgdbm_error *err);

/* Appends a column's name as it is, quoted. */
void pgdbm__compose_column(struct pgdbm__buffer *out, const char *column);

/* Whether `text` is the name of a table (perhaps with its schema), and not a query. */
bool pgdbm__is_table_name(const char *text);

#endif
