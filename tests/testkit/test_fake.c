/* SPDX-License-Identifier: MIT */
/* Fake servers do what their scripts say, to libpq and to bare sockets, say what was not as expected, and leave nothing. */
#include "support/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 20000

#define START(...) start(&(pgdbm_testfake_options){__VA_ARGS__})

static pgdbm_testfake *start(const pgdbm_testfake_options *options)
{
    pgdbm_testfake *fake = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testfake_start(options, &fake, &err));
    return fake;
}

static void stop(pgdbm_testfake *fake)
{
    pgdbm_error err;
    assert_ok(pgdbm_testfake_stop(fake, &err));
}

static void await(pgdbm_testfake *fake, size_t connection, size_t steps)
{
    pgdbm_error err;
    assert_ok(pgdbm_testfake_await(fake, connection, steps, LIMIT_MS, &err));
}

static void stop_failing(pgdbm_testfake *fake, const char *message, const char *detail)
{
    pgdbm_error err = {0};
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_testfake_stop(fake, &err));
    assert_contains(err.message, message);
    assert_contains(err.detail, detail);
}

static PGconn *visit(const pgdbm_testfake *fake)
{
    PGconn *client = PQconnectdb(pgdbm_testfake_url(fake));
    assert_string_equal(PQerrorMessage(client), "");
    assert_int_equal(PQstatus(client), CONNECTION_OK);
    return client;
}

/* A bare socket; -1 with errno when nobody answers the door. */
static int dial(const pgdbm_testfake *fake)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)pgdbm_testfake_port(fake)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client >= 0);
    const struct timeval limit = {.tv_sec = LIMIT_MS / 1000};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(client, (struct sockaddr *)&address, sizeof address) == 0)
        return client;
    int failure = errno;
    close(client);
    errno = failure;
    return -1;
}

/* All that comes before the end, which must come; how much that is. */
static size_t read_to_end(int client, char *data, size_t bytes)
{
    size_t got = 0;
    ssize_t lot;
    while ((lot = recv(client, data + got, bytes - got, 0)) > 0)
        got += (size_t)lot;
    assert_int_equal(lot, 0);
    assert_true(got < bytes);
    return got;
}

static void expect_answer(PGconn *client, const char *sql, int row, const char *expected)
{
    PGresult *result = PQexec(client, sql);
    assert_string_equal(PQresultErrorMessage(result), "");
    assert_true(row < PQntuples(result));
    assert_string_equal(PQgetvalue(result, row, 0), expected);
    PQclear(result);
}

/* ---- what it sends ---- */

static void keep_notice(void *context, const char *message)
{
    snprintf(context, 256, "%s", message);
}

static void libpq_takes_it_for_a_server(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {
        PGDBM_FAKE_GREETING,
        PGDBM_FAKE_EXPECT_TEXT('Q', "FROM users"),
        PGDBM_FAKE_NOTICE("WARNING", "01000", "this is a fake"),
        PGDBM_FAKE_PARAMETER("application_name", "renamed"),
        PGDBM_FAKE_COLUMNS("id", "email"),
        PGDBM_FAKE_ROW("1", "alice@example.com"),
        PGDBM_FAKE_ROW("2", NULL),
        PGDBM_FAKE_COMMAND("SELECT 2"),
        PGDBM_FAKE_READY("T"),
        PGDBM_FAKE_EXPECT('Q'),
        PGDBM_FAKE_ERROR("ERROR", "22012", "division by zero"),
        PGDBM_FAKE_READY("E"),
        PGDBM_FAKE_EXPECT('X'),
    };
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    PGconn *client = visit(fake);
    char notice[256] = "";
    PQsetNoticeProcessor(client, keep_notice, notice);
    assert_int_equal(PQserverVersion(client), 170000);
    PGresult *result = PQexec(client, "SELECT * FROM users");
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    assert_int_equal(PQntuples(result), 2);
    assert_string_equal(PQfname(result, 1), "email");
    assert_string_equal(PQgetvalue(result, 0, 1), "alice@example.com");
    assert_true(PQgetisnull(result, 1, 1));
    PQclear(result);
    assert_contains(notice, "this is a fake");
    assert_string_equal(PQparameterStatus(client, "application_name"), "renamed");
    assert_int_equal(PQtransactionStatus(client), PQTRANS_INTRANS);
    result = PQexec(client, "SELECT 1/0");
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "22012");
    assert_string_equal(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), "division by zero");
    PQclear(result);
    PQfinish(client);
    await(fake, 1, 13);
    stop(fake);
}

