/* SPDX-License-Identifier: MIT */
/* The receiving half. One thread at a time has the reader's role; it alone touches the receive buffer and the answer
 * fields of the request at the head. The lock is taken only when a request is complete, to unlink it and to see who is
 * next. */
#include "session/session.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "wire/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer that has come this far is a long one. */
#define BULK_ANSWER_BYTES ((size_t)1024 * 1024)

/* Requests that are complete and whose owners are still to be told; and the one at the head now, when somebody waits for
 * it to be there. */
struct finished {
    struct pgdbm__request *first, **last;
    struct pgdbm__request *awaited;
    bool filled; /* the reading took all there was room for: there may be more */
};

static void fail_request(struct pgdbm__request *request, pgdbm_status status, const char *message)
{
    if (!request->failed) {
        request->failed = true;
        pgdbm__fail(&request->error, status, "%s", message);
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_DONE);
    }
}

/* Everything in flight ends: with what the server said last, if it said something, and with what is known of each
 * request. */
static void fail_all(struct pgdbm__session *session, const pgdbm_error *reason, bool fatal, struct finished *finished)
{
    pthread_mutex_lock(&session->lock);
    session->broken = true;
    session->broken_error = *reason;
    atomic_store(&session->lost, true);
    for (struct pgdbm__request *request = session->head; request != NULL; request = request->next) {
        pgdbm_outcome_kind outcome = PGDBM_OUTCOME_UNKNOWN;
        if (request->kind == PGDBM__REQUEST_DESCRIBE || request->kind == PGDBM__REQUEST_LOOKUP)
            outcome = PGDBM_OUTCOME_NOT_SENT; /* the statement was only looked at */
        else if (request->sent_end > session->bytes_sent)
            outcome = PGDBM_OUTCOME_NOT_SENT; /* without its Sync the server cannot have committed it */
        else if (fatal && request->commands_complete == 0)
            outcome = PGDBM_OUTCOME_ROLLED_BACK; /* a backend that says FATAL has ended its transaction */
        request->failed = true;
        request->lost = true;
        request->completed = true;
        request->error = *reason;
        request->error.outcome = outcome;
        request->error.retryable = outcome != PGDBM_OUTCOME_UNKNOWN;
    }
    if (session->head != NULL) {
        *finished->last = session->head;
        finished->last = session->tail;
    }
    session->head = NULL;
    session->tail = &session->head;
    session->reader = session->open_end = session->room_for = NULL;
    session->out.length = 0;
    atomic_store_explicit(&session->head_since, 0, memory_order_relaxed);
    finished->awaited = NULL;
    pgdbm__session_watch(session, 0);
    pthread_mutex_unlock(&session->lock);
}

static void connection_lost(struct pgdbm__session *session, struct finished *finished)
{
    pgdbm_error reason;
    int number = session->transport.reason;
    const char *aborted = atomic_load(&session->abort_reason);
    pgdbm__fail(&reason, PGDBM_ERR_CONNECTION, "the connection to the server was %s: %s",
                aborted != NULL ? "given up" : "lost",
                aborted != NULL ? aborted
                : number != 0   ? strerror(number)
                                : "the server closed it");
    pgdbm__error_hint(&reason,
                      "%sthe pool opens a new session by itself. `outcome` says whether this request may have "
                      "taken effect",
                      aborted != NULL ? "" : "the server may have been restarted or the network interrupted; ");
    fail_all(session, &reason, false, finished);
}

static void protocol_broken(struct pgdbm__session *session, char type, struct finished *finished)
{
    pgdbm_error reason;
    pgdbm__fail(&reason, PGDBM_ERR_CONNECTION, "the server broke protocol with a message of type 0x%02x",
                (unsigned char)type);
    pgdbm__error_hint(&reason,
                      "the session was closed. Is there something between this program and PostgreSQL that changes the "
                      "conversation?");
    pgdbm__transport_shutdown(&session->transport);
    fail_all(session, &reason, false, finished);
}

static void fill_server_error(pgdbm_error *error, const struct pgdbm__wire_error *server, const char *sql)
{
    pgdbm__fail(error, PGDBM_ERR_QUERY, "%s", server->message);
    PGDBM__COPY_TEXT(error->sqlstate, server->sqlstate, strlen(server->sqlstate));
    PGDBM__COPY_TEXT(error->detail, server->detail, strlen(server->detail));
    PGDBM__COPY_TEXT(error->hint, server->hint, strlen(server->hint));
    PGDBM__COPY_TEXT(error->constraint, server->constraint, strlen(server->constraint));
    error->position = server->position > 0 ? server->position : 0;
    error->outcome = PGDBM_OUTCOME_ROLLED_BACK;
    error->retryable = strcmp(error->sqlstate, "40001") == 0 || strcmp(error->sqlstate, "40P01") == 0;
    pgdbm__error_mask_values(error);
    pgdbm__error_statement(error, sql);
}

