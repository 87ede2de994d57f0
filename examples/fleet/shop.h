/* SPDX-License-Identifier: MIT */
/* A shop with a schema for each tenant: its parts, each in the file that is named. */
#ifndef EXAMPLES_FLEET_SHOP_H
#define EXAMPLES_FLEET_SHOP_H

#include <pgdbm/pgdbm.h>

/* tenants.c */
pgdbm_status open_fleet(pgdbm_pool *pool, const pgdbm_migrations *migrations, const char *build, pgdbm_fleet **fleet,
                        pgdbm_error *err);
pgdbm_status open_shops(pgdbm_fleet *fleet, pgdbm_error *err);
pgdbm_status serve(pgdbm_fleet *fleet, const char *tenant, pgdbm_error *err);
pgdbm_status close_shop(pgdbm_fleet *fleet, const char *tenant, pgdbm_error *err);

/* release.c */
pgdbm_status release(pgdbm_fleet *fleet, pgdbm_error *err);
pgdbm_status leave_out(pgdbm_fleet *fleet, const char *tenant, pgdbm_error *err);

/* look.c */
pgdbm_status count_behind(pgdbm_fleet *fleet, pgdbm_error *err);
pgdbm_status print_status(pgdbm_fleet *fleet, pgdbm_error *err);
pgdbm_status print_drift(pgdbm_fleet *fleet, pgdbm_error *err);

#endif
