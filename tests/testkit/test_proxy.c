/* SPDX-License-Identifier: MIT */
/* The proxy: what each fault does to the bytes between two sockets that are both the test's, and that it leaves nothing. A
 * word in the other direction stands in for a sleep: when it is there, what was before it has been dealt with. */
#include "testkit/wire.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TO_SERVER PGDBM_TESTPROXY_TO_SERVER
#define TO_CLIENT PGDBM_TESTPROXY_TO_CLIENT
#define BOTH PGDBM_TESTPROXY_BOTH

static pgdbm_error err;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t count(const struct wire *wire, pgdbm_testproxy_counter counter)
{
    return pgdbm_testproxy_count(wire->proxy, counter);
}

static void await(const struct wire *wire, pgdbm_testproxy_counter counter, uint64_t at_least)
{
    assert_ok(pgdbm_testproxy_await(wire->proxy, counter, at_least, WIRE_LIMIT_MS, &err));
}

static void bytes_pass_both_ways_and_are_counted(void **state)
{
    struct wire *wire = *state;
    wire_talk(wire->client, wire->server);
    wire_talk(wire->client, wire->server);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_CONNECTIONS), 1);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_OPEN), 1);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_ENDED), 0);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_ROUND_TRIPS), 2);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_BYTES_TO_SERVER), 2 * strlen("hello"));
    assert_int_equal(count(wire, PGDBM_TESTPROXY_BYTES_TO_CLIENT), 2 * strlen("welcome"));
}

/* What a client asks for before it has the answer to what it asked first costs no round trip of its own. */
static void round_trips_are_those_that_the_client_waits_for(void **state)
{
    struct wire *wire = *state;
    wire_talk(wire->client, wire->server);
    assert_ok(pgdbm_testproxy_hold(wire->proxy, PGDBM_TESTPROXY_TO_CLIENT, &err));
    for (int i = 0; i < 3; i++) {
        wire_write(wire->client, "next");
        wire_expect(wire->server, "next");
        wire_write(wire->server, "answer");
    }
    assert_int_equal(count(wire, PGDBM_TESTPROXY_ROUND_TRIPS), 2);
    assert_ok(pgdbm_testproxy_resume(wire->proxy, PGDBM_TESTPROXY_TO_CLIENT, &err));
    wire_expect(wire->client, "answeransweranswer");
    wire_talk(wire->client, wire->server);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_ROUND_TRIPS), 3);
}

/* More than the proxy and the kernel hold: the writer waits, and not a byte is lost or moved. */
static void many_bytes_pass_in_order(void **state)
{
    struct wire *wire = *state;
    enum { BYTES = 8 << 20, PIECE = 65521 };
    static unsigned char out[PIECE];
    static unsigned char in[PIECE];
    size_t written = 0;
    for (size_t taken = 0; taken < BYTES;) {
        for (size_t i = 0; i < PIECE; i++)
            out[i] = (unsigned char)((written + i) * 2654435761U >> 24);
        size_t wanted = BYTES - written < PIECE ? BYTES - written : PIECE;
        ssize_t gone = wanted > 0 ? send(wire->client, out, wanted, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
        written += gone > 0 ? (size_t)gone : 0;
        if (gone > 0)
            continue; /* until it takes no more */
        ssize_t got = recv(wire->server, in, PIECE, 0);
        assert_true(got > 0);
        for (size_t i = 0; i < (size_t)got; i++)
            if (in[i] != (unsigned char)((taken + i) * 2654435761U >> 24))
                fail_msg("byte %zu is another one", taken + i);
        taken += (size_t)got;
    }
    assert_int_equal(count(wire, PGDBM_TESTPROXY_BYTES_TO_SERVER), BYTES);
}

static void end_of_file_passes_and_the_other_direction_stays(void **state)
{
    struct wire *wire = *state;
    wire_write(wire->client, "last words");
    shutdown(wire->client, SHUT_WR);
    wire_expect(wire->server, "last words");
    wire_expect_end(wire->server);
    wire_write(wire->server, "farewell");
    wire_expect(wire->client, "farewell");
    wire_close(&wire->server);
    wire_expect_end(wire->client);
    await(wire, PGDBM_TESTPROXY_ENDED, 1);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_OPEN), 0);
}

