/* SPDX-License-Identifier: MIT */
/* What a person waits for before the program `pgdbm` does anything: its help, and an answer that needs no server. */
#include "bench.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

/* The milliseconds that a run takes, its answer thrown away. */
static double run_program(char *const *words)
{
    int status = 0;
    pid_t child;
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    double since = bench_now();
    bench_expect(posix_spawn(&child, PGDBM_PROGRAM, &files, NULL, words, environ) == 0, "starting " PGDBM_PROGRAM);
    bench_expect(waitpid(child, &status, 0) == child && status == 0, "running " PGDBM_PROGRAM);
    double took = bench_now() - since;
    posix_spawn_file_actions_destroy(&files);
    return took * 1e3;
}

void bench_cli_start(struct bench *bench)
{
    static char program[] = "pgdbm", help[] = "--help", choose[] = "choose", library[] = "--library", yes[] = "yes";
    char *const words[][5] = {{program, help, NULL}, {program, choose, library, yes, NULL}};
    enum { RUNS = 100 };
    double values[RUNS * 2];
    struct samples medians = {0}, tails = {0};
    int rounds = bench->quick ? 3 : 9;
    size_t runs = bench->quick ? 5 : RUNS;
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < 2 * runs; i++)
            values[i] = run_program(words[i % 2]);
        bench_add(&medians, bench_percentile(values, 2 * runs, 0.5));
        bench_add(&tails, bench_percentile(values, 2 * runs, 0.95));
    }
    bench_report_value(bench, "cli-start", 10, " ms", &medians);
    printf("%-20s 95 of 100 within %.1f ms\n", "", bench_median(&tails));
}
