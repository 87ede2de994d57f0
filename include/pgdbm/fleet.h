/* SPDX-License-Identifier: MIT */
/* A fleet: one module in many schemas of one database, a schema for each tenant.
 *
 *     pgdbm_fleet_options options = {.module = "shop", .migrations = &shop_migrations, .pattern = "tenant\\_%"};
 *     pgdbm_fleet_open(pool, &options, &fleet, &err);
 *     pgdbm_fleet_roll_out(fleet, &(pgdbm_roll_out){.workers = 4, .canaries = canaries, .n_canaries = 2}, &tally, &err);
 *
 * Each tenant's own history (schema_migrations in its schema, rows of module "shop_<schema>") is the truth; it travels with the
 * schema. Beside it, the table pgdbm.target has one row for each tenant, written in the same transaction, so that one query
 * says who is behind. pgdbm_fleet_sync makes it again from the histories.
 *
 * Any number of processes may roll out at the same time: a tenant is claimed by a row lock (SELECT ... FOR UPDATE SKIP LOCKED)
 * inside the transaction that migrates it, so whoever dies loses one transaction and nothing else. */
#ifndef PGDBM_FLEET_H
#define PGDBM_FLEET_H

#include <pgdbm/migrate.h>

typedef struct pgdbm_fleet pgdbm_fleet;

/* Which module, and which schemas: exactly one of schemas, pattern, query. */
typedef struct pgdbm_fleet_options {
    const char *module; /* recorded as "<module>_<schema>"; mandatory */
    const pgdbm_migrations *migrations;
    const char *const *schemas;
    size_t n_schemas;
    const char *pattern; /* LIKE, of the schemas that are there */
    const char *query;   /* gives one column of schema names */
    const char *table;   /* the histories' name, "schema_migrations" */
    const char *build;   /* for the histories, as in pgdbm_migrate_options */
} pgdbm_fleet_options;

typedef enum pgdbm_target_state {
    PGDBM_TARGET_CURRENT = 0, /* all files are applied */
    PGDBM_TARGET_BEHIND,      /* some are pending */
    PGDBM_TARGET_FAILED,      /* the last try failed; it is tried again */
    PGDBM_TARGET_QUARANTINED, /* failed too often, or by hand: left alone until pgdbm_fleet_release */
    PGDBM_TARGET_AHEAD,       /* has more than the files of this program */
    PGDBM_TARGET_DIVERGED,    /* its history is not a beginning of the files */
    PGDBM_TARGET_UNKNOWN      /* nothing is known of it yet: pgdbm_fleet_sync, or a roll-out, finds out */
} pgdbm_target_state;

typedef struct pgdbm_target {
    const char *schema;
    pgdbm_target_state state;
    const char *head;      /* "" when nothing is applied */
    size_t n_pending;      /* as far as head tells */
    int attempts;          /* since it was last current */
    const char *error;     /* of the last attempt; NULL when it went well */
    const char *failed_at; /* file:line of it; NULL */
    char sqlstate[6];
    const char *updated_at;
    double duration_ms; /* of the last attempt */
} pgdbm_target;

/* Released with pgdbm_fleet_report_free. */
typedef struct pgdbm_fleet_report {
    const char *module;
    const char *head;      /* the newest file's number */
    pgdbm_target *targets; /* those that are not current, unless asked for all; by schema */
    size_t n_targets;
    size_t counts[PGDBM_TARGET_UNKNOWN + 1]; /* of all, by state */
    size_t n_all;
} pgdbm_fleet_report;

/* While a roll-out runs. Texts are borrowed for the call. */
typedef struct pgdbm_roll_out_progress {
    size_t done, failed, postponed, n_targets; /* of this roll-out; postponed: busy, to be tried again */
    size_t wave, n_waves;
    double elapsed_ms, remaining_ms; /* remaining: by the pace so far; below 0: not known yet */
    const char *schema;              /* the last that ended; NULL when it is called for another reason */
    bool paused, throttled;
} pgdbm_roll_out_progress;

enum { PGDBM_FLEET_MOST_WORKERS = 256 }; /* of one process: other processes share the work, too */

