/* SPDX-License-Identifier: MIT */
/* The GLib adapter under the tests of all adapters, on a context of its own. A detached adapter's memory is overwritten
 * at once. */
#include "adapters/suite.h"

#include <pgdbm/adapters/glib.h>

static GMainContext *main_context;
static GMainLoop *main_loop;
static GSource *timer;
static pgdbm_glib adapters[SUITE_ADAPTERS];

static gboolean tick(gpointer context)
{
    (void)context;
    suite_tick();
    return G_SOURCE_CONTINUE;
}

static void open_loop(void)
{
    main_context = g_main_context_new();
    main_loop = g_main_loop_new(main_context, FALSE);
    timer = g_timeout_source_new(SUITE_TICK_MS);
    g_source_set_callback(timer, tick, NULL, NULL);
    g_source_attach(timer, main_context);
}

static pgdbm_status attach(int number, pgdbm_pool *pool, pgdbm_error *err)
{
    return pgdbm_glib_attach(&adapters[number], main_context, pool, err);
}

static pgdbm_status attach_nothing(pgdbm_pool *pool, pgdbm_error *err)
{
    return pgdbm_glib_attach(NULL, main_context, pool, err);
}

static void detach(int number)
{
    pgdbm_glib_detach(&adapters[number]);
    memset(&adapters[number], 0x5a, sizeof adapters[number]);
}

static bool watching(int number)
{
    return !g_source_is_destroyed(adapters[number].source);
}

static void run(void)
{
    g_main_loop_run(main_loop);
}

static void stop(void)
{
    g_main_loop_quit(main_loop);
}

static void close_loop(void)
{
    g_source_destroy(timer);
    g_source_unref(timer);
    g_main_loop_unref(main_loop);
    g_main_context_unref(main_context);
}

int main(void)
{
    static const struct suite_loop loop = {open_loop, attach, attach_nothing, detach, watching, run, stop, close_loop};
    return suite_main(&loop);
}
