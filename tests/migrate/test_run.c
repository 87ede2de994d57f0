/* SPDX-License-Identifier: MIT */
/* Running migrations against a real server: what is applied, recorded, reported, refused. */
#include "migrate/scene.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The table as the Python pgdbm's statements make it. */
static const char python_table[] =
    "CREATE SCHEMA python;"
    "CREATE TABLE IF NOT EXISTS python.schema_migrations (id SERIAL PRIMARY KEY, filename VARCHAR(255) NOT NULL,"
    " checksum VARCHAR(64) NOT NULL, module_name VARCHAR(100),"
    " applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, applied_by VARCHAR(100) DEFAULT CURRENT_USER,"
    " execution_time_ms INTEGER, UNIQUE(filename, module_name));"
    "CREATE INDEX IF NOT EXISTS idx_schema_migrations_module ON python.schema_migrations(module_name, filename)";

/* Everything the catalog says of the table schema_migrations in one schema, without the schema's name and without the columns
 * that the Python pgdbm does not have. */
static char *describe_table(struct scene *scene, const char *schema)
{
    char sql[2048];
    snprintf(sql, sizeof sql,
             "SELECT replace(string_agg(line, E'\\n' ORDER BY line), '%s.', '') FROM ("
             "SELECT concat('column ', a.attnum, ' ', a.attname, ' ', format_type(a.atttypid, a.atttypmod), ' ',"
             " a.attnotnull, ' ', pg_get_expr(d.adbin, d.adrelid)) AS line"
             " FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
             " WHERE a.attrelid = '%s.schema_migrations'::regclass AND a.attnum > 0"
             " AND NOT a.attname = ANY ('{kind,semantic_checksum,body,down,build,set_digest,applied_at_tz}')"
             " UNION ALL SELECT concat('constraint ', conname, ' ', pg_get_constraintdef(oid)) FROM pg_constraint"
             " WHERE conrelid = '%s.schema_migrations'::regclass"
             " UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index"
             " WHERE indrelid = '%s.schema_migrations'::regclass"
             " UNION ALL SELECT concat('owned sequence ', pg_get_serial_sequence('%s.schema_migrations', 'id'))) x",
             schema, schema, schema, schema, schema);
    return scene_text(scene, sql);
}

static void history_table_is_the_one_of_the_python_pgdbm(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_users.sql", "CREATE TABLE {{tables.users}} (id int);");
    scene_must_migrate(scene, scene->db, 1);
    scene_run(scene, python_table);
    char *theirs = describe_table(scene, "python");
    char *ours = describe_table(scene, "app");
    assert_string_equal(ours, theirs);
    pgdbm_free(theirs);
    pgdbm_free(ours);
    /* What the Python pgdbm does not know it does not have to write. */
    scene_expect_number(scene,
                        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.schema_migrations'::regclass"
                        " AND attnum > 7 AND NOT attnotnull",
                        7);
}

static void files_are_applied_once_in_order_of_numbers(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "11_third.sql", "INSERT INTO {{tables.steps}} VALUES ('third');");
    folder_write(&scene->folder, "10_second.sql", "INSERT INTO {{tables.steps}} VALUES ('second');");
    folder_write(&scene->folder, "009_first.sql",
                 "\xEF\xBB\xBF-- steps\r\nCREATE TABLE {{tables.steps}} (name text, at serial);\r\n"
                 "INSERT INTO {{tables.steps}} VALUES ('first');\r\n");
    scene_must_migrate(scene, scene->db, 3);
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_text(scene, "SELECT string_agg(name, ',' ORDER BY at) FROM app.steps", "first,second,third");
    scene_expect_text(
        scene,
        "SELECT string_agg(concat_ws(' ', filename, module_name, applied_by, length(checksum),"
        " execution_time_ms > 0), ',' ORDER BY id) FROM app.schema_migrations",
        "009_first.sql users postgres 64 t,10_second.sql users postgres 64 t,11_third.sql users postgres 64 "
        "t");
}

