/* SPDX-License-Identifier: MIT */
/* The COPY verbs. The blocking ones are the asynchronous ones with a caller that drives until it is its turn. */
#include "db/copy.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "db/async.h"
#include "pool/copy.h"
#include "sql/effects.h"
#include "sql/scan.h"

#include <string.h>

/* Whether this word is in the text, outside of quotes and comments. */
static bool has_word(const struct pgdbm__statement *statement, const char *word)
{
    struct pgdbm__scanner scanner = {.text = statement->text, .bytes = statement->text_bytes};
    struct pgdbm__token token;
    for (pgdbm__scan_next(&scanner, &token); token.kind != PGDBM__TOKEN_END; pgdbm__scan_next(&scanner, &token))
        if (pgdbm__token_is_word(statement->text, &token, word))
            return true;
    return false;
}

static bool is_copy(const struct pgdbm__statement *statement, bool in)
{
    return (statement->effects & (PGDBM__EFFECT_COPY | PGDBM__EFFECT_MANY)) == PGDBM__EFFECT_COPY &&
           has_word(statement, in ? "stdin" : "stdout");
}

/* Makes the COPY of this handle; `function` is for messages. */
static pgdbm_status make(pgdbm_db *db, const char *function, const char *sql, bool in, struct pgdbm_copy **copy,
                         pgdbm_error *err)
{
    struct pgdbm__run run;
    struct pgdbm__statement *statement = NULL;
    pgdbm_status status = pgdbm__db_prepare_run(db, function, NULL, 0, sql, pgdbm_no_args, &run, err);
    if (status == PGDBM_OK)
        status = pgdbm__statements_find(db->pool, run.schema, sql, &statement, err);
    if (status == PGDBM_OK && !is_copy(statement, in)) {
        status = pgdbm__fail(err, PGDBM_ERR_QUERY, "%s: the statement is no COPY %s", function,
                             in ? "FROM STDIN" : "TO STDOUT");
        pgdbm__error_hint(err, in ? "read with pgdbm_copy_out; run other statements by pgdbm_execute"
                                  : "send with pgdbm_copy_in; run other statements by pgdbm_execute");
    }
    if (status == PGDBM_OK)
        status = pgdbm__copy_new(db->pool, statement->text, in, copy, err);
    pgdbm__statement_unref(statement);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_request *task = (*copy)->task;
    run.deadline = PGDBM__NEVER;
    pgdbm__db_address(db, &run, task);
    task->own_lease = task->need.lease = run.lease == NULL;
    return PGDBM_OK;
}

/* From now on nothing else may be asked for on the handle's session. */
static void mark_lease(const struct pgdbm_request *task, bool copying)
{
    if (task->lease == NULL)
        return;
    pthread_mutex_lock(&task->pool->lock);
    task->lease->copying = copying;
    pthread_mutex_unlock(&task->pool->lock);
}

/* Submits; on failure the COPY is freed. */
static pgdbm_status submit(struct pgdbm_copy *copy, pgdbm_request **request, pgdbm_error *err)
{
    struct pgdbm_request *task = copy->task;
    struct pgdbm_request *handle = request != NULL ? pgdbm__task_ref(task) : NULL;
    mark_lease(task, true);
    pgdbm_status status = pgdbm__task_submit(task, err);
    if (status != PGDBM_OK) {
        mark_lease(task, false);
        pgdbm__task_unref(handle);
        handle = NULL;
        pgdbm__task_unref(task);
        pgdbm__copy_release(copy);
    }
    if (request != NULL)
        *request = handle;
    return status;
}

pgdbm_status pgdbm_copy_in_async(pgdbm_db *db, const char *sql, pgdbm_copy_writable on_writable,
                                 pgdbm_done_callback on_done, void *context, pgdbm_copy **copy, pgdbm_error *err)
{
    struct pgdbm_copy *made = NULL;
    if (on_writable == NULL || on_done == NULL || copy == NULL)
        return pgdbm__fail_null(err, "pgdbm_copy_in_async",
                                on_writable == NULL ? "on_writable"
                                : on_done == NULL   ? "on_done"
                                                    : "copy");
    *copy = NULL;
    pgdbm_status status = make(db, "pgdbm_copy_in_async", sql, true, &made, err);
    if (status != PGDBM_OK)
        return status;
    made->on_writable = on_writable;
    made->on_done = on_done;
    made->context = context;
    *copy = made; /* before it is submitted: another thread may dispatch */
    status = submit(made, NULL, err);
    if (status != PGDBM_OK)
        *copy = NULL;
    return status;
}

pgdbm_status pgdbm_copy_out_async(pgdbm_db *db, const char *sql, pgdbm_copy_sink on_data, pgdbm_done_callback on_done,
                                  void *context, pgdbm_request **request, pgdbm_error *err)
{
    struct pgdbm_copy *made = NULL;
    if (request != NULL)
        *request = NULL;
    if (on_data == NULL || on_done == NULL)
        return pgdbm__fail_null(err, "pgdbm_copy_out_async", on_data == NULL ? "on_data" : "on_done");
    pgdbm_status status = make(db, "pgdbm_copy_out_async", sql, false, &made, err);
    if (status != PGDBM_OK)
        return status;
    made->on_data = on_data;
    made->on_done = on_done;
    made->context = context;
    return submit(made, request, err);
}

