/* SPDX-License-Identifier: MIT */
/* What a pending file becomes before anything is sent. */
#include "base/alloc.h"
#include "base/error.h"
#include "migrate/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pgdbm_status prepare(struct pgdbm__script *script, const char *text, pgdbm_error *err)
{
    *script = (struct pgdbm__script){0};
    *err = (pgdbm_error){0};
    struct pgdbm__script_source source = {.filename = "001_a.sql", .text = text, .bytes = strlen(text)};
    return pgdbm__script_prepare(script, &source, "app", err);
}

static void assert_refused(const char *text, pgdbm_status expected, const char *message)
{
    struct pgdbm__script script;
    pgdbm_error err;
    pgdbm_status status = prepare(&script, text, &err);
    pgdbm__script_free(&script);
    if (status != expected || strstr(err.message, message) == NULL || strstr(err.message, "001_a.sql") == NULL ||
        err.hint[0] == '\0')
        fail_msg("%s\nexpected %s, 001_a.sql, \"%s\" and a hint\ngot %s: %s (hint: %s)", text,
                 pgdbm_status_name(expected), message, pgdbm_status_name(status), err.message, err.hint);
}

static void file_becomes_statements_with_their_lines(void **state)
{
    (void)state;
    struct pgdbm__script script;
    pgdbm_error err;
    static const char text[] = "\xEF\xBB\xBF-- users\n"
                               "CREATE TABLE {{tables.users}} (id int, note text DEFAULT ';');\n"
                               "\n"
                               "/* begin; */ CREATE FUNCTION {{schema}}.f() RETURNS int LANGUAGE plpgsql AS $$\n"
                               "BEGIN\n  RETURN 1;\nEND $$;\r\n"
                               "COMMENT ON TABLE {{tables.users}} IS 'commit; rollback' ;; -- the end\n"
                               "SELECT 1";
    if (prepare(&script, text, &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    static const struct {
        const char *sql;
        size_t line;
    } expected[] = {
        {"CREATE TABLE \"app\".\"users\" (id int, note text DEFAULT ';')", 2},
        {"CREATE FUNCTION \"app\".f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND $$", 4},
        {"COMMENT ON TABLE \"app\".\"users\" IS 'commit; rollback'", 8},
        {"SELECT 1", 9},
    };
    assert_int_equal(script.n_statements, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(script.statements[i].sql, expected[i].sql);
        assert_int_equal(script.statements[i].bytes, strlen(expected[i].sql));
        assert_int_equal(script.statements[i].line, expected[i].line);
    }
    pgdbm__script_free(&script);
}

static void transaction_control_is_refused(void **state)
{
    (void)state;
    static const char *const statements[] = {"BEGIN",
                                             "begin isolation level serializable",
                                             "START TRANSACTION",
                                             "/* now */ COMMIT",
                                             "END",
                                             "ROLLBACK",
                                             "ROLLBACK TO a",
                                             "ABORT",
                                             "SAVEPOINT a",
                                             "RELEASE a",
                                             "PREPARE TRANSACTION 'x'",
                                             "COMMIT PREPARED 'x'"};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        char text[256];
        snprintf(text, sizeof text, "CREATE TABLE t ();\n\n%s;\nCREATE TABLE u ();", statements[i]);
        assert_refused(text, PGDBM_ERR_MIGRATION, ": a migration must not begin or end transactions");
        snprintf(text, sizeof text, "-- pgdbm:no-transaction\n\n%s;", statements[i]);
        assert_refused(text, PGDBM_ERR_MIGRATION, "line 3, column ");
    }
}

static void names_like_transaction_control_are_not_refused(void **state)
{
    (void)state;
    static const char *const statements[] = {"PREPARE transactions AS SELECT 1", "DO $$ BEGIN COMMIT; END $$",
                                             "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
                                             "SELECT 'BEGIN; COMMIT'", "COMMENT ON TABLE t IS 'commit'"};
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        struct pgdbm__script script;
        pgdbm_error err;
        if (prepare(&script, statements[i], &err) != PGDBM_OK)
            fail_msg("%s: %s", statements[i], err.message);
        assert_int_equal(script.n_statements, 1);
        assert_string_equal(script.statements[0].sql, statements[i]);
        pgdbm__script_free(&script);
    }
}

static void file_without_a_statement_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", " \n\t", ";;", "-- later", "/* nothing */\n-- pgdbm:no-transaction\n", "\xEF\xBB\xBF"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_refused(texts[i], PGDBM_ERR_MIGRATION, "contains no statement");
}

static void what_cannot_run_is_refused_with_its_line(void **state)
{
    (void)state;
    assert_refused("SELECT 1;\nSELECT {{tabels.users}};", PGDBM_ERR_SCHEMA, "line 2");
    assert_refused("SELECT 1;\n\nSELECT '{{schema';", PGDBM_ERR_SCHEMA, "line 3");
    assert_refused("SELECT 1;\nSELECT 'never closed;\n", PGDBM_ERR_MIGRATION, "line 2");
    assert_refused("SELECT 1;\nDO $$ BEGIN END", PGDBM_ERR_MIGRATION, "line 2");
    assert_refused("-- a\n-- pgdbm:no-transation\nSELECT 1;", PGDBM_ERR_MIGRATION,
                   "line 2: \"pgdbm:no-transation\" is no directive");
    assert_refused("SELECT 1;\nCOPY t (a, b) FROM stdin;\n1\t2\n\\.\n", PGDBM_ERR_MIGRATION, "line 2, column 1: COPY");
    assert_refused("\\set x 1\nSELECT 1;", PGDBM_ERR_MIGRATION, "line 1, column 1: a command of psql");
}

