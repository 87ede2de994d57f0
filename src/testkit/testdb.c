/* SPDX-License-Identifier: MIT */
/* Throw-away databases: making and dropping. A handle belongs to one thread at a time. */
#include "testkit/testdb.h"

#include "base/alloc.h"
#include "base/error.h"

#include <pgdbm/testkit.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 60000

struct pgdbm_testdb {
    pgdbm_db *manager;
    char *url;
    char *admin_url;
    pid_t owner;
    bool expected; /* the janitor knows of it */
    char name[PGDBM__NAME_BYTES];
};

static const char function[] = "pgdbm_testdb_create";

static pgdbm_status refuse(pgdbm_error *err, const char *what, const char *hint)
{
    pgdbm__fail(err, PGDBM_ERR_CONFIG, "%s: %s", function, what);
    pgdbm__error_hint(err, "%s", hint);
    return PGDBM_ERR_CONFIG;
}

static pgdbm_status check_options(const pgdbm_testdb_options *options, pgdbm_error *err)
{
    const pgdbm_config *config = options->config;
    if (options->module != NULL && options->migrations != NULL)
        return refuse(err, "both .module and .migrations are given", "give one: a module brings its own migrations");
    if (options->module != NULL && (options->module->name == NULL || options->module->migrations == NULL))
        return refuse(err, "the module has no name or no migrations", "set pgdbm_module.name and .migrations");
    if (config != NULL &&
        (config->connection_string != NULL || config->host != NULL || config->port != 0 || config->database != NULL ||
         config->user != NULL || config->password != NULL || config->schema != NULL))
        return refuse(err, ".config says where to connect, or a schema",
                      "say where in .server_url or TEST_DATABASE_URL, the schema in .schema, and only how in .config");
    return PGDBM_OK;
}

static const char *schema_of(const pgdbm_testdb_options *options)
{
    return options->schema != NULL ? options->schema : options->module != NULL ? options->module->name : NULL;
}

static pgdbm_status open_manager(pgdbm_testdb *testdb, const pgdbm_testdb_options *options, pgdbm_error *err)
{
    pgdbm_config config = {0};
    if (options->config != NULL)
        config = *options->config;
    config.connection_string = testdb->url;
    config.schema = schema_of(options);
    if (config.min_connections == 0)
        config.min_connections = 1;
    if (config.drain_timeout_ms == 0)
        config.drain_timeout_ms = 1000; /* what a failed test has left open will not end by itself */
    if (config.retry_attempts == 0)
        config.retry_attempts = -1;
    config.on_duplicate_pool = PGDBM_ALLOW;
    return pgdbm_open(&config, &testdb->manager, err);
}

/* Makes what the options say it shall contain. */
static pgdbm_status fill(pgdbm_testdb *testdb, const pgdbm_testdb_options *options, pgdbm_error *err)
{
    pgdbm_db *db = testdb->manager;
    if (options->module != NULL) {
        const pgdbm_migrate_options migrate = {.module = options->module->name,
                                               .migrations = options->module->migrations,
                                               .per_schema = true,
                                               .build = options->module->build,
                                               .policies = options->module->policies,
                                               .on_progress = options->module->on_progress,
                                               .context = options->module->context};
        return pgdbm_migrate(db, &migrate, NULL, err);
    }
    if (options->migrations != NULL) {
        const pgdbm_migrate_options migrate = {.module = "test", .migrations = options->migrations};
        return pgdbm_migrate(db, &migrate, NULL, err);
    }
    return options->schema != NULL
               ? pgdbm_execute(db, "CREATE SCHEMA IF NOT EXISTS {{schema}}", pgdbm_no_args, NULL, err)
               : PGDBM_OK;
}

/* Gives the database its name and makes it, empty. */
static pgdbm_status make(pgdbm_testdb *testdb, struct pgdbm__admin *admin, pgdbm_error *err)
{
    struct pgdbm__owner self = pgdbm__owner_self();
    char prefix[PGDBM__NAME_BYTES];
    char comment[PGDBM__COMMENT_BYTES];
    pgdbm__owner_prefix(&self, prefix);
    pgdbm__owner_name(&self, testdb->name);
    pgdbm__owner_comment(&self, "test", comment);
    pgdbm_status status = pgdbm__admin_lock(admin, prefix, true, err);
    if (status == PGDBM_OK) {
        pgdbm__janitor_expect(testdb->admin_url);
        testdb->expected = true;
        status = pgdbm__admin_run(admin, err, "CREATE DATABASE \"%s\"", testdb->name);
    }
    if (status == PGDBM_OK)
        status = pgdbm__admin_run(admin, err, "COMMENT ON DATABASE \"%s\" IS '%s'", testdb->name, comment);
    return status;
}

