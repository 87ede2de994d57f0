/* SPDX-License-Identifier: MIT */
/* Files beside history, without a database: which state each has, and what stands against a run. */
#include "migrate/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_ROWS = 8 };

/* Files 001, 002, 004 and a repeatable one, beside some rows. */
struct plan {
    struct pgdbm__migration_set set;
    struct pgdbm__history history;
    struct pgdbm__history_row list[MOST_ROWS];
    struct pgdbm__history_row *by_name[MOST_ROWS];
    struct pgdbm__history_rows rows;
    pgdbm_migration_policies policies;
    pgdbm_error err;
};

static const pgdbm_migration_text texts[] = {{"001_a.sql", "SELECT 1;", 9},
                                             {"002_b.sql", "SELECT 1;", 9},
                                             {"004_d.sql", "SELECT 1;", 9},
                                             {"R__r.sql", "SELECT 1;", 9}};

/* SHA-256 of "SELECT 1;". */
#define CHECKSUM "17db4fd369edb9244b9f91d9aeed145c3d04ad8ba6e95d06247f07a63527d11a"

static int setup(void **state)
{
    pgdbm_migrations migrations = {.texts = texts, .n_texts = sizeof texts / sizeof *texts};
    struct plan *plan = calloc(1, sizeof *plan);
    plan->rows = (struct pgdbm__history_rows){.rows = plan->list, .by_name = plan->by_name};
    *state = plan;
    if (pgdbm__history_init(&plan->history, "users", "app", NULL, false, &plan->err) != PGDBM_OK ||
        pgdbm__migration_set_load(&plan->set, &migrations, NULL, false, &plan->err) != PGDBM_OK)
        fail_msg("%s", plan->err.message);
    return 0;
}

static int teardown(void **state)
{
    struct plan *plan = *state;
    pgdbm__migration_set_free(&plan->set);
    pgdbm__history_free(&plan->history);
    free(plan);
    return 0;
}

/* Adds a row; rows come in the order of their names. */
static struct pgdbm__history_row *add_row(struct plan *plan, const char *filename, const char *version, bool named)
{
    struct pgdbm__history_row *row = &plan->list[plan->rows.n_rows];
    *row = (struct pgdbm__history_row){
        .filename = filename, .version = version, .checksum = CHECKSUM, .applied_at = "then", .named = named};
    plan->by_name[plan->rows.n_rows++] = row;
    return row;
}

static void expect_states(struct plan *plan, const pgdbm_migration_state states[4])
{
    pgdbm__plan_match(&plan->set, &plan->rows);
    for (size_t i = 0; i < 4; i++)
        if (plan->set.files[i].state != states[i])
            fail_msg("%s: expected %s, it is %s", plan->set.files[i].filename, pgdbm_migration_state_name(states[i]),
                     pgdbm_migration_state_name(plan->set.files[i].state));
}

