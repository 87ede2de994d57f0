/* SPDX-License-Identifier: MIT */
/* Prepared statements: used again, shared by sessions, forgotten when there are too many, and mended when the world
 * changes under them. */
#include "db/crew.h"

#include <stdio.h>

static void a_statement_is_prepared_once(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "SELECT 10");
    uint64_t before = stage_stats(stage).statements_prepared;
    for (int i = 0; i < 10; i++)
        stage_run(stage->db, "SELECT 10");
    assert_int_equal(stage_stats(stage).statements_prepared, before);
    stage_run(stage->db, "SELECT 11");
    assert_int_equal(stage_stats(stage).statements_prepared, before + 1);
}

static void a_further_session_needs_one_parse_and_no_more(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *sessions[3];
    for (size_t i = 0; i < 3; i++)
        assert_ok(pgdbm_pin(stage->db, &sessions[i], &err));
    uint64_t before = stage_stats(stage).statements_prepared;
    for (size_t i = 0; i < 3; i++) {
        stage_expect_number(sessions[i], "SELECT 20", 20);
        assert_int_equal(stage_stats(stage).statements_prepared, before + i + 1);
        stage_expect_number(sessions[i], "SELECT 20", 20);
        assert_int_equal(stage_stats(stage).statements_prepared, before + i + 1);
    }
    for (size_t i = 0; i < 3; i++)
        pgdbm_close(sessions[i]);
}

static void the_least_recently_used_statement_goes_first(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .statement_cache_size = 2});
    static const char *const statements[] = {"SELECT 0", "SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"};
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 5; i++)
            stage_expect_number(stage->db, statements[i], i);
    uint64_t before = stage_stats(stage).statements_prepared;
    stage_expect_number(stage->db, statements[3], 3); /* still there, and the most recent now */
    assert_int_equal(stage_stats(stage).statements_prepared, before);
    stage_expect_number(stage->db, statements[0], 0); /* in the place of 4 */
    assert_int_equal(stage_stats(stage).statements_prepared, before + 1);
    stage_expect_number(stage->db, statements[3], 3);
    assert_int_equal(stage_stats(stage).statements_prepared, before + 1);
    stage_expect_number(stage->db, statements[4], 4);
    assert_int_equal(stage_stats(stage).statements_prepared, before + 2);
    /* The server keeps no more than the pool knows of: two, and the one that looks pushes one of them out. */
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_prepared_statements", 2);
    assert_int_equal(stage_stats(stage).statements_repeated, 0);
}

static void without_a_cache_nothing_stays_prepared(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    int64_t value = 0;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .statement_cache_size = -1});
    stage_run(stage->db, "CREATE TABLE t (i int, text text)");
    for (int i = 0; i < 5; i++) {
        assert_ok(pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1, $2)", pgdbm_args(i, "x"), NULL, &err));
        assert_ok(pgdbm_fetch_value(stage->db, "SELECT count(*) FROM t WHERE i < $1", pgdbm_args(100), &value, &err));
        assert_int_equal(value, i + 1);
    }
    const pgdbm_params sets[] = {pgdbm_args(10, "a"), pgdbm_args(11, "b")};
    assert_ok(pgdbm_execute_many(stage->db, "INSERT INTO t VALUES ($1, $2)", sets, 2, NULL, &err));
    assert_fails(PGDBM_ERR_TYPE,
                 pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1, $2)", pgdbm_args("1"), NULL, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_expect_number(tx, "SELECT count(*) FROM t", 7);
    assert_ok(pgdbm_commit(tx, &err));
    stage_run(stage->db, "ALTER TABLE t ADD COLUMN more int");
    pgdbm_result *result = NULL;
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT * FROM t", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_columns(result), 3);
    pgdbm_result_free(result);
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_prepared_statements", 0);
}

