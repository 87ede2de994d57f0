/* SPDX-License-Identifier: MIT */
/* The service of users alone. */
#include "users.h"

#include <pgdbm/adapters/cmocka.h>

/* The group's database, with the migrations applied. Each test is a transaction that is rolled back. */
PGDBM_CMOCKA_GROUP(users, .migrations = &users_migrations, .schema = "users")

static void who_comes_back_keeps_the_number(void **state)
{
    pgdbm_error err;
    int64_t first = 0;
    int64_t again = 0;
    int64_t users = 0;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(users_add(db, "ada@host.invalid", &first, &err), &err);
    pgdbm_assert_ok(users_add(db, "ada@host.invalid", &again, &err), &err);
    assert_int_equal(again, first);
    pgdbm_assert_ok(users_count(db, &users, &err), &err);
    assert_int_equal(users, 1);
}

static void two_users_are_two(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(users_add(db, "ada@host.invalid", &id, &err), &err);
    pgdbm_assert_ok(users_add(db, "bob@host.invalid", &id, &err), &err);
    pgdbm_assert_rows(db, "SELECT email FROM {{tables.users}}",
                      "email\n"
                      "ada@host.invalid\n"
                      "bob@host.invalid\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pgdbm_cmocka_test(users, who_comes_back_keeps_the_number),
        pgdbm_cmocka_test(users, two_users_are_two),
    };
    return cmocka_run_group_tests(tests, users_group_setup, users_group_teardown);
}
