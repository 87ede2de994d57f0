/* SPDX-License-Identifier: MIT */
/* Asynchronous transactions, savepoints and pinned sessions. A handle is made when its begin is submitted, and handed out
 * or freed when that completes; it ends when its commit or rollback is submitted, and is freed when that completes. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/async.h"

#include <pgdbm/future.h>
#include <stdio.h>
#include <string.h>

/* --- begin and pin --- */

/* The handle's begin is complete. */
static void begun(struct pgdbm_request *task)
{
    pgdbm_db *made = task->owner;
    if (task->outcome.status == PGDBM_OK) {
        made->member = task->member;
        task->outcome.db = made;
        return;
    }
    pgdbm__db_detach(made);
    pgdbm__db_free(made);
}

static pgdbm_status begin(const char *file, int line, pgdbm_db *db, const char *sql, enum pgdbm__db_kind kind,
                          pgdbm_done_callback on_done, void *context, pgdbm_request **request, pgdbm_error *err)
{
    struct pgdbm__run run;
    struct pgdbm_request *task = NULL;
    pgdbm_db *made = NULL;
    if (on_done == NULL)
        return pgdbm__fail_null(err, kind == PGDBM__DB_PINNED ? "pgdbm_pin_async" : "pgdbm_begin_async", "on_done");
    pgdbm_status status =
        pgdbm__db_prepare_run(db, "pgdbm_begin_async", NULL, 0, sql != NULL ? sql : "", pgdbm_no_args, &run, err);
    if (status == PGDBM_OK)
        status =
            pgdbm__task_new(db->pool, sql != NULL ? PGDBM__TASK_COMMAND : PGDBM__TASK_LEASE, NULL, 0, sql, &task, err);
    if (status != PGDBM_OK)
        return status;
    run.spot = (struct pgdbm__spot){file, line};
    pgdbm__db_address(db, &run, task);
    made = pgdbm__db_new_on(db, kind, run.spot);
    if (made == NULL) {
        pgdbm__task_unref(task);
        return pgdbm__fail_nomem(err, "beginning a transaction");
    }
    task->owner = made;
    task->finish = begun;
    task->idempotent = true; /* a BEGIN that was lost has done nothing */
    task->need.lease = task->keeps_lease = db->member == NULL;
    if (db->member != NULL)
        pgdbm__db_link(db, made);
    status = pgdbm__db_submit(task, on_done, context, request, err);
    if (status != PGDBM_OK) {
        pgdbm__db_detach(made);
        pgdbm__db_free(made);
    }
    return status;
}

pgdbm_status pgdbm_begin_async_sized(const char *file, int line, pgdbm_db *db, const pgdbm_tx_options *options,
                                     size_t options_bytes, pgdbm_done_callback on_done, void *context,
                                     pgdbm_request **request, pgdbm_error *err)
{
    char sql[96];
    pgdbm_tx_options chosen = {0};
    if (request != NULL)
        *request = NULL;
    if (db == NULL)
        return pgdbm__fail_null(err, "pgdbm_begin_async", "db");
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    pgdbm_status status = pgdbm__begin_compose(db, &chosen, sql, sizeof sql, err);
    if (status != PGDBM_OK)
        return status;
    status = pgdbm__db_turn_begin(db, err);
    if (status != PGDBM_OK)
        return status;
    status = begin(file, line, db, sql, pgdbm__begin_kind(db), on_done, context, request, err);
    pgdbm__db_turn_end(db);
    return status;
}

static void pinned(struct pgdbm_request *task)
{
    if (task->outcome.status == PGDBM_OK)
        task->outcome.db = task->owner;
    else
        pgdbm_close(task->owner);
}

/* The session is there already; the callback comes as it always does. */
static pgdbm_status pin_enclosed(struct pgdbm__spot spot, pgdbm_db *db, pgdbm_done_callback on_done, void *context,
                                 pgdbm_error *err)
{
    pgdbm_db *made = NULL;
    struct pgdbm_request *task = NULL;
    if (on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_pin_async", "on_done");
    pgdbm_status status = pgdbm__db_pin_enclosed(db, spot, &made, err);
    if (status == PGDBM_OK)
        status = pgdbm__task_new(db->pool, PGDBM__TASK_DELAY, NULL, 0, NULL, &task, err);
    if (status == PGDBM_OK) {
        task->owner = made;
        task->finish = pinned;
        task->deadline = pgdbm__now_ns();
        status = pgdbm__db_submit(task, on_done, context, NULL, err);
    }
    if (status != PGDBM_OK)
        pgdbm_close(made);
    return status;
}

pgdbm_status pgdbm_pin_async_at(const char *file, int line, pgdbm_db *db, pgdbm_done_callback on_done, void *context,
                                pgdbm_error *err)
{
    if (db == NULL)
        return pgdbm__fail_null(err, "pgdbm_pin_async", "db");
    if (db->kind == PGDBM__DB_ENCLOSED)
        return pin_enclosed((struct pgdbm__spot){file, line}, db, on_done, context, err);
    if (db->kind != PGDBM__DB_MANAGER) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION,
                    "a transaction and a pinned session have a session of their own already");
        pgdbm__error_hint(err, "use the handle as it is, or pin the manager it came from");
        return PGDBM_ERR_TRANSACTION;
    }
    return begin(file, line, db, NULL, PGDBM__DB_PINNED, on_done, context, NULL, err);
}

