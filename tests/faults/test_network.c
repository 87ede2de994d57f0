/* SPDX-License-Identifier: MIT */
/* A network that fails between the pool and a real server: what is known of the outcome, what is done again, and that the
 * pool comes back without being told. Nothing here waits for a time to pass. */
#include "db/crew.h"

#include <pgdbm/batch.h>
#include <stdio.h>

/* Generous: what takes so long hangs. */
#define LIMIT_MS 30000

#define TO_SERVER PGDBM_TESTPROXY_TO_SERVER
#define TO_CLIENT PGDBM_TESTPROXY_TO_CLIENT
#define BOTH PGDBM_TESTPROXY_BOTH

struct network {
    struct stage *stage;
    pgdbm_testproxy *proxy;
    pgdbm_db *witness; /* by another way */
    pgdbm_pool *witness_pool;
};

static struct network network;
static pgdbm_error err;

/* A pool by way of the proxy, on TCP, of one session unless the configuration says otherwise. */
static struct stage *open_network(void **state, pgdbm_config config)
{
    struct stage *stage = network.stage;
    *state = stage;
    pgdbm_config direct = stage_config(stage, (pgdbm_config){.max_connections = 2});
    assert_ok(pgdbm_pool_open(&direct, &network.witness_pool, &err));
    assert_ok(pgdbm_attach(network.witness_pool, NULL, &network.witness, &err));
    stage_run(network.witness, "CREATE TABLE t (i int)");
    config.connection_string = pgdbm_testproxy_url(network.proxy);
    config.max_connections = config.max_connections > 0 ? config.max_connections : 1;
    config.retry_delay_ms = 5;
    config.retry_max_delay_ms = 50;
    stage_open(stage, config);
    return stage;
}

static int setup(void **state)
{
    int failed = stage_setup(state);
    network = (struct network){.stage = *state};
    if (failed == 0)
        assert_ok(
            pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = network.stage->url}, &network.proxy, &err));
    return failed;
}

static int teardown(void **state)
{
    if (network.proxy != NULL)
        (void)pgdbm_testproxy_heal(network.proxy, NULL);
    stage_close(network.stage);
    pgdbm_close(network.witness);
    pgdbm_pool_close(network.witness_pool);
    pgdbm_testproxy_stop(network.proxy);
    return stage_teardown(state);
}

static void end_all(pgdbm_testproxy_end end)
{
    assert_ok(pgdbm_testproxy_end_all(network.proxy, end, &err));
}

static void cut(pgdbm_testproxy_way way, uint64_t bytes, pgdbm_testproxy_end end)
{
    assert_ok(pgdbm_testproxy_cut(network.proxy, way, bytes, end, &err));
}

/* ---- between statements ---- */

/* Until so many sessions have been idle for a while, as is said of them: a session between two statements is another matter. */
static void await_rest(struct stage *stage, size_t sessions)
{
    STAGE_UNTIL(stage, stats.idle == sessions);
    for (int64_t since = stage_clock_ms(); stage_clock_ms() - since < 20;)
        usleep(1000);
}

static void sessions_that_end_while_idle_are_replaced_and_nobody_hears_of_it(void **state)
{
    static const pgdbm_testproxy_end ends[] = {PGDBM_TESTPROXY_RESET, PGDBM_TESTPROXY_CLOSE,
                                               PGDBM_TESTPROXY_CLOSE_CLIENT, PGDBM_TESTPROXY_SHUT_CLIENT};
    struct stage *stage = open_network(state, (pgdbm_config){.min_connections = 3, .max_connections = 3});
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        await_rest(stage, 3);
        end_all(ends[i]);
        for (int j = 0; j < 6; j++)
            stage_expect_number(stage->db, "SELECT 7::int8", 7);
    }
    assert_true(pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_CONNECTIONS) > 3);
}

static void a_transaction_begins_anew_when_its_session_ended_while_idle(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    await_rest(stage, 1);
    end_all(PGDBM_TESTPROXY_RESET);
    pgdbm_db *tx = NULL;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(network.witness, "SELECT count(*) FROM t", 1);
}

