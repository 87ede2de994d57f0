/* SPDX-License-Identifier: MIT */
/* The cmocka adapter, as somebody sees it who runs a program of tests: what passes, what fails, and what is said of it. */
#include "support/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct outcome {
    int status;
    char output[16384];
};

static const struct outcome *run(const char *which)
{
    static struct outcome outcome;
    char command[1024];
    snprintf(command, sizeof command, "exec 2>&1; TEST_DATABASE_URL='%s' " SUBJECT_PROGRAM " %s", test_server_url(),
             which);
    FILE *pipe = popen(command, "re");
    assert_non_null(pipe);
    size_t used = fread(outcome.output, 1, sizeof outcome.output - 1, pipe);
    outcome.output[used] = '\0';
    int status = pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return &outcome;
}

static void expect(const struct outcome *outcome, int status, const char *const *pieces)
{
    for (; *pieces != NULL; pieces++)
        assert_contains(outcome->output, *pieces);
    if (outcome->status != status)
        fail_msg("expected exit status %d, came %d:\n%s", status, outcome->status, outcome->output);
}

#define EXPECT(which, status, ...) expect(run(which), (status), (const char *const[]){__VA_ARGS__, NULL})

static void good_tests_pass_in_every_kind_of_database(void **state)
{
    (void)state;
    EXPECT("good", 0, "[       OK ] one_thing_is_added", "[       OK ] a_database_of_its_own_is_seen_by_other_sessions",
           "[       OK ] the_module_works, standalone", "[       OK ] the_module_works, attached",
           "[       OK ] the_module_works, pool", "[  PASSED  ] 6 test(s)");
}

static void a_library_that_misbehaves_fails_in_each_mode(void **state)
{
    (void)state;
    EXPECT("stray", 3, "made table public.stray, outside of its schema", "{{tables.stray}}",
           "the_module_leaves_a_table_in_public, standalone", "the_module_leaves_a_table_in_public, pool");
}

static void failures_show_the_whole_error(void **state)
{
    (void)state;
    EXPECT("wrong", 4, "column \"nonsense\" does not exist", "42703", "expected PGDBM_ERR_QUERY, came PGDBM_OK", "- 8 ",
           "+ 7 ", "+ id 5: name thing", "4 FAILED TEST(S)");
}

static void a_database_that_cannot_be_made_says_why(void **state)
{
    (void)state;
    const struct outcome *outcome = run("bad");
    assert_contains(outcome->output, "making the test's database");
    assert_contains(outcome->output, "001_bad.sql");
    assert_int_not_equal(outcome->status, 0);
    outcome = run("bad-alone");
    assert_contains(outcome->output, "001_bad.sql");
    assert_int_not_equal(outcome->status, 0);
}

static void a_group_without_a_setup_is_told_the_way_out(void **state)
{
    (void)state;
    const struct outcome *outcome = run("none");
    assert_contains(outcome->output, "give NAME_group_setup and NAME_group_teardown to cmocka_run_group_tests");
    assert_int_not_equal(outcome->status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tests_pass_in_every_kind_of_database),
        cmocka_unit_test(a_library_that_misbehaves_fails_in_each_mode),
        cmocka_unit_test(failures_show_the_whole_error),
        cmocka_unit_test(a_database_that_cannot_be_made_says_why),
        cmocka_unit_test(a_group_without_a_setup_is_told_the_way_out),
    };
    return cmocka_run_group_tests_name("testkit_cmocka", tests, NULL, NULL);
}
