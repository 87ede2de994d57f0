/* SPDX-License-Identifier: MIT */
/* Indexes that are built without locking their table. No state, any thread. */
#include "migrate/index.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/blockers.h"

bool pgdbm__index_is_built(const struct pgdbm__script_statement *statement)
{
    return statement->concurrently > 0 &&
           (statement->kind == PGDBM__STATEMENT_CREATE_INDEX || statement->kind == PGDBM__STATEMENT_REINDEX);
}

/* $1 table, $2 index as the statement spells them, $3 mark, $4 recorded name, $5 REINDEX, $6 valid. An index younger than
 * the mark has a row that was written by a later transaction.
 *
 * Who builds an index has ShareUpdateExclusiveLock on its table all the while, which everybody may see in pg_locks
 * (pg_stat_progress_create_index hides it from other roles). So has VACUUM: autovacuum, which has no user, gives way. */
static const char find_sql[] =
    "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),"
    " (SELECT " PGDBM__PROCESS_SQL " FROM pg_catalog.pg_locks p JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid"
    " WHERE p.locktype = 'relation' AND p.relation = i.indrelid AND p.mode = 'ShareUpdateExclusiveLock' AND p.granted"
    " AND p.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
    " AND p.pid <> pg_catalog.pg_backend_pid() AND a.usesysid IS NOT NULL LIMIT 1)"
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE i.indisvalid = $6 AND c.relkind = 'i' AND (c.oid = pg_catalog.to_regclass($4::text) OR CASE"
    /* CREATE INDEX with a name */
    " WHEN NOT $5 AND $2::text IS NOT NULL THEN i.indrelid = pg_catalog.to_regclass($1::text)"
    " AND c.relname = (pg_catalog.parse_ident($2))[1]::name"
    " AND (NOT $6 OR pg_catalog.age(i.xmin) BETWEEN 0 AND pg_catalog.age($3::text::xid))"
    /* without one */
    " WHEN NOT $5 THEN coalesce(i.indrelid = pg_catalog.to_regclass($1), $1 IS NULL)"
    " AND pg_catalog.age(i.xmin) BETWEEN 0 AND pg_catalog.age($3::text::xid)"
    /* REINDEX of an index or a table, whose TOAST table has an index too */
    " WHEN coalesce($1, $2) IS NOT NULL THEN c.relname ~ '_cc(new|old)[0-9]*$' AND i.indrelid IN ("
    "SELECT pg_catalog.unnest(ARRAY[r.oid, r.reltoastrelid]) FROM pg_catalog.pg_class r WHERE r.oid ="
    " coalesce(pg_catalog.to_regclass($1)::oid, (SELECT x.indrelid FROM pg_catalog.pg_index x"
    " WHERE x.indexrelid = pg_catalog.to_regclass($2))))"
    /* of a schema or a database */
    " ELSE c.relname ~ '_cc(new|old)[0-9]*$'"
    " AND pg_catalog.age(i.xmin) BETWEEN 0 AND pg_catalog.age($3::text::xid) END)"
    " ORDER BY 1 LIMIT 1";

static pgdbm_status keep(const pgdbm_result *result, size_t column, char **out, pgdbm_error *err)
{
    const char *text = NULL;
    pgdbm_status status = pgdbm_get_text(result, 0, column, &text, err);
    if (status == PGDBM_OK && text != NULL && (*out = pgdbm__strdup(text)) == NULL)
        status = pgdbm__fail_nomem(err, "looking for an index");
    return status;
}

pgdbm_status pgdbm__index_find(pgdbm_db *session, const struct pgdbm__script_statement *statement, const char *mark,
                               const char *recorded, bool valid, struct pgdbm__index *index, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    bool reindex = statement->kind == PGDBM__STATEMENT_REINDEX;
    pgdbm_status status =
        pgdbm_fetch_all(session, find_sql,
                        pgdbm_args((const char *)statement->table_name, (const char *)statement->index_name, mark,
                                   recorded, reindex, valid),
                        &result, err);
    pgdbm__index_free(index);
    if (status == PGDBM_OK && pgdbm_result_rows(result) > 0) {
        status = keep(result, 0, &index->name, err);
        if (status == PGDBM_OK)
            status = keep(result, 1, &index->builder, err);
    }
    pgdbm_result_free(result);
    return status;
}

void pgdbm__index_free(struct pgdbm__index *index)
{
    pgdbm__free(index->name);
    pgdbm__free(index->builder);
    *index = (struct pgdbm__index){0};
}

pgdbm_status pgdbm__index_mark(pgdbm_db *session, char **mark, pgdbm_error *err)
{
    return pgdbm_fetch_value_text(session, "SELECT (pg_catalog.txid_current() % 4294967296)::text", pgdbm_no_args, mark,
                                  err);
}
