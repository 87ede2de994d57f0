/* SPDX-License-Identifier: MIT */
/* What docs/fleet.md shows, as a program that runs: shops are opened with the first release, a second one is rolled out, and
 * one shop drifts. DATABASE_URL says where; the schemas are tenant_acme and so on. */
#include "shop.h"

#include "shop_migrations.h"

#include <stdio.h>
#include <stdlib.h>

/* The release of last year had the first file only. */
static pgdbm_status last_year(pgdbm_pool *pool, pgdbm_error *err)
{
    const pgdbm_migrations first = {.texts = shop_migrations.texts, .n_texts = 1};
    pgdbm_fleet *fleet = NULL;
    pgdbm_status status = open_fleet(pool, &first, "1.0", &fleet, err);
    if (status == PGDBM_OK)
        status = open_shops(fleet, err);
    pgdbm_fleet_close(fleet);
    return status;
}

/* Somebody has been at one of them by hand. */
static pgdbm_status tamper(pgdbm_pool *pool, pgdbm_error *err)
{
    pgdbm_db *db = NULL;
    pgdbm_status status = pgdbm_attach(pool, "tenant_coral", &db, err);
    if (status == PGDBM_OK)
        status =
            pgdbm_execute(db, "CREATE INDEX products_name ON {{tables.products}} (name)", pgdbm_no_args, NULL, err);
    pgdbm_close(db);
    return status;
}

static pgdbm_status this_year(pgdbm_pool *pool, pgdbm_error *err)
{
    pgdbm_fleet *fleet = NULL;
    pgdbm_status status = open_fleet(pool, &shop_migrations, "2.0", &fleet, err);
    if (status == PGDBM_OK)
        status = count_behind(fleet, err);
    if (status == PGDBM_OK)
        status = serve(fleet, "tenant_acme", err);
    if (status == PGDBM_OK)
        status = leave_out(fleet, "tenant_delta", err);
    if (status == PGDBM_OK)
        status = release(fleet, err);
    if (status == PGDBM_OK)
        status = serve(fleet, "tenant_blue", err);
    if (status == PGDBM_OK)
        status = print_status(fleet, err);
    if (status == PGDBM_OK)
        status = close_shop(fleet, "tenant_delta", err);
    if (status == PGDBM_OK)
        status = tamper(pool, err);
    if (status == PGDBM_OK)
        status = print_drift(fleet, err);
    pgdbm_fleet_close(fleet);
    return status;
}

int main(void)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL")};
    pgdbm_error err = {0};
    pgdbm_pool *pool = NULL;
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    if (status == PGDBM_OK)
        status = last_year(pool, &err);
    if (status == PGDBM_OK)
        status = this_year(pool, &err);
    if (status != PGDBM_OK)
        fprintf(stderr, "%s\n%s\n%s\n", err.message, err.detail, err.hint);
    pgdbm_pool_close(pool);
    return status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
