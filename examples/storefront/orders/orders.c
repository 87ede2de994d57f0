/* SPDX-License-Identifier: MIT */
/* The orders service. No state: everything is in the database. */
#include "orders/orders.h"

#include "payments/payments.h"
#include "worker/queue.h"

/* The body of the transaction. It may run again after a deadlock, so it keeps to the transaction and to `order`. */
static pgdbm_status place(pgdbm_db *tx, void *context, pgdbm_error *err)
{
    struct order *order = context;
    pgdbm_status status =
        pgdbm_insert_id(tx, "INSERT INTO {{tables.orders}} (customer_id, amount_cents) VALUES ($1, $2)",
                        pgdbm_args(order->customer_id, order->amount_cents), &order->id, err);
    if (status == PGDBM_OK)
        status = payments_charge(tx, order->id, order->amount_cents, err);
    if (status == PGDBM_OK)
        status = queue_add(tx, order->id, err);
    return status;
}

pgdbm_status orders_place(pgdbm_db *orders, struct order *order, pgdbm_error *err)
{
    return pgdbm_transact(orders, NULL, place, order, err);
}

pgdbm_status orders_find(pgdbm_db *orders, int64_t id, struct order *order, bool *found, pgdbm_error *err)
{
    pgdbm_result *row = NULL;
    pgdbm_status status = pgdbm_fetch_one(
        orders, "SELECT id, customer_id, amount_cents FROM {{tables.orders}} WHERE id = $1", pgdbm_args(id), &row, err);
    *found = pgdbm_result_rows(row) == 1;
    if (*found)
        status = pgdbm_get_int64(row, 0, "id", &order->id, err);
    if (*found && status == PGDBM_OK)
        status = pgdbm_get_int64(row, 0, "customer_id", &order->customer_id, err);
    if (*found && status == PGDBM_OK)
        status = pgdbm_get_int64(row, 0, "amount_cents", &order->amount_cents, err);
    pgdbm_result_free(row);
    return status;
}
