/* SPDX-License-Identifier: MIT */
/* Cursors: portals that are read in pieces. A cursor is used by one thread at a time; only its place in the list of its
 * handle's cursors is everybody's, and guarded by the pool's lock: the handle may be ended, and freed, while the cursor is
 * open. Whatever goes wrong on the server ends the cursor at once, its own transaction included: all that is left then is
 * to close it. */
#include <pgdbm/cursor.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/manager.h"

#include <string.h>

#define DEFAULT_CHUNK_ROWS 1000
/* A session that was lost between BEGIN and the statement, a statement that has changed meanwhile: in a transaction of its
 * own a cursor can be opened once more, because nothing of the first one remains. */
#define OPENINGS 2

struct pgdbm_cursor {
    struct pgdbm_pool *pool;            /* one reference */
    struct pgdbm__statement *statement; /* one reference: for its texts */
    bool owns_transaction;
    int32_t chunk_rows;
    int timeout_ms;
    uint64_t portal;
    bool exhausted;      /* the server has no more rows than those of `piece` */
    bool finished;       /* the caller has been told so, and everything is committed or closed */
    pgdbm_result *piece; /* the last one that came */
    size_t taken;        /* of its rows: handed out */
    pgdbm_result *row;   /* shows one row of `piece` to the caller; its description is that of every piece */

    /* The transaction it is in; NULL: the cursor has ended, or the transaction. */
    pgdbm_db *db;
    pgdbm_cursor *previous, *next; /* among those of `db` */
};

static void link_cursor(pgdbm_cursor *cursor, pgdbm_db *db)
{
    pthread_mutex_lock(&cursor->pool->lock);
    cursor->db = db;
    cursor->next = db->cursors;
    if (cursor->next != NULL)
        cursor->next->previous = cursor;
    db->cursors = cursor;
    pthread_mutex_unlock(&cursor->pool->lock);
}

/* Returns the handle it was open on, or NULL. */
static pgdbm_db *unlink_cursor(pgdbm_cursor *cursor)
{
    pthread_mutex_lock(&cursor->pool->lock);
    pgdbm_db *db = cursor->db;
    if (cursor->next != NULL)
        cursor->next->previous = cursor->previous;
    if (cursor->previous != NULL)
        cursor->previous->next = cursor->next;
    else if (db != NULL)
        db->cursors = cursor->next;
    cursor->db = NULL;
    cursor->previous = cursor->next = NULL;
    pthread_mutex_unlock(&cursor->pool->lock);
    return db;
}

void pgdbm__db_orphan_cursors(pgdbm_db *db)
{
    while (db->cursors != NULL) {
        pgdbm_cursor *cursor = db->cursors;
        db->cursors = cursor->next;
        cursor->db = NULL;
        cursor->previous = cursor->next = NULL;
    }
}

/* Gives the portal up inside of a transaction that goes on, unless that is impossible now: then it lasts as long as the
 * transaction. A nested transaction may be open. */
static void close_portal(const pgdbm_cursor *cursor, pgdbm_db *db)
{
    struct pgdbm__session *session = &db->member->session;
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_CLOSE, .portal = cursor->portal};
    int timeout_ms = db->pool->config->values.command_timeout_ms;
    pthread_mutex_lock(&db->pool->lock);
    bool possible = !db->ended && !db->member->copying && !atomic_load(&session->lost);
    pthread_mutex_unlock(&db->pool->lock);
    if (!possible)
        return;
    pgdbm__lease_quiesce(db->pool, db->member);
    (void)pgdbm__session_perform(session, &request, pgdbm__deadline(timeout_ms > 0 ? timeout_ms : -1));
}

/* Ends it where it is: nothing of its own transaction remains. */
static void abandon(pgdbm_cursor *cursor)
{
    pgdbm_db *db = unlink_cursor(cursor);
    if (db == NULL)
        return;
    if (cursor->owns_transaction)
        (void)pgdbm_rollback(db, NULL);
    else
        close_portal(cursor, db);
}

