/* SPDX-License-Identifier: MIT */
/* Down parts: where they stand, whose they are, and that they are looked at before anything runs. */
#include "migrate/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Loads and prepares files given as name, text, name, text, NULL. */
static pgdbm_status load(struct pgdbm__migration_set *set, const char *const *files, pgdbm_error *err)
{
    pgdbm_migration_text texts[8];
    pgdbm_migrations migrations = {.texts = texts};
    for (; *files != NULL; files += 2)
        texts[migrations.n_texts++] = (pgdbm_migration_text){files[0], files[1], strlen(files[1])};
    *set = (struct pgdbm__migration_set){0};
    *err = (pgdbm_error){0};
    pgdbm_status status = pgdbm__migration_set_load(set, &migrations, NULL, false, err);
    for (size_t i = 0; status == PGDBM_OK && i < set->n_files; i++)
        status = pgdbm__migration_file_prepare(&set->files[i], "app", err);
    return status;
}
#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_refused(const char *const *files, const char *message)
{
    struct pgdbm__migration_set set;
    pgdbm_error err;
    pgdbm_status status = load(&set, files, &err);
    if (status == PGDBM_OK || strstr(err.message, message) == NULL || err.hint[0] == '\0')
        fail_msg("%s\nexpected \"%s\" and a hint\ngot %s: %s (hint: %s)", files[1], message, pgdbm_status_name(status),
                 err.message, err.hint);
    pgdbm__migration_set_free(&set);
}

static void a_down_part_is_a_file_or_a_part_of_one(void **state)
{
    (void)state;
    struct pgdbm__migration_set set;
    pgdbm_error err;
    static const char b[] = "CREATE TABLE b ();\r\n--  pgdbm:down \r\nDROP TABLE b;";
    if (load(&set,
             FILES("001_a.sql", "CREATE TABLE a ();", "001_a.down.sql", "\xEF\xBB\xBF\nDROP TABLE a;", "002_b.sql", b,
                   "003_c.sql", "CREATE TABLE c ();"),
             &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    assert_int_equal(set.n_files, 3);
    const struct pgdbm__migration_file *file = set.files;
    assert_string_equal(file->down.filename, "001_a.down.sql");
    assert_int_equal(file->up.bytes, file->bytes);
    file++;
    assert_int_equal(file->up.bytes, strlen("CREATE TABLE b ();\r\n"));
    assert_string_equal(file->down.filename, "002_b.sql");
    assert_int_equal(file->down.first_line, 3);
    assert_int_equal(file->down.bytes, strlen("DROP TABLE b;"));
    assert_memory_equal(file->down.text, "DROP TABLE b;", file->down.bytes);
    char whole[PGDBM__CHECKSUM_BYTES];
    assert_true(pgdbm__migration_checksum(b, sizeof b - 1, whole));
    assert_string_equal(file->checksum, whole);
    file++;
    assert_null(file->down.text);
    pgdbm__migration_set_free(&set);
}

static void a_down_line_in_quotes_or_comments_divides_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SELECT '\n-- pgdbm:down\n';",
        "SELECT \"\n-- pgdbm:down\n\";",
        "DO $$\n-- pgdbm:down\n$$;",
        "DO $x$ $$\n-- pgdbm:down\n$x$;",
        "SELECT 1 /* /*\n-- pgdbm:down\n*/\n-- pgdbm:down\n*/;",
        "SELECT 'a'\n-- pgdbm:down\n'b';",
        "SELECT E'\\'\n-- pgdbm:down\n';",
        "SELECT 1;\n-- -- pgdbm:down\n",
        "SELECT 1;\n-- pgdbm:downwards\n",
        "SELECT 1;\n-- see pgdbm:down\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pgdbm__migration_set set;
        pgdbm_error err;
        if (load(&set, FILES("001_a.sql", texts[i]), &err) != PGDBM_OK)
            fail_msg("%s\n%s", texts[i], err.message);
        if (set.files[0].down.text != NULL)
            fail_msg("%s\nwas divided", texts[i]);
        pgdbm__migration_set_free(&set);
    }
}

