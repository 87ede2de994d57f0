/* SPDX-License-Identifier: MIT */
/* Undoing what was applied, on a real server: which down parts run, what is refused before any of them does, and what
 * interruptions and others at the same time leave behind. */
#include "migrate/pooler.h"
#include "migrate/scene.h"

#include "support/server.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pgdbm_migrate_options options_of(const struct scene *scene)
{
    return (pgdbm_migrate_options){.module = "users", .migrations = &scene->migrations};
}

static pgdbm_status roll_back_with(struct scene *scene, const pgdbm_migrate_options *options, size_t count)
{
    pgdbm_migration_report_free(scene->report);
    scene->report = NULL;
    scene->err = (pgdbm_error){0};
    return pgdbm_migrate_rollback(scene->db, options, count, &scene->report, &scene->err);
}

static pgdbm_status roll_back(struct scene *scene, const char *target, size_t count)
{
    pgdbm_migrate_options options = options_of(scene);
    options.target = target;
    return roll_back_with(scene, &options, count);
}

static void must_roll_back(struct scene *scene, const char *target, size_t count, size_t expected)
{
    if (roll_back(scene, target, count) != PGDBM_OK)
        fail_msg("%s\n%s\n%s", scene->err.message, scene->err.detail, scene->err.hint);
    assert_non_null(scene->report);
    assert_int_equal(scene->report->n_applied, expected);
}

/* Four files, each with its way back; they keep a diary of what is undone. */
static int setup(void **state)
{
    scene_setup(state);
    struct scene *scene = *state;
    scene_run(scene, "CREATE TABLE diary (at serial, what text)");
    folder_write(&scene->folder, "001_users.sql",
                 "CREATE TABLE {{tables.users}} (id int);\n"
                 "-- pgdbm:down\n"
                 "DROP TABLE {{tables.users}};\nINSERT INTO public.diary (what) VALUES ('1');\n");
    folder_write(&scene->folder, "002_name.sql",
                 "ALTER TABLE {{tables.users}} ADD name text;\n"
                 "-- pgdbm:down\n"
                 "ALTER TABLE {{tables.users}} DROP name;\nINSERT INTO public.diary (what) VALUES ('2');\n");
    folder_write(&scene->folder, "003_email.sql", "ALTER TABLE {{tables.users}} ADD email text;\n");
    folder_write(&scene->folder, "003_email.down.sql",
                 "ALTER TABLE {{tables.users}} DROP email;\nINSERT INTO public.diary (what) VALUES ('3');\n");
    folder_write(&scene->folder, "004_index.sql",
                 "-- pgdbm:no-transaction\n"
                 "CREATE INDEX CONCURRENTLY users_id ON {{tables.users}} (id);\n"
                 "-- pgdbm:down\n"
                 "DROP INDEX {{schema}}.users_id;\nINSERT INTO public.diary (what) VALUES ('4');\n");
    scene_must_migrate(scene, scene->db, 4);
    return 0;
}

static void expect_history(struct scene *scene, const char *expected)
{
    scene_expect_text(scene,
                      "SELECT coalesce(string_agg(left(filename, 3), ',' ORDER BY filename), '')"
                      " FROM app.schema_migrations",
                      expected);
}

static void expect_diary(struct scene *scene, const char *expected)
{
    scene_expect_text(scene, "SELECT coalesce(string_agg(what, ',' ORDER BY at), '') FROM diary", expected);
}

static void the_last_files_are_undone_newest_first(void **state)
{
    struct scene *scene = *state;
    must_roll_back(scene, NULL, 2, 2);
    expect_history(scene, "001,002");
    expect_diary(scene, "4,3");
    scene_expect_number(scene, "SELECT count(*) FROM pg_class WHERE relname = 'users_id'", 0);
    scene_expect_number(scene,
                        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'app.users'::regclass"
                        " AND attname = 'email' AND NOT attisdropped",
                        0);
    assert_int_equal(scene->report->n_pending, 2);
    assert_string_equal(scene->report->head, "002");
    assert_true(scene->report->migrations[3].applied_now);
    assert_false(scene->report->migrations[1].applied_now);
    scene_must_migrate(scene, scene->db, 2);
    expect_history(scene, "001,002,003,004");
}

