/* SPDX-License-Identifier: MIT */
/* Futures: waiting, looking, being told, and letting go before the end. */
#include "async/play.h"

#include <pgdbm/future.h>
#include <poll.h>

#define MANY 300

static pgdbm_future *make(struct stage *stage)
{
    pgdbm_error err;
    pgdbm_future *future = NULL;
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    return future;
}

static pgdbm_future *start(struct stage *stage, const char *sql, int64_t number)
{
    pgdbm_error err;
    pgdbm_future *future = make(stage);
    assert_ok(pgdbm_submit(stage->db, sql, pgdbm_args(number), pgdbm_future_done, future, &err));
    return future;
}

static int64_t number_of(const pgdbm_outcome *outcome)
{
    pgdbm_error err = {0};
    int64_t number = -1;
    assert_non_null(outcome);
    if (outcome->status != PGDBM_OK)
        fail_msg("%s: %s", pgdbm_status_name(outcome->status), outcome->error->message);
    assert_ok(pgdbm_get_int64(outcome->result, 0, 0, &number, &err));
    return number;
}

static void many_are_started_and_then_waited_for(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3});
    static pgdbm_future *futures[MANY];
    for (size_t i = 0; i < MANY; i++)
        futures[i] = start(stage, "SELECT $1::int8", (int64_t)i);
    for (size_t i = MANY; i-- > 0;) /* the last first */
        assert_int_equal(number_of(pgdbm_future_wait(futures[i], -1)), i);
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(pgdbm_future_wait(futures[i], 0), pgdbm_future_poll(futures[i]));
        pgdbm_future_free(futures[i]);
    }
}

static void wait_for_own(struct crew_hand *hand)
{
    struct stage *stage = hand->shared;
    for (int i = 0; i < 30; i++) {
        pgdbm_error err;
        pgdbm_future *future = NULL;
        int64_t value = -1;
        if (!crew_wants(hand, PGDBM_OK, pgdbm_future_new(stage->pool, &future, &err), &err))
            return;
        pgdbm_status status =
            pgdbm_submit(stage->db, "SELECT $1::int8", pgdbm_args(i), pgdbm_future_done, future, &err);
        if (crew_wants(hand, PGDBM_OK, status, &err)) {
            const pgdbm_outcome *outcome = pgdbm_future_wait(future, 60000);
            crew_holds(hand, outcome != NULL && outcome->status == PGDBM_OK, "no answer, or a failure");
            if (outcome != NULL && outcome->result != NULL)
                (void)pgdbm_get_int64(outcome->result, 0, 0, &value, NULL);
            crew_holds(hand, value == i, "expected %d, came %lld", i, (long long)value);
        }
        pgdbm_future_free(future);
    }
}

static void threads_that_wait_need_nobody_to_dispatch(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    crew_run(16, wait_for_own, stage);
}

static void a_failure_is_an_outcome_too(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_future *future = start(stage, "SELECT 1 / ($1::int8 * 0)", 5);
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, -1);
    assert_non_null(outcome);
    assert_int_equal(outcome->status, PGDBM_ERR_QUERY);
    assert_string_equal(outcome->error->sqlstate, "22012");
    assert_null(outcome->result);
    pgdbm_future_free(future);
}

static void waiting_ends_with_its_time_and_the_request_goes_on(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_gate_shut(stage);
    pgdbm_future *future = make(stage);
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, pgdbm_future_done, future, &err));
    assert_null(pgdbm_future_poll(future));
    assert_null(pgdbm_future_wait(future, 0));
    assert_null(pgdbm_future_wait(future, 50));
    play_gate_awaited(1);
    assert_null(pgdbm_future_poll(future));
    stage_gate_open(stage);
    assert_int_equal(number_of(pgdbm_future_wait(future, 60000)), 1);
    pgdbm_future_free(future);
}

static void one_that_nothing_was_submitted_with_is_not_waited_for(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_future *future = make(stage);
    assert_null(pgdbm_future_wait(future, -1));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_future_then(future, play_take, play_answer(), &err));
    assert_fails(PGDBM_ERR_SCHEMA,
                 pgdbm_submit(stage->db, "SELECT {{x}}", pgdbm_no_args, pgdbm_future_done, future, &err));
    assert_null(pgdbm_future_wait(future, 0));
    pgdbm_future_free(future);
}

