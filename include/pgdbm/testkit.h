/* SPDX-License-Identifier: MIT */
/* The test kit (library libpgdbm-testkit; its promise of stability is weaker than libpgdbm's): a private PostgreSQL
 * server that needs no service, no port and no clean-up.
 *
 * The server's files lie in a private directory, it listens on a unix socket there and on no TCP port, and it ends with
 * the process that started it: on pgdbm_testserver_stop, on exit, on a signal, and when that process is killed (SIGKILL
 * too). When the caller is root the server runs as an unprivileged user, because postgres refuses to run as root. The
 * first start runs initdb into a cache (a second or two); later starts copy the cache.
 *
 * Three environment variables: PGDBM_POSTGRES_BIN, the folder of postgres and initdb (default: the newest version found);
 * PGDBM_TEST_DIRECTORY, where servers make their directories (see pgdbm_testserver_shared); PGDBM_CACHE_DIR, where the cache lies (default: /var/cache/pgdbm for root, else $XDG_CACHE_HOME/pgdbm or
 * ~/.cache/pgdbm). */
#ifndef PGDBM_TESTKIT_H
#define PGDBM_TESTKIT_H

#include <pgdbm/error.h>

typedef struct pgdbm_testserver pgdbm_testserver;

/* All zero: a throw-away server in a temporary directory. */
typedef struct pgdbm_testserver_options {
    const char *directory; /* keep the data here and use it again next time; NULL: temporary, removed at the end */
    const char *const *settings; /* "name=value" lines for postgresql.conf */
    size_t n_settings;
    int start_timeout_ms; /* 30 000 */
    bool detached;        /* outlives this process until pgdbm_testserver_stop_directory; needs `directory` */
    bool tls;             /* a self-signed certificate and ssl = on, on 127.0.0.1 with a free port beside the socket */
    bool durable;         /* fsync on; off by default, because a test server's data may be lost */
} pgdbm_testserver_options;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_testserver_start_sized(const pgdbm_testserver_options *options, size_t options_bytes,
                                                       pgdbm_testserver **server, pgdbm_error *err);

/* Starts a server and waits until it accepts connections. `options` may be NULL. `*server` is the caller's, released
 * with pgdbm_testserver_stop. Errors: ARGUMENT, TESTDB (no server binaries: names the package; did not start: the log's
 * last lines), NOMEM. Any thread. */
static inline pgdbm_status pgdbm_testserver_start(const pgdbm_testserver_options *options, pgdbm_testserver **server,
                                                  pgdbm_error *err)
{
    return pgdbm_testserver_start_sized(options, sizeof *options, server, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_testserver_shared_sized(const pgdbm_testserver_options *options, size_t options_bytes,
                                                        pgdbm_testserver **server, pgdbm_error *err);

/* A server that all test processes of a user share. The first caller starts it, and it outlives that process: whoever
 * calls while it runs, also at the same moment, gets the same one. Each handle counts as a user until it is given back
 * with pgdbm_testserver_stop or its process ends, by SIGKILL too; five seconds after the last user the server ends and
 * removes everything. When it has crashed, the next call starts a new, empty one.
 *
 * It lies in the directory PGDBM_TEST_DIRECTORY (an absolute path, yours, writable for nobody else; made if need be) or
 * in ${TMPDIR:-/tmp}/pgdbm-test-UID; processes with different directories or different server programs have different
 * servers. The data lies in /dev/shm if that has 1 GB to spare. The server has 400 connections, no autovacuum, and
 * nothing is written durably.
 *
 * `options` may be NULL; only start_timeout_ms may be set, because the server is not the caller's alone: others are
 * refused, and so are pgdbm_testserver_crash and pgdbm_testserver_restart. What users of the server do to all of it
 * (roles, settings, statistics) others see: use names of your own. Errors: ARGUMENT, TESTDB (as pgdbm_testserver_start;
 * the directory is another user's), NOMEM. Any thread. */
static inline pgdbm_status pgdbm_testserver_shared(const pgdbm_testserver_options *options, pgdbm_testserver **server,
                                                   pgdbm_error *err)
{
    return pgdbm_testserver_shared_sized(options, sizeof *options, server, err);
}

/* The connection string of the server's database "postgres" as superuser "postgres", and the directory of its socket.
 * Borrowed from the server. */
PGDBM_EXPORT const char *pgdbm_testserver_url(const pgdbm_testserver *server);
PGDBM_EXPORT const char *pgdbm_testserver_socket_directory(const pgdbm_testserver *server);

/* With .tls: the connection string over TCP on 127.0.0.1 (without sslmode), and the certificate authority's file. NULL
 * without. */
PGDBM_EXPORT const char *pgdbm_testserver_tcp_url(const pgdbm_testserver *server);
PGDBM_EXPORT const char *pgdbm_testserver_ca_file(const pgdbm_testserver *server);

/* The postmaster's process id: to send it signals in fault tests. */
PGDBM_EXPORT int pgdbm_testserver_pid(const pgdbm_testserver *server);

/* Kills the postmaster and all backends at once (SIGKILL), as a crash would; the data stays. Errors: ARGUMENT, TESTDB.
 */
PGDBM_EXPORT pgdbm_status pgdbm_testserver_crash(pgdbm_testserver *server, pgdbm_error *err);

/* Starts it again after a crash, at the same address. Errors: ARGUMENT, TESTDB. */
PGDBM_EXPORT pgdbm_status pgdbm_testserver_restart(pgdbm_testserver *server, pgdbm_error *err);

/* Stops the server (a shared one: leaves it to its other users), removes what was temporary and releases the handle. NULL
 * is legal. */
PGDBM_EXPORT void pgdbm_testserver_stop(pgdbm_testserver *server);

/* Detached servers, by directory: stop one (PGDBM_OK when none runs), and the connection string of a running one
 * (`*url` is the caller's, released with pgdbm_free; NULL when none runs). Errors: ARGUMENT, TESTDB, NOMEM. */
PGDBM_EXPORT pgdbm_status pgdbm_testserver_stop_directory(const char *directory, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_testserver_find(const char *directory, char **url, pgdbm_error *err);

PGDBM_END_DECLS

#include <pgdbm/testdata.h>
#include <pgdbm/testdb.h>
#include <pgdbm/testfake.h>
#include <pgdbm/testmode.h>
#include <pgdbm/testproxy.h>

#endif
