/* SPDX-License-Identifier: MIT */
/* Options into pgdbm_migrate_options, and the library's verbs for one module or all. No state but the caller's. */
#include "migrate_request.h"

#include "output.h"

#include <stdlib.h>
#include <string.h>

static pgdbm_migration_policy policy(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                                     const char *name)
{
    return pgdbm__cli_value(command, given, name) != NULL ? PGDBM_POLICY_ALLOW : PGDBM_POLICY_ERROR;
}

/* What holds for every module alike. */
static int read_options(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                        struct pgdbm__cli_request *request, pgdbm_migrate_options *how)
{
    int code = pgdbm__cli_duration(command, given, "wait", &how->wait_timeout_ms);
    if (code == CLI_FINE)
        code = pgdbm__cli_duration(command, given, "lock-timeout", &how->lock_timeout_ms);
    if (code == CLI_FINE)
        code = pgdbm__cli_number(command, given, "lock-attempts", 1, &how->lock_attempts);
    if (code == CLI_FINE)
        code = pgdbm__cli_number(command, given, "count", 1, &request->count);
    how->dry_run = pgdbm__cli_value(command, given, "dry-run") != NULL;
    how->per_schema = pgdbm__cli_value(command, given, "per-schema") != NULL;
    how->target = pgdbm__cli_value(command, given, "target");
    how->build = pgdbm__cli_value(command, given, "build");
    how->policies.changed = policy(command, given, "allow-changed");
    how->policies.missing = policy(command, given, "allow-missing");
    how->policies.out_of_order = policy(command, given, "allow-out-of-order");
    how->policies.future = policy(command, given, "allow-future");
    how->policies.gap = policy(command, given, "allow-gap");
    how->policies.duplicate = policy(command, given, "allow-duplicate");
    how->on_progress = pgdbm__cli_progress;
    how->context = &request->waited;
    return code;
}

/* An option that only makes sense for one module. */
static int refuse_with_all(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    char name[64];
    static const char *const of_one[] = {"module", "dir", "schema", "target", "min", "max"};
    for (size_t i = 0; i < sizeof of_one / sizeof of_one[0]; i++)
        if (pgdbm__cli_value(command, given, of_one[i]) != NULL) {
            pgdbm__cli_say_error("it is one module's: give --module NAME instead", "%s: --%s with %s",
                                 pgdbm__cli_full_name(command, name, sizeof name), of_one[i],
                                 pgdbm__cli_value(command, given, "all") != NULL ? "--all" : "all modules");
            return CLI_USAGE;
        }
    return CLI_FINE;
}

/* Which modules: --all, or none named where that means all of them. */
static int choose(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                  enum pgdbm__cli_default by_default, struct pgdbm__cli_request *request)
{
    const struct pgdbm__cli_project *project = &request->target.project;
    bool all = pgdbm__cli_value(command, given, "all") != NULL;
    if (all && project->n_modules == 0) {
        pgdbm__cli_say_error("modules are sections [modules.NAME] of pgdbm.conf",
                             "migrate %s: --all, and there are no modules%s%s", command->name,
                             project->file != NULL ? " in " : "", project->file != NULL ? project->file : "");
        return CLI_USAGE;
    }
    request->all = all || (by_default == CLI_DEFAULT_ALL && project->n_modules > 1 &&
                           pgdbm__cli_value(command, given, "module") == NULL);
    int code = request->all ? refuse_with_all(command, given) : CLI_FINE;
    if (code != CLI_FINE)
        return code;
    request->n_parts = request->all ? project->n_modules : 1;
    request->parts = calloc(request->n_parts, sizeof *request->parts);
    if (request->parts == NULL) {
        request->n_parts = 0;
        pgdbm__cli_say_error(NULL, "out of memory");
        return CLI_FAILED;
    }
    const char *table = pgdbm__cli_value(command, given, "table");
    if (!request->all)
        code = pgdbm__cli_choose_module(command, given, &request->target, &request->parts[0].chosen);
    for (size_t i = 0; i < project->n_modules; i++) {
        const struct pgdbm__cli_module *module = &project->modules[i];
        struct pgdbm__cli_part *part = &request->parts[request->all ? i : 0];
        if (request->all)
            part->chosen = (struct pgdbm__cli_chosen){
                .module = module->name,
                .directory = module->migrations_path,
                .schema = pgdbm__cli_module_schema(command, given, &request->target, module),
                .table = table != NULL ? table : project->migrations_table,
            };
        if (code == CLI_FINE && strcmp(module->name, part->chosen.module) == 0)
            part->module = module;
    }
    return code;
}

