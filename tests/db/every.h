/* SPDX-License-Identifier: MIT */
/* A struct with a field of each kind, and a table for it. */
#ifndef PGDBM_TESTS_DB_EVERY_H
#define PGDBM_TESTS_DB_EVERY_H

#include <pgdbm/structs.h>

struct every {
    bool has; /* the companion of all others */
    bool b;
    int16_t i2;
    int32_t i4;
    int64_t i8;
    uint32_t o;
    float f4;
    double f8;
    const char *t;
    pgdbm_blob y;
    pgdbm_timestamp ts, tz;
    pgdbm_date da;
    pgdbm_time ti;
    pgdbm_timetz tt;
    pgdbm_interval iv;
    pgdbm_decimal nu;
    pgdbm_uuid uu;
    pgdbm_inet ip, ci;
    pgdbm_macaddr ma;
    pgdbm_bits vb;
};

#define EVERY_TABLE                                                                                                    \
    "CREATE TABLE every (has bool, b bool, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, t text, y bytea, "  \
    "ts timestamp, tz timestamptz, da date, ti time, tt timetz, iv interval, nu numeric, uu uuid, ip inet, ci cidr, "  \
    "ma macaddr, vb varbit)"

/* What every_fill has, in SQL. */
#define EVERY_MATCHES                                                                                                  \
    "has AND b AND i2 = -2 AND i4 = -4 AND i8 = -8000000000 AND o = 4000000000 AND f4 = 1.5 AND f8 = -2.25 AND "       \
    "t = E'a\\\\b\\tc\\nd\\re''' AND y = '\\x00ff5c0a' AND ts = '2000-01-01 00:00:01' AND "                            \
    "tz = '2000-01-02 00:00:00+00' AND da = '2000-01-11' AND ti = '01:00' AND tt = '01:00+02' AND "                    \
    "iv = '1 mon 2 days 3 us' AND nu = -123.45 AND uu = '00010203-0405-0607-0809-0a0b0c0d0e0f' AND "                   \
    "ip = '10.0.0.1/8' AND ci = '10.0.0.0/8' AND ma = '01:02:03:04:05:06' AND vb = B'10101'"

extern const pgdbm_struct EVERY;

void every_fill(struct every *every);
/* Nothing but `has` is given. */
void every_clear(struct every *every);
void every_expect_equal(const struct every *came, const struct every *went);

#endif
