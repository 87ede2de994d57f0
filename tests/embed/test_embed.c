/* SPDX-License-Identifier: MIT */
/* Embedded migrations are the files, byte for byte. */
#include "embedded_migrations.h"
#include "unusual_migrations.h"

#include "migrate/source.h"

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
    static const char *const names[] = {"001_bytes.sql",     "002_crlf.sql", "003_empty.sql", "100_later.sql",
                                        "20_early.down.sql", "20_early.sql", "R__views.sql"};
    enum { NAMES = sizeof names / sizeof *names };
    assert_null(embedded_migrations.directory);
    assert_int_equal(embedded_migrations.n_texts, NAMES);
    for (size_t i = 0; i < NAMES; i++)
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

static void embedded_set_has_the_digest_of_its_texts(void **state)
{
    (void)state;
    struct pgdbm__migration_set set = {0};
    pgdbm_error err;
    assert_non_null(embedded_migrations.digest);
    if (pgdbm__migration_set_load(&set, &embedded_migrations, NULL, false, &err) != PGDBM_OK)
        fail_msg("%s (%s)", err.message, err.detail);
    assert_string_equal(set.digest, embedded_migrations.digest);
    assert_string_equal(set.files[3].filename, "20_early.sql");
    assert_non_null(set.files[3].down.text);
    assert_string_equal(set.files[5].filename, "R__views.sql");
    pgdbm__migration_set_free(&set);
}

/* The build cannot strip what is white space to Unicode only, and a wrong digest would refuse a good set. */
static void embedded_set_with_unusual_ends_goes_without(void **state)
{
    (void)state;
    struct pgdbm__migration_set set = {0};
    pgdbm_error err;
    assert_null(unusual_migrations.digest);
    if (pgdbm__migration_set_load(&set, &unusual_migrations, NULL, false, &err) != PGDBM_OK)
        fail_msg("%s (%s)", err.message, err.detail);
    pgdbm__migration_set_free(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_texts_are_in_order_of_their_names),
        cmocka_unit_test(embedded_texts_equal_their_files),
        cmocka_unit_test(embedded_set_has_the_digest_of_its_texts),
        cmocka_unit_test(embedded_set_with_unusual_ends_goes_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
