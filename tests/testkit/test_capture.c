/* SPDX-License-Identifier: MIT */
/* Captures: what is counted, and how too many statements are told. */
#include "db/stage.h"

#include <pgdbm/batch.h>
#include <pgdbm/cursor.h>
#include <pgdbm/testkit.h>
#include <pgdbm/transaction.h>
#include <stdio.h>

static pgdbm_capture *begin(pgdbm_db *db)
{
    pgdbm_capture *capture = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_capture_begin(db, &capture, &err));
    return capture;
}

/* A list of users, and then a statement for each of them. */
static void ask_for_each(pgdbm_db *db, int users)
{
    pgdbm_error err;
    int64_t value;
    stage_run(db, "SELECT 'all users'");
    for (int i = 0; i < users; i++)
        assert_ok(
            pgdbm_fetch_value(db, "SELECT id\n  FROM (VALUES ($1::int8)) posts(id)", pgdbm_args(i), &value, &err));
}

static void a_statement_for_each_row_stands_at_the_top(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_capture *capture = begin(stage->db);
    ask_for_each(stage->db, 5);
    stage_run(stage->db, "SELECT 'done'");
    assert_ok(pgdbm_capture_check_at_most(capture, 7, &err));
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_capture_check_at_most(capture, 2, &err));
    assert_string_equal(err.message, "7 statements were sent, 2 at most expected");
    assert_string_equal(err.detail, "5 x SELECT id FROM (VALUES ($1::int8)) posts(id)\n"
                                    "1 x SELECT 'all users'\n"
                                    "1 x SELECT 'done'");
    assert_contains(err.hint, "= ANY($1)");
    pgdbm_capture_end(capture);
}

static void texts_are_kept_in_the_order_in_which_they_came(void **state)
{
    struct stage *stage = *state;
    size_t times = 0;
    pgdbm_capture *capture = begin(stage->db);
    assert_int_equal(pgdbm_capture_count(capture), 0);
    assert_null(pgdbm_capture_statement(capture, 0, &times));
    assert_int_equal(times, 0);
    ask_for_each(stage->db, 3);
    assert_int_equal(pgdbm_capture_count(capture), 4);
    assert_int_equal(pgdbm_capture_texts(capture), 2);
    assert_string_equal(pgdbm_capture_statement(capture, 0, &times), "SELECT 'all users'");
    assert_int_equal(times, 1);
    assert_contains(pgdbm_capture_statement(capture, 1, &times), "FROM (VALUES ($1::int8)) posts(id)");
    assert_int_equal(times, 3);
    assert_null(pgdbm_capture_statement(capture, 2, NULL));
    pgdbm_capture_end(capture);
}

static void what_cures_it_counts_once_and_transaction_control_does_not(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *tx = NULL;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    pgdbm_error err;
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2), pgdbm_args(3)};
    const pgdbm_cursor_options options = {.chunk_rows = 1};
    stage_run(stage->db, "CREATE TABLE t (n int)");
    pgdbm_capture *capture = begin(stage->db);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_execute_many(tx, "INSERT INTO t VALUES ($1)", sets, 3, NULL, &err));
    assert_ok(pgdbm_commit(tx, &err));
    assert_ok(pgdbm_cursor_open(stage->db, "SELECT n FROM t", pgdbm_no_args, &options, &cursor, &err));
    do
        assert_ok(pgdbm_cursor_next(cursor, &row, &err));
    while (row != NULL);
    pgdbm_cursor_close(cursor);
    assert_int_equal(pgdbm_capture_count(capture), 2);
    assert_ok(pgdbm_capture_check_at_most(capture, 2, &err));
    pgdbm_capture_end(capture);
}

