/* SPDX-License-Identifier: MIT */
/* A statement as the whole pool knows it: its text, the name it is prepared under, and, once a session has described
 * it, its parameters' and columns' types. Immutable once described, shared by reference: a further session that
 * prepares it needs no extra round trip. When the world changes (a column's type), the pool forgets it and makes
 * another with another name. */
#ifndef PGDBM_SESSION_STATEMENT_H
#define PGDBM_SESSION_STATEMENT_H

#include "result/result.h"

#include <pthread.h>
#include <stdatomic.h>

struct pgdbm__statement {
    _Atomic int references;
    uint64_t id;
    char name[24];
    char *text; /* expanded; ends with NUL */
    size_t text_bytes;
    unsigned effects;             /* sql/effects.h */
    const char *sql;              /* as it was written, a template perhaps: `text`, or of its own */
    char *schema;                 /* that it was expanded for; NULL: none, or it makes no difference */
    _Atomic int64_t service_ns;   /* how long the server is at it, a moving average; 0: not measured */
    _Atomic uint64_t prepared_on; /* a bit for each session (its number modulo 64) that has it: a hint for routing */
    pthread_mutex_t lock; /* guards the describing: the fields below are written once, before `described` is set */
    _Atomic bool described;
    size_t n_params;
    uint32_t *param_types;
    struct pgdbm__description *description; /* NULL: no rows */
    _Atomic bool ready;                     /* the types that users made are known, too: it can be executed */
    const struct pgdbm__type **types;       /* of the parameters; written once, before `ready` is set */
    _Atomic uint32_t generation;            /* of the catalog that has its users' types; 0: it has none */
};

/* A statement with one reference, its texts copied: `sql` for `schema` has been expanded to `text`. NULL when memory is
 * short. */
struct pgdbm__statement *pgdbm__statement_new(uint64_t id, const char *sql, const char *schema, const char *text,
                                              size_t text_bytes);
/* The server was at it for so long, this time. */
void pgdbm__statement_measured(struct pgdbm__statement *statement, int64_t service_ns);
struct pgdbm__statement *pgdbm__statement_ref(struct pgdbm__statement *statement);
void pgdbm__statement_unref(struct pgdbm__statement *statement);

/* Publishes what a session learned. The first one wins; takes both allocations over in any case. False when another
 * session had learned something else: the world has changed in between. */
bool pgdbm__statement_describe(struct pgdbm__statement *statement, uint32_t *param_types, size_t n_params,
                               struct pgdbm__description *description);

/* Makes a described statement ready, when all its types are in the catalog. Otherwise it calls `missing` (may be NULL) for
 * each that is not; false also when memory is short. */
bool pgdbm__statement_resolve(struct pgdbm__statement *statement, struct pgdbm__catalog *catalog,
                              void (*missing)(void *context, uint32_t oid), void *context);

#endif
