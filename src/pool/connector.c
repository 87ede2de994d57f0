/* SPDX-License-Identifier: MIT */
/* The connector thread: opens connections one at a time, backs off when that fails, and gives those who wait for one an
 * answer when it keeps failing. */
#include "pool/pool.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <string.h>

static bool wants_one(const struct pgdbm_pool *pool)
{
    size_t live = pgdbm__pool_live(pool);
    const pgdbm_config *config = &pool->config->values;
    if (pool->opening > 0 && (pool->hopeless || pool->failures >= pool->opening))
        return false; /* the opener is about to give up */
    /* A dead one has its connection until the housekeeper has closed it. */
    return live + pool->places[PGDBM__DEAD].length + pool->n_canceling < (size_t)config->max_connections &&
           (live < (size_t)config->min_connections || pool->grow || pool->n_waiters > 0 ||
            (pool->opening > 0 && live == 0)); /* the opener waits for one, also where none is kept open */
}

/* How long to wait after the last failure. */
static int64_t backoff_ns(const struct pgdbm_pool *pool)
{
    const pgdbm_config *config = &pool->config->values;
    double delay = config->retry_delay_ms;
    for (unsigned i = 1; i < pool->failures && delay < config->retry_max_delay_ms; i++)
        delay *= config->retry_backoff;
    if (delay > config->retry_max_delay_ms)
        delay = config->retry_max_delay_ms;
    return pgdbm__jitter((int64_t)(delay * (double)PGDBM__MS), 20);
}

/* Where transactions see one snapshot, or are checked against each other at their end, reads that share a Sync would not
 * be independent. */
static pgdbm_status look_at_isolation(struct pgdbm_pool *pool, struct pgdbm__session *session, int64_t deadline,
                                      pgdbm_error *err)
{
    struct pgdbm__request request = {
        .kind = PGDBM__REQUEST_SIMPLE,
        .simple_sql =
            "SELECT 1 WHERE pg_catalog.current_setting('default_transaction_isolation') IN ('read committed', 'read "
            "uncommitted')",
    };
    pgdbm_status status = pgdbm__session_perform(session, &request, deadline);
    if (status != PGDBM_OK && err != NULL)
        *err = request.error;
    if (request.affected != 1)
        atomic_store(&pool->may_share_sync, false);
    return status;
}

static pgdbm_status start_session(struct pgdbm_pool *pool, struct pgdbm__member *member, pgdbm_error *err)
{
    const pgdbm_config *config = &pool->config->values;
    pgdbm_status status = pgdbm__session_init(&member->session, config->statement_cache_size, err);
    int64_t deadline = pgdbm__deadline(config->connect_timeout_ms);
    member->session.poller = &pool->poller;
    member->session.attention = pgdbm__pool_attention;
    /* The first round trip is ours alone: a torn message left over from the handshake would show here. It measures the way
     * to the server, too. */
    int64_t began = pgdbm__now_ns();
    if (status == PGDBM_OK)
        status = pgdbm__session_command(&member->session, "SELECT 1", deadline, err);
    member->session.round_trip_ns = pgdbm__now_ns() - began;
    for (size_t i = 0; status == PGDBM_OK && i < config->n_init_commands; i++)
        status = pgdbm__session_command(&member->session, config->init_commands[i], deadline, err);
    if (status == PGDBM_OK)
        status = look_at_isolation(pool, &member->session, deadline, err);
    atomic_store(&member->session.dirty, false);
    return status;
}

static void describe_failure(struct pgdbm_pool *pool, unsigned attempts, pgdbm_error *err)
{
    char reason[sizeof err->message];
    memcpy(reason, err->message, sizeof reason);
    char sqlstate[6];
    memcpy(sqlstate, err->sqlstate, sizeof sqlstate);
    bool no_memory = err->status == PGDBM_ERR_NOMEM;
    pgdbm__fail(err, no_memory ? PGDBM_ERR_NOMEM : PGDBM_ERR_CONNECTION, "cannot connect to %s (%u attempt%s): %.300s",
                pgdbm__conninfo_describe(&pool->conninfo), attempts, attempts == 1 ? "" : "s", reason);
    memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
    if (no_memory)
        pgdbm__error_hint(err, "free memory, and try again");
    else if (strncmp(sqlstate, "28", 2) == 0)
        pgdbm__error_hint(err,
                          "check user and password (DB_PASSWORD, PGPASSWORD, ~/.pgpass) and the server's pg_hba.conf");
    else if (strcmp(sqlstate, "3D000") == 0)
        pgdbm__error_hint(err, "create the database (createdb), or check its name");
    else if (strcmp(sqlstate, "53300") == 0)
        pgdbm__error_hint(
            err, "the server's max_connections are used up: lower max_connections here, or close other clients");
    else
        pgdbm__error_hint(err, "check that the server runs and listens there, and that no firewall is in between");
}

