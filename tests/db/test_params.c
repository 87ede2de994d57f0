/* SPDX-License-Identifier: MIT */
/* Parameters on their way to a real server: what arrives, and what is refused before it is sent. */
#include "db/stage.h"

#include <pgdbm/batch.h>
#include <stdio.h>

static void every_kind_of_value_arrives(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    bool yes = false;
    unsigned char all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)i;
    assert_ok(pgdbm_fetch_value(
        stage->db,
        "SELECT $1::int2 = -32768 AND $2::int4 = 2147483647 AND $3::int8 = -9223372036854775808 AND "
        "$4::oid = 4294967295 AND $5::numeric = 18446744073709551615 AND $6::float4 = 1.5 AND $7::float8 = 0.1 AND "
        "$8::bool AND NOT $9::bool AND $10::text = 'gr\xc3\xbc\xc3\x9f' AND $11::date = DATE '2026-01-31' AND "
        "$12::text IS NULL AND $13::int IS NULL AND length($14::bytea) = 256 AND get_byte($14, 255) = 255 AND "
        "length($15::bytea) = 0 AND $16::text = 'cut' AND $17::bool AND $18::jsonb ->> 'a' = '1' AND "
        "$19::int[] = ARRAY[1, 2] AND $20::numeric = 0.1",
        pgdbm_args(INT16_MIN, INT32_MAX, INT64_MIN, UINT32_MAX, UINT64_MAX, 1.5F, 0.1, (bool)true, (bool)false,
                   "gr\xc3\xbc\xc3\x9f", "2026-01-31", pgdbm_null, (const char *)NULL, pgdbm_bytes(all, sizeof all),
                   pgdbm_bytes(all, 0), pgdbm_text("cut off", 3), 1, "{\"a\": 1}", "{1,2}", 0.1),
        &yes, &err));
    assert_true(yes);
}

static void bytes_come_back_as_they_went(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *result = NULL;
    pgdbm_blob blob = {0};
    unsigned char all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (unsigned char)(255 - i);
    assert_ok(pgdbm_fetch_one(stage->db, "SELECT $1::bytea", pgdbm_args(pgdbm_bytes(all, sizeof all)), &result, &err));
    assert_ok(pgdbm_get_bytes(result, 0, 0, &blob, &err));
    assert_int_equal(blob.bytes, sizeof all);
    assert_memory_equal(blob.data, all, sizeof all);
    pgdbm_result_free(result);
}

static void too_few_and_too_many_parameters_are_refused_with_both_counts(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t value = 0;
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT $1::int + $2::int", pgdbm_args(1), &value, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(err.message, "2 parameters");
    assert_contains(err.message, "1 given");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT 1", pgdbm_args(1, 2, 3), &value, &err));
    assert_contains(err.message, "3 given");
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_value(stage->db, "SELECT $1::int", pgdbm_no_args, &value, &err));
}

