/* SPDX-License-Identifier: MIT */
/* The line that an error of a migration is about, with a mark under the place. */
#include "cli/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    char *url = test_database_create();
    snprintf(tool->url, sizeof tool->url, "%s", url);
    free(url);
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

static void expect_error(struct tool *tool, int code, const char *sql, const char *shown)
{
    tool_write(tool, "migrations/001_users.sql", sql);
    tool_run(tool, "migrate apply --module users --schema users");
    assert_code(tool, code);
    assert_contains(tool->err, shown);
}

static void the_place_of_an_error_is_marked_in_its_line(void **state)
{
    struct tool *tool = *state;
    expect_error(tool, 1, "CREATE TABLE {{tables.users}} (id int);\n\nSELECT id,\n\tnothing FROM {{tables.users}};\n",
                 "001_users.sql:4:2: column \"nothing\" does not exist (module users) [42703]\n"
                 "  4 |  nothing FROM {{tables.users}};\n"
                 "    |  ^\n");
    /* Behind a template, and behind characters of several bytes. */
    expect_error(tool, 1, "SELECT 'äöü€', * FROM {{tables.none}};\n",
                 "  1 | SELECT 'äöü€', * FROM {{tables.none}};\n"
                 "    |                       ^\n");
    expect_error(tool, 2, "SELECT 1;\nSELECT {{no_such}};",
                 "  2 | SELECT {{no_such}};\n"
                 "    |        ^\n");
}

static void of_a_long_line_the_part_around_the_place_is_shown(void **state)
{
    struct tool *tool = *state;
    char sql[16384];
    int length = snprintf(sql, sizeof sql, "SELECT '");
    memset(sql + length, 'x', 8000);
    length += 8000;
    length += snprintf(sql + length, sizeof sql - (size_t)length, "', nothing, '");
    memset(sql + length, 'y', 8000);
    length += 8000;
    snprintf(sql + length, sizeof sql - (size_t)length, "';\n");
    expect_error(tool, 1, sql, "xxx', nothing, 'yyy");
    assert_contains(tool->err, "\n  1 | ...xxx");
    assert_contains(tool->err, "yyy...\n");
    const char *line = strstr(tool->err, "  1 | ");
    const char *mark = strstr(line, "\n    | ");
    assert_non_null(mark);
    assert_int_equal(strchr(mark, '^') - mark - 1, strstr(line, "nothing") - line);
    assert_true(strlen(tool->err) < 1500);
}

/* The server's place is behind the last character. */
static void something_that_is_missing_at_the_end_is_marked_there(void **state)
{
    struct tool *tool = *state;
    expect_error(tool, 1, "SELECT 1;\nSELECT 1 +",
                 "  2 | SELECT 1 +\n"
                 "    |           ^\n");
}

static void what_a_terminal_would_act_on_is_not_repeated(void **state)
{
    struct tool *tool = *state;
    expect_error(tool, 1, "SELECT '\033[2J\xc2\x9b', nothing;\n",
                 "  1 | SELECT '?[2J?', nothing;\n"
                 "    |                 ^\n");
}

static void an_error_of_one_of_many_modules_is_marked_in_its_file(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "pgdbm.conf", "[modules.a]\nschema = a\n[modules.b]\nschema = b\n");
    tool_write(tool, "migrations/a/001_x.sql", "CREATE TABLE {{tables.x}} (id int);\n");
    tool_write(tool, "migrations/b/001_x.sql", "CREATE TABEL {{tables.x}} (id int);\n");
    tool_run(tool, "migrate apply");
    assert_code(tool, 1);
    assert_contains(tool->err, "  1 | CREATE TABEL {{tables.x}} (id int);\n"
                               "    |        ^\n");
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(the_place_of_an_error_is_marked_in_its_line),
        WITH_TOOL(of_a_long_line_the_part_around_the_place_is_shown),
        WITH_TOOL(something_that_is_missing_at_the_end_is_marked_there),
        WITH_TOOL(what_a_terminal_would_act_on_is_not_repeated),
        WITH_TOOL(an_error_of_one_of_many_modules_is_marked_in_its_file),
    };
    return cmocka_run_group_tests_name("sql_error", tests, NULL, NULL);
}
