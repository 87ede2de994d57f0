/* SPDX-License-Identifier: MIT */
/* Opening and closing a pool. The owner holds one reference and each manager another: closing ends the sessions and the
 * threads at once, the memory goes with the last reference, so that a manager used too late gets an error and not a
 * crash. */
#include "pool/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How long a closing pool waits for the answers to its cancel requests. */
#define CANCEL_MS 1000
#define INTERRUPTED 1024
#define TOO_MANY_FILES "cannot make the pool's pipes: this process has too many open files"

struct pgdbm_pool *pgdbm__pool_ref(struct pgdbm_pool *pool)
{
    atomic_fetch_add(&pool->references, 1);
    return pool;
}

void pgdbm__pool_unref(struct pgdbm_pool *pool)
{
    if (pool == NULL || atomic_fetch_sub(&pool->references, 1) != 1)
        return;
    for (enum pgdbm__place place = 0; place < PGDBM__PLACES; place++)
        while (pool->places[place].first != NULL) {
            struct pgdbm__member *member = pool->places[place].first;
            pgdbm__pool_remove(pool, member);
            pgdbm__session_destroy(&member->session);
            pgdbm__free(member);
        }
    pgdbm__registry_remove(pool->registration);
    pgdbm__statements_free(pool);
    pgdbm__catalog_unref(pool->catalog);
    pgdbm__poller_destroy(&pool->poller);
    while (pool->spare_flights != NULL) {
        struct pgdbm__request *flight = pool->spare_flights;
        pool->spare_flights = flight->next;
        pgdbm__free(flight);
    }
    pgdbm__free(pool->hub);
    pgdbm__free(pool->timers);
    pgdbm__free(pool->slots);
    pgdbm__free((void *)pool->unpushed);
    pgdbm__free((void *)pool->unseen);
    for (size_t i = 0; i < 2; i++) {
        if (pool->wake[i] >= 0)
            close(pool->wake[i]);
        if (pool->stop[i] >= 0)
            close(pool->stop[i]);
    }
    pthread_cond_destroy(&pool->changed);
    pthread_cond_destroy(&pool->driven);
    pthread_mutex_destroy(&pool->lock);
    pgdbm__observers_destroy(&pool->observers);
    pgdbm__conninfo_free(&pool->conninfo);
    pgdbm__config_free(pool->config);
    pgdbm__free(pool);
}

bool pgdbm__pool_is_closed(struct pgdbm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool closed = pool->closed;
    pthread_mutex_unlock(&pool->lock);
    return closed;
}

static void join_threads(struct pgdbm_pool *pool)
{
    if (pool->connector_runs)
        pthread_join(pool->connector, NULL);
    if (pool->housekeeper_runs)
        pthread_join(pool->housekeeper, NULL);
    if (pool->background_runs && pthread_equal(pool->background, pthread_self()))
        pthread_detach(pool->background); /* closed by a callback: the thread ends behind it */
    else if (pool->background_runs)
        pthread_join(pool->background, NULL);
    pool->connector_runs = pool->housekeeper_runs = pool->background_runs = false;
}

static bool busy(const struct pgdbm_pool *pool)
{
    return pool->places[PGDBM__SHARED].length + pool->places[PGDBM__LEASED].length +
               pool->places[PGDBM__RETIRING].length >
           0;
}

/* Whether requests are outstanding, or what they have left to be done, or another thread is in a callback. Those whose
 * callbacks this thread is in are not: a callback may close the pool. Locked. */
static bool has_tasks(const struct pgdbm_pool *pool)
{
    bool own = pool->calling == pgdbm__thread_token();
    return pool->n_tasks > (own ? pool->n_calling : 0) || pool->n_chores > 0 || pool->posts.first != NULL ||
           (pool->calling != NULL && !own);
}

/* Waits until nobody uses a session and every asynchronous request is complete, or the deadline passes: drives the pool
 * and runs its callbacks meanwhile, unless another thread does. */
