/* SPDX-License-Identifier: MIT */
/* The module's lock. No state, any thread. */
#include "migrate/lock.h"

#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
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

pgdbm_status pgdbm__migration_lock(pgdbm_db *session, const char *module, int64_t deadline, char **role,
                                   pgdbm_error *err)
{
    int64_t pause_ms = FIRST_POLL_MS;
    for (;;) {
        pgdbm_status status = pgdbm_fetch_value_text(
            session, "SELECT CASE WHEN pg_catalog.pg_try_advisory_lock(" LOCK_KEY ") THEN current_setting('role') END",
            pgdbm_args(module), role, err);
        if (status != PGDBM_OK || *role != NULL)
            return status;
        int64_t now = pgdbm__now_ns();
        if (now >= deadline)
            return fail_timeout(session, module, err);
        int64_t moment = now + pgdbm__jitter(pause_ms * PGDBM__MS, 50);
        sleep_until(moment < deadline ? moment : deadline);
        pause_ms = pause_ms * 2 < LONGEST_POLL_MS ? pause_ms * 2 : LONGEST_POLL_MS;
    }
}

pgdbm_status pgdbm__migration_unlock(pgdbm_db *session, const char *module, pgdbm_error *err)
{
    bool had_it = false;
    pgdbm_status status = pgdbm_fetch_value_bool(session, "SELECT pg_catalog.pg_advisory_unlock(" LOCK_KEY ")",
                                                 pgdbm_args(module), &had_it, err);
    if (status == PGDBM_OK && !had_it) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "the lock of module %s was lost while a migration ran", module);
        pgdbm__error_hint(err, "take pg_advisory_unlock_all() and DISCARD out of the migration; behind a pooler, "
                               "migrate over a direct connection");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    }
    return status;
}
