/* SPDX-License-Identifier: MIT */
/* What a process leaves is dropped at once, whatever its end. The test program makes no database itself, so that every
 * janitor is one of its children's, and it can wait for them. */
#include "testkit/people.h"

#include <dirent.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pgdbm_testdb *make(void)
{
    pgdbm_error err = {0};
    pgdbm_testdb *testdb = NULL;
    const pgdbm_testdb_options options = {.server_url = test_server_url()};
    if (pgdbm_testdb_create(&options, &testdb, &err) != PGDBM_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, err.detail);
        _exit(9);
    }
    return testdb;
}

static int make_three_and_drop_one(void *context)
{
    (void)context;
    make();
    make();
    pgdbm_testdb_drop(make());
    return databases_like(names_of(getpid())) == 2 ? 0 : 1;
}

static int make_one_and_be_killed(void *context)
{
    (void)context;
    make();
    if (databases_like(names_of(getpid())) != 1)
        return 1;
    return kill(getpid(), SIGKILL);
}

static void an_end_without_dropping_leaves_nothing(void **state)
{
    (void)state;
    test_needs_fork();
    pid_t child = start_child(make_three_and_drop_one, NULL);
    assert_int_equal(await_child(child), 0);
    await_everybody();
    assert_int_equal(databases_like(names_of(child)), 0);
}

static void being_killed_leaves_nothing(void **state)
{
    (void)state;
    test_needs_fork();
    pid_t child = start_child(make_one_and_be_killed, NULL);
    assert_int_equal(await_child(child), 128 + SIGKILL);
    await_everybody();
    assert_int_equal(databases_like(names_of(child)), 0);
}

static int make_two_and_keep_one(void *context)
{
    char sql[200];
    (void)context;
    make();
    snprintf(sql, sizeof sql, "COMMENT ON DATABASE \"%s\" IS 'keep this'", pgdbm_testdb_name(make()));
    test_psql(test_server_url(), sql);
    return databases_like(names_of(getpid())) == 2 ? 0 : 1;
}

static void what_somebody_wrote_a_comment_on_is_kept(void **state)
{
    (void)state;
    test_needs_fork();
    pid_t child = start_child(make_two_and_keep_one, NULL);
    assert_int_equal(await_child(child), 0);
    await_everybody();
    long left = databases_like(names_of(child));
    char sql[300];
    PGconn *connection = PQconnectdb(test_server_url());
    snprintf(sql, sizeof sql,
             "SELECT format('DROP DATABASE %%I', datname) FROM pg_database WHERE starts_with(datname, '%s')",
             names_of(child));
    PGresult *result = PQexec(connection, sql);
    for (int i = 0; i < PQntuples(result); i++)
        test_psql(test_server_url(), PQgetvalue(result, i, 0));
    PQclear(result);
    PQfinish(connection);
    assert_int_equal(left, 1);
}

/* Goes on while its parent, who made a database, comes to its end. */
static int make_one_and_fork(void *context)
{
    int *ends = context;
    pgdbm_testdb *inherited = make();
    if (fork() == 0) {
        char word;
        pgdbm_testdb *own = make();
        pgdbm_testdb_drop(inherited); /* the parent's: nothing happens */
        if (write(ends[1], pgdbm_testdb_name(own), 64) != 64 || read(ends[2], &word, 1) != 1)
            _exit(1);
        pgdbm_testdb_drop(own);
        _exit(0);
    }
    char name[64];
    if (read(ends[0], name, sizeof name) != sizeof name || databases_like(names_of(getpid())) != 1)
        return 1;
    return write(ends[1], name, 64) == 64 ? 0 : 1;
}

static void a_forked_child_owns_what_it_makes_and_nothing_else(void **state)
{
    (void)state;
    test_needs_fork();
    int names[2], go[2];
    char name[64];
    assert_int_equal(pipe(names), 0);
    assert_int_equal(pipe(go), 0);
    int ends[3] = {names[0], names[1], go[0]};
    pid_t child = start_child(make_one_and_fork, ends);
    assert_int_equal(await_child(child), 0);
    assert_int_equal(read(names[0], name, sizeof name), (int)sizeof name);
    /* The parent's janitor works although the child lives, and leaves the child's alone. */
    while (databases_like(names_of(child)) > 0)
        continue;
    assert_int_equal(databases_like(name), 1);
    assert_int_equal(write(go[1], "x", 1), 1);
    await_everybody();
    assert_int_equal(databases_like(name), 0);
    for (int i = 0; i < 2; i++) {
        close(names[i]);
        close(go[i]);
    }
}

