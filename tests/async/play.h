/* SPDX-License-Identifier: MIT */
/* What the tests of asynchronous requests share: a stage whose pool is driven in one of two ways, and answers: outcomes
 * as they came, kept until the test's end, so that a test that fails leaves no callback with a place that is gone. Most
 * tests run twice: the test's own thread dispatches, or the pool does in the background. */
#ifndef PGDBM_TESTS_ASYNC_PLAY_H
#define PGDBM_TESTS_ASYNC_PLAY_H

#include "db/crew.h"

#define PLAY_ANSWERS 4096

/* One outcome. Guarded by the play's lock until it has come. */
struct answer {
    int calls;    /* how often the callback ran */
    size_t place; /* the how manyeth outcome of the test it was, from 0 */
    pgdbm_status status;
    pgdbm_error error; /* after a failure */
    bool explained;    /* an error came with the failure */
    size_t rows;
    int64_t number; /* the first column of the first row, when it is a whole number; else -1 */
    int64_t affected;
    pgdbm_db *db;
    size_t n_results, failed;
    pthread_t thread;
    void (*then)(struct answer *answer); /* called by the callback when the rest is filled; or NULL */
    void *context;                       /* for `then` */
};

struct play {
    struct stage *stage;
    bool background;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* something that PLAY_UNTIL may wait for */
    size_t n_answers;       /* that have come */
    size_t n_taken;
    bool twice; /* a callback ran again */
    struct answer answers[PLAY_ANSWERS];
};

extern struct play play; /* one test runs at a time */

/* A database, and the way in which the pool will be driven. */
int play_setup_dispatched(void **state);
int play_setup_background(void **state);
int play_teardown(void **state);

#define PLAY_DISPATCHED(test)                                                                                          \
    {                                                                                                                  \
        .name = #test ", dispatched by the test", .test_func = (test), .setup_func = play_setup_dispatched,            \
        .teardown_func = play_teardown                                                                                 \
    }
#define PLAY_BACKGROUND(test)                                                                                          \
    {                                                                                                                  \
        .name = #test ", in the background", .test_func = (test), .setup_func = play_setup_background,                 \
        .teardown_func = play_teardown                                                                                 \
    }
#define PLAY_BOTH(test) PLAY_DISPATCHED(test), PLAY_BACKGROUND(test)

/* Opens the stage's pool. Left out: as stage_open; no lock time-out, because gates are locks; and .background as the test
 * runs. */
struct stage *play_open(void **state, pgdbm_config config);

/* Answers nobody has used yet, in a row. */
struct answer *play_answers(size_t count);
struct answer *play_answer(void);
/* The callback to submit with; its context is the answer. */
void play_take(const pgdbm_outcome *outcome, void *context);

/* Waits for `condition`, which is looked at with the play's lock held, driving the pool where the test has to. */
#define PLAY_UNTIL(condition)                                                                                          \
    do {                                                                                                               \
        int64_t play_give_up = stage_clock_ms() + 60000;                                                               \
        pthread_mutex_lock(&play.lock);                                                                                \
        while (!(condition))                                                                                           \
            play_wait_a_little(play_give_up, #condition, __FILE__, __LINE__);                                          \
        pthread_mutex_unlock(&play.lock);                                                                              \
    } while (0)
void play_wait_a_little(int64_t give_up, const char *condition, const char *file, int line);
/* Tells PLAY_UNTIL to look again. Any thread; for conditions that no answer belongs to. */
void play_note(void);

/* Waits for it, and fails the test unless it ended like this. */
#define play_ok(answer) play_expect((answer), PGDBM_OK, PGDBM_OUTCOME_DONE, __FILE__, __LINE__)
#define play_fails(answer, status, outcome) play_expect((answer), (status), (outcome), __FILE__, __LINE__)
void play_expect(struct answer *answer, pgdbm_status status, pgdbm_outcome_kind outcome, const char *file, int line);

/* A statement without parameters, submitted; and one that must succeed with this number in its first column. */
struct answer *play_submit(pgdbm_db *db, const char *sql);
void play_number(pgdbm_db *db, const char *sql, int64_t expected);
/* A transaction, a savepoint, a pinned session. */
pgdbm_db *play_begin(pgdbm_db *db);
pgdbm_db *play_pin(pgdbm_db *db);

/* As stage_gate_awaited, driving meanwhile. */
void play_gate_awaited(int sessions);
/* Waits until the pool has a session idle, and nothing else to do. */
void play_rest(void);
/* Cuts the connections of the pool's sessions as a network does: the server is not told of it at once. */
void play_cut(void);

#endif
