/* SPDX-License-Identifier: MIT */
/* `pgdbm check` as its users run it: what it prints, in which form, and how it ends. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char source[] =
    "#include <pgdbm/pgdbm.h>\n"
    "int f(pgdbm_db *db, const char *sql)\n{\n"
    "    pgdbm_execute(db, sql, pgdbm_no_args, NULL, NULL);\n"
    "    return pgdbm_execute(db, \"DELETE FROM users\", pgdbm_no_args, NULL, NULL) != PGDBM_OK;\n"
    "}\n";

/* What is found in SQL is found with the parser only. */
static void need_parser(void)
{
#ifndef PGDBM_TESTS_CHECK_SQL
    skip();
#endif
}

static json_t *parse(const struct tool *tool)
{
    json_error_t where;
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    return answer;
}

static void a_finding_says_where_what_why_and_what_to_do(void **state)
{
    struct tool *tool = *state;
    need_parser();
    tool_write(tool, "src/users.c", source);
    tool_run(tool, "check");
    assert_code(tool, 3);
    assert_contains(tool->out, "src/users.c:5:43: error: users has no template: write {{tables.users}} [bare-table]\n");
    assert_contains(tool->out, "\n                                              ^\n");
    assert_contains(tool->out, "    why: search_path decides");
    assert_contains(tool->out, "    fix: Write {{tables.NAME}}.");
    assert_contains(tool->out, "1 file, 1 finding, 1 text of SQL not checked");
    assert_string_equal(tool->err, "");
    assert_null(strchr(tool->out, '\033'));
    tool_run(tool, "--quiet check src");
    assert_code(tool, 3);
    assert_null(strstr(tool->out, "1 file"));
    tool_run_on_terminal(tool, "check src/users.c");
    assert_contains(tool->out, "\033[31merror:");
}

static void migrations_are_held_to_rules_of_their_own(void **state)
{
    struct tool *tool = *state;
    need_parser();
    tool_write(tool, "migrations/001_users.sql",
               "CREATE TABLE {{tables.users}} (id int PRIMARY KEY, name text);\n"
               "CREATE INDEX ON {{tables.users}} (name);\n");
    tool_run(tool, "check migrations");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "1 file, 0 findings\n");
    tool_write(tool, "migrations/002_index.sql", "CREATE INDEX ON {{tables.users}} (name);\nBEGIN;\n");
    tool_run(tool, "check");
    assert_code(tool, 3);
    assert_contains(tool->out, "migrations/002_index.sql:1:1: error:");
    assert_contains(tool->out, "[index-not-concurrent]");
    assert_contains(tool->out, "migrations/002_index.sql:2:1: error:");
    assert_contains(tool->out, "[transaction-control]");
}

static void json_has_all_findings_with_suppressed_ones_marked(void **state)
{
    struct tool *tool = *state;
    need_parser();
    tool_write(tool, "001_a.sql",
               "DROP TABLE {{tables.a}}; -- pgdbm-check: allow drop-table because it was empty\nSELECT 1 FROM b.c;\n");
    tool_run(tool, "check --json");
    assert_code(tool, 3);
    json_t *answer = parse(tool);
    const json_t *findings = json_object_get(answer, "findings");
    assert_int_equal(json_array_size(findings), 2);
    assert_int_equal(json_integer_value(json_object_get(answer, "counted")), 1);
    assert_int_equal(json_integer_value(json_object_get(answer, "suppressed")), 1);
    assert_true(json_is_true(json_object_get(answer, "sql_rules")));
    const json_t *first = json_array_get(findings, 0), *second = json_array_get(findings, 1);
    assert_string_equal(json_string_value(json_object_get(first, "suppressed_because")), "it was empty");
    assert_string_equal(json_string_value(json_object_get(second, "rule")), "hard-coded-schema");
    assert_int_equal(json_integer_value(json_object_get(second, "line")), 2);
    json_decref(answer);
}

