/* SPDX-License-Identifier: MIT */
/* Where migrations come from: names, order, checksums, and everything a directory can hold that is no migration. */
#include "migrate/folder.h"

#include "base/alloc.h"
#include "migrate/name.h"
#include "migrate/source.h"

#include <fcntl.h>
#include <pgdbm/memory.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int make_folder(void **state)
{
    *state = calloc(1, sizeof(struct folder));
    folder_make(*state);
    return 0;
}

static int remove_folder(void **state)
{
    folder_remove(*state);
    free(*state);
    return 0;
}

static pgdbm_status load(const struct folder *folder, struct pgdbm__migration_set *set, pgdbm_error *err)
{
    pgdbm_migrations migrations = {.directory = folder->path};
    *set = (struct pgdbm__migration_set){0};
    *err = (pgdbm_error){0};
    return pgdbm__migration_set_load(set, &migrations, NULL, false, err);
}

/* Loads, expects this failure with this text in its message, and that nothing needs more than freeing. */
static void assert_refused(const struct folder *folder, pgdbm_status expected, const char *text)
{
    struct pgdbm__migration_set set;
    pgdbm_error err;
    pgdbm_status status = load(folder, &set, &err);
    pgdbm__migration_set_free(&set);
    if (status != expected || strstr(err.message, text) == NULL || err.hint[0] == '\0')
        fail_msg("expected %s with \"%s\" and a hint, got %s: %s (hint: %s)", pgdbm_status_name(expected), text,
                 pgdbm_status_name(status), err.message, err.hint);
}

