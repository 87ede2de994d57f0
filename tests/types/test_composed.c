/* SPDX-License-Identifier: MIT */
/* Values made of others, and the types that users make: printed as the server prints them, taken apart, and sent. */
#include "db/stage.h"

#include <pgdbm/pgdbm.h>
#include <stdio.h>

/* The server's text of the expression must be ours of its binary form. */
static void compare(pgdbm_db *db, const char *expression)
{
    char sql[2048];
    pgdbm_error err;
    pgdbm_result *row = NULL;
    const char *ours = NULL;
    const char *theirs = NULL;
    snprintf(sql, sizeof sql, "SELECT v, v::text FROM (SELECT %s AS v) s", expression);
    if (pgdbm_fetch_one(db, sql, pgdbm_no_args, &row, &err) != PGDBM_OK)
        fail_msg("%s: %s", expression, err.message);
    if (pgdbm_get_text(row, 0, 0, &ours, &err) != PGDBM_OK)
        fail_msg("%s: %s", expression, err.message);
    assert_ok(pgdbm_get_text(row, 0, 1, &theirs, &err));
    if ((ours == NULL) != (theirs == NULL) || (ours != NULL && strcmp(ours, theirs) != 0))
        fail_msg("%s: the server prints %s, we print %s", expression, theirs, ours);
    pgdbm_result_free(row);
}

static void make_types(pgdbm_db *db)
{
    stage_run(db, "CREATE EXTENSION hstore");
    stage_run(db, "CREATE EXTENSION citext");
    stage_run(db, "CREATE TYPE mood AS ENUM ('sad', 'so so', 'NULL', 'a,b', 'qu\"ote')");
    stage_run(db, "CREATE DOMAIN positive AS int4 CHECK (VALUE > 0)");
    stage_run(db, "CREATE DOMAIN small AS positive CHECK (VALUE < 100)");
    stage_run(db, "CREATE TYPE place AS (name text, at point)");
    stage_run(db, "CREATE TYPE person AS (name text, feels mood, age small, tags text[], born date)");
    stage_run(db, "CREATE TYPE couple AS (\"Left\" person, \"right one\" person)");
    stage_run(db, "CREATE TYPE moods AS RANGE (subtype = mood)");
    stage_run(db, "CREATE TYPE nothing AS ()");
}

static void containers_print_as_the_server_prints_them(void **state)
{
    struct stage *stage = *state;
    static const char *const expressions[] = {
        "'{}'::int4[]",
        "'{1,-2,NULL}'::int4[]",
        "'{ {1,2},{3,NULL}}'::int8[]",
        "'[0:1][-2:-1]={ {1,2},{3,4}}'::int2[]",
        "'{ { {a,b},{c,d}}, { {e,f},{g,NULL}}}'::text[]",
        "ARRAY['', 'NULL', 'null', ' x', 'a b', '{', '}', ',', '\"', '\\', E'\\n', E'\\t', 'ü', E'a\\vb', 'nullx']",
        "ARRAY[true, false, NULL]",
        "ARRAY[1.5, -0.00, 'NaN', 12345678901234567890.123]::numeric[]",
        "ARRAY['2026-01-31 12:00:00', 'infinity', NULL]::timestamp[]",
        "ARRAY['1 day', '-3 mons 2 days 04:05:06.789']::interval[]",
        "ARRAY['{\"a\": 1}', '[]']::jsonb[]",
        "ARRAY['{\"a\": 1}']::json[]",
        "ARRAY['10.0.0.1', '::1/64']::inet[]",
        "ARRAY['\\x00ff', '\\x']::bytea[]",
        "ARRAY[B'101', B'']::varbit[]",
        "ARRAY['x', '']::\"char\"[]",
        "ARRAY['a', 'b']::name[]",
        "'[1,5)'::int4range",
        "'(,5)'::int8range",
        "'[1.5,]'::numrange",
        "'empty'::daterange",
        "'(,)'::daterange",
        "'[2026-01-01 10:00, 2026-01-02 11:30]'::tsrange",
        "tsrange(NULL, 'infinity', '[]')",
        "'{[1,3),[5,8)}'::int4multirange",
        "'{}'::nummultirange",
        "'{[2026-01-01 10:00, 2026-01-02 11:30],(2026-01-03,)}'::tsmultirange",
        "ARRAY['[1,5)', 'empty', NULL]::int4range[]",
        "ARRAY['{[1,3)}', '{}']::int4multirange[]",
        "'so so'::mood",
        "ARRAY['sad', 'so so', 'NULL', 'a,b', 'qu\"ote', NULL]::mood[]",
        "7::small",
        "ARRAY[7, NULL]::small[]",
        "ROW('Ann', 'sad', 7, ARRAY['x', 'y z'], '2001-02-03')::person",
        "ROW('A (b), \"c\" \\d', NULL, NULL, NULL, '0044-03-15 BC')::person",
        "ROW(NULL, NULL, NULL, NULL, NULL)::person",
        "ROW('', 'a,b', 1, '{}', 'infinity')::person",
        "ROW(ROW('Ann', 'sad', 7, ARRAY['x'], NULL), ROW(' ', 'NULL', NULL, NULL, NULL))::couple",
        "ARRAY[ROW('Ann', 'sad', 7, ARRAY['x', 'y z'], '2001-02-03')::person, NULL]",
        "'[sad,\"a,b\")'::moods",
        "'{[sad,\"so so\"]}'::moods_multirange",
        "ROW()::nothing",
        "ROW('here', point(1, 2))::place",
        "ARRAY[ROW('here', point(1, 2))::place]",
        "'a=>1, \"b c\"=>NULL, \"q\\\"uote\"=>\"back\\\\slash\"'::hstore",
        "''::hstore",
        "ARRAY['a=>1'::hstore]",
        "'CaSe'::citext",
        "ARRAY['CaSe'::citext]",
        "NULL::person",
        "12.34::money",
        "point(1,2)",
        "ARRAY[box '(1,2),(3,4)', box '(5,6),(7,8)']",
        "ROW(1, 'a')",
        "'08:00:2b:01:02:03:04:05'::macaddr8",
        "'a & b'::tsquery",
        "'pg_class'::regclass",
    };
    make_types(stage->db);
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        compare(stage->db, expressions[i]);
}

