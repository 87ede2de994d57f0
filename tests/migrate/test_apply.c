/* SPDX-License-Identifier: MIT */
/* A file that is one transaction: what it leaves, how it gives way, what is said when it fails, and what a process leaves
 * that is killed in it. */
#include "migrate/victim.h"

#include "support/server.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* What a progress callback or a hook does, and what it has seen. */
struct log {
    struct scene *scene;
    pgdbm_db *holder; /* a transaction to be rolled back at the first RETRY */
    pgdbm_testserver *server;
    pgdbm_migration_phase stop_in; /* false is returned there, ... */
    size_t stop_at;                /* ... in this statement, 0: any; with `stop` only */
    bool stop;
    int retries;
    char text[512];
};

static bool follow(const pgdbm_migration_progress *progress, void *context)
{
    static const char *const names[] = {"waiting", "before", "statement", "retry", "after", "lost"};
    struct log *log = context;
    char line[64];
    snprintf(line, sizeof line, "%s %s %zu/%zu %zu/%zu;", names[progress->phase],
             progress->filename != NULL ? progress->filename : "", progress->file, progress->n_files,
             progress->statement, progress->n_statements);
    if (strlen(log->text) + strlen(line) < sizeof log->text)
        strcat(log->text, line);
    if (progress->phase == PGDBM_PHASE_RETRY) {
        log->retries++;
        pgdbm_close(log->holder);
        log->holder = NULL;
    }
    return !(log->stop && progress->phase == log->stop_in &&
             (log->stop_at == 0 || log->stop_at == progress->statement));
}

static pgdbm_status migrate_with(struct scene *scene, pgdbm_db *db, struct log *log, pgdbm_migrate_options options)
{
    options.module = "users";
    options.migrations = &scene->migrations;
    options.on_progress = follow;
    options.context = log;
    scene->err = (pgdbm_error){0};
    pgdbm_migration_report_free(scene->report);
    return pgdbm_migrate(db, &options, &scene->report, &scene->err);
}

/* A transaction of the witness that has this lock on app.a. */
static pgdbm_db *lock_a(struct scene *scene, const char *sql)
{
    pgdbm_db *holder = NULL;
    assert_int_equal(pgdbm_begin(scene->witness, NULL, &holder, &scene->err), PGDBM_OK);
    if (pgdbm_execute_simple(holder, sql, &scene->err) != PGDBM_OK)
        fail_msg("%s", scene->err.message);
    return holder;
}

/* ---- progress, hooks, cancelling ---- */

static void progress_tells_each_step(void **state)
{
    struct scene *scene = *state;
    struct log log = {0};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (); CREATE TABLE {{tables.b}} ();");
    folder_write(&scene->folder, "002_c.sql", "-- pgdbm:no-transaction\nCREATE TABLE {{tables.c}} ();");
    assert_int_equal(migrate_with(scene, scene->db, &log, (pgdbm_migrate_options){0}), PGDBM_OK);
    assert_string_equal(log.text, "before 001_a.sql 1/2 0/2;statement 001_a.sql 1/2 1/2;statement 001_a.sql 1/2 2/2;"
                                  "after 001_a.sql 1/2 0/2;"
                                  "before 002_c.sql 2/2 0/1;statement 002_c.sql 2/2 1/1;after 002_c.sql 2/2 0/1;");
}

static void cancelled_file_is_rolled_back(void **state)
{
    struct scene *scene = *state;
    struct log log = {.stop = true, .stop_in = PGDBM_PHASE_STATEMENT, .stop_at = 2};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} (); CREATE TABLE {{tables.b}} ();");
    assert_int_equal(migrate_with(scene, scene->db, &log, (pgdbm_migrate_options){0}), PGDBM_ERR_CANCELED);
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname IN ('a', 'b')", 0);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 0);
    scene_must_migrate(scene, scene->db, 1);
}

static void run_cancelled_behind_a_file_keeps_it(void **state)
{
    struct scene *scene = *state;
    struct log log = {.stop = true, .stop_in = PGDBM_PHASE_AFTER};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    folder_write(&scene->folder, "002_b.sql", "CREATE TABLE {{tables.b}} ();");
    assert_int_equal(migrate_with(scene, scene->db, &log, (pgdbm_migrate_options){0}), PGDBM_ERR_CANCELED);
    assert_int_equal(scene->report->n_applied, 1);
    assert_int_equal(scene->report->n_pending, 1);
    scene_must_migrate(scene, scene->db, 1);
}

