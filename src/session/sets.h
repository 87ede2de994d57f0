/* SPDX-License-Identifier: MIT */
/* Copies of sets of parameters, for requests that outlive the call. */
#ifndef PGDBM_SESSION_SETS_H
#define PGDBM_SESSION_SETS_H

#include <pgdbm/params.h>

/* What a copy takes; false when it is more than there can be. */
bool pgdbm__sets_measure(const pgdbm_params *sets, size_t n_sets, size_t *bytes);
/* The copy in an allocation of its own; NULL when memory is short. */
pgdbm_params *pgdbm__sets_duplicate(const pgdbm_params *sets, size_t n_sets);
/* The copy, in `space` (aligned to 8): first the lists, then the values, then all they point to. */
pgdbm_params *pgdbm__sets_copy(const pgdbm_params *sets, size_t n_sets, char *space);

#endif