static void the_extended_protocol_can_be_scripted_by_pieces(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {
        PGDBM_FAKE_EXPECT_STARTUP, PGDBM_FAKE_AUTHENTICATION_OK, PGDBM_FAKE_BACKEND_KEY,    PGDBM_FAKE_READY("I"),
        PGDBM_FAKE_EXPECT('P'),    PGDBM_FAKE_EXPECT_UNTIL('S'), PGDBM_FAKE_PARSE_COMPLETE, PGDBM_FAKE_BIND_COMPLETE,
        PGDBM_FAKE_NO_DATA,        PGDBM_FAKE_COMMAND("DO"),     PGDBM_FAKE_READY("I"),
    };
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .unix_socket = true);
    PGconn *client = visit(fake);
    assert_int_equal(PQbackendPID(client), 12345);
    PGresult *result = PQexecParams(client, "DO", 0, NULL, NULL, NULL, NULL, 0);
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(client);
    stop(fake);
}

static void garbage_follows_from_its_seed(void **state)
{
    (void)state;
    pgdbm_testfake_step first[] = {PGDBM_FAKE_GARBAGE(7, 1000), PGDBM_FAKE_CLOSE};
    pgdbm_testfake_step second[] = {PGDBM_FAKE_GARBAGE(8, 1000), PGDBM_FAKE_CLOSE};
    const pgdbm_testfake_script scripts[] = {{first, 2}, {first, 2}, {second, 2}};
    char data[3][1100];
    pgdbm_testfake *fake = START(.scripts = scripts, .n_scripts = 3, .bare = true);
    for (size_t i = 0; i < 3; i++) {
        int client = dial(fake);
        assert_int_equal(read_to_end(client, data[i], sizeof data[i]), 1000);
        close(client);
    }
    assert_memory_equal(data[0], data[1], 1000);
    assert_memory_not_equal(data[0], data[2], 1000);
    stop(fake);
}

static void a_connection_is_cut_after_so_many_bytes(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_SEND("abc\0"), PGDBM_FAKE_CUT(4), PGDBM_FAKE_SEND("de"),
                                    PGDBM_FAKE_SEND("fghij"), PGDBM_FAKE_SEND("never")};
    char data[100];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    assert_int_equal(read_to_end(client, data, sizeof data), 8);
    assert_memory_equal(data, "abc\0defg", 8);
    await(fake, 1, 4);
    close(client);
    stop(fake);
}

static void a_connection_is_closed_in_order_though_the_client_was_not_heard(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_SEND("last words"), PGDBM_FAKE_WAIT, PGDBM_FAKE_CLOSE};
    char data[100];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    assert_int_equal(send(client, "never read", 10, 0), 10);
    pgdbm_testfake_proceed(fake);
    assert_int_equal(read_to_end(client, data, sizeof data), 10);
    close(client);
    stop(fake);
}

