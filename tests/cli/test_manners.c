/* SPDX-License-Identifier: MIT */
/* What all commands share: signals, progress, colour, --quiet. */
#include "cli/tool.h"

#include <signal.h>
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
    tool_write(tool, "migrations/001_first.sql", "CREATE TABLE {{tables.first}} (id int);\n");
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

/* Waits until the database has a session that sleeps, and fails after a minute. */
static void await_sleeper(const struct tool *tool)
{
    test_psql(tool->url, "DO $$ BEGIN "
                         "FOR turn IN 1..3000 LOOP "
                         "  PERFORM FROM " TEST_ACTIVITY " WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid(); "
                         "  IF FOUND THEN RETURN; END IF; "
                         "  PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); "
                         "END LOOP; RAISE 'nobody sleeps'; END $$");
}

static void expect_true(const struct tool *tool, const char *condition)
{
    char sql[512];
    snprintf(sql, sizeof sql, "SELECT 1 / (%s)::int", condition);
    test_psql(tool->url, sql);
}

/* Interrupts a command in the middle of a statement that would take ten minutes. */
static void interrupt(struct tool *tool, int signal_number, const char *words)
{
    pid_t child = tool_start(tool, words);
    await_sleeper(tool);
    assert_int_equal(kill(child, signal_number), 0);
    tool_wait(tool, child);
    assert_code(tool, 130);
    assert_contains(tool->err, "interrupted");
    expect_true(tool, "NOT EXISTS (SELECT FROM " TEST_ACTIVITY " WHERE pid <> pg_backend_pid() AND state = 'active')");
}

static void an_interrupt_cancels_what_runs_on_the_server(void **state)
{
    struct tool *tool = *state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    tool_write(tool, "migrations/002_slow.sql", "CREATE TABLE {{tables.second}} (id int);\nSELECT pg_sleep(600);\n");
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        interrupt(tool, signals[i], "migrate apply --module m --schema s");
        expect_true(tool, "to_regclass('s.first') IS NOT NULL AND to_regclass('s.second') IS NULL");
        expect_true(tool, "(SELECT array_agg(filename::text) FROM s.schema_migrations) = '{001_first.sql}'");
    }
    tool_write(tool, "migrations/002_slow.sql", "CREATE TABLE {{tables.second}} (id int);\n");
    tool_run(tool, "migrate apply --module m --schema s");
    assert_code(tool, 0);
}

static void an_interrupted_answer_is_still_one_json_value(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/002_slow.sql", "SELECT pg_sleep(600);\n");
    interrupt(tool, SIGINT, "migrate apply --module m --schema s --json");
    assert_contains(tool->out, "\"error\"");
    assert_contains(tool->out, "\"applied_now\": 1");
}

static void a_roll_out_ends_at_the_second_interrupt_at_the_latest(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE SCHEMA t1; CREATE SCHEMA t2");
    tool_write(tool, "migrations/002_slow.sql", "CREATE TABLE {{tables.second}} (id int);\nSELECT pg_sleep(600);\n");
    pid_t child = tool_start(tool, "fleet apply --module m --schemas t1,t2 --workers 2 --waves 100");
    await_sleeper(tool);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(kill(child, SIGTERM), 0);
    tool_wait(tool, child);
    assert_code(tool, 130);
    expect_true(tool, "to_regclass('t1.second') IS NULL AND to_regclass('t2.second') IS NULL");
}

static void two_interrupts_at_once_cancel_as_one_does(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/002_slow.sql", "SELECT pg_sleep(600);\n");
    pid_t child = tool_start(tool, "migrate apply --module m --schema s");
    await_sleeper(tool);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(kill(child, SIGTERM), 0);
    tool_wait(tool, child);
    assert_code(tool, 130);
    expect_true(tool, "NOT EXISTS (SELECT FROM " TEST_ACTIVITY " WHERE pid <> pg_backend_pid() AND state = 'active')");
}

static void a_signal_that_was_ignored_stays_so(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/002_slow.sql", "SELECT pg_sleep(1);\n");
    signal(SIGINT, SIG_IGN); /* inherited */
    pid_t child = tool_start(tool, "migrate apply --module m --schema s");
    signal(SIGINT, SIG_DFL);
    await_sleeper(tool);
    assert_int_equal(kill(child, SIGINT), 0);
    tool_wait(tool, child);
    assert_code(tool, 0);
}

