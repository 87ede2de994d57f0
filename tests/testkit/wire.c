/* SPDX-License-Identifier: MIT */
/* The wire. */
#include "testkit/wire.h"

#include <dirent.h>
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static struct wire the_wire;

static void limit(int file)
{
    const struct timeval hang = {.tv_sec = WIRE_LIMIT_MS / 1000};
    assert_true(file >= 0);
    assert_int_equal(setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &hang, sizeof hang), 0);
}

/* What the proxy's connection string says: the directory of its socket, or its port. */
static void where(struct wire *wire, char directory[TEST_PATH_BYTES], int *port)
{
    PQconninfoOption *options = PQconninfoParse(pgdbm_testproxy_url(wire->proxy), NULL);
    assert_non_null(options);
    directory[0] = '\0';
    for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "host") == 0 && option->val != NULL && option->val[0] == '/')
            snprintf(directory, TEST_PATH_BYTES, "%s", option->val);
        if (strcmp(option->keyword, "port") == 0)
            *port = atoi(option->val);
    }
    PQconninfoFree(options);
}

static int dial(struct wire *wire)
{
    int port = 0;
    char directory[TEST_PATH_BYTES];
    where(wire, directory, &port);
    struct sockaddr_in internet = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    bool is_unix = directory[0] != '\0';
    snprintf(local.sun_path, sizeof local.sun_path, "%s/.s.PGSQL.%d", directory, port);
    int file = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr *address = is_unix ? (struct sockaddr *)&local : (struct sockaddr *)&internet;
    assert_true(file >= 0);
    if (connect(file, address, is_unix ? sizeof local : sizeof internet) == 0)
        return file;
    int failure = errno;
    close(file);
    errno = failure;
    return -1;
}

int wire_dial(struct wire *wire)
{
    int file = dial(wire);
    limit(file);
    return file;
}

int wire_dial_errno(struct wire *wire)
{
    int file = dial(wire);
    if (file < 0)
        return errno;
    close(file);
    return 0;
}

int wire_answer(struct wire *wire)
{
    int file = accept4(wire->listener, NULL, NULL, SOCK_CLOEXEC);
    limit(file);
    return file;
}

void wire_close(int *file)
{
    if (*file >= 0)
        close(*file);
    *file = -1;
}

static int setup(void **state, bool is_unix)
{
    struct wire *wire = &the_wire;
    char url[128];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    pgdbm_error err;
    *wire = (struct wire){.client = -1, .server = -1};
    wire->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(wire->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(wire->listener, 16), 0);
    assert_int_equal(getsockname(wire->listener, (struct sockaddr *)&address, &bytes), 0);
    limit(wire->listener);
    wire->port = ntohs(address.sin_port);
    snprintf(url, sizeof url, "host=127.0.0.1 port=%d user=clerk dbname=shop", wire->port);
    assert_ok(pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = url, .unix_socket = is_unix}, &wire->proxy,
                                    &err));
    wire->client = wire_dial(wire);
    wire->server = wire_answer(wire);
    *state = wire;
    return 0;
}

int wire_setup(void **state)
{
    return setup(state, false);
}

int wire_setup_unix(void **state)
{
    return setup(state, true);
}

int wire_teardown(void **state)
{
    struct wire *wire = *state;
    pgdbm_testproxy_stop(wire->proxy);
    wire_close(&wire->client);
    wire_close(&wire->server);
    wire_close(&wire->listener);
    return 0;
}

void wire_write(int file, const char *text)
{
    assert_int_equal(send(file, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void wire_expect(int file, const char *text)
{
    char got[256] = "";
    size_t bytes = strlen(text);
    assert_true(bytes < sizeof got);
    for (size_t at = 0; at < bytes;) {
        ssize_t more = recv(file, got + at, bytes - at, 0);
        if (more <= 0)
            fail_msg("\"%s\" was to come, \"%s\" came, and then %s", text, got,
                     more == 0 ? "the end" : strerror(errno));
        at += (size_t)more;
    }
    assert_string_equal(got, text);
}

void wire_expect_end(int file)
{
    char byte;
    ssize_t got = recv(file, &byte, 1, 0);
    if (got != 0)
        fail_msg("the end was to come, not %s", got > 0 ? "a byte" : strerror(errno));
}

void wire_expect_reset(int file)
{
    char byte;
    ssize_t got = recv(file, &byte, 1, 0);
    if (got >= 0 || errno != ECONNRESET)
        fail_msg("a reset was to come, not %s", got > 0 ? "a byte" : got == 0 ? "the end" : strerror(errno));
}

void wire_expect_nothing(int file)
{
    char byte;
    ssize_t got = recv(file, &byte, 1, MSG_DONTWAIT);
    if (got >= 0 || errno != EAGAIN)
        fail_msg("nothing was to come, not %s", got > 0 ? "a byte" : got == 0 ? "the end" : strerror(errno));
}

void wire_write_taken(struct wire *wire, const char *text)
{
    pgdbm_error err;
    uint64_t trips = pgdbm_testproxy_count(wire->proxy, PGDBM_TESTPROXY_ROUND_TRIPS);
    wire_write(wire->client, text);
    assert_ok(pgdbm_testproxy_await(wire->proxy, PGDBM_TESTPROXY_ROUND_TRIPS, trips + 1, WIRE_LIMIT_MS, &err));
}

void wire_talk(int client, int server)
{
    wire_write(client, "hello");
    wire_expect(server, "hello");
    wire_write(server, "welcome");
    wire_expect(client, "welcome");
}

int wire_descriptors(void)
{
    int count = 0;
    DIR *files = opendir("/proc/self/fd");
    assert_non_null(files);
    while (readdir(files) != NULL)
        count++;
    closedir(files);
    return count;
}
