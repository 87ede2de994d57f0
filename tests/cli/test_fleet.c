/* SPDX-License-Identifier: MIT */
/* `pgdbm fleet` against a real server: three tenants, from new to gone. */
#include "cli/tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOP "--module shop --pattern 'tenant\\_%' "

static int setup(void **state)
{
    tool_setup(state);
    struct tool *tool = *state;
    char *url = test_database_create();
    snprintf(tool->url, sizeof tool->url, "%s", url);
    free(url);
    test_psql(tool->url, "CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b; CREATE SCHEMA tenant_c; CREATE SCHEMA other");
    tool_write(tool, "migrations/001_orders.sql", "CREATE TABLE {{tables.orders}} (id int);\n");
    tool_write(tool, "migrations/002_total.sql", "ALTER TABLE {{tables.orders}} ADD total int;\n");
    return 0;
}

static int teardown(void **state)
{
    struct tool *tool = *state;
    test_database_drop(strdup(tool->url));
    return tool_teardown(state);
}

static void expect(struct tool *tool, int code, const char *text, const char *words)
{
    tool_run(tool, "%s", words);
    assert_code(tool, code);
    if (text != NULL)
        assert_contains(tool->out, text);
}

static void expect_true(const struct tool *tool, const char *condition)
{
    char sql[512];
    snprintf(sql, sizeof sql, "SELECT 1 / (%s)::int", condition);
    test_psql(tool->url, sql);
}

static json_t *parse(const struct tool *tool)
{
    json_error_t where;
    json_t *answer = json_loads(tool->out, 0, &where);
    if (answer == NULL)
        fail_msg("line %d: %s\n%s", where.line, where.text, tool->out);
    return answer;
}

static void expect_number(const struct tool *tool, const char *name, json_int_t wanted)
{
    json_t *answer = parse(tool);
    assert_int_equal(json_integer_value(json_object_get(answer, name)), wanted);
    json_decref(answer);
}

static void apply_brings_every_tenant_to_the_newest_file(void **state)
{
    struct tool *tool = *state;
    expect(tool, 3, NULL, "fleet sync --fail-if behind " SHOP);
    expect(tool, 0, "3 migrated, 0 failed", "fleet apply " SHOP);
    expect(tool, 0, NULL, "fleet status --fail-if behind,failed " SHOP);
    expect(tool, 0, "nothing to do", "fleet apply " SHOP);
    expect_true(tool, "(SELECT count(*) = 3 FROM pg_class WHERE relname = 'orders')");
    tool_write(tool, "migrations/003_more.sql", "SELECT 1;\n");
    expect(tool, 3, NULL, "fleet status --fail-if behind " SHOP);
    expect(tool, 0, NULL, "fleet apply --json --workers 2 --canaries tenant_b --waves 50,100 " SHOP);
    expect_number(tool, "migrated", 3);
}

static void a_tenant_that_fails_is_told_and_the_others_go_on(void **state)
{
    struct tool *tool = *state;
    test_psql(tool->url, "CREATE TABLE tenant_b.orders (total text)");
    tool_write(tool, "migrations/001_orders.sql", "CREATE TABLE {{tables.orders}} (id int);\n");
    expect(tool, 1, NULL, "fleet apply --max-failures never --max-attempts 1 " SHOP);
    assert_contains(tool->out, "2 migrated");
    assert_contains(tool->err, "001_orders.sql:1");
    assert_null(strstr(tool->out, "nothing to do"));
    expect(tool, 1, NULL, "fleet status --fail-if failed " SHOP);
    test_psql(tool->url, "DROP TABLE tenant_b.orders");
    expect(tool, 0, "tenant_b released", "fleet release tenant_b " SHOP);
    expect(tool, 0, "1 migrated", "fleet apply " SHOP);
}

