/* SPDX-License-Identifier: MIT */
/* What is measured: connections and pools ready for the point select, and the check that the right row came back. */
#include "bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

PGconn *bench_connect(const struct bench *bench)
{
    PGconn *connection = PQconnectdb(bench->url);
    bench_must_libpq(PQstatus(connection) == CONNECTION_OK, connection, "connecting");
    return connection;
}

/* The backends of all sides get the second processor. Who measures, and its children and threads, have had the first since
 * before they were made. */
void bench_pin_apart(const struct bench *bench)
{
    PGconn *connection = bench_connect(bench);
    PGresult *pids = PQexec(connection, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'");
    bench_must_libpq(PQresultStatus(pids) == PGRES_TUPLES_OK, connection, "looking for backends");
    for (int row = 0; row < PQntuples(pids); row++)
        bench_pin(atoi(PQgetvalue(pids, row, 0)), 1);
    PQclear(pids);
    PQfinish(connection);
}

PGconn *bench_connect_prepared(const struct bench *bench)
{
    PGconn *connection = bench_connect(bench);
    PGresult *prepared = PQprepare(connection, "account", BENCH_SELECT, 0, NULL);
    bench_must_libpq(PQresultStatus(prepared) == PGRES_COMMAND_OK, connection, "preparing");
    PQclear(prepared);
    return connection;
}

static pgdbm_config configure(const struct bench *bench, int sessions)
{
    return (pgdbm_config){.connection_string = bench->url,
                          .min_connections = sessions,
                          .max_connections = sessions,
                          .max_uses = -1, /* a session replaced in the middle would not be pinned */
                          .on_duplicate_pool = PGDBM_ALLOW};
}

static void await_sessions(pgdbm_pool *pool, int sessions)
{
    pgdbm_error err;
    pgdbm_pool_stats stats;
    do
        bench_must(pgdbm_pool_stats_read(pool, &stats, &err), &err, "stats");
    while (stats.idle < (size_t)sessions);
}

pgdbm_pool *bench_open_pool(const struct bench *bench, int sessions)
{
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    pgdbm_config config = configure(bench, sessions);
    bench_must(pgdbm_pool_open(&config, &pool, &err), &err, "opening");
    await_sessions(pool, sessions);
    return pool;
}

pgdbm_db *bench_open(const struct bench *bench, int sessions)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    pgdbm_config config = configure(bench, sessions);
    bench_must(pgdbm_open(&config, &db, &err), &err, "opening");
    await_sessions(pgdbm_pool_of(db), sessions);
    return db;
}

void bench_check_row(const pgdbm_result *row, int id)
{
    pgdbm_error err;
    int32_t found = 0;
    const char *name = NULL;
    int64_t balance = 0;
    bench_must(pgdbm_get_int32(row, 0, 0, &found, &err), &err, "id");
    bench_must(pgdbm_get_text(row, 0, 1, &name, &err), &err, "name");
    bench_must(pgdbm_get_int64(row, 0, 2, &balance, &err), &err, "balance");
    bench_expect(found == id && name[0] == 'n' && balance == (int64_t)id * 10, "pgdbm brought the wrong row");
}

void bench_check_libpq_row(const PGresult *row, int id)
{
    uint32_t found = 0;
    uint64_t balance = 0;
    bench_expect(PQntuples(row) == 1, "libpq brought no row");
    memcpy(&found, PQgetvalue(row, 0, 0), sizeof found);
    memcpy(&balance, PQgetvalue(row, 0, 2), sizeof balance);
    bench_expect((int)ntohl(found) == id && PQgetvalue(row, 0, 1)[0] == 'n' &&
                     (int64_t)be64toh(balance) == (int64_t)id * 10,
                 "libpq brought the wrong row");
}
