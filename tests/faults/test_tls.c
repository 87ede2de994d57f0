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

/* Asynchronous requests whose answers are of all sizes: bytes that TLS has taken in already are not seen by a poll. */
struct flood {
    struct secure *secure;
    int submitted, right, wrong;
};

static void on_text(const pgdbm_outcome *outcome, void *context)
{
    struct flood *flood = context;
    int64_t wanted = -1;
    const char *text = "";
    pgdbm_error err;
    if (outcome->status == PGDBM_OK && pgdbm_get_int64(outcome->result, 0, 0, &wanted, &err) == PGDBM_OK &&
        pgdbm_get_text(outcome->result, 0, 1, &text, &err) == PGDBM_OK && (int64_t)strlen(text) == wanted)
        flood->right++;
    else
        flood->wrong++;
}

static void submit_all(struct flood *flood, int count)
{
    static const int64_t sizes[] = {1, 100, 20000, 70000, 300000};
    pgdbm_error err;
    for (int i = 0; i < count; i++, flood->submitted++) {
        int64_t size = sizes[i % 5];
        assert_ok(pgdbm_submit(flood->secure->db, "SELECT $1::int8, repeat('x', $1::int4)", pgdbm_args(size), on_text,
                               flood, &err));
    }
}

static void ask_small_things(struct crew_hand *hand)
{
    struct secure *secure = hand->shared;
    pgdbm_error err;
    for (int64_t i = 0; i < 200; i++) {
        int64_t number = 0;
        if (!crew_wants(hand, PGDBM_OK,
                        pgdbm_fetch_value(secure->db, "SELECT $1::int8 + 1", pgdbm_args(i), &number, &err), &err) ||
            !crew_holds(hand, number == i + 1, "expected %lld, came %lld", (long long)i + 1, (long long)number))
            return;
    }
}

static void asynchronous_requests_and_waiting_threads_share_tls_sessions(void **state)
{
    static struct crew crew;
    struct flood flood = {.secure = *state};
    pgdbm_pool *pool = pgdbm_pool_of(flood.secure->db);
    for (int i = 0; i < 6; i++)
        crew_start(&crew, ask_small_things, flood.secure);
    for (int round = 0; round < 4; round++) {
        submit_all(&flood, 200);
        while (flood.right + flood.wrong < flood.submitted)
            pgdbm_dispatch(pool, 20000);
    }
    crew_join(&crew);
    assert_int_equal(flood.wrong, 0);
    assert_int_equal(flood.right, 800);
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
        cmocka_unit_test(asynchronous_requests_and_waiting_threads_share_tls_sessions),
        cmocka_unit_test(a_certificate_of_a_stranger_is_refused),
    };
    return cmocka_run_group_tests_name("tls", tests, start_secure, stop_secure);
}
