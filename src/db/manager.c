/* SPDX-License-Identifier: MIT */
/* Managers: making, ending, and asking them about themselves. */
#include "db/manager.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "sql/template.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct pgdbm_db) <= 256, "a manager costs next to nothing: thousands of tenants have one each");

_Static_assert(sizeof(struct pgdbm_db) + sizeof(struct pgdbm__account) <= 256, "the same, its share included");

pgdbm_db *pgdbm__db_new(struct pgdbm_pool *pool, const char *schema, const pgdbm_share *share)
{
    pgdbm_db *db = pgdbm__alloc_zero(1, sizeof *db);
    if (db == NULL)
        return NULL;
    db->account = pgdbm__account_new(share != NULL ? share->weight : 0, share != NULL ? share->max_in_flight : 0);
    if (db->account == NULL) {
        pgdbm__free(db);
        return NULL;
    }
    db->pool = pgdbm__pool_ref(pool);
    atomic_fetch_add(&pool->n_managers, 1);
    if (schema != NULL) {
        db->has_schema = true;
        PGDBM__COPY_TEXT(db->schema, schema, strlen(schema));
    }
    return db;
}

pgdbm_db *pgdbm__db_new_on(const pgdbm_db *db, enum pgdbm__db_kind kind, struct pgdbm__spot spot)
{
    pgdbm_db *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->pool = pgdbm__pool_ref(db->pool);
    made->account = pgdbm__account_ref(db->account);
    made->has_schema = db->has_schema;
    memcpy(made->schema, db->schema, sizeof made->schema);
    made->kind = kind;
    made->spot = spot;
    made->depth = kind == PGDBM__DB_SAVEPOINT ? db->depth + 1 : 0;
    return made;
}

void pgdbm__db_free(pgdbm_db *db)
{
    struct pgdbm_pool *pool = db->pool;
    if (db->kind == PGDBM__DB_MANAGER || db->kind == PGDBM__DB_ENCLOSED)
        atomic_fetch_sub(&pool->n_managers, 1);
    pgdbm__account_unref(db->account);
    pgdbm__free(db);
    pgdbm__pool_unref(pool);
}

void pgdbm__db_release(pgdbm_db *db)
{
    const struct pgdbm__need need = {.lease = true, .account = db->account};
    pgdbm__pool_release(db->pool, db->member, &need);
}

pgdbm_status pgdbm_attach_sized(pgdbm_pool *pool, const char *schema, const pgdbm_share *share, size_t share_bytes,
                                pgdbm_db **db, pgdbm_error *err)
{
    char folded[64];
    pgdbm_share chosen = {0};
    if (share != NULL)
        memcpy(&chosen, share, share_bytes < sizeof chosen ? share_bytes : sizeof chosen);
    if (pool == NULL || db == NULL)
        return pgdbm__fail_null(err, "pgdbm_attach", pool == NULL ? "pool" : "db");
    *db = NULL;
    if (schema != NULL) {
        pgdbm_status status = pgdbm__identifier_fold(schema, strlen(schema), "schema", folded, err);
        if (status != PGDBM_OK)
            return status;
    }
    if (chosen.weight > 1000)
        return pgdbm__fail(err, PGDBM_ERR_CONFIG, "weight is %u; it can be 1 to 1000 (0: 1)", chosen.weight);
    pgdbm_status usable = pgdbm__pool_ours(pool, err);
    if (usable != PGDBM_OK)
        return usable;
    if (pgdbm__pool_is_closed(pool))
        return pgdbm__fail(err, PGDBM_ERR_POOL, "the pool is closed");
    *db = pgdbm__db_new(pool, schema != NULL ? folded : NULL, &chosen);
    if (*db == NULL)
        return pgdbm__fail_nomem(err, "attaching a manager");
    pgdbm__db_enter(*db);
    return PGDBM_OK;
}

pgdbm_status pgdbm_open_at(const char *file, int line, const pgdbm_config *config, size_t config_bytes, pgdbm_db **db,
                           pgdbm_error *err)
{
    if (config == NULL || db == NULL)
        return pgdbm__fail_null(err, "pgdbm_open", config == NULL ? "config" : "db");
    *db = NULL;
    char folded[64];
    const char *schema = config_bytes > offsetof(pgdbm_config, schema) ? config->schema : NULL;
    pgdbm_status status = PGDBM_OK;
    if (schema != NULL)
        status = pgdbm__identifier_fold(schema, strlen(schema), "schema", folded, err);
    pgdbm_pool *pool = NULL;
    if (status == PGDBM_OK)
        status = pgdbm_pool_open_at(file, line, config, config_bytes, &pool, err);
    if (status == PGDBM_OK)
        status = pgdbm_attach(pool, schema, db, err);
    if (status == PGDBM_OK)
        (*db)->owns_pool = true;
    else
        pgdbm_pool_close(pool);
    return status;
}

