/* SPDX-License-Identifier: MIT */
/* Looking without touching: the start of a program that has nothing to do, dry runs, status, verify, check, history. */
#include "migrate/scene.h"

#include "support/server.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_file(struct scene *scene, const char *name)
{
    folder_write(&scene->folder, name, "SELECT 1;");
}

/* ---- nothing to do ---- */

static void start_with_nothing_to_do_takes_two_round_trips_at_most(void **state)
{
    struct scene *scene = *state;
    pgdbm_testproxy *proxy = NULL;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    folder_write(&scene->folder, "002_b.sql",
                 "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);");
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{tables.v}} AS SELECT 1 AS one;");
    scene_must_migrate(scene, scene->db, 3);
    assert_int_equal(pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = scene->url, .unix_socket = true},
                                           &proxy, &scene->err),
                     PGDBM_OK);
    char *direct = scene->url;
    scene->url = (char *)pgdbm_testproxy_url(proxy);
    pgdbm_pool *pool = scene_pool(scene, 1, NULL); /* new: nothing is prepared in it */
    scene->url = direct;
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    uint64_t before = pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_ROUND_TRIPS);
    pgdbm_status status = scene_migrate(scene, db);
    uint64_t trips = pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_ROUND_TRIPS) - before;
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pgdbm_testproxy_stop(proxy);
    assert_int_equal(status, PGDBM_OK);
    assert_int_equal(scene->report->n_migrations, 3);
    assert_in_range(trips, 1, 2);
}

/* Somebody else's transaction has written its row and is not done: a start that wanted more than to read would wait for it. */
static void start_with_nothing_to_do_waits_for_nobody(void **state)
{
    struct scene *scene = *state;
    write_file(scene, "001_a.sql");
    scene_must_migrate(scene, scene->db, 1);
    pgdbm_db *other = NULL;
    assert_int_equal(pgdbm_begin(scene->witness, NULL, &other, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_execute_simple(other,
                                          "INSERT INTO app.schema_migrations (filename, checksum, module_name)"
                                          " VALUES ('001_x.sql', 'x', 'orders');"
                                          "SELECT pg_advisory_xact_lock(hashtext('pgdbm_migration_users'))",
                                          &scene->err),
                     PGDBM_OK);
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.statement_timeout_ms = 20000, .lock_timeout_ms = 1});
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pgdbm_close(other);
    if (status != PGDBM_OK)
        fail_msg("%s", scene->err.message);
}

/* ---- dry run ---- */

/* Sends text as psql would, statement by statement on one connection. */
static void run_as_psql(struct scene *scene, const char *sql)
{
    PGconn *connection = PQconnectdb(scene->url);
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

/* What it shows can be run by hand; afterwards the database is as if the library had run it. */
static void dry_run_shows_what_can_be_run_by_hand(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "-- pgdbm:lock-timeout 5s\nCREATE TABLE {{tables.a}} (note text DEFAULT 'it''s; \\n'); -- the first\n"
                 "INSERT INTO {{tables.a}} SELECT 'x' -- no semicolon");
    folder_write(&scene->folder, "002_b.sql",
                 "CREATE FUNCTION {{schema}}.two() RETURNS int LANGUAGE sql AS $$SELECT 2;$$;");
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{tables.v}} AS SELECT 1 AS one;");
    scene->options.dry_run = true;
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->n_applied, 3);
    assert_int_equal(scene->report->n_pending, 3);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
    const char *first = scene_migration(scene, "001_a.sql")->sql;
    assert_contains(first, "CREATE SCHEMA \"app\"");
    assert_contains(first, "BEGIN;\n");
    assert_contains(first, "SET LOCAL lock_timeout = 5000;");
    assert_contains(first, "\"app\".\"a\"");
    assert_contains(first, "COMMIT;\n");
    for (size_t i = 0; i < 3; i++)
        run_as_psql(scene, scene->report->migrations[i].sql);
    scene->options.dry_run = false;
    scene_must_migrate(scene, scene->db, 0);
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_OK);
    scene_expect_text(scene, "SELECT note FROM app.a", "x");
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{tables.v}} AS SELECT 1 AS one, 2 AS two;");
    scene->options.dry_run = true;
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->n_applied, 1);
    run_as_psql(scene, scene_migration(scene, "R__view.sql")->sql);
    scene->options.dry_run = false;
    scene_must_migrate(scene, scene->db, 0);
}

