/* SPDX-License-Identifier: MIT */
/* `pgdbm schema`: what is there, what is missing, what depends on what, and what goes. */
#include "cli/tool.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char file[] = "[modules.users]\nschema = users\n"
                           "[modules.orders]\nschema = Orders\ndepends_on = [users]\n"
                           "[modules.reports]\nschema = orders\n"
                           "[modules.audit]\nschema = audit\ndepends_on = [orders]\n"
                           "[environments.prod]\nurl = ${PGDBM_TEST_SCHEMA_URL}\n";

static char role[64];

static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    char *url = test_database_create();
    snprintf(tool->url, sizeof tool->url, "%s", url);
    setenv("PGDBM_TEST_SCHEMA_URL", url, 1);
    free(url);
    snprintf(role, sizeof role, "%s", test_name("cli_schema"));
    tool_write(tool, "pgdbm.conf", file);
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    unsetenv("PGDBM_TEST_SCHEMA_URL");
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

static void expect_true(const struct tool *tool, const char *condition)
{
    test_psql(tool->url, test_format("SELECT 1 / (%s)::int", condition));
}

static json_t *read_answer(const struct tool *tool)
{
    json_t *answer = json_loads(tool->out, 0, NULL);
    if (answer == NULL)
        fail_msg("expected one JSON value, came\n%s", tool->out);
    return answer;
}

/* The same database, as the test's role without rights. */
static void become_role(struct tool *tool)
{
    test_psql(tool->url, test_format("CREATE ROLE %s LOGIN", role));
    char *at = strstr(tool->url, "postgres@");
    assert_non_null(at);
    char *url = strdup(test_format("%.*s%s%s", (int)(at - tool->url), tool->url, role, at + strlen("postgres")));
    snprintf(tool->url, sizeof tool->url, "%s", url);
    free(url);
}

static void leave_role(struct tool *tool)
{
    snprintf(tool->url, sizeof tool->url, "%s", getenv("PGDBM_TEST_SCHEMA_URL"));
    test_psql(tool->url, test_format("DROP OWNED BY %s; DROP ROLE %s", role, role));
}

static void the_list_has_what_is_there_and_what_is_missing(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE SCHEMA orders; CREATE SCHEMA \"A b\"; CREATE TABLE orders.o (id int PRIMARY KEY)");
    tool_run(tool, "schema list");
    assert_code(tool, 0);
    assert_contains(tool->out, "orders, reports");
    assert_contains(tool->out, "missing");
    assert_contains(tool->out, "A b");
    assert_null(strstr(tool->out, "pg_catalog"));
    assert_null(strstr(tool->out, "information_schema"));
    tool_run(tool, "schema list --json");
    assert_code(tool, 0);
    json_t *answer = read_answer(tool);
    const json_t *row;
    size_t i, n_found = 0;
    json_array_foreach(json_object_get(answer, "schemas"), i, row)
    {
        const char *name = json_string_value(json_object_get(row, "schema"));
        const char *there = json_string_value(json_object_get(row, "state"));
        if (strcmp(name, "orders") == 0) {
            assert_string_equal(there, "there");
            assert_int_equal(json_integer_value(json_object_get(row, "tables")), 1);
            assert_int_equal(json_array_size(json_object_get(row, "modules")), 2);
            n_found++;
        } else if (strcmp(name, "users") == 0 || strcmp(name, "audit") == 0) {
            assert_string_equal(there, "missing");
            assert_true(json_is_null(json_object_get(row, "owner")));
            n_found++;
        }
    }
    json_decref(answer);
    assert_int_equal(n_found, 3);
}

static void the_schemas_of_all_modules_are_created_once(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "schema create --all");
    assert_code(tool, 0);
    assert_contains(tool->out, "users created");
    expect_true(tool, "(SELECT count(*) = 3 FROM pg_namespace WHERE nspname IN ('users', 'orders', 'audit'))");
    tool_run(tool, "schema create --all --json");
    assert_code(tool, 0);
    json_t *answer = read_answer(tool);
    assert_int_equal(json_array_size(json_object_get(answer, "created")), 0);
    assert_int_equal(json_array_size(json_object_get(answer, "there_already")), 4);
    json_decref(answer);
    tool_run(tool, "schema create more users --quiet");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
    assert_string_equal(tool->err, "");
    expect_true(tool, "EXISTS (SELECT FROM pg_namespace WHERE nspname = 'more')");
}

