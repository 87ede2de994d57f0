/* SPDX-License-Identifier: MIT */
/* Deadlines of single calls: at the server, behind a neighbour, in the queue, in a transaction. */
#include "async/play.h"

#define SHORT (&(pgdbm_call){.timeout_ms = 100})

static struct answer *submit_short(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_submit_with(db, SHORT, sql, pgdbm_no_args, play_take, answer, NULL, &err));
    return answer;
}

static void a_statement_that_is_late_is_cancelled_on_the_server(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    struct answer *late = submit_short(stage->db, "SELECT pg_sleep(60)");
    play_fails(late, PGDBM_ERR_TIMEOUT, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(late->error.statement, "SELECT pg_sleep(60)");
    assert_true(late->error.hint[0] != '\0');
    play_number(stage->db,
                "SELECT count(*) FROM " TEST_ACTIVITY " WHERE query LIKE 'SELECT pg_sleep%' AND state = "
                "'active' AND pid <> pg_backend_pid()",
                0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void the_pools_own_deadline_holds_where_the_call_has_none(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .command_timeout_ms = 100});
    pgdbm_error err;
    struct answer *late = play_submit(stage->db, "SELECT pg_sleep(60)");
    struct answer *longer = play_answer();
    assert_ok(pgdbm_submit_with(stage->db, &(pgdbm_call){.timeout_ms = -1}, "SELECT pg_sleep(0.3)", pgdbm_no_args,
                                play_take, longer, NULL, &err));
    play_fails(late, PGDBM_ERR_TIMEOUT, PGDBM_OUTCOME_ROLLED_BACK);
    play_ok(longer);
}

/* The neighbour is at a gate that opens only when the late one has been told: it is told at once, or never. */
static void behind_a_slow_neighbour_the_owner_is_told_at_once_and_the_neighbour_unharmed(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    stage_gate_shut(stage);
    play_number(stage->db, "SELECT 1::int8", 1);
    struct answer *slow = play_submit(stage->db, STAGE_PASS);
    play_gate_awaited(1);
    struct answer *late = submit_short(stage->db, "SELECT 1::int8");
    struct answer *other = play_submit(stage->db, "SELECT 2::int8");
    PLAY_UNTIL(late->calls == 1);
    assert_int_equal(late->status, PGDBM_ERR_TIMEOUT);
    if (late->error.outcome != PGDBM_OUTCOME_UNKNOWN && late->error.outcome != PGDBM_OUTCOME_NOT_SENT)
        fail_msg("expected unknown or not sent, came %s", pgdbm_outcome_name(late->error.outcome));
    assert_int_equal(slow->calls, 0);
    stage_gate_open(stage);
    play_ok(slow);
    assert_int_equal(slow->number, 1);
    play_ok(other);
    assert_int_equal(other->number, 2);
    play_number(stage->db, "SELECT 3::int8", 3);
    PLAY_UNTIL(stage_stats(stage).submitted == 0);
    assert_int_equal(late->calls, 1);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void a_hundred_late_ones_behind_a_slow_neighbour_are_all_told(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_pipeline = 16});
    stage_gate_shut(stage);
    struct answer *slow = play_submit(stage->db, STAGE_PASS);
    play_gate_awaited(1);
    struct answer *late = play_answers(0);
    for (int i = 0; i < 100; i++)
        (void)submit_short(stage->db, "SELECT 1::int8");
    PLAY_UNTIL(play.n_answers == 100);
    for (int i = 0; i < 100; i++)
        if (late[i].status != PGDBM_ERR_TIMEOUT && late[i].status != PGDBM_ERR_POOL)
            fail_msg("expected a time-out, came %s", pgdbm_status_name(late[i].status));
    stage_gate_open(stage);
    play_ok(slow);
    play_number(stage->db, "SELECT 1::int8", 1);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void in_the_queue_a_deadline_is_the_pools_error_with_its_figures(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_db *session = play_pin(stage->db);
    struct answer *late = submit_short(stage->db, "SELECT 1");
    play_fails(late, PGDBM_ERR_POOL, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(late->error.message, "1 of at most 1 open");
    assert_contains(late->error.message, "1 leased");
    assert_contains(late->error.detail, "play.c"); /* where it was pinned */
    assert_int_equal(stage_stats(stage).queued, 0);
    pgdbm_close(session);
    play_number(stage->db, "SELECT 1::int8", 1);
}

static void waiting_for_a_session_ends_with_acquire_timeout_ms(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .acquire_timeout_ms = 100});
    pgdbm_error err;
    pgdbm_db *session = play_pin(stage->db);
    struct answer *answers = play_answers(2);
    assert_ok(pgdbm_begin_async(stage->db, NULL, play_take, &answers[0], &err));
    assert_ok(pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, play_take, &answers[1], &err));
    play_fails(&answers[0], PGDBM_ERR_POOL, PGDBM_OUTCOME_NOT_SENT);
    play_fails(&answers[1], PGDBM_ERR_POOL, PGDBM_OUTCOME_NOT_SENT);
    assert_null(answers[0].db);
    pgdbm_close(session);
    play_number(stage->db, "SELECT 1::int8", 1);
}