/* Where in the data of a COPY it was: "COPY t, line 3, column b: "value"" is a line of the context (its words may be
 * translated), and the value is nobody's business. */
static void add_place(pgdbm_error *error, const char *context)
{
    char detail[sizeof error->detail];
    const char *place = strstr(context, "COPY ");
    if (place == NULL)
        return;
    memcpy(detail, error->detail, sizeof detail);
    pgdbm__error_detail(error, "%.*s%s%.350s", (int)strcspn(place, ":\n"), place, detail[0] != '\0' ? ". " : "",
                        detail);
}

/* A value of a type that a user made, and perhaps changed since: sent in its old form it has other fields, or fields of other
 * types. That is what record_recv and its like complain of; users' functions have mismatches of their own. */
static bool is_changed_type(const struct pgdbm__request *request, const struct pgdbm__wire_error *server)
{
    const char *end = strrchr(server->routine, '_');
    return request->statement != NULL && atomic_load(&request->statement->generation) != 0 &&
           strcmp(server->sqlstate, "42804") == 0 && end != NULL && strcmp(end, "_recv") == 0;
}

/* False when the message is malformed. A FATAL error ends the session: *fatal. */
static bool server_error(struct pgdbm__session *session, struct pgdbm__request *request,
                         const struct pgdbm__message *message, pgdbm_error *last_words, bool *fatal)
{
    struct pgdbm__wire_error server;
    if (!pgdbm__wire_error(message->body, message->bytes, &server))
        return false;
    if (strcmp(server.severity, "FATAL") == 0 || strcmp(server.severity, "PANIC") == 0) {
        fill_server_error(last_words, &server, NULL);
        last_words->status = PGDBM_ERR_CONNECTION;
        *fatal = true;
        return true;
    }
    if (request == NULL)
        return false;
    if (!request->failed || request->error.outcome == PGDBM_OUTCOME_DONE) {
        const char *sql = request->statement != NULL ? request->statement->text : request->simple_sql;
        fill_server_error(&request->error, &server, sql);
        if (request->kind == PGDBM__REQUEST_COPY)
            add_place(&request->error, server.context);
        request->failed = true;
        request->cancel_possible = atomic_load(&session->canceling) > 0;
        request->gone = strcmp(server.sqlstate, "26000") == 0;
        request->stale =
            request->stale ||
            (strcmp(server.sqlstate, "0A000") == 0 && strcmp(server.routine, "RevalidateCachedQuery") == 0) ||
            is_changed_type(request, &server);
    }
    return true;
}

static bool parameter_types(struct pgdbm__request *request, const struct pgdbm__message *message)
{
    size_t count;
    if (!pgdbm__wire_parameter_types(message->body, message->bytes, &count))
        return false;
    if (request->kind != PGDBM__REQUEST_DESCRIBE)
        return true; /* the parameters' types were given with Parse */
    pgdbm__free(request->new_types);
    request->new_types = pgdbm__alloc_zero(count, sizeof *request->new_types);
    if (request->new_types == NULL) {
        fail_request(request, PGDBM_ERR_NOMEM, "out of memory while reading a statement's parameter types");
        return true;
    }
    request->n_new_types = count;
    for (size_t i = 0; i < count; i++)
        request->new_types[i] = pgdbm__wire_parameter_type(message->body, i);
    return true;
}

/* RowDescription: the answer to a Describe. During an execution it only rides along to show whether the columns are
 * still those the pool knows; rows that come in another shape are read in that shape. */