static void the_schema_of_one_module_is_created(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "schema create --module orders");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "orders created\n");
    expect_true(tool, "(SELECT count(*) = 1 FROM pg_namespace WHERE nspname IN ('users', 'orders', 'audit'))");
    tool_run(tool, "schema create --module order");
    assert_code(tool, 2);
    assert_contains(tool->err, "did you mean orders?");
}

static void names_of_schemas_are_quoted_and_checked(void **state)
{
    struct tool *tool = *state;
    static const char *const wrong[] = {
        "schema create",
        "schema create a --all",
        "schema create a --module users",
        "schema create --all --module users",
        "schema create ''",
        "schema create a/b",
        "schema create pg_mine",
        "schema create \"$(printf 'a\\nb')\"",
        "schema create 1234567890123456789012345678901234567890123456789012345678901234",
        "schema clean --yes",
        "schema clean --yes pg_catalog",
        "schema clean --yes information_schema",
        "schema clean --yes users --module users",
        "schema clean --yes --module userz",
        "schema clean --yes postgresql://me:secret@host/x",
        "schema clean users",
        "schema deps --json --format dot",
        "schema deps --format svg",
        "schema list --env nowhere",
    };
    tool_refuses_all(tool, wrong, sizeof wrong / sizeof *wrong);
    tool_run(tool, "schema create 'Big \"one\"; {{x}}'");
    assert_code(tool, 0);
    assert_contains(tool->err, "no manager can be bound");
    test_psql(tool->url, "CREATE TABLE \"Big \"\"one\"\"; {{x}}\".\"t {{y}} '\" (id int)");
    tool_run(tool, "schema clean --yes 'Big \"one\"; {{x}}'");
    assert_code(tool, 0);
    expect_true(tool, "NOT EXISTS (SELECT FROM pg_class WHERE relname LIKE 't {{y}}%')"
                      " AND EXISTS (SELECT FROM pg_namespace WHERE nspname = 'Big \"one\"; {{x}}')");
}

static void a_role_without_rights_changes_nothing(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE SCHEMA users; CREATE TABLE users.users (id int)");
    become_role(tool);
    tool_run(tool, "schema create users");
    int code_of_existing = tool->code;
    tool_run(tool, "schema create users audit");
    int code_of_new = tool->code;
    char *said = strdup(tool->err);
    tool_run(tool, "schema clean users --yes");
    leave_role(tool);
    assert_code(tool, 1);
    assert_contains(tool->err, "permission denied for schema users");
    assert_int_equal(code_of_existing, 0);
    assert_int_equal(code_of_new, 1);
    assert_contains(said, "permission denied");
    free(said);
    expect_true(tool, "to_regclass('users.users') IS NOT NULL");
}

static void dependencies_need_no_server(void **state)
{
    struct tool *tool = *state;
    snprintf(tool->url, sizeof tool->url, "host=/nowhere");
    tool_run(tool, "schema deps");
    assert_code(tool, 0);
    assert_contains(tool->out, "DEPENDS ON");
    assert_true(strstr(tool->out, "users") < strstr(tool->out, "audit"));
    tool_run(tool, "schema deps --format dot");
    assert_code(tool, 0);
    assert_contains(tool->out, "\"audit\" -> \"orders\";");
    tool_run(tool, "schema deps --json");
    json_t *answer = read_answer(tool);
    assert_int_equal(json_array_size(json_object_get(answer, "modules")), 4);
    json_decref(answer);
    tool_run(tool, "schema deps --database");
    assert_code(tool, 4);
    tool_write(tool, "pgdbm.conf", "[modules.a]\ndepends_on = [a]\n");
    tool_run(tool, "schema deps");
    assert_code(tool, 2);
    tool_write(tool, "pgdbm.conf", "");
    tool_run(tool, "schema deps");
    assert_code(tool, 2);
    assert_contains(tool->err, "no modules");
    snprintf(tool->url, sizeof tool->url, "%s", getenv("PGDBM_TEST_SCHEMA_URL"));
}

static void without_modules_and_foreign_keys_that_is_said(void **state)
{
    struct tool *tool = *state;
    tool_shell(tool, "rm -f pgdbm.conf");
    tool_run(tool, "schema deps --database");
    assert_code(tool, 0);
    assert_contains(tool->out, "no modules, and no foreign keys");
}