static void a_quarantined_tenant_is_left_alone(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "fleet sync " SHOP);
    expect(tool, 0, "tenant_c quarantined", "fleet quarantine tenant_c --reason holidays " SHOP);
    expect(tool, 0, "2 migrated", "fleet apply " SHOP);
    expect_true(tool, "to_regclass('tenant_b.orders') IS NOT NULL AND to_regclass('tenant_c.orders') IS NULL");
    expect(tool, 1, NULL, "fleet status --fail-if failed " SHOP);
    expect(tool, 0, NULL, "fleet release tenant_c --json " SHOP);
    expect(tool, 0, "1 migrated", "fleet apply " SHOP);
}

static void orders_are_given_and_taken_back(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "paused", "fleet pause " SHOP);
    expect(tool, 0, "resumed", "fleet resume " SHOP);
    expect(tool, 0, "canceled", "fleet cancel " SHOP);
    expect(tool, 0, "3 migrated", "fleet apply " SHOP);
}

static void status_speaks_three_languages(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "tenant_b", "fleet sync " SHOP);
    expect(tool, 0, NULL, "fleet status --format json " SHOP);
    json_decref(parse(tool));
    expect(tool, 0, "# TYPE", "fleet status --format prometheus " SHOP);
    expect(tool, 2, NULL, "fleet status --format xml " SHOP);
}

static void quiet_is_silent_about_what_was_changed(void **state)
{
    struct tool *tool = *state;
    static const char *const changes[] = {"sync",
                                          "apply",
                                          "pause",
                                          "resume",
                                          "cancel",
                                          "create tenant_q",
                                          "quarantine tenant_q",
                                          "release tenant_q",
                                          "drop tenant_q --yes"};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        tool_run(tool, "--quiet fleet %s %s", changes[i], SHOP);
        assert_code(tool, 0);
        if (tool->out[0] != '\0' || tool->err[0] != '\0')
            fail_msg("fleet %s: expected nothing, came '%s' and '%s'", changes[i], tool->out, tool->err);
    }
    expect_true(tool, "to_regclass('tenant_a.orders') IS NOT NULL AND to_regnamespace('tenant_q') IS NULL");
    expect(tool, 0, "tenant_b", "--quiet fleet status --all " SHOP);
    expect(tool, 0, NULL, "--quiet fleet sync --json " SHOP);
    json_decref(parse(tool));
    tool_write(tool, "migrations/003_wrong.sql", "SELECT 1/0;\n");
    expect(tool, 1, "0 migrated", "--quiet fleet apply " SHOP);
    assert_contains(tool->err, "003_wrong.sql");
}

static void tenants_come_and_go(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "1 created", "fleet create tenant_d " SHOP);
    expect_true(tool, "to_regclass('tenant_d.orders') IS NOT NULL");
    expect(tool, 1, NULL, "fleet create tenant_d " SHOP);
    assert_contains(tool->err, "tenant_d");
    expect(tool, 0, "2 created, 1 there already", "fleet create tenant_d tenant_e tenant_f " SHOP);
    expect(tool, 2, NULL, "fleet drop tenant_e " SHOP);
    assert_contains(tool->err, "--yes");
    expect(tool, 0, "tenant_e dropped", "fleet drop tenant_e --yes " SHOP);
    expect_true(tool, "NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'tenant_e')");
}

static void drift_is_named(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, NULL, "fleet apply " SHOP);
    expect(tool, 0, "3 schemas, 3 alike", "fleet drift " SHOP);
    test_psql(tool->url, "ALTER TABLE tenant_b.orders ADD extra int");
    expect(tool, 3, "orders.extra", "fleet drift " SHOP);
    assert_contains(tool->out, "tenant_b");
    expect(tool, 3, NULL, "fleet drift --json " SHOP);
    json_t *answer = parse(tool);
    assert_int_equal(json_array_size(json_object_get(answer, "drifted")), 1);
    json_decref(answer);
    expect(tool, 3, NULL, "fleet status --fail-if drift " SHOP);
    assert_contains(tool->err, "tenant_b");
}

