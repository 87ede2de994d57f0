/* SPDX-License-Identifier: MIT */
/* What is said to roll-outs and of tenants from outside: rows that roll-outs look at, so it holds for all processes.
 * Any thread. */
#include "fleet/fleet.h"

#include "base/error.h"

#include <string.h>

static pgdbm_status set_control(pgdbm_fleet *fleet, const char *function, const char *state, int canceled,
                                pgdbm_error *err)
{
    if (fleet == NULL)
        return pgdbm__fail_null(err, function, "fleet");
    return pgdbm_execute(fleet->db,
                         "INSERT INTO pgdbm.roll_out AS r (module, state, cancellations) VALUES ($1, $2, $3)"
                         " ON CONFLICT (module) DO UPDATE SET state = excluded.state,"
                         " cancellations = r.cancellations + excluded.cancellations, updated_at = CURRENT_TIMESTAMP",
                         pgdbm_args(fleet->module, state, canceled), NULL, err);
}

pgdbm_status pgdbm_fleet_pause(pgdbm_fleet *fleet, pgdbm_error *err)
{
    return set_control(fleet, "pgdbm_fleet_pause", "paused", 0, err);
}

pgdbm_status pgdbm_fleet_resume(pgdbm_fleet *fleet, pgdbm_error *err)
{
    return set_control(fleet, "pgdbm_fleet_resume", "running", 0, err);
}

/* Those that run count one cancellation more than when they began. The next roll-out begins with the new count, and must
 * not find a pause that nobody remembers. */
pgdbm_status pgdbm_fleet_cancel(pgdbm_fleet *fleet, pgdbm_error *err)
{
    return set_control(fleet, "pgdbm_fleet_cancel", "running", 1, err);
}

static pgdbm_status change_tenant(pgdbm_fleet *fleet, const char *function, const char *schema, const char *sql,
                                  const char *reason, pgdbm_error *err)
{
    int64_t changed = 0;
    if (fleet == NULL || schema == NULL)
        return pgdbm__fail_null(err, function, fleet == NULL ? "fleet" : "schema");
    pgdbm_status status = pgdbm__fleet_check_schema(fleet, schema, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(fleet->db, sql, pgdbm_args(fleet->module, schema, reason), &changed, err);
    if (status == PGDBM_OK && changed == 0) {
        status =
            pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "%s: module %s has no tenant %s", function, fleet->module, schema);
        pgdbm__error_hint(err, "pgdbm_fleet_sync makes rows for tenants that are new; pgdbm_fleet_status lists them");
    }
    return status;
}

pgdbm_status pgdbm_fleet_quarantine(pgdbm_fleet *fleet, const char *schema, const char *reason, pgdbm_error *err)
{
    return change_tenant(fleet, "pgdbm_fleet_quarantine", schema,
                         "UPDATE pgdbm.target SET state = 'quarantined', error = coalesce($3::text, error),"
                         " updated_at = pg_catalog.clock_timestamp() WHERE module = $1 AND schema = $2",
                         reason, err);
}

/* 'behind' is what a row says of a tenant whose digest decides. */
pgdbm_status pgdbm_fleet_release(pgdbm_fleet *fleet, const char *schema, pgdbm_error *err)
{
    return change_tenant(fleet, "pgdbm_fleet_release", schema,
                         "UPDATE pgdbm.target SET state = CASE state WHEN 'quarantined' THEN 'behind' ELSE state END,"
                         " attempts = 0, error = $3::text, sqlstate = NULL, failed_at = NULL,"
                         " updated_at = pg_catalog.clock_timestamp() WHERE module = $1 AND schema = $2",
                         NULL, err);
}
