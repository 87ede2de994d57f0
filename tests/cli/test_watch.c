/* SPDX-License-Identifier: MIT */
/* `pgdbm dev watch` and `pgdbm dev reset`. What a watching program does is seen in its output, which is waited for. */
#include "cli/tool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t watching;
static char *database; /* its connection string */

static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    database = test_database_create();
    snprintf(tool->url, sizeof tool->url, "%s", database);
    tool_write(tool, "pgdbm.conf",
               "[project]\ndefault_env = test\n[environments.test]\n[environments.prod]\n"
               "[modules.users]\nschema = users\n"
               "[modules.orders]\nschema = orders\ndepends_on = [\"users\"]\n");
    tool_write(tool, "migrations/users/001_users.sql", "CREATE TABLE {{tables.users}} (id int PRIMARY KEY);\n");
    tool_write(tool, "migrations/orders/001_orders.sql",
               "CREATE TABLE {{tables.orders}} (user_id int REFERENCES {{tables.users.users}});\n");
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    if (watching > 0) {
        kill(watching, SIGKILL);
        waitpid(watching, NULL, 0);
        watching = 0;
    }
    test_database_drop(database);
    tool_shell(tool, "test ! -d .pgdbm || \"$PGDBM\" --quiet dev stop >/dev/null");
    return tool_teardown(state);
}

/* How often `text` stands in the file. */
static int count(const struct tool *tool, const char *file, const char *text)
{
    char *all = tool_read(tool, file);
    int n = 0;
    for (const char *at = strstr(all, text); at != NULL; at = strstr(at + 1, text))
        n++;
    free(all);
    return n;
}

/* Waits until it stands there for the so many-th time. */
static void await(struct tool *tool, const char *file, const char *text, int times)
{
    enum { LIMIT_S = 40 };
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
    for (int i = 0; i < LIMIT_S * 100; i++) {
        if (count(tool, file, text) >= times)
            return;
        if (waitpid(watching, NULL, WNOHANG) != 0) {
            watching = 0;
            break;
        }
        nanosleep(&moment, NULL);
    }
    char *out = tool_read(tool, "out");
    char *err = tool_read(tool, "err");
    print_error("expected \"%s\" in %s (%d times), came\n--- standard output\n%s\n--- standard error\n%s\n", text, file,
                times, out, err);
    free(out);
    free(err);
    fail();
}

static void start(struct tool *tool, const char *words)
{
    tool_write(tool, "out", "");
    tool_write(tool, "err", "");
    watching = tool_start(tool, words);
}

static void stop(struct tool *tool, int signal_number)
{
    pid_t child = watching;
    watching = 0;
    kill(child, signal_number);
    tool_wait(tool, child);
    assert_code(tool, 0);
}

/* As editors do it: beside, then in its place. */
static void save(struct tool *tool, const char *file, const char *text)
{
    char command[256];
    tool_write(tool, "edited~", text);
    snprintf(command, sizeof command, "mv edited~ '%s'", file);
    tool_shell(tool, command);
}

static void pending_and_new_files_are_applied(void **state)
{
    struct tool *tool = *state;
    start(tool, "dev watch");
    await(tool, "err", "everything is applied", 1);
    assert_int_equal(count(tool, "out", "applied  users  001_users.sql"), 1);
    assert_int_equal(count(tool, "out", "applied  orders  001_orders.sql"), 1);
    save(tool, "migrations/orders/002_more.sql", "ALTER TABLE {{tables.orders}} ADD article text;\n");
    await(tool, "out", "applied  orders  002_more.sql", 1);
    tool_write(tool, "migrations/users/002_more.sql", "ALTER TABLE {{tables.users}} ADD name text;\n");
    await(tool, "out", "applied  users  002_more.sql", 1);
    test_psql(tool->url, "SELECT article FROM orders.orders; SELECT name FROM users.users");
    stop(tool, SIGINT);
}

static void an_error_is_shown_in_its_line_and_the_next_save_mends_it(void **state)
{
    struct tool *tool = *state;
    start(tool, "dev watch");
    await(tool, "err", "everything is applied", 1);
    save(tool, "migrations/users/002_more.sql", "SELECT 1;\nALTER TABLE {{tables.users}} ADD name txet;\n");
    await(tool, "err", "waiting for the next change", 1);
    assert_int_equal(count(tool, "err", "002_more.sql:2:"), 1);
    assert_int_equal(count(tool, "err",
                           "  2 | ALTER TABLE {{tables.users}} ADD name txet;\n"
                           "    |                                       ^\n"),
                     1);
    save(tool, "migrations/users/002_more.sql", "SELECT 1;\nALTER TABLE {{tables.users}} ADD name text;\n");
    await(tool, "err", "everything is applied", 2);
    assert_int_equal(count(tool, "out", "applied  users  002_more.sql"), 1);
    stop(tool, SIGTERM);
}

