/* SPDX-License-Identifier: MIT */
/* One tenant, brought to the newest file: by one message if that is possible, by pgdbm_migrate if anything is unusual. Why a
 * message failed is found out afterwards, because a tenant without trouble shall cost one round trip. A worker is one
 * thread's. */
#include "fleet/roll_out.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

#include <pgdbm/memory.h>
#include <stdio.h>
#include <string.h>

/* A tenant that was busy so often is tried once more by pgdbm_migrate, which names who is in the way, and has failed. */
enum { MOST_POSTPONED = 10 };

static const pgdbm_call patient = {.timeout_ms = -1};

/* Sessions. */

static void drop_session(struct pgdbm__fleet_worker *worker, bool retire)
{
    /* One with statements that nobody else knows of is not given back: to begin another costs as much as to clean it. */
    if (worker->session != NULL && (retire || worker->prepared))
        (void)pgdbm_retire(worker->session, NULL);
    pgdbm_close(worker->session);
    worker->session = NULL;
    worker->prepared = false;
}

void pgdbm__worker_retire(struct pgdbm__fleet_worker *worker)
{
    drop_session(worker, worker->n_visited > 0);
    worker->n_visited = 0;
}

/* A session that was given back in between counts on: the pool hands out what came back last. */
pgdbm_status pgdbm__worker_session(struct pgdbm__fleet_worker *worker, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (worker->session == NULL)
        status = pgdbm_pin(worker->run->fleet->db, &worker->session, err);
    if (status == PGDBM_OK && worker->n_visited >= worker->run->how.recycle_after) {
        pgdbm__worker_retire(worker);
        status = pgdbm_pin(worker->run->fleet->db, &worker->session, err);
    }
    return status;
}

void pgdbm__worker_free(struct pgdbm__fleet_worker *worker)
{
    pgdbm__worker_retire(worker);
    for (size_t i = 0; i < sizeof worker->messages / sizeof *worker->messages; i++)
        pgdbm__fleet_message_free(&worker->messages[i]);
    pgdbm__buffer_free(&worker->sql);
}

/* What kind of error it is. */

static bool is_state(const pgdbm_error *err, const char *sqlstate)
{
    return strcmp(err->sqlstate, sqlstate) == 0;
}

bool pgdbm__worker_is_lost(pgdbm_status status, const pgdbm_error *err)
{
    /* 57P: the server is going down; 53300: it has no connection left. */
    return status == PGDBM_ERR_CONNECTION || status == PGDBM_ERR_POOL || strncmp(err->sqlstate, "57P", 3) == 0 ||
           is_state(err, "53300");
}

static bool is_hopeless(pgdbm_status status, const pgdbm_error *err)
{
    return status == PGDBM_ERR_NOMEM || is_state(err, "53100") || is_state(err, "53200");
}

/* Locks that were not to be had, and conflicts between transactions. */
static bool is_busy(const pgdbm_error *err)
{
    return is_state(err, "55P03") || is_state(err, "40P01") || is_state(err, "40001");
}

static enum pgdbm__tenant_result classify(struct pgdbm__fleet_worker *worker, pgdbm_status status,
                                          const pgdbm_error *err, enum pgdbm__tenant_result otherwise)
{
    if (is_hopeless(status, err))
        return PGDBM__TENANT_STOP;
    if (pgdbm__worker_is_lost(status, err)) {
        drop_session(worker, false);
        return PGDBM__TENANT_AGAIN;
    }
    return otherwise;
}

/* The long way. */

static bool note_place(const pgdbm_migration_progress *progress, void *context)
{
    struct pgdbm__fleet_place *place = context;
    if (progress->phase == PGDBM_PHASE_BEFORE)
        snprintf(place->text, sizeof place->text, "%s", progress->filename);
    else if (progress->phase == PGDBM_PHASE_STATEMENT)
        snprintf(place->text, sizeof place->text, "%s:%zu", progress->filename, progress->line);
    return true;
}

pgdbm_status pgdbm__fleet_migrate_tenant(pgdbm_fleet *fleet, const char *schema, int lock_timeout_ms,
                                         struct pgdbm__fleet_place *place, pgdbm_error *err)
{
    struct pgdbm__fleet_place own = {{0}};
    pgdbm_db *db = NULL;
    pgdbm_db *session = NULL;
    pgdbm_migrate_options options = {.module = fleet->module,
                                     .per_schema = true,
                                     .migrations = &fleet->migrations,
                                     .table = fleet->table,
                                     .build = fleet->build,
                                     .lock_timeout_ms = lock_timeout_ms,
                                     .lock_attempts = lock_timeout_ms != 0 ? 1 : 0,
                                     .wait_timeout_ms = lock_timeout_ms,
                                     .schema_must_exist = true, /* or it was dropped a moment ago */
                                     .on_progress = note_place,
                                     .context = place != NULL ? place : &own};
    pgdbm_status status = pgdbm_attach(fleet->pool, schema, &db, err);
    if (status == PGDBM_OK)
        status = pgdbm_migrate(db, &options, NULL, err);
    pgdbm_close(db);
    /* What went well before a failure is in the history, so the row is made again in any case. */
    pgdbm_error *second = status == PGDBM_OK ? err : NULL;
    pgdbm_status synced = pgdbm_pin(fleet->db, &session, second);
    if (synced == PGDBM_OK)
        synced = pgdbm__fleet_sync_schemas(fleet, session, &schema, 1, second);
    pgdbm_close(session);
    return status == PGDBM_OK ? synced : status;
}

