/* SPDX-License-Identifier: MIT */
/* Which functions of pgdbm take SQL, and where. */
#ifndef PGDBM_CHECK_CALLS_H
#define PGDBM_CHECK_CALLS_H

#include "check/check.h"

struct pgdbm__check_call {
    const char *name;
    size_t sql;    /* the argument that is SQL, from 0 */
    bool or_table; /* may also be just a table's name */
};

/* NULL: it takes none. */
const struct pgdbm__check_call *pgdbm__check_call_find(const char *name, size_t name_bytes);
/* The n-th, NULL behind the last. */
const struct pgdbm__check_call *pgdbm__check_call_at(size_t n);

#endif
