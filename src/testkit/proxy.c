/* SPDX-License-Identifier: MIT */
/* A proxy in front of a server: starting and stopping it, orders and counts. Any thread; the proxy's own does the work
 * (proxy_loop.c). */
#include "testkit/proxy.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LATENCY_LIMIT_MS 600000

/* ---- orders ---- */

static void wake(pgdbm_testproxy *proxy)
{
    const uint64_t one = 1;
    (void)!write(proxy->wake, &one, sizeof one); /* fails only when it is to be woken already */
}

/* Begins an order: with PGDBM_OK the mutex is held. */
static pgdbm_status begin(pgdbm_testproxy *proxy, const char *function, pgdbm_error *err)
{
    if (proxy == NULL)
        return pgdbm__fail_null(err, function, "proxy");
    if (proxy->process != pgdbm__process_number())
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT,
                           "%s: the proxy belongs to the process that this one was forked from", function);
    pthread_mutex_lock(&proxy->mutex);
    return PGDBM_OK;
}

/* Waits until the order is carried out. The mutex is held until the caller releases it. */
static void carry_out(pgdbm_testproxy *proxy)
{
    uint64_t ticket = ++proxy->asked;
    int before = pgdbm__cancel_defer();
    wake(proxy);
    while (proxy->done < ticket)
        pthread_cond_wait(&proxy->changed, &proxy->mutex);
    pgdbm__cancel_restore(before);
}

static pgdbm_status finish(pgdbm_testproxy *proxy)
{
    carry_out(proxy);
    pthread_mutex_unlock(&proxy->mutex);
    return PGDBM_OK;
}

static pgdbm_status out_of_range(const char *function, const char *what, int64_t value, pgdbm_error *err)
{
    return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: %s %lld is out of range", function, what, (long long)value);
}

/* As begin(), with a look at the direction. */
static pgdbm_status begin_way(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, const char *function, pgdbm_error *err)
{
    if ((unsigned)way < PGDBM_TESTPROXY_TO_SERVER || (unsigned)way > PGDBM_TESTPROXY_BOTH)
        return out_of_range(function, "direction", (int64_t)way, err);
    return begin(proxy, function, err);
}

static bool leads_to(pgdbm_testproxy_way way, int side)
{
    return ((unsigned)way & (side == PGDBM__PROXY_SERVER ? PGDBM_TESTPROXY_TO_SERVER : PGDBM_TESTPROXY_TO_CLIENT)) != 0;
}

pgdbm_status pgdbm_testproxy_delay(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, int latency_ms, pgdbm_error *err)
{
    if (latency_ms < 0 || latency_ms > LATENCY_LIMIT_MS)
        return out_of_range("pgdbm_testproxy_delay", "latency_ms", latency_ms, err);
    pgdbm_status status = begin_way(proxy, way, "pgdbm_testproxy_delay", err);
    if (status != PGDBM_OK)
        return status;
    for (int side = 0; side < PGDBM__PROXY_SIDES; side++)
        if (leads_to(way, side))
            proxy->latency_ms[side] = latency_ms;
    return finish(proxy);
}

static void set_rate(pgdbm_testproxy *proxy, int side, uint64_t rate)
{
    proxy->rate[side] = rate;
    for (struct pgdbm__proxy_link *link = proxy->links; link != NULL; link = link->next)
        link->flows[side].free_at = 0; /* it was by the rate before */
}

pgdbm_status pgdbm_testproxy_throttle(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, uint64_t bytes_per_second,
                                      pgdbm_error *err)
{
    pgdbm_status status = begin_way(proxy, way, "pgdbm_testproxy_throttle", err);
    if (status != PGDBM_OK)
        return status;
    for (int side = 0; side < PGDBM__PROXY_SIDES; side++)
        if (leads_to(way, side))
            set_rate(proxy, side, bytes_per_second);
    return finish(proxy);
}

static pgdbm_status set_held(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, bool held, const char *function,
                             pgdbm_error *err)
{
    pgdbm_status status = begin_way(proxy, way, function, err);
    if (status != PGDBM_OK)
        return status;
    for (int side = 0; side < PGDBM__PROXY_SIDES; side++)
        if (leads_to(way, side))
            proxy->held[side] = held;
    return finish(proxy);
}

pgdbm_status pgdbm_testproxy_hold(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, pgdbm_error *err)
{
    return set_held(proxy, way, true, "pgdbm_testproxy_hold", err);
}

pgdbm_status pgdbm_testproxy_resume(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, pgdbm_error *err)
{
    return set_held(proxy, way, false, "pgdbm_testproxy_resume", err);
}

