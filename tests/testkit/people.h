/* SPDX-License-Identifier: MIT */
/* What tests of throw-away databases share: looking at a server, and processes that come to an end. */
#ifndef PGDBM_TESTS_TESTKIT_PEOPLE_H
#define PGDBM_TESTS_TESTKIT_PEOPLE_H

#include "support/server.h"

#include <sys/types.h>

/* One number from the test program's server. */
long server_number(const char *sql);
/* How many databases have names that begin so. */
long databases_like(const char *prefix);
/* "pgdbm_test_PID_", which a process's databases begin with. */
const char *names_of(pid_t pid);

/* Makes this process the parent of whatever its children leave behind, janitors for example, so that it can wait for
 * them. Starts the server before, which must not be among them. */
void adopt_orphans(void);
/* Until no child is left. The test's time limit is against hangs. */
void await_everybody(void);

/* Forks; the child runs `body` and ends with what it returns. */
pid_t start_child(int (*body)(void *context), void *context);
/* Its exit code, or 128 and the signal. */
int await_child(pid_t child);

#endif