static void wait_until_quiet(struct pgdbm_pool *pool, int64_t deadline, bool tasks_only)
{
    pthread_mutex_lock(&pool->lock);
    pool->until_waiters++;
    while ((has_tasks(pool) || (busy(pool) && !tasks_only)) &&
           (deadline == PGDBM__NEVER || pgdbm__now_ns() < deadline)) {
        bool call = pool->posts.first != NULL && (pool->calling == NULL || pool->calling == pgdbm__thread_token());
        if (call || pool->first_granted != NULL || pool->direct.first != NULL)
            pgdbm__pool_unlock(pool);
        else
            pgdbm__pool_turn(pool, deadline);
        if (call)
            (void)pgdbm__pool_call_back(pool, true);
        pthread_mutex_lock(&pool->lock);
    }
    pool->until_waiters--;
    pgdbm__pool_unlock(pool);
}

/* Sessions in use are told to stop: first by a cancel request, which the server answers with what became of the
 * statement, and those that do not answer by hanging up. Sessions are not freed while the pool is closing and somebody
 * uses them. */
static void interrupt(struct pgdbm_pool *pool)
{
    struct pgdbm__member *members[INTERRUPTED];
    size_t count = 0;
    pthread_mutex_lock(&pool->lock);
    for (enum pgdbm__place place = PGDBM__SHARED; place <= PGDBM__RETIRING; place++)
        for (struct pgdbm__member *member = pool->places[place].first;
             member != NULL && count < sizeof members / sizeof *members; member = member->next)
            members[count++] = member;
    pool->interrupting = true; /* they are kept, also those that end meanwhile */
    pthread_mutex_unlock(&pool->lock);
    /* Where nobody answers, each takes its time: all of them have this long. */
    int64_t deadline = pgdbm__deadline(CANCEL_MS);
    for (size_t i = 0; i < count && pgdbm__now_ns() < deadline; i++)
        pgdbm__transport_cancel(&members[i]->session.transport);
    pthread_mutex_lock(&pool->lock);
    pool->interrupting = false;
    pthread_mutex_unlock(&pool->lock);
    pgdbm__pool_wake(pool);
    wait_until_quiet(pool, pgdbm__deadline(CANCEL_MS), false);
    pthread_mutex_lock(&pool->lock);
    for (enum pgdbm__place place = PGDBM__SHARED; place <= PGDBM__RETIRING; place++)
        for (struct pgdbm__member *member = pool->places[place].first; member != NULL; member = member->next)
            pgdbm__session_abort(&member->session, "the pool was closed");
    pthread_mutex_unlock(&pool->lock);
    /* Requests come back as lost, every one of them; a lease that its owner has not ended keeps only the memory alive. */
    wait_until_quiet(pool, PGDBM__NEVER, true);
    deadline = pgdbm__deadline(CANCEL_MS);
    pthread_mutex_lock(&pool->lock);
    bool shared = pool->places[PGDBM__SHARED].length > 0;
    while (shared && pgdbm__now_ns() < deadline) {
        struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000)};
        pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
        shared = pool->places[PGDBM__SHARED].length > 0;
    }
    pgdbm__pool_unlock(pool);
}

/* Timers that only delay something (the next attempt of a transaction) are not waited for. Locked. */
static void hasten(struct pgdbm_pool *pool)
{
    for (size_t i = 0; i < pool->n_timers; i++)
        if (pgdbm__timer_is_delay(pool->timers[i])) {
            struct pgdbm__timer *timer = pool->timers[i];
            pgdbm__timer_stop(pool, timer);
            timer->fire(pool, timer);
            i = (size_t)-1; /* the heap has changed */
        }
}

/* Nothing new comes in; who waits for a session is refused. False when somebody else has closed the pool before. */
static bool shut(struct pgdbm_pool *pool)
{
    pgdbm_error reason;
    pgdbm__fail(&reason, PGDBM_ERR_POOL, "the pool was closed while this request was waiting for a session");
    pthread_mutex_lock(&pool->lock);
    if (pool->closed) {
        pthread_mutex_unlock(&pool->lock);
        return false;
    }
    pool->closed = true;
    pgdbm__pool_refuse(pool, &reason);
    hasten(pool);
    pgdbm__hub_close(pool);
    pthread_cond_broadcast(&pool->changed);
    ssize_t written = write(pool->stop[1], "s", 1);
    (void)written;
    pgdbm__pool_wake(pool);
    pgdbm__pool_unlock(pool);
    return true;
}