static pgdbm_result *fetch(pgdbm_db *db, const char *sql, pgdbm_params params)
{
    pgdbm_error err;
    pgdbm_result *result = NULL;
    if (pgdbm_fetch_one(db, sql, params, &result, &err) != PGDBM_OK)
        fail_msg("%s: %s (%s)", sql, err.message, err.detail);
    return result;
}

static void expect_text(const pgdbm_result *result, size_t row, const char *column, const char *expected)
{
    pgdbm_error err;
    const char *text = NULL;
    assert_ok(pgdbm_get_text(result, row, column, &text, &err));
    if ((text == NULL) != (expected == NULL) || (text != NULL && strcmp(text, expected) != 0))
        fail_msg("expected %s in row %zu of \"%s\", came %s", expected, row, column, text);
}

static void arrays_are_read_as_rows(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *array = NULL;
    int32_t number = 0;
    bool null = false;
    pgdbm_result *row = fetch(stage->db,
                              "SELECT '[0:1][3:5]={ {1,2,3},{4,NULL,6}}'::int4[], '{}'::text[] AS none, 1 AS "
                              "one, NULL::int4[] AS nothing",
                              pgdbm_no_args);
    assert_ok(pgdbm_get_array(row, 0, 0, &array, &err));
    assert_int_equal(pgdbm_result_rows(array), 6);
    assert_int_equal(pgdbm_array_dimensions(array), 2);
    assert_int_equal(pgdbm_array_length(array, 0), 2);
    assert_int_equal(pgdbm_array_length(array, 1), 3);
    assert_int_equal(pgdbm_array_length(array, 2), 0);
    assert_int_equal(pgdbm_array_lower_bound(array, 0), 0);
    assert_int_equal(pgdbm_array_lower_bound(array, 1), 3);
    assert_ok(pgdbm_is_null(array, 4, 0, &null, &err));
    assert_true(null);
    assert_ok(pgdbm_get_int32(array, 5, "element", &number, &err));
    assert_int_equal(number, 6);
    pgdbm_result_free(array);
    assert_ok(pgdbm_get_array(row, 0, "none", &array, &err));
    assert_int_equal(pgdbm_result_rows(array), 0);
    assert_int_equal(pgdbm_array_dimensions(array), 0);
    pgdbm_result_free(array);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_array(row, 0, "one", &array, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_array(row, 0, "nothing", &array, &err));
    assert_null(array);
    pgdbm_result_free(row);
}

static void a_part_outlives_the_result_it_was_in_and_the_pool(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *people = NULL;
    pgdbm_result *person = NULL;
    pgdbm_result *tags = NULL;
    int32_t age = 0;
    pgdbm_date born;
    make_types(stage->db);
    pgdbm_result *row = fetch(
        stage->db, "SELECT ARRAY[NULL, ROW('Ann', 'so so', 7, ARRAY['x', 'y z'], '2000-01-02')::person] AS people",
        pgdbm_no_args);
    assert_ok(pgdbm_get_array(row, 0, "people", &people, &err));
    pgdbm_result_free(row);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_record(people, 0, 0, &person, &err));
    assert_ok(pgdbm_get_record(people, 1, 0, &person, &err));
    pgdbm_result_free(people);
    stage_close(stage);
    expect_text(person, 0, "name", "Ann");
    expect_text(person, 0, "feels", "so so");
    assert_ok(pgdbm_get_int32(person, 0, "age", &age, &err));
    assert_int_equal(age, 7);
    assert_ok(pgdbm_get_date(person, 0, "born", &born, &err));
    assert_int_equal(born.days, 1);
    assert_ok(pgdbm_get_array(person, 0, "tags", &tags, &err));
    pgdbm_result_free(person);
    expect_text(tags, 1, "element", "y z");
    pgdbm_result_free(tags);
}

