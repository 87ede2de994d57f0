/* SPDX-License-Identifier: MIT */
/* Servers that look like production are left alone, each for the reason that is told. */
#include "testkit/people.h"
#include "testkit/testdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pgdbm_status look(const char *url, bool told, pgdbm_error *err)
{
    struct pgdbm__address address = {0};
    pgdbm_status status = pgdbm__address_find(url, false, &address, err);
    assert_int_equal(status, PGDBM_OK);
    status = pgdbm__production_refuse_address(&address, told, err);
    pgdbm__address_free(&address);
    return status;
}

static void names_tell(void **state)
{
    (void)state;
    static const struct {
        const char *url, *reason; /* NULL: not refused */
    } cases[] = {
        {"postgresql://db.prod.example.com/app_test", "its host is db.prod.example.com"},
        {"postgresql://prod-db1/test", "its host is prod-db1"},
        {"postgresql://localhost/shop_production", "its database is shop_production"},
        {"postgresql://localhost/ShopProd", "its database is ShopProd"},
        {"postgresql://localhost/live2", "its database is live2"},
        {"postgresql://prd@localhost/test", "the user is prd"},
        {"postgresql://localhost/products_test", NULL},
        {"postgresql://localhost/delivery", NULL},
        {"postgresql://olive/reproduce", NULL},
        {"host=/var/run/prod dbname=postgres", NULL}, /* a folder on this machine */
        {"postgresql://db.example.com/shop", "db.example.com is not in a private network"},
        {"postgresql://localhost,db.example.com/shop", "db.example.com is not in a private network"},
        {"postgresql://93.184.216.34/shop", "93.184.216.34 is not in a private network"},
        {"postgresql://[2606:2800::1]/shop", "2606:2800::1 is not in a private network"},
        {"postgresql://db.example.com/shop_test", NULL},
        {"postgresql://db.example.com/ci", NULL},
        {"postgresql://db.example.com/contest", "not in a private network"},
        {"postgresql://postgres/shop", NULL}, /* a container's name */
        {"postgresql://db.shop.internal/shop", NULL},
        {"postgresql://127.0.0.1/shop", NULL},
        {"postgresql://172.17.0.2/shop", NULL},
        {"postgresql://[::1]/shop", NULL},
        {"host=/var/run,prod-db dbname=test", "its host is prod-db"},
        {"host=localhost,prod-db dbname=test", "its host is prod-db"},
        {"host=localhost hostaddr=93.184.216.34 dbname=shop", "93.184.216.34 is not in a private network"},
        {"host=db.example.com hostaddr=10.0.0.1 dbname=shop", NULL}, /* a tunnel */
        {"host=db.prod.example.com hostaddr=10.0.0.1 dbname=test", "its host is db.prod.example.com"},
        {"service=shop_prod", "its service is shop_prod"},
        {"service=shop", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgdbm_error err = {0};
        pgdbm_status status = look(cases[i].url, false, &err);
        if ((status == PGDBM_OK) != (cases[i].reason == NULL))
            fail_msg("%s: came %s %s", cases[i].url, pgdbm_status_name(status), err.message);
        if (status != PGDBM_OK)
            assert_contains(err.message, cases[i].reason);
        assert_int_equal(look(cases[i].url, true, &err), PGDBM_OK);
    }
}

static void the_environment_tells(void **state)
{
    (void)state;
    pgdbm_error err;
    static const char *const names[] = {"PGDBM_ENV", "APP_ENV", "ENVIRONMENT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv(names[i], "Production", 1);
        assert_fails(PGDBM_ERR_CONFIG, look("postgresql://localhost/test", false, &err));
        assert_contains(err.message, names[i]);
        setenv("PGDBM_TEST_EVEN_IF_PRODUCTION", "yes", 1);
        assert_ok(look("postgresql://localhost/test", false, &err));
        setenv("PGDBM_TEST_EVEN_IF_PRODUCTION", "no", 1);
        assert_fails(PGDBM_ERR_CONFIG, look("postgresql://localhost/test", false, &err));
        unsetenv("PGDBM_TEST_EVEN_IF_PRODUCTION");
        setenv(names[i], "test", 1);
        assert_ok(look("postgresql://localhost/test", false, &err));
        unsetenv(names[i]);
    }
}

/* What the connection string leaves open, libpq takes from there. */
static void variables_of_libpq_tell(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *value, *url, *reason; /* NULL: not refused */
    } cases[] = {
        {"PGUSER", "prod_owner", "postgresql://localhost/test", "the user is prod_owner"},
        {"PGUSER", "prod_owner", "postgresql://me@localhost/test", NULL},
        {"PGHOSTADDR", "93.184.216.34", "postgresql://localhost/shop", "93.184.216.34 is not in a private network"},
        {"PGHOST", "prod-db", "dbname=test", "its host is prod-db"},
        {"PGSERVICE", "prod", "postgresql:///test", "its service is prod"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgdbm_error err = {0};
        const char *outer = getenv(cases[i].variable);
        char *before = outer != NULL ? strdup(outer) : NULL;
        setenv(cases[i].variable, cases[i].value, 1);
        pgdbm_status status = look(cases[i].url, false, &err);
        if (before != NULL)
            setenv(cases[i].variable, before, 1);
        else
            unsetenv(cases[i].variable);
        free(before);
        if ((status == PGDBM_OK) != (cases[i].reason == NULL))
            fail_msg("%s=%s: came %s %s", cases[i].variable, cases[i].value, pgdbm_status_name(status), err.message);
        if (status != PGDBM_OK)
            assert_contains(err.message, cases[i].reason);
    }
}

static void nothing_is_contacted_where_names_tell(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    const pgdbm_testdb_options options = {.server_url = "postgresql://db.prod.invalid/test"};
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_create(&options, &testdb, &err));
    assert_contains(err.hint, ".even_if_production");
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_sweep(options.server_url, NULL, NULL, &err));
}

