/* SPDX-License-Identifier: MIT */
/* The server that test processes share: one for all of them, whoever starts it; gone when nobody is left; started anew
 * after every kind of sudden death. Each test has a directory of its own and so a server of its own. */
#include "support/server.h"

#include <dirent.h>
#include <errno.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Most tests need not wait five seconds to see the server leave. */
#define SHORT_MS "200"

struct scene {
    char *outer; /* what PGDBM_TEST_DIRECTORY was before */
    char directory[200];
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_empty(const char *directory)
{
    DIR *listing = opendir(directory);
    int n_entries = 0;
    while (listing != NULL && readdir(listing) != NULL)
        n_entries++;
    if (listing != NULL)
        closedir(listing);
    return n_entries <= 2;
}

static void expect_empty(const char *directory, int limit_ms)
{
    int64_t give_up = now_ms() + limit_ms;
    while (!is_empty(directory) && now_ms() < give_up)
        usleep(5000);
    if (!is_empty(directory))
        fail_msg("the shared server still lies in %s", directory);
}

static int enter(void **state)
{
    static struct scene scene;
    const char *outer = getenv("PGDBM_TEST_DIRECTORY");
    scene.outer = outer != NULL ? strdup(outer) : NULL;
    snprintf(scene.directory, sizeof scene.directory, "%s/s-XXXXXX", outer != NULL ? outer : "/tmp");
    if (mkdtemp(scene.directory) == NULL)
        return -1;
    setenv("PGDBM_TEST_DIRECTORY", scene.directory, 1);
    setenv("PGDBM_TEST_LINGER_MS", SHORT_MS, 1);
    *state = &scene;
    return 0;
}

static int leave(void **state)
{
    struct scene *scene = *state;
    expect_empty(scene->directory, 15000);
    if (scene->outer != NULL)
        setenv("PGDBM_TEST_DIRECTORY", scene->outer, 1);
    else
        unsetenv("PGDBM_TEST_DIRECTORY");
    unsetenv("PGDBM_TEST_LINGER_MS");
    free(scene->outer);
    return rmdir(scene->directory);
}

static pgdbm_testserver *share(void)
{
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testserver_shared(NULL, &server, &err));
    return server;
}

