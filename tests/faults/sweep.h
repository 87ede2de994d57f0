/* SPDX-License-Identifier: MIT */
/* Sweeps: a scenario is run with its first allocation failing, then its second, and so on, until it needs no more; then
 * once more with all allocations failing from some one on. Each time it says out of memory or succeeds, the pool goes on, and
 * nothing leaks. */
#ifndef PGDBM_TESTS_FAULTS_SWEEP_H
#define PGDBM_TESTS_FAULTS_SWEEP_H

#include "db/stage.h"
#include "support/allocator.h"

/* A scenario runs on a pool that is there already (db), or opens its own (NULL). */
typedef pgdbm_status (*sweep_scenario)(struct stage *stage, pgdbm_db *db, pgdbm_error *err);

/* Sweeps over the scenario, in a test with a stage. On a pool: of one session, with a manager of the schema "app". */
void sweep(void **state, sweep_scenario run, bool on_a_pool);
/* What such a pool is opened with. */
pgdbm_config sweep_config(const struct stage *stage);
/* A new text each time, so that it is not found among the statements. Returns `sql`. */
const char *sweep_fresh(char *sql, size_t bytes, const char *text);

#endif