/* Not a matter of its mode: the Python pgdbm, whose files are read as well, records every mode by the name alone. */
static bool is_per_schema(const struct pgdbm__cli_module *module)
{
    return module != NULL && module->per_schema != NULL && strcmp(module->per_schema, "true") == 0;
}

int pgdbm__cli_request_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            enum pgdbm__cli_default by_default, struct pgdbm__cli_request *request)
{
    pgdbm_migrate_options how = {0};
    request->count = 1;
    request->json = pgdbm__cli_value(command, given, "json") != NULL;
    int code = pgdbm__cli_target_read(command, given, &request->target);
    if (code == CLI_FINE)
        code = choose(command, given, by_default, request);
    if (code == CLI_FINE)
        code = read_options(command, given, request, &how);
    request->dry_run = how.dry_run;
    for (size_t i = 0; code == CLI_FINE && i < request->n_parts; i++) {
        struct pgdbm__cli_part *part = &request->parts[i];
        part->migrations.directory = part->chosen.directory;
        part->how = how;
        part->how.per_schema = how.per_schema || is_per_schema(part->module);
        part->how.migrations = &part->migrations;
        part->how.module = part->chosen.module;
        part->how.table = part->chosen.table;
    }
    return code;
}

int pgdbm__cli_request_open(struct pgdbm__cli_request *request, pgdbm_error *err)
{
    enum { N_CONNECTIONS = 2 }; /* one migrates, one looks */
    int code = CLI_FINE;
    for (size_t i = 0; code == CLI_FINE && i < request->n_parts; i++) {
        pgdbm_config config = request->target.config;
        config.schema = request->parts[i].chosen.schema;
        config.max_connections = N_CONNECTIONS;
        /* A bad name is wrong usage, which is found before anything is contacted. */
        if (pgdbm_config_check(&config, err) != PGDBM_OK)
            code = pgdbm__cli_exit_code(err, true);
    }
    if (code == CLI_FINE)
        code = pgdbm__cli_open_pool(&request->target, N_CONNECTIONS, &request->pool, err);
    for (size_t i = 0; code == CLI_FINE && i < request->n_parts; i++)
        if (pgdbm_attach(request->pool, request->parts[i].chosen.schema, &request->parts[i].db, err) != PGDBM_OK)
            code = pgdbm__cli_exit_code(err, true);
    return code;
}

void pgdbm__cli_request_free(struct pgdbm__cli_request *request)
{
    for (size_t i = 0; i < request->n_parts; i++) {
        pgdbm_migration_report_free(request->parts[i].report);
        pgdbm_close(request->parts[i].db);
    }
    free(request->parts);
    pgdbm_pool_close(request->pool);
    pgdbm__cli_target_free(&request->target);
}

pgdbm_status pgdbm__cli_call(enum pgdbm__cli_verb verb, const struct pgdbm__cli_request *request,
                             struct pgdbm__cli_part *part, pgdbm_error *err)
{
    const pgdbm_migrate_options *how = &part->how;
    switch (verb) {
    case CLI_APPLY:
        return pgdbm_migrate(part->db, how, &part->report, err);
    case CLI_TRY:
        return pgdbm_migrate_try(part->db, how, &part->report, err);
    case CLI_STATUS:
        return pgdbm_migrate_status(part->db, how, &part->report, err);
    case CLI_ROLLBACK:
        return pgdbm_migrate_rollback(part->db, how, (size_t)request->count, &part->report, err);
    case CLI_BASELINE:
        return pgdbm_migrate_baseline(part->db, how, &part->report, err);
    case CLI_REPAIR:
        return pgdbm_migrate_repair(part->db, how, &part->report, err);
    case CLI_VERIFY:
        return pgdbm_migrate_verify(part->db, how, &part->report, err);
    case CLI_HISTORY:
        break;
    }
    pgdbm_migrate_options without_files = *how;
    without_files.migrations = NULL;
    return pgdbm_migrate_history(part->db, &without_files, &part->report, err);
}

