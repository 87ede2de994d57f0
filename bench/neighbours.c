/* SPDX-License-Identifier: MIT */
/* What others on the same pool do to one's own waiting time: a slow statement among short ones, and a manager that asks
 * for a thousand rows at once beside one that asks now and then. */
#include "bench.h"

#include <pgdbm/async.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Waiting times in milliseconds. */
struct times {
    double *values;
    size_t count, capacity;
};

static void add_time(struct times *times, double since)
{
    if (times->count == times->capacity) {
        times->capacity = times->capacity == 0 ? 1024 : times->capacity * 2;
        times->values = realloc(times->values, times->capacity * sizeof *times->values);
        bench_expect(times->values != NULL, "out of memory");
    }
    times->values[times->count++] = (bench_now() - since) * 1e3;
}

/* ---- a slow statement among short ones ---- */

/* A millisecond; the server rounds its sleep up, and 0.001 would become two. */
#define SHORT_SQL "SELECT $1::int4 FROM pg_sleep(0.0009)"

enum { SHORT_IN_FLIGHT = 32 };

struct crowd {
    pgdbm_db *db;
    struct times *times; /* NULL: not now */
    bool stop, slow_runs;
    int in_flight;
    struct short_one {
        struct crowd *crowd;
        double since;
        int number;
    } each[SHORT_IN_FLIGHT];
};

static void on_short(const pgdbm_outcome *outcome, void *context);

static void ask_short(struct short_one *one)
{
    pgdbm_error err;
    one->since = bench_now();
    one->number++;
    one->crowd->in_flight++;
    bench_must(pgdbm_fetch_one_async(one->crowd->db, SHORT_SQL, pgdbm_args(one->number), on_short, one, &err), &err,
               "submitting");
}

static void on_short(const pgdbm_outcome *outcome, void *context)
{
    struct short_one *one = context;
    pgdbm_error err;
    int32_t number = 0;
    bench_must(outcome->status, outcome->error, "a short statement");
    bench_must(pgdbm_get_int32(outcome->result, 0, 0, &number, &err), &err, "a short statement");
    bench_expect(number == one->number, "a short statement got another one's answer");
    if (one->crowd->times != NULL)
        add_time(one->crowd->times, one->since);
    one->crowd->in_flight--;
    if (!one->crowd->stop)
        ask_short(one);
}

static void on_slow(const pgdbm_outcome *outcome, void *context)
{
    struct crowd *crowd = context;
    bench_must(outcome->status, outcome->error, "the slow statement");
    crowd->slow_runs = false;
}

static void ask_slow(struct crowd *crowd, bool quick)
{
    pgdbm_error err;
    crowd->slow_runs = true;
    bench_must(pgdbm_submit(crowd->db, quick ? "SELECT pg_sleep(0.1)" : "SELECT pg_sleep(1)", pgdbm_no_args, on_slow,
                            crowd, &err),
               &err, "submitting");
}

static void turn_for(int loop, pgdbm_pool *pool, double seconds)
{
    double since = bench_now();
    while (bench_now() - since < seconds)
        bench_loop_turn(loop, pool);
}

/* The slow statement comes when the short ones have found their pace, and is waited for; those that came behind it on
 * its session count too. */
static void run_crowd(const struct bench *bench, pgdbm_db *db, bool slow, struct times *times)
{
    struct crowd crowd = {.db = db};
    pgdbm_pool *pool = pgdbm_pool_of(db);
    int loop = bench_loop_open(pool);
    for (int i = 0; i < SHORT_IN_FLIGHT; i++) {
        crowd.each[i].crowd = &crowd;
        ask_short(&crowd.each[i]);
    }
    turn_for(loop, pool, bench->quick ? 0.02 : 0.2);
    crowd.times = times;
    if (slow)
        ask_slow(&crowd, bench->quick);
    turn_for(loop, pool, bench->quick ? 0.1 : 1);
    while (crowd.slow_runs)
        bench_loop_turn(loop, pool);
    crowd.stop = true;
    while (crowd.in_flight > 0)
        bench_loop_turn(loop, pool);
    close(loop);
}

void bench_async_slow_neighbour(struct bench *bench)
{
    struct samples with = {0}, without = {0};
    double longest = 0;
    pgdbm_db *db = bench_open(bench, BENCH_CONNECTIONS);
    for (int round = 0; round < (bench->quick ? 2 : 12); round++) {
        struct times times = {0};
        bool slow = (round + round / 2) % 2 == 0;
        run_crowd(bench, db, slow, &times);
        bench_add(slow ? &with : &without, bench_percentile(times.values, times.count, 0.99));
        double last = bench_percentile(times.values, times.count, 1);
        longest = slow && last > longest ? last : longest;
        free(times.values);
    }
    bench_report_cost(bench, "async-slow-neighbour", "alone", 3, "ms", &with, &without);
    printf("%-20s the longest wait of all beside the slow statement: %.1f ms\n", "", longest);
    pgdbm_close(db);
}

/* ---- a quiet manager beside a busy one ---- */

