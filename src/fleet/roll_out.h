/* SPDX-License-Identifier: MIT */
/* A roll-out from inside: the run that its workers share, and what a worker does with one tenant. */
#ifndef PGDBM_FLEET_ROLL_OUT_H
#define PGDBM_FLEET_ROLL_OUT_H

#include "fleet/fleet.h"

/* A tenant that is to be migrated. */
struct pgdbm__visit {
    struct pgdbm__visit *next;
    char schema[PGDBM__IDENTIFIER_BYTES];
    char *digest;  /* as far as is known */
    int postponed; /* how often it was busy */
    int again;     /* how often it was tried again at once */
    int64_t due;   /* not before this moment (nanoseconds) */
};

enum pgdbm__run_mood { PGDBM__RUNNING = 0, PGDBM__PAUSED, PGDBM__CANCELED };

/* Before anybody's turn, somebody has to look whether there is a pause. */
#define PGDBM__NOT_LOOKED (INT64_MIN / 2)

/* One call of pgdbm_fleet_roll_out; on its caller's stack. */
struct pgdbm__roll_out {
    pgdbm_fleet *fleet;
    pgdbm_roll_out how;        /* with defaults */
    int64_t cancellations;     /* of pgdbm.roll_out, when it began */
    int64_t started, deadline; /* nanoseconds */

    pthread_mutex_t mutex; /* guards everything below, but for what the workers' threads have to themselves */
    pthread_cond_t changed;

    /* Candidates come in pieces, in the order of their names, from a random one on and round to it again: two roll-outs do
     * not meet at every tenant. */
    struct pgdbm__visit *fresh, *last_fresh;
    struct pgdbm__visit *waiting; /* postponed, by `due` */
    size_t n_waiting;
    char origin[PGDBM__IDENTIFIER_BYTES], cursor[PGDBM__IDENTIFIER_BYTES];
    bool wrapped, no_more, fetching;

    size_t n_workers;                     /* that still work */
    size_t n_targets, n_begun, n_in_work; /* begun: in this wave and those before it; not who waits or was skipped */
    size_t wave;
    enum pgdbm__run_mood mood;
    int64_t looked_at;
    bool looking, throttled, reporting;
    bool stop;
    pgdbm_status status; /* the first failure's, or what stopped it */
    pgdbm_error error;
    size_t migrated, failed, quarantined, skipped;
};

/* A thread's own. Zero-initialise. */
struct pgdbm__fleet_worker {
    struct pgdbm__roll_out *run;
    pthread_t thread;
    bool has_thread;
    pgdbm_db *session;                       /* pinned; NULL: none at the moment */
    bool prepared;                           /* the session has the statements of pgdbm__fleet_append_prepare */
    bool plain;                              /* no session is to have them: a pooler stands in between */
    int n_visited;                           /* tenants, by this session */
    struct pgdbm__fleet_message messages[4]; /* tenants of a fleet are at few different files */
    size_t next_message;
    struct pgdbm__buffer sql;
};

enum pgdbm__tenant_result {
    PGDBM__TENANT_MIGRATED = 0,
    PGDBM__TENANT_SKIPPED, /* current already, or gone, or no longer to be migrated */
    PGDBM__TENANT_BUSY,    /* try again later */
    PGDBM__TENANT_AGAIN,   /* try again at once: the session was lost, or its digest is another one */
    PGDBM__TENANT_FAILED,
    PGDBM__TENANT_STOP /* nothing can be done any more: disk full, out of memory */
};

/* tenant.c */

/* Tries once. `err` tells what failed; after FAILED it is recorded, and *quarantined says with which consequence. */
enum pgdbm__tenant_result pgdbm__worker_migrate(struct pgdbm__fleet_worker *worker, struct pgdbm__visit *visit,
                                                bool *quarantined, pgdbm_error *err);

/* Pins a session unless there is one. */
pgdbm_status pgdbm__worker_session(struct pgdbm__fleet_worker *worker, pgdbm_error *err);
/* Whether an error is the session's or the server's end, and another session may do. */
bool pgdbm__worker_is_lost(pgdbm_status status, const pgdbm_error *err);
/* Closes it for good, because its caches have grown. */
void pgdbm__worker_retire(struct pgdbm__fleet_worker *worker);
void pgdbm__worker_free(struct pgdbm__fleet_worker *worker);

/* queue.c */

/* Waits for the next tenant, and for the waves, pauses and throttles before it. NULL: the roll-out is over. */
struct pgdbm__visit *pgdbm__run_take(struct pgdbm__fleet_worker *worker);
/* Gives back what was taken, with its result; the visit is the run's again. */
void pgdbm__run_give(struct pgdbm__roll_out *run, struct pgdbm__visit *visit, enum pgdbm__tenant_result result,
                     bool quarantined, const pgdbm_error *err);
/* Ends the roll-out: nothing new is begun. The first reason stays. */
void pgdbm__run_stop(struct pgdbm__roll_out *run, pgdbm_status status, const pgdbm_error *err);
bool pgdbm__run_stopped(struct pgdbm__roll_out *run);
/* Sleeps until `moment` or until something changes. */
void pgdbm__run_wait(struct pgdbm__roll_out *run, int64_t moment);
void pgdbm__run_report(struct pgdbm__roll_out *run, const char *schema);

pgdbm_status pgdbm__visit_make(const char *schema, const char *digest, struct pgdbm__visit **visit, pgdbm_error *err);
void pgdbm__visit_free(struct pgdbm__visit *visit);

/* watch.c */

/* What others have said (pause, cancel) and how the server is doing. Sends; not under the mutex. */
pgdbm_status pgdbm__watch_control(struct pgdbm__fleet_worker *worker, enum pgdbm__run_mood *mood, pgdbm_error *err);
pgdbm_status pgdbm__watch_load(struct pgdbm__fleet_worker *worker, bool *throttled, pgdbm_error *err);

#endif
