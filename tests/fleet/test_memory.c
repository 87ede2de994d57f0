/* SPDX-License-Identifier: MIT */
/* Every allocation fails once: the call says out of memory or succeeds, and nothing leaks. */
#include "fleet/scene.h"
#include "support/allocator.h"

#include <stdlib.h>

typedef pgdbm_status (*scenario)(struct scene *scene, pgdbm_error *err);

/* Fails the first allocation, the second, and so on, until the scenario needs no more. */
static void sweep(struct scene *scene, scenario run)
{
    pgdbm_error err = {0};
    pgdbm_status status = run(scene, &err); /* opens what stays open: sessions, prepared statements */
    if (status != PGDBM_OK)
        fail_msg("%s", err.message);
    long before = allocator_live();
    long which = 0;
    bool reached;
    do {
        err = (pgdbm_error){0};
        allocator_arm(++which, false);
        status = run(scene, &err);
        reached = allocator_disarm();
        allocator_expect(which, status, &err);
    } while (reached);
    assert_true(which > 10);
    status = run(scene, &err); /* sessions that were lost on the way are there again */
    assert_int_equal(status, PGDBM_OK);
    if (labs(allocator_live() - before) > 200)
        fail_msg("%ld allocations were not given back", allocator_live() - before);
}

static pgdbm_status open_and_close(struct scene *scene, pgdbm_error *err)
{
    const char *const schemas[] = {"t_0001", "t_0002"};
    const pgdbm_fleet_options options = {
        .module = "shop", .migrations = &scene->migrations, .schemas = schemas, .n_schemas = 2, .build = "build"};
    pgdbm_fleet *fleet = NULL;
    pgdbm_status status = pgdbm_fleet_open(scene->pool, &options, &fleet, err);
    assert_true((fleet != NULL) == (status == PGDBM_OK));
    pgdbm_fleet_close(fleet);
    return status;
}

static pgdbm_status sync_fleet(struct scene *scene, pgdbm_error *err)
{
    return pgdbm_fleet_sync(scene->fleet, err);
}

static pgdbm_status read_status(struct scene *scene, pgdbm_error *err)
{
    pgdbm_fleet_report *report = NULL;
    pgdbm_status status = pgdbm_fleet_status(scene->fleet, true, &report, err);
    assert_true((report != NULL) == (status == PGDBM_OK));
    pgdbm_fleet_report_free(report);
    return status;
}

/* Somebody is behind each time. */
static pgdbm_status roll_out(struct scene *scene, pgdbm_error *err)
{
    const bool was_armed = allocator_is_armed();
    (void)allocator_disarm();
    scene_run(scene, "DELETE FROM t_0003.schema_migrations WHERE filename = '002_colour.sql';"
                     "ALTER TABLE t_0003.notes DROP COLUMN IF EXISTS colour;"
                     "UPDATE pgdbm.target SET state = 'behind', head = (SELECT head FROM pgdbm.target WHERE schema ="
                     " 't_0001'), digest = (SELECT digest FROM pgdbm.target WHERE schema = 't_0001') WHERE schema ="
                     " 't_0003'");
    if (was_armed)
        allocator_go_on();
    return pgdbm_fleet_roll_out(scene->fleet, &(pgdbm_roll_out){.workers = 1}, NULL, err);
}

static void every_call_survives_any_allocation_that_fails(void **state)
{
    struct scene *scene = *state;
    pgdbm_error err = {0};
    scene_behind(scene, 3);
    assert_ok(pgdbm_fleet_quarantine(scene->fleet, "t_0001", NULL, &err)); /* stays behind */
    sweep(scene, open_and_close);
    sweep(scene, sync_fleet);
    sweep(scene, read_status);
    sweep(scene, roll_out);
}

int main(void)
{
    if (!allocator_begin())
        return EXIT_FAILURE;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_survives_any_allocation_that_fails, scene_setup, scene_teardown),
    };
    return cmocka_run_group_tests_name("fleet_memory", tests, NULL, NULL);
}
