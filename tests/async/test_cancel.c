/* SPDX-License-Identifier: MIT */
/* pgdbm_cancel: queued, in flight, complete, twice, from another thread; and neighbours that a cancel hits are asked again
 * and never see it. */
#include "async/play.h"

static pgdbm_request *submit(pgdbm_db *db, const char *sql, struct answer *answer)
{
    pgdbm_error err;
    pgdbm_request *request = NULL;
    assert_ok(pgdbm_submit_with(db, NULL, sql, pgdbm_no_args, play_take, answer, &request, &err));
    assert_non_null(request);
    return request;
}

static void what_is_queued_completes_as_not_sent(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    struct answer *answers = play_answers(2);
    pgdbm_db *session = play_pin(stage->db);
    pgdbm_request *first = submit(stage->db, "SELECT 1", &answers[0]);
    pgdbm_request *second = submit(stage->db, "SELECT 2", &answers[1]);
    pgdbm_cancel(first);
    pgdbm_cancel(first);
    play_fails(&answers[0], PGDBM_ERR_CANCELED, PGDBM_OUTCOME_NOT_SENT);
    pgdbm_cancel(first);
    assert_int_equal(stage_stats(stage).queued, 1);
    pgdbm_close(session);
    play_ok(&answers[1]);
    pgdbm_cancel(second); /* complete */
    pgdbm_request_release(first);
    pgdbm_request_release(second);
    play_number(stage->db, "SELECT 1::int8", 1);
}

static void what_is_in_flight_is_cancelled_on_the_server(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    struct answer *answers = play_answers(4);
    stage_gate_shut(stage);
    for (size_t i = 0; i < 4; i++) {
        pgdbm_request *request = submit(stage->db, STAGE_PASS, &answers[i]);
        play_gate_awaited(1);
        pgdbm_cancel(request);
        if (i % 2 == 1)
            pgdbm_cancel(request);
        pgdbm_request_release(request); /* the request goes on, and so does its end */
        play_fails(&answers[i], PGDBM_ERR_CANCELED, PGDBM_OUTCOME_ROLLED_BACK);
        play_gate_awaited(0);
    }
    assert_int_equal(stage_stats(stage).connections_closed, 0);
    stage_gate_open(stage);
    play_number(stage->db, STAGE_PASS, 1);
}

static void what_is_complete_stays_as_it_is(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    struct answer *answer = play_answer();
    pgdbm_request *request = submit(stage->db, "SELECT 9::int8", answer);
    play_ok(answer);
    pgdbm_cancel(request);
    pgdbm_cancel(request);
    assert_int_equal(answer->number, 9);
    play_number(stage->db, "SELECT 1::int8", 1);
    stage_close(stage);
    pgdbm_cancel(request); /* a handle may outlive its pool */
    pgdbm_request_release(request);
    assert_int_equal(answer->calls, 1);
}

static void in_a_transaction_the_others_keep_their_order(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    struct answer *answers = play_answers(5);
    stage_gate_shut(stage);
    pgdbm_db *tx = play_begin(stage->db);
    pgdbm_request *requests[4];
    for (size_t i = 0; i < 4; i++)
        requests[i] = submit(tx, i == 1 ? STAGE_PASS : "SELECT 3::int8", &answers[i]);
    play_gate_awaited(1);
    pgdbm_cancel(requests[1]);
    play_fails(&answers[1], PGDBM_ERR_CANCELED, PGDBM_OUTCOME_ROLLED_BACK);
    play_ok(&answers[0]);
    PLAY_UNTIL(answers[3].calls == 1);
    assert_true(answers[1].place < answers[2].place && answers[2].place < answers[3].place);
    assert_string_equal(answers[2].error.sqlstate, "25P02");
    assert_ok(pgdbm_rollback_async(tx, play_take, &answers[4], &err));
    play_ok(&answers[4]);
    for (size_t i = 0; i < 4; i++)
        pgdbm_request_release(requests[i]);
    stage_gate_open(stage);
    play_number(stage->db, "SELECT 1::int8", 1);
}

/* The proof that the first cancel has landed stands behind the second request, which would never end. */
static void cancel_six_of_eight(pgdbm_db *db)
{
    struct answer *answers = play_answers(8);
    pgdbm_request *requests[8];
    for (size_t i = 0; i < 8; i++)
        requests[i] = submit(db, i % 4 == 3 ? "SELECT 3::int8" : STAGE_PASS, &answers[i]);
    play_gate_awaited(1);
    for (size_t i = 0; i < 8; i++)
        if (i % 4 != 3)
            pgdbm_cancel(requests[i]);
    for (size_t i = 0; i < 8; i++) {
        PLAY_UNTIL(answers[i].calls == 1);
        if (i % 4 == 3)
            play_ok(&answers[i]);
        else
            play_fails(&answers[i], PGDBM_ERR_CANCELED, answers[i].error.outcome);
        assert_int_not_equal(answers[i].error.outcome, PGDBM_OUTCOME_UNKNOWN);
        pgdbm_request_release(requests[i]);
    }
}

