/* SPDX-License-Identifier: MIT */
/* The sections and keys of pgdbm.conf as tables; everything else that stands in a file is an error with its line. No state
 * but the caller's. */
#include "sections.h"

#include "command.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>

enum kind { TEXT = 0, NUMBER, BOOLEAN, MODE, LIST };

/* A key of a section and where its value goes in the section's struct. */
struct key {
    const char *name;
    enum kind kind;
    size_t offset;
};

#define ENVIRONMENT(member) offsetof(struct pgdbm__cli_environment, member)
#define MODULE(member) offsetof(struct pgdbm__cli_module, member)
#define PROJECT(member) offsetof(struct pgdbm__cli_project, member)

static const struct key project_keys[] = {
    {"name", TEXT, PROJECT(name)}, {"default_env", TEXT, PROJECT(default_env)}, {0}};
static const struct key database_keys[] = {{"migrations_table", TEXT, PROJECT(migrations_table)}, {0}};
static const struct key environment_keys[] = {{"url", TEXT, ENVIRONMENT(url)},
                                              {"connection_string", TEXT, ENVIRONMENT(url)},
                                              {"host", TEXT, ENVIRONMENT(host)},
                                              {"port", NUMBER, ENVIRONMENT(port)},
                                              {"database", TEXT, ENVIRONMENT(database)},
                                              {"user", TEXT, ENVIRONMENT(user)},
                                              {"password", TEXT, ENVIRONMENT(password)},
                                              {"schema", TEXT, ENVIRONMENT(schema)},
                                              {"ssl_enabled", BOOLEAN, ENVIRONMENT(ssl_enabled)},
                                              {"ssl_mode", TEXT, ENVIRONMENT(ssl_mode)},
                                              {"ssl_ca_file", TEXT, ENVIRONMENT(ssl_ca_file)},
                                              {"ssl_cert_file", TEXT, ENVIRONMENT(ssl_cert_file)},
                                              {"ssl_key_file", TEXT, ENVIRONMENT(ssl_key_file)},
                                              {0}};
static const struct key module_keys[] = {{"migrations_path", TEXT, MODULE(migrations_path)},
                                         {"schema", TEXT, MODULE(schema)},
                                         {"mode", MODE, MODULE(mode)},
                                         {"per_schema", BOOLEAN, MODULE(per_schema)},
                                         {"depends_on", LIST, MODULE(depends_on)},
                                         {0}};
static const struct key pool_keys[] = {{"min_connections", NUMBER, PROJECT(min_connections)},
                                       {"max_connections", NUMBER, PROJECT(max_connections)},
                                       {"modules", LIST, PROJECT(pooled)},
                                       {0}};

enum { LONGEST_SECTIONS = 64 };

/* What the reading of a file is at. */
struct filling {
    struct pgdbm__cli_project *project;
    char (*seen)[LONGEST_SECTIONS]; /* the sections so far */
    size_t n_seen;
    const struct key *keys; /* of the section at hand */
    char *into;             /* its struct */
};

static bool out_of_memory(void)
{
    pgdbm__cli_say_error(NULL, "out of memory");
    return false;
}

/* `array` of `n` elements of `bytes`, one longer, the new one zero; NULL: out of memory, and said so. */
static void *grow(void *array, size_t n, size_t bytes)
{
    char *longer = realloc(array, (n + 1) * bytes);
    if (longer == NULL)
        out_of_memory();
    else
        memset(longer + n * bytes, 0, bytes);
    return longer;
}

#define NAME_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* "${NAME}" replaced by the environment's values; the caller's, NULL after having said what is wrong. */
static char *expand(const char *text, const struct pgdbm__cli_ini_place *place)
{
    char *expanded = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&expanded, &bytes);
    bool fine = out != NULL || out_of_memory();
    while (fine && *text != '\0') {
        const char *end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        char name[128];
        if (strncmp(text, "${", 2) != 0) {
            putc(*text++, out);
            continue;
        }
        size_t length = end != NULL ? (size_t)(end - text) - 2 : 0;
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1), text + 2);
        const char *value = length > 0 && length < sizeof name ? getenv(name) : NULL;
        if (end == NULL)
            fine = pgdbm__cli_ini_wrong(place, "write ${NAME}", "a ${ without its }");
        else if (strspn(text + 2, NAME_LETTERS) != length || length == 0)
            /* Not repeated: what stands there may be half of a password. */
            fine = pgdbm__cli_ini_wrong(place, "write ${NAME}, of letters, digits and _", "a ${} without a name");
        else if (value == NULL)
            fine = pgdbm__cli_ini_wrong(place, "set it, or write the value itself",
                                        "the environment has no variable %s", name);
        else {
            fputs(value, out);
            text = end + 1;
        }
    }
    if (out != NULL && fclose(out) != 0)
        fine = fine && out_of_memory();
    if (!fine) {
        free(expanded);
        expanded = NULL;
    }
    return expanded;
}

