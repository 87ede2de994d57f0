/* SPDX-License-Identifier: MIT */
/* The history table: what was applied to a schema, of which module, by whom. It is the Python pgdbm's table, column by
 * column, so that either library continues where the other stopped. */
#ifndef PGDBM_MIGRATE_HISTORY_H
#define PGDBM_MIGRATE_HISTORY_H

#include "base/buffer.h"

#include <pgdbm/db.h>

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise. */
struct pgdbm__history {
    const char *module;  /* borrowed */
    const char *schema;  /* borrowed; "public" for a manager without one */
    char *table;         /* folded to lower case, because the Python pgdbm writes it without quotes */
    char *qualified;     /* "schema"."table" */
    char *quoted_schema; /* "schema" */
};

/* One row. The texts are borrowed from the rows' result. */
struct pgdbm__history_row {
    const char *filename;
    const char *checksum;
    const char *applied_at;
    const char *applied_by; /* NULL when not recorded */
    double execution_ms;    /* 0 when not recorded */
    bool named;             /* has a module name; early versions of the Python pgdbm recorded none */
    bool has_file;          /* filled by pgdbm__plan_match */
};

/* Zero-initialise. */
struct pgdbm__history_rows {
    pgdbm_result *result;
    struct pgdbm__history_row *rows; /* by file name, a named row before one without a name */
    size_t n_rows;
    bool no_table; /* there is no history table yet */
};

/* Appends a name in double quotes, whatever characters it has. */
void pgdbm__quote_name(struct pgdbm__buffer *buffer, const char *name);

/* `table` NULL: "schema_migrations". Errors: CONFIG, SCHEMA, NOMEM. */
pgdbm_status pgdbm__history_init(struct pgdbm__history *history, const char *module, const char *schema,
                                 const char *table, pgdbm_error *err);
void pgdbm__history_free(struct pgdbm__history *history);

/* Reads what concerns the module, in one statement that takes no lock and needs no right but SELECT. A missing schema
 * or table is no error: then there are no rows. */
pgdbm_status pgdbm__history_read(const struct pgdbm__history *history, pgdbm_db *db, struct pgdbm__history_rows *rows,
                                 pgdbm_error *err);
void pgdbm__history_rows_free(struct pgdbm__history_rows *rows);

/* Makes schema and table where they are missing. Other modules may do the same at the same time. */
pgdbm_status pgdbm__history_create(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_error *err);

/* Records one file, inside the transaction of `db` if it has one. */
pgdbm_status pgdbm__history_record(const struct pgdbm__history *history, pgdbm_db *db, const char *filename,
                                   const char *checksum, double execution_ms, pgdbm_error *err);

#endif
