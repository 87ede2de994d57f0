/* SPDX-License-Identifier: MIT */
/* Several modules together, on a real server: in which order they run, and what is refused before any of them does. */
#include "migrate/scene.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { USERS, BILLING, MAIL, N_MODULES };
static const char *const names[N_MODULES] = {"users", "billing", "mail"};

/* A folder and a schema of its own for each module. */
struct shop {
    struct scene *scene;
    struct folder folders[N_MODULES];
    pgdbm_migrations migrations[N_MODULES];
    pgdbm_db *dbs[N_MODULES];
    pgdbm_migration_target targets[N_MODULES]; /* as in names */
    pgdbm_migration_report *reports[N_MODULES];
    size_t failed;
};

/* A file that notes in public.diary that it ran. */
static void write_file(const struct shop *shop, int module, const char *filename, const char *header)
{
    char text[512];
    snprintf(text, sizeof text, "%sINSERT INTO public.diary (what) VALUES ('%s %.3s');\n", header, names[module],
             filename);
    folder_write(&shop->folders[module], filename, text);
}

static int setup(void **state)
{
    struct shop *shop = calloc(1, sizeof *shop);
    scene_setup(state);
    shop->scene = *state;
    *state = shop;
    scene_run(shop->scene, "CREATE TABLE diary (at serial, what text)");
    for (int i = 0; i < N_MODULES; i++) {
        folder_make(&shop->folders[i]);
        shop->migrations[i].directory = shop->folders[i].path;
        assert_int_equal(pgdbm_attach(shop->scene->pool, names[i], &shop->dbs[i], &shop->scene->err), PGDBM_OK);
        shop->targets[i] = (pgdbm_migration_target){
            .db = shop->dbs[i],
            .options = {.module = names[i], .migrations = &shop->migrations[i]},
        };
        write_file(shop, i, "001_first.sql", "");
    }
    return 0;
}

static void free_reports(struct shop *shop)
{
    for (int i = 0; i < N_MODULES; i++) {
        pgdbm_migration_report_free(shop->reports[i]);
        shop->reports[i] = NULL;
    }
}

static int teardown(void **state)
{
    struct shop *shop = *state;
    free_reports(shop);
    for (int i = 0; i < N_MODULES; i++) {
        pgdbm_close(shop->dbs[i]);
        folder_remove(&shop->folders[i]);
    }
    *state = shop->scene;
    free(shop);
    return scene_teardown(state);
}

static pgdbm_status migrate(struct shop *shop, const pgdbm_migration_target *targets, size_t n)
{
    free_reports(shop);
    shop->scene->err = (pgdbm_error){0};
    shop->failed = 99;
    return pgdbm_migrate_modules(targets, n, shop->reports, &shop->failed, &shop->scene->err);
}

static void must_migrate(struct shop *shop)
{
    if (migrate(shop, shop->targets, N_MODULES) != PGDBM_OK)
        fail_msg("%s\n%s\n%s", shop->scene->err.message, shop->scene->err.detail, shop->scene->err.hint);
    assert_int_equal(shop->failed, N_MODULES);
}

/* Refused as a whole: nothing ran, nothing was made. */
static void must_refuse(struct shop *shop, size_t n, size_t failed, const char *const *texts)
{
    assert_int_equal(migrate(shop, shop->targets, n), PGDBM_ERR_MIGRATION);
    for (; *texts != NULL; texts++)
        scene_expect_error(shop->scene, *texts);
    assert_int_equal(shop->failed, failed);
    assert_true(shop->scene->err.hint[0] != '\0');
    scene_expect_number(shop->scene, "SELECT count(*) FROM diary", 0);
}
#define REFUSED(shop, n, failed, ...) must_refuse((shop), (n), (failed), (const char *const[]){__VA_ARGS__, NULL})

static void expect_diary(const struct shop *shop, const char *expected)
{
    scene_expect_text(shop->scene, "SELECT coalesce(string_agg(what, ',' ORDER BY at), '') FROM diary", expected);
}

static void depend_on(struct shop *shop, int dependant, const char *const *modules, size_t n)
{
    shop->targets[dependant].depends_on = modules;
    shop->targets[dependant].n_depends_on = n;
}

static void modules_run_in_the_order_of_their_dependencies(void **state)
{
    struct shop *shop = *state;
    static const char *const of_users[] = {"mail"};
    static const char *const of_mail[] = {"billing"};
    depend_on(shop, USERS, of_users, 1);
    depend_on(shop, MAIL, of_mail, 1);
    must_migrate(shop);
    expect_diary(shop, "billing 001,mail 001,users 001");
    for (int i = 0; i < N_MODULES; i++) {
        assert_non_null(shop->reports[i]);
        assert_string_equal(shop->reports[i]->module, names[i]);
        assert_int_equal(shop->reports[i]->n_applied, 1);
    }
}

static void what_a_file_requires_orders_modules_too(void **state)
{
    struct shop *shop = *state;
    write_file(shop, USERS, "002_more.sql", "-- pgdbm:requires mail >= 1\n");
    must_migrate(shop);
    expect_diary(shop, "mail 001,users 001,users 002,billing 001");
}

