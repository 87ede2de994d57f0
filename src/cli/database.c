/* SPDX-License-Identifier: MIT */
/* Finding and opening what a command works on. No state but the caller's. */
#include "database.h"

#include "address.h"
#include "interrupt.h"
#include "output.h"
#include "private_server.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

/* Whether anything at all says where the server is; libpq's own default would be a guess. */
static bool names_a_database(const pgdbm_config *config)
{
    static const char *const of_libpq[] = {"PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"};
    bool named = config->connection_string != NULL || config->host != NULL || config->database != NULL;
    for (size_t i = 0; i < sizeof of_libpq / sizeof of_libpq[0]; i++)
        named = named || getenv(of_libpq[i]) != NULL;
    return named;
}

/* "": as if it were not there. */
static const char *filled(const char *text)
{
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* `path` of the project's file, as a path from here; kept by the target. NULL: there is none, or no memory, and said so. */
static const char *path_of(struct pgdbm__cli_target *target, const char *path, size_t which, int *code)
{
    path = filled(path);
    if (path == NULL || path[0] == '/')
        return path;
    if (asprintf(&target->paths[which], "%s/%s", target->project.directory, path) >= 0)
        return target->paths[which];
    target->paths[which] = NULL;
    pgdbm__cli_say_error(NULL, "out of memory");
    *code = CLI_FAILED;
    return NULL;
}

static int take_tls(struct pgdbm__cli_target *target, const struct pgdbm__cli_environment *environment)
{
    pgdbm_config *config = &target->config;
    int code = CLI_FINE;
    if (environment->ssl_enabled != NULL && strcmp(environment->ssl_enabled, "false") == 0) {
        config->ssl_mode = "disable";
        return code;
    }
    if (environment->ssl_enabled != NULL)
        config->ssl_mode = filled(environment->ssl_ca_file) != NULL ? "verify-full" : "require";
    if (filled(environment->ssl_mode) != NULL)
        config->ssl_mode = environment->ssl_mode;
    config->ssl_ca_file = path_of(target, environment->ssl_ca_file, 0, &code);
    config->ssl_cert_file = path_of(target, environment->ssl_cert_file, 1, &code);
    config->ssl_key_file = path_of(target, environment->ssl_key_file, 2, &code);
    return code;
}

/* What the project's environment says is stronger than the process's, and all of it: half of one database's address and
 * half of another's would be a third one. */
static int take_environment(struct pgdbm__cli_target *target, const struct pgdbm__cli_environment *environment)
{
    pgdbm_config *config = &target->config;
    if (filled(environment->schema) != NULL)
        config->schema = environment->schema;
    bool parts = filled(environment->host) != NULL || filled(environment->port) != NULL ||
                 filled(environment->database) != NULL || filled(environment->user) != NULL;
    if (!parts && filled(environment->url) == NULL)
        return CLI_FINE;
    config->connection_string = filled(environment->url);
    config->host = filled(environment->host);
    config->port = filled(environment->port) != NULL ? atoi(environment->port) : 0;
    config->database = filled(environment->database);
    config->user = filled(environment->user);
    config->password = filled(environment->password);
    target->named = true;
    return take_tls(target, environment);
}

int pgdbm__cli_target_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                           struct pgdbm__cli_target *target)
{
    pgdbm_error err = {0};
    pgdbm_config *config = &target->config;
    const char *url = pgdbm__cli_value(command, given, "url");
    const char *schema = pgdbm__cli_value(command, given, "schema");
    int code = pgdbm__cli_project_read(&target->project);
    if (code != CLI_FINE)
        return code;
    config->connection_string = url;
    if (pgdbm_config_from_environment(config, &err) != PGDBM_OK) {
        pgdbm__cli_say_library_error(&err);
        return pgdbm__cli_exit_code(&err, true);
    }
    target->named = url != NULL;
    if (url != NULL && pgdbm__cli_settings.environment == NULL)
        target->project.environment = NULL; /* it has nothing to do with this database */
    if (url == NULL && target->project.environment != NULL)
        code = take_environment(target, target->project.environment);
    else if (url != NULL && pgdbm__cli_settings.environment != NULL) {
        pgdbm__cli_say_error("each of them says which database is meant", "--url and --env exclude each other");
        code = CLI_USAGE;
    }
    if (schema != NULL)
        config->schema = schema;
    pgdbm__cli_address_stands(config, target->named);
    config->connect_timeout_ms = pgdbm__cli_address_timeout(config);
    config->fail_fast = true;     /* a person waits: the second look is theirs */
    config->min_connections = 1;  /* the variable is meant for programs, and may be more than the command opens */
    config->drain_timeout_ms = 1; /* what still runs at the end has been interrupted */
    return code;
}

void pgdbm__cli_target_free(struct pgdbm__cli_target *target)
{
    for (size_t i = 0; i < sizeof target->paths / sizeof target->paths[0]; i++)
        free(target->paths[i]);
    pgdbm_free(target->private_url);
    pgdbm__cli_project_free(&target->project);
    *target = (struct pgdbm__cli_target){0};
}

void pgdbm__cli_remark(const char *format, ...)
{
    if (pgdbm__cli_settings.quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "%s", pgdbm__cli_style_on(stderr, CLI_DIM));
    char text[4608];
    vsnprintf(text, sizeof text, format, arguments);
    pgdbm__cli_put_text(stderr, text, strlen(text), false);
    fprintf(stderr, "%s\n", pgdbm__cli_style_off(stderr));
    va_end(arguments);
}

