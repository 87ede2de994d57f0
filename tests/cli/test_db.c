/* SPDX-License-Identifier: MIT */
/* `pgdbm db`, on a server of the test's own: databases that come, go and are looked at. Each test has a name for one that is not there yet. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char name[64], role[64];

/* The server's URL with another database and user. */
static const char *url_of(const char *user, const char *database)
{
    const char *host = strstr(test_server_url(), "?host=");
    assert_non_null(host);
    return test_format("postgresql://%s@/%s%s", user, database, host);
}

static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    snprintf(name, sizeof name, "%s", test_name("cli_db"));
    snprintf(role, sizeof role, "%s", test_name("cli_role"));
    snprintf(tool->url, sizeof tool->url, "%s", url_of("postgres", name));
    return 0;
}

static int teardown(void **state)
{
    test_psql(test_server_url(), test_format("DROP DATABASE IF EXISTS %s WITH (FORCE)", name));
    test_psql(test_server_url(), test_format("DROP ROLE IF EXISTS %s", role));
    return tool_teardown(state);
}

static void expect_server(const char *condition)
{
    test_psql(test_server_url(), test_format("SELECT 1 / (%s)::int", condition));
}

static const char *database_exists(void)
{
    return test_format("EXISTS (SELECT FROM pg_database WHERE datname = '%s')", name);
}

static const char *database_missing(void)
{
    return test_format("NOT %s", database_exists());
}

static bool flag(const struct tool *tool, const char *key)
{
    json_t *answer = json_loads(tool->out, 0, NULL);
    if (answer == NULL)
        fail_msg("expected one JSON value, came\n%s", tool->out);
    const json_t *value = json_object_get(answer, key);
    if (!json_is_boolean(value))
        fail_msg("expected %s to be true or false, came\n%s", key, tool->out);
    bool is_true = json_is_true(value);
    json_decref(answer);
    return is_true;
}

static void a_database_is_created_once(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db create");
    assert_code(tool, 0);
    assert_contains(tool->out, "created");
    expect_server(database_exists());
    tool_run(tool, "db create");
    assert_code(tool, 1);
    assert_contains(tool->err, "is there already");
    assert_contains(tool->err, "--if-not-exists");
    tool_run(tool, "db create --if-not-exists --json");
    assert_code(tool, 0);
    assert_false(flag(tool, "created"));
}

static void a_database_is_created_as_the_options_say(void **state)
{
    struct tool *tool = *state;
    test_psql(test_server_url(), test_format("CREATE ROLE %s", role));
    tool_run(tool, "db create --owner %s --template template0 --encoding SQL_ASCII --json", role);
    assert_code(tool, 0);
    assert_true(flag(tool, "created"));
    expect_server(test_format("(SELECT pg_get_userbyid(datdba) = '%s' AND encoding = 0 FROM pg_database"
                              " WHERE datname = '%s')",
                              role, name));
    tool_run(tool, "db drop --yes --quiet");
    assert_code(tool, 0);
    assert_string_equal(tool->out, "");
    assert_string_equal(tool->err, "");
    expect_server(database_missing());
    tool_run(tool, "db create --owner nobody_of_this_name");
    assert_code(tool, 1);
    assert_contains(tool->err, "nobody_of_this_name");
}

static void names_are_quoted_and_checked(void **state)
{
    struct tool *tool = *state;
    static const char *const wrong[] = {
        "db create ''",
        "db create a/b",
        "db create \"$(printf 'a\\tb')\"",
        "db create 1234567890123456789012345678901234567890123456789012345678901234",
        "db drop --yes postgresql://me:secret@host/x",
        "db create 'dbname=x password=secret'",
        "db create a postgresql://me:secret@host/x",
        "db create --ur=postgresql://me:secret@host/x",
        "db drop --yes postgres",
        "db reset --yes template1",
        "db drop --yes template0",
    };
    tool_refuses_all(tool, wrong, sizeof wrong / sizeof *wrong);
    snprintf(tool->url, sizeof tool->url, "%s", test_server_url());
    for (int turn = 0; turn < 2; turn++) {
        tool_run(tool, "db %s '%s \"A\"; {{x}}'", turn == 0 ? "create" : "drop --yes", name);
        assert_code(tool, 0);
        expect_server(test_format("%s EXISTS (SELECT FROM pg_database WHERE datname = '%s \"A\"; {{x}}')",
                                  turn == 0 ? "" : "NOT", name));
    }
}

