/* SPDX-License-Identifier: MIT */
/* The types that users made, as far as they have been looked up: one catalog for each pool, shared by reference with the
 * descriptions of results, which outlive it. What has been handed out stays valid as long as the catalog. Any thread. */
#ifndef PGDBM_TYPES_CATALOG_H
#define PGDBM_TYPES_CATALOG_H

#include "types/type.h"

struct pgdbm__catalog;

struct pgdbm__catalog *pgdbm__catalog_new(void); /* NULL when memory is short */
struct pgdbm__catalog *pgdbm__catalog_ref(struct pgdbm__catalog *catalog);
void pgdbm__catalog_unref(struct pgdbm__catalog *catalog);

/* The type, built in or known; NULL: a user's that has to be looked up. */
const struct pgdbm__type *pgdbm__catalog_find(struct pgdbm__catalog *catalog, uint32_t oid);

/* Remembers a copy, unless the generation is not that one any more: what was asked before somebody changed a type may be
 * what was before. False when memory is short. */
bool pgdbm__catalog_add(struct pgdbm__catalog *catalog, const struct pgdbm__type *type, uint32_t generation);

/* Somebody changed a type of this generation: everything is looked up again when it is met next, unless another has seen
 * to that already. Statements of an older generation hold what was known then. The first generation is 1. NULL is legal. */
void pgdbm__catalog_forget(struct pgdbm__catalog *catalog, uint32_t generation);
uint32_t pgdbm__catalog_generation(struct pgdbm__catalog *catalog);

/* For what cannot even be looked up. */
extern const struct pgdbm__type pgdbm__type_unknown;

#endif
