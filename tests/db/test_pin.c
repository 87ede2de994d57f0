/* SPDX-License-Identifier: MIT */
/* Pinned sessions. */
#include "db/stage.h"

static void settings_live_on_the_pin_and_nowhere_else(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    int64_t pid = stage_number(session, "SELECT pg_backend_pid()");
    stage_run(session, "SET work_mem = '7MB'");
    for (int i = 0; i < 5; i++) {
        stage_expect_text(session, "SHOW work_mem", "7MB");
        stage_expect_number(session, "SELECT pg_backend_pid()", pid);
        stage_expect_text(stage->db, "SHOW work_mem", "4MB");
    }
    pgdbm_close(session);
    pgdbm_db *sessions[4];
    for (size_t i = 0; i < 4; i++) {
        assert_ok(pgdbm_pin(stage->db, &sessions[i], &err));
        stage_expect_text(sessions[i], "SHOW work_mem", "4MB");
    }
    for (size_t i = 0; i < 4; i++)
        pgdbm_close(sessions[i]);
}

static void temporary_tables_and_locks_live_as_long_as_the_pin(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "CREATE TEMP TABLE mine (i int)");
    stage_run(session, "SELECT pg_advisory_lock(4711)");
    stage_run(session, "INSERT INTO mine VALUES (1), (2)");
    stage_expect_number(session, "SELECT count(*) FROM mine", 2);
    stage_expect_number(stage->db, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory' AND objid = 4711",
                        1);
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory' AND objid = 4711",
                        0);
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_class WHERE relname = 'mine'", 0);
}

static void a_pin_of_a_transaction_or_a_pin_is_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session, *tx, *inner;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    pgdbm_db *const handles[] = {session, inner, tx};
    for (size_t i = 0; i < 3; i++) {
        pgdbm_db *none = (pgdbm_db *)&err;
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_pin(handles[i], &none, &err));
        assert_null(none);
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
    pgdbm_close(inner);
    pgdbm_close(tx);
    pgdbm_close(session);
}

static void a_transaction_on_a_pin_uses_its_session(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session, *tx;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    int64_t pid = stage_number(session, "SELECT pg_backend_pid()");
    stage_run(session, "SET application_name = 'mine'");
    assert_ok(pgdbm_begin(session, &(pgdbm_tx_options){.isolation = PGDBM_SERIALIZABLE}, &tx, &err));
    stage_expect_number(tx, "SELECT pg_backend_pid()", pid);
    stage_expect_text(tx, "SHOW application_name", "mine");
    stage_expect_text(tx, "SHOW transaction_isolation", "serializable");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(session, "SELECT 1", pgdbm_no_args, NULL, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
    stage_expect_text(session, "SHOW application_name", "mine");
    assert_ok(pgdbm_begin(session, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (2)");
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_text(session, "SHOW application_name", "mine");
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void a_pin_may_control_transactions_by_sql(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "BEGIN");
    stage_run(session, "INSERT INTO t VALUES (1)");
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
    stage_run(session, "COMMIT");
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
    stage_run(session, "BEGIN");
    stage_run(session, "INSERT INTO t VALUES (2)");
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void a_failed_transaction_on_a_pin_is_told_and_can_be_ended(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "BEGIN");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(session, "SELECT 1 / 0", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(session, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25P02");
    stage_run(session, "ROLLBACK");
    stage_expect_number(session, "SELECT 1", 1);
    pgdbm_close(session);
}

static void a_pin_whose_session_died_says_so_and_is_replaced(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_fails(PGDBM_ERR_CONNECTION,
                 pgdbm_execute(session, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(60)", pgdbm_no_args,
                               NULL, &err));
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_execute(session, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    pgdbm_close(session);
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_expect_number(session, "SELECT 1", 1);
    pgdbm_close(session);
}

static void closing_a_pin_ends_the_transaction_on_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session, *tx, *inner, *next;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_ok(pgdbm_begin(session, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "INSERT INTO t VALUES (1)");
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
    /* The session has gone to somebody else meanwhile. */
    assert_ok(pgdbm_begin(stage->db, NULL, &next, &err));
    stage_run(next, "INSERT INTO t VALUES (2)");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(inner, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(tx, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_close(tx);
    pgdbm_close(inner);
    assert_ok(pgdbm_commit(next, &err));
    stage_expect_number(stage->db, "SELECT i FROM t", 2);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void a_retired_pin_is_closed_and_replaced(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    int64_t pid = stage_number(session, "SELECT pg_backend_pid()");
    assert_ok(pgdbm_retire(session, &err));
    assert_ok(pgdbm_retire(session, &err));
    stage_expect_number(session, "SELECT pg_backend_pid()", pid); /* it serves until it is closed */
    pgdbm_close(session);
    assert_ok(pgdbm_pin(stage->db, &session, &err)); /* of a pool of one */
    assert_int_not_equal(stage_number(session, "SELECT pg_backend_pid()"), pid);
    pgdbm_close(session);
    STAGE_UNTIL(stage, stats.connections_closed == 1 && stats.connections_opened == 2);
}

static void handles_on_a_retired_pin_answer_after_it_is_gone(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session, *tx;
    int pid;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_ok(pgdbm_retire(session, &err));
    assert_ok(pgdbm_begin(session, NULL, &tx, &err));
    pgdbm_close(session);
    STAGE_UNTIL(stage, stats.connections_closed == 1);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(tx, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_session_pid(tx, &pid, &err));
    pgdbm_close(tx);
}

static void only_a_pin_can_be_retired(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_retire(tx, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_retire(stage->db, &err));
    pgdbm_close(tx);
}

static void a_session_knows_its_servers_process(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session, *tx;
    int pid, of_transaction;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_ok(pgdbm_session_pid(session, &pid, &err));
    stage_expect_number(session, "SELECT pg_backend_pid()", pid);
    assert_ok(pgdbm_begin(session, NULL, &tx, &err));
    assert_ok(pgdbm_session_pid(tx, &of_transaction, &err));
    assert_int_equal(of_transaction, pid);
    pgdbm_close(tx);
    pgdbm_close(session);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_session_pid(stage->db, &pid, &err));
    assert_int_equal(pid, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
        ON_FOUR(settings_live_on_the_pin_and_nowhere_else),
        ON_FOUR(temporary_tables_and_locks_live_as_long_as_the_pin),
        ON_FOUR(a_pin_of_a_transaction_or_a_pin_is_refused),
        ON_FOUR(a_transaction_on_a_pin_uses_its_session),
        ON_FOUR(a_pin_may_control_transactions_by_sql),
        ON_FOUR(a_failed_transaction_on_a_pin_is_told_and_can_be_ended),
        ON_ONE(a_pin_whose_session_died_says_so_and_is_replaced),
        ON_ONE(closing_a_pin_ends_the_transaction_on_it),
        ON_ONE(a_retired_pin_is_closed_and_replaced),
        ON_ONE(handles_on_a_retired_pin_answer_after_it_is_gone),
        ON_ONE(only_a_pin_can_be_retired),
        ON_FOUR(a_session_knows_its_servers_process),
    };
    return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}
