/* SPDX-License-Identifier: MIT */
/* Fleets: who is behind, a roll-out beside the least that libpq could do, drift. A server of their own: ten thousand schemas
 * stay in a catalog for good. */
#include "bench.h"

#include <pgdbm/testkit.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILES = 16, CONNECTIONS = 4, ROUNDS = 3, TABLES = 20, NAME_BYTES = 24 };

struct yard {
    struct bench bench; /* with this server's address */
    pgdbm_testserver *server;
    pgdbm_pool *pool;
    pgdbm_fleet *fleet;
    int n_schemas;
    char (*names)[NAME_BYTES];
    const char **schemas;
    pgdbm_migration_text texts[MOST_FILES];
    pgdbm_migrations migrations;
    char filenames[MOST_FILES][32];
    char statements[MOST_FILES][4096];
};

static void add_file(struct yard *yard, const char *sql)
{
    size_t i = yard->migrations.n_texts++;
    bench_expect(i < MOST_FILES, "too many files");
    snprintf(yard->filenames[i], sizeof yard->filenames[i], "%03zu_step.sql", i + 1);
    snprintf(yard->statements[i], sizeof yard->statements[i], "%s", sql);
    yard->texts[i] = (pgdbm_migration_text){yard->filenames[i], yard->statements[i], strlen(yard->statements[i])};
    yard->migrations.texts = yard->texts;
}

static void open_fleet(struct yard *yard)
{
    pgdbm_error err;
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &yard->migrations, .pattern = "tenant\\_%"};
    pgdbm_fleet_close(yard->fleet);
    bench_must(pgdbm_fleet_open(yard->pool, &options, &yard->fleet, &err), &err, "opening a fleet");
}

static void open_yard(const struct bench *bench, struct yard *yard)
{
    static const char *const settings[] = {"max_locks_per_transaction = 1024",
                                           "shared_buffers = 1GB",
                                           "max_wal_size = 8GB",
                                           "wal_level = minimal",
                                           "max_wal_senders = 0",
                                           "autovacuum = off"};
    const pgdbm_testserver_options options = {.settings = settings, .n_settings = sizeof settings / sizeof *settings};
    pgdbm_error err;
    yard->bench = *bench;
    yard->n_schemas = bench->quick ? 200 : 10000;
    bench_must(pgdbm_testserver_start(&options, &yard->server, &err), &err, "starting a server for fleets");
    yard->bench.url = pgdbm_testserver_url(yard->server);
    const pgdbm_config config = {.connection_string = yard->bench.url,
                                 .min_connections = 1,
                                 .max_connections = CONNECTIONS + 2,
                                 .on_duplicate_pool = PGDBM_ALLOW};
    bench_must(pgdbm_pool_open(&config, &yard->pool, &err), &err, "opening");
}

/* The tenants, with the files added so far. */
static void make_tenants(struct yard *yard)
{
    pgdbm_error err;
    size_t created = 0;
    yard->names = calloc((size_t)yard->n_schemas, NAME_BYTES);
    yard->schemas = calloc((size_t)yard->n_schemas, sizeof *yard->schemas);
    bench_expect(yard->names != NULL && yard->schemas != NULL, "out of memory");
    for (int i = 0; i < yard->n_schemas; i++) {
        snprintf(yard->names[i], NAME_BYTES, "tenant_%05d", i);
        yard->schemas[i] = yard->names[i];
    }
    open_fleet(yard);
    double since = bench_now();
    bench_must(
        pgdbm_fleet_create_tenants(yard->fleet, yard->schemas, (size_t)yard->n_schemas, CONNECTIONS, &created, &err),
        &err, "making tenants");
    bench_expect(created == (size_t)yard->n_schemas, "tenants are missing");
    printf("%-20s %d tenants made in %.1f s\n", "", yard->n_schemas, bench_now() - since);
    fflush(stdout);
}

