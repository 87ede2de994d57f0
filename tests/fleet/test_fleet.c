/* SPDX-License-Identifier: MIT */
/* Fleets: opening, what sync finds out, what status says of whom, and how it sees what others did. */
#include "fleet/scene.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char colour_sql[] = "ALTER TABLE {{tables.notes}} ADD COLUMN colour text";

static void must_sync(struct scene *scene)
{
    pgdbm_error err = {0};
    assert_ok(pgdbm_fleet_sync(scene->fleet, &err));
}

static void migrate_alone(struct scene *scene, const char *schema)
{
    const pgdbm_migrate_options options = {.module = "shop", .per_schema = true, .migrations = &scene->migrations};
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    assert_ok(pgdbm_attach(scene->pool, schema, &db, &err));
    assert_ok(pgdbm_migrate(db, &options, NULL, &err));
    pgdbm_close(db);
}

static void new_schemas_are_unknown_until_a_sync(void **state)
{
    struct scene *scene = *state;
    scene_schemas(scene, 5);
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY)");
    scene_open(scene);
    scene_expect_state(scene, "t_0003", PGDBM_TARGET_UNKNOWN);
    must_sync(scene);
    scene_expect_counts(scene, 0, 5, 0);
    assert_int_equal(scene_target(scene, "t_0003")->n_pending, 1);
    assert_string_equal(scene_target(scene, "t_0003")->head, "");
}

static void schemas_that_are_gone_show_until_a_sync(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 3);
    scene_run(scene, "DROP SCHEMA t_0002 CASCADE");
    const pgdbm_target *target = scene_target(scene, "t_0002");
    assert_int_equal(target->state, PGDBM_TARGET_UNKNOWN);
    assert_contains(target->error, "gone");
    must_sync(scene);
    scene_expect_counts(scene, 0, 2, 0);
    assert_int_equal(scene->report->n_all, 2);
}

static void what_pgdbm_migrate_did_is_seen_by_a_sync(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 4);
    migrate_alone(scene, "t_0002");
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_BEHIND);
    must_sync(scene);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_CURRENT);
    scene_expect_counts(scene, 1, 3, 0);
    scene_expect_number(scene, "SELECT count(DISTINCT digest) FROM pgdbm.target", 2);
}

/* Nobody syncs in between: with what pgdbm.target said before, files would be applied on top of others that are missing. */
static void what_was_rolled_back_is_applied_again(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    scene_schemas(scene, 3);
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY)");
    scene_add(scene, "002_colour.sql",
              "ALTER TABLE {{tables.notes}} ADD colour text;\n-- pgdbm:down\nALTER TABLE {{tables.notes}} DROP colour");
    scene_add(scene, "003_shape.sql",
              "ALTER TABLE {{tables.notes}} ADD shape text;\n-- pgdbm:down\nALTER TABLE {{tables.notes}} DROP shape");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    const pgdbm_migrate_options options = {
        .module = "shop", .per_schema = true, .migrations = &scene->migrations, .target = "1"};
    assert_ok(pgdbm_attach(scene->pool, "t_0002", &db, &err));
    assert_ok(pgdbm_migrate_rollback(db, &options, 0, NULL, &err));
    pgdbm_close(db);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_UNKNOWN);
    scene_expect_counts(scene, 2, 0, 0);
    scene_add(scene, "004_size.sql", "ALTER TABLE {{tables.notes}} ADD size text");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene_expect_counts(scene, 3, 0, 0);
    scene_expect_number(scene, "SELECT count(colour) + count(shape) + count(size) FROM t_0002.notes", 0);
    scene_expect_number(scene, "SELECT count(*) FROM t_0002.schema_migrations", 4);
}

static void a_schema_that_must_exist_is_not_made(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY)");
    const pgdbm_migrate_options options = {
        .module = "shop", .per_schema = true, .migrations = &scene->migrations, .schema_must_exist = true};
    assert_ok(pgdbm_attach(scene->pool, "t_0001", &db, &err));
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_migrate(db, &options, NULL, &err));
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 't_0001'", 0);
    scene_schemas(scene, 1);
    assert_ok(pgdbm_migrate(db, &options, NULL, &err));
    pgdbm_close(db);
}

