/* SPDX-License-Identifier: MIT */
/* The shop: one process, one pool, and a manager bound to its own schema for each service. Opened and closed by one
 * thread; what is in it may be used from any. */
#ifndef STOREFRONT_SHOP_H
#define STOREFRONT_SHOP_H

#include "audit/audit.h"

#include <pgdbm/pgdbm.h>

enum { SHOP_CONNECTIONS = 8, SHOP_SERVICES = 4 };

struct shop {
    pgdbm_pool *pool;
    pgdbm_db *users;
    pgdbm_db *orders;
    pgdbm_db *payments;
    audit *audit;
};

/* Opens the pool and every service, each migrated. shop_close releases it, after an error too. */
pgdbm_status shop_open(const char *url, const pgdbm_config *logging, struct shop *shop, pgdbm_error *err);
void shop_close(struct shop *shop);

#endif
