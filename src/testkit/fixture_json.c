/* SPDX-License-Identifier: MIT */
/* JSON fixtures: what the file names is looked up, then rows are inserted, as many at once as have the same columns, then
 * sequences go on behind them. The server makes the values: a row reaches it as the text that stands in the file. No state;
 * any thread. */
#include "base/alloc.h"
#include "base/error.h"
#include "testkit/document.h"
#include "testkit/fixture.h"

#include <pgdbm/memory.h>
#include <pgdbm/transaction.h>
#include <string.h>

/* A column of a table, as look_sql gives it. */
enum { NAME, SPELT, TYPE, GENERATED, SEQUENCE };

/* A file's table beside the catalog's. */
struct table {
    const struct pgdbm__document_table *at;
    pgdbm_result *columns;
    const char **names; /* of those */
    bool *given;        /* by column: some row names it */
    size_t n_columns;
};

struct load {
    const struct pgdbm__fixture *fixture;
    struct pgdbm__document document;
    struct table *tables; /* as many as the document's */
    size_t *columns;      /* by the document's names: the number of the column */
    bool *bulk;
};

/* --- looking up --- */

/* The columns of a table ($1, quoted). Two braces would be a template, so a name with a brace is spelt U&"". A sequence only
 * where the column is an integer: others may be made of anything. No row: there is no such table. */
static const char look_sql[] =
    "SELECT a.attname::text, CASE WHEN strpos(a.attname::text, '{') = 0 THEN pg_catalog.quote_ident(a.attname::text)"
    " ELSE 'U&\"' || replace(replace(replace(a.attname::text, '\\', '\\\\'), '\"', '\"\"'), '{', '\\007B') || '\"' END,"
    " pg_catalog.format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',"
    " (SELECT d.objid::regclass::text FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND"
    " s.relkind = 'S' WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid ="
    " 'pg_catalog.pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND"
    " d.deptype IN ('a', 'i') AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) LIMIT 1)"
    " FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT"
    " a.attisdropped WHERE c.oid = pg_catalog.to_regclass($1::text) AND c.relkind IN ('r', 'p', 'v', 'f')"
    " ORDER BY a.attnum";

static const char tables_sql[] =
    "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE"
    " n.nspname = ANY (CASE WHEN $1::text IS NULL THEN pg_catalog.current_schemas(false) ELSE ARRAY[$1::name] END)"
    " AND c.relkind IN ('r', 'p', 'v', 'f') ORDER BY 1";

static pgdbm_status no_table(const struct load *load, const struct table *table, pgdbm_error *err)
{
    const char *name = table->at->name;
    const char *dot = strchr(name, '.');
    char *schema =
        dot != NULL ? pgdbm__memdup(name, (size_t)(dot - name)) : pgdbm__strdup(pgdbm_schema(load->fixture->tx));
    struct pgdbm__grid grid = {0};
    pgdbm_result *result = NULL;
    pgdbm_status status =
        pgdbm_fetch_all(load->fixture->tx, tables_sql, pgdbm_args((const char *)schema), &result, err);
    pgdbm__free(schema);
    if (status == PGDBM_OK)
        status = pgdbm__grid_take(&grid, result, err);
    if (status == PGDBM_OK) {
        status = pgdbm__fail(err, PGDBM_ERR_TESTDB, "there is no table \"%.130s\"", name);
        pgdbm__error_hint(err, "migrate before loading fixtures; tables are looked for in the manager's schema");
        pgdbm__suggest(err, dot != NULL ? dot + 1 : name, grid.cells, grid.n_rows);
        pgdbm__fixture_name(load->fixture, table->at->line, err, "%s", "");
    }
    pgdbm__grid_free(&grid);
    return status;
}

