/* SPDX-License-Identifier: MIT */
/* Shared pool: several services in one process. One pool, and for each service a manager bound to its schema. */
#include <pgdbm/pgdbm.h>
#include <stdio.h>
#include <stdlib.h>

/* [shared-pool] */
struct service {
    const char *name; /* of the schema, the module, and its folder of migrations */
    const char *migrations;
    pgdbm_db *db;
};

static pgdbm_status service_open(pgdbm_pool *pool, struct service *service, pgdbm_error *err)
{
    const pgdbm_migrations migrations = {.directory = service->migrations};
    const pgdbm_migrate_options migrate = {.module = service->name, .migrations = &migrations};
    pgdbm_status status = pgdbm_attach(pool, service->name, &service->db, err);
    return status == PGDBM_OK ? pgdbm_migrate(service->db, &migrate, NULL, err) : status;
}
/* [/shared-pool] */

int main(void)
{
    pgdbm_error err = {0};
    int code = EXIT_FAILURE;
    /* [shared-pool-main] */
    pgdbm_pool *pool = NULL;
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .max_connections = 20};
    struct service users = {"users", "migrations/users", NULL};
    struct service orders = {"orders", "migrations/orders", NULL};

    if (pgdbm_pool_open(&config, &pool, &err) != PGDBM_OK || service_open(pool, &users, &err) != PGDBM_OK ||
        service_open(pool, &orders, &err) != PGDBM_OK)
        goto done;

    /* Serve: users.db and orders.db, from any thread. */
    code = EXIT_SUCCESS;

done:
    if (code != EXIT_SUCCESS)
        fprintf(stderr, "%s\n%s\n", err.message, err.hint);
    pgdbm_close(orders.db); /* a manager never closes the pool it was attached to */
    pgdbm_close(users.db);
    pgdbm_pool_close(pool); /* whoever opened it closes it */
    /* [/shared-pool-main] */
    return code;
}