static void ranges_and_hstores_are_read_as_rows(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *parts = NULL;
    int32_t bound = 0;
    bool flag = false;
    stage_run(stage->db, "CREATE EXTENSION hstore");
    pgdbm_result *row = fetch(stage->db,
                              "SELECT '{[1,5),[7,)}'::int4multirange AS many, '(,2.5]'::numrange AS one, "
                              "'empty'::int4range AS none, 'a=>1, b=>NULL'::hstore AS pairs",
                              pgdbm_no_args);
    assert_ok(pgdbm_get_ranges(row, 0, "many", &parts, &err));
    assert_int_equal(pgdbm_result_rows(parts), 2);
    assert_ok(pgdbm_get_int32(parts, 0, "upper", &bound, &err));
    assert_int_equal(bound, 5);
    assert_ok(pgdbm_get_bool(parts, 0, "lower_inclusive", &flag, &err));
    assert_true(flag);
    assert_ok(pgdbm_get_bool(parts, 0, "upper_inclusive", &flag, &err));
    assert_false(flag);
    assert_ok(pgdbm_is_null(parts, 1, "upper", &flag, &err));
    assert_true(flag);
    pgdbm_result_free(parts);
    assert_ok(pgdbm_get_ranges(row, 0, "one", &parts, &err));
    assert_int_equal(pgdbm_result_rows(parts), 1);
    expect_text(parts, 0, "upper", "2.5");
    expect_text(parts, 0, "lower", NULL);
    expect_text(parts, 0, "upper_inclusive", "t");
    pgdbm_result_free(parts);
    assert_ok(pgdbm_get_ranges(row, 0, "none", &parts, &err));
    assert_int_equal(pgdbm_result_rows(parts), 0);
    pgdbm_result_free(parts);
    assert_ok(pgdbm_get_hstore(row, 0, "pairs", &parts, &err));
    assert_int_equal(pgdbm_result_rows(parts), 2);
    expect_text(parts, 0, "key", "a");
    expect_text(parts, 0, "value", "1");
    expect_text(parts, 1, "value", NULL);
    pgdbm_result_free(parts);
    pgdbm_result_free(row);
}

/* What is sent must be what the server has then. */
static void sends(pgdbm_db *db, const char *type, pgdbm_param param, const char *expected)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT ($1::%s)::text AS v", type);
    pgdbm_result *row = fetch(db, sql, pgdbm_params_array(&param, 1));
    expect_text(row, 0, "v", expected);
    pgdbm_result_free(row);
}

static void refuses(pgdbm_db *db, const char *type, pgdbm_param param, const char *reason)
{
    char sql[256];
    pgdbm_error err;
    pgdbm_result *row = NULL;
    snprintf(sql, sizeof sql, "SELECT $1::%s", type);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_fetch_one(db, sql, pgdbm_params_array(&param, 1), &row, &err));
    if (strstr(err.message, reason) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", reason, err.message);
    assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);
}

