/* SPDX-License-Identifier: MIT */
/* A session and the requests in flight on it.
 *
 * Any number of threads may perform requests on one session at once: they are sent in the order they come, answered in
 * that order, and each has its own Sync, so that a neighbour's error touches nobody. Requests that only read, and that
 * leave in one go, share a Sync instead: the server then answers them in one go. When one of them fails the server skips
 * those behind it; they come back as `skipped` and are asked again.
 *
 * A request is waited for by the thread that performs it (it lies on that thread's stack), or has a `notify` function:
 * then nobody waits, and whoever drives the pool reads for it. Nothing is allocated on the way of a query except its
 * result. */
#ifndef PGDBM_SESSION_SESSION_H
#define PGDBM_SESSION_SESSION_H

#include "base/buffer.h"
#include "base/signal.h"
#include "result/shape.h"
#include "session/prepared.h"
#include "session/statement.h"
#include "transport/poller.h"
#include "transport/transport.h"

#include <pgdbm/db.h>

/* How long a server that has been asked to cancel may say nothing before the session is given up. One that goes on sending
 * rows over a slow connection is alive: it notices the cancel when it has got rid of them. */
#define PGDBM__CANCEL_GRACE_NS (INT64_C(5) * 1000000000)

#define PGDBM__SERVICE_UNKNOWN (-1)

enum pgdbm__request_kind {
    PGDBM__REQUEST_DESCRIBE, /* Parse and Describe, to learn a statement's types */
    PGDBM__REQUEST_LOOKUP,   /* and then what those of them are that users made (lookup.c) */
    PGDBM__REQUEST_EXECUTE,  /* one execution, or several of the same statement (n_sets) as one transaction */
    PGDBM__REQUEST_FETCH,    /* the next rows of a portal that an execution has left open */
    PGDBM__REQUEST_CLOSE,    /* the end of such a portal */
    PGDBM__REQUEST_SIMPLE,   /* simple protocol */
    PGDBM__REQUEST_COPY,     /* the same, with a COPY: needs a `notify` function */
    PGDBM__REQUEST_SYNC      /* nothing but a round trip */
};

enum pgdbm__rows {
    PGDBM__ROWS_DISCARD = 0,
    PGDBM__ROWS_ALL,
    PGDBM__ROWS_FIRST, /* the others are read and dropped */
    PGDBM__ROWS_STREAM,
    PGDBM__ROWS_STRUCTS /* by `shape` */
};

struct pgdbm__request {
    /* What is asked: the caller's, read while the request is being sent. */
    enum pgdbm__request_kind kind;
    struct pgdbm__statement *statement;
    struct pgdbm__catalog *catalog; /* LOOKUP */
    uint32_t generation;            /* and its generation when the question was put */
    const pgdbm_params *sets;
    size_t n_sets;
    /* EXECUTE: rows to be given, in a portal that stays open until it is closed or its transaction ends; 0: all rows, and
     * no such portal. FETCH: the same of the next ones. */
    int32_t max_rows;
    uint64_t portal; /* its number on the session; given to an EXECUTE when it is sent */
    const char *simple_sql;
    enum pgdbm__rows rows;
    const pgdbm_struct *shape;
    pgdbm_row_callback on_row;
    void *context;
    size_t max_result_bytes; /* 0: no limit */
    bool may_share_sync;     /* only reads, and is quick: what runs beside it does not matter */
    bool repeated;           /* not for the first time: shares no Sync */
    bool may_guard;          /* a transaction is not to be lost when the statement turns out to be outdated */
    bool keeps_sync_open;    /* of a batch that is one transaction, and not the last of it */
    void (*notify)(struct pgdbm__request *request, uint32_t reason); /* NULL: a thread waits */
    bool copies_in;                                                  /* COPY FROM; else TO */
    /* COPY TO: a piece has come. In the thread that reads. */
    void (*on_copy_data)(struct pgdbm__request *request, const void *data, size_t bytes);
    /* For a thread that need not wait beyond its deadline while the server is at another request: makes what takes its
     * place in the FIFO (a zeroed request with `notify`), or NULL; and takes that back when it was not needed. */
    struct pgdbm__request *(*make_stand_in)(struct pgdbm__request *request);
    void (*drop_stand_in)(struct pgdbm__request *stand_in);

