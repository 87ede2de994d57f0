/* SPDX-License-Identifier: MIT */
/* The services on one pool, each with a manager bound to a schema of its own. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <pgdbm/pgdbm.h>

struct program {
    pgdbm_db *users;
    pgdbm_db *orders;
};

/* Opens the services on the pool and migrates them, in the order of what they depend on. `*program` is the caller's,
 * released with program_close, also after an error. */
pgdbm_status program_open(pgdbm_pool *pool, struct program *program, pgdbm_error *err);

/* The pool is left to whoever opened it. */
void program_close(struct program *program);

#endif
