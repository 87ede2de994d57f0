/* SPDX-License-Identifier: MIT */
/* What is found in C and C++: literals wherever they stand, texts that are put together, habits; and what is left alone. */
#include "support/server.h"

#include "check/calls.h"
#include "check/run.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Reads `text` as the file NAME in a directory of its own and gives what is found: "line:column rule\n" each, then the number of
 * texts that were not checked. To be freed. */
static char *find(const char *name, const char *text)
{
    char directory[TEST_PATH_BYTES], path[TEST_PATH_BYTES + 64];
    char *found = NULL;
    size_t bytes = 0, not_checked = 0;
    test_directory_make("check", directory);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    struct pgdbm__check_run *run = pgdbm__check_run_create();
    assert_non_null(run);
    assert_true(pgdbm__check_run_add_path(run, directory));
    assert_true(pgdbm__check_run_read(run));
    FILE *out = open_memstream(&found, &bytes);
    for (size_t i = 0; i < run->n_findings; i++)
        fprintf(out, "%zu:%zu %s%s\n", run->findings[i].place.line, run->findings[i].place.column,
                run->findings[i].rule->id, run->findings[i].suppressed_because != NULL ? " suppressed" : "");
    for (size_t i = 0; i < run->n_files; i++)
        not_checked += run->files[i].not_checked;
    fprintf(out, "%zu not checked\n", not_checked);
    fclose(out);
    pgdbm__check_run_free(run);
    unlink(path);
    rmdir(directory);
    return found;
}

static void expect_in(const char *name, const char *text, const char *wanted)
{
    char *found = find(name, text);
    if (strcmp(found, wanted) != 0)
        print_error("of: %s\n", text);
    assert_string_equal(found, wanted);
    free(found);
}

static void expect(const char *text, const char *wanted)
{
    expect_in("file.c", text, wanted);
}

#define NOTHING "0 not checked\n"

static void literals_are_read_with_their_places(void **state)
{
    (void)state;
    expect("void f(void) { pgdbm_execute(db, \"SELECT * FROM users\", pgdbm_no_args, NULL, &err); }",
           "1:49 bare-table\n" NOTHING);
    expect("int f(void) {\n  return pgdbm_execute(db,\n    \"SELECT id \" /* a */ \"FROM \"\n    \"app.users\", a, b, "
           "c);\n}",
           "4:6 hard-coded-schema\n" NOTHING);
    expect("void f(void) { pgdbm_execute(db, \"SELECT\\n1 FROM\\t\\\"us\\\\ers\\\"\", a); }",
           "1:51 bare-table\n" NOTHING);
    expect("void f(void) { pgdbm_execute(db, \"SELECT 1 \\\n FROM users\", a); }", "2:7 bare-table\n" NOTHING);
    expect("void f(void) { pgdbm_execute(db, \"SELECT \\x31 FROM \\165sers\", a); }", "1:52 bare-table\n" NOTHING);
    expect("void f(void) { pgdbm_execute_with(db, &how, \"SELECT 1 FROM users\", a); }", "1:60 bare-table\n" NOTHING);
    expect("void f(void) { pgdbm_execute(db, u8\"SELECT 1 FROM users\", a); }", "1:51 bare-table\n" NOTHING);
    expect_in("file.cpp", "void f() { pgdbm_execute(db, R\"x(SELECT \")\" \n FROM users)x\", a); }",
              "2:7 bare-table\n" NOTHING);
    expect_in("file.cpp", "void f() { pgdbm_execute(db, R\"(SELECT 1 \n FROM users)\", a); }",
              "2:7 bare-table\n" NOTHING);
}

