/* SPDX-License-Identifier: MIT */
/* Threads that hold a session and ask for another: when all of them do, the newest is told at once; nobody else is. */
#include "async/play.h"

#include <stdio.h>

#define HANDS 3

struct nest {
    atomic_int holding;
    atomic_int refused, served;
    char message[512];
    pthread_mutex_t lock;
};

static atomic_int first_line, second_line; /* of this file, where the two are asked for */

/* Each takes one of the three sessions, and when all are taken asks for a fourth. */
static void hold_and_ask(struct crew_hand *hand)
{
    struct nest *nest = hand->shared;
    pgdbm_error err;
    pgdbm_db *first = NULL, *second = NULL;
    atomic_store(&first_line, __LINE__ + 1);
    if (!crew_wants(hand, PGDBM_OK, pgdbm_begin(play.stage->db, NULL, &first, &err), &err))
        return;
    atomic_fetch_add(&nest->holding, 1);
    while (atomic_load(&nest->holding) < HANDS)
        sched_yield();
    atomic_store(&second_line, __LINE__ + 1);
    pgdbm_status status = pgdbm_begin(play.stage->db, NULL, &second, &err);
    if (status == PGDBM_OK)
        atomic_fetch_add(&nest->served, 1);
    else {
        crew_wants(hand, PGDBM_ERR_POOL, status, &err);
        crew_holds(hand, err.outcome == PGDBM_OUTCOME_NOT_SENT, "outcome %s", pgdbm_outcome_name(err.outcome));
        pthread_mutex_lock(&nest->lock);
        atomic_fetch_add(&nest->refused, 1);
        memcpy(nest->message, err.message, sizeof nest->message);
        pthread_mutex_unlock(&nest->lock);
    }
    pgdbm_close(second);
    pgdbm_close(first);
}

static void of_threads_that_all_hold_and_ask_the_newest_fails_and_the_others_are_served(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = HANDS, .acquire_timeout_ms = 60000});
    static struct crew crew;
    struct nest nest = {.lock = PTHREAD_MUTEX_INITIALIZER};
    char place[64];
    for (int i = 0; i < HANDS; i++)
        crew_start(&crew, hold_and_ask, &nest);
    int64_t begun = stage_clock_ms();
    crew_join(&crew);
    if (stage_clock_ms() - begun > 40000)
        fail_msg("somebody waited for his time to run out");
    assert_true(atomic_load(&nest.refused) >= 1);
    assert_int_equal(atomic_load(&nest.refused) + atomic_load(&nest.served), HANDS);
    assert_true(atomic_load(&nest.served) >= 1);
    snprintf(place, sizeof place, "test_nesting.c:%d", atomic_load(&first_line));
    assert_contains(nest.message, place);
    snprintf(place, sizeof place, "test_nesting.c:%d", atomic_load(&second_line));
    assert_contains(nest.message, place);
    stage_expect_number(stage->db, "SELECT 1::int8", 1);
    assert_int_equal(stage_stats(stage).leased, 0);
}

static void a_thread_alone_on_a_pool_of_one_is_told_at_once(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .acquire_timeout_ms = 60000});
    pgdbm_error err;
    pgdbm_db *tx = NULL, *other = NULL;
    int64_t value;
    assert_ok(pgdbm_begin(stage->db, NULL, &tx, &err));
    int64_t begun = stage_clock_ms();
    assert_fails(PGDBM_ERR_POOL, pgdbm_pin(stage->db, &other, &err));
    assert_contains(err.message, "test_nesting.c");
    assert_contains(err.hint, "handle that is open");
    assert_fails(PGDBM_ERR_POOL, pgdbm_fetch_value(stage->db, "SELECT 1::int8", pgdbm_no_args, &value, &err));
    assert_true(stage_clock_ms() - begun < 30000);
    stage_expect_number(tx, "SELECT 1::int8", 1);
    assert_ok(pgdbm_commit(tx, &err));
    stage_expect_number(stage->db, "SELECT 1::int8", 1);
}

struct handing {
    pgdbm_db *_Atomic handle;
    atomic_bool asks;
};

