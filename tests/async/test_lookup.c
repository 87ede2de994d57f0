/* SPDX-License-Identifier: MIT */
/* Requests that end while the types of their statement are looked up: the server is made to wait in the lookup, which is the
 * only one to read pg_range. */
#include "async/play.h"

#include <libpq-fe.h>

#define INSERT "INSERT INTO t SELECT (NULL::pair).a IS NULL WHERE $1::pair IS NOT NULL"

static struct stage *open_with_types(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    stage_run(stage->db, "CREATE TYPE pair AS (a int4, b text)");
    stage_run(stage->db, "CREATE TABLE t (yes bool)");
    stage_gate_shut(stage);
    PGresult *locked = PQexec(stage->gate, "LOCK TABLE pg_catalog.pg_range IN ACCESS EXCLUSIVE MODE");
    assert_int_equal(PQresultStatus(locked), PGRES_COMMAND_OK);
    PQclear(locked);
    return stage;
}

static pgdbm_batch *make_batch(pgdbm_db *db, bool independent, int timeout_ms)
{
    pgdbm_error err;
    pgdbm_batch *batch = NULL;
    const pgdbm_batch_options options = {.independent = independent, .timeout_ms = timeout_ms};
    assert_ok(pgdbm_batch_new(db, &options, &batch, &err));
    for (int i = 0; i < 3; i++)
        assert_ok(pgdbm_batch_add(batch, INSERT, pgdbm_args(pgdbm_row_of(i, "b")), &err));
    return batch;
}

static void submit(pgdbm_db *db, int timeout_ms, struct answer *answer, pgdbm_request **request)
{
    pgdbm_error err;
    const pgdbm_call call = {.timeout_ms = timeout_ms};
    pgdbm_param pair = pgdbm_row_of(1, "b");
    assert_ok(pgdbm_submit_with(db, &call, INSERT, pgdbm_params_array(&pair, 1), play_take, answer, request, &err));
}

static void a_lookup_is_cancelled_with_its_request(void **state)
{
    struct stage *stage = open_with_types(state);
    pgdbm_error err;
    for (int i = 0; i < 3; i++) {
        pgdbm_request *request = NULL;
        struct answer *answer = play_answer();
        if (i == 0)
            submit(stage->db, 0, answer, &request);
        else
            assert_ok(pgdbm_batch_submit(make_batch(stage->db, i == 1, 0), play_take, answer, &request, &err));
        play_gate_awaited(1);
        pgdbm_cancel(request);
        pgdbm_request_release(request);
        PLAY_UNTIL(answer->calls == 1);
        assert_int_equal(answer->status, PGDBM_ERR_CANCELED);
        assert_int_not_equal(answer->error.outcome, PGDBM_OUTCOME_UNKNOWN);
    }
    stage_gate_open(stage);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void a_lookup_ends_at_the_deadline_of_its_request(void **state)
{
    struct stage *stage = open_with_types(state);
    pgdbm_error err;
    for (int i = 0; i < 3; i++) {
        struct answer *answer = play_answer();
        if (i == 0)
            submit(stage->db, 300, answer, NULL);
        else
            assert_ok(pgdbm_batch_submit(make_batch(stage->db, i == 1, 300), play_take, answer, NULL, &err));
        PLAY_UNTIL(answer->calls == 1);
        assert_int_equal(answer->status, PGDBM_ERR_TIMEOUT);
        assert_int_not_equal(answer->error.outcome, PGDBM_OUTCOME_UNKNOWN);
    }
    const pgdbm_call call = {.timeout_ms = 300};
    assert_fails(PGDBM_ERR_TIMEOUT,
                 pgdbm_execute_with(stage->db, &call, INSERT, pgdbm_args(pgdbm_row_of(1, "b")), NULL, &err));
    assert_int_not_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    stage_gate_open(stage);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

/* It only looked: the statement can be run on another session, and is. */
static void a_statement_whose_lookup_was_lost_is_run_once(void **state)
{
    struct stage *stage = open_with_types(state);
    struct answer *answer = play_answer();
    submit(stage->db, 0, answer, NULL);
    play_gate_awaited(1);
    play_cut();
    stage_gate_open(stage);
    play_ok(answer);
    play_number(stage->db, "SELECT count(*) FROM t", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_lookup_is_cancelled_with_its_request),
        PLAY_BOTH(a_lookup_ends_at_the_deadline_of_its_request),
        PLAY_BOTH(a_statement_whose_lookup_was_lost_is_run_once),
    };
    return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
