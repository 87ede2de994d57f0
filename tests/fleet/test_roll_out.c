/* SPDX-License-Identifier: MIT */
/* Roll-outs: every tenant exactly once, canaries first, in waves; what fails, what is busy, what stops them. */
#include "fleet/scene.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void every_tenant_is_migrated_and_recorded(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 40);
    scene_expect_counts(scene, 0, 40, 0);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    assert_int_equal(scene->tally.migrated, 40);
    assert_int_equal(scene->tally.failed, 0);
    scene_expect_counts(scene, 40, 0, 0);
    scene_expect_coloured(scene, 40);
    const pgdbm_target *target = scene_target(scene, "t_0007");
    assert_string_equal(target->head, "002");
    assert_true(target->duration_ms > 0);
    scene_expect_number(
        scene,
        "SELECT count(*) FROM t_0007.schema_migrations WHERE module_name = 'shop_t_0007' AND build ="
        " 'build-1' AND execution_time_ms >= 1 AND set_digest IS NOT NULL AND semantic_checksum IS NOT NULL"
        " AND applied_at_tz IS NOT NULL AND body LIKE '%tables.notes%'",
        2);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    assert_int_equal(scene->tally.migrated, 0);
}

static void pgdbm_migrate_finds_nothing_left_to_do(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *db = NULL;
    pgdbm_migration_report *report = NULL;
    scene_behind(scene, 2);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    const pgdbm_migrate_options options = {.module = "shop", .per_schema = true, .migrations = &scene->migrations};
    assert_ok(pgdbm_attach(scene->pool, "t_0002", &db, &err));
    assert_ok(pgdbm_migrate_verify(db, &options, &report, &err));
    assert_int_equal(report->n_pending, 0);
    pgdbm_migration_report_free(report);
    pgdbm_close(db);
}

static void several_files_are_one_transaction(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 6);
    scene_add(scene, "003_shape.sql",
              "-- pgdbm:lock-timeout 5s\nALTER TABLE {{tables.notes}} ADD shape text NOT NULL DEFAULT $a$it's$a$");
    scene_add(scene, "004_wrong.sql",
              "SELECT 1; INSERT INTO {{tables.notes}} VALUES (1);\nSELECT 1 / (id - 1) FROM {{tables.notes}}");
    scene_open(scene);
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){.max_failures = SIZE_MAX, .max_attempts = 1}),
                     PGDBM_ERR_MIGRATION);
    assert_string_equal(scene->err.sqlstate, "22012");
    const pgdbm_target *target = scene_target(scene, "t_0001");
    assert_string_equal(target->failed_at, "004_wrong.sql:2");
    assert_int_equal(target->state, PGDBM_TARGET_QUARANTINED);
}

/* What the files of this test say of lock_timeout they leave in a table. */
static void a_files_own_lock_timeout_is_its_own(void **state)
{
    struct scene *scene = *state;
    scene_schemas(scene, 1);
    scene_add(scene, "001_limits.sql", "CREATE TABLE {{tables.limits}} (file int, value text)");
    scene_add(scene, "002_off.sql",
              "-- pgdbm:lock-timeout off\nINSERT INTO {{tables.limits}} VALUES (2, current_setting('lock_timeout'))");
    scene_add(scene, "003_of_all.sql", "INSERT INTO {{tables.limits}} VALUES (3, current_setting('lock_timeout'))");
    scene_add(scene, "004_long.sql",
              "-- pgdbm:lock-timeout 5s\nINSERT INTO {{tables.limits}} VALUES (4, current_setting('lock_timeout'))");
    scene_add(scene, "005_of_all.sql", "INSERT INTO {{tables.limits}} VALUES (5, current_setting('lock_timeout'))");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.lock_timeout_ms = 700});
    scene_expect_number(scene,
                        "SELECT count(*) FROM t_0001.limits l JOIN (VALUES (2, '0'), (3, '700ms'), (4, '5s'),"
                        " (5, '700ms')) e(file, value) ON e.file = l.file AND e.value = l.value",
                        4);
}

static bool note_failures(const pgdbm_roll_out_progress *progress, void *context)
{
    size_t *largest = context;
    *largest = progress->failed > *largest ? progress->failed : *largest;
    return true;
}

