/* SPDX-License-Identifier: MIT */
/* Walkers in transactions and pinned sessions. Everything here runs where the pool's callbacks run. */
#include "async/storm.h"

/* Submits a statement about one number, which somebody may cancel. */
static struct storm_call *ask(struct storm_walker *walker, pgdbm_db *db, const char *sql, int64_t id,
                              void (*then)(struct storm_call *call, const pgdbm_outcome *outcome))
{
    pgdbm_error err;
    pgdbm_request *request = NULL;
    pgdbm_call options = storm_some_call(&walker->random);
    struct storm_call *call = storm_call(walker, id, then);
    if (call == NULL)
        return NULL;
    bool handle = storm_random(&walker->random, 3) == 0;
    pgdbm_status status =
        pgdbm_submit_with(db, &options, sql, pgdbm_args(id), storm_answered, call, handle ? &request : NULL, &err);
    if (request != NULL)
        storm_offer(request);
    (void)storm_submitted(call, status, &err);
    return call;
}

static bool was_refused(const struct storm_call *call)
{
    return call == NULL || call->fate == FATE_UNDONE;
}

/* --- transactions: all of it is submitted without waiting --- */

static void row_of_many(struct storm_call *call, const pgdbm_outcome *outcome)
{
    (void)call;
    (void)outcome;
}

static void insert_on(struct storm_walker *walker, pgdbm_db *db)
{
    int64_t id = storm_row();
    struct storm_call *call = id != 0 ? ask(walker, db, STORM_INSERT, id, row_of_many) : NULL;
    if (call != NULL)
        walker->rows[walker->n_rows++] = call;
    else if (id != 0)
        storm_settle(id, FATE_UNDONE);
}

static void settle_rows(struct storm_walker *walker, enum storm_fate end)
{
    for (size_t i = 0; i < walker->n_rows; i++) {
        struct storm_call *row = walker->rows[i];
        if (atomic_load(&row->state) == CALL_SUBMITTED) {
            storm_complain("a transaction has ended before a statement of it");
            return;
        }
        enum storm_fate around = i >= walker->first_inner ? storm_both(walker->inner_fate, end) : end;
        storm_settle(row->id, storm_both(row->fate, around));
    }
    walker->n_rows = 0;
}

static void transaction_ended(struct storm_call *call, const pgdbm_outcome *outcome)
{
    (void)outcome;
    settle_rows(call->walker, call->walker->commits ? call->fate : FATE_UNDONE);
    storm_walk(call->walker);
}

static void end_transaction(struct storm_walker *walker)
{
    pgdbm_error err;
    pgdbm_db *tx = walker->tx;
    struct storm_call *call = storm_call(walker, 0, transaction_ended);
    walker->commits = storm_random(&walker->random, 5) != 0;
    if (call != NULL && storm_submitted(call,
                                        walker->commits ? pgdbm_commit_async(tx, storm_answered, call, &err)
                                                        : pgdbm_rollback_async(tx, storm_answered, call, &err),
                                        &err))
        return;
    pgdbm_close(tx); /* waits for what was submitted on it */
    for (size_t i = 0; i < walker->n_rows; i++)
        storm_settle(walker->rows[i]->id, FATE_UNDONE);
    walker->n_rows = 0;
    storm_rest();
}

static void savepoint_ended(struct storm_call *call, const pgdbm_outcome *outcome)
{
    (void)outcome;
    call->walker->inner_fate = call->walker->inner_commits ? call->fate : FATE_UNDONE;
    end_transaction(call->walker);
}

static void savepoint_begun(struct storm_call *call, const pgdbm_outcome *outcome)
{
    struct storm_walker *walker = call->walker;
    pgdbm_error err;
    walker->first_inner = walker->n_rows;
    walker->inner_fate = FATE_UNDONE;
    if (outcome->status != PGDBM_OK) {
        end_transaction(walker);
        return;
    }
    insert_on(walker, outcome->db);
    struct storm_call *end = storm_call(walker, 0, savepoint_ended);
    walker->inner_commits = storm_random(&walker->random, 3) != 0;
    if (end != NULL &&
        storm_submitted(end,
                        walker->inner_commits ? pgdbm_commit_async(outcome->db, storm_answered, end, &err)
                                              : pgdbm_rollback_async(outcome->db, storm_answered, end, &err),
                        &err))
        return;
    pgdbm_close(outcome->db);
    end_transaction(walker);
}

