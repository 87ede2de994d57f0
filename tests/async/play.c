/* SPDX-License-Identifier: MIT */
/* The play of asynchronous requests. */
#include "async/play.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

struct play play = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void set_up(void **state, bool background)
{
    stage_setup(state);
    memset(play.answers, 0, play.n_taken * sizeof *play.answers);
    play.stage = *state;
    play.background = background;
    play.n_answers = play.n_taken = 0;
    play.twice = false;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&play.changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int play_setup_dispatched(void **state)
{
    set_up(state, false);
    return 0;
}

int play_setup_background(void **state)
{
    set_up(state, true);
    return 0;
}

int play_teardown(void **state)
{
    stage_teardown(state);
    if (play.twice)
        fail_msg("a callback ran more than once");
    for (size_t i = 0; i < play.n_taken; i++)
        if (play.answers[i].calls == 1 && play.answers[i].status != PGDBM_OK && !play.answers[i].explained)
            fail_msg("a request failed with %s and without an error", pgdbm_status_name(play.answers[i].status));
    pthread_cond_destroy(&play.changed);
    return 0;
}

struct stage *play_open(void **state, pgdbm_config config)
{
    struct stage *stage = *state;
    config.background = play.background;
    if (config.lock_timeout_ms == 0)
        config.lock_timeout_ms = -1;
    stage_open(stage, config);
    return stage;
}

struct answer *play_answers(size_t count)
{
    assert_true(play.n_taken + count <= PLAY_ANSWERS);
    struct answer *answers = &play.answers[play.n_taken];
    play.n_taken += count;
    return answers;
}

struct answer *play_answer(void)
{
    return play_answers(1);
}

void play_note(void)
{
    pthread_mutex_lock(&play.lock);
    pthread_cond_broadcast(&play.changed);
    pthread_mutex_unlock(&play.lock);
}

void play_take(const pgdbm_outcome *outcome, void *context)
{
    struct answer *answer = context;
    int64_t number = -1;
    if (pgdbm_result_rows(outcome->result) == 0 || pgdbm_get_int64_at(outcome->result, 0, 0, &number, NULL) != PGDBM_OK)
        number = -1;
    pthread_mutex_lock(&play.lock);
    play.twice = play.twice || answer->calls > 0;
    answer->place = play.n_answers++;
    answer->status = outcome->status;
    answer->explained = outcome->error != NULL;
    if (outcome->error != NULL)
        answer->error = *outcome->error;
    answer->rows = pgdbm_result_rows(outcome->result);
    answer->number = number;
    answer->affected = outcome->affected;
    answer->db = outcome->db;
    answer->n_results = outcome->n_results;
    answer->failed = outcome->failed;
    answer->thread = pthread_self();
    void (*then)(struct answer *) = answer->then;
    pthread_mutex_unlock(&play.lock);
    if (then != NULL)
        then(answer);
    pthread_mutex_lock(&play.lock);
    answer->calls++; /* last: who waits for it may let the rest go */
    pthread_cond_broadcast(&play.changed);
    pthread_mutex_unlock(&play.lock);
}

void play_wait_a_little(int64_t give_up, const char *condition, const char *file, int line)
{
    if (stage_clock_ms() > give_up) {
        pthread_mutex_unlock(&play.lock);
        pgdbm_pool_stats stats = stage_stats(play.stage);
        print_error("submitted %zu, queued %zu, cancelling %zu\n", stats.submitted, stats.queued, stats.canceling);
        stage_fail_stats(&stats, condition, file, line);
    }
    if (!play.background && play.stage->pool != NULL) {
        pthread_mutex_unlock(&play.lock);
        (void)pgdbm_dispatch(play.stage->pool, 50);
        pthread_mutex_lock(&play.lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += 1;
    pthread_cond_timedwait(&play.changed, &play.lock, &until);
}

void play_expect(struct answer *answer, pgdbm_status status, pgdbm_outcome_kind outcome, const char *file, int line)
{
    char text[1024] = "";
    PLAY_UNTIL(answer->calls > 0);
    if (answer->status != PGDBM_OK)
        pgdbm_error_format(&answer->error, text, sizeof text);
    if (answer->status != status) {
        print_error("%s:%d: expected %s, came %s\n%s\n", file, line, pgdbm_status_name(status),
                    pgdbm_status_name(answer->status), text);
        _fail(file, line);
    }
    if (status != PGDBM_OK && (answer->error.outcome != outcome || answer->error.status != status)) {
        print_error("%s:%d: expected %s with outcome %s, came %s with outcome %s\n%s\n", file, line,
                    pgdbm_status_name(status), pgdbm_outcome_name(outcome), pgdbm_status_name(answer->error.status),
                    pgdbm_outcome_name(answer->error.outcome), text);
        _fail(file, line);
    }
}

struct answer *play_submit(pgdbm_db *db, const char *sql)
{
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_submit(db, sql, pgdbm_no_args, play_take, answer, &err));
    return answer;
}

void play_number(pgdbm_db *db, const char *sql, int64_t expected)
{
    struct answer *answer = play_submit(db, sql);
    play_ok(answer);
    if (answer->number != expected)
        fail_msg("%s\nexpected %lld, came %lld", sql, (long long)expected, (long long)answer->number);
}

pgdbm_db *play_begin(pgdbm_db *db)
{
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_begin_async(db, NULL, play_take, answer, &err));
    play_ok(answer);
    assert_non_null(answer->db);
    return answer->db;
}

pgdbm_db *play_pin(pgdbm_db *db)
{
    pgdbm_error err;
    struct answer *answer = play_answer();
    assert_ok(pgdbm_pin_async(db, play_take, answer, &err));
    play_ok(answer);
    assert_non_null(answer->db);
    return answer->db;
}

static long long at_the_gate(void)
{
    PGconn *gate = play.stage->gate;
    /* The gate's own transaction would look at the same snapshot for ever. */
    PQclear(PQexec(gate, "SELECT pg_stat_clear_snapshot()"));
    PGresult *result = PQexec(gate, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                                    "wait_event_type = 'Lock'");
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(gate));
    long long waiting = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return waiting;
}

void play_gate_awaited(int sessions)
{
    int64_t give_up = stage_clock_ms() + 60000;
    long long waiting;
    while ((waiting = at_the_gate()) != sessions) {
        if (stage_clock_ms() > give_up)
            fail_msg("expected %d sessions at the gate, came %lld", sessions, waiting);
        if (!play.background)
            (void)pgdbm_dispatch(play.stage->pool, 1);
        else
            usleep(1000);
    }
}

void play_rest(void)
{
    PLAY_UNTIL(stage_stats(play.stage).idle > 0 && stage_stats(play.stage).shared == 0 &&
               stage_stats(play.stage).leased == 0 && stage_stats(play.stage).submitted == 0);
}

void play_cut(void)
{
    int gate = play.stage->gate != NULL ? PQsocket(play.stage->gate) : -1;
    for (int fd = 3; fd < 1024; fd++) {
        int type;
        socklen_t bytes = sizeof type;
        /* By their numbers, because they are the pool's, which opens and closes them at any time: a checker of races that
         * watches the library's calls would rightly complain. */
        if (fd != gate && syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0)
            (void)syscall(SYS_shutdown, fd, SHUT_RDWR);
    }
}
