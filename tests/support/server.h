/* SPDX-License-Identifier: MIT */
/* What tests share: a server, fresh databases, names, errors that print. The server is the one that all test processes
 * share (pgdbm_testserver_shared); so what a test does to more than its own database, others see. Roles have names of
 * test_name and are dropped; looks at locks and sessions are looks at TEST_LOCKS and TEST_ACTIVITY. */
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

/* The program's server, joined or started at first use and given back at exit. The test fails when it cannot be had. */
pgdbm_testserver *test_server(void);
/* At the beginning of main: this program needs a server of its own, because it crashes it, changes its settings or counts
 * what is in it. `options` may be NULL, and live as long as the program. */
void test_server_own(const pgdbm_testserver_options *options);
/* Its database "postgres". */
const char *test_server_url(void);
/* A fresh database; its connection string, to be given to test_database_drop, which drops the database and frees the
 * string. */
char *test_database_create(void);
void test_database_drop(char *url);
/* The locks and the sessions of this database: what stands behind FROM. */
#define TEST_LOCKS                                                                                                     \
    "(SELECT * FROM pg_locks WHERE pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))"      \
    " AS pg_locks"
#define TEST_ACTIVITY "(SELECT * FROM pg_stat_activity WHERE datname = current_database()) AS pg_stat_activity"

/* A name that no other process has, for roles and the like: "word_PID". As test_format. */
const char *test_name(const char *word);
/* A text that stays until this has been called some dozens of times more. Only the thread that runs the tests. */
const char *test_format(const char *format, ...) PGDBM_PRINTF(1, 2);
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