static void a_database_is_dropped_only_when_that_is_meant(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db create");
    tool_run(tool, "db drop");
    assert_code(tool, 2);
    assert_contains(tool->err, "--yes");
    expect_server(database_exists());
    setenv("DATABASE_URL", tool->url, 1);
    tool_shell(tool, "printf 'no\\n' | script -qec \"'$PGDBM' db drop\" /dev/null >out; test $? -eq 1");
    expect_server(database_exists());
    tool_shell(tool, "printf 'yes\\n' | script -qec \"'$PGDBM' db drop\" /dev/null >out && grep -q 'Go on?' out");
    unsetenv("DATABASE_URL");
    expect_server(database_missing());
    tool_run(tool, "db drop --yes");
    assert_code(tool, 1);
    assert_contains(tool->err, "there is no database");
    tool_run(tool, "db drop --yes --if-exists --json");
    assert_code(tool, 0);
    assert_false(flag(tool, "dropped"));
}

static void production_wants_the_name_of_the_database_that_goes(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db create");
    tool_write(tool, "pgdbm.conf",
               test_format("[environments.prod]\nurl = %s\n", url_of("postgres", "some_other_database")));
    tool->answers = "some_other_database\n";
    tool_run(tool, "db drop %s --yes --env prod", name);
    assert_code(tool, 1);
    tool->answers = NULL;
    tool_run(tool, "db drop %s --yes --env prod", name);
    assert_code(tool, 2);
    expect_server(database_exists());
    tool->answers = test_format("%s\n", name);
    tool_run(tool, "db drop %s --env prod", name);
    assert_code(tool, 0);
    expect_server(database_missing());
}

static void sessions_that_are_connected_are_counted_and_kept(void **state)
{
    struct tool *tool = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    tool_run(tool, "db create");
    assert_code(tool, 0);
    const pgdbm_config config = {.connection_string = tool->url, .min_connections = 1, .max_connections = 2};
    pgdbm_db *held[2] = {NULL, NULL};
    assert_ok(pgdbm_open(&config, &db, &err));
    /* A pool opens more sessions when it comes to it: two transactions have two. */
    for (size_t i = 0; i < 2; i++)
        assert_ok(pgdbm_begin(db, NULL, &held[i], &err));
    static const char *const verbs[] = {"drop", "reset"};
    for (size_t i = 0; i < 2; i++) {
        tool_run(tool, "db %s --yes", verbs[i]);
        assert_code(tool, 1);
        assert_contains(tool->err, "2 sessions are connected");
        assert_contains(tool->err, "--force");
        expect_server(database_exists());
    }
    for (size_t i = 0; i < 2; i++)
        pgdbm_close(held[i]);
    assert_ok(pgdbm_execute(db, "CREATE TABLE kept ()", pgdbm_no_args, NULL, &err));
    tool_run(tool, "db reset --yes --force");
    assert_code(tool, 0);
    test_psql(tool->url, "SELECT 1 / (to_regclass('kept') IS NULL)::int");
    tool_run(tool, "db drop --yes --force");
    pgdbm_close(db);
    assert_code(tool, 0);
    expect_server(database_missing());
}

static void a_reset_keeps_owner_encoding_and_locale(void **state)
{
    struct tool *tool = *state;
    test_psql(test_server_url(), test_format("CREATE ROLE %s", role));
    test_psql(test_server_url(), test_format("CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'SQL_ASCII'"
                                             " LC_COLLATE 'C' LC_CTYPE 'C'",
                                             name, role));
    test_psql(tool->url, "CREATE TABLE goes ()");
    tool_run(tool, "db reset --yes --json");
    assert_code(tool, 0);
    assert_true(flag(tool, "created"));
    test_psql(tool->url, test_format("SELECT 1 / (pg_get_userbyid(datdba) = '%s' AND encoding = 0 AND datcollate = 'C'"
                                     " AND to_regclass('goes') IS NULL)::int"
                                     " FROM pg_database WHERE datname = current_database()",
                                     role));
    tool_run(tool, "db drop --yes");
    tool_run(tool, "db reset --yes");
    assert_code(tool, 0);
    expect_server(database_exists());
}