static void use_and_close(struct crew_hand *hand)
{
    struct handing *handing = hand->shared;
    pgdbm_error err;
    pgdbm_db *handle;
    int64_t value = 0;
    while ((handle = atomic_load(&handing->handle)) == NULL)
        sched_yield();
    pgdbm_status status = pgdbm_fetch_value(handle, "SELECT 4::int8", pgdbm_no_args, &value, &err);
    crew_wants(hand, PGDBM_OK, status, &err);
    STAGE_UNTIL(play.stage, stats.waiting == 1 || hand->complaint[0] != '\0');
    pgdbm_close(handle);
}

/* Whoever used it last has it: the thread that took it may wait for it. */
static void a_lease_that_another_thread_uses_now_is_no_deadlock(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .acquire_timeout_ms = 60000});
    static struct crew crew;
    pgdbm_error err;
    struct handing handing = {0};
    pgdbm_db *session = NULL, *tx = NULL;
    assert_ok(pgdbm_pin(stage->db, &session, &err));
    crew_start(&crew, use_and_close, &handing);
    atomic_store(&handing.handle, session);
    int64_t before = stage_clock_ms();
    pgdbm_status status;
    do { /* until the other has used it, this is what it looks like: a thread that waits for itself */
        status = pgdbm_begin(stage->db, NULL, &tx, &err);
    } while (status == PGDBM_ERR_POOL && stage_clock_ms() - before < 30000);
    assert_ok(status);
    assert_ok(pgdbm_commit(tx, &err));
    crew_join(&crew);
}

static void a_lease_of_an_event_loop_is_no_deadlock(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 1, .acquire_timeout_ms = 60000});
    pgdbm_error err;
    pgdbm_db *blocking = NULL;
    pgdbm_db *tx = play_begin(stage->db);
    struct answer *inside = play_submit(tx, "SELECT 3::int8");
    assert_ok(pgdbm_commit_async(tx, NULL, NULL, &err));
    assert_ok(pgdbm_begin(stage->db, NULL, &blocking, &err));
    assert_ok(pgdbm_commit(blocking, &err));
    play_ok(inside);
}

static void hold_until_told(struct crew_hand *hand)
{
    struct nest *nest = hand->shared;
    pgdbm_error err;
    pgdbm_db *session = NULL;
    if (!crew_wants(hand, PGDBM_OK, pgdbm_pin(play.stage->db, &session, &err), &err))
        return;
    atomic_fetch_add(&nest->holding, 1);
    while (atomic_load(&nest->holding) < 100)
        usleep(1000);
    pgdbm_close(session);
}

static void a_thread_that_holds_one_may_wait_for_one_that_another_will_give_back(void **state)
{
    struct stage *stage = play_open(state, (pgdbm_config){.max_connections = 2, .acquire_timeout_ms = 60000});
    static struct crew crew;
    pgdbm_error err;
    struct nest nest = {0};
    pgdbm_db *first = NULL;
    crew_start(&crew, hold_until_told, &nest);
    while (atomic_load(&nest.holding) < 1)
        sched_yield();
    assert_ok(pgdbm_begin(stage->db, NULL, &first, &err));
    struct answer *waiting = play_submit(stage->db, "SELECT 3::int8");
    STAGE_UNTIL(stage, stats.waiting == 1);
    atomic_store(&nest.holding, 100);
    stage_expect_number(stage->db, "SELECT 2::int8", 2); /* waits while it holds, and is served */
    play_ok(waiting);
    assert_ok(pgdbm_commit(first, &err));
    crew_join(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAY_DISPATCHED(of_threads_that_all_hold_and_ask_the_newest_fails_and_the_others_are_served),
        PLAY_DISPATCHED(a_thread_alone_on_a_pool_of_one_is_told_at_once),
        PLAY_DISPATCHED(a_lease_that_another_thread_uses_now_is_no_deadlock),
        PLAY_BOTH(a_lease_of_an_event_loop_is_no_deadlock),
        PLAY_BOTH(a_thread_that_holds_one_may_wait_for_one_that_another_will_give_back),
    };
    return cmocka_run_group_tests_name("nesting", tests, NULL, NULL);
}
