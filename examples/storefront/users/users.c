/* SPDX-License-Identifier: MIT */
/* The users service. No state: everything is in the database. */
#include "users/users.h"

#include <stdio.h>

pgdbm_status users_register(pgdbm_db *users, const char *email, const char *time_zone, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(users,
                           "INSERT INTO {{tables.users}} (email, country, time_zone)"
                           " SELECT $1, min(country), time_zone FROM {{tables.time_zone_countries}}"
                           " WHERE time_zone = $2 GROUP BY time_zone",
                           pgdbm_args(email, time_zone), id, err);
}

static pgdbm_status read_user(const pgdbm_result *row, struct user *user, pgdbm_error *err)
{
    const char *email = NULL;
    const char *country = NULL;
    const char *time_zone = NULL;
    pgdbm_status status = pgdbm_get_int64(row, 0, "id", &user->id, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(row, 0, "email", &email, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(row, 0, "country", &country, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(row, 0, "time_zone", &time_zone, err);
    if (status != PGDBM_OK)
        return status;
    snprintf(user->email, sizeof user->email, "%s", email);
    snprintf(user->country, sizeof user->country, "%s", country);
    snprintf(user->time_zone, sizeof user->time_zone, "%s", time_zone);
    return PGDBM_OK;
}

pgdbm_status users_find(pgdbm_db *users, int64_t id, struct user *user, bool *found, pgdbm_error *err)
{
    pgdbm_result *row = NULL;
    pgdbm_status status = pgdbm_fetch_one(users,
                                          "SELECT u.id, u.email, c.name AS country, u.time_zone FROM {{tables.users}} u"
                                          " JOIN {{tables.countries}} c ON c.code = u.country WHERE u.id = $1",
                                          pgdbm_args(id), &row, err);
    *found = pgdbm_result_rows(row) == 1;
    if (*found)
        status = read_user(row, user, err);
    pgdbm_result_free(row);
    return status;
}
