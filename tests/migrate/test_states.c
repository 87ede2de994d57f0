/* SPDX-License-Identifier: MIT */
/* Files beside a history that somebody else wrote, or that has moved on: the states, the policies, and what each message says
 * to do. */
#include "migrate/scene.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_files(struct scene *scene, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        folder_write(&scene->folder, names[i], "SELECT 1;");
}

#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The run is refused, names the file and leaves everything as it was. */
static void expect_refusal(struct scene *scene, const char *filename, pgdbm_migration_state state)
{
    int64_t rows = scene_number(scene, "SELECT count(*) FROM app.schema_migrations");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, filename);
    scene_expect_state(scene, filename, state);
    assert_true(scene->err.hint[0] != '\0');
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", rows);
}

static void every_state_and_skew_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(pgdbm_migration_state_name(PGDBM_MIGRATION_APPLIED), "applied");
    assert_string_equal(pgdbm_migration_state_name(PGDBM_MIGRATION_OUT_OF_ORDER), "out of order");
    assert_string_equal(pgdbm_migration_state_name(PGDBM_MIGRATION_REPEAT), "repeat");
    assert_string_equal(pgdbm_migration_state_name((pgdbm_migration_state)77), "unknown");
    assert_string_equal(pgdbm_migration_skew_name(PGDBM_SKEW_DIVERGED), "diverged");
    assert_string_equal(pgdbm_migration_skew_name((pgdbm_migration_skew)-1), "unknown");
}

static void file_that_comes_before_an_applied_one_is_out_of_order(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql", "003_c.sql"));
    scene->options.policies.gap = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 2);
    write_files(scene, FILES("002_b.sql"));
    expect_refusal(scene, "002_b.sql", PGDBM_MIGRATION_OUT_OF_ORDER);
    scene_expect_error(scene, "comes before 003");
    scene->options.policies.out_of_order = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 1);
    assert_string_equal(scene->report->head, "003");
    scene->options.policies.out_of_order = PGDBM_POLICY_ERROR;
    scene_must_migrate(scene, scene->db, 0);
}

static void number_that_is_left_out_is_a_gap(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("007_a.sql"));
    scene_must_migrate(scene, scene->db, 1); /* the first may have any number */
    write_files(scene, FILES("009_c.sql"));
    expect_refusal(scene, "009_c.sql", PGDBM_MIGRATION_GAP);
    scene_expect_error(scene, "a number is left out");
    scene->options.policies.gap = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 1);
}

static void moments_need_not_follow_each_other(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql", "20250101000000_b.sql", "20250301000000_c.sql", "20250401_120000_d.sql"));
    scene_must_migrate(scene, scene->db, 4);
}

static void applied_file_that_is_gone_is_missing(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql", "002_b.sql", "003_c.sql"));
    scene_must_migrate(scene, scene->db, 3);
    folder_delete(&scene->folder, "002_b.sql");
    expect_refusal(scene, "002_b.sql", PGDBM_MIGRATION_MISSING);
    scene_expect_error(scene, "there is no such file");
    scene->options.policies.missing = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_state(scene, "002_b.sql", PGDBM_MIGRATION_MISSING);
}

static void database_that_is_ahead_is_said_to_be(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql", "002_b.sql", "003_c.sql"));
    scene_must_migrate(scene, scene->db, 3);
    folder_delete(&scene->folder, "003_c.sql");
    expect_refusal(scene, "003_c.sql", PGDBM_MIGRATION_FUTURE);
    scene_expect_error(scene, "schema app is ahead of this program");
    scene_expect_error(scene, "the newest file is 002_b.sql");
    scene->options.policies.future = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 0);
    assert_string_equal(scene->report->head, "003");
}

static void change_is_shown_line_by_line(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (\n    id int,\n    name text\n);\n");
    scene_must_migrate(scene, scene->db, 1);
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (\n    id bigint,\n    name text\n);\n");
    expect_refusal(scene, "001_a.sql", PGDBM_MIGRATION_CHANGED);
    scene_expect_error(scene, "-     id int,");
    scene_expect_error(scene, "+     id bigint,");
    scene->options.policies.changed = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_state(scene, "001_a.sql", PGDBM_MIGRATION_CHANGED);
}

