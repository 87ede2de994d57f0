/* SPDX-License-Identifier: MIT */
/* The service of orders alone. */
#include "orders.h"

#include <pgdbm/adapters/cmocka.h>

/* The group's database, with the migrations applied. Each test is a transaction that is rolled back. */
PGDBM_CMOCKA_GROUP(orders, .migrations = &orders_migrations, .schema = "orders")

static void orders_are_counted_by_user(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    int64_t orders = 0;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(orders_place(db, 1, "tea", &id, &err), &err);
    pgdbm_assert_ok(orders_place(db, 1, "milk", &id, &err), &err);
    pgdbm_assert_ok(orders_place(db, 2, "tea", &id, &err), &err);
    pgdbm_assert_ok(orders_count(db, 1, &orders, &err), &err);
    assert_int_equal(orders, 2);
}

static void an_order_needs_an_article(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    pgdbm_assert_status(PGDBM_ERR_QUERY, orders_place(pgdbm_cmocka_db(state), 1, "", &id, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pgdbm_cmocka_test(orders, orders_are_counted_by_user),
        pgdbm_cmocka_test(orders, an_order_needs_an_article),
    };
    return cmocka_run_group_tests(tests, orders_group_setup, orders_group_teardown);
}
