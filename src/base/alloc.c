/* SPDX-License-Identifier: MIT */
/* Memory. Owns the process-wide allocator, which is set before anything else runs and only read afterwards. */
#include "base/alloc.h"

#include "base/error.h"

#include <pgdbm/memory.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *malloc_reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    return realloc(memory, bytes);
}

static void malloc_release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static const pgdbm_allocator malloc_allocator = {malloc_reallocate, malloc_release, NULL};
static pgdbm_allocator current = {malloc_reallocate, malloc_release, NULL};

pgdbm_status pgdbm_allocator_set(const pgdbm_allocator *allocator, pgdbm_error *err)
{
    if (allocator != NULL && (allocator->reallocate == NULL || allocator->release == NULL))
        return pgdbm__fail_null(err, "pgdbm_allocator_set", allocator->reallocate == NULL ? "reallocate" : "release");
    current = allocator != NULL ? *allocator : malloc_allocator;
    return PGDBM_OK;
}

void pgdbm_free(void *memory)
{
    pgdbm__free(memory);
}

void *pgdbm__alloc(size_t bytes)
{
    return current.reallocate(NULL, bytes > 0 ? bytes : 1, current.context);
}

void *pgdbm__alloc_zero(size_t count, size_t bytes)
{
    if (bytes != 0 && count > SIZE_MAX / bytes)
        return NULL;
    void *memory = pgdbm__alloc(count * bytes);
    if (memory != NULL)
        memset(memory, 0, count * bytes);
    return memory;
}

void *pgdbm__realloc(void *memory, size_t bytes)
{
    return current.reallocate(memory, bytes > 0 ? bytes : 1, current.context);
}

char *pgdbm__memdup(const void *data, size_t bytes)
{
    if (bytes == SIZE_MAX)
        return NULL;
    char *copy = pgdbm__alloc(bytes + 1);
    if (copy != NULL) {
        if (bytes > 0)
            memcpy(copy, data, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

char *pgdbm__strdup(const char *text)
{
    return text != NULL ? pgdbm__memdup(text, strlen(text)) : NULL;
}

void pgdbm__free(void *memory)
{
    if (memory != NULL)
        current.release(memory, current.context);
}
