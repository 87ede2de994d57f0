/* SPDX-License-Identifier: MIT */
/* Processes and threads that come to harm. */
#include "migrate/victim.h"

#include "support/server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static bool kill_at(const pgdbm_migration_progress *progress, void *context)
{
    size_t *left = context;
    /* How often it waits depends on when the server notices the end of the victim before. */
    if (progress->phase != PGDBM_PHASE_WAITING && --*left == 0)
        raise(SIGKILL);
    return true;
}

/* In the child: nothing of cmocka's works here. */
static int migrate_until_killed(const struct scene *scene, const char *schema, size_t k)
{
    pgdbm_config config = {.connection_string = scene->url, .max_connections = 2};
    pgdbm_migrate_options options = {
        .module = "users", .migrations = &scene->migrations, .on_progress = kill_at, .context = &k};
    pgdbm_pool *pool = NULL;
    pgdbm_db *db = NULL;
    pgdbm_error err = {0};
    config.on_duplicate_pool = PGDBM_ALLOW;
    if (pgdbm_pool_open(&config, &pool, &err) != PGDBM_OK || pgdbm_attach(pool, schema, &db, &err) != PGDBM_OK ||
        pgdbm_migrate(db, &options, NULL, &err) != PGDBM_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, err.detail);
        return 1;
    }
    return 0;
}

static pid_t start(const struct scene *scene, const char *schema, size_t k)
{
    test_needs_fork();
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(migrate_until_killed(scene, schema, k));
    return child;
}

void victim_dies_when(struct scene *scene, const char *schema, const char *sql)
{
    pid_t child = start(scene, schema, SIZE_MAX);
    wait_until(scene, sql);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

bool victim_is_killed(const struct scene *scene, const char *schema, size_t k)
{
    int state = 0;
    pid_t child = start(scene, schema, k);
    assert_int_equal(waitpid(child, &state, 0), child);
    if (WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL)
        return true;
    assert_true(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    return false;
}

static void *migrate(void *context)
{
    struct bystander *bystander = context;
    bystander->status = pgdbm_migrate(bystander->db, &bystander->options, NULL, &bystander->err);
    return NULL;
}

void bystander_start(struct bystander *bystander, const struct scene *scene, int max_connections)
{
    bystander->pool = scene_pool(scene, max_connections, NULL);
    assert_int_equal(pgdbm_attach(bystander->pool, "app", &bystander->db, &bystander->err), PGDBM_OK);
    bystander->options.module = "users";
    bystander->options.migrations = &scene->migrations;
    assert_int_equal(pthread_create(&bystander->thread, NULL, migrate, bystander), 0);
}

void bystander_join(struct bystander *bystander)
{
    assert_int_equal(pthread_join(bystander->thread, NULL), 0);
    pgdbm_close(bystander->db);
    pgdbm_pool_close(bystander->pool);
}

void wait_until(struct scene *scene, const char *sql)
{
    for (int i = 0; i < 3000; i++) {
        if (scene_number(scene, sql) > 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    fail_msg("30 s passed and this is still zero: %s", sql);
}

void terminate(struct scene *scene, const char *beginning)
{
    char sql[512];
    char gone[512];
    snprintf(sql, sizeof sql,
             "SELECT coalesce(max(pid), 0)::int8 FROM pg_stat_activity WHERE datname = current_database()"
             " AND starts_with(query, '%s') AND state = 'active' AND wait_event_type IN ('Lock', 'Timeout')",
             beginning);
    wait_until(scene, sql);
    int64_t pid = scene_number(scene, sql);
    snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", (int)pid);
    scene_run(scene, sql);
    snprintf(gone, sizeof gone, "SELECT (NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %d))::int::int8",
             (int)pid);
    wait_until(scene, gone);
}
