/* SPDX-License-Identifier: MIT */
/* Snapshots: what counts as a change, and how it is shown. */
#include "db/stage.h"

#include <pgdbm/testkit.h>

static int set_up(void **state)
{
    stage_setup(state);
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .schema = "app"});
    stage_run(stage->db, "CREATE SCHEMA app");
    stage_run(stage->db, "CREATE TABLE {{tables.users}} (email text, age int, id int PRIMARY KEY)");
    stage_run(stage->db,
              "INSERT INTO {{tables.users}} VALUES ('alice', 30, 1), ('bob', 31, 2), ('carl', 32, 3), ('dora', "
              "NULL, 10)");
    return 0;
}

static pgdbm_snapshot *take(pgdbm_db *db, const char *sql_or_table)
{
    pgdbm_snapshot *snapshot = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_snapshot_take(db, sql_or_table, &snapshot, &err));
    assert_ok(pgdbm_snapshot_check(snapshot, &err));
    return snapshot;
}

static pgdbm_error differs(pgdbm_snapshot *snapshot)
{
    pgdbm_error err;
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_snapshot_check(snapshot, &err));
    return err;
}

static void rows_that_only_moved_are_unchanged(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_snapshot *snapshot = take(stage->db, "users");
    stage_run(stage->db, "UPDATE {{tables.users}} SET age = age WHERE id < 3");
    stage_run(stage->db, "DELETE FROM {{tables.users}} WHERE id = 1");
    stage_run(stage->db, "INSERT INTO {{tables.users}} VALUES ('alice', 30, 1)");
    assert_ok(pgdbm_snapshot_check(snapshot, &err));
    pgdbm_snapshot_free(snapshot);
}

static void changes_are_shown_by_primary_key(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_snapshot *snapshot = take(stage->db, "users");
    stage_run(stage->db, "UPDATE {{tables.users}} SET age = 40, email = NULL WHERE id = 2");
    stage_run(stage->db, "UPDATE {{tables.users}} SET age = 5 WHERE id = 10");
    stage_run(stage->db, "DELETE FROM {{tables.users}} WHERE id = 3");
    stage_run(stage->db, "INSERT INTO {{tables.users}} VALUES ('eve', NULL, 4)");
    err = differs(snapshot);
    assert_string_equal(err.message, "\"users\" has changed since the snapshot: 2 changed, 1 added, 1 removed");
    assert_string_equal(err.detail, "~ id 2: email bob -> NULL, age 31 -> 40\n"
                                    "- id 3: email carl, age 32\n"
                                    "+ id 4: email eve, age NULL\n"
                                    "~ id 10: age NULL -> 5");
    /* The snapshot is what it was. */
    stage_run(stage->db, "TRUNCATE {{tables.users}}");
    err = differs(snapshot);
    assert_contains(err.message, "0 changed, 0 added, 4 removed");
    stage_run(stage->db,
              "INSERT INTO {{tables.users}} VALUES ('alice', 30, 1), ('bob', 31, 2), ('carl', 32, 3), ('dora', "
              "NULL, 10)");
    assert_ok(pgdbm_snapshot_check(snapshot, &err));
    pgdbm_snapshot_free(snapshot);
}

static void keys_of_several_columns_are_shown_in_their_order(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TABLE {{tables.places}} (x int, v text, y text, PRIMARY KEY (y, x))");
    stage_run(stage->db, "INSERT INTO {{tables.places}} VALUES (1, 'a', 'n'), (2, 'a', 'n')");
    pgdbm_snapshot *snapshot = take(stage->db, "app.places");
    stage_run(stage->db, "UPDATE {{tables.places}} SET v = 'b' WHERE x = 2");
    assert_string_equal(differs(snapshot).detail, "~ y n, x 2: v a -> b");
    pgdbm_snapshot_free(snapshot);
}

static void without_a_key_rows_are_compared_as_a_whole(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TABLE {{tables.log}} (line text)");
    stage_run(stage->db, "INSERT INTO {{tables.log}} VALUES ('a'), ('b'), ('b')");
    pgdbm_snapshot *snapshot = take(stage->db, "log");
    stage_run(stage->db, "DELETE FROM {{tables.log}} WHERE ctid = (SELECT max(ctid) FROM {{tables.log}})");
    stage_run(stage->db, "INSERT INTO {{tables.log}} VALUES ('c')");
    pgdbm_error err = differs(snapshot);
    assert_string_equal(err.message, "\"log\" has other rows since the snapshot: 1 added, 1 removed");
    assert_string_equal(err.detail, "  line\n- b\n+ c");
    pgdbm_snapshot_free(snapshot);
    snapshot = take(stage->db, "SELECT count(*) FROM {{tables.users}}");
    stage_run(stage->db, "DELETE FROM {{tables.users}}");
    err = differs(snapshot);
    assert_string_equal(err.message, "the query has other rows since the snapshot: 1 added, 1 removed");
    assert_string_equal(err.statement, "SELECT count(*) FROM {{tables.users}}");
    pgdbm_snapshot_free(snapshot);
}

static void many_changes_are_counted_and_a_few_shown(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "INSERT INTO {{tables.users}} SELECT 'user' || n, n, n FROM generate_series(100, 999) n");
    pgdbm_snapshot *snapshot = take(stage->db, "users");
    stage_run(stage->db, "UPDATE {{tables.users}} SET age = 1, email = repeat(email, 5) WHERE id >= 100");
    pgdbm_error err = differs(snapshot);
    assert_contains(err.message, "900 changed");
    assert_contains(err.detail, "~ id 100: email user100 -> user100user100user100user100user100, age 100 -> 1\n");
    assert_contains(err.detail, "\n\xE2\x80\xA6 and 89");
    assert_contains(err.detail, " more");
    pgdbm_snapshot_free(snapshot);
}

static void other_columns_are_told_apart_from_other_rows(void **state)
{
    struct stage *stage = *state;
    pgdbm_snapshot *snapshot = take(stage->db, "users");
    stage_run(stage->db, "ALTER TABLE {{tables.users}} ADD COLUMN more int");
    assert_string_equal(differs(snapshot).message, "\"users\" has other columns than when the snapshot was taken");
    pgdbm_snapshot_free(snapshot);
}

static void null_and_missing_tables_are_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_snapshot *snapshot = NULL;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_snapshot_take(stage->db, "nowhere", &snapshot, &err));
    assert_null(snapshot);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_snapshot_take(NULL, "users", &snapshot, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_snapshot_take(stage->db, NULL, &snapshot, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_snapshot_take(stage->db, "users", NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_snapshot_check(NULL, &err));
    pgdbm_snapshot_free(NULL);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(rows_that_only_moved_are_unchanged),
        STAGED(changes_are_shown_by_primary_key),
        STAGED(keys_of_several_columns_are_shown_in_their_order),
        STAGED(without_a_key_rows_are_compared_as_a_whole),
        STAGED(many_changes_are_counted_and_a_few_shown),
        STAGED(other_columns_are_told_apart_from_other_rows),
        STAGED(null_and_missing_tables_are_refused),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
