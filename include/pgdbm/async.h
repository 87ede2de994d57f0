/* SPDX-License-Identifier: MIT */
/* Asynchronous calls: start now, be called when it is done. They work with any event loop and need no thread.
 *
 *     static void on_user(const pgdbm_outcome *outcome, void *context)
 *     {
 *         if (outcome->status != PGDBM_OK)
 *             fprintf(stderr, "%s\n", outcome->error->message);
 *         else if (pgdbm_result_rows(outcome->result) > 0)
 *             ...
 *     }
 *
 *     pgdbm_submit(users, "SELECT name FROM {{tables.users}} WHERE id = $1", pgdbm_args(42), on_user, context, &err);
 *
 * Somebody has to drive the pool, in one of three ways:
 *
 * | way               | how                                                                                        |
 * |-------------------|--------------------------------------------------------------------------------------------|
 * | your event loop   | watch pgdbm_fd(pool) for reading; call pgdbm_dispatch(pool, 0) when it is readable. For     |
 * |                   | libuv, libevent and GLib: <pgdbm/adapters/libuv.h>, <.../libevent.h>, <.../glib.h>          |
 * | a thread of yours | call pgdbm_dispatch(pool, -1) in a loop                                                     |
 * | a thread of ours  | open the pool with .background = true                                                       |
 *
 * What holds, always:
 *
 * 1. If a submitting function returns an error its callback is never called; otherwise it is called exactly once.
 * 2. A callback is never called from inside the submitting call.
 * 3. Callbacks run only in the thread that dispatches, one at a time, with no lock of pgdbm's held. A callback may
 *    submit, cancel, begin, commit or close anything, the pool and its own handle included.
 * 4. Requests of one transaction or pinned session complete in the order submitted, its end last. Only one that is
 *    cancelled or out of time before it was sent does not wait for those before it. Independent ones have no order.
 * 5. Closing a pool completes every outstanding request before the close returns (the closing thread then runs the
 *    callbacks); no callback comes afterwards.
 * 6. A cancelled or timed-out request never damages another one. The exception cannot be avoided: in one transaction a
 *    cancel that comes too late may hit the request behind. That one then fails with CANCELED, SQLSTATE 57014, and is
 *    `retryable`, because the transaction is to be rolled back and may be run again (pgdbm_transact_async does).
 *
 * SQL and parameters are copied: nothing need outlive the submitting call. Errors that every submitting function can
 * return: ARGUMENT (a NULL that is not allowed), SCHEMA (a bad template), TYPE (too many parameters), POOL (closed, a
 * forked child, or max_queued requests are waiting: the message has the counts), TRANSACTION (as the verb), NOMEM. All
 * other errors come with the outcome. Any thread may submit. */
#ifndef PGDBM_ASYNC_H
#define PGDBM_ASYNC_H

#include <pgdbm/migrate.h>
#include <pgdbm/transaction.h>

/* A request under way, for pgdbm_cancel. */
typedef struct pgdbm_request pgdbm_request;

/* How a request ended. Everything here lives until the callback returns, except what is said to be the receiver's. */
typedef struct pgdbm_outcome {
    pgdbm_status status;
    const pgdbm_error *error; /* NULL after PGDBM_OK; its `outcome` says what is known of the request's effect */
    pgdbm_result *result;     /* rows, NULL after an error and when none were asked for; pgdbm_result_keep to keep it */
    int64_t affected;         /* the command tag's count of rows; of several statements, their sum */
    pgdbm_db *db;             /* of begin and pin: the handle, the receiver's */
    pgdbm_result *const *results; /* of a batch: one for each statement, in order; NULL where one failed */
    size_t n_results;
    size_t failed; /* of a batch: the number of the statement that failed first, from 0; n_results when none did */
    const pgdbm_migration_report *report; /* of pgdbm_migrate_async */
} pgdbm_outcome;

typedef void (*pgdbm_done_callback)(const pgdbm_outcome *outcome, void *context);

typedef enum pgdbm_rows_kept {
    PGDBM_ROWS_ALL = 0, /* every row */
    PGDBM_ROWS_ONE,     /* the first; the result has 0 or 1 row */
    PGDBM_ROWS_NONE     /* no result, only the count */
} pgdbm_rows_kept;

PGDBM_BEGIN_DECLS

/* ---- statements ---- */

PGDBM_EXPORT pgdbm_status pgdbm_submit_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                             pgdbm_rows_kept rows, const char *sql, const pgdbm_params *sets,
                                             size_t n_sets, pgdbm_done_callback on_done, void *context,
                                             pgdbm_request **request, pgdbm_error *err);

/* Submits a statement; its outcome has the rows and the count. On a transaction or a pinned session it runs there, after
 * what was submitted there before. */
