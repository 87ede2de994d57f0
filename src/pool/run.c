/* SPDX-License-Identifier: MIT */
/* One request from routing to answer, and what may be repeated on the way:
 *
 * | what happened                                      | repeated                                             |
 * |----------------------------------------------------|------------------------------------------------------|
 * | the session died before the request was sent       | always, on another session                           |
 * | the server ended the session and rolled it back    | outside a transaction                                |
 * | the session died, outcome unknown                  | only when the caller called the request idempotent   |
 * | the statement is no longer prepared there (26000)  | outside a failed transaction, and where it is guarded |
 * | tables are others than it was prepared for (0A000) | outside a failed transaction, and where it is guarded |
 * | a cancel meant for a neighbour hit it (57014)      | outside a transaction                                |
 * | it was skipped: one sent with it failed            | always (only reading statements are sent together)   |
 *
 * A row that was handed to a stream's callback cannot be taken back: a stream that has begun is never repeated. */
#include "pool/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "sql/effects.h"

#include <string.h>

pgdbm_status pgdbm__run_refuse(bool raw, unsigned effects, pgdbm_error *err)
{
    if ((effects & PGDBM__EFFECT_COPY) != 0) {
        pgdbm__fail(err, PGDBM_ERR_QUERY, "COPY from or to the client cannot run as a statement");
        pgdbm__error_hint(err, "use pgdbm_copy_in or pgdbm_copy_out");
        return PGDBM_ERR_QUERY;
    }
    if ((effects & PGDBM__EFFECT_TRANSACTION) != 0 && !raw) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "transactions are not controlled by SQL text here");
        pgdbm__error_hint(err, "use pgdbm_begin, pgdbm_commit and pgdbm_rollback, or a pinned session (pgdbm_pin)");
        return PGDBM_ERR_TRANSACTION;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__run_check_counts(struct pgdbm__request *request, pgdbm_error *err)
{
    for (size_t i = 0; i < request->n_sets; i++) {
        if (request->sets[i].count == request->statement->n_params)
            continue;
        pgdbm__fail(err, PGDBM_ERR_TYPE, "the statement has %zu parameter%s, %zu given%s", request->statement->n_params,
                    request->statement->n_params == 1 ? "" : "s", request->sets[i].count,
                    request->n_sets > 1 ? " in a set" : "");
        pgdbm__error_hint(err, "give one value for each of $1 ... $%zu", request->statement->n_params);
        pgdbm__error_statement(err, request->statement->text);
        request->commands_complete = i;
        return PGDBM_ERR_TYPE;
    }
    return PGDBM_OK;
}

/* Learns the statement's types, the first time anybody uses it: asks for them, or what those of users are. */
static pgdbm_status learn(struct pgdbm_pool *pool, struct pgdbm__session *session, enum pgdbm__request_kind kind,
                          int64_t deadline, struct pgdbm__request *outcome)
{
    struct pgdbm__request request = {.kind = kind,
                                     .statement = outcome->statement,
                                     .catalog = pool->catalog,
                                     .context = outcome->context,
                                     .make_stand_in = outcome->make_stand_in,
                                     .drop_stand_in = outcome->drop_stand_in};
    (void)pgdbm__session_perform(session, &request, deadline);
    if (kind == PGDBM__REQUEST_DESCRIBE)
        pgdbm__statements_described(pool, session, &request);
    if (request.status == PGDBM_OK)
        return PGDBM_OK;
    if (request.left)
        request.error.outcome = PGDBM_OUTCOME_NOT_SENT; /* it was only looked at */
    outcome->status = request.status;
    outcome->error = request.error;
    outcome->lost = request.lost;
    outcome->left = request.left;
    outcome->gone = request.gone;
    outcome->stale = request.stale;
    outcome->canceled_by_other = request.canceled_by_other;
    return outcome->status;
}

