/* SPDX-License-Identifier: MIT */
/* Walkers: chains of callbacks. Everything here runs where the pool's callbacks run, but for each walker's first step. */
#include "async/storm.h"

typedef void (*storm_then)(struct storm_call *call, const pgdbm_outcome *outcome);

static void rest_for_ever(void)
{
    atomic_fetch_sub(&storm.walking, 1);
}

static pgdbm_call some_call(struct storm_walker *walker)
{
    bool limited = storm_random(&walker->random, 4) == 0;
    return (pgdbm_call){.timeout_ms = limited ? 1 + (int)storm_random(&walker->random, 15) : 0};
}

/* Submits a statement about one number, which somebody may cancel. */
static struct storm_call *ask(struct storm_walker *walker, pgdbm_db *db, const char *sql, int64_t id, storm_then then)
{
    pgdbm_error err;
    pgdbm_request *request = NULL;
    pgdbm_call options = some_call(walker);
    struct storm_call *call = storm_call(walker, id, then);
    if (call == NULL)
        return NULL;
    bool handle = storm_random(&walker->random, 3) == 0;
    pgdbm_status status =
        pgdbm_submit_with(db, &options, sql, pgdbm_args(id), storm_answered, call, handle ? &request : NULL, &err);
    if (request != NULL)
        storm_offer(&walker->random, request);
    (void)storm_submitted(call, status, &err);
    return call;
}

static bool was_refused(const struct storm_call *call)
{
    return call == NULL || call->fate == FATE_UNDONE;
}

/* --- one statement --- */

static void row_done(struct storm_call *call, const pgdbm_outcome *outcome)
{
    (void)outcome;
    storm_settle(call->id, call->fate);
    storm_walk(call->walker);
}

static void just_done(struct storm_call *call, const pgdbm_outcome *outcome)
{
    (void)outcome;
    storm_walk(call->walker);
}

static bool insert(struct storm_walker *walker)
{
    int64_t id = storm_row();
    pgdbm_error err;
    pgdbm_request *request = NULL;
    pgdbm_call options = some_call(walker);
    struct storm_call *call = id != 0 ? storm_call(walker, id, row_done) : NULL;
    if (call == NULL) {
        if (id != 0)
            storm_settle(id, FATE_UNDONE);
        return false;
    }
    bool submitted = storm_submitted(
        call, pgdbm_submit_with(storm.db, &options, STORM_INSERT, pgdbm_args(id), storm_answered, call, &request, &err),
        &err);
    storm_offer(&walker->random, request);
    if (!submitted)
        storm_settle(id, FATE_UNDONE);
    return submitted;
}

/* The answer tells it from all others; sometimes it takes long enough to be cancelled on the server. */
static bool echo(struct storm_walker *walker)
{
    static const char *const texts[] = {"SELECT $1::int8", "SELECT $1::int8 FROM pg_sleep(0.02)",
                                        "SELECT $1::int8 + 0 AS n", "SELECT $1::int8 FROM pg_sleep(0.002)"};
    int64_t number = 1 + (int64_t)storm_random(&walker->random, 1 << 30);
    struct storm_call *call = storm_call(walker, number, just_done);
    pgdbm_error err;
    pgdbm_request *request = NULL;
    pgdbm_call options = some_call(walker);
    if (call == NULL)
        return false;
    pgdbm_status status = pgdbm_submit_with(storm.db, &options, texts[storm_random(&walker->random, 4)],
                                            pgdbm_args(number), storm_answered, call, &request, &err);
    storm_offer(&walker->random, request);
    return storm_submitted(call, status, &err);
}

static pgdbm_status work(void *context, pgdbm_error *err)
{
    (void)context;
    (void)err;
    return PGDBM_OK;
}

/* Things without rows. */
static bool other(struct storm_walker *walker)
{
    pgdbm_error err;
    struct storm_call *call = storm_call(walker, 0, just_done);
    if (call == NULL)
        return false;
    switch (storm_random(&walker->random, 3)) {
    case 0:
        return storm_submitted(call, pgdbm_offload(storm.pool, work, NULL, storm_answered, call, &err), &err);
    case 1:
        return storm_submitted(
            call, pgdbm_execute_async(storm.db, "SET work_mem = '5MB'", pgdbm_no_args, storm_answered, call, &err),
            &err);
    default:
        return storm_submitted(call, pgdbm_notify_async(storm.db, "storm", "storm", storm_answered, call, &err), &err);
    }
}