/* ---- within a transaction ---- */

static pgdbm_db *begin_with_a_row(struct stage *stage)
{
    pgdbm_db *tx = NULL;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    return tx;
}

static void a_commit_whose_answer_is_lost_has_an_unknown_outcome(void **state)
{
    static const pgdbm_testproxy_end ends[] = {PGDBM_TESTPROXY_RESET, PGDBM_TESTPROXY_CLOSE,
                                               PGDBM_TESTPROXY_CLOSE_CLIENT};
    struct stage *stage = open_network(state, (pgdbm_config){0});
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        pgdbm_db *tx = begin_with_a_row(stage);
        cut(TO_CLIENT, 0, ends[i]);
        assert_fails(PGDBM_ERR_CONNECTION, pgdbm_commit(tx, &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
        assert_true(err.hint[0] != '\0');
        /* The answer was cut when it came, so it had been done. */
        stage_expect_number(network.witness, "SELECT count(*) FROM t", (int64_t)i + 1);
        stage_expect_number(stage->db, "SELECT count(*) FROM t", (int64_t)i + 1);
    }
}

static void a_commit_that_is_lost_on_its_way_has_an_unknown_outcome(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    pgdbm_db *tx = begin_with_a_row(stage);
    cut(TO_SERVER, 0, PGDBM_TESTPROXY_RESET);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_commit(tx, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void a_transaction_that_loses_its_network_is_not_done_and_says_so(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    pgdbm_db *tx = begin_with_a_row(stage);
    end_all(PGDBM_TESTPROXY_RESET);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_execute(tx, "INSERT INTO t VALUES (2)", pgdbm_no_args, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_true(err.retryable);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_commit(tx, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    tx = begin_with_a_row(stage);
    end_all(PGDBM_TESTPROXY_RESET);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_commit(tx, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

/* ---- within a statement ---- */

static void a_write_whose_answer_is_lost_has_an_unknown_outcome_and_is_not_done_again(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    stage_run(stage->db, "INSERT INTO t VALUES (1)");
    cut(TO_CLIENT, 0, PGDBM_TESTPROXY_RESET);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_execute(stage->db, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 2);
}

#define MANY_ROWS "SELECT repeat('x', 100) FROM generate_series(1, 10000)"

static void a_result_that_is_cut_in_the_middle_is_an_error_and_not_a_shorter_result(void **state)
{
    static const uint64_t places[] = {1, 5, 40, 1000, 20001, 70000};
    struct stage *stage = open_network(state, (pgdbm_config){0});
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        pgdbm_result *rows = NULL;
        assert_ok(pgdbm_fetch_all(stage->db, MANY_ROWS, pgdbm_no_args, &rows, &err)); /* prepared now */
        assert_int_equal(pgdbm_result_rows(rows), 10000);
        pgdbm_result_free(rows);
        cut(TO_CLIENT, places[i], i % 2 == 0 ? PGDBM_TESTPROXY_CLOSE : PGDBM_TESTPROXY_RESET);
        assert_fails(PGDBM_ERR_CONNECTION, pgdbm_fetch_all(stage->db, MANY_ROWS, pgdbm_no_args, &rows, &err));
        assert_null(rows);
        assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
        assert_true(err.statement[0] != '\0');
    }
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

struct reader {
    struct stage *stage;
    pgdbm_status status;
    pgdbm_error err;
};

#define SLEEP "SELECT pg_sleep($1)"

static void fetch_slowly(struct crew_hand *hand)
{
    struct reader *reader = hand->shared;
    pgdbm_result *rows = NULL;
    reader->status = pgdbm_fetch_all(reader->stage->db, SLEEP, pgdbm_args(60.0), &rows, &reader->err);
    pgdbm_result_free(rows);
}

/* The server is gone and has said nothing: only the limit of the call ends it, and the grace after its cancel request. */
static void a_half_open_session_costs_one_time_out_and_is_replaced(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    stage_run(stage->db, "INSERT INTO t VALUES (1)"); /* prepared now */
    end_all(PGDBM_TESTPROXY_CLOSE_SERVER);
    int64_t since = stage_clock_ms();
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = 150},
                                                       "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void a_statement_in_flight_hears_of_a_reset_at_once(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){0});
    struct reader reader = {.stage = stage};
    static struct crew crew;
    assert_ok(pgdbm_execute(stage->db, SLEEP, pgdbm_args(0.0), NULL, &err)); /* prepared now */
    uint64_t trips = pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_ROUND_TRIPS);
    crew_start(&crew, fetch_slowly, &reader);
    pgdbm_status sent = pgdbm_testproxy_await(network.proxy, PGDBM_TESTPROXY_ROUND_TRIPS, trips + 1, LIMIT_MS, &err);
    (void)pgdbm_testproxy_end_all(network.proxy, PGDBM_TESTPROXY_RESET, NULL);
    crew_join(&crew);
    assert_ok(sent);
    assert_int_equal(reader.status, PGDBM_ERR_CONNECTION);
    assert_int_equal(reader.err.outcome, PGDBM_OUTCOME_UNKNOWN);
    stage_expect_number(stage->db, "SELECT 1::int8", 1);
}

/* ---- away and back ---- */

static void a_pool_whose_server_refuses_comes_back_with_it(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){.acquire_timeout_ms = 100});
    assert_ok(pgdbm_testproxy_refuse(network.proxy, &err));
    end_all(PGDBM_TESTPROXY_CLOSE);
    int64_t since = stage_clock_ms();
    for (int i = 0; i < 2; i++) {
        pgdbm_status status = pgdbm_execute(stage->db, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, &err);
        if (status != PGDBM_ERR_POOL && status != PGDBM_ERR_CONNECTION)
            fail_msg("%s: %s", pgdbm_status_name(status), err.message);
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
        assert_contains(err.message, "refused");
    }
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    uint64_t connections = pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_CONNECTIONS);
    assert_ok(pgdbm_testproxy_accept(network.proxy, &err));
    assert_ok(pgdbm_testproxy_await_connections(network.proxy, connections + 1, LIMIT_MS, &err)); /* by itself */
    STAGE_UNTIL(stage, stats.idle == 1);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void callers_wait_out_a_short_refusal(void **state)
{
    struct stage *stage = open_network(state, (pgdbm_config){.acquire_timeout_ms = LIMIT_MS});
    assert_ok(pgdbm_testproxy_refuse(network.proxy, &err));
    end_all(PGDBM_TESTPROXY_RESET);
    STAGE_UNTIL(stage, stats.connections_failed > 0);
    assert_ok(pgdbm_testproxy_accept(network.proxy, &err));
    stage_expect_number(stage->db, "SELECT 1::int8", 1);
}

/* ---- slow ---- */

static void a_batch_is_one_round_trip_on_a_slow_network(void **state)
{
    enum { STATEMENTS = 20 };
    struct stage *stage = open_network(state, (pgdbm_config){0});
    pgdbm_batch *batch = NULL;
    assert_ok(pgdbm_batch_new(stage->db, NULL, &batch, &err));
    for (int i = 0; i < STATEMENTS; i++)
        assert_ok(pgdbm_batch_add(batch, "INSERT INTO t VALUES ($1) RETURNING i", pgdbm_args(i), &err));
    stage_run(stage->db, "INSERT INTO t VALUES (100)");
    assert_ok(pgdbm_testproxy_delay(network.proxy, BOTH, 50, &err));
    uint64_t trips = pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_ROUND_TRIPS);
    assert_ok(pgdbm_batch_run(batch, &err));
    assert_in_range(pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_ROUND_TRIPS) - trips, 1, 2);
    for (size_t i = 0; i < STATEMENTS; i++) {
        int64_t number = -1;
        assert_ok(pgdbm_get_int64(pgdbm_batch_result(batch, i), 0, 0, &number, &err));
        assert_int_equal(number, i);
    }
    pgdbm_batch_free(batch);
    stage_expect_number(network.witness, "SELECT count(*) FROM t", STATEMENTS + 1);
}

static void insert_own_number(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    int64_t wanted = (int64_t)hand->number;
    int64_t came = -1;
    pgdbm_error mine;
    if (crew_wants(hand, PGDBM_OK,
                   pgdbm_fetch_value(stage->db, "INSERT INTO t VALUES ($1) RETURNING i::int8", pgdbm_args(wanted),
                                     &came, &mine),
                   &mine))
        crew_holds(hand, came == wanted, "%lld came, not %lld", (long long)came, (long long)wanted);
}

static int64_t count_rows(void)
{
    int64_t rows = -1;
    assert_ok(pgdbm_fetch_value(network.witness, "SELECT count(*) FROM t", pgdbm_no_args, &rows, &err));
    return rows;
}

/* No answer passes until the server has done what all of them asked for: so nobody waited for another's. The slower the
 * network, the more may be in flight; and the first call is one by itself, as it asks for the statement's types. */
static void callers_of_one_slow_session_share_it_and_each_gets_its_own_answer(void **state)
{
    enum { CALLERS = 16 };
    struct crew crew = {0};
    struct crew_hand first = {0};
    assert_ok(pgdbm_testproxy_delay(network.proxy, BOTH, 100, &err));
    first.shared = open_network(state, (pgdbm_config){0});
    insert_own_number(&first);
    assert_string_equal(first.complaint, "");
    uint64_t trips = pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_ROUND_TRIPS);
    assert_ok(pgdbm_testproxy_hold(network.proxy, TO_CLIENT, &err));
    for (int i = 0; i < CALLERS; i++)
        crew_start(&crew, insert_own_number, first.shared);
    int64_t rows;
    for (int64_t since = stage_clock_ms(); (rows = count_rows()) < 1 + CALLERS && stage_clock_ms() - since < LIMIT_MS;)
        usleep(1000);
    assert_ok(pgdbm_testproxy_resume(network.proxy, TO_CLIENT, &err));
    crew_join(&crew);
    assert_int_equal(rows, 1 + CALLERS);
    assert_int_equal(pgdbm_testproxy_count(network.proxy, PGDBM_TESTPROXY_ROUND_TRIPS) - trips, 1);
}

