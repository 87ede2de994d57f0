/* SPDX-License-Identifier: MIT */
/* What the modules of a project say of each other: names that exist, no circles, an order. No state. */
#include "command.h"
#include "output.h"
#include "sections.h"

#include <stdlib.h>
#include <string.h>

static const struct pgdbm__cli_module *find(const struct pgdbm__cli_project *project, const char *name)
{
    for (size_t i = 0; i < project->n_modules; i++)
        if (strcmp(project->modules[i].name, name) == 0)
            return &project->modules[i];
    return NULL;
}

/* What was probably meant, as a hint into `hint`. */
static void suggest(const struct pgdbm__cli_project *project, const char *name, char *hint, size_t hint_bytes)
{
    const char **names = calloc(project->n_modules + 1, sizeof *names);
    for (size_t i = 0; names != NULL && i < project->n_modules; i++)
        names[i] = project->modules[i].name;
    const char *meant = names != NULL ? pgdbm__cli_suggest(name, names) : NULL;
    if (meant != NULL)
        snprintf(hint, hint_bytes, "did you mean %s?", meant);
    else
        snprintf(hint, hint_bytes, "write a section [modules.%.40s]", name);
    free(names);
}

const struct pgdbm__cli_module *pgdbm__cli_project_module(const struct pgdbm__cli_project *project, const char *name)
{
    const struct pgdbm__cli_module *module = find(project, name);
    char hint[128];
    if (module != NULL)
        return module;
    suggest(project, name, hint, sizeof hint);
    pgdbm__cli_say_error(hint, "%s has no module %.100s", project->file, name);
    return NULL;
}

static bool check_names(const struct pgdbm__cli_project *project, const struct pgdbm__cli_names *list)
{
    for (size_t i = 0; i < list->n_names; i++)
        if (find(project, list->names[i]) == NULL) {
            char hint[128];
            suggest(project, list->names[i], hint, sizeof hint);
            return pgdbm__cli_ini_wrong(&list->place, hint, "there is no module %.100s", list->names[i]);
        }
    return true;
}

static bool complete(const struct pgdbm__cli_project *project, struct pgdbm__cli_module *module)
{
    char *path = NULL;
    const char *written = module->migrations_path;
    int bytes = written == NULL     ? asprintf(&path, "%s/migrations/%s", project->directory, module->name)
                : written[0] == '/' ? asprintf(&path, "%s", written)
                                    : asprintf(&path, "%s/%s", project->directory, written);
    if (bytes < 0) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return false;
    }
    free(module->migrations_path);
    module->migrations_path = path;
    return true;
}

/* Where a module stands while they are ordered. */
enum mark { NEW = 0, OPEN, DONE };

/* A walk in depth, on a stack of its own: each module behind what it depends on. */
struct walk {
    const struct pgdbm__cli_project *project;
    enum mark *marks;
    size_t *path, *next; /* the modules that are open, and which of its dependencies each comes to next */
    size_t depth;
    struct pgdbm__cli_module *ordered;
    size_t n_ordered;
};

static bool say_circle(const struct walk *walk, size_t back_to)
{
    char text[400] = "";
    size_t length = 0;
    size_t from = 0;
    while (walk->path[from] != back_to)
        from++;
    for (size_t i = from; i < walk->depth && length < sizeof text - 1; i++)
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%s -> ", walk->project->modules[walk->path[i]].name);
    const struct pgdbm__cli_module *first = &walk->project->modules[back_to];
    return pgdbm__cli_ini_wrong(&first->depends_on.place,
                                "leave one of them out: a module is migrated after those it depends on",
                                "modules depend on each other in a circle: %s%s", text, first->name);
}

static bool visit(struct walk *walk, size_t start)
{
    const struct pgdbm__cli_module *modules = walk->project->modules;
    walk->path[0] = start;
    walk->next[0] = 0;
    walk->depth = walk->marks[start] == NEW;
    while (walk->depth > 0) {
        size_t at = walk->path[walk->depth - 1];
        const struct pgdbm__cli_names *needs = &modules[at].depends_on;
        size_t *next = &walk->next[walk->depth - 1];
        walk->marks[at] = OPEN;
        if (*next == needs->n_names) {
            walk->marks[at] = DONE;
            walk->ordered[walk->n_ordered++] = modules[at];
            walk->depth--;
            continue;
        }
        size_t needed = (size_t)(find(walk->project, needs->names[(*next)++]) - modules);
        if (walk->marks[needed] == OPEN)
            return say_circle(walk, needed);
        if (walk->marks[needed] == NEW) {
            walk->path[walk->depth] = needed;
            walk->next[walk->depth++] = 0;
        }
    }
    return true;
}

static bool put_into_order(struct pgdbm__cli_project *project)
{
    size_t n = project->n_modules;
    struct walk walk = {
        .project = project,
        .marks = calloc(n + 1, sizeof *walk.marks),
        .path = calloc(n + 1, sizeof *walk.path),
        .next = calloc(n + 1, sizeof *walk.next),
        .ordered = calloc(n + 1, sizeof *walk.ordered),
    };
    bool fine = walk.marks != NULL && walk.path != NULL && walk.next != NULL && walk.ordered != NULL;
    if (!fine)
        pgdbm__cli_say_error(NULL, "out of memory");
    for (size_t i = 0; fine && i < n; i++)
        fine = visit(&walk, i);
    if (fine && n > 0)
        memcpy(project->modules, walk.ordered, n * sizeof *walk.ordered);
    free(walk.marks);
    free(walk.path);
    free(walk.next);
    free(walk.ordered);
    return fine;
}

bool pgdbm__cli_modules_check(struct pgdbm__cli_project *project)
{
    for (size_t i = 0; i < project->n_modules; i++)
        if (!complete(project, &project->modules[i]) || !check_names(project, &project->modules[i].depends_on))
            return false;
    return check_names(project, &project->pooled) && put_into_order(project);
}
