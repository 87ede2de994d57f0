/* SPDX-License-Identifier: MIT */
/* Two hundred databases, made and dropped by eight processes at the same time: none is left, also when half of the
 * processes are killed wherever they are. */
#include "testkit/people.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT(text) (text), sizeof(text) - 1

enum { PROCESSES = 8, DATABASES = 25, HELD = 3 };

static const pgdbm_migration_text texts[] = {
    {"001_things.sql", TEXT("CREATE TABLE {{tables.things}} (id int PRIMARY KEY, name text UNIQUE)")},
    {"002_rows.sql", TEXT("INSERT INTO {{tables.things}} SELECT g, g::text FROM generate_series(1, 100) g")},
};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 2};

/* Tells of each database by a byte, the worker's number. Holds a few at a time, so that one who is killed leaves some. */
struct worker {
    int told;
    unsigned char number;
};

static int work(void *context)
{
    const struct worker *worker = context;
    const pgdbm_testdb_options options = {
        .server_url = test_server_url(), .migrations = &migrations, .schema = "crowd"};
    pgdbm_testdb *held[HELD] = {NULL};
    for (int i = 0; i < DATABASES; i++) {
        pgdbm_error err = {0};
        int64_t things = 0;
        pgdbm_testdb_drop(held[i % HELD]);
        held[i % HELD] = NULL;
        if (pgdbm_testdb_create(&options, &held[i % HELD], &err) != PGDBM_OK ||
            pgdbm_fetch_value_int64(pgdbm_testdb_manager(held[i % HELD]), "SELECT count(*) FROM {{tables.things}}",
                                    pgdbm_no_args, &things, &err) != PGDBM_OK) {
            fprintf(stderr, "%s\n%s\n", err.message, err.detail);
            return 1;
        }
        if (things != 100 || write(worker->told, &worker->number, 1) != 1)
            return 2;
    }
    for (int i = 0; i < HELD; i++)
        pgdbm_testdb_drop(held[i]);
    return 0;
}

/* Runs the crowd and kills every second process when it has told of a number of databases that is its own. */
static void run_crowd(bool kills)
{
    struct worker workers[PROCESSES];
    pid_t children[PROCESSES];
    int counts[PROCESSES] = {0};
    int ends[2], total = 0;
    unsigned char number;
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < PROCESSES; i++) {
        workers[i] = (struct worker){ends[1], (unsigned char)i};
        children[i] = start_child(work, &workers[i]);
    }
    close(ends[1]);
    ssize_t got;
    while ((got = read(ends[0], &number, 1)) == 1 || (got < 0 && errno == EINTR)) {
        total++;
        counts[number]++;
        if (kills && number % 2 == 1 && counts[number] == 2 + 3 * number)
            assert_int_equal(kill(children[number], SIGKILL), 0);
    }
    close(ends[0]);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(await_child(children[i]), kills && i % 2 == 1 ? 128 + SIGKILL : 0);
    if (!kills)
        assert_int_equal(total, PROCESSES * DATABASES);
    await_everybody(); /* the janitors */
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(databases_like(names_of(children[i])), 0);
}

static void of_two_hundred_databases_none_is_left(void **state)
{
    (void)state;
    test_needs_fork();
    run_crowd(false);
}

static void none_is_left_when_half_of_the_processes_are_killed(void **state)
{
    (void)state;
    test_needs_fork();
    run_crowd(true);
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
        cmocka_unit_test(of_two_hundred_databases_none_is_left),
        cmocka_unit_test(none_is_left_when_half_of_the_processes_are_killed),
    };
    return cmocka_run_group_tests_name("crowd", tests, setup, NULL);
}
