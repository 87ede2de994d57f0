/* SPDX-License-Identifier: MIT */
/* A COPY from inside. */
#ifndef PGDBM_POOL_COPY_H
#define PGDBM_POOL_COPY_H

#include "pool/task.h"
#include "result/tuple.h"

#include <pgdbm/copy.h>

struct pgdbm__piece {
    struct pgdbm__piece *next;
    size_t bytes, capacity;
    char data[]; /* and one byte more, which a reader of rows writes to */
};

/* The public handle, too. Guarded by the pool's lock, except what is set before it is submitted. */
struct pgdbm_copy {
    _Atomic int references; /* the task's; a post's on its way; a blocking caller's */
    struct pgdbm_pool *pool;
    struct pgdbm_request *task;
    struct pgdbm__member *member; /* while it is in flight */
    bool in, blocking;
    pgdbm_copy_writable on_writable;
    pgdbm_copy_sink on_data;
    pgdbm_done_callback on_done;
    void *context;
    bool ready;   /* FROM: there is room */
    bool posted;  /* a post is on its way */
    bool stopped; /* TO: its consumer has had enough */
    bool joins;   /* TO: what comes may be put together in one piece; otherwise each is a row */
    bool nomem, paused, over;
    struct pgdbm__piece *first, *last; /* TO: come, and not yet handed on */
    size_t bytes;
    struct pgdbm__post post;
};

/* A COPY of `sql` (expanded) as a task; not submitted. `*copy` has one reference, the task's. */
pgdbm_status pgdbm__copy_new(struct pgdbm_pool *pool, const char *sql, bool in, struct pgdbm_copy **copy,
                             pgdbm_error *err);
void pgdbm__copy_release(struct pgdbm_copy *copy);
/* Before it flies. */
void pgdbm__copy_load(struct pgdbm_request *task, struct pgdbm__request *flight);
void pgdbm__copy_room(struct pgdbm_request *task);
/* The oldest piece, the caller's to free; NULL: none has come. Locked. */
struct pgdbm__piece *pgdbm__copy_take(struct pgdbm_copy *copy);
/* Its consumer has had enough: what comes is dropped, and the server is told to stop. No lock. */
void pgdbm__copy_stop(struct pgdbm_copy *copy);

#endif
