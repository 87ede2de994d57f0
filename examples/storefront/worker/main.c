/* SPDX-License-Identifier: MIT */
/* The worker: a process of its own, so it is standalone, with a pool and a schema of its own on the shop's database
 * (DATABASE_URL). It says "ready" when its tables are there, works until its standard input ends and no job is left,
 * and then says what it did. */
#include "measure.h"
#include "worker/queue.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 2, PAUSE_MS = 5 };

struct hand {
    pthread_t thread;
    bool started;
    pgdbm_db *worker;
    size_t jobs;
    struct measure measure;
    pgdbm_error err;
};

/* Waits a moment; true when the shop has closed. */
static bool shop_has_closed(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, PAUSE_MS) > 0;
}

static void *live(void *context)
{
    struct hand *self = context;
    bool closed = false;
    size_t done = 0;
    for (;;) {
        int64_t started = measure_now();
        if (queue_work(self->worker, &done, &self->err) != PGDBM_OK)
            break;
        if (done > 0) {
            measure_add(&self->measure, measure_now() - started);
            self->jobs += done;
        } else if (closed)
            break;
        else
            closed = shop_has_closed();
    }
    self->measure.errors = self->err.status != PGDBM_OK;
    return NULL;
}

/* Lets the hands work; the number of jobs done, or -1 after having said what went wrong. */
static long long work(pgdbm_db *worker, struct measure *measure)
{
    static struct hand hands[THREADS];
    long long jobs = 0;
    for (int i = 0; i < THREADS; i++) {
        hands[i].worker = worker;
        hands[i].started = pthread_create(&hands[i].thread, NULL, live, &hands[i]) == 0;
    }
    for (int i = 0; i < THREADS; i++) {
        if (hands[i].started)
            pthread_join(hands[i].thread, NULL);
        measure_merge(measure, &hands[i].measure);
        jobs += (long long)hands[i].jobs;
        if (!hands[i].started || hands[i].err.status != PGDBM_OK) {
            fprintf(stderr, "storefront-worker: %s\n", hands[i].started ? hands[i].err.message : "no thread to be had");
            return -1;
        }
    }
    return jobs;
}

int main(void)
{
    static struct measure measure;
    const pgdbm_migrations migrations = {.directory = STOREFRONT "/worker/migrations"};
    const pgdbm_migrate_options migrate = {.module = "worker", .migrations = &migrations};
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"),
                                 .schema = "worker",
                                 .application_name = "storefront-worker",
                                 .min_connections = 1,
                                 .max_connections = THREADS};
    pgdbm_error err = {0};
    pgdbm_db *worker = NULL;
    long long jobs = -1;
    if (pgdbm_open(&config, &worker, &err) != PGDBM_OK || pgdbm_migrate(worker, &migrate, NULL, &err) != PGDBM_OK)
        fprintf(stderr, "storefront-worker: %s\n%s\n", err.message, err.hint);
    else {
        puts("ready");
        fflush(stdout);
        jobs = work(worker, &measure);
    }
    pgdbm_close(worker);
    if (jobs >= 0)
        printf("jobs %lld transactions %lld p50 %lld p99 %lld\n", jobs, (long long)measure.calls,
               (long long)measure_quantile(&measure, 0.50), (long long)measure_quantile(&measure, 0.99));
    return jobs >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
