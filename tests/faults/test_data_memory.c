/* SPDX-License-Identifier: MIT */
/* Every allocation fails once while test data is loaded, compared and captured. */
#include "faults/sweep.h"

#include <pgdbm/memory.h>
#include <pgdbm/testkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[TEST_PATH_BYTES];

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

/* What fails as the test wants it is a success. */
static pgdbm_status expect(pgdbm_status wanted, pgdbm_status status, pgdbm_error *err)
{
    if (status == PGDBM_OK)
        fail_msg("%s expected", pgdbm_status_name(wanted));
    if (status != wanted)
        return status;
    *err = (pgdbm_error){0};
    return PGDBM_OK;
}

/* In a transaction that is rolled back, so that each time has the same to do. */
static pgdbm_status run_fixtures(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char path[128];
    pgdbm_db *tx = NULL;
    (void)stage;
    pgdbm_status status = pgdbm_begin(db, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_fixture_load(tx, folder, err);
    snprintf(path, sizeof path, "%s/bad.json.txt", folder);
    if (status == PGDBM_OK)
        status = expect(PGDBM_ERR_TESTDB, pgdbm_fixture_load(tx, path, err), err);
    pgdbm_close(tx);
    return status;
}

static void loading_fixtures(void **state)
{
    write_file("1_tables.sql", "CREATE TABLE {{tables.users}} (id serial, email text NOT NULL, tags text[]);\n");
    write_file("2_users.json",
               "{\"users\": [{\"id\": 1, \"email\": \"a\", \"tags\": [\"x\", \"y\"]}, {\"email\": \"\\u00e4\"}]}");
    write_file("bad.json.txt", "");
    sweep(state, run_fixtures, true);
    remove_file("1_tables.sql");
    remove_file("2_users.json");
    remove_file("bad.json.txt");
}

static pgdbm_status run_refused(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    (void)stage;
    return expect(PGDBM_ERR_QUERY, pgdbm_fixture_load(db, folder, err), err);
}

static void loading_fixtures_with_a_row_that_is_refused(void **state)
{
    write_file("1_tables.sql", "CREATE TABLE {{tables.users}} (id serial, email text NOT NULL, n int);\n");
    write_file("2_users.json", "{\"users\": [{\"email\": \"a\"}, {\"email\": \"b\", \"n\": \"x\"}]}");
    sweep(state, run_refused, true);
    remove_file("1_tables.sql");
    remove_file("2_users.json");
}

static pgdbm_status run_stray(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    (void)stage;
    return expect(PGDBM_ERR_TESTDB, pgdbm_fixture_load(db, folder, err), err);
}

static void loading_fixtures_of_a_table_that_is_not_there(void **state)
{
    write_file("1_tables.sql", "CREATE TABLE {{tables.users}} (id int);\n");
    write_file("2_users.json", "{\"usres\": [{\"id\": 1}]}");
    sweep(state, run_stray, true);
    remove_file("1_tables.sql");
    remove_file("2_users.json");
}

static pgdbm_status run_rows(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    static const char sql[] = "SELECT n, n::text::bytea AS b FROM pg_catalog.generate_series(1, 3) n";
    int64_t count = 0;
    char *text = NULL;
    (void)stage;
    pgdbm_status status = pgdbm_rows_check(db, sql, "n | b\n3 | \\x33\n1 | \\x31\n2 | '\\x32'\n", err);
    if (status == PGDBM_OK)
        status = expect(PGDBM_ERR_TESTDB, pgdbm_rows_check(db, sql, "n\n1\n2\n4\n", err), err);
    if (status == PGDBM_OK)
        status = pgdbm_rows_text(db, sql, &text, err);
    if (status == PGDBM_OK)
        status = pgdbm_rows_count(db, sql, &count, err);
    if (status == PGDBM_OK)
        status = expect(PGDBM_ERR_TESTDB, pgdbm_rows_check_count(db, sql, 4, err), err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(db, "CREATE TABLE IF NOT EXISTS {{tables.t}} (n int)", pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_rows_truncate(db, "t, app.t", err);
    pgdbm_free(text);
    return status;
}

static void comparing_rows(void **state)
{
    sweep(state, run_rows, true);
}

static pgdbm_status run_snapshots(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_snapshot *keyed = NULL, *whole = NULL;
    (void)stage;
    pgdbm_status status =
        pgdbm_execute_simple(db,
                             "DROP TABLE IF EXISTS app.kept; CREATE TABLE app.kept (n int PRIMARY KEY, "
                             "s text); INSERT INTO app.kept VALUES (1, 'a'), (2, 'b')",
                             err);
    if (status == PGDBM_OK)
        status = pgdbm_snapshot_take(db, "kept", &keyed, err);
    if (status == PGDBM_OK)
        status = pgdbm_snapshot_take(db, "SELECT s FROM {{tables.kept}}", &whole, err);
    if (status == PGDBM_OK)
        status = pgdbm_snapshot_check(keyed, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(db, "UPDATE {{tables.kept}} SET s = 'c' WHERE n = 2", pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = expect(PGDBM_ERR_TESTDB, pgdbm_snapshot_check(keyed, err), err);
    if (status == PGDBM_OK)
        status = expect(PGDBM_ERR_TESTDB, pgdbm_snapshot_check(whole, err), err);
    pgdbm_snapshot_free(keyed);
    pgdbm_snapshot_free(whole);
    return status;
}

static void snapshots(void **state)
{
    sweep(state, run_snapshots, true);
}

static pgdbm_status run_captures(struct stage *stage, pgdbm_db *db, pgdbm_error *err)
{
    char sql[64];
    pgdbm_capture *capture = NULL;
    (void)stage;
    pgdbm_status status = pgdbm_capture_begin(db, &capture, err);
    for (int i = 0; status == PGDBM_OK && i < 3; i++)
        status = pgdbm_execute(db, sweep_fresh(sql, sizeof sql, "SELECT 1"), pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK)
        status = expect(PGDBM_ERR_TESTDB, pgdbm_capture_check_at_most(capture, 1, err), err);
    pgdbm_capture_end(capture);
    return status;
}

static void captures(void **state)
{
    sweep(state, run_captures, true);
}

int main(void)
{
    const char *base = getenv("PGDBM_TEST_DIRECTORY"); /* no test runs yet that test_directory_make could fail */
    snprintf(folder, sizeof folder, "%s/pgdbm-data-XXXXXX", base != NULL ? base : "/tmp");
    if (!allocator_begin() || mkdtemp(folder) == NULL)
        return 1;
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
    const struct CMUnitTest tests[] = {
        STAGED(loading_fixtures),
        STAGED(loading_fixtures_with_a_row_that_is_refused),
        STAGED(loading_fixtures_of_a_table_that_is_not_there),
        STAGED(comparing_rows),
        STAGED(snapshots),
        STAGED(captures),
    };
    int failures = cmocka_run_group_tests_name("memory of test data", tests, NULL, NULL);
    if (failures == 0 && rmdir(folder) != 0)
        return 1;
    return failures;
}
