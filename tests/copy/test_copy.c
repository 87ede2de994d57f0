/* SPDX-License-Identifier: MIT */
/* COPY, blocking and asynchronous: what goes in comes out, memory stays bounded, and what ends badly leaves nothing. */
#include "db/stage.h"

#include <stdio.h>

#define ROWS 200000

struct feed {
    int next, last;
    int fail_at; /* -1: never */
};

static size_t print_row(const struct feed *feed, char *line, size_t bytes)
{
    return (size_t)snprintf(line, bytes, "%d\tname %d\n", feed->next, feed->next);
}

static pgdbm_status next_piece(void *buffer, size_t bytes, size_t *filled, void *context, pgdbm_error *err)
{
    struct feed *feed = context;
    *filled = 0;
    while (feed->next < feed->last && *filled + 64 < bytes) {
        if (feed->next == feed->fail_at) {
            snprintf(err->message, sizeof err->message, "the file ended at row %d", feed->next);
            return PGDBM_ERR_TYPE;
        }
        *filled += print_row(feed, (char *)buffer + *filled, bytes - *filled);
        feed->next++;
    }
    return PGDBM_OK;
}

struct drain {
    size_t bytes, pieces, limit;
};

static bool take_piece(const void *data, size_t bytes, void *context)
{
    struct drain *drain = context;
    assert_non_null(data);
    drain->bytes += bytes;
    drain->pieces++;
    return drain->limit == 0 || drain->bytes < drain->limit;
}

static void make_table(struct stage *stage)
{
    stage_run(stage->db, "CREATE TABLE copied (id int, name text)");
}

static void what_is_copied_in_is_copied_out(void **state)
{
    struct stage *stage = *state;
    struct feed feed = {.last = ROWS, .fail_at = -1};
    struct drain drain = {0};
    pgdbm_error err;
    int64_t rows = 0;
    make_table(stage);
    assert_ok(pgdbm_copy_in(stage->db, "COPY copied FROM STDIN", next_piece, &feed, &rows, &err));
    assert_int_equal(rows, ROWS);
    stage_expect_number(stage->db, "SELECT count(DISTINCT id) FROM copied WHERE name = 'name ' || id", ROWS);
    assert_ok(pgdbm_copy_out(stage->db, "COPY copied TO STDOUT", take_piece, &drain, &rows, &err));
    assert_int_equal(rows, ROWS);
    assert_int_equal(drain.pieces, ROWS);
    int64_t expected = stage_number(stage->db, "SELECT sum(length(id::text) + length(name) + 2) FROM copied");
    assert_int_equal(drain.bytes, expected);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void a_source_that_fails_leaves_no_row(void **state)
{
    struct stage *stage = *state;
    struct feed feed = {.last = ROWS, .fail_at = ROWS / 2};
    pgdbm_error err;
    make_table(stage);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_copy_in(stage->db, "COPY copied FROM STDIN", next_piece, &feed, NULL, &err));
    assert_contains(err.message, "the file ended at row");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT count(*) FROM copied", 0);
}

static pgdbm_status bad_row(void *buffer, size_t bytes, size_t *filled, void *context, pgdbm_error *err)
{
    int *calls = context;
    (void)err;
    *filled = *calls < 100 ? (size_t)snprintf(buffer, bytes, "%s\tx\n", *calls == 50 ? "no number" : "1") : 0;
    (*calls)++;
    return PGDBM_OK;
}

static void a_row_the_server_refuses_leaves_no_row_and_a_usable_session(void **state)
{
    struct stage *stage = *state;
    int calls = 0;
    pgdbm_error err;
    make_table(stage);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_in(stage->db, "COPY copied FROM STDIN", bad_row, &calls, NULL, &err));
    assert_string_equal(err.sqlstate, "22P02");
    stage_expect_number(stage->db, "SELECT count(*) FROM copied", 0);
}

static void a_sink_that_has_enough_stops_the_copy(void **state)
{
    struct stage *stage = *state;
    struct drain drain = {.limit = 1000};
    pgdbm_error err;
    assert_ok(pgdbm_copy_out(stage->db, "COPY (SELECT generate_series(1, 100000000)) TO STDOUT", take_piece, &drain,
                             NULL, &err));
    assert_true(drain.bytes >= 1000 && drain.bytes < 2000);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void a_copy_in_a_transaction_is_rolled_back_with_it(void **state)
{
    struct stage *stage = *state;
    struct feed feed = {.last = 100, .fail_at = -1};
    pgdbm_db *tx;
    pgdbm_error err;
    int64_t rows;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_copy_in(tx, "COPY copied FROM STDIN", next_piece, &feed, &rows, &err));
    assert_int_equal(rows, 100);
    stage_expect_number(tx, "SELECT count(*) FROM copied", 100);
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM copied", 0);
}

