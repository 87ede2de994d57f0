/* SPDX-License-Identifier: MIT */
/* Looking up types while somebody else forgets them: the two halves of a lookup, with the other's step between. */
#include "base/alloc.h"
#include "session/session.h"
#include "support/server.h"
#include "types/catalog.h"

#include <pgdbm/memory.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN 20000
#define UNKNOWN 20001

static struct pgdbm__statement *describe(const uint32_t *types, size_t n_types)
{
    static const char sql[] = "SELECT $1, $2";
    struct pgdbm__statement *statement = pgdbm__statement_new(1, sql, NULL, sql, sizeof sql - 1);
    assert_non_null(statement);
    uint32_t *copy = pgdbm__alloc_zero(n_types, sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, types, n_types * sizeof *copy);
    assert_true(pgdbm__statement_describe(statement, copy, n_types, NULL));
    return statement;
}

static void know(struct pgdbm__catalog *catalog, uint32_t oid, const char *name)
{
    const struct pgdbm__type type = {.oid = oid, .kind = PGDBM__TYPE_TEXT, .name = name};
    assert_true(pgdbm__catalog_add(catalog, &type, pgdbm__catalog_generation(catalog)));
}

/* One that nobody asked for, because it was known, is not one that the server does not know. */
static void a_type_that_was_forgotten_meanwhile_is_asked_for_again(void **state)
{
    (void)state;
    const uint32_t types[] = {KNOWN, UNKNOWN};
    struct pgdbm__buffer out = {0};
    struct pgdbm__catalog *catalog = pgdbm__catalog_new();
    struct pgdbm__statement *statement = describe(types, 2);
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_LOOKUP, .statement = statement, .catalog = catalog};
    know(catalog, KNOWN, "known");
    pgdbm__lookup_encode(&request, &out);
    pgdbm__catalog_forget(catalog, pgdbm__catalog_generation(catalog));
    request.result = pgdbm__result_new(NULL);
    assert_int_equal(pgdbm__lookup_learn(&request), PGDBM_OK);
    assert_false(atomic_load(&statement->ready));
    assert_null(pgdbm__catalog_find(catalog, KNOWN));
    assert_null(pgdbm__catalog_find(catalog, UNKNOWN));
    know(catalog, KNOWN, "known");
    pgdbm__lookup_encode(&request, &out);
    request.result = pgdbm__result_new(NULL);
    assert_int_equal(pgdbm__lookup_learn(&request), PGDBM_OK);
    assert_true(atomic_load(&statement->ready));
    assert_int_equal(statement->types[0]->kind, PGDBM__TYPE_TEXT);
    assert_int_equal(statement->types[1]->kind, PGDBM__TYPE_OPAQUE);
    pgdbm__buffer_free(&out);
    pgdbm__statement_unref(statement);
    pgdbm__catalog_unref(catalog);
}

/* Two look up the same statement's types, and the catalog is forgotten before the second one is done. */
static void a_statement_of_forgotten_types_stays_one(void **state)
{
    (void)state;
    const uint32_t types[] = {KNOWN};
    struct pgdbm__catalog *catalog = pgdbm__catalog_new();
    struct pgdbm__statement *statement = describe(types, 1);
    know(catalog, KNOWN, "known");
    assert_true(pgdbm__statement_resolve(statement, catalog, NULL, NULL));
    uint32_t generation = atomic_load(&statement->generation);
    assert_int_equal(generation, pgdbm__catalog_generation(catalog));
    pgdbm__catalog_forget(catalog, pgdbm__catalog_generation(catalog));
    assert_true(pgdbm__statement_resolve(statement, catalog, NULL, NULL));
    assert_int_equal(atomic_load(&statement->generation), generation);
    pgdbm__statement_unref(statement);
    pgdbm__catalog_unref(catalog);
}

static void *refuse(void *memory, size_t bytes, void *context)
{
    (void)memory;
    (void)bytes;
    (void)context;
    return NULL;
}

static void release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

/* What was not asked for because memory was short is not taken for what the server does not know. */
static void all_types_are_asked_for_when_memory_is_short(void **state)
{
    (void)state;
    const uint32_t types[] = {UNKNOWN};
    const pgdbm_allocator poor = {.reallocate = refuse, .release = release};
    pgdbm_error err;
    struct pgdbm__buffer out = {0};
    struct pgdbm__catalog *catalog = pgdbm__catalog_new();
    struct pgdbm__statement *statement = describe(types, 1);
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_LOOKUP, .statement = statement, .catalog = catalog};
    assert_true(pgdbm__buffer_reserve(&out, 16384));
    assert_ok(pgdbm_allocator_set(&poor, &err));
    pgdbm__lookup_encode(&request, &out);
    assert_ok(pgdbm_allocator_set(NULL, &err));
    assert_non_null(memmem(out.data, out.length, "{20001}", 7));
    pgdbm__buffer_free(&out);
    pgdbm__statement_unref(statement);
    pgdbm__catalog_unref(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_that_was_forgotten_meanwhile_is_asked_for_again),
        cmocka_unit_test(a_statement_of_forgotten_types_stays_one),
        cmocka_unit_test(all_types_are_asked_for_when_memory_is_short),
    };
    return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
