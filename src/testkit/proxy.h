/* SPDX-License-Identifier: MIT */
/* The proxy of <pgdbm/testproxy.h> from inside. All of it is guarded by its mutex. The proxy's thread holds the mutex but
 * while it waits for something to happen, and is the only one that touches sockets; who gives an order writes it down,
 * wakes the thread and waits until it has gone once through everything. */
#ifndef PGDBM_TESTKIT_PROXY_H
#define PGDBM_TESTKIT_PROXY_H

#include "testkit/testdb.h"

#include <pgdbm/testproxy.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PGDBM__PROXY_RING ((size_t)1 << 18)
#define PGDBM__PROXY_MARKS 256
#define PGDBM__PROXY_TARGETS 8

/* Ends, and the ways to them. */
enum pgdbm__proxy_side { PGDBM__PROXY_SERVER = 0, PGDBM__PROXY_CLIENT = 1 };
#define PGDBM__PROXY_SIDES 2

/* What arrived at one moment: the bytes up to this place of the stream. */
struct pgdbm__proxy_mark {
    uint64_t place;
    int64_t arrived;
};

/* One direction of a connection. The bytes from `sent` to `taken` lie in the ring. */
struct pgdbm__proxy_flow {
    unsigned char *ring;
    uint64_t taken, sent;
    struct pgdbm__proxy_mark marks[PGDBM__PROXY_MARKS]; /* a ring, too */
    size_t first_mark, n_marks;
    int64_t free_at;  /* throttled until then */
    int64_t ended_at; /* when its source ended */
    bool swallow;     /* nothing is passed on any more, end of file neither */
    bool ended;       /* the source has no more to say */
    bool finished;    /* and that was passed on, or is not to be */
    bool broken;      /* the target takes no more */
    bool blocked;     /* the target takes no more at the moment */
};

/* A connection. Flow i leads to files[i]. */
struct pgdbm__proxy_link {
    struct pgdbm__proxy_link *next;
    int files[PGDBM__PROXY_SIDES]; /* -1: closed, or not yet there */
    struct pgdbm__proxy_flow flows[PGDBM__PROXY_SIDES];
    bool connected;
    int64_t connect_at; /* another try */
    size_t target;      /* which one is tried */
    bool in_hole;
    bool client_heard; /* something since it spoke last */
    bool is_ordered;   /* to end: */
    pgdbm_testproxy_end order;
    unsigned char head[8]; /* of what the client says first */
    size_t head_bytes;
    bool head_known;
    bool over;
};

struct pgdbm__proxy_cut {
    bool armed;
    uint64_t left;
    pgdbm_testproxy_end end;
};

struct pgdbm__proxy_target {
    struct sockaddr_storage address;
    socklen_t bytes;
};

struct pgdbm_testproxy {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* the thread has gone through everything */
    pthread_t thread;
    bool running; /* the thread was started */
    uint64_t process;
    int wake; /* eventfd */
    char *url;

    /* Where it listens; proxy_place.c. */
    bool is_unix;
    int listener; /* -1: refusing */
    int keeper;   /* bound to the TCP port and never listening, so that nobody takes it meanwhile; or -1 */
    struct sockaddr_storage address;
    socklen_t address_bytes;
    char directory[sizeof((struct sockaddr_un){0}).sun_path]; /* of the socket, "" when there is none */
    struct pgdbm__proxy_target targets[PGDBM__PROXY_TARGETS];
    size_t n_targets;

    /* Orders. */
    bool stopping;
    bool refusing;
    int listen_error; /* why it does not listen though it should */
    uint64_t asked, done;
    int latency_ms[PGDBM__PROXY_SIDES];
    uint64_t rate[PGDBM__PROXY_SIDES];
    bool held[PGDBM__PROXY_SIDES];
    struct pgdbm__proxy_cut cuts[PGDBM__PROXY_SIDES];
    pgdbm_testproxy_hole hole;

    struct pgdbm__proxy_link *links;
    size_t n_links;
    struct pollfd *entries; /* the thread's, without the mutex; room for 2 and 2 for each link */
    size_t n_entries;
    int64_t accept_at; /* out of descriptors until then */
    uint64_t counts[PGDBM_TESTPROXY_BYTES_TO_CLIENT + 1];
};

/* proxy_place.c */
/* Where the server is and where the proxy listens: finds, makes, and composes the url. */
pgdbm_status pgdbm__proxy_settle(pgdbm_testproxy *proxy, const pgdbm_testproxy_options *options, pgdbm_error *err);
/* 0, or errno. */
int pgdbm__proxy_listen(pgdbm_testproxy *proxy);
void pgdbm__proxy_deafen(pgdbm_testproxy *proxy);
/* Closes it for good. `remove`: the socket's directory, too. */
void pgdbm__proxy_clear(pgdbm_testproxy *proxy, bool remove);

/* proxy_link.c */
/* Takes the client's socket over. NULL: no memory; then the socket is the caller's. */
struct pgdbm__proxy_link *pgdbm__proxy_link_make(pgdbm_testproxy *proxy, int client);
/* Does all that can be done now. `*wake` becomes earlier when something is to be done at a time. */
void pgdbm__proxy_link_step(pgdbm_testproxy *proxy, struct pgdbm__proxy_link *link, int64_t *wake);
/* What has to happen on its sockets for another step. */
short pgdbm__proxy_link_events(const struct pgdbm__proxy_link *link, enum pgdbm__proxy_side side);
/* `shut`: connections that are still open end. A forked child closes its copies only. */
void pgdbm__proxy_link_free(struct pgdbm__proxy_link *link, bool shut);

/* proxy_loop.c */
void *pgdbm__proxy_run(void *context);

#endif
