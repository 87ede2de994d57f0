/* SPDX-License-Identifier: MIT */
/* Looking up the types that users made: a statement that has been described may name some that the catalog does not have.
 * They, and all they are made of, are asked for in one round trip, whichever request meets them first; that is once per
 * pool. Types are identified by their OIDs, so two of one name in two schemas are two. */
#include "session/session.h"

#include "base/alloc.h"
#include "base/error.h"
#include "types/container.h"
#include "wire/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A row for each type, or for each field of a composite one. The catalog's multiranges are read in a way that servers
 * without them (before 14) understand, too. */
static const char before_oids[] = "WITH RECURSIVE need (oid) AS (SELECT pg_catalog.unnest('{";
static const char behind_oids[] =
    "}'::pg_catalog.oid[]) UNION SELECT part.oid FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid "
    "LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid CROSS JOIN LATERAL ("
    "SELECT t.typelem AS oid UNION ALL SELECT t.typbasetype UNION ALL SELECT r.rngsubtype UNION ALL "
    "SELECT m.rngtypid FROM pg_catalog.pg_range m WHERE t.typtype = 'm' AND "
    "pg_catalog.to_jsonb(m) ->> 'rngmultitypid' = t.oid::pg_catalog.text UNION ALL "
    "SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND "
    "a.attnum > 0 AND NOT a.attisdropped) part WHERE part.oid >= 16384) "
    "SELECT t.oid, CASE WHEN t.typtype IN ('d', 'c', 'r', 'm') THEN t.typtype::pg_catalog.text "
    "WHEN t.typtype = 'e' OR s.proname IN ('textsend', 'citextsend') THEN 't' WHEN s.proname = 'hstore_send' THEN 'h' "
    "WHEN t.typcategory = 'A' AND t.typlen = -1 AND t.typelem <> 0 THEN 'a' ELSE 'o' END, "
    "pg_catalog.format_type(t.oid, NULL), CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'r' THEN r.rngsubtype "
    "WHEN 'm' THEN (SELECT m.rngtypid FROM pg_catalog.pg_range m WHERE "
    "pg_catalog.to_jsonb(m) ->> 'rngmultitypid' = t.oid::pg_catalog.text) ELSE t.typelem END, t.typdelim, a.attname, "
    "a.atttypid FROM need JOIN pg_catalog.pg_type t ON t.oid = need.oid LEFT JOIN pg_catalog.pg_proc s ON s.oid = "
    "t.typsend "
    "LEFT JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid LEFT JOIN pg_catalog.pg_attribute a ON t.typtype = 'c' AND "
    "a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY t.oid, a.attnum";

enum { COLUMN_OID, COLUMN_KIND, COLUMN_NAME, COLUMN_ELEMENT, COLUMN_DELIMITER, COLUMN_FIELD, COLUMN_FIELD_TYPE };

struct names {
    struct pgdbm__buffer *out;
    bool any;
};

static void name(void *context, uint32_t oid)
{
    struct names *names = context;
    pgdbm__buffer_format(names->out, "%s%lu", names->any ? "," : "", (unsigned long)oid);
    names->any = true;
}

void pgdbm__lookup_encode(struct pgdbm__request *request, struct pgdbm__buffer *out)
{
    struct names names = {.out = out};
    size_t begin = pgdbm__wire_begin(out, 'Q');
    pgdbm__buffer_text(out, before_oids);
    request->generation = pgdbm__catalog_generation(request->catalog);
    (void)pgdbm__statement_resolve(request->statement, request->catalog, name, &names);
    pgdbm__buffer_append(out, behind_oids, sizeof behind_oids); /* with its NUL */
    pgdbm__wire_end(out, begin);
}

static const char *text_at(const pgdbm_result *rows, size_t row, size_t column)
{
    const char *text = NULL;
    (void)pgdbm_get_text_at(rows, row, column, &text, NULL);
    return text != NULL ? text : "";
}

static uint32_t oid_at(const pgdbm_result *rows, size_t row, size_t column)
{
    return (uint32_t)strtoul(text_at(rows, row, column), NULL, 10);
}

static pgdbm__type_printer printer_of(enum pgdbm__type_kind kind)
{
    return kind == PGDBM__TYPE_TEXT         ? pgdbm__print_text
           : kind == PGDBM__TYPE_ARRAY      ? pgdbm__print_array
           : kind == PGDBM__TYPE_RANGE      ? pgdbm__print_range
           : kind == PGDBM__TYPE_MULTIRANGE ? pgdbm__print_multirange
           : kind == PGDBM__TYPE_COMPOSITE  ? pgdbm__print_composite
           : kind == PGDBM__TYPE_HSTORE     ? pgdbm__print_hstore
                                            : NULL;
}

static enum pgdbm__type_kind kind_of(const char *letter)
{
    switch (letter[0]) {
    case 't':
        return PGDBM__TYPE_TEXT;
    case 'a':
        return PGDBM__TYPE_ARRAY;
    case 'r':
        return PGDBM__TYPE_RANGE;
    case 'm':
        return PGDBM__TYPE_MULTIRANGE;
    case 'c':
        return PGDBM__TYPE_COMPOSITE;
    case 'd':
        return PGDBM__TYPE_DOMAIN;
    case 'h':
        return PGDBM__TYPE_HSTORE;
    default:
        return PGDBM__TYPE_OPAQUE;
    }
}

