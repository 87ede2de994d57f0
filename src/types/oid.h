/* SPDX-License-Identifier: MIT */
/* The object identifiers of the types this library treats by itself; they are fixed in every PostgreSQL (catalog
 * pg_type). */
#ifndef PGDBM_TYPES_OID_H
#define PGDBM_TYPES_OID_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PGDBM__OID_BOOL = 16,
    PGDBM__OID_BYTEA = 17,
    PGDBM__OID_NAME = 19,
    PGDBM__OID_INT8 = 20,
    PGDBM__OID_INT2 = 21,
    PGDBM__OID_INT4 = 23,
    PGDBM__OID_TEXT = 25,
    PGDBM__OID_OID = 26,
    PGDBM__OID_FLOAT4 = 700,
    PGDBM__OID_FLOAT8 = 701,
    PGDBM__OID_BPCHAR = 1042,
    PGDBM__OID_VARCHAR = 1043,
    PGDBM__OID_NUMERIC = 1700
};

/* The type's name for messages; "type 12345" (written into scratch) when it is not one of ours. */
const char *pgdbm__type_name(uint32_t type, char scratch[32]);
/* Types whose text and binary forms are the same bytes. */
bool pgdbm__type_is_text(uint32_t type);

#endif
