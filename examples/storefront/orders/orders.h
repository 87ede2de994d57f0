/* SPDX-License-Identifier: MIT */
/* The orders service. Any thread. */
#ifndef STOREFRONT_ORDERS_H
#define STOREFRONT_ORDERS_H

#include <pgdbm/pgdbm.h>

struct order {
    int64_t id; /* filled in by orders_place */
    int64_t customer_id;
    int64_t amount_cents;
};

/* Places an order in one transaction across three schemas: the order, its payment, and a job for the worker. */
pgdbm_status orders_place(pgdbm_db *orders, struct order *order, pgdbm_error *err);

/* `*found` says whether there is such an order. */
pgdbm_status orders_find(pgdbm_db *orders, int64_t id, struct order *order, bool *found, pgdbm_error *err);

#endif
