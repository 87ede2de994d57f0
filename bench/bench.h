/* SPDX-License-Identifier: MIT */
/* What the figures share. */
#ifndef PGDBM_BENCH_H
#define PGDBM_BENCH_H

#include <libpq-fe.h>
#include <pgdbm/pgdbm.h>
#include <stdio.h>

#define BENCH_ROWS 10000

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
void bench_pin(int pid, int cpu);
void bench_add(struct samples *samples, double value);
double bench_median(const struct samples *samples);

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
PGconn *bench_connect(const struct bench *bench);

void bench_point_select(struct bench *bench);
void bench_threads_64_pool_8(struct bench *bench);
void bench_threads_8(struct bench *bench);
void bench_threads_64_own(struct bench *bench);
void bench_stream(struct bench *bench);
void bench_stream_memory(struct bench *bench);
void bench_manager_bytes(struct bench *bench);
void bench_expand(struct bench *bench);
void bench_lease(struct bench *bench);

#endif