static void a_target_stays_applied(void **state)
{
    struct scene *scene = *state;
    must_roll_back(scene, "1", 0, 3);
    expect_history(scene, "001");
    expect_diary(scene, "4,3,2");
}

static void zero_undoes_everything_and_more_than_there_is_does_too(void **state)
{
    struct scene *scene = *state;
    must_roll_back(scene, "0", 0, 4);
    expect_history(scene, "");
    expect_diary(scene, "4,3,2,1");
    must_roll_back(scene, NULL, 7, 0);
    scene_must_migrate(scene, scene->db, 4);
    must_roll_back(scene, NULL, 100, 4);
    expect_history(scene, "");
}

static void a_target_that_is_not_applied_is_refused(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(roll_back(scene, "40", 0), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "40");
    assert_int_equal(roll_back(scene, "", 0), PGDBM_ERR_MIGRATION); /* a variable of a script that was not set */
    assert_int_equal(roll_back(scene, "_", 0), PGDBM_ERR_MIGRATION);
    must_roll_back(scene, "2", 0, 2);
    assert_int_equal(roll_back(scene, "3", 0), PGDBM_ERR_MIGRATION);
    assert_int_equal(roll_back(scene, NULL, 0), PGDBM_ERR_ARGUMENT);
    expect_diary(scene, "4,3");
}

static void the_recorded_way_back_is_used_where_the_file_is_gone(void **state)
{
    struct scene *scene = *state;
    folder_delete(&scene->folder, "004_index.sql");
    folder_delete(&scene->folder, "003_email.sql");
    folder_delete(&scene->folder, "003_email.down.sql");
    must_roll_back(scene, NULL, 3, 3);
    expect_diary(scene, "4,3,2");
    expect_history(scene, "001");
}

static void a_way_back_that_is_missing_is_refused_before_anything_runs(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "002_name.sql", "ALTER TABLE {{tables.users}} ADD name text;\n");
    scene_run(scene, "UPDATE app.schema_migrations SET checksum = encode(sha256("
                     "'ALTER TABLE {{tables.users}} ADD name text;'), 'hex'), down = NULL WHERE filename LIKE '002%'");
    assert_int_equal(roll_back(scene, "1", 0), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_name.sql");
    scene_expect_error(scene, "no down part");
    expect_history(scene, "001,002,003,004");
    expect_diary(scene, "");
}

static void a_row_of_python_without_a_file_has_no_way_back(void **state)
{
    struct scene *scene = *state;
    scene_run(scene, "INSERT INTO app.schema_migrations (filename, checksum, module_name)"
                     " VALUES ('005_gone.sql', repeat('0', 64), 'users')");
    assert_int_equal(roll_back(scene, NULL, 1), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "005_gone.sql");
    expect_history(scene, "001,002,003,004,005");
}

static void a_file_that_was_changed_is_refused_unless_that_is_allowed(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "002_name.sql",
                 "ALTER TABLE {{tables.users}} ADD name varchar;\n"
                 "-- pgdbm:down\n"
                 "ALTER TABLE {{tables.users}} DROP name;\nINSERT INTO public.diary (what) VALUES ('changed');\n");
    assert_int_equal(roll_back(scene, "1", 0), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "002_name.sql");
    scene_expect_error(scene, "changed after it was applied");
    expect_diary(scene, "");
    pgdbm_migrate_options options = options_of(scene);
    options.target = "1";
    options.policies.changed = PGDBM_POLICY_ALLOW;
    assert_int_equal(roll_back_with(scene, &options, 0), PGDBM_OK);
    expect_diary(scene, "4,3,changed");
}

static void a_way_back_that_fails_leaves_its_file_applied_and_what_came_before_undone(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "003_email.down.sql",
                 "INSERT INTO public.diary (what) VALUES ('half');\nALTER TABLE {{tables.users}} DROP nothing;\n");
    assert_int_equal(roll_back(scene, "1", 0), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "003_email.down.sql:2");
    assert_string_equal(scene->err.sqlstate, "42703");
    assert_non_null(scene->report);
    assert_int_equal(scene->report->n_applied, 1);
    expect_history(scene, "001,002,003");
    expect_diary(scene, "4");
    folder_write(&scene->folder, "003_email.down.sql", "ALTER TABLE {{tables.users}} DROP email;\n");
    must_roll_back(scene, "1", 0, 2);
}

