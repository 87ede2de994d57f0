/* SPDX-License-Identifier: MIT */
/* Performing requests: the way from a caller's thread through the FIFO and back. Deadlines and cancelling are here;
 * bytes are in send.c and receive.c. */
#include "session/session.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "wire/encode.h"

#include <string.h>

#define RECEIVE_BYTES (64 * 1024)
/* How long the first cancel request is given before another is sent; doubled each time. */
#define FIRST_PATIENCE_NS (INT64_C(20) * PGDBM__MS)
#define MAX_PATIENCE_NS (INT64_C(1000) * PGDBM__MS)

pgdbm_status pgdbm__session_init(struct pgdbm__session *session, int statement_cache_size, pgdbm_error *err)
{
    pthread_mutex_init(&session->lock, NULL);
    session->head = session->reader = NULL;
    session->tail = &session->head;
    session->statement_cache_size = statement_cache_size;
    atomic_init(&session->transaction_status, 'I');
    session->in = pgdbm__alloc(RECEIVE_BYTES);
    session->in_capacity = session->in != NULL ? RECEIVE_BYTES : 0;
    bool prepared =
        pgdbm__prepared_init(&session->prepared, statement_cache_size > 0 ? (size_t)statement_cache_size : 0);
    if (session->in == NULL || !prepared)
        return pgdbm__fail_nomem(err, "opening a session");
    return PGDBM_OK;
}

void pgdbm__session_destroy(struct pgdbm__session *session)
{
    if (session->tail == NULL)
        return;
    if ((session->transport.connection != NULL || session->transport.operations != NULL) && !session->broken) {
        pgdbm__wire_terminate(&session->out);
        if (!session->out.failed)
            (void)pgdbm__transport_send(&session->transport, session->out.data, session->out.length);
    }
    pgdbm__transport_close(&session->transport);
    pgdbm__buffer_free(&session->out);
    pgdbm__buffer_free(&session->going);
    pgdbm__prepared_free(&session->prepared);
    pgdbm_result_free(session->row);
    pgdbm__free(session->in);
    pthread_mutex_destroy(&session->lock);
    session->tail = NULL;
}

void pgdbm__session_abort(struct pgdbm__session *session, const char *reason)
{
    const char *none = NULL;
    atomic_compare_exchange_strong(&session->abort_reason, &none, reason);
    atomic_store(&session->lost, true);
    pgdbm__transport_shutdown(&session->transport);
}

/* Puts the request at the FIFO's end and its messages in the buffer. Locked. */
static pgdbm_status queue(struct pgdbm__session *session, struct pgdbm__request *request)
{
    atomic_store_explicit(&request->wants_head, false, memory_order_relaxed);
    if (request->queued_ns == 0)
        request->queued_ns = pgdbm__now_ns();
    if (session->broken) {
        request->error = session->broken_error;
        request->error.outcome = PGDBM_OUTCOME_NOT_SENT;
        request->error.retryable = true;
        request->lost = true;
        request->status = PGDBM_ERR_CONNECTION;
    } else
        request->status = pgdbm__session_encode(session, request);
    if (request->status == PGDBM_OK) {
        if (session->head == NULL)
            atomic_store_explicit(&session->head_since, request->queued_ns, memory_order_relaxed);
        *session->tail = request;
        session->tail = &request->next;
    }
    return request->status;
}

/* Queues the request and gets it on its way. False when it cannot be sent: request->status and error say why. */
static bool submit(struct pgdbm__session *session, struct pgdbm__request *request)
{
    pthread_mutex_lock(&session->lock);
    if (queue(session, request) == PGDBM_OK) {
        bool free = session->reader == NULL || (session->reader->notify != NULL && !session->driven);
        request->leads = free;
        if (request->leads)
            session->reader = request;
        pgdbm__session_flush(session, request);
    }
    bool sent = request->status == PGDBM_OK;
    pthread_mutex_unlock(&session->lock);
    return sent;
}

static void prepare(struct pgdbm__request *request, int64_t deadline)
{
    request->deadline = deadline;
    request->completed = request->failed = false;
    request->next = NULL;
}

bool pgdbm__session_enqueue(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline)
{
    prepare(request, deadline);
    pthread_mutex_lock(&session->lock);
    bool queued = queue(session, request) == PGDBM_OK;
    if (queued && session->reader == NULL) {
        session->reader = request;
        pgdbm__session_watch(session, session->watched | PGDBM__POLL_IN);
    }
    pthread_mutex_unlock(&session->lock);
    return queued;
}