static void dry_run_and_looks_need_a_reader_only(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    scene_must_migrate(scene, scene->db, 1);
    folder_write(&scene->folder, "002_b.sql",
                 "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);");
    const char *reader = test_name("reader");
    scene_run(scene, test_format("CREATE ROLE %s; GRANT USAGE ON SCHEMA app TO %s;"
                                 "GRANT SELECT ON app.schema_migrations TO %s",
                                 reader, reader, reader));
    const char *const init[] = {test_format("SET ROLE %s", reader), "SET default_transaction_read_only = on"};
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.init_commands = init, .n_init_commands = 2});
    pgdbm_db *db = NULL;
    pgdbm_migration_skew skew = PGDBM_SKEW_EQUAL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_status(scene, db);
    scene->options.dry_run = true;
    if (status == PGDBM_OK)
        status = scene_migrate(scene, db);
    size_t would = scene->report != NULL ? scene->report->n_applied : 0;
    pgdbm_status verified = scene_verify(scene, db);
    pgdbm_status checked = pgdbm_migrate_check(db, &scene->options, "1", NULL, &skew, &scene->err);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", reader, reader));
    if (status != PGDBM_OK)
        fail_msg("%s", scene->err.message);
    assert_int_equal(would, 1);
    assert_int_equal(verified, PGDBM_ERR_MIGRATION);
    assert_int_equal(checked, PGDBM_OK);
    assert_int_equal(skew, PGDBM_SKEW_BEHIND);
}

/* ---- verify, check, history ---- */

static void verify_names_the_first_difference_and_counts_the_others(void **state)
{
    struct scene *scene = *state;
    write_file(scene, "001_a.sql");
    write_file(scene, "002_b.sql");
    scene_must_migrate(scene, scene->db, 2);
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_OK);
    folder_write(&scene->folder, "002_b.sql", "SELECT 1; -- the same");
    write_file(scene, "003_c.sql");
    write_file(scene, "004_d.sql");
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_b.sql is reformatted, and 2 more differ");
    assert_int_equal(scene->report->n_pending, 2);
}

static void verify_finds_invalid_indexes(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.a}} (id int); CREATE INDEX bad ON {{tables.a}} (id);");
    scene_must_migrate(scene, scene->db, 1);
    scene_run(scene, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'app.bad'::regclass");
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "an index that is invalid: app.bad");
    write_file(scene, "002_b.sql");
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_b.sql is pending");
    scene_expect_error(scene, "1 invalid index, the first is app.bad");
}

static pgdbm_migration_skew check(struct scene *scene, const char *minimum, const char *maximum, pgdbm_status expected)
{
    pgdbm_migration_skew skew = (pgdbm_migration_skew)-1;
    scene->err = (pgdbm_error){0};
    pgdbm_status status = pgdbm_migrate_check(scene->db, &scene->options, minimum, maximum, &skew, &scene->err);
    if (status != expected)
        fail_msg("expected %s, came %s: %s", pgdbm_status_name(expected), pgdbm_status_name(status),
                 scene->err.message);
    return skew;
}

static void check_says_which_way_a_program_and_a_database_are_apart(void **state)
{
    struct scene *scene = *state;
    write_file(scene, "001_a.sql");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_ERR_MIGRATION), PGDBM_SKEW_BEHIND);
    scene_expect_error(scene, "module users needs 001, and it has nothing");
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
    write_file(scene, "002_b.sql");
    scene_must_migrate(scene, scene->db, 2);
    assert_int_equal(check(scene, NULL, NULL, PGDBM_OK), PGDBM_SKEW_EQUAL);
    assert_int_equal(check(scene, NULL, "1", PGDBM_ERR_MIGRATION), PGDBM_SKEW_EQUAL);
    scene_expect_error(scene, "is ahead: module users works up to 1, and it has 002");
    write_file(scene, "003_c.sql");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_ERR_MIGRATION), PGDBM_SKEW_BEHIND);
    assert_int_equal(check(scene, "02", "3", PGDBM_OK), PGDBM_SKEW_BEHIND);
    scene_must_migrate(scene, scene->db, 1);
    folder_delete(&scene->folder, "003_c.sql");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_OK), PGDBM_SKEW_AHEAD);
    folder_delete(&scene->folder, "001_a.sql");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_ERR_MIGRATION), PGDBM_SKEW_DIVERGED);
    scene_expect_error(scene, "has diverged from the files of module users: 001_a.sql is missing");
}

static void number_zero_is_one_that_is_applied_or_not(void **state)
{
    struct scene *scene = *state;
    write_file(scene, "000_init.sql");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_ERR_MIGRATION), PGDBM_SKEW_BEHIND);
    scene_must_migrate(scene, scene->db, 1);
    assert_string_equal(scene->report->head, "000");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_OK), PGDBM_SKEW_EQUAL);
}

