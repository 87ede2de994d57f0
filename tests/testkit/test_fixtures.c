/* SPDX-License-Identifier: MIT */
/* Fixtures from SQL and JSON: what is loaded, and what is said of a file that cannot be. */
#include "db/stage.h"

#include <dirent.h>
#include <pgdbm/testkit.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[TEST_PATH_BYTES]; /* the test's, with whatever it writes */

static int set_up(void **state)
{
    stage_setup(state);
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .schema = "app"});
    stage_run(stage->db, "CREATE SCHEMA app");
    stage_run(stage->db,
              "CREATE TABLE {{tables.users}} (id serial PRIMARY KEY, email text NOT NULL, age int CHECK (age < "
              "200), tags text[], details jsonb, U&\"Odd \"\"\\007B\\007Bname\" text)");
    stage_run(stage->db,
              "CREATE TABLE {{tables.posts}} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id int "
              "NOT NULL REFERENCES {{tables.users}}, title text DEFAULT 'untitled')");
    test_directory_make("data", folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    return stage_teardown(state);
}

/* The path of a file in the folder, with this text. Static. */
static const char *file(const char *name, const char *text)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    fclose(out);
    return path;
}

static void load(pgdbm_db *db, const char *path)
{
    pgdbm_error err;
    assert_ok(pgdbm_fixture_load(db, path, &err));
}

static void expect_rows(pgdbm_db *db, const char *sql_or_table, const char *text)
{
    pgdbm_error err;
    assert_ok(pgdbm_rows_check(db, sql_or_table, text, &err));
}

/* Loading fails, with a message that begins with the file's place. */
static pgdbm_error fails(pgdbm_db *db, const char *path, pgdbm_status status, const char *message)
{
    pgdbm_error err = {0};
    char expected[600];
    assert_fails(status, pgdbm_fixture_load(db, path, &err));
    snprintf(expected, sizeof expected, "%s%s", path, message);
    if (strncmp(err.message, expected, strlen(expected)) != 0)
        fail_msg("expected: %s\n    came: %s", expected, err.message);
    assert_int_equal(err.status, status);
    assert_ok(pgdbm_rows_check_count(db, "users", 0, &err)); /* nothing remains, and the handle is usable */
    return err;
}

static void sql_is_loaded_with_templates_expanded(void **state)
{
    struct stage *stage = *state;
    load(stage->db, file("users.sql", "-- two; users\nINSERT INTO {{tables.users}} (email) VALUES ('a;b'), ('c');\n\n"
                                      "INSERT INTO {{tables.posts}} (user_id, title) SELECT id, '{{schema}}' FROM "
                                      "{{tables.users}} /* ; */ ;\n"));
    expect_rows(stage->db, "posts", "id | user_id | title\n1 | 1 | \"app\"\n2 | 2 | \"app\"");
    load(stage->db, file("empty.sql", "-- nothing\n"));
}

static void an_error_in_sql_has_its_file_and_line_and_undoes_the_file(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err = fails(stage->db,
                            file("bad.sql", "INSERT INTO {{tables.users}} (email) VALUES ('a');\n\n"
                                            "INSERT INTO {{tables.users}} (email, age)\n  VALUES ('b', 999);\n"),
                            PGDBM_ERR_QUERY, ":3: new row for relation \"users\" violates check constraint");
    assert_string_equal(err.sqlstate, "23514");
    assert_string_equal(err.constraint, "users_age_check");
    fails(stage->db, file("bad.sql", "SELECT 1;\nINSERT INTO {{tables.users}} (email)\n  VALUES (nonsense);"),
          PGDBM_ERR_QUERY, ":3: column \"nonsense\" does not exist");
    fails(stage->db, file("bad.sql", "SELECT 1;\n\nINSERT INTO {{tabels.users}} VALUES (1);"), PGDBM_ERR_SCHEMA,
          ":3: ");
    fails(stage->db, file("bad.sql", "SELECT 1;\nSELECT 'open;\n"), PGDBM_ERR_TESTDB, ":2: ");
    fails(stage->db, file("bad.sql", "SELECT 1;\nCOMMIT;"), PGDBM_ERR_TRANSACTION, ":2: ");
    fails(stage->db, file("bad.sql", "\nCOPY {{tables.users}} FROM stdin;\n1\n\\.\n"), PGDBM_ERR_TRANSACTION, ":2: ");
}

