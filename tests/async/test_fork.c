/* SPDX-License-Identifier: MIT */
/* A child of a process that has a pool: everything it asks of that pool is refused or does nothing, the parent does not
 * notice, and the child can open a pool of its own. */
#include "async/play.h"

#include <pgdbm/batch.h>
#include <pgdbm/future.h>
#include <pgdbm/listen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* What there was in the parent when it forked. */
struct heritage {
    struct stage *stage;
    pgdbm_db *tx;
    pgdbm_request *request;
    pgdbm_future *future;
    pgdbm_batch *batch;
    pgdbm_listener *listener;
};

/* cmocka's assertions are for the parent. */
static void complain(int line)
{
    fprintf(stderr, "in the child, line %d\n", line);
    _exit(1);
}

#define CHILD_REFUSED(call)                                                                                            \
    do {                                                                                                               \
        memset(&err, 0, sizeof err);                                                                                   \
        if ((call) != PGDBM_ERR_POOL || err.outcome != PGDBM_OUTCOME_NOT_SENT || strstr(err.message, "fork") == NULL)  \
            complain(__LINE__);                                                                                        \
    } while (0)

static void on_event(const pgdbm_event *event, void *context)
{
    (void)event;
    (void)context;
}

static pgdbm_status do_nothing(void *context, pgdbm_error *err)
{
    (void)context;
    (void)err;
    return PGDBM_OK;
}

static void use_blocking(const struct heritage *heritage)
{
    pgdbm_db *db = heritage->stage->db;
    pgdbm_error err;
    pgdbm_db *other = NULL;
    pgdbm_result *result = NULL;
    pgdbm_pool_stats stats;
    CHILD_REFUSED(pgdbm_execute(db, "SELECT 1", pgdbm_no_args, NULL, &err));
    CHILD_REFUSED(pgdbm_fetch_all(db, "SELECT 1", pgdbm_no_args, &result, &err));
    CHILD_REFUSED(pgdbm_execute(heritage->tx, "SELECT 1", pgdbm_no_args, NULL, &err));
    CHILD_REFUSED(pgdbm_begin(db, NULL, &other, &err));
    CHILD_REFUSED(pgdbm_begin(heritage->tx, NULL, &other, &err));
    CHILD_REFUSED(pgdbm_pin(db, &other, &err));
    CHILD_REFUSED(pgdbm_attach(heritage->stage->pool, "app", &other, &err));
    CHILD_REFUSED(pgdbm_pool_stats_read(heritage->stage->pool, &stats, &err));
}

static void use_asynchronous(const struct heritage *heritage)
{
    pgdbm_db *db = heritage->stage->db;
    pgdbm_pool *pool = heritage->stage->pool;
    pgdbm_error err;
    pgdbm_listener *listener = NULL;
    struct answer *never = play_answer();
    CHILD_REFUSED(pgdbm_submit(db, "SELECT 1", pgdbm_no_args, play_take, never, &err));
    CHILD_REFUSED(pgdbm_submit(heritage->tx, "SELECT 1", pgdbm_no_args, play_take, never, &err));
    CHILD_REFUSED(pgdbm_begin_async(db, NULL, play_take, never, &err));
    CHILD_REFUSED(pgdbm_pin_async(db, play_take, never, &err));
    CHILD_REFUSED(pgdbm_offload(pool, do_nothing, NULL, play_take, never, &err));
    CHILD_REFUSED(pgdbm_notify_async(db, "channel", NULL, play_take, never, &err));
    CHILD_REFUSED(pgdbm_listen(db, "channel", on_event, NULL, &listener, &err));
    CHILD_REFUSED(pgdbm_future_then(heritage->future, play_take, never, &err));
    CHILD_REFUSED(pgdbm_batch_run(heritage->batch, &err));
    if (pgdbm_dispatch(pool, 0) != 0 || pgdbm_dispatch(pool, 1000) != 0)
        complain(__LINE__);
    if (pgdbm_future_wait(heritage->future, 1000) != NULL || pgdbm_future_poll(heritage->future) != NULL)
        complain(__LINE__);
    pgdbm_dispatch_stop(pool);
    pgdbm_cancel(heritage->request);
    pgdbm_unlisten(heritage->listener);
    if (never->calls != 0)
        complain(__LINE__);
}

static void close_everything(const struct heritage *heritage)
{
    pgdbm_close(heritage->tx);
    pgdbm_close(heritage->stage->db);
    pgdbm_pool_close(heritage->stage->pool);
}

