/* SPDX-License-Identifier: MIT */
/* pgdbm_execute and pgdbm_execute_simple: counts, errors, options of a call. */
#include "db/stage.h"

static void execute_reports_the_rows_affected(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t affected = -1;
    assert_ok(pgdbm_execute(stage->db, "CREATE TABLE t (id int)", pgdbm_no_args, &affected, &err));
    assert_int_equal(affected, 0);
    assert_ok(pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1), ($2), ($3)", pgdbm_args(1, 2, 3), &affected, &err));
    assert_int_equal(affected, 3);
    assert_ok(pgdbm_execute(stage->db, "UPDATE t SET id = id WHERE id > $1", pgdbm_args(1), &affected, &err));
    assert_int_equal(affected, 2);
    assert_ok(pgdbm_execute(stage->db, "DELETE FROM t WHERE id = 99", pgdbm_no_args, &affected, &err));
    assert_int_equal(affected, 0);
    assert_ok(pgdbm_execute(stage->db, "SELECT * FROM t", pgdbm_no_args, &affected, &err));
    assert_int_equal(affected, 3);
}

static void execute_needs_no_place_for_count_and_error(void **state)
{
    struct stage *stage = *state;
    assert_int_equal(pgdbm_execute(stage->db, "CREATE TABLE t (id int)", pgdbm_no_args, NULL, NULL), PGDBM_OK);
    assert_int_equal(pgdbm_execute(stage->db, "SELECT nothing", pgdbm_no_args, NULL, NULL), PGDBM_ERR_QUERY);
}

static void execute_of_an_empty_text_does_nothing(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t affected = -1;
    assert_ok(pgdbm_execute(stage->db, "", pgdbm_no_args, &affected, &err));
    assert_int_equal(affected, 0);
    assert_ok(pgdbm_execute(stage->db, "-- only a comment", pgdbm_no_args, &affected, &err));
    assert_ok(pgdbm_execute(stage->db, " ; ", pgdbm_no_args, &affected, &err));
}

static void execute_refuses_two_statements_at_once(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT 1; SELECT 2", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "42601");
}

static void a_servers_error_says_what_where_and_with_what_outcome(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT 1 FROM nowhere", pgdbm_no_args, NULL, &err));
    assert_int_equal(err.status, PGDBM_ERR_QUERY);
    assert_string_equal(err.sqlstate, "42P01");
    assert_int_equal(err.position, 15);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_false(err.retryable);
    assert_contains(err.message, "nowhere");
    assert_string_equal(err.statement, "SELECT 1 FROM nowhere");
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void a_violated_constraint_is_named_and_its_value_is_not(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (secret text CONSTRAINT one_of_each UNIQUE)");
    assert_ok(pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args("hunter2"), NULL, &err));
    assert_fails(PGDBM_ERR_QUERY,
                 pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args("hunter2"), NULL, &err));
    char text[2048];
    pgdbm_error_format(&err, text, sizeof text);
    assert_string_equal(err.sqlstate, "23505");
    assert_string_equal(err.constraint, "one_of_each");
    if (strstr(text, "hunter2") != NULL)
        fail_msg("the value is in the error:\n%s", text);
}

static void success_leaves_the_error_as_it_was(void **state)
{
    struct stage *stage = *state;
    pgdbm_error before, err;
    memset(&before, 0x5A, sizeof before);
    memset(&err, 0x5A, sizeof err);
    assert_int_equal(pgdbm_execute(stage->db, "SELECT 1", pgdbm_no_args, NULL, &err), PGDBM_OK);
    assert_memory_equal(&before, &err, sizeof err);
}

static void simple_runs_several_statements_as_one_transaction(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_ok(pgdbm_execute_simple(
        stage->db, "CREATE TABLE t (id int); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 2);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute_simple(stage->db, "INSERT INTO t VALUES (3); SELECT 1/0", &err));
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 2);
}

static void simple_expands_no_templates(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute_simple(stage->db, "SELECT * FROM {{tables.t}}", &err));
    assert_string_equal(err.sqlstate, "42601");
}

static void simple_drops_rows(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_ok(pgdbm_execute_simple(stage->db, "SELECT generate_series(1, 10000); SELECT 'a', 'b'", &err));
    stage_expect_number(stage->db, "SELECT 7", 7);
}

