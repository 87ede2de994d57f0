/* SPDX-License-Identifier: MIT */
/* Which tables a statement refers to, and how. No state beside the text. */
#include "check/text.h"

#include <stdlib.h>
#include <string.h>

/* Schemas that are the same in every database, or are an extension's own. */
static bool is_common_schema(const char *schema)
{
    static const char *const names[] = {"information_schema",
                                        "cron",
                                        "partman",
                                        "timescaledb_information",
                                        "timescaledb_experimental",
                                        "topology",
                                        "tiger",
                                        "tiger_data",
                                        "pgq",
                                        "pgmq",
                                        "net",
                                        "columnar",
                                        "citus",
                                        "ag_catalog",
                                        "repack",
                                        "squeeze",
                                        "pgdbm",
                                        "hypopg",
                                        "extensions",
                                        "aws_commons",
                                        "aws_s3",
                                        "aws_lambda",
                                        "pgsodium",
                                        "vault",
                                        "anon",
                                        "hint_plan",
                                        "pglogical",
                                        "pgtle",
                                        "spock",
                                        "toolkit_experimental",
                                        "pgagent"};
    if (schema[0] == PGDBM__CHECK_MARK || strncmp(schema, "pg_", 3) == 0 || strncmp(schema, "_timescaledb_", 13) == 0)
        return true;
    if (strncmp(schema, "dbms_", 5) == 0 || strncmp(schema, "utl_", 4) == 0) /* orafce */
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(schema, names[i]) == 0)
            return true;
    return false;
}

/* Tables that stand in no module: catalogs, and what well-known extensions make. */
static bool is_common_table(const char *table)
{
    static const char *const names[] = {"spatial_ref_sys", "geometry_columns", "geography_columns",
                                        "raster_columns",  "raster_overviews", "hypopg_list_indexes"};
    if (table[0] == PGDBM__CHECK_MARK || strncmp(table, "pg_", 3) == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(table, names[i]) == 0)
            return true;
    return false;
}

void pgdbm__check_refer(struct pgdbm__check_text *text, const char *schema, const char *table, size_t offset)
{
    if (schema[0] != '\0') {
        if (!is_common_schema(schema) && !(strcmp(schema, "public") == 0 && is_common_table(table)))
            pgdbm__check_names_qualified(text, schema, table, offset);
    } else if (!is_common_table(table) && !text->has_path)
        pgdbm__check_names_bare(text, table, offset);
}

/* What well-known extensions bring, wherever they were installed: by the database's owner, in no file that is seen here. */
static bool is_common_object(const char *name)
{
    static const char *const names[] = {"geometry", "geography", "raster",       "citext",       "hstore",
                                        "ltree",    "vector",    "gin_trgm_ops", "gist_trgm_ops"};
    if (strncmp(name, "st_", 3) == 0 || strncmp(name, "uuid_generate_v", 15) == 0)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void pgdbm__check_refer_object(struct pgdbm__check_text *text, const char *schema, const char *kind, const char *name,
                               size_t offset, bool definition)
{
    if (!is_common_schema(schema) && (definition || !is_common_object(name)))
        pgdbm__check_names_object(text, schema, kind, name, offset, definition);
}

/* Whether a RangeVar names no relation: FOR UPDATE OF alias. */
static bool is_alias(const struct pgdbm__check_tree *tree, uint32_t range)
{
    uint32_t list = tree->nodes[tree->nodes[range].parent].parent;
    return pgdbm__check_tree_key_is(tree, list, "lockedRels");
}

/* `with`: the names that WITH gives in the statement. Where in it each holds is not looked at. */
static void refer_range(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, uint32_t name,
                        const struct pgdbm__check_set *with)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t range = tree->nodes[name].parent;
    uint32_t schema_node = pgdbm__check_tree_child(tree, range, "schemaname");
    char schema[PGDBM__CHECK_NAME_BYTES], table[PGDBM__CHECK_NAME_BYTES];
    size_t offset = statement->base + pgdbm__check_tree_number(tree, range, "location");
    if (is_alias(tree, range))
        return;
    pgdbm__check_tree_string(tree, schema_node, schema, sizeof schema);
    pgdbm__check_tree_string(tree, name, table, sizeof table);
    if (strcmp(schema, "pg_temp") == 0 ||
        pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, range, "relpersistence"), "t")) {
        pgdbm__check_names_know(text, KNOWN_TEMPORARY, table);
        return;
    }
    if (schema_node == 0 && text->is_trigger && !pgdbm__check_tree_key_is(tree, range, "relation"))
        return; /* REFERENCING NEW TABLE AS */
    if (schema_node == 0 &&
        (pgdbm__check_tree_key_is(tree, range, "typevar") || pgdbm__check_set_find(with, KNOWN_WITH, table) != NULL))
        return;
    pgdbm__check_refer(text, schema, table, offset);
}

