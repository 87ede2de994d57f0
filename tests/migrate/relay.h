/* SPDX-License-Identifier: MIT */
/* A relay between one client and the test server that counts round trips: how often the client spoke after the server had.
 * A thread of its own. */
#ifndef PGDBM_TESTS_MIGRATE_RELAY_H
#define PGDBM_TESTS_MIGRATE_RELAY_H

#include "support/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct relay {
    char directory[TEST_PATH_BYTES]; /* where its socket lies */
    const char *server_directory;
    int listener;
    int stop[2];
    pthread_t thread;
    atomic_size_t trips;
};

/* Listens as a server of port 5432 in a directory of its own; clients one after the other. */
void relay_start(struct relay *relay, const char *server_directory);
void relay_stop(struct relay *relay);

#endif
