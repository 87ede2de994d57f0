/* SPDX-License-Identifier: MIT */
/* Ordering modules: a walk in depth that puts a module down once all its providers are. No state, any thread. */
#include "migrate/requires.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

/* A circle of more modules is cut in the middle of the sentence, not in the message's last byte. */
#define SHOWN_BYTES ((size_t)400)

struct walk {
    const char *const *names;
    size_t n;
    size_t *first;     /* n + 1: where a module's providers begin */
    size_t *providers; /* of all modules, one after the other */
    size_t *next;      /* n: which of its providers comes next */
    size_t *path;      /* n: the modules that wait for each other, the last one being looked at */
    size_t depth;
    bool *waiting, *down; /* n: it is on the path; it is in the order */
    size_t *order;
    size_t n_down;
};

static void walk_free(struct walk *walk)
{
    pgdbm__free(walk->first);
    pgdbm__free(walk->providers);
    pgdbm__free(walk->next);
    pgdbm__free(walk->path);
    pgdbm__free(walk->waiting);
    pgdbm__free(walk->down);
}

/* Providers by module, in the order in which they were given. */
static bool walk_init(struct walk *walk, const struct pgdbm__dependency *dependencies, size_t n_dependencies)
{
    walk->first = pgdbm__alloc_zero(walk->n + 1, sizeof *walk->first);
    walk->providers = pgdbm__alloc_zero(n_dependencies, sizeof *walk->providers);
    walk->next = pgdbm__alloc_zero(walk->n, sizeof *walk->next);
    walk->path = pgdbm__alloc_zero(walk->n, sizeof *walk->path);
    walk->waiting = pgdbm__alloc_zero(walk->n, sizeof *walk->waiting);
    walk->down = pgdbm__alloc_zero(walk->n, sizeof *walk->down);
    if (walk->first == NULL || walk->providers == NULL || walk->next == NULL || walk->path == NULL ||
        walk->waiting == NULL || walk->down == NULL)
        return false;
    for (size_t i = 0; i < n_dependencies; i++)
        walk->first[dependencies[i].dependant + 1]++;
    for (size_t i = 0; i < walk->n; i++) {
        walk->first[i + 1] += walk->first[i];
        walk->next[i] = walk->first[i];
    }
    for (size_t i = 0; i < n_dependencies; i++)
        walk->providers[walk->next[dependencies[i].dependant]++] = dependencies[i].provider;
    for (size_t i = 0; i < walk->n; i++)
        walk->next[i] = walk->first[i];
    return true;
}

static pgdbm_status fail_circle(const struct walk *walk, size_t again, pgdbm_error *err)
{
    struct pgdbm__buffer circle = {0};
    size_t at = walk->depth;
    while (walk->path[--at] != again)
        continue;
    size_t length = walk->depth - at;
    for (; at < walk->depth; at++)
        pgdbm__buffer_format(&circle, "%s → ", walk->names[walk->path[at]]);
    pgdbm__buffer_text(&circle, walk->names[again]);
    pgdbm__buffer_append(&circle, "", 1);
    if (circle.failed)
        pgdbm__fail_nomem(err, "ordering modules");
    else if (circle.length <= SHOWN_BYTES)
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "modules need each other in a circle: %s", circle.data);
    else {
        pgdbm__fail(err, PGDBM_ERR_MIGRATION, "%zu modules need each other in a circle, %s the first of them", length,
                    walk->names[again]);
        pgdbm__error_detail(err, "%s", circle.data);
    }
    pgdbm_status status = circle.failed ? PGDBM_ERR_NOMEM : PGDBM_ERR_MIGRATION;
    if (status == PGDBM_ERR_MIGRATION)
        pgdbm__error_hint(err, "take one of these dependencies away, or make one module of them");
    pgdbm__buffer_free(&circle);
    return status;
}

static void descend(struct walk *walk, size_t module)
{
    walk->path[walk->depth++] = module;
    walk->waiting[module] = true;
}

static pgdbm_status walk_from(struct walk *walk, size_t start, pgdbm_error *err)
{
    descend(walk, start);
    while (walk->depth > 0) {
        size_t module = walk->path[walk->depth - 1];
        if (walk->next[module] == walk->first[module + 1]) {
            walk->depth--;
            walk->waiting[module] = false;
            walk->down[module] = true;
            walk->order[walk->n_down++] = module;
            continue;
        }
        size_t provider = walk->providers[walk->next[module]++];
        if (walk->waiting[provider])
            return fail_circle(walk, provider, err);
        if (!walk->down[provider])
            descend(walk, provider);
    }
    return PGDBM_OK;
}

pgdbm_status pgdbm__modules_order(const char *const *names, size_t n, const struct pgdbm__dependency *dependencies,
                                  size_t n_dependencies, size_t *order, pgdbm_error *err)
{
    struct walk walk = {.names = names, .n = n, .order = order};
    pgdbm_status status = PGDBM_OK;
    if (!walk_init(&walk, dependencies, n_dependencies))
        status = pgdbm__fail_nomem(err, "ordering modules");
    for (size_t i = 0; status == PGDBM_OK && i < n; i++)
        if (!walk.down[i])
            status = walk_from(&walk, i, err);
    walk_free(&walk);
    return status;
}