static void a_dry_run_undoes_nothing(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    options.dry_run = true;
    assert_int_equal(roll_back_with(scene, &options, 2), PGDBM_OK);
    assert_int_equal(scene->report->n_applied, 2);
    assert_non_null(scene->report->migrations[2].sql);
    assert_non_null(strstr(scene->report->migrations[2].sql, "DROP email"));
    assert_non_null(strstr(scene->report->migrations[2].sql, "DELETE FROM"));
    assert_null(scene->report->migrations[1].sql);
    expect_history(scene, "001,002,003,004");
    expect_diary(scene, "");
    /* What it shows is what would be sent. */
    test_psql(scene->url, scene->report->migrations[3].sql);
    expect_history(scene, "001,002,003");
    expect_diary(scene, "4");
}

static void repeatable_files_are_not_undone(void **state)
{
    struct scene *scene = *state;
    folder_write(&scene->folder, "R__view.sql", "CREATE OR REPLACE VIEW {{schema}}.v AS SELECT 1 AS one;\n");
    scene_must_migrate(scene, scene->db, 1);
    must_roll_back(scene, NULL, 1, 1);
    expect_history(scene, "001,002,003,R__");
    expect_diary(scene, "4");
}

struct interference {
    struct scene *scene;
    size_t calls;
};

/* As kill -9 of the program would: the server ends the session before the second statement of 003's way back. */
static bool kill_at_email(const pgdbm_migration_progress *progress, void *context)
{
    struct interference *interference = context;
    if (progress->phase == PGDBM_PHASE_STATEMENT && strncmp(progress->filename, "003", 3) == 0 &&
        progress->statement == 2 && interference->calls++ == 0)
        scene_expect_number(interference->scene,
                            "SELECT count(pg_terminate_backend(pid)) FROM " TEST_LOCKS " WHERE locktype = 'advisory'",
                            1);
    return true;
}

static void a_rollback_killed_in_the_middle_converges(void **state)
{
    struct scene *scene = *state;
    struct interference interference = {.scene = scene};
    pgdbm_migrate_options options = options_of(scene);
    options.target = "1";
    options.on_progress = kill_at_email;
    options.context = &interference;
    pgdbm_status status = roll_back_with(scene, &options, 0);
    assert_int_not_equal(status, PGDBM_OK);
    assert_int_equal(interference.calls, 1);
    expect_history(scene, "001,002,003");
    expect_diary(scene, "4");
    must_roll_back(scene, "1", 0, 2);
    expect_history(scene, "001");
    expect_diary(scene, "4,3,2");
}

static bool cancel_at_name(const pgdbm_migration_progress *progress, void *context)
{
    (void)context;
    return progress->phase != PGDBM_PHASE_STATEMENT || strncmp(progress->filename, "002", 3) != 0;
}

static void canceling_rolls_the_file_at_hand_back(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    options.target = "0";
    options.on_progress = cancel_at_name;
    assert_int_equal(roll_back_with(scene, &options, 0), PGDBM_ERR_CANCELED);
    assert_int_equal(scene->report->n_applied, 2);
    expect_history(scene, "001,002");
    expect_diary(scene, "4,3");
}

static bool cancel_after(const pgdbm_migration_progress *progress, void *context)
{
    (void)context;
    return progress->phase != PGDBM_PHASE_AFTER;
}

static void canceling_when_a_file_is_undone_counts_it(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    options.on_progress = cancel_after;
    assert_int_equal(roll_back_with(scene, &options, 2), PGDBM_ERR_CANCELED);
    assert_int_equal(scene->report->n_applied, 1);
    assert_true(scene->report->migrations[3].applied_now);
    expect_history(scene, "001,002,003");
}