    /* What came back. `result` is the caller's to free. */
    pgdbm_status status;
    pgdbm_result *result;
    int64_t affected;
    size_t commands_complete; /* of the sets; after a failure, those before the one that failed */
    bool suspended;           /* max_rows have come, and the portal may have more */
    bool lost;                /* the session died under it; error.outcome says what is known */
    bool canceled_by_other;   /* 57014 that this request did not ask for */
    bool stale;               /* the statement's types are no longer what the pool believes */
    bool gone;                /* the server does not know the prepared statement */
    bool stopped;             /* the row callback had enough */
    bool row_seen;            /* a row was given to the callback: it cannot be taken back */
    bool skipped;             /* one before it under the same Sync failed: the server did not look at it */
    bool rolled_back;         /* the command tag was ROLLBACK, whatever was asked */
    int64_t service_ns;       /* how long the server was at it, or PGDBM__SERVICE_UNKNOWN */

    /* In flight: guarded by the session's lock, but for what the reader alone touches. */
    struct pgdbm__request *next;
    struct pgdbm__signal signal;
    int64_t deadline;
    int64_t queued_ns;    /* when it was given to the session */
    uint64_t sent_end;    /* the session's count of bytes at the end of its messages */
    bool copying;         /* COPY FROM: the server takes data */
    bool short_of_memory; /* its data could not be sent, and it was ended for that */
    bool syncs;           /* its messages end with a Sync */
    bool completed;
    bool failed;              /* an ErrorResponse came, or a local failure: `error` is filled */
    bool timed_out, canceled; /* by its deadline; by its owner */
    bool left;                /* its thread has gone at the deadline; a stand-in is in its place */
    bool parse_sent, parse_complete;
    bool guarded, guard_set; /* its first Bind is sent between SAVEPOINT and RELEASE; the first has been answered */
    bool bound;              /* the server has taken the first set: it is not outdated */
    uint32_t parse;          /* the number of that Parse on its session */
    bool leads;              /* its thread has taken the reader's role */
    bool cancel_possible;    /* a cancel was under way when its error came: 57014 may be meant for another */
    struct pgdbm__description *description; /* of the rows that arrive, when not the statement's; FETCH: the caller's */
    uint32_t *new_types;                    /* DESCRIBE: as they arrive */
    size_t n_new_types;
    size_t result_bytes;
    size_t answer_bytes; /* of rows or COPY data that came */

    pgdbm_error error; /* near the end, because it is long: written before it is read */
    /* Somebody waits for it to come to the head, to cancel it there. Behind what is zeroed when a request is used again,
     * because that somebody does not know whether it is in the FIFO already. */
    _Atomic bool wants_head;
};

struct pgdbm__session {
    struct pgdbm__transport transport;
    struct pgdbm__poller *poller; /* where it is watched for requests that nobody waits for */
    uint64_t key;                 /* its name there */
    unsigned number;              /* its place among the pool's sessions, for hints */
    int statement_cache_size;     /* -1: unnamed statements only */
    /* Or NULL. Once set it stays: whoever reads may be about to call it. */
    void (*on_notification)(void *context, const char *channel, const char *payload, int sender);
    void *notification_context;
    void (*attention)(
        struct pgdbm__session *session); /* there may be something to drive that the poller does not see */

    pthread_mutex_t lock; /* guards everything down to the next blank line */
    struct pgdbm__request *head, **tail;
    struct pgdbm__request *reader;   /* whose thread reads; with a `notify` function: whoever drives the pool */
    struct pgdbm__request *open_end; /* the last one in `out` whose Sync the next may share, or NULL */
    struct pgdbm__buffer out, going; /* appended to; being sent */
    size_t going_done;               /* of `going`: sent */
    bool sending;
    bool driven;                     /* whoever drives the pool is reading */
    bool paused;                     /* nothing is read: who asked for it has enough */
    struct pgdbm__request *room_for; /* a COPY FROM that waits for room in `out` */
    _Atomic bool listening; /* notifications come without being asked for: read also when nothing is in flight */
    unsigned watched;       /* PGDBM__POLL_... bits of the poller */
    bool send_failed;
    uint64_t bytes_queued, bytes_sent;
    bool broken;
    pgdbm_error broken_error;
    struct pgdbm__prepared prepared;
    bool guard_prepared; /* the two commands that guard a statement are; written by the reader */
    uint64_t statements_prepared;
    uint64_t epoch;       /* counted up when locks of statements that have run may be gone: a transaction's end, ... */
    uint64_t last_portal; /* the number of the last one that was opened */

