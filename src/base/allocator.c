/* SPDX-License-Identifier: MIT */
/* The process-wide allocator, which is set before anything else runs and only read afterwards; and what is public of it. Apart
 * from alloc.c, because libpgdbm-testkit has a copy of that and not of this: there is one allocator. */
#include "base/alloc.h"
#include "base/error.h"

#include <stdlib.h>

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
pgdbm_allocator pgdbm__allocator = {malloc_reallocate, malloc_release, NULL};

pgdbm_status pgdbm_allocator_set(const pgdbm_allocator *allocator, pgdbm_error *err)
{
    if (allocator != NULL && (allocator->reallocate == NULL || allocator->release == NULL))
        return pgdbm__fail_null(err, "pgdbm_allocator_set", allocator->reallocate == NULL ? "reallocate" : "release");
    pgdbm__allocator = allocator != NULL ? *allocator : malloc_allocator;
    return PGDBM_OK;
}

pgdbm_allocator pgdbm_allocator_get(void)
{
    return pgdbm__allocator;
}

void pgdbm_free(void *memory)
{
    if (memory != NULL)
        pgdbm__allocator.release(memory, pgdbm__allocator.context);
}
