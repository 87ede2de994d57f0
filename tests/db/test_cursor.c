/* SPDX-License-Identifier: MIT */
/* Cursors: every row once, in pieces and one by one; transactions of their own and of others; ends of all kinds. */
#include "db/crew.h"
#include "db/stage.h"

#include <stdio.h>

#define PIECES(rows) (&(pgdbm_cursor_options){.chunk_rows = (rows)})
#define TERMINATE_OTHERS                                                                                               \
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() "                \
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"

static pgdbm_cursor *open_numbers(pgdbm_db *db, int64_t last, int chunk_rows)
{
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    assert_ok(pgdbm_cursor_open(db, "SELECT generate_series(1, $1::int8) AS n", pgdbm_args(last), PIECES(chunk_rows),
                                &cursor, &err));
    return cursor;
}

/* The next row must be this number. */
static void expect_next(pgdbm_cursor *cursor, int64_t number)
{
    pgdbm_error err;
    const pgdbm_result *row = NULL;
    int64_t value = 0;
    assert_ok(pgdbm_cursor_next(cursor, &row, &err));
    assert_non_null(row);
    assert_int_equal(pgdbm_result_rows(row), 1);
    assert_ok(pgdbm_get_int64(row, 0, "n", &value, &err));
    assert_int_equal(value, number);
}

static void expect_end(pgdbm_cursor *cursor)
{
    pgdbm_error err;
    const pgdbm_result *row = NULL;
    for (int i = 0; i < 2; i++) {
        assert_ok(pgdbm_cursor_next(cursor, &row, &err));
        assert_null(row);
    }
}

static void every_row_comes_once_and_in_order_whatever_the_pieces(void **state)
{
    struct stage *stage = *state;
    static const int chunks[] = {0, 1, 7, 24, 25, 26, 1000};
    static const int64_t counts[] = {0, 1, 24, 25, 26, 50};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++) {
            pgdbm_cursor *cursor = open_numbers(stage->db, counts[j], chunks[i]);
            for (int64_t n = 1; n <= counts[j]; n++)
                expect_next(cursor, n);
            expect_end(cursor);
            assert_int_equal(stage_stats(stage).leased, 0); /* at the end, not when it is closed */
            pgdbm_cursor_close(cursor);
        }
}

static void a_row_is_a_view_of_all_its_values(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    assert_ok(pgdbm_cursor_open(stage->db,
                                "SELECT i AS n, repeat('y', 70000) AS word, i::text::bytea AS raw, NULL AS nothing "
                                "FROM generate_series(1, 9) i",
                                pgdbm_no_args, PIECES(4), &cursor, &err));
    for (int n = 1; n <= 9; n++) {
        const char *word = NULL;
        const char *number = NULL;
        pgdbm_blob raw = {0};
        bool null = false;
        char expected[16];
        snprintf(expected, sizeof expected, "%d", n);
        assert_ok(pgdbm_cursor_next(cursor, &row, &err));
        assert_ok(pgdbm_get_text(row, 0, "n", &number, &err)); /* made for a binary value: of this row */
        assert_string_equal(number, expected);
        assert_ok(pgdbm_get_text(row, 0, "word", &word, &err));
        assert_int_equal(strlen(word), 70000);
        assert_ok(pgdbm_get_bytes(row, 0, "raw", &raw, &err));
        assert_int_equal(raw.bytes, 1);
        assert_memory_equal(raw.data, expected, 1);
        assert_ok(pgdbm_is_null(row, 0, "nothing", &null, &err));
        assert_true(null);
    }
    expect_end(cursor);
    pgdbm_cursor_close(cursor);
}

static void pieces_come_whole_and_the_last_is_empty(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    static const size_t sizes[] = {10, 10, 5, 0, 0};
    pgdbm_cursor *cursor = open_numbers(stage->db, 25, 10);
    int64_t expected = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pgdbm_result *piece = NULL;
        assert_ok(pgdbm_cursor_fetch(cursor, &piece, &err));
        assert_int_equal(pgdbm_result_rows(piece), sizes[i]);
        assert_string_equal(pgdbm_result_column_name(piece, 0), "n");
        for (size_t row = 0; row < sizes[i]; row++) {
            int64_t value = 0;
            assert_ok(pgdbm_get_int64(piece, row, "n", &value, &err));
            assert_int_equal(value, expected++);
        }
        pgdbm_result_free(piece);
    }
    pgdbm_cursor_close(cursor);
}

