/* SPDX-License-Identifier: MIT */
/* PostgreSQL's types as C values: what the accessors of <pgdbm/result.h> read and pgdbm_args takes by address.
 *
 * | C type          | PostgreSQL             | holds                                                                   |
 * |-----------------|------------------------|-------------------------------------------------------------------------|
 * | pgdbm_timestamp | timestamp, timestamptz | microseconds since 2000-01-01 00:00:00 (timestamptz: UTC)               |
 * | pgdbm_date      | date                   | days since 2000-01-01                                                   |
 * | pgdbm_time      | time                   | microseconds since midnight; 24:00:00 is legal                          |
 * | pgdbm_timetz    | timetz                 | the same, and seconds east of UTC                                       |
 * | pgdbm_interval  | interval               | months, days and microseconds, which do not add up to each other        |
 * | pgdbm_decimal   | numeric                | a 128-bit integer and how many of its decimal digits are a fraction     |
 * | pgdbm_uuid      | uuid                   | 16 bytes                                                                |
 * | pgdbm_inet      | inet, cidr             | an address of either family and the bits of its network                 |
 * | pgdbm_macaddr   | macaddr                | 6 bytes                                                                 |
 * | pgdbm_bits      | bit, varbit            | bits, the first in the highest bit of the first byte                    |
 *
 * PostgreSQL's calendar is the Gregorian one for all times (its documentation, B.6); a leap second is the first second of
 * the next minute. `infinity` and `-infinity` are the largest and smallest numbers, PGDBM_INFINITY and the like below.
 *
 * Texts are those PostgreSQL prints with its default settings; ISO 8601 ('2026-01-31T12:00:00Z') is read, too. Each
 * `_format` writes at most `bytes` bytes with the terminator and returns the length the text needs without it, as snprintf
 * does; 0, and an empty text, for what PostgreSQL has no value for (25:00:00). 96 bytes hold every text but that of a
 * decimal with many decimals. Each `_parse` wants the whole text to be a value and returns PGDBM_ERR_TYPE otherwise. Any
 * thread. */
#ifndef PGDBM_TYPES_H
#define PGDBM_TYPES_H

#include <pgdbm/error.h>
#include <time.h>

typedef struct pgdbm_timestamp {
    int64_t us;
} pgdbm_timestamp;

typedef struct pgdbm_date {
    int32_t days;
} pgdbm_date;

typedef struct pgdbm_time {
    int64_t us;
} pgdbm_time;

typedef struct pgdbm_timetz {
    int64_t us;
    int32_t east_s; /* of UTC */
} pgdbm_timetz;

typedef struct pgdbm_interval {
    int64_t us;
    int32_t days;
    int32_t months;
} pgdbm_interval;

/* The number (high * 2^64 + low) / 10^scale, a negative one in two's complement: -12.50 is {-1, (uint64_t)-1250, 2}. */
typedef struct pgdbm_decimal {
    int64_t high;
    uint64_t low;
    int32_t scale; /* 0 to 16383 */
} pgdbm_decimal;

typedef struct pgdbm_uuid {
    uint8_t bytes[16];
} pgdbm_uuid;

typedef struct pgdbm_inet {
    uint8_t family;    /* 4 or 6 */
    uint8_t bits;      /* of the network: 32 or 128 for a host */
    bool is_cidr;      /* a network: bits behind `bits` are zero */
    uint8_t bytes[16]; /* of IPv4 the first 4 */
} pgdbm_inet;

typedef struct pgdbm_macaddr {
    uint8_t bytes[6];
} pgdbm_macaddr;

/* Borrowed from a result, or the caller's. */
typedef struct pgdbm_bits {
    size_t count;
    const void *data;
} pgdbm_bits;

/* The C types that a struct's field can have: see <pgdbm/structs.h>. */
typedef enum pgdbm_field_kind {
    PGDBM_BOOL = 1,
    PGDBM_INT16,
    PGDBM_INT32,
    PGDBM_INT64,
    PGDBM_UINT32,
    PGDBM_FLOAT,
    PGDBM_DOUBLE,
    PGDBM_TEXT,
    PGDBM_BYTES,
    PGDBM_TIMESTAMP,
    PGDBM_DATE,
    PGDBM_TIME,
    PGDBM_TIMETZ,
    PGDBM_INTERVAL,
    PGDBM_DECIMAL,
    PGDBM_UUID,
    PGDBM_INET,
    PGDBM_MACADDR,
    PGDBM_BITS
} pgdbm_field_kind;