static bool kill_janitors(void)
{
    bool killed = false;
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        char path[300], text[300];
        int pid = 0, parent = 0;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fgets(text, sizeof text, file) != NULL && strstr(text, "(pgdbm-janitor)") != NULL &&
            sscanf(text, "%d (pgdbm-janitor) %*c %d", &pid, &parent) == 2 && parent == getppid())
            killed = kill(pid, SIGKILL) == 0;
        fclose(file);
    }
    closedir(processes);
    return killed;
}

/* The janitors of this program's children are this program's children. */
static int lose_the_janitor(void *context)
{
    (void)context;
    make();
    if (!kill_janitors())
        return 2;
    make();
    make();
    return databases_like(names_of(getpid())) == 3 ? 0 : 1;
}

static void a_janitor_that_was_killed_is_replaced(void **state)
{
    (void)state;
    test_needs_fork();
    pid_t child = start_child(lose_the_janitor, NULL);
    assert_int_equal(await_child(child), 0);
    await_everybody();
    assert_int_equal(databases_like(names_of(child)), 0);
}

static int exec_something_else(void *context)
{
    (void)context;
    make();
    execl("/bin/true", "true", (char *)NULL);
    return 1;
}

static void a_process_that_becomes_another_program_leaves_nothing(void **state)
{
    (void)state;
    test_needs_fork();
    pid_t child = start_child(exec_something_else, NULL);
    assert_int_equal(await_child(child), 0);
    await_everybody();
    assert_int_equal(databases_like(names_of(child)), 0);
}

/* A second for what must not happen, which a janitor that falls for it needs a tenth of. No manager: the threads of its
 * pool would go on with descriptors that are somebody else's by then. */
static int close_everything(void *context)
{
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    const pgdbm_testdb_options options = {.server_url = test_server_url(), .without_manager = true};
    (void)context;
    if (pgdbm_testdb_create(&options, &testdb, &err) != PGDBM_OK)
        return 9;
    close_range(3, ~0U, 0);
    for (int i = 0; i < 20; i++) {
        if (databases_like(names_of(getpid())) != 1)
            return 1;
        usleep(50000);
    }
    /* What has the janitor's number now, whichever that was, is not written to: a byte more would end the session. */
    PGconn *connection = PQconnectdb(test_server_url());
    for (int fd = 3; fd < 40; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            dup2(PQsocket(connection), fd);
    pgdbm_testdb_drop(testdb);
    PGresult *result = PQexec(connection, "SELECT 1");
    int code = PQresultStatus(result) == PGRES_TUPLES_OK ? 0 : 2;
    PQclear(result);
    PQfinish(connection);
    return code;
}

static void a_process_that_closes_every_descriptor_keeps_its_databases(void **state)
{
    (void)state;
    test_needs_fork();
    pid_t child = start_child(close_everything, NULL);
    assert_int_equal(await_child(child), 0);
    await_everybody();
    assert_int_equal(databases_like(names_of(child)), 0);
}

static int setup(void **state)
{
    (void)state;
    adopt_orphans();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_without_dropping_leaves_nothing),
        cmocka_unit_test(being_killed_leaves_nothing),
        cmocka_unit_test(what_somebody_wrote_a_comment_on_is_kept),
        cmocka_unit_test(a_forked_child_owns_what_it_makes_and_nothing_else),
        cmocka_unit_test(a_janitor_that_was_killed_is_replaced),
        cmocka_unit_test(a_process_that_becomes_another_program_leaves_nothing),
        cmocka_unit_test(a_process_that_closes_every_descriptor_keeps_its_databases),
    };
    test_server_own(NULL);
    return cmocka_run_group_tests_name("janitor", tests, setup, NULL);
}
