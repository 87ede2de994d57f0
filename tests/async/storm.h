/* SPDX-License-Identifier: MIT */
/* A storm: everything that can be asked of a pool, at once and at random, while requests are cancelled and backends are
 * killed. Each row that is written has a number of its own, and each asynchronous request a place in a book, so that
 * afterwards the table and the book must agree: every request has ended exactly once, with its own rows, and its effect is
 * what it was said to be.
 *
 * One storm at a time. Hands are threads; walkers are chains of callbacks, each of which asks for the next thing when the
 * one before has ended. What they do follows from the seed, as far as time allows. */
#ifndef PGDBM_TESTS_ASYNC_STORM_H
#define PGDBM_TESTS_ASYNC_STORM_H

#include "db/crew.h"

#include <pgdbm/batch.h>
#include <pgdbm/future.h>
#include <pgdbm/listen.h>

#define STORM_ROWS (1 << 20)
#define STORM_CALLS (1 << 18)
#define STORM_WALKERS 12
#define STORM_BOX 64
#define STORM_HOT 4

/* What became of a row, as far as we were told. */
enum storm_fate { FATE_OPEN = 0, FATE_DONE, FATE_UNDONE, FATE_UNCLEAR };

struct storm_walker;

/* An asynchronous request in the book. */
struct storm_call {
    atomic_int state; /* enum storm_state */
    struct storm_walker *walker;
    int64_t id;           /* the row it writes, or the number that it asks for; 0: neither */
    enum storm_fate fate; /* of the request, when it has ended */
    void (*then)(struct storm_call *call, const pgdbm_outcome *outcome);
};

enum storm_state { CALL_UNUSED = 0, CALL_SUBMITTED, CALL_REFUSED, CALL_ENDED };

struct storm_walker {
    uint64_t random;
    pgdbm_db *tx;
    struct storm_call *rows[8]; /* of the transaction that it is in */
    size_t n_rows, first_inner; /* those from `first_inner` on are in its savepoint */
    enum storm_fate inner_fate;
    bool commits, inner_commits;
    pgdbm_transaction *transaction;
    size_t pending;
    int64_t id, hot;
    pgdbm_status body_status;
    pgdbm_error body_error;
};

struct storm {
    struct stage *stage;
    pgdbm_pool *pool;
    pgdbm_db *db;
    uint64_t seed;
    atomic_bool stop;      /* nothing new is begun */
    atomic_bool closing;   /* the pool is being closed: anything may be refused */
    atomic_bool closed;    /* it has been: no callback comes any more */
    atomic_bool close_now; /* the next callback closes the pool */
    atomic_bool driver_stop;
    atomic_size_t n_rows, n_calls, walking;
    atomic_llong hot_done, hot_unclear;       /* increments of the hot rows */
    atomic_llong tally[PGDBM_ERR_TESTDB + 1]; /* requests by how they ended */
    _Atomic unsigned char fates[STORM_ROWS];
    struct storm_call calls[STORM_CALLS];
    struct storm_walker walkers[STORM_WALKERS];
    pthread_mutex_t lock; /* guards the rest */
    char complaint[1024];
    pgdbm_request *box[STORM_BOX]; /* handles for whoever cancels */
    size_t n_offered;
};

extern struct storm storm;

/* A random number below `limit`. Each hand and walker has a state of its own. */
uint64_t storm_random(uint64_t *random, uint64_t limit);
/* The first complaint fails the test. Any thread. */
void storm_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A row's number; 0 when there are no more. What became of it must be told. */
int64_t storm_row(void);
int64_t storm_rows(size_t count); /* the first of so many */
void storm_settle(int64_t id, enum storm_fate fate);
/* What the end of a request says of its effect; complains when it ended in a way that no storm explains. */
enum storm_fate storm_fate_of(pgdbm_status status, const pgdbm_error *error, const char *what);
/* Both have to be done for the row to be there. */
enum storm_fate storm_both(enum storm_fate one, enum storm_fate other);

/* Enters a request in the book; NULL when it is full. And what the submitting function returned. */
struct storm_call *storm_call(struct storm_walker *walker, int64_t id,
                              void (*then)(struct storm_call *call, const pgdbm_outcome *outcome));
bool storm_submitted(struct storm_call *call, pgdbm_status status, const pgdbm_error *error);
/* The callback; its context is the call. */
void storm_answered(const pgdbm_outcome *outcome, void *context);
/* Puts a handle into the box, to be cancelled perhaps. For after it was submitted: the walker may be somebody else's by
 * then, and its state with it. */
void storm_offer(pgdbm_request *request);
pgdbm_request *storm_take(uint64_t *random);

/* A walker's next step, or its end; and what it may step into, false when it was refused. */
void storm_walk(struct storm_walker *walker);
void storm_rest(void);
bool storm_transaction(struct storm_walker *walker);
bool storm_pin(struct storm_walker *walker);
bool storm_transact(struct storm_walker *walker);
/* Options of a call: now and then with little time. */
pgdbm_call storm_some_call(uint64_t *random);

/* Hands. */
void storm_hand_blocks(struct crew_hand *hand);
void storm_hand_waits(struct crew_hand *hand); /* for futures */
void storm_hand_cancels(struct crew_hand *hand);
void storm_hand_kills(struct crew_hand *hand);
void storm_hand_listens(struct crew_hand *hand);
void storm_hand_drives(struct crew_hand *hand);

/* Before and after. */
void storm_begin(struct stage *stage, pgdbm_config config);
void storm_release_box(void);
void storm_compare(void);
/* Fails the test with the first complaint, if there is one. */
void storm_check(void);

#define STORM_INSERT "INSERT INTO ledger VALUES ($1) RETURNING id"
#define STORM_HOT_UPDATE "UPDATE hot SET n = n + 1 WHERE id = $1 RETURNING id"

#endif
