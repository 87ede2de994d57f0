/* SPDX-License-Identifier: MIT */
/* Migrations: numbered SQL files, each applied exactly once to one schema, however many processes start together.
 *
 * Files are `NNN_name.sql`, `V1__name.sql`, `20251225120000_name.sql` or `20251225_120000_name.sql`, ordered by number;
 * `R__name.sql` runs after them whenever it is another; `NNN_name.down.sql` is the way back (docs/migrations.md has the
 * rules). Templates ({{tables.users}}) are expanded for the manager's schema. Each file is one transaction, history row
 * included; a file with a line `-- pgdbm:no-transaction` before its first statement runs statement by statement
 * instead.
 *
 * What was applied stands in the table schema_migrations of the manager's schema. Table, checksums and lock are those
 * of the Python pgdbm, so that either continues where the other stopped. */
#ifndef PGDBM_MIGRATE_H
#define PGDBM_MIGRATE_H

#include <pgdbm/db.h>

/* One migration compiled into the program. */
typedef struct pgdbm_migration_text {
    const char *filename;
    const char *text;
    size_t bytes;
} pgdbm_migration_text;

/* Where migrations come from: a directory, or texts compiled in by the CMake function pgdbm_embed_migrations. Exactly
 * one. */
typedef struct pgdbm_migrations {
    const char *directory;
    const pgdbm_migration_text *texts;
    size_t n_texts;
    const char *digest; /* of the compiled-in set: SHA-256 in 64 hexadecimal digits; NULL: computed */
} pgdbm_migrations;

typedef enum pgdbm_migration_state {
    PGDBM_MIGRATION_APPLIED = 0,
    PGDBM_MIGRATION_PENDING,      /* a file that is not in the history */
    PGDBM_MIGRATION_CHANGED,      /* applied, and the file's SQL is another now */
    PGDBM_MIGRATION_MISSING,      /* in the history, below the newest file, and there is no such file */
    PGDBM_MIGRATION_REFORMATTED,  /* applied, and the file differs in comments and white space only */
    PGDBM_MIGRATION_OUT_OF_ORDER, /* pending, and its number is below one that is applied */
    PGDBM_MIGRATION_GAP,          /* pending, and the number before it is no file's and not applied */
    PGDBM_MIGRATION_FUTURE,       /* in the history, above the newest file: the database is ahead of this program */
    PGDBM_MIGRATION_PARTIAL,      /* a no-transaction file that was begun and has not ended */
    PGDBM_MIGRATION_REPEAT        /* a repeatable file that is new, or whose text is another than when it last ran */
} pgdbm_migration_state;

/* What a run does when it finds a file in a state that a mistake would explain. */
typedef enum pgdbm_migration_policy {
    PGDBM_POLICY_ERROR = 0, /* nothing runs; the error names the file and the way out */
    PGDBM_POLICY_ALLOW      /* it is as good as the others: a pending one runs, an applied one stays as it is */
} pgdbm_migration_policy;

typedef struct pgdbm_migration_policies {
    pgdbm_migration_policy changed;
    pgdbm_migration_policy missing;
    pgdbm_migration_policy out_of_order;
    pgdbm_migration_policy future;
    pgdbm_migration_policy gap;       /* numbers of up to 6 digits must follow each other; timestamps never do */
    pgdbm_migration_policy duplicate; /* two files of one number; ALLOW: in the order of their names */
} pgdbm_migration_policies;

typedef struct pgdbm_migration {
    const char *filename;
    const char *version; /* the number as written in the name; "" of a repeatable file */
    pgdbm_migration_state state;
    bool no_transaction;
    bool applied_now;             /* by this call; of a rollback: undone by it, of a repair: corrected */
    const char *checksum;         /* SHA-256 of the file's text, 64 hexadecimal digits; NULL when there is no file */
    const char *applied_checksum; /* as recorded; NULL when PENDING */
    const char *applied_at;       /* in UTC, as "2025-12-25 12:00:00+00"; NULL when PENDING */
    const char *applied_by;       /* NULL when PENDING or not recorded */
    double execution_ms;          /* 0 when not recorded */
    bool repeatable;
    bool has_down;     /* there is a way back: the file's down part, or the one that was recorded */
    const char *build; /* the build that applied it; NULL when not recorded */
    const char *sql;   /* dry run: what would be sent, templates expanded, ready for psql; else NULL */
    size_t statements_done, n_statements; /* of a PARTIAL file; else 0 */
} pgdbm_migration;