static void failures_stop_at_max_failures(void **state)
{
    struct scene *scene = *state;
    size_t largest = 0;
    scene_behind(scene, 20);
    scene_add(scene, "003_wrong.sql", "\n\nSELECT nothing FROM {{tables.nowhere}}");
    scene_open(scene);
    const pgdbm_roll_out how = {.workers = 1, .max_failures = 2, .on_progress = note_failures, .context = &largest};
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_ERR_MIGRATION);
    assert_int_equal(scene->tally.failed, 3);
    assert_int_equal(largest, 3);
    scene_expect_counts(scene, 0, 17, 3);
    assert_contains(scene->err.message, "003_wrong.sql");
    scene_expect_number(
        scene,
        "SELECT count(*) FROM pgdbm.target WHERE state = 'failed' AND attempts = 1 AND sqlstate = '42P01'"
        " AND failed_at = '003_wrong.sql:3' AND error LIKE '%nowhere%' AND build = 'build-1'",
        3);
}

static void a_tenant_that_fails_again_and_again_is_quarantined(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 3);
    scene_run(scene, "ALTER TABLE t_0002.notes ADD COLUMN colour int");
    const pgdbm_roll_out how = {.max_failures = SIZE_MAX, .max_attempts = 2};
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_ERR_MIGRATION);
    assert_int_equal(scene->tally.migrated, 2);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_FAILED);
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_ERR_MIGRATION);
    assert_int_equal(scene->tally.quarantined, 1);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_QUARANTINED);
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_OK);
    assert_int_equal(scene->tally.failed, 0);
    scene_run(scene, "ALTER TABLE t_0002.notes DROP COLUMN colour");
    pgdbm_error err = {0};
    assert_ok(pgdbm_fleet_release(scene->fleet, "t_0002", &err));
    scene_must_roll_out(scene, &how);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_CURRENT);
    assert_null(scene_target(scene, "t_0002")->error);
}

static void quarantined_by_hand_is_left_alone(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    scene_behind(scene, 4);
    assert_ok(pgdbm_fleet_quarantine(scene->fleet, "t_0003", "moves house", &err));
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    assert_string_equal(scene_target(scene, "t_0003")->error, "moves house");
    scene_expect_state(scene, "t_0003", PGDBM_TARGET_QUARANTINED);
    assert_ok(pgdbm_fleet_sync(scene->fleet, &err));
    scene_expect_state(scene, "t_0003", PGDBM_TARGET_QUARANTINED);
    scene_expect_coloured(scene, 3);
}

static void a_canary_that_fails_stops_before_anybody_else(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 10);
    scene_run(scene, "ALTER TABLE t_0005.notes ADD COLUMN colour int");
    const pgdbm_roll_out how = {
        .canaries = (const char *const[]){"t_0002", "T_0005", "t_0007"}, .n_canaries = 3, .max_failures = SIZE_MAX};
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_ERR_MIGRATION);
    assert_int_equal(scene->tally.migrated, 1);
    scene_expect_counts(scene, 1, 8, 1);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_CURRENT);
}

static pgdbm_status has_colour(pgdbm_db *db, void *context, pgdbm_error *err)
{
    int64_t *limit = context;
    int64_t n = -1;
    pgdbm_status status =
        pgdbm_fetch_value_int64(db, "SELECT count(colour) FROM {{tables.notes}}", pgdbm_no_args, &n, err);
    return status == PGDBM_OK && --*limit < 0 ? PGDBM_ERR_TYPE : status;
}

static void canaries_are_verified(void **state)
{
    struct scene *scene = *state;
    int64_t limit = 1;
    scene_behind(scene, 6);
    const pgdbm_roll_out how = {.canaries = (const char *const[]){"t_0002", "t_0004"},
                                .n_canaries = 2,
                                .verify = has_colour,
                                .context = &limit};
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_ERR_MIGRATION);
    assert_contains(scene->err.message, "t_0004");
    scene_expect_counts(scene, 2, 4, 0);
    limit = 10;
    scene_must_roll_out(scene, &how); /* canaries that are current are verified too */
    assert_int_equal(limit, 8);
    scene_expect_counts(scene, 6, 0, 0);
}

/* Waits for an advisory lock that the test has, so that its tenant is taken out of the roll-out meanwhile. */
static void a_canary_that_is_taken_away_meanwhile_is_no_success(void **state)
{
    struct scene *scene = *state;
    struct background background = {
        .scene = scene, .how = {.canaries = (const char *const[]){"t_0002"}, .n_canaries = 1, .lock_timeout_ms = 50}};
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    scene_behind(scene, 4);
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(pgdbm_execute_simple(tx, "SELECT FROM t_0002.notes", &err));
    background_start(&background);
    scene_await_number(
        scene, "SELECT count(*) FROM " TEST_LOCKS " WHERE NOT granted AND relation = 't_0002.notes'::regclass", 1);
    assert_ok(pgdbm_fleet_quarantine(scene->fleet, "t_0002", "meanwhile", &err));
    assert_ok(pgdbm_rollback(tx, &err));
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_ERR_MIGRATION);
    assert_contains(background.err.message, "t_0002");
    assert_int_equal(background.tally.migrated, 0);
}