    /* The reader's alone; the role is handed over under the lock. */
    unsigned char *in;
    size_t in_start, in_end, in_capacity;
    bool in_waits;     /* the last reader left whole messages to this one */
    size_t in_skip;    /* bytes still to come of a message that nobody wants */
    int64_t done_ns;   /* when the last request was complete */
    pgdbm_result *row; /* reused for streams */

    _Atomic char transaction_status;       /* of the last ReadyForQuery: I, T, E */
    _Atomic bool dirty;                    /* something may have been left behind */
    _Atomic int canceling;                 /* cancels that may still hit whatever runs: send nothing new */
    _Atomic bool lost;                     /* as `broken`, readable without the lock */
    _Atomic int64_t head_since;            /* when the request at the head came to it; 0: none is in flight */
    _Atomic int64_t read_ns;               /* when bytes came last; written by the reader */
    _Atomic int64_t round_trip_ns;         /* to the server and back, at best */
    _Atomic(const char *) abort_reason;    /* why we ended it, if we did */
    _Atomic(const char *) callback_thread; /* the thread that is inside a row callback, by its token */
};

/* Prepares a session around an open transport (already in session->transport). */
pgdbm_status pgdbm__session_init(struct pgdbm__session *session, int statement_cache_size, pgdbm_error *err);
/* Closes everything; nobody may be using it. Zeroed objects are fine. */
void pgdbm__session_destroy(struct pgdbm__session *session);

/* Sends the request and waits for its answer. At `deadline` the statement is cancelled on the server; the call returns
 * when the outcome is known. Returns request->status; request->error is filled when it is not PGDBM_OK. */
pgdbm_status pgdbm__session_perform(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline);

/* Queues a request that has a `notify` function; pgdbm__session_push sends it. False when it cannot be: request->status
 * and error say why, and nobody is notified. Otherwise notify is called once with PGDBM__SIGNAL_DONE, after which
 * pgdbm__request_conclude says what the answer means. notify runs in whatever thread reads, without a lock of the
 * session's. */
bool pgdbm__session_enqueue(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline);
pgdbm_status pgdbm__request_conclude(struct pgdbm__request *request);

/* Makes the error of a request that was cancelled or skipped, or lost over a cancel request, that of a deadline. */
void pgdbm__request_fail_late(struct pgdbm__request *request);

/* Which of the parameters is too large to be copied or sent, from 1; 0: none is known to be. */
size_t pgdbm__params_too_large(const pgdbm_params *params);

/* Whether the parameters can be sent to the (described) statement, found out without sending anything. */
pgdbm_status pgdbm__session_check_params(const struct pgdbm__statement *statement, const pgdbm_params *params,
                                         pgdbm_error *err);

/* Sends what is queued as far as the socket takes it, without waiting; the poller says when to go on. */
void pgdbm__session_push(struct pgdbm__session *session);

/* Reads what is there for requests that nobody waits for. For whoever drives the pool, after the poller said so or after
 * PGDBM__SIGNAL_LEAD was raised. */
void pgdbm__session_drive(struct pgdbm__session *session);

/* Whether the request is the one the server is at: a cancel would hit it, and 57014 will mean it (by its deadline, or by
 * its owner). When it is not, it is told by PGDBM__SIGNAL_HEAD when it is. Only for requests that have a `notify`
 * function; one that is enqueued later looks at `wants_head` then. */
bool pgdbm__session_await_head(struct pgdbm__session *session, struct pgdbm__request *request, bool timed_out);

/* Data of a COPY FROM. Takes as much as fits into what may be queued; when that is not all, the request gets
 * PGDBM__SIGNAL_ROOM later. Without memory the request ends, with PGDBM_ERR_NOMEM. */
size_t pgdbm__session_copy(struct pgdbm__session *session, struct pgdbm__request *request, const void *data,
                           size_t bytes);