static void ctrl_c_cancels_what_runs_and_leaves_nothing_of_it(void **state)
{
    struct tool *tool = *state;
    start(tool, "dev watch");
    await(tool, "err", "everything is applied", 1);
    save(tool, "migrations/users/002_slow.sql",
         "CREATE TABLE {{tables.half}} ();\nSELECT pg_sleep(600), 'so that it is seen';\n");
    static const char sessions[] =
        "SELECT 1 / count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE "
        "'%that it is seen%' AND pid <> pg_backend_pid()";
    char command[1024];
    snprintf(command, sizeof command,
             "for i in $(seq 6000); do \"$PGDBM\" dev psql --url '%s' -- -qAt -c \"%s\" >/dev/null 2>&1 && exit 0; "
             "sleep 0.01; done; exit 1",
             tool->url, sessions);
    tool_shell(tool, command);
    stop(tool, SIGINT);
    test_psql(tool->url, "SELECT 1 / (to_regclass('users.half') IS NULL)::int");
}

static void a_changed_file_is_told_with_the_way_out(void **state)
{
    struct tool *tool = *state;
    start(tool, "dev watch --redo");
    await(tool, "err", "everything is applied", 1);
    save(tool, "migrations/users/001_users.sql", "CREATE TABLE {{tables.users}} (id int PRIMARY KEY, name text);\n");
    await(tool, "err", "waiting for the next change", 1);
    assert_int_equal(count(tool, "err", "was changed after it was applied"), 1);
    assert_int_equal(count(tool, "err", "pgdbm dev reset"), 1);
    stop(tool, SIGINT);
}

static void redo_undoes_the_newest_file_and_applies_it_anew(void **state)
{
    struct tool *tool = *state;
    static const char with_a[] = "CREATE TABLE {{tables.more}} (a int);\n-- pgdbm:down\nDROP TABLE {{tables.more}};\n";
    static const char with_b[] = "CREATE TABLE {{tables.more}} (b int);\n-- pgdbm:down\nDROP TABLE {{tables.more}};\n";
    tool_write(tool, "migrations/users/002_more.sql", with_a);
    start(tool, "dev watch");
    await(tool, "err", "everything is applied", 1);
    save(tool, "migrations/users/002_more.sql", with_b);
    await(tool, "err", "pgdbm dev watch --redo", 1);
    stop(tool, SIGINT);
    start(tool, "dev watch --redo");
    await(tool, "err", "everything is applied", 1);
    assert_int_equal(count(tool, "out", "undone  users  002_more.sql"), 1);
    assert_int_equal(count(tool, "out", "applied  users  002_more.sql"), 1);
    test_psql(tool->url, "SELECT b FROM users.more");
    save(tool, "migrations/users/002_more.sql", with_a);
    await(tool, "out", "applied  users  002_more.sql", 2);
    test_psql(tool->url, "SELECT a FROM users.more");
    stop(tool, SIGINT);
}

static void a_directory_may_come_and_go(void **state)
{
    struct tool *tool = *state;
    start(tool, "dev watch --module notes --schema notes --dir later/notes");
    await(tool, "err", "waiting for the next change", 1);
    tool_write(tool, "later/notes/001_a.sql", "CREATE TABLE {{tables.a}} ();\n");
    await(tool, "out", "001_a.sql", 1);
    tool_shell(tool, "mv later away");
    await(tool, "err", "cannot be read", 2);
    tool_write(tool, "away/notes/002_b.sql", "CREATE TABLE {{tables.b}} ();\n");
    tool_shell(tool, "mv away later");
    await(tool, "out", "002_b.sql", 1);
    tool_shell(tool, "rm later/notes/001_a.sql");
    await(tool, "err", "001_a.sql", 1); /* applied, and gone */
    stop(tool, SIGINT);
}

static void a_file_that_cannot_be_read_is_waited_for(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "ln -s /nonexistent migrations/users/002_more.sql");
    start(tool, "dev watch");
    await(tool, "err", "002_more.sql", 1);
    await(tool, "err", "waiting for the next change", 1);
    save(tool, "migrations/users/002_more.sql", "CREATE TABLE {{tables.more}} ();\n");
    await(tool, "out", "applied  users  002_more.sql", 1);
    stop(tool, SIGINT);
}

