/* SPDX-License-Identifier: MIT */
/* The verbs of `pgdbm migrate` beyond apply and status, against a real server: what they print, and how they end. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USERS "--module users --schema app"

/* A database, and three files of which the last can be undone. */
static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    char *url = test_database_create();
    snprintf(tool->url, sizeof tool->url, "%s", url);
    free(url);
    tool_write(tool, "migrations/001_users.sql", "CREATE TABLE {{tables.users}} (id int);\n");
    tool_write(tool, "migrations/002_name.sql", "ALTER TABLE {{tables.users}} ADD name text;\n");
    tool_write(
        tool, "migrations/003_email.sql",
        "ALTER TABLE {{tables.users}} ADD email text;\n-- pgdbm:down\nALTER TABLE {{tables.users}} DROP email;\n");
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

static void expect(struct tool *tool, int code, const char *text, const char *words)
{
    tool_run(tool, "%s", words);
    assert_code(tool, code);
    if (text != NULL)
        assert_contains(tool->out, text);
}

static void expect_true(const struct tool *tool, const char *condition)
{
    char sql[512];
    snprintf(sql, sizeof sql, "SELECT 1 / (%s)::int", condition);
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

static void a_dry_run_prints_sql_that_psql_would_take(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "-- 3 files would be applied; nothing was written", "migrate apply --dry-run " USERS);
    assert_contains(tool->out, "-- 002_name.sql");
    assert_contains(tool->out, "ALTER TABLE \"app\".\"users\" ADD name text;");
    expect_true(tool, "NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'app')");
    test_psql(tool->url, tool->out);
    expect(tool, 0, "nothing to do", "migrate apply " USERS);
}

static void apply_stops_at_its_target(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "2 files applied", "migrate apply --target 2 " USERS);
    expect(tool, 3, "1 pending", "migrate status " USERS);
    expect(tool, 1, NULL, "migrate apply --target 9 " USERS);
    assert_contains(tool->err, "9");
    expect(tool, 0, "1 file applied", "migrate apply " USERS);
}

static void a_policy_is_an_option(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "migrate apply " USERS);
    tool_write(tool, "migrations/001_before.sql", "SELECT 1;\n");
    expect(tool, 1, NULL, "migrate apply " USERS);
    assert_contains(tool->err, "001_before.sql");
    tool_run(tool, "migrate apply --allow-duplicate --allow-out-of-order " USERS);
    assert_code(tool, 0);
}

static void the_build_stands_in_the_history(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "migrate apply --build v1.2 " USERS);
    expect(tool, 0, "v1.2", "migrate history " USERS);
    assert_contains(tool->out, "3 files applied, head 003");
    expect(tool, 0, NULL, "migrate history --json " USERS);
    json_t *answer = parse(tool);
    json_t *last = json_array_get(json_object_get(answer, "migrations"), 2);
    assert_string_equal(json_string_value(json_object_get(last, "build")), "v1.2");
    assert_string_equal(json_string_value(json_object_get(last, "filename")), "003_email.sql");
    json_decref(answer);
}

static void a_try_shows_locks_and_leaves_nothing(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "migrate apply --target 1 " USERS);
    expect(tool, 0, "AccessExclusiveLock", "migrate apply --try " USERS);
    assert_contains(tool->out, "002_name.sql:1");
    assert_contains(tool->out, "tried and rolled back");
    expect(tool, 3, "2 pending", "migrate status " USERS);
    expect_true(tool,
                "NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'app.users'::regclass AND attname = 'name')");
}

static void rollback_undoes_the_last_file(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "migrate apply " USERS);
    expect(tool, 0, "DROP email;", "migrate rollback --dry-run " USERS);
    expect(tool, 0, "1 file undone", "migrate rollback --yes " USERS);
    expect(tool, 3, "1 pending", "migrate status " USERS);
    expect(tool, 1, NULL, "migrate rollback --yes " USERS);
    assert_contains(tool->err, "002_name.sql");
    assert_contains(tool->err, "no down part");
    assert_null(strstr(tool->out, "nothing to do"));
}

static void a_baseline_is_recorded_and_not_run(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE SCHEMA app; CREATE TABLE app.users (id int, name text)");
    expect(tool, 0, "2 files recorded as applied", "migrate baseline --target 2 " USERS);
    expect(tool, 1, NULL, "migrate baseline " USERS);
    assert_contains(tool->err, "has a history");
    expect(tool, 0, "1 file applied", "migrate apply " USERS);
}

static void verify_and_repair_know_a_comment_from_a_change(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "migrate apply " USERS);
    expect(tool, 0, "3 applied", "migrate verify " USERS);
    tool_write(tool, "migrations/001_users.sql", "-- ours\nCREATE TABLE {{tables.users}} (id int);\n");
    expect(tool, 1, "reformatted", "migrate verify " USERS);
    assert_contains(tool->err, "001_users.sql");
    expect(tool, 0, "1 file corrected", "migrate repair " USERS);
    expect(tool, 0, NULL, "migrate verify " USERS);
    tool_write(tool, "migrations/001_users.sql", "CREATE TABLE {{tables.users}} (id bigint);\n");
    expect(tool, 1, NULL, "migrate repair " USERS);
    assert_contains(tool->err, "001_users.sql");
    expect(tool, 0, "1 file corrected", "migrate repair --allow-changed " USERS);
}

