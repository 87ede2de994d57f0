/* SPDX-License-Identifier: MIT */
/* Bytes under way, connections that live and die, and the poller. */
#include "simulation/network.h"

#include "base/clock.h"
#include "base/error.h"
#include "session/session.h"
#include "simulation/world.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define FIRST_FD 100000
#define MAX_WATCHED 64
#define OTHERS_NS (INT64_C(100) * PGDBM__MS)

struct watch {
    int fd;
    uint64_t key;
    unsigned events;
};

static struct {
    bool woken;
    bool flagged;
    int64_t timer;
    struct watch watches[MAX_WATCHED];
    size_t n_watches;
    int max_connections, connecting;
    bool (*other_threads)(void); /* something that another thread does now; false: nothing */
} network;

void network_begin(int max_connections, bool (*other_threads)(void))
{
    memset(&network, 0, sizeof network);
    network.timer = PGDBM__NEVER;
    network.max_connections = max_connections;
    network.other_threads = other_threads;
}

struct backend *network_backend(const struct pgdbm__transport *transport)
{
    return backends[transport->fd - FIRST_FD];
}

/* --- one direction --- */

static int64_t arrival(struct channel *channel)
{
    int64_t time = world.now + world.weather.latency_ns + world_between(0, world.weather.jitter_ns);
    channel->last_arrival = time > channel->last_arrival ? time : channel->last_arrival;
    return channel->last_arrival;
}

static void arrive_at_server(void *subject, int64_t total)
{
    struct backend *backend = subject;
    backend->to_server.arrived = (uint64_t)total;
    backend_run(backend);
}

static void arrive_at_client(void *subject, int64_t total)
{
    struct backend *backend = subject;
    if ((uint64_t)total > backend->to_client.arrived)
        backend->to_client.arrived = (uint64_t)total;
}

static void end_at_server(void *subject, int64_t argument)
{
    struct backend *backend = subject;
    (void)argument;
    backend->to_server.at_end = true;
    if (backend->shut) /* nobody takes what is sent */
        backend->to_client.ended = true;
    backend_run(backend);
}

static void end_at_client(void *subject, int64_t argument)
{
    struct backend *backend = subject;
    (void)argument;
    backend->to_client.at_end = true;
}

static void end(struct backend *backend, struct channel *channel)
{
    if (channel->ended)
        return;
    channel->ended = true;
    world_at(arrival(channel), channel == &backend->to_server ? end_at_server : end_at_client, backend, 0);
}

void network_break(struct backend *backend)
{
    if (!backend->to_server.ended && !backend->to_client.ended)
        world_note("connection %d: breaks", backend->number);
    end(backend, &backend->to_server);
    end(backend, &backend->to_client);
}

static size_t room(const struct channel *channel)
{
    uint64_t held = channel->sent - channel->taken;
    return held < world.weather.socket_bytes ? world.weather.socket_bytes - (size_t)held : 0;
}

/* What is put into a direction that has ended, or ends on the way, disappears. */
static void put(struct backend *backend, struct channel *channel, const char *data, size_t bytes)
{
    if (channel->ended)
        return;
    bool dies = channel->sent + bytes >= channel->cut_at;
    size_t kept = dies ? (size_t)(channel->cut_at - channel->sent) : bytes;
    if (kept > 0) {
        pgdbm__buffer_append(&channel->bytes, data, kept);
        channel->sent += kept;
        bool server = channel == &backend->to_server;
        world_at(arrival(channel), server ? arrive_at_server : arrive_at_client, backend, (int64_t)channel->sent);
    }
    if (dies)
        network_break(backend);
}

/* How much of it moves this time. */
static size_t part(size_t bytes)
{
    if (world_chance(world.weather.again))
        return 0;
    return world_chance(world.weather.partial) ? 1 + (size_t)world_random(bytes) : bytes;
}

void network_send_to_client(struct backend *backend, const char *data, size_t bytes, size_t *moved)
{
    struct channel *channel = &backend->to_client;
    size_t space = channel->ended ? bytes : room(channel);
    *moved = bytes < space ? bytes : space;
    put(backend, channel, data, *moved);
}

void network_end_to_client(struct backend *backend)
{
    end(backend, &backend->to_client);
}

/* --- the transport --- */

static ssize_t lose(struct pgdbm__transport *transport, int reason)
{
    transport->reason = reason;
    return PGDBM__TRANSPORT_LOST;
}

static ssize_t transport_send(struct pgdbm__transport *transport, const char *data, size_t bytes)
{
    struct backend *backend = network_backend(transport);
    struct channel *channel = &backend->to_server;
    if (backend->shut || backend->to_client.at_end)
        return lose(transport, EPIPE);
    size_t space = channel->ended ? bytes : room(channel);
    size_t moved = bytes < space ? bytes : space;
    moved = moved > 0 ? part(moved) : 0;
    if (moved == 0)
        return PGDBM__TRANSPORT_AGAIN;
    world_note("connection %d: sends %zu of %zu", backend->number, moved, bytes);
    put(backend, channel, data, moved);
    return (ssize_t)moved;
}