static bool row_description(struct pgdbm__request *request, const struct pgdbm__message *message)
{
    struct pgdbm__description *description = NULL;
    if (request->kind == PGDBM__REQUEST_SIMPLE)
        return true;
    if (request->kind == PGDBM__REQUEST_FETCH || request->kind == PGDBM__REQUEST_CLOSE)
        return false;
    pgdbm_status status = pgdbm__description_parse(message->body, message->bytes, &description, NULL);
    if (status == PGDBM_ERR_NOMEM)
        fail_request(request, status, "out of memory while reading a statement's columns");
    else if (status != PGDBM_OK)
        return false;
    if (description != NULL && request->kind == PGDBM__REQUEST_EXECUTE &&
        pgdbm__description_equal(description, request->statement->description)) {
        pgdbm__description_unref(description);
        return true;
    }
    request->stale = request->stale || request->kind == PGDBM__REQUEST_EXECUTE;
    pgdbm__description_unref(request->description);
    request->description = description;
    if (request->rows == PGDBM__ROWS_STRUCTS) { /* it was made for what the pool knew */
        pgdbm_result_free(request->result);
        request->result = NULL;
    }
    /* The Bind asked for formats by what was known; where the shape differs only those count. */
    const struct pgdbm__description *asked =
        request->kind == PGDBM__REQUEST_EXECUTE ? request->statement->description : NULL;
    for (size_t i = 0; description != NULL && asked != NULL && i < description->n_columns && i < asked->n_columns; i++)
        description->columns[i].format = asked->columns[i].format;
    for (size_t i = 0; description != NULL && request->kind == PGDBM__REQUEST_LOOKUP && i < description->n_columns; i++)
        description->columns[i].format = 0; /* the simple protocol's */
    return true;
}

static struct pgdbm__description *columns_of(const struct pgdbm__request *request)
{
    return request->description != NULL ? request->description : request->statement->description;
}

/* Nobody else's callback may run here, and this one must not use the session: its thread is the one that reads. */
static bool call_back(struct pgdbm__session *session, struct pgdbm__request *request)
{
    request->row_seen = true;
    atomic_store_explicit(&session->callback_thread, pgdbm__thread_token(), memory_order_relaxed);
    bool more = request->on_row(session->row, request->context);
    atomic_store_explicit(&session->callback_thread, NULL, memory_order_relaxed);
    return more;
}

static bool stream_row(struct pgdbm__session *session, struct pgdbm__request *request,
                       const struct pgdbm__message *message)
{
    if (request->stopped)
        return true;
    if (session->row == NULL) {
        session->row = pgdbm__result_new(NULL);
        if (session->row == NULL) {
            fail_request(request, PGDBM_ERR_NOMEM, "out of memory while streaming rows");
            return true;
        }
    }
    if (request->result == NULL) {
        pgdbm__result_init_borrowed(session->row, columns_of(request));
        request->result = session->row;
    }
    unsigned char *behind = message->body + message->bytes;
    unsigned char kept = *behind;
    enum pgdbm__row_status status = pgdbm__result_borrow_row(session->row, message->body, message->bytes);
    if (status == PGDBM__ROW_MALFORMED)
        return false;
    if (status == PGDBM__ROW_NOMEM)
        fail_request(request, PGDBM_ERR_NOMEM, "out of memory while streaming rows");
    else if (!call_back(session, request)) {
        request->stopped = true;
        atomic_fetch_add(&session->canceling, 1);
        pgdbm__transport_cancel(&session->transport);
    }
    *behind = kept;
    return true;
}

static void fail_too_large(struct pgdbm__request *request)
{
    char message[160];
    snprintf(message, sizeof message, "the result is larger than max_result_bytes (%zu)", request->max_result_bytes);
    fail_request(request, PGDBM_ERR_NOMEM, message);
    pgdbm__error_hint(&request->error,
                      request->max_rows > 0
                          ? "make the cursor's chunk_rows smaller, or raise max_result_bytes"
                          : "ask for fewer rows (LIMIT), read them by pgdbm_stream, or raise max_result_bytes");
    if (request->rows != PGDBM__ROWS_STREAM) {
        pgdbm_result_free(request->result);
        request->result = NULL;
    }
}

/* A refusal is in request->error. */
static enum pgdbm__row_status add_row(struct pgdbm__request *request, const struct pgdbm__message *message)
{
    if (request->rows != PGDBM__ROWS_STRUCTS) {
        if (request->result == NULL)
            request->result = pgdbm__result_new(columns_of(request));
        return request->result != NULL ? pgdbm__result_append(request->result, message->body, message->bytes)
                                       : PGDBM__ROW_NOMEM;
    }
    enum pgdbm__row_status status = PGDBM__ROW_OK;
    if (request->result == NULL &&
        pgdbm__structs_new(columns_of(request), request->shape, &request->result, &request->error) != PGDBM_OK)
        status = PGDBM__ROW_REFUSED;
    if (status == PGDBM__ROW_OK)
        status = pgdbm__structs_append(request->result, message->body, message->bytes, &request->error);
    if (status == PGDBM__ROW_REFUSED) {
        request->failed = true;
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_DONE);
        pgdbm__error_statement(&request->error, request->statement->text);
    }
    return status;
}

