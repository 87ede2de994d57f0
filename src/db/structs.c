/* SPDX-License-Identifier: MIT */
/* The verbs of structs: fetching, inserting, and inserting or updating. Any thread. */
#include "base/alloc.h"
#include "base/error.h"
#include "db/compose.h"
#include "db/copy.h"

#include <string.h>

/* So many structs are made parameters at a time. */
#define INSERT_AT_ONCE ((size_t)1000)

#define ROWS_TABLE "pg_temp.pgdbm_upsert_rows"

pgdbm_status pgdbm_fetch_structs_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes, const char *sql,
                                       pgdbm_params params, const pgdbm_struct *shape, pgdbm_result **result,
                                       pgdbm_error *err)
{
    struct pgdbm__run run;
    if (result == NULL)
        return pgdbm__fail_null(err, "pgdbm_fetch_structs", "result");
    *result = NULL;
    pgdbm_status status = pgdbm__shape_check(shape, "pgdbm_fetch_structs", err);
    if (status == PGDBM_OK)
        status = pgdbm__db_prepare_run(db, "pgdbm_fetch_structs", call, call_bytes, sql, params, &run, err);
    if (status != PGDBM_OK)
        return status;
    struct pgdbm__request request = {
        .kind = PGDBM__REQUEST_EXECUTE, .sets = &params, .n_sets = 1, .rows = PGDBM__ROWS_STRUCTS, .shape = shape};
    status = pgdbm__db_run(db, &run, &request, err);
    if (status == PGDBM_OK)
        *result = request.result;
    return status;
}

/* Appends the columns of the fields, with `before` before each. */
static void compose_fields(struct pgdbm__buffer *sql, const pgdbm_struct *shape, const char *before)
{
    for (size_t i = 0; i < shape->n_fields; i++) {
        pgdbm__buffer_text(sql, i > 0 ? ", " : "");
        pgdbm__buffer_text(sql, before);
        pgdbm__compose_column(sql, shape->fields[i].column);
    }
}

static pgdbm_status take_text(struct pgdbm__buffer *sql, pgdbm_status status, char **text, pgdbm_error *err)
{
    *text = status == PGDBM_OK ? pgdbm__buffer_take(sql) : NULL;
    pgdbm__buffer_free(sql);
    return status == PGDBM_OK && *text == NULL ? pgdbm__fail_nomem(err, "composing an INSERT") : status;
}

/* --- insert --- */

struct insertion {
    const pgdbm_struct *shape;
    const char *structs;
    size_t count;
    char *sql;
    pgdbm_params *sets;
    pgdbm_param *values; /* of INSERT_AT_ONCE structs */
    int64_t affected;
};

/* Says which struct, and where it can be told which field. */
static void name_struct(const struct insertion *insertion, size_t number, pgdbm_error *err)
{
    char detail[sizeof err->detail];
    if (err == NULL || (err->status != PGDBM_ERR_QUERY && err->status != PGDBM_ERR_TYPE) || number >= insertion->count)
        return;
    memcpy(detail, err->detail, sizeof detail);
    pgdbm__error_detail(err, "struct %zu of %zu (from 1); nothing of the call remains%s%.400s", number + 1,
                        insertion->count, detail[0] != '\0' ? ". " : "", detail);
}

/* Inserts `count` structs from number `first` on. */
static pgdbm_status insert_some(pgdbm_db *db, struct insertion *insertion, size_t first, size_t count, pgdbm_error *err)
{
    const pgdbm_struct *shape = insertion->shape;
    struct pgdbm__run run;
    struct pgdbm__request request = {.kind = PGDBM__REQUEST_EXECUTE, .sets = insertion->sets, .n_sets = count};
    for (size_t i = 0; i < count; i++) {
        const char *row = insertion->structs + (first + i) * shape->bytes;
        pgdbm_param *values = insertion->values + i * shape->n_fields;
        for (size_t j = 0; j < shape->n_fields; j++)
            values[j] = pgdbm__field_param(&shape->fields[j], row);
        insertion->sets[i] = pgdbm_params_array(values, shape->n_fields);
    }
    pgdbm_status status = pgdbm__db_prepare_run(db, "pgdbm_insert_structs", NULL, 0, insertion->sql,
                                                count > 0 ? insertion->sets[0] : pgdbm_no_args, &run, err);
    if (status != PGDBM_OK || count == 0)
        return status;
    run.take_lease = true;
    status = pgdbm__db_run(db, &run, &request, err);
    if (status == PGDBM_OK)
        insertion->affected += request.affected;
    else
        name_struct(insertion, first + request.commands_complete, err);
    return status;
}

