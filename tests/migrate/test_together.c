/* SPDX-License-Identifier: MIT */
/* Many that start together, over and over; and waiting for somebody else. tests/migrate/test_concurrent.c has the single cases;
 * `./dev bench migrations` does more rounds. */
#include "migrate/pooler.h"
#include "migrate/replicas.h"

#include "support/server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REPLICAS = 8, FIRST_STARTS = 30, ROUNDS = 10, FILES = 20 };

static void start_in_schema(struct scene *scene, int number)
{
    char name[32];
    snprintf(name, sizeof name, "app_%d", number);
    pgdbm_close(scene->db);
    assert_int_equal(pgdbm_attach(scene->pool, name, &scene->db, &scene->err), PGDBM_OK);
}

static void two_hundred_and_forty_first_starts_all_succeed(void **state)
{
    struct scene *scene = *state;
    static const char *const modules[REPLICAS] = {"m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"};
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    for (int i = 0; i < FIRST_STARTS; i++) {
        start_in_schema(scene, i);
        assert_int_equal(replicas_run(scene, modules, REPLICAS, NULL), REPLICAS);
    }
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'", FIRST_STARTS);
}

static void write_twenty_files(struct scene *scene)
{
    char name[32];
    char text[160];
    folder_write(&scene->folder, "1_steps.sql",
                 "CREATE TABLE {{tables.steps}} (step int, at serial); INSERT INTO {{tables.steps}} VALUES (1);");
    for (int i = 2; i <= FILES; i++) {
        snprintf(name, sizeof name, "%d_step.sql", i);
        if (i == FILES / 2)
            snprintf(text, sizeof text,
                     "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY steps_step ON {{tables.steps}} (step);");
        else
            snprintf(text, sizeof text, "INSERT INTO {{tables.steps}} VALUES (%d);", i);
        folder_write(&scene->folder, name, text);
    }
}

static void expect_each_step_once(struct scene *scene, size_t steps)
{
    char sql[256];
    const char *schema = pgdbm_schema(scene->db);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s.schema_migrations", schema);
    scene_expect_number(scene, sql, FILES);
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT step > lag(step, 1, 0) OVER (ORDER BY at) AS rises FROM %s.steps) x"
             " WHERE rises",
             schema);
    scene_expect_number(scene, sql, (int64_t)steps);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s.steps", schema);
    scene_expect_number(scene, sql, (int64_t)steps);
}

static void replicas_on_twenty_files_apply_each_once(void **state)
{
    struct scene *scene = *state;
    write_twenty_files(scene);
    for (int i = 0; i < ROUNDS; i++) {
        start_in_schema(scene, i);
        assert_int_equal(replicas_run(scene, NULL, REPLICAS, NULL), FILES);
        expect_each_step_once(scene, FILES - 1);
    }
    scene_expect_number(scene, "SELECT count(*) FROM pg_index WHERE NOT indisvalid", 0);
    scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
}

/* ---- waiting ---- */

struct watcher {
    atomic_int waited;
    int patience; /* so many times it is told to go on */
};

static bool on_progress(const pgdbm_migration_progress *progress, void *context)
{
    struct watcher *watcher = context;
    if (progress->phase != PGDBM_PHASE_WAITING)
        return true;
    assert_string_equal(progress->module, "users");
    assert_string_equal(progress->schema, "app");
    assert_null(progress->filename);
    return atomic_fetch_add(&watcher->waited, 1) < watcher->patience;
}

static pgdbm_db *hold_lock(struct scene *scene, const char *sql)
{
    pgdbm_db *holder = NULL;
    assert_int_equal(pgdbm_begin(scene->witness, NULL, &holder, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_execute_simple(holder, sql, &scene->err), PGDBM_OK);
    return holder;
}

static void waiting_is_told_and_can_be_given_up(void **state)
{
    struct scene *scene = *state;
    struct watcher watcher = {.patience = 3};
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    pgdbm_db *holder = hold_lock(scene, "SELECT pg_advisory_xact_lock(hashtext('pgdbm_migration_users'))");
    scene->options.on_progress = on_progress;
    scene->options.context = &watcher;
    pgdbm_status status = scene_migrate(scene, scene->db);
    pgdbm_close(holder);
    assert_int_equal(status, PGDBM_ERR_CANCELED);
    assert_int_equal(atomic_load(&watcher.waited), 4);
    assert_int_equal(scene->report->n_pending, 1);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 0);
    scene_must_migrate(scene, scene->db, 1);
}

static void idle_transaction_that_holds_the_lock_is_named_in_time(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    pgdbm_db *holder = hold_lock(scene, "SET application_name = 'forgotten';"
                                        "SELECT pg_advisory_xact_lock(hashtext('pgdbm_migration_users'))");
    scene->options.wait_timeout_ms = 200;
    pgdbm_status status = scene_migrate(scene, scene->db);
    pgdbm_close(holder);
    assert_int_equal(status, PGDBM_ERR_TIMEOUT);
    scene_expect_error(scene, "application forgotten");
    scene_expect_error(scene, "idle in transaction for");
    scene_expect_error(scene, "statement: SET application_name = 'forgotten'");
    scene_expect_error(scene, "pg_terminate_backend");
}

/* Waiting for the lock, a replica must not look like a transaction to CREATE INDEX CONCURRENTLY. */
struct onlooker {
    struct scene *scene;
    int64_t snapshots;
};