pgdbm_status pgdbm_testproxy_blackhole(pgdbm_testproxy *proxy, pgdbm_testproxy_hole hole, pgdbm_error *err)
{
    if ((unsigned)hole > PGDBM_TESTPROXY_HOLE_ALL)
        return out_of_range("pgdbm_testproxy_blackhole", "hole", (int64_t)hole, err);
    pgdbm_status status = begin(proxy, "pgdbm_testproxy_blackhole", err);
    if (status != PGDBM_OK)
        return status;
    proxy->hole = hole;
    return finish(proxy);
}

pgdbm_status pgdbm_testproxy_cut(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, uint64_t bytes,
                                 pgdbm_testproxy_end end, pgdbm_error *err)
{
    if (way == PGDBM_TESTPROXY_BOTH)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT,
                           "pgdbm_testproxy_cut: bytes are counted in one direction, not in both");
    if ((unsigned)end > PGDBM_TESTPROXY_SILENCE)
        return out_of_range("pgdbm_testproxy_cut", "end", (int64_t)end, err);
    pgdbm_status status = begin_way(proxy, way, "pgdbm_testproxy_cut", err);
    if (status != PGDBM_OK)
        return status;
    proxy->cuts[leads_to(way, PGDBM__PROXY_SERVER) ? PGDBM__PROXY_SERVER : PGDBM__PROXY_CLIENT] =
        (struct pgdbm__proxy_cut){.armed = true, .left = bytes, .end = end};
    return finish(proxy);
}

pgdbm_status pgdbm_testproxy_end_all(pgdbm_testproxy *proxy, pgdbm_testproxy_end end, pgdbm_error *err)
{
    if ((unsigned)end > PGDBM_TESTPROXY_SILENCE)
        return out_of_range("pgdbm_testproxy_end_all", "end", (int64_t)end, err);
    pgdbm_status status = begin(proxy, "pgdbm_testproxy_end_all", err);
    if (status != PGDBM_OK)
        return status;
    for (struct pgdbm__proxy_link *link = proxy->links; link != NULL; link = link->next) {
        link->is_ordered = true;
        link->order = end;
    }
    return finish(proxy);
}

pgdbm_status pgdbm_testproxy_refuse(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    pgdbm_status status = begin(proxy, "pgdbm_testproxy_refuse", err);
    if (status != PGDBM_OK)
        return status;
    proxy->refusing = true;
    return finish(proxy);
}

static pgdbm_status finish_accept(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    proxy->refusing = false;
    proxy->listen_error = 0;
    carry_out(proxy);
    int failure = proxy->listen_error;
    pthread_mutex_unlock(&proxy->mutex);
    if (failure == 0)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "the proxy cannot listen at its address again: %s", strerror(failure));
    pgdbm__error_hint(err,
                      "somebody else took the port meanwhile; use .unix_socket, whose directory is the proxy's own");
    return PGDBM_ERR_TESTDB;
}

pgdbm_status pgdbm_testproxy_accept(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    pgdbm_status status = begin(proxy, "pgdbm_testproxy_accept", err);
    return status == PGDBM_OK ? finish_accept(proxy, err) : status;
}

pgdbm_status pgdbm_testproxy_heal(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    pgdbm_status status = begin(proxy, "pgdbm_testproxy_heal", err);
    if (status != PGDBM_OK)
        return status;
    for (int side = 0; side < PGDBM__PROXY_SIDES; side++) {
        proxy->latency_ms[side] = 0;
        proxy->held[side] = false;
        proxy->cuts[side].armed = false;
        set_rate(proxy, side, 0);
    }
    proxy->hole = PGDBM_TESTPROXY_HOLE_NONE;
    return finish_accept(proxy, err);
}

/* ---- counts ---- */

static uint64_t value_of(const pgdbm_testproxy *proxy, pgdbm_testproxy_counter counter)
{
    return counter == PGDBM_TESTPROXY_OPEN ? proxy->n_links : proxy->counts[counter];
}

uint64_t pgdbm_testproxy_count(pgdbm_testproxy *proxy, pgdbm_testproxy_counter counter)
{
    if ((unsigned)counter > PGDBM_TESTPROXY_BYTES_TO_CLIENT || begin(proxy, "pgdbm_testproxy_count", NULL) != PGDBM_OK)
        return 0;
    uint64_t value = value_of(proxy, counter);
    pthread_mutex_unlock(&proxy->mutex);
    return value;
}

