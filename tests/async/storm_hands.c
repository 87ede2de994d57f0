/* SPDX-License-Identifier: MIT */
/* Hands that block: verbs, transactions, pinned sessions, streams and batches, each in a thread that waits. */
#include "async/storm.h"

/* Writes a row, and reads back which. */
static enum storm_fate write_row(uint64_t *random, pgdbm_db *db, int64_t id)
{
    pgdbm_error err;
    int64_t number = 0;
    pgdbm_call call = storm_some_call(random);
    pgdbm_status status = pgdbm_fetch_value_int64_with(db, &call, STORM_INSERT, pgdbm_args(id), &number, &err);
    if (status == PGDBM_OK && number != id)
        storm_complain("a thread that wrote row %lld was given %lld", (long long)id, (long long)number);
    return storm_fate_of(status, &err, "a verb");
}

static void insert(uint64_t *random)
{
    int64_t id = storm_row();
    if (id != 0)
        storm_settle(id, write_row(random, storm.db, id));
}

static void echo(uint64_t *random)
{
    pgdbm_error err;
    int64_t number = 1 + (int64_t)storm_random(random, 1 << 30);
    int64_t answer = 0;
    pgdbm_call call = storm_some_call(random);
    const char *sql = storm_random(random, 3) > 0 ? "SELECT $1::int8" : "SELECT $1::int8 FROM pg_sleep(0.003)";
    pgdbm_status status = pgdbm_fetch_value_int64_with(storm.db, &call, sql, pgdbm_args(number), &answer, &err);
    (void)storm_fate_of(status, &err, "a verb");
    if (status == PGDBM_OK && answer != number)
        storm_complain("a thread that asked for %lld was given %lld", (long long)number, (long long)answer);
}

static void many(uint64_t *random)
{
    pgdbm_error err;
    int64_t ids[] = {storm_row(), storm_row()};
    if (ids[1] == 0)
        return;
    int64_t affected = 0;
    pgdbm_call call = storm_some_call(random);
    const pgdbm_params sets[] = {pgdbm_args(ids[0]), pgdbm_args(ids[1])};
    pgdbm_status status =
        pgdbm_execute_many_with(storm.db, &call, "INSERT INTO ledger VALUES ($1)", sets, 2, &affected, &err);
    enum storm_fate fate = storm_fate_of(status, &err, "pgdbm_execute_many");
    if (status == PGDBM_OK && affected != 2)
        storm_complain("two rows, and %lld affected", (long long)affected);
    storm_settle(ids[0], fate);
    storm_settle(ids[1], fate);
}

/* One row in a savepoint of `tx`. */
static enum storm_fate in_savepoint(uint64_t *random, pgdbm_db *tx, int64_t id)
{
    pgdbm_error err;
    pgdbm_db *inner = NULL;
    pgdbm_status status = pgdbm_begin(tx, NULL, &inner, &err);
    if (status != PGDBM_OK) {
        (void)storm_fate_of(status, &err, "pgdbm_begin");
        return FATE_UNDONE;
    }
    enum storm_fate fate = write_row(random, inner, id);
    if (storm_random(random, 3) == 0) {
        (void)pgdbm_rollback(inner, NULL);
        return FATE_UNDONE;
    }
    status = pgdbm_commit(inner, &err);
    return storm_both(fate, storm_fate_of(status, &err, "pgdbm_commit of a savepoint"));
}

static void transaction(uint64_t *random)
{
    pgdbm_error err;
    pgdbm_db *tx = NULL;
    int64_t ids[] = {storm_row(), storm_row()};
    if (ids[1] == 0)
        return;
    pgdbm_status status = pgdbm_begin(storm.db, NULL, &tx, &err);
    enum storm_fate end = storm_fate_of(status, &err, "pgdbm_begin");
    enum storm_fate fates[] = {FATE_UNDONE, FATE_UNDONE};
    if (status == PGDBM_OK) {
        fates[0] = write_row(random, tx, ids[0]);
        fates[1] = in_savepoint(random, tx, ids[1]);
        if (storm_random(random, 5) == 0) {
            (void)pgdbm_rollback(tx, NULL);
            end = FATE_UNDONE;
        } else
            end = storm_fate_of(pgdbm_commit(tx, &err), &err, "pgdbm_commit");
    }
    storm_settle(ids[0], storm_both(fates[0], end));
    storm_settle(ids[1], storm_both(fates[1], end));
}

struct body {
    int64_t id, hot;
};

static pgdbm_status run_body(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    const struct body *body = context;
    pgdbm_status status = pgdbm_execute(tx, STORM_INSERT, pgdbm_args(body->id), NULL, err);
    return status == PGDBM_OK ? pgdbm_execute(tx, STORM_HOT_UPDATE, pgdbm_args(body->hot), NULL, err) : status;
}

