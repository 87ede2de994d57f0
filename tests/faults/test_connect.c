/* SPDX-License-Identifier: MIT */
/* Connecting to what is not there, does not answer, talks something else, or says no: what is tried again, what is not,
 * and what the error says. */
#include "db/crew.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Opens and closes; what came is in *err. */
static pgdbm_status try_open(struct stage *stage, pgdbm_config config, pgdbm_error *err)
{
    pgdbm_pool *pool = NULL;
    config = stage_config(stage, config);
    pgdbm_status status = pgdbm_pool_open(&config, &pool, err);
    if (status != PGDBM_OK)
        assert_null(pool);
    pgdbm_pool_close(pool);
    return status;
}

static void a_malformed_connection_string_is_refused_before_anything_is_contacted(void **state)
{
    static const char *const malformed[] = {
        "postgresql://[::1/db", "postgresql://host:port/db", "host='unclosed", "no_such_keyword=1", "host",
        "postgres://%zz/db",    "postgresql:///?nothing=1"};
    pgdbm_error err;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_fails(PGDBM_ERR_CONFIG, try_open(*state, (pgdbm_config){.connection_string = malformed[i]}, &err));
        assert_contains(err.message, "connection");
        assert_true(err.hint[0] != '\0');
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    }
}

static void a_password_in_a_malformed_connection_string_is_not_shown(void **state)
{
    pgdbm_error err;
    char text[2048];
    assert_fails(PGDBM_ERR_CONFIG,
                 try_open(*state, (pgdbm_config){.connection_string = "postgresql://me:s3cret@[::1/db"}, &err));
    pgdbm_error_format(&err, text, sizeof text);
    assert_null(strstr(text, "s3cret"));
}

static void an_unknown_database_fails_at_once_and_is_named(void **state)
{
    char url[512];
    pgdbm_error err;
    snprintf(url, sizeof url, "postgresql://postgres@/nowhere?host=%s",
             pgdbm_testserver_socket_directory(test_server()));
    assert_fails(PGDBM_ERR_CONNECTION,
                 try_open(*state, (pgdbm_config){.connection_string = url, .retry_delay_ms = 600000}, &err));
    assert_string_equal(err.sqlstate, "3D000");
    assert_contains(err.message, "nowhere");
    assert_contains(err.message, "1 attempt)");
    assert_contains(err.hint, "createdb");
}

static void an_unknown_user_fails_at_once_and_is_named(void **state)
{
    char url[512];
    pgdbm_error err;
    snprintf(url, sizeof url, "postgresql://nobody_at_all@/postgres?host=%s",
             pgdbm_testserver_socket_directory(test_server()));
    assert_fails(PGDBM_ERR_CONNECTION,
                 try_open(*state, (pgdbm_config){.connection_string = url, .retry_delay_ms = 600000}, &err));
    assert_string_equal(err.sqlstate, "28000");
    assert_contains(err.message, "nobody_at_all");
}

static pgdbm_testfake *fake_server(const pgdbm_testfake_options *options)
{
    pgdbm_testfake *fake = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testfake_start(options, &fake, &err));
    return fake;
}

static void a_refused_port_names_host_port_database_and_attempts(void **state)
{
    char text[64];
    pgdbm_error err;
    pgdbm_testfake *fake = fake_server(&(pgdbm_testfake_options){.door = PGDBM_TESTFAKE_SHUT});
    int port = pgdbm_testfake_port(fake);
    pgdbm_status status = try_open(*state,
                                   (pgdbm_config){.connection_string = "",
                                                  .host = "127.0.0.1",
                                                  .port = port,
                                                  .database = "shop",
                                                  .user = "clerk",
                                                  .retry_attempts = 2,
                                                  .retry_delay_ms = 1,
                                                  .retry_max_delay_ms = 2},
                                   &err);
    pgdbm_testfake_stop(fake, NULL);
    assert_fails(PGDBM_ERR_CONNECTION, status);
    snprintf(text, sizeof text, "port=%d", port);
    assert_contains(err.message, "host=127.0.0.1");
    assert_contains(err.message, text);
    assert_contains(err.message, "dbname=shop");
    assert_contains(err.message, "user=clerk");
    assert_contains(err.message, "3 attempts");
    assert_contains(err.message, "refused");
    assert_contains(err.hint, "server");
}

static void a_server_that_does_not_answer_is_given_up_in_time(void **state)
{
    pgdbm_error err;
    pgdbm_testfake *fake = fake_server(NULL);
    int64_t since = stage_clock_ms();
    pgdbm_status status = try_open(
        *state,
        (pgdbm_config){.connection_string = pgdbm_testfake_url(fake), .connect_timeout_ms = 200, .fail_fast = true},
        &err);
    pgdbm_testfake_stop(fake, NULL);
    assert_fails(PGDBM_ERR_CONNECTION, status);
    assert_contains(err.message, "connect_timeout_ms");
    assert_contains(err.message, " ms (");
    assert_true(stage_clock_ms() - since < 10000);
}

