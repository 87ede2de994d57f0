/* SPDX-License-Identifier: MIT */
/* The server: its database, its feed, its clients. One of it; all of it belongs to the loop's thread. */
#ifndef EVENTS_SERVER_H
#define EVENTS_SERVER_H

#include "client.h"

#include <pgdbm/adapters/libuv.h>

enum { SERVER_CLIENTS = 1000 };

struct server {
    uv_loop_t *loop;
    pgdbm_db *db; /* and its pool */
    pgdbm_libuv adapter;
    struct feed feed;
    uv_tcp_t listener;
    struct client *clients;
    size_t n_clients;
    bool attached, feeding, listening;
};

/* Migrates, listens to the database, and to `port` of 127.0.0.1 (0: any). After an error, server_close. */
pgdbm_status server_open(struct server *server, uv_loop_t *loop, const char *connection_string, int port,
                         pgdbm_error *err);
/* The port it listens to. */
int server_port(const struct server *server);
/* Ends connections, requests and the pool. The loop then has nothing of the server's left after its next turns. */
void server_close(struct server *server);

/* A client's: it is closing. */
void server_forget(struct server *server, struct client *client);

#endif
