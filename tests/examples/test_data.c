/* SPDX-License-Identifier: MIT */
/* The program that docs/data.md is taken from does what it says. */
#include "examples/program.h"

static struct program program;

static int teardown(void **state)
{
    program_finish(&program, 9);
    return stage_teardown(state);
}

static void data_goes_in_and_out_as_the_guide_says(void **state)
{
    struct stage *stage = *state;
    static const char *const lines[] = {
        "Zugspitze is at 47.42, serves since 1900-07-19, and is alpine",
        "90 minutes later it is 2026-01-31T12:30:00Z",
        "-6.0 degrees, clear",
        "-5.5 degrees, cloudy",
        "-4.5 degrees, nobody looked",
        "2 written over or inserted",
        "8760 copied, told on the way",
        "the coldest of 8812 is -10.0",
        "all rows went into a file and came back",
        "rolled back: invalid input value for enum weather.sky: \"…\"; COPY readings, line 2, column sky",
        "1200 pulled",
        "rain adds up to -4.5 degrees",
        "1 of 3 renamed",
        "[{\"name\":\"Brocken\",\"tags\":[\"windy\"]}]",
    };
    program_start(&program, EXAMPLE_DATA, NULL, stage->url);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        lines_expect(&program.output, lines[i]);
    lines_expect_end(&program.output);
    assert_int_equal(program_finish(&program, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(data_goes_in_and_out_as_the_guide_says, stage_setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
