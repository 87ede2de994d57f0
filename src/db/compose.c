/* SPDX-License-Identifier: MIT */
/* Names on their way into statements. Tables are checked and folded; columns are taken as they are, as the server called
 * them, and quoted. No state; any thread. */
#include "db/compose.h"

#include "sql/identifier.h"

#include <string.h>

pgdbm_status pgdbm__compose_table(const pgdbm_db *db, const char *table, struct pgdbm__buffer *out, pgdbm_error *err)
{
    struct pgdbm__table found;
    pgdbm_status status = pgdbm__db_table(db, table, &found, err);
    if (status == PGDBM_OK)
        pgdbm__buffer_text(out, found.quoted);
    return status;
}

void pgdbm__compose_column(struct pgdbm__buffer *out, const char *column)
{
    pgdbm__buffer_append(out, "\"", 1);
    for (const char *quote; (quote = strchr(column, '"')) != NULL; column = quote + 1) {
        pgdbm__buffer_append(out, column, (size_t)(quote - column));
        pgdbm__buffer_append(out, "\"\"", 2);
    }
    pgdbm__buffer_text(out, column);
    pgdbm__buffer_append(out, "\"", 1);
}

bool pgdbm__is_table_name(const char *text)
{
    const char *dot = strchr(text, '.');
    const char *bare = dot != NULL ? dot + 1 : text;
    return (dot == NULL || pgdbm__identifier_fault(text, (size_t)(dot - text)) == NULL) &&
           pgdbm__identifier_fault(bare, strlen(bare)) == NULL;
}