static void arrays_are_sent(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *db = stage->db;
    const int64_t numbers[] = {1, -2, INT64_MAX};
    const int32_t small[] = {5, 6};
    const double doubles[] = {1.5, -0.25};
    const bool bools[] = {true, false};
    const char *texts[] = {"a", "", NULL, "NULL", "b,c", "\"\\"};
    const pgdbm_date day = {1};
    make_types(db);
    sends(db, "int8[]", pgdbm_int64s(numbers, 3), "{1,-2,9223372036854775807}");
    sends(db, "int4[]", pgdbm_int32s(small, 2), "{5,6}");
    sends(db, "numeric[]", pgdbm_int32s(small, 2), "{5,6}");
    sends(db, "float8[]", pgdbm_doubles(doubles, 2), "{1.5,-0.25}");
    sends(db, "bool[]", pgdbm_bools(bools, 2), "{t,f}");
    sends(db, "text[]", pgdbm_texts(texts, 6), "{a,\"\",NULL,\"NULL\",\"b,c\",\"\\\"\\\\\"}");
    sends(db, "int4[]", pgdbm_array(NULL, 0), "{}");
    sends(db, "int4[]", pgdbm_int32s(NULL, 3), NULL);
    sends(db, "int4[]", pgdbm_array_of(1, pgdbm_null, 3), "{1,NULL,3}");
    sends(db, "int4[]", pgdbm_array_of(pgdbm_array_of(1, 2), pgdbm_array_of(3, pgdbm_null)), "{{1,2},{3,NULL}}");
    sends(db, "int4[]", pgdbm_array_of(pgdbm_int32s(small, 2), pgdbm_int32s(small, 2)), "{{5,6},{5,6}}");
    sends(db, "int4[]", pgdbm_array_of(pgdbm_array(NULL, 0), pgdbm_array(NULL, 0)), "{}");
    sends(db, "date[]", pgdbm_array_of(&day, "2001-02-03", "infinity"), "{2000-01-02,2001-02-03,infinity}");
    sends(db, "date[]", pgdbm_array_of(&day, "3 Feb 2001"), "{2000-01-02,2001-02-03}"); /* the server parses it */
    sends(db, "date[]", pgdbm_array_of(pgdbm_array_of("3 Feb 2001", pgdbm_null)), "{{2001-02-03,NULL}}");
    sends(db, "point[]", pgdbm_array_of("(1,2)", pgdbm_null), "{\"(1,2)\",NULL}");
    sends(db, "mood[]", pgdbm_array_of("so so", "a,b"), "{\"so so\",\"a,b\"}");
    sends(db, "small[]", pgdbm_array_of(5, pgdbm_null), "{5,NULL}");
    sends(db, "int4[]", pgdbm_param_text("{7,8}"), "{7,8}");
    sends(db, "hstore", pgdbm_array_of("a", "1", "b", pgdbm_null), "\"a\"=>\"1\", \"b\"=>NULL");
    refuses(db, "int4[]", pgdbm_array_of(pgdbm_array_of(1, 2), pgdbm_array_of(3)), "differ in length");
    refuses(db, "int4[]", pgdbm_array_of(pgdbm_array_of(1, 2), 3), "beside other values");
    refuses(db, "int4[]", pgdbm_array_of(1, pgdbm_array_of(3)), "beside other values");
    refuses(db, "int4[]", pgdbm_array_of(pgdbm_array_of(pgdbm_array_of(1)), pgdbm_array_of(3)), "differ in");
    refuses(db, "int4[]", pgdbm_array_of(1, INT64_MAX), "out of range");
    refuses(db, "int4[]", pgdbm_array_of(1.5), "the statement wants int4[]");
    refuses(db, "int4", pgdbm_array_of(1), "an array");
    refuses(db, "hstore", pgdbm_array_of("a"), "a value for each key");
    pgdbm_param seven = pgdbm_array_of(1);
    pgdbm_param levels[8];
    for (int i = 0; i < 7; i++) {
        levels[i] = seven;
        seven = pgdbm_array(&levels[i], 1);
    }
    refuses(db, "int4[]", seven, "6 dimensions");
}

static void rows_and_ranges_are_sent(void **state)
{
    struct stage *stage = *state;
    pgdbm_db *db = stage->db;
    const pgdbm_date day = {1};
    pgdbm_range range = {pgdbm_param_int64(1), pgdbm_param_int64(5), NULL};
    pgdbm_range open = {pgdbm_null, pgdbm_param_int64(5), "(]"};
    pgdbm_range empty = {pgdbm_null, pgdbm_null, "empty"};
    pgdbm_range parsed = {pgdbm_param_text("3 Feb 2001"), pgdbm_null, "[)"};
    pgdbm_range wrong = {pgdbm_null, pgdbm_null, "<>"};
    make_types(db);
    sends(db, "person", pgdbm_row_of("Ann", "sad", 7, pgdbm_array_of("x", "y z"), &day),
          "(Ann,sad,7,\"{x,\"\"y z\"\"}\",2000-01-02)");
    sends(db, "person", pgdbm_row_of("Ann", "sad", 7, pgdbm_null, "3 Feb 2001"), "(Ann,sad,7,,2001-02-03)");
    sends(db, "couple", pgdbm_row_of(pgdbm_row_of("a", pgdbm_null, 1, pgdbm_null, pgdbm_null), pgdbm_null),
          "(\"(a,,1,,)\",)");
    sends(db, "person[]", pgdbm_array_of(pgdbm_row_of("a", pgdbm_null, 1, pgdbm_null, pgdbm_null)), "{\"(a,,1,,)\"}");
    sends(db, "place", pgdbm_row_of("here", "(1,2)"), "(here,\"(1,2)\")");
    sends(db, "int4range", pgdbm_param_range(&range), "[1,5)");
    sends(db, "int8range", pgdbm_param_range(&open), "(,6)");
    sends(db, "int8range", pgdbm_param_range(&empty), "empty");
    sends(db, "daterange", pgdbm_param_range(&parsed), "[2001-02-03,)");
    sends(db, "int4multirange", pgdbm_array_of(&range, &empty), "{[1,5)}");
    sends(db, "datemultirange", pgdbm_array_of(&parsed), "{[2001-02-03,)}");
    sends(db, "int4range[]", pgdbm_array_of(&range, pgdbm_null), "{\"[1,5)\",NULL}");
    refuses(db, "person", pgdbm_row_of("Ann", "sad"), "another number of fields");
    refuses(db, "int4range", pgdbm_param_range(&wrong), "its bounds");
    refuses(db, "int4range", pgdbm_row_of(1, 2), "a row");
    refuses(db, "int4", pgdbm_param_range(&range), "a range");
}

