/* SPDX-License-Identifier: MIT */
/* The pool from inside. */
#ifndef PGDBM_POOL_POOL_H
#define PGDBM_POOL_POOL_H

#include "config/config.h"
#include "config/conninfo.h"
#include "config/log.h"
#include "config/registry.h"
#include "pool/observe.h"
#include "session/session.h"
#include "transport/connect.h"

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

struct pgdbm_request; /* a task: task.h */

/* Something that is due at a moment: in the pool's heap of timers when `place` is not 0. */
struct pgdbm__timer {
    int64_t due;
    size_t place;                                                      /* in the heap, from 1 */
    void (*fire)(struct pgdbm_pool *pool, struct pgdbm__timer *timer); /* locked */
};

/* Something to be run where the pool's callbacks run. */
struct pgdbm__post {
    struct pgdbm__post *next;
    void (*run)(struct pgdbm__post *post);
};

struct pgdbm__posts {
    struct pgdbm__post *first, **last;
};

/* A cancel request of a session: on its way to the server, then waiting for what it did, then for the proof that it has
 * landed. Nothing new is sent to the session meanwhile. */
struct pgdbm__canceling {
    bool under_way;
    bool sending;                 /* the housekeeper is at it, or has it in its list */
    bool unproven;                /* one has been sent, and may still be on its way */
    struct pgdbm__request *proof; /* a round trip that is under way and shows that it is not */
    bool proof_was_due;
    struct pgdbm__request *target;   /* NULL: it is complete */
    struct pgdbm__request *next;     /* another one that has come to the head, before the target was told of its end */
    struct pgdbm__member *successor; /* in the housekeeper's list */
    int64_t give_up, patience_ns;
    struct pgdbm__timer timer; /* to ask again: a cancel that comes before the server has begun is ignored */
};

/* A session in its pool. Guarded by the pool's lock, except `session`, which looks after itself. */
struct pgdbm__member {
    struct pgdbm__session session;
    struct pgdbm_pool *pool;
    enum pgdbm__place place;
    struct pgdbm__member *previous, *next;
    size_t in_flight; /* independent requests, while shared; streams, a cancel and departing requests, while leased */
    int64_t load_ns;  /* how long the server will be at them, as far as that is known */
    int64_t known_ns; /* of that: of statements that have been measured */
    bool abandoned;   /* its lease has ended while something was in flight on it: the last of that releases it */
    uint64_t uses;
    int64_t expires; /* end of its lifetime */
    int64_t idle_since;
    const char *last_thread; /* a token of the thread that took it when it was idle; never followed */
    bool draining;           /* shared, but kept free of new requests for a lease that waits */
    int64_t leased_since;
    struct pgdbm__spot spot;
    _Atomic(const char *) owner; /* a token of the thread that used the lease last; NULL: an event loop, or nobody */
    bool hub;                    /* leased for the pool's listeners */
    bool leak_reported;
    bool worn; /* its user has said so: it is closed when it comes back */
    struct pgdbm__canceling canceling;
    struct pgdbm_request *first_ordered, *last_ordered; /* requests of the lease that are not sent yet */
    size_t ordered_in_flight;                           /* and those that are */
    bool ordered_flow;                                  /* the last of those does not keep the next one waiting */
    bool departing; /* a thread is putting some into the session: nobody else does, so that they keep their order */
    bool cleaning;
    bool copying; /* the lease has a COPY under way: nothing else can run on it */
    size_t cleaning_step;
};

struct pgdbm__members {
    struct pgdbm__member *first, *last;
    size_t length;
};

struct pgdbm__account;

/* What a session is wanted for, and in whose name. Kept until it is given back. */
struct pgdbm__need {
    bool lease; /* a session to oneself; else for one independent request */
    struct pgdbm__account *account;
    struct pgdbm__spot spot;
    const struct pgdbm__statement *statement; /* what will be run, when known: for routing */
    int64_t since, deadline;                  /* now, and how long to wait */
    const char *thread;                       /* a token of the thread that asks */
    bool no_thread;                           /* nobody waits for it: an event loop has it */
    int64_t load_ns, known_ns;                /* what the session was charged for it */
};

