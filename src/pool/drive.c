/* SPDX-License-Identifier: MIT */
/* Driving: sending, reading and timing for requests that nobody waits for, and running their callbacks.
 *
 * One thread at a time drives: the application's, in pgdbm_dispatch; the pool's own, when it was asked for; or one that
 * waits for something that only driving brings. Reading and running callbacks are apart: a thread that waits for a future
 * drives, but callbacks run only where they are dispatched, one at a time, from a queue that nobody holds a lock on. */
#include "pool/task.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#define EVENTS 64

/* The pool that this thread drives at the moment, if any: before it waits again it will look at everything there is, so
 * what it leaves for itself needs no wake-up. */
static _Thread_local struct pgdbm_pool *driving_here;
/* And it has left something for itself. When it cannot come to it soon, who drives has to be woken after all. */
static _Thread_local bool left_here;

void pgdbm__pool_nudge(struct pgdbm_pool *pool)
{
    if (driving_here != pool)
        pgdbm__poller_wake(&pool->poller);
    else
        left_here = true;
}

void pgdbm__pool_unpushed(struct pgdbm_pool *pool, unsigned number)
{
    uint64_t bit = UINT64_C(1) << (number % 64);
    if ((atomic_fetch_or(&pool->unpushed[number / 64], bit) & bit) == 0)
        pgdbm__pool_nudge(pool);
}

void pgdbm__pool_attention(struct pgdbm__session *session)
{
    struct pgdbm__member *member = (struct pgdbm__member *)(void *)session; /* its first field */
    struct pgdbm_pool *pool = member->pool;
    uint64_t bit = UINT64_C(1) << (session->number % 64);
    if ((atomic_fetch_or(&pool->unseen[session->number / 64], bit) & bit) == 0)
        pgdbm__pool_nudge(pool);
}

void pgdbm__pool_post(struct pgdbm_pool *pool, struct pgdbm__post *post)
{
    bool first = pool->posts.first == NULL;
    post->next = NULL;
    pool->n_posts++;
    *pool->posts.last = post;
    pool->posts.last = &post->next;
    if (first)
        pgdbm__pool_nudge(pool);
}

/* The session in a slot. One that is connecting is its connector's alone: what has come is meant for the one that had the
 * slot before. */
static struct pgdbm__member *member_at(struct pgdbm_pool *pool, uint64_t number)
{
    struct pgdbm__member *member = NULL;
    pthread_mutex_lock(&pool->lock);
    if (number < (uint64_t)pool->config->values.max_connections)
        member = pool->slots[number];
    if (member != NULL && member->place == PGDBM__CONNECTING)
        member = NULL;
    pthread_mutex_unlock(&pool->lock);
    return member;
}

/* Members are not freed while pool->handling is set, so their slots may be looked at without the lock. */
static void for_each_bit(struct pgdbm_pool *pool, _Atomic uint64_t *words, void (*act)(struct pgdbm__session *session))
{
    for (size_t i = 0; i < pool->n_words; i++) {
        if (atomic_load(&words[i]) == 0) /* not relaxed: a wake-up just taken must not be looked past */
            continue;
        uint64_t bits = atomic_exchange(&words[i], 0);
        for (unsigned number = 0; bits != 0; bits >>= 1, number++) {
            if ((bits & 1) == 0)
                continue;
            struct pgdbm__member *member = member_at(pool, i * 64 + number);
            if (member != NULL)
                act(&member->session);
        }
    }
}

static void drive_member(struct pgdbm__session *session)
{
    struct pgdbm__member *member = (struct pgdbm__member *)(void *)session; /* its first field */
    pgdbm__session_drive(session);
    if (session->listening)
        pgdbm__hub_look(member->pool, member);
}

static void handle_event(struct pgdbm_pool *pool, const struct pgdbm__poll_event *event)
{
    struct pgdbm__member *member = member_at(pool, event->key);
    if (member == NULL)
        return;
    if ((event->ready & PGDBM__POLL_OUT) != 0)
        pgdbm__session_push(&member->session);
    if ((event->ready & PGDBM__POLL_IN) != 0)
        drive_member(&member->session);
}

/* What has come may lead to something to be sent: pushing comes last. */
static void look_and_push(struct pgdbm_pool *pool)
{
    for_each_bit(pool, pool->unseen, drive_member);
    for_each_bit(pool, pool->unpushed, pgdbm__session_push);
}

/* Sets the poller's timer to the first of ours, if it would come too late. Locked. */
static void set_timer(struct pgdbm_pool *pool)
{
    int64_t first = pool->n_timers > 0 ? pool->timers[0]->due : PGDBM__NEVER;
    if (first < pool->timer_set) {
        pool->timer_set = first;
        pgdbm__poller_set_timer(&pool->poller, first);
    }
}