static inline pgdbm_status pgdbm_submit(pgdbm_db *db, const char *sql, pgdbm_params params, pgdbm_done_callback on_done,
                                        void *context, pgdbm_error *err)
{
    return pgdbm_submit_sized(db, NULL, 0, PGDBM_ROWS_ALL, sql, &params, 1, on_done, context, NULL, err);
}

/* The same with options of the call (`call` may be NULL) and, when `request` is not NULL, a handle to cancel it by. The
 * handle is the caller's, released with pgdbm_request_release, before or after the callback. */
static inline pgdbm_status pgdbm_submit_with(pgdbm_db *db, const pgdbm_call *call, const char *sql, pgdbm_params params,
                                             pgdbm_done_callback on_done, void *context, pgdbm_request **request,
                                             pgdbm_error *err)
{
    return pgdbm_submit_sized(db, call, sizeof *call, PGDBM_ROWS_ALL, sql, &params, 1, on_done, context, request, err);
}

/* The verbs of <pgdbm/db.h>: at most one row; and no rows, only the count. */
static inline pgdbm_status pgdbm_fetch_one_async(pgdbm_db *db, const char *sql, pgdbm_params params,
                                                 pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    return pgdbm_submit_sized(db, NULL, 0, PGDBM_ROWS_ONE, sql, &params, 1, on_done, context, NULL, err);
}

static inline pgdbm_status pgdbm_execute_async(pgdbm_db *db, const char *sql, pgdbm_params params,
                                               pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    return pgdbm_submit_sized(db, NULL, 0, PGDBM_ROWS_NONE, sql, &params, 1, on_done, context, NULL, err);
}

/* As pgdbm_execute_many: one transaction, all or nothing; the error names the set. Zero sets complete at once. */
static inline pgdbm_status pgdbm_execute_many_async(pgdbm_db *db, const char *sql, const pgdbm_params *sets,
                                                    size_t n_sets, pgdbm_done_callback on_done, void *context,
                                                    pgdbm_error *err)
{
    return pgdbm_submit_sized(db, NULL, 0, PGDBM_ROWS_NONE, sql, sets, n_sets, on_done, context, NULL, err);
}

/* Asks for the request to end. One that has not been sent completes with PGDBM_ERR_CANCELED, NOT_SENT; one that has been
 * is cancelled on the server, and completes with CANCELED, ROLLED_BACK, unless it was faster. Others on the same session
 * are not touched. Never fails; cancelling what is complete does nothing. NULL is legal. Any thread. */
PGDBM_EXPORT void pgdbm_cancel(pgdbm_request *request);

/* Gives a handle back. The request goes on. NULL is legal. Any thread. */
PGDBM_EXPORT void pgdbm_request_release(pgdbm_request *request);

/* ---- driving ---- */

/* A descriptor that is readable when pgdbm_dispatch has something to do: one for the whole pool, the same until it is
 * closed. Borrowed: do not read it, do not close it. -1 for NULL, in a forked child, and of a pool that is being
 * closed or was (while a manager keeps the handle alive): its loop can let it go. Any thread. */
PGDBM_EXPORT int pgdbm_fd(pgdbm_pool *pool);

/* Sends what was submitted, reads what has come, and runs the callbacks of what is complete, waiting up to `timeout_ms`
 * for the first (0: not at all; -1: until one has run or pgdbm_dispatch_stop). Returns how many callbacks ran. While
 * another thread is dispatching, only helps and returns 0. Called from a callback: the same. */
PGDBM_EXPORT int pgdbm_dispatch(pgdbm_pool *pool, int timeout_ms);

/* Makes a pgdbm_dispatch that waits return; or else the next one, at once. Any thread. NULL is legal. */
PGDBM_EXPORT void pgdbm_dispatch_stop(pgdbm_pool *pool);

/* ---- transactions and pinned sessions ---- */

PGDBM_EXPORT pgdbm_status pgdbm_begin_async_sized(const char *file, int line, pgdbm_db *db,
                                                  const pgdbm_tx_options *options, size_t options_bytes,
                                                  pgdbm_done_callback on_done, void *context, pgdbm_request **request,
                                                  pgdbm_error *err);

static inline pgdbm_status pgdbm_begin_async_here(const char *file, int line, pgdbm_db *db,
                                                  const pgdbm_tx_options *options, pgdbm_done_callback on_done,
                                                  void *context, pgdbm_error *err)
{
    return pgdbm_begin_async_sized(file, line, db, options, sizeof *options, on_done, context, NULL, err);
}

/* pgdbm_begin_async(pgdbm_db *db, const pgdbm_tx_options *options, pgdbm_done_callback on_done, void *context,
 * pgdbm_error *err)
 *
 * Begins a transaction, or a savepoint when `db` is a transaction. outcome->db is the handle, the receiver's: it ends
 * with pgdbm_commit(_async), pgdbm_rollback(_async) or pgdbm_close. Requests may be submitted on it without waiting for
 * each other. */
