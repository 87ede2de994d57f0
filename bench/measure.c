/* SPDX-License-Identifier: MIT */
/* Clocks, medians and the lines that are printed. */
#include "bench.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double bench_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double bench_thread_cpu(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

double bench_process_cpu(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_pin(int pid, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (cpu < 0 || i == cpu)
            CPU_SET(i, &set);
    sched_setaffinity(pid, sizeof set, &set);
}

void bench_add(struct samples *samples, double value)
{
    if (samples->count < (int)(sizeof samples->values / sizeof *samples->values))
        samples->values[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct samples sorted(const struct samples *samples)
{
    struct samples copy = *samples;
    qsort(copy.values, (size_t)copy.count, sizeof *copy.values, compare);
    return copy;
}

double bench_median(const struct samples *samples)
{
    struct samples copy = sorted(samples);
    int middle = copy.count / 2;
    return copy.count % 2 == 1 ? copy.values[middle] : (copy.values[middle - 1] + copy.values[middle]) / 2;
}

void bench_take_turns(const struct bench *bench, double rows, int sides, bench_part part, void *context,
                      struct turns *turns)
{
    enum { WARM_UP = 1, ROUNDS = 15 };
    int rounds = WARM_UP + (bench->quick ? 2 : ROUNDS);
    for (int turn = 0; turn < rounds * sides; turn++) {
        int side = (turn + turn / sides) % sides;
        double cpu = bench_process_cpu();
        double seconds = part(context, side);
        cpu = bench_process_cpu() - cpu;
        if (turn >= WARM_UP * sides && seconds > 0) {
            bench_add(&turns->rates[side], rows / seconds);
            bench_add(&turns->cpu[side], cpu / rows * 1e6);
        }
    }
}

double bench_percentile(double *values, size_t count, double fraction)
{
    qsort(values, count, sizeof *values, compare);
    double exact = fraction * (double)count;
    size_t rank = (size_t)exact;
    if ((double)rank < exact)
        rank++;
    return rank == 0 ? 0 : values[rank - 1];
}

static void print_side(const char *who, const struct samples *samples, const char *unit)
{
    struct samples copy = sorted(samples);
    printf("  %s %.4g%s [%.4g..%.4g]", who, bench_median(samples), unit, copy.values[0], copy.values[copy.count - 1]);
}

static void write_json(struct bench *bench, const char *name, double figure, const char *peer, double bar, bool good,
                       const char *unit, const struct samples *ours, const struct samples *theirs)
{
    if (bench->json == NULL)
        return;
    fprintf(bench->json,
            "%s\n  {\"name\": \"%s\", \"figure\": %.4f, \"bar\": %.2f, \"ok\": %s, \"unit\": \"%s\", \"pgdbm\": %.6g",
            bench->json_started ? "," : "[", name, figure, bar, good ? "true" : "false", unit, bench_median(ours));
    if (theirs != NULL)
        fprintf(bench->json, ", \"peer\": \"%s\", \"peer_value\": %.6g", peer, bench_median(theirs));
    fputs("}", bench->json);
    bench->json_started = true;
}

/* Ours by theirs, round by round: the two stand next to each other in time, so that a machine that is slower for some rounds
 * is slower for both. */
static struct samples pair(const struct samples *ours, const struct samples *theirs)
{
    struct samples ratios = {.count = 0};
    bench_expect(ours->count == theirs->count, "the sides took different numbers of turns");
    for (int i = 0; i < ours->count; i++)
        bench_add(&ratios, ours->values[i] / theirs->values[i]);
    return ratios;
}

static void report(struct bench *bench, const char *name, const char *peer, double bar, bool at_least, const char *unit,
                   const struct samples *ours, const struct samples *theirs)
{
    struct samples ratios = pair(ours, theirs);
    double figure = bench_median(&ratios);
    bool good = at_least ? figure >= bar : figure <= bar;
    printf("%-20s %.2f x %s (bar %s %.2f) %s ", name, figure, peer, at_least ? ">=" : "<=", bar, good ? "ok" : "short");
    print_side("ratio", &ratios, "");
    print_side("pgdbm", ours, unit);
    print_side(peer, theirs, unit);
    putchar('\n');
    fflush(stdout);
    write_json(bench, name, figure, peer, bar, good, unit, ours, theirs);
}

void bench_report_ratio(struct bench *bench, const char *name, const char *peer, double bar, const char *unit,
                        const struct samples *ours, const struct samples *theirs)
{
    report(bench, name, peer, bar, true, unit, ours, theirs);
}

void bench_report_cost(struct bench *bench, const char *name, const char *peer, double bar, const char *unit,
                       const struct samples *ours, const struct samples *theirs)
{
    report(bench, name, peer, bar, false, unit, ours, theirs);
}

void bench_report_value(struct bench *bench, const char *name, double bar, const char *unit, const struct samples *ours)
{
    double figure = bench_median(ours);
    bool good = figure <= bar;
    printf("%-20s %.4g%s (bar <= %.4g%s) %s ", name, figure, unit, bar, unit, good ? "ok" : "short");
    print_side("pgdbm", ours, unit);
    putchar('\n');
    fflush(stdout);
    write_json(bench, name, figure, NULL, bar, good, unit, ours, NULL);
}

void bench_must(pgdbm_status status, const pgdbm_error *err, const char *what)
{
    if (status == PGDBM_OK)
        return;
    char text[2048];
    pgdbm_error_format(err, text, sizeof text);
    fprintf(stderr, "bench: %s: %s\n", what, text);
    exit(1);
}

void bench_must_libpq(bool good, PGconn *connection, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, PQerrorMessage(connection));
    exit(1);
}

void bench_expect(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}
