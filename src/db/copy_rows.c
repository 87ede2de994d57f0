/* SPDX-License-Identifier: MIT */
/* COPY of structs and rows. They go in as binary tuples, whose types the server does not check beyond their sizes: so what
 * the table's columns are is asked each time, although what was learned of them is kept. They come out as binary tuples
 * and are handed on as rows of the statement's description. */
#include "db/copy.h"

#include "base/alloc.h"
#include "base/error.h"
#include "db/compose.h"
#include "pool/copy.h"
#include "sql/scan.h"

#include <string.h>

void pgdbm__copy_gauge_init(struct pgdbm__copy_gauge *gauge, const pgdbm_copy_options *options, size_t options_bytes)
{
    *gauge = (struct pgdbm__copy_gauge){0};
    if (options != NULL)
        memcpy(&gauge->options, options, options_bytes < sizeof gauge->options ? options_bytes : sizeof gauge->options);
    if (gauge->options.n_columns == 0)
        gauge->options.columns = NULL;
}

pgdbm_status pgdbm__copy_gauge_report(struct pgdbm__copy_gauge *gauge, pgdbm_error *err)
{
    if (gauge->options.on_progress == NULL || gauge->bytes - gauge->told < (int64_t)PGDBM__COPY_PIECE_BYTES)
        return PGDBM_OK;
    gauge->told = gauge->bytes;
    if (gauge->options.on_progress(gauge->rows, gauge->bytes, gauge->options.progress_context))
        return PGDBM_OK;
    pgdbm__fail(err, PGDBM_ERR_CANCELED, "on_progress ended the COPY after %lld rows and %lld bytes",
                (long long)gauge->rows, (long long)gauge->bytes);
    pgdbm__error_outcome(err, PGDBM_OUTCOME_ROLLED_BACK);
    return PGDBM_ERR_CANCELED;
}

static pgdbm_status check_columns(const pgdbm_copy_options *options, const char *function, pgdbm_error *err)
{
    for (size_t i = 0; options->columns != NULL && i < options->n_columns; i++)
        if (options->columns[i] == NULL)
            return pgdbm__fail_null(err, function, "options.columns");
    return PGDBM_OK;
}

/* --- in --- */

struct load {
    struct pgdbm__tuples tuples;
    struct pgdbm__copy_gauge *gauge;
    const pgdbm_struct *shape; /* NULL: rows */
    const char *structs;
    size_t left;
    pgdbm_copy_next_row next_row;
    void *context;
    bool ended;
};

static pgdbm_status put_next(struct load *load, pgdbm_error *err)
{
    const pgdbm_param *values = NULL;
    pgdbm_status status = PGDBM_OK;
    if (load->shape == NULL)
        status = load->next_row(&values, load->context, err);
    else if (load->left > 0) {
        const char *row = load->structs;
        load->structs += load->shape->bytes;
        load->left--;
        return pgdbm__tuples_put_struct(&load->tuples, row, err);
    }
    if (status != PGDBM_OK)
        return status;
    if (values != NULL)
        return pgdbm__tuples_put_params(&load->tuples, values, err);
    load->ended = true;
    return pgdbm__tuples_end(&load->tuples, err);
}

static pgdbm_status feed(const void **data, size_t *bytes, void *context, pgdbm_error *err)
{
    struct load *load = context;
    struct pgdbm__buffer *out = &load->tuples.out;
    pgdbm_status status = pgdbm__copy_gauge_report(load->gauge, err);
    out->length = 0;
    while (status == PGDBM_OK && !load->ended && out->length < PGDBM__COPY_PIECE_BYTES)
        status = put_next(load, err);
    *data = out->data;
    *bytes = out->length;
    load->gauge->rows = load->tuples.rows;
    load->gauge->bytes += (int64_t)out->length;
    return status;
}

/* Appends the columns' names. */
static void compose_names(struct pgdbm__buffer *sql, const struct pgdbm__tuples *tuples)
{
    for (size_t i = 0; i < tuples->n_columns; i++) {
        pgdbm__buffer_text(sql, i > 0 ? ", " : "");
        pgdbm__compose_column(sql, tuples->columns[i].name);
    }
}

/* The INSERT that is described to learn the columns' types: it needs the privilege that COPY needs. A value for an
 * identity column is what COPY takes, too. NULL when memory is short. */