static void a_canary_must_be_of_the_selection(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    scene_behind(scene, 4);
    const pgdbm_fleet_options options = {
        .module = "shop", .migrations = &scene->migrations, .schemas = (const char *const[]){"t_0001"}, .n_schemas = 1};
    pgdbm_fleet_close(scene->fleet);
    assert_ok(pgdbm_fleet_open(scene->pool, &options, &scene->fleet, &err));
    const pgdbm_roll_out how = {.canaries = (const char *const[]){"t_0002"}, .n_canaries = 1};
    assert_int_equal(scene_roll_out(scene, &how), PGDBM_ERR_CONFIG);
    scene_expect_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '002'", 0);
}

struct waves {
    size_t done_when_wave_began[4];
    size_t calls, done;
    bool fell_back;
};

static bool watch_waves(const pgdbm_roll_out_progress *progress, void *context)
{
    struct waves *waves = context;
    waves->calls++;
    waves->fell_back = waves->fell_back || progress->done < waves->done || progress->n_waves != 3;
    waves->done = progress->done;
    if (progress->schema != NULL && progress->wave < 4 && waves->done_when_wave_began[progress->wave] == 0)
        waves->done_when_wave_began[progress->wave] = progress->done;
    return true;
}

static void waves_follow_each_other(void **state)
{
    struct scene *scene = *state;
    struct waves waves = {.calls = 0};
    scene_behind(scene, 40);
    const pgdbm_roll_out how = {
        .waves = (const int[]){5, 25, 100}, .n_waves = 3, .on_progress = watch_waves, .context = &waves};
    scene_must_roll_out(scene, &how);
    assert_false(waves.fell_back);
    assert_true(waves.calls >= 40);
    assert_int_equal(waves.done, 40);
    /* 5 % are 2, and all of them have ended before the third begins (their report may come a moment later); 25 % are 10. */
    assert_in_range(waves.done_when_wave_began[1], 2, 6);
    assert_in_range(waves.done_when_wave_began[2], 10, 14);
}

static bool watch_first_wave(const pgdbm_roll_out_progress *progress, void *context)
{
    size_t *done = context;
    if (progress->wave == 0)
        *done = progress->done;
    return true;
}

static void a_busy_tenants_place_in_a_wave_is_taken_by_another(void **state)
{
    struct scene *scene = *state;
    size_t done_in_first = 0;
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    scene_behind(scene, 10);
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    for (int i = 1; i <= 9; i++) { /* all but one */
        char sql[64];
        snprintf(sql, sizeof sql, "SELECT FROM t_%04d.notes", i);
        assert_ok(pgdbm_execute_simple(tx, sql, &err));
    }
    struct background background = {.scene = scene,
                                    .how = {.workers = 1,
                                            .waves = (const int[]){10, 100},
                                            .n_waves = 2,
                                            .lock_timeout_ms = 50,
                                            .on_progress = watch_first_wave,
                                            .context = &done_in_first}};
    background_start(&background);
    scene_await_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '002'", 1);
    assert_ok(pgdbm_rollback(tx, &err));
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_OK);
    assert_int_equal(background.tally.migrated, 10);
    assert_int_equal(done_in_first, 1);
}

static void a_busy_tenant_is_done_later(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.lock_timeout_ms = 50, .workers = 2}};
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    scene_behind(scene, 12);
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(pgdbm_execute(tx, "SELECT * FROM t_0004.notes", pgdbm_no_args, NULL, &err));
    background_start(&background);
    scene_await_number(scene, "SELECT count(*) FROM pgdbm.target WHERE state = 'current' AND head = '002'", 11);
    scene_expect_state(scene, "t_0004", PGDBM_TARGET_BEHIND);
    assert_ok(pgdbm_commit(tx, &err));
    pthread_join(background.thread, NULL);
    if (background.status != PGDBM_OK)
        fail_msg("%s", background.err.message);
    assert_int_equal(background.tally.migrated, 12);
    scene_expect_coloured(scene, 12);
}