static void a_role_without_rights_loses_nothing(void **state)
{
    struct tool *tool = *state;
    test_psql(test_server_url(), test_format("CREATE ROLE %s LOGIN", role));
    snprintf(tool->url, sizeof tool->url, "%s", url_of(role, name));
    tool_run(tool, "db create");
    assert_code(tool, 1);
    assert_contains(tool->err, "permission denied");
    test_psql(test_server_url(), test_format("CREATE DATABASE %s OWNER %s", name, role));
    tool_run(tool, "db reset --yes");
    assert_code(tool, 1);
    assert_contains(tool->err, "CREATEDB");
    assert_contains(tool->err, "nothing was dropped");
    expect_server(database_exists());
    tool_run(tool, "db drop --yes");
    assert_code(tool, 0);
    expect_server(database_missing());
}

/* All that the server's catalogs know of the database, but what is another's in another database; the caller's. */
static char *all_of_it(void)
{
    static const char query[] =
        "SELECT jsonb_pretty(to_jsonb(d) - '{oid,datfrozenxid,datminmxid,datacl}'::text[] || jsonb_build_object("
        "'acl', (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(datacl) a), 'comment',"
        " shobj_description(oid, 'pg_database'), 'settings', (SELECT jsonb_agg(jsonb_build_array(setrole::regrole, c)"
        " ORDER BY setrole, c) FROM pg_db_role_setting s, unnest(setconfig) c WHERE s.setdatabase = d.oid)))"
        " FROM pg_database d WHERE datname = $1::text";
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    char *text = NULL;
    const pgdbm_config config = {.connection_string = test_server_url(), .max_connections = 1};
    assert_ok(pgdbm_open(&config, &db, &err));
    assert_ok(pgdbm_fetch_value_text(db, query, pgdbm_args(name), &text, &err));
    pgdbm_close(db);
    assert_non_null(text);
    return text;
}

static void give_comment_grants_and_settings(void)
{
    test_psql(test_server_url(), test_format("COMMENT ON DATABASE %s IS 'it''s \\ \"mine\"'", name));
    test_psql(test_server_url(), test_format("REVOKE ALL ON DATABASE %s FROM PUBLIC", name));
    test_psql(test_server_url(),
              test_format("GRANT CONNECT ON DATABASE %s TO \"%s Odd\" WITH GRANT OPTION", name, role));
    test_psql(test_server_url(), test_format("GRANT TEMPORARY ON DATABASE %s TO pg_monitor", name));
    test_psql(test_server_url(),
              test_format("ALTER DATABASE %s SET search_path TO \"$user\", \"a, \"\"b\"\"\", public", name));
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET work_mem TO '7MB'", name));
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET temp_tablespaces TO ''", name));
}

static void a_reset_keeps_all_that_is_said_about_the_database(void **state)
{
    struct tool *tool = *state;
    test_psql(test_server_url(), test_format("CREATE ROLE %s", role));
    test_psql(test_server_url(), test_format("CREATE ROLE \"%s Odd\"", role));
    test_psql(test_server_url(), test_format("CREATE DATABASE %s OWNER %s CONNECTION LIMIT 7", name, role));
    give_comment_grants_and_settings();
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET my.own TO E'x=\\ny''z'", name));
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET log_statement TO 'all'", name));
    test_psql(test_server_url(), test_format("ALTER ROLE \"%s Odd\" IN DATABASE %s SET work_mem TO '9MB'", role, name));
    char *before = all_of_it();
    tool_run(tool, "db reset --yes --json");
    char *after = all_of_it();
    test_psql(test_server_url(), test_format("DROP DATABASE %s", name));
    test_psql(test_server_url(), test_format("DROP ROLE \"%s Odd\"", role));
    assert_code(tool, 0);
    assert_string_equal(after, before);
    assert_contains(tool->out, "\"lost\": []");
    pgdbm_free(before);
    pgdbm_free(after);
}

