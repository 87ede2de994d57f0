/* SPDX-License-Identifier: MIT */
/* Transactions, savepoints and pinned sessions. Each is a `pgdbm_db *` that the same verbs work on.
 *
 * A transaction holds one session of the pool until it ends. pgdbm_commit and pgdbm_rollback end the handle, whatever
 * they return. Beginning on a transaction makes a savepoint; while the inner one is open the outer one refuses to work
 * (PGDBM_ERR_TRANSACTION), because what it did would vanish with the inner rollback. Ending the outer one ends the
 * inner ones with it; their handles then answer PGDBM_ERR_TRANSACTION and are released with pgdbm_close.
 *
 * The session goes back clean: role, search_path, other settings, temporary tables, advisory locks, LISTEN, prepared
 * statements of the user and open transactions are undone; a session that changed nothing is not asked to. */
#ifndef PGDBM_TRANSACTION_H
#define PGDBM_TRANSACTION_H

#include <pgdbm/db.h>

typedef enum pgdbm_isolation {
    PGDBM_ISOLATION_DEFAULT = 0, /* the server's default_transaction_isolation */
    PGDBM_READ_COMMITTED,
    PGDBM_REPEATABLE_READ,
    PGDBM_SERIALIZABLE
} pgdbm_isolation;

/* All zero: as the server defaults. On a savepoint isolation, read_only and deferrable must be zero. */
typedef struct pgdbm_tx_options {
    pgdbm_isolation isolation;
    bool read_only;
    bool deferrable;    /* with SERIALIZABLE and read_only (PostgreSQL documentation, SET TRANSACTION) */
    int max_attempts;   /* pgdbm_transact only: how often to run in all, 5 */
    int retry_delay_ms; /* pgdbm_transact only: before the second attempt, doubled each time, varied at random; 10 */
} pgdbm_tx_options;

/* The body of pgdbm_transact. PGDBM_OK commits, anything else rolls back. It may run several times: it should keep its
 * effects in the transaction. Fill `err` (never NULL here) when returning a status of your own. */
typedef pgdbm_status (*pgdbm_transaction_body)(pgdbm_db *tx, void *context, pgdbm_error *err);

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_begin_sized(const char *file, int line, pgdbm_db *db, const pgdbm_tx_options *options,
                                            size_t options_bytes, pgdbm_db **tx, pgdbm_error *err);

static inline pgdbm_status pgdbm_begin_here(const char *file, int line, pgdbm_db *db, const pgdbm_tx_options *options,
                                            pgdbm_db **tx, pgdbm_error *err)
{
    return pgdbm_begin_sized(file, line, db, options, sizeof *options, tx, err);
}

/* pgdbm_begin(pgdbm_db *db, const pgdbm_tx_options *options, pgdbm_db **tx, pgdbm_error *err)
 *
 * Begins a transaction (on a transaction: a savepoint). `options` may be NULL. `*tx` is the caller's and ends with
 * pgdbm_commit, pgdbm_rollback or pgdbm_close. Errors: ARGUMENT, POOL, CONNECTION, TIMEOUT, TRANSACTION, QUERY, NOMEM.
 */
#define pgdbm_begin(...) pgdbm_begin_here(PGDBM_HERE, __VA_ARGS__)

/* Commits (releases the savepoint) and ends the handle. A transaction in which a statement failed cannot commit: it is
 * rolled back and the answer is PGDBM_ERR_TRANSACTION, outcome ROLLED_BACK. If the connection dies while the answer is
 * awaited the outcome is UNKNOWN. Committing while a nested transaction is open is PGDBM_ERR_TRANSACTION, rolls back,
 * and ends the handle. */
PGDBM_EXPORT pgdbm_status pgdbm_commit(pgdbm_db *tx, pgdbm_error *err);

/* Rolls back (to the savepoint) and ends the handle. A lost connection is PGDBM_OK: the server has rolled back. */
PGDBM_EXPORT pgdbm_status pgdbm_rollback(pgdbm_db *tx, pgdbm_error *err);

