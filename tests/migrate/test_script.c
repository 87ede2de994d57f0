/* SPDX-License-Identifier: MIT */
/* What a pending file becomes before anything is sent, and the plan that files and history make together. */
#include "base/error.h"
#include "migrate/plan.h"
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
    return pgdbm__script_prepare(script, "001_a.sql", text, strlen(text), "app", err);
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
        assert_refused(text, PGDBM_ERR_MIGRATION, "line 3: a migration must not begin or end transactions");
        snprintf(text, sizeof text, "-- pgdbm:no-transaction\n\n%s;", statements[i]);
        assert_refused(text, PGDBM_ERR_MIGRATION, "line 3: a migration must not begin or end transactions");
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
    assert_refused("SELECT 1;\nCOPY t (a, b) FROM stdin;\n1\t2\n\\.\n", PGDBM_ERR_MIGRATION, "line 2: COPY");
    assert_refused("\\set x 1\nSELECT 1;", PGDBM_ERR_MIGRATION, "line 1: a command of psql");
}

static void copy_from_a_file_of_the_server_is_not_refused(void **state)
{
    (void)state;
    struct pgdbm__script script;
    pgdbm_error err;
    assert_int_equal(prepare(&script, "COPY t FROM '/stdin'", &err), PGDBM_OK);
    pgdbm__script_free(&script);
}

/* Files and rows as they come from the source and the history. */
static void plan(struct pgdbm__migration_set *set, struct pgdbm__history_row *rows, size_t n_rows)
{
    static const pgdbm_migration_text texts[] = {
        {"001_a.sql", "SELECT 1;", 9}, {"002_b.sql", "SELECT 2;", 9}, {"010_c.sql", "SELECT 3;", 9}};
    pgdbm_migrations migrations = {.texts = texts, .n_texts = 3};
    struct pgdbm__history_rows history = {.rows = rows, .n_rows = n_rows};
    *set = (struct pgdbm__migration_set){0};
    assert_int_equal(pgdbm__migration_set_load(set, &migrations, false, NULL), PGDBM_OK);
    pgdbm__plan_match(set, &history);
}

/* SHA-256 of "SELECT 1;". */
#define CHECKSUM_A "17db4fd369edb9244b9f91d9aeed145c3d04ad8ba6e95d06247f07a63527d11a"

static void files_beside_history_have_four_states(void **state)
{
    (void)state;
    struct pgdbm__migration_set set;
    struct pgdbm__history_row rows[] = {
        {.filename = "001_a.sql", .checksum = CHECKSUM_A, .named = true, .applied_at = "2026-01-01", .execution_ms = 3},
        {.filename = "002_b.sql", .checksum = "other", .named = true, .applied_at = "2026-01-01", .applied_by = "joe"},
        {.filename = "007_gone.sql", .checksum = "x", .named = true, .applied_at = "2026-01-01"},
        {.filename = "old style", .checksum = "x", .named = true, .applied_at = "2026-01-01"},
        {.filename = "somebody_elses.sql", .checksum = "x", .named = false, .applied_at = "2026-01-01"},
    };
    plan(&set, rows, 5);
    struct pgdbm__history history = {.module = "users", .schema = "app", .qualified = (char *)"\"app\".\"m\""};
    struct pgdbm__history_rows found = {.rows = rows, .n_rows = 5};
    pgdbm_migration_report *report = NULL;
    assert_int_equal(pgdbm__plan_report(&set, &found, &history, false, &report, NULL), PGDBM_OK);
    static const struct {
        const char *filename;
        const char *version;
        pgdbm_migration_state state;
    } expected[] = {{"001_a.sql", "001", PGDBM_MIGRATION_APPLIED},
                    {"002_b.sql", "002", PGDBM_MIGRATION_CHANGED},
                    {"007_gone.sql", "007", PGDBM_MIGRATION_MISSING},
                    {"010_c.sql", "010", PGDBM_MIGRATION_PENDING},
                    {"old style", "", PGDBM_MIGRATION_MISSING}};
    assert_int_equal(report->n_migrations, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(report->migrations[i].filename, expected[i].filename);
        assert_string_equal(report->migrations[i].version, expected[i].version);
        assert_int_equal(report->migrations[i].state, expected[i].state);
    }
    assert_int_equal(report->n_pending, 1);
    assert_int_equal(report->n_applied, 0);
    assert_string_equal(report->migrations[1].applied_by, "joe");
    assert_null(report->migrations[0].applied_by);
    assert_null(report->migrations[2].checksum);
    assert_null(report->migrations[3].applied_checksum);
    pgdbm_migration_report_free(report);

    pgdbm_error err;
    assert_int_equal(pgdbm__plan_check(&set, &history, &err), PGDBM_ERR_MIGRATION);
    assert_non_null(strstr(err.message, "002_b.sql of module users was changed"));
    assert_non_null(strstr(err.detail, "applied checksum other, the file's is "));
    assert_non_null(strstr(err.detail, set.files[1].checksum));
    pgdbm__migration_set_free(&set);
}

static void row_without_a_module_counts_unless_the_module_has_its_own(void **state)
{
    (void)state;
    struct pgdbm__migration_set set;
    struct pgdbm__history_row unnamed[] = {{.filename = "001_a.sql", .checksum = CHECKSUM_A},
                                           {.filename = "002_b.sql", .checksum = "another module's"}};
    plan(&set, unnamed, 2);
    assert_int_equal(set.files[0].state, PGDBM_MIGRATION_APPLIED);
    assert_int_equal(set.files[1].state, PGDBM_MIGRATION_CHANGED);
    struct pgdbm__history history = {.module = "users", .schema = "app", .qualified = (char *)"\"app\".\"m\""};
    pgdbm_error err;
    assert_int_equal(pgdbm__plan_check(&set, &history, &err), PGDBM_ERR_MIGRATION);
    assert_non_null(strstr(err.hint, "module_name"));
    char checksum[PGDBM__CHECKSUM_BYTES];
    strcpy(checksum, set.files[1].checksum);
    pgdbm__migration_set_free(&set);

    struct pgdbm__history_row both[] = {{.filename = "002_b.sql", .checksum = checksum, .named = true},
                                        {.filename = "002_b.sql", .checksum = "another module's"}};
    plan(&set, both, 2);
    assert_int_equal(set.files[1].state, PGDBM_MIGRATION_APPLIED);
    assert_ptr_equal(pgdbm__plan_pending(&set), &set.files[0]);
    pgdbm__migration_set_free(&set);
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
        cmocka_unit_test(files_beside_history_have_four_states),
        cmocka_unit_test(row_without_a_module_counts_unless_the_module_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
