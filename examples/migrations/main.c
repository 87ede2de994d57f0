/* SPDX-License-Identifier: MIT */
/* What docs/migrations.md shows, as a program that runs: two modules from the first start to a way back. DATABASE_URL says where; the
 * schemas are `shop_users` and `shop_orders`. */
#include <pgdbm/pgdbm.h>
#include <stdio.h>
#include <stdlib.h>

#include "orders_migrations.h"
#include "users_migrations.h"

/* [run] */
/* At the start of the program, by every replica. */
static pgdbm_status migrate_users(pgdbm_db *users, pgdbm_error *err)
{
    const pgdbm_migrate_options options = {.module = "users", .migrations = &users_migrations, .build = "1.4.2"};
    return pgdbm_migrate(users, &options, NULL, err);
}
/* [/run] */

/* [check] */
/* At the start of a program that does not migrate itself, and whose database role could not. */
static pgdbm_status check_users(pgdbm_db *users, pgdbm_error *err)
{
    const pgdbm_migrate_options options = {.module = "users", .migrations = &users_migrations};
    pgdbm_migration_skew skew;
    pgdbm_status status =
        pgdbm_migrate_check(users, &options, "2", NULL, &skew, err); /* 002 will do; later ones, too */
    printf("the database is %s\n", pgdbm_migration_skew_name(skew));
    return status;
}
/* [/check] */

/* [dry-run] */
/* What would run, ready for psql. Writes nothing, locks nothing. */
static pgdbm_status print_sql(pgdbm_db *users, pgdbm_error *err)
{
    const pgdbm_migrate_options options = {.module = "users", .migrations = &users_migrations, .dry_run = true};
    pgdbm_migration_report *report = NULL;
    pgdbm_status status = pgdbm_migrate(users, &options, &report, err);
    for (size_t i = 0; status == PGDBM_OK && i < report->n_migrations; i++)
        if (report->migrations[i].sql != NULL)
            printf("-- %s\n%s\n", report->migrations[i].filename, report->migrations[i].sql);
    pgdbm_migration_report_free(report);
    return status;
}
/* [/dry-run] */

/* [modules] */
/* Two modules: whatever order they are given in, users comes first. */
static pgdbm_status migrate_both(pgdbm_db *users, pgdbm_db *orders, pgdbm_error *err)
{
    const char *const needs[] = {"users"};
    const pgdbm_migration_target targets[] = {
        {.db = orders,
         .options = {.module = "orders", .migrations = &orders_migrations},
         .depends_on = needs,
         .n_depends_on = 1},
        {.db = users, .options = {.module = "users", .migrations = &users_migrations}},
    };
    size_t failed = 0;
    pgdbm_status status = pgdbm_migrate_modules(targets, 2, NULL, &failed, err);
    if (status != PGDBM_OK)
        fprintf(stderr, "%s cannot be migrated\n", targets[failed].options.module);
    return status;
}
/* [/modules] */

/* [progress] */
/* False stops the run; the file at hand is rolled back. */
static bool tell(const pgdbm_migration_progress *progress, void *context)
{
    const volatile bool *stop = context;
    if (progress->phase == PGDBM_PHASE_AFTER)
        printf("%s: %zu of %zu\n", progress->filename, progress->file, progress->n_files);
    return !*stop;
}

/* In each file's transaction, behind its last statement: what it makes is for the application's role. */
static pgdbm_status grant(pgdbm_db *tx, const pgdbm_migration_progress *progress, void *context, pgdbm_error *err)
{
    (void)progress, (void)context;
    return pgdbm_execute(tx, "GRANT SELECT ON ALL TABLES IN SCHEMA {{schema}} TO CURRENT_USER", pgdbm_no_args, NULL,
                         err);
}

static pgdbm_status migrate_and_tell(pgdbm_db *users, bool *stop, pgdbm_error *err)
{
    const pgdbm_migrate_options options = {
        .module = "users", .migrations = &users_migrations, .on_progress = tell, .after = grant, .context = stop};
    return pgdbm_migrate(users, &options, NULL, err);
}
/* [/progress] */

/* [rollback] */
/* Back to 001: what came later is undone by its down part, the newest first. */
static pgdbm_status go_back(pgdbm_db *users, pgdbm_error *err)
{
    const pgdbm_migrate_options options = {.module = "users", .migrations = &users_migrations, .target = "1"};
    pgdbm_migration_report *report = NULL;
    pgdbm_status status = pgdbm_migrate_rollback(users, &options, 0, &report, err);
    if (status == PGDBM_OK)
        printf("%zu undone; the database is at %s\n", report->n_applied, report->head);
    pgdbm_migration_report_free(report);
    return status;
}
/* [/rollback] */

static pgdbm_status run(pgdbm_pool *pool, pgdbm_error *err)
{
    pgdbm_db *users = NULL;
    pgdbm_db *orders = NULL;
    bool stop = false;
    pgdbm_status status = pgdbm_attach(pool, "shop_users", &users, err);
    if (status == PGDBM_OK)
        status = pgdbm_attach(pool, "shop_orders", &orders, err);
    if (status == PGDBM_OK)
        status = print_sql(users, err);
    if (status == PGDBM_OK)
        status = migrate_and_tell(users, &stop, err);
    if (status == PGDBM_OK)
        status = go_back(users, err);
    if (status == PGDBM_OK)
        (void)check_users(users, err); /* it is behind */
    if (status == PGDBM_OK)
        status = migrate_both(users, orders, err);
    if (status == PGDBM_OK)
        status = migrate_users(users, err);
    if (status == PGDBM_OK)
        status = check_users(users, err);
    pgdbm_close(orders);
    pgdbm_close(users);
    return status;
}

int main(void)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL")};
    pgdbm_error err = {0};
    pgdbm_pool *pool = NULL;
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    if (status == PGDBM_OK)
        status = run(pool, &err);
    if (status != PGDBM_OK)
        fprintf(stderr, "%s\n%s\n%s\n", err.message, err.detail, err.hint);
    pgdbm_pool_close(pool);
    return status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