/* From now on nothing is submitted any more, not even the end of a transaction, and nothing is under way. */
static void become_quiet(struct pgdbm_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (has_tasks(pool)) {
        pthread_mutex_unlock(&pool->lock);
        wait_until_quiet(pool, PGDBM__NEVER, true);
        pthread_mutex_lock(&pool->lock);
    }
    pool->quiet = true;
    pthread_mutex_unlock(&pool->lock);
    pgdbm__pool_wake(pool);
    pgdbm__poller_wake(&pool->poller);
}

/* Frees the sessions that nobody uses. A thread that dispatches may still be looking at one. */
static void free_sessions(struct pgdbm_pool *pool)
{
    struct pgdbm__member *member;
    pthread_mutex_lock(&pool->lock);
    pool->drive_waiters++;
    while (pool->handling)
        pthread_cond_wait(&pool->driven, &pool->lock);
    pool->drive_waiters--;
    while (pool->places[PGDBM__IDLE].first != NULL)
        pgdbm__pool_move(pool, pool->places[PGDBM__IDLE].first, PGDBM__DEAD);
    while ((member = pool->places[PGDBM__DEAD].first) != NULL) {
        pgdbm__pool_remove(pool, member);
        pgdbm__session_destroy(&member->session);
        pgdbm__free(member);
    }
    pthread_mutex_unlock(&pool->lock);
}

void pgdbm_pool_close(pgdbm_pool *pool)
{
    if (pool == NULL || pgdbm__pool_ours(pool, NULL) != PGDBM_OK)
        return; /* a forked child leaves its parent's connections alone */
    int cancel_state = pgdbm__cancel_defer();
    pgdbm__pool_ref(pool); /* callbacks run below, and may give theirs back */
    if (!shut(pool)) {
        pgdbm__pool_unref(pool);
        pgdbm__cancel_restore(cancel_state);
        return;
    }
    int drain_ms = pool->config->values.drain_timeout_ms;
    wait_until_quiet(pool, pgdbm__deadline(drain_ms > 0 ? drain_ms : 0), false);
    pthread_mutex_lock(&pool->lock);
    bool disturbed = busy(pool) || has_tasks(pool);
    pthread_mutex_unlock(&pool->lock);
    if (disturbed)
        interrupt(pool);
    become_quiet(pool);
    join_threads(pool);
    free_sessions(pool);
    pgdbm__registry_remove(pool->registration);
    pool->registration = NULL;
    pgdbm__pool_unref(pool);
    pgdbm__pool_unref(pool);
    pgdbm__cancel_restore(cancel_state);
}

static bool open_pipe(int fds[2])
{
    return pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0;
}

static struct pgdbm_pool *allocate(void)
{
    struct pgdbm_pool *pool = pgdbm__alloc_zero(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    atomic_init(&pool->references, 1);
    atomic_init(&pool->n_managers, 0);
    pool->wake[0] = pool->wake[1] = pool->stop[0] = pool->stop[1] = -1;
    pthread_mutex_init(&pool->lock, NULL);
    pgdbm__observers_init(&pool->observers);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->changed, &attributes);
    pthread_cond_init(&pool->driven, &attributes);
    pthread_condattr_destroy(&attributes);
    pool->hash_seed = pgdbm__random(UINT64_MAX);
    pool->process = pgdbm__process_number();
    pool->connect = pgdbm__transport_connect;
    pgdbm__poller_clear(&pool->poller);
    pool->posts.last = &pool->posts.first;
    pool->direct.last = &pool->direct.first;
    pool->timer_set = PGDBM__NEVER;
    pool->account.weight = 1;
    atomic_init(&pool->account.references, 1);
    atomic_init(&pool->may_share_sync, true);
    return pool;
}

static bool make_slots(struct pgdbm_pool *pool)
{
    size_t count = (size_t)pool->config->values.max_connections;
    pool->n_words = (count + 63) / 64;
    pool->slots = pgdbm__alloc_zero(count, sizeof *pool->slots);
    pool->unpushed = pgdbm__alloc_zero(pool->n_words, sizeof *pool->unpushed);
    pool->unseen = pgdbm__alloc_zero(pool->n_words, sizeof *pool->unseen);
    return pool->slots != NULL && pool->unpushed != NULL && pool->unseen != NULL;
}