static void names_of_all_forms_give_their_number(void **state)
{
    (void)state;
    static const struct {
        const char *filename;
        const char *version; /* NULL: not a migration's name */
        size_t stem_bytes;   /* 0: not looked at */
        bool repeatable, down;
    } cases[] = {
        {"001_users.sql", "001", 9, false, false},
        {"1_a.sql", "1", 0, false, false},
        {"V1__users.sql", "1", 9, false, false},
        {"V20__b_c.sql", "20", 0, false, false},
        {"20251225120000_name.sql", "20251225120000", 0, false, false},
        {"20251025_143022_name.sql", "20251025_143022", 20, false, false},
        {"20251325_143022_name.sql", "20251325", 0, false, false}, /* no month 13: the number is the first group */
        {"001__double.sql", "001", 0, false, false},
        {"001_\303\251t\303\251.sql", "001", 0, false, false},
        {"001_users.down.sql", "001", 9, false, true},
        {"V1__users.down.sql", "1", 9, false, true},
        {"20251025_143022_name.down.sql", "20251025_143022", 20, false, true},
        {"001_down.sql", "001", 8, false, false},
        {"001_a.downs.sql", "001", 0, false, false},
        {"R__views.sql", "", 8, true, false},
        {"R__views.down.sql", "", 8, true, true},
        {"R__1_views.sql", "", 0, true, false},
        {"users.sql", NULL, 0, false, false},
        {"001.sql", NULL, 0, false, false},
        {"001_.sql", NULL, 0, false, false},
        {"001_.down.sql", NULL, 0, false, false},
        {"001_users.Down.sql", NULL, 0, false, false},
        {"001_users.down.SQL", NULL, 0, false, false},
        {"001-users.sql", NULL, 0, false, false},
        {"V1_users.sql", NULL, 0, false, false},
        {"v1__users.sql", NULL, 0, false, false},
        {"V__users.sql", NULL, 0, false, false},
        {"U1__users.sql", NULL, 0, false, false},
        {"001_users.SQL", NULL, 0, false, false},
        {"_001_users.sql", NULL, 0, false, false},
        {" 001_users.sql", NULL, 0, false, false},
        {"R_views.sql", NULL, 0, false, false},
        {"R__.sql", NULL, 0, false, false},
        {"r__views.sql", NULL, 0, false, false},
        {"", NULL, 0, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pgdbm__migration_name name;
        bool ok = pgdbm__migration_name_parse(cases[i].filename, &name);
        const char *expected = cases[i].version;
        if (ok != (expected != NULL))
            fail_msg("%s: expected %s", cases[i].filename, expected != NULL ? "a migration" : "none");
        if (!ok)
            continue;
        if (name.version_bytes != strlen(expected) || memcmp(name.version, expected, name.version_bytes) != 0)
            fail_msg("%s: expected version %s, got %.*s", cases[i].filename, expected, (int)name.version_bytes,
                     name.version);
        if (name.repeatable != cases[i].repeatable || name.down != cases[i].down ||
            (cases[i].stem_bytes > 0 && name.stem_bytes != cases[i].stem_bytes))
            fail_msg("%s: repeatable %d, down %d, stem %zu", cases[i].filename, name.repeatable, name.down,
                     name.stem_bytes);
    }
}

static void modules_are_recorded_with_their_schema(void **state)
{
    (void)state;
    char recorded[PGDBM__MODULE_LIMIT + 1];
    char longest[PGDBM__MODULE_LIMIT + 2] = "";
    pgdbm_error err;
    assert_int_equal(pgdbm__migration_module_name("shop", NULL, recorded, &err), PGDBM_OK);
    assert_string_equal(recorded, "shop");
    assert_int_equal(pgdbm__migration_module_name("shop", "tenant_1", recorded, &err), PGDBM_OK);
    assert_string_equal(recorded, "shop_tenant_1");
    memset(longest, 'x', PGDBM__MODULE_LIMIT);
    assert_int_equal(pgdbm__migration_module_name(longest, NULL, recorded, &err), PGDBM_OK);
    assert_string_equal(recorded, longest);
    assert_int_equal(pgdbm__migration_module_name(longest, "s", recorded, &err), PGDBM_ERR_CONFIG);
    assert_non_null(strstr(err.message, "102 bytes; the history holds 100"));
    assert_int_equal(pgdbm__migration_module_name(NULL, NULL, recorded, &err), PGDBM_ERR_CONFIG);
    assert_int_equal(pgdbm__migration_module_name("", "s", recorded, &err), PGDBM_ERR_CONFIG);
    assert_non_null(strstr(err.message, "module name"));
}

static void versions_compare_as_numbers(void **state)
{
    (void)state;
    static const char *const ascending[] = {"0",
                                            "001",
                                            "2",
                                            "10",
                                            "999",
                                            "1000",
                                            "20251225",
                                            "20251025143022",
                                            "20251025_143023",
                                            "20251025143024",
                                            "999999999999999999",
                                            "18446744073709551616",
                                            "18446744073709551617",
                                            "100000000000000000000000000000000000000"};
    size_t count = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            int order = pgdbm__migration_version_compare(ascending[i], ascending[j]);
            int expected = i < j ? -1 : i > j;
            if ((order > 0) - (order < 0) != expected)
                fail_msg("%s beside %s: expected %d, got %d", ascending[i], ascending[j], expected, order);
        }
    assert_int_equal(pgdbm__migration_version_compare("0001", "1"), 0);
    assert_int_equal(pgdbm__migration_version_compare("000", "0"), 0);
}

/* The expected values were computed by Python: hashlib.sha256(path.read_text(encoding="utf-8").replace("\r\n",
 * "\n").strip().encode()).hexdigest(). */
static void checksums_are_those_of_the_python_pgdbm(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        const char *checksum;
    } cases[] = {
        {"", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"CREATE TABLE a (id int);", 24, "168f4af76cbece82a4185c6c57366e07883c6e4155f25ce28559018d99433b81"},
        {"\015\012  CREATE TABLE a (id int);\015\012\015\012", 32,
         "168f4af76cbece82a4185c6c57366e07883c6e4155f25ce28559018d99433b81"},
        {"a\015\012b\015c\015\015\012d\012", 11, "25b0e498c1ac3ea96d3ad86493adcf3adb83b7347668fa1ea19558dd06bb9040"},
        {"\357\273\277\012 SELECT 1;\012", 15, "506dfa182d40b8fd333b460f46865f9e4a6e9e17f6c854be232461516ae74d64"},
        {"\302\240\342\200\203\343\200\200\034\302\205SELECT '\303\251\360\237\230\200';\342\200\250\341\232\200\011"
         "\013\014\037 ",
         38, "f8f4a4cffdab7c12ff6ecf9820c9a6bf21555b8ded79fe465a3a1613429ba01f"},
        {"\342\200\213SELECT 1;\341\240\216\357\273\277", 18,
         "6c1404e8ea6cda4899f7d014350f30e285a3b153f149f31441f2f145fedc216e"},
        {" \011\015\012 ", 5, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char checksum[PGDBM__CHECKSUM_BYTES];
        assert_true(pgdbm__migration_checksum(cases[i].text, cases[i].bytes, checksum));
        if (strcmp(checksum, cases[i].checksum) != 0)
            fail_msg("case %zu: expected %s, got %s", i, cases[i].checksum, checksum);
    }
}

