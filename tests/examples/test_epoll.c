/* SPDX-License-Identifier: MIT */
/* The prompt of examples/async: answers come as they are ready, and all of them come. */
#include "examples/program.h"

#include <stdlib.h>

static struct program program;

static int teardown(void **state)
{
    program_finish(&program, 9);
    return stage_teardown(state);
}

static void a_fast_statement_is_answered_before_a_slow_one(void **state)
{
    struct stage *stage = *state;
    stage_gate_shut(stage);
    program_start(&program, EXAMPLE_EPOLL, NULL, stage->url);
    program_write(&program, STAGE_PASS "\n");
    stage_gate_awaited(stage, 1);
    program_write(&program, "SELECT 'fast'\n");
    lines_expect(&program.output, "2: fast");
    program_write(&program, "SELECT nonsense\n");
    lines_expect(&program.output, "3: column \"nonsense\" does not exist");
    program_write(&program, "CREATE TABLE made (id int)\n");
    lines_expect(&program.output, "4: no rows");
    program_end_input(&program);
    stage_gate_open(stage);
    lines_expect(&program.output, "1: 1");
    lines_expect_end(&program.output);
    assert_int_equal(program_finish(&program, 0), 0);
}

static void every_statement_of_a_long_input_is_answered(void **state)
{
    struct stage *stage = *state;
    bool answered[201] = {false};
    program_start(&program, EXAMPLE_EPOLL, NULL, stage->url);
    for (int i = 0; i < 200; i++)
        program_write(&program, "SELECT 7\n");
    program_end_input(&program);
    for (int i = 0; i < 200; i++) {
        const char *line = lines_next(&program.output);
        assert_non_null(line);
        int number = atoi(line);
        assert_in_range(number, 1, 200);
        assert_false(answered[number]);
        assert_contains(line, ": 7");
        answered[number] = true;
    }
    lines_expect_end(&program.output);
    assert_int_equal(program_finish(&program, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_fast_statement_is_answered_before_a_slow_one, stage_setup, teardown),
        cmocka_unit_test_setup_teardown(every_statement_of_a_long_input_is_answered, stage_setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
