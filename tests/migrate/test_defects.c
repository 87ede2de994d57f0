/* SPDX-License-Identifier: MIT */
/* What was found wrong in an older tool for the same job, one test each, in the order of the list; numbers 18 and up are in
 * test_defects_texts.c. The comment says what happened there. Where a fuller test stands elsewhere and a short one would be the
 * same again, it is named here:
 *
 * |  4 | replicas waited inside pg_advisory_lock(), and CREATE INDEX CONCURRENTLY for them: deadlock                       |
 * |    | test_concurrent.c: replicas_wait_for_a_concurrent_index_without_deadlock                                          |
 * |  6 | the application's statement_timeout and command_timeout ended long migrations                                     |
 * |    | test_run.c: slow_migration_outlives_the_time_outs_of_the_application                                              |
 * |  7 | behind a pooler two held "the" lock, and it stayed when both had gone                                             |
 * |    | test_together.c: pooler_in_between_takes_nothing_away                                                             |
 * |  9 | modules that started together in a fresh schema failed at CREATE TABLE IF NOT EXISTS                              |
 * |    | test_concurrent.c: modules_first_starting_in_one_fresh_schema_all_succeed                                         |
 * | 28 | a public function applied a file without the lock; four replicas, three failures                                  |
 * |    | test_concurrent.c: replicas_starting_together_apply_each_file_once (there is no such function here)               |
 * | 33 | the documents named functions and columns that did not exist                                                      |
 * |    | tests/docs and tests/examples                                                                                     |
 */
#include "migrate/scene.h"

#include "support/server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SQL that runs elsewhere meanwhile. */
struct elsewhere {
    pthread_t thread;
    const char *url, *sql;
};

static void *elsewhere_main(void *argument)
{
    struct elsewhere *elsewhere = argument;
    test_psql(elsewhere->url, elsewhere->sql);
    return NULL;
}

static void elsewhere_start(struct elsewhere *elsewhere, struct scene *scene, const char *sql, const char *is_under_way)
{
    *elsewhere = (struct elsewhere){.url = scene->url, .sql = sql};
    assert_int_equal(pthread_create(&elsewhere->thread, NULL, elsewhere_main, elsewhere), 0);
    for (int i = 0; scene_number(scene, is_under_way) == 0; i++) {
        assert_true(i < 20000);
        usleep(1000);
    }
}

static void elsewhere_join(struct elsewhere *elsewhere)
{
    pthread_join(elsewhere->thread, NULL);
}

/* A run that must stop before its first statement, with these words. */
static void expect_refused(struct scene *scene, const char *words)
{
    assert_int_not_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    scene_expect_error(scene, words);
    scene_expect_number(scene, "SELECT count(*) FROM pg_tables WHERE schemaname = 'app' AND tablename LIKE 'made%'", 0);
}

static void make(struct scene *scene, const char *filename)
{
    char text[100];
    snprintf(text, sizeof text, "CREATE TABLE {{tables.made_%d}} ();",
             atoi(filename + strcspn(filename, "0123456789")));
    folder_write(&scene->folder, filename, text);
}

/* 1: a failed migration was a field of a dictionary that nobody looked at: "No pending migrations", exit code 0, and the modules
 * that depend on the failed one ran. */
static void failure_is_the_status_and_stops_the_modules_that_depend_on_it(void **state)
{
    struct scene *scene = *state;
    pgdbm_migration_text broken = {"001_a.sql", "SELECT 1 / 0;", 13};
    const pgdbm_migrations first = {.texts = &broken, .n_texts = 1};
    pgdbm_db *orders = NULL;
    size_t failed = 99;
    make(scene, "001_b.sql");
    assert_int_equal(pgdbm_attach(scene->pool, "app", &orders, &scene->err), PGDBM_OK);
    const char *needs[] = {"users"};
    const pgdbm_migration_target targets[] = {
        {.db = orders,
         .options = {.module = "orders", .migrations = &scene->migrations},
         .depends_on = needs,
         .n_depends_on = 1},
        {.db = scene->db, .options = {.module = "users", .migrations = &first}},
    };
    assert_int_equal(pgdbm_migrate_modules(targets, 2, NULL, &failed, &scene->err), PGDBM_ERR_MIGRATION);
    assert_int_equal(failed, 1);
    assert_string_equal(scene->err.sqlstate, "22012");
    scene_expect_number(scene, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'made%'", 0);
    pgdbm_close(orders);
}

/* 2: CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS failed and left an invalid index; the next run found "it exists" and
 * recorded success. */
static void invalid_index_is_built_again_and_not_recorded(void **state)
{
    struct scene *scene = *state;
    static const char invalid[] = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.t (i int); INSERT INTO app.t VALUES (1), (1)");
    folder_write(&scene->folder, "001_index.sql",
                 "-- pgdbm:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_i ON {{tables.t}} (i);");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
        assert_string_equal(scene->err.sqlstate, "23505");
        scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 0);
    }
    scene_run(scene, "DELETE FROM app.t");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_number(scene, invalid, 0);
    scene_expect_number(scene, "SELECT count(*) FROM pg_index WHERE indexrelid = 'app.t_i'::regclass AND indisunique",
                        1);
}

