/* SPDX-License-Identifier: MIT */
/* Asynchronous requests: tasks.
 *
 * A task is small, because thousands may be queued; what a request in flight needs besides (struct pgdbm__request, with
 * room for an error) it borrows for the flight. Its stage is where it is:
 *
 *     waiting    in its account's queue, for a session                  ─┐
 *     ordered    in its lease's queue, behind what was submitted before ─┤ pgdbm__task_fail: completes NOT_SENT
 *     flying     its messages are in a session's FIFO
 *     complete   its callback is in the pool's posts, or has run
 *
 * The stage, `next` and what belongs to queues are guarded by the pool's lock; the rest belongs to whoever moves the
 * task: the submitter, then the reader of its session, then the thread that runs callbacks. */
#ifndef PGDBM_POOL_TASK_H
#define PGDBM_POOL_TASK_H

#include "pool/pool.h"

#include <pgdbm/async.h>

enum pgdbm__task_kind {
    PGDBM__TASK_STATEMENT,
    PGDBM__TASK_COMMAND, /* `sql` by the simple protocol */
    PGDBM__TASK_LEASE,   /* nothing but a session to oneself */
    PGDBM__TASK_BATCH,
    PGDBM__TASK_COPY,
    PGDBM__TASK_WORK,  /* no session: a helper thread's */
    PGDBM__TASK_DELAY, /* no session: complete when its timer is up */
};

enum pgdbm__task_stage {
    PGDBM__STAGE_NEW = 0,
    PGDBM__STAGE_WAITING,
    PGDBM__STAGE_ORDERED,
    PGDBM__STAGE_GRANTED, /* has its session, is about to fly */
    PGDBM__STAGE_FLYING,
    PGDBM__STAGE_WORKING, /* WORK and DELAY */
    PGDBM__STAGE_COMPLETE
};

/* A flight ends once for its owner: by its answer, or by its deadline while another one's answer is awaited. */
enum pgdbm__fate { PGDBM__FATE_OPEN = 0, PGDBM__FATE_LANDED, PGDBM__FATE_REPORTED };

struct pgdbm__flights; /* batch.c: of a batch */

/* Also the public handle, pgdbm_request. */
struct pgdbm_request {
    _Atomic int references;  /* the engine's, until the callback has run, and those of handles and futures */
    struct pgdbm_pool *pool; /* one reference */
    struct pgdbm_request *next, *previous;
    enum pgdbm__task_stage stage;
    enum pgdbm__task_kind kind;
    enum pgdbm__rows rows;
    bool idempotent, raw, in_transaction;
    bool describing;                  /* its flight asks for the statement's types */
    bool own_lease;                   /* it took a lease for itself alone */
    bool keeps_lease;                 /* what it was granted is not given back: a begin, a pin */
    _Atomic bool canceled, timed_out; /* it is to end; set under the pool's lock */
    _Atomic int fate;                 /* of its flight: who speaks to its owner */
    bool failed;                      /* before it had a session: it is only to be completed */
    bool direct;                      /* its callback may run wherever it completes: a future's */
    bool commits;                     /* a COMMIT, or the RELEASE of a savepoint */
    bool ends;                        /* the end of something: may be submitted while the pool is being closed */
    bool asked;                       /* by a user: observers are told */
    bool ends_lease;                  /* the lease it runs on is given back after it */
    bool departs_last;                /* of those of its lease that one thread puts into the session */
    bool doubtful;                    /* an attempt before may have taken effect: no failure can say otherwise */
    pgdbm_outcome_kind unsaid;        /* what is known of its effect, for when there is no memory for an error */
    char transaction_before;          /* the session's transaction status when it was sent */
    int repeats;
    struct pgdbm__need need;
    struct pgdbm__waiter waiter;
    struct pgdbm__timer timer;
    struct pgdbm__post post;
    struct pgdbm__member *lease;   /* of the handle it was submitted on, or NULL */
    struct pgdbm__member *member;  /* where it flies */
    struct pgdbm__member *granted; /* the lease that it keeps */
    struct pgdbm__statement *statement;
    struct pgdbm__request *flight;
    struct pgdbm__flights *flights;
    const pgdbm_params *sets; /* with its values behind the task, in the same allocation */
    size_t n_sets;
    const char *sql; /* of a COMMAND */
    int64_t deadline;
    pgdbm_work work;
    pgdbm_done_callback on_done;
    void *context;
    /* Runs when it is complete, before its callback, in the thread that completes it and without a lock: gives `outcome`
     * its last form. NULL: nothing. */
    void (*finish)(struct pgdbm_request *task);
    void *owner; /* what `finish` works on */
    pgdbm_outcome outcome;
    struct pgdbm__request *told; /* with the error of one that was reported while it is in flight */
};

/* A task with room for copies of `sets` and `sql` (each may be NULL). It has one reference, the engine's. */
pgdbm_status pgdbm__task_new(struct pgdbm_pool *pool, enum pgdbm__task_kind kind, const pgdbm_params *sets,
                             size_t n_sets, const char *sql, struct pgdbm_request **task, pgdbm_error *err);
