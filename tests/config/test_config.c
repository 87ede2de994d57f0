/* SPDX-License-Identifier: MIT */
/* Configurations: what is checked, what comes from where, and what is never shown. */
#include "support/server.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was logged. One thread writes at a time in these tests, but not always the same one. */
struct notes {
    pthread_mutex_t lock; /* guards text */
    char text[8192];
};

static void note(pgdbm_log_level level, const char *message, void *context)
{
    struct notes *notes = context;
    (void)level;
    pthread_mutex_lock(&notes->lock);
    size_t length = strlen(notes->text);
    snprintf(notes->text + length, sizeof notes->text - length, "%s\n", message);
    pthread_mutex_unlock(&notes->lock);
}

static void the_empty_configuration_is_sound(void **state)
{
    (void)state;
    pgdbm_error err;
    const pgdbm_config config = {0};
    assert_ok(pgdbm_config_check(&config, &err));
}

static void a_value_out_of_range_is_named_with_its_range(void **state)
{
    (void)state;
    const struct {
        pgdbm_config config;
        const char *field, *value;
    } wrong[] = {
        {{.max_connections = -1}, "max_connections", "-1"},
        {{.max_connections = 20000}, "max_connections", "20000"},
        {{.max_pipeline = 5000}, "max_pipeline", "5000"},
        {{.acquire_timeout_ms = -2}, "acquire_timeout_ms", "-2"},
        {{.connect_timeout_ms = -1}, "connect_timeout_ms", "-1"},
        {{.keepalive_ms = 5}, "keepalive_ms", "5"},
        {{.statement_cache_size = INT_MIN}, "statement_cache_size", "-2147483648"},
        {{.port = 70000}, "port", "70000"},
        {{.retry_backoff = 0.5}, "retry_backoff", "0.5"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pgdbm_error err;
        assert_fails(PGDBM_ERR_CONFIG, pgdbm_config_check(&wrong[i].config, &err));
        assert_contains(err.message, wrong[i].field);
        assert_contains(err.message, wrong[i].value);
    }
}

static void a_part_given_twice_is_refused(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    const pgdbm_config config = {.connection_string = "postgresql://me@here/db", .user = "you"};
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_pool_open(&config, &pool, &err));
    assert_contains(err.message, "user");
    assert_contains(err.hint, "one place");
    assert_null(pool);
}

static void unusable_passwords_and_keys_appear_nowhere(void **state)
{
    (void)state;
    struct notes notes = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pgdbm_error err;
    pgdbm_pool *pool = NULL;
    char text[2048];
    const pgdbm_config config = {.connection_string = "postgresql://me:s3cret@127.0.0.1:1/db",
                                 .ssl_key_password = "k3y",
                                 .fail_fast = true,
                                 .log = note,
                                 .log_context = &notes,
                                 .log_level = PGDBM_LOG_DEBUG};
    assert_fails(PGDBM_ERR_CONNECTION, pgdbm_pool_open(&config, &pool, &err));
    pgdbm_error_format(&err, text, sizeof text);
    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(notes.text, "s3cret"));
    assert_null(strstr(notes.text, "k3y"));
}

static void a_password_that_splits_its_uri_is_not_repeated(void **state)
{
    (void)state;
    static const char *const split[] = {
        "postgresql://me:a@s3cret@127.0.0.1:1/db",     "postgresql://me:a@s3cret@127.0.0.1,other/db",
        "postgresql://me:a@other,s3cret@127.0.0.1/db", "postgres://me:1/s3cret@127.0.0.1/db",
        "postgresql://me:s3cret/b@127.0.0.1/db",       "postgresql://me:s3cret/b",
    };
    for (size_t i = 0; i < sizeof split / sizeof *split; i++) {
        pgdbm_error err;
        pgdbm_pool *pool = NULL;
        char text[2048];
        const pgdbm_config config = {.connection_string = split[i], .fail_fast = true};
        assert_fails(PGDBM_ERR_CONFIG, pgdbm_pool_open(&config, &pool, &err));
        pgdbm_error_format(&err, text, sizeof text);
        assert_contains(text, "%2F");
        assert_null(strstr(text, "s3cret"));
    }
}

static void an_at_that_may_be_there_is_no_error(void **state)
{
    (void)state;
    static const char *const fine[] = {
        "postgresql://me%40home:a%40b@127.0.0.1:1/d%40b",
        "postgresql://me@127.0.0.1:1/d@b",
        "postgresql://127.0.0.1:1/db?user=me@home",
        "host=@abstract port=1 user=me@home dbname=d@b",
        "host=/no/such@directory port=1",
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        pgdbm_error err;
        pgdbm_pool *pool = NULL;
        const pgdbm_config config = {.connection_string = fine[i], .fail_fast = true};
        assert_fails(PGDBM_ERR_CONNECTION, pgdbm_pool_open(&config, &pool, &err));
    }
}