static pgdbm_status has_ended(pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "the cursor has ended: with its transaction, or with an earlier failure");
    pgdbm__error_hint(err, "close it with pgdbm_cursor_close; open another one to read the rows again");
    return PGDBM_ERR_TRANSACTION;
}

/* All rows have been read. */
static pgdbm_status finish(pgdbm_cursor *cursor, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (cursor->finished)
        return PGDBM_OK;
    pgdbm_db *db = unlink_cursor(cursor);
    if (cursor->owns_transaction)
        status = db != NULL ? pgdbm_commit(db, err) : has_ended(err);
    else if (db != NULL)
        close_portal(cursor, db);
    cursor->finished = status == PGDBM_OK;
    return status;
}

/* A fetch has failed, and the cursor with it. Of a transaction of its own nothing remains, whatever is known of the one
 * request. */
static pgdbm_status fail_fetch(pgdbm_cursor *cursor, const struct pgdbm__request *request, pgdbm_error *err)
{
    *err = request->error;
    if (strcmp(err->sqlstate, "34000") == 0) { /* invalid_cursor_name: SQL has closed it */
        has_ended(err);
        pgdbm__error_outcome(err, PGDBM_OUTCOME_ROLLED_BACK);
    }
    if (cursor->owns_transaction)
        pgdbm__error_outcome(err, PGDBM_OUTCOME_ROLLED_BACK);
    abandon(cursor);
    return err->status;
}

static void take_piece(pgdbm_cursor *cursor, const struct pgdbm__request *request)
{
    pgdbm_result_free(cursor->piece);
    cursor->piece = request->result;
    cursor->taken = 0;
    cursor->exhausted = !request->suspended;
}

