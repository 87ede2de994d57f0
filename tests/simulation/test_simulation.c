/* SPDX-License-Identifier: MIT */
/* Runs the session and the pool in simulated worlds, one for each seed:
 *
 *     test_simulation [--seeds N] [--first S]    seeds S ... S + N - 1
 *     test_simulation --seed S [--trace]         one of them, with its diary
 *
 * Each of the first seeds is run twice: the same seed must give the same diary. */
#include "simulation/program.h"
#include "simulation/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_SEEDS 1000
#define TWICE 20
/* A slow machine, or a sanitizer, runs fewer. */
#define SECONDS 20

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_twice(uint64_t seed)
{
    program_run(seed, false);
    uint64_t hash = world.diary_hash;
    program_run(seed, false);
    if (world.diary_hash != hash)
        world_fail("the same seed has given another diary");
}

static void run_many(uint64_t first, uint64_t count, bool limited)
{
    double began = seconds();
    uint64_t lines = 0;
    uint64_t ran = 0;
    for (; ran < count && (!limited || seconds() - began < SECONDS); ran++) {
        if (ran < TWICE)
            run_twice(first + ran);
        else
            program_run(first + ran, false);
        lines += world.diary_lines;
    }
    printf("%" PRIu64 " worlds, %" PRIu64 " things happened in them, %.1f s\n", ran, lines, seconds() - began);
}

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint64_t count = DEFAULT_SEEDS;
    bool limited = true;
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--seeds") == 0 && more) {
            count = strtoull(argv[++i], NULL, 10);
            limited = false;
        } else if (strcmp(argv[i], "--first") == 0 && more)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && more) {
            first = strtoull(argv[++i], NULL, 10);
            count = 1;
        } else if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else {
            fprintf(stderr, "usage: test_simulation [--seeds N] [--first S] [--seed S [--trace]]\n");
            return 2;
        }
    }
    if (trace)
        program_run(first, true);
    else
        run_many(first, count, limited);
    return 0;
}
