/* SPDX-License-Identifier: MIT */
/* Looking for other modules' numbers. No state, any thread. */
#include "migrate/heads.h"

#include "base/error.h"
#include "migrate/plan.h"

#include <string.h>

static pgdbm_status note_row(const pgdbm_result *result, size_t row, struct pgdbm__module_head *head, pgdbm_error *err)
{
    const char *filename = NULL;
    struct pgdbm__migration_name name = {0};
    char version[sizeof head->version];
    pgdbm_status status = pgdbm_get_text(result, row, 0, &filename, err);
    if (status != PGDBM_OK)
        return status;
    head->found = true;
    if (!pgdbm__migration_name_parse(filename, &name))
        return PGDBM_OK;
    PGDBM__COPY_TEXT(version, name.version, name.version_bytes);
    if (pgdbm__migration_version_compare(version, head->version) > 0)
        memcpy(head->version, version, sizeof version);
    return PGDBM_OK;
}

static bool is_out_of_sight(const pgdbm_error *err)
{
    return strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0 ||
           strcmp(err->sqlstate, "42501") == 0;
}

pgdbm_status pgdbm__module_head_add(pgdbm_db *db, const char *schema, const char *table, const char *module,
                                    struct pgdbm__module_head *head, pgdbm_error *err)
{
    pgdbm_error cause = {0};
    pgdbm_result *result = NULL;
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_text(&sql, "SELECT filename FROM ");
    pgdbm__quote_name(&sql, schema);
    pgdbm__buffer_text(&sql, ".");
    pgdbm__quote_name(&sql, table);
    pgdbm__buffer_text(&sql, " WHERE module_name IN ($1::text, pg_catalog.concat($1::text, '_', $2::text))");
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed ? pgdbm__fail_nomem(&cause, "reading a migration history")
                                     : pgdbm_fetch_all(db, sql.data, pgdbm_args(module, schema), &result, &cause);
    for (size_t i = 0; status == PGDBM_OK && i < pgdbm_result_rows(result); i++)
        status = note_row(result, i, head, &cause);
    if (status == PGDBM_ERR_QUERY && is_out_of_sight(&cause))
        status = PGDBM_OK;
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    pgdbm_result_free(result);
    pgdbm__buffer_free(&sql);
    return status;
}

static pgdbm_status check_one(const struct pgdbm__run *run, const struct pgdbm__migration_file *file,
                              const struct pgdbm__migration_requirement *wanted, pgdbm_error *err)
{
    struct pgdbm__module_head head = {0};
    const char *const schemas[] = {run->history.schema, wanted->module, "public"};
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && !head.found && i < sizeof schemas / sizeof schemas[0]; i++)
        status = pgdbm__module_head_add(run->db, schemas[i], run->history.table, wanted->module, &head, err);
    if (status != PGDBM_OK || (head.found && pgdbm__migration_version_compare(head.version, wanted->version) >= 0))
        return status;
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "migration %s of module %s, line %zu: requires %s >= %s, which %s%s",
                file->filename, run->history.module, wanted->line, wanted->module, wanted->version,
                head.found ? "is at " : "is in no history here", head.found ? head.version : "");
    pgdbm__error_detail(err, "looked for in the schemas %s, %s and public", run->history.schema, wanted->module);
    pgdbm__error_hint(err,
                      "migrate %s first; where it lives in another schema, migrate both with pgdbm_migrate_modules",
                      wanted->module);
    return PGDBM_ERR_MIGRATION;
}

pgdbm_status pgdbm__run_requirements(const struct pgdbm__run *run, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; i < run->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &run->set.files[i];
        for (size_t k = 0; status == PGDBM_OK && k < file->n_requires; k++)
            if (pgdbm__plan_runs(file, run->options.target))
                status = check_one(run, file, &file->requires[k], err);
    }
    return status;
}
