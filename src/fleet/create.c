/* SPDX-License-Identifier: MIT */
/* New tenants. Everything is one message with a hole for the schema's name, made once a call; a tenant costs a copy of it and
 * one round trip, and is there with all it needs or not at all. Which statement of it failed is found out afterwards, in a
 * transaction that is rolled back. Any thread; workers are joined before the call returns. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"
#include "sql/effects.h"

#include <string.h>

/* A new schema has nobody who could wait for us, but its files may refer to tables that others use. */
enum { LOCK_TIMEOUT_MS = 2000, RECYCLE_AFTER = 300 };

static const pgdbm_call patient = {.timeout_ms = -1};

/* A statement of a file inside of the message. */
struct part {
    size_t offset, bytes;
    const char *filename;
    size_t line, column;
};

/* Zero-initialise. */
struct plan {
    struct pgdbm__buffer sql;   /* with holes */
    struct pgdbm__buffer parts; /* struct part */
};

static void plan_free(struct plan *plan)
{
    pgdbm__buffer_free(&plan->sql);
    pgdbm__buffer_free(&plan->parts);
}

static void append_part(struct plan *plan, const struct pgdbm__migration_file *file,
                        const struct pgdbm__script_statement *statement)
{
    struct part part = {plan->sql.length, 0, file->filename, statement->line, statement->column};
    if (statement->concurrently)
        pgdbm__script_append_blocking(statement, &plan->sql);
    else
        pgdbm__buffer_append(&plan->sql, statement->sql, statement->bytes);
    part.bytes = plan->sql.length - part.offset;
    pgdbm__buffer_append(&plan->parts, &part, sizeof part);
    pgdbm__buffer_text(&plan->sql, ";\n");
}

static pgdbm_status append_statements(struct plan *plan, const struct pgdbm__migration_file *file,
                                      const struct pgdbm__script *script, pgdbm_error *err)
{
    unsigned effects = 0;
    for (size_t i = 0; i < script->n_statements; i++) {
        const struct pgdbm__script_statement *statement = &script->statements[i];
        if (statement->outside != NULL && !statement->concurrently) {
            pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%s:%zu:%zu: %s cannot run in the transaction that makes a tenant",
                        file->filename, statement->line, statement->column, statement->outside);
            pgdbm__error_hint(err, "make an empty schema and let pgdbm_fleet_roll_out or pgdbm_migrate fill it");
            return PGDBM_ERR_MIGRATION;
        }
        effects |= pgdbm__sql_effects(statement->sql, statement->bytes);
        append_part(plan, file, statement);
    }
    /* What one file sets must not reach the next, as if each had a session of its own. */
    if ((effects & PGDBM__EFFECT_SESSION) != 0)
        pgdbm__buffer_text(&plan->sql, "RESET ROLE;\nRESET ALL;\nDISCARD TEMP;\n");
    return PGDBM_OK;
}

static pgdbm_status append_file(struct plan *plan, const pgdbm_fleet *fleet, const struct pgdbm__migration_file *file,
                                pgdbm_error *err)
{
    struct pgdbm__script script = {0};
    int lock_timeout_ms = file->lock_timeout_ms == 0 ? LOCK_TIMEOUT_MS : file->lock_timeout_ms;
    if (memchr(file->text, PGDBM__FLEET_HOLE[0], file->bytes) != NULL)
        return pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s has a byte 0x01 in it", file->filename,
                           fleet->module);
    pgdbm_status status = pgdbm__script_prepare(&script, &file->up, PGDBM__FLEET_HOLE, err);
    if (status == PGDBM_OK) {
        pgdbm__buffer_format(&plan->sql, "SET LOCAL statement_timeout = 0;\nSET LOCAL lock_timeout = %d;\n",
                             lock_timeout_ms < 0 ? 0 : lock_timeout_ms);
        status = append_statements(plan, file, &script, err);
    }
    if (status == PGDBM_OK)
        pgdbm__fleet_append_history(fleet, file, &plan->sql);
    pgdbm__script_free(&script);
    return status;
}

