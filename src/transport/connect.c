/* SPDX-License-Identifier: MIT */
/* Connecting. Runs on the pool's connector thread, because name resolution and SCRAM's key derivation take their time.
 */
#include "transport/connect.h"

#include "base/clock.h"
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

/* libpq has no call for the SQLSTATE of a failed connection, but in verbose form its message carries it: "FATAL: 28P01:
 * ...". */
static void find_sqlstate(const char *text, char sqlstate[6])
{
    sqlstate[0] = '\0';
    for (const char *at = strstr(text, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        size_t length = 0;
        while (length < 5 && (isdigit((unsigned char)at[3 + length]) || isupper((unsigned char)at[3 + length])))
            length++;
        if (length == 5 && at[8] == ':') {
            memcpy(sqlstate, at + 3, 5);
            sqlstate[5] = '\0';
        }
    }
}

/* libpq's reason on one line, without the SQLSTATE and the LOCATION that verbose form adds. What follows on a line of its own
 * says more of the one before. */
static void one_line(const char *text, const char *sqlstate, char *line, size_t line_bytes)
{
    size_t used = 0;
    while (*text != '\0' && used + 3 < line_bytes) {
        if (strncmp(text, "LOCATION:", 9) == 0)
            text += strcspn(text, "\n");
        else if (sqlstate[0] != '\0' && strncmp(text, sqlstate, 5) == 0 && text[5] == ':')
            text += strncmp(text + 5, ": ", 2) == 0 ? 7 : 6;
        else if (*text == '\n' || *text == '\t' || (*text == ' ' && used > 0 && line[used - 1] == ' ')) {
            if (*text == '\n' && used > 0 && (isalnum((unsigned char)line[used - 1]) || (line[used - 1] & 0x80) != 0))
                line[used++] = ':';
            if (used > 0 && line[used - 1] != ' ')
                line[used++] = ' ';
            text++;
        } else
            line[used++] = *text++;
    }
    while (used > 0 && (line[used - 1] == ' ' || line[used - 1] == ':'))
        used--;
    line[used] = '\0';
}

static enum pgdbm__connect_failure classify(const char *sqlstate)
{
    if (strcmp(sqlstate, "57P03") == 0 || strcmp(sqlstate, "53300") == 0)
        return PGDBM__CONNECT_BUSY;
    if (strncmp(sqlstate, "28", 2) == 0 || strcmp(sqlstate, "3D000") == 0 || strncmp(sqlstate, "22", 2) == 0 ||
        strncmp(sqlstate, "42", 2) == 0)
        return PGDBM__CONNECT_HOPELESS;
    return PGDBM__CONNECT_TRANSIENT;
}

static pgdbm_status refuse(PGconn *connection, enum pgdbm__connect_failure *failure, pgdbm_error *err)
{
    char line[400];
    char sqlstate[6];
    const char *text = connection != NULL ? PQerrorMessage(connection) : "out of memory";
    find_sqlstate(text, sqlstate);
    one_line(text, sqlstate, line, sizeof line);
    *failure = classify(sqlstate);
    /* Never reached the server and never will: the password file is unreadable, no password at hand, TLS files missing.
     */
    if (connection != NULL && sqlstate[0] == '\0' &&
        (PQconnectionNeedsPassword(connection) || strstr(line, "certificate") != NULL ||
         strstr(line, "does not support SSL") != NULL))
        *failure = PGDBM__CONNECT_HOPELESS;
    pgdbm__fail(err, PGDBM_ERR_CONNECTION, "%s", line[0] != '\0' ? line : "the connection failed without a reason");
    if (err != NULL)
        memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
    return PGDBM_ERR_CONNECTION;
}

/* Drives libpq until it is connected; 0, or the reason why not. */
static pgdbm_status drive(PGconn *connection, int64_t deadline, int stop_fd, enum pgdbm__connect_failure *failure,
                          pgdbm_error *err)
{
    int64_t began = pgdbm__now_ns();
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        struct pollfd entries[2] = {
            {.fd = PQsocket(connection), .events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT},
            {.fd = stop_fd, .events = POLLIN},
        };
        int ready = poll(entries, 2, pgdbm__remaining_ms(deadline));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready > 0 && entries[1].revents != 0) {
            *failure = PGDBM__CONNECT_STOPPED;
            return pgdbm__fail(err, PGDBM_ERR_CONNECTION, "the pool was closed while it was connecting");
        }
        if (ready <= 0) {
            *failure = PGDBM__CONNECT_TRANSIENT;
            return pgdbm__fail(err, PGDBM_ERR_CONNECTION,
                               "the server did not answer within %lld ms (connect_timeout_ms)",
                               (long long)((deadline - began + PGDBM__MS / 2) / PGDBM__MS));
        }
        next = PQconnectPoll(connection);
        if (next == PGRES_POLLING_FAILED)
            return refuse(connection, failure, err);
    }
    return PGDBM_OK;
}

/* What a server warns of while a session is opened (that a collation has changed) would else be printed by libpq. */
static void ignore_notice(void *context, const PGresult *notice)
{
    (void)context;
    (void)notice;
}

/* Makes the socket ours. libpq may hold messages that came right behind the handshake: whole ones are parsed away here;
 * the first thing a session does is a round trip of its own, which would find a torn one. */
static pgdbm_status take_over(struct pgdbm__transport *transport, pgdbm_error *err)
{
    PGconn *connection = transport->connection;
    transport->fd = PQsocket(connection);
    transport->ssl = PQsslStruct(connection, "OpenSSL");
    if (PQconsumeInput(connection) == 0 || PQisBusy(connection))
        return pgdbm__fail(err, PGDBM_ERR_CONNECTION, "the connection was lost right after it was opened");
    return PGDBM_OK;
}

pgdbm_status pgdbm__transport_connect(struct pgdbm__transport *transport, const char *const *keywords,
                                      const char *const *values, int64_t deadline, int stop_fd,
                                      enum pgdbm__connect_failure *failure, pgdbm_error *err)
{
    *transport = (struct pgdbm__transport){.fd = -1};
    *failure = PGDBM__CONNECT_TRANSIENT;
    PGconn *connection = PQconnectStartParams(keywords, values, 1);
    if (connection == NULL || PQstatus(connection) == CONNECTION_BAD) {
        pgdbm_status status = refuse(connection, failure, err);
        PQfinish(connection);
        return status;
    }
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(connection, ignore_notice, NULL);
    pgdbm_status status = drive(connection, deadline, stop_fd, failure, err);
    if (status != PGDBM_OK) {
        PQfinish(connection);
        return status;
    }
    transport->connection = connection;
    pthread_mutex_init(&transport->ssl_lock, NULL);
    status = take_over(transport, err);
    if (status != PGDBM_OK)
        pgdbm__transport_close(transport);
    return status;
}
