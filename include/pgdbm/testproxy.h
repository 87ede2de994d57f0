/* SPDX-License-Identifier: MIT */
/* UNSTABLE: names and meanings may change in any version.
 *
 * A bad network for tests (part of <pgdbm/testkit.h>): a proxy in front of a real server, which delays, holds, cuts and
 * swallows what passes between the two.
 *
 *     pgdbm_testproxy *proxy = NULL;
 *     if (pgdbm_testproxy_start(&(pgdbm_testproxy_options){.server_url = url}, &proxy, &err) != PGDBM_OK) ...
 *     ... a pool on pgdbm_testproxy_url(proxy) ...
 *     pgdbm_testproxy_cut(proxy, PGDBM_TESTPROXY_TO_CLIENT, 0, PGDBM_TESTPROXY_RESET, NULL);
 *     ... the next COMMIT arrives, and its answer does not ...
 *     pgdbm_testproxy_stop(proxy);
 *
 * The proxy is a thread of this process. It passes bytes on and understands none of them but the beginning of a
 * connection, so TLS passes too. Each connection to it is one of its own to the server.
 *
 * Threads: all functions but pgdbm_testproxy_stop may be called by any thread at any time, also while others are in a
 * call. What a function orders is done when it returns, for connections that are open and for new ones. Errors of all
 * orders: ARGUMENT (NULL, a number out of range, a process forked from the one that started the proxy: its child has no
 * such thread). `err` may be NULL. */
#ifndef PGDBM_TESTPROXY_H
#define PGDBM_TESTPROXY_H

#include <pgdbm/error.h>

typedef struct pgdbm_testproxy pgdbm_testproxy;

/* All zero: on 127.0.0.1, in front of the server of TEST_DATABASE_URL or TEST_DB_*, else the private one
 * (<pgdbm/testdb.h>). */
typedef struct pgdbm_testproxy_options {
    const char *server_url; /* of the server behind: one host, or the directory of its socket */
    bool unix_socket;       /* listen on a unix socket in a directory of the proxy's own, of which no other user has the
                               rights; a unix socket knows no reset, see PGDBM_TESTPROXY_RESET */
} pgdbm_testproxy_options;

/* Which way bytes go. */
typedef enum pgdbm_testproxy_way {
    PGDBM_TESTPROXY_TO_SERVER = 1,
    PGDBM_TESTPROXY_TO_CLIENT = 2,
    PGDBM_TESTPROXY_BOTH = 3
} pgdbm_testproxy_way;

/* How a connection ends. What the proxy has of it and has not yet passed on is lost. */
typedef enum pgdbm_testproxy_end {
    PGDBM_TESTPROXY_CLOSE = 0, /* closed at both ends: each side reads end of file */
    PGDBM_TESTPROXY_RESET, /* reset at both ends (TCP's RST): each side reads and writes ECONNRESET, also in place of
                                  bytes that arrived before and were not yet read. On a unix socket: as _CLOSE */
    /* Half open: one side is cut off; the other is told nothing, what it sends is swallowed. */
    PGDBM_TESTPROXY_CLOSE_CLIENT, /* the client reads end of file; the server goes on with the session */
    PGDBM_TESTPROXY_CLOSE_SERVER, /* the server ends the session; the client waits */
    /* One direction is shut down, the other goes on. */
    PGDBM_TESTPROXY_SHUT_CLIENT, /* the client reads end of file; what it sends still arrives */
    PGDBM_TESTPROXY_SHUT_SERVER, /* the server reads end of file; what it still has to say arrives */
    PGDBM_TESTPROXY_SILENCE      /* nothing arrives any more, and no side is told */
} pgdbm_testproxy_end;

/* Who falls into the black hole: connections to it are accepted and read, and never answered. */
typedef enum pgdbm_testproxy_hole {
    PGDBM_TESTPROXY_HOLE_NONE = 0,
    PGDBM_TESTPROXY_HOLE_NEW, /* connections made from now on, cancel requests among them; the server does not see them */
    PGDBM_TESTPROXY_HOLE_ALL /* those that are open, too; the server is told nothing, and not that the client hangs up */
} pgdbm_testproxy_hole;

/* What the proxy counts, from its start. */
typedef enum pgdbm_testproxy_counter {
    PGDBM_TESTPROXY_CONNECTIONS = 0, /* accepted */
    PGDBM_TESTPROXY_ENDED,           /* connections over at both ends */
    PGDBM_TESTPROXY_OPEN,            /* those that are not */
    PGDBM_TESTPROXY_CANCEL_REQUESTS, /* seen; not those that TLS hides */
    PGDBM_TESTPROXY_ROUND_TRIPS,     /* how often a client spoke after it had heard its server, or first */
    PGDBM_TESTPROXY_BYTES_TO_SERVER, /* passed on, not swallowed */
    PGDBM_TESTPROXY_BYTES_TO_CLIENT
} pgdbm_testproxy_counter;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_testproxy_start_sized(const pgdbm_testproxy_options *options, size_t options_bytes,
                                                      pgdbm_testproxy **proxy, pgdbm_error *err);

