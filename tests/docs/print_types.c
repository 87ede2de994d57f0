/* SPDX-License-Identifier: MIT */
/* Prints the built-in types that travel in binary, each with the kinds that a struct's field may have for it: a line for
 * each, to be compared with the table of docs/types.md. Arrays are left out: every type has one. */
#include "types/oid.h"
#include "types/value.h"

#include <stdio.h>

static const char *const kinds[] = {
#define KIND(kind) [PGDBM_##kind] = #kind
    KIND(BOOL),    KIND(INT16), KIND(INT32),     KIND(INT64),   KIND(UINT32), KIND(FLOAT),  KIND(DOUBLE),
    KIND(TEXT),    KIND(BYTES), KIND(TIMESTAMP), KIND(DATE),    KIND(TIME),   KIND(TIMETZ), KIND(INTERVAL),
    KIND(DECIMAL), KIND(UUID),  KIND(INET),      KIND(MACADDR), KIND(BITS),
#undef KIND
};

int main(void)
{
    for (uint32_t oid = 1; oid < PGDBM__OID_FIRST_OF_USERS; oid++) {
        const struct pgdbm__type *type = pgdbm__type_builtin(oid);
        if (type == NULL || type->kind == PGDBM__TYPE_ARRAY)
            continue;
        printf("%s", type->name);
        for (size_t kind = 1; kind < sizeof kinds / sizeof *kinds; kind++)
            if (pgdbm__value_fits(type, (pgdbm_field_kind)kind))
                printf(" %s", kinds[kind]);
        printf("\n");
    }
    return 0;
}
