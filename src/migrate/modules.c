/* SPDX-License-Identifier: MIT */
/* Several modules together: what each needs of the others is read from the targets and their files, checked against files and
 * histories, and put into an order; only then does the first one run. Nothing outlives the call but the reports. */
#include "migrate/heads.h"
#include "migrate/requires.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sql/identifier.h"

#include <pgdbm/migrate.h>
#include <stdio.h>
#include <string.h>

#define FUNCTION "pgdbm_migrate_modules"

struct member {
    pgdbm_migration_target target;
    const char *schema;
    char table[PGDBM__IDENTIFIER_BYTES];
    struct pgdbm__migration_set set;
};

struct modules {
    struct member *members;
    const char **names;
    size_t n;
    struct pgdbm__dependency *dependencies;
    size_t n_dependencies, capacity;
    size_t *order;
    size_t at_fault; /* whose files or settings are wrong; n when it is nobody's alone */
};

/* What a module needs of another. */
struct need {
    size_t dependant;
    const char *module;
    const char *version;                      /* NULL: any */
    const struct pgdbm__migration_file *file; /* that says so; NULL: depends_on does */
    size_t line;
};

static void modules_free(struct modules *modules)
{
    for (size_t i = 0; modules->members != NULL && i < modules->n; i++)
        pgdbm__migration_set_free(&modules->members[i].set);
    pgdbm__free(modules->members);
    pgdbm__free(modules->names);
    pgdbm__free(modules->dependencies);
    pgdbm__free(modules->order);
}

static pgdbm_status load_member(struct member *member, const void *target, size_t target_bytes, pgdbm_error *err)
{
    memcpy(&member->target, target, target_bytes < sizeof member->target ? target_bytes : sizeof member->target);
    const pgdbm_migrate_options *options = &member->target.options;
    if (member->target.db == NULL || options->migrations == NULL || options->module == NULL)
        return pgdbm__fail_null(err, FUNCTION,
                                member->target.db == NULL     ? "targets->db"
                                : options->migrations == NULL ? "targets->options.migrations"
                                                              : "targets->options.module");
    if (member->target.depends_on == NULL && member->target.n_depends_on > 0)
        return pgdbm__fail_null(err, FUNCTION, "targets->depends_on");
    member->schema = pgdbm_schema(member->target.db);
    if (member->schema == NULL)
        member->schema = "public";
    const char *table = options->table != NULL ? options->table : "schema_migrations";
    pgdbm_status status = pgdbm__identifier_fold(table, strlen(table), "history table", member->table, err);
    if (status == PGDBM_OK)
        status =
            pgdbm__migration_set_load(&member->set, options->migrations, &options->policies, options->allow_empty, err);
    return status;
}

/* The targets' structure may be an older, shorter one. */
static pgdbm_status modules_init(struct modules *modules, const pgdbm_migration_target *targets, size_t target_bytes,
                                 size_t n_targets, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    modules->n = n_targets;
    modules->at_fault = n_targets;
    modules->members = pgdbm__alloc_zero(n_targets, sizeof *modules->members);
    modules->names = pgdbm__alloc_zero(n_targets, sizeof *modules->names);
    modules->order = pgdbm__alloc_zero(n_targets, sizeof *modules->order);
    if (modules->members == NULL || modules->names == NULL || modules->order == NULL)
        return pgdbm__fail_nomem(err, "reading modules");
    for (size_t i = 0; status == PGDBM_OK && i < n_targets; i++) {
        status = load_member(&modules->members[i], (const char *)targets + i * target_bytes, target_bytes, err);
        modules->names[i] = modules->members[i].target.options.module;
        if (status != PGDBM_OK)
            modules->at_fault = i;
    }
    return status;
}

