/* SPDX-License-Identifier: MIT */
/* `pgdbm schema list|create`. No state. */
#include "schema.h"

#include "output.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const struct pgdbm__cli_option list_options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
};
static const struct pgdbm__cli_option create_options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
    {"module", "NAME", NULL, "The schema of this module of the project"},
    {"all", NULL, NULL, "Those of all its modules"},
};

/* The library folds names, whatever the file says. */
static char *folded(const char *name)
{
    char *copy = strdup(name);
    for (char *at = copy; copy != NULL && *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)tolower(*at);
    return copy;
}

bool pgdbm__cli_places_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            const struct pgdbm__cli_target *target, struct pgdbm__cli_places *places)
{
    const struct pgdbm__cli_project *project = &target->project;
    places->modules = calloc(project->n_modules + 1, sizeof *places->modules);
    places->schemas = calloc(project->n_modules + 1, sizeof *places->schemas);
    bool fine = places->modules != NULL && places->schemas != NULL;
    for (size_t i = 0; fine && i < project->n_modules; i++) {
        const char *schema = pgdbm__cli_module_schema(command, given, target, &project->modules[i]);
        places->modules[i] = project->modules[i].name;
        places->schemas[i] = folded(schema != NULL ? schema : "public");
        fine = places->schemas[i] != NULL;
        places->n += fine;
    }
    if (!fine)
        pgdbm__cli_say_error(NULL, "out of memory");
    return fine;
}

int pgdbm__cli_places_schema(const struct pgdbm__cli_session *session, const struct pgdbm__cli_places *places,
                             const char *module, const char **schema)
{
    for (size_t i = 0; i < places->n; i++)
        if (strcmp(places->modules[i], module) == 0) {
            *schema = places->schemas[i];
            return CLI_FINE;
        }
    if (session->target.project.file == NULL)
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "give the schema's NAME",
                                         "there is no pgdbm.conf that knows a module");
    pgdbm__cli_project_module(&session->target.project, module);
    return CLI_USAGE;
}

void pgdbm__cli_places_free(struct pgdbm__cli_places *places)
{
    for (size_t i = 0; i < places->n; i++)
        free(places->schemas[i]);
    free(places->schemas);
    free(places->modules);
    *places = (struct pgdbm__cli_places){0};
}

bool pgdbm__cli_schema_is_system(const char *name)
{
    return strncmp(name, "pg_", 3) == 0 || strcmp(name, "information_schema") == 0;
}

static const char list_query[] =
    CLI_SQL_SIZES ", mine AS (SELECT schema, string_agg(module, ', ' ORDER BY place) AS modules"
                  " FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS m(module, schema, place) GROUP BY schema),"
                  " there AS (SELECT * FROM pg_namespace WHERE " CLI_SQL_NOT_SYSTEM ")"
                  " SELECT coalesce(nspname::text, schema) AS schema, pg_get_userbyid(nspowner) AS owner,"
                  " coalesce(tables, 0) AS tables, pg_size_pretty(coalesce(bytes, 0)) AS size,"
                  " coalesce(modules, '') AS modules, CASE WHEN n.oid IS NULL THEN 'missing' ELSE 'there' END AS state,"
                  " coalesce(bytes, 0) AS size_bytes, coalesce(locked, 0) AS locked"
                  " FROM there n FULL JOIN mine ON nspname::text = schema LEFT JOIN sizes ON relnamespace = n.oid"
                  " ORDER BY 1";

/* "a, b" as an array. Names of modules have no commas. */
static json_t *json_words(const char *text)
{
    json_t *words = json_array();
    while (*text != '\0') {
        size_t bytes = strcspn(text, ",");
        json_array_append_new(words, json_stringn(text, bytes));
        text += bytes;
        text += strspn(text, ", ");
    }
    return words;
}

