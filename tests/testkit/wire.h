/* SPDX-License-Identifier: MIT */
/* Both ends of a connection through a proxy, in the hands of one test: what is written at one end is looked for at the
 * other. One thread. */
#ifndef PGDBM_TESTS_TESTKIT_WIRE_H
#define PGDBM_TESTS_TESTKIT_WIRE_H

#include "support/server.h"

/* Generous: what takes so long hangs. */
#define WIRE_LIMIT_MS 20000

struct wire {
    pgdbm_testproxy *proxy;
    int listener; /* the server's */
    int port;
    int client, server; /* -1: closed */
};

/* For cmocka: `*state` is a wire, connected over TCP or by a unix socket. */
int wire_setup(void **state);
int wire_setup_unix(void **state);
int wire_teardown(void **state);

/* A connection more: both ends, or the client's alone; the caller closes them. */
int wire_dial(struct wire *wire);
int wire_answer(struct wire *wire);
void wire_close(int *file);
/* The errno of a client that connects; 0: it was accepted, and hung up. */
int wire_dial_errno(struct wire *wire);

void wire_write(int file, const char *text);
/* The bytes that come next must be these. */
void wire_expect(int file, const char *text);
/* The other end must have hung up, or reset the connection. */
void wire_expect_end(int file);
void wire_expect_reset(int file);
/* Nothing is there to be read, now. */
void wire_expect_nothing(int file);
/* Writes to the server, and waits until the proxy has taken it. The server must have spoken since the client last did. */
void wire_write_taken(struct wire *wire, const char *text);
/* A word each way, to have been there before what follows. */
void wire_talk(int client, int server);
int wire_descriptors(void);

#endif
