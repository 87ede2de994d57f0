/* SPDX-License-Identifier: MIT */
/* The history table: what was applied to a schema, of which module, by whom. Its first columns are the Python pgdbm's table,
 * so that either library continues where the other stopped; what only pgdbm knows stands in nullable columns behind them.
 *
 * Rows are written by the simple query protocol, as text that history_sql.c makes: a dry run shows the same text, a fleet
 * puts it into the one message of its tenant, and no portal (with its snapshot) stays open behind it. */
#ifndef PGDBM_MIGRATE_HISTORY_H
#define PGDBM_MIGRATE_HISTORY_H

#include "base/buffer.h"
#include "migrate/name.h"

#include <pgdbm/migrate.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One (module, schema)'s history. Zero-initialise. */
struct pgdbm__history {
    char module[PGDBM__MODULE_LIMIT + 1]; /* as recorded */
    const char *schema;                   /* borrowed; "public" for a manager without one */
    char *table;                          /* folded to lower case, because the Python pgdbm writes it without quotes */
    char *qualified;                      /* "schema"."table" */
    char *qualified_progress;             /* "schema"."table_progress" */
    char *quoted_schema;                  /* "schema" */
    const char *build;                    /* what goes into new rows; borrowed, NULL: nothing */
    const char *set_digest;               /* the same */
    bool
        plain; /* new rows have the Python pgdbm's columns only: the table lacks the others, and this role cannot add them */
};

/* What there is to be made before a row can be written. */
enum pgdbm__history_lack {
    PGDBM__LACKS_SCHEMA = 1,
    PGDBM__LACKS_TABLE = 2,
    PGDBM__LACKS_COLUMNS = 4 /* a table as the Python pgdbm makes it */
};

/* One row as it was read. The texts are borrowed from the rows' result, and NULL where nothing was recorded. */
struct pgdbm__history_row {
    int64_t id;
    const char *filename;
    const char *checksum;
    const char *applied_at; /* in UTC, "2025-12-25 12:00:00+00" */
    const char *applied_by;
    double execution_ms; /* 0 when not recorded */
    const char *kind;    /* "R": repeatable; "B": recorded by a baseline; NULL: versioned */
    const char *semantic_checksum;
    const char *build;
    bool named; /* has a module name; early versions of the Python pgdbm recorded none */
    bool has_body, has_down;
    const char *version; /* in the file's name; "" when there is none */

    /* Filled by pgdbm__plan_match. */
    bool has_file;
    pgdbm_migration_state state; /* MISSING or FUTURE of a row of this module without a file; else APPLIED */
};

/* Zero-initialise. */
struct pgdbm__history_rows {
    pgdbm_result *result;
    struct pgdbm__history_row *rows;     /* in the order in which they were applied */
    struct pgdbm__history_row **by_name; /* by file name, a named row before one without a name */
    size_t n_rows;
    char *versions; /* the rows' */
    bool no_table;  /* there is no history table yet */
};

/* One row to be written. All texts are borrowed; NULL: nothing is recorded. */
struct pgdbm__history_entry {
    const char *filename; /* this and the next are mandatory */
    const char *checksum;
    const char *kind;
    const char *semantic_checksum;
    const char *body;
    size_t body_bytes;
    const char *down;
    size_t down_bytes;
    double execution_ms;       /* below 0: none (a baseline) */
    const char *execution_sql; /* an expression instead: the server measures */
};

/* Appends a name in double quotes, or a text as a literal, whatever characters they have. The literal (E'...') means the
 * same whatever standard_conforming_strings a migration has set. */
void pgdbm__quote_name(struct pgdbm__buffer *buffer, const char *name);
void pgdbm__quote_literal(struct pgdbm__buffer *buffer, const char *text, size_t bytes);

/* `module` as recorded is "<module>_<schema>" when `per_schema`; `table` NULL: "schema_migrations". Errors: CONFIG, SCHEMA,
 * NOMEM. */