bool pgdbm__session_await_head(struct pgdbm__session *session, struct pgdbm__request *request, bool timed_out)
{
    pthread_mutex_lock(&session->lock);
    bool head = session->head == request;
    if (!head)
        atomic_store_explicit(&request->wants_head, true, memory_order_relaxed);
    else if (timed_out)
        request->timed_out = true;
    else
        request->canceled = true;
    pthread_mutex_unlock(&session->lock);
    return head;
}

void pgdbm__session_listen(struct pgdbm__session *session)
{
    pthread_mutex_lock(&session->lock);
    session->listening = true;
    pgdbm__session_watch(session, session->watched | PGDBM__POLL_IN);
    pthread_mutex_unlock(&session->lock);
}

void pgdbm__session_unlisten(struct pgdbm__session *session)
{
    pthread_mutex_lock(&session->lock);
    session->listening = false;
    pthread_mutex_unlock(&session->lock);
}

/* At its deadline a thread need not wait for what the server does before it comes to its request. */
static bool leave(struct pgdbm__session *session, struct pgdbm__request *request)
{
    struct pgdbm__request *stand_in = request->make_stand_in != NULL ? request->make_stand_in(request) : NULL;
    if (stand_in == NULL)
        return false;
    bool left = pgdbm__session_leave(session, request, stand_in);
    if (left)
        request->left =
            true; /* and only then: otherwise it is in the FIFO, and beside what others look at under the lock */
    else
        request->drop_stand_in(stand_in);
    return left;
}

/* Waits until the request is complete. False when the deadline passed and the request is at the head: the server may be
 * at it. A role that was handed over is taken by its signal only, even where it could be seen before: whoever raises it
 * must be done with this request. */
static bool attend(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline)
{
    if (!request->leads) {
        uint32_t reason = pgdbm__signal_wait(&request->signal, deadline);
        if (reason == PGDBM__SIGNAL_NONE && leave(session, request))
            return true;
        if (reason == PGDBM__SIGNAL_NONE) /* its turn is near: the server's answer is waited for */
            reason = pgdbm__signal_wait(&request->signal, PGDBM__NEVER);
        if (reason == PGDBM__SIGNAL_DONE)
            return true;
        request->leads = true;
    }
    if (request->completed || pgdbm__session_lead(session, request, deadline))
        return true;
    if (session->head != request && leave(session, request)) /* the reader may look without the lock */
        return true;
    pgdbm__session_lead_to_head(session, request);
    return request->completed;
}

/* Asks the server to cancel, waits for the outcome, and makes sure that the cancel request has landed before anything
 * new is sent: it reached the server before its connection was closed, and one round trip later it has been noticed (or
 * ignored). */
static void cancel_and_attend(struct pgdbm__session *session, struct pgdbm__request *request)
{
    int64_t began = pgdbm__now_ns();
    int64_t heard = 0;
    int64_t patience = FIRST_PATIENCE_NS;
    if (atomic_load_explicit(&session->read_ns, memory_order_relaxed) == 0) {
        /* The first question of all: who has never answered is not waited for any longer, and has nothing to cancel. */
        pgdbm__session_abort(session, "the server did not answer the first statement in time (connect_timeout_ms)");
        attend(session, request, PGDBM__NEVER);
        return;
    }
    request->timed_out = true;
    atomic_fetch_add(&session->canceling, 1);
    /* A cancel request that arrives before the server has begun with the statement is ignored: ask again. */
    do {
        pgdbm__transport_cancel(&session->transport);
        if (attend(session, request, pgdbm__now_ns() + patience))
            return;
        patience = patience < MAX_PATIENCE_NS ? patience * 2 : MAX_PATIENCE_NS;
        heard = atomic_load_explicit(&session->read_ns, memory_order_relaxed);
    } while (pgdbm__now_ns() < (heard > began ? heard : began) + PGDBM__CANCEL_GRACE_NS);
    pgdbm__session_abort(session, "the server does not answer a cancel request");
    attend(session, request, PGDBM__NEVER);
}

