/* SPDX-License-Identifier: MIT */
/* Moments at which two threads, or two ends of a request, meet: each of them was got wrong once. */
#include "async/play.h"

#include <pgdbm/future.h>
#include <stdio.h>

static void a_future_is_told_at_its_deadline_while_the_server_is_at_another_request(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_future *future = NULL;
    pgdbm_request *request = NULL;
    const pgdbm_call call = {.timeout_ms = 50};
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_gate_shut(stage);
    struct answer *first = play_submit(stage->db, STAGE_PASS);
    play_gate_awaited(1);
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_submit_with(stage->db, &call, "INSERT INTO t VALUES (1)", pgdbm_no_args, pgdbm_future_done, future,
                                &request, &err));
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 30000);
    assert_non_null(outcome);
    assert_int_equal(outcome->status, PGDBM_ERR_TIMEOUT);
    assert_int_equal(outcome->error->outcome, PGDBM_OUTCOME_UNKNOWN);
    stage_gate_open(stage);
    play_ok(first);
    play_rest();
    pgdbm_cancel(request); /* it is over twice, and nothing is left to be cancelled */
    pgdbm_request_release(request);
    pgdbm_future_free(future);
    play_number(stage->db, "SELECT 5::int8", 5);
}

static void no_statement_runs_behind_the_end_of_its_transaction(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    for (int round = 0; round < 200; round++) {
        char sql[64];
        struct answer *answers = play_answers(4);
        pgdbm_db *tx = play_begin(stage->db);
        /* Its types are not known: those behind it wait, and are sent when the answer comes, by whoever reads it. */
        snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d + $1::int)", round);
        for (int i = 0; i < 3; i++)
            assert_ok(pgdbm_submit(tx, i == 0 ? sql : "INSERT INTO t VALUES ($1)", pgdbm_args(i), play_take,
                                   &answers[i], &err));
        assert_ok(pgdbm_rollback_async(tx, play_take, &answers[3], &err));
        play_ok(&answers[3]);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void a_transaction_whose_end_is_late_in_the_queue_leaves_nothing(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .command_timeout_ms = 300});
    pgdbm_error err;
    const pgdbm_call patient = {.timeout_ms = -1};
    struct answer *answers = play_answers(3);
    stage_run(stage->db, "CREATE TABLE t (i int)");
    pgdbm_db *tx = play_begin(stage->db);
    stage_gate_shut(stage);
    assert_ok(pgdbm_submit_with(tx, &patient, STAGE_PASS, pgdbm_no_args, play_take, &answers[0], NULL, &err));
    assert_ok(
        pgdbm_submit_with(tx, &patient, "INSERT INTO t VALUES (7)", pgdbm_no_args, play_take, &answers[1], NULL, &err));
    assert_ok(pgdbm_commit_async(tx, play_take, &answers[2], &err));
    play_fails(&answers[2], PGDBM_ERR_TIMEOUT, PGDBM_OUTCOME_NOT_SENT);
    stage_gate_open(stage);
    PLAY_UNTIL(answers[0].calls == 1 && answers[1].calls == 1);
    assert_int_not_equal(answers[1].status, PGDBM_OK);
    play_rest();
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

#define THOUSANDS 50000

static void count_lost(const pgdbm_outcome *outcome, void *context)
{
    atomic_size_t *lost = context;
    atomic_fetch_add(lost, outcome->status == PGDBM_ERR_CONNECTION);
    play_note();
}

/* One after the other, and each from the end of the one before: not on top of each other on the stack. */
static void a_lost_pinned_session_fails_thousands_of_requests(void **state)
{
    static atomic_size_t lost;
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_db *session = play_pin(stage->db);
    atomic_store(&lost, 0);
    for (int i = 0; i < THOUSANDS; i++)
        assert_ok(
            pgdbm_submit(session, i == 0 ? "SELECT pg_sleep(60)" : "SELECT 1", pgdbm_no_args, count_lost, &lost, &err));
    play_cut();
    PLAY_UNTIL(atomic_load(&lost) == THOUSANDS);
    pgdbm_close(session);
}

