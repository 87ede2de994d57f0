/* SPDX-License-Identifier: MIT */
/* Processes that die in the middle, several at once, and a server that goes away: every tenant has every file exactly once in the
 * end. */
#include "fleet/scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* A process of its own that rolls out; it has nothing of ours but the address of the server. */
static pid_t fork_roll_out(struct scene *scene, int workers)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    const pgdbm_config config = {
        .connection_string = scene->url, .min_connections = 1, .max_connections = 4, .on_duplicate_pool = PGDBM_ALLOW};
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%"};
    pgdbm_pool *pool = NULL;
    pgdbm_fleet *fleet = NULL;
    pgdbm_status status = pgdbm_pool_open(&config, &pool, NULL);
    if (status == PGDBM_OK)
        status = pgdbm_fleet_open(pool, &options, &fleet, NULL);
    if (status == PGDBM_OK)
        status = pgdbm_fleet_roll_out(fleet, &(pgdbm_roll_out){.workers = workers}, NULL, NULL);
    _exit(status == PGDBM_OK ? 0 : 100 + (int)status);
}

static int wait_for(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* It can still be waited for. */
static bool has_ended(pid_t child)
{
    siginfo_t end = {0};
    assert_int_equal(waitid(P_PID, (id_t)child, &end, WEXITED | WNOHANG | WNOWAIT), 0);
    return end.si_pid == child;
}

/* A file that would not stand being run twice: it counts. */
static void scene_counting(struct scene *scene, int n_schemas)
{
    scene_behind(scene, n_schemas);
    scene_run(scene,
              "DO $$ DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\_%' LOOP"
              " EXECUTE format('INSERT INTO %I.notes VALUES (1, ''0'')', s); END LOOP; END $$");
    scene_add(scene, "003_count.sql", "UPDATE {{tables.notes}} SET body = (body::int + 1)::text");
    scene_open(scene);
}

static void expect_counted_once(struct scene *scene, int64_t n_schemas)
{
    scene_expect_coloured(scene, n_schemas);
    scene_expect_number(
        scene,
        "SELECT sum((xpath('/row/b/text()', query_to_xml(format('SELECT sum(body::int) AS b FROM %I.notes',"
        " nspname), true, true, '')))[1]::text::bigint)::bigint FROM pg_namespace WHERE nspname LIKE"
        " 't\\_%'",
        n_schemas);
    scene_expect_counts(scene, (size_t)n_schemas, 0, 0);
}

static void a_killed_roll_out_is_continued_by_the_next(void **state)
{
    test_needs_fork();
    struct scene *scene = *state;
    int64_t done = 0;
    int killed = 0;
    scene_counting(scene, 240);
    for (int round = 0; done < 240; round++) {
        pid_t child = fork_roll_out(scene, 1 + round % 4);
        for (int64_t before = done; done < 240 && done <= before;) {
            bool ended = has_ended(child); /* before the look: what it did last is seen */
            done = scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'");
            if (ended && done <= before)
                fail_msg("round %d: the roll-out ended by itself with %d and got no further than %lld of 240", round,
                         wait_for(child), (long long)done);
        }
        pause_ms(round % 4); /* anywhere in a tenant's transaction */
        kill(child, SIGKILL);
        killed += WIFSIGNALED(wait_for(child)) ? 1 : 0;
    }
    assert_true(killed > 0);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    expect_counted_once(scene, 240);
}

static void two_processes_share_the_work(void **state)
{
    test_needs_fork();
    struct scene *scene = *state;
    pid_t children[3];
    scene_counting(scene, 100);
    for (size_t i = 0; i < 3; i++)
        children[i] = fork_roll_out(scene, 2);
    for (size_t i = 0; i < 3; i++) {
        int status = wait_for(children[i]);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("process %zu ended with %d", i, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    }
    expect_counted_once(scene, 100);
}

struct alone {
    pthread_t thread;
    struct scene *scene;
    pgdbm_status status;
    pgdbm_error err;
};

/* Migrates tenant after tenant as a program without a fleet does. */
static void *migrate_alone(void *context)
{
    struct alone *alone = context;
    const pgdbm_migrate_options options = {
        .module = "shop", .per_schema = true, .migrations = &alone->scene->migrations};
    for (int i = 1; i <= 40 && alone->status == PGDBM_OK; i++) {
        char schema[16];
        pgdbm_db *db = NULL;
        snprintf(schema, sizeof schema, "t_%04d", i);
        alone->status = pgdbm_attach(alone->scene->witness_pool, schema, &db, &alone->err);
        if (alone->status == PGDBM_OK)
            alone->status = pgdbm_migrate(db, &options, NULL, &alone->err);
        pgdbm_close(db);
    }
    return NULL;
}

static void a_fleet_and_programs_without_one_do_not_meet(void **state)
{
    struct scene *scene = *state;
    struct alone alone = {.scene = scene};
    scene_counting(scene, 40);
    assert_int_equal(pthread_create(&alone.thread, NULL, migrate_alone, &alone), 0);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 3});
    pthread_join(alone.thread, NULL);
    if (alone.status != PGDBM_OK)
        fail_msg("%s", alone.err.message);
    pgdbm_error err = {0};
    assert_ok(pgdbm_fleet_sync(scene->fleet, &err));
    expect_counted_once(scene, 40);
}

static void a_server_that_restarts_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.workers = 3}};
    pgdbm_error err = {0};
    /* What was committed must be there after the crash; the tests' server does not care otherwise. */
    scene_run(scene, "ALTER SYSTEM SET synchronous_commit = on");
    scene_run(scene, "SELECT pg_reload_conf(), pg_sleep(0.1)");
    scene_counting(scene, 80);
    scene_add(scene, "004_slow.sql", "SELECT pg_sleep(0.03)");
    scene_open(scene);
    background_start(&background);
    while (scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '004'") == 0)
        ;
    assert_ok(pgdbm_testserver_crash(test_server(), &err));
    assert_ok(pgdbm_testserver_restart(test_server(), &err));
    pthread_join(background.thread, NULL);
    if (background.status != PGDBM_OK)
        fail_msg("%s", background.err.message);
    expect_counted_once(scene, 80);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_roll_out_is_continued_by_the_next),
        TEST(two_processes_share_the_work),
        TEST(a_fleet_and_programs_without_one_do_not_meet),
        TEST(a_server_that_restarts_is_waited_for),
    };
    test_server_own(NULL);
    return cmocka_run_group_tests_name("fleet_crash", tests, NULL, NULL);
}
