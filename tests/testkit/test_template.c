/* SPDX-License-Identifier: MIT */
/* Templates: migrations run once for all databases of all processes, and again when a file is another. */
#include "testkit/people.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT(text) (text), sizeof(text) - 1

struct scene {
    char directory[TEST_PATH_BYTES];
    pgdbm_migrations migrations;
    pgdbm_module module;
    pgdbm_testdb_options options;
    atomic_int files_run;
    int told; /* a pipe's end that gets a byte for each file that is run; -1: none */
    bool dies;
};

static void write_file(const struct scene *scene, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", scene->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool count_files(const pgdbm_migration_progress *progress, void *context)
{
    struct scene *scene = context;
    if (progress->phase != PGDBM_PHASE_AFTER)
        return true;
    atomic_fetch_add(&scene->files_run, 1);
    if (scene->told >= 0 && write(scene->told, "f", 1) != 1)
        return false;
    if (scene->dies)
        kill(getpid(), SIGKILL);
    return true;
}

static int setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    test_directory_make("template", scene->directory);
    scene->told = -1;
    scene->migrations.directory = scene->directory;
    scene->module =
        (pgdbm_module){.name = "shop", .migrations = &scene->migrations, .on_progress = count_files, .context = scene};
    scene->options = (pgdbm_testdb_options){.server_url = test_server_url(), .module = &scene->module};
    write_file(scene, "001_things.sql", "CREATE TABLE {{tables.things}} (id int)");
    write_file(scene, "002_rows.sql", "INSERT INTO {{tables.things}} VALUES (1), (2)");
    *state = scene;
    return 0;
}

static long templates(void)
{
    return databases_like("pgdbm_template_");
}

static int teardown(void **state)
{
    struct scene *scene = *state;
    char command[128];
    char names[8][64];
    int count = 0;
    PGconn *connection = PQconnectdb(test_server_url());
    PGresult *result = PQexec(connection, "SELECT datname FROM pg_database WHERE datname LIKE 'pgdbm\\_%'");
    for (; count < PQntuples(result) && count < 8; count++)
        snprintf(names[count], sizeof *names, "%.63s", PQgetvalue(result, count, 0));
    PQclear(result);
    PQfinish(connection);
    for (int i = 0; i < count; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %.63s WITH (FORCE)", names[i]);
        test_psql(test_server_url(), sql);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", scene->directory);
    int code = system(command);
    free(scene);
    return code;
}

static void expect_things(pgdbm_testdb *testdb, int64_t wanted)
{
    pgdbm_error err;
    int64_t number = -1;
    assert_ok(pgdbm_fetch_value_int64(pgdbm_testdb_manager(testdb), "SELECT count(*) FROM {{tables.things}}",
                                      pgdbm_no_args, &number, &err));
    assert_int_equal(number, wanted);
}

/* One more database like the scene's, with so many things in it. */
static void expect_copy(struct scene *scene, int64_t things)
{
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    assert_ok(pgdbm_testdb_create(&scene->options, &testdb, &err));
    expect_things(testdb, things);
    pgdbm_testdb_drop(testdb);
}

static void migrations_run_once_for_all_databases(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    assert_ok(pgdbm_testdb_create(&scene->options, &testdb, &err));
    assert_int_equal(atomic_load(&scene->files_run), 2);
    assert_ok(pgdbm_execute(pgdbm_testdb_manager(testdb), "DELETE FROM {{tables.things}}", pgdbm_no_args, NULL, &err));
    expect_copy(scene, 2); /* what one does with its copy is its own affair */
    assert_int_equal(atomic_load(&scene->files_run), 2);
    pgdbm_testdb_drop(testdb);
    assert_int_equal(templates(), 1);
    assert_int_equal(databases_like("pgdbm_test_"), 0);
}

static void a_changed_file_gives_another_template_and_the_old_one_goes(void **state)
{
    struct scene *scene = *state;
    expect_copy(scene, 2);
    write_file(scene, "002_rows.sql", "INSERT INTO {{tables.things}} VALUES (1), (2), (3)");
    expect_copy(scene, 3);
    write_file(scene, "003_more.sql", "INSERT INTO {{tables.things}} VALUES (4)");
    expect_copy(scene, 4);
    write_file(scene, "notes.txt", "no migration");
    expect_copy(scene, 4);
    assert_int_equal(atomic_load(&scene->files_run), 2 + 2 + 3);
    assert_int_equal(templates(), 1);
}

static void another_schema_or_module_is_another_template(void **state)
{
    struct scene *scene = *state;
    expect_copy(scene, 2);
    scene->options.schema = "elsewhere";
    expect_copy(scene, 2);
    scene->module.name = "other";
    expect_copy(scene, 2);
    assert_int_equal(templates(), 3);
    scene->options = (pgdbm_testdb_options){.server_url = test_server_url(), .migrations = &scene->migrations};
    expect_copy(scene, 2);
    assert_int_equal(templates(), 4);
}

static void texts_have_templates_too(void **state)
{
    struct scene *scene = *state;
    static const pgdbm_migration_text texts[] = {{"001_things.sql", TEXT("CREATE TABLE {{tables.things}} (i int)")}};
    static const pgdbm_migration_text others[] = {{"001_things.sql", TEXT("CREATE TABLE {{tables.things}} (j int)")}};
    scene->migrations = (pgdbm_migrations){.texts = texts, .n_texts = 1};
    expect_copy(scene, 0);
    expect_copy(scene, 0);
    assert_int_equal(atomic_load(&scene->files_run), 1);
    scene->migrations.texts = others;
    expect_copy(scene, 0);
    assert_int_equal(atomic_load(&scene->files_run), 2);
    assert_int_equal(templates(), 1);
}

static void without_a_template_migrations_run_each_time(void **state)
{
    struct scene *scene = *state;
    scene->options.without_template = true;
    expect_copy(scene, 2);
    expect_copy(scene, 2);
    assert_int_equal(atomic_load(&scene->files_run), 4);
    assert_int_equal(templates(), 0);
}

static void what_cannot_be_migrated_leaves_no_template(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    write_file(scene, "003_bad.sql", "SELECT nonsense");
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_testdb_create(&scene->options, &testdb, &err));
    assert_contains(err.message, "003_bad.sql");
    scene->migrations.directory = "/nowhere/at/all";
    assert_fails(PGDBM_ERR_CONFIG, pgdbm_testdb_create(&scene->options, &testdb, &err));
    assert_contains(err.message, "/nowhere/at/all");
    assert_int_equal(databases_like("pgdbm_te"), 0);
}