static bool data_row(struct pgdbm__session *session, struct pgdbm__request *request,
                     const struct pgdbm__message *message)
{
    if (request->failed || request->rows == PGDBM__ROWS_DISCARD || request->kind == PGDBM__REQUEST_SIMPLE)
        return true;
    if (columns_of(request) == NULL)
        return false;
    if (request->rows == PGDBM__ROWS_STREAM)
        return stream_row(session, request, message);
    if (request->rows == PGDBM__ROWS_FIRST && request->result != NULL)
        return true; /* it has its row */
    bool as_structs = request->rows == PGDBM__ROWS_STRUCTS && request->shape->bytes > message->bytes;
    request->result_bytes += as_structs ? request->shape->bytes : message->bytes;
    if (request->max_result_bytes > 0 && request->result_bytes > request->max_result_bytes) {
        fail_too_large(request);
        return true;
    }
    enum pgdbm__row_status status = add_row(request, message);
    if (status == PGDBM__ROW_NOMEM)
        fail_request(request, PGDBM_ERR_NOMEM, "out of memory while reading rows");
    return status != PGDBM__ROW_MALFORMED;
}

static bool command_complete(struct pgdbm__session *session, struct pgdbm__request *request,
                             const struct pgdbm__message *message)
{
    const char *tag;
    int64_t rows;
    if (!pgdbm__wire_command(message->body, message->bytes, &tag, &rows))
        return false;
    request->affected += rows;
    request->commands_complete++;
    request->rolled_back = tag[0] == 'R' && strcmp(tag, "ROLLBACK") == 0;
    if (tag[0] == 'D' && (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0)) {
        pthread_mutex_lock(&session->lock);
        pgdbm__prepared_clear(&session->prepared);
        pthread_mutex_unlock(&session->lock);
    }
    return true;
}

/* A run-time parameter that is reported has changed: somebody set it for longer than a statement. */
static bool parameter_status(struct pgdbm__session *session, const struct pgdbm__message *message)
{
    const char *name;
    const char *value;
    if (!pgdbm__wire_parameter_status(message->body, message->bytes, &name, &value))
        return false;
    atomic_store(&session->dirty, true);
    return true;
}

static bool notification(struct pgdbm__session *session, const struct pgdbm__message *message)
{
    const char *channel;
    const char *payload;
    int sender;
    if (!pgdbm__wire_notification(message->body, message->bytes, &sender, &channel, &payload))
        return false;
    if (session->on_notification != NULL)
        session->on_notification(session->notification_context, channel, payload, sender);
    return true;
}

/* The server takes data now; when nobody has any for it, it is told so. */
static bool copy_in_response(struct pgdbm__session *session, struct pgdbm__request *request)
{
    if (request->kind != PGDBM__REQUEST_COPY)
        return false;
    pthread_mutex_lock(&session->lock);
    request->copying = true;
    pthread_mutex_unlock(&session->lock);
    if (request->copies_in)
        request->notify(request, PGDBM__SIGNAL_ROOM);
    else
        pgdbm__session_copy_end(session, request, "no data is sent by this call");
    return true;
}

/* One message for the request at the head, ReadyForQuery excepted. False when it breaks protocol. */
static bool handle(struct pgdbm__session *session, struct pgdbm__request *request, const struct pgdbm__message *message,
                   pgdbm_error *last_words, bool *fatal)
{
    switch (message->type) {
    case 'N':
        return true;
    case 'A':
        return notification(session, message);
    case 'S':
        return parameter_status(session, message);
    case 'E':
        return server_error(session, request, message, last_words, fatal);
    default:
        break;
    }
    if (request == NULL)
        return false;
    switch (message->type) {
    case 'D':
        request->answer_bytes += message->bytes;
        return data_row(session, request, message);
    case 'C':
        return command_complete(session, request, message);
    case 's':
        request->suspended = true;
        request->commands_complete++;
        return request->max_rows > 0;
    case '1':
        request->parse_complete = true;
        return true;
    case '2':
    case '3':
    case 'n':
        return true;
    case 'I':
        request->commands_complete++;
        return true;
    case 't':
        return parameter_types(request, message);
    case 'T':
        return row_description(request, message);
    case 'G':
        return copy_in_response(session, request);
    case 'H':
        if (request->copies_in)
            fail_request(request, PGDBM_ERR_QUERY, "the server sends data where it was to take some");
        return request->kind == PGDBM__REQUEST_COPY;
    case 'd':
        request->answer_bytes += message->bytes;
        if (request->kind == PGDBM__REQUEST_COPY && request->on_copy_data != NULL && !request->failed)
            request->on_copy_data(request, message->body, message->bytes);
        return request->kind == PGDBM__REQUEST_COPY;
    case 'c':
        return request->kind == PGDBM__REQUEST_COPY;
    default: /* COPY is refused before it is sent; what starts one all the same cannot be answered */
        return false;
    }
}