static void control_and_fetches_count_when_asked_for(void **state)
{
    struct stage *stage = *state;
    pgdbm_capture *capture = NULL;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    pgdbm_error err;
    const pgdbm_capture_options all = {.control = true, .fetches = true};
    const pgdbm_cursor_options options = {.chunk_rows = 2};
    assert_ok(pgdbm_capture_begin_with(stage->db, &all, &capture, &err));
    assert_ok(pgdbm_cursor_open(stage->db, "SELECT generate_series(1, 3)", pgdbm_no_args, &options, &cursor, &err));
    do
        assert_ok(pgdbm_cursor_next(cursor, &row, &err));
    while (row != NULL);
    pgdbm_cursor_close(cursor);
    assert_int_equal(pgdbm_capture_count(capture), 4); /* BEGIN, the statement, a fetch, COMMIT */
    pgdbm_capture_end(capture);
}

static void a_capture_sees_all_managers_and_ends(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *other = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_attach(stage->pool, "other", &other, &err));
    pgdbm_capture *outer = begin(stage->db);
    pgdbm_capture *inner = begin(other);
    stage_run(other, "SELECT '{{schema}}'");
    assert_string_equal(pgdbm_capture_statement(outer, 0, NULL), "SELECT '\"other\"'");
    assert_int_equal(pgdbm_capture_count(inner), 1);
    pgdbm_capture_end(inner);
    stage_run(stage->db, "SELECT 1");
    assert_int_equal(pgdbm_capture_count(outer), 2);
    pgdbm_close(other);
    pgdbm_capture_end(outer);
}

static void many_texts_are_counted_and_the_most_frequent_shown(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    char sql[300];
    pgdbm_capture *capture = begin(stage->db);
    for (int i = 0; i < 40; i++) {
        snprintf(sql, sizeof sql, "SELECT %d, '%0200d'", i, i);
        stage_run(stage->db, sql);
        if (i == 30)
            stage_run(stage->db, sql);
    }
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_capture_check_at_most(capture, 0, &err));
    assert_contains(err.message, "41 statements were sent, 0 at most expected");
    assert_int_equal(strncmp(err.detail, "2 x SELECT 30, '000", 19), 0);
    assert_contains(err.detail, "\n1 x SELECT 0, ");
    assert_contains(err.detail, " other texts");
    pgdbm_capture_end(capture);
}

#define THREADS 4
#define STATEMENTS 50

static void *run_many(void *context)
{
    for (int i = 0; i < STATEMENTS; i++)
        stage_run(context, i % 2 == 0 ? "SELECT 1" : "SELECT 2");
    return NULL;
}

static void statements_of_all_threads_are_counted(void **state)
{
    struct stage *stage = *state;
    pthread_t threads[THREADS];
    size_t times = 0;
    pgdbm_capture *capture = begin(stage->db);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, stage->db), 0);
    while (pgdbm_capture_count(capture) < THREADS * STATEMENTS)
        (void)pgdbm_capture_statement(capture, 0, &times);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(pgdbm_capture_count(capture), THREADS * STATEMENTS);
    assert_int_equal(pgdbm_capture_texts(capture), 2);
    pgdbm_capture_end(capture);
}

static void null_is_refused_or_nothing(void **state)
{
    struct stage *stage = *state;
    pgdbm_capture *capture = NULL;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_capture_begin(NULL, &capture, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_capture_begin(stage->db, NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_capture_check_at_most(NULL, 1, &err));
    assert_int_equal(pgdbm_capture_count(NULL), 0);
    assert_int_equal(pgdbm_capture_texts(NULL), 0);
    assert_null(pgdbm_capture_statement(NULL, 0, NULL));
    pgdbm_capture_end(NULL);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(a_statement_for_each_row_stands_at_the_top),
        STAGED(texts_are_kept_in_the_order_in_which_they_came),
        STAGED(what_cures_it_counts_once_and_transaction_control_does_not),
        STAGED(control_and_fetches_count_when_asked_for),
        STAGED(a_capture_sees_all_managers_and_ends),
        STAGED(many_texts_are_counted_and_the_most_frequent_shown),
        STAGED(statements_of_all_threads_are_counted),
        STAGED(null_is_refused_or_nothing),
    };
    return cmocka_run_group_tests_name("capture", tests, NULL, NULL);
}
