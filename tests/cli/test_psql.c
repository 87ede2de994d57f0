/* SPDX-License-Identifier: MIT */
/* `pgdbm dev psql` and `pgdbm dev export-schema`: PostgreSQL's own programs, told where to go. */
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
    tool_write(tool, "migrations/users/001_users.sql",
               "CREATE TABLE {{tables.users}} (id int PRIMARY KEY, name text);\n");
    tool_write(tool, "migrations/orders/001_orders.sql",
               "CREATE TABLE {{tables.orders}} (user_id int REFERENCES {{tables.users.users}});\n");
    tool_write(tool, "pgdbm.conf",
               "[project]\ndefault_env = test\n[environments.test]\n[environments.production]\nurl = ${DATABASE_URL}\n"
               "[modules.users]\nschema = users\n"
               "[modules.orders]\nschema = orders\ndepends_on = [\"users\"]\n");
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

static void expect(struct tool *tool, int code, const char *out, const char *err, const char *words)
{
    tool_run(tool, "%s", words);
    assert_code(tool, code);
    if (out != NULL)
        assert_contains(tool->out, out);
    if (err != NULL)
        assert_contains(tool->err, err);
}

static void psql_gets_the_words_behind_the_dashes(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "current=", NULL, "dev psql -- -At -c \"SELECT 'current=' || current_database()\"");
    const char *name = strchr(tool->out, '=') + 1;
    if (strstr(tool->url, test_format("%.*s", (int)strcspn(name, "\n"), name)) == NULL)
        fail_msg("expected the database of %s, came %s", tool->url, name);
    expect(tool, 0, "psql", NULL, "dev psql -- --help");
    expect(tool, 1, NULL, "no_such_table", "dev psql -- -c 'SELECT * FROM no_such_table'");
    expect(tool, 2, NULL, "unexpected", "dev psql word");
}

static void psql_looks_names_up_in_the_modules_schema(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "migrate apply");
    expect(tool, 0, "\"users\", public\n", NULL, "dev psql --module users -- -Atc 'SHOW search_path'");
    expect(tool, 0, "0 rows", NULL, "dev psql --schema orders -- -c 'TABLE orders'");
    expect(tool, 1, NULL, "orders", "dev psql --schema users -- -c 'TABLE orders'");
    expect(tool, 2, NULL, "no_such", "dev psql --module no_such -- -c 'SELECT 1'");
}

/* The words of psql's own process, as everybody can see them; the password arrives all the same. */
static void nobody_sees_the_password_in_the_list_of_processes(void **state)
{
    struct tool *tool = *state;
    size_t bytes = strlen(tool->url);
    snprintf(tool->url + bytes, sizeof tool->url - bytes, "%cpassword=%s", strchr(tool->url, '?') != NULL ? '&' : '?',
             "secret-word");
    expect(tool, 0, "--dbname=", NULL, "dev psql -- -c '\\! tr \"\\0\" \"\\n\" </proc/$PPID/cmdline'");
    if (strstr(tool->out, "secret-word") != NULL || strstr(tool->err, "secret-word") != NULL)
        fail_msg("expected no password, came:\n%s%s", tool->out, tool->err);
    expect(tool, 0, "secret-word", NULL, "dev psql -- -c '\\! echo $PGPASSWORD'");
    tool->url[bytes] = '\0';
}

static void without_a_server_the_code_is_four(void **state)
{
    struct tool *tool = *state;
    static const char nowhere[] = "--url postgresql://localhost:1/x";
    tool_run(tool, "dev psql %s -- -c 'SELECT 1'", nowhere);
    assert_code(tool, 4);
    tool_write(tool, "structure.sql", "kept\n");
    tool_run(tool, "dev export-schema --output structure.sql %s", nowhere);
    assert_code(tool, 4);
    char *text = tool_read(tool, "structure.sql");
    assert_string_equal(text, "kept\n");
    free(text);
}

static void without_the_programs_their_package_is_named(void **state)
{
    struct tool *tool = *state;
    setenv("PGDBM_POSTGRES_BIN", "/nonexistent", 1);
    expect(tool, 1, NULL, "install the package postgresql-client", "dev psql");
    assert_contains(tool->err, "psql was not found in PGDBM_POSTGRES_BIN=/nonexistent");
    expect(tool, 1, NULL, "pg_dump was not found", "dev export-schema --all");
    unsetenv("PGDBM_POSTGRES_BIN");
}

static void in_production_psql_says_so_and_runs(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "fine", "environment production", "--env production dev psql -- -Atc \"SELECT 'fine'\"");
}

/* What is exported, loaded into an empty database and exported again is the same. */
static void what_is_exported_makes_the_same_structure(void **state)
{
    struct tool *tool = *state;
    char *copy = test_database_create();
    expect(tool, 0, NULL, NULL, "migrate apply");
    expect(tool, 0, "", "structure of 2 schemas", "dev export-schema --output one.sql");
    assert_string_equal(tool->out, "");
    tool_run(tool, "dev psql --url '%s' -- -qv ON_ERROR_STOP=1 -f one.sql", copy);
    assert_code(tool, 0);
    tool_run(tool, "dev export-schema --all --url '%s' --output two.sql", copy);
    assert_code(tool, 0);
    tool_shell(tool, "diff one.sql two.sql");
    tool_shell(tool, "grep -q 'CREATE TABLE users.users' one.sql && grep -q 'FOREIGN KEY' one.sql");
    test_database_drop(copy);
}

