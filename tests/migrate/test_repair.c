/* SPDX-License-Identifier: MIT */
/* Making a history fit: a baseline for a database that was there before, and the repair of one that differs from the files. */
#include "migrate/scene.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef pgdbm_status (*verb)(pgdbm_db *db, const pgdbm_migrate_options *options, pgdbm_migration_report **report,
                             pgdbm_error *err);

static pgdbm_migrate_options options_of(const struct scene *scene)
{
    return (pgdbm_migrate_options){.module = "users", .migrations = &scene->migrations};
}

static pgdbm_status call(struct scene *scene, verb function, const pgdbm_migrate_options *options)
{
    pgdbm_migration_report_free(scene->report);
    scene->report = NULL;
    scene->err = (pgdbm_error){0};
    return function(scene->db, options, &scene->report, &scene->err);
}

static void must(struct scene *scene, verb function, const pgdbm_migrate_options *options, size_t expected)
{
    if (call(scene, function, options) != PGDBM_OK)
        fail_msg("%s\n%s\n%s", scene->err.message, scene->err.detail, scene->err.hint);
    assert_non_null(scene->report);
    assert_int_equal(scene->report->n_applied, expected);
}

static int setup(void **state)
{
    scene_setup(state);
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_users.sql", "CREATE TABLE {{tables.users}} (id int);\n");
    folder_write(&scene->folder, "002_name.sql", "ALTER TABLE {{tables.users}} ADD name text;\n");
    folder_write(&scene->folder, "003_email.sql", "ALTER TABLE {{tables.users}} ADD email text;\n");
    return 0;
}

/* The same, applied. */
static int setup_applied(void **state)
{
    setup(state);
    struct scene *scene = *state;
    scene_must_migrate(scene, scene->db, 3);
    return 0;
}

static void after_a_baseline_only_the_rest_is_applied(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.users (id int, name text)");
    options.target = "2";
    options.build = "v7";
    must(scene, pgdbm_migrate_baseline, &options, 2);
    assert_int_equal(scene->report->n_pending, 1);
    assert_string_equal(scene->report->head, "002");
    scene_expect_text(scene,
                      "SELECT string_agg(concat(filename, ' ', kind, ' ', build), ',' ORDER BY filename)"
                      " FROM app.schema_migrations WHERE module_name = 'users'",
                      "001_users.sql B v7,002_name.sql B v7");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_number(scene,
                        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.users'::regclass"
                        " AND attname = 'email'",
                        1);
}

static void a_baseline_of_everything_leaves_nothing_to_do(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{schema}}.v AS SELECT 1 AS one;\n");
    must(scene, pgdbm_migrate_baseline, &options, 4);
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname IN ('users', 'v')", 0);
    scene_expect_text(scene, "SELECT kind FROM app.schema_migrations WHERE filename = 'R__view.sql'", "R");
}

static void a_baseline_on_a_history_is_refused(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    assert_int_equal(call(scene, pgdbm_migrate_baseline, &options), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "has a history in schema app already");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE kind IS NULL", 3);
    options.module = "others";
    must(scene, pgdbm_migrate_baseline, &options, 3);
}

static void a_dry_run_of_a_baseline_writes_nothing(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    options.dry_run = true;
    options.target = "2";
    must(scene, pgdbm_migrate_baseline, &options, 2);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'", 0);
}

static void a_target_that_no_file_has_is_refused(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    options.target = "9";
    assert_int_equal(call(scene, pgdbm_migrate_baseline, &options), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "\"9\"");
}

static pgdbm_migration_state state_of(const struct scene *scene, size_t place)
{
    return scene->report->migrations[place].state;
}

static void an_edit_of_comments_is_repaired(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    folder_write(&scene->folder, "002_name.sql", "-- Copyright\nALTER  TABLE {{tables.users}} ADD name text; -- why\n");
    assert_int_equal(scene_status(scene, scene->db), PGDBM_OK);
    assert_int_equal(state_of(scene, 1), PGDBM_MIGRATION_REFORMATTED);
    char *before = scene_text(scene, "SELECT applied_at::text FROM app.schema_migrations WHERE id = 2");
    must(scene, pgdbm_migrate_repair, &options, 1);
    assert_int_equal(state_of(scene, 1), PGDBM_MIGRATION_APPLIED);
    assert_string_equal(scene->report->migrations[1].checksum, scene->report->migrations[1].applied_checksum);
    scene_expect_text(scene, "SELECT applied_at::text FROM app.schema_migrations WHERE id = 2", before);
    pgdbm_free(before);
    must(scene, pgdbm_migrate_repair, &options, 0);
}