static pgdbm_status make_ready(struct pgdbm_pool *pool, struct pgdbm__session *session, int64_t deadline,
                               struct pgdbm__request *request)
{
    struct pgdbm__statement *statement = request->statement;
    pgdbm_status status = PGDBM_OK;
    if (!atomic_load_explicit(&statement->described, memory_order_acquire))
        status = learn(pool, session, PGDBM__REQUEST_DESCRIBE, deadline, request);
    while (status == PGDBM_OK && !atomic_load_explicit(&statement->ready, memory_order_acquire))
        status = learn(pool, session, PGDBM__REQUEST_LOOKUP, deadline, request);
    return status;
}

void pgdbm__run_mark_effects(bool lease, struct pgdbm__session *session, unsigned effects)
{
    unsigned leaves = PGDBM__EFFECT_SESSION;
    if (lease) /* a function of the user's may do anything; a lease can afford to be cleaned */
        leaves |= PGDBM__EFFECT_FUNCTION;
    if ((effects & leaves) != 0)
        atomic_store_explicit(&session->dirty, true, memory_order_relaxed);
}

/* Says which set it was, before what the server said. */
void pgdbm__run_name_set(const struct pgdbm__request *request, pgdbm_error *err)
{
    char detail[sizeof err->detail];
    if (request->commands_complete >= request->n_sets ||
        (err->status != PGDBM_ERR_QUERY && err->status != PGDBM_ERR_TYPE))
        return;
    memcpy(detail, err->detail, sizeof detail);
    pgdbm__error_detail(err, "in set %zu of %zu; nothing of the call remains%s%.400s", request->commands_complete + 1,
                        request->n_sets, detail[0] != '\0' ? ". " : "", detail);
}

/* Whether it may share a Sync with others: it only reads, and it is quick, so that nobody waits long for its answer. */
bool pgdbm__run_may_share(const struct pgdbm_pool *pool, const struct pgdbm__statement *statement)
{
    int64_t service = atomic_load_explicit(&statement->service_ns, memory_order_relaxed);
    return statement->effects == 0 && service > 0 && service < PGDBM__MS &&
           atomic_load_explicit(&pool->may_share_sync, memory_order_relaxed);
}

/* What an answer tells about its statement's time. */
void pgdbm__run_measured(struct pgdbm__request *request)
{
    if (request->kind == PGDBM__REQUEST_EXECUTE && !request->skipped && !request->lost && request->n_sets == 1 &&
        request->service_ns != PGDBM__SERVICE_UNKNOWN)
        pgdbm__statement_measured(request->statement, request->service_ns);
}

static bool is_ready(const struct pgdbm__statement *statement)
{
    return atomic_load_explicit(&statement->ready, memory_order_acquire);
}

static pgdbm_status refuse_portal(const struct pgdbm__statement *statement, pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_QUERY, "the statement returns no rows: there is nothing for a cursor to read");
    pgdbm__error_hint(err, "use pgdbm_execute, or let the statement return something (RETURNING)");
    pgdbm__error_statement(err, statement->text);
    return PGDBM_ERR_QUERY;
}

static pgdbm_status perform_on(const struct pgdbm__run *run, struct pgdbm__session *session,
                               struct pgdbm__request *request)
{
    struct pgdbm__statement *statement = request->statement;
    pgdbm__run_mark_effects(run->lease != NULL, session, statement->effects);
    if (!is_ready(statement) && make_ready(run->pool, session, run->deadline, request) != PGDBM_OK)
        return request->status;
    if (request->kind == PGDBM__REQUEST_DESCRIBE)
        return request->status = PGDBM_OK;
    request->status = pgdbm__run_check_counts(request, &request->error);
    if (request->status == PGDBM_OK && request->max_rows > 0 && statement->description == NULL)
        request->status = refuse_portal(statement, &request->error);
    if (request->status == PGDBM_OK && request->rows == PGDBM__ROWS_STRUCTS)
        request->status = pgdbm__structs_new(statement->description, request->shape, &request->result, &request->error);
    if (request->status == PGDBM_OK)
        request->status = pgdbm__session_perform(session, request, run->deadline);
    if (request->status != PGDBM_OK) { /* also what was made before it could be sent */
        pgdbm_result_free(request->result);
        request->result = NULL;
    }
    if (!request->left)
        pgdbm__run_measured(request);
    return request->status;
}