static void copy_from_a_file_of_the_server_is_not_refused(void **state)
{
    (void)state;
    struct pgdbm__script script;
    pgdbm_error err;
    assert_int_equal(prepare(&script, "COPY t FROM '/stdin'", &err), PGDBM_OK);
    pgdbm__script_free(&script);
}

static void what_cannot_run_in_a_transaction_needs_the_directive(void **state)
{
    (void)state;
    assert_refused("SELECT 1;\n  CREATE INDEX CONCURRENTLY i ON t (a);", PGDBM_ERR_MIGRATION,
                   "line 2, column 3: CREATE INDEX CONCURRENTLY cannot run in a transaction");
    struct pgdbm__script script;
    pgdbm_error err;
    assert_int_equal(prepare(&script, "SELECT 1; VACUUM", &err), PGDBM_ERR_MIGRATION);
    assert_non_null(strstr(err.hint, "-- pgdbm:no-transaction"));
    assert_string_equal(err.statement, "VACUUM");
    if (prepare(&script,
                "-- pgdbm:no-transaction\n-- pgdbm:lock-timeout 5s\n"
                "CREATE INDEX CONCURRENTLY \"i\" ON {{tables.t}} (a);\nDROP INDEX CONCURRENTLY {{tables.j}};SELECT 1",
                &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    assert_true(script.no_transaction);
    assert_int_equal(script.lock_timeout_ms, 5000);
    assert_int_equal(script.statements[0].kind, PGDBM__STATEMENT_CREATE_INDEX);
    assert_true(script.statements[0].concurrently);
    assert_string_equal(script.statements[0].index_name, "\"i\"");
    assert_string_equal(script.statements[0].table_name, "\"app\".\"t\"");
    assert_string_equal(script.statements[1].index_name, "\"app\".\"j\"");
    assert_null(script.statements[1].table_name);
    assert_false(script.statements[2].concurrently);
    assert_null(script.statements[2].outside);
    struct pgdbm__buffer sql = {0};
    for (size_t i = 0; i < 3; i++)
        pgdbm__script_append_blocking(&script.statements[i], &sql);
    char *blocking = pgdbm__buffer_take(&sql);
    assert_string_equal(blocking, "CREATE INDEX  \"i\" ON \"app\".\"t\" (a)DROP INDEX  \"app\".\"j\"SELECT 1");
    pgdbm__free(blocking);
    pgdbm__script_free(&script);
}

/* The place of what the server would find wrong: of the first `mark` in the statement, as it counts characters. */
static void expect_place(const struct pgdbm__script *script, size_t statement, const char *mark, size_t line,
                         size_t column)
{
    const char *sql = script->statements[statement].sql;
    const char *found = strstr(sql, mark);
    assert_non_null(found);
    int position = 1;
    for (const char *at = sql; at < found; at++)
        position += ((unsigned char)*at & 0xC0) != 0x80;
    struct pgdbm__script_place place = pgdbm__script_place(script, &script->statements[statement], position);
    if (place.line != line || place.column != column)
        fail_msg("%s: expected line %zu, column %zu; got line %zu, column %zu", mark, line, column, place.line,
                 place.column);
}

static void positions_of_the_server_are_places_in_the_file(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF"
                               "SELECT '\xC3\xA9', {{tables.first}}, one; SELECT two\r\n"
                               "  , '\xE2\x82\xAC' || three;\r\n"
                               "SELECT {{\n tables.u\n}}, four,\r{{schema}} five, {{schema}}\n six";
    struct pgdbm__script script;
    pgdbm_error err;
    if (prepare(&script, text, &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(script.n_statements, 3);
    expect_place(&script, 0, "SELECT", 1, 1);
    expect_place(&script, 0, "\"first\"", 1, 13); /* where the template begins */
    expect_place(&script, 0, "one", 1, 31);
    assert_int_equal(script.statements[1].line, 1);
    assert_int_equal(script.statements[1].column, 36);
    expect_place(&script, 1, "two", 1, 43);
    expect_place(&script, 1, "three", 2, 12);
    assert_int_equal(script.statements[2].line, 3);
    expect_place(&script, 2, "\"u\"", 3, 8);
    expect_place(&script, 2, "four", 5, 5);
    expect_place(&script, 2, " five", 6, 11);
    expect_place(&script, 2, "six", 7, 2);
    const struct pgdbm__script_statement *last = &script.statements[2];
    struct pgdbm__script_place begin = pgdbm__script_place(&script, last, 0);
    assert_int_equal(begin.line, 3);
    assert_int_equal(begin.column, 1);
    struct pgdbm__script_place beyond = pgdbm__script_place(&script, last, 1000000);
    assert_int_equal(beyond.line, 7);
    assert_int_equal(beyond.column, 5);
    pgdbm__script_free(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_becomes_statements_with_their_lines),
        cmocka_unit_test(transaction_control_is_refused),
        cmocka_unit_test(names_like_transaction_control_are_not_refused),
        cmocka_unit_test(file_without_a_statement_is_refused),
        cmocka_unit_test(what_cannot_run_is_refused_with_its_line),
        cmocka_unit_test(copy_from_a_file_of_the_server_is_not_refused),
        cmocka_unit_test(what_cannot_run_in_a_transaction_needs_the_directive),
        cmocka_unit_test(positions_of_the_server_are_places_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