static void a_reset_passes(void **state)
{
    struct wire *wire = *state;
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(wire->server, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    wire_close(&wire->server);
    wire_expect_reset(wire->client);
    await(wire, PGDBM_TESTPROXY_ENDED, 1);
}

static void a_server_that_is_not_there_is_a_reset(void **state)
{
    struct wire *wire = *state;
    wire_close(&wire->listener);
    int client = wire_dial(wire);
    wire_expect_reset(client);
    wire_close(&client);
    wire_talk(wire->client, wire->server);
}

static void bytes_arrive_after_the_delay_and_at_once_when_it_ends(void **state)
{
    struct wire *wire = *state;
    enum { DELAY_MS = 60 };
    assert_ok(pgdbm_testproxy_delay(wire->proxy, BOTH, DELAY_MS, &err));
    int64_t since = now_ms();
    wire_talk(wire->client, wire->server);
    assert_true(now_ms() - since >= 2 * DELAY_MS - 1);
    assert_ok(pgdbm_testproxy_delay(wire->proxy, TO_SERVER, 600000, &err));
    wire_write_taken(wire, "letter");
    shutdown(wire->client, SHUT_WR);
    wire_expect_nothing(wire->server);
    assert_ok(pgdbm_testproxy_delay(wire->proxy, TO_SERVER, 0, &err));
    wire_expect(wire->server, "letter");
    wire_expect_end(wire->server);
}

static void a_throttled_direction_takes_its_time_and_loses_nothing(void **state)
{
    struct wire *wire = *state;
    char text[201];
    memset(text, 'x', 200);
    text[200] = '\0';
    assert_ok(pgdbm_testproxy_throttle(wire->proxy, TO_CLIENT, 1000, &err)); /* 20 bytes each 20 ms */
    int64_t since = now_ms();
    wire_write(wire->server, text);
    wire_expect(wire->client, text);
    assert_true(now_ms() - since >= 170);
    assert_ok(pgdbm_testproxy_throttle(wire->proxy, TO_CLIENT, 1, &err));
    wire_write(wire->server, text);
    wire_expect(wire->client, "x");
    assert_ok(pgdbm_testproxy_throttle(wire->proxy, TO_CLIENT, 0, &err));
    wire_expect(wire->client, text + 1);
}

static void what_is_held_passes_when_it_is_let_go(void **state)
{
    struct wire *wire = *state;
    assert_ok(pgdbm_testproxy_hold(wire->proxy, TO_SERVER, &err));
    wire_write_taken(wire, "held");
    wire_expect_nothing(wire->server);
    wire_write(wire->server, "free");
    wire_expect(wire->client, "free");
    assert_ok(pgdbm_testproxy_resume(wire->proxy, TO_SERVER, &err));
    wire_expect(wire->server, "held");
    assert_ok(pgdbm_testproxy_hold(wire->proxy, TO_CLIENT, &err));
    wire_write(wire->server, "held");
    wire_close(&wire->server);
    await(wire, PGDBM_TESTPROXY_OPEN, 1);
    wire_expect_nothing(wire->client);
    assert_ok(pgdbm_testproxy_resume(wire->proxy, BOTH, &err));
    wire_expect(wire->client, "held");
    wire_expect_end(wire->client);
}

static void new_connections_fall_into_the_hole(void **state)
{
    struct wire *wire = *state;
    assert_ok(pgdbm_testproxy_blackhole(wire->proxy, PGDBM_TESTPROXY_HOLE_NEW, &err));
    int client = wire_dial(wire);
    await(wire, PGDBM_TESTPROXY_CONNECTIONS, 2);
    wire_write(client, "is anybody there?");
    await(wire, PGDBM_TESTPROXY_ROUND_TRIPS, 1);
    wire_talk(wire->client, wire->server);
    wire_expect_nothing(client);
    assert_int_equal(poll(&(struct pollfd){.fd = wire->listener, .events = POLLIN}, 1, 0), 0);
    assert_ok(pgdbm_testproxy_blackhole(wire->proxy, PGDBM_TESTPROXY_HOLE_NONE, &err));
    wire_expect_reset(client);
    wire_close(&client);
    wire_talk(wire->client, wire->server);
    client = wire_dial(wire);
    int server = wire_answer(wire);
    wire_talk(client, server);
    wire_close(&client);
    wire_close(&server);
}

static void open_connections_fall_into_the_hole_and_the_server_is_told_nothing(void **state)
{
    struct wire *wire = *state;
    int other = wire_dial(wire);
    int other_server = wire_answer(wire);
    assert_ok(pgdbm_testproxy_blackhole(wire->proxy, PGDBM_TESTPROXY_HOLE_ALL, &err));
    wire_write_taken(wire, "is anybody there?");
    wire_write(wire->server, "hello?");
    wire_close(&wire->client);
    wire_write(other, "x"); /* the proxy deals with connections in turn */
    await(wire, PGDBM_TESTPROXY_ROUND_TRIPS, 2);
    wire_expect_nothing(wire->server);
    wire_expect_nothing(other);
    wire_expect_nothing(other_server);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_OPEN), 2);
    assert_ok(pgdbm_testproxy_blackhole(wire->proxy, PGDBM_TESTPROXY_HOLE_NONE, &err));
    wire_expect_reset(wire->server);
    wire_expect_reset(other);
    wire_expect_reset(other_server);
    wire_close(&other);
    wire_close(&other_server);
}