static void a_tenant_that_pgdbm_migrate_works_on_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.lock_timeout_ms = 50}};
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    scene_behind(scene, 5);
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(pgdbm_execute(tx, "SELECT pg_advisory_xact_lock(hashtext('pgdbm_migration_shop_t_0002'))", pgdbm_no_args,
                            NULL, &err));
    background_start(&background);
    scene_await_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '002'", 4);
    assert_ok(pgdbm_rollback(tx, &err));
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_OK);
    scene_expect_coloured(scene, 5);
}

static void a_tenant_that_stays_busy_fails_and_its_blocker_is_named(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    char blocker[32];
    scene_behind(scene, 4);
    assert_ok(pgdbm_begin(scene->witness, NULL, &tx, &err));
    assert_ok(pgdbm_execute(tx, "SELECT * FROM t_0002.notes", pgdbm_no_args, NULL, &err));
    int pid = 0;
    assert_ok(pgdbm_session_pid(tx, &pid, &err));
    snprintf(blocker, sizeof blocker, "%d", pid);
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){.lock_timeout_ms = 40}), PGDBM_ERR_MIGRATION);
    assert_int_equal(scene->tally.migrated, 3);
    assert_string_equal(scene->err.sqlstate, "55P03");
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_FAILED);
    assert_contains(scene_target(scene, "t_0002")->error, blocker);
    assert_string_equal(scene_target(scene, "t_0002")->failed_at, "002_colour.sql:1");
    assert_ok(pgdbm_rollback(tx, &err));
}

static void a_full_disk_ends_it(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 10);
    scene_add(scene, "003_full.sql", "DO $$ BEGIN RAISE 'no space left' USING ERRCODE = '53100'; END $$");
    scene_open(scene);
    const pgdbm_roll_out how = {.workers = 2, .max_failures = SIZE_MAX};
    assert_int_not_equal(scene_roll_out(scene, &how), PGDBM_OK);
    assert_string_equal(scene->err.sqlstate, "53100");
    assert_int_equal(scene->tally.failed, 0);
    scene_expect_counts(scene, 0, 10, 0); /* it is nobody's fault */
}

static pgdbm_fleet *another_handle(struct scene *scene)
{
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%"};
    pgdbm_error err = {0};
    pgdbm_fleet *fleet = NULL;
    assert_ok(pgdbm_fleet_open(scene->witness_pool, &options, &fleet, &err));
    return fleet;
}

static bool note_pause(const pgdbm_roll_out_progress *progress, void *context)
{
    if (progress->paused)
        atomic_store((atomic_bool *)context, true);
    return true;
}

static void a_pause_from_another_handle_holds_until_resumed(void **state)
{
    struct scene *scene = *state;
    atomic_bool paused = false;
    struct background background = {.scene = scene,
                                    .how = {.workers = 2, .on_progress = note_pause, .context = &paused}};
    pgdbm_error err = {0};
    scene_slow(scene, 60);
    pgdbm_fleet *other = another_handle(scene);
    background_start(&background);
    assert_ok(pgdbm_fleet_pause(other, &err));
    time_t give_up = time(NULL) + 30;
    while (!atomic_load(&paused))
        assert_true(time(NULL) < give_up);
    int64_t done = scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'");
    assert_true(done < 60);
    scene_run(scene, "SELECT pg_sleep(0.5)"); /* long enough for ten more */
    assert_in_range(scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'"), done, done + 2);
    assert_ok(pgdbm_fleet_resume(other, &err));
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_OK);
    assert_int_equal(background.tally.migrated, 60);
    pgdbm_fleet_close(other);
}

static void a_roll_out_begun_in_a_pause_begins_nobody(void **state)
{
    struct scene *scene = *state;
    atomic_bool paused = false;
    struct background background = {.scene = scene,
                                    .how = {.workers = 2, .on_progress = note_pause, .context = &paused}};
    pgdbm_error err = {0};
    scene_behind(scene, 10);
    assert_ok(pgdbm_fleet_pause(scene->fleet, &err));
    background_start(&background);
    time_t give_up = time(NULL) + 30;
    while (!atomic_load(&paused) && scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '002'") == 0)
        assert_true(time(NULL) < give_up);
    scene_expect_counts(scene, 0, 10, 0);
    assert_ok(pgdbm_fleet_resume(scene->fleet, &err));
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_OK);
    assert_int_equal(background.tally.migrated, 10);
}

