/* SPDX-License-Identifier: MIT */
/* Orders an article for a user and says how many orders that user has. DATABASE_URL says where. */
#include "orders.h"
#include "program.h"
#include "users.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static pgdbm_status work(const struct program *program, const char *email, const char *article, pgdbm_error *err)
{
    int64_t user = 0;
    int64_t order = 0;
    int64_t orders = 0;
    pgdbm_status status = users_add(program->users, email, &user, err);
    if (status == PGDBM_OK)
        status = orders_place(program->orders, user, article, &order, err);
    if (status == PGDBM_OK)
        status = orders_count(program->orders, user, &orders, err);
    if (status == PGDBM_OK)
        printf("order %" PRId64 " is number %" PRId64 " of %s\n", order, orders, email);
    return status;
}

int main(int argc, char **argv)
{
    const pgdbm_config config = {.connection_string = getenv("DATABASE_URL"), .max_connections = 20};
    struct program program = {0};
    pgdbm_error err = {0};
    pgdbm_pool *pool = NULL;
    pgdbm_status status = pgdbm_pool_open(&config, &pool, &err);
    if (status == PGDBM_OK)
        status = program_open(pool, &program, &err);
    if (status == PGDBM_OK && argc > 2)
        status = work(&program, argv[1], argv[2], &err);
    if (status != PGDBM_OK) {
        char text[2048];
        pgdbm_error_format(&err, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    program_close(&program); /* the services first, then the pool */
    pgdbm_pool_close(pool);
    return status == PGDBM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
