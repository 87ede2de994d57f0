/* SPDX-License-Identifier: MIT */
/* Throw-away databases: making and dropping. A handle belongs to one thread at a time. */
#include "testkit/testdb.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/testkit.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 60000

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

const char *pgdbm__testdb_schema(const pgdbm_testdb_options *options)
{
    return options->schema != NULL ? options->schema : options->module != NULL ? options->module->name : NULL;
}

pgdbm_status pgdbm__testdb_open(const struct pgdbm__making *making, const char *name, char **url, pgdbm_db **db,
                                pgdbm_error *err)
{
    pgdbm_config config = {0};
    if (making->options->config != NULL)
        config = *making->options->config;
    pgdbm_status status = pgdbm__address_of_database(&making->address, name, url, err);
    if (status != PGDBM_OK)
        return status;
    config.connection_string = *url;
    config.schema = pgdbm__testdb_schema(making->options);
    if (config.min_connections == 0)
        config.min_connections = 1;
    if (config.drain_timeout_ms == 0)
        config.drain_timeout_ms = 1000; /* what a failed test has left open will not end by itself */
    if (config.retry_attempts == 0)
        config.retry_attempts = -1;
    config.on_duplicate_pool = PGDBM_ALLOW;
    return pgdbm_open(&config, db, err);
}