static size_t columns_of_all(pgdbm_db *db)
{
    pgdbm_error err;
    pgdbm_result *result = NULL;
    assert_ok(pgdbm_fetch_all(db, "SELECT * FROM t", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 1);
    size_t columns = pgdbm_result_columns(result);
    pgdbm_result_free(result);
    return columns;
}

static void an_added_column_is_invisible_to_the_caller(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_run(stage->db, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_int_equal(columns_of_all(stage->db), 1);
    assert_int_equal(columns_of_all(session), 1);
    stage_run(stage->db, "ALTER TABLE t ADD COLUMN more int");
    assert_int_equal(columns_of_all(stage->db), 2);
    assert_int_equal(columns_of_all(session), 2);
    stage_run(stage->db, "ALTER TABLE t DROP COLUMN i");
    assert_int_equal(columns_of_all(session), 1);
    assert_int_equal(columns_of_all(stage->db), 1);
    assert_true(stage_stats(stage).statements_repeated >= 2);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
    pgdbm_close(session);
}

static void inside_a_transaction_a_changed_result_is_invisible_too(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_run(stage->db, "CREATE TABLE u (i int)");
    stage_run(stage->db, "INSERT INTO t VALUES (1)");
    assert_int_equal(columns_of_all(stage->db), 1);
    stage_run(stage->db, "ALTER TABLE t ADD COLUMN more int");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO u VALUES (1)");
    assert_int_equal(columns_of_all(tx), 2);
    stage_expect_number(tx, "SELECT i FROM u", 1); /* what it did before is there */
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM u", 1);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void what_a_transaction_changes_itself_is_invisible_too(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_run(stage->db, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_int_equal(columns_of_all(tx), 1);
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    stage_run(inner, "ALTER TABLE t ADD COLUMN more int");
    assert_int_equal(columns_of_all(inner), 2);
    assert_ok(pgdbm_rollback(inner, &err));
    assert_int_equal(columns_of_all(tx), 1);
    stage_run(tx, "DO $$ BEGIN ALTER TABLE t ADD COLUMN b int, ADD COLUMN c int; END $$");
    assert_int_equal(columns_of_all(tx), 3);
    assert_ok(pgdbm_commit(tx, &err));
    assert_int_equal(columns_of_all(stage->db), 3);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void the_first_statement_of_a_transaction_keeps_its_modes(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *session;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_run(stage->db, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    assert_int_equal(columns_of_all(session), 1);
    test_psql(stage->url, "ALTER TABLE t ADD COLUMN more int");
    assert_ok(
        pgdbm_begin(session, &(pgdbm_tx_options){.isolation = PGDBM_REPEATABLE_READ, .read_only = true}, &tx, &err));
    assert_int_equal(columns_of_all(tx), 2);
    stage_expect_text(tx, "SHOW transaction_isolation", "repeatable read");
    stage_expect_text(tx, "SHOW transaction_read_only", "on");
    assert_ok(pgdbm_commit(tx, &err));
    assert_int_equal(columns_of_all(session), 2);
    test_psql(stage->url, "ALTER TABLE t DROP COLUMN more; CREATE TABLE u (i int)");
    assert_ok(pgdbm_execute_simple(session, "BEGIN; INSERT INTO u VALUES (1)", &err));
    assert_int_equal(columns_of_all(session), 1);
    stage_run(session, "COMMIT");
    stage_expect_number(session, "SELECT count(*) FROM u", 1);
    pgdbm_close(session);
}

static void a_guarded_statement_is_no_subtransaction(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    static const char insert[] = "INSERT INTO t (i) VALUES ($1) RETURNING xmin::text = pg_current_xact_id()::xid::text";
    stage_run(stage->db, "CREATE TABLE t (i int4)");
    for (int32_t i = 0; i < 2; i++) { /* prepared at the second time */
        bool own = false;
        assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
        assert_ok(pgdbm_fetch_value_bool(tx, insert, pgdbm_args(i), &own, &err));
        assert_true(own);
        assert_ok(pgdbm_commit(tx, &err));
    }
}

static void an_idle_transaction_has_no_snapshot(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    int64_t pid = 0;
    char sql[128];
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    for (int i = 0; i < 2; i++) {
        assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
        assert_ok(pgdbm_fetch_value_int64(tx, "SELECT pg_backend_pid()::int8", pgdbm_no_args, &pid, &err));
        snprintf(sql, sizeof sql, "SELECT count(backend_xmin) FROM pg_stat_activity WHERE pid = %d", (int)pid);
        stage_expect_number(stage->db, sql, 0);
        assert_ok(pgdbm_rollback(tx, &err));
    }
}

static void an_error_of_its_own_ends_a_transaction_as_ever(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    int64_t value;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT count(*) FROM t", pgdbm_no_args, &value, &err));
    stage_run(stage->db, "DROP TABLE t");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fetch_value(tx, "SELECT count(*) FROM t", pgdbm_no_args, &value, &err));
    assert_string_equal(err.sqlstate, "42P01");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fetch_value(tx, "SELECT 1", pgdbm_no_args, &value, &err));
    assert_string_equal(err.sqlstate, "25P02");
    assert_ok(pgdbm_rollback(tx, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fetch_value(stage->db, "SELECT count(*) FROM t", pgdbm_no_args, &value, &err));
    assert_string_equal(err.sqlstate, "42P01");
    assert_true(stage_stats(stage).statements_repeated <= 2);
}

static void a_parameter_whose_column_has_another_type_now_is_sent_as_that(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session, *tx;
    int64_t count = 0;
    stage_run(stage->db, "CREATE TABLE t (v int)");
    stage_run(stage->db, "INSERT INTO t VALUES (41)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    for (int i = 0; i < 4; i++) {
        assert_ok(pgdbm_begin(session, NULL, &tx, &err));
        assert_ok(pgdbm_fetch_value(tx, "SELECT count(*) FROM t WHERE v::text = $1 OR v = $2", pgdbm_args("x", "41"),
                                    &count, &err));
        assert_int_equal(count, 1);
        assert_ok(pgdbm_commit(tx, &err));
        stage_run(stage->db,
                  i % 2 == 0 ? "ALTER TABLE t ALTER v TYPE text" : "ALTER TABLE t ALTER v TYPE int USING v::int");
    }
    pgdbm_close(session);
}

static void a_changed_column_type_gives_right_values(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    stage_run(stage->db, "CREATE TABLE t (v int)");
    stage_run(stage->db, "INSERT INTO t VALUES (41)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    static const char *const types[] = {"int8", "text", "numeric", "float8", "int2", "varchar(10)", "int4"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char sql[100];
        snprintf(sql, sizeof sql, "ALTER TABLE t ALTER v TYPE %s USING v::%s", types[i], types[i]);
        stage_expect_text(stage->db, "SELECT v FROM t", "41");
        stage_expect_text(session, "SELECT v FROM t", "41");
        stage_run(stage->db, sql);
        stage_expect_text(session, "SELECT v FROM t", "41");
        stage_expect_text(stage->db, "SELECT v FROM t", "41");
    }
    pgdbm_close(session);
}

/* A session that prepares the statement anew has the new types while the pool still believes in the old ones. */
static void a_session_that_comes_late_sees_the_new_types(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *early, *late;
    stage_run(stage->db, "CREATE TABLE t (v int)");
    stage_run(stage->db, "INSERT INTO t VALUES (41)");
    assert_ok(pgdbm_pin(stage->db, &early, &err));
    assert_ok(pgdbm_pin(stage->db, &late, &err));
    stage_expect_text(early, "SELECT v, v AS again FROM t", "41");
    stage_run(stage->db, "ALTER TABLE t ALTER v TYPE text USING 'forty-one'");
    stage_expect_text(late, "SELECT v, v AS again FROM t", "forty-one");
    stage_expect_text(early, "SELECT v, v AS again FROM t", "forty-one");
    stage_expect_text(late, "SELECT v, v AS again FROM t", "forty-one");
    pgdbm_close(early);
    pgdbm_close(late);
}

static void a_changed_parameter_type_gives_right_values(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t count = 0;
    stage_run(stage->db, "CREATE TABLE t (v int2)");
    stage_run(stage->db, "INSERT INTO t VALUES (41)");
    for (int i = 0; i < 2; i++) {
        assert_ok(pgdbm_fetch_value(stage->db, "SELECT count(*) FROM t WHERE v = $1", pgdbm_args(41), &count, &err));
        assert_int_equal(count, 1);
        stage_run(stage->db, "ALTER TABLE t ALTER v TYPE int8");
    }
    assert_ok(pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args(INT64_MAX), NULL, &err));
}

static void a_table_dropped_and_made_again_is_found(void **state)
{
    struct stage *stage = *state;
    for (int i = 1; i <= 3; i++) {
        stage_run(stage->db, "CREATE TABLE t (i int)");
        for (int row = 0; row < i; row++)
            stage_run(stage->db, "INSERT INTO t VALUES (1)");
        stage_expect_number(stage->db, "SELECT count(*) FROM t", i);
        stage_run(stage->db, "DROP TABLE t");
    }
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT count(*) FROM t", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "42P01");
}

static void statements_thrown_away_on_the_server_are_prepared_again(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    static const char *const throw_away[] = {
        "DEALLOCATE ALL",
        "DISCARD ALL",
        "DO $$ DECLARE n text; BEGIN FOR n IN SELECT name FROM pg_prepared_statements WHERE statement NOT LIKE 'DO%' "
        "LOOP EXECUTE format('DEALLOCATE %I', n); END LOOP; END $$",
    };
    for (size_t i = 0; i < sizeof throw_away / sizeof *throw_away; i++) {
        assert_ok(pgdbm_pin(stage->db, &session, &err));
        stage_expect_number(session, "SELECT 30", 30);
        stage_run(session, throw_away[i]);
        stage_expect_number(session, "SELECT 30", 30);
        assert_ok(pgdbm_execute_simple(session, throw_away[i], &err));
        stage_expect_number(session, "SELECT 30", 30);
        pgdbm_close(session);
        stage_expect_number(stage->db, "SELECT 30", 30);
    }
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void a_guard_thrown_away_on_the_server_is_prepared_again(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    static const char throw_away[] =
        "DO $$ DECLARE n text; BEGIN FOR n IN SELECT name FROM pg_prepared_statements WHERE "
        "name IN ('pgdbm_guard', 'pgdbm_release') LOOP EXECUTE format('DEALLOCATE %I', n); "
        "END LOOP; END $$";
    for (int i = 0; i < 6; i++) { /* a statement that is new needs no guard */
        assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
        if (i != 2) /* the transaction that meets it ends, and is worth another try */
            stage_expect_number(tx, "SELECT 30", 30);
        else {
            int64_t value = 0;
            assert_fails(PGDBM_ERR_QUERY, pgdbm_fetch_value(tx, "SELECT 30", pgdbm_no_args, &value, &err));
            assert_string_equal(err.sqlstate, "26000");
            assert_true(err.retryable);
        }
        pgdbm_close(tx);
        if (i == 1)
            assert_ok(pgdbm_execute_simple(stage->db, throw_away, &err));
    }
}

static void a_statement_that_failed_to_parse_can_succeed_later(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    for (int i = 0; i < 3; i++)
        assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT count(*) FROM t", pgdbm_no_args, NULL, &err));
    stage_run(stage->db, "CREATE TABLE t (i int)");
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

struct newcomers {
    struct stage *stage;
    pthread_barrier_t start;
};

static void run_new_statements(struct crew_hand *hand)
{
    struct newcomers *newcomers = hand->shared;
    for (int i = 0; i < 20; i++) {
        char sql[100];
        pgdbm_error err;
        int64_t value = -1;
        snprintf(sql, sizeof sql, "SELECT $1::int8 * 1000 + %d", i);
        pthread_barrier_wait(&newcomers->start);
        pgdbm_status status = pgdbm_fetch_value(newcomers->stage->db, sql, pgdbm_args(hand->number), &value, &err);
        if (crew_wants(hand, PGDBM_OK, status, &err))
            crew_holds(hand, value == (int64_t)hand->number * 1000 + i, "%s came as %lld", sql, (long long)value);
    }
}

static void run_on_every_session(struct stage *stage)
{
    pgdbm_error err;
    pgdbm_db *sessions[4];
    for (size_t i = 0; i < 4; i++)
        assert_ok(pgdbm_pin(stage->db, &sessions[i], &err));
    for (size_t i = 0; i < 4 * 20; i++) {
        char sql[100];
        int64_t value = -1;
        snprintf(sql, sizeof sql, "SELECT $1::int8 * 1000 + %zu", i / 4);
        assert_ok(pgdbm_fetch_value(sessions[i % 4], sql, pgdbm_args(7), &value, &err));
        assert_int_equal(value, 7000 + i / 4);
    }
    for (size_t i = 0; i < 4; i++)
        pgdbm_close(sessions[i]);
}

static void many_threads_prepare_the_same_new_statement_at_once(void **state)
{
    struct newcomers newcomers = {.stage = *state};
    pthread_barrier_init(&newcomers.start, NULL, 16);
    crew_run(16, run_new_statements, &newcomers);
    pthread_barrier_destroy(&newcomers.start);
    /* However many Parse messages the rush took: it is over, and every session comes to know all statements. */
    uint64_t prepared[2];
    for (int round = 0; round < 2; round++) {
        run_on_every_session(newcomers.stage);
        prepared[round] = stage_stats(newcomers.stage).statements_prepared;
    }
    assert_int_equal(prepared[1], prepared[0]);
    assert_int_equal(stage_stats(newcomers.stage).statements_failed, 0);
}

static void more_statements_than_the_pool_remembers_all_work(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .statement_cache_size = 16});
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1000; i++) {
            char sql[64];
            snprintf(sql, sizeof sql, "SELECT %d", i);
            stage_expect_number(stage->db, sql, i);
        }
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_prepared_statements", 16);
}

static void without_a_cache_changed_columns_are_invisible_to_the_caller(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .statement_cache_size = -1});
    stage_run(stage->db, "CREATE TABLE t (i int, v int)");
    stage_run(stage->db, "INSERT INTO t VALUES (41, 41)");
    stage_expect_text(stage->db, "SELECT v FROM t", "41");
    stage_run(stage->db, "ALTER TABLE t ALTER v TYPE float4");
    stage_expect_text(stage->db, "SELECT v FROM t", "41");
    stage_run(stage->db, "SELECT * FROM t");
    stage_run(stage->db, "ALTER TABLE t DROP COLUMN v");
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT * FROM t", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_columns(result), 1);
    pgdbm_result_free(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_ONE(a_statement_is_prepared_once),
        ON_FOUR(a_further_session_needs_one_parse_and_no_more),
        ON_NONE(the_least_recently_used_statement_goes_first),
        ON_NONE(without_a_cache_nothing_stays_prepared),
        ON_FOUR(an_added_column_is_invisible_to_the_caller),
        ON_ONE(inside_a_transaction_a_changed_result_is_invisible_too),
        ON_ONE(what_a_transaction_changes_itself_is_invisible_too),
        ON_ONE(the_first_statement_of_a_transaction_keeps_its_modes),
        ON_ONE(a_guarded_statement_is_no_subtransaction),
        cmocka_unit_test_setup_teardown(an_idle_transaction_has_no_snapshot, stage_setup, stage_teardown),
        ON_ONE(an_error_of_its_own_ends_a_transaction_as_ever),
        ON_FOUR(a_parameter_whose_column_has_another_type_now_is_sent_as_that),
        ON_FOUR(a_changed_column_type_gives_right_values),
        ON_FOUR(a_session_that_comes_late_sees_the_new_types),
        ON_ONE(a_changed_parameter_type_gives_right_values),
        ON_ONE(a_table_dropped_and_made_again_is_found),
        ON_ONE(statements_thrown_away_on_the_server_are_prepared_again),
        ON_ONE(a_guard_thrown_away_on_the_server_is_prepared_again),
        ON_ONE(a_statement_that_failed_to_parse_can_succeed_later),
        ON_FOUR(many_threads_prepare_the_same_new_statement_at_once),
        ON_NONE(more_statements_than_the_pool_remembers_all_work),
        ON_NONE(without_a_cache_changed_columns_are_invisible_to_the_caller),
    };
    return cmocka_run_group_tests_name("statements", tests, NULL, NULL);
}