/* What the session now knows about the request's statement. Locked. */
static void settle_prepared(struct pgdbm__session *session, const struct pgdbm__request *request)
{
    if (request->statement == NULL)
        return;
    if (request->gone || request->stale || (request->parse_sent && !request->parse_complete))
        pgdbm__prepared_remove(&session->prepared, request->statement->id);
    else if (request->parse_sent && request->kind == PGDBM__REQUEST_EXECUTE) {
        atomic_fetch_or_explicit(&request->statement->prepared_on, UINT64_C(1) << (session->number % 64),
                                 memory_order_relaxed);
        pgdbm__prepared_confirm(&session->prepared, request->statement->id, request->parse);
    }
}

/* When the bytes came that are being looked at. */
static int64_t read_at(struct pgdbm__session *session)
{
    return atomic_load_explicit(&session->read_ns, memory_order_relaxed);
}

/* How long the server was at it: since it was sent, or since it was done with the one before. What the way to the
 * server and back takes is not its work: that is the shortest time in which anything was ever answered. */
static void measure(struct pgdbm__session *session, struct pgdbm__request *request)
{
    bool waited = request->queued_ns < session->done_ns; /* the one before was still in work when this one came */
    int64_t now = read_at(session);
    int64_t service = now - (waited ? session->done_ns : request->queued_ns);
    if (!waited) {
        int64_t round_trip = atomic_load_explicit(&session->round_trip_ns, memory_order_relaxed);
        if (service < round_trip)
            atomic_store_explicit(&session->round_trip_ns, round_trip = service, memory_order_relaxed);
        service -= round_trip;
    }
    request->service_ns = service > 0 ? service : 0;
    session->done_ns = now;
}

static int64_t known_cost(const struct pgdbm__request *request)
{
    bool one = request->kind == PGDBM__REQUEST_EXECUTE && request->n_sets == 1 && !request->skipped && !request->lost;
    return one ? atomic_load_explicit(&request->statement->service_ns, memory_order_relaxed) : 0;
}

/* Answers that were read together seem to have taken the first one all the time, and the others none. Where it is known
 * what each of them takes, the time is theirs in that proportion; else it is the first one's, because the one that
 * takes long is what the others come right behind, and of those nothing is known. */
static void spread_service(struct pgdbm__request *first)
{
    int64_t service = 0;
    int64_t known = 0;
    bool all_known = true;
    if (first->next == NULL)
        return;
    for (struct pgdbm__request *request = first; request != NULL; request = request->next) {
        int64_t cost = known_cost(request);
        known += cost;
        service += request->service_ns;
        all_known = all_known && cost > 0;
    }
    for (struct pgdbm__request *request = first; request != NULL; request = request->next)
        if (all_known)
            request->service_ns = (int64_t)((double)service * ((double)known_cost(request) / (double)known));
        else if (request != first)
            request->service_ns = PGDBM__SERVICE_UNKNOWN;
}

/* Takes the request at the head out of the FIFO, complete. Locked. */
static struct pgdbm__request *pop_head(struct pgdbm__session *session, struct finished *finished)
{
    struct pgdbm__request *request = session->head;
    session->head = request->next;
    if (session->head == NULL)
        session->tail = &session->head;
    if (session->room_for == request)
        session->room_for = NULL;
    request->copying = false;
    atomic_store_explicit(&session->head_since, session->head != NULL ? read_at(session) : 0, memory_order_relaxed);
    settle_prepared(session, request);
    measure(session, request);
    request->completed = true;
    request->next = NULL;
    *finished->last = request;
    finished->last = &request->next;
    bool awaited = session->head != NULL && session->head->notify != NULL &&
                   atomic_load_explicit(&session->head->wants_head, memory_order_relaxed);
    finished->awaited = awaited ? session->head : NULL;
    return request;
}

