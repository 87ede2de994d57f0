/* SPDX-License-Identifier: MIT */
/* pgdbm_stream: every row, stopping early, errors in the middle, and what a callback may do. */
#include "db/crew.h"
#include "db/stage.h"

struct reader {
    pgdbm_db *db; /* what a callback uses inside, or NULL */
    size_t rows;
    size_t stop_after;
    int64_t sum;
    bool in_order;
    pgdbm_status inside;
    pgdbm_error err;
};

static bool add_up(const pgdbm_result *row, void *context)
{
    struct reader *reader = context;
    int64_t value = -1;
    reader->inside = pgdbm_get_int64(row, 0, 0, &value, &reader->err);
    reader->in_order = reader->rows == 0 || (reader->in_order && (size_t)value > reader->rows - 1);
    reader->sum += value;
    reader->rows++;
    return reader->rows != reader->stop_after;
}

static bool use_another(const pgdbm_result *row, void *context)
{
    struct reader *reader = context;
    int64_t value = 0;
    (void)row;
    reader->inside = pgdbm_fetch_value(reader->db, "SELECT 1::int8", pgdbm_no_args, &value, &reader->err);
    reader->rows++;
    return true;
}

static void a_stream_gives_every_row_in_order(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {0};
    assert_ok(pgdbm_stream(stage->db, "SELECT generate_series(1, $1::int8), repeat('x', 100)", pgdbm_args(200000),
                           add_up, &reader, &err));
    assert_int_equal(reader.rows, 200000);
    assert_int_equal(reader.inside, PGDBM_OK);
    assert_true(reader.in_order);
    assert_int_equal(reader.sum, 200000LL * 200001 / 2);
}

static bool look_at_row(const pgdbm_result *row, void *context)
{
    size_t *good = context;
    const char *text = NULL;
    pgdbm_blob blob = {0};
    bool null = false;
    if (pgdbm_result_rows(row) == 1 && pgdbm_result_columns(row) == 4 &&
        strcmp(pgdbm_result_column_name(row, 1), "word") == 0 &&
        pgdbm_get_text(row, 0, "word", &text, NULL) == PGDBM_OK && strlen(text) == 70000 &&
        pgdbm_get_bytes(row, 0, "raw", &blob, NULL) == PGDBM_OK && blob.bytes == 3 &&
        pgdbm_is_null(row, 0, "nothing", &null, NULL) == PGDBM_OK && null)
        ++*good;
    return true;
}

static void a_streamed_row_is_a_result_of_one_row(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    size_t good = 0;
    assert_ok(pgdbm_stream(stage->db,
                           "SELECT i, repeat('y', 70000) AS word, '\\x010203'::bytea AS raw, NULL AS nothing "
                           "FROM generate_series(1, 50) i",
                           pgdbm_no_args, look_at_row, &good, &err));
    assert_int_equal(good, 50);
}