static void check_says_which_way_the_database_differs(void **state)
{
    struct tool *tool = *state;
    expect(tool, 3, "behind", "migrate check " USERS);
    expect(tool, 0, NULL, "migrate apply " USERS);
    expect(tool, 0, "equal", "migrate check " USERS);
    expect(tool, 0, NULL, "migrate check --min 2 --max 3 " USERS);
    expect(tool, 1, NULL, "migrate check --max 2 " USERS);
    test_psql(tool->url, "INSERT INTO app.schema_migrations (filename, checksum, module_name)"
                         " VALUES ('004_later.sql', repeat('0', 64), 'users')");
    expect(tool, 0, "ahead", "migrate check " USERS);
    expect(tool, 0, NULL, "migrate check --json " USERS);
    json_t *answer = parse(tool);
    assert_string_equal(json_string_value(json_object_get(answer, "skew")), "ahead");
    assert_true(json_is_true(json_object_get(answer, "fits")));
    json_decref(answer);
}

/* Defect 1 of the Python pgdbm: "No pending migrations", exit code 0. */
static void what_failed_is_never_called_nothing_to_do(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "migrations/001_users.sql", "SELECT nothing;\n");
    expect(tool, 1, NULL, "migrate apply " USERS);
    assert_null(strstr(tool->out, "nothing to do"));
    assert_contains(tool->err, "001_users.sql:1");
    expect(tool, 1, NULL, "migrate apply --json " USERS);
    json_t *answer = parse(tool);
    json_t *error = json_object_get(answer, "error");
    assert_string_equal(json_string_value(json_object_get(error, "sqlstate")), "42703");
    assert_int_equal(json_integer_value(json_object_get(answer, "pending")), 3);
    json_decref(answer);
    expect(tool, 1, NULL, "migrate apply --try " USERS);
    assert_null(strstr(tool->out, "nothing to do"));
}

static void the_module_of_several_schemas_is_recorded_with_its_schema(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "module users_app", "migrate apply --per-schema " USERS);
    expect_true(tool, "EXISTS (SELECT FROM app.schema_migrations WHERE module_name = 'users_app')");
}

static void expect_file(const struct tool *tool, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", tool->directory, file);
    FILE *opened = fopen(path, "r");
    if (opened == NULL)
        fail_msg("there is no %s; said: %s", file, tool->out);
    fclose(opened);
}

static void create_takes_the_next_number_as_the_directory_writes_it(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "migrations/004_add_phone.sql", "migrate create 'Add phone'");
    expect_file(tool, "migrations/004_add_phone.sql");
    expect(tool, 0, "new/001_first.sql", "migrate create first --dir new");
    tool_write(tool, "letters/V9__a.sql", "");
    tool_write(tool, "letters/V10__b.sql", "");
    expect(tool, 0, "letters/V11__c.sql", "migrate create c --dir letters");
    tool_write(tool, "moments/20990101_235959_far.sql", "");
    expect(tool, 0, "moments/20990102_000000_farther.sql", "migrate create farther --dir moments");
    tool_write(tool, "stamps/20240229120000_a.sql", "");
    expect(tool, 0, "stamps/20", "migrate create b --dir stamps");
    expect(tool, 0, NULL, "migrate create c --dir stamps --json");
    json_t *answer = parse(tool);
    assert_int_equal(strlen(json_string_value(json_object_get(answer, "version"))), 14);
    expect_file(tool, json_string_value(json_object_get(answer, "file")));
    json_decref(answer);
    tool_shell(tool, "test $(ls stamps | cut -c1-14 | sort -u | wc -l) = 3");
}

static void a_created_file_runs_once_it_has_a_statement(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "migrate create add_phone");
    expect(tool, 1, NULL, "migrate apply " USERS);
    assert_contains(tool->err, "004_add_phone.sql");
    tool_shell(tool, "echo 'ALTER TABLE {{tables.users}} ADD phone text;' >> migrations/004_add_phone.sql");
    expect(tool, 0, NULL, "migrate apply " USERS);
    expect_true(tool, "EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'app.users'::regclass AND attname = 'phone')");
    expect(tool, 1, NULL, "migrate rollback --yes " USERS);
    assert_contains(tool->err, "no down part");
    tool_shell(
        tool,
        "printf -- '-- pgdbm:down\\nALTER TABLE {{tables.users}} DROP phone;\\n' >> migrations/004_add_phone.sql");
    expect(tool, 0, NULL, "migrate rollback --yes --allow-changed " USERS);
}

static void creations_at_the_same_time_take_different_numbers(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "for i in 1 2 3 4 5 6 7 8; do $PGDBM migrate create step_$i >>created & done; wait");
    tool_shell(tool, "test $(ls migrations | cut -c1-3 | sort -u | wc -l) = 11");
}