/* Whether it is a value of its kind. One that has a variable in it is looked at when that is known. */
static bool fits(enum kind kind, const char *value)
{
    static const char *const booleans[] = {"true", "false", NULL};
    static const char *const modes[] = {"dual", "standalone", "library", NULL};
    if (strstr(value, "${") != NULL || kind == TEXT || kind == LIST)
        return true;
    if (kind == NUMBER)
        return value[0] != '\0' && strlen(value) <= 9 && value[strspn(value, "0123456789")] == '\0';
    for (const char *const *word = kind == MODE ? modes : booleans; *word != NULL; word++)
        if (strcmp(*word, value) == 0)
            return true;
    return false;
}

static bool wrong_kind(enum kind kind, const char *key, const struct pgdbm__cli_ini_place *place)
{
    static const char *const hints[] = {
        [TEXT] = "a single text is meant",
        [NUMBER] = "a whole number is meant",
        [BOOLEAN] = "true or false is meant",
        [MODE] = "standalone, library or dual is meant",
        [LIST] = "a list is meant: [\"users\", \"orders\"]",
    };
    return pgdbm__cli_ini_wrong(place, hints[kind], "%s has a value that it cannot have", key);
}

static bool take_list(struct pgdbm__cli_names *list, const char *key, const struct pgdbm__cli_ini_value *value,
                      const struct pgdbm__cli_ini_place *place)
{
    if (list->names != NULL)
        return pgdbm__cli_ini_wrong(place, "keep one of the lines", "%s is there twice", key);
    list->place = *place;
    list->names = calloc(value->n_items + 1, sizeof *list->names);
    for (size_t i = 0; list->names != NULL && i < value->n_items; i++) {
        list->names[i] = expand(value->items[i], place);
        if (list->names[i] == NULL)
            return false;
        list->n_names++;
    }
    return list->names != NULL || out_of_memory();
}

static bool take_value(struct filling *filling, const struct key *key, const struct pgdbm__cli_ini_value *value,
                       const struct pgdbm__cli_ini_place *place)
{
    void *into = filling->into + key->offset;
    if (key->kind == LIST)
        return take_list(into, key->name, value, place);
    char **text = into;
    if (value->list || value->n_items != 1 || !fits(key->kind, value->items[0]))
        return wrong_kind(key->kind, key->name, place);
    if (*text != NULL)
        return pgdbm__cli_ini_wrong(place,
                                    filling->keys == environment_keys && key->offset == ENVIRONMENT(url)
                                        ? "url and connection_string are one"
                                        : "keep one of the two lines",
                                    "%s is there twice", key->name);
    if (filling->keys == environment_keys)
        ((struct pgdbm__cli_environment *)(void *)filling->into)->lines[key - environment_keys] = place->line;
    /* The variables of environments that are not chosen need not be there: those of production are not, elsewhere. */
    *text = filling->keys == environment_keys ? strdup(value->items[0]) : expand(value->items[0], place);
    if (*text != NULL && !fits(key->kind, *text))
        return wrong_kind(key->kind, key->name, place);
    if (key->offset == PROJECT(default_env) && filling->keys == project_keys)
        filling->project->default_env_place = *place;
    return *text != NULL || (filling->keys == environment_keys && out_of_memory());
}

/* Whether `section` is "<head>.<name>"; then where the name begins. */
static const char *name_behind(const char *section, const char *head)
{
    size_t bytes = strlen(head);
    return strncmp(section, head, bytes) == 0 && section[bytes] == '.' ? section + bytes + 1 : NULL;
}

static bool begin_environment(struct filling *filling, const char *name, const struct pgdbm__cli_ini_place *place)
{
    struct pgdbm__cli_project *project = filling->project;
    struct pgdbm__cli_environment *longer =
        grow(project->environments, project->n_environments, sizeof *project->environments);
    if (longer == NULL)
        return false;
    project->environments = longer;
    longer += project->n_environments++;
    longer->name = strdup(name);
    longer->place = *place;
    filling->keys = environment_keys;
    filling->into = (char *)longer;
    return longer->name != NULL || out_of_memory();
}

static bool begin_module(struct filling *filling, const char *name, const struct pgdbm__cli_ini_place *place)
{
    struct pgdbm__cli_project *project = filling->project;
    struct pgdbm__cli_module *longer = grow(project->modules, project->n_modules, sizeof *project->modules);
    if (longer == NULL)
        return false;
    project->modules = longer;
    longer += project->n_modules++;
    longer->name = strdup(name);
    longer->place = *place;
    filling->keys = module_keys;
    filling->into = (char *)longer;
    return longer->name != NULL || out_of_memory();
}

