/* SPDX-License-Identifier: MIT */
/* The order of modules that need each other. Pure functions. */
#ifndef PGDBM_MIGRATE_REQUIRES_H
#define PGDBM_MIGRATE_REQUIRES_H

#include <pgdbm/error.h>

#include <stddef.h>

/* One module must be migrated before another; both by their places. */
struct pgdbm__dependency {
    size_t dependant, provider;
};

/* Fills `order` with the places 0 to n - 1 so that each provider comes before its dependants, and otherwise in the order in
 * which they were given. The same dependency may stand several times. Errors: MIGRATION for a circle, which the message names
 * ("billing → users → billing"), NOMEM. Linear time, no recursion. */
pgdbm_status pgdbm__modules_order(const char *const *names, size_t n, const struct pgdbm__dependency *dependencies,
                                  size_t n_dependencies, size_t *order, pgdbm_error *err);

#endif