/* Told before each file which one of how many it is. */
static bool note_order(const pgdbm_migration_progress *progress, void *context)
{
    char *order = context;
    if (progress->phase == PGDBM_PHASE_BEFORE || progress->phase == PGDBM_PHASE_AFTER)
        snprintf(order + strlen(order), 256 - strlen(order), "%c%.3s:%zu/%zu ",
                 progress->phase == PGDBM_PHASE_BEFORE ? '<' : '>', progress->filename, progress->file,
                 progress->n_files);
    return true;
}

static void progress_counts_the_files_that_are_undone(void **state)
{
    struct scene *scene = *state;
    char order[256] = "";
    pgdbm_migrate_options options = options_of(scene);
    options.on_progress = note_order;
    options.context = order;
    assert_int_equal(roll_back_with(scene, &options, 2), PGDBM_OK);
    assert_string_equal(order, "<004:1/2 >004:1/2 <003:2/2 >003:2/2 ");
}

static bool count_afters(const pgdbm_migration_progress *progress, void *context)
{
    size_t *told = context;
    *told += progress->phase == PGDBM_PHASE_AFTER;
    return true;
}

struct replica {
    pthread_t thread;
    pthread_barrier_t *start;
    struct scene *scene;
    pgdbm_pool *pool;
    pgdbm_db *db;
    pgdbm_status status;
    size_t undone;
    pgdbm_error err;
};

static void *replica_main(void *argument)
{
    struct replica *replica = argument;
    pgdbm_migration_report *report = NULL;
    pgdbm_migrate_options options = options_of(replica->scene);
    options.target = "1";
    pthread_barrier_wait(replica->start);
    replica->status = pgdbm_migrate_rollback(replica->db, &options, 0, &report, &replica->err);
    replica->undone = report != NULL ? report->n_applied : 0;
    pgdbm_migration_report_free(report);
    return NULL;
}

