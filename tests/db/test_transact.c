/* SPDX-License-Identifier: MIT */
/* pgdbm_transact: commit, roll back, and what is tried again. */
#include "db/crew.h"

#include <stdio.h>

struct body {
    int runs;
    int fail_until;       /* runs that fail */
    const char *sqlstate; /* with which the server makes them fail */
    pgdbm_db *nested;
};

static pgdbm_status insert_one(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    struct body *body = context;
    char sql[200];
    body->runs++;
    pgdbm_status status = pgdbm_execute(tx, "INSERT INTO t VALUES ($1)", pgdbm_args(body->runs), NULL, err);
    if (status == PGDBM_OK && body->runs <= body->fail_until) {
        snprintf(sql, sizeof sql, "DO $$ BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '%s'; END $$",
                 body->sqlstate);
        status = pgdbm_execute(tx, sql, pgdbm_no_args, NULL, err);
    }
    return status;
}

static int make_table(void **state)
{
    stage_setup_four(state);
    stage_run(((struct stage *)*state)->db, "CREATE TABLE t (i int)");
    return 0;
}

static void success_commits(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct body body = {0};
    assert_ok(pgdbm_transact(stage->db, NULL, insert_one, &body, &err));
    assert_int_equal(body.runs, 1);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void failure_rolls_back_and_is_returned(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct body body = {.fail_until = 1000, .sqlstate = "23514"};
    assert_fails(PGDBM_ERR_QUERY, pgdbm_transact(stage->db, NULL, insert_one, &body, &err));
    assert_string_equal(err.sqlstate, "23514");
    assert_contains(err.message, "made to fail");
    assert_int_equal(body.runs, 1);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static pgdbm_status change_ones_mind(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    (void)context;
    pgdbm_status status = pgdbm_execute(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, err);
    if (status != PGDBM_OK)
        return status;
    err->status = PGDBM_ERR_CANCELED;
    snprintf(err->message, sizeof err->message, "changed my mind");
    return PGDBM_ERR_CANCELED;
}

static void a_bodys_own_error_is_returned_as_it_is(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_CANCELED, pgdbm_transact(stage->db, NULL, change_ones_mind, NULL, &err));
    assert_string_equal(err.message, "changed my mind");
    assert_int_equal(pgdbm_transact(stage->db, NULL, change_ones_mind, NULL, NULL), PGDBM_ERR_CANCELED);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void serialization_failures_and_deadlocks_are_tried_again(void **state)
{
    struct stage *stage = *state;
    const char *const states[] = {"40001", "40P01"};
    for (size_t i = 0; i < 2; i++) {
        pgdbm_error err;
        struct body body = {.fail_until = 3, .sqlstate = states[i]};
        stage_run(stage->db, "TRUNCATE t");
        assert_ok(pgdbm_transact(stage->db, &(pgdbm_tx_options){.retry_delay_ms = 1}, insert_one, &body, &err));
        assert_int_equal(body.runs, 4);
        stage_expect_number(stage->db, "SELECT i FROM t", 4);
    }
}

static void attempts_end_at_their_limit(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct body body = {.fail_until = 1000, .sqlstate = "40001"};
    assert_fails(PGDBM_ERR_QUERY, pgdbm_transact(stage->db, &(pgdbm_tx_options){.retry_delay_ms = 1, .max_attempts = 3},
                                                 insert_one, &body, &err));
    assert_string_equal(err.sqlstate, "40001");
    assert_true(err.retryable);
    assert_int_equal(body.runs, 3);
    body.runs = 0;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_transact(stage->db, NULL, insert_one, &body, &err));
    assert_int_equal(body.runs, 5);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void on_a_transaction_it_runs_in_a_savepoint_once(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    struct body good = {0};
    struct body bad = {.fail_until = 1000, .sqlstate = "40001"};
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_transact(tx, NULL, insert_one, &good, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_transact(tx, NULL, insert_one, &bad, &err));
    assert_int_equal(bad.runs, 1);
    stage_expect_number(tx, "SELECT count(*) FROM t", 1);
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static pgdbm_status swallow_an_error(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    int *runs = context;
    ++*runs;
    (void)pgdbm_execute(tx, "SELECT 1 / 0", pgdbm_no_args, NULL, err);
    return PGDBM_OK;
}

static void a_body_that_swallows_an_error_cannot_commit(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int runs = 0;
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_transact(stage->db, NULL, swallow_an_error, &runs, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_int_equal(runs, 1);
}

/* Two threads meet in the middle of their first attempts, so that those conflict whatever the timing. */
struct duel {
    struct stage *stage;
    pthread_barrier_t both_begun;
    pgdbm_tx_options options;
    const char *first[2], *second[2];
    atomic_int runs[2];
};

struct duelist {
    struct duel *duel;
    size_t number;
};

static pgdbm_status fight(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    struct duelist *duelist = context;
    struct duel *duel = duelist->duel;
    bool first = atomic_fetch_add(&duel->runs[duelist->number], 1) == 0;
    pgdbm_status status = pgdbm_execute(tx, duel->first[duelist->number], pgdbm_no_args, NULL, err);
    if (first)
        pthread_barrier_wait(&duel->both_begun);
    if (status == PGDBM_OK)
        status = pgdbm_execute(tx, duel->second[duelist->number], pgdbm_no_args, NULL, err);
    return status;
}

static void duelist_main(struct crew_hand *hand)
{
    struct duel *duel = hand->shared;
    struct duelist duelist = {duel, hand->number};
    pgdbm_error err;
    pgdbm_status status = pgdbm_transact(duel->stage->db, &duel->options, fight, &duelist, &err);
    crew_wants(hand, PGDBM_OK, status, &err);
}

static void run_duel(struct duel *duel)
{
    pthread_barrier_init(&duel->both_begun, NULL, 2);
    crew_run(2, duelist_main, duel);
    pthread_barrier_destroy(&duel->both_begun);
    int runs = atomic_load(&duel->runs[0]) + atomic_load(&duel->runs[1]);
    if (runs < 3)
        fail_msg("expected that one of both had to try again, came %d runs together", runs);
}

static void two_serializable_transactions_that_conflict_both_succeed(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TABLE doctors (name text, on_call bool)");
    stage_run(stage->db, "INSERT INTO doctors VALUES ('alice', true), ('bob', true)");
    struct duel duel = {
        .stage = stage,
        .options = {.isolation = PGDBM_SERIALIZABLE, .max_attempts = 20, .retry_delay_ms = 1},
        .first = {"SELECT count(*) FROM doctors WHERE on_call", "SELECT count(*) FROM doctors WHERE on_call"},
        .second = {"UPDATE doctors SET on_call = false WHERE name = 'alice' AND (SELECT count(*) FROM doctors WHERE "
                   "on_call) > 1",
                   "UPDATE doctors SET on_call = false WHERE name = 'bob' AND (SELECT count(*) FROM doctors WHERE "
                   "on_call) > 1"},
    };
    run_duel(&duel);
    stage_expect_number(stage->db, "SELECT count(*) FROM doctors WHERE on_call", 1);
}

static void two_transactions_that_deadlock_both_succeed(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TABLE accounts (id int PRIMARY KEY, cents int)");
    stage_run(stage->db, "INSERT INTO accounts VALUES (1, 0), (2, 0)");
    struct duel duel = {
        .stage = stage,
        .options = {.max_attempts = 20, .retry_delay_ms = 1},
        .first = {"UPDATE accounts SET cents = cents + 1 WHERE id = 1",
                  "UPDATE accounts SET cents = cents + 1 WHERE id = 2"},
        .second = {"UPDATE accounts SET cents = cents + 1 WHERE id = 2",
                   "UPDATE accounts SET cents = cents + 1 WHERE id = 1"},
    };
    run_duel(&duel);
    stage_expect_number(stage->db, "SELECT count(*) FROM accounts WHERE cents = 2", 2);
}

static pgdbm_status lose_the_connection_once(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    struct body *body = context;
    pgdbm_status status = pgdbm_execute(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, err);
    if (status == PGDBM_OK && body->runs++ < body->fail_until)
        status =
            pgdbm_execute(tx, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)", pgdbm_no_args, NULL, err);
    return status;
}

static void a_connection_lost_before_the_commit_is_tried_again(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct body body = {.fail_until = 2};
    assert_ok(
        pgdbm_transact(stage->db, &(pgdbm_tx_options){.retry_delay_ms = 1}, lose_the_connection_once, &body, &err));
    assert_int_equal(body.runs, 3);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void transact_that_succeeds_leaves_the_error_as_it_was(void **state)
{
    struct stage *stage = *state;
    pgdbm_error before, err;
    struct body body = {.fail_until = 1, .sqlstate = "40001"};
    memset(&before, 0x5A, sizeof before);
    memset(&err, 0x5A, sizeof err);
    assert_int_equal(pgdbm_transact(stage->db, NULL, insert_one, &body, &err), PGDBM_OK);
    if (memcmp(&before, &err, sizeof err) != 0)
        fail_msg("the error was written: \"%s\"", err.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, make_table, stage_teardown)
        ON_TABLE(success_commits),
        ON_TABLE(failure_rolls_back_and_is_returned),
        ON_TABLE(a_bodys_own_error_is_returned_as_it_is),
        ON_TABLE(serialization_failures_and_deadlocks_are_tried_again),
        ON_TABLE(attempts_end_at_their_limit),
        ON_TABLE(on_a_transaction_it_runs_in_a_savepoint_once),
        ON_TABLE(a_body_that_swallows_an_error_cannot_commit),
        ON_TABLE(two_serializable_transactions_that_conflict_both_succeed),
        ON_TABLE(two_transactions_that_deadlock_both_succeed),
        ON_TABLE(a_connection_lost_before_the_commit_is_tried_again),
        ON_TABLE(transact_that_succeeds_leaves_the_error_as_it_was),
    };
    return cmocka_run_group_tests_name("transact", tests, NULL, NULL);
}