static void rows_and_pieces_can_be_mixed(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *piece = NULL;
    int64_t value = 0;
    pgdbm_cursor *cursor = open_numbers(stage->db, 25, 10);
    expect_next(cursor, 1);
    expect_next(cursor, 2);
    assert_ok(pgdbm_cursor_fetch(cursor, &piece, &err));
    assert_int_equal(pgdbm_result_rows(piece), 8);
    assert_ok(pgdbm_get_int64(piece, 0, "n", &value, &err));
    assert_int_equal(value, 3);
    assert_ok(pgdbm_get_int64(piece, 7, "n", &value, &err));
    assert_int_equal(value, 10);
    expect_next(cursor, 11);
    pgdbm_cursor_close(cursor);
    assert_ok(pgdbm_get_int64(piece, 7, "n", &value, &err)); /* a piece outlives its cursor */
    pgdbm_result_free(piece);
}

static void closing_early_does_not_read_the_rest(void **state)
{
    struct stage *stage = *state;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (int i = 0; i < 3; i++) {
        pgdbm_cursor *cursor = open_numbers(stage->db, INT64_C(1000000000000), 10);
        for (int n = 1; n <= 15; n++)
            expect_next(cursor, n);
        pgdbm_cursor_close(cursor);
        stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
    }
    pgdbm_cursor_close(NULL);
}

static void the_server_makes_no_more_rows_than_are_asked_for(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    pgdbm_cursor *cursor = NULL;
    stage_run(stage->db, "CREATE SEQUENCE made");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_cursor_open(tx, "SELECT nextval('made') AS n FROM generate_series(1, 100000)", pgdbm_no_args,
                                PIECES(10), &cursor, &err));
    for (int n = 1; n <= 10; n++)
        expect_next(cursor, n);
    stage_expect_number(tx, "SELECT last_value FROM made", 10);
    expect_next(cursor, 11);
    stage_expect_number(tx, "SELECT last_value FROM made", 20);
    pgdbm_cursor_close(cursor);
    assert_ok(pgdbm_commit(tx, &err));
}

static void its_own_transaction_is_committed_at_the_end_only(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    static const char insert[] = "INSERT INTO t SELECT generate_series(1, 25) RETURNING i AS n";
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_cursor_open(stage->db, insert, pgdbm_no_args, PIECES(10), &cursor, &err));
    for (int n = 1; n <= 25; n++)
        expect_next(cursor, n);
    pgdbm_cursor_close(cursor);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
    assert_ok(pgdbm_cursor_open(stage->db, insert, pgdbm_no_args, PIECES(10), &cursor, &err));
    for (int n = 1; n <= 25; n++)
        expect_next(cursor, n);
    expect_end(cursor);
    pgdbm_cursor_close(cursor);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 25);
}

static void a_commit_that_fails_is_the_error_of_the_last_call(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    stage_run(stage->db, "CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    assert_ok(
        pgdbm_cursor_open(stage->db, "INSERT INTO t VALUES (1), (1) RETURNING n", pgdbm_no_args, NULL, &cursor, &err));
    expect_next(cursor, 1);
    expect_next(cursor, 1);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_cursor_next(cursor, &row, &err));
    assert_string_equal(err.sqlstate, "23505");
    assert_null(row);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(cursor, &row, &err));
    pgdbm_cursor_close(cursor);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void other_statements_run_on_its_transaction_between_pieces(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    stage_run(stage->db, "CREATE TABLE t (i int8)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    pgdbm_cursor *cursor = open_numbers(tx, 25, 2);
    pgdbm_cursor *other = open_numbers(tx, 25, 3);
    for (int64_t n = 1; n <= 25; n++) {
        expect_next(cursor, n);
        assert_ok(pgdbm_execute(tx, "INSERT INTO t VALUES ($1)", pgdbm_args(n), NULL, &err));
        expect_next(other, n);
    }
    expect_end(cursor);
    pgdbm_cursor_close(cursor);
    stage_expect_number(tx, "SELECT count(*) FROM pg_cursors WHERE name LIKE 'pgdbm%'", 1);
    pgdbm_cursor_close(other);
    stage_expect_number(tx, "SELECT count(*) FROM pg_cursors WHERE name LIKE 'pgdbm%'", 0);
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 25);
}

