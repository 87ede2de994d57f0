/* SPDX-License-Identifier: MIT */
/* Odd uses of an enclosed pool: verbs that fail in every way, threads, ends at the wrong moment. */
#include "db/crew.h"

#include <pgdbm/async.h>
#include <pgdbm/cursor.h>
#include <pgdbm/future.h>
#include <pgdbm/observe.h>
#include <pgdbm/structs.h>
#include <sched.h>
#include <stdlib.h>

struct enclosure {
    pgdbm_db *tx, *db;
};

/* The stage has one session, which the transaction takes. */
static struct enclosure enclose(struct stage *stage)
{
    pgdbm_error err;
    struct enclosure enclosure = {0};
    stage_run(stage->db, "CREATE TABLE things (id int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &enclosure.tx, &err));
    assert_ok(pgdbm_enclose(enclosure.tx, &err));
    assert_ok(pgdbm_attach(stage->pool, NULL, &enclosure.db, &err));
    return enclosure;
}

static void end(struct stage *stage, struct enclosure *enclosure)
{
    pgdbm_error err;
    assert_ok(pgdbm_rollback(enclosure->tx, &err));
    pgdbm_close(enclosure->db);
    stage_expect_number(stage->db, "SELECT count(*) FROM things", 0);
}

static bool take_one(const pgdbm_result *row, void *context)
{
    (void)row;
    (void)context;
    return false;
}

static void a_stream_that_is_stopped_is_undone(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_ok(pgdbm_stream(enclosure.db, "SELECT generate_series(1, 1000000)", pgdbm_no_args, take_one, NULL, &err));
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    assert_ok(
        pgdbm_stream(enclosure.db, "INSERT INTO things VALUES (2) RETURNING id", pgdbm_no_args, take_one, NULL, &err));
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    end(stage, &enclosure);
}

static bool close_inside(const pgdbm_result *row, void *context)
{
    pgdbm_db **db = context;
    (void)row;
    pgdbm_close(*db);
    *db = NULL;
    return true;
}

static void a_handle_that_is_closed_inside_its_stream_does_no_harm(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *other = NULL;
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_ok(pgdbm_attach(stage->pool, NULL, &other, &err));
    assert_ok(pgdbm_stream(other, "SELECT generate_series(1, 1000)", pgdbm_no_args, close_inside, &other, &err));
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    /* A transaction that is ended there loses its session, as anywhere. */
    assert_ok(pgdbm_begin(enclosure.db, NULL, &other, &err));
    (void)pgdbm_stream(other, "SELECT generate_series(1, 1000)", pgdbm_no_args, close_inside, &other, &err);
    end(stage, &enclosure);
}

static void an_enclosure_that_ends_inside_a_stream_of_it_does_no_harm(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    (void)pgdbm_stream(enclosure.db, "SELECT generate_series(1, 1000)", pgdbm_no_args, close_inside, &enclosure.tx,
                       &err);
    pgdbm_close(enclosure.db);
    stage_expect_number(stage->db, "SELECT count(*) FROM things", 0);
    STAGE_UNTIL(stage, stats.leased == 0);
}

static void a_cursor_that_fails_undoes_itself_only(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_cursor *cursor = NULL;
    pgdbm_result *rows = NULL;
    const pgdbm_cursor_options options = {.chunk_rows = 1};
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_fails(PGDBM_ERR_QUERY,
                 pgdbm_cursor_open(enclosure.db, "SELECT nonsense", pgdbm_no_args, NULL, &cursor, &err));
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    assert_ok(pgdbm_cursor_open(enclosure.db, "SELECT 1 / (2 - i) FROM generate_series(1, 3) i", pgdbm_no_args,
                                &options, &cursor, &err));
    assert_ok(pgdbm_cursor_fetch(cursor, &rows, &err));
    pgdbm_result_free(rows);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_cursor_fetch(cursor, &rows, &err));
    assert_string_equal(err.sqlstate, "22012");
    pgdbm_cursor_close(cursor);
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    end(stage, &enclosure);
}

