/* SPDX-License-Identifier: MIT */
/* The thread of a proxy: accepts, goes through all connections, waits. */
#include "base/alloc.h"
#include "base/clock.h"
#include "testkit/proxy.h"

#include <errno.h>
#include <unistd.h>

/* How long nobody is accepted when descriptors or memory are short. */
#define SHORT_MS 100

static bool make_room(pgdbm_testproxy *proxy)
{
    size_t needed = 2 + 2 * (proxy->n_links + 1);
    if (needed <= proxy->n_entries)
        return true;
    struct pollfd *grown = pgdbm__realloc(proxy->entries, 2 * needed * sizeof *grown);
    if (grown == NULL)
        return false;
    proxy->entries = grown;
    proxy->n_entries = 2 * needed;
    return true;
}

static bool take_in(pgdbm_testproxy *proxy, int client)
{
    struct pgdbm__proxy_link *link = make_room(proxy) ? pgdbm__proxy_link_make(proxy, client) : NULL;
    if (link == NULL) {
        close(client);
        return false;
    }
    link->next = proxy->links;
    proxy->links = link;
    proxy->n_links++;
    proxy->counts[PGDBM_TESTPROXY_CONNECTIONS]++;
    return true;
}

static void accept_all(pgdbm_testproxy *proxy)
{
    if (proxy->listener < 0 || pgdbm__now_ns() < proxy->accept_at)
        return;
    for (;;) {
        int client = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client >= 0 && take_in(proxy, client))
            continue;
        if (client >= 0 || (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED))
            proxy->accept_at = pgdbm__deadline(SHORT_MS);
        return;
    }
}

static void tend_listener(pgdbm_testproxy *proxy)
{
    if (proxy->refusing)
        pgdbm__proxy_deafen(proxy);
    else if (proxy->listener < 0) {
        proxy->listen_error = pgdbm__proxy_listen(proxy);
        proxy->refusing = proxy->listen_error != 0;
    }
}

static void step_all(pgdbm_testproxy *proxy, int64_t *wake)
{
    struct pgdbm__proxy_link **place = &proxy->links;
    while (*place != NULL) {
        struct pgdbm__proxy_link *link = *place;
        pgdbm__proxy_link_step(proxy, link, wake);
        if (!link->over) {
            place = &link->next;
            continue;
        }
        *place = link->next;
        pgdbm__proxy_link_free(link, true);
        proxy->n_links--;
        proxy->counts[PGDBM_TESTPROXY_ENDED]++;
    }
}

/* A socket of which nothing is wanted is left out: poll() would report its end again and again. */
static nfds_t list_entries(pgdbm_testproxy *proxy, int64_t *wake)
{
    nfds_t count = 0;
    proxy->entries[count++] = (struct pollfd){.fd = proxy->wake, .events = POLLIN};
    if (proxy->listener >= 0 && pgdbm__now_ns() >= proxy->accept_at)
        proxy->entries[count++] = (struct pollfd){.fd = proxy->listener, .events = POLLIN};
    else if (proxy->listener >= 0 && proxy->accept_at < *wake)
        *wake = proxy->accept_at;
    for (const struct pgdbm__proxy_link *link = proxy->links; link != NULL; link = link->next)
        for (int side = 0; side < PGDBM__PROXY_SIDES; side++) {
            short events = pgdbm__proxy_link_events(link, (enum pgdbm__proxy_side)side);
            if (link->files[side] >= 0 && events != 0)
                proxy->entries[count++] = (struct pollfd){.fd = link->files[side], .events = events};
        }
    return count;
}

void *pgdbm__proxy_run(void *context)
{
    pgdbm_testproxy *proxy = context;
    uint64_t woken;
    pthread_mutex_lock(&proxy->mutex);
    while (!proxy->stopping) {
        int64_t wake = PGDBM__NEVER;
        uint64_t asked = proxy->asked;
        tend_listener(proxy);
        accept_all(proxy);
        step_all(proxy, &wake);
        proxy->done = asked;
        pthread_cond_broadcast(&proxy->changed);
        nfds_t count = list_entries(proxy, &wake);
        pthread_mutex_unlock(&proxy->mutex);
        (void)poll(proxy->entries, count, pgdbm__remaining_ms(wake)); /* whatever it says: all is tried */
        while (read(proxy->wake, &woken, sizeof woken) > 0)
            continue;
        pthread_mutex_lock(&proxy->mutex);
    }
    pthread_mutex_unlock(&proxy->mutex);
    return NULL;
}