static void land_cancel(struct pgdbm__session *session)
{
    struct pgdbm__request barrier = {.kind = PGDBM__REQUEST_SYNC};
    int64_t deadline = pgdbm__now_ns() + PGDBM__CANCEL_GRACE_NS;
    barrier.deadline = deadline;
    /* Neighbours that were sent before may be ahead of it; only when the server is at it is it waited for by the clock. */
    if (submit(session, &barrier) && !attend(session, &barrier, deadline) &&
        !attend(session, &barrier, pgdbm__now_ns() + PGDBM__CANCEL_GRACE_NS)) {
        pgdbm__session_abort(session, "the server does not answer a cancel request");
        attend(session, &barrier, PGDBM__NEVER);
    }
    atomic_fetch_sub(&session->canceling, 1);
}

/* Rows were asked for: the answer is a result also when there were none, because it knows its columns. */
static pgdbm_status complete_result(struct pgdbm__request *request)
{
    if (request->rows == PGDBM__ROWS_DISCARD || request->rows == PGDBM__ROWS_STREAM)
        return PGDBM_OK;
    struct pgdbm__description *description =
        request->description != NULL ? request->description : request->statement->description;
    if (request->rows == PGDBM__ROWS_STRUCTS && request->result == NULL &&
        pgdbm__structs_new(description, request->shape, &request->result, &request->error) == PGDBM_ERR_TYPE) {
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_DONE);
        return PGDBM_ERR_TYPE;
    }
    if (request->result == NULL && request->rows != PGDBM__ROWS_STRUCTS)
        request->result = pgdbm__result_new(description);
    if (request->result == NULL) {
        pgdbm__fail_nomem(&request->error, "receiving an answer");
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_DONE);
        return PGDBM_ERR_NOMEM;
    }
    request->result->affected = request->affected;
    return PGDBM_OK;
}

void pgdbm__request_fail_late(struct pgdbm__request *request)
{
    pgdbm_outcome_kind outcome = request->error.outcome;
    pgdbm__fail(&request->error, PGDBM_ERR_TIMEOUT, "the statement was not done when its deadline passed%s",
                request->lost      ? ", and the server did not answer the cancel request"
                : request->skipped ? "; the server had not begun with it"
                                   : "; it was cancelled on the server");
    pgdbm__error_hint(&request->error,
                      "raise command_timeout_ms or the call's timeout_ms, or see what the statement waits for "
                      "(pg_stat_activity, pg_blocking_pids)");
    pgdbm__error_statement(&request->error,
                           request->statement != NULL ? request->statement->text : request->simple_sql);
    request->error.outcome = outcome;
}

/* What the collected answer means to the caller. */
static pgdbm_status conclude(struct pgdbm__request *request)
{
    if (request->left)
        return request->error.status;
    bool query_canceled = request->failed && strcmp(request->error.sqlstate, "57014") == 0;
    if (request->stopped && query_canceled)
        request->failed = false;
    if (!request->failed)
        return complete_result(request);
    if (request->short_of_memory) {
        pgdbm_outcome_kind outcome = request->error.outcome;
        pgdbm__fail_nomem(&request->error, "sending the data of a COPY");
        pgdbm__error_outcome(&request->error, outcome);
        return request->error.status;
    }
    /* Another's cancel may have been faster than our own. */
    bool late = request->deadline != PGDBM__NEVER && pgdbm__now_ns() >= request->deadline;
    if (request->canceled && (query_canceled || request->lost)) {
        pgdbm_outcome_kind outcome = request->error.outcome;
        pgdbm__fail(&request->error, PGDBM_ERR_CANCELED, "the request was cancelled%s",
                    request->lost ? ", and the connection was lost over it" : " on the server");
        pgdbm__error_statement(&request->error,
                               request->statement != NULL ? request->statement->text : request->simple_sql);
        request->error.outcome = outcome;
    } else if ((request->timed_out || (late && request->cancel_possible)) && (query_canceled || request->lost)) {
        pgdbm__request_fail_late(request);
    } else if (query_canceled) {
        /* statement_timeout has the same SQLSTATE; only its words tell it apart */
        bool server_timeout = strstr(request->error.message, "statement timeout") != NULL;
        request->canceled_by_other = request->cancel_possible && !request->stopped && !server_timeout;
        request->error.status = server_timeout ? PGDBM_ERR_TIMEOUT : PGDBM_ERR_CANCELED;
        if (request->canceled_by_other) { /* its owner sees this only when it cannot be repeated: in a transaction */
            request->error.retryable = true;
            pgdbm__error_hint(&request->error,
                              "it was hit by the cancel of a request of the same transaction that was done already: "
                              "roll the transaction back and run it again");
        }
    }
    return request->error.status;
}

