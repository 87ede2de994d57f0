/* SPDX-License-Identifier: MIT */
/* What a failure means: each sentence is a test. Then the same of requests that fail together with others. */
#include "async/play.h"

#include <pgdbm/batch.h>

#define TERMINATE_WAITING                                                                                              \
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() "                \
    "AND wait_event_type = 'Lock'"

/* --- 1 --- */

static void every_failure_says_what_is_known_of_its_outcome(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_pipeline = 1});
    pgdbm_error err;
    stage_gate_shut(stage);
    struct answer *answers = play_answers(4);
    pgdbm_request *request = NULL;
    /* Not sent: a value that does not fit, and a request that is cancelled in the queue. */
    assert_ok(pgdbm_submit(stage->db, "SELECT $1::int2", pgdbm_args(100000), play_take, &answers[0], &err));
    play_fails(&answers[0], PGDBM_ERR_TYPE, PGDBM_OUTCOME_NOT_SENT);
    /* Rolled back: the server rejects it. */
    assert_ok(pgdbm_submit(stage->db, "SELECT 1 / $1::int", pgdbm_args(0), play_take, &answers[1], &err));
    play_fails(&answers[1], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[1].error.sqlstate, "22012");
    /* Unknown: the connection dies while the server is at it. */
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, play_take, &answers[2], &err));
    play_gate_awaited(1);
    assert_ok(pgdbm_submit_with(stage->db, NULL, "SELECT 1", pgdbm_no_args, play_take, &answers[3], &request, &err));
    pgdbm_cancel(request);
    pgdbm_request_release(request);
    play_fails(&answers[3], PGDBM_ERR_CANCELED, PGDBM_OUTCOME_NOT_SENT);
    play_cut();
    play_fails(&answers[2], PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN);
    assert_false(answers[2].error.retryable);
    assert_string_equal(answers[2].error.statement, STAGE_PASS);
    stage_gate_open(stage);
    play_number(stage->db, "SELECT 1::int8", 1);
}

static void in_a_transaction_a_cut_commit_is_unknown_and_a_cut_rollback_is_ok(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    stage_gate_shut(stage);
    stage_gate_open(stage);
    play_number(stage->db, STAGE_PASS, 1); /* what is known already is followed by the commit without a pause */
    stage_gate_shut(stage);
    pgdbm_db *txs[] = {play_begin(stage->db), play_begin(stage->db)};
    struct answer *answers = play_answers(4);
    for (size_t i = 0; i < 2; i++)
        assert_ok(pgdbm_submit(txs[i], STAGE_PASS, pgdbm_no_args, play_take, &answers[i], &err));
    assert_ok(pgdbm_commit_async(txs[0], play_take, &answers[2], &err));
    assert_ok(pgdbm_rollback_async(txs[1], play_take, &answers[3], &err));
    play_gate_awaited(2);
    PLAY_UNTIL(stage_stats(stage).queued == 0);
    (void)pgdbm_dispatch(stage->pool, 0); /* the commit leaves */
    play_cut();
    play_fails(&answers[0], PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN);
    play_fails(&answers[1], PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN);
    play_fails(&answers[2], PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN);
    assert_string_equal(answers[2].error.statement, "COMMIT");
    play_ok(&answers[3]);
    stage_gate_open(stage);
    play_number(stage->db, "SELECT 1::int8", 1);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void a_backend_that_is_terminated_says_rolled_back(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_gate_shut(stage);
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *passing = play_submit(tx, STAGE_PASS);
    struct answer *behind = play_submit(tx, "SELECT 1");
    struct answer *commit = play_answer();
    assert_ok(pgdbm_commit_async(tx, play_take, commit, &err));
    play_gate_awaited(1);
    test_psql(stage->url, TERMINATE_WAITING);
    play_fails(passing, PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(passing->error.sqlstate, "57P01");
    assert_true(passing->error.retryable);
    PLAY_UNTIL(behind->calls + commit->calls == 2);
    assert_int_equal(behind->status, PGDBM_ERR_CONNECTION);
    assert_int_equal(commit->status, PGDBM_ERR_CONNECTION);
    stage_gate_open(stage);
    play_number(stage->db, "SELECT 1::int8", 1);
}

/* --- 2 --- */

/* The test's thread dispatches: what it has submitted stays in this process until it does. */
static void a_request_that_was_not_sent_when_its_session_died_is_routed_again(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 2, .max_connections = 2});
    stage_run(stage->db, "CREATE TABLE t (i int8)");
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    STAGE_UNTIL(stage, stats.idle == 2);
    struct answer *answers = play_answers(40);
    for (size_t i = 0; i < 40; i++) {
        pgdbm_error err;
        assert_ok(pgdbm_submit(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args(i), play_take, &answers[i], &err));
        if (i == 19)
            play_cut();
    }
    for (size_t i = 0; i < 40; i++)
        play_ok(&answers[i]);
    play_number(stage->db, "SELECT count(DISTINCT i) FROM t", 40);
    play_number(stage->db, "SELECT count(*) FROM t", 40);
    assert_true(stage_stats(stage).statements_repeated > 0);
}