static void directory_is_read_in_order_of_numbers(void **state)
{
    struct folder *folder = *state;
    folder_write(folder, "1000_last.sql", "SELECT 4;");
    folder_write(folder, "10_third.sql", "SELECT 3;");
    folder_write(folder, "2_second.sql", "-- pgdbm:no-transaction\nSELECT 2;");
    folder_write(folder, "V1__first.sql", "SELECT 1;");
    folder_write(folder, "README.md", "not SQL");
    folder_write(folder, ".hidden.sql", "not a migration");
    folder_write(folder, "001_first.sql~", "an editor's copy");
    struct pgdbm__migration_set set;
    pgdbm_error err;
    if (load(folder, &set, &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    static const char *const expected[] = {"V1__first.sql", "2_second.sql", "10_third.sql", "1000_last.sql"};
    assert_int_equal(set.n_files, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(set.files[i].filename, expected[i]);
    assert_string_equal(set.files[0].version, "1");
    assert_int_equal(set.files[0].bytes, 9);
    assert_memory_equal(set.files[0].text, "SELECT 1;", 9);
    assert_int_equal(strlen(set.files[0].checksum), 64);
    assert_false(set.files[0].no_transaction);
    assert_true(set.files[1].no_transaction);
    pgdbm__migration_set_free(&set);
}

static void sql_file_of_no_form_is_refused_by_name(void **state)
{
    struct folder *folder = *state;
    folder_write(folder, "001_users.sql", "SELECT 1;");
    folder_write(folder, "orders.sql", "SELECT 1;");
    assert_refused(folder, PGDBM_ERR_MIGRATION, "orders.sql is not named like a migration");
    folder_delete(folder, "orders.sql");
    folder_write(folder, "002_ORDERS.SQL", "SELECT 1;");
    assert_refused(folder, PGDBM_ERR_MIGRATION, "002_ORDERS.SQL");
    folder_delete(folder, "002_ORDERS.SQL");
    folder_write(folder, "002_line\nbreak.sql", "SELECT 1;");
    assert_refused(folder, PGDBM_ERR_MIGRATION, "not named like a migration");
}

static void same_number_twice_names_both_files(void **state)
{
    struct folder *folder = *state;
    folder_write(folder, "001_users.sql", "SELECT 1;");
    folder_write(folder, "V1__orders.sql", "SELECT 2;");
    assert_refused(folder, PGDBM_ERR_MIGRATION, "001_users.sql and V1__orders.sql have the same number");
}

static void same_number_is_in_order_of_names_where_the_policy_allows_it(void **state)
{
    struct folder *folder = *state;
    struct pgdbm__migration_set set = {0};
    pgdbm_migrations migrations = {.directory = folder->path};
    pgdbm_migration_policies policies = {.duplicate = PGDBM_POLICY_ALLOW};
    folder_write(folder, "V1__orders.sql", "SELECT 2;");
    folder_write(folder, "001_users.sql", "SELECT 1;");
    folder_write(folder, "001_b.sql", "SELECT 3;");
    folder_write(folder, "001_users.down.sql", "SELECT 0;");
    assert_int_equal(pgdbm__migration_set_load(&set, &migrations, &policies, false, NULL), PGDBM_OK);
    assert_int_equal(set.n_files, 3);
    assert_string_equal(set.files[0].filename, "001_b.sql");
    assert_string_equal(set.files[1].filename, "001_users.sql");
    assert_non_null(set.files[1].down.text);
    assert_string_equal(set.files[2].filename, "V1__orders.sql");
    pgdbm__migration_set_free(&set);
}

static void repeatable_files_come_last_in_order_of_names(void **state)
{
    struct folder *folder = *state;
    struct pgdbm__migration_set set;
    pgdbm_error err;
    folder_write(folder, "R__b.sql", "SELECT 4;");
    folder_write(folder, "R__a.sql", "SELECT 3;");
    folder_write(folder, "9_a.sql", "SELECT 1;");
    folder_write(folder, "10_b.sql", "SELECT 2;");
    if (load(folder, &set, &err) != PGDBM_OK)
        fail_msg("%s", err.message);
    static const char *const expected[] = {"9_a.sql", "10_b.sql", "R__a.sql", "R__b.sql"};
    assert_int_equal(set.n_files, 4);
    assert_int_equal(set.n_versioned, 2);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(set.files[i].filename, expected[i]);
        assert_int_equal(set.files[i].repeatable, i >= 2);
    }
    assert_string_equal(set.files[2].version, "");
    pgdbm__migration_set_free(&set);
}

/* Computed by: s = ""; for f, c in files: s = sha256(f"{s}\n{f}\n{c}\n".encode()).hexdigest() */
static void a_set_whose_digest_is_another_is_refused(void **state)
{
    (void)state;
    struct pgdbm__migration_set set = {0};
    pgdbm_error err;
    pgdbm_migration_text texts[] = {
        {"R__v.sql", "SELECT 3;", 9}, {"10_b.sql", "SELECT 2;", 9}, {"9_a.sql", "SELECT 1;", 9}};
    pgdbm_migrations migrations = {.texts = texts, .n_texts = 3};
    migrations.digest = "1e5aef528915c7a278c7ab328af15d1c51fd1bc7279add292a0f94281cbcdf1b";
    if (pgdbm__migration_set_load(&set, &migrations, NULL, false, &err) != PGDBM_OK)
        fail_msg("%s %s", err.message, err.detail);
    assert_string_equal(set.digest, migrations.digest);
    pgdbm__migration_set_free(&set);
    texts[1].text = "SELECT 4;";
    assert_int_equal(pgdbm__migration_set_load(&set, &migrations, NULL, false, &err), PGDBM_ERR_MIGRATION);
    assert_non_null(strstr(err.message, "not those"));
    assert_non_null(strstr(err.detail, migrations.digest));
    pgdbm__migration_set_free(&set);
}

static void empty_directory_is_refused_unless_allowed(void **state)
{
    struct folder *folder = *state;
    folder_write(folder, "notes.txt", "nothing here");
    assert_refused(folder, PGDBM_ERR_MIGRATION, "no migrations in");
    struct pgdbm__migration_set set = {0};
    pgdbm_migrations migrations = {.directory = folder->path};
    assert_int_equal(pgdbm__migration_set_load(&set, &migrations, NULL, true, NULL), PGDBM_OK);
    assert_int_equal(set.n_files, 0);
    pgdbm__migration_set_free(&set);
}

static void missing_directory_is_refused_by_name(void **state)
{
    struct folder *folder = *state;
    struct folder missing;
    snprintf(missing.path, sizeof missing.path, "%s", folder_path(folder, "nowhere"));
    assert_refused(&missing, PGDBM_ERR_CONFIG, "nowhere cannot be read: No such file or directory");
    folder_write(folder, "nowhere", "a file");
    assert_refused(&missing, PGDBM_ERR_CONFIG, "nowhere cannot be read: Not a directory");
    missing.path[0] = '\0';
    assert_refused(&missing, PGDBM_ERR_CONFIG, "migration directory \"\" cannot be read");
}

static void link_that_leaves_the_directory_is_refused(void **state)
{
    struct folder *folder = *state;
    struct folder other;
    folder_make(&other);
    folder_write(&other, "secret.sql", "SELECT 1;");
    folder_write(folder, "001_a.sql", "SELECT 1;");
    char target[PATH_MAX + 512];
    snprintf(target, sizeof target, "%s", folder_path(&other, "secret.sql"));
    assert_int_equal(symlink(target, folder_path(folder, "002_b.sql")), 0);
    assert_refused(folder, PGDBM_ERR_CONFIG, "002_b.sql is a link that leaves its directory");
    folder_delete(folder, "002_b.sql");

    /* A neighbour whose name begins with this directory's name is outside, too. */
    struct folder neighbour;
    snprintf(neighbour.path, sizeof neighbour.path, "%.4000s-next", folder->path);
    assert_int_equal(mkdir(neighbour.path, 0755), 0);
    folder_write(&neighbour, "x.sql", "SELECT 1;");
    snprintf(target, sizeof target, "%s", folder_path(&neighbour, "x.sql"));
    assert_int_equal(symlink(target, folder_path(folder, "002_b.sql")), 0);
    assert_refused(folder, PGDBM_ERR_CONFIG, "002_b.sql is a link that leaves its directory");
    folder_remove(&neighbour);
    assert_refused(folder, PGDBM_ERR_CONFIG, "002_b.sql cannot be read: No such file");
    folder_remove(&other);
}

/* As Kubernetes mounts a ConfigMap: every file a link into a hidden directory. */
static void link_inside_the_directory_is_followed(void **state)
{
    struct folder *folder = *state;
    assert_int_equal(mkdir(folder_path(folder, "..data"), 0755), 0);
    folder_write(folder, "..data/001_a.sql", "SELECT 1;");
    assert_int_equal(symlink("..data/001_a.sql", folder_path(folder, "001_a.sql")), 0);
    struct folder alias;
    snprintf(alias.path, sizeof alias.path, "%.4000s-alias", folder->path);
    assert_int_equal(symlink(folder->path, alias.path), 0);
    const struct folder *paths[] = {folder, &alias};
    for (size_t i = 0; i < 2; i++) {
        struct pgdbm__migration_set set;
        pgdbm_error err;
        if (load(paths[i], &set, &err) != PGDBM_OK)
            fail_msg("%s", err.message);
        assert_int_equal(set.n_files, 1);
        assert_string_equal(set.files[0].filename, "001_a.sql");
        pgdbm__migration_set_free(&set);
    }
    assert_int_equal(unlink(alias.path), 0);
}

static void what_is_no_regular_file_is_refused(void **state)
{
    struct folder *folder = *state;
    assert_int_equal(mkdir(folder_path(folder, "001_users.sql"), 0755), 0);
    assert_refused(folder, PGDBM_ERR_CONFIG, "001_users.sql is named like a migration but is a directory");
    assert_int_equal(rmdir(folder_path(folder, "001_users.sql")), 0);
    assert_int_equal(mkfifo(folder_path(folder, "001_users.sql"), 0644), 0);
    assert_refused(folder, PGDBM_ERR_CONFIG, "is not a regular file");
}

/* Root may read everything: the attempt is made in a child that is not root. */
static void unreadable_file_is_refused_by_name(void **state)
{
    struct folder *folder = *state;
    folder_write(folder, "001_users.sql", "SELECT 1;");
    assert_int_equal(chmod(folder_path(folder, "001_users.sql"), 0), 0);
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(3);
        struct pgdbm__migration_set set;
        pgdbm_error err;
        pgdbm_status status = load(folder, &set, &err);
        pgdbm__migration_set_free(&set);
        bool named = strstr(err.message, "001_users.sql cannot be read: Permission denied") != NULL;
        _exit(status == PGDBM_ERR_CONFIG && named ? 0 : 1);
    }
    int outcome = -1;
    assert_int_equal(waitpid(child, &outcome, 0), child);
    assert_true(WIFEXITED(outcome));
    assert_int_equal(WEXITSTATUS(outcome), 0);
}

static void bytes_that_are_no_text_are_refused_with_their_line(void **state)
{
    struct folder *folder = *state;
    folder_write_bytes(folder, "001_a.sql", "SELECT 1;\n\0SELECT 2;", 20);
    assert_refused(folder, PGDBM_ERR_MIGRATION, "001_a.sql, line 2: byte 0x00 at offset 10 is not text");
    static const char *const bad[] = {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                      "\xFF", "\xC3",     "\xE2\x82",     "\xF0\x9F\x98"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[32];
        snprintf(text, sizeof text, "\n\nSELECT '%s", bad[i]);
        folder_write(folder, "001_a.sql", text);
        assert_refused(folder, PGDBM_ERR_MIGRATION, "line 3:");
        assert_refused(folder, PGDBM_ERR_MIGRATION, "valid UTF-8");
    }
}

static void file_beyond_the_limit_is_refused(void **state)
{
    struct folder *folder = *state;
    folder_write(folder, "001_dump.sql", "SELECT 1;");
    assert_int_equal(truncate(folder_path(folder, "001_dump.sql"), (off_t)PGDBM__MIGRATION_BYTES_LIMIT + 1), 0);
    assert_refused(folder, PGDBM_ERR_MIGRATION, "001_dump.sql has more than 64 MiB");
}

static pgdbm_status load_texts(const pgdbm_migration_text *texts, size_t n_texts, struct pgdbm__migration_set *set,
                               pgdbm_error *err)
{
    pgdbm_migrations migrations = {.texts = texts, .n_texts = n_texts};
    *set = (struct pgdbm__migration_set){0};
    return pgdbm__migration_set_load(set, &migrations, NULL, false, err);
}

static void embedded_texts_are_checked_like_files(void **state)
{
    (void)state;
    struct pgdbm__migration_set set;
    pgdbm_error err;
    pgdbm_migration_text texts[] = {{"010_b.sql", "SELECT 2;", 9}, {"9_a.sql", "SELECT 1; not part of it", 9}};
    assert_int_equal(load_texts(texts, 2, &set, &err), PGDBM_OK);
    assert_string_equal(set.files[0].filename, "9_a.sql");
    char expected[PGDBM__CHECKSUM_BYTES];
    assert_true(pgdbm__migration_checksum("SELECT 1;", 9, expected));
    assert_string_equal(set.files[0].checksum, expected);
    pgdbm__migration_set_free(&set);

    char longest[300] = "001_";
    memset(longest + 4, 'x', 252);
    strcpy(longest + 252, ".sql");
    texts[0].filename = longest;
    assert_int_equal(load_texts(texts, 2, &set, &err), PGDBM_ERR_MIGRATION);
    assert_non_null(strstr(err.message, "256 bytes; the history holds 255"));
    pgdbm__migration_set_free(&set);
    strcpy(longest + 251, ".sql");
    assert_int_equal(load_texts(texts, 2, &set, &err), PGDBM_OK);
    pgdbm__migration_set_free(&set);

    static const char *const bad_names[] = {"../001_a.sql", "001_a/b.sql", "001_\xFF.sql", "001_\x7F.sql", "a.sql"};
    for (size_t i = 0; i < sizeof bad_names / sizeof *bad_names; i++) {
        texts[0].filename = bad_names[i];
        assert_int_equal(load_texts(texts, 2, &set, &err), PGDBM_ERR_MIGRATION);
        pgdbm__migration_set_free(&set);
    }
    texts[0].filename = NULL;
    assert_int_equal(load_texts(texts, 2, &set, &err), PGDBM_ERR_ARGUMENT);
    pgdbm__migration_set_free(&set);
    texts[0].filename = "010_b.sql";
    texts[0].text = NULL;
    assert_int_equal(load_texts(texts, 2, &set, &err), PGDBM_ERR_ARGUMENT);
    pgdbm__migration_set_free(&set);
}

static void source_is_exactly_one(void **state)
{
    (void)state;
    struct pgdbm__migration_set set = {0};
    pgdbm_error err;
    pgdbm_migration_text text = {"001_a.sql", "SELECT 1;", 9};
    pgdbm_migrations migrations = {0};
    assert_int_equal(pgdbm__migration_set_load(&set, &migrations, NULL, true, &err), PGDBM_ERR_CONFIG);
    assert_non_null(strstr(err.message, "no source"));
    migrations = (pgdbm_migrations){.directory = "/tmp", .texts = &text, .n_texts = 1};
    assert_int_equal(pgdbm__migration_set_load(&set, &migrations, NULL, true, &err), PGDBM_ERR_CONFIG);
    assert_non_null(strstr(err.message, "two sources"));
    migrations = (pgdbm_migrations){.n_texts = 1};
    assert_int_equal(pgdbm__migration_set_load(&set, &migrations, NULL, true, &err), PGDBM_ERR_ARGUMENT);
    pgdbm__migration_set_free(&set);
}

/* An allocator whose allocation number `countdown` fails, once. */
static long countdown;

static void *reallocate(void *memory, size_t bytes, void *context)
{
    (void)context;
    return --countdown == 0 ? NULL : realloc(memory, bytes);
}

static void release(void *memory, void *context)
{
    (void)context;
    free(memory);
}

static void every_failing_allocation_is_an_error(void **state)
{
    struct folder *folder = *state;
    char name[32];
    for (int i = 1; i <= 20; i++) {
        snprintf(name, sizeof name, "%03d_step.sql", i);
        folder_write(folder, name,
                     "-- pgdbm:requires a >= 1\n-- pgdbm:requires b >= 2\n"
                     "CREATE INDEX i ON {{tables.t}} (a);\nSELECT 2;");
    }
    folder_write(folder, "001_step.down.sql", "SELECT 1;");
    const pgdbm_allocator failing = {reallocate, release, NULL};
    assert_int_equal(pgdbm_allocator_set(&failing, NULL), PGDBM_OK);
    pgdbm_status status = PGDBM_ERR_NOMEM;
    long attempts = 0;
    while (status == PGDBM_ERR_NOMEM) {
        struct pgdbm__migration_set set;
        pgdbm_error err;
        countdown = ++attempts;
        status = load(folder, &set, &err);
        for (size_t i = 0; status == PGDBM_OK && i < set.n_files; i++)
            status = pgdbm__migration_file_prepare(&set.files[i], "app", &err);
        if (status == PGDBM_OK)
            assert_int_equal(set.n_files, 20);
        pgdbm__migration_set_free(&set);
    }
    countdown = 0;
    assert_int_equal(pgdbm_allocator_set(NULL, NULL), PGDBM_OK);
    assert_int_equal(status, PGDBM_OK);
    assert_true(attempts > 60); /* three for each file at least */
}

int main(void)
{
#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_all_forms_give_their_number),
        cmocka_unit_test(modules_are_recorded_with_their_schema),
        cmocka_unit_test(versions_compare_as_numbers),
        cmocka_unit_test(checksums_are_those_of_the_python_pgdbm),
        WITH_FOLDER(directory_is_read_in_order_of_numbers),
        WITH_FOLDER(sql_file_of_no_form_is_refused_by_name),
        WITH_FOLDER(same_number_twice_names_both_files),
        WITH_FOLDER(same_number_is_in_order_of_names_where_the_policy_allows_it),
        WITH_FOLDER(repeatable_files_come_last_in_order_of_names),
        cmocka_unit_test(a_set_whose_digest_is_another_is_refused),
        WITH_FOLDER(empty_directory_is_refused_unless_allowed),
        WITH_FOLDER(missing_directory_is_refused_by_name),
        WITH_FOLDER(link_that_leaves_the_directory_is_refused),
        WITH_FOLDER(link_inside_the_directory_is_followed),
        WITH_FOLDER(what_is_no_regular_file_is_refused),
        WITH_FOLDER(unreadable_file_is_refused_by_name),
        WITH_FOLDER(bytes_that_are_no_text_are_refused_with_their_line),
        WITH_FOLDER(file_beyond_the_limit_is_refused),
        cmocka_unit_test(embedded_texts_are_checked_like_files),
        cmocka_unit_test(source_is_exactly_one),
        WITH_FOLDER(every_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
