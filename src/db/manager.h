/* SPDX-License-Identifier: MIT */
/* The manager from inside. */
#ifndef PGDBM_DB_MANAGER_H
#define PGDBM_DB_MANAGER_H

#include "pool/pool.h"
#include "sql/identifier.h"

#include <pgdbm/transaction.h>

enum pgdbm__db_kind {
    PGDBM__DB_MANAGER = 0,
    PGDBM__DB_TRANSACTION,
    PGDBM__DB_SAVEPOINT,
    PGDBM__DB_PINNED,
    PGDBM__DB_ENCLOSED,    /* a manager of a pool whose only session is in an enclosing transaction (enclose.c) */
    PGDBM__DB_ENCLOSED_PIN /* what pinning it gives: the same session once more */
};

/* Each savepoint and transaction on a session holds its outer one; the outermost holds the lease. Of an enclosed manager
 * the outer one is the enclosing transaction. */
struct pgdbm_db {
    struct pgdbm_pool *pool;        /* one reference */
    struct pgdbm__account *account; /* its share of the pool; one reference */
    enum pgdbm__db_kind kind;
    bool owns_pool;
    bool has_schema;
    bool takes_turns; /* an enclosed manager, or a savepoint begun on one */
    char schema[64];

    /* Of transactions, savepoints and pinned sessions. `inner`, `next`, `cursors` and `ended` are guarded
     * by the pool's lock. */
    struct pgdbm__member *member; /* NULL: a plain manager */
    pgdbm_db *outer;
    union {
        pgdbm_db *inner;
        pgdbm_db *next; /* of an enclosed manager, which has no inner ones: another of them */
    };
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
/* What pgdbm_begin on the handle makes, and the SQL for it: BEGIN with its modes, or a savepoint. */
enum pgdbm__db_kind pgdbm__begin_kind(const pgdbm_db *db);
pgdbm_status pgdbm__begin_compose(const pgdbm_db *db, const pgdbm_tx_options *options, char *sql, size_t sql_bytes,
                                  pgdbm_error *err);
/* `made` is about to begin inside of `db`, which refuses to work from now on. */
void pgdbm__db_link(pgdbm_db *db, pgdbm_db *made);

/* enclose.c */
static inline bool pgdbm__db_is_enclosed(const pgdbm_db *db)
{
    return db->kind == PGDBM__DB_ENCLOSED || db->kind == PGDBM__DB_ENCLOSED_PIN;
}
/* Whether its statements are part of a transaction that is open already. */
static inline bool pgdbm__db_is_inside(const pgdbm_db *db)
{
    return db->kind == PGDBM__DB_TRANSACTION || db->kind == PGDBM__DB_SAVEPOINT || pgdbm__db_is_enclosed(db);
}
/* Makes a new manager one that is enclosed, if its pool is; and takes it out of the list before it is freed. */
void pgdbm__db_enter(pgdbm_db *made);
pgdbm_status pgdbm__db_pin_enclosed(pgdbm_db *db, struct pgdbm__spot spot, pgdbm_db **session, pgdbm_error *err);
void pgdbm__db_leave(pgdbm_db *db);
/* The enclosing transaction ends: its managers do, too. Locked; and, before the end is sent, not locked: when whoever is at
 * a statement of such a manager is through. Nothing on another handle. */
void pgdbm__db_end_enclosed(pgdbm_db *tx);
void pgdbm__db_end_enclosure(pgdbm_db *tx);
/* Where turns are taken: waits until nobody else is at a statement, and finds the handle usable. Nothing on another one. */
pgdbm_status pgdbm__db_turn_begin(pgdbm_db *db, pgdbm_error *err);
void pgdbm__db_turn_end(pgdbm_db *db);
/* The same for the end of a savepoint, which comes whatever happens: false when it is to go without. */
bool pgdbm__db_turn_try(pgdbm_db *db);
/* A turn, on a manager with a savepoint: what fails, or is stopped, undoes itself only, as it would outside of a
 * transaction. Where it could not be begun it is not to be ended. */
pgdbm_status pgdbm__db_step_begin(pgdbm_db *db, pgdbm_error *err);
pgdbm_status pgdbm__db_step_end(pgdbm_db *db, bool stopped, pgdbm_status status, pgdbm_error *err);
pgdbm_status pgdbm__db_run_step(pgdbm_db *db, const struct pgdbm__run *run, struct pgdbm__request *request,
                                pgdbm_error *err);
/* Runs a request of the handle's. */
static inline pgdbm_status pgdbm__db_run(pgdbm_db *db, const struct pgdbm__run *run, struct pgdbm__request *request,
                                         pgdbm_error *err)
{
    return db->takes_turns ? pgdbm__db_run_step(db, run, request, err) : pgdbm__pool_run(run, request, err);
}

/* cursor.c: the handle is about to end: its cursors let go of it, and stay their owners' to close. Locked. */
void pgdbm__db_orphan_cursors(pgdbm_db *db);

/* One simple-protocol command on the handle's own session. */
pgdbm_status pgdbm__db_command(pgdbm_db *db, const char *sql, pgdbm_error *err);

#endif
