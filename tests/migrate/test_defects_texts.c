/* SPDX-License-Identifier: MIT */
/* What was found wrong in an older tool for the same job, one test each, in the order of the list: 18 to 32, which are about names,
 * texts, times and errors. Numbers 1 to 17, and where those are that have no test here, are in test_defects.c. */
#include "migrate/scene.h"

#include "support/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One file, and what it makes. */
static void write_and_run(struct scene *scene, const char *text, size_t expected_applied)
{
    folder_write(&scene->folder, "001_a.sql", text);
    scene_must_migrate(scene, scene->db, expected_applied);
}

static void must(const struct scene *scene, pgdbm_status status)
{
    if (status != PGDBM_OK)
        fail_msg("%s\n%s\n%s", scene->err.message, scene->err.detail, scene->err.hint);
}

/* A run that must stop before its first statement, with these words. */
static void expect_refused(struct scene *scene, const char *words)
{
    assert_int_not_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    scene_expect_error(scene, words);
    scene_expect_number(scene, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'made%'", 0);
}

/* 18: a module's schema and the history's name stood in the configuration and were not read: module "billing" made its tables in
 * public, and the status said schema "billing". */
static void schema_and_table_are_those_that_were_given(void **state)
{
    struct scene *scene = *state;
    scene->options.table = "changes";
    write_and_run(scene, "CREATE TABLE {{tables.made}} ();", 1);
    assert_string_equal(scene->report->schema, "app");
    scene_expect_text(scene,
                      "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE"
                      " schemaname NOT IN ('pg_catalog', 'information_schema')",
                      "app.changes app.made");
}

/* 19: a module that is depended on and does not exist was passed over in silence. */
static void module_that_nobody_has_is_an_error_before_anything_runs(void **state)
{
    struct scene *scene = *state;
    size_t failed = 99;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.made}} ();");
    const char *needs[] = {"uesrs"};
    pgdbm_migration_target target = {
        .db = scene->db, .options = scene->options, .depends_on = needs, .n_depends_on = 1};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pgdbm_migrate_modules(&target, 1, NULL, &failed, &scene->err), PGDBM_ERR_MIGRATION);
        scene_expect_error(scene, "uesrs");
        scene_expect_number(scene, "SELECT count(*) FROM pg_tables WHERE tablename = 'made'", 0);
        folder_write(&scene->folder, "001_a.sql", "-- pgdbm:requires uesrs >= 12\nCREATE TABLE {{tables.made}} ();");
        target.n_depends_on = 0; /* the second time the file says it */
    }
}

/* 20: `rollback` asked "may delete data!", did nothing, and was content; it compared versions as texts. */
static void rollback_undoes_by_number(void **state)
{
    struct scene *scene = *state;
    char name[32], text[120];
    for (int i = 8; i <= 11; i++) {
        snprintf(name, sizeof name, "%d_a.sql", i);
        snprintf(text, sizeof text,
                 "CREATE TABLE {{tables.made_%d}} ();\n-- pgdbm:down\nDROP TABLE {{tables.made_%d}};", i, i);
        folder_write(&scene->folder, name, text);
    }
    scene_must_migrate(scene, scene->db, 4);
    scene->options.target = "9"; /* as a text that is above "10" */
    must(scene, pgdbm_migrate_rollback(scene->db, &scene->options, 0, NULL, &scene->err));
    scene_expect_text(
        scene, "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE tablename LIKE 'made%'",
        "made_8 made_9");
    scene_expect_text(scene, "SELECT string_agg(filename, ' ' ORDER BY id) FROM app.schema_migrations",
                      "8_a.sql 9_a.sql");
    scene->options.target = NULL;
    folder_write(&scene->folder, "10_a.sql", "CREATE TABLE {{tables.made_10}} ();");
    folder_delete(&scene->folder, "11_a.sql");
    scene_must_migrate(scene, scene->db, 1);
    assert_int_equal(pgdbm_migrate_rollback(scene->db, &scene->options, 1, NULL, &scene->err), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "10_a.sql"); /* has no way back, and says so before anything runs */
    scene_expect_number(scene, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'made%'", 3);
}

/* 21: names were not quoted, or some were: schema "user" was a syntax error, and "{{tables.order}}" depended on the schema. */
static void words_of_sql_are_names_like_others(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_db *db;
    scene->options.table = "select";
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.order}} (\"user\" int);");
    assert_ok(pgdbm_attach(scene->pool, "user", &db, &err));
    scene_must_migrate(scene, db, 1);
    scene_must_migrate(scene, db, 0);
    pgdbm_close(db);
    scene_expect_number(scene, "SELECT count(*) FROM \"user\".\"select\"", 1);
    scene_must_migrate(scene, scene->witness, 1); /* without a schema */
    scene_expect_number(scene, "SELECT count(*) FROM public.\"order\"", 0);
}

