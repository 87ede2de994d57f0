/* SPDX-License-Identifier: MIT */
/* date, time, timetz, timestamp and timestamptz. The calendar is the Gregorian one for all times, as PostgreSQL's is
 * (its documentation, B.6). Only texts that begin with the year are read: the order of the others depends on DateStyle. */
#include "types/number.h"
#include "types/scalar.h"
#include "types/text.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US (86400 * SECOND_US)

/* 4714-11-24 BC, where Julian days begin; dates end with 5874897-12-31, timestamps with 294276-12-31. */
#define DATE_FIRST (-2451545)
#define DATE_END 2145031949
#define TIMESTAMP_FIRST (DATE_FIRST * DAY_US)
#define TIMESTAMP_END (INT64_C(106751983) * DAY_US)

/* Zones are less than 16 hours from UTC. */
#define ZONE_LIMIT_S (16 * 3600)

/* The calendar is counted from 2000-03-01, when 400 years began that end with a leap day; years begin in March. */
#define MARCH_2000 60
#define DAYS_IN_400_YEARS 146097
#define DAYS_IN_100_YEARS 36524
#define DAYS_IN_4_YEARS 1461

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

bool pgdbm__date_finite(pgdbm_date date)
{
    return date.days >= DATE_FIRST && date.days < DATE_END;
}

bool pgdbm__timestamp_finite(pgdbm_timestamp timestamp)
{
    return timestamp.us >= TIMESTAMP_FIRST && timestamp.us < TIMESTAMP_END;
}

bool pgdbm__time_valid(int64_t us)
{
    return us >= 0 && us <= DAY_US;
}

static bool timetz_valid(pgdbm_timetz time)
{
    return pgdbm__time_valid(time.us) && time.east_s > -ZONE_LIMIT_S && time.east_s < ZONE_LIMIT_S;
}

bool pgdbm__date_from_ymd(int64_t year, int month, int day, pgdbm_date *date)
{
    static const char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < -4713 || year > 5874897 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return false;
    int64_t years = year - 2000 - (month < 3);
    int64_t eras = (years - (years < 0 ? 399 : 0)) / 400;
    years -= eras * 400;
    int64_t days = eras * DAYS_IN_400_YEARS + years * 365 + years / 4 - years / 100;
    int months = (month + 9) % 12; /* from March on, five have 153 days */
    days += (153 * months + 2) / 5 + day - 1 + MARCH_2000;
    date->days = (int32_t)days;
    return pgdbm__date_finite(*date);
}

/* The last of a few equal periods is a day longer than the others. */
static int64_t split(int64_t *days, int64_t period, int64_t most)
{
    int64_t periods = *days / period < most ? *days / period : most;
    *days -= periods * period;
    return periods;
}

void pgdbm__date_to_ymd(int64_t days, int64_t *year, int *month, int *day)
{
    days -= MARCH_2000;
    int64_t eras = (days - (days < 0 ? DAYS_IN_400_YEARS - 1 : 0)) / DAYS_IN_400_YEARS;
    days -= eras * DAYS_IN_400_YEARS;
    int64_t years = eras * 400 + split(&days, DAYS_IN_100_YEARS, 3) * 100;
    years += split(&days, DAYS_IN_4_YEARS, 24) * 4;
    years += split(&days, 365, 3);
    int months = (5 * (int)days + 2) / 153;
    *day = (int)days - (153 * months + 2) / 5 + 1;
    *month = months < 10 ? months + 3 : months - 9;
    *year = 2000 + years + (months >= 10);
}

char *pgdbm__write_clock(char *at, uint64_t us)
{
    uint64_t seconds = us / 1000000;
    uint32_t fraction = (uint32_t)(us % 1000000);
    uint64_t hours = seconds / 3600;
    at = hours < 100 ? pgdbm__write_padded(at, (uint32_t)hours, 2) : pgdbm__write_number(at, hours);
    *at++ = ':';
    at = pgdbm__write_padded(at, (uint32_t)(seconds / 60 % 60), 2);
    *at++ = ':';
    at = pgdbm__write_padded(at, (uint32_t)(seconds % 60), 2);
    if (fraction > 0) {
        *at++ = '.';
        at = pgdbm__write_padded(at, fraction, 6);
        while (at[-1] == '0')
            at--;
    }
    return at;
}