static void foreign_keys_are_compared_with_what_modules_declare(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE SCHEMA users; CREATE SCHEMA orders; CREATE SCHEMA audit; CREATE SCHEMA other;"
                         "CREATE TABLE users.u (id int PRIMARY KEY);"
                         "CREATE TABLE audit.a (id int CONSTRAINT far REFERENCES users.u);"
                         "CREATE TABLE other.o (id int CONSTRAINT nobodys REFERENCES users.u)");
    tool_run(tool, "schema deps --database");
    assert_code(tool, 0);
    assert_contains(tool->out, "audit.a -> users.u");
    assert_contains(tool->out, "nobodys");
    test_psql(tool->url, "CREATE TABLE audit.b (id int PRIMARY KEY);"
                         "CREATE TABLE orders.o (id int CONSTRAINT back REFERENCES audit.b)");
    tool_run(tool, "schema deps --database");
    assert_code(tool, 3);
    assert_contains(tool->out, "back  not declared");
    assert_contains(tool->err, "depends_on");
    tool_run(tool, "schema deps --database --json");
    assert_code(tool, 3);
    json_t *answer = read_answer(tool);
    const json_t *keys = json_object_get(answer, "foreign_keys");
    assert_int_equal(json_array_size(keys), 3);
    assert_true(json_is_true(json_object_get(json_array_get(keys, 0), "declared")));
    assert_true(json_is_false(json_object_get(json_array_get(keys, 1), "declared")));
    assert_true(json_is_null(json_object_get(json_array_get(keys, 2), "declared")));
    json_decref(answer);
}

/* One of everything that a schema can hold and that needs no superuser's extension. */
static const char everything[] =
    "CREATE SCHEMA users; COMMENT ON SCHEMA users IS 'stays';"
    "ALTER DEFAULT PRIVILEGES IN SCHEMA users GRANT SELECT ON TABLES TO PUBLIC; GRANT USAGE ON SCHEMA users TO PUBLIC;"
    "CREATE TABLE users.t (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, s serial);"
    "CREATE TYPE users.e AS ENUM ('a'); CREATE TYPE users.c AS (a int, b users.e); CREATE DOMAIN users.d AS int;"
    "CREATE FUNCTION users.f(users.e, VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    "CREATE PROCEDURE users.p(IN a int, INOUT b text) LANGUAGE sql AS 'SELECT $2';"
    "CREATE AGGREGATE users.n(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');"
    "CREATE FUNCTION users.plus(users.c, users.c) RETURNS users.c LANGUAGE sql AS 'SELECT $1';"
    "CREATE OPERATOR users.+ (FUNCTION = users.plus, LEFTARG = users.c, RIGHTARG = users.c);"
    "CREATE OPERATOR FAMILY users.family USING btree; CREATE OPERATOR CLASS users.class FOR TYPE int USING btree"
    " FAMILY users.family AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);"
    "CREATE COLLATION users.l (locale = 'C'); CREATE TEXT SEARCH CONFIGURATION users.x (copy = simple);"
    "CREATE TEXT SEARCH DICTIONARY users.y (template = simple); CREATE STATISTICS users.z ON id, s FROM users.t;"
    "CREATE VIEW users.v AS SELECT * FROM users.t; CREATE MATERIALIZED VIEW users.m AS SELECT 1 AS one;"
    "CREATE SEQUENCE users.q; CREATE CONVERSION users.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;"
    "CREATE TABLE users.whole (a int) PARTITION BY LIST (a);"
    "CREATE TABLE users.part PARTITION OF users.whole FOR VALUES IN (1);"
    "CREATE SCHEMA other; CREATE TABLE other.stays (id int)";

static void a_clean_schema_is_empty_and_has_its_grants(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, everything);
    tool_run(tool, "schema clean --module users --yes");
    assert_code(tool, 0);
    assert_contains(tool->out, "users cleaned");
    expect_true(tool, "NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND"
                      " refobjid = 'users'::regnamespace AND deptype = 'n')");
    expect_true(tool, "(SELECT nspacl IS NOT NULL AND obj_description(oid) = 'stays' FROM pg_namespace"
                      " WHERE nspname = 'users') AND EXISTS (SELECT FROM pg_default_acl"
                      " WHERE defaclnamespace = 'users'::regnamespace)");
    expect_true(tool, "to_regclass('other.stays') IS NOT NULL");
    tool_run(tool, "schema clean users --yes");
    assert_code(tool, 0);
    assert_contains(tool->out, "0 objects");
    tool_run(tool, "schema clean nowhere --yes");
    assert_code(tool, 1);
    assert_contains(tool->err, "there is no schema nowhere");
}