/* The catalogs only, as autovacuum would: to look at twenty thousand tables takes longer than to migrate them. */
static void analyze(const struct yard *yard)
{
    PGconn *connection = bench_connect(&yard->bench);
    PGresult *done =
        PQexec(connection, "VACUUM ANALYZE pg_attribute, pg_attrdef, pg_class, pg_constraint, pg_depend, pg_index,"
                           " pg_namespace, pg_proc, pg_statistic, pg_type, pgdbm.target");
    bench_must_libpq(PQresultStatus(done) == PGRES_COMMAND_OK, connection, "vacuuming the catalogs");
    PQclear(done);
    PQfinish(connection);
}

static void close_yard(struct yard *yard)
{
    pgdbm_fleet_close(yard->fleet);
    pgdbm_pool_close(yard->pool);
    pgdbm_testserver_stop(yard->server);
    free(yard->names);
    free(yard->schemas);
}

void bench_migrations_check(struct bench *bench)
{
    static struct yard yard;
    struct samples milliseconds = {0};
    yard = (struct yard){0};
    open_yard(bench, &yard);
    add_file(&yard, "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY, body text)");
    make_tenants(&yard);
    analyze(&yard);
    for (int round = 0; round < 15; round++) {
        pgdbm_fleet_report *report = NULL;
        pgdbm_error err;
        double since = bench_now();
        bench_must(pgdbm_fleet_status(yard.fleet, false, &report, &err), &err, "looking");
        bench_add(&milliseconds, (bench_now() - since) * 1e3);
        bench_expect(report->counts[PGDBM_TARGET_CURRENT] == (size_t)yard.n_schemas && report->n_targets == 0,
                     "a tenant is not current");
        pgdbm_fleet_report_free(report);
    }
    close_yard(&yard);
    bench_report_value(bench, "migrations-check", 50, " ms", &milliseconds);
}

/* The least that libpq could do for a tenant: the same change, its row in the history, its row in a table of all. */
struct loop {
    struct yard *yard;
    pthread_t thread;
    int first, round;
};

static void *run_loop(void *argument)
{
    struct loop *loop = argument;
    PGconn *connection = bench_connect(&loop->yard->bench);
    for (int i = loop->first; i < loop->yard->n_schemas; i += CONNECTIONS) {
        const char *schema = loop->yard->schemas[i];
        char sql[1024];
        snprintf(sql, sizeof sql,
                 "BEGIN; SET LOCAL lock_timeout = 2000; SET LOCAL statement_timeout = 0;"
                 " ALTER TABLE \"%s\".\"notes\" ADD COLUMN bare%d int;"
                 " INSERT INTO \"%s\".schema_migrations (filename, checksum, module_name, execution_time_ms)"
                 " VALUES ('%03d_bare.sql', 'x', 'bare', 1);"
                 " UPDATE bare SET head = '%d', updated_at = now() WHERE schema = '%s'; COMMIT",
                 schema, loop->round, schema, loop->round, loop->round, schema);
        PGresult *done = PQexec(connection, sql);
        bench_must_libpq(PQresultStatus(done) == PGRES_COMMAND_OK, connection, "the bare loop");
        PQclear(done);
    }
    PQfinish(connection);
    return NULL;
}

static void roll_out_bare(struct yard *yard, int round)
{
    struct loop loops[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        loops[i] = (struct loop){.yard = yard, .first = i, .round = round};
        bench_expect(pthread_create(&loops[i].thread, NULL, run_loop, &loops[i]) == 0, "no thread");
    }
    for (int i = 0; i < CONNECTIONS; i++)
        pthread_join(loops[i].thread, NULL);
}

static void roll_out(struct yard *yard, int round)
{
    pgdbm_roll_out_tally tally;
    pgdbm_error err;
    char sql[64];
    snprintf(sql, sizeof sql, "ALTER TABLE {{tables.notes}} ADD COLUMN ours%d int", round);
    add_file(yard, sql);
    open_fleet(yard);
    bench_must(pgdbm_fleet_roll_out(yard->fleet, &(pgdbm_roll_out){.workers = CONNECTIONS}, &tally, &err), &err,
               "rolling out");
    bench_expect(tally.migrated == (size_t)yard->n_schemas, "a tenant was not migrated");
}

