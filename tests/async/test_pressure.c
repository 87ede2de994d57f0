/* SPDX-License-Identifier: MIT */
/* More than fits: too many requests, too large results, and both directions full at once. */
#include "async/play.h"

#include <pgdbm/future.h>
#include <stdio.h>
#include <stdlib.h>

static void requests_beyond_max_queued_are_refused_with_the_figures(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_queued = 10});
    pgdbm_error err;
    pgdbm_db *session = play_pin(stage->db);
    struct answer *answers = play_answers(10);
    for (size_t i = 0; i < 10; i++)
        assert_ok(pgdbm_submit(stage->db, "SELECT $1::int8", pgdbm_args(i), play_take, &answers[i], &err));
    struct answer *never = play_answer();
    assert_fails(PGDBM_ERR_POOL, pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, play_take, never, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(err.message, "10 of at most 10 queued (max_queued)");
    assert_contains(err.message, "1 sessions");
    assert_contains(err.hint, "max_queued");
    assert_int_equal(stage_stats(stage).queued, 10);
    pgdbm_close(session);
    for (size_t i = 0; i < 10; i++)
        play_ok(&answers[i]);
    play_number(stage->db, "SELECT 1::int8", 1);
    assert_int_equal(never->calls, 0);
}

static void rows_beyond_max_result_bytes_are_an_error_and_the_session_goes_on(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_result_bytes = 100000});
    pgdbm_error err;
    static const char *const statements[] = {
        "SELECT repeat('x', 1000) FROM generate_series(1, 200)", /* all rows together */
        "SELECT repeat('x', 150000)",                            /* one */
        "SELECT repeat('x', 20000000)",                          /* one that no buffer should be made for */
    };
    int64_t backend = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (size_t i = 0; i < 6; i++) {
        pgdbm_result *result = NULL;
        struct answer *large = play_submit(stage->db, statements[i % 3]);
        struct answer *neighbour = play_submit(stage->db, "SELECT 5::int8");
        play_fails(large, PGDBM_ERR_NOMEM, PGDBM_OUTCOME_DONE);
        assert_contains(large->error.message, "max_result_bytes (100000)");
        play_ok(neighbour);
        assert_int_equal(neighbour->number, 5);
        assert_fails(PGDBM_ERR_NOMEM, pgdbm_fetch_all(stage->db, statements[i % 3], pgdbm_no_args, &result, &err));
        assert_null(result);
    }
    play_number(stage->db, "SELECT pg_backend_pid()", backend);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

/* Quick statements that only read share a Sync, and are told apart by their command tags. */
static void rows_beyond_max_result_bytes_are_an_error_of_that_statement_alone(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_result_bytes = 100000});
    pgdbm_error err;
    static const char large_sql[] = "SELECT repeat('x', 1000) FROM generate_series(1, $1::int4)";
    static const char quotient_sql[] = "SELECT 12 / $1::int8";
    struct answer *quick = play_answers(2);
    for (size_t i = 0; i < 2; i++) /* from now on it is known that they are */
        assert_ok(
            pgdbm_submit(stage->db, i == 0 ? large_sql : quotient_sql, pgdbm_args(1), play_take, &quick[i], &err));
    play_ok(&quick[0]);
    play_ok(&quick[1]);
    struct answer *answers = play_answers(3);
    assert_ok(pgdbm_submit(stage->db, large_sql, pgdbm_args(200), play_take, &answers[0], &err));
    assert_ok(pgdbm_submit(stage->db, quotient_sql, pgdbm_args(0), play_take, &answers[1], &err));
    assert_ok(pgdbm_submit(stage->db, quotient_sql, pgdbm_args(4), play_take, &answers[2], &err));
    play_fails(&answers[0], PGDBM_ERR_NOMEM, PGDBM_OUTCOME_DONE);
    play_fails(&answers[1], PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answers[1].error.sqlstate, "22012");
    play_ok(&answers[2]);
    assert_int_equal(answers[2].number, 3);
}

static void what_is_not_kept_does_not_count(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_result_bytes = 100000});
    pgdbm_error err;
    struct answer *answers = play_answers(2);
    const char *sql = "SELECT i, repeat('x', 1000) FROM generate_series(1, 300) i";
    assert_ok(pgdbm_execute_async(stage->db, sql, pgdbm_no_args, play_take, &answers[0], &err));
    assert_ok(pgdbm_fetch_one_async(stage->db, sql, pgdbm_no_args, play_take, &answers[1], &err));
    play_ok(&answers[0]);
    assert_int_equal(answers[0].affected, 300);
    play_ok(&answers[1]);
    assert_int_equal(answers[1].number, 1);
}

static void in_a_transaction_too_large_a_result_leaves_it_usable(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_result_bytes = 100000});
    pgdbm_error err;
    struct answer *commit = play_answer();
    stage_run(stage->db, "CREATE TABLE t (i int)");
    pgdbm_db *tx = play_begin(stage->db);
    play_submit(tx, "INSERT INTO t VALUES (1)");
    play_fails(play_submit(tx, "SELECT repeat('x', 1000) FROM generate_series(1, 200)"), PGDBM_ERR_NOMEM,
               PGDBM_OUTCOME_DONE);
    play_number(tx, "SELECT count(*) FROM t", 1);
    assert_ok(pgdbm_commit_async(tx, play_take, commit, &err));
    play_ok(commit);
    play_number(stage->db, "SELECT count(*) FROM t", 1);
}

