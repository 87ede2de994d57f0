/* SPDX-License-Identifier: MIT */
/* Deadlines, and statements that are refused because the engine could not keep its promises with them. */
#include "db/stage.h"

#define SOON 20000 /* generous: a test machine may be slow, a hang lasts longer */

static void a_call_that_takes_too_long_times_out_and_is_rolled_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    int64_t begun = stage_clock_ms();
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = 50},
                                                       "SELECT pg_sleep(60)", pgdbm_no_args, NULL, &err));
    assert_true(stage_clock_ms() - begun < SOON);
    assert_int_equal(err.status, PGDBM_ERR_TIMEOUT);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_contains(err.statement, "pg_sleep");
    stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
}

static void every_verb_obeys_the_deadline_of_its_call(void **state)
{
    struct stage *stage = *state;
    const pgdbm_call soon = {.timeout_ms = 50};
    const char *const sql = "SELECT 1 FROM pg_sleep(60)";
    pgdbm_error err;
    pgdbm_result *result = (pgdbm_result *)&err;
    pgdbm_params none = pgdbm_no_args;
    int64_t number = 0;
    double real = 0;
    bool yes = false;
    char *text = (char *)&err;
    int64_t begun = stage_clock_ms();
    stage_run(stage->db, "CREATE TABLE t (id int)");
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fetch_all_with(stage->db, &soon, sql, none, &result, &err));
    assert_null(result);
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fetch_one_with(stage->db, &soon, sql, none, &result, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fetch_value_int64_with(stage->db, &soon, sql, none, &number, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fetch_value_double_with(stage->db, &soon, sql, none, &real, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fetch_value_bool_with(stage->db, &soon, sql, none, &yes, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_fetch_value_text_with(stage->db, &soon, sql, none, &text, &err));
    assert_null(text);
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_many_with(stage->db, &soon, sql, &none, 1, NULL, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_insert_id_with(stage->db, &soon, "INSERT INTO t SELECT 1 FROM pg_sleep(60)",
                                                         none, &number, &err));
    assert_true(stage_clock_ms() - begun < SOON);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void the_pools_command_timeout_is_every_calls(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .command_timeout_ms = 100});
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute(stage->db, "SELECT pg_sleep(60)", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = -1}, "SELECT pg_sleep(0.3)", pgdbm_no_args,
                                 NULL, &err));
    assert_ok(pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = 60000}, "SELECT pg_sleep(0.3)", pgdbm_no_args,
                                 NULL, &err));
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute(tx, "SELECT pg_sleep(60)", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_rollback(tx, &err));
}

static void the_servers_own_timeouts_are_its_errors(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .statement_timeout_ms = 100, .lock_timeout_ms = 50});
    stage_expect_text(stage->db, "SELECT current_setting('statement_timeout')", "100ms");
    stage_expect_text(stage->db, "SELECT current_setting('lock_timeout')", "50ms");
    pgdbm_status status = pgdbm_execute(stage->db, "SELECT pg_sleep(60)", pgdbm_no_args, NULL, &err);
    assert_int_not_equal(status, PGDBM_OK);
    assert_string_equal(err.sqlstate, "57014");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_gate_shut(stage);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, STAGE_PASS, pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "55P03");
}

static void a_call_that_times_out_in_a_transaction_fails_the_transaction(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_with(inner, &(pgdbm_call){.timeout_ms = 50}, "SELECT pg_sleep(60)",
                                                       pgdbm_no_args, NULL, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(inner, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25P02");
    assert_ok(pgdbm_rollback(inner, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void a_transaction_that_idles_too_long_is_ended_by_the_server(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    int64_t left = 1;
    int64_t give_up = stage_clock_ms() + SOON;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .idle_in_transaction_session_timeout_ms = 50});
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "CREATE TABLE t (i int)");
    while (left > 0 && stage_clock_ms() < give_up)
        left = stage_number(stage->db, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND "
                                       "datname = current_database()");
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_execute(tx, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25P03");
    assert_int_not_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN); /* not sent, or rolled back */
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT (to_regclass('t') IS NULL)::int", 1);
}

static void a_canceled_statement_says_that_it_was_canceled(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_CANCELED,
                 pgdbm_execute(stage->db, "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)", pgdbm_no_args,
                               NULL, &err));
    assert_string_equal(err.sqlstate, "57014");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
}

static void copy_is_refused_before_it_is_sent(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    stage_run(stage->db, "CREATE TABLE t (i int)");
    const char *const copies[] = {"COPY t FROM STDIN", "copy t to stdout", "COPY (SELECT 1) TO STDOUT",
                                  "/* hidden */ COPY t (i) FROM STDIN WITH (FORMAT csv)"};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, copies[i], pgdbm_no_args, NULL, &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
        assert_contains(err.message, "COPY");
        assert_true(err.hint[0] != '\0');
    }
    stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
}

static void transaction_control_is_refused_as_sql_text(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    const char *const refused[] = {
        "BEGIN",
        "begin;",
        "START TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT a",
        "RELEASE a",
        "ROLLBACK TO a",
        "/* x */ BEGIN",
        "COMMIT AND CHAIN",
        "-- x\nCOMMIT",
        "PREPARE TRANSACTION 'x'",
        "COMMIT PREPARED 'x'",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        for (int on_tx = 0; on_tx < 2; on_tx++) {
            pgdbm_status status = pgdbm_execute(on_tx ? tx : stage->db, refused[i], pgdbm_no_args, NULL, &err);
            if (status != PGDBM_ERR_TRANSACTION || err.outcome != PGDBM_OUTCOME_NOT_SENT)
                fail_msg("%s: came %s", refused[i], pgdbm_status_name(status));
        }
    assert_contains(err.hint, "pgdbm_begin");
    stage_expect_number(tx, "SELECT 1", 1);
    assert_ok(pgdbm_commit(tx, &err));
}

static void waiting_for_a_session_is_part_of_the_deadline(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    int64_t begun = stage_clock_ms();
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    pgdbm_status status =
        pgdbm_execute_with(stage->db, &(pgdbm_call){.timeout_ms = 50}, "SELECT 1", pgdbm_no_args, NULL, &err);
    assert_int_not_equal(status, PGDBM_OK);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_true(stage_clock_ms() - begun < SOON);
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        ON_ONE(a_call_that_takes_too_long_times_out_and_is_rolled_back),
        ON_ONE(every_verb_obeys_the_deadline_of_its_call),
        ON_NONE(the_pools_command_timeout_is_every_calls),
        ON_NONE(the_servers_own_timeouts_are_its_errors),
        ON_ONE(a_call_that_times_out_in_a_transaction_fails_the_transaction),
        ON_NONE(a_transaction_that_idles_too_long_is_ended_by_the_server),
        ON_ONE(a_canceled_statement_says_that_it_was_canceled),
        ON_ONE(copy_is_refused_before_it_is_sent),
        ON_FOUR(transaction_control_is_refused_as_sql_text),
        ON_ONE(waiting_for_a_session_is_part_of_the_deadline),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