static void correct_code_is_left_alone(void **state)
{
    (void)state;
    static const char *const right[] = {
        "void f(void) { pgdbm_execute(db, \"SELECT * FROM {{tables.users}} WHERE id = $1\", a); }",
        "/* pgdbm_execute(db, \"SELECT * FROM users\") */ // pgdbm_execute(db, \"SELECT * FROM users\")\n",
        "const char *text = \"pgdbm_execute(db, \\\"SELECT * FROM users\\\")\";",
        "pgdbm_status pgdbm_execute(pgdbm_db *db, const char *sql, pgdbm_params params);",
        "void f(void) { other_execute(db, \"SELECT * FROM users\"); }",
        "void f(void) { pgdbm_execute(db, ready ? \"SELECT 1\" : \"SELECT 2\", a); pgdbm_execute(db, NULL, a); }",
        "static const char sql[] = \"SELECT * FROM {{tables.users}}\";\nvoid f(void) { pgdbm_execute(db, sql, a); }",
        "void f(void) { pgdbm_rows_count(db, \"users\", &n, &err); }",
        "#define SQL \"SELECT 1 FROM \" \\\n  \"{{tables.users}}\"\nvoid f(void) { pgdbm_execute(db, (SQL), a); }",
        "void f(void) { char sql[9]; pgdbm_execute(db, \"SELECT 1\", a); snprintf(sql, 9, \"x\"); puts(sql); }",
        "",
        "void f(void) { pgdbm_execute(db",
        "\"",
        "#",
        "void f(void) { pgdbm_execute( }}})))(((",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect(right[i], NOTHING);
}

static void constants_are_read_where_they_are_in_force(void **state)
{
    (void)state;
    expect("static const char sql[] = \"SELECT * FROM users\";\nvoid f(void) { pgdbm_execute(db, sql, a); "
           "pgdbm_execute(db, sql, a); }",
           "1:42 bare-table\n" NOTHING);
    expect("#define FROM_USERS \" FROM users\"\nvoid f(void) { pgdbm_execute(db, \"SELECT 1\" FROM_USERS, a); }",
           "1:27 bare-table\n" NOTHING);
    expect("void f(void) { const char *sql = \"SELECT 1\"; pgdbm_execute(db, sql, a); }\n"
           "void g(void) { const char *sql = \"SELECT 1 FROM users\"; pgdbm_execute(db, sql, a); }",
           "2:49 bare-table\n" NOTHING);
    expect("void f(void) { const char *sql = \"SELECT 1 FROM users\"; sql = other; pgdbm_execute(db, sql, a); }",
           "1 not checked\n");
    expect("void f(const char *sql) { pgdbm_execute(db, sql, a); pgdbm_execute(db, it->sql, a); }", "2 not checked\n");
    expect("void f(void) { pgdbm_execute(db, \"SELECT \" COLUMNS \" FROM users\", a); }", "1 not checked\n");
    expect("void f(void) { pgdbm_execute(db, L\"SELECT 1 FROM users\", a); }", "1 not checked\n");
}

static void texts_put_together_are_found(void **state)
{
    (void)state;
    expect("void f(void) { char sql[99]; snprintf(sql, 99, \"SELECT %s\", x); pgdbm_execute(db, sql, a); }",
           "1:83 string-built-sql\n" NOTHING);
    expect("void f(void) { char *sql; asprintf(&sql, \"SELECT %s\", x); pgdbm_execute(db, sql, a); }",
           "1:77 string-built-sql\n" NOTHING);
    expect("void f(void) { char sql[99] = \"SELECT \"; strcat(sql, x); pgdbm_execute(db, sql, a); }",
           "1:76 string-built-sql\n" NOTHING);
    expect("void f(void) { pgdbm_execute(db, g_strdup_printf(\"%s\", x), a); }", "1:34 string-built-sql\n" NOTHING);
    expect("void f(void) { char *sql = g_strconcat(\"SELECT \", x, NULL); pgdbm_execute(db, sql, a); }",
           "1:79 string-built-sql\n" NOTHING);
    expect_in("file.cc", "void f() { std::string sql = \"SELECT \" + x; pgdbm_execute(db, sql.c_str(), a); }",
              "1:63 string-built-sql\n" NOTHING);
    expect_in("file.cc", "void f() { pgdbm_execute(db, (\"SELECT \" + x).c_str(), a); }",
              "1:31 string-built-sql\n" NOTHING);
}

static void migrations_without_a_name_are_found(void **state)
{
    (void)state;
    expect("pgdbm_migrate_options how = {.migrations = &m};", "1:1 module-without-name\n" NOTHING);
    expect("void f(void) { g(&(pgdbm_migrate_options){.migrations = &m, .module = NULL}); }",
           "1:71 module-without-name\n" NOTHING);
    expect("static const pgdbm_module m = {.name = \"\", .migrations = &x};", "1:40 module-without-name\n" NOTHING);
    expect("pgdbm_module m = {.migrations = &x, .policies = {.name = 1}};", "1:1 module-without-name\n" NOTHING);
    static const char *const right[] = {
        "pgdbm_migrate_options how = {.module = \"users\", .migrations = &m};",
        "void f(void) { pgdbm_migrate_options how = {.migrations = &m}; how.module = name; }",
        "pgdbm_migrate_options how = {0}; pgdbm_migrate_options other = {.dry_run = true};",
        "pgdbm_migrate_options all[] = {{.migrations = &m}}; void f(void) { all[0].module = \"a\"; }",
        "typedef struct pgdbm_module { const char *name; } pgdbm_module;",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect(right[i], NOTHING);
}

static void a_second_pool_to_one_database_is_found(void **state)
{
    (void)state;
    expect("void f(void) {\n pgdbm_open(&config, &a, &err);\n pgdbm_open(&config, &b, &err);\n}",
           "3:2 second-pool\n" NOTHING);
    expect("void f(void) {\n pgdbm_config a = {.connection_string = url, .max_connections = 2}, b;\n"
           " pgdbm_config c = {.connection_string = url};\n pgdbm_pool_open(&a, &p, &err);\n"
           " if (pgdbm_pool_open(&c, &q, &err) != PGDBM_OK) return;\n}",
           "5:6 second-pool\n" NOTHING);
#define OPENER(name, url)                                                                                              \
    "void " name "(void) { pgdbm_config c = {.connection_string = " url "}; pgdbm_open(&c, &" name "_db, &err); }\n"
    expect(OPENER("a", "getenv(\"URL\")") OPENER("b", "getenv(\"URL\")") "int main(void) {\n a();\n b();\n}",
           "5:2 second-pool\n" NOTHING);
    static const char *const right[] = {
        OPENER("a", "getenv(\"URL\")") OPENER("b", "getenv(\"OTHER\")") "int main(void) { a(); b(); }",
        OPENER("a", "url") OPENER("b", "url") "int main(void) { a(); b(); }",
        OPENER("a", "getenv(\"URL\")") OPENER("b", "getenv(\"URL\")") "int main(void) { x ? a() : b(); }",
        "void f(void) { pgdbm_open(&config, &a, &err); pgdbm_close(a); pgdbm_open(&config, &b, &err); }",
        "void f(void) { if (x) pgdbm_open(&config, &a, &err); else pgdbm_open(&config, &b, &err); }",
        "void f(void) { pgdbm_open(&config, &a, &err); config.connection_string = u; pgdbm_open(&config, &b, &err); }",
        "void f(void) { pgdbm_open(&config, &a, &err); pgdbm_open(&other, &b, &err); }",
        "void f(void) { pgdbm_open(&config, &a, &err); }\nvoid g(void) { pgdbm_open(&config, &a, &err); }",
        "void f(void) { pgdbm_config c = {.on_duplicate_pool = PGDBM_ALLOW}; pgdbm_open(&c, &a, &e); pgdbm_open(&c, "
        "&b, "
        "&e); }",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect(right[i], NOTHING);
}

static void closing_what_was_borrowed_is_found(void **state)
{
    (void)state;
    expect("int count(pgdbm_db *db)\n{\n    pgdbm_close(db);\n}", "3:5 close-borrowed\n" NOTHING);
    expect("static void f(int a, pgdbm_pool *pool) { pgdbm_pool_close(pool); }", "1:42 close-borrowed\n" NOTHING);
    expect_in("a.cpp", "namespace n { void f(pgdbm_db *db) noexcept { pgdbm_close(db); } }",
              "1:47 close-borrowed\n" NOTHING);
    static const char *const right[] = {
        "void users_close(pgdbm_db *db) { pgdbm_close(db); }",
        "void f(pgdbm_db *db) { pgdbm_db *tx; pgdbm_begin(db, &tx, &err); pgdbm_close(tx); }",
        "void f(pgdbm_db *db) { db = other; pgdbm_close(db); }",
        "void f(struct users *users) { pgdbm_close(users->db); }",
        "void f(pgdbm_db **db) { pgdbm_close(*db); }",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect(right[i], NOTHING);
}

static void what_is_meant_is_allowed_with_a_reason(void **state)
{
    (void)state;
#define WRONG "void f(void) { pgdbm_execute(db, \"SELECT 1 FROM users\", a); }"
    expect(WRONG " // pgdbm-check: allow bare-table because a view of everybody's",
           "1:49 bare-table suppressed\n" NOTHING);
    expect("/* pgdbm-check: allow bare-table, string-built-sql because it is so */\n\n" WRONG,
           "1:4 bad-suppression\n3:49 bare-table suppressed\n" NOTHING);
    expect(WRONG " // pgdbm-check: allow bare-table", "1:49 bare-table\n1:66 bad-suppression\n" NOTHING);
    expect(WRONG " // pgdbm-check: allow bare-tabel because x", "1:49 bare-table\n1:66 bad-suppression\n" NOTHING);
    expect(WRONG " // pgdbm-check: ignore", "1:49 bare-table\n1:66 bad-suppression\n" NOTHING);
    expect("// pgdbm-check: allow bare-table because x\nint a;\n" WRONG,
           "1:4 bad-suppression\n3:49 bare-table\n" NOTHING);
    expect("const char *text = \"pgdbm-check: nothing\";", NOTHING);
    expect_in("001_a.sql", "-- pgdbm-check: allow bare-table because x\nSELECT 1 FROM users;\nSELECT 2 FROM users;",
              "2:15 bare-table suppressed\n3:15 bare-table\n" NOTHING);
}

/* The place of the parameter that begins at `at` in its list, and the name of the function. */
static size_t parameter(const char *text, const char *at, char name[64])
{
    size_t n = 0, depth = 0;
    const char *open = at;
    while (open > text && (*open != '(' || depth > 0)) {
        depth += *open == ')';
        depth -= *open == '(';
        n += *open == ',' && depth == 0;
        open--;
    }
    const char *begin = open;
    while (begin > text && (isalnum((unsigned char)begin[-1]) || begin[-1] == '_'))
        begin--;
    snprintf(name, 64, "%.*s", (int)(open - begin), begin);
    return n;
}

static size_t compare_with_header(const char *path)
{
    size_t bytes = 0, found = 0;
    const char *why = NULL;
    char *text = pgdbm__check_file_text(path, &bytes, &why);
    assert_non_null(text);
    for (const char *at = text; (at = strstr(at, "const char *sql")) != NULL; at++) {
        char name[64];
        size_t place = parameter(text, at, name);
        size_t length = strlen(name);
        static const char here[] = "_here";
        const char *ending = length > strlen(here) ? name + length - strlen(here) : "";
        if (strncmp(name, "pgdbm_", 6) != 0 || strstr(name, "_sized") != NULL ||
            strstr(name, "_at") == name + length - 3)
            continue;
        if (strcmp(ending, here) == 0) {
            length -= strlen(here);
            place -= 2;
        }
        const struct pgdbm__check_call *call = pgdbm__check_call_find(name, length);
        if (call == NULL || call->sql != place)
            fail_msg("%s: expected the table of calls to have %.*s with SQL at %zu", path, (int)length, name, place);
        found++;
    }
    free(text);
    return found;
}

static void only_one_branch_of_a_condition_counts(void **state)
{
    (void)state;
    /* Each branch opens what is closed once. */
    static const char head[] = "#ifdef A\nint f(pgdbm_db *db, int a) {\n#elif B\nint f(int a, pgdbm_db *db) {\n"
                               "#else\nint f(pgdbm_db *db) {\n#endif\n";
    char text[1024];
    snprintf(text, sizeof text, "%s} int main(void) { pgdbm_db *db; pgdbm_close(db); }", head);
    expect(text, NOTHING);
    snprintf(text, sizeof text, "%s if (x) {\n#if C\n } else {\n#endif\n } } %s", head,
             "void g(void) {\n pgdbm_open(&config, &a, &err);\n pgdbm_open(&config, &b, &err);\n}");
    expect(text, "14:2 second-pool\n" NOTHING);
    static const char *const right[] = {
        "void f(void) { g(\n#if A\n if (x) {\n#else\n if (y) {\n#endif\n } } \n"
        "void g(void) { pgdbm_open(&config, &a, &err); }\nvoid h(void) { pgdbm_open(&config, &a, &err); }",
        "#else\n#endif\n#endif\n}}}#if\n{{{#else\n(((#endif\n#else",
        "#if A\nvoid f(void) { }\n}\n#else\n#endif\n",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect(right[i], NOTHING);
}

static void what_may_be_right_is_left_alone(void **state)
{
    (void)state;
    static const char *const right[] = {
        /* Names that say that they end what they get, however they are written. */
        "void CloseDb(pgdbm_db *db) { pgdbm_close(db); }",
        "int fail(pgdbm_db *db, pgdbm_error *err) { puts(err->message); pgdbm_close(db); return 1; }",
        "void app_terminate(pgdbm_db *db) { pgdbm_close(db); }",
        "void db_disconnect(pgdbm_db *db) { pgdbm_close(db); }",
        "void pool_unref(pgdbm_pool *pool) { pgdbm_pool_close(pool); }",
        "auto share(pgdbm_db *db) { return std::shared_ptr<pgdbm_db>(db, [](pgdbm_db *db) { pgdbm_close(db); }); }",
        "void f(pgdbm_db *db, bool owned) { if (owned) { pgdbm_close(db); } }",
        "static const pgdbm_module module = {\"users\", .migrations = &m};",
        /* One text is built, another of the same name is not. */
        "void f(void) { { char t[9]; snprintf(t, 9, \"%d\", 1); } { const char *t = \"SELECT 1\";"
        " pgdbm_execute(db, t, a, NULL, NULL); } }",
        /* Only one of the two opens counts. */
        "int f(void) { if (x) return pgdbm_open(&config, &a, &err); return pgdbm_open(&config, &b, &err); }",
        "int f(void) { if (x) { rc = pgdbm_open(&config, &a, &err); return rc; } return pgdbm_open(&config, &b, &err); "
        "}",
        "int f(void) { if (pgdbm_open(&config, &a, &err) == 0) return 0; return pgdbm_open(&config, &a, &err); }",
        "int f(void) { rc = pgdbm_open(&config, &a, &err); if (rc != 0) rc = pgdbm_open(&config, &a, &err); }",
        "int f(void) { rc = pgdbm_open(&config, &a, &err); if (rc != 0) { rc = pgdbm_open(&config, &a, &err); } }",
        "void f(void) { assert_int_equal(pgdbm_open(&config, &a, &err), PGDBM_ERR_CONFIG);"
        " assert_int_equal(pgdbm_open(&config, &a, &err), PGDBM_OK); }",
        "void f(void) { fill(&config, 1); pgdbm_open(&config, &a, &err); fill(&config, 2);"
        " pgdbm_open(&config, &b, &err); }",
        "void f(void) { pgdbm_open(&config, &a, &err); tear_down(a); pgdbm_open(&config, &b, &err); }",
        /* The name comes later, from somebody else. */
        "pgdbm_migrate_options f(const char *m) { pgdbm_migrate_options o = {.migrations = &M}; return o; }",
        "void f(void) { pgdbm_migrate_options o = {.migrations = &M}; set_module(&o, name); pgdbm_migrate(db, &o, e); "
        "}",
        "void f(void) { pgdbm_migrate_options o = {.migrations = &M}, *p = &o; p->module = name; }",
        "void f() { auto o = pgdbm_migrate_options{.migrations = &M}; o.module = name; }",
        "void f() { pgdbm_migrate_options o{.migrations = &M}; o.module = name; }",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect_in("file.cpp", right[i], NOTHING);
    expect("void f(void) { pgdbm_migrate_options o = {.migrations = &M};\n pgdbm_migrate(db, &o, &err); }",
           "1:16 module-without-name\n" NOTHING);
    expect_in("a.cpp", "void f() { pgdbm_migrate_options o{.migrations = &M};\n pgdbm_migrate(db, &o, &err); }",
              "1:12 module-without-name\n" NOTHING);
    expect("void f(void) { pgdbm_open(&config, &a, &err); check(a); if (x) return;\n pgdbm_open(&config, &b, &err); }",
           "2:2 second-pool\n" NOTHING);
}

/* `line` again and again within `before` and `after`: what is found, which must take seconds, not the square of them. */
static void expect_soon(const char *before, const char *line, const char *after, size_t lines)
{
    struct timespec begin, end;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    fputs(before, out);
    for (size_t i = 0; i < lines; i++)
        fputs(line, out);
    fputs(after, out);
    fclose(out);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    free(find("file.c", text));
    clock_gettime(CLOCK_MONOTONIC, &end);
    free(text);
    if (end.tv_sec - begin.tv_sec >= 60)
        fail_msg("%zu times '%s' took %ld s", lines, line, (long)(end.tv_sec - begin.tv_sec));
}

static void many_lines_take_as_long_as_they_are(void **state)
{
    (void)state;
    expect_soon("void f(const char *sql) {\n", "pgdbm_execute(db, sql, a, NULL, NULL);\n", "}", 50000);
    expect_soon("void f(void) {\n", "pgdbm_open(&config, &a, NULL);\n", "}", 50000);
    expect_soon("void f(void) {\n", "pgdbm_migrate_options o = {.migrations = m};\n", "}", 50000);
    expect_soon("void f(void) {\n", "const char *s = \"SELECT 1\"; pgdbm_execute(db, s, a, NULL, NULL);\n", "}", 50000);
    expect_soon("", "#define S \"SELECT 1\"\nvoid f(void) { pgdbm_execute(db, S, a, NULL, NULL); }\n", "", 50000);
    expect_soon("void f(void) {\n", "pgdbm_execute(db, ", "}", 50000);
    expect_soon("", "/* pgdbm-check: allow bare-table because x */\n", "", 50000);
}

static void the_table_of_calls_is_that_of_the_headers(void **state)
{
    (void)state;
    size_t found = 0, n_calls = 0;
    DIR *folder = opendir(PGDBM_TESTS_SOURCE "/include/pgdbm");
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[512];
        snprintf(path, sizeof path, PGDBM_TESTS_SOURCE "/include/pgdbm/%.200s", entry->d_name);
        if (strstr(entry->d_name, ".h") != NULL)
            found += compare_with_header(path);
    }
    closedir(folder);
    while (pgdbm__check_call_at(n_calls) != NULL) {
        const char *name = pgdbm__check_call_at(n_calls++)->name;
        assert_ptr_equal(pgdbm__check_call_find(name, strlen(name)), pgdbm__check_call_at(n_calls - 1));
    }
    assert_true(found >= 40);
    assert_true(n_calls <= found + 1); /* pgdbm_fetch_value is a macro */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_read_with_their_places),
        cmocka_unit_test(correct_code_is_left_alone),
        cmocka_unit_test(constants_are_read_where_they_are_in_force),
        cmocka_unit_test(texts_put_together_are_found),
        cmocka_unit_test(migrations_without_a_name_are_found),
        cmocka_unit_test(a_second_pool_to_one_database_is_found),
        cmocka_unit_test(closing_what_was_borrowed_is_found),
        cmocka_unit_test(what_is_meant_is_allowed_with_a_reason),
        cmocka_unit_test(only_one_branch_of_a_condition_counts),
        cmocka_unit_test(what_may_be_right_is_left_alone),
        cmocka_unit_test(many_lines_take_as_long_as_they_are),
        cmocka_unit_test(the_table_of_calls_is_that_of_the_headers),
    };
    return cmocka_run_group_tests_name("source", tests, NULL, NULL);
}
