/* SPDX-License-Identifier: MIT */
/* The payments service. No state: everything is in the database. */
#include "payments/payments.h"

pgdbm_status payments_charge(pgdbm_db *tx, int64_t order_id, int64_t amount_cents, pgdbm_error *err)
{
    /* The transaction is the caller's and bound to the caller's schema, so the table is named with its own. */
    return pgdbm_execute(tx, "INSERT INTO {{tables.payments.payments}} (order_id, amount_cents) VALUES ($1, $2)",
                         pgdbm_args(order_id, amount_cents), NULL, err);
}

pgdbm_status payments_find(pgdbm_db *payments, int64_t order_id, int64_t *amount_cents, pgdbm_error *err)
{
    return pgdbm_fetch_value(payments,
                             "SELECT coalesce((SELECT amount_cents FROM {{tables.payments}} WHERE order_id = $1), 0)",
                             pgdbm_args(order_id), amount_cents, err);
}
