/* SPDX-License-Identifier: MIT */
/* A roll-out's sessions: lost, replaced, recycled, throttled, behind a pooler; and what is prepared in them. */
#include "fleet/scene.h"
#include "migrate/pooler.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void sessions_that_are_ended_are_replaced(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.workers = 3}};
    scene_slow(scene, 60);
    background_start(&background);
    for (int i = 0; i < 5; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT (count(*) >= %d)::int::bigint FROM pgdbm.target WHERE head = '003'",
                 1 + 8 * i);
        scene_await_number(scene, sql, 1);
        scene_run(scene, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN ISOLATION%'"
                         " AND datname = current_database()");
    }
    pthread_join(background.thread, NULL);
    if (background.status != PGDBM_OK)
        fail_msg("%s", background.err.message);
    scene_expect_counts(scene, 60, 0, 0);
    scene_expect_coloured(scene, 60);
}

static void sessions_are_recycled(void **state)
{
    struct scene *scene = *state;
    pgdbm_pool_stats before;
    pgdbm_pool_stats after;
    pgdbm_error err = {0};
    scene_behind(scene, 30);
    assert_ok(pgdbm_pool_stats_read(scene->pool, &before, &err));
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 1, .recycle_after = 10});
    assert_ok(pgdbm_pool_stats_read(scene->pool, &after, &err));
    assert_true(after.connections_opened - before.connections_opened >= 2);
}

static void our_own_sessions_do_not_throttle_us(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.workers = 2, .max_active = 1}};
    scene_slow(scene, 20);
    background_start(&background);
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_OK);
    assert_int_equal(background.tally.migrated, 20);
}

static bool note_throttle(const pgdbm_roll_out_progress *progress, void *context)
{
    if (progress->throttled)
        atomic_store((atomic_bool *)context, true);
    return true;
}

static void *be_active(void *context)
{
    struct scene *scene = context;
    pgdbm_db *db = NULL;
    if (pgdbm_attach(scene->pool, NULL, &db, NULL) == PGDBM_OK)
        (void)pgdbm_execute_simple(db, "SELECT pg_sleep(600) /* the application */", NULL);
    pgdbm_close(db);
    return NULL;
}

static void an_active_application_throttles_until_it_rests(void **state)
{
    static const char busy[] =
        "SELECT count(*) FROM " TEST_ACTIVITY " WHERE state = 'active' AND query LIKE '%600)%the "
        "application%' AND pid <> pg_backend_pid()";
    struct scene *scene = *state;
    atomic_bool throttled = false;
    pthread_t threads[2];
    struct background background = {
        .scene = scene, .how = {.workers = 2, .max_active = 1, .on_progress = note_throttle, .context = &throttled}};
    scene_behind(scene, 10);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_active, scene), 0);
    scene_await_number(scene, busy, 2);
    background_start(&background);
    time_t give_up = time(NULL) + 30;
    while (!atomic_load(&throttled) && scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '002'") == 0)
        assert_true(time(NULL) < give_up);
    scene_expect_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '002'", 0);
    scene_run(scene, "SELECT pg_cancel_backend(pid) FROM " TEST_ACTIVITY " WHERE query LIKE '%600)%the application%'"
                     " AND pid <> pg_backend_pid()");
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_OK);
    assert_int_equal(background.tally.migrated, 10);
}

static void without_replicas_nothing_lags(void **state)
{
    struct scene *scene = *state;
    atomic_bool throttled = false;
    scene_slow(scene, 20);
    scene_must_roll_out(
        scene, &(pgdbm_roll_out){.workers = 2, .max_lag_ms = 1, .on_progress = note_throttle, .context = &throttled});
    assert_int_equal(scene->tally.migrated, 20);
    assert_false(throttled);
}

static void statements_that_were_thrown_away_are_not_missed(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 6);
    scene_run(scene, "CREATE FUNCTION public.forget() RETURNS void LANGUAGE plpgsql AS"
                     " 'BEGIN EXECUTE ''DEALLOCATE ALL''; END'");
    scene_add(scene, "003_forget.sql", "SELECT public.forget()");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 2});
    assert_int_equal(scene->tally.migrated, 6);
    scene_expect_counts(scene, 6, 0, 0);
    scene_expect_coloured(scene, 6);
}

static void nothing_is_left_prepared(void **state)
{
    struct scene *scene = *state;
    pgdbm_pool *pool = scene_pool(scene->url, 1);
    pgdbm_error err = {0};
    pgdbm_fleet *fleet = NULL;
    pgdbm_db *db = NULL;
    int64_t n_left = -1;
    scene_behind(scene, 3);
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%"};
    assert_ok(pgdbm_fleet_open(pool, &options, &fleet, &err));
    assert_ok(pgdbm_fleet_roll_out(fleet, &(pgdbm_roll_out){0}, NULL, &err));
    pgdbm_fleet_close(fleet);
    assert_ok(pgdbm_attach(pool, "t_0001", &db, &err));
    assert_ok(pgdbm_fetch_value_int64(db, "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'pgdbm_fleet%'",
                                      pgdbm_no_args, &n_left, &err));
    assert_int_equal(n_left, 0);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
}

static void behind_a_pooler_nothing_is_prepared_and_everybody_arrives(void **state)
{
    struct scene *scene = *state;
    struct pooler pooler;
    char url[512];
    pgdbm_error err = {0};
    pgdbm_fleet *fleet = NULL;
    scene_behind(scene, 20);
    if (!pooler_start(&pooler, pgdbm_testserver_socket_directory(test_server())))
        skip();
    snprintf(url, sizeof url, "%.*s?host=%s", (int)strcspn(scene->url, "?"), scene->url, pooler.directory);
    const pgdbm_config config = {
        .connection_string = url, .max_connections = 3, .statement_cache_size = -1, .on_duplicate_pool = PGDBM_ALLOW};
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%"};
    pgdbm_pool *pool = NULL;
    pgdbm_status opened = pgdbm_pool_open(&config, &pool, &err);
    if (opened == PGDBM_OK)
        opened = pgdbm_fleet_open(pool, &options, &fleet, &err);
    pgdbm_status rolled_out =
        opened == PGDBM_OK ? pgdbm_fleet_roll_out(fleet, &(pgdbm_roll_out){.workers = 3}, NULL, &err) : opened;
    pgdbm_fleet_close(fleet);
    pgdbm_pool_close(pool);
    pooler_stop(&pooler);
    assert_ok(rolled_out);
    scene_expect_counts(scene, 20, 0, 0);
    scene_expect_coloured(scene, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_that_are_ended_are_replaced),
        TEST(sessions_are_recycled),
        TEST(our_own_sessions_do_not_throttle_us),
        TEST(an_active_application_throttles_until_it_rests),
        TEST(without_replicas_nothing_lags),
        TEST(statements_that_were_thrown_away_are_not_missed),
        TEST(nothing_is_left_prepared),
        TEST(behind_a_pooler_nothing_is_prepared_and_everybody_arrives),
    };
    test_server_own(NULL); /* .max_active counts the sessions of all databases */
    return cmocka_run_group_tests_name("fleet_sessions", tests, NULL, NULL);
}