static void a_template_cannot_be_connected_to(void **state)
{
    struct scene *scene = *state;
    expect_copy(scene, 2);
    assert_int_equal(server_number("SELECT count(*) FROM pg_database WHERE starts_with(datname, 'pgdbm_template_')"
                                   " AND NOT datallowconn AND shobj_description(oid, 'pg_database') LIKE"
                                   " 'pgdbm testkit kind=template set=% used=% pid=%'"),
                     1);
}

static int make_a_copy(void *context)
{
    struct scene *scene = context;
    pgdbm_error err = {0};
    pgdbm_testdb *testdb = NULL;
    int64_t things = 0;
    if (pgdbm_testdb_create(&scene->options, &testdb, &err) != PGDBM_OK) {
        fprintf(stderr, "%s\n%s\n", err.message, err.detail);
        return 1;
    }
    pgdbm_status status = pgdbm_fetch_value_int64(
        pgdbm_testdb_manager(testdb), "SELECT count(*) FROM {{tables.things}}", pgdbm_no_args, &things, &err);
    pgdbm_testdb_drop(testdb);
    return status == PGDBM_OK && things == 2 ? 0 : 2;
}

static void of_several_processes_one_makes_the_template(void **state)
{
    struct scene *scene = *state;
    enum { PROCESSES = 6 };
    pid_t children[PROCESSES];
    int ends[2];
    char bytes[64];
    test_needs_fork();
    write_file(scene, "002_rows.sql",
               "INSERT INTO {{tables.things}} SELECT g FROM generate_series(1, 2) g, pg_sleep(0.2)");
    assert_int_equal(pipe(ends), 0);
    scene->told = ends[1];
    for (int i = 0; i < PROCESSES; i++)
        children[i] = start_child(make_a_copy, scene);
    close(ends[1]);
    for (int i = 0; i < PROCESSES; i++)
        assert_int_equal(await_child(children[i]), 0);
    assert_int_equal(read(ends[0], bytes, sizeof bytes), 2); /* both files once */
    close(ends[0]);
    assert_int_equal(templates(), 1);
}

static void one_that_was_killed_while_making_it_is_not_waited_for(void **state)
{
    struct scene *scene = *state;
    test_needs_fork();
    scene->dies = true;
    assert_int_equal(await_child(start_child(make_a_copy, scene)), 128 + SIGKILL);
    scene->dies = false;
    expect_copy(scene, 2);
    assert_int_equal(atomic_load(&scene->files_run), 2);
    assert_int_equal(templates(), 1);
}

