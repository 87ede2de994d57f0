/* SPDX-License-Identifier: MIT */
/* COPY between its session and whoever has the data. What comes is kept in pieces until it is handed on; when they are
 * many the session is not read any more. What goes waits in the session's buffer; when that is full whoever has the data
 * is told when there is room again. */
#include "pool/copy.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* Pieces beyond this stop the reading. */
#define HELD_BYTES ((size_t)1024 * 1024)
/* What is put together. */
#define JOINED_BYTES ((size_t)32 * 1024)

void pgdbm__copy_release(struct pgdbm_copy *copy)
{
    if (atomic_fetch_sub(&copy->references, 1) != 1)
        return;
    while (copy->first != NULL) {
        struct pgdbm__piece *piece = copy->first;
        copy->first = piece->next;
        pgdbm__free(piece);
    }
    struct pgdbm_pool *pool = copy->pool;
    pgdbm__free(copy);
    pgdbm__pool_unref(pool);
}

/* Has the callback run that there is room, or data. Locked. */
static void post(struct pgdbm_copy *copy)
{
    if (copy->blocking)
        pgdbm__pool_progress(copy->pool);
    else if (!copy->posted) {
        copy->posted = true;
        atomic_fetch_add(&copy->references, 1);
        pgdbm__pool_post(copy->pool, &copy->post);
    }
}

void pgdbm__copy_room(struct pgdbm_request *task)
{
    struct pgdbm_copy *copy = task->owner;
    pthread_mutex_lock(&copy->pool->lock);
    copy->member = task->member;
    copy->ready = true;
    post(copy);
    pthread_mutex_unlock(&copy->pool->lock);
}

struct pgdbm__piece *pgdbm__copy_take(struct pgdbm_copy *copy)
{
    struct pgdbm__piece *piece = copy->first;
    if (piece == NULL)
        return NULL;
    copy->first = piece->next;
    if (copy->first == NULL)
        copy->last = NULL;
    copy->bytes -= piece->bytes;
    if (copy->member != NULL && copy->bytes < HELD_BYTES / 2 && copy->paused) {
        copy->paused = false;
        pgdbm__session_pause(&copy->member->session, false);
    }
    return piece;
}

void pgdbm__copy_stop(struct pgdbm_copy *copy)
{
    struct pgdbm__piece *piece;
    pthread_mutex_lock(&copy->pool->lock);
    bool first = !copy->stopped;
    copy->stopped = true;
    while ((piece = pgdbm__copy_take(copy)) != NULL)
        pgdbm__free(piece);
    pthread_mutex_unlock(&copy->pool->lock);
    if (first)
        pgdbm_cancel(copy->task);
}

/* Whether it found room in the newest piece. */
static bool join(struct pgdbm_copy *copy, const void *data, size_t bytes)
{
    struct pgdbm__piece *last = copy->last;
    if (!copy->joins || copy->nomem || last == NULL || bytes > last->capacity - last->bytes)
        return false;
    memcpy(last->data + last->bytes, data, bytes);
    last->bytes += bytes;
    copy->bytes += bytes;
    return true;
}

/* A piece of a COPY TO, in the thread that reads. */
static void came(struct pgdbm__request *flight, const void *data, size_t bytes)
{
    struct pgdbm_request *task = flight->context;
    struct pgdbm_copy *copy = task->owner;
    pthread_mutex_lock(&copy->pool->lock);
    bool joined = join(copy, data, bytes);
    pthread_mutex_unlock(&copy->pool->lock);
    if (joined)
        return;
    size_t capacity = copy->joins && bytes < JOINED_BYTES ? JOINED_BYTES : bytes;
    struct pgdbm__piece *piece = pgdbm__alloc(sizeof *piece + capacity + 1);
    if (piece != NULL) {
        *piece = (struct pgdbm__piece){.bytes = bytes, .capacity = capacity};
        memcpy(piece->data, data, bytes);
    }
    pthread_mutex_lock(&copy->pool->lock);
    copy->member = task->member;
    if (copy->stopped || copy->nomem) {
        pgdbm__free(piece);
    } else if (piece == NULL)
        copy->nomem = true; /* said at the end; what comes is read to its end, and nothing behind a gap is handed on */
    else {
        if (copy->last != NULL)
            copy->last->next = piece;
        else
            copy->first = piece;
        copy->last = piece;
        copy->bytes += bytes;
        if (copy->bytes >= HELD_BYTES && !copy->paused) {
            copy->paused = true;
            pgdbm__session_pause(&copy->member->session, true);
        }
        post(copy);
    }
    pthread_mutex_unlock(&copy->pool->lock);
}

