/* SPDX-License-Identifier: MIT */
#include "orders.h"

pgdbm_status orders_place(pgdbm_db *db, int64_t user_id, const char *article, int64_t *id, pgdbm_error *err)
{
    return pgdbm_insert_id(db, "INSERT INTO {{tables.orders}} (user_id, article) VALUES ($1, $2)",
                           pgdbm_args(user_id, article), id, err);
}

pgdbm_status orders_count(pgdbm_db *db, int64_t user_id, int64_t *orders, pgdbm_error *err)
{
    return pgdbm_fetch_value_int64(db, "SELECT count(*) FROM {{tables.orders}} WHERE user_id = $1", pgdbm_args(user_id),
                                   orders, err);
}
