/* SPDX-License-Identifier: MIT */
/* Opening and closing. A fleet is not changed after it was opened, but for what its mutex guards. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sql/scan.h"

#include <string.h>

#define FUNCTION "pgdbm_fleet_open"

/* How often a creation that another process won is looked at again: each time one process has succeeded. */
enum { CREATE_ATTEMPTS = 20 };

/* updated in place: room for the row's next version keeps it on its page. */
static const char tables[] =
    "CREATE TABLE IF NOT EXISTS pgdbm.target (module text NOT NULL, schema text NOT NULL, head text NOT NULL DEFAULT "
    "'',"
    " digest text NOT NULL DEFAULT '', state text NOT NULL, attempts int NOT NULL DEFAULT 0, error text, sqlstate text,"
    " failed_at text, started_at timestamptz, updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,"
    " duration_ms float8 NOT NULL DEFAULT 0, build text, PRIMARY KEY (module, schema)) WITH (fillfactor = 60); "
    "CREATE TABLE IF NOT EXISTS pgdbm.roll_out (module text PRIMARY KEY, state text NOT NULL DEFAULT 'running',"
    " cancellations bigint NOT NULL DEFAULT 0, updated_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP)";

static pgdbm_status look_for_tables(pgdbm_fleet *fleet, bool *has_schema, bool *has_tables, pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    pgdbm_status status = pgdbm_fetch_one(
        fleet->db,
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'pgdbm'), (SELECT count(*) = 2"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'pgdbm' AND c.relname IN ('target', 'roll_out'))",
        pgdbm_no_args, &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 0, has_schema, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 1, has_tables, err);
    pgdbm_result_free(result);
    return status;
}

/* Asks the catalog first: CREATE ... IF NOT EXISTS wants the right to create even when there is nothing to do. */
static pgdbm_status find_tables(pgdbm_fleet *fleet, pgdbm_error *err)
{
    pgdbm_error cause = {0};
    pgdbm_status status = PGDBM_OK;
    for (int lost = 0;;) {
        bool has_schema = false;
        bool has_tables = false;
        status = look_for_tables(fleet, &has_schema, &has_tables, &cause);
        if (status != PGDBM_OK || has_tables)
            break;
        status = pgdbm_execute_simple(fleet->db, has_schema ? tables : "CREATE SCHEMA pgdbm", &cause);
        if (status != PGDBM_OK && !(pgdbm__was_created_by_another(&cause) && ++lost < CREATE_ATTEMPTS)) {
            if (strcmp(cause.sqlstate, "42501") == 0)
                pgdbm__error_hint(&cause, "let an administrator open the fleet once, and grant this role USAGE on "
                                          "schema pgdbm and SELECT, INSERT, UPDATE, DELETE on its tables");
            break;
        }
    }
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    return status;
}

static bool copy_text(char **copy, const char *text)
{
    *copy = pgdbm__strdup(text);
    return text == NULL || *copy != NULL;
}

static pgdbm_status copy_schemas(pgdbm_fleet *fleet, const pgdbm_fleet_options *options, pgdbm_error *err)
{
    struct pgdbm__fleet_selection *selection = &fleet->selection;
    selection->schemas = pgdbm__alloc_zero(options->n_schemas, sizeof *selection->schemas);
    if (selection->schemas == NULL)
        return pgdbm__fail_nomem(err, "opening a fleet");
    for (size_t i = 0; i < options->n_schemas; i++) {
        char folded[PGDBM__IDENTIFIER_BYTES];
        if (options->schemas[i] == NULL)
            return pgdbm__fail_null(err, FUNCTION, "a schema of options->schemas");
        pgdbm_status status =
            pgdbm__identifier_fold(options->schemas[i], strlen(options->schemas[i]), "schema", folded, err);
        if (status != PGDBM_OK)
            return status;
        selection->schemas[i] = pgdbm__strdup(folded);
        if (selection->schemas[i] == NULL)
            return pgdbm__fail_nomem(err, "opening a fleet");
        selection->n_schemas++;
    }
    return PGDBM_OK;
}

static pgdbm_status copy_selection(pgdbm_fleet *fleet, const pgdbm_fleet_options *options, pgdbm_error *err)
{
    int given = (options->schemas != NULL) + (options->pattern != NULL) + (options->query != NULL);
    if (given != 1) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "fleet of module %s was given %s", options->module,
                    given == 0 ? "no schemas" : "more than one way to find its schemas");
        pgdbm__error_hint(err, "give exactly one: .schemas with .n_schemas, .pattern (LIKE), or .query");
        return PGDBM_ERR_CONFIG;
    }
    if (options->schemas != NULL)
        return copy_schemas(fleet, options, err);
    if (!copy_text(&fleet->selection.pattern, options->pattern) || !copy_text(&fleet->selection.query, options->query))
        return pgdbm__fail_nomem(err, "opening a fleet");
    if (fleet->selection.query != NULL)
        fleet->selection.query[pgdbm__scan_end(fleet->selection.query, strlen(fleet->selection.query))] = '\0';
    return PGDBM_OK;
}

