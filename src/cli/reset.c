/* SPDX-License-Identifier: MIT */
/* `pgdbm dev reset`: drops the schemas of the project's modules and builds them anew. No state. */
#include "address.h"
#include "confirm.h"
#include "migrate_request.h"
#include "output.h"
#include "progress.h"
#include "sql_error.h"

#include <pgdbm/memory.h>
#include <stdlib.h>
#include <string.h>

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,   CLI_OPTION_MODULE,    CLI_OPTION_SCHEMA, CLI_OPTION_PER_SCHEMA,
    CLI_OPTION_TABLE, CLI_OPTION_DIRECTORY, CLI_OPTION_YES,    CLI_OPTION_JSON,
};

static const char *schema_of(const struct pgdbm__cli_part *part)
{
    return part->chosen.schema != NULL ? part->chosen.schema : "public";
}

/* With one module's schema would go what others have that refers to it. */
static int refuse_part(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                       const struct pgdbm__cli_project *project)
{
    static const char *const of_one[] = {"module", "dir", "schema"};
    for (size_t i = 0; project->n_modules > 0 && i < sizeof of_one / sizeof of_one[0]; i++)
        if (pgdbm__cli_value(command, given, of_one[i]) != NULL) {
            pgdbm__cli_say_error(
                "what other modules have that refers to it would go, too; pgdbm migrate rollback undoes "
                "the files of one",
                "dev reset: --%s, and the project has modules: all of them are built anew", of_one[i]);
            return CLI_USAGE;
        }
    return CLI_FINE;
}

/* "everything in the schemas a, b of the database x at host would go"; the caller's. */
static char *describe(const struct pgdbm__cli_request *request)
{
    struct pgdbm__cli_address address = {0};
    const struct pgdbm__cli_target *target = &request->target;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    bool fine = out != NULL;
    if (fine && pgdbm__cli_target_is_private(target))
        fprintf(out, "everything on the private server of %s would go", target->project.directory);
    else if (fine && (fine = pgdbm__cli_address_read(&target->config, NULL, &address))) {
        fputs("everything in the schemas", out);
        for (size_t i = 0; i < request->n_parts; i++)
            fprintf(out, "%s %s", i > 0 ? "," : "", schema_of(&request->parts[i]));
        fprintf(out, " of the database %s at %s would go", address.database != NULL ? address.database : "(default)",
                address.host != NULL ? address.host : "the local server");
    }
    pgdbm__cli_address_free(&address);
    if (out != NULL && fclose(out) == 0 && fine)
        return text;
    free(text);
    pgdbm__cli_say_error(NULL, "the database cannot be named");
    return NULL;
}

/* Files that cannot be read would leave nothing but an empty database. */
static pgdbm_status look_at_files(struct pgdbm__cli_request *request, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < request->n_parts; i++) {
        struct pgdbm__cli_part *part = &request->parts[i];
        status = pgdbm__cli_call(CLI_STATUS, request, part, err);
        if (status != PGDBM_OK)
            part->err = *err;
        pgdbm_migration_report_free(part->report);
        part->report = NULL;
    }
    return status;
}

/* What `public` is in a new database. */
static const char make_public[] =
    "DO $$BEGIN CREATE SCHEMA public; COMMENT ON SCHEMA public IS 'standard public schema'; "
    "GRANT USAGE ON SCHEMA public TO PUBLIC; "
    "IF current_setting('server_version_num')::int < 150000 THEN GRANT CREATE ON SCHEMA public TO PUBLIC; "
    "ELSIF pg_has_role('pg_database_owner', 'MEMBER') THEN ALTER SCHEMA public OWNER TO pg_database_owner; "
    "END IF; END$$";

/* Those of the modules; on the private server, where nobody else is, all. */
static const char which[] =
    "SELECT string_agg(quote_ident(nspname), ', '), coalesce(bool_or(nspname = 'public'), false) FROM pg_namespace "
    "WHERE CASE WHEN $1 THEN nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' ELSE nspname = ANY($2) END";

