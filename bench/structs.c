/* SPDX-License-Identifier: MIT */
/* A million rows of four columns into structs, beside libpq's single-row mode, which keeps nothing; libpq's whole
 * result, decoded into the same structs with texts of their own; and asyncpg's records. */
#include "bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define SELECT "SELECT b, i, t, f FROM wide LIMIT $1::int8"
enum { TEXT_BYTES = 20 };

struct row {
    int64_t b;
    int32_t i;
    const char *t;
    double f;
};

static const pgdbm_field fields[] = {
    PGDBM_FIELD(struct row, b, PGDBM_INT64),
    PGDBM_FIELD(struct row, i, PGDBM_INT32),
    PGDBM_FIELD(struct row, t, PGDBM_TEXT),
    PGDBM_FIELD(struct row, f, PGDBM_DOUBLE),
};
static const pgdbm_struct shape = PGDBM_STRUCT(struct row, fields);

enum side { OURS, SINGLE_ROW, WHOLE, ASYNCPG, SIDES };

static struct turns turns;

/* Every value is read once, and the sums must be those of the table: b is 1000 i, f is i / 7. */
struct sum {
    int64_t rows, b, i, letters;
    double f;
};

static void add(struct sum *sum, int64_t b, int32_t i, size_t letters, double f)
{
    sum->rows++;
    sum->b += b;
    sum->i += i;
    sum->letters += (int64_t)letters;
    sum->f += f;
}

static void check(const struct sum *sum, int64_t rows)
{
    double error = sum->f - (double)sum->i / 7;
    bench_expect(sum->rows == rows && sum->letters == rows * TEXT_BYTES && sum->b == sum->i * 1000 &&
                     error * error < sum->f,
                 "the wrong rows came");
}

static void add_structs(struct sum *sum, const struct row *rows, size_t count)
{
    for (size_t n = 0; n < count; n++)
        add(sum, rows[n].b, rows[n].i, strlen(rows[n].t), rows[n].f);
}

static void fetch_pgdbm(pgdbm_db *db, int64_t rows)
{
    pgdbm_error err;
    pgdbm_result *result = NULL;
    struct sum sum = {0};
    bench_must(pgdbm_fetch_structs(db, SELECT, pgdbm_args(rows), &shape, &result, &err), &err, "fetching");
    add_structs(&sum, pgdbm_result_structs(result), pgdbm_result_rows(result));
    pgdbm_result_free(result);
    check(&sum, rows);
}

static void send_select(PGconn *connection, int64_t rows)
{
    uint64_t limit = htobe64((uint64_t)rows);
    const char *values[] = {(const char *)&limit};
    const int lengths[] = {8};
    const int formats[] = {1};
    bench_must_libpq(PQsendQueryPrepared(connection, "structs", 1, values, lengths, formats, 1) == 1, connection,
                     "fetching");
}

/* All but the text, which stays where it is. */
static struct row decode(const PGresult *result, int n)
{
    uint32_t i;
    uint64_t b, f;
    struct row row = {.t = PQgetvalue(result, n, 2)};
    memcpy(&b, PQgetvalue(result, n, 0), sizeof b);
    memcpy(&i, PQgetvalue(result, n, 1), sizeof i);
    memcpy(&f, PQgetvalue(result, n, 3), sizeof f);
    row.b = (int64_t)be64toh(b);
    row.i = (int32_t)ntohl(i);
    f = be64toh(f);
    memcpy(&row.f, &f, sizeof f);
    return row;
}

static void fetch_single_row(PGconn *connection, int64_t rows)
{
    struct sum sum = {0};
    PGresult *result;
    send_select(connection, rows);
    bench_must_libpq(PQsetSingleRowMode(connection) == 1, connection, "fetching");
    while ((result = PQgetResult(connection)) != NULL) {
        if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
            struct row row = decode(result, 0);
            add(&sum, row.b, row.i, (size_t)PQgetlength(result, 0, 2), row.f);
        }
        PQclear(result);
    }
    check(&sum, rows);
}

static char *copy_text(const PGresult *result, int n)
{
    size_t bytes = (size_t)PQgetlength(result, n, 2);
    char *text = malloc(bytes + 1);
    bench_expect(text != NULL, "out of memory");
    memcpy(text, PQgetvalue(result, n, 2), bytes);
    text[bytes] = '\0';
    return text;
}

static void fetch_whole(PGconn *connection, int64_t rows)
{
    struct sum sum = {0};
    send_select(connection, rows);
    PGresult *result = PQgetResult(connection);
    bench_must_libpq(PQresultStatus(result) == PGRES_TUPLES_OK, connection, "fetching");
    int count = PQntuples(result);
    struct row *structs = calloc((size_t)count, sizeof *structs);
    bench_expect(structs != NULL, "out of memory");
    for (int n = 0; n < count; n++) {
        structs[n] = decode(result, n);
        structs[n].t = copy_text(result, n);
    }
    PQclear(result);
    bench_expect(PQgetResult(connection) == NULL, "libpq is not done");
    add_structs(&sum, structs, (size_t)count);
    for (int n = 0; n < count; n++)
        free((char *)structs[n].t);
    free(structs);
    check(&sum, rows);
}

static PGconn *connect_prepared(const struct bench *bench)
{
    PGconn *connection = bench_connect(bench);
    PGresult *prepared = PQprepare(connection, "structs", SELECT, 0, NULL);
    bench_must_libpq(PQresultStatus(prepared) == PGRES_COMMAND_OK, connection, "preparing");
    PQclear(prepared);
    return connection;
}

/* What the sides need. */
struct workload {
    pgdbm_db *db;
    PGconn *connection;
    struct bench_asyncpg *asyncpg;
    int64_t rows;
};

static double fetch(void *context, int side)
{
    struct workload *workload = context;
    double since = bench_now();
    if (side == ASYNCPG)
        return bench_asyncpg_round(workload->asyncpg);
    if (side == OURS)
        fetch_pgdbm(workload->db, workload->rows);
    else if (side == SINGLE_ROW)
        fetch_single_row(workload->connection, workload->rows);
    else
        fetch_whole(workload->connection, workload->rows);
    return bench_now() - since;
}

static void measure(const struct bench *bench)
{
    struct workload workload = {.rows = bench->quick ? 20000 : 1000000};
    if (turns.rates[OURS].count > 0)
        return;
    bench_pin(0, 0);
    workload.connection = connect_prepared(bench);
    workload.db = bench_open(bench, 1);
    workload.asyncpg = bench_asyncpg_start(bench, "fetch", (int)workload.rows);
    bench_pin_apart(bench);
    bench_take_turns(bench, (double)workload.rows, SIDES, fetch, &workload, &turns);
    bench_asyncpg_stop(workload.asyncpg);
    pgdbm_close(workload.db);
    PQfinish(workload.connection);
    bench_pin(0, -1);
}

void bench_structs(struct bench *bench)
{
    measure(bench);
    bench_report_ratio(bench, "structs-1m", "libpq-single-row", 1, "/s", &turns.rates[OURS], &turns.rates[SINGLE_ROW]);
}

void bench_structs_cpu(struct bench *bench)
{
    measure(bench);
    bench_report_cost(bench, "structs-1m-cpu", "libpq-structs", 0.5, "us/row", &turns.cpu[OURS], &turns.cpu[WHOLE]);
}

void bench_structs_asyncpg(struct bench *bench)
{
    measure(bench);
    bench_asyncpg_report(bench, "structs-1m-asyncpg", 3.5, &turns.rates[OURS], &turns.rates[ASYNCPG]);
}