/* A licence header, a formatter, a translated comment: nothing that the server would notice. */
static void comment_and_white_space_do_not_stop_a_run(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    scene_must_migrate(scene, scene->db, 1);
    folder_write(&scene->folder, "001_a.sql",
                 "-- SPDX-License-Identifier: MIT\ncreate table {{tables.a}} (\n  id int /* the key */\n);\n");
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_state(scene, "001_a.sql", PGDBM_MIGRATION_REFORMATTED);
    /* Without the recorded checksum it is found from the text that was applied, without both it cannot be. */
    scene_run(scene, "UPDATE app.schema_migrations SET semantic_checksum = NULL");
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_state(scene, "001_a.sql", PGDBM_MIGRATION_REFORMATTED);
    scene_run(scene, "UPDATE app.schema_migrations SET body = NULL");
    expect_refusal(scene, "001_a.sql", PGDBM_MIGRATION_CHANGED);
}

static void repeatable_file_runs_again_when_its_text_is_another(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{tables.v}} AS SELECT id FROM {{tables.a}};");
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int, name text);");
    scene_must_migrate(scene, scene->db, 2);
    scene_must_migrate(scene, scene->db, 0);
    folder_write(&scene->folder, "R__view.sql",
                 "CREATE OR REPLACE VIEW {{tables.v}} AS SELECT id, name FROM {{tables.a}};");
    assert_int_equal(scene_status(scene, scene->db), PGDBM_OK);
    scene_expect_state(scene, "R__view.sql", PGDBM_MIGRATION_REPEAT);
    assert_true(scene_migration(scene, "R__view.sql")->repeatable);
    scene->options.target = "1"; /* then only what has a number */
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->n_applied, 0);
    scene->options.target = NULL;
    scene_must_migrate(scene, scene->db, 1);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE kind = 'R'", 1);
    scene_expect_number(scene, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.v'::regclass", 2);
}

static void run_stops_at_its_target(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql", "002_b.sql", "003_c.sql", "009_far.sql"));
    scene->options.target = "2";
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_OK); /* the gap is beyond */
    assert_int_equal(scene->report->n_applied, 2);
    assert_int_equal(scene->report->n_pending, 2);
    assert_string_equal(scene->report->head, "002");
    scene->options.target = "4";
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "no migration of module users has the number \"4\"");
}

static void file_that_was_begun_is_partial(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "-- pgdbm:no-transaction\nCREATE TABLE {{tables.a}} ();\nSELECT 1 / 0;\nSELECT 2;");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_state(scene, "001_a.sql", PGDBM_MIGRATION_PARTIAL);
    assert_int_equal(scene_migration(scene, "001_a.sql")->statements_done, 1);
    assert_int_equal(scene_migration(scene, "001_a.sql")->n_statements, 3);
    assert_int_equal(scene->report->n_pending, 1);
}

/* Its texts go from one database to the other by name: a row that is not of this module is none of its business. */
static void rows_of_other_modules_are_left_alone(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql"));
    scene->options.module = "orders";
    scene_must_migrate(scene, scene->db, 1);
    scene->options.module = "users";
    scene_must_migrate(scene, scene->db, 1);
    assert_int_equal(scene->report->n_migrations, 1);
}

static void module_of_many_schemas_is_recorded_with_its_schema(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql"));
    scene->options.per_schema = true;
    scene_must_migrate(scene, scene->db, 1);
    assert_string_equal(scene->report->module, "users_app");
    scene_expect_text(scene, "SELECT module_name FROM app.schema_migrations", "users_app");
}

/* ---- beside the Python pgdbm ---- */