pgdbm_status pgdbm__history_init(struct pgdbm__history *history, const char *module, const char *schema,
                                 const char *table, bool per_schema, pgdbm_error *err);
void pgdbm__history_free(struct pgdbm__history *history);

/* Reads what concerns the module, in one statement that takes no lock and needs no right but SELECT, on a manager or a
 * session. A missing schema or table is no error: then there are no rows. Columns that the table lacks read as NULL. */
pgdbm_status pgdbm__history_read(const struct pgdbm__history *history, pgdbm_db *db, struct pgdbm__history_rows *rows,
                                 pgdbm_error *err);
void pgdbm__history_rows_free(struct pgdbm__history_rows *rows);

/* The text that was applied, or the down part, as recorded: large, therefore read only when it is needed. `*text` is the
 * caller's (pgdbm_free), NULL when there is none. */
pgdbm_status pgdbm__history_body(const struct pgdbm__history *history, pgdbm_db *db,
                                 const struct pgdbm__history_row *row, char **text, pgdbm_error *err);
pgdbm_status pgdbm__history_down(const struct pgdbm__history *history, pgdbm_db *db,
                                 const struct pgdbm__history_row *row, char **text, pgdbm_error *err);

/* Looks into the catalog for what there is to be made: bits of enum pgdbm__history_lack. Writes nothing. */
pgdbm_status pgdbm__history_look(const struct pgdbm__history *history, pgdbm_db *db, unsigned *lacks, pgdbm_error *err);

/* Two processes that create the same thing: whether this is what the slower one gets, once the faster one has committed. */
bool pgdbm__was_created_by_another(const pgdbm_error *err);

/* Makes schema (unless `must_exist`), table and columns where they are missing, outside of any transaction. Other modules may
 * do the same at the same time. Where only the columns are missing and cannot be added, rows become `plain`. */
pgdbm_status pgdbm__history_create(struct pgdbm__history *history, pgdbm_db *db, bool must_exist, pgdbm_error *err);

/* Records one file, inside the transaction of `db` if it has one; a row of that file (of a repeatable one) is replaced.
 * pgdbm__history_create has been called. */
pgdbm_status pgdbm__history_record(const struct pgdbm__history *history, pgdbm_db *db,
                                   const struct pgdbm__history_entry *entry, pgdbm_error *err);
/* Makes a row that is there say what `entry` says of the text (checksums, body, down part), and gives it to the module. When
 * and by whom it was applied stays. */
pgdbm_status pgdbm__history_correct(const struct pgdbm__history *history, pgdbm_db *db,
                                    const struct pgdbm__history_row *row, const struct pgdbm__history_entry *entry,
                                    pgdbm_error *err);
/* Deletes the row, inside the transaction of `db` if it has one. */
pgdbm_status pgdbm__history_delete(const struct pgdbm__history *history, pgdbm_db *db,
                                   const struct pgdbm__history_row *row, pgdbm_error *err);

/* The statements of the above as text, appended to `sql`: separated by semicolons where they are several, none at the end. */
void pgdbm__history_create_sql(const struct pgdbm__history *history, unsigned lacks, struct pgdbm__buffer *sql);
void pgdbm__history_record_sql(const struct pgdbm__history *history, const struct pgdbm__history_entry *entry,
                               struct pgdbm__buffer *sql);
void pgdbm__history_correct_sql(const struct pgdbm__history *history, const struct pgdbm__history_row *row,
                                const struct pgdbm__history_entry *entry, struct pgdbm__buffer *sql);
void pgdbm__history_delete_sql(const struct pgdbm__history *history, const struct pgdbm__history_row *row,
                               struct pgdbm__buffer *sql);
/* The Python pgdbm's key of the module's lock, a bigint expression: the argument of pg_try_advisory_lock and its kin. */
void pgdbm__history_lock_key_sql(const struct pgdbm__history *history, struct pgdbm__buffer *sql);

#endif
