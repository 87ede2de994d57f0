/* SPDX-License-Identifier: MIT */
/* Transactions, savepoints and pinned sessions: managers bound to one session. The links between outer and inner
 * handles are guarded by the pool's lock. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/manager.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const isolation_names[] = {
    [PGDBM_READ_COMMITTED] = "READ COMMITTED",
    [PGDBM_REPEATABLE_READ] = "REPEATABLE READ",
    [PGDBM_SERIALIZABLE] = "SERIALIZABLE",
};

static pgdbm_status check_options(const pgdbm_tx_options *options, bool savepoint, pgdbm_error *err)
{
    if ((unsigned)options->isolation > PGDBM_SERIALIZABLE)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "isolation is %d, which is none of pgdbm_isolation",
                           (int)options->isolation);
    if (savepoint && (options->isolation != PGDBM_ISOLATION_DEFAULT || options->read_only || options->deferrable)) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION,
                    "a nested transaction cannot have an isolation level or mode of its own");
        pgdbm__error_hint(err, "give them to the outermost pgdbm_begin");
        return PGDBM_ERR_TRANSACTION;
    }
    return PGDBM_OK;
}

enum pgdbm__db_kind pgdbm__begin_kind(const pgdbm_db *db)
{
    return pgdbm__db_is_inside(db) ? PGDBM__DB_SAVEPOINT : PGDBM__DB_TRANSACTION;
}

pgdbm_status pgdbm__begin_compose(const pgdbm_db *db, const pgdbm_tx_options *options, char *sql, size_t bytes,
                                  pgdbm_error *err)
{
    bool savepoint = pgdbm__begin_kind(db) == PGDBM__DB_SAVEPOINT;
    bool enclosed = pgdbm__db_is_enclosed(db); /* takes itself for a manager: what can be done of its wishes is done */
    pgdbm_status status = check_options(options, savepoint && !enclosed, err);
    if (status != PGDBM_OK)
        return status;
    if (savepoint) {
        snprintf(sql, bytes, "SAVEPOINT pgdbm_%u%s", db->depth + 1,
                 options->read_only ? "; SET TRANSACTION READ ONLY" : "");
        return PGDBM_OK;
    }
    bool isolation = options->isolation != PGDBM_ISOLATION_DEFAULT;
    snprintf(sql, bytes, "BEGIN%s%s%s%s", isolation ? " ISOLATION LEVEL " : "",
             isolation ? isolation_names[options->isolation] : "", options->read_only ? " READ ONLY" : "",
             options->deferrable ? " DEFERRABLE" : "");
    return PGDBM_OK;
}

/* Takes a session and begins. A session that turns out to be lost before anything happened is replaced by another. */
static pgdbm_status begin_on_pool(pgdbm_db *tx, const char *sql, pgdbm_error *err)
{
    int acquire_ms = tx->pool->config->values.acquire_timeout_ms;
    int64_t deadline = pgdbm__deadline(acquire_ms > 0 ? acquire_ms : -1);
    pgdbm_status status;
    do {
        struct pgdbm__need need = {
            .lease = true, .account = tx->account, .spot = tx->spot, .since = pgdbm__now_ns(), .deadline = deadline};
        status = pgdbm__pool_acquire(tx->pool, &need, &tx->member, err);
        if (status != PGDBM_OK)
            return status;
        status = pgdbm__db_command(tx, sql, err);
        if (status != PGDBM_OK)
            pgdbm__db_release(tx);
    } while (status == PGDBM_ERR_CONNECTION && pgdbm__now_ns() < deadline);
    return status;
}

static pgdbm_status begin_inside(pgdbm_db *db, pgdbm_db *tx, const char *sql, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_turn_begin(db, err);
    if (status != PGDBM_OK)
        return status;
    tx->member = db->member;
    status = pgdbm__db_command(tx, sql, err);
    if (status == PGDBM_OK)
        pgdbm__db_link(db, tx);
    pgdbm__db_turn_end(db);
    return status;
}

