/* SPDX-License-Identifier: MIT */
/* The fake server from inside. fake.c owns server and connections, fake_run.c is what a connection's thread does,
 * fake_script.c makes orders of steps, fake_show.c words what was expected and what came. */
#ifndef PGDBM_TESTKIT_FAKE_H
#define PGDBM_TESTKIT_FAKE_H

#include "base/buffer.h"
#include "testkit/testkit.h"

#include <pgdbm/testfake.h>
#include <pthread.h>

/* A step, checked. What sends has become bytes: all of its kinds are PGDBM_TESTFAKE_SEND (and GREETING, which expects
 * first). */
struct pgdbm__fake_order {
    pgdbm_testfake_kind kind;
    char type;
    char *data; /* to send or to expect */
    size_t bytes;
    size_t number;
    int ms;       /* of delays */
    size_t times; /* of loops; SIZE_MAX: until the client goes */
};

struct pgdbm__fake_orders {
    struct pgdbm__fake_order *orders;
    size_t count;
};

struct pgdbm__fake_connection {
    pgdbm_testfake *fake;
    struct pgdbm__fake_connection *next; /* set before the thread starts */
    pthread_t thread;
    int fd; /* the thread's */

    /* Guarded by the fake's lock. */
    size_t number; /* 0: not opened yet */
    size_t done;   /* steps */
    bool finished; /* no more steps will be done */
    bool over;     /* the thread will touch nothing more: it can be joined */
    bool joined;

    /* The thread's own. */
    const struct pgdbm__fake_orders *orders;
    size_t at;      /* the order in hand */
    size_t next_at; /* and the next one */
    bool resets;
    size_t *rounds;   /* for each order that is a loop: how often it went round */
    size_t read_lot;  /* 0: no limit */
    size_t write_lot; /* 0: no limit */
    int read_ms, write_ms;
    bool cutting;
    size_t cut_after;
    struct pgdbm__buffer in; /* what came and was not yet used, from `used` on */
    size_t used;
};

struct pgdbm_testfake {
    struct pgdbm__fake_orders *scripts; /* one at least */
    size_t n_scripts;
    bool bare;
    int listener;
    int stop; /* an eventfd that becomes readable, and stays so, when all is to end */
    int port;
    bool has_acceptor;
    pthread_t acceptor;
    char directory[PGDBM__PATH_BYTES]; /* of the unix socket; "": none */
    char socket[PGDBM__PATH_BYTES];
    char url[4 * PGDBM__PATH_BYTES];

    bool has_lock;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything below */
    pgdbm_testfake_door door;
    bool stopping;
    size_t permits; /* given by proceed and not yet taken */
    size_t n_connections, n_cancels;
    struct pgdbm__fake_connection *connections; /* the latest first; they stay until the fake ends */
    pgdbm_error failure;                        /* the first; status PGDBM_OK: none */
};

/* fake_script.c */
pgdbm_status pgdbm__fake_compile(const pgdbm_testfake_script *script, size_t number, bool unix_socket,
                                 struct pgdbm__fake_orders *orders, pgdbm_error *err);
void pgdbm__fake_orders_free(struct pgdbm__fake_orders *orders);

/* fake_show.c: bytes as text, what is not printable as \0 or \xNN, "..." when they do not fit; and a frontend message's
 * type with its name. */
void pgdbm__fake_show(const void *data, size_t bytes, char *text, size_t text_bytes);
void pgdbm__fake_name(char type, char text[32]);

/* fake_run.c: a connection from its beginning to its end. */
void pgdbm__fake_run(struct pgdbm__fake_connection *connection);

/* fake.c, for the connections' threads. Keeps the failure if it is the first. */
void pgdbm__fake_fail(pgdbm_testfake *fake, const pgdbm_error *failure);

#endif
