/* SPDX-License-Identifier: MIT */
/* The built-in types that are not made of others: printer and parser of each (see type.h), and beneath them the C values
 * of <pgdbm/types.h>. Pure functions, any thread.
 *
 * A parser reads what the printer writes and a few plain forms beside it. It refuses whatever the server might understand
 * otherwise, in particular what depends on the session's settings (TimeZone, DateStyle, IntervalStyle). */
#ifndef PGDBM_TYPES_SCALAR_H
#define PGDBM_TYPES_SCALAR_H

#include "types/type.h"

#include <pgdbm/types.h>

/* The heads of a printer and a parser: all have the same, and the scalars do not look at their entry in the table. */
#define PGDBM__PRINT(name)                                                                                             \
    bool pgdbm__print_##name(const struct pgdbm__type *type __attribute__((unused)), const char *data, size_t bytes,   \
                             struct pgdbm__buffer *out)
#define PGDBM__PARSE(name)                                                                                             \
    bool pgdbm__parse_##name(const struct pgdbm__type *type __attribute__((unused)), const char *text, size_t bytes,   \
                             struct pgdbm__buffer *out)
/* Not by the two above, for `bool` is a macro itself. */
#define PGDBM__SCALAR(name)                                                                                            \
    bool pgdbm__print_##name(const struct pgdbm__type *type, const char *data, size_t bytes,                           \
                             struct pgdbm__buffer *out);                                                               \
    bool pgdbm__parse_##name(const struct pgdbm__type *type, const char *text, size_t bytes, struct pgdbm__buffer *out)

PGDBM__SCALAR(bool);
PGDBM__SCALAR(int2);
PGDBM__SCALAR(int4);
PGDBM__SCALAR(int8);
PGDBM__SCALAR(oid);
PGDBM__SCALAR(float4);
PGDBM__SCALAR(float8);
PGDBM__SCALAR(numeric);
PGDBM__SCALAR(bytea);
PGDBM__SCALAR(char); /* "char": one byte */
PGDBM__SCALAR(date);
PGDBM__SCALAR(time);
PGDBM__SCALAR(timetz);
PGDBM__SCALAR(timestamp);
PGDBM__SCALAR(timestamptz);
PGDBM__SCALAR(interval);
PGDBM__SCALAR(uuid);
PGDBM__SCALAR(inet);
PGDBM__SCALAR(cidr);
PGDBM__SCALAR(macaddr);
PGDBM__SCALAR(bit); /* and varbit */
PGDBM__SCALAR(jsonb);

/* The text of a C value, without a terminator; its length, or 0 when PostgreSQL has no such value. */
#define PGDBM__VALUE_TEXT_BYTES 96
size_t pgdbm__date_text(pgdbm_date date, char text[PGDBM__VALUE_TEXT_BYTES]);
size_t pgdbm__time_text(pgdbm_time time, char text[PGDBM__VALUE_TEXT_BYTES]);
size_t pgdbm__timetz_text(pgdbm_timetz time, char text[PGDBM__VALUE_TEXT_BYTES]);
size_t pgdbm__interval_text(pgdbm_interval interval, char text[PGDBM__VALUE_TEXT_BYTES]);
size_t pgdbm__uuid_text(const pgdbm_uuid *uuid, char text[PGDBM__VALUE_TEXT_BYTES]);
/* A cidr has its bits in the text, an inet only those of a network. */
size_t pgdbm__inet_text(const pgdbm_inet *inet, bool as_cidr, char text[PGDBM__VALUE_TEXT_BYTES]);

enum pgdbm__timestamp_style {
    PGDBM__TIMESTAMP_PLAIN, /* timestamp */
    PGDBM__TIMESTAMP_ZONED, /* timestamptz: with +00 */
    PGDBM__TIMESTAMP_ISO    /* ISO 8601, with T and Z */
};
size_t pgdbm__timestamp_text(pgdbm_timestamp timestamp, enum pgdbm__timestamp_style style,
                             char text[PGDBM__VALUE_TEXT_BYTES]);

/* The other way. False: not understood, or out of the type's range. */
bool pgdbm__date_scan(const char *text, size_t bytes, pgdbm_date *date);
bool pgdbm__time_scan(const char *text, size_t bytes, pgdbm_time *time);
bool pgdbm__uuid_scan(const char *text, size_t bytes, pgdbm_uuid *uuid);
bool pgdbm__inet_scan(const char *text, size_t bytes, pgdbm_inet *inet);
bool pgdbm__decimal_scan(const char *text, size_t bytes, pgdbm_decimal *decimal);
/* `zoned` says whether the text had a zone; infinity has none and needs none, so it says true then. */
bool pgdbm__timestamp_scan(const char *text, size_t bytes, pgdbm_timestamp *timestamp, bool *zoned);

/* Whether PostgreSQL has such a value; the finite ones leave out infinities, which are values, too. */
bool pgdbm__date_finite(pgdbm_date date);
bool pgdbm__timestamp_finite(pgdbm_timestamp timestamp);
bool pgdbm__time_valid(int64_t us);
bool pgdbm__inet_valid(const pgdbm_inet *inet);

/* The Gregorian calendar for all times; years before 1 are 0 (1 BC), -1, ... False when there is no such day, or it is
 * beyond what a date holds. */
bool pgdbm__date_from_ymd(int64_t year, int month, int day, pgdbm_date *date);
void pgdbm__date_to_ymd(int64_t days, int64_t *year, int *month, int *day);

/* A time of day, or the hours of an interval: 'HH:MM:SS' and microseconds without trailing zeros. Returns its end. */
char *pgdbm__write_clock(char *at, uint64_t us);

/* A binary numeric as a 128-bit integer, keeping its scale. NULL, or why it cannot be, for messages. */
const char *pgdbm__decimal_read(const char *data, size_t bytes, pgdbm_decimal *decimal);
/* Its binary form. The caller has seen to it that the scale is from 0 to 16383. */
void pgdbm__decimal_append(const pgdbm_decimal *decimal, struct pgdbm__buffer *out);

/* The same for addresses; to be appended one must be pgdbm__inet_valid. */
const char *pgdbm__inet_read(const char *data, size_t bytes, pgdbm_inet *inet);
void pgdbm__inet_append(const pgdbm_inet *inet, bool as_cidr, struct pgdbm__buffer *out);

#endif
