/* SPDX-License-Identifier: MIT */
/* Sweeps over allocations. */
#include "faults/sweep.h"

#include <stdio.h>

pgdbm_config sweep_config(const struct stage *stage)
{
    return (pgdbm_config){.connection_string = stage->url,
                          .min_connections = 1,
                          .max_connections = 1,
                          .fail_fast = true,
                          .schema = "app",
                          .on_duplicate_pool = PGDBM_ALLOW};
}

/* Whether it came to the allocation that fails. */
static bool run_one(struct stage *stage, pgdbm_db *db, sweep_scenario run, long which, bool all)
{
    pgdbm_error err = {0};
    allocator_arm(which, all);
    pgdbm_status status = run(stage, db, &err);
    bool reached = allocator_disarm();
    allocator_expect(which, status, &err);
    if (db != NULL)
        stage_expect_number(db, "SELECT 1::int8", 1);
    return reached;
}

void sweep(void **state, sweep_scenario run, bool on_a_pool)
{
    struct stage *stage = *state;
    pgdbm_error err;
    long failures = 0;
    for (int all = 0; all < 2; all++) {
        long before = allocator_live();
        pgdbm_db *db = NULL;
        if (on_a_pool) {
            pgdbm_config config = sweep_config(stage);
            assert_ok(pgdbm_open(&config, &db, &err));
            stage_run(db, "CREATE SCHEMA IF NOT EXISTS app");
        }
        bool reached = true;
        for (long which = 1; reached; which++) {
            reached = run_one(stage, db, run, which, all == 1);
            failures += reached;
        }
        pgdbm_close(db);
        if (allocator_live() != before)
            fail_msg("%ld allocations were not given back", allocator_live() - before);
    }
    assert_true(failures > 0);
}

const char *sweep_fresh(char *sql, size_t bytes, const char *text)
{
    static int number;
    snprintf(sql, bytes, "%s -- %d", text, number++);
    return sql;
}
