/* SPDX-License-Identifier: MIT */
/* Everything that a tenant needs, as one message. It is made once for all tenants that are at the same file, with holes where
 * the schema's name stands, so that a tenant costs a copy of the text and one round trip. No state, any thread. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/run.h"
#include "sql/effects.h"

#include <string.h>

/* The tenant's name, as a literal. */
#define SCHEMA "'" PGDBM__FLEET_HOLE "'"

/* Milliseconds since the transaction began. */
#define ELAPSED_MS                                                                                                     \
    "1000 * pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp())"

void pgdbm__fleet_fill(const char *text, size_t bytes, const char *schema, struct pgdbm__buffer *sql)
{
    const char *end = text + bytes;
    const char *hole;
    while (text < end && (hole = memchr(text, PGDBM__FLEET_HOLE[0], (size_t)(end - text))) != NULL) {
        pgdbm__buffer_append(sql, text, (size_t)(hole - text));
        pgdbm__buffer_text(sql, schema);
        text = hole + 1;
    }
    pgdbm__buffer_append(sql, text, (size_t)(end - text));
}

/* The transaction goes on only when the tenant is where the message begins and nobody else is at it; nobody is waited for.
 * Whether others than fleets have migrated it meanwhile is not asked: the history's unique constraint would tell, and asking
 * costs every tenant a tenth of its time. The limits of the server's or the pool's configuration are meant for the application;
 * they are set here, because a statement of their own would cost as much again. `schema` and `digest` are expressions. */
static void append_claim(const pgdbm_fleet *fleet, const char *schema, const char *digest, int lock_timeout_ms,
                         struct pgdbm__buffer *sql)
{
    pgdbm__buffer_format(
        sql,
        "SELECT 1 / count(*), pg_catalog.set_config('statement_timeout', '0', true),"
        " pg_catalog.set_config('lock_timeout', '%d', true) FROM (SELECT FROM pgdbm.target WHERE module = ",
        lock_timeout_ms);
    pgdbm__fleet_literal(sql, fleet->module);
    pgdbm__buffer_format(sql, " AND schema = %s AND digest = %s AND state <> 'quarantined'", schema, digest);
    pgdbm__buffer_text(sql, " AND pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('pgdbm_migration_' || ");
    pgdbm__fleet_literal(sql, fleet->module);
    pgdbm__buffer_format(sql, " || '_' || %s)::bigint) FOR UPDATE SKIP LOCKED) claimed;\n", schema);
}

/* For a file that has a limit of its own (below 0: none), and for the next one, which has the roll-out's again. */
static void append_limit(const struct pgdbm__migration_file *file, int lock_timeout_ms, struct pgdbm__buffer *sql)
{
    if (file->lock_timeout_ms != 0)
        pgdbm__buffer_format(sql, "SET LOCAL lock_timeout = %d;\n", lock_timeout_ms < 0 ? 0 : lock_timeout_ms);
}

static bool leaves_something(const struct pgdbm__script *script)
{
    for (size_t i = 0; i < script->n_statements; i++)
        if ((pgdbm__sql_effects(script->statements[i].sql, script->statements[i].bytes) & PGDBM__EFFECT_SESSION) != 0)
            return true;
    return false;
}

static pgdbm_status append_file(const pgdbm_fleet *fleet, const struct pgdbm__migration_file *file, int lock_timeout_ms,
                                struct pgdbm__fleet_message *message, struct pgdbm__buffer *sql, pgdbm_error *err)
{
    struct pgdbm__script script = {0};
    pgdbm_status status = pgdbm__script_prepare(&script, &file->up, PGDBM__FLEET_HOLE, err);
    message->n_files++;
    /* What a file requires of other modules, pgdbm_migrate looks for. */
    if (status == PGDBM_OK &&
        (file->no_transaction || file->n_requires > 0 || memchr(file->text, PGDBM__FLEET_HOLE[0], file->bytes) != NULL))
        message->unusual = true;
    else if (status == PGDBM_OK) {
        message->dirties = message->dirties || leaves_something(&script);
        append_limit(file, file->lock_timeout_ms, sql);
        for (size_t i = 0; i < script.n_statements; i++) {
            pgdbm__buffer_append(sql, script.statements[i].sql, script.statements[i].bytes);
            pgdbm__buffer_text(sql, ";\n");
        }
        pgdbm__fleet_append_history(fleet, file, sql);
        append_limit(file, lock_timeout_ms, sql);
    }
    pgdbm__script_free(&script);
    return status;
}

void pgdbm__fleet_append_history(const pgdbm_fleet *fleet, const struct pgdbm__migration_file *file,
                                 struct pgdbm__buffer *sql)
{
    struct pgdbm__history_entry entry = pgdbm__run_entry(file, -1);
    entry.execution_sql = "1 + " ELAPSED_MS;
    pgdbm__history_record_sql(&fleet->history, &entry, sql);
    pgdbm__buffer_text(sql, ";\n");
}