static pgdbm_status start_threads(struct pgdbm_pool *pool, pgdbm_error *err)
{
    const pgdbm_config *config = &pool->config->values;
    pool->opening = config->fail_fast || config->retry_attempts < 0 ? 1 : (unsigned)config->retry_attempts + 1;
    int failure = pgdbm__thread_start(&pool->connector, NULL, pgdbm__connector_main, pool);
    pool->connector_runs = failure == 0;
    if (failure == 0 && config->background) {
        pgdbm__pool_ref(pool);
        failure = pgdbm__thread_start(&pool->background, NULL, pgdbm__background_main, pool);
        pool->background_runs = failure == 0;
        if (failure != 0)
            pgdbm__pool_unref(pool);
    }
    if (failure == 0) {
        failure = pgdbm__thread_start(&pool->housekeeper, NULL, pgdbm__housekeeper_main, pool);
        pool->housekeeper_runs = failure == 0;
    }
    if (failure != 0)
        return pgdbm__fail(err, PGDBM_ERR_POOL, "cannot start the pool's threads: %s", strerror(failure));
    return PGDBM_OK;
}

/* The first session decides whether the pool opens. */
static pgdbm_status await_first_session(struct pgdbm_pool *pool, pgdbm_error *err)
{
    int64_t patience = pgdbm__deadline(pool->config->values.acquire_timeout_ms);
    pgdbm_status status = PGDBM_OK;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        if (pgdbm__pool_live(pool) > 0)
            break;
        bool busy_server = pool->attempted && pool->failures == 0 && pgdbm__now_ns() > patience;
        if (pool->attempted && (pool->hopeless || pool->failures >= pool->opening || busy_server)) {
            if (err != NULL)
                *err = pool->connect_error;
            status = pool->connect_error.status;
            break;
        }
        struct timespec until = {.tv_sec = (time_t)(patience / 1000000000), .tv_nsec = (long)(patience % 1000000000)};
        if (patience == PGDBM__NEVER || pgdbm__now_ns() > patience)
            pthread_cond_wait(&pool->changed, &pool->lock);
        else
            pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
    }
    if (status == PGDBM_OK)
        pool->opening = 0;
    pthread_mutex_unlock(&pool->lock);
    return status;
}

static pgdbm_status enter_registry(struct pgdbm_pool *pool, pgdbm_error *err)
{
    struct pgdbm__member *member = NULL;
    struct pgdbm__spot spot = pool->spot;
    struct pgdbm__need need = {.lease = true,
                               .spot = spot,
                               .since = pgdbm__now_ns(),
                               .deadline = pgdbm__deadline(pool->config->values.acquire_timeout_ms)};
    pgdbm_status status = pgdbm__pool_acquire(pool, &need, &member, err);
    if (status != PGDBM_OK)
        return status;
    PGconn *connection = member->session.transport.connection;
    struct pgdbm__target target = {PQhost(connection), PQport(connection), PQdb(connection), PQuser(connection)};
    status = pgdbm__registry_add(&target, spot.file, spot.line, pool->config->values.on_duplicate_pool, &pool->log,
                                 pool, &pool->registration, err);
    pgdbm__pool_release(pool, member, &need);
    return status;
}

/* A pool with everything but threads. NULL, and *err, when it cannot be. */
static struct pgdbm_pool *build(const pgdbm_config *config, size_t config_bytes, pgdbm_error *err)
{
    struct pgdbm_pool *made = allocate();
    if (made == NULL) {
        pgdbm__fail_nomem(err, "opening a pool");
        return NULL;
    }
    pgdbm_status status = PGDBM_OK;
    made->catalog = pgdbm__catalog_new();
    if (made->catalog == NULL || !pgdbm__statements_init(made))
        status = pgdbm__fail_nomem(err, "opening a pool");
    if (status == PGDBM_OK)
        status = pgdbm__config_copy(config, config_bytes, &made->config, err);
    if (status == PGDBM_OK) {
        pgdbm__log_init(&made->log, &made->config->values);
        status = pgdbm__conninfo_build(made->config, &made->conninfo, err);
    }
    if (status == PGDBM_OK && !make_slots(made))
        status = pgdbm__fail_nomem(err, "opening a pool");
    if (status == PGDBM_OK && (!open_pipe(made->wake) || !open_pipe(made->stop)))
        status = pgdbm__fail(err, PGDBM_ERR_POOL, TOO_MANY_FILES);
    if (status == PGDBM_OK)
        return made;
    pgdbm__pool_unref(made);
    return NULL;
}

