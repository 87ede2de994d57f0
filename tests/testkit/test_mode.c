/* SPDX-License-Identifier: MIT */
/* Places for dual-mode libraries: a good library passes in each, and each mistake is found and named. */
#include "support/server.h"

#include <stdio.h>
#include <string.h>

#define TEXT(text) (text), sizeof(text) - 1

static const pgdbm_migration_text texts[] = {
    {"001_notes.sql", TEXT("CREATE TABLE {{tables.notes}} (id bigserial PRIMARY KEY, mood text);"
                           "CREATE VIEW {{tables.all_notes}} AS SELECT id FROM {{tables.notes}}")}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};
static const pgdbm_module MODULE = {.name = "notebook", .migrations = &migrations};

static const pgdbm_migration_text host_texts[] = {
    {"001_notes.sql", TEXT("CREATE TABLE {{tables.orders}} (id int); CREATE TABLE public.shared (id int)")}};
static const pgdbm_migrations host_migrations = {.texts = host_texts, .n_texts = 1};

/* A place, and the library in it, open. */
struct visit {
    pgdbm_testmode *place;
    pgdbm_db *library;
};

static struct visit enter(pgdbm_testmode_kind kind)
{
    pgdbm_error err;
    struct visit visit = {0};
    const pgdbm_testdb_options host = {.migrations = &host_migrations, .server_url = test_server_url()};
    assert_ok(pgdbm_testmode_enter(kind, &host, &visit.place, &err));
    assert_ok(pgdbm_module_open(&MODULE, pgdbm_testmode_source(visit.place), &visit.library, &err));
    return visit;
}

static void run(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    assert_ok(pgdbm_execute(db, sql, pgdbm_no_args, NULL, &err));
}

static void expect_complaint(pgdbm_testmode *place, const char *message, const char *hint)
{
    pgdbm_error err = {0};
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_testmode_leave(place, &err));
    assert_contains(err.message, message);
    assert_contains(err.hint, hint);
}

static void a_good_library_passes_in_every_mode(void **state)
{
    (void)state;
    pgdbm_error err;
    for (int kind = 0; kind < PGDBM_TESTMODES; kind++) {
        struct visit visit = enter((pgdbm_testmode_kind)kind);
        pgdbm_db *look = NULL;
        int64_t count = 0;
        run(visit.library, "INSERT INTO {{tables.notes}} (mood) VALUES ('good')");
        assert_ok(pgdbm_testmode_look(visit.place, &look, &err));
        assert_string_equal(pgdbm_schema(look), pgdbm_schema(visit.library));
        assert_ok(
            pgdbm_fetch_value_int64(look, "SELECT count(*) FROM {{tables.all_notes}}", pgdbm_no_args, &count, &err));
        assert_int_equal(count, 1);
        pgdbm_close(look);
        pgdbm_close(visit.library);
        assert_ok(pgdbm_testmode_leave(visit.place, &err));
    }
}

static void modes_differ_in_what_the_library_is_given(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testmode *place = NULL;
    assert_ok(pgdbm_testmode_enter(PGDBM_TESTMODE_STANDALONE, NULL, &place, &err));
    assert_non_null(pgdbm_testmode_source(place)->connection_string);
    assert_ok(pgdbm_testmode_leave(place, &err));
    assert_ok(pgdbm_testmode_enter(PGDBM_TESTMODE_ATTACHED, NULL, &place, &err));
    assert_non_null(pgdbm_testmode_source(place)->db);
    assert_null(pgdbm_testmode_source(place)->schema);
    assert_ok(pgdbm_testmode_leave(place, &err));
    assert_ok(pgdbm_testmode_enter(PGDBM_TESTMODE_POOL, &(pgdbm_testdb_options){.schema = "shop"}, &place, &err));
    assert_non_null(pgdbm_testmode_source(place)->pool);
    assert_string_not_equal(pgdbm_testmode_source(place)->schema, "shop");
    assert_ok(pgdbm_testmode_leave(place, &err));
}

static void a_table_beside_the_schema_is_found(void **state)
{
    (void)state;
    for (int kind = 0; kind < PGDBM_TESTMODES; kind++) {
        struct visit visit = enter((pgdbm_testmode_kind)kind);
        run(visit.library, "CREATE TABLE public.stray (id int)");
        pgdbm_close(visit.library);
        expect_complaint(visit.place, "made table public.stray, outside of its schema", "{{tables.stray}}");
    }
}

