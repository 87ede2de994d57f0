/* SPDX-License-Identifier: MIT */
/* Migrations of many at once, interrupted, and outside of transactions. Each replica is a thread with a pool of its
 * own: to the server that is a process of its own. */
#include "migrate/scene.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { REPLICAS = 8 };

struct replica {
    pthread_t thread;
    pthread_barrier_t *start; /* NULL: at once */
    pgdbm_pool *pool;
    pgdbm_db *db;
    pgdbm_migrate_options options;
    pgdbm_status status;
    size_t applied;
    pgdbm_error err;
};

static void *replica_main(void *argument)
{
    struct replica *replica = argument;
    pgdbm_migration_report *report = NULL;
    if (replica->start != NULL)
        pthread_barrier_wait(replica->start);
    replica->status = pgdbm_migrate(replica->db, &replica->options, &report, &replica->err);
    replica->applied = report != NULL ? report->n_applied : 0;
    pgdbm_migration_report_free(report);
    return NULL;
}

static void replica_start(struct replica *replica, struct scene *scene, const char *module, const pgdbm_config *config,
                          pthread_barrier_t *start)
{
    replica->start = start;
    replica->pool = scene_pool(scene, 1, config);
    assert_int_equal(pgdbm_attach(replica->pool, "app", &replica->db, &replica->err), PGDBM_OK);
    replica->options.module = module;
    replica->options.migrations = &scene->migrations;
    assert_int_equal(pthread_create(&replica->thread, NULL, replica_main, replica), 0);
}

static void replica_join(struct replica *replica)
{
    assert_int_equal(pthread_join(replica->thread, NULL), 0);
    pgdbm_close(replica->db);
    pgdbm_pool_close(replica->pool);
}

/* Starts all at once and returns how many files they applied together; fails unless each succeeds. */
static size_t run_replicas(struct scene *scene, const char *const *modules)
{
    struct replica replicas[REPLICAS] = {0};
    pthread_barrier_t start;
    size_t applied = 0;
    pthread_barrier_init(&start, NULL, REPLICAS);
    for (size_t i = 0; i < REPLICAS; i++)
        replica_start(&replicas[i], scene, modules[i], NULL, &start);
    for (size_t i = 0; i < REPLICAS; i++)
        replica_join(&replicas[i]);
    pthread_barrier_destroy(&start);
    for (size_t i = 0; i < REPLICAS; i++) {
        if (replicas[i].status != PGDBM_OK)
            fail_msg("replica %zu: %s (%s)", i, replicas[i].err.message, replicas[i].err.detail);
        applied += replicas[i].applied;
    }
    return applied;
}

static const char *const same_module[REPLICAS] = {"users", "users", "users", "users",
                                                  "users", "users", "users", "users"};

static void pause_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Looks again and again until the statement gives true. */
static void wait_until(struct scene *scene, const char *sql)
{
    for (int i = 0; i < 3000; i++) {
        if (scene_number(scene, sql) > 0)
            return;
        pause_ms(10);
    }
    fail_msg("30 s passed and this is still zero: %s", sql);
}

static void replicas_starting_together_apply_each_file_once(void **state)
{
    struct scene *scene = *state;
    char name[32];
    folder_write(&scene->folder, "1_steps.sql", "CREATE TABLE {{tables.steps}} (step int, at serial);");
    for (int i = 2; i <= 10; i++) {
        char text[128];
        snprintf(name, sizeof name, "%d_step.sql", i);
        snprintf(text, sizeof text, "INSERT INTO {{tables.steps}} VALUES (%d);", i);
        folder_write(&scene->folder, name, text);
    }
    assert_int_equal(run_replicas(scene, same_module), 10);
    scene_expect_text(scene, "SELECT string_agg(step::text, ',' ORDER BY at) FROM app.steps", "2,3,4,5,6,7,8,9,10");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 10);
    scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
}