static char *compose_insert(const char *table, const struct pgdbm__tuples *tuples)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql, "INSERT INTO %s (", table);
    compose_names(&sql, tuples);
    pgdbm__buffer_text(&sql, ") OVERRIDING SYSTEM VALUE VALUES (");
    for (size_t i = 0; i < tuples->n_columns; i++)
        pgdbm__buffer_format(&sql, "%s$%zu", i > 0 ? ", " : "", i + 1);
    pgdbm__buffer_text(&sql, ")");
    char *made = pgdbm__buffer_take(&sql);
    pgdbm__buffer_free(&sql);
    return made;
}

static char *compose_copy(const char *table, const struct pgdbm__tuples *tuples)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql, "COPY %s (", table);
    compose_names(&sql, tuples);
    pgdbm__buffer_format(&sql, ") FROM STDIN (FORMAT %s)", tuples->as_text ? "text" : "binary");
    char *made = pgdbm__buffer_take(&sql);
    pgdbm__buffer_free(&sql);
    return made;
}

/* A table's columns now; the statement of that is always the same one, and needs no privilege. */
static pgdbm_status fetch_columns(pgdbm_db *db, const char *table, pgdbm_result **columns, pgdbm_error *err)
{
    return pgdbm_fetch_all(db,
                           "SELECT attname, atttypid, attgenerated <> '' FROM pg_catalog.pg_attribute WHERE attrelid = "
                           "$1::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                           pgdbm_args(table), columns, err);
}

/* The columns that are written: those the options name; all of the struct's fields; all that are not computed. */
static pgdbm_status choose_columns(struct load *load, const pgdbm_result *columns, pgdbm_error *err)
{
    struct pgdbm__tuples *tuples = &load->tuples;
    const pgdbm_copy_options *options = &load->gauge->options;
    size_t n_rows = pgdbm_result_rows(columns);
    size_t limit = options->columns != NULL ? options->n_columns : load->shape != NULL ? load->shape->n_fields : n_rows;
    tuples->columns = pgdbm__alloc_zero(limit > 0 ? limit : 1, sizeof *tuples->columns);
    if (tuples->columns == NULL)
        return pgdbm__fail_nomem(err, "preparing a COPY");
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < limit; i++) {
        struct pgdbm__tuple_column *column = &tuples->columns[tuples->n_columns];
        bool computed = false;
        if (options->columns != NULL)
            column->name = options->columns[i];
        else if (load->shape != NULL)
            column->name = load->shape->fields[i].column;
        else {
            status = pgdbm_get_text(columns, i, 0, &column->name, err);
            if (status == PGDBM_OK)
                status = pgdbm_get_bool(columns, i, 2, &computed, err);
        }
        tuples->n_columns += computed ? 0 : 1;
    }
    return status;
}

/* Each column's field. */
static pgdbm_status choose_fields(struct load *load, pgdbm_error *err)
{
    const pgdbm_struct *shape = load->shape;
    for (size_t i = 0; shape != NULL && i < load->tuples.n_columns; i++) {
        struct pgdbm__tuple_column *column = &load->tuples.columns[i];
        for (size_t j = 0; column->field == NULL && j < shape->n_fields; j++)
            if (strcmp(shape->fields[j].column, column->name) == 0)
                column->field = &shape->fields[j];
        if (column->field != NULL)
            continue;
        pgdbm__fail(err, PGDBM_ERR_TYPE, "no field of the struct is for column \"%s\" (%s)", column->name,
                    shape->name != NULL ? shape->name : "struct");
        pgdbm__error_hint(err, "options.columns can only name columns that have a field");
        return PGDBM_ERR_TYPE;
    }
    return PGDBM_OK;
}

/* Whether the table has this column with this type. */
static bool has_column(const pgdbm_result *columns, const char *column, uint32_t type)
{
    bool found = false;
    for (size_t row = 0; !found && row < pgdbm_result_rows(columns); row++) {
        const char *name = NULL;
        int64_t number = 0;
        found = pgdbm_get_text(columns, row, 0, &name, NULL) == PGDBM_OK && strcmp(name, column) == 0 &&
                pgdbm_get_int64(columns, row, 1, &number, NULL) == PGDBM_OK && number == (int64_t)type;
    }
    return found;
}

/* Whether the statement takes what the columns are now. */
static bool is_current(const struct pgdbm__statement *statement, const struct pgdbm__tuples *tuples,
                       const pgdbm_result *columns)
{
    size_t i = 0;
    while (i < tuples->n_columns && has_column(columns, tuples->columns[i].name, statement->param_types[i]))
        i++;
    return i == tuples->n_columns;
}

