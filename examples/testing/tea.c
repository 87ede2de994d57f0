/* SPDX-License-Identifier: MIT */
/* The tea house. */
#include "tea.h"

#include <stdlib.h>

static const pgdbm_module module = {.name = "tea", .migrations = &tea_migrations};

struct tea_house {
    pgdbm_db *db;
};

pgdbm_status tea_open(const pgdbm_source *source, tea_house **house, pgdbm_error *err)
{
    *house = NULL;
    tea_house *made = calloc(1, sizeof *made);
    if (made == NULL) {
        *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
        return PGDBM_ERR_NOMEM;
    }
    pgdbm_status status = pgdbm_module_open(&module, source, &made->db, err);
    if (status == PGDBM_OK)
        *house = made;
    else
        free(made);
    return status;
}

void tea_close(tea_house *house)
{
    if (house == NULL)
        return;
    pgdbm_close(house->db);
    free(house);
}

pgdbm_db *tea_manager(tea_house *house)
{
    return house->db;
}

static pgdbm_status note_sale(pgdbm_db *tx, const char *article, int cups, pgdbm_error *err)
{
    pgdbm_status status = pgdbm_execute(
        tx, "INSERT INTO {{tables.sales}} (article, cups) SELECT id, $2 FROM {{tables.articles}} WHERE name = $1",
        pgdbm_args(article, cups), NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(tx, "UPDATE {{tables.articles}} SET stock = stock - $2 WHERE name = $1",
                               pgdbm_args(article, cups), NULL, err);
    return status;
}

pgdbm_status tea_sell(pgdbm_db *db, const char *article, int cups, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    pgdbm_status status = pgdbm_begin(db, NULL, &tx, err);
    if (status != PGDBM_OK)
        return status;
    status = note_sale(tx, article, cups, err);
    if (status == PGDBM_OK)
        return pgdbm_commit(tx, err);
    (void)pgdbm_rollback(tx, NULL);
    return status;
}

pgdbm_status tea_takings(pgdbm_db *db, int64_t *cents, pgdbm_error *err)
{
    return pgdbm_fetch_value_int64(db,
                                   "SELECT coalesce(sum(s.cups * a.cents), 0)::bigint FROM {{tables.sales}} s"
                                   " JOIN {{tables.articles}} a ON a.id = s.article",
                                   pgdbm_no_args, cents, err);
}
