/* SPDX-License-Identifier: MIT */
/* An event loop with 64 requests in flight on 8 sessions, beside libpq's pipeline mode on 8 connections and beside
 * pgbench with 8 clients. */
#include "bench.h"

static double span(const struct bench *bench)
{
    return bench->quick ? 0.03 : 1;
}

static struct {
    bool measured;
    struct samples ours, theirs, one_sync;           /* statements per second */
    struct samples our_cpu, their_cpu, one_sync_cpu; /* microseconds per statement */
} rounds;

static void measure(const struct bench *bench, int side, pgdbm_db *db, struct bench_pipeline *pipeline, bool warm)
{
    struct bench_speed speed =
        side == 0 ? bench_loop_run(db, span(bench)) : bench_pipeline_run(pipeline, span(bench), side == 2);
    if (!warm)
        return;
    bench_add(side == 0 ? &rounds.ours : side == 1 ? &rounds.theirs : &rounds.one_sync, speed.rate);
    bench_add(side == 0 ? &rounds.our_cpu : side == 1 ? &rounds.their_cpu : &rounds.one_sync_cpu, speed.cpu);
}

/* Speed and CPU are two views of the same rounds. */
static void measure_rounds(const struct bench *bench)
{
    if (rounds.measured)
        return;
    pgdbm_db *db = bench_open(bench, BENCH_CONNECTIONS);
    struct bench_pipeline *pipeline = bench_pipeline_open(bench);
    for (int round = 0; round < 8; round++)
        for (int place = 0; place < 3; place++)
            measure(bench, round % 2 == 0 ? place : 2 - place, db, pipeline, round > 0);
    bench_pipeline_close(pipeline);
    pgdbm_close(db);
    rounds.measured = true;
}

void bench_async_64(struct bench *bench)
{
    measure_rounds(bench);
    bench_report_ratio(bench, "async-64", "libpq-pipeline", 1.15, "/s", &rounds.ours, &rounds.theirs);
    printf("%-20s libpq with one Sync for all that leave together: %.0f/s, %.2f us of CPU per statement\n", "",
           bench_median(&rounds.one_sync), bench_median(&rounds.one_sync_cpu));
}

void bench_async_64_cpu(struct bench *bench)
{
    measure_rounds(bench);
    bench_report_cost(bench, "async-64-cpu", "libpq-pipeline", 0.6, "us", &rounds.our_cpu, &rounds.their_cpu);
}

void bench_async_64_pgbench(struct bench *bench)
{
    struct samples ours = {0}, theirs = {0};
    if (!bench_pgbench_found()) {
        printf("%-20s not measured: there is no pgbench beside the server's programs\n", "async-64-pgbench");
        return;
    }
    pgdbm_db *db = bench_open(bench, BENCH_CONNECTIONS);
    for (int round = 0; round < 12; round++) {
        bool mine = (round + round / 2) % 2 == 0;
        double rate = mine ? bench_loop_run(db, span(bench)).rate : bench_pgbench_run(bench);
        if (round >= 2)
            bench_add(mine ? &ours : &theirs, rate);
    }
    bench_report_ratio(bench, "async-64-pgbench", "pgbench", 2, "/s", &ours, &theirs);
    pgdbm_close(db);
}