static void skip(struct pgdbm__request *request)
{
    request->skipped = request->failed = true;
    pgdbm__fail(&request->error, PGDBM_ERR_QUERY, "the server did not look at it: a statement sent with it had failed");
    pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_ROLLED_BACK);
}

/* A request that shares the Sync of a later one is complete with its command; *head becomes the one behind it. */
static void complete_early(struct pgdbm__session *session, struct finished *finished, struct pgdbm__request **head)
{
    pthread_mutex_lock(&session->lock);
    pop_head(session, finished);
    *head = session->head;
    pthread_mutex_unlock(&session->lock);
}

/* ReadyForQuery: the request at the head is complete; *head becomes the one behind it. When it is not the one that sent
 * the Sync, it failed, and those up to that one were skipped. */
static bool complete_head(struct pgdbm__session *session, const struct pgdbm__message *message,
                          struct finished *finished, struct pgdbm__request **head)
{
    char status;
    if (!pgdbm__wire_ready(message->body, message->bytes, &status))
        return false;
    atomic_store_explicit(&session->transaction_status, status, memory_order_relaxed);
    pthread_mutex_lock(&session->lock);
    bool sound = session->head != NULL && (session->head->syncs || session->head->failed);
    if (sound) {
        struct pgdbm__request *request = pop_head(session, finished);
        while (!request->syncs && session->head != NULL) {
            skip(session->head);
            request = pop_head(session, finished);
        }
        sound = request->syncs;
    }
    *head = session->head;
    pthread_mutex_unlock(&session->lock);
    return sound;
}

static struct pgdbm__request *locked_head(struct pgdbm__session *session)
{
    pthread_mutex_lock(&session->lock);
    struct pgdbm__request *head = session->head;
    pthread_mutex_unlock(&session->lock);
    return head;
}

/* Takes whole messages off the receive buffer. False when the session ended; everything in flight is finished then. */
static bool take_messages(struct pgdbm__session *session, struct pgdbm__request *request, struct finished *finished)
{
    /* Without the lock: only the reader takes off the head, and while its own request is in the FIFO there is one. */
    struct pgdbm__request *head = request != NULL ? session->head : locked_head(session);
    for (;;) {
        struct pgdbm__message message;
        size_t size;
        enum pgdbm__wire_found found =
            pgdbm__wire_next(session->in + session->in_start, session->in_end - session->in_start, &message, &size);
        if (found == PGDBM__WIRE_PARTIAL)
            return true;
        bool sound = found == PGDBM__WIRE_MESSAGE;
        bool fatal = false;
        pgdbm_error last_words;
        if (sound && message.type == 'Z')
            sound = complete_head(session, &message, finished, &head);
        else if (sound)
            sound = handle(session, head, &message, &last_words, &fatal);
        /* Also when it failed here (a result too large): what comes next is for the one behind it. */
        bool done = (message.type == 'C' || message.type == 'I') && head != NULL && !head->syncs;
        if (sound && !fatal && found == PGDBM__WIRE_MESSAGE && done)
            complete_early(session, finished, &head);
        if (!sound) {
            protocol_broken(session, (char)session->in[session->in_start], finished);
            return false;
        }
        if (fatal) {
            pgdbm__transport_shutdown(&session->transport);
            fail_all(session, &last_words, true, finished);
            return false;
        }
        session->in_start += size;
        if (head != NULL && head != request && head->rows == PGDBM__ROWS_STREAM) {
            session->in_waits = true; /* rows are given to a callback by the thread that streams, and by no other */
            return true;
        }
    }
}

/* Whether a row of so many bytes is beyond what the request at the head may have: it fails, and the row is not read. */
static bool nobody_wants(struct pgdbm__session *session, size_t bytes)
{
    struct pgdbm__request *head = locked_head(session);
    if (head == NULL || head->max_result_bytes == 0 || bytes <= head->max_result_bytes)
        return false;
    fail_too_large(head);
    return true;
}

/* Whether the reader's own answer is a long one: it is read in larger pieces then. */
static bool is_bulk(const struct pgdbm__session *session, const struct pgdbm__request *request)
{
    return request != NULL && session->head == request && request->answer_bytes >= BULK_ANSWER_BYTES;
}