typedef struct pgdbm_roll_out {
    int workers;                 /* threads, each with a session of its own, PGDBM_FLEET_MOST_WORKERS at most; 4 */
    const char *const *canaries; /* first, alone, all of which must succeed */
    size_t n_canaries;
    const int *waves; /* percentages, rising, 100 last; NULL: 1, 10, 100. A wave begins when the one before has ended */
    size_t n_waves;
    pgdbm_status (*verify)(pgdbm_db *db, void *context, pgdbm_error *err); /* each canary, migrated; may be NULL */
    size_t max_failures; /* the roll-out stops at more; 0: at the first; SIZE_MAX: never */
    int max_attempts;    /* of one tenant, then it is quarantined; 3 */
    int lock_timeout_ms; /* 2 000; a busy tenant goes to the back of the queue */
    int deadline_ms;     /* of the whole; 0: none. Nothing is begun after it */
    /* Both see nothing of other roles without pg_read_all_stats. */
    int max_lag_ms;    /* pause while a replica's replay is further behind; 0: not looked at */
    int max_active;    /* pause while more backends than these are active, roll-outs' not counted; 0: not looked at */
    int recycle_after; /* a session is closed after so many tenants, because a backend's caches grow; 300 */
    bool (*on_progress)(const pgdbm_roll_out_progress *progress, void *context); /* false: cancel. Any worker's thread,
                                                                                   one at a time */
    void *context;
} pgdbm_roll_out;

/* What a roll-out came to. */
typedef struct pgdbm_roll_out_tally {
    size_t migrated, failed, quarantined, skipped; /* skipped: current already, or done by another process meanwhile */
    double elapsed_ms;
} pgdbm_roll_out_tally;

PGDBM_BEGIN_DECLS

/* "current", "behind", ... Static. Any thread. */
PGDBM_EXPORT const char *pgdbm_target_state_name(pgdbm_target_state state);

/* Reads the files and finds the table pgdbm.target (makes it when missing). The pool stays the caller's, and must live as
 * long as the fleet. Any thread; a fleet is used by one at a time, except for the calls that say otherwise. Errors:
 * ARGUMENT, CONFIG, SCHEMA, MIGRATION (the files), and those of the server. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_open_sized(pgdbm_pool *pool, const pgdbm_fleet_options *options,
                                                 size_t options_bytes, pgdbm_fleet **fleet, pgdbm_error *err);
static inline pgdbm_status pgdbm_fleet_open(pgdbm_pool *pool, const pgdbm_fleet_options *options, pgdbm_fleet **fleet,
                                            pgdbm_error *err)
{
    return pgdbm_fleet_open_sized(pool, options, sizeof *options, fleet, err);
}
PGDBM_EXPORT void pgdbm_fleet_close(pgdbm_fleet *fleet);

/* Makes the rows of pgdbm.target from the histories: new tenants, tenants that are gone, heads that were changed by others.
 * Reads the histories in pieces, on a session that is closed afterwards. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_sync(pgdbm_fleet *fleet, pgdbm_error *err);

/* Who is where: one query. `all`: the report lists current tenants too. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_status(pgdbm_fleet *fleet, bool all, pgdbm_fleet_report **report,
                                             pgdbm_error *err);
PGDBM_EXPORT void pgdbm_fleet_report_free(pgdbm_fleet_report *report);

typedef enum pgdbm_fleet_format { PGDBM_FLEET_TEXT = 0, PGDBM_FLEET_JSON, PGDBM_FLEET_PROMETHEUS } pgdbm_fleet_format;
/* The report as text, released with pgdbm_free. NULL: out of memory, or no report. Prometheus gets the counts only
 * (pgdbm_fleet_targets{module=,state=}), never a series for each tenant. Any thread. */
PGDBM_EXPORT char *pgdbm_fleet_report_print(const pgdbm_fleet_report *report, pgdbm_fleet_format format);

