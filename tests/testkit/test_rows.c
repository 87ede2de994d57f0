/* SPDX-License-Identifier: MIT */
/* Rows beside a table as text: how it is read, what counts, and what a person is shown. */
#include "db/stage.h"

#include <pgdbm/testkit.h>
#include <stdio.h>

static void make_users(pgdbm_db *db)
{
    pgdbm_error err;
    stage_run(db, "CREATE SCHEMA IF NOT EXISTS app");
    stage_run(db, "CREATE TABLE {{tables.users}} (id int PRIMARY KEY, email text, age int)");
    assert_ok(pgdbm_execute(db,
                            "INSERT INTO {{tables.users}} VALUES (1, 'alice@example.com', 30), (2, 'bob@example.com', "
                            "NULL), (3, '', 7)",
                            pgdbm_no_args, NULL, &err));
}

static int set_up(void **state)
{
    stage_setup(state);
    struct stage *stage = *state;
    stage_open(stage, (pgdbm_config){.max_connections = 2, .schema = "app"});
    make_users(stage->db);
    return 0;
}

static void expect_rows(pgdbm_db *db, const char *sql_or_table, const char *text)
{
    pgdbm_error err;
    assert_ok(pgdbm_rows_check(db, sql_or_table, text, &err));
}

static pgdbm_error differs(pgdbm_db *db, const char *sql_or_table, const char *text)
{
    pgdbm_error err;
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_rows_check(db, sql_or_table, text, &err));
    assert_int_equal(err.status, PGDBM_ERR_TESTDB);
    return err;
}

static void a_table_is_what_the_text_says(void **state)
{
    struct stage *stage = *state;
    expect_rows(stage->db, "users",
                " id | email             | age  \n"
                "----+-------------------+------\n"
                "  1 | alice@example.com | 30   \n"
                "  2 | bob@example.com   | NULL \n"
                "  3 |                   | 7    \n"
                "(3 rows)\n");
    expect_rows(stage->db, "app.users", "id\n1\n2\n3");
    expect_rows(stage->db, "users", "| age  | id |\n|------|----|\n| 30 | 1 |\n| NULL | 2 |\n| 7 | 3 |\n");
    expect_rows(stage->db, "users",
                "\n\n id | email \r\n 3 | ''\r\n 2 | 'bob@example.com' \n\n 1 | alice@example.com\n\n");
    expect_rows(stage->db, "SELECT * FROM {{tables.users}} WHERE false", "id | email");
}

static void a_transaction_sees_its_own_rows(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *tx = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    stage_run(tx, "DELETE FROM {{tables.users}} WHERE id > 1");
    expect_rows(tx, "users", "id\n1");
    assert_ok(pgdbm_rows_check_count(tx, "users", 1, &err));
    assert_ok(pgdbm_rollback(tx, &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "users", 3, &err));
}

static void what_would_be_misread_stands_in_quotes(void **state)
{
    struct stage *stage = *state;
    expect_rows(
        stage->db,
        "SELECT * FROM (VALUES ('NULL', NULL), (' a ', 'b|c'), ('it''s', '''x'''), (E'two\\nlines', '')) v(p, q)",
        "p | q\n"
        "'NULL' | NULL\n"
        "' a ' | 'b|c'\n"
        "it's | '''x'''\n"
        "'two\nlines' | ''\n");
}

static void values_are_written_as_the_server_prints_them(void **state)
{
    struct stage *stage = *state;
    expect_rows(
        stage->db,
        "SELECT true AS b, 1.50::numeric AS n, '2026-02-03 04:05:06+02'::timestamptz AS t, '{1,NULL,3}'::int[] AS "
        "a, '\\x00ff'::bytea AS y, '{\"k\": 1}'::jsonb AS j, ''::bytea AS e",
        "b | n | t | a | y | j | e\n"
        "t | 1.50 | 2026-02-03 02:05:06+00 | {1,NULL,3} | \\x00ff | {\"k\": 1} | \\x\n");
}

static void missing_and_unexpected_rows_are_shown_side_by_side(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err = differs(stage->db, "users",
                              "id | email | age\n"
                              "1 | alice@example.com | 30\n"
                              "2 | bob@example.com | 31\n"
                              "4 | dora@example.com | 9\n");
    assert_string_equal(err.message, "\"users\" has other rows than expected: 2 missing, 2 unexpected, 1 as expected");
    assert_string_equal(err.detail, "  id | email            | age\n"
                                    "- 2  | bob@example.com  | 31\n"
                                    "+ 2  | bob@example.com  | NULL\n"
                                    "- 4  | dora@example.com | 9\n"
                                    "+ 3  | ''               | 7");
    assert_contains(err.hint, "-");
}

static void each_row_counts_as_often_as_it_occurs(void **state)
{
    struct stage *stage = *state;
    expect_rows(stage->db, "VALUES (1), (2), (1)", "column1\n1\n1\n2");
    pgdbm_error err = differs(stage->db, "VALUES (1), (2), (1)", "column1\n1\n2\n2");
    assert_contains(err.message, "the query has other rows than expected: 1 missing, 1 unexpected, 2 as expected");
    assert_string_equal(err.detail, "  column1\n- 2\n+ 1");
    assert_string_equal(err.statement, "VALUES (1), (2), (1)");
}