enum { BUSY_IN_FLIGHT = 1000 };

struct manager {
    pgdbm_db *db;
    struct times *times; /* NULL: the busy one, whose every answer asks for the next row */
    bool stop;
    int in_flight;
    long long asked;
};

struct question {
    struct manager *manager;
    int id;
    double since;
};

static void on_answer(const pgdbm_outcome *outcome, void *context);

static void ask(struct question *question)
{
    struct manager *manager = question->manager;
    pgdbm_error err;
    question->id = (int)(manager->asked++ % BENCH_ROWS) + 1;
    manager->in_flight++;
    bench_must(pgdbm_fetch_one_async(manager->db, BENCH_SELECT, pgdbm_args(question->id), on_answer, question, &err),
               &err, "submitting");
}

static void on_answer(const pgdbm_outcome *outcome, void *context)
{
    struct question *question = context;
    struct manager *manager = question->manager;
    bench_must(outcome->status, outcome->error, "select");
    bench_check_row(outcome->result, question->id);
    manager->in_flight--;
    if (manager->times != NULL)
        add_time(manager->times, question->since);
    else if (!manager->stop)
        ask(question);
}

/* A timer that asks for the quiet manager: a question counts from when it was due, so that a loop kept busy shows. */
static int start_timer(int loop, double period)
{
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct timespec every = {.tv_sec = 0, .tv_nsec = (long)(period * 1e9)};
    struct itimerspec setting = {.it_interval = every, .it_value = every};
    struct epoll_event watched = {.events = EPOLLIN, .data.u32 = 1};
    bench_expect(timer >= 0 && timerfd_settime(timer, 0, &setting, NULL) == 0 &&
                     epoll_ctl(loop, EPOLL_CTL_ADD, timer, &watched) == 0,
                 "no timer");
    return timer;
}

static void run_quiet(struct manager *quiet, pgdbm_pool *pool, int loop, double period, int count)
{
    struct question questions[64];
    double begin = bench_now();
    int timer = start_timer(loop, period);
    int due = 0;
    while (due < count || quiet->in_flight > 0) {
        struct epoll_event ready[2];
        int n_ready = epoll_wait(loop, ready, 2, -1);
        for (int i = 0; i < n_ready; i++) {
            uint64_t ticks = 0;
            if (ready[i].data.u32 == 0) {
                pgdbm_dispatch(pool, 0);
                continue;
            }
            if (read(timer, &ticks, sizeof ticks) != (ssize_t)sizeof ticks)
                continue;
            for (; ticks > 0 && due < count; ticks--, due++) {
                questions[due] = (struct question){.manager = quiet, .since = begin + (due + 1) * period};
                ask(&questions[due]);
            }
        }
    }
    close(timer);
}

/* The quiet manager's 99th percentile: ten questions a second, beside the busy one or alone. */
static double run_managers(const struct bench *bench, pgdbm_pool *pool, pgdbm_db *quiet_db, pgdbm_db *busy_db)
{
    static struct question questions[BUSY_IN_FLIGHT];
    struct times times = {0};
    struct manager quiet = {.db = quiet_db, .times = &times};
    struct manager busy = {.db = busy_db};
    int loop = bench_loop_open(pool);
    for (int i = 0; busy_db != NULL && i < BUSY_IN_FLIGHT; i++) {
        questions[i] = (struct question){.manager = &busy};
        ask(&questions[i]);
    }
    run_quiet(&quiet, pool, loop, bench->quick ? 0.01 : 0.1, bench->quick ? 10 : 20);
    busy.stop = true;
    while (busy.in_flight > 0)
        bench_loop_turn(loop, pool);
    close(loop);
    double tail = bench_percentile(times.values, times.count, 0.99);
    free(times.values);
    return tail;
}

void bench_async_fair(struct bench *bench)
{
    struct samples beside = {0}, alone = {0}, more = {0};
    pgdbm_db *quiet = NULL, *busy = NULL;
    pgdbm_error err;
    pgdbm_pool *pool = bench_open_pool(bench, BENCH_CONNECTIONS);
    bench_must(pgdbm_attach(pool, "quiet", &quiet, &err), &err, "attaching");
    bench_must(pgdbm_attach(pool, "busy", &busy, &err), &err, "attaching");
    for (int round = 0; round < (bench->quick ? 1 : 5); round++) {
        bool first = round % 2 == 0;
        double one = run_managers(bench, pool, quiet, first ? NULL : busy);
        double other = run_managers(bench, pool, quiet, first ? busy : NULL);
        bench_add(&alone, first ? one : other);
        bench_add(&beside, first ? other : one);
        bench_add(&more, first ? other - one : one - other);
    }
    bench_report_value(bench, "async-fair", 5, "ms", &more);
    printf("%-20s the quiet manager waits %.2f ms alone and %.2f ms beside the busy one (99 %%)\n", "",
           bench_median(&alone), bench_median(&beside));
    pgdbm_close(quiet);
    pgdbm_close(busy);
    pgdbm_pool_close(pool);
}