pgdbm_status pgdbm_pool_open_at(const char *file, int line, const pgdbm_config *config, size_t config_bytes,
                                pgdbm_pool **pool, pgdbm_error *err)
{
    pgdbm_error local;
    err = err != NULL ? err : &local;
    if (config == NULL)
        return pgdbm__fail_null(err, "pgdbm_pool_open", "config");
    if (pool == NULL)
        return pgdbm__fail_null(err, "pgdbm_pool_open", "pool");
    *pool = NULL;
    struct pgdbm_pool *made = build(config, config_bytes, err);
    if (made == NULL)
        return err->status;
    made->spot = (struct pgdbm__spot){file, line};
    pgdbm_status status = PGDBM_OK;
    if (!pgdbm__poller_init(&made->poller))
        status = pgdbm__fail(err, PGDBM_ERR_POOL, TOO_MANY_FILES);
    if (status == PGDBM_OK)
        status = start_threads(made, err);
    if (status == PGDBM_OK)
        status = await_first_session(made, err);
    if (status == PGDBM_OK)
        status = enter_registry(made, err);
    if (status != PGDBM_OK) {
        if (made->connector_runs)
            pgdbm_pool_close(made);
        else
            pgdbm__pool_unref(made);
        return status;
    }
    *pool = made;
    return PGDBM_OK;
}

pgdbm_status pgdbm__pool_open_simulated(const pgdbm_config *config, pgdbm__connect_function *connect,
                                        const struct pgdbm__poller_operations *poller, pgdbm_pool **pool,
                                        pgdbm_error *err)
{
    *pool = build(config, sizeof *config, err);
    if (*pool == NULL)
        return err->status;
    (*pool)->connect = connect;
    (*pool)->poller.operations = poller;
    return PGDBM_OK;
}

pgdbm_status pgdbm_pool_stats_read_sized(pgdbm_pool *pool, pgdbm_pool_stats *stats, size_t stats_bytes,
                                         pgdbm_error *err)
{
    if (pool == NULL)
        return pgdbm__fail_null(err, "pgdbm_pool_stats_read", "pool");
    if (stats == NULL)
        return pgdbm__fail_null(err, "pgdbm_pool_stats_read", "stats");
    pgdbm_status status = pgdbm__pool_ours(pool, err);
    if (status != PGDBM_OK)
        return status;
    pthread_mutex_lock(&pool->lock);
    pgdbm_pool_stats now = pool->counters;
    now.connecting = pool->places[PGDBM__CONNECTING].length;
    now.idle = pool->places[PGDBM__IDLE].length;
    now.shared = pool->places[PGDBM__SHARED].length;
    now.leased = pool->places[PGDBM__LEASED].length;
    now.retiring = pool->places[PGDBM__RETIRING].length;
    now.dead = pool->places[PGDBM__DEAD].length;
    now.waiting = pool->n_waiters;
    now.queued = pool->n_queued;
    now.submitted = pool->n_tasks;
    now.canceling = pool->n_canceling;
    now.max_connections = (size_t)pool->config->values.max_connections;
    for (enum pgdbm__place place = PGDBM__IDLE; place <= PGDBM__RETIRING; place++)
        for (struct pgdbm__member *member = pool->places[place].first; member != NULL; member = member->next) {
            pthread_mutex_lock(&member->session.lock);
            now.statements_prepared += member->session.statements_prepared;
            pthread_mutex_unlock(&member->session.lock);
        }
    pthread_mutex_unlock(&pool->lock);
    now.managers = atomic_load(&pool->n_managers);
    now.statements = atomic_load(&pool->statements);
    now.statements_failed = atomic_load(&pool->statements_failed);
    now.statements_repeated = atomic_load(&pool->statements_repeated);
    memset(stats, 0, stats_bytes);
    memcpy(stats, &now, stats_bytes < sizeof now ? stats_bytes : sizeof now);
    return PGDBM_OK;
}
