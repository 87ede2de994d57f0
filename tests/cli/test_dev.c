/* SPDX-License-Identifier: MIT */
/* `pgdbm dev`: a server that belongs to a directory. */
#include "cli/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void whoever_comes_while_the_server_starts_gets_the_same(void **state)
{
    struct tool *tool = *state;
    tool_shell(
        tool, "{ $PGDBM dev start >one 2>err1; echo $? >code1; } & { $PGDBM dev start >two 2>err2; echo $? >code2; } & "
              "{ $PGDBM dev start >three 2>err3; echo $? >code3; } & wait; "
              "cat err1 err2 err3 >&2; "
              "test \"$(cat code1 code2 code3 | tr -d '\\n')\" = 000 && cmp one two && cmp one three && test -s one");
}

static void a_project_may_lie_in_a_directory_with_quotes_and_commas(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool,
               "mkdir \"Jane's, \\\"own\\\"\" && cd Jane* && export TMPDIR=\"${PWD%/*}\" && unset DATABASE_URL && "
               "{ \"$PGDBM\" db info >info 2>err; code=$?; url=$(\"$PGDBM\" dev url); \"$PGDBM\" dev stop 2>stop || "
               "code=9; cat err; } && sockets=${url##*host=} && test ! -e \"${sockets%%&*}\" && "
               "test $code = 0 && grep -q '^database' info");
}

/* PostgreSQL itself counts lines where the name is one of them. */
static void a_directory_with_a_line_end_in_its_name_is_refused(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "d=$(printf 'a\\nb') && mkdir \"$d\" && cd \"$d\" && unset DATABASE_URL && "
                     "{ \"$PGDBM\" dev start 2>err; test $? = 1; } && grep -q 'has a line end in it' err && "
                     "grep -q 'hint: ' err");
}

static void a_directory_whose_path_is_too_long_is_said_to_be_that(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "d=$(printf '%0200d' 0) && mkdir -p $d/$d/$d && cd $d/$d/$d && unset DATABASE_URL && "
                     "{ \"$PGDBM\" dev start 2>err; test $? = 1; } && grep -q 'too long' err && grep -q 'hint: ' err");
}

/* What a killed start has left is no cluster, and is in nobody's way. */
static void a_start_that_was_killed_is_started_anew(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "mkdir -p .pgdbm/server && chmod 755 . .pgdbm && chmod 777 .pgdbm/server && "
                     "mkdir -p .pgdbm/server/data.partial && echo half >.pgdbm/server/data.partial/PG_VERSION && "
                     "chmod -R a+rwX .pgdbm/server/data.partial");
    tool_run(tool, "dev start");
    assert_code(tool, 0);
    assert_contains(tool->out, "postgresql://");
}

/* Every command that would use the server, and those about it alone. */
static void refuses_the_folder(struct tool *tool, const char *before, const char *path, const char *why)
{
    static const char *const commands[] = {"dev start",
                                           "dev start --json",
                                           "dev url",
                                           "dev url --json",
                                           "dev stop",
                                           "dev stop --json",
                                           "migrate status --module m --dir .",
                                           "db info"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char command[512];
        snprintf(command, sizeof command,
                 "unset DATABASE_URL && { %s timeout 60 $PGDBM %s >out 2>err; code=$?; cat err; test $code = 2; } && "
                 "grep -q '%s/%s: %s' err && grep -q 'hint: .*DATABASE_URL' err%s",
                 before, commands[i], tool->directory, path, why,
                 strstr(commands[i], "--json") != NULL ? " && grep -q '\"error\": {' out" : "");
        tool_shell(tool, command);
    }
}

static void what_lies_where_the_server_belongs_is_named_with_the_way_out(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "echo mine >.pgdbm");
    refuses_the_folder(tool, "", ".pgdbm", "it is not a directory");
    tool_shell(tool, "rm .pgdbm && mkdir .pgdbm && echo mine >.pgdbm/server");
    refuses_the_folder(tool, "", ".pgdbm/server", "it is not a directory");
    tool_shell(tool, "rm .pgdbm/server && mkdir .pgdbm/server && echo mine >.pgdbm/server/data");
    refuses_the_folder(tool, "", ".pgdbm/server/data", "it is not a directory");
    tool_shell(tool, "grep -q mine .pgdbm/server/data && rm -r .pgdbm && ln -s nowhere .pgdbm");
    refuses_the_folder(tool, "", ".pgdbm", "No such file");
    tool_shell(tool, "rm .pgdbm && test ! -e nowhere");
}

static void a_directory_of_the_server_that_is_closed_is_named(void **state)
{
    struct tool *tool = *state;
    const char *as_somebody = geteuid() == 0 ? "setpriv --reuid=65534 --regid=65534 --clear-groups" : "";
    if (geteuid() == 0 && system("setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null") != 0)
        skip(); /* root may everything */
    tool_shell(tool, "mkdir -p .pgdbm/server && touch out err && chmod 666 out err && chmod 0 .pgdbm");
    refuses_the_folder(tool, as_somebody, ".pgdbm", "Permission denied");
    tool_shell(tool, "chmod 755 .pgdbm && chmod 0 .pgdbm/server");
    refuses_the_folder(tool, as_somebody, ".pgdbm/server", "Permission denied");
    tool_shell(tool, "chmod 555 .pgdbm .pgdbm/server");
    char command[256];
    snprintf(command, sizeof command,
             "{ %s $PGDBM dev start 2>err; test $? = 2; } && grep -q 'cannot write into .*: Permission denied' err && "
             "chmod -R u+rwX .pgdbm",
             as_somebody);
    tool_shell(tool, command);
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(start_prints_a_url_that_answers_and_stop_ends_it),
        WITH_TOOL(whoever_comes_while_the_server_starts_gets_the_same),
        WITH_TOOL(a_project_may_lie_in_a_directory_with_quotes_and_commas),
        WITH_TOOL(a_directory_with_a_line_end_in_its_name_is_refused),
        WITH_TOOL(a_directory_whose_path_is_too_long_is_said_to_be_that),
        WITH_TOOL(a_start_that_was_killed_is_started_anew),
        WITH_TOOL(what_lies_where_the_server_belongs_is_named_with_the_way_out),
        WITH_TOOL(a_directory_of_the_server_that_is_closed_is_named),
        WITH_TOOL(without_a_server_url_says_how_to_start_one),
        WITH_TOOL(stopping_what_does_not_run_is_fine),
    };
    return cmocka_run_group_tests_name("dev", tests, NULL, NULL);
}
