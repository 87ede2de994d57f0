/* SPDX-License-Identifier: MIT */
/* `pgdbm migrate` against a real server. */
#include "cli/tool.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A database, and two files that are in order. */
static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    char *url = test_database_create();
    snprintf(tool->url, sizeof tool->url, "%s", url);
    free(url);
    tool_write(tool, "migrations/001_users.sql", "CREATE TABLE {{tables.users}} (id int);\n");
    tool_write(tool, "migrations/002_more.sql", "ALTER TABLE {{tables.users}} ADD name text;\n");
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

#define USERS "--module users --schema app"

/* Fails the test unless the database has so many relations of this name. */
static void expect_tables(const struct tool *tool, const char *name, int wanted)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT 1 / (count(*) = %d)::int FROM pg_class WHERE relname = '%s'", wanted, name);
    test_psql(tool->url, sql);
}

static json_t *parse(const struct tool *tool)
{
    json_error_t where;
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    return answer;
}

static void status_is_three_until_everything_is_applied(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate status " USERS);
    assert_code(tool, 3);
    assert_contains(tool->out, "001_users.sql");
    assert_contains(tool->out, "2 pending");
    tool_run(tool, "migrate apply " USERS);
    assert_code(tool, 0);
    tool_run(tool, "migrate status " USERS);
    assert_code(tool, 0);
    assert_contains(tool->out, "2 applied");
    expect_tables(tool, "users", 1);
}

static void apply_again_has_nothing_to_do(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply " USERS);
    assert_code(tool, 0);
    tool_run(tool, "migrate apply --json " USERS);
    assert_code(tool, 0);
    json_t *answer = parse(tool);
    assert_int_equal(json_integer_value(json_object_get(answer, "applied_now")), 0);
    assert_int_equal(json_integer_value(json_object_get(answer, "pending")), 0);
    json_decref(answer);
}

static void a_dry_run_shows_everything_and_writes_nothing(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --dry-run " USERS);
    assert_code(tool, 0);
    assert_contains(tool->out, "001_users.sql");
    assert_contains(tool->out, "nothing was written");
    expect_tables(tool, "users", 0);
    expect_tables(tool, "schema_migrations", 0);
}

static void the_json_names_every_file_with_state_and_checksum(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --json " USERS);
    assert_code(tool, 0);
    json_t *answer = parse(tool);
    json_t *files = json_object_get(answer, "migrations");
    assert_string_equal(json_string_value(json_object_get(answer, "module")), "users");
    assert_int_equal(json_integer_value(json_object_get(answer, "applied_now")), 2);
    assert_int_equal(json_array_size(files), 2);
    json_t *first = json_array_get(files, 0);
    assert_string_equal(json_string_value(json_object_get(first, "filename")), "001_users.sql");
    assert_string_equal(json_string_value(json_object_get(first, "state")), "applied");
    assert_int_equal(strlen(json_string_value(json_object_get(first, "checksum"))), 64);
    json_decref(answer);
}

static void a_failing_file_is_named_with_its_line_and_nothing_of_it_remains(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/003_bad.sql", "CREATE TABLE {{tables.half}} (id int);\n\nSELECT nothing;\n");
    tool_run(tool, "migrate apply " USERS);
    assert_code(tool, 1);
    assert_contains(tool->err, "003_bad.sql");
    assert_contains(tool->err, "003_bad.sql:3");
    assert_contains(tool->err, "42703");
    expect_tables(tool, "users", 1);
    expect_tables(tool, "half", 0);
    tool_write(tool, "migrations/003_bad.sql", "CREATE TABLE {{tables.half}} (id int);\n");
    tool_run(tool, "migrate apply " USERS);
    assert_code(tool, 0);
    expect_tables(tool, "half", 1);
}