/* Room for the rest of the message at in_start, or for a good gulp, and one byte behind it for a terminator. */
static bool make_room(struct pgdbm__session *session)
{
    size_t held = session->in_end - session->in_start;
    if (held == 0)
        session->in_start = session->in_end = 0;
    struct pgdbm__message message = {0};
    size_t size = 5;
    pgdbm__wire_next(session->in + session->in_start, held, &message, &size);
    if (session->in_start + size < session->in_capacity && session->in_end + 1 < session->in_capacity)
        return true;
    if (held > 0)
        memmove(session->in, session->in + session->in_start, held);
    session->in_start = 0;
    session->in_end = held;
    if (size < session->in_capacity)
        return true;
    if (message.type == 'D' && nobody_wants(session, size)) {
        session->in_skip = size - held;
        session->in_end = 0;
        return true;
    }
    unsigned char *grown = pgdbm__realloc(session->in, size + 1);
    if (grown == NULL)
        return false;
    session->in = grown;
    session->in_capacity = size + 1;
    return true;
}

/* Receives once and takes what came. False when nothing came by the deadline. */
static bool receive(struct pgdbm__session *session, struct pgdbm__request *request, bool wait, int64_t deadline,
                    struct finished *finished)
{
    if (session->in_waits) {
        session->in_waits = false;
        take_messages(session, request, finished);
        return true;
    }
    if (!make_room(session)) {
        pgdbm_error reason;
        pgdbm__fail_nomem(&reason, "receiving an answer");
        pgdbm__transport_shutdown(&session->transport);
        fail_all(session, &reason, false, finished);
        return true;
    }
    char *space = (char *)session->in + session->in_end;
    size_t bytes = session->in_capacity - session->in_end - 1;
    ssize_t moved = !wait ? pgdbm__transport_receive(&session->transport, space, bytes)
                    : is_bulk(session, request)
                        ? pgdbm__transport_receive_bulk(&session->transport, space, bytes, deadline)
                        : pgdbm__transport_receive_wait(&session->transport, space, bytes, deadline);
    if (moved == PGDBM__TRANSPORT_AGAIN)
        return false;
    if (moved < 0)
        connection_lost(session, finished);
    else {
        session->in_end += (size_t)moved;
        atomic_store_explicit(&session->read_ns, pgdbm__now_ns(), memory_order_relaxed);
        size_t skipped = session->in_skip < (size_t)moved ? session->in_skip : (size_t)moved;
        session->in_skip -= skipped;
        session->in_start += skipped;
        finished->filled = (size_t)moved == bytes;
        if (session->in_skip == 0)
            take_messages(session, request, finished);
    }
    return true;
}

/* Who reads next: the first request that a thread waits for, wherever it stands, so that no thread depends on somebody
 * who drives the pool; where there is none, whoever drives. Locked. Returns the thread's request to be told. */
static struct pgdbm__request *give_role(struct pgdbm__session *session)
{
    struct pgdbm__request *next = session->head;
    while (next != NULL && next->notify != NULL)
        next = next->next;
    session->reader = next != NULL ? next : session->head;
    if (next == NULL && session->head != NULL)
        pgdbm__session_watch(session, session->watched | PGDBM__POLL_IN);
    return next;
}

/* Gives the reader's role on when our own request is complete, and tells the others that theirs are. The new reader is
 * woken first: it has the longest way to go. Bytes that are inside of a TLS connection already the poller does not see:
 * whoever drives is told of them. */
static void announce(struct pgdbm__session *session, struct pgdbm__request *request, struct finished *finished)
{
    struct pgdbm__request *next_reader = NULL;
    bool unseen = false;
    if (finished->awaited != NULL) /* first: it is at the head as long as the role is ours */
        finished->awaited->notify(finished->awaited, PGDBM__SIGNAL_HEAD);
    if (request == NULL || request->completed) {
        pthread_mutex_lock(&session->lock);
        next_reader = give_role(session);
        unseen = session->reader != NULL && next_reader == NULL && session->transport.ssl != NULL && !session->driven;
        pthread_mutex_unlock(&session->lock);
    }
    if (next_reader != NULL)
        pgdbm__signal_raise(&next_reader->signal, PGDBM__SIGNAL_LEAD);
    if (unseen)
        session->attention(session);
    struct pgdbm__request *next;
    spread_service(finished->first);
    for (struct pgdbm__request *done = finished->first; done != NULL; done = next) {
        next = done->next;
        if (done->notify != NULL)
            done->notify(done, PGDBM__SIGNAL_DONE);
        else if (done != request)
            pgdbm__signal_raise(&done->signal, PGDBM__SIGNAL_DONE);
    }
}

