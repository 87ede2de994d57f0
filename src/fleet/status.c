/* SPDX-License-Identifier: MIT */
/* Who is where, in one query. The rows say what is applied; what that means is judged beside this program's files. A report
 * outlives its fleet. Any thread. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"

#include <string.h>

/* A report and what its texts are borrowed from. */
struct report {
    pgdbm_fleet_report shown; /* first: it is what the caller has */
    pgdbm_result *result;
    char *module, *head;
};

/* The columns of the query. */
enum { SCHEMA, THERE, STATE, HEAD, DIGEST, ATTEMPTS, ERROR, FAILED_AT, SQLSTATE, UPDATED_AT, DURATION, MEMBER, COUNT };

/* Tenants that are current stay on the server, unless all are wanted: in a fleet that is up to date, one row travels. It is the
 * one without a schema, and counts the selection: whoever of it is not listed is current. */
static void compose(const pgdbm_fleet *fleet, bool all, struct pgdbm__buffer *sql)
{
    pgdbm__buffer_text(sql, "WITH s AS (");
    pgdbm__fleet_append_selection(fleet, sql);
    pgdbm__buffer_text(sql,
                       ") SELECT coalesce(s.schema, t.schema) COLLATE \"C\", coalesce(s.there, false), t.state, t.head,"
                       " t.digest, t.attempts, t.error, t.failed_at, t.sqlstate,"
                       " pg_catalog.to_char(t.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || '+00',"
                       " t.duration_ms, s.schema IS NOT NULL, 0::bigint"
                       " FROM s FULL JOIN (SELECT * FROM pgdbm.target WHERE module = ");
    pgdbm__fleet_literal(sql, fleet->module);
    pgdbm__buffer_text(sql, ") t ON t.schema = s.schema WHERE (s.schema IS NOT NULL OR NOT EXISTS"
                            " (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = t.schema))");
    if (!all) {
        pgdbm__buffer_text(sql, " AND (s.there AND t.state <> 'quarantined' AND t.digest = ");
        pgdbm__fleet_literal(sql, fleet->digest);
        pgdbm__buffer_text(sql, ") IS NOT TRUE");
    }
    pgdbm__buffer_text(sql,
                       " UNION ALL SELECT NULL, true, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 0, false, count(*)"
                       " FROM s ORDER BY 1");
    pgdbm__buffer_append(sql, "", 1);
}

/* A tenant without a row, or with one that its schema has outlived. */
static void read_unknown(const pgdbm_fleet *fleet, bool there, bool has_row, pgdbm_target *target)
{
    target->state = PGDBM_TARGET_UNKNOWN;
    target->head = target->head != NULL ? target->head : "";
    if (!there)
        target->error = has_row ? "its schema is gone: pgdbm_fleet_sync removes the row" : "there is no such schema";
    else if (pgdbm__fleet_check_schema(fleet, target->schema, NULL) != PGDBM_OK)
        target->error = "the schema's name is none that pgdbm can migrate";
}

static pgdbm_status read_target(const pgdbm_fleet *fleet, const pgdbm_result *result, size_t row, pgdbm_target *target,
                                pgdbm_error *err)
{
    const char *texts[UPDATED_AT + 1] = {NULL};
    static const int columns[] = {SCHEMA, STATE, HEAD, DIGEST, ERROR, FAILED_AT, SQLSTATE, UPDATED_AT};
    bool there = false;
    int32_t attempts = 0;
    pgdbm_status status = pgdbm_get_bool(result, row, THERE, &there, err);
    for (size_t i = 0; status == PGDBM_OK && i < sizeof columns / sizeof *columns; i++)
        status = pgdbm_get_text(result, row, (size_t)columns[i], &texts[columns[i]], err);
    target->schema = texts[SCHEMA];
    target->head = texts[HEAD];
    target->error = texts[ERROR];
    target->failed_at = texts[FAILED_AT];
    target->updated_at = texts[UPDATED_AT];
    if (texts[SQLSTATE] != NULL)
        PGDBM__COPY_TEXT(target->sqlstate, texts[SQLSTATE], strlen(texts[SQLSTATE]));
    bool has_row = texts[STATE] != NULL;
    if (status == PGDBM_OK && has_row)
        status = pgdbm_get_int32(result, row, ATTEMPTS, &attempts, err);
    if (status == PGDBM_OK && has_row)
        status = pgdbm_get_double(result, row, DURATION, &target->duration_ms, err);
    target->attempts = attempts;
    if (status == PGDBM_OK && there && has_row)
        target->state = pgdbm__fleet_judge(fleet, texts[STATE], texts[HEAD], texts[DIGEST], &target->n_pending);
    else if (status == PGDBM_OK)
        read_unknown(fleet, there, has_row, target);
    return status;
}