/* A long run is many requests in one transaction. */
static pgdbm_status insert_many(pgdbm_db *db, struct insertion *insertion, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    pgdbm_status status = pgdbm_begin(db, NULL, &tx, err);
    if (status != PGDBM_OK)
        return status;
    for (size_t first = 0; status == PGDBM_OK && first < insertion->count; first += INSERT_AT_ONCE) {
        size_t left = insertion->count - first;
        status = insert_some(tx, insertion, first, left < INSERT_AT_ONCE ? left : INSERT_AT_ONCE, err);
    }
    if (status == PGDBM_OK)
        return pgdbm_commit(tx, err);
    (void)pgdbm_rollback(tx, NULL);
    return status;
}

static pgdbm_status compose_insert(pgdbm_db *db, const char *table, const pgdbm_struct *shape, char **text,
                                   pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_text(&sql, "INSERT INTO ");
    pgdbm_status status = pgdbm__compose_table(db, table, &sql, err);
    pgdbm__buffer_text(&sql, " (");
    compose_fields(&sql, shape, "");
    pgdbm__buffer_text(&sql, ") VALUES (");
    for (size_t i = 0; i < shape->n_fields; i++)
        pgdbm__buffer_format(&sql, "%s$%zu", i > 0 ? ", " : "", i + 1);
    pgdbm__buffer_text(&sql, ")");
    return take_text(&sql, status, text, err);
}

pgdbm_status pgdbm_insert_structs(pgdbm_db *db, const char *table, const pgdbm_struct *shape, const void *structs,
                                  size_t count, int64_t *rows_affected, pgdbm_error *err)
{
    struct insertion insertion = {.shape = shape, .structs = structs, .count = count};
    if (db == NULL || table == NULL || (structs == NULL && count > 0))
        return pgdbm__fail_null(err, "pgdbm_insert_structs", db == NULL ? "db" : table == NULL ? "table" : "structs");
    pgdbm_status status = pgdbm__shape_check(shape, "pgdbm_insert_structs", err);
    if (status == PGDBM_OK)
        status = compose_insert(db, table, shape, &insertion.sql, err);
    if (status != PGDBM_OK)
        return status;
    size_t at_once = count < INSERT_AT_ONCE ? count : INSERT_AT_ONCE;
    insertion.sets = pgdbm__alloc_zero(at_once, sizeof *insertion.sets);
    insertion.values = pgdbm__alloc_zero(at_once, shape->n_fields * sizeof *insertion.values);
    if (insertion.sets == NULL || insertion.values == NULL)
        status = pgdbm__fail_nomem(err, "making parameters of structs");
    else
        status =
            count <= INSERT_AT_ONCE ? insert_some(db, &insertion, 0, count, err) : insert_many(db, &insertion, err);
    if (status == PGDBM_OK && rows_affected != NULL)
        *rows_affected = insertion.affected;
    pgdbm__free(insertion.values);
    pgdbm__free(insertion.sets);
    pgdbm__free(insertion.sql);
    return status;
}

/* --- upsert --- */

static bool is_key(const pgdbm_upsert *upsert, const char *column)
{
    for (size_t i = 0; i < upsert->n_key; i++)
        if (strcmp(upsert->key[i], column) == 0)
            return true;
    return false;
}

static pgdbm_status check_upsert(const pgdbm_upsert *upsert, const pgdbm_struct *shape, pgdbm_error *err)
{
    if (upsert->key == NULL || upsert->n_key == 0)
        return pgdbm__fail_null(err, "pgdbm_upsert_structs", "upsert->key");
    for (size_t i = 0; i < upsert->n_key; i++) {
        size_t place = 0;
        if (upsert->key[i] == NULL)
            return pgdbm__fail_null(err, "pgdbm_upsert_structs", "upsert->key");
        while (place < shape->n_fields && strcmp(shape->fields[place].column, upsert->key[i]) != 0)
            place++;
        if (place < shape->n_fields)
            continue;
        pgdbm__fail(err, PGDBM_ERR_ARGUMENT, "pgdbm_upsert_structs: no field of %s is for the key's column \"%s\"",
                    shape->name != NULL ? shape->name : "the struct", upsert->key[i]);
        pgdbm__error_hint(err, "the key is made of columns that the structs fill");
        return PGDBM_ERR_ARGUMENT;
    }
    return PGDBM_OK;
}