/* Asks for the next piece. What was not sent, because the handle is not to be used now, changes nothing. */
static pgdbm_status fetch_piece(pgdbm_cursor *cursor, pgdbm_error *err)
{
    struct pgdbm__run run;
    const pgdbm_call call = {.timeout_ms = cursor->timeout_ms};
    pthread_mutex_lock(&cursor->pool->lock);
    pgdbm_db *db = cursor->db;
    pthread_mutex_unlock(&cursor->pool->lock);
    if (db == NULL)
        return has_ended(err);
    pgdbm_status status = pgdbm__db_prepare_run(db, "pgdbm_cursor_next", &call, sizeof call, cursor->statement->text,
                                                pgdbm_no_args, &run, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__request request = {
        .kind = PGDBM__REQUEST_FETCH,
        .statement = cursor->statement,
        .portal = cursor->portal,
        .max_rows = cursor->chunk_rows,
        .description = cursor->row->description,
        .rows = PGDBM__ROWS_ALL,
        .max_result_bytes = (size_t)run.pool->config->values.max_result_bytes,
    };
    status = pgdbm__db_step_begin(db, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__lease_quiesce(run.pool, run.lease);
    atomic_store_explicit(&run.lease->owner, pgdbm__thread_token(), memory_order_relaxed);
    status = pgdbm__session_perform(&run.lease->session, &request, run.deadline);
    status = pgdbm__db_step_end(db, false, status, &request.error);
    if (pgdbm__is_observed(&run.pool->observers))
        pgdbm__observe_text(run.pool, PGDBM_OBSERVED_FETCH, cursor->statement->text, run.now, request.affected, status,
                            &request.error);
    if (status == PGDBM_OK) {
        take_piece(cursor, &request);
        return PGDBM_OK;
    }
    pgdbm_result_free(request.result); /* the end of the step may have failed alone */
    if (request.error.outcome == PGDBM_OUTCOME_NOT_SENT && !request.lost)
        *err = request.error;
    else
        status = fail_fetch(cursor, &request, err);
    return status;
}

/* Sees to it that `piece` has a row that has not been handed out, or that the cursor is finished. */
static pgdbm_status advance(pgdbm_cursor *cursor, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__pool_ours(cursor->pool, err);
    if (status == PGDBM_OK && cursor->taken == pgdbm_result_rows(cursor->piece) && !cursor->exhausted)
        status = fetch_piece(cursor, err);
    if (status == PGDBM_OK && cursor->taken == pgdbm_result_rows(cursor->piece))
        status = finish(cursor, err);
    return status;
}

pgdbm_status pgdbm_cursor_next(pgdbm_cursor *cursor, const pgdbm_result **row, pgdbm_error *err)
{
    pgdbm_error local;
    err = err != NULL ? err : &local;
    if (cursor == NULL || row == NULL)
        return pgdbm__fail_null(err, "pgdbm_cursor_next", cursor == NULL ? "cursor" : "row");
    *row = NULL;
    pgdbm_status status = advance(cursor, err);
    if (status == PGDBM_OK && !cursor->finished) {
        pgdbm__result_view_row(cursor->row, cursor->piece, cursor->taken++);
        *row = cursor->row;
    }
    return status;
}

pgdbm_status pgdbm_cursor_fetch(pgdbm_cursor *cursor, pgdbm_result **result, pgdbm_error *err)
{
    pgdbm_error local;
    err = err != NULL ? err : &local;
    if (cursor == NULL || result == NULL)
        return pgdbm__fail_null(err, "pgdbm_cursor_fetch", cursor == NULL ? "cursor" : "result");
    *result = NULL;
    pgdbm_status status = advance(cursor, err);
    if (status != PGDBM_OK)
        return status;
    if (cursor->finished) {
        *result = pgdbm__result_new(cursor->row->description);
        return *result != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "making an empty result");
    }
    pgdbm__result_drop_rows(cursor->piece, cursor->taken);
    *result = cursor->piece;
    cursor->piece = NULL;
    cursor->taken = 0;
    return PGDBM_OK;
}

static void free_cursor(pgdbm_cursor *cursor)
{
    pgdbm_result_free(cursor->piece);
    pgdbm_result_free(cursor->row);
    pgdbm__statement_unref(cursor->statement);
    pgdbm__pool_unref(cursor->pool);
    pgdbm__free(cursor);
}

void pgdbm_cursor_close(pgdbm_cursor *cursor)
{
    if (cursor == NULL || pgdbm__pool_ours(cursor->pool, NULL) != PGDBM_OK)
        return; /* a forked child leaves its parent's things alone */
    abandon(cursor);
    free_cursor(cursor);
}

/* Whether the handle is in a transaction: a pinned session may have begun one by itself. */
static bool in_transaction(const pgdbm_db *db)
{
    return pgdbm__db_is_inside(db) ||
           (db->kind == PGDBM__DB_PINNED && atomic_load(&db->member->session.transaction_status) != 'I');
}

/* Opens it in the transaction `db`. *again: another transaction may be luckier. That is so also of a statement that has
 * changed and was answered all the same: values in another shape than asked for may be impossible to read. */
static pgdbm_status open_in(pgdbm_cursor *cursor, pgdbm_db *db, struct pgdbm__run *run, pgdbm_params params,
                            bool *again, pgdbm_error *err)
{
    struct pgdbm__request request = {
        .kind = PGDBM__REQUEST_EXECUTE,
        .sets = &params,
        .n_sets = 1,
        .rows = PGDBM__ROWS_ALL,
        .max_rows = cursor->chunk_rows,
    };
    run->lease = db->member;
    pgdbm_status status = pgdbm__db_run(db, run, &request, err);
    *again = request.lost || request.gone || request.stale;
    if (status != PGDBM_OK) {
        if (cursor->owns_transaction && err->outcome != PGDBM_OUTCOME_NOT_SENT)
            pgdbm__error_outcome(err, PGDBM_OUTCOME_ROLLED_BACK);
        return status;
    }
    link_cursor(cursor, db);
    cursor->portal = request.portal;
    take_piece(cursor, &request);
    pgdbm_result_free(cursor->row);
    cursor->row = pgdbm__result_new(cursor->piece->description);
    if (cursor->row != NULL)
        return PGDBM_OK;
    pgdbm__fail_nomem(err, "opening a cursor");
    pgdbm__error_outcome(err, cursor->owns_transaction ? PGDBM_OUTCOME_ROLLED_BACK : PGDBM_OUTCOME_DONE);
    return PGDBM_ERR_NOMEM;
}

static pgdbm_status open_in_its_own(pgdbm_cursor *cursor, pgdbm_db *db, struct pgdbm__run *run, pgdbm_params params,
                                    pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    bool again = true;
    for (int i = 0; again && i < OPENINGS; i++) {
        pgdbm_db *tx = NULL;
        again = false;
        abandon(cursor);
        status = pgdbm_begin_sized(run->spot.file, run->spot.line, db, NULL, 0, &tx, err);
        if (status == PGDBM_OK)
            status = open_in(cursor, tx, run, params, &again, err);
        if (status != PGDBM_OK && tx != NULL && cursor->db == NULL)
            (void)pgdbm_rollback(tx, NULL);
    }
    return status;
}

static pgdbm_status make(const pgdbm_db *db, const struct pgdbm__run *run, const pgdbm_cursor_options *options,
                         pgdbm_cursor **cursor, pgdbm_error *err)
{
    if (options->chunk_rows < 0) {
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_cursor_open: chunk_rows is %d", options->chunk_rows);
        pgdbm__error_hint(err, "0 means %d", DEFAULT_CHUNK_ROWS);
        return PGDBM_ERR_ARGUMENT;
    }
    pgdbm_cursor *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "opening a cursor");
    made->pool = pgdbm__pool_ref(run->pool);
    made->owns_transaction = !in_transaction(db);
    made->chunk_rows = options->chunk_rows > 0 ? options->chunk_rows : DEFAULT_CHUNK_ROWS;
    made->timeout_ms = options->timeout_ms;
    pgdbm_status status = pgdbm__statements_find(run->pool, run->schema, run->sql, &made->statement, err);
    if (status == PGDBM_OK)
        *cursor = made;
    else
        free_cursor(made);
    return status;
}

