/* SPDX-License-Identifier: MIT */
/* Private servers: what they are made of, how they end, and that nothing of them is left however their starter ends. */
#include "support/server.h"

#include <dirent.h>
#include <errno.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static pgdbm_testserver *start(pgdbm_testserver_options options)
{
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testserver_start(&options, &server, &err));
    return server;
}

/* The first value of the answer, as text. */
static void expect_answer(const char *url, const char *sql, const char *expected)
{
    PGconn *connection = PQconnectdb(url);
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    assert_string_equal(PQgetvalue(result, 0, 0), expected);
    PQclear(result);
    PQfinish(connection);
}

static bool exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

/* Waits until neither the process nor the directory is there. */
static void expect_gone(int pid, const char *directory)
{
    int64_t give_up = now_ms() + 20000;
    while ((kill(pid, 0) == 0 || exists(directory)) && now_ms() < give_up)
        usleep(5000);
    if (kill(pid, 0) == 0)
        fail_msg("postgres still runs as process %d", pid);
    if (exists(directory))
        fail_msg("%s is still there", directory);
}

static void a_server_answers_on_a_socket_and_on_no_port(void **state)
{
    (void)state;
    pgdbm_testserver *server = start((pgdbm_testserver_options){0});
    expect_answer(pgdbm_testserver_url(server), "SHOW listen_addresses", "");
    expect_answer(pgdbm_testserver_url(server), "SELECT current_user", "postgres");
    assert_null(pgdbm_testserver_tcp_url(server));
    assert_null(pgdbm_testserver_ca_file(server));
    pgdbm_testserver_stop(server);
}

static void stopping_leaves_neither_process_nor_files(void **state)
{
    (void)state;
    pgdbm_testserver *server = start((pgdbm_testserver_options){0});
    int pid = pgdbm_testserver_pid(server);
    char directory[256];
    snprintf(directory, sizeof directory, "%s", pgdbm_testserver_socket_directory(server));
    assert_true(exists(directory));
    pgdbm_testserver_stop(server);
    expect_gone(pid, directory);
}

static void two_servers_live_side_by_side(void **state)
{
    (void)state;
    pgdbm_testserver *one = start((pgdbm_testserver_options){0});
    pgdbm_testserver *other = start((pgdbm_testserver_options){0});
    test_psql(pgdbm_testserver_url(one), "CREATE TABLE only_here (id int)");
    expect_answer(pgdbm_testserver_url(one), "SELECT count(*) FROM pg_class WHERE relname = 'only_here'", "1");
    expect_answer(pgdbm_testserver_url(other), "SELECT count(*) FROM pg_class WHERE relname = 'only_here'", "0");
    pgdbm_testserver_stop(one);
    expect_answer(pgdbm_testserver_url(other), "SELECT 1", "1");
    pgdbm_testserver_stop(other);
}

static void settings_are_in_force(void **state)
{
    (void)state;
    const char *const settings[] = {"max_connections=17", "log_statement='all'"};
    pgdbm_testserver *server = start((pgdbm_testserver_options){.settings = settings, .n_settings = 2});
    expect_answer(pgdbm_testserver_url(server), "SHOW max_connections", "17");
    expect_answer(pgdbm_testserver_url(server), "SHOW log_statement", "all");
    pgdbm_testserver_stop(server);
}

static void a_setting_the_server_does_not_know_is_told_in_its_own_words(void **state)
{
    (void)state;
    const char *const settings[] = {"no_such_setting=1"};
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    assert_fails(
        PGDBM_ERR_TESTDB,
        pgdbm_testserver_start(&(pgdbm_testserver_options){.settings = settings, .n_settings = 1}, &server, &err));
    assert_null(server);
    char text[2048];
    pgdbm_error_format(&err, text, sizeof text);
    assert_contains(text, "no_such_setting");
}

static void a_crash_keeps_what_was_committed_durably(void **state)
{
    (void)state;
    pgdbm_error err;
    pgdbm_testserver *server = start((pgdbm_testserver_options){.durable = true});
    char url[512];
    snprintf(url, sizeof url, "%s", pgdbm_testserver_url(server));
    test_psql(url, "CREATE TABLE kept AS SELECT 42 AS n");
    int pid = pgdbm_testserver_pid(server);
    assert_ok(pgdbm_testserver_crash(server, &err));
    assert_int_equal(PQping(url), PQPING_NO_RESPONSE);
    assert_ok(pgdbm_testserver_restart(server, &err));
    assert_string_equal(pgdbm_testserver_url(server), url);
    assert_true(pgdbm_testserver_pid(server) != pid);
    expect_answer(url, "SELECT n FROM kept", "42");
    pgdbm_testserver_stop(server);
}