static int print_list(const struct pgdbm__cli_session *session, const pgdbm_result *result)
{
    static const char *const headings[] = {"SCHEMA", "OWNER", "TABLES", "SIZE", "MODULES", "STATE"};
    static const char *const columns[] = {"schema", "owner",      "tables", "size", "modules",
                                          "state",  "size_bytes", "locked", NULL};
    int64_t locked = 0;
    if (session->json) {
        json_t *rows = pgdbm__cli_json_rows(result, columns);
        for (size_t row = 0; row < json_array_size(rows); row++)
            json_object_set_new(json_array_get(rows, row), "modules",
                                json_words(pgdbm__cli_text_at(result, row, "modules")));
        return pgdbm__cli_session_answer(json_pack("{s:o}", "schemas", rows));
    }
    if (!pgdbm__cli_print_rows(result, headings, columns, N_OF(headings)))
        return CLI_FAILED;
    for (size_t row = 0; row < pgdbm_result_rows(result); row++)
        locked += pgdbm__cli_int_at(result, row, "locked");
    if (locked > 0)
        pgdbm__cli_remark("sizes are without %lld tables that are locked just now", (long long)locked);
    return CLI_FINE;
}

static int list(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_session session = {0};
    struct pgdbm__cli_places places = {0};
    pgdbm_result *result = NULL;
    int code = pgdbm__cli_session_read(command, given, &session);
    if (code == CLI_FINE && !pgdbm__cli_places_read(command, given, &session.target, &places))
        code = CLI_FAILED;
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open(&session);
    if (code == CLI_FINE && pgdbm_fetch_all(session.db, list_query,
                                            pgdbm_args(pgdbm_texts(places.modules, places.n),
                                                       pgdbm_texts((const char *const *)places.schemas, places.n)),
                                            &result, &err) != PGDBM_OK)
        code = pgdbm__cli_session_fail(&session, &err, false);
    if (code == CLI_FINE)
        code = print_list(&session, result);
    pgdbm_result_free(result);
    pgdbm__cli_places_free(&places);
    pgdbm__cli_session_close(&session);
    return code;
}

/* What a schema of that name would be to a manager. */
static void remark_folding(const struct pgdbm__cli_session *session, const char *name)
{
    pgdbm_db *db = NULL;
    bool same = pgdbm_attach(session->pool, name, &db, NULL) == PGDBM_OK && strcmp(pgdbm_schema(db), name) == 0;
    if (!same)
        pgdbm__cli_remark("no manager can be bound to the schema %s: its name would be folded or refused", name);
    pgdbm_close(db);
}

/* CREATE SCHEMA IF NOT EXISTS wants rights where there is nothing to do, and may lose a race all the same. */
static pgdbm_status create_one(const struct pgdbm__cli_session *session, const char *name, bool *created,
                               pgdbm_error *err)
{
    pgdbm_status status =
        pgdbm_fetch_value(session->db, "SELECT NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1::text)",
                          pgdbm_args(name), created, err);
    if (status == PGDBM_OK && *created)
        status =
            pgdbm__cli_run_made(session->db, "SELECT 'CREATE SCHEMA ' || quote_ident($1::text)", pgdbm_args(name), err);
    if (status != PGDBM_OK && (strcmp(err->sqlstate, "42P06") == 0 || strcmp(err->sqlstate, "23505") == 0)) {
        *created = false;
        status = PGDBM_OK;
    }
    return status;
}

