/* SPDX-License-Identifier: MIT */
/* Comparing without touching: whether files and history say the same, and whether a program fits a database. */
#include "base/error.h"
#include "migrate/plan.h"
#include "migrate/run.h"

#include <stdio.h>

/* The first thing that differs, and how many there are. */
struct difference {
    size_t count;
    const char *filename;
    pgdbm_migration_state state;
};

static bool differs(pgdbm_migration_state state)
{
    return state != PGDBM_MIGRATION_APPLIED;
}

static bool diverges(pgdbm_migration_state state)
{
    return state == PGDBM_MIGRATION_CHANGED || state == PGDBM_MIGRATION_OUT_OF_ORDER ||
           state == PGDBM_MIGRATION_MISSING;
}

static void note(struct difference *difference, const char *filename, pgdbm_migration_state state)
{
    if (difference->count++ == 0) {
        difference->filename = filename;
        difference->state = state;
    }
}

static struct difference find_differences(const struct pgdbm__run *run, bool (*counts)(pgdbm_migration_state state))
{
    struct difference difference = {0};
    for (size_t i = 0; i < run->set.n_files; i++)
        if (counts(run->set.files[i].state))
            note(&difference, run->set.files[i].filename, run->set.files[i].state);
    for (size_t i = 0; i < run->rows.n_rows; i++)
        if (counts(run->rows.rows[i].state))
            note(&difference, run->rows.rows[i].filename, run->rows.rows[i].state);
    return difference;
}

/* Indexes that are being built right now are not finished, which is no fault. */
static pgdbm_status find_invalid_indexes(const struct pgdbm__run *run, pgdbm_result **indexes, pgdbm_error *err)
{
    return pgdbm_fetch_all(
        run->db,
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i"
        " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname = $1"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = c.oid"
        " AND p.datname = pg_catalog.current_database())"
        " ORDER BY c.relname",
        pgdbm_args(run->history.schema), indexes, err);
}

static pgdbm_status fail_difference(const struct pgdbm__run *run, const struct difference *difference, pgdbm_error *err)
{
    char others[48] = "";
    if (difference->count > 1)
        snprintf(others, sizeof others, ", and %zu more differ", difference->count - 1);
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "schema %s is not as the files of module %s say: %s is %s%s",
                run->history.schema, run->history.module, difference->filename,
                pgdbm_migration_state_name(difference->state), others);
    pgdbm__error_hint(err, "the status lists them all; migrate applies what is pending, repair records what was only "
                           "reformatted");
    return PGDBM_ERR_MIGRATION;
}

/* Beside the difference, or alone. */
static pgdbm_status fail_indexes(const struct pgdbm__run *run, pgdbm_result *indexes, pgdbm_status status,
                                 pgdbm_error *err)
{
    const char *index = NULL;
    size_t count = pgdbm_result_rows(indexes);
    if (pgdbm_get_text(indexes, 0, 0, &index, NULL) != PGDBM_OK)
        index = "?";
    if (status == PGDBM_OK) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "schema %s has an index that is invalid: %s", run->history.schema, index);
        pgdbm__error_hint(err,
                          "a CREATE INDEX CONCURRENTLY failed: DROP INDEX %s, and build it again (or REINDEX INDEX "
                          "CONCURRENTLY)",
                          index);
    }
    pgdbm__error_detail(err, "%zu invalid %s, the first is %s", count, count == 1 ? "index" : "indexes", index);
    return PGDBM_ERR_MIGRATION;
}

pgdbm_status pgdbm_migrate_verify_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                        pgdbm_migration_report **report, pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    pgdbm_result *indexes = NULL;
    if (report == NULL)
        return pgdbm__fail_null(err, "pgdbm_migrate_verify", "report");
    *report = NULL;
    pgdbm_status status = pgdbm__run_begin(&run, "pgdbm_migrate_verify", db, options, options_bytes, true, err);
    run.options.dry_run = false;
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    if (status == PGDBM_OK)
        status = find_invalid_indexes(&run, &indexes, err);
    if (status == PGDBM_OK) {
        struct difference difference = find_differences(&run, differs);
        if (difference.count > 0)
            status = fail_difference(&run, &difference, err);
        if (pgdbm_result_rows(indexes) > 0)
            status = fail_indexes(&run, indexes, status, err);
    }
    pgdbm_result_free(indexes);
    return pgdbm__run_end(&run, status, report, err);
}

static pgdbm_migration_skew find_skew(const struct pgdbm__run *run)
{
    bool pending = false;
    bool future = false;
    if (find_differences(run, diverges).count > 0)
        return PGDBM_SKEW_DIVERGED;
    for (size_t i = 0; i < run->set.n_files; i++)
        pending = pending || (pgdbm__plan_is_pending(run->set.files[i].state) && !run->set.files[i].repeatable);
    for (size_t i = 0; i < run->rows.n_rows; i++)
        future = future || run->rows.rows[i].state == PGDBM_MIGRATION_FUTURE;
    return future ? PGDBM_SKEW_AHEAD : pending ? PGDBM_SKEW_BEHIND : PGDBM_SKEW_EQUAL;
}

static pgdbm_status judge(const struct pgdbm__run *run, const char *minimum, const char *maximum,
                          pgdbm_migration_skew skew, pgdbm_error *err)
{
    const struct pgdbm__history *history = &run->history;
    const char *head = pgdbm__plan_head(&run->rows);
    const char *at = head[0] != '\0' ? head : "nothing";
    /* A file of number 0 that is not applied has the number that "nothing" has. */
    bool nothing = minimum == NULL && head[0] == '\0' && run->set.n_versioned > 0;
    if (minimum == NULL)
        minimum = run->set.n_versioned > 0 ? run->set.files[run->set.n_versioned - 1].version : "";
    if (skew == PGDBM_SKEW_DIVERGED) {
        struct difference difference = find_differences(run, diverges);
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "schema %s has diverged from the files of module %s: %s is %s",
                    history->schema, history->module, difference.filename,
                    pgdbm_migration_state_name(difference.state));
        pgdbm__error_hint(err, "compare with pgdbm_migrate_status; it takes a person to say which of them is right");
    } else if (nothing || pgdbm__migration_version_compare(head, minimum) < 0) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "schema %s is behind: module %s needs %s, and it has %s", history->schema,
                    history->module, minimum, at);
        pgdbm__error_hint(err, "migrate it, then start again");
    } else if (maximum != NULL && pgdbm__migration_version_compare(head, maximum) > 0) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "schema %s is ahead: module %s works up to %s, and it has %s",
                    history->schema, history->module, maximum, at);
        pgdbm__error_hint(err, "start a newer build of the program");
    } else
        return PGDBM_OK;
    return PGDBM_ERR_MIGRATION;
}

pgdbm_status pgdbm_migrate_check_sized(pgdbm_db *db, const pgdbm_migrate_options *options, size_t options_bytes,
                                       const char *minimum, const char *maximum, pgdbm_migration_skew *skew,
                                       pgdbm_error *err)
{
    struct pgdbm__run run = {0};
    pgdbm_migration_skew found = PGDBM_SKEW_DIVERGED;
    pgdbm_status status = pgdbm__run_begin(&run, "pgdbm_migrate_check", db, options, options_bytes, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__run_look(&run, err);
    if (status == PGDBM_OK) {
        found = find_skew(&run);
        status = judge(&run, minimum, maximum, found, err);
    }
    if (skew != NULL)
        *skew = found;
    return pgdbm__run_end(&run, status, NULL, err);
}
