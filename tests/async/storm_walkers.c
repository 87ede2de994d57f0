/* SPDX-License-Identifier: MIT */
/* Walkers: chains of callbacks. Everything here runs where the pool's callbacks run, but for each walker's first step. */
#include "async/storm.h"

typedef void (*storm_then)(struct storm_call *call, const pgdbm_outcome *outcome);

void storm_rest(void)
{
    atomic_fetch_sub(&storm.walking, 1);
}

pgdbm_call storm_some_call(uint64_t *random)
{
    bool limited = storm_random(random, 4) == 0;
    return (pgdbm_call){.timeout_ms = limited ? 1 + (int)storm_random(random, 15) : 0};
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
    pgdbm_call options = storm_some_call(&walker->random);
    struct storm_call *call = id != 0 ? storm_call(walker, id, row_done) : NULL;
    if (call == NULL) {
        if (id != 0)
            storm_settle(id, FATE_UNDONE);
        return false;
    }
    bool submitted = storm_submitted(
        call, pgdbm_submit_with(storm.db, &options, STORM_INSERT, pgdbm_args(id), storm_answered, call, &request, &err),
        &err);
    storm_offer(request);
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
    pgdbm_call options = storm_some_call(&walker->random);
    if (call == NULL)
        return false;
    pgdbm_status status = pgdbm_submit_with(storm.db, &options, texts[storm_random(&walker->random, 4)],
                                            pgdbm_args(number), storm_answered, call, &request, &err);
    storm_offer(request);
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
    int64_t id = storm_rows(3);
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
    pgdbm_batch_options options = {.independent = independent,
                                   .timeout_ms = storm_some_call(&walker->random).timeout_ms};
    int64_t id = storm_rows(3);
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
    storm_offer(request);
    if (!storm_submitted(call, status, &err))
        (void)settle_three(id, FATE_UNDONE);
    return status == PGDBM_OK;
}

void storm_walk(struct storm_walker *walker)
{
    static bool (*const steps[])(struct storm_walker * walker) = {insert,
                                                                  insert,
                                                                  insert,
                                                                  echo,
                                                                  echo,
                                                                  echo,
                                                                  other,
                                                                  many,
                                                                  batch,
                                                                  batch,
                                                                  storm_transaction,
                                                                  storm_transaction,
                                                                  storm_pin,
                                                                  storm_transact,
                                                                  storm_transact};
    if (atomic_exchange(&storm.close_now, false)) {
        atomic_store(&storm.closing, true);
        pgdbm_pool_close(storm.pool);
        atomic_store(&storm.closed, true);
    }
    if (atomic_load(&storm.stop) || atomic_load(&storm.closed) ||
        !steps[storm_random(&walker->random, sizeof steps / sizeof *steps)](walker))
        storm_rest();
}
