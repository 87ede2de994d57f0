/* SPDX-License-Identifier: MIT */
/* Which statements are prepared on one session, least recently used last. Guarded by the session's lock. */
#ifndef PGDBM_SESSION_PREPARED_H
#define PGDBM_SESSION_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pgdbm__prepared_entry {
    uint64_t id; /* 0: free */
    uint32_t newer, older, chain;
};

struct pgdbm__prepared {
    struct pgdbm__prepared_entry *entries;
    uint32_t *buckets;
    uint32_t capacity, n_buckets, count;
    uint32_t newest, oldest, free;
};

/* False when memory is short. Zero capacity is legal: nothing is ever remembered. */
bool pgdbm__prepared_init(struct pgdbm__prepared *prepared, size_t capacity);
void pgdbm__prepared_free(struct pgdbm__prepared *prepared);

/* True when the statement is prepared; it becomes the most recently used. */
bool pgdbm__prepared_use(struct pgdbm__prepared *prepared, uint64_t id);
/* Remembers it; returns the id that had to go, or 0. */
uint64_t pgdbm__prepared_add(struct pgdbm__prepared *prepared, uint64_t id);
void pgdbm__prepared_remove(struct pgdbm__prepared *prepared, uint64_t id);
void pgdbm__prepared_clear(struct pgdbm__prepared *prepared);

#endif
