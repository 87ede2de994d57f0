/* SPDX-License-Identifier: MIT */
/* A file without a transaction: how it is resumed, what becomes of the indexes that it builds, and what is said when nobody
 * can know what it has done. */
#include "migrate/victim.h"

#include "support/server.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "-- pgdbm:no-transaction\n"

/* How many indexes app.a has, and how many of them are valid: "2 1". */
static const char indexes[] = "SELECT count(*) || ' ' || count(*) FILTER (WHERE indisvalid) FROM pg_index"
                              " WHERE indrelid = 'app.a'::regclass";

static void must_fail(struct scene *scene, const char *sqlstate, const char *text)
{
    pgdbm_status status = scene_migrate(scene, scene->db);
    if (status != PGDBM_ERR_MIGRATION)
        fail_msg("expected MIGRATION, got %s: %s", pgdbm_status_name(status), scene->err.message);
    assert_string_equal(scene->err.sqlstate, sqlstate);
    scene_expect_error(scene, text);
}

/* A transaction that everything CONCURRENTLY waits for. */
static pgdbm_db *old_transaction(struct scene *scene)
{
    pgdbm_db *old = NULL;
    assert_int_equal(pgdbm_begin(scene->witness, &(pgdbm_tx_options){.isolation = PGDBM_REPEATABLE_READ}, &old, NULL),
                     PGDBM_OK);
    assert_int_equal(pgdbm_execute_simple(old, "SELECT count(*) FROM app.a", &scene->err), PGDBM_OK);
    return old;
}

/* Runs until a statement that begins so waits for an old transaction, and takes its server process away. */
static void die_in(struct scene *scene, const char *statement)
{
    struct bystander bystander = {0};
    pgdbm_db *old = old_transaction(scene);
    bystander_start(&bystander, scene, 2);
    terminate(scene, statement);
    bystander_join(&bystander);
    pgdbm_close(old);
    assert_int_not_equal(bystander.status, PGDBM_OK);
}

/* ---- progress ---- */

static void progress_lies_beside_the_history_until_the_file_is_done(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE TABLE {{tables.a}} (id int);\nINSERT INTO {{tables.a}} VALUES (1);\nSELECT 1 / 0;\n"
                        "INSERT INTO {{tables.a}} VALUES (2);");
    must_fail(scene, "22012", "001_a.sql:4:1: division by zero");
    scene_expect_error(scene, "the next run goes on with this statement");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 0);
    scene_expect_text(scene,
                      "SELECT concat_ws(' ', module_name, filename, statement, n_statements, statement_started)"
                      " FROM app.schema_migrations_progress",
                      "users 001_a.sql 2 4 f");
    assert_int_equal(scene_status(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->migrations[0].state, PGDBM_MIGRATION_PARTIAL);
    assert_int_equal(scene->report->migrations[0].statements_done, 2);
    assert_int_equal(scene->report->migrations[0].n_statements, 4);
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "-- once more\nCREATE  TABLE {{tables.a}} (id int);\nINSERT INTO {{tables.a}} VALUES (1);\n"
                        "SELECT 1 / 1;\nINSERT INTO {{tables.a}} VALUES (2);");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_text(scene, "SELECT string_agg(id::text, ',' ORDER BY id) FROM app.a", "1,2");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations_progress", 0);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 1);
}

static void change_of_what_is_done_is_refused(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE TABLE {{tables.a}} (id int);\nINSERT INTO {{tables.a}} VALUES (1);\nSELECT 1 / 0;");
    must_fail(scene, "22012", "001_a.sql:4:1");
    static const char *const others[] = {
        HEADER "CREATE TABLE {{tables.a}} (id int);\nINSERT INTO {{tables.a}} VALUES (7);\nSELECT 1;",
        HEADER "CREATE TABLE {{tables.a}} (id int);",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        folder_write(&scene->folder, "001_a.sql", others[i]);
        must_fail(scene, "", "001_a.sql was changed in what is done of it already: 2 of its statements");
        scene_expect_error(scene, "\"app\".\"schema_migrations_progress\"");
    }
    scene_expect_number(scene, "SELECT count(*) FROM app.a", 1);
}