#define STATES(a, b, d, r)                                                                                             \
    ((const pgdbm_migration_state[]){PGDBM_MIGRATION_##a, PGDBM_MIGRATION_##b, PGDBM_MIGRATION_##d,                    \
                                     PGDBM_MIGRATION_##r})

static void expect_fault(struct plan *plan, const char *target, const char *text)
{
    struct pgdbm__plan_fault fault;
    bool found = pgdbm__plan_find_fault(&plan->set, &plan->rows, &plan->policies, target, &fault);
    assert_int_equal(found, text != NULL);
    if (text == NULL)
        return;
    assert_int_equal(pgdbm__plan_fail(&fault, &plan->set, &plan->rows, &plan->history, &plan->err),
                     PGDBM_ERR_MIGRATION);
    if (strstr(plan->err.message, text) == NULL)
        fail_msg("expected \"%s\" in %s", text, plan->err.message);
    assert_true(plan->err.hint[0] != '\0');
}

static void nothing_applied_leaves_everything_pending(void **state)
{
    struct plan *plan = *state;
    expect_states(plan, STATES(PENDING, PENDING, GAP, REPEAT));
    assert_string_equal(pgdbm__plan_head(&plan->rows), "");
    assert_int_equal(pgdbm__plan_count(&plan->set, NULL), 4);
    assert_int_equal(pgdbm__plan_count(&plan->set, "2"), 2);
    expect_fault(plan, NULL, "004_d.sql of module users does not follow 002_b.sql");
    expect_fault(plan, "2", NULL);
    plan->policies.gap = PGDBM_POLICY_ALLOW;
    expect_fault(plan, NULL, NULL);
}

static void applied_number_without_a_file_closes_a_gap(void **state)
{
    struct plan *plan = *state;
    add_row(plan, "001_a.sql", "001", true);
    add_row(plan, "002_b.sql", "002", true);
    add_row(plan, "003_c.sql", "003", true);
    expect_states(plan, STATES(APPLIED, APPLIED, PENDING, REPEAT));
    assert_int_equal(plan->list[2].state, PGDBM_MIGRATION_MISSING);
    expect_fault(plan, NULL, "003_c.sql of module users is applied to schema app, and there is no such file");
    plan->policies.missing = PGDBM_POLICY_ALLOW;
    expect_fault(plan, NULL, NULL);
    assert_string_equal(pgdbm__plan_next(&plan->set, NULL)->filename, "004_d.sql");
}

static void number_above_the_files_is_future_and_what_is_below_it_out_of_order(void **state)
{
    struct plan *plan = *state;
    add_row(plan, "001_a.sql", "001", true);
    add_row(plan, "005_e.sql", "005", true);
    expect_states(plan, STATES(APPLIED, OUT_OF_ORDER, OUT_OF_ORDER, REPEAT));
    assert_int_equal(plan->list[1].state, PGDBM_MIGRATION_FUTURE);
    expect_fault(plan, NULL, "schema app is ahead of this program: 005_e.sql");
    plan->policies.future = PGDBM_POLICY_ALLOW;
    expect_fault(plan, NULL, "002_b.sql of module users comes before 005");
    plan->policies.out_of_order = PGDBM_POLICY_ALLOW;
    expect_fault(plan, NULL, NULL);
}

static void changed_file_is_the_first_thing_told(void **state)
{
    struct plan *plan = *state;
    add_row(plan, "001_a.sql", "001", true)->checksum = "other";
    add_row(plan, "003_gone.sql", "003", true);
    add_row(plan, "R__r.sql", "", true)->checksum = "other";
    expect_states(plan, STATES(CHANGED, OUT_OF_ORDER, PENDING, REPEAT));
    expect_fault(plan, NULL, "001_a.sql of module users was changed");
    assert_non_null(strstr(plan->err.detail, "applied checksum other, the file's is " CHECKSUM));
    plan->list[0].semantic_checksum = plan->set.files[0].semantic_checksum;
    expect_states(plan, STATES(REFORMATTED, OUT_OF_ORDER, PENDING, REPEAT));
    expect_fault(plan, NULL, "003_gone.sql");
}

static void row_without_a_module_counts_unless_the_module_has_its_own(void **state)
{
    struct plan *plan = *state;
    add_row(plan, "001_a.sql", "001", false);
    add_row(plan, "002_b.sql", "002", true);
    add_row(plan, "002_b.sql", "002", false)->checksum = "another module's";
    add_row(plan, "009_z.sql", "009", false); /* and nobody's file: not ours */
    expect_states(plan, STATES(APPLIED, APPLIED, GAP, REPEAT));
    assert_string_equal(pgdbm__plan_head(&plan->rows), "002");
    plan->list[0].checksum = "another module's";
    expect_states(plan, STATES(CHANGED, APPLIED, GAP, REPEAT));
    expect_fault(plan, NULL, "001_a.sql");
    assert_non_null(strstr(plan->err.hint, "set that row's module_name"));
}

static void report_has_files_by_number_and_rows_without_files_between(void **state)
{
    struct plan *plan = *state;
    pgdbm_migration_report *report = NULL;
    static const struct {
        const char *filename, *version;
        pgdbm_migration_state state;
    } expected[] = {
        {"001_a.sql", "001", PGDBM_MIGRATION_APPLIED},    {"002_b.sql", "002", PGDBM_MIGRATION_OUT_OF_ORDER},
        {"003_gone.sql", "003", PGDBM_MIGRATION_MISSING}, {"004_d.sql", "004", PGDBM_MIGRATION_PENDING},
        {"R__r.sql", "", PGDBM_MIGRATION_APPLIED},        {"old style", "", PGDBM_MIGRATION_MISSING}};
    add_row(plan, "001_a.sql", "001", true)->applied_by = "joe";
    add_row(plan, "003_gone.sql", "003", true);
    add_row(plan, "R__r.sql", "", true);
    add_row(plan, "old style", "", true);
    pgdbm__plan_match(&plan->set, &plan->rows);
    assert_int_equal(pgdbm__plan_report(&plan->set, &plan->rows, &plan->history, &report, &plan->err), PGDBM_OK);
    assert_int_equal(report->n_migrations, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(report->migrations[i].filename, expected[i].filename);
        assert_string_equal(report->migrations[i].version, expected[i].version);
        assert_int_equal(report->migrations[i].state, expected[i].state);
    }
    assert_int_equal(report->n_pending, 2);
    assert_int_equal(report->n_applied, 0);
    assert_string_equal(report->head, "003");
    assert_string_equal(report->migrations[0].applied_by, "joe");
    assert_null(report->migrations[1].applied_checksum);
    assert_null(report->migrations[2].checksum);
    pgdbm_migration_report_free(report);
}

int main(void)
{
#define PLAN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        PLAN(nothing_applied_leaves_everything_pending),
        PLAN(applied_number_without_a_file_closes_a_gap),
        PLAN(number_above_the_files_is_future_and_what_is_below_it_out_of_order),
        PLAN(changed_file_is_the_first_thing_told),
        PLAN(row_without_a_module_counts_unless_the_module_has_its_own),
        PLAN(report_has_files_by_number_and_rows_without_files_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