/* Nothing says which database: the project's own server. */
static pgdbm_status take_private_server(struct pgdbm__cli_target *target, pgdbm_error *err)
{
    bool started = false;
    char *directory = pgdbm__cli_private_directory(&target->project);
    if (directory == NULL) {
        *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        return err->status;
    }
    pgdbm_status status = pgdbm__cli_private_start(directory, &target->private_url, &started, err);
    if (status == PGDBM_OK) {
        target->config.connection_string = target->private_url;
        target->named = true;
        pgdbm__cli_remark("no DATABASE_URL and no environment: on the private server in %s/" CLI_PRIVATE_HOME "%s",
                          target->project.directory, started ? ", started for it" : "");
    } else if (err->status == PGDBM_ERR_TESTDB)
        snprintf(err->hint, sizeof err->hint,
                 "set DATABASE_URL, give --url, or write [environments.dev] into pgdbm.conf: then no private server is "
                 "needed");
    free(directory);
    return status;
}

bool pgdbm__cli_target_is_private(const struct pgdbm__cli_target *target)
{
    return target->private_url != NULL || (!target->named && !names_a_database(&target->config));
}

int pgdbm__cli_target_locate(struct pgdbm__cli_target *target, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    if (pgdbm__cli_target_is_private(target) && target->private_url == NULL)
        status = take_private_server(target, err);
    return status == PGDBM_OK ? CLI_FINE : pgdbm__cli_exit_code(err, true);
}

/* As many as the command can use, the project allows, and the process's environment does not say. */
static void set_connections(struct pgdbm__cli_target *target, int max_connections)
{
    const char *most = filled(target->project.max_connections);
    if (most != NULL && atoi(most) >= 1 && atoi(most) < max_connections)
        max_connections = atoi(most);
    target->config.max_connections = max_connections;
}

int pgdbm__cli_open(struct pgdbm__cli_target *target, int max_connections, pgdbm_db **db, pgdbm_error *err)
{
    int code = pgdbm__cli_target_locate(target, err);
    set_connections(target, max_connections);
    pgdbm__cli_progress_say(0, 0, "connecting");
    if (code == CLI_FINE && pgdbm_open(&target->config, db, err) != PGDBM_OK)
        code = pgdbm__cli_exit_code(err, true);
    pgdbm__cli_progress_end();
    if (code == CLI_FINE)
        pgdbm__cli_interrupt_watch(pgdbm_pool_of(*db));
    return code;
}

int pgdbm__cli_open_pool(struct pgdbm__cli_target *target, int max_connections, pgdbm_pool **pool, pgdbm_error *err)
{
    int code = pgdbm__cli_target_locate(target, err);
    set_connections(target, max_connections);
    pgdbm_config config = target->config;
    config.schema = NULL;
    pgdbm__cli_progress_say(0, 0, "connecting");
    if (code == CLI_FINE && pgdbm_pool_open(&config, pool, err) != PGDBM_OK)
        code = pgdbm__cli_exit_code(err, true);
    pgdbm__cli_progress_end();
    if (code == CLI_FINE)
        pgdbm__cli_interrupt_watch(*pool);
    return code;
}

/* No --module: it goes without saying only where there is one. */
static int name_module(const struct pgdbm__cli_command *command, const struct pgdbm__cli_target *target,
                       const char **module)
{
    char name[64];
    char hint[256] = "give --module NAME; there are:";
    const struct pgdbm__cli_project *project = &target->project;
    if (project->n_modules == 1) {
        *module = project->modules[0].name;
        return CLI_FINE;
    }
    for (size_t i = 0; i < project->n_modules && strlen(hint) < sizeof hint - 60; i++)
        snprintf(hint + strlen(hint), sizeof hint - strlen(hint), " %s", project->modules[i].name);
    if (project->n_modules == 0)
        snprintf(hint, sizeof hint, "a history without names mixes the modules of a schema up: give --module NAME");
    pgdbm__cli_say_error(hint, "%s: no module named", pgdbm__cli_full_name(command, name, sizeof name));
    return CLI_USAGE;
}

int pgdbm__cli_choose_module(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                             const struct pgdbm__cli_target *target, struct pgdbm__cli_chosen *choice)
{
    const struct pgdbm__cli_project *project = &target->project;
    const char *directory = pgdbm__cli_value(command, given, "dir");
    const char *table = pgdbm__cli_value(command, given, "table");
    const struct pgdbm__cli_module *module = NULL;
    *choice = (struct pgdbm__cli_chosen){.module = pgdbm__cli_value(command, given, "module")};
    int code = choice->module != NULL ? CLI_FINE : name_module(command, target, &choice->module);
    if (code != CLI_FINE)
        return code;
    for (size_t i = 0; i < project->n_modules; i++)
        if (strcmp(project->modules[i].name, choice->module) == 0)
            module = &project->modules[i];
    /* Where the files are said, the module may be one that the project does not know. */
    if (module == NULL && project->n_modules > 0 && directory == NULL) {
        pgdbm__cli_project_module(project, choice->module);
        return CLI_USAGE;
    }
    choice->directory = directory != NULL ? directory : module != NULL ? module->migrations_path : "migrations";
    choice->schema = pgdbm__cli_module_schema(command, given, target, module);
    choice->table = table != NULL ? table : project->migrations_table;
    return CLI_FINE;
}

const char *pgdbm__cli_module_schema(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                                     const struct pgdbm__cli_target *target, const struct pgdbm__cli_module *module)
{
    const char *schema = pgdbm__cli_value(command, given, "schema");
    if (schema == NULL && module != NULL)
        schema = filled(module->schema);
    return schema != NULL ? schema : target->config.schema;
}
