/* SPDX-License-Identifier: MIT */
/* Places for dual-mode libraries in tests (part of <pgdbm/testkit.h>): the same test body runs with a database of the
 * library's own and inside a host, and what a library of both kinds must not do is found.
 *
 *     for (int mode = 0; mode < PGDBM_TESTMODES; mode++) {
 *         pgdbm_testmode *place = NULL;
 *         audit *library = NULL;
 *         if (pgdbm_testmode_enter((pgdbm_testmode_kind)mode, NULL, &place, &err) != PGDBM_OK) ...
 *         if (audit_open(pgdbm_testmode_source(place), &library, &err) != PGDBM_OK) ...
 *         ... the body ...
 *         audit_close(library);
 *         if (pgdbm_testmode_leave(place, &err) != PGDBM_OK) ...
 *     }
 *
 * <pgdbm/adapters/cmocka.h> makes each mode a test of its own. */
#ifndef PGDBM_TESTMODE_H
#define PGDBM_TESTMODE_H

#include <pgdbm/testdb.h>

typedef enum pgdbm_testmode_kind {
    PGDBM_TESTMODE_STANDALONE = 0, /* a connection string; the library opens a pool */
    PGDBM_TESTMODE_ATTACHED,       /* the host's manager, and its schema, beside the host's own tables */
    PGDBM_TESTMODE_POOL            /* the host's pool, and a schema of the library's own */
} pgdbm_testmode_kind;

#define PGDBM_TESTMODES 3

typedef struct pgdbm_testmode pgdbm_testmode;

PGDBM_BEGIN_DECLS

/* "standalone", "attached" or "pool"; NULL for other numbers. */
PGDBM_EXPORT const char *pgdbm_testmode_name(pgdbm_testmode_kind kind);

/* Makes a throw-away database and the place. `host` says what the host's part of it contains, as for
 * pgdbm_testdb_create; NULL: nothing. Without a schema of its own the host has one that nobody can have guessed, and so
 * has the library with PGDBM_TESTMODE_STANDALONE and _POOL. `*place` is the caller's, released with pgdbm_testmode_leave.
 * Errors: as pgdbm_testdb_create. Any thread; the place belongs to one at a time. */
PGDBM_EXPORT pgdbm_status pgdbm_testmode_enter(pgdbm_testmode_kind kind, const pgdbm_testdb_options *host,
                                               pgdbm_testmode **place, pgdbm_error *err);

/* What is to be given to the library's function that opens it. Borrowed from the place. */
PGDBM_EXPORT const pgdbm_source *pgdbm_testmode_source(const pgdbm_testmode *place);

/* A manager of the library's schema, to look at what it did: pgdbm_close it before the place is left. The schema is there
 * once the library is open. Errors: as pgdbm_attach. */
PGDBM_EXPORT pgdbm_status pgdbm_testmode_look(const pgdbm_testmode *place, pgdbm_db **db, pgdbm_error *err);

/* After the library was closed: drops the database and releases the place, also when it returns an error. NULL is legal.
 * Errors: TESTDB with what the library did wrong, and the way out:
 *
 * | found                                             | what it comes from                                            |
 * |---------------------------------------------------|---------------------------------------------------------------|
 * | a table, sequence, view, function or type outside | a bare name or a hard-coded schema instead of {{tables.name}} |
 * | of the library's schema                           |                                                               |
 * | the manager that was lent, or the host's pool, is | pgdbm_close, pgdbm_pool_close on what is the host's           |
 * | closed                                            |                                                               |
 * | a session that is not the host's is still open    | a manager that was not closed, a pool beside the host's       |
 *
 * and everything that a query can return. */
PGDBM_EXPORT pgdbm_status pgdbm_testmode_leave(pgdbm_testmode *place, pgdbm_error *err);

PGDBM_END_DECLS
#endif