static pgdbm_status wait_for(pgdbm_future *future)
{
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 20000);
    assert_non_null(outcome);
    return outcome->status;
}

static void a_submitted_statement_that_fails_is_undone_with_its_transaction(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    pgdbm_future *future = NULL;
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_ok(pgdbm_begin(enclosure.db, NULL, &tx, &err));
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_submit(tx, "SELECT nonsense", pgdbm_no_args, pgdbm_future_done, future, &err));
    assert_int_equal(wait_for(future), PGDBM_ERR_QUERY);
    pgdbm_future_free(future);
    assert_ok(pgdbm_rollback(tx, &err));
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    end(stage, &enclosure);
}

static void pinning_without_waiting_gives_the_same_session(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_future *future = NULL;
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_pin_async(enclosure.db, pgdbm_future_done, future, &err));
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 20000);
    assert_non_null(outcome);
    assert_int_equal(outcome->status, PGDBM_OK);
    stage_run(outcome->db, "INSERT INTO things VALUES (1)");
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 1);
    pgdbm_close(outcome->db);
    pgdbm_future_free(future);
    end(stage, &enclosure);
}

static pgdbm_status fail_twice(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    int *runs = context;
    pgdbm_status status = pgdbm_execute(tx, "INSERT INTO things VALUES ($1)", pgdbm_args(++*runs), NULL, err);
    if (status == PGDBM_OK && *runs < 3)
        status = pgdbm_execute(tx, "DO $$BEGIN RAISE 'again' USING ERRCODE = '40P01'; END$$", pgdbm_no_args, NULL, err);
    return status;
}

static void what_may_be_tried_again_is(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    int runs = 0;
    assert_ok(pgdbm_transact(enclosure.db, &(pgdbm_tx_options){.retry_delay_ms = 1}, fail_twice, &runs, &err));
    assert_int_equal(runs, 3);
    stage_expect_number(enclosure.db, "SELECT sum(id) FROM things", 3);
    end(stage, &enclosure);
}

struct shared {
    struct stage *stage;
    pgdbm_db *db[4];
    _Atomic int rounds;
};

enum { ROUNDS = 150 };

/* Every other statement fails; each that is said to have succeeded must have. */
static void insert_and_fail(struct crew_hand *hand)
{
    struct shared *shared = hand->shared;
    pgdbm_db *db = shared->db[hand->number % 4];
    for (int i = 0; i < ROUNDS; i++) {
        pgdbm_error err = {0};
        if (!crew_wants(hand, PGDBM_OK, pgdbm_execute(db, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err),
                        &err) ||
            !crew_wants(hand, PGDBM_ERR_QUERY, pgdbm_execute(db, "SELECT 1 / 0", pgdbm_no_args, NULL, &err), &err) ||
            !crew_holds(hand, strcmp(err.sqlstate, "22012") == 0, "%s: %s", err.sqlstate, err.message))
            return;
    }
}

static void threads_do_not_undo_each_other(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    struct shared shared = {.stage = stage};
    for (int i = 0; i < 4; i++)
        assert_ok(pgdbm_attach(stage->pool, NULL, &shared.db[i], &err));
    crew_run(4, insert_and_fail, &shared);
    stage_expect_number(enclosure.db, "SELECT count(*) FROM things", 4 * ROUNDS);
    for (int i = 0; i < 4; i++)
        pgdbm_close(shared.db[i]);
    end(stage, &enclosure);
}

/* Transactions meet statements: who is refused is told so, and what is said to be done is. */
static void begin_and_insert(struct crew_hand *hand)
{
    struct shared *shared = hand->shared;
    pgdbm_db *db = shared->db[hand->number % 4];
    for (int done = 0; done < 20;) {
        pgdbm_error err = {0};
        pgdbm_db *tx = NULL;
        pgdbm_status status = pgdbm_begin(db, NULL, &tx, &err);
        if (status == PGDBM_ERR_TRANSACTION)
            continue;
        if (!crew_wants(hand, PGDBM_OK, status, &err))
            return;
        status = pgdbm_execute(tx, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err) || !crew_wants(hand, PGDBM_OK, pgdbm_commit(tx, &err), &err))
            return;
        done++;
    }
}

