/* SPDX-License-Identifier: MIT */
/* What the figures share. */
#ifndef PGDBM_BENCH_H
#define PGDBM_BENCH_H

#include <libpq-fe.h>
#include <pgdbm/pgdbm.h>
#include <stdio.h>

#define BENCH_ROWS 10000
/* The point select: the account with this number, which libpq knows as the prepared statement "account". */
#define BENCH_SELECT "SELECT id, name, balance FROM account WHERE id = $1"

struct bench {
    const char *url;
    bool quick;
    FILE *json;
    bool json_started;
};

/* Samples of one side. */
struct samples {
    double values[16];
    int count;
};

double bench_now(void);        /* seconds, monotonic */
double bench_thread_cpu(void); /* seconds of this thread */
double bench_process_cpu(void);
void bench_pin(int pid, int cpu);
void bench_add(struct samples *samples, double value);
double bench_median(const struct samples *samples);
/* The value that this fraction of all is not above. Sorts them. */
double bench_percentile(double *values, size_t count, double fraction);

/* What several sides achieved who took turns. */
enum { BENCH_SIDES = 4 };
struct turns {
    struct samples rates[BENCH_SIDES]; /* rows per second */
    struct samples cpu[BENCH_SIDES];   /* microseconds of this process per row */
};
/* One side's part of a round: the seconds it took, 0 when there is no such side. */
typedef double (*bench_part)(void *context, int side);
/* Rounds in which each side has its part, the order shifting by one from round to round. */
void bench_take_turns(const struct bench *bench, double rows, int sides, bench_part part, void *context,
                      struct turns *turns);

/* Higher is better: ours / peer, must be at least the bar. */
void bench_report_ratio(struct bench *bench, const char *name, const char *peer, double bar, const char *unit,
                        const struct samples *ours, const struct samples *theirs);
/* Lower is better: ours / peer, must be at most the bar. */
void bench_report_cost(struct bench *bench, const char *name, const char *peer, double bar, const char *unit,
                       const struct samples *ours, const struct samples *theirs);
/* A plain value, must be at most the bar. */
void bench_report_value(struct bench *bench, const char *name, double bar, const char *unit,
                        const struct samples *ours);

/* Ends the program with a message when something that must work does not. */
void bench_must(pgdbm_status status, const pgdbm_error *err, const char *what);
void bench_must_libpq(bool good, PGconn *connection, const char *what);
void bench_expect(bool good, const char *what);

/* subject.c: both sides of a point select. */
void bench_pin_apart(const struct bench *bench);
PGconn *bench_connect(const struct bench *bench);
PGconn *bench_connect_prepared(const struct bench *bench);
/* A pool with so many sessions, all of them open. */
pgdbm_pool *bench_open_pool(const struct bench *bench, int sessions);
pgdbm_db *bench_open(const struct bench *bench, int sessions);
/* End the program unless this is the row of account `id`. */
void bench_check_row(const pgdbm_result *row, int id);
void bench_check_libpq_row(const PGresult *row, int id);

/* What one event loop achieved. */
struct bench_speed {
    double rate; /* statements per second */
    double cpu;  /* microseconds of its thread per statement */
};
enum { BENCH_IN_FLIGHT = 64, BENCH_CONNECTIONS = 8 };

/* loop.c: an event loop that has nothing but a pool to watch. */
int bench_loop_open(pgdbm_pool *pool);
/* Waits for the pool's descriptor, then dispatches. */
void bench_loop_turn(int loop, pgdbm_pool *pool);
struct bench_speed bench_loop_run(pgdbm_db *db, double seconds);

/* pipeline.c: the same written by hand on libpq's pipeline mode. */
struct bench_pipeline;
struct bench_pipeline *bench_pipeline_open(const struct bench *bench);
struct bench_speed bench_pipeline_run(struct bench_pipeline *pipeline, double seconds, bool one_sync);
void bench_pipeline_close(struct bench_pipeline *pipeline);

/* pgbench.c: pgbench's own figure for the same select, in transactions per second. */
bool bench_pgbench_found(void);
double bench_pgbench_run(const struct bench *bench);

/* asyncpg.c: asyncpg's part of a figure, in a process of its own. NULL when there is no asyncpg. */
struct bench_asyncpg;
struct bench_asyncpg *bench_asyncpg_start(const struct bench *bench, const char *workload, int rows);
/* The seconds that a round took; 0 for NULL. */
double bench_asyncpg_round(struct bench_asyncpg *peer);
void bench_asyncpg_stop(struct bench_asyncpg *peer);
/* Ours beside asyncpg's, or that there is none. */
void bench_asyncpg_report(struct bench *bench, const char *name, double bar, const struct samples *ours,
                          const struct samples *theirs);

void bench_point_select(struct bench *bench);
void bench_threads_64_pool_8(struct bench *bench);
void bench_threads_8(struct bench *bench);
void bench_threads_64_own(struct bench *bench);
void bench_stream(struct bench *bench);
void bench_stream_memory(struct bench *bench);
void bench_stream_10m(struct bench *bench);
void bench_cursor_10m(struct bench *bench);
void bench_insert_many(struct bench *bench);
void bench_insert_many_cpu(struct bench *bench);
void bench_copy_in(struct bench *bench);
void bench_copy_in_cpu(struct bench *bench);
void bench_copy_in_asyncpg(struct bench *bench);
void bench_structs(struct bench *bench);
void bench_structs_cpu(struct bench *bench);
void bench_structs_asyncpg(struct bench *bench);
void bench_manager_bytes(struct bench *bench);
void bench_expand(struct bench *bench);
void bench_lease(struct bench *bench);
void bench_async_64(struct bench *bench);
void bench_async_64_cpu(struct bench *bench);
void bench_async_64_pgbench(struct bench *bench);
void bench_async_queued(struct bench *bench);
void bench_async_slow_neighbour(struct bench *bench);
void bench_async_fair(struct bench *bench);
void bench_testkit_clone(struct bench *bench);
void bench_testkit_isolated(struct bench *bench);
void bench_cli_start(struct bench *bench);
void bench_check_sql(struct bench *bench);
void bench_migrations_check(struct bench *bench);
void bench_migrations_start(struct bench *bench);
void bench_migrations_roll_out(struct bench *bench);
void bench_migrations_replicas(struct bench *bench);
void bench_migrations_modules(struct bench *bench);
void bench_migrations_drift(struct bench *bench);

#endif