/* The first value of the answer. */
static void ask(const char *url, const char *sql, char *answer, size_t bytes)
{
    PGconn *connection = PQconnectdb(url);
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s\n%s", sql, PQerrorMessage(connection));
    snprintf(answer, bytes, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
}

static void expect_answer(const char *url, const char *sql, const char *expected)
{
    char answer[512];
    ask(url, sql, answer, sizeof answer);
    assert_string_equal(answer, expected);
}

/* A process that shares the server until it is killed. */
struct user {
    pid_t process;
    int told; /* what it tells of the server arrives here */
    int pid;
    char url[512];
};

static void be_a_user(int go, int tell, struct user *self)
{
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    char word;
    if (read(go, &word, 1) < 0 || pgdbm_testserver_shared(NULL, &server, &err) != PGDBM_OK)
        _exit(1);
    self->pid = pgdbm_testserver_pid(server);
    snprintf(self->url, sizeof self->url, "%s", pgdbm_testserver_url(server));
    if (write(tell, self, sizeof *self) != sizeof *self)
        _exit(1);
    for (;;)
        pause();
}

/* Makes them all and lets them go at the same moment. */
static void let_users_in(struct user *users, size_t n_users)
{
    int go[2];
    assert_int_equal(pipe(go), 0);
    for (size_t i = 0; i < n_users; i++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        users[i] = (struct user){.told = pipes[0]};
        users[i].process = fork();
        assert_true(users[i].process >= 0);
        if (users[i].process == 0) {
            close(go[1]);
            be_a_user(go[0], pipes[1], &users[i]);
        }
        close(pipes[1]);
    }
    close(go[0]);
    close(go[1]);
    for (size_t i = 0; i < n_users; i++) {
        struct user said = {0};
        ssize_t got = read(users[i].told, &said, sizeof said);
        close(users[i].told);
        assert_int_equal(got, sizeof said);
        users[i].pid = said.pid;
        memcpy(users[i].url, said.url, sizeof said.url);
    }
}

static void kill_user(struct user *user)
{
    kill(user->process, SIGKILL);
    while (waitpid(user->process, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void await_end(int pid)
{
    char link[64];
    char target[512];
    int64_t give_up = now_ms() + 20000;
    snprintf(link, sizeof link, "/proc/%d/cwd", pid); /* a process that is dead, but not waited for, has none */
    while (readlink(link, target, sizeof target) > 0 && now_ms() < give_up)
        usleep(5000);
    if (readlink(link, target, sizeof target) > 0)
        fail_msg("process %d still runs", pid);
}

static int parent_of(int pid)
{
    char path[64];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &parent), 1);
    fclose(file);
    return parent;
}

static void eight_processes_at_once_start_one_server(void **state)
{
    struct scene *scene = *state;
    struct user users[8];
    char data[300];
    struct stat facts;
    let_users_in(users, 8);
    for (size_t i = 1; i < 8; i++) {
        assert_int_equal(users[i].pid, users[0].pid);
        assert_string_equal(users[i].url, users[0].url);
    }
    ask(users[0].url, "SHOW data_directory", data, sizeof data);
    for (size_t i = 0; i < 8; i++)
        kill_user(&users[i]);
    await_end(users[0].pid);
    expect_empty(scene->directory, 10000);
    assert_int_not_equal(stat(data, &facts), 0);
}

static void the_server_survives_the_death_of_its_starter(void **state)
{
    (void)state;
    struct user starter, heir;
    let_users_in(&starter, 1);
    test_psql(starter.url, "CREATE TABLE kept AS SELECT 'here' AS word");
    let_users_in(&heir, 1);
    kill_user(&starter);
    usleep(2 * 1000 * strtoul(SHORT_MS, NULL, 10)); /* longer than it would stay for nobody */
    assert_int_equal(heir.pid, starter.pid);
    expect_answer(heir.url, "SELECT word FROM kept", "here");
    kill_user(&heir);
}

static void a_starter_killed_at_any_moment_leaves_a_way_to_start(void **state)
{
    (void)state;
    for (int delay_ms = 1; delay_ms < 400; delay_ms *= 3) {
        pid_t starter = fork();
        assert_true(starter >= 0);
        if (starter == 0) {
            pgdbm_testserver *server;
            pgdbm_error err;
            pgdbm_testserver_shared(NULL, &server, &err);
            pause();
        }
        usleep((useconds_t)delay_ms * 1000);
        kill(starter, SIGKILL);
        waitpid(starter, NULL, 0);
        pgdbm_testserver *server = share();
        expect_answer(pgdbm_testserver_url(server), "SELECT 1", "1");
        kill(pgdbm_testserver_pid(server), SIGQUIT);
        await_end(pgdbm_testserver_pid(server));
        pgdbm_testserver_stop(server);
    }
}

/* The id of the segment that the server has, from the seventh line of postmaster.pid. */
static int segment_of(const char *url)
{
    char line[64];
    struct shmid_ds facts;
    int id = -1;
    ask(url, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 7)", line, sizeof line);
    assert_int_equal(sscanf(line, "%*u %d", &id), 1);
    assert_int_equal(shmctl(id, IPC_STAT, &facts), 0);
    return id;
}

static void expect_no_segment(int id)
{
    struct shmid_ds facts;
    assert_int_equal(shmctl(id, IPC_STAT, &facts), -1);
}

static void without_its_keeper_the_server_ends_and_the_next_call_starts_anew(void **state)
{
    (void)state;
    pgdbm_testserver *server = share();
    test_psql(pgdbm_testserver_url(server), "CREATE TABLE gone ()");
    int pid = pgdbm_testserver_pid(server);
    int segment = segment_of(pgdbm_testserver_url(server));
    kill(parent_of(pid), SIGKILL);
    await_end(pid);
    pgdbm_testserver *next = share();
    assert_int_not_equal(pgdbm_testserver_pid(next), pid);
    expect_no_segment(segment);
    expect_answer(pgdbm_testserver_url(next), "SELECT to_regclass('gone') IS NULL", "t");
    pgdbm_testserver_stop(server);
    pgdbm_testserver_stop(next);
}

static void a_killed_server_is_started_anew_by_the_next_call(void **state)
{
    (void)state;
    pgdbm_testserver *server = share();
    test_psql(pgdbm_testserver_url(server), "CREATE TABLE gone ()");
    int pid = pgdbm_testserver_pid(server);
    int segment = segment_of(pgdbm_testserver_url(server));
    kill(pid, SIGKILL);
    await_end(pid);
    pgdbm_testserver *next = share();
    assert_int_not_equal(pgdbm_testserver_pid(next), pid);
    expect_no_segment(segment);
    expect_answer(pgdbm_testserver_url(next), "SELECT to_regclass('gone') IS NULL", "t");
    pgdbm_testserver_stop(server);
    pgdbm_testserver_stop(next);
}

static void ten_seconds_after_its_last_user_the_server_is_gone(void **state)
{
    struct scene *scene = *state;
    struct user user;
    unsetenv("PGDBM_TEST_LINGER_MS");
    let_users_in(&user, 1);
    kill_user(&user);
    expect_empty(scene->directory, 10000);
    await_end(user.pid);
}

static void stopping_gives_back_one_lease_and_leaves_the_server_to_the_others(void **state)
{
    (void)state;
    pgdbm_testserver *one = share();
    pgdbm_testserver *other = share();
    assert_int_equal(pgdbm_testserver_pid(one), pgdbm_testserver_pid(other));
    assert_string_equal(pgdbm_testserver_url(one), pgdbm_testserver_url(other));
    assert_string_equal(pgdbm_testserver_socket_directory(one), pgdbm_testserver_socket_directory(other));
    pgdbm_testserver_stop(one);
    usleep(2 * 1000 * strtoul(SHORT_MS, NULL, 10));
    expect_answer(pgdbm_testserver_url(other), "SHOW max_connections", "400");
    pgdbm_testserver_stop(other);
}

static void what_would_harm_other_users_is_refused(void **state)
{
    (void)state;
    const char *const settings[] = {"work_mem=1MB"};
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    const pgdbm_testserver_options refused[] = {
        {.directory = "/tmp/x"}, {.settings = settings, .n_settings = 1}, {.tls = true}, {.durable = true}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testserver_shared(&refused[i], &server, &err));
        assert_null(server);
        assert_contains(err.hint, "pgdbm_testserver_start");
    }
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testserver_shared(NULL, NULL, &err));
    server = share();
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testserver_crash(server, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_testserver_restart(server, &err));
    expect_answer(pgdbm_testserver_url(server), "SELECT 1", "1");
    pgdbm_testserver_stop(server);
}

