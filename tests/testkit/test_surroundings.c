/* SPDX-License-Identifier: MIT */
/* What the program that uses the test kit, or whoever started it, has done to itself before: its umask, its signals, its
 * descriptors. Each test has a directory of its own and so a server of its own, and forks who uses it. */
#include "support/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIGH 3000
#define PATIENCE_MS 20000

/* In a child, with an empty cache that lies two folders deep. */
static _Noreturn void make_a_database(const char *directory)
{
    char cache[TEST_PATH_BYTES + 32], text[4096];
    pgdbm_testdb *testdb = NULL;
    pgdbm_error err;
    snprintf(cache, sizeof cache, "%s/cache/deep", directory);
    setenv("PGDBM_CACHE_DIR", cache, 1);
    setenv("PGDBM_TEST_DIRECTORY", directory, 1);
    setenv("PGDBM_TEST_LINGER_MS", "100", 1);
    unsetenv("TEST_DATABASE_URL");
    if (pgdbm_testdb_create(NULL, &testdb, &err) != PGDBM_OK) {
        pgdbm_error_format(&err, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        _exit(1);
    }
    pgdbm_testdb_drop(testdb);
    exit(0);
}

static void expect_success(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    assert_int_equal(status, 0);
}

/* When the server has gone. */
static void remove_directory(const char *path)
{
    char command[2 * TEST_PATH_BYTES + 100];
    snprintf(command, sizeof command,
             "for i in $(seq 1000); do ls -d '%s'/shared-* >/dev/null 2>&1 || break; sleep 0.01; done; rm -rf '%s'",
             path, path);
    assert_int_equal(system(command), 0);
}

static void a_umask_that_keeps_others_out_does_no_harm(void **state)
{
    (void)state;
    test_needs_fork();
    char directory[TEST_PATH_BYTES];
    test_directory_make("umask", directory);
    pid_t child = fork();
    if (child == 0) {
        umask(077);
        make_a_database(directory);
    }
    expect_success(child);
    remove_directory(directory);
}

static void children_that_nobody_waits_for_do_no_harm(void **state)
{
    (void)state;
    test_needs_fork();
    char directory[TEST_PATH_BYTES];
    test_directory_make("signals", directory);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGCHLD, SIG_IGN);
        make_a_database(directory);
    }
    expect_success(child);
    remove_directory(directory);
}

/* Nobody listens there; somebody else's server might. */
static void an_address_in_the_environment_does_not_lead_away(void **state)
{
    (void)state;
    test_needs_fork();
    char directory[TEST_PATH_BYTES];
    test_directory_make("address", directory);
    pid_t child = fork();
    if (child == 0) {
        setenv("PGHOSTADDR", "127.0.0.1", 1);
        setenv("PGHOST", "127.0.0.1", 1);
        setenv("PGPORT", "1", 1);
        make_a_database(directory);
    }
    expect_success(child);
    remove_directory(directory);
}

/* In a mount namespace of its own: as in a container that has none. */
static int share_twice_without_proc(const char *directory)
{
    pgdbm_testserver *servers[2] = {NULL, NULL};
    pgdbm_error err;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        return 77;
    setenv("PGDBM_TEST_DIRECTORY", directory, 1);
    setenv("PGDBM_TEST_LINGER_MS", "100", 1);
    for (size_t i = 0; i < 2; i++)
        if (pgdbm_testserver_shared(NULL, &servers[i], &err) != PGDBM_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
    return pgdbm_testserver_pid(servers[0]) == pgdbm_testserver_pid(servers[1]) ? 0 : 2;
}

static void a_server_is_shared_also_where_there_is_no_proc(void **state)
{
    (void)state;
    test_needs_fork();
    char directory[TEST_PATH_BYTES];
    int status = -1;
    test_directory_make("proc", directory);
    pid_t child = fork();
    if (child == 0)
        _exit(share_twice_without_proc(directory));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    remove_directory(directory);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* only root may */
    assert_int_equal(status, 0);
}

/* A pipe that is read to its end, whose other end has a high number and survives exec: neither the server, nor the process
 * beside it, nor a janitor may hold it. */
static void descriptors_do_not_stay_open_in_what_is_started(void **state)
{
    (void)state;
    test_needs_fork();
    struct rlimit before, limit;
    int ends[2];
    pgdbm_testserver *server = NULL;
    pgdbm_testdb *testdb = NULL;
    pgdbm_error err;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    if (before.rlim_max <= HIGH)
        skip();
    limit = before;
    limit.rlim_cur = before.rlim_cur > HIGH ? before.rlim_cur : HIGH + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], HIGH), HIGH);
    close(ends[1]);
    assert_ok(pgdbm_testserver_start(NULL, &server, &err));
    const pgdbm_testdb_options options = {.server_url = pgdbm_testserver_url(server)};
    assert_ok(pgdbm_testdb_create(&options, &testdb, &err));
    close(HIGH);
    struct pollfd entry = {.fd = ends[0], .events = POLLIN};
    int came = poll(&entry, 1, PATIENCE_MS);
    pgdbm_testdb_drop(testdb);
    pgdbm_testserver_stop(server);
    close(ends[0]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(came, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_umask_that_keeps_others_out_does_no_harm),
        cmocka_unit_test(an_address_in_the_environment_does_not_lead_away),
        cmocka_unit_test(children_that_nobody_waits_for_do_no_harm),
        cmocka_unit_test(a_server_is_shared_also_where_there_is_no_proc),
        cmocka_unit_test(descriptors_do_not_stay_open_in_what_is_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
