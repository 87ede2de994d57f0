/* SPDX-License-Identifier: MIT */
/* What the tests of the engine share: a database of their own, a pool on it with whatever configuration the test asks
 * for, its log, and a gate: a row that statements can be made to wait for, so that no test has to sleep. One stage per
 * test; only the thread that runs the test calls these, except for stage_logged. */
#ifndef PGDBM_TESTS_DB_STAGE_H
#define PGDBM_TESTS_DB_STAGE_H

#include "support/server.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Waits for `condition`, an expression over `stats`, until a limit against hangs passes. */
#define STAGE_UNTIL(stage, condition)                                                                                  \
    do {                                                                                                               \
        pgdbm_pool_stats stats;                                                                                        \
        int64_t give_up = stage_clock_ms() + 20000;                                                                    \
        while (stats = stage_stats(stage), !(condition)) {                                                             \
            if (stage_clock_ms() > give_up)                                                                            \
                stage_fail_stats(&stats, #condition, __FILE__, __LINE__);                                              \
            usleep(1000);                                                                                              \
        }                                                                                                              \
    } while (0)

struct stage {
    char *url;
    pgdbm_pool *pool;
    pgdbm_db *db;
    void *gate; /* a connection beside the pool that holds the gate's row, or NULL */

    pthread_mutex_t lock; /* guards the log */
    char log[16384];
    size_t log_bytes;
};

/* For cmocka_unit_test_setup_teardown: a database; and a pool of at most four sessions, or of exactly one. */
int stage_setup(void **state);
int stage_setup_four(void **state);
int stage_setup_one(void **state);
int stage_teardown(void **state);

/* The stage's pool and a manager of config.schema on it. What the configuration leaves out is: the stage's database,
 * one connection at least, logging into the stage, other pools allowed. */
void stage_open(struct stage *stage, pgdbm_config config);
/* The same configuration, completed, for tests that open pools themselves. */
pgdbm_config stage_config(struct stage *stage, pgdbm_config config);
/* Closes manager and pool, which the teardown does otherwise. */
void stage_close(struct stage *stage);

pgdbm_pool_stats stage_stats(struct stage *stage);
void stage_fail_stats(const pgdbm_pool_stats *stats, const char *condition, const char *file, int line);
int64_t stage_clock_ms(void);

/* True when a line with this piece was logged. Any thread. */
bool stage_logged(struct stage *stage, const char *piece);

/* One statement that must succeed; and what it must give. */
void stage_run(pgdbm_db *db, const char *sql);
int64_t stage_number(pgdbm_db *db, const char *sql);
void stage_expect_number(pgdbm_db *db, const char *sql, int64_t expected);
void stage_expect_text(pgdbm_db *db, const char *sql, const char *expected);

/* Locks the row that STAGE_PASS waits for, making the table first; and lets those who wait through. */
#define STAGE_PASS "SELECT count(*) FROM (SELECT 1 FROM gate FOR UPDATE) passed"
void stage_gate_shut(struct stage *stage);
void stage_gate_open(struct stage *stage);
/* Waits until so many sessions wait for the gate on the server. */
void stage_gate_awaited(struct stage *stage, int sessions);

#endif
