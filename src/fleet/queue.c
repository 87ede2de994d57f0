/* SPDX-License-Identifier: MIT */
/* Who does what next: the part of a roll-out that its workers share. Candidates are fetched in pieces; the busy ones wait at
 * the back. The run's mutex guards all of it; nothing is sent, and no user's code runs, while it is held. */
#include "fleet/roll_out.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <string.h>
#include <time.h>

enum { PIECE = 500, MOST_AGAIN = 16, AT_ONCE = 0 };

#define RECONNECT_PAUSE_MS INT64_C(200)
/* How long a server may be away before the roll-out gives up. */
#define RECONNECT_MS 60000
/* Control rows and load are looked at this often. */
#define LOOK_MS INT64_C(300)

pgdbm_status pgdbm__visit_make(const char *schema, const char *digest, struct pgdbm__visit **visit, pgdbm_error *err)
{
    *visit = pgdbm__alloc_zero(1, sizeof **visit);
    if (*visit != NULL && ((*visit)->digest = pgdbm__strdup(digest)) != NULL) {
        PGDBM__COPY_TEXT((*visit)->schema, schema, strlen(schema));
        return PGDBM_OK;
    }
    pgdbm__visit_free(*visit);
    *visit = NULL;
    return pgdbm__fail_nomem(err, "listing the tenants that are behind");
}

void pgdbm__visit_free(struct pgdbm__visit *visit)
{
    if (visit != NULL)
        pgdbm__free(visit->digest);
    pgdbm__free(visit);
}

/* Waiting and stopping. */

static void wait_locked(struct pgdbm__roll_out *run, int64_t moment)
{
    struct timespec time = {.tv_sec = (time_t)(moment / 1000000000), .tv_nsec = (long)(moment % 1000000000)};
    pthread_cond_timedwait(&run->changed, &run->mutex, &time);
}

void pgdbm__run_wait(struct pgdbm__roll_out *run, int64_t moment)
{
    pthread_mutex_lock(&run->mutex);
    if (!run->stop)
        wait_locked(run, moment);
    pthread_mutex_unlock(&run->mutex);
}

static void stop_locked(struct pgdbm__roll_out *run, pgdbm_status status, const pgdbm_error *err)
{
    if (!run->stop && (run->status == PGDBM_OK || status != PGDBM_ERR_MIGRATION)) {
        run->status = status;
        if (err != NULL)
            run->error = *err;
    }
    run->stop = true;
    pthread_cond_broadcast(&run->changed);
}

void pgdbm__run_stop(struct pgdbm__roll_out *run, pgdbm_status status, const pgdbm_error *err)
{
    pthread_mutex_lock(&run->mutex);
    stop_locked(run, status, err);
    pthread_mutex_unlock(&run->mutex);
}

bool pgdbm__run_stopped(struct pgdbm__roll_out *run)
{
    pthread_mutex_lock(&run->mutex);
    bool stopped = run->stop;
    pthread_mutex_unlock(&run->mutex);
    return stopped;
}

static void stop_canceled(struct pgdbm__roll_out *run, const char *by)
{
    pgdbm_error err = {0};
    pgdbm__fail(&err, PGDBM_ERR_CANCELED, "the roll-out of module %s was canceled by %s", run->fleet->module, by);
    pgdbm__error_hint(&err, "tenants that are migrated stay so; another roll-out continues");
    pgdbm__error_outcome(&err, PGDBM_OUTCOME_DONE);
    stop_locked(run, PGDBM_ERR_CANCELED, &err);
}

static void stop_late(struct pgdbm__roll_out *run)
{
    pgdbm_error err = {0};
    pgdbm__fail(&err, PGDBM_ERR_TIMEOUT, "the roll-out of module %s has not ended within %d ms", run->fleet->module,
                run->how.deadline_ms);
    pgdbm__error_hint(&err, "tenants that are migrated stay so; another roll-out continues");
    pgdbm__error_outcome(&err, PGDBM_OUTCOME_DONE);
    stop_locked(run, PGDBM_ERR_TIMEOUT, &err);
}

