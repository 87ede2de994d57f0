/* SPDX-License-Identifier: MIT */
/* audit: a library that keeps a log of who did what, written in dual mode. Give it a connection string and it has a
 * pool of its own; give it a host's manager or pool and it lives there. It brings its own tables in both. Any thread.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include <pgdbm/pgdbm.h>

typedef struct audit audit;

/* Opens the log, migrated and ready. `source` names exactly one of connection_string, db, pool. `*log` is the caller's,
 * released with audit_close. */
pgdbm_status audit_open(const pgdbm_source *source, audit **log, pgdbm_error *err);

/* Writes one entry: what was done ("order.placed"), and to which subject. */
pgdbm_status audit_record(audit *log, const char *action, int64_t subject_id, pgdbm_error *err);

/* How many entries there are. */
pgdbm_status audit_count(audit *log, int64_t *entries, pgdbm_error *err);

/* The schema the log lives in, borrowed, and how many connections it opened for itself: none inside a host. */
const char *audit_schema(const audit *log);
size_t audit_connections(const audit *log);

/* Ends what the log opened, never what the host did. NULL is legal. */
void audit_close(audit *log);

#endif