static void a_connection_is_reset(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT_BYTES("knock"), PGDBM_FAKE_RESET};
    char byte;
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    assert_int_equal(send(client, "knock", 5, 0), 5);
    await(fake, 1, PGDBM_TESTFAKE_ALL);
    assert_int_equal(recv(client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(client);
    stop(fake);
}

/* ---- time and order ---- */

static void slow_reads_and_writes_change_nothing_but_time(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {
        PGDBM_FAKE_SLOW_READS(7, 1), PGDBM_FAKE_SLOW_WRITES(1, 0),   PGDBM_FAKE_GREETING,
        PGDBM_FAKE_EXPECT('Q'),      PGDBM_FAKE_COLUMNS("word"),     PGDBM_FAKE_SLOW_WRITES(10, 1),
        PGDBM_FAKE_ROW("patience"),  PGDBM_FAKE_COMMAND("SELECT 1"), PGDBM_FAKE_SLOW_WRITES(0, 0),
        PGDBM_FAKE_READY("I"),
    };
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    PGconn *client = visit(fake);
    expect_answer(client, "SELECT a_statement_of_some_length", 0, "patience");
    PQfinish(client);
    stop(fake);
}

static void a_delay_is_not_shorter_than_said(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_DELAY(50), PGDBM_FAKE_CLOSE};
    struct timespec before, after;
    char byte;
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    clock_gettime(CLOCK_MONOTONIC, &before);
    int client = dial(fake);
    read_to_end(client, &byte, 1);
    clock_gettime(CLOCK_MONOTONIC, &after);
    close(client);
    stop(fake);
    assert_true((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 49);
}

static void the_test_says_when_a_step_may_be_passed(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_SEND("1"), PGDBM_FAKE_WAIT, PGDBM_FAKE_SEND("2"), PGDBM_FAKE_WAIT,
                                    PGDBM_FAKE_CLOSE};
    char data[10];
    pgdbm_error err;
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    await(fake, 1, 1);
    assert_int_equal(recv(client, data, sizeof data, 0), 1);
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_testfake_await(fake, 1, 2, 20, &err));
    assert_contains(err.message, "1 has done 1 step");
    assert_int_equal(recv(client, data, sizeof data, MSG_DONTWAIT), -1);
    pgdbm_testfake_proceed(fake);
    await(fake, 1, 3);
    assert_int_equal(recv(client, data, sizeof data, 0), 1);
    pgdbm_testfake_proceed(fake);
    assert_int_equal(read_to_end(client, data, sizeof data), 0);
    await(fake, 1, PGDBM_TESTFAKE_ALL);
    close(client);
    stop(fake);
}

static void steps_are_repeated_also_inside_of_repeated_ones(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_SEND("a"),    PGDBM_FAKE_SEND("b"),    PGDBM_FAKE_REPEAT(1, 2),
                                    PGDBM_FAKE_REPEAT(3, 1), PGDBM_FAKE_REPEAT(1, 0), PGDBM_FAKE_CLOSE};
    char data[100];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    assert_int_equal(read_to_end(client, data, sizeof data), 8);
    assert_memory_equal(data, "abbbabbb", 8);
    close(client);
    stop(fake);
}

static void a_client_may_go_where_an_endless_round_begins(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING,   PGDBM_FAKE_EXPECT('Q'),   PGDBM_FAKE_COLUMNS("n"),
                                    PGDBM_FAKE_ROW("1"),   PGDBM_FAKE_REPEAT(1, 99), PGDBM_FAKE_COMMAND("SELECT 100"),
                                    PGDBM_FAKE_READY("I"), PGDBM_FAKE_FOREVER(6)};
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    PGconn *client = visit(fake);
    for (int i = 0; i < 3; i++)
        expect_answer(client, "SELECT n", 99, "1");
    PQfinish(client);
    await(fake, 1, PGDBM_TESTFAKE_ALL);
    stop(fake);
}

static void each_connection_has_its_script_and_the_last_serves_all_others(void **state)
{
    (void)state;
    pgdbm_testfake_step first[] = {PGDBM_FAKE_SEND("first"), PGDBM_FAKE_CLOSE};
    pgdbm_testfake_step others[] = {PGDBM_FAKE_SEND("other"), PGDBM_FAKE_CLOSE};
    const pgdbm_testfake_script scripts[] = {{first, 2}, {others, 2}};
    char data[10];
    pgdbm_testfake *fake = START(.scripts = scripts, .n_scripts = 2, .bare = true);
    for (int i = 0; i < 20; i++) {
        int client = dial(fake);
        assert_int_equal(read_to_end(client, data, sizeof data), 5);
        assert_memory_equal(data, i == 0 ? "first" : "other", 5);
        close(client);
    }
    assert_int_equal(pgdbm_testfake_connections(fake), 20);
    stop(fake);
}

/* ---- the door ---- */

static void connections_are_refused_until_the_door_opens(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING};
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .door = PGDBM_TESTFAKE_SHUT);
    assert_int_equal(dial(fake), -1);
    assert_int_equal(errno, ECONNREFUSED);
    pgdbm_testfake_proceed(fake);
    PQfinish(visit(fake));
    stop(fake);
}