static bool begin_section(struct filling *filling, const char *section, const struct pgdbm__cli_ini_place *place)
{
    static const char *const known[] = {"project", "database", "environments.dev", "modules.NAME", "shared_pool", NULL};
    for (size_t i = 0; i < filling->n_seen; i++)
        if (strcmp(filling->seen[i], section) == 0)
            return pgdbm__cli_ini_wrong(place, "put its keys into one", "the section [%s] is there twice", section);
    char(*longer)[LONGEST_SECTIONS] = grow(filling->seen, filling->n_seen, sizeof *filling->seen);
    if (longer == NULL)
        return false;
    filling->seen = longer;
    snprintf(filling->seen[filling->n_seen++], LONGEST_SECTIONS, "%s", section);
    const char *environment = name_behind(section, "environments");
    const char *module = name_behind(section, "modules");
    const char *name = environment != NULL ? environment : module;
    if (name != NULL && (name[0] == '\0' || strchr(name, '.') != NULL))
        return pgdbm__cli_ini_wrong(place, "names have no dots", "malformed section: [%s]", section);
    if (environment != NULL)
        return begin_environment(filling, name, place);
    if (module != NULL)
        return begin_module(filling, name, place);
    filling->keys = strcmp(section, "project") == 0       ? project_keys
                    : strcmp(section, "database") == 0    ? database_keys
                    : strcmp(section, "shared_pool") == 0 ? pool_keys
                                                          : NULL;
    filling->into = (char *)filling->project;
    /* A table of TOML that only holds tables may be written down. */
    if (filling->keys != NULL || strcmp(section, "modules") == 0 || strcmp(section, "environments") == 0)
        return true;
    char hint[128];
    const char *meant = pgdbm__cli_suggest(section, known);
    snprintf(hint, sizeof hint,
             meant != NULL ? "did you mean [%s]?"
                           : "sections are [project], [database], "
                             "[environments.NAME], [modules.NAME] and [shared_pool]",
             meant);
    return pgdbm__cli_ini_wrong(place, hint, "unknown section: [%s]", section);
}

/* For pgdbm__cli_ini_read. */
static bool take(void *context, const char *section, const char *key, const struct pgdbm__cli_ini_value *value,
                 const struct pgdbm__cli_ini_place *place)
{
    struct filling *filling = context;
    const char *candidates[24] = {NULL};
    size_t n = 0;
    if (key == NULL)
        return begin_section(filling, section, place);
    for (const struct key *known = filling->keys; known != NULL && known->name != NULL; known++) {
        if (strcmp(known->name, key) == 0)
            return take_value(filling, known, value, place);
        candidates[n++] = known->name;
    }
    char hint[96];
    const char *meant = pgdbm__cli_suggest(key, candidates);
    snprintf(hint, sizeof hint, meant != NULL ? "did you mean %s?" : "docs/cli.md lists what may stand there", meant);
    if (section[0] == '\0')
        return pgdbm__cli_ini_wrong(place, "put it behind a line as [project]", "a key before any section: %s", key);
    return pgdbm__cli_ini_wrong(place, hint, "unknown key in [%s]: %s", section, key);
}

bool pgdbm__cli_sections_read(struct pgdbm__cli_project *project, FILE *file)
{
    struct filling filling = {.project = project};
    bool read = pgdbm__cli_ini_read(file, project->file, take, &filling);
    free(filling.seen);
    return read;
}

bool pgdbm__cli_environment_expand(struct pgdbm__cli_environment *environment)
{
    for (const struct key *key = environment_keys; key->name != NULL; key++) {
        char **text = (char **)((char *)environment + key->offset);
        /* url and connection_string are one place: it is expanded once, or what a variable holds would be, too. */
        if (*text == NULL || strcmp(key->name, "connection_string") == 0)
            continue;
        struct pgdbm__cli_ini_place place = environment->place;
        size_t line = environment->lines[key - environment_keys];
        if (line == 0 && key == environment_keys)
            line = environment->lines[1]; /* it was called connection_string */
        place.line = line > 0 ? line : place.line;
        char *expanded = expand(*text, &place);
        if (expanded == NULL)
            return false;
        free(*text);
        *text = expanded;
        if (!fits(key->kind, expanded))
            return wrong_kind(key->kind, key->name, &place);
    }
    return true;
}

static void free_section(void *section, const struct key *keys)
{
    for (const struct key *key = keys; key->name != NULL; key++) {
        void *at = (char *)section + key->offset;
        if (key->kind == LIST) {
            struct pgdbm__cli_names *list = at;
            for (size_t i = 0; i < list->n_names; i++)
                free(list->names[i]);
            free(list->names);
            *list = (struct pgdbm__cli_names){0};
        } else {
            char **text = at;
            free(*text);
            *text = NULL;
        }
    }
}

void pgdbm__cli_sections_free(struct pgdbm__cli_project *project)
{
    for (size_t i = 0; i < project->n_environments; i++) {
        free_section(&project->environments[i], environment_keys);
        free(project->environments[i].name);
    }
    for (size_t i = 0; i < project->n_modules; i++) {
        free_section(&project->modules[i], module_keys);
        free(project->modules[i].name);
    }
    free(project->environments);
    free(project->modules);
    free_section(project, project_keys);
    free_section(project, database_keys);
    free_section(project, pool_keys);
}
