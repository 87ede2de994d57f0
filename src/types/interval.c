/* SPDX-License-Identifier: MIT */
/* interval, in the style 'postgres' of IntervalStyle: '1 year 2 mons -3 days +04:05:06.789'. */
#include "types/number.h"
#include "types/scalar.h"
#include "types/text.h"

struct writing {
    char *at;
    bool begun;
    bool below; /* the part before was negative: a positive one needs its sign */
};

static void write_part(struct writing *writing, int32_t value, const char *unit)
{
    if (value == 0)
        return;
    if (writing->begun)
        *writing->at++ = ' ';
    if (value < 0 || writing->below)
        *writing->at++ = value < 0 ? '-' : '+';
    writing->at = pgdbm__write_number(writing->at, (uint64_t)(value < 0 ? -(int64_t)value : value));
    writing->at = pgdbm__write_word(writing->at, unit);
    if (value != 1)
        *writing->at++ = 's';
    writing->begun = true;
    writing->below = value < 0;
}

size_t pgdbm__interval_text(pgdbm_interval interval, char text[PGDBM__VALUE_TEXT_BYTES])
{
    struct writing writing = {.at = text};
    write_part(&writing, interval.months / 12, " year");
    write_part(&writing, interval.months % 12, " mon");
    write_part(&writing, interval.days, " day");
    if (interval.us != 0 || !writing.begun) {
        if (writing.begun)
            *writing.at++ = ' ';
        if (interval.us < 0 || writing.below)
            *writing.at++ = interval.us < 0 ? '-' : '+';
        uint64_t us = interval.us < 0 ? 0 - (uint64_t)interval.us : (uint64_t)interval.us;
        writing.at = pgdbm__write_clock(writing.at, us);
    }
    return (size_t)(writing.at - text);
}

struct part {
    bool negative;
    uint64_t value;
};

/* Below 2^32, so that sums and products of what was read do not overflow. */
static bool scan_count(struct pgdbm__text *text, uint64_t *value)
{
    return pgdbm__text_number(text, value) > 0 && *value <= UINT32_MAX;
}

/* ':MM:SS[.ffffff]' after the hours. False, too, when it is more than 64 bits hold. */
static bool scan_minutes(struct pgdbm__text *text, const struct part *hours, int64_t *us)
{
    int minutes;
    int seconds;
    uint64_t fraction;
    if (!pgdbm__text_take(text, ':') || !pgdbm__text_pair(text, &minutes) || !pgdbm__text_take(text, ':') ||
        !pgdbm__text_pair(text, &seconds) || !pgdbm__text_fraction(text, &fraction))
        return false;
    uint64_t sum = ((hours->value * 60 + (uint64_t)minutes) * 60 + (uint64_t)seconds) * 1000000 + fraction;
    *us = (int64_t)(hours->negative ? 0 - sum : sum);
    return sum <= (uint64_t)INT64_MAX + hours->negative;
}

static bool scan_part(struct pgdbm__text *text, int64_t *months, int64_t *days, int64_t *us)
{
    struct part part = {.negative = pgdbm__text_take(text, '-')};
    if (!part.negative)
        pgdbm__text_take(text, '+');
    if (!scan_count(text, &part.value))
        return false;
    int64_t value = part.negative ? -(int64_t)part.value : (int64_t)part.value;
    if (pgdbm__text_word(text, " year"))
        *months += value * 12;
    else if (pgdbm__text_word(text, " mon"))
        *months += value;
    else if (pgdbm__text_word(text, " day"))
        *days += value;
    else
        return scan_minutes(text, &part, us) && text->at == text->end;
    pgdbm__text_take(text, 's');
    return true;
}

/* Reads loosely, and takes only what is printed in the very same way: what signs and repeated units mean depends on
 * IntervalStyle otherwise. */
static bool scan_interval(const char *text, size_t bytes, pgdbm_interval *interval)
{
    struct pgdbm__text rest = {text, text + bytes};
    char canonical[PGDBM__VALUE_TEXT_BYTES];
    int64_t months = 0;
    int64_t days = 0;
    if (bytes > PGDBM__VALUE_TEXT_BYTES)
        return false;
    interval->us = 0;
    do
        if (!scan_part(&rest, &months, &days, &interval->us))
            return false;
    while (pgdbm__text_take(&rest, ' '));
    if (months < INT32_MIN || months > INT32_MAX || days < INT32_MIN || days > INT32_MAX)
        return false;
    interval->months = (int32_t)months;
    interval->days = (int32_t)days;
    return pgdbm__interval_text(*interval, canonical) == bytes && memcmp(canonical, text, bytes) == 0;
}

PGDBM__PRINT(interval)
{
    char text[PGDBM__VALUE_TEXT_BYTES];
    if (bytes != 16)
        return false;
    pgdbm_interval interval = {(int64_t)pgdbm__get_uint64(data), (int32_t)pgdbm__get_uint32(data + 8),
                               (int32_t)pgdbm__get_uint32(data + 12)};
    pgdbm__buffer_append(out, text, pgdbm__interval_text(interval, text));
    return true;
}

PGDBM__PARSE(interval)
{
    char data[16];
    pgdbm_interval interval;
    if (!scan_interval(text, bytes, &interval))
        return false;
    char *at = pgdbm__put_uint64(data, (uint64_t)interval.us);
    pgdbm__put_uint32(pgdbm__put_uint32(at, (uint32_t)interval.days), (uint32_t)interval.months);
    pgdbm__buffer_append(out, data, sizeof data);
    return true;
}
