/* SPDX-License-Identifier: MIT */
/* What the tests of running migrations share: a database of their own, a pool, a manager of schema "app", a directory,
 * and a second connection to look and to interfere. One per test. */
#ifndef PGDBM_TESTS_MIGRATE_SCENE_H
#define PGDBM_TESTS_MIGRATE_SCENE_H

#include "migrate/folder.h"
#include "support/server.h"

#include <pgdbm/pgdbm.h>
#include <stdarg.h>

struct scene {
    char *url;
    pgdbm_pool *pool;
    pgdbm_db *db;      /* schema "app" */
    pgdbm_db *witness; /* no schema */
    struct folder folder;
    pgdbm_migrations migrations;   /* the folder */
    pgdbm_migrate_options options; /* of the calls below: module "users", the folder, and what a test sets */
    pgdbm_migration_report *report;
    pgdbm_error err;
};

/* For cmocka_unit_test_setup_teardown. */
int scene_setup(void **state);
int scene_teardown(void **state);

/* A pool to the scene's database, with this many connections; other settings as in `config` (may be NULL). */
pgdbm_pool *scene_pool(const struct scene *scene, int max_connections, const pgdbm_config *config);

/* pgdbm_migrate with the scene's options on `db`; report and error land in the scene. */
pgdbm_status scene_migrate(struct scene *scene, pgdbm_db *db);
pgdbm_status scene_status(struct scene *scene, pgdbm_db *db);
pgdbm_status scene_verify(struct scene *scene, pgdbm_db *db);

/* As above, and fails the test unless it succeeds. */
void scene_must_migrate(struct scene *scene, pgdbm_db *db, size_t expected_applied);

/* Runs SQL (several statements) on the witness's pool, or fails the test. */
void scene_run(struct scene *scene, const char *sql);
/* One number or text from the witness; the text is freed with pgdbm_free. */
int64_t scene_number(struct scene *scene, const char *sql);
char *scene_text(struct scene *scene, const char *sql);
/* Fails the test with both texts when they differ. */
void scene_expect_text(struct scene *scene, const char *sql, const char *expected);
void scene_expect_number(struct scene *scene, const char *sql, int64_t expected);

/* The state of a file in the scene's report; fails the test when it is not there. */
const pgdbm_migration *scene_migration(const struct scene *scene, const char *filename);
void scene_expect_state(const struct scene *scene, const char *filename, pgdbm_migration_state state);

/* Fails the test unless the scene's error has this text in its message (or detail, or hint). */
void scene_expect_error(const struct scene *scene, const char *text);

#endif
