/* SPDX-License-Identifier: MIT */
/* What commands share that send SQL of their own (`pgdbm db`, `pgdbm schema`): a manager without a schema, names, errors. One
 * thread. */
#ifndef PGDBM_CLI_SESSION_H
#define PGDBM_CLI_SESSION_H

#include "confirm.h"

#include <jansson.h>

/* Zero-initialise; pgdbm__cli_session_close in any case. */
struct pgdbm__cli_session {
    struct pgdbm__cli_target target;
    pgdbm_pool *pool;
    pgdbm_db *db;
    bool json;
};

/* Reads the target and --json. The exit code, after having said what is wrong; nothing is contacted. */
int pgdbm__cli_session_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            struct pgdbm__cli_session *session);

/* Opens the target; or, of its server, the database `postgres`, else `template1`, from which databases are made and dropped.
 * The exit code, after having said what is wrong. */
int pgdbm__cli_session_open(struct pgdbm__cli_session *session);
int pgdbm__cli_session_open_server(struct pgdbm__cli_session *session);

void pgdbm__cli_session_close(struct pgdbm__cli_session *session);

/* Statements take as long as they take: for commands that change what may be large. Before opening. */
void pgdbm__cli_session_be_patient(struct pgdbm__cli_session *session);

/* pgdbm__cli_confirm between two uses of the session: while a person thinks, Ctrl-C ends the program. */
int pgdbm__cli_session_confirm(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                               struct pgdbm__cli_session *session, const char *database, const char *what);

/* Says the library's error, with --json on standard output too. The exit code. */
int pgdbm__cli_session_fail(const struct pgdbm__cli_session *session, const pgdbm_error *err, bool opening);

/* The same with an error of the command's own; `code` comes back. */
int pgdbm__cli_session_refuse(const struct pgdbm__cli_session *session, int code, const char *hint, const char *format,
                              ...) PGDBM_PRINTF(4, 5);

/* Prints the answer of --json, releasing it. The exit code. */
int pgdbm__cli_session_answer(json_t *answer);

/* Runs what `query` makes of its parameters, whose only value is SQL: the server quotes the names in it. NULL runs nothing. */
pgdbm_status pgdbm__cli_run_made(pgdbm_db *db, const char *query, pgdbm_params params, pgdbm_error *err);

/* Whether `name` can be that of a `what` ("database"). Those of new ones cannot have everything that PostgreSQL allows. CLI_USAGE
 * after having said what is wrong. */
int pgdbm__cli_name_check(const struct pgdbm__cli_session *session, const char *what, const char *name, bool is_new);

/* A column as text, "" for NULL; as a number, 0 for NULL. Of queries of the command's own, whose columns are what they are. */
const char *pgdbm__cli_text_at(const pgdbm_result *result, size_t row, const char *column);
int64_t pgdbm__cli_int_at(const pgdbm_result *result, size_t row, const char *column);

/* Rows as a JSON array of objects of these columns (NULL at the end): numbers for integers, true and false for bools, else
 * texts. NULL: out of memory. */
json_t *pgdbm__cli_json_rows(const pgdbm_result *result, const char *const *columns);

/* Rows as a table of the first `n_columns` of these columns, or nothing when there are no rows. False: out of memory, and said
 * so. */
bool pgdbm__cli_print_rows(const pgdbm_result *result, const char *const *headings, const char *const *columns,
                           size_t n_columns);

/* Of a query: a part that goes before SELECT and makes `sizes` of each schema's tables; not of those that somebody has locked,
 * because reading their size would wait. And a condition on pg_namespace. */
#define CLI_SQL_SIZES                                                                                                  \
    "WITH locked AS (SELECT DISTINCT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock'"                        \
    " AND relation IS NOT NULL AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),"      \
    " sizes AS (SELECT relnamespace, count(*) FILTER (WHERE relkind IN ('r', 'p', 'f')) AS tables,"                    \
    " count(l.relation) AS locked,"                                                                                    \
    " sum(CASE WHEN l.relation IS NULL AND relkind IN ('r', 'm') THEN pg_total_relation_size(c.oid) END)::int8"        \
    " AS bytes FROM pg_class c LEFT JOIN locked l ON l.relation = c.oid"                                               \
    " WHERE relkind IN ('r', 'p', 'f', 'm') GROUP BY relnamespace)"
#define CLI_SQL_NOT_SYSTEM "nspname !~ '^pg_' AND nspname <> 'information_schema'"

#endif