/* Sent and read back as what they are in C. */
static void c_types_go_there_and_back(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    const pgdbm_timestamp moment = {INT64_C(823219200123456)};
    const pgdbm_date day = {-1};
    const pgdbm_time noon = {INT64_C(43200000001)};
    const pgdbm_timetz zoned = {INT64_C(43200000000), 3600};
    const pgdbm_interval span = {-1, 2, -3};
    const pgdbm_decimal price = {-1, (uint64_t)-1234567, 3};
    const pgdbm_uuid id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255}};
    const pgdbm_inet host = {4, 24, false, {10, 0, 0, 1}};
    const pgdbm_macaddr mac = {{8, 0, 43, 1, 2, 3}};
    const pgdbm_bits bits = {11, "\xaa\xff"};
    pgdbm_result *row = fetch(
        stage->db,
        "SELECT $1::timestamptz AS moment, $2::date AS day, $3::time AS noon, $4::timetz AS zoned, $5::interval "
        "AS span, $6::numeric AS price, $7::uuid AS id, $8::inet AS host, $9::macaddr AS mac, $10::varbit AS bits, "
        "$1::timestamptz::text = '2026-02-01 00:00:00.123456+00' AND $2::date = '1999-12-31' AND $3::time = "
        "'12:00:00.000001' AND $4::timetz = '12:00+01' AND $5::interval = '-3 mons 2 days -00:00:00.000001' AND "
        "$6::numeric::text = '-1234.567' AND $7::uuid = '01020304-0506-0708-090a-0b0c0d0e0fff' AND $8::inet = "
        "'10.0.0.1/24' AND $9::macaddr = '08:00:2b:01:02:03' AND $10::varbit = B'10101010111' AS same",
        pgdbm_args(&moment, &day, &noon, &zoned, &span, &price, &id, &host, &mac, &bits));
    pgdbm_timestamp moment_back;
    pgdbm_date day_back;
    pgdbm_time noon_back;
    pgdbm_timetz zoned_back;
    pgdbm_interval span_back;
    pgdbm_decimal price_back;
    pgdbm_uuid id_back;
    pgdbm_inet host_back;
    pgdbm_macaddr mac_back;
    pgdbm_bits bits_back;
    bool same = false;
    assert_ok(pgdbm_get_bool(row, 0, "same", &same, &err));
    assert_true(same);
    assert_ok(pgdbm_get_timestamp(row, 0, "moment", &moment_back, &err));
    assert_ok(pgdbm_get_date(row, 0, "day", &day_back, &err));
    assert_ok(pgdbm_get_time(row, 0, "noon", &noon_back, &err));
    assert_ok(pgdbm_get_timetz(row, 0, "zoned", &zoned_back, &err));
    assert_ok(pgdbm_get_interval(row, 0, "span", &span_back, &err));
    assert_ok(pgdbm_get_decimal(row, 0, "price", &price_back, &err));
    assert_ok(pgdbm_get_uuid(row, 0, "id", &id_back, &err));
    assert_ok(pgdbm_get_inet(row, 0, "host", &host_back, &err));
    assert_ok(pgdbm_get_macaddr(row, 0, "mac", &mac_back, &err));
    assert_ok(pgdbm_get_bits(row, 0, "bits", &bits_back, &err));
    assert_int_equal(moment_back.us, moment.us);
    assert_int_equal(day_back.days, day.days);
    assert_int_equal(noon_back.us, noon.us);
    assert_true(zoned_back.us == zoned.us && zoned_back.east_s == zoned.east_s);
    assert_true(span_back.us == span.us && span_back.days == span.days && span_back.months == span.months);
    assert_true(price_back.high == price.high && price_back.low == price.low && price_back.scale == price.scale);
    assert_memory_equal(&id_back, &id, sizeof id);
    assert_true(host_back.family == 4 && host_back.bits == 24 && memcmp(host_back.bytes, host.bytes, 4) == 0);
    assert_memory_equal(&mac_back, &mac, sizeof mac);
    assert_int_equal(bits_back.count, 11);
    assert_memory_equal(bits_back.data, "\xaa\xe0", 2); /* what is behind the last bit is not kept */
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_uuid(row, 0, "day", &id_back, &err));
    assert_non_null(strstr(err.message, "column \"day\" (date) cannot be read as uuid"));
    pgdbm_result_free(row);
}

