/* SPDX-License-Identifier: MIT */
/* The simulated application: what it has asked for, and what came of it. */
#ifndef PGDBM_TESTS_SIMULATION_PROGRAM_H
#define PGDBM_TESTS_SIMULATION_PROGRAM_H

#include <pgdbm/pgdbm.h>

#define MAX_CALLS 1024
#define MAX_HANDLES 512
#define MAX_ITEMS 6
#define MAX_MANAGERS 3
#define MAX_LISTENERS 3

enum call_kind {
    CALL_READ,  /* one statement that reads */
    CALL_WRITE, /* one that has an effect */
    CALL_MANY,
    CALL_BATCH,
    CALL_INDEPENDENT, /* a batch of independent statements */
    CALL_BEGIN,       /* a transaction or a savepoint */
    CALL_END,         /* commit or rollback */
    CALL_PIN,
    CALL_NOTIFY,
    CALL_TRANSACT
};

struct handle;

/* Something that was submitted. */
struct call {
    unsigned number;
    enum call_kind kind;
    const char *sql;
    struct handle *handle; /* it was submitted on, or NULL */
    struct handle *made;   /* by a begin, a pin, the last body of a transact */
    bool submitted, done, commits;
    bool cancel_asked, in_order;
    int timeout_ms;
    int64_t submitted_at;
    unsigned sequence; /* among those of its session */
    pgdbm_status status;
    pgdbm_outcome_kind outcome;
    char sqlstate[6];
    char value[64];
    unsigned effects[MAX_ITEMS];
    bool item_done[MAX_ITEMS]; /* of a batch: it has a result */
    size_t n_effects, failed;
    bool fails; /* it is a statement that fails, or has one */
    pgdbm_request *request;
    pgdbm_future *future;
};

enum handle_state { HANDLE_ASKED, HANDLE_OPEN, HANDLE_ENDING, HANDLE_OVER };

/* A transaction, a savepoint, a pinned session. */
struct handle {
    unsigned number;
    bool pinned, savepoint;
    enum handle_state state;
    pgdbm_db *db;
    struct handle *outer; /* a savepoint's, a transaction's on a pinned session */
    struct handle *root;  /* that holds the session */
    struct handle *inner; /* that is not over */
    struct call *end;     /* that ended it; NULL: rolled back or not ended */
    bool undone;          /* rolled back for sure */
    bool hurt;            /* one of its statements has failed */
    bool perhaps_hurt;    /* one that nobody has looked at yet may have */
    pgdbm_error hurt_error;
    pgdbm_transaction *transaction; /* of a transact */
    struct call *transact;
    unsigned next_sequence, last_sequence; /* of a root */
};

struct listener {
    pgdbm_listener *listener;
    int manager;
    bool ready, gap, over;
    unsigned heard[MAX_CALLS];
    size_t n_heard;
};

struct program {
    pgdbm_pool *pool;
    bool closing, closed;
    int callback_depth;
    int left;   /* operations still to be begun */
    bool early; /* the pool is closed in the middle */
    pgdbm_config config;
    pgdbm_db *managers[MAX_MANAGERS];
    int n_managers;
    struct call calls[MAX_CALLS];
    size_t n_calls;
    struct handle handles[MAX_HANDLES];
    size_t n_handles;
    struct listener listeners[MAX_LISTENERS];
    size_t n_listeners;
    unsigned next_effect;
};

extern struct program program;

/* program.c: lives through the world of one seed. */
void program_run(uint64_t seed, bool print);

/* operations.c */
void operation_any(void);           /* one, at random */
void operation_end_something(void); /* in the end; */
void operation_end_all(void);       /* and after the pool was closed */
void operation_close_pool(void);
bool operations_are_over(void); /* everything is complete and ended */

/* verdict.c */
void on_done(const pgdbm_outcome *outcome, void *call);
void on_event(const pgdbm_event *event, void *listener);
void verdict_submitted(struct call *call, pgdbm_status status, const pgdbm_error *err);
void verdict_completed(struct call *call, const pgdbm_outcome *outcome);
void verdict_all_done(void); /* nothing is outstanding */
void verdict_ledger(void);   /* what has happened on the server is what was said */

#endif
