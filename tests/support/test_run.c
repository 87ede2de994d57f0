/* SPDX-License-Identifier: MIT */
/* How the suite itself is run: the order of tests, their time limit, and the proof that nothing is left. */
#include "support/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A shell command that runs beside the test. */
struct trial {
    FILE *pipe;
    char output[8192];
    int status;
};

static void begin(struct trial *trial, const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "exec 2>&1; %s", command);
    trial->pipe = popen(line, "re");
    assert_non_null(trial->pipe);
}

static void end(struct trial *trial)
{
    size_t used = fread(trial->output, 1, sizeof trial->output - 1, trial->pipe);
    trial->output[used] = '\0';
    int status = pclose(trial->pipe);
    trial->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void try_command(struct trial *trial, const char *command)
{
    begin(trial, command);
    end(trial);
}

static void the_seed_decides_the_order(void **state)
{
    (void)state;
    static struct trial first, again, other, unset;
    int n_different = 0;
    try_command(&first, "PGDBM_TEST_SEED=1 " SUBJECT_PROGRAM);
    try_command(&again, "PGDBM_TEST_SEED=1 " SUBJECT_PROGRAM);
    assert_int_equal(first.status, 0);
    assert_string_equal(first.output, again.output);
    for (int seed = 2; seed < 6; seed++) {
        char command[512];
        snprintf(command, sizeof command, "PGDBM_TEST_SEED=%d %s", seed, SUBJECT_PROGRAM);
        try_command(&other, command);
        assert_contains(other.output, "8 test(s) run");
        n_different += strcmp(strstr(other.output, "RUN"), strstr(first.output, "RUN")) != 0;
    }
    assert_true(n_different > 0);
    try_command(&unset, "unset PGDBM_TEST_SEED; " SUBJECT_PROGRAM);
    assert_true(strstr(unset.output, "OK ] one") < strstr(unset.output, "OK ] two"));
    assert_true(strstr(unset.output, "OK ] two") < strstr(unset.output, "OK ] eight"));
}

static void a_test_that_hangs_fails_by_its_name(void **state)
{
    (void)state;
    static struct trial trial;
    try_command(&trial, "PGDBM_TEST_LIMIT_S=1 " SUBJECT_PROGRAM " hang");
    assert_int_equal(trial.status, 1);
    assert_contains(trial.output, "FAILED  ] eight_that_may_hang did not end within its time limit");
}

/* What follows `text` in the output, up to one of `ends`. */
static char *find_after(const struct trial *trial, const char *text, const char *ends)
{
    assert_contains(trial->output, text);
    const char *at = strstr(trial->output, text) + strlen(text);
    return strndup(at, strcspn(at, ends));
}

static void expect_left(struct trial *trial, const char *what)
{
    end(trial);
    assert_contains(trial->output, what);
    assert_int_equal(trial->status, 1);
}

static void what_a_suite_leaves_is_named_and_fails_it(void **state)
{
    (void)state;
    static struct trial clean, failing, ended, file, process, database, role;
    setenv("PGDBM_TEST_LINGER_MS", "200", 1);
    begin(&clean, RUN_PROGRAM " true");
    begin(&failing, RUN_PROGRAM " sh -c 'exit 3'");
    begin(&ended, RUN_PROGRAM " sh -c 'kill -TERM $PPID; exec sleep 60'");
    begin(&file, RUN_PROGRAM " " SUBJECT_PROGRAM " file");
    begin(&process, RUN_PROGRAM " " SUBJECT_PROGRAM " process");
    begin(&database, RUN_PROGRAM " " SUBJECT_PROGRAM " database");
    begin(&role, RUN_PROGRAM " " SUBJECT_PROGRAM " role");
    unsetenv("PGDBM_TEST_LINGER_MS");
    end(&clean);
    assert_contains(clean.output, "Nothing is left");
    assert_int_equal(clean.status, 0);
    end(&failing);
    assert_contains(failing.output, "Nothing is left");
    assert_int_equal(failing.status, 3);
    end(&ended);
    assert_contains(ended.output, "Nothing is left");
    assert_int_equal(ended.status, 128 + SIGTERM);
    expect_left(&database, "in the server, database forgotten");
    expect_left(&role, "in the server, role forgotten");
    expect_left(&process, " process\n");
    char *pid = find_after(&process, "left behind: the process ", ":");
    kill((pid_t)atoi(pid), SIGKILL);
    free(pid);
    expect_left(&file, "/forgotten\n");
    char *path = find_after(&file, "left behind: the file ", "\n");
    assert_int_equal(unlink(path), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_decides_the_order),
        cmocka_unit_test(a_test_that_hangs_fails_by_its_name),
        cmocka_unit_test(what_a_suite_leaves_is_named_and_fails_it),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