/* An enum of one schema is not that of another, and either is met for the first time by whatever kind of request. */
static void types_of_each_schema_are_told_apart(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_db *managers[2] = {NULL};
    static const char *const schemas[] = {"one", "two"};
    stage_run(stage->db, "CREATE SCHEMA one CREATE TABLE t (i int)");
    stage_run(stage->db, "CREATE SCHEMA two CREATE TABLE t (i int)");
    stage_run(stage->db, "CREATE TYPE one.pair AS (a int4, b text)");
    stage_run(stage->db, "CREATE TYPE two.pair AS (x date, y int8, z int4[])");
    for (size_t i = 0; i < 2; i++)
        assert_ok(pgdbm_attach(stage->pool, schemas[i], &managers[i], &err));
    pgdbm_param one = pgdbm_row_of(1, "b");
    pgdbm_param two = pgdbm_row_of("2000-01-02", 3, pgdbm_array_of(4, 5));
    pgdbm_result *row = fetch(managers[0], "SELECT $1::{{schema}}.pair AS v", pgdbm_params_array(&one, 1));
    expect_text(row, 0, "v", "(1,b)");
    pgdbm_result_free(row);
    row = fetch(managers[1], "SELECT $1::{{schema}}.pair AS v", pgdbm_params_array(&two, 1));
    expect_text(row, 0, "v", "(2000-01-02,3,\"{4,5}\")");
    pgdbm_result_free(row);
    for (size_t i = 0; i < 2; i++)
        pgdbm_close(managers[i]);
}

static void unknown_types_are_looked_up_by_asynchronous_requests_and_batches(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_future *future = NULL;
    pgdbm_batch *batch = NULL;
    make_types(stage->db);
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    {
        pgdbm_date day = {1};
        pgdbm_bits bits = {3, "\xa0"};
        pgdbm_range range = {pgdbm_param_text("3 Feb 2001"), pgdbm_null, "[)"};
        const char *texts[] = {"x", NULL, "y z"};
        assert_ok(pgdbm_submit(stage->db, "SELECT $1::person AS p, $2::daterange AS r, $3::varbit AS b",
                               pgdbm_args(pgdbm_row_of("Ann", "sad", 7, pgdbm_texts(texts, 3), &day), &range, &bits),
                               pgdbm_future_done, future, &err));
        memset(&day, 0xff, sizeof day); /* everything was copied */
        memset(texts, 0, sizeof texts);
    }
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 30000);
    assert_non_null(outcome);
    if (outcome->status != PGDBM_OK)
        fail_msg("%s", outcome->error->message);
    expect_text(outcome->result, 0, "p", "(Ann,sad,7,\"{x,NULL,\"\"y z\"\"}\",2000-01-02)");
    expect_text(outcome->result, 0, "r", "[2001-02-03,)");
    expect_text(outcome->result, 0, "b", "101");
    pgdbm_future_free(future);
    assert_ok(pgdbm_batch_new(stage->db, NULL, &batch, &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT $1::couple AS v", pgdbm_args(pgdbm_null), &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT '[sad,\"so so\"]'::moods AS v", pgdbm_no_args, &err));
    assert_ok(pgdbm_batch_add(batch, "SELECT 1::positive AS v, ARRAY[2]::positive[] AS w", pgdbm_no_args, &err));
    assert_ok(pgdbm_batch_run(batch, &err));
    expect_text(pgdbm_batch_result(batch, 1), 0, "v", "[sad,\"so so\"]");
    expect_text(pgdbm_batch_result(batch, 2), 0, "w", "{2}");
    pgdbm_batch_free(batch);
}

static void a_changed_type_is_looked_up_again(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_result *record = NULL;
    stage_run(stage->db, "CREATE TYPE pair AS (a int4, b text)");
    stage_run(stage->db, "CREATE TABLE t (v pair)");
    stage_run(stage->db, "INSERT INTO t VALUES (ROW(1, 'b'))");
    pgdbm_result *row = fetch(stage->db, "SELECT v FROM t", pgdbm_no_args);
    expect_text(row, 0, "v", "(1,b)");
    pgdbm_result_free(row);
    stage_run(stage->db, "ALTER TYPE pair ADD ATTRIBUTE c date CASCADE");
    row = fetch(stage->db, "SELECT v FROM t", pgdbm_no_args);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_record(row, 0, "v", &record, &err));
    assert_non_null(strstr(err.message, "has been changed"));
    pgdbm_result_free(row);
    row = fetch(stage->db, "SELECT v FROM t", pgdbm_no_args);
    assert_ok(pgdbm_get_record(row, 0, "v", &record, &err));
    assert_int_equal(pgdbm_result_columns(record), 3);
    expect_text(record, 0, "c", NULL);
    pgdbm_result_free(record);
    pgdbm_result_free(row);
    stage_run(stage->db, "ALTER TYPE pair DROP ATTRIBUTE c CASCADE");
    pgdbm_param value = pgdbm_row_of(1, "b", pgdbm_null);
    assert_fails(PGDBM_ERR_TYPE,
                 pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_params_array(&value, 1), NULL, &err));
    stage_expect_number(stage->db, "SELECT count(*) FROM t", 1);
    assert_ok(pgdbm_execute(stage->db, "INSERT INTO t VALUES ($1)", pgdbm_args(pgdbm_row_of(1, "b")), NULL, &err));
}

