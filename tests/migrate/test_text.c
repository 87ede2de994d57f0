/* SPDX-License-Identifier: MIT */
/* What is read off a migration's text: directives, what it means, how two texts differ, what a statement is. */
#include "migrate/difference.h"
#include "migrate/header.h"
#include "migrate/statement.h"
#include "migrate/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reads the header into "N" (no transaction), the lock time-out, and "module>=version@line". */
static pgdbm_status read_header(const char *text, char *read, size_t read_bytes, pgdbm_error *err)
{
    struct pgdbm__script_source source = {.filename = "001_a.sql", .text = text, .bytes = strlen(text)};
    struct pgdbm__migration_header header = {0};
    *err = (pgdbm_error){0};
    pgdbm_status status = pgdbm__migration_header_read(&source, &header, err);
    size_t used = (size_t)snprintf(read, read_bytes, "%s%d", header.no_transaction ? "N" : "", header.lock_timeout_ms);
    for (size_t i = 0; status == PGDBM_OK && i < header.n_requires && used < read_bytes; i++)
        used += (size_t)snprintf(read + used, read_bytes - used, " %s>=%s@%zu", header.requires[i].module,
                                 header.requires[i].version, header.requires[i].line);
    pgdbm__migration_header_free(&header);
    return status;
}

static void directives_count_in_the_header_only(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"-- pgdbm:no-transaction\nSELECT 1;", "N0"},
        {"\xEF\xBB\xBF--pgdbm:no-transaction\r\nSELECT 1;", "N0"},
        {"\r-- pgdbm:no-transaction\rSELECT 1;", "N0"},
        {"\n-- adds an index\n  --   pgdbm:NO-transaction  \nSELECT 1;", "N0"},
        {"/* licence /* nested */ */ -- pgdbm:no-transaction\nSELECT 1;", "N0"},
        {"-- pgdbm:no-transaction", "N0"},
        {"SELECT 1;\n-- pgdbm:no-transaction\n", "0"},
        {";\n-- pgdbm:no-transaction\nSELECT 1", "0"},
        {"INSERT INTO t VALUES ('\n-- pgdbm:no-transaction\n');", "0"},
        {"/*\n-- pgdbm:no-transaction\n*/ SELECT 1;", "0"},
        {"/* /* */\n-- pgdbm:nonsense\n*/ SELECT 1;", "0"},
        {"/* never closed\n-- pgdbm:no-transaction", "0"},
        {"-- see pgdbm:no-transaction\nSELECT 1;", "0"},
        {"-- pgdbm:lock-timeout 2s\nSELECT 1;", "2000"},
        {"-- pgdbm:lock-timeout 500ms\n", "500"},
        {"-- pgdbm:lock-timeout 2 min\n", "120000"},
        {"-- pgdbm:lock-timeout   off\n", "-1"},
        {"-- pgdbm:lock-timeout 2147483647ms\n", "2147483647"},
        {"-- pgdbm:requires users >= 12\n\n-- pgdbm:requires billing>=20251025_143022\n",
         "0 users>=12@1 billing>=20251025_143022@3"},
        {"-- pgdbm:requires a >= 1\r\n-- pgdbm:requires b >= 2\r\n-- pgdbm:requires c >= 3\r\n"
         "-- pgdbm:no-transaction\r\n-- pgdbm:lock-timeout 1s\r\nSELECT 1",
         "N1000 a>=1@1 b>=2@2 c>=3@3"},
        {"", "0"},
        {"-", "0"},
        {"--", "0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char read[256];
        pgdbm_error err;
        if (read_header(cases[i][0], read, sizeof read, &err) != PGDBM_OK)
            fail_msg("%s: %s", cases[i][0], err.message);
        if (strcmp(read, cases[i][1]) != 0)
            fail_msg("%s: expected %s, got %s", cases[i][0], cases[i][1], read);
    }
}

