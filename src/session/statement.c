/* SPDX-License-Identifier: MIT */
/* Statements, shared by reference between the pool's table, requests in flight and results. Any thread. */
#include "session/statement.h"

#include "base/alloc.h"
#include "sql/effects.h"
#include "types/oid.h"

#include <stdio.h>
#include <string.h>

static void free_texts(struct pgdbm__statement *statement)
{
    if (statement->sql != statement->text)
        pgdbm__free((char *)statement->sql);
    pgdbm__free(statement->text);
    pgdbm__free(statement->schema);
}

struct pgdbm__statement *pgdbm__statement_new(uint64_t id, const char *sql, const char *schema, const char *text,
                                              size_t text_bytes)
{
    struct pgdbm__statement *statement = pgdbm__alloc_zero(1, sizeof *statement);
    if (statement == NULL)
        return NULL;
    bool template = sql != text;
    statement->text = pgdbm__memdup(text, text_bytes);
    statement->sql = template ? pgdbm__strdup(sql) : statement->text;
    statement->schema = template ? pgdbm__strdup(schema) : NULL;
    if (statement->text == NULL || statement->sql == NULL ||
        (template && schema != NULL && statement->schema == NULL)) {
        free_texts(statement);
        pgdbm__free(statement);
        return NULL;
    }
    atomic_init(&statement->references, 1);
    atomic_init(&statement->described, false);
    atomic_init(&statement->ready, false);
    pthread_mutex_init(&statement->lock, NULL);
    statement->id = id;
    snprintf(statement->name, sizeof statement->name, "pgdbm_%llx", (unsigned long long)id);
    statement->text_bytes = text_bytes;
    statement->effects = pgdbm__sql_effects(text, text_bytes);
    return statement;
}

/* A moving average over some eight executions. Threads may overwrite each other's sample: it is a guess anyhow. */
void pgdbm__statement_measured(struct pgdbm__statement *statement, int64_t service_ns)
{
    int64_t before = atomic_load_explicit(&statement->service_ns, memory_order_relaxed);
    int64_t after = before == 0 ? service_ns : before + (service_ns - before) / 8;
    atomic_store_explicit(&statement->service_ns, after > 0 ? after : 1, memory_order_relaxed);
}

struct pgdbm__statement *pgdbm__statement_ref(struct pgdbm__statement *statement)
{
    atomic_fetch_add_explicit(&statement->references, 1, memory_order_relaxed);
    return statement;
}

void pgdbm__statement_unref(struct pgdbm__statement *statement)
{
    if (statement == NULL || atomic_fetch_sub_explicit(&statement->references, 1, memory_order_acq_rel) != 1)
        return;
    pgdbm__description_unref(statement->description);
    pgdbm__free(statement->param_types);
    pgdbm__free(statement->types);
    pthread_mutex_destroy(&statement->lock);
    free_texts(statement);
    pgdbm__free(statement);
}

static bool same_types(const struct pgdbm__statement *statement, const uint32_t *param_types, size_t n_params)
{
    return statement->n_params == n_params &&
           (n_params == 0 || memcmp(statement->param_types, param_types, n_params * sizeof *param_types) == 0);
}

bool pgdbm__statement_describe(struct pgdbm__statement *statement, uint32_t *param_types, size_t n_params,
                               struct pgdbm__description *description)
{
    bool same = true;
    pthread_mutex_lock(&statement->lock);
    bool first = !atomic_load_explicit(&statement->described, memory_order_relaxed);
    if (first) {
        statement->param_types = param_types;
        statement->n_params = n_params;
        statement->description = description;
        atomic_store_explicit(&statement->described, true, memory_order_release);
    } else
        same = same_types(statement, param_types, n_params) &&
               pgdbm__description_equal(statement->description, description);
    pthread_mutex_unlock(&statement->lock);
    if (!first) {
        pgdbm__free(param_types);
        pgdbm__description_unref(description);
    }
    return same;
}

/* The parameters' types, as far as they are known. Locked. */
static bool resolve_params(struct pgdbm__statement *statement, struct pgdbm__catalog *catalog,
                           void (*missing)(void *context, uint32_t oid), void *context)
{
    if (statement->types == NULL && statement->n_params > 0)
        statement->types = pgdbm__alloc_zero(statement->n_params, sizeof(const struct pgdbm__type *));
    bool all = statement->types != NULL || statement->n_params == 0;
    for (size_t i = 0; i < statement->n_params; i++) {
        const struct pgdbm__type *type = pgdbm__catalog_find(catalog, statement->param_types[i]);
        if (statement->types != NULL)
            statement->types[i] = type;
        if (type == NULL && missing != NULL)
            missing(context, statement->param_types[i]);
        all = all && type != NULL;
    }
    return all;
}

/* The server's own types do not change, whether they are known here or not. */
static bool has_users_types(const struct pgdbm__statement *statement)
{
    const struct pgdbm__description *description = statement->description;
    bool has = false;
    for (size_t i = 0; !has && description != NULL && i < description->n_columns; i++)
        has = description->columns[i].type >= PGDBM__OID_FIRST_OF_USERS;
    for (size_t i = 0; !has && i < statement->n_params; i++)
        has = statement->param_types[i] >= PGDBM__OID_FIRST_OF_USERS;
    return has;
}

bool pgdbm__statement_resolve(struct pgdbm__statement *statement, struct pgdbm__catalog *catalog,
                              void (*missing)(void *context, uint32_t oid), void *context)
{
    pthread_mutex_lock(&statement->lock);
    bool ready = atomic_load_explicit(&statement->ready, memory_order_relaxed);
    if (!ready) { /* else it keeps the generation that its types are of */
        uint32_t generation = pgdbm__catalog_generation(catalog);
        ready = resolve_params(statement, catalog, missing, context);
        ready = pgdbm__description_resolve(statement->description, catalog, missing, context) && ready;
        if (ready && has_users_types(statement))
            atomic_store(&statement->generation, generation);
        atomic_store_explicit(&statement->ready, ready, memory_order_release);
    }
    pthread_mutex_unlock(&statement->lock);
    return ready;
}
