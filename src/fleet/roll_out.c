/* SPDX-License-Identifier: MIT */
/* A roll-out: canaries alone, then waves of tenants by several workers. The caller's thread is the first worker; a run lives on
 * its stack, and all threads are joined before the call returns. */
#include "fleet/roll_out.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <string.h>
#include <time.h>

#define FUNCTION "pgdbm_fleet_roll_out"

enum { MOST_PASSES = 3 };

static const int default_waves[] = {1, 10, 100};

static pgdbm_status refuse(pgdbm_error *err, const char *what, const char *hint)
{
    pgdbm__fail(err, PGDBM_ERR_CONFIG, FUNCTION ": %s", what);
    pgdbm__error_hint(err, "%s", hint);
    return PGDBM_ERR_CONFIG;
}

static pgdbm_status check_waves(const pgdbm_roll_out *how, pgdbm_error *err)
{
    int before = 0;
    for (size_t i = 0; i < how->n_waves; i++) {
        if (how->waves[i] <= before || how->waves[i] > 100)
            return refuse(err, "the waves do not rise from 1 to 100", "give percentages as {1, 10, 100}");
        before = how->waves[i];
    }
    return before == 100
               ? PGDBM_OK
               : refuse(err, "the last wave is not everybody", "end .waves with 100, and count it in .n_waves");
}

static pgdbm_status complete(pgdbm_roll_out *how, pgdbm_error *err)
{
    if (how->waves == NULL) {
        how->waves = default_waves;
        how->n_waves = sizeof default_waves / sizeof *default_waves;
    }
    how->workers = how->workers == 0 ? 4 : how->workers;
    how->max_attempts = how->max_attempts == 0 ? 3 : how->max_attempts;
    how->lock_timeout_ms = how->lock_timeout_ms == 0 ? 2000 : how->lock_timeout_ms;
    how->recycle_after = how->recycle_after == 0 ? 300 : how->recycle_after;
    if (how->workers < 1 || how->workers > PGDBM_FLEET_MOST_WORKERS)
        return refuse(err, "workers is out of range", "give 1 to 256, or 0 for 4");
    if (how->max_attempts < 0 || how->recycle_after < 0 || how->deadline_ms < 0 || how->lock_timeout_ms < 0)
        return refuse(err, "a number is negative",
                      "0 is the default; a roll-out does not wait for locks without a limit");
    if (how->n_canaries > 0 && how->canaries == NULL)
        return pgdbm__fail_null(err, FUNCTION, "how->canaries");
    for (size_t i = 0; i < how->n_canaries; i++)
        if (how->canaries[i] == NULL)
            return pgdbm__fail_null(err, FUNCTION, "a schema of how->canaries");
    return check_waves(how, err);
}

static pgdbm_status run_init(struct pgdbm__roll_out *run, pgdbm_error *err)
{
    pthread_condattr_t attributes;
    if (pthread_mutex_init(&run->mutex, NULL) != 0)
        return pgdbm__fail_nomem(err, "beginning a roll-out");
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int failure = pthread_cond_init(&run->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (failure != 0) {
        pthread_mutex_destroy(&run->mutex);
        return pgdbm__fail_nomem(err, "beginning a roll-out");
    }
    run->started = pgdbm__now_ns();
    run->looked_at = PGDBM__NOT_LOOKED;
    run->deadline = pgdbm__deadline(run->how.deadline_ms > 0 ? run->how.deadline_ms : -1);
    return PGDBM_OK;
}

static void free_visits(struct pgdbm__visit *visit)
{
    while (visit != NULL) {
        struct pgdbm__visit *next = visit->next;
        pgdbm__visit_free(visit);
        visit = next;
    }
}

static void run_free(struct pgdbm__roll_out *run)
{
    free_visits(run->fresh);
    free_visits(run->waiting);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->mutex);
}

/* What is there to do. */

static bool can_be_known(const pgdbm_target *target)
{
    return target->state == PGDBM_TARGET_UNKNOWN && target->error == NULL;
}

/* Tenants that nothing is known of: their histories are read. */
static pgdbm_status learn(struct pgdbm__fleet_worker *worker, const pgdbm_fleet_report *report, pgdbm_error *err)
{
    size_t n = 0;
    if (report->counts[PGDBM_TARGET_UNKNOWN] == 0)
        return PGDBM_OK;
    const char **schemas = pgdbm__alloc_zero(report->n_targets, sizeof *schemas);
    if (schemas == NULL)
        return pgdbm__fail_nomem(err, "beginning a roll-out");
    for (size_t i = 0; i < report->n_targets; i++)
        if (can_be_known(&report->targets[i]))
            schemas[n++] = report->targets[i].schema;
    pgdbm_status status = pgdbm__worker_session(worker, err);
    if (status == PGDBM_OK)
        status = pgdbm__fleet_sync_schemas(worker->run->fleet, worker->session, schemas, n, err);
    worker->n_visited += n < INT32_MAX / 2 ? (int)n : INT32_MAX / 2;
    pgdbm__worker_retire(worker); /* the pool may have no other */
    pgdbm__free(schemas);
    return status;
}

