/* SPDX-License-Identifier: MIT */
/* `pgdbm schema deps`: what modules say they depend on, and what the foreign keys of the database say. No state. */
#include "output.h"
#include "schema.h"

#include <stdlib.h>
#include <string.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

static const char *const formats[] = {"text", "json", "dot", NULL};

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
    {"format", "FORMAT", formats, "text, json, or dot for Graphviz (default: text)"},
    {"database", NULL, NULL,
     "Compare with the foreign keys between schemas; the exit code is 3 when one is not declared"},
};

/* Zero-initialise. */
struct deps {
    struct pgdbm__cli_session session;
    struct pgdbm__cli_places places;
    pgdbm_result *keys;    /* NULL: without the database */
    const char **declared; /* of each key: "yes", "no", or "" where a side is of no module */
    size_t n_undeclared;
};

static const char keys_query[] =
    "SELECT n.nspname AS schema, c.relname AS \"table\", conname AS \"constraint\", rn.nspname AS to_schema,"
    " rc.relname AS to_table FROM pg_constraint k"
    " JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_class rc ON rc.oid = confrelid JOIN pg_namespace rn ON rn.oid = rc.relnamespace"
    " WHERE contype = 'f' AND n.oid <> rn.oid AND conparentid = 0 ORDER BY 1, 2, 3";

/* Whether a module of the one schema depends on one of the other, over however many in between. Dependencies come before those
 * who have them, so that one walk from the end is enough. */
static const char *is_declared(const struct deps *deps, const char *from, const char *to, bool *reached)
{
    const struct pgdbm__cli_project *project = &deps->session.target.project;
    bool starts = false;
    bool ends = false;
    bool arrives = false;
    memset(reached, 0, project->n_modules * sizeof *reached);
    for (size_t i = project->n_modules; i-- > 0;) {
        bool is_end = strcmp(deps->places.schemas[i], to) == 0;
        bool is_start = strcmp(deps->places.schemas[i], from) == 0;
        const struct pgdbm__cli_names *needs = &project->modules[i].depends_on;
        starts = starts || is_start;
        ends = ends || is_end;
        arrives = arrives || (is_end && reached[i]);
        for (size_t need = 0; (is_start || reached[i]) && need < needs->n_names; need++)
            for (size_t k = 0; k < i; k++)
                reached[k] = reached[k] || strcmp(project->modules[k].name, needs->names[need]) == 0;
    }
    return !starts || !ends ? "" : arrives ? "yes" : "no";
}

static int compare_keys(struct deps *deps)
{
    size_t n = pgdbm_result_rows(deps->keys);
    bool *reached = calloc(deps->places.n + 1, sizeof *reached);
    deps->declared = calloc(n + 1, sizeof *deps->declared);
    bool fine = reached != NULL && deps->declared != NULL;
    if (!fine)
        pgdbm__cli_say_error(NULL, "out of memory");
    for (size_t i = 0; fine && i < n; i++) {
        deps->declared[i] = is_declared(deps, pgdbm__cli_text_at(deps->keys, i, "schema"),
                                        pgdbm__cli_text_at(deps->keys, i, "to_schema"), reached);
        deps->n_undeclared += strcmp(deps->declared[i], "no") == 0;
    }
    free(reached);
    return fine ? CLI_FINE : CLI_FAILED;
}

static int fetch_keys(struct deps *deps)
{
    pgdbm_error err = {0};
    int code = pgdbm__cli_session_open(&deps->session);
    if (code == CLI_FINE && pgdbm_fetch_all(deps->session.db, keys_query, pgdbm_no_args, &deps->keys, &err) != PGDBM_OK)
        code = pgdbm__cli_session_fail(&deps->session, &err, false);
    return code == CLI_FINE ? compare_keys(deps) : code;
}

static bool print_modules(const struct deps *deps)
{
    static const char *const headings[] = {"MODULE", "SCHEMA", "DEPENDS ON"};
    const struct pgdbm__cli_project *project = &deps->session.target.project;
    struct pgdbm__cli_cell *cells = calloc(project->n_modules + 1, N_OF(headings) * sizeof *cells);
    char **needs = calloc(project->n_modules + 1, sizeof *needs);
    bool fine = cells != NULL && needs != NULL;
    for (size_t i = 0; fine && i < project->n_modules; i++) {
        size_t bytes = 0;
        FILE *out = open_memstream(&needs[i], &bytes);
        const struct pgdbm__cli_names *names = &project->modules[i].depends_on;
        for (size_t k = 0; out != NULL && k < names->n_names; k++)
            fprintf(out, "%s%s", k > 0 ? ", " : "", names->names[k]);
        fine = out != NULL && fclose(out) == 0;
        cells[N_OF(headings) * i].text = project->modules[i].name;
        cells[N_OF(headings) * i + 1].text = deps->places.schemas[i];
        cells[N_OF(headings) * i + 2].text = needs[i];
    }
    if (!fine)
        pgdbm__cli_say_error(NULL, "out of memory");
    else if (project->n_modules > 0)
        pgdbm__cli_print_table(headings, N_OF(headings), cells, project->n_modules);
    for (size_t i = 0; needs != NULL && i < project->n_modules; i++)
        free(needs[i]);
    free(needs);
    free(cells);
    return fine;
}