static void what_is_no_copy_that_way_is_refused_before_it_is_sent(void **state)
{
    struct stage *stage = *state;
    struct feed feed = {.fail_at = -1};
    struct drain drain = {0};
    pgdbm_error err;
    static const char *const not_in[] = {"SELECT 1", "COPY copied TO STDOUT", "COPY copied FROM '/tmp/stdin'"};
    for (size_t i = 0; i < 3; i++)
        assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_in(stage->db, not_in[i], next_piece, &feed, NULL, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_copy_out(stage->db, "COPY copied FROM STDIN", take_piece, &drain, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
}

struct passage {
    struct feed feed;
    char line[64];
    size_t bytes, sent;
    bool done;
    pgdbm_status status;
    int64_t rows;
    struct drain drain;
};

static void write_on(pgdbm_copy *copy, void *context)
{
    struct passage *passage = context;
    for (;;) {
        if (passage->sent == passage->bytes) {
            if (passage->feed.next == passage->feed.last) {
                pgdbm_copy_end(copy, NULL);
                return;
            }
            passage->bytes = print_row(&passage->feed, passage->line, sizeof passage->line);
            passage->sent = 0;
            passage->feed.next++;
        }
        passage->sent += pgdbm_copy_write(copy, passage->line + passage->sent, passage->bytes - passage->sent);
        if (passage->sent < passage->bytes)
            return;
    }
}

static void note(const pgdbm_outcome *outcome, void *context)
{
    struct passage *passage = context;
    passage->status = outcome->status;
    passage->rows = outcome->affected;
    passage->done = true;
}

static bool take_on(const void *data, size_t bytes, void *context)
{
    return take_piece(data, bytes, &((struct passage *)context)->drain);
}

static void copies_run_asynchronously_beside_other_requests(void **state)
{
    struct stage *stage = *state;
    struct passage in = {.feed = {.last = ROWS, .fail_at = -1}};
    struct passage out = {.feed = {0}};
    struct passage beside = {.feed = {0}};
    pgdbm_copy *copy;
    pgdbm_error err;
    make_table(stage);
    assert_ok(pgdbm_copy_in_async(stage->db, "COPY copied FROM STDIN", write_on, note, &in, &copy, &err));
    assert_ok(pgdbm_submit(stage->db, "SELECT 1", pgdbm_no_args, note, &beside, &err));
    while (!in.done || !beside.done)
        pgdbm_dispatch(stage->pool, 20000);
    assert_int_equal(in.status, PGDBM_OK);
    assert_int_equal(in.rows, ROWS);
    assert_int_equal(beside.status, PGDBM_OK);
    assert_ok(pgdbm_copy_out_async(stage->db, "COPY copied TO STDOUT", take_on, note, &out, NULL, &err));
    while (!out.done)
        pgdbm_dispatch(stage->pool, 20000);
    assert_int_equal(out.status, PGDBM_OK);
    assert_int_equal(out.drain.pieces, ROWS);
}

static void nothing_else_runs_on_the_handle_of_a_copy_and_a_rollback_ends_it(void **state)
{
    struct stage *stage = *state;
    struct passage in = {.feed = {.last = 1000000000, .fail_at = -1}};
    pgdbm_copy *copy;
    pgdbm_db *tx;
    pgdbm_error err;
    make_table(stage);
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_copy_in_async(tx, "COPY copied FROM STDIN", write_on, note, &in, &copy, &err));
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(tx, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_contains(err.message, "COPY");
    assert_ok(pgdbm_rollback(tx, &err));
    while (!in.done)
        pgdbm_dispatch(stage->pool, 20000);
    assert_int_equal(in.status, PGDBM_ERR_CONNECTION);
    stage_expect_number(stage->db, "SELECT count(*) FROM copied", 0);
}

int main(void)
{
#define COPY_TEST(function) cmocka_unit_test_setup_teardown(function, stage_setup_four, stage_teardown)
    const struct CMUnitTest tests[] = {
        COPY_TEST(what_is_copied_in_is_copied_out),
        COPY_TEST(a_source_that_fails_leaves_no_row),
        COPY_TEST(a_row_the_server_refuses_leaves_no_row_and_a_usable_session),
        COPY_TEST(a_sink_that_has_enough_stops_the_copy),
        COPY_TEST(a_copy_in_a_transaction_is_rolled_back_with_it),
        COPY_TEST(what_is_no_copy_that_way_is_refused_before_it_is_sent),
        COPY_TEST(copies_run_asynchronously_beside_other_requests),
        COPY_TEST(nothing_else_runs_on_the_handle_of_a_copy_and_a_rollback_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