static void json_becomes_rows_of_the_columns_types(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TYPE app.pair AS (a int, b text)");
    stage_run(stage->db,
              "CREATE TABLE {{tables.kinds}} (b bool, n numeric, i int8, d date, t timestamptz, j json, k jsonb, "
              "a int[][], s text, y bytea, v varchar(3), p app.pair, g int GENERATED ALWAYS AS (1) STORED)");
    load(
        stage->db,
        file("kinds.json",
             "\xEF\xBB\xBF{\"kinds\": [\n"
             "{\"b\": true, \"n\": 12345678901234567890.1234567890, \"i\": 9223372036854775807, \"d\": \"2026-02-03\", "
             "\"t\": \"2026-02-03 04:05:06Z\", \"j\": {\"z\": [1,  2]}, \"k\": [null], \"a\": [[1, 2], [3, null]], "
             "\"s\": \"a \\\"quote\\\" \\u00e4\\n|\", \"y\": \"\\\\x00ff\", \"v\": 123, \"p\": {\"a\": 1, \"b\": "
             "\"x\"}},\n"
             "{\"b\": null, \"s\": null, \"a\": \"{5}\"}, {\"s\": 1.50}, {\"s\": {\"o\": 1}}, {}\n"
             "]}\n"));
    expect_rows(stage->db, "kinds",
                "b | n | i | d | t | j | k | a | s | y | v | p\n"
                "t | 12345678901234567890.1234567890 | 9223372036854775807 | 2026-02-03 | 2026-02-03 04:05:06+00 | "
                "{\"z\": [1,  2]} | [null] | {{1,2},{3,NULL}} | 'a \"quote\" \xC3\xA4\n|' | \\x00ff | 123 | (1,x)\n"
                "NULL | NULL | NULL | NULL | NULL | NULL | NULL | {5} | NULL | NULL | NULL | NULL\n"
                "NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | 1.50 | NULL | NULL | NULL\n"
                "NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | {\"o\": 1} | NULL | NULL | NULL\n"
                "NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL\n");
}

static void tables_are_filled_in_the_order_of_the_file_and_missing_columns_have_their_defaults(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE SCHEMA other");
    stage_run(stage->db, "CREATE TABLE other.notes (n int)");
    load(stage->db, file("all.json", "{\"users\": [{\"id\": 7, \"email\": \"a\", \"Odd \\\"{{name\": \"x\"}],\n"
                                     " \"posts\": [{\"user_id\": 7}, {\"user_id\": 7, \"title\": null}],\n"
                                     " \"other.notes\": [{\"n\": 1}], \"users\": [{\"email\": \"b\", \"id\": 8}]}"));
    expect_rows(stage->db, "users", "id | email | 'Odd \"{{name'\n7 | a | x\n8 | b | NULL");
    expect_rows(stage->db, "posts", "user_id | title\n7 | untitled\n7 | NULL");
    expect_rows(stage->db, "other.notes", "n\n1");
}