static void a_tenant_with_more_files_is_ahead(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 2);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene->migrations.n_texts = 1; /* an older program */
    scene_open(scene);
    scene_expect_state(scene, "t_0001", PGDBM_TARGET_AHEAD);
    must_sync(scene);
    scene_expect_state(scene, "t_0001", PGDBM_TARGET_AHEAD);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    assert_int_equal(scene->tally.migrated, 0);
}

static void a_tenant_with_other_files_is_diverged(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 3);
    scene_run(scene, "UPDATE t_0002.schema_migrations SET checksum = repeat('a', 64), semantic_checksum = NULL");
    must_sync(scene);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_DIVERGED);
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){0}), PGDBM_ERR_MIGRATION);
    assert_contains(scene->err.message, "t_0002");
    assert_int_equal(scene->tally.migrated, 2);
}

static void a_comment_makes_nobody_diverged(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 3);
    scene->texts[0].text = "-- says more\nCREATE TABLE {{tables.notes}} (id int PRIMARY KEY, body text)";
    scene->texts[0].bytes = strlen(scene->texts[0].text);
    scene_open(scene);
    scene_expect_state(scene, "t_0001", PGDBM_TARGET_UNKNOWN);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0}); /* finds out by itself */
    scene_expect_counts(scene, 3, 0, 0);
    scene_expect_coloured(scene, 3);
}

static void a_history_of_the_python_library_is_continued(void **state)
{
    struct scene *scene = *state;
    scene_schemas(scene, 3);
    scene_run(
        scene,
        "CREATE TABLE t_0001.notes (id int);"
        "CREATE TABLE t_0001.schema_migrations (id serial PRIMARY KEY, filename varchar(255) NOT NULL, checksum"
        " varchar(64) NOT NULL, module_name varchar(100), applied_at timestamp DEFAULT CURRENT_TIMESTAMP,"
        " applied_by varchar(100) DEFAULT CURRENT_USER, execution_time_ms integer, UNIQUE (filename, module_name));"
        "INSERT INTO t_0001.schema_migrations (filename, checksum, module_name) SELECT '001_notes.sql',"
        " encode(sha256(convert_to('CREATE TABLE {' || '{tables.notes}} (id int)', 'UTF8')), 'hex'), 'shop_t_0001';"
        "CREATE TABLE t_0002.notes (id int); CREATE TABLE t_0002.schema_migrations"
        " (LIKE t_0001.schema_migrations INCLUDING ALL);"
        "INSERT INTO t_0002.schema_migrations (id, filename, checksum) SELECT 1, filename, checksum FROM"
        " t_0001.schema_migrations");
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int)");
    scene_add(scene, "002_colour.sql", colour_sql);
    scene_open(scene);
    must_sync(scene);
    assert_int_equal(scene_target(scene, "t_0001")->n_pending, 1);
    assert_int_equal(scene_target(scene, "t_0002")->n_pending, 1);
    assert_int_equal(scene_target(scene, "t_0003")->n_pending, 2);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene_expect_counts(scene, 3, 0, 0);
    scene_expect_coloured(scene, 3);
}

static void repeatable_files_run_again_when_they_change(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 3);
    scene_add(scene, "R__names.sql", "CREATE OR REPLACE VIEW {{tables.names}} AS SELECT id FROM {{tables.notes}}");
    scene_open(scene);
    assert_int_equal(scene_target(scene, "t_0001")->n_pending, 2);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene_expect_counts(scene, 3, 0, 0);
    scene->texts[2].text = "CREATE OR REPLACE VIEW {{tables.names}} AS SELECT id, body FROM {{tables.notes}}";
    scene->texts[2].bytes = strlen(scene->texts[2].text);
    scene_open(scene);
    assert_int_equal(scene_target(scene, "t_0001")->n_pending, 1);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    assert_int_equal(scene->tally.migrated, 3);
    must_sync(scene);
    scene_expect_counts(scene, 3, 0, 0);
    scene_expect_number(scene, "SELECT count(*) FROM t_0002.schema_migrations WHERE filename = 'R__names.sql'", 1);
    scene_expect_number(scene, "SELECT count(body) FROM t_0002.names", 0);
}

