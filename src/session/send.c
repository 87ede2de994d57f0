/* SPDX-License-Identifier: MIT */
/* The sending half: requests become messages in the session's buffer, and whoever finds nobody sending sends all that
 * is queued. Everything here runs under the session's lock; flushing lets it go around each system call. */
#include "session/session.h"

#include "base/clock.h"
#include "base/error.h"
#include "types/param.h"
#include "wire/encode.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* A buffer that grew beyond this for one large request is given back afterwards. */
#define KEEP_BYTES (256 * 1024)
/* The size of a Sync message, and of the largest request that shares one. */
#define SYNC_BYTES 5
#define SHARE_BYTES ((size_t)16 * 1024)
/* How often a sender that is held up looks whether the reader's role has come to it. */
#define ROLE_CHECK_NS (INT64_C(20) * PGDBM__MS)

static pgdbm_status encode_bind(struct pgdbm__session *session, const struct pgdbm__request *request,
                                const pgdbm_params *params, const char *portal, const char *name, pgdbm_error *err)
{
    const struct pgdbm__statement *statement = request->statement;
    struct pgdbm__buffer *out = &session->out;
    size_t begin = pgdbm__wire_begin(out, 'B');
    pgdbm__wire_string(out, portal, strlen(portal));
    pgdbm__wire_string(out, name, strlen(name));
    pgdbm__wire_int16(out, (int16_t)params->count);
    size_t formats = out->length;
    for (size_t i = 0; i < params->count; i++)
        pgdbm__wire_int16(out, 0);
    pgdbm__wire_int16(out, (int16_t)params->count);
    for (size_t i = 0; i < params->count; i++) {
        int16_t format = 0;
        pgdbm_status status = pgdbm__param_encode(&params->values[i], statement->types[i], i + 1, out, &format, err);
        if (status != PGDBM_OK)
            return status;
        if (!out->failed)
            out->data[formats + 2 * i + 1] = (char)format;
    }
    const struct pgdbm__description *description = statement->description;
    size_t n_columns = description != NULL ? description->n_columns : 0;
    pgdbm__wire_int16(out, (int16_t)n_columns);
    for (size_t i = 0; i < n_columns; i++)
        pgdbm__wire_int16(out, description->columns[i].format);
    pgdbm__wire_end(out, begin);
    return PGDBM_OK;
}

pgdbm_status pgdbm__session_check_params(const struct pgdbm__statement *statement, const pgdbm_params *params,
                                         pgdbm_error *err)
{
    struct pgdbm__buffer scratch = {0};
    pgdbm_status status = PGDBM_OK;
    int16_t format;
    for (size_t i = 0; status == PGDBM_OK && i < params->count; i++) {
        scratch.length = 0;
        status = pgdbm__param_encode(&params->values[i], statement->types[i], i + 1, &scratch, &format, err);
    }
    if (status == PGDBM_OK && scratch.failed)
        status = pgdbm__fail_nomem(err, "composing the messages of a batch");
    pgdbm__buffer_free(&scratch);
    return status;
}

static void close_statement(struct pgdbm__session *session, uint64_t id)
{
    char name[24];
    snprintf(name, sizeof name, "pgdbm_%llx", (unsigned long long)id);
    pgdbm__wire_close_statement(&session->out, name);
}

/* Makes sure the statement is prepared where the Bind will find it; returns its name there. The Describe that rides
 * along with a Parse shows whether its columns are still what the pool believes. A name is closed before it is used:
 * closing one that is not there is legal, and whatever happened to an earlier Parse this one stands by itself. */
static const char *encode_parse(struct pgdbm__session *session, struct pgdbm__request *request)
{
    struct pgdbm__statement *statement = request->statement;
    bool named = session->statement_cache_size > 0;
    if (named && pgdbm__prepared_use(&session->prepared, statement->id, session->epoch))
        return statement->name;
    const char *name = named ? statement->name : "";
    uint64_t gone;
    request->parse = pgdbm__prepared_parse(&session->prepared, statement->id, session->epoch, &gone);
    if (gone != 0)
        close_statement(session, gone);
    if (named)
        close_statement(session, statement->id);
    bool described = atomic_load_explicit(&statement->described, memory_order_acquire);
    pgdbm__wire_parse(&session->out, name, statement->text, statement->text_bytes,
                      described ? statement->param_types : NULL, described ? statement->n_params : 0);
    pgdbm__wire_describe_statement(&session->out, name);
    request->parse_sent = true;
    session->statements_prepared++;
    return name;
}

/* Takes back the Sync of the request before this one, when both only read and nothing of either has left: they then
 * share one. The server answers at a Sync; with one for many it makes one system call for all their answers, and so do
 * we. `mark` is where this request's messages begin. */
static void take_sync_back(struct pgdbm__session *session, struct pgdbm__request *before, size_t mark)
{
    size_t bytes = session->out.length - mark;
    memmove(session->out.data + mark - SYNC_BYTES, session->out.data + mark, bytes);
    session->out.length -= SYNC_BYTES;
    session->bytes_queued -= SYNC_BYTES;
    before->sent_end -= SYNC_BYTES;
    before->syncs = false;
}