static void sequences_go_on_behind_what_was_loaded(void **state)
{
    struct stage *stage = *state;
    int64_t id = 0;
    pgdbm_error err;
    stage_run(stage->db, "CREATE SEQUENCE app.down INCREMENT -1 MAXVALUE 100 MINVALUE -100 START 100");
    stage_run(stage->db, "CREATE TABLE {{tables.falling}} (id int DEFAULT nextval('app.down'), \"Big\" serial)");
    stage_run(stage->db, "ALTER SEQUENCE app.down OWNED BY app.falling.id");
    load(stage->db,
         file("all.json", "{\"users\": [{\"id\": 41, \"email\": \"a\"}, {\"id\": 5, \"email\": \"b\"}],"
                          "\"posts\": [{\"id\": 9, \"user_id\": 5}], \"falling\": [{\"id\": 50, \"Big\": 1}]}"));
    assert_ok(
        pgdbm_insert_id(stage->db, "INSERT INTO {{tables.users}} (email) VALUES ('c')", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 42);
    assert_ok(
        pgdbm_insert_id(stage->db, "INSERT INTO {{tables.posts}} (user_id) VALUES (42)", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 10);
    assert_ok(pgdbm_insert_id(stage->db, "INSERT INTO {{tables.falling}} DEFAULT VALUES", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 49);
    stage_expect_number(stage->db, "SELECT max(\"Big\")::int8 FROM {{tables.falling}}", 2);
    /* Never back. */
    load(stage->db, file("more.json", "{\"users\": [{\"id\": 1, \"email\": \"d\"}]}"));
    assert_ok(
        pgdbm_insert_id(stage->db, "INSERT INTO {{tables.users}} (email) VALUES ('e')", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 43);
}

static void a_row_that_is_refused_is_named_with_its_column(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err =
        fails(stage->db,
              file("users.json", "{\"users\": [\n  {\"email\": \"a\", \"age\": 1},\n  {\"email\": \"b\",\n   \"age\": "
                                 "\"old\"}\n]}"),
              PGDBM_ERR_QUERY, ":3: row 2 of \"users\", column \"age\": invalid input syntax for type integer");
    assert_string_equal(err.sqlstate, "22P02");
    err = fails(stage->db, file("users.json", "{\"users\": [{\"email\": \"a\"},\n{\"email\": null}]}"), PGDBM_ERR_QUERY,
                ":2: row 2 of \"users\": null value in column \"email\"");
    err = fails(stage->db,
                file("users.json", "{\"users\": [{\"email\": \"a\", \"id\": 1},\n{\"id\": 1, \"email\": \"b\"}]}"),
                PGDBM_ERR_QUERY, ":2: row 2 of \"users\": duplicate key value");
    assert_string_equal(err.constraint, "users_pkey");
    fails(stage->db, file("users.json", "{\"users\": [{\"email\": \"a\"}],\n\"posts\": [{}]}"), PGDBM_ERR_QUERY,
          ":2: row 1 of \"posts\": null value in column \"user_id\"");
    fails(stage->db, file("users.json", "{\"users\": [{\"email\": \"a\\u0000\"}]}"), PGDBM_ERR_QUERY,
          ":1: row 1 of \"users\", column \"email\": ");
}

static void a_constraint_that_is_checked_late_names_the_file(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db,
              "ALTER TABLE {{tables.posts}} ALTER CONSTRAINT posts_user_id_fkey DEFERRABLE INITIALLY DEFERRED");
    load(stage->db, file("late.json", "{\"posts\": [{\"user_id\": 1}], \"users\": [{\"id\": 1, \"email\": \"a\"}]}"));
    stage_run(stage->db, "TRUNCATE {{tables.users}}, {{tables.posts}}");
    fails(stage->db, file("late.json", "{\"posts\": [{\"user_id\": 1}]}"), PGDBM_ERR_QUERY,
          ": at the commit: insert or update on table \"posts\" violates foreign key");
}

static void what_is_not_there_is_named_with_the_nearest_before_anything_is_inserted(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err = fails(stage->db, file("users.json", "{\"users\": [{\"email\": \"a\"}],\n\"post\": []}"),
                            PGDBM_ERR_TESTDB, ":2: there is no table \"post\"");
    assert_string_equal(err.hint, "did you mean \"posts\"?");
    err = fails(stage->db, file("users.json", "{\"users\": [{\"email\": \"a\"},\n{\"emial\": 1}]}"), PGDBM_ERR_TESTDB,
                ":2: row 2 of \"users\": there is no column \"emial\"");
    assert_string_equal(err.hint, "did you mean \"email\"?");
    fails(stage->db, file("users.json", "{\"nowhere.users\": []}"), PGDBM_ERR_TESTDB,
          ":1: there is no table \"nowhere.users\"");
    fails(stage->db, file("users.json", "{\"users}} \": []}"), PGDBM_ERR_TESTDB,
          ":1: \"users}} \" is not the name of a table");
    stage_run(stage->db, "CREATE TABLE {{tables.sums}} (a int, b int GENERATED ALWAYS AS (a + 1) STORED)");
    fails(stage->db, file("users.json", "{\"sums\": [{\"b\": 1}]}"), PGDBM_ERR_TESTDB,
          ":1: row 1 of \"sums\": column \"b\" is computed from others");
}

static void text_that_is_no_fixture_is_refused_with_its_line(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", ":1: a fixture is an object"},
        {"[1]", ":1: a fixture is an object"},
        {"{\n\"users\": {}}", ":2: the table's rows, which are an array, are expected (in or behind table \"users\")"},
        {"{\"users\": [\n1]}", ":2: a row, which is an object, is expected"},
        {"{\"users\": [\n{\"a\": 1 \"b\": 2}]}", ":2: a comma or } is expected behind a value"},
        {"{\"users\": [{\"a\": 1},\n]}", ":2: a row, which is an object, is expected"},
        {"{\"users\": [{\"a\": 1,\n}]}", ":2: a name in double quotes is expected"},
        {"{\"users\": [{\"a\": 01}]}", ":1: a comma or } is expected behind a value"},
        {"{\"users\": [{\"a\": 1.}]}", ":1: a digit is missing"},
        {"{\"users\": [{\"a\": nul}]}", ":1: a value is expected"},
        {"{\"users\": [{\"a\": \"x\n\"}]}", ":1: a string has a line's end"},
        {"{\"users\": [{\"a\": \"\\q\"}]}", ":1: \\ is followed by none of"},
        {"{\"users\": [{\"a\": \"\\ud800\"}]}", ":1: the first half of a surrogate pair"},
        {"{\"users\": [{\"a\": 1}, {\"a\": 1,\n\"\\u0061\": 2}]}", ":2: a column is named twice in a row"},
        {"{\"users\": []}\nx", ":2: something stands behind the end"},
        {"{\"users\": [", ":1: a row, which is an object, is expected"},
        {"{\"users\": [{\"a\": [1, {\"b\": [}]}]}", ":1: a value is expected"},
        {"{'users': []}", ":1: a name in double quotes is expected"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        fails(stage->db, file("bad.json", bad[i].text), PGDBM_ERR_TESTDB, bad[i].message);
    char *deep = calloc(1, 2000);
    strcpy(deep, "{\"users\": [{\"details\": ");
    memset(deep + strlen(deep), '[', 1000);
    fails(stage->db, file("bad.json", deep), PGDBM_ERR_TESTDB, ":1: arrays and objects lie too deep");
    free(deep);
}

static void a_folder_is_loaded_in_the_order_of_names_and_as_one(void **state)
{
    struct stage *stage = *state;
    char path[128];
    pgdbm_error err;
    file("2_posts.json", "{\"posts\": [{\"user_id\": 1}]}");
    file("10_more.sql", "INSERT INTO {{tables.users}} (id, email) VALUES (1, 'a')");
    file("README.md", "not a fixture");
    file(".hidden.sql", "nonsense");
    snprintf(path, sizeof path, "%s/30_folder.sql", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    load(stage->db, folder);
    expect_rows(stage->db, "posts", "user_id\n1");
    stage_run(stage->db, "TRUNCATE {{tables.users}}, {{tables.posts}}");
    snprintf(path, sizeof path, "%s/", folder);
    file("3_bad.json", "{\"posts\": [{\"user_id\": 1}, {\"user_id\": 2}]}");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fixture_load(stage->db, path, &err));
    assert_contains(err.message, "/3_bad.json:1: row 2 of \"posts\": insert or update on table");
    assert_ok(pgdbm_rows_check_count(stage->db, "users", 0, &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "posts", 0, &err));
}

static void a_transaction_keeps_or_loses_what_was_loaded_in_it(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *tx = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    load(tx, file("users.json", "{\"users\": [{\"email\": \"a\"}]}"));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fixture_load(tx, file("bad.json", "{\"users\": [{\"age\": 1}]}"), &err));
    assert_ok(pgdbm_rows_check_count(tx, "users", 1, &err));
    assert_ok(pgdbm_rollback(tx, &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "users", 0, &err));
}

static void a_test_that_is_rolled_back_loses_what_was_loaded_and_counts_no_steps_of_its_own(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *tx = NULL, *enclosed = NULL;
    pgdbm_capture *capture = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    assert_ok(pgdbm_enclose(tx, &err));
    assert_ok(pgdbm_attach(stage->pool, "app", &enclosed, &err));
    load(enclosed, file("users.json", "{\"users\": [{\"email\": \"a\"}]}"));
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fixture_load(enclosed, file("bad.json", "{\"users\": [{\"age\": 1}]}"), &err));
    assert_contains(err.message, ":1: row 1 of \"users\": null value");
    assert_ok(pgdbm_capture_begin(enclosed, &capture, &err));
    assert_ok(pgdbm_rows_check_count(enclosed, "users", 1, &err));
    assert_ok(pgdbm_capture_check_at_most(capture, 1, &err));
    pgdbm_capture_end(capture);
    pgdbm_close(enclosed);
    assert_ok(pgdbm_rollback(tx, &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "users", 0, &err));
}

static void a_manager_without_a_schema_uses_the_search_path(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *plain = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_attach(stage->pool, NULL, &plain, &err));
    stage_run(plain, "CREATE TABLE things (n int)");
    load(plain, file("things.json", "{\"things\": [{\"n\": 1}], \"app.users\": [{\"email\": \"a\"}]}"));
    expect_rows(plain, "things", "n\n1");
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_fixture_load(plain, file("things.json", "{\"thing\": []}"), &err));
    assert_string_equal(err.hint, "did you mean \"things\"?");
    pgdbm_close(plain);
}

