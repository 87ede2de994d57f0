/* SPDX-License-Identifier: MIT */
/* Dual mode: one library, its own database or a host's. */
#include "migrate/scene.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char create[] = "CREATE TABLE {{tables.entries}} (id bigserial PRIMARY KEY, what text NOT NULL);";
static const pgdbm_migration_text texts[] = {{"001_entries.sql", create, sizeof create - 1}};
static const pgdbm_migrations audit_migrations = {.texts = texts, .n_texts = 1};
static const pgdbm_module AUDIT = {.name = "audit", .migrations = &audit_migrations};

/* The library under test: written once, it does not know where it lives. Returns the id it gave the entry. */
static pgdbm_status audit_note(pgdbm_db *db, const char *what, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(db, "INSERT INTO {{tables.entries}} (what) VALUES ($1)", pgdbm_args(what), id, err);
}

static void must_open(struct scene *scene, const pgdbm_source *source, pgdbm_db **db)
{
    if (pgdbm_module_open(&AUDIT, source, db, &scene->err) != PGDBM_OK)
        fail_msg("%s\n%s\n%s", scene->err.message, scene->err.detail, scene->err.hint);
    assert_non_null(*db);
}

static void must_note(struct scene *scene, pgdbm_db *db, int64_t expected_id)
{
    int64_t id = 0;
    if (audit_note(db, "something", &id, &scene->err) != PGDBM_OK)
        fail_msg("%s", scene->err.message);
    assert_int_equal(id, expected_id);
}

static void module_runs_standalone_with_its_name_as_schema(void **state)
{
    struct scene *scene = *state;
    pgdbm_config config = {.max_connections = 2, .on_duplicate_pool = PGDBM_ALLOW};
    pgdbm_db *db = NULL;
    must_open(scene, &(pgdbm_source){.connection_string = scene->url, .config = &config}, &db);
    assert_string_equal(pgdbm_schema(db), "audit");
    must_note(scene, db, 1);
    pgdbm_pool_stats stats = {0};
    assert_int_equal(pgdbm_pool_stats_read(pgdbm_pool_of(db), &stats, NULL), PGDBM_OK);
    assert_int_equal(stats.max_connections, 2);
    assert_ptr_not_equal(pgdbm_pool_of(db), scene->pool);
    pgdbm_close(db);
    scene_expect_text(scene, "SELECT module_name FROM audit.schema_migrations", "audit_audit");
    scene_expect_number(scene, "SELECT count(*) FROM audit.entries", 1);
}

static void module_runs_standalone_in_the_schema_it_is_told(void **state)
{
    struct scene *scene = *state;
    pgdbm_config config = {.on_duplicate_pool = PGDBM_ALLOW};
    pgdbm_db *db = NULL;
    must_open(scene, &(pgdbm_source){.connection_string = scene->url, .schema = "Own", .config = &config}, &db);
    assert_string_equal(pgdbm_schema(db), "own");
    pgdbm_close(db);
    scene_expect_text(scene, "SELECT module_name FROM own.schema_migrations", "audit_own");
}

static void module_lives_in_the_schema_of_its_host(void **state)
{
    struct scene *scene = *state;
    pgdbm_db *db = NULL;
    must_open(scene, &(pgdbm_source){.db = scene->db}, &db);
    assert_string_equal(pgdbm_schema(db), "app");
    assert_ptr_equal(pgdbm_pool_of(db), scene->pool);
    must_note(scene, db, 1);
    pgdbm_close(db);
    scene_expect_text(scene, "SELECT module_name FROM app.schema_migrations", "audit_app");
    /* The host's manager and its pool are untouched. */
    bool exists = false;
    assert_int_equal(pgdbm_table_exists(scene->db, "entries", &exists, &scene->err), PGDBM_OK);
    assert_true(exists);
}

static void module_on_a_hosts_manager_takes_the_schema_it_is_told(void **state)
{
    struct scene *scene = *state;
    pgdbm_db *db = NULL;
    must_open(scene, &(pgdbm_source){.db = scene->db, .schema = "trail"}, &db);
    assert_string_equal(pgdbm_schema(db), "trail");
    pgdbm_close(db);
    must_open(scene, &(pgdbm_source){.db = scene->witness}, &db);
    assert_string_equal(pgdbm_schema(db), "audit");
    pgdbm_close(db);
}

static void module_lives_in_a_hosts_pool_many_times_over(void **state)
{
    struct scene *scene = *state;
    static const char *const schemas[] = {"tenant_a", "tenant_b", "tenant_c"};
    for (size_t i = 0; i < 3; i++) {
        pgdbm_db *db = NULL;
        must_open(scene, &(pgdbm_source){.pool = scene->pool, .schema = schemas[i]}, &db);
        must_note(scene, db, 1);
        pgdbm_close(db);
        must_open(scene, &(pgdbm_source){.pool = scene->pool, .schema = schemas[i]}, &db);
        must_note(scene, db, 2);
        pgdbm_close(db);
    }
    scene_expect_text(scene, "SELECT module_name FROM tenant_c.schema_migrations", "audit_tenant_c");
    pgdbm_db *db = NULL;
    must_open(scene, &(pgdbm_source){.pool = scene->pool}, &db);
    assert_string_equal(pgdbm_schema(db), "audit");
    pgdbm_close(db);
}