/* The owner may not set what is the superuser's to set, nor anything for other roles. */
static void an_owner_is_told_before_the_question_what_it_cannot_make_again(void **state)
{
    struct tool *tool = *state;
    test_psql(test_server_url(), test_format("CREATE ROLE %s LOGIN CREATEDB", role));
    test_psql(test_server_url(), test_format("CREATE ROLE \"%s Odd\"", role));
    test_psql(test_server_url(), test_format("CREATE DATABASE %s OWNER %s", name, role));
    snprintf(tool->url, sizeof tool->url, "%s", url_of(role, name));
    give_comment_grants_and_settings();
    test_psql(test_server_url(), test_format("ALTER ROLE %s IN DATABASE %s SET work_mem TO '8MB'", role, name));
    char *before = all_of_it();
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET my.own TO E'x=\\ny''z'", name));
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET log_statement TO 'all'", name));
    test_psql(test_server_url(), test_format("ALTER ROLE \"%s Odd\" IN DATABASE %s SET work_mem TO '9MB'", role, name));
    char *whole = all_of_it();
    tool_run_on_terminal(tool, "db reset");
    char *refused = all_of_it();
    assert_string_equal(refused, whole);
    const char *told = strstr(tool->out, "the setting log_statement (");
    const char *asked = strstr(tool->out, "Go on?");
    if (told == NULL || asked == NULL || told > asked)
        fail_msg("expected to be told of log_statement before the question, came\n%s", tool->out);
    tool_run(tool, "db reset --yes --json");
    char *after = all_of_it();
    test_psql(test_server_url(), test_format("DROP DATABASE %s", name));
    test_psql(test_server_url(), test_format("DROP ROLE \"%s Odd\"", role));
    assert_code(tool, 0);
    assert_string_equal(after, before);
    assert_contains(tool->err, "Odd (");
    assert_contains(tool->out, "\"the setting log_statement\"");
    assert_contains(tool->out, "\"the setting my.own\"");
    char *const texts[] = {before, whole, refused, after};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        pgdbm_free(texts[i]);
}

static void a_database_that_is_not_there_is_answered_with_how_it_is_made(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db test-connection");
    assert_code(tool, 4);
    assert_contains(tool->err, "(pgdbm db create)");
}

static void a_database_that_is_read_only_is_answered_with_what_may_make_it_so(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db create");
    test_psql(test_server_url(), test_format("ALTER DATABASE %s SET default_transaction_read_only TO on", name));
    tool_run(tool, "schema create something");
    assert_code(tool, 1);
    assert_contains(tool->err, "hint: connect to the primary");
}

static void names_of_columns_in_a_hint_stay_as_they_are(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db create");
    assert_code(tool, 0);
    tool_write(tool, "m/0001_a.sql", "CREATE TABLE t (application_name text); SELECT application_nam FROM t;");
    tool_run(tool, "migrate apply --module m --dir m");
    assert_code(tool, 1);
    assert_contains(tool->err, "\"t.application_name\"");
}

/* A lock that is not to be had says nothing about rights. */
static void a_reset_takes_no_passing_obstacle_for_a_right_that_is_missing(void **state)
{
    struct tool *tool = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    pgdbm_db *tx = NULL;
    const pgdbm_config config = {.connection_string = test_server_url(), .max_connections = 1};
    tool_run(tool, "db create");
    assert_code(tool, 0);
    test_psql(test_server_url(), test_format("COMMENT ON DATABASE %s IS 'the shop'", name));
    test_psql(test_server_url(), "ALTER ROLE postgres SET lock_timeout = '300ms'");
    assert_ok(pgdbm_open(&config, &db, &err));
    assert_ok(pgdbm_begin(db, NULL, &tx, &err));
    assert_ok(pgdbm_execute_simple(tx, test_format("COMMENT ON DATABASE %s IS 'held'", name), &err));
    tool_run(tool, "db reset --yes");
    pgdbm_close(tx);
    pgdbm_close(db);
    test_psql(test_server_url(), "ALTER ROLE postgres RESET lock_timeout");
    assert_code(tool, 1);
    assert_contains(tool->err, "55P03");
    assert_null(strstr(tool->err, "will be gone"));
    expect_server(database_exists());
}

/* CREATE DATABASE copies template1, where nobody else may be connected. */
static void a_reset_that_stops_half_way_says_so(void **state)
{
    struct tool *tool = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    const pgdbm_config config = {.connection_string = url_of("postgres", "template1"), .max_connections = 1};
    tool_run(tool, "db create");
    assert_code(tool, 0);
    assert_ok(pgdbm_open(&config, &db, &err));
    tool_run(tool, "db reset --yes --json");
    pgdbm_close(db);
    assert_code(tool, 1);
    assert_contains(tool->err, "was dropped and could not be made again: it is not there now");
    assert_contains(tool->err, "template1");
    assert_contains(tool->err, "pgdbm db create");
    assert_contains(tool->out, "\"error\"");
    expect_server(database_missing());
}