static void the_order_counts_where_the_statement_has_one(void **state)
{
    struct stage *stage = *state;
    expect_rows(stage->db, "SELECT id FROM {{tables.users}} ORDER BY id DESC", "id\n3\n2\n1");
    expect_rows(stage->db, "SELECT id FROM (SELECT id FROM {{tables.users}} ORDER BY id) q", "id\n3\n2\n1");
    pgdbm_error err = differs(stage->db, "SELECT id FROM {{tables.users}} ORDER BY id", "id\n1\n3\n2");
    assert_string_equal(err.message, "the query gave the expected rows in another order");
    err = differs(stage->db, "SELECT n FROM generate_series(1, 5) n ORDER BY n", "n\n0\n1\n2\n4\n5");
    assert_contains(err.message, "3 missing, 3 unexpected, 2 as expected");
    err = differs(stage->db, "SELECT n FROM generate_series(1, 5) n ORDER BY n", "n\n1\n2\n4\n5");
    assert_contains(err.message, "0 missing, 1 unexpected, 4 as expected");
    assert_string_equal(err.detail, "  n\n+ 3");
    err = differs(stage->db, "SELECT v FROM (VALUES ('a'), ('b'), ('b')) q(v) ORDER BY v", "v\na\na\nb");
    assert_contains(err.message, "1 missing, 1 unexpected, 2 as expected");
}

static void a_wide_row_is_shown_by_what_tells_it_apart(void **state)
{
    struct stage *stage = *state;
    static const char sql[] = "SELECT 1 AS id, repeat('a', 30) AS a, repeat('b', 30) AS b, repeat('c', 30) AS c, "
                              "repeat('d', 30) AS d, 5 AS changed";
    pgdbm_error err = differs(stage->db, sql,
                              "id | a | b | c | d | changed\n"
                              "1 | aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb | "
                              "cccccccccccccccccccccccccccccc | dddddddddddddddddddddddddddddd | 6\n");
    assert_string_equal(err.detail, "  id | changed | \xE2\x80\xA6\n"
                                    "- 1  | 6       | \xE2\x80\xA6\n"
                                    "+ 1  | 5       | \xE2\x80\xA6");
}

static void long_values_are_shown_where_they_differ(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err =
        differs(stage->db, "SELECT 1 AS id, repeat('a', 100) || 'x' AS v",
                "id | v\n1 | "
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaay\n");
    assert_string_equal(err.detail, "  id | v\n"
                                    "- 1  | \xE2\x80\xA6"
                                    "aaaaaaaay\n"
                                    "+ 1  | \xE2\x80\xA6"
                                    "aaaaaaaax");
}

static void many_differences_are_counted_and_a_few_shown(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err = differs(stage->db, "SELECT n, repeat('x', 20) AS x FROM generate_series(1, 1000) n", "n | x\n");
    assert_contains(err.message, "0 missing, 1000 unexpected");
    assert_contains(err.detail, "+ 1 ");
    assert_contains(err.detail, " more");
    assert_true(strlen(err.detail) < sizeof err.detail - 1);
}

static void a_column_that_is_not_there_is_named_with_the_nearest(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err = differs(stage->db, "users", "id | emial\n");
    assert_string_equal(err.message, "\"users\" has no column \"emial\"");
    assert_string_equal(err.hint, "did you mean \"email\"?");
}

static void columns_of_the_same_name_are_compared_in_turn(void **state)
{
    struct stage *stage = *state;
    expect_rows(stage->db, "SELECT 1 AS a, 2 AS b, 3 AS a", "a | a | b\n1 | 3 | 2");
    pgdbm_error err = differs(stage->db, "SELECT 1 AS a, 2 AS a", "a | a\n1 | 1\n");
    assert_contains(err.detail, "+ 1 | 2");
    err = differs(stage->db, "SELECT 1 AS a", "a | a\n1 | 1\n");
    assert_contains(err.message, "no column \"a\"");
}

static void a_text_that_cannot_be_read_is_refused_with_its_line(void **state)
{
    struct stage *stage = *state;
    assert_contains(differs(stage->db, "users", " \n\n").message, "line 3: it is empty");
    assert_contains(differs(stage->db, "users", "id | email\n1").message,
                    "line 2: 1 cells, where the line of names has 2");
    assert_contains(differs(stage->db, "users", "id | email\n1 | 'a\n\n").message, "line 2: a quote is not closed");
    assert_contains(differs(stage->db, "users", "id | email\n1 | 'a' b").message,
                    "line 2: something stands behind a closing quote");
    assert_contains(differs(stage->db, "users", "id | \n").message, "line 1: a column has no name");
    assert_contains(differs(stage->db, "users", "| id |\n1 |\n").message, "line 2: it does not begin with |");
    assert_contains(differs(stage->db, "users", "| id |\n| 1\n").message, "line 2: it does not end with |");
}

static void errors_of_the_server_come_as_they_are(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t count;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_rows_check(stage->db, "nowhere", "id", &err));
    assert_string_equal(err.sqlstate, "42P01");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_rows_count(stage->db, "SELEC 1", &count, &err));
}