static void a_cut_lets_exactly_so_many_bytes_pass_and_ends_one_connection(void **state)
{
    struct wire *wire = *state;
    assert_ok(pgdbm_testproxy_cut(wire->proxy, TO_CLIENT, 10, PGDBM_TESTPROXY_CLOSE, &err));
    wire_write(wire->server, "0123456");
    wire_expect(wire->client, "0123456");
    wire_write(wire->client, "more, please");
    wire_expect(wire->server, "more, please");
    wire_write(wire->server, "789abc");
    wire_expect(wire->client, "789");
    wire_expect_end(wire->client);
    wire_expect_end(wire->server);
    int client = wire_dial(wire);
    int server = wire_answer(wire);
    wire_talk(client, server);
    wire_close(&client);
    wire_close(&server);
}

static void a_cut_after_nothing_loses_the_next_answer(void **state)
{
    struct wire *wire = *state;
    wire_talk(wire->client, wire->server);
    assert_ok(pgdbm_testproxy_cut(wire->proxy, TO_CLIENT, 0, PGDBM_TESTPROXY_RESET, &err));
    wire_write(wire->client, "COMMIT");
    wire_expect(wire->server, "COMMIT");
    wire_expect_nothing(wire->client);
    wire_write(wire->server, "done");
    wire_expect_reset(wire->client);
    wire_expect_reset(wire->server);
}

static void connections_close_and_reset_at_an_order(void **state)
{
    struct wire *wire = *state;
    int client = wire_dial(wire);
    int server = wire_answer(wire);
    assert_ok(pgdbm_testproxy_end_all(wire->proxy, PGDBM_TESTPROXY_CLOSE, &err));
    assert_int_equal(count(wire, PGDBM_TESTPROXY_OPEN), 0);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_ENDED), 2);
    wire_expect_end(client);
    wire_expect_end(server);
    wire_expect_end(wire->client);
    wire_expect_end(wire->server);
    wire_close(&client);
    wire_close(&server);
    client = wire_dial(wire);
    server = wire_answer(wire);
    assert_ok(pgdbm_testproxy_end_all(wire->proxy, PGDBM_TESTPROXY_RESET, &err));
    wire_expect_reset(client);
    wire_expect_reset(server);
    wire_close(&client);
    wire_close(&server);
}

