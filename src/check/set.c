/* SPDX-License-Identifier: MIT */
/* A hash table of names. Belongs to whoever holds the set; no state beside it. */
#include "check/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t hash_of(enum pgdbm__check_kind kind, const char *name)
{
    uint64_t hash = UINT64_C(1469598103934665603) + (uint64_t)kind;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return (size_t)(hash ^ (hash >> 32));
}

/* Where the name is, or would be. There is always a free slot. */
static struct pgdbm__check_name *slot_of(struct pgdbm__check_name *slots, size_t capacity, enum pgdbm__check_kind kind,
                                         const char *name)
{
    size_t at = hash_of(kind, name) & (capacity - 1);
    while (slots[at].name != NULL && (slots[at].kind != kind || strcmp(slots[at].name, name) != 0))
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static bool grow(struct pgdbm__check_set *set)
{
    size_t capacity = set->capacity > 0 ? set->capacity * 2 : 32;
    struct pgdbm__check_name *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i].name != NULL)
            *slot_of(slots, capacity, set->slots[i].kind, set->slots[i].name) = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return true;
}

bool pgdbm__check_set_add(struct pgdbm__check_set *set, enum pgdbm__check_kind kind, const char *name, const char *file,
                          struct pgdbm__check_place place)
{
    if (set->used * 2 >= set->capacity && !grow(set))
        return false;
    struct pgdbm__check_name *slot = slot_of(set->slots, set->capacity, kind, name);
    if (slot->name != NULL) { /* whatever order threads read files in, the same place stays */
        if (file != NULL && strcmp(file, slot->file) < 0) {
            slot->file = file;
            slot->place = place;
        }
        return true;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return false;
    *slot = (struct pgdbm__check_name){kind, copy, file, place};
    set->used++;
    return true;
}

const struct pgdbm__check_name *pgdbm__check_set_find(const struct pgdbm__check_set *set, enum pgdbm__check_kind kind,
                                                      const char *name)
{
    if (set->capacity == 0)
        return NULL;
    const struct pgdbm__check_name *slot = slot_of(set->slots, set->capacity, kind, name);
    return slot->name != NULL ? slot : NULL;
}

void pgdbm__check_set_free(struct pgdbm__check_set *set)
{
    for (size_t i = 0; i < set->capacity; i++)
        free(set->slots[i].name);
    free(set->slots);
    *set = (struct pgdbm__check_set){0};
}