static void what_depends_on_it_elsewhere_is_named_and_kept(void **state)
{
    struct tool *tool = *state;
    static const char *const named[] = {"default value for other.o.n",
                                        "function other.f(users.e)",
                                        "table column other.o.e",
                                        "table constraint o_id_fkey on other.o",
                                        "table other.part",
                                        "trigger t on other.o",
                                        "view other.v",
                                        "view other.w"};
    test_psql(tool->url,
              "CREATE SCHEMA users; CREATE SCHEMA other; CREATE TABLE users.u (id int PRIMARY KEY);"
              "CREATE TYPE users.e AS ENUM ('a'); CREATE SEQUENCE users.s;"
              "CREATE FUNCTION users.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
              "CREATE TABLE users.whole (a int) PARTITION BY LIST (a);"
              "CREATE TABLE other.part PARTITION OF users.whole FOR VALUES IN (1);"
              "CREATE TABLE other.o (id int REFERENCES users.u, e users.e, n int DEFAULT nextval('users.s'));"
              "CREATE INDEX ON other.o (e); CREATE VIEW other.v AS SELECT id FROM users.u;"
              "CREATE VIEW other.w AS SELECT * FROM other.v;"
              "CREATE FUNCTION other.f(users.e) RETURNS int LANGUAGE sql AS 'SELECT 1';"
              "CREATE TRIGGER t BEFORE INSERT ON other.o FOR EACH ROW EXECUTE FUNCTION users.t()");
    tool_run(tool, "schema clean users --yes --json");
    assert_code(tool, 1);
    assert_contains(tool->err, "8 objects in other schemas");
    assert_contains(tool->err, "--cascade");
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        assert_contains(tool->err, named[i]);
    expect_true(tool, "to_regclass('users.u') IS NOT NULL AND to_regclass('other.w') IS NOT NULL");
    tool_run(tool, "schema clean users --yes --cascade --json");
    assert_code(tool, 0);
    json_t *answer = read_answer(tool);
    assert_int_equal(json_array_size(json_object_get(answer, "outside")), sizeof named / sizeof *named);
    json_decref(answer);
    expect_true(tool, "to_regclass('users.u') IS NULL AND to_regclass('other.w') IS NULL"
                      " AND to_regclass('other.part') IS NULL AND to_regclass('other.o') IS NOT NULL");
}

static void extensions_stay(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE SCHEMA users; CREATE EXTENSION citext SCHEMA users;"
                         "CREATE TABLE users.u (name users.citext)");
    tool_run(tool, "schema clean users --yes");
    assert_code(tool, 0);
    assert_contains(tool->err, "extensions stay: citext");
    expect_true(tool, "to_regtype('users.citext') IS NOT NULL AND to_regclass('users.u') IS NULL");
}

static void the_question_says_what_would_go(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url,
              "CREATE SCHEMA orders; CREATE TABLE orders.o AS SELECT generate_series(1, 42); ANALYZE orders.o;"
              "CREATE TABLE orders.schema_migrations ()");
    tool->answers = "wrong\n";
    tool_run(tool, "schema clean orders --env prod --yes");
    assert_code(tool, 1);
    assert_contains(tool->err, "2 tables with some 42 rows");
    assert_contains(tool->err, "history of migrations");
    assert_contains(tool->err, "orders, reports");
    expect_true(tool, "to_regclass('orders.o') IS NOT NULL");
    setenv("DATABASE_URL", tool->url, 1);
    tool_shell(tool, "printf 'no\\n' | script -qec \"'$PGDBM' schema clean orders\" /dev/null >out; test $? -eq 1");
    expect_true(tool, "to_regclass('orders.o') IS NOT NULL");
    tool_shell(tool, "printf 'yes\\n' | script -qec \"'$PGDBM' schema clean orders\" /dev/null >out");
    unsetenv("DATABASE_URL");
    expect_true(tool, "to_regclass('orders.o') IS NULL");
}

/* A table that somebody reads; the second of the schema, by name. */
static pgdbm_db *hold(const struct tool *tool, pgdbm_db **tx)
{
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    test_psql(tool->url, "CREATE SCHEMA users; CREATE TABLE users.a (id int); CREATE TABLE users.b (id int)");
    const pgdbm_config config = {.connection_string = tool->url, .max_connections = 1};
    assert_ok(pgdbm_open(&config, &db, &err));
    assert_ok(pgdbm_begin(db, NULL, tx, &err));
    assert_ok(pgdbm_execute(*tx, "LOCK TABLE users.b IN ACCESS SHARE MODE", pgdbm_no_args, NULL, &err));
    return db;
}

static void a_lock_that_is_not_to_be_had_changes_nothing(void **state)
{
    struct tool *tool = *state;
    pgdbm_db *tx = NULL;
    pgdbm_db *db = hold(tool, &tx);
    tool_run(tool, "schema clean users --yes --lock-timeout 50ms");
    pgdbm_close(tx);
    pgdbm_close(db);
    assert_code(tool, 1);
    assert_contains(tool->err, "--lock-timeout");
    expect_true(tool, "to_regclass('users.a') IS NOT NULL AND to_regclass('users.b') IS NOT NULL");
}