/* The row tells what happened; of a tenant that another process has brought to the end meanwhile, it is left alone. */
static pgdbm_status record_failure(struct pgdbm__fleet_worker *worker, const struct pgdbm__visit *visit,
                                   const struct pgdbm__fleet_place *place, double duration_ms, const pgdbm_error *cause,
                                   bool *quarantined, pgdbm_error *err)
{
    static const char sql[] =
        "UPDATE pgdbm.target SET attempts = attempts + 1, state = CASE WHEN attempts + 1 >= $3::int"
        " THEN 'quarantined' ELSE 'failed' END, error = $4, sqlstate = nullif($5, ''), failed_at = nullif($6, ''),"
        " started_at = pg_catalog.clock_timestamp() - $7::float8 * interval '1 ms',"
        " updated_at = pg_catalog.clock_timestamp(), duration_ms = $7::float8, build = $8"
        " WHERE module = $1 AND schema = $2 AND digest <> $9 AND state <> 'quarantined' RETURNING state";
    const pgdbm_fleet *fleet = worker->run->fleet;
    char text[sizeof cause->message + sizeof cause->detail + 4];
    char *state = NULL;
    snprintf(text, sizeof text, "%s%s%s%s", cause->message, cause->detail[0] != '\0' ? " (" : "", cause->detail,
             cause->detail[0] != '\0' ? ")" : "");
    pgdbm_status status =
        pgdbm_fetch_value_text_with(worker->session, &patient, sql,
                                    pgdbm_args(fleet->module, visit->schema, worker->run->how.max_attempts, text,
                                               cause->sqlstate, place->text, duration_ms, fleet->build, fleet->digest),
                                    &state, err);
    *quarantined = status == PGDBM_OK && state != NULL && strcmp(state, "quarantined") == 0;
    pgdbm_free(state);
    return status;
}

/* Gives the session back first: pgdbm_migrate takes one, and the pool may have no other. */
static enum pgdbm__tenant_result go_the_long_way(struct pgdbm__fleet_worker *worker, struct pgdbm__visit *visit,
                                                 bool *quarantined, pgdbm_error *err)
{
    struct pgdbm__fleet_place place = {{0}};
    int64_t began = pgdbm__now_ns();
    drop_session(worker, false);
    worker->n_visited++;
    pgdbm_status status =
        pgdbm__fleet_migrate_tenant(worker->run->fleet, visit->schema, worker->run->how.lock_timeout_ms, &place, err);
    if (status == PGDBM_OK)
        return PGDBM__TENANT_MIGRATED;
    if (status == PGDBM_ERR_SCHEMA && is_state(err, "3F000"))
        return PGDBM__TENANT_SKIPPED; /* as find_reason says of who is gone */
    enum pgdbm__tenant_result result = classify(worker, status, err, PGDBM__TENANT_FAILED);
    if (result == PGDBM__TENANT_FAILED && (is_busy(err) || status == PGDBM_ERR_TIMEOUT) &&
        visit->postponed < MOST_POSTPONED)
        result = PGDBM__TENANT_BUSY;
    if (result != PGDBM__TENANT_FAILED)
        return result;
    pgdbm_error second = {0};
    status = pgdbm__worker_session(worker, &second);
    if (status == PGDBM_OK)
        status = record_failure(worker, visit, &place, (double)(pgdbm__now_ns() - began) / (double)PGDBM__MS, err,
                                quarantined, &second);
    /* Who could not be recorded is still behind, and whoever is next finds out again. */
    return status == PGDBM_OK ? result : classify(worker, status, &second, result);
}

/* The short way. */

static pgdbm_status message_for(struct pgdbm__fleet_worker *worker, const char *digest,
                                struct pgdbm__fleet_message **found, pgdbm_error *err)
{
    const size_t n_messages = sizeof worker->messages / sizeof *worker->messages;
    for (size_t i = 0; i < n_messages; i++)
        if (worker->messages[i].digest != NULL && strcmp(worker->messages[i].digest, digest) == 0) {
            *found = &worker->messages[i];
            return PGDBM_OK;
        }
    *found = &worker->messages[worker->next_message];
    worker->next_message = (worker->next_message + 1) % n_messages;
    return pgdbm__fleet_message_make(worker->run->fleet, digest, worker->run->how.lock_timeout_ms, !worker->plain,
                                     *found, err);
}

