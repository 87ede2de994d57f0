/* SPDX-License-Identifier: MIT */
/* Matching files with history, and the report of it. No state, any thread. */
#include "migrate/plan.h"

#include "base/alloc.h"
#include "base/error.h"
#include "migrate/name.h"

#include <stdlib.h>
#include <string.h>

/* The rows are sorted by file name, a named one first: the first of equal names is the one that counts. */
static struct pgdbm__history_row *find_row(struct pgdbm__history_rows *rows, const char *filename)
{
    size_t low = 0;
    size_t high = rows->n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(rows->rows[middle].filename, filename) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < rows->n_rows && strcmp(rows->rows[low].filename, filename) == 0 ? &rows->rows[low] : NULL;
}

void pgdbm__plan_match(struct pgdbm__migration_set *set, struct pgdbm__history_rows *rows)
{
    for (size_t i = 0; i < set->n_files; i++) {
        struct pgdbm__migration_file *file = &set->files[i];
        struct pgdbm__history_row *row = find_row(rows, file->filename);
        file->applied = row;
        file->state = PGDBM_MIGRATION_PENDING;
        if (row != NULL) {
            row->has_file = true;
            file->state =
                strcmp(row->checksum, file->checksum) == 0 ? PGDBM_MIGRATION_APPLIED : PGDBM_MIGRATION_CHANGED;
        }
    }
}

struct pgdbm__migration_file *pgdbm__plan_pending(struct pgdbm__migration_set *set)
{
    for (size_t i = 0; i < set->n_files; i++)
        if (set->files[i].state == PGDBM_MIGRATION_PENDING)
            return &set->files[i];
    return NULL;
}

pgdbm_status pgdbm__plan_check(const struct pgdbm__migration_set *set, const struct pgdbm__history *history,
                               pgdbm_error *err)
{
    for (size_t i = 0; i < set->n_files; i++) {
        const struct pgdbm__migration_file *file = &set->files[i];
        if (file->state != PGDBM_MIGRATION_CHANGED)
            continue;
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s was changed after it was applied to schema %s",
                    file->filename, history->module, history->schema);
        pgdbm__error_detail(err, "applied checksum %s, the file's is %s", file->applied->checksum, file->checksum);
        if (file->applied->named)
            pgdbm__error_hint(err, "restore the file as it was applied and put the change into a new migration");
        else
            pgdbm__error_hint(err,
                              "restore the file as it was applied; if its row in %s belongs to another module, "
                              "set that row's module_name",
                              history->qualified);
        return PGDBM_ERR_MIGRATION;
    }
    return PGDBM_OK;
}

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
    out->execution_ms = row->execution_ms;
    return ok;
}

static bool fill_file(pgdbm_migration *out, const struct pgdbm__migration_file *file)
{
    bool ok = true;
    out->filename = copy(file->filename, &ok);
    out->version = copy(file->version, &ok);
    out->checksum = copy(file->checksum, &ok);
    out->state = file->state;
    out->no_transaction = file->no_transaction;
    out->applied_now = file->applied_now;
    return ok && (file->applied == NULL || fill_applied(out, file->applied));
}

static bool fill_missing(pgdbm_migration *out, const struct pgdbm__history_row *row)
{
    bool ok = true;
    const char *version = "";
    size_t version_bytes = 0;
    pgdbm__migration_name_parse(row->filename, &version, &version_bytes);
    out->filename = copy(row->filename, &ok);
    out->version = pgdbm__memdup(version, version_bytes);
    out->state = PGDBM_MIGRATION_MISSING;
    return ok && out->version != NULL && fill_applied(out, row);
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

static bool is_missing(const struct pgdbm__history_row *row)
{
    return row->named && !row->has_file;
}

static bool fill(pgdbm_migration_report *report, const struct pgdbm__migration_set *set,
                 const struct pgdbm__history_rows *rows, const struct pgdbm__history *history)
{
    bool ok = true;
    size_t count = set->n_files;
    for (size_t i = 0; i < rows->n_rows; i++)
        count += is_missing(&rows->rows[i]) ? 1 : 0;
    report->module = copy(history->module, &ok);
    report->schema = copy(history->schema, &ok);
    report->migrations = pgdbm__alloc_zero(count, sizeof *report->migrations);
    if (report->migrations == NULL)
        return false;
    for (size_t i = 0; ok && i < set->n_files; i++)
        ok = fill_file(&report->migrations[report->n_migrations++], &set->files[i]);
    for (size_t i = 0; ok && i < rows->n_rows; i++)
        if (is_missing(&rows->rows[i]))
            ok = fill_missing(&report->migrations[report->n_migrations++], &rows->rows[i]);
    return ok;
}

pgdbm_status pgdbm__plan_report(const struct pgdbm__migration_set *set, const struct pgdbm__history_rows *rows,
                                const struct pgdbm__history *history, bool dry_run, pgdbm_migration_report **report,
                                pgdbm_error *err)
{
    pgdbm_migration_report *filled = pgdbm__alloc_zero(1, sizeof *filled);
    if (filled == NULL || !fill(filled, set, rows, history)) {
        pgdbm_migration_report_free(filled);
        return pgdbm__fail_nomem(err, "reporting migrations");
    }
    qsort(filled->migrations, filled->n_migrations, sizeof *filled->migrations, compare_migrations);
    for (size_t i = 0; i < filled->n_migrations; i++) {
        filled->n_pending += filled->migrations[i].state == PGDBM_MIGRATION_PENDING ? 1 : 0;
        filled->n_applied += filled->migrations[i].applied_now ? 1 : 0;
    }
    if (dry_run)
        filled->n_applied = filled->n_pending;
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
    }
    release(report->module);
    release(report->schema);
    pgdbm__free(report->migrations);
    pgdbm__free(report);
}