static void report_says_what_was_done(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    scene_must_migrate(scene, scene->db, 1);
    folder_write(&scene->folder, "002_b.sql", "-- pgdbm:no-transaction\nCREATE TABLE {{tables.b}} ();");
    scene_must_migrate(scene, scene->db, 1);
    assert_string_equal(scene->report->module, "users");
    assert_string_equal(scene->report->schema, "app");
    assert_int_equal(scene->report->n_migrations, 2);
    const pgdbm_migration *a = &scene->report->migrations[0];
    const pgdbm_migration *b = &scene->report->migrations[1];
    assert_string_equal(a->filename, "001_a.sql");
    assert_string_equal(b->version, "002");
    assert_int_equal(a->state, PGDBM_MIGRATION_APPLIED);
    assert_int_equal(b->state, PGDBM_MIGRATION_APPLIED);
    assert_false(a->applied_now);
    assert_true(b->applied_now);
    assert_false(a->no_transaction);
    assert_true(b->no_transaction);
    assert_string_equal(b->applied_checksum, b->checksum);
    assert_string_equal(b->applied_by, "postgres");
    assert_non_null(b->applied_at);
    assert_true(b->execution_ms >= 1);
}

static void status_looks_without_touching(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} ();");
    assert_int_equal(scene_status(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->n_pending, 2);
    assert_int_equal(scene->report->migrations[0].state, PGDBM_MIGRATION_PENDING);
    assert_null(scene->report->migrations[0].applied_at);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);

    scene_must_migrate(scene, scene->db, 2);
    folder_delete(&scene->folder, "001_a.sql");
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} (id int);");
    folder_write(&scene->folder, "003_c.sql", "CREATE TABLE {{tables.c}} ();");
    assert_int_equal(scene_status(scene, scene->db), PGDBM_OK);
    assert_int_equal(scene->report->n_migrations, 3);
    assert_int_equal(scene->report->migrations[0].state, PGDBM_MIGRATION_MISSING);
    assert_int_equal(scene->report->migrations[1].state, PGDBM_MIGRATION_CHANGED);
    assert_int_equal(scene->report->migrations[2].state, PGDBM_MIGRATION_PENDING);
    assert_int_equal(scene->report->n_pending, 1);
}

static void dry_run_writes_nothing_and_waits_for_nobody(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    pgdbm_db *holder = NULL;
    assert_int_equal(pgdbm_pin(scene->witness, &holder, NULL), PGDBM_OK);
    assert_int_equal(
        pgdbm_execute_simple(holder, "SELECT pg_advisory_lock(hashtext('pgdbm_migration_users'))", &scene->err),
        PGDBM_OK);
    pgdbm_migrate_options options = {.module = "users", .migrations = &scene->migrations, .dry_run = true};
    pgdbm_status status = pgdbm_migrate(scene->db, &options, &scene->report, &scene->err);
    pgdbm_close(holder);
    assert_int_equal(status, PGDBM_OK);
    assert_int_equal(scene->report->n_applied, 1);
    assert_int_equal(scene->report->n_pending, 1);
    assert_int_equal(scene->report->migrations[0].state, PGDBM_MIGRATION_PENDING);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
}

static void failing_file_leaves_nothing_and_the_next_run_resumes(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    folder_write(&scene->folder, "002_b.sql",
                 "CREATE TABLE {{tables.b}} (id int);\n"
                 "INSERT INTO {{tables.b}} VALUES (1);\n"
                 "\n"
                 "INSERT INTO {{tables.b}}\n"
                 "  SELECT id\n"
                 "  FROM {{tables.nowhere}};\n");
    folder_write(&scene->folder, "003_c.sql", "CREATE TABLE {{tables.c}} (id int);");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.message, "002_b.sql:6:8: relation \"app.nowhere\" does not exist "
                                            "(module users)");
    assert_string_equal(scene->err.sqlstate, "42P01");
    assert_int_equal(scene->err.status, PGDBM_ERR_MIGRATION);
    assert_int_equal(scene->err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_int_equal(scene->err.position, 42);
    assert_non_null(strstr(scene->err.statement, "INSERT INTO \"app\".\"b\"\n  SELECT id"));
    assert_non_null(scene->report);
    assert_int_equal(scene->report->n_applied, 1);
    assert_int_equal(scene->report->n_pending, 2);
    assert_true(scene->report->migrations[0].applied_now);
    scene_expect_text(scene,
                      "SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class"
                      " WHERE relnamespace = 'app'::regnamespace AND relkind = 'r'",
                      "a,schema_migrations");

    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} (id int);\n");
    scene_must_migrate(scene, scene->db, 2);
    scene_expect_text(scene, "SELECT string_agg(filename, ',' ORDER BY id) FROM app.schema_migrations",
                      "001_a.sql,002_b.sql,003_c.sql");
}

