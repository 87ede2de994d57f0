/* SPDX-License-Identifier: MIT */
/* A new release: canaries first, then everybody in waves. */
#include "shop.h"

#include <stdio.h>

/* [release] */
/* Each canary, once it is migrated. An error stops the roll-out before anybody else is touched. */
static pgdbm_status can_sell(pgdbm_db *db, void *context, pgdbm_error *err)
{
    (void)context;
    return pgdbm_execute(db, "INSERT INTO {{tables.products}} (name, price) VALUES ('chalk', 0.75)", pgdbm_no_args,
                         NULL, err);
}

static bool tell(const pgdbm_roll_out_progress *progress, void *context)
{
    const volatile bool *stop = context;
    if (progress->schema != NULL)
        fprintf(stderr, "%zu of %zu, %.0f s to go\n", progress->done, progress->n_targets,
                progress->remaining_ms / 1000);
    return !*stop;
}

pgdbm_status release(pgdbm_fleet *fleet, pgdbm_error *err)
{
    static const char *const canaries[] = {"tenant_blue"};
    bool stop = false;
    const pgdbm_roll_out how = {
        .workers = 4,
        .canaries = canaries,
        .n_canaries = 1,
        .verify = can_sell,
        .max_failures = 5,
        .max_lag_ms = 10000, /* while a replica is further behind, nothing new is begun */
        .on_progress = tell,
        .context = &stop,
    };
    pgdbm_roll_out_tally tally;
    pgdbm_status status = pgdbm_fleet_roll_out(fleet, &how, &tally, err);
    printf("%zu migrated, %zu failed\n", tally.migrated, tally.failed);
    return status;
}
/* [/release] */

/* [quarantine] */
/* A tenant that nobody may touch for now: roll-outs pass it over until it is released. */
pgdbm_status leave_out(pgdbm_fleet *fleet, const char *tenant, pgdbm_error *err)
{
    return pgdbm_fleet_quarantine(fleet, tenant, "its owner is closing the year", err);
}
/* [/quarantine] */
