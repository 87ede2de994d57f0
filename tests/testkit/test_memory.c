/* SPDX-License-Identifier: MIT */
/* Every allocation fails once while a database is made, used and dropped: the call says out of memory or succeeds, nothing
 * leaks, and no database is left. */
#include "support/allocator.h"
#include "testkit/people.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT(text) (text), sizeof(text) - 1

static const pgdbm_migration_text texts[] = {{"001_things.sql", TEXT("CREATE TABLE {{tables.things}} (id int)")}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};

typedef pgdbm_status (*scenario)(pgdbm_error *err);

/* Fails the first allocation, the one `step` later, and so on, until the scenario needs no more. */
static void sweep(scenario run, long step)
{
    pgdbm_error err = {0};
    assert_ok(run(&err)); /* makes what stays: the janitor, the template */
    long before = allocator_live();
    long which = 1 - step;
    bool reached;
    do {
        err = (pgdbm_error){0};
        allocator_arm(which += step, false);
        pgdbm_status status = run(&err);
        reached = allocator_disarm();
        allocator_expect(which, status, &err);
        if (allocator_live() != before)
            fail_msg("allocation %ld: %ld allocations were not given back", which, allocator_live() - before);
    } while (reached);
    assert_true(which > 3);
}

static pgdbm_status make_and_drop(pgdbm_error *err)
{
    pgdbm_testdb *testdb = NULL;
    const pgdbm_testdb_options options = {
        .server_url = test_server_url(), .migrations = &migrations, .schema = "memory"};
    pgdbm_status status = pgdbm_testdb_create(&options, &testdb, err);
    assert_true((testdb != NULL) == (status == PGDBM_OK));
    pgdbm_testdb_drop(testdb);
    return status;
}

/* Another content each time, and so another template. */
static pgdbm_status make_template(pgdbm_error *err)
{
    static char text[64];
    static int number;
    const pgdbm_migration_text changing = {"001_nothing.sql", text,
                                           (size_t)snprintf(text, sizeof text, "SELECT %d", ++number)};
    const pgdbm_migrations its = {.texts = &changing, .n_texts = 1};
    pgdbm_testdb *testdb = NULL;
    const pgdbm_testdb_options options = {.server_url = test_server_url(), .migrations = &its, .schema = "changing"};
    pgdbm_status status = pgdbm_testdb_create(&options, &testdb, err);
    assert_true((testdb != NULL) == (status == PGDBM_OK));
    pgdbm_testdb_drop(testdb);
    return status;
}

static pgdbm_status sweep_server(pgdbm_error *err)
{
    pgdbm_sweep_report *report = NULL;
    pgdbm_status status = pgdbm_testdb_sweep(test_server_url(), NULL, &report, err);
    assert_true((report != NULL) == (status == PGDBM_OK));
    pgdbm_sweep_report_free(report);
    return status;
}

static pgdbm_testdb *isolated_on;

static pgdbm_status isolate(pgdbm_error *err)
{
    pgdbm_db *db = NULL, *tx = NULL;
    pgdbm_status status = pgdbm_testdb_isolated(isolated_on, &db, err);
    assert_true((db != NULL) == (status == PGDBM_OK));
    if (status == PGDBM_OK)
        status = pgdbm_begin(db, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(tx, "INSERT INTO {{tables.things}} VALUES (1)", pgdbm_no_args, NULL, err);
    pgdbm_close(tx);
    pgdbm_testdb_isolated_end(isolated_on, db);
    return status;
}

static void making_and_dropping_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    sweep(make_and_drop, 1);
    assert_int_equal(databases_like(names_of(getpid())), 0);
}

static void making_a_template_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    sweep(make_template, 7); /* each takes long, and migrations have a sweep of their own */
    assert_int_equal(databases_like(names_of(getpid())), 0);
}

static void sweeping_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    sweep(sweep_server, 1);
}

static void isolating_survives_any_allocation_that_fails(void **state)
{
    (void)state;
    pgdbm_error err;
    int64_t things = -1;
    const pgdbm_testdb_options options = {
        .server_url = test_server_url(), .migrations = &migrations, .schema = "memory"};
    assert_ok(pgdbm_testdb_create(&options, &isolated_on, &err));
    sweep(isolate, 1);
    assert_ok(pgdbm_fetch_value_int64(pgdbm_testdb_manager(isolated_on), "SELECT count(*) FROM {{tables.things}}",
                                      pgdbm_no_args, &things, &err));
    assert_int_equal(things, 0);
    pgdbm_testdb_drop(isolated_on);
}

int main(void)
{
    if (!allocator_begin())
        return EXIT_FAILURE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(making_and_dropping_survives_any_allocation_that_fails),
        cmocka_unit_test(making_a_template_survives_any_allocation_that_fails),
        cmocka_unit_test(sweeping_survives_any_allocation_that_fails),
        cmocka_unit_test(isolating_survives_any_allocation_that_fails),
    };
    return cmocka_run_group_tests_name("testkit_memory", tests, NULL, NULL);
}
