/* SPDX-License-Identifier: MIT */
/* The report: copies of what files and rows say. No state, any thread. */
#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"
#include "migrate/plan.h"

#include <stdlib.h>
#include <string.h>

/* A copy for the report; notes a failure in `ok`. */
static const char *copy(const char *text, bool *ok)
{
    char *result = pgdbm__strdup(text);
    if (text != NULL && result == NULL)
        *ok = false;
    return result;
}

static bool fill_applied(pgdbm_migration *out, const struct pgdbm__history_row *row)
{
    bool ok = true;
    out->applied_checksum = copy(row->checksum, &ok);
    out->applied_at = copy(row->applied_at, &ok);
    out->applied_by = copy(row->applied_by, &ok);
    out->build = copy(row->build, &ok);
    out->execution_ms = row->execution_ms;
    out->has_down = out->has_down || row->has_down;
    return ok;
}

static bool fill_file(pgdbm_migration *out, const struct pgdbm__migration_file *file)
{
    bool ok = true;
    out->filename = copy(file->filename, &ok);
    out->version = copy(file->version, &ok);
    out->checksum = copy(file->checksum, &ok);
    out->sql = copy(file->sql, &ok);
    out->state = file->state;
    out->no_transaction = file->no_transaction;
    out->repeatable = file->repeatable;
    out->has_down = file->down.text != NULL;
    out->applied_now = file->applied_now;
    out->statements_done = file->statements_done;
    out->n_statements = file->n_statements;
    return ok && (file->applied == NULL || fill_applied(out, file->applied));
}

static bool fill_row(pgdbm_migration *out, const struct pgdbm__history_row *row)
{
    bool ok = true;
    out->filename = copy(row->filename, &ok);
    out->version = copy(row->version, &ok);
    out->state = row->state;
    out->repeatable = row->kind != NULL && strcmp(row->kind, "R") == 0;
    return ok && fill_applied(out, row);
}

/* By version; those that carry no number come last. */
static int compare_migrations(const void *a, const void *b)
{
    const pgdbm_migration *x = a;
    const pgdbm_migration *y = b;
    if ((x->version[0] == '\0') != (y->version[0] == '\0'))
        return x->version[0] == '\0' ? 1 : -1;
    int order = pgdbm__migration_version_compare(x->version, y->version);
    return order != 0 ? order : strcmp(x->filename, y->filename);
}

static bool has_no_file(const struct pgdbm__history_row *row)
{
    return row->state == PGDBM_MIGRATION_MISSING || row->state == PGDBM_MIGRATION_FUTURE;
}

/* An empty report with room for so many. NULL when memory is short. */
static pgdbm_migration_report *make(const struct pgdbm__history_rows *rows, const struct pgdbm__history *history,
                                    size_t capacity)
{
    bool ok = true;
    pgdbm_migration_report *report = pgdbm__alloc_zero(1, sizeof *report);
    if (report == NULL)
        return NULL;
    report->module = copy(history->module, &ok);
    report->schema = copy(history->schema, &ok);
    report->head = copy(pgdbm__plan_head(rows), &ok);
    report->migrations = pgdbm__alloc_zero(capacity, sizeof *report->migrations);
    if (!ok || report->migrations == NULL) {
        pgdbm_migration_report_free(report);
        return NULL;
    }
    return report;
}

static bool fill(pgdbm_migration_report *report, const struct pgdbm__migration_set *set,
                 const struct pgdbm__history_rows *rows)
{
    bool ok = true;
    for (size_t i = 0; ok && set != NULL && i < set->n_files; i++)
        ok = fill_file(&report->migrations[report->n_migrations++], &set->files[i]);
    for (size_t i = 0; ok && i < rows->n_rows; i++)
        if (set == NULL || has_no_file(&rows->rows[i]))
            ok = fill_row(&report->migrations[report->n_migrations++], &rows->rows[i]);
    return ok;
}

pgdbm_status pgdbm__plan_report(const struct pgdbm__migration_set *set, const struct pgdbm__history_rows *rows,
                                const struct pgdbm__history *history, pgdbm_migration_report **report, pgdbm_error *err)
{
    pgdbm_migration_report *filled = make(rows, history, set->n_files + rows->n_rows);
    if (filled == NULL || !fill(filled, set, rows)) {
        pgdbm_migration_report_free(filled);
        return pgdbm__fail_nomem(err, "reporting migrations");
    }
    if (filled->n_migrations > 1)
        qsort(filled->migrations, filled->n_migrations, sizeof *filled->migrations, compare_migrations);
    for (size_t i = 0; i < filled->n_migrations; i++) {
        filled->n_pending += pgdbm__plan_is_pending(filled->migrations[i].state) ? 1 : 0;
        filled->n_applied += filled->migrations[i].applied_now ? 1 : 0;
    }
    *report = filled;
    return PGDBM_OK;
}

pgdbm_status pgdbm__plan_report_rows(const struct pgdbm__history_rows *rows, const struct pgdbm__history *history,
                                     pgdbm_migration_report **report, pgdbm_error *err)
{
    pgdbm_migration_report *filled = make(rows, history, rows->n_rows);
    if (filled == NULL || !fill(filled, NULL, rows)) {
        pgdbm_migration_report_free(filled);
        return pgdbm__fail_nomem(err, "reporting migrations");
    }
    *report = filled;
    return PGDBM_OK;
}

static void release(const char *text)
{
    pgdbm__free((void *)(uintptr_t)text);
}

void pgdbm_migration_report_free(pgdbm_migration_report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; i < report->n_migrations; i++) {
        const pgdbm_migration *migration = &report->migrations[i];
        release(migration->filename);
        release(migration->version);
        release(migration->checksum);
        release(migration->applied_checksum);
        release(migration->applied_at);
        release(migration->applied_by);
        release(migration->build);
        release(migration->sql);
    }
    for (size_t i = 0; i < report->n_locks; i++) {
        release(report->locks[i].filename);
        release(report->locks[i].relation);
        release(report->locks[i].mode);
    }
    pgdbm__free(report->locks);
    release(report->module);
    release(report->schema);
    release(report->head);
    pgdbm__free(report->migrations);
    pgdbm__free(report);
}
