/* SPDX-License-Identifier: MIT */
/* One error value: owned by the caller, of fixed size, never allocated, always optional.
 *
 * Every call that can fail returns a pgdbm_status and takes a `pgdbm_error *` that may be NULL. The error is written
 * only when the call fails; after PGDBM_OK its content is what it was before. Put one on the stack:
 *
 *     pgdbm_error err;
 *     if (pgdbm_execute(db, sql, pgdbm_no_args, NULL, &err) != PGDBM_OK)
 *         fprintf(stderr, "%s\n%s\n", err.message, err.hint);
 *
 * | status          | what happened                                  | what to do                                    |
 * |-----------------|------------------------------------------------|-----------------------------------------------|
 * | ERR_ARGUMENT    | the call was made wrongly (NULL, wrong handle) | fix the calling code                          |
 * | ERR_CONFIG      | a setting is missing, contradictory, malformed | fix the configuration; nothing was contacted  |
 * | ERR_CONNECTION  | no session could be opened, or one was lost    | look at `outcome` before repeating            |
 * | ERR_POOL        | no session to be had: pool closed or exhausted | the message names size, use and longest lease |
 * | ERR_TIMEOUT     | the deadline passed                            | look at `outcome` before repeating            |
 * | ERR_CANCELED    | somebody cancelled it                          | look at `outcome`                             |
 * | ERR_QUERY       | the server rejected the statement              | `sqlstate`, `position`, `hint`                |
 * | ERR_SCHEMA      | a name or a `{{template}}` is not acceptable   | the message has line and column               |
 * | ERR_TYPE        | a value does not fit the type on the server    | the message names parameter or column, types  |
 * | ERR_TRANSACTION | a transaction was used out of order            | fix the calling code                          |
 * | ERR_MIGRATION   | a migration cannot be applied                  | the message names module, file and statement  |
 * | ERR_NOMEM       | an allocation failed                           | `outcome` says whether anything was done      |
 * | ERR_TESTDB      | no test server, or a check of test data failed | the message names what is missing, or differs |
 */
#ifndef PGDBM_ERROR_H
#define PGDBM_ERROR_H

#include <pgdbm/export.h>

typedef enum pgdbm_status {
    PGDBM_OK = 0,
    PGDBM_ERR_ARGUMENT,
    PGDBM_ERR_CONFIG,
    PGDBM_ERR_CONNECTION,
    PGDBM_ERR_POOL,
    PGDBM_ERR_TIMEOUT,
    PGDBM_ERR_CANCELED,
    PGDBM_ERR_QUERY,
    PGDBM_ERR_SCHEMA,
    PGDBM_ERR_TYPE,
    PGDBM_ERR_TRANSACTION,
    PGDBM_ERR_MIGRATION,
    PGDBM_ERR_NOMEM,
    PGDBM_ERR_TESTDB
} pgdbm_status;

/* What is known of a failed request's effect on the database. */
typedef enum pgdbm_outcome_kind {
    PGDBM_OUTCOME_NOT_SENT = 0, /* it never left this process: safe to repeat */
    PGDBM_OUTCOME_ROLLED_BACK,  /* the server had it and undid it: safe to repeat */
    PGDBM_OUTCOME_UNKNOWN,      /* the connection died after it was sent: it may or may not have taken effect */
    PGDBM_OUTCOME_DONE          /* it took effect; only its answer could not be used (a value that does not fit) */
} pgdbm_outcome_kind;

typedef struct pgdbm_error {
    pgdbm_status status;
    pgdbm_outcome_kind outcome;
    char sqlstate[6];    /* "" when the server said nothing; PostgreSQL documentation, appendix A */
    bool retryable;      /* the whole transaction may succeed if tried again (40001, 40P01, lost before sending) */
    int position;        /* 1-based character in the statement, 0 when the server gave none */
    char message[512];   /* what happened, to what; values masked */
    char detail[512];    /* the server's detail, or more of ours; values masked */
    char hint[384];      /* the way out */
    char statement[256]; /* the statement's beginning, without parameter values */
    char constraint[64]; /* the violated constraint, "" when none */
} pgdbm_error;

PGDBM_BEGIN_DECLS

/* The status's name, as "PGDBM_ERR_POOL"; "PGDBM_ERR_UNKNOWN" for a number that is none. Static. Any thread. */
PGDBM_EXPORT const char *pgdbm_status_name(pgdbm_status status);

/* The outcome's name: "not sent", "rolled back", "unknown", "done". Static. Any thread. */
PGDBM_EXPORT const char *pgdbm_outcome_name(pgdbm_outcome_kind outcome);

/* Writes the error as a few readable lines into `text` (always terminated when bytes > 0) and returns the length it
 * needs without the terminator, as snprintf does. A NULL error gives "". Any thread. */
PGDBM_EXPORT size_t pgdbm_error_format(const pgdbm_error *error, char *text, size_t text_bytes);

PGDBM_END_DECLS
#endif
