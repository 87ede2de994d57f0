/* SPDX-License-Identifier: MIT */
/* Connections that are lost at every byte of an exchange: what is said of the outcome is compared with what the server has. And
 * servers that keep a connection and never finish: calls come to an end. */
#include "async/play.h"

/* Generous; without an end of its own the wait would be one for ever. */
#define LIMIT_MS 30000

#define INSERT "INSERT INTO ledger VALUES ($1)"

static pgdbm_testproxy *proxy;

/* A pool whose sessions go by way of the proxy. */
static struct stage *open_network(void **state, pgdbm_config config)
{
    struct stage *stage = *state;
    pgdbm_error err;
    test_psql(stage->url, "CREATE TABLE ledger (id int8)");
    assert_ok(pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = stage->url}, &proxy, &err));
    config.connection_string = pgdbm_testproxy_url(proxy);
    config.min_connections = config.max_connections = config.max_connections > 0 ? config.max_connections : 1;
    config.retry_delay_ms = 1;
    config.retry_max_delay_ms = 10;
    return play_open(state, config);
}

static int setup(void **state)
{
    proxy = NULL;
    return play_setup_background(state);
}

static int teardown(void **state)
{
    stage_close(*state);
    pgdbm_testproxy_stop(proxy);
    return play_teardown(state);
}

static void cut(pgdbm_testproxy_way way, uint64_t bytes, pgdbm_testproxy_end end)
{
    pgdbm_error err;
    assert_ok(pgdbm_testproxy_cut(proxy, way, bytes, end, &err));
}

static void heal(void)
{
    pgdbm_error err;
    assert_ok(pgdbm_testproxy_heal(proxy, &err));
}

/* ---- at every byte ---- */

/* One INSERT whose connection is lost at this place of the exchange. True when the exchange was over before. */
static bool lose(struct stage *stage, pgdbm_testproxy_way way, int64_t bytes)
{
    pgdbm_error err = {0};
    STAGE_UNTIL(stage, stats.idle == 1 && stats.connections_opened == (uint64_t)bytes + 1);
    cut(way, (uint64_t)bytes, bytes % 2 == 0 ? PGDBM_TESTPROXY_RESET : PGDBM_TESTPROXY_CLOSE);
    pgdbm_status status = pgdbm_execute(stage->db, INSERT, pgdbm_args(bytes), NULL, &err);
    if (status == PGDBM_OK)
        return true;
    assert_fails(PGDBM_ERR_CONNECTION, status);
    assert_string_equal(pgdbm_outcome_name(err.outcome), "unknown");
    assert_string_equal(err.statement, INSERT);
    return false;
}

/* How many bytes the exchange has in that direction: at each of them a connection was lost. */
static int64_t lose_all(struct stage *stage, pgdbm_testproxy_way way)
{
    pgdbm_error err;
    int64_t bytes = 0;
    /* What the statement is the pool knows from here on; so what is lost is the statement itself. */
    assert_ok(pgdbm_execute(stage->db, INSERT, pgdbm_args(-1), NULL, &err));
    while (!lose(stage, way, bytes))
        bytes++;
    heal();
    assert_in_range(bytes, 20, 500);
    return bytes;
}

static void a_connection_lost_at_any_byte_of_an_answer_leaves_the_outcome_unknown(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    int64_t bytes = lose_all(stage, PGDBM_TESTPROXY_TO_CLIENT);
    /* Each of them was done, and none twice. */
    stage_expect_number(stage->db, "SELECT count(*) FROM ledger", bytes + 2);
    stage_expect_number(stage->db, "SELECT count(DISTINCT id) FROM ledger", bytes + 2);
}

static void a_connection_lost_at_any_byte_of_a_request_leaves_the_outcome_unknown(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    int64_t bytes = lose_all(stage, PGDBM_TESTPROXY_TO_SERVER);
    /* None of them was done but the last one, which arrived. */
    stage_expect_number(stage->db, "SELECT count(*) FROM ledger", 2);
    stage_expect_number(stage->db, "SELECT max(id) FROM ledger", bytes);
}

/* ---- silent ---- */

static void a_transaction_in_a_black_hole_can_be_left(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    pgdbm_error err;
    pgdbm_db *transaction = NULL;
    assert_ok(pgdbm_begin(stage->db, NULL, &transaction, &err));
    assert_ok(pgdbm_execute(transaction, INSERT, pgdbm_args(1), NULL, &err));
    assert_ok(pgdbm_testproxy_blackhole(proxy, PGDBM_TESTPROXY_HOLE_ALL, &err));
    int64_t since = stage_clock_ms();
    assert_fails(PGDBM_ERR_TIMEOUT,
                 pgdbm_execute_with(transaction, &(pgdbm_call){.timeout_ms = 300}, INSERT, pgdbm_args(2), NULL, &err));
    (void)pgdbm_rollback(transaction, NULL);
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    heal();
    stage_expect_number(stage->db, "SELECT count(*) FROM ledger", 0);
}

/* Each byte is an answer of a kind, but the whole is not there in time. */
static void a_server_that_trickles_its_greeting_is_given_up_in_time(void **state)
{
    struct stage *stage = *state;
    const pgdbm_testfake_step trickle[] = {PGDBM_FAKE_SLOW_WRITES(1, 100), PGDBM_FAKE_GREETING};
    pgdbm_testfake *fake = NULL;
    pgdbm_pool *pool = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testfake_start(&(pgdbm_testfake_options){PGDBM_FAKE_STEPS(trickle)}, &fake, &err));
    const pgdbm_config config = stage_config(
        stage,
        (pgdbm_config){.connection_string = pgdbm_testfake_url(fake), .connect_timeout_ms = 300, .fail_fast = true});
    int64_t since = stage_clock_ms();
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    pgdbm_testfake_stop(fake, NULL);
    assert_fails(PGDBM_ERR_CONNECTION, status);
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    assert_contains(err.message, "connect_timeout_ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define NETWORK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        NETWORK(a_connection_lost_at_any_byte_of_an_answer_leaves_the_outcome_unknown),
        NETWORK(a_connection_lost_at_any_byte_of_a_request_leaves_the_outcome_unknown),
        NETWORK(a_transaction_in_a_black_hole_can_be_left),
        NETWORK(a_server_that_trickles_its_greeting_is_given_up_in_time),
    };
    return cmocka_run_group_tests_name("lost", tests, NULL, NULL);
}
