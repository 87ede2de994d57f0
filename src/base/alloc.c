/* SPDX-License-Identifier: MIT */
/* Memory from the allocator in force (allocator.c). libpgdbm-testkit is built with a copy of its own, which asks libpgdbm for
 * the allocator: that may be a shared library, whose variables are out of reach. */
#include "base/alloc.h"

#include <stdint.h>
#include <string.h>

#ifdef PGDBM_TESTKIT
#define IN_FORCE pgdbm_allocator_get()
#else
#define IN_FORCE pgdbm__allocator
#endif

void *pgdbm__alloc(size_t bytes)
{
    return pgdbm__realloc(NULL, bytes);
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
    const pgdbm_allocator allocator = IN_FORCE;
    return allocator.reallocate(memory, bytes > 0 ? bytes : 1, allocator.context);
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
    const pgdbm_allocator allocator = IN_FORCE;
    if (memory != NULL)
        allocator.release(memory, allocator.context);
}