/* Four bytes are four bytes; only the OID in front of them tells that they are no longer an int4. */
static void an_attribute_of_another_type_is_not_taken_for_what_it_was(void **state)
{
    struct stage *stage = *state;
    static const char sql[] = "SELECT '(1)'::single AS v";
    pgdbm_error err;
    pgdbm_result *record = NULL;
    const char *text = NULL;
    stage_run(stage->db, "CREATE TYPE single AS (a int4)");
    pgdbm_result *row = fetch(stage->db, sql, pgdbm_no_args);
    expect_text(row, 0, "v", "(1)");
    pgdbm_result_free(row);
    stage_run(stage->db, "ALTER TYPE single ALTER ATTRIBUTE a TYPE float4");
    row = fetch(stage->db, sql, pgdbm_no_args);
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_text(row, 0, "v", &text, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_record(row, 0, "v", &record, &err));
    pgdbm_result_free(row);
    row = fetch(stage->db, sql, pgdbm_no_args);
    expect_text(row, 0, "v", "(1)");
    pgdbm_result_free(row);
}

static void types_nested_deeper_than_the_limit_come_as_text(void **state)
{
    struct stage *stage = *state;
    char value[512] = "ROW(1)::nest0";
    pgdbm_error err;
    pgdbm_result *record = NULL;
    stage_run(stage->db, "CREATE TYPE nest0 AS (v int4)");
    for (int depth = 1; depth <= 16; depth++) {
        char sql[512];
        snprintf(sql, sizeof sql, "CREATE TYPE nest%d AS (v nest%d)", depth, depth - 1);
        stage_run(stage->db, sql);
        snprintf(sql, sizeof sql, "ROW(%.400s)::nest%d", value, depth);
        memcpy(value, sql, sizeof value);
        if (depth < 15)
            continue;
        compare(stage->db, value);
        snprintf(sql, sizeof sql, "SELECT %.450s AS v", value);
        pgdbm_result *row = fetch(stage->db, sql, pgdbm_no_args);
        pgdbm_status expected = depth == 15 ? PGDBM_OK : PGDBM_ERR_TYPE;
        assert_int_equal(pgdbm_get_record(row, 0, "v", &record, &err), expected);
        pgdbm_result_free(record);
        pgdbm_result_free(row);
    }
}

static void doubles_of_any_size_become_numerics(void **state)
{
    struct stage *stage = *state;
    const double doubles[] = {1e20, -2.5e-7};
    sends(stage->db, "numeric", pgdbm_param_double(1e20), "100000000000000000000");
    sends(stage->db, "numeric", pgdbm_param_double(-1.5e-7), "-0.00000015");
    sends(stage->db, "numeric", pgdbm_param_double(1234567890123456.7), "1234567890123456.8");
    sends(stage->db, "numeric", pgdbm_param_double(0.5), "0.5");
    sends(stage->db, "numeric(400, 330)", pgdbm_param_double(5e-324),
          "0."
          "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
          "00000"
          "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
          "000000"
          "0"
          "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000005"
          "00000"
          "0");
    sends(stage->db, "numeric[]", pgdbm_doubles(doubles, 2), "{100000000000000000000,-0.00000025}");
}

/* That the server has lost a statement says nothing of types: others that have such types go on as before. */
static void a_lost_statement_is_no_reason_to_look_types_up_again(void **state)
{
    struct stage *stage = *state;
    stage_run(stage->db, "CREATE TYPE mood AS ENUM ('sad')");
    stage_expect_text(stage->db, "SELECT 'sad'::mood", "sad");
    stage_expect_text(stage->db, "SELECT 'lost'", "lost");
    stage_run(stage->db,
              "DO $$ DECLARE n text; BEGIN FOR n IN SELECT name FROM pg_prepared_statements WHERE statement LIKE "
              "'SELECT ''lost%' LOOP EXECUTE format('DEALLOCATE %I', n); END LOOP; END $$");
    uint64_t repeated = stage_stats(stage).statements_repeated;
    stage_expect_text(stage->db, "SELECT 'lost'", "lost");
    assert_int_equal(stage_stats(stage).statements_repeated, repeated + 1);
    uint64_t prepared = stage_stats(stage).statements_prepared;
    stage_expect_text(stage->db, "SELECT 'sad'::mood", "sad");
    assert_int_equal(stage_stats(stage).statements_prepared, prepared);
}