static void a_real_change_is_repaired_only_when_it_is_allowed(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    folder_write(&scene->folder, "001_users.sql", "-- only this\nCREATE TABLE {{tables.users}} (id int);\n");
    folder_write(&scene->folder, "002_name.sql", "ALTER TABLE {{tables.users}} ADD name varchar;\n");
    assert_int_equal(call(scene, pgdbm_migrate_repair, &options), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_name.sql");
    assert_int_equal(scene->report->n_applied, 1); /* what was harmless is done */
    assert_int_equal(state_of(scene, 0), PGDBM_MIGRATION_APPLIED);
    assert_int_equal(state_of(scene, 1), PGDBM_MIGRATION_CHANGED);
    options.policies.changed = PGDBM_POLICY_ALLOW;
    must(scene, pgdbm_migrate_repair, &options, 1);
    assert_int_equal(state_of(scene, 1), PGDBM_MIGRATION_APPLIED);
    scene_must_migrate(scene, scene->db, 0);
}

static void rows_of_files_that_are_gone_are_deleted_only_when_it_is_allowed(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    folder_delete(&scene->folder, "002_name.sql");
    assert_int_equal(call(scene, pgdbm_migrate_repair, &options), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_name.sql");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 3);
    options.policies.missing = PGDBM_POLICY_ALLOW;
    must(scene, pgdbm_migrate_repair, &options, 1);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 2);
}

/* A database that is ahead is no mistake of its history: an older program must not cut it. */
static void rows_of_later_files_stay_whatever_is_allowed(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    folder_delete(&scene->folder, "003_email.sql");
    options.policies.missing = PGDBM_POLICY_ALLOW;
    options.policies.changed = PGDBM_POLICY_ALLOW;
    assert_int_equal(call(scene, pgdbm_migrate_repair, &options), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "003_email.sql");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 3);
}

static void rows_without_a_module_are_taken_where_the_text_is_ours(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    scene_run(scene, "UPDATE app.schema_migrations SET module_name = NULL WHERE id IN (1, 2)");
    must(scene, pgdbm_migrate_repair, &options, 2);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE module_name = 'users'", 3);
}

static void rows_without_a_module_and_of_another_text_are_never_taken(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    scene_run(scene, "UPDATE app.schema_migrations SET module_name = NULL, checksum = repeat('0', 64),"
                     " semantic_checksum = NULL, body = NULL WHERE id = 2");
    options.policies.changed = PGDBM_POLICY_ALLOW;
    call(scene, pgdbm_migrate_repair, &options);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE module_name IS NULL", 1);
    scene_expect_text(scene, "SELECT checksum FROM app.schema_migrations WHERE id = 2",
                      "0000000000000000000000000000000000000000000000000000000000000000");
}

static void a_dry_run_of_a_repair_counts_and_writes_nothing(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    folder_write(&scene->folder, "002_name.sql", "-- Copyright\nALTER TABLE {{tables.users}} ADD name text;\n");
    options.dry_run = true;
    must(scene, pgdbm_migrate_repair, &options, 1);
    options.dry_run = false;
    must(scene, pgdbm_migrate_repair, &options, 1);
}

static void a_repair_of_a_history_of_python_fits_it_for_both(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.schema_migrations (id serial PRIMARY KEY,"
                     " filename varchar(255) NOT NULL, checksum varchar(64) NOT NULL, module_name varchar(100),"
                     " applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,"
                     " applied_by varchar(100) DEFAULT CURRENT_USER, execution_time_ms integer,"
                     " UNIQUE (filename, module_name));"
                     "INSERT INTO app.schema_migrations (filename, checksum) SELECT '001_users.sql',"
                     " encode(sha256('CREATE TABLE {{tables.users}} (id int);'), 'hex')");
    must(scene, pgdbm_migrate_repair, &options, 1);
    assert_int_equal(scene->report->n_pending, 2);
    scene_expect_text(
        scene, "SELECT concat(module_name, ' ', semantic_checksum IS NOT NULL) FROM app.schema_migrations", "users t");
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, scene_teardown)
#define APPLIED(test) cmocka_unit_test_setup_teardown(test, setup_applied, scene_teardown)
    const struct CMUnitTest tests[] = {
        WITH_FILES(after_a_baseline_only_the_rest_is_applied),
        WITH_FILES(a_baseline_of_everything_leaves_nothing_to_do),
        APPLIED(a_baseline_on_a_history_is_refused),
        WITH_FILES(a_dry_run_of_a_baseline_writes_nothing),
        WITH_FILES(a_target_that_no_file_has_is_refused),
        APPLIED(an_edit_of_comments_is_repaired),
        APPLIED(a_real_change_is_repaired_only_when_it_is_allowed),
        APPLIED(rows_of_files_that_are_gone_are_deleted_only_when_it_is_allowed),
        APPLIED(rows_of_later_files_stay_whatever_is_allowed),
        APPLIED(rows_without_a_module_are_taken_where_the_text_is_ours),
        APPLIED(rows_without_a_module_and_of_another_text_are_never_taken),
        APPLIED(a_dry_run_of_a_repair_counts_and_writes_nothing),
        WITH_FILES(a_repair_of_a_history_of_python_fits_it_for_both),
    };
    return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
