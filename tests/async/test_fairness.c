/* SPDX-License-Identifier: MIT */
/* Fair turns between managers, and the way of a request to a session. By order and by counts, never by time. */
#include "async/play.h"

static pgdbm_db *attach(struct stage *stage, unsigned weight, unsigned max_in_flight)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    const pgdbm_share share = {.weight = weight, .max_in_flight = max_in_flight};
    assert_ok(pgdbm_attach_with(stage->pool, NULL, &share, &db, &err));
    return db;
}

static pgdbm_db_stats stats_of(pgdbm_db *db)
{
    pgdbm_error err;
    pgdbm_db_stats stats;
    assert_ok(pgdbm_db_stats_read(db, &stats, &err));
    return stats;
}

static struct answer *flood(pgdbm_db *db, const char *sql, size_t count)
{
    struct answer *answers = play_answers(count);
    for (size_t i = 0; i < count; i++) {
        pgdbm_error err;
        assert_ok(pgdbm_submit(db, sql, pgdbm_no_args, play_take, &answers[i], &err));
    }
    return answers;
}

/* A session is pinned until everything is queued, so that nothing is decided by who came first. */
static void a_quiet_managers_request_does_not_wait_behind_a_flood_of_another(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_pipeline = 1});
    pgdbm_db *loud = attach(stage, 0, 0), *quiet = attach(stage, 0, 0);
    for (int i = 0; i < 5; i++) /* the statement's time is known */
        play_number(stage->db, "SELECT 1::int8 FROM pg_sleep(0.001)", 1);
    pgdbm_db *session = play_pin(stage->db);
    struct answer *answers = flood(loud, "SELECT 1::int8 FROM pg_sleep(0.001)", 300);
    struct answer *few = flood(quiet, "SELECT 1::int8 FROM pg_sleep(0.001)", 3);
    assert_int_equal(stats_of(loud).waiting, 300);
    assert_int_equal(stats_of(quiet).waiting, 3);
    size_t before = play.n_answers;
    pgdbm_close(session);
    PLAY_UNTIL(play.n_answers - before == 303);
    for (size_t i = 0; i < 3; i++)
        if (few[i].place - before > 60)
            fail_msg("request %zu of the quiet manager was served as number %zu of 303", i, few[i].place - before);
    for (size_t i = 1; i < 300; i++)
        if (answers[i].place < answers[i - 1].place)
            fail_msg("within one manager the first come are served first");
    pgdbm_db_stats stats = stats_of(loud);
    assert_int_equal(stats.granted, 300);
    assert_int_equal(stats.waited, 300);
    assert_true(stats.wait_us >= stats.longest_wait_us && stats.longest_wait_us > 0);
    PLAY_UNTIL(stats_of(loud).in_flight == 0);
    pgdbm_close(loud);
    pgdbm_close(quiet);
}

static void a_managers_weight_is_its_share(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_pipeline = 1});
    pgdbm_db *heavy = attach(stage, 4, 0), *light = attach(stage, 1, 0);
    for (int i = 0; i < 5; i++)
        play_number(stage->db, "SELECT 1::int8 FROM pg_sleep(0.001)", 1);
    pgdbm_db *session = play_pin(stage->db);
    struct answer *lights = flood(light, "SELECT 1::int8 FROM pg_sleep(0.001)", 200);
    struct answer *heavies = flood(heavy, "SELECT 1::int8 FROM pg_sleep(0.001)", 200);
    size_t before = play.n_answers;
    pgdbm_close(session);
    PLAY_UNTIL(play.n_answers - before == 400);
    size_t lights_first = 0; /* before the last of the heavy ones */
    for (size_t i = 0; i < 200; i++)
        lights_first += lights[i].place < heavies[199].place;
    if (lights_first < 25 || lights_first > 100)
        fail_msg("beside 200 of weight 4 about 50 of weight 1 were expected, and %zu were served", lights_first);
    pgdbm_close(heavy);
    pgdbm_close(light);
}

static void a_manager_has_no_more_in_flight_than_it_may(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 3, .max_connections = 3});
    pgdbm_error err;
    pgdbm_db *bounded = attach(stage, 0, 2);
    STAGE_UNTIL(stage, stats.idle == 3);
    stage_gate_shut(stage);
    struct answer *answers = flood(bounded, STAGE_PASS, 5);
    play_gate_awaited(2);
    pgdbm_db_stats stats = stats_of(bounded);
    assert_int_equal(stats.in_flight, 2);
    assert_int_equal(stats.waiting, 3);
    play_number(stage->db, "SELECT 1::int8", 1); /* others are not bound by it */
    struct answer *late = play_answer();
    assert_ok(pgdbm_submit_with(bounded, &(pgdbm_call){.timeout_ms = 50}, "SELECT 1", pgdbm_no_args, play_take, late,
                                NULL, &err));
    play_fails(late, PGDBM_ERR_POOL, PGDBM_OUTCOME_NOT_SENT);
    stage_gate_open(stage);
    for (size_t i = 0; i < 5; i++)
        play_ok(&answers[i]);
    pgdbm_db *first = play_begin(bounded), *second = play_begin(bounded); /* leases count too */
    struct answer *third = play_answer();
    assert_ok(pgdbm_begin_async(bounded, NULL, play_take, third, &err));
    assert_int_equal(stats_of(bounded).waiting, 1);
    play_number(stage->db, "SELECT 2::int8", 2);
    assert_int_equal(third->calls, 0);
    assert_ok(pgdbm_commit_async(first, NULL, NULL, &err));
    play_ok(third);
    pgdbm_close(second);
    pgdbm_close(third->db);
    pgdbm_close(bounded);
}

