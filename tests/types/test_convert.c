/* SPDX-License-Identifier: MIT */
/* The conversions of <pgdbm/types.h>, and values that no server sends: all without one. */
#include "support/server.h"
#include "types/catalog.h"
#include "types/number.h"
#include "types/param.h"
#include "types/scalar.h"
#include "types/subjects.h"

#include <stdlib.h>
#include <string.h>

/* The calls that follow the same pattern: 'text' in, the value, 'printed' out. */
#define READS(type, text, format_call)                                                                                 \
    do {                                                                                                               \
        pgdbm_error err;                                                                                               \
        pgdbm_##type value;                                                                                            \
        char printed[128];                                                                                             \
        assert_ok(pgdbm_##type##_parse((text), &value, &err));                                                         \
        size_t length = (format_call);                                                                                 \
        assert_string_equal(printed, (text));                                                                          \
        assert_int_equal(length, strlen(printed));                                                                     \
    } while (0)

#define REFUSES(type, text)                                                                                            \
    do {                                                                                                               \
        pgdbm_error err;                                                                                               \
        pgdbm_##type value;                                                                                            \
        pgdbm_##type before;                                                                                           \
        memset(&value, 0x5A, sizeof value);                                                                            \
        before = value;                                                                                                \
        assert_fails(PGDBM_ERR_TYPE, pgdbm_##type##_parse((text), &value, &err));                                      \
        assert_memory_equal(&value, &before, sizeof value);                                                            \
        assert_int_equal(err.outcome, PGDBM_OUTCOME_NOT_SENT);                                                         \
        assert_true(err.hint[0] != '\0');                                                                              \
        if ((text)[0] != '\0')                                                                                         \
            assert_null(strstr(err.message, (text)));                                                                  \
    } while (0)

static void values_come_back_as_the_text_they_were(void **state)
{
    (void)state;
    READS(timestamp, "2026-01-31 12:00:00.25", pgdbm_timestamp_format(value, false, printed, sizeof printed));
    READS(timestamp, "2026-01-31 12:00:00+00", pgdbm_timestamp_format(value, true, printed, sizeof printed));
    READS(timestamp, "0044-03-15 12:00:00 BC", pgdbm_timestamp_format(value, false, printed, sizeof printed));
    READS(timestamp, "-infinity", pgdbm_timestamp_format(value, true, printed, sizeof printed));
    READS(timestamp, "2026-01-31T11:00:00.25Z", pgdbm_timestamp_format_iso(value, printed, sizeof printed));
    READS(date, "2026-01-31", pgdbm_date_format(value, printed, sizeof printed));
    READS(date, "infinity", pgdbm_date_format(value, printed, sizeof printed));
    READS(time, "24:00:00", pgdbm_time_format(value, printed, sizeof printed));
    READS(decimal, "-12.50", pgdbm_decimal_format(value, printed, sizeof printed));
    READS(decimal, "0.000", pgdbm_decimal_format(value, printed, sizeof printed));
    READS(decimal, "-0.07", pgdbm_decimal_format(value, printed, sizeof printed));
    READS(uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", pgdbm_uuid_format(&value, printed, sizeof printed));
    READS(inet, "10.0.0.0/8", pgdbm_inet_format(&value, printed, sizeof printed));
    READS(inet, "2001:db8::1/64", pgdbm_inet_format(&value, printed, sizeof printed));
    READS(inet, "::ffff:1.2.3.4", pgdbm_inet_format(&value, printed, sizeof printed));
}

static void what_is_no_value_is_refused_and_not_told_to_the_world(void **state)
{
    (void)state;
    REFUSES(timestamp, "");
    REFUSES(timestamp, "2026-02-29 12:00:00");
    REFUSES(timestamp, "2026-01-31 12:00:00 ");
    REFUSES(timestamp, "2026-01-31 12:00:00.1234567");
    REFUSES(timestamp, "0000-01-01 00:00:00");
    REFUSES(timestamp, "294277-01-01 00:00:00");
    REFUSES(timestamp, "31.01.2026 12:00:00");
    REFUSES(timestamp, "2026-01-31 12:00:00+16");
    REFUSES(date, "2026-13-01");
    REFUSES(date, "2026-1-1");
    REFUSES(date, "02026-01-01");
    REFUSES(date, "5874898-01-01");
    REFUSES(date, "4714-11-23 BC");
    REFUSES(time, "24:00:00.1");
    REFUSES(time, "23:59:61");
    REFUSES(time, "12:00:00Z");
    REFUSES(decimal, "");
    REFUSES(decimal, "-");
    REFUSES(decimal, ".");
    REFUSES(decimal, "1e5");
    REFUSES(decimal, "NaN");
    REFUSES(decimal, "170141183460469231731687303715884105728");
    REFUSES(decimal, "-170141183460469231731687303715884105729");
    REFUSES(uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1");
    REFUSES(uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g");
    REFUSES(inet, "10.0.0");
    REFUSES(inet, "10.0.0.256");
    REFUSES(inet, "10.0.0.1/33");
    REFUSES(inet, "1::2::3");
    REFUSES(inet, "::1/129");
}

static void a_text_that_is_too_long_is_cut_and_its_length_told(void **state)
{
    static const char whole[] = "-12.50";
    pgdbm_error err;
    pgdbm_decimal decimal;
    pgdbm_date date;
    (void)state;
    assert_ok(pgdbm_decimal_parse(whole, &decimal, &err));
    assert_ok(pgdbm_date_parse("2026-01-31", &date, &err));
    for (size_t bytes = 0; bytes <= sizeof whole; bytes++) {
        char text[16] = "xxxxxxxxxxxxxxx";
        assert_int_equal(pgdbm_decimal_format(decimal, text, bytes), strlen(whole));
        if (bytes > 0) {
            assert_int_equal(strlen(text), bytes - 1);
            assert_memory_equal(text, whole, bytes - 1);
        }
        assert_int_equal(text[bytes], 'x');
        assert_int_equal(pgdbm_date_format(date, text, bytes), 10);
        assert_int_equal(text[bytes], 'x');
    }
    assert_int_equal(pgdbm_decimal_format(decimal, NULL, 0), strlen(whole));
    assert_int_equal(pgdbm_date_format(date, NULL, 0), 10);
}

static void what_postgresql_has_no_value_for_has_no_text(void **state)
{
    char text[128] = "before";
    const pgdbm_inet inets[] = {{.family = 5}, {.family = 4, .bits = 33}, {4, 8, true, {10, 1}}};
    (void)state;
#define NO_TEXT(call)                                                                                                  \
    strcpy(text, "before");                                                                                            \
    assert_int_equal((call), 0);                                                                                       \
    assert_string_equal(text, "")
    NO_TEXT(pgdbm_timestamp_format((pgdbm_timestamp){INT64_MAX - 1}, true, text, sizeof text));
    NO_TEXT(pgdbm_timestamp_format_iso((pgdbm_timestamp){INT64_MIN + 1}, text, sizeof text));
    NO_TEXT(pgdbm_date_format((pgdbm_date){INT32_MAX - 1}, text, sizeof text));
    NO_TEXT(pgdbm_time_format((pgdbm_time){-1}, text, sizeof text));
    NO_TEXT(pgdbm_timetz_format((pgdbm_timetz){0, 57600}, text, sizeof text));
    NO_TEXT(pgdbm_timetz_format((pgdbm_timetz){0, INT32_MIN}, text, sizeof text));
    NO_TEXT(pgdbm_decimal_format((pgdbm_decimal){.scale = -1}, text, sizeof text));
    NO_TEXT(pgdbm_decimal_format((pgdbm_decimal){.scale = 16384}, text, sizeof text));
    NO_TEXT(pgdbm_uuid_format(NULL, text, sizeof text));
    NO_TEXT(pgdbm_inet_format(NULL, text, sizeof text));
    for (size_t i = 0; i < sizeof inets / sizeof *inets; i++) {
        NO_TEXT(pgdbm_inet_format(&inets[i], text, sizeof text));
    }
}

static void iso_8601_writes_years_beyond_four_digits_with_a_sign(void **state)
{
    static const struct {
        const char *text;
        const char *iso;
    } years[] = {{"0044-03-15 12:00:00 BC", "-0043-03-15T12:00:00Z"},
                 {"0001-12-31 00:00:00 BC", "0000-12-31T00:00:00Z"},
                 {"9999-12-31 23:59:59.5", "9999-12-31T23:59:59.5Z"},
                 {"10000-01-01 00:00:00", "+10000-01-01T00:00:00Z"},
                 {"infinity", "infinity"}};
    (void)state;
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        pgdbm_error err;
        pgdbm_timestamp timestamp;
        char text[64];
        assert_ok(pgdbm_timestamp_parse(years[i].text, &timestamp, &err));
        assert_int_equal(pgdbm_timestamp_format_iso(timestamp, text, sizeof text), strlen(years[i].iso));
        assert_string_equal(text, years[i].iso);
    }
}

static void seconds_since_1970_become_timestamps_and_back(void **state)
{
    static const struct {
        struct timespec time;
        const char *text;
    } times[] = {{{0, 0}, "1970-01-01 00:00:00+00"},
                 {{-1, 999999999}, "1969-12-31 23:59:59.999999+00"},
                 {{946684799, 1}, "1999-12-31 23:59:59+00"},
                 {{1769860800, 250000000}, "2026-01-31 12:00:00.25+00"},
                 {{INT64_C(-210866803200), 0}, "4714-11-24 00:00:00+00 BC"},
                 {{INT64_C(9224318015999), 999999999}, "294276-12-31 23:59:59.999999+00"}};
    static const struct timespec beyond[] = {
        {INT64_C(-210866803201), 999999999}, {INT64_C(9224318016000), 0}, {INT64_MAX, 0}, {INT64_MIN, 0}};
    pgdbm_error err;
    pgdbm_timestamp timestamp = {0};
    struct timespec back;
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        assert_ok(pgdbm_timestamp_from_timespec(&times[i].time, &timestamp, &err));
        pgdbm_timestamp_format(timestamp, true, text, sizeof text);
        assert_string_equal(text, times[i].text);
        assert_ok(pgdbm_timestamp_to_timespec(timestamp, &back, &err));
        assert_int_equal(back.tv_sec, times[i].time.tv_sec);
        assert_int_equal(back.tv_nsec, times[i].time.tv_nsec / 1000 * 1000);
    }
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        assert_fails(PGDBM_ERR_TYPE, pgdbm_timestamp_from_timespec(&beyond[i], &timestamp, &err));
    assert_fails(PGDBM_ERR_ARGUMENT, pgdbm_timestamp_from_timespec(&(struct timespec){0, -1}, &timestamp, &err));
    assert_fails(PGDBM_ERR_ARGUMENT,
                 pgdbm_timestamp_from_timespec(&(struct timespec){0, 1000000000}, &timestamp, &err));
    timestamp.us = PGDBM_TIMESTAMP_INFINITY;
    assert_fails(PGDBM_ERR_TYPE, pgdbm_timestamp_to_timespec(timestamp, &back, &err));
}

static void every_day_has_a_year_a_month_and_a_day(void **state)
{
    pgdbm_error err;
    pgdbm_date date;
    int year;
    int month;
    int day;
    int previous = 0;
    (void)state;
    for (int32_t days = -2451545; days<2145031949; days += days> - 800000 && days < 100000 ? 1 : 9973) {
        assert_ok(pgdbm_date_to_ymd((pgdbm_date){days}, &year, &month, &day, &err));
        assert_ok(pgdbm_date_from_ymd(year, month, day, &date, &err));
        assert_int_equal(date.days, days);
        if (previous == days - 1 && day != 1)
            assert_true(day > 1 && day <= 31);
        previous = days;
    }
    assert_ok(pgdbm_date_from_ymd(-4713, 11, 24, &date, &err));
    assert_int_equal(date.days, -2451545);
    assert_ok(pgdbm_date_from_ymd(0, 2, 29, &date, &err)); /* 1 BC is a leap year */
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_from_ymd(-4713, 11, 23, &date, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_from_ymd(1900, 2, 29, &date, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_from_ymd(2026, 4, 31, &date, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_from_ymd(2026, 0, 1, &date, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_from_ymd(INT32_MAX, 1, 1, &date, &err));
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_from_ymd(INT32_MIN, 1, 1, &date, &err));
    date.days = PGDBM_DATE_INFINITY;
    assert_fails(PGDBM_ERR_TYPE, pgdbm_date_to_ymd(date, &year, &month, &day, &err));
}

static const struct subject *find(const char *name)
{
    for (size_t i = 0; i < n_subjects; i++)
        if (strcmp(subjects[i].name, name) == 0)
            return &subjects[i];
    fail_msg("there is no %s", name);
    return NULL;
}

/* What follows is in memory of exactly the size, so that the sanitizer sees a step too far. */
static bool prints(const struct subject *subject, const void *data, size_t bytes, struct pgdbm__buffer *out)
{
    char *exact = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(exact);
    memcpy(exact, data, bytes);
    bool printed = subject->print(NULL, exact, bytes, out);
    free(exact);
    return printed;
}

static void malformed_values_are_refused(void **state)
{
    static const struct {
        const char *type;
        const char *data;
        size_t bytes;
    } values[] = {
#define VALUE(type, data) {(type), (data), sizeof(data) - 1}
        VALUE("numeric", "\0\1\0\0\0\0\0\0\x27\x10"),      /* a group of 10000 */
        VALUE("numeric", "\0\1\0\0\x80\0\0\0\0\1"),        /* no such sign */
        VALUE("numeric", "\0\1\0\0\0\0\x40\0\0\1"),        /* 16384 decimals */
        VALUE("numeric", "\0\2\0\0\0\0\0\0\0\1"),          /* one group less than told */
        VALUE("numeric", "\xff\xff\0\0\0\0\0\0\0\1"),      /* many groups less */
        VALUE("numeric", "\0\1\0\0\xC0\0\0\0\0\1"),        /* NaN with digits */
        VALUE("date", "\x7f\xff\xff\xfe"),                 /* behind the last day */
        VALUE("time", "\xff\xff\xff\xff\xff\xff\xff\xff"), /* -1 */
        VALUE("time", "\0\0\0\x14\x1d\xd7\x60\1"),         /* 24:00:00.000001 */
        VALUE("timetz", "\0\0\0\0\0\0\0\0\0\0\xe1\0"),     /* 16 hours west */
        VALUE("timetz", "\0\0\0\0\0\0\0\0\x80\0\0\0"),     /* what has no negative */
        VALUE("timestamp", "\x7f\xff\xff\xff\xff\xff\xff\xfe"),
        VALUE("timestamptz", "\x80\0\0\0\0\0\0\1"),
        VALUE("inet", "\4\x20\0\4\1\2\3\4"),   /* no such family */
        VALUE("inet", "\2\x21\0\4\1\2\3\4"),   /* 33 bits */
        VALUE("inet", "\2\x20\2\4\1\2\3\4"),   /* neither inet nor cidr */
        VALUE("inet", "\2\x20\0\5\1\2\3\4"),   /* five bytes told */
        VALUE("inet", "\3\x20\0\4\1\2\3\4"),   /* IPv6 of four bytes */
        VALUE("cidr", "\2\x08\1\4\x0a\0\0\1"), /* bits behind the network's */
        VALUE("jsonb", "\2{}"),                /* a version yet to come */
        VALUE("jsonb", "\1"),                  /* no text */
        VALUE("jsonb", "\1\"\0\""),            /* NUL */
        VALUE("bit", "\xff\xff\xff\xff\xff"),  /* -1 bits */
        VALUE("bit", "\0\0\0\x09\xff"),        /* nine bits in a byte */
        VALUE("bit", "\0\0\0\x08\xff\xff"),    /* eight in two */
    };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct pgdbm__buffer out = {0};
        if (prints(find(values[i].type), values[i].data, values[i].bytes, &out))
            fail_msg("value %zu, %s, was printed: %.*s", i, values[i].type, (int)out.length, out.data);
        pgdbm__buffer_free(&out);
    }
}

static void digits_that_a_numeric_does_not_show_are_not_printed(void **state)
{
    static const char hidden[] = "\0\1\xff\xff\x40\0\0\2\0\1"; /* -0.0001 with two decimals */
    static const char zeros[] = "\0\3\x7f\xff\0\0\0\1\0\0\0\0\0\0";
    struct pgdbm__buffer out = {0};
    pgdbm_decimal decimal;
    (void)state;
    assert_true(prints(find("numeric"), hidden, sizeof hidden - 1, &out));
    assert_true(prints(find("numeric"), zeros, sizeof zeros - 1, &out));
    pgdbm__buffer_append(&out, "", 1);
    assert_string_equal(out.data, "0.000.0");
    pgdbm__buffer_free(&out);
    assert_null(pgdbm__decimal_read(hidden, sizeof hidden - 1, &decimal));
    assert_int_equal(decimal.low, 0);
    assert_int_equal(decimal.scale, 2);
}

static void any_bytes_are_printed_or_refused(void **state)
{
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    (void)state;
    for (const struct subject *subject = subjects; subject < subjects + n_subjects; subject++)
        for (int i = 0; i < 20000; i++) {
            struct pgdbm__buffer out = {0};
            char data[32];
            for (size_t at = 0; at < sizeof data; at++) {
                seed = seed * UINT64_C(6364136223846793005) + 1;
                data[at] = (char)((seed >> 32) % 3 == 0 ? seed >> 40 : (seed >> 40) % 4);
            }
            (void)prints(subject, data, (size_t)(seed >> 33) % (sizeof data + 1), &out);
            pgdbm__buffer_free(&out);
        }
}

static void texts_that_depend_on_the_session_are_left_to_the_server(void **state)
{
    static const struct {
        const char *type;
        const char *text;
    } texts[] = {
        {"timestamptz", "2026-01-31 12:00:00"},
        {"timestamptz", "2026-01-31"},
        {"timetz", "12:00:00"},
        {"timestamp", "2026-01-31 12:00:00+01"},
        {"date", "01/02/2026"},
        {"interval", "-1 days 02:00:00"},
        {"interval", "1 year 1 year"},
        {"cidr", "10.0.0.0"},
        {"cidr", "10.0.0.1/8"},
        {"oid", "-1"},
        {"double precision", "0x10"},
        {"double precision", "inf"},
        {"double precision", "1e400"},
        {"double precision", "1e-400"},
        {"real", "1e39"},
        {"numeric", "1e5"},
        {"bytea", "abc"},
        {"bytea", "\\x0"},
        {"bit varying", "x1F"},
        {"\"char\"", "ab"},
        {"boolean", "TRUE"},
        {"timestamp", "now"},
        {"date", "today"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pgdbm__buffer out = {0};
        if (find(texts[i].type)->parse(NULL, texts[i].text, strlen(texts[i].text), &out))
            fail_msg("%s of %s was read", texts[i].text, texts[i].type);
        assert_int_equal(out.length, 0);
        pgdbm__buffer_free(&out);
    }
}

static void a_nul_byte_is_part_of_no_text(void **state)
{
    static const char *const texts[] = {"1",   "1 day", "2026-01-31", "12:00:00", "10.0.0.1",
                                        "::1", "\\x00", "t",          "\"a\""};
    (void)state;
    for (const struct subject *subject = subjects; subject < subjects + n_subjects; subject++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            for (size_t at = 0; at <= strlen(texts[i]); at++) {
                char text[32] = {0};
                struct pgdbm__buffer out = {0};
                memcpy(text, texts[i], at);
                memcpy(text + at + 1, texts[i] + at, strlen(texts[i]) - at);
                if (subject->parse(NULL, text, strlen(texts[i]) + 1, &out))
                    fail_msg("%s: %s with a NUL at %zu was read", subject->name, texts[i], at);
                pgdbm__buffer_free(&out);
            }
}

/* A server that calls a parameter's type 0 names no type. Each value is as long as the longest, so that only the answer
 * tells. */
static void no_value_goes_into_a_type_that_is_none(void **state)
{
    (void)state;
    static const uint64_t zeros[8];
    for (int kind = PGDBM_PARAM_BOOL; kind <= PGDBM_PARAM_BITS; kind++) {
        struct pgdbm__buffer out = {0};
        pgdbm_param param = pgdbm_param_counted((pgdbm_param_kind)kind, zeros, 1);
        if (pgdbm__param_binary(&param, &pgdbm__type_unknown, &out) == NULL)
            fail_msg("a parameter of kind %d was sent as type 0", kind);
        pgdbm__buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_the_text_they_were),
        cmocka_unit_test(what_is_no_value_is_refused_and_not_told_to_the_world),
        cmocka_unit_test(a_text_that_is_too_long_is_cut_and_its_length_told),
        cmocka_unit_test(what_postgresql_has_no_value_for_has_no_text),
        cmocka_unit_test(iso_8601_writes_years_beyond_four_digits_with_a_sign),
        cmocka_unit_test(seconds_since_1970_become_timestamps_and_back),
        cmocka_unit_test(every_day_has_a_year_a_month_and_a_day),
        cmocka_unit_test(malformed_values_are_refused),
        cmocka_unit_test(digits_that_a_numeric_does_not_show_are_not_printed),
        cmocka_unit_test(any_bytes_are_printed_or_refused),
        cmocka_unit_test(texts_that_depend_on_the_session_are_left_to_the_server),
        cmocka_unit_test(a_nul_byte_is_part_of_no_text),
        cmocka_unit_test(no_value_goes_into_a_type_that_is_none),
    };
    return cmocka_run_group_tests_name("conversions", tests, NULL, NULL);
}
