/* SPDX-License-Identifier: MIT */
/* `pgdbm dev`: a server that belongs to a directory. */
#include "cli/tool.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Whatever a test leaves running is stopped. */
static int teardown(void **state)
{
    tool_run(*state, "dev stop");
    return tool_teardown(state);
}

static void start_prints_a_url_that_answers_and_stop_ends_it(void **state)
{
    struct tool *tool = *state;
    char url[512];
    char folder[128];
    struct stat status;
    tool_run(tool, "dev start");
    assert_code(tool, 0);
    snprintf(url, sizeof url, "%.*s", (int)strcspn(tool->out, "\n"), tool->out);
    assert_string_equal(tool->out + strlen(url), "\n"); /* the URL and nothing else */
    test_psql(url, "CREATE TABLE kept (id int)");
    snprintf(folder, sizeof folder, "%s/.pgdbm", tool->directory);
    assert_int_equal(stat(folder, &status), 0);
    tool_run(tool, "dev url");
    assert_code(tool, 0);
    assert_contains(tool->out, url);
    tool_run(tool, "dev start");
    assert_code(tool, 0);
    assert_contains(tool->out, url);
    tool_run(tool, "dev stop");
    assert_code(tool, 0);
    tool_run(tool, "migrate status --module x --dir .pgdbm --url '%s'", url);
    assert_code(tool, 4);
    tool_run(tool, "dev start");
    assert_code(tool, 0);
    test_psql(url, "INSERT INTO kept VALUES (1)"); /* the data stayed */
}

static void without_a_server_url_says_how_to_start_one(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "dev url");
    assert_code(tool, 1);
    assert_contains(tool->err, "pgdbm dev start");
    assert_string_equal(tool->out, "");
}

static void stopping_what_does_not_run_is_fine(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "dev stop");
    assert_code(tool, 0);
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(start_prints_a_url_that_answers_and_stop_ends_it),
        WITH_TOOL(without_a_server_url_says_how_to_start_one),
        WITH_TOOL(stopping_what_does_not_run_is_fine),
    };
    return cmocka_run_group_tests_name("dev", tests, NULL, NULL);
}