/* As one transaction it would do again what is done. */
static void directive_taken_from_a_file_that_was_begun_is_refused(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql", HEADER "INSERT INTO app.a VALUES (1);\nSELECT 1 / 0;");
    must_fail(scene, "22012", "001_a.sql:3:1");
    folder_write(&scene->folder, "001_a.sql", "INSERT INTO app.a VALUES (1);\nSELECT 1;");
    must_fail(scene, "", "001_a.sql was begun without a transaction");
    scene_expect_state(scene, "001_a.sql", PGDBM_MIGRATION_PARTIAL);
    scene_expect_number(scene, "SELECT count(*) FROM app.a", 1);
}

static void file_renamed_after_it_was_begun_is_refused(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql", HEADER "INSERT INTO app.a VALUES (1);\nSELECT 1 / 0;");
    must_fail(scene, "22012", "001_a.sql:3:1");
    folder_delete(&scene->folder, "001_a.sql");
    folder_write(&scene->folder, "001_b.sql", HEADER "INSERT INTO app.a VALUES (1);\nSELECT 1;");
    must_fail(scene, "", "migration 001_a.sql of module users was begun and has not ended");
    scene_expect_number(scene, "SELECT count(*) FROM app.a", 1);
    folder_delete(&scene->folder, "001_b.sql");
    folder_write(&scene->folder, "001_a.sql", HEADER "INSERT INTO app.a VALUES (1);\nSELECT 1;");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_number(scene, "SELECT count(*) FROM app.a", 1);
}

static void killed_at_any_boundary_it_goes_on_where_it_was(void **state)
{
    struct scene *scene = *state;
    bool killed = true;
    size_t k = 0;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.steps}} (step int);");
    folder_write(&scene->folder, "002_b.sql",
                 HEADER "INSERT INTO {{tables.steps}} VALUES (1);\n"
                        "CREATE INDEX CONCURRENTLY ON {{tables.steps}} (step);\n"
                        "INSERT INTO {{tables.steps}} VALUES (2);\n"
                        "CREATE UNIQUE INDEX CONCURRENTLY steps_once ON {{tables.steps}} (step);\n"
                        "INSERT INTO {{tables.steps}} VALUES (3);");
    while (killed) {
        char schema[32];
        char sql[256];
        pgdbm_db *db = NULL;
        snprintf(schema, sizeof schema, "k%zu", ++k);
        killed = victim_is_killed(scene, schema, k);
        assert_int_equal(pgdbm_attach(scene->pool, schema, &db, &scene->err), PGDBM_OK);
        if (scene_migrate(scene, db) != PGDBM_OK)
            fail_msg("killed in call %zu: %s", k, scene->err.message);
        pgdbm_close(db);
        snprintf(sql, sizeof sql, "SELECT string_agg(step::text, ',' ORDER BY step) FROM %s.steps", schema);
        scene_expect_text(scene, sql, "1,2,3");
        snprintf(sql, sizeof sql, "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = '%s.steps'::regclass",
                 schema);
        scene_expect_number(scene, sql, 2);
        snprintf(sql, sizeof sql,
                 "SELECT count(*) - 10 * (SELECT count(*) FROM %s.schema_migrations_progress) FROM"
                 " %s.schema_migrations",
                 schema, schema);
        scene_expect_number(scene, sql, 2);
    }
    assert_int_equal(k, 3 + 7 + 1);
}

static void settings_of_done_statements_hold_when_it_goes_on(void **state)
{
    struct scene *scene = *state;
    static const char text[] =
        HEADER "SELECT pg_catalog.set_config('search_path', 'app', false);\nSET ROLE %s;\nSELECT 1 / %d;\n"
               "CREATE TABLE made ();";
    const char *maker = test_name("maker");
    scene_run(scene, test_format("CREATE SCHEMA app; CREATE TABLE app.a (id int); CREATE ROLE %s;"
                                 "GRANT ALL ON SCHEMA app TO %s",
                                 maker, maker));
    folder_write(&scene->folder, "001_a.sql", test_format(text, maker, 0));
    must_fail(scene, "22012", "001_a.sql:4:1");
    folder_write(&scene->folder, "001_a.sql", test_format(text, maker, 1));
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_text(scene, "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'app.made'::regclass", maker);
    scene_expect_text(scene, "SELECT applied_by FROM app.schema_migrations", "postgres");
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", maker, maker));
}