/* Progress. */

static void fill_progress(const struct pgdbm__roll_out *run, const char *schema, pgdbm_roll_out_progress *progress)
{
    size_t over = run->migrated + run->skipped + run->failed;
    *progress = (pgdbm_roll_out_progress){.done = run->migrated + run->skipped,
                                          .failed = run->failed,
                                          .postponed = run->n_waiting,
                                          .n_targets = run->n_targets,
                                          .wave = run->wave,
                                          .n_waves = run->how.n_waves,
                                          .elapsed_ms = (double)(pgdbm__now_ns() - run->started) / (double)PGDBM__MS,
                                          .remaining_ms = -1,
                                          .schema = schema,
                                          .paused = run->mood == PGDBM__PAUSED,
                                          .throttled = run->throttled};
    if (over > 0)
        progress->remaining_ms =
            over < run->n_targets ? progress->elapsed_ms / (double)over * (double)(run->n_targets - over) : 0;
}

void pgdbm__run_report(struct pgdbm__roll_out *run, const char *schema)
{
    pgdbm_roll_out_progress progress;
    if (run->how.on_progress == NULL)
        return;
    pthread_mutex_lock(&run->mutex);
    while (run->reporting)
        pthread_cond_wait(&run->changed, &run->mutex);
    run->reporting = true;
    fill_progress(run, schema, &progress);
    pthread_mutex_unlock(&run->mutex);
    bool go_on = run->how.on_progress(&progress, run->how.context);
    pthread_mutex_lock(&run->mutex);
    run->reporting = false;
    if (!go_on)
        stop_canceled(run, "its progress callback");
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);
}

/* A session, however long the server takes to come back. A worker that gets none leaves the work to the others. */
static bool connect(struct pgdbm__fleet_worker *worker)
{
    struct pgdbm__roll_out *run = worker->run;
    int64_t patience = pgdbm__deadline(RECONNECT_MS);
    pgdbm_error err = {0};
    while (!pgdbm__run_stopped(run)) {
        pgdbm_status status = pgdbm__worker_session(worker, &err);
        if (status == PGDBM_OK)
            return true;
        bool away = status == PGDBM_ERR_CONNECTION || status == PGDBM_ERR_POOL || status == PGDBM_ERR_TIMEOUT;
        if (!away || pgdbm__now_ns() > patience) {
            pthread_mutex_lock(&run->mutex);
            if (run->n_workers == 1 || !away)
                stop_locked(run, status, &err);
            pthread_mutex_unlock(&run->mutex);
            return false;
        }
        pgdbm__run_report(run, NULL); /* who looks on may not want to wait */
        pgdbm__run_wait(run, pgdbm__now_ns() + pgdbm__jitter(RECONNECT_PAUSE_MS * PGDBM__MS, 50));
    }
    return false;
}

/* Called and left with the mutex held, which is let go in between. */
static void look_around(struct pgdbm__fleet_worker *worker)
{
    struct pgdbm__roll_out *run = worker->run;
    enum pgdbm__run_mood mood = run->mood;
    bool throttled = false;
    run->looking = true;
    pthread_mutex_unlock(&run->mutex);
    pgdbm_status status = pgdbm__watch_control(worker, &mood, NULL);
    if (status == PGDBM_OK)
        status = pgdbm__watch_load(worker, &throttled, NULL);
    if (status != PGDBM_OK)
        pgdbm__worker_retire(worker); /* a new session, or the next look, tells more */
    pthread_mutex_lock(&run->mutex);
    bool changed = status == PGDBM_OK && (mood != run->mood || throttled != run->throttled);
    run->looking = false;
    run->looked_at = pgdbm__now_ns();
    if (status == PGDBM_OK) {
        run->mood = mood;
        run->throttled = throttled;
    }
    if (mood == PGDBM__CANCELED)
        stop_canceled(run, "pgdbm_fleet_cancel");
    pthread_cond_broadcast(&run->changed);
    if (changed) {
        pthread_mutex_unlock(&run->mutex);
        pgdbm__run_report(run, NULL);
        pthread_mutex_lock(&run->mutex);
    }
}

