/* SPDX-License-Identifier: MIT */
/* A fixed array of entries threaded into hash chains and one list by age; no allocation after init. */
#include "session/prepared.h"

#include "base/alloc.h"

#define NONE UINT32_MAX

bool pgdbm__prepared_init(struct pgdbm__prepared *prepared, size_t capacity)
{
    *prepared = (struct pgdbm__prepared){.newest = NONE, .oldest = NONE, .free = NONE};
    if (capacity == 0)
        return true;
    uint32_t n_buckets = 16;
    while (n_buckets < capacity * 2)
        n_buckets *= 2;
    prepared->entries = pgdbm__alloc_zero(capacity, sizeof *prepared->entries);
    prepared->buckets = pgdbm__alloc_zero(n_buckets, sizeof *prepared->buckets);
    if (prepared->entries == NULL || prepared->buckets == NULL) {
        pgdbm__prepared_free(prepared);
        return false;
    }
    prepared->capacity = (uint32_t)capacity;
    prepared->n_buckets = n_buckets;
    pgdbm__prepared_clear(prepared);
    return true;
}

void pgdbm__prepared_free(struct pgdbm__prepared *prepared)
{
    pgdbm__free(prepared->entries);
    pgdbm__free(prepared->buckets);
    *prepared = (struct pgdbm__prepared){.newest = NONE, .oldest = NONE, .free = NONE};
}

void pgdbm__prepared_clear(struct pgdbm__prepared *prepared)
{
    for (uint32_t i = 0; i < prepared->n_buckets; i++)
        prepared->buckets[i] = NONE;
    prepared->free = NONE;
    for (uint32_t i = prepared->capacity; i > 0; i--) {
        prepared->entries[i - 1] = (struct pgdbm__prepared_entry){.chain = prepared->free};
        prepared->free = i - 1;
    }
    prepared->newest = prepared->oldest = NONE;
    prepared->count = 0;
}

static uint32_t *bucket_of(struct pgdbm__prepared *prepared, uint64_t id)
{
    return &prepared->buckets[(uint32_t)(id * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (prepared->n_buckets - 1)];
}

static uint32_t find(struct pgdbm__prepared *prepared, uint64_t id)
{
    if (prepared->capacity == 0)
        return NONE;
    uint32_t at = *bucket_of(prepared, id);
    while (at != NONE && prepared->entries[at].id != id)
        at = prepared->entries[at].chain;
    return at;
}

static void unlink_age(struct pgdbm__prepared *prepared, uint32_t at)
{
    struct pgdbm__prepared_entry *entry = &prepared->entries[at];
    if (entry->newer != NONE)
        prepared->entries[entry->newer].older = entry->older;
    else
        prepared->newest = entry->older;
    if (entry->older != NONE)
        prepared->entries[entry->older].newer = entry->newer;
    else
        prepared->oldest = entry->newer;
}

static void link_newest(struct pgdbm__prepared *prepared, uint32_t at)
{
    struct pgdbm__prepared_entry *entry = &prepared->entries[at];
    entry->newer = NONE;
    entry->older = prepared->newest;
    if (prepared->newest != NONE)
        prepared->entries[prepared->newest].newer = at;
    else
        prepared->oldest = at;
    prepared->newest = at;
}

bool pgdbm__prepared_use(struct pgdbm__prepared *prepared, uint64_t id, uint64_t epoch)
{
    uint32_t at = find(prepared, id);
    if (at == NONE)
        return false;
    if (at != prepared->newest) {
        unlink_age(prepared, at);
        link_newest(prepared, at);
    }
    prepared->entries[at].epoch = epoch;
    return prepared->entries[at].confirmed;
}

bool pgdbm__prepared_was_used(struct pgdbm__prepared *prepared, uint64_t id, uint64_t epoch)
{
    uint32_t at = find(prepared, id);
    return at != NONE && prepared->entries[at].epoch == epoch;
}

void pgdbm__prepared_remove(struct pgdbm__prepared *prepared, uint64_t id)
{
    uint32_t at = find(prepared, id);
    if (at == NONE)
        return;
    uint32_t *link = bucket_of(prepared, id);
    while (*link != at)
        link = &prepared->entries[*link].chain;
    *link = prepared->entries[at].chain;
    unlink_age(prepared, at);
    prepared->entries[at].id = 0;
    prepared->entries[at].chain = prepared->free;
    prepared->free = at;
    prepared->count--;
}

static uint32_t add(struct pgdbm__prepared *prepared, uint64_t id, uint64_t *gone)
{
    if (prepared->free == NONE) {
        *gone = prepared->entries[prepared->oldest].id;
        pgdbm__prepared_remove(prepared, *gone);
    }
    uint32_t at = prepared->free;
    prepared->free = prepared->entries[at].chain;
    uint32_t *bucket = bucket_of(prepared, id);
    prepared->entries[at].id = id;
    prepared->entries[at].chain = *bucket;
    *bucket = at;
    link_newest(prepared, at);
    prepared->count++;
    return at;
}

uint32_t pgdbm__prepared_parse(struct pgdbm__prepared *prepared, uint64_t id, uint64_t epoch, uint64_t *gone)
{
    *gone = 0;
    if (prepared->capacity == 0)
        return 0;
    uint32_t at = find(prepared, id);
    if (at == NONE)
        at = add(prepared, id, gone);
    prepared->entries[at].confirmed = false;
    prepared->entries[at].epoch = epoch;
    prepared->entries[at].parse = ++prepared->last_parse;
    return prepared->last_parse;
}

void pgdbm__prepared_confirm(struct pgdbm__prepared *prepared, uint64_t id, uint32_t parse)
{
    uint32_t at = find(prepared, id);
    if (at != NONE && prepared->entries[at].parse == parse)
        prepared->entries[at].confirmed = true;
}
