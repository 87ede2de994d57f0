/* SPDX-License-Identifier: MIT */
#include "users.h"

pgdbm_status users_add(pgdbm_db *db, const char *email, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(db,
                           "INSERT INTO {{tables.users}} (email) VALUES ($1)"
                           " ON CONFLICT (email) DO UPDATE SET email = excluded.email",
                           pgdbm_args(email), id, err);
}

pgdbm_status users_count(pgdbm_db *db, int64_t *users, pgdbm_error *err)
{
    return pgdbm_fetch_value_int64(db, "SELECT count(*) FROM {{tables.users}}", pgdbm_no_args, users, err);
}