static void rollbacks_at_the_same_time_undo_each_file_once(void **state)
{
    struct scene *scene = *state;
    enum { REPLICAS = 4 };
    struct replica replicas[REPLICAS] = {0};
    pthread_barrier_t start;
    size_t undone = 0;
    pthread_barrier_init(&start, NULL, REPLICAS);
    for (size_t i = 0; i < REPLICAS; i++) {
        replicas[i].start = &start;
        replicas[i].scene = scene;
        replicas[i].pool = scene_pool(scene, 1, NULL);
        assert_int_equal(pgdbm_attach(replicas[i].pool, "app", &replicas[i].db, NULL), PGDBM_OK);
        assert_int_equal(pthread_create(&replicas[i].thread, NULL, replica_main, &replicas[i]), 0);
    }
    for (size_t i = 0; i < REPLICAS; i++) {
        pthread_join(replicas[i].thread, NULL);
        pgdbm_close(replicas[i].db);
        pgdbm_pool_close(replicas[i].pool);
        if (replicas[i].status != PGDBM_OK)
            fail_msg("replica %zu: %s (%s)", i, replicas[i].err.message, replicas[i].err.detail);
        undone += replicas[i].undone;
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(undone, 3);
    expect_history(scene, "001");
    expect_diary(scene, "4,3,2");
}

/* While the first file is being undone, another process applies a later one; its lock is another module's, as somebody's who
 * does not know of ours. */
static bool apply_later_file(const pgdbm_migration_progress *progress, void *context)
{
    struct interference *interference = context;
    if (progress->phase == PGDBM_PHASE_AFTER && interference->calls++ == 0)
        scene_run(interference->scene, "INSERT INTO app.schema_migrations (filename, checksum, module_name)"
                                       " VALUES ('009_late.sql', repeat('0', 64), 'users')");
    return true;
}

static void what_was_applied_on_top_meanwhile_stops_the_rollback(void **state)
{
    struct scene *scene = *state;
    struct interference interference = {.scene = scene};
    pgdbm_migrate_options options = options_of(scene);
    options.on_progress = apply_later_file;
    options.context = &interference;
    assert_int_equal(roll_back_with(scene, &options, 3), PGDBM_ERR_MIGRATION);
    scene_expect_error(scene, "009_late.sql");
    expect_history(scene, "001,002,003,009");
    expect_diary(scene, "4");
}

/* Its sessions are lent statement by statement outside of transactions: lock, history and down part are one there. */
static void all_of_it_works_behind_a_pooler(void **state)
{
    struct scene *scene = *state;
    struct pooler pooler;
    char url[512];
    char *direct = scene->url;
    pgdbm_db *db = NULL;
    size_t told = 0;
    if (!pooler_start(&pooler, pgdbm_testserver_socket_directory(test_server())))
        skip();
    snprintf(url, sizeof url, "%.*s?host=%s", (int)strcspn(direct, "?"), direct, pooler.directory);
    scene->url = url;
    pgdbm_pool *pool = scene_pool(scene, 1, &(pgdbm_config){.statement_cache_size = -1});
    scene->url = direct;
    assert_int_equal(pgdbm_attach(pool, "app", &db, &scene->err), PGDBM_OK);
    pgdbm_migrate_options options = options_of(scene);
    options.on_progress = count_afters;
    options.context = &told;
    pgdbm_migration_report_free(scene->report);
    pgdbm_status undone = pgdbm_migrate_rollback(db, &options, 2, &scene->report, &scene->err);
    pgdbm_migrate_options others = options;
    others.module = "others";
    pgdbm_status recorded = pgdbm_migrate_baseline(db, &others, NULL, NULL);
    scene_run(scene, "UPDATE app.schema_migrations SET module_name = NULL WHERE module_name = 'users' AND id = 1");
    pgdbm_status repaired = pgdbm_migrate_repair(db, &options, NULL, NULL);
    pgdbm_close(db);
    pgdbm_pool_close(pool);
    pooler_stop(&pooler);
    if (undone != PGDBM_OK)
        fail_msg("%s\n%s", scene->err.message, scene->err.detail);
    assert_int_equal(scene->report->n_applied, 2);
    assert_int_equal(told, 2);
    assert_int_equal(recorded, PGDBM_OK);
    assert_int_equal(repaired, PGDBM_OK);
    expect_diary(scene, "4,3");
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE module_name = 'users'", 2);
    scene_expect_number(scene, "SELECT count(*) FROM app.schema_migrations WHERE module_name = 'others'", 4);
    scene_expect_number(scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE locktype = 'advisory'", 0);
}

static void wrong_arguments_are_refused(void **state)
{
    struct scene *scene = *state;
    pgdbm_migrate_options options = options_of(scene);
    assert_int_equal(pgdbm_migrate_rollback(NULL, &options, 1, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    assert_int_equal(pgdbm_migrate_rollback(scene->db, NULL, 1, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
    options.migrations = NULL;
    assert_int_equal(pgdbm_migrate_rollback(scene->db, &options, 1, NULL, &scene->err), PGDBM_ERR_ARGUMENT);
}

int main(void)
{
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        ON_SERVER(the_last_files_are_undone_newest_first),
        ON_SERVER(a_target_stays_applied),
        ON_SERVER(zero_undoes_everything_and_more_than_there_is_does_too),
        ON_SERVER(a_target_that_is_not_applied_is_refused),
        ON_SERVER(the_recorded_way_back_is_used_where_the_file_is_gone),
        ON_SERVER(a_way_back_that_is_missing_is_refused_before_anything_runs),
        ON_SERVER(a_row_of_python_without_a_file_has_no_way_back),
        ON_SERVER(a_file_that_was_changed_is_refused_unless_that_is_allowed),
        ON_SERVER(a_way_back_that_fails_leaves_its_file_applied_and_what_came_before_undone),
        ON_SERVER(a_dry_run_undoes_nothing),
        ON_SERVER(repeatable_files_are_not_undone),
        ON_SERVER(a_rollback_killed_in_the_middle_converges),
        ON_SERVER(canceling_rolls_the_file_at_hand_back),
        ON_SERVER(canceling_when_a_file_is_undone_counts_it),
        ON_SERVER(progress_counts_the_files_that_are_undone),
        ON_SERVER(rollbacks_at_the_same_time_undo_each_file_once),
        ON_SERVER(what_was_applied_on_top_meanwhile_stops_the_rollback),
        ON_SERVER(all_of_it_works_behind_a_pooler),
        ON_SERVER(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("rollback", tests, NULL, NULL);
}