static void connections_wait_before_a_door_that_nobody_opens(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_SEND("hello"), PGDBM_FAKE_CLOSE};
    char data[10];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .door = PGDBM_TESTFAKE_UNHEARD, .bare = true);
    int client = dial(fake);
    assert_true(client >= 0);
    assert_int_equal(pgdbm_testfake_connections(fake), 0);
    pgdbm_testfake_proceed(fake);
    assert_int_equal(read_to_end(client, data, sizeof data), 5);
    close(client);
    stop(fake);
}

static void a_script_can_refuse_those_who_come_later(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_REFUSE, PGDBM_FAKE_WAIT, PGDBM_FAKE_SEND("still here"),
                                    PGDBM_FAKE_CLOSE};
    char data[20];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    await(fake, 1, 1);
    assert_int_equal(dial(fake), -1);
    assert_int_equal(errno, ECONNREFUSED);
    pgdbm_testfake_proceed(fake);
    assert_int_equal(read_to_end(client, data, sizeof data), 10);
    close(client);
    stop(fake);
    pgdbm_testfake *local = START(PGDBM_FAKE_STEPS(script), .bare = true, .unix_socket = true);
    PGconn *first = PQconnectStart(pgdbm_testfake_url(local));
    await(local, 1, 1);
    PGconn *second = PQconnectdb(pgdbm_testfake_url(local));
    assert_contains(PQerrorMessage(second), "refused");
    PQfinish(second);
    PQfinish(first);
    stop(local);
}

static void cancel_requests_are_counted_and_take_no_script(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING};
    char problem[256];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    PGconn *client = visit(fake);
    PGcancel *cancel = PQgetCancel(client);
    assert_int_equal(PQcancel(cancel, problem, sizeof problem), 1);
    PQfreeCancel(cancel);
    assert_int_equal(pgdbm_testfake_cancels(fake), 1);
    assert_int_equal(pgdbm_testfake_connections(fake), 1);
    PQfinish(client);
    stop(fake);
}

static void a_bare_server_leaves_everything_to_its_script(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT_BYTES("\0\0\0\x08\x04\xd2\x16\x2f"), PGDBM_FAKE_SEND("N"),
                                    PGDBM_FAKE_GREETING};
    char url[256];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    snprintf(url, sizeof url, "%s?sslmode=prefer&gssencmode=disable", pgdbm_testfake_url(fake));
    PGconn *client = PQconnectdb(url);
    assert_int_equal(PQstatus(client), CONNECTION_OK);
    PQfinish(client);
    stop(fake);
}

/* ---- what was not as expected ---- */

static void another_message_is_reported_with_its_step_and_bytes(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_EXPECT('P'), PGDBM_FAKE_READY("I")};
    pgdbm_error err;
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    PGconn *client = visit(fake);
    PGresult *result = PQexec(client, "SELECT 'a\\b'\n");
    assert_int_equal(PQstatus(client), CONNECTION_BAD);
    PQclear(result);
    PQfinish(client);
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_testfake_await(fake, 2, 0, LIMIT_MS, &err));
    assert_contains(err.message, "connection 1, step 2: expected P (Parse), but Q (Query) came");
    stop_failing(fake, "connection 1, step 2: expected P (Parse), but Q (Query) came",
                 "came: Q\\0\\0\\0\\x12SELECT 'a\\\\b'\\n\\0");
}

static void a_missing_text_is_reported(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_EXPECT_TEXT('Q', "DELETE")};
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    PGconn *client = visit(fake);
    PQclear(PQexec(client, "SELECT 1"));
    PQfinish(client);
    stop_failing(fake, "step 2: expected Q (Query) with \"DELETE\", but Q (Query) came", "SELECT 1");
}

static void other_bytes_are_reported_at_the_first_that_differs(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT_BYTES("HELO"), PGDBM_FAKE_EXPECT_BYTES("\x01long")};
    char data[10];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    int client = dial(fake);
    assert_int_equal(send(client, "HELO\x02", 5, 0), 5);
    assert_int_equal(read_to_end(client, data, sizeof data), 0);
    close(client);
    stop_failing(fake, "step 2: expected the bytes \"\\x01long\", but others came", "came: \\x02");
}

static void a_client_that_goes_too_early_is_reported(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT_STARTUP};
    pgdbm_error err;
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    close(dial(fake));
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_testfake_await(fake, 1, 1, LIMIT_MS, &err));
    stop_failing(fake, "step 1: expected a startup message, but the client closed the connection", "(nothing)");
}

