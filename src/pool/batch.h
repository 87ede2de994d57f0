/* SPDX-License-Identifier: MIT */
/* What a batch is made of, between db/batch.c, which collects it, and batch.c, which flies it. */
#ifndef PGDBM_POOL_BATCH_H
#define PGDBM_POOL_BATCH_H

#include "pool/task.h"
#include "session/sets.h"

struct pgdbm__batch_item {
    struct pgdbm_request *task;
    struct pgdbm__statement *statement;
    struct pgdbm__request *flight;
    pgdbm_params *params; /* a copy */
    pgdbm_result *result;
    int64_t affected;
    bool todo, outdated; /* to be run (again); its prepared statement was not good any more */
};

struct pgdbm__flights {
    struct pgdbm__batch_item *items;
    size_t count, capacity;
    bool independent, discard_rows;
    bool describing;
    bool executed;
    size_t failed;            /* the first that failed; `count`: none */
    _Atomic size_t in_flight; /* and one while they are being sent */
    pgdbm_result **results;   /* as the outcome shows them */
};

#endif
