/* SPDX-License-Identifier: MIT */
/* The tests of the adapters. The loop and what its timer does are the program's, set anew for each test. */
#include "adapters/suite.h"

#include <stdlib.h>

enum { MANY = 400, PATIENCE_MS = 60000 };

static const struct suite_loop *loop;
static struct stage *stage;
static void (*on_tick)(void);
static int ticks;
static int64_t give_up;

void suite_tick(void)
{
    ticks++;
    if (on_tick != NULL)
        on_tick();
    if (stage_clock_ms() > give_up)
        loop->stop(); /* the test then misses what it waited for */
}

static int setup(void **state)
{
    stage_setup_four(state);
    stage = *state;
    on_tick = NULL;
    ticks = 0;
    give_up = stage_clock_ms() + PATIENCE_MS;
    loop->open();
    return 0;
}

static int teardown(void **state)
{
    loop->close();
    return stage_teardown(state);
}

static void attach(void)
{
    pgdbm_error err;
    assert_ok(loop->attach(0, stage->pool, &err));
}

/* What a callback writes down. */
struct seen {
    int calls;
    int failures;
    int64_t sum;
    int expected;       /* the loop is stopped at this call */
    void (*then)(void); /* what it does besides, once, at the first call */
};

static void on_number(const pgdbm_outcome *outcome, void *context)
{
    struct seen *seen = context;
    int64_t number = 0;
    if (outcome->status != PGDBM_OK || pgdbm_get_int64(outcome->result, 0, 0, &number, NULL) != PGDBM_OK)
        seen->failures++;
    seen->sum += number;
    seen->calls++;
    void (*then)(void) = seen->then;
    seen->then = NULL;
    if (then != NULL)
        then();
    if (seen->calls == seen->expected)
        loop->stop();
}

static void submit(const char *sql, struct seen *seen)
{
    pgdbm_error err;
    assert_ok(pgdbm_submit(stage->db, sql, pgdbm_no_args, on_number, seen, &err));
}

static void submit_numbers(struct seen *seen, int count)
{
    pgdbm_error err;
    for (int i = 1; i <= count; i++)
        assert_ok(pgdbm_submit(stage->db, "SELECT $1::bigint", pgdbm_args(i), on_number, seen, &err));
}

static void stop_after_twenty(void)
{
    if (ticks >= 20)
        loop->stop();
}

static void many_requests_complete_in_the_loop(void **state)
{
    (void)state;
    struct seen seen = {.expected = MANY};
    attach();
    submit_numbers(&seen, MANY);
    loop->run();
    assert_int_equal(seen.calls, MANY);
    assert_int_equal(seen.failures, 0);
    assert_int_equal(seen.sum, MANY * (MANY + 1) / 2);
    loop->detach(0);
}

static void requests_submitted_before_the_pool_was_attached_are_not_missed(void **state)
{
    (void)state;
    struct seen seen = {.expected = MANY};
    submit_numbers(&seen, MANY);
    attach();
    loop->run();
    assert_int_equal(seen.calls, MANY);
    assert_int_equal(seen.failures, 0);
    loop->detach(0);
}

static void open_gate_at_tenth(void)
{
    if (ticks == 10)
        stage_gate_open(stage);
}

static void timers_of_the_loop_run_while_a_statement_waits(void **state)
{
    (void)state;
    struct seen seen = {.expected = 1};
    stage_gate_shut(stage);
    attach();
    submit(STAGE_PASS, &seen);
    on_tick = open_gate_at_tenth; /* a loop that waited for the statement would never come there */
    loop->run();
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.failures, 0);
    assert_true(ticks >= 10);
    loop->detach(0);
}

static struct seen chained;

static void submit_another(void)
{
    if (chained.calls < MANY / 2) {
        chained.then = submit_another;
        submit("SELECT 1::bigint", &chained);
    }
}

static void a_callback_may_submit_the_next_request(void **state)
{
    (void)state;
    chained = (struct seen){.expected = MANY / 2, .then = submit_another};
    attach();
    submit("SELECT 1::bigint", &chained);
    loop->run();
    assert_int_equal(chained.calls, MANY / 2);
    assert_int_equal(chained.failures, 0);
    loop->detach(0);
}

