/* SPDX-License-Identifier: MIT */
/* Tenants: their fleet, new ones, the first request of one, and the last. */
#include "shop.h"

#include <stdio.h>

/* [open] */
pgdbm_status open_fleet(pgdbm_pool *pool, const pgdbm_migrations *migrations, const char *build, pgdbm_fleet **fleet,
                        pgdbm_error *err)
{
    const pgdbm_fleet_options options = {
        .module = "shop", .migrations = migrations, .pattern = "tenant\\_%", .build = build};
    return pgdbm_fleet_open(pool, &options, fleet, err);
}
/* [/open] */

/* [create] */
/* Those that are there already are passed over: it may be run again. */
pgdbm_status open_shops(pgdbm_fleet *fleet, pgdbm_error *err)
{
    static const char *const schemas[] = {"tenant_acme", "tenant_blue", "tenant_coral", "tenant_delta"};
    size_t created = 0;
    pgdbm_status status = pgdbm_fleet_create_tenants(fleet, schemas, 4, 2, &created, err);
    if (status == PGDBM_OK)
        printf("%zu shops opened\n", created);
    return status;
}
/* [/create] */

/* [attach] */
/* A request for a tenant. If nobody has migrated its schema since the release, that is done now. */
pgdbm_status serve(pgdbm_fleet *fleet, const char *tenant, pgdbm_error *err)
{
    pgdbm_db *db = NULL;
    int64_t products = 0;
    pgdbm_status status = pgdbm_fleet_attach(fleet, tenant, &db, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_value(db, "SELECT count(price) FROM {{tables.products}}", pgdbm_no_args, &products, err);
    if (status == PGDBM_OK)
        printf("%s sells %lld products\n", tenant, (long long)products);
    pgdbm_close(db);
    return status;
}
/* [/attach] */

/* [drop] */
pgdbm_status close_shop(pgdbm_fleet *fleet, const char *tenant, pgdbm_error *err)
{
    return pgdbm_fleet_drop_tenant(fleet, tenant, 0, err);
}
/* [/drop] */
