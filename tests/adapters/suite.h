/* SPDX-License-Identifier: MIT */
/* What every adapter must do, written once: each test program gives its library's loop and runs all tests. One loop at
 * a time; everything but stage_* runs in the thread that runs it. */
#ifndef PGDBM_TESTS_ADAPTERS_SUITE_H
#define PGDBM_TESTS_ADAPTERS_SUITE_H

#include "db/stage.h"

#include <pgdbm/async.h>
#include <pgdbm/listen.h>

/* An adapter's place: room for whichever library's struct it is. Two, because a loop may have two pools. */
enum { SUITE_ADAPTERS = 2, SUITE_TICK_MS = 2 };

/* The library under test. `number` is the adapter's, below SUITE_ADAPTERS. */
struct suite_loop {
    void (*open)(void);
    pgdbm_status (*attach)(int number, pgdbm_pool *pool, pgdbm_error *err);
    pgdbm_status (*attach_nothing)(pgdbm_pool *pool, pgdbm_error *err); /* with a NULL in place of the adapter */
    void (*detach)(int number);
    bool (*watching)(int number); /* whether the loop still looks at the pool's descriptor */
    void (*run)(void);            /* until stop; suite_tick is called every SUITE_TICK_MS meanwhile */
    void (*stop)(void);
    void (*close)(void); /* all adapters are detached: nothing may be left in the loop */
};

/* Called by the loop's timer. */
void suite_tick(void);

/* Runs the tests; the program's exit status. */
int suite_main(const struct suite_loop *loop);

#endif