static pgdbm_status note_before(pgdbm_db *tx, const pgdbm_migration_progress *progress, void *context, pgdbm_error *err)
{
    (void)context;
    return pgdbm_execute(tx, "INSERT INTO public.notes VALUES ('before ' || $1)", pgdbm_args(progress->filename), NULL,
                         err);
}

static pgdbm_status note_after(pgdbm_db *tx, const pgdbm_migration_progress *progress, void *context, pgdbm_error *err)
{
    (void)context;
    return pgdbm_execute(tx,
                         "INSERT INTO public.notes SELECT 'after ' || $1 || ' ' || 1 / count(*)"
                         " FROM pg_tables WHERE tablename = 'a'",
                         pgdbm_args(progress->filename), NULL, err);
}

static void hooks_are_part_of_the_transaction(void **state)
{
    struct scene *scene = *state;
    struct log log = {0};
    pgdbm_migrate_options options = {.before = note_before, .after = note_after};
    scene_run(scene, "CREATE TABLE notes (note text, at serial)");
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    assert_int_equal(migrate_with(scene, scene->db, &log, options), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "001_a.sql: its after hook: division by zero");
    scene_expect_number(scene, "SELECT count(*) FROM notes", 0);
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    assert_int_equal(migrate_with(scene, scene->db, &log, options), PGDBM_OK);
    scene_expect_text(scene, "SELECT string_agg(note, ',' ORDER BY at) FROM notes",
                      "before 001_a.sql,after 001_a.sql 1");
}

/* ---- what a file does to its session ---- */

static void session_state_reaches_neither_history_nor_next_file(void **state)
{
    struct scene *scene = *state;
    const char *reader = test_name("reader");
    const char *const changes[] = {
        "SET search_path = pg_catalog;",
        test_format("SET ROLE %s;", reader),
        test_format("SET SESSION AUTHORIZATION %s;", reader),
        "SELECT set_config('search_path', 'pg_catalog', false);",
        test_format("DO $$ BEGIN EXECUTE 'SET search_path = pg_catalog'; EXECUTE 'SET ROLE %s'; END $$;", reader),
        "SET standard_conforming_strings = off; SET DateStyle = 'German'; SET work_mem = '1MB';",
        "CREATE TEMP TABLE check_it (); SELECT pg_advisory_lock(42);",
    };
    enum { CHANGES = sizeof changes / sizeof *changes };
    scene_run(scene, test_format("CREATE ROLE %s", reader));
    folder_write(
        &scene->folder, "1_probe.sql",
        "CREATE TABLE public.probe (file int, search_path text, who text, strings text, mem text, locks int8);");
    char *before = NULL;
    for (int i = 0; i < CHANGES; i++) {
        char name[64];
        char text[512];
        snprintf(name, sizeof name, "%d_change.sql", 2 * i + 2);
        folder_write(&scene->folder, name, changes[i]);
        snprintf(name, sizeof name, "%d_probe.sql", 2 * i + 3);
        snprintf(text, sizeof text,
                 "INSERT INTO public.probe SELECT %d, current_setting('search_path'), current_user || session_user,"
                 " current_setting('standard_conforming_strings') || current_setting('DateStyle'),"
                 " current_setting('work_mem'), (SELECT count(*) FROM " TEST_LOCKS " WHERE objid = 42"
                 " AND locktype = 'advisory') + (SELECT count(*) FROM pg_class WHERE relname = 'check_it');",
                 i);
        folder_write(&scene->folder, name, text);
    }
    /* One connection: the next file gets the session that the one before has changed. */
    pgdbm_pool *pool = scene_pool(scene, 1, NULL);
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    assert_int_equal(pgdbm_fetch_value_text(db, "SELECT current_setting('search_path')", pgdbm_no_args, &before, NULL),
                     PGDBM_OK);
    scene_must_migrate(scene, db, 2 * CHANGES + 1);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    scene_expect_number(scene, "SELECT count(*) FROM public.probe", CHANGES);
    scene_expect_number(scene, "SELECT count(DISTINCT (search_path, who, strings, mem)) FROM public.probe", 1);
    scene_expect_text(scene, "SELECT DISTINCT search_path FROM public.probe", before);
    scene_expect_number(scene, "SELECT sum(locks)::int8 FROM public.probe", 0);
    scene_expect_text(scene, "SELECT string_agg(DISTINCT applied_by, ',') FROM app.schema_migrations", "postgres");
    pgdbm_free(before);
    scene_run(scene, test_format("DROP TABLE public.probe; DROP ROLE %s", reader));
}

