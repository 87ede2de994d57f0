/* SPDX-License-Identifier: MIT */
/* Dual mode. No state: who owns what is kept by the manager itself. Any thread. */
#include "base/error.h"

#include <pgdbm/module.h>
#include <string.h>

#define FUNCTION "pgdbm_module_open"

/* What a module may be opened from, for every message that says so. */
static const char ways_out[] = "a library of its own: .connection_string (and .config); inside a host: the host's .db, "
                               "or its .pool";

static pgdbm_status check_module(const pgdbm_module *module, pgdbm_error *err)
{
    if (module->name == NULL || module->name[0] == '\0') {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, FUNCTION ": the module has no name");
        pgdbm__error_hint(err, "set pgdbm_module.name: its migrations are recorded under it");
        return PGDBM_ERR_CONFIG;
    }
    if (module->migrations == NULL) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "module %s has no migrations", module->name);
        pgdbm__error_hint(err, "set pgdbm_module.migrations: a module always brings its own tables");
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}

/* The first of the fields that say where to connect, NULL when all are empty. */
static const char *connection_field(const pgdbm_config *config)
{
    return config->connection_string != NULL ? "connection_string"
           : config->host != NULL            ? "host"
           : config->port != 0               ? "port"
           : config->database != NULL        ? "database"
           : config->user != NULL            ? "user"
           : config->password != NULL        ? "password"
           : config->schema != NULL          ? "schema"
                                             : NULL;
}

static pgdbm_status check_source(const pgdbm_module *module, const pgdbm_source *source, pgdbm_error *err)
{
    int given = (source->connection_string != NULL) + (source->db != NULL) + (source->pool != NULL);
    if (given != 1) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "module %s was given %s to live in", module->name,
                    given == 0 ? "nothing" : "more than one place");
        pgdbm__error_hint(err, "give exactly one: %s", ways_out);
        return PGDBM_ERR_CONFIG;
    }
    if (source->config == NULL)
        return PGDBM_OK;
    if (source->connection_string == NULL) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "module %s was given a config beside its host's %s", module->name,
                    source->db != NULL ? "manager" : "pool");
        pgdbm__error_hint(err, "leave .config out: the host's pool is configured already");
        return PGDBM_ERR_CONFIG;
    }
    const char *field = connection_field(source->config);
    if (field != NULL) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "module %s: .config->%s is set beside .connection_string", module->name,
                    field);
        pgdbm__error_hint(err, "say where in .connection_string%s, and how in .config",
                          strcmp(field, "schema") == 0 ? " and .schema" : "");
        return PGDBM_ERR_CONFIG;
    }
    return PGDBM_OK;
}

static const char *choose_schema(const pgdbm_module *module, const pgdbm_source *source)
{
    const char *schema = source->schema;
    if (schema == NULL && source->db != NULL)
        schema = pgdbm_schema(source->db);
    return schema != NULL ? schema : module->name;
}

static pgdbm_status open_manager(const char *file, int line, const pgdbm_source *source, const char *schema,
                                 pgdbm_db **db, pgdbm_error *err)
{
    if (source->connection_string == NULL)
        return pgdbm_attach(source->db != NULL ? pgdbm_pool_of(source->db) : source->pool, schema, db, err);
    pgdbm_config config = {0};
    if (source->config != NULL)
        config = *source->config;
    config.connection_string = source->connection_string;
    config.schema = schema;
    return pgdbm_open_at(file, line, &config, sizeof config, db, err);
}

static pgdbm_status migrate(const pgdbm_module *module, pgdbm_db *db, pgdbm_error *err)
{
    const pgdbm_migrate_options options = {.module = module->name,
                                           .migrations = module->migrations,
                                           .per_schema = true,
                                           .build = module->build,
                                           .policies = module->policies,
                                           .on_progress = module->on_progress,
                                           .context = module->context};
    return pgdbm_migrate(db, &options, NULL, err);
}

pgdbm_status pgdbm_module_open_at(const char *file, int line, const pgdbm_module *module, size_t module_bytes,
                                  const pgdbm_source *source, size_t source_bytes, pgdbm_db **db, pgdbm_error *err)
{
    pgdbm_module own_module = {0};
    pgdbm_source own_source = {0};
    if (db != NULL)
        *db = NULL;
    if (module == NULL || source == NULL || db == NULL)
        return pgdbm__fail_null(err, FUNCTION, module == NULL ? "module" : source == NULL ? "source" : "db");
    memcpy(&own_module, module, module_bytes < sizeof own_module ? module_bytes : sizeof own_module);
    memcpy(&own_source, source, source_bytes < sizeof own_source ? source_bytes : sizeof own_source);
    pgdbm_status status = check_module(&own_module, err);
    if (status == PGDBM_OK)
        status = check_source(&own_module, &own_source, err);
    if (status == PGDBM_OK)
        status = open_manager(file, line, &own_source, choose_schema(&own_module, &own_source), db, err);
    if (status == PGDBM_OK)
        status = migrate(&own_module, *db, err);
    if (status != PGDBM_OK) {
        pgdbm_close(*db);
        *db = NULL;
    }
    return status;
}
