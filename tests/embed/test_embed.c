/* SPDX-License-Identifier: MIT */
/* Embedded migrations are the files, byte for byte. */
#include "embedded_migrations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void embedded_texts_are_in_order_of_their_names(void **state)
{
    (void)state;
    static const char *const names[] = {"001_bytes.sql", "002_crlf.sql", "003_empty.sql"};
    assert_null(embedded_migrations.directory);
    assert_int_equal(embedded_migrations.n_texts, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(embedded_migrations.texts[i].filename, names[i]);
}

static void embedded_texts_equal_their_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < embedded_migrations.n_texts; i++) {
        char path[512];
        char content[512];
        const pgdbm_migration_text *text = &embedded_migrations.texts[i];
        snprintf(path, sizeof path, MIGRATIONS_DIRECTORY "/%s", text->filename);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t bytes = fread(content, 1, sizeof content, file);
        fclose(file);
        assert_int_equal(text->bytes, bytes);
        assert_memory_equal(text->text, content, bytes);
        assert_int_equal(text->text[bytes], '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_texts_are_in_order_of_their_names),
        cmocka_unit_test(embedded_texts_equal_their_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
