/* SPDX-License-Identifier: MIT */
/* The server of examples/events, as its clients see it. Each test has a database of its own, an instance of the server
 * on it, and the instance must end cleanly. */
#include "examples/program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { INSTANCES = 2, CLIENTS = 3 };

/* Publishes so many events of 900 bytes at once. */
#define FLOOD 9000
#define FLOOD_TEXT "9000"

static struct stage *stage;
static struct program instances[INSTANCES];
static int ports[INSTANCES];
static struct lines clients[CLIENTS];

static void start(int instance)
{
    program_start(&instances[instance], EXAMPLE_EVENTS, "0", stage->url);
    const char *line = lines_next(&instances[instance].output);
    const char *port = line != NULL ? strrchr(line, ':') : NULL;
    assert_non_null(port);
    ports[instance] = atoi(port + 1);
}

static int setup(void **state)
{
    stage_setup(state);
    stage = *state;
    start(0);
    for (int i = 0; i < CLIENTS; i++)
        lines_connect(&clients[i], ports[0]);
    return 0;
}

static int teardown(void **state)
{
    int failures = 0;
    for (int i = 0; i < INSTANCES; i++)
        failures += program_finish(&instances[i], SIGTERM) != 0;
    for (int i = 0; i < CLIENTS; i++)
        lines_close(&clients[i]);
    stage_teardown(state);
    return failures;
}

static void subscribe(int client, const char *answer)
{
    lines_say(&clients[client], "SUBSCRIBE");
    lines_expect(&clients[client], answer);
}

static void what_one_publishes_is_pushed_to_every_subscriber(void **state)
{
    (void)state;
    subscribe(0, "OK SUBSCRIBE 0");
    subscribe(1, "OK SUBSCRIBE 0");
    lines_say(&clients[2], "PUBLISH a first event");
    lines_expect(&clients[2], "OK PUBLISH 1");
    lines_expect(&clients[0], "EVENT 1 a first event");
    lines_expect(&clients[1], "EVENT 1 a first event");
    lines_say(&clients[1], "UNSUBSCRIBE");
    lines_expect(&clients[1], "OK UNSUBSCRIBE");
    lines_say(&clients[2], "PUBLISH a second one: ä, 'quoted', $1");
    lines_expect(&clients[2], "OK PUBLISH 2");
    lines_expect(&clients[0], "EVENT 2 a second one: ä, 'quoted', $1");
    lines_say(&clients[1], "LAST 1");
    lines_expect(&clients[1], "PAST 2 a second one: ä, 'quoted', $1");
    lines_expect(&clients[1], "OK LAST 1");
}

static void two_instances_hear_each_other(void **state)
{
    (void)state;
    struct lines elsewhere;
    start(1);
    lines_connect(&elsewhere, ports[1]);
    lines_say(&elsewhere, "SUBSCRIBE");
    lines_expect(&elsewhere, "OK SUBSCRIBE 0");
    subscribe(0, "OK SUBSCRIBE 0");
    lines_say(&clients[1], "PUBLISH from here");
    lines_expect(&clients[1], "OK PUBLISH 1");
    lines_expect(&elsewhere, "EVENT 1 from here");
    lines_expect(&clients[0], "EVENT 1 from here");
    lines_say(&elsewhere, "UNSUBSCRIBE");
    lines_expect(&elsewhere, "OK UNSUBSCRIBE");
    lines_say(&elsewhere, "PUBLISH from there");
    lines_expect(&elsewhere, "OK PUBLISH 2");
    lines_expect(&clients[0], "EVENT 2 from there");
    lines_close(&elsewhere);
}

static void the_last_events_are_given_oldest_first(void **state)
{
    (void)state;
    lines_say(&clients[0], "LAST 5");
    lines_expect(&clients[0], "OK LAST 0");
    lines_say(&clients[0], "PUBLISH one");
    lines_say(&clients[0], "PUBLISH two\r");
    lines_say(&clients[0], "PUBLISH three");
    lines_say(&clients[0], "LAST 2");
    lines_expect(&clients[0], "OK PUBLISH 1");
    lines_expect(&clients[0], "OK PUBLISH 2");
    lines_expect(&clients[0], "OK PUBLISH 3");
    lines_expect(&clients[0], "PAST 2 two");
    lines_expect(&clients[0], "PAST 3 three");
    lines_expect(&clients[0], "OK LAST 2");
}

static void expect_error(const char *piece)
{
    const char *line = lines_next(&clients[0]);
    assert_non_null(line);
    assert_contains(line, "ERROR ");
    assert_contains(line, piece);
}

