/* SPDX-License-Identifier: MIT */
/* A million structs copied into a table, beside a loop on libpq that encodes rows into pieces of 64 kB, and beside
 * asyncpg, which has them as tuples. */
#include "bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 20, ROW_BYTES = 2 + 4 + 4 + 4 + TEXT_BYTES + 4 + 8, PIECE_BYTES = 65536 };

struct row {
    int32_t i;
    const char *t;
    double f;
};

static const pgdbm_field fields[] = {
    PGDBM_FIELD(struct row, i, PGDBM_INT32),
    PGDBM_FIELD(struct row, t, PGDBM_TEXT),
    PGDBM_FIELD(struct row, f, PGDBM_DOUBLE),
};
static const pgdbm_struct shape = PGDBM_STRUCT(struct row, fields);

enum side { OURS, LIBPQ, ASYNCPG, SIDES };

static struct turns turns;

static struct row *make_rows(size_t count)
{
    struct row *rows = calloc(count, sizeof *rows + TEXT_BYTES + 1);
    bench_expect(rows != NULL, "out of memory");
    char *text = (char *)(rows + count);
    for (size_t n = 0; n < count; n++, text += TEXT_BYTES + 1) {
        snprintf(text, TEXT_BYTES + 1, "text of row %8u", (unsigned)(n % 100000000));
        rows[n] = (struct row){(int32_t)n, text, (double)n / 7.0};
    }
    return rows;
}

static void copy_pgdbm(pgdbm_db *db, const struct row *rows, size_t count)
{
    pgdbm_error err;
    pgdbm_copy_options options = {0};
    int64_t copied = 0;
    bench_must(pgdbm_copy_structs(db, "copied", &shape, rows, count, &options, &copied, &err), &err, "copying");
    bench_expect(copied == (int64_t)count, "pgdbm copied another number of rows");
}

static char *put_bytes(char *out, const void *value, uint32_t bytes)
{
    uint32_t length = htonl(bytes);
    memcpy(out, &length, sizeof length);
    memcpy(out + sizeof length, value, bytes);
    return out + sizeof length + bytes;
}

static char *put_row(char *out, const struct row *row)
{
    uint16_t columns = htons(3);
    uint32_t i = htonl((uint32_t)row->i);
    uint64_t f;
    memcpy(&f, &row->f, sizeof f);
    f = htobe64(f);
    memcpy(out, &columns, sizeof columns);
    out = put_bytes(out + sizeof columns, &i, sizeof i);
    out = put_bytes(out, row->t, (uint32_t)strlen(row->t));
    return put_bytes(out, &f, sizeof f);
}

static void put_piece(PGconn *connection, const char *piece, const char *end)
{
    bench_must_libpq(PQputCopyData(connection, piece, (int)(end - piece)) == 1, connection, "copying");
}

static void copy_libpq(PGconn *connection, const struct row *rows, size_t count)
{
    static const char header[19] = "PGCOPY\n\377\r\n"; /* and no flags, no extension */
    static const char trailer[2] = "\377\377";
    static char piece[PIECE_BYTES];
    PGresult *result = PQexec(connection, "COPY copied (i, t, f) FROM STDIN (FORMAT binary)");
    bench_must_libpq(PQresultStatus(result) == PGRES_COPY_IN, connection, "copying");
    PQclear(result);
    memcpy(piece, header, sizeof header);
    char *end = piece + sizeof header;
    for (size_t n = 0; n < count; n++) {
        if (piece + sizeof piece - end < ROW_BYTES) {
            put_piece(connection, piece, end);
            end = piece;
        }
        end = put_row(end, &rows[n]);
    }
    put_piece(connection, piece, end);
    put_piece(connection, trailer, trailer + sizeof trailer);
    bench_must_libpq(PQputCopyEnd(connection, NULL) == 1, connection, "copying");
    result = PQgetResult(connection);
    bench_must_libpq(PQresultStatus(result) == PGRES_COMMAND_OK, connection, "copying");
    bench_expect(strtoull(PQcmdTuples(result), NULL, 10) == count, "libpq copied another number of rows");
    PQclear(result);
    bench_expect(PQgetResult(connection) == NULL, "libpq is not done");
}

static void command(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    bench_must_libpq(PQresultStatus(result) == PGRES_COMMAND_OK, connection, sql);
    PQclear(result);
}

/* What the sides need. */
struct workload {
    pgdbm_db *db;
    PGconn *connection;
    struct bench_asyncpg *asyncpg;
    struct row *rows;
    size_t count;
};

static double copy(void *context, int side)
{
    struct workload *workload = context;
    command(workload->connection, "TRUNCATE copied");
    double since = bench_now();
    if (side == ASYNCPG)
        return bench_asyncpg_round(workload->asyncpg);
    if (side == OURS)
        copy_pgdbm(workload->db, workload->rows, workload->count);
    else
        copy_libpq(workload->connection, workload->rows, workload->count);
    return bench_now() - since;
}

static void measure(const struct bench *bench)
{
    struct workload workload = {.count = bench->quick ? 20000 : 1000000};
    if (turns.rates[OURS].count > 0)
        return;
    bench_pin(0, 0);
    workload.rows = make_rows(workload.count);
    workload.connection = bench_connect(bench);
    command(workload.connection, "CREATE UNLOGGED TABLE copied (i int4, t text, f float8)");
    workload.db = bench_open(bench, 1);
    workload.asyncpg = bench_asyncpg_start(bench, "copy", (int)workload.count);
    bench_pin_apart(bench);
    bench_take_turns(bench, (double)workload.count, SIDES, copy, &workload, &turns);
    bench_asyncpg_stop(workload.asyncpg);
    pgdbm_close(workload.db);
    command(workload.connection, "DROP TABLE copied");
    PQfinish(workload.connection);
    free(workload.rows);
    bench_pin(0, -1);
}

void bench_copy_in(struct bench *bench)
{
    measure(bench);
    bench_report_ratio(bench, "copy-in", "libpq-copy", 0.97, "/s", &turns.rates[OURS], &turns.rates[LIBPQ]);
}

void bench_copy_in_cpu(struct bench *bench)
{
    measure(bench);
    bench_report_value(bench, "copy-in-cpu", 0.1, "us/row", &turns.cpu[OURS]);
    printf("%-20s libpq-copy %.4gus/row\n", "", bench_median(&turns.cpu[LIBPQ]));
}

void bench_copy_in_asyncpg(struct bench *bench)
{
    measure(bench);
    bench_asyncpg_report(bench, "copy-in-asyncpg", 1.2, &turns.rates[OURS], &turns.rates[ASYNCPG]);
}
