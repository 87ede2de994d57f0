/* SPDX-License-Identifier: MIT */
/* Moving bytes. Sockets stay non-blocking as libpq leaves them. Waiting is done by poll() and not in recv(): on a unix
 * socket a thread that sleeps in recv() is also woken when the server takes our bytes out of the queue, which costs a
 * context switch for each statement (3.2 instead of 2 were counted). */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

/* Measured beside 8 kB at a time, on a unix socket and two cores: a quarter of the context switches, two thirds of the
 * client's processor time and a twentieth less of the server's for each row. A unix socket holds some 180 kB, so the server is
 * not held up. */
#define BULK_BYTES (INT64_C(48) * 1024)
#define MOST_PAUSE_NS (PGDBM__MS / 2)

static ssize_t lost(struct pgdbm__transport *transport, int reason)
{
    transport->reason = reason;
    return PGDBM__TRANSPORT_LOST;
}

static ssize_t tls_outcome(struct pgdbm__transport *transport, int outcome)
{
    switch (SSL_get_error(transport->ssl, outcome)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return PGDBM__TRANSPORT_AGAIN;
    case SSL_ERROR_SYSCALL:
        return lost(transport, errno);
    default:
        return lost(transport, 0);
    }
}

static ssize_t tls_send(struct pgdbm__transport *transport, const char *data, size_t bytes)
{
    pthread_mutex_lock(&transport->ssl_lock);
    ERR_clear_error();
    int outcome = SSL_write(transport->ssl, data, bytes > INT_MAX ? INT_MAX : (int)bytes);
    ssize_t moved = outcome > 0 ? outcome : tls_outcome(transport, outcome);
    pthread_mutex_unlock(&transport->ssl_lock);
    return moved;
}

static ssize_t tls_receive(struct pgdbm__transport *transport, char *data, size_t bytes)
{
    pthread_mutex_lock(&transport->ssl_lock);
    ERR_clear_error();
    int outcome = SSL_read(transport->ssl, data, bytes > INT_MAX ? INT_MAX : (int)bytes);
    ssize_t moved = outcome > 0 ? outcome : tls_outcome(transport, outcome);
    pthread_mutex_unlock(&transport->ssl_lock);
    return moved;
}

ssize_t pgdbm__transport_send(struct pgdbm__transport *transport, const char *data, size_t bytes)
{
    if (transport->operations != NULL)
        return transport->operations->send(transport, data, bytes);
    if (transport->ssl != NULL)
        return tls_send(transport, data, bytes);
    for (;;) {
        ssize_t moved = send(transport->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (moved > 0)
            return moved;
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return PGDBM__TRANSPORT_AGAIN;
        return lost(transport, moved < 0 ? errno : 0);
    }
}

static ssize_t plain_receive(struct pgdbm__transport *transport, char *data, size_t bytes)
{
    for (;;) {
        ssize_t moved = recv(transport->fd, data, bytes, MSG_DONTWAIT);
        if (moved > 0)
            return moved;
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return PGDBM__TRANSPORT_AGAIN;
        return lost(transport, moved < 0 ? errno : 0);
    }
}

ssize_t pgdbm__transport_receive(struct pgdbm__transport *transport, char *data, size_t bytes)
{
    if (transport->operations != NULL)
        return transport->operations->receive(transport, data, bytes);
    return transport->ssl != NULL ? tls_receive(transport, data, bytes) : plain_receive(transport, data, bytes);
}

static short wait_for(struct pgdbm__transport *transport, short events, int64_t deadline)
{
    struct pollfd entry = {.fd = transport->fd, .events = events};
    if (transport->operations != NULL)
        return transport->operations->wait(transport, events, deadline);
    for (;;) {
        int ready = poll(&entry, 1, pgdbm__remaining_ms(deadline));
        if (ready > 0)
            return entry.revents;
        if (ready == 0)
            return 0;
        if (errno != EINTR)
            return POLLERR;
    }
}

ssize_t pgdbm__transport_receive_wait(struct pgdbm__transport *transport, char *data, size_t bytes, int64_t deadline)
{
    if (transport->ssl != NULL) { /* it may hold bytes that poll() does not see */
        ssize_t moved = tls_receive(transport, data, bytes);
        if (moved != PGDBM__TRANSPORT_AGAIN)
            return moved;
    }
    return wait_for(transport, POLLIN, deadline) != 0 ? pgdbm__transport_receive(transport, data, bytes)
                                                      : PGDBM__TRANSPORT_AGAIN;
}

/* How long to stay away until BULK_BYTES have come, by the pace since the last time; 0 where that is too long to be worth it. A
 * moderation as of network cards' interrupts, not a wait: what is to be waited for is waited for by poll(), after it. */
static int64_t pause_ns(struct pgdbm__transport *transport, int64_t deadline)
{
    int64_t now = pgdbm__now_ns();
    int64_t since = now - transport->caught_up_ns;
    int64_t pause = transport->bulk_bytes > 0 && since < MOST_PAUSE_NS * 100
                        ? since * BULK_BYTES / (int64_t)transport->bulk_bytes
                        : INT64_MAX;
    transport->caught_up_ns = now;
    transport->bulk_bytes = 0;
    return pause <= MOST_PAUSE_NS && pause < deadline - now ? pause : 0;
}

ssize_t pgdbm__transport_receive_bulk(struct pgdbm__transport *transport, char *data, size_t bytes, int64_t deadline)
{
    if (transport->operations != NULL)
        return pgdbm__transport_receive_wait(transport, data, bytes, deadline);
    ssize_t moved = pgdbm__transport_receive(transport, data, bytes);
    if (moved == PGDBM__TRANSPORT_AGAIN) {
        const struct timespec pause = {.tv_nsec = (long)pause_ns(transport, deadline)};
        if (pause.tv_nsec > 0)
            nanosleep(&pause, NULL);
        moved = pgdbm__transport_receive_wait(transport, data, bytes, deadline);
    }
    if (moved > 0)
        transport->bulk_bytes += (size_t)moved;
    return moved;
}

short pgdbm__transport_wait_writable(struct pgdbm__transport *transport, bool or_read, int64_t deadline)
{
    return wait_for(transport, or_read ? POLLOUT | POLLIN : POLLOUT, deadline);
}

bool pgdbm__transport_has_ended(const struct pgdbm__transport *transport)
{
    struct pollfd entry = {.fd = transport->fd, .events = POLLRDHUP};
    if (transport->operations != NULL)
        return false;
    int cancel_state = pgdbm__cancel_defer(); /* the caller holds a lock */
    bool ended = poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
    pgdbm__cancel_restore(cancel_state);
    return ended;
}

void pgdbm__transport_shutdown(struct pgdbm__transport *transport)
{
    if (transport->operations != NULL)
        transport->operations->shutdown(transport);
    else
        shutdown(transport->fd, SHUT_RDWR);
}

int pgdbm__transport_backend_pid(const struct pgdbm__transport *transport)
{
    return transport->connection != NULL ? PQbackendPID(transport->connection) : 0;
}

void pgdbm__transport_close(struct pgdbm__transport *transport)
{
    if (transport->operations != NULL)
        transport->operations->close(transport);
    if (transport->connection == NULL)
        return;
    PQfinish(transport->connection);
    pthread_mutex_destroy(&transport->ssl_lock);
    transport->connection = NULL;
    transport->ssl = NULL;
}