static void a_server_that_speaks_something_else_is_an_error(void **state)
{
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT_STARTUP,
                                    PGDBM_FAKE_SEND("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
                                    PGDBM_FAKE_CLOSE};
    pgdbm_error err;
    pgdbm_error fake_err;
    pgdbm_testfake *fake = fake_server(&(pgdbm_testfake_options){PGDBM_FAKE_STEPS(script)});
    pgdbm_status status =
        try_open(*state, (pgdbm_config){.connection_string = pgdbm_testfake_url(fake), .fail_fast = true}, &err);
    pgdbm_status followed = pgdbm_testfake_stop(fake, &fake_err);
    assert_fails(PGDBM_ERR_CONNECTION, status);
    assert_contains(err.message, "received H");
    assert_int_equal(followed, PGDBM_OK);
}

/* A server that asks everybody but "postgres" for a password. */
static pgdbm_testserver *start_with_passwords(char hba_file[TEST_PATH_BYTES])
{
    static const char rules[] = "local all postgres trust\nlocal all all scram-sha-256\n";
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    char setting[TEST_PATH_BYTES + 16];
    int file = test_file_make("hba", hba_file);
    assert_int_equal(write(file, rules, sizeof rules - 1), sizeof rules - 1);
    assert_int_equal(fchmod(file, 0644), 0); /* the server may run as another user */
    close(file);
    snprintf(setting, sizeof setting, "hba_file='%s'", hba_file);
    const char *const settings[] = {setting};
    assert_ok(
        pgdbm_testserver_start(&(pgdbm_testserver_options){.settings = settings, .n_settings = 1}, &server, &err));
    test_psql(pgdbm_testserver_url(server), "CREATE ROLE clerk LOGIN PASSWORD 'correct'");
    return server;
}

static void a_wrong_password_fails_at_once_and_a_right_one_opens(void **state)
{
    char hba_file[TEST_PATH_BYTES];
    pgdbm_error err;
    char text[2048];
    pgdbm_testserver *server = start_with_passwords(hba_file);
    pgdbm_config config = {.connection_string = "",
                           .host = pgdbm_testserver_socket_directory(server),
                           .database = "postgres",
                           .user = "clerk",
                           .password = "wr0ng",
                           .retry_delay_ms = 600000};
    pgdbm_status wrong = try_open(*state, config, &err);
    pgdbm_error_format(&err, text, sizeof text);
    pgdbm_error right_err;
    config.password = "correct";
    pgdbm_status right = try_open(*state, config, &right_err);
    pgdbm_testserver_stop(server);
    unlink(hba_file);
    assert_fails(PGDBM_ERR_CONNECTION, wrong);
    assert_string_equal(err.sqlstate, "28P01");
    assert_contains(err.message, "clerk");
    assert_contains(err.message, "1 attempt)");
    assert_contains(err.hint, "password");
    assert_null(strstr(text, "wr0ng"));
    assert_int_equal(right, PGDBM_OK);
}

struct patient {
    struct stage *stage;
    const char *url;
};

static void open_patiently(struct crew_hand *hand)
{
    struct patient *patient = hand->shared;
    pgdbm_error err;
    pgdbm_status status = try_open(patient->stage,
                                   (pgdbm_config){.connection_string = patient->url,
                                                  .min_connections = 1,
                                                  .max_connections = 1,
                                                  .retry_attempts = 1,
                                                  .retry_delay_ms = 1,
                                                  .retry_max_delay_ms = 5},
                                   &err);
    crew_wants(hand, PGDBM_OK, status, &err);
}

static void a_full_server_is_waited_for(void **state)
{
    struct stage *stage = *state;
    static struct crew crew;
    char url[512];
    const char *narrow = test_name("narrow");
    test_psql(stage->url, test_format("CREATE ROLE %s LOGIN CONNECTION LIMIT 1", narrow));
    snprintf(url, sizeof url, "postgresql://%s@%s", narrow, strchr(stage->url, '@') + 1);
    PGconn *holder = PQconnectdb(url);
    assert_int_equal(PQstatus(holder), CONNECTION_OK);
    struct patient patient = {stage, url};
    crew_start(&crew, open_patiently, &patient);
    int64_t give_up = stage_clock_ms() + 20000;
    while (!stage_logged(stage, "too many connections for role") && stage_clock_ms() < give_up)
        usleep(1000);
    bool was_refused = stage_logged(stage, "too many connections for role");
    PQfinish(holder);
    crew_join(&crew);
    test_psql(stage->url, test_format("DROP ROLE %s", narrow));
    assert_true(was_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define STAGED(test) cmocka_unit_test_setup_teardown(test, stage_setup, stage_teardown)
        STAGED(a_malformed_connection_string_is_refused_before_anything_is_contacted),
        STAGED(a_password_in_a_malformed_connection_string_is_not_shown),
        STAGED(an_unknown_database_fails_at_once_and_is_named),
        STAGED(an_unknown_user_fails_at_once_and_is_named),
        STAGED(a_refused_port_names_host_port_database_and_attempts),
        STAGED(a_server_that_does_not_answer_is_given_up_in_time),
        STAGED(a_server_that_speaks_something_else_is_an_error),
        STAGED(a_wrong_password_fails_at_once_and_a_right_one_opens),
        STAGED(a_full_server_is_waited_for),
    };
    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