/* A turn, or a round of callbacks, is over. Locked. */
static void end_turn(struct pgdbm_pool *pool)
{
    pool->handling = false;
    set_timer(pool);
    if (pool->drive_waiters > 0)
        pthread_cond_broadcast(&pool->driven);
    if (pool->places[PGDBM__DEAD].length > 0)
        pgdbm__pool_wake(pool);
}

/* The same for a thread that does not drive. When another one does, that one is woken: it looks at everything. */
static void push_now(struct pgdbm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool free = !pool->driving;
    if (free)
        pool->driving = pool->handling = true;
    pthread_mutex_unlock(&pool->lock);
    left_here = false;
    if (!free) {
        pgdbm__poller_wake(&pool->poller);
        return;
    }
    look_and_push(pool);
    pthread_mutex_lock(&pool->lock);
    pool->driving = false;
    end_turn(pool);
    pthread_mutex_unlock(&pool->lock);
}

static void fire_timers(struct pgdbm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->timer_set != PGDBM__NEVER) {
        int64_t now = pgdbm__now_ns();
        pgdbm__timers_fire(pool, now);
        if (now >= pool->timer_set)
            pool->timer_set = PGDBM__NEVER; /* it has gone off */
        set_timer(pool);
    }
    pgdbm__pool_unlock(pool);
}

/* Whether callbacks are ready that nobody runs yet. Locked. */
static bool has_callbacks(const struct pgdbm_pool *pool)
{
    return pool->posts.first != NULL && pool->calling == NULL;
}

/* Whether there is something that needs no waiting for. Callbacks are no reason not to wait for a thread that does not run
 * them. Locked. */
static bool has_work(const struct pgdbm_pool *pool, bool dispatches)
{
    return pool->quiet || (dispatches && (pool->stop_dispatch || has_callbacks(pool)));
}

/* Another thread drives: whatever happens from now on ends its turn. Locked. */
static void await_turn(struct pgdbm_pool *pool, int64_t deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
    pool->drive_waiters++;
    if (deadline == PGDBM__NEVER)
        pthread_cond_wait(&pool->driven, &pool->lock);
    else if (deadline > 0)
        pthread_cond_timedwait(&pool->driven, &pool->lock, &until);
    pool->drive_waiters--;
}

static void handle(struct pgdbm_pool *pool, const struct pgdbm__poll_event *events, size_t count)
{
    pthread_mutex_lock(&pool->lock);
    pool->handling = true;
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < count; i++)
        handle_event(pool, &events[i]);
    fire_timers(pool);
    look_and_push(pool);
}

void pgdbm__pool_push_left(struct pgdbm_pool *pool)
{
    if (left_here && driving_here == pool)
        push_now(pool);
}

/* The lock is let go: between looking whether to wait and waiting it must not be, or a wake-up in between is taken by
 * another one's turn. */
void pgdbm__pool_turn(struct pgdbm_pool *pool, int64_t deadline)
{
    struct pgdbm__poll_event events[EVENTS];
    struct pgdbm_pool *outer = driving_here;
    int cancel_state = pgdbm__cancel_defer();
    bool dispatches = outer == pool && pool->calling != pgdbm__thread_token();
    if (pool->driving) {
        if (left_here && driving_here == pool)
            pgdbm__poller_wake(&pool->poller);
        left_here = left_here && driving_here != pool;
        await_turn(pool, has_work(pool, dispatches) ? 0 : deadline);
        pthread_mutex_unlock(&pool->lock);
        pgdbm__cancel_restore(cancel_state);
        return;
    }
    driving_here = pool;
    pool->driving = pool->handling = true;
    pthread_mutex_unlock(&pool->lock);
    look_and_push(pool);
    pthread_mutex_lock(&pool->lock);
    pool->handling = false;
    set_timer(pool);
    if (has_work(pool, dispatches))
        deadline = 0;
    pthread_mutex_unlock(&pool->lock);
    size_t count = pgdbm__poller_wait(&pool->poller, events, EVENTS, deadline);
    handle(pool, events, count);
    pthread_mutex_lock(&pool->lock);
    pool->driving = false;
    end_turn(pool);
    if (!dispatches && has_callbacks(pool))
        pgdbm__poller_flag(&pool->poller, true); /* callbacks for whoever dispatches */
    pthread_mutex_unlock(&pool->lock);
    driving_here = outer;
    left_here = false;
    pgdbm__cancel_restore(cancel_state);
}

void pgdbm__pool_drive(struct pgdbm_pool *pool, int64_t deadline)
{
    pthread_mutex_lock(&pool->lock);
    pgdbm__pool_turn(pool, deadline);
}

