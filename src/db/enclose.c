/* SPDX-License-Identifier: MIT */
/* Enclosing: the managers of a pool work inside of one transaction, which is how tests undo what code does that begins and
 * commits by itself. An enclosed manager is one that always has the enclosing transaction's session; beginning on it makes a
 * savepoint of that transaction. Managers are used by several threads at once, and these have one session: a thread that wants
 * something has its turn, in which nobody else's savepoint comes between its own and the end of that. The list of the managers,
 * what the pool is enclosed in, and whose turn it is are guarded by the pool's lock. */
#include "db/manager.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <time.h>

pgdbm_status pgdbm_enclose(pgdbm_db *tx, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_check_transaction(tx, "pgdbm_enclose", err);
    if (status == PGDBM_OK)
        status = pgdbm__db_usable(tx, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_pool *pool = tx->pool;
    pthread_mutex_lock(&pool->lock);
    bool taken = pool->enclosure != NULL;
    if (!taken && tx->kind == PGDBM__DB_TRANSACTION)
        pool->enclosure = tx;
    pthread_mutex_unlock(&pool->lock);
    if (!taken && tx->kind == PGDBM__DB_TRANSACTION)
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "pgdbm_enclose: %s",
                taken ? "another transaction encloses the pool" : "a nested transaction cannot enclose its pool");
    pgdbm__error_hint(err, "pass what pgdbm_begin on a manager handed out, one for each pool at a time");
    return PGDBM_ERR_TRANSACTION;
}

/* Locked. */
static void enter(pgdbm_db *made, pgdbm_db *enclosure, enum pgdbm__db_kind kind)
{
    made->kind = kind;
    made->takes_turns = true;
    made->member = enclosure->member;
    made->outer = enclosure;
    made->depth = enclosure->depth;
    made->next = made->pool->enclosed;
    made->pool->enclosed = made;
}

void pgdbm__db_enter(pgdbm_db *made)
{
    pthread_mutex_lock(&made->pool->lock);
    if (made->pool->enclosure != NULL)
        enter(made, made->pool->enclosure, PGDBM__DB_ENCLOSED);
    pthread_mutex_unlock(&made->pool->lock);
}

pgdbm_status pgdbm__db_pin_enclosed(pgdbm_db *db, struct pgdbm__spot spot, pgdbm_db **session, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_usable(db, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_db *made = pgdbm__db_new_on(db, PGDBM__DB_ENCLOSED_PIN, spot);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "pinning a session");
    pthread_mutex_lock(&db->pool->lock);
    bool good = !db->ended;
    if (good)
        enter(made, db->outer, PGDBM__DB_ENCLOSED_PIN);
    pthread_mutex_unlock(&db->pool->lock);
    if (!good) {
        pgdbm__db_free(made);
        return pgdbm__db_usable(db, err);
    }
    *session = made;
    return PGDBM_OK;
}

void pgdbm__db_leave(pgdbm_db *db)
{
    pthread_mutex_lock(&db->pool->lock);
    pgdbm__db_orphan_cursors(db);
    pgdbm_db **at = &db->pool->enclosed;
    while (*at != NULL && *at != db)
        at = &(*at)->next;
    if (*at != NULL)
        *at = db->next;
    pthread_mutex_unlock(&db->pool->lock);
}

void pgdbm__db_end_enclosed(pgdbm_db *tx)
{
    if (tx->pool->enclosure != tx)
        return;
    tx->pool->enclosure = NULL;
    while (tx->pool->enclosed != NULL) {
        pgdbm_db *db = tx->pool->enclosed;
        tx->pool->enclosed = db->next;
        pgdbm__db_orphan_cursors(db);
        db->ended = true;
        db->outer = db->next = NULL;
    }
}

void pgdbm__db_end_enclosure(pgdbm_db *tx)
{
    struct pgdbm_pool *pool = tx->pool;
    int cancel_state = pgdbm__cancel_defer();
    pthread_mutex_lock(&pool->lock);
    while (pool->enclosure == tx && pool->stepper != NULL && pool->stepper != pgdbm__thread_token())
        pthread_cond_wait(&pool->changed, &pool->lock);
    for (pgdbm_db *inner = pool->enclosure == tx ? tx->inner : NULL; inner != NULL; inner = inner->inner)
        inner->ended = true; /* before the end is sent, behind which nothing of theirs may come */
    pgdbm__db_end_enclosed(tx);
    pthread_mutex_unlock(&pool->lock);
    pgdbm__cancel_restore(cancel_state);
}

/* Waits until nobody else has the turn, as one waits for a session. Locked. */
static void await_turn(struct pgdbm_pool *pool, int64_t deadline)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
    while (pool->stepper != NULL && pool->stepper != pgdbm__thread_token() && pgdbm__now_ns() < deadline)
        if (deadline == PGDBM__NEVER)
            pthread_cond_wait(&pool->changed, &pool->lock);
        else
            pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
}

