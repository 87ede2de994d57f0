/* SPDX-License-Identifier: MIT */
/* pgdbm.conf: what is read, what is refused and where, and what it decides. */
#include "cli/tool.h"

#include <stdio.h>
#include <string.h>

/* `dev url` reads the file and contacts nothing; without a server it ends with 1, and with 2 when the file is wrong. */
static void refuse(struct tool *tool, const char *text, const char *where, const char *why)
{
    tool_write(tool, "pgdbm.conf", text);
    tool_run(tool, "dev url");
    if (tool->code != 2 || strstr(tool->err, where) == NULL || strstr(tool->err, why) == NULL)
        fail_msg("expected exit code 2, '%s' and '%s' for\n%s\ncame %d and %s", where, why, text, tool->code,
                 tool->err);
    assert_string_equal(tool->out, "");
}

static void accept(struct tool *tool, const char *file, const char *text)
{
    tool_write(tool, file, text);
    tool_run(tool, "dev url");
    if (tool->code != 1)
        fail_msg("expected exit code 1 for\n%s\ncame %d and %s", text, tool->code, tool->err);
}

static void what_is_wrong_in_a_file_is_told_with_its_line(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *text, *where, *why;
    } wrong[] = {
        {"[project]\nnmae = x\n", "pgdbm.conf:2:", "did you mean name?"},
        {"[projcet]\n", "pgdbm.conf:1:", "did you mean [project]?"},
        {"[database]\n\n[database]\n", "pgdbm.conf:3:", "[database] is there twice"},
        {"[project]\nname = a\nname = b\n", "pgdbm.conf:3:", "there twice"},
        {"name = a\n", "pgdbm.conf:1:", "before any section"},
        {"[project]\nname\n", "pgdbm.conf:2:", "malformed line"},
        {"[project]\nname = a\rname = b\n", "pgdbm.conf:2:", "a CR inside of a line"},
        {"[project]\r[modules.a]\rschema = a\r", "pgdbm.conf:1:", "a CR inside of a line"},
        {"[modules.a]\nschema = \"\xff\"\n", "pgdbm.conf:2:", "not UTF-8"},
        {"[modules.a]\nschema = ${}\n", "pgdbm.conf:2:", "a ${} without a name"},
        {"[modules.a]\nschema = a\nschema = b\n", "pgdbm.conf:3:", "keep one of the two lines"},
        {"[project]\nname =\n", "pgdbm.conf:2:", "without a value"},
        {"[project]\nname = \"a\n", "pgdbm.conf:2:", "without its end"},
        {"[project]\nname = \"a\" b\n", "pgdbm.conf:2:", "behind a value"},
        {"[project]\nname = \"\\q\"\n", "pgdbm.conf:2:", "unknown escape"},
        {"[project]\nname = \"\"\"a\n", "pgdbm.conf:2:", "multi-line strings"},
        {"[project]\nname = { a = 1 }\n", "pgdbm.conf:2:", "inline tables"},
        {"[project]\nname.first = 1\n", "pgdbm.conf:2:", "malformed key"},
        {"[project]\nname = [\"a\"]\n", "pgdbm.conf:2:", "a single text is meant"},
        {"[[modules]]\n", "pgdbm.conf:1:", "arrays of tables"},
        {"[project\n", "pgdbm.conf:1:", "malformed section"},
        {"[modules.a.b]\n", "pgdbm.conf:1:", "names have no dots"},
        {"[modules.a]\ndepends_on = [\n\"b\"]\n", "pgdbm.conf:2:", "whole list on one line"},
        {"[modules.a]\ndepends_on = [[\"b\"]]\n", "pgdbm.conf:2:", "lists in lists"},
        {"[modules.a]\ndepends_on = [b c]\n", "pgdbm.conf:2:", "there is no module b c"},
        {"[modules.users]\n[modules.a]\ndepends_on = [\"user\"]\n", "pgdbm.conf:3:", "did you mean users?"},
        {"[modules.a]\nmode = shared\n", "pgdbm.conf:2:", "standalone, library or dual"},
        {"[modules.a]\nper_schema = yes\n", "pgdbm.conf:2:", "true or false"},
        {"[modules.a]\n[shared_pool]\nmodules = [a, b]\n", "pgdbm.conf:3:", "there is no module b"},
        {"[shared_pool]\nmax_connections = many\n", "pgdbm.conf:2:", "a whole number"},
        {"[shared_pool]\nmin_connections = 5\nmax_connections = 2\n", "pgdbm.conf:", "min_connections"},
        {"[environments.dev]\nssl_enabled = maybe\n", "pgdbm.conf:2:", "true or false"},
        {"[environments.dev]\nport = 99999\nhost = h\n", "pgdbm.conf:1:", "no port 99999"},
        {"[environments.dev]\n\nurl = ${PGDBM_NO_SUCH_VARIABLE}\n", "pgdbm.conf:3:", "PGDBM_NO_SUCH_VARIABLE"},
        {"[environments.dev]\nurl = ${HOME\n", "pgdbm.conf:2:", "without its }"},
        {"[environments.dev]\nurl = a\nconnection_string = b\n", "pgdbm.conf:3:", "url and connection_string are one"},
        {"[project]\ndefault_env = staging\n[environments.dev]\nuser = a\n", "pgdbm.conf:2:", "there is: dev"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuse(tool, wrong[i].text, wrong[i].where, wrong[i].why);
}

static void a_line_that_is_wrong_is_not_repeated_because_it_may_be_a_password(void **state)
{
    struct tool *tool = *state;
    static const char *const lines[] = {
        "url: postgresql://me:s3cret@h/x",
        "password s3cret",
        "password s3cret = x",
        "postgresql://me:s3cret@h/x?sslmode=disable",
        "password = [a] s3cret",
        "password = \"a\" s3cret",
        "host = h\npassword = a${s3cret@b}",
        "[s3cret",
        "[s3cret, x]",
        "port = s3cret",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[128];
        snprintf(text, sizeof text, "[environments.dev]\n%s\n", lines[i]);
        refuse(tool, text, "pgdbm.conf:", "");
        if (strstr(tool->err, "s3cret") != NULL)
            fail_msg("expected nothing of the line in the error for\n%s\ncame %s", text, tool->err);
    }
}

static void a_file_that_cannot_be_read_is_not_passed_over(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "pgdbm.conf", "[project]\nname = above\n");
    tool_shell(tool, "mkdir a b c && ln -s pgdbm.conf a/pgdbm.conf && ln -s gone b/pgdbm.conf && mkfifo c/pgdbm.conf");
    static const char *const commands[] = {"a", "b", "c"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char command[256];
        snprintf(
            command, sizeof command,
            "cd %s && timeout 30 \"$PGDBM\" dev url 2>err; test $? = 2 && grep -q 'cannot read .*/%s/pgdbm.conf' err",
            commands[i], commands[i]);
        tool_shell(tool, command);
    }
}