size_t pgdbm_copy_write(pgdbm_copy *copy, const void *data, size_t bytes)
{
    size_t taken = bytes;
    if (copy == NULL || data == NULL || pgdbm__pool_ours(copy->pool, NULL) != PGDBM_OK)
        return 0;
    pthread_mutex_lock(&copy->pool->lock);
    if (copy->member != NULL) {
        taken = pgdbm__session_copy(&copy->member->session, copy->task->flight, data, bytes);
        pgdbm__pool_unpushed(copy->pool, copy->member->session.number);
    } else if (!copy->over)
        taken = 0; /* the server is not ready for it */
    pthread_mutex_unlock(&copy->pool->lock);
    return taken;
}

void pgdbm_copy_end(pgdbm_copy *copy, const char *failure)
{
    if (copy == NULL || pgdbm__pool_ours(copy->pool, NULL) != PGDBM_OK)
        return;
    pthread_mutex_lock(&copy->pool->lock);
    if (copy->member != NULL) {
        pgdbm__session_copy_end(&copy->member->session, copy->task->flight, failure);
        pgdbm__pool_unpushed(copy->pool, copy->member->session.number);
    }
    pthread_mutex_unlock(&copy->pool->lock);
}

/* --- callers that wait --- */

/* On the stack of the thread that waits. */
struct waiting {
    struct pgdbm_copy *copy;
    bool done;
    pgdbm_status status;
    pgdbm_error error;
    int64_t rows;
};

static void note_outcome(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_copy *copy = context;
    struct waiting *waiting = copy->context;
    pthread_mutex_lock(&copy->pool->lock);
    waiting->status = outcome->status;
    waiting->rows = outcome->affected;
    if (outcome->status != PGDBM_OK)
        waiting->error = *outcome->error;
    waiting->done = true;
    pgdbm__pool_progress(copy->pool);
    pthread_mutex_unlock(&copy->pool->lock);
}

static bool is_my_turn(void *context)
{
    const struct waiting *waiting = context;
    return waiting->done || waiting->copy->ready || waiting->copy->first != NULL;
}