pgdbm_status pgdbm_begin_sized(const char *file, int line, pgdbm_db *db, const pgdbm_tx_options *options,
                               size_t options_bytes, pgdbm_db **tx, pgdbm_error *err)
{
    pgdbm_error local;
    err = err != NULL ? err : &local;
    if (db == NULL || tx == NULL)
        return pgdbm__fail_null(err, "pgdbm_begin", db == NULL ? "db" : "tx");
    *tx = NULL;
    pgdbm_tx_options chosen = {0};
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    char sql[96];
    pgdbm_status status = pgdbm__begin_compose(db, &chosen, sql, sizeof sql, err);
    if (status == PGDBM_OK)
        status = pgdbm__pool_ours(db->pool, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_usable(db, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_db *made = pgdbm__db_new_on(db, pgdbm__begin_kind(db), (struct pgdbm__spot){file, line});
    if (made == NULL)
        return pgdbm__fail_nomem(err, "beginning a transaction");
    status = db->member != NULL ? begin_inside(db, made, sql, err) : begin_on_pool(made, sql, err);
    if (status == PGDBM_OK)
        *tx = made;
    else
        pgdbm__db_free(made);
    return status;
}

void pgdbm__db_link(pgdbm_db *db, pgdbm_db *made)
{
    bool turns = db->takes_turns;
    pthread_mutex_lock(&db->pool->lock);
    if (pgdbm__db_is_enclosed(db)) /* whose turn it is, so that it has not ended */
        db = db->outer;
    made->takes_turns = turns;
    made->member = db->member;
    made->outer = db;
    db->inner = made;
    pthread_mutex_unlock(&db->pool->lock);
}

bool pgdbm__db_detach(pgdbm_db *tx)
{
    pthread_mutex_lock(&tx->pool->lock);
    bool had_inner = tx->inner != NULL;
    pgdbm__db_orphan_cursors(tx);
    pgdbm__db_end_enclosed(tx);
    for (pgdbm_db *inner = tx->inner; inner != NULL; inner = inner->inner) {
        pgdbm__db_end_enclosed(inner);
        inner->ended = true;
    }
    if (tx->inner != NULL)
        tx->inner->outer = NULL;
    if (tx->outer != NULL)
        tx->outer->inner = NULL;
    pthread_mutex_unlock(&tx->pool->lock);
    return had_inner;
}

static void finish(pgdbm_db *tx, bool holds_lease)
{
    if (holds_lease)
        pgdbm__db_release(tx);
    pgdbm__db_free(tx);
}

pgdbm_status pgdbm__db_check_transaction(const pgdbm_db *tx, const char *function, pgdbm_error *err)
{
    if (tx == NULL)
        return pgdbm__fail_null(err, function, "tx");
    if (tx->kind != PGDBM__DB_TRANSACTION && tx->kind != PGDBM__DB_SAVEPOINT) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: the handle is not a transaction", function);
        pgdbm__error_hint(err, "pass what pgdbm_begin handed out");
        return PGDBM_ERR_ARGUMENT;
    }
    return PGDBM_OK;
}

/* Sends the command that undoes it. A session that is gone has rolled back by itself. */
static void undo(pgdbm_db *tx)
{
    char sql[96];
    pthread_mutex_lock(&tx->pool->lock);
    bool copying = tx->member->copying;
    pthread_mutex_unlock(&tx->pool->lock);
    if (copying) /* whose data will not come any more */
        pgdbm__session_abort(&tx->member->session, "its transaction was ended in the middle of a COPY");
    if (tx->kind == PGDBM__DB_SAVEPOINT)
        snprintf(sql, sizeof sql, "ROLLBACK TO SAVEPOINT pgdbm_%u; RELEASE SAVEPOINT pgdbm_%u", tx->depth, tx->depth);
    else
        snprintf(sql, sizeof sql, "ROLLBACK");
    if (!atomic_load(&tx->member->session.lost) && pgdbm__db_command(tx, sql, NULL) != PGDBM_OK)
        pgdbm__session_abort(&tx->member->session, "its transaction could not be ended");
}

static bool is_ended(pgdbm_db *tx)
{
    pthread_mutex_lock(&tx->pool->lock);
    bool ended = tx->ended;
    pthread_mutex_unlock(&tx->pool->lock);
    return ended;
}

bool pgdbm__db_holds_lease(const pgdbm_db *tx)
{
    return tx->kind == PGDBM__DB_TRANSACTION && (tx->outer == NULL || tx->outer->kind != PGDBM__DB_PINNED);
}

pgdbm_status pgdbm_rollback(pgdbm_db *tx, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_check_transaction(tx, "pgdbm_rollback", err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__db_end_enclosure(tx);
    bool turn = pgdbm__db_turn_try(tx);
    bool ended = is_ended(tx);
    bool lease = pgdbm__db_holds_lease(tx) && !ended;
    if (!ended)
        undo(tx);
    pgdbm__db_detach(tx);
    if (turn)
        pgdbm__db_turn_end(tx);
    finish(tx, lease);
    return PGDBM_OK;
}

static pgdbm_status refuse_commit(pgdbm_error *err, const char *why, const char *hint)
{
    pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "%s: it was rolled back", why);
    pgdbm__error_hint(err, "%s", hint);
    pgdbm__error_outcome(err, PGDBM_OUTCOME_ROLLED_BACK);
    return PGDBM_ERR_TRANSACTION;
}

pgdbm_status pgdbm_commit(pgdbm_db *tx, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_check_transaction(tx, "pgdbm_commit", err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__db_end_enclosure(tx);
    bool turn = pgdbm__db_turn_try(tx);
    bool ended = is_ended(tx);
    bool lease = pgdbm__db_holds_lease(tx) && !ended;
    if (!ended) /* what was submitted on it before may still fail */
        pgdbm__lease_quiesce(tx->pool, tx->member);
    char transaction_status = ended ? 'I' : atomic_load(&tx->member->session.transaction_status);
    char sql[48] = "COMMIT";
    if (tx->kind == PGDBM__DB_SAVEPOINT)
        snprintf(sql, sizeof sql, "RELEASE SAVEPOINT pgdbm_%u", tx->depth);
    if (ended)
        status = refuse_commit(err, "the transaction around this one has ended",
                               "commit inner transactions before outer ones");
    else if (pgdbm__db_detach(tx)) {
        undo(tx);
        status = refuse_commit(err, "a nested transaction was still open at the commit",
                               "end inner transactions before outer ones");
    } else if (transaction_status == 'E') {
        undo(tx);
        status = refuse_commit(
            err, "a statement of the transaction had failed",
            "look at that statement's error, and roll back when one fails; a nested pgdbm_begin protects the rest");
    } else
        status = pgdbm__db_command(tx, sql, err);
    if (tx->changed && status == PGDBM_OK)
        pgdbm__statements_forget_everywhere(pgdbm_schema(tx));
    pgdbm__db_detach(tx);
    if (turn)
        pgdbm__db_turn_end(tx);
    finish(tx, lease);
    return status;
}

/* Waits before the next attempt; a signal may cut it short, which does no harm. */
static void back_off(int attempt, int delay_ms)
{
    int64_t wait = (int64_t)delay_ms * PGDBM__MS << (attempt < 8 ? attempt : 8);
    wait = pgdbm__jitter(wait, 50);
    struct timespec span = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    nanosleep(&span, NULL);
}

pgdbm_status pgdbm_transact_sized(const char *file, int line, pgdbm_db *db, const pgdbm_tx_options *options,
                                  size_t options_bytes, pgdbm_transaction_body body, void *context, pgdbm_error *err)
{
    pgdbm_error failure; /* the caller's is written at the end: a failure that a repetition mends is none */
    if (db == NULL || body == NULL)
        return pgdbm__fail_null(err, "pgdbm_transact", db == NULL ? "db" : "body");
    pgdbm_tx_options chosen = {0};
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    int attempts = chosen.max_attempts > 0 ? chosen.max_attempts : 5;
    int delay_ms = chosen.retry_delay_ms > 0 ? chosen.retry_delay_ms : 10;
    bool outermost = db->kind != PGDBM__DB_TRANSACTION && db->kind != PGDBM__DB_SAVEPOINT;
    pgdbm_status status = PGDBM_OK;
    for (int attempt = 0; attempt < attempts; attempt++) {
        pgdbm_db *tx = NULL;
        if (attempt > 0)
            back_off(attempt - 1, delay_ms);
        status = pgdbm_begin_sized(file, line, db, &chosen, sizeof chosen, &tx, &failure);
        if (status != PGDBM_OK)
            break;
        pgdbm__fail(&failure, PGDBM_OK, "%s", "");
        status = body(tx, context, &failure);
        if (status == PGDBM_OK)
            status = pgdbm_commit(tx, &failure);
        else
            (void)pgdbm_rollback(tx, NULL);
        if (status == PGDBM_OK || !outermost || !failure.retryable || failure.status != status)
            break;
    }
    if (status != PGDBM_OK && err != NULL)
        *err = failure;
    return status;
}

pgdbm_status pgdbm_retire(pgdbm_db *session, pgdbm_error *err)
{
    if (session == NULL)
        return pgdbm__fail_null(err, "pgdbm_retire", "session");
    if (session->kind == PGDBM__DB_ENCLOSED_PIN)
        return PGDBM_OK; /* it ends with its pool */
    if (session->kind != PGDBM__DB_PINNED) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_retire: the handle is not a pinned session");
        pgdbm__error_hint(err, "pass what pgdbm_pin handed out");
        return PGDBM_ERR_ARGUMENT;
    }
    pthread_mutex_lock(&session->pool->lock);
    session->member->worn = true;
    pthread_mutex_unlock(&session->pool->lock);
    return PGDBM_OK;
}

pgdbm_status pgdbm_session_pid(pgdbm_db *session, int *pid, pgdbm_error *err)
{
    if (session == NULL || pid == NULL)
        return pgdbm__fail_null(err, "pgdbm_session_pid", session == NULL ? "session" : "pid");
    *pid = 0;
    if (session->member == NULL || session->kind == PGDBM__DB_ENCLOSED) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_session_pid: a manager has no session of its own");
        pgdbm__error_hint(err, "pass what pgdbm_pin or pgdbm_begin handed out");
        return PGDBM_ERR_ARGUMENT;
    }
    pgdbm_status status = pgdbm__db_usable(session, err);
    if (status == PGDBM_OK)
        *pid = pgdbm__transport_backend_pid(&session->member->session.transport);
    return status;
}