/* 22: an unknown placeholder stayed in the text; and one in a literal had quotes that made it find nothing. */
static void placeholders_are_known_and_good_in_literals(void **state)
{
    struct scene *scene = *state;
    static const char *const unknown[] = {"{{ table.made }}", "{{tables.}}", "{{shcema}}", "{{tables.made"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char text[100];
        snprintf(text, sizeof text, "CREATE TABLE {{tables.made}} ();\nSELECT 1 FROM %s;", unknown[i]);
        folder_write(&scene->folder, "001_a.sql", text);
        expect_refused(scene, "line 2");
    }
    write_and_run(scene,
                  "CREATE TABLE {{tables.found}} AS SELECT count(*) AS n FROM pg_class WHERE relnamespace ="
                  " '{{schema}}'::regnamespace AND oid = to_regclass('{{tables.schema_migrations}}');",
                  1);
    scene_expect_number(scene, "SELECT n FROM app.found", 1);
}

/* 23: the splitter did not know E'', quoted names, nested comments, BEGIN ATOMIC, rules, nor that $1$ opens nothing; and took
 * quotes that nothing closes. */
static void statements_end_where_the_server_ends_them(void **state)
{
    struct scene *scene = *state;
    static const char text[] =
        "-- pgdbm:no-transaction\n"
        "CREATE TABLE {{tables.t}} (v text, \"semi;colon\" int);\n"
        "INSERT INTO {{tables.t}} VALUES (E'it\\'s; one', 1);\n"
        "/* a comment; /* in a comment; */ still; */ INSERT INTO {{tables.t}} VALUES ('two;', 2);\n"
        "CREATE FUNCTION {{tables.f}}(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a; SELECT CASE WHEN true "
        "THEN a + 1 END;"
        " END;\n"
        "CREATE RULE r AS ON DELETE TO {{tables.t}} DO ALSO (SELECT 1; SELECT 2);\n"
        "PREPARE p (int, int) AS SELECT $1+$2;\n"
        "DO $body$ BEGIN PERFORM ';$$;'; END $body$;\n"
        "INSERT INTO {{tables.t}} VALUES (U&'three\\003b', {{tables.f}}(2))";
    write_and_run(scene, text, 1);
    scene_expect_text(scene, "SELECT string_agg(v, ' ' ORDER BY \"semi;colon\") FROM app.t", "it's; one two; three;");
    static const char *const open[] = {"'never", "\"never", "$$never", "/* never", "E'never\\'"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        char never[100];
        snprintf(never, sizeof never, "CREATE TABLE {{tables.made}} (); SELECT %s", open[i]);
        folder_write(&scene->folder, "002_b.sql", never);
        expect_refused(scene, "002_b.sql");
    }
}

/* 24: the directive was looked for in the whole text: in a literal it took the transaction away. */
static void directive_in_a_literal_is_a_text(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.made}} AS SELECT '\n-- pgdbm:no-transaction\n'::text;\nSELECT 1 / 0;");
    expect_refused(scene, "division by zero");
}

