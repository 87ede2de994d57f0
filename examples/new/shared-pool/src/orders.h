/* SPDX-License-Identifier: MIT */
/* The service of orders. Every function takes a manager of its schema, or a transaction of one. */
#ifndef ORDERS_H
#define ORDERS_H

#include <pgdbm/pgdbm.h>

/* embedded from migrations/orders */
extern const pgdbm_migrations orders_migrations;

pgdbm_status orders_place(pgdbm_db *db, int64_t user_id, const char *article, int64_t *id, pgdbm_error *err);
pgdbm_status orders_count(pgdbm_db *db, int64_t user_id, int64_t *orders, pgdbm_error *err);

#endif