static bool is_to_be_migrated(const pgdbm_target *target)
{
    return target->n_pending > 0 && (target->state == PGDBM_TARGET_BEHIND || target->state == PGDBM_TARGET_FAILED);
}

/* Where the candidates begin: at any of them. */
static void choose_origin(struct pgdbm__roll_out *run, const pgdbm_fleet_report *report)
{
    size_t chosen = run->n_targets > 0 ? (size_t)pgdbm__random(run->n_targets) : 0;
    for (size_t i = 0; i < report->n_targets; i++)
        if (is_to_be_migrated(&report->targets[i]) && chosen-- == 0) {
            PGDBM__COPY_TEXT(run->origin, report->targets[i].schema, strlen(report->targets[i].schema));
        }
}

static pgdbm_status prepare(struct pgdbm__fleet_worker *worker, pgdbm_error *err)
{
    struct pgdbm__roll_out *run = worker->run;
    pgdbm_fleet_report *report = NULL;
    pgdbm_status status = pgdbm_fetch_value_int64(
        run->fleet->db, "SELECT coalesce((SELECT cancellations FROM pgdbm.roll_out WHERE module = $1), 0)",
        pgdbm_args(run->fleet->module), &run->cancellations, err);
    if (status == PGDBM_OK)
        status = pgdbm_fleet_status(run->fleet, false, &report, err);
    if (status == PGDBM_OK && report->counts[PGDBM_TARGET_UNKNOWN] > 0) {
        status = learn(worker, report, err);
        pgdbm_fleet_report_free(report);
        report = NULL;
        if (status == PGDBM_OK)
            status = pgdbm_fleet_status(run->fleet, false, &report, err);
    }
    if (status == PGDBM_OK) {
        for (size_t i = 0; i < report->n_targets; i++)
            run->n_targets += is_to_be_migrated(&report->targets[i]);
        choose_origin(run, report);
    }
    pgdbm_fleet_report_free(report);
    return status;
}

static void work(struct pgdbm__fleet_worker *worker)
{
    struct pgdbm__visit *visit;
    while ((visit = pgdbm__run_take(worker)) != NULL) {
        pgdbm_error err = {0};
        bool quarantined = false;
        enum pgdbm__tenant_result result = pgdbm__worker_migrate(worker, visit, &quarantined, &err);
        pgdbm__run_give(worker->run, visit, result, quarantined, &err);
    }
    pgdbm__worker_retire(worker); /* the pool may have no other */
}

/* Canaries. */

static pgdbm_status find_canary(struct pgdbm__roll_out *run, const char *schema, struct pgdbm__visit **visit,
                                pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    const char *texts[3] = {NULL};
    size_t pending = 0;
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_text(&sql,
                       "SELECT t.state, t.head, t.digest FROM pgdbm.target t WHERE t.module = $1 AND t.schema = $2"
                       " AND t.schema IN (SELECT s.schema FROM (");
    pgdbm__fleet_append_selection(run->fleet, &sql);
    pgdbm__buffer_text(&sql, ") s WHERE s.there)");
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status =
        sql.failed ? pgdbm__fail_nomem(err, "looking for a canary")
                   : pgdbm_fetch_one(run->fleet->db, sql.data, pgdbm_args(run->fleet->module, schema), &result, err);
    pgdbm__buffer_free(&sql);
    if (status == PGDBM_OK && pgdbm_result_rows(result) == 0) {
        status = pgdbm__fail(err, PGDBM_ERR_CONFIG, "canary %s is no tenant of module %s", schema, run->fleet->module);
        pgdbm__error_hint(err, "name a schema that the fleet's selection finds");
    }
    for (size_t i = 0; status == PGDBM_OK && i < 3; i++)
        status = pgdbm_get_text(result, 0, i, &texts[i], err);
    if (status == PGDBM_OK) {
        pgdbm_target_state state = pgdbm__fleet_judge(run->fleet, texts[0], texts[1], texts[2], &pending);
        if (pending > 0 && (state == PGDBM_TARGET_BEHIND || state == PGDBM_TARGET_FAILED))
            status = pgdbm__visit_make(schema, texts[2], visit, err);
        else if (state != PGDBM_TARGET_CURRENT) {
            status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "canary %s is %s", schema, pgdbm_target_state_name(state));
            pgdbm__error_hint(err, "release or repair it, or choose another one");
        }
    }
    pgdbm_result_free(result);
    return status;
}

