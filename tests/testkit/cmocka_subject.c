/* SPDX-License-Identifier: MIT */
/* What the tests of the cmocka adapter look at: a program of tests, of which some fail. Its argument says which run. */
#include <pgdbm/adapters/cmocka.h>
#include <pgdbm/pgdbm.h>
#include <stdio.h>
#include <string.h>

static const char sql[] = "CREATE TABLE {{tables.things}} (id int PRIMARY KEY, name text)";
static const pgdbm_migration_text texts[] = {{"001_things.sql", sql, sizeof sql - 1}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
static const pgdbm_module MODULE = {.name = "things", .migrations = &migrations};
static const pgdbm_migration_text bad_texts[] = {{"001_bad.sql", "CREATE NONSENSE", 15}};
static const pgdbm_migrations bad_migrations = {.texts = bad_texts, .n_texts = 1};

PGDBM_CMOCKA_GROUP(things, .migrations = &migrations, .schema = "things")
PGDBM_CMOCKA_GROUP(bad, .migrations = &bad_migrations, .schema = "bad")
PGDBM_CMOCKA_GROUP(empty, 0)

static void add(pgdbm_db *db, int id)
{
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    pgdbm_assert_ok(pgdbm_begin(db, NULL, &tx, &err), &err);
    pgdbm_assert_ok(pgdbm_execute(tx, "INSERT INTO {{tables.things}} VALUES ($1, 'thing')", pgdbm_args(id), NULL, &err),
                    &err);
    pgdbm_assert_ok(pgdbm_commit(tx, &err), &err);
}

/* Twice: only a rollback lets both pass. */
static void one_thing_is_added(void **state)
{
    add(pgdbm_cmocka_db(state), 1);
    pgdbm_assert_count(pgdbm_cmocka_db(state), "things", 1);
    pgdbm_assert_rows(pgdbm_cmocka_db(state), "things", "id | name\n1 | thing\n");
}

static void a_database_of_its_own_is_seen_by_other_sessions(void **state)
{
    pgdbm_error err;
    pgdbm_db *other = NULL;
    add(pgdbm_cmocka_db(state), 1);
    const pgdbm_config config = {
        .connection_string = pgdbm_cmocka_url(state), .schema = "things", .on_duplicate_pool = PGDBM_ALLOW};
    pgdbm_assert_ok(pgdbm_open(&config, &other, &err), &err);
    pgdbm_assert_count(other, "things", 1);
    pgdbm_close(other);
}

static void the_module_works(void **state)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    pgdbm_db *look = NULL;
    pgdbm_assert_ok(pgdbm_module_open(&MODULE, pgdbm_cmocka_source(state), &db, &err), &err);
    add(db, 1);
    pgdbm_close(db);
    pgdbm_assert_ok(pgdbm_testmode_look(pgdbm_cmocka_place(state), &look, &err), &err);
    pgdbm_assert_count(look, "things", 1);
    pgdbm_close(look);
}

static void the_module_leaves_a_table_in_public(void **state)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    pgdbm_assert_ok(pgdbm_module_open(&MODULE, pgdbm_cmocka_source(state), &db, &err), &err);
    pgdbm_assert_ok(pgdbm_execute(db, "CREATE TABLE public.stray (id int)", pgdbm_no_args, NULL, &err), &err);
    pgdbm_close(db);
}

static void a_call_that_fails_is_shown(void **state)
{
    pgdbm_error err;
    pgdbm_assert_ok(pgdbm_execute(pgdbm_cmocka_db(state), "SELECT nonsense", pgdbm_no_args, NULL, &err), &err);
}

static void a_call_that_does_not_fail_is_shown(void **state)
{
    pgdbm_error err;
    pgdbm_assert_status(PGDBM_ERR_QUERY, pgdbm_execute(pgdbm_cmocka_db(state), "SELECT 1", pgdbm_no_args, NULL, &err),
                        &err);
}

static void rows_that_differ_are_shown(void **state)
{
    add(pgdbm_cmocka_db(state), 7);
    pgdbm_assert_rows(pgdbm_cmocka_db(state), "things", "id | name\n8 | thing\n");
}

static void a_table_that_changed_is_shown(void **state)
{
    pgdbm_error err;
    pgdbm_snapshot *snapshot = NULL;
    pgdbm_assert_ok(pgdbm_snapshot_take(pgdbm_cmocka_db(state), "things", &snapshot, &err), &err);
    add(pgdbm_cmocka_db(state), 5);
    pgdbm_status status = pgdbm_snapshot_check(snapshot, &err);
    pgdbm_snapshot_free(snapshot);
    pgdbm_assert_ok(status, &err);
}

static void a_group_without_a_setup(void **state)
{
    (void)state;
}

#define RUN(group, ...)                                                                                                \
    do {                                                                                                               \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                               \
        return cmocka_run_group_tests(tests, group##_group_setup, group##_group_teardown);                             \
    } while (0)

int main(int argc, char **argv)
{
    const char *which = argc > 1 ? argv[1] : "good";
    if (strcmp(which, "good") == 0)
        RUN(things, pgdbm_cmocka_test(things, one_thing_is_added), pgdbm_cmocka_test(things, one_thing_is_added),
            pgdbm_cmocka_test_alone(things, a_database_of_its_own_is_seen_by_other_sessions),
            pgdbm_cmocka_test_modes(empty, the_module_works));
    if (strcmp(which, "stray") == 0)
        RUN(things, pgdbm_cmocka_test_modes(empty, the_module_leaves_a_table_in_public));
    if (strcmp(which, "wrong") == 0)
        RUN(things, pgdbm_cmocka_test(things, a_call_that_fails_is_shown),
            pgdbm_cmocka_test(things, a_call_that_does_not_fail_is_shown),
            pgdbm_cmocka_test(things, rows_that_differ_are_shown),
            pgdbm_cmocka_test(things, a_table_that_changed_is_shown));
    if (strcmp(which, "bad") == 0)
        RUN(bad, pgdbm_cmocka_test(bad, one_thing_is_added));
    if (strcmp(which, "bad-alone") == 0)
        RUN(things, pgdbm_cmocka_test_alone(bad, one_thing_is_added));
    const struct CMUnitTest tests[] = {pgdbm_cmocka_test(things, a_group_without_a_setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
