/* SPDX-License-Identifier: MIT */
/* Reports as text: for people, programs and Prometheus. No server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pgdbm/pgdbm.h>
#include <string.h>

static pgdbm_target targets[] = {
    {.schema = "t_1",
     .state = PGDBM_TARGET_FAILED,
     .head = "001",
     .n_pending = 2,
     .attempts = 3,
     .error = "column \"a\\b\"\nis there",
     .failed_at = "002_x.sql:3",
     .sqlstate = "42701",
     .updated_at = "2026-01-01 00:00:00+00",
     .duration_ms = 1.5},
    {.schema = "t_22222", .state = PGDBM_TARGET_BEHIND, .head = ""},
};
static const pgdbm_fleet_report report = {
    .module = "sh\"op\\\n",
    .head = "003",
    .targets = targets,
    .n_targets = 2,
    .counts = {[PGDBM_TARGET_CURRENT] = 7, [PGDBM_TARGET_BEHIND] = 1, [PGDBM_TARGET_FAILED] = 1},
    .n_all = 9};

static void expect(pgdbm_fleet_format format, const char *piece)
{
    char *text = pgdbm_fleet_report_print(&report, format);
    assert_non_null(text);
    if (strstr(text, piece) == NULL)
        fail_msg("expected %s in\n%s", piece, text);
    pgdbm_free(text);
}

static void people_get_counts_and_an_aligned_table(void **state)
{
    (void)state;
    expect(PGDBM_FLEET_TEXT, "newest file 003, 9 tenants: 7 current, 1 behind, 1 failed\n");
    expect(PGDBM_FLEET_TEXT, "schema   state   head  pending  attempts  error\n");
    expect(PGDBM_FLEET_TEXT, "t_1      failed  001   2        3         column \"a\\b\"\\x0Ais there\n");
    expect(PGDBM_FLEET_TEXT, "t_22222  behind        0        0\n");
}

static void programs_get_json_with_everything_escaped(void **state)
{
    (void)state;
    expect(PGDBM_FLEET_JSON, "\"module\": \"sh\\\"op\\\\\\u000a\"");
    expect(PGDBM_FLEET_JSON, "\"error\": \"column \\\"a\\\\b\\\"\\u000ais there\"");
    expect(PGDBM_FLEET_JSON, "\"counts\": {\"current\": 7, \"behind\": 1, \"failed\": 1");
    expect(PGDBM_FLEET_JSON, "\"error\": null, \"sqlstate\": null");
    expect(PGDBM_FLEET_JSON, "\"duration_ms\": 1.500}");
}

static void prometheus_gets_every_state_with_its_labels_escaped(void **state)
{
    (void)state;
    expect(PGDBM_FLEET_PROMETHEUS, "# TYPE pgdbm_fleet_targets gauge\n");
    expect(PGDBM_FLEET_PROMETHEUS, "pgdbm_fleet_targets{module=\"sh\\\"op\\\\\\n\",state=\"current\"} 7\n");
    expect(PGDBM_FLEET_PROMETHEUS, "state=\"unknown\"} 0\n");
}

static void empty_report_is_text_too(void **state)
{
    (void)state;
    const pgdbm_fleet_report empty = {.module = "shop", .head = ""};
    char *text = pgdbm_fleet_report_print(&empty, PGDBM_FLEET_TEXT);
    assert_string_equal(text, "module shop, newest file none, 0 tenants\n");
    pgdbm_free(text);
    text = pgdbm_fleet_report_print(&empty, PGDBM_FLEET_JSON);
    assert_non_null(strstr(text, "\"targets\": []"));
    pgdbm_free(text);
    assert_null(pgdbm_fleet_report_print(NULL, PGDBM_FLEET_TEXT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_get_counts_and_an_aligned_table),
        cmocka_unit_test(programs_get_json_with_everything_escaped),
        cmocka_unit_test(prometheus_gets_every_state_with_its_labels_escaped),
        cmocka_unit_test(empty_report_is_text_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
