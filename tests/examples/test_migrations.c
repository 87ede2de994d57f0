/* SPDX-License-Identifier: MIT */
/* The program that docs/migrations.md is taken from does what it says. */
#include "examples/program.h"

static struct program program;

static int teardown(void **state)
{
    program_finish(&program, 9);
    return stage_teardown(state);
}

static void modules_live_as_the_guide_says(void **state)
{
    struct stage *stage = *state;
    static const char *const lines[] = {
        "001_users.sql: 1 of 4",
        "002_names.sql: 2 of 4",
        "003_email_index.sql: 3 of 4",
        "R__addresses.sql: 4 of 4",
        "2 undone; the database is at 001",
        "the database is behind",
        "the database is equal",
    };
    const char *line;
    int statements = 0;
    program_start(&program, EXAMPLE_MIGRATIONS, NULL, stage->url);
    while ((line = lines_next(&program.output)) != NULL && strcmp(line, lines[0]) != 0)
        statements += strstr(line, "\"shop_users\".\"users\"") != NULL; /* the dry run */
    assert_true(statements >= 4);
    for (size_t i = 1; i < sizeof lines / sizeof *lines; i++)
        lines_expect(&program.output, lines[i]);
    lines_expect_end(&program.output);
    assert_int_equal(program_finish(&program, 0), 0);
    stage_expect_number(stage->db, "SELECT count(*) FROM shop_users.schema_migrations", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(modules_live_as_the_guide_says, stage_setup_four, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
