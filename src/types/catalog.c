/* SPDX-License-Identifier: MIT */
/* A hash table of types. What is forgotten is unlinked, but freed only with the catalog: descriptions may point to it. */
#include "types/catalog.h"

#include "base/alloc.h"
#include "types/oid.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 64

struct entry {
    struct entry *chain; /* in its bucket */
    struct entry *older; /* of all, for freeing */
    struct pgdbm__type type;
    char space[]; /* fields, then names */
};

struct pgdbm__catalog {
    _Atomic int references;
    _Atomic uint32_t generation;
    pthread_mutex_t lock; /* guards the rest */
    struct entry *buckets[BUCKETS];
    struct entry *newest;
};

const struct pgdbm__type pgdbm__type_unknown = {.kind = PGDBM__TYPE_OPAQUE, .name = "a type that is not known here"};

struct pgdbm__catalog *pgdbm__catalog_new(void)
{
    struct pgdbm__catalog *catalog = pgdbm__alloc_zero(1, sizeof *catalog);
    if (catalog == NULL)
        return NULL;
    atomic_init(&catalog->references, 1);
    atomic_init(&catalog->generation, 1);
    pthread_mutex_init(&catalog->lock, NULL);
    return catalog;
}

struct pgdbm__catalog *pgdbm__catalog_ref(struct pgdbm__catalog *catalog)
{
    if (catalog != NULL)
        atomic_fetch_add_explicit(&catalog->references, 1, memory_order_relaxed);
    return catalog;
}

void pgdbm__catalog_unref(struct pgdbm__catalog *catalog)
{
    if (catalog == NULL || atomic_fetch_sub_explicit(&catalog->references, 1, memory_order_acq_rel) != 1)
        return;
    while (catalog->newest != NULL) {
        struct entry *entry = catalog->newest;
        catalog->newest = entry->older;
        pgdbm__free(entry);
    }
    pthread_mutex_destroy(&catalog->lock);
    pgdbm__free(catalog);
}

static struct entry *look(struct pgdbm__catalog *catalog, uint32_t oid)
{
    struct entry *entry = catalog->buckets[oid % BUCKETS];
    while (entry != NULL && entry->type.oid != oid)
        entry = entry->chain;
    return entry;
}

/* A built-in type that has no row in the table: it has a name, at least. */
static const struct pgdbm__type *add_opaque(struct pgdbm__catalog *catalog, uint32_t oid)
{
    char name[32];
    snprintf(name, sizeof name, "type %lu", (unsigned long)oid);
    const struct pgdbm__type type = {.oid = oid, .kind = PGDBM__TYPE_OPAQUE, .name = name};
    return pgdbm__catalog_add(catalog, &type, pgdbm__catalog_generation(catalog)) ? pgdbm__catalog_find(catalog, oid)
                                                                                  : &pgdbm__type_unknown;
}

const struct pgdbm__type *pgdbm__catalog_find(struct pgdbm__catalog *catalog, uint32_t oid)
{
    const struct pgdbm__type *type = pgdbm__type_builtin(oid);
    if (type != NULL)
        return type;
    pthread_mutex_lock(&catalog->lock);
    struct entry *entry = look(catalog, oid);
    pthread_mutex_unlock(&catalog->lock);
    if (entry == NULL && oid < PGDBM__OID_FIRST_OF_USERS)
        return add_opaque(catalog, oid);
    return entry != NULL ? &entry->type : NULL;
}

static size_t names_bytes(const struct pgdbm__type *type)
{
    size_t bytes = strlen(type->name) + 1;
    for (size_t i = 0; i < type->n_fields; i++)
        bytes += strlen(type->fields[i].name) + 1;
    return bytes;
}

static const char *keep(const char *name, char **space)
{
    size_t bytes = strlen(name) + 1;
    char *kept = memcpy(*space, name, bytes);
    *space += bytes;
    return kept;
}

bool pgdbm__catalog_add(struct pgdbm__catalog *catalog, const struct pgdbm__type *type, uint32_t generation)
{
    size_t fields_bytes = type->n_fields * sizeof *type->fields;
    struct entry *entry = pgdbm__alloc(sizeof *entry + fields_bytes + names_bytes(type));
    if (entry == NULL)
        return false;
    struct pgdbm__type_field *fields = (struct pgdbm__type_field *)(void *)entry->space;
    char *space = entry->space + fields_bytes;
    entry->type = *type;
    entry->type.name = keep(type->name, &space);
    entry->type.fields = fields;
    for (size_t i = 0; i < type->n_fields; i++)
        fields[i] = (struct pgdbm__type_field){keep(type->fields[i].name, &space), type->fields[i].type};
    pthread_mutex_lock(&catalog->lock);
    bool wanted = pgdbm__catalog_generation(catalog) == generation &&
                  look(catalog, type->oid) == NULL; /* another thread may have been faster */
    if (wanted) {
        entry->chain = catalog->buckets[type->oid % BUCKETS];
        catalog->buckets[type->oid % BUCKETS] = entry;
        entry->older = catalog->newest;
        catalog->newest = entry;
    }
    pthread_mutex_unlock(&catalog->lock);
    if (!wanted)
        pgdbm__free(entry);
    return true;
}

void pgdbm__catalog_forget(struct pgdbm__catalog *catalog, uint32_t generation)
{
    if (catalog == NULL)
        return;
    pthread_mutex_lock(&catalog->lock);
    if (pgdbm__catalog_generation(catalog) == generation) {
        memset(catalog->buckets, 0, sizeof catalog->buckets);
        atomic_fetch_add(&catalog->generation, 1);
    }
    pthread_mutex_unlock(&catalog->lock);
}

uint32_t pgdbm__catalog_generation(struct pgdbm__catalog *catalog)
{
    return atomic_load_explicit(&catalog->generation, memory_order_relaxed);
}
