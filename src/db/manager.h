/* SPDX-License-Identifier: MIT */
/* The manager from inside. */
#ifndef PGDBM_DB_MANAGER_H
#define PGDBM_DB_MANAGER_H

#include "pool/pool.h"
#include "sql/identifier.h"

#include <pgdbm/transaction.h>

enum pgdbm__db_kind { PGDBM__DB_MANAGER = 0, PGDBM__DB_TRANSACTION, PGDBM__DB_SAVEPOINT, PGDBM__DB_PINNED };

/* Each savepoint and transaction on a session holds its outer one; the outermost holds the lease. */
struct pgdbm_db {
    struct pgdbm_pool *pool;        /* one reference */
    struct pgdbm__account *account; /* its share of the pool; one reference */
    enum pgdbm__db_kind kind;
    bool owns_pool;
    bool has_schema;
    char schema[64];

    /* Of transactions, savepoints and pinned sessions. `inner`, `cursors` and `ended` are guarded by the pool's lock. */
    struct pgdbm__member *member; /* NULL: a plain manager */
    pgdbm_db *outer, *inner;
    struct pgdbm_cursor *cursors; /* that are open on it */
    bool ended;
    bool changed; /* a transaction, and pgdbm_schema_changed was called in it */
    unsigned depth;
    struct pgdbm__spot spot;
};

/* A plain manager with a share of its own; and one on a session, in the name of `db`. NULL when memory is short. */
pgdbm_db *pgdbm__db_new(struct pgdbm_pool *pool, const char *schema, const pgdbm_share *share);
pgdbm_db *pgdbm__db_new_on(const pgdbm_db *db, enum pgdbm__db_kind kind, struct pgdbm__spot spot);
void pgdbm__db_free(pgdbm_db *db);

/* Whether the handle may run statements now: its transaction lives and no nested one is open. */
pgdbm_status pgdbm__db_usable(pgdbm_db *db, pgdbm_error *err);

/* The options of a call, completed; and the run that they make. */
pgdbm_status pgdbm__db_prepare_run(pgdbm_db *db, const char *function, const pgdbm_call *call, size_t call_bytes,
                                   const char *sql, pgdbm_params params, struct pgdbm__run *run, pgdbm_error *err);

/* A list of parameters that can be sent: not NULL where it says it has some, and not more than the protocol holds. */
pgdbm_status pgdbm__db_check_params(const pgdbm_params *params, const char *function, pgdbm_error *err);

/* Unlinks the handle from the one around it, and ends its cursors and the handles inside it, which somebody may still
 * hold. True when such a handle was open. */
bool pgdbm__db_detach(pgdbm_db *db);

/* A table as verbs are told it, "users" or "billing.invoices": both names folded. The schema is the manager's when none is
 * named, and "" when it has none either: the search_path decides then, as it does for templates. */
struct pgdbm__table {
    char schema[PGDBM__IDENTIFIER_BYTES];
    char name[PGDBM__IDENTIFIER_BYTES];
    char quoted[2 * PGDBM__IDENTIFIER_BYTES + 5]; /* as it stands in a statement */
};
pgdbm_status pgdbm__db_table(const pgdbm_db *db, const char *table, struct pgdbm__table *found, pgdbm_error *err);

/* The handle is a transaction or a savepoint; and whether it is the one that holds the lease. */
pgdbm_status pgdbm__db_check_transaction(const pgdbm_db *tx, const char *function, pgdbm_error *err);
bool pgdbm__db_holds_lease(const pgdbm_db *tx);
/* Gives back the handle's lease. */
void pgdbm__db_release(pgdbm_db *db);
/* The SQL that begins: BEGIN with its modes, or a savepoint of this depth. */
pgdbm_status pgdbm__begin_compose(const pgdbm_tx_options *options, bool savepoint, unsigned depth, char *sql,
                                  size_t sql_bytes, pgdbm_error *err);

/* cursor.c: the handle is about to end: its cursors let go of it, and stay their owners' to close. Locked. */
void pgdbm__db_orphan_cursors(pgdbm_db *db);

/* One simple-protocol command on the handle's own session. */
pgdbm_status pgdbm__db_command(pgdbm_db *db, const char *sql, pgdbm_error *err);

#endif
