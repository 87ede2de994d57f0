/* SPDX-License-Identifier: MIT */
/* How far a no-transaction file has come: the table "<history table>_progress" beside the history, a row for each file
 * that was begun and is not in the history yet. A row is written before its statement is sent, and once more when it is
 * done.
 *
 * It is not in the history, because the Python pgdbm would take such a row there for an applied file. */
#ifndef PGDBM_MIGRATE_PROGRESS_H
#define PGDBM_MIGRATE_PROGRESS_H

#include "migrate/history.h"
#include "migrate/script.h"
#include "migrate/text.h"

/* Zero-initialise. */
struct pgdbm__progress {
    bool found;
    size_t done;          /* so many statements are done */
    bool started;         /* the one behind them was sent, and how it ended is not known */
    size_t n_statements;  /* of the file, when the row was written */
    const char *checksum; /* of the statements that were done when the row was written; borrowed from `result` */
    const char *index;    /* what the started statement makes, quoted; NULL: no index. Borrowed */
    const char *mark;     /* the transaction that wrote the row. Borrowed */
    pgdbm_result *result;
};

/* Whether there is a table. Needs no right. */
pgdbm_status pgdbm__progress_exists(const struct pgdbm__history *history, pgdbm_db *db, bool *exists, pgdbm_error *err);

/* All rows of the module: filename, statements that are done, statements (text, int8, int8). There is a table. */
pgdbm_status pgdbm__progress_list(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_result **rows,
                                  pgdbm_error *err);

/* The row of one file; without a row or a table, found is false. Needs no right but SELECT. */
pgdbm_status pgdbm__progress_read(const struct pgdbm__history *history, pgdbm_db *db, const char *filename,
                                  struct pgdbm__progress *progress, pgdbm_error *err);
void pgdbm__progress_free(struct pgdbm__progress *progress);

/* Makes the table where it is missing; outside of any transaction. Other modules may do the same at the same time. */
pgdbm_status pgdbm__progress_create(const struct pgdbm__history *history, pgdbm_db *db, pgdbm_error *err);

/* Makes the checksum of some statements ("" of none) that of one more: comments and white space do not count. False when
 * libcrypto fails or memory is short. */
bool pgdbm__progress_checksum_step(char checksum[PGDBM__CHECKSUM_BYTES],
                                   const struct pgdbm__script_statement *statement);

/* The condition " WHERE ..." that picks the file's row; the row as a statement's text: `done` statements are done, the next one is started or not. And its deletion. */
void pgdbm__progress_key_sql(const struct pgdbm__history *history, const char *filename, struct pgdbm__buffer *sql);
void pgdbm__progress_write_sql(const struct pgdbm__history *history, const struct pgdbm__script *script, size_t done,
                               bool started, const char *checksum, struct pgdbm__buffer *sql);
void pgdbm__progress_delete_sql(const struct pgdbm__history *history, const char *filename, struct pgdbm__buffer *sql);

#endif
