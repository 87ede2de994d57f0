/* SPDX-License-Identifier: MIT */
/* How to reach a server and how to behave towards it. Zero means "the default", so `{0}` plus the fields you care about
 * is a complete configuration; -1 switches a limit off where that makes sense. The strings are copied.
 * docs/configuration.md (printed from the same table that parses and checks these fields) lists every one with its
 * range and environment name. */
#ifndef PGDBM_CONFIG_H
#define PGDBM_CONFIG_H

#include <pgdbm/error.h>
#include <pgdbm/log.h>

typedef struct pgdbm_setting {
    const char *name;
    const char *value;
} pgdbm_setting;

/* What to do when this process already has a pool to the same host, port, database and user. */
typedef enum pgdbm_duplicate_policy {
    PGDBM_WARN = 0, /* log "Creating another connection pool to ..." with the place where the first was opened */
    PGDBM_FORBID,   /* PGDBM_ERR_CONFIG */
    PGDBM_ALLOW     /* say nothing */
} pgdbm_duplicate_policy;

typedef struct pgdbm_config {
    /* Where: either a connection string (URI or key=value, PostgreSQL documentation 34.1.1) or the parts; a part given
     * beside a connection string is an error unless the string leaves it out. What neither names comes from DB_PASSWORD
     * and the PG* environment variables (34.15). GSS encryption is refused. */
    const char *connection_string;
    const char *host;
    int port;
    const char *database;
    const char *user;
    const char *password;
    const char *schema;           /* the manager's schema, for pgdbm_open; a pool has none */
    const char *application_name; /* "pgdbm" */

    /* The pool. */
    int min_connections;      /* 5 (never more than max_connections) */
    int max_connections;      /* 20 */
    int max_pipeline;         /* 16 statements in flight on one shared session; 1: never share */
    int acquire_timeout_ms;   /* 30 000 */
    int connect_timeout_ms;   /* 10 000, one attempt */
    int idle_timeout_ms;      /* 300 000; -1 off; never shrinks below min_connections */
    int max_lifetime_ms;      /* 3 600 000, less up to 10 % at random; -1 off */
    int max_uses;             /* 50 000 statements; -1 off */
    int keepalive_ms;         /* TCP keepalive idle time, 60 000; -1 off */
    int leak_detection_ms;    /* log a lease held for longer; off */
    int drain_timeout_ms;     /* 10 000: how long pgdbm_pool_close waits before it cancels */
    int statement_cache_size; /* 256 prepared statements per session; -1: unnamed statements only, for poolers */
    int max_queued;           /* 65 536 submitted requests may wait for a session; more are refused (ERR_POOL) */
    int max_result_bytes;     /* 1 073 741 824; a larger result is an error (ERR_NOMEM); -1 off */
    bool background;          /* a thread of the pool's runs the callbacks of asynchronous requests */
    bool strict_isolation;    /* search_path = pg_catalog: an unqualified table name fails (42P01) */
    pgdbm_duplicate_policy on_duplicate_pool;

    /* Time-outs of statements. */
    int command_timeout_ms;                     /* 60 000, measured here; -1 off */
    int statement_timeout_ms;                   /* 60 000, measured by the server; -1 off */
    int lock_timeout_ms;                        /* 5 000; -1 off */
    int idle_in_transaction_session_timeout_ms; /* 60 000; -1 off */

    /* What every session starts with. */
    bool jit;                             /* off: it costs short statements more than it saves */
    const pgdbm_setting *server_settings; /* name and value of run-time parameters */
    size_t n_server_settings;
    const char *const *init_commands; /* SQL run on every new session, and again after a reset */
    size_t n_init_commands;

    /* TLS (PostgreSQL documentation 34.19). */
    const char *ssl_mode; /* disable, allow, prefer, require, verify-ca, verify-full */
    const char *ssl_ca_file;
    const char *ssl_cert_file;
    const char *ssl_key_file;
    const char *ssl_key_password;

    /* Connecting: 28xxx and 3D000 fail at once, everything else is tried again. */
    int retry_attempts;     /* 3 further attempts; -1: none */
    int retry_delay_ms;     /* 1 000 before the second attempt, varied by +-20 % */
    double retry_backoff;   /* 2.0: each delay is this many times the one before */
    int retry_max_delay_ms; /* 30 000 */
    bool fail_fast;         /* one attempt only when opening; later reconnects still back off */

    pgdbm_log_callback log;
    void *log_context;
    pgdbm_log_level log_level;
} pgdbm_config;

PGDBM_BEGIN_DECLS

/* Fills the fields of `config` that are zero from the environment: DATABASE_URL and the PGDBM_* names that
 * docs/configuration.md lists. The strings point into the environment. Errors: ARGUMENT; CONFIG (a value that is not a
 * number or is out of range, naming the variable). Any thread, while nobody changes the environment. */
PGDBM_EXPORT pgdbm_status pgdbm_config_from_environment_sized(pgdbm_config *config, size_t config_bytes,
                                                              pgdbm_error *err);

static inline pgdbm_status pgdbm_config_from_environment(pgdbm_config *config, pgdbm_error *err)
{
    return pgdbm_config_from_environment_sized(config, sizeof *config, err);
}

/* Checks a configuration without contacting anything. Errors: ARGUMENT, CONFIG (naming the field, its value, its
 * range). */
PGDBM_EXPORT pgdbm_status pgdbm_config_check_sized(const pgdbm_config *config, size_t config_bytes, pgdbm_error *err);

static inline pgdbm_status pgdbm_config_check(const pgdbm_config *config, pgdbm_error *err)
{
    return pgdbm_config_check_sized(config, sizeof *config, err);
}

/* One line of the table behind pgdbm_config, for help texts and reference pages. */
typedef struct pgdbm_config_field {
    const char *name;
    const char *type;          /* "text", "ms", "count", "switch", "number", "list", "choice", "callback" */
    const char *default_value; /* as text */
    const char *range;         /* as text, "" when any value goes */
    const char *environment;   /* "" when the environment has no name for it */
    const char *meaning;
} pgdbm_config_field;

/* The table, `*n_fields` lines in the struct's order. Static. Never fails; NULL n_fields is legal. Any thread. */
PGDBM_EXPORT const pgdbm_config_field *pgdbm_config_fields(size_t *n_fields);

PGDBM_END_DECLS
#endif
