/* SPDX-License-Identifier: MIT */
/* Migrations of one module: a start with nothing to do, and many that start at the same time. */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 20, REPLICAS = 8, MODULES = 8 };

static char names[FILES][32];
static char statements[FILES][160];
static pgdbm_migration_text texts[FILES];
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = FILES};

/* Twenty files: tables, columns, and in the middle an index built concurrently. */
static void make_files(void)
{
    for (int i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "%03d_step.sql", i + 1);
        if (i == 10)
            snprintf(statements[i], sizeof statements[i],
                     "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY t0_x ON {{tables.t0}} (x)");
        else if (i % 2 == 0)
            snprintf(statements[i], sizeof statements[i], "CREATE TABLE {{tables.t%d}} (x int)", i);
        else
            snprintf(statements[i], sizeof statements[i], "ALTER TABLE {{tables.t0}} ADD COLUMN c%d int", i);
        texts[i] = (pgdbm_migration_text){names[i], statements[i], strlen(statements[i])};
    }
}

static void run_sql(const struct bench *bench, const char *sql)
{
    PGconn *connection = bench_connect(bench);
    PQclear(PQexec(connection, "SET client_min_messages = error"));
    PGresult *done = PQexec(connection, sql);
    bench_must_libpq(PQresultStatus(done) == PGRES_COMMAND_OK, connection, sql);
    PQclear(done);
    PQfinish(connection);
}

static int number(const struct bench *bench, const char *sql)
{
    PGconn *connection = bench_connect(bench);
    PGresult *row = PQexec(connection, sql);
    bench_must_libpq(PQresultStatus(row) == PGRES_TUPLES_OK, connection, sql);
    int value = atoi(PQgetvalue(row, 0, 0));
    PQclear(row);
    PQfinish(connection);
    return value;
}

/* A program that starts on a schema that has everything. */
void bench_migrations_start(struct bench *bench)
{
    struct samples microseconds = {0}, trips = {0};
    pgdbm_error err;
    pgdbm_db *db = NULL;
    const pgdbm_migrate_options options = {.module = "start", .migrations = &migrations};
    make_files();
    run_sql(bench, "DROP SCHEMA IF EXISTS start CASCADE");
    for (int round = 0; round < 15; round++) {
        const pgdbm_config config = {.connection_string = bench->url,
                                     .schema = "start",
                                     .min_connections = 1,
                                     .max_connections = 3,
                                     .on_duplicate_pool = PGDBM_ALLOW};
        pgdbm_pool_stats before, after;
        bench_must(pgdbm_open(&config, &db, &err), &err, "opening");
        if (round == 0)
            bench_must(pgdbm_migrate(db, &options, NULL, &err), &err, "migrating");
        bench_must(pgdbm_pool_stats_read(pgdbm_pool_of(db), &before, &err), &err, "stats");
        double since = bench_now();
        bench_must(pgdbm_migrate(db, &options, NULL, &err), &err, "migrating");
        bench_add(&microseconds, (bench_now() - since) * 1e6);
        bench_must(pgdbm_pool_stats_read(pgdbm_pool_of(db), &after, &err), &err, "stats");
        bench_add(&trips, (double)(after.statements - before.statements) +
                              (double)(after.statements_prepared - before.statements_prepared));
        pgdbm_close(db);
    }
    bench_report_value(bench, "migrations-start", 2, " round trips", &trips);
    printf("%-20s %.0f us\n", "", bench_median(&microseconds));
}

/* One of several that start at the same time, each with a pool of its own as a process would have. */
struct starter {
    const struct bench *bench;
    pthread_t thread;
    pthread_barrier_t *barrier;
    char schema[32], module[32];
    bool failed;
};

static void *start(void *argument)
{
    struct starter *starter = argument;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    const pgdbm_config config = {.connection_string = starter->bench->url,
                                 .schema = starter->schema,
                                 .min_connections = 1,
                                 .max_connections = 3,
                                 .on_duplicate_pool = PGDBM_ALLOW};
    const pgdbm_migrate_options options = {.module = starter->module, .migrations = &migrations};
    pgdbm_status status = pgdbm_open(&config, &db, &err);
    pthread_barrier_wait(starter->barrier);
    if (status == PGDBM_OK)
        status = pgdbm_migrate(db, &options, NULL, &err);
    starter->failed = status != PGDBM_OK;
    if (starter->failed)
        fprintf(stderr, "%s: %s\n%s\n", starter->module, err.message, err.detail);
    pgdbm_close(db);
    return NULL;
}

/* Starts them all and says how many failed. */
static int start_all(const struct bench *bench, struct starter *starters, int count)
{
    pthread_barrier_t barrier;
    int failed = 0;
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        starters[i].bench = bench;
        starters[i].barrier = &barrier;
        bench_expect(pthread_create(&starters[i].thread, NULL, start, &starters[i]) == 0, "no thread");
    }
    for (int i = 0; i < count; i++) {
        pthread_join(starters[i].thread, NULL);
        failed += starters[i].failed;
    }
    pthread_barrier_destroy(&barrier);
    return failed;
}

void bench_migrations_replicas(struct bench *bench)
{
    struct samples failures = {0};
    struct starter starters[REPLICAS] = {{0}};
    int rounds = bench->quick ? 2 : 100;
    int failed = 0;
    double since = bench_now();
    make_files();
    for (int round = 0; round < rounds; round++) {
        char sql[160];
        for (int i = 0; i < REPLICAS; i++) {
            snprintf(starters[i].schema, sizeof starters[i].schema, "replicas_%d", round);
            snprintf(starters[i].module, sizeof starters[i].module, "replica");
        }
        failed += start_all(bench, starters, REPLICAS);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM replicas_%d.schema_migrations WHERE module_name = 'replica'",
                 round);
        failed += number(bench, sql) != FILES;
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM pg_index WHERE indexrelid = 'replicas_%d.t0_x'::regclass"
                 " AND indisvalid",
                 round);
        failed += number(bench, sql) != 1;
        snprintf(sql, sizeof sql, "DROP SCHEMA replicas_%d CASCADE", round);
        run_sql(bench, sql);
    }
    bench_add(&failures, failed);
    bench_report_value(bench, "migrations-replicas", 0, " failures", &failures);
    printf("%-20s %d rounds of %d replicas on %d files, %.0f ms each\n", "", rounds, REPLICAS, FILES,
           (bench_now() - since) * 1e3 / rounds);
}

void bench_migrations_modules(struct bench *bench)
{
    struct samples failures = {0};
    struct starter starters[MODULES] = {{0}};
    int rounds = bench->quick ? 2 : 30;
    int failed = 0;
    make_files();
    /* They share the schema, and what they make must not have the same names. */
    for (int i = 0; i < FILES; i++) {
        snprintf(statements[i], sizeof statements[i], "SELECT %d", i);
        texts[i].bytes = strlen(statements[i]);
    }
    for (int round = 0; round < rounds; round++) {
        char sql[64];
        for (int i = 0; i < MODULES; i++) {
            snprintf(starters[i].schema, sizeof starters[i].schema, "modules_%d", round);
            snprintf(starters[i].module, sizeof starters[i].module, "module%d", i);
        }
        failed += start_all(bench, starters, MODULES);
        snprintf(sql, sizeof sql, "DROP SCHEMA modules_%d CASCADE", round);
        run_sql(bench, sql);
    }
    bench_add(&failures, failed);
    bench_report_value(bench, "migrations-modules", 0, " failures", &failures);
    printf("%-20s of %d modules, %d at once in a schema that is not there yet\n", "", rounds * MODULES, MODULES);
}