static void transactions_of_threads_do_not_meet(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    struct shared shared = {.stage = stage};
    for (int i = 0; i < 4; i++)
        assert_ok(pgdbm_attach(stage->pool, NULL, &shared.db[i], &err));
    crew_run(4, begin_and_insert, &shared);
    stage_expect_number(enclosure.db, "SELECT count(*) FROM things", 4 * 20);
    for (int i = 0; i < 4; i++)
        pgdbm_close(shared.db[i]);
    end(stage, &enclosure);
}

/* Works until it is told that the end has come. */
static void work_until_the_end(struct crew_hand *hand)
{
    struct shared *shared = hand->shared;
    pgdbm_db *db = shared->db[hand->number % 4];
    const pgdbm_tx_options options = {.retry_delay_ms = 1};
    pgdbm_status status = PGDBM_OK;
    pgdbm_error err = {0};
    for (int i = 0; status == PGDBM_OK; i++) {
        int runs = 3; /* it does not fail */
        if (hand->number == 0)
            status = pgdbm_transact(db, &options, fail_twice, &runs, &err);
        else if (i % 3 == 0)
            status = pgdbm_stream(db, "INSERT INTO things VALUES (1), (2) RETURNING id", pgdbm_no_args, take_one, NULL,
                                  &err);
        else
            status = pgdbm_execute(db, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err);
        if (status == PGDBM_ERR_TRANSACTION && strstr(err.message, "still open") != NULL)
            status = PGDBM_OK;
        shared->rounds++;
    }
    (void)crew_wants(hand, PGDBM_ERR_TRANSACTION, status, &err);
}