static struct timespec moment(int64_t deadline)
{
    return (struct timespec){.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
}

pgdbm_status pgdbm_testproxy_await(pgdbm_testproxy *proxy, pgdbm_testproxy_counter counter, uint64_t at_least,
                                   int timeout_ms, pgdbm_error *err)
{
    static const char *const names[] = {"connections", "ended connections",   "open connections",   "cancel requests",
                                        "round trips", "bytes to the server", "bytes to the client"};
    if ((unsigned)counter > PGDBM_TESTPROXY_BYTES_TO_CLIENT)
        return out_of_range("pgdbm_testproxy_await", "counter", (int64_t)counter, err);
    pgdbm_status status = begin(proxy, "pgdbm_testproxy_await", err);
    if (status != PGDBM_OK)
        return status;
    int64_t deadline = pgdbm__deadline(timeout_ms);
    struct timespec until = moment(deadline);
    int before = pgdbm__cancel_defer();
    int failure = 0;
    while (value_of(proxy, counter) < at_least && failure == 0)
        failure = deadline == PGDBM__NEVER ? pthread_cond_wait(&proxy->changed, &proxy->mutex)
                                           : pthread_cond_timedwait(&proxy->changed, &proxy->mutex, &until);
    pgdbm__cancel_restore(before);
    uint64_t value = value_of(proxy, counter);
    pthread_mutex_unlock(&proxy->mutex);
    if (value >= at_least)
        return PGDBM_OK;
    return pgdbm__fail(err, PGDBM_ERR_TIMEOUT, "the proxy has counted %llu %s in %d ms, not %llu",
                       (unsigned long long)value, names[counter], timeout_ms, (unsigned long long)at_least);
}

/* ---- from beginning to end ---- */

static void make_locks(pgdbm_testproxy *proxy)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&proxy->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&proxy->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static pgdbm_status launch(pgdbm_testproxy *proxy, pgdbm_error *err)
{
    proxy->n_entries = 16;
    proxy->entries = pgdbm__alloc_zero(proxy->n_entries, sizeof *proxy->entries);
    if (proxy->entries == NULL)
        return pgdbm__fail_nomem(err, "starting a proxy");
    proxy->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (proxy->wake < 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the proxy has no event to be woken by: %s", strerror(errno));
    int failure = pgdbm__thread_start(&proxy->thread, NULL, pgdbm__proxy_run, proxy);
    if (failure != 0)
        return pgdbm__fail(err, PGDBM_ERR_TESTDB, "the proxy's thread did not start: %s", strerror(failure));
    proxy->running = true;
    return PGDBM_OK;
}

pgdbm_status pgdbm_testproxy_start_sized(const pgdbm_testproxy_options *options, size_t options_bytes,
                                         pgdbm_testproxy **proxy, pgdbm_error *err)
{
    pgdbm_testproxy_options chosen = {0};
    if (proxy == NULL)
        return pgdbm__fail_null(err, "pgdbm_testproxy_start", "proxy");
    *proxy = NULL;
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    pgdbm_testproxy *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "starting a proxy");
    made->listener = made->keeper = made->wake = -1;
    made->process = pgdbm__process_number();
    make_locks(made);
    pgdbm_status status = pgdbm__proxy_settle(made, &chosen, err);
    if (status == PGDBM_OK)
        status = launch(made, err);
    if (status == PGDBM_OK)
        *proxy = made;
    else
        pgdbm_testproxy_stop(made);
    return status;
}

/* In a forked child mutex and thread are of no use: the thread is not there, and may have held the mutex. */
void pgdbm_testproxy_stop(pgdbm_testproxy *proxy)
{
    if (proxy == NULL)
        return;
    bool is_child = proxy->process != pgdbm__process_number();
    if (proxy->running && !is_child) {
        int before = pgdbm__cancel_defer();
        pthread_mutex_lock(&proxy->mutex);
        proxy->stopping = true;
        pthread_mutex_unlock(&proxy->mutex);
        wake(proxy);
        pthread_join(proxy->thread, NULL);
        pgdbm__cancel_restore(before);
    }
    while (proxy->links != NULL) {
        struct pgdbm__proxy_link *link = proxy->links;
        proxy->links = link->next;
        pgdbm__proxy_link_free(link, !is_child);
    }
    pgdbm__proxy_clear(proxy, !is_child);
    if (proxy->wake >= 0)
        close(proxy->wake);
    if (!is_child) {
        pthread_cond_destroy(&proxy->changed);
        pthread_mutex_destroy(&proxy->mutex);
    }
    pgdbm__free(proxy->entries);
    pgdbm__free(proxy->url);
    pgdbm__free(proxy);
}

const char *pgdbm_testproxy_url(const pgdbm_testproxy *proxy)
{
    return proxy != NULL ? proxy->url : NULL;
}