static void look_again(void *subject, int64_t argument)
{
    (void)argument;
    backend_run(subject);
}

static ssize_t transport_receive(struct pgdbm__transport *transport, char *data, size_t bytes)
{
    struct backend *backend = network_backend(transport);
    struct channel *channel = &backend->to_client;
    size_t available = (size_t)(channel->arrived - channel->taken);
    if (available == 0)
        return channel->at_end || backend->shut ? lose(transport, 0) : PGDBM__TRANSPORT_AGAIN;
    size_t moved = part(available < bytes ? available : bytes);
    if (moved == 0)
        return PGDBM__TRANSPORT_AGAIN;
    memcpy(data, channel->bytes.data, moved);
    memmove(channel->bytes.data, channel->bytes.data + moved, channel->bytes.length - moved);
    channel->bytes.length -= moved;
    channel->taken += moved;
    world_note("connection %d: receives %zu of %zu", backend->number, moved, available);
    if (backend->outgoing.length > 0)
        world_at(world.now + world.weather.latency_ns, look_again, backend, 0);
    return (ssize_t)moved;
}

static void transport_shutdown(struct pgdbm__transport *transport)
{
    struct backend *backend = network_backend(transport);
    if (backend->shut)
        return;
    world_note("connection %d: is shut down", backend->number);
    backend->shut = true;
    end(backend, &backend->to_server);
}

static void deliver_cancel(void *subject, int64_t argument)
{
    (void)argument;
    backend_cancel(subject);
}

/* Other threads go on while this one waits, if that is what happens. */
static void pass(int64_t until)
{
    while (world.now < until) {
        if (!world.blocked && world.nested == 0 && world_chance(600)) {
            world.nested++;
            world.meanwhile();
            world.nested--;
        } else
            (void)world_advance(until);
    }
}

static bool transport_cancel(struct pgdbm__transport *transport)
{
    struct backend *backend = network_backend(transport);
    const struct pgdbm__session *session = (const struct pgdbm__session *)(const void *)transport; /* its first field */
    uint64_t queued = session->bytes_queued;
    bool lost = world_chance(world.weather.cancel_lost);
    world_note("connection %d: a cancel request leaves%s", backend->number, lost ? " and gets lost" : "");
    int64_t there = world.now + world.weather.latency_ns + world_between(0, world.weather.jitter_ns);
    if (!lost)
        world_at(there + world_between(0, 15000), deliver_cancel, backend, 0);
    pass(there + world.weather.latency_ns);
    if (session->bytes_queued != queued)
        world_fail("connection %d: something was queued while a cancel request was under way", backend->number);
    return !lost;
}

static bool is_readable(const struct backend *backend)
{
    return backend->to_client.arrived > backend->to_client.taken || backend->to_client.at_end || backend->shut;
}

static bool is_writable(const struct backend *backend)
{
    return backend->to_server.ended || backend->shut || room(&backend->to_server) > 0;
}

static short transport_wait(struct pgdbm__transport *transport, short events, int64_t deadline)
{
    const struct backend *backend = network_backend(transport);
    for (;;) {
        short ready = (short)(((events & POLLIN) != 0 && is_readable(backend) ? POLLIN : 0) |
                              ((events & POLLOUT) != 0 && is_writable(backend) ? POLLOUT : 0));
        if (ready != 0 || world.now >= deadline)
            return ready;
        if (!world.blocked && world.nested == 0 && world_chance(500)) {
            world.nested++;
            world.meanwhile();
            world.nested--;
        } else
            (void)world_advance(deadline);
    }
}

static void transport_close(struct pgdbm__transport *transport)
{
    struct backend *backend = network_backend(transport);
    transport_shutdown(transport);
    backend->closed = true;
    world_note("connection %d: is closed", backend->number);
    for (size_t i = 0; i < network.n_watches; i++)
        if (network.watches[i].fd == transport->fd)
            network.watches[i--] = network.watches[--network.n_watches];
    transport->operations = NULL;
    transport->fd = -1;
}

static const struct pgdbm__transport_operations operations = {
    .send = transport_send,
    .receive = transport_receive,
    .shutdown = transport_shutdown,
    .cancel = transport_cancel,
    .wait = transport_wait,
    .close = transport_close,
};

/* --- connecting --- */

static pgdbm_status refuse(enum pgdbm__connect_failure *failure, pgdbm_error *err)
{
    *failure = world_chance(500) ? PGDBM__CONNECT_BUSY : PGDBM__CONNECT_TRANSIENT;
    world_note("a connection is refused");
    pgdbm__fail(err, PGDBM_ERR_CONNECTION, "the simulated server refuses");
    return PGDBM_ERR_CONNECTION;
}

static int open_connections(void)
{
    int open = 0;
    for (size_t i = 0; i < n_backends; i++)
        open += !backends[i]->shut && !network_has_ended(backends[i]);
    return open;
}

