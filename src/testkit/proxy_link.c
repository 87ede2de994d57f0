/* SPDX-License-Identifier: MIT */
/* One connection through a proxy: its two sockets, what passes between them, and how it ends. Only the proxy's thread comes
 * here, with the mutex held. */
#include "base/alloc.h"
#include "base/clock.h"
#include "testkit/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define SERVER PGDBM__PROXY_SERVER
#define CLIENT PGDBM__PROXY_CLIENT
#define CONNECT_AGAIN_MS 10
/* A throttled connection passes what is due in so much of a second at once. */
#define SLICES 50
#define LAG_MS 50
#define DRAIN_BYTES ((size_t)1 << 20)

/* The first packet of a connection: its length, and a version or one of these. */
#define CODE_CANCEL 80877102U
#define CODE_TLS 80877103U
#define CODE_GSS 80877104U

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* ---- ending ---- */

/* With bytes that nobody has read close() would be a reset. */
static void drain(int file)
{
    char nothing[16384];
    size_t drained = 0;
    ssize_t got = 1;
    while (got > 0 && drained < DRAIN_BYTES) {
        got = recv(file, nothing, sizeof nothing, MSG_DONTWAIT);
        drained += got > 0 ? (size_t)got : 0;
    }
}

/* shutdown first: a copy of the socket in a forked child does not keep it open then. */
static void close_side(struct pgdbm__proxy_link *link, enum pgdbm__proxy_side side)
{
    int file = link->files[side];
    if (file < 0)
        return;
    shutdown(file, SHUT_WR);
    drain(file);
    close(file);
    link->files[side] = -1;
}

static void reset_side(struct pgdbm__proxy_link *link, enum pgdbm__proxy_side side)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (link->files[side] >= 0) {
        setsockopt(link->files[side], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(link->files[side]);
    }
    link->files[side] = -1;
}

static void swallow(struct pgdbm__proxy_flow *flow)
{
    flow->swallow = true;
    flow->blocked = false;
    flow->sent = flow->taken;
    flow->n_marks = 0;
    flow->finished = flow->finished || flow->ended;
}

/* Cuts one side off; the other is told nothing. */
static void cut_off(struct pgdbm__proxy_link *link, enum pgdbm__proxy_side side)
{
    close_side(link, side);
    swallow(&link->flows[side]);
    swallow(&link->flows[!side]);
    link->flows[!side].ended = link->flows[!side].finished = true; /* it has no source any more */
}

static void shut_down(struct pgdbm__proxy_link *link, enum pgdbm__proxy_side side)
{
    if (link->files[side] >= 0)
        shutdown(link->files[side], SHUT_WR);
    swallow(&link->flows[side]);
}

static void end_link(struct pgdbm__proxy_link *link, pgdbm_testproxy_end end)
{
    switch (end) {
    case PGDBM_TESTPROXY_CLOSE:
        close_side(link, CLIENT);
        close_side(link, SERVER);
        link->over = true;
        break;
    case PGDBM_TESTPROXY_RESET:
        reset_side(link, CLIENT);
        reset_side(link, SERVER);
        link->over = true;
        break;
    case PGDBM_TESTPROXY_CLOSE_CLIENT:
        cut_off(link, CLIENT);
        break;
    case PGDBM_TESTPROXY_CLOSE_SERVER:
        cut_off(link, SERVER);
        break;
    case PGDBM_TESTPROXY_SHUT_CLIENT:
        shut_down(link, CLIENT);
        break;
    case PGDBM_TESTPROXY_SHUT_SERVER:
        shut_down(link, SERVER);
        break;
    case PGDBM_TESTPROXY_SILENCE:
        swallow(&link->flows[SERVER]);
        swallow(&link->flows[CLIENT]);
        break;
    }
}

/* ---- beginning ---- */

