/* SPDX-License-Identifier: MIT */
/* The libevent adapter under the tests of all adapters. A detached adapter's memory is overwritten at once. */
#include "adapters/suite.h"

#include <pgdbm/adapters/libevent.h>

static struct event_base *base;
static struct event *timer;
static pgdbm_libevent adapters[SUITE_ADAPTERS];

static void tick(evutil_socket_t fd, short events, void *context)
{
    (void)fd;
    (void)events;
    (void)context;
    suite_tick();
}

static void open_loop(void)
{
    const struct timeval interval = {.tv_usec = SUITE_TICK_MS * 1000};
    base = event_base_new();
    assert_non_null(base);
    timer = event_new(base, -1, EV_PERSIST, tick, NULL);
    assert_non_null(timer);
    assert_int_equal(event_add(timer, &interval), 0);
}

static pgdbm_status attach(int number, pgdbm_pool *pool, pgdbm_error *err)
{
    return pgdbm_libevent_attach(&adapters[number], base, pool, err);
}

static pgdbm_status attach_nothing(pgdbm_pool *pool, pgdbm_error *err)
{
    return pgdbm_libevent_attach(NULL, base, pool, err);
}

static void detach(int number)
{
    pgdbm_libevent_detach(&adapters[number]);
    memset(&adapters[number], 0x5a, sizeof adapters[number]);
}

static bool watching(int number)
{
    return event_pending(adapters[number].event, EV_READ, NULL) != 0;
}

static void run(void)
{
    event_base_dispatch(base);
}

static void stop(void)
{
    event_base_loopbreak(base);
}

static void close_loop(void)
{
    event_free(timer);
    assert_int_equal(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
    event_base_free(base);
}

int main(void)
{
    static const struct suite_loop loop = {open_loop, attach, attach_nothing, detach, watching, run, stop, close_loop};
    int failures = suite_main(&loop);
    libevent_global_shutdown();
    return failures;
}