/* Describes an INSERT into the columns. `*statement` is the caller's; its types are what the tuples are made for. */
static pgdbm_status describe(pgdbm_db *db, const char *function, const char *table, const struct load *load,
                             const pgdbm_result *columns, struct pgdbm__statement **statement, pgdbm_error *err)
{
    struct pgdbm__run run;
    char *sql = compose_insert(table, &load->tuples);
    if (sql == NULL)
        return pgdbm__fail_nomem(err, "preparing a COPY");
    pgdbm_status status = pgdbm__db_prepare_run(db, function, NULL, 0, sql, pgdbm_no_args, &run, err);
    if (status == PGDBM_OK)
        status = pgdbm__pool_describe(&run, statement, err);
    if (status == PGDBM_OK && !is_current(*statement, &load->tuples, columns)) {
        pgdbm__statements_forget(db->pool, *statement, true);
        pgdbm__statement_unref(*statement);
        *statement = NULL;
        status = pgdbm__pool_describe(&run, statement, err);
    }
    pgdbm__free(sql);
    return status;
}

/* Copies into `into`, whose columns are those of `described`; both are quoted names. */
static pgdbm_status load_into(pgdbm_db *db, const char *function, const char *described, const char *into,
                              struct load *load, int64_t *rows, pgdbm_error *err)
{
    pgdbm_result *columns = NULL;
    struct pgdbm__statement *statement = NULL;
    char *sql = NULL;
    load->tuples.as_text = load->gauge->options.as_text;
    pgdbm_status status = check_columns(&load->gauge->options, function, err);
    if (status == PGDBM_OK)
        status = fetch_columns(db, described, &columns, err);
    if (status == PGDBM_OK)
        status = choose_columns(load, columns, err);
    if (status == PGDBM_OK)
        status = choose_fields(load, err);
    if (status == PGDBM_OK)
        status = describe(db, function, described, load, columns, &statement, err);
    for (size_t i = 0; status == PGDBM_OK && i < load->tuples.n_columns; i++)
        load->tuples.columns[i].type = statement->types[i];
    if (status == PGDBM_OK && load->shape != NULL)
        status = pgdbm__tuples_compile(&load->tuples, err);
    if (status == PGDBM_OK && (sql = compose_copy(into, &load->tuples)) == NULL)
        status = pgdbm__fail_nomem(err, "preparing a COPY");
    if (status == PGDBM_OK)
        status = pgdbm__db_copy_in(db, function, sql, feed, load, rows, err);
    if (status == PGDBM_ERR_QUERY && statement != NULL) /* a type that a user made may not be what it was */
        pgdbm__statements_forget(db->pool, statement, true);
    pgdbm__free(sql);
    pgdbm__statement_unref(statement);
    pgdbm__tuples_free(&load->tuples);
    pgdbm_result_free(columns);
    return status;
}

pgdbm_status pgdbm__db_copy_structs(pgdbm_db *db, const char *function, const char *described, const char *into,
                                    const pgdbm_struct *shape, const void *structs, size_t count,
                                    struct pgdbm__copy_gauge *gauge, int64_t *rows, pgdbm_error *err)
{
    struct load load = {.gauge = gauge, .shape = shape, .structs = structs, .left = count};
    return load_into(db, function, described, into, &load, rows, err);
}

/* The quoted name; the caller's to free. */
static pgdbm_status quote_table(pgdbm_db *db, const char *table, char **quoted, pgdbm_error *err)
{
    struct pgdbm__buffer name = {0};
    pgdbm_status status = pgdbm__compose_table(db, table, &name, err);
    if (status == PGDBM_OK && (*quoted = pgdbm__buffer_take(&name)) == NULL)
        status = pgdbm__fail_nomem(err, "preparing a COPY");
    pgdbm__buffer_free(&name);
    return status;
}

pgdbm_status pgdbm_copy_structs_sized(pgdbm_db *db, const char *table, const pgdbm_struct *shape, const void *structs,
                                      size_t count, const pgdbm_copy_options *options, size_t options_bytes,
                                      int64_t *rows, pgdbm_error *err)
{
    struct pgdbm__copy_gauge gauge;
    char *name = NULL;
    if (db == NULL || table == NULL || (structs == NULL && count > 0))
        return pgdbm__fail_null(err, "pgdbm_copy_structs", db == NULL ? "db" : table == NULL ? "table" : "structs");
    pgdbm_status status = pgdbm__shape_check(shape, "pgdbm_copy_structs", err);
    if (status == PGDBM_OK)
        status = quote_table(db, table, &name, err);
    pgdbm__copy_gauge_init(&gauge, options, options_bytes);
    if (status == PGDBM_OK)
        status = pgdbm__db_copy_structs(db, "pgdbm_copy_structs", name, name, shape, structs, count, &gauge, rows, err);
    pgdbm__free(name);
    return status;
}