static void directives_that_are_not_understood_are_named_with_their_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"-- note\n-- pgdbm:no-transactions\nSELECT 1;", "line 2: \"pgdbm:no-transactions\" is no directive"},
        {"\r\r-- pgdbm:no_transaction\rSELECT 1;", "line 3: \"pgdbm:no_transaction\" is no directive"},
        {"-- pgdbm:\nSELECT 1;", "line 1: \"pgdbm:\" is no directive"},
        {"-- pgdbm: no-transaction\nSELECT 1;", "line 1: \"pgdbm: no-transaction\" is no directive"},
        {"-- pgdbm:no-transaction yes\n", "has something behind it"},
        {"-- pgdbm:lock-timeout\n", "\"pgdbm:lock-timeout\" is no time"},
        {"-- pgdbm:lock-timeout 2\n", "is no time"},
        {"-- pgdbm:lock-timeout 0s\n", "is no time"},
        {"-- pgdbm:lock-timeout -1s\n", "is no time"},
        {"-- pgdbm:lock-timeout 2h\n", "is no time"},
        {"-- pgdbm:lock-timeout 2s or so\n", "is no time"},
        {"-- pgdbm:lock-timeout off now\n", "is no time"},
        {"-- pgdbm:lock-timeout 2147483648ms\n", "is no time"},
        {"-- pgdbm:lock-timeout 35792min\n", "is no time"},
        {"-- pgdbm:lock-timeout 99999999999999999999999999s\n", "is no time"},
        {"-- pgdbm:lock-timeout 2s\n\n-- pgdbm:lock-timeout 3s\n", "line 3: \"pgdbm:lock-timeout 3s\" is there twice"},
        {"-- pgdbm:requires\n", "is no requirement"},
        {"-- pgdbm:requires users\n", "is no requirement"},
        {"-- pgdbm:requires users > 12\n", "is no requirement"},
        {"-- pgdbm:requires >= 12\n", "is no requirement"},
        {"-- pgdbm:requires users >= \n", "is no requirement"},
        {"-- pgdbm:requires users >= twelve\n", "is no requirement"},
        {"-- pgdbm:requires users >= _12\n", "is no requirement"},
        {"-- pgdbm:requires users and more >= 12\n", "is no requirement"},
        {"-- pgdbm:\xC3\xA9\x01\n", "\"pgdbm:\xC3\xA9\\x01\" is no directive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char read[256];
        pgdbm_error err;
        pgdbm_status status = read_header(cases[i][0], read, sizeof read, &err);
        if (status != PGDBM_ERR_MIGRATION || strstr(err.message, cases[i][1]) == NULL ||
            strstr(err.message, "001_a.sql") == NULL || strstr(err.hint, "pgdbm:requires users >= 12") == NULL)
            fail_msg("%s\nexpected \"%s\", got %s: %s (hint: %s)", cases[i][0], cases[i][1], pgdbm_status_name(status),
                     err.message, err.hint);
    }
}

static bool same_meaning(const char *a, const char *b)
{
    char x[PGDBM__CHECKSUM_BYTES];
    char y[PGDBM__CHECKSUM_BYTES];
    assert_true(pgdbm__migration_semantic_checksum(a, strlen(a), x));
    assert_true(pgdbm__migration_semantic_checksum(b, strlen(b), y));
    assert_int_equal(strlen(x), 64);
    return strcmp(x, y) == 0;
}

static void comments_white_space_and_case_mean_nothing(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"SELECT 1;", "select/* one */\n\t1 -- one\n;"},
        {"SELECT 1;", "\xEF\xBB\xBF-- licence\r\n\r\nSELECT 1;\r\n"},
        {"CREATE TABLE Users (Id int);", "create table users(id INT);"},
        {"SELECT 'a\r\nb', $$c\rd$$", "SELECT 'a\nb',\n$$c\nd$$"},
        {"SELECT {{tables.users}}", "SELECT {{ tables.users }}"},
        {"-- pgdbm:no-transaction\nVACUUM", "-- why\n--pgdbm:NO-TRANSACTION\n\nVACUUM"},
        {"-- pgdbm:lock-timeout 2s\nSELECT 1", "-- pgdbm:lock-timeout 2000ms\nSELECT 1"},
        {"SELECT 1;\n-- pgdbm:down\nSELECT 2;", "SELECT 1;\n\n -- the end\n-- pgdbm:down\n-- back\nSELECT 2;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!same_meaning(cases[i][0], cases[i][1]))
            fail_msg("%s\nand\n%s\nmean the same", cases[i][0], cases[i][1]);
}