static void transaction_cannot_be_ended_from_inside(void **state)
{
    struct scene *scene = *state;
    static const char *const tricks[] = {
        "DO $$ BEGIN COMMIT; END $$;",
        "DO $$ BEGIN ROLLBACK; END $$;",
        "CREATE PROCEDURE {{tables.p}}() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL {{tables.p}}();",
    };
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        char text[256];
        snprintf(text, sizeof text, "CREATE TABLE {{tables.a}} ();\n%s", tricks[i]);
        folder_write(&scene->folder, "001_a.sql", text);
        assert_int_equal(scene_migrate(scene, scene->db), PGDBM_ERR_MIGRATION);
        assert_string_equal(scene->err.sqlstate, "2D000");
        scene_expect_error(scene, "001_a.sql:2:");
        scene_expect_error(scene, "-- pgdbm:no-transaction");
        scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'a'", 0);
    }
}

static void timeouts_of_the_application_do_not_hold(void **state)
{
    struct scene *scene = *state;
    pgdbm_config config = {.statement_timeout_ms = 50, .command_timeout_ms = 100};
    pgdbm_pool *pool = scene_pool(scene, 1, &config);
    pgdbm_db *db = NULL;
    folder_write(&scene->folder, "001_a.sql", "SELECT pg_sleep(0.3);");
    folder_write(&scene->folder, "002_b.sql", "-- pgdbm:no-transaction\nSELECT pg_sleep(0.3);");
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    scene_must_migrate(scene, db, 2);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
}

/* Processes elsewhere prepare their statements anew. */
static void others_are_told_that_the_schema_has_changed(void **state)
{
    struct scene *scene = *state;
    PGconn *listener = PQconnectdb(scene->url);
    int heard = 0;
    PQclear(PQexec(listener, "LISTEN pgdbm_schema"));
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    folder_write(&scene->folder, "002_b.sql", "-- pgdbm:no-transaction\nCREATE TABLE {{tables.b}} ();");
    scene_must_migrate(scene, scene->db, 2);
    PQclear(PQexec(listener, "SELECT 1"));
    for (PGnotify *notify = PQnotifies(listener); notify != NULL; notify = PQnotifies(listener)) {
        assert_string_equal(notify->extra, "app");
        PQfreemem(notify);
        heard++;
    }
    PQfinish(listener);
    assert_int_equal(heard, 2);
}

/* ---- locks ---- */

static void busy_table_is_tried_again_until_it_is_free(void **state)
{
    struct scene *scene = *state;
    struct log log = {0};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.b}} ();\nALTER TABLE {{tables.a}} ADD COLUMN note text;");
    log.holder = lock_a(scene, "SELECT count(*) FROM app.a");
    assert_int_equal(migrate_with(scene, scene->db, &log, (pgdbm_migrate_options){.lock_timeout_ms = 50}), PGDBM_OK);
    assert_int_equal(log.retries, 1);
    assert_int_equal(scene->err.status, PGDBM_OK); /* not written: it succeeded */
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations", 1);
}