/* Its turn is over, and nothing failed; it may have been passed over, because it was taken out of the fleet meanwhile. */
static pgdbm_status check_canary(struct pgdbm__roll_out *run, const char *schema, pgdbm_error *err)
{
    struct pgdbm__visit *visit = NULL;
    pgdbm_status status = find_canary(run, schema, &visit, err);
    if (status == PGDBM_OK && visit != NULL) {
        status = pgdbm__fail(err, PGDBM_ERR_MIGRATION, "canary %s was not migrated: it is still behind", schema);
        pgdbm__error_hint(err, "roll out again; nobody else was touched");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    }
    pgdbm__visit_free(visit);
    return status;
}

static pgdbm_status verify(struct pgdbm__fleet_worker *worker, const char *schema, pgdbm_error *err)
{
    const struct pgdbm__roll_out *run = worker->run;
    pgdbm_db *db = NULL;
    pgdbm_error cause = {0};
    if (run->how.verify == NULL)
        return PGDBM_OK;
    pgdbm__worker_retire(worker); /* the pool may have no session but this one */
    pgdbm_status status = pgdbm_attach(run->fleet->pool, schema, &db, &cause);
    if (status == PGDBM_OK)
        status = run->how.verify(db, run->how.context, &cause);
    pgdbm_close(db);
    if (status != PGDBM_OK) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "canary %s is migrated, and was found to be wrong: %s", schema,
                    cause.message[0] != '\0' ? cause.message : pgdbm_status_name(status));
        pgdbm__error_hint(err, "nobody else was touched");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    }
    return status == PGDBM_OK ? status : PGDBM_ERR_MIGRATION;
}

/* A canary is a queue of one; whatever goes wrong with it ends the roll-out before anybody else's turn. */
static void send_canary(struct pgdbm__fleet_worker *worker, const char *name)
{
    struct pgdbm__roll_out *run = worker->run;
    struct pgdbm__visit *visit = NULL;
    pgdbm_error err = {0};
    char schema[PGDBM__IDENTIFIER_BYTES];
    pgdbm_status status = pgdbm__identifier_fold(name, strlen(name), "canary", schema, &err);
    if (status == PGDBM_OK)
        status = find_canary(run, schema, &visit, &err);
    if (status == PGDBM_OK && visit != NULL) {
        run->fresh = run->last_fresh = visit;
        run->no_more = true;
        work(worker);
        run->n_begun = 0;
        run->wave = 0;
    }
    if (status == PGDBM_OK && visit != NULL && run->status == PGDBM_OK && !run->stop)
        status = check_canary(run, schema, &err);
    if (status == PGDBM_OK && run->status == PGDBM_OK && !run->stop)
        status = verify(worker, schema, &err);
    if (status != PGDBM_OK)
        pgdbm__run_stop(run, status, &err);
    else if (run->status != PGDBM_OK)
        run->stop = true;
}

/* Workers. */

static void *thread_main(void *context)
{
    struct pgdbm__fleet_worker *worker = context;
    work(worker);
    pthread_mutex_lock(&worker->run->mutex);
    worker->run->n_workers--;
    pthread_mutex_unlock(&worker->run->mutex);
    pgdbm__worker_free(worker);
    return NULL;
}

/* More workers than the pool has sessions would wait for each other; more than tenants for nothing. */
static size_t count_workers(const struct pgdbm__roll_out *run)
{
    pgdbm_pool_stats stats = {0};
    size_t n = (size_t)run->how.workers;
    if (pgdbm_pool_stats_read(run->fleet->pool, &stats, NULL) == PGDBM_OK && stats.max_connections < n)
        n = stats.max_connections;
    n = n < run->n_targets ? n : run->n_targets;
    return n > 0 ? n : 1;
}

static bool start(struct pgdbm__fleet_worker *worker)
{
    worker->has_thread = pgdbm__thread_start(&worker->thread, NULL, thread_main, worker) == 0;
    return worker->has_thread;
}

static void work_together(struct pgdbm__fleet_worker *first)
{
    struct pgdbm__roll_out *run = first->run;
    size_t n = count_workers(run) - 1;
    struct pgdbm__fleet_worker *others = pgdbm__alloc_zero(n, sizeof *others);
    if (others == NULL)
        n = 0; /* slower, and as good */
    run->n_workers = n + 1;
    for (size_t i = 0; i < n; i++) {
        others[i].run = run;
        if (!start(&others[i])) {
            pthread_mutex_lock(&run->mutex);
            run->n_workers--;
            pthread_mutex_unlock(&run->mutex);
        }
    }
    work(first);
    pthread_mutex_lock(&run->mutex);
    run->n_workers--;
    pthread_mutex_unlock(&run->mutex);
    for (size_t i = 0; i < n; i++)
        if (others[i].has_thread)
            pthread_join(others[i].thread, NULL);
    pgdbm__free(others);
}