static void read_in_common(struct crew_hand *hand)
{
    pgdbm_db *tx = hand->shared;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    int64_t first = (int64_t)hand->number * 1000;
    int64_t value = 0;
    pgdbm_status status = pgdbm_cursor_open(tx, "SELECT generate_series($1::int8, $1::int8 + 99)", pgdbm_args(first),
                                            PIECES((int)hand->number + 1), &cursor, &err);
    for (int64_t n = first; status == PGDBM_OK && n < first + 100; n++) {
        status = pgdbm_cursor_next(cursor, &row, &err);
        if (status == PGDBM_OK && crew_holds(hand, row != NULL, "no row"))
            status = pgdbm_get_int64(row, 0, 0, &value, &err);
        if (status == PGDBM_OK && !crew_holds(hand, value == n, "%lld came", (long long)value))
            break;
    }
    crew_wants(hand, PGDBM_OK, status, &err);
    pgdbm_cursor_close(cursor);
}

static void threads_read_their_own_cursors_on_one_transaction(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    crew_run(6, read_in_common, tx);
    stage_expect_number(tx, "SELECT count(*) FROM pg_cursors WHERE name LIKE 'pgdbm%'", 0);
    assert_ok(pgdbm_commit(tx, &err));
}

static void on_a_pinned_session_it_uses_the_transaction_that_is_there(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    stage_run(stage->db, "CREATE TABLE t (n int)");
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    pgdbm_cursor *cursor = open_numbers(session, 25, 10);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(session, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_cursor_close(cursor);
    stage_run(session, "BEGIN");
    stage_run(session, "INSERT INTO t VALUES (1)");
    cursor = open_numbers(session, 25, 10);
    stage_expect_number(session, "SELECT count(*) FROM t", 1);
    for (int n = 1; n <= 25; n++)
        expect_next(cursor, n);
    expect_end(cursor);
    pgdbm_cursor_close(cursor);
    stage_run(session, "ROLLBACK");
    stage_expect_number(session, "SELECT count(*) FROM t", 0);
    pgdbm_close(session);
}

static void a_nested_transaction_must_end_before_the_next_piece(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    const pgdbm_result *row = NULL;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    pgdbm_cursor *cursor = open_numbers(tx, 25, 2);
    pgdbm_cursor *closed = open_numbers(tx, 25, 2);
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    expect_next(cursor, 1);
    expect_next(cursor, 2);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(cursor, &row, &err));
    assert_contains(err.message, "still open");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    pgdbm_cursor_close(closed);
    assert_ok(pgdbm_commit(inner, &err));
    expect_next(cursor, 3);
    pgdbm_cursor_close(cursor);
    assert_ok(pgdbm_commit(tx, &err));
}

static void a_cursor_does_not_outlive_the_transaction_of_its_handle(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    const pgdbm_result *row = NULL;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    pgdbm_cursor *in_savepoint = open_numbers(inner, 25, 2);
    pgdbm_cursor *ended_outside = open_numbers(inner, 25, 2);
    pgdbm_cursor *twin = open_numbers(inner, 25, 2);
    pgdbm_cursor_close(twin);
    assert_ok(pgdbm_rollback(inner, &err));
    expect_next(in_savepoint, 1);
    expect_next(in_savepoint, 2); /* both have come already */
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(in_savepoint, &row, &err));
    assert_null(row);
    pgdbm_cursor_close(in_savepoint);
    pgdbm_cursor *on_tx = open_numbers(tx, 25, 2);
    assert_ok(pgdbm_commit(tx, &err));
    expect_next(on_tx, 1);
    expect_next(on_tx, 2);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(on_tx, &row, &err));
    pgdbm_cursor_close(on_tx);
    pgdbm_cursor_close(ended_outside);
    stage_expect_number(stage->db, "SELECT 4", 4);
}

