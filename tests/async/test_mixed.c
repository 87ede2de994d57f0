/* SPDX-License-Identifier: MIT */
/* Blocking verbs beside asynchronous requests: of the same thread, on the same pool, the same session, the same
 * transaction. Nobody waits for the other for ever, and on a handle the order is kept. */
#include "async/play.h"

#include <stdio.h>

static bool on_row(const pgdbm_result *row, void *context)
{
    (void)row;
    ++*(size_t *)context;
    return true;
}

static pgdbm_status insert_two(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    const pgdbm_params sets[] = {pgdbm_args(1), pgdbm_args(2)};
    (void)context;
    return pgdbm_execute_many(tx, "INSERT INTO t VALUES ($1)", sets, 2, NULL, err);
}

static void block_in_every_way(pgdbm_db *db)
{
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    size_t rows = 0;
    bool exists = false;
    stage_expect_number(db, "SELECT 5::int8", 5);
    stage_run(db, "INSERT INTO t VALUES (3)");
    stage_run(db, "SET work_mem = '4MB'");
    assert_ok(pgdbm_execute_simple(db, "SELECT 1; SELECT 2", &err));
    assert_ok(pgdbm_table_exists(db, "t", &exists, &err));
    assert_true(exists);
    assert_ok(pgdbm_stream(db, "SELECT generate_series(1, 500)", pgdbm_no_args, on_row, &rows, &err));
    assert_int_equal(rows, 500);
    assert_ok(pgdbm_transact(db, NULL, insert_two, NULL, &err));
    assert_ok(pgdbm_begin(db, NULL, &tx, &err));
    stage_expect_number(tx, "SELECT 6::int8", 6);
    assert_ok(pgdbm_rollback(tx, &err));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(db, "SELECT nothing", pgdbm_no_args, NULL, &err));
}

static void block_among_requests(void **state, int max_connections)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = max_connections});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    struct answer *answers = play_answers(600);
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < 100; i++)
            assert_ok(pgdbm_submit(stage->db, "SELECT $1::int8", pgdbm_args(i), play_take,
                                   &answers[round * 100 + (int)i], &err));
        block_in_every_way(stage->db);
    }
    PLAY_UNTIL(play.n_answers == 600);
    for (size_t i = 0; i < 600; i++) {
        play_ok(&answers[i]);
        assert_int_equal(answers[i].number, i % 100);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 18);
}

static void blocking_verbs_work_among_the_threads_own_requests(void **state)
{
    block_among_requests(state, 3);
}

static void and_on_a_pool_of_one_session(void **state)
{
    block_among_requests(state, 1);
}

/* A lease that an asynchronous request has on its way must not keep a blocking one waiting for ever. */
static void a_blocking_begin_waits_for_the_transactions_that_were_submitted_before_it(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    for (int i = 0; i < 20; i++) {
        pgdbm_db *tx = play_begin(stage->db);
        pgdbm_db *blocking = NULL;
        play_submit(tx, "INSERT INTO t VALUES (1)");
        assert_ok(pgdbm_commit_async(tx, NULL, NULL, &err));
        assert_ok(pgdbm_begin(stage->db, NULL, &blocking, &err));
        stage_expect_number(blocking, "SELECT count(*) FROM t", i + 1);
        assert_ok(pgdbm_commit(blocking, &err));
    }
}

static void use_handle(pgdbm_db *handle, struct answer *answers)
{
    pgdbm_error err;
    for (size_t i = 0; i < 60; i++) {
        assert_ok(pgdbm_submit(handle, "INSERT INTO t VALUES ($1)", pgdbm_args(i), play_take, &answers[i], &err));
        if (i % 10 == 9) /* sees all that was submitted before, and nothing that is submitted after */
            stage_expect_number(handle, "SELECT count(*) FROM t", (int64_t)i + 1);
        if (i % 20 == 19) {
            pgdbm_db *inner = NULL;
            assert_ok(pgdbm_begin(handle, NULL, &inner, &err));
            stage_run(inner, "INSERT INTO t VALUES (1000)");
            play_submit(inner, "INSERT INTO t VALUES (1000)");
            assert_ok(pgdbm_rollback(inner, &err));
        }
    }
}

static void on_a_transactions_handle_blocking_verbs_keep_the_order(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    struct answer *answers = play_answers(60);
    pgdbm_db *tx = play_begin(stage->db);
    use_handle(tx, answers);
    struct answer *last = play_submit(tx, "INSERT INTO t VALUES (60)");
    assert_ok(pgdbm_commit(tx, &err));
    play_ok(last);
    for (size_t i = 0; i < 60; i++) {
        play_ok(&answers[i]);
        if (i > 0 && answers[i].place < answers[i - 1].place)
            fail_msg("request %zu completed before the one in front of it", i);
    }
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 61);
}