static void then_is_told_once_before_or_after_it_is_complete(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    struct answer *answers = play_answers(2);
    for (int late = 0; late < 2; late++) {
        pgdbm_future *future = start(stage, "SELECT $1::int8", 40 + late);
        if (late == 1)
            assert_non_null(pgdbm_future_wait(future, -1));
        assert_ok(pgdbm_future_then(future, play_take, &answers[late], &err));
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_future_then(future, play_take, &answers[late], &err));
        if (late == 0)
            pgdbm_future_free(future); /* who is to be told, is told */
        play_ok(&answers[late]);
        assert_int_equal(answers[late].number, 40 + late);
        if (late == 1)
            pgdbm_future_free(future);
    }
    assert_int_equal(pthread_equal(answers[0].thread, pthread_self()) != 0, !play.background);
}

static void letting_go_early_leaves_the_request_alone(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    stage_run(stage->db, "CREATE TABLE t (i int8)");
    for (int i = 0; i < 100; i++)
        pgdbm_future_free(start(stage, "INSERT INTO t VALUES ($1)", i));
    PLAY_UNTIL(stage_stats(stage).submitted == 0);
    play_number(stage->db, "SELECT count(*) FROM t", 100);
}

/* The handle would be nobody's: its session must come back, before and after the begin is complete. */
static void a_transaction_begun_for_a_future_that_was_freed_is_rolled_back(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    for (int waits = 0; waits < 3; waits++) {
        pgdbm_future *future = make(stage);
        assert_ok(pgdbm_begin_async(stage->db, NULL, pgdbm_future_done, future, &err));
        if (waits == 1)
            PLAY_UNTIL(stage_stats(stage).submitted == 0);
        const pgdbm_outcome *outcome = waits == 2 ? pgdbm_future_wait(future, -1) : NULL;
        if (waits == 2) { /* whoever has seen it has it */
            assert_non_null(outcome);
            pgdbm_db *tx = outcome->db;
            pgdbm_future_free(future);
            play_number(tx, "SELECT 3::int8", 3);
            pgdbm_close(tx);
        } else
            pgdbm_future_free(future);
        play_number(stage->db, "SELECT 1::int8", 1);
        play_rest();
    }
    assert_int_equal(stage_stats(stage).connections_opened, 1);
}

static void a_session_pinned_for_a_future_that_was_freed_comes_back(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    for (int waits = 0; waits < 2; waits++) {
        pgdbm_future *future = make(stage);
        assert_ok(pgdbm_pin_async(stage->db, pgdbm_future_done, future, &err));
        if (waits == 1)
            PLAY_UNTIL(stage_stats(stage).submitted == 0);
        pgdbm_future_free(future);
        play_number(stage->db, "SELECT 1::int8", 1);
        play_rest();
    }
}

static void wait_inside(struct answer *answer)
{
    pgdbm_future *futures[20];
    pgdbm_db *db = play.stage->db;
    int64_t sum = 0;
    for (int i = 0; i < 20; i++) {
        if (pgdbm_future_new(play.stage->pool, &futures[i], NULL) != PGDBM_OK ||
            pgdbm_submit(db, "SELECT $1::int8", pgdbm_args(i), pgdbm_future_done, futures[i], NULL) != PGDBM_OK)
            return;
    }
    for (int i = 0; i < 20; i++) {
        int64_t number = -1000;
        const pgdbm_outcome *outcome = pgdbm_future_wait(futures[i], 60000);
        if (outcome != NULL && outcome->status == PGDBM_OK)
            (void)pgdbm_get_int64(outcome->result, 0, 0, &number, NULL);
        sum += number;
        pgdbm_future_free(futures[i]);
    }
    answer->affected = sum;
}

static void waiting_works_inside_of_a_callback(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    struct answer *answer = play_answer();
    answer->then = wait_inside;
    assert_ok(pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, play_take, answer, &err));
    play_ok(answer);
    assert_int_equal(answer->affected, 190);
}

