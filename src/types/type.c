/* SPDX-License-Identifier: MIT */
/* The built-in types (catalog pg_type of every PostgreSQL; ranges and multiranges of it, 8.17). One row each: what is not
 * here travels as text. Constant, so any thread may look. */
#include "types/type.h"

#include "types/container.h"
#include "types/oid.h"
#include "types/scalar.h"

#include <stddef.h>

/* X(oid, name, kind, printer, parser, oid of its array) */
#define SCALARS(X)                                                                                                     \
    X(16, bool, SCALAR, bool, bool, 1000)                                                                              \
    X(17, bytea, SCALAR, bytea, bytea, 1001)                                                                           \
    X(18, char, SCALAR, char, char, 1002)                                                                              \
    X(19, name, TEXT, text, text, 1003)                                                                                \
    X(20, int8, SCALAR, int8, int8, 1016)                                                                              \
    X(21, int2, SCALAR, int2, int2, 1005)                                                                              \
    X(23, int4, SCALAR, int4, int4, 1007)                                                                              \
    X(25, text, TEXT, text, text, 1009)                                                                                \
    X(26, oid, SCALAR, oid, oid, 1028)                                                                                 \
    X(114, json, TEXT, text, text, 199)                                                                                \
    X(650, cidr, SCALAR, cidr, cidr, 651)                                                                              \
    X(700, float4, SCALAR, float4, float4, 1021)                                                                       \
    X(701, float8, SCALAR, float8, float8, 1022)                                                                       \
    X(829, macaddr, SCALAR, macaddr, macaddr, 1040)                                                                    \
    X(869, inet, SCALAR, inet, inet, 1041)                                                                             \
    X(1042, bpchar, TEXT, text, text, 1014)                                                                            \
    X(1043, varchar, TEXT, text, text, 1015)                                                                           \
    X(1082, date, SCALAR, date, date, 1182)                                                                            \
    X(1083, time, SCALAR, time, time, 1183)                                                                            \
    X(1114, timestamp, SCALAR, timestamp, timestamp, 1115)                                                             \
    X(1184, timestamptz, SCALAR, timestamptz, timestamptz, 1185)                                                       \
    X(1186, interval, SCALAR, interval, interval, 1187)                                                                \
    X(1266, timetz, SCALAR, timetz, timetz, 1270)                                                                      \
    X(1560, bit, SCALAR, bit, bit, 1561)                                                                               \
    X(1562, varbit, SCALAR, bit, bit, 1563)                                                                            \
    X(1700, numeric, SCALAR, numeric, numeric, 1231)                                                                   \
    X(2950, uuid, SCALAR, uuid, uuid, 2951)                                                                            \
    X(3802, jsonb, SCALAR, jsonb, jsonb, 3807)

/* X(oid, name, subtype, oid of its array, oid of its multirange, name of that, oid of the multirange's array) */
#define RANGES(X)                                                                                                      \
    X(3904, int4range, int4, 3905, 4451, int4multirange, 6150)                                                         \
    X(3906, numrange, numeric, 3907, 4532, nummultirange, 6151)                                                        \
    X(3908, tsrange, timestamp, 3909, 4533, tsmultirange, 6152)                                                        \
    X(3910, tstzrange, timestamptz, 3911, 4534, tstzmultirange, 6153)                                                  \
    X(3912, daterange, date, 3913, 4535, datemultirange, 6155)                                                         \
    X(3926, int8range, int8, 3927, 4536, int8multirange, 6157)

enum place {
#define PLACE(oid, name, ...) AT_##name, ARRAY_AT_##name,
    SCALARS(PLACE)
#undef PLACE
#define PLACE(oid, name, subtype, array, multi, multi_name, multi_array)                                               \
    AT_##name, ARRAY_AT_##name, AT_##multi_name, ARRAY_AT_##multi_name,
        RANGES(PLACE)
#undef PLACE
            COUNT
};

static const struct pgdbm__type types[COUNT] = {
#define SCALAR(number, title, nature, printer, parser, array)                                                          \
    [AT_##title] = {.oid = (number),                                                                                   \
                    .kind = PGDBM__TYPE_##nature,                                                                      \
                    .name = #title,                                                                                    \
                    .print = pgdbm__print_##printer,                                                                   \
                    .parse = pgdbm__parse_##parser},                                                                   \
    [ARRAY_AT_##title] = {.oid = (array),                                                                              \
                          .kind = PGDBM__TYPE_ARRAY,                                                                   \
                          .name = #title "[]",                                                                         \
                          .print = pgdbm__print_array,                                                                 \
                          .element = &types[AT_##title]},
    SCALARS(SCALAR)
#undef SCALAR
#define RANGE(number, title, subtype, array, multi, multi_title, multi_array)                                          \
    [AT_##title] = {.oid = (number),                                                                                   \
                    .kind = PGDBM__TYPE_RANGE,                                                                         \
                    .name = #title,                                                                                    \
                    .print = pgdbm__print_range,                                                                       \
                    .element = &types[AT_##subtype]},                                                                  \
    [ARRAY_AT_##title] = {.oid = (array),                                                                              \
                          .kind = PGDBM__TYPE_ARRAY,                                                                   \
                          .name = #title "[]",                                                                         \
                          .print = pgdbm__print_array,                                                                 \
                          .element = &types[AT_##title]},                                                              \
    [AT_##multi_title] = {.oid = (multi),                                                                              \
                          .kind = PGDBM__TYPE_MULTIRANGE,                                                              \
                          .name = #multi_title,                                                                        \
                          .print = pgdbm__print_multirange,                                                            \
                          .element = &types[AT_##title]},                                                              \
    [ARRAY_AT_##multi_title] = {.oid = (multi_array),                                                                  \
                                .kind = PGDBM__TYPE_ARRAY,                                                             \
                                .name = #multi_title "[]",                                                             \
                                .print = pgdbm__print_array,                                                           \
                                .element = &types[AT_##multi_title]},
        RANGES(RANGE)
#undef RANGE
};

/* By OID; the compiler makes a jump table or a search of it. */
const struct pgdbm__type *pgdbm__type_builtin(uint32_t oid)
{
    switch (oid) {
#define SCALAR(number, title, nature, printer, parser, array)                                                          \
    case number:                                                                                                       \
        return &types[AT_##title];                                                                                     \
    case array:                                                                                                        \
        return &types[ARRAY_AT_##title];
        SCALARS(SCALAR)
#undef SCALAR
#define RANGE(number, title, subtype, array, multi, multi_title, multi_array)                                          \
    case number:                                                                                                       \
        return &types[AT_##title];                                                                                     \
    case array:                                                                                                        \
        return &types[ARRAY_AT_##title];                                                                               \
    case multi:                                                                                                        \
        return &types[AT_##multi_title];                                                                               \
    case multi_array:                                                                                                  \
        return &types[ARRAY_AT_##multi_title];
        RANGES(RANGE)
#undef RANGE
    default:
        return NULL;
    }
}