/* Four digits of a year at least. */
static char *write_ymd(char *at, int64_t year, int month, int day)
{
    at = year < 10000 ? pgdbm__write_padded(at, (uint32_t)year, 4) : pgdbm__write_number(at, (uint64_t)year);
    *at++ = '-';
    at = pgdbm__write_padded(at, (uint32_t)month, 2);
    *at++ = '-';
    return pgdbm__write_padded(at, (uint32_t)day, 2);
}

size_t pgdbm__date_text(pgdbm_date date, char text[PGDBM__VALUE_TEXT_BYTES])
{
    int64_t year;
    int month;
    int day;
    if (date.days == PGDBM_DATE_INFINITY)
        return (size_t)(pgdbm__write_word(text, "infinity") - text);
    if (date.days == PGDBM_DATE_MINUS_INFINITY)
        return (size_t)(pgdbm__write_word(text, "-infinity") - text);
    if (!pgdbm__date_finite(date))
        return 0;
    pgdbm__date_to_ymd(date.days, &year, &month, &day);
    char *at = write_ymd(text, year > 0 ? year : 1 - year, month, day);
    if (year <= 0)
        at = pgdbm__write_word(at, " BC");
    return (size_t)(at - text);
}

size_t pgdbm__time_text(pgdbm_time time, char text[PGDBM__VALUE_TEXT_BYTES])
{
    return pgdbm__time_valid(time.us) ? (size_t)(pgdbm__write_clock(text, (uint64_t)time.us) - text) : 0;
}

/* Minutes and seconds only where there are some. */
static char *write_zone(char *at, int32_t east_s)
{
    uint32_t seconds = (uint32_t)(east_s < 0 ? -east_s : east_s);
    *at++ = east_s < 0 ? '-' : '+';
    at = pgdbm__write_padded(at, seconds / 3600, 2);
    if (seconds % 3600 != 0) {
        *at++ = ':';
        at = pgdbm__write_padded(at, seconds / 60 % 60, 2);
    }
    if (seconds % 60 != 0) {
        *at++ = ':';
        at = pgdbm__write_padded(at, seconds % 60, 2);
    }
    return at;
}

size_t pgdbm__timetz_text(pgdbm_timetz time, char text[PGDBM__VALUE_TEXT_BYTES])
{
    if (!timetz_valid(time))
        return 0;
    return (size_t)(write_zone(pgdbm__write_clock(text, (uint64_t)time.us), time.east_s) - text);
}

size_t pgdbm__timestamp_text(pgdbm_timestamp timestamp, enum pgdbm__timestamp_style style,
                             char text[PGDBM__VALUE_TEXT_BYTES])
{
    bool iso = style == PGDBM__TIMESTAMP_ISO;
    char *at = text;
    int64_t year;
    int month;
    int day;
    if (timestamp.us == PGDBM_TIMESTAMP_INFINITY)
        return (size_t)(pgdbm__write_word(text, "infinity") - text);
    if (timestamp.us == PGDBM_TIMESTAMP_MINUS_INFINITY)
        return (size_t)(pgdbm__write_word(text, "-infinity") - text);
    if (!pgdbm__timestamp_finite(timestamp))
        return 0;
    int64_t days = (timestamp.us - (timestamp.us < 0 ? DAY_US - 1 : 0)) / DAY_US;
    pgdbm__date_to_ymd(days, &year, &month, &day);
    if (iso && (year < 0 || year > 9999))
        *at++ = year < 0 ? '-' : '+';
    int64_t before = iso ? -year : 1 - year;
    at = write_ymd(at, year > 0 ? year : before, month, day);
    *at++ = iso ? 'T' : ' ';
    at = pgdbm__write_clock(at, (uint64_t)(timestamp.us - days * DAY_US));
    if (style != PGDBM__TIMESTAMP_PLAIN)
        at = pgdbm__write_word(at, iso ? "Z" : "+00");
    if (year <= 0 && !iso)
        at = pgdbm__write_word(at, " BC");
    return (size_t)(at - text);
}

struct ymd {
    int64_t year;
    int month;
    int day;
};

/* 'YYYY-MM-DD': a year of four digits, or one of more without zeros before, which the server might take for something
 * else. There is no year 0. */