static pgdbm_status take_names(struct table *table, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    table->n_columns = pgdbm_result_rows(table->columns);
    table->names = pgdbm__alloc_zero(table->n_columns + 1, sizeof *table->names);
    table->given = pgdbm__alloc_zero(table->n_columns + 1, sizeof *table->given);
    if (table->names == NULL || table->given == NULL)
        return pgdbm__fail_nomem(err, "looking columns up");
    for (size_t i = 0; status == PGDBM_OK && i < table->n_columns; i++)
        status = pgdbm_get_text_at(table->columns, i, NAME, &table->names[i], err);
    if (status == PGDBM_OK && table->n_columns > 0 && table->names[0] == NULL)
        table->n_columns = 0; /* a table without columns */
    return status;
}

static pgdbm_status look_up(const struct load *load, struct table *table, pgdbm_error *err)
{
    const char *name = table->at->name;
    struct pgdbm__buffer template = {0};
    char *text = NULL, *quoted = NULL;
    pgdbm_status status = PGDBM_OK;
    if (!pgdbm__is_table(name)) {
        pgdbm__fail(err, PGDBM_ERR_TESTDB, "\"%.130s\" is not the name of a table", name);
        pgdbm__error_hint(err, "a fixture's tables are \"name\" or \"schema.name\"");
        return pgdbm__fixture_name(load->fixture, table->at->line, err, "%s", "");
    }
    pgdbm__buffer_format(&template, "{{tables.%s}}", name);
    if ((text = pgdbm__buffer_take(&template)) == NULL)
        status = pgdbm__fail_nomem(err, "looking tables up");
    if (status == PGDBM_OK)
        status = pgdbm_expand(load->fixture->tx, text, &quoted, err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_all(load->fixture->tx, look_sql, pgdbm_args((const char *)quoted), &table->columns, err);
    if (status == PGDBM_OK && pgdbm_result_rows(table->columns) == 0)
        status = no_table(load, table, err);
    if (status == PGDBM_OK)
        status = take_names(table, err);
    pgdbm__free(text);
    pgdbm_free(quoted);
    pgdbm__buffer_free(&template);
    return status;
}

static size_t find_column(const struct table *table, const char *name)
{
    size_t column = 0;
    while (column < table->n_columns && strcmp(table->names[column], name) != 0)
        column++;
    return column;
}

static pgdbm_status check_row(struct load *load, struct table *table, size_t number, pgdbm_error *err)
{
    const struct pgdbm__document_row *row = &load->document.rows[table->at->first_row + number];
    for (size_t i = row->first_name; i < row->first_name + row->n_names; i++) {
        const char *name = load->document.names[i];
        size_t column = find_column(table, name);
        bool generated = false;
        if (column < table->n_columns) {
            pgdbm_status status = pgdbm_get_bool_at(table->columns, column, GENERATED, &generated, err);
            if (status != PGDBM_OK)
                return status;
        }
        if (column < table->n_columns && !generated) {
            load->columns[i] = column;
            table->given[column] = true;
            continue;
        }
        pgdbm__fail(err, PGDBM_ERR_TESTDB,
                    generated ? "column \"%.100s\" is computed from others" : "there is no column \"%.100s\"", name);
        if (generated)
            pgdbm__error_hint(err, "leave it out");
        else
            pgdbm__suggest(err, name, table->names, table->n_columns);
        return pgdbm__fixture_name(load->fixture, row->line, err, "row %zu of \"%.100s\": ", number + 1,
                                   table->at->name);
    }
    return PGDBM_OK;
}

static pgdbm_status look_all_up(struct load *load, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    load->tables = pgdbm__alloc_zero(load->document.n_tables + 1, sizeof *load->tables);
    load->columns = pgdbm__alloc_zero(load->document.n_names + 1, sizeof *load->columns);
    if (load->tables == NULL || load->columns == NULL)
        return pgdbm__fail_nomem(err, "loading a fixture");
    for (size_t i = 0; status == PGDBM_OK && i < load->document.n_tables; i++) {
        struct table *table = &load->tables[i];
        table->at = &load->document.tables[i];
        status = look_up(load, table, err);
        for (size_t row = 0; status == PGDBM_OK && row < table->at->n_rows; row++)
            status = check_row(load, table, row, err);
    }
    return status;
}

/* --- inserting --- */

/* Appends columns of a row, or their definitions. */
static pgdbm_status append_columns(const struct load *load, const struct table *table,
                                   const struct pgdbm__document_row *row, bool types, struct pgdbm__buffer *sql,
                                   pgdbm_error *err)
{
    for (size_t i = 0; i < row->n_names; i++) {
        const char *name = NULL, *type = NULL;
        size_t column = load->columns[row->first_name + i];
        pgdbm_status status = pgdbm_get_text_at(table->columns, column, SPELT, &name, err);
        if (status == PGDBM_OK && types)
            status = pgdbm_get_text_at(table->columns, column, TYPE, &type, err);
        if (status != PGDBM_OK)
            return status;
        pgdbm__buffer_format(sql, "%s%s%s%s", i > 0 ? ", " : "", name, types ? " " : "", types ? type : "");
    }
    return PGDBM_OK;
}

/* The INSERT of rows with these columns: $1 is an array of them. */
static pgdbm_status compose(const struct load *load, const struct table *table, const struct pgdbm__document_row *row,
                            char **text, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = PGDBM_OK;
    pgdbm__buffer_format(&sql, "INSERT INTO {{tables.%s}} ", table->at->name);
    if (row->n_names == 0)
        pgdbm__buffer_text(&sql, "DEFAULT VALUES");
    else {
        pgdbm__buffer_text(&sql, "(");
        status = append_columns(load, table, row, false, &sql, err);
        pgdbm__buffer_text(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
        if (status == PGDBM_OK)
            status = append_columns(load, table, row, false, &sql, err);
        pgdbm__buffer_text(&sql, " FROM pg_catalog.json_to_recordset($1::json) AS r(");
        if (status == PGDBM_OK)
            status = append_columns(load, table, row, true, &sql, err);
        pgdbm__buffer_text(&sql, ")");
    }
    if (status == PGDBM_OK && (*text = pgdbm__buffer_take(&sql)) == NULL)
        status = pgdbm__fail_nomem(err, "loading a fixture");
    pgdbm__buffer_free(&sql);
    return status;
}

/* `n_rows` rows of one kind, from `first` on, in one statement. */
static pgdbm_status insert(const struct load *load, const struct table *table, size_t first, size_t n_rows,
                           pgdbm_db *tx, pgdbm_error *err)
{
    const struct pgdbm__document_row *rows = &load->document.rows[table->at->first_row + first];
    struct pgdbm__buffer array = {0};
    char *sql = NULL, *json = NULL;
    for (size_t i = 0; i < n_rows; i++) {
        pgdbm__buffer_text(&array, i > 0 ? "," : "[");
        pgdbm__buffer_append(&array, load->fixture->text + rows[i].offset, rows[i].bytes);
    }
    pgdbm__buffer_text(&array, "]");
    json = pgdbm__buffer_take(&array);
    pgdbm_status status = compose(load, table, rows, &sql, err);
    if (status == PGDBM_OK && json == NULL)
        status = pgdbm__fail_nomem(err, "loading a fixture");
    if (status == PGDBM_OK)
        status = pgdbm_execute(tx, sql, rows->n_names > 0 ? pgdbm_args((const char *)json) : pgdbm_no_args, NULL, err);
    pgdbm__free(sql);
    pgdbm__free(json);
    pgdbm__buffer_free(&array);
    return status;
}

/* How many rows from `first` on can go into one statement. */
static size_t count_alike(const struct load *load, const struct table *table, size_t first)
{
    const struct pgdbm__document_row *rows = &load->document.rows[table->at->first_row];
    size_t behind = first + 1;
    if (load->fixture->by_row || rows[first].n_names == 0)
        return 1;
    for (; behind < table->at->n_rows && rows[behind].n_names == rows[first].n_names; behind++)
        if (memcmp(&load->columns[rows[behind].first_name], &load->columns[rows[first].first_name],
                   rows[first].n_names * sizeof *load->columns) != 0)
            break;
    return behind - first;
}

/* Whether the value of one column of a row is what the server refuses. */
static bool refuses_value(const struct load *load, const struct table *table, struct pgdbm__document_row row,
                          size_t name, const char *sqlstate)
{
    struct pgdbm__buffer sql = {0};
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    char *json = pgdbm__memdup(load->fixture->text + row.offset, row.bytes);
    char *text = NULL;
    row.first_name += name;
    row.n_names = 1;
    pgdbm__buffer_text(&sql, "SELECT FROM pg_catalog.json_to_record($1::json) AS r(");
    pgdbm_status status = append_columns(load, table, &row, true, &sql, &err);
    pgdbm__buffer_text(&sql, ")");
    text = pgdbm__buffer_take(&sql);
    if (status == PGDBM_OK && text != NULL && json != NULL &&
        pgdbm_begin(load->fixture->tx, NULL, &tx, &err) == PGDBM_OK) {
        status = pgdbm_execute(tx, text, pgdbm_args((const char *)json), NULL, &err);
        (void)pgdbm_rollback(tx, NULL);
    }
    pgdbm__free(text);
    pgdbm__free(json);
    pgdbm__buffer_free(&sql);
    return status == PGDBM_ERR_QUERY && strcmp(err.sqlstate, sqlstate) == 0;
}

/* Says which row it was, and which column, if its value could not be read. */
static pgdbm_status name_row(const struct load *load, const struct table *table, size_t number, pgdbm_error *err)
{
    const struct pgdbm__document_row *row = &load->document.rows[table->at->first_row + number];
    for (size_t i = 0; err->status == PGDBM_ERR_QUERY && i < row->n_names; i++)
        if (refuses_value(load, table, *row, i, err->sqlstate))
            return pgdbm__fixture_name(load->fixture, row->line, err,
                                       "row %zu of \"%.60s\", column \"%.60s\": ", number + 1, table->at->name,
                                       load->document.names[row->first_name + i]);
    return pgdbm__fixture_name(load->fixture, row->line, err, "row %zu of \"%.100s\": ", number + 1, table->at->name);
}

/* One row, in a savepoint, so that it can be looked at when it is refused. */
static pgdbm_status insert_alone(const struct load *load, const struct table *table, size_t number, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    pgdbm_status status = pgdbm_begin(load->fixture->tx, NULL, &tx, err);
    if (status != PGDBM_OK)
        return status;
    status = insert(load, table, number, 1, tx, err);
    if (status == PGDBM_OK)
        return pgdbm_commit(tx, err);
    (void)pgdbm_rollback(tx, NULL);
    return status == PGDBM_ERR_NOMEM ? status : name_row(load, table, number, err);
}

static pgdbm_status insert_table(const struct load *load, const struct table *table, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t row = 0, alike; status == PGDBM_OK && row < table->at->n_rows; row += alike) {
        alike = count_alike(load, table, row);
        if (load->fixture->by_row)
            status = insert_alone(load, table, row, err);
        else
            status = insert(load, table, row, alike, load->fixture->tx, err);
        if (status == PGDBM_ERR_QUERY)
            *load->bulk = !load->fixture->by_row;
    }
    return status;
}

/* --- sequences --- */

/* Makes the sequence ($1, and in the text) of a column go on behind what is there, in its direction and inside of its bounds;
 * it never goes back. */
static pgdbm_status advance(const struct load *load, const struct table *table, size_t column, const char *sequence,
                            pgdbm_error *err)
{
    static const char format[] =
        "SELECT pg_catalog.setval(s.seqrelid, CASE WHEN s.seqincrement > 0 THEN m.highest ELSE m.lowest END)"
        " FROM pg_catalog.pg_sequence s, %s q,"
        " (SELECT pg_catalog.max(%s)::int8 AS highest, pg_catalog.min(%s)::int8 AS lowest FROM {{tables.%s}}) m"
        " WHERE s.seqrelid = $1::regclass AND CASE WHEN s.seqincrement > 0"
        " THEN m.highest <= s.seqmax AND (m.highest > q.last_value OR m.highest = q.last_value AND NOT q.is_called)"
        " ELSE m.lowest >= s.seqmin AND (m.lowest < q.last_value OR m.lowest = q.last_value AND NOT q.is_called) END";
    struct pgdbm__buffer sql = {0};
    const char *spelt = NULL;
    pgdbm_status status = pgdbm_get_text_at(table->columns, column, SPELT, &spelt, err);
    if (status != PGDBM_OK)
        return status;
    pgdbm__buffer_format(&sql, format, sequence, spelt, spelt, table->at->name);
    char *text = pgdbm__buffer_take(&sql);
    if (text == NULL)
        status = pgdbm__fail_nomem(err, "loading a fixture");
    if (status == PGDBM_OK)
        status = pgdbm_execute(load->fixture->tx, text, pgdbm_args(sequence), NULL, err);
    if (status != PGDBM_OK && status != PGDBM_ERR_NOMEM)
        pgdbm__fixture_name(load->fixture, table->at->line, err,
                            "the sequence of column \"%.60s\" of \"%.60s\": ", table->names[column], table->at->name);
    pgdbm__free(text);
    pgdbm__buffer_free(&sql);
    return status;
}

static pgdbm_status advance_sequences(const struct load *load, const struct table *table, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < table->n_columns; i++) {
        const char *sequence = NULL;
        if (table->given[i])
            status = pgdbm_get_text_at(table->columns, i, SEQUENCE, &sequence, err);
        if (status == PGDBM_OK && sequence != NULL)
            status = advance(load, table, i, sequence, err);
    }
    return status;
}