static void check_names_what_diverged_and_not_what_is_harmless(void **state)
{
    struct scene *scene = *state;
    write_file(scene, "001_a.sql");
    write_file(scene, "002_b.sql");
    scene_must_migrate(scene, scene->db, 2);
    folder_write(&scene->folder, "001_a.sql", "-- a comment\nSELECT 1;");
    folder_delete(&scene->folder, "002_b.sql");
    write_file(scene, "003_c.sql");
    assert_int_equal(check(scene, NULL, NULL, PGDBM_ERR_MIGRATION), PGDBM_SKEW_DIVERGED);
    scene_expect_error(scene, "002_b.sql is missing");
}

/* A file that was begun: what is done is not shown again. */
static void dry_run_of_a_file_that_was_begun_shows_the_rest(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql",
                 "-- pgdbm:no-transaction\nSET search_path = app;\nINSERT INTO a VALUES (1);\nSELECT 1 / 0;");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene->options.dry_run = true;
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    const char *sql = scene_migration(scene, "001_a.sql")->sql;
    assert_contains(sql, "SET search_path = app;\nSELECT 1 / 0;\n");
    assert_contains(sql, "DELETE FROM \"app\".\"schema_migrations_progress\"");
}

static void check_is_one_query(void **state)
{
    struct scene *scene = *state;
    pgdbm_pool_stats before = {0};
    pgdbm_pool_stats after = {0};
    write_file(scene, "001_a.sql");
    scene_must_migrate(scene, scene->db, 1);
    pgdbm_pool_stats_read(scene->pool, &before, NULL);
    check(scene, NULL, NULL, PGDBM_OK);
    pgdbm_pool_stats_read(scene->pool, &after, NULL);
    assert_int_equal(after.statements - before.statements, 1);
}

static void history_is_told_in_the_order_of_its_rows(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = {.module = "users"}; /* it needs no files */
    assert_int_equal(pgdbm_migrate_history(scene->db, &options, &scene->report, &scene->err), PGDBM_OK);
    assert_int_equal(scene->report->n_migrations, 0);
    write_file(scene, "001_a.sql");
    folder_write(&scene->folder, "R__r.sql", "SELECT 1;");
    scene_must_migrate(scene, scene->db, 2);
    write_file(scene, "002_b.sql");
    folder_write(&scene->folder, "R__r.sql", "SELECT 2;");
    scene_must_migrate(scene, scene->db, 2);
    pgdbm_migration_report_free(scene->report);
    scene->report = NULL;
    assert_int_equal(pgdbm_migrate_history(scene->db, &options, &scene->report, &scene->err), PGDBM_OK);
    assert_int_equal(scene->report->n_migrations, 3);
    assert_string_equal(scene->report->migrations[0].filename, "001_a.sql");
    assert_string_equal(scene->report->migrations[1].filename, "002_b.sql");
    assert_string_equal(scene->report->migrations[2].filename, "R__r.sql");
    assert_true(scene->report->migrations[2].repeatable);
    assert_string_equal(scene->report->head, "002");
    assert_non_null(scene->report->migrations[0].applied_at);
}

static void looks_refuse_what_they_cannot_do(void **state)
{
    struct scene *scene = *state;
    write_file(scene, "001_a.sql");
    assert_int_equal(pgdbm_migrate_verify(scene->db, &scene->options, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_history(scene->db, &scene->options, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_check(NULL, &scene->options, NULL, NULL, NULL, NULL), PGDBM_ERR_ARGUMENT);
    scene->options.migrations = NULL;
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_check(scene->db, &scene->options, NULL, NULL, NULL, NULL), PGDBM_ERR_ARGUMENT);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(start_with_nothing_to_do_takes_two_round_trips_at_most),
        SCENE(start_with_nothing_to_do_waits_for_nobody),
        SCENE(dry_run_shows_what_can_be_run_by_hand),
        SCENE(dry_run_and_looks_need_a_reader_only),
        SCENE(verify_names_the_first_difference_and_counts_the_others),
        SCENE(verify_finds_invalid_indexes),
        SCENE(check_says_which_way_a_program_and_a_database_are_apart),
        SCENE(number_zero_is_one_that_is_applied_or_not),
        SCENE(check_names_what_diverged_and_not_what_is_harmless),
        SCENE(dry_run_of_a_file_that_was_begun_shows_the_rest),
        SCENE(check_is_one_query),
        SCENE(history_is_told_in_the_order_of_its_rows),
        SCENE(looks_refuse_what_they_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