/* Refused by create and by sweep, unless told. */
static void expect_refused(const char *url, const char *reason)
{
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pgdbm_testdb_options options = {.server_url = url};
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_create(&options, &testdb, &err));
    assert_contains(err.message, reason);
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_sweep(url, NULL, NULL, &err));
    assert_contains(err.message, reason);
    const pgdbm_sweep_options told = {.even_if_production = true};
    assert_ok(pgdbm_testdb_sweep(url, &told, NULL, &err));
}

static void a_server_that_archives_its_log_tells(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testserver *server = NULL;
    pgdbm_testdb *testdb = NULL;
    static const char *const settings[] = {"archive_mode = on", "archive_command = 'true'"};
    const pgdbm_testserver_options how = {.settings = settings, .n_settings = 2};
    assert_ok(pgdbm_testserver_start(&how, &server, &err));
    expect_refused(pgdbm_testserver_url(server), "archives its log");
    const pgdbm_testdb_options options = {.server_url = pgdbm_testserver_url(server), .even_if_production = true};
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    pgdbm_testdb_drop(testdb);
    pgdbm_testserver_stop(server);
}

static void a_server_with_a_standby_tells_and_so_does_the_standby(void **state)
{
    (void)state;
    pgdbm_error err;
    char directory[TEST_PATH_BYTES];
    char path[128], command[128];
    pgdbm_testserver *server = NULL;
    test_directory_make("standby", directory);
    const pgdbm_testserver_options how = {.directory = directory};
    assert_ok(pgdbm_testserver_start(&how, &server, &err));
    test_psql(pgdbm_testserver_url(server), "SELECT pg_create_physical_replication_slot('standby')");
    expect_refused(pgdbm_testserver_url(server), "has standbys");
    pgdbm_testserver_stop(server);
    snprintf(path, sizeof path, "%s/data/standby.signal", directory);
    int file = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(file >= 0);
    close(file);
    assert_ok(pgdbm_testserver_start(&how, &server, &err));
    expect_refused(pgdbm_testserver_url(server), "is a standby");
    pgdbm_testserver_stop(server);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell),
        cmocka_unit_test(the_environment_tells),
        cmocka_unit_test(variables_of_libpq_tell),
        cmocka_unit_test(nothing_is_contacted_where_names_tell),
        cmocka_unit_test(a_server_that_archives_its_log_tells),
        cmocka_unit_test(a_server_with_a_standby_tells_and_so_does_the_standby),
    };
    return cmocka_run_group_tests_name("production", tests, NULL, NULL);
}