/* Whether a part fits into its whole: one that travels as text makes the whole travel as text. A server that lies could
 * make a multirange of no ranges; it would be walked as something it is not. */
static bool fit_part(struct pgdbm__type *whole, const struct pgdbm__type *part)
{
    whole->depth = part->depth >= whole->depth ? part->depth + 1 : whole->depth;
    return pgdbm__type_is_binary(part) && whole->depth <= PGDBM__TYPE_DEPTH &&
           (part->kind == PGDBM__TYPE_RANGE || whole->kind != PGDBM__TYPE_MULTIRANGE);
}

enum progress { LEARNED, WAITS, NOMEM };

/* The type in rows `first` to before `end`, when all it is made of is known: so none is ever made of itself. */
static enum progress learn_one(struct pgdbm__catalog *catalog, uint32_t generation, const pgdbm_result *rows,
                               size_t first, size_t end)
{
    struct pgdbm__type type = {.oid = oid_at(rows, first, COLUMN_OID),
                               .kind = kind_of(text_at(rows, first, COLUMN_KIND)),
                               .name = text_at(rows, first, COLUMN_NAME),
                               .delimiter = text_at(rows, first, COLUMN_DELIMITER)[0]};
    struct pgdbm__type_field *fields = NULL;
    bool sound = true;
    bool has_element = type.kind == PGDBM__TYPE_ARRAY || type.kind == PGDBM__TYPE_RANGE ||
                       type.kind == PGDBM__TYPE_MULTIRANGE || type.kind == PGDBM__TYPE_DOMAIN;
    if (has_element) {
        type.element = pgdbm__catalog_find(catalog, oid_at(rows, first, COLUMN_ELEMENT));
        if (type.element == NULL)
            return WAITS;
        if (type.kind == PGDBM__TYPE_DOMAIN)
            type.element = pgdbm__type_base(type.element);
        sound = fit_part(&type, type.element);
    }
    if (type.kind == PGDBM__TYPE_COMPOSITE && text_at(rows, first, COLUMN_FIELD)[0] != '\0') {
        fields = pgdbm__alloc_zero(end - first, sizeof *fields);
        if (fields == NULL)
            return NOMEM;
        type.n_fields = end - first;
        type.fields = fields;
    }
    enum progress progress = LEARNED;
    for (size_t i = 0; progress == LEARNED && i < type.n_fields; i++) {
        fields[i].name = text_at(rows, first + i, COLUMN_FIELD);
        fields[i].type = pgdbm__catalog_find(catalog, oid_at(rows, first + i, COLUMN_FIELD_TYPE));
        progress = fields[i].type == NULL ? WAITS : LEARNED;
        sound = sound && fields[i].type != NULL && fit_part(&type, fields[i].type);
    }
    if (!sound)
        type = (struct pgdbm__type){.oid = type.oid, .kind = PGDBM__TYPE_OPAQUE, .name = type.name};
    type.print = printer_of(type.kind);
    type.parse = type.kind == PGDBM__TYPE_TEXT ? pgdbm__parse_text : NULL;
    if (progress == LEARNED && !pgdbm__catalog_add(catalog, &type, generation))
        progress = NOMEM;
    pgdbm__free(fields);
    return progress;
}

/* Round after round, until nothing more is learned, or it would not be kept. False when memory is short. */
static bool learn_all(struct pgdbm__catalog *catalog, uint32_t generation, const pgdbm_result *rows)
{
    size_t n_rows = pgdbm_result_rows(rows);
    bool more = true;
    while (more && pgdbm__catalog_generation(catalog) == generation) {
        more = false;
        for (size_t first = 0, end; first < n_rows; first = end) {
            uint32_t oid = oid_at(rows, first, COLUMN_OID);
            for (end = first + 1; end < n_rows && oid_at(rows, end, COLUMN_OID) == oid;)
                end++;
            if (pgdbm__catalog_find(catalog, oid) != NULL)
                continue;
            enum progress progress = learn_one(catalog, generation, rows, first, end);
            if (progress == NOMEM)
                return false;
            more = more || progress == LEARNED;
        }
    }
    return true;
}

/* What the server does not know, or what is made of itself, travels as text. */
static void give_up(void *context, uint32_t oid)
{
    char text[32];
    snprintf(text, sizeof text, "type %lu", (unsigned long)oid);
    const struct pgdbm__type type = {.oid = oid, .kind = PGDBM__TYPE_OPAQUE, .name = text};
    const struct pgdbm__request *request = context;
    (void)pgdbm__catalog_add(request->catalog, &type, request->generation);
}

pgdbm_status pgdbm__lookup_learn(struct pgdbm__request *request)
{
    bool sound = learn_all(request->catalog, request->generation, request->result);
    if (sound && !pgdbm__statement_resolve(request->statement, request->catalog, give_up, request))
        sound = pgdbm__statement_resolve(request->statement, request->catalog, NULL, NULL) ||
                pgdbm__catalog_generation(request->catalog) != request->generation;
    pgdbm_result_free(request->result);
    request->result = NULL;
    if (!sound) {
        pgdbm__fail_nomem(&request->error, "learning about a statement's types");
        pgdbm__error_outcome(&request->error, PGDBM_OUTCOME_NOT_SENT);
        return PGDBM_ERR_NOMEM;
    }
    return PGDBM_OK;
}