/* ---- statements of which nobody knows whether they are done ---- */

static void statement_in_doubt_runs_again(void **state)
{
    struct scene *scene = *state;
    struct bystander bystander = {0};
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE TABLE {{tables.a}} (id int);\nINSERT INTO {{tables.a}} SELECT 1 FROM pg_sleep(60);");
    bystander_start(&bystander, scene, 2);
    terminate(scene, "INSERT INTO");
    bystander_join(&bystander);
    assert_int_not_equal(bystander.status, PGDBM_OK);
    assert_contains(bystander.err.message, "001_a.sql:3:1: ");
    scene_expect_text(scene, "SELECT concat_ws(' ', statement, statement_started) FROM app.schema_migrations_progress",
                      "2 t");
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE TABLE {{tables.a}} (id int);\nINSERT INTO {{tables.a}} SELECT 1 FROM pg_sleep(0);");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_number(scene, "SELECT count(*) FROM app.a", 1);
}

static void statement_in_doubt_that_fails_says_how_to_go_on(void **state)
{
    struct scene *scene = *state;
    struct bystander bystander = {0};
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "SELECT 1;\nCREATE TABLE {{tables.a}} AS SELECT 1 AS id FROM pg_sleep(60);\n"
                        "CREATE TABLE {{tables.b}} ();");
    bystander_start(&bystander, scene, 2);
    terminate(scene, "CREATE TABLE");
    bystander_join(&bystander);
    scene_run(scene, "CREATE TABLE app.a AS SELECT 1 AS id"); /* as if it had been done */
    must_fail(scene, "42P07", "it may be done");
    must_fail(scene, "42P07", "it may be done");
    const char *way_out = strstr(scene->err.hint, "UPDATE ");
    assert_non_null(way_out);
    scene_run(scene, way_out);
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'b'", 1);
}

static void busy_table_is_tried_again_and_then_names_who_has_it(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = {
        .module = "users", .migrations = &scene->migrations, .lock_timeout_ms = 50, .lock_attempts = 2};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql", HEADER "SELECT 1;\nALTER TABLE {{tables.a}} ADD COLUMN note text;");
    pgdbm_db *old = old_transaction(scene);
    pgdbm_status status = pgdbm_migrate(scene->db, &options, NULL, &scene->err);
    pgdbm_close(old);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "55P03");
    assert_contains(scene->err.message, "001_a.sql:3:1: ");
    assert_contains(scene->err.detail, "app.a is locked (AccessShareLock) by process ");
    scene_expect_text(scene, "SELECT concat_ws(' ', statement, statement_started) FROM app.schema_migrations_progress",
                      "1 f");
    scene_must_migrate(scene, scene->db, 1);
}

/* Who commits in the middle has done what stands before it; to try it again would do that twice. */
static void procedure_that_had_to_wait_is_not_tried_again(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = {
        .module = "users", .migrations = &scene->migrations, .lock_timeout_ms = 50, .lock_attempts = 3};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); CREATE TABLE app.done (id int)");
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "DO $$ BEGIN INSERT INTO app.done VALUES (1); COMMIT; LOCK TABLE app.a; END $$;");
    pgdbm_db *old = old_transaction(scene);
    pgdbm_status status = pgdbm_migrate(scene->db, &options, NULL, &scene->err);
    pgdbm_close(old);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "55P03");
    scene_expect_number(scene, "SELECT count(*) FROM app.done", 1);
}

/* ---- indexes ---- */