/* Candidates. */

static void compose_candidates(const struct pgdbm__roll_out *run, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, "SELECT t.schema, t.digest, t.state, t.head FROM pgdbm.target t WHERE t.module = $1"
                            " AND t.schema > $2 AND ($3::text IS NULL OR t.schema <= $3::text) AND t.digest <> $4"
                            " AND t.state <> 'quarantined' AND t.schema IN (SELECT s.schema FROM (");
    pgdbm__fleet_append_selection(run->fleet, sql);
    pgdbm__buffer_format(sql, ") s WHERE s.there) ORDER BY t.schema LIMIT %d", PIECE);
    pgdbm__buffer_append(sql, "", 1);
}

static pgdbm_status read_candidates(const struct pgdbm__roll_out *run, const pgdbm_result *result,
                                    struct pgdbm__visit **first, struct pgdbm__visit **last, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm_result_rows(result); i++) {
        const char *texts[4] = {NULL};
        struct pgdbm__visit *visit = NULL;
        size_t pending = 0;
        for (size_t column = 0; status == PGDBM_OK && column < 4; column++)
            status = pgdbm_get_text(result, i, column, &texts[column], err);
        if (status != PGDBM_OK)
            break;
        /* A row can come from anybody who may write the table; the name goes into texts that are sent. */
        if (pgdbm__fleet_check_schema(run->fleet, texts[0], NULL) != PGDBM_OK)
            continue;
        pgdbm_target_state state = pgdbm__fleet_judge(run->fleet, texts[2], texts[3], texts[1], &pending);
        if (pending == 0 || (state != PGDBM_TARGET_BEHIND && state != PGDBM_TARGET_FAILED))
            continue;
        status = pgdbm__visit_make(texts[0], texts[1], &visit, err);
        if (status == PGDBM_OK) {
            if (*last != NULL)
                (*last)->next = visit;
            else
                *first = visit;
            *last = visit;
        }
    }
    return status;
}

/* Called and left with the mutex held, which is let go in between. Only one worker at a time is here. */
static void fetch(struct pgdbm__fleet_worker *worker)
{
    struct pgdbm__roll_out *run = worker->run;
    struct pgdbm__buffer sql = {0};
    struct pgdbm__visit *first = NULL;
    struct pgdbm__visit *last = NULL;
    pgdbm_result *result = NULL;
    pgdbm_error err = {0};
    const char *end = NULL;
    run->fetching = true;
    pthread_mutex_unlock(&run->mutex);
    compose_candidates(run, &sql);
    pgdbm_status status = sql.failed
                              ? pgdbm__fail_nomem(&err, "listing the tenants that are behind")
                              : pgdbm_fetch_all(worker->session, sql.data,
                                                pgdbm_args(run->fleet->module, run->cursor,
                                                           run->wrapped ? run->origin : NULL, run->fleet->digest),
                                                &result, &err);
    size_t n_rows = pgdbm_result_rows(result);
    if (status == PGDBM_OK)
        status = read_candidates(run, result, &first, &last, &err);
    if (status == PGDBM_OK && n_rows > 0)
        status = pgdbm_get_text(result, n_rows - 1, 0, &end, &err);
    bool lost = status != PGDBM_OK && pgdbm__worker_is_lost(status, &err);
    if (lost)
        pgdbm__worker_retire(worker); /* a new session begins this piece again */
    pthread_mutex_lock(&run->mutex);
    run->fetching = false;
    if (first != NULL) { /* there is none before: only then is fetched */
        run->fresh = first;
        run->last_fresh = last;
    }
    if (status == PGDBM_OK && n_rows == PIECE)
        PGDBM__COPY_TEXT(run->cursor, end, strlen(end));
    else if (status == PGDBM_OK && !run->wrapped && run->origin[0] != '\0') {
        run->wrapped = true;
        run->cursor[0] = '\0';
    } else if (status == PGDBM_OK)
        run->no_more = true;
    else if (!lost)
        stop_locked(run, status, &err);
    pthread_cond_broadcast(&run->changed);
    pgdbm_result_free(result);
    pgdbm__buffer_free(&sql);
}

