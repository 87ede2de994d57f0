/* SPDX-License-Identifier: MIT */
/* The program that docs/fleet.md is taken from does what it says. */
#include "examples/program.h"

static struct program program;

static int teardown(void **state)
{
    program_finish(&program, 9);
    return stage_teardown(state);
}

static void shops_live_as_the_guide_says(void **state)
{
    struct stage *stage = *state;
    static const char *const lines[] = {
        "4 shops opened",
        "4 of 4 behind",
        "tenant_acme sells 0 products",
        "2 migrated, 0 failed",
        "tenant_blue sells 1 products",
        "tenant_coral has beyond the others index products_name",
    };
    program_start(&program, EXAMPLE_FLEET, NULL, stage->url);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        lines_expect(&program.output, lines[i]);
    lines_expect_end(&program.output);
    assert_int_equal(program_finish(&program, 0), 0);
    stage_expect_number(stage->db, "SELECT count(*) FROM pgdbm.target WHERE module = 'shop'", 3);
    stage_expect_number(stage->db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_delta'", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(shops_live_as_the_guide_says, stage_setup_four, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