static void wrong_words_are_two(void **state)
{
    struct tool *tool = *state;
    static const char *const wrong[] = {
        "fleet status --module shop",
        "fleet status --module shop --schemas a --pattern b",
        "fleet status --pattern a",
        "fleet status --fail-if bored " SHOP,
        "fleet apply --waves 1,many " SHOP,
        "fleet apply --waves 0,100 " SHOP,
        "fleet apply --workers 0 " SHOP,
        "fleet apply --max-failures some " SHOP,
        "fleet apply --deadline tomorrow " SHOP,
        "fleet create " SHOP,
        "fleet drop one two --yes " SHOP,
        "fleet release " SHOP,
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(tool, 2, NULL, wrong[i]);
}

/* What the library would say to a program, and what would select nobody without a word. */
static void wrong_numbers_and_empty_lists_are_told_in_options(void **state)
{
    struct tool *tool = *state;
    static const struct {
        const char *words, *told;
    } wrong[] = {
        {"apply --schemas ,", "--schemas has no word in it"},
        {"apply --schemas a --canaries ,,", "--canaries has no word in it"},
        {"status --schemas a --fail-if ,", "--fail-if has no word in it"},
        {"apply --schemas a --waves ,", "--waves has no word in it"},
        {"apply --schemas a --waves 10,50", "--waves must end with 100, and ends with 50"},
        {"apply --schemas a --waves 10,10,100", "--waves cannot have 10"},
        {"apply --schemas a --workers 257", "--workers must be 256 at most, not 257"},
        {"apply --schemas a --lock-timeout off", "--lock-timeout cannot be off"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tool_run(tool, "fleet %s --module m --dir migrations", wrong[i].words);
        if (tool->code != 2 || strstr(tool->err, wrong[i].told) == NULL || strstr(tool->err, "hint: ") == NULL ||
            tool->out[0] != '\0')
            fail_msg("fleet %s: expected 2, '%s' and a hint, came %d and %s%s", wrong[i].words, wrong[i].told,
                     tool->code, tool->out, tool->err);
    }
}

static void a_roll_out_that_is_paused_says_so_and_how_it_goes_on(void **state)
{
    struct tool *tool = *state;
    expect(tool, 0, "paused", "fleet pause " SHOP);
    pid_t child = tool_start(tool, "fleet apply " SHOP);
    tool_shell(tool, "i=0; until grep -q 'are paused; pgdbm fleet resume' err || test $i -gt 600; do sleep 0.1; "
                     "i=$((i + 1)); done; cp err said");
    tool_shell(tool, test_format("DATABASE_URL='%s' $PGDBM fleet resume %s >resumed", tool->url, SHOP));
    tool_wait(tool, child);
    assert_code(tool, 0);
    assert_contains(tool->err, "are paused; pgdbm fleet resume");
}

static void errors_name_no_call_of_the_library(void **state)
{
    struct tool *tool = *state;
    expect(tool, 2, NULL, "fleet quarantine nobody --json " SHOP);
    assert_contains(tool->err, "pgdbm: module shop has no tenant nobody");
    assert_contains(tool->out, "\"message\": \"module shop has no tenant nobody\"");
}

int main(void)
{
#define WITH_TENANTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_TENANTS(wrong_numbers_and_empty_lists_are_told_in_options),
        WITH_TENANTS(a_roll_out_that_is_paused_says_so_and_how_it_goes_on),
        WITH_TENANTS(errors_name_no_call_of_the_library),
        WITH_TENANTS(apply_brings_every_tenant_to_the_newest_file),
        WITH_TENANTS(a_tenant_that_fails_is_told_and_the_others_go_on),
        WITH_TENANTS(a_quarantined_tenant_is_left_alone),
        WITH_TENANTS(orders_are_given_and_taken_back),
        WITH_TENANTS(status_speaks_three_languages),
        WITH_TENANTS(quiet_is_silent_about_what_was_changed),
        WITH_TENANTS(tenants_come_and_go),
        WITH_TENANTS(drift_is_named),
        WITH_TENANTS(wrong_words_are_two),
    };
    return cmocka_run_group_tests_name("fleet", tests, NULL, NULL);
}
