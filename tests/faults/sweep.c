/* SPDX-License-Identifier: MIT */
/* Sweeps over allocations. */
#include "faults/sweep.h"

#include <pgdbm/memory.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Counts what lives, and fails on demand. In force for the whole program. */
static atomic_long live, countdown;
static atomic_bool armed, all_from_then_on, has_failed;

static bool must_fail(void)
{
    if (!atomic_load(&armed))
        return false;
    long left = atomic_fetch_sub(&countdown, 1);
    bool fails = left == 1 || (left < 1 && atomic_load(&all_from_then_on));
    if (fails)
        atomic_store(&has_failed, true);
    return fails;
}

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    if (must_fail())
        return NULL;
    void *moved = realloc(memory, bytes);
    if (memory == NULL && moved != NULL)
        atomic_fetch_add(&live, 1);
    return moved;
}

static void release(void *memory, void *context)
{
    (void)context;
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    free(memory);
}

static void arm(long which, bool and_all_later)
{
    atomic_store(&has_failed, false);
    atomic_store(&all_from_then_on, and_all_later);
    atomic_store(&countdown, which);
    atomic_store(&armed, true);
}

static bool disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&has_failed);
}

pgdbm_config sweep_config(const struct stage *stage)
{
    return (pgdbm_config){.connection_string = stage->url,
                          .min_connections = 1,
                          .max_connections = 1,
                          .fail_fast = true,
                          .schema = "app",
                          .on_duplicate_pool = PGDBM_ALLOW};
}

static void run_one(struct stage *stage, pgdbm_db *db, sweep_scenario run, long which, bool all)
{
    pgdbm_error err = {0};
    arm(which, all);
    pgdbm_status status = run(stage, db, &err);
    disarm();
    if (status != PGDBM_OK && status != PGDBM_ERR_NOMEM)
        fail_msg("allocation %ld%s: expected success or PGDBM_ERR_NOMEM, came %s: %s", which,
                 all ? " and all later" : "", pgdbm_status_name(status), err.message);
    if (status != PGDBM_OK && (err.status != status || err.message[0] == '\0'))
        fail_msg("allocation %ld: the error is not filled", which);
    if (db != NULL)
        stage_expect_number(db, "SELECT 1::int8", 1);
}

void sweep(void **state, sweep_scenario run, bool on_a_pool)
{
    struct stage *stage = *state;
    pgdbm_error err;
    long failures = 0;
    for (int all = 0; all < 2; all++) {
        long before = atomic_load(&live);
        pgdbm_db *db = NULL;
        if (on_a_pool) {
            pgdbm_config config = sweep_config(stage);
            assert_ok(pgdbm_open(&config, &db, &err));
            stage_run(db, "CREATE SCHEMA IF NOT EXISTS app");
        }
        bool reached = true;
        for (long which = 1; reached; which++) {
            run_one(stage, db, run, which, all == 1);
            reached = atomic_load(&has_failed);
            failures += reached;
        }
        pgdbm_close(db);
        if (atomic_load(&live) != before)
            fail_msg("%ld allocations were not given back", atomic_load(&live) - before);
    }
    assert_true(failures > 0);
}

const char *sweep_fresh(char *sql, size_t bytes, const char *text)
{
    static int number;
    snprintf(sql, bytes, "%s -- %d", text, number++);
    return sql;
}

bool sweep_begin(void)
{
    const pgdbm_allocator allocator = {.reallocate = reallocate, .release = release};
    return pgdbm_allocator_set(&allocator, NULL) == PGDBM_OK;
}
