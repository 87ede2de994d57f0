/* SPDX-License-Identifier: MIT */
/* Ten thousand requests at once: what a waiting one costs in memory, and that every one gets its own answer. */
#include "bench.h"

#include <malloc.h>
#include <pgdbm/async.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { REQUESTS = 10000 };

static _Atomic long long in_use; /* bytes, as the allocator rounds them */

static void *counting(void *memory, size_t bytes, void *context)
{
    (void)context;
    size_t before = malloc_usable_size(memory);
    void *moved = realloc(memory, bytes);
    if (moved != NULL)
        atomic_fetch_add(&in_use, (long long)malloc_usable_size(moved) - (long long)before);
    return moved;
}

static void release(void *memory, void *context)
{
    (void)context;
    atomic_fetch_sub(&in_use, (long long)malloc_usable_size(memory));
    free(memory);
}

struct queue {
    int complete;
    struct asked {
        struct queue *queue;
        int id;
        int answers;
    } asked[REQUESTS];
};

static void on_row(const pgdbm_outcome *outcome, void *context)
{
    struct asked *asked = context;
    bench_must(outcome->status, outcome->error, "a queued select");
    bench_check_row(outcome->result, asked->id);
    asked->answers++;
    asked->queue->complete++;
}

static void submit_all(struct queue *queue, pgdbm_db *db)
{
    pgdbm_error err;
    for (int i = 0; i < REQUESTS; i++) {
        struct asked *asked = &queue->asked[i];
        *asked = (struct asked){.queue = queue, .id = i % BENCH_ROWS + 1};
        bench_must(pgdbm_fetch_one_async(db, BENCH_SELECT, pgdbm_args(asked->id), on_row, asked, &err), &err,
                   "submitting");
    }
}

static void await_all(struct queue *queue, pgdbm_pool *pool)
{
    int loop = bench_loop_open(pool);
    while (queue->complete < REQUESTS)
        bench_loop_turn(loop, pool);
    close(loop);
    for (int i = 0; i < REQUESTS; i++)
        bench_expect(queue->asked[i].answers == 1, "a queued request was not answered exactly once");
}

/* Every round has a pool of its own: one that has been busy keeps memory for the next time. */
static void measure(const struct bench *bench, struct samples *bytes, struct samples *submitting, struct samples *all)
{
    static struct queue queue;
    pgdbm_db *db = bench_open(bench, BENCH_CONNECTIONS);
    queue.complete = 0;
    bench_loop_run(db, 0); /* the statement is known */
    long long before = atomic_load(&in_use);
    double since = bench_now();
    submit_all(&queue, db);
    bench_add(submitting, (bench_now() - since) * 1e3);
    bench_add(bytes, (double)(atomic_load(&in_use) - before) / REQUESTS);
    await_all(&queue, pgdbm_pool_of(db));
    bench_add(all, (bench_now() - since) * 1e3);
    pgdbm_close(db);
}

void bench_async_queued(struct bench *bench)
{
    struct samples bytes = {0}, submitting = {0}, all = {0};
    pgdbm_error err;
    bench_must(pgdbm_allocator_set(&(pgdbm_allocator){counting, release, NULL}, &err), &err, "allocator");
    for (int round = 0; round < (bench->quick ? 1 : 5); round++)
        measure(bench, &bytes, &submitting, &all);
    bench_must(pgdbm_allocator_set(NULL, &err), &err, "allocator");
    bench_report_value(bench, "async-queued-10000", 1024, " B", &bytes);
    printf("%-20s submitted within %.1f ms, all answered within %.1f ms\n", "", bench_median(&submitting),
           bench_median(&all));
}
