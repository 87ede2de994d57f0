/* SPDX-License-Identifier: MIT */
/* Throw-away databases: made as asked, dropped without a trace, or not made at all. */
#include "testkit/people.h"

#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(text) (text), sizeof(text) - 1

static const pgdbm_migration_text texts[] = {
    {"001_things.sql", TEXT("CREATE TABLE {{tables.things}} (id int PRIMARY KEY)")},
    {"002_more.sql", TEXT("INSERT INTO {{tables.things}} VALUES (1), (2)")},
};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 2};
static const pgdbm_migration_text bad_texts[] = {{"001_bad.sql", TEXT("CREATE TABLE nonsense (i nonsense)")}};
static const pgdbm_migrations bad_migrations = {.texts = bad_texts, .n_texts = 1};

static pgdbm_testdb_options here(void)
{
    return (pgdbm_testdb_options){.server_url = test_server_url()};
}

static void expect_number(pgdbm_db *db, const char *sql, int64_t wanted)
{
    pgdbm_error err;
    int64_t number = -1;
    assert_ok(pgdbm_fetch_value_int64(db, sql, pgdbm_no_args, &number, &err));
    assert_int_equal(number, wanted);
}

static void expect_nothing_left(void)
{
    assert_int_equal(databases_like(names_of(getpid())), 0);
}

static void a_database_is_fresh_and_gone_when_dropped(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *first = NULL, *second = NULL;
    pgdbm_testdb_options options = here();
    assert_ok(pgdbm_testdb_create(&options, &first, &err));
    assert_ok(pgdbm_execute(pgdbm_testdb_manager(first), "CREATE TABLE seen (i int)", pgdbm_no_args, NULL, &err));
    assert_ok(pgdbm_testdb_create(&options, &second, &err));
    assert_string_not_equal(pgdbm_testdb_name(first), pgdbm_testdb_name(second));
    expect_number(pgdbm_testdb_manager(second), "SELECT count(*) FROM pg_class WHERE relname = 'seen'", 0);
    assert_null(pgdbm_schema(pgdbm_testdb_manager(second)));
    test_psql(pgdbm_testdb_url(first), "SELECT FROM seen");
    assert_int_equal(databases_like(names_of(getpid())), 2);
    pgdbm_testdb_drop(first);
    assert_int_equal(databases_like(pgdbm_testdb_name(second)), 1);
    pgdbm_testdb_drop(second);
    expect_nothing_left();
}

static void it_says_whose_it_is(void **state)
{
    (void)state;
    pgdbm_error err;
    char *comment = NULL;
    char wanted[64];
    pgdbm_testdb *testdb = NULL;
    pgdbm_testdb_options options = here();
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    assert_contains(pgdbm_testdb_name(testdb), names_of(getpid()));
    assert_ok(pgdbm_fetch_value_text(pgdbm_testdb_manager(testdb),
                                     "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname ="
                                     " current_database()",
                                     pgdbm_no_args, &comment, &err));
    snprintf(wanted, sizeof wanted, "pgdbm testkit kind=test pid=%d start=", (int)getpid());
    assert_contains(comment, wanted);
    assert_contains(comment, " host=");
    assert_contains(comment, " boot=");
    pgdbm_free(comment);
    pgdbm_testdb_drop(testdb);
}

static void a_schema_is_made(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pgdbm_testdb_options options = here();
    options.schema = "shop";
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    assert_string_equal(pgdbm_schema(pgdbm_testdb_manager(testdb)), "shop");
    assert_ok(pgdbm_execute(pgdbm_testdb_manager(testdb), "CREATE TABLE {{tables.orders}} (i int)", pgdbm_no_args, NULL,
                            &err));
    pgdbm_testdb_drop(testdb);
}

static void migrations_are_applied(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pgdbm_testdb_options options = here();
    options.migrations = &migrations;
    options.schema = "shop";
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    expect_number(pgdbm_testdb_manager(testdb), "SELECT count(*) FROM shop.things", 2);
    pgdbm_testdb_drop(testdb);
}