static void one_side_is_cut_off_and_the_other_is_not_told(void **state)
{
    struct wire *wire = *state;
    int client = wire_dial(wire);
    int server = wire_answer(wire);
    wire_talk(client, server);
    wire_close(&wire->client);
    wire_expect_end(wire->server);
    wire_close(&wire->server);
    await(wire, PGDBM_TESTPROXY_ENDED, 1);
    assert_ok(pgdbm_testproxy_end_all(wire->proxy, PGDBM_TESTPROXY_CLOSE_CLIENT, &err));
    wire_expect_end(client);
    wire_expect_nothing(server);
    wire_write(server, "swallowed");
    wire_expect_nothing(server);
    wire_close(&server);
    await(wire, PGDBM_TESTPROXY_ENDED, 2);
    wire_close(&client);
    client = wire_dial(wire);
    server = wire_answer(wire);
    assert_ok(pgdbm_testproxy_end_all(wire->proxy, PGDBM_TESTPROXY_CLOSE_SERVER, &err));
    wire_expect_end(server);
    wire_write(client, "swallowed");
    await(wire, PGDBM_TESTPROXY_ROUND_TRIPS, 2);
    wire_expect_nothing(client);
    assert_int_equal(count(wire, PGDBM_TESTPROXY_OPEN), 1);
    wire_close(&client);
    await(wire, PGDBM_TESTPROXY_ENDED, 3);
    wire_close(&server);
}

static void one_direction_is_shut_down_and_the_other_goes_on(void **state)
{
    struct wire *wire = *state;
    assert_ok(pgdbm_testproxy_end_all(wire->proxy, PGDBM_TESTPROXY_SHUT_CLIENT, &err));
    wire_expect_end(wire->client);
    wire_write(wire->server, "swallowed");
    wire_write(wire->client, "still here");
    wire_expect(wire->server, "still here");
    int client = wire_dial(wire);
    int server = wire_answer(wire);
    wire_close(&wire->client);
    wire_expect_end(wire->server);
    assert_ok(pgdbm_testproxy_end_all(wire->proxy, PGDBM_TESTPROXY_SHUT_SERVER, &err));
    wire_expect_end(server);
    wire_write(server, "farewell");
    wire_expect(client, "farewell");
    wire_close(&server);
    wire_expect_end(client);
    wire_close(&client);
}

static void a_silent_connection_is_read_and_never_answered(void **state)
{
    struct wire *wire = *state;
    assert_ok(pgdbm_testproxy_cut(wire->proxy, TO_SERVER, 3, PGDBM_TESTPROXY_SILENCE, &err));
    wire_write_taken(wire, "words");
    wire_expect(wire->server, "wor");
    wire_write(wire->server, "what?");
    int client = wire_dial(wire);
    int server = wire_answer(wire);
    wire_talk(client, server);
    wire_expect_nothing(wire->client);
    wire_expect_nothing(wire->server);
    wire_close(&client);
    wire_close(&server);
}

/* Over TCP and over a unix socket. */
static void connections_are_refused_and_accepted_again_at_the_same_address(void **state)
{
    struct wire *wire = *state;
    for (int i = 0; i < 3; i++) {
        assert_ok(pgdbm_testproxy_refuse(wire->proxy, &err));
        assert_int_equal(wire_dial_errno(wire), ECONNREFUSED);
        wire_talk(wire->client, wire->server);
        assert_ok(pgdbm_testproxy_accept(wire->proxy, &err));
        int client = wire_dial(wire);
        int server = wire_answer(wire);
        wire_talk(client, server);
        wire_close(&client);
        wire_close(&server);
    }
}

static void all_faults_end_together(void **state)
{
    struct wire *wire = *state;
    pgdbm_testproxy *proxy = wire->proxy;
    assert_ok(pgdbm_testproxy_delay(proxy, TO_CLIENT, 600000, &err));
    assert_ok(pgdbm_testproxy_throttle(proxy, TO_CLIENT, 1, &err));
    assert_ok(pgdbm_testproxy_hold(proxy, TO_SERVER, &err));
    assert_ok(pgdbm_testproxy_cut(proxy, TO_SERVER, 0, PGDBM_TESTPROXY_RESET, &err));
    assert_ok(pgdbm_testproxy_blackhole(proxy, PGDBM_TESTPROXY_HOLE_NEW, &err));
    assert_ok(pgdbm_testproxy_refuse(proxy, &err));
    assert_ok(pgdbm_testproxy_heal(proxy, &err));
    wire_talk(wire->client, wire->server);
    int client = wire_dial(wire);
    int server = wire_answer(wire);
    wire_talk(client, server);
    wire_close(&client);
    wire_close(&server);
}