static void a_list_has_its_members_only(void **state)
{
    struct scene *scene = *state;
    const char *const schemas[] = {"t_0001", "T_0003", "t_0001", "nowhere"};
    const pgdbm_fleet_options options = {
        .module = "shop", .migrations = &scene->migrations, .schemas = schemas, .n_schemas = 4};
    pgdbm_error err = {0};
    scene_behind(scene, 4);
    pgdbm_fleet_close(scene->fleet);
    assert_ok(pgdbm_fleet_open(scene->pool, &options, &scene->fleet, &err));
    assert_contains(scene_target(scene, "nowhere")->error, "no such schema");
    assert_int_equal(scene->report->n_all, 3);
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){0}), PGDBM_ERR_MIGRATION); /* because of nowhere */
    assert_int_equal(scene->tally.migrated, 2);
    scene_expect_coloured(scene, 2);
    scene_open(scene);
    scene_expect_counts(scene, 2, 2, 0);
}

static void a_query_says_who_belongs_to_the_fleet(void **state)
{
    struct scene *scene = *state;
    const pgdbm_fleet_options options = {.module = "shop",
                                         .migrations = &scene->migrations,
                                         .query = "SELECT name FROM customers WHERE paying; -- the others later"};
    pgdbm_error err = {0};
    scene_behind(scene, 4);
    scene_run(scene, "CREATE TABLE customers (name name, paying bool); INSERT INTO customers VALUES"
                     " ('t_0002', true), ('t_0003', false), ('t_0004', true), (NULL, true)");
    pgdbm_fleet_close(scene->fleet);
    assert_ok(pgdbm_fleet_open(scene->pool, &options, &scene->fleet, &err));
    scene_expect_counts(scene, 0, 2, 0);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene_expect_counts(scene, 2, 0, 0);
    scene_expect_coloured(scene, 2);
}

static void schemas_with_impossible_names_are_shown(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 1);
    scene_run(scene, "CREATE SCHEMA \"t_Capital's \"\"one\"\"\"");
    must_sync(scene);
    const pgdbm_target *target = scene_target(scene, "t_Capital's \"one\"");
    assert_int_equal(target->state, PGDBM_TARGET_UNKNOWN);
    assert_contains(target->error, "name");
}

static void only_those_that_are_not_current_are_listed(void **state)
{
    struct scene *scene = *state;
    pgdbm_fleet_report *report = NULL;
    pgdbm_error err = {0};
    scene_behind(scene, 5);
    migrate_alone(scene, "t_0004");
    must_sync(scene);
    assert_ok(pgdbm_fleet_status(scene->fleet, false, &report, &err));
    assert_int_equal(report->n_all, 5);
    assert_int_equal(report->counts[PGDBM_TARGET_CURRENT], 1);
    assert_int_equal(report->n_targets, 4);
    assert_string_equal(report->targets[3].schema, "t_0005");
    assert_string_equal(report->head, "002");
    pgdbm_fleet_close(scene->fleet); /* the report outlives its fleet */
    scene->fleet = NULL;
    assert_string_equal(report->module, "shop");
    pgdbm_fleet_report_free(report);
}

static void opening_needs_no_right_to_create_when_the_tables_are_there(void **state)
{
    struct scene *scene = *state;
    char url[512];
    pgdbm_error err = {0};
    pgdbm_fleet *fleet = NULL;
    scene_behind(scene, 1);
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%"};
    snprintf(url, sizeof url, "%s&options=-crole%%3Dpg_monitor", scene->url);
    pgdbm_pool *pool = scene_pool(url, 2);
    assert_ok(pgdbm_fleet_open(pool, &options, &fleet, &err));
    pgdbm_fleet_close(fleet);
    scene_run(scene, "DROP SCHEMA pgdbm CASCADE");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fleet_open(pool, &options, &fleet, &err));
    assert_string_equal(err.sqlstate, "42501");
    assert_null(fleet);
    pgdbm_pool_close(pool);
}