static void nothing_that_was_submitted_disappears_when_sessions_die(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 2, .max_connections = 4});
    stage_run(stage->db, "CREATE TABLE t (i int8)");
    struct answer *answers = play_answers(2000);
    size_t inserted = 0, unknown = 0;
    for (size_t i = 0; i < 2000; i++) {
        pgdbm_error err;
        assert_ok(pgdbm_submit(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args(i), play_take, &answers[i], &err));
        if (i % 200 == 100)
            play_cut();
        (void)pgdbm_dispatch(stage->pool, 0);
    }
    PLAY_UNTIL(play.n_answers == 2000);
    for (size_t i = 0; i < 2000; i++) {
        inserted += answers[i].status == PGDBM_OK;
        unknown += answers[i].status != PGDBM_OK && answers[i].error.outcome == PGDBM_OUTCOME_UNKNOWN;
    }
    assert_int_equal(inserted + unknown, 2000);
    int64_t rows = stage_number(stage->db, "SELECT count(*) FROM t");
    if (rows < (int64_t)inserted || rows > (int64_t)(inserted + unknown))
        fail_msg("%zu acknowledged and %zu unknown, and %lld rows", inserted, unknown, (long long)rows);
    stage_expect_number(stage->db, "SELECT count(*) - count(DISTINCT i) FROM t", 0);
}

/* --- 3 --- */

static void a_request_is_repeated_by_the_library_only_if_the_caller_marked_it_so(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 2, .max_connections = 2});
    pgdbm_error err;
    STAGE_UNTIL(stage, stats.idle == 2);
    stage_gate_shut(stage);
    struct answer *answers = play_answers(2);
    assert_ok(pgdbm_submit(stage->db, STAGE_PASS, pgdbm_no_args, play_take, &answers[0], &err));
    play_gate_awaited(1);
    assert_ok(pgdbm_submit_with(stage->db, &(pgdbm_call){.idempotent = true}, STAGE_PASS, pgdbm_no_args, play_take,
                                &answers[1], NULL, &err));
    play_gate_awaited(2);
    play_cut();
    play_gate_awaited(3); /* the two whose connections are gone have not noticed; and the repeated one */
    play_fails(&answers[0], PGDBM_ERR_CONNECTION, PGDBM_OUTCOME_UNKNOWN);
    assert_int_equal(answers[1].calls, 0);
    stage_gate_open(stage);
    play_ok(&answers[1]);
    assert_int_equal(answers[1].number, 1);
}

/* --- 4 --- */

static void a_changed_result_type_is_prepared_again_and_the_request_repeated_once(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_run(stage->db, "INSERT INTO t VALUES (7)");
    play_number(stage->db, "SELECT * FROM t", 7);
    test_psql(stage->url, "ALTER TABLE t ALTER i TYPE int8");
    play_number(stage->db, "SELECT * FROM t", 7);
    assert_int_equal(stage_stats(stage).statements_repeated, 1);
    play_number(stage->db, "SELECT * FROM t", 7);
    assert_int_equal(stage_stats(stage).statements_repeated, 1);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

#define FORGET "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$"

static void a_dropped_statement_is_prepared_again_and_the_request_repeated_once(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    play_number(stage->db, "SELECT 8::int8", 8);
    struct answer *forgotten = play_submit(stage->db, FORGET);
    play_ok(forgotten);
    play_number(stage->db, "SELECT 8::int8", 8);
    assert_int_equal(stage_stats(stage).statements_repeated, 1);
    play_number(stage->db, "SELECT 8::int8", 8);
    assert_int_equal(stage_stats(stage).statements_repeated, 1);
}

static void inside_a_transaction_that_failed_nothing_is_repeated(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    struct answer *answers = play_answers(3);
    play_number(stage->db, "SELECT 8::int8", 8);
    pgdbm_db *tx = play_begin(stage->db);
    play_ok(play_submit(tx, FORGET));
    assert_ok(pgdbm_submit(tx, "SELECT 8::int8", pgdbm_no_args, play_take, &answers[0], &err));
    assert_ok(pgdbm_submit(tx, "SELECT 9::int8", pgdbm_no_args, play_take, &answers[1], &err));
    play_fails(&answers[0], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[0].error.sqlstate, "26000");
    play_fails(&answers[1], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[1].error.sqlstate, "25P02");
    assert_ok(pgdbm_rollback_async(tx, play_take, &answers[2], &err));
    play_ok(&answers[2]);
    assert_int_equal(stage_stats(stage).statements_repeated, 0);
    play_number(stage->db, "SELECT 8::int8", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(every_failure_says_what_is_known_of_its_outcome),
        PLAY_BOTH(in_a_transaction_a_cut_commit_is_unknown_and_a_cut_rollback_is_ok),
        PLAY_BOTH(a_backend_that_is_terminated_says_rolled_back),
        PLAY_DISPATCHED(a_request_that_was_not_sent_when_its_session_died_is_routed_again),
        PLAY_BOTH(nothing_that_was_submitted_disappears_when_sessions_die),
        PLAY_BOTH(a_request_is_repeated_by_the_library_only_if_the_caller_marked_it_so),
        PLAY_BOTH(a_changed_result_type_is_prepared_again_and_the_request_repeated_once),
        PLAY_BOTH(a_dropped_statement_is_prepared_again_and_the_request_repeated_once),
        PLAY_BOTH(inside_a_transaction_that_failed_nothing_is_repeated),
    };
    return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