static void take_status(const pgdbm_outcome *outcome, void *context)
{
    *(pgdbm_status *)context = outcome->status;
}

static void a_commit_that_is_under_way_has_ended_the_cursor(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    const pgdbm_result *row = NULL;
    pgdbm_status committed = PGDBM_ERR_TIMEOUT;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    pgdbm_cursor *cursor = open_numbers(tx, 25, 1);
    assert_ok(pgdbm_commit_async(tx, take_status, &committed, &err));
    expect_next(cursor, 1);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(cursor, &row, &err));
    pgdbm_cursor_close(cursor);
    int64_t give_up = stage_clock_ms() + 20000;
    while (committed == PGDBM_ERR_TIMEOUT && stage_clock_ms() < give_up)
        (void)pgdbm_dispatch(stage->pool, 1000);
    assert_int_equal(committed, PGDBM_OK);
}

static void what_was_submitted_before_comes_before_the_next_piece(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    pgdbm_status inserted = PGDBM_ERR_TIMEOUT;
    stage_run(stage->db, "CREATE TABLE t (n int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    pgdbm_cursor *cursor = open_numbers(tx, 25, 1);
    assert_ok(pgdbm_execute_async(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, take_status, &inserted, &err));
    expect_next(cursor, 1);
    expect_next(cursor, 2);
    stage_expect_number(tx, "SELECT count(*) FROM t", 1);
    pgdbm_cursor_close(cursor);
    assert_ok(pgdbm_commit(tx, &err));
    while (pgdbm_dispatch(stage->pool, 0) > 0)
        continue;
    assert_int_equal(inserted, PGDBM_OK);
}

static void a_cursor_whose_outer_transaction_ended_says_so(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    pgdbm_result *piece = NULL;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    pgdbm_cursor *cursor = open_numbers(inner, 25, 2);
    assert_ok(pgdbm_rollback(tx, &err));
    assert_ok(pgdbm_cursor_fetch(cursor, &piece, &err));
    pgdbm_result_free(piece);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_fetch(cursor, &piece, &err));
    assert_null(piece);
    pgdbm_cursor_close(cursor);
    pgdbm_close(inner);
}

static void a_portal_that_sql_closed_is_the_end_of_the_cursor(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    const pgdbm_result *row = NULL;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "BEGIN");
    pgdbm_cursor *cursor = open_numbers(session, 25, 1);
    stage_run(session, "COMMIT");
    expect_next(cursor, 1);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(cursor, &row, &err));
    pgdbm_cursor_close(cursor);
    stage_expect_number(session, "SELECT 5", 5);
    pgdbm_close(session);
}

static void an_error_in_a_later_piece_ends_the_cursor(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    assert_ok(pgdbm_cursor_open(stage->db,
                                "SELECT i / (CASE WHEN i = 25 THEN 0 ELSE 1 END) AS n FROM "
                                "generate_series(1, 50) i",
                                pgdbm_no_args, PIECES(10), &cursor, &err));
    for (int n = 1; n <= 20; n++)
        expect_next(cursor, n);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_cursor_next(cursor, &row, &err));
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_null(row);
    assert_int_equal(stage_stats(stage).leased, 0);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(cursor, &row, &err));
    assert_contains(err.hint, "pgdbm_cursor_close");
    pgdbm_cursor_close(cursor);
    stage_expect_number(stage->db, "SELECT 6", 6);
}

