/* SPDX-License-Identifier: MIT */
/* The program that docs/async.md is taken from does what it says. */
#include "examples/program.h"

static struct program program;

static int teardown(void **state)
{
    program_finish(&program, 9);
    return stage_teardown(state);
}

static void everything_in_the_guide_happens_as_promised(void **state)
{
    struct stage *stage = *state;
    const char *line;
    int promises = 0;
    program_start(&program, EXAMPLE_GUIDE, NULL, stage->url);
    while ((line = lines_next(&program.output)) != NULL) {
        promises++;
        assert_memory_equal(line, "ok ", 3);
    }
    assert_int_equal(promises, 11);
    assert_int_equal(program_finish(&program, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_in_the_guide_happens_as_promised, stage_setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
