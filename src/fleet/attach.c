/* SPDX-License-Identifier: MIT */
/* A tenant at its first use. Which ones are current is remembered in the fleet, sorted, under its mutex, so that the second use
 * sends nothing. Any thread; nothing is sent under the mutex. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* Where the schema stands among those that are known, or would stand. */
static size_t find(const pgdbm_fleet *fleet, const char *schema, bool *found)
{
    size_t low = 0;
    size_t high = fleet->n_attached;
    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(fleet->attached[middle], schema);
        *found = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return *found ? high : low;
}

static bool is_known(pgdbm_fleet *fleet, const char *schema)
{
    bool found = false;
    pthread_mutex_lock(&fleet->mutex);
    (void)find(fleet, schema, &found);
    pthread_mutex_unlock(&fleet->mutex);
    return found;
}

/* Without memory it is asked for again: that is no error. */
static void remember(pgdbm_fleet *fleet, const char *schema)
{
    bool found = false;
    char *copy = pgdbm__strdup(schema);
    pthread_mutex_lock(&fleet->mutex);
    size_t at = find(fleet, schema, &found);
    if (copy != NULL && !found && fleet->n_attached == fleet->attached_capacity) {
        size_t capacity = fleet->attached_capacity == 0 ? 64 : 2 * fleet->attached_capacity;
        char **larger = pgdbm__realloc(fleet->attached, capacity * sizeof *larger);
        if (larger != NULL) {
            fleet->attached = larger;
            fleet->attached_capacity = capacity;
        }
    }
    if (copy != NULL && !found && fleet->n_attached < fleet->attached_capacity) {
        memmove(fleet->attached + at + 1, fleet->attached + at, (fleet->n_attached - at) * sizeof *fleet->attached);
        fleet->attached[at] = copy;
        fleet->n_attached++;
        copy = NULL;
    }
    pthread_mutex_unlock(&fleet->mutex);
    pgdbm__free(copy);
}

void pgdbm__fleet_forget(pgdbm_fleet *fleet, const char *schema)
{
    bool found = false;
    pthread_mutex_lock(&fleet->mutex);
    size_t at = find(fleet, schema, &found);
    if (found) {
        pgdbm__free(fleet->attached[at]);
        fleet->n_attached--;
        memmove(fleet->attached + at, fleet->attached + at + 1, (fleet->n_attached - at) * sizeof *fleet->attached);
    }
    pthread_mutex_unlock(&fleet->mutex);
}

static pgdbm_status refuse(const pgdbm_fleet *fleet, const char *schema, pgdbm_target_state state, const char *why,
                           pgdbm_error *err)
{
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "tenant %s of module %s is %s%s%s", schema, fleet->module,
                pgdbm_target_state_name(state), why != NULL ? ": " : "", why != NULL ? why : "");
    pgdbm__error_hint(err, "%s",
                      state == PGDBM_TARGET_QUARANTINED
                          ? "mend it, then call pgdbm_fleet_release"
                          : "pgdbm_migrate_verify on its schema names the file that differs");
    return PGDBM_ERR_MIGRATION;
}

/* What its row says; *ready when it can be used as it is. */
static pgdbm_status look(pgdbm_fleet *fleet, const char *schema, bool *ready, bool *current, pgdbm_error *err)
{
    static const char sql[] = "SELECT n.oid IS NOT NULL, t.state, t.head, t.digest, t.error FROM (VALUES (1)) one"
                              " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $2"
                              " LEFT JOIN pgdbm.target t ON t.module = $1 AND t.schema = $2";
    enum { THERE, STATE, HEAD, DIGEST, ERROR, COLUMNS };
    pgdbm_result *result = NULL;
    const char *texts[COLUMNS] = {NULL};
    bool there = false;
    pgdbm_status status = pgdbm_fetch_one(fleet->db, sql, pgdbm_args(fleet->module, schema), &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, THERE, &there, err);
    for (size_t i = STATE; status == PGDBM_OK && i < COLUMNS; i++)
        status = pgdbm_get_text(result, 0, i, &texts[i], err);
    if (status == PGDBM_OK && !there) {
        status = pgdbm__fail(err, PGDBM_ERR_SCHEMA, "module %s has no tenant %s", fleet->module, schema);
        pgdbm__error_hint(err, "pgdbm_fleet_create_tenant makes a new one");
    } else if (status == PGDBM_OK && texts[STATE] != NULL) {
        size_t pending = 0;
        pgdbm_target_state state = pgdbm__fleet_judge(fleet, texts[STATE], texts[HEAD], texts[DIGEST], &pending);
        *current = state == PGDBM_TARGET_CURRENT;
        *ready = *current || state == PGDBM_TARGET_AHEAD;
        if (state == PGDBM_TARGET_QUARANTINED || state == PGDBM_TARGET_DIVERGED)
            status = refuse(fleet, schema, state, texts[ERROR], err);
    }
    pgdbm_result_free(result);
    return status;
}

/* Whoever comes at the same time waits for the module's lock and finds nothing to do. */
static pgdbm_status make_ready(pgdbm_fleet *fleet, const char *schema, pgdbm_error *err)
{
    bool ready = false;
    bool current = false;
    pgdbm_status status = look(fleet, schema, &ready, &current, err);
    if (status == PGDBM_OK && !ready) {
        status = pgdbm__fleet_migrate_tenant(fleet, schema, 0, NULL, err);
        current = status == PGDBM_OK;
    }
    if (current)
        remember(fleet, schema);
    return status;
}

pgdbm_status pgdbm_fleet_attach(pgdbm_fleet *fleet, const char *schema, pgdbm_db **db, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (db != NULL)
        *db = NULL;
    if (fleet == NULL || schema == NULL || db == NULL)
        return pgdbm__fail_null(err, "pgdbm_fleet_attach", fleet == NULL ? "fleet" : schema == NULL ? "schema" : "db");
    if (!is_known(fleet, schema)) {
        status = pgdbm__fleet_check_schema(fleet, schema, err);
        if (status == PGDBM_OK)
            status = make_ready(fleet, schema, err);
    }
    return status == PGDBM_OK ? pgdbm_attach(fleet->pool, schema, db, err) : status;
}