static void simple_runs_what_no_transaction_block_may_hold(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (id int)");
    assert_ok(pgdbm_execute_simple(stage->db, "VACUUM t", &err));
    assert_ok(pgdbm_execute_simple(stage->db, "CREATE INDEX CONCURRENTLY t_id ON t (id)", &err));
    assert_ok(pgdbm_execute(stage->db, "VACUUM t", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_execute(stage->db, "DROP INDEX CONCURRENTLY t_id", pgdbm_no_args, NULL, &err));
}

static void simple_refuses_copy_and_transaction_control(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (id int)");
    const char *const refused[] = {"BEGIN", "COMMIT", "INSERT INTO t VALUES (1); COMMIT; SELECT 1", "COPY t FROM STDIN",
                                   "SELECT 1; COPY t TO STDOUT"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute_simple(stage->db, refused[i], &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void simple_obeys_the_deadline_of_its_call(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t begun = stage_clock_ms();
    assert_fails(PGDBM_ERR_TIMEOUT,
                 pgdbm_execute_simple_with(stage->db, &(pgdbm_call){.timeout_ms = 50}, "SELECT pg_sleep(60)", &err));
    assert_true(stage_clock_ms() - begun < 20000);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void notices_and_notifications_are_no_errors(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "LISTEN news");
    for (int i = 0; i < 3; i++) {
        stage_run(session, "DO $$ BEGIN FOR i IN 1..2000 LOOP RAISE NOTICE 'number % of them', i; "
                           "PERFORM pg_notify('news', i::text); END LOOP; END $$");
        stage_expect_number(session, "SELECT 5", 5);
    }
    pgdbm_close(session);
    stage_expect_number(stage->db, "SELECT 6", 6);
}

static void a_statement_of_a_megabyte_arrives(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    size_t bytes = 1024 * 1024;
    char *sql = test_malloc(bytes + 1);
    memset(sql, ' ', bytes);
    memcpy(sql, "SELECT", 6);
    memcpy(sql + bytes - 2, "42", 3);
    int64_t value = 0;
    pgdbm_status status = pgdbm_fetch_value(stage->db, sql, pgdbm_no_args, &value, &err);
    test_free(sql);
    assert_ok(status);
    assert_int_equal(value, 42);
}

static void success_after_a_repetition_leaves_the_error_as_it_was(void **state)
{
    struct stage *stage = *state;
    pgdbm_error before, err;
    memset(&before, 0x5A, sizeof before);
    memset(&err, 0x5A, sizeof err);
    stage_run(stage->db, "CREATE TABLE t (id int)");
    stage_run(stage->db, "SELECT * FROM t");
    stage_run(stage->db, "ALTER TABLE t ADD COLUMN more int");
    assert_int_equal(pgdbm_execute(stage->db, "SELECT * FROM t", pgdbm_no_args, NULL, &err), PGDBM_OK);
    if (memcmp(&before, &err, sizeof err) != 0)
        fail_msg("the error was written: %s", err.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_FOUR(execute_reports_the_rows_affected),
        ON_FOUR(execute_needs_no_place_for_count_and_error),
        ON_FOUR(execute_of_an_empty_text_does_nothing),
        ON_FOUR(execute_refuses_two_statements_at_once),
        ON_FOUR(a_servers_error_says_what_where_and_with_what_outcome),
        ON_FOUR(a_violated_constraint_is_named_and_its_value_is_not),
        ON_FOUR(success_leaves_the_error_as_it_was),
        ON_FOUR(simple_runs_several_statements_as_one_transaction),
        ON_FOUR(simple_expands_no_templates),
        ON_FOUR(simple_drops_rows),
        ON_FOUR(simple_runs_what_no_transaction_block_may_hold),
        ON_FOUR(simple_refuses_copy_and_transaction_control),
        ON_FOUR(simple_obeys_the_deadline_of_its_call),
        ON_FOUR(notices_and_notifications_are_no_errors),
        ON_FOUR(a_statement_of_a_megabyte_arrives),
        ON_FOUR(success_after_a_repetition_leaves_the_error_as_it_was),
    };
    return cmocka_run_group_tests_name("execute", tests, NULL, NULL);
}