static bool add_dependency(struct modules *modules, size_t dependant, size_t provider)
{
    if (modules->n_dependencies == modules->capacity) {
        size_t capacity = modules->capacity > 0 ? modules->capacity * 2 : 16;
        struct pgdbm__dependency *grown = pgdbm__realloc(modules->dependencies, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        modules->dependencies = grown;
        modules->capacity = capacity;
    }
    modules->dependencies[modules->n_dependencies++] = (struct pgdbm__dependency){dependant, provider};
    return true;
}

/* The higher of two numbers, either of which may be NULL. */
static const char *higher(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == NULL ? b : a;
    return pgdbm__migration_version_compare(a, b) >= 0 ? a : b;
}

/* The highest number that a run of this target comes to by its files; NULL when it has none. */
static const char *newest_of(const struct member *member)
{
    const char *target = member->target.options.target;
    const char *newest = NULL;
    for (size_t i = 0; i < member->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &member->set.files[i];
        if (!file->repeatable && (target == NULL || pgdbm__migration_version_compare(file->version, target) <= 0))
            newest = higher(newest, file->version);
    }
    return newest;
}

/* What was found out about a module that is needed. */
struct finding {
    bool among_targets;
    const char *newest; /* of the targets' files; NULL */
    struct pgdbm__module_head head;
};

static pgdbm_status read_head(const struct member *member, const char *module, struct finding *finding,
                              pgdbm_error *err)
{
    return pgdbm__module_head_add(member->target.db, member->schema, member->table, module, &finding->head, err);
}

/* The same history as an earlier target's. */
static bool was_read(const struct modules *modules, size_t at)
{
    const struct member *member = &modules->members[at];
    for (size_t i = 0; i < at; i++)
        if (strcmp(modules->members[i].schema, member->schema) == 0 &&
            strcmp(modules->members[i].table, member->table) == 0 &&
            pgdbm_pool_of(modules->members[i].target.db) == pgdbm_pool_of(member->target.db))
            return true;
    return false;
}

/* Looks in the dependant's own schema, and where that has nothing of it, in those of the others. */
static pgdbm_status look_into_histories(const struct modules *modules, const struct need *need, struct finding *finding,
                                        pgdbm_error *err)
{
    pgdbm_status status = read_head(&modules->members[need->dependant], need->module, finding, err);
    bool here = finding->head.found;
    for (size_t i = 0; status == PGDBM_OK && !here && i < modules->n; i++)
        if (!was_read(modules, i))
            status = read_head(&modules->members[i], need->module, finding, err);
    return status;
}

static bool is_met(const struct need *need, const struct finding *finding)
{
    if (need->version == NULL)
        return finding->among_targets || finding->head.found;
    return (finding->newest != NULL && pgdbm__migration_version_compare(finding->newest, need->version) >= 0) ||
           (finding->head.found && pgdbm__migration_version_compare(finding->head.version, need->version) >= 0);
}

static pgdbm_status fail_unmet(const struct modules *modules, const struct need *need, const struct finding *finding,
                               pgdbm_error *err)
{
    const char *dependant = modules->names[need->dependant];
    const char *least = need->version != NULL ? " >= " : "";
    const char *version = need->version != NULL ? need->version : "";
    char place[PGDBM__FILENAME_LIMIT + 64] = "depends_on";
    if (need->file != NULL)
        snprintf(place, sizeof place, "migration %s, line %zu", need->file->filename, need->line);
    if (!finding->among_targets && !finding->head.found) {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION,
                    "module %s needs %s%s%s (%s), which is neither among the modules to migrate nor in a history",
                    dependant, need->module, least, version, place);
        pgdbm__error_hint(err, "correct the name, or add %s to the modules that are migrated together", need->module);
        return PGDBM_ERR_MIGRATION;
    }
    pgdbm__fail(err, PGDBM_ERR_MIGRATION, "module %s needs %s%s%s (%s), and %s is at %s", dependant, need->module,
                least, version, place, need->module,
                finding->head.version[0] != '\0' ? finding->head.version : "no number yet");
    pgdbm__error_detail(err, "the newest of its files here is %s", finding->newest != NULL ? finding->newest : "none");
    pgdbm__error_hint(err, finding->among_targets ? "bring the files of %s up to that number" : "migrate %s first",
                      need->module);
    return PGDBM_ERR_MIGRATION;
}

/* Where a module is migrated in several schemas together, the one in the same schema is meant. */
static bool is_provider(const struct modules *modules, const struct need *need, size_t at, bool neighbour)
{
    const struct member *member = &modules->members[at];
    return strcmp(modules->names[at], need->module) == 0 &&
           (!neighbour || strcmp(member->schema, modules->members[need->dependant].schema) == 0);
}

static bool has_neighbour(const struct modules *modules, const struct need *need)
{
    for (size_t i = 0; i < modules->n; i++)
        if (is_provider(modules, need, i, true))
            return true;
    return false;
}