static void a_stream_without_rows_calls_nothing(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {0};
    assert_ok(pgdbm_stream(stage->db, "SELECT 1 WHERE false", pgdbm_no_args, add_up, &reader, &err));
    assert_ok(pgdbm_stream(stage->db, "CREATE TABLE t (i int)", pgdbm_no_args, add_up, &reader, &err));
    assert_ok(pgdbm_stream(stage->db, "INSERT INTO t VALUES (1)", pgdbm_no_args, add_up, &reader, &err));
    assert_int_equal(reader.rows, 0);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void stopping_early_is_success_and_keeps_the_session(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    for (int i = 0; i < 3; i++) {
        struct reader reader = {.stop_after = 10};
        assert_ok(
            pgdbm_stream(stage->db, "SELECT generate_series(1, 1000000000000)", pgdbm_no_args, add_up, &reader, &err));
        assert_int_equal(reader.rows, 10);
        stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
    }
}

static void stopping_at_the_last_row_is_success(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    for (int i = 0; i < 20; i++) {
        struct reader reader = {.stop_after = 3};
        assert_ok(pgdbm_stream(stage->db, "SELECT generate_series(1, 3)", pgdbm_no_args, add_up, &reader, &err));
        assert_int_equal(reader.rows, 3);
        /* The cancel request came too late for the stream; it must not hit what follows. */
        stage_expect_number(stage->db, "SELECT count(*) FROM generate_series(1, 1000)", 1000);
    }
}

static void a_long_answer_ends_at_its_deadline(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {0};
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_stream_with(stage->db, &(pgdbm_call){.timeout_ms = 300},
                                                      "SELECT generate_series(1, 1000000000000), repeat('x', 100)",
                                                      pgdbm_no_args, add_up, &reader, &err));
    assert_true(reader.rows > 0);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void an_error_in_the_middle_comes_after_the_rows_before_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {0};
    assert_fails(PGDBM_ERR_QUERY, pgdbm_stream(stage->db, "SELECT i + 0 / (5000 - i) FROM generate_series(1, 9999) i",
                                               pgdbm_no_args, add_up, &reader, &err));
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_int_equal(reader.rows, 4999);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void the_streaming_transaction_refuses_work_inside_its_callback(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    struct reader reader = {.db = tx};
    assert_ok(pgdbm_stream(tx, "SELECT generate_series(1, 3)", pgdbm_no_args, use_another, &reader, &err));
    assert_int_equal(reader.rows, 3);
    assert_int_equal(reader.inside, PGDBM_ERR_TRANSACTION);
    assert_int_equal(reader.err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(reader.err.message, "streamed");
    stage_expect_number(tx, "SELECT 5", 5);
    assert_ok(pgdbm_commit(tx, &err));
}

static void another_manager_works_inside_the_callback(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {.db = stage->db};
    assert_ok(pgdbm_stream(stage->db, "SELECT generate_series(1, 100)", pgdbm_no_args, use_another, &reader, &err));
    assert_int_equal(reader.rows, 100);
    assert_int_equal(reader.inside, PGDBM_OK);
}

static void a_stream_in_a_transaction_sees_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    struct reader reader = {0};
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1), (2)");
    assert_ok(pgdbm_stream(tx, "SELECT i FROM t ORDER BY i", pgdbm_no_args, add_up, &reader, &err));
    assert_int_equal(reader.sum, 3);
    assert_ok(pgdbm_commit(tx, &err));
}