/* Whether its transaction is as it was before the request: nothing reached it, or it was guarded. */
static bool left_no_trace(const struct pgdbm__run *run, const struct pgdbm__request *request)
{
    struct pgdbm__session *session = &run->lease->session;
    if (request->guarded && request->guard_set && !request->bound)
        return pgdbm__session_undo_guarded(session, run->deadline, NULL) == PGDBM_OK;
    return atomic_load(&session->transaction_status) == 'T';
}

/* In a transaction that goes on a thread's statement can be asked again as outside of one: nothing came behind it. */
static bool asks_again(const struct pgdbm__run *run, const struct pgdbm__request *request, char transaction_before)
{
    bool goes_on = transaction_before == 'T' && atomic_load(&run->lease->session.transaction_status) == 'T';
    return pgdbm__run_should_ask_again(request, goes_on ? 'I' : transaction_before);
}

static bool is_late(const struct pgdbm__run *run)
{
    return run->deadline != PGDBM__NEVER && pgdbm__now_ns() >= run->deadline;
}

static bool may_repeat(const struct pgdbm__run *run, const struct pgdbm__request *request, char transaction_before)
{
    if (request->row_seen || request->left || is_late(run))
        return false;
    if (request->lost) {
        if (run->lease != NULL)
            return false;
        return request->error.outcome != PGDBM_OUTCOME_UNKNOWN || run->idempotent;
    }
    if (request->error.outcome == PGDBM_OUTCOME_DONE) /* it ran; what came could not be read */
        return asks_again(run, request, transaction_before);
    if (transaction_before == 'I')
        return request->gone || request->stale || request->canceled_by_other || request->skipped;
    return transaction_before == 'T' && (request->gone || request->stale) && left_no_trace(run, request);
}

/* An answer in another shape than asked for may have values that cannot be read. A statement that only reads is asked
 * again. */
bool pgdbm__run_should_ask_again(const struct pgdbm__request *request, char transaction_before)
{
    unsigned changing = PGDBM__EFFECT_WRITE | PGDBM__EFFECT_FUNCTION | PGDBM__EFFECT_SESSION;
    return request->stale && !request->row_seen && transaction_before == 'I' &&
           (request->statement->effects & changing) == 0;
}

/* It is asked for again. */
static void clear_answer(struct pgdbm__request *request)
{
    pgdbm_result_free(request->result);
    pgdbm__statement_unref(request->statement);
    request->result = NULL;
    request->statement = NULL;
    request->affected = 0;
    request->commands_complete = 0;
    request->lost = request->gone = request->stale = request->canceled_by_other = request->skipped = false;
    request->suspended = false;
    request->guarded = request->guard_set = request->bound = false;
    request->parse_sent = request->parse_complete = request->cancel_possible = request->leads = false;
    request->timed_out = request->stopped = request->row_seen = request->left = false;
    request->result_bytes = request->answer_bytes = 0;
    request->queued_ns = request->service_ns = 0;
}