static void sarif_is_what_code_hosts_take(void **state)
{
    struct tool *tool = *state;
    need_parser();
    tool_write(tool, "a b/001_a.sql", "SELECT '\xC3\xA4' FROM b.c;\n");
    tool_run(tool, "check --format sarif");
    assert_code(tool, 3);
    json_t *answer = parse(tool);
    assert_string_equal(json_string_value(json_object_get(answer, "version")), "2.1.0");
    const json_t *run = json_array_get(json_object_get(answer, "runs"), 0);
    const json_t *driver = json_object_get(json_object_get(run, "tool"), "driver");
    assert_true(json_array_size(json_object_get(driver, "rules")) > 20);
    const json_t *result = json_array_get(json_object_get(run, "results"), 0);
    assert_string_equal(json_string_value(json_object_get(result, "ruleId")), "hard-coded-schema");
    const json_t *location =
        json_object_get(json_array_get(json_object_get(result, "locations"), 0), "physicalLocation");
    assert_string_equal(json_string_value(json_object_get(json_object_get(location, "artifactLocation"), "uri")),
                        "a%20b/001_a.sql");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(location, "region"), "startColumn")), 17);
    json_decref(answer);
}

static void what_the_grammar_is_too_old_for_is_told_and_no_finding(void **state)
{
    struct tool *tool = *state;
    need_parser();
    tool_write(tool, "001_a.sql", "SELECT 1;\nSELECT '\xC3\xA4' IS JSON;\n");
    tool_run(tool, "check");
    assert_code(tool, 0);
    assert_string_equal(tool->out,
                        "001_a.sql:2:16: not checked: newer than PostgreSQL 15's grammar\n"
                        "1 file, 0 findings, 1 statement not checked (newer than PostgreSQL 15's grammar)\n");
    tool_run(tool, "--quiet check");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
    tool_run(tool, "check --json");
    assert_code(tool, 0);
    json_t *answer = parse(tool);
    assert_int_equal(json_integer_value(json_object_get(answer, "not_checked")), 1);
    const json_t *remark = json_array_get(json_object_get(answer, "not_checked_at"), 0);
    assert_string_equal(json_string_value(json_object_get(remark, "file")), "001_a.sql");
    assert_int_equal(json_integer_value(json_object_get(remark, "line")), 2);
    assert_int_equal(json_integer_value(json_object_get(remark, "column")), 16);
    assert_string_equal(json_string_value(json_object_get(remark, "why")), "newer than PostgreSQL 15's grammar");
    json_decref(answer);
    tool_run(tool, "check --format sarif");
    assert_code(tool, 0);
    answer = parse(tool);
    const json_t *run = json_array_get(json_object_get(answer, "runs"), 0);
    const json_t *invocation = json_array_get(json_object_get(run, "invocations"), 0);
    assert_true(json_is_true(json_object_get(invocation, "executionSuccessful")));
    const json_t *note = json_array_get(json_object_get(invocation, "toolExecutionNotifications"), 0);
    assert_string_equal(json_string_value(json_object_get(note, "level")), "note");
    const json_t *location = json_object_get(json_array_get(json_object_get(note, "locations"), 0), "physicalLocation");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(location, "region"), "startColumn")), 15);
    json_decref(answer);
}

static void the_first_of_many_that_were_not_checked_are_told(void **state)
{
    struct tool *tool = *state;
    char text[1024] = "";
    need_parser();
    for (int i = 0; i < 12; i++)
        strcat(text, "SELECT 1 IS JSON;\n");
    tool_write(tool, "001_a.sql", text);
    tool_run(tool, "check");
    assert_code(tool, 0);
    assert_contains(tool->out, "001_a.sql:10:13: not checked: ");
    assert_null(strstr(tool->out, "001_a.sql:11:"));
    assert_contains(tool->out, "\nand 2 more, with --json all of them\n1 file, 0 findings, 12 statements not checked");
}

static void what_cannot_be_read_is_told_and_the_rest_is_checked(void **state)
{
    struct tool *tool = *state;
    need_parser();
    tool_write(tool, "001_a.sql", "SELECT 1 FROM b.c;\n");
    tool_shell(tool, "ln -s nowhere 002_b.sql && mkdir 003_c.sql && mkfifo 004_d.sql && ln -s . round");
    tool_run(tool, "check");
    assert_code(tool, 1);
    assert_contains(tool->out, "3 files, 1 finding");
    assert_contains(tool->err, "cannot read 002_b.sql: No such file");
    assert_contains(tool->err, "cannot read 004_d.sql: not a file");
    tool_run(tool, "check nowhere");
    assert_code(tool, 2);
    assert_contains(tool->err, "cannot read nowhere: No such file");
    assert_string_equal(tool->out, "");
}