/* Something that waits for a session: a thread (on its stack) or an asynchronous request. */
struct pgdbm__waiter {
    struct pgdbm__waiter *previous, *next;
    struct pgdbm__need *need;
    bool queued; /* in its account's queue */
    struct pgdbm__member *granted;
    bool refused; /* the pool has closed, or connecting is hopeless: *reason */
    pgdbm_error *reason;
    /* Granted (refusal NULL) or refused; locked. NULL: the signal is raised. */
    void (*answer)(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter, const pgdbm_error *refusal);
    bool drives; /* the thread drives while it waits */
    struct pgdbm__signal signal;
};

enum { PGDBM__REQUESTS = 0, PGDBM__LEASES, PGDBM__WAITING_KINDS };

struct pgdbm__waiters {
    struct pgdbm__waiter *first, *last;
};

/* A manager's share of the pool: who waits in its name, and what it has had. Guarded by the pool's lock. */
struct pgdbm__account {
    _Atomic int references;
    uint32_t weight;
    uint32_t quota; /* sessions and requests at once, at most; 0: no limit */
    uint32_t in_flight;
    uint32_t queued;
    struct pgdbm__waiters waiting[PGDBM__WAITING_KINDS];
    struct pgdbm__account *previous, *next; /* in the ring of those in whose name somebody waits */
    int64_t credit_ns;
    uint64_t granted, waited, wait_us, longest_wait_us;
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
    _Atomic int references;   /* the owner's and each manager's */
    atomic_size_t n_managers; /* for the statistics; counted by db/ */
    struct pgdbm__config *config;
    struct pgdbm__conninfo conninfo;
    struct pgdbm__log log;
    struct pgdbm__registration *registration;
    struct pgdbm__spot spot;

    pthread_mutex_t lock; /* guards everything down to the next blank line */
    struct pgdbm__members places[PGDBM__PLACES];
    struct pgdbm__member **slots;  /* max_connections of them, by the session's number; NULL: free */
    struct pgdbm__account account; /* of what runs in nobody's name */
    struct pgdbm__account *ring;   /* accounts in whose name somebody waits; the next to be served */
    struct pgdbm_db *enclosure;    /* for db/: the transaction that its managers are inside of, or NULL */
    struct pgdbm_db *enclosed;     /* and those managers */
    const void *stepper;           /* and the thread that is at a statement of one of them, or NULL */
    size_t n_waiters, n_waiting[PGDBM__WAITING_KINDS];
    int64_t served_at;                                  /* the clock, when sessions were last given to who waits */
    struct pgdbm_request *first_granted, *last_granted; /* to be launched as soon as the lock is let go */
    struct pgdbm__request *spare_flights;
    size_t n_spare_flights;
    struct pgdbm__posts direct; /* callbacks of the engine's own, to be run as soon as the lock is let go */
    struct pgdbm__posts posts;  /* callbacks to be run */
    size_t n_posts;
    struct pgdbm__timer **timers; /* a heap */
    size_t n_timers, timers_capacity;
    int64_t timer_set;  /* what the poller's timer is set to */
    size_t n_tasks;     /* submitted, callback not yet run */
    size_t n_queued;    /* of those: not sent */
    size_t n_chores;    /* sessions being cleaned, or whose cancel has not landed: somebody must drive */
    size_t n_canceling; /* cancel requests on their way */
    struct pgdbm__member *first_cancel, *last_cancel; /* for the housekeeper */
    bool driving, handling;                           /* a thread drives; and is not waiting */
    const char *calling;                              /* a token of the thread that runs callbacks, or NULL */
    size_t n_calling;                                 /* requests whose callbacks it is in: more than one when nested */
    unsigned drive_waiters, until_waiters;
    bool stop_dispatch;
    struct pgdbm__hub *hub;
    bool closed;
    bool interrupting; /* who closes looks at sessions: none is freed */
    bool quiet;        /* closed, and nothing is in flight any more, nor will be: the housekeeper may go */
    bool grow;         /* somebody found no idle session */
    unsigned failures; /* attempts to connect since the last success; the server's "not now" is not counted */
    unsigned opening;  /* so many failures end the opening of the pool, and no more are tried; 0: it is open */
    bool hopeless;     /* the last failure cannot be helped by trying again */
    bool attempted;
    int64_t connect_after;     /* the end of the back-off */
    pgdbm_error connect_error; /* of the last failure */
    struct pgdbm_pool_stats counters;
    pthread_cond_t changed; /* something the connector, the opener or the closer may be waiting for */
    pthread_cond_t driven;  /* a turn of driving, or a callback, is over */

