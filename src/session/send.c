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
/* How often a sender that is held up looks whether the reader's role has come to it. */
#define ROLE_CHECK_NS (INT64_C(20) * PGDBM__MS)

static pgdbm_status encode_bind(struct pgdbm__session *session, const struct pgdbm__request *request,
                                const pgdbm_params *params, const char *name, pgdbm_error *err)
{
    const struct pgdbm__statement *statement = request->statement;
    struct pgdbm__buffer *out = &session->out;
    size_t begin = pgdbm__wire_begin(out, 'B');
    pgdbm__wire_string(out, "", 0);
    pgdbm__wire_string(out, name, strlen(name));
    pgdbm__wire_int16(out, (int16_t)params->count);
    size_t formats = out->length;
    for (size_t i = 0; i < params->count; i++)
        pgdbm__wire_int16(out, 0);
    pgdbm__wire_int16(out, (int16_t)params->count);
    for (size_t i = 0; i < params->count; i++) {
        int16_t format = 0;
        pgdbm_status status =
            pgdbm__param_encode(&params->values[i], statement->param_types[i], i + 1, out, &format, err);
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
    if (named && pgdbm__prepared_use(&session->prepared, statement->id))
        return statement->name;
    const char *name = named ? statement->name : "";
    uint64_t gone;
    request->parse = pgdbm__prepared_parse(&session->prepared, statement->id, &gone);
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

static pgdbm_status encode_execute(struct pgdbm__session *session, struct pgdbm__request *request, pgdbm_error *err)
{
    const char *name = encode_parse(session, request);
    for (size_t i = 0; i < request->n_sets; i++) {
        pgdbm_status status = encode_bind(session, request, &request->sets[i], name, err);
        if (status != PGDBM_OK) {
            request->commands_complete = i;
            return status;
        }
        pgdbm__wire_execute(&session->out, 0);
    }
    pgdbm__wire_sync(&session->out);
    return PGDBM_OK;
}

static void encode_describe(struct pgdbm__session *session, struct pgdbm__request *request)
{
    encode_parse(session, request);
    pgdbm__wire_sync(&session->out);
}

pgdbm_status pgdbm__session_encode(struct pgdbm__session *session, struct pgdbm__request *request)
{
    size_t mark = session->out.length;
    pgdbm_status status = PGDBM_OK;
    switch (request->kind) {
    case PGDBM__REQUEST_DESCRIBE:
        encode_describe(session, request);
        break;
    case PGDBM__REQUEST_EXECUTE:
        status = encode_execute(session, request, &request->error);
        break;
    case PGDBM__REQUEST_SIMPLE:
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
    session->bytes_queued += session->out.length - mark;
    request->sent_end = session->bytes_queued;
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

/* Sends session->going; the lock is let go around each call. */
static void send_going(struct pgdbm__session *session, struct pgdbm__request *request)
{
    size_t done = 0;
    while (done < session->going.length && !session->send_failed && !session->broken) {
        pthread_mutex_unlock(&session->lock);
        ssize_t moved =
            pgdbm__transport_send(&session->transport, session->going.data + done, session->going.length - done);
        pthread_mutex_lock(&session->lock);
        if (moved > 0) {
            done += (size_t)moved;
            session->bytes_sent += (uint64_t)moved;
        } else if (moved == PGDBM__TRANSPORT_AGAIN)
            wait_to_send(session, request);
        else
            session->send_failed = true; /* the reader will find what the server said last, and then the end */
    }
    session->going.length = 0;
    if (session->going.capacity > KEEP_BYTES)
        pgdbm__buffer_free(&session->going);
}

void pgdbm__session_flush(struct pgdbm__session *session, struct pgdbm__request *request)
{
    if (session->sending)
        return; /* whoever is sending takes ours along */
    session->sending = true;
    while (session->out.length > 0) {
        struct pgdbm__buffer queued = session->out;
        session->out = session->going;
        session->going = queued;
        send_going(session, request);
    }
    session->sending = false;
}