PGDBM_EXPORT pgdbm_status pgdbm_transact_sized(const char *file, int line, pgdbm_db *db,
                                               const pgdbm_tx_options *options, size_t options_bytes,
                                               pgdbm_transaction_body body, void *context, pgdbm_error *err);

static inline pgdbm_status pgdbm_transact_here(const char *file, int line, pgdbm_db *db,
                                               const pgdbm_tx_options *options, pgdbm_transaction_body body,
                                               void *context, pgdbm_error *err)
{
    return pgdbm_transact_sized(file, line, db, options, sizeof *options, body, context, err);
}

/* pgdbm_transact(pgdbm_db *db, const pgdbm_tx_options *options, pgdbm_transaction_body body, void *context, pgdbm_error
 * *err)
 *
 * Runs `body` in a transaction: commit when it returns PGDBM_OK, roll back otherwise. Serialization failures and
 * deadlocks (40001, 40P01), and connections lost before the commit was sent, are tried again up to max_attempts with
 * jittered back-off. On a transaction it runs in a savepoint, once: only the outermost can retry. Returns the body's
 * status and error. */
#define pgdbm_transact(...) pgdbm_transact_here(PGDBM_HERE, __VA_ARGS__)

PGDBM_EXPORT pgdbm_status pgdbm_pin_at(const char *file, int line, pgdbm_db *db, pgdbm_db **session, pgdbm_error *err);

/* pgdbm_pin(pgdbm_db *db, pgdbm_db **session, pgdbm_error *err)
 *
 * A session of one's own: SET, session advisory locks, temporary tables, LISTEN. `*session` is the caller's;
 * pgdbm_close cleans it and gives it back. Pinning a transaction is PGDBM_ERR_TRANSACTION: it is pinned already. */
#define pgdbm_pin(...) pgdbm_pin_at(PGDBM_HERE, __VA_ARGS__)

/* The pinned session will not go back to the pool: it is closed when its handle is, and the pool opens another when it
 * needs one. For sessions that have touched very many tables: the server's process keeps what it learned of each (a
 * quarter of a megabyte for a schema of twenty tables), and nothing but closing gives that memory back.
 * Errors: ARGUMENT (not what pgdbm_pin handed out). */
PGDBM_EXPORT pgdbm_status pgdbm_retire(pgdbm_db *session, pgdbm_error *err);

/* The server process that the session (a pinned one, or a transaction's) was given when it connected. Where
 * `SELECT pg_backend_pid()` says another one, a pooler that hands out servers per transaction stands in between: session
 * locks, settings and LISTEN do not hold there. It costs no round trip. Errors: ARGUMENT (a manager has no session),
 * TRANSACTION (as for any use of the handle). */
PGDBM_EXPORT pgdbm_status pgdbm_session_pid(pgdbm_db *session, int *pid, pgdbm_error *err);

/* From now on, managers that are attached to the transaction's pool (pgdbm_attach, pgdbm_module_open) work inside of the
 * transaction, until it ends: for tests that undo what code does which begins and commits by itself
 * (pgdbm_testdb_isolated of <pgdbm/testkit.h>). Such a manager behaves as any other, but that all have the one session:
 * threads take turns, waiting as long as for a session; what it begins is a savepoint, also with an isolation level (which
 * is that of the transaction), and while that is open the others refuse to work (PGDBM_ERR_TRANSACTION); pinning gives the
 * same session, where SQL does not control transactions either (fleets need that, and fail); what is SET stays for all; a
 * verb that fails undoes itself only, while a failed batch, COPY or asynchronous verb spoils the transaction unless it is
 * in one begun on the manager. NOTIFY is not delivered and deferred constraints are not checked, because nothing commits.
 *
 * When the transaction ends, the managers answer PGDBM_ERR_TRANSACTION and are released with pgdbm_close. A blocking verb of
 * another thread is waited for. A batch, COPY or asynchronous verb is not, and pgdbm_commit_async and pgdbm_rollback_async
 * wait for none: there must be none then. Errors: ARGUMENT (not a transaction), TRANSACTION (a nested one; the pool is
 * enclosed already). */
PGDBM_EXPORT pgdbm_status pgdbm_enclose(pgdbm_db *tx, pgdbm_error *err);

PGDBM_END_DECLS
#endif