static void a_circle_of_modules_is_named_in_full(void **state)
{
    struct tool *tool = *state;
    refuse(tool,
           "[modules.a]\ndepends_on = [b]\n[modules.b]\ndepends_on = [c]\n[modules.c]\ndepends_on = [a]\n"
           "[modules.d]\ndepends_on = [a]\n",
           "pgdbm.conf:2:", "a -> b -> c -> a");
    refuse(tool, "[modules.a]\ndepends_on = [a]\n", "pgdbm.conf:2:", "a -> a");
}

static void a_file_of_toml_is_read_as_it_is(void **state)
{
    struct tool *tool = *state;
    static const char text[] = "# of the Python pgdbm\n"
                               "[project]\n"
                               "name = \"shop\"          # a comment; not a value\n"
                               "default_env = 'dev'\n"
                               "\n"
                               "[database]\n"
                               "migrations_table = \"schema_migrations\"\n"
                               "[environments]\n"
                               "[environments.dev]\n"
                               "  host = \"localhost\"\n"
                               "  port = 5432\n"
                               "  database = \"shop # ; dev\"\n"
                               "[environments.prod]\n"
                               "url = \"${PROD_DATABASE_URL}\"\n"
                               "ssl_enabled = true\n"
                               "ssl_mode = \"verify-full\"\n"
                               "[modules.users]\n"
                               "migrations_path = \"migrations/users\"\n"
                               "schema = \"users\"\n"
                               "mode = \"dual\"\n"
                               "depends_on = []\n"
                               "[modules.orders]\r\n"
                               "depends_on = [\"users\", ]\r\n"
                               "[shared_pool]\n"
                               "min_connections = 2\n"
                               "max_connections = 20\n"
                               "modules = [\"users\", 'orders']   # both\n";
    accept(tool, "pgdbm.toml", text);
}