static void find_template(char name[64])
{
    PGconn *connection = PQconnectdb(test_server_url());
    PGresult *result =
        PQexec(connection, "SELECT datname FROM pg_database WHERE starts_with(datname, 'pgdbm_template_')");
    assert_int_equal(PQntuples(result), 1);
    snprintf(name, 64, "%.63s", PQgetvalue(result, 0, 0));
    PQclear(result);
    PQfinish(connection);
}

static void one_that_hangs_while_making_it_is_named(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    char sql[256], name[64];
    expect_copy(scene, 2);
    find_template(name);
    snprintf(sql, sizeof sql, "DROP DATABASE %s", name);
    test_psql(test_server_url(), sql);
    PGconn *other = PQconnectdb(test_server_url()); /* is at it, and does not come to an end */
    snprintf(sql, sizeof sql, "SELECT pg_advisory_lock(hashtextextended('pgdbm testkit %s', 0))", name);
    PQclear(PQexec(other, sql));
    scene->options.timeout_ms = 200;
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_testdb_create(&scene->options, &testdb, &err));
    assert_contains(err.message, "another process has been making the template database");
    assert_contains(err.message, name);
    PQfinish(other);
    scene->options.timeout_ms = 0;
    expect_copy(scene, 2);
}

/* Holds the template while two attempts are made to copy it. */
static void *sit_in_the_template(void *context)
{
    PGconn *watch = PQconnectdb(test_server_url());
    PGconn **guest = context;
    char first[64] = "";
    for (bool again = false; !again;) {
        PGresult *result =
            PQexec(watch, "SELECT query_start FROM pg_stat_activity WHERE state = 'active' AND query LIKE"
                          " 'CREATE DATABASE%'");
        if (PQntuples(result) > 0 && first[0] == '\0')
            snprintf(first, sizeof first, "%.60s", PQgetvalue(result, 0, 0));
        else
            again = PQntuples(result) > 0 && strcmp(first, PQgetvalue(result, 0, 0)) != 0;
        PQclear(result);
    }
    PQfinish(*guest);
    PQfinish(watch);
    return NULL;
}

static void a_template_that_somebody_sits_in_is_tried_again(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err;
    pgdbm_testdb *testdb = NULL;
    pthread_t thread;
    char sql[256], url[512], name[64];
    expect_copy(scene, 2);
    find_template(name);
    snprintf(sql, sizeof sql, "ALTER DATABASE %s ALLOW_CONNECTIONS true", name);
    test_psql(test_server_url(), sql);
    snprintf(url, sizeof url, "postgresql://postgres@/%s?host=%s", name,
             pgdbm_testserver_socket_directory(test_server()));
    PGconn *guest = PQconnectdb(url);
    assert_int_equal(PQstatus(guest), CONNECTION_OK);

    scene->options.timeout_ms = 300;
    assert_fails(PGDBM_ERR_TIMEOUT, pgdbm_testdb_create(&scene->options, &testdb, &err));
    scene->options.timeout_ms = 0;
    assert_int_equal(pthread_create(&thread, NULL, sit_in_the_template, &guest), 0);
    expect_copy(scene, 2);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&scene->files_run), 2);
}

static atomic_bool stops;

static void *drop_templates(void *context)
{
    PGconn *connection = PQconnectdb(test_server_url());
    (void)context;
    while (!atomic_load(&stops)) {
        char sql[128];
        PGresult *result =
            PQexec(connection, "SELECT datname FROM pg_database WHERE starts_with(datname, 'pgdbm_template_')");
        snprintf(sql, sizeof sql, "DROP DATABASE %.63s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "none");
        PQclear(result);
        PQclear(PQexec(connection, sql));
    }
    PQfinish(connection);
    return NULL;
}

static void a_template_that_vanishes_is_made_again(void **state)
{
    struct scene *scene = *state;
    pthread_t thread;
    atomic_store(&stops, false);
    assert_int_equal(pthread_create(&thread, NULL, drop_templates, NULL), 0);
    while (atomic_load(&scene->files_run) < 6)
        expect_copy(scene, 2);
    atomic_store(&stops, true);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(migrations_run_once_for_all_databases, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_file_gives_another_template_and_the_old_one_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(another_schema_or_module_is_another_template, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_have_templates_too, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_template_migrations_run_each_time, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_migrated_leaves_no_template, setup, teardown),
        cmocka_unit_test_setup_teardown(a_template_cannot_be_connected_to, setup, teardown),
        cmocka_unit_test_setup_teardown(of_several_processes_one_makes_the_template, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_was_killed_while_making_it_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_hangs_while_making_it_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_template_that_somebody_sits_in_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_template_that_vanishes_is_made_again, setup, teardown),
    };
    test_server_own(NULL);
    return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
