/* SPDX-License-Identifier: MIT */
/* The module's lock. No state, any thread. */
#include "migrate/lock.h"

#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <pgdbm/transaction.h>
#include <time.h>

/* Half a second at most between two looks: short beside a deployment, long beside what a look costs. */
#define FIRST_POLL_MS INT64_C(20)
#define LONGEST_POLL_MS INT64_C(500)

#define LOCK_KEY "pg_catalog.hashtext('pgdbm_migration_' || $1::text)::bigint"

static void sleep_until(int64_t moment)
{
    int64_t left = moment - pgdbm__now_ns();
    if (left > 0) {
        struct timespec time = {.tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000)};
        nanosleep(&time, NULL); /* a signal makes the next look earlier, which does no harm */
    }
}

static pgdbm_status fail_timeout(pgdbm_db *session, const char *module, pgdbm_error *err)
{
    /* A bigint key stands in pg_locks as its two halves, objsubid 1. */
    static const char sql[] =
        "SELECT concat('process ', l.pid, ', application ', coalesce(nullif(a.application_name, ''), 'without a name'),"
        " ', user ', coalesce(a.usename, '?'), ', ', coalesce(a.state, 'state not visible'), ' for ',"
        " coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::bigint, 0), ' s, connected for ',"
        " coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::bigint, 0), ' s; statement: ',"
        " left(a.query, 200))"
        " FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
        " AND l.classid::bigint = ((" LOCK_KEY " >> 32) & 4294967295) AND l.objid::bigint = (" LOCK_KEY
        " & 4294967295)";
    char *holder = NULL;
    if (pgdbm_fetch_value_text(session, sql, pgdbm_args(module), &holder, NULL) != PGDBM_OK)
        holder = NULL;
    pgdbm__fail(err, PGDBM_ERR_TIMEOUT, "another process is still migrating module %s", module);
    pgdbm__error_detail(err, "lock pgdbm_migration_%s is held by %s", module,
                        holder != NULL ? holder : "nobody any more");
    pgdbm__error_hint(err, "%s",
                      holder != NULL ? "let it finish and start again, raise wait_timeout_ms, or end it with "
                                       "pg_terminate_backend()"
                                     : "start again, or raise wait_timeout_ms");
    pgdbm_free(holder);
    return PGDBM_ERR_TIMEOUT;
}

/* Behind a pooler that hands out servers per transaction, a session's lock would be somebody else's a moment later. */
static pgdbm_status find_server(struct pgdbm__migration_lock *lock, pgdbm_error *err)
{
    int given = 0;
    int64_t answering = 0;
    pgdbm_status status = pgdbm_session_pid(lock->pin, &given, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_value_int64(lock->pin, "SELECT pg_catalog.pg_backend_pid()::bigint", pgdbm_no_args,
                                         &answering, err);
    if (status == PGDBM_OK)
        lock->server = given == answering ? PGDBM__SERVER_OWN : PGDBM__SERVER_POOLED;
    return status;
}

/* Leaves lock->role NULL when another has the lock. */
static pgdbm_status try_session_lock(struct pgdbm__migration_lock *lock, const char *module, pgdbm_error *err)
{
    return pgdbm_fetch_value_text(
        lock->pin, "SELECT CASE WHEN pg_catalog.pg_try_advisory_lock(" LOCK_KEY ") THEN current_setting('role') END",
        pgdbm_args(module), &lock->role, err);
}

static pgdbm_status try_transaction_lock(struct pgdbm__migration_lock *lock, pgdbm_db *db, const char *module,
                                         pgdbm_error *err)
{
    /* With another isolation the history would be read as it was before the lock was had. */
    const pgdbm_tx_options options = {.isolation = PGDBM_READ_COMMITTED};
    pgdbm_status status = pgdbm_begin(db, &options, &lock->tx, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_value_text(lock->tx,
                                        "SELECT CASE WHEN pg_catalog.pg_try_advisory_xact_lock(" LOCK_KEY
                                        ") THEN current_setting('role') END",
                                        pgdbm_args(module), &lock->role, err);
    /* A simple query closes the portal of the one before: an open one has a snapshot, which CREATE INDEX CONCURRENTLY
     * elsewhere would wait for as long as this transaction lasts. */
    if (status == PGDBM_OK && lock->role != NULL)
        return pgdbm_execute_simple(
            lock->tx, "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0", err);
    pgdbm_close(lock->tx);
    lock->tx = NULL;
    return status;
}

static pgdbm_status try_lock(struct pgdbm__migration_lock *lock, pgdbm_db *db, const char *module, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (lock->pin == NULL && lock->server != PGDBM__SERVER_POOLED)
        status = pgdbm_pin(db, &lock->pin, err);
    if (status == PGDBM_OK && lock->server == PGDBM__SERVER_UNKNOWN)
        status = find_server(lock, err);
    if (status != PGDBM_OK)
        return status;
    if (lock->server == PGDBM__SERVER_OWN)
        return try_session_lock(lock, module, err);
    pgdbm_close(lock->pin);
    lock->pin = NULL;
    return try_transaction_lock(lock, db, module, err);
}

pgdbm_status pgdbm__migration_lock(struct pgdbm__migration_lock *lock, pgdbm_db *db, const char *module,
                                   int64_t deadline, pgdbm__migration_waiting waiting, void *context, pgdbm_error *err)
{
    int64_t pause_ms = FIRST_POLL_MS;
    for (;;) {
        pgdbm_status status = try_lock(lock, db, module, err);
        if (status != PGDBM_OK || lock->role != NULL)
            return status;
        int64_t now = pgdbm__now_ns();
        if (now >= deadline)
            return fail_timeout(lock->pin != NULL ? lock->pin : db, module, err);
        status = waiting(context, err);
        if (status != PGDBM_OK)
            return status;
        int64_t moment = now + pgdbm__jitter(pause_ms * PGDBM__MS, 50);
        sleep_until(moment < deadline ? moment : deadline);
        pause_ms = pause_ms * 2 < LONGEST_POLL_MS ? pause_ms * 2 : LONGEST_POLL_MS;
    }
}

pgdbm_status pgdbm__migration_unlock(struct pgdbm__migration_lock *lock, const char *module, pgdbm_error *err)
{
    bool had_it = false;
    if (lock->tx != NULL) {
        pgdbm_db *tx = lock->tx;
        lock->tx = NULL;
        return pgdbm_commit(tx, err);
    }
    pgdbm_status status = pgdbm_fetch_value_bool(lock->pin, "SELECT pg_catalog.pg_advisory_unlock(" LOCK_KEY ")",
                                                 pgdbm_args(module), &had_it, err);
    if (status == PGDBM_OK && !had_it) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "the lock of module %s was lost while a migration ran", module);
        pgdbm__error_hint(err, "take pg_advisory_unlock_all() and DISCARD out of the migration");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    }
    return status;
}

void pgdbm__migration_lock_free(struct pgdbm__migration_lock *lock)
{
    pgdbm_close(lock->tx);
    pgdbm_close(lock->pin);
    pgdbm_free(lock->role);
    *lock = (struct pgdbm__migration_lock){.server = lock->server};
}