/* One attempt, without the lock. NULL and *err when it failed. */
static struct pgdbm__member *connect_one(struct pgdbm_pool *pool, struct pgdbm__member *member,
                                         enum pgdbm__connect_failure *failure, pgdbm_error *err)
{
    pgdbm_status status =
        pool->connect(&member->session.transport, pool->conninfo.keywords, pool->conninfo.values,
                      pgdbm__deadline(pool->config->values.connect_timeout_ms), pool->stop[0], failure, err);
    if (status == PGDBM_OK) {
        status = start_session(pool, member, err);
        *failure = status == PGDBM_ERR_QUERY ? PGDBM__CONNECT_HOPELESS : PGDBM__CONNECT_TRANSIENT;
        if (status != PGDBM_OK)
            pgdbm__session_destroy(&member->session);
    }
    return status == PGDBM_OK ? member : NULL;
}

static void succeeded(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    int64_t lifetime = pool->config->values.max_lifetime_ms;
    if (lifetime > 0)
        lifetime -= (int64_t)pgdbm__random((uint64_t)lifetime / 10 + 1);
    member->expires = pgdbm__deadline(lifetime);
    member->idle_since = pgdbm__now_ns();
    pool->failures = 0;
    pool->hopeless = false;
    pool->counters.connections_opened++;
    pgdbm__pool_move(pool, member, PGDBM__IDLE);
    pgdbm__pool_serve(pool);
    pgdbm__pool_wake(pool);
}

static void failed(struct pgdbm_pool *pool, struct pgdbm__member *member, enum pgdbm__connect_failure failure,
                   const pgdbm_error *err)
{
    pgdbm__pool_remove(pool, member);
    pool->counters.connections_failed++;
    pool->connect_error = *err;
    pool->hopeless = failure == PGDBM__CONNECT_HOPELESS;
    if (failure != PGDBM__CONNECT_BUSY)
        pool->failures++;
    describe_failure(pool, pool->failures > 0 ? pool->failures : 1, &pool->connect_error);
    bool exhausted =
        pool->failures > (unsigned)(pool->config->values.retry_attempts > 0 ? pool->config->values.retry_attempts : 0);
    if (pgdbm__pool_live(pool) == 0 && (pool->hopeless || exhausted))
        pgdbm__pool_refuse(pool, &pool->connect_error);
}

/* Memory is short: who waits for a session is told. Locked. */
static void give_up(struct pgdbm_pool *pool)
{
    pgdbm_error err;
    pgdbm__fail_nomem(&err, "opening a session");
    pool->connect_error = err;
    pool->failures++;
    pgdbm__pool_refuse(pool, &err);
    pool->connect_after = pgdbm__now_ns() + backoff_ns(pool);
}

/* Locked; let go while it connects. */
static void attempt(struct pgdbm_pool *pool, struct pgdbm__member *member)
{
    enum pgdbm__connect_failure failure = PGDBM__CONNECT_TRANSIENT;
    pgdbm_error err;
    member->pool = pool;
    pgdbm__pool_insert(pool, member, PGDBM__CONNECTING);
    pthread_mutex_unlock(&pool->lock);
    bool connected = connect_one(pool, member, &failure, &err) != NULL;
    if (!connected)
        pgdbm__log_write(&pool->log, PGDBM_LOG_WARNING, "cannot open a session: %s", err.message);
    pthread_mutex_lock(&pool->lock);
    if (connected)
        succeeded(pool, member);
    else {
        failed(pool, member, failure, &err);
        pgdbm__free(member);
        pool->connect_after = pgdbm__now_ns() + backoff_ns(pool);
    }
}

bool pgdbm__connector_step(struct pgdbm_pool *pool)
{
    if (pool->closed || !wants_one(pool) || pgdbm__now_ns() < pool->connect_after)
        return false;
    struct pgdbm__member *member = pgdbm__alloc_zero(1, sizeof *member);
    pool->grow = false;
    if (member != NULL)
        attempt(pool, member);
    else
        give_up(pool);
    pool->attempted = true;
    pthread_cond_broadcast(&pool->changed);
    pgdbm__pool_unlock(pool); /* whoever got the session goes on */
    pthread_mutex_lock(&pool->lock);
    return true;
}

void *pgdbm__connector_main(void *context)
{
    struct pgdbm_pool *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->closed) {
        if (pgdbm__connector_step(pool))
            continue;
        struct timespec until = {.tv_sec = (time_t)(pool->connect_after / 1000000000),
                                 .tv_nsec = (long)(pool->connect_after % 1000000000)};
        if (wants_one(pool)) /* and the back-off is not over */
            pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
        else
            pthread_cond_wait(&pool->changed, &pool->lock);
    }
    pgdbm__pool_unlock(pool);
    return NULL;
}