static void expect_blocker(struct scene *scene)
{
    assert_string_equal(scene->err.sqlstate, "55P03");
    assert_int_equal(scene->err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    scene_expect_error(scene, "001_a.sql:1:1: canceling statement due to lock timeout");
    assert_contains(scene->err.detail, "app.a");
    assert_contains(scene->err.detail, "process ");
    assert_contains(scene->err.detail, "application sleeper");
    assert_contains(scene->err.detail, "idle in transaction for ");
    assert_contains(scene->err.detail, "SELECT count(*) FROM app.a");
    assert_contains(scene->err.hint, "lock_timeout_ms");
}

static void table_that_stays_busy_is_an_error_that_names_who_has_it(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql", "ALTER TABLE {{tables.a}} ADD COLUMN note text;");
    pgdbm_db *holder = lock_a(scene, "SET LOCAL application_name = 'sleeper'");
    assert_int_equal(pgdbm_execute_simple(holder, "SELECT count(*) FROM app.a", &scene->err), PGDBM_OK);
    for (int connections = 1; connections <= 2; connections++) { /* with one, nobody can look on */
        struct bystander bystander = {.options = {.lock_timeout_ms = 200, .lock_attempts = 2}};
        bystander_start(&bystander, scene, connections);
        bystander_join(&bystander);
        assert_int_equal(bystander.status, PGDBM_ERR_MIGRATION);
        scene->err = bystander.err;
        expect_blocker(scene);
    }
    pgdbm_close(holder);
    scene_must_migrate(scene, scene->db, 1);
}

/* Only who looks on while it waits sees that: the statement does not name the table, and what it waits for is a row. */
static void holder_of_a_row_is_named(void **state)
{
    struct scene *scene = *state;
    struct bystander bystander = {.options = {.lock_timeout_ms = 500, .lock_attempts = 1}};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); INSERT INTO app.a VALUES (1);"
                     "CREATE FUNCTION app.f() RETURNS void LANGUAGE sql AS 'UPDATE app.a SET id = 2'");
    folder_write(&scene->folder, "001_a.sql", "SELECT {{schema}}.f();");
    pgdbm_db *holder = lock_a(scene, "UPDATE app.a SET id = 3");
    bystander_start(&bystander, scene, 2);
    bystander_join(&bystander);
    pgdbm_close(holder);
    assert_int_equal(bystander.status, PGDBM_ERR_MIGRATION);
    assert_string_equal(bystander.err.sqlstate, "55P03");
    assert_contains(bystander.err.detail, "app.a (ShareLock) waits for process ");
    assert_contains(bystander.err.detail, "UPDATE app.a SET id = 3");
}

static void lock_timeout_of_the_file_is_stronger(void **state)
{
    struct scene *scene = *state;
    struct log log = {0};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int)");
    folder_write(&scene->folder, "001_a.sql",
                 "-- pgdbm:lock-timeout 20ms\nALTER TABLE {{tables.a}} ADD COLUMN note text;");
    pgdbm_db *holder = lock_a(scene, "SELECT count(*) FROM app.a");
    pgdbm_migrate_options options = {.lock_timeout_ms = -1, .lock_attempts = 1};
    pgdbm_status status = migrate_with(scene, scene->db, &log, options); /* would wait for ever */
    pgdbm_close(holder);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "55P03");
}

struct rival {
    pthread_t thread;
    pgdbm_db *tx;
    struct scene *scene;
    bool started;
};

static void *lock_a_too(void *context)
{
    struct rival *rival = context;
    (void)pgdbm_execute_simple_with(rival->tx, &(pgdbm_call){.timeout_ms = -1}, "LOCK TABLE app.a", NULL);
    pgdbm_close(rival->tx);
    return NULL;
}