static void a_server_without_its_database_postgres_is_reached_through_template1(void **state)
{
    struct tool *tool = *state;
    const char *template1 = url_of("postgres", "template1");
    static const char *const verbs[] = {"create", "reset --yes", "drop --yes"};
    int codes[3];
    test_psql(template1, "ALTER DATABASE postgres RENAME TO elsewhere");
    for (size_t i = 0; i < 3; i++) {
        tool_run(tool, "db %s", verbs[i]);
        codes[i] = tool->code;
    }
    test_psql(template1, "ALTER DATABASE elsewhere RENAME TO postgres");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(codes[i], 0);
    expect_server(database_missing());
}

static void a_connection_is_described_without_its_password(void **state)
{
    struct tool *tool = *state;
    const char *host = strstr(test_server_url(), "?host=");
    tool_run(tool, "db create");
    snprintf(tool->url, sizeof tool->url, "postgresql://postgres:sec%%72et@/%s%s", name, host);
    tool_run(tool, "db test-connection");
    assert_code(tool, 0);
    assert_contains(tool->out, "PostgreSQL");
    assert_contains(tool->out, name);
    assert_contains(tool->out, "round trip");
    assert_null(strstr(tool->out, "sec"));
    tool_run(tool, "db test-connection --json");
    assert_code(tool, 0);
    assert_true(flag(tool, "connected"));
    assert_false(flag(tool, "tls"));
    assert_null(strstr(tool->out, "sec"));
}

static void a_connection_over_tls_is_told_as_one(void **state)
{
    struct tool *tool = *state;
    const char *url = pgdbm_testserver_tcp_url(test_server());
    assert_non_null(url);
    tool_run(tool, "db test-connection --url '%s?sslmode=require'", url);
    assert_code(tool, 0);
    assert_contains(tool->out, "TLS         TLSv1");
    tool_run(tool, "db test-connection --json --url '%s?sslmode=require'", url);
    assert_true(flag(tool, "tls"));
}

static void a_server_that_is_not_there_is_four_and_no_password_is_printed(void **state)
{
    struct tool *tool = *state;
    static const char *const commands[] = {"db create", "db drop --yes", "db reset --yes", "db test-connection",
                                           "db info"};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        tool_run(tool, "%s --json --url 'postgresql://me:secret@127.0.0.1:1/x'", commands[i]);
        assert_code(tool, 4);
        assert_contains(tool->out, "\"error\"");
        assert_null(strstr(tool->out, "secret"));
        assert_null(strstr(tool->err, "secret"));
        tool_run(tool, "%s --url 'postgresql://me:se%%cret@/x'", commands[i]);
        assert_code(tool, 2);
        assert_null(strstr(tool->err, "cret"));
        tool_run(tool, "%s --env nowhere", commands[i]);
        assert_code(tool, 2);
    }
    tool_run(tool, "db test-connection"); /* the server is there, the database is not */
    assert_code(tool, 4);
    assert_contains(tool->err, name);
}

static void info_tells_what_the_database_holds(void **state)
{
    struct tool *tool = *state;
    tool_run(tool, "db create");
    tool_write(tool, "migrations/001_first.sql", "CREATE TABLE {{tables.first}} (id int);\n");
    tool_write(tool, "migrations/002_second.sql", "SELECT 1;\n");
    tool_run(tool, "migrate apply --module shop --schema s");
    assert_code(tool, 0);
    tool_run(tool, "db info");
    assert_code(tool, 0);
    assert_contains(tool->out, name);
    assert_contains(tool->out, "connections");
    assert_contains(tool->out, "plpgsql");
    assert_contains(tool->out, "002_second.sql");
    tool_run(tool, "db info --json");
    assert_code(tool, 0);
    json_t *answer = json_loads(tool->out, 0, NULL);
    const char *module = NULL, *head = NULL;
    int migrations = 0, schemas = 0;
    assert_int_equal(json_unpack(answer, "{s:[{s:s, s:s, s:i}]}", "modules", "module", &module, "head", &head,
                                 "migrations", &migrations),
                     0);
    assert_string_equal(module, "shop");
    assert_string_equal(head, "002_second.sql");
    assert_int_equal(migrations, 2);
    schemas = (int)json_array_size(json_object_get(answer, "schemas"));
    assert_int_equal(schemas, 2);
    json_decref(answer);
    test_psql(test_server_url(), test_format("CREATE ROLE %s LOGIN", role));
    tool_run(tool, "db info --json --url '%s'", url_of(role, name));
    assert_code(tool, 0); /* may read no history, and says what it may see */
    assert_contains(tool->out, "\"modules\": []");
    setenv("DATABASE_URL", tool->url, 1);
    tool_shell(tool, "{ $PGDBM db info >/dev/full 2>err; test $? = 1; } && grep -q 'could not write the answer' err");
    tool_shell(tool, "$PGDBM db info | head -1 | grep -q database");
    unsetenv("DATABASE_URL");
}