/* --- commit and rollback --- */

/* A command whose outcome nobody waits for; when it cannot be sent or fails, the session is not to be trusted. */
static void undone(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm__member *member = context;
    if (outcome->status != PGDBM_OK)
        pgdbm__session_abort(&member->session, "a savepoint could not be undone");
}

static void undo_savepoint(const pgdbm_db *tx)
{
    struct pgdbm_request *task = NULL;
    char sql[96];
    snprintf(sql, sizeof sql, "ROLLBACK TO SAVEPOINT pgdbm_%u; RELEASE SAVEPOINT pgdbm_%u", tx->depth, tx->depth);
    if (pgdbm__task_new(tx->pool, PGDBM__TASK_COMMAND, NULL, 0, sql, &task, NULL) == PGDBM_OK) {
        task->lease = tx->member;
        task->in_transaction = task->direct = task->asked = true;
        task->need.since = pgdbm__now_ns();
        task->on_done = undone;
        task->context = tx->member;
        pthread_mutex_lock(&tx->pool->lock);
        tx->pool->n_tasks++;
        pgdbm__task_queue(task, true);
        pgdbm__pool_unlock(tx->pool);
    } else
        pgdbm__session_abort(&tx->member->session, "a savepoint could not be undone");
}

static void refuse_commit(struct pgdbm_request *task)
{
    pgdbm_error error;
    pgdbm__fail(&error, PGDBM_ERR_TRANSACTION, "a statement of the transaction had failed: it was rolled back");
    pgdbm__error_hint(&error, "look at that statement's error, and roll back when one fails; a nested pgdbm_begin "
                              "protects the rest");
    pgdbm__error_outcome(&error, PGDBM_OUTCOME_ROLLED_BACK);
    pgdbm__task_say(task, &error);
}

static void ended(struct pgdbm_request *task)
{
    pgdbm_db *tx = task->owner;
    pgdbm_status status = task->outcome.status;
    if (task->commits && status == PGDBM_OK && task->flight != NULL && task->flight->rolled_back)
        refuse_commit(task);
    else if (task->commits && tx->kind == PGDBM__DB_SAVEPOINT && status != PGDBM_OK && status != PGDBM_ERR_CONNECTION) {
        if (status == PGDBM_ERR_QUERY && task->flight != NULL && strcmp(task->flight->error.sqlstate, "25P02") == 0)
            refuse_commit(task);
        undo_savepoint(tx); /* or the outer one would commit what this one was said not to have done */
    } else if (task->commits && status != PGDBM_OK && task->unsaid == PGDBM_OUTCOME_NOT_SENT) {
        /* It is open on the server still. */
        pgdbm__session_abort(&tx->member->session, "its transaction could not be ended");
    } else if (!task->commits && status != PGDBM_OK) {
        /* The server rolls back what it is cut off from. */
        pgdbm__session_abort(&tx->member->session, "its transaction could not be ended");
        task->outcome.status = PGDBM_OK;
        task->outcome.error = NULL;
    }
    pgdbm__db_detach(tx);
    pgdbm__db_free(tx);
}

static pgdbm_status end(pgdbm_db *tx, const char *sql, bool commits, pgdbm_done_callback on_done, void *context,
                        pgdbm_error *err)
{
    struct pgdbm_request *task = NULL;
    pgdbm_status status = pgdbm__task_new(tx->pool, PGDBM__TASK_COMMAND, NULL, 0, sql, &task, err);
    if (status != PGDBM_OK)
        return status;
    int timeout_ms = tx->pool->config->values.command_timeout_ms;
    struct pgdbm__run run = {.now = pgdbm__now_ns(),
                             .lease = tx->member,
                             .spot = tx->spot,
                             .deadline = pgdbm__deadline(timeout_ms > 0 ? timeout_ms : -1),
                             .acquire_deadline = PGDBM__NEVER};
    pgdbm__db_address(tx, &run, task);
    task->commits = commits;
    task->ends = true;
    task->owner = tx;
    task->finish = ended;
    task->ends_lease = pgdbm__db_holds_lease(tx);
    pthread_mutex_lock(&tx->pool->lock);
    tx->ended = true; /* whoever uses it from now on is told */
    pgdbm__db_orphan_cursors(tx);
    pthread_mutex_unlock(&tx->pool->lock);
    status = pgdbm__db_submit(task, on_done, context, NULL, err);
    if (status != PGDBM_OK) {
        pthread_mutex_lock(&tx->pool->lock);
        tx->ended = false;
        pthread_mutex_unlock(&tx->pool->lock);
    }
    return status;
}

