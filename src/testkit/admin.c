/* SPDX-License-Identifier: MIT */
/* Giving orders to a server: one session, opened for a purpose and closed after it, so that the kit holds none while
 * tests run. No state, any thread. */
#include "testkit/testdb.h"

#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/transaction.h>
#include <stdarg.h>
#include <stdio.h>

/* How long a backend that was told to end is waited for before DROP DATABASE does that: it looks every 100 ms only. */
#define LEAVE_MS 60

pgdbm_status pgdbm__admin_open(const char *url, int timeout_ms, struct pgdbm__admin *admin, pgdbm_error *err)
{
    *admin = (struct pgdbm__admin){0};
    const pgdbm_config config = {
        .connection_string = url,
        .min_connections = 1,
        .max_connections = 1,
        .on_duplicate_pool = PGDBM_ALLOW,
        .statement_cache_size = -1,
        .command_timeout_ms = timeout_ms,
        .statement_timeout_ms = -1,
        .lock_timeout_ms = -1,
        .max_lifetime_ms = -1,
        .retry_attempts = -1,
        .drain_timeout_ms = 1,
    };
    pgdbm_status status = pgdbm_open(&config, &admin->manager, err);
    if (status == PGDBM_OK)
        status = pgdbm_pin(admin->manager, &admin->session, err);
    if (status == PGDBM_OK)
        status = pgdbm_retire(admin->session, err); /* it ends with the handle: nothing to clean */
    if (status != PGDBM_OK)
        pgdbm__admin_close(admin);
    return status;
}

void pgdbm__admin_close(struct pgdbm__admin *admin)
{
    pgdbm_close(admin->session);
    pgdbm_close(admin->manager);
    *admin = (struct pgdbm__admin){0};
}

pgdbm_status pgdbm__admin_run(struct pgdbm__admin *admin, pgdbm_error *err, const char *format, ...)
{
    char sql[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof sql)
        return pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "a statement is too long: %.100s", sql);
    return pgdbm_execute(admin->session, sql, pgdbm_no_args, NULL, err);
}

pgdbm_status pgdbm__admin_lock(struct pgdbm__admin *admin, const char *what, bool shared, pgdbm_error *err)
{
    return pgdbm_execute(admin->session,
                         shared ? "SELECT pg_advisory_lock_shared(hashtextextended('pgdbm testkit ' || $1, 0))"
                                : "SELECT pg_advisory_lock(hashtextextended('pgdbm testkit ' || $1, 0))",
                         pgdbm_args(what), NULL, err);
}

pgdbm_status pgdbm__admin_try_lock(struct pgdbm__admin *admin, const char *what, bool *got, pgdbm_error *err)
{
    return pgdbm_fetch_value_bool(admin->session,
                                  "SELECT pg_try_advisory_lock(hashtextextended('pgdbm testkit ' || $1, 0))",
                                  pgdbm_args(what), got, err);
}

void pgdbm__admin_unlock(struct pgdbm__admin *admin, const char *what)
{
    (void)pgdbm_execute(admin->session, "SELECT pg_advisory_unlock(hashtextextended('pgdbm testkit ' || $1, 0))",
                        pgdbm_args(what), NULL, NULL);
}

pgdbm_status pgdbm__admin_drop(struct pgdbm__admin *admin, const char *name, pgdbm_error *err)
{
    /* A backend whose client has gone needs a moment to notice. Asking is cheap beside what DROP DATABASE does when it
     * meets one, which is to wait for 100 ms. */
    int64_t deadline = pgdbm__deadline(LEAVE_MS);
    bool busy = true;
    pgdbm_status status = PGDBM_OK;
    while (status == PGDBM_OK && busy && pgdbm__now_ns() < deadline)
        status =
            pgdbm_fetch_value_bool(admin->session, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = $1)",
                                   pgdbm_args(name), &busy, err);
    return status == PGDBM_OK ? pgdbm__admin_run(admin, err, "DROP DATABASE IF EXISTS \"%s\" WITH (FORCE)", name)
                              : status;
}