static bool cross(const pgdbm_migration_progress *progress, void *context)
{
    struct rival *rival = context;
    if (progress->phase == PGDBM_PHASE_STATEMENT && progress->statement == 2 && !rival->started) {
        rival->started = true;
        assert_int_equal(pthread_create(&rival->thread, NULL, lock_a_too, rival), 0);
        wait_until(rival->scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE NOT granted");
    }
    return true;
}

static void deadlock_is_tried_again(void **state)
{
    struct scene *scene = *state;
    struct rival rival = {.scene = scene};
    pgdbm_migrate_options options = {.module = "users",
                                     .migrations = &scene->migrations,
                                     .lock_timeout_ms = 30000,
                                     .on_progress = cross,
                                     .context = &rival};
    scene_run(scene, "CREATE SCHEMA app; CREATE TABLE app.a (id int); CREATE TABLE app.b (id int)");
    folder_write(&scene->folder, "001_a.sql",
                 "ALTER TABLE {{tables.a}} ADD COLUMN x int; ALTER TABLE {{tables.b}} ADD COLUMN x int;");
    /* The one that looks for the deadlock first is its victim. */
    rival.tx = lock_a(scene, "SET LOCAL deadlock_timeout = '60s'; LOCK TABLE app.b");
    pgdbm_status status = pgdbm_migrate(scene->db, &options, NULL, &scene->err);
    pthread_join(rival.thread, NULL);
    if (status != PGDBM_OK)
        fail_msg("%s (%s)", scene->err.message, scene->err.detail);
    scene_expect_number(scene, "SELECT count(*) FROM pg_attribute WHERE attname = 'x'", 2);
}

/* ---- faults ---- */

static void killed_at_any_boundary_it_converges(void **state)
{
    struct scene *scene = *state;
    bool killed = true;
    size_t k = 0;
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.steps}} (step int);\nINSERT INTO {{tables.steps}} VALUES (1);\n"
                 "INSERT INTO {{tables.steps}} VALUES (2);");
    folder_write(&scene->folder, "002_b.sql",
                 "INSERT INTO {{tables.steps}} VALUES (3);\nINSERT INTO {{tables.steps}} VALUES (4);");
    while (killed) {
        char schema[32];
        char sql[160];
        pgdbm_db *db = NULL;
        snprintf(schema, sizeof schema, "k%zu", ++k);
        killed = victim_is_killed(scene, schema, k);
        assert_int_equal(pgdbm_attach(scene->pool, schema, &db, &scene->err), PGDBM_OK);
        if (scene_migrate(scene, db) != PGDBM_OK)
            fail_msg("killed in call %zu: %s", k, scene->err.message);
        pgdbm_close(db);
        snprintf(sql, sizeof sql, "SELECT string_agg(step::text, ',' ORDER BY step) FROM %s.steps", schema);
        scene_expect_text(scene, sql, "1,2,3,4");
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s.schema_migrations", schema);
        scene_expect_number(scene, sql, 2);
    }
    assert_int_equal(k, 3 + 5 + 1 + 1); /* BEFORE and AFTER of two files, five statements, and one call too far */
}

static void terminated_backend_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    struct bystander bystander = {0};
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();\nSELECT pg_sleep(60);");
    bystander_start(&bystander, scene, 2);
    terminate(scene, "SELECT pg_sleep");
    bystander_join(&bystander);
    assert_int_not_equal(bystander.status, PGDBM_OK);
    assert_int_equal(bystander.err.outcome, PGDBM_OUTCOME_ROLLED_BACK);
    assert_contains(bystander.err.message, "001_a.sql:2:1: ");
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.a}} ();");
    scene_must_migrate(scene, scene->db, 1);
}