static void what_changes_the_meaning_changes_the_checksum(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"SELECT 1", "SELECT 2"},
        {"SELECT 'a'", "SELECT 'A'"},
        {"SELECT 'a b'", "SELECT 'a  b'"},
        {"SELECT \"a\"", "SELECT \"A\""},
        {"SELECT \"a\"", "SELECT a"},
        {"SELECT $$a -- b$$", "SELECT $$a$$"},
        {"SELECT 'a' 'b'", "SELECT 'a'' b'"},
        {"SELECT a b", "SELECT ab"},
        {"SELECT a, b", "SELECT a b"},
        {"SELECT 1.5", "SELECT 1 .5"},
        {"SELECT a @ -1", "SELECT a @- 1"},
        {"SELECT 1;", "SELECT 1; SELECT 1;"},
        {"SELECT '\xC3\xA9'", "SELECT '\xC3\x89'"},
        {"SELECT \xC3\xA9", "SELECT \xC3\x89"}, /* the server does not fold beyond ASCII either */
        {"VACUUM", "-- pgdbm:no-transaction\nVACUUM"},
        {"SELECT 1", "-- pgdbm:lock-timeout off\nSELECT 1"},
        {"-- pgdbm:requires a >= 1\nSELECT 1", "-- pgdbm:requires a >= 11\nSELECT 1"},
        {"-- pgdbm:requires a >= 1\nSELECT 1", "SELECT 1"},
        {"SELECT 1;\n-- pgdbm:down\nSELECT 2;", "SELECT 1;\nSELECT 2;"},
        {"SELECT 1;\n-- pgdbm:down\nSELECT 2;", "SELECT 1;\n-- pgdbm:down\nSELECT 3;"},
        {"SELECT 1;\n-- pgdbm:down\nSELECT 2;", "SELECT 1;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (same_meaning(cases[i][0], cases[i][1]))
            fail_msg("%s\nand\n%s\ndo not mean the same", cases[i][0], cases[i][1]);
}

static void expect_difference(const char *before, const char *now, const char *expected)
{
    char out[512];
    pgdbm__text_difference(before, strlen(before), now, strlen(now), out, sizeof out);
    assert_string_equal(out, expected);
}

static void a_difference_is_shown_with_what_is_around_it(void **state)
{
    (void)state;
    expect_difference("", "", "");
    expect_difference("a\nb\n", "\r\na\r\nb\r\n\r\n", "");
    expect_difference("a\nb\nc\nd", "a\nB\nc\nd", "line 2:\n  a\n- b\n+ B\n  c");
    expect_difference("a\nb\nc", "a\nc", "line 2:\n  a\n- b\n  c");
    expect_difference("a\nc", "a\nb\nb\nc", "line 2:\n  a\n+ b\n+ b\n  c");
    expect_difference("b\nc", "\n\na\nb\nc", "line 3:\n+ a\n  b");
    expect_difference("a", "a\nb", "line 2:\n  a\n+ b");
    expect_difference("a\nb", "a", "line 2:\n  a\n- b");
    expect_difference("a", "", "line 1:\n- a");
    expect_difference("", "a", "line 1:\n+ a");
    expect_difference("a\rb\rc", "a\nx\ny\nc", "line 2:\n  a\n- b\n+ x\n+ y\n  c");
    expect_difference("a\nb", "a\n\xFF\x01", "line 2:\n  a\n- b\n+ \\xFF\\x01");
}

static void a_difference_far_in_a_long_line_is_shown(void **state)
{
    (void)state;
    char before[600] = "";
    char now[600] = "";
    char out[512];
    for (size_t i = 0; i < 100; i++)
        strcat(before, "\xC3\xA9x");
    strcpy(now, before);
    strcat(before, " int");
    strcat(now, " bigint");
    pgdbm__text_difference(before, strlen(before), now, strlen(now), out, sizeof out);
    assert_non_null(strstr(out, "x int"));
    assert_non_null(strstr(out, "x bigint"));
    assert_int_equal(pgdbm__text_first_bad(out, strlen(out)), strlen(out));
}

static void a_difference_fits_whatever_differs(void **state)
{
    (void)state;
    for (size_t size = 128; size <= 512; size += 1) {
        char before[8192] = "same\n";
        char now[8192] = "same\n";
        for (size_t i = 0; i < 40; i++) {
            snprintf(before + strlen(before), 100, "%zu b\xC3\xA9%0*zu\n", i, (int)(size % 90), i);
            snprintf(now + strlen(now), 100, "%zu n\xE2\x82\xAC%0*zu\n", i, (int)(size % 71), i);
        }
        char *out = malloc(size); /* exactly, for the sanitizer */
        assert_non_null(out);
        pgdbm__text_difference(before, strlen(before), now, strlen(now), out, size);
        assert_true(strlen(out) < size);
        if (strstr(out, "\n- 0 b") == NULL || strstr(out, "\n+ 0 n") == NULL)
            fail_msg("%zu bytes show one side only:\n%s", size, out);
        assert_int_equal(pgdbm__text_first_bad(out, strlen(out)), strlen(out));
        free(out);
    }
}

