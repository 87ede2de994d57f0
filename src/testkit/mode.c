/* SPDX-License-Identifier: MIT */
/* Places for dual-mode libraries, and the looks at what such a library left. A place belongs to one thread at a time. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <pgdbm/pgdbm.h>
#include <pgdbm/testmode.h>
#include <stdio.h>
#include <string.h>

/* A server process goes some moments after its session has been closed. */
#define GONE_MS 3000

/* By which the host's sessions are told from the library's. */
#define HOST "pgdbm test host"

struct pgdbm_testmode {
    pgdbm_testmode_kind kind;
    pgdbm_testdb *testdb;
    pgdbm_db *lent; /* ATTACHED: the library's to use, not to close */
    pgdbm_source source;
    char host_schema[64];
    char library_schema[64];
    char *before; /* the relations, functions and types that were there: an array of OIDs, as text */
    size_t n_managers;
};

static const char *const names[PGDBM_TESTMODES] = {"standalone", "attached", "pool"};

const char *pgdbm_testmode_name(pgdbm_testmode_kind kind)
{
    return (unsigned)kind < PGDBM_TESTMODES ? names[kind] : NULL;
}

/* What somebody made: no catalog's, no temporary one, nothing that belongs to a table or an extension. */
#define OBJECTS                                                                                                        \
    "SELECT o.kind, n.nspname, o.name, o.oid FROM (SELECT relnamespace AS space, relname AS name, oid, CASE relkind"   \
    " WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind"        \
    " FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"                                        \
    " UNION ALL SELECT pronamespace, proname, oid, 'function' FROM pg_catalog.pg_proc"                                 \
    " UNION ALL SELECT typnamespace, typname, oid, 'type' FROM pg_catalog.pg_type"                                     \
    " WHERE typrelid = 0 AND typcategory <> 'A') o JOIN pg_catalog.pg_namespace n ON n.oid = o.space"                  \
    " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'"                \
    " AND n.nspname NOT LIKE 'pg\\_temp\\_%' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"                       \
    " WHERE d.objid = o.oid AND d.deptype = 'e')"

static pgdbm_status note_objects(pgdbm_testmode *place, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    const char *text = NULL;
    pgdbm_status status =
        pgdbm_fetch_one(pgdbm_testdb_manager(place->testdb),
                        "SELECT coalesce(array_agg(oid), '{}')::text AS oids FROM (" OBJECTS ") all_of_them",
                        pgdbm_no_args, &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, "oids", &text, err);
    if (status == PGDBM_OK) {
        place->before = pgdbm__strdup(text);
        status = place->before != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "noting what a database contains");
    }
    pgdbm_result_free(result);
    return status;
}

static pgdbm_status count_managers(const pgdbm_testmode *place, size_t *count, pgdbm_error *err)
{
    pgdbm_pool_stats stats;
    pgdbm_status status = pgdbm_pool_stats_read(pgdbm_pool_of(pgdbm_testdb_manager(place->testdb)), &stats, err);
    *count = status == PGDBM_OK ? stats.managers : 0;
    return status;
}

static pgdbm_status make_host(pgdbm_testmode *place, const pgdbm_testdb_options *host, pgdbm_error *err)
{
    pgdbm_testdb_options options = {0};
    pgdbm_config config = {0};
    if (host != NULL)
        options = *host;
    if (options.config != NULL)
        config = *options.config;
    config.application_name = HOST;
    options.config = &config;
    if (options.schema == NULL)
        options.schema = options.module != NULL ? options.module->name : place->host_schema;
    if (strlen(options.schema) >= sizeof place->host_schema)
        return pgdbm__fail(err, PGDBM_ERR_SCHEMA, "the schema's name is longer than 63 bytes: %.80s", options.schema);
    if (options.schema != place->host_schema)
        memcpy(place->host_schema, options.schema, strlen(options.schema) + 1);
    return pgdbm_testdb_create(&options, &place->testdb, err);
}

