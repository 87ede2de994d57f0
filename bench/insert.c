/* SPDX-License-Identifier: MIT */
/* Ten thousand rows by one pgdbm_execute_many, beside libpq's pipeline mode with one Sync for all of them. Each side
 * starts from the same rows and makes its parameters of them. */
#include "bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <poll.h>
#include <string.h>

#define INSERT "INSERT INTO inserted VALUES ($1, $2, $3)"
enum { ROWS = 10000, TEXT_BYTES = 24 };

struct row {
    int32_t number;
    char text[TEXT_BYTES];
    double real;
};

static struct row rows[ROWS];

static struct {
    bool measured;
    struct samples ours, theirs;       /* rows per second */
    struct samples our_cpu, their_cpu; /* microseconds per row */
} rounds;

static void insert_pgdbm(pgdbm_db *db, int count)
{
    static pgdbm_param values[ROWS][3];
    static pgdbm_params sets[ROWS];
    pgdbm_error err;
    int64_t affected = 0;
    for (int i = 0; i < count; i++) {
        values[i][0] = pgdbm_param_int64(rows[i].number);
        values[i][1] = pgdbm_param_text(rows[i].text);
        values[i][2] = pgdbm_param_double(rows[i].real);
        sets[i] = pgdbm_params_array(values[i], 3);
    }
    bench_must(pgdbm_execute_many(db, INSERT, sets, (size_t)count, &affected, &err), &err, "inserting");
    bench_expect(affected == count, "pgdbm inserted another number of rows");
}

static void send_row(PGconn *connection, const struct row *row)
{
    uint32_t number = htonl((uint32_t)row->number);
    uint64_t real;
    memcpy(&real, &row->real, sizeof real);
    real = htobe64(real);
    const char *values[] = {(const char *)&number, row->text, (const char *)&real};
    const int lengths[] = {4, 0, 8};
    const int formats[] = {1, 0, 1};
    bench_must_libpq(PQsendQueryPrepared(connection, "insert", 3, values, lengths, formats, 1) == 1, connection,
                     "sending");
}

/* Sends the rest, reading while the socket is full: the server would stop otherwise. */
static void flush(PGconn *connection)
{
    while (PQflush(connection) == 1) {
        struct pollfd ready = {.fd = PQsocket(connection), .events = POLLIN | POLLOUT};
        bench_expect(poll(&ready, 1, -1) == 1, "poll");
        if ((ready.revents & POLLIN) != 0)
            bench_must_libpq(PQconsumeInput(connection) == 1, connection, "reading");
    }
}

static void insert_libpq(PGconn *connection, int count)
{
    int done = 0;
    for (int i = 0; i < count; i++)
        send_row(connection, &rows[i]);
    bench_must_libpq(PQpipelineSync(connection) == 1, connection, "sync");
    flush(connection);
    for (bool synced = false; !synced;) {
        PGresult *result = PQgetResult(connection);
        if (result == NULL)
            continue; /* between two statements */
        synced = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
        bench_must_libpq(synced || PQresultStatus(result) == PGRES_COMMAND_OK, connection, "inserting");
        done += !synced && PQcmdTuples(result)[0] == '1';
        PQclear(result);
    }
    bench_expect(done == count, "libpq inserted another number of rows");
}

static PGconn *connect_pipeline(const struct bench *bench)
{
    PGconn *connection = bench_connect(bench);
    PGresult *prepared = PQprepare(connection, "insert", INSERT, 0, NULL);
    bench_must_libpq(PQresultStatus(prepared) == PGRES_COMMAND_OK, connection, "preparing");
    PQclear(prepared);
    bench_must_libpq(PQsetnonblocking(connection, 1) == 0 && PQenterPipelineMode(connection) == 1, connection,
                     "entering pipeline mode");
    return connection;
}

static void measure_rounds(const struct bench *bench)
{
    enum { WARM_UP = 2, ROUNDS = 26, CALLS = 4 };
    pgdbm_error err;
    int count = bench->quick ? 500 : ROWS;
    int calls = bench->quick ? 1 : CALLS;
    if (rounds.measured)
        return;
    for (int i = 0; i < count; i++) {
        rows[i] = (struct row){.number = i, .real = i / 7.0};
        snprintf(rows[i].text, sizeof rows[i].text, "the text of row %d", i);
    }
    bench_pin(0, 0);
    pgdbm_db *db = bench_open(bench, 1);
    bench_must(pgdbm_execute_simple(db, "CREATE TABLE inserted (i int4, t text, f float8)", &err), &err, "a table");
    PGconn *connection = connect_pipeline(bench);
    bench_pin_apart(bench);
    for (int round = 0; round < WARM_UP + ROUNDS; round++) {
        bool mine = (round + round / 2) % 2 == 0;
        bench_must(pgdbm_execute_simple(db, "TRUNCATE inserted", &err), &err, "emptying the table");
        double since = bench_now();
        double cpu = bench_thread_cpu();
        for (int call = 0; call < calls; call++)
            if (mine)
                insert_pgdbm(db, count);
            else
                insert_libpq(connection, count);
        cpu = (bench_thread_cpu() - cpu) / (count * calls) * 1e6;
        double rate = count * calls / (bench_now() - since);
        if (round >= WARM_UP) {
            bench_add(mine ? &rounds.ours : &rounds.theirs, rate);
            bench_add(mine ? &rounds.our_cpu : &rounds.their_cpu, cpu);
        }
    }
    PQfinish(connection);
    pgdbm_close(db);
    rounds.measured = true;
    bench_pin(0, -1);
}

void bench_insert_many(struct bench *bench)
{
    measure_rounds(bench);
    bench_report_ratio(bench, "insert-many", "libpq-pipeline", 1, "/s", &rounds.ours, &rounds.theirs);
}

void bench_insert_many_cpu(struct bench *bench)
{
    measure_rounds(bench);
    bench_report_cost(bench, "insert-many-cpu", "libpq-pipeline", 1, "us/row", &rounds.our_cpu, &rounds.their_cpu);
}
