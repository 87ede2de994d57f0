/* SPDX-License-Identifier: MIT */
/* A cancel request that nobody answers: the pool's session is served, and whoever else comes falls into a black hole. Deadlines
 * hold all the same, and what is said of the statement is true. */
#include "async/play.h"

/* Generous; without an end of its own the wait would be one for ever. */
#define LIMIT_MS 30000

/* Of the call that is to be late; others have the time they need. */
#define HASTY (&(pgdbm_call){.timeout_ms = 300})
#define SLEEP "SELECT pg_sleep(60)"

static pgdbm_testproxy *proxy;

static struct stage *open_served(void **state, pgdbm_config config)
{
    struct play *played = &play;
    pgdbm_error err;
    assert_ok(pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = played->stage->url, .unix_socket = true},
                                    &proxy, &err));
    config.connection_string = pgdbm_testproxy_url(proxy);
    config.max_connections = 1;
    config.retry_delay_ms = 1;
    struct stage *stage = play_open(state, config);
    assert_ok(pgdbm_testproxy_blackhole(proxy, PGDBM_TESTPROXY_HOLE_NEW, &err));
    return stage;
}

/* From now on the pool gets other sessions, and has one: the attempt that was in the hole fails, and the pool pauses before the
 * next, which may be longer than a statement has time. */
static void serve_all(struct stage *stage)
{
    pgdbm_error err;
    assert_true(pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_CANCEL_REQUESTS) > 0);
    assert_ok(pgdbm_testproxy_heal(proxy, &err));
    STAGE_UNTIL(stage, stats.idle == 1);
}

static void close_served(struct stage *stage)
{
    stage_close(stage);
    pgdbm_testproxy_stop(proxy);
}

static void a_blocking_call_comes_back_when_its_cancel_request_gets_no_answer(void **state)
{
    struct stage *stage = open_served(state, (pgdbm_config){0});
    pgdbm_error err;
    int64_t since = stage_clock_ms();
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_with(stage->db, HASTY, SLEEP, pgdbm_no_args, NULL, &err));
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    assert_contains(err.message, "did not answer the cancel request");
    assert_string_equal(err.statement, SLEEP);
    serve_all(stage);
    /* The old session is not used again: the late cancel request would hit somebody else's statement. */
    assert_int_equal(stage_number(stage->db, "SELECT 1::int8"), 1);
    assert_int_equal(stage_stats(stage).connections_closed, 1);
    close_served(stage);
}

static void an_asynchronous_request_is_told_when_its_cancel_request_gets_no_answer(void **state)
{
    struct stage *stage = open_served(state, (pgdbm_config){0});
    int64_t since = stage_clock_ms();
    struct answer *answer = play_answer();
    pgdbm_error err;
    assert_ok(pgdbm_submit_with(stage->db, HASTY, SLEEP, pgdbm_no_args, play_take, answer, NULL, &err));
    play_fails(answer, PGDBM_ERR_TIMEOUT, PGDBM_OUTCOME_UNKNOWN);
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    serve_all(stage);
    play_number(stage->db, "SELECT 1::int8", 1);
    close_served(stage);
}

static void a_pool_closes_when_its_cancel_requests_get_no_answer(void **state)
{
    struct stage *stage = open_served(state, (pgdbm_config){.drain_timeout_ms = 100});
    struct answer *answer = play_submit(stage->db, SLEEP);
    int64_t since = stage_clock_ms();
    close_served(stage);
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    assert_int_equal(answer->calls, 1);
    assert_int_not_equal(answer->status, PGDBM_OK);
    assert_int_equal(answer->error.outcome, PGDBM_OUTCOME_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BACKGROUND(a_blocking_call_comes_back_when_its_cancel_request_gets_no_answer),
        PLAY_BACKGROUND(an_asynchronous_request_is_told_when_its_cancel_request_gets_no_answer),
        PLAY_DISPATCHED(a_pool_closes_when_its_cancel_requests_get_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
