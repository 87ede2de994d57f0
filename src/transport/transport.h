/* SPDX-License-Identifier: MIT */
/* One connection's bytes.
 *
 * One thread may send while another receives. On a TLS connection the two exclude each other for the length of a call
 * (an SSL object is not thread-safe), so nothing blocks inside: waiting happens outside, in poll(). */
#ifndef PGDBM_TRANSPORT_TRANSPORT_H
#define PGDBM_TRANSPORT_TRANSPORT_H

#include <libpq-fe.h>
#include <openssl/types.h>
#include <pgdbm/error.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pgdbm__transport;

/* What a simulation puts in place of a connection. */
struct pgdbm__transport_operations {
    ssize_t (*send)(struct pgdbm__transport *transport, const char *data, size_t bytes);
    ssize_t (*receive)(struct pgdbm__transport *transport, char *data, size_t bytes);
    void (*shutdown)(struct pgdbm__transport *transport);
    bool (*cancel)(struct pgdbm__transport *transport);
    short (*wait)(struct pgdbm__transport *transport, short events, int64_t deadline); /* as poll() of the socket */
    void (*close)(struct pgdbm__transport *transport);
};

struct pgdbm__transport {
    const struct pgdbm__transport_operations *operations; /* NULL: a real connection */
    PGconn *connection;                                   /* owns the socket */
    int fd;
    SSL *ssl;                 /* belongs to `connection`; NULL when plain */
    pthread_mutex_t ssl_lock; /* guards calls on `ssl` */
    _Atomic int reason;       /* errno of the failure, 0 when the server closed; written by whoever sees it */
    int64_t caught_up_ns;     /* when receive_bulk last found nothing, and */
    size_t bulk_bytes;        /* what has come since; both the receiver's alone */
};

#define PGDBM__TRANSPORT_AGAIN 0
#define PGDBM__TRANSPORT_LOST (-1)

/* Bytes moved, PGDBM__TRANSPORT_AGAIN when it would have to wait, PGDBM__TRANSPORT_LOST when the connection is gone. */
ssize_t pgdbm__transport_send(struct pgdbm__transport *transport, const char *data, size_t bytes);
ssize_t pgdbm__transport_receive(struct pgdbm__transport *transport, char *data, size_t bytes);

/* As receive, but waits for bytes until the deadline (PGDBM__TRANSPORT_AGAIN when it passes, or a little earlier). */
ssize_t pgdbm__transport_receive_wait(struct pgdbm__transport *transport, char *data, size_t bytes, int64_t deadline);

/* As receive_wait, in the midst of a long answer: a server that is slower than its reader would have to wake it for every
 * 8 kB, so the reader comes back when some more are due. */
ssize_t pgdbm__transport_receive_bulk(struct pgdbm__transport *transport, char *data, size_t bytes, int64_t deadline);

/* Waits until the socket can be written, or read too when `or_read`; the poll() events that came, 0 at the deadline. */
short pgdbm__transport_wait_writable(struct pgdbm__transport *transport, bool or_read, int64_t deadline);

/* Whether the server has hung up, without waiting and without reading what it said before. Any thread. */
bool pgdbm__transport_has_ended(const struct pgdbm__transport *transport);

/* Ends the conversation at once: every thread that waits on the socket sees it as lost. Any thread, repeatedly. */
void pgdbm__transport_shutdown(struct pgdbm__transport *transport);

/* Asks the server to cancel what the session is doing, by a connection of its own (PostgreSQL documentation 55.2.8).
 * Blocks until the server has taken the request. False when it could not be delivered. When the server leaves it unanswered for
 * some seconds, the conversation is ended as by shutdown: the request may still arrive, and would hit whatever comes next. */
bool pgdbm__transport_cancel(struct pgdbm__transport *transport);

/* The server's process, as it introduced itself (0 in a simulation). */
int pgdbm__transport_backend_pid(const struct pgdbm__transport *transport);

/* Closes everything. Half-built and zeroed objects are fine. */
void pgdbm__transport_close(struct pgdbm__transport *transport);

#endif