/* Migrates every tenant that is behind. PGDBM_OK when all that it found are current at the end (quarantined ones and those
 * that are ahead do not count); MIGRATION when some failed (the error is the first one's) or are diverged, CANCELED, TIMEOUT
 * (the deadline), and what makes it pointless to go on (the disk is full, no session for a minute). Each tenant is tried once; a
 * busy one comes back until its turn has come ten times, about a minute with lock_timeout_ms 2 000. All files that are pending
 * for a tenant are one transaction, except where one of them runs without: then pgdbm_migrate does it, file by file. A tenant
 * that was rolled back or repaired by pgdbm_migrate_rollback or pgdbm_migrate_repair is looked at again; one that the Python
 * pgdbm rolled back, or a role that may not write pgdbm.target, needs a pgdbm_fleet_sync before. `tally` may be NULL. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_roll_out_sized(pgdbm_fleet *fleet, const pgdbm_roll_out *how, size_t how_bytes,
                                                     pgdbm_roll_out_tally *tally, pgdbm_error *err);
static inline pgdbm_status pgdbm_fleet_roll_out(pgdbm_fleet *fleet, const pgdbm_roll_out *how,
                                                pgdbm_roll_out_tally *tally, pgdbm_error *err)
{
    return pgdbm_fleet_roll_out_sized(fleet, how, sizeof *how, tally, err);
}

/* Of the roll-outs of this module in all processes, which look every third of a second: what is in work ends, nothing new
 * is begun until resumed (a roll-out that is started meanwhile waits, too); or the roll-outs that run end. Any thread, also while one runs on this fleet. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_pause(pgdbm_fleet *fleet, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fleet_resume(pgdbm_fleet *fleet, pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fleet_cancel(pgdbm_fleet *fleet, pgdbm_error *err);

/* Takes a tenant out of roll-outs, and puts it back. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_quarantine(pgdbm_fleet *fleet, const char *schema, const char *reason,
                                                 pgdbm_error *err);
PGDBM_EXPORT pgdbm_status pgdbm_fleet_release(pgdbm_fleet *fleet, const char *schema, pgdbm_error *err);

/* A new tenant: schema, everything the files make, histories and its row, in one transaction and one message. Refused when the
 * schema is there. Files without a transaction are run in one here (a new schema has nobody to disturb): CONCURRENTLY is
 * left out of CREATE INDEX; what else cannot run in one is MIGRATION. What the files require of other modules is not looked
 * for: it is the tenant's maker who knows. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_create_tenant(pgdbm_fleet *fleet, const char *schema, pgdbm_error *err);
/* Many at once, by so many workers; those that are there already are passed over. *created may be NULL. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_create_tenants(pgdbm_fleet *fleet, const char *const *schemas, size_t n_schemas,
                                                     int workers, size_t *created, pgdbm_error *err);

/* At a tenant's first use: a manager on it, migrated if it was behind. What was found current once is not looked at again by
 * this fleet. Errors: SCHEMA (there is no such tenant), MIGRATION (it is quarantined, diverged, or its migration failed), TIMEOUT
 * (another process is migrating it). Any thread. The manager is the caller's, released with pgdbm_close. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_attach(pgdbm_fleet *fleet, const char *schema, pgdbm_db **db, pgdbm_error *err);

/* Drops the schema with everything in it, and its rows, those of other modules too. Each lock is waited for no longer than
 * lock_timeout_ms (-1: no limit, 0: 2 000); then TIMEOUT, whose detail names who holds the tenant. A schema that is no tenant
 * of this module is ARGUMENT. Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_drop_tenant(pgdbm_fleet *fleet, const char *schema, int lock_timeout_ms,
                                                  pgdbm_error *err);

/* What differs in the structure of one tenant: an object of the reference that it lacks, has otherwise, or has beyond. */
typedef enum pgdbm_drift_kind { PGDBM_DRIFT_LACKS = 0, PGDBM_DRIFT_DIFFERS, PGDBM_DRIFT_BEYOND } pgdbm_drift_kind;
typedef struct pgdbm_drift {
    const char *schema;
    pgdbm_drift_kind kind;
    const char *object; /* "table users", "column users.email", "index users_email", "constraint ...", "function ..." */
    const char *expected; /* its definition there, schema left out; NULL when BEYOND */
    const char *found;    /* its definition here; NULL when LACKS */
} pgdbm_drift;

typedef struct pgdbm_drift_report {
    const char *fingerprint; /* of the reference */
    size_t n_schemas, n_alike;
    pgdbm_drift *drifts; /* by schema, then object */
    size_t n_drifts;
    const char *const *drifted; /* the schemas */
    size_t n_drifted;
} pgdbm_drift_report;

typedef struct pgdbm_drift_options {
    const char *reference;   /* this schema is right; NULL: what most have */
    const char *fingerprint; /* or what has this fingerprint is right (pgdbm_drift_report.fingerprint, shipped) */
    bool fingerprints_only;  /* name the schemas, not what differs */
} pgdbm_drift_options;

/* Compares the structure of all tenants (tables, columns with types, defaults and nullability, indexes, constraints, sequences,
 * views, functions, triggers, types, policies) in one catalog query on a session that is closed afterwards, then those that
 * differ object by object. PGDBM_OK whatever it finds. The histories' tables do not count, nor does the place of a column; but
 * fingerprints (and so .fingerprints_only) have it in them. A fingerprint is good for one major version of PostgreSQL and
 * processors of one byte order. Of an object that is missing or beyond, its parts are not told. Errors also: CONFIG (a reference
 * and a fingerprint), SCHEMA (no such reference). Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_fleet_drift_sized(pgdbm_fleet *fleet, const pgdbm_drift_options *options,
                                                  size_t options_bytes, pgdbm_drift_report **report, pgdbm_error *err);
static inline pgdbm_status pgdbm_fleet_drift(pgdbm_fleet *fleet, const pgdbm_drift_options *options,
                                             pgdbm_drift_report **report, pgdbm_error *err)
{
    return pgdbm_fleet_drift_sized(fleet, options, sizeof *options, report, err);
}
PGDBM_EXPORT void pgdbm_drift_report_free(pgdbm_drift_report *report);

PGDBM_END_DECLS
#endif