static void a_file_changed_after_it_was_applied_is_told_with_both_checksums(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --json " USERS);
    json_t *answer = parse(tool);
    char before[65];
    snprintf(before, sizeof before, "%s",
             json_string_value(json_object_get(json_array_get(json_object_get(answer, "migrations"), 0), "checksum")));
    json_decref(answer);
    tool_write(tool, "migrations/001_users.sql", "CREATE TABLE {{tables.users}} (id bigint);\n");
    tool_run(tool, "migrate apply " USERS);
    assert_code(tool, 1);
    assert_contains(tool->err, "001_users.sql");
    assert_contains(tool->err, before);
    assert_contains(tool->err, "the file's is");
    tool_run(tool, "migrate status " USERS);
    assert_code(tool, 3);
    assert_contains(tool->out, "changed");
}

static void the_module_is_mandatory(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply");
    assert_code(tool, 2);
    assert_contains(tool->err, "--module");
}

static void a_missing_directory_is_named(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --dir nowhere " USERS);
    assert_true(tool->code == 1 || tool->code == 2);
    assert_contains(tool->err, "nowhere");
    expect_tables(tool, "schema_migrations", 0);
}

static void a_url_on_the_command_line_wins_over_the_environment(void **state)
{
    struct tool *tool = *state;
    char url[512];
    memcpy(url, tool->url, sizeof url);
    snprintf(tool->url, sizeof tool->url, "postgresql://nobody@127.0.0.1:1/nowhere");
    tool_run(tool, "migrate apply --url '%s' " USERS, url);
    memcpy(tool->url, url, sizeof url);
    assert_code(tool, 0);
    expect_tables(tool, "users", 1);
}

static void a_host_that_is_said_is_not_another_because_of_a_variable(void **state)
{
    struct tool *tool = *state;
    char text[1024];
    snprintf(text, sizeof text, "PGHOSTADDR=127.0.0.1 \"$PGDBM\" db test-connection --url '%s'", tool->url);
    tool_shell(tool, text);
    snprintf(text, sizeof text, "[environments.dev]\nurl = \"%s\"\n", tool->url);
    tool_write(tool, "pgdbm.conf", text);
    tool_shell(tool, "PGHOSTADDR=127.0.0.1 \"$PGDBM\" db test-connection");
}

static void the_pool_of_the_program_is_none_of_the_commands(void **state)
{
    struct tool *tool = *state;
    static const char *const commands[] = {"migrate status " USERS, "db info", "schema list",
                                           "fleet status --schemas a --module users --dir migrations",
                                           "dev export-schema"};
    tool_run(tool, "migrate apply " USERS);
    assert_code(tool, 0);
    setenv("PGDBM_MIN_CONNECTIONS", "15", 1);
    setenv("PGDBM_MAX_CONNECTIONS", "15", 1);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        tool_run(tool, "%s", commands[i]);
        if (tool->code != 0)
            fail_msg("%s: expected 0, came %d and %s", commands[i], tool->code, tool->err);
    }
    unsetenv("PGDBM_MIN_CONNECTIONS");
    unsetenv("PGDBM_MAX_CONNECTIONS");
}