static void each_fetch_has_its_deadline(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    const pgdbm_cursor_options options = {.chunk_rows = 2, .timeout_ms = 200};
    assert_ok(pgdbm_cursor_open(stage->db,
                                "SELECT i AS n, pg_sleep(CASE WHEN i > 4 THEN 60 ELSE 0 END) FROM "
                                "generate_series(1, 10) i",
                                pgdbm_no_args, &options, &cursor, &err));
    for (int n = 1; n <= 4; n++)
        expect_next(cursor, n);
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_cursor_next(cursor, &row, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    pgdbm_cursor_close(cursor);
    stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
}

static void a_lost_connection_ends_the_cursor(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    const pgdbm_result *row = NULL;
    pgdbm_cursor *own = open_numbers(stage->db, 25, 1);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    pgdbm_cursor *on_tx = open_numbers(tx, 25, 1);
    test_psql(stage->url, TERMINATE_OTHERS);
    expect_next(own, 1);
    expect_next(on_tx, 1);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_cursor_next(own, &row, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_cursor_next(on_tx, &row, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_next(on_tx, &row, &err));
    pgdbm_cursor_close(own);
    pgdbm_cursor_close(on_tx);
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_number(stage->db, "SELECT 7", 7);
}

static void a_cursor_that_outlives_its_pool_is_an_error_and_no_crash(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    const pgdbm_result *row = NULL;
    pgdbm_cursor *refused = NULL;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .drain_timeout_ms = 1});
    pgdbm_cursor *cursor = open_numbers(stage->db, 25, 1);
    pgdbm_pool_close(stage->pool);
    stage->pool = NULL;
    expect_next(cursor, 1);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_cursor_next(cursor, &row, &err));
    assert_null(row);
    assert_fails(PGDBM_ERR_POOL, pgdbm_cursor_open(stage->db, "SELECT 1", pgdbm_no_args, NULL, &refused, &err));
    assert_null(refused);
    pgdbm_close(stage->db);
    stage->db = NULL;
    pgdbm_cursor_close(cursor);
}