/* All of it is checked before anything runs, dependencies among the files too. */
static pgdbm_status apply_all(struct pgdbm__cli_request *request, pgdbm_error *err)
{
    pgdbm_migration_target *targets = calloc(request->n_parts, sizeof *targets);
    pgdbm_migration_report **reports = calloc(request->n_parts, sizeof *reports);
    pgdbm_status status = PGDBM_ERR_NOMEM;
    size_t failed = request->n_parts;
    if (targets == NULL || reports == NULL) {
        *err = (pgdbm_error){.status = status, .message = "out of memory"};
        goto done;
    }
    for (size_t i = 0; i < request->n_parts; i++) {
        struct pgdbm__cli_part *part = &request->parts[i];
        targets[i] = (pgdbm_migration_target){
            .db = part->db,
            .options = part->how,
            .depends_on = (const char *const *)part->module->depends_on.names,
            .n_depends_on = part->module->depends_on.n_names,
        };
    }
    status = pgdbm_migrate_modules(targets, request->n_parts, reports, &failed, err);
    for (size_t i = 0; i < request->n_parts; i++)
        request->parts[i].report = reports[i];
    if (status != PGDBM_OK && failed < request->n_parts)
        request->parts[failed].err = *err;
done:
    free(targets);
    free(reports);
    return status;
}

pgdbm_status pgdbm__cli_call_all(enum pgdbm__cli_verb verb, struct pgdbm__cli_request *request, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    bool looks = verb == CLI_STATUS || verb == CLI_VERIFY || verb == CLI_HISTORY;
    if (verb == CLI_APPLY)
        return apply_all(request, err);
    for (size_t i = 0; i < request->n_parts && (looks || status == PGDBM_OK); i++) {
        struct pgdbm__cli_part *part = &request->parts[i];
        if (pgdbm__cli_call(verb, request, part, &part->err) != PGDBM_OK && status == PGDBM_OK) {
            status = part->err.status;
            *err = part->err;
        }
    }
    return status;
}

/* Looks at a module of the project that the one asked for depends on. */
static pgdbm_status check_migrated(const struct pgdbm__cli_request *request, const struct pgdbm__cli_module *needed,
                                   pgdbm_error *err)
{
    const struct pgdbm__cli_part *one = &request->parts[0];
    const char *schema = needed->schema != NULL ? needed->schema : request->target.config.schema;
    struct pgdbm__cli_part part = {.migrations.directory = needed->migrations_path, .how = one->how};
    part.how.migrations = &part.migrations;
    part.how.module = needed->name;
    part.how.target = NULL;
    pgdbm_status status = pgdbm_attach(request->pool, schema, &part.db, err);
    if (status == PGDBM_OK)
        status = pgdbm__cli_call(CLI_STATUS, request, &part, err);
    if (status == PGDBM_OK && part.report->n_pending > 0) {
        *err = (pgdbm_error){.status = PGDBM_ERR_MIGRATION};
        snprintf(err->message, sizeof err->message, "%.100s depends on %.100s, of which %zu %s pending",
                 one->chosen.module, needed->name, part.report->n_pending,
                 part.report->n_pending == 1 ? "file is" : "files are");
        snprintf(err->hint, sizeof err->hint, "pgdbm migrate apply --module %.100s, or --all for both", needed->name);
        status = err->status;
    }
    pgdbm_migration_report_free(part.report);
    pgdbm_close(part.db);
    return status;
}

pgdbm_status pgdbm__cli_check_dependencies(const struct pgdbm__cli_request *request, pgdbm_error *err)
{
    const struct pgdbm__cli_project *project = &request->target.project;
    const struct pgdbm__cli_module *module = request->parts[0].module;
    pgdbm_status status = PGDBM_OK;
    /* The ones it names are enough: each of them was held to its own when it was migrated. */
    for (size_t i = 0; module != NULL && status == PGDBM_OK && i < module->depends_on.n_names; i++)
        for (size_t j = 0; status == PGDBM_OK && j < project->n_modules; j++)
            if (strcmp(project->modules[j].name, module->depends_on.names[i]) == 0)
                status = check_migrated(request, &project->modules[j], err);
    return status;
}