static void what_is_no_message_is_reported(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_EXPECT('Q')};
    char data[10];
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script));
    int client = dial(fake);
    assert_int_equal(send(client, "Q\x7f\xff\xff\xff and more", 14, 0), 14);
    assert_int_equal(read_to_end(client, data, sizeof data), 0);
    close(client);
    stop_failing(fake, "expected Q (Query), but what came is no message", "Q\\x7f\\xff\\xff\\xff and more");
}

static void awaiting_more_than_a_script_has_fails(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_CLOSE};
    pgdbm_error err;
    pgdbm_testfake *fake = START(PGDBM_FAKE_STEPS(script), .bare = true);
    close(dial(fake));
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_testfake_await(fake, 1, 2, -1, &err));
    assert_contains(err.message, "ended after 1 step");
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_testfake_await(fake, 2, 0, 0, &err));
    assert_contains(err.message, "1 came");
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testfake_await(fake, 0, 0, 0, &err));
    stop(fake);
}

static void bad_scripts_are_refused_with_the_steps_number(void **state)
{
    (void)state;
    static const struct {
        pgdbm_testfake_step step;
        const char *why;
    } bad[] = {
        {{.kind = (pgdbm_testfake_kind)0}, "no known kind"},
        {{.kind = (pgdbm_testfake_kind)99}, "no known kind"},
        {PGDBM_FAKE_EXPECT('\0'), "without a type"},
        {PGDBM_FAKE_EXPECT_BYTES(""), "no bytes"},
        {{.kind = PGDBM_TESTFAKE_SEND, .bytes = 5}, "NULL"},
        {{.kind = PGDBM_TESTFAKE_ROW, .n_texts = 1}, "NULL"},
        {{.kind = PGDBM_TESTFAKE_COLUMNS, .n_texts = 5000}, "more than 1600"},
        {{.kind = PGDBM_TESTFAKE_REPORT, .type = 'E'}, "severity"},
        {PGDBM_FAKE_GARBAGE(1, -1), "64 MB"},
        {PGDBM_FAKE_CUT(INT64_C(1) << 40), "64 MB"},
        {PGDBM_FAKE_DELAY(60001), "60 000 ms"},
        {PGDBM_FAKE_SLOW_READS(1, -1), "60 000 ms"},
        {PGDBM_FAKE_SLOW_WRITES(-1, 1), "64 MB"},
        {PGDBM_FAKE_REPEAT(3, 1), "before the first"},
        {PGDBM_FAKE_REPEAT(0, 1), "or none"},
        {PGDBM_FAKE_REPEAT(1, 1000001), "a million"},
        {PGDBM_FAKE_RESET, "unix socket"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_WAIT, bad[i].step};
        pgdbm_testfake_options options = {PGDBM_FAKE_STEPS(script), .unix_socket = true};
        pgdbm_testfake *fake = (pgdbm_testfake *)&options;
        pgdbm_error err = {0};
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testfake_start(&options, &fake, &err));
        assert_null(fake);
        assert_contains(err.message, "script 1, step 3");
        assert_contains(err.message, bad[i].why);
    }
}

/* ---- what it leaves ---- */