/* 3: the pool's lock_timeout covered the wait of CREATE INDEX CONCURRENTLY for older snapshots: any longer transaction of
 * anybody made the index invalid. */
static void older_transaction_does_not_fail_a_concurrent_index(void **state)
{
    struct scene *scene = *state;
    struct elsewhere elsewhere;
    pgdbm_error err;
    pgdbm_db *db;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.t (i int)");
    folder_write(&scene->folder, "001_index.sql",
                 "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY t_i ON {{tables.t}} (i);");
    pgdbm_pool *hasty = scene_pool(scene, 2, &(pgdbm_config){.lock_timeout_ms = 50});
    assert_ok(pgdbm_attach(hasty, "app", &db, &err));
    elsewhere_start(&elsewhere, scene, "SELECT pg_sleep(0.6)",
                    "SELECT count(*) FROM " TEST_ACTIVITY
                    " WHERE query = 'SELECT pg_sleep(0.6)' AND backend_xmin IS NOT NULL");
    scene_must_migrate(scene, db, 1);
    elsewhere_join(&elsewhere);
    pgdbm_close(db);
    pgdbm_pool_close(hasty);
    scene_expect_number(scene, "SELECT count(*) FROM pg_index WHERE indexrelid = 'app.t_i'::regclass AND indisvalid",
                        1);
}

/* 5: the same lock_timeout covered the wait for another replica's migration: whoever started second failed. */
static void wait_for_another_migration_is_not_the_wait_for_a_lock(void **state)
{
    struct scene *scene = *state;
    struct elsewhere elsewhere;
    pgdbm_error err;
    pgdbm_db *db;
    make(scene, "001_a.sql");
    pgdbm_pool *hasty = scene_pool(scene, 2, &(pgdbm_config){.lock_timeout_ms = 50});
    assert_ok(pgdbm_attach(hasty, "app", &db, &err));
    elsewhere_start(&elsewhere, scene, "SELECT pg_advisory_lock(hashtext('pgdbm_migration_users')), pg_sleep(0.6)",
                    "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'");
    scene_must_migrate(scene, db, 1);
    elsewhere_join(&elsewhere);
    pgdbm_close(db);
    pgdbm_pool_close(hasty);
}

/* 8: the lock knew the module and not the schema: tenants of one module waited for each other, and failed. */
static void tenants_of_one_module_do_not_wait_for_each_other(void **state)
{
    struct scene *scene = *state;
    pgdbm_db *holder = NULL;
    pgdbm_error err;
    make(scene, "001_a.sql");
    assert_ok(pgdbm_pin(scene->witness, &holder, &err));
    assert_ok(pgdbm_execute_simple(holder,
                                   "SELECT pg_advisory_lock(hashtext('pgdbm_migration_users')),"
                                   " pg_advisory_lock(hashtext('pgdbm_migration_users_other'))",
                                   &err));
    scene->options.per_schema = true;
    scene->options.wait_timeout_ms = 1;
    scene_must_migrate(scene, scene->db, 1);
    pgdbm_close(holder);
}

/* 10: every connect said CREATE SCHEMA IF NOT EXISTS, which raced, and which needs a right even when the schema is there. */
static void opening_makes_no_schema_and_needs_no_right_to(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_db *db;
    int64_t one = 0;
    const char *poor = test_name("poor");
    scene_run(scene, test_format("CREATE ROLE %s LOGIN; CREATE SCHEMA app AUTHORIZATION %s", poor, poor));
    const char *const init[] = {test_format("SET ROLE %s", poor)};
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.init_commands = init, .n_init_commands = 1});
    assert_ok(pgdbm_attach(pool, "nowhere", &db, &err));
    assert_ok(pgdbm_fetch_value(db, "SELECT 1::int8", pgdbm_no_args, &one, &err));
    pgdbm_close(db);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'nowhere'", 0);
    assert_ok(pgdbm_attach(pool, "app", &db, &err));
    make(scene, "001_a.sql");
    scene_must_migrate(scene, db, 1);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    scene_run(scene, test_format("DROP SCHEMA app CASCADE; DROP ROLE %s", poor));
}

/* 11: new files came with BEGIN and COMMIT, which ended the runner's own transaction: a failure behind it left everything, and
 * nothing was recorded. */