static pgdbm_status make_plan(const pgdbm_fleet *fleet, struct plan *plan, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    pgdbm__buffer_text(&plan->sql, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n");
    pgdbm__history_create_sql(&fleet->history, PGDBM__LACKS_SCHEMA | PGDBM__LACKS_TABLE, &plan->sql);
    pgdbm__buffer_text(&plan->sql, ";\n");
    for (size_t i = 0; status == PGDBM_OK && i < fleet->set.n_files; i++)
        status = append_file(plan, fleet, &fleet->set.files[i], err);
    pgdbm__fleet_append_target(fleet, &plan->sql);
    pgdbm__buffer_text(&plan->sql, "COMMIT");
    if (status == PGDBM_OK && (plan->sql.failed || plan->parts.failed))
        status = pgdbm__fail_nomem(err, "composing a tenant");
    return status;
}

/* Sends a piece of the plan. */
static pgdbm_status send(const struct plan *plan, size_t from, size_t to, const char *schema, pgdbm_db *session,
                         pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__fleet_fill(plan->sql.data + from, to - from, schema, &sql);
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed ? pgdbm__fail_nomem(err, "composing a tenant")
                                     : pgdbm_execute_simple_with(session, &patient, sql.data, err);
    pgdbm__buffer_free(&sql);
    return status;
}

/* The statement that fails when they are sent one by one: NULL when none does. */
static const struct part *find_part(const struct plan *plan, const char *schema, pgdbm_db *session, pgdbm_error *err)
{
    const struct part *parts = (const struct part *)(const void *)plan->parts.data;
    size_t n_parts = plan->parts.length / sizeof *parts;
    const struct part *found = NULL;
    size_t at = 0;
    for (size_t i = 0; found == NULL && i < n_parts; i++) {
        if (parts[i].offset > at && send(plan, at, parts[i].offset, schema, session, err) != PGDBM_OK)
            break;
        at = parts[i].offset + parts[i].bytes;
        if (send(plan, parts[i].offset, at, schema, session, err) != PGDBM_OK)
            found = &parts[i];
        at += 2; /* the semicolon and the line break */
    }
    (void)pgdbm_execute_simple(session, "ROLLBACK", NULL);
    return found;
}

static bool is_there(const pgdbm_error *err)
{
    return strcmp(err->sqlstate, "42P06") == 0 ||
           (strcmp(err->sqlstate, "23505") == 0 && strcmp(err->constraint, "pg_namespace_nspname_index") == 0);
}

/* Says where and to whom. */
static pgdbm_status explain(const struct plan *plan, const pgdbm_fleet *fleet, const char *schema, pgdbm_db *session,
                            pgdbm_error *cause)
{
    pgdbm_error second = {0};
    if (is_there(cause)) {
        pgdbm__fail(cause, PGDBM_ERR_SCHEMA, "schema %s of module %s is there already", schema, fleet->module);
        pgdbm__error_hint(cause, "pgdbm_fleet_attach uses a tenant that is there, and migrates it if need be");
        pgdbm__error_outcome(cause, PGDBM_OUTCOME_ROLLED_BACK);
        return cause->status;
    }
    if (cause->status == PGDBM_ERR_CONNECTION || cause->status == PGDBM_ERR_NOMEM || cause->sqlstate[0] == '\0')
        return cause->status;
    const struct part *part = find_part(plan, schema, session, &second);
    const pgdbm_error server = part != NULL ? second : *cause;
    if (part != NULL)
        pgdbm__fail(cause, PGDBM_ERR_MIGRATION, "%s:%zu:%zu: making tenant %s of module %s failed: %s", part->filename,
                    part->line, part->column, schema, fleet->module, server.message);
    else
        pgdbm__fail(cause, PGDBM_ERR_MIGRATION, "making tenant %s of module %s failed: %s", schema, fleet->module,
                    server.message);
    PGDBM__COPY_TEXT(cause->sqlstate, server.sqlstate, strlen(server.sqlstate));
    PGDBM__COPY_TEXT(cause->detail, server.detail, strlen(server.detail));
    PGDBM__COPY_TEXT(cause->hint, server.hint, strlen(server.hint));
    PGDBM__COPY_TEXT(cause->constraint, server.constraint, strlen(server.constraint));
    pgdbm__error_outcome(cause, PGDBM_OUTCOME_ROLLED_BACK);
    return PGDBM_ERR_MIGRATION;
}

/* One tenant. *passed: it was there already. */
static pgdbm_status create(pgdbm_fleet *fleet, const struct plan *plan, const char *schema, pgdbm_db *session,
                           bool *passed, pgdbm_error *cause)
{
    pgdbm_status status = send(plan, 0, plan->sql.length, schema, session, cause);
    *passed = status != PGDBM_OK && is_there(cause);
    if (status == PGDBM_OK)
        return status;
    (void)pgdbm_execute_simple(session, "ROLLBACK", NULL);
    return explain(plan, fleet, schema, session, cause);
}

/* What the workers of one call share; on its caller's stack. */
struct crew {
    pgdbm_fleet *fleet;
    struct plan plan;
    const char *const *schemas;
    size_t n_schemas;
    pthread_mutex_t mutex; /* guards the following */
    size_t next, n_created;
    pgdbm_status status; /* the first failure's; nothing is begun after it */
    pgdbm_error error;
};

static const char *take(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    const char *schema = crew->status == PGDBM_OK && crew->next < crew->n_schemas ? crew->schemas[crew->next++] : NULL;
    pthread_mutex_unlock(&crew->mutex);
    return schema;
}

static void give(struct crew *crew, pgdbm_status status, bool passed, const pgdbm_error *error)
{
    pthread_mutex_lock(&crew->mutex);
    if (status == PGDBM_OK)
        crew->n_created++;
    else if (!passed && crew->status == PGDBM_OK) {
        crew->status = status;
        crew->error = *error;
    }
    pthread_mutex_unlock(&crew->mutex);
}

/* The server's process keeps what it learned of each table that it made: the session is closed now and then. */
static void close_session(pgdbm_db **session, int n_visited)
{
    if (n_visited > 0)
        (void)pgdbm_retire(*session, NULL);
    pgdbm_close(*session);
    *session = NULL;
}

static void *work(void *argument)
{
    struct crew *crew = argument;
    pgdbm_db *session = NULL;
    int n_visited = 0;
    const char *schema;
    while ((schema = take(crew)) != NULL) {
        pgdbm_error error = {0};
        pgdbm_status status = PGDBM_OK;
        bool passed = false;
        if (session != NULL && n_visited >= RECYCLE_AFTER)
            close_session(&session, n_visited);
        if (session == NULL) {
            n_visited = 0;
            status = pgdbm_pin(crew->fleet->db, &session, &error);
        }
        if (status == PGDBM_OK) {
            n_visited++;
            status = create(crew->fleet, &crew->plan, schema, session, &passed, &error);
        }
        give(crew, status, passed, &error);
    }
    if (session != NULL)
        close_session(&session, n_visited);
    return NULL;
}

static pgdbm_status run_crew(struct crew *crew, int workers, pgdbm_error *err)
{
    size_t n_threads = 0;
    size_t most = (size_t)workers < crew->n_schemas ? (size_t)workers : crew->n_schemas;
    pthread_t *threads = pgdbm__alloc_zero(most, sizeof *threads);
    if (threads == NULL)
        return pgdbm__fail_nomem(err, "making tenants");
    /* The caller's thread is the first worker: fewer threads than wished for are no failure. */
    while (n_threads + 1 < most && pgdbm__thread_start(&threads[n_threads], NULL, work, crew) == 0)
        n_threads++;
    work(crew);
    for (size_t i = 0; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    pgdbm__free(threads);
    if (crew->status != PGDBM_OK && err != NULL)
        *err = crew->error;
    return crew->status;
}

pgdbm_status pgdbm_fleet_create_tenants(pgdbm_fleet *fleet, const char *const *schemas, size_t n_schemas, int workers,
                                        size_t *created, pgdbm_error *err)
{
    static const char function[] = "pgdbm_fleet_create_tenants";
    struct crew crew = {.fleet = fleet, .schemas = schemas, .n_schemas = n_schemas};
    if (created != NULL)
        *created = 0;
    if (fleet == NULL || (schemas == NULL && n_schemas > 0))
        return pgdbm__fail_null(err, function, fleet == NULL ? "fleet" : "schemas");
    if (workers < 0 || workers > PGDBM_FLEET_MOST_WORKERS) {
        pgdbm__fail(err, PGDBM_ERR_CONFIG, "%s: workers is out of range", function);
        pgdbm__error_hint(err, "give 1 to %d, or 0 for 4", PGDBM_FLEET_MOST_WORKERS);
        return PGDBM_ERR_CONFIG;
    }
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < n_schemas; i++)
        status = schemas[i] == NULL ? pgdbm__fail_null(err, function, "a schema of schemas")
                                    : pgdbm__fleet_check_schema(fleet, schemas[i], err);
    if (status != PGDBM_OK || n_schemas == 0)
        return status;
    if (pthread_mutex_init(&crew.mutex, NULL) != 0)
        return pgdbm__fail_nomem(err, "making tenants");
    status = make_plan(fleet, &crew.plan, err);
    if (status == PGDBM_OK)
        status = run_crew(&crew, workers == 0 ? 4 : workers, err);
    if (created != NULL)
        *created = crew.n_created;
    pthread_mutex_destroy(&crew.mutex);
    plan_free(&crew.plan);
    return status;
}

pgdbm_status pgdbm_fleet_create_tenant(pgdbm_fleet *fleet, const char *schema, pgdbm_error *err)
{
    struct plan plan = {0};
    pgdbm_error cause = {0};
    pgdbm_db *session = NULL;
    bool passed = false;
    if (fleet == NULL || schema == NULL)
        return pgdbm__fail_null(err, "pgdbm_fleet_create_tenant", fleet == NULL ? "fleet" : "schema");
    pgdbm_status status = pgdbm__fleet_check_schema(fleet, schema, err);
    if (status != PGDBM_OK)
        return status;
    status = make_plan(fleet, &plan, &cause);
    if (status == PGDBM_OK)
        status = pgdbm_pin(fleet->db, &session, &cause);
    if (status == PGDBM_OK)
        status = create(fleet, &plan, schema, session, &passed, &cause);
    pgdbm_close(session);
    plan_free(&plan);
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    return status;
}