static void info_does_not_wait_for_tables_that_are_locked(void **state)
{
    struct tool *tool = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL, *tx = NULL;
    tool_run(tool, "db create");
    const pgdbm_config config = {.connection_string = tool->url, .max_connections = 1};
    assert_ok(pgdbm_open(&config, &db, &err));
    assert_ok(pgdbm_execute(db, "CREATE TABLE locked (id int)", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_begin(db, NULL, &tx, &err));
    assert_ok(pgdbm_execute(tx, "LOCK TABLE locked", pgdbm_no_args, NULL, &err));
    tool_run(tool, "db info");
    pgdbm_close(tx);
    pgdbm_close(db);
    assert_code(tool, 0);
    assert_contains(tool->err, "1 tables that are locked");
}

static void a_database_that_somebody_else_drops_meanwhile_is_gone(void **state)
{
    struct tool *tool = *state;
    tool_write(tool, "pgdbm.conf",
               test_format("[environments.prod]\nurl = %s\n", url_of("postgres", "some_other_database")));
    tool_run(tool, "db create %s --env prod", name);
    assert_code(tool, 0);
    /* Between the question and the answer. */
    tool_shell(tool, "mkfifo answer question");
    tool_shell(tool, test_format("\"$PGDBM\" db drop %s --if-exists --env prod <answer 2>question & "
                                 "exec 3>answer 4<question && read -r question <&4 && "
                                 "psql -q '%s' -c 'DROP DATABASE %s' && echo %s >&3 && wait $!",
                                 name, test_server_url(), name, name));
}

int main(void)
{
#define WITH_NAME(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_NAME(a_database_is_created_once),
        WITH_NAME(a_database_is_created_as_the_options_say),
        WITH_NAME(names_are_quoted_and_checked),
        WITH_NAME(a_database_is_dropped_only_when_that_is_meant),
        WITH_NAME(production_wants_the_name_of_the_database_that_goes),
        WITH_NAME(a_database_that_somebody_else_drops_meanwhile_is_gone),
        WITH_NAME(sessions_that_are_connected_are_counted_and_kept),
        WITH_NAME(a_reset_keeps_owner_encoding_and_locale),
        WITH_NAME(a_role_without_rights_loses_nothing),
        WITH_NAME(a_reset_keeps_all_that_is_said_about_the_database),
        WITH_NAME(an_owner_is_told_before_the_question_what_it_cannot_make_again),
        WITH_NAME(a_database_that_is_not_there_is_answered_with_how_it_is_made),
        WITH_NAME(a_database_that_is_read_only_is_answered_with_what_may_make_it_so),
        WITH_NAME(names_of_columns_in_a_hint_stay_as_they_are),
        WITH_NAME(a_reset_takes_no_passing_obstacle_for_a_right_that_is_missing),
        WITH_NAME(a_reset_that_stops_half_way_says_so),
        WITH_NAME(a_server_without_its_database_postgres_is_reached_through_template1),
        WITH_NAME(a_connection_is_described_without_its_password),
        WITH_NAME(a_connection_over_tls_is_told_as_one),
        WITH_NAME(a_server_that_is_not_there_is_four_and_no_password_is_printed),
        WITH_NAME(info_tells_what_the_database_holds),
        WITH_NAME(info_does_not_wait_for_tables_that_are_locked),
    };
    static const pgdbm_testserver_options options = {.tls = true};
    test_server_own(&options); /* its templates are used, and its database postgres is renamed */
    return cmocka_run_group_tests_name("cli_db", tests, NULL, NULL);
}