static void a_circle_is_named_before_anything_runs(void **state)
{
    struct shop *shop = *state;
    static const char *const of_users[] = {"billing"};
    depend_on(shop, USERS, of_users, 1);
    write_file(shop, BILLING, "002_more.sql", "-- pgdbm:requires users >= 1\n");
    REFUSED(shop, N_MODULES, N_MODULES, "users → billing → users");
}

static void an_unknown_module_is_named_before_anything_runs(void **state)
{
    struct shop *shop = *state;
    static const char *const of_mail[] = {"usres"};
    depend_on(shop, MAIL, of_mail, 1);
    REFUSED(shop, N_MODULES, MAIL, "mail", "usres", "depends_on");
}

static void a_number_that_nobody_has_is_refused_with_file_and_line(void **state)
{
    struct shop *shop = *state;
    write_file(shop, USERS, "007_seventh.sql", "");
    write_file(shop, BILLING, "002_more.sql", "-- what it is\n-- pgdbm:requires users >= 12\n");
    shop->targets[USERS].options.policies.gap = PGDBM_POLICY_ALLOW;
    REFUSED(shop, N_MODULES, BILLING, "billing needs users >= 12", "002_more.sql, line 2", "007");
    write_file(shop, USERS, "012_twelfth.sql", "");
    must_migrate(shop);
    expect_diary(shop, "users 001,users 007,users 012,billing 001,billing 002,mail 001");
}

static void a_target_below_the_required_number_is_refused(void **state)
{
    struct shop *shop = *state;
    write_file(shop, USERS, "002_second.sql", "");
    write_file(shop, BILLING, "002_more.sql", "-- pgdbm:requires users >= 2\n");
    shop->targets[USERS].options.target = "1";
    REFUSED(shop, N_MODULES, BILLING, "users >= 2");
    /* A database that is further already is as good. */
    shop->targets[USERS].options.target = NULL;
    assert_int_equal(migrate(shop, &shop->targets[USERS], 1), PGDBM_OK);
    shop->targets[USERS].options.target = "1";
    must_migrate(shop);
}

static void a_module_that_is_not_among_them_is_looked_for_in_their_histories(void **state)
{
    struct shop *shop = *state;
    write_file(shop, USERS, "002_second.sql", "");
    write_file(shop, BILLING, "002_more.sql", "-- pgdbm:requires users >= 2\n");
    pgdbm_migration_target others[] = {shop->targets[BILLING], shop->targets[MAIL]};
    assert_int_equal(migrate(shop, others, 2), PGDBM_ERR_MIGRATION);
    scene_expect_error(shop->scene, "neither among the modules to migrate nor in a history");
    /* Migrated on its own, into the schema of mail: one that a target has. */
    pgdbm_migration_target users = shop->targets[USERS];
    users.db = shop->dbs[MAIL];
    assert_int_equal(migrate(shop, &users, 1), PGDBM_OK);
    assert_int_equal(migrate(shop, others, 2), PGDBM_OK);
    expect_diary(shop, "users 001,users 002,billing 001,billing 002,mail 001");
}

static void a_module_recorded_with_its_schema_is_found_too(void **state)
{
    struct shop *shop = *state;
    static const char *const of_mail[] = {"users"};
    depend_on(shop, MAIL, of_mail, 1);
    pgdbm_migration_target users = shop->targets[USERS];
    users.db = shop->dbs[MAIL];
    users.options.per_schema = true;
    assert_int_equal(migrate(shop, &users, 1), PGDBM_OK);
    scene_expect_text(shop->scene, "SELECT module_name FROM mail.schema_migrations", "users_mail");
    assert_int_equal(migrate(shop, &shop->targets[MAIL], 1), PGDBM_OK);
    write_file(shop, MAIL, "002_more.sql", "-- pgdbm:requires users >= 2\n");
    assert_int_equal(migrate(shop, &shop->targets[MAIL], 1), PGDBM_ERR_MIGRATION);
    scene_expect_error(shop->scene, "users is at 001");
}

/* The same two modules for each of two tenants: who needs whom is a matter of the schema. */
static void a_module_in_several_schemas_is_required_in_ones_own(void **state)
{
    struct shop *shop = *state;
    static const char *const of_billing[] = {"users"};
    pgdbm_migration_target targets[4];
    for (size_t i = 0; i < 4; i++) {
        targets[i] = shop->targets[i < 2 ? BILLING : USERS];
        targets[i].db = shop->dbs[i % 2 == 0 ? USERS : BILLING];
    }
    for (size_t i = 0; i < 2; i++) {
        targets[i].depends_on = of_billing;
        targets[i].n_depends_on = 1;
    }
    /* Of the second schema's users there is only the first file. */
    write_file(shop, USERS, "002_second.sql", "");
    targets[3].options.target = "1";
    assert_int_equal(pgdbm_migrate_modules(targets, 4, NULL, NULL, &shop->scene->err), PGDBM_OK);
    expect_diary(shop, "users 001,users 002,billing 001,users 001,billing 001");
    write_file(shop, BILLING, "002_more.sql", "-- pgdbm:requires users >= 2\n");
    assert_int_equal(pgdbm_migrate_modules(targets, 4, NULL, &shop->failed, &shop->scene->err), PGDBM_ERR_MIGRATION);
    assert_int_equal(shop->failed, 1);
}

