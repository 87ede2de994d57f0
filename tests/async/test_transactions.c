/* SPDX-License-Identifier: MIT */
/* Asynchronous transactions, savepoints and pinned sessions. */
#include "async/play.h"

#include <stdio.h>

static struct stage *open_with_table(void **state, int max_connections)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = max_connections});
    stage_run(stage->db, "CREATE TABLE t (i int)");
    return stage;
}

static struct answer *end(pgdbm_db *tx, bool commit)
{
    pgdbm_error err;
    struct answer *answer = play_answer();
    if (commit)
        assert_ok(pgdbm_commit_async(tx, play_take, answer, &err));
    else
        assert_ok(pgdbm_rollback_async(tx, play_take, answer, &err));
    return answer;
}

static void what_is_committed_stays_and_what_is_rolled_back_goes(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    for (int commits = 0; commits < 2; commits++) {
        pgdbm_db *tx = play_begin(stage->db);
        struct answer *inserted = play_submit(tx, "INSERT INTO t VALUES (1)");
        struct answer *ended = end(tx, commits == 1);
        play_ok(ended);
        play_ok(inserted);
        assert_int_equal(inserted->affected, 1);
        play_number(stage->db, "SELECT count(*) FROM t", commits);
    }
    play_rest();
}

static void the_end_of_a_transaction_needs_no_callback(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    for (int commits = 0; commits < 2; commits++) {
        pgdbm_db *tx = play_begin(stage->db);
        play_submit(tx, "INSERT INTO t VALUES (1)");
        if (commits == 1)
            assert_ok(pgdbm_commit_async(tx, NULL, NULL, &err));
        else
            assert_ok(pgdbm_rollback_async(tx, NULL, NULL, &err));
    }
    play_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void options_of_the_transaction_hold(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    struct answer *begun = play_answer();
    const pgdbm_tx_options options = {.isolation = PGDBM_SERIALIZABLE, .read_only = true, .deferrable = true};
    assert_ok(pgdbm_begin_async(stage->db, &options, play_take, begun, &err));
    play_ok(begun);
    struct answer *shown =
        play_submit(begun->db, "SELECT (current_setting('transaction_isolation') = 'serializable')::int + "
                               "(current_setting('transaction_read_only') = 'on')::int");
    play_ok(shown);
    assert_int_equal(shown->number, 2);
    struct answer *refused = play_submit(begun->db, "INSERT INTO t VALUES (1)");
    play_fails(refused, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(refused->error.sqlstate, "25006");
    play_ok(end(begun->db, false));
}

static void a_commit_after_a_failed_statement_rolls_back_and_says_so(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    for (int waits = 0; waits < 2; waits++) {
        pgdbm_db *tx = play_begin(stage->db);
        struct answer *inserted = play_submit(tx, "INSERT INTO t VALUES (1)");
        struct answer *failed = play_submit(tx, "SELECT 1 / 0");
        struct answer *behind = play_submit(tx, "INSERT INTO t VALUES (2)");
        if (waits == 1)
            PLAY_UNTIL(behind->calls == 1);
        struct answer *commit = end(tx, true);
        play_fails(commit, PGDBM_ERR_TRANSACTION, PGDBM_OUTCOME_ROLLED_BACK);
        assert_contains(commit->error.message, "failed");
        assert_true(commit->error.hint[0] != '\0');
        play_ok(inserted);
        play_fails(failed, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
        play_fails(behind, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
        assert_string_equal(behind->error.sqlstate, "25P02");
    }
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void a_commit_that_the_server_refuses_is_its_error(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    stage_run(stage->db, "CREATE TABLE d (i int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    pgdbm_db *tx = play_begin(stage->db);
    play_ok(play_submit(tx, "INSERT INTO d VALUES (1), (1)"));
    struct answer *commit = end(tx, true);
    play_fails(commit, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(commit->error.sqlstate, "23505");
    play_number(stage->db, "SELECT count(*) FROM d", 0);
}

static void savepoints_undo_what_is_inside_of_them_only(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_db *tx = play_begin(stage->db);
    play_submit(tx, "INSERT INTO t VALUES (1)");
    pgdbm_db *inner = play_begin(tx);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_submit(tx, "SELECT 1", pgdbm_no_args, play_take, play_answer(), &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_commit_async(tx, play_take, play_answer(), &err));
    play_submit(inner, "INSERT INTO t VALUES (2)");
    pgdbm_db *innermost = play_begin(inner);
    play_submit(innermost, "INSERT INTO t VALUES (4)");
    struct answer *failed = play_submit(innermost, "SELECT 1 / 0");
    play_ok(end(innermost, false));
    play_fails(failed, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    play_ok(end(inner, true));
    inner = play_begin(tx);
    play_submit(inner, "INSERT INTO t VALUES (8)");
    play_ok(end(inner, false));
    play_number(tx, "SELECT sum(i) FROM t", 3);
    play_ok(end(tx, true));
    play_number(stage->db, "SELECT sum(i) FROM t", 3);
}

static void a_savepoint_in_which_a_statement_failed_cannot_be_committed_and_the_rest_goes_on(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_db *tx = play_begin(stage->db);
    play_submit(tx, "INSERT INTO t VALUES (1)");
    pgdbm_db *inner = play_begin(tx);
    play_submit(inner, "INSERT INTO t VALUES (2)");
    play_submit(inner, "SELECT 1 / 0");
    struct answer *commit = end(inner, true);
    play_fails(commit, PGDBM_ERR_TRANSACTION, PGDBM_OUTCOME_ROLLED_BACK);
    play_number(tx, "SELECT sum(i) FROM t", 1);
    play_ok(end(tx, true));
    play_number(stage->db, "SELECT sum(i) FROM t", 1);
}

static void a_handle_that_has_ended_is_not_waited_for(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    for (int i = 0; i < 20; i++) { /* each begins as soon as the last one's commit is submitted */
        pgdbm_error err;
        struct answer *begun = play_answer();
        assert_ok(pgdbm_begin_async(stage->db, NULL, play_take, begun, &err));
        play_ok(begun);
        play_submit(begun->db, "INSERT INTO t VALUES (1)");
        end(begun->db, true);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 20);
    PLAY_UNTIL(play.n_answers == play.n_taken);
    for (size_t i = 0; i < play.n_taken; i++)
        play_ok(&play.answers[i]);
}

static void closing_the_handle_rolls_back_after_what_was_submitted(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *inserted = play_submit(tx, "INSERT INTO t VALUES (1)");
    pgdbm_close(tx);
    play_ok(inserted);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    play_rest();
}

static void a_begin_that_is_cancelled_gives_no_handle_and_keeps_no_session(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_request *request = NULL;
    pgdbm_db *session = play_pin(stage->db);
    struct answer *begun = play_answer();
    assert_ok(pgdbm_begin_async_sized(__FILE__, __LINE__, stage->db, NULL, 0, play_take, begun, &request, &err));
    pgdbm_cancel(request);
    pgdbm_request_release(request);
    play_fails(begun, PGDBM_ERR_CANCELED, PGDBM_OUTCOME_NOT_SENT);
    assert_null(begun->db);
    pgdbm_close(session);
    play_number(stage->db, "SELECT 1::int8", 1);
    play_rest();
}

static void a_pinned_session_is_ones_own_and_comes_back_clean(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_db *session = play_pin(stage->db);
    play_ok(play_submit(session, "SET work_mem = '9MB'"));
    play_ok(play_submit(session, "CREATE TEMPORARY TABLE mine (i int)"));
    play_ok(play_submit(session, "SELECT pg_advisory_lock(7)"));
    play_ok(play_submit(session, "BEGIN"));
    play_ok(play_submit(session, "INSERT INTO t VALUES (1)"));
    play_number(session, "SELECT pg_size_bytes(current_setting('work_mem')) >> 20", 9);
    pgdbm_close(session);
    play_number(stage->db, "SELECT pg_size_bytes(current_setting('work_mem')) >> 20", 4);
    play_number(stage->db, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
    play_number(stage->db, "SELECT count(*) FROM pg_class WHERE relname = 'mine'", 0);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).resets, 1);
}

static void a_transaction_on_a_pinned_session_leaves_it_pinned(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_db *session = play_pin(stage->db);
    pgdbm_db *tx = play_begin(session);
    play_submit(tx, "INSERT INTO t VALUES (1)");
    play_ok(end(tx, true));
    play_number(session, "SELECT count(*) FROM t", 1);
    assert_int_equal(stage_stats(stage).leased, 1);
    pgdbm_close(session);
    play_rest();
}

static void many_transactions_at_once_share_few_sessions(void **state)
{
    struct stage *stage = open_with_table(state, 3);
    pgdbm_error err;
    struct answer *begun = play_answers(100);
    for (size_t i = 0; i < 100; i++)
        assert_ok(pgdbm_begin_async(stage->db, NULL, play_take, &begun[i], &err));
    for (size_t i = 0; i < 100; i++) {
        play_ok(&begun[i]);
        play_submit(begun[i].db, "INSERT INTO t VALUES (1)");
        end(begun[i].db, i % 2 == 0);
    }
    PLAY_UNTIL(play.n_answers == play.n_taken);
    play_number(stage->db, "SELECT count(*) FROM t", 50);
    assert_true(stage_stats(stage).connections_opened <= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(what_is_committed_stays_and_what_is_rolled_back_goes),
        PLAY_BOTH(the_end_of_a_transaction_needs_no_callback),
        PLAY_BOTH(options_of_the_transaction_hold),
        PLAY_BOTH(a_commit_after_a_failed_statement_rolls_back_and_says_so),
        PLAY_BOTH(a_commit_that_the_server_refuses_is_its_error),
        PLAY_BOTH(savepoints_undo_what_is_inside_of_them_only),
        PLAY_BOTH(a_savepoint_in_which_a_statement_failed_cannot_be_committed_and_the_rest_goes_on),
        PLAY_BOTH(a_handle_that_has_ended_is_not_waited_for),
        PLAY_BOTH(closing_the_handle_rolls_back_after_what_was_submitted),
        PLAY_BOTH(a_begin_that_is_cancelled_gives_no_handle_and_keeps_no_session),
        PLAY_BOTH(a_pinned_session_is_ones_own_and_comes_back_clean),
        PLAY_BOTH(a_transaction_on_a_pinned_session_leaves_it_pinned),
        PLAY_BOTH(many_transactions_at_once_share_few_sessions),
    };
    return cmocka_run_group_tests_name("transactions", tests, NULL, NULL);
}
