/* SPDX-License-Identifier: MIT */
/* The users service: who buys, and where in the world they are. Works on any manager of its schema. Any thread. */
#ifndef STOREFRONT_USERS_H
#define STOREFRONT_USERS_H

#include <pgdbm/pgdbm.h>

struct user {
    int64_t id;
    char email[128];
    char country[64]; /* its name */
    char time_zone[64];
};

/* Registers a user in the main country of a time zone. A time zone that nobody knows is PGDBM_ERR_QUERY. */
pgdbm_status users_register(pgdbm_db *users, const char *email, const char *time_zone, int64_t *id, pgdbm_error *err);

/* `*found` says whether there is such a user. */
pgdbm_status users_find(pgdbm_db *users, int64_t id, struct user *user, bool *found, pgdbm_error *err);

#endif
