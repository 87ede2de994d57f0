/* SPDX-License-Identifier: MIT */
#include "program.h"

#include "orders.h"
#include "users.h"

#include <stddef.h>

static pgdbm_status migrate(const struct program *program, pgdbm_error *err)
{
    static const char *const users[] = {"users"};
    const pgdbm_migration_target targets[] = {
        {.db = program->users, .options = {.module = "users", .migrations = &users_migrations}},
        {.db = program->orders,
         .options = {.module = "orders", .migrations = &orders_migrations},
         .depends_on = users,
         .n_depends_on = 1},
    };
    return pgdbm_migrate_modules(targets, sizeof targets / sizeof targets[0], NULL, NULL, err);
}

pgdbm_status program_open(pgdbm_pool *pool, struct program *program, pgdbm_error *err)
{
    *program = (struct program){0};
    pgdbm_status status = pgdbm_attach(pool, "users", &program->users, err);
    if (status == PGDBM_OK)
        status = pgdbm_attach(pool, "orders", &program->orders, err);
    return status == PGDBM_OK ? migrate(program, err) : status;
}

void program_close(struct program *program)
{
    pgdbm_close(program->orders);
    pgdbm_close(program->users);
    *program = (struct program){0};
}