static void a_future_of_a_refused_request_is_not_waited_for(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_future *future = NULL;
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    pgdbm_pool_close(stage->pool);
    stage->pool = NULL;
    assert_fails(PGDBM_ERR_POOL, pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, pgdbm_future_done, future, &err));
    assert_null(pgdbm_future_wait(future, -1));
    pgdbm_future_free(future);
}

static void wait_at_the_gate(struct crew_hand *hand)
{
    pgdbm_future *future = hand->shared;
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 60000);
    crew_holds(hand, outcome != NULL && outcome->status == PGDBM_OK, "the gate was not passed");
}

/* In the callback: what it submits is sent though another thread drives, and sleeps. */
static void submit_and_wait(struct answer *answer)
{
    pgdbm_error err;
    pgdbm_future *future = NULL;
    const pgdbm_outcome *outcome = NULL;
    if (pgdbm_future_new(play.stage->pool, &future, &err) == PGDBM_OK &&
        pgdbm_submit(play.stage->db, "SELECT 6::int8", pgdbm_no_args, pgdbm_future_done, future, &err) == PGDBM_OK)
        outcome = pgdbm_future_wait(future, 20000);
    answer->number = outcome != NULL && outcome->status == PGDBM_OK ? 6 : -6;
    pgdbm_future_free(future);
}

static void a_callback_that_waits_is_served_while_another_thread_drives(void **state)
{
    static struct crew crew;
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 3, .max_pipeline = 1});
    pgdbm_error err;
    pgdbm_future *future = NULL;
    stage_gate_shut(stage);
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, pgdbm_future_done, future, &err));
    crew_start(&crew, wait_at_the_gate, future);
    for (int round = 0; round < 20; round++) {
        struct answer *answer = play_answer();
        answer->then = submit_and_wait;
        assert_ok(pgdbm_submit(stage->db, "SELECT 1::int8", pgdbm_no_args, play_take, answer, &err));
        play_ok(answer);
        assert_int_equal(answer->number, 6);
    }
    stage_gate_open(stage);
    crew_join(&crew);
    pgdbm_future_free(future);
}

/* The turn in which they became ready is over when the dispatcher comes: it must not wait for the end of the next. */
static void callbacks_that_are_ready_do_not_wait_for_another_thread_that_drives(void **state)
{
    static struct crew crew;
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .max_pipeline = 1});
    pgdbm_error err;
    pgdbm_future *future = NULL;
    stage_gate_shut(stage);
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, pgdbm_future_done, future, &err));
    crew_start(&crew, wait_at_the_gate, future);
    play_gate_awaited(1);
    for (int round = 0; round < 20; round++) {
        struct answer *answer = play_submit(stage->db, "SELECT 1::int8");
        int64_t give_up = stage_clock_ms() + 30000;
        while (stage_stats(stage).shared > 1 && stage_clock_ms() < give_up)
            usleep(1000); /* it is answered when only the one at the gate is left */
        if (!play.background)
            assert_int_equal(pgdbm_dispatch(stage->pool, -1), 1);
        play_ok(answer);
    }
    stage_gate_open(stage);
    crew_join(&crew);
    pgdbm_future_free(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_future_is_told_at_its_deadline_while_the_server_is_at_another_request),
        PLAY_BOTH(no_statement_runs_behind_the_end_of_its_transaction),
        PLAY_BOTH(a_transaction_whose_end_is_late_in_the_queue_leaves_nothing),
        PLAY_BOTH(a_lost_pinned_session_fails_thousands_of_requests),
        PLAY_BOTH(a_future_of_a_refused_request_is_not_waited_for),
        PLAY_BOTH(a_callback_that_waits_is_served_while_another_thread_drives),
        PLAY_BOTH(callbacks_that_are_ready_do_not_wait_for_another_thread_that_drives),
    };
    return cmocka_run_group_tests_name("races", tests, NULL, NULL);
}