#define PIECE (5 << 20)
#define PIECES 20

static char *make_piece(void)
{
    char *text = malloc(PIECE + 1);
    assert_non_null(text);
    memset(text, 'p', PIECE);
    text[PIECE] = '\0';
    return text;
}

/* The server sends while we do: both sockets are full, and who only sends, or only reads, waits for ever. */
static void a_hundred_megabytes_go_out_while_a_hundred_come_back(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .command_timeout_ms = 110000});
    pgdbm_error err;
    char *text = make_piece();
    pgdbm_future *futures[PIECES];
    for (int i = 0; i < PIECES; i++) {
        assert_ok(pgdbm_future_new(stage->pool, &futures[i], &err));
        assert_ok(pgdbm_submit(stage->db, "SELECT $1::text, $2::int8", pgdbm_args((const char *)text, i),
                               pgdbm_future_done, futures[i], &err));
    }
    free(text);
    for (int i = 0; i < PIECES; i++) {
        const char *came = NULL;
        int64_t number = -1;
        const pgdbm_outcome *outcome = pgdbm_future_wait(futures[i], 110000);
        assert_non_null(outcome);
        if (outcome->status != PGDBM_OK)
            fail_msg("piece %d: %s", i, outcome->error->message);
        assert_ok(pgdbm_get_text(outcome->result, 0, 0, &came, &err));
        assert_ok(pgdbm_get_int64(outcome->result, 0, 1, &number, &err));
        assert_int_equal(strspn(came, "p"), PIECE);
        assert_int_equal(number, i);
        pgdbm_future_free(futures[i]);
    }
    play_number(stage->db, "SELECT 1::int8", 1);
}

static void echo(struct crew_hand *hand)
{
    for (int i = 0; i < 5; i++) {
        pgdbm_error err;
        pgdbm_result *result = NULL;
        const char *came = "";
        pgdbm_status status =
            pgdbm_fetch_all(play.stage->db, "SELECT $1::text", pgdbm_args((const char *)hand->shared), &result, &err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(result, 0, 0, &came, &err);
        bool good = crew_wants(hand, PGDBM_OK, status, &err) &&
                    crew_holds(hand, strspn(came, "p") == PIECE, "%zu bytes came", strlen(came));
        pgdbm_result_free(result);
        if (!good)
            return;
    }
}

static void and_so_they_do_for_threads_that_block_on_one_session(void **state)
{
    play_open(state, (pgdbm_config){.max_connections = 1, .command_timeout_ms = 110000});
    static struct crew crew;
    char *text = make_piece();
    for (int i = 0; i < 4; i++)
        crew_start(&crew, echo, text);
    struct answer *answers = play_answers(50);
    for (size_t i = 0; i < 50; i++) {
        pgdbm_error err;
        assert_ok(pgdbm_submit(play.stage->db, "SELECT $1::int8", pgdbm_args(i), play_take, &answers[i], &err));
    }
    PLAY_UNTIL(play.n_answers == 50);
    crew_join(&crew);
    free(text);
    for (size_t i = 0; i < 50; i++)
        play_ok(&answers[i]);
}

static void many_sets_with_rows_go_out_and_come_back_together(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .command_timeout_ms = 110000});
    pgdbm_error err;
    char *text = make_piece();
    pgdbm_param values[PIECES];
    pgdbm_params sets[PIECES];
    int64_t affected = 0;
    struct answer *answer = play_answer();
    for (int i = 0; i < PIECES; i++) {
        values[i] = pgdbm_param_text(text);
        sets[i] = (pgdbm_params){1, &values[i]};
    }
    assert_ok(pgdbm_execute_many(stage->db, "SELECT $1::text", sets, PIECES, &affected, &err));
    assert_int_equal(affected, PIECES);
    assert_ok(pgdbm_execute_many_async(stage->db, "SELECT $1::text", sets, PIECES, play_take, answer, &err));
    free(text);
    play_ok(answer);
    assert_int_equal(answer->affected, PIECES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(requests_beyond_max_queued_are_refused_with_the_figures),
        PLAY_BOTH(rows_beyond_max_result_bytes_are_an_error_and_the_session_goes_on),
        PLAY_BOTH(rows_beyond_max_result_bytes_are_an_error_of_that_statement_alone),
        PLAY_BOTH(what_is_not_kept_does_not_count),
        PLAY_BOTH(in_a_transaction_too_large_a_result_leaves_it_usable),
        PLAY_BOTH(a_hundred_megabytes_go_out_while_a_hundred_come_back),
        PLAY_BOTH(and_so_they_do_for_threads_that_block_on_one_session),
        PLAY_BOTH(many_sets_with_rows_go_out_and_come_back_together),
    };
    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