void pgdbm_close(pgdbm_db *db)
{
    if (db == NULL || pgdbm__pool_ours(db->pool, NULL) != PGDBM_OK)
        return; /* a forked child leaves its parent's things alone */
    if (db->kind == PGDBM__DB_TRANSACTION || db->kind == PGDBM__DB_SAVEPOINT) {
        (void)pgdbm_rollback(db, NULL);
        return;
    }
    struct pgdbm_pool *pool = db->owns_pool ? db->pool : NULL;
    if (db->kind == PGDBM__DB_PINNED) {
        pgdbm__db_detach(db);
        pgdbm__db_release(db);
    }
    if (pgdbm__db_is_enclosed(db))
        pgdbm__db_leave(db);
    if (pool != NULL)
        pgdbm_pool_close(pool);
    pgdbm__db_free(db);
}

pgdbm_status pgdbm_db_stats_read_sized(pgdbm_db *db, pgdbm_db_stats *stats, size_t stats_bytes, pgdbm_error *err)
{
    if (db == NULL || stats == NULL)
        return pgdbm__fail_null(err, "pgdbm_db_stats_read", db == NULL ? "db" : "stats");
    pthread_mutex_lock(&db->pool->lock);
    const struct pgdbm__account *account = db->account;
    const pgdbm_db_stats now = {
        .in_flight = account->in_flight,
        .waiting = account->queued,
        .granted = account->granted,
        .waited = account->waited,
        .wait_us = account->wait_us,
        .longest_wait_us = account->longest_wait_us,
    };
    pthread_mutex_unlock(&db->pool->lock);
    memset(stats, 0, stats_bytes);
    memcpy(stats, &now, stats_bytes < sizeof now ? stats_bytes : sizeof now);
    return PGDBM_OK;
}

const char *pgdbm_schema(const pgdbm_db *db)
{
    return db != NULL && db->has_schema ? db->schema : NULL;
}

pgdbm_pool *pgdbm_pool_of(const pgdbm_db *db)
{
    return db != NULL ? db->pool : NULL;
}

pgdbm_status pgdbm_observe(pgdbm_db *db, pgdbm_observe_callback callback, void *context, pgdbm_observer **observer,
                           pgdbm_error *err)
{
    if (db == NULL || callback == NULL || observer == NULL)
        return pgdbm__fail_null(err, "pgdbm_observe", db == NULL ? "db" : callback == NULL ? "callback" : "observer");
    *observer = NULL;
    return pgdbm__observe(db->pool, callback, context, observer, err);
}

pgdbm_status pgdbm_expand(pgdbm_db *db, const char *sql, char **text, pgdbm_error *err)
{
    if (db == NULL || sql == NULL || text == NULL)
        return pgdbm__fail_null(err, "pgdbm_expand", db == NULL ? "db" : sql == NULL ? "sql" : "text");
    *text = NULL;
    struct pgdbm__statement *statement = NULL;
    pgdbm_status status = pgdbm__statements_find(db->pool, pgdbm_schema(db), sql, &statement, err);
    if (status != PGDBM_OK)
        return status;
    *text = pgdbm__memdup(statement->text, statement->text_bytes);
    pgdbm__statement_unref(statement);
    return *text != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "expanding a template");
}

pgdbm_status pgdbm__db_table(const pgdbm_db *db, const char *table, struct pgdbm__table *found, pgdbm_error *err)
{
    *found = (struct pgdbm__table){0};
    const char *dot = strchr(table, '.');
    const char *bare = dot != NULL ? dot + 1 : table;
    pgdbm_status status = PGDBM_OK;
    if (dot != NULL)
        status = pgdbm__identifier_fold(table, (size_t)(dot - table), "schema", found->schema, err);
    else if (pgdbm_schema(db) != NULL)
        memcpy(found->schema, db->schema, sizeof found->schema);
    if (status == PGDBM_OK)
        status = pgdbm__identifier_fold(bare, strlen(bare), "table", found->name, err);
    const char *between = found->schema[0] != '\0' ? "\".\"" : "";
    snprintf(found->quoted, sizeof found->quoted, "\"%s%s%s\"", found->schema, between, found->name);
    return status;
}

