/* SPDX-License-Identifier: MIT */
/* What a test pays for a database: a copy of a migrated template, and a transaction that is rolled back. On the server that
 * test processes share. */
#include "bench.h"

#include <pgdbm/testkit.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 10, TABLES_PER_FILE = 2 };

static char names[FILES][32], statements[FILES][256];
static pgdbm_migration_text texts[FILES];
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = FILES};

static void make_files(void)
{
    for (int i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "%03d_tables.sql", i + 1);
        snprintf(statements[i], sizeof statements[i],
                 "CREATE TABLE {{tables.a%d}} (id bigserial PRIMARY KEY, name text UNIQUE, value int);"
                 "CREATE TABLE {{tables.b%d}} (id bigserial PRIMARY KEY, name text UNIQUE, value int);",
                 i, i);
        texts[i] = (pgdbm_migration_text){names[i], statements[i], strlen(statements[i])};
    }
}

static pgdbm_testserver *join_server(pgdbm_testdb_options *options)
{
    pgdbm_error err;
    pgdbm_testserver *server = NULL;
    bench_must(pgdbm_testserver_shared(NULL, &server, &err), &err, "joining the shared server");
    *options =
        (pgdbm_testdb_options){.server_url = pgdbm_testserver_url(server), .migrations = &migrations, .schema = "shop"};
    make_files();
    return server;
}

static void insert_something(pgdbm_db *db)
{
    pgdbm_error err;
    bench_must(pgdbm_execute(db, "INSERT INTO {{tables.a0}} (name, value) VALUES ('x', 1)", pgdbm_no_args, NULL, &err),
               &err, "inserting");
}

void bench_testkit_clone(struct bench *bench)
{
    pgdbm_error err;
    pgdbm_testdb_options options;
    pgdbm_testserver *server = join_server(&options);
    struct samples create = {0}, drop = {0};
    double values[64];
    int rounds = bench->quick ? 3 : 9;
    int per_round = bench->quick ? 2 : 7;
    double since = bench_now();
    pgdbm_testdb *testdb = NULL;
    bench_must(pgdbm_testdb_create(&options, &testdb, &err), &err, "making the template");
    double first = bench_now() - since;
    pgdbm_testdb_drop(testdb);
    for (int round = 0; round < rounds; round++) {
        double dropping = 0;
        for (int i = 0; i < per_round; i++) {
            since = bench_now();
            bench_must(pgdbm_testdb_create(&options, &testdb, &err), &err, "copying");
            values[i] = (bench_now() - since) * 1e3;
            insert_something(pgdbm_testdb_manager(testdb));
            since = bench_now();
            pgdbm_testdb_drop(testdb);
            dropping += (bench_now() - since) * 1e3;
        }
        bench_add(&create, bench_percentile(values, (size_t)per_round, 0.5));
        bench_add(&drop, dropping / per_round);
    }
    bench_report_value(bench, "testkit-clone", 60, " ms", &create);
    printf("%-20s %d tables; the first one, with the template, %.0f ms; dropping %.1f ms\n", "",
           FILES * TABLES_PER_FILE, first * 1e3, bench_median(&drop));
    pgdbm_testserver_stop(server);
}

void bench_testkit_isolated(struct bench *bench)
{
    pgdbm_error err;
    pgdbm_testdb_options options;
    pgdbm_testserver *server = join_server(&options);
    struct samples isolated = {0};
    double values[200];
    int rounds = bench->quick ? 3 : 9;
    int per_round = bench->quick ? 10 : 200;
    pgdbm_testdb *testdb = NULL;
    bench_must(pgdbm_testdb_create(&options, &testdb, &err), &err, "making a database");
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < per_round; i++) {
            pgdbm_db *db = NULL, *tx = NULL;
            double since = bench_now();
            bench_must(pgdbm_testdb_isolated(testdb, &db, &err), &err, "isolating");
            bench_must(pgdbm_begin(db, NULL, &tx, &err), &err, "beginning");
            insert_something(tx);
            bench_must(pgdbm_commit(tx, &err), &err, "committing");
            pgdbm_testdb_isolated_end(testdb, db);
            values[i] = (bench_now() - since) * 1e3;
        }
        bench_add(&isolated, bench_percentile(values, (size_t)per_round, 0.5));
    }
    bench_report_value(bench, "testkit-isolated", 2, " ms", &isolated);
    pgdbm_testdb_drop(testdb);
    pgdbm_testserver_stop(server);
}