/* At first none of the statements is known, and all are in flight; then they are, and some share their Sync. */
static void several_in_flight_on_one_session_are_cancelled_one_after_the_other(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    for (int round = 0; round < 6; round++) {
        stage_gate_shut(stage);
        cancel_six_of_eight(stage->db);
        stage_gate_open(stage);
        play_number(stage->db, STAGE_PASS, 1);
    }
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

struct cancelling {
    pgdbm_request *_Atomic requests[400];
};

static void cancel_all(struct crew_hand *hand)
{
    struct cancelling *cancelling = hand->shared;
    for (size_t i = 0; i < 400; i++) {
        pgdbm_request *request;
        while ((request = atomic_load(&cancelling->requests[i])) == NULL)
            sched_yield();
        pgdbm_cancel(request);
    }
}

static void other_threads_may_cancel_and_each_request_ends_once(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    static struct crew crew;
    static struct cancelling cancelling;
    memset(&cancelling, 0, sizeof cancelling);
    struct answer *answers = play_answers(400);
    crew_start(&crew, cancel_all, &cancelling);
    crew_start(&crew, cancel_all, &cancelling);
    for (size_t i = 0; i < 400; i++) {
        atomic_store(&cancelling.requests[i],
                     submit(stage->db, i % 3 == 0 ? "SELECT pg_sleep(60)" : "SELECT 4::int8", &answers[i]));
        (void)pgdbm_dispatch(stage->pool, 0);
    }
    PLAY_UNTIL(play.n_answers == 400);
    crew_join(&crew);
    for (size_t i = 0; i < 400; i++) {
        pgdbm_request_release(atomic_load(&cancelling.requests[i]));
        if (answers[i].status != PGDBM_ERR_CANCELED && (answers[i].status != PGDBM_OK || i % 3 == 0))
            fail_msg("request %zu ended with %s: %s", i, pgdbm_status_name(answers[i].status),
                     answers[i].error.message);
    }
    play_number(stage->db, "SELECT 1::int8", 1);
    PLAY_UNTIL(stage_stats(stage).canceling == 0);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

/* The cancel is sent when the statement is about to be done by itself: it may come too late, and to whatever runs next. */
static void no_neighbour_ever_sees_a_cancel(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    for (int round = 0; round < 60; round++) {
        struct answer *neighbours = play_answers(20);
        struct answer *victim = play_answer();
        pgdbm_request *request = NULL;
        for (size_t i = 0; i < 20; i++) {
            if (i == 10)
                request = submit(stage->db, round % 3 == 0 ? "SELECT pg_sleep(60)" : "SELECT pg_sleep(0.002)", victim);
            assert_ok(
                pgdbm_submit(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args(i), play_take, &neighbours[i], &err));
        }
        PLAY_UNTIL(neighbours[9].calls == 1);
        pgdbm_cancel(request);
        pgdbm_request_release(request);
        for (size_t i = 0; i < 20; i++)
            play_ok(&neighbours[i]);
        PLAY_UNTIL(victim->calls == 1);
    }
    play_number(stage->db, "SELECT count(*) FROM t", 1200);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void block_without_pause(struct crew_hand *hand)
{
    atomic_bool *stop = hand->shared;
    for (int64_t i = 0; !atomic_load(stop); i++) {
        pgdbm_error err;
        int64_t value = -1;
        pgdbm_status status =
            pgdbm_fetch_value(play.stage->db, "SELECT $1::int8 FROM pg_sleep(0.0005)", pgdbm_args(i), &value, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err) ||
            !crew_holds(hand, value == i, "expected %lld, came %lld", (long long)i, (long long)value))
            return;
    }
}

static void no_thread_that_blocks_on_the_same_session_ever_sees_a_cancel(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    static struct crew crew;
    atomic_bool stop = false;
    for (int i = 0; i < 4; i++)
        crew_start(&crew, block_without_pause, &stop);
    for (int round = 0; round < 60; round++) {
        struct answer *victim = play_answer();
        pgdbm_request *request = submit(stage->db, "SELECT pg_sleep(0.002)", victim);
        (void)pgdbm_dispatch(stage->pool, round % 4);
        pgdbm_cancel(request);
        pgdbm_request_release(request);
        PLAY_UNTIL(victim->calls == 1);
    }
    atomic_store(&stop, true);
    crew_join(&crew);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void a_statement_with_many_sets_is_cancelled_as_a_whole(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_request *request = NULL;
    const pgdbm_params sets[] = {pgdbm_args(0), pgdbm_args(60), pgdbm_args(0)};
    struct answer *answer = play_answer();
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_submit_sized(stage->db, NULL, 0, PGDBM_ROWS_NONE, "INSERT INTO t SELECT 1 FROM pg_sleep($1::int)",
                                 sets, 3, play_take, answer, &request, &err));
    PLAY_UNTIL(stage_stats(stage).queued == 0);
    pgdbm_cancel(request);
    pgdbm_request_release(request);
    PLAY_UNTIL(answer->calls == 1);
    assert_int_equal(answer->status, PGDBM_ERR_CANCELED);
    play_number(stage->db, "SELECT count(*) FROM t", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(what_is_queued_completes_as_not_sent),
        PLAY_BOTH(what_is_in_flight_is_cancelled_on_the_server),
        PLAY_BOTH(what_is_complete_stays_as_it_is),
        PLAY_BOTH(in_a_transaction_the_others_keep_their_order),
        PLAY_BOTH(several_in_flight_on_one_session_are_cancelled_one_after_the_other),
        PLAY_BOTH(other_threads_may_cancel_and_each_request_ends_once),
        PLAY_BOTH(no_neighbour_ever_sees_a_cancel),
        PLAY_BOTH(no_thread_that_blocks_on_the_same_session_ever_sees_a_cancel),
        PLAY_BOTH(a_statement_with_many_sets_is_cancelled_as_a_whole),
    };
    return cmocka_run_group_tests_name("cancel", tests, NULL, NULL);
}
