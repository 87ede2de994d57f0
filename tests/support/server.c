/* SPDX-License-Identifier: MIT */
/* See server.h. Only the thread that runs the tests calls these. */
#include "support/server.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pgdbm_testserver *server;
static bool wants_own;
static const pgdbm_testserver_options *own_options;

static void stop(void)
{
    pgdbm_testserver_stop(server);
    server = NULL;
}

pgdbm_testserver *test_server(void)
{
    pgdbm_error err;
    if (server == NULL) {
        if (wants_own)
            assert_ok(pgdbm_testserver_start(own_options, &server, &err));
        else
            assert_ok(pgdbm_testserver_shared(NULL, &server, &err));
        atexit(stop);
    }
    return server;
}

void test_server_own(const pgdbm_testserver_options *options)
{
    wants_own = true;
    own_options = options;
}

const char *test_server_url(void)
{
    return pgdbm_testserver_url(test_server());
}

const char *test_format(const char *format, ...)
{
    static char texts[32][1024];
    static unsigned n_used;
    char *text = texts[n_used++ % 32];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof texts[0], format, arguments);
    va_end(arguments);
    assert_in_range(length, 0, sizeof texts[0] - 1);
    return text;
}

const char *test_name(const char *word)
{
    return test_format("%s_%d", word, (int)getpid());
}

static void compose_path(const char *word, char path[TEST_PATH_BYTES])
{
    const char *base = getenv("PGDBM_TEST_DIRECTORY");
    int length = snprintf(path, TEST_PATH_BYTES, "%s/pgdbm-%s-XXXXXX", base != NULL ? base : "/tmp", word);
    assert_in_range(length, 1, TEST_PATH_BYTES - 1);
}

void test_directory_make(const char *word, char path[TEST_PATH_BYTES])
{
    compose_path(word, path);
    assert_non_null(mkdtemp(path));
}

int test_file_make(const char *word, char path[TEST_PATH_BYTES])
{
    compose_path(word, path);
    int file = mkstemp(path);
    assert_true(file >= 0);
    return file;
}

void test_psql(const char *url, const char *sql)
{
    PGconn *connection = PQconnectdb(url);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

/* Those that are there, to find the handle by its name in the connection string. */
static pgdbm_testdb *databases[64];

char *test_database_create(void)
{
    pgdbm_error err;
    size_t place = 0;
    while (place < sizeof databases / sizeof *databases && databases[place] != NULL)
        place++;
    assert_in_range(place, 0, sizeof databases / sizeof *databases - 1);
    const pgdbm_testdb_options options = {.server_url = test_server_url(), .without_manager = true};
    assert_ok(pgdbm_testdb_create(&options, &databases[place], &err));
    return strdup(test_format("postgresql://postgres@/%s?host=%s", pgdbm_testdb_name(databases[place]),
                              pgdbm_testserver_socket_directory(test_server())));
}

void test_database_drop(char *url)
{
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++)
        if (databases[i] != NULL && strstr(url, pgdbm_testdb_name(databases[i])) != NULL) {
            pgdbm_testdb_drop(databases[i]);
            databases[i] = NULL;
        }
    free(url);
}

void test_fail_with(const pgdbm_error *err, pgdbm_status status, const char *call, const char *file, int line)
{
    char text[2048];
    pgdbm_error_format(err, text, sizeof text);
    print_error("%s:%d: %s\n  expected PGDBM_OK, came %s\n%s\n", file, line, call, pgdbm_status_name(status), text);
    _fail(file, line);
}

void test_fail_unlike(const pgdbm_error *err, pgdbm_status status, pgdbm_status wanted, const char *call,
                      const char *file, int line)
{
    char text[2048] = "";
    if (status != PGDBM_OK)
        pgdbm_error_format(err, text, sizeof text);
    print_error("%s:%d: %s\n  expected %s, came %s\n%s\n", file, line, call, pgdbm_status_name(wanted),
                pgdbm_status_name(status), text);
    _fail(file, line);
}

void test_contains(const char *text, const char *piece, const char *file, int line)
{
    if (strstr(text, piece) == NULL) {
        print_error("%s:%d: expected a text with \"%s\", came \"%s\"\n", file, line, piece, text);
        _fail(file, line);
    }
}