/* How many tenants may have been begun in this wave. */
static size_t wave_limit(const struct pgdbm__roll_out *run)
{
    size_t percent = run->wave < run->how.n_waves ? (size_t)run->how.waves[run->wave] : 100;
    if (percent >= 100)
        return SIZE_MAX;
    return run->n_targets / 100 * percent + (run->n_targets % 100 * percent + 99) / 100;
}

static struct pgdbm__visit *pop_fresh(struct pgdbm__roll_out *run)
{
    struct pgdbm__visit *visit = run->fresh;
    run->fresh = visit->next;
    if (run->fresh == NULL)
        run->last_fresh = NULL;
    run->n_begun++;
    return visit;
}

static struct pgdbm__visit *pop_waiting(struct pgdbm__roll_out *run)
{
    struct pgdbm__visit *visit = run->waiting;
    run->waiting = visit->next;
    run->n_waiting--;
    run->n_begun++;
    return visit;
}

static void insert_waiting(struct pgdbm__roll_out *run, struct pgdbm__visit *visit)
{
    struct pgdbm__visit **at = &run->waiting;
    while (*at != NULL && (*at)->due <= visit->due)
        at = &(*at)->next;
    visit->next = *at;
    *at = visit;
    run->n_waiting++;
}

/* What can be had at this moment; NULL: nothing. Sets *over when there never will be anything. Locked. */
static struct pgdbm__visit *choose(struct pgdbm__fleet_worker *worker, bool *over)
{
    struct pgdbm__roll_out *run = worker->run;
    for (;;) {
        if (run->waiting != NULL && run->waiting->due == AT_ONCE)
            return pop_waiting(run);
        bool in_wave = run->n_begun < wave_limit(run);
        if (in_wave && run->fresh != NULL)
            return pop_fresh(run);
        if (in_wave && !run->no_more && !run->fetching && worker->session != NULL && !run->stop) {
            fetch(worker);
            continue;
        }
        /* The busy ones are behind all others of the wave. */
        if (in_wave && run->waiting != NULL && run->waiting->due <= pgdbm__now_ns())
            return pop_waiting(run);
        bool dry = run->no_more && run->fresh == NULL;
        if (run->n_in_work > 0 || run->fetching || run->stop)
            return NULL;
        if (!in_wave && (!dry || run->waiting != NULL)) {
            run->wave++;
            pthread_cond_broadcast(&run->changed);
            continue;
        }
        *over = dry && run->waiting == NULL;
        return NULL;
    }
}

/* Whether it is time to look what others have said. */
static bool must_look(const struct pgdbm__roll_out *run)
{
    return !run->looking && pgdbm__now_ns() - run->looked_at >= LOOK_MS * PGDBM__MS;
}

/* Until something changes, or it is time to look, or a busy tenant's turn has come, or the deadline. */
static void wait_for_work(struct pgdbm__roll_out *run)
{
    int64_t moment = pgdbm__now_ns() + LOOK_MS * PGDBM__MS;
    bool working = run->mood == PGDBM__RUNNING && !run->throttled;
    if (working && run->waiting != NULL && run->waiting->due < moment)
        moment = run->waiting->due;
    wait_locked(run, moment < run->deadline ? moment : run->deadline);
}

/* One try; *over says that there never will be anything to do. Locked. */
static struct pgdbm__visit *try_to_take(struct pgdbm__fleet_worker *worker, bool *over)
{
    struct pgdbm__roll_out *run = worker->run;
    struct pgdbm__visit *visit = NULL;
    if (!run->stop && must_look(run))
        look_around(worker);
    if (!run->stop && run->looked_at != PGDBM__NOT_LOOKED && run->mood == PGDBM__RUNNING && !run->throttled)
        visit = choose(worker, over);
    bool left = visit != NULL || run->waiting != NULL || run->fresh != NULL || !run->no_more;
    if (!run->stop && left && pgdbm__now_ns() >= run->deadline)
        stop_late(run);
    *over = *over || run->stop;
    if (visit != NULL && run->stop) {
        run->n_begun--;
        insert_waiting(run, visit);
        visit = NULL;
    }
    if (visit != NULL)
        run->n_in_work++;
    return visit;
}

