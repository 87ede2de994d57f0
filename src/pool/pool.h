/* SPDX-License-Identifier: MIT */
/* The pool from inside. */
#ifndef PGDBM_POOL_POOL_H
#define PGDBM_POOL_POOL_H

#include "config/config.h"
#include "config/conninfo.h"
#include "config/log.h"
#include "config/registry.h"
#include "session/session.h"

#include <pgdbm/pool.h>

enum pgdbm__place {
    PGDBM__CONNECTING = 0,
    PGDBM__IDLE,
    PGDBM__SHARED,
    PGDBM__LEASED,
    PGDBM__RETIRING, /* leased or shared for the last time */
    PGDBM__DEAD,     /* nobody uses it; the housekeeper closes it */
    PGDBM__PLACES
};

/* Where in the user's source something was taken. */
struct pgdbm__spot {
    const char *file;
    int line;
};

/* A session in its pool. Guarded by the pool's lock, except `session`, which looks after itself. */
struct pgdbm__member {
    struct pgdbm__session session;
    enum pgdbm__place place;
    struct pgdbm__member *previous, *next;
    size_t in_flight; /* independent requests, while shared; streams, while leased */
    bool abandoned;   /* its lease has ended inside a stream on it: the stream's end releases it */
    uint64_t uses;
    int64_t expires; /* end of its lifetime */
    int64_t idle_since;
    const char *last_thread; /* a token of the thread that took it when it was idle; never followed */
    bool draining;           /* shared, but kept free of new requests for a lease that waits */
    int64_t leased_since;
    struct pgdbm__spot spot;
    bool leak_reported;
};

struct pgdbm__members {
    struct pgdbm__member *first, *last;
    size_t length;
};

/* A thread that waits for a session: on its stack, in the pool's queue. */
struct pgdbm__waiter {
    struct pgdbm__waiter *previous, *next;
    bool lease;
    struct pgdbm__spot spot;
    struct pgdbm__member *granted;
    bool refused; /* the pool has closed, or connecting is hopeless: *reason */
    pgdbm_error *reason;
    struct pgdbm__signal signal;
};

#define PGDBM__STATEMENT_STRIPES 16

struct pgdbm__statement_entry;

struct pgdbm__statement_stripe {
    pthread_mutex_t lock; /* guards the stripe */
    struct pgdbm__statement_entry **buckets;
    size_t n_buckets, count, limit;
    struct pgdbm__statement_entry *newest, *oldest;
};

struct pgdbm_pool {
    _Atomic int references; /* the owner's and each manager's */
    struct pgdbm__config *config;
    struct pgdbm__conninfo conninfo;
    struct pgdbm__log log;
    struct pgdbm__registration *registration;
    struct pgdbm__spot spot;

    pthread_mutex_t lock; /* guards everything down to the next blank line */
    struct pgdbm__members places[PGDBM__PLACES];
    struct pgdbm__waiter *first_waiter, *last_waiter;
    size_t n_waiters;
    bool closed;
    bool grow;         /* somebody found no idle session */
    unsigned failures; /* attempts to connect since the last success; the server's "not now" is not counted */
    unsigned opening;  /* so many failures end the opening of the pool, and no more are tried; 0: it is open */
    bool hopeless;     /* the last failure cannot be helped by trying again */
    bool attempted;
    pgdbm_error connect_error; /* of the last failure */
    struct pgdbm_pool_stats counters;
    pthread_cond_t changed; /* something the connector, the opener or the closer may be waiting for */

    int wake[2]; /* pipe: the housekeeper has something to do */
    int stop[2]; /* pipe: written once, at close, to interrupt a connection attempt */
    pthread_t connector, housekeeper;
    bool connector_runs, housekeeper_runs;

    _Atomic uint64_t next_statement;
    _Atomic uint64_t statements, statements_failed, statements_repeated;
    uint64_t hash_seed;
    struct pgdbm__statement_stripe stripes[PGDBM__STATEMENT_STRIPES];
};

/* lists.c; locked */
void pgdbm__pool_move(struct pgdbm_pool *pool, struct pgdbm__member *member, enum pgdbm__place place);
void pgdbm__pool_insert(struct pgdbm_pool *pool, struct pgdbm__member *member, enum pgdbm__place place);
void pgdbm__pool_remove(struct pgdbm_pool *pool, struct pgdbm__member *member);
size_t pgdbm__pool_live(const struct pgdbm_pool *pool); /* idle, shared, leased, retiring */
bool pgdbm__pool_is_valid(const struct pgdbm_pool *pool);

/* acquire.c */
void pgdbm__pool_serve(struct pgdbm_pool *pool);                             /* locked: gives out what is free */
void pgdbm__pool_refuse(struct pgdbm_pool *pool, const pgdbm_error *reason); /* locked: fails every waiter */
/* A session for one independent request (lease false) or for oneself. */
pgdbm_status pgdbm__pool_acquire(struct pgdbm_pool *pool, bool lease, struct pgdbm__spot spot, int64_t deadline,
                                 struct pgdbm__member **member, pgdbm_error *err);
/* Gives it back; a leased session is cleaned first when it needs to be. */
void pgdbm__pool_release(struct pgdbm_pool *pool, struct pgdbm__member *member, bool lease);
/* A stream keeps the lease it runs on, and its pool, until it has ended, even if its callback gives the lease back. */
void pgdbm__pool_hold(struct pgdbm_pool *pool, struct pgdbm__member *member);
void pgdbm__pool_let_go(struct pgdbm_pool *pool, struct pgdbm__member *member);

/* connector.c, housekeeper.c: thread bodies */
void *pgdbm__connector_main(void *pool);
void *pgdbm__housekeeper_main(void *pool);
void pgdbm__pool_wake(struct pgdbm_pool *pool);

/* statements.c */
bool pgdbm__statements_init(struct pgdbm_pool *pool);
void pgdbm__statements_free(struct pgdbm_pool *pool);
/* The statement that `sql` is in `schema` (NULL: none), expanded; a new reference. */
pgdbm_status pgdbm__statements_find(struct pgdbm_pool *pool, const char *schema, const char *sql,
                                    struct pgdbm__statement **statement, pgdbm_error *err);
/* The same, made for the caller alone: nobody else describes or forgets it. */
pgdbm_status pgdbm__statements_make(struct pgdbm_pool *pool, const char *schema, const char *sql,
                                    struct pgdbm__statement **statement, pgdbm_error *err);
/* Forgets it, so that the next one who asks gets a new one. */
void pgdbm__statements_forget(struct pgdbm_pool *pool, const struct pgdbm__statement *statement);

/* run.c */
struct pgdbm__run {
    struct pgdbm_pool *pool;
    struct pgdbm__member *lease; /* the caller's own session, or NULL */
    bool raw;                    /* a pinned session: may change its state, may control transactions */
    const char *schema;
    const char *sql;
    struct pgdbm__spot spot;
    bool take_lease; /* a session to oneself for this one request */
    bool idempotent;
    const char *name;
    int64_t deadline;
    int64_t acquire_deadline;
};

/* Performs `request` (kind EXECUTE; statement is found here) with everything that may be repeated. */
pgdbm_status pgdbm__pool_run(const struct pgdbm__run *run, struct pgdbm__request *request, pgdbm_error *err);

/* pool.c */
struct pgdbm_pool *pgdbm__pool_ref(struct pgdbm_pool *pool);
void pgdbm__pool_unref(struct pgdbm_pool *pool);
bool pgdbm__pool_is_closed(struct pgdbm_pool *pool);

#endif
