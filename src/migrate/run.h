/* SPDX-License-Identifier: MIT */
/* A run: one call on one (module, schema), from the files to the report. What every verb that looks or writes is made of:
 *
 *     struct pgdbm__run run = {0};
 *     status = pgdbm__run_begin(&run, "pgdbm_migrate_rollback", db, options, options_bytes, err);  no database yet
 *     if (status == PGDBM_OK)
 *         status = pgdbm__run_look(&run, err);                          one query, no lock, no right but SELECT
 *     while (status == PGDBM_OK && <there is something to do>)
 *         status = pgdbm__run_locked(&run, undo_one, &context, err);    session, lock, look, act, unlock
 *     status = pgdbm__run_end(&run, status, report, err);               the report, and everything released
 *
 * A run owns its files, its rows and one session at a time; nothing outlives the call but the report. One thread. */
#ifndef PGDBM_MIGRATE_RUN_H
#define PGDBM_MIGRATE_RUN_H

#include "migrate/history.h"
#include "migrate/lock.h"
#include "migrate/source.h"

#include <pgdbm/migrate.h>

#include <stdint.h>

/* Zero-initialise. */
struct pgdbm__run {
    pgdbm_db *db; /* the caller's manager */
    pgdbm_migrate_options
        options; /* with defaults filled in: wait_timeout_ms, lock_timeout_ms, lock_attempts; borrowed texts */
    const char *template_schema; /* the manager's, NULL for none */
    struct pgdbm__history history;
    struct pgdbm__migration_set set;
    struct pgdbm__history_rows rows;
    char *begun_and_gone; /* a no-transaction file that has not ended, and is none of the files; NULL: there is none */
    bool matched;         /* the files have their states */
    bool acted;           /* something may have changed since the history was read */
    bool current;         /* what was read of the history is so still, unless an act is under way */
    bool trial;           /* nothing stays: the history is not made */
    int64_t started;      /* nanoseconds */

    /* While an act runs. */
    struct pgdbm__migration_lock lock;
    pgdbm_db *session; /* has the lock: a pinned session, or behind a pooler a transaction. pgdbm_begin works on both */
    bool pooled;       /* it is a transaction: what cannot run in one must be refused */

    /* What the commit behind a pooler will have applied, set by apply.c: NULL when there is nothing. */
    const struct pgdbm__script *uncommitted;
    struct pgdbm__migration_file *uncommitted_file; /* NULL of a down part */

    size_t file, n_files; /* for the progress: which of those that this call runs, from 1 */
};

/* Reads the files and checks the options; sends nothing. `migrations` may be missing where `needs_files` is false. */
pgdbm_status pgdbm__run_begin(struct pgdbm__run *run, const char *function, pgdbm_db *db,
                              const pgdbm_migrate_options *options, size_t options_bytes, bool needs_files,
                              pgdbm_error *err);

/* Reads the history and gives each file its state. On the session that has the lock, if there is one; else on the manager. */
pgdbm_status pgdbm__run_look(struct pgdbm__run *run, pgdbm_error *err);

/* What an act does while it has the lock and knows the history: run->session, run->set, run->rows. */
typedef pgdbm_status (*pgdbm__run_act)(struct pgdbm__run *run, void *context, pgdbm_error *err);

/* Takes the lock on a session of its own, looks, calls `act`, and gives the lock back. What `act` leaves in the session
 * (search_path, role, temporary tables) is undone by the pool and cannot reach the next act: one act for each file. Behind a
 * pooler all of it is one transaction, rolled back when `act` fails. */
pgdbm_status pgdbm__run_locked(struct pgdbm__run *run, pgdbm__run_act act, void *context, pgdbm_error *err);

/* Whether a run up to options.target may begin: the policies allow every state, and what runs is prepared. Errors: MIGRATION,
 * SCHEMA; a CHANGED one shows the difference, for which the text that was applied is read. */
pgdbm_status pgdbm__run_check(struct pgdbm__run *run, pgdbm_error *err);

/* Tells options.on_progress; fills in module, schema, file, n_files, elapsed_ms. CANCELED when it says so. */
pgdbm_status pgdbm__run_progress(const struct pgdbm__run *run, pgdbm_migration_progress progress, pgdbm_error *err);

/* Everything about a file that its history row says. */
struct pgdbm__history_entry pgdbm__run_entry(const struct pgdbm__migration_file *file, double execution_ms);

/* Makes the report (`report` may be NULL) as far as the run came, reading the history once more when something was done, and
 * releases everything. Returns `status`, or what the report failed with when that is PGDBM_OK. */
pgdbm_status pgdbm__run_end(struct pgdbm__run *run, pgdbm_status status, pgdbm_migration_report **report,
                            pgdbm_error *err);

#endif
