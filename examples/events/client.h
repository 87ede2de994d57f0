/* SPDX-License-Identifier: MIT */
/* A connection: lines in, lines out, both bounded.
 *
 * One request of a client is under way at a time, and while it is, or while more than CLIENT_OUTPUT bytes wait for the
 * client to take them, nothing is read from it: the kernel's buffers fill up, and the client has to wait. Events that
 * such a client is to get are not queued for it either. They are in the table, where its connection reads them as soon
 * as it has caught up. So a client costs a bounded amount of memory however slow it is.
 *
 * A client lives until its handle is closed and its last request is complete. It belongs to the loop's thread. */
#ifndef EVENTS_CLIENT_H
#define EVENTS_CLIENT_H

#include "feed.h"

enum { CLIENT_LINE = 1100, CLIENT_INPUT = 4096, CLIENT_OUTPUT = 64 * 1024 };

struct server;

struct client {
    struct client *next, *previous; /* of the server's list */
    struct server *server;
    uv_tcp_t handle;
    unsigned references; /* the handle's, and one for each request under way */
    char input[CLIENT_INPUT];
    size_t input_bytes;
    bool skipping; /* the rest of a line that was too long */
    bool reading;  /* the socket is read */
    bool finished; /* the client has said all it wants to say */
    bool closing;
    bool pumping;
    bool busy; /* a request of its is under way */
    bool subscribed;
    bool catching_up; /* a page is under way */
    int64_t position; /* of a subscriber: the last event that was sent to it */
};

/* Takes a connection that waits at `listener`; NULL when that failed. */
struct client *client_accept(struct server *server, uv_stream_t *listener);
/* Ends it, at once; legal at any time, and twice. */
void client_close(struct client *client);

/* Sends a line; or text that was allocated, which is taken over. What fails closes the client. */
void client_say(struct client *client, const char *format, ...) PGDBM_PRINTF(2, 3);
void client_write(struct client *client, char *text, size_t bytes);

/* Begins and ends a request: between them the client exists, and its next line waits. */
void client_begin(struct client *client);
void client_end(struct client *client);

/* Events after `before` were published (perhaps none): a subscriber that is up to date gets them, another one catches
 * up when it can. */
void client_hear(struct client *client, const struct feed_lines *lines, int64_t before);

#endif