static void make_python_table(struct scene *scene)
{
    scene_run(scene,
              "CREATE SCHEMA app;"
              "CREATE TABLE IF NOT EXISTS app.schema_migrations (id SERIAL PRIMARY KEY, filename VARCHAR(255) NOT NULL,"
              " checksum VARCHAR(64) NOT NULL, module_name VARCHAR(100),"
              " applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, applied_by VARCHAR(100) DEFAULT CURRENT_USER,"
              " execution_time_ms INTEGER, UNIQUE(filename, module_name));"
              "CREATE INDEX IF NOT EXISTS idx_schema_migrations_module"
              " ON app.schema_migrations(module_name, filename)");
}

static void python_records(struct scene *scene, const char *filename, const char *text)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO app.schema_migrations (filename, checksum, module_name, execution_time_ms)"
             " VALUES ('%s', encode(sha256('%s'), 'hex'), 'users', 12.5)",
             filename, text);
    scene_run(scene, sql);
}

static void what_the_python_pgdbm_recorded_is_continued(void **state)
{
    struct scene *scene = *state;
    make_python_table(scene);
    python_records(scene, "001_a.sql", "SELECT 1;");
    write_files(scene, FILES("001_a.sql", "002_b.sql"));
    scene_must_migrate(scene, scene->db, 1);
    assert_null(scene_migration(scene, "001_a.sql")->build);
    /* Its row was not given our time; its next row needs nothing of ours. */
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE applied_at_tz IS NULL", 1);
    python_records(scene, "003_c.sql", "SELECT 1;");
    write_files(scene, FILES("003_c.sql"));
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_text(scene, "SELECT string_agg(filename, ',' ORDER BY id) FROM app.schema_migrations",
                      "001_a.sql,002_b.sql,003_c.sql");
}

static void what_we_recorded_is_read_by_the_python_pgdbm(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql", "002_b.sql"));
    scene_must_migrate(scene, scene->db, 2);
    scene_expect_number(
        scene,
        "SELECT count(*) FROM app.schema_migrations WHERE (module_name = 'users' OR module_name IS NULL)"
        " AND filename IN ('001_a.sql', '002_b.sql') AND checksum = encode(sha256('SELECT 1;'), 'hex')",
        2);
    /* Its creation at every start finds the table; its rows get our time by default. */
    scene_run(scene, "CREATE TABLE IF NOT EXISTS app.schema_migrations (id SERIAL PRIMARY KEY);"
                     "CREATE INDEX IF NOT EXISTS idx_schema_migrations_module"
                     " ON app.schema_migrations(module_name, filename)");
    python_records(scene, "003_c.sql", "SELECT 1;");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE applied_at_tz IS NOT NULL", 3);
}

/* A role that may write the rows and not alter the table records what the table holds. */
static void table_that_cannot_be_altered_is_used_as_it_is(void **state)
{
    struct scene *scene = *state;
    make_python_table(scene);
    write_files(scene, FILES("001_a.sql"));
    const char *writer = test_name("writer");
    scene_run(scene, test_format("CREATE ROLE %s; GRANT USAGE ON SCHEMA app TO %s; GRANT SELECT, INSERT ON"
                                 " app.schema_migrations TO %s; GRANT USAGE ON app.schema_migrations_id_seq TO %s",
                                 writer, writer, writer, writer));
    const char *const init[] = {test_format("SET ROLE %s", writer)};
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.init_commands = init, .n_init_commands = 1});
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    char *by = scene_text(scene, "SELECT string_agg(applied_by, ',') FROM app.schema_migrations");
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", writer, writer));
    if (status != PGDBM_OK)
        fail_msg("%s", scene->err.message);
    assert_string_equal(by, writer);
    pgdbm_free(by);
    scene_expect_number(scene,
                        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.schema_migrations'::regclass"
                        " AND attnum > 7",
                        0);
}

