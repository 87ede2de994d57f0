/* SPDX-License-Identifier: MIT */
/* The pools of this process, by what they are really connected to. */
#ifndef PGDBM_CONFIG_REGISTRY_H
#define PGDBM_CONFIG_REGISTRY_H

#include "config/log.h"

struct pgdbm__target {
    const char *host, *port, *database, *user; /* as libpq reports them after connecting */
};

struct pgdbm__registration;

/* Enters the pool `owner`. Another one to the same target is warned of or, with PGDBM_FORBID, an error (CONFIG). Errors also:
 * NOMEM. Any thread. */
pgdbm_status pgdbm__registry_add(const struct pgdbm__target *target, const char *file, int line,
                                 pgdbm_duplicate_policy policy, const struct pgdbm__log *log, void *owner,
                                 struct pgdbm__registration **registration, pgdbm_error *err);
/* NULL is legal. */
void pgdbm__registry_remove(struct pgdbm__registration *registration);

/* Calls `visit` for the pools of this process. None of them goes away meanwhile; `visit` must not open or close one. */
void pgdbm__registry_visit(void (*visit)(void *owner, void *context), void *context);

#endif