static bool scan_ymd(struct pgdbm__text *text, struct ymd *ymd)
{
    const char *begin = text->at;
    uint64_t year;
    size_t digits = pgdbm__text_number(text, &year);
    ymd->year = (int64_t)year;
    return digits >= 4 && digits <= 7 && (digits == 4 || *begin != '0') && year > 0 && pgdbm__text_take(text, '-') &&
           pgdbm__text_pair(text, &ymd->month) && pgdbm__text_take(text, '-') && pgdbm__text_pair(text, &ymd->day);
}

/* The end of a text with a date: ' BC', or nothing. */
static bool scan_era(struct pgdbm__text *text, struct ymd *ymd)
{
    if (pgdbm__text_word(text, " BC"))
        ymd->year = 1 - ymd->year;
    return text->at == text->end;
}

/* 'HH:MM[:SS[.ffffff]]', to 24:00:00; a leap second is the first second of the next minute. */
static bool scan_clock(struct pgdbm__text *text, int64_t *us)
{
    int hours;
    int minutes;
    int seconds = 0;
    uint64_t fraction = 0;
    if (!pgdbm__text_pair(text, &hours) || !pgdbm__text_take(text, ':') || !pgdbm__text_pair(text, &minutes))
        return false;
    if (pgdbm__text_take(text, ':') && (!pgdbm__text_pair(text, &seconds) || !pgdbm__text_fraction(text, &fraction)))
        return false;
    *us = ((hours * 60 + minutes) * 60 + seconds) * SECOND_US + (int64_t)fraction;
    return minutes < 60 && seconds <= 60 && (seconds < 60 || fraction == 0) && pgdbm__time_valid(*us);
}

/* 'Z', '+HH', '+HHMM', '+HH:MM' or '+HH:MM:SS'. */
static bool scan_zone(struct pgdbm__text *text, int32_t *east_s)
{
    int hours;
    int minutes = 0;
    int seconds = 0;
    *east_s = 0;
    if (pgdbm__text_take(text, 'Z'))
        return true;
    bool west = pgdbm__text_take(text, '-');
    if ((!west && !pgdbm__text_take(text, '+')) || !pgdbm__text_pair(text, &hours))
        return false;
    if (pgdbm__text_take(text, ':')) {
        if (!pgdbm__text_pair(text, &minutes) || (pgdbm__text_take(text, ':') && !pgdbm__text_pair(text, &seconds)))
            return false;
    } else
        (void)pgdbm__text_pair(text, &minutes);
    *east_s = ((hours * 60 + minutes) * 60 + seconds) * (west ? -1 : 1);
    return hours < 16 && minutes < 60 && seconds < 60;
}

bool pgdbm__date_scan(const char *text, size_t bytes, pgdbm_date *date)
{
    struct pgdbm__text rest = {text, text + bytes};
    struct ymd ymd;
    bool later = pgdbm__text_is(text, bytes, "infinity");
    if (later || pgdbm__text_is(text, bytes, "-infinity")) {
        date->days = later ? PGDBM_DATE_INFINITY : PGDBM_DATE_MINUS_INFINITY;
        return true;
    }
    return scan_ymd(&rest, &ymd) && scan_era(&rest, &ymd) && pgdbm__date_from_ymd(ymd.year, ymd.month, ymd.day, date);
}

bool pgdbm__time_scan(const char *text, size_t bytes, pgdbm_time *time)
{
    struct pgdbm__text rest = {text, text + bytes};
    return scan_clock(&rest, &time->us) && rest.at == rest.end;
}

bool pgdbm__timestamp_scan(const char *text, size_t bytes, pgdbm_timestamp *timestamp, bool *zoned)
{
    struct pgdbm__text rest = {text, text + bytes};
    struct ymd ymd;
    pgdbm_date date;
    int64_t clock_us = 0;
    int32_t east_s = 0;
    bool later = pgdbm__text_is(text, bytes, "infinity");
    *zoned = true;
    if (later || pgdbm__text_is(text, bytes, "-infinity")) {
        timestamp->us = later ? PGDBM_TIMESTAMP_INFINITY : PGDBM_TIMESTAMP_MINUS_INFINITY;
        return true;
    }
    if (!scan_ymd(&rest, &ymd))
        return false;
    *zoned = false;
    if (rest.end - rest.at > 3) { /* more than ' BC' */
        if ((!pgdbm__text_take(&rest, ' ') && !pgdbm__text_take(&rest, 'T')) || !scan_clock(&rest, &clock_us))
            return false;
        *zoned = rest.at < rest.end && *rest.at != ' ';
        if (*zoned && !scan_zone(&rest, &east_s))
            return false;
    }
    if (!scan_era(&rest, &ymd) || !pgdbm__date_from_ymd(ymd.year, ymd.month, ymd.day, &date) ||
        __builtin_mul_overflow((int64_t)date.days, DAY_US, &timestamp->us) ||
        __builtin_add_overflow(timestamp->us, clock_us - east_s * SECOND_US, &timestamp->us))
        return false;
    return pgdbm__timestamp_finite(*timestamp);
}