/* --- all of it --- */

static pgdbm_status read_document(struct load *load, pgdbm_error *err)
{
    const struct pgdbm__fixture *fixture = load->fixture;
    struct pgdbm__document_fault fault;
    if (pgdbm__document_read(&load->document, fixture->text, fixture->bytes, &fault))
        return PGDBM_OK;
    if (fault.what == NULL)
        return pgdbm__fail_nomem(err, "reading a fixture");
    pgdbm__fail(err, PGDBM_ERR_TESTDB, "%s%s%.100s%s", fault.what, fault.name != NULL ? " (in or behind table \"" : "",
                fault.name != NULL ? fault.name : "", fault.name != NULL ? "\")" : "");
    pgdbm__error_hint(err, "{\"users\": [{\"id\": 1, \"email\": null}], \"posts\": []}");
    return pgdbm__fixture_name(fixture, fault.line, err, "%s", "");
}

static void free_load(struct load *load)
{
    for (size_t i = 0; load->tables != NULL && i < load->document.n_tables; i++) {
        pgdbm_result_free(load->tables[i].columns);
        pgdbm__free((void *)load->tables[i].names);
        pgdbm__free(load->tables[i].given);
    }
    pgdbm__free(load->tables);
    pgdbm__free(load->columns);
    pgdbm__document_free(&load->document);
}

pgdbm_status pgdbm__fixture_load_json(const struct pgdbm__fixture *fixture, bool *bulk, pgdbm_error *err)
{
    struct load load = {.fixture = fixture, .bulk = bulk};
    pgdbm_status status = read_document(&load, err);
    if (status == PGDBM_OK)
        status = look_all_up(&load, err);
    for (size_t i = 0; status == PGDBM_OK && i < load.document.n_tables; i++) {
        status = insert_table(&load, &load.tables[i], err);
        if (status == PGDBM_OK)
            status = advance_sequences(&load, &load.tables[i], err);
    }
    free_load(&load);
    return status;
}
