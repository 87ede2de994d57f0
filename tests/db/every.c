/* SPDX-License-Identifier: MIT */
#include "db/every.h"

#include "support/server.h"

#include <string.h>

#define GIVEN(member, kind) PGDBM_FIELD_NULLABLE(struct every, member, kind, has)

static const pgdbm_field every_fields[] = {
    PGDBM_FIELD(struct every, has, PGDBM_BOOL),
    GIVEN(b, PGDBM_BOOL),
    GIVEN(i2, PGDBM_INT16),
    GIVEN(i4, PGDBM_INT32),
    GIVEN(i8, PGDBM_INT64),
    GIVEN(o, PGDBM_UINT32),
    GIVEN(f4, PGDBM_FLOAT),
    GIVEN(f8, PGDBM_DOUBLE),
    GIVEN(t, PGDBM_TEXT),
    GIVEN(y, PGDBM_BYTES),
    GIVEN(ts, PGDBM_TIMESTAMP),
    GIVEN(tz, PGDBM_TIMESTAMP),
    GIVEN(da, PGDBM_DATE),
    GIVEN(ti, PGDBM_TIME),
    GIVEN(tt, PGDBM_TIMETZ),
    GIVEN(iv, PGDBM_INTERVAL),
    GIVEN(nu, PGDBM_DECIMAL),
    GIVEN(uu, PGDBM_UUID),
    GIVEN(ip, PGDBM_INET),
    GIVEN(ci, PGDBM_INET),
    GIVEN(ma, PGDBM_MACADDR),
    GIVEN(vb, PGDBM_BITS),
};
const pgdbm_struct EVERY = PGDBM_STRUCT(struct every, every_fields);

void every_fill(struct every *every)
{
    every_clear(every);
    every->has = every->b = true;
    every->i2 = -2;
    every->i4 = -4;
    every->i8 = -8000000000;
    every->o = 4000000000u;
    every->f4 = 1.5f;
    every->f8 = -2.25;
    every->t = "a\\b\tc\nd\re'";
    every->y = (pgdbm_blob){"\0\377\\\n", 4};
    every->ts.us = 1000000;
    every->tz.us = INT64_C(86400) * 1000000;
    every->da.days = 10;
    every->ti.us = INT64_C(3600) * 1000000;
    every->tt = (pgdbm_timetz){INT64_C(3600) * 1000000, 7200};
    every->iv = (pgdbm_interval){.us = 3, .days = 2, .months = 1};
    every->nu = (pgdbm_decimal){.high = -1, .low = (uint64_t)-12345, .scale = 2};
    for (size_t i = 0; i < sizeof every->uu.bytes; i++)
        every->uu.bytes[i] = (uint8_t)i;
    every->ip = (pgdbm_inet){.family = 4, .bits = 8, .bytes = {10, 0, 0, 1}};
    every->ci = (pgdbm_inet){.family = 4, .bits = 8, .is_cidr = true, .bytes = {10}};
    for (size_t i = 0; i < sizeof every->ma.bytes; i++)
        every->ma.bytes[i] = (uint8_t)(i + 1);
    every->vb = (pgdbm_bits){5, "\xA8"};
}

void every_clear(struct every *every)
{
    memset(every, 0, sizeof *every);
}

#define SAME(member) assert_memory_equal(&came->member, &went->member, sizeof went->member)

void every_expect_equal(const struct every *came, const struct every *went)
{
    SAME(has);
    SAME(b);
    SAME(i2);
    SAME(i4);
    SAME(i8);
    SAME(o);
    SAME(f4);
    SAME(f8);
    SAME(ts);
    SAME(tz);
    SAME(da);
    SAME(ti);
    SAME(tt.us);
    SAME(tt.east_s);
    SAME(iv);
    SAME(nu.high);
    SAME(nu.low);
    SAME(nu.scale);
    SAME(uu);
    SAME(ip);
    SAME(ci);
    SAME(ma);
    assert_int_equal(came->y.bytes, went->y.bytes);
    assert_int_equal(came->vb.count, went->vb.count);
    if (!went->has)
        return;
    assert_string_equal(came->t, went->t);
    assert_memory_equal(came->y.data, went->y.data, went->y.bytes);
    assert_memory_equal(came->vb.data, went->vb.data, (went->vb.count + 7) / 8);
}
