/* SPDX-License-Identifier: MIT */
/* The threads of a pool are no business of the program's signals. */
#include "db/stage.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_THREADS = 64 };

struct threads {
    long ids[MOST_THREADS];
    size_t count;
};

static void list_threads(struct threads *threads)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    assert_non_null(tasks);
    threads->count = 0;
    while ((task = readdir(tasks)) != NULL)
        if (task->d_name[0] != '.') {
            assert_true(threads->count < MOST_THREADS);
            threads->ids[threads->count++] = strtol(task->d_name, NULL, 10);
        }
    closedir(tasks);
}

static bool has(const struct threads *threads, long id)
{
    for (size_t i = 0; i < threads->count; i++)
        if (threads->ids[i] == id)
            return true;
    return false;
}

static bool blocks(long thread, int signal)
{
    char path[64];
    char line[256];
    unsigned long long blocked = 0;
    snprintf(path, sizeof path, "/proc/self/task/%ld/status", thread);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            blocked = strtoull(line + 7, NULL, 16);
    fclose(file);
    return (blocked >> (signal - 1) & 1) != 0;
}

static void threads_of_a_pool_take_no_signals_but_faults(void **state)
{
    struct stage *stage = *state;
    struct threads before;
    struct threads after;
    size_t n_new = 0;
    list_threads(&before);
    stage_open(stage, (pgdbm_config){.background = true});
    list_threads(&after);
    for (size_t i = 0; i < after.count; i++) {
        if (has(&before, after.ids[i]))
            continue;
        n_new++;
        assert_true(blocks(after.ids[i], SIGINT));
        assert_true(blocks(after.ids[i], SIGALRM));
#ifndef __SANITIZE_THREAD__ /* its own thread is among them */
        assert_false(blocks(after.ids[i], SIGSEGV));
#endif
    }
    assert_true(n_new >= 3);
    assert_false(blocks(before.ids[0], SIGINT));
}

static volatile sig_atomic_t n_caught;

static void catch_signal(int signal)
{
    (void)signal;
    n_caught++;
}

/* Who blocks a signal is in the middle of something that its handler must not see. */
static void a_signal_that_its_maker_blocks_stays_blocked(void **state)
{
    struct stage *stage = *state;
    struct sigaction before, action = {.sa_handler = catch_signal};
    sigset_t profiling, mask;
    sigemptyset(&profiling);
    sigaddset(&profiling, SIGPROF);
    assert_int_equal(sigaction(SIGPROF, &action, &before), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &profiling, &mask), 0);
    pthread_kill(pthread_self(), SIGPROF);
    stage_open(stage, (pgdbm_config){.background = true});
    assert_int_equal(n_caught, 0);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    assert_int_equal(n_caught, 1);
    sigaction(SIGPROF, &before, NULL);
}

static void *run_cancelled(void *context)
{
    pthread_cancel(pthread_self());
    (void)pgdbm_execute(context, "SELECT 1", pgdbm_no_args, NULL, NULL);
    pthread_testcancel();
    return NULL;
}

/* The session has rested, so that it is looked at; the first system call that can be left would be. */
static void a_thread_that_is_cancelled_takes_no_lock_along(void **state)
{
    struct stage *stage = *state;
    pthread_t thread;
    void *result = NULL;
    stage_run(stage->db, "SELECT 1");
    usleep(50000);
    assert_int_equal(pthread_create(&thread, NULL, run_cancelled, stage->db), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    stage_run(stage->db, "SELECT 2");
    assert_int_equal(stage_stats(stage).shared, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_of_a_pool_take_no_signals_but_faults, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(a_thread_that_is_cancelled_takes_no_lock_along, stage_setup_one,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(a_signal_that_its_maker_blocks_stays_blocked, stage_setup, stage_teardown),
    };
    return cmocka_run_group_tests_name("pool_threads", tests, NULL, NULL);
}
