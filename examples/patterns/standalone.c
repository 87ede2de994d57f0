/* SPDX-License-Identifier: MIT */
/* Standalone: one service, or a process of its own. The manager owns its pool; closing it ends both. */
#include <pgdbm/pgdbm.h>
#include <stdio.h>
#include <stdlib.h>

static const char email[] = "alice@example.com";

int main(void)
{
    pgdbm_error err = {0};
    int64_t id = 0;
    /* [standalone] */
    pgdbm_db *db = NULL;
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .schema = "myservice"};
    const pgdbm_migrations migrations = {.directory = "migrations"};
    const pgdbm_migrate_options migrate = {.module = "myservice", .migrations = &migrations};

    if (pgdbm_open(&config, &db, &err) != PGDBM_OK || pgdbm_migrate(db, &migrate, NULL, &err) != PGDBM_OK)
        goto failed;

    /* Use db, from any thread. */
    if (pgdbm_insert_id(db, "INSERT INTO {{tables.users}} (email) VALUES ($1)", pgdbm_args(email), &id, &err) !=
        PGDBM_OK)
        goto failed;

    pgdbm_close(db);
    /* [/standalone] */
    printf("user %lld\n", (long long)id);
    return EXIT_SUCCESS;

failed:
    fprintf(stderr, "%s\n%s\n", err.message, err.hint);
    pgdbm_close(db);
    return EXIT_FAILURE;
}