static void stopping_ends_what_is_open_and_leaves_nothing(void **state)
{
    struct wire *wire = *state;
    char directory[TEST_PATH_BYTES] = "";
    struct stat facts;
    const char *path = strstr(pgdbm_testproxy_url(wire->proxy), "/pgdbm-proxy-");
    if (path != NULL) { /* the unix socket's */
        const char *url = strstr(pgdbm_testproxy_url(wire->proxy), "host=") + strlen("host=");
        snprintf(directory, sizeof directory, "%.*s", (int)strcspn(url, "&"), url);
        assert_int_equal(stat(directory, &facts), 0);
        assert_int_equal(facts.st_mode & 077, 0);
    }
    assert_ok(pgdbm_testproxy_hold(wire->proxy, BOTH, &err));
    wire_write_taken(wire, "held");
    int with = wire_descriptors();
    pgdbm_testproxy_stop(wire->proxy);
    wire->proxy = NULL;
    assert_int_equal(wire_descriptors(), with - (path != NULL ? 4 : 5)); /* event, listener, port's keeper, two ends */
    wire_expect_end(wire->client);
    wire_expect_end(wire->server);
    if (path != NULL)
        assert_int_equal(stat(directory, &facts), -1);
}

static void a_wait_that_is_too_long_says_how_far_it_came(void **state)
{
    struct wire *wire = *state;
    await(wire, PGDBM_TESTPROXY_CONNECTIONS, 1);
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_testproxy_await_connections(wire->proxy, 3, 20, &err));
    assert_contains(err.message, "1 connections in 20 ms, not 3");
}

