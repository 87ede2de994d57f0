/* SPDX-License-Identifier: MIT */
/* A cancel request that nobody answers: the relay serves the pool's one session, so that whoever else comes is connected and
 * never heard. Deadlines hold all the same, and what is said of the statement is true. */
#include "async/play.h"
#include "migrate/relay.h"

#include <stdio.h>

/* Generous; without an end of its own the wait would be one for ever. */
#define LIMIT_MS 30000

#define SLEEP "SELECT pg_sleep(60)"

static struct relay relay;
static char url[512];

static struct stage *open_relayed(void **state, pgdbm_config config)
{
    struct play *played = &play;
    relay = (struct relay){0};
    relay_start(&relay, pgdbm_testserver_socket_directory(test_server()));
    const char *whole = played->stage->url;
    snprintf(url, sizeof url, "%.*s?host=%s", (int)strcspn(whole, "?"), whole, relay.directory);
    config.connection_string = url;
    config.max_connections = 1;
    return play_open(state, config);
}

static void close_relayed(struct stage *stage)
{
    stage_close(stage);
    relay_stop(&relay);
}

static void a_blocking_call_comes_back_when_its_cancel_request_gets_no_answer(void **state)
{
    struct stage *stage = open_relayed(state, (pgdbm_config){.command_timeout_ms = 300});
    pgdbm_error err;
    int64_t since = stage_clock_ms();
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute(stage->db, SLEEP, pgdbm_no_args, NULL, &err));
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    assert_contains(err.message, "did not answer the cancel request");
    assert_string_equal(err.statement, SLEEP);
    /* The old session is not used again: the late cancel request would hit somebody else's statement. */
    assert_int_equal(stage_number(stage->db, "SELECT 1::int8"), 1);
    assert_int_equal(stage_stats(stage).connections_closed, 1);
    close_relayed(stage);
}

static void an_asynchronous_request_is_told_when_its_cancel_request_gets_no_answer(void **state)
{
    struct stage *stage = open_relayed(state, (pgdbm_config){.command_timeout_ms = 300});
    int64_t since = stage_clock_ms();
    play_fails(play_submit(stage->db, SLEEP), PGDBM_ERR_TIMEOUT, PGDBM_OUTCOME_UNKNOWN);
    assert_true(stage_clock_ms() - since < LIMIT_MS);
    play_number(stage->db, "SELECT 1::int8", 1);
    close_relayed(stage);
}

static void a_pool_closes_when_its_cancel_requests_get_no_answer(void **state)
{
    struct stage *stage = open_relayed(state, (pgdbm_config){.drain_timeout_ms = 100});
    struct answer *answer = play_submit(stage->db, SLEEP);
    int64_t since = stage_clock_ms();
    close_relayed(stage);
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