static pgdbm_status meet(struct modules *modules, const struct need *need, pgdbm_error *err)
{
    struct finding finding = {0};
    pgdbm_status status = PGDBM_OK;
    bool neighbour = has_neighbour(modules, need);
    for (size_t i = 0; status == PGDBM_OK && i < modules->n; i++) {
        if (!is_provider(modules, need, i, neighbour))
            continue;
        if (!add_dependency(modules, need->dependant, i))
            return pgdbm__fail_nomem(err, "ordering modules");
        finding.newest = higher(finding.newest, newest_of(&modules->members[i]));
        finding.among_targets = true;
    }
    for (size_t i = 0; status == PGDBM_OK && finding.among_targets && !is_met(need, &finding) && i < modules->n; i++)
        if (is_provider(modules, need, i, neighbour))
            status = read_head(&modules->members[i], need->module, &finding, err);
    if (status == PGDBM_OK && !finding.among_targets)
        status = look_into_histories(modules, need, &finding, err);
    if (status == PGDBM_OK && !is_met(need, &finding))
        status = fail_unmet(modules, need, &finding, err);
    return status;
}

/* Whether another line of this target's files asks for as much of the module: one look is enough. */
static bool is_asked_for_elsewhere(const struct member *member, const struct pgdbm__migration_requirement *wanted)
{
    bool before = true;
    for (size_t i = 0; i < member->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &member->set.files[i];
        for (size_t k = 0; k < file->n_requires; k++) {
            const struct pgdbm__migration_requirement *other = &file->requires[k];
            if (other == wanted)
                before = false;
            else if (strcmp(other->module, wanted->module) == 0) {
                int order = pgdbm__migration_version_compare(other->version, wanted->version);
                if (order > 0 || (order == 0 && before))
                    return true;
            }
        }
    }
    return false;
}

static pgdbm_status meet_all_of(struct modules *modules, size_t dependant, pgdbm_error *err)
{
    const struct member *member = &modules->members[dependant];
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < member->target.n_depends_on; i++) {
        struct need need = {.dependant = dependant, .module = member->target.depends_on[i]};
        status = need.module != NULL ? meet(modules, &need, err)
                                     : pgdbm__fail_null(err, FUNCTION, "a module's name in depends_on");
    }
    for (size_t i = 0; status == PGDBM_OK && i < member->set.n_files; i++) {
        const struct pgdbm__migration_file *file = &member->set.files[i];
        for (size_t k = 0; status == PGDBM_OK && k < file->n_requires; k++) {
            const struct pgdbm__migration_requirement *wanted = &file->requires[k];
            struct need need = {dependant, wanted->module, wanted->version, file, wanted->line};
            if (!is_asked_for_elsewhere(member, wanted))
                status = meet(modules, &need, err);
        }
    }
    if (status != PGDBM_OK)
        modules->at_fault = dependant;
    return status;
}

static pgdbm_status prepare(struct modules *modules, const pgdbm_migration_target *targets, size_t target_bytes,
                            size_t n_targets, pgdbm_error *err)
{
    pgdbm_status status = modules_init(modules, targets, target_bytes, n_targets, err);
    for (size_t i = 0; status == PGDBM_OK && i < n_targets; i++)
        status = meet_all_of(modules, i, err);
    if (status == PGDBM_OK)
        status = pgdbm__modules_order(modules->names, n_targets, modules->dependencies, modules->n_dependencies,
                                      modules->order, err);
    return status;
}

pgdbm_status pgdbm_migrate_modules_sized(const pgdbm_migration_target *targets, size_t target_bytes, size_t n_targets,
                                         pgdbm_migration_report **reports, size_t *failed, pgdbm_error *err)
{
    struct modules modules = {0};
    if (failed != NULL)
        *failed = n_targets;
    for (size_t i = 0; reports != NULL && i < n_targets; i++)
        reports[i] = NULL;
    if (targets == NULL && n_targets > 0)
        return pgdbm__fail_null(err, FUNCTION, "targets");
    pgdbm_status status = prepare(&modules, targets, target_bytes, n_targets, err);
    for (size_t i = 0; status == PGDBM_OK && i < n_targets; i++) {
        size_t at = modules.order[i];
        const pgdbm_migration_target *target = &modules.members[at].target;
        status = pgdbm__migrate_ordered(target->db, &target->options, reports != NULL ? &reports[at] : NULL, err);
        if (status != PGDBM_OK)
            modules.at_fault = at;
    }
    if (status != PGDBM_OK && failed != NULL)
        *failed = modules.at_fault;
    modules_free(&modules);
    return status;
}