static void a_statement_without_rows_is_refused_and_not_run(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_fails(PGDBM_ERR_QUERY,
                 pgdbm_cursor_open(stage->db, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, &cursor, &err));
    assert_contains(err.message, "no rows");
    assert_contains(err.hint, "RETURNING");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_null(cursor);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

static void what_cannot_be_opened_leaves_nothing_behind(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_cursor_open(stage->db, "SELECT {{x}}", pgdbm_no_args, NULL, &cursor, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_cursor_open(stage->db, "SELECT $1::int", pgdbm_no_args, NULL, &cursor, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_cursor_open(stage->db, "SELECT 1 / 0", pgdbm_no_args, NULL, &cursor, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_cursor_open(stage->db, "COMMIT", pgdbm_no_args, NULL, &cursor, &err));
    assert_fails(PGDBM_ERR_ARGUMENT,
                 pgdbm_cursor_open(stage->db, "SELECT 1", pgdbm_no_args, PIECES(-1), &cursor, &err));
    assert_null(cursor);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void max_result_bytes_is_for_each_piece(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    pgdbm_result *piece = NULL;
    static const char sql[] = "SELECT repeat('x', 1000) FROM generate_series(1, 100)";
    size_t rows = 0;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .max_result_bytes = 20000});
    assert_ok(pgdbm_cursor_open(stage->db, sql, pgdbm_no_args, PIECES(10), &cursor, &err));
    do {
        pgdbm_result_free(piece);
        assert_ok(pgdbm_cursor_fetch(cursor, &piece, &err));
        rows += pgdbm_result_rows(piece);
    } while (pgdbm_result_rows(piece) > 0);
    assert_int_equal(rows, 100);
    pgdbm_result_free(piece);
    pgdbm_cursor_close(cursor);
    assert_fails(PGDBM_ERR_NOMEM, pgdbm_cursor_open(stage->db, sql, pgdbm_no_args, PIECES(50), &cursor, &err));
    assert_contains(err.hint, "chunk_rows");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT 8", 8);
}

static int64_t sum_up(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    const pgdbm_result *row = NULL;
    int64_t sum = 0;
    assert_ok(pgdbm_cursor_open(db, sql, pgdbm_no_args, PIECES(2), &cursor, &err));
    while (pgdbm_cursor_next(cursor, &row, &err) == PGDBM_OK && row != NULL) {
        int64_t value = 0;
        assert_ok(pgdbm_get_int64(row, 0, 0, &value, &err));
        sum += value;
    }
    pgdbm_cursor_close(cursor);
    return sum;
}

static void a_statement_that_is_no_longer_prepared_is_prepared_again(void **state)
{
    struct stage *stage = *state;
    static const char sql[] = "SELECT generate_series(1, 5)::int8";
    assert_int_equal(sum_up(stage->db, sql), 15);
    stage_run(stage->db, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
    assert_int_equal(sum_up(stage->db, sql), 15);
}

static void changed_types_are_seen_when_it_is_opened(void **state)
{
    struct stage *stage = *state;
    static const char sql[] = "SELECT * FROM t";
    stage_run(stage->db, "CREATE TABLE t (v int)");
    stage_run(stage->db, "INSERT INTO t VALUES (1), (2), (3)");
    assert_int_equal(sum_up(stage->db, sql), 6);
    stage_run(stage->db, "ALTER TABLE t ALTER v TYPE int8");
    assert_int_equal(sum_up(stage->db, sql), 6);
    stage_run(stage->db, "ALTER TABLE t ADD COLUMN more int");
    assert_int_equal(sum_up(stage->db, sql), 6);
    stage_run(stage->db, "ALTER TABLE t DROP COLUMN v");
    stage_run(stage->db, "UPDATE t SET more = 5");
    assert_int_equal(sum_up(stage->db, sql), 15);
}

static void a_cursor_works_without_prepared_statements(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .statement_cache_size = -1});
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    pgdbm_cursor *cursor = open_numbers(tx, 5, 2);
    for (int n = 1; n <= 5; n++) {
        expect_next(cursor, n);
        stage_expect_number(tx, "SELECT 9", 9); /* takes the unnamed statement away from under it */
    }
    expect_end(cursor);
    pgdbm_cursor_close(cursor);
    assert_ok(pgdbm_commit(tx, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_ONE(every_row_comes_once_and_in_order_whatever_the_pieces),
        ON_ONE(a_row_is_a_view_of_all_its_values),
        ON_ONE(pieces_come_whole_and_the_last_is_empty),
        ON_ONE(rows_and_pieces_can_be_mixed),
        ON_ONE(closing_early_does_not_read_the_rest),
        ON_ONE(the_server_makes_no_more_rows_than_are_asked_for),
        ON_ONE(its_own_transaction_is_committed_at_the_end_only),
        ON_ONE(a_commit_that_fails_is_the_error_of_the_last_call),
        ON_ONE(other_statements_run_on_its_transaction_between_pieces),
        ON_ONE(threads_read_their_own_cursors_on_one_transaction),
        ON_ONE(on_a_pinned_session_it_uses_the_transaction_that_is_there),
        ON_ONE(a_nested_transaction_must_end_before_the_next_piece),
        ON_ONE(a_cursor_does_not_outlive_the_transaction_of_its_handle),
        ON_ONE(a_commit_that_is_under_way_has_ended_the_cursor),
        ON_ONE(what_was_submitted_before_comes_before_the_next_piece),
        ON_ONE(a_cursor_whose_outer_transaction_ended_says_so),
        ON_ONE(a_portal_that_sql_closed_is_the_end_of_the_cursor),
        ON_ONE(an_error_in_a_later_piece_ends_the_cursor),
        ON_ONE(each_fetch_has_its_deadline),
        ON_FOUR(a_lost_connection_ends_the_cursor),
        ON_NONE(a_cursor_that_outlives_its_pool_is_an_error_and_no_crash),
        ON_ONE(a_statement_without_rows_is_refused_and_not_run),
        ON_ONE(what_cannot_be_opened_leaves_nothing_behind),
        ON_NONE(max_result_bytes_is_for_each_piece),
        ON_ONE(a_statement_that_is_no_longer_prepared_is_prepared_again),
        ON_ONE(changed_types_are_seen_when_it_is_opened),
        ON_NONE(a_cursor_works_without_prepared_statements),
    };
    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