pgdbm_status pgdbm_copy_rows_in_sized(pgdbm_db *db, const char *table, pgdbm_copy_next_row next_row, void *context,
                                      const pgdbm_copy_options *options, size_t options_bytes, int64_t *rows,
                                      pgdbm_error *err)
{
    struct pgdbm__copy_gauge gauge;
    struct load load = {.gauge = &gauge, .next_row = next_row, .context = context};
    char *name = NULL;
    if (db == NULL || table == NULL || next_row == NULL)
        return pgdbm__fail_null(err, "pgdbm_copy_rows_in", db == NULL ? "db" : table == NULL ? "table" : "next_row");
    pgdbm__copy_gauge_init(&gauge, options, options_bytes);
    pgdbm_status status = quote_table(db, table, &name, err);
    if (status == PGDBM_OK)
        status = load_into(db, "pgdbm_copy_rows_in", name, name, &load, rows, err);
    pgdbm__free(name);
    return status;
}

/* --- out --- */

struct unload {
    struct pgdbm__tuple_reader reader;
    struct pgdbm__copy_gauge gauge;
    pgdbm_result *row;
    pgdbm_row_callback on_row;
    void *context;
};

static pgdbm_status fail_reading(enum pgdbm__tuple_found found, pgdbm_error *err)
{
    pgdbm_status status =
        found == PGDBM__TUPLE_NOMEM
            ? pgdbm__fail_nomem(err, "reading the rows of a COPY")
            : pgdbm__fail(err, PGDBM_ERR_QUERY, "the rows of the COPY are not those that the statement describes");
    if (found != PGDBM__TUPLE_NOMEM)
        pgdbm__error_hint(err, "were columns added or dropped meanwhile? Name them (options.columns, or in the query)");
    pgdbm__error_outcome(err, PGDBM_OUTCOME_DONE);
    return status;
}

static pgdbm_status drain(char *data, size_t bytes, bool *more, void *context, pgdbm_error *err)
{
    struct unload *unload = context;
    unsigned char *body;
    size_t size;
    enum pgdbm__tuple_found found =
        pgdbm__tuples_feed(&unload->reader, data, bytes) ? PGDBM__TUPLE_ROW : PGDBM__TUPLE_NOMEM;
    while (*more && found == PGDBM__TUPLE_ROW &&
           (found = pgdbm__tuples_next(&unload->reader, &body, &size)) == PGDBM__TUPLE_ROW) {
        unsigned char behind = body[size];
        switch (pgdbm__result_borrow_row(unload->row, body, size)) {
        case PGDBM__ROW_OK:
            unload->gauge.rows++;
            *more = unload->on_row(unload->row, unload->context);
            break;
        case PGDBM__ROW_NOMEM:
            found = PGDBM__TUPLE_NOMEM;
            break;
        default:
            found = PGDBM__TUPLE_BROKEN;
            break;
        }
        body[size] = behind;
    }
    unload->gauge.bytes += (int64_t)bytes;
    if (found == PGDBM__TUPLE_BROKEN || found == PGDBM__TUPLE_NOMEM)
        return fail_reading(found, err);
    return *more ? pgdbm__copy_gauge_report(&unload->gauge, err) : PGDBM_OK;
}

/* SELECT of the table's columns, or the query without a semicolon at its end. */
static pgdbm_status compose_query(pgdbm_db *db, const char *table_or_query, const pgdbm_copy_options *options,
                                  struct pgdbm__buffer *sql, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    bool is_table = pgdbm__is_table_name(table_or_query);
    size_t n_columns = options->columns != NULL ? options->n_columns : 0;
    if (!is_table && n_columns == 0)
        pgdbm__buffer_append(sql, table_or_query, pgdbm__scan_end(table_or_query, strlen(table_or_query)));
    else {
        pgdbm__buffer_text(sql, n_columns > 0 ? "SELECT " : "SELECT *");
        for (size_t i = 0; i < n_columns; i++) {
            pgdbm__buffer_text(sql, i > 0 ? ", " : "");
            pgdbm__compose_column(sql, options->columns[i]);
        }
        pgdbm__buffer_text(sql, " FROM ");
        if (is_table)
            status = pgdbm__compose_table(db, table_or_query, sql, err);
        else {
            pgdbm__buffer_text(sql, "(\n");
            pgdbm__buffer_append(sql, table_or_query, pgdbm__scan_end(table_or_query, strlen(table_or_query)));
            pgdbm__buffer_text(sql, "\n) AS pgdbm_rows");
        }
    }
    return status;
}

