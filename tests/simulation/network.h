/* SPDX-License-Identifier: MIT */
/* The simulated network: what the library gets in place of sockets, of the kernel's polling, and of connecting. */
#ifndef PGDBM_TESTS_SIMULATION_NETWORK_H
#define PGDBM_TESTS_SIMULATION_NETWORK_H

#include "simulation/backend.h"
#include "transport/connect.h"
#include "transport/poller.h"

extern const struct pgdbm__poller_operations network_poller;
pgdbm__connect_function network_connect;

void network_begin(int max_connections, bool (*other_threads)(void));

/* Whether whoever watches the poller's descriptor would find it readable. */
bool network_is_readable(void);
/* When its timer goes. */
int64_t network_timer(void);

/* A connection dies now: a part of what is under way still comes. */
void network_break(struct backend *backend);
/* The backend of a transport; and whether the client has seen the end of its connection. */
struct backend *network_backend(const struct pgdbm__transport *transport);
bool network_has_ended(const struct backend *backend);

#endif
