/* SPDX-License-Identifier: MIT */
/* Which schemas are the fleet's, as SQL. No state, any thread. */
#include "fleet/fleet.h"

#include "base/error.h"
#include "migrate/name.h"

#include <string.h>

void pgdbm__fleet_literal(struct pgdbm__buffer *sql, const char *text)
{
    pgdbm__quote_literal(sql, text, strlen(text));
}

void pgdbm__fleet_append_selection(const pgdbm_fleet *fleet, struct pgdbm__buffer *sql)
{
    const struct pgdbm__fleet_selection *selection = &fleet->selection;
    if (selection->pattern != NULL) {
        /* What a pattern matches is there; catalogs and our own schema are nobody's tenants. */
        pgdbm__buffer_text(sql, "SELECT nspname::text AS schema, true AS there FROM pg_catalog.pg_namespace"
                                " WHERE nspname LIKE ");
        pgdbm__fleet_literal(sql, selection->pattern);
        pgdbm__buffer_text(sql, " AND nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'pgdbm')");
        return;
    }
    pgdbm__buffer_text(sql, "SELECT q.schema, n.oid IS NOT NULL AS there FROM (SELECT DISTINCT l.schema::text FROM (");
    if (selection->query != NULL) {
        pgdbm__buffer_text(sql, selection->query);
        pgdbm__buffer_text(sql, "\n"); /* the query may end with a comment */
    } else {
        pgdbm__buffer_text(sql, "SELECT pg_catalog.unnest(ARRAY[");
        for (size_t i = 0; i < selection->n_schemas; i++) {
            pgdbm__buffer_text(sql, i > 0 ? ", " : "");
            pgdbm__fleet_literal(sql, selection->schemas[i]);
        }
        pgdbm__buffer_text(sql, "]::text[])");
    }
    pgdbm__buffer_text(sql, ") l(schema) WHERE l.schema IS NOT NULL) q"
                            " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = q.schema");
}

pgdbm_status pgdbm__fleet_check_schema(const pgdbm_fleet *fleet, const char *schema, pgdbm_error *err)
{
    char folded[PGDBM__IDENTIFIER_BYTES];
    char recorded[PGDBM__MODULE_LIMIT + 1];
    pgdbm_status status = pgdbm__identifier_fold(schema, strlen(schema), "schema", folded, err);
    if (status == PGDBM_OK && strcmp(schema, folded) != 0) {
        status = pgdbm__fail(err, PGDBM_ERR_SCHEMA, "schema name \"%s\" has capital letters", schema);
        pgdbm__error_hint(err, "%s", PGDBM__IDENTIFIER_RULE);
    }
    if (status == PGDBM_OK)
        status = pgdbm__migration_module_name(fleet->module, schema, recorded, err);
    return status;
}