enum { PORTAL_NAME_BYTES = 32 };

static const char *portal_name(uint64_t number, char name[PORTAL_NAME_BYTES])
{
    snprintf(name, PORTAL_NAME_BYTES, "pgdbm_cursor_%llx", (unsigned long long)number);
    return name;
}

/* A command of the guard: prepared once on a session, because parsing costs the server more than the command. Its portal has a
 * name, because the statement's own may be the unnamed one, and wait for its Execute. */
static void encode_guard(struct pgdbm__session *session, const char *name, const char *sql)
{
    static const char portal[] = "pgdbm_guard";
    struct pgdbm__buffer *out = &session->out;
    static const char nothing[6] = ""; /* no formats, no values, no formats */
    if (!session->guard_prepared) {
        pgdbm__wire_close_statement(out, name);
        pgdbm__wire_parse(out, name, sql, strlen(sql), NULL, 0);
    }
    size_t begin = pgdbm__wire_begin(out, 'B');
    pgdbm__wire_string(out, portal, sizeof portal - 1);
    pgdbm__wire_string(out, name, strlen(name));
    pgdbm__buffer_append(out, nothing, sizeof nothing);
    pgdbm__wire_end(out, begin);
    pgdbm__wire_execute(out, portal, 0);
    pgdbm__wire_close_portal(out, portal);
    if (session->statement_cache_size <= 0) /* behind a pooler perhaps: nothing is left with the server */
        pgdbm__wire_close_statement(out, name);
}

/* A thread's statement in a transaction that is open already. */
static bool is_in_transaction(struct pgdbm__session *session, const struct pgdbm__request *request)
{
    return request->may_guard && atomic_load_explicit(&session->transaction_status, memory_order_relaxed) == 'T';
}

/* Whether the statement might turn out to be outdated, which would end the transaction it is in. Not when the
 * transaction has used it: then it holds locks on its tables, and nobody changes them. Nor when it has no rows that could
 * be others, nor parameters of users' types. */
static bool needs_guard(struct pgdbm__session *session, const struct pgdbm__request *request)
{
    return is_in_transaction(session, request) &&
           (request->statement->description != NULL || atomic_load(&request->statement->generation) != 0) &&
           !pgdbm__prepared_was_used(&session->prepared, request->statement->id, session->epoch);
}

static pgdbm_status encode_execute(struct pgdbm__session *session, struct pgdbm__request *request, pgdbm_error *err)
{
    request->guarded = needs_guard(session, request);
    if (request->guarded)
        encode_guard(session, "pgdbm_guard", "SAVEPOINT pgdbm_guard");
    const char *name = encode_parse(session, request);
    char named[PORTAL_NAME_BYTES];
    const char *portal = request->max_rows > 0 ? portal_name(request->portal = ++session->last_portal, named) : "";
    request->syncs = !request->keeps_sync_open;
    for (size_t i = 0; i < request->n_sets; i++) {
        pgdbm_status status = encode_bind(session, request, &request->sets[i], portal, name, err);
        if (status != PGDBM_OK) {
            request->commands_complete = i;
            return status;
        }
        /* The Bind is what an outdated statement fails at. What the statement does is not to be part of a subtransaction:
         * that would have a number of its own. */
        if (request->guarded && i == 0)
            encode_guard(session, "pgdbm_release", "RELEASE SAVEPOINT pgdbm_guard");
        pgdbm__wire_execute(&session->out, portal, request->max_rows);
    }
    /* An open portal has a snapshot, which VACUUM and CREATE INDEX CONCURRENTLY of others wait for as long as the transaction
     * has nothing else to do. Outside of one the Sync ends it. */
    if (request->max_rows == 0 && is_in_transaction(session, request))
        pgdbm__wire_close_portal(&session->out, portal);
    if (request->syncs)
        pgdbm__wire_sync(&session->out);
    return PGDBM_OK;
}

static void encode_portal(struct pgdbm__session *session, const struct pgdbm__request *request)
{
    char name[PORTAL_NAME_BYTES];
    portal_name(request->portal, name);
    if (request->kind == PGDBM__REQUEST_FETCH)
        pgdbm__wire_execute(&session->out, name, request->max_rows);
    else
        pgdbm__wire_close_portal(&session->out, name);
    pgdbm__wire_sync(&session->out);
}

static void encode_describe(struct pgdbm__session *session, struct pgdbm__request *request)
{
    encode_parse(session, request);
    pgdbm__wire_sync(&session->out);
}