static void a_killed_server_leaves_no_shared_memory(void **state)
{
    (void)state;
    char path[256];
    char line[256];
    int id = -1;
    struct shmid_ds facts;
    pgdbm_error err;
    pgdbm_testserver *server = start((pgdbm_testserver_options){0});
    snprintf(path, sizeof path, "%s/data/postmaster.pid", pgdbm_testserver_socket_directory(server));
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (int number = 1; number <= 7; number++)
        assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_int_equal(sscanf(line, "%*u %d", &id), 1);
    assert_int_equal(shmctl(id, IPC_STAT, &facts), 0);
    expect_answer(pgdbm_testserver_url(server), "SHOW dynamic_shared_memory_type", "mmap"); /* in the data directory */
    assert_ok(pgdbm_testserver_crash(server, &err));
    pgdbm_testserver_stop(server);
    assert_int_equal(shmctl(id, IPC_STAT, &facts), -1);
}

static void the_server_does_not_run_as_root(void **state)
{
    (void)state;
    char path[64];
    struct stat status;
    pgdbm_testserver *server = start((pgdbm_testserver_options){0});
    snprintf(path, sizeof path, "/proc/%d", pgdbm_testserver_pid(server));
    assert_int_equal(stat(path, &status), 0);
    assert_true(status.st_uid != 0);
    pgdbm_testserver_stop(server);
}

static void missing_programs_name_the_package(void **state)
{
    (void)state;
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    setenv("PGDBM_POSTGRES_BIN", "/nonexistent", 1);
    pgdbm_status status = pgdbm_testserver_start(NULL, &server, &err);
    unsetenv("PGDBM_POSTGRES_BIN");
    assert_fails(PGDBM_ERR_TESTDB, status);
    assert_null(server);
    assert_contains(err.message, "/nonexistent");
    assert_contains(err.hint, "apt-get install postgresql");
}

static void wrong_options_are_refused(void **state)
{
    (void)state;
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_ARGUMENT,
                 pgdbm_testserver_start(&(pgdbm_testserver_options){.detached = true}, &server, &err));
    assert_null(server);
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testserver_start(NULL, NULL, &err));
    pgdbm_testserver_stop(NULL);
}

/* What a child tells of the server it started. */
struct started {
    int pid;
    char directory[256];
    char url[512];
};

enum ending { BY_KILL, BY_TERM, BY_EXIT, BY_ABORT };

static void be_the_starter(int tell, enum ending ending)
{
    static pgdbm_testserver *server; /* reachable when a leak is looked for at the exit */
    pgdbm_error err;
    struct started started = {0};
    if (pgdbm_testserver_start(NULL, &server, &err) != PGDBM_OK)
        _exit(1);
    started.pid = pgdbm_testserver_pid(server);
    snprintf(started.directory, sizeof started.directory, "%s", pgdbm_testserver_socket_directory(server));
    snprintf(started.url, sizeof started.url, "%s", pgdbm_testserver_url(server));
    if (write(tell, &started, sizeof started) != sizeof started)
        _exit(1);
    close(tell);
    if (ending == BY_EXIT)
        exit(0);
    signal(SIGABRT, SIG_DFL);
    if (ending == BY_ABORT)
        abort();
    for (;;)
        pause();
}

static void end_a_starter(enum ending ending)
{
    int pipes[2];
    struct started started;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        be_the_starter(pipes[1], ending);
    }
    close(pipes[1]);
    ssize_t told = read(pipes[0], &started, sizeof started);
    close(pipes[0]);
    if (told == sizeof started && (ending == BY_KILL || ending == BY_TERM)) {
        expect_answer(started.url, "SELECT 1", "1");
        kill(child, ending == BY_KILL ? SIGKILL : SIGTERM);
    }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    assert_int_equal(told, sizeof started);
    expect_gone(started.pid, started.directory);
}

static void a_starter_that_is_killed_leaves_nothing(void **state)
{
    (void)state;
    end_a_starter(BY_KILL);
}

static void a_starter_that_is_terminated_leaves_nothing(void **state)
{
    (void)state;
    end_a_starter(BY_TERM);
}

static void a_starter_that_exits_leaves_nothing(void **state)
{
    (void)state;
    end_a_starter(BY_EXIT);
}

static void a_starter_that_aborts_leaves_nothing(void **state)
{
    (void)state;
    end_a_starter(BY_ABORT);
}

/* The server's user must be able to get there. */
static void make_directory(char path[TEST_PATH_BYTES])
{
    test_directory_make("kept", path);
    assert_int_equal(chmod(path, 0755), 0);
}