pgdbm_status network_connect(struct pgdbm__transport *transport, const char *const *keywords, const char *const *values,
                             int64_t deadline, int stop_fd, enum pgdbm__connect_failure *failure, pgdbm_error *err)
{
    (void)keywords;
    (void)values;
    (void)deadline;
    (void)stop_fd;
    *transport = (struct pgdbm__transport){.fd = -1};
    *failure = PGDBM__CONNECT_TRANSIENT;
    pass(world.now + world.weather.latency_ns * 4);
    if (!world.weather.calm && world_chance(world.weather.refused))
        return refuse(failure, err);
    struct backend *backend = backend_new();
    backend->to_server.cut_at = backend->to_client.cut_at = UINT64_MAX;
    if (!world.weather.calm && world_chance(world.weather.mortal)) {
        struct channel *channel = world_chance(500) ? &backend->to_server : &backend->to_client;
        channel->cut_at = 1 + world_random(world_chance(500) ? 600 : 6000);
    }
    transport->fd = FIRST_FD + backend->number;
    transport->operations = &operations;
    world_note("connection %d: opens", backend->number);
    if (open_connections() > network.max_connections)
        world_fail("%d connections, of at most %d", open_connections(), network.max_connections);
    return PGDBM_OK;
}

bool network_has_ended(const struct backend *backend)
{
    return backend->to_client.ended;
}

/* --- the poller --- */

static struct watch *find_watch(int fd)
{
    for (size_t i = 0; i < network.n_watches; i++)
        if (network.watches[i].fd == fd)
            return &network.watches[i];
    return NULL;
}

static bool poller_watch(struct pgdbm__poller *poller, int fd, uint64_t key, unsigned before, unsigned events)
{
    struct watch *watch = find_watch(fd);
    (void)poller;
    if (fd < FIRST_FD || (watch != NULL ? watch->events : 0) != before)
        world_fail("the poller is told that it watched %d for %u: it was %u", fd, before, watch ? watch->events : 0);
    if (watch == NULL) {
        if (network.n_watches == MAX_WATCHED)
            world_fail("the poller watches too much");
        watch = &network.watches[network.n_watches++];
    }
    *watch = (struct watch){fd, key, events};
    if (events == 0)
        *watch = network.watches[--network.n_watches];
    return true;
}

static void poller_wake(struct pgdbm__poller *poller)
{
    (void)poller;
    network.woken = true;
}

static void poller_flag(struct pgdbm__poller *poller, bool up)
{
    (void)poller;
    network.flagged = up;
}

static void poller_set_timer(struct pgdbm__poller *poller, int64_t deadline)
{
    (void)poller;
    network.timer = deadline;
}

static unsigned ready_events(const struct watch *watch)
{
    const struct backend *backend = backends[watch->fd - FIRST_FD];
    bool over = backend->to_client.at_end || backend->shut;
    return watch->events &
           ((is_readable(backend) || over ? PGDBM__POLL_IN : 0) | (is_writable(backend) || over ? PGDBM__POLL_OUT : 0));
}

static bool poller_is_ready(void)
{
    if (network.woken || world.now >= network.timer)
        return true;
    for (size_t i = 0; i < network.n_watches; i++)
        if (ready_events(&network.watches[i]) != 0)
            return true;
    return false;
}

bool network_is_readable(void)
{
    return network.flagged || poller_is_ready();
}

int64_t network_timer(void)
{
    return network.timer;
}

/* The kernel reports in an order of its own, and sometimes not everything at once. */
static size_t collect(struct pgdbm__poll_event *events, size_t n_events)
{
    size_t count = 0;
    size_t first = network.n_watches > 0 ? (size_t)world_random(network.n_watches) : 0;
    for (size_t i = 0; i < network.n_watches && count < n_events; i++) {
        const struct watch *watch = &network.watches[(first + i) % network.n_watches];
        unsigned ready = ready_events(watch);
        if (ready != 0 && (count == 0 || world_chance(800)))
            events[count++] = (struct pgdbm__poll_event){watch->key, ready};
    }
    network.woken = false;
    if (world.now >= network.timer)
        network.timer = PGDBM__NEVER;
    return count;
}

static size_t poller_wait(struct pgdbm__poller *poller, struct pgdbm__poll_event *events, size_t n_events,
                          int64_t deadline)
{
    (void)poller;
    bool other = false;
    if (world.blocked)
        world_fail("two threads wait in the poller");
    world.blocked = true;
    while (!other && !poller_is_ready() && world.now < deadline) {
        if (world_chance(500))
            other = network.other_threads(); /* it may have woken us */
        if (!other) {
            int64_t limit = network.timer < deadline ? network.timer : deadline;
            int64_t soon = world.now + OTHERS_NS; /* they wake up by themselves now and then */
            (void)world_advance(limit < soon ? limit : soon);
        }
    }
    world.blocked = false;
    return collect(events, n_events);
}

const struct pgdbm__poller_operations network_poller = {
    .watch = poller_watch,
    .wake = poller_wake,
    .flag = poller_flag,
    .set_timer = poller_set_timer,
    .wait = poller_wait,
};