pgdbm_status pgdbm_commit_async(pgdbm_db *tx, pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    char sql[48] = "COMMIT";
    pgdbm_status status = pgdbm__db_check_transaction(tx, "pgdbm_commit_async", err);
    if (status == PGDBM_OK)
        status = pgdbm__db_usable(tx, err);
    if (status != PGDBM_OK)
        return status;
    if (tx->kind == PGDBM__DB_SAVEPOINT)
        snprintf(sql, sizeof sql, "RELEASE SAVEPOINT pgdbm_%u", tx->depth);
    return end(tx, sql, true, on_done, context, err);
}

pgdbm_status pgdbm_rollback_async(pgdbm_db *tx, pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    char sql[96] = "ROLLBACK";
    pgdbm_status status = pgdbm__db_check_transaction(tx, "pgdbm_rollback_async", err);
    if (status != PGDBM_OK)
        return status;
    pthread_mutex_lock(&tx->pool->lock);
    bool over = tx->ended;
    pthread_mutex_unlock(&tx->pool->lock);
    if (over)
        return pgdbm__db_usable(tx, err);
    if (tx->kind == PGDBM__DB_SAVEPOINT)
        snprintf(sql, sizeof sql, "ROLLBACK TO SAVEPOINT pgdbm_%u; RELEASE SAVEPOINT pgdbm_%u", tx->depth, tx->depth);
    return end(tx, sql, false, on_done, context, err);
}

void pgdbm__db_abandon(pgdbm_db *db)
{
    struct pgdbm_pool *pool = db->pool;
    if (pgdbm__db_is_enclosed(db)) {
        pgdbm_close(db);
        return;
    }
    if (db->kind == PGDBM__DB_TRANSACTION || db->kind == PGDBM__DB_SAVEPOINT) {
        if (pgdbm_rollback_async(db, NULL, NULL, NULL) == PGDBM_OK)
            return;
        /* No memory for it, or the pool is closed. */
        pgdbm__session_abort(&db->member->session, "its transaction could not be ended");
    }
    bool holds_lease = db->kind == PGDBM__DB_PINNED || pgdbm__db_holds_lease(db);
    pgdbm__db_detach(db);
    pthread_mutex_lock(&pool->lock);
    if (holds_lease)
        pgdbm__task_release(pool, db->member, &(struct pgdbm__need){.lease = true, .account = db->account});
    pgdbm__pool_unlock(pool);
    pgdbm__db_free(db);
}

/* --- a body that is repeated --- */

struct pgdbm_transaction {
    pgdbm_db *db;
    pgdbm_db *tx;
    pgdbm_tx_options options;
    struct pgdbm__spot spot;
    pgdbm_async_body body;
    pgdbm_done_callback on_done;
    void *context;
    struct pgdbm_request *last; /* brings the outcome when there is no memory to end it: made before it is needed */
    int attempts;               /* made */
    bool outermost;
    pgdbm_status status; /* the body's */
    pgdbm_error error;
};

static pgdbm_status begin_again(struct pgdbm_transaction *transaction, pgdbm_error *err);

static void free_transaction(struct pgdbm_transaction *transaction)
{
    pgdbm__task_unref(transaction->last);
    pgdbm__free(transaction);
}

/* Everything is over; the outcome is that of the last step, or the body's error where that had one. */
static void report(struct pgdbm_transaction *transaction, const pgdbm_outcome *outcome, const pgdbm_error *error)
{
    struct pgdbm_request *task = pgdbm__task_of_outcome(outcome);
    if (error != NULL)
        pgdbm__task_say(task, error);
    task->outcome.db = NULL;
    transaction->on_done(&task->outcome, transaction->context);
    free_transaction(transaction);
}

static void waited(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_transaction *transaction = context;
    pgdbm_error error;
    if (outcome->status != PGDBM_OK || begin_again(transaction, &error) != PGDBM_OK)
        report(transaction, outcome, outcome->status != PGDBM_OK ? outcome->error : &error);
}

/* Another attempt after a pause, if there may be one. */
static bool try_again(struct pgdbm_transaction *transaction, const pgdbm_error *error)
{
    struct pgdbm_request *task = NULL;
    if (!transaction->outermost || !error->retryable || transaction->attempts >= transaction->options.max_attempts ||
        pgdbm__task_new(transaction->db->pool, PGDBM__TASK_DELAY, NULL, 0, NULL, &task, NULL) != PGDBM_OK)
        return false;
    int doubled = transaction->attempts - 1 < 8 ? transaction->attempts - 1 : 8;
    int64_t pause = pgdbm__jitter((int64_t)transaction->options.retry_delay_ms * PGDBM__MS << doubled, 50);
    task->deadline = pgdbm__now_ns() + pause;
    return pgdbm__db_submit(task, waited, transaction, NULL, NULL) == PGDBM_OK;
}

