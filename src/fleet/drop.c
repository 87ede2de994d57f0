/* SPDX-License-Identifier: MIT */
/* The end of a tenant. Any thread. */
#include "fleet/fleet.h"

#include "base/error.h"
#include "migrate/blockers.h"

#include <pgdbm/memory.h>
#include <string.h>

enum { LOCK_TIMEOUT_MS = 2000 };

static const pgdbm_call patient = {.timeout_ms = -1};

/* The row first, as who migrates does it: the two then wait for each other at one place, and not across. Only what has a row
 * is dropped, because a schema that is nobody's tenant is most likely a mistake. */
static void compose(const pgdbm_fleet *fleet, const char *schema, int lock_timeout_ms, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_format(sql,
                         "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\nSET LOCAL statement_timeout = 0;\n"
                         "SET LOCAL lock_timeout = %d;\n"
                         "SELECT 1 / count(*) FROM (SELECT FROM pgdbm.target WHERE module = ",
                         lock_timeout_ms == 0  ? LOCK_TIMEOUT_MS
                         : lock_timeout_ms < 0 ? 0
                                               : lock_timeout_ms);
    pgdbm__fleet_literal(sql, fleet->module);
    pgdbm__buffer_text(sql, " AND schema = ");
    pgdbm__fleet_literal(sql, schema);
    pgdbm__buffer_text(sql, " FOR UPDATE) held;\nDROP SCHEMA IF EXISTS ");
    pgdbm__quote_name(sql, schema);
    /* The rows of other modules that lived in it too. */
    pgdbm__buffer_text(sql, " CASCADE;\nDELETE FROM pgdbm.target WHERE schema = ");
    pgdbm__fleet_literal(sql, schema);
    pgdbm__buffer_text(sql, ";\nCOMMIT");
    pgdbm__buffer_append(sql, "", 1);
}

static void name_holders(pgdbm_db *session, const char *schema, pgdbm_error *err)
{
    static const char sql[] =
        "SELECT pg_catalog.string_agg('held by ' || " PGDBM__PROCESS_SQL ", E'\\n') FROM (SELECT DISTINCT l.pid"
        " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE l.granted AND n.nspname = $1"
        " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())"
        " AND l.pid <> pg_catalog.pg_backend_pid() ORDER BY l.pid LIMIT 3) p"
        " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid";
    char *holders = NULL;
    if (pgdbm_fetch_value_text(session, sql, pgdbm_args(schema), &holders, NULL) == PGDBM_OK && holders != NULL)
        pgdbm__error_detail(err, "%s", holders);
    pgdbm_free(holders);
}

static pgdbm_status explain(const pgdbm_fleet *fleet, const char *schema, pgdbm_db *session, pgdbm_error *cause)
{
    pgdbm_status status = cause->status;
    if (strcmp(cause->sqlstate, "22012") == 0) {
        status = pgdbm__fail(cause, PGDBM_ERR_ARGUMENT, "module %s has no tenant %s", fleet->module, schema);
        pgdbm__error_hint(cause, "pgdbm_fleet_sync makes rows for tenants that are new; pgdbm_fleet_status lists them");
    } else if (strcmp(cause->sqlstate, "55P03") == 0 || strcmp(cause->sqlstate, "40P01") == 0) {
        char sqlstate[sizeof cause->sqlstate];
        memcpy(sqlstate, cause->sqlstate, sizeof sqlstate);
        status = pgdbm__fail(cause, PGDBM_ERR_TIMEOUT, "tenant %s of module %s is in use and was not dropped", schema,
                             fleet->module);
        memcpy(cause->sqlstate, sqlstate, sizeof sqlstate);
        cause->retryable = true;
        pgdbm__error_outcome(cause, PGDBM_OUTCOME_ROLLED_BACK);
        pgdbm__error_hint(cause, "try again when its transactions have ended, or end them with pg_terminate_backend");
        name_holders(session, schema, cause);
    }
    return status;
}

pgdbm_status pgdbm_fleet_drop_tenant(pgdbm_fleet *fleet, const char *schema, int lock_timeout_ms, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm_db *session = NULL;
    pgdbm_error cause = {0};
    if (fleet == NULL || schema == NULL)
        return pgdbm__fail_null(err, "pgdbm_fleet_drop_tenant", fleet == NULL ? "fleet" : "schema");
    pgdbm_status status = pgdbm__fleet_check_schema(fleet, schema, err);
    if (status != PGDBM_OK)
        return status;
    compose(fleet, schema, lock_timeout_ms, &sql);
    status = sql.failed ? pgdbm__fail_nomem(&cause, "dropping a tenant") : pgdbm_pin(fleet->db, &session, &cause);
    if (status == PGDBM_OK) {
        pgdbm__fleet_forget(fleet, schema);
        status = pgdbm_execute_simple_with(session, &patient, sql.data, &cause);
        if (status != PGDBM_OK) {
            (void)pgdbm_execute_simple(session, "ROLLBACK", NULL);
            status = explain(fleet, schema, session, &cause);
        }
    }
    pgdbm_close(session);
    pgdbm__buffer_free(&sql);
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    return status;
}