/* A lock that a tried file took on a relation, and how long its statement took. */
typedef struct pgdbm_migration_lock {
    const char *filename;
    size_t line;          /* of the statement */
    const char *relation; /* "schema.name" */
    const char *mode;     /* "AccessExclusiveLock"; PostgreSQL documentation 13.3.1 */
    double statement_ms;
} pgdbm_migration_lock;

/* Everything a run or a look found, in order of version. Released with pgdbm_migration_report_free. */
typedef struct pgdbm_migration_report {
    const char *module; /* as recorded */
    const char *schema;
    pgdbm_migration *migrations;
    size_t n_migrations;
    size_t n_applied; /* by this call; of a dry run: would have been; of a rollback: undone; of a repair: rows */
    size_t n_pending; /* still */
    const char *head; /* the highest applied number; "" when there is none */
    pgdbm_migration_lock *locks; /* pgdbm_migrate_try's */
    size_t n_locks;
} pgdbm_migration_report;

/* What a run is at. The texts are borrowed for the call. */
typedef enum pgdbm_migration_phase {
    PGDBM_PHASE_WAITING = 0, /* for another process that is migrating; reported again every now and then */
    PGDBM_PHASE_BEFORE,      /* a file is about to run */
    PGDBM_PHASE_STATEMENT,   /* a statement of it is about to be sent */
    PGDBM_PHASE_RETRY,       /* its locks were not to be had in lock_timeout_ms: it is about to be tried again */
    PGDBM_PHASE_AFTER,       /* it is applied and committed (of a rollback: undone) */
    /* The connection was lost: for the report the server is about to be asked what is done. False leaves that out; it is not asked
     * either when the error knows that the file left nothing. */
    PGDBM_PHASE_LOST
} pgdbm_migration_phase;

typedef struct pgdbm_migration_progress {
    pgdbm_migration_phase phase;
    const char *module, *schema;
    const char *filename;           /* NULL while WAITING, and when LOST */
    size_t file, n_files;           /* which of those that this call runs, from 1 */
    size_t statement, n_statements; /* of the file, from 1 */
    size_t line;                    /* of the statement */
    double elapsed_ms;              /* since the call began */
} pgdbm_migration_progress;

/* False stops the run: the file at hand is rolled back (statements of a no-transaction file stay, and are resumed; at AFTER
 * the file stays applied), and the call returns PGDBM_ERR_CANCELED. Called in the thread that migrates; must not use the manager. */
typedef bool (*pgdbm_migration_callback)(const pgdbm_migration_progress *progress, void *context);

/* A hook of a file's transaction: `tx` is it (of a no-transaction file: the pinned session, outside of any). An error
 * from it fails the file. */
typedef pgdbm_status (*pgdbm_migration_hook)(pgdbm_db *tx, const pgdbm_migration_progress *progress, void *context,
                                             pgdbm_error *err);

typedef struct pgdbm_migrate_options {
    const char *module;                 /* recorded in the history; mandatory, 100 bytes at most */
    const pgdbm_migrations *migrations; /* mandatory */
    const char *table;                  /* the history table's name, "schema_migrations" */
    int wait_timeout_ms; /* for another process that is migrating the same module; 300 000; -1: no limit */
    bool dry_run;        /* report what would be applied, with its SQL; write nothing, lock nothing */
    bool allow_empty;    /* an empty source is PGDBM_OK; otherwise it is PGDBM_ERR_MIGRATION */
    bool per_schema;     /* the module lives in several schemas: recorded as "<module>_<schema>" */
    const char *target;  /* apply up to this number, inclusive; NULL: all. Repeatable files run only without */
    pgdbm_migration_policies policies;
    int lock_timeout_ms; /* how long a statement may wait for a lock, and the application behind it; 2 000; -1: no limit. A
                            file's `-- pgdbm:lock-timeout 5s` is stronger. Does not hold for what runs CONCURRENTLY */
    int lock_attempts; /* how often a file is tried whose locks were not to be had; 10; with growing pauses. DO and CALL
                          of a no-transaction file once: they may have committed a part */
    const char *build; /* what migrates, for the history: a version, a commit; NULL: nothing recorded */
    pgdbm_migration_callback on_progress;
    pgdbm_migration_hook before, after; /* in each file's transaction, before its first and after its last statement */
    void *context;                      /* of the callback and the hooks */
    bool schema_must_exist;             /* a missing schema is PGDBM_ERR_SCHEMA, and not made */
} pgdbm_migrate_options;