/* The files as they were read now, for pgdbm_migrate: a directory may change while tenants are being migrated. */
static pgdbm_status list_texts(pgdbm_fleet *fleet, pgdbm_error *err)
{
    const struct pgdbm__migration_set *set = &fleet->set;
    size_t n = 0;
    fleet->texts = pgdbm__alloc_zero(set->n_files, 2 * sizeof *fleet->texts);
    if (fleet->texts == NULL)
        return pgdbm__fail_nomem(err, "opening a fleet");
    for (size_t i = 0; i < set->n_files; i++) {
        const struct pgdbm__migration_file *file = &set->files[i];
        fleet->texts[n++] = (pgdbm_migration_text){file->filename, file->text, file->bytes};
        if (file->down_filename != NULL)
            fleet->texts[n++] = (pgdbm_migration_text){file->down_filename, file->down.text, file->down.bytes};
    }
    fleet->migrations = (pgdbm_migrations){.texts = fleet->texts, .n_texts = n};
    return PGDBM_OK;
}

static pgdbm_status load(pgdbm_fleet *fleet, const pgdbm_fleet_options *options, pgdbm_error *err)
{
    pgdbm_status status =
        pgdbm__history_init(&fleet->history, options->module, PGDBM__FLEET_HOLE, options->table, true, err);
    if (status != PGDBM_OK)
        return status;
    if (!copy_text(&fleet->module, options->module) || !copy_text(&fleet->build, options->build) ||
        !copy_text(&fleet->table, fleet->history.table))
        return pgdbm__fail_nomem(err, "opening a fleet");
    status = copy_selection(fleet, options, err);
    if (status == PGDBM_OK)
        status = pgdbm__migration_set_load(&fleet->set, options->migrations, NULL, false, err);
    if (status == PGDBM_OK)
        status = list_texts(fleet, err);
    if (status == PGDBM_OK)
        status = pgdbm__fleet_digest_files(fleet, err);
    fleet->history.build = fleet->build;
    fleet->history.set_digest = fleet->set.digest;
    return status;
}

pgdbm_status pgdbm_fleet_open_sized(pgdbm_pool *pool, const pgdbm_fleet_options *options, size_t options_bytes,
                                    pgdbm_fleet **fleet, pgdbm_error *err)
{
    pgdbm_fleet_options own = {0};
    if (fleet != NULL)
        *fleet = NULL;
    if (pool == NULL || options == NULL || fleet == NULL)
        return pgdbm__fail_null(err, FUNCTION, pool == NULL ? "pool" : options == NULL ? "options" : "fleet");
    memcpy(&own, options, options_bytes < sizeof own ? options_bytes : sizeof own);
    if (own.migrations == NULL)
        return pgdbm__fail_null(err, FUNCTION, "options->migrations");
    pgdbm_fleet *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "opening a fleet");
    made->pool = pool;
    made->has_mutex = pthread_mutex_init(&made->mutex, NULL) == 0;
    pgdbm_status status = made->has_mutex ? load(made, &own, err) : pgdbm__fail_nomem(err, "opening a fleet");
    if (status == PGDBM_OK)
        status = pgdbm_attach(pool, NULL, &made->db, err);
    if (status == PGDBM_OK)
        status = find_tables(made, err);
    if (status != PGDBM_OK) {
        pgdbm_fleet_close(made);
        return status;
    }
    *fleet = made;
    return PGDBM_OK;
}

static void free_texts(char **texts, size_t n_texts)
{
    for (size_t i = 0; i < n_texts; i++)
        pgdbm__free(texts[i]);
    pgdbm__free(texts);
}

void pgdbm_fleet_close(pgdbm_fleet *fleet)
{
    if (fleet == NULL)
        return;
    pgdbm_close(fleet->db);
    pgdbm__free(fleet->module);
    pgdbm__free(fleet->build);
    pgdbm__free(fleet->table);
    free_texts(fleet->selection.schemas, fleet->selection.n_schemas);
    pgdbm__free(fleet->selection.pattern);
    pgdbm__free(fleet->selection.query);
    pgdbm__migration_set_free(&fleet->set);
    pgdbm__free(fleet->texts);
    pgdbm__free(fleet->chain);
    pgdbm__free(fleet->digest);
    pgdbm__history_free(&fleet->history);
    free_texts(fleet->attached, fleet->n_attached);
    if (fleet->has_mutex)
        pthread_mutex_destroy(&fleet->mutex);
    pgdbm__free(fleet);
}
