/* SPDX-License-Identifier: MIT */
/* Which statements are prepared on one session, least recently used last. Guarded by the session's lock.
 *
 * A statement may be used without a further look once its Parse has succeeded and its columns have been seen to be
 * those the pool believes: then it is confirmed. Until then everybody who uses it parses it anew, so that nobody
 * depends on a neighbour's success. */
#ifndef PGDBM_SESSION_PREPARED_H
#define PGDBM_SESSION_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pgdbm__prepared_entry {
    uint64_t id; /* 0: free */
    uint32_t newer, older, chain;
    uint32_t parse; /* number of its last Parse */
    uint64_t epoch; /* of the session, when it was used last */
    bool confirmed;
};

struct pgdbm__prepared {
    struct pgdbm__prepared_entry *entries;
    uint32_t *buckets;
    uint32_t capacity, n_buckets, count;
    uint32_t newest, oldest, free;
    uint32_t last_parse;
};

/* False when memory is short. Zero capacity is legal: nothing is ever remembered. */
bool pgdbm__prepared_init(struct pgdbm__prepared *prepared, size_t capacity);
void pgdbm__prepared_free(struct pgdbm__prepared *prepared);

/* True when the statement is prepared and confirmed; it becomes the most recently used. */
bool pgdbm__prepared_use(struct pgdbm__prepared *prepared, uint64_t id, uint64_t epoch);
/* Notes that a Parse of it is sent and gives the Parse's number. *gone is the statement that had to make room, or 0. */
uint32_t pgdbm__prepared_parse(struct pgdbm__prepared *prepared, uint64_t id, uint64_t epoch, uint64_t *gone);
/* Whether it was used in this epoch already. */
bool pgdbm__prepared_was_used(struct pgdbm__prepared *prepared, uint64_t id, uint64_t epoch);
/* That Parse is good, unless it has been parsed again since. */
void pgdbm__prepared_confirm(struct pgdbm__prepared *prepared, uint64_t id, uint32_t parse);
void pgdbm__prepared_remove(struct pgdbm__prepared *prepared, uint64_t id);
void pgdbm__prepared_clear(struct pgdbm__prepared *prepared);

#endif