/* A replica that waited inside pg_advisory_lock() would hold a snapshot, which the index build waits for. */
static void replicas_wait_for_a_concurrent_index_without_deadlock(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.a}} AS SELECT n AS id FROM generate_series(1, 20000) n;");
    folder_write(&scene->folder, "002_index.sql",
                 "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);\n"
                 "CREATE UNIQUE INDEX CONCURRENTLY a_unique ON {{tables.a}} (id);");
    folder_write(&scene->folder, "003_b.sql", "CREATE TABLE {{tables.b}} ();");
    assert_int_equal(run_replicas(scene, same_module), 3);
    scene_expect_number(scene, "SELECT count(*) FROM pg_index WHERE indrelid = 'app.a'::regclass AND indisvalid", 2);
}

static void modules_first_starting_in_one_fresh_schema_all_succeed(void **state)
{
    struct scene *scene = *state;
    static const char *const modules[REPLICAS] = {"m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"};
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    assert_int_equal(run_replicas(scene, modules), REPLICAS);
    scene_expect_number(scene, "SELECT count(DISTINCT module_name) FROM app.schema_migrations", REPLICAS);
}

static void lock_held_for_too_long_names_its_holder(void **state)
{
    struct scene *scene = *state;
    pgdbm_db *holder = NULL;
    int64_t pid = 0;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    assert_int_equal(pgdbm_pin(scene->witness, &holder, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_execute_simple(holder,
                                          "SET application_name = 'the slow one';"
                                          "SELECT pg_advisory_lock(hashtext('pgdbm_migration_users'))",
                                          &scene->err),
                     PGDBM_OK);
    assert_int_equal(pgdbm_fetch_value_int64(holder, "SELECT pg_backend_pid()", pgdbm_no_args, &pid, &scene->err),
                     PGDBM_OK);
    pgdbm_migrate_options options = {.module = "users", .migrations = &scene->migrations, .wait_timeout_ms = 100};
    assert_int_equal(pgdbm_migrate(scene->db, &options, &scene->report, &scene->err), PGDBM_ERR_TIMEOUT);
    char process[64];
    snprintf(process, sizeof process, "held by process %lld,", (long long)pid);
    scene_expect_error(scene, "another process is still migrating module users");
    scene_expect_error(scene, process);
    scene_expect_error(scene, "application the slow one");
    scene_expect_error(scene, "idle");
    assert_int_equal(scene->report->n_pending, 1);
    pgdbm_close(holder);
    scene_must_migrate(scene, scene->db, 1);
}

/* Keys whose hash is negative and positive stand differently in pg_locks. */
static void holder_is_found_for_every_key(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    for (int i = 0; i < 4; i++) {
        char module[16];
        pgdbm_db *holder = NULL;
        snprintf(module, sizeof module, "m%d", i);
        assert_int_equal(pgdbm_pin(scene->witness, &holder, &scene->err), PGDBM_OK);
        assert_int_equal(pgdbm_execute(holder, "SELECT pg_advisory_lock(hashtext('pgdbm_migration_' || $1::text))",
                                       pgdbm_args(module), NULL, &scene->err),
                         PGDBM_OK);
        pgdbm_migrate_options options = {.module = module, .migrations = &scene->migrations, .wait_timeout_ms = 1};
        pgdbm_status status = pgdbm_migrate(scene->db, &options, NULL, &scene->err);
        pgdbm_close(holder);
        assert_int_equal(status, PGDBM_ERR_TIMEOUT);
        scene_expect_error(scene, "held by process");
    }
}

static void killed_backend_leaves_a_state_the_next_run_completes(void **state)
{
    struct scene *scene = *state;
    struct replica replica = {0};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} (); SELECT pg_sleep(60);");
    replica_start(&replica, scene, "users", NULL, NULL);
    wait_until(scene, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
                      " AND query LIKE 'SELECT pg_sleep%' AND wait_event = 'PgSleep'");
    replica_join(&replica);
    assert_int_not_equal(replica.status, PGDBM_OK);
    assert_non_null(strstr(replica.err.message, "002_b.sql:1:31: "));
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} ();");
    scene_must_migrate(scene, scene->db, 1);
}