static void full_disk_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "001_a.sql",
                 "CREATE TABLE {{tables.a}} (id int);\n"
                 "SET LOCAL work_mem = '64kB';\n"
                 "INSERT INTO {{tables.a}} SELECT n FROM generate_series(1, 100000) n ORDER BY n % 7, n;");
    scene_run(scene, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET temp_file_limit = ''100kB''',"
                     " current_database()); END $$");
    pgdbm_pool *pool = scene_pool(scene, 1, NULL); /* sessions that have the limit */
    pgdbm_db *db = NULL;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_status status = scene_migrate(scene, db);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    assert_int_equal(status, PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "53400");
    assert_contains(scene->err.message, "001_a.sql:3:1: ");
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'a'", 0);
    scene_must_migrate(scene, scene->db, 1); /* room was made */
}

static bool crash(const pgdbm_migration_progress *progress, void *context)
{
    struct log *log = context;
    pgdbm_error err;
    if (progress->phase == PGDBM_PHASE_STATEMENT && progress->statement == 2 && log->server != NULL) {
        assert_ok(pgdbm_testserver_crash(log->server, &err));
        assert_ok(pgdbm_testserver_restart(log->server, &err));
        log->server = NULL;
    }
    return true;
}

static void server_that_restarts_in_the_middle_loses_the_file_at_hand_only(void **state)
{
    struct scene *scene = *state;
    struct log log = {0};
    pgdbm_testserver *server = NULL;
    pgdbm_error err;
    assert_ok(pgdbm_testserver_start(&(pgdbm_testserver_options){.durable = true}, &server, &err));
    pgdbm_config config = {.connection_string = pgdbm_testserver_url(server), .max_connections = 2};
    pgdbm_pool *pool = NULL;
    pgdbm_db *db = NULL;
    int64_t steps = 0;
    assert_ok(pgdbm_pool_open(&config, &pool, &err));
    assert_ok(pgdbm_attach(pool, "app", &db, &err));
    folder_write(&scene->folder, "001_a.sql", "CREATE TABLE {{tables.steps}} (step int);");
    folder_write(&scene->folder, "002_b.sql",
                 "INSERT INTO {{tables.steps}} VALUES (1); INSERT INTO {{tables.steps}} VALUES (2);");
    log.server = server;
    pgdbm_migrate_options options = {
        .module = "users", .migrations = &scene->migrations, .on_progress = crash, .context = &log};
    assert_int_not_equal(pgdbm_migrate(db, &options, NULL, &err), PGDBM_OK);
    assert_int_not_equal(err.outcome, PGDBM_OUTCOME_UNKNOWN);
    assert_ok(pgdbm_migrate(db, &options, NULL, &err));
    assert_ok(pgdbm_fetch_value_int64(db, "SELECT count(*) FROM {{tables.steps}}", pgdbm_no_args, &steps, &err));
    assert_int_equal(steps, 2);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pgdbm_testserver_stop(server);
}

/* Ends the server in the second statement, for good. */
static bool end_server(const pgdbm_migration_progress *progress, void *context)
{
    struct log *log = context;
    pgdbm_error err;
    log->retries += progress->phase == PGDBM_PHASE_LOST;
    if (progress->phase == PGDBM_PHASE_STATEMENT && progress->statement == 2)
        assert_ok(pgdbm_testserver_crash(log->server, &err));
    return progress->phase != PGDBM_PHASE_LOST;
}

/* With the pool's patience it would be: ten minutes, which no test lasts. */
static void expect_no_wait(struct scene *scene, const char *header, bool asked)
{
    struct log log = {0};
    pgdbm_error err = {0};
    pgdbm_pool *pool = NULL;
    pgdbm_db *db = NULL;
    pgdbm_migration_report *report = NULL;
    assert_ok(pgdbm_testserver_start(NULL, &log.server, &err));
    pgdbm_config config = {.connection_string = pgdbm_testserver_url(log.server),
                           .max_connections = 2,
                           .retry_delay_ms = 600000,
                           .retry_max_delay_ms = 600000,
                           .acquire_timeout_ms = 600000};
    assert_ok(pgdbm_pool_open(&config, &pool, &err));
    assert_ok(pgdbm_attach(pool, "app", &db, &err));
    folder_write(&scene->folder, "001_a.sql", "SELECT 1;");
    folder_write(&scene->folder, "002_b.sql", test_format("%sSELECT 1; SELECT 2;", header));
    pgdbm_migrate_options options = {
        .module = "users", .migrations = &scene->migrations, .on_progress = end_server, .context = &log};
    assert_int_equal(pgdbm_migrate(db, &options, &report, &err), PGDBM_ERR_CONNECTION);
    assert_non_null(report);
    assert_int_equal(report->n_applied, 1);
    assert_int_equal(report->n_pending, 1);
    assert_non_null(report->migrations[0].applied_at);
    assert_int_equal(log.retries, asked);
    pgdbm_migration_report_free(report);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pgdbm_testserver_stop(log.server);
}

static void server_that_is_gone_is_not_waited_for_when_nothing_is_in_doubt(void **state)
{
    expect_no_wait(*state, "", false);
}

static void who_would_wait_for_what_is_done_is_asked(void **state)
{
    expect_no_wait(*state, "-- pgdbm:no-transaction\n", true);
}

int main(void)
{
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(progress_tells_each_step),
        SCENE(cancelled_file_is_rolled_back),
        SCENE(run_cancelled_behind_a_file_keeps_it),
        SCENE(hooks_are_part_of_the_transaction),
        SCENE(session_state_reaches_neither_history_nor_next_file),
        SCENE(transaction_cannot_be_ended_from_inside),
        SCENE(timeouts_of_the_application_do_not_hold),
        SCENE(others_are_told_that_the_schema_has_changed),
        SCENE(busy_table_is_tried_again_until_it_is_free),
        SCENE(table_that_stays_busy_is_an_error_that_names_who_has_it),
        SCENE(holder_of_a_row_is_named),
        SCENE(lock_timeout_of_the_file_is_stronger),
        SCENE(deadlock_is_tried_again),
        SCENE(killed_at_any_boundary_it_converges),
        SCENE(terminated_backend_leaves_nothing),
        SCENE(full_disk_leaves_nothing),
        SCENE(server_that_restarts_in_the_middle_loses_the_file_at_hand_only),
        SCENE(server_that_is_gone_is_not_waited_for_when_nothing_is_in_doubt),
        SCENE(who_would_wait_for_what_is_done_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