static void a_down_line_ends_even_a_statement_without_semicolon(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "SELECT 1\n-- pgdbm:down\nSELECT 2",
        "SELECT 1\r-- pgdbm:down\rSELECT 2",
        "SELECT 1\r\n\t -- PGDBM:Down\r\nSELECT 2",
        "SELECT 1 -- why\n--pgdbm:down\nSELECT 2",
        "\xEF\xBB\xBF/* a */ SELECT 1;\n/* b\n*/\n-- pgdbm:down\nSELECT 2",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct pgdbm__migration_set set;
        pgdbm_error err;
        if (load(&set, FILES("001_a.sql", texts[i]), &err) != PGDBM_OK)
            fail_msg("%s\n%s", texts[i], err.message);
        assert_int_equal(set.files[0].script.n_statements, 1);
        assert_string_equal(set.files[0].script.statements[0].sql, "SELECT 1");
        assert_non_null(set.files[0].down.text);
        assert_int_equal(set.files[0].down.bytes, strlen("SELECT 2"));
        assert_memory_equal(set.files[0].down.text, "SELECT 2", strlen("SELECT 2"));
        pgdbm__migration_set_free(&set);
    }
}

static void a_down_line_that_could_be_overlooked_is_refused(void **state)
{
    (void)state;
    assert_refused(FILES("001_a.sql", "SELECT 1; -- pgdbm:down\nDROP TABLE a;"),
                   "001_a.sql, line 1: \"pgdbm:down\" does not stand alone on its line");
    assert_refused(FILES("001_a.sql", "SELECT 1;\n/* a */ -- pgdbm:down\nDROP TABLE a;"), "line 2");
    assert_refused(FILES("001_a.sql", "SELECT 1;\n-- pgdbm:down DROP TABLE a;"), "line 2: \"pgdbm:down DROP");
    assert_refused(FILES("001_a.sql", "SELECT 1;\n-- pgdbm:down\nSELECT 2;\n\n-- pgdbm:down\nSELECT 3;"),
                   "line 5: \"pgdbm:down\" is there twice");
}

static void a_down_part_that_fits_nothing_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(FILES("001_a.sql", "SELECT 1;", "001_b.down.sql", "SELECT 1;"),
                   "001_b.down.sql is the way back of 001_b.sql, which is not there");
    assert_refused(FILES("001_a.sql", "SELECT 1;\n-- pgdbm:down\nSELECT 2;", "001_a.down.sql", "SELECT 1;"),
                   "001_a.sql has two down parts: its own, line 2, and 001_a.down.sql");
    assert_refused(FILES("001_a.sql", "SELECT 1;", "001_a.down.sql", "SELECT 1;\n-- pgdbm:down\nSELECT 2;"),
                   "001_a.down.sql, line 2: a down part of a down part");
    assert_refused(FILES("001_a.sql", "SELECT 1;", "001_a.down.sql", "SELECT 1;", "001_a.down.sql", "SELECT 1;"),
                   "two down parts");
    assert_refused(FILES("R__v.sql", "SELECT 1;", "R__v.down.sql", "SELECT 1;"),
                   "R__v.down.sql: a repeatable migration has no down part");
    assert_refused(FILES("R__v.sql", "SELECT 1;\n-- pgdbm:down\nSELECT 2;"),
                   "R__v.sql, line 2: a repeatable migration has no down part");
}

static void a_down_part_that_could_not_run_is_refused_with_its_line(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"SELECT 1;\n-- pgdbm:down\n", "contains no statement in its down part"},
        {"SELECT 1;\n-- pgdbm:down", "contains no statement in its down part"},
        {"SELECT 1;\n-- pgdbm:down\nCOMMIT;", "001_a.sql, line 3, column 1: a migration must not begin"},
        {"SELECT 1;\r\n-- pgdbm:down\r\n\r\n VACUUM;", "001_a.sql, line 4, column 2: VACUUM cannot run in a"},
        {"SELECT 1;\r-- pgdbm:down\r\r SELECT {{x}};", "001_a.sql, line 4, column 9: {{x}} is an unknown"},
        {"SELECT 1;\n-- pgdbm:down\nSELECT '", "001_a.sql, line 3, column 8: the string"},
        {"SELECT 1;\n-- pgdbm:down\n-- pgdbm:no-transaction\nVACUUM", "line 3: \"pgdbm:no-transaction\" has no place"},
        {"SELECT 1;\n-- pgdbm:down\n-- pgdbm:requires a >= 1\nVACUUM",
         "line 3: \"pgdbm:requires a >= 1\" has no place"},
        {"-- pgdbm:down\nSELECT 1;", "001_a.sql contains no statement"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(FILES("001_a.sql", cases[i][0]), cases[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_down_part_is_a_file_or_a_part_of_one),
        cmocka_unit_test(a_down_line_in_quotes_or_comments_divides_nothing),
        cmocka_unit_test(a_down_line_ends_even_a_statement_without_semicolon),
        cmocka_unit_test(a_down_line_that_could_be_overlooked_is_refused),
        cmocka_unit_test(a_down_part_that_fits_nothing_is_refused_by_name),
        cmocka_unit_test(a_down_part_that_could_not_run_is_refused_with_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