static void failed_index_is_dropped_and_built_again(void **state)
{
    struct scene *scene = *state;
    static const char *const statements[] = {
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_id ON {{tables.a}} (id);",
        "CREATE UNIQUE INDEX CONCURRENTLY \"A Id\" ON {{tables.a}} (id);",
        "CREATE UNIQUE INDEX CONCURRENTLY ON {{tables.a}} (id);",
    };
    for (int i = 0; i < 3; i++) {
        char name[32];
        char text[256];
        scene_run(scene, "CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.a;"
                         "CREATE TABLE app.a (id int); INSERT INTO app.a VALUES (1), (1)");
        snprintf(name, sizeof name, "%d_index.sql", i + 1);
        snprintf(text, sizeof text, HEADER "SELECT 1;\n%s", statements[i]);
        folder_write(&scene->folder, name, text);
        must_fail(scene, "23505", "_index.sql:3:1: could not create unique index");
        scene_expect_text(scene, indexes, "1 0");
        must_fail(scene, "23505", "_index.sql:3:1: could not create unique index");
        scene_expect_text(scene, indexes, "1 0");
        scene_run(scene, "DELETE FROM app.a");
        scene_must_migrate(scene, scene->db, 1);
        scene_expect_text(scene, indexes, "1 1");
    }
}

/* As the Python pgdbm leaves it, which has no progress: IF NOT EXISTS takes the wreck for an index. */
static void wreck_of_another_tool_is_replaced(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); INSERT INTO app.a VALUES (1), (1)");
    assert_int_equal(pgdbm_execute_simple(scene->witness, "CREATE UNIQUE INDEX CONCURRENTLY a_id ON app.a (id)", &err),
                     PGDBM_ERR_QUERY);
    scene_run(scene, "DELETE FROM app.a");
    scene_expect_text(scene, indexes, "1 0");
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_id ON {{tables.a}} (id);");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_text(scene, indexes, "1 1");
}

static void index_of_a_run_that_died_is_built_again(void **state)
{
    struct scene *scene = *state;
    static const char *const statements[] = {"CREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);",
                                             "CREATE INDEX CONCURRENTLY ON {{tables.a}} (id);"};
    for (int i = 0; i < 2; i++) {
        char name[32];
        char text[256];
        scene_run(scene, "CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.a; CREATE TABLE app.a (id int)");
        snprintf(name, sizeof name, "%d_index.sql", i + 1);
        snprintf(text, sizeof text, HEADER "%s", statements[i]);
        folder_write(&scene->folder, name, text);
        die_in(scene, "CREATE INDEX CONCURRENTLY");
        scene_expect_text(scene, indexes, "1 0");
        scene_must_migrate(scene, scene->db, 1);
        scene_expect_text(scene, indexes, "1 1");
    }
}

/* Statement changed meanwhile: the index of the old one is still its wreck. */
static void wreck_is_dropped_when_the_statement_was_mended(void **state)
{
    struct scene *scene = *state;
    scene_run(scene,
              "CREATE SCHEMA app; CREATE TABLE app.a (id int, part int); INSERT INTO app.a VALUES (1, 1), (1, 2)");
    folder_write(&scene->folder, "001_a.sql", HEADER "CREATE UNIQUE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);");
    must_fail(scene, "23505", "001_a.sql:2:1");
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE UNIQUE INDEX CONCURRENTLY a_id_part ON {{tables.a}} (id, part);");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_text(scene, indexes, "1 1");
}

/* The run died between the end of the statement and the note of it. */
static void index_that_was_finished_is_not_built_twice(void **state)
{
    struct scene *scene = *state;
    static const char *const statements[] = {"CREATE INDEX CONCURRENTLY a_id ON app.a (id)",
                                             "CREATE INDEX CONCURRENTLY ON app.a (id)"};
    for (int i = 0; i < 2; i++) {
        char name[32];
        char text[256];
        scene_run(scene, "CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.a; CREATE TABLE app.a (id int)");
        snprintf(name, sizeof name, "%d_index.sql", i + 1);
        snprintf(text, sizeof text, HEADER "%s;", statements[i]);
        folder_write(&scene->folder, name, text);
        die_in(scene, "CREATE INDEX CONCURRENTLY");
        scene_run(scene, i == 0 ? "DROP INDEX app.a_id" : "DROP INDEX app.a_id_idx");
        scene_run(scene, statements[i]);
        scene_must_migrate(scene, scene->db, 1);
        scene_expect_text(scene, indexes, "1 1");
    }
}

