/* SPDX-License-Identifier: MIT */
/* The services attached to one pool, and one of them standalone. */
#include "orders.h"
#include "program.h"
#include "users.h"

#include <pgdbm/adapters/cmocka.h>

/* A database with nothing in it: the tests open pools and managers themselves. */
PGDBM_CMOCKA_GROUP(empty, .without_manager = true)

static void the_services_share_a_pool_that_they_are_given(void **state)
{
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    struct program program;
    int64_t user = 0;
    int64_t order = 0;
    const pgdbm_config config = {.connection_string = pgdbm_cmocka_url(state), .max_connections = 4};
    pgdbm_assert_ok(pgdbm_pool_open(&config, &pool, &err), &err);
    pgdbm_assert_ok(program_open(pool, &program, &err), &err);
    pgdbm_assert_ok(users_add(program.users, "ada@host.invalid", &user, &err), &err);
    pgdbm_assert_ok(orders_place(program.orders, user, "tea", &order, &err), &err);
    pgdbm_assert_count(program.users, "users", 1);
    pgdbm_assert_count(program.orders, "orders", 1);
    program_close(&program);
    pgdbm_pool_close(pool);
}

static void a_second_start_finds_what_the_first_one_made(void **state)
{
    pgdbm_error err;
    int64_t user = 0;
    for (int start = 1; start <= 2; start++) {
        pgdbm_pool *pool = NULL;
        struct program program;
        const pgdbm_config config = {.connection_string = pgdbm_cmocka_url(state), .max_connections = 4};
        pgdbm_assert_ok(pgdbm_pool_open(&config, &pool, &err), &err);
        pgdbm_assert_ok(program_open(pool, &program, &err), &err);
        pgdbm_assert_ok(users_add(program.users, "ada@host.invalid", &user, &err), &err);
        pgdbm_assert_count(program.users, "users", 1);
        program_close(&program);
        pgdbm_pool_close(pool);
    }
}

/* As it would be if the service moved into a process of its own. */
static void a_service_works_standalone(void **state)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    int64_t user = 0;
    const pgdbm_config config = {.connection_string = pgdbm_cmocka_url(state), .schema = "users", .max_connections = 2};
    const pgdbm_migrate_options migrate = {.module = "users", .migrations = &users_migrations};
    pgdbm_assert_ok(pgdbm_open(&config, &db, &err), &err);
    pgdbm_assert_ok(pgdbm_migrate(db, &migrate, NULL, &err), &err);
    pgdbm_assert_ok(users_add(db, "ada@host.invalid", &user, &err), &err);
    pgdbm_assert_count(db, "users", 1);
    pgdbm_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pgdbm_cmocka_test_alone(empty, the_services_share_a_pool_that_they_are_given),
        pgdbm_cmocka_test_alone(empty, a_second_start_finds_what_the_first_one_made),
        pgdbm_cmocka_test_alone(empty, a_service_works_standalone),
    };
    return cmocka_run_group_tests(tests, empty_group_setup, empty_group_teardown);
}
