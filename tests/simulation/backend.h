/* SPDX-License-Identifier: MIT */
/* The simulated server: one backend for each connection. It reads the frontend's protocol byte by byte, has prepared
 * statements, transactions and savepoints, answers at a Sync or when its buffer of 8 kB is full, skips to the next Sync
 * after an error, and takes its time. language.c says what the SQL texts mean. */
#ifndef PGDBM_TESTS_SIMULATION_BACKEND_H
#define PGDBM_TESTS_SIMULATION_BACKEND_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKEND_LIMIT 4096
#define VALUE_BYTES 64

/* One direction of a connection. Counts are of all bytes since its beginning. */
struct channel {
    struct pgdbm__buffer bytes; /* those that have been sent and not been taken */
    uint64_t sent, arrived, taken;
    uint64_t cut_at; /* the connection dies when so many bytes have been sent */
    int64_t last_arrival;
    bool ended, at_end; /* nothing more is sent; and the other side has come to know */
};

struct prepared {
    char name[24];
    char sql[400];
    unsigned shape; /* of the column that may change its type, when it was parsed */
};

struct portal {
    bool open;
    struct prepared statement;
    char values[2][VALUE_BYTES];
};

struct savepoint {
    char name[64];
    size_t n_effects, n_notes;
};

/* What a transaction will have done. */
struct note {
    char channel[VALUE_BYTES], payload[VALUE_BYTES];
};

struct backend {
    int number;
    bool shut, closed, exited; /* by the client: hung up, gone; and the server's process has ended */
    struct channel to_server, to_client;
    struct pgdbm__buffer out, outgoing; /* the server's buffer; and what the network does not take */

    struct prepared prepared[128];
    size_t n_prepared;
    struct portal portal;
    bool ignoring; /* until the next Sync */
    bool executing, simple;
    uint64_t execution;
    char query[800];

    char block;     /* as ReadyForQuery says: I, T, E */
    unsigned owner; /* the number of the transaction that runs, once it is known */
    unsigned effects[512];
    size_t n_effects;
    struct note notes[64];
    size_t n_notes;
    struct savepoint savepoints[16];
    size_t n_savepoints;
    bool colored; /* somebody has changed a setting */
    char listening[8][VALUE_BYTES];
    size_t n_listening;
    struct note inbox[256];
    int senders[256];
    size_t n_inbox;
};

/* All backends of this world, by their numbers from 0. */
extern struct backend *backends[BACKEND_LIMIT];
extern size_t n_backends;

struct backend *backend_new(void);
void backends_free(void);

/* Goes on with what has arrived. */
void backend_run(struct backend *backend);
/* A cancel request has arrived. */
void backend_cancel(struct backend *backend);
/* The administrator ends it. */
void backend_terminate(struct backend *backend);
/* The connection is gone: the process ends, and what it had not committed is undone. */
void backend_exit(struct backend *backend);

/* Between backend.c and transaction.c, language.c. */
void backend_answer(struct backend *backend, const char *command_tag);
void backend_row(struct backend *backend, const char *value, size_t padding);
void backend_error(struct backend *backend, const char *sqlstate, const char *message, const char *routine);
void backend_changed_setting(struct backend *backend);

void transaction_begin(struct backend *backend);
void transaction_commit(struct backend *backend);
void transaction_undo(struct backend *backend);
void transaction_failed(struct backend *backend); /* an error: an explicit one is aborted, another undone */
bool transaction_savepoint(struct backend *backend, const char *name);
bool transaction_release(struct backend *backend, const char *name);
bool transaction_return(struct backend *backend, const char *name);
void transaction_effect(struct backend *backend, unsigned effect);
void transaction_notify(struct backend *backend, const char *channel, const char *payload);

/* What a text is, before it runs. */
struct phrase {
    const char *sql; /* all of it, or the beginning of it when it ends with a space */
    int n_parameters;
    bool rows, slow;
    bool ends_transaction; /* may run in a failed one */
    void (*run)(struct backend *backend, const char *sql, char values[2][VALUE_BYTES]);
};

const struct phrase *language_find(const char *sql);
/* Runs the texts of a simple query one by one; false when one fails. */
bool language_run_query(struct backend *backend, const char *query);
/* The type of its column: of one statement it changes. */
uint32_t language_column_type(const char *sql);
bool language_is_outdated(const struct prepared *prepared);
unsigned language_shape(void);
void language_begin(void);

/* network.c: bytes that the server sends. */
void network_send_to_client(struct backend *backend, const char *data, size_t bytes, size_t *moved);
void network_end_to_client(struct backend *backend);

#endif