    struct pgdbm__observers observers;
    uint64_t process;            /* the process that opened it */
    _Atomic bool may_share_sync; /* sessions read committed data: one failed read spoils no other */
    struct pgdbm__poller poller;
    _Atomic uint64_t *unpushed; /* a bit for each session with something to send */
    _Atomic uint64_t *unseen;   /* and for each that has bytes the poller does not see */
    size_t n_words;             /* of those two */
    int wake[2];                /* pipe: the housekeeper has something to do */
    int stop[2];                /* pipe: written once, at close, to interrupt a connection attempt */
    pgdbm__connect_function *connect;
    pthread_t connector, housekeeper, background;
    bool connector_runs, housekeeper_runs, background_runs;
    _Atomic bool housekeeper_drives; /* it waits in the poller and not for its pipe */

    struct pgdbm__catalog *catalog; /* types that users made; one reference */
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

void pgdbm__pool_unlock(struct pgdbm_pool *pool); /* task.c: and launches what has been granted meanwhile */

/* account.c; locked except for the first three */
struct pgdbm__account *pgdbm__account_new(uint32_t weight, uint32_t quota);
struct pgdbm__account *pgdbm__account_ref(struct pgdbm__account *account);
void pgdbm__account_unref(struct pgdbm__account *account);
void pgdbm__wait_enter(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter);
void pgdbm__wait_leave(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter);
/* Who is to be served next of those who wait for this kind, or NULL. */
struct pgdbm__waiter *pgdbm__wait_next(struct pgdbm_pool *pool, int kind);
/* It has been given a session. */
void pgdbm__wait_served(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter);
bool pgdbm__account_is_full(const struct pgdbm__account *account);

/* route.c; locked */
/* A session for this use, already moved and counted; NULL when there is none. */
struct pgdbm__member *pgdbm__pool_route(struct pgdbm_pool *pool, struct pgdbm__need *need);
void pgdbm__pool_serve(struct pgdbm_pool *pool);                             /* gives out what is free */
void pgdbm__pool_refuse(struct pgdbm_pool *pool, const pgdbm_error *reason); /* fails everybody who waits */
int64_t pgdbm__statement_cost(const struct pgdbm__statement *statement);

/* acquire.c */
pgdbm_status pgdbm__pool_acquire(struct pgdbm_pool *pool, struct pgdbm__need *need, struct pgdbm__member **member,
                                 pgdbm_error *err);
/* Gives it back; a leased session is cleaned first when it needs to be. */
void pgdbm__pool_release(struct pgdbm_pool *pool, struct pgdbm__member *member, const struct pgdbm__need *need);
/* A session that can be had without waiting, or NULL. Locked. */
struct pgdbm__member *pgdbm__pool_try(struct pgdbm_pool *pool, struct pgdbm__need *need);
/* The error of who found no session in time. Locked. */
pgdbm_status pgdbm__pool_time_out(struct pgdbm_pool *pool, const struct pgdbm__need *need, int64_t waited_ns,
                                  pgdbm_error *err);
/* Whether the pool can be used at all: it is open, and this is the process that opened it. Locked; no lock for the
 * second. */
pgdbm_status pgdbm__pool_usable(struct pgdbm_pool *pool, pgdbm_error *err);
pgdbm_status pgdbm__pool_ours(const struct pgdbm_pool *pool, pgdbm_error *err);
/* Parts of giving back, for asynchronous requests. Locked. */
bool pgdbm__member_needs_cleaning(const struct pgdbm__member *member);
void pgdbm__member_settle(struct pgdbm_pool *pool, struct pgdbm__member *member);
void pgdbm__member_discharge(struct pgdbm__member *member, const struct pgdbm__need *need);
void pgdbm__pool_released(struct pgdbm_pool *pool);
/* A stream keeps the lease it runs on, and its pool, until it has ended, even if its callback gives the lease back. */
void pgdbm__pool_hold(struct pgdbm_pool *pool, struct pgdbm__member *member);
void pgdbm__pool_let_go(struct pgdbm_pool *pool, struct pgdbm__member *member);

/* drive.c */
/* One turn: sends what is queued, waits until something comes or the deadline, reads it. When another thread is at it,
 * waits until that one's turn is over. */
void pgdbm__pool_drive(struct pgdbm_pool *pool, int64_t deadline);
void pgdbm__pool_turn(struct pgdbm_pool *pool, int64_t deadline); /* the same, locked, and not on return */
/* Before a thread waits for something else: what a callback has left to be sent is not put off any longer. No lock. */
void pgdbm__pool_push_left(struct pgdbm_pool *pool);
/* Drives until `done(context)`, which is called with the pool locked, or the deadline. */
bool pgdbm__pool_drive_until(struct pgdbm_pool *pool, bool (*done)(void *context), void *context, int64_t deadline);
void pgdbm__pool_unpushed(struct pgdbm_pool *pool, unsigned number); /* a session has something to send */
void pgdbm__pool_attention(struct pgdbm__session *session);
void pgdbm__pool_nudge(struct pgdbm_pool *pool);                          /* there is something for who drives */
void pgdbm__pool_post(struct pgdbm_pool *pool, struct pgdbm__post *post); /* locked */
/* Something has changed that a thread in pgdbm__pool_drive_until may wait for. Locked. */
void pgdbm__pool_progress(struct pgdbm_pool *pool);
/* Runs the callbacks that are ready; how many. Not while another thread does; inside of a callback only when `nested`. */
int pgdbm__pool_call_back(struct pgdbm_pool *pool, bool nested);
void *pgdbm__background_main(void *pool);

/* timer.c; locked */
bool pgdbm__timer_start(struct pgdbm_pool *pool, struct pgdbm__timer *timer, int64_t due); /* false: no memory */
void pgdbm__timer_stop(struct pgdbm_pool *pool, struct pgdbm__timer *timer);
bool pgdbm__timer_is_delay(const struct pgdbm__timer *timer); /* withdraw.c: it only puts something off */
void pgdbm__timers_fire(struct pgdbm_pool *pool, int64_t now);

/* cancel.c; locked */
void pgdbm__cancel_begin(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *target);
void pgdbm__cancel_landed(struct pgdbm_pool *pool, struct pgdbm__member *member, struct pgdbm__request *request);
void pgdbm__cancels_send(struct pgdbm_pool *pool); /* the housekeeper's; lets the lock go */

/* listen.c */
void pgdbm__hub_look(struct pgdbm_pool *pool, struct pgdbm__member *member); /* it may have lost its session */
void pgdbm__hub_close(struct pgdbm_pool *pool);

/* connector.c, housekeeper.c: thread bodies, and what each does whenever it is awake. The steps are called locked and
 * let the lock go; true: a connection was wanted, and tried. */
bool pgdbm__connector_step(struct pgdbm_pool *pool);
void pgdbm__housekeeper_step(struct pgdbm_pool *pool);
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
/* What a DESCRIBE of the statement has learned; request->status says whether it is good for anything. Another request may be
 * needed (LOOKUP) until the statement is ready. */
void pgdbm__statements_described(struct pgdbm_pool *pool, struct pgdbm__session *session,
                                 struct pgdbm__request *request);
/* Forgets it, so that the next one who asks gets a new one; and its users' types, when it is stale and not just gone. */
void pgdbm__statements_forget(struct pgdbm_pool *pool, struct pgdbm__statement *statement, bool stale);

/* Forgets the statements that name the schema (NULL: all); and those of all pools of this process. */
void pgdbm__statements_forget_schema(struct pgdbm_pool *pool, const char *schema);
void pgdbm__statements_forget_everywhere(const char *schema);

/* left.c: for requests that a thread leaves at its deadline; their context is a pgdbm__stay. */
struct pgdbm__stay {
    struct pgdbm_pool *pool;
    struct pgdbm__member *member;
    const struct pgdbm__need *need;
};
struct pgdbm__request *pgdbm__left_make(struct pgdbm__request *request);
void pgdbm__left_drop(struct pgdbm__request *stand_in);

/* run.c */
struct pgdbm__run {
    struct pgdbm_pool *pool;
    struct pgdbm__member *lease; /* the caller's own session, or NULL */
    bool raw;                    /* a pinned session: may change its state, may control transactions */
    struct pgdbm__account *account;
    const char *schema;
    const char *sql;
    struct pgdbm__spot spot;
    bool take_lease; /* a session to oneself for this one request */
    bool idempotent;
    const char *name;
    int64_t now;
    int64_t deadline;
    int64_t acquire_deadline;
};

/* Performs `request` (kind EXECUTE; statement is found here) with everything that may be repeated. */
/* The rules of that, for both kinds of callers. */
pgdbm_status pgdbm__run_refuse(bool raw, unsigned effects, pgdbm_error *err);
pgdbm_status pgdbm__run_check_counts(struct pgdbm__request *request, pgdbm_error *err);
void pgdbm__run_mark_effects(bool lease, struct pgdbm__session *session, unsigned effects);
bool pgdbm__run_should_ask_again(const struct pgdbm__request *request, char transaction_before);
bool pgdbm__run_may_share(const struct pgdbm_pool *pool, const struct pgdbm__statement *statement);
void pgdbm__run_name_set(const struct pgdbm__request *request, pgdbm_error *err); /* says which set failed */
void pgdbm__run_measured(struct pgdbm__request *request);
/* A table that is altered all the time can make several attempts in a row stale; each costs a round trip. */
#define PGDBM__REPEATS 10
/* From this attempt on with a statement of one's own: nobody else can make it stale by what they see. */
#define PGDBM__OWN_STATEMENT 2
/* Waits until the asynchronous requests of a lease, which came before, are complete. */
void pgdbm__lease_quiesce(struct pgdbm_pool *pool, struct pgdbm__member *member);
pgdbm_status pgdbm__pool_run(const struct pgdbm__run *run, struct pgdbm__request *request, pgdbm_error *err);
/* The statement of `run`, with its types, which are asked for the first time only. A new reference; NULL after an error. */
pgdbm_status pgdbm__pool_describe(const struct pgdbm__run *run, struct pgdbm__statement **statement, pgdbm_error *err);

/* observe.c: the public verb, for a pool that is there. */
pgdbm_status pgdbm__observe(struct pgdbm_pool *pool, pgdbm_observe_callback callback, void *context,
                            pgdbm_observer **observer, pgdbm_error *err);

/* pool.c */
/* For simulations: a pool without threads, whose steps (above) its owner takes, and without sessions at first. */
pgdbm_status pgdbm__pool_open_simulated(const pgdbm_config *config, pgdbm__connect_function *connect,
                                        const struct pgdbm__poller_operations *poller, pgdbm_pool **pool,
                                        pgdbm_error *err);
struct pgdbm_pool *pgdbm__pool_ref(struct pgdbm_pool *pool);
void pgdbm__pool_unref(struct pgdbm_pool *pool);
bool pgdbm__pool_is_closed(struct pgdbm_pool *pool);

#endif