static pgdbm_status take_turn(pgdbm_db *db, pgdbm_error *err)
{
    struct pgdbm_pool *pool = db->pool;
    int acquire_ms = pool->config->values.acquire_timeout_ms;
    int64_t since = pgdbm__now_ns();
    const struct pgdbm__need need = {.spot = db->spot};
    pgdbm_status status = pgdbm__pool_ours(pool, err);
    if (status != PGDBM_OK)
        return status;
    int cancel_state = pgdbm__cancel_defer();
    pthread_mutex_lock(&pool->lock);
    await_turn(pool, pgdbm__deadline(acquire_ms > 0 ? acquire_ms : -1));
    if (pool->stepper == NULL)
        pool->stepper = pgdbm__thread_token();
    else if (pool->stepper != pgdbm__thread_token())
        status = pgdbm__pool_time_out(pool, &need, pgdbm__now_ns() - since, err);
    else {
        status = pgdbm__fail(err, PGDBM_ERR_TRANSACTION,
                             "a statement of this thread is under way in the transaction that encloses the pool");
        pgdbm__error_hint(err, "collect what you need in the callback and run the statement afterwards");
    }
    pthread_mutex_unlock(&pool->lock);
    pgdbm__cancel_restore(cancel_state);
    return status;
}

pgdbm_status pgdbm__db_turn_begin(pgdbm_db *db, pgdbm_error *err)
{
    if (!db->takes_turns)
        return PGDBM_OK;
    pgdbm_status status = take_turn(db, err);
    if (status != PGDBM_OK)
        return status;
    status = pgdbm__db_usable(db, err); /* others had turns since it was asked */
    if (status != PGDBM_OK)
        pgdbm__db_turn_end(db);
    return status;
}

bool pgdbm__db_turn_try(pgdbm_db *db)
{
    return db->takes_turns && take_turn(db, NULL) == PGDBM_OK;
}

void pgdbm__db_turn_end(pgdbm_db *db)
{
    if (!db->takes_turns)
        return;
    pthread_mutex_lock(&db->pool->lock);
    db->pool->stepper = NULL;
    pthread_cond_broadcast(&db->pool->changed);
    pthread_mutex_unlock(&db->pool->lock);
}

/* Commands of the enclosure's own are none that a user sent: observers are not told. */
static pgdbm_status command(pgdbm_db *db, const char *sql, pgdbm_error *err)
{
    int timeout_ms = db->pool->config->values.command_timeout_ms;
    pgdbm__lease_quiesce(db->pool, db->member);
    return pgdbm__session_command(&db->member->session, sql, pgdbm__deadline(timeout_ms > 0 ? timeout_ms : -1), err);
}

pgdbm_status pgdbm__db_step_begin(pgdbm_db *db, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_turn_begin(db, err);
    if (status != PGDBM_OK || !pgdbm__db_is_enclosed(db))
        return status;
    status = command(db, "SAVEPOINT pgdbm_step", err);
    if (status != PGDBM_OK) {
        pgdbm__error_outcome(err, PGDBM_OUTCOME_NOT_SENT); /* what it was for */
        pgdbm__db_turn_end(db);
    }
    return status;
}

/* A stream's callback may have ended the enclosure; nobody else can, because it is our turn. */
static bool is_inside(const pgdbm_db *db)
{
    pthread_mutex_lock(&db->pool->lock);
    bool inside = pgdbm__db_is_enclosed(db) && db->outer != NULL && db->pool->enclosure == db->outer;
    pthread_mutex_unlock(&db->pool->lock);
    return inside;
}

pgdbm_status pgdbm__db_step_end(pgdbm_db *db, bool stopped, pgdbm_status status, pgdbm_error *err)
{
    bool inside = db->takes_turns && is_inside(db);
    if (inside && status == PGDBM_OK && !stopped)
        status = command(db, "RELEASE SAVEPOINT pgdbm_step", err);
    else if (inside) /* also when nothing reached the server: then there is nothing to undo */
        (void)command(db, "ROLLBACK TO SAVEPOINT pgdbm_step; RELEASE SAVEPOINT pgdbm_step", NULL);
    pgdbm__db_turn_end(db);
    return status;
}

pgdbm_status pgdbm__db_run_step(pgdbm_db *db, const struct pgdbm__run *run, struct pgdbm__request *request,
                                pgdbm_error *err)
{
    pgdbm_status status = pgdbm__db_step_begin(db, err);
    if (status != PGDBM_OK)
        return status;
    status = pgdbm__pool_run(run, request, err);
    status = pgdbm__db_step_end(db, request->stopped, status, err);
    if (status != PGDBM_OK) { /* perhaps by its end only */
        pgdbm_result_free(request->result);
        request->result = NULL;
    }
    return status;
}
