/* SPDX-License-Identifier: MIT */
/* What must cost next to nothing: a manager, a known template, a lease. */
#include "bench.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic size_t allocated;

static void *counting(void *memory, size_t bytes, void *context)
{
    (void)context;
    atomic_fetch_add(&allocated, bytes);
    return realloc(memory, bytes);
}

static void release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static pgdbm_pool *open_pool(const struct bench *bench)
{
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    pgdbm_config config = {.connection_string = bench->url, .min_connections = 1, .max_connections = 1, .max_uses = -1};
    bench_must(pgdbm_pool_open(&config, &pool, &err), &err, "opening");
    return pool;
}

void bench_manager_bytes(struct bench *bench)
{
    enum { MANAGERS = 1000 };
    static pgdbm_db *managers[MANAGERS];
    pgdbm_error err;
    struct samples bytes = {0};
    bench_must(pgdbm_allocator_set(&(pgdbm_allocator){counting, release, NULL}, &err), &err, "allocator");
    pgdbm_pool *pool = open_pool(bench);
    for (int round = 0; round < 3; round++) {
        size_t before = atomic_load(&allocated);
        for (int i = 0; i < MANAGERS; i++)
            bench_must(pgdbm_attach(pool, "a_tenant_with_a_rather_long_name", &managers[i], &err), &err, "attaching");
        bench_add(&bytes, (double)(atomic_load(&allocated) - before) / MANAGERS);
        for (int i = 0; i < MANAGERS; i++)
            pgdbm_close(managers[i]);
    }
    pgdbm_pool_close(pool);
    bench_must(pgdbm_allocator_set(NULL, &err), &err, "allocator");
    bench_report_value(bench, "manager-bytes", 256, " B", &bytes);
}

void bench_expand(struct bench *bench)
{
    static const char sql[] =
        "SELECT u.id, u.name, o.total FROM {{tables.users}} u JOIN {{tables.orders}} o ON o.user_id = u.id "
        "WHERE u.id = $1";
    int count = bench->quick ? 10000 : 2000000;
    pgdbm_error err;
    pgdbm_db *db = NULL;
    struct samples ns = {0};
    pgdbm_pool *pool = open_pool(bench);
    bench_must(pgdbm_attach(pool, "app", &db, &err), &err, "attaching");
    for (int round = 0; round < 5; round++) {
        double since = bench_now();
        for (int i = 0; i < count; i++) {
            char *text = NULL;
            bench_must(pgdbm_expand(db, sql, &text, &err), &err, "expanding");
            pgdbm_free(text);
        }
        bench_add(&ns, (bench_now() - since) / count * 1e9);
    }
    bench_report_value(bench, "expand-cached", 100, " ns", &ns);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
}

void bench_lease(struct bench *bench)
{
    int count = bench->quick ? 10000 : 1000000;
    pgdbm_error err;
    pgdbm_db *db = NULL;
    struct samples ns = {0};
    pgdbm_pool *pool = open_pool(bench);
    bench_must(pgdbm_attach(pool, "app", &db, &err), &err, "attaching");
    for (int round = 0; round < 5; round++) {
        double since = bench_now();
        for (int i = 0; i < count; i++) {
            pgdbm_db *session = NULL;
            bench_must(pgdbm_pin(db, &session, &err), &err, "pinning");
            pgdbm_close(session);
        }
        bench_add(&ns, (bench_now() - since) / count * 1e9);
    }
    bench_report_value(bench, "lease", 1000, " ns", &ns);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
}