static void a_module_finds_itself_migrated(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pgdbm_db *db = NULL;
    const pgdbm_module module = {.name = "audit", .migrations = &migrations};
    pgdbm_testdb_options options = here();
    options.module = &module;
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    assert_string_equal(pgdbm_schema(pgdbm_testdb_manager(testdb)), "audit");
    /* It would insert the rows again if it did not know. */
    const pgdbm_source source = {.db = pgdbm_testdb_manager(testdb)};
    assert_ok(pgdbm_module_open(&module, &source, &db, &err));
    expect_number(db, "SELECT count(*) FROM {{tables.things}}", 2);
    pgdbm_close(db);
    pgdbm_testdb_drop(testdb);
}

static void a_failing_migration_leaves_nothing(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pgdbm_testdb *many[3];
    pgdbm_testdb_options options = here();
    options.migrations = &bad_migrations;
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_testdb_create(&options, &testdb, &err));
    assert_contains(err.message, "001_bad.sql");
    assert_null(testdb);
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_testdb_create_many(&options, 3, many, &err));
    assert_null(many[0]);
    assert_null(many[2]);
    expect_nothing_left();
}

static void several_are_made_at_once(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdbs[3];
    pgdbm_testdb_options options = here();
    assert_ok(pgdbm_testdb_create_many(&options, 3, testdbs, &err));
    assert_int_equal(databases_like(names_of(getpid())), 3);
    for (int i = 0; i < 3; i++)
        pgdbm_testdb_drop(testdbs[i]);
    assert_ok(pgdbm_testdb_create_many(&options, 0, NULL, &err));
    expect_nothing_left();
}

static void make_in_scope(void)
{
    pgdbm_error err;
    PGDBM_TESTDB_AUTO(testdb);
    pgdbm_testdb_options options = here();
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    assert_int_equal(databases_like(names_of(getpid())), 1);
}

static void the_end_of_a_scope_drops(void **state)
{
    (void)state;
    make_in_scope();
    expect_nothing_left();
}

static void dropping_does_not_mind_who_is_connected_or_what_is_open(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pgdbm_db *tx = NULL;
    pgdbm_testdb_options options = here();
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    PGconn *other = PQconnectdb(pgdbm_testdb_url(testdb));
    assert_int_equal(PQstatus(other), CONNECTION_OK);
    assert_ok(pgdbm_begin(pgdbm_testdb_manager(testdb), NULL, &tx, &err));
    pgdbm_testdb_drop(testdb);
    expect_nothing_left();
    pgdbm_close(tx);
    PQfinish(other);
    pgdbm_testdb_drop(NULL);
}

static void contradictory_options_are_refused(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    const pgdbm_module module = {.name = "audit", .migrations = &migrations};
    const pgdbm_config config = {.host = "elsewhere"};
    pgdbm_testdb_options options = here();
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testdb_create(&options, NULL, &err));
    options.module = &module;
    options.migrations = &migrations;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_create(&options, &testdb, &err));
    options = here();
    options.config = &config;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_create(&options, &testdb, &err));
    assert_contains(err.hint, ".server_url");
    options = here();
    options.schema = "not a name";
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_testdb_create(&options, &testdb, &err));
    expect_nothing_left();
}

/* As the process would find its environment; forgotten afterwards. */
static void forget_environment(void)
{
    static const char *const names[] = {"TEST_DATABASE_URL", "TEST_DB_HOST",     "TEST_DB_PORT",
                                        "TEST_DB_USER",      "TEST_DB_PASSWORD", "TEST_DB_NAME"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void expect_made_here(void)
{
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    assert_ok(pgdbm_testdb_create(NULL, &testdb, &err));
    assert_int_equal(databases_like(pgdbm_testdb_name(testdb)), 1);
    pgdbm_testdb_drop(testdb);
}

static void the_environment_says_where(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    forget_environment();
    setenv("TEST_DATABASE_URL", test_server_url(), 1);
    setenv("TEST_DB_HOST", "/nowhere", 1); /* the URL is stronger */
    expect_made_here();
    unsetenv("TEST_DATABASE_URL");
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_testdb_create(NULL, &testdb, &err));
    setenv("TEST_DB_HOST", pgdbm_testserver_socket_directory(test_server()), 1);
    setenv("TEST_DB_USER", "postgres", 1);
    setenv("TEST_DB_PASSWORD", "it's \\odd & 100%", 1);
    expect_made_here();
    forget_environment();
    setenv("TEST_DATABASE_URL", "postgresql://me:se%cret@host/", 1);
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_create(NULL, &testdb, &err));
    assert_contains(err.message, "TEST_DATABASE_URL");
    assert_null(strstr(err.message, "cret"));
    assert_null(strstr(err.detail, "cret"));
    forget_environment();
}