struct pgdbm__visit *pgdbm__run_take(struct pgdbm__fleet_worker *worker)
{
    struct pgdbm__roll_out *run = worker->run;
    struct pgdbm__visit *visit = NULL;
    bool over = false;
    while (visit == NULL && !over) {
        if (worker->session == NULL && !connect(worker))
            return NULL;
        pthread_mutex_lock(&run->mutex);
        visit = try_to_take(worker, &over);
        if (over)
            pthread_cond_broadcast(&run->changed); /* for all of them */
        else if (visit == NULL && worker->session != NULL)
            wait_for_work(run);
        pthread_mutex_unlock(&run->mutex);
    }
    return visit;
}

static void put_back(struct pgdbm__roll_out *run, struct pgdbm__visit *visit, int64_t pause_ms)
{
    visit->due = pause_ms > 0 ? pgdbm__now_ns() + pgdbm__jitter(pause_ms * PGDBM__MS, 25) : AT_ONCE;
    insert_waiting(run, visit);
}

/* A quarter of lock_timeout_ms, then twice as long each time, up to four times lock_timeout_ms: under a minute in all before a
 * tenant is given up by default, and the lock of a busy tenant is asked for a fifth of the time at most. */
static int64_t pause_of(const struct pgdbm__roll_out *run, const struct pgdbm__visit *visit)
{
    int64_t quarter = run->how.lock_timeout_ms / 4 + 1;
    return quarter << (visit->postponed < 4 ? visit->postponed : 4);
}

static void count_failure(struct pgdbm__roll_out *run, bool quarantined, const pgdbm_error *err)
{
    run->failed++;
    run->quarantined += quarantined;
    if (run->status == PGDBM_OK) {
        run->status = PGDBM_ERR_MIGRATION;
        run->error = *err;
        run->error.status = PGDBM_ERR_MIGRATION;
    }
    if (run->failed > run->how.max_failures)
        stop_locked(run, PGDBM_ERR_MIGRATION, NULL);
}

/* What is to become of a tenant that is not done yet. */
static void give_back(struct pgdbm__roll_out *run, struct pgdbm__visit *visit, enum pgdbm__tenant_result result,
                      const pgdbm_error *err)
{
    if (result == PGDBM__TENANT_BUSY) {
        put_back(run, visit, pause_of(run, visit));
        visit->postponed++;
    } else {
        put_back(run, visit, 0);
        if (++visit->again > MOST_AGAIN)
            stop_locked(run, err->status != PGDBM_OK ? err->status : PGDBM_ERR_MIGRATION, err);
    }
}

void pgdbm__run_give(struct pgdbm__roll_out *run, struct pgdbm__visit *visit, enum pgdbm__tenant_result result,
                     bool quarantined, const pgdbm_error *err)
{
    bool over = true;
    pthread_mutex_lock(&run->mutex);
    run->n_in_work--;
    /* Whoever was not tried proves nothing: another one takes its place in the wave. */
    if (result != PGDBM__TENANT_MIGRATED && result != PGDBM__TENANT_FAILED)
        run->n_begun--;
    switch (result) {
    case PGDBM__TENANT_MIGRATED:
        run->migrated++;
        break;
    case PGDBM__TENANT_SKIPPED:
        run->skipped++;
        break;
    case PGDBM__TENANT_FAILED:
        count_failure(run, quarantined, err);
        break;
    case PGDBM__TENANT_STOP:
        stop_locked(run, err->status, err);
        break;
    case PGDBM__TENANT_BUSY:
    case PGDBM__TENANT_AGAIN:
        give_back(run, visit, result, err);
        over = false;
        break;
    }
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mutex);
    if (over) {
        pgdbm__run_report(run, visit->schema);
        pgdbm__visit_free(visit);
    }
}
