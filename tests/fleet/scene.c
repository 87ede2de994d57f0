/* SPDX-License-Identifier: MIT */
/* The common scene of fleets. */
#include "fleet/scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

pgdbm_pool *scene_pool(const char *url, int max_connections)
{
    const pgdbm_config config = {.connection_string = url,
                                 .min_connections = 1,
                                 .max_connections = max_connections,
                                 .on_duplicate_pool = PGDBM_ALLOW};
    pgdbm_pool *pool = NULL;
    pgdbm_error err = {0};
    assert_ok(pgdbm_pool_open(&config, &pool, &err));
    return pool;
}

int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    scene->url = test_database_create();
    scene->pool = scene_pool(scene->url, 8);
    scene->witness_pool = scene_pool(scene->url, 2);
    assert_int_equal(pgdbm_attach(scene->witness_pool, NULL, &scene->witness, &scene->err), PGDBM_OK);
    *state = scene;
    return 0;
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    pgdbm_fleet_report_free(scene->report);
    pgdbm_fleet_close(scene->fleet);
    pgdbm_close(scene->witness);
    pgdbm_pool_close(scene->witness_pool);
    pgdbm_pool_close(scene->pool);
    test_database_drop(scene->url);
    free(scene);
    return 0;
}

void scene_add(struct scene *scene, const char *filename, const char *sql)
{
    assert_true(scene->migrations.n_texts < SCENE_FILES);
    scene->texts[scene->migrations.n_texts++] = (pgdbm_migration_text){filename, sql, strlen(sql)};
    scene->migrations.texts = scene->texts;
}

void scene_open(struct scene *scene)
{
    const pgdbm_fleet_options options = {
        .module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%", .build = "build-1"};
    pgdbm_error err = {0};
    pgdbm_fleet_close(scene->fleet);
    assert_ok(pgdbm_fleet_open(scene->pool, &options, &scene->fleet, &err));
}

void scene_schemas(struct scene *scene, int n_schemas)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "DO $$ BEGIN FOR i IN 1..%d LOOP EXECUTE format('CREATE SCHEMA t_%%s', lpad(i::text, 4, '0')); END LOOP; "
             "END $$",
             n_schemas);
    scene_run(scene, sql);
}

void scene_behind(struct scene *scene, int n_schemas)
{
    scene_schemas(scene, n_schemas);
    scene_add(scene, "001_notes.sql", "CREATE TABLE {{tables.notes}} (id int PRIMARY KEY, body text)");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene_add(scene, "002_colour.sql", "ALTER TABLE {{tables.notes}} ADD COLUMN colour text; -- the end");
    scene_open(scene);
}

pgdbm_status scene_roll_out(struct scene *scene, const pgdbm_roll_out *how)
{
    scene->err = (pgdbm_error){0};
    return pgdbm_fleet_roll_out(scene->fleet, how, &scene->tally, &scene->err);
}

void scene_must_roll_out(struct scene *scene, const pgdbm_roll_out *how)
{
    if (scene_roll_out(scene, how) != PGDBM_OK)
        fail_msg("%s: %s\n%s\n%s\n%s", pgdbm_status_name(scene->err.status), scene->err.message, scene->err.detail,
                 scene->err.hint, scene->err.statement);
}

static void look(struct scene *scene)
{
    pgdbm_error err = {0};
    pgdbm_fleet_report_free(scene->report);
    scene->report = NULL;
    assert_ok(pgdbm_fleet_status(scene->fleet, true, &scene->report, &err));
}

const pgdbm_target *scene_target(struct scene *scene, const char *schema)
{
    look(scene);
    for (size_t i = 0; i < scene->report->n_targets; i++)
        if (strcmp(scene->report->targets[i].schema, schema) == 0)
            return &scene->report->targets[i];
    fail_msg("the report has no tenant %s", schema);
    return NULL;
}

void scene_expect_state(struct scene *scene, const char *schema, pgdbm_target_state state)
{
    const pgdbm_target *target = scene_target(scene, schema);
    if (target->state != state)
        fail_msg("expected %s to be %s, it is %s (%s)", schema, pgdbm_target_state_name(state),
                 pgdbm_target_state_name(target->state), target->error != NULL ? target->error : "no error");
}

void scene_expect_counts(struct scene *scene, size_t current, size_t behind, size_t failed)
{
    look(scene);
    const size_t *counts = scene->report->counts;
    if (counts[PGDBM_TARGET_CURRENT] != current || counts[PGDBM_TARGET_BEHIND] != behind ||
        counts[PGDBM_TARGET_FAILED] != failed)
        fail_msg("expected %zu current, %zu behind, %zu failed; came %zu, %zu, %zu", current, behind, failed,
                 counts[PGDBM_TARGET_CURRENT], counts[PGDBM_TARGET_BEHIND], counts[PGDBM_TARGET_FAILED]);
}

void scene_run(struct scene *scene, const char *sql)
{
    pgdbm_error err = {0};
    if (pgdbm_execute_simple(scene->witness, sql, &err) != PGDBM_OK)
        fail_msg("%s\n%s", sql, err.message);
}

int64_t scene_number(struct scene *scene, const char *sql)
{
    int64_t value = -1;
    pgdbm_error err = {0};
    if (pgdbm_fetch_value_int64(scene->witness, sql, pgdbm_no_args, &value, &err) != PGDBM_OK)
        fail_msg("%s\n%s", sql, err.message);
    return value;
}

void scene_expect_number(struct scene *scene, const char *sql, int64_t expected)
{
    int64_t found = scene_number(scene, sql);
    if (found != expected)
        fail_msg("%s\nexpected %lld, got %lld", sql, (long long)expected, (long long)found);
}

void scene_expect_coloured(struct scene *scene, int64_t n_schemas)
{
    scene_expect_number(scene,
                        "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n"
                        " ON n.oid = c.relnamespace WHERE n.nspname LIKE 't\\_%' AND c.relname = 'notes'"
                        " AND a.attname = 'colour'",
                        n_schemas);
    scene_expect_number(
        scene,
        "SELECT coalesce(sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM"
        " %I.schema_migrations WHERE filename = ''002_colour.sql'' AND module_name = ''shop_%s''',"
        " nspname, nspname), true, true, '')))[1]::text::bigint), 0)::bigint FROM pg_namespace"
        " WHERE nspname LIKE 't\\_%' AND to_regclass(format('%I.schema_migrations', nspname)) IS NOT NULL",
        n_schemas);
}

void scene_await_number(struct scene *scene, const char *sql, int64_t expected)
{
    time_t give_up = time(NULL) + 30;
    while (scene_number(scene, sql) != expected)
        if (time(NULL) > give_up)
            fail_msg("%s\nnever became %lld", sql, (long long)expected);
}

void scene_slow(struct scene *scene, int n_schemas)
{
    scene_behind(scene, n_schemas);
    scene_add(scene, "003_slow.sql", "SELECT pg_sleep(0.05)");
    scene_open(scene);
}

static void *roll_out_in_background(void *context)
{
    struct background *background = context;
    background->status =
        pgdbm_fleet_roll_out(background->scene->fleet, &background->how, &background->tally, &background->err);
    return NULL;
}

void background_start(struct background *background)
{
    assert_int_equal(pthread_create(&background->thread, NULL, roll_out_in_background, background), 0);
}