static void numbers_beyond_the_range_of_the_type_are_refused(void **state)
{
    struct stage *stage = *state;
    const struct {
        const char *sql;
        pgdbm_param value;
    } cases[] = {
        {"SELECT $1::int2", pgdbm_param_int64(32768)},       {"SELECT $1::int2", pgdbm_param_int64(-32769)},
        {"SELECT $1::int4", pgdbm_param_int64(2147483648)},  {"SELECT $1::int4", pgdbm_param_int64(-2147483649)},
        {"SELECT $1::int8", pgdbm_param_uint64(UINT64_MAX)}, {"SELECT $1::oid", pgdbm_param_int64(-1)},
        {"SELECT $1::oid", pgdbm_param_int64(4294967296)},   {"SELECT $1::bool", pgdbm_param_int64(2)},
        {"SELECT $1::float4", pgdbm_param_double(1e300)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgdbm_error err;
        pgdbm_status status =
            pgdbm_execute(stage->db, cases[i].sql, pgdbm_params_array(&cases[i].value, 1), NULL, &err);
        if (status != PGDBM_ERR_TYPE || err.outcome != PGDBM_OUTCOME_NOT_SENT || strstr(err.message, "$1") == NULL)
            fail_msg("case %zu, %s: came %s, %s", i, cases[i].sql, pgdbm_status_name(status), err.message);
    }
}

static void values_of_the_wrong_kind_are_refused(void **state)
{
    struct stage *stage = *state;
    const struct {
        const char *sql;
        pgdbm_param value;
    } cases[] = {
        {"SELECT $1::text", pgdbm_param_int64(1)},    {"SELECT $1::int", pgdbm_param_double(1.0)},
        {"SELECT $1::int", pgdbm_param_bool(true)},   {"SELECT $1::date", pgdbm_param_int64(1)},
        {"SELECT $1::text", pgdbm_bytes("bytes", 5)}, {"SELECT $1::uuid", pgdbm_param_double(1)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pgdbm_error err;
        pgdbm_status status =
            pgdbm_execute(stage->db, cases[i].sql, pgdbm_params_array(&cases[i].value, 1), NULL, &err);
        if (status != PGDBM_ERR_TYPE || err.outcome != PGDBM_OUTCOME_NOT_SENT || strstr(err.message, "$1") == NULL)
            fail_msg("case %zu, %s: came %s, %s", i, cases[i].sql, pgdbm_status_name(status), err.message);
    }
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void text_that_the_server_cannot_read_is_its_error(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT $1::int", pgdbm_args("not a number"), NULL, &err));
    assert_string_equal(err.sqlstate, "22P02");
    assert_int_equal(err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
}

static void text_with_a_nul_byte_is_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_TYPE,
                 pgdbm_execute(stage->db, "SELECT $1::text", pgdbm_args(pgdbm_text("a\0b", 3)), NULL, &err));
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(err.message, "NUL");
}

static void text_that_is_not_utf8_is_the_servers_error(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT $1::text", pgdbm_args("\xff\xfe"), NULL, &err));
    assert_string_equal(err.sqlstate, "22021");
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT '\xff\xfe'", pgdbm_no_args, NULL, &err));
    assert_string_equal(err.sqlstate, "22021");
    stage_expect_number(stage->db, "SELECT 1", 1);
}

static void more_parameters_than_the_protocol_has_are_refused(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_param *values = test_calloc(65536, sizeof *values);
    pgdbm_status status = pgdbm_execute(stage->db, "SELECT 1", pgdbm_params_array(values, 65536), NULL, &err);
    test_free(values);
    assert_int_equal(status, PGDBM_ERR_TYPE);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
    assert_contains(err.message, "65536");
}

static void never(const pgdbm_outcome *outcome, void *context)
{
    (void)outcome;
    (void)context;
    fail_msg("a request that was refused is called back");
}

/* No such text or run of bytes is there: nobody may look. */
static void values_beyond_one_gibibyte_are_refused_before_anything_is_copied(void **state)
{
    struct stage *stage = *state;
    const size_t bytes = (size_t)1 << 30;
    const pgdbm_param values[] = {pgdbm_bytes("x", bytes), pgdbm_text("x", bytes), pgdbm_bytes("x", SIZE_MAX)};
    pgdbm_error err;
    pgdbm_batch *batch = NULL;
    assert_ok(pgdbm_batch_new(stage->db, NULL, &batch, &err));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const char *sql = values[i].kind == PGDBM_PARAM_TEXT ? "SELECT $1::text" : "SELECT $1::bytea";
        assert_fails(PGDBM_ERR_TYPE, pgdbm_execute(stage->db, sql, pgdbm_params_array(&values[i], 1), NULL, &err));
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
        assert_contains(err.message, "parameter $1 has");
        assert_contains(err.message, "1 GiB");
        assert_fails(PGDBM_ERR_TYPE, pgdbm_batch_add(batch, sql, pgdbm_params_array(&values[i], 1), &err));
        assert_fails(PGDBM_ERR_TYPE,
                     pgdbm_submit(stage->db, sql, pgdbm_params_array(&values[i], 1), never, NULL, &err));
    }
    pgdbm_batch_free(batch);
}

/* Counts above 32767 are where a signed 16-bit number would break. */
static void forty_thousand_parameters_arrive(void **state)
{
    struct stage *stage = *state;
    enum { COUNT = 40000 };
    pgdbm_error err;
    int64_t affected = 0;
    pgdbm_param *values = test_calloc(COUNT, sizeof *values);
    char *sql = test_malloc(COUNT * 12 + 100);
    size_t used = (size_t)sprintf(sql, "INSERT INTO t VALUES ");
    for (int i = 0; i < COUNT; i++) {
        values[i] = pgdbm_param_int64(i);
        used += (size_t)sprintf(sql + used, "%s($%d)", i > 0 ? "," : "", i + 1);
    }
    stage_run(stage->db, "CREATE TABLE t (i int)");
    pgdbm_status status = pgdbm_execute(stage->db, sql, pgdbm_params_array(values, COUNT), &affected, &err);
    test_free(sql);
    test_free(values);
    assert_ok(status);
    assert_int_equal(affected, COUNT);
    stage_expect_number(stage->db, "SELECT sum(i) FROM t", (int64_t)COUNT * (COUNT - 1) / 2);
}

/* The same parameters must be refused alike on first use, when the types are learnt, and later. */
static void a_refused_parameter_leaves_the_statement_usable(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    int64_t value = 0;
    for (int i = 0; i < 3; i++) {
        assert_fails(PGDBM_ERR_TYPE,
                     pgdbm_fetch_value(stage->db, "SELECT $1::int2 + 1", pgdbm_args(100000), &value, &err));
        assert_ok(pgdbm_fetch_value(stage->db, "SELECT $1::int2 + 1", pgdbm_args(100 + i), &value, &err));
        assert_int_equal(value, 101 + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ON_ONE(test) cmocka_unit_test_setup_teardown(test, stage_setup_one, stage_teardown)
        ON_ONE(every_kind_of_value_arrives),
        ON_ONE(bytes_come_back_as_they_went),
        ON_ONE(too_few_and_too_many_parameters_are_refused_with_both_counts),
        ON_ONE(numbers_beyond_the_range_of_the_type_are_refused),
        ON_ONE(values_of_the_wrong_kind_are_refused),
        ON_ONE(text_that_the_server_cannot_read_is_its_error),
        ON_ONE(text_with_a_nul_byte_is_refused),
        ON_ONE(text_that_is_not_utf8_is_the_servers_error),
        ON_ONE(more_parameters_than_the_protocol_has_are_refused),
        ON_ONE(values_beyond_one_gibibyte_are_refused_before_anything_is_copied),
        ON_ONE(forty_thousand_parameters_arrive),
        ON_ONE(a_refused_parameter_leaves_the_statement_usable),
    };
    return cmocka_run_group_tests_name("params", tests, NULL, NULL);
}