static void file_that_ends_its_transaction_is_refused(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "BEGIN;\nCREATE TABLE {{tables.made}} ();\nCOMMIT;\n");
    expect_refused(scene, "must not begin or end transactions");
    /* A function's BEGIN is none. */
    folder_write(&scene->folder, "001_a.sql", "DO $$ BEGIN CREATE TABLE {{tables.made}} (); END $$;");
    scene_must_migrate(scene, scene->db, 1);
}

/* 12: a missing directory was a warning, and "up to date": the program started without its tables. */
static void missing_directory_is_an_error(void **state)
{
    struct scene *scene = *state;
    scene->migrations.directory = "/nowhere/migrations";
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_CONFIG);
    scene_expect_error(scene, "/nowhere/migrations");
    scene->migrations.directory = scene->folder.path; /* there, and empty */
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
}

/* 13: an applied file that was deleted, and a new one below those applied, went unnoticed. */
static void deleted_and_late_files_are_noticed(void **state)
{
    struct scene *scene = *state;
    make(scene, "001_a.sql");
    make(scene, "003_c.sql");
    scene->options.policies.gap = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 2);
    make(scene, "002_b.sql");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_b.sql");
    folder_delete(&scene->folder, "002_b.sql");
    folder_delete(&scene->folder, "001_a.sql");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "001_a.sql");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 2);
}

/* 14: files ran in the order of their letters (0002, 1000, 10, 1, 2, V10), and a number could be there twice. */
static void files_are_ordered_by_number_and_no_number_is_there_twice(void **state)
{
    struct scene *scene = *state;
    scene->options.policies.gap = PGDBM_POLICY_ALLOW;
    static const char *const names[] = {"1000_e.sql", "V10__d.sql", "1_a.sql", "0002_b.sql", "V3__c.sql"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        folder_write(&scene->folder, names[i], "SELECT 1;");
    scene_must_migrate(scene, scene->db, 5);
    scene_expect_text(scene, "SELECT string_agg(filename, ' ' ORDER BY id) FROM app.schema_migrations",
                      "1_a.sql 0002_b.sql V3__c.sql V10__d.sql 1000_e.sql");
    folder_write(&scene->folder, "002_again.sql", "CREATE TABLE {{tables.made}} ();");
    expect_refused(scene, "0002_b.sql");
    scene_expect_error(scene, "002_again.sql");
}

/* 15: a date and a time were taken for a day: two files of one day were one number, and the next one created was a day later. */
static void date_and_time_are_one_number(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {"20251025_143022_a.sql", "20251025_143023_b.sql", "20251025143024_c.sql"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        folder_write(&scene->folder, names[i], "SELECT 1;");
    scene->options.target = "20251025143023";
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->n_applied, 2);
    assert_int_equal(scene->report->n_pending, 1);
}

/* 16: a dry run took the lock and made the table, or crashed on a fresh database, and showed names only. */
static void dry_run_shows_the_sql_and_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    make(scene, "001_a.sql");
    scene->options.dry_run = true;
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    assert_contains(scene_migration(scene, "001_a.sql")->sql, "CREATE TABLE \"app\".\"made_1\" ()");
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
}

/* 17: every start took the lock and two statements of DDL; one waited, and failed, while another module was migrating. */
static void start_with_nothing_to_do_waits_for_nobody(void **state)
{
    struct scene *scene = *state;
    pgdbm_db *tx = NULL;
    pgdbm_error err;
    make(scene, "001_a.sql");
    scene_must_migrate(scene, scene->db, 1);
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(
        pgdbm_execute_simple(tx,
                             "SELECT pg_advisory_xact_lock(hashtext('pgdbm_migration_users'));"
                             "INSERT INTO app.schema_migrations (filename, checksum, module_name) VALUES ('1_x.sql',"
                             " 'x', 'orders')",
                             &err));
    scene->options.wait_timeout_ms = 1;
    scene_must_migrate(scene, scene->db, 0);
    assert_ok(pgdbm_rollback(tx, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
        SCENE(failure_is_the_status_and_stops_the_modules_that_depend_on_it),
        SCENE(invalid_index_is_built_again_and_not_recorded),
        SCENE(older_transaction_does_not_fail_a_concurrent_index),
        SCENE(wait_for_another_migration_is_not_the_wait_for_a_lock),
        SCENE(tenants_of_one_module_do_not_wait_for_each_other),
        SCENE(opening_makes_no_schema_and_needs_no_right_to),
        SCENE(file_that_ends_its_transaction_is_refused),
        SCENE(missing_directory_is_an_error),
        SCENE(deleted_and_late_files_are_noticed),
        SCENE(files_are_ordered_by_number_and_no_number_is_there_twice),
        SCENE(date_and_time_are_one_number),
        SCENE(dry_run_shows_the_sql_and_leaves_nothing),
        SCENE(start_with_nothing_to_do_waits_for_nobody),
    };
    return cmocka_run_group_tests_name("defects", tests, NULL, NULL);
}