static size_t count_entries(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void nothing_is_left_also_when_connections_are_open(void **state)
{
    (void)state;
    pgdbm_testfake_step greet[] = {PGDBM_FAKE_GREETING};
    pgdbm_testfake_step wait[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_WAIT};
    pgdbm_testfake_step delay[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_DELAY(60000)};
    pgdbm_testfake_step flood[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_PARAMETER("application_name", "again"),
                                   PGDBM_FAKE_FOREVER(1)};
    pgdbm_testfake_step expect[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_EXPECT('Q')};
    const pgdbm_testfake_script scripts[] = {{greet, 1}, {wait, 2}, {delay, 2}, {flood, 3}, {expect, 2}};
    char directory[256];
    PGconn *clients[6];
    struct stat facts;
    size_t descriptors = count_entries("/proc/self/fd");
    size_t threads = count_entries("/proc/self/task");
    pgdbm_testfake *fake = START(.scripts = scripts, .n_scripts = 5, .unix_socket = true);
    assert_int_equal(pgdbm_testfake_port(fake), 0);
    for (size_t i = 0; i < 6; i++)
        clients[i] = visit(fake);
    snprintf(directory, sizeof directory, "%s", PQhost(clients[0]));
    assert_int_equal(stat(directory, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    stop(fake);
    assert_int_equal(stat(directory, &facts), -1);
    for (size_t i = 0; i < 6; i++)
        PQfinish(clients[i]);
    assert_int_equal(count_entries("/proc/self/fd"), descriptors);
    /* The kernel lists a thread for a moment after it was joined, and tells nobody when it no longer does. */
    for (int patience = 10000; count_entries("/proc/self/task") > threads && patience > 0; patience--)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(count_entries("/proc/self/task") <= threads);
}

/* An allocator that gives so much and no more, and counts. */
struct ration {
    long left, held;
};

static void *take(void *memory, size_t bytes, void *context)
{
    struct ration *ration = context;
    if (ration->left-- <= 0)
        return NULL;
    ration->held += memory == NULL;
    return realloc(memory, bytes);
}

static void give(void *memory, void *context)
{
    ((struct ration *)context)->held -= memory != NULL;
    free(memory);
}

static void a_start_without_memory_fails_and_leaves_nothing(void **state)
{
    (void)state;
    pgdbm_testfake_step script[] = {PGDBM_FAKE_GREETING, PGDBM_FAKE_ROW("1", "2"), PGDBM_FAKE_GARBAGE(1, 100)};
    pgdbm_testfake_options options = {PGDBM_FAKE_STEPS(script)};
    struct ration ration = {0};
    pgdbm_allocator allocator = {take, give, &ration};
    pgdbm_testfake *fake = NULL;
    pgdbm_error err;
    pgdbm_status status = PGDBM_ERR_NOMEM;
    long enough = 0;
    assert_ok(pgdbm_allocator_set(&allocator, &err));
    for (; status == PGDBM_ERR_NOMEM && enough < 1000; enough++) {
        ration = (struct ration){.left = enough};
        status = pgdbm_testfake_start(&options, &fake, &err);
        if (status == PGDBM_OK)
            pgdbm_testfake_stop(fake, NULL);
        if (ration.held != 0)
            status = PGDBM_ERR_ARGUMENT;
    }
    pgdbm_allocator_set(NULL, NULL);
    assert_int_equal(ration.held, 0);
    assert_ok(status);
    assert_true(enough > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libpq_takes_it_for_a_server),
        cmocka_unit_test(the_extended_protocol_can_be_scripted_by_pieces),
        cmocka_unit_test(garbage_follows_from_its_seed),
        cmocka_unit_test(a_connection_is_cut_after_so_many_bytes),
        cmocka_unit_test(a_connection_is_closed_in_order_though_the_client_was_not_heard),
        cmocka_unit_test(a_connection_is_reset),
        cmocka_unit_test(slow_reads_and_writes_change_nothing_but_time),
        cmocka_unit_test(a_delay_is_not_shorter_than_said),
        cmocka_unit_test(the_test_says_when_a_step_may_be_passed),
        cmocka_unit_test(steps_are_repeated_also_inside_of_repeated_ones),
        cmocka_unit_test(a_client_may_go_where_an_endless_round_begins),
        cmocka_unit_test(each_connection_has_its_script_and_the_last_serves_all_others),
        cmocka_unit_test(connections_are_refused_until_the_door_opens),
        cmocka_unit_test(connections_wait_before_a_door_that_nobody_opens),
        cmocka_unit_test(a_script_can_refuse_those_who_come_later),
        cmocka_unit_test(cancel_requests_are_counted_and_take_no_script),
        cmocka_unit_test(a_bare_server_leaves_everything_to_its_script),
        cmocka_unit_test(another_message_is_reported_with_its_step_and_bytes),
        cmocka_unit_test(a_missing_text_is_reported),
        cmocka_unit_test(other_bytes_are_reported_at_the_first_that_differs),
        cmocka_unit_test(a_client_that_goes_too_early_is_reported),
        cmocka_unit_test(what_is_no_message_is_reported),
        cmocka_unit_test(awaiting_more_than_a_script_has_fails),
        cmocka_unit_test(bad_scripts_are_refused_with_the_steps_number),
        cmocka_unit_test(nothing_is_left_also_when_connections_are_open),
        cmocka_unit_test(a_start_without_memory_fails_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
