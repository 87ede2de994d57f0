/* SPDX-License-Identifier: MIT */
/* Trying what is pending: what is reported, and that nothing stays. */
#include "migrate/victim.h"

#include "support/server.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pgdbm_status try_it(struct scene *scene)
{
    pgdbm_migrate_options options = {.module = "users", .migrations = &scene->migrations};
    scene->err = (pgdbm_error){0};
    pgdbm_migration_report_free(scene->report);
    scene->report = NULL;
    return pgdbm_migrate_try(scene->db, &options, &scene->report, &scene->err);
}

static void must_try(struct scene *scene)
{
    if (try_it(scene) != PGDBM_OK)
        fail_msg("%s\n%s", scene->err.message, scene->err.detail);
}

/* The locks as "file:line relation mode", sorted as they were taken. */
static void expect_locks(const struct scene *scene, const char *const *expected, size_t n)
{
    const pgdbm_migration_report *report = scene->report;
    assert_non_null(report);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < report->n_locks; k++) {
            char line[256];
            snprintf(line, sizeof line, "%s:%zu %s %s", report->locks[k].filename, report->locks[k].line,
                     report->locks[k].relation, report->locks[k].mode);
            found = strcmp(line, expected[i]) == 0;
        }
        if (!found)
            fail_msg("missing: %s", expected[i]);
    }
    if (report->n_locks != n)
        for (size_t k = 0; k < report->n_locks; k++)
            print_error("%s:%zu %s %s\n", report->locks[k].filename, report->locks[k].line, report->locks[k].relation,
                        report->locks[k].mode);
    assert_int_equal(report->n_locks, n);
}

static void locks_and_times_are_told_of_what_was_there_before(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.a}} (id int PRIMARY KEY); CREATE TABLE {{tables.b}} (a int);");
    scene_must_migrate(scene, scene->db, 1);
    folder_write(&scene->folder, "002_b.sql",
                 "CREATE TABLE {{tables.own}} (id int);\nSELECT count(*) FROM {{tables.a}};\n"
                 "ALTER TABLE {{tables.a}} ADD COLUMN note text;\nALTER TABLE {{tables.own}} ADD COLUMN note text;");
    folder_write(&scene->folder, "003_c.sql",
                 "SELECT pg_sleep(0.02), count(*) FROM {{tables.a}};\n"
                 "ALTER TABLE {{tables.b}} ADD FOREIGN KEY (a) REFERENCES {{tables.a}};\nDROP TABLE {{tables.b}};");
    must_try(scene);
    static const char *const expected[] = {
        "002_b.sql:2 app.a AccessShareLock",       "002_b.sql:3 app.a AccessExclusiveLock",
        "003_c.sql:2 app.b ShareRowExclusiveLock", "003_c.sql:2 app.a ShareRowExclusiveLock",
        "003_c.sql:2 app.a RowShareLock",          "003_c.sql:2 app.b AccessShareLock",
        "003_c.sql:3 app.b AccessExclusiveLock",
    };
    expect_locks(scene, expected, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < scene->report->n_locks; i++)
        assert_true(scene->report->locks[i].statement_ms > 0);
    assert_int_equal(scene->report->n_pending, 2);
    assert_int_equal(scene->report->n_applied, 0);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 1);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname IN ('own', 'b')", 1);
    scene_must_migrate(scene, scene->db, 2);
}

static void fresh_database_stays_fresh(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    must_try(scene);
    assert_int_equal(scene->report->n_locks, 0);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
    scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
}

static void what_would_fail_fails(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[][2] = {
        {"CREATE TABLE {{tables.a}} (id int);\nSELECT nothing FROM {{tables.a}};", "002_b.sql:2:8: column \"nothing\""},
        {"CREATE TABLE {{tables.a}} (id int REFERENCES {{tables.p}} DEFERRABLE INITIALLY DEFERRED);\n"
         "INSERT INTO {{tables.a}} VALUES (1);",
         "002_b.sql: at its commit: "},
    };
    folder_write(&scene->folder, "001_p.sql", "CREATE TABLE {{tables.p}} (id int PRIMARY KEY);");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        folder_write(&scene->folder, "002_b.sql", bad[i][0]);
        assert_int_equal(try_it(scene), PGDBM_ERR_MIGRATION);
        scene_expect_error(scene, bad[i][1]);
        scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
    }
}