PGDBM_BEGIN_DECLS

/* The state's name: "applied", "out of order". Static. Any thread. */
PGDBM_EXPORT const char *pgdbm_migration_state_name(pgdbm_migration_state state);

PGDBM_EXPORT pgdbm_status pgdbm_migrate_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                              pgdbm_migration_report **report, pgdbm_error *err);

/* Applies what is pending: makes the schema and the history table when missing, takes the module's lock, applies file
 * after file and stops at the first that fails (those before it stay, nothing of it remains unless it is
 * no-transaction; the next run resumes). `report` may be NULL; when given it is filled as far as the run came, after an
 * error too, and is the caller's. `db` must not be a transaction or a pinned session. Errors: ARGUMENT, CONFIG (no
 * module, no source, missing or unreadable directory, a link that leaves it), SCHEMA, MIGRATION (changed, duplicate
 * version, failed statement with file and line; sqlstate and outcome as the server gave them), TIMEOUT (the lock; names
 * the holder), POOL, CONNECTION, NOMEM. */
static inline pgdbm_status pgdbm_migrate(pgdbm_db *db, const pgdbm_migrate_options *options,
                                         pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_sized(db, options, sizeof *options, report, err);
}

PGDBM_EXPORT pgdbm_status pgdbm_migrate_status_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                     size_t options_bytes, pgdbm_migration_report **report,
                                                     pgdbm_error *err);

/* Looks without touching: what is applied, pending, changed, missing. Needs no right to write; a database without
 * schema or history table has everything pending. Changed and missing files are states here, not errors. */
static inline pgdbm_status pgdbm_migrate_status(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_status_sized(db, options, sizeof *options, report, err);
}

/* What the calls below share: options as for pgdbm_migrate, a report that may be NULL (verify and history: must not), the
 * module's lock where they write, and the errors of pgdbm_migrate. */

/* Undoes applied files, the highest number first, by their down parts (NNN_name.down.sql, or what follows a line
 * `-- pgdbm:down`): down to `options->target`, which must be applied and stays so ("0" undoes everything), or the last `count`
 * when there is no target. Where the file is gone the recorded down part is used; repeatable files are passed over. A down
 * part that is missing, and a file that was changed since (unless policies.changed allows it), is MIGRATION before anything
 * runs. Each is a transaction with the deletion of its history row; what another process has undone meanwhile is passed
 * over, and what it has applied on top meanwhile is MIGRATION. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_rollback_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                       size_t options_bytes, size_t count,
                                                       pgdbm_migration_report **report, pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_rollback(pgdbm_db *db, const pgdbm_migrate_options *options, size_t count,
                                                  pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_rollback_sized(db, options, sizeof *options, count, report, err);
}

/* Records files as applied without running them, up to `options->target` or all: for a database that has what they
 * would make. All in one transaction, without their order or gaps being held against them. Refused where the history has a
 * row of the module already. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_baseline_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                       size_t options_bytes, pgdbm_migration_report **report,
                                                       pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_baseline(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                  pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_baseline_sized(db, options, sizeof *options, report, err);
}

/* Makes the history fit the files where that is harmless: the checksums of REFORMATTED files, and rows without a module
 * name whose text is that of this module's file. With policies.changed ALLOW also the checksums of CHANGED files, with
 * policies.missing ALLOW it deletes rows of MISSING ones; all of it in one transaction. report->n_applied counts the rows. What
 * would still stop a run is MIGRATION, and what was harmless is done then too. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_repair_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                     size_t options_bytes, pgdbm_migration_report **report,
                                                     pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_repair(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_repair_sized(db, options, sizeof *options, report, err);
}

/* Looks only: PGDBM_OK when history and files say the same, else MIGRATION that names the first that differs (pending
 * and reformatted files included) and counts the others. Indexes of the schema that are invalid are named too. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_verify_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                     size_t options_bytes, pgdbm_migration_report **report,
                                                     pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_verify(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_verify_sized(db, options, sizeof *options, report, err);
}

/* What the history has of the module, in the order in which it was applied. `options->migrations` may be NULL. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_history_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                      size_t options_bytes, pgdbm_migration_report **report,
                                                      pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_history(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                 pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_history_sized(db, options, sizeof *options, report, err);
}

/* Runs everything that is pending in one transaction and rolls it back: what would fail fails, nothing stays. The report
 * has the locks that each statement took on relations that were there before, and its time. Files without a transaction
 * cannot be tried: they are MIGRATION. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_try_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                  size_t options_bytes, pgdbm_migration_report **report,
                                                  pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_try(pgdbm_db *db, const pgdbm_migrate_options *options,
                                             pgdbm_migration_report **report, pgdbm_error *err)
{
    return pgdbm_migrate_try_sized(db, options, sizeof *options, report, err);
}

/* How a database stands beside what a program needs. */
typedef enum pgdbm_migration_skew {
    PGDBM_SKEW_EQUAL = 0, /* its head is the program's newest file */
    PGDBM_SKEW_BEHIND,    /* files are pending, and what is applied is a beginning of them */
    PGDBM_SKEW_AHEAD,     /* all files are applied, and later ones that the program does not have */
    PGDBM_SKEW_DIVERGED   /* something below the head is changed, missing or out of order */
} pgdbm_migration_skew;
/* "equal", "behind", ... Static. Any thread. */
PGDBM_EXPORT const char *pgdbm_migration_skew_name(pgdbm_migration_skew skew);

