/* SPDX-License-Identifier: MIT */
/* Fixtures from inside: a file, its text, and how its errors name a place. */
#ifndef PGDBM_TESTKIT_FIXTURE_H
#define PGDBM_TESTKIT_FIXTURE_H

#include "testkit/data.h"

struct pgdbm__fixture {
    pgdbm_db *tx;     /* the transaction that everything is loaded in */
    const char *path; /* as the caller wrote it, for messages */
    const char *text; /* without a byte order mark; ends with NUL */
    size_t bytes;
    bool by_row; /* rows are inserted one by one, so that an error can name its row */
};

/* fixture_sql.c, fixture_json.c. `*bulk`: rows were inserted many at once, and the server refused some of them. */
pgdbm_status pgdbm__fixture_load_sql(const struct pgdbm__fixture *fixture, pgdbm_error *err);
pgdbm_status pgdbm__fixture_load_json(const struct pgdbm__fixture *fixture, bool *bulk, pgdbm_error *err);

/* Puts "<file>:<line>: " and what the format says before the message, which stays as it is otherwise. Line 0: the file as a
 * whole. Returns err->status. */
pgdbm_status pgdbm__fixture_name(const struct pgdbm__fixture *fixture, size_t line, pgdbm_error *err,
                                 const char *format, ...) PGDBM_PRINTF(4, 5);

#endif