static void file_that_cannot_run_stops_the_run_before_its_first_statement(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[] = {"CREATE TABLE {{tabels.b}} ();", "BEGIN; CREATE TABLE b (); COMMIT;", " \n",
                                      "-- pgdbm:unknown\nSELECT 1;", "SELECT 'open"};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        folder_write(&scene->folder, "002_b.sql", bad[i]);
        pgdbm_status status = scene_migrate(scene, scene->db);
        assert_int_equal(status, i == 0 ? PGDBM_ERR_SCHEMA : PGDBM_ERR_MIGRATION);
        scene_expect_error(scene, "002_b.sql");
        scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
    }
}

static void changed_file_is_an_error_with_both_checksums(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    scene_must_migrate(scene, scene->db, 1);
    folder_write(&scene->folder, "001_a.sql", "\r\n CREATE TABLE {{tables.a}} ();\r\n");
    scene_must_migrate(scene, scene->db, 0);
    char *before = scene_text(scene, "SELECT checksum FROM app.schema_migrations");
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} ();");
    assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "001_a.sql of module users was changed");
    scene_expect_error(scene, before);
    scene_expect_error(scene, scene->report->migrations[0].checksum);
    assert_int_equal(scene->report->migrations[0].state, PGDBM_MIGRATION_CHANGED);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 1);
    pgdbm_free(before);
}

static void history_of_the_python_pgdbm_is_continued(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, python_table);
    scene_run(scene, "ALTER SCHEMA python RENAME TO app");
    scene_run(scene, "INSERT INTO app.schema_migrations (filename, checksum, module_name, execution_time_ms) VALUES"
                     " ('001_a.sql', encode(sha256('CREATE TABLE {{tables.a}} ();'), 'hex'), 'users', 4),"
                     " ('002_b.sql', encode(sha256('CREATE TABLE {{tables.b}} ();'), 'hex'), NULL, NULL),"
                     " ('20251025_143022_c.sql', encode(sha256('CREATE TABLE {{tables.c}} ();'), 'hex'), 'users', 7),"
                     " ('001_a.sql', 'of another module', 'orders', 1),"
                     " ('900_x.sql', 'of another module', 'orders', 1)");
    folder_write(&scene->folder, "001_a.sql", "\nCREATE TABLE {{tables.a}} ();\r\n");
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} ();\n");
    folder_write(&scene->folder, "20251025_143022_c.sql", "CREATE TABLE {{tables.c}} ();\n");
    folder_write(&scene->folder, "20251025_150000_d.sql", "CREATE TABLE {{tables.d}} ();\n");
    scene_must_migrate(scene, scene->db, 1);
    assert_int_equal(scene->report->n_migrations, 4);
    assert_true(scene->report->migrations[0].execution_ms == 4);
    assert_true(scene->report->migrations[1].execution_ms == 0);
    assert_true(scene->report->migrations[3].applied_now);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b', 'c')", 0);
}

static void everything_applied_costs_one_statement_and_no_rights(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    scene_must_migrate(scene, scene->db, 1);
    const char *reader = test_name("reader");
    scene_run(scene, test_format("CREATE ROLE %s; GRANT USAGE ON SCHEMA app TO %s;"
                                 "GRANT SELECT ON app.schema_migrations TO %s",
                                 reader, reader, reader));
    const char *const init[] = {test_format("SET ROLE %s", reader), "SET default_transaction_read_only = on"};
    pgdbm_config config = {.init_commands = init, .n_init_commands = 2};
    pgdbm_pool *pool = scene_pool(scene, 1, &config);
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_pool_stats before = {0};
    pgdbm_pool_stats after = {0};
    pgdbm_pool_stats_read(pool, &before, NULL);
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_pool_stats_read(pool, &after, NULL);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", reader, reader));
    if (status != PGDBM_OK)
        fail_msg("%s", scene->err.message);
    assert_int_equal(after.statements - before.statements, 1);
    assert_int_equal(after.resets - before.resets, 0);
    assert_int_equal(scene->report->n_applied, 0);
}