/* All that it found are current? Tenants that are none of the roll-out's business are somebody's: they are named. */
static pgdbm_status check_all(struct pgdbm__roll_out *run, bool *behind, pgdbm_error *err)
{
    pgdbm_fleet_report *report = NULL;
    const pgdbm_target *first = NULL;
    size_t n = 0;
    *behind = false;
    pgdbm_status status = pgdbm_fleet_status(run->fleet, false, &report, err);
    for (size_t i = 0; status == PGDBM_OK && i < report->n_targets; i++) {
        pgdbm_target_state state = report->targets[i].state;
        if (state == PGDBM_TARGET_QUARANTINED || state == PGDBM_TARGET_AHEAD)
            continue;
        first = first != NULL ? first : &report->targets[i];
        *behind = *behind || state == PGDBM_TARGET_BEHIND;
        n++;
    }
    if (n > 0) {
        status =
            pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%zu tenants of module %s are not current; the first is %s: %s%s%s",
                        n, run->fleet->module, first->schema, pgdbm_target_state_name(first->state),
                        first->error != NULL ? ", " : "", first->error != NULL ? first->error : "");
        pgdbm__error_hint(err, "pgdbm_migrate_verify on such a schema names what differs; pgdbm_fleet_quarantine takes "
                               "it out of roll-outs");
        pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    }
    pgdbm_fleet_report_free(report);
    return status;
}

/* From the first candidate round to it again. A further pass is for those that came meanwhile, and for transactions that a
 * server lost which does not wait for its disk (synchronous_commit = off). */
static void begin_pass(struct pgdbm__roll_out *run)
{
    memcpy(run->cursor, run->origin, sizeof run->cursor);
    run->wrapped = false;
    run->no_more = false;
}

static pgdbm_status roll_out(struct pgdbm__roll_out *run, pgdbm_error *err)
{
    struct pgdbm__fleet_worker worker = {.run = run};
    run->n_workers = 1;
    pgdbm_status status = prepare(&worker, &run->error);
    if (status != PGDBM_OK)
        pgdbm__run_stop(run, status, NULL);
    for (size_t i = 0; !run->stop && i < run->how.n_canaries; i++)
        send_canary(&worker, run->how.canaries[i]);
    bool behind = !run->stop;
    for (int pass = 0; behind && pass < MOST_PASSES; pass++) {
        begin_pass(run);
        work_together(&worker);
        if (run->status != PGDBM_OK)
            break;
        status = check_all(run, &behind, err);
    }
    pgdbm__worker_free(&worker);
    if (run->status == PGDBM_OK)
        return status;
    if (err != NULL)
        *err = run->error;
    return run->status;
}

pgdbm_status pgdbm_fleet_roll_out_sized(pgdbm_fleet *fleet, const pgdbm_roll_out *how, size_t how_bytes,
                                        pgdbm_roll_out_tally *tally, pgdbm_error *err)
{
    struct pgdbm__roll_out run = {.fleet = fleet};
    if (tally != NULL)
        *tally = (pgdbm_roll_out_tally){0};
    if (fleet == NULL || how == NULL)
        return pgdbm__fail_null(err, FUNCTION, fleet == NULL ? "fleet" : "how");
    memcpy(&run.how, how, how_bytes < sizeof run.how ? how_bytes : sizeof run.how);
    pgdbm_status status = complete(&run.how, err);
    if (status == PGDBM_OK)
        status = run_init(&run, err);
    if (status != PGDBM_OK)
        return status;
    int cancel_state = pgdbm__cancel_defer(); /* threads and sessions hang on this stack */
    status = roll_out(&run, err);
    pgdbm__cancel_restore(cancel_state);
    /* Once for all, of whatever schema: NOTIFY makes the commits of a server wait for each other. Who does not hear of it finds
     * out by himself. */
    if (run.migrated > 0)
        (void)pgdbm_schema_changed(fleet->db, NULL);
    if (tally != NULL)
        *tally = (pgdbm_roll_out_tally){.migrated = run.migrated,
                                        .failed = run.failed,
                                        .quarantined = run.quarantined,
                                        .skipped = run.skipped,
                                        .elapsed_ms = (double)(pgdbm__now_ns() - run.started) / (double)PGDBM__MS};
    run_free(&run);
    return status;
}
