/* SPDX-License-Identifier: MIT */
/* TLS: the codec on top of the encrypted connection that libpq made, and certificates that do not fit. */
#include "db/crew.h"

#include <stdio.h>
#include <stdlib.h>

struct secure {
    pgdbm_testserver *server;
    pgdbm_db *db;
};

static pgdbm_config secure_config(pgdbm_testserver *server, const char *ca_file)
{
    return (pgdbm_config){.connection_string = pgdbm_testserver_tcp_url(server),
                          .ssl_mode = "verify-full",
                          .ssl_ca_file = ca_file,
                          .max_connections = 4,
                          .fail_fast = true,
                          .on_duplicate_pool = PGDBM_ALLOW};
}

static int start_secure(void **state)
{
    struct secure *secure = calloc(1, sizeof *secure);
    pgdbm_error err;
    assert_ok(pgdbm_testserver_start(&(pgdbm_testserver_options){.tls = true}, &secure->server, &err));
    pgdbm_config config = secure_config(secure->server, pgdbm_testserver_ca_file(secure->server));
    assert_ok(pgdbm_open(&config, &secure->db, &err));
    *state = secure;
    return 0;
}

static int stop_secure(void **state)
{
    struct secure *secure = *state;
    pgdbm_close(secure->db);
    pgdbm_testserver_stop(secure->server);
    free(secure);
    return 0;
}

static void the_connection_is_encrypted(void **state)
{
    struct secure *secure = *state;
    stage_expect_text(secure->db, "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "true");
}

#define LARGE (10 << 20)

static void send_and_get_large(struct crew_hand *hand)
{
    struct secure *secure = hand->shared;
    pgdbm_error err;
    pgdbm_result *rows = NULL;
    pgdbm_blob blob = {0};
    unsigned char *sent = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        sent[i] = (unsigned char)(i * 31 + hand->number);
    for (int i = 0; i < 20; i++) {
        int64_t number = 0;
        if (!crew_wants(hand, PGDBM_OK,
                        pgdbm_fetch_value(secure->db, "SELECT $1::int8 * 2", pgdbm_args((int64_t)i), &number, &err),
                        &err) ||
            !crew_holds(hand, number == 2 * i, "expected %d, came %lld", 2 * i, (long long)number))
            goto done;
    }
    if (crew_wants(hand, PGDBM_OK,
                   pgdbm_fetch_one(secure->db, "SELECT $1::bytea", pgdbm_args(pgdbm_bytes(sent, LARGE)), &rows, &err),
                   &err) &&
        crew_wants(hand, PGDBM_OK, pgdbm_get_bytes(rows, 0, 0, &blob, &err), &err))
        crew_holds(hand, blob.bytes == LARGE && memcmp(blob.data, sent, LARGE) == 0, "%zu bytes, not the ones sent",
                   blob.bytes);
done:
    pgdbm_result_free(rows);
    free(sent);
}

static void large_values_of_sixteen_threads_come_back_as_they_went(void **state)
{
    crew_run(16, send_and_get_large, *state);
}

static void a_deadline_ends_a_statement_over_tls(void **state)
{
    struct secure *secure = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_execute_with(secure->db, &(pgdbm_call){.timeout_ms = 50},
                                                       "SELECT pg_sleep(600)", pgdbm_no_args, NULL, &err));
    stage_expect_number(secure->db, "SELECT 3::int8", 3);
}

static void a_certificate_of_a_stranger_is_refused(void **state)
{
    struct secure *secure = *state;
    pgdbm_testserver *stranger = NULL;
    pgdbm_pool *pool = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testserver_start(&(pgdbm_testserver_options){.tls = true}, &stranger, &err));
    pgdbm_config config = secure_config(secure->server, pgdbm_testserver_ca_file(stranger));
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    pgdbm_testserver_stop(stranger);
    assert_fails(PGDBM_ERR_CONNECTION, status);
    assert_contains(err.message, "certificate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_connection_is_encrypted),
        cmocka_unit_test(large_values_of_sixteen_threads_come_back_as_they_went),
        cmocka_unit_test(a_deadline_ends_a_statement_over_tls),
        cmocka_unit_test(a_certificate_of_a_stranger_is_refused),
    };
    return cmocka_run_group_tests_name("tls", tests, start_secure, stop_secure);
}