/* 25: SET search_path and SET ROLE of one file reached the next, and the history's own statement. */
static void settings_of_a_file_end_with_it(void **state)
{
    struct scene *scene = *state;
    const char *weak = test_name("weak");
    scene_run(scene, test_format("CREATE ROLE %s", weak));
    folder_write(&scene->folder, "001_a.sql",
                 test_format("SET search_path = pg_catalog; SET ROLE %s; SET lock_timeout = '1ms';", weak));
    folder_write(&scene->folder, "002_b.sql",
                 "-- pgdbm:no-transaction\nCREATE TABLE {{tables.b}} ();\nSET search_path = pg_catalog;");
    folder_write(&scene->folder, "003_c.sql",
                 "CREATE TABLE {{tables.c}} AS SELECT current_setting('search_path') AS path;");
    scene_must_migrate(scene, scene->db, 3);
    scene_expect_number(scene, "SELECT count(*) FROM app.c WHERE path LIKE '%public%'", 1);
    scene_expect_text(scene, "SHOW search_path", "\"$user\", public");
    scene_run(scene, test_format("DROP ROLE %s", weak));
}

/* 26: a row without a module counted as applied for every module. */
static void row_without_a_module_is_nobodys_unless_the_text_is_the_same(void **state)
{
    struct scene *scene = *state;
    write_and_run(scene, "CREATE TABLE {{tables.users}} ();", 1);
    scene_run(scene, "UPDATE app.schema_migrations SET module_name = NULL");
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.made}} ();");
    scene->options.module = "orders";
    expect_refused(scene, "001_a.sql");
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.users}} ();");
    scene->options.module = "users";
    scene_must_migrate(scene, scene->db, 0);
    must(scene, pgdbm_migrate_repair(scene->db, &scene->options, NULL, &scene->err));
    scene_expect_text(scene, "SELECT module_name FROM app.schema_migrations", "users");
}

/* 27: the time of applying was a local time of whoever wrote it: eight hours apart between two sessions. */
static void time_of_applying_is_one_moment_for_all(void **state)
{
    struct scene *scene = *state;
    static const char *const zones[] = {"Asia/Tokyo", "America/Los_Angeles"};
    char times[2][64];
    for (size_t i = 0; i < 2; i++) {
        pgdbm_error err;
        pgdbm_db *db;
        const pgdbm_setting zone = {"TimeZone", zones[i]};
        pgdbm_pool *pool = scene_pool(scene, 2, &(pgdbm_config){.server_settings = &zone, .n_server_settings = 1});
        assert_ok(pgdbm_attach(pool, "app", &db, &err));
        folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
        scene_must_migrate(scene, db, i == 0 ? 1 : 0);
        snprintf(times[i], sizeof times[i], "%s", scene_migration(scene, "001_a.sql")->applied_at);
        pgdbm_close(db);
        pgdbm_pool_close(pool);
    }
    assert_string_equal(times[0], times[1]);
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT 1) x WHERE abs(extract(epoch FROM now() - '%s'::timestamptz)) < 600",
             times[0]);
    scene_expect_number(scene, sql, 1);
}

/* 29: an error was a text: no file, line, SQLSTATE, statement, nor who was in the way. */
static void error_names_the_place_and_who_is_in_the_way(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_db *tx;
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;\n\nCREATE TABLE {{tables.b}} AS\n  SELECT lenght('x');");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "42883");
    assert_contains(scene->err.message, "001_a.sql:4:10");
    assert_contains(scene->err.statement, "lenght");
    scene_run(scene, "CREATE TABLE public.busy ()");
    folder_write(&scene->folder, "001_a.sql", "ALTER TABLE public.busy ADD COLUMN i int;");
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(pgdbm_execute_simple(tx, "LOCK TABLE public.busy IN ACCESS SHARE MODE", &err));
    scene->options.lock_timeout_ms = 50;
    scene->options.lock_attempts = 1;
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "55P03");
    int pid = 0;
    assert_ok(pgdbm_session_pid(tx, &pid, &err));
    char blocker[32];
    snprintf(blocker, sizeof blocker, "%d", pid);
    scene_expect_error(scene, blocker);
    assert_ok(pgdbm_rollback(tx, &err));
}

