/* SPDX-License-Identifier: MIT */
/* pgdbm_transact_async: commit, roll back, and what is tried again. Serialization failures and deadlocks are real ones. */
#include "async/play.h"

#include <libpq-fe.h>
#include <pgdbm/future.h>
#include <stdio.h>

/* A body of two steps: a statement, and in its callback a second one, and in that one's callback the end. */
struct body {
    const char *steps[2];
    atomic_int runs;
    bool (*before_second)(struct body *body); /* false: somebody else takes the second step */
    pgdbm_db *tx;
    pgdbm_transaction *transaction;
    int step;
    pgdbm_status own; /* what it finishes with when all went well */
};

static void step_done(const pgdbm_outcome *outcome, void *context);

static void take_second_step(struct body *body)
{
    pgdbm_error err;
    if (pgdbm_submit(body->tx, body->steps[1], pgdbm_no_args, step_done, body, &err) != PGDBM_OK)
        pgdbm_transaction_finish(body->transaction, err.status, &err);
}

static void step_done(const pgdbm_outcome *outcome, void *context)
{
    struct body *body = context;
    bool good = outcome->status == PGDBM_OK;
    if (!good || ++body->step == 2)
        pgdbm_transaction_finish(body->transaction, good ? body->own : outcome->status, outcome->error);
    else if (body->before_second == NULL || body->before_second(body))
        take_second_step(body);
}

static void run_body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    struct body *body = context;
    pgdbm_error err;
    body->tx = tx;
    body->transaction = transaction;
    body->step = 0;
    atomic_fetch_add(&body->runs, 1);
    if (pgdbm_submit(tx, body->steps[0], pgdbm_no_args, step_done, body, &err) != PGDBM_OK)
        pgdbm_transaction_finish(transaction, err.status, &err);
}

/* The context goes to body and callback alike, so that the answer is found by way of the body. */
struct played {
    struct body body; /* first */
    struct answer *answer;
};

static void take(const pgdbm_outcome *outcome, void *context)
{
    struct played *played = context;
    play_take(outcome, played->answer);
}

static struct answer *transact(pgdbm_db *db, const pgdbm_tx_options *options, struct played *played)
{
    pgdbm_error err;
    played->answer = play_answer();
    assert_ok(pgdbm_transact_async(db, options, run_body, take, played, &err));
    return played->answer;
}

static struct stage *open_with_table(void **state, int max_connections)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = max_connections});
    stage_run(stage->db, "CREATE TABLE t (i int, n int)");
    stage_run(stage->db, "INSERT INTO t VALUES (1, 0), (2, 0)");
    return stage;
}

static void success_commits(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    static struct played played;
    played = (struct played){.body.steps = {"INSERT INTO t VALUES (3)", "INSERT INTO t VALUES (4)"}};
    play_ok(transact(stage->db, NULL, &played));
    assert_int_equal(atomic_load(&played.body.runs), 1);
    play_number(stage->db, "SELECT count(*) FROM t", 4);
    play_rest();
}

static void failure_rolls_back_and_is_the_outcome(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    static struct played played;
    played = (struct played){.body.steps = {"INSERT INTO t VALUES (3)", "SELECT 1 / 0"}};
    struct answer *answer = transact(stage->db, NULL, &played);
    play_fails(answer, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answer->error.sqlstate, "22012");
    assert_int_equal(atomic_load(&played.body.runs), 1);
    play_number(stage->db, "SELECT count(*) FROM t", 2);
    play_rest();
}

static void a_bodys_own_status_rolls_back_and_is_the_outcome(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    static struct played played;
    played = (struct played){.body = {.steps = {"INSERT INTO t VALUES (3)", "SELECT 1"}, .own = PGDBM_ERR_CANCELED}};
    struct answer *answer = transact(stage->db, NULL, &played);
    PLAY_UNTIL(answer->calls == 1);
    assert_int_equal(answer->status, PGDBM_ERR_CANCELED);
    assert_int_equal(answer->error.status, PGDBM_ERR_CANCELED);
    play_number(stage->db, "SELECT count(*) FROM t", 2);
}

/* Somebody else changes the row that the body has read, and commits, before the body writes it; the first two times. */
static bool change_beside(struct body *body)
{
    if (atomic_load(&body->runs) > 2)
        return true;
    PGconn *other = PQconnectdb(play.stage->url);
    PQclear(PQexec(other, "UPDATE t SET n = n + 10 WHERE i = 1"));
    PQfinish(other);
    return true;
}

static void a_real_serialization_failure_is_tried_again(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    static struct played played;
    played = (struct played){.body = {.steps = {"SELECT n FROM t WHERE i = 1", "UPDATE t SET n = n + 1 WHERE i = 1"},
                                      .before_second = change_beside}};
    const pgdbm_tx_options options = {.isolation = PGDBM_REPEATABLE_READ, .retry_delay_ms = 1};
    play_ok(transact(stage->db, &options, &played));
    assert_int_equal(atomic_load(&played.body.runs), 3);
    play_number(stage->db, "SELECT n FROM t WHERE i = 1", 21);
    play_rest();
}