static void add_target(pgdbm_fleet_report *shown, bool all, const pgdbm_target *target)
{
    shown->counts[target->state]++;
    shown->n_all++;
    if (all || target->state != PGDBM_TARGET_CURRENT)
        shown->targets[shown->n_targets++] = *target;
}

static pgdbm_status read_rows(const pgdbm_fleet *fleet, bool all, struct report *report, pgdbm_error *err)
{
    size_t n_rows = pgdbm_result_rows(report->result);
    int64_t n_current = 0; /* and not listed */
    pgdbm_status status = PGDBM_OK;
    pgdbm_fleet_report *shown = &report->shown;
    shown->targets = pgdbm__alloc_zero(n_rows, sizeof *shown->targets);
    if (shown->targets == NULL)
        return pgdbm__fail_nomem(err, "reading a fleet's state");
    for (size_t i = 0; status == PGDBM_OK && i < n_rows; i++) {
        pgdbm_target target = {0};
        int64_t count = 0;
        bool counts = false;
        bool member = false;
        status = pgdbm_is_null(report->result, i, SCHEMA, &counts, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_bool(report->result, i, MEMBER, &member, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_int64(report->result, i, COUNT, &count, err);
        n_current += count - (member ? 1 : 0);
        if (status == PGDBM_OK && !counts)
            status = read_target(fleet, report->result, i, &target, err);
        if (status == PGDBM_OK && !counts)
            add_target(shown, all, &target);
    }
    if (status == PGDBM_OK) {
        shown->counts[PGDBM_TARGET_CURRENT] += (size_t)n_current;
        shown->n_all += (size_t)n_current;
    }
    return status;
}

pgdbm_status pgdbm_fleet_status(pgdbm_fleet *fleet, bool all, pgdbm_fleet_report **report, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    if (report != NULL)
        *report = NULL;
    if (fleet == NULL || report == NULL)
        return pgdbm__fail_null(err, "pgdbm_fleet_status", fleet == NULL ? "fleet" : "report");
    struct report *made = pgdbm__alloc_zero(1, sizeof *made);
    if (made == NULL)
        return pgdbm__fail_nomem(err, "reading a fleet's state");
    made->module = pgdbm__strdup(fleet->module);
    made->head = pgdbm__strdup(fleet->head);
    compose(fleet, all, &sql);
    pgdbm_status status = made->module == NULL || made->head == NULL || sql.failed
                              ? pgdbm__fail_nomem(err, "reading a fleet's state")
                              : pgdbm_fetch_all(fleet->db, sql.data, pgdbm_no_args, &made->result, err);
    pgdbm__buffer_free(&sql);
    if (status == PGDBM_OK)
        status = read_rows(fleet, all, made, err);
    made->shown.module = made->module;
    made->shown.head = made->head;
    if (status == PGDBM_OK)
        *report = &made->shown;
    else
        pgdbm_fleet_report_free(&made->shown);
    return status;
}

void pgdbm_fleet_report_free(pgdbm_fleet_report *shown)
{
    struct report *report = (struct report *)shown;
    if (report == NULL)
        return;
    pgdbm_result_free(report->result);
    pgdbm__free(shown->targets);
    pgdbm__free(report->module);
    pgdbm__free(report->head);
    pgdbm__free(report);
}