#define pgdbm_begin_async(...) pgdbm_begin_async_here(PGDBM_HERE, __VA_ARGS__)

/* Commits, or releases the savepoint, after what was submitted on the handle before. The handle has ended when the call
 * returns PGDBM_OK: do not use it again. The outcome is as pgdbm_commit's. on_done may be NULL. */
PGDBM_EXPORT pgdbm_status pgdbm_commit_async(pgdbm_db *tx, pgdbm_done_callback on_done, void *context,
                                             pgdbm_error *err);

/* Rolls back, in the same way. */
PGDBM_EXPORT pgdbm_status pgdbm_rollback_async(pgdbm_db *tx, pgdbm_done_callback on_done, void *context,
                                               pgdbm_error *err);

PGDBM_EXPORT pgdbm_status pgdbm_pin_async_at(const char *file, int line, pgdbm_db *db, pgdbm_done_callback on_done,
                                             void *context, pgdbm_error *err);

/* pgdbm_pin_async(pgdbm_db *db, pgdbm_done_callback on_done, void *context, pgdbm_error *err)
 *
 * A session of one's own: outcome->db, the receiver's, given back with pgdbm_close. */
#define pgdbm_pin_async(...) pgdbm_pin_async_at(PGDBM_HERE, __VA_ARGS__)

/* The body's end of a pgdbm_transact_async. */
typedef struct pgdbm_transaction pgdbm_transaction;

/* Called with the transaction begun. Submits on `tx`, and when it is through calls pgdbm_transaction_finish, here or in
 * any later callback. It may be called again when the transaction has to be repeated. */
typedef void (*pgdbm_async_body)(pgdbm_db *tx, pgdbm_transaction *transaction, void *context);

PGDBM_EXPORT pgdbm_status pgdbm_transact_async_sized(const char *file, int line, pgdbm_db *db,
                                                     const pgdbm_tx_options *options, size_t options_bytes,
                                                     pgdbm_async_body body, pgdbm_done_callback on_done, void *context,
                                                     pgdbm_error *err);

static inline pgdbm_status pgdbm_transact_async_here(const char *file, int line, pgdbm_db *db,
                                                     const pgdbm_tx_options *options, pgdbm_async_body body,
                                                     pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    return pgdbm_transact_async_sized(file, line, db, options, sizeof *options, body, on_done, context, err);
}

/* pgdbm_transact_async(pgdbm_db *db, const pgdbm_tx_options *options, pgdbm_async_body body, pgdbm_done_callback
 * on_done, void *context, pgdbm_error *err)
 *
 * Runs `body` in a transaction: commits when it finishes with PGDBM_OK, rolls back otherwise, and repeats it after
 * serialization failures and deadlocks as pgdbm_transact does. `context` goes to both functions. */
#define pgdbm_transact_async(...) pgdbm_transact_async_here(PGDBM_HERE, __VA_ARGS__)

/* Ends the body: PGDBM_OK commits; anything else rolls back, with `error` (copied; may be NULL) as the outcome's, and is
 * tried again when error->retryable. Give the first error that the transaction met: those after it say only that it had
 * failed (25P02), and not whether it makes sense to try again. Exactly once for each call of the body; after it `tx` must not be used. */
PGDBM_EXPORT void pgdbm_transaction_finish(pgdbm_transaction *transaction, pgdbm_status status,
                                           const pgdbm_error *error);

/* ---- migrations, and any other call that blocks ---- */

PGDBM_EXPORT pgdbm_status pgdbm_migrate_async_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                    size_t options_bytes, pgdbm_done_callback on_done, void *context,
                                                    pgdbm_error *err);

/* pgdbm_migrate in a helper thread. `db` and the migrations' texts or directory must stay until the callback, which has
 * outcome->report. */
static inline pgdbm_status pgdbm_migrate_async(pgdbm_db *db, const pgdbm_migrate_options *options,
                                               pgdbm_done_callback on_done, void *context, pgdbm_error *err)
{
    return pgdbm_migrate_async_sized(db, options, sizeof *options, on_done, context, err);
}

/* What pgdbm_offload runs. May block; must fill `err` (never NULL here) when it returns anything but PGDBM_OK. */
typedef pgdbm_status (*pgdbm_work)(void *context, pgdbm_error *err);

/* Runs `work` in a helper thread and then `on_done` where the pool's callbacks run: for calls that have no asynchronous
 * form. Work that has begun is waited for when the pool closes. */
PGDBM_EXPORT pgdbm_status pgdbm_offload(pgdbm_pool *pool, pgdbm_work work, void *work_context,
                                        pgdbm_done_callback on_done, void *context, pgdbm_error *err);

PGDBM_END_DECLS
#endif