static void rows_are_written_as_they_are_read(void **state)
{
    struct stage *stage = *state;
    char *text = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_rows_text(stage->db, "SELECT * FROM {{tables.users}} ORDER BY id", &text, &err));
    assert_string_equal(text, " id | email             | age\n"
                              "----+-------------------+------\n"
                              " 1  | alice@example.com | 30\n"
                              " 2  | bob@example.com   | NULL\n"
                              " 3  | ''                | 7\n");
    expect_rows(stage->db, "users", text);
    pgdbm_free(text);
    static const char sql[] = "VALUES ('---'), ('(1 row)'), (NULL), ('NULL'), (''), (E'a\\n|'), ('''')";
    assert_ok(pgdbm_rows_text(stage->db, sql, &text, &err));
    expect_rows(stage->db, sql, text);
    pgdbm_free(text);
}

static void rows_are_counted(void **state)
{
    struct stage *stage = *state;
    int64_t count = 0;
    pgdbm_error err;
    assert_ok(pgdbm_rows_count(stage->db, "users", &count, &err));
    assert_int_equal(count, 3);
    assert_ok(pgdbm_rows_count(stage->db, "SELECT id FROM {{tables.users}} WHERE age > 10; -- adults", &count, &err));
    assert_int_equal(count, 1);
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_rows_check_count(stage->db, "users", 4, &err));
    assert_string_equal(err.message, "\"users\" has 3 rows, 4 expected");
}

static void truncating_begins_anew(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t id = 0;
    stage_run(stage->db,
              "CREATE TABLE {{tables.posts}} (id serial PRIMARY KEY, user_id int REFERENCES {{tables.users}})");
    stage_run(stage->db, "CREATE TABLE {{tables.tags}} (name text)");
    stage_run(stage->db, "INSERT INTO {{tables.tags}} VALUES ('a')");
    assert_ok(
        pgdbm_insert_id(stage->db, "INSERT INTO {{tables.posts}} (user_id) VALUES (1)", pgdbm_no_args, &id, &err));
    assert_ok(pgdbm_rows_truncate(stage->db, "users , app.tags", &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "users", 0, &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "posts", 0, &err));
    assert_ok(pgdbm_rows_check_count(stage->db, "tags", 0, &err));
    assert_ok(pgdbm_rows_truncate(stage->db, "posts", &err));
    assert_ok(pgdbm_insert_id(stage->db, "INSERT INTO {{tables.posts}} DEFAULT VALUES", pgdbm_no_args, &id, &err));
    assert_int_equal(id, 1);
    static const char *const bad[] = {"", "users,", "users; DROP TABLE users", "a.b.c", "}} {{tables.users"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(PGDBM_ERR_SCHEMA, pgdbm_rows_truncate(stage->db, bad[i], &err));
        assert_contains(err.message, "is not the name of a table");
    }
}

static void null_is_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    char *text;
    int64_t count;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_check(NULL, "users", "id", &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_check(stage->db, NULL, "id", &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_check(stage->db, "users", NULL, &err));
    assert_contains(err.message, "expected");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_text(NULL, "users", &text, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_text(stage->db, NULL, &text, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_text(stage->db, "users", NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_count(NULL, "users", &count, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_count(stage->db, NULL, &count, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_count(stage->db, "users", NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_check_count(NULL, "users", 1, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_check_count(stage->db, NULL, 1, NULL));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_truncate(NULL, "users", &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_rows_truncate(stage->db, NULL, &err));
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_rows_check(stage->db, "users", "id\n1", NULL));
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_up, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(a_table_is_what_the_text_says),
        STAGED(a_transaction_sees_its_own_rows),
        STAGED(what_would_be_misread_stands_in_quotes),
        STAGED(values_are_written_as_the_server_prints_them),
        STAGED(missing_and_unexpected_rows_are_shown_side_by_side),
        STAGED(each_row_counts_as_often_as_it_occurs),
        STAGED(the_order_counts_where_the_statement_has_one),
        STAGED(a_wide_row_is_shown_by_what_tells_it_apart),
        STAGED(long_values_are_shown_where_they_differ),
        STAGED(many_differences_are_counted_and_a_few_shown),
        STAGED(a_column_that_is_not_there_is_named_with_the_nearest),
        STAGED(columns_of_the_same_name_are_compared_in_turn),
        STAGED(a_text_that_cannot_be_read_is_refused_with_its_line),
        STAGED(errors_of_the_server_come_as_they_are),
        STAGED(rows_are_written_as_they_are_read),
        STAGED(rows_are_counted),
        STAGED(truncating_begins_anew),
        STAGED(null_is_refused),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
