/* SPDX-License-Identifier: MIT */
/* Values there and back, beside what the server itself says of them. */
#include "db/stage.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A generator of one's own: the same values in each run. */
static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The server's text of column 0 must be ours of column 1, and the number the one that went. */
static void compare_double(pgdbm_db *db, double value)
{
    pgdbm_error err;
    pgdbm_result *row = NULL;
    const char *theirs = NULL;
    const char *ours = NULL;
    double came = 0;
    assert_ok(pgdbm_fetch_one(db, "SELECT $1::float8::text, $1::float8", pgdbm_args(value), &row, &err));
    assert_ok(pgdbm_get_text(row, 0, 0, &theirs, &err));
    assert_ok(pgdbm_get_text(row, 0, 1, &ours, &err));
    assert_ok(pgdbm_get_double(row, 0, 1, &came, &err));
    if (strcmp(ours, theirs) != 0)
        fail_msg("the server prints %s, we print %s (%a)", theirs, ours, value);
    if (memcmp(&came, &value, sizeof value) != 0 && !(isnan(came) && isnan(value)))
        fail_msg("%a went, %a came", value, came);
    pgdbm_result_free(row);
}

static void compare_float(pgdbm_db *db, float value)
{
    pgdbm_error err;
    pgdbm_result *row = NULL;
    const char *theirs = NULL;
    const char *ours = NULL;
    float came = 0;
    assert_ok(pgdbm_fetch_one(db, "SELECT $1::float4::text, $1::float4", pgdbm_args(value), &row, &err));
    assert_ok(pgdbm_get_text(row, 0, 0, &theirs, &err));
    assert_ok(pgdbm_get_text(row, 0, 1, &ours, &err));
    assert_ok(pgdbm_get_float(row, 0, 1, &came, &err));
    if (strcmp(ours, theirs) != 0)
        fail_msg("the server prints %s, we print %s (%a)", theirs, ours, (double)value);
    if (memcmp(&came, &value, sizeof value) != 0 && !(isnan(came) && isnan(value)))
        fail_msg("%a went, %a came", (double)value, (double)came);
    pgdbm_result_free(row);
}

static void floating_point_numbers_print_as_the_server_prints_them(void **state)
{
    struct stage *stage = *state;
    static const double special[] = {0.0,
                                     -0.0,
                                     1.0,
                                     0.1,
                                     1e15,
                                     1e16,
                                     123456789012345680.0,
                                     1e-4,
                                     1e-5,
                                     5e-324,
                                     2.2250738585072014e-308,
                                     1.7976931348623157e308,
                                     INFINITY,
                                     -INFINITY,
                                     0.3,
                                     1.0 / 3.0,
                                     1e22,
                                     1e23,
                                     9007199254740993.0,
                                     -1.5e-300,
                                     100000};
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        compare_double(stage->db, special[i]);
    compare_double(stage->db, (double)NAN);
    compare_float(stage->db, NAN);
    compare_float(stage->db, -0.0F);
    compare_float(stage->db, INFINITY);
    for (int i = 0; i < 1500; i++) {
        uint64_t bits = next(&seed);
        uint32_t half = (uint32_t)(bits >> 20);
        double wide;
        float narrow;
        memcpy(&wide, &bits, sizeof wide);
        memcpy(&narrow, &half, sizeof narrow);
        if (!isnan(wide))
            compare_double(stage->db, wide);
        if (!isnan(narrow))
            compare_float(stage->db, narrow);
        compare_double(stage->db, (double)(int64_t)(bits >> 12) / 1000.0);
    }
}

static void integers_come_back_from_every_width(void **state)
{
    struct stage *stage = *state;
    static const struct {
        const char *sql;
        int64_t value;
    } numbers[] = {
        {"SELECT $1::int2", INT16_MIN}, {"SELECT $1::int2", INT16_MAX}, {"SELECT $1::int4", INT32_MIN},
        {"SELECT $1::int4", INT32_MAX}, {"SELECT $1::int8", INT64_MIN}, {"SELECT $1::int8", INT64_MAX},
        {"SELECT $1::oid", UINT32_MAX}, {"SELECT $1::int8", 0},         {"SELECT $1::numeric::int8", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        pgdbm_error err;
        pgdbm_result *row = NULL;
        const char *text = NULL;
        char expected[32];
        int64_t came = 1;
        assert_ok(pgdbm_fetch_one(stage->db, numbers[i].sql, pgdbm_args(numbers[i].value), &row, &err));
        assert_ok(pgdbm_get_int64(row, 0, 0, &came, &err));
        assert_ok(pgdbm_get_text(row, 0, 0, &text, &err));
        snprintf(expected, sizeof expected, "%" PRId64, numbers[i].value);
        assert_int_equal(came, numbers[i].value);
        assert_string_equal(text, expected);
        pgdbm_result_free(row);
    }
}

static void a_number_too_wide_for_the_accessor_is_refused_with_both_types(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *row = NULL;
    int16_t narrow = 77;
    int32_t middle = 77;
    assert_ok(pgdbm_fetch_one(stage->db, "SELECT 40000::int4 AS a, 3000000000::int8 AS b, 7::int8 AS c", pgdbm_no_args,
                              &row, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_int16(row, 0, "a", &narrow, &err));
    assert_contains(err.message, "int4");
    assert_contains(err.message, "int16");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_int32(row, 0, "b", &middle, &err));
    assert_int_equal(narrow, 77);
    assert_int_equal(middle, 77);
    assert_ok(pgdbm_get_int16(row, 0, "c", &narrow, &err));
    assert_int_equal(narrow, 7);
    pgdbm_result_free(row);
}

static void every_byte_and_every_length_of_character_comes_back(void **state)
{
    struct stage *stage = *state;
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x98\x01\x7F\"'\\";
    unsigned char bytes[256];
    pgdbm_error err;
    pgdbm_result *row = NULL;
    const char *came = NULL;
    pgdbm_blob blob;
    int64_t characters = 0;
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    assert_ok(pgdbm_fetch_one(stage->db, "SELECT $1::text, $2::bytea, char_length($1)::int8, octet_length($2)",
                              pgdbm_args((const char *)text, pgdbm_bytes(bytes, 256)), &row, &err));
    assert_ok(pgdbm_get_text(row, 0, 0, &came, &err));
    assert_ok(pgdbm_get_bytes(row, 0, 1, &blob, &err));
    assert_ok(pgdbm_get_int64(row, 0, 2, &characters, &err));
    assert_string_equal(came, text);
    assert_int_equal(blob.bytes, 256);
    assert_memory_equal(blob.data, bytes, 256);
    assert_int_equal(characters, 9);
    pgdbm_result_free(row);
}

int main(void)
{
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
    const struct CMUnitTest tests[] = {
        ON_ONE(floating_point_numbers_print_as_the_server_prints_them),
        ON_ONE(integers_come_back_from_every_width),
        ON_ONE(a_number_too_wide_for_the_accessor_is_refused_with_both_types),
        ON_ONE(every_byte_and_every_length_of_character_comes_back),
    };
    return cmocka_run_group_tests_name("types", tests, NULL, NULL);
}
