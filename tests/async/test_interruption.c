/* SPDX-License-Identifier: MIT */
/* Threads that are cancelled in the middle of a verb, and signals that interrupt every system call. */
#include "async/play.h"

#include <pgdbm/future.h>
#include <signal.h>
#include <sys/time.h>

#ifdef __SANITIZE_ADDRESS__
/* A cancelled thread is unwound without the sanitizer seeing it: its own end on that stack then looks like an overflow. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "use_sigaltstack=0";
}
#endif

enum verb { FETCH = 0, TRANSACT, WAIT, STREAM, VERBS };

struct victim {
    enum verb verb;
    atomic_int rounds;
};

static bool on_row(const pgdbm_result *row, void *context)
{
    (void)row;
    (void)context;
    return true;
}

static pgdbm_status insert(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    (void)context;
    return pgdbm_execute(tx, "INSERT INTO t VALUES (1)", pgdbm_no_args, NULL, err);
}

static void submit_and_wait(pgdbm_db *db)
{
    pgdbm_future *future = NULL;
    if (pgdbm_future_new(pgdbm_pool_of(db), &future, NULL) != PGDBM_OK)
        return;
    if (pgdbm_submit(db, "SELECT 1", pgdbm_no_args, pgdbm_future_done, future, NULL) == PGDBM_OK)
        (void)pgdbm_future_wait(future, -1);
    pgdbm_future_free(future);
}

static void *work_until_cancelled(void *context)
{
    struct victim *victim = context;
    pgdbm_db *db = play.stage->db;
    for (;;) {
        int64_t value;
        switch (victim->verb) {
        case FETCH:
            (void)pgdbm_fetch_value(db, "SELECT 5::int8 FROM pg_sleep(0.001)", pgdbm_no_args, &value, NULL);
            break;
        case TRANSACT:
            (void)pgdbm_transact(db, NULL, insert, NULL, NULL);
            break;
        case WAIT:
            submit_and_wait(db);
            break;
        default:
            (void)pgdbm_stream(db, "SELECT generate_series(1, 300)", pgdbm_no_args, on_row, NULL, NULL);
        }
        atomic_fetch_add(&victim->rounds, 1);
        pthread_testcancel();
    }
    return NULL;
}

static void go_on_beside(struct crew_hand *hand)
{
    atomic_bool *stop = hand->shared;
    for (int64_t i = 0; !atomic_load(stop); i++) {
        pgdbm_error err;
        int64_t value = -1;
        pgdbm_status status = pgdbm_fetch_value(play.stage->db, "SELECT $1::int8", pgdbm_args(i), &value, &err);
        if (!crew_wants(hand, PGDBM_OK, status, &err) ||
            !crew_holds(hand, value == i, "expected %lld, came %lld", (long long)i, (long long)value))
            return;
    }
}

static void a_thread_that_is_cancelled_in_a_verb_takes_nothing_along(void **state)
{
    /* Sessions are not to be replaced after so many statements. */
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .max_uses = -1});
    static struct crew crew;
    static struct victim victims[40];
    atomic_bool stop = false;
    stage_run(stage->db, "CREATE TABLE t (i int)");
    for (int i = 0; i < 3; i++)
        crew_start(&crew, go_on_beside, &stop);
    for (size_t i = 0; i < 40; i++) {
        pthread_t thread;
        victims[i] = (struct victim){.verb = i % VERBS};
        assert_int_equal(pthread_create(&thread, NULL, work_until_cancelled, &victims[i]), 0);
        while (atomic_load(&victims[i].rounds) < 2)
            sched_yield();
        assert_int_equal(pthread_cancel(thread), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    atomic_store(&stop, true);
    crew_join(&crew);
    PLAY_UNTIL(stage_stats(stage).leased + stage_stats(stage).shared + stage_stats(stage).retiring == 0);
    pgdbm_pool_stats stats = stage_stats(stage);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.idle, stats.connections_opened - stats.connections_closed);
    assert_int_equal(stats.connections_closed, 0);
    for (int i = 0; i < 10; i++)
        play_number(stage->db, "SELECT 1::int8", 1);
}

static void *wait_in_the_queue(void *context)
{
    int64_t value;
    (void)context;
    (void)pgdbm_fetch_value(play.stage->db, "SELECT 5::int8", pgdbm_no_args, &value, NULL);
    pthread_testcancel();
    return NULL;
}

static void a_thread_that_is_cancelled_in_the_queue_takes_nothing_along(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1});
    pgdbm_db *session = play_pin(stage->db);
    pthread_t threads[10];
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_in_the_queue, NULL), 0);
        STAGE_UNTIL(stage, stats.waiting == i + 1);
    }
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(pthread_cancel(threads[i]), 0);
    pgdbm_close(session); /* the verb goes on to its end; then the thread ends */
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    play_rest();
    play_number(stage->db, "SELECT 1::int8", 1);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static atomic_int alarms; /* in any thread */

static void on_alarm(int number)
{
    (void)number;
    atomic_fetch_add(&alarms, 1);
}

static void rain(bool on)
{
    const struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    const struct itimerval every = {.it_interval = {.tv_usec = on ? 500 : 0}, .it_value = {.tv_usec = on ? 500 : 0}};
    if (on)
        assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every, NULL), 0);
    if (!on)
        assert_int_equal(sigaction(SIGALRM, &ignored, NULL), 0);
}

static void work_in_the_rain(struct stage *stage, pgdbm_error *err)
{
    struct answer *answers = play_answers(300);
    for (size_t i = 0; i < 300; i++) {
        int64_t value = -1;
        pgdbm_db *tx = NULL;
        if (pgdbm_submit(stage->db, i % 10 == 0 ? "SELECT $1::int8 FROM pg_sleep(0.005)" : "SELECT $1::int8",
                         pgdbm_args(i), play_take, &answers[i], err) != PGDBM_OK)
            return;
        if (i % 10 == 5 && (pgdbm_begin(stage->db, NULL, &tx, err) != PGDBM_OK ||
                            pgdbm_execute(tx, "SELECT pg_sleep(0.005)", pgdbm_no_args, NULL, err) != PGDBM_OK ||
                            pgdbm_commit(tx, err) != PGDBM_OK))
            return;
        if (pgdbm_fetch_value(stage->db, "SELECT $1::int8", pgdbm_args(i), &value, err) != PGDBM_OK)
            return;
    }
    PLAY_UNTIL(play.n_answers == 300);
}

static void signals_without_end_disturb_nobody(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.min_connections = 1, .max_connections = 3});
    pgdbm_error err = {0};
    atomic_store(&alarms, 0);
    rain(true);
    work_in_the_rain(stage, &err);
    pgdbm_pool *pool = NULL; /* and a pool is opened and closed in it */
    pgdbm_config config = stage_config(stage, (pgdbm_config){.max_connections = 2});
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    pgdbm_pool_close(pool);
    rain(false);
    assert_int_equal(status, PGDBM_OK);
    if (err.status != PGDBM_OK)
        fail_msg("%s: %s", pgdbm_status_name(err.status), err.message);
    for (size_t i = 0; i < 300; i++) {
        play_ok(&play.answers[i]);
        assert_int_equal(play.answers[i].number, i);
    }
    assert_true(atomic_load(&alarms) > 20);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_thread_that_is_cancelled_in_a_verb_takes_nothing_along),
        PLAY_BOTH(a_thread_that_is_cancelled_in_the_queue_takes_nothing_along),
        PLAY_BOTH(signals_without_end_disturb_nobody),
    };
    return cmocka_run_group_tests_name("interruption", tests, NULL, NULL);
}
