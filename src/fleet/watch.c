/* SPDX-License-Identifier: MIT */
/* What a roll-out looks at beside its tenants, on the session of whichever worker has the turn. No state. */
#include "fleet/roll_out.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

pgdbm_status pgdbm__watch_control(struct pgdbm__fleet_worker *worker, enum pgdbm__run_mood *mood, pgdbm_error *err)
{
    const struct pgdbm__roll_out *run = worker->run;
    pgdbm_result *result = NULL;
    int64_t cancellations = run->cancellations;
    bool running = true;
    pgdbm_status status = pgdbm_fetch_one(
        worker->session, "SELECT state = 'running', cancellations FROM pgdbm.roll_out WHERE module = $1",
        pgdbm_args(run->fleet->module), &result, err);
    if (status == PGDBM_OK && pgdbm_result_rows(result) > 0) {
        status = pgdbm_get_bool(result, 0, 0, &running, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_int64(result, 0, 1, &cancellations, err);
    }
    pgdbm_result_free(result);
    *mood = cancellations != run->cancellations ? PGDBM__CANCELED : running ? PGDBM__RUNNING : PGDBM__PAUSED;
    return status;
}

/* Our own sessions are known by what they are called while a message runs: it begins with its claim. So the other processes
 * of this roll-out are not counted either. */
pgdbm_status pgdbm__watch_load(struct pgdbm__fleet_worker *worker, bool *throttled, pgdbm_error *err)
{
    static const char sql[] =
        "SELECT ($1::int > 0 AND coalesce((SELECT max(extract(epoch FROM replay_lag)) * 1000"
        " FROM pg_catalog.pg_stat_replication), 0) > $1::int) OR ($2::int > 0 AND (SELECT count(*)"
        " FROM pg_catalog.pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend'"
        " AND pid <> pg_catalog.pg_backend_pid() AND query NOT LIKE '" PGDBM__FLEET_BEGIN "%') > $2::int)";
    const pgdbm_roll_out *how = &worker->run->how;
    *throttled = false;
    if (how->max_lag_ms <= 0 && how->max_active <= 0)
        return PGDBM_OK;
    return pgdbm_fetch_value_bool(worker->session, sql, pgdbm_args(how->max_lag_ms, how->max_active), throttled, err);
}