bool pgdbm__pool_drive_until(struct pgdbm_pool *pool, bool (*done)(void *context), void *context, int64_t deadline)
{
    bool is_done = false;
    pthread_mutex_lock(&pool->lock);
    pool->until_waiters++;
    while (!(is_done = done(context)) && (deadline == PGDBM__NEVER || pgdbm__now_ns() < deadline)) {
        if (pool->first_granted != NULL || pool->direct.first != NULL)
            pgdbm__pool_unlock(pool);
        else
            pgdbm__pool_turn(pool, deadline);
        pthread_mutex_lock(&pool->lock);
    }
    pool->until_waiters--;
    pgdbm__pool_unlock(pool);
    return is_done;
}

void pgdbm__pool_progress(struct pgdbm_pool *pool)
{
    if (pool->until_waiters > 0)
        pgdbm__poller_wake(&pool->poller);
}

int pgdbm__pool_call_back(struct pgdbm_pool *pool, bool nested)
{
    int ran = 0;
    const char *me = pgdbm__thread_token();
    struct pgdbm_pool *outer = driving_here;
    pthread_mutex_lock(&pool->lock);
    const char *before = pool->calling;
    if (before != NULL && (before != me || !nested)) {
        pthread_mutex_unlock(&pool->lock);
        return 0;
    }
    pool->calling = me;
    driving_here = pool;
    /* Those that are ready now: what they post in their turn is for the next round. */
    for (size_t left = pool->n_posts; left > 0 && pool->posts.first != NULL; left--) {
        struct pgdbm__post *post = pool->posts.first;
        pool->posts.first = post->next;
        if (pool->posts.first == NULL)
            pool->posts.last = &pool->posts.first;
        pool->n_posts--;
        pgdbm__pool_unlock(pool);
        post->run(post);
        ran++;
        pthread_mutex_lock(&pool->lock);
    }
    pool->calling = before;
    pthread_cond_broadcast(&pool->driven);
    if (pool->closed)
        pgdbm__pool_progress(pool); /* who closes waits until nobody is in a callback */
    pgdbm__pool_unlock(pool);
    if (ran > 0 || left_here)
        push_now(pool);
    driving_here = outer;
    return ran;
}

int pgdbm_fd(pgdbm_pool *pool)
{
    bool usable = pool != NULL && pgdbm__pool_ours(pool, NULL) == PGDBM_OK && !pgdbm__pool_is_closed(pool);
    return usable ? pool->poller.outside : -1;
}

void pgdbm_dispatch_stop(pgdbm_pool *pool)
{
    if (pool == NULL || pgdbm__pool_ours(pool, NULL) != PGDBM_OK)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop_dispatch = true;
    pthread_mutex_unlock(&pool->lock);
    pgdbm__poller_wake(&pool->poller);
}

static bool take_stop(struct pgdbm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool stop = pool->stop_dispatch || pool->quiet; /* when the pool is closed, of everybody */
    pool->stop_dispatch = false;
    pthread_mutex_unlock(&pool->lock);
    return stop;
}

int pgdbm_dispatch(pgdbm_pool *pool, int timeout_ms)
{
    if (pool == NULL || pgdbm__pool_ours(pool, NULL) != PGDBM_OK)
        return 0;
    int64_t deadline = timeout_ms == 0 ? 0 : pgdbm__deadline(timeout_ms);
    struct pgdbm_pool *outer = driving_here;
    int ran;
    bool stop;
    int cancel_state = pgdbm__cancel_defer(); /* a thread that ended inside of a callback would be in it for ever */
    pgdbm__pool_ref(pool);                    /* a callback may close it */
    pthread_mutex_lock(&pool->lock);
    bool inside = pool->calling == pgdbm__thread_token();
    if (pool->calling == NULL)
        pgdbm__poller_flag(&pool->poller, false);
    pthread_mutex_unlock(&pool->lock);
    driving_here = pool;
    do {
        pgdbm__pool_drive(pool, deadline);
        ran = pgdbm__pool_call_back(pool, false);
        stop = timeout_ms != 0 && !inside && take_stop(pool);
    } while (ran == 0 && !stop && !inside && deadline != 0 && (deadline == PGDBM__NEVER || pgdbm__now_ns() < deadline));
    driving_here = outer;
    pthread_mutex_lock(&pool->lock);
    if (has_callbacks(pool))
        pgdbm__poller_flag(&pool->poller, true);
    pthread_mutex_unlock(&pool->lock);
    pgdbm__pool_unref(pool);
    pgdbm__cancel_restore(cancel_state);
    return ran;
}

/* The pool's own thread, when it was asked for. It goes when the pool is closed and all callbacks have run. */
void *pgdbm__background_main(void *context)
{
    struct pgdbm_pool *pool = context;
    bool more = true;
    while (more) {
        (void)pgdbm_dispatch(pool, -1);
        pthread_mutex_lock(&pool->lock);
        more = !pool->quiet;
        pthread_mutex_unlock(&pool->lock);
    }
    pgdbm__pool_unref(pool);
    return NULL;
}