/* From now on without prepared statements. */
static void become_plain(struct pgdbm__fleet_worker *worker)
{
    worker->plain = true;
    for (size_t i = 0; i < sizeof worker->messages / sizeof *worker->messages; i++)
        pgdbm__fleet_message_free(&worker->messages[i]);
    drop_session(worker, false);
}

/* Only where the server process that we were given at connect answers: behind a pooler, the next message may reach another
 * one, and somebody else this one. */
static pgdbm_status prepare(struct pgdbm__fleet_worker *worker, pgdbm_error *err)
{
    int pid = 0;
    pgdbm_status status = pgdbm_session_pid(worker->session, &pid, err);
    worker->sql.length = 0;
    pgdbm__buffer_format(&worker->sql, "SELECT 1 / (pg_catalog.pg_backend_pid() = %d)::int;\n", pid);
    pgdbm__fleet_append_prepare(worker->run->fleet, worker->run->how.lock_timeout_ms, &worker->sql);
    pgdbm__buffer_append(&worker->sql, "", 1);
    if (worker->sql.failed)
        return pgdbm__fail_nomem(err, "composing a tenant's migration");
    worker->prepared = true; /* or half of it */
    if (status == PGDBM_OK)
        status = pgdbm_execute_simple_with(worker->session, &patient, worker->sql.data, err);
    return status;
}

static pgdbm_status send_message(struct pgdbm__fleet_worker *worker, const struct pgdbm__fleet_message *message,
                                 const char *schema, pgdbm_error *err)
{
    worker->sql.length = 0;
    pgdbm__fleet_fill(message->text, message->bytes, schema, &worker->sql);
    pgdbm__buffer_append(&worker->sql, "", 1);
    if (worker->sql.failed)
        return pgdbm__fail_nomem(err, "composing a tenant's migration");
    worker->n_visited++;
    pgdbm_status status = pgdbm_execute_simple_with(worker->session, &patient, worker->sql.data, err);
    if (status != PGDBM_OK && !pgdbm__worker_is_lost(status, err) &&
        pgdbm_execute_simple(worker->session, "ROLLBACK", NULL) != PGDBM_OK)
        drop_session(worker, false);
    else if (message->dirties)
        drop_session(worker, false); /* the pool cleans it */
    return status;
}

/* The history's table is not there yet, or was made by the Python pgdbm. Never makes a schema: one that is not there was
 * dropped. Whether it succeeds, the next try shows. */
static enum pgdbm__tenant_result make_history(struct pgdbm__fleet_worker *worker, const char *schema, unsigned lacks)
{
    const pgdbm_fleet *fleet = worker->run->fleet;
    struct pgdbm__buffer template = {0};
    worker->sql.length = 0;
    pgdbm__history_create_sql(&fleet->history, lacks, &template);
    if (!template.failed)
        pgdbm__fleet_fill(template.data, template.length, schema, &worker->sql);
    pgdbm__buffer_append(&worker->sql, "", 1);
    if (!template.failed && !worker->sql.failed && worker->session != NULL)
        (void)pgdbm_execute_simple(worker->session, worker->sql.data, NULL);
    pgdbm__buffer_free(&template);
    return PGDBM__TENANT_AGAIN;
}

/* What became of a tenant whose claim was not to be had, or that seems not to be there. */
struct look {
    bool there, has_row, free; /* free: nobody holds the module's lock */
    bool quarantined;
    char *digest;
};

static pgdbm_status look_at_tenant(struct pgdbm__fleet_worker *worker, const char *schema, struct look *look,
                                   pgdbm_error *err)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $2), t.digest, t.state = 'quarantined',"
        " pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('pgdbm_migration_' || $1 || '_' || $2)::bigint)"
        " FROM (VALUES (1)) one LEFT JOIN pgdbm.target t ON t.module = $1 AND t.schema = $2";
    pgdbm_result *result = NULL;
    const char *digest = NULL;
    pgdbm_status status = pgdbm_fetch_one_with(worker->session, &patient, sql,
                                               pgdbm_args(worker->run->fleet->module, schema), &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 0, &look->there, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, 1, &digest, err);
    look->has_row = digest != NULL;
    if (status == PGDBM_OK && look->has_row)
        status = pgdbm_get_bool(result, 0, 2, &look->quarantined, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 3, &look->free, err);
    if (status == PGDBM_OK && look->has_row && (look->digest = pgdbm__strdup(digest)) == NULL)
        status = pgdbm__fail_nomem(err, "looking at a tenant");
    pgdbm_result_free(result);
    return status;
}