static bool look_while_waiting(const pgdbm_migration_progress *progress, void *context)
{
    struct onlooker *onlooker = context;
    if (progress->phase != PGDBM_PHASE_WAITING)
        return true;
    onlooker->snapshots = scene_number(onlooker->scene, "SELECT count(*) FROM " TEST_ACTIVITY
                                                        " WHERE application_name = 'the waiting one'"
                                                        " AND (backend_xmin IS NOT NULL OR xact_start IS NOT NULL)");
    return false;
}

static void who_waits_has_no_snapshot(void **state)
{
    struct scene *scene = *state;
    struct onlooker onlooker = {.scene = scene, .snapshots = -1};
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    pgdbm_db *holder = hold_lock(scene, "SELECT pg_advisory_xact_lock(hashtext('pgdbm_migration_users'))");
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.application_name = "the waiting one"});
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    scene->options.on_progress = look_while_waiting;
    scene->options.context = &onlooker;
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pgdbm_close(holder);
    assert_int_equal(status, PGDBM_ERR_CANCELED);
    assert_int_equal(onlooker.snapshots, 0);
}

/* ---- behind a pooler ---- */

/* Replaces the scene's url by the pooler's, for pools that are opened from now on. */
static bool pooler_before(struct scene *scene, struct pooler *pooler, char *url, size_t bytes)
{
    if (!pooler_start(pooler, pgdbm_testserver_socket_directory(test_server())))
        return false;
    snprintf(url, bytes, "%.*s?host=%s", (int)strcspn(scene->url, "?"), scene->url, pooler->directory);
    return true;
}

static const pgdbm_config unnamed = {.statement_cache_size = -1};

static void pooler_in_between_takes_nothing_away(void **state)
{
    struct scene *scene = *state;
    struct pooler pooler;
    char url[512];
    char *direct = scene->url;
    if (!pooler_before(scene, &pooler, url, sizeof url))
        skip();
    write_twenty_files(scene);
    folder_write(&scene->folder, "10_step.sql", "CREATE INDEX steps_step ON {{tables.steps}} (step);");
    scene->url = url;
    size_t applied = replicas_run(scene, NULL, 2, &unnamed);
    scene->url = direct;
    pooler_stop(&pooler);
    assert_int_equal(applied, FILES);
    expect_each_step_once(scene, FILES - 1);
    scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
}

static bool look_before_a_file(const pgdbm_migration_progress *progress, void *context)
{
    struct onlooker *onlooker = context;
    if (progress->phase == PGDBM_PHASE_BEFORE)
        onlooker->snapshots = scene_number(
            onlooker->scene,
            "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid"
            " WHERE a.datname = current_database() AND l.locktype = 'advisory' AND a.backend_xmin IS NOT NULL");
    return true;
}

static void pooler_in_between_is_told_of(void **state)
{
    struct scene *scene = *state;
    struct pooler pooler;
    struct onlooker onlooker = {.scene = scene, .snapshots = -1};
    char url[512];
    char *direct = scene->url;
    pgdbm_db *db = NULL;
    if (!pooler_before(scene, &pooler, url, sizeof url))
        skip();
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    folder_write(&scene->folder, "002_b.sql",
                 "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);");
    scene->url = url;
    pgdbm_pool *pool = scene_pool(scene, 2, &unnamed);
    scene->url = direct;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    scene->options.on_progress = look_before_a_file;
    scene->options.context = &onlooker;
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pooler_stop(&pooler);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_b.sql of module users cannot run here");
    scene_expect_error(scene, "a pooler stands between");
    scene_expect_error(scene, "direct connection");
    assert_int_equal(onlooker.snapshots, 0);
    scene_expect_state(scene, "001_a.sql", PGDBM_MIGRATION_APPLIED);
    scene->options.on_progress = NULL;
    scene_must_migrate(scene, scene->db, 1);
}

/* What the commit refuses is the file's fault, behind a pooler as anywhere. */
static void commit_that_fails_behind_a_pooler_names_the_file(void **state)
{
    struct scene *scene = *state;
    struct pooler pooler;
    char url[512];
    char *direct = scene->url;
    pgdbm_db *db = NULL;
    if (!pooler_before(scene, &pooler, url, sizeof url))
        skip();
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.a}} (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);"
                 "INSERT INTO {{tables.a}} VALUES (1), (1);");
    scene->url = url;
    pgdbm_pool *pool = scene_pool(scene, 2, &unnamed);
    scene->url = direct;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pooler_stop(&pooler);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "23505");
    scene_expect_error(scene, "001_a.sql");
    scene_expect_error(scene, "commit");
    assert_int_equal(scene->report->n_applied, 0);
    assert_int_equal(scene->report->n_pending, 1);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'a'", 0);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(two_hundred_and_forty_first_starts_all_succeed),
        SCENE(replicas_on_twenty_files_apply_each_once),
        SCENE(waiting_is_told_and_can_be_given_up),
        SCENE(idle_transaction_that_holds_the_lock_is_named_in_time),
        SCENE(who_waits_has_no_snapshot),
        SCENE(pooler_in_between_takes_nothing_away),
        SCENE(pooler_in_between_is_told_of),
        SCENE(commit_that_fails_behind_a_pooler_names_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
