/* SPDX-License-Identifier: MIT */
/* One thread and one event loop: so many point selects in flight, and each answer's callback asks for the next row. */
#include "bench.h"

#include <pgdbm/async.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

int bench_loop_open(pgdbm_pool *pool)
{
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event watched = {.events = EPOLLIN};
    bench_expect(loop >= 0 && epoll_ctl(loop, EPOLL_CTL_ADD, pgdbm_fd(pool), &watched) == 0, "no event loop");
    return loop;
}

void bench_loop_turn(int loop, pgdbm_pool *pool)
{
    struct epoll_event ready;
    if (epoll_wait(loop, &ready, 1, -1) > 0)
        pgdbm_dispatch(pool, 0);
}

struct callers {
    pgdbm_db *db;
    bool stop;
    int in_flight;
    long long asked;
    struct caller {
        struct callers *all;
        int id;
    } each[BENCH_IN_FLIGHT];
};

static void on_row(const pgdbm_outcome *outcome, void *context);

static void ask(struct caller *caller)
{
    struct callers *all = caller->all;
    pgdbm_error err;
    caller->id = (int)(all->asked++ % BENCH_ROWS) + 1;
    all->in_flight++;
    bench_must(pgdbm_fetch_one_async(all->db, BENCH_SELECT, pgdbm_args(caller->id), on_row, caller, &err), &err,
               "submitting");
}

static void on_row(const pgdbm_outcome *outcome, void *context)
{
    struct caller *caller = context;
    bench_must(outcome->status, outcome->error, "select");
    bench_check_row(outcome->result, caller->id);
    caller->all->in_flight--;
    if (!caller->all->stop)
        ask(caller);
}

struct bench_speed bench_loop_run(pgdbm_db *db, double seconds)
{
    struct callers callers = {.db = db};
    pgdbm_pool *pool = pgdbm_pool_of(db);
    int loop = bench_loop_open(pool);
    double since = bench_now();
    double cpu = bench_thread_cpu();
    for (int i = 0; i < BENCH_IN_FLIGHT; i++) {
        callers.each[i].all = &callers;
        ask(&callers.each[i]);
    }
    while (callers.in_flight > 0) {
        bench_loop_turn(loop, pool);
        callers.stop = bench_now() - since >= seconds;
    }
    double statements = (double)callers.asked;
    struct bench_speed speed = {.rate = statements / (bench_now() - since),
                                .cpu = (bench_thread_cpu() - cpu) / statements * 1e6};
    close(loop);
    return speed;
}
