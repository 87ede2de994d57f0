/* SPDX-License-Identifier: MIT */
#include "types/oid.h"

#include <stdio.h>

const char *pgdbm__type_name(uint32_t type, char scratch[32])
{
    switch (type) {
    case PGDBM__OID_BOOL:
        return "bool";
    case PGDBM__OID_BYTEA:
        return "bytea";
    case PGDBM__OID_NAME:
        return "name";
    case PGDBM__OID_INT8:
        return "int8";
    case PGDBM__OID_INT2:
        return "int2";
    case PGDBM__OID_INT4:
        return "int4";
    case PGDBM__OID_TEXT:
        return "text";
    case PGDBM__OID_OID:
        return "oid";
    case PGDBM__OID_FLOAT4:
        return "float4";
    case PGDBM__OID_FLOAT8:
        return "float8";
    case PGDBM__OID_BPCHAR:
        return "bpchar";
    case PGDBM__OID_VARCHAR:
        return "varchar";
    case PGDBM__OID_NUMERIC:
        return "numeric";
    case 114:
        return "json";
    case 1082:
        return "date";
    case 1114:
        return "timestamp";
    case 1184:
        return "timestamptz";
    case 2950:
        return "uuid";
    case 3802:
        return "jsonb";
    default:
        snprintf(scratch, 32, "type %u", (unsigned)type);
        return scratch;
    }
}

bool pgdbm__type_is_text(uint32_t type)
{
    return type == PGDBM__OID_TEXT || type == PGDBM__OID_VARCHAR || type == PGDBM__OID_BPCHAR ||
           type == PGDBM__OID_NAME;
}
