/* SPDX-License-Identifier: MIT */
/* What each message of the server means for the request at the head. Called with the reader's role, by receive.c; the lock
 * is taken only for what other threads look at. */
#include "base/alloc.h"
#include "base/error.h"
#include "session/session.h"
#include "wire/decode.h"

#include <stdio.h>
#include <string.h>

static void fail_request(struct pgdbm__request *request, pgdbm_status status, const char *message)
{
    if (!request->failed) {
        request->failed = true;
        pgdbm__fail(&request->error, status, "%s", message);
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_DONE);
    }
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

/* The plan of a prepared statement, or the types that were given with its Parse, do not fit the tables any more. What else
 * the server may object to before anything runs: a right that is missing. Asked once more, with what is now, because it may
 * be the statement's own fault. */
static bool is_outdated(const struct pgdbm__request *request, const struct pgdbm__wire_error *server)
{
    if (strcmp(server->sqlstate, "0A000") == 0 && strcmp(server->routine, "RevalidateCachedQuery") == 0)
        return true;
    return request->kind == PGDBM__REQUEST_EXECUTE && !request->bound && !request->repeated &&
           strncmp(server->sqlstate, "42", 2) == 0 && strcmp(server->sqlstate, "42501") != 0;
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
        if (request->gone && request->guarded) { /* perhaps of the guard's own: they are prepared again */
            pthread_mutex_lock(&session->lock);
            session->guard_prepared = false;
            pthread_mutex_unlock(&session->lock);
        }
        request->stale = request->stale || is_outdated(request, &server) || is_changed_type(request, &server);
        bool own_fault = strncmp(server.sqlstate, "42", 2) == 0; /* perhaps */
        if ((request->gone || (request->stale && !own_fault)) && atomic_load(&session->transaction_status) != 'I')
            request->error.retryable = true; /* the transaction, with what is learned until then */
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

void pgdbm__session_fail_large(struct pgdbm__request *request)
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
        pgdbm__session_fail_large(request);
        return true;
    }
    enum pgdbm__row_status status = add_row(request, message);
    if (status == PGDBM__ROW_NOMEM)
        fail_request(request, PGDBM_ERR_NOMEM, "out of memory while reading rows");
    return status != PGDBM__ROW_MALFORMED;
}

/* The locks of what ran before in the transaction may be gone, or the tables may be others: it rolled back to a savepoint, or
 * changed something itself. */
static bool loosens(const char *tag)
{
    static const char *const harmless[] = {"SELECT", "INSERT", "UPDATE",    "DELETE",
                                           "MERGE",  "FETCH",  "SAVEPOINT", "RELEASE"};
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (strncmp(tag, harmless[i], strlen(harmless[i])) == 0)
            return false;
    return true;
}

static bool command_complete(struct pgdbm__session *session, struct pgdbm__request *request,
                             const struct pgdbm__message *message)
{
    const char *tag;
    int64_t rows;
    if (!pgdbm__wire_command(message->body, message->bytes, &tag, &rows))
        return false;
    if (request->guarded && (strcmp(tag, "SAVEPOINT") == 0 || strcmp(tag, "RELEASE") == 0)) {
        request->guard_set = true;
        if (tag[0] == 'R' && !session->guard_prepared && session->statement_cache_size > 0) {
            pthread_mutex_lock(&session->lock);
            session->guard_prepared = true;
            pthread_mutex_unlock(&session->lock);
        }
        return true;
    }
    if (loosens(tag)) {
        pthread_mutex_lock(&session->lock);
        session->epoch++;
        pthread_mutex_unlock(&session->lock);
    }
    request->affected += rows;
    request->commands_complete++;
    request->rolled_back = tag[0] == 'R' && strcmp(tag, "ROLLBACK") == 0;
    if (tag[0] == 'D' && (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0)) {
        pthread_mutex_lock(&session->lock);
        pgdbm__prepared_clear(&session->prepared);
        session->guard_prepared = false;
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

bool pgdbm__session_handle(struct pgdbm__session *session, struct pgdbm__request *request,
                           const struct pgdbm__message *message, pgdbm_error *last_words, bool *fatal)
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
        request->parse_complete = request->parse_complete || !request->guarded || request->guard_set;
        return true;
    case '2':
        request->bound = request->bound || !request->guarded || request->guard_set;
        return true;
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