pgdbm_status pgdbm__session_encode(struct pgdbm__session *session, struct pgdbm__request *request)
{
    struct pgdbm__request *before = session->open_end;
    size_t mark = session->out.length;
    pgdbm_status status = PGDBM_OK;
    request->syncs = true;
    switch (request->kind) {
    case PGDBM__REQUEST_DESCRIBE:
        encode_describe(session, request);
        break;
    case PGDBM__REQUEST_EXECUTE:
        status = encode_execute(session, request, &request->error);
        break;
    case PGDBM__REQUEST_LOOKUP:
        request->rows = PGDBM__ROWS_ALL;
        pgdbm__lookup_encode(request, &session->out);
        break;
    case PGDBM__REQUEST_FETCH:
    case PGDBM__REQUEST_CLOSE:
        encode_portal(session, request);
        break;
    case PGDBM__REQUEST_SIMPLE:
    case PGDBM__REQUEST_COPY:
        pgdbm__wire_query(&session->out, request->simple_sql, strlen(request->simple_sql));
        break;
    case PGDBM__REQUEST_SYNC:
        pgdbm__wire_sync(&session->out);
        break;
    }
    if (status == PGDBM_OK && session->out.failed)
        status = pgdbm__fail_nomem(&request->error, "composing the messages of a statement (at most 1 GiB together)");
    if (status != PGDBM_OK) {
        session->out.failed = false;
        session->out.length = mark;
        if (request->parse_sent) /* nothing of it will be sent */
            pgdbm__prepared_remove(&session->prepared, request->statement->id);
        request->parse_sent = false;
        return status;
    }
    if (before != NULL && request->may_share_sync && session->out.length - mark <= SHARE_BYTES) {
        take_sync_back(session, before, mark);
        mark -= SYNC_BYTES;
    }
    session->bytes_queued += session->out.length - mark;
    request->sent_end = session->bytes_queued;
    session->open_end = request->may_share_sync ? request : NULL;
    if (request->kind == PGDBM__REQUEST_COPY && request->copies_in)
        request->sent_end = UINT64_MAX; /* without its end the server cannot have committed it */
    return PGDBM_OK;
}

/* The socket is full. The server may be waiting for us to read: if that is this thread's role, it reads. */
static void wait_to_send(struct pgdbm__session *session, struct pgdbm__request *request)
{
    bool reader = session->reader == request && !request->completed;
    pthread_mutex_unlock(&session->lock);
    short events = pgdbm__transport_wait_writable(&session->transport, reader, pgdbm__now_ns() + ROLE_CHECK_NS);
    if (request->deadline != PGDBM__NEVER && pgdbm__now_ns() > request->deadline + PGDBM__CANCEL_GRACE_NS)
        pgdbm__transport_shutdown(&session->transport); /* a half-sent message cannot be taken back */
    if (reader && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
        pgdbm__session_read_available(session, request);
    pthread_mutex_lock(&session->lock);
}

/* Sends session->going from where it stopped; the lock is let go around each call. False when the socket is full. */
static bool send_going(struct pgdbm__session *session)
{
    while (session->going_done < session->going.length && !session->send_failed && !session->broken) {
        const char *data = session->going.data + session->going_done;
        size_t bytes = session->going.length - session->going_done;
        pthread_mutex_unlock(&session->lock);
        ssize_t moved = pgdbm__transport_send(&session->transport, data, bytes);
        pthread_mutex_lock(&session->lock);
        if (moved == PGDBM__TRANSPORT_AGAIN)
            return false;
        if (moved > 0) {
            session->going_done += (size_t)moved;
            session->bytes_sent += (uint64_t)moved;
        } else
            session->send_failed = true; /* the reader will find what the server said last, and then the end */
    }
    session->going.length = session->going_done = 0;
    if (session->going.capacity > KEEP_BYTES)
        pgdbm__buffer_free(&session->going);
    return true;
}

/* Sends all that is queued. False when the socket is full: call again when it is not. */
static bool send_queued(struct pgdbm__session *session)
{
    while (session->going.length > 0 || session->out.length > 0) {
        if (session->going.length == 0) {
            struct pgdbm__buffer queued = session->out;
            session->out = session->going;
            session->going = queued;
            session->open_end = NULL;
        }
        if (!send_going(session))
            return false;
    }
    return true;
}

void pgdbm__session_flush(struct pgdbm__session *session, struct pgdbm__request *request)
{
    if (session->sending)
        return; /* whoever is sending takes ours along */
    session->sending = true;
    while (!send_queued(session))
        wait_to_send(session, request);
    session->sending = false;
}

void pgdbm__session_push(struct pgdbm__session *session)
{
    struct pgdbm__request *room_for = NULL;
    pthread_mutex_lock(&session->lock);
    if (!session->sending) {
        session->sending = true;
        bool all = send_queued(session);
        session->sending = false;
        if (all) {
            room_for = session->room_for;
            session->room_for = NULL;
        }
        if (!session->broken)
            pgdbm__session_watch(session,
                                 all ? session->watched & ~PGDBM__POLL_OUT : session->watched | PGDBM__POLL_OUT);
    }
    pthread_mutex_unlock(&session->lock);
    if (room_for != NULL) /* only whoever drives pushes and completes it: it is still there */
        room_for->notify(room_for, PGDBM__SIGNAL_ROOM);
}

void pgdbm__session_watch(struct pgdbm__session *session, unsigned events)
{
    if (session->poller == NULL || events == session->watched)
        return;
    if (pgdbm__poller_watch(session->poller, session->transport.fd, session->key, session->watched, events))
        session->watched = events;
    else { /* whoever drives is to find the end, as the poller will not say */
        pgdbm__session_abort(session, "there is no memory to wait for it");
        session->attention(session);
    }
}
