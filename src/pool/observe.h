/* SPDX-License-Identifier: MIT */
/* Those who are told of each statement of a pool. Telling costs a load where nobody is. */
#ifndef PGDBM_POOL_OBSERVE_H
#define PGDBM_POOL_OBSERVE_H

#include <pgdbm/observe.h>
#include <pthread.h>
#include <stdatomic.h>

struct pgdbm__observers {
    _Atomic size_t count; /* of those who are told; written under the lock */
    pthread_mutex_t lock; /* guards the list; never held while a callback runs */
    pthread_cond_t left;  /* a callback of an observer that is to go has returned */
    struct pgdbm_observer *first;
};

struct pgdbm_request;
struct pgdbm__request;
struct pgdbm__run;

void pgdbm__observers_init(struct pgdbm__observers *observers);
void pgdbm__observers_destroy(struct pgdbm__observers *observers);

static inline bool pgdbm__is_observed(const struct pgdbm__observers *observers)
{
    return atomic_load_explicit(&observers->count, memory_order_relaxed) > 0;
}

/* What has come of a request, told to all; nothing where it was not sent. No lock; the caller keeps the pool. Each is to
 * be called only where somebody observes. */
void pgdbm__observe_run(const struct pgdbm__run *run, const struct pgdbm__request *request, pgdbm_status status,
                        const pgdbm_error *error);
void pgdbm__observe_task(const struct pgdbm_request *task);
/* A text that went by the simple protocol, or the next rows of a cursor. */
void pgdbm__observe_text(struct pgdbm_pool *pool, pgdbm_observed kind, const char *sql, int64_t since, int64_t affected,
                         pgdbm_status status, const pgdbm_error *error);

#endif