/* --- several rows at once: `id` is the first of three --- */

static bool settle_three(int64_t first, enum storm_fate fate)
{
    for (int64_t id = first; id < first + 3; id++)
        storm_settle(id, fate);
    return false;
}

static int64_t three_rows(void)
{
    size_t first = atomic_fetch_add(&storm.n_rows, 3) + 1;
    return first + 3 < STORM_ROWS ? (int64_t)first : 0;
}

static void many_done(struct storm_call *call, const pgdbm_outcome *outcome)
{
    if (outcome->status == PGDBM_OK && outcome->affected != 3)
        storm_complain("three rows, and %lld affected", (long long)outcome->affected);
    (void)settle_three(call->id, call->fate);
    storm_walk(call->walker);
}

static void independent_done(struct storm_call *call, const pgdbm_outcome *outcome)
{
    for (size_t i = 0; i < 3; i++) {
        int64_t number = 0;
        const pgdbm_result *result = outcome->n_results == 3 ? outcome->results[i] : NULL;
        if (result != NULL &&
            (pgdbm_get_int64_at(result, 0, 0, &number, NULL) != PGDBM_OK || number != call->id + (int64_t)i))
            storm_complain("statement %zu of a batch has the rows of another one", i);
        bool told = i == outcome->failed; /* of the first that failed the outcome says more */
        storm_settle(call->id + (int64_t)i, result != NULL ? FATE_DONE : told ? call->fate : FATE_UNCLEAR);
    }
    storm_walk(call->walker);
}

static bool many(struct storm_walker *walker)
{
    pgdbm_error err;
    int64_t id = three_rows();
    struct storm_call *call = id != 0 ? storm_call(walker, id, many_done) : NULL;
    if (call == NULL)
        return id != 0 && settle_three(id, FATE_UNDONE);
    const pgdbm_params sets[] = {pgdbm_args(id), pgdbm_args(id + 1), pgdbm_args(id + 2)};
    pgdbm_status status =
        pgdbm_execute_many_async(storm.db, "INSERT INTO ledger VALUES ($1)", sets, 3, storm_answered, call, &err);
    if (!storm_submitted(call, status, &err))
        (void)settle_three(id, FATE_UNDONE);
    return status == PGDBM_OK;
}

static bool batch(struct storm_walker *walker)
{
    pgdbm_error err;
    pgdbm_batch *made = NULL;
    pgdbm_request *request = NULL;
    bool independent = storm_random(&walker->random, 2) == 0;
    pgdbm_batch_options options = {.independent = independent, .timeout_ms = some_call(walker).timeout_ms};
    int64_t id = three_rows();
    struct storm_call *call = id != 0 ? storm_call(walker, id, independent ? independent_done : many_done) : NULL;
    if (call == NULL)
        return id != 0 && settle_three(id, FATE_UNDONE);
    pgdbm_status status = pgdbm_batch_new(storm.db, &options, &made, &err);
    for (int i = 0; i < 3 && status == PGDBM_OK; i++)
        status = pgdbm_batch_add(made, STORM_INSERT, pgdbm_args(id + i), &err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_submit(made, storm_answered, call, &request, &err);
    if (status != PGDBM_OK)
        pgdbm_batch_free(made);
    storm_offer(&walker->random, request);
    if (!storm_submitted(call, status, &err))
        (void)settle_three(id, FATE_UNDONE);
    return status == PGDBM_OK;
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
    rest_for_ever();
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

static bool transaction(struct storm_walker *walker)
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

static bool pin(struct storm_walker *walker)
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

static bool transact(struct storm_walker *walker)
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

void storm_walk(struct storm_walker *walker)
{
    static bool (*const steps[])(struct storm_walker * walker) = {insert,      insert,      insert, echo,     echo,
                                                                  echo,        other,       many,   batch,    batch,
                                                                  transaction, transaction, pin,    transact, transact};
    if (atomic_exchange(&storm.close_now, false)) {
        atomic_store(&storm.closing, true);
        pgdbm_pool_close(storm.pool);
        atomic_store(&storm.closed, true);
    }
    if (atomic_load(&storm.stop) || atomic_load(&storm.closed) ||
        !steps[storm_random(&walker->random, sizeof steps / sizeof *steps)](walker))
        rest_for_ever();
}
