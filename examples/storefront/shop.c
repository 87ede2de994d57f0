/* SPDX-License-Identifier: MIT */
/* The shared pool pattern, with a dual-mode library attached to the same pool. */
#include "shop.h"

/* A service is a schema on the shared pool, and a directory of migrations. */
static pgdbm_status open_service(pgdbm_pool *pool, const char *name, const char *directory, pgdbm_db **db,
                                 pgdbm_error *err)
{
    const pgdbm_migrations migrations = {.directory = directory};
    const pgdbm_migrate_options migrate = {.module = name, .migrations = &migrations};
    pgdbm_status status = pgdbm_attach(pool, name, db, err);
    return status == PGDBM_OK ? pgdbm_migrate(*db, &migrate, NULL, err) : status;
}

pgdbm_status shop_open(const char *url, const pgdbm_config *logging, struct shop *shop, pgdbm_error *err)
{
    pgdbm_config config = *logging;
    config.connection_string = url;
    config.application_name = "storefront";
    config.max_connections = SHOP_CONNECTIONS;
    *shop = (struct shop){0};
    pgdbm_status status = pgdbm_pool_open(&config, &shop->pool, err);
    if (status == PGDBM_OK)
        status = open_service(shop->pool, "users", STOREFRONT "/users/migrations", &shop->users, err);
    if (status == PGDBM_OK)
        status = open_service(shop->pool, "orders", STOREFRONT "/orders/migrations", &shop->orders, err);
    if (status == PGDBM_OK)
        status = open_service(shop->pool, "payments", STOREFRONT "/payments/migrations", &shop->payments, err);
    if (status == PGDBM_OK)
        status = audit_open(&(pgdbm_source){.pool = shop->pool}, &shop->audit, err);
    return status;
}

void shop_close(struct shop *shop)
{
    audit_close(shop->audit); /* closes nothing of ours: the pool is the shop's */
    pgdbm_close(shop->payments);
    pgdbm_close(shop->orders);
    pgdbm_close(shop->users);
    pgdbm_pool_close(shop->pool);
    *shop = (struct shop){0};
}
