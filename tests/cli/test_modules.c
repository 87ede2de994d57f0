/* SPDX-License-Identifier: MIT */
/* The modules of a project, migrated together and one by one, each in its own schema. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char file[] = "[project]\ndefault_env = test\n"
                           "[environments.test]\nurl = ${PGDBM_TEST_PROJECT_URL}\n"
                           "[environments.prod]\nurl = ${PGDBM_TEST_PROJECT_URL}\n"
                           "[database]\nmigrations_table = history\n"
                           "[modules.audit]\nmigrations_path = db/audit\nschema = audit\ndepends_on = [orders, users]\n"
                           "[modules.orders]\nmigrations_path = db/orders\nschema = \"orders\"\ndepends_on = [users]\n"
                           "[modules.users]\nmigrations_path = db/users\nschema = users\n";

/* A database that only the file names, and three modules. */
static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    char *url = test_database_create();
    setenv("PGDBM_TEST_PROJECT_URL", url, 1);
    free(url);
    tool_write(tool, "pgdbm.conf", file);
    tool_write(tool, "db/users/001_users.sql", "CREATE TABLE {{tables.users}} (id int PRIMARY KEY);\n");
    tool_write(tool, "db/orders/001_orders.sql",
               "CREATE TABLE {{tables.orders}} (user_id int REFERENCES {{tables.users.users}});\n"
               "-- pgdbm:down\nDROP TABLE {{tables.orders}};\n");
    tool_write(tool, "db/audit/001_audit.sql", "CREATE TABLE {{tables.audit}} (id int);\n");
    return 0;
}

static int teardown(void **state)
{
    test_database_drop(strdup(getenv("PGDBM_TEST_PROJECT_URL")));
    unsetenv("PGDBM_TEST_PROJECT_URL");
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

static void expect_true(const char *condition)
{
    char sql[512];
    snprintf(sql, sizeof sql, "SELECT 1 / (%s)::int", condition);
    test_psql(getenv("PGDBM_TEST_PROJECT_URL"), sql);
}

/* Whether `first` stands before `second`. */
static void assert_order(const char *text, const char *first, const char *second)
{
    const char *one = strstr(text, first), *two = strstr(text, second);
    if (one == NULL || two == NULL || one > two)
        fail_msg("expected '%s' before '%s' in\n%s", first, second, text);
}

/* As pgdbm_module_open records it in the program, so that both see one history. */
static void a_module_per_schema_is_recorded_by_name_and_schema(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "pgdbm.conf",
               "[environments.dev]\nurl = ${PGDBM_TEST_PROJECT_URL}\n"
               "[modules.users]\nmigrations_path = db/users\nschema = users\nmode = dual\nper_schema = true\n"
               "[modules.audit]\nmigrations_path = db/audit\nschema = log\nper_schema = true\ndepends_on = [users]\n"
               "[modules.orders]\nmigrations_path = db/orders\nschema = orders\nmode = dual\nper_schema = false\n");
    expect(tool, 0, NULL, NULL, "migrate apply --module users");
    expect(tool, 0, NULL, NULL, "migrate apply --module audit");
    expect(tool, 0, NULL, NULL, "migrate apply --all");
    expect_true("SELECT count(*) = 1 FROM users.schema_migrations WHERE module_name = 'users_users'");
    expect_true("SELECT count(*) = 1 FROM log.schema_migrations WHERE module_name = 'audit_log'");
    expect_true("SELECT count(*) = 1 FROM orders.schema_migrations WHERE module_name = 'orders'");
    expect(tool, 0, "3 modules, 3 up to date, 0 not", NULL, "migrate status");
}

static void each_module_is_migrated_in_its_own_schema_dependencies_first(void **state)
{
    struct tool *tool = *state;
    expect(tool, 3, "3 modules, 0 up to date, 3 not", NULL, "migrate status");
    assert_order(tool->out, "users   users", "orders  orders");
    assert_order(tool->out, "orders  orders", "audit   audit");
    assert_contains(tool->out, "1 pending: 001_orders.sql");
    expect(tool, 0, "module users, schema users", NULL, "migrate apply --all");
    assert_order(tool->out, "module users", "module orders");
    assert_order(tool->out, "module orders", "module audit");
    expect_true("to_regclass('users.users') IS NOT NULL AND to_regclass('orders.orders') IS NOT NULL AND "
                "to_regclass('audit.audit') IS NOT NULL AND to_regclass('public.users') IS NULL");
    expect_true("SELECT count(*) = 1 FROM orders.history WHERE module_name = 'orders'");
    expect(tool, 0, "3 modules, 3 up to date, 0 not", NULL, "migrate status");
    expect(tool, 0, "3 modules have nothing to do", NULL, "migrate apply");
    expect(tool, 0, NULL, NULL, "migrate verify --all");
    expect(tool, 0, "equal  orders", NULL, "migrate check");
    expect(tool, 0, "001_audit.sql", NULL, "migrate history");
}

static void one_module_waits_for_what_it_depends_on(void **state)
{
    struct tool *tool = *state;
    expect(tool, 1, NULL, "orders depends on users, of which 1 file is pending", "migrate apply --module orders");
    assert_contains(tool->err, "pgdbm migrate apply --module users");
    expect_true("to_regnamespace('orders') IS NULL");
    expect(tool, 0, NULL, NULL, "migrate apply --module users");
    expect(tool, 0, "module orders, schema orders", NULL, "migrate apply --module orders");
}