static void expect_refusal(const char *directory, const char *reason)
{
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    setenv("PGDBM_TEST_DIRECTORY", directory, 1);
    assert_fails(PGDBM_ERR_TESTDB, pgdbm_testserver_shared(NULL, &server, &err));
    assert_null(server);
    assert_contains(err.message, reason);
}

static void a_directory_that_others_control_is_refused(void **state)
{
    struct scene *scene = *state;
    char path[300];
    expect_refusal("relative", "not an absolute path");
    assert_int_equal(chmod(scene->directory, 0777), 0);
    expect_refusal(scene->directory, "others may write there");
    assert_int_equal(chmod(scene->directory, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(scene->directory, 1, (gid_t)-1), 0);
        expect_refusal(scene->directory, "somebody else's");
        assert_int_equal(chown(scene->directory, 0, (gid_t)-1), 0);
    }
    snprintf(path, sizeof path, "%s/%090d", scene->directory, 0);
    expect_refusal(path, "too long for a socket");
    assert_int_equal(rmdir(path), 0);
}

/* Programs that are found, but make no cluster. */
static void a_start_that_fails_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    char programs[300];
    char path[400];
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    const char *const names[] = {"initdb", "postgres"};
    char *before = getenv("PGDBM_CACHE_DIR") != NULL ? strdup(getenv("PGDBM_CACHE_DIR")) : NULL;
    snprintf(programs, sizeof programs, "%s/programs", scene->directory);
    snprintf(path, sizeof path, "%s/base", scene->directory);
    assert_int_equal(mkdir(programs, 0755), 0);
    setenv("PGDBM_TEST_DIRECTORY", path, 1);
    setenv("PGDBM_POSTGRES_BIN", programs, 1);
    setenv("PGDBM_CACHE_DIR", "/proc/none", 1);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", programs, names[i]);
        assert_int_equal(symlink("/bin/false", path), 0);
    }
    pgdbm_status status = pgdbm_testserver_shared(NULL, &server, &err);
    unsetenv("PGDBM_POSTGRES_BIN");
    if (before != NULL)
        setenv("PGDBM_CACHE_DIR", before, 1);
    else
        unsetenv("PGDBM_CACHE_DIR");
    free(before);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", programs, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(programs), 0);
    assert_fails(PGDBM_ERR_TESTDB, status);
    assert_true(is_empty(scene->directory));
}

#define SHARED(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED(eight_processes_at_once_start_one_server),
        SHARED(the_server_survives_the_death_of_its_starter),
        SHARED(a_starter_killed_at_any_moment_leaves_a_way_to_start),
        SHARED(without_its_keeper_the_server_ends_and_the_next_call_starts_anew),
        SHARED(a_killed_server_is_started_anew_by_the_next_call),
        SHARED(ten_seconds_after_its_last_user_the_server_is_gone),
        SHARED(stopping_gives_back_one_lease_and_leaves_the_server_to_the_others),
        SHARED(what_would_harm_other_users_is_refused),
        SHARED(a_directory_that_others_control_is_refused),
        SHARED(a_start_that_fails_leaves_nothing),
    };
    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
