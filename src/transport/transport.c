/* SPDX-License-Identifier: MIT */
/* Moving bytes. A plain socket is switched to blocking and read with a receive time-out, which saves the poll() that
 * libpq pays for each answer; a TLS socket stays non-blocking, because nobody may wait while holding the SSL object. */
#include "transport/transport.h"

#include "base/clock.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

/* As SO_RCVTIMEO is set by connect.c: a blocking receive comes back at least this often to look at its deadline. */
#define RECEIVE_TICK_NS INT64_C(1000000000)

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

static ssize_t plain_receive(struct pgdbm__transport *transport, char *data, size_t bytes, int flags)
{
    for (;;) {
        ssize_t moved = recv(transport->fd, data, bytes, flags);
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
    return transport->ssl != NULL ? tls_receive(transport, data, bytes)
                                  : plain_receive(transport, data, bytes, MSG_DONTWAIT);
}

static short wait_for(struct pgdbm__transport *transport, short events, int64_t deadline)
{
    struct pollfd entry = {.fd = transport->fd, .events = events};
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
    if (transport->ssl == NULL && (deadline == PGDBM__NEVER || deadline - pgdbm__now_ns() > RECEIVE_TICK_NS))
        return plain_receive(transport, data, bytes, 0);
    ssize_t moved = pgdbm__transport_receive(transport, data, bytes);
    if (moved != PGDBM__TRANSPORT_AGAIN || wait_for(transport, POLLIN, deadline) == 0)
        return moved;
    return pgdbm__transport_receive(transport, data, bytes);
}

short pgdbm__transport_wait_writable(struct pgdbm__transport *transport, bool or_read, int64_t deadline)
{
    return wait_for(transport, or_read ? POLLOUT | POLLIN : POLLOUT, deadline);
}

void pgdbm__transport_shutdown(struct pgdbm__transport *transport)
{
    shutdown(transport->fd, SHUT_RDWR);
}

bool pgdbm__transport_cancel(struct pgdbm__transport *transport)
{
    char reason[256];
    return transport->cancel != NULL && PQcancel(transport->cancel, reason, sizeof reason) == 1;
}

void pgdbm__transport_close(struct pgdbm__transport *transport)
{
    if (transport->connection == NULL)
        return;
    PQfreeCancel(transport->cancel);
    PQfinish(transport->connection);
    pthread_mutex_destroy(&transport->ssl_lock);
    transport->connection = NULL;
    transport->cancel = NULL;
    transport->ssl = NULL;
}
