/* SPDX-License-Identifier: MIT */
/* The libuv adapter under the tests of all adapters. A detached adapter is overwritten as soon as it may be. */
#include "adapters/suite.h"

#include <pgdbm/adapters/libuv.h>

static uv_loop_t uv_loop;
static uv_timer_t timer;
static pgdbm_libuv adapters[SUITE_ADAPTERS];

static void tick(uv_timer_t *handle)
{
    (void)handle;
    suite_tick();
}

static void forget(void *context)
{
    memset(context, 0x5a, sizeof(pgdbm_libuv));
}

static void open_loop(void)
{
    assert_int_equal(uv_loop_init(&uv_loop), 0);
    assert_int_equal(uv_timer_init(&uv_loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, tick, SUITE_TICK_MS, SUITE_TICK_MS), 0);
}

static pgdbm_status attach(int number, pgdbm_pool *pool, pgdbm_error *err)
{
    return pgdbm_libuv_attach(&adapters[number], &uv_loop, pool, err);
}

static pgdbm_status attach_nothing(pgdbm_pool *pool, pgdbm_error *err)
{
    return pgdbm_libuv_attach(NULL, &uv_loop, pool, err);
}

static void detach(int number)
{
    pgdbm_libuv_detach(&adapters[number], forget, &adapters[number]);
}

static bool watching(int number)
{
    return uv_is_active((uv_handle_t *)&adapters[number].poll);
}

static void run(void)
{
    uv_run(&uv_loop, UV_RUN_DEFAULT);
}

static void stop(void)
{
    uv_stop(&uv_loop);
}

static void close_loop(void)
{
    uv_close((uv_handle_t *)&timer, NULL);
    for (int turns = 0; turns < 10; turns++) /* after a failed test it would never come to an end */
        uv_run(&uv_loop, UV_RUN_NOWAIT);
    assert_int_equal(uv_loop_close(&uv_loop), 0);
}

int main(void)
{
    static const struct suite_loop loop = {open_loop, attach, attach_nothing, detach, watching, run, stop, close_loop};
    return suite_main(&loop);
}
