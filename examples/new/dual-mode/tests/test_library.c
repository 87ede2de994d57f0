/* SPDX-License-Identifier: MIT */
/* The library wherever it may live. After each test in a mode the test kit looks for tables outside of the library's schema,
 * for sessions that were left open, and for what was the host's and was closed. */
#include <example/example.h>
#include <pgdbm/adapters/cmocka.h>

PGDBM_CMOCKA_GROUP(anywhere, 0)

/* Three tests: standalone, attached to the host's manager, on the host's pool. */
static void a_note_is_kept(void **state)
{
    pgdbm_error err;
    example_library *library = NULL;
    int64_t id = 0;
    int64_t notes = 0;
    pgdbm_assert_ok(example_open(pgdbm_cmocka_source(state), &library, &err), &err);
    pgdbm_assert_ok(example_add_note(library, "milk", &id, &err), &err);
    pgdbm_assert_ok(example_count_notes(library, &notes, &err), &err);
    assert_int_equal(notes, 1);
    example_close(library);
}

static void an_empty_note_is_refused(void **state)
{
    pgdbm_error err;
    example_library *library = NULL;
    int64_t id = 0;
    pgdbm_assert_ok(example_open(pgdbm_cmocka_source(state), &library, &err), &err);
    pgdbm_assert_status(PGDBM_ERR_QUERY, example_add_note(library, "", &id, &err), &err);
    example_close(library);
}

static void a_second_start_finds_what_the_first_one_made(void **state)
{
    pgdbm_error err;
    int64_t id = 0;
    int64_t notes = 0;
    for (int start = 1; start <= 2; start++) {
        example_library *library = NULL;
        pgdbm_assert_ok(example_open(pgdbm_cmocka_source(state), &library, &err), &err);
        pgdbm_assert_ok(example_add_note(library, "milk", &id, &err), &err);
        pgdbm_assert_ok(example_count_notes(library, &notes, &err), &err);
        assert_int_equal(notes, start);
        example_close(library);
    }
}

/* Two of them in one host, each in the schema that the host chose. */
static void two_instances_know_nothing_of_each_other(void **state)
{
    pgdbm_error err;
    example_library *one = NULL;
    example_library *two = NULL;
    int64_t id = 0;
    int64_t notes = 0;
    pgdbm_db *host = pgdbm_cmocka_db(state);
    pgdbm_assert_ok(example_open(&(pgdbm_source){.db = host, .schema = "one"}, &one, &err), &err);
    pgdbm_assert_ok(example_open(&(pgdbm_source){.db = host, .schema = "two"}, &two, &err), &err);
    pgdbm_assert_ok(example_add_note(one, "milk", &id, &err), &err);
    pgdbm_assert_ok(example_count_notes(two, &notes, &err), &err);
    assert_int_equal(notes, 0);
    example_close(two);
    example_close(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pgdbm_cmocka_test_modes(anywhere, a_note_is_kept),
        pgdbm_cmocka_test_modes(anywhere, an_empty_note_is_refused),
        pgdbm_cmocka_test_modes(anywhere, a_second_start_finds_what_the_first_one_made),
        pgdbm_cmocka_test_alone(anywhere, two_instances_know_nothing_of_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
