/* SPDX-License-Identifier: MIT */
/* The pool's statements: (schema, SQL as the caller wrote it) → expanded and described, found in one look. In stripes,
 * so that threads looking for different statements rarely meet; each stripe forgets its least recently used beyond its
 * limit, which bounds the memory over all schemas together. */
#include "pool/pool.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sql/template.h"

#include <string.h>
#include <strings.h>

#define STRIPE_LIMIT 1024

struct pgdbm__statement_entry {
    struct pgdbm__statement_entry *chain, *newer, *older;
    struct pgdbm__statement *statement;
    uint64_t hash;
    size_t sql_bytes;
    size_t schema_bytes;
    char key[]; /* the SQL, then the schema */
};

/* Eight bytes at a time; the seed keeps a stranger who can choose SQL texts from choosing collisions. */
static uint64_t hash_bytes(uint64_t hash, const char *data, size_t bytes)
{
    uint64_t word;
    hash ^= bytes * UINT64_C(0x9E3779B97F4A7C15);
    for (; bytes >= 8; data += 8, bytes -= 8) {
        memcpy(&word, data, 8);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    word = 0;
    if (bytes > 0)
        memcpy(&word, data, bytes);
    hash = (hash ^ word) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 29;
}

bool pgdbm__statements_init(struct pgdbm_pool *pool)
{
    for (size_t i = 0; i < PGDBM__STATEMENT_STRIPES; i++) {
        struct pgdbm__statement_stripe *stripe = &pool->stripes[i];
        pthread_mutex_init(&stripe->lock, NULL);
        stripe->limit = STRIPE_LIMIT;
        stripe->n_buckets = STRIPE_LIMIT;
        stripe->buckets = pgdbm__alloc_zero(stripe->n_buckets, sizeof *stripe->buckets);
        if (stripe->buckets == NULL)
            return false;
    }
    return true;
}

static void unlink_age(struct pgdbm__statement_stripe *stripe, struct pgdbm__statement_entry *entry)
{
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        stripe->newest = entry->older;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        stripe->oldest = entry->newer;
}

static void link_newest(struct pgdbm__statement_stripe *stripe, struct pgdbm__statement_entry *entry)
{
    entry->newer = NULL;
    entry->older = stripe->newest;
    if (stripe->newest != NULL)
        stripe->newest->newer = entry;
    else
        stripe->oldest = entry;
    stripe->newest = entry;
}

static struct pgdbm__statement_entry **bucket_of(struct pgdbm__statement_stripe *stripe, uint64_t hash)
{
    return &stripe->buckets[(hash >> 8) % stripe->n_buckets];
}

static void drop(struct pgdbm__statement_stripe *stripe, struct pgdbm__statement_entry *entry)
{
    struct pgdbm__statement_entry **link = bucket_of(stripe, entry->hash);
    while (*link != entry)
        link = &(*link)->chain;
    *link = entry->chain;
    unlink_age(stripe, entry);
    stripe->count--;
    pgdbm__statement_unref(entry->statement);
    pgdbm__free(entry);
}

void pgdbm__statements_free(struct pgdbm_pool *pool)
{
    for (size_t i = 0; i < PGDBM__STATEMENT_STRIPES; i++) {
        struct pgdbm__statement_stripe *stripe = &pool->stripes[i];
        while (stripe->newest != NULL)
            drop(stripe, stripe->newest);
        if (stripe->limit > 0)
            pthread_mutex_destroy(&stripe->lock);
        pgdbm__free(stripe->buckets);
    }
}

static struct pgdbm__statement_entry *look(struct pgdbm__statement_stripe *stripe, uint64_t hash, const char *schema,
                                           size_t schema_bytes, const char *sql, size_t sql_bytes)
{
    struct pgdbm__statement_entry *entry = *bucket_of(stripe, hash);
    while (entry != NULL && !(entry->hash == hash && entry->sql_bytes == sql_bytes &&
                              entry->schema_bytes == schema_bytes && memcmp(entry->key, sql, sql_bytes) == 0 &&
                              (schema_bytes == 0 || memcmp(entry->key + sql_bytes, schema, schema_bytes) == 0)))
        entry = entry->chain;
    return entry;
}

pgdbm_status pgdbm__statements_make(struct pgdbm_pool *pool, const char *schema, const char *sql,
                                    struct pgdbm__statement **statement, pgdbm_error *err)
{
    size_t sql_bytes = strlen(sql);
    bool template = pgdbm__template_needed(sql, sql_bytes);
    struct pgdbm__buffer text = {0};
    pgdbm_status status = PGDBM_OK;
    if (template)
        status = pgdbm__template_expand(sql, sql_bytes, schema, &text, err);
    if (status == PGDBM_OK) {
        uint64_t id = atomic_fetch_add(&pool->next_statement, 1) + 1;
        *statement =
            pgdbm__statement_new(id, sql, schema, template ? text.data : sql, template ? text.length : sql_bytes);
        if (*statement == NULL)
            status = pgdbm__fail_nomem(err, "preparing a statement");
    }
    pgdbm__buffer_free(&text);
    return status;
}

/* Puts a new statement in the table, unless another thread was faster: then that one is used. */
static struct pgdbm__statement *keep(struct pgdbm__statement_stripe *stripe, uint64_t hash, const char *schema,
                                     size_t schema_bytes, const char *sql, size_t sql_bytes,
                                     struct pgdbm__statement *statement)
{
    struct pgdbm__statement_entry *entry = pgdbm__alloc(sizeof *entry + sql_bytes + schema_bytes);
    if (entry == NULL)
        return statement; /* it works without being remembered */
    *entry = (struct pgdbm__statement_entry){.hash = hash, .sql_bytes = sql_bytes, .schema_bytes = schema_bytes};
    memcpy(entry->key, sql, sql_bytes);
    if (schema_bytes > 0)
        memcpy(entry->key + sql_bytes, schema, schema_bytes);
    pthread_mutex_lock(&stripe->lock);
    struct pgdbm__statement_entry *other = look(stripe, hash, schema, schema_bytes, sql, sql_bytes);
    if (other != NULL) {
        pgdbm__statement_unref(statement);
        statement = pgdbm__statement_ref(other->statement);
        pgdbm__free(entry);
    } else {
        if (stripe->count >= stripe->limit)
            drop(stripe, stripe->oldest);
        entry->statement = pgdbm__statement_ref(statement);
        entry->chain = *bucket_of(stripe, hash);
        *bucket_of(stripe, hash) = entry;
        link_newest(stripe, entry);
        stripe->count++;
    }
    pthread_mutex_unlock(&stripe->lock);
    return statement;
}

/* It has types of users that may not be what they were. */
static bool is_outdated(const struct pgdbm_pool *pool, struct pgdbm__statement *statement)
{
    uint32_t generation = atomic_load_explicit(&statement->generation, memory_order_relaxed);
    return generation != 0 && generation != pgdbm__catalog_generation(pool->catalog);
}

pgdbm_status pgdbm__statements_find(struct pgdbm_pool *pool, const char *schema, const char *sql,
                                    struct pgdbm__statement **statement, pgdbm_error *err)
{
    size_t sql_bytes = strlen(sql);
    bool template = pgdbm__template_needed(sql, sql_bytes);
    size_t schema_bytes = template && schema != NULL ? strlen(schema) : 0;
    uint64_t hash = hash_bytes(pool->hash_seed, sql, sql_bytes);
    if (schema_bytes > 0)
        hash = hash_bytes(hash, schema, schema_bytes);
    struct pgdbm__statement_stripe *stripe = &pool->stripes[hash % PGDBM__STATEMENT_STRIPES];
    pthread_mutex_lock(&stripe->lock);
    struct pgdbm__statement_entry *entry = look(stripe, hash, schema, schema_bytes, sql, sql_bytes);
    if (entry != NULL && is_outdated(pool, entry->statement)) {
        drop(stripe, entry);
        entry = NULL;
    }
    if (entry != NULL) {
        if (entry != stripe->newest) {
            unlink_age(stripe, entry);
            link_newest(stripe, entry);
        }
        *statement = pgdbm__statement_ref(entry->statement);
    }
    pthread_mutex_unlock(&stripe->lock);
    if (entry != NULL)
        return PGDBM_OK;
    pgdbm_status status = pgdbm__statements_make(pool, schema, sql, statement, err);
    if (status == PGDBM_OK)
        *statement = keep(stripe, hash, schema, schema_bytes, sql, sql_bytes, *statement);
    return status;
}

void pgdbm__statements_described(struct pgdbm_pool *pool, struct pgdbm__session *session,
                                 struct pgdbm__request *request)
{
    bool described = atomic_load_explicit(&request->statement->described, memory_order_acquire);
    if (request->status != PGDBM_OK || (!request->parse_sent && described)) { /* another was faster, on this session */
        pgdbm__free(request->new_types);
        pgdbm__description_unref(request->description);
    } else if (pgdbm__statement_describe(request->statement, request->new_types, request->n_new_types,
                                         request->description)) {
        pgdbm__session_confirm(session, request);
        (void)pgdbm__statement_resolve(request->statement, pool->catalog, NULL, NULL);
    } else {
        request->status =
            pgdbm__fail(&request->error, PGDBM_ERR_QUERY, "the statement's types changed while it was prepared");
        request->stale = true;
    }
    request->new_types = NULL;
    request->description = NULL;
}

void pgdbm__statements_forget(struct pgdbm_pool *pool, struct pgdbm__statement *statement, bool stale)
{
    /* What changed may be a type. The first of many that find it out forgets for all: what is forgotten takes memory, and
     * has to be looked up again. */
    if (stale)
        pgdbm__catalog_forget(pool->catalog, atomic_load_explicit(&statement->generation, memory_order_relaxed));
    for (size_t i = 0; i < PGDBM__STATEMENT_STRIPES; i++) {
        struct pgdbm__statement_stripe *stripe = &pool->stripes[i];
        pthread_mutex_lock(&stripe->lock);
        struct pgdbm__statement_entry *entry = stripe->newest;
        while (entry != NULL && entry->statement != statement)
            entry = entry->older;
        if (entry != NULL)
            drop(stripe, entry);
        pthread_mutex_unlock(&stripe->lock);
    }
}

static bool is_name_part(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (c & 0x80) != 0;
}

/* The schema stands in the text, quoted or not: a template's, or one that the user has written. One too many does no harm. */
static bool names(const struct pgdbm__statement *statement, const char *schema)
{
    size_t bytes = strlen(schema);
    const char *text = statement->text;
    for (size_t at = 0; at + bytes <= statement->text_bytes; at++)
        if (strncasecmp(text + at, schema, bytes) == 0 && !is_name_part(text[at + bytes]) &&
            (at == 0 || !is_name_part(text[at - 1])))
            return true;
    return false;
}

void pgdbm__statements_forget_schema(struct pgdbm_pool *pool, const char *schema)
{
    for (size_t i = 0; i < PGDBM__STATEMENT_STRIPES; i++) {
        struct pgdbm__statement_stripe *stripe = &pool->stripes[i];
        pthread_mutex_lock(&stripe->lock);
        struct pgdbm__statement_entry *older;
        for (struct pgdbm__statement_entry *entry = stripe->newest; entry != NULL; entry = older) {
            older = entry->older;
            if (schema == NULL || names(entry->statement, schema))
                drop(stripe, entry);
        }
        pthread_mutex_unlock(&stripe->lock);
    }
}

static void forget_in(void *pool, void *schema)
{
    pgdbm__statements_forget_schema(pool, schema);
}

void pgdbm__statements_forget_everywhere(const char *schema)
{
    pgdbm__registry_visit(forget_in, (void *)schema);
}