static int create_all(const struct pgdbm__cli_session *session, const char *const *names, size_t n)
{
    pgdbm_error err = {0};
    pgdbm_status status = PGDBM_OK;
    json_t *made = json_array();
    json_t *there = json_array();
    for (size_t i = 0; status == PGDBM_OK && i < n; i++) {
        bool created = false;
        status = create_one(session, names[i], &created, &err);
        if (status != PGDBM_OK)
            break;
        json_array_append_new(created ? made : there, pgdbm__cli_json_text(names[i]));
        if (!created)
            pgdbm__cli_remark("the schema %s is there already", names[i]);
        else if (!session->json && !pgdbm__cli_settings.quiet)
            pgdbm__cli_print_line(stdout, "%s created", names[i]);
        if (created)
            remark_folding(session, names[i]);
    }
    json_t *answer = json_pack("{s:o, s:o}", "created", made, "there_already", there);
    if (status != PGDBM_OK)
        json_object_set_new(answer, "error", pgdbm__cli_json_error(&err));
    bool printed = !session->json || pgdbm__cli_print_json(json_incref(answer));
    json_decref(answer);
    if (status != PGDBM_OK)
        pgdbm__cli_say_library_error(&err);
    return status != PGDBM_OK ? pgdbm__cli_exit_code(&err, false) : printed ? CLI_FINE : CLI_FAILED;
}

static int check_names(const struct pgdbm__cli_session *session, const char *const *names, size_t n)
{
    int code = CLI_FINE;
    for (size_t i = 0; code == CLI_FINE && i < n; i++) {
        code = pgdbm__cli_name_check(session, "schema", names[i], true);
        if (code == CLI_FINE && pgdbm__cli_schema_is_system(names[i]))
            code = pgdbm__cli_session_refuse(session, CLI_USAGE, "pg_ and information_schema are PostgreSQL's own",
                                             "a schema cannot be called %s", names[i]);
    }
    return code;
}

static int check_given(const struct pgdbm__cli_session *session, bool all, const char *module, size_t n_names)
{
    int said = all + (module != NULL) + (n_names > 0);
    if (said != 1)
        return pgdbm__cli_session_refuse(
            session, CLI_USAGE, "give names, or --module for that of a module, or --all for those of all",
            "schema create: %s", said == 0 ? "which schemas?" : "names, --module and --all exclude each other");
    if (all && session->target.project.n_modules == 0)
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "modules are sections of pgdbm.conf: [modules.NAME]",
                                         "the project has no modules");
    return CLI_FINE;
}

static int create(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct pgdbm__cli_session session = {0};
    struct pgdbm__cli_places places = {0};
    const char *module = pgdbm__cli_value(command, given, "module");
    bool all = pgdbm__cli_value(command, given, "all") != NULL;
    const char *of_module = NULL;
    int code = pgdbm__cli_session_read(command, given, &session);
    if (code == CLI_FINE)
        code = check_given(&session, all, module, given->n_arguments);
    if (code == CLI_FINE && !pgdbm__cli_places_read(command, given, &session.target, &places))
        code = CLI_FAILED;
    if (code == CLI_FINE && module != NULL)
        code = pgdbm__cli_places_schema(&session, &places, module, &of_module);
    const char *const *names = module != NULL ? &of_module
                               : all          ? (const char *const *)places.schemas
                                              : (const char *const *)given->arguments;
    size_t n = module != NULL ? 1 : all ? places.n : given->n_arguments;
    if (code == CLI_FINE)
        code = check_names(&session, names, n);
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open(&session);
    if (code == CLI_FINE)
        code = create_all(&session, names, n);
    pgdbm__cli_places_free(&places);
    pgdbm__cli_session_close(&session);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_schema_list = {
    .group = "schema",
    .name = "list",
    .summary = "List the schemas, who owns them and whose modules live there",
    .description = "Without PostgreSQL's own. Schemas of the project's modules that are not made yet are listed as "
                   "missing.",
    .example = "pgdbm schema list --json",
    .options = list_options,
    .n_options = N_OF(list_options),
    .run = list,
};

const struct pgdbm__cli_command pgdbm__cli_schema_create = {
    .group = "schema",
    .name = "create",
    .summary = "Create schemas, or those of the project's modules",
    .description = "What is there already is passed over. Migrations make their schema themselves: this is for a role "
                   "that may do more than theirs.",
    .example = "pgdbm schema create --all",
    .argument = "[NAME...]",
    .max_arguments = SIZE_MAX,
    .arguments_optional = true,
    .options = create_options,
    .n_options = N_OF(create_options),
    .run = create,
};
