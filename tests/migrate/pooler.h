/* SPDX-License-Identifier: MIT */
/* A PgBouncer of a test's own, pooling transactions, in front of the test server. */
#ifndef PGDBM_TESTS_MIGRATE_POOLER_H
#define PGDBM_TESTS_MIGRATE_POOLER_H

#include "support/server.h"

#include <stdbool.h>
#include <sys/types.h>

struct pooler {
    char directory[TEST_PATH_BYTES]; /* of its socket, port 5432 */
    pid_t pid;
};

/* False when there is no pgbouncer here, which it says on standard error. */
bool pooler_start(struct pooler *pooler, const char *server_directory);
void pooler_stop(struct pooler *pooler);

#endif