/* What the query's columns are now: the statement that asks is prepared, so the server says when they have changed. */
static pgdbm_status fetch_description(pgdbm_db *db, const struct pgdbm__buffer *query, pgdbm_result **row,
                                      pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql, "SELECT * FROM (\n%.*s\n) AS pgdbm_rows LIMIT 0", (int)query->length, query->data);
    char *text = pgdbm__buffer_take(&sql);
    pgdbm__buffer_free(&sql);
    if (text == NULL)
        return pgdbm__fail_nomem(err, "preparing a COPY");
    pgdbm_status status = pgdbm_fetch_all(db, text, pgdbm_no_args, row, err);
    pgdbm__free(text);
    return status;
}

/* Columns whose binary form is unknown here become texts. False when there is none. */
static bool cast_opaque(struct pgdbm__buffer *query, const pgdbm_result *row)
{
    struct pgdbm__buffer cast = {0};
    bool any = false;
    for (size_t i = 0; i < row->description->n_columns; i++)
        any = any || row->description->columns[i].format == 0;
    if (!any)
        return false;
    pgdbm__buffer_text(&cast, "SELECT ");
    for (size_t i = 0; i < row->description->n_columns; i++) {
        const struct pgdbm__column *column = &row->description->columns[i];
        pgdbm__buffer_text(&cast, i > 0 ? ", " : "");
        pgdbm__compose_column(&cast, column->name);
        if (column->format == 0) {
            pgdbm__buffer_text(&cast, "::pg_catalog.text AS ");
            pgdbm__compose_column(&cast, column->name);
        }
    }
    pgdbm__buffer_text(&cast, " FROM (\n");
    pgdbm__buffer_append(&cast, query->data, query->length);
    pgdbm__buffer_text(&cast, "\n) AS pgdbm_rows");
    pgdbm__buffer_free(query);
    *query = cast;
    return true;
}

/* Makes the row that is handed out, and the COPY. */
static pgdbm_status prepare_unload(pgdbm_db *db, const char *table_or_query, struct unload *unload, char **sql,
                                   pgdbm_error *err)
{
    struct pgdbm__buffer query = {0};
    struct pgdbm__buffer copy = {0};
    pgdbm_status status = compose_query(db, table_or_query, &unload->gauge.options, &query, err);
    if (status == PGDBM_OK && query.failed)
        status = pgdbm__fail_nomem(err, "preparing a COPY");
    if (status == PGDBM_OK)
        status = fetch_description(db, &query, &unload->row, err);
    if (status == PGDBM_OK && cast_opaque(&query, unload->row)) {
        pgdbm_result_free(unload->row);
        unload->row = NULL;
        status = query.failed ? pgdbm__fail_nomem(err, "preparing a COPY")
                              : fetch_description(db, &query, &unload->row, err);
    }
    if (status == PGDBM_OK) {
        unload->reader.n_columns = unload->row->description->n_columns;
        pgdbm__buffer_format(&copy, "COPY (\n%.*s\n) TO STDOUT (FORMAT binary)", (int)query.length, query.data);
        if ((*sql = pgdbm__buffer_take(&copy)) == NULL)
            status = pgdbm__fail_nomem(err, "preparing a COPY");
    }
    pgdbm__buffer_free(&copy);
    pgdbm__buffer_free(&query);
    return status;
}

pgdbm_status pgdbm_copy_rows_out_sized(pgdbm_db *db, const char *table_or_query, pgdbm_row_callback on_row,
                                       void *context, const pgdbm_copy_options *options, size_t options_bytes,
                                       int64_t *rows, pgdbm_error *err)
{
    struct unload unload = {.on_row = on_row, .context = context};
    char *sql = NULL;
    if (db == NULL || table_or_query == NULL || on_row == NULL)
        return pgdbm__fail_null(err, "pgdbm_copy_rows_out",
                                db == NULL               ? "db"
                                : table_or_query == NULL ? "table_or_query"
                                                         : "on_row");
    pgdbm__copy_gauge_init(&unload.gauge, options, options_bytes);
    pgdbm_status status = check_columns(&unload.gauge.options, "pgdbm_copy_rows_out", err);
    if (status == PGDBM_OK)
        status = prepare_unload(db, table_or_query, &unload, &sql, err);
    if (status == PGDBM_OK)
        status = pgdbm__db_copy_out(db, "pgdbm_copy_rows_out", sql, true, drain, &unload, NULL, err);
    if (status == PGDBM_OK && rows != NULL)
        *rows = unload.gauge.rows;
    pgdbm__free(sql);
    pgdbm__buffer_free(&unload.reader.held);
    pgdbm_result_free(unload.row);
    return status;
}
