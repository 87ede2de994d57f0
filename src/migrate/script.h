/* SPDX-License-Identifier: MIT */
/* A migration made ready to run: templates expanded, cut into statements, and refused where it could not run as promised.
 * Everything here happens before the first statement of a run is sent. */
#ifndef PGDBM_MIGRATE_SCRIPT_H
#define PGDBM_MIGRATE_SCRIPT_H

#include "base/buffer.h"
#include "migrate/header.h"
#include "migrate/statement.h"

#include <pgdbm/error.h>

#include <stdbool.h>
#include <stddef.h>

struct pgdbm__script_statement {
    const char *sql; /* terminated */
    size_t bytes;
    size_t line, column; /* of its first byte in the file, from 1, in characters; templates not expanded */
    enum pgdbm__statement_kind kind;
    bool concurrently;
    const char *outside; /* what it is that cannot run in a transaction: "VACUUM"; NULL: it can. Static */
    /* As the statement spells them, quotes and schema included, which is how to_regclass() reads them; NULL: it names none,
     * or spells it with U&"". Of CREATE INDEX, DROP INDEX and REINDEX only. */
    char *index_name; /* CREATE INDEX: in the schema of its table */
    char *table_name;
};

/* Zero-initialise. */
struct pgdbm__script {
    struct pgdbm__script_source source; /* borrowed: it must live as long as the script */
    bool no_transaction;
    int lock_timeout_ms; /* as the text's header says: 0: nothing; -1: off */
    char *text;          /* the expanded text; a NUL stands behind each statement */
    struct pgdbm__script_statement *statements;
    size_t n_statements;
    size_t capacity;
    struct pgdbm__buffer marks; /* struct pgdbm__template_mark: where templates were */
};

/* A place in the file, for messages; from 1, columns in characters. */
struct pgdbm__script_place {
    size_t line, column;
};

/* Makes `source` ready for `schema` (folded, NULL for none); a script that is ready stays as it is. Errors: MIGRATION (a
 * directive that is not understood, nothing to run, transaction control, what cannot run in a transaction in a file that is
 * one, a psql command, COPY from the client, a quote that is never closed), SCHEMA (a bad template), NOMEM; file and line are in
 * the message. */
pgdbm_status pgdbm__script_prepare(struct pgdbm__script *script, const struct pgdbm__script_source *source,
                                   const char *schema, pgdbm_error *err);
void pgdbm__script_free(struct pgdbm__script *script);

/* Where in the file the server's `position` (in characters, from 1; 0 or less: the beginning) in a statement is. Inside of what a
 * template became, it is where the template begins. */
struct pgdbm__script_place pgdbm__script_place(const struct pgdbm__script *script,
                                               const struct pgdbm__script_statement *statement, int position);

bool pgdbm__script_begins_with(const struct pgdbm__script_statement *statement, const char *word);
/* Whether it is a SET or RESET, or a SELECT set_config(...), which a session that resumes the script must run again. */
bool pgdbm__script_sets(const struct pgdbm__script_statement *statement);

/* Appends the statement's text without its CONCURRENTLY, as a new schema in which nobody works may have it. */
void pgdbm__script_append_blocking(const struct pgdbm__script_statement *statement, struct pgdbm__buffer *out);

#endif
