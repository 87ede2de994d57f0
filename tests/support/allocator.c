/* SPDX-License-Identifier: MIT */
/* See allocator.h. Allocations come from any thread; arming is the test's. */
#include "support/allocator.h"

#include <pgdbm/memory.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long live, countdown;
static atomic_bool armed, all_from_then_on, has_failed;

static bool must_fail(void)
{
    if (!atomic_load(&armed))
        return false;
    long left = atomic_fetch_sub(&countdown, 1);
    bool fails = left == 1 || (left < 1 && atomic_load(&all_from_then_on));
    if (fails)
        atomic_store(&has_failed, true);
    return fails;
}

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    if (must_fail())
        return NULL;
    void *moved = realloc(memory, bytes);
    if (memory == NULL && moved != NULL)
        atomic_fetch_add(&live, 1);
    return moved;
}

static void release(void *memory, void *context)
{
    (void)context;
    if (memory != NULL)
        atomic_fetch_sub(&live, 1);
    free(memory);
}

bool allocator_begin(void)
{
    const pgdbm_allocator allocator = {.reallocate = reallocate, .release = release};
    return pgdbm_allocator_set(&allocator, NULL) == PGDBM_OK;
}

void allocator_arm(long which, bool and_all_later)
{
    atomic_store(&has_failed, false);
    atomic_store(&all_from_then_on, and_all_later);
    atomic_store(&countdown, which);
    atomic_store(&armed, true);
}

bool allocator_disarm(void)
{
    atomic_store(&armed, false);
    return atomic_load(&has_failed);
}

bool allocator_is_armed(void)
{
    return atomic_load(&armed);
}

void allocator_go_on(void)
{
    atomic_store(&armed, true);
}

long allocator_live(void)
{
    return atomic_load(&live);
}

void allocator_expect(long which, pgdbm_status status, const pgdbm_error *err)
{
    if (status != PGDBM_OK && status != PGDBM_ERR_NOMEM)
        fail_msg("allocation %ld: expected success or PGDBM_ERR_NOMEM, came %s: %s", which, pgdbm_status_name(status),
                 err->message);
    if (status != PGDBM_OK && (err->status != status || err->message[0] == '\0'))
        fail_msg("allocation %ld: the error is not filled", which);
}