static void on_a_pinned_session_blocking_verbs_keep_the_order(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    stage_run(stage->db, "CREATE TABLE t (i int)");
    struct answer *answers = play_answers(60);
    pgdbm_db *session = play_pin(stage->db);
    use_handle(session, answers);
    struct answer *last = play_submit(session, "SELECT count(*) FROM t");
    pgdbm_close(session);
    play_ok(last);
    assert_int_equal(last->number, 60);
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 60);
}

static void a_transaction_begun_in_one_way_can_end_in_the_other(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    play_submit(tx, "INSERT INTO t VALUES (1)");
    struct answer *commit = play_answer();
    assert_ok(pgdbm_commit_async(tx, play_take, commit, &err));
    play_ok(commit);
    tx = play_begin(stage->db);
    stage_run(tx, "INSERT INTO t VALUES (2)");
    struct answer *failed = play_submit(tx, "SELECT 1 / 0");
    assert_fails(PGDBM_ERR_TRANSACTION, pgdbm_commit(tx, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    play_fails(failed, PGDBM_ERR_QUERY, PGDBM_OUTCOME_ROLLED_BACK);
    stage_expect_number(stage->db, "SELECT sum(i) FROM t", 1);
}

struct traffic {
    struct answer *answers;
    atomic_int refused;
};

static void mix_everything(struct crew_hand *hand)
{
    struct traffic *traffic = hand->shared;
    pgdbm_db *db = play.stage->db;
    for (size_t i = 0; i < 40; i++) {
        pgdbm_error err;
        pgdbm_db *tx = NULL;
        int64_t value = -1;
        pgdbm_status status = pgdbm_submit(db, i % 4 == 3 ? "SELECT $1::int8 FROM pg_sleep(0.001)" : "SELECT $1::int8",
                                           pgdbm_args(i), play_take, &traffic->answers[hand->number * 40 + i], &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err))
            return;
        if ((i + hand->number) % 8 == 0) {
            status = pgdbm_begin(db, NULL, &tx, &err);
            if (status == PGDBM_OK)
                status = pgdbm_fetch_value(tx, "SELECT $1::int8", pgdbm_args(i), &value, &err);
            if (status == PGDBM_OK)
                status = pgdbm_commit(tx, &err);
            else
                pgdbm_close(tx);
        } else
            status = pgdbm_fetch_value(db, "SELECT $1::int8", pgdbm_args(i), &value, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err) ||
            !crew_holds(hand, value == (int64_t)i, "expected %zu, came %lld", i, (long long)value))
            return;
    }
}

static void threads_that_block_and_requests_share_two_sessions(void **state)
{
    play_open(state, (pgdbm_config){.max_connections = 2});
    static struct crew crew;
    struct traffic traffic = {.answers = play_answers(16 * 40)};
    for (int i = 0; i < 16; i++)
        crew_start(&crew, mix_everything, &traffic);
    PLAY_UNTIL(play.n_answers == 16 * 40);
    crew_join(&crew);
    for (size_t i = 0; i < 16 * 40; i++) {
        play_ok(&traffic.answers[i]);
        assert_int_equal(traffic.answers[i].number, i % 40);
    }
}

/* Nobody dispatches at all: those who block drive what they need. */
static void threads_that_block_get_through_when_nobody_dispatches(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    struct traffic traffic = {.answers = play_answers(8 * 40)};
    crew_run(8, mix_everything, &traffic);
    PLAY_UNTIL(stage_stats(stage).submitted == 0);
    for (size_t i = 0; i < 8 * 40; i++)
        play_ok(&traffic.answers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(blocking_verbs_work_among_the_threads_own_requests),
        PLAY_BOTH(and_on_a_pool_of_one_session),
        PLAY_BOTH(a_blocking_begin_waits_for_the_transactions_that_were_submitted_before_it),
        PLAY_BOTH(on_a_transactions_handle_blocking_verbs_keep_the_order),
        PLAY_BOTH(on_a_pinned_session_blocking_verbs_keep_the_order),
        PLAY_BOTH(a_transaction_begun_in_one_way_can_end_in_the_other),
        PLAY_BOTH(threads_that_block_and_requests_share_two_sessions),
        PLAY_BOTH(threads_that_block_get_through_when_nobody_dispatches),
    };
    return cmocka_run_group_tests_name("mixed", tests, NULL, NULL);
}