static int print_text(const struct deps *deps)
{
    if (!print_modules(deps))
        return CLI_FAILED;
    size_t n = pgdbm_result_rows(deps->keys);
    if (n == 0 && deps->places.n == 0)
        printf("no modules, and no foreign keys between schemas\n");
    if (n > 0)
        printf("%sForeign keys between schemas\n", deps->places.n > 0 ? "\n" : "");
    for (size_t i = 0; i < n; i++) {
        bool undeclared = strcmp(deps->declared[i], "no") == 0;
        fputs(undeclared ? pgdbm__cli_style_on(stdout, CLI_RED) : "", stdout);
        pgdbm__cli_print_line(stdout, "  %s.%s -> %s.%s  %s%s", pgdbm__cli_text_at(deps->keys, i, "schema"),
                              pgdbm__cli_text_at(deps->keys, i, "table"),
                              pgdbm__cli_text_at(deps->keys, i, "to_schema"),
                              pgdbm__cli_text_at(deps->keys, i, "to_table"),
                              pgdbm__cli_text_at(deps->keys, i, "constraint"), undeclared ? "  not declared" : "");
        fputs(undeclared ? pgdbm__cli_style_off(stdout) : "", stdout);
    }
    if (deps->n_undeclared > 0)
        pgdbm__cli_remark(
            "depends_on in pgdbm.conf does not say what %zu foreign keys need: the modules may be migrated in the "
            "wrong order",
            deps->n_undeclared);
    return CLI_FINE;
}

static int print_json(const struct deps *deps)
{
    static const char *const columns[] = {"schema", "table", "constraint", "to_schema", "to_table", NULL};
    const struct pgdbm__cli_project *project = &deps->session.target.project;
    json_t *modules = json_array();
    for (size_t i = 0; i < project->n_modules; i++) {
        json_t *needs = json_array();
        for (size_t k = 0; k < project->modules[i].depends_on.n_names; k++)
            json_array_append_new(needs, pgdbm__cli_json_text(project->modules[i].depends_on.names[k]));
        json_array_append_new(modules, json_pack("{s:s, s:o, s:o}", "module", project->modules[i].name, "schema",
                                                 pgdbm__cli_json_text(deps->places.schemas[i]), "depends_on", needs));
    }
    json_t *answer = json_pack("{s:o}", "modules", modules);
    if (deps->keys != NULL) {
        json_t *keys = pgdbm__cli_json_rows(deps->keys, columns);
        for (size_t i = 0; i < json_array_size(keys); i++)
            json_object_set_new(json_array_get(keys, i), "declared",
                                deps->declared[i][0] != '\0' ? json_boolean(strcmp(deps->declared[i], "yes") == 0)
                                                             : json_null());
        json_object_set_new(answer, "foreign_keys", keys);
    }
    return pgdbm__cli_session_answer(answer);
}

/* A text of Graphviz's. */
static void print_dot_text(const char *text, const char *more)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    printf("%s\"", more);
}

static int print_dot(const struct deps *deps)
{
    const struct pgdbm__cli_project *project = &deps->session.target.project;
    printf("digraph modules {\n");
    for (size_t i = 0; i < project->n_modules; i++) {
        printf("    \"%s\";\n", project->modules[i].name);
        for (size_t k = 0; k < project->modules[i].depends_on.n_names; k++)
            printf("    \"%s\" -> \"%s\";\n", project->modules[i].name, project->modules[i].depends_on.names[k]);
    }
    for (size_t i = 0; i < pgdbm_result_rows(deps->keys); i++) {
        printf("    ");
        print_dot_text(pgdbm__cli_text_at(deps->keys, i, "schema"), " (schema)");
        printf(" -> ");
        print_dot_text(pgdbm__cli_text_at(deps->keys, i, "to_schema"), " (schema)");
        printf(" [style=dashed, label=");
        print_dot_text(pgdbm__cli_text_at(deps->keys, i, "constraint"), "");
        printf("%s];\n", strcmp(deps->declared[i], "no") == 0 ? ", color=red" : "");
    }
    printf("}\n");
    return CLI_FINE;
}

static int deps(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct deps deps = {0};
    const char *format = pgdbm__cli_value(command, given, "format");
    bool database = pgdbm__cli_value(command, given, "database") != NULL;
    int code = pgdbm__cli_session_read(command, given, &deps.session);
    if (code == CLI_FINE && deps.session.json && format != NULL && strcmp(format, "json") != 0)
        code = pgdbm__cli_session_refuse(&deps.session, CLI_USAGE, "keep one of them",
                                         "schema deps: --json and --format %s", format);
    if (code == CLI_FINE && deps.session.target.project.n_modules == 0 && !database)
        code = pgdbm__cli_session_refuse(
            &deps.session, CLI_USAGE,
            "modules are sections of pgdbm.conf, [modules.NAME]; --database looks at foreign keys",
            "the project has no modules");
    deps.session.json = deps.session.json || (format != NULL && strcmp(format, "json") == 0);
    if (code == CLI_FINE && !pgdbm__cli_places_read(command, given, &deps.session.target, &deps.places))
        code = CLI_FAILED;
    if (code == CLI_FINE && database)
        code = fetch_keys(&deps);
    if (code == CLI_FINE)
        code = deps.session.json                              ? print_json(&deps)
               : format != NULL && strcmp(format, "dot") == 0 ? print_dot(&deps)
                                                              : print_text(&deps);
    if (code == CLI_FINE && deps.n_undeclared > 0)
        code = CLI_PENDING;
    free(deps.declared);
    pgdbm_result_free(deps.keys);
    pgdbm__cli_places_free(&deps.places);
    pgdbm__cli_session_close(&deps.session);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_schema_deps = {
    .group = "schema",
    .name = "deps",
    .summary = "Show which modules depend on which, in the order of migrations",
    .description =
        "From pgdbm.conf alone; nothing is contacted. With --database also the foreign keys from schema to schema, "
        "and whether depends_on says the same.",
    .example = "pgdbm schema deps --format dot | dot -Tsvg >modules.svg",
    .options = options,
    .n_options = N_OF(options),
    .run = deps,
};
