/* SPDX-License-Identifier: MIT */
/* Where the library's memory comes from. */
#ifndef PGDBM_MEMORY_H
#define PGDBM_MEMORY_H

#include <pgdbm/error.h>

typedef struct pgdbm_allocator {
    void *(*reallocate)(void *memory, size_t bytes, void *context); /* as realloc(); NULL `memory` allocates */
    void (*release)(void *memory, void *context);                   /* as free(); NULL is legal */
    void *context;
} pgdbm_allocator;

PGDBM_BEGIN_DECLS

/* Replaces malloc for the whole process; NULL goes back to malloc. Call it before anything else of the library: memory
 * is given back to the allocator in force at that time. The functions are called from any thread, several at once.
 * libpq and OpenSSL keep using their own. Returns PGDBM_ERR_ARGUMENT when a function is missing. */
PGDBM_EXPORT pgdbm_status pgdbm_allocator_set(const pgdbm_allocator *allocator, pgdbm_error *err);

/* The allocator in force, for who wants to share it. Any thread. */
PGDBM_EXPORT pgdbm_allocator pgdbm_allocator_get(void);

/* Releases memory that a call handed out and whose comment names this function. NULL is legal. Any thread. */
PGDBM_EXPORT void pgdbm_free(void *memory);

PGDBM_END_DECLS
#endif
