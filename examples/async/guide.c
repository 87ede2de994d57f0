/* SPDX-License-Identifier: MIT */
/* What docs/async.md shows, as a program that runs: each way of driving, and each kind of request, once. Everything is
 * checked, and the exit status says whether it was as promised. DATABASE_URL says where; the schema is `guide`. */
#include <pgdbm/batch.h>
#include <pgdbm/future.h>
#include <pgdbm/listen.h>
#include <pgdbm/pgdbm.h>
#include <stdio.h>
#include <stdlib.h>

static const char accounts_sql[] = "CREATE TABLE {{tables.accounts}} (id int PRIMARY KEY, balance bigint NOT NULL);\n"
                                   "INSERT INTO {{tables.accounts}} SELECT id, 100 FROM generate_series(1, 10) AS id;";
static const pgdbm_migration_text texts[] = {{"001_accounts.sql", accounts_sql, sizeof accounts_sql - 1}};
static const pgdbm_migrations migrations = {.texts = texts, .n_texts = 1};

static int failures;

static void check(bool fine, const char *what)
{
    printf("%-4s %s\n", fine ? "ok" : "not", what);
    failures += !fine;
}

/* ---- one request ---- */

static int64_t balance;

/* [submit] */
static void on_balance(const pgdbm_outcome *outcome, void *context)
{
    int64_t *balance_of_one = context;
    if (outcome->status != PGDBM_OK)
        fprintf(stderr, "%s\n", outcome->error->message);
    else if (pgdbm_result_rows(outcome->result) == 1)
        (void)pgdbm_get_int64(outcome->result, 0, "balance", balance_of_one, NULL);
}

static pgdbm_status ask(pgdbm_db *db, pgdbm_error *err)
{
    return pgdbm_submit(db, "SELECT balance FROM {{tables.accounts}} WHERE id = $1", pgdbm_args(1), on_balance,
                        &balance, err);
}
/* [/submit] */

static void show_submit(pgdbm_db *db)
{
    pgdbm_error err;
    /* [drive] */
    if (ask(db, &err) == PGDBM_OK)
        while (balance == 0)
            (void)pgdbm_dispatch(pgdbm_pool_of(db), -1); /* until a callback has run */
    /* [/drive] */
    check(balance == 100, "a request and its callback");
}

/* ---- futures ---- */

enum { QUESTIONS = 100 };

/* [futures] */
/* Asks a hundred questions at once and adds the answers up, in about the time that one takes. */
static pgdbm_status add_up(pgdbm_db *db, int64_t *sum, pgdbm_error *err)
{
    pgdbm_future *futures[QUESTIONS] = {NULL};
    pgdbm_status status = PGDBM_OK;
    for (int i = 0; status == PGDBM_OK && i < QUESTIONS; i++) {
        status = pgdbm_future_new(pgdbm_pool_of(db), &futures[i], err);
        if (status == PGDBM_OK)
            status = pgdbm_submit(db, "SELECT $1::bigint AS number", pgdbm_args(i), pgdbm_future_done, futures[i], err);
    }
    for (int i = 0; status == PGDBM_OK && i < QUESTIONS; i++) {
        const pgdbm_outcome *outcome = pgdbm_future_wait(futures[i], -1);
        int64_t number = 0;
        status = outcome->status;
        if (status != PGDBM_OK)
            *err = *outcome->error;
        else
            status = pgdbm_get_int64(outcome->result, 0, "number", &number, err);
        *sum += number;
    }
    for (int i = 0; i < QUESTIONS; i++)
        pgdbm_future_free(futures[i]);
    return status;
}
/* [/futures] */

static void show_futures(pgdbm_db *db)
{
    pgdbm_error err;
    int64_t sum = 0;
    check(add_up(db, &sum, &err) == PGDBM_OK && sum == QUESTIONS * (QUESTIONS - 1) / 2, "futures");
}

/* ---- batches ---- */

static int64_t accounts;

/* [batch] */
static void on_batch(const pgdbm_outcome *outcome, void *context)
{
    int64_t *count = context;
    if (outcome->status == PGDBM_OK)
        (void)pgdbm_get_int64(outcome->results[2], 0, 0, count, NULL);
    else
        fprintf(stderr, "statement %zu: %s\n", outcome->failed, outcome->error->message);
}