static void garbage_is_answered_with_an_error_and_the_connection_goes_on(void **state)
{
    (void)state;
    char text[10000];
    memset(text, 'x', sizeof text);
    lines_say(&clients[0], "GET / HTTP/1.1");
    expect_error("say PUBLISH");
    lines_say(&clients[0], "");
    expect_error("say PUBLISH");
    lines_say(&clients[0], "PUBLISH ");
    expect_error("say PUBLISH");
    lines_say(&clients[0], "LAST many");
    expect_error("from 1 to");
    lines_say(&clients[0], "LAST 0");
    expect_error("from 1 to");
    lines_send(&clients[0], text, sizeof text);
    lines_say(&clients[0], "");
    expect_error("longer than");
    lines_send(&clients[0], "PUBLISH a\0b\n", 12);
    expect_error("NUL");
    lines_send(&clients[0], "PUBLISH \xff\xfe\n", 11);
    expect_error("UTF8");
    snprintf(text, sizeof text, "PUBLISH %01001d", 0);
    lines_say(&clients[0], text);
    expect_error("at most 1000 bytes");
    lines_say(&clients[0], "PUBLISH still here");
    lines_expect(&clients[0], "OK PUBLISH 1");
}

static void nothing_is_lost_when_the_listening_backend_is_terminated(void **state)
{
    (void)state;
    subscribe(0, "OK SUBSCRIBE 0");
    lines_say(&clients[1], "PUBLISH before");
    lines_expect(&clients[1], "OK PUBLISH 1");
    lines_expect(&clients[0], "EVENT 1 before"); /* it listens */
    /* Fails, by dividing by zero, unless exactly one backend listened and has ended. */
    test_psql(stage->url, "SELECT 1 / (count(*) = 1)::int FROM (SELECT pg_terminate_backend(pid, 20000) AS ended FROM "
                          "pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%') AS listener "
                          "WHERE ended");
    test_psql(stage->url, "WITH next AS (UPDATE events.counter SET last = last + 1 RETURNING last) "
                          "INSERT INTO events.events (id, text) SELECT last, 'meanwhile' FROM next");
    lines_expect(&clients[0], "EVENT 2 meanwhile");
    lines_say(&clients[1], "PUBLISH after");
    lines_expect(&clients[1], "OK PUBLISH 3");
    lines_expect(&clients[0], "EVENT 3 after");
}

static void a_subscriber_that_does_not_read_delays_nobody_and_misses_nothing(void **state)
{
    (void)state;
    char expected[64];
    subscribe(0, "OK SUBSCRIBE 0");
    subscribe(1, "OK SUBSCRIBE 0");
    test_psql(stage->url, "WITH next AS (UPDATE events.counter SET last = last + " FLOOD_TEXT " RETURNING last) "
                          "INSERT INTO events.events (id, text) SELECT last - " FLOOD_TEXT " + number, repeat('x', 900)"
                          " FROM next, generate_series(1, " FLOOD_TEXT ") AS number");
    for (int reader = 1; reader >= 0; reader--)
        for (int number = 1; number <= FLOOD; number++) {
            snprintf(expected, sizeof expected, "EVENT %d xxx", number);
            const char *line = lines_next(&clients[reader]);
            assert_non_null(line);
            assert_memory_equal(line, expected, strlen(expected));
        }
    lines_say(&clients[2], "PUBLISH the end");
    lines_expect(&clients[2], "OK PUBLISH 9001");
    lines_expect(&clients[0], "EVENT 9001 the end");
    lines_expect(&clients[1], "EVENT 9001 the end");
}

static void many_lines_at_once_are_answered_in_their_order(void **state)
{
    (void)state;
    char line[64];
    for (int number = 1; number <= 500; number++) {
        snprintf(line, sizeof line, "PUBLISH %d", number);
        lines_say(&clients[0], line);
    }
    shutdown(clients[0].fd, SHUT_WR); /* and that is all: the answers come nevertheless */
    for (int number = 1; number <= 500; number++) {
        snprintf(line, sizeof line, "OK PUBLISH %d", number);
        lines_expect(&clients[0], line);
    }
    lines_expect_end(&clients[0]);
}

static void a_signal_ends_the_server_while_clients_are_busy(void **state)
{
    (void)state;
    subscribe(0, "OK SUBSCRIBE 0");
    for (int i = 0; i < 100; i++) {
        lines_say(&clients[1], "PUBLISH busy");
        lines_say(&clients[2], "LAST 64");
    }
    lines_expect(&clients[1], "OK PUBLISH 1");
    assert_int_equal(program_finish(&instances[0], SIGINT), 0);
    while (lines_next(&clients[0]) != NULL)
        continue;
}

static void a_port_that_is_taken_is_an_error(void **state)
{
    (void)state;
    char port[16];
    snprintf(port, sizeof port, "%d", ports[0]);
    program_start(&instances[1], EXAMPLE_EVENTS, port, stage->url);
    lines_expect_end(&instances[1].output);
    assert_int_equal(program_finish(&instances[1], 0), EXIT_FAILURE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_one_publishes_is_pushed_to_every_subscriber),
        TEST(two_instances_hear_each_other),
        TEST(the_last_events_are_given_oldest_first),
        TEST(garbage_is_answered_with_an_error_and_the_connection_goes_on),
        TEST(nothing_is_lost_when_the_listening_backend_is_terminated),
        TEST(a_subscriber_that_does_not_read_delays_nobody_and_misses_nothing),
        TEST(many_lines_at_once_are_answered_in_their_order),
        TEST(a_signal_ends_the_server_while_clients_are_busy),
        TEST(a_port_that_is_taken_is_an_error),
    };
#undef TEST
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