/* One attempt on one session. *repeat says whether another one is called for. */
static pgdbm_status attempt(const struct pgdbm__run *run, struct pgdbm__request *request, bool *repeat,
                            pgdbm_error *err)
{
    *repeat = false;
    struct pgdbm__member *member = run->lease;
    unsigned effects = request->statement->effects;
    struct pgdbm__need need = {
        .lease = run->take_lease || (run->lease == NULL && (effects & PGDBM__EFFECT_SESSION) != 0),
        .account = run->account,
        .spot = run->spot,
        .statement = request->statement,
        .since = run->now,
        .deadline = run->acquire_deadline,
    };
    if (member == NULL) {
        pgdbm_status status = pgdbm__pool_acquire(run->pool, &need, &member, err);
        if (status != PGDBM_OK)
            return status;
    } else {
        pgdbm__lease_quiesce(run->pool, member);
        atomic_store_explicit(&member->owner, pgdbm__thread_token(), memory_order_relaxed);
    }
    request->may_share_sync =
        run->lease == NULL && !need.lease && pgdbm__run_may_share(run->pool, request->statement) && !request->repeated;
    request->may_guard = run->lease != NULL;
    request->max_result_bytes = (size_t)run->pool->config->values.max_result_bytes;
    struct pgdbm__stay stay = {run->pool, member, &need};
    request->make_stand_in = NULL;
    if (run->lease == NULL && !need.lease) { /* it does not stream, so the context is free */
        request->context = &stay;
        request->make_stand_in = pgdbm__left_make;
        request->drop_stand_in = pgdbm__left_drop;
    }
    char transaction_before = run->lease != NULL ? atomic_load(&member->session.transaction_status) : 'I';
    pgdbm_status status = perform_on(run, &member->session, request);
    if (status != PGDBM_OK || request->stale) {
        if (request->stale || request->gone)
            pgdbm__statements_forget(run->pool, request->statement, request->stale);
        *repeat = status != PGDBM_OK ? may_repeat(run, request, transaction_before)
                                     : asks_again(run, request, transaction_before);
        bool neighbours = request->canceled_by_other || request->skipped;
        if (!*repeat && neighbours && transaction_before == 'I' && is_late(run)) {
            pgdbm__request_fail_late(request); /* no time is left to ask again, and it is not to blame */
            status = request->status = request->error.status;
        }
        if (status != PGDBM_OK)
            *err = request->error;
    }
    if (run->lease == NULL && !request->left) /* else its stand-in has it */
        pgdbm__pool_release(run->pool, member, &need);
    return status;
}

pgdbm_status pgdbm__pool_run(const struct pgdbm__run *run, struct pgdbm__request *request, pgdbm_error *err)
{
    pgdbm_error failure; /* the caller's is written at the end: a failure that a repetition mends is none */
    pgdbm_status status = pgdbm__pool_ours(run->pool, err);
    if (status != PGDBM_OK)
        return status;
    bool repeat = true;
    bool again = false;
    bool doubtful = false; /* an attempt may have taken effect: no later failure can say otherwise */
    for (int repeats = 0; repeat && repeats <= PGDBM__REPEATS;
         repeats += !request->canceled_by_other && !request->skipped) {
        if (again)
            clear_answer(request);
        status = repeats < PGDBM__OWN_STATEMENT
                     ? pgdbm__statements_find(run->pool, run->schema, run->sql, &request->statement, &failure)
                     : pgdbm__statements_make(run->pool, run->schema, run->sql, &request->statement, &failure);
        if (status != PGDBM_OK)
            break;
        status = pgdbm__run_refuse(run->raw, request->statement->effects, &failure);
        request->repeated = again;
        if (again)
            atomic_fetch_add_explicit(&run->pool->statements_repeated, 1, memory_order_relaxed);
        repeat = false;
        again = true;
        bool known = request->kind == PGDBM__REQUEST_DESCRIBE && is_ready(request->statement);
        if (status == PGDBM_OK && !known)
            status = attempt(run, request, &repeat, &failure);
        doubtful = doubtful || (repeat && status != PGDBM_OK && failure.outcome == PGDBM_OUTCOME_UNKNOWN);
        if (request->kind == PGDBM__REQUEST_DESCRIBE && status == PGDBM_OK)
            break; /* the statement is what was asked for */
    }
    atomic_fetch_add_explicit(&run->pool->statements, 1, memory_order_relaxed);
    if (status != PGDBM_OK && doubtful && failure.outcome != PGDBM_OUTCOME_DONE)
        failure.outcome = PGDBM_OUTCOME_UNKNOWN;
    if (status != PGDBM_OK) {
        atomic_fetch_add_explicit(&run->pool->statements_failed, 1, memory_order_relaxed);
        if (err != NULL)
            *err = failure;
    }
    if (pgdbm__is_observed(&run->pool->observers))
        pgdbm__observe_run(run, request, status, &failure);
    if (request->kind != PGDBM__REQUEST_DESCRIBE || status != PGDBM_OK) {
        pgdbm__statement_unref(request->statement);
        request->statement = NULL;
    }
    return status;
}

pgdbm_status pgdbm__pool_describe(const struct pgdbm__run *run, struct pgdbm__statement **statement, pgdbm_error *err)
{
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_DESCRIBE};
    pgdbm_status status = pgdbm__pool_run(run, &request, err);
    *statement = request.statement;
    return status;
}
