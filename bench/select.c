/* SPDX-License-Identifier: MIT */
/* Point selects: one caller pinned to the server's core, and many callers on few sessions. Both sides read the same
 * three columns in binary. */
#include "bench.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static void select_pgdbm(pgdbm_db *db, int id)
{
    pgdbm_error err;
    pgdbm_result *row = NULL;
    bench_must(pgdbm_fetch_one(db, BENCH_SELECT, pgdbm_args(id), &row, &err), &err, "select");
    bench_check_row(row, id);
    pgdbm_result_free(row);
}

static void select_libpq(PGconn *connection, int id)
{
    uint32_t wire = htonl((uint32_t)id);
    const char *values[] = {(const char *)&wire};
    const int lengths[] = {4};
    const int formats[] = {1};
    PGresult *row = PQexecPrepared(connection, "account", 1, values, lengths, formats, 1);
    bench_must_libpq(PQresultStatus(row) == PGRES_TUPLES_OK, connection, "select");
    bench_check_libpq_row(row, id);
    PQclear(row);
}

void bench_point_select(struct bench *bench)
{
    pgdbm_error err;
    int64_t backend = 0;
    int count = bench->quick ? 2000 : 60000;
    pgdbm_db *db = bench_open(bench, 1);
    PGconn *connection = bench_connect_prepared(bench);
    bench_must(pgdbm_fetch_value(db, "SELECT pg_backend_pid()", pgdbm_no_args, &backend, &err), &err, "pid");
    bench_pin((int)backend, 0);
    bench_pin(PQbackendPID(connection), 0);
    bench_pin(0, 0);
    struct samples ours = {0}, theirs = {0}, our_cpu = {0}, their_cpu = {0};
    for (int round = 0; round < 14; round++) {
        bool mine = (round + round / 2) % 2 == 0; /* A B B A A B B A */
        double since = bench_now();
        double cpu = bench_thread_cpu();
        for (int i = 0; i < count; i++) {
            if (mine)
                select_pgdbm(db, i % BENCH_ROWS + 1);
            else
                select_libpq(connection, i % BENCH_ROWS + 1);
        }
        if (round < 2)
            continue; /* warm-up */
        bench_add(mine ? &ours : &theirs, count / (bench_now() - since));
        bench_add(mine ? &our_cpu : &their_cpu, (bench_thread_cpu() - cpu) / count * 1e6);
    }
    bench_pin(0, -1);
    bench_report_ratio(bench, "point-select-1", "libpq", 0.95, "/s", &ours, &theirs);
    printf("%-20s client CPU per statement: pgdbm %.2f us, libpq %.2f us\n", "", bench_median(&our_cpu),
           bench_median(&their_cpu));
    PQfinish(connection);
    pgdbm_close(db);
}

/* The thing people write by hand: connections behind a mutex and a condition variable. */
struct hand_pool {
    pthread_mutex_t lock; /* guards the stack of free connections */
    pthread_cond_t returned;
    PGconn *connections[64];
    int n_free;
};

static PGconn *hand_take(struct hand_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->n_free == 0)
        pthread_cond_wait(&pool->returned, &pool->lock);
    PGconn *connection = pool->connections[--pool->n_free];
    pthread_mutex_unlock(&pool->lock);
    return connection;
}

static void hand_give(struct hand_pool *pool, PGconn *connection)
{
    pthread_mutex_lock(&pool->lock);
    pool->connections[pool->n_free++] = connection;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
}

enum way { WAY_PGDBM, WAY_HAND_POOL, WAY_OWN_CONNECTION };

struct crew {
    enum way way;
    pgdbm_db *db;
    struct hand_pool *pool;
    pthread_barrier_t start;
    _Atomic bool stop;
    _Atomic long long statements;
};

struct hand {
    struct crew *crew;
    PGconn *own;
    int number;
};

static void *work(void *context)
{
    struct hand *hand = context;
    struct crew *crew = hand->crew;
    long long count = 0;
    pthread_barrier_wait(&crew->start);
    while (!atomic_load_explicit(&crew->stop, memory_order_relaxed)) {
        int id = (int)((hand->number * 157 + count) % BENCH_ROWS) + 1;
        if (crew->way == WAY_PGDBM)
            select_pgdbm(crew->db, id);
        else if (crew->way == WAY_OWN_CONNECTION)
            select_libpq(hand->own, id);
        else {
            PGconn *connection = hand_take(crew->pool);
            select_libpq(connection, id);
            hand_give(crew->pool, connection);
        }
        count++;
    }
    atomic_fetch_add(&crew->statements, count);
    return NULL;
}

/* Statements per second of so many threads. */
static double run_crew(const struct bench *bench, enum way way, int threads, pgdbm_db *db, struct hand_pool *pool,
                       PGconn **own)
{
    struct crew crew = {.way = way, .db = db, .pool = pool};
    struct hand hands[64];
    pthread_t ids[64];
    pthread_barrier_init(&crew.start, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        hands[i] = (struct hand){&crew, own != NULL ? own[i] : NULL, i};
        if (pthread_create(&ids[i], NULL, work, &hands[i]) != 0)
            abort();
    }
    pthread_barrier_wait(&crew.start);
    double since = bench_now();
    struct timespec span = {.tv_sec = bench->quick ? 0 : 1, .tv_nsec = bench->quick ? 50000000 : 0};
    nanosleep(&span, NULL);
    atomic_store(&crew.stop, true);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    double rate = (double)crew.statements / (bench_now() - since);
    pthread_barrier_destroy(&crew.start);
    return rate;
}

static void compare_crews(struct bench *bench, const char *name, const char *peer, double bar, enum way way,
                          int threads, int connections)
{
    struct hand_pool pool = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .returned = PTHREAD_COND_INITIALIZER, .n_free = connections};
    pgdbm_db *db = bench_open(bench, 8);
    for (int i = 0; i < connections; i++)
        pool.connections[i] = bench_connect_prepared(bench);
    struct samples ours = {0}, theirs = {0};
    for (int round = 0; round < 12; round++) {
        bool mine = (round + round / 2) % 2 == 0;
        double rate = run_crew(bench, mine ? WAY_PGDBM : way, threads, db, &pool,
                               way == WAY_OWN_CONNECTION ? pool.connections : NULL);
        if (round >= 2)
            bench_add(mine ? &ours : &theirs, rate);
    }
    bench_report_ratio(bench, name, peer, bar, "/s", &ours, &theirs);
    for (int i = 0; i < connections; i++)
        PQfinish(pool.connections[i]);
    pgdbm_close(db);
}

void bench_threads_64_pool_8(struct bench *bench)
{
    compare_crews(bench, "threads-64-pool-8", "libpq-pool", 1.8, WAY_HAND_POOL, 64, 8);
}

void bench_threads_8(struct bench *bench)
{
    compare_crews(bench, "threads-8", "libpq-threads", 1.0, WAY_OWN_CONNECTION, 8, 8);
}

void bench_threads_64_own(struct bench *bench)
{
    compare_crews(bench, "threads-64-own", "libpq-threads", 1.8, WAY_OWN_CONNECTION, 64, 64);
}
