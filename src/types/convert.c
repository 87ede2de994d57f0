/* SPDX-License-Identifier: MIT */
/* The conversions that <pgdbm/types.h> exports: arguments and errors around the functions of scalar.h. */
#include "base/error.h"
#include "types/scalar.h"

#include <string.h>

#define SECONDS_TO_2000 946684800 /* from 1970 */
#define SECOND_US 1000000

/* The value itself is the user's and does not go into a message. */
static pgdbm_status complain(pgdbm_error *err, const char *what, const char *example)
{
    pgdbm__fail(err, PGDBM_ERR_TYPE, "the text is not %s", what);
    pgdbm__error_hint(err, "write it like %s", example);
    return PGDBM_ERR_TYPE;
}

static pgdbm_status out_of_range(pgdbm_error *err, const char *what, const char *range)
{
    pgdbm__fail(err, PGDBM_ERR_TYPE, "%s", what);
    pgdbm__error_hint(err, "%s", range);
    return PGDBM_ERR_TYPE;
}

/* As snprintf does. */
static size_t deliver(const char *value, size_t length, char *text, size_t bytes)
{
    if (text != NULL && bytes > 0) {
        size_t most = length < bytes ? length : bytes - 1;
        memcpy(text, value, most);
        text[most] = '\0';
    }
    return length;
}

pgdbm_status pgdbm_timestamp_from_timespec(const struct timespec *time, pgdbm_timestamp *timestamp, pgdbm_error *err)
{
    pgdbm_timestamp made;
    int64_t seconds;
    if (time == NULL || timestamp == NULL)
        return pgdbm__fail_null(err, "pgdbm_timestamp_from_timespec", time == NULL ? "time" : "timestamp");
    if (time->tv_nsec < 0 || time->tv_nsec >= 1000000000) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_timestamp_from_timespec: tv_nsec is not from 0 to 999999999");
        pgdbm__error_hint(err, "carry whole seconds over to tv_sec, also before 1970");
        return PGDBM_ERR_ARGUMENT;
    }
    if (__builtin_sub_overflow((int64_t)time->tv_sec, (int64_t)SECONDS_TO_2000, &seconds) ||
        __builtin_mul_overflow(seconds, (int64_t)SECOND_US, &made.us) ||
        __builtin_add_overflow(made.us, (int64_t)time->tv_nsec / 1000, &made.us) || !pgdbm__timestamp_finite(made))
        return out_of_range(err, "the time is out of range for a timestamp",
                            "PostgreSQL's timestamps are from 4714-11-24 BC to 294276-12-31");
    *timestamp = made;
    return PGDBM_OK;
}

pgdbm_status pgdbm_timestamp_to_timespec(pgdbm_timestamp timestamp, struct timespec *time, pgdbm_error *err)
{
    if (time == NULL)
        return pgdbm__fail_null(err, "pgdbm_timestamp_to_timespec", "time");
    if (!pgdbm__timestamp_finite(timestamp))
        return out_of_range(err, "the timestamp is infinite, or beyond what PostgreSQL holds",
                            "compare with PGDBM_TIMESTAMP_INFINITY and PGDBM_TIMESTAMP_MINUS_INFINITY first");
    int64_t seconds = timestamp.us / SECOND_US - (timestamp.us % SECOND_US < 0);
    time->tv_sec = (time_t)(seconds + SECONDS_TO_2000);
    time->tv_nsec = (long)(timestamp.us - seconds * SECOND_US) * 1000;
    return PGDBM_OK;
}

pgdbm_status pgdbm_timestamp_parse(const char *text, pgdbm_timestamp *timestamp, pgdbm_error *err)
{
    pgdbm_timestamp made;
    bool zoned;
    if (text == NULL || timestamp == NULL)
        return pgdbm__fail_null(err, "pgdbm_timestamp_parse", text == NULL ? "text" : "timestamp");
    if (!pgdbm__timestamp_scan(text, strlen(text), &made, &zoned))
        return complain(err, "a timestamp", "2026-01-31 12:00:00.25+01, 2026-01-31T11:00:00Z or infinity");
    *timestamp = made;
    return PGDBM_OK;
}

size_t pgdbm_timestamp_format(pgdbm_timestamp timestamp, bool zoned, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    enum pgdbm__timestamp_style style = zoned ? PGDBM__TIMESTAMP_ZONED : PGDBM__TIMESTAMP_PLAIN;
    return deliver(value, pgdbm__timestamp_text(timestamp, style, value), text, bytes);
}

size_t pgdbm_timestamp_format_iso(pgdbm_timestamp timestamp, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, pgdbm__timestamp_text(timestamp, PGDBM__TIMESTAMP_ISO, value), text, bytes);
}