/* 30: names that the history has no room for failed when the file had run. */
static void names_without_room_are_refused_before_anything_runs(void **state)
{
    struct scene *scene = *state;
    char filename[260], module[102];
    memset(module, 'm', sizeof module - 1);
    module[sizeof module - 1] = '\0';
    scene->options.module = module;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.made}} ();");
    expect_refused(scene, "100");
    scene->options.module = "users";
    memset(filename, 'x', sizeof filename);
    memcpy(filename, "001_", 4);
    memcpy(filename + 252, ".sql", 5); /* 256 bytes, beyond what a file system has */
    const pgdbm_migration_text text = {filename, "CREATE TABLE {{tables.made}} ();", 31};
    const pgdbm_migrations compiled_in = {.texts = &text, .n_texts = 1};
    scene->options.migrations = &compiled_in;
    expect_refused(scene, "255");
}

/* 31: a byte order mark was a syntax error. */
static void byte_order_mark_is_passed_over(void **state)
{
    struct scene *scene = *state;
    write_and_run(scene, "\xEF\xBB\xBF-- pgdbm:no-transaction\r\nCREATE TABLE {{tables.made}} ();\r\n", 1);
    assert_true(scene_migration(scene, "001_a.sql")->no_transaction);
}

static bool refuse_to_go_on(const pgdbm_migration_progress *progress, void *context)
{
    (void)context;
    return progress->phase != PGDBM_PHASE_AFTER;
}

/* 32: there was no baseline, repair, repeatable file, hook, target, verification, progress, nor a way to stop. The states and verbs
 * have tests of their own; this is a database's life with all of them. */
static void database_lives_with_all_verbs(void **state)
{
    struct scene *scene = *state;
    pgdbm_migration_report *history = NULL;
    pgdbm_migration_skew skew = PGDBM_SKEW_DIVERGED;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.made_1 ()"); /* by hand, long ago */
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.made_1}} ();");
    must(scene, pgdbm_migrate_baseline(scene->db, &scene->options, NULL, &scene->err));
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.made_2}} ();");
    folder_write(&scene->folder, "003_c.sql", "CREATE TABLE {{tables.made_3}} ();");
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{tables.v}} AS SELECT 1 AS one;");
    scene->options.on_progress = refuse_to_go_on;
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_CANCELED);
    scene->options.on_progress = NULL;
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_ERR_MIGRATION);
    assert_int_equal(pgdbm_migrate_check(scene->db, &scene->options, NULL, NULL, &skew, &scene->err),
                     PGDBM_ERR_MIGRATION);
    assert_int_equal(skew, PGDBM_SKEW_BEHIND);
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_OK);
    must(scene, pgdbm_migrate_check(scene->db, &scene->options, NULL, NULL, &skew, &scene->err));
    folder_write(&scene->folder, "002_b.sql", "-- a comment\nCREATE TABLE {{tables.made_2}} ();");
    scene_must_migrate(scene, scene->db, 0);
    must(scene, pgdbm_migrate_repair(scene->db, &scene->options, NULL, &scene->err));
    assert_int_equal(scene_verify(scene, scene->db), PGDBM_OK);
    must(scene, pgdbm_migrate_history(scene->db, &scene->options, &history, &scene->err));
    assert_int_equal(history->n_migrations, 4);
    pgdbm_migration_report_free(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
        SCENE(schema_and_table_are_those_that_were_given),
        SCENE(module_that_nobody_has_is_an_error_before_anything_runs),
        SCENE(rollback_undoes_by_number),
        SCENE(words_of_sql_are_names_like_others),
        SCENE(placeholders_are_known_and_good_in_literals),
        SCENE(statements_end_where_the_server_ends_them),
        SCENE(directive_in_a_literal_is_a_text),
        SCENE(settings_of_a_file_end_with_it),
        SCENE(row_without_a_module_is_nobodys_unless_the_text_is_the_same),
        SCENE(time_of_applying_is_one_moment_for_all),
        SCENE(error_names_the_place_and_who_is_in_the_way),
        SCENE(names_without_room_are_refused_before_anything_runs),
        SCENE(byte_order_mark_is_passed_over),
        SCENE(database_lives_with_all_verbs),
    };
    return cmocka_run_group_tests_name("defects_texts", tests, NULL, NULL);
}