/* A name that is a list of strings. `tail`: how many of the last ones are of something inside the table.
 * `from`: where to look for it; what comes next stands behind it. */
static void refer_list(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, uint32_t list,
                       unsigned tail, size_t *from)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char parts[4][PGDBM__CHECK_NAME_BYTES];
    unsigned n = 0;
    uint32_t items = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, list, "List"), "items");
    for (uint32_t item = pgdbm__check_tree_first(tree, items); item != 0 && n < 4;
         item = pgdbm__check_tree_next(tree, item))
        pgdbm__check_tree_string(tree,
                                 pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "String"), "sval"),
                                 parts[n++], PGDBM__CHECK_NAME_BYTES);
    if (n <= tail)
        return;
    n -= tail;
    const char *table = parts[n - 1];
    const char *schema = n >= 2 ? parts[n - 2] : "";
    *from = pgdbm__check_find_word(text, *from, statement->end, schema[0] != '\0' ? schema : table);
    pgdbm__check_refer(text, schema, table, *from);
}

/* How many last parts of an object's name are no table's; -1: it has no table. */
static int tail_of(const struct pgdbm__check_tree *tree, uint32_t kind)
{
    static const char *const tables[] = {"OBJECT_TABLE", "OBJECT_VIEW",     "OBJECT_MATVIEW",
                                         "OBJECT_INDEX", "OBJECT_SEQUENCE", "OBJECT_FOREIGN_TABLE"};
    static const char *const parts[] = {"OBJECT_COLUMN", "OBJECT_TABCONSTRAINT", "OBJECT_TRIGGER", "OBJECT_POLICY",
                                        "OBJECT_RULE"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (pgdbm__check_tree_text_is(tree, kind, tables[i]))
            return 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (pgdbm__check_tree_text_is(tree, kind, parts[i]))
            return 1;
    return -1;
}

/* A schema's name where a template could stand. */
static void refuse_schema(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, uint32_t name)
{
    char schema[PGDBM__CHECK_NAME_BYTES];
    pgdbm__check_tree_string(statement->tree, name, schema, sizeof schema);
    if (schema[0] != '\0' && !is_common_schema(schema))
        pgdbm__check_names_qualified(text, schema, "",
                                     pgdbm__check_find_word(text, statement->begin, statement->end, schema));
}

/* GRANT and REVOKE on schemas, or on all that is in them. What everybody may do in public is the database's matter. */
static void check_grant(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t node = statement->node;
    if (!pgdbm__check_tree_child_is(tree, node, "objtype", "OBJECT_SCHEMA") &&
        !pgdbm__check_tree_child_is(tree, node, "targtype", "ACL_TARGET_ALL_IN_SCHEMA"))
        return;
    uint32_t objects = pgdbm__check_tree_child(tree, node, "objects");
    for (uint32_t item = pgdbm__check_tree_first(tree, objects); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t name = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "String"), "sval");
        if (!pgdbm__check_tree_text_is(tree, name, "public"))
            refuse_schema(text, statement, name);
    }
}

