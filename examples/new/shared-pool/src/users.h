/* SPDX-License-Identifier: MIT */
/* The service of users. Every function takes a manager of its schema, or a transaction of one. */
#ifndef USERS_H
#define USERS_H

#include <pgdbm/pgdbm.h>

/* embedded from migrations/users */
extern const pgdbm_migrations users_migrations;

/* Who is known already keeps the number. */
pgdbm_status users_add(pgdbm_db *db, const char *email, int64_t *id, pgdbm_error *err);
pgdbm_status users_count(pgdbm_db *db, int64_t *users, pgdbm_error *err);

#endif
