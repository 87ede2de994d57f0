/* SPDX-License-Identifier: MIT */
/* What the tests of fleets share: a database of their own, a pool, some migrations, tenants, and a second connection to look and
 * to interfere. One per test. */
#ifndef PGDBM_TESTS_FLEET_SCENE_H
#define PGDBM_TESTS_FLEET_SCENE_H

#include "support/server.h"

#include <pgdbm/pgdbm.h>
#include <pthread.h>

enum { SCENE_FILES = 8 };

struct scene {
    char *url;
    pgdbm_pool *pool;  /* of 8 sessions */
    pgdbm_db *witness; /* no schema, a pool of its own */
    pgdbm_pool *witness_pool;
    pgdbm_migration_text texts[SCENE_FILES];
    pgdbm_migrations migrations;
    pgdbm_fleet *fleet;
    pgdbm_fleet_report *report;
    pgdbm_roll_out_tally tally;
    pgdbm_error err;
};

int scene_setup(void **state);
int scene_teardown(void **state);

pgdbm_pool *scene_pool(const char *url, int max_connections);

/* Adds a file to the migrations; both texts live as long as the test. */
void scene_add(struct scene *scene, const char *filename, const char *sql);
/* (Re)opens the fleet of module "shop" over schemas t_... with the files added so far. */
void scene_open(struct scene *scene);
/* Makes schemas t_0001 to t_000n without anything in them. */
void scene_schemas(struct scene *scene, int n_schemas);
/* Schemas with file 001 (a table "notes") applied by a roll-out; then file 002 is there, which adds a column "colour", and the
 * fleet is opened with both. */
void scene_behind(struct scene *scene, int n_schemas);

/* Rolls out; the status lands in scene->err.status as well. */
pgdbm_status scene_roll_out(struct scene *scene, const pgdbm_roll_out *how);
void scene_must_roll_out(struct scene *scene, const pgdbm_roll_out *how);
/* The state of one tenant; fails the test when it is not this one. */
const pgdbm_target *scene_target(struct scene *scene, const char *schema);
void scene_expect_state(struct scene *scene, const char *schema, pgdbm_target_state state);
void scene_expect_counts(struct scene *scene, size_t current, size_t behind, size_t failed);

void scene_run(struct scene *scene, const char *sql);
int64_t scene_number(struct scene *scene, const char *sql);
void scene_expect_number(struct scene *scene, const char *sql, int64_t expected);

/* Waits until a query gives this number. */
void scene_await_number(struct scene *scene, const char *sql, int64_t expected);

/* How many tenants have column "colour" in "notes", and how many histories have file 002 exactly once. */
void scene_expect_coloured(struct scene *scene, int64_t n_schemas);

/* Tenants that are behind by a file that is slow enough to be interrupted. */
void scene_slow(struct scene *scene, int n_schemas);

/* A roll-out in a thread of its own, while the test does something else; the thread is the test's to join. */
struct background {
    pthread_t thread;
    struct scene *scene;
    pgdbm_roll_out how;
    pgdbm_roll_out_tally tally;
    pgdbm_status status;
    pgdbm_error err;
};
void background_start(struct background *background);

#endif