/* The private server may have crashed since this process found it; then there is another one. */
static pgdbm_status reach_server(const pgdbm_testdb_options *options, struct pgdbm__address *address,
                                 struct pgdbm__admin *admin, pgdbm_error *err)
{
    int timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
    pgdbm_status status = PGDBM_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        status = pgdbm__address_find(options->server_url, address, err);
        if (status != PGDBM_OK)
            break;
        status = pgdbm__admin_open(address->url, timeout_ms, admin, err);
        if (status != PGDBM_ERR_CONNECTION || !address->is_private || attempt > 0)
            break;
        pgdbm__address_forget_private();
        pgdbm__address_free(address);
    }
    return status;
}

static pgdbm_status create(pgdbm_testdb *testdb, const pgdbm_testdb_options *options, pgdbm_error *err)
{
    struct pgdbm__address address;
    struct pgdbm__admin admin = {0};
    pgdbm_status status = reach_server(options, &address, &admin, err);
    testdb->admin_url = address.url;
    if (status == PGDBM_OK)
        status = make(testdb, &admin, err);
    pgdbm__admin_close(&admin);
    if (status == PGDBM_OK)
        status = pgdbm__address_of_database(&address, testdb->name, &testdb->url, err);
    if (status == PGDBM_OK)
        status = open_manager(testdb, options, err);
    if (status == PGDBM_OK)
        status = fill(testdb, options, err);
    return status;
}

pgdbm_status pgdbm_testdb_create_sized(const pgdbm_testdb_options *options, size_t options_bytes, pgdbm_testdb **testdb,
                                       pgdbm_error *err)
{
    pgdbm_testdb_options chosen = {0};
    if (testdb == NULL)
        return pgdbm__fail_null(err, function, "testdb");
    *testdb = NULL;
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    pgdbm_status status = check_options(&chosen, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_testdb *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "making a database");
    made->owner = getpid();
    status = create(made, &chosen, err);
    if (status != PGDBM_OK) {
        pgdbm_testdb_drop(made);
        return status;
    }
    *testdb = made;
    return PGDBM_OK;
}

pgdbm_status pgdbm_testdb_create_many_sized(const pgdbm_testdb_options *options, size_t options_bytes, size_t count,
                                            pgdbm_testdb **testdbs, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (count > 0 && testdbs == NULL)
        return pgdbm__fail_null(err, "pgdbm_testdb_create_many", "testdbs");
    for (size_t i = 0; i < count; i++)
        testdbs[i] = NULL;
    for (size_t i = 0; status == PGDBM_OK && i < count; i++)
        status = pgdbm_testdb_create_sized(options, options_bytes, &testdbs[i], err);
    for (size_t i = 0; status != PGDBM_OK && i < count; i++) {
        pgdbm_testdb_drop(testdbs[i]);
        testdbs[i] = NULL;
    }
    return status;
}

pgdbm_db *pgdbm_testdb_manager(const pgdbm_testdb *testdb)
{
    return testdb != NULL ? testdb->manager : NULL;
}

const char *pgdbm_testdb_url(const pgdbm_testdb *testdb)
{
    return testdb != NULL ? testdb->url : NULL;
}

const char *pgdbm_testdb_name(const pgdbm_testdb *testdb)
{
    return testdb != NULL ? testdb->name : NULL;
}

void pgdbm_testdb_drop(pgdbm_testdb *testdb)
{
    if (testdb == NULL)
        return;
    pgdbm_close(testdb->manager);
    struct pgdbm__admin admin;
    if (testdb->expected && testdb->owner == getpid() &&
        pgdbm__admin_open(testdb->admin_url, TIMEOUT_MS, &admin, NULL) == PGDBM_OK) {
        if (pgdbm__admin_drop(&admin, testdb->name, NULL) == PGDBM_OK)
            pgdbm__janitor_forget();
        pgdbm__admin_close(&admin);
    }
    pgdbm__free(testdb->url);
    pgdbm__free(testdb->admin_url);
    pgdbm__free(testdb);
}
