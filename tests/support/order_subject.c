/* SPDX-License-Identifier: MIT */
/* What test_run.c runs: a test program of eight tests, of which one hangs if its first argument says so; or, with another
 * argument, a suite that leaves something behind. */
#include "support/server.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool must_hang;

#define SUBJECT(name)                                                                                                  \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
    }
SUBJECT(one)
SUBJECT(two)
SUBJECT(three)
SUBJECT(four)
SUBJECT(five)
SUBJECT(six)
SUBJECT(seven)

static void eight_that_may_hang(void **state)
{
    (void)state;
    while (must_hang)
        pause();
}

static int leave(const char *what)
{
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    char path[256];
    if (strcmp(what, "process") == 0)
        return fork() == 0 ? freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL ||
                                 sleep(60) > 0
                           : 0;
    snprintf(path, sizeof path, "%s/forgotten", getenv("PGDBM_TEST_DIRECTORY"));
    if (strcmp(what, "file") == 0)
        return close(open(path, O_CREAT | O_WRONLY, 0600));
    if (pgdbm_testserver_shared(NULL, &server, &err) != PGDBM_OK)
        return 1;
    test_psql(pgdbm_testserver_url(server),
              strcmp(what, "role") == 0 ? "CREATE ROLE forgotten" : "CREATE DATABASE forgotten");
    return 0;
}

int main(int n_arguments, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one),  cmocka_unit_test(two), cmocka_unit_test(three), cmocka_unit_test(four),
        cmocka_unit_test(five), cmocka_unit_test(six), cmocka_unit_test(seven), cmocka_unit_test(eight_that_may_hang),
    };
    must_hang = n_arguments > 1 && strcmp(arguments[1], "hang") == 0;
    if (n_arguments > 1 && !must_hang)
        return leave(arguments[1]);
    return cmocka_run_group_tests_name("subject", tests, NULL, NULL);
}
