/* SPDX-License-Identifier: MIT */
/* The tea house's tests, with cmocka. TEA_FIXTURES is the folder of fixtures/. */
#include "tea.h"

#include <pgdbm/adapters/cmocka.h>

/* [group] */
PGDBM_CMOCKA_GROUP(tea, .migrations = &tea_migrations, .schema = "tea")
/* [/group] */

/* [isolated] */
static void a_sale_is_noted(void **state)
{
    pgdbm_error err;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(pgdbm_fixture_load(db, TEA_FIXTURES "/articles.json", &err), &err);
    pgdbm_assert_ok(tea_sell(db, "sencha", 3, &err), &err);
    pgdbm_assert_rows(db, "sales",
                      "article | cups\n"
                      "2       | 3   \n");
}

/* The sale of the test above was rolled back, although tea_sell had committed it. */
static void there_are_no_sales_at_first(void **state)
{
    pgdbm_assert_count(pgdbm_cmocka_db(state), "sales", 0);
}
/* [/isolated] */

/* [snapshot] */
static void what_is_out_of_stock_is_not_sold(void **state)
{
    pgdbm_error err;
    pgdbm_snapshot *sales = NULL;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(pgdbm_fixture_load(db, TEA_FIXTURES, &err), &err); /* a folder: articles.json, then sales.sql */
    pgdbm_assert_ok(pgdbm_snapshot_take(db, "sales", &sales, &err), &err);
    pgdbm_assert_status(PGDBM_ERR_QUERY, tea_sell(db, "sencha", 5, &err), &err);
    pgdbm_assert_unchanged(sales);
    pgdbm_snapshot_free(sales);
}
/* [/snapshot] */

/* [capture] */
static void takings_cost_one_statement_however_many_articles_there_are(void **state)
{
    pgdbm_error err;
    pgdbm_capture *capture = NULL;
    int64_t cents = 0;
    pgdbm_db *db = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(pgdbm_fixture_load(db, TEA_FIXTURES, &err), &err);
    pgdbm_assert_ok(pgdbm_capture_begin(db, &capture, &err), &err);
    pgdbm_assert_ok(tea_takings(db, &cents, &err), &err);
    pgdbm_assert_statements_at_most(capture, 1);
    pgdbm_capture_end(capture);
    assert_int_equal(cents, 2 * 250 + 300);
}
/* [/capture] */

/* [modes] */
static void the_house_sells_wherever_it_lives(void **state)
{
    pgdbm_error err;
    tea_house *house = NULL;
    pgdbm_assert_ok(tea_open(pgdbm_cmocka_source(state), &house, &err), &err);
    pgdbm_assert_ok(pgdbm_fixture_load(tea_manager(house), TEA_FIXTURES "/articles.json", &err), &err);
    pgdbm_assert_ok(tea_sell(tea_manager(house), "assam", 1, &err), &err);
    tea_close(house);
}

PGDBM_CMOCKA_GROUP(anywhere, 0)
/* [/modes] */

/* [network] */
static void a_sale_whose_commit_was_not_answered_is_unknown(void **state)
{
    pgdbm_error err;
    pgdbm_testproxy *proxy = NULL;
    tea_house *house = NULL;
    pgdbm_db *tx = NULL;
    const pgdbm_testproxy_options options = {.server_url = pgdbm_cmocka_url(state)};
    pgdbm_assert_ok(pgdbm_testproxy_start(&options, &proxy, &err), &err);
    const pgdbm_config one_session = {.min_connections = 1}; /* the answer of another one could be cut instead */
    const pgdbm_source source = {.connection_string = pgdbm_testproxy_url(proxy), .config = &one_session};
    pgdbm_assert_ok(tea_open(&source, &house, &err), &err);
    pgdbm_assert_ok(pgdbm_fixture_load(tea_manager(house), TEA_FIXTURES "/articles.json", &err), &err);
    pgdbm_assert_ok(pgdbm_begin(tea_manager(house), NULL, &tx, &err), &err);
    pgdbm_assert_ok(tea_sell(tx, "assam", 1, &err), &err);
    pgdbm_assert_ok(pgdbm_testproxy_cut(proxy, PGDBM_TESTPROXY_TO_CLIENT, 0, PGDBM_TESTPROXY_RESET, &err), &err);
    pgdbm_assert_status(PGDBM_ERR_CONNECTION, pgdbm_commit(tx, &err), &err);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    pgdbm_assert_count(tea_manager(house), "sales", 1); /* by another connection: it had been done */
    tea_close(house);
    pgdbm_testproxy_stop(proxy);
}
/* [/network] */

/* [main] */
int main(void)
{
    const struct CMUnitTest tests[] = {
        pgdbm_cmocka_test(tea, a_sale_is_noted),
        pgdbm_cmocka_test(tea, there_are_no_sales_at_first),
        pgdbm_cmocka_test(tea, what_is_out_of_stock_is_not_sold),
        pgdbm_cmocka_test(tea, takings_cost_one_statement_however_many_articles_there_are),
        pgdbm_cmocka_test_modes(anywhere, the_house_sells_wherever_it_lives),
        pgdbm_cmocka_test_alone(anywhere, a_sale_whose_commit_was_not_answered_is_unknown),
    };
    return cmocka_run_group_tests(tests, tea_group_setup, tea_group_teardown);
}
/* [/main] */