static void index_that_was_there_before_is_not_taken_for_ours(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); CREATE INDEX a_id ON app.a (id)");
    folder_write(&scene->folder, "001_a.sql", HEADER "CREATE INDEX CONCURRENTLY a_id ON {{tables.a}} (id);");
    must_fail(scene, "42P07", "001_a.sql:2:1: ");
    must_fail(scene, "42P07", "001_a.sql:2:1: ");
}

static void *build_elsewhere(void *context)
{
    struct scene *scene = context;
    (void)pgdbm_execute_simple_with(scene->witness, &(pgdbm_call){.timeout_ms = -1},
                                    "CREATE INDEX CONCURRENTLY a_id ON app.a (id)", NULL);
    return NULL;
}

static void index_that_another_session_builds_is_left_alone(void **state)
{
    struct scene *scene = *state;
    pthread_t builder;
    pgdbm_migrate_options options = {.module = "users", .migrations = &scene->migrations, .lock_attempts = 2};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "CREATE INDEX CONCURRENTLY IF NOT EXISTS a_id ON {{tables.a}} (id);");
    pgdbm_db *old = old_transaction(scene);
    assert_int_equal(pthread_create(&builder, NULL, build_elsewhere, scene), 0);
    wait_until(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE NOT granted");
    pgdbm_status status = pgdbm_migrate(scene->db, &options, NULL, &scene->err);
    pgdbm_close(old);
    pthread_join(builder, NULL);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "001_a.sql:2:1: index app.a_id is being built by another session");
    assert_contains(scene->err.detail, "process ");
    assert_contains(scene->err.detail, "CREATE INDEX CONCURRENTLY a_id");
    scene_expect_text(scene, indexes, "1 1");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_text(scene, indexes, "1 1");
}

static void leftovers_of_reindex_are_dropped(void **state)
{
    struct scene *scene = *state;
    static const char *const statements[] = {"REINDEX INDEX CONCURRENTLY app.a_id", "REINDEX TABLE CONCURRENTLY app.a",
                                             "REINDEX SCHEMA CONCURRENTLY app"};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); CREATE INDEX a_id ON app.a (id)");
    for (int i = 0; i < 3; i++) {
        char name[32];
        char text[256];
        snprintf(name, sizeof name, "%d_reindex.sql", i + 1);
        snprintf(text, sizeof text, HEADER "%s;", statements[i]);
        folder_write(&scene->folder, name, text);
        die_in(scene, "REINDEX");
        scene_expect_text(scene, indexes, "2 1");
        scene_must_migrate(scene, scene->db, 1);
        scene_expect_text(scene, indexes, "1 1");
    }
}

static void drop_of_an_index_is_resumed(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 2; i++) {
        char name[32];
        scene_run(scene, "CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.a;"
                         "CREATE TABLE app.a (id int); CREATE INDEX a_id ON app.a (id)");
        snprintf(name, sizeof name, "%d_drop.sql", i + 1);
        folder_write(&scene->folder, name, HEADER "DROP INDEX CONCURRENTLY app.a_id;");
        die_in(scene, "DROP INDEX");
        if (i == 1)
            scene_run(scene, "DROP INDEX app.a_id"); /* as if it had been done */
        scene_must_migrate(scene, scene->db, 1);
        scene_expect_text(scene, indexes, "0 0");
    }
}

static void lock_timeout_of_the_file_comes_back_behind_an_index(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); CREATE TABLE app.b (what text)");
    folder_write(&scene->folder, "001_a.sql",
                 HEADER "SET lock_timeout = '7s';\nCREATE INDEX CONCURRENTLY ON {{tables.a}} (id);\n"
                        "INSERT INTO {{tables.b}} VALUES (current_setting('lock_timeout'));");
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_text(scene, "SELECT what FROM app.b", "7s");
}