/* Whether the tenant's digest is another one than the visit says; the visit then has the new one. */
static bool has_moved(struct pgdbm__visit *visit, struct look *look)
{
    if (strcmp(look->digest, visit->digest) == 0)
        return false;
    pgdbm__free(visit->digest);
    visit->digest = look->digest;
    look->digest = NULL;
    return true;
}

static enum pgdbm__tenant_result judge_again(const struct pgdbm__fleet_worker *worker, const struct pgdbm__visit *visit)
{
    size_t pending = 0;
    return pgdbm__fleet_judge(worker->run->fleet, "behind", "", visit->digest, &pending) == PGDBM_TARGET_BEHIND
               ? PGDBM__TENANT_AGAIN
               : PGDBM__TENANT_SKIPPED;
}

/* The message did not get through. Sets *decided unless the tenant has to go the long way. */
static pgdbm_status find_reason(struct pgdbm__fleet_worker *worker, struct pgdbm__visit *visit, bool *decided,
                                enum pgdbm__tenant_result *result, pgdbm_error *err)
{
    struct look look = {0};
    const char *schema = visit->schema;
    pgdbm_status status = pgdbm__worker_session(worker, err);
    if (status == PGDBM_OK)
        status = look_at_tenant(worker, schema, &look, err);
    *decided = true;
    if (status != PGDBM_OK)
        ;
    else if (!look.there || !look.has_row || look.quarantined)
        *result = PGDBM__TENANT_SKIPPED;
    else if (has_moved(visit, &look))
        *result = judge_again(worker, visit);
    else if (!look.free && visit->postponed < MOST_POSTPONED)
        *result = PGDBM__TENANT_BUSY;
    else if (!look.free)
        *decided = false; /* pgdbm_migrate names who has the lock */
    else {
        /* Nobody is at it. Somebody may have been, without fleets: then the history says more than the row. */
        status = pgdbm__fleet_sync_schemas(worker->run->fleet, worker->session, &schema, 1, err);
        pgdbm__free(look.digest);
        look = (struct look){0};
        if (status == PGDBM_OK)
            status = look_at_tenant(worker, schema, &look, err);
        if (status == PGDBM_OK && look.has_row && has_moved(visit, &look))
            *result = judge_again(worker, visit);
        else
            *decided = false;
    }
    pgdbm__free(look.digest);
    return status;
}

/* A session, and the message that it can take. */
static pgdbm_status get_ready(struct pgdbm__fleet_worker *worker, const char *digest,
                              struct pgdbm__fleet_message **message, pgdbm_error *err)
{
    pgdbm_status status = message_for(worker, digest, message, err);
    if (status == PGDBM_OK)
        status = pgdbm__worker_session(worker, err);
    if (status != PGDBM_OK || !(*message)->prepared || worker->prepared)
        return status;
    status = prepare(worker, err);
    if (status == PGDBM_OK || pgdbm__worker_is_lost(status, err))
        return status;
    become_plain(worker);
    status = message_for(worker, digest, message, err);
    return status == PGDBM_OK ? pgdbm__worker_session(worker, err) : status;
}

enum pgdbm__tenant_result pgdbm__worker_migrate(struct pgdbm__fleet_worker *worker, struct pgdbm__visit *visit,
                                                bool *quarantined, pgdbm_error *err)
{
    struct pgdbm__fleet_message *message = NULL;
    enum pgdbm__tenant_result result = PGDBM__TENANT_FAILED;
    bool decided = false;
    *quarantined = false;
    pgdbm_status status = get_ready(worker, visit->digest, &message, err);
    if (status != PGDBM_OK)
        return classify(worker, status, err, PGDBM__TENANT_STOP);
    if (!message->unusual && visit->postponed < MOST_POSTPONED) {
        status = send_message(worker, message, visit->schema, err);
        if (status == PGDBM_OK)
            return PGDBM__TENANT_MIGRATED;
        result = classify(worker, status, err, is_busy(err) ? PGDBM__TENANT_BUSY : PGDBM__TENANT_FAILED);
        if (result != PGDBM__TENANT_FAILED)
            return result;
        if (message->prepared && is_state(err, "26000")) { /* somebody threw them away */
            become_plain(worker);
            return PGDBM__TENANT_AGAIN;
        }
        if (visit->again == 0 && is_state(err, "42P01"))
            return make_history(worker, visit->schema, PGDBM__LACKS_TABLE);
        if (visit->again == 0 && is_state(err, "42703"))
            return make_history(worker, visit->schema, PGDBM__LACKS_COLUMNS);
    }
    pgdbm_error second = {0};
    status = find_reason(worker, visit, &decided, &result, &second);
    if (status != PGDBM_OK) {
        *err = second;
        return classify(worker, status, &second, PGDBM__TENANT_STOP);
    }
    return decided ? result : go_the_long_way(worker, visit, quarantined, err);
}