/* INSERT ... SELECT ... ON CONFLICT, from the temporary table. */
static pgdbm_status compose_upsert(const char *table, const pgdbm_struct *shape, const pgdbm_upsert *upsert,
                                   char **text, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql, "INSERT INTO %s (", table);
    compose_fields(&sql, shape, "");
    pgdbm__buffer_text(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    compose_fields(&sql, shape, "");
    pgdbm__buffer_text(&sql, " FROM " ROWS_TABLE " ON CONFLICT (");
    for (size_t i = 0; i < upsert->n_key; i++) {
        pgdbm__buffer_text(&sql, i > 0 ? ", " : "");
        pgdbm__compose_column(&sql, upsert->key[i]);
    }
    size_t n_set = 0;
    for (size_t i = 0; !upsert->do_nothing && i < shape->n_fields; i++) {
        const char *column = shape->fields[i].column;
        if (is_key(upsert, column))
            continue;
        pgdbm__buffer_text(&sql, n_set++ > 0 ? ", " : ") DO UPDATE SET ");
        pgdbm__compose_column(&sql, column);
        pgdbm__buffer_text(&sql, " = EXCLUDED.");
        pgdbm__compose_column(&sql, column);
    }
    pgdbm__buffer_text(&sql, n_set > 0 ? "" : ") DO NOTHING");
    return take_text(&sql, PGDBM_OK, text, err);
}

/* A table of the fields' columns alone: constraints of the target are checked when the rows go there. */
static pgdbm_status compose_temporary(const char *table, const pgdbm_struct *shape, char **text, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_text(&sql, "CREATE TEMPORARY TABLE pgdbm_upsert_rows AS SELECT ");
    compose_fields(&sql, shape, "");
    pgdbm__buffer_format(&sql, " FROM %s WITH NO DATA", table);
    return take_text(&sql, PGDBM_OK, text, err);
}

/* The temporary table is made and dropped by commands of the engine's own, so that the session need not be cleaned. */
static pgdbm_status upsert_in(pgdbm_db *tx, const char *table, const pgdbm_struct *shape, const void *structs,
                              size_t count, const pgdbm_upsert *upsert, int64_t *affected, pgdbm_error *err)
{
    struct pgdbm__copy_gauge gauge = {0};
    char *make = NULL;
    char *insert = NULL;
    pgdbm_status status = compose_temporary(table, shape, &make, err);
    if (status == PGDBM_OK)
        status = compose_upsert(table, shape, upsert, &insert, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_command(tx, make, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_copy_structs(tx, "pgdbm_upsert_structs", table, ROWS_TABLE, shape, structs, count, &gauge,
                                        NULL, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute(tx, insert, pgdbm_no_args, affected, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_command(tx, "DROP TABLE " ROWS_TABLE, err);
    pgdbm__free(insert);
    pgdbm__free(make);
    return status;
}

pgdbm_status pgdbm_upsert_structs_sized(pgdbm_db *db, const char *table, const pgdbm_struct *shape, const void *structs,
                                        size_t count, const pgdbm_upsert *upsert, size_t upsert_bytes,
                                        int64_t *rows_affected, pgdbm_error *err)
{
    pgdbm_upsert chosen = {0};
    struct pgdbm__buffer quoted = {0};
    pgdbm_db *tx = NULL;
    char *name = NULL;
    int64_t affected = 0;
    if (db == NULL || table == NULL || (structs == NULL && count > 0) || upsert == NULL)
        return pgdbm__fail_null(err, "pgdbm_upsert_structs",
                                db == NULL       ? "db"
                                : table == NULL  ? "table"
                                : upsert == NULL ? "upsert"
                                                 : "structs");
    memcpy(&chosen, upsert, upsert_bytes < sizeof chosen ? upsert_bytes : sizeof chosen);
    pgdbm_status status = pgdbm__shape_check(shape, "pgdbm_upsert_structs", err);
    if (status == PGDBM_OK)
        status = check_upsert(&chosen, shape, err);
    if (status == PGDBM_OK)
        status = pgdbm__compose_table(db, table, &quoted, err);
    if (status == PGDBM_OK)
        status = take_text(&quoted, status, &name, err);
    if (status == PGDBM_OK)
        status = pgdbm_begin(db, NULL, &tx, err);
    if (status == PGDBM_OK) {
        status = upsert_in(tx, name, shape, structs, count, &chosen, &affected, err);
        if (status == PGDBM_OK)
            status = pgdbm_commit(tx, err);
        else
            (void)pgdbm_rollback(tx, NULL);
    }
    if (status == PGDBM_OK && rows_affected != NULL)
        *rows_affected = affected;
    pgdbm__free(name);
    pgdbm__buffer_free(&quoted);
    return status;
}