/* CREATE EXTENSION: its tables are where it is told, or in a schema of its name. */
static void know_extension(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char schema[PGDBM__CHECK_NAME_BYTES];
    uint32_t options = pgdbm__check_tree_child(tree, statement->node, "options");
    pgdbm__check_names_know(text, KNOWN_EXTENSION_SCHEMA,
                            pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, statement->node, "extname"),
                                                     schema, sizeof schema));
    for (uint32_t item = pgdbm__check_tree_first(tree, options); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t option = pgdbm__check_tree_child(tree, item, "DefElem");
        uint32_t value = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, option, "arg"), "String");
        if (pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, option, "defname"), "schema"))
            pgdbm__check_names_know(
                text, KNOWN_EXTENSION_SCHEMA,
                pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, value, "sval"), schema, sizeof schema));
    }
}

/* Statements that name things by lists of strings, not by RangeVars. */
static void refer_named(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t node = statement->node;
    size_t from = statement->begin;
    char schema[PGDBM__CHECK_NAME_BYTES];
    if (pgdbm__check_tree_key_is(tree, node, "DropStmt")) {
        int tail = tail_of(tree, pgdbm__check_tree_child(tree, node, "removeType"));
        uint32_t objects = pgdbm__check_tree_child(tree, node, "objects");
        for (uint32_t item = pgdbm__check_tree_first(tree, objects); tail >= 0 && item != 0;
             item = pgdbm__check_tree_next(tree, item))
            refer_list(text, statement, item, (unsigned)tail, &from);
    } else if (pgdbm__check_tree_key_is(tree, node, "CommentStmt")) {
        int tail = tail_of(tree, pgdbm__check_tree_child(tree, node, "objtype"));
        if (tail >= 0)
            refer_list(text, statement, pgdbm__check_tree_child(tree, node, "object"), (unsigned)tail, &from);
    } else if (pgdbm__check_tree_key_is(tree, node, "AlterObjectSchemaStmt") &&
               pgdbm__check_tree_child_is(tree, node, "objectType", "OBJECT_EXTENSION"))
        pgdbm__check_names_know(
            text, KNOWN_EXTENSION_SCHEMA,
            pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, node, "newschema"), schema, sizeof schema));
    else if (pgdbm__check_tree_key_is(tree, node, "AlterObjectSchemaStmt"))
        refuse_schema(text, statement, pgdbm__check_tree_child(tree, node, "newschema"));
    else if (pgdbm__check_tree_key_is(tree, node, "CreateSchemaStmt") && text->sql->migration)
        refuse_schema(text, statement, pgdbm__check_tree_child(tree, node, "schemaname"));
    else if (pgdbm__check_tree_key_is(tree, node, "GrantStmt") && text->sql->migration)
        check_grant(text, statement);
    else if (pgdbm__check_tree_key_is(tree, node, "CreateExtensionStmt"))
        know_extension(text, statement);
}

void pgdbm__check_references(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_node *nodes = statement->tree->nodes;
    uint32_t end = nodes[statement->node].end;
    struct pgdbm__check_set with = {0};
    char name[PGDBM__CHECK_NAME_BYTES];
    if (pgdbm__check_tree_key_is(statement->tree, statement->node, "ImportForeignSchemaStmt"))
        return; /* its tables are another server's */
    for (uint32_t i = statement->node; i < end; i++)
        if (nodes[i].tag == TAG_CTENAME &&
            !pgdbm__check_set_add(&with, KNOWN_WITH, pgdbm__check_tree_string(statement->tree, i, name, sizeof name),
                                  NULL, (struct pgdbm__check_place){0}))
            text->no_memory = true;
    for (uint32_t i = statement->node; i < end; i++)
        if (nodes[i].tag == TAG_RELNAME)
            refer_range(text, statement, i, &with);
    refer_named(text, statement);
    pgdbm__check_set_free(&with);
}