/* Three statements, one round trip, one transaction. */
static pgdbm_status submit_batch(pgdbm_db *db, pgdbm_error *err)
{
    static const char change[] = "UPDATE {{tables.accounts}} SET balance = balance + $1 WHERE id = $2";
    pgdbm_batch *batch = NULL;
    pgdbm_status status = pgdbm_batch_new(db, NULL, &batch, err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_add(batch, change, pgdbm_args(-10, 2), err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_add(batch, change, pgdbm_args(10, 3), err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_add(batch, "SELECT count(*) FROM {{tables.accounts}}", pgdbm_no_args, err);
    if (status == PGDBM_OK)
        status = pgdbm_batch_submit(batch, on_batch, &accounts, NULL, err);
    if (status != PGDBM_OK)
        pgdbm_batch_free(batch);
    return status;
}
/* [/batch] */

static void show_batch(pgdbm_db *db)
{
    pgdbm_error err;
    if (submit_batch(db, &err) == PGDBM_OK)
        (void)pgdbm_dispatch(pgdbm_pool_of(db), -1);
    check(accounts == 10, "a batch");
}

/* ---- transactions ---- */

/* [transact] */
struct transfer {
    int from, to, amount;
    pgdbm_transaction *transaction;
    pgdbm_error err;     /* of this attempt, when it has failed */
    pgdbm_status status; /* of the whole */
    bool done;
};

static void on_taken(const pgdbm_outcome *outcome, void *context)
{
    struct transfer *transfer = context;
    if (outcome->status != PGDBM_OK)
        transfer->err = *outcome->error;
    else if (outcome->affected == 0)
        transfer->err = (pgdbm_error){.status = PGDBM_ERR_QUERY, .message = "there is not enough on the account"};
}

static void on_given(const pgdbm_outcome *outcome, void *context)
{
    struct transfer *transfer = context;
    /* The first error counts: it says whether it makes sense to try again. */
    if (outcome->status != PGDBM_OK && transfer->err.status == PGDBM_OK)
        transfer->err = *outcome->error;
    pgdbm_transaction_finish(transfer->transaction, transfer->err.status, &transfer->err);
}

/* Submits both without waiting for the first: on one transaction they are done, and complete, in this order. */
static void transfer_body(pgdbm_db *tx, pgdbm_transaction *transaction, void *context)
{
    struct transfer *transfer = context;
    transfer->transaction = transaction;
    transfer->err = (pgdbm_error){0};
    pgdbm_status status =
        pgdbm_execute_async(tx, "UPDATE {{tables.accounts}} SET balance = balance - $1 WHERE id = $2 AND balance >= $1",
                            pgdbm_args(transfer->amount, transfer->from), on_taken, transfer, &transfer->err);
    if (status == PGDBM_OK)
        status = pgdbm_execute_async(tx, "UPDATE {{tables.accounts}} SET balance = balance + $1 WHERE id = $2",
                                     pgdbm_args(transfer->amount, transfer->to), on_given, transfer, &transfer->err);
    if (status != PGDBM_OK)
        pgdbm_transaction_finish(transaction, status, &transfer->err); /* on_given will not be called */
}

static void on_transferred(const pgdbm_outcome *outcome, void *context)
{
    struct transfer *transfer = context;
    transfer->status = outcome->status;
    transfer->done = true;
}

static pgdbm_status submit_transfer(pgdbm_db *db, struct transfer *transfer, pgdbm_error *err)
{
    return pgdbm_transact_async(db, NULL, transfer_body, on_transferred, transfer, err);
}
/* [/transact] */

static pgdbm_status transfer_now(pgdbm_db *db, int from, int to, int amount)
{
    pgdbm_error err;
    struct transfer transfer = {.from = from, .to = to, .amount = amount};
    pgdbm_status status = submit_transfer(db, &transfer, &err);
    while (status == PGDBM_OK && !transfer.done)
        (void)pgdbm_dispatch(pgdbm_pool_of(db), -1);
    return status == PGDBM_OK ? transfer.status : status;
}

static void show_transact(pgdbm_db *db)
{
    pgdbm_error err;
    int64_t sum = 0;
    check(transfer_now(db, 4, 5, 60) == PGDBM_OK, "a transaction that commits");
    check(transfer_now(db, 4, 5, 60) == PGDBM_ERR_QUERY, "a transaction that is rolled back");
    (void)pgdbm_fetch_value(db, "SELECT sum(balance * id)::bigint FROM {{tables.accounts}} WHERE id IN (4, 5)",
                            pgdbm_no_args, &sum, &err);
    check(sum == 40 * 4 + 160 * 5, "and what they did");
}

/* ---- COPY ---- */

/* [copy] */
struct upload {
    const char *rest; /* what is still to be sent */
    size_t bytes;
    pgdbm_copy *copy;
    bool done;
    int64_t rows;
};

static void on_writable(pgdbm_copy *copy, void *context)
{
    struct upload *upload = context;
    size_t taken = pgdbm_copy_write(copy, upload->rest, upload->bytes);
    upload->rest += taken;
    upload->bytes -= taken;
    if (upload->bytes == 0)
        pgdbm_copy_end(copy, NULL); /* else this is called again when there is room */
}

static void on_uploaded(const pgdbm_outcome *outcome, void *context)
{
    struct upload *upload = context;
    upload->rows = outcome->status == PGDBM_OK ? outcome->affected : -1; /* then no row has been kept */
    upload->done = true;
}

static pgdbm_status submit_upload(pgdbm_db *db, struct upload *upload, pgdbm_error *err)
{
    return pgdbm_copy_in_async(db, "COPY {{tables.accounts}} FROM STDIN (FORMAT csv)", on_writable, on_uploaded, upload,
                               &upload->copy, err);
}
/* [/copy] */

static void show_copy(pgdbm_db *db)
{
    static const char text[] = "11,100\n12,100\n13,100\n";
    pgdbm_error err;
    struct upload upload = {.rest = text, .bytes = sizeof text - 1};
    pgdbm_status status = submit_upload(db, &upload, &err);
    while (status == PGDBM_OK && !upload.done)
        (void)pgdbm_dispatch(pgdbm_pool_of(db), -1);
    check(upload.rows == 3, "a COPY");
}

/* ---- ending early ---- */

static void on_ended(const pgdbm_outcome *outcome, void *context)
{
    *(pgdbm_status *)context = outcome->status;
}

static void show_ending(pgdbm_db *db)
{
    pgdbm_error err;
    pgdbm_status canceled = PGDBM_OK;
    pgdbm_status timed_out = PGDBM_OK;
    /* [cancel] */
    pgdbm_request *request = NULL;
    if (pgdbm_submit_with(db, NULL, "SELECT pg_sleep(60)", pgdbm_no_args, on_ended, &canceled, &request, &err) ==
        PGDBM_OK)
        pgdbm_cancel(request); /* from any thread, now or later; on_ended is called all the same */
    pgdbm_request_release(request);
    /* [/cancel] */
    /* [deadline] */
    const pgdbm_call call = {.timeout_ms = 50};
    (void)pgdbm_submit_with(db, &call, "SELECT pg_sleep(60)", pgdbm_no_args, on_ended, &timed_out, NULL, &err);
    /* [/deadline] */
    while (canceled == PGDBM_OK || timed_out == PGDBM_OK)
        (void)pgdbm_dispatch(pgdbm_pool_of(db), -1);
    check(canceled == PGDBM_ERR_CANCELED, "a request that is cancelled");
    check(timed_out == PGDBM_ERR_TIMEOUT, "a request whose time is up");
}

/* ---- blocking calls ---- */

/* [offload] */
static pgdbm_status report(void *context, pgdbm_error *err)
{
    pgdbm_db *db = context; /* in a helper thread, where waiting harms nobody */
    int64_t sum = 0;
    return pgdbm_fetch_value(db, "SELECT sum(balance)::bigint FROM {{tables.accounts}}", pgdbm_no_args, &sum, err);
}

static void on_reported(const pgdbm_outcome *outcome, void *context)
{
    (void)context;
    check(outcome->status == PGDBM_OK, "a blocking call in a helper thread");
}

static pgdbm_status submit_report(pgdbm_db *db, pgdbm_error *err)
{
    return pgdbm_offload(pgdbm_pool_of(db), report, db, on_reported, NULL, err);
}
/* [/offload] */

static void show_offload(pgdbm_db *db)
{
    pgdbm_error err;
    if (submit_report(db, &err) == PGDBM_OK)
        (void)pgdbm_dispatch(pgdbm_pool_of(db), -1);
}

/* ---- a thread of the pool's ---- */

static void show_background(const char *connection_string)
{
    pgdbm_error err;
    pgdbm_db *db = NULL;
    pgdbm_future *future = NULL;
    /* [background] */
    const pgdbm_config config = {.connection_string = connection_string, .schema = "guide", .background = true};
    pgdbm_status status = pgdbm_open(&config, &db, &err);
    /* [/background] */
    if (status == PGDBM_OK)
        status = pgdbm_future_new(pgdbm_pool_of(db), &future, &err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_one_async(db, "SELECT 1", pgdbm_no_args, pgdbm_future_done, future, &err);
    const pgdbm_outcome *outcome = status == PGDBM_OK ? pgdbm_future_wait(future, -1) : NULL;
    check(outcome != NULL && outcome->status == PGDBM_OK, "a thread of the pool's");
    pgdbm_future_free(future);
    pgdbm_close(db);
}

int main(void)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .schema = "guide"};
    const pgdbm_migrate_options migrate = {.module = "guide", .migrations = &migrations};
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    if (pgdbm_open(&config, &db, &err) != PGDBM_OK || pgdbm_migrate(db, &migrate, NULL, &err) != PGDBM_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
        failures++;
    } else {
        show_submit(db);
        show_futures(db);
        show_batch(db);
        show_transact(db);
        show_copy(db);
        show_ending(db);
        show_offload(db);
    }
    pgdbm_close(db);
    if (failures == 0)
        show_background(config.connection_string);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
