/* SPDX-License-Identifier: MIT */
/* Opening a connection through libpq and taking its socket over. */
#ifndef PGDBM_TRANSPORT_CONNECT_H
#define PGDBM_TRANSPORT_CONNECT_H

#include "transport/transport.h"

/* What a failed attempt says about the next one. */
enum pgdbm__connect_failure {
    PGDBM__CONNECT_TRANSIENT = 0, /* try again after a while */
    PGDBM__CONNECT_BUSY,          /* the server is there and asks for patience: 57P03, 53300 */
    PGDBM__CONNECT_HOPELESS,      /* trying again cannot help: 28xxx, 3D000, a setting the server refuses */
    PGDBM__CONNECT_STOPPED        /* `stop_fd` became readable */
};

/* Connects with the parameters of PQconnectStartParams (dbname expanded). Blocks until the deadline or until `stop_fd`
 * is readable. On failure the error's status is CONNECTION, its sqlstate the server's if there was one, its message the
 * server's or libpq's reason; *failure says what to do. One thread per transport. */
typedef pgdbm_status pgdbm__connect_function(struct pgdbm__transport *transport, const char *const *keywords,
                                             const char *const *values, int64_t deadline, int stop_fd,
                                             enum pgdbm__connect_failure *failure, pgdbm_error *err);
pgdbm__connect_function pgdbm__transport_connect;

#endif
