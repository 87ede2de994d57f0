/* SPDX-License-Identifier: MIT */
/* `pgdbm test sweep`, as a person and a script see it. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a process that cannot be: on another host, fifty years ago. */
#define LEFT "pgdbm_test_1_1_00000001_12345678_00000001"
#define MINE "pgdbm_test_mine"

static int setup(void **state)
{
    unsetenv("TEST_DATABASE_URL");
    unsetenv("TEST_DB_HOST");
    test_psql(test_server_url(), "CREATE DATABASE " LEFT);
    test_psql(test_server_url(), "CREATE DATABASE " MINE);
    return tool_setup(state);
}

static int teardown(void **state)
{
    test_psql(test_server_url(), "DROP DATABASE IF EXISTS " LEFT);
    test_psql(test_server_url(), "DROP DATABASE IF EXISTS " MINE);
    return tool_teardown(state);
}

static void what_is_left_is_dropped_and_told(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "test sweep --url '%s' --dry-run", test_server_url());
    assert_code(tool, 3);
    assert_contains(tool->out, LEFT "  to drop");
    assert_contains(tool->out, MINE);
    assert_contains(tool->out, "1 to drop, 0 failed, 1 kept");
    tool_run(tool, "test sweep --url '%s'", test_server_url());
    assert_code(tool, 0);
    assert_contains(tool->out, LEFT "  dropped");
    assert_contains(tool->out, "1 dropped, 0 failed, 1 kept");
    tool_run(tool, "test sweep --url '%s' --dry-run", test_server_url());
    assert_code(tool, 0);
    assert_contains(tool->out, "0 to drop, 0 failed, 1 kept");
}

static void quiet_drops_and_says_nothing(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "--quiet test sweep --url '%s'", test_server_url());
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
    assert_string_equal(tool->err, "");
    tool_run(tool, "--quiet test sweep --url '%s' --dry-run", test_server_url());
    assert_code(tool, 0);
    assert_contains(tool->out, "0 to drop, 0 failed, 1 kept");
}

static void scripts_get_json(void **state)
{
    struct tool *tool = *state;
    setenv("TEST_DATABASE_URL", test_server_url(), 1);
    tool_run(tool, "test sweep --json");
    unsetenv("TEST_DATABASE_URL");
    assert_code(tool, 0);
    json_t *answer = json_loads(tool->out, 0, NULL);
    assert_non_null(answer);
    assert_int_equal(json_integer_value(json_object_get(answer, "dropped")), 1);
    assert_int_equal(json_integer_value(json_object_get(answer, "failed")), 0);
    const json_t *first = json_array_get(json_object_get(answer, "databases"), 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), LEFT);
    assert_string_equal(json_string_value(json_object_get(first, "outcome")), "dropped");
    assert_contains(json_string_value(json_object_get(first, "reason")), "another host");
    json_decref(answer);
}

static void a_server_that_looks_like_production_needs_yes(void **state)
{
    struct tool *tool = *state;
    setenv("APP_ENV", "production", 1);
    tool_run(tool, "test sweep --url '%s' --json", test_server_url());
    assert_code(tool, 2);
    assert_contains(tool->err, "APP_ENV");
    assert_contains(tool->out, "\"error\"");
    tool_run(tool, "test sweep --url '%s' --yes", test_server_url());
    assert_code(tool, 0);
    unsetenv("APP_ENV");
}

static void the_server_is_named_and_answers(void **state)
{
    struct tool *tool = *state;
    snprintf(tool->url, sizeof tool->url, "%s", test_server_url()); /* DATABASE_URL may be anybody's: it is not taken */
    tool_run(tool, "test sweep");
    assert_code(tool, 2);
    assert_contains(tool->err, "TEST_DATABASE_URL");
    tool_run(tool, "test sweep --url host=/nowhere");
    assert_code(tool, 4);
    tool_run(tool, "test sweep --url 'postgresql://me:a@secret@192.0.2.1/x'");
    assert_code(tool, 2);
    assert_contains(tool->err, "%40");
    assert_null(strstr(tool->err, "secret"));
    tool_run(tool, "test sweep --url 'postgresql://me:se%%cret@/'");
    assert_code(tool, 2);
    assert_null(strstr(tool->err, "cret"));
    tool_run(tool, "test sweap");
    assert_code(tool, 2);
    assert_contains(tool->err, "pgdbm test sweep");
    tool_run(tool, "test sweep --help");
    assert_code(tool, 0);
    assert_contains(tool->out, "--dry-run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_left_is_dropped_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(quiet_drops_and_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(scripts_get_json, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_looks_like_production_needs_yes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_server_is_named_and_answers, setup, teardown),
    };
    test_server_own(NULL);
    return cmocka_run_group_tests_name("cli_sweep", tests, NULL, NULL);
}