/* For the start of a program that does not migrate itself: one query, no lock, no right but SELECT. `*skew` (may be NULL)
 * is set also when it fails. MIGRATION unless minimum <= head <= maximum (numbers as in file names; NULL: the newest
 * file, and no limit), or when the database is diverged; the message says which way. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_check_sized(pgdbm_db *db, const pgdbm_migrate_options *options,
                                                    size_t options_bytes, const char *minimum, const char *maximum,
                                                    pgdbm_migration_skew *skew, pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_check(pgdbm_db *db, const pgdbm_migrate_options *options, const char *minimum,
                                               const char *maximum, pgdbm_migration_skew *skew, pgdbm_error *err)
{
    return pgdbm_migrate_check_sized(db, options, sizeof *options, minimum, maximum, skew, err);
}

/* One of several modules that are migrated together. */
typedef struct pgdbm_migration_target {
    pgdbm_db *db; /* whose schema it is */
    pgdbm_migrate_options options;
    const char *const *depends_on; /* modules (names as in options.module) that must be migrated first */
    size_t n_depends_on;
} pgdbm_migration_target;

/* Migrates modules in the order of their dependencies: `depends_on`, and the files' `-- pgdbm:requires users >= 12`. All of
 * it is checked before anything runs, and MIGRATION: a module that is not among them and not in the history of a schema that
 * one of them has, a number that neither files nor history have, a circle (named). Where a module is there for several
 * schemas, the one of the same schema is meant. Stops at the first that fails: *failed (may be NULL) is its place, or that
 * of the module whose needs are not met; n_targets when it is none's alone. `reports` (may be NULL) has n_targets places.
 *
 * pgdbm_migrate alone holds files to what they require, too: it looks into the history of its own schema, of one that is
 * called as the module is, and of public. */
PGDBM_EXPORT pgdbm_status pgdbm_migrate_modules_sized(const pgdbm_migration_target *targets, size_t target_bytes,
                                                      size_t n_targets, pgdbm_migration_report **reports,
                                                      size_t *failed, pgdbm_error *err);
static inline pgdbm_status pgdbm_migrate_modules(const pgdbm_migration_target *targets, size_t n_targets,
                                                 pgdbm_migration_report **reports, size_t *failed, pgdbm_error *err)
{
    return pgdbm_migrate_modules_sized(targets, sizeof *targets, n_targets, reports, failed, err);
}

/* Releases a report. NULL is legal. */
PGDBM_EXPORT void pgdbm_migration_report_free(pgdbm_migration_report *report);

PGDBM_END_DECLS
#endif
