/* SPDX-License-Identifier: MIT */
/* Transactions and savepoints: what commits, what rolls back, and what is refused. */
#include "db/crew.h"

static void make_table(struct stage *stage)
{
    stage_run(stage->db, "CREATE TABLE t (i int)");
}

static void expect_rows(pgdbm_db *db, int64_t expected)
{
    stage_expect_number(db, "SELECT count(*) FROM t", expected);
}

static void commit_makes_it_visible_and_rollback_undoes_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    expect_rows(tx, 1);
    expect_rows(stage->db, 0);
    assert_ok(pgdbm_commit(tx, &err));
    expect_rows(stage->db, 1);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (2)");
    assert_ok(pgdbm_rollback(tx, &err));
    expect_rows(stage->db, 1);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void close_rolls_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    pgdbm_close(tx);
    expect_rows(stage->db, 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void savepoints_nest_three_deep(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *first, *second, *third;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (0)");
    assert_ok(pgdbm_begin(tx, NULL, &first, &err));
    stage_run(first, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(first, NULL, &second, &err));
    stage_run(second, "INSERT INTO t VALUES (2)");
    assert_ok(pgdbm_begin(second, NULL, &third, &err));
    stage_run(third, "INSERT INTO t VALUES (3)");
    expect_rows(third, 4);
    assert_ok(pgdbm_commit(third, &err));
    expect_rows(second, 4);
    assert_ok(pgdbm_rollback(second, &err));
    expect_rows(first, 2);
    assert_ok(pgdbm_commit(first, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_text(stage->db, "SELECT string_agg(i::text, ',' ORDER BY i) FROM t", "0,1");
}

static void a_savepoint_after_a_savepoint_is_independent(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    for (int i = 0; i < 6; i++) {
        assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
        assert_ok(pgdbm_execute(inner, "INSERT INTO t VALUES ($1)", pgdbm_args(i), NULL, &err));
        if (i % 2 == 0)
            assert_ok(pgdbm_commit(inner, &err));
        else
            assert_ok(pgdbm_rollback(inner, &err));
    }
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_text(stage->db, "SELECT string_agg(i::text, ',' ORDER BY i) FROM t", "0,2,4");
}

static void an_error_inside_a_savepoint_spares_what_is_around_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(inner, "SELECT 1 / 0", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_rollback(inner, &err));
    stage_run(tx, "INSERT INTO t VALUES (2)");
    assert_ok(pgdbm_commit(tx, &err));
    expect_rows(stage->db, 2);
}

static void the_outer_one_refuses_work_while_the_inner_one_is_open(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner, *more = NULL;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(err.message, "test_transaction.c");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_begin(tx, NULL, &more, &err));
    assert_null(more);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute_simple(tx, "INSERT INTO t VALUES (1)", &err));
    assert_ok(pgdbm_commit(inner, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_commit(tx, &err));
    expect_rows(stage->db, 1);
}

static void ending_the_outer_one_ends_the_inner_ones(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner, *innermost;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_ok(pgdbm_begin(inner, NULL, &innermost, &err));
    stage_run(innermost, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_rollback(tx, &err));
    assert_int_equal(stage_stats(stage).leased, 0);
    pgdbm_db *const ended[] = {inner, innermost};
    for (size_t i = 0; i < 2; i++) {
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(ended[i], "SELECT 1", pgdbm_no_args, NULL, &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
    /* The session has gone to somebody else meanwhile: what is left of the inner handles must not touch it. */
    pgdbm_db *next;
    assert_ok(pgdbm_begin(stage->db, NULL, &next, &err));
    stage_run(next, "INSERT INTO t VALUES (2)");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_commit(innermost, &err));
    pgdbm_close(inner);
    stage_run(next, "INSERT INTO t VALUES (3)");
    assert_ok(pgdbm_commit(next, &err));
    stage_expect_text(stage->db, "SELECT string_agg(i::text, ',' ORDER BY i) FROM t", "2,3");
}

static void ending_a_savepoint_ends_the_ones_inside_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner, *innermost;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_ok(pgdbm_begin(inner, NULL, &innermost, &err));
    stage_run(innermost, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_rollback(inner, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(innermost, "SELECT 1", pgdbm_no_args, NULL, &err));
    stage_run(tx, "INSERT INTO t VALUES (2)");
    pgdbm_close(innermost);
    stage_run(tx, "INSERT INTO t VALUES (3)");
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_text(stage->db, "SELECT string_agg(i::text, ',' ORDER BY i) FROM t", "2,3");
}

static void a_transaction_in_which_a_statement_failed_cannot_commit(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(tx, "SELECT 1 / 0", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_commit(tx, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    expect_rows(stage->db, 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void a_failed_savepoint_cannot_commit_and_the_rest_can(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "INSERT INTO t VALUES (2)");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(inner, "SELECT 1 / 0", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_commit(inner, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_ok(pgdbm_commit(tx, &err));
    expect_rows(stage->db, 1);
}

static void a_constraint_that_fails_at_the_commit_is_the_commits_error(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    stage_run(stage->db, "CREATE TABLE t (i int CONSTRAINT unique_at_last UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1), (1)");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_commit(tx, &err));
    assert_string_equal(err.sqlstate, "23505");
    assert_string_equal(err.constraint, "unique_at_last");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    expect_rows(stage->db, 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void committing_with_a_nested_one_open_rolls_all_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "INSERT INTO t VALUES (2)");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_commit(tx, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    expect_rows(stage->db, 0);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(inner, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_rollback(inner, &err));
}

static void isolation_and_modes_take_effect(void **state)
{
    struct stage *stage = *state;
    const struct {
        pgdbm_tx_options options;
        const char *isolation, *read_only, *deferrable;
    } cases[] = {
        {{0}, "read committed", "off", "off"},
        {{.isolation = PGDBM_READ_COMMITTED, .read_only = true}, "read committed", "on", "off"},
        {{.isolation = PGDBM_REPEATABLE_READ}, "repeatable read", "off", "off"},
        {{.isolation = PGDBM_SERIALIZABLE}, "serializable", "off", "off"},
        {{.isolation = PGDBM_SERIALIZABLE, .read_only = true, .deferrable = true}, "serializable", "on", "on"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgdbm_error err;
        pgdbm_db *tx;
        assert_ok(pgdbm_begin(stage->db, &cases[i].options, &tx, &err));
        stage_expect_text(tx, "SHOW transaction_isolation", cases[i].isolation);
        stage_expect_text(tx, "SHOW transaction_read_only", cases[i].read_only);
        stage_expect_text(tx, "SHOW transaction_deferrable", cases[i].deferrable);
        assert_ok(pgdbm_commit(tx, &err));
        stage_expect_text(stage->db, "SHOW transaction_isolation", "read committed");
        stage_expect_text(stage->db, "SHOW transaction_read_only", "off");
    }
}

static void a_read_only_transaction_cannot_write(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, &(pgdbm_tx_options){.read_only = true}, &tx, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25006");
    assert_ok(pgdbm_rollback(tx, &err));
}

static void options_on_a_savepoint_are_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    const pgdbm_tx_options refused[] = {{.isolation = PGDBM_SERIALIZABLE}, {.read_only = true}, {.deferrable = true}};
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    for (size_t i = 0; i < 3; i++) {
        inner = (pgdbm_db *)&err;
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_begin(tx, &refused[i], &inner, &err));
        assert_null(inner);
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
    assert_ok(pgdbm_begin(tx, &(pgdbm_tx_options){0}, &inner, &err));
    assert_ok(pgdbm_commit(inner, &err));
    assert_ok(pgdbm_commit(tx, &err));
}

static void an_isolation_level_that_does_not_exist_is_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx = (pgdbm_db *)&err;
    assert_fails(PGDBM_ERR_ARGUMENT,
                 pgdbm_begin(stage->db, &(pgdbm_tx_options){.isolation = (pgdbm_isolation)99}, &tx, &err));
    assert_null(tx);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void what_is_no_transaction_cannot_be_committed(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    pgdbm_db *const handles[] = {stage->db, session};
    for (size_t i = 0; i < 2; i++) {
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_commit(handles[i], &err));
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rollback(handles[i], &err));
        stage_expect_number(handles[i], "SELECT 1", 1);
    }
    pgdbm_close(session);
}

static void a_lost_connection_is_told_at_the_commit_and_not_at_the_rollback(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *committed, *rolled_back;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &committed, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &rolled_back, &err));
    stage_run(committed, "INSERT INTO t VALUES (1)");
    test_psql(stage->url, "SELECT pg_terminate_backend(pid) FROM " TEST_ACTIVITY " WHERE pid <> pg_backend_pid() AND "
                          "state = 'idle in transaction'");
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_commit(committed, &err));
    assert_ok(pgdbm_rollback(rolled_back, &err));
    expect_rows(stage->db, 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void insert_in_common(struct crew_hand *hand)
{
    pgdbm_db *tx = hand->shared;
    for (int i = 0; i < 50; i++) {
        pgdbm_error err;
        pgdbm_status status = pgdbm_execute(tx, "INSERT INTO t VALUES ($1)", pgdbm_args(hand->number), NULL, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err))
            return;
    }
}

static void several_threads_may_work_in_one_transaction(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *tx;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    crew_run(8, insert_in_common, tx);
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_FOUR(commit_makes_it_visible_and_rollback_undoes_it),
        ON_FOUR(close_rolls_back),
        ON_FOUR(savepoints_nest_three_deep),
        ON_FOUR(a_savepoint_after_a_savepoint_is_independent),
        ON_FOUR(an_error_inside_a_savepoint_spares_what_is_around_it),
        ON_FOUR(the_outer_one_refuses_work_while_the_inner_one_is_open),
        ON_FOUR(ending_the_outer_one_ends_the_inner_ones),
        ON_FOUR(ending_a_savepoint_ends_the_ones_inside_it),
        ON_FOUR(a_transaction_in_which_a_statement_failed_cannot_commit),
        ON_FOUR(a_failed_savepoint_cannot_commit_and_the_rest_can),
        ON_FOUR(a_constraint_that_fails_at_the_commit_is_the_commits_error),
        ON_FOUR(committing_with_a_nested_one_open_rolls_all_back),
        ON_FOUR(isolation_and_modes_take_effect),
        ON_FOUR(a_read_only_transaction_cannot_write),
        ON_FOUR(options_on_a_savepoint_are_refused),
        ON_FOUR(an_isolation_level_that_does_not_exist_is_refused),
        ON_FOUR(what_is_no_transaction_cannot_be_committed),
        ON_FOUR(a_lost_connection_is_told_at_the_commit_and_not_at_the_rollback),
        ON_FOUR(several_threads_may_work_in_one_transaction),
    };
    return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