static void committed(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_transaction *transaction = context;
    if (outcome->status == PGDBM_OK || !try_again(transaction, outcome->error))
        report(transaction, outcome, NULL);
}

static void rolled_back(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_transaction *transaction = context;
    if (!try_again(transaction, &transaction->error))
        report(transaction, outcome, &transaction->error);
}

static void transaction_begun(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_transaction *transaction = context;
    if (outcome->status != PGDBM_OK) {
        report(transaction, outcome, NULL);
        return;
    }
    transaction->tx = outcome->db;
    transaction->attempts++;
    transaction->body(transaction->tx, transaction, transaction->context);
}

static pgdbm_status begin_again(struct pgdbm_transaction *transaction, pgdbm_error *err)
{
    return pgdbm_begin_async_sized(transaction->spot.file, transaction->spot.line, transaction->db,
                                   &transaction->options, sizeof transaction->options, transaction_begun, transaction,
                                   NULL, err);
}

static void finished_late(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_transaction *transaction = context;
    report(transaction, outcome, &transaction->error);
}

/* It can neither be committed nor rolled back: no memory, or the pool has been closed, which calls nobody back. */
static void abandon(struct pgdbm_transaction *transaction)
{
    struct pgdbm_request *task = transaction->last;
    transaction->last = NULL;
    pgdbm__db_abandon(transaction->tx);
    task->deadline = pgdbm__now_ns();
    task->ends = true;
    if (pgdbm__db_submit(task, finished_late, transaction, NULL, NULL) == PGDBM_OK)
        return;
    pgdbm__future_release(transaction->on_done == pgdbm_future_done, transaction->context);
    free_transaction(transaction);
}

void pgdbm_transaction_finish(pgdbm_transaction *transaction, pgdbm_status status, const pgdbm_error *error)
{
    if (transaction == NULL)
        return;
    struct pgdbm_pool *pool = pgdbm__pool_ref(transaction->db->pool);
    pgdbm_error local;
    if (status == PGDBM_OK) {
        /* When it is on its way the transaction may be complete, and gone. */
        status = pgdbm_commit_async(transaction->tx, committed, transaction, &local);
        if (status != PGDBM_OK)
            transaction->error = local; /* a nested one is open, or no memory: it cannot be committed */
    } else {
        if (error != NULL)
            transaction->error = *error;
        else
            pgdbm__fail(&transaction->error, status, "the transaction's body failed");
        transaction->error.status = status;
    }
    if (status != PGDBM_OK && pgdbm_rollback_async(transaction->tx, rolled_back, transaction, NULL) != PGDBM_OK)
        abandon(transaction);
    pgdbm__pool_unref(pool);
}

pgdbm_status pgdbm_transact_async_sized(const char *file, int line, pgdbm_db *db, const pgdbm_tx_options *options,
                                        size_t options_bytes, pgdbm_async_body body, pgdbm_done_callback on_done,
                                        void *context, pgdbm_error *err)
{
    if (db == NULL || body == NULL || on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_transact_async", db == NULL ? "db" : body == NULL ? "body" : "on_done");
    struct pgdbm_transaction *transaction = pgdbm__alloc_zero(1, sizeof *transaction);
    if (transaction == NULL)
        return pgdbm__fail_nomem(err, "beginning a transaction");
    if (options != NULL)
        memcpy(&transaction->options, options,
               options_bytes < sizeof transaction->options ? options_bytes : sizeof transaction->options);
    if (transaction->options.max_attempts <= 0)
        transaction->options.max_attempts = 5;
    if (transaction->options.retry_delay_ms <= 0)
        transaction->options.retry_delay_ms = 10;
    transaction->db = db;
    transaction->spot = (struct pgdbm__spot){file, line};
    transaction->body = body;
    transaction->on_done = on_done;
    transaction->context = context;
    transaction->outermost = db->kind != PGDBM__DB_TRANSACTION && db->kind != PGDBM__DB_SAVEPOINT;
    bool future = pgdbm__future_hold(on_done, context);
    pgdbm_status status = pgdbm__task_new(db->pool, PGDBM__TASK_DELAY, NULL, 0, NULL, &transaction->last, err);
    if (status == PGDBM_OK)
        status = begin_again(transaction, err);
    if (status != PGDBM_OK) {
        pgdbm__future_release(future, context);
        free_transaction(transaction);
    }
    return status;
}