static void a_build_without_the_parser_says_so_on_every_run(void **state)
{
    struct tool *tool = *state;
#ifdef PGDBM_TESTS_CHECK_SQL
    const bool has_parser = true;
#else
    const bool has_parser = false;
#endif
    tool_write(tool, "f.c", "int f(pgdbm_db *db) { pgdbm_close(db); }\n");
    static const char *const commands[] = {"check", "--quiet check f.c", "check --json", "check --format sarif"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        tool_run(tool, "%s", commands[i]);
        assert_code(tool, 3);
        assert_contains(tool->out, "close-borrowed");
        assert_true((strstr(tool->err, "the rules on SQL are off") == NULL) == has_parser);
    }
}

static void folders_that_others_wrote_are_passed_over(void **state)
{
    struct tool *tool = *state;
    static const char *const files[] = {".git/001_a.sql", "node_modules/x/001_a.sql", "build/deep/001_a.sql",
                                        ".pgdbm/001_a.sql"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        tool_write(tool, files[i], "SELECT 1 FROM b.c;\n");
    tool_write(tool, "build/CMakeCache.txt", "");
    tool_run(tool, "check");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "0 files, 0 findings\n");
}

static void answers_that_do_not_arrive_are_an_error(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "001_a.sql", "SELECT 1;\n");
    tool_shell(tool, "{ $PGDBM check >/dev/full 2>err; test $? = 1; } && grep -q 'could not write the answer' err");
    tool_shell(tool, "$PGDBM check | head -c 1 >/dev/null");
    tool_write(tool, "002_b.sql", "CREATE TABLE b (id int);\n");
    tool_shell(tool, "{ $PGDBM check >/dev/full 2>err; test $? = 1; } && grep -q 'could not write the answer' err");
}

static void rules_are_listed_and_wrong_usage_is_told(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "check --list-rules");
    assert_code(tool, 0);
    assert_contains(tool->out, "hard-coded-schema: ");
    assert_contains(tool->out, "string-built-sql: ");
    tool_run(tool, "check --list-rules --json");
    json_t *rules = parse(tool);
    assert_true(json_array_size(rules) > 20);
    json_decref(rules);
    tool_run(tool, "check --format xml");
    assert_code(tool, 2);
    tool_run(tool, "check --json --format text");
    assert_code(tool, 2);
}

/* Correct code has no findings: the project's own examples, and what `pgdbm new` writes. */
static void the_examples_break_no_rule(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "check '" PGDBM_TESTS_SOURCE "/examples'");
    assert_code(tool, 0);
    assert_contains(tool->out, ", 0 findings");
    static const char *const kinds[] = {"standalone", "shared-pool", "dual-mode"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        tool_run(tool, "new %s p%zu", kinds[i], i);
        assert_code(tool, 0);
        tool_run(tool, "check p%zu", i);
        assert_code(tool, 0);
        assert_contains(tool->out, ", 0 findings");
    }
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(a_finding_says_where_what_why_and_what_to_do),
        WITH_TOOL(migrations_are_held_to_rules_of_their_own),
        WITH_TOOL(json_has_all_findings_with_suppressed_ones_marked),
        WITH_TOOL(sarif_is_what_code_hosts_take),
        WITH_TOOL(what_the_grammar_is_too_old_for_is_told_and_no_finding),
        WITH_TOOL(the_first_of_many_that_were_not_checked_are_told),
        WITH_TOOL(what_cannot_be_read_is_told_and_the_rest_is_checked),
        WITH_TOOL(a_build_without_the_parser_says_so_on_every_run),
        WITH_TOOL(folders_that_others_wrote_are_passed_over),
        WITH_TOOL(answers_that_do_not_arrive_are_an_error),
        WITH_TOOL(rules_are_listed_and_wrong_usage_is_told),
        WITH_TOOL(the_examples_break_no_rule),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