static pgdbm_status prepare(pgdbm_testmode *place, const pgdbm_testdb_options *host, pgdbm_error *err)
{
    unsigned number = (unsigned)pgdbm__random(UINT32_MAX);
    snprintf(place->host_schema, sizeof place->host_schema, "host_%08x", number);
    pgdbm_status status = make_host(place, host, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_pool *pool = pgdbm_pool_of(pgdbm_testdb_manager(place->testdb));
    snprintf(place->library_schema, sizeof place->library_schema, "library_%08x", number);
    if (place->kind == PGDBM_TESTMODE_ATTACHED) {
        memcpy(place->library_schema, place->host_schema, sizeof place->library_schema);
        status = pgdbm_attach(pool, place->host_schema, &place->lent, err);
        place->source.db = place->lent;
    } else {
        place->source.schema = place->library_schema;
        if (place->kind == PGDBM_TESTMODE_POOL)
            place->source.pool = pool;
        else
            place->source.connection_string = pgdbm_testdb_url(place->testdb);
    }
    if (status == PGDBM_OK)
        status = note_objects(place, err);
    if (status == PGDBM_OK)
        status = count_managers(place, &place->n_managers, err);
    return status;
}

static void place_free(pgdbm_testmode *place)
{
    pgdbm_close(place->lent);
    pgdbm_testdb_drop(place->testdb);
    pgdbm__free(place->before);
    pgdbm__free(place);
}

pgdbm_status pgdbm_testmode_enter(pgdbm_testmode_kind kind, const pgdbm_testdb_options *host, pgdbm_testmode **place,
                                  pgdbm_error *err)
{
    if (place == NULL)
        return pgdbm__fail_null(err, "pgdbm_testmode_enter", "place");
    *place = NULL;
    if (pgdbm_testmode_name(kind) == NULL)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_testmode_enter: there is no mode %d", (int)kind);
    pgdbm_testmode *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "making a place for a library");
    made->kind = kind;
    pgdbm_status status = prepare(made, host, err);
    if (status == PGDBM_OK)
        *place = made;
    else
        place_free(made);
    return status;
}

const pgdbm_source *pgdbm_testmode_source(const pgdbm_testmode *place)
{
    return place != NULL ? &place->source : NULL;
}

pgdbm_status pgdbm_testmode_look(const pgdbm_testmode *place, pgdbm_db **db, pgdbm_error *err)
{
    if (place == NULL)
        return pgdbm__fail_null(err, "pgdbm_testmode_look", "place");
    return pgdbm_attach(pgdbm_pool_of(pgdbm_testdb_manager(place->testdb)), place->library_schema, db, err);
}

/* The looks, from what would disturb the others on. */

static pgdbm_status look_at_managers(pgdbm_testmode *place, pgdbm_error *err)
{
    size_t now = 0;
    pgdbm_status status = count_managers(place, &now, err);
    if (status != PGDBM_OK || now == place->n_managers)
        return status;
    if (now > place->n_managers) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "the library was closed, and left %zu manager%s of the host's pool open",
                    now - place->n_managers, now - place->n_managers == 1 ? "" : "s");
        pgdbm__error_hint(err, "pgdbm_close every manager that pgdbm_module_open or pgdbm_attach gave to the library");
        return PGDBM_ERR_TESTDB;
    }
    place->lent = NULL; /* gone: it must not be closed again */
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the library closed the manager that the host had lent to it");
    pgdbm__error_hint(err, "close the manager that pgdbm_module_open gave, never the one in pgdbm_source.db");
    return PGDBM_ERR_TESTDB;
}

static pgdbm_status look_at_pool(pgdbm_testmode *place, pgdbm_error *err)
{
    pgdbm_status status = pgdbm_execute(pgdbm_testdb_manager(place->testdb), "SELECT 1", pgdbm_no_args, NULL, err);
    if (status != PGDBM_ERR_POOL)
        return status;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the library closed the pool of its host");
    pgdbm__error_hint(err, "pgdbm_close what pgdbm_module_open gave: it ends exactly what the library opened");
    return PGDBM_ERR_TESTDB;
}