static void ask_and_wait(void)
{
    stage_expect_number(stage->db, "SELECT 40 + 2", 42);
}

static void a_callback_may_use_a_blocking_verb(void **state)
{
    (void)state;
    struct seen seen = {.expected = MANY, .then = ask_and_wait};
    attach();
    submit_numbers(&seen, MANY);
    loop->run();
    assert_int_equal(seen.calls, MANY);
    assert_int_equal(seen.failures, 0);
    loop->detach(0);
}

static struct seen later;

static void detach_and_submit(void)
{
    loop->detach(0);
    submit("SELECT 2::bigint", &later);
    ticks = 0;
    on_tick = stop_after_twenty;
}

static void a_callback_may_detach_and_nothing_is_called_in_the_loop_afterwards(void **state)
{
    (void)state;
    struct seen seen = {.then = detach_and_submit};
    later = (struct seen){0};
    attach();
    submit("SELECT 1::bigint", &seen);
    loop->run();
    assert_int_equal(seen.calls, 1);
    assert_true(ticks >= 20);
    assert_int_equal(later.calls, 0);
    /* It was not lost either: it is complete when the pool is closed. */
    stage_close(stage);
    assert_int_equal(later.calls, 1);
    assert_int_equal(later.sum, 2);
}

static void a_pool_can_be_attached_again_and_goes_on_where_it_was(void **state)
{
    (void)state;
    struct seen seen = {.then = detach_and_submit};
    later = (struct seen){.expected = 1};
    attach();
    submit("SELECT 1::bigint", &seen);
    loop->run();
    assert_int_equal(later.calls, 0);
    on_tick = NULL;
    pgdbm_error err;
    assert_ok(loop->attach(1, stage->pool, &err));
    loop->run();
    assert_int_equal(later.calls, 1);
    loop->detach(1);
}

static void close_everything(void)
{
    stage_close(stage);
    ticks = 0;
    on_tick = stop_after_twenty;
}

static void detach_and_close(void)
{
    loop->detach(0);
    close_everything();
}

static void a_callback_may_detach_and_close_the_pool(void **state)
{
    (void)state;
    struct seen seen = {.then = detach_and_close};
    attach();
    submit_numbers(&seen, 10);
    loop->run();
    assert_int_equal(seen.calls, 10); /* the others' callbacks ran in the close */
    assert_true(ticks >= 20);         /* and the loop is well */
}

static void a_callback_may_close_the_pool_without_detaching(void **state)
{
    (void)state;
    struct seen seen = {.then = close_everything};
    attach();
    submit_numbers(&seen, 10);
    loop->run();
    assert_int_equal(seen.calls, 10);
    assert_true(ticks >= 20);
    assert_false(loop->watching(0));
    loop->detach(0);
}

static void close_and_detach(void)
{
    close_everything();
    loop->detach(0);
}

static void a_callback_may_close_the_pool_and_then_detach(void **state)
{
    (void)state;
    struct seen seen = {.then = close_and_detach};
    attach();
    submit("SELECT 1::bigint", &seen);
    loop->run();
    assert_int_equal(seen.calls, 1);
    assert_true(ticks >= 20);
}

static void a_pool_closed_under_an_idle_loop_does_no_harm(void **state)
{
    (void)state;
    attach();
    stage_close(stage);
    on_tick = stop_after_twenty;
    loop->run();
    loop->detach(0);
}

static void two_pools_share_a_loop(void **state)
{
    (void)state;
    struct seen first = {0};
    struct seen second = {0};
    struct stage other = {.url = stage->url};
    pthread_mutex_init(&other.lock, NULL);
    stage_open(&other, (pgdbm_config){.max_connections = 2});
    pgdbm_error err;
    attach();
    assert_ok(loop->attach(1, other.pool, &err));
    submit_numbers(&first, MANY);
    assert_ok(pgdbm_submit(other.db, "SELECT 7::bigint", pgdbm_no_args, on_number, &second, &err));
    first.expected = MANY;
    second.expected = 1;
    loop->run(); /* until one of them is through */
    if (first.calls < MANY || second.calls < 1)
        loop->run();
    assert_int_equal(first.calls, MANY);
    assert_int_equal(second.sum, 7);
    loop->detach(1);
    stage_close(&other);
    loop->detach(0);
    pthread_mutex_destroy(&other.lock);
}

