/* SPDX-License-Identifier: MIT */
/* How many sessions there are: growing, keeping the minimum, shrinking, replacing; duplicates; figures; leaks. */
#include "db/stage.h"

#include <stdio.h>

#define LIVE (stats.idle + stats.shared + stats.leased + stats.retiring)

static void hold(struct stage *stage, pgdbm_db **sessions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pgdbm_error err;
        assert_ok(pgdbm_pin(stage->db, &sessions[i], &err));
    }
}

static void let_go(pgdbm_db **sessions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pgdbm_close(sessions[i]);
}

static void the_minimum_is_opened_and_kept(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.min_connections = 3, .max_connections = 5});
    STAGE_UNTIL(stage, stats.idle == 3);
    test_psql(stage->url, "SELECT pg_terminate_backend(pid) FROM " TEST_ACTIVITY " WHERE application_name = 'pgdbm'");
    STAGE_UNTIL(stage, stats.connections_closed == 3 && stats.idle == 3);
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void a_pool_that_keeps_none_opens_with_one_and_closes_it_when_idle(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.min_connections = -1, .max_connections = 2, .idle_timeout_ms = 50});
    STAGE_UNTIL(stage, LIVE == 0 && stats.connections_closed == 1);
    stage_expect_number(stage->db, "SELECT 1", 1);
    pgdbm_pool_stats stats = stage_stats(stage);
    assert_int_equal(stats.connections_opened, 2);
}

static void a_pool_that_keeps_none_tells_why_it_cannot_open(void **state)
{
    struct stage *stage = *state;
    pgdbm_pool *pool = NULL;
    pgdbm_error err;
    pgdbm_config config = stage_config(stage, (pgdbm_config){.min_connections = -1,
                                                             .connection_string = "host=/nonexistent dbname=none",
                                                             .retry_attempts = 1,
                                                             .retry_delay_ms = 1});
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_pool_open(&config, &pool, &err));
    assert_null(pool);
    assert_contains(err.message, "2 attempts");
}

static void leases_make_the_pool_grow_to_its_maximum(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *sessions[4];
    int64_t pids[4];
    stage_open(stage, (pgdbm_config){.max_connections = 4});
    hold(stage, sessions, 4);
    for (size_t i = 0; i < 4; i++) {
        pids[i] = stage_number(sessions[i], "SELECT pg_backend_pid()");
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(pids[i], pids[j]);
    }
    pgdbm_pool_stats stats = stage_stats(stage);
    assert_int_equal(stats.leased, 4);
    assert_int_equal(LIVE, 4);
    assert_int_equal(stats.max_connections, 4);
    assert_int_equal(stats.connections_opened, 4);
    let_go(sessions, 4);
    stats = stage_stats(stage);
    assert_int_equal(stats.leased, 0);
    assert_int_equal(stats.leases - stats.connections_opened, 1); /* one more, when the pool was opened */
}

static void idle_sessions_above_the_minimum_are_closed(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *sessions[4];
    stage_open(stage, (pgdbm_config){.min_connections = 2, .max_connections = 4, .idle_timeout_ms = 50});
    hold(stage, sessions, 4);
    let_go(sessions, 4);
    STAGE_UNTIL(stage, stats.connections_closed >= 2 && stats.idle == 2);
    hold(stage, sessions, 4);
    let_go(sessions, 4);
    STAGE_UNTIL(stage, stats.connections_closed >= 4 && stats.idle == 2);
}

static void sessions_that_are_too_old_are_replaced(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.min_connections = 2, .max_connections = 2, .max_lifetime_ms = 100});
    STAGE_UNTIL(stage, stats.connections_closed >= 4);
    STAGE_UNTIL(stage, stats.connections_opened >= 6);
    for (int i = 0; i < 100; i++)
        stage_expect_number(stage->db, "SELECT 1", 1);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void sessions_that_are_too_old_are_replaced_under_constant_use(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .max_lifetime_ms = 100});
    STAGE_UNTIL(stage, (stage_run(stage->db, "SELECT 1"), stats.connections_closed >= 2));
}

