/* SPDX-License-Identifier: MIT */
/* The programs that docs/testing.md is taken from: all of their tests pass. */
#include "examples/program.h"

#include <stdio.h>

static struct program program;

static int teardown(void **state)
{
    program_finish(&program, 9);
    return stage_teardown(state);
}

static void expect_success(struct stage *stage, const char *path, const char *last)
{
    char kept[256] = "";
    const char *line;
    program_start(&program, path, NULL, stage->url);
    while ((line = lines_next(&program.output)) != NULL)
        snprintf(kept, sizeof kept, "%s", line);
    assert_string_equal(kept, last);
    assert_int_equal(program_finish(&program, 0), 0);
}

static void the_tests_of_the_tea_house_pass(void **state)
{
    expect_success(*state, EXAMPLE_TEST_TEA, "[==========] 8 test(s) run.");
}

static void the_program_without_a_framework_succeeds(void **state)
{
    expect_success(*state, EXAMPLE_PLAIN, "500 cents came in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_tests_of_the_tea_house_pass, stage_setup, teardown),
        cmocka_unit_test_setup_teardown(the_program_without_a_framework_succeeds, stage_setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