static void a_lost_connection_is_remarked_where_the_server_is_asked_what_is_done(void **state)
{
    struct tool *tool = *state;
    static const char ends[] = "SELECT pg_terminate_backend(pg_backend_pid());\n";
    static const char remark[] = "asking the server what is done";
    tool_write(tool, "migrations/004_ends.sql", ends);
    expect(tool, 1, "3 files applied, then it failed", "migrate apply " USERS);
    if (strstr(tool->err, remark) != NULL)
        fail_msg("expected no question where nothing is in doubt, came %s", tool->err);
    tool_shell(tool, "{ echo '-- pgdbm:no-transaction'; echo 'SELECT 1;'; cat migrations/004_ends.sql; } >new && "
                     "mv new migrations/004_ends.sql");
    expect(tool, 1, NULL, "migrate apply " USERS);
    assert_contains(tool->err, remark);
}

static void expect_hint(struct tool *tool, const char *words, const char *hint)
{
    tool_run(tool, "%s", words);
    const char *said = strstr(tool->err, "  hint: ");
    if (tool->code == 0 || said == NULL || strstr(said, hint) == NULL || strstr(said, "pgdbm_") != NULL ||
        strstr(said, "policies") != NULL || strstr(said, "`") != NULL)
        fail_msg("%s: expected a hint with %s and nothing of C, came %d and %s", words, hint, tool->code, tool->err);
}

static void hints_name_what_a_person_at_a_shell_can_do(void **state)
{
    struct tool *tool = *state;
    expect_hint(tool, "migrate apply --module users --dir nowhere", "give the path of the directory");
    tool_shell(tool, "mkdir empty");
    expect_hint(tool, "migrate apply --module users --dir empty", "a wrong path or a packaging error\n");
    tool_write(tool, "migrations/010_late.sql", "SELECT 1;");
    expect_hint(tool, "migrate apply " USERS, "--allow-gap");
    expect(tool, 0, NULL, "migrate apply --allow-gap " USERS);
    tool_write(tool, "migrations/004_early.sql", "SELECT 1;");
    expect_hint(tool, "migrate apply " USERS, "--allow-out-of-order");
    tool_write(tool, "migrations/0004_again.sql", "SELECT 1;");
    expect_hint(tool, "migrate apply " USERS, "say --allow-duplicate");
    expect(tool, 1, "say --allow-duplicate", "migrate apply --json " USERS);
    tool_shell(tool, "rm migrations/0004_again.sql migrations/004_early.sql migrations/010_late.sql");
    expect_hint(tool, "migrate apply " USERS, "--allow-future");
    setenv("PGDBM_COMMAND_TIMEOUT_MS", "200", 1);
    tool_run(tool, "fleet status --module m --query 'SELECT pg_sleep(600)::text'");
    unsetenv("PGDBM_COMMAND_TIMEOUT_MS");
    assert_contains(tool->err, "raise PGDBM_COMMAND_TIMEOUT_MS, or see");
}

/* On the private server, which nobody else has: its shell ends the process that it serves, and with it all others. */
static void the_hint_of_a_lost_connection_says_what_became_of_the_statement(void **state)
{
    struct tool *tool = *state;
    char url[sizeof tool->url];
    memcpy(url, tool->url, sizeof url);
    tool_write(tool, "lost/001_lost.sql", "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID';\n");
    tool->url[0] = '\0';
    tool_run(tool, "migrate apply --module m --dir lost");
    int code = tool->code;
    char *said = strdup(tool->err);
    tool_run(tool, "dev stop");
    memcpy(tool->url, url, sizeof url);
    assert_int_equal(code, 1);
    assert_contains(said, "the connection to the server was lost");
    assert_contains(said, "hint: the server may have been restarted or the network interrupted; it has had no effect");
    free(said);
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FILES(a_dry_run_prints_sql_that_psql_would_take),
        WITH_FILES(apply_stops_at_its_target),
        WITH_FILES(the_hint_of_a_lost_connection_says_what_became_of_the_statement),
        WITH_FILES(hints_name_what_a_person_at_a_shell_can_do),
        WITH_FILES(a_lost_connection_is_remarked_where_the_server_is_asked_what_is_done),
        WITH_FILES(a_policy_is_an_option),
        WITH_FILES(the_build_stands_in_the_history),
        WITH_FILES(a_try_shows_locks_and_leaves_nothing),
        WITH_FILES(rollback_undoes_the_last_file),
        WITH_FILES(a_baseline_is_recorded_and_not_run),
        WITH_FILES(verify_and_repair_know_a_comment_from_a_change),
        WITH_FILES(check_says_which_way_the_database_differs),
        WITH_FILES(what_failed_is_never_called_nothing_to_do),
        WITH_FILES(the_module_of_several_schemas_is_recorded_with_its_schema),
        WITH_FILES(create_takes_the_next_number_as_the_directory_writes_it),
        WITH_FILES(a_created_file_runs_once_it_has_a_statement),
        WITH_FILES(creations_at_the_same_time_take_different_numbers),
    };
    return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