bool pgdbm__session_leave(struct pgdbm__session *session, struct pgdbm__request *request,
                          struct pgdbm__request *stand_in)
{
    struct pgdbm__request *next_reader = NULL;
    bool unseen = false;
    bool leads = request->leads;
    pthread_mutex_lock(&session->lock);
    struct pgdbm__request *before = session->head == request ? NULL : session->head;
    while (before != NULL && before->next != request)
        before = before->next;
    bool found = before != NULL && (leads || session->reader != request);
    if (found) {
        stand_in->kind = request->kind;
        stand_in->statement = request->statement;
        stand_in->catalog = request->catalog;
        stand_in->generation = request->generation;
        stand_in->rows = request->kind == PGDBM__REQUEST_LOOKUP ? request->rows : PGDBM__ROWS_DISCARD;
        stand_in->queued_ns = request->queued_ns;
        stand_in->deadline = request->deadline;
        stand_in->sent_end = request->sent_end;
        stand_in->syncs = request->syncs;
        stand_in->parse_sent = request->parse_sent;
        stand_in->parse = request->parse;
        stand_in->next = request->next;
        before->next = stand_in;
        if (session->tail == &request->next)
            session->tail = &stand_in->next;
        if (session->open_end == request)
            session->open_end = NULL;
        atomic_store_explicit(&stand_in->wants_head, true, memory_order_relaxed);
        if (leads) {
            next_reader = give_role(session);
            unseen = next_reader == NULL && session->transport.ssl != NULL;
        }
        pgdbm__fail(&request->error, PGDBM_ERR_TIMEOUT,
                    "the request was in flight behind another one when its deadline passed");
        pgdbm__error_hint(&request->error,
                          "raise command_timeout_ms or the call's timeout_ms, or max_connections, so that it need not "
                          "share a session");
        pgdbm__error_statement(&request->error, request->statement != NULL ? request->statement->text : NULL);
        /* Also when it has not left yet: nobody takes it back, so it will. */
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_UNKNOWN);
    }
    pthread_mutex_unlock(&session->lock);
    if (next_reader != NULL)
        pgdbm__signal_raise(&next_reader->signal, PGDBM__SIGNAL_LEAD);
    if (unseen)
        session->attention(session);
    return found;
}

/* Whether something came. The role may be another thread's when this returns. *filled (may be NULL): there may be more to
 * read. */
static bool read_once(struct pgdbm__session *session, struct pgdbm__request *request, bool wait, int64_t deadline,
                      bool *filled)
{
    struct finished finished = {.first = NULL, .last = &finished.first};
    bool came = receive(session, request, wait, deadline, &finished);
    if (filled != NULL)
        *filled = finished.filled;
    if (finished.first != NULL)
        announce(session, request, &finished);
    return came;
}

void pgdbm__session_drive(struct pgdbm__session *session)
{
    bool more = true;
    for (bool first = true;; first = false) {
        struct pgdbm__request *thread = NULL;
        pthread_mutex_lock(&session->lock);
        if (session->driven) { /* meanwhile a thread may have come to wait */
            session->driven = false;
            if (session->reader != NULL && session->reader->notify != NULL)
                thread = give_role(session);
        }
        struct pgdbm__request *reader = session->reader;
        bool mine =
            !session->broken && !session->paused && (reader != NULL ? reader->notify != NULL : session->listening);
        /* Something came that is not for us: it is not looked for any more. When all is answered it is still: the next
         * request is likely to come soon, and each change of what is watched is a system call. */
        if (!mine && first && !session->broken)
            pgdbm__session_watch(session, session->watched & ~PGDBM__POLL_IN);
        session->driven = mine && more;
        pthread_mutex_unlock(&session->lock);
        if (thread != NULL)
            pgdbm__signal_raise(&thread->signal, PGDBM__SIGNAL_LEAD);
        if (!mine || !more)
            return;
        bool filled;
        more = read_once(session, reader, false, 0, &filled) && (filled || session->transport.ssl != NULL);
    }
}

bool pgdbm__session_lead(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline)
{
    bool came = true;
    while (!request->completed) {
        if (!came && deadline != PGDBM__NEVER && pgdbm__now_ns() >= deadline)
            return false;
        came = read_once(session, request, true, deadline, NULL);
    }
    return true;
}

void pgdbm__session_lead_to_head(struct pgdbm__session *session, struct pgdbm__request *request)
{
    while (!request->completed && session->head != request) /* the reader may look without the lock */
        (void)read_once(session, request, true, PGDBM__NEVER, NULL);
}

void pgdbm__session_read_available(struct pgdbm__session *session, struct pgdbm__request *request)
{
    while (!request->completed && read_once(session, request, false, 0, NULL))
        continue;
}