static void what_cannot_run_in_a_transaction_is_known(void **state)
{
    (void)state;
    static const char *const outside[] = {
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "create unique index concurrently on t (a)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX TABLE CONCURRENTLY t",
        "REINDEX (VERBOSE, CONCURRENTLY) INDEX i",
        "REINDEX SCHEMA s",
        "REINDEX DATABASE d",
        "REINDEX SYSTEM d",
        "VACUUM",
        "VACUUM (FULL) t",
        "vacuum analyze t",
        "CLUSTER",
        "CLUSTER VERBOSE",
        "CREATE DATABASE d",
        "DROP DATABASE IF EXISTS d",
        "ALTER DATABASE d SET TABLESPACE t",
        "CREATE TABLESPACE t LOCATION '/x'",
        "DROP TABLESPACE t",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
        "ALTER SUBSCRIPTION s REFRESH PUBLICATION",
        "ALTER SUBSCRIPTION s ADD PUBLICATION p",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "DISCARD ALL",
    };
    static const char *const inside[] = {
        "CREATE INDEX i ON t (concurrently)",
        "CREATE TABLE concurrently (a int)",
        "CREATE INDEX \"concurrently\" ON t (a)",
        "SELECT 'VACUUM'",
        "DROP INDEX i",
        "REINDEX TABLE t",
        "ANALYZE t",
        "CLUSTER t USING i",
        "ALTER DATABASE d SET work_mem = '1MB'",
        "ALTER TYPE t ADD VALUE 'x'",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (create_slot = false)",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)",
        "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)",
        "ALTER SUBSCRIPTION s DISABLE",
        "ALTER TABLE t DETACH PARTITION p",
        "DISCARD TEMP",
        "",
    };
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (pgdbm__statement_facts(outside[i], strlen(outside[i])).outside == NULL)
            fail_msg("%s cannot run in a transaction", outside[i]);
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        if (pgdbm__statement_facts(inside[i], strlen(inside[i])).outside != NULL)
            fail_msg("%s can run in a transaction", inside[i]);
}

static void statements_on_indexes_give_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        enum pgdbm__statement_kind kind;
        const char *index, *table;
    } cases[] = {
        {"CREATE INDEX CONCURRENTLY i ON t (a)", PGDBM__STATEMENT_CREATE_INDEX, "i", "t"},
        {"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS \"I i\" ON ONLY \"app\".\"users\" USING btree (a)",
         PGDBM__STATEMENT_CREATE_INDEX, "\"I i\"", "\"app\".\"users\""},
        {"CREATE INDEX ON app . t(a)", PGDBM__STATEMENT_CREATE_INDEX, "", "app . t"},
        {"CREATE INDEX /* x */ i ON t (a)", PGDBM__STATEMENT_CREATE_INDEX, "i", "t"},
        {"CREATE INDEX U&\"i\" ON t (a)", PGDBM__STATEMENT_CREATE_INDEX, "", "t"},
        {"DROP INDEX CONCURRENTLY IF EXISTS app.i CASCADE", PGDBM__STATEMENT_DROP_INDEX, "app.i", ""},
        {"REINDEX INDEX CONCURRENTLY app.i", PGDBM__STATEMENT_REINDEX, "app.i", ""},
        {"REINDEX (VERBOSE) TABLE app.t", PGDBM__STATEMENT_REINDEX, "", "app.t"},
        {"REINDEX SCHEMA app", PGDBM__STATEMENT_REINDEX, "", ""},
        {"CREATE TABLE t (a int)", PGDBM__STATEMENT_OTHER, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pgdbm__statement_facts facts = pgdbm__statement_facts(cases[i].sql, strlen(cases[i].sql));
        if (facts.kind != cases[i].kind || facts.index.bytes != strlen(cases[i].index) ||
            memcmp(cases[i].sql + facts.index.offset, cases[i].index, facts.index.bytes) != 0 ||
            facts.table.bytes != strlen(cases[i].table) ||
            memcmp(cases[i].sql + facts.table.offset, cases[i].table, facts.table.bytes) != 0)
            fail_msg("%s: kind %d, index %.*s, table %.*s", cases[i].sql, (int)facts.kind, (int)facts.index.bytes,
                     cases[i].sql + facts.index.offset, (int)facts.table.bytes, cases[i].sql + facts.table.offset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directives_count_in_the_header_only),
        cmocka_unit_test(directives_that_are_not_understood_are_named_with_their_line),
        cmocka_unit_test(comments_white_space_and_case_mean_nothing),
        cmocka_unit_test(what_changes_the_meaning_changes_the_checksum),
        cmocka_unit_test(a_difference_is_shown_with_what_is_around_it),
        cmocka_unit_test(a_difference_far_in_a_long_line_is_shown),
        cmocka_unit_test(a_difference_fits_whatever_differs),
        cmocka_unit_test(what_cannot_run_in_a_transaction_is_known),
        cmocka_unit_test(statements_on_indexes_give_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
