/* SPDX-License-Identifier: MIT */
/* Putting it together, and taking it apart in the reverse order. */
#include "server.h"

#include "events_migrations.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const pgdbm_module module = {.name = "events", .migrations = &events_migrations};

static void on_events(const struct feed_lines *lines, int64_t before, void *context)
{
    struct server *server = context;
    for (struct client *client = server->clients, *next; client != NULL; client = next) {
        next = client->next; /* it may be closed meanwhile, and taken out of the list */
        client_hear(client, lines, before);
    }
}

static void on_connection(uv_stream_t *listener, int failure)
{
    struct server *server = listener->data;
    struct client *client = failure == 0 ? client_accept(server, listener) : NULL;
    if (client == NULL)
        return;
    client->next = server->clients;
    if (client->next != NULL)
        client->next->previous = client;
    server->clients = client;
    if (++server->n_clients > SERVER_CLIENTS) {
        client_say(client, "ERROR there are %d clients already", (int)SERVER_CLIENTS);
        client_close(client);
    }
}

void server_forget(struct server *server, struct client *client)
{
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        server->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    server->n_clients--;
}

static pgdbm_status listen_to(struct server *server, int port, pgdbm_error *err)
{
    struct sockaddr_in address;
    int failure = uv_ip4_addr("127.0.0.1", port, &address);
    (void)uv_tcp_init(server->loop, &server->listener);
    server->listener.data = server;
    server->listening = true;
    if (failure == 0)
        failure = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    if (failure == 0)
        failure = uv_listen((uv_stream_t *)&server->listener, 128, on_connection);
    if (failure == 0)
        return PGDBM_OK;
    *err = (pgdbm_error){.status = PGDBM_ERR_ARGUMENT};
    snprintf(err->message, sizeof err->message, "cannot listen to port %d: %s", port, uv_strerror(failure));
    return PGDBM_ERR_ARGUMENT;
}

/* [open] */
pgdbm_status server_open(struct server *server, uv_loop_t *loop, const char *connection_string, int port,
                         pgdbm_error *err)
{
    const pgdbm_config config = {
        .application_name = "events", .min_connections = 2, .max_connections = 4, .drain_timeout_ms = 2000};
    const pgdbm_source source = {.connection_string = connection_string, .config = &config};
    server->loop = loop;
    pgdbm_status status = pgdbm_module_open(&module, &source, &server->db, err);
    if (status == PGDBM_OK)
        status = pgdbm_libuv_attach(&server->adapter, loop, pgdbm_pool_of(server->db), err);
    server->attached = status == PGDBM_OK;
    if (status == PGDBM_OK) {
        server->feeding = true;
        status = feed_start(&server->feed, server->db, loop, on_events, server, err);
    }
    return status == PGDBM_OK ? listen_to(server, port, err) : status;
}
/* [/open] */

int server_port(const struct server *server)
{
    struct sockaddr_in address = {0};
    int bytes = sizeof address;
    (void)uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &bytes);
    return ntohs(address.sin_port);
}

/* [close] */
void server_close(struct server *server)
{
    if (server->listening)
        uv_close((uv_handle_t *)&server->listener, NULL);
    while (server->clients != NULL)
        client_close(server->clients);
    if (server->feeding)
        feed_stop(&server->feed);
    if (server->attached)
        pgdbm_libuv_detach(&server->adapter, NULL, NULL);
    /* Requests under way are completed here, and the last of their clients' references given back. */
    pgdbm_close(server->db);
    server->db = NULL;
    server->listening = server->feeding = server->attached = false;
}
/* [/close] */
