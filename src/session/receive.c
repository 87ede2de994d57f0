/* SPDX-License-Identifier: MIT */
/* The receiving half: who reads, the receive buffer, and which request is complete; what a message means is messages.c's.
 * One thread at a time has the reader's role; it alone touches the receive buffer and the answer fields of the request at
 * the head. The lock is taken only when a request is complete, to unlink it and to see who is next. */
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

/* Whether the server has refused the request at the head: it said why, and that undid it, whatever became of the session
 * before ReadyForQuery. */
static bool is_refused(const struct pgdbm__session *session, const struct pgdbm__request *request)
{
    return request == session->head && request->failed && request->error.outcome == PGDBM_OUTCOME_ROLLED_BACK &&
           request->error.sqlstate[0] != '\0';
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
        request->completed = true;
        if (is_refused(session, request))
            continue;
        if (request->kind == PGDBM__REQUEST_DESCRIBE || request->kind == PGDBM__REQUEST_LOOKUP)
            outcome = PGDBM_OUTCOME_NOT_SENT; /* the statement was only looked at */
        else if (request->sent_end > session->bytes_sent)
            outcome = PGDBM_OUTCOME_NOT_SENT; /* without its Sync the server cannot have committed it */
        else if (fatal && request->commands_complete == 0)
            outcome = PGDBM_OUTCOME_ROLLED_BACK; /* a backend that says FATAL has ended its transaction */
        request->failed = true;
        request->lost = true;
        request->error = *reason;
        pgdbm__error_statement(&request->error,
                               request->statement != NULL ? request->statement->text : request->simple_sql);
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

/* Whether what was asked for has come before ReadyForQuery: what a statement is begins with ParseComplete, each execution
 * ends with its command; or the request with an error. Without any of that nobody knows what was done. */
static bool is_answered(const struct pgdbm__request *request)
{
    if (request->kind == PGDBM__REQUEST_DESCRIBE) /* by now it may be prepared for another: then nothing was asked */
        return request->failed || request->parse_complete || !request->parse_sent;
    return request->kind != PGDBM__REQUEST_EXECUTE || request->failed || request->commands_complete >= request->n_sets;
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
    session->epoch += status != 'T';
    bool sound = session->head != NULL && (session->head->syncs || session->head->failed) && is_answered(session->head);
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
            sound = pgdbm__session_handle(session, head, &message, &last_words, &fatal);
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
    pgdbm__session_fail_large(head);
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