pgdbm_status pgdbm_date_from_ymd(int year, int month, int day, pgdbm_date *date, pgdbm_error *err)
{
    pgdbm_date made;
    if (date == NULL)
        return pgdbm__fail_null(err, "pgdbm_date_from_ymd", "date");
    if (!pgdbm__date_from_ymd(year, month, day, &made))
        return out_of_range(err, "there is no such day, or PostgreSQL does not hold it",
                            "months and days count from 1; dates are from 4714-11-24 BC (year -4713) to 5874897-12-31");
    *date = made;
    return PGDBM_OK;
}

pgdbm_status pgdbm_date_to_ymd(pgdbm_date date, int *year, int *month, int *day, pgdbm_error *err)
{
    int64_t years;
    if (year == NULL || month == NULL || day == NULL)
        return pgdbm__fail_null(err, "pgdbm_date_to_ymd", year == NULL ? "year" : month == NULL ? "month" : "day");
    if (!pgdbm__date_finite(date))
        return out_of_range(err, "the date is infinite, or beyond what PostgreSQL holds",
                            "compare with PGDBM_DATE_INFINITY and PGDBM_DATE_MINUS_INFINITY first");
    pgdbm__date_to_ymd(date.days, &years, month, day);
    *year = (int)years;
    return PGDBM_OK;
}

pgdbm_status pgdbm_date_parse(const char *text, pgdbm_date *date, pgdbm_error *err)
{
    pgdbm_date made;
    if (text == NULL || date == NULL)
        return pgdbm__fail_null(err, "pgdbm_date_parse", text == NULL ? "text" : "date");
    if (!pgdbm__date_scan(text, strlen(text), &made))
        return complain(err, "a date", "2026-01-31, 0044-03-15 BC or infinity");
    *date = made;
    return PGDBM_OK;
}

size_t pgdbm_date_format(pgdbm_date date, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, pgdbm__date_text(date, value), text, bytes);
}

pgdbm_status pgdbm_time_parse(const char *text, pgdbm_time *time, pgdbm_error *err)
{
    pgdbm_time made;
    if (text == NULL || time == NULL)
        return pgdbm__fail_null(err, "pgdbm_time_parse", text == NULL ? "text" : "time");
    if (!pgdbm__time_scan(text, strlen(text), &made))
        return complain(err, "a time", "12:00:00.25, from 00:00:00 to 24:00:00");
    *time = made;
    return PGDBM_OK;
}

size_t pgdbm_time_format(pgdbm_time time, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, pgdbm__time_text(time, value), text, bytes);
}

size_t pgdbm_timetz_format(pgdbm_timetz time, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, pgdbm__timetz_text(time, value), text, bytes);
}

size_t pgdbm_interval_format(pgdbm_interval interval, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, pgdbm__interval_text(interval, value), text, bytes);
}

pgdbm_status pgdbm_decimal_parse(const char *text, pgdbm_decimal *decimal, pgdbm_error *err)
{
    pgdbm_decimal made;
    if (text == NULL || decimal == NULL)
        return pgdbm__fail_null(err, "pgdbm_decimal_parse", text == NULL ? "text" : "decimal");
    if (!pgdbm__decimal_scan(text, strlen(text), &made))
        return complain(err, "a decimal number that 128 bits hold", "-12.50: digits, of which 38 always fit");
    *decimal = made;
    return PGDBM_OK;
}

pgdbm_status pgdbm_uuid_parse(const char *text, pgdbm_uuid *uuid, pgdbm_error *err)
{
    pgdbm_uuid made;
    if (text == NULL || uuid == NULL)
        return pgdbm__fail_null(err, "pgdbm_uuid_parse", text == NULL ? "text" : "uuid");
    if (!pgdbm__uuid_scan(text, strlen(text), &made))
        return complain(err, "a UUID", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    *uuid = made;
    return PGDBM_OK;
}

size_t pgdbm_uuid_format(const pgdbm_uuid *uuid, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, uuid != NULL ? pgdbm__uuid_text(uuid, value) : 0, text, bytes);
}

pgdbm_status pgdbm_inet_parse(const char *text, pgdbm_inet *inet, pgdbm_error *err)
{
    pgdbm_inet made;
    if (text == NULL || inet == NULL)
        return pgdbm__fail_null(err, "pgdbm_inet_parse", text == NULL ? "text" : "inet");
    if (!pgdbm__inet_scan(text, strlen(text), &made))
        return complain(err, "an address", "192.168.0.1, 10.0.0.0/8 or 2001:db8::1/64");
    *inet = made;
    return PGDBM_OK;
}

size_t pgdbm_inet_format(const pgdbm_inet *inet, char *text, size_t bytes)
{
    char value[PGDBM__VALUE_TEXT_BYTES];
    return deliver(value, inet != NULL ? pgdbm__inet_text(inet, inet->is_cidr, value) : 0, text, bytes);
}
