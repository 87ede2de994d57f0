/* SPDX-License-Identifier: MIT */
/* One script on its way into the database: what the ways of running it share. apply.c runs it as one transaction,
 * stepwise.c statement by statement, place.c tells what went wrong and where. */
#ifndef PGDBM_MIGRATE_JOB_H
#define PGDBM_MIGRATE_JOB_H

#include "migrate/run.h"

struct pgdbm__watch;

/* Zero-initialise. Everything is borrowed. Whatever fails is told in `error`, which the caller of the job gets to see
 * only when the last attempt has failed. */
struct pgdbm__job {
    struct pgdbm__run *run;
    const struct pgdbm__script *script;
    struct pgdbm__migration_file *file;   /* what is recorded; NULL for a down part ... */
    const struct pgdbm__history_row *row; /* ... with which this row is deleted */
    int64_t started;
    size_t statement; /* the one at hand, from 0 */
    int attempt;      /* from 1 */
    pgdbm_error error;

    /* Called behind each statement, unless NULL. */
    pgdbm_status (*observe)(struct pgdbm__job *job, pgdbm_db *tx, double statement_ms);
    void *observer;
    bool done; /* what was to be committed is (behind a pooler: is ready to be) */
};

/* Tells the progress; `statement` counts in the STATEMENT phase only. */
pgdbm_status pgdbm__job_tell(struct pgdbm__job *job, pgdbm_migration_phase phase);
/* Calls a hook of the caller, which may be NULL. */
pgdbm_status pgdbm__job_hook(struct pgdbm__job *job, pgdbm_migration_hook hook, const char *which, pgdbm_db *tx);

/* Whether the error is that locks were not to be had. */
bool pgdbm__job_is_busy(const struct pgdbm__job *job);
/* Whether it is, and the attempts are not used up. Then tells the progress and
 * pauses; false also when the callback cancels, which `*status` then says. */
bool pgdbm__job_again(struct pgdbm__job *job, pgdbm_status *status);
bool pgdbm__job_last_attempt(const struct pgdbm__job *job);

/* What the script's DDL may wait for a lock, as a value for the server: 0 is no limit there. */
int pgdbm__job_lock_timeout_ms(const struct pgdbm__job *job);

/* Appends what makes the rest of a transaction run as the session was when it got the lock, whoever the script has
 * become meanwhile; and what records the script. */
void pgdbm__job_identity_sql(const struct pgdbm__job *job, struct pgdbm__buffer *sql);
void pgdbm__job_record_sql(const struct pgdbm__job *job, struct pgdbm__buffer *sql);

/* Finds out whether the session still has the module's lock, and `transaction` (may be NULL) is still the one at hand.
 */
pgdbm_status pgdbm__job_check_hold(struct pgdbm__job *job, pgdbm_db *db, const char *transaction);

/* Runs a message that was composed; frees it. */
pgdbm_status pgdbm__job_send(struct pgdbm__job *job, pgdbm_db *db, struct pgdbm__buffer *sql);

/* One attempt to run the script as a transaction (apply.c). Zero-initialise. */
struct pgdbm__attempt {
    pgdbm_db *tx;
    pgdbm_result *opened;    /* what the server said at the beginning */
    const char *transaction; /* its number, by which it is recognised at the end; borrowed from `opened` */
    struct pgdbm__watch *watch;
};
/* Begins, with the time-outs of the job; sets those of another job; everything of the job up to its row in the history. */
pgdbm_status pgdbm__attempt_open(struct pgdbm__job *job, struct pgdbm__attempt *attempt);
pgdbm_status pgdbm__attempt_set_timeouts(struct pgdbm__job *job, struct pgdbm__attempt *attempt);
pgdbm_status pgdbm__attempt_run(struct pgdbm__job *job, const struct pgdbm__attempt *attempt);
/* Ends what is not committed. After a failure: and completes job->error. `blockers`: as of pgdbm__watch_end. */
void pgdbm__attempt_close(struct pgdbm__attempt *attempt, char **blockers);
void pgdbm__attempt_give_up(struct pgdbm__job *job, struct pgdbm__attempt *attempt);

/* The script's statements one by one, each of its own (stepwise.c). */
pgdbm_status pgdbm__job_stepwise(struct pgdbm__job *job);

/* Puts the place before job->error's message: of the statement at hand, or of the file and what was done with it. Makes
 * MIGRATION of what the migration is to blame for. Returns the status. */
pgdbm_status pgdbm__job_fail_statement(struct pgdbm__job *job, pgdbm_status status);
pgdbm_status pgdbm__job_fail(struct pgdbm__job *job, pgdbm_status status, const char *when);
/* Adds who has the locks: `blockers` as they were seen while the statement waited; NULL: finds out who could be. */
void pgdbm__job_name_blockers(struct pgdbm__job *job, const char *blockers);

#endif