pgdbm_status pgdbm_cursor_open_at(const char *file, int line, pgdbm_db *db, const char *sql, pgdbm_params params,
                                  const pgdbm_cursor_options *options, size_t options_bytes, pgdbm_cursor **cursor,
                                  pgdbm_error *err)
{
    struct pgdbm__run run;
    pgdbm_error failure; /* the caller's is written at the end: a failure that a repetition mends is none */
    pgdbm_cursor_options chosen = {0};
    pgdbm_cursor *made = NULL;
    bool again;
    if (cursor == NULL)
        return pgdbm__fail_null(err, "pgdbm_cursor_open", "cursor");
    *cursor = NULL;
    if (options != NULL)
        memcpy(&chosen, options, options_bytes < sizeof chosen ? options_bytes : sizeof chosen);
    const pgdbm_call call = {.timeout_ms = chosen.timeout_ms};
    pgdbm_status status =
        pgdbm__db_prepare_run(db, "pgdbm_cursor_open", &call, sizeof call, sql, params, &run, &failure);
    if (status == PGDBM_OK)
        status = make(db, &run, &chosen, &made, &failure);
    if (status == PGDBM_OK) {
        run.spot = (struct pgdbm__spot){file, line};
        status = made->owns_transaction ? open_in_its_own(made, db, &run, params, &failure)
                                        : open_in(made, db, &run, params, &again, &failure);
    }
    if (status == PGDBM_OK)
        *cursor = made;
    else
        pgdbm_cursor_close(made);
    if (status != PGDBM_OK && err != NULL)
        *err = failure;
    return status;
}
