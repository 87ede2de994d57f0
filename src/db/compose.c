/* SPDX-License-Identifier: MIT */
/* Names on their way into statements. Tables are checked and folded; columns are taken as they are, as the server called
 * them, and quoted. No state; any thread. */
#include "db/compose.h"

#include "sql/identifier.h"

#include <string.h>

pgdbm_status pgdbm__compose_table(const pgdbm_db *db, const char *table, struct pgdbm__buffer *out, pgdbm_error *err)
{
    char schema[PGDBM__IDENTIFIER_BYTES];
    char name[PGDBM__IDENTIFIER_BYTES];
    const char *dot = strchr(table, '.');
    const char *bare = dot != NULL ? dot + 1 : table;
    const char *in_schema = dot != NULL ? schema : pgdbm_schema(db);
    pgdbm_status status = PGDBM_OK;
    if (dot != NULL)
        status = pgdbm__identifier_fold(table, (size_t)(dot - table), "schema", schema, err);
    if (status == PGDBM_OK)
        status = pgdbm__identifier_fold(bare, strlen(bare), "table", name, err);
    if (status != PGDBM_OK)
        return status;
    if (in_schema != NULL) {
        pgdbm__compose_column(out, in_schema);
        pgdbm__buffer_append(out, ".", 1);
    }
    pgdbm__compose_column(out, name);
    return PGDBM_OK;
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