/* What a failed opening left would be a lease or a session in the host's pool, or a pool of its own. */
static void failed_opening_leaves_nothing_open(void **state)
{
    struct scene *scene = *state;
    static const pgdbm_migration_text bad_texts[] = {{"001_bad.sql", "SELECT 1 / 0", 12}};
    static const pgdbm_migrations bad_migrations = {.texts = bad_texts, .n_texts = 1};
    static const pgdbm_module BAD = {.name = "bad", .migrations = &bad_migrations};
    pgdbm_config config = {.application_name = "bad module", .on_duplicate_pool = PGDBM_ALLOW};
    pgdbm_source sources[] = {
        {.pool = scene->pool}, {.db = scene->db}, {.connection_string = scene->url, .config = &config}};
    for (size_t i = 0; i < 3; i++) {
        pgdbm_db *db = scene->db;
        assert_int_equal(pgdbm_module_open(&BAD, &sources[i], &db, &scene->err), PGDBM_ERR_MIGRATION);
        assert_null(db);
        scene_expect_error(scene, "001_bad.sql:1:1: division by zero (module bad_");
    }
    pgdbm_pool_stats stats = {0};
    assert_int_equal(pgdbm_pool_stats_read(scene->pool, &stats, NULL), PGDBM_OK);
    assert_int_equal(stats.leased, 0);
    /* The server notices the end of a session a moment after the client has closed it. */
    int64_t open = 1;
    for (int i = 0; i < 1000 && open > 0; i++)
        open = scene_number(scene, "SELECT count(*) FROM " TEST_ACTIVITY " WHERE application_name = 'bad module'"
                                   " AND pg_sleep(0.01) IS NOT NULL");
    assert_int_equal(open, 0);
}

static void source_must_be_exactly_one(void **state)
{
    struct scene *scene = *state;
    pgdbm_config elsewhere = {.host = "elsewhere"};
    pgdbm_config schema = {.schema = "x"};
    pgdbm_config plain = {.max_connections = 1};
    const struct {
        pgdbm_source source;
        const char *expected;
    } cases[] = {
        {{0}, "was given nothing to live in"},
        {{.schema = "x"}, "was given nothing"},
        {{.db = scene->db, .pool = scene->pool}, "more than one place"},
        {{.connection_string = scene->url, .db = scene->db}, "more than one place"},
        {{.connection_string = scene->url, .pool = scene->pool}, "more than one place"},
        {{.pool = scene->pool, .config = &plain}, "a config beside its host's pool"},
        {{.db = scene->db, .config = &plain}, "a config beside its host's manager"},
        {{.connection_string = scene->url, .config = &elsewhere}, ".config->host is set"},
        {{.connection_string = scene->url, .config = &schema}, ".config->schema is set"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgdbm_db *db = scene->db;
        assert_int_equal(pgdbm_module_open(&AUDIT, &cases[i].source, &db, &scene->err), PGDBM_ERR_CONFIG);
        assert_null(db);
        scene_expect_error(scene, cases[i].expected);
        assert_string_not_equal(scene->err.hint, "");
    }
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_module_open(&AUDIT, &cases[0].source, &db, &scene->err), PGDBM_ERR_CONFIG);
    scene_expect_error(scene, ".connection_string");
    scene_expect_error(scene, ".pool");
}

static void module_must_have_a_name_and_migrations(void **state)
{
    struct scene *scene = *state;
    const pgdbm_source source = {.pool = scene->pool};
    const pgdbm_module unnamed = {.migrations = &audit_migrations};
    const pgdbm_module empty = {.name = "", .migrations = &audit_migrations};
    const pgdbm_module without = {.name = "audit"};
    const pgdbm_module no_schema = {.name = "no schema", .migrations = &audit_migrations};
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_module_open(&unnamed, &source, &db, &scene->err), PGDBM_ERR_CONFIG);
    assert_int_equal(pgdbm_module_open(&empty, &source, &db, &scene->err), PGDBM_ERR_CONFIG);
    assert_int_equal(pgdbm_module_open(&without, &source, &db, &scene->err), PGDBM_ERR_CONFIG);
    assert_int_equal(pgdbm_module_open(&no_schema, &source, &db, &scene->err), PGDBM_ERR_SCHEMA);
    assert_int_equal(pgdbm_module_open(&AUDIT, &source, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_module_open_at(__FILE__, __LINE__, NULL, 0, &source, sizeof source, &db, NULL),
                     PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_module_open_at(__FILE__, __LINE__, &AUDIT, sizeof AUDIT, NULL, 0, &db, NULL),
                     PGDBM_ERR_ARGUMENT);
    assert_null(db);
}

static bool count_calls(const pgdbm_migration_progress *progress, void *context)
{
    (void)progress;
    ++*(int *)context;
    return true;
}

static void module_says_which_build_migrates_and_how_far_it_is(void **state)
{
    struct scene *scene = *state;
    int calls = 0;
    pgdbm_db *db = NULL;
    const pgdbm_module module = {.name = "audit",
                                 .migrations = &audit_migrations,
                                 .build = "audit 1.2",
                                 .on_progress = count_calls,
                                 .context = &calls};
    assert_int_equal(pgdbm_module_open(&module, &(pgdbm_source){.pool = scene->pool}, &db, &scene->err), PGDBM_OK);
    pgdbm_close(db);
    assert_true(calls > 0);
    scene_expect_text(scene, "SELECT build FROM audit.schema_migrations", "audit 1.2");
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(module_runs_standalone_with_its_name_as_schema),
        SCENE(module_runs_standalone_in_the_schema_it_is_told),
        SCENE(module_lives_in_the_schema_of_its_host),
        SCENE(module_on_a_hosts_manager_takes_the_schema_it_is_told),
        SCENE(module_lives_in_a_hosts_pool_many_times_over),
        SCENE(failed_opening_leaves_nothing_open),
        SCENE(source_must_be_exactly_one),
        SCENE(module_must_have_a_name_and_migrations),
        SCENE(module_says_which_build_migrates_and_how_far_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