static void attempts_end_at_their_limit(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    static struct played played;
    played = (struct played){.body = {.steps = {"SELECT n FROM t WHERE i = 1", "UPDATE t SET n = n + 1 WHERE i = 1"},
                                      .before_second = change_beside}};
    const pgdbm_tx_options options = {.isolation = PGDBM_REPEATABLE_READ, .retry_delay_ms = 1, .max_attempts = 2};
    struct answer *answer = transact(stage->db, &options, &played);
    play_fails(answer, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_string_equal(answer->error.sqlstate, "40001");
    assert_true(answer->error.retryable);
    assert_int_equal(atomic_load(&played.body.runs), 2);
    play_number(stage->db, "SELECT n FROM t WHERE i = 1", 20);
}

static struct played crossing[2];

/* Each has a row and goes on to the other's when both are here: that is a deadlock. Later runs wait for nobody. */
static bool wait_for_the_other(struct body *body)
{
    struct body *other = &crossing[body == &crossing[0].body].body;
    if (atomic_load(&body->runs) > 1)
        return true;
    if (other->step == 0)
        return false;
    take_second_step(other);
    return true;
}

static void a_real_deadlock_is_tried_again(void **state)
{
    struct stage *stage = open_with_table(state, 2);
    for (int i = 0; i < 2; i++)
        crossing[i] = (struct played){.body.before_second = wait_for_the_other};
    crossing[0].body.steps[0] = crossing[1].body.steps[1] = "UPDATE t SET n = n + 1 WHERE i = 1";
    crossing[0].body.steps[1] = crossing[1].body.steps[0] = "UPDATE t SET n = n + 1 WHERE i = 2";
    const pgdbm_tx_options options = {.retry_delay_ms = 1};
    struct answer *first = transact(stage->db, &options, &crossing[0]);
    struct answer *second = transact(stage->db, &options, &crossing[1]);
    play_ok(first);
    play_ok(second);
    assert_true(atomic_load(&crossing[0].body.runs) + atomic_load(&crossing[1].body.runs) > 2);
    play_number(stage->db, "SELECT sum(n) FROM t", 4);
}

static void on_a_transaction_it_runs_in_a_savepoint_once(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    static struct played good, bad;
    good = (struct played){.body.steps = {"INSERT INTO t VALUES (3)", "SELECT 1"}};
    bad = (struct played){.body.steps = {"INSERT INTO t VALUES (4)",
                                         "DO $$ BEGIN RAISE EXCEPTION 'made' USING ERRCODE = '40001'; END $$"}};
    pgdbm_db *tx = play_begin(stage->db);
    play_ok(transact(tx, NULL, &good));
    play_fails(transact(tx, NULL, &bad), PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    assert_int_equal(atomic_load(&bad.body.runs), 1);
    struct answer *commit = play_answer();
    assert_ok(pgdbm_commit_async(tx, play_take, commit, &err));
    play_ok(commit);
    play_number(stage->db, "SELECT count(*) FROM t", 3);
}

static void finish_at_once(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    pgdbm_error err;
    (void)context;
    pgdbm_status status =
        pgdbm_execute_async(tx, "INSERT INTO t VALUES (3)", pgdbm_no_args, play_take, play_answer(), &err);
    pgdbm_transaction_finish(transaction, status, status == PGDBM_OK ? NULL : &err);
}

static void a_body_may_finish_before_its_statements_are_answered(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_transact_async(stage->db, NULL, finish_at_once, play_take, answer, &err));
    play_ok(answer);
    play_number(stage->db, "SELECT count(*) FROM t", 3);
}

static void a_future_takes_its_outcome_too(void **state)
{
    struct stage *stage = open_with_table(state, 1);
    pgdbm_error err;
    pgdbm_future *future = NULL;
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_transact_async(stage->db, NULL, finish_at_once, pgdbm_future_done, future, &err));
    PLAY_UNTIL(pgdbm_future_poll(future) != NULL);
    assert_int_equal(pgdbm_future_poll(future)->status, PGDBM_OK);
    pgdbm_future_free(future);
    play_number(stage->db, "SELECT count(*) FROM t", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(success_commits),
        PLAY_BOTH(failure_rolls_back_and_is_the_outcome),
        PLAY_BOTH(a_bodys_own_status_rolls_back_and_is_the_outcome),
        PLAY_BOTH(a_real_serialization_failure_is_tried_again),
        PLAY_BOTH(attempts_end_at_their_limit),
        PLAY_BOTH(a_real_deadlock_is_tried_again),
        PLAY_BOTH(on_a_transaction_it_runs_in_a_savepoint_once),
        PLAY_BOTH(a_body_may_finish_before_its_statements_are_answered),
        PLAY_BOTH(a_future_takes_its_outcome_too),
    };
    return cmocka_run_group_tests_name("transact", tests, NULL, NULL);
}