pgdbm_status pgdbm_pin_at(const char *file, int line, pgdbm_db *db, pgdbm_db **session, pgdbm_error *err)
{
    if (db == NULL || session == NULL)
        return pgdbm__fail_null(err, "pgdbm_pin", db == NULL ? "db" : "session");
    *session = NULL;
    if (db->kind == PGDBM__DB_ENCLOSED)
        return pgdbm__db_pin_enclosed(db, (struct pgdbm__spot){file, line}, session, err);
    if (db->kind != PGDBM__DB_MANAGER) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION,
                    "a transaction and a pinned session have a session of their own already");
        pgdbm__error_hint(err, "use the handle as it is, or pin the manager it came from");
        return PGDBM_ERR_TRANSACTION;
    }
    pgdbm_db *made = pgdbm__db_new_on(db, PGDBM__DB_PINNED, (struct pgdbm__spot){file, line});
    if (made == NULL)
        return pgdbm__fail_nomem(err, "pinning a session");
    int acquire_ms = db->pool->config->values.acquire_timeout_ms;
    struct pgdbm__need need = {.lease = true,
                               .account = db->account,
                               .spot = made->spot,
                               .since = pgdbm__now_ns(),
                               .deadline = pgdbm__deadline(acquire_ms > 0 ? acquire_ms : -1)};
    pgdbm_status status = pgdbm__pool_acquire(db->pool, &need, &made->member, err);
    if (status != PGDBM_OK) {
        pgdbm__db_free(made);
        return status;
    }
    *session = made;
    return PGDBM_OK;
}
