/* SPDX-License-Identifier: MIT */
/* An allocator that fails on demand and counts what lives, for sweeps: a scenario runs with its first allocation failing, then
 * with its second, and so on, until it needs no more. */
#ifndef PGDBM_TESTS_SUPPORT_ALLOCATOR_H
#define PGDBM_TESTS_SUPPORT_ALLOCATOR_H

#include "support/server.h"

/* Puts it in force for the whole program. To be called first. */
bool allocator_begin(void);
/* From now on the allocation of this number fails, counted from 1, and with `and_all_later` each one after it. */
void allocator_arm(long which, bool and_all_later);
/* Nothing fails any more; gives whether something has since it was armed. */
bool allocator_disarm(void);
bool allocator_is_armed(void);
/* Arms it again after a disarm, where it was. */
void allocator_go_on(void);
/* How many allocations have not been given back. */
long allocator_live(void);
/* The call said out of memory, with a whole error, or succeeded. */
void allocator_expect(long which, pgdbm_status status, const pgdbm_error *err);

#endif