static pgdbm_status look_at_leases(pgdbm_testmode *place, pgdbm_error *err)
{
    pgdbm_pool_stats stats;
    pgdbm_status status = pgdbm_pool_stats_read(pgdbm_pool_of(pgdbm_testdb_manager(place->testdb)), &stats, err);
    if (status != PGDBM_OK || stats.leased == 0)
        return status;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the library was closed, and %zu of the host's sessions are still lent out",
                stats.leased);
    pgdbm__error_hint(err, "end every transaction, pinned session, cursor and stream before closing");
    return PGDBM_ERR_TESTDB;
}

static pgdbm_status look_at_sessions(pgdbm_testmode *place, pgdbm_error *err)
{
    int64_t deadline = pgdbm__deadline(GONE_MS);
    int64_t left = 0;
    pgdbm_status status;
    do /* the server's own wait spares us one */
        status = pgdbm_fetch_value_int64(
            pgdbm_testdb_manager(place->testdb),
            "SELECT count(*) FROM pg_catalog.pg_stat_activity, (SELECT pg_sleep(0.005)) a_moment"
            " WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> $1",
            pgdbm_args(HOST), &left, err);
    while (status == PGDBM_OK && left > 0 && pgdbm__now_ns() < deadline);
    if (status != PGDBM_OK || left == 0)
        return status;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the library was closed, and %lld session%s of its own %s still connected",
                (long long)left, left == 1 ? "" : "s", left == 1 ? "is" : "are");
    pgdbm__error_hint(err, place->kind == PGDBM_TESTMODE_STANDALONE
                               ? "pgdbm_close every manager, pgdbm_pool_close every pool that the library opened"
                               : "inside a host use its pool: open the manager by pgdbm_module_open");
    return PGDBM_ERR_TESTDB;
}

static pgdbm_status look_at_objects(pgdbm_testmode *place, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    const char *kind = NULL;
    const char *schema = NULL;
    const char *name = NULL;
    pgdbm_status status = pgdbm_fetch_all(pgdbm_testdb_manager(place->testdb),
                                          "SELECT * FROM (" OBJECTS ") all_of_them WHERE nspname <> $1"
                                          " AND NOT oid = ANY ($2::text::oid[]) ORDER BY kind, nspname, name",
                                          pgdbm_args(place->library_schema, place->before), &result, err);
    size_t n_rows = status == PGDBM_OK ? pgdbm_result_rows(result) : 0;
    if (n_rows > 0) {
        status = pgdbm_get_text(result, 0, "kind", &kind, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(result, 0, "nspname", &schema, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(result, 0, "name", &name, err);
    }
    if (n_rows > 0 && status == PGDBM_OK) {
        status = pgdbm__fail(err, PGDBM_ERR_TESTDB,
                             "the library made %s %s.%s, outside of its schema %s (%zu object%s in all)", kind, schema,
                             name, place->library_schema, n_rows, n_rows == 1 ? "" : "s");
        pgdbm__error_hint(
            err, "write {{tables.%s}}, not a bare name and not a schema: only then it goes where the host says", name);
    }
    pgdbm_result_free(result);
    return status;
}

pgdbm_status pgdbm_testmode_leave(pgdbm_testmode *place, pgdbm_error *err)
{
    if (place == NULL)
        return PGDBM_OK;
    pgdbm_status status = look_at_managers(place, err);
    if (status == PGDBM_OK)
        status = look_at_leases(place, err);
    if (status == PGDBM_OK)
        status = look_at_pool(place, err);
    if (status == PGDBM_OK)
        status = look_at_sessions(place, err);
    if (status == PGDBM_OK)
        status = look_at_objects(place, err);
    place_free(place);
    return status;
}