static pgdbm_status start(pgdbm_db *db, const char *function, const char *sql, bool in, bool joins,
                          struct waiting *waiting, pgdbm_error *err)
{
    pgdbm_status status = make(db, function, sql, in, &waiting->copy, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_copy *copy = waiting->copy;
    copy->blocking = copy->task->direct = true;
    copy->joins = joins;
    copy->on_done = note_outcome;
    copy->context = waiting;
    atomic_fetch_add(&copy->references, 1);
    pgdbm__task_ref(copy->task);
    struct pgdbm_request *task = copy->task;
    status = submit(copy, NULL, err);
    if (status != PGDBM_OK) {
        pgdbm__task_unref(task);
        pgdbm__copy_release(copy);
    }
    return status;
}

static pgdbm_status finish(struct waiting *waiting, int64_t *rows, pgdbm_error *err)
{
    struct pgdbm_request *task = waiting->copy->task;
    if (waiting->status == PGDBM_OK && rows != NULL)
        *rows = waiting->rows;
    if (waiting->status != PGDBM_OK && err != NULL)
        *err = waiting->error;
    pgdbm__copy_release(waiting->copy);
    pgdbm__task_unref(task);
    return waiting->status;
}

/* Waits for room. False: it is over. */
static bool await_room(struct waiting *waiting)
{
    struct pgdbm_pool *pool = waiting->copy->pool;
    pgdbm__pool_drive_until(pool, is_my_turn, waiting, PGDBM__NEVER);
    pthread_mutex_lock(&pool->lock);
    waiting->copy->ready = false;
    bool over = waiting->done;
    pthread_mutex_unlock(&pool->lock);
    return !over;
}

static bool is_done(void *context)
{
    return ((const struct waiting *)context)->done;
}

/* Whoever drives may have seen its end. */
static bool is_over(struct waiting *waiting)
{
    struct pgdbm_pool *pool = waiting->copy->pool;
    pthread_mutex_lock(&pool->lock);
    bool over = waiting->done;
    pthread_mutex_unlock(&pool->lock);
    return over;
}

/* The COPY ended because of the caller's side, and that is what it ends with. */
static void fail_ours(struct waiting *waiting, pgdbm_status status, const pgdbm_error *failure)
{
    waiting->status = status;
    waiting->error = *failure;
    waiting->error.status = status;
}

/* Sends a piece. False: the COPY is over. */
static bool send_piece(struct waiting *waiting, const char *data, size_t bytes)
{
    bool open = !is_over(waiting);
    for (size_t sent = 0; open && sent < bytes;) {
        sent += pgdbm_copy_write(waiting->copy, data + sent, bytes - sent);
        if (sent < bytes)
            open = await_room(waiting);
    }
    return open;
}

pgdbm_status pgdbm__db_copy_in(pgdbm_db *db, const char *function, const char *sql, pgdbm__copy_feed feed,
                               void *context, int64_t *rows, pgdbm_error *err)
{
    struct waiting waiting = {0};
    pgdbm_error failure;
    pgdbm_status given = PGDBM_OK;
    pgdbm_status status = start(db, function, sql, true, false, &waiting, err);
    if (status != PGDBM_OK)
        return status;
    const void *data = NULL;
    size_t bytes = 1;
    bool open = await_room(&waiting);
    while (open && bytes > 0) {
        bytes = 0;
        pgdbm__fail(&failure, PGDBM_ERR_QUERY, "the source of the data failed");
        given = feed(&data, &bytes, context, &failure);
        if (given != PGDBM_OK)
            break;
        open = send_piece(&waiting, data, bytes);
    }
    pgdbm_copy_end(waiting.copy, given != PGDBM_OK ? "the source of the data failed" : NULL);
    pgdbm__pool_drive_until(db->pool, is_done, &waiting, PGDBM__NEVER);
    failure.outcome = PGDBM_OUTCOME_ROLLED_BACK;
    if (given != PGDBM_OK && waiting.status != PGDBM_OK && waiting.status != PGDBM_ERR_CONNECTION)
        fail_ours(&waiting, given, &failure); /* else it had ended otherwise */
    return finish(&waiting, rows, err);
}

pgdbm_status pgdbm__db_copy_out(pgdbm_db *db, const char *function, const char *sql, bool joins,
                                pgdbm__copy_drain drain, void *context, int64_t *rows, pgdbm_error *err)
{
    struct waiting waiting = {0};
    pgdbm_error failure;
    pgdbm_status given = PGDBM_OK;
    pgdbm_status status = start(db, function, sql, false, joins, &waiting, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm_pool *pool = waiting.copy->pool;
    bool over = false;
    bool more = true;
    while (!over) {
        pgdbm__pool_drive_until(pool, is_my_turn, &waiting, PGDBM__NEVER);
        pthread_mutex_lock(&pool->lock);
        struct pgdbm__piece *piece = pgdbm__copy_take(waiting.copy);
        over = piece == NULL && waiting.done;
        pthread_mutex_unlock(&pool->lock);
        if (piece != NULL && more) {
            pgdbm__fail(&failure, PGDBM_ERR_QUERY, "the taker of the data failed");
            given = drain(piece->data, piece->bytes, &more, context, &failure);
            more = more && given == PGDBM_OK;
            if (!more)
                pgdbm__copy_stop(waiting.copy);
        }
        pgdbm__free(piece);
    }
    if (given != PGDBM_OK)
        fail_ours(&waiting, given, &failure);
    return finish(&waiting, rows, err);
}

/* --- callbacks of the caller's --- */

struct source {
    pgdbm_copy_source fill;
    void *context;
    char *buffer;
};

static pgdbm_status feed_from_source(const void **data, size_t *bytes, void *context, pgdbm_error *err)
{
    struct source *source = context;
    pgdbm_status status = source->fill(source->buffer, PGDBM__COPY_PIECE_BYTES, bytes, source->context, err);
    *bytes = *bytes < PGDBM__COPY_PIECE_BYTES ? *bytes : PGDBM__COPY_PIECE_BYTES;
    *data = source->buffer;
    return status;
}

pgdbm_status pgdbm_copy_in(pgdbm_db *db, const char *sql, pgdbm_copy_source source, void *context, int64_t *rows,
                           pgdbm_error *err)
{
    struct source wrapped = {source, context, NULL};
    if (source == NULL)
        return pgdbm__fail_null(err, "pgdbm_copy_in", "source");
    wrapped.buffer = pgdbm__alloc(PGDBM__COPY_PIECE_BYTES);
    if (wrapped.buffer == NULL)
        return pgdbm__fail_nomem(err, "starting a COPY");
    pgdbm_status status = pgdbm__db_copy_in(db, "pgdbm_copy_in", sql, feed_from_source, &wrapped, rows, err);
    pgdbm__free(wrapped.buffer);
    return status;
}

struct sink {
    pgdbm_copy_sink take;
    void *context;
};

static pgdbm_status drain_into_sink(char *data, size_t bytes, bool *more, void *context, pgdbm_error *err)
{
    const struct sink *sink = context;
    (void)err;
    *more = sink->take(data, bytes, sink->context);
    return PGDBM_OK;
}

pgdbm_status pgdbm_copy_out(pgdbm_db *db, const char *sql, pgdbm_copy_sink sink, void *context, int64_t *rows,
                            pgdbm_error *err)
{
    struct sink wrapped = {sink, context};
    if (sink == NULL)
        return pgdbm__fail_null(err, "pgdbm_copy_out", "sink");
    return pgdbm__db_copy_out(db, "pgdbm_copy_out", sql, false, drain_into_sink, &wrapped, rows, err);
}