pgdbm_status pgdbm__db_usable(pgdbm_db *db, pgdbm_error *err)
{
    if (db->member == NULL)
        return PGDBM_OK;
    pthread_mutex_lock(&db->pool->lock);
    bool ended = db->ended;
    if (pgdbm__db_is_enclosed(db) && !ended) { /* what is open on the session may have been begun on another manager */
        db = db->outer;
        ended = db->ended;
    }
    struct pgdbm__spot inner = db->inner != NULL ? db->inner->spot : (struct pgdbm__spot){0};
    bool has_inner = db->inner != NULL;
    bool copying = !ended && db->member->copying; /* the session may be gone with the one around it */
    pthread_mutex_unlock(&db->pool->lock);
    if (ended) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "this transaction has ended with the one around it");
        pgdbm__error_hint(err, "release the handle with pgdbm_close");
        return PGDBM_ERR_TRANSACTION;
    }
    if (copying) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "a COPY is under way on this handle's session");
        pgdbm__error_hint(err, "end it first, or use another manager");
        return PGDBM_ERR_TRANSACTION;
    }
    if (has_inner) {
        pgdbm__fail(err, PGDBM_ERR_TRANSACTION, "a transaction begun on this handle at %.200s:%d is still open",
                    inner.file != NULL ? inner.file : "?", inner.line);
        pgdbm__error_hint(err, "use the inner handle, or commit or roll it back first");
        return PGDBM_ERR_TRANSACTION;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__db_check_params(const pgdbm_params *params, const char *function, pgdbm_error *err)
{
    if (params->count > 0 && params->values == NULL)
        return pgdbm__fail_null(err, function, "params.values");
    size_t too_large = params->count <= 65535 ? pgdbm__params_too_large(params) : 0;
    if (params->count > 65535) {
        pgdbm__fail(err, PGDBM_ERR_TYPE, "%zu parameters; a statement can have 65535", params->count);
        pgdbm__error_hint(err, "pass arrays (unnest), or use pgdbm_execute_many");
        return PGDBM_ERR_TYPE;
    }
    if (too_large > 0) { /* before anything is copied */
        pgdbm__fail(err, PGDBM_ERR_TYPE, "parameter $%zu has %zu bytes; PostgreSQL's limit is 1 GiB", too_large,
                    params->values[too_large - 1].bytes);
        pgdbm__error_hint(err, "split the value, or keep it outside of the database");
        return PGDBM_ERR_TYPE;
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__db_prepare_run(pgdbm_db *db, const char *function, const pgdbm_call *call, size_t call_bytes,
                                   const char *sql, pgdbm_params params, struct pgdbm__run *run, pgdbm_error *err)
{
    if (db == NULL || sql == NULL)
        return pgdbm__fail_null(err, function, db == NULL ? "db" : "sql");
    pgdbm_status status = pgdbm__db_check_params(&params, function, err);
    if (status == PGDBM_OK)
        status = pgdbm__pool_ours(db->pool, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_usable(db, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm_call options = {0};
    if (call != NULL)
        memcpy(&options, call, call_bytes < sizeof options ? call_bytes : sizeof options);
    const pgdbm_config *config = &db->pool->config->values;
    int64_t now = pgdbm__now_ns();
    int timeout_ms = options.timeout_ms != 0 ? options.timeout_ms : config->command_timeout_ms;
    int64_t deadline = timeout_ms > 0 ? now + timeout_ms * PGDBM__MS : PGDBM__NEVER;
    int64_t acquire = config->acquire_timeout_ms > 0 ? now + config->acquire_timeout_ms * PGDBM__MS : PGDBM__NEVER;
    *run = (struct pgdbm__run){
        .pool = db->pool,
        .account = db->account,
        .now = now,
        .lease = db->member,
        .raw = db->kind == PGDBM__DB_PINNED,
        .schema = pgdbm_schema(db),
        .sql = sql,
        .spot = db->spot,
        .idempotent = options.idempotent,
        .name = options.name,
        .deadline = deadline,
        .acquire_deadline = acquire < deadline ? acquire : deadline,
    };
    return PGDBM_OK;
}
