/* SPDX-License-Identifier: MIT */
/* Fetching: one value of each kind, one row, all rows. */
#include "db/stage.h"

#include <math.h>
#include <stdio.h>

static void a_value_comes_as_int64_from_every_integer_type(void **state)
{
    struct stage *stage = *state;
    stage_expect_number(stage->db, "SELECT (-32768)::int2", INT16_MIN);
    stage_expect_number(stage->db, "SELECT 2147483647::int4", INT32_MAX);
    stage_expect_number(stage->db, "SELECT (-9223372036854775808)::int8", INT64_MIN);
    stage_expect_number(stage->db, "SELECT 4294967295::oid", UINT32_MAX);
}

static void a_value_comes_as_double_bool_and_text(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    double number = 0;
    bool yes = false;
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT 0.1::float8", pgdbm_no_args, &number, &err));
    assert_true(number == 0.1);
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT 1.5::float4", pgdbm_no_args, &number, &err));
    assert_true(number == 1.5);
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT 'NaN'::float8", pgdbm_no_args, &number, &err));
    assert_true(isnan(number));
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT true", pgdbm_no_args, &yes, &err));
    assert_true(yes);
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT false", pgdbm_no_args, &yes, &err));
    assert_false(yes);
    stage_expect_text(stage->db, "SELECT 'gr\xc3\xbc\xc3\x9f'", "gr\xc3\xbc\xc3\x9f");
}

static void text_of_a_value_is_what_the_server_would_print(void **state)
{
    struct stage *stage = *state;
    stage_expect_text(stage->db, "SELECT 12345678901234567890.5::numeric", "12345678901234567890.5");
    stage_expect_text(stage->db, "SELECT DATE '2026-01-31'", "2026-01-31");
    stage_expect_text(stage->db, "SELECT TIMESTAMP '2026-01-31 10:00:00.25'", "2026-01-31 10:00:00.25");
    stage_expect_text(stage->db, "SELECT '{\"a\": [1, 2]}'::jsonb", "{\"a\": [1, 2]}");
    stage_expect_text(stage->db, "SELECT ARRAY[1, 2, NULL]", "{1,2,NULL}");
    stage_expect_text(stage->db, "SELECT (-7)::int2", "-7");
    stage_expect_text(stage->db, "SELECT true", "t");
    stage_expect_text(stage->db, "SELECT 0.1::float8", "0.1");
    stage_expect_text(stage->db, "SELECT 0.1::float4", "0.1");
    stage_expect_text(stage->db, "SELECT '00000000-0000-4000-8000-00000000000a'::uuid",
                      "00000000-0000-4000-8000-00000000000a");
    stage_expect_text(stage->db, "SELECT ''", "");
}

static void null_is_an_error_for_numbers_and_null_for_text(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t number = 5;
    double real = 5;
    bool yes = true;
    char *text = (char *)"";
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT NULL::int", pgdbm_no_args, &number, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    assert_int_equal(number, 5);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT NULL::float8", pgdbm_no_args, &real, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT NULL::bool", pgdbm_no_args, &yes, &err));
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT NULL::text", pgdbm_no_args, &text, &err));
    assert_null(text);
}

static void no_row_is_an_error_for_numbers_and_null_for_text(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t number = 5;
    char *text = (char *)"";
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT 1 WHERE false", pgdbm_no_args, &number, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    assert_contains(err.message, "no row");
    assert_int_equal(number, 5);
    assert_ok(pgdbm_fetch_value(stage->db, "SELECT 'a' WHERE false", pgdbm_no_args, &text, &err));
    assert_null(text);
}

