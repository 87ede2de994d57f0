/* SPDX-License-Identifier: MIT */
/* Tenants that are made, used for the first time, and dropped. */
#include "fleet/scene.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two files, the second without a transaction, and a repeatable one. */
static void three_files(struct scene *scene)
{
    scene_add(
        scene, "001_notes.sql",
        "CREATE TYPE {{schema}}.mood AS ENUM ('good', 'bad'); CREATE TABLE {{tables.notes}} (id serial PRIMARY KEY,"
        " body text NOT NULL DEFAULT 'x', mood {{schema}}.mood)");
    scene_add(scene, "002_index.sql",
              "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY notes_body ON {{tables.notes}} (body)");
    scene_add(scene, "R__count.sql",
              "CREATE OR REPLACE FUNCTION {{schema}}.count_notes() RETURNS bigint LANGUAGE sql AS"
              " 'SELECT count(*) FROM {{tables.notes}}'");
    scene_open(scene);
}

static void created_tenant_is_complete_and_current(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    three_files(scene);
    assert_ok(pgdbm_fleet_create_tenant(scene->fleet, "t_new", &err));
    scene_expect_state(scene, "t_new", PGDBM_TARGET_CURRENT);
    scene_expect_number(scene, "SELECT count(*) FROM t_new.schema_migrations WHERE module_name = 'shop_t_new'", 3);
    scene_expect_number(scene, "SELECT t_new.count_notes()", 0);
    /* The histories agree: nothing is found to be otherwise. */
    assert_ok(pgdbm_fleet_sync(scene->fleet, &err));
    scene_expect_state(scene, "t_new", PGDBM_TARGET_CURRENT);
}

static void created_tenant_has_the_fingerprint_of_a_migrated_one(void **state)
{
    struct scene *scene = *state;
    pgdbm_drift_report *report = NULL;
    pgdbm_error err = {0};
    three_files(scene);
    scene_schemas(scene, 2);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    assert_ok(pgdbm_fleet_create_tenant(scene->fleet, "t_new", &err));
    assert_ok(pgdbm_fleet_drift(scene->fleet, &(pgdbm_drift_options){0}, &report, &err));
    for (size_t i = 0; i < report->n_drifts; i++)
        print_error("%s: %s: %s / %s\n", report->drifts[i].schema, report->drifts[i].object, report->drifts[i].expected,
                    report->drifts[i].found);
    assert_int_equal(report->n_schemas, 3);
    assert_int_equal(report->n_alike, 3);
    assert_int_equal(report->n_drifted, 0);
    pgdbm_drift_report_free(report);
}

static void failing_last_file_leaves_no_schema_and_is_named(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY)");
    scene_add(scene, "002_wrong.sql",
              "INSERT INTO {{tables.notes}} VALUES (1);\n\n  INSERT INTO {{tables.notes}} VALUES (1)");
    scene_open(scene);
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_fleet_create_tenant(scene->fleet, "t_new", &err));
    assert_contains(err.message, "002_wrong.sql:3:3");
    assert_string_equal(err.sqlstate, "23505");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 't_new'", 0);
    scene_expect_number(scene, "SELECT count(*) FROM pgdbm.target", 0);
}

static void what_cannot_run_in_a_transaction_is_refused_before_anything_runs(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    scene_add(scene, "001_vacuum.sql", "-- pgdbm:no-transaction\nVACUUM pg_class");
    scene_open(scene);
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_fleet_create_tenant(scene->fleet, "t_new", &err));
    assert_contains(err.message, "VACUUM");
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 't_new'", 0);
}

static void existing_schema_is_refused_and_left_alone(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    three_files(scene);
    scene_run(scene, "CREATE SCHEMA t_old");
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_fleet_create_tenant(scene->fleet, "t_old", &err));
    assert_contains(err.message, "is there already");
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relnamespace = 't_old'::regnamespace", 0);
}

static void many_are_created_and_those_that_are_there_passed_over(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    char names[20][16];
    const char *schemas[20];
    size_t created = 0;
    three_files(scene);
    for (size_t i = 0; i < 20; i++) {
        snprintf(names[i], sizeof names[i], "t_%04zu", i);
        schemas[i] = names[i];
    }
    assert_ok(pgdbm_fleet_create_tenant(scene->fleet, "t_0007", &err));
    assert_ok(pgdbm_fleet_create_tenants(scene->fleet, schemas, 20, 3, &created, &err));
    assert_int_equal(created, 19);
    scene_expect_counts(scene, 20, 0, 0);
}

static void two_processes_create_the_same_tenant_once(void **state)
{
    struct scene *scene = *state;
    int outcomes[2];
    pid_t children[2];
    test_needs_fork();
    three_files(scene);
    for (int i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct scene own = {.url = scene->url, .migrations = scene->migrations};
            pgdbm_error err = {0};
            own.pool = scene_pool(scene->url, 2);
            scene_open(&own);
            pgdbm_status status = pgdbm_fleet_create_tenant(own.fleet, "t_new", &err);
            _exit(status == PGDBM_OK ? 0 : status == PGDBM_ERR_SCHEMA ? 1 : 2);
        }
    }
    for (int i = 0; i < 2; i++) {
        waitpid(children[i], &outcomes[i], 0);
        assert_true(WIFEXITED(outcomes[i]));
    }
    assert_int_equal(WEXITSTATUS(outcomes[0]) + WEXITSTATUS(outcomes[1]), 1);
    scene_expect_state(scene, "t_new", PGDBM_TARGET_CURRENT);
}

struct guest {
    struct scene *scene;
    pthread_t thread;
    pgdbm_status status;
    pgdbm_error err;
};

