/* SPDX-License-Identifier: MIT */
/* The one way to memory inside the library, so that the user's allocator is honoured and the sweep test can make every
 * single allocation fail. */
#ifndef PGDBM_BASE_ALLOC_H
#define PGDBM_BASE_ALLOC_H

#include <pgdbm/memory.h>
#include <stddef.h>

/* allocator.c: in force since the beginning, or since pgdbm_allocator_set. Read it only here. */
extern pgdbm_allocator pgdbm__allocator;

/* NULL when memory is short or `count * bytes` overflows. Zero bytes give a valid pointer. */
void *pgdbm__alloc(size_t bytes);
void *pgdbm__alloc_zero(size_t count, size_t bytes);
void *pgdbm__realloc(void *memory, size_t bytes);
/* A copy that ends with NUL. `pgdbm__strdup(NULL)` is NULL. */
char *pgdbm__strdup(const char *text);
char *pgdbm__memdup(const void *data, size_t bytes);
void pgdbm__free(void *memory);

#endif