/* What the Python pgdbm writes is the local time of the server; a session's own time zone changes nothing. */
static void naive_times_are_the_servers(void **state)
{
    struct scene *scene = *state;
    make_python_table(scene);
    write_files(scene, FILES("001_a.sql"));
    scene_run(scene, "INSERT INTO app.schema_migrations (filename, checksum, module_name, applied_at)"
                     " VALUES ('001_a.sql', encode(sha256('SELECT 1;'), 'hex'), 'users', '2025-07-01 12:00:00')");
    scene_run(scene,
              "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET TimeZone = ''Asia/Tokyo''', current_database());"
              " END $$");
    static const char *const init[] = {"SET TimeZone = 'America/New_York'"};
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.init_commands = init, .n_init_commands = 1});
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_status(scene, db);
    char *python = status == PGDBM_OK ? strdup(scene_migration(scene, "001_a.sql")->applied_at) : NULL;
    write_files(scene, FILES("002_b.sql"));
    scene_must_migrate(scene, db, 1);
    const char *ours = scene_migration(scene, "002_b.sql")->applied_at;
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT (abs(extract(epoch FROM now() - '%s'::timestamptz)) < 300)::int::bigint", ours);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    assert_int_equal(status, PGDBM_OK);
    assert_string_equal(python, "2025-07-01 03:00:00+00");
    free(python);
    scene_expect_number(scene, sql, 1);
}

static void row_says_what_was_applied_and_by_which_build(void **state)
{
    struct scene *scene = *state;
    static const char text[] =
        "CREATE TABLE {{tables.a}} (path text DEFAULT 'it''s \\n');\n-- pgdbm:down\nDROP TABLE {{tables.a}};";
    folder_write(&scene->folder, "001_a.sql", text);
    scene->options.build = "v1.2 \"it's\"";
    scene_must_migrate(scene, scene->db, 1);
    assert_string_equal(scene_migration(scene, "001_a.sql")->build, "v1.2 \"it's\"");
    assert_true(scene_migration(scene, "001_a.sql")->has_down);
    scene_expect_text(scene, "SELECT body FROM app.schema_migrations", text);
    scene_expect_text(scene, "SELECT trim(E' \\n' FROM down) FROM app.schema_migrations", "DROP TABLE {{tables.a}};");
    scene_expect_number(scene, "SELECT length(semantic_checksum) + length(set_digest) FROM app.schema_migrations", 128);
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    scene->options.policies.changed = PGDBM_POLICY_ALLOW;
    scene_must_migrate(scene, scene->db, 0);
    assert_true(scene_migration(scene, "001_a.sql")->has_down); /* the recorded one */
}

static void table_name_that_leaves_no_room_is_refused(void **state)
{
    struct scene *scene = *state;
    write_files(scene, FILES("001_a.sql"));
    scene->options.table = "a_name_of_fifty_five_bytes_that_leaves_no_room_for_more";
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_SCHEMA);
    scene_expect_error(scene, "54 at most");
    scene->options.table = "a_name_of_fifty_four_bytes_that_leaves_room_for_suffix";
    scene_must_migrate(scene, scene->db, 1);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_and_skew_has_a_name),
        SCENE(file_that_comes_before_an_applied_one_is_out_of_order),
        SCENE(number_that_is_left_out_is_a_gap),
        SCENE(moments_need_not_follow_each_other),
        SCENE(applied_file_that_is_gone_is_missing),
        SCENE(database_that_is_ahead_is_said_to_be),
        SCENE(change_is_shown_line_by_line),
        SCENE(comment_and_white_space_do_not_stop_a_run),
        SCENE(repeatable_file_runs_again_when_its_text_is_another),
        SCENE(run_stops_at_its_target),
        SCENE(file_that_was_begun_is_partial),
        SCENE(rows_of_other_modules_are_left_alone),
        SCENE(module_of_many_schemas_is_recorded_with_its_schema),
        SCENE(what_the_python_pgdbm_recorded_is_continued),
        SCENE(what_we_recorded_is_read_by_the_python_pgdbm),
        SCENE(table_that_cannot_be_altered_is_used_as_it_is),
        SCENE(naive_times_are_the_servers),
        SCENE(row_says_what_was_applied_and_by_which_build),
        SCENE(table_name_that_leaves_no_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
