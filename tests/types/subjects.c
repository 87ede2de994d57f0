/* SPDX-License-Identifier: MIT */
/* The values that the server makes for the tests: the edges of each type, and many in between. */
#include "types/subjects.h"

#define CLOCK "(u(g, 1, 86400000000) / (10 ^ u(g, 2, 7))::int8 * (10 ^ u(g, 2, 7))::int8)"
#define ANY_TIME "(time '00:00' + " CLOCK " * interval '1 us')"
#define ANY_TIMESTAMP                                                                                                  \
    "(timestamp '4714-11-24 BC' + make_interval(days => u(g, 3, CASE g % 3 WHEN 0 THEN 109203527 WHEN 1 THEN 2600000 " \
    "ELSE 7000 END)::int + CASE g % 3 WHEN 2 THEN 2451000 ELSE 0 END) + " CLOCK " * interval '1 us')"
#define SHORTENED(value) "(" value " / (10 ^ u(g, 9, 19))::numeric)::int8"
#define IPV6                                                                                                           \
    "(SELECT string_agg(CASE WHEN u(g, k, 3) = 0 THEN to_hex(u(g, k + 20, 65536)) ELSE '0' END, ':' ORDER BY k) "      \
    "FROM generate_series(1, 8) k)::inet"
#define ANY_INET                                                                                                       \
    "CASE g % 3 WHEN 0 THEN set_masklen(inet '0.0.0.0' + u(g, 1, 4294967296), u(g, 2, 33)::int) WHEN 1 THEN " IPV6     \
    " ELSE set_masklen(" IPV6 ", u(g, 40, 129)::int) END"

static const char numeric_edges[] =
    "('0'::numeric), ('0.0'), ('0.0000'), ('0.00000'), ('-0.1'), ('1'), ('10000'), ('99999999'), ('100000000'), "
    "('0.0001'), ('0.00001'), ('-0.00000001'), ('12345.6789'), ('12345.678900000'), ('NaN'), ('Infinity'), "
    "('-Infinity'), ('1e100'), ('1e-100'), ('9999.9999'), ('10000.0000'), "
    "('-170141183460469231731687303715884105728'), "
    "('170141183460469231731687303715884105727'), ('170141183460469231731687303715884105728'), "
    "(('1' || repeat('0', 131071))::numeric), ((repeat('9', 131072) || '.' || repeat('9', 16383))::numeric), "
    "(('0.' || repeat('0', 16382) || '1')::numeric), (('0.' || repeat('0', 16383))::numeric), "
    "(('-7.' || repeat('0', 16383))::numeric)";

#define DAYS(type)                                                                                                     \
    "(" type " '4714-11-24 BC'), ('0001-12-31 BC'), ('0001-01-01'), ('0044-03-15 BC'), ('9999-12-31'), "               \
    "('10000-01-01'), ('2000-02-29'), ('1900-02-28'), ('2000-01-01'), ('1999-12-31'), ('1970-01-01'), ('infinity'), "  \
    "('-infinity'), ('294276-12-31'), "

#define SUBJECT(sql_name, function, ...)                                                                               \
    {                                                                                                                  \
        .name = sql_name, .print = pgdbm__print_##function, .parse = pgdbm__parse_##function, __VA_ARGS__              \
    }