/* The word that keeps psql from obeying what is exported would be another one each time. */
static void two_exports_are_the_same_and_those_of_another_structure_have_another_word(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "migrate apply");
    expect(tool, 0, NULL, NULL, "dev export-schema --output one.sql");
    expect(tool, 0, NULL, NULL, "dev export-schema --output two.sql");
    test_psql(tool->url, "ALTER TABLE users.users ADD note text");
    expect(tool, 0, NULL, NULL, "dev export-schema --output other.sql");
    tool_shell(tool, "cmp one.sql two.sql && for n in one other; do sed -n 's/^.restrict //p' $n.sql >$n && "
                     "sed -n 's/^.unrestrict //p' $n.sql | cmp - $n; done && { test ! -s one || ! cmp -s one other; }");
}

static void a_module_or_a_schema_is_exported_alone(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "migrate apply");
    static const char *const words[] = {"--module users", "--schema users"};
    for (size_t i = 0; i < 2; i++) {
        tool_run(tool, "dev export-schema %s", words[i]);
        assert_code(tool, 0);
        assert_contains(tool->out, "CREATE TABLE users.users");
        if (strstr(tool->out, "orders.orders") != NULL)
            fail_msg("expected nothing of orders with %s, came:\n%s", words[i], tool->out);
    }
    expect(tool, 2, NULL, "exclude each other", "dev export-schema --module users --all");
    expect(tool, 2, NULL, "no_such", "dev export-schema --module no_such");
    expect(tool, 1, NULL, "no matching schemas", "dev export-schema --schema 'user*'");
}

static void a_failed_export_leaves_the_file_as_it_was(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "migrate apply");
    expect(tool, 1, NULL, "No space left", "dev export-schema --output /dev/full");
    tool_shell(tool, test_format("export DATABASE_URL='%s'; code=0; \"$PGDBM\" dev export-schema >/dev/full 2>err || "
                                 "code=$?; test $code = 1 && grep -q 'No space left' err",
                                 tool->url));
    expect(tool, 1, NULL, "cannot write nowhere/s.sql", "dev export-schema --output nowhere/s.sql");
    tool_write(tool, "structure.sql", "kept\n");
    expect(tool, 1, NULL, "no matching schemas", "dev export-schema --schema none --output structure.sql");
    tool_shell(tool, test_format("export DATABASE_URL='%s'; code=0; (ulimit -f 1; \"$PGDBM\" dev export-schema "
                                 "--output structure.sql 2>err) || code=$?; cat err; test $code = 1 && "
                                 "grep -q 'File too large' err && test \"$(cat structure.sql)\" = kept",
                                 tool->url));
    tool_shell(tool, "test \"$(ls structure.sql*)\" = structure.sql");
}

/* In the middle of pg_dump, and behind it, when nobody reads what is written. A shell's background processes do not get SIGINT. */
static void an_export_that_is_interrupted_ends_and_leaves_nothing(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "migrate apply");
    tool_shell(tool, "mkdir bin && mkfifo unread && echo kept >s.sql && "
                     "printf '#!/bin/sh\necho >begun\nexec sleep 60\n' >bin/pg_dump && chmod +x bin/pg_dump");
    tool_shell(tool, test_format("export DATABASE_URL='%s' PGDBM_POSTGRES_BIN=\"$PWD/bin\"; "
                                 "\"$PGDBM\" dev export-schema --output s.sql 2>err & child=$!; "
                                 "while [ ! -e begun ]; do sleep 0.01; done; rm begun; code=0; kill -TERM $child; "
                                 "wait $child || code=$?; cat err; echo code $code; test $code = 130 && "
                                 "test \"$(ls s.sql*)\" = s.sql && test \"$(cat s.sql)\" = kept",
                                 tool->url));
    tool_shell(tool, "printf '#!/bin/sh\nhead -c 1000000 /dev/zero\necho >begun\n' >bin/pg_dump");
    tool_shell(tool,
               test_format("export DATABASE_URL='%s' PGDBM_POSTGRES_BIN=\"$PWD/bin\"; exec 3<>unread; "
                           "\"$PGDBM\" dev export-schema >unread 2>err & child=$!; "
                           "while [ ! -e begun ]; do sleep 0.01; done; code=0; kill -TERM $child; "
                           "wait $child || code=$?; cat err; echo code $code; test $code = 130 || test $code = 143",
                           tool->url));
}

static void a_link_stays_a_link_and_a_mode_a_mode(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "migrate apply");
    tool_shell(tool, "mkdir real && echo old >real/s.sql && chmod 640 real/s.sql && ln -s real/s.sql s.sql");
    expect(tool, 0, NULL, NULL, "dev export-schema --output s.sql");
    tool_shell(tool, "test -L s.sql && test $(stat -c %a real/s.sql) = 640 && grep -q users.users real/s.sql");
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(psql_gets_the_words_behind_the_dashes),
        WITH_TOOL(psql_looks_names_up_in_the_modules_schema),
        WITH_TOOL(nobody_sees_the_password_in_the_list_of_processes),
        WITH_TOOL(without_a_server_the_code_is_four),
        WITH_TOOL(without_the_programs_their_package_is_named),
        WITH_TOOL(in_production_psql_says_so_and_runs),
        WITH_TOOL(what_is_exported_makes_the_same_structure),
        WITH_TOOL(two_exports_are_the_same_and_those_of_another_structure_have_another_word),
        WITH_TOOL(a_module_or_a_schema_is_exported_alone),
        WITH_TOOL(a_failed_export_leaves_the_file_as_it_was),
        WITH_TOOL(an_export_that_is_interrupted_ends_and_leaves_nothing),
        WITH_TOOL(a_link_stays_a_link_and_a_mode_a_mode),
    };
    return cmocka_run_group_tests_name("psql", tests, NULL, NULL);
}