static void a_function_and_a_type_beside_the_schema_are_found(void **state)
{
    (void)state;
    struct visit visit = enter(PGDBM_TESTMODE_ATTACHED);
    run(visit.library, "CREATE FUNCTION public.stray() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    run(visit.library, "CREATE TYPE public.strange AS ENUM ('a')");
    pgdbm_close(visit.library);
    expect_complaint(visit.place, "made function public.stray, outside of its schema", "{{tables.stray}}");
}

static void closing_what_was_lent_is_found(void **state)
{
    (void)state;
    struct visit visit = enter(PGDBM_TESTMODE_ATTACHED);
    pgdbm_close(visit.library);
    pgdbm_close(pgdbm_testmode_source(visit.place)->db);
    expect_complaint(visit.place, "closed the manager that the host had lent", "pgdbm_source.db");
}

static void closing_the_hosts_pool_is_found(void **state)
{
    (void)state;
    struct visit visit = enter(PGDBM_TESTMODE_ATTACHED);
    pgdbm_pool_close(pgdbm_pool_of(visit.library));
    pgdbm_close(visit.library);
    expect_complaint(visit.place, "closed the pool of its host", "pgdbm_close what pgdbm_module_open gave");
}

static void a_manager_left_open_is_found(void **state)
{
    (void)state;
    struct visit visit = enter(PGDBM_TESTMODE_POOL);
    expect_complaint(visit.place, "left 1 manager of the host's pool open", "pgdbm_close every manager");
    pgdbm_close(visit.library);
}

static void a_transaction_left_open_is_found(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    struct visit visit = enter(PGDBM_TESTMODE_ATTACHED);
    assert_ok(pgdbm_begin(visit.library, NULL, &tx, &err));
    pgdbm_close(visit.library);
    expect_complaint(visit.place, "are still lent out", "end every transaction");
    pgdbm_close(tx);
}

static void a_pool_left_open_is_found(void **state)
{
    (void)state;
    struct visit visit = enter(PGDBM_TESTMODE_STANDALONE);
    expect_complaint(visit.place, "of its own", "every pool that the library opened");
    pgdbm_close(visit.library);
}

static void a_pool_beside_the_hosts_is_found(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_db *own = NULL;
    struct visit visit = enter(PGDBM_TESTMODE_ATTACHED);
    char url[512];
    pgdbm_result *result = NULL;
    const char *name = NULL;
    assert_ok(pgdbm_fetch_one(visit.library, "SELECT current_database()::text AS name", pgdbm_no_args, &result, &err));
    assert_ok(pgdbm_get_text(result, 0, "name", &name, &err));
    snprintf(url, sizeof url, "postgresql://postgres@/%s?host=%s", name,
             pgdbm_testserver_socket_directory(test_server()));
    pgdbm_result_free(result);
    assert_ok(pgdbm_open(&(pgdbm_config){.connection_string = url, .on_duplicate_pool = PGDBM_ALLOW}, &own, &err));
    pgdbm_close(visit.library);
    expect_complaint(visit.place, "still connected", "use its pool");
    pgdbm_close(own);
}

static void arguments_are_checked(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testmode *place = NULL;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testmode_enter(PGDBM_TESTMODE_ATTACHED, NULL, NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testmode_enter((pgdbm_testmode_kind)7, NULL, &place, &err));
    assert_null(place);
    assert_null(pgdbm_testmode_name((pgdbm_testmode_kind)-1));
    assert_string_equal(pgdbm_testmode_name(PGDBM_TESTMODE_POOL), "pool");
    assert_ok(pgdbm_testmode_leave(NULL, &err));
    const pgdbm_testdb_options wrong = {.schema =
                                            "a_name_that_is_longer_than_what_postgresql_allows_for_names_of_things"};
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_testmode_enter(PGDBM_TESTMODE_ATTACHED, &wrong, &place, &err));
    assert_null(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_library_passes_in_every_mode),
        cmocka_unit_test(modes_differ_in_what_the_library_is_given),
        cmocka_unit_test(a_table_beside_the_schema_is_found),
        cmocka_unit_test(a_function_and_a_type_beside_the_schema_are_found),
        cmocka_unit_test(closing_what_was_lent_is_found),
        cmocka_unit_test(closing_the_hosts_pool_is_found),
        cmocka_unit_test(a_manager_left_open_is_found),
        cmocka_unit_test(a_transaction_left_open_is_found),
        cmocka_unit_test(a_pool_left_open_is_found),
        cmocka_unit_test(a_pool_beside_the_hosts_is_found),
        cmocka_unit_test(arguments_are_checked),
    };
    return cmocka_run_group_tests_name("testkit_mode", tests, NULL, NULL);
}
