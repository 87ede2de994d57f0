/* SPDX-License-Identifier: MIT */
/* Observers: a callback for each statement that has gone through a pool, with its text, its time and its outcome. For
 * logs of slow statements, figures, and tests that count (<pgdbm/testkit.h> builds its captures on it).
 *
 * A statement is told of once, when its outcome is known, before its owner has it: a blocking verb returns afterwards, a
 * callback or future comes afterwards. What the library repeats by itself is one statement; what never left this process
 * (outcome NOT_SENT) is none, nor is what the pool sends for its own sake: first commands and cleaning of sessions, the
 * describing of statements, LISTEN, savepoints that guard a statement. Where nobody observes, the cost is one load. */
#ifndef PGDBM_OBSERVE_H
#define PGDBM_OBSERVE_H

#include <pgdbm/db.h>

typedef enum pgdbm_observed {
    PGDBM_OBSERVED_STATEMENT = 0, /* by any verb, a batch, a stream, or the opening of a cursor */
    PGDBM_OBSERVED_SIMPLE,        /* pgdbm_execute_simple: one text, of several statements perhaps */
    PGDBM_OBSERVED_COPY,
    PGDBM_OBSERVED_FETCH,  /* more rows of a cursor */
    PGDBM_OBSERVED_CONTROL /* BEGIN, COMMIT, ROLLBACK and savepoints, by the verbs or by SQL on a pinned session */
} pgdbm_observed;

/* Valid during the callback only. Later versions append fields. */
typedef struct pgdbm_observation {
    pgdbm_observed kind;
    const char *sql;     /* as it was sent: templates expanded, values not in it */
    size_t n_params;     /* of one execution */
    size_t n_executions; /* 1; of pgdbm_execute_many: its sets, in one round trip */
    int64_t duration_ns; /* from the call to the answer, the wait for a session included; of a batch's: from its run */
    int64_t affected;    /* the count of the command tag; 0 where there is none, and after a failure */
    pgdbm_status status;
    const pgdbm_error *error; /* NULL when status is PGDBM_OK, or when there was no memory for it */
} pgdbm_observation;

/* Called in the thread that learned the outcome, by several threads at once, with no pgdbm lock held: of a blocking verb it
 * is the caller's, else whichever thread reads from the server. What it takes is taken from the statements. It must not
 * call into the same pool, except for pgdbm_unobserve. */
typedef void (*pgdbm_observe_callback)(const pgdbm_observation *observation, void *context);

typedef struct pgdbm_observer pgdbm_observer;

PGDBM_BEGIN_DECLS

/* From now on `callback` is told of each statement of the pool behind `db`, whichever of its managers, transactions and
 * threads it comes from. `*observer` is the caller's, released with pgdbm_unobserve; it may outlive `db` and the pool.
 * Observers of one pool are called in the order in which they came. Sends nothing. Errors: ARGUMENT, POOL (closed), NOMEM.
 * Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_observe(pgdbm_db *db, pgdbm_observe_callback callback, void *context,
                                        pgdbm_observer **observer, pgdbm_error *err);

/* Ends it: when this returns no thread is in the callback, and none will be. Inside of that very callback it does not
 * wait; then other threads may be in it still, none will enter it any more. NULL is legal. Any thread. */
PGDBM_EXPORT void pgdbm_unobserve(pgdbm_observer *observer);

PGDBM_END_DECLS
#endif