pgdbm_status pgdbm__session_perform(struct pgdbm__session *session, struct pgdbm__request *request, int64_t deadline)
{
    if (atomic_load_explicit(&session->callback_thread, memory_order_relaxed) == pgdbm__thread_token()) {
        request->status =
            pgdbm__fail(&request->error, PGDBM_ERR_TRANSACTION,
                        "this session is being streamed from: it cannot run another statement inside the row callback");
        pgdbm__error_hint(&request->error,
                          "collect what you need and run the statement after the stream, or use another manager");
        return request->status;
    }
    int cancel_state = pgdbm__cancel_defer();
    prepare(request, deadline);
    bool sent = submit(session, request);
    if (sent) {
        if (!attend(session, request, deadline))
            cancel_and_attend(session, request);
        if (request->timed_out || request->stopped)
            land_cancel(session);
        pgdbm__request_conclude(request);
    }
    pgdbm__cancel_restore(cancel_state);
    return request->status;
}

pgdbm_status pgdbm__request_conclude(struct pgdbm__request *request)
{
    request->status = conclude(request);
    if (request->kind == PGDBM__REQUEST_LOOKUP && request->status == PGDBM_OK)
        request->status = pgdbm__lookup_learn(request);
    if (request->rows == PGDBM__ROWS_STREAM)
        request->result = NULL; /* it was the session's */
    if (request->kind == PGDBM__REQUEST_EXECUTE || request->kind == PGDBM__REQUEST_LOOKUP) {
        pgdbm__description_unref(request->description);
        request->description = NULL;
    }
    if (request->status != PGDBM_OK && request->result != NULL) {
        pgdbm_result_free(request->result);
        request->result = NULL;
    }
    return request->status;
}

void pgdbm__session_confirm(struct pgdbm__session *session, const struct pgdbm__request *described)
{
    pthread_mutex_lock(&session->lock);
    pgdbm__prepared_confirm(&session->prepared, described->statement->id, described->parse);
    pthread_mutex_unlock(&session->lock);
}

pgdbm_status pgdbm__session_command(struct pgdbm__session *session, const char *sql, int64_t deadline, pgdbm_error *err)
{
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_SIMPLE, .simple_sql = sql};
    pgdbm_status status = pgdbm__session_perform(session, &request, deadline);
    if (status != PGDBM_OK && err != NULL)
        *err = request.error;
    return status;
}

pgdbm_status pgdbm__session_undo_guarded(struct pgdbm__session *session, int64_t deadline, pgdbm_error *err)
{
    return pgdbm__session_command(session, "ROLLBACK TO SAVEPOINT pgdbm_guard; RELEASE SAVEPOINT pgdbm_guard", deadline,
                                  err);
}

const char *pgdbm__session_reset_command(size_t step, const char *const *init_commands, size_t n_init_commands)
{
    /* DISCARD ALL, but for our own prepared statements: those of users are found by their names. */
    static const char undo[] = "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; "
                               "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES; "
                               "DO LANGUAGE plpgsql $$ DECLARE n text; BEGIN FOR n IN SELECT name FROM "
                               "pg_catalog.pg_prepared_statements WHERE from_sql "
                               "LOOP EXECUTE pg_catalog.format('DEALLOCATE %I', n); END LOOP; END $$";
    if (step < 2)
        return step == 0 ? "ROLLBACK" : undo;
    return step - 2 < n_init_commands ? init_commands[step - 2] : NULL;
}

pgdbm_status pgdbm__session_reset(struct pgdbm__session *session, const char *const *init_commands,
                                  size_t n_init_commands, int64_t deadline, pgdbm_error *err)
{
    size_t step = atomic_load(&session->transaction_status) == 'I' ? 1 : 0;
    const char *command;
    pgdbm_status status = PGDBM_OK;
    while (status == PGDBM_OK &&
           (command = pgdbm__session_reset_command(step++, init_commands, n_init_commands)) != NULL)
        status = pgdbm__session_command(session, command, deadline, err);
    if (status == PGDBM_OK)
        atomic_store(&session->dirty, false);
    return status;
}