static bool is_readable(pgdbm_pool *pool)
{
    struct pollfd descriptor = {.fd = pgdbm_fd(pool), .events = POLLIN};
    return poll(&descriptor, 1, 0) == 1;
}

/* A thread that waits for a future reads for others, too, but does not run their callbacks: their event loop has to see
 * that there are some, and goes on seeing it until it has dispatched them. */
static void an_event_loop_sees_callbacks_that_a_waiting_thread_has_read(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_future *quick;
    pgdbm_future *slow;
    struct answer *answer = play_submit(stage->db, "SELECT 1");
    assert_ok(pgdbm_future_new(stage->pool, &quick, &err));
    assert_ok(pgdbm_future_new(stage->pool, &slow, &err));
    assert_ok(pgdbm_submit(stage->db, "SELECT 5::int8", pgdbm_no_args, pgdbm_future_done, quick, &err));
    assert_non_null(pgdbm_future_wait(quick, -1)); /* on the same session, so behind the other */
    assert_ok(pgdbm_submit(stage->db, "SELECT pg_sleep(0.5)", pgdbm_no_args, pgdbm_future_done, slow, &err));
    (void)pgdbm_future_wait(slow, 50); /* takes every wake-up that there was */
    assert_int_equal(answer->calls, 0);
    assert_true(is_readable(stage->pool));
    assert_non_null(pgdbm_future_wait(slow, -1));
    pgdbm_future_free(quick);
    pgdbm_future_free(slow);
    assert_int_equal(pgdbm_dispatch(stage->pool, 0), 1);
    assert_int_equal(answer->calls, 1);
    (void)pgdbm_dispatch(stage->pool, 0);
    assert_false(is_readable(stage->pool));
}

static void a_second_outcome_is_dropped(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_future *future = start(stage, "SELECT $1::int8", 1);
    assert_ok(pgdbm_begin_async(stage->db, NULL, pgdbm_future_done, future, &err));
    assert_int_equal(number_of(pgdbm_future_wait(future, -1)), 1);
    PLAY_UNTIL(stage_stats(stage).submitted == 0);
    play_rest(); /* the transaction has been rolled back */
    assert_int_equal(number_of(pgdbm_future_poll(future)), 1);
    pgdbm_future_free(future);
}

static void an_outcome_outlives_its_pool(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_future *future = start(stage, "SELECT $1::int8", 77);
    pgdbm_future *begun = make(stage);
    assert_ok(pgdbm_begin_async(stage->db, NULL, pgdbm_future_done, begun, &err));
    stage_close(stage);
    assert_int_equal(number_of(pgdbm_future_wait(future, -1)), 77);
    assert_non_null(pgdbm_future_poll(begun));
    pgdbm_close(pgdbm_future_poll(begun)->db);
    pgdbm_future_free(begun);
    pgdbm_future_free(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(many_are_started_and_then_waited_for),
        PLAY_BOTH(threads_that_wait_need_nobody_to_dispatch),
        PLAY_BOTH(a_failure_is_an_outcome_too),
        PLAY_BOTH(waiting_ends_with_its_time_and_the_request_goes_on),
        PLAY_BOTH(one_that_nothing_was_submitted_with_is_not_waited_for),
        PLAY_BOTH(then_is_told_once_before_or_after_it_is_complete),
        PLAY_BOTH(letting_go_early_leaves_the_request_alone),
        PLAY_BOTH(a_transaction_begun_for_a_future_that_was_freed_is_rolled_back),
        PLAY_BOTH(a_session_pinned_for_a_future_that_was_freed_comes_back),
        PLAY_BOTH(waiting_works_inside_of_a_callback),
        PLAY_DISPATCHED(an_event_loop_sees_callbacks_that_a_waiting_thread_has_read),
        PLAY_BOTH(a_second_outcome_is_dropped),
        PLAY_BOTH(an_outcome_outlives_its_pool),
    };
    return cmocka_run_group_tests_name("futures", tests, NULL, NULL);
}