/* The thread sanitizer lets no child of a process with threads have threads itself. */
static void open_own(const struct heritage *heritage)
{
#ifdef __SANITIZE_THREAD__
    (void)heritage;
#else
    pgdbm_config config = {.connection_string = heritage->stage->url,
                           .min_connections = 1,
                           .max_connections = 2,
                           .background = play.background,
                           .on_duplicate_pool = PGDBM_ALLOW};
    pgdbm_error err;
    pgdbm_db *db = NULL;
    pgdbm_future *future = NULL;
    int64_t value = 0;
    if (pgdbm_open(&config, &db, &err) != PGDBM_OK ||
        pgdbm_fetch_value(db, "SELECT 8::int8", pgdbm_no_args, &value, &err) != PGDBM_OK || value != 8)
        complain(__LINE__);
    if (pgdbm_future_new(pgdbm_pool_of(db), &future, &err) != PGDBM_OK ||
        pgdbm_submit(db, "SELECT 9::int8", pgdbm_no_args, pgdbm_future_done, future, &err) != PGDBM_OK)
        complain(__LINE__);
    const pgdbm_outcome *outcome = pgdbm_future_wait(future, 30000);
    if (outcome == NULL || outcome->status != PGDBM_OK)
        complain(__LINE__);
    pgdbm_future_free(future);
    pgdbm_close(db);
#endif
}

static void in_a_child(const struct heritage *heritage, void (*task)(const struct heritage *heritage))
{
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60); /* a child that hangs is a failure too */
        task(heritage);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fail_msg("the child ended with %s %d", WIFEXITED(status) ? "status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void a_child_is_refused_and_its_parent_unharmed(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 4});
    pgdbm_error err;
    struct heritage heritage = {.stage = stage};
    struct answer *slow = play_answer();
    stage_gate_shut(stage);
    assert_ok(pgdbm_listen(stage->db, "channel", on_event, NULL, &heritage.listener, &err));
    assert_ok(pgdbm_future_new(stage->pool, &heritage.future, &err));
    assert_ok(pgdbm_batch_new(stage->db, NULL, &heritage.batch, &err));
    assert_ok(pgdbm_batch_add(heritage.batch, "SELECT 1", pgdbm_no_args, &err));
    heritage.tx = play_begin(stage->db);
    assert_ok(pgdbm_submit_with(stage->db, NULL, STAGE_PASS, pgdbm_no_args, play_take, slow, &heritage.request, &err));
    assert_ok(pgdbm_submit(heritage.tx, STAGE_PASS, pgdbm_no_args, pgdbm_future_done, heritage.future, &err));
    play_gate_awaited(2);
    void (*const tasks[])(const struct heritage *) = {use_blocking, use_asynchronous, close_everything, open_own};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        in_a_child(&heritage, tasks[i]);
        assert_int_equal(slow->calls, 0);
    }
    stage_gate_open(stage);
    PLAY_UNTIL(pgdbm_future_poll(heritage.future) != NULL);
    assert_int_equal(pgdbm_future_poll(heritage.future)->status, PGDBM_OK);
    play_number(heritage.tx, "SELECT 1::int8", 1);
    assert_ok(pgdbm_commit(heritage.tx, &err));
    play_ok(slow); /* which may have waited for the transaction, behind the gate */
    pgdbm_unlisten(heritage.listener);
    pgdbm_request_release(heritage.request);
    pgdbm_future_free(heritage.future);
    assert_ok(pgdbm_batch_run(heritage.batch, &err));
    pgdbm_batch_free(heritage.batch);
    assert_int_equal(stage_stats(stage).connections_closed, 0);
}

static void submit_without_pause(struct crew_hand *hand)
{
    atomic_bool *stop = hand->shared;
    while (!atomic_load(stop)) {
        pgdbm_error err;
        int64_t value = 0;
        if (!crew_wants(hand, PGDBM_OK,
                        pgdbm_fetch_value(play.stage->db, "SELECT 5::int8", pgdbm_no_args, &value, &err), &err) ||
            !crew_wants(hand, PGDBM_OK,
                        pgdbm_submit(play.stage->db, "SELECT 5::int8", pgdbm_no_args, pgdbm_future_done, NULL, &err),
                        &err))
            return;
    }
}

/* The lock of the parent's pool may be held at the moment of the fork, for ever: the child must not need it. */
static void children_of_a_busy_parent_are_refused_and_do_not_hang(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2});
    static struct crew crew;
    pgdbm_error err;
    struct heritage heritage = {.stage = stage};
    atomic_bool stop = false;
    assert_ok(pgdbm_future_new(stage->pool, &heritage.future, &err));
    assert_ok(pgdbm_batch_new(stage->db, NULL, &heritage.batch, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &heritage.tx, &err));
    for (int i = 0; i < 4; i++)
        crew_start(&crew, submit_without_pause, &stop);
    for (int i = 0; i < 30; i++) {
        in_a_child(&heritage, i % 2 == 0 ? use_blocking : close_everything);
        (void)pgdbm_dispatch(stage->pool, 0);
    }
    atomic_store(&stop, true);
    crew_join(&crew);
    assert_ok(pgdbm_commit(heritage.tx, &err));
    pgdbm_future_free(heritage.future);
    pgdbm_batch_free(heritage.batch);
    PLAY_UNTIL(stage_stats(stage).submitted == 0);
    play_number(stage->db, "SELECT 1::int8", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_BOTH(a_child_is_refused_and_its_parent_unharmed),
        PLAY_BOTH(children_of_a_busy_parent_are_refused_and_do_not_hang),
    };
    return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
