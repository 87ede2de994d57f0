/* SPDX-License-Identifier: MIT */
/* What a statement of a migration does that a run must know: whether it can run in a transaction, and which index it builds
 * without locking its table. Read off its tokens; pure functions. */
#ifndef PGDBM_MIGRATE_STATEMENT_H
#define PGDBM_MIGRATE_STATEMENT_H

#include <stddef.h>

enum pgdbm__statement_kind {
    PGDBM__STATEMENT_OTHER = 0,
    PGDBM__STATEMENT_CREATE_INDEX,
    PGDBM__STATEMENT_DROP_INDEX,
    PGDBM__STATEMENT_REINDEX
};

/* A piece of the statement; no bytes: there is none. */
struct pgdbm__statement_part {
    size_t offset, bytes;
};

struct pgdbm__statement_facts {
    enum pgdbm__statement_kind kind;
    const char
        *outside; /* "CREATE INDEX CONCURRENTLY": the server refuses it in a transaction. NULL: it does not. Static */
    struct pgdbm__statement_part concurrently; /* the word */
    struct pgdbm__statement_part index, table; /* as spelled, schema included */
};

/* `sql` is one statement. What only the server can know (a subscription with a slot, a routine that commits) is taken to be
 * able to run. */
struct pgdbm__statement_facts pgdbm__statement_facts(const char *sql, size_t bytes);

#endif
