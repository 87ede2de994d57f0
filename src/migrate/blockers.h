/* SPDX-License-Identifier: MIT */
/* Who has the locks that a migration waits for. Best effort: no answer is no error. */
#ifndef PGDBM_MIGRATE_BLOCKERS_H
#define PGDBM_MIGRATE_BLOCKERS_H

#include <pgdbm/db.h>

/* SQL that describes the process p.pid, with a = its row of pg_stat_activity or NULLs. */
#define PGDBM__PROCESS_SQL                                                                                             \
    "pg_catalog.concat('process ', p.pid, ', application ', coalesce(nullif(a.application_name, ''),"                  \
    " 'without a name'), ', user ', coalesce(a.usename, '?'), ', ', coalesce(a.state, 'state not visible'), ' for ',"  \
    " coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::bigint, 0), ' s, statement: ',"      \
    " pg_catalog.left(a.query, 120))"

/* After the wait has ended in vain: who has locks on what the statement names, or is named in the server's `detail` (of
 * a deadlock). Asked on a session outside of any transaction. NULL: nobody is known; else released with pgdbm_free. */
char *pgdbm__blockers_of_statement(pgdbm_db *session, const char *sql, const char *detail);

/* Watches a session from another one of the pool while it works, in a thread of its own, because only then the server
 * tells exactly who blocks it. */
struct pgdbm__watch;

/* `db`: the manager. `pid`: the watched server process. `lock_timeout_ms`: how long it waits. NULL when there is nothing to
 * watch with. */
struct pgdbm__watch *pgdbm__watch_begin(pgdbm_db *db, int pid, int lock_timeout_ms);
/* Ends it. `*blockers` (may be NULL) becomes who was seen last, or NULL; released with pgdbm_free. NULL is legal. */
void pgdbm__watch_end(struct pgdbm__watch *watch, char **blockers);

#endif