/* On a server of the test's own, which stops and starts again. */
static void a_server_that_has_gone_is_told_and_tried_again(void **state)
{
    struct tool *tool = *state;
    tool->url[0] = '\0';
    start(tool, "dev watch");
    await(tool, "err", "everything is applied", 1);
    tool_shell(tool, "\"$PGDBM\" --quiet dev stop");
    save(tool, "migrations/users/002_more.sql", "CREATE TABLE {{tables.more}} ();\n");
    await(tool, "err", "is the server running?", 1);
    tool_shell(tool, "\"$PGDBM\" --quiet dev start >/dev/null");
    tool_shell(tool, "touch migrations/users/002_more.sql");
    await(tool, "out", "applied  users  002_more.sql", 1);
    stop(tool, SIGINT);
}

static void wrong_usage_and_no_server_end_it_at_once(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "dev watch --url postgresql://localhost:1/x");
    assert_code(tool, 4);
    tool_run(tool, "dev watch --dir migrations/users");
    assert_code(tool, 2);
    tool_run(tool, "dev watch --module no_such");
    assert_code(tool, 2);
    tool_run(tool, "--env prod dev watch");
    assert_code(tool, 2);
    assert_contains(tool->err, "refused in the environment prod");
}

static void reset_drops_everything_and_builds_it_anew(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply");
    assert_code(tool, 0);
    test_psql(tool->url, "INSERT INTO users.users VALUES (1); CREATE TABLE orders.mine (); CREATE SCHEMA other; "
                         "CREATE TABLE other.stays ()");
    tool_write(tool, "migrations/users/001_users.sql",
               "CREATE TABLE {{tables.users}} (id int PRIMARY KEY, name text);\n");
    tool_run(tool, "dev reset --yes");
    assert_code(tool, 0);
    assert_contains(tool->out, "001_orders.sql");
    test_psql(tool->url, "SELECT 1 / (count(name) = 0)::int FROM users.users; TABLE other.stays; "
                         "SELECT 1 / (to_regclass('orders.mine') IS NULL)::int");
    tool_run(tool, "migrate status");
    assert_code(tool, 0);
}

static void reset_asks_and_is_not_for_production(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply");
    assert_code(tool, 0);
    test_psql(tool->url, "INSERT INTO users.users VALUES (1)");
    tool_run(tool, "dev reset");
    assert_code(tool, 2);
    assert_contains(tool->err, "everything in the schemas users, orders of the database");
    assert_contains(tool->err, "--yes");
    tool_run(tool, "--env prod dev reset --yes");
    assert_code(tool, 2);
    assert_contains(tool->err, "refused in the environment prod");
    tool_run(tool, "dev reset --yes --module users");
    assert_code(tool, 2);
    tool_run(tool, "dev reset --yes --url postgresql://localhost:1/x");
    assert_code(tool, 4);
    tool_shell(tool, "mv migrations/orders away");
    tool_run(tool, "dev reset --yes");
    assert_code(tool, 2);
    assert_contains(tool->err, "migrations/orders");
    test_psql(tool->url, "SELECT 1 / count(*) FROM users.users");
}

static void reset_of_public_leaves_it_as_in_a_new_database(void **state)
{
    struct tool *tool = *state;
    static const char look[] =
        "SELECT nspowner::regrole, nspacl, obj_description(oid) FROM pg_namespace WHERE nspname = "
        "'public'";
    char command[1024];
    tool_shell(tool, "rm pgdbm.conf");
    tool_run(tool, "migrate apply --module users --dir migrations/users");
    assert_code(tool, 0);
    snprintf(command, sizeof command, "\"$PGDBM\" dev psql --url '%s' -- -qAt -c \"%s\" >before", tool->url, look);
    tool_shell(tool, command);
    tool_run(tool, "dev reset --module users --dir migrations/users --yes --json");
    assert_code(tool, 0);
    assert_contains(tool->out, "\"applied_now\": 1");
    snprintf(command, sizeof command, "\"$PGDBM\" dev psql --url '%s' -- -qAt -c \"%s\" >after && diff before after",
             tool->url, look);
    tool_shell(tool, command);
}

int main(void)
{
#define WITH_TOOL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TOOL(pending_and_new_files_are_applied),
        WITH_TOOL(an_error_is_shown_in_its_line_and_the_next_save_mends_it),
        WITH_TOOL(ctrl_c_cancels_what_runs_and_leaves_nothing_of_it),
        WITH_TOOL(a_changed_file_is_told_with_the_way_out),
        WITH_TOOL(redo_undoes_the_newest_file_and_applies_it_anew),
        WITH_TOOL(a_directory_may_come_and_go),
        WITH_TOOL(a_file_that_cannot_be_read_is_waited_for),
        WITH_TOOL(a_server_that_has_gone_is_told_and_tried_again),
        WITH_TOOL(wrong_usage_and_no_server_end_it_at_once),
        WITH_TOOL(reset_drops_everything_and_builds_it_anew),
        WITH_TOOL(reset_asks_and_is_not_for_production),
        WITH_TOOL(reset_of_public_leaves_it_as_in_a_new_database),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