static void a_share_that_is_none_is_refused(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    pgdbm_db *db = NULL;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_attach_with(stage->pool, NULL, &(pgdbm_share){.weight = 1001}, &db, &err));
    assert_null(db);
    assert_contains(err.message, "1001");
    assert_ok(pgdbm_attach_with(stage->pool, NULL, NULL, &db, &err));
    pgdbm_close(db);
}

static void no_statement_queues_behind_a_slow_one_while_another_session_can_take_it(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 2, .max_connections = 2});
    STAGE_UNTIL(stage, stats.idle == 2);
    for (int i = 0; i < 10; i++) /* known to be quick, on either session */
        play_number(stage->db, "SELECT 3::int8", 3);
    stage_gate_shut(stage);
    struct answer *slow = play_submit(stage->db, STAGE_PASS);
    play_gate_awaited(1);
    struct answer *answers = flood(stage->db, "SELECT 3::int8", 200);
    for (size_t i = 0; i < 200; i++)
        play_ok(&answers[i]);
    assert_int_equal(slow->calls, 0);
    stage_gate_open(stage);
    play_ok(slow);
}

static void statements_go_where_they_are_prepared_already(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 4, .max_connections = 4});
    STAGE_UNTIL(stage, stats.idle == 4);
    static const char *const statements[] = {"SELECT 1::int8", "SELECT 2::int8", "SELECT 3::int8", "SELECT 4::int8"};
    for (size_t i = 0; i < 4; i++)
        play_number(stage->db, statements[i], (int64_t)i + 1);
    uint64_t before = stage_stats(stage).statements_prepared;
    for (size_t i = 0; i < 80; i++)
        play_number(stage->db, statements[i % 4], (int64_t)(i % 4) + 1);
    uint64_t after = stage_stats(stage).statements_prepared;
    if (after - before > 4)
        fail_msg("four known statements were prepared another %llu times", (unsigned long long)(after - before));
}

static void a_session_has_max_pipeline_requests_in_flight_at_most(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .max_pipeline = 4});
    stage_gate_shut(stage);
    struct answer *slow = play_submit(stage->db, STAGE_PASS);
    play_gate_awaited(1);
    struct answer *answers = flood(stage->db, "SELECT 3::int8", 20);
    assert_int_equal(stage_stats(stage).queued, 17);
    assert_int_equal(stage_stats(stage).submitted, 21);
    (void)pgdbm_dispatch(stage->pool, 0);
    assert_int_equal(stage_stats(stage).queued, 17);
    stage_gate_open(stage);
    play_ok(slow);
    for (size_t i = 0; i < 20; i++)
        play_ok(&answers[i]);
}

static void submit_the_next(struct answer *answer)
{
    pgdbm_error err;
    atomic_int *left = answer->context;
    if (atomic_fetch_sub(left, 1) <= 0)
        return;
    struct answer *next = answer + 1;
    next->context = left;
    next->then = submit_the_next;
    (void)pgdbm_submit(play.stage->db, "SELECT 1::int8", pgdbm_no_args, play_take, next, &err);
}

static void a_lease_is_not_starved_by_traffic_that_never_ends(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_error err;
    enum { LANES = 8, LENGTH = 450 };
    struct answer *begun = play_answers(5);
    struct answer *lanes = play_answers((size_t)LANES * LENGTH + LANES);
    static atomic_int each[LANES];
    for (size_t i = 0; i < LANES; i++) {
        struct answer *first = &lanes[i * (LENGTH + 1)];
        atomic_store(&each[i], LENGTH - 1);
        first->context = &each[i];
        first->then = submit_the_next;
        assert_ok(pgdbm_submit(stage->db, "SELECT 1::int8", pgdbm_no_args, play_take, first, &err));
    }
    for (size_t i = 0; i < 5; i++) {
        assert_ok(pgdbm_begin_async(stage->db, NULL, play_take, &begun[i], &err));
        play_ok(&begun[i]);
        assert_ok(pgdbm_commit_async(begun[i].db, NULL, NULL, &err));
    }
    size_t when = begun[4].place;
    PLAY_UNTIL(play.n_answers == (size_t)LANES * LENGTH + 5);
    if (when > (size_t)LANES * LENGTH * 3 / 4)
        fail_msg("five transactions were through only after %zu of %d statements", when, LANES * LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_quiet_managers_request_does_not_wait_behind_a_flood_of_another),
        PLAY_BOTH(a_managers_weight_is_its_share),
        PLAY_BOTH(a_manager_has_no_more_in_flight_than_it_may),
        PLAY_DISPATCHED(a_share_that_is_none_is_refused),
        PLAY_BOTH(no_statement_queues_behind_a_slow_one_while_another_session_can_take_it),
        PLAY_BOTH(statements_go_where_they_are_prepared_already),
        PLAY_BOTH(a_session_has_max_pipeline_requests_in_flight_at_most),
        PLAY_BOTH(a_lease_is_not_starved_by_traffic_that_never_ends),
    };
    return cmocka_run_group_tests_name("fairness", tests, NULL, NULL);
}
