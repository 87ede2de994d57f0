/* SPDX-License-Identifier: MIT */
/* Frontend messages byte for byte, as PostgreSQL documentation 55.7 has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/encode.h"

/* A literal's bytes without its terminator. */
#define ASSERT_BYTES(buffer, literal)                                                                                  \
    do {                                                                                                               \
        assert_false((buffer).failed);                                                                                 \
        assert_int_equal((buffer).length, sizeof(literal) - 1);                                                        \
        assert_memory_equal((buffer).data, literal, sizeof(literal) - 1);                                              \
        pgdbm__buffer_free(&(buffer));                                                                                 \
    } while (0)

static void executing_names_the_portal_and_how_many_rows(void **state)
{
    (void)state;
    struct pgdbm__buffer out = {0};
    pgdbm__wire_execute(&out, "", 0);
    ASSERT_BYTES(out, "E\0\0\0\x09\0\0\0\0\0");
    out = (struct pgdbm__buffer){0};
    pgdbm__wire_execute(&out, "p1", 1000);
    ASSERT_BYTES(out, "E\0\0\0\x0bp1\0\0\0\x03\xe8");
}

static void portals_and_statements_are_closed_apart(void **state)
{
    (void)state;
    struct pgdbm__buffer out = {0};
    pgdbm__wire_close_portal(&out, "p1");
    ASSERT_BYTES(out, "C\0\0\0\x08Pp1\0");
    out = (struct pgdbm__buffer){0};
    pgdbm__wire_close_statement(&out, "s1");
    ASSERT_BYTES(out, "C\0\0\0\x08Ss1\0");
    out = (struct pgdbm__buffer){0};
    pgdbm__wire_describe_statement(&out, "s1");
    ASSERT_BYTES(out, "D\0\0\0\x08Ss1\0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(executing_names_the_portal_and_how_many_rows),
        cmocka_unit_test(portals_and_statements_are_closed_apart),
    };
    return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
