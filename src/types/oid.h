/* SPDX-License-Identifier: MIT */
/* The object identifiers of the types this library treats by itself; they are fixed in every PostgreSQL (catalog
 * pg_type). */
#ifndef PGDBM_TYPES_OID_H
#define PGDBM_TYPES_OID_H

enum {
    PGDBM__OID_BOOL = 16,
    PGDBM__OID_BYTEA = 17,
    PGDBM__OID_CHAR = 18,
    PGDBM__OID_NAME = 19,
    PGDBM__OID_INT8 = 20,
    PGDBM__OID_INT2 = 21,
    PGDBM__OID_INT4 = 23,
    PGDBM__OID_TEXT = 25,
    PGDBM__OID_OID = 26,
    PGDBM__OID_JSON = 114,
    PGDBM__OID_CIDR = 650,
    PGDBM__OID_FLOAT4 = 700,
    PGDBM__OID_FLOAT8 = 701,
    PGDBM__OID_MACADDR = 829,
    PGDBM__OID_INET = 869,
    PGDBM__OID_BPCHAR = 1042,
    PGDBM__OID_VARCHAR = 1043,
    PGDBM__OID_DATE = 1082,
    PGDBM__OID_TIME = 1083,
    PGDBM__OID_TIMESTAMP = 1114,
    PGDBM__OID_TIMESTAMPTZ = 1184,
    PGDBM__OID_INTERVAL = 1186,
    PGDBM__OID_TIMETZ = 1266,
    PGDBM__OID_BIT = 1560,
    PGDBM__OID_VARBIT = 1562,
    PGDBM__OID_NUMERIC = 1700,
    PGDBM__OID_UUID = 2950,
    PGDBM__OID_JSONB = 3802,
    /* Types with this number or a higher one were made by users (PostgreSQL's FirstNormalObjectId). */
    PGDBM__OID_FIRST_OF_USERS = 16384
};

#endif
