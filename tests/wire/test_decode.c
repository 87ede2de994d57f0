/* SPDX-License-Identifier: MIT */
/* Backend messages cut short at every byte, with lying counts and lengths: refused, and never read beyond their end. Each
 * body lies at the end of an allocation of its size, where AddressSanitizer would see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "wire/decode.h"

static unsigned char *exact(const void *bytes, size_t length)
{
    unsigned char *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, bytes, length);
    return copy;
}

static void a_message_cut_anywhere_is_partial_and_whole_it_is_found(void **state)
{
    (void)state;
    static const char ready[] = "Z\0\0\0\5I";
    for (size_t length = 0; length <= 6; length++) {
        unsigned char *bytes = exact(ready, length);
        struct pgdbm__message message;
        size_t size = 0;
        enum pgdbm__wire_found found = pgdbm__wire_next(bytes, length, &message, &size);
        assert_int_equal(found, length == 6 ? PGDBM__WIRE_MESSAGE : PGDBM__WIRE_PARTIAL);
        assert_int_equal(size, length < 5 ? 5 : 6);
        if (length == 6) {
            char status = 0;
            assert_int_equal(message.type, 'Z');
            assert_int_equal(message.bytes, 1);
            assert_true(pgdbm__wire_ready(message.body, message.bytes, &status));
            assert_int_equal(status, 'I');
        }
        free(bytes);
    }
}

static void impossible_lengths_break_the_connection(void **state)
{
    (void)state;
    static const char *const heads[] = {"Z\0\0\0\3", "Z\0\0\0\0", "D\xFF\xFF\xFF\xFF", "C\x80\0\0\0"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        unsigned char *bytes = exact(heads[i], 5);
        struct pgdbm__message message;
        size_t size = 0;
        assert_int_equal(pgdbm__wire_next(bytes, 5, &message, &size), PGDBM__WIRE_BROKEN);
        free(bytes);
    }
}

static void a_type_that_does_not_exist_breaks_the_connection(void **state)
{
    (void)state;
    unsigned char bytes[] = {'\x01', 0, 0, 0, 4};
    struct pgdbm__message message;
    size_t size = 0;
    assert_int_equal(pgdbm__wire_next(bytes, sizeof bytes, &message, &size), PGDBM__WIRE_BROKEN);
}

static void an_error_cut_anywhere_is_malformed(void **state)
{
    (void)state;
    static const char body[] = "SERROR\0VERROR\0C42P01\0Mno such table\0P7\0"; /* and the final NUL */
    struct pgdbm__wire_error error;
    for (size_t length = 0; length < sizeof body; length++) {
        unsigned char *bytes = exact(body, length);
        assert_false(pgdbm__wire_error(bytes, length, &error));
        free(bytes);
    }
    unsigned char *bytes = exact(body, sizeof body);
    assert_true(pgdbm__wire_error(bytes, sizeof body, &error));
    assert_string_equal(error.sqlstate, "42P01");
    assert_string_equal(error.message, "no such table");
    assert_string_equal(error.hint, "");
    assert_int_equal(error.position, 7);
    free(bytes);
}

static void commands_tell_their_rows(void **state)
{
    (void)state;
    static const struct {
        const char *tag;
        int64_t rows;
    } tags[] = {{"INSERT 0 5", 5}, {"UPDATE 12", 12}, {"SELECT 0", 0}, {"CREATE TABLE", 0}, {"", 0}};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        const char *tag = NULL;
        int64_t rows = -1;
        size_t length = strlen(tags[i].tag);
        unsigned char *bytes = exact(tags[i].tag, length + 1);
        assert_true(pgdbm__wire_command(bytes, length + 1, &tag, &rows));
        assert_int_equal(rows, tags[i].rows);
        assert_false(pgdbm__wire_command(bytes, length, &tag, &rows)); /* without its NUL */
        free(bytes);
    }
}

static void parameter_types_must_be_as_many_as_they_say(void **state)
{
    (void)state;
    static const char body[] = "\0\2\0\0\0\x17\0\0\0\x19";
    size_t count = 0;
    for (size_t length = 0; length < 10; length++) {
        unsigned char *bytes = exact(body, length);
        assert_false(pgdbm__wire_parameter_types(bytes, length, &count));
        free(bytes);
    }
    unsigned char *bytes = exact(body, 10);
    assert_true(pgdbm__wire_parameter_types(bytes, 10, &count));
    assert_int_equal(count, 2);
    assert_int_equal(pgdbm__wire_parameter_type(bytes, 1), 25);
    free(bytes);
}

static void a_transaction_status_that_is_none_is_refused(void **state)
{
    (void)state;
    char status;
    assert_false(pgdbm__wire_ready((const unsigned char *)"X", 1, &status));
    assert_false(pgdbm__wire_ready((const unsigned char *)"II", 2, &status));
    assert_false(pgdbm__wire_ready((const unsigned char *)"", 0, &status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_cut_anywhere_is_partial_and_whole_it_is_found),
        cmocka_unit_test(impossible_lengths_break_the_connection),
        cmocka_unit_test(a_type_that_does_not_exist_breaks_the_connection),
        cmocka_unit_test(an_error_cut_anywhere_is_malformed),
        cmocka_unit_test(commands_tell_their_rows),
        cmocka_unit_test(parameter_types_must_be_as_many_as_they_say),
        cmocka_unit_test(a_transaction_status_that_is_none_is_refused),
    };
    return cmocka_run_group_tests_name("decode", tests, NULL, NULL);
}
