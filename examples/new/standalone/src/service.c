/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <stddef.h>

pgdbm_status example_migrate(pgdbm_db *db, pgdbm_error *err)
{
    const pgdbm_migrate_options migrate = {.module = "example", .migrations = &example_migrations};
    return pgdbm_migrate(db, &migrate, NULL, err);
}

pgdbm_status example_open(const char *url, pgdbm_db **db, pgdbm_error *err)
{
    const pgdbm_config config = {.connection_string = url, .schema = "example"};
    pgdbm_status status = pgdbm_open(&config, db, err);
    if (status == PGDBM_OK)
        status = example_migrate(*db, err);
    if (status != PGDBM_OK) {
        pgdbm_close(*db);
        *db = NULL;
    }
    return status;
}

pgdbm_status example_add_note(pgdbm_db *db, const char *text, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(db, "INSERT INTO {{tables.notes}} (text) VALUES ($1)", pgdbm_args(text), id, err);
}

pgdbm_status example_count_notes(pgdbm_db *db, int64_t *notes, pgdbm_error *err)
{
    return pgdbm_fetch_value_int64(db, "SELECT count(*) FROM {{tables.notes}}", pgdbm_no_args, notes, err);
}
