/* SPDX-License-Identifier: MIT */
/* The payments service. Any thread. */
#ifndef STOREFRONT_PAYMENTS_H
#define STOREFRONT_PAYMENTS_H

#include <pgdbm/pgdbm.h>

/* Takes the money for an order, inside the caller's transaction: either both are there or neither. */
pgdbm_status payments_charge(pgdbm_db *tx, int64_t order_id, int64_t amount_cents, pgdbm_error *err);

/* What was paid for an order; 0 when nothing was. */
pgdbm_status payments_find(pgdbm_db *payments, int64_t order_id, int64_t *amount_cents, pgdbm_error *err);

#endif