static void sessions_that_were_used_too_often_are_replaced(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    stage_open(stage, (pgdbm_config){.max_connections = 1, .max_uses = 5});
    for (int i = 0; i < 20; i++)
        stage_expect_number(stage->db, "SELECT 1", 1);
    for (int i = 0; i < 10; i++) {
        assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
        stage_expect_number(tx, "SELECT 1", 1);
        assert_ok(pgdbm_commit(tx, &err));
    }
    STAGE_UNTIL(stage, stats.connections_closed >= 5);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void a_session_that_the_server_ended_is_noticed_while_idle(void **state)
{
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 1});
    for (int i = 0; i < 3; i++) {
        test_psql(stage->url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                              "'pgdbm' AND datname = current_database()");
        stage_expect_number(stage->db, "SELECT 1", 1);
    }
    STAGE_UNTIL(stage, stats.connections_closed == 3);
    assert_int_equal(stage_stats(stage).statements_failed, 0);
}

static void a_lease_that_is_held_too_long_is_logged_with_its_place(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *session;
    char place[64];
    stage_open(stage, (pgdbm_config){.max_connections = 2, .leak_detection_ms = 50});
    snprintf(place, sizeof place, "test_growth.c:%d", __LINE__ + 1);
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    STAGE_UNTIL(stage, (stats.leased == 1 && stage_logged(stage, place)));
    pgdbm_close(session);
}

static void the_figures_count_what_happens(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *tx, *session;
    stage_open(stage, (pgdbm_config){.max_connections = 2});
    stage_run(stage->db, "SELECT 1");
    pgdbm_pool_stats before = stage_stats(stage);
    stage_run(stage->db, "SELECT 1");
    stage_run(stage->db, "SELECT 2");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT nothing", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "SELECT 1");
    assert_int_equal(stage_stats(stage).leased, 1);
    assert_ok(pgdbm_commit(tx, &err));
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    stage_run(session, "SET work_mem = '9MB'");
    pgdbm_close(session);
    pgdbm_pool_stats after = stage_stats(stage);
    assert_int_equal(after.statements - before.statements, 5);
    assert_int_equal(after.statements_failed - before.statements_failed, 1);
    assert_int_equal(after.leases - before.leases, 2);
    assert_int_equal(after.resets - before.resets, 1);
    assert_int_equal(after.statements_repeated, 0);
    assert_int_equal(after.acquire_timeouts, 0);
    assert_int_equal(after.connections_failed, 0);
    assert_int_equal(after.leased + after.shared + after.retiring + after.waiting, 0);
}

static pgdbm_status open_second(struct stage *stage, pgdbm_config config, pgdbm_pool **pool, pgdbm_error *err)
{
    config.max_connections = 1;
    config = stage_config(stage, config);
    return pgdbm_pool_open(&config, pool, err);
}

static void a_second_pool_to_one_database_is_told_or_forbidden(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    char place[64];
    pgdbm_config first = stage_config(stage, (pgdbm_config){.max_connections = 1});
    snprintf(place, sizeof place, "test_growth.c:%d", __LINE__ + 1);
    assert_ok(pgdbm_pool_open(&first, &stage->pool, &err));
    assert_ok(open_second(stage, (pgdbm_config){.on_duplicate_pool = PGDBM_ALLOW}, &pool, &err));
    pgdbm_pool_close(pool);
    assert_false(stage_logged(stage, "another connection pool"));
    /* The same target in other words. */
    char *parts = test_malloc(512);
    snprintf(parts, 512, "host=%s user=postgres dbname=%.*s", pgdbm_testserver_socket_directory(test_server()),
             (int)strcspn(strstr(stage->url, "@/") + 2, "?"), strstr(stage->url, "@/") + 2);
    pool = (pgdbm_pool *)&err;
    pgdbm_status status =
        open_second(stage, (pgdbm_config){.connection_string = parts, .on_duplicate_pool = PGDBM_FORBID}, &pool, &err);
    test_free(parts);
    assert_int_equal(status, PGDBM_ERR_CONFIG);
    assert_null(pool);
    assert_contains(err.message, place);
    first.on_duplicate_pool = PGDBM_WARN;
    assert_ok(pgdbm_pool_open(&first, &pool, &err));
    pgdbm_pool_close(pool);
    assert_true(stage_logged(stage, "Creating another connection pool to"));
    assert_true(stage_logged(stage, place));
}

