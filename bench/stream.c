/* SPDX-License-Identifier: MIT */
/* A million rows of four columns, read one by one: CPU and memory of the client; and memory for ten times as many. Each
 * side runs in a process of its own. */
#include "bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The table's rows as often as it takes. */
#define STREAM_SQL "SELECT i, b, f, t FROM generate_series(1, 10), wide LIMIT $1::int8"

enum side { BY_STREAM, BY_CURSOR, BY_LIBPQ };

struct cost {
    double cpu;    /* seconds, of the client */
    double memory; /* MB above idle, at the peak */
};

struct sum {
    int64_t rows, numbers, letters;
    double floats;
};

static void check(const struct sum *sum, int rows)
{
    if (sum->rows != rows || sum->letters != (int64_t)rows * 20 || sum->numbers == 0 || sum->floats == 0)
        abort();
}

static bool add_row(const pgdbm_result *row, void *context)
{
    struct sum *sum = context;
    int32_t i;
    int64_t b;
    double f;
    pgdbm_blob t;
    if (pgdbm_get_int32(row, 0, 0, &i, NULL) != PGDBM_OK || pgdbm_get_int64(row, 0, 1, &b, NULL) != PGDBM_OK ||
        pgdbm_get_double(row, 0, 2, &f, NULL) != PGDBM_OK || pgdbm_get_bytes(row, 0, 3, &t, NULL) != PGDBM_OK)
        abort();
    sum->rows++;
    sum->numbers += i + b;
    sum->floats += f;
    sum->letters += (int64_t)t.bytes;
    return true;
}

static void stream_pgdbm(pgdbm_db *db, int rows)
{
    pgdbm_error err;
    struct sum sum = {0};
    bench_must(pgdbm_stream(db, STREAM_SQL, pgdbm_args(rows), add_row, &sum, &err), &err, "streaming");
    check(&sum, rows);
}

static void read_cursor(pgdbm_db *db, int rows)
{
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    struct sum sum = {0};
    bench_must(pgdbm_cursor_open(db, STREAM_SQL, pgdbm_args(rows), NULL, &cursor, &err), &err, "opening a cursor");
    do {
        bench_must(pgdbm_cursor_next(cursor, &row, &err), &err, "reading a cursor");
    } while (row != NULL && add_row(row, &sum));
    pgdbm_cursor_close(cursor);
    check(&sum, rows);
}

static void add_libpq_row(const PGresult *row, struct sum *sum)
{
    uint32_t i;
    uint64_t b, f;
    double number;
    memcpy(&i, PQgetvalue(row, 0, 0), sizeof i);
    memcpy(&b, PQgetvalue(row, 0, 1), sizeof b);
    memcpy(&f, PQgetvalue(row, 0, 2), sizeof f);
    f = be64toh(f);
    memcpy(&number, &f, sizeof number);
    sum->rows++;
    sum->numbers += (int32_t)ntohl(i) + (int64_t)be64toh(b);
    sum->floats += number;
    sum->letters += PQgetlength(row, 0, 3);
}

static void stream_libpq(PGconn *connection, int rows)
{
    struct sum sum = {0};
    uint64_t limit = htobe64((uint64_t)rows);
    const char *values[] = {(const char *)&limit};
    const int lengths[] = {8};
    const int formats[] = {1};
    bench_must_libpq(PQsendQueryParams(connection, STREAM_SQL, 1, NULL, values, lengths, formats, 1) == 1 &&
                         PQsetSingleRowMode(connection) == 1,
                     connection, "streaming");
    PGresult *row;
    while ((row = PQgetResult(connection)) != NULL) {
        if (PQresultStatus(row) == PGRES_SINGLE_TUPLE)
            add_libpq_row(row, &sum);
        PQclear(row);
    }
    check(&sum, rows);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A line of /proc/self/status in MB. */
static double status_mb(const char *key)
{
    char line[256];
    double found = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            found = strtod(line + strlen(key), NULL) / 1024;
    if (file != NULL)
        fclose(file);
    return found;
}

static void read_rows(enum side side, pgdbm_db *db, PGconn *connection, int rows)
{
    if (side == BY_STREAM)
        stream_pgdbm(db, rows);
    else if (side == BY_CURSOR)
        read_cursor(db, rows);
    else
        stream_libpq(connection, rows);
}

static struct cost measure(const struct bench *bench, enum side side, int rows)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    PGconn *connection = NULL;
    pgdbm_config config = {.connection_string = bench->url, .min_connections = 1, .max_connections = 1};
    if (side == BY_LIBPQ)
        connection = bench_connect(bench);
    else
        bench_must(pgdbm_open(&config, &db, &err), &err, "opening");
    read_rows(side, db, connection, 10);
    double idle = status_mb("VmRSS:");
    double since = cpu_seconds();
    read_rows(side, db, connection, rows);
    struct cost cost = {.cpu = cpu_seconds() - since, .memory = status_mb("VmHWM:") - idle};
    pgdbm_close(db);
    PQfinish(connection);
    return cost;
}

static struct cost measure_in_child(const struct bench *bench, enum side side, int rows)
{
    int ends[2];
    struct cost cost = {0};
    if (pipe(ends) != 0)
        abort();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        cost = measure(bench, side, rows);
        _exit(write(ends[1], &cost, sizeof cost) == (ssize_t)sizeof cost ? 0 : 1);
    }
    close(ends[1]);
    int status = 1;
    if (child < 0 || read(ends[0], &cost, sizeof cost) != (ssize_t)sizeof cost || waitpid(child, &status, 0) < 0 ||
        status != 0) {
        fprintf(stderr, "bench: streaming failed\n");
        exit(1);
    }
    close(ends[0]);
    return cost;
}

void bench_stream(struct bench *bench)
{
    struct samples ours = {0}, theirs = {0};
    int rows = bench->quick ? 20000 : 1000000;
    for (int round = 0; round < 10; round++) {
        bool mine = (round + round / 2) % 2 == 0;
        bench_add(mine ? &ours : &theirs, measure_in_child(bench, mine ? BY_STREAM : BY_LIBPQ, rows).cpu / rows * 1e6);
    }
    bench_report_cost(bench, "stream-1m", "libpq-single-row", 0.6, "us/row", &ours, &theirs);
}

static void report_memory(struct bench *bench, const char *name, enum side side, int rows, int runs)
{
    struct samples ours = {0};
    for (int run = 0; run < runs; run++)
        bench_add(&ours, measure_in_child(bench, side, bench->quick ? 20000 : rows).memory);
    bench_report_value(bench, name, 16, "MB", &ours);
}

void bench_stream_memory(struct bench *bench)
{
    report_memory(bench, "stream-memory", BY_STREAM, 1000000, 3);
}

void bench_stream_10m(struct bench *bench)
{
    report_memory(bench, "stream-10m", BY_STREAM, 10000000, 1);
}

void bench_cursor_10m(struct bench *bench)
{
    report_memory(bench, "cursor-10m", BY_CURSOR, 10000000, 1);
}