/* A server that takes connections and says nothing. With the variable alone the command would wait for ten minutes. */
static void the_addresses_connect_timeout_holds(void **state)
{
    struct tool *tool = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(mute >= 0);
    assert_int_equal(bind(mute, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(mute, 8), 0);
    assert_int_equal(getsockname(mute, (struct sockaddr *)&address, &bytes), 0);
    setenv("PGDBM_CONNECT_TIMEOUT_MS", "600000", 1);
    tool_run(tool, "db info --url 'postgresql://127.0.0.1:%d/x?connect_timeout=1'", ntohs(address.sin_port));
    unsetenv("PGDBM_CONNECT_TIMEOUT_MS");
    assert_code(tool, 4);
    assert_contains(tool->err, "within 1000 ms");
    setenv("PGCONNECT_TIMEOUT", "2", 1);
    tool_run(tool, "db info --url 'postgresql://127.0.0.1:%d/x'", ntohs(address.sin_port));
    unsetenv("PGCONNECT_TIMEOUT");
    close(mute);
    assert_code(tool, 4);
    assert_contains(tool->err, "within 2000 ms");
}

/* Its hostaddr would be stronger than the host that was said, its database would be another one. */
static void a_service_of_the_environment_does_not_take_an_address_over(void **state)
{
    struct tool *tool = *state;
    char text[1024];
    tool_write(tool, "services", "[away]\nhostaddr=127.0.0.1\nport=1\ndbname=nowhere\n");
    static const char before[] = "export PGSERVICEFILE=services PGSERVICE=away; \"$PGDBM\"";
    snprintf(text, sizeof text, "%s db test-connection --url '%s'", before, tool->url);
    tool_shell(tool, text);
    snprintf(text, sizeof text, "export DATABASE_URL='%s'; %s db test-connection", tool->url, before);
    tool_shell(tool, text);
    snprintf(text, sizeof text, "%s test sweep --dry-run --url '%s' || test $? = 3", before, tool->url);
    tool_shell(tool, text);
    snprintf(text, sizeof text, "unset DATABASE_URL; %s db test-connection 2>err; test $? = 4", before);
    tool_shell(tool, text);
    snprintf(text, sizeof text, "unset PGSERVICE; %s db test-connection --url service=away 2>err; test $? = 4", before);
    tool_shell(tool, text);
    snprintf(text, sizeof text, "[environments.dev]\nurl = \"%s\"\n", tool->url);
    tool_write(tool, "pgdbm.conf", text);
    snprintf(text, sizeof text, "unset DATABASE_URL; %s db test-connection", before);
    tool_shell(tool, text);
}

static void a_server_that_is_not_there_is_four_and_named(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --url postgresql://clerk@127.0.0.1:1/shop " USERS);
    assert_code(tool, 4);
    assert_contains(tool->err, "host=127.0.0.1");
    assert_contains(tool->err, "port=1");
    assert_contains(tool->err, "dbname=shop");
    assert_contains(tool->err, "attempt");
}

static void a_malformed_url_is_two_and_its_password_is_not_shown(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "migrate apply --url 'postgresql://me:s3cret@[::1/db' " USERS);
    assert_code(tool, 2);
    assert_null(strstr(tool->err, "s3cret"));
}

static void the_history_of_another_tool_is_named_and_left_alone(void **state)
{
    struct tool *tool = *state;
    static const char *const verbs[] = {"status", "apply", "verify", "check", "history", "baseline", "apply --dry-run"};
    test_psql(tool->url, "CREATE SCHEMA app; CREATE TABLE app.schema_migrations (version varchar PRIMARY KEY)");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        tool_run(tool, "migrate %s " USERS, verbs[i]);
        assert_code(tool, 1);
        assert_contains(tool->err, "\"app\".\"schema_migrations\" is not pgdbm's history");
        assert_contains(tool->err, "another name");
        assert_null(strstr(tool->err, "SELECT"));
    }
    test_psql(tool->url, "SELECT 1 / (count(*) = 1)::int FROM pg_attribute WHERE attnum > 0 AND attrelid ="
                         " 'app.schema_migrations'::regclass");
    expect_tables(tool, "users", 0);
    tool_run(tool, "migrate apply --table pgdbm_migrations " USERS);
    assert_code(tool, 0);
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FILES(status_is_three_until_everything_is_applied),
        WITH_FILES(apply_again_has_nothing_to_do),
        WITH_FILES(a_dry_run_shows_everything_and_writes_nothing),
        WITH_FILES(the_json_names_every_file_with_state_and_checksum),
        WITH_FILES(a_failing_file_is_named_with_its_line_and_nothing_of_it_remains),
        WITH_FILES(a_file_changed_after_it_was_applied_is_told_with_both_checksums),
        WITH_FILES(the_module_is_mandatory),
        WITH_FILES(a_missing_directory_is_named),
        WITH_FILES(a_url_on_the_command_line_wins_over_the_environment),
        WITH_FILES(a_host_that_is_said_is_not_another_because_of_a_variable),
        WITH_FILES(a_service_of_the_environment_does_not_take_an_address_over),
        WITH_FILES(the_addresses_connect_timeout_holds),
        WITH_FILES(the_pool_of_the_program_is_none_of_the_commands),
        WITH_FILES(a_server_that_is_not_there_is_four_and_named),
        WITH_FILES(a_malformed_url_is_two_and_its_password_is_not_shown),
        WITH_FILES(the_history_of_another_tool_is_named_and_left_alone),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
