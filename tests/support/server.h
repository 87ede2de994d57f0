/* SPDX-License-Identifier: MIT */
/* What tests share: one private server per test program, fresh databases, errors that print. */
#ifndef PGDBM_TESTS_SUPPORT_SERVER_H
#define PGDBM_TESTS_SUPPORT_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pgdbm/pgdbm.h>
#include <pgdbm/testkit.h>

#define TEST_PATH_BYTES 80

/* The program's server, started at first use and stopped at exit. The test fails when it cannot be started. */
pgdbm_testserver *test_server(void);
/* Its database "postgres". */
const char *test_server_url(void);
/* A fresh database; its connection string, to be given to test_database_drop, which drops the database and frees the
 * string. */
char *test_database_create(void);
void test_database_drop(char *url);
/* Makes a directory of the test's own, which the test removes, and writes its path: PGDBM_TEST_DIRECTORY/pgdbm-WORD-XXXXXX, or
 * in /tmp when that is not set. */
void test_directory_make(const char *word, char path[TEST_PATH_BYTES]);
/* The same for a file, open for reading and writing. */
int test_file_make(const char *word, char path[TEST_PATH_BYTES]);
/* Runs SQL over a connection of its own, by libpq; fails the test on an error. */
void test_psql(const char *url, const char *sql);

/* For tests that fork and go on in the child: ThreadSanitizer cannot follow a process with threads there, so they are skipped
 * with it. */
static inline void test_needs_fork(void)
{
#ifdef __SANITIZE_THREAD__
    skip();
#endif
}

/* Fails the test with the whole error when a call that must succeed does not. */
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        pgdbm_status assert_status_ = (call);                                                                          \
        if (assert_status_ != PGDBM_OK)                                                                                \
            test_fail_with(&err, assert_status_, #call, __FILE__, __LINE__);                                           \
    } while (0)
/* The call must fail with this status. */
#define assert_fails(wanted, call)                                                                                     \
    do {                                                                                                               \
        pgdbm_status assert_status_ = (call);                                                                          \
        if (assert_status_ != (wanted))                                                                                \
            test_fail_unlike(&err, assert_status_, (wanted), #call, __FILE__, __LINE__);                               \
    } while (0)
/* The text must contain the piece. */
#define assert_contains(text, piece) test_contains((text), (piece), __FILE__, __LINE__)

void test_fail_with(const pgdbm_error *err, pgdbm_status status, const char *call, const char *file, int line);
void test_fail_unlike(const pgdbm_error *err, pgdbm_status status, pgdbm_status wanted, const char *call,
                      const char *file, int line);
void test_contains(const char *text, const char *piece, const char *file, int line);

#endif
