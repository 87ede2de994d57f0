/* SPDX-License-Identifier: MIT */
/* pgdbm beside libpq, in one run, on a private server. */
#include "bench.h"

#include <pgdbm/testkit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct {
    const char *name;
    void (*run)(struct bench *bench);
} figures[] = {
    {"point-select-1", bench_point_select},
    {"threads-64-pool-8", bench_threads_64_pool_8},
    {"threads-8", bench_threads_8},
    {"threads-64-own", bench_threads_64_own},
    {"stream-1m", bench_stream},
    {"stream-memory", bench_stream_memory},
    {"stream-10m", bench_stream_10m},
    {"cursor-10m", bench_cursor_10m},
    {"insert-many", bench_insert_many},
    {"insert-many-cpu", bench_insert_many_cpu},
    {"copy-in", bench_copy_in},
    {"copy-in-cpu", bench_copy_in_cpu},
    {"copy-in-asyncpg", bench_copy_in_asyncpg},
    {"structs-1m", bench_structs},
    {"structs-1m-cpu", bench_structs_cpu},
    {"structs-1m-asyncpg", bench_structs_asyncpg},
    {"manager-bytes", bench_manager_bytes},
    {"expand-cached", bench_expand},
    {"lease", bench_lease},
    {"async-64", bench_async_64},
    {"async-64-cpu", bench_async_64_cpu},
    {"async-64-pgbench", bench_async_64_pgbench},
    {"async-queued-10000", bench_async_queued},
    {"async-slow-neighbour", bench_async_slow_neighbour},
    {"async-fair", bench_async_fair},
    {"testkit-clone", bench_testkit_clone},
    {"testkit-isolated", bench_testkit_isolated},
    {"cli-start", bench_cli_start},
    {"check-sql", bench_check_sql},
    {"migrations-check", bench_migrations_check},
    {"migrations-start", bench_migrations_start},
    {"migrations-roll-out", bench_migrations_roll_out},
    {"migrations-replicas", bench_migrations_replicas},
    {"migrations-modules", bench_migrations_modules},
    {"migrations-drift", bench_migrations_drift},
};
enum { N_FIGURES = sizeof figures / sizeof *figures };

static void prepare(const struct bench *bench)
{
    char sql[512];
    snprintf(
        sql, sizeof sql,
        "CREATE TABLE account (id int4 PRIMARY KEY, name text, balance int8);"
        "INSERT INTO account SELECT g, 'name ' || g, g * 10 FROM generate_series(1, %d) g;"
        "CREATE TABLE wide AS SELECT g AS i, g::int8 * 1000 AS b, g / 7.0::float8 AS f, lpad(g::text, 20, 'x') AS t"
        " FROM generate_series(1, %d) g;",
        BENCH_ROWS, bench->quick ? 20000 : 1000000);
    PGconn *connection = bench_connect(bench);
    PGresult *done = PQexec(connection, sql);
    bench_must_libpq(PQresultStatus(done) == PGRES_COMMAND_OK, connection, "preparing");
    PQclear(done);
    done = PQexec(connection, "VACUUM ANALYZE");
    PQclear(done);
    printf("server %s", PQparameterStatus(connection, "server_version"));
    PQfinish(connection);
}

/* The figures of migrations take a quarter of an hour, most of it to make ten thousand tenants: only when asked for. */
static const char slow[] = "migrations";

static bool is_slow(const char *name)
{
    return strncmp(name, slow, sizeof slow - 1) == 0;
}

/* By name, or as one of a group ("migrations"). */
static bool chosen(const struct bench *bench, const char *name, char **names, int n_names)
{
    for (int i = 0; i < n_names; i++)
        if (strcmp(name, names[i]) == 0 || (strcmp(names[i], slow) == 0 && is_slow(name)))
            return true;
    return n_names == 0 && (bench->quick || !is_slow(name));
}

static int usage(void)
{
    fputs("usage: pgdbm-bench [--quick] [--json FILE] [--list] [FIGURE ...]\n", stderr);
    return 2;
}

static void run(struct bench *bench, char **names, int n_names)
{
    struct utsname machine;
    uname(&machine);
    printf("pgdbm %s, ", pgdbm_version());
    prepare(bench);
    printf(", libpq %d, %ld cores, %s %s\n", PQlibVersion(), sysconf(_SC_NPROCESSORS_ONLN), machine.sysname,
           machine.release);
    for (size_t i = 0; i < N_FIGURES; i++)
        if (chosen(bench, figures[i].name, names, n_names))
            figures[i].run(bench);
    if (bench->json != NULL)
        fputs(bench->json_started ? "\n]\n" : "[]\n", bench->json);
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    char *names[N_FIGURES];
    int n_names = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            bench.quick = true;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc && bench.json == NULL) {
            bench.json = fopen(argv[++i], "we");
            if (bench.json == NULL) {
                perror(argv[i]);
                return 1;
            }
        } else if (strcmp(argv[i], "--list") == 0) {
            for (size_t j = 0; j < N_FIGURES; j++)
                puts(figures[j].name);
            return 0;
        } else if (argv[i][0] != '-' && n_names < N_FIGURES)
            names[n_names++] = argv[i];
        else
            return usage();
    }
    pgdbm_error err;
    pgdbm_testserver *server = NULL;
    bench_must(pgdbm_testserver_start(NULL, &server, &err), &err, "starting a private server");
    bench.url = pgdbm_testserver_url(server);
    run(&bench, names, n_names);
    pgdbm_testserver_stop(server);
    if (bench.json != NULL)
        fclose(bench.json);
    return 0;
}