const struct subject subjects[] = {
    SUBJECT("boolean", bool, .edges = "(true), (false)", .random = "h(g, 1) > 0"),
    SUBJECT("smallint", int2, .edges = "(0::int2), ('-32768'), ('32767'), ('-1'), ('9'), ('10')",
            .random = "(h(g, 1) % 32768)::int2"),
    SUBJECT("integer", int4, .edges = "(0), (-2147483648), (2147483647), (99), (100)",
            .random = "(h(g, 1) >> (32 + u(g, 2, 32)::int))::int4"),
    SUBJECT("bigint", int8, .edges = "(0::int8), ('-9223372036854775808'), ('9223372036854775807')",
            .random = "h(g, 1) >> u(g, 2, 64)::int"),
    SUBJECT("oid", oid, .edges = "(0::oid), (4294967295::oid), (2147483648::oid)",
            .random = "u(g, 1, 4294967296)::oid"),
    SUBJECT("real", float4,
            .edges = "('0'::real), ('-0'), ('NaN'), ('Infinity'), ('-Infinity'), ('1e-45'), ('3.4028235e38'), ('1e6'), "
                     "('123456.7'), ('0.0001')",
            .random = "(h(g, 1) * 10::float8 ^ (h(g, 2) % 19))::real"),
    SUBJECT("double precision", float8,
            .edges = "('0'::float8), ('-0'), ('NaN'), ('Infinity'), ('-Infinity'), ('5e-324'), "
                     "('1.7976931348623157e308'), ('1e15'), ('123456789012345.6'), ('0.0001'), ('1e23')",
            .random = "CASE g % 2 WHEN 0 THEN h(g, 1) * 10::float8 ^ (h(g, 2) % 289) ELSE "
                      "round(h(g, 1) / 10::numeric ^ u(g, 2, 25), u(g, 3, 19)::int)::float8 END"),
    SUBJECT("numeric", numeric, .edges = numeric_edges,
            .random = "round(h(g, 1) * 10::numeric ^ (h(g, 2) % 40), u(g, 3, 60)::int) + "
                      "CASE g % 3 WHEN 0 THEN round(h(g, 4) / 1e19, u(g, 5, 9)::int) ELSE 0 END"),
    SUBJECT("bytea", bytea, .edges = "(''::bytea), ('\\x00'), ('\\xff00ff'), (decode(repeat('ab', 70000), 'hex'))",
            .random = "substr(sha512(int8send(h(g, 1))), 1, u(g, 2, 65)::int)", .any_length = true),
    SUBJECT("\"char\"", char, .edges = "(0::\"char\"), (127::\"char\"), ((-128)::\"char\"), ((-1)::\"char\")",
            .random = "(u(g, 1, 256) - 128)::int::\"char\""),
    SUBJECT("date", date, .edges = DAYS("date") "('5874897-12-31')",
            .random = "date '4714-11-24 BC' + u(g, 1, CASE g % 2 WHEN 0 THEN 2147483494 ELSE 5000000 END)::int"),
    SUBJECT("time", time,
            .edges = "(time '00:00'), ('24:00:00'), ('23:59:59.999999'), ('12:00:00.1'), ('00:00:00.000001')",
            .random = ANY_TIME),
    SUBJECT("timetz", timetz,
            .edges = "(timetz '00:00+00'), ('24:00:00-15:59:59'), ('23:59:59.999999+15:59:59'), ('12:00:00.1+05:30'), "
                     "('12:00-00:00:01'), ('12:00+00:01'), ('12:00-03:30'), ('12:00+01')",
            .random = "timezone(make_interval(secs => (h(g, 3) / (60 ^ u(g, 4, 3))::int8 % 57599 * "
                      "(60 ^ u(g, 4, 3))::int8) % 57599), (" ANY_TIME "::text || '+00')::timetz)"),
    SUBJECT("timestamp", timestamp,
            .edges = DAYS("timestamp") "('294276-12-31 23:59:59.999999'), ('0044-03-15 12:00:00.25 BC')",
            .random = ANY_TIMESTAMP),
    SUBJECT("timestamptz", timestamptz,
            .edges = DAYS("timestamptz") "('294276-12-31 23:59:59.999999+00'), ('0044-03-15 12:00:00.25+00 BC')",
            .random = ANY_TIMESTAMP " AT TIME ZONE 'UTC'"),
    SUBJECT(
        "interval", interval,
        .edges = "(interval '0'), ('178956970 years 7 mons 2147483647 days 2562047788:00:54.775807'), "
                 "('-178956970 years -8 mons -2147483648 days -2562047788:00:54.775807'), ('1 mon'), ('-1 mon'), "
                 "('1 year 1 mon 1 day 00:00:01'), ('-1 year 1 day'), ('-1 day 00:00:01'), ('1 day -00:00:00.1'), "
                 "('1 year -1 mon'), ('100:00:00'), ('-1 mon 1 day -1 sec'), ('-00:00:00.000001')",
        .random = "make_interval(months => " SHORTENED("h(g, 1) % 2147483648") "::int * (g % 2), days => " SHORTENED(
            "h(g, 2) % 2147483648") "::int * (g / 2 % 2)) + " SHORTENED("h(g, 3) % 1000000000000000000") " * "
                                                                                                         "interval '1 "
                                                                                                         "us' * (g / 4 "
                                                                                                         "% 2)"),
    SUBJECT("uuid", uuid, .edges = "('00000000-0000-0000-0000-000000000000'::uuid)", .random = "md5(g::text)::uuid"),
    SUBJECT("inet", inet,
            .edges =
                "(inet '0.0.0.0'), ('255.255.255.255'), ('10.1.2.3/8'), ('1.2.3.4/0'), ('::'), ('::1'), ('::2/0'), "
                "('::ffff:1.2.3.4'), ('::1.2.3.4'), ('::1:0:0'), ('2001:db8::1/64'), ('1::'), ('1:0:0:2:0:0:0:3'), "
                "('1:0:0:2:3:0:0:4'), ('1:0:2:3:4:5:6:7'), ('0:1:2:3:4:5:6:7'), ('1:2:3:4:5:6:7:0'), "
                "('::ffff:0:1.2.3.4'), ('::ffff:0:0'), ('::fffe:1.2.3.4')",
            .random = ANY_INET),
    SUBJECT("cidr", cidr,
            .edges = "(cidr '0.0.0.0/0'), ('10.0.0.0/8'), ('1.2.3.4/32'), ('::/0'), ('2001:db8::/32'), ('::1/128')",
            .random = "network(" ANY_INET ")"),
    SUBJECT("macaddr", macaddr, .edges = "('00:00:00:00:00:00'::macaddr), ('ff:ff:ff:ff:ff:ff')",
            .random = "substr(md5(g::text), 1, 12)::macaddr"),
    SUBJECT("bit varying", bit, .edges = "(''::varbit), ('0'), ('1'), ('10000000'), ('000000001')",
            .random = "substring(h(g, 1)::bit(64), 1, u(g, 2, 65)::int)::varbit"),
    SUBJECT("bit", bit, .edges = "(B'1'), (B'10101010'), (B'101010101')",
            .random = "substring(h(g, 1)::bit(64), 1, 1 + u(g, 2, 64)::int)"),
    SUBJECT("jsonb", jsonb, .edges = "('null'::jsonb), ('1.50'), ('\"\\u00e9\"'), ('{\"a\": [1, {}], \"b\": null}')",
            .random = "jsonb_build_object('g', g, 'h', h(g, 1), 't', md5(g::text))", .any_length = true),
};

const size_t n_subjects = sizeof subjects / sizeof *subjects;
