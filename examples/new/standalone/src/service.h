/* SPDX-License-Identifier: MIT */
/* What the service does with its tables. Every function takes a manager, wherever that comes from. */
#ifndef SERVICE_H
#define SERVICE_H

#include <pgdbm/pgdbm.h>

/* embedded from migrations/example */
extern const pgdbm_migrations example_migrations;

/* Opens a manager with a pool of its own, migrated and ready. `*db` is the caller's, released with pgdbm_close. */
pgdbm_status example_open(const char *url, pgdbm_db **db, pgdbm_error *err);

/* Brings the manager's schema up to date. example_open does it; this is for a manager that somebody else made. */
pgdbm_status example_migrate(pgdbm_db *db, pgdbm_error *err);

pgdbm_status example_add_note(pgdbm_db *db, const char *text, int64_t *id, pgdbm_error *err);
pgdbm_status example_count_notes(pgdbm_db *db, int64_t *notes, pgdbm_error *err);

#endif