static void append_update(const pgdbm_fleet *fleet, const char *schema, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, "UPDATE pgdbm.target SET head = ");
    pgdbm__fleet_literal(sql, fleet->head);
    pgdbm__buffer_text(sql, ", digest = ");
    pgdbm__fleet_literal(sql, fleet->digest);
    pgdbm__buffer_text(sql,
                       ", state = 'current', attempts = 0, error = NULL, sqlstate = NULL, failed_at = NULL,"
                       " started_at = pg_catalog.transaction_timestamp(), updated_at = pg_catalog.clock_timestamp(),"
                       " duration_ms = " ELAPSED_MS ", build = ");
    if (fleet->build != NULL)
        pgdbm__fleet_literal(sql, fleet->build);
    else
        pgdbm__buffer_text(sql, "NULL");
    pgdbm__buffer_text(sql, " WHERE module = ");
    pgdbm__fleet_literal(sql, fleet->module);
    pgdbm__buffer_format(sql, " AND schema = %s;\n", schema);
}

void pgdbm__fleet_append_target(const pgdbm_fleet *fleet, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, "INSERT INTO pgdbm.target (module, schema, state) VALUES (");
    pgdbm__fleet_literal(sql, fleet->module);
    pgdbm__buffer_text(sql, ", " SCHEMA ", 'behind') ON CONFLICT DO NOTHING;\n");
    append_update(fleet, SCHEMA, sql);
}

void pgdbm__fleet_append_prepare(const pgdbm_fleet *fleet, int lock_timeout_ms, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, "PREPARE pgdbm_fleet_claim(text, text) AS ");
    append_claim(fleet, "$1", "$2", lock_timeout_ms, sql);
    pgdbm__buffer_text(sql, "PREPARE pgdbm_fleet_update(text) AS ");
    append_update(fleet, "$1", sql);
}

static bool is_pending(const pgdbm_fleet *fleet, size_t file, size_t covered, const char *digest)
{
    return file < fleet->set.n_versioned ? file >= covered : !pgdbm__fleet_has_run(digest, &fleet->set.files[file]);
}

static pgdbm_status append_files(const pgdbm_fleet *fleet, size_t covered, int lock_timeout_ms,
                                 struct pgdbm__fleet_message *message, struct pgdbm__buffer *sql, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && !message->unusual && i < fleet->set.n_files; i++)
        if (is_pending(fleet, i, covered, message->digest))
            status = append_file(fleet, &fleet->set.files[i], lock_timeout_ms, message, sql, err);
    /* What one file leaves in the session must not reach the next. */
    message->unusual = message->unusual || (message->dirties && message->n_files > 1);
    return status;
}

/* A session that has to be cleaned after each tenant would lose what is prepared. */
static void compose(const pgdbm_fleet *fleet, const struct pgdbm__buffer *files, int lock_timeout_ms, bool prepared,
                    struct pgdbm__fleet_message *message, struct pgdbm__buffer *sql)
{
    struct pgdbm__buffer digest = {0};
    pgdbm__fleet_literal(&digest, message->digest);
    pgdbm__buffer_append(&digest, "", 1);
    sql->failed = sql->failed || digest.failed || files->failed;
    message->prepared = prepared && !message->dirties;
    pgdbm__buffer_text(sql, PGDBM__FLEET_BEGIN);
    if (digest.failed)
        ;
    else if (message->prepared)
        pgdbm__buffer_format(sql, "EXECUTE pgdbm_fleet_claim(" SCHEMA ", %s);\n", digest.data);
    else
        append_claim(fleet, SCHEMA, digest.data, lock_timeout_ms, sql);
    pgdbm__buffer_append(sql, files->data, files->length);
    if (message->prepared)
        pgdbm__buffer_text(sql, "EXECUTE pgdbm_fleet_update(" SCHEMA ");\n");
    else
        append_update(fleet, SCHEMA, sql);
    pgdbm__buffer_text(sql, "COMMIT");
    pgdbm__buffer_free(&digest);
}

pgdbm_status pgdbm__fleet_message_make(const pgdbm_fleet *fleet, const char *digest, int lock_timeout_ms, bool prepared,
                                       struct pgdbm__fleet_message *message, pgdbm_error *err)
{
    struct pgdbm__buffer files = {0};
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = PGDBM_OK;
    size_t covered = 0;
    pgdbm__fleet_message_free(message);
    message->digest = pgdbm__strdup(digest);
    message->unusual = !pgdbm__fleet_covers(fleet, digest, &covered);
    if (message->digest == NULL)
        status = pgdbm__fail_nomem(err, "composing a tenant's migration");
    else if (!message->unusual)
        status = append_files(fleet, covered, lock_timeout_ms, message, &files, err);
    if (status == PGDBM_OK && !message->unusual) {
        compose(fleet, &files, lock_timeout_ms, prepared, message, &sql);
        message->bytes = sql.length;
        message->text = pgdbm__buffer_take(&sql);
        if (message->text == NULL)
            status = pgdbm__fail_nomem(err, "composing a tenant's migration");
    }
    pgdbm__buffer_free(&files);
    pgdbm__buffer_free(&sql);
    if (status != PGDBM_OK)
        pgdbm__fleet_message_free(message);
    return status;
}

void pgdbm__fleet_message_free(struct pgdbm__fleet_message *message)
{
    pgdbm__free(message->digest);
    pgdbm__free(message->text);
    *message = (struct pgdbm__fleet_message){0};
}