static void transaction_begun(struct storm_call *call, const pgdbm_outcome *outcome)
{
    struct storm_walker *walker = call->walker;
    pgdbm_error err;
    if (outcome->status != PGDBM_OK) {
        storm_walk(walker);
        return;
    }
    walker->tx = outcome->db;
    walker->n_rows = 0;
    walker->first_inner = SIZE_MAX;
    for (size_t rows = 1 + storm_random(&walker->random, 3); rows > 0; rows--)
        insert_on(walker, walker->tx);
    struct storm_call *inner = storm_random(&walker->random, 3) == 0 ? storm_call(walker, 0, savepoint_begun) : NULL;
    if (inner == NULL ||
        !storm_submitted(inner, pgdbm_begin_async(walker->tx, NULL, storm_answered, inner, &err), &err))
        end_transaction(walker);
}

bool storm_transaction(struct storm_walker *walker)
{
    pgdbm_error err;
    struct storm_call *call = storm_call(walker, 0, transaction_begun);
    return call != NULL && storm_submitted(call, pgdbm_begin_async(storm.db, NULL, storm_answered, call, &err), &err);
}

/* A session of its own: two statements in order; given back while the second may be under way. */
static void pinned(struct storm_call *call, const pgdbm_outcome *outcome)
{
    if (outcome->status == PGDBM_OK) {
        (void)ask(call->walker, outcome->db, "SELECT $1::int8", 1, row_of_many);
        (void)ask(call->walker, outcome->db, "SELECT $1::int8 FROM pg_sleep(0.001)", 2, row_of_many);
        pgdbm_close(outcome->db);
    }
    storm_walk(call->walker);
}

bool storm_pin(struct storm_walker *walker)
{
    pgdbm_error err;
    struct storm_call *call = storm_call(walker, 0, pinned);
    return call != NULL && storm_submitted(call, pgdbm_pin_async(storm.db, storm_answered, call, &err), &err);
}

/* --- transactions that are repeated --- */

static void finish_body(struct storm_walker *walker)
{
    pgdbm_transaction_finish(walker->transaction, walker->body_status,
                             walker->body_status != PGDBM_OK ? &walker->body_error : NULL);
}

static void body_statement_done(struct storm_call *call, const pgdbm_outcome *outcome)
{
    struct storm_walker *walker = call->walker;
    if (outcome->status != PGDBM_OK && walker->body_status == PGDBM_OK) {
        walker->body_status = outcome->status;
        walker->body_error = *outcome->error;
    }
    if (--walker->pending == 0)
        finish_body(walker);
}

static void body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    struct storm_walker *walker = ((struct storm_call *)context)->walker;
    walker->transaction = transaction;
    walker->body_status = PGDBM_OK;
    walker->pending = 2;
    struct storm_call *row = ask(walker, tx, STORM_INSERT, walker->id, body_statement_done);
    struct storm_call *hot = ask(walker, tx, STORM_HOT_UPDATE, walker->hot, body_statement_done);
    size_t refused = (size_t)was_refused(row) + (size_t)was_refused(hot);
    if (refused == 0)
        return;
    walker->body_status = PGDBM_ERR_POOL;
    memset(&walker->body_error, 0, sizeof walker->body_error);
    walker->body_error.status = PGDBM_ERR_POOL;
    walker->pending -= refused;
    if (walker->pending == 0)
        finish_body(walker);
}

static void transact_done(struct storm_call *call, const pgdbm_outcome *outcome)
{
    (void)outcome;
    storm_settle(call->walker->id, call->fate);
    atomic_fetch_add(&storm.hot_done, call->fate == FATE_DONE);
    atomic_fetch_add(&storm.hot_unclear, call->fate == FATE_UNCLEAR);
    storm_walk(call->walker);
}

bool storm_transact(struct storm_walker *walker)
{
    pgdbm_error err;
    struct storm_call *call = storm_call(walker, 0, transact_done);
    int64_t id = call != NULL ? storm_row() : 0;
    if (id == 0)
        return false;
    walker->id = id;
    walker->hot = (int64_t)storm_random(&walker->random, STORM_HOT);
    const pgdbm_tx_options options = {.isolation = PGDBM_SERIALIZABLE, .retry_delay_ms = 1};
    bool submitted =
        storm_submitted(call, pgdbm_transact_async(storm.db, &options, body, storm_answered, call, &err), &err);
    if (!submitted)
        storm_settle(id, FATE_UNDONE);
    return submitted;
}