/* Starts a proxy, which listens when this returns. `options` may be NULL. Whether the server is there is not asked: when
 * it is not, clients are accepted and reset. `*proxy` is the caller's, released with pgdbm_testproxy_stop. Errors:
 * ARGUMENT; CONFIG (server_url is malformed, or names no host, several or one that is unknown); TESTDB (no socket, no
 * thread, no private server); NOMEM. */
static inline pgdbm_status pgdbm_testproxy_start(const pgdbm_testproxy_options *options, pgdbm_testproxy **proxy,
                                                 pgdbm_error *err)
{
    return pgdbm_testproxy_start_sized(options, sizeof *options, proxy, err);
}

/* Closes all connections and the listening socket, removes what was made for it, and releases the handle. NULL is legal.
 * No other thread may be in a call with it. In a process forked from the starter's it only closes that process's copies. */
PGDBM_EXPORT void pgdbm_testproxy_stop(pgdbm_testproxy *proxy);

/* The connection string of the server by way of the proxy: database, user and all else as in server_url. Borrowed from
 * the proxy; NULL for NULL. */
PGDBM_EXPORT const char *pgdbm_testproxy_url(const pgdbm_testproxy *proxy);

/* Each byte arrives `latency_ms` after it was sent (0: at once), up to 600 000. The proxy holds 256 kB in each direction
 * of a connection; who sends more has to wait. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_delay(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, int latency_ms,
                                                pgdbm_error *err);

/* Each connection passes that many bytes in a second (0: as many as come). */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_throttle(pgdbm_testproxy *proxy, pgdbm_testproxy_way way,
                                                   uint64_t bytes_per_second, pgdbm_error *err);

/* Nothing passes until _resume, and then all of it does: end of file, too. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_hold(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_resume(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, pgdbm_error *err);

/* Opens the black hole, or closes it (HOLE_NONE): the connections that were in it are reset then, because bytes of theirs
 * are missing. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_blackhole(pgdbm_testproxy *proxy, pgdbm_testproxy_hole hole,
                                                    pgdbm_error *err);

/* Lets `bytes` more pass in that direction (one, not BOTH), over all connections together. The connection that then has
 * one more to pass ends in that way instead; with that the order is done. So 0 to the client means: the server does what
 * it is asked, and the answer is lost; 0 to the server: what is asked next is lost. Another order for the same direction
 * replaces it. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_cut(pgdbm_testproxy *proxy, pgdbm_testproxy_way way, uint64_t bytes,
                                              pgdbm_testproxy_end end, pgdbm_error *err);

/* Ends all connections that are open. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_end_all(pgdbm_testproxy *proxy, pgdbm_testproxy_end end, pgdbm_error *err);

/* Nobody listens any more (connecting gives ECONNREFUSED); connections that are open stay. And listens again, at the same
 * address. Errors of _accept: TESTDB (somebody else has taken the port). */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_refuse(pgdbm_testproxy *proxy, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_accept(pgdbm_testproxy *proxy, pgdbm_error *err);

/* Ends all faults: no delay, no limit, nothing held, no hole, no cut to come, connections accepted. Errors: as _accept. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_heal(pgdbm_testproxy *proxy, pgdbm_error *err);

/* A count, now; 0 for NULL and unknown counters. */
PGDBM_EXPORT uint64_t pgdbm_testproxy_count(pgdbm_testproxy *proxy, pgdbm_testproxy_counter counter);

/* Waits until the count is `at_least` so much; PGDBM_OK then. Errors: TIMEOUT (`timeout_ms` have passed; negative: no
 * limit), and the message says how far it came. */
PGDBM_EXPORT pgdbm_status pgdbm_testproxy_await(pgdbm_testproxy *proxy, pgdbm_testproxy_counter counter,
                                                uint64_t at_least, int timeout_ms, pgdbm_error *err);

/* Until so many connections have been accepted, from the start. */
static inline pgdbm_status pgdbm_testproxy_await_connections(pgdbm_testproxy *proxy, uint64_t n_connections,
                                                             int timeout_ms, pgdbm_error *err)
{
    return pgdbm_testproxy_await(proxy, PGDBM_TESTPROXY_CONNECTIONS, n_connections, timeout_ms, err);
}

PGDBM_END_DECLS
#endif