static void *attach(void *argument)
{
    struct guest *guest = argument;
    pgdbm_db *db = NULL;
    guest->status = pgdbm_fleet_attach(guest->scene->fleet, "t_0001", &db, &guest->err);
    if (guest->status == PGDBM_OK)
        guest->status =
            pgdbm_execute(db,
                          "INSERT INTO {{tables.notes}} (id, colour) VALUES ((SELECT count(*) FROM {{tables.notes}}"
                          " WHERE false) + pg_backend_pid() * 100 + (random() * 99)::int, 'red')"
                          " ON CONFLICT DO NOTHING",
                          pgdbm_no_args, NULL, &guest->err);
    pgdbm_close(db);
    return NULL;
}

static void eight_threads_attach_and_the_tenant_is_migrated_once(void **state)
{
    struct scene *scene = *state;
    struct guest guests[8] = {{0}};
    scene_behind(scene, 2);
    for (size_t i = 0; i < 8; i++) {
        guests[i].scene = scene;
        assert_int_equal(pthread_create(&guests[i].thread, NULL, attach, &guests[i]), 0);
    }
    for (size_t i = 0; i < 8; i++)
        pthread_join(guests[i].thread, NULL);
    for (size_t i = 0; i < 8; i++)
        if (guests[i].status != PGDBM_OK)
            fail_msg("%s\n%s", guests[i].err.message, guests[i].err.detail);
    scene_expect_coloured(scene, 1);
    scene_expect_counts(scene, 1, 1, 0);
}

static void second_attach_asks_nothing(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    scene_behind(scene, 1);
    assert_ok(pgdbm_fleet_attach(scene->fleet, "t_0001", &db, &err));
    pgdbm_close(db);
    scene_run(scene, "UPDATE pgdbm.target SET digest = 'nonsense', state = 'quarantined'");
    assert_ok(pgdbm_fleet_attach(scene->fleet, "t_0001", &db, &err));
    assert_string_equal(pgdbm_schema(db), "t_0001");
    pgdbm_close(db);
}

static void unknown_and_quarantined_tenants_are_not_attached(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    scene_behind(scene, 1);
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_fleet_attach(scene->fleet, "t_nobody", &db, &err));
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 't_nobody'", 0);
    assert_ok(pgdbm_fleet_quarantine(scene->fleet, "t_0001", "the disk of its owner", &err));
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_fleet_attach(scene->fleet, "t_0001", &db, &err));
    assert_contains(err.message, "the disk of its owner");
    assert_null(db);
}

static void drop_takes_schema_and_row(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    three_files(scene);
    assert_ok(pgdbm_fleet_create_tenant(scene->fleet, "t_new", &err));
    assert_ok(pgdbm_fleet_drop_tenant(scene->fleet, "t_new", 0, &err));
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 't_new'", 0);
    scene_expect_number(scene, "SELECT count(*) FROM pgdbm.target", 0);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_drop_tenant(scene->fleet, "public", 0, &err));
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'public'", 1);
}

static void drop_of_a_busy_tenant_gives_up_in_time_and_says_who_holds_it(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    int pid = 0;
    char process[32];
    three_files(scene);
    assert_ok(pgdbm_fleet_create_tenant(scene->fleet, "t_new", &err));
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(pgdbm_execute(tx, "LOCK TABLE t_new.notes IN ACCESS SHARE MODE", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_session_pid(tx, &pid, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fleet_drop_tenant(scene->fleet, "t_new", 100, &err));
    snprintf(process, sizeof process, "process %d", pid);
    assert_contains(err.detail, process);
    assert_string_equal(err.sqlstate, "55P03");
    assert_ok(pgdbm_rollback(tx, &err));
    scene_expect_state(scene, "t_new", PGDBM_TARGET_CURRENT);
    assert_ok(pgdbm_fleet_drop_tenant(scene->fleet, "t_new", 100, &err));
}

static void null_is_refused_by_name(void **state)
{
    struct scene *scene = *state;
    pgdbm_drift_report *report = NULL;
    pgdbm_db *db = NULL;
    pgdbm_error err = {0};
    three_files(scene);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_create_tenant(NULL, "t_new", &err));
    assert_contains(err.message, "fleet is NULL");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_create_tenant(scene->fleet, NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_create_tenants(scene->fleet, NULL, 1, 1, NULL, &err));
    assert_contains(err.message, "schemas is NULL");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_attach(scene->fleet, NULL, &db, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_attach(scene->fleet, "t_new", NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_drop_tenant(scene->fleet, NULL, 0, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fleet_drift(NULL, &(pgdbm_drift_options){0}, &report, &err));
    assert_int_equal(pgdbm_fleet_create_tenant(scene->fleet, NULL, NULL), PGDBM_ERR_ARGUMENT);
    pgdbm_drift_report_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(created_tenant_is_complete_and_current),
        TEST(created_tenant_has_the_fingerprint_of_a_migrated_one),
        TEST(failing_last_file_leaves_no_schema_and_is_named),
        TEST(what_cannot_run_in_a_transaction_is_refused_before_anything_runs),
        TEST(existing_schema_is_refused_and_left_alone),
        TEST(many_are_created_and_those_that_are_there_passed_over),
        TEST(two_processes_create_the_same_tenant_once),
        TEST(eight_threads_attach_and_the_tenant_is_migrated_once),
        TEST(second_attach_asks_nothing),
        TEST(unknown_and_quarantined_tenants_are_not_attached),
        TEST(drop_takes_schema_and_row),
        TEST(drop_of_a_busy_tenant_gives_up_in_time_and_says_who_holds_it),
        TEST(null_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