static pgdbm_status drop_in(pgdbm_db *tx, const struct pgdbm__cli_request *request, const char **names,
                            pgdbm_error *err)
{
    pgdbm_result *result = NULL;
    const char *list = NULL;
    bool with_public = false;
    char *sql = NULL;
    bool all = pgdbm__cli_target_is_private(&request->target);
    pgdbm_status status =
        pgdbm_fetch_all(tx, which, pgdbm_args(all, pgdbm_texts(names, request->n_parts)), &result, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, 0, &list, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_bool(result, 0, 1, &with_public, err);
    if (status == PGDBM_OK && list != NULL) {
        if (asprintf(&sql, "DROP SCHEMA %s CASCADE", list) < 0) {
            sql = NULL;
            *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
            status = err->status;
        } else
            status = pgdbm_execute(tx, sql, pgdbm_no_args, NULL, err);
    }
    if (status == PGDBM_OK && with_public)
        status = pgdbm_execute(tx, make_public, pgdbm_no_args, NULL, err);
    free(sql);
    pgdbm_result_free(result);
    return status;
}

static pgdbm_status drop(const struct pgdbm__cli_request *request, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    const char **names = calloc(request->n_parts, sizeof *names);
    if (names == NULL) {
        *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        return err->status;
    }
    for (size_t i = 0; i < request->n_parts; i++)
        names[i] = schema_of(&request->parts[i]);
    pgdbm_status status = pgdbm_begin(request->parts[0].db, NULL, &tx, err);
    if (status == PGDBM_OK)
        status = drop_in(tx, request, names, err);
    if (status == PGDBM_OK) {
        status = pgdbm_commit(tx, err);
        tx = NULL;
    }
    pgdbm_close(tx);
    free(names);
    if (status != PGDBM_OK && strcmp(err->sqlstate, "55P03") == 0)
        snprintf(
            err->hint, sizeof err->hint,
            "somebody works on them: end the programs and psqls that use the database (pg_stat_activity lists them)");
    return status;
}

static int reset(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_request request = {0};
    char *what = NULL;
    int code = pgdbm__cli_request_read(command, given, CLI_DEFAULT_ALL, &request);
    if (code == CLI_FINE)
        code = pgdbm__cli_refuse_production(command, &request.target);
    if (code == CLI_FINE)
        code = refuse_part(command, given, &request.target.project);
    if (code == CLI_FINE && (what = describe(&request)) == NULL)
        code = CLI_FAILED;
    if (code == CLI_FINE)
        code = pgdbm__cli_confirm(command, given, &request.target, NULL, what);
    if (code != CLI_FINE)
        goto done;
    pgdbm_status status = PGDBM_OK;
    request.target.config.statement_timeout_ms = -1; /* there may be a lot to drop */
    request.target.config.command_timeout_ms = -1;
    code = pgdbm__cli_request_open(&request, &err);
    if (code == CLI_FINE)
        status = look_at_files(&request, &err);
    if (code == CLI_FINE && status == PGDBM_OK)
        status = drop(&request, &err);
    if (code == CLI_FINE && status == PGDBM_OK)
        status = request.all ? pgdbm__cli_call_all(CLI_APPLY, &request, &err)
                             : pgdbm__cli_call(CLI_APPLY, &request, &request.parts[0], &err);
    if (status != PGDBM_OK)
        code = pgdbm__cli_exit_code(&err, false);
    pgdbm__cli_progress_end();
    if (!pgdbm__cli_print_request(CLI_APPLY, &request, code != CLI_FINE ? &err : NULL))
        code = CLI_FAILED;
done:
    free(what);
    pgdbm__cli_request_free(&request);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_dev_reset = {
    .group = "dev",
    .name = "reset",
    .summary = "Drop everything and build the development database anew",
    .description =
        "Drops the schemas of the project's modules (on the private server: all there are) in one transaction and "
        "applies all migrations, dependencies first. Asks before it does; nothing is dropped when the files "
        "cannot be read. Refused in production environments, with --yes too.",
    .example = "pgdbm dev reset\n"
               "pgdbm dev reset --yes --url postgresql://localhost/shop_dev",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .run = reset,
};