static void answers_in_small_pieces_are_put_together(void **state)
{
    char wanted[778] = "";
    struct stage *stage = open_network(state, (pgdbm_config){0});
    stage_expect_number(stage->db, "SELECT 1::int8", 1);
    assert_ok(pgdbm_testproxy_throttle(network.proxy, BOTH, 5000, &err)); /* pieces of 100 bytes */
    stage_expect_number(stage->db, "SELECT sum(length(x)) FROM (SELECT repeat('x', 300) AS x) s", 300);
    memset(wanted, 'y', sizeof wanted - 1);
    stage_expect_text(stage->db, "SELECT repeat('y', 777)", wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BEHIND(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        BEHIND(sessions_that_end_while_idle_are_replaced_and_nobody_hears_of_it),
        BEHIND(a_transaction_begins_anew_when_its_session_ended_while_idle),
        BEHIND(a_commit_whose_answer_is_lost_has_an_unknown_outcome),
        BEHIND(a_commit_that_is_lost_on_its_way_has_an_unknown_outcome),
        BEHIND(a_transaction_that_loses_its_network_is_not_done_and_says_so),
        BEHIND(a_write_whose_answer_is_lost_has_an_unknown_outcome_and_is_not_done_again),
        BEHIND(a_result_that_is_cut_in_the_middle_is_an_error_and_not_a_shorter_result),
        BEHIND(a_half_open_session_costs_one_time_out_and_is_replaced),
        BEHIND(a_statement_in_flight_hears_of_a_reset_at_once),
        BEHIND(a_pool_whose_server_refuses_comes_back_with_it),
        BEHIND(callers_wait_out_a_short_refusal),
        BEHIND(a_batch_is_one_round_trip_on_a_slow_network),
        BEHIND(callers_of_one_slow_session_share_it_and_each_gets_its_own_answer),
        BEHIND(answers_in_small_pieces_are_put_together),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
