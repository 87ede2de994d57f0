/* SPDX-License-Identifier: MIT */
/* The service with a pool of its own, and on one of somebody else's. */
#include "service.h"

#include <pgdbm/adapters/cmocka.h>

/* The group's database, with the migrations applied. Each test is a transaction that is rolled back. */
PGDBM_CMOCKA_GROUP(notes, .migrations = &example_migrations, .schema = "example")

static void a_note_is_kept(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(example_add_note(db, "milk", &id, &err), &err);
    pgdbm_assert_rows(db, "SELECT text FROM {{tables.notes}}",
                      "text\n"
                      "milk\n");
}

static void an_empty_note_is_refused(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_status(PGDBM_ERR_QUERY, example_add_note(db, "", &id, &err), &err);
    pgdbm_assert_count(db, "notes", 0);
}

/* A database with nothing in it, for tests that open managers themselves. */
PGDBM_CMOCKA_GROUP(empty, .without_manager = true)

/* Standalone, as the program does it. The second start finds the first one's tables. */
static void the_service_opens_a_pool_of_its_own(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    for (int start = 1; start <= 2; start++) {
        pgdbm_db *db = NULL;
        pgdbm_assert_ok(example_open(pgdbm_cmocka_url(state), &db, &err), &err);
        pgdbm_assert_ok(example_add_note(db, "milk", &id, &err), &err);
        pgdbm_assert_count(db, "notes", start);
        pgdbm_close(db);
    }
}

/* Attached: two schemas on one pool know nothing of each other. */
static void the_service_works_on_a_pool_that_it_is_given(void **state)
{
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    pgdbm_db *db = NULL;
    pgdbm_db *other = NULL;
    int64_t id = 0;
    const pgdbm_config config = {.connection_string = pgdbm_cmocka_url(state), .max_connections = 2};
    pgdbm_assert_ok(pgdbm_pool_open(&config, &pool, &err), &err);
    pgdbm_assert_ok(pgdbm_attach(pool, "first_schema", &db, &err), &err);
    pgdbm_assert_ok(pgdbm_attach(pool, "second_schema", &other, &err), &err);
    pgdbm_assert_ok(example_migrate(db, &err), &err);
    pgdbm_assert_ok(example_migrate(other, &err), &err);
    pgdbm_assert_ok(example_add_note(db, "milk", &id, &err), &err);
    pgdbm_assert_count(db, "notes", 1);
    pgdbm_assert_count(other, "notes", 0);
    pgdbm_close(other);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pgdbm_cmocka_test(notes, a_note_is_kept),
        pgdbm_cmocka_test(notes, an_empty_note_is_refused),
        pgdbm_cmocka_test_alone(empty, the_service_opens_a_pool_of_its_own),
        pgdbm_cmocka_test_alone(empty, the_service_works_on_a_pool_that_it_is_given),
    };
    return cmocka_run_group_tests(tests, notes_group_setup, notes_group_teardown);
}