static void prepare_bare(struct yard *yard)
{
    PGconn *connection = bench_connect(&yard->bench);
    PGresult *done =
        PQexec(connection, "CREATE TABLE bare (schema text PRIMARY KEY, head text, updated_at timestamptz)"
                           " WITH (fillfactor = 60); INSERT INTO bare SELECT schema, '', now() FROM pgdbm.target");
    bench_must_libpq(PQresultStatus(done) == PGRES_COMMAND_OK, connection, "preparing");
    PQclear(done);
    PQfinish(connection);
}

void bench_migrations_roll_out(struct bench *bench)
{
    static struct yard yard;
    struct samples rates[2] = {{.count = 0}};
    struct samples milliseconds = {0};
    yard = (struct yard){0};
    open_yard(bench, &yard);
    add_file(&yard, "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY, body text)");
    make_tenants(&yard);
    prepare_bare(&yard);
    for (int turn = 0; turn < 2 * ROUNDS; turn++) {
        int side = (turn + turn / 2) % 2;
        analyze(&yard);
        double since = bench_now();
        if (side == 0)
            roll_out(&yard, turn);
        else
            roll_out_bare(&yard, turn);
        double seconds = bench_now() - since;
        bench_add(&rates[side], yard.n_schemas / seconds);
        if (side == 0)
            bench_add(&milliseconds, seconds * 1e3 / yard.n_schemas);
    }
    close_yard(&yard);
    bench_report_ratio(bench, "migrations-roll-out", "libpq", 0.7, "/s", &rates[0], &rates[1]);
    /* The Python pgdbm takes 5.6 ms a schema for the same, measured elsewhere. */
    bench_report_value(bench, "migrations-tenant", 5.6 / 8, " ms", &milliseconds);
}

/* Twenty tables, each with a key, a default, an index. */
static void add_tables(struct yard *yard)
{
    char sql[4096];
    size_t length = 0;
    for (int i = 0; i < TABLES; i++)
        length += (size_t)snprintf(sql + length, sizeof sql - length,
                                   "CREATE TABLE {{tables.t%d}} (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x',"
                                   " at timestamptz DEFAULT now());\nCREATE INDEX t%d_name ON {{tables.t%d}} (name);\n",
                                   i, i, i);
    add_file(yard, sql);
}

static void tamper(const struct yard *yard)
{
    PGconn *connection = bench_connect(&yard->bench);
    PGresult *done = PQexec(
        connection, "DROP INDEX tenant_00017.t3_name; ALTER TABLE tenant_00042.t1 ALTER name SET DEFAULT 'y';"
                    " UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tenant_00142.t7_name'::regclass");
    bench_must_libpq(PQresultStatus(done) == PGRES_COMMAND_OK, connection, "tampering");
    PQclear(done);
    PQfinish(connection);
}

static void check_drift(const struct yard *yard, const pgdbm_drift_report *report)
{
    static const char *const expected[] = {"index t3_name", "column t1.name", "index t7_name"};
    bench_expect(report->n_schemas == (size_t)yard->n_schemas && report->n_alike == report->n_schemas - 3 &&
                     report->n_drifts == 3,
                 "drift is not what was tampered with");
    for (size_t i = 0; i < 3; i++)
        bench_expect(strcmp(report->drifts[i].object, expected[i]) == 0, "another object was tampered with");
}

void bench_migrations_drift(struct bench *bench)
{
    static struct yard yard;
    struct samples seconds = {0};
    yard = (struct yard){0};
    open_yard(bench, &yard);
    add_tables(&yard);
    make_tenants(&yard);
    tamper(&yard);
    analyze(&yard);
    for (int round = 0; round < ROUNDS; round++) {
        pgdbm_drift_report *report = NULL;
        pgdbm_error err;
        double since = bench_now();
        bench_must(pgdbm_fleet_drift(yard.fleet, &(pgdbm_drift_options){0}, &report, &err), &err, "looking for drift");
        bench_add(&seconds, bench_now() - since);
        check_drift(&yard, report);
        pgdbm_drift_report_free(report);
    }
    close_yard(&yard);
    bench_report_value(bench, "migrations-drift", 10, " s", &seconds);
}