static void a_cancellation_from_another_handle_ends_it(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.workers = 2}};
    pgdbm_error err = {0};
    scene_slow(scene, 60);
    pgdbm_fleet *other = another_handle(scene);
    background_start(&background);
    while (scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'") == 0)
        ;
    assert_ok(pgdbm_fleet_cancel(other, &err));
    pthread_join(background.thread, NULL);
    assert_int_equal(background.status, PGDBM_ERR_CANCELED);
    assert_true(background.tally.migrated > 0 && background.tally.migrated < 60);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'"),
                     background.tally.migrated);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 8}); /* the next one is not canceled */
    assert_int_equal(scene->tally.migrated, 60 - background.tally.migrated);
    pgdbm_fleet_close(other);
}

static bool stop_after_three(const pgdbm_roll_out_progress *progress, void *context)
{
    (void)context;
    return progress->done < 3;
}

static void the_progress_callback_may_cancel(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 20);
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){.workers = 1, .on_progress = stop_after_three}),
                     PGDBM_ERR_CANCELED);
    assert_int_equal(scene->tally.migrated, 3);
}

static void nothing_is_begun_after_the_deadline(void **state)
{
    struct scene *scene = *state;
    scene_slow(scene, 40);
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){.workers = 1, .deadline_ms = 400}), PGDBM_ERR_TIMEOUT);
    assert_true(scene->tally.migrated < 40);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'"),
                     scene->tally.migrated);
}

static void files_without_a_transaction_go_the_long_way(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 4);
    scene_add(scene, "003_index.sql",
              "-- pgdbm:no-transaction\nCREATE INDEX CONCURRENTLY notes_colour ON {{tables.notes}} (colour)");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 2});
    assert_int_equal(scene->tally.migrated, 4);
    scene_expect_counts(scene, 4, 0, 0);
    scene_expect_coloured(scene, 4);
    scene_expect_number(scene,
                        "SELECT count(*) FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE relname ="
                        " 'notes_colour' AND indisvalid",
                        4);
}

static void what_a_file_leaves_in_the_session_reaches_nobody(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 6);
    scene_must_roll_out(scene, &(pgdbm_roll_out){0});
    scene_add(
        scene, "003_path.sql",
        "DO $$ BEGIN IF current_setting('search_path') LIKE '%pg_temp%' OR to_regclass('leftover') IS NOT NULL THEN"
        " RAISE 'dirty'; END IF; END $$; SET search_path = {{schema}}, pg_temp; CREATE TEMP TABLE leftover (id int);"
        " ALTER TABLE notes ADD COLUMN shape text");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 1});
    assert_int_equal(scene->tally.migrated, 6);
    scene_add(scene, "004_path.sql", "SET search_path = {{schema}}; ALTER TABLE notes ADD COLUMN size text");
    scene_add(scene, "005_none.sql",
              "DO $$ BEGIN IF current_setting('search_path') LIKE '%t_%' THEN RAISE 'dirty'; END IF; END $$");
    scene_open(scene);
    scene_must_roll_out(scene, &(pgdbm_roll_out){.workers = 1});
    scene_expect_counts(scene, 6, 0, 0);
}

static void a_dropped_tenant_is_passed_over(void **state)
{
    struct scene *scene = *state;
    struct background background = {.scene = scene, .how = {.workers = 1}};
    scene_slow(scene, 30);
    background_start(&background);
    while (scene_number(scene, "SELECT count(*) FROM pgdbm.target WHERE head = '003'") == 0)
        ;
    scene_run(scene,
              "DO $$ DECLARE s text; BEGIN FOR s IN SELECT schema FROM pgdbm.target WHERE head <> '003' LOOP EXECUTE"
              " format('DROP SCHEMA IF EXISTS %I CASCADE', s); DELETE FROM pgdbm.target WHERE schema = s; EXIT;"
              " END LOOP; END $$");
    pthread_join(background.thread, NULL);
    if (background.status != PGDBM_OK)
        fail_msg("%s", background.err.message);
    assert_in_range(background.tally.migrated, 29, 30);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%'", 29);
}

/* Whoever may make a schema and write pgdbm.target must not be able to send what he likes as the role that rolls out. */
static void a_schemas_name_does_not_leave_its_quotes(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 2);
    scene_run(scene,
              "CREATE SCHEMA \"t_1') x; CREATE SCHEMA owned; COMMIT; --\"; INSERT INTO pgdbm.target SELECT module,"
              " nspname, head, digest, state FROM pgdbm.target, pg_namespace WHERE schema = 't_0001'"
              " AND nspname LIKE 't\\_1%'");
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){.max_failures = SIZE_MAX}), PGDBM_ERR_MIGRATION);
    scene_expect_number(scene, "SELECT count(*) FROM pg_namespace WHERE nspname = 'owned'", 0);
    scene_expect_counts(scene, 2, 1, 0);
}