static void file_without_a_transaction_cannot_be_tried(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    folder_write(&scene->folder, "002_b.sql", "-- pgdbm:no-transaction\nSELECT 1;");
    assert_int_equal(try_it(scene), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_b.sql cannot be tried");
}

static void files_do_not_see_each_others_sessions(void **state)
{
    struct scene *scene = *state;
    const char *reader = test_name("reader");
    scene_run(scene, test_format("CREATE ROLE %s", reader));
    folder_write(&scene->folder, "001_a.sql", test_format("SET search_path = pg_catalog; SET ROLE %s;", reader));
    folder_write(&scene->folder, "002_b.sql",
                 test_format("SELECT 1 / count(*) FROM (SELECT current_user) u (name) WHERE name <> '%s'"
                             " AND current_setting('search_path') <> 'pg_catalog';",
                             reader));
    must_try(scene);
    scene_run(scene, test_format("DROP ROLE %s", reader));
}

static bool look_for_lock(const pgdbm_migration_progress *progress, void *context)
{
    struct scene *scene = context;
    if (progress->phase == PGDBM_PHASE_STATEMENT)
        scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory' AND granted", 1);
    return progress->phase != PGDBM_PHASE_STATEMENT || progress->statement < 2;
}

static void module_is_locked_meanwhile_and_the_callback_may_cancel(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = {
        .module = "users", .migrations = &scene->migrations, .on_progress = look_for_lock, .context = scene};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (); CREATE TABLE {{tables.b}} ();");
    assert_int_equal(pgdbm_migrate_try(scene->db, &options, NULL, &scene->err), PGDBM_ERR_CANCELED);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'a'", 0);
}

static void null_is_refused(void **state)
{
    struct scene *scene = *state;
    const pgdbm_migrate_options options = {.module = "users"};
    assert_int_equal(pgdbm_migrate_try(NULL, &options, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_try_sized(scene->db, NULL, 0, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_try(scene->db, &options, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_contains(scene->err.message, "migrations");
}

/* An allocator whose allocation number `countdown` of this thread fails, once. */
static _Thread_local long countdown;

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    return countdown > 0 && --countdown == 0 ? NULL : realloc(memory, bytes);
}

static void release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static void nothing_stays_after_any_failing_allocation(void **state)
{
    struct scene *scene = *state;
    const pgdbm_allocator failing = {reallocate, release, NULL};
    pgdbm_status status = PGDBM_OK;
    long failures = 0;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql", "ALTER TABLE {{tables.a}} ADD COLUMN note text;");
    must_try(scene); /* what the pool learns at first use is not looked at here */
    assert_int_equal(pgdbm_allocator_set(&failing, NULL), PGDBM_OK);
    for (bool reached = true; reached && (status == PGDBM_OK || status == PGDBM_ERR_NOMEM);) {
        countdown = ++failures;
        status = try_it(scene);
        reached = countdown == 0;
        countdown = 0;
        scene_expect_number(scene, "SELECT count(*) FROM pg_attribute WHERE attname = 'note'", 0);
        scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
    }
    assert_int_equal(pgdbm_allocator_set(NULL, NULL), PGDBM_OK);
    if (status != PGDBM_OK)
        fail_msg("failure %ld: %s %s", failures, pgdbm_status_name(status), scene->err.message);
    assert_in_range(failures, 20, 10000);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(locks_and_times_are_told_of_what_was_there_before),
        SCENE(fresh_database_stays_fresh),
        SCENE(what_would_fail_fails),
        SCENE(file_without_a_transaction_cannot_be_tried),
        SCENE(files_do_not_see_each_others_sessions),
        SCENE(null_is_refused),
        SCENE(nothing_stays_after_any_failing_allocation),
        SCENE(module_is_locked_meanwhile_and_the_callback_may_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