pgdbm_status pgdbm__testdb_fill(pgdbm_db *db, const pgdbm_testdb_options *options, pgdbm_error *err)
{
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

/* Copying files is twice as fast as writing each page to the log, but costs two checkpoints, which are cheap only where
 * nothing has to reach a disk. */
static pgdbm_status choose_strategy(struct pgdbm__admin *admin, const char **strategy, pgdbm_error *err)
{
    bool copies = false;
    pgdbm_status status = pgdbm_fetch_value_bool(
        admin->session,
        "SELECT current_setting('server_version_num')::int >= 150000 AND current_setting('fsync') = 'off'",
        pgdbm_no_args, &copies, err);
    *strategy = copies ? " STRATEGY file_copy" : "";
    return status;
}

pgdbm_status pgdbm__testdb_make(struct pgdbm__making *making, const char *template, char name[PGDBM__NAME_BYTES],
                                bool *expected, pgdbm_error *err)
{
    struct pgdbm__owner self = pgdbm__owner_self();
    char comment[PGDBM__COMMENT_BYTES];
    const char *strategy = "";
    pgdbm__owner_name(&self, name);
    pgdbm__owner_comment(&self, "test", comment);
    pgdbm_status status = choose_strategy(&making->admin, &strategy, err);
    if (status != PGDBM_OK)
        return status;
    if (!*expected)
        pgdbm__janitor_expect(making->address.url);
    *expected = true;
    if (template == NULL)
        status = pgdbm__admin_run(&making->admin, err, "CREATE DATABASE \"%s\"%s", name, strategy);
    else
        status =
            pgdbm__admin_run(&making->admin, err, "CREATE DATABASE \"%s\" TEMPLATE \"%s\"%s", name, template, strategy);
    if (status == PGDBM_OK)
        status = pgdbm__admin_run(&making->admin, err, "COMMENT ON DATABASE \"%s\" IS '%s'", name, comment);
    return status;
}

/* The private server may have crashed since this process found it; then there is another one. */
static pgdbm_status reach_server(struct pgdbm__making *making, pgdbm_error *err)
{
    struct pgdbm__address *address = &making->address;
    int timeout_ms = making->options->timeout_ms > 0 ? making->options->timeout_ms : TIMEOUT_MS;
    pgdbm_status status = PGDBM_OK;
    making->deadline = pgdbm__deadline(timeout_ms);
    for (int attempt = 0; attempt < 2; attempt++) {
        status = pgdbm__address_find(making->options->server_url, true, address, err);
        if (status == PGDBM_OK)
            status = pgdbm__production_refuse_address(address, making->options->even_if_production, err);
        if (status != PGDBM_OK)
            return status;
        status = pgdbm__admin_open(address->url, timeout_ms, &making->admin, err);
        if (status != PGDBM_ERR_CONNECTION || !address->is_private || attempt > 0)
            break;
        pgdbm__address_forget_private();
        pgdbm__address_free(address);
    }
    if (status == PGDBM_OK && !address->is_private)
        status = pgdbm__production_refuse_server(&making->admin, making->options->even_if_production, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__sweep_once(&making->admin, address->url);
    struct pgdbm__owner self = pgdbm__owner_self();
    char prefix[PGDBM__NAME_BYTES];
    pgdbm__owner_prefix(&self, prefix);
    return pgdbm__admin_lock(&making->admin, prefix, true, err);
}

static bool has_sqlstate(const pgdbm_error *err, const char *sqlstate)
{
    return err->status == PGDBM_ERR_QUERY && strcmp(err->sqlstate, sqlstate) == 0;
}

/* Again while somebody is connected to the template (the server has waited for five seconds before it says so), and when
 * another process has replaced it in between. */
static pgdbm_status make_copy(pgdbm_testdb *testdb, struct pgdbm__making *making, pgdbm_error *err)
{
    char template[PGDBM__NAME_BYTES];
    pgdbm_error failure;
    pgdbm_status status;
    do {
        status = pgdbm__template_find(making, template, &failure);
        if (status != PGDBM_OK)
            break;
        status = pgdbm__testdb_make(making, template, testdb->name, &testdb->expected, &failure);
    } while (status != PGDBM_OK && (has_sqlstate(&failure, "55006") || has_sqlstate(&failure, "3D000")) &&
             pgdbm__now_ns() < making->deadline);
    if (status != PGDBM_OK && err != NULL)
        *err = failure;
    return status;
}

static pgdbm_status create(pgdbm_testdb *testdb, const pgdbm_testdb_options *options, pgdbm_error *err)
{
    struct pgdbm__making making = {.options = options};
    bool copies = !options->without_template && (options->module != NULL || options->migrations != NULL);
    pgdbm_status status = reach_server(&making, err);
    testdb->admin_url = making.address.url;
    if (status == PGDBM_OK && copies)
        status = make_copy(testdb, &making, err);
    else if (status == PGDBM_OK)
        status = pgdbm__testdb_make(&making, NULL, testdb->name, &testdb->expected, err);
    pgdbm__admin_close(&making.admin);
    bool empty = !copies && options->module == NULL && options->migrations == NULL && options->schema == NULL;
    if (status == PGDBM_OK && options->without_manager && (copies || empty))
        return pgdbm__address_of_database(&making.address, testdb->name, &testdb->url, err);
    if (status == PGDBM_OK)
        status = pgdbm__testdb_open(&making, testdb->name, &testdb->url, &testdb->manager, err);
    if (status == PGDBM_OK && !copies)
        status = pgdbm__testdb_fill(testdb->manager, options, err);
    if (options->without_manager) {
        pgdbm_close(testdb->manager);
        testdb->manager = NULL;
    }
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

/* False when it may still be there. */
static bool try_drop(const pgdbm_testdb *testdb, pgdbm_error *err)
{
    struct pgdbm__admin admin;
    pgdbm_status status = pgdbm__admin_open(testdb->admin_url, TIMEOUT_MS, &admin, err);
    if (status == PGDBM_OK)
        status = pgdbm__admin_drop(&admin, testdb->name, err);
    pgdbm__admin_close(&admin);
    return status == PGDBM_OK;
}

void pgdbm_testdb_drop(pgdbm_testdb *testdb)
{
    if (testdb == NULL)
        return;
    pgdbm__isolations_close(&testdb->isolations);
    pgdbm_close(testdb->manager);
    pgdbm_error err = {0};
    if (testdb->expected && testdb->owner == getpid() &&
        (try_drop(testdb, &err) || (err.status != PGDBM_ERR_CONNECTION && try_drop(testdb, &err))))
        pgdbm__janitor_forget();
    pgdbm__free(testdb->url);
    pgdbm__free(testdb->admin_url);
    pgdbm__free(testdb);
}