static void lock_is_free_after_a_failure(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "SELECT 1 / 0;");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
}

static void lock_that_a_file_gave_away_is_noticed(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "SELECT pg_advisory_unlock_all();");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "the lock of module users was lost");
    assert_int_equal(scene->err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 0);
}

static void statement_outside_of_transactions_fails_alone(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "-- pgdbm:no-transaction\n"
                 "CREATE TABLE IF NOT EXISTS {{tables.a}} (id int);\n"
                 "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_id ON {{tables.a}} (id);\n"
                 "SELECT 1 / 0;\n");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "001_a.sql:4:1: division by zero (module users)");
    scene_expect_error(scene, "the next run goes on with this statement");
    assert_string_equal(scene->err.sqlstate, "22012");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 0);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'a_id'", 1);
    folder_write(&scene->folder, "001_a.sql",
                 "-- pgdbm:no-transaction\n"
                 "CREATE TABLE IF NOT EXISTS {{tables.a}} (id int);\n"
                 "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_id ON {{tables.a}} (id);\n");
    scene_must_migrate(scene, scene->db, 1);
}

/* lock_timeout counts the wait for older transactions, too: a busy application would leave an invalid index. */
static void concurrent_index_outlasts_lock_timeout(void **state)
{
    struct scene *scene = *state;
    struct replica replica = {0};
    pgdbm_config config = {.lock_timeout_ms = 100};
    pgdbm_db *old = NULL;
    pgdbm_tx_options options = {.isolation = PGDBM_REPEATABLE_READ};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_index.sql",
                 "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);\n");
    assert_int_equal(pgdbm_begin(scene->witness, &options, &old, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_execute(old, "SELECT count(*) FROM app.a", pgdbm_no_args, NULL, &scene->err), PGDBM_OK);
    replica_start(&replica, scene, "users", &config, NULL);
    wait_until(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE NOT granted");
    pause_ms(300); /* three times as long as the time-out allows */
    assert_int_equal(pgdbm_commit(old, &scene->err), PGDBM_OK);
    replica_join(&replica);
    if (replica.status != PGDBM_OK)
        fail_msg("%s", replica.err.message);
}

static void lock_timeout_of_the_configuration_holds_in_a_transaction(void **state)
{
    struct scene *scene = *state;
    pgdbm_config config = {.lock_timeout_ms = 50};
    pgdbm_pool *pool = scene_pool(scene, 1, &config);
    pgdbm_db *db = NULL;
    pgdbm_db *busy = NULL;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_alter.sql", "ALTER TABLE {{tables.a}} ADD COLUMN note text;");
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_begin(scene->witness, NULL, &busy, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_execute(busy, "SELECT count(*) FROM app.a", pgdbm_no_args, NULL, &scene->err), PGDBM_OK);
    scene->options.lock_attempts = 2; /* of ten the pauses take half a minute */
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_rollback(busy, NULL);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "55P03");
    scene_expect_error(scene, "somebody works on the same table");
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(replicas_starting_together_apply_each_file_once),
        SCENE(replicas_wait_for_a_concurrent_index_without_deadlock),
        SCENE(modules_first_starting_in_one_fresh_schema_all_succeed),
        SCENE(lock_held_for_too_long_names_its_holder),
        SCENE(holder_is_found_for_every_key),
        SCENE(killed_backend_leaves_a_state_the_next_run_completes),
        SCENE(lock_is_free_after_a_failure),
        SCENE(lock_that_a_file_gave_away_is_noticed),
        SCENE(statement_outside_of_transactions_fails_alone),
        SCENE(concurrent_index_outlasts_lock_timeout),
        SCENE(lock_timeout_of_the_configuration_holds_in_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