/* Not a superuser, nothing but its own schema. */
static void ordinary_role_migrates_both_ways(void **state)
{
    struct scene *scene = *state;
    pgdbm_pool *pool = NULL;
    pgdbm_db *db = NULL;
    char url[1024];
    const char *owner = test_name("owner");
    snprintf(url, sizeof url, "postgresql://%s%s", owner, strchr(scene->url, '@'));
    pgdbm_config config = {.connection_string = url, .max_connections = 2, .on_duplicate_pool = PGDBM_ALLOW};
    scene_run(scene, test_format("CREATE ROLE %s LOGIN; CREATE SCHEMA app AUTHORIZATION %s", owner, owner));
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.a}} (id int); INSERT INTO {{tables.a}} VALUES (1), (1);");
    folder_write(&scene->folder, "002_b.sql",
                 HEADER "CREATE TABLE {{tables.b}} ();\nCREATE UNIQUE INDEX CONCURRENTLY ON {{tables.a}} (id);");
    assert_int_equal(pgdbm_pool_open(&config, &pool, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    assert_int_equal(scene_migrate(scene, db), PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "23505");
    scene_run(scene, "DELETE FROM app.a");
    scene_must_migrate(scene, db, 1);
    scene_expect_text(scene, indexes, "1 1");
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", owner, owner));
}

/* The client is gone, and the server goes on building for it: the next run waits for it, and takes the index as it is. */
static void index_that_outlives_its_process_is_taken(void **state)
{
    struct scene *scene = *state;
    struct bystander bystander = {0};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql", HEADER "CREATE INDEX CONCURRENTLY ON {{tables.a}} (id);");
    pgdbm_db *old = old_transaction(scene);
    victim_dies_when(scene, "app",
                     "SELECT count(*) FROM " TEST_ACTIVITY " WHERE query LIKE 'CREATE INDEX CONC%' AND state = 'active'"
                     " AND wait_event_type = 'Lock'");
    bystander_start(&bystander, scene, 2);
    wait_until(scene, "SELECT count(*) FROM " TEST_ACTIVITY " WHERE query LIKE '%pg_try_advisory_lock%'");
    pgdbm_close(old);
    bystander_join(&bystander);
    if (bystander.status != PGDBM_OK)
        fail_msg("%s (%s)", bystander.err.message, bystander.err.detail);
    scene_expect_text(scene, indexes, "1 1");
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(progress_lies_beside_the_history_until_the_file_is_done),
        SCENE(change_of_what_is_done_is_refused),
        SCENE(directive_taken_from_a_file_that_was_begun_is_refused),
        SCENE(file_renamed_after_it_was_begun_is_refused),
        SCENE(killed_at_any_boundary_it_goes_on_where_it_was),
        SCENE(settings_of_done_statements_hold_when_it_goes_on),
        SCENE(statement_in_doubt_runs_again),
        SCENE(statement_in_doubt_that_fails_says_how_to_go_on),
        SCENE(busy_table_is_tried_again_and_then_names_who_has_it),
        SCENE(procedure_that_had_to_wait_is_not_tried_again),
        SCENE(failed_index_is_dropped_and_built_again),
        SCENE(wreck_of_another_tool_is_replaced),
        SCENE(index_of_a_run_that_died_is_built_again),
        SCENE(wreck_is_dropped_when_the_statement_was_mended),
        SCENE(index_that_was_finished_is_not_built_twice),
        SCENE(index_that_was_there_before_is_not_taken_for_ours),
        SCENE(index_that_another_session_builds_is_left_alone),
        SCENE(leftovers_of_reindex_are_dropped),
        SCENE(drop_of_an_index_is_resumed),
        SCENE(ordinary_role_migrates_both_ways),
        SCENE(index_that_outlives_its_process_is_taken),
        SCENE(lock_timeout_of_the_file_comes_back_behind_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