/* A message of a protocol is no reason to wait for more of them. Fails on unix sockets, where nothing waits. */
static void hurry(int file)
{
    const int yes = 1;
    (void)setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

struct pgdbm__proxy_link *pgdbm__proxy_link_make(pgdbm_testproxy *proxy, int client)
{
    struct pgdbm__proxy_link *link = pgdbm__alloc_zero(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->files[SERVER] = link->files[CLIENT] = -1;
    link->client_heard = true;
    for (int i = 0; i < PGDBM__PROXY_SIDES; i++) {
        link->flows[i].ring = pgdbm__alloc(PGDBM__PROXY_RING);
        if (link->flows[i].ring == NULL) {
            pgdbm__proxy_link_free(link, false);
            return NULL;
        }
    }
    link->files[CLIENT] = client;
    hurry(client);
    if (proxy->hole != PGDBM_TESTPROXY_HOLE_NONE) {
        link->in_hole = link->connected = true; /* to nobody */
        cut_off(link, SERVER);
    }
    return link;
}

void pgdbm__proxy_link_free(struct pgdbm__proxy_link *link, bool shut)
{
    if (link == NULL)
        return;
    for (int side = 0; side < PGDBM__PROXY_SIDES; side++)
        if (shut)
            close_side(link, (enum pgdbm__proxy_side)side);
        else if (link->files[side] >= 0)
            close(link->files[side]);
    pgdbm__free(link->flows[SERVER].ring);
    pgdbm__free(link->flows[CLIENT].ring);
    pgdbm__free(link);
}

static void connect_server(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link)
{
    for (; link->target < proxy->n_targets; link->target++) {
        const struct pgdbm__proxy_target *target = &proxy->targets[link->target];
        int file = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (file < 0)
            continue;
        bool done = connect(file, (const struct sockaddr *)&target->address, target->bytes) == 0;
        if (done || errno == EINPROGRESS) {
            link->files[SERVER] = file;
            link->connected = done;
            hurry(file);
            return;
        }
        bool is_busy = errno == EAGAIN; /* a unix socket with a full queue */
        close(file);
        if (is_busy) {
            link->connect_at = pgdbm__deadline(CONNECT_AGAIN_MS);
            return;
        }
    }
    end_link(link, PGDBM_TESTPROXY_RESET);
}

static void go_on_connecting(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, int64_t now, int64_t *wake)
{
    struct pollfd entry = {.fd = link->files[SERVER], .events = POLLOUT};
    int failure = 0;
    socklen_t bytes = sizeof failure;
    if (entry.fd >= 0 && poll(&entry, 1, 0) == 1) {
        if (getsockopt(entry.fd, SOL_SOCKET, SO_ERROR, &failure, &bytes) == 0 && failure == 0) {
            link->connected = true;
            return;
        }
        close(entry.fd);
        link->files[SERVER] = -1;
        link->target++;
    }
    if (link->files[SERVER] < 0 && now >= link->connect_at)
        connect_server(proxy, link);
    if (link->files[SERVER] < 0 && !link->over)
        *wake = earlier(*wake, link->connect_at);
}

/* ---- reading ---- */

/* Looks for cancel requests. TLS and GSS requests come before the packet that tells. */
static void look_at_head(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, const unsigned char *data,
                         size_t bytes)
{
    while (!link->head_known && bytes > 0) {
        link->head[link->head_bytes++] = *data++;
        bytes--;
        if (link->head_bytes < sizeof link->head)
            continue;
        uint32_t length;
        uint32_t code;
        memcpy(&length, link->head, sizeof length);
        memcpy(&code, link->head + sizeof length, sizeof code);
        link->head_bytes = 0;
        link->head_known = ntohl(length) != 8 || (ntohl(code) != CODE_TLS && ntohl(code) != CODE_GSS);
        if (ntohl(code) == CODE_CANCEL)
            proxy->counts[PGDBM_TESTPROXY_CANCEL_REQUESTS]++;
    }
}

static void note_arrival(struct pgdbm__proxy_flow *flow, size_t bytes, int64_t now)
{
    flow->taken += bytes;
    if (flow->n_marks == PGDBM__PROXY_MARKS) { /* then these come a little later than they should */
        flow->marks[(flow->first_mark + flow->n_marks - 1) % PGDBM__PROXY_MARKS] =
            (struct pgdbm__proxy_mark){flow->taken, now};
        return;
    }
    flow->marks[(flow->first_mark + flow->n_marks++) % PGDBM__PROXY_MARKS] =
        (struct pgdbm__proxy_mark){flow->taken, now};
}

static void note_end(struct pgdbm__proxy_flow *flow, int64_t now)
{
    flow->ended = true;
    flow->ended_at = now;
    flow->finished = flow->finished || flow->swallow;
}

static size_t room(const struct pgdbm__proxy_flow *flow)
{
    return flow->swallow ? PGDBM__PROXY_RING : PGDBM__PROXY_RING - (size_t)(flow->taken - flow->sent);
}

/* One piece at most: poll() tells when there is more. */
static void take(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, enum pgdbm__proxy_side source, int64_t now)
{
    struct pgdbm__proxy_flow *flow = &link->flows[!source];
    if (link->over || link->files[source] < 0 || flow->ended || room(flow) == 0)
        return;
    size_t at = flow->swallow ? 0 : (size_t)(flow->taken % PGDBM__PROXY_RING);
    size_t limit = PGDBM__PROXY_RING - at < room(flow) ? PGDBM__PROXY_RING - at : room(flow);
    ssize_t got = recv(link->files[source], flow->ring + at, limit, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) { /* reset: the other side has to know; but who is not to know anything is not told by that, either */
        if (flow->swallow)
            note_end(flow, now);
        else
            end_link(link, PGDBM_TESTPROXY_RESET);
        return;
    }
    if (got == 0) {
        note_end(flow, now);
        return;
    }
    if (source == CLIENT) {
        look_at_head(proxy, link, flow->ring + at, (size_t)got);
        proxy->counts[PGDBM_TESTPROXY_ROUND_TRIPS] += link->client_heard;
        link->client_heard = false;
    }
    if (!flow->swallow)
        note_arrival(flow, (size_t)got, now);
}

/* ---- passing on ---- */

/* Up to where the bytes have travelled long enough. */
static uint64_t arrived(struct pgdbm__proxy_flow *flow, int64_t latency, int64_t now, int64_t *wake)
{
    uint64_t place = flow->sent;
    for (size_t i = 0; i < flow->n_marks; i++) {
        const struct pgdbm__proxy_mark *mark = &flow->marks[(flow->first_mark + i) % PGDBM__PROXY_MARKS];
        if (mark->arrived + latency > now) {
            *wake = earlier(*wake, mark->arrived + latency);
            break;
        }
        place = mark->place;
    }
    return place;
}

static void note_sent(pgdbm_testproxy *proxy, struct pgdbm__proxy_flow *flow, int way, size_t bytes, int64_t now)
{
    flow->sent += bytes;
    while (flow->n_marks > 0 && flow->marks[flow->first_mark].place <= flow->sent) {
        flow->first_mark = (flow->first_mark + 1) % PGDBM__PROXY_MARKS;
        flow->n_marks--;
    }
    if (proxy->cuts[way].armed)
        proxy->cuts[way].left -= bytes;
    if (proxy->rate[way] > 0) { /* from when it was free, not from when poll() was so kind as to say so */
        int64_t since = now - flow->free_at < LAG_MS * PGDBM__MS ? flow->free_at : now;
        flow->free_at = since + (int64_t)((double)bytes * 1e9 / (double)proxy->rate[way]);
    }
    proxy->counts[way == SERVER ? PGDBM_TESTPROXY_BYTES_TO_SERVER : PGDBM_TESTPROXY_BYTES_TO_CLIENT] += bytes;
}

/* How much of it may go now; 0: none. Ends the link when it is to be cut here. */
static size_t allowed(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, int way, size_t bytes, int64_t now,
                      int64_t *wake)
{
    struct pgdbm__proxy_cut *cut = &proxy->cuts[way];
    uint64_t rate = proxy->rate[way];
    if (rate > 0 && now < link->flows[way].free_at) {
        *wake = earlier(*wake, link->flows[way].free_at);
        return 0;
    }
    if (cut->armed && cut->left == 0) {
        cut->armed = false;
        end_link(link, cut->end);
        return 0;
    }
    uint64_t slice = rate / SLICES > 0 ? rate / SLICES : 1;
    if (rate > 0 && bytes > slice)
        bytes = (size_t)slice;
    return cut->armed && bytes > cut->left ? (size_t)cut->left : bytes;
}

static void pass_end(struct pgdbm__proxy_link *link, int way, int64_t due, int64_t now, int64_t *wake)
{
    if (now < due) {
        *wake = earlier(*wake, due);
        return;
    }
    if (link->files[way] >= 0)
        shutdown(link->files[way], SHUT_WR);
    link->flows[way].finished = true;
}

static void pass_on(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, int way, int64_t now, int64_t *wake)
{
    struct pgdbm__proxy_flow *flow = &link->flows[way];
    flow->blocked = false;
    if (link->over || flow->swallow || proxy->held[way])
        return;
    int64_t latency = proxy->latency_ms[way] * PGDBM__MS;
    uint64_t until = arrived(flow, latency, now, wake);
    while (flow->sent < until) {
        size_t at = (size_t)(flow->sent % PGDBM__PROXY_RING);
        size_t bytes = (size_t)(until - flow->sent);
        if (bytes > PGDBM__PROXY_RING - at)
            bytes = PGDBM__PROXY_RING - at;
        bytes = allowed(proxy, link, way, bytes, now, wake);
        if (bytes == 0)
            return;
        ssize_t gone = send(link->files[way], flow->ring + at, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (gone < 0 && (errno == EAGAIN || errno == EINTR)) {
            flow->blocked = true;
            return;
        }
        if (gone < 0) { /* what the target said before it went may still be on its way: that is not lost */
            swallow(flow);
            flow->broken = true;
            return;
        }
        link->client_heard = link->client_heard || way == CLIENT;
        note_sent(proxy, flow, way, (size_t)gone, now);
    }
    if (flow->ended && !flow->finished && flow->sent == flow->taken)
        pass_end(link, way, flow->ended_at + latency, now, wake);
}

/* ---- all of it ---- */

static void obey(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link)
{
    if (link->is_ordered)
        end_link(link, link->order);
    link->is_ordered = false;
    if (link->over)
        return;
    if (link->in_hole && proxy->hole == PGDBM_TESTPROXY_HOLE_NONE)
        end_link(link, PGDBM_TESTPROXY_RESET);
    else if (!link->in_hole && proxy->hole == PGDBM_TESTPROXY_HOLE_ALL) {
        link->in_hole = true;
        end_link(link, PGDBM_TESTPROXY_SILENCE);
    }
}

void pgdbm__proxy_link_step(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, int64_t *wake)
{
    int64_t now = pgdbm__now_ns();
    if (!link->connected) /* first: an order is for a connection that the server may already have */
        go_on_connecting(proxy, link, now, wake);
    if (!link->over)
        obey(proxy, link);
    if (!link->over && !link->connected && link->flows[SERVER].swallow) { /* cut off before the server knew of it */
        cut_off(link, SERVER);
        link->connected = true; /* to nobody */
    }
    if (link->connected)
        take(proxy, link, SERVER, now);
    take(proxy, link, CLIENT, now);
    if (link->connected) {
        pass_on(proxy, link, SERVER, now, wake);
        pass_on(proxy, link, CLIENT, now, wake);
    }
    const struct pgdbm__proxy_flow *flows = link->flows;
    if ((flows[SERVER].finished || flows[SERVER].broken) && (flows[CLIENT].finished || flows[CLIENT].broken))
        link->over = true;
}

short pgdbm__proxy_link_events(const struct pgdbm__proxy_link *link, enum pgdbm__proxy_side side)
{
    const struct pgdbm__proxy_flow *from = &link->flows[!side];
    if (side == SERVER && !link->connected)
        return POLLOUT;
    int events = from->ended || room(from) == 0 ? 0 : POLLIN;
    if (link->flows[side].blocked)
        events |= POLLOUT;
    return (short)events;
}