/* Its end; `failure` is what the server is told instead of taking it (NULL: all is well). */
void pgdbm__session_copy_end(struct pgdbm__session *session, struct pgdbm__request *request, const char *failure);
/* Stops reading, so that the server is held back; or goes on. For sessions with one request. */
void pgdbm__session_pause(struct pgdbm__session *session, bool paused);

/* From now on messages that come unasked are read as they come. */
void pgdbm__session_listen(struct pgdbm__session *session);
void pgdbm__session_unlisten(struct pgdbm__session *session);

/* Undoes what a guarded request has done to its transaction, which goes on as if it had not been sent. */
pgdbm_status pgdbm__session_undo_guarded(struct pgdbm__session *session, int64_t deadline, pgdbm_error *err);

/* What a DESCRIBE learned is what the pool believes: the statement may be used there without a further look. */
void pgdbm__session_confirm(struct pgdbm__session *session, const struct pgdbm__request *described);

/* lookup.c: the message that asks for the types of a statement that are not known; and what the answer says, after which
 * the statement is ready, unless the catalog was forgotten meanwhile: then it has to be asked again. */
void pgdbm__lookup_encode(struct pgdbm__request *request, struct pgdbm__buffer *out);
pgdbm_status pgdbm__lookup_learn(struct pgdbm__request *request);

/* One simple-protocol command for the engine's own purposes. */
pgdbm_status pgdbm__session_command(struct pgdbm__session *session, const char *sql, int64_t deadline,
                                    pgdbm_error *err);

/* Undoes what users may have left behind (open transaction, role, settings, temporary tables, advisory locks, LISTEN,
 * cursors, prepared statements of their own) and runs the initial commands again. A failure means: close this session.
 */
pgdbm_status pgdbm__session_reset(struct pgdbm__session *session, const char *const *init_commands,
                                  size_t n_init_commands, int64_t deadline, pgdbm_error *err);

/* The same one by one, for who does not wait: the command of step 0, 1, ...; NULL when there is none left. Step 0 is to
 * be skipped when no transaction is open. */
const char *pgdbm__session_reset_command(size_t step, const char *const *init_commands, size_t n_init_commands);

/* Ends the conversation: everything in flight completes as lost. `reason` (static) is for its errors. Any thread. */
void pgdbm__session_abort(struct pgdbm__session *session, const char *reason);

struct pgdbm__message;
/* Between send.c, receive.c, messages.c and session.c. */
/* One message for the request at the head (NULL: none), ReadyForQuery excepted. False when it breaks protocol. An error that ends
 * the session is in *last_words, and *fatal. */
bool pgdbm__session_handle(struct pgdbm__session *session, struct pgdbm__request *request,
                           const struct pgdbm__message *message, pgdbm_error *last_words, bool *fatal);
/* The request's answer is larger than it may be. */
void pgdbm__session_fail_large(struct pgdbm__request *request);
pgdbm_status pgdbm__session_encode(struct pgdbm__session *session, struct pgdbm__request *request); /* locked */
void pgdbm__session_flush(struct pgdbm__session *session, struct pgdbm__request *request);          /* locked */
/* Reads as the reader until `request` is complete (true) or the deadline passes (false); and until it is complete or at
 * the head, where a cancel would hit it. */
bool pgdbm__session_lead(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline);
void pgdbm__session_lead_to_head(struct pgdbm__session *session, struct pgdbm__request *request);
/* Reads what is there without waiting. */
void pgdbm__session_read_available(struct pgdbm__session *session, struct pgdbm__request *request);
void pgdbm__session_watch(struct pgdbm__session *session, unsigned events); /* locked */
/* Puts the stand-in in the place of a request that is in flight and not at the head, and gives its reader's role on.
 * False when it is at the head, complete, or about to be told something. */
bool pgdbm__session_leave(struct pgdbm__session *session, struct pgdbm__request *request,
                          struct pgdbm__request *stand_in);

enum { PGDBM__SIGNAL_LEAD = PGDBM__SIGNAL_FIRST, PGDBM__SIGNAL_DONE, PGDBM__SIGNAL_HEAD, PGDBM__SIGNAL_ROOM };

#endif
