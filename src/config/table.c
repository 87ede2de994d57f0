/* SPDX-License-Identifier: MIT */
/* The table behind pgdbm_config. What is not here is not configurable. */
#include "config/table.h"

#include <limits.h>

#define TEXT(field, environment, meaning)                                                                              \
    {                                                                                                                  \
        {#field, "text", "", "", environment, meaning}, PGDBM__FIELD_TEXT, offsetof(pgdbm_config, field), false, 0, 0, \
            0                                                                                                          \
    }
#define OTHER(field, type, meaning)                                                                                    \
    {                                                                                                                  \
        {#field, type, "", "", "", meaning}, PGDBM__FIELD_OTHER, offsetof(pgdbm_config, field), false, 0, 0, 0         \
    }
#define SWITCH(field, environment, meaning)                                                                            \
    {                                                                                                                  \
        {#field, "switch", "off", "on, off", environment, meaning}, PGDBM__FIELD_BOOL, offsetof(pgdbm_config, field),  \
            false, 0, 0, 1                                                                                             \
    }
#define NUMBER(field, type, off, fallback, low, high, environment, meaning)                                            \
    {                                                                                                                  \
        {#field, type, #fallback, off ? #low " to " #high ", -1: off" : #low " to " #high, environment, meaning},      \
            PGDBM__FIELD_INT, offsetof(pgdbm_config, field), off, fallback, low, high                                  \
    }

const struct pgdbm__field pgdbm__fields[] = {
    TEXT(connection_string, "DATABASE_URL", "where: a URI or key=value string"),
    TEXT(host, "PGDBM_HOST", "host name, address, or directory of the socket"),
    NUMBER(port, "count", false, 0, 0, 65535, "PGDBM_PORT", "port; 0: libpq's default"),
    TEXT(database, "PGDBM_DATABASE", "database"),
    TEXT(user, "PGDBM_USER", "user"),
    TEXT(password, "DB_PASSWORD", "password; never shown"),
    TEXT(schema, "PGDBM_SCHEMA", "the manager's schema, for pgdbm_open"),
    TEXT(application_name, "PGDBM_APPLICATION_NAME", "shown in pg_stat_activity; pgdbm"),
    NUMBER(min_connections, "count", true, 5, 0, 10000, "PGDBM_MIN_CONNECTIONS", "sessions kept open"),
    NUMBER(max_connections, "count", false, 20, 1, 10000, "PGDBM_MAX_CONNECTIONS", "sessions at most"),
    NUMBER(max_pipeline, "count", false, 16, 1, 1024, "PGDBM_MAX_PIPELINE",
           "statements in flight on a shared session; 1: never share"),
    NUMBER(acquire_timeout_ms, "ms", true, 30000, 1, 2147483647, "PGDBM_ACQUIRE_TIMEOUT_MS", "wait for a session"),
    NUMBER(connect_timeout_ms, "ms", false, 10000, 1, 2147483647, "PGDBM_CONNECT_TIMEOUT_MS", "one attempt to connect"),
    NUMBER(idle_timeout_ms, "ms", true, 300000, 1, 2147483647, "PGDBM_IDLE_TIMEOUT_MS",
           "close sessions idle for longer, above the minimum"),
    NUMBER(max_lifetime_ms, "ms", true, 3600000, 1, 2147483647, "PGDBM_MAX_LIFETIME_MS",
           "replace sessions that are older, less up to 10 %"),
    NUMBER(max_uses, "count", true, 50000, 1, 2147483647, "PGDBM_MAX_USES", "replace sessions after so many uses"),
    NUMBER(keepalive_ms, "ms", true, 60000, 1000, 2147483647, "PGDBM_KEEPALIVE_MS", "TCP keepalive idle time"),
    NUMBER(leak_detection_ms, "ms", true, -1, 1, 2147483647, "PGDBM_LEAK_DETECTION_MS", "log leases held for longer"),
    NUMBER(drain_timeout_ms, "ms", true, 10000, 1, 2147483647, "PGDBM_DRAIN_TIMEOUT_MS",
           "wait for work in flight when closing"),
    NUMBER(statement_cache_size, "count", true, 256, 1, 65536, "PGDBM_STATEMENT_CACHE_SIZE",
           "prepared statements per session"),
    NUMBER(max_queued, "count", false, 65536, 1, 2147483647, "PGDBM_MAX_QUEUED",
           "submitted requests that may wait for a session"),
    NUMBER(max_result_bytes, "bytes", true, 1073741824, 1024, 2147483647, "PGDBM_MAX_RESULT_BYTES",
           "the largest result kept"),
    SWITCH(background, "PGDBM_BACKGROUND", "a thread of the pool's runs the callbacks"),
    SWITCH(strict_isolation, "PGDBM_STRICT_ISOLATION", "search_path = pg_catalog: unqualified table names fail"),
    OTHER(on_duplicate_pool, "choice", "a second pool to the same database: warn, forbid, allow"),
    NUMBER(command_timeout_ms, "ms", true, 60000, 1, 2147483647, "PGDBM_COMMAND_TIMEOUT_MS", "one call, measured here"),
    NUMBER(statement_timeout_ms, "ms", true, 60000, 1, 2147483647, "PGDBM_STATEMENT_TIMEOUT_MS",
           "one statement, measured by the server"),
    NUMBER(lock_timeout_ms, "ms", true, 5000, 1, 2147483647, "PGDBM_LOCK_TIMEOUT_MS",
           "wait for a lock, measured by the server"),
    NUMBER(idle_in_transaction_session_timeout_ms, "ms", true, 60000, 1, 2147483647,
           "PGDBM_IDLE_IN_TRANSACTION_SESSION_TIMEOUT_MS", "a transaction that does nothing"),
    SWITCH(jit, "PGDBM_JIT", "just-in-time compilation of statements"),
    OTHER(server_settings, "list", "run-time parameters of every session"),
    OTHER(n_server_settings, "count", "how many"),
    OTHER(init_commands, "list", "SQL run on every new session and after a reset"),
    OTHER(n_init_commands, "count", "how many"),
    TEXT(ssl_mode, "PGDBM_SSL_MODE", "disable, allow, prefer, require, verify-ca, verify-full"),
    TEXT(ssl_ca_file, "PGDBM_SSL_CA_FILE", "certificates to trust"),
    TEXT(ssl_cert_file, "PGDBM_SSL_CERT_FILE", "the client's certificate"),
    TEXT(ssl_key_file, "PGDBM_SSL_KEY_FILE", "the client's key"),
    TEXT(ssl_key_password, "PGDBM_SSL_KEY_PASSWORD", "the key's password; never shown"),
    NUMBER(retry_attempts, "count", true, 3, 1, 1000, "PGDBM_RETRY_ATTEMPTS", "further attempts to connect"),
    NUMBER(retry_delay_ms, "ms", false, 1000, 1, 2147483647, "PGDBM_RETRY_DELAY_MS", "before the second attempt"),
    {{"retry_backoff", "number", "2.0", "1 to 100", "PGDBM_RETRY_BACKOFF",
      "each delay is this many times the one before"},
     PGDBM__FIELD_DOUBLE,
     offsetof(pgdbm_config, retry_backoff),
     false,
     2.0,
     1.0,
     100.0},
    NUMBER(retry_max_delay_ms, "ms", false, 30000, 1, 2147483647, "PGDBM_RETRY_MAX_DELAY_MS", "longest delay"),
    SWITCH(fail_fast, "PGDBM_FAIL_FAST", "one attempt only when opening"),
    OTHER(log, "callback", "receives messages"),
    OTHER(log_context, "callback", "handed to it"),
    OTHER(log_level, "choice", "how much is logged"),
};

const size_t pgdbm__n_fields = sizeof pgdbm__fields / sizeof *pgdbm__fields;