static void in_a_transaction_the_late_statement_fails_and_the_rest_with_it(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *before = play_submit(tx, "INSERT INTO t VALUES (1)");
    struct answer *late = submit_short(tx, "SELECT pg_sleep(60)");
    struct answer *behind = play_submit(tx, "INSERT INTO t VALUES (2)");
    struct answer *commit = play_answer();
    assert_ok(pgdbm_commit_async(tx, play_take, commit, &err));
    play_fails(late, PGDBM_ERR_TIMEOUT, PGDBM_OUTCOME_ROLLED_BACK);
    play_ok(before);
    play_fails(behind, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    play_fails(commit, PGDBM_ERR_TRANSACTION, PGDBM_OUTCOME_ROLLED_BACK);
    assert_true(before->place < late->place && late->place < behind->place && behind->place < commit->place);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

/* It is behind another statement of its own transaction, and has not been sent: the order of answers is kept. */
static void in_a_transaction_one_that_was_not_sent_in_time_leaves_the_others_alone(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_gate_shut(stage);
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *slow = play_submit(tx, STAGE_PASS);
    struct answer *late = submit_short(tx, "SELECT 17::int8");
    play_gate_awaited(1);
    PLAY_UNTIL(late->calls == 1 || stage_stats(stage).queued == 0);
    stage_gate_open(stage);
    struct answer *behind = play_submit(tx, "SELECT 18::int8");
    play_ok(slow);
    PLAY_UNTIL(late->calls == 1);
    if (late->status != PGDBM_ERR_TIMEOUT)
        fail_msg("expected a time-out, came %s", pgdbm_status_name(late->status));
    if (late->error.outcome == PGDBM_OUTCOME_NOT_SENT)
        play_ok(behind);
    struct answer *end = play_answer();
    assert_ok(pgdbm_rollback_async(tx, play_take, end, &err));
    play_ok(end);
}

static void a_blocking_call_that_is_late_leaves_requests_alone_and_they_it(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    for (int round = 0; round < 10; round++) {
        struct answer *before = play_submit(stage->db, "SELECT 1::int8");
        struct answer *late = submit_short(stage->db, "SELECT pg_sleep(60)");
        pgdbm_status status = pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = 50}, "SELECT pg_sleep(30)",
                                                 pgdbm_no_args, NULL, &err);
        if (status != PGDBM_ERR_TIMEOUT && status != PGDBM_ERR_POOL)
            fail_msg("expected a time-out, came %s: %s", pgdbm_status_name(status), err.message);
        struct answer *behind = play_submit(stage->db, "SELECT 2::int8");
        play_ok(before);
        play_ok(behind);
        PLAY_UNTIL(late->calls == 1);
        if (late->status != PGDBM_ERR_TIMEOUT && late->status != PGDBM_ERR_POOL)
            fail_msg("expected a time-out, came %s: %s", pgdbm_status_name(late->status), late->error.message);
    }
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_statement_that_is_late_is_cancelled_on_the_server),
        PLAY_BOTH(the_pools_own_deadline_holds_where_the_call_has_none),
        PLAY_BOTH(behind_a_slow_neighbour_the_owner_is_told_at_once_and_the_neighbour_unharmed),
        PLAY_BOTH(a_hundred_late_ones_behind_a_slow_neighbour_are_all_told),
        PLAY_BOTH(in_the_queue_a_deadline_is_the_pools_error_with_its_figures),
        PLAY_BOTH(waiting_for_a_session_ends_with_acquire_timeout_ms),
        PLAY_BOTH(in_a_transaction_the_late_statement_fails_and_the_rest_with_it),
        PLAY_BOTH(in_a_transaction_one_that_was_not_sent_in_time_leaves_the_others_alone),
        PLAY_BOTH(a_blocking_call_that_is_late_leaves_requests_alone_and_they_it),
    };
    return cmocka_run_group_tests_name("deadlines", tests, NULL, NULL);
}