static void the_environment_fills_what_is_zero(void **state)
{
    (void)state;
    pgdbm_error err;
    setenv("PGDBM_MAX_CONNECTIONS", "7", 1);
    setenv("PGDBM_SCHEMA", "from_environment", 1);
    setenv("PGDBM_JIT", "on", 1);
    setenv("PGDBM_RETRY_BACKOFF", "1.5", 1);
    pgdbm_config config = {.schema = "mine"};
    pgdbm_status status = pgdbm_config_from_environment(&config, &err);
    unsetenv("PGDBM_MAX_CONNECTIONS");
    unsetenv("PGDBM_SCHEMA");
    unsetenv("PGDBM_JIT");
    unsetenv("PGDBM_RETRY_BACKOFF");
    assert_ok(status);
    assert_int_equal(config.max_connections, 7);
    assert_string_equal(config.schema, "mine");
    assert_true(config.jit);
    assert_true(config.retry_backoff > 1.49 && config.retry_backoff < 1.51);
}

static void a_malformed_variable_is_named(void **state)
{
    (void)state;
    static const char *const malformed[] = {"", "seven", "7x", "99999999999999999999", "0x10", "1e3"};
    for (size_t i = 1; i < sizeof malformed / sizeof *malformed; i++) {
        pgdbm_error err;
        pgdbm_config config = {0};
        setenv("PGDBM_MAX_CONNECTIONS", malformed[i], 1);
        pgdbm_status status = pgdbm_config_from_environment(&config, &err);
        unsetenv("PGDBM_MAX_CONNECTIONS");
        assert_fails(PGDBM_ERR_CONFIG, status);
        assert_contains(err.message, "PGDBM_MAX_CONNECTIONS");
        assert_contains(err.message, malformed[i]);
    }
}

static void every_setting_is_in_the_table_once(void **state)
{
    (void)state;
    size_t n_fields = 0;
    const pgdbm_config_field *fields = pgdbm_config_fields(&n_fields);
    assert_true(n_fields > 40);
    for (size_t i = 0; i < n_fields; i++) {
        assert_true(fields[i].name[0] != '\0' && fields[i].meaning[0] != '\0');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(fields[i].name, fields[j].name);
            if (fields[i].environment[0] != '\0')
                assert_string_not_equal(fields[i].environment, fields[j].environment);
        }
    }
}

static void a_second_pool_is_told_with_both_places(void **state)
{
    (void)state;
    struct notes notes = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pgdbm_error err;
    pgdbm_pool *first = NULL;
    pgdbm_pool *second = NULL;
    char *url = test_database_create();
    char line[64];
    pgdbm_config config = {
        .connection_string = url, .min_connections = 1, .max_connections = 1, .log = note, .log_context = &notes};
    snprintf(line, sizeof line, "test_config.c:%d", __LINE__ + 1);
    assert_ok(pgdbm_pool_open(&config, &first, &err));
    assert_string_equal(notes.text, "");
    assert_ok(pgdbm_pool_open(&config, &second, &err));
    assert_contains(notes.text, "Creating another connection pool to");
    assert_contains(notes.text, line);
    pgdbm_pool_close(second);
    config.on_duplicate_pool = PGDBM_FORBID;
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_pool_open(&config, &second, &err));
    assert_contains(err.message, line);
    assert_contains(err.hint, "pgdbm_attach");
    pgdbm_pool_close(first);
    assert_ok(pgdbm_pool_open(&config, &second, &err)); /* the first one is gone */
    pgdbm_pool_close(second);
    test_database_drop(url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_configuration_is_sound),
        cmocka_unit_test(a_value_out_of_range_is_named_with_its_range),
        cmocka_unit_test(a_part_given_twice_is_refused),
        cmocka_unit_test(unusable_passwords_and_keys_appear_nowhere),
        cmocka_unit_test(a_password_that_splits_its_uri_is_not_repeated),
        cmocka_unit_test(an_at_that_may_be_there_is_no_error),
        cmocka_unit_test(the_environment_fills_what_is_zero),
        cmocka_unit_test(a_malformed_variable_is_named),
        cmocka_unit_test(every_setting_is_in_the_table_once),
        cmocka_unit_test(a_second_pool_is_told_with_both_places),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