static void orders_out_of_range_are_refused(void **state)
{
    struct wire *wire = *state;
    pgdbm_testproxy *proxy = wire->proxy;
    pgdbm_testproxy *none = NULL;
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_start(NULL, NULL, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_delay(NULL, BOTH, 1, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_delay(proxy, BOTH, -1, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_delay(proxy, BOTH, 600001, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_hold(proxy, (pgdbm_testproxy_way)4, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_throttle(proxy, (pgdbm_testproxy_way)0, 1, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_cut(proxy, BOTH, 1, PGDBM_TESTPROXY_CLOSE, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_cut(proxy, TO_CLIENT, 1, (pgdbm_testproxy_end)7, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_end_all(proxy, (pgdbm_testproxy_end)-1, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_blackhole(proxy, (pgdbm_testproxy_hole)3, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testproxy_await(proxy, (pgdbm_testproxy_counter)7, 1, 1, &err));
    assert_int_equal(pgdbm_testproxy_count(NULL, PGDBM_TESTPROXY_OPEN), 0);
    assert_null(pgdbm_testproxy_url(NULL));
    pgdbm_testproxy_stop(NULL);
    static const char *const unusable[] = {"port=x y", "host=a,b", "host=no.such.host.invalid",
                                           "host=/a/directory/whose/name/is/too/long/for/the/address/of/a/unix/socket/"
                                           "because/that/has/room/for/108/characters/only"};
    for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
        assert_fails(PGDBM_ERR_CONFIG,
                     pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = unusable[i]}, &none, &err));
    assert_null(none);
    wire_talk(wire->client, wire->server);
}

static void a_forked_child_has_no_proxy_and_does_no_harm(void **state)
{
    struct wire *wire = *state;
    test_needs_fork();
    wire_talk(wire->client, wire->server);
    pid_t child = fork();
    if (child == 0) {
        pgdbm_status status = pgdbm_testproxy_hold(wire->proxy, BOTH, NULL);
        pgdbm_testproxy_stop(wire->proxy);
        _exit(status == PGDBM_ERR_ARGUMENT ? 0 : 1);
    }
    int ended = -1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    wire_talk(wire->client, wire->server);
    assert_int_equal(wire_dial_errno(wire), 0);
}

struct commander {
    pthread_t thread;
    pgdbm_testproxy *proxy;
    pgdbm_status worst;
};

static void *command(void *context)
{
    struct commander *commander = context;
    pgdbm_testproxy *proxy = commander->proxy;
    for (int i = 0; i < 50; i++) {
        pgdbm_status results[] = {pgdbm_testproxy_delay(proxy, BOTH, i % 2, NULL),
                                  pgdbm_testproxy_hold(proxy, TO_CLIENT, NULL),
                                  pgdbm_testproxy_throttle(proxy, BOTH, 1000000, NULL),
                                  pgdbm_testproxy_resume(proxy, TO_CLIENT, NULL),
                                  pgdbm_testproxy_refuse(proxy, NULL),
                                  pgdbm_testproxy_accept(proxy, NULL)};
        for (size_t j = 0; j < sizeof results / sizeof *results; j++)
            commander->worst = results[j] != PGDBM_OK ? results[j] : commander->worst;
    }
    return NULL;
}

static void many_threads_give_orders_while_bytes_pass(void **state)
{
    struct wire *wire = *state;
    struct commander commanders[4] = {{0}};
    for (size_t i = 0; i < 4; i++) {
        commanders[i].proxy = wire->proxy;
        assert_int_equal(pthread_create(&commanders[i].thread, NULL, command, &commanders[i]), 0);
    }
    for (int i = 0; i < 50; i++)
        wire_talk(wire->client, wire->server);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(commanders[i].thread, NULL);
        assert_int_equal(commanders[i].worst, PGDBM_OK);
    }
    assert_ok(pgdbm_testproxy_heal(wire->proxy, &err));
    wire_talk(wire->client, wire->server);
}

/* ---- in front of a real server ---- */

static pgdbm_testproxy *start(pgdbm_testproxy_options options)
{
    pgdbm_testproxy *proxy = NULL;
    assert_ok(pgdbm_testproxy_start(&options, &proxy, &err));
    return proxy;
}

static PGconn *connect_by(const pgdbm_testproxy *proxy)
{
    PGconn *connection = PQconnectdb(pgdbm_testproxy_url(proxy));
    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s: %s", pgdbm_testproxy_url(proxy), PQerrorMessage(connection));
    return connection;
}

static void expect_answer(PGconn *connection, const char *sql, const char *expected)
{
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    assert_string_equal(PQgetvalue(result, 0, 0), expected);
    PQclear(result);
}

static void the_way_leads_to_the_same_database(void **state)
{
    (void)state;
    char *url = test_database_create();
    for (int unix_socket = 0; unix_socket < 2; unix_socket++) {
        pgdbm_testproxy *proxy = start((pgdbm_testproxy_options){.server_url = url, .unix_socket = unix_socket == 1});
        PGconn *direct = PQconnectdb(url);
        PGconn *connection = connect_by(proxy);
        assert_string_equal(PQdb(connection), PQdb(direct));
        assert_string_equal(PQuser(connection), PQuser(direct));
        uint64_t trips = pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_ROUND_TRIPS);
        expect_answer(connection, "SELECT 1; SELECT 2", "2");
        assert_int_equal(pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_ROUND_TRIPS) - trips, 1);
        PQfinish(connection);
        PQfinish(direct);
        pgdbm_testproxy_stop(proxy);
    }
    test_database_drop(url);
}

static void cancel_requests_pass_and_are_counted(void **state)
{
    (void)state;
    char reason[256];
    pgdbm_testproxy *proxy = start((pgdbm_testproxy_options){.server_url = test_server_url()});
    PGconn *connection = connect_by(proxy);
    PGcancel *cancel = PQgetCancel(connection);
    assert_int_equal(PQsendQuery(connection, "SELECT pg_sleep(60)"), 1);
    PGresult *result = NULL;
    for (int64_t give_up = now_ms() + WIRE_LIMIT_MS; PQisBusy(connection) && now_ms() < give_up;) {
        /* again and again: the statement may not have begun yet */
        if (PQcancel(cancel, reason, sizeof reason) != 1)
            fail_msg("%s", reason);
        (void)poll(&(struct pollfd){.fd = PQsocket(connection), .events = POLLIN}, 1, 20);
        assert_int_equal(PQconsumeInput(connection), 1);
    }
    result = PQgetResult(connection);
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
    PQclear(result);
    PQfreeCancel(cancel);
    assert_true(pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_CANCEL_REQUESTS) > 0);
    assert_int_equal(pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_CANCEL_REQUESTS) + 1,
                     pgdbm_testproxy_count(proxy, PGDBM_TESTPROXY_CONNECTIONS));
    PQfinish(connection);
    pgdbm_testproxy_stop(proxy);
}

static void tls_passes_and_the_certificate_still_fits(void **state)
{
    (void)state;
    pgdbm_testserver *server = NULL;
    char url[1024];
    assert_ok(pgdbm_testserver_start(&(pgdbm_testserver_options){.tls = true}, &server, &err));
    snprintf(url, sizeof url, "%s?sslmode=verify-full&sslrootcert=%s", pgdbm_testserver_tcp_url(server),
             pgdbm_testserver_ca_file(server));
    pgdbm_testproxy *proxy = start((pgdbm_testproxy_options){.server_url = url});
    PGconn *connection = connect_by(proxy);
    expect_answer(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "t");
    PQfinish(connection);
    pgdbm_testproxy_stop(proxy);
    pgdbm_testserver_stop(server);
}

int main(void)
{
#define WIRED(test) cmocka_unit_test_setup_teardown(test, wire_setup, wire_teardown)
#define WIRED_UNIX(test)                                                                                               \
    {                                                                                                                  \
        .name = #test ", on a unix socket", .test_func = (test), .setup_func = wire_setup_unix,                        \
        .teardown_func = wire_teardown                                                                                 \
    }
    const struct CMUnitTest tests[] = {
        WIRED(bytes_pass_both_ways_and_are_counted),
        WIRED_UNIX(bytes_pass_both_ways_and_are_counted),
        WIRED(round_trips_are_those_that_the_client_waits_for),
        WIRED(many_bytes_pass_in_order),
        WIRED_UNIX(many_bytes_pass_in_order),
        WIRED(end_of_file_passes_and_the_other_direction_stays),
        WIRED_UNIX(end_of_file_passes_and_the_other_direction_stays),
        WIRED(a_reset_passes),
        WIRED(a_server_that_is_not_there_is_a_reset),
        WIRED(bytes_arrive_after_the_delay_and_at_once_when_it_ends),
        WIRED(a_throttled_direction_takes_its_time_and_loses_nothing),
        WIRED(what_is_held_passes_when_it_is_let_go),
        WIRED(new_connections_fall_into_the_hole),
        WIRED(open_connections_fall_into_the_hole_and_the_server_is_told_nothing),
        WIRED(a_cut_lets_exactly_so_many_bytes_pass_and_ends_one_connection),
        WIRED_UNIX(a_cut_lets_exactly_so_many_bytes_pass_and_ends_one_connection),
        WIRED(a_cut_after_nothing_loses_the_next_answer),
        WIRED(connections_close_and_reset_at_an_order),
        WIRED(one_side_is_cut_off_and_the_other_is_not_told),
        WIRED(one_direction_is_shut_down_and_the_other_goes_on),
        WIRED(a_silent_connection_is_read_and_never_answered),
        WIRED(connections_are_refused_and_accepted_again_at_the_same_address),
        WIRED_UNIX(connections_are_refused_and_accepted_again_at_the_same_address),
        WIRED(all_faults_end_together),
        WIRED(stopping_ends_what_is_open_and_leaves_nothing),
        WIRED_UNIX(stopping_ends_what_is_open_and_leaves_nothing),
        WIRED(a_wait_that_is_too_long_says_how_far_it_came),
        WIRED(orders_out_of_range_are_refused),
        WIRED(a_forked_child_has_no_proxy_and_does_no_harm),
        WIRED(many_threads_give_orders_while_bytes_pass),
        cmocka_unit_test(the_way_leads_to_the_same_database),
        cmocka_unit_test(cancel_requests_pass_and_are_counted),
        cmocka_unit_test(tls_passes_and_the_certificate_still_fits),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