struct opener {
    pthread_t thread;
    struct scene *scene;
    pgdbm_status status;
    pgdbm_error err;
};

static void *open_one(void *context)
{
    struct opener *opener = context;
    const pgdbm_fleet_options options = {
        .module = "shop", .migrations = &opener->scene->migrations, .pattern = "t\\_%"};
    pgdbm_fleet *fleet = NULL;
    opener->status = pgdbm_fleet_open(opener->scene->pool, &options, &fleet, &opener->err);
    pgdbm_fleet_close(fleet);
    return NULL;
}

static void many_may_open_the_first_fleet_at_once(void **state)
{
    struct scene *scene = *state;
    struct opener openers[8];
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int)");
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < 8; i++) {
            openers[i] = (struct opener){.scene = scene};
            assert_int_equal(pthread_create(&openers[i].thread, NULL, open_one, &openers[i]), 0);
        }
        for (size_t i = 0; i < 8; i++)
            pthread_join(openers[i].thread, NULL);
        for (size_t i = 0; i < 8; i++)
            if (openers[i].status != PGDBM_OK)
                fail_msg("%s", openers[i].err.message);
        scene_run(scene, "DROP SCHEMA pgdbm CASCADE");
    }
}

static void contradictory_options_are_refused(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_fleet *fleet = NULL;
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int)");
    pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations};
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_fleet_open(scene->pool, &options, &fleet, &err));
    options.pattern = "t\\_%";
    options.query = "SELECT 't_1'";
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_fleet_open(scene->pool, &options, &fleet, &err));
    options.query = NULL;
    options.module = NULL;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_fleet_open(scene->pool, &options, &fleet, &err));
    options.module = "shop";
    options.migrations = NULL;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_open(scene->pool, &options, &fleet, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_open(NULL, &options, &fleet, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_status(NULL, false, &scene->report, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_sync(NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_roll_out(NULL, &(pgdbm_roll_out){0}, NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_pause(NULL, &err));
    pgdbm_fleet_close(NULL);
    pgdbm_fleet_report_free(NULL);
    scene_open(scene);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_roll_out(scene->fleet, NULL, NULL, &err));
    assert_fails(
        PGDBM_ERR_CONFIG,
        pgdbm_fleet_roll_out(scene->fleet, &(pgdbm_roll_out){.waves = (const int[]){10, 5}, .n_waves = 2}, NULL, &err));
    assert_fails(PGDBM_ERR_CONFIG,
                 pgdbm_fleet_roll_out(scene->fleet,
                                      &(pgdbm_roll_out){.canaries = (const char *const[]){"nobody"}, .n_canaries = 1},
                                      NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_quarantine(scene->fleet, "t_nobody", NULL, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_schemas_are_unknown_until_a_sync),
        TEST(schemas_that_are_gone_show_until_a_sync),
        TEST(what_pgdbm_migrate_did_is_seen_by_a_sync),
        TEST(what_was_rolled_back_is_applied_again),
        TEST(a_schema_that_must_exist_is_not_made),
        TEST(a_tenant_with_more_files_is_ahead),
        TEST(a_tenant_with_other_files_is_diverged),
        TEST(a_comment_makes_nobody_diverged),
        TEST(a_history_of_the_python_library_is_continued),
        TEST(repeatable_files_run_again_when_they_change),
        TEST(a_list_has_its_members_only),
        TEST(a_query_says_who_belongs_to_the_fleet),
        TEST(schemas_with_impossible_names_are_shown),
        TEST(only_those_that_are_not_current_are_listed),
        TEST(opening_needs_no_right_to_create_when_the_tables_are_there),
        TEST(many_may_open_the_first_fleet_at_once),
        TEST(contradictory_options_are_refused),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