static void what_a_file_requires_is_looked_for_in_each_tenant(void **state)
{
    struct scene *scene = *state;
    scene_behind(scene, 2);
    scene_add(scene, "003_bills.sql", "-- pgdbm:requires billing >= 2\nCREATE TABLE {{tables.bills}} (id int)");
    scene_open(scene);
    scene_run(scene, "INSERT INTO t_0002.schema_migrations (filename, checksum, module_name) VALUES"
                     " ('002_bills.sql', repeat('0', 64), 'billing_t_0002')");
    assert_int_equal(scene_roll_out(scene, &(pgdbm_roll_out){.max_failures = 5, .max_attempts = 1}),
                     PGDBM_ERR_MIGRATION);
    assert_contains(scene->err.message, "requires billing >= 2");
    scene_expect_state(scene, "t_0001", PGDBM_TARGET_QUARANTINED);
    scene_expect_state(scene, "t_0002", PGDBM_TARGET_CURRENT);
}

static void a_pool_of_one_session_is_enough(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    pgdbm_fleet *fleet = NULL;
    int64_t limit = 100;
    scene_behind(scene, 5);
    scene_run(scene,
              "ALTER TABLE t_0003.notes ADD COLUMN colour int; DELETE FROM pgdbm.target WHERE schema = 't_0005'");
    const pgdbm_fleet_options options = {.module = "shop", .migrations = &scene->migrations, .pattern = "t\\_%"};
    pgdbm_pool *pool = scene_pool(scene->url, 1);
    assert_ok(pgdbm_fleet_open(pool, &options, &fleet, &err));
    const pgdbm_roll_out how = {.canaries = (const char *const[]){"t_0001", "t_0002"},
                                .n_canaries = 2,
                                .verify = has_colour,
                                .context = &limit,
                                .max_failures = 1};
    assert_fails(PGDBM_ERR_MIGRATION, pgdbm_fleet_roll_out(fleet, &how, NULL, &err));
    scene_expect_counts(scene, 4, 0, 1);
    scene_run(scene, "ALTER TABLE t_0003.notes DROP COLUMN colour");
    assert_ok(pgdbm_fleet_roll_out(fleet, &how, NULL, &err));
    scene_expect_counts(scene, 5, 0, 0);
    pgdbm_fleet_close(fleet);
    pgdbm_pool_close(pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_tenant_is_migrated_and_recorded),
        TEST(pgdbm_migrate_finds_nothing_left_to_do),
        TEST(several_files_are_one_transaction),
        TEST(a_files_own_lock_timeout_is_its_own),
        TEST(failures_stop_at_max_failures),
        TEST(a_tenant_that_fails_again_and_again_is_quarantined),
        TEST(quarantined_by_hand_is_left_alone),
        TEST(a_canary_that_fails_stops_before_anybody_else),
        TEST(canaries_are_verified),
        TEST(a_canary_that_is_taken_away_meanwhile_is_no_success),
        TEST(a_canary_must_be_of_the_selection),
        TEST(waves_follow_each_other),
        TEST(a_busy_tenants_place_in_a_wave_is_taken_by_another),
        TEST(a_busy_tenant_is_done_later),
        TEST(a_tenant_that_pgdbm_migrate_works_on_is_waited_for),
        TEST(a_tenant_that_stays_busy_fails_and_its_blocker_is_named),
        TEST(a_full_disk_ends_it),
        TEST(a_pause_from_another_handle_holds_until_resumed),
        TEST(a_roll_out_begun_in_a_pause_begins_nobody),
        TEST(a_cancellation_from_another_handle_ends_it),
        TEST(the_progress_callback_may_cancel),
        TEST(nothing_is_begun_after_the_deadline),
        TEST(files_without_a_transaction_go_the_long_way),
        TEST(what_a_file_leaves_in_the_session_reaches_nobody),
        TEST(a_dropped_tenant_is_passed_over),
        TEST(a_schemas_name_does_not_leave_its_quotes),
        TEST(what_a_file_requires_is_looked_for_in_each_tenant),
        TEST(a_pool_of_one_session_is_enough),
    };
    return cmocka_run_group_tests_name("fleet_roll_out", tests, NULL, NULL);
}