static void transact(uint64_t *random)
{
    pgdbm_error err;
    struct body body = {.id = storm_row(), .hot = (int64_t)storm_random(random, STORM_HOT)};
    const pgdbm_tx_options options = {.isolation = PGDBM_SERIALIZABLE, .retry_delay_ms = 1};
    if (body.id == 0)
        return;
    enum storm_fate fate =
        storm_fate_of(pgdbm_transact(storm.db, &options, run_body, &body, &err), &err, "pgdbm_transact");
    storm_settle(body.id, fate);
    atomic_fetch_add(&storm.hot_done, fate == FATE_DONE);
    atomic_fetch_add(&storm.hot_unclear, fate == FATE_UNCLEAR);
}

static void pin(uint64_t *random)
{
    pgdbm_error err;
    pgdbm_db *session = NULL;
    if (storm_fate_of(pgdbm_pin(storm.db, &session, &err), &err, "pgdbm_pin") != FATE_DONE)
        return;
    pgdbm_status status = pgdbm_execute(session, "SET search_path = nowhere", pgdbm_no_args, NULL, &err);
    (void)storm_fate_of(status, &err, "a statement of a pinned session");
    int64_t number = 1 + (int64_t)storm_random(random, 1 << 30);
    int64_t answer = 0;
    status = pgdbm_fetch_value(session, "SELECT $1::int8", pgdbm_args(number), &answer, &err);
    if (storm_fate_of(status, &err, "a statement of a pinned session") == FATE_DONE && status == PGDBM_OK &&
        answer != number)
        storm_complain("a pinned session was asked for %lld, and gave %lld", (long long)number, (long long)answer);
    pgdbm_close(session);
}

struct listener_of_rows {
    int64_t expected, last;
};

static bool on_row(const pgdbm_result *row, void *context)
{
    struct listener_of_rows *rows = context;
    int64_t number = 0;
    if (pgdbm_get_int64_at(row, 0, 0, &number, NULL) != PGDBM_OK || number != rows->expected)
        storm_complain("a stream came to %lld with %lld", (long long)rows->expected, (long long)number);
    return ++rows->expected <= rows->last;
}

static void stream(uint64_t *random)
{
    pgdbm_error err;
    struct listener_of_rows rows = {.expected = 1, .last = 1 + (int64_t)storm_random(random, 400)};
    pgdbm_status status =
        pgdbm_stream(storm.db, "SELECT generate_series(1, $1::int8)", pgdbm_args(200), on_row, &rows, &err);
    (void)storm_fate_of(status, &err, "pgdbm_stream");
    if (status == PGDBM_OK && rows.expected != (rows.last < 200 ? rows.last : 200) + 1)
        storm_complain("a stream of 200 rows that was to stop after %lld ended before %lld", (long long)rows.last,
                       (long long)rows.expected);
}

static void batch(uint64_t *random)
{
    pgdbm_error err;
    pgdbm_batch *made = NULL;
    int64_t ids[] = {storm_row(), storm_row(), storm_row()};
    bool independent = storm_random(random, 2) == 0;
    const pgdbm_batch_options options = {.independent = independent, .timeout_ms = storm_some_call(random).timeout_ms};
    if (ids[2] == 0)
        return;
    pgdbm_status status = pgdbm_batch_new(storm.db, &options, &made, &err);
    for (int i = 0; i < 3 && status == PGDBM_OK; i++)
        status = pgdbm_batch_add(made, STORM_INSERT, pgdbm_args(ids[i]), &err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_run(made, &err);
    enum storm_fate fate = storm_fate_of(status, &err, "pgdbm_batch_run");
    for (size_t i = 0; i < 3; i++) {
        int64_t number = 0;
        pgdbm_result *result = pgdbm_batch_result(made, i);
        const pgdbm_error *own = pgdbm_batch_error(made, i);
        if (result != NULL && (pgdbm_get_int64_at(result, 0, 0, &number, NULL) != PGDBM_OK || number != ids[i]))
            storm_complain("statement %zu of a batch has the row of another one", i);
        if (independent && status != PGDBM_OK && result != NULL)
            storm_settle(ids[i], FATE_DONE);
        else if (independent && own != NULL)
            storm_settle(ids[i], storm_fate_of(own->status, own, "a statement of a batch"));
        else
            storm_settle(ids[i], fate);
    }
    pgdbm_batch_free(made);
}

void storm_hand_blocks(struct crew_hand *hand)
{
    static void (*const acts[])(uint64_t * random) = {insert,   insert, echo,   echo,  many, transaction,
                                                      transact, pin,    stream, batch, batch};
    uint64_t random = storm.seed + 1000 + hand->number;
    while (!atomic_load(&storm.stop) && !atomic_load(&storm.closed)) {
        acts[storm_random(&random, sizeof acts / sizeof *acts)](&random);
        if (atomic_load(&storm.closing))
            usleep(500); /* it is refused at once from now on */
    }
}