static void threads_that_are_at_work_meet_the_end(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE things (id int)");
    for (int i = 0; i < 20; i++) {
        struct shared shared = {.stage = stage};
        static struct crew crew;
        pgdbm_db *tx = NULL;
        crew = (struct crew){0};
        assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
        assert_ok(pgdbm_enclose(tx, &err));
        for (int j = 0; j < 4; j++)
            assert_ok(pgdbm_attach(stage->pool, NULL, &shared.db[j], &err));
        for (int j = 0; j < 4; j++)
            crew_start(&crew, work_until_the_end, &shared);
        while (shared.rounds < 40)
            sched_yield();
        if (i % 2 == 0)
            assert_ok(pgdbm_rollback(tx, &err));
        else /* perhaps in the middle of one of theirs, which has its say, and is undone */
            pgdbm_close(tx);
        crew_join(&crew);
        for (int j = 0; j < 4; j++)
            pgdbm_close(shared.db[j]);
        stage_expect_number(stage->db, "SELECT count(*) FROM things", 0);
    }
    assert_int_equal(stage_stats(stage).connections_closed, 0);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void work_until_refused(struct crew_hand *hand)
{
    struct shared *shared = hand->shared;
    pgdbm_db *db = shared->db[hand->number % 4];
    pgdbm_error err = {0};
    while (pgdbm_execute(db, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err) == PGDBM_OK)
        shared->rounds++;
    (void)crew_holds(hand, err.outcome != PGDBM_OUTCOME_DONE, "it was done");
}

static void threads_that_are_at_work_meet_the_end_of_the_pool(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    struct shared shared = {.stage = stage};
    static struct crew crew;
    crew = (struct crew){0};
    stage_open(stage, (pgdbm_config){.max_connections = 1, .drain_timeout_ms = 1});
    stage_run(stage->db, "CREATE TABLE things (id int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_enclose(tx, &err));
    for (int i = 0; i < 4; i++)
        assert_ok(pgdbm_attach(stage->pool, NULL, &shared.db[i], &err));
    for (int i = 0; i < 4; i++)
        crew_start(&crew, work_until_refused, &shared);
    while (shared.rounds < 40)
        sched_yield();
    stage_close(stage);
    crew_join(&crew);
    pgdbm_close(tx);
    for (int i = 0; i < 4; i++)
        pgdbm_close(shared.db[i]);
}

static void it_ends_with_the_pinned_session_it_was_begun_on(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *pin = NULL, *tx = NULL, *db = NULL;
    assert_ok(pgdbm_pin(stage->db, &pin, &err));
    assert_ok(pgdbm_begin(pin, NULL, &tx, &err));
    assert_ok(pgdbm_enclose(tx, &err));
    assert_ok(pgdbm_attach(stage->pool, NULL, &db, &err));
    stage_run(db, "CREATE TABLE things (id int)");
    pgdbm_close(pin);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(db, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_close(db);
    pgdbm_close(tx);
    assert_ok(pgdbm_attach(stage->pool, NULL, &db, &err));
    stage_expect_number(db, "SELECT count(*) FROM pg_class WHERE relname = 'things'", 0);
    pgdbm_close(db);
}

static void nothing_runs_behind_a_submitted_end(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_future *future = NULL;
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_rollback_async(enclosure.tx, pgdbm_future_done, future, &err));
    assert_fails(PGDBM_ERR_TRANSACTION,
                 pgdbm_execute(enclosure.db, "INSERT INTO things VALUES (1)", pgdbm_no_args, NULL, &err));
    assert_int_equal(wait_for(future), PGDBM_OK);
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_execute(enclosure.db, "SELECT 1", pgdbm_no_args, NULL, &err));
    pgdbm_future_free(future);
    pgdbm_close(enclosure.db);
    stage_expect_number(stage->db, "SELECT count(*) FROM things", 0);
}

static void count_told(const pgdbm_observation *seen, void *context)
{
    (void)seen;
    ++*(int *)context;
}

static void in_a_spoilt_transaction_nothing_is_sent(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    pgdbm_observer *observer = NULL;
    int told = 0;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(enclosure.tx, "SELECT nonsense", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_observe(enclosure.db, count_told, &told, &observer, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(enclosure.db, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "25P02");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute_simple(enclosure.db, "SELECT 1", &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_int_equal(told, 0);
    pgdbm_unobserve(observer);
    end(stage, &enclosure);
}

static void a_session_that_is_lost_is_said_to_be(void **state)
{
    struct stage *stage = *state;
    struct enclosure enclosure = enclose(stage);
    pgdbm_error err;
    int pid = 0;
    pgdbm_result *rows = NULL;
    assert_ok(pgdbm_session_pid(enclosure.tx, &pid, &err));
    stage_run(enclosure.db, "INSERT INTO things VALUES (1)");
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_fetch_all(enclosure.db, "SELECT pg_terminate_backend(pg_backend_pid())",
                                                       pgdbm_no_args, &rows, &err));
    assert_null(rows);
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_execute(enclosure.db, "SELECT 1", pgdbm_no_args, NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    end(stage, &enclosure);
}

int main(void)
{
#define ODD(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
    const struct CMUnitTest tests[] = {
        ODD(a_stream_that_is_stopped_is_undone),
        ODD(a_handle_that_is_closed_inside_its_stream_does_no_harm),
        ODD(an_enclosure_that_ends_inside_a_stream_of_it_does_no_harm),
        ODD(a_cursor_that_fails_undoes_itself_only),
        ODD(a_submitted_statement_that_fails_is_undone_with_its_transaction),
        ODD(pinning_without_waiting_gives_the_same_session),
        ODD(what_may_be_tried_again_is),
        ODD(threads_do_not_undo_each_other),
        ODD(transactions_of_threads_do_not_meet),
        ODD(threads_that_are_at_work_meet_the_end),
        cmocka_unit_test_setup_teardown(threads_that_are_at_work_meet_the_end_of_the_pool, stage_setup, stage_teardown),
        ODD(it_ends_with_the_pinned_session_it_was_begun_on),
        ODD(nothing_runs_behind_a_submitted_end),
        ODD(in_a_spoilt_transaction_nothing_is_sent),
        ODD(a_session_that_is_lost_is_said_to_be),
    };
    return cmocka_run_group_tests_name("enclose_odd", tests, NULL, NULL);
}
