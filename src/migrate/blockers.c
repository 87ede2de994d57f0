/* SPDX-License-Identifier: MIT */
/* Who blocks. The watch's fields are guarded by its lock; its thread ends before pgdbm__watch_end returns. */
#include "migrate/blockers.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <pgdbm/memory.h>
#include <pthread.h>
#include <time.h>

struct pgdbm__watch {
    pgdbm_db *db;
    int pid;
    int period_ms;
    char *blockers; /* of pgdbm; the thread's until it has ended */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended;
};

char *pgdbm__blockers_of_statement(pgdbm_db *session, const char *sql, const char *detail)
{
    /* A look at the names in the text is enough: only relations that others have locked at this moment come into
     * question. The strongest lock first; a process once. */
    static const char query[] =
        "SELECT pg_catalog.string_agg(line, E'\\n' ORDER BY rank, line) FROM ("
        "SELECT DISTINCT ON (p.pid) p.rank, pg_catalog.concat(p.what, " PGDBM__PROCESS_SQL ") AS line FROM ("
        "SELECT l.pid, pg_catalog.array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock',"
        " 'ShareRowExclusiveLock', 'ShareLock', 'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock',"
        " 'AccessShareLock'], l.mode) AS rank,"
        " pg_catalog.format('%I.%I is locked (%s) by ', n.nspname, c.relname, l.mode) AS what"
        " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
        " AND c.relkind IN ('r', 'p', 'm', 'v', 'f') AND pg_catalog.strpos(pg_catalog.lower($1::text),"
        " pg_catalog.lower(c.relname)) > 0"
        " AND (pg_catalog.pg_table_is_visible(c.oid) OR pg_catalog.strpos($1::text, n.nspname) > 0)"
        " UNION ALL SELECT s.pid, 0, 'deadlock with ' FROM pg_catalog.pg_stat_activity s"
        " WHERE s.pid <> pg_catalog.pg_backend_pid() AND $2::text ~ ('\\mprocess ' || s.pid || '\\M')) p"
        " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid ORDER BY p.pid, p.rank LIMIT 3) found";
    char *found = NULL;
    if (pgdbm_fetch_value_text(session, query, pgdbm_args(sql, detail), &found, NULL) != PGDBM_OK)
        return NULL;
    return found;
}

static void ask(struct pgdbm__watch *watch)
{
    /* A wait for a row is a wait for its transaction; the relation is then that of the row's lock. */
    static const char query[] =
        "SELECT pg_catalog.string_agg(line, E'\\n') FROM (SELECT pg_catalog.concat("
        "coalesce(pg_catalog.format('%I.%I', n.nspname, c.relname), w.locktype), ' (', w.mode, ') waits for ',"
        " " PGDBM__PROCESS_SQL ") AS line FROM pg_catalog.pg_locks w"
        " CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) p (pid)"
        " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid"
        " LEFT JOIN pg_catalog.pg_class c ON c.oid = coalesce(w.relation, (SELECT t.relation FROM pg_catalog.pg_locks t"
        " WHERE t.pid = w.pid AND t.locktype = 'tuple' LIMIT 1))"
        " LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE w.pid = $1 AND NOT w.granted LIMIT 3) found";
    char *found = NULL;
    if (pgdbm_fetch_value_text_with(watch->db, &(pgdbm_call){.timeout_ms = watch->period_ms + 100}, query,
                                    pgdbm_args(watch->pid), &found, NULL) != PGDBM_OK ||
        found == NULL)
        return;
    pgdbm_free(watch->blockers);
    watch->blockers = found;
}

/* Waits for a period; true when the watch has ended. */
static bool wait_a_period(struct pgdbm__watch *watch)
{
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    int64_t nanoseconds = moment.tv_nsec + watch->period_ms * PGDBM__MS;
    moment.tv_sec += (time_t)(nanoseconds / 1000000000);
    moment.tv_nsec = (long)(nanoseconds % 1000000000);
    pthread_mutex_lock(&watch->lock);
    int result = 0;
    while (!watch->ended && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&watch->changed, &watch->lock, &moment);
    bool ended = watch->ended;
    pthread_mutex_unlock(&watch->lock);
    return ended;
}

static void *keep_watch(void *context)
{
    struct pgdbm__watch *watch = context;
    while (!wait_a_period(watch))
        ask(watch);
    return NULL;
}

static bool init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    bool ok =
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return ok;
}

struct pgdbm__watch *pgdbm__watch_begin(pgdbm_db *db, int pid, int lock_timeout_ms)
{
    struct pgdbm__watch *watch = pgdbm__alloc_zero(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->db = db;
    watch->pid = pid;
    /* Twice within each wait. */
    watch->period_ms = lock_timeout_ms > 20 ? lock_timeout_ms / 3 : 5;
    pthread_mutex_init(&watch->lock, NULL);
    if (!init_condition(&watch->changed)) {
        pthread_mutex_destroy(&watch->lock);
        pgdbm__free(watch);
        return NULL;
    }
    if (pgdbm__thread_start(&watch->thread, NULL, keep_watch, watch) != 0) {
        pthread_cond_destroy(&watch->changed);
        pthread_mutex_destroy(&watch->lock);
        pgdbm__free(watch);
        return NULL;
    }
    return watch;
}

void pgdbm__watch_end(struct pgdbm__watch *watch, char **blockers)
{
    if (blockers != NULL)
        *blockers = NULL;
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->ended = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    if (blockers != NULL)
        *blockers = watch->blockers;
    else
        pgdbm_free(watch->blockers);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    pgdbm__free(watch);
}