static void what_is_learned_about_a_type_does_not_count_as_a_result(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    pgdbm_future *future = NULL;
    stage_close(stage);
    stage_open(stage, (pgdbm_config){.max_result_bytes = 1024});
    stage_run(stage->db, "DO $$ BEGIN EXECUTE (SELECT 'CREATE TYPE wide AS (' || "
                         "string_agg('column_number_' || i || ' int4', ',') || ')' FROM generate_series(1, 50) i); END "
                         "$$");
    assert_ok(pgdbm_future_new(stage->pool, &future, &err));
    assert_ok(pgdbm_submit(stage->db, "SELECT NULL::wide AS v", pgdbm_no_args, pgdbm_future_done, future, &err));
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 30000);
    assert_non_null(outcome);
    if (outcome->status != PGDBM_OK)
        fail_msg("%s", outcome->error->message);
    pgdbm_future_free(future);
}

static void a_value_that_the_server_refuses_is_sent_once(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    const pgdbm_inet host = {4, 24, false, {10, 0, 0, 1}};
    stage_run(stage->db, "CREATE TYPE mood AS ENUM ('sad')");
    uint64_t repeated = stage_stats(stage).statements_repeated;
    assert_fails(PGDBM_ERR_QUERY,
                 pgdbm_execute(stage->db, "SELECT $1::cidr, $2::mood", pgdbm_args(&host, "sad"), NULL, &err));
    assert_string_equal(err.sqlstate, "22P03");
    assert_int_equal(stage_stats(stage).statements_repeated, repeated);
}

/* PL/pgSQL has the same SQLSTATE for a query that is not what its function returns. */
static void a_functions_own_mismatch_is_no_changed_type(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    stage_run(stage->db, "CREATE TYPE mood AS ENUM ('sad')");
    stage_run(stage->db, "CREATE FUNCTION f(m mood) RETURNS TABLE (i int4) LANGUAGE plpgsql AS "
                         "$$ BEGIN RETURN QUERY SELECT 'text'::text; END $$");
    uint64_t repeated = stage_stats(stage).statements_repeated;
    assert_fails(PGDBM_ERR_QUERY, pgdbm_execute(stage->db, "SELECT f($1)", pgdbm_args("sad"), NULL, &err));
    assert_string_equal(err.sqlstate, "42804");
    assert_int_equal(stage_stats(stage).statements_repeated, repeated);
}

/* Each value of a result that is of an old type is refused, but only the first one is news. */
static void a_changed_type_is_looked_up_again_once(void **state)
{
    struct stage *stage = *state;
    pgdbm_error err;
    const char *text = NULL;
    stage_run(stage->db, "CREATE TYPE mood AS ENUM ('sad')");
    stage_run(stage->db, "CREATE TABLE t (a int4)");
    stage_run(stage->db, "INSERT INTO t VALUES (1), (2)");
    stage_run(stage->db, "SELECT (SELECT t FROM t LIMIT 1) AS v FROM t");
    stage_run(stage->db, "ALTER TABLE t ADD COLUMN b int4");
    pgdbm_result *rows = NULL;
    assert_ok(pgdbm_fetch_all(stage->db, "SELECT (SELECT t FROM t LIMIT 1) AS v FROM t", pgdbm_no_args, &rows, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_text(rows, 0, "v", &text, &err));
    stage_expect_text(stage->db, "SELECT 'sad'::mood", "sad");
    uint64_t prepared = stage_stats(stage).statements_prepared;
    assert_fails(PGDBM_ERR_TYPE, pgdbm_get_text(rows, 1, "v", &text, &err));
    stage_expect_text(stage->db, "SELECT 'sad'::mood", "sad");
    assert_int_equal(stage_stats(stage).statements_prepared, prepared);
    pgdbm_result_free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(containers_print_as_the_server_prints_them, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(arrays_are_read_as_rows, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(a_part_outlives_the_result_it_was_in_and_the_pool, stage_setup_four,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(ranges_and_hstores_are_read_as_rows, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(arrays_are_sent, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(rows_and_ranges_are_sent, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(c_types_go_there_and_back, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(types_of_each_schema_are_told_apart, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(unknown_types_are_looked_up_by_asynchronous_requests_and_batches,
                                        stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(a_changed_type_is_looked_up_again, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(an_attribute_of_another_type_is_not_taken_for_what_it_was, stage_setup_four,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(types_nested_deeper_than_the_limit_come_as_text, stage_setup_four,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(doubles_of_any_size_become_numerics, stage_setup_four, stage_teardown),
        cmocka_unit_test_setup_teardown(a_lost_statement_is_no_reason_to_look_types_up_again, stage_setup_one,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(what_is_learned_about_a_type_does_not_count_as_a_result, stage_setup_one,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(a_value_that_the_server_refuses_is_sent_once, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(a_functions_own_mismatch_is_no_changed_type, stage_setup_one, stage_teardown),
        cmocka_unit_test_setup_teardown(a_changed_type_is_looked_up_again_once, stage_setup_one, stage_teardown),
    };
    return cmocka_run_group_tests_name("composed", tests, NULL, NULL);
}
