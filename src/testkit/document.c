/* SPDX-License-Identifier: MIT */
/* Reading a JSON fixture: which tables, which rows, which columns, and on which line. Values stay text. No state. */
#include "testkit/document.h"

#include "base/alloc.h"
#include "sql/report.h"

#include <string.h>

struct reading {
    struct pgdbm__json json;
    struct pgdbm__document *document;
    struct pgdbm__text_place place; /* of `placed`, which goes forward with the reading */
    size_t placed;
};

static size_t line_of(struct reading *reading, size_t offset)
{
    pgdbm__place_advance(&reading->place, reading->json.text, reading->json.bytes, reading->placed, offset);
    reading->placed = offset;
    return reading->place.line;
}

/* The arrays are moved when they grow. */
static bool refresh(struct reading *reading)
{
    struct pgdbm__document *document = reading->document;
    document->tables = (struct pgdbm__document_table *)(void *)document->table_space.data;
    document->n_tables = document->table_space.length / sizeof *document->tables;
    document->rows = (struct pgdbm__document_row *)(void *)document->row_space.data;
    document->n_rows = document->row_space.length / sizeof *document->rows;
    document->names = (char **)(void *)document->name_space.data;
    document->n_names = document->name_space.length / sizeof *document->names;
    reading->json.nomem = reading->json.nomem || document->table_space.failed || document->row_space.failed ||
                          document->name_space.failed;
    return !reading->json.nomem;
}

static bool is_repeated(const struct pgdbm__document *document, size_t first, const char *name)
{
    for (size_t i = first; i < document->n_names; i++)
        if (strcmp(document->names[i], name) == 0)
            return true;
    return false;
}

/* "column": value */
static bool read_member(struct reading *reading, size_t first_name)
{
    struct pgdbm__json *json = &reading->json;
    char *name = NULL;
    pgdbm__json_peek(json);
    size_t begin = json->at;
    if (!pgdbm__json_string(json, &name))
        return false;
    if (is_repeated(reading->document, first_name, name)) {
        pgdbm__free(name);
        json->at = begin;
        return pgdbm__json_fail(json, "a column is named twice in a row");
    }
    pgdbm__buffer_append(&reading->document->name_space, &name, sizeof name);
    if (!refresh(reading)) {
        pgdbm__free(name);
        return false;
    }
    return pgdbm__json_expect(json, ':', "a colon is expected behind the column's name") && pgdbm__json_value(json);
}

/* {"column": value, ...} */
static bool read_row(struct reading *reading)
{
    struct pgdbm__json *json = &reading->json;
    struct pgdbm__document *document = reading->document;
    if (pgdbm__json_peek(json) != '{')
        return pgdbm__json_fail(json, "a row, which is an object, is expected");
    struct pgdbm__document_row row = {
        .offset = json->at, .line = line_of(reading, json->at), .first_name = document->n_names};
    json->at++;
    if (!pgdbm__json_accept(json, '}')) {
        do
            if (!read_member(reading, row.first_name))
                return false;
        while (pgdbm__json_accept(json, ','));
        if (!pgdbm__json_expect(json, '}', "a comma or } is expected behind a value"))
            return false;
    }
    row.bytes = json->at - row.offset;
    row.n_names = document->n_names - row.first_name;
    pgdbm__buffer_append(&document->row_space, &row, sizeof row);
    return refresh(reading);
}

/* "table": [row, ...] */
static bool read_table(struct reading *reading)
{
    struct pgdbm__json *json = &reading->json;
    struct pgdbm__document *document = reading->document;
    struct pgdbm__document_table table = {.first_row = document->n_rows};
    pgdbm__json_peek(json);
    table.line = line_of(reading, json->at);
    if (!pgdbm__json_string(json, &table.name))
        return false;
    pgdbm__buffer_append(&document->table_space, &table, sizeof table);
    if (!refresh(reading)) {
        if (document->table_space.failed)
            pgdbm__free(table.name);
        return false;
    }
    if (!pgdbm__json_expect(json, ':', "a colon is expected behind the table's name") ||
        !pgdbm__json_expect(json, '[', "the table's rows, which are an array, are expected"))
        return false;
    if (!pgdbm__json_accept(json, ']')) {
        do
            if (!read_row(reading))
                return false;
        while (pgdbm__json_accept(json, ','));
        if (!pgdbm__json_expect(json, ']', "a comma or ] is expected behind a row"))
            return false;
    }
    document->tables[document->n_tables - 1].n_rows = document->n_rows - table.first_row;
    return true;
}

static bool read_tables(struct reading *reading)
{
    struct pgdbm__json *json = &reading->json;
    if (!pgdbm__json_expect(json, '{', "a fixture is an object: {\"table\": [{\"column\": value}]}"))
        return false;
    if (!pgdbm__json_accept(json, '}')) {
        do
            if (!read_table(reading))
                return false;
        while (pgdbm__json_accept(json, ','));
        if (!pgdbm__json_expect(json, '}', "a comma or } is expected behind a table"))
            return false;
    }
    return pgdbm__json_peek(json) == '\0' && json->at == json->bytes
               ? true
               : pgdbm__json_fail(json, "something stands behind the end");
}

bool pgdbm__document_read(struct pgdbm__document *document, const char *text, size_t bytes,
                          struct pgdbm__document_fault *fault)
{
    struct reading reading = {
        .json = {.text = text, .bytes = bytes}, .document = document, .place = PGDBM__PLACE_BEGIN};
    if (read_tables(&reading))
        return true;
    *fault = (struct pgdbm__document_fault){0};
    if (reading.json.nomem)
        return false;
    fault->what = reading.json.fault;
    fault->line = pgdbm__place_of(text, bytes, reading.json.at).line;
    if (document->n_tables > 0)
        fault->name = document->tables[document->n_tables - 1].name;
    return false;
}

void pgdbm__document_free(struct pgdbm__document *document)
{
    for (size_t i = 0; i < document->n_tables; i++)
        pgdbm__free(document->tables[i].name);
    for (size_t i = 0; i < document->n_names; i++)
        pgdbm__free(document->names[i]);
    pgdbm__buffer_free(&document->table_space);
    pgdbm__buffer_free(&document->row_space);
    pgdbm__buffer_free(&document->name_space);
    *document = (struct pgdbm__document){0};
}