static void a_module_that_fails_stops_those_that_depend_on_it(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "db/orders/002_wrong.sql", "CREATE TABEL x;\n");
    expect(tool, 1, "1 file applied", "002_wrong.sql:1:8", "migrate apply");
    assert_contains(tool->err, "not touched: audit");
    expect_true("to_regclass('users.users') IS NOT NULL AND to_regnamespace('audit') IS NULL");
    expect(tool, 3, "1 pending: 002_wrong.sql", NULL, "migrate status");
    expect(tool, 1, NULL, "002_wrong.sql", "migrate verify");
    expect(tool, 3, NULL, "behind", "migrate check");
}

static void reports_of_all_are_one_json_value(void **state)
{
    struct tool *tool = *state;
    json_error_t where;
    tool_write(tool, "db/audit/002_wrong.sql", "SELECT 1/0;\n");
    tool_run(tool, "migrate apply --json");
    assert_code(tool, 1);
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    const json_t *modules = json_object_get(answer, "modules");
    assert_int_equal(json_array_size(modules), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(modules, 0), "module")), "users");
    assert_null(json_object_get(json_array_get(modules, 0), "error"));
    assert_non_null(json_object_get(json_array_get(modules, 2), "error"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(answer, "error"), "sqlstate")), "22012");
    json_decref(answer);
}

static void a_module_is_named_or_it_is_said_that_it_must_be(void **state)
{
    struct tool *tool = *state;
    expect(tool, 2, NULL, "did you mean users?", "migrate apply --module user");
    expect(tool, 2, NULL, "there are: users orders audit", "migrate rollback --yes");
    expect(tool, 2, NULL, "give --module NAME", "migrate apply --all --module users");
    expect(tool, 2, NULL, "give --module NAME", "migrate apply --target 1");
    expect(tool, 2, NULL, "exclude each other", "migrate apply --all --try");
    expect(tool, 0, "db/orders/002_more.sql", NULL, "migrate create more --module orders");
    expect(tool, 2, NULL, "there are:", "migrate create more");
    tool_shell(tool, "rm pgdbm.conf");
    expect(tool, 2, NULL, "there are no modules", "migrate apply --all");
}

static void rollback_asks_and_in_production_wants_the_name(void **state)
{
    struct tool *tool = *state;
    char name[128];
    const char *found = strstr(getenv("PGDBM_TEST_PROJECT_URL"), "pgdbm_test_");
    assert_non_null(found);
    snprintf(name, sizeof name, "%.*s\n", (int)strspn(found, "abcdefghijklmnopqrstuvwxyz_0123456789"), found);
    expect(tool, 0, NULL, NULL, "migrate apply");
    expect(tool, 2, NULL, "--yes", "migrate rollback --module orders");
    expect(tool, 2, NULL, "was not typed", "--env prod migrate rollback --module orders --yes");
    tool->answers = "another\n";
    expect(tool, 1, NULL, "nothing was done", "--env prod migrate rollback --module orders");
    expect_true("to_regclass('orders.orders') IS NOT NULL");
    tool->answers = name;
    expect(tool, 0, "1 file undone", "in the environment prod", "--env prod migrate rollback --module orders");
    expect_true("to_regclass('orders.orders') IS NULL");
}

static void what_is_wrong_with_the_place_is_told(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, NULL, "--quiet migrate apply");
    assert_string_equal(tool->out, "");
    assert_string_equal(tool->err, "");
    tool_shell(tool, "mv db/users db/gone");
    expect(tool, 2, NULL, "db/users", "migrate status");
    assert_contains(tool->out, "see below");
    tool_shell(tool, "mkdir db/users");
    expect(tool, 1, NULL, "db/users", "migrate apply --module users");
    expect(tool, 2, NULL, "exclude each other", "migrate status --env test --url postgresql:///x");
    tool_shell(tool, "{ $PGDBM migrate status --module orders >/dev/full 2>err; test $? = 1; } && "
                     "grep -q 'could not write the answer' err");
    char url[512];
    snprintf(url, sizeof url, "%s", getenv("PGDBM_TEST_PROJECT_URL"));
    setenv("PGDBM_TEST_PROJECT_URL", "postgresql://u:secretword@127.0.0.1:1/x", 1);
    tool_run(tool, "migrate apply");
    int code = tool->code;
    setenv("PGDBM_TEST_PROJECT_URL", "postgresql://u:secretword@127.0.0.1:1/x?sslmode=wrong", 1);
    tool_run(tool, "migrate apply");
    bool told = strstr(tool->err, "secretword") != NULL || strstr(tool->out, "secretword") != NULL;
    /* For the teardown, which comes even when an assertion fails. */
    setenv("PGDBM_TEST_PROJECT_URL", url, 1);
    assert_int_equal(code, 4);
    assert_false(told);
}

int main(void)
{
#define WITH_MODULES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_MODULES(each_module_is_migrated_in_its_own_schema_dependencies_first),
        WITH_MODULES(a_module_per_schema_is_recorded_by_name_and_schema),
        WITH_MODULES(one_module_waits_for_what_it_depends_on),
        WITH_MODULES(a_module_that_fails_stops_those_that_depend_on_it),
        WITH_MODULES(reports_of_all_are_one_json_value),
        WITH_MODULES(a_module_is_named_or_it_is_said_that_it_must_be),
        WITH_MODULES(rollback_asks_and_in_production_wants_the_name),
        WITH_MODULES(what_is_wrong_with_the_place_is_told),
    };
    return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