/* Returns NULL when all went well: a failed assertion must not leave a thread of our own. */
static void *submit_elsewhere(void *seen)
{
    for (int i = 0; i < MANY; i++)
        if (pgdbm_submit(stage->db, "SELECT 1::bigint", pgdbm_no_args, on_number, seen, NULL) != PGDBM_OK)
            return seen;
    return NULL;
}

static void submits_of_another_thread_wake_the_loop(void **state)
{
    (void)state;
    struct seen seen = {.expected = MANY};
    void *failed = &seen;
    pthread_t thread;
    attach();
    assert_int_equal(pthread_create(&thread, NULL, submit_elsewhere, &seen), 0);
    loop->run();
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(seen.calls, MANY);
    assert_int_equal(seen.failures, 0);
    loop->detach(0);
}

static void on_notified(const pgdbm_outcome *outcome, void *context)
{
    (void)context;
    assert_int_equal(outcome->status, PGDBM_OK);
}

static void stop_at_notification(const pgdbm_event *event, void *context)
{
    int *notifications = context;
    pgdbm_error err;
    if (event->kind == PGDBM_EVENT_READY)
        assert_ok(pgdbm_notify_async(stage->db, "bell", "ding", on_notified, NULL, &err));
    if (event->kind == PGDBM_EVENT_NOTIFICATION && strcmp(event->payload, "ding") == 0) {
        ++*notifications;
        loop->stop();
    }
}

static void notifications_come_through_the_loop(void **state)
{
    (void)state;
    int notifications = 0;
    pgdbm_listener *listener = NULL;
    pgdbm_error err;
    attach();
    assert_ok(pgdbm_listen(stage->db, "bell", stop_at_notification, &notifications, &listener, &err));
    loop->run();
    assert_int_equal(notifications, 1);
    pgdbm_unlisten(listener);
    loop->detach(0);
}

static void a_deadline_passes_without_anything_else_happening(void **state)
{
    (void)state;
    struct seen seen = {.expected = 1};
    pgdbm_error err;
    stage_gate_shut(stage);
    attach();
    const pgdbm_call call = {.timeout_ms = 50};
    assert_ok(pgdbm_submit_with(stage->db, &call, STAGE_PASS, pgdbm_no_args, on_number, &seen, NULL, &err));
    loop->run();
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.failures, 1);
    stage_gate_open(stage);
    loop->detach(0);
}

static void what_cannot_be_attached_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    pgdbm_error err = {0};
    assert_fails(PGDBM_ERR_ARGUMENT, loop->attach(0, NULL, &err));
    assert_int_equal(err.status, PGDBM_ERR_ARGUMENT);
    assert_contains(err.message, "NULL");
    assert_fails(PGDBM_ERR_ARGUMENT, loop->attach_nothing(stage->pool, &err));
    assert_int_equal(loop->attach_nothing(stage->pool, NULL), PGDBM_ERR_ARGUMENT);
}

int suite_main(const struct suite_loop *under_test)
{
    loop = under_test;
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(many_requests_complete_in_the_loop),
        TEST(requests_submitted_before_the_pool_was_attached_are_not_missed),
        TEST(timers_of_the_loop_run_while_a_statement_waits),
        TEST(a_callback_may_submit_the_next_request),
        TEST(a_callback_may_use_a_blocking_verb),
        TEST(a_callback_may_detach_and_nothing_is_called_in_the_loop_afterwards),
        TEST(a_pool_can_be_attached_again_and_goes_on_where_it_was),
        TEST(a_callback_may_detach_and_close_the_pool),
        TEST(a_callback_may_close_the_pool_without_detaching),
        TEST(a_callback_may_close_the_pool_and_then_detach),
        TEST(a_pool_closed_under_an_idle_loop_does_no_harm),
        TEST(two_pools_share_a_loop),
        TEST(submits_of_another_thread_wake_the_loop),
        TEST(notifications_come_through_the_loop),
        TEST(a_deadline_passes_without_anything_else_happening),
        TEST(what_cannot_be_attached_is_refused_and_leaves_nothing),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
