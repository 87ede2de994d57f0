/* SPDX-License-Identifier: MIT */
/* The common scene. */
#include "migrate/scene.h"

#include "support/server.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

pgdbm_pool *scene_pool(const struct scene *scene, int max_connections, const pgdbm_config *config)
{
    pgdbm_config own = {0};
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    if (config != NULL)
        own = *config;
    own.connection_string = scene->url;
    own.min_connections = 1;
    own.max_connections = max_connections;
    own.on_duplicate_pool = PGDBM_ALLOW;
    if (pgdbm_pool_open(&own, &pool, &err) != PGDBM_OK)
        fail_msg("%s (%s)", err.message, err.detail);
    return pool;
}

int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    scene->url = test_database_create();
    folder_make(&scene->folder);
    scene->migrations.directory = scene->folder.path;
    scene->options = (pgdbm_migrate_options){.module = "users", .migrations = &scene->migrations};
    scene->pool = scene_pool(scene, 4, NULL);
    assert_int_equal(pgdbm_attach(scene->pool, "app", &scene->db, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_attach(scene->pool, NULL, &scene->witness, &scene->err), PGDBM_OK);
    *state = scene;
    return 0;
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    pgdbm_migration_report_free(scene->report);
    pgdbm_close(scene->db);
    pgdbm_close(scene->witness);
    pgdbm_pool_close(scene->pool);
    folder_remove(&scene->folder);
    test_database_drop(scene->url);
    free(scene);
    return 0;
}

typedef pgdbm_status verb(pgdbm_db *db, const pgdbm_migrate_options *options, pgdbm_migration_report **report,
                          pgdbm_error *err);

static pgdbm_status with_report(struct scene *scene, pgdbm_db *db, verb *run)
{
    pgdbm_migration_report_free(scene->report);
    scene->report = NULL;
    scene->err = (pgdbm_error){0};
    return run(db, &scene->options, &scene->report, &scene->err);
}

pgdbm_status scene_migrate(struct scene *scene, pgdbm_db *db)
{
    return with_report(scene, db, pgdbm_migrate);
}

pgdbm_status scene_status(struct scene *scene, pgdbm_db *db)
{
    return with_report(scene, db, pgdbm_migrate_status);
}

pgdbm_status scene_verify(struct scene *scene, pgdbm_db *db)
{
    return with_report(scene, db, pgdbm_migrate_verify);
}

void scene_must_migrate(struct scene *scene, pgdbm_db *db, size_t expected_applied)
{
    if (scene_migrate(scene, db) != PGDBM_OK)
        fail_msg("%s: %s\n%s\n%s", pgdbm_status_name(scene->err.status), scene->err.message, scene->err.detail,
                 scene->err.hint);
    assert_non_null(scene->report);
    if (scene->report->n_applied != expected_applied || scene->report->n_pending != 0)
        fail_msg("expected %zu applied and none pending, got %zu and %zu", expected_applied, scene->report->n_applied,
                 scene->report->n_pending);
}

void scene_run(struct scene *scene, const char *sql)
{
    pgdbm_error err;
    if (pgdbm_execute_simple(scene->witness, sql, &err) != PGDBM_OK)
        fail_msg("%s\n%s", sql, err.message);
}

int64_t scene_number(struct scene *scene, const char *sql)
{
    int64_t value = -1;
    pgdbm_error err;
    if (pgdbm_fetch_value_int64(scene->witness, sql, pgdbm_no_args, &value, &err) != PGDBM_OK)
        fail_msg("%s\n%s", sql, err.message);
    return value;
}

char *scene_text(struct scene *scene, const char *sql)
{
    char *value = NULL;
    pgdbm_error err;
    if (pgdbm_fetch_value_text(scene->witness, sql, pgdbm_no_args, &value, &err) != PGDBM_OK)
        fail_msg("%s\n%s", sql, err.message);
    return value;
}

void scene_expect_text(struct scene *scene, const char *sql, const char *expected)
{
    char *found = scene_text(scene, sql);
    bool equal = found != NULL && strcmp(found, expected) == 0;
    if (!equal)
        fail_msg("%s\nexpected %s\ngot      %s", sql, expected, found != NULL ? found : "(null)");
    pgdbm_free(found);
}

void scene_expect_number(struct scene *scene, const char *sql, int64_t expected)
{
    int64_t found = scene_number(scene, sql);
    if (found != expected)
        fail_msg("%s\nexpected %lld, got %lld", sql, (long long)expected, (long long)found);
}

void scene_expect_error(const struct scene *scene, const char *text)
{
    const pgdbm_error *err = &scene->err;
    if (strstr(err->message, text) == NULL && strstr(err->detail, text) == NULL && strstr(err->hint, text) == NULL)
        fail_msg("expected \"%s\" in\n%s\n%s\n%s", text, err->message, err->detail, err->hint);
}

const pgdbm_migration *scene_migration(const struct scene *scene, const char *filename)
{
    for (size_t i = 0; scene->report != NULL && i < scene->report->n_migrations; i++)
        if (strcmp(scene->report->migrations[i].filename, filename) == 0)
            return &scene->report->migrations[i];
    fail_msg("%s is not in the report", filename);
    return NULL;
}

void scene_expect_state(const struct scene *scene, const char *filename, pgdbm_migration_state state)
{
    const pgdbm_migration *migration = scene_migration(scene, filename);
    if (migration != NULL && migration->state != state)
        fail_msg("%s: expected %s, it is %s", filename, pgdbm_migration_state_name(state),
                 pgdbm_migration_state_name(migration->state));
}