/* Bytes that belong to a result. */
typedef struct pgdbm_blob {
    const void *data;
    size_t bytes;
} pgdbm_blob;

#define PGDBM_TIMESTAMP_INFINITY INT64_MAX
#define PGDBM_TIMESTAMP_MINUS_INFINITY INT64_MIN
#define PGDBM_DATE_INFINITY INT32_MAX
#define PGDBM_DATE_MINUS_INFINITY INT32_MIN

PGDBM_BEGIN_DECLS

/* From and to the seconds since 1970 of clock_gettime and time. Nanoseconds are rounded down to microseconds. Errors:
 * ARGUMENT; TYPE (beyond what PostgreSQL holds: 4714-11-24 BC to 294276-12-31; an infinite timestamp). */
PGDBM_EXPORT pgdbm_status pgdbm_timestamp_from_timespec(const struct timespec *time, pgdbm_timestamp *timestamp,
                                                        pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_timestamp_to_timespec(pgdbm_timestamp timestamp, struct timespec *time,
                                                      pgdbm_error *err);

/* '2026-01-31 12:00:00.25+01', '2026-01-31T11:00:00.25Z', '0044-03-15 12:00:00 BC', 'infinity'. Without a zone it is taken
 * as UTC. Formatted with '+00' when `zoned`. */
PGDBM_EXPORT pgdbm_status pgdbm_timestamp_parse(const char *text, pgdbm_timestamp *timestamp, pgdbm_error *err);
PGDBM_EXPORT size_t pgdbm_timestamp_format(pgdbm_timestamp timestamp, bool zoned, char *text, size_t bytes);
/* As ISO 8601 has it: '2026-01-31T11:00:00.25Z'. 44 BC is '-0043', a year beyond 9999 has a '+' before it: those two are
 * not read back, since the server would not read them, either. 'infinity' stays what it is. */
PGDBM_EXPORT size_t pgdbm_timestamp_format_iso(pgdbm_timestamp timestamp, char *text, size_t bytes);

/* A day of the calendar. Years before 1 are 0 (1 BC), -1 (2 BC), ... Errors: TYPE (no such day, out of range). */
PGDBM_EXPORT pgdbm_status pgdbm_date_from_ymd(int year, int month, int day, pgdbm_date *date, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_date_to_ymd(pgdbm_date date, int *year, int *month, int *day, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_date_parse(const char *text, pgdbm_date *date, pgdbm_error *err);
PGDBM_EXPORT size_t pgdbm_date_format(pgdbm_date date, char *text, size_t bytes);

PGDBM_EXPORT pgdbm_status pgdbm_time_parse(const char *text, pgdbm_time *time, pgdbm_error *err);
PGDBM_EXPORT size_t pgdbm_time_format(pgdbm_time time, char *text, size_t bytes);
PGDBM_EXPORT size_t pgdbm_timetz_format(pgdbm_timetz time, char *text, size_t bytes);
PGDBM_EXPORT size_t pgdbm_interval_format(pgdbm_interval interval, char *text, size_t bytes);

/* '-12.50', with the scale that is written. Errors: TYPE (no plain decimal number, such as NaN, infinity or 1e5; more than
 * 128 bits; a scale above 16383). */
PGDBM_EXPORT pgdbm_status pgdbm_decimal_parse(const char *text, pgdbm_decimal *decimal, pgdbm_error *err);
PGDBM_EXPORT size_t pgdbm_decimal_format(pgdbm_decimal decimal, char *text, size_t bytes);

PGDBM_EXPORT pgdbm_status pgdbm_uuid_parse(const char *text, pgdbm_uuid *uuid, pgdbm_error *err);
PGDBM_EXPORT size_t pgdbm_uuid_format(const pgdbm_uuid *uuid, char *text, size_t bytes);

/* '192.168.0.1', '10.0.0.0/8', '2001:db8::1/64'. is_cidr is false. */
PGDBM_EXPORT pgdbm_status pgdbm_inet_parse(const char *text, pgdbm_inet *inet, pgdbm_error *err);
PGDBM_EXPORT size_t pgdbm_inet_format(const pgdbm_inet *inet, char *text, size_t bytes);

PGDBM_END_DECLS
#endif