static void stopping_early_in_a_transaction_leaves_it_to_be_rolled_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *inner;
    struct reader reader = {.stop_after = 1};
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "INSERT INTO t VALUES (1)");
    assert_ok(pgdbm_begin(tx, NULL, &inner, &err));
    assert_ok(pgdbm_stream(inner, "SELECT generate_series(1, 1000000000000)", pgdbm_no_args, add_up, &reader, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(inner, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25P02");
    assert_ok(pgdbm_rollback(inner, &err));
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
}

static void a_stream_obeys_the_deadline_of_its_call(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {0};
    int64_t pid = stage_number(stage->db, "SELECT pg_backend_pid()");
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_stream_with(stage->db, &(pgdbm_call){.timeout_ms = 100},
                                                      "SELECT i, pg_sleep(CASE WHEN i > 5 THEN 60 ELSE 0 END) "
                                                      "FROM generate_series(1, 10) i",
                                                      pgdbm_no_args, add_up, &reader, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT pg_backend_pid()", pid);
}

static void bad_templates_and_parameters_are_refused_before_the_stream(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {0};
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_stream(stage->db, "SELECT {{x}}", pgdbm_no_args, add_up, &reader, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_stream(stage->db, "SELECT $1::int", pgdbm_no_args, add_up, &reader, &err));
    assert_int_equal(reader.rows, 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void stopping_early_rolls_a_statement_that_writes_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct reader reader = {.stop_after = 1};
    stage_run(stage->db, "CREATE TABLE t (i int, text text)");
    assert_ok(pgdbm_stream(stage->db,
                           "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i RETURNING *",
                           pgdbm_no_args, add_up, &reader, &err));
    assert_int_equal(reader.rows, 1);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 0);
}

struct together {
    pgdbm_db *tx;
};

struct watched {
    pthread_t thread;
    size_t rows;
    bool elsewhere;
};

static bool watch_thread(const pgdbm_result *row, void *context)
{
    struct watched *watched = context;
    (void)row;
    watched->rows++;
    watched->elsewhere = watched->elsewhere || !pthread_equal(watched->thread, pthread_self());
    return true;
}

static void stream_in_common(struct crew_hand *hand)
{
    struct together *together = hand->shared;
    for (int i = 0; i < 50; i++) {
        pgdbm_error err;
        struct watched watched = {.thread = pthread_self()};
        pgdbm_status status = hand->number % 2 == 0 ? pgdbm_execute(together->tx, "SELECT 1", pgdbm_no_args, NULL, &err)
                                                    : pgdbm_stream(together->tx, "SELECT generate_series(1, 100)",
                                                                   pgdbm_no_args, watch_thread, &watched, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err) ||
            !crew_holds(hand, watched.rows == (hand->number % 2) * 100, "%zu rows", watched.rows) ||
            !crew_holds(hand, !watched.elsewhere, "a row came in another thread"))
            return;
    }
}

static void rows_come_in_the_thread_that_streams(void **state)
{
    struct stage *stage = *state;
    struct together together;
    pgdbm_error err;
    assert_ok(pgdbm_begin(stage->db, NULL, &together.tx, &err));
    crew_run(4, stream_in_common, &together);
    assert_ok(pgdbm_commit(together.tx, &err));
}

struct ending {
    pgdbm_db *tx;
    pgdbm_error err;
};

static bool end_inside(const pgdbm_result *row, void *context)
{
    struct ending *ending = context;
    (void)row;
    if (ending->tx != NULL)
        (void)pgdbm_commit(ending->tx, &ending->err);
    ending->tx = NULL;
    return true;
}

static void a_transaction_that_is_ended_inside_its_stream_does_no_harm(void **state)
{
    struct stage *stage = *state;
    struct ending ending = {0};
    pgdbm_error err;
    assert_ok(pgdbm_begin(stage->db, NULL, &ending.tx, &err));
    (void)pgdbm_stream(ending.tx, "SELECT generate_series(1, 100000)", pgdbm_no_args, end_inside, &ending, &err);
    assert_int_equal(ending.err.status, PGDBM_ERR_TRANSACTION);
    for (int i = 0; i < 20; i++)
        stage_expect_number(stage->db, "SELECT 9", 9);
    STAGE_UNTIL(stage, stats.leased == 0);
}

struct dawdler {
    struct stage *stage;
    size_t rows;
    int64_t made; /* rows that the server had made when it could not go on */
};

/* At the tenth row: does nothing until the server waits for us. */
static bool dawdle(const pgdbm_result *row, void *context)
{
    struct dawdler *dawdler = context;
    (void)row;
    if (++dawdler->rows < 10)
        return true;
    int64_t give_up = stage_clock_ms() + 20000;
    while (stage_number(dawdler->stage->db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' "
                                            "AND datname = current_database()") != 1)
        if (stage_clock_ms() > give_up)
            return false;
    dawdler->made = stage_number(dawdler->stage->db, "SELECT last_value FROM made");
    return false;
}

static void a_slow_callback_holds_the_server_back_and_can_stop_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    struct dawdler dawdler = {.stage = stage};
    stage_run(stage->db, "CREATE SEQUENCE made");
    assert_ok(pgdbm_stream(stage->db, "SELECT nextval('made'), repeat('x', 10000) FROM generate_series(1, 1000000)",
                           pgdbm_no_args, dawdle, &dawdler, &err));
    assert_int_equal(dawdler.rows, 10);
    assert_true(dawdler.made >= 10);
    assert_true(dawdler.made < 20000); /* 200 MB of 10 GB: what sockets hold is much less */
    stage_expect_number(stage->db, "SELECT 1", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_ONE(rows_come_in_the_thread_that_streams),
        ON_ONE(a_transaction_that_is_ended_inside_its_stream_does_no_harm),
        ON_ONE(a_stream_gives_every_row_in_order),
        ON_ONE(a_streamed_row_is_a_result_of_one_row),
        ON_ONE(a_stream_without_rows_calls_nothing),
        ON_ONE(stopping_early_is_success_and_keeps_the_session),
        ON_ONE(stopping_at_the_last_row_is_success),
        ON_ONE(a_long_answer_ends_at_its_deadline),
        ON_ONE(an_error_in_the_middle_comes_after_the_rows_before_it),
        ON_ONE(the_streaming_transaction_refuses_work_inside_its_callback),
        ON_FOUR(a_slow_callback_holds_the_server_back_and_can_stop_it),
        ON_FOUR(another_manager_works_inside_the_callback),
        ON_ONE(a_stream_in_a_transaction_sees_it),
        ON_ONE(stopping_early_in_a_transaction_leaves_it_to_be_rolled_back),
        ON_ONE(a_stream_obeys_the_deadline_of_its_call),
        ON_ONE(bad_templates_and_parameters_are_refused_before_the_stream),
        ON_ONE(stopping_early_rolls_a_statement_that_writes_back),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