static void progress_is_shown_on_a_terminal_and_wiped_away(void **state)
{
    struct tool *tool = *state;
    static const char words[] = "migrate apply --module m --schema s";
    tool_write(tool, "migrations/002_slow.sql", "SELECT pg_sleep(1.5);\n");
    tool_run_on_terminal(tool, words);
    assert_code(tool, 0);
    const char *line = strstr(tool->out, "[############............]  50 % 1/2 1 s");
    if (line == NULL)
        fail_msg("expected a bar half full, came\n%s", tool->out);
    assert_contains(line, "002_slow.sql");
    assert_contains(line, "\r\033[Kmodule m, schema s");
    assert_contains(tool->out, "2 files applied");
}

static void progress_and_colour_are_for_terminals_only(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/002_slow.sql", "SELECT pg_sleep(1.2);\n");
    tool_run(tool, "migrate apply --module m --schema s");
    assert_code(tool, 0);
    assert_string_equal(tool->err, "");
    assert_null(strchr(tool->out, '\033'));
    tool_run_on_terminal(tool, "migrate status --module m --schema s");
    assert_contains(tool->out, "\033[32mapplied");
    setenv("NO_COLOR", "1", 1);
    tool_run_on_terminal(tool, "migrate status --module m --schema s");
    unsetenv("NO_COLOR");
    assert_contains(tool->out, "applied");
    assert_null(strchr(tool->out, '\033'));
}

static void quiet_leaves_errors_and_what_was_asked_for(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/002_slow.sql", "SELECT pg_sleep(1.2);\n");
    tool_run_on_terminal(tool, "--quiet migrate apply --module m --schema s");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
    tool_run(tool, "--quiet migrate status --module m --schema s");
    assert_contains(tool->out, "2 applied, 0 pending");
    tool_write(tool, "migrations/003_wrong.sql", "SELECT 1/0;\n");
    tool_run(tool, "--quiet migrate apply --module m --schema s");
    assert_code(tool, 1);
    assert_contains(tool->err, "003_wrong.sql");
}

static void names_cannot_give_orders_to_a_terminal(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/002_odd.sql", "SELECT 1 FROM \"\033[31mnowhere\";\n");
    tool_run(tool, "migrate apply --module m --schema s");
    assert_code(tool, 1);
    assert_contains(tool->err, "?[31mnowhere");
    assert_null(strchr(tool->err, '\033'));
    test_psql(tool->url, "CREATE SCHEMA \"odd\033[2J\xC2\x9B\"");
    tool_run(tool, "schema list");
    assert_contains(tool->out, "odd?[2J?");
    assert_null(strchr(tool->out, '\033'));
    tool_run(tool, "check migrations");
    assert_null(strchr(tool->out, '\033'));
}

static void names_of_modules_cannot_either(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --dry-run --module \"$(printf 'm\\033[31m\\nDROP TABLE x;')\" --schema s");
    assert_code(tool, 0);
    assert_contains(tool->out,
                    "-- module m?[31m?DROP TABLE x;, schema s"); /* may be given to psql: a comment on one line */
    tool_run(tool, "migrate status --module \"$(printf 'm\\033[31m')\" --schema s");
    assert_contains(tool->out, "module m?[31m");
    test_psql(tool->url, "CREATE SCHEMA t1");
    tool_run(tool, "fleet status --module \"$(printf 'm\\033[31m')\" --schemas t1");
    assert_contains(tool->out, "module m?[31m");
    assert_null(strchr(tool->out, '\033'));
}

static void names_that_are_not_utf8_do_not_empty_the_json(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate status --json --module m --schema s --dir \"$(printf 'no\\377where')\"");
    assert_code(tool, 2);
    assert_contains(tool->out, "no?where cannot be read");
}

int main(void)
{
#define WITH_DATABASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_DATABASE(an_interrupt_cancels_what_runs_on_the_server),
        WITH_DATABASE(an_interrupted_answer_is_still_one_json_value),
        WITH_DATABASE(a_roll_out_ends_at_the_second_interrupt_at_the_latest),
        WITH_DATABASE(two_interrupts_at_once_cancel_as_one_does),
        WITH_DATABASE(a_signal_that_was_ignored_stays_so),
        WITH_DATABASE(progress_is_shown_on_a_terminal_and_wiped_away),
        WITH_DATABASE(progress_and_colour_are_for_terminals_only),
        WITH_DATABASE(names_cannot_give_orders_to_a_terminal),
        WITH_DATABASE(names_of_modules_cannot_either),
        WITH_DATABASE(names_that_are_not_utf8_do_not_empty_the_json),
        WITH_DATABASE(quiet_leaves_errors_and_what_was_asked_for),
    };
    return cmocka_run_group_tests_name("manners", tests, NULL, NULL);
}