static void remove_directory(const char *path)
{
    char command[TEST_PATH_BYTES + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static void a_detached_server_is_found_and_stopped_by_its_directory(void **state)
{
    (void)state;
    char parent[TEST_PATH_BYTES];
    char directory[TEST_PATH_BYTES + 16];
    char *url = NULL;
    pgdbm_error err;
    make_directory(parent);
    snprintf(directory, sizeof directory, "%s/server", parent);
    assert_ok(pgdbm_testserver_find(directory, &url, &err));
    assert_null(url);
    pgdbm_testserver *server = start((pgdbm_testserver_options){.directory = directory, .detached = true});
    int pid = pgdbm_testserver_pid(server);
    assert_ok(pgdbm_testserver_find(directory, &url, &err));
    assert_non_null(url);
    expect_answer(url, "SELECT 1", "1");
    pgdbm_free(url);
    assert_ok(pgdbm_testserver_stop_directory(directory, &err));
    int64_t give_up = now_ms() + 20000;
    while (kill(pid, 0) == 0 && now_ms() < give_up)
        usleep(5000);
    assert_true(kill(pid, 0) != 0);
    assert_ok(pgdbm_testserver_find(directory, &url, &err));
    assert_null(url);
    assert_ok(pgdbm_testserver_stop_directory(directory, &err));
    pgdbm_testserver_stop(server);
    remove_directory(parent);
}

static void data_in_a_directory_is_there_the_next_time(void **state)
{
    (void)state;
    char parent[TEST_PATH_BYTES];
    char directory[TEST_PATH_BYTES + 16];
    make_directory(parent);
    snprintf(directory, sizeof directory, "%s/server", parent);
    pgdbm_testserver *server = start((pgdbm_testserver_options){.directory = directory});
    test_psql(pgdbm_testserver_url(server), "CREATE TABLE kept AS SELECT 'still here' AS words");
    pgdbm_testserver_stop(server);
    server = start((pgdbm_testserver_options){.directory = directory});
    expect_answer(pgdbm_testserver_url(server), "SELECT words FROM kept", "still here");
    pgdbm_testserver_stop(server);
    remove_directory(parent);
}

struct racer {
    pthread_t thread;
    pgdbm_testserver *server;
    pgdbm_status status;
    pgdbm_error err;
};

static void *race(void *context)
{
    struct racer *racer = context;
    racer->status = pgdbm_testserver_start(NULL, &racer->server, &racer->err);
    return NULL;
}

static void several_starts_at_once_with_an_empty_cache_all_succeed(void **state)
{
    (void)state;
    char cache[TEST_PATH_BYTES];
    struct racer racers[3] = {0};
    char *before = getenv("PGDBM_CACHE_DIR") != NULL ? strdup(getenv("PGDBM_CACHE_DIR")) : NULL;
    make_directory(cache);
    setenv("PGDBM_CACHE_DIR", cache, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(racers[i].thread, NULL);
    if (before != NULL)
        setenv("PGDBM_CACHE_DIR", before, 1);
    else
        unsetenv("PGDBM_CACHE_DIR");
    free(before);
    for (int i = 0; i < 3; i++) {
        pgdbm_error err = racers[i].err;
        assert_ok(racers[i].status);
        expect_answer(pgdbm_testserver_url(racers[i].server), "SELECT 1", "1");
        pgdbm_testserver_stop(racers[i].server);
    }
    remove_directory(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_answers_on_a_socket_and_on_no_port),
        cmocka_unit_test(stopping_leaves_neither_process_nor_files),
        cmocka_unit_test(two_servers_live_side_by_side),
        cmocka_unit_test(settings_are_in_force),
        cmocka_unit_test(a_setting_the_server_does_not_know_is_told_in_its_own_words),
        cmocka_unit_test(a_crash_keeps_what_was_committed_durably),
        cmocka_unit_test(a_killed_server_leaves_no_shared_memory),
        cmocka_unit_test(the_server_does_not_run_as_root),
        cmocka_unit_test(missing_programs_name_the_package),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(a_starter_that_is_killed_leaves_nothing),
        cmocka_unit_test(a_starter_that_is_terminated_leaves_nothing),
        cmocka_unit_test(a_starter_that_exits_leaves_nothing),
        cmocka_unit_test(a_starter_that_aborts_leaves_nothing),
        cmocka_unit_test(a_detached_server_is_found_and_stopped_by_its_directory),
        cmocka_unit_test(data_in_a_directory_is_there_the_next_time),
        cmocka_unit_test(several_starts_at_once_with_an_empty_cache_all_succeed),
    };
    return cmocka_run_group_tests_name("testkit", tests, NULL, NULL);
}