static void a_pool_that_was_closed_is_no_duplicate(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_pool *pool;
    for (int i = 0; i < 3; i++) {
        assert_ok(open_second(stage, (pgdbm_config){.on_duplicate_pool = PGDBM_FORBID}, &pool, &err));
        pgdbm_pool_close(pool);
    }
    /* Another database is another target. */
    assert_ok(open_second(stage, (pgdbm_config){.on_duplicate_pool = PGDBM_FORBID}, &pool, &err));
    pgdbm_pool *other = NULL;
    char *url = test_database_create();
    pgdbm_status status =
        open_second(stage, (pgdbm_config){.connection_string = url, .on_duplicate_pool = PGDBM_FORBID}, &other, &err);
    pgdbm_pool_close(other);
    pgdbm_pool_close(pool);
    test_database_drop(url);
    assert_ok(status);
}

static void a_pool_to_nowhere_says_what_it_tried(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_pool *pool = (pgdbm_pool *)&err;
    char url[512];
    snprintf(url, sizeof url, "postgresql://postgres@/no_such_database?host=%s",
             pgdbm_testserver_socket_directory(test_server()));
    assert_fails(PGDBM_ERR_CONNECTION, open_second(stage, (pgdbm_config){.connection_string = url}, &pool, &err));
    assert_null(pool);
    assert_string_equal(err.sqlstate, "3D000");
    assert_contains(err.message, "no_such_database");
    assert_true(err.hint[0] != '\0');
    assert_fails(PGDBM_ERR_CONNECTION,
                 open_second(stage,
                             (pgdbm_config){
                                 .connection_string = "host=/nowhere/at/all", .retry_attempts = 1, .retry_delay_ms = 1},
                             &pool, &err));
    assert_contains(err.message, "/nowhere/at/all");
    assert_contains(err.message, "2 attempts");
    const char *const broken_init[] = {"SELECT broken"};
    assert_fails(PGDBM_ERR_CONNECTION,
                 open_second(stage, (pgdbm_config){.init_commands = broken_init, .n_init_commands = 1}, &pool, &err));
    assert_contains(err.message, "broken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_NONE(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        ON_NONE(the_minimum_is_opened_and_kept),
        ON_NONE(a_pool_that_keeps_none_opens_with_one_and_closes_it_when_idle),
        ON_NONE(a_pool_that_keeps_none_tells_why_it_cannot_open),
        ON_NONE(leases_make_the_pool_grow_to_its_maximum),
        ON_NONE(idle_sessions_above_the_minimum_are_closed),
        ON_NONE(sessions_that_are_too_old_are_replaced),
        ON_NONE(sessions_that_are_too_old_are_replaced_under_constant_use),
        ON_NONE(sessions_that_were_used_too_often_are_replaced),
        ON_NONE(a_session_that_the_server_ended_is_noticed_while_idle),
        ON_NONE(a_lease_that_is_held_too_long_is_logged_with_its_place),
        ON_NONE(the_figures_count_what_happens),
        ON_NONE(a_second_pool_to_one_database_is_told_or_forbidden),
        ON_NONE(a_pool_that_was_closed_is_no_duplicate),
        ON_NONE(a_pool_to_nowhere_says_what_it_tried),
    };
    return cmocka_run_group_tests_name("growth", tests, NULL, NULL);
}
