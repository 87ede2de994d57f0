/* SPDX-License-Identifier: MIT */
/* Customers: threads that read, register and order for a while, and remember what they were promised. */
#ifndef STOREFRONT_TRAFFIC_H
#define STOREFRONT_TRAFFIC_H

#include "measure.h"
#include "reference.h"
#include "shop.h"

enum { TRAFFIC_THREADS = 32 };

/* What customers do, measured one by one. */
enum operation { FIND_USER, REGISTER_USER, FIND_ORDER, PLACE_ORDER, FIND_PAYMENT, RECORD_AUDIT, N_OPERATIONS };

/* What the service answered with success, and so must be in the database; and answers that were not true. */
struct ledger {
    int64_t users;
    int64_t orders;
    int64_t order_cents;
    int64_t audit_entries;
    int64_t wrong_answers;
};

struct traffic {
    struct measure measures[N_OPERATIONS];
    struct ledger ledger;
    size_t peak_connections; /* the pool held at one moment, at most */
    pgdbm_error first_error; /* status PGDBM_OK when there was none */
};

/* Which service an operation belongs to, what it does, and the statements each call sends. */
struct operation_text {
    const char *service;
    const char *what;
    int statements;
};
extern const struct operation_text traffic_operations[N_OPERATIONS];

/* Serves all threads for `seconds`. Errors of single calls are counted, not returned: false only when a thread could
 * not be started, after having said so. */
bool traffic_run(const struct shop *shop, const struct reference *reference, int seconds, struct traffic *traffic);

#endif