/* Takes the task over when it succeeds; else it is still the caller's. */
pgdbm_status pgdbm__task_submit(struct pgdbm_request *task, pgdbm_error *err);
/* Before it was submitted, and by the callback's end. */
void pgdbm__task_unref(struct pgdbm_request *task);
struct pgdbm_request *pgdbm__task_ref(struct pgdbm_request *task);

/* Completes it: outcome.status is set. `error` is copied when that is not PGDBM_OK. No lock. */
void pgdbm__task_complete(struct pgdbm_request *task, pgdbm_status status, const pgdbm_error *error);
/* The same, from under the pool's lock; its timer and queues are left. */
void pgdbm__task_fail(struct pgdbm_request *task, const pgdbm_error *error);
/* Its outcome stands: the callback is posted; a future's runs when the lock is let go by pgdbm__pool_unlock. Locked. */
void pgdbm__task_deliver(struct pgdbm_request *task);
/* Lets a session go that a task had, cleaning it first, without waiting for that. */
void pgdbm__task_release(struct pgdbm_pool *pool, struct pgdbm__member *member, const struct pgdbm__need *need);
/* Its outcome becomes this error. In `finish`, or in a callback of the engine's. */
void pgdbm__task_say(struct pgdbm_request *task, const pgdbm_error *error);
struct pgdbm_request *pgdbm__task_of_outcome(const pgdbm_outcome *outcome);
/* Puts it where it has to wait, if it has to; `again`: in front of what was submitted later. Locked. */
void pgdbm__task_queue(struct pgdbm_request *task, bool again);
/* It has a session (task->member), and takes off when the lock is let go. Locked. */
void pgdbm__task_board(struct pgdbm_pool *pool, struct pgdbm_request *task);
/* It has a session, or has failed: goes on when the lock is let go. Locked. */
void pgdbm__task_granted(struct pgdbm_pool *pool, struct pgdbm_request *task);
/* Its messages may be sent now: it has a session. No lock. */
void pgdbm__task_launch(struct pgdbm_request *task);

/* The task that has this part (at `offset`). */
static inline struct pgdbm_request *pgdbm__task_of(void *part, size_t offset)
{
    return (struct pgdbm_request *)(void *)((char *)part - offset);
}
/* What its waiter, its timer and its post call. The first two locked. */
void pgdbm__task_answered(struct pgdbm_pool *pool, struct pgdbm__waiter *waiter, const pgdbm_error *refusal);
void pgdbm__task_time_is_up(struct pgdbm_pool *pool, struct pgdbm__timer *timer);
void pgdbm__task_run_callback(struct pgdbm__post *post);

/* withdraw.c */
/* It is to end, and in flight: cancelled on the server when the server is at it, now or later. Locked. */
void pgdbm__task_cancel_flight(struct pgdbm_pool *pool, struct pgdbm_request *task);
/* Whether it is the end of a transaction, which keeps its place among the requests of its lease whatever happens. */
bool pgdbm__task_is_end(const struct pgdbm_request *task);
/* The error of one that is to end. */
void pgdbm__task_say_ended(const struct pgdbm_request *task, pgdbm_outcome_kind outcome, pgdbm_error *error);

/* Flights: borrowed for as long as a request is in flight. NULL when memory is short. No lock. */
struct pgdbm__request *pgdbm__flight_take(struct pgdbm_pool *pool);
void pgdbm__flight_give(struct pgdbm_pool *pool, struct pgdbm__request *flight);

struct pgdbm__request *pgdbm__flight_take_locked(struct pgdbm_pool *pool);
void pgdbm__flight_give_locked(struct pgdbm_pool *pool, struct pgdbm__request *flight);

/* lease.c; locked. Sends what may be sent of the lease's requests, by way of the pool's granted tasks. They are launched
 * without the lock: while one thread is at it nobody else launches any, or a COMMIT could overtake its statements. */
void pgdbm__lease_advance(struct pgdbm_pool *pool, struct pgdbm__member *member);
/* The thread that launches them is through, and others may follow. Takes the lock. */
void pgdbm__lease_departed(struct pgdbm_pool *pool, struct pgdbm__member *member);
/* Lets go of a lease that its owner has left, when nothing is under way on it any more. */
void pgdbm__lease_look(struct pgdbm_pool *pool, struct pgdbm__member *member);
bool pgdbm__lease_is_quiet(const struct pgdbm__member *member);
void pgdbm__lease_enter(struct pgdbm__member *member, struct pgdbm_request *task, bool front);
void pgdbm__lease_leave(struct pgdbm__member *member, struct pgdbm_request *task);

/* Lets go of a session that nobody is on any more: what may have been left behind is undone, without waiting for it. */
void pgdbm__member_vacate(struct pgdbm_pool *pool, struct pgdbm__member *member);

/* batch.c */
void pgdbm__batch_launch(struct pgdbm_request *task);
void pgdbm__batch_cancel(struct pgdbm_pool *pool, struct pgdbm_request *task); /* locked */
void pgdbm__flights_free(struct pgdbm_pool *pool, struct pgdbm__flights *flights);

#endif