static void a_value_of_another_type_is_refused_and_named(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t number = 5;
    assert_fails(PGDBM_ERR_TYPE,
                 pgdbm_fetch_value(stage->db, "SELECT 'abc'::text AS word", pgdbm_no_args, &number, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_DONE);
    assert_contains(err.message, "word");
    assert_contains(err.message, "text");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT 1.5::float8", pgdbm_no_args, &number, &err));
    assert_int_equal(number, 5);
}

static void fetch_one_gives_none_or_one_row(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    int64_t value = 0;
    assert_ok(pgdbm_fetch_one(stage->db, "SELECT i FROM generate_series(1, 100000) i ORDER BY i", pgdbm_no_args,
                              &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 1);
    assert_ok(pgdbm_get_int64(result, 0, "i", &value, &err));
    assert_int_equal(value, 1);
    pgdbm_result_free(result);
    assert_ok(pgdbm_fetch_one(stage->db, "SELECT 1 AS i WHERE false", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 0);
    pgdbm_result_free(result);
}

static void fetch_all_gives_every_row_in_order(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    assert_ok(pgdbm_fetch_all(stage->db,
                              "SELECT i, 'row ' || i, CASE WHEN i % 3 = 0 THEN i END AS third "
                              "FROM generate_series(0, $1 - 1) i",
                              pgdbm_args(50000), &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 50000);
    assert_int_equal(pgdbm_result_columns(result), 3);
    for (size_t i = 0; i < 50000; i++) {
        int32_t number = -1;
        const char *text = NULL;
        bool null = false;
        char expected[24];
        snprintf(expected, sizeof expected, "row %zu", i);
        assert_ok(pgdbm_get_int32(result, i, 0, &number, &err));
        assert_ok(pgdbm_get_text(result, i, 1, &text, &err));
        assert_ok(pgdbm_is_null(result, i, "third", &null, &err));
        if ((size_t)number != i || strcmp(text, expected) != 0 || null != (i % 3 != 0))
            fail_msg("row %zu is %d, \"%s\", %s", i, (int)number, text, null ? "NULL" : "not NULL");
    }
    pgdbm_result_free(result);
}

static void an_error_gives_no_result(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = (pgdbm_result *)&err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_fetch_all(stage->db, "SELECT 1 / (5 - i) FROM generate_series(1, 9) i",
                                                  pgdbm_no_args, &result, &err));
    assert_null(result);
    assert_string_equal(err.sqlstate, "22012");
    result = (pgdbm_result *)&err;
    assert_fails(PGDBM_ERR_SCHEMA, pgdbm_fetch_one(stage->db, "SELECT {{oops}}", pgdbm_no_args, &result, &err));
    assert_null(result);
}

static void large_values_come_whole(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    const size_t sizes[] = {0, 1, 65519, 65536, 1 << 20, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *text = NULL;
        pgdbm_blob blob = {0};
        assert_ok(pgdbm_fetch_one(stage->db, "SELECT repeat('x', $1), decode(repeat('00', $1), 'hex'), 'end'",
                                  pgdbm_args(sizes[i]), &result, &err));
        assert_ok(pgdbm_get_text(result, 0, 0, &text, &err));
        assert_ok(pgdbm_get_bytes(result, 0, 1, &blob, &err));
        assert_int_equal(strspn(text, "x"), sizes[i]);
        assert_int_equal(strlen(text), sizes[i]);
        assert_int_equal(blob.bytes, sizes[i]);
        assert_ok(pgdbm_get_text(result, 0, 2, &text, &err));
        assert_string_equal(text, "end");
        pgdbm_result_free(result);
    }
}

static void many_columns_come_under_their_names(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    static char sql[40000] = "SELECT ";
    size_t used = strlen(sql);
    for (int i = 0; i < 1600; i++)
        used += (size_t)snprintf(sql + used, sizeof sql - used, "%s%d AS c%d", i > 0 ? ", " : "", i, i);
    assert_ok(pgdbm_fetch_one(stage->db, sql, pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_columns(result), 1600);
    for (int i = 0; i < 1600; i++) {
        char name[16];
        int32_t value = -1;
        snprintf(name, sizeof name, "c%d", i);
        assert_ok(pgdbm_get_int32(result, 0, (const char *)name, &value, &err));
        assert_int_equal(value, i);
    }
    pgdbm_result_free(result);
}

static void a_row_without_columns_is_a_row(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT FROM generate_series(1, 3)", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 3);
    assert_int_equal(pgdbm_result_columns(result), 0);
    pgdbm_result_free(result);
}

static void a_result_outlives_its_pool(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    const char *text = NULL;
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT 'still here' AS word", pgdbm_no_args, &result, &err));
    stage_close(stage);
    assert_ok(pgdbm_get_text(result, 0, "word", &text, &err));
    assert_string_equal(text, "still here");
    pgdbm_result_free(result);
}

static void a_result_without_rows_still_knows_its_columns(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT 1 AS one, 'a' AS letter WHERE false", pgdbm_no_args, &result, &err));
    assert_non_null(result);
    assert_int_equal(pgdbm_result_rows(result), 0);
    assert_int_equal(pgdbm_result_columns(result), 2);
    assert_int_equal(pgdbm_result_column(result, "letter"), 1);
    pgdbm_result_free(result);
}

static void a_result_knows_how_many_rows_were_processed(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    assert_ok(pgdbm_fetch_all(stage->db, "INSERT INTO t VALUES (1), (2) RETURNING i", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 2);
    assert_int_equal(pgdbm_result_affected(result), 2);
    pgdbm_result_free(result);
    assert_ok(pgdbm_fetch_all(stage->db, "UPDATE t SET i = 3", pgdbm_no_args, &result, &err));
    assert_int_equal(pgdbm_result_rows(result), 0);
    assert_int_equal(pgdbm_result_affected(result), 2);
    pgdbm_result_free(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_FOUR(test) cmocka_unit_test_setup_teardown(test, stage_setup_four, stage_teardown)
        ON_FOUR(a_value_comes_as_int64_from_every_integer_type),
        ON_FOUR(a_value_comes_as_double_bool_and_text),
        ON_FOUR(text_of_a_value_is_what_the_server_would_print),
        ON_FOUR(null_is_an_error_for_numbers_and_null_for_text),
        ON_FOUR(no_row_is_an_error_for_numbers_and_null_for_text),
        ON_FOUR(a_value_of_another_type_is_refused_and_named),
        ON_FOUR(fetch_one_gives_none_or_one_row),
        ON_FOUR(fetch_all_gives_every_row_in_order),
        ON_FOUR(an_error_gives_no_result),
        ON_FOUR(large_values_come_whole),
        ON_FOUR(many_columns_come_under_their_names),
        ON_FOUR(a_row_without_columns_is_a_row),
        ON_FOUR(a_result_outlives_its_pool),
        ON_FOUR(a_result_without_rows_still_knows_its_columns),
        ON_FOUR(a_result_knows_how_many_rows_were_processed),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