static void existing_schema_needs_no_right_to_create_schemas(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    const char *owner = test_name("owner");
    scene_run(scene, test_format("CREATE ROLE %s; CREATE SCHEMA app AUTHORIZATION %s", owner, owner));
    const char *const init[] = {test_format("SET ROLE %s", owner)};
    pgdbm_config config = {.init_commands = init, .n_init_commands = 1};
    pgdbm_pool *pool = scene_pool(scene, 1, &config);
    pgdbm_db *db = NULL;
    pgdbm_db *elsewhere = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_attach(pool, "elsewhere", &elsewhere, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_error err = scene->err;
    pgdbm_status without_schema = scene_migrate(scene, elsewhere);
    pgdbm_close(db);
    pgdbm_close(elsewhere);
    pgdbm_pool_close(pool);
    char *by = scene_text(scene, "SELECT applied_by FROM app.schema_migrations");
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", owner, owner));
    if (status != PGDBM_OK)
        fail_msg("%s", err.message);
    assert_string_equal(by, owner);
    pgdbm_free(by);
    assert_int_not_equal(without_schema, PGDBM_OK);
    assert_string_equal(scene->err.sqlstate, "42501");
    scene_expect_error(scene, "let an administrator create schema \"elsewhere\"");
}

static void what_a_file_sets_does_not_reach_the_next_file(void **state)
{
    struct scene *scene = *state;
    const char *role = test_name("leaking");
    scene_run(scene, test_format("CREATE ROLE %s", role));
    folder_write(&scene->folder, "001_leak.sql",
                 test_format("SET search_path TO nowhere;\nSET statement_timeout = '7min';\nSET my.own = 'leak';\n"
                             "CREATE TEMPORARY TABLE leak ();\nSELECT pg_advisory_lock(4711);\nSET ROLE %s;\n",
                             role));
    folder_write(&scene->folder, "002_leak.sql",
                 test_format("-- pgdbm:no-transaction\nSET search_path TO nowhere;\n"
                             "SET SESSION AUTHORIZATION %s;\n",
                             role));
    folder_write(&scene->folder, "003_dump.sql",
                 test_format("SELECT pg_catalog.set_config('search_path', '', false);\n"
                             "SELECT pg_catalog.set_config('role', '%s', false);\n",
                             role));
    folder_write(&scene->folder, "004_look.sql",
                 "CREATE TABLE {{tables.found}} AS SELECT current_setting('search_path') AS path,"
                 " current_user::text AS role, session_user::text AS login,"
                 " coalesce(current_setting('my.own', true), '') AS own, to_regclass('leak') IS NULL AS clean;");
    pgdbm_status status = scene_migrate(scene, scene->db);
    pgdbm_error err = scene->err;
    char *found = status == PGDBM_OK ? scene_text(scene, "SELECT concat_ws('|', path, role, login, own, clean,"
                                                         " (SELECT count(*) FROM " TEST_LOCKS " WHERE objid = 4711))"
                                                         " FROM app.found")
                                     : NULL;
    char *by = status == PGDBM_OK ? scene_text(scene, "SELECT string_agg(DISTINCT applied_by, ',')"
                                                      " FROM app.schema_migrations")
                                  : NULL;
    scene_run(scene, test_format("DROP OWNED BY %s; DROP ROLE %s", role, role));
    if (status != PGDBM_OK)
        fail_msg("%s", err.message);
    assert_string_equal(found, "\"$user\", public|postgres|postgres||t|0");
    assert_string_equal(by, "postgres");
    pgdbm_free(found);
    pgdbm_free(by);
}

static void manager_without_a_schema_migrates_public(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (); COMMENT ON SCHEMA {{schema}} IS 'x';");
    scene_must_migrate(scene, scene->witness, 1);
    assert_string_equal(scene->report->schema, "public");
    scene_expect_number(scene, "SELECT count(*) FROM public.schema_migrations", 1);
}

static void reserved_words_and_capitals_are_fine_as_schema_and_table(void **state)
{
    struct scene *scene = *state;
    pgdbm_db *db = NULL;
    folder_write(&scene->folder, "001_order.sql", "CREATE TABLE {{tables.Order}} (id int);");
    assert_int_equal(pgdbm_attach(scene->pool, "User", &db, &scene->err), PGDBM_OK);
    pgdbm_migrate_options options = {
        .module = "it's \"quoted\" % \xC3\xA9", .migrations = &scene->migrations, .table = "Select"};
    pgdbm_status status = pgdbm_migrate(db, &options, NULL, &scene->err);
    pgdbm_close(db);
    if (status != PGDBM_OK)
        fail_msg("%s", scene->err.message);
    scene_expect_text(scene, "SELECT module_name FROM \"user\".\"select\"", options.module);
    scene_expect_number(scene, "SELECT count(*) FROM \"user\".\"order\"", 0);
}

static void embedded_migrations_run_like_files(void **state)
{
    struct scene *scene = *state;
    static const char create[] = "CREATE TABLE {{tables.a}} (id int);";
    static const char insert[] = "INSERT INTO {{tables.a}} VALUES (2);";
    static const pgdbm_migration_text texts[] = {{"002_b.sql", insert, sizeof insert - 1},
                                                 {"001_a.sql", create, sizeof create - 1}};
    scene->migrations = (pgdbm_migrations){.texts = texts, .n_texts = 2};
    scene_must_migrate(scene, scene->db, 2);
    scene->migrations = (pgdbm_migrations){.directory = scene->folder.path};
    folder_write(&scene->folder, "001_a.sql", create);
    folder_write(&scene->folder, "002_b.sql", insert);
    scene_must_migrate(scene, scene->db, 0);
    scene_expect_number(scene, "SELECT count(*) FROM app.a", 1);
}

static void wrong_calls_are_refused_before_anything_is_sent(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = {.module = "users", .migrations = &scene->migrations};
    pgdbm_error *err = &scene->err;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    assert_int_equal(pgdbm_migrate(NULL, &options, NULL, err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_sized(scene->db, NULL, 0, NULL, err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_status(scene->db, &options, NULL, err), PGDBM_ERR_ARGUMENT);
    options.migrations = NULL;
    assert_int_equal(pgdbm_migrate(scene->db, &options, NULL, NULL), PGDBM_ERR_ARGUMENT);
    options.migrations = &scene->migrations;
    options.module = NULL;
    assert_int_equal(pgdbm_migrate(scene->db, &options, NULL, err), PGDBM_ERR_CONFIG);
    options.module = "";
    assert_int_equal(pgdbm_migrate(scene->db, &options, NULL, err), PGDBM_ERR_CONFIG);
    scene_expect_error(scene, "module name");
    char longest[102];
    memset(longest, 'm', 101);
    longest[101] = '\0';
    options.module = longest;
    assert_int_equal(pgdbm_migrate(scene->db, &options, NULL, err), PGDBM_ERR_CONFIG);
    scene_expect_error(scene, "101 bytes; the history holds 100");
    options.module = "users";
    options.table = "no table";
    assert_int_equal(pgdbm_migrate(scene->db, &options, NULL, err), PGDBM_ERR_SCHEMA);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'app'", 0);
    pgdbm_migration_report_free(NULL);
}

static void transaction_and_pinned_session_are_refused_as_manager(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    pgdbm_db *tx = NULL;
    assert_int_equal(pgdbm_begin(scene->db, NULL, &tx, &scene->err), PGDBM_OK);
    assert_int_equal(scene_migrate(scene, tx), PGDBM_ERR_TRANSACTION);
    scene_expect_error(scene, "migrate on the manager itself");
    /* The transaction was not harmed. */
    assert_int_equal(pgdbm_execute(tx, "SELECT 1", pgdbm_no_args, NULL, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_commit(tx, &scene->err), PGDBM_OK);
}

static void slow_migration_outlives_the_time_outs_of_the_application(void **state)
{
    struct scene *scene = *state;
    pgdbm_config config = {.statement_timeout_ms = 200, .command_timeout_ms = 300};
    pgdbm_pool *pool = scene_pool(scene, 1, &config);
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    folder_write(&scene->folder, "001_slow.sql", "SELECT pg_sleep(0.6);");
    folder_write(&scene->folder, "002_slow.sql", "-- pgdbm:no-transaction\nSELECT pg_sleep(0.6);");
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    if (status != PGDBM_OK)
        fail_msg("%s", scene->err.message);
}

/* An allocator whose allocation number `countdown` of this thread fails, once. */
static _Thread_local long countdown;

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    return countdown > 0 && --countdown == 0 ? NULL : realloc(memory, bytes);
}

static void release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

/* A schema for each attempt, so that its statements are new to the pool each time. */
static void run_with_every_failing_allocation_can_be_repeated(void **state)
{
    struct scene *scene = *state;
    const pgdbm_allocator failing = {reallocate, release, NULL};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (id int);");
    folder_write(&scene->folder, "002_b.sql", "-- pgdbm:no-transaction\nCREATE TABLE IF NOT EXISTS {{tables.b}} ();");
    assert_int_equal(pgdbm_allocator_set(&failing, NULL), PGDBM_OK);
    pgdbm_status status = PGDBM_OK;
    long failures = 0;
    for (bool reached = true; reached && (status == PGDBM_OK || status == PGDBM_ERR_NOMEM);) {
        char text[128];
        pgdbm_db *db = NULL;
        snprintf(text, sizeof text, "app_%ld", ++failures);
        assert_int_equal(pgdbm_attach(scene->pool, text, &db, &scene->err), PGDBM_OK);
        countdown = failures;
        status = scene_migrate(scene, db);
        reached = countdown == 0;
        countdown = 0;
        pgdbm_error err = scene->err;
        if (status != PGDBM_OK && scene_migrate(scene, db) != PGDBM_OK)
            fail_msg("after failure %ld (%s): %s", failures, err.message, scene->err.message);
        pgdbm_close(db);
        snprintf(text, sizeof text, "SELECT count(*) FROM app_%ld.schema_migrations", failures);
        scene_expect_number(scene, text, 2);
        scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
        scene->err = err;
    }
    assert_int_equal(pgdbm_allocator_set(NULL, NULL), PGDBM_OK);
    if (status != PGDBM_OK)
        fail_msg("failure %ld: %s %s", failures, pgdbm_status_name(status), scene->err.message);
    assert_in_range(failures, 50, 10000);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(history_table_is_the_one_of_the_python_pgdbm),
        SCENE(files_are_applied_once_in_order_of_numbers),
        SCENE(report_says_what_was_done),
        SCENE(status_looks_without_touching),
        SCENE(dry_run_writes_nothing_and_waits_for_nobody),
        SCENE(failing_file_leaves_nothing_and_the_next_run_resumes),
        SCENE(file_that_cannot_run_stops_the_run_before_its_first_statement),
        SCENE(changed_file_is_an_error_with_both_checksums),
        SCENE(history_of_the_python_pgdbm_is_continued),
        SCENE(everything_applied_costs_one_statement_and_no_rights),
        SCENE(existing_schema_needs_no_right_to_create_schemas),
        SCENE(what_a_file_sets_does_not_reach_the_next_file),
        SCENE(manager_without_a_schema_migrates_public),
        SCENE(reserved_words_and_capitals_are_fine_as_schema_and_table),
        SCENE(embedded_migrations_run_like_files),
        SCENE(wrong_calls_are_refused_before_anything_is_sent),
        SCENE(transaction_and_pinned_session_are_refused_as_manager),
        SCENE(slow_migration_outlives_the_time_outs_of_the_application),
        SCENE(run_with_every_failing_allocation_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
