/* SPDX-License-Identifier: MIT */
/* Migrations: numbered SQL files, each applied exactly once to one schema, however many processes start together.
 *
 * Files are `NNN_name.sql`, `V1__name.sql`, `20251225120000_name.sql` or `20251225_120000_name.sql`, ordered by number
 * (docs/migrations.md has the rules). Templates
 * ({{tables.users}}) are expanded for the manager's schema. Each file is one transaction, history row included; a file
 * with a line `-- pgdbm:no-transaction` before its first statement runs statement by statement instead.
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
} pgdbm_migrations;

typedef enum pgdbm_migration_state {
    PGDBM_MIGRATION_APPLIED = 0,
    PGDBM_MIGRATION_PENDING, /* a file that is not in the history */
    PGDBM_MIGRATION_CHANGED, /* applied, and the file's text is another now */
    PGDBM_MIGRATION_MISSING  /* in the history, and there is no such file */
} pgdbm_migration_state;

typedef struct pgdbm_migration {
    const char *filename;
    const char *version; /* the number as written in the name */
    pgdbm_migration_state state;
    bool no_transaction;
    bool applied_now;             /* by this call */
    const char *checksum;         /* SHA-256 of the file's text, 64 hexadecimal digits; NULL when MISSING */
    const char *applied_checksum; /* as recorded; NULL when PENDING */
    const char *applied_at;       /* as the server prints it; NULL when PENDING */
    const char *applied_by;       /* NULL when PENDING or not recorded */
    double execution_ms;          /* 0 when not recorded */
} pgdbm_migration;

/* Everything a run or a look found, in order of version. Released with pgdbm_migration_report_free. */
typedef struct pgdbm_migration_report {
    const char *module;
    const char *schema;
    pgdbm_migration *migrations;
    size_t n_migrations;
    size_t n_applied; /* by this call; of a dry run: would have been */
    size_t n_pending; /* still */
} pgdbm_migration_report;

typedef struct pgdbm_migrate_options {
    const char *module;                 /* recorded in the history; mandatory, 100 bytes at most */
    const pgdbm_migrations *migrations; /* mandatory */
    const char *table;                  /* the history table's name, "schema_migrations" */
    int wait_timeout_ms; /* for another process that is migrating the same module; 300 000; -1: no limit */
    bool dry_run;        /* report what would be applied; write nothing, lock nothing */
    bool allow_empty;    /* an empty source is PGDBM_OK; otherwise it is PGDBM_ERR_MIGRATION */
} pgdbm_migrate_options;

PGDBM_BEGIN_DECLS

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

/* Releases a report. NULL is legal. */
PGDBM_EXPORT void pgdbm_migration_report_free(pgdbm_migration_report *report);

PGDBM_END_DECLS
#endif