static void dependants_of_a_module_that_failed_are_not_run(void **state)
{
    struct shop *shop = *state;
    static const char *const of_billing[] = {"mail"};
    depend_on(shop, BILLING, of_billing, 1);
    folder_write(&shop->folders[MAIL], "002_bad.sql", "SELECT nothing;\n");
    assert_int_equal(migrate(shop, shop->targets, N_MODULES), PGDBM_ERR_MIGRATION);
    assert_int_equal(shop->failed, MAIL);
    scene_expect_error(shop->scene, "002_bad.sql");
    expect_diary(shop, "users 001,mail 001");
    assert_non_null(shop->reports[MAIL]);
    assert_null(shop->reports[BILLING]);
    folder_write(&shop->folders[MAIL], "002_bad.sql", "SELECT 1;\n");
    must_migrate(shop);
    expect_diary(shop, "users 001,mail 001,billing 001");
}

/* A module that is migrated alone keeps to what its files require, too. */
static void a_requirement_holds_without_the_others_at_hand(void **state)
{
    struct shop *shop = *state;
    const pgdbm_migration_target *billing = &shop->targets[BILLING];
    pgdbm_error *err = &shop->scene->err;
    write_file(shop, BILLING, "002_more.sql", "-- pgdbm:requires users >= 1\n");
    assert_int_equal(pgdbm_migrate(billing->db, &billing->options, NULL, err), PGDBM_ERR_MIGRATION);
    scene_expect_error(shop->scene, "002_more.sql of module billing, line 1: requires users >= 1");
    expect_diary(shop, "");
    assert_int_equal(pgdbm_migrate(shop->dbs[USERS], &shop->targets[USERS].options, NULL, err), PGDBM_OK);
    assert_int_equal(pgdbm_migrate(billing->db, &billing->options, NULL, err), PGDBM_OK);
    /* What is applied is not asked again. */
    scene_run(shop->scene, "DROP SCHEMA users CASCADE");
    assert_int_equal(pgdbm_migrate(billing->db, &billing->options, NULL, err), PGDBM_OK);
}

static void wrong_arguments_are_refused(void **state)
{
    struct shop *shop = *state;
    pgdbm_error *err = &shop->scene->err;
    assert_int_equal(pgdbm_migrate_modules(NULL, 0, NULL, NULL, err), PGDBM_OK);
    assert_int_equal(pgdbm_migrate_modules(NULL, 1, NULL, NULL, err), PGDBM_ERR_ARGUMENT);
    shop->targets[BILLING].n_depends_on = 1;
    assert_int_equal(migrate(shop, shop->targets, N_MODULES), PGDBM_ERR_ARGUMENT);
    assert_int_equal(shop->failed, BILLING);
    shop->targets[BILLING].n_depends_on = 0;
    shop->targets[MAIL].db = NULL;
    assert_int_equal(migrate(shop, shop->targets, N_MODULES), PGDBM_ERR_ARGUMENT);
    assert_int_equal(shop->failed, MAIL);
    expect_diary(shop, "");
}

static void two_histories_in_one_schema_are_both_looked_into(void **state)
{
    struct shop *shop = *state;
    pgdbm_migrate_options users = shop->targets[USERS].options;
    users.table = "own";
    assert_int_equal(pgdbm_migrate(shop->dbs[MAIL], &users, NULL, &shop->scene->err), PGDBM_OK);
    static const char *const needed[] = {"users"};
    pgdbm_migration_target targets[] = {shop->targets[MAIL], shop->targets[BILLING], shop->targets[BILLING]};
    targets[1].options.module = "other";
    targets[1].options.table = "own";
    targets[1].db = shop->dbs[MAIL];
    targets[2].depends_on = needed;
    targets[2].n_depends_on = 1;
    if (migrate(shop, targets, 3) != PGDBM_OK)
        fail_msg("%s", shop->scene->err.message);
}

int main(void)
{
#define ON_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ON_SERVER(two_histories_in_one_schema_are_both_looked_into),
        ON_SERVER(modules_run_in_the_order_of_their_dependencies),
        ON_SERVER(what_a_file_requires_orders_modules_too),
        ON_SERVER(a_circle_is_named_before_anything_runs),
        ON_SERVER(an_unknown_module_is_named_before_anything_runs),
        ON_SERVER(a_number_that_nobody_has_is_refused_with_file_and_line),
        ON_SERVER(a_target_below_the_required_number_is_refused),
        ON_SERVER(a_module_that_is_not_among_them_is_looked_for_in_their_histories),
        ON_SERVER(a_module_recorded_with_its_schema_is_found_too),
        ON_SERVER(a_module_in_several_schemas_is_required_in_ones_own),
        ON_SERVER(dependants_of_a_module_that_failed_are_not_run),
        ON_SERVER(a_requirement_holds_without_the_others_at_hand),
        ON_SERVER(wrong_arguments_are_refused),
    };
    return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