static void await_waiter(const struct tool *tool)
{
    test_psql(tool->url, "DO $$ BEGIN FOR turn IN 1..3000 LOOP "
                         "  PERFORM FROM " TEST_LOCKS " WHERE NOT granted; IF FOUND THEN RETURN; END IF; "
                         "  PERFORM pg_sleep(0.02); PERFORM pg_stat_clear_snapshot(); "
                         "END LOOP; RAISE 'nobody waits'; END $$");
}

static void an_interrupt_changes_nothing(void **state)
{
    struct tool *tool = *state;
    pgdbm_db *tx = NULL;
    pgdbm_db *db = hold(tool, &tx);
    pid_t child = tool_start(tool, "schema clean users --yes --lock-timeout off");
    await_waiter(tool);
    assert_int_equal(kill(child, SIGINT), 0);
    tool_wait(tool, child);
    pgdbm_close(tx);
    pgdbm_close(db);
    assert_code(tool, 130);
    assert_contains(tool->err, "interrupted");
    expect_true(tool, "to_regclass('users.a') IS NOT NULL AND to_regclass('users.b') IS NOT NULL");
}

static void a_connection_that_is_lost_changes_nothing(void **state)
{
    struct tool *tool = *state;
    pgdbm_db *tx = NULL;
    pgdbm_db *db = hold(tool, &tx);
    pid_t child = tool_start(tool, "schema clean users --yes --lock-timeout off --json");
    await_waiter(tool);
    test_psql(tool->url, "SELECT pg_terminate_backend(pid) FROM " TEST_LOCKS " WHERE NOT granted");
    tool_wait(tool, child);
    pgdbm_close(tx);
    pgdbm_close(db);
    assert_code(tool, 1);
    assert_contains(tool->out, "\"error\"");
    expect_true(tool, "to_regclass('users.a') IS NOT NULL AND to_regclass('users.b') IS NOT NULL");
}

static void a_server_that_is_not_there_is_four_and_answers_must_arrive(void **state)
{
    struct tool *tool = *state;
    static const char *const commands[] = {"schema list", "schema create x", "schema clean x --yes",
                                           "schema deps --database"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        tool_run(tool, "%s --json --url 'postgresql://me:secret@127.0.0.1:1/x'", commands[i]);
        assert_code(tool, 4);
        assert_contains(tool->out, "\"error\"");
        assert_null(strstr(tool->out, "secret"));
        assert_null(strstr(tool->err, "secret"));
    }
    setenv("DATABASE_URL", tool->url, 1);
    tool_shell(tool, "{ $PGDBM schema list >/dev/full 2>err; test $? = 1; } && grep -q 'could not write' err");
    tool_shell(tool, "$PGDBM schema list | head -1 | grep -q SCHEMA");
    unsetenv("DATABASE_URL");
    tool_write(tool, "pgdbm.conf", "[modules.users\n");
    tool_run(tool, "schema list");
    assert_code(tool, 2);
    assert_contains(tool->err, "pgdbm.conf:1");
}

int main(void)
{
#define WITH_DATABASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_DATABASE(the_list_has_what_is_there_and_what_is_missing),
        WITH_DATABASE(the_schemas_of_all_modules_are_created_once),
        WITH_DATABASE(the_schema_of_one_module_is_created),
        WITH_DATABASE(names_of_schemas_are_quoted_and_checked),
        WITH_DATABASE(a_role_without_rights_changes_nothing),
        WITH_DATABASE(dependencies_need_no_server),
        WITH_DATABASE(without_modules_and_foreign_keys_that_is_said),
        WITH_DATABASE(foreign_keys_are_compared_with_what_modules_declare),
        WITH_DATABASE(a_clean_schema_is_empty_and_has_its_grants),
        WITH_DATABASE(what_depends_on_it_elsewhere_is_named_and_kept),
        WITH_DATABASE(extensions_stay),
        WITH_DATABASE(the_question_says_what_would_go),
        WITH_DATABASE(a_lock_that_is_not_to_be_had_changes_nothing),
        WITH_DATABASE(an_interrupt_changes_nothing),
        WITH_DATABASE(a_connection_that_is_lost_changes_nothing),
        WITH_DATABASE(a_server_that_is_not_there_is_four_and_answers_must_arrive),
    };
    return cmocka_run_group_tests_name("cli_schema", tests, NULL, NULL);
}