PGDBM__PRINT(date)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    if (bytes != 4)
        return false;
    size_t length = pgdbm__date_text((pgdbm_date){(int32_t)pgdbm__get_uint32(data)}, text);
    pgdbm__buffer_append(out, text, length);
    return length > 0;
}

PGDBM__PARSE(date)
{
    pgdbm_date date;
    char data[4];
    if (!pgdbm__date_scan(text, bytes, &date))
        return false;
    pgdbm__put_uint32(data, (uint32_t)date.days);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}

static bool append_int64(int64_t value, struct pgdbm__buffer *out)
{
    char data[8];
    pgdbm__put_uint64(data, (uint64_t)value);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}

PGDBM__PRINT(time)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    if (bytes != 8)
        return false;
    size_t length = pgdbm__time_text((pgdbm_time){(int64_t)pgdbm__get_uint64(data)}, text);
    pgdbm__buffer_append(out, text, length);
    return length > 0;
}

PGDBM__PARSE(time)
{
    pgdbm_time time;
    return pgdbm__time_scan(text, bytes, &time) && append_int64(time.us, out);
}

/* The server counts seconds west of UTC. */
PGDBM__PRINT(timetz)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    if (bytes != 12)
        return false;
    int32_t west_s = (int32_t)pgdbm__get_uint32(data + 8);
    if (west_s <= -ZONE_LIMIT_S || west_s >= ZONE_LIMIT_S)
        return false;
    size_t length = pgdbm__timetz_text((pgdbm_timetz){(int64_t)pgdbm__get_uint64(data), -west_s}, text);
    pgdbm__buffer_append(out, text, length);
    return length > 0;
}

PGDBM__PARSE(timetz)
{
    struct pgdbm__text rest = {text, text + bytes};
    char data[12];
    pgdbm_timetz time;
    if (!scan_clock(&rest, &time.us) || !scan_zone(&rest, &time.east_s) || rest.at != rest.end)
        return false;
    pgdbm__put_uint32(pgdbm__put_uint64(data, (uint64_t)time.us), (uint32_t)-time.east_s);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}

static bool print_timestamp(const char *data, size_t bytes, enum pgdbm__timestamp_style style,
                            struct pgdbm__buffer *out)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    if (bytes != 8)
        return false;
    size_t length = pgdbm__timestamp_text((pgdbm_timestamp){(int64_t)pgdbm__get_uint64(data)}, style, text);
    pgdbm__buffer_append(out, text, length);
    return length > 0;
}

PGDBM__PRINT(timestamp)
{
    return print_timestamp(data, bytes, PGDBM__TIMESTAMP_PLAIN, out);
}

PGDBM__PRINT(timestamptz)
{
    return print_timestamp(data, bytes, PGDBM__TIMESTAMP_ZONED, out);
}

/* The server would ignore a zone here; who writes one probably means a timestamptz, and has the server's answer. */
PGDBM__PARSE(timestamp)
{
    pgdbm_timestamp timestamp;
    bool zoned;
    return pgdbm__timestamp_scan(text, bytes, &timestamp, &zoned) && (!zoned || !pgdbm__timestamp_finite(timestamp)) &&
           append_int64(timestamp.us, out);
}

/* Without a zone it is the session's TimeZone that counts, which is not known here. */
PGDBM__PARSE(timestamptz)
{
    pgdbm_timestamp timestamp;
    bool zoned;
    return pgdbm__timestamp_scan(text, bytes, &timestamp, &zoned) && zoned && append_int64(timestamp.us, out);
}