static void files_that_cannot_be_read_are_named(void **state)
{
    struct stage *stage = *state;
    char path[128];
    pgdbm_error err;
    snprintf(path, sizeof path, "%s/none.sql", folder);
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_fixture_load(stage->db, path, &err));
    assert_contains(err.message, "none.sql: No such file");
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_fixture_load(stage->db, folder, &err));
    assert_contains(err.message, "the folder has no .sql and no .json file");
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_fixture_load(stage->db, file("users.csv", "1,2"), &err));
    assert_contains(err.message, "neither a .sql nor a .json file");
    snprintf(path, sizeof path, "%s/fifo.sql", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_fixture_load(stage->db, path, &err));
    FILE *out = fopen(file("zero.sql", ""), "w");
    fwrite("SELECT 1;\0SELECT 2", 1, 18, out);
    fclose(out);
    snprintf(path, sizeof path, "%s/zero.sql", folder);
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_fixture_load(stage->db, path, &err));
    assert_contains(err.message, "a byte 0");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fixture_load(NULL, path, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_fixture_load(stage->db, NULL, NULL));
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(sql_is_loaded_with_templates_expanded),
        STAGED(an_error_in_sql_has_its_file_and_line_and_undoes_the_file),
        STAGED(json_becomes_rows_of_the_columns_types),
        STAGED(tables_are_filled_in_the_order_of_the_file_and_missing_columns_have_their_defaults),
        STAGED(sequences_go_on_behind_what_was_loaded),
        STAGED(a_row_that_is_refused_is_named_with_its_column),
        STAGED(a_constraint_that_is_checked_late_names_the_file),
        STAGED(what_is_not_there_is_named_with_the_nearest_before_anything_is_inserted),
        STAGED(text_that_is_no_fixture_is_refused_with_its_line),
        STAGED(a_folder_is_loaded_in_the_order_of_names_and_as_one),
        STAGED(a_transaction_keeps_or_loses_what_was_loaded_in_it),
        STAGED(a_test_that_is_rolled_back_loses_what_was_loaded_and_counts_no_steps_of_its_own),
        STAGED(a_manager_without_a_schema_uses_the_search_path),
        STAGED(files_that_cannot_be_read_are_named),
    };
    return cmocka_run_group_tests_name("fixtures", tests, NULL, NULL);
}
