/* SPDX-License-Identifier: MIT */
/* A pending migration made ready to run: directives understood, templates expanded, cut into statements, and refused
 * where it could not run as promised. Everything here happens before the first statement of a run is sent. */
#ifndef PGDBM_MIGRATE_SCRIPT_H
#define PGDBM_MIGRATE_SCRIPT_H

#include "sql/split.h"

#include <pgdbm/error.h>

#include <stdbool.h>
#include <stddef.h>

struct pgdbm__script_statement {
    const char *sql; /* terminated */
    size_t bytes;
    size_t line;
};

/* Zero-initialise. */
struct pgdbm__script {
    char *text; /* the expanded text; a NUL stands behind each statement */
    struct pgdbm__script_statement *statements;
    size_t n_statements;
    size_t capacity;
};

/* Makes `text` ready for `schema` (folded, NULL for none); a script that is ready stays as it is. `filename` is for
 * messages. Errors: MIGRATION (an unknown directive, nothing to run, transaction control, a psql command, COPY from the
 * client, a quote that is never closed), SCHEMA (a bad template), NOMEM; file and line are in the message. */
pgdbm_status pgdbm__script_prepare(struct pgdbm__script *script, const char *filename, const char *text, size_t bytes,
                                   const char *schema, pgdbm_error *err);
void pgdbm__script_free(struct pgdbm__script *script);

#endif
