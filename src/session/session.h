/* SPDX-License-Identifier: MIT */
/* A session and the requests in flight on it.
 *
 * Any number of threads may perform requests on one session at once: they are sent in the order they come, answered in
 * that order, and each has its own Sync, so that a neighbour's error touches nobody. Requests live on the stacks of the
 * threads that perform them; nothing is allocated on the way of a query except its result. */
#ifndef PGDBM_SESSION_SESSION_H
#define PGDBM_SESSION_SESSION_H

#include "base/buffer.h"
#include "base/signal.h"
#include "session/prepared.h"
#include "session/statement.h"
#include "transport/transport.h"

#include <pgdbm/db.h>

/* How long the server has to answer a cancel request before the session is given up. */
#define PGDBM__CANCEL_GRACE_NS (INT64_C(5) * 1000000000)

enum pgdbm__request_kind {
    PGDBM__REQUEST_DESCRIBE, /* Parse and Describe, to learn a statement's types */
    PGDBM__REQUEST_EXECUTE,  /* one execution, or several of the same statement (n_sets) as one transaction */
    PGDBM__REQUEST_SIMPLE,   /* simple protocol */
    PGDBM__REQUEST_SYNC      /* nothing but a round trip */
};

enum pgdbm__rows {
    PGDBM__ROWS_DISCARD = 0,
    PGDBM__ROWS_ALL,
    PGDBM__ROWS_FIRST, /* the others are read and dropped */
    PGDBM__ROWS_STREAM
};

struct pgdbm__request {
    /* What is asked: the caller's, read while the request is being sent. */
    enum pgdbm__request_kind kind;
    struct pgdbm__statement *statement;
    const pgdbm_params *sets;
    size_t n_sets;
    const char *simple_sql;
    enum pgdbm__rows rows;
    pgdbm_row_callback on_row;
    void *context;

    /* What came back. `result` is the caller's to free. */
    pgdbm_status status;
    pgdbm_result *result;
    int64_t affected;
    size_t commands_complete; /* of the sets; after a failure, those before the one that failed */
    bool lost;                /* the session died under it; error.outcome says what is known */
    bool canceled_by_other;   /* 57014 that this request did not ask for */
    bool stale;               /* the statement's types are no longer what the pool believes */
    bool gone;                /* the server does not know the prepared statement */
    bool stopped;             /* the row callback had enough */
    bool row_seen;            /* a row was given to the callback: it cannot be taken back */
    pgdbm_error error;

    /* In flight: guarded by the session's lock, but for what the reader alone touches. */
    struct pgdbm__request *next;
    struct pgdbm__signal signal;
    int64_t deadline;
    uint64_t sent_end; /* the session's count of bytes at the end of its messages */
    bool completed;
    bool failed; /* an ErrorResponse came, or a local failure: `error` is filled */
    bool timed_out;
    bool parse_sent, parse_complete;
    uint32_t parse;       /* the number of that Parse on its session */
    bool leads;           /* its thread has taken the reader's role */
    bool cancel_possible; /* a cancel was under way when its error came: 57014 may be meant for another */
    struct pgdbm__description *description; /* of the rows that are arriving, when not the statement's */
    uint32_t *new_types;                    /* DESCRIBE: as they arrive */
    size_t n_new_types;
};

struct pgdbm__session {
    struct pgdbm__transport transport;
    int statement_cache_size; /* -1: unnamed statements only */

    pthread_mutex_t lock; /* guards everything down to the next blank line */
    struct pgdbm__request *head, **tail;
    struct pgdbm__request *reader;   /* whose thread reads; at the head whenever it is in the FIFO */
    struct pgdbm__buffer out, going; /* appended to; being sent */
    bool sending;
    bool send_failed;
    uint64_t bytes_queued, bytes_sent;
    bool broken;
    pgdbm_error broken_error;
    struct pgdbm__prepared prepared;
    uint64_t statements_prepared;

    /* The reader's alone; the role is handed over under the lock. */
    unsigned char *in;
    size_t in_start, in_end, in_capacity;
    bool in_waits;     /* the last reader left whole messages to this one */
    pgdbm_result *row; /* reused for streams */

    _Atomic char transaction_status;       /* of the last ReadyForQuery: I, T, E */
    _Atomic bool dirty;                    /* something may have been left behind */
    _Atomic int canceling;                 /* cancels that may still hit whatever runs: send nothing new */
    _Atomic bool lost;                     /* as `broken`, readable without the lock */
    _Atomic(const char *) callback_thread; /* the thread that is inside a row callback, by its token */
};

/* Prepares a session around an open transport (already in session->transport). */
pgdbm_status pgdbm__session_init(struct pgdbm__session *session, int statement_cache_size, pgdbm_error *err);
/* Closes everything; nobody may be using it. Zeroed objects are fine. */
void pgdbm__session_destroy(struct pgdbm__session *session);

/* Sends the request and waits for its answer. At `deadline` the statement is cancelled on the server; the call returns
 * when the outcome is known. Returns request->status; request->error is filled when it is not PGDBM_OK. */
pgdbm_status pgdbm__session_perform(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline);

/* What a DESCRIBE learned is what the pool believes: the statement may be used there without a further look. */
void pgdbm__session_confirm(struct pgdbm__session *session, const struct pgdbm__request *described);

/* One simple-protocol command for the engine's own purposes. */
pgdbm_status pgdbm__session_command(struct pgdbm__session *session, const char *sql, int64_t deadline,
                                    pgdbm_error *err);

/* Undoes what users may have left behind (open transaction, role, settings, temporary tables, advisory locks, LISTEN,
 * cursors, prepared statements of their own) and runs the initial commands again. A failure means: close this session.
 */
pgdbm_status pgdbm__session_reset(struct pgdbm__session *session, const char *const *init_commands,
                                  size_t n_init_commands, int64_t deadline, pgdbm_error *err);

/* Ends the conversation: everything in flight completes as lost. Any thread. */
void pgdbm__session_abort(struct pgdbm__session *session);

/* Between send.c, receive.c and session.c. */
pgdbm_status pgdbm__session_encode(struct pgdbm__session *session, struct pgdbm__request *request); /* locked */
void pgdbm__session_flush(struct pgdbm__session *session, struct pgdbm__request *request);          /* locked */
/* Reads as the reader until `request` is complete (true) or the deadline passes (false). */
bool pgdbm__session_lead(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline);
/* Reads what is there without waiting. */
void pgdbm__session_read_available(struct pgdbm__session *session, struct pgdbm__request *request);

enum { PGDBM__SIGNAL_LEAD = PGDBM__SIGNAL_FIRST, PGDBM__SIGNAL_DONE };

#endif