static void without_an_address_there_is_a_private_server(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    forget_environment();
    assert_ok(pgdbm_testdb_create(NULL, &testdb, &err));
    expect_number(pgdbm_testdb_manager(testdb), "SELECT 1::int8", 1);
    assert_int_equal(databases_like(pgdbm_testdb_name(testdb)), 1); /* it is the one of all test processes */
    pgdbm_testdb_drop(testdb);
}

static void without_a_manager_nobody_is_connected(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *full = NULL, *empty = NULL;
    pgdbm_testdb_options options = here();
    char sql[256];
    options.without_manager = true;
    assert_ok(pgdbm_testdb_create(&options, &empty, &err));
    options.migrations = &migrations;
    options.schema = "app";
    assert_ok(pgdbm_testdb_create(&options, &full, &err));
    assert_null(pgdbm_testdb_manager(empty));
    assert_null(pgdbm_testdb_manager(full));
    snprintf(sql, sizeof sql, "SELECT 1 / (count(*) = 0)::int FROM pg_stat_activity WHERE datname IN ('%s', '%s')",
             pgdbm_testdb_name(empty), pgdbm_testdb_name(full));
    test_psql(test_server_url(), sql);
    test_psql(pgdbm_testdb_url(full), "SELECT 1 / (count(*) = 2)::int FROM app.things");
    pgdbm_testdb_drop(full);
    pgdbm_testdb_drop(empty);
    expect_nothing_left();
}

/* With a private server of its own, which is nobody else's. */
static int outlive_a_crash(void *context)
{
    pgdbm_error err = {0};
    pgdbm_testdb *before = NULL, *after = NULL;
    pgdbm_testserver *server = NULL;
    const char *directory = context;
    forget_environment();
    setenv("PGDBM_TEST_DIRECTORY", directory, 1);
    setenv("PGDBM_TEST_LINGER_MS", "100", 1);
    if (pgdbm_testdb_create(NULL, &before, &err) != PGDBM_OK ||
        pgdbm_testserver_shared(NULL, &server, &err) != PGDBM_OK)
        return 1;
    pid_t postmaster = pgdbm_testserver_pid(server);
    pgdbm_testserver_stop(server);
    if (kill(postmaster, SIGKILL) != 0 || pgdbm_testdb_create(NULL, &after, &err) != PGDBM_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, err.detail);
        return 2;
    }
    pgdbm_testdb_drop(before); /* went with its server */
    pgdbm_testdb_drop(after);
    return 0;
}

static void a_private_server_that_crashed_is_replaced(void **state)
{
    (void)state;
    char outer[TEST_PATH_BYTES], inner[TEST_PATH_BYTES + 8], command[TEST_PATH_BYTES + 16];
    test_needs_fork();
    test_directory_make("crash", outer);
    assert_int_equal(chmod(outer, 0755), 0);
    snprintf(inner, sizeof inner, "%s/own", outer);
    assert_int_equal(await_child(start_child(outlive_a_crash, inner)), 0);
    snprintf(command, sizeof command, "rm -rf '%s'", outer);
    while (access(inner, F_OK) == 0) /* its keeper removes it */
        usleep(1000);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_manager_nobody_is_connected),
        cmocka_unit_test(a_database_is_fresh_and_gone_when_dropped),
        cmocka_unit_test(it_says_whose_it_is),
        cmocka_unit_test(a_schema_is_made),
        cmocka_unit_test(migrations_are_applied),
        cmocka_unit_test(a_module_finds_itself_migrated),
        cmocka_unit_test(a_failing_migration_leaves_nothing),
        cmocka_unit_test(several_are_made_at_once),
        cmocka_unit_test(the_end_of_a_scope_drops),
        cmocka_unit_test(dropping_does_not_mind_who_is_connected_or_what_is_open),
        cmocka_unit_test(contradictory_options_are_refused),
        cmocka_unit_test(the_environment_says_where),
        cmocka_unit_test(without_an_address_there_is_a_private_server),
        cmocka_unit_test(a_private_server_that_crashed_is_replaced),
    };
    return cmocka_run_group_tests_name("testdb", tests, NULL, NULL);
}