static void long_values_arrive_in_full(void **state)
{
    struct tool *tool = *state;
    char text[2048];
    char name[1001];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "[environments.dev]\nurl = \"postgresql://h/%s ;no comment\"\nport = 1\n", name);
    refuse(tool, text, "pgdbm.conf:1:", "both url and parts");
    snprintf(text, sizeof text, "[environments.dev]\nurl = ${PGDBM_%s}\n", name);
    refuse(tool, text, "pgdbm.conf:2:", "PGDBM_xxx");
}

static void the_file_is_found_from_below_and_by_name(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "deep/below/here", "");
    tool_write(tool, "pgdbm.conf", "[wrong]\n");
    tool_shell(tool, "cd deep/below && { $PGDBM dev url 2>err; test $? = 2; } && grep -q 'pgdbm.conf:1: unknown' err");
    tool_write(tool, "other.conf", "[project]\n");
    tool_run(tool, "--config other.conf dev url");
    assert_code(tool, 1);
    tool_run(tool, "dev url --config=other.conf");
    assert_code(tool, 1);
    tool_shell(tool, "{ PGDBM_CONFIG=other.conf $PGDBM dev url; test $? = 1; }");
    tool_run(tool, "--config nowhere.conf dev url");
    assert_code(tool, 2);
    assert_contains(tool->err, "nowhere.conf");
    tool_shell(tool, "mkdir folder.conf");
    tool_run(tool, "--config folder.conf dev url");
    assert_code(tool, 2);
    assert_contains(tool->err, "folder.conf");
}

static void variables_of_other_environments_need_not_be_there(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "pgdbm.conf",
               "[environments.prod]\nurl = ${PGDBM_NO_SUCH_VARIABLE}\n[environments.dev]\nurl = a=b\n");
    tool_run(tool, "dev url");
    assert_code(tool, 1);
    tool_run(tool, "--env prod dev url");
    assert_code(tool, 2);
    assert_contains(tool->err, "pgdbm.conf:2:");
    tool_shell(tool, "{ PGDBM_ENV=prod $PGDBM dev url 2>err; test $? = 2; } && grep -q NO_SUCH err");
    tool_run(tool, "dev url --env nowhere");
    assert_code(tool, 2);
    assert_contains(tool->err, "there is: prod, dev");
}

/* Each of them would be read for ever, or waited for. */
static void what_is_no_file_of_a_sane_size_is_refused_at_once(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *name, *why;
    } refused[] = {
        {"/dev/zero", "a device"},      {"/dev/null", "a device"},           {"fifo.conf", "a pipe"},
        {"folder.conf", "a directory"}, {"sparse.conf", "larger than 1 MB"}, {"long.conf", "larger than 1 MB"},
    };
    tool_shell(tool, "mkfifo fifo.conf && mkdir folder.conf && truncate -s 8G sparse.conf && "
                     "yes '# a comment' | head -c 1048577 >long.conf && head -c 1048576 long.conf >longest.conf");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        tool_shell(tool, "rm -f out err");
        char command[256];
        snprintf(command, sizeof command,
                 "{ timeout 60 $PGDBM --config %s dev url 2>err; test $? = 2; } && "
                 "grep -q 'cannot read .*%s: it is %s' err && grep -q 'hint: ' err",
                 refused[i].name, refused[i].name, refused[i].why);
        tool_shell(tool, command);
    }
    tool_run(tool, "--config longest.conf dev url");
    assert_code(tool, 1);
}

static void an_empty_file_and_one_without_its_last_line_end_are_read(void **state)
{
    struct tool *tool = *state;
    accept(tool, "pgdbm.conf", "");
    refuse(tool, "[project]\nnmae = x", "pgdbm.conf:2:", "did you mean name?");
    accept(tool, "pgdbm.conf", "[project]\nname = x\r");
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, tool_setup, tool_teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(what_is_wrong_in_a_file_is_told_with_its_line),
        WITH_TOOL(a_circle_of_modules_is_named_in_full),
        WITH_TOOL(a_line_that_is_wrong_is_not_repeated_because_it_may_be_a_password),
        WITH_TOOL(a_file_that_cannot_be_read_is_not_passed_over),
        WITH_TOOL(a_file_of_toml_is_read_as_it_is),
        WITH_TOOL(long_values_arrive_in_full),
        WITH_TOOL(the_file_is_found_from_below_and_by_name),
        WITH_TOOL(variables_of_other_environments_need_not_be_there),
        WITH_TOOL(what_is_no_file_of_a_sane_size_is_refused_at_once),
        WITH_TOOL(an_empty_file_and_one_without_its_last_line_end_are_read),
    };
    return cmocka_run_group_tests_name("project", tests, NULL, NULL);
}