/* Hands the pieces that have come to their consumer. */
static void hand_on(struct pgdbm_copy *copy)
{
    bool more = true;
    while (more) {
        pthread_mutex_lock(&copy->pool->lock);
        struct pgdbm__piece *piece = pgdbm__copy_take(copy);
        pthread_mutex_unlock(&copy->pool->lock);
        more = piece != NULL && copy->on_data(piece->data, piece->bytes, copy->context);
        if (piece != NULL && !more)
            pgdbm__copy_stop(copy);
        pgdbm__free(piece);
    }
}

static void run_post(struct pgdbm__post *posted)
{
    struct pgdbm_copy *copy = (struct pgdbm_copy *)(void *)((char *)posted - offsetof(struct pgdbm_copy, post));
    pthread_mutex_lock(&copy->pool->lock);
    copy->posted = false;
    bool writable = copy->in && copy->ready && !copy->over;
    copy->ready = false;
    pthread_mutex_unlock(&copy->pool->lock);
    if (writable)
        copy->on_writable(copy, copy->context);
    else if (!copy->in)
        hand_on(copy);
    pgdbm__copy_release(copy);
}

/* The flight is over: what has come is still handed on, then the outcome. */
static void finished(struct pgdbm_request *task)
{
    struct pgdbm_copy *copy = task->owner;
    pgdbm_error error;
    pthread_mutex_lock(&copy->pool->lock);
    copy->member = NULL;
    copy->over = true;
    if (task->lease != NULL)
        task->lease->copying = false;
    bool stopped = copy->stopped && task->outcome.status == PGDBM_ERR_CANCELED;
    bool nomem = copy->nomem && task->outcome.status == PGDBM_OK;
    pthread_mutex_unlock(&copy->pool->lock);
    if (stopped) {
        task->outcome.status = PGDBM_OK;
        task->outcome.error = NULL;
    } else if (nomem) {
        pgdbm__fail_nomem(&error, "keeping what a COPY gave");
        pgdbm__error_outcome(&error, PGDBM_OUTCOME_DONE);
        pgdbm__task_say(task, &error);
    }
}

/* The callback of an asynchronous COPY's task. */
static void done(const pgdbm_outcome *outcome, void *context)
{
    struct pgdbm_copy *copy = context;
    if (!copy->in && !copy->blocking)
        hand_on(copy);
    copy->on_done(outcome, copy->blocking ? (void *)copy : copy->context);
    pgdbm__copy_release(copy);
}

void pgdbm__copy_load(struct pgdbm_request *task, struct pgdbm__request *flight)
{
    const struct pgdbm_copy *copy = task->owner;
    flight->kind = PGDBM__REQUEST_COPY;
    flight->simple_sql = task->sql;
    flight->copies_in = copy->in;
    flight->on_copy_data = came;
}

pgdbm_status pgdbm__copy_new(struct pgdbm_pool *pool, const char *sql, bool in, struct pgdbm_copy **copy,
                             pgdbm_error *err)
{
    struct pgdbm_request *task = NULL;
    struct pgdbm_copy *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "starting a COPY");
    pgdbm_status status = pgdbm__task_new(pool, PGDBM__TASK_COPY, NULL, 0, sql, &task, err);
    if (status != PGDBM_OK) {
        pgdbm__free(made);
        return status;
    }
    atomic_init(&made->references, 1);
    made->pool = pgdbm__pool_ref(pool);
    made->task = task;
    made->in = in;
    made->post.run = run_post;
    task->owner = made;
    task->finish = finished;
    task->on_done = done;
    task->context = made;
    *copy = made;
    return PGDBM_OK;
}
