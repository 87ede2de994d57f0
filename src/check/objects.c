/* SPDX-License-Identifier: MIT */
/* Schemas in the names of what is no table: functions, types, operators and their kin, and in string literals that name an
 * object ('app.seq'::regclass). A name without a schema is nobody's business here: search_path has pg_catalog in it. No state
 * beside the text. */
#include "check/text.h"

#include <stdlib.h>
#include <string.h>

#define SEARCH ((size_t)8 * 1024) /* how far behind its node a name is looked for */
#define PARTS 4                   /* database.schema.table.column */

struct names {
    char parts[PARTS][PGDBM__CHECK_NAME_BYTES];
    unsigned n;
};

/* What an object's kind is called; NULL: it has no schema, or is looked at elsewhere. */
static const char *kind_word(const struct pgdbm__check_tree *tree, uint32_t kind)
{
    static const struct {
        const char *key, *word;
    } kinds[] = {{"OBJECT_FUNCTION", "function"},
                 {"OBJECT_PROCEDURE", "function"},
                 {"OBJECT_ROUTINE", "function"},
                 {"OBJECT_AGGREGATE", "function"},
                 {"OBJECT_TYPE", "type"},
                 {"OBJECT_DOMAIN", "type"},
                 {"OBJECT_DOMCONSTRAINT", "type"},
                 {"OBJECT_OPERATOR", "operator"},
                 {"OBJECT_COLLATION", "collation"},
                 {"OBJECT_CONVERSION", "conversion"},
                 {"OBJECT_OPCLASS", "operator class"},
                 {"OBJECT_OPFAMILY", "operator family"},
                 {"OBJECT_STATISTIC_EXT", "statistics"},
                 {"OBJECT_TSCONFIGURATION", "text search configuration"},
                 {"OBJECT_TSDICTIONARY", "text search dictionary"},
                 {"OBJECT_TSPARSER", "text search parser"},
                 {"OBJECT_TSTEMPLATE", "text search template"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (pgdbm__check_tree_text_is(tree, kind, kinds[i].key))
            return kinds[i].word;
    return NULL;
}

/* The kind of what the statement is about. */
static const char *statement_word(const struct pgdbm__check_statement *statement)
{
    static const char *const keys[] = {"objtype", "removeType", "renameType", "objectType", "kind"};
    const char *word = NULL;
    for (size_t i = 0; word == NULL && i < sizeof keys / sizeof *keys; i++)
        word = kind_word(statement->tree, pgdbm__check_tree_child(statement->tree, statement->node, keys[i]));
    return word;
}

/* The names of a list of strings; none when something else is in it. */
static void read_names(const struct pgdbm__check_tree *tree, uint32_t list, struct names *names)
{
    names->n = 0;
    for (uint32_t item = pgdbm__check_tree_first(tree, list); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t string = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "String"), "sval");
        if (string == 0 || names->n == PARTS) {
            names->n = 0;
            return;
        }
        pgdbm__check_tree_string(tree, string, names->parts[names->n++], PGDBM__CHECK_NAME_BYTES);
    }
}

/* Where the schema stands, from `from` on. */
static size_t locate(const struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, size_t from,
                     const char *schema)
{
    size_t end = statement->end - from > SEARCH ? from + SEARCH : statement->end;
    return pgdbm__check_find_word(text, from, end, schema);
}

/* What the walk over a statement needs. */
struct walk {
    struct pgdbm__check_text *text;
    const struct pgdbm__check_statement *statement;
    size_t from; /* where to look for names whose nodes have no location */
};

static size_t offset_of(struct walk *walk, uint32_t node, const char *schema)
{
    const struct pgdbm__check_statement *statement = walk->statement;
    uint32_t child = pgdbm__check_tree_child(statement->tree, node, "location");
    size_t location = child != 0 && *statement->tree->nodes[child].text != '-'
                          ? pgdbm__check_tree_number(statement->tree, node, "location")
                          : 0;
    bool known = location > 0 && statement->base + location < statement->end;
    size_t offset = locate(walk->text, statement, known ? statement->base + location : walk->from, schema);
    if (offset >= walk->from && offset < statement->end)
        walk->from = offset + 1;
    return offset;
}

static void refer(struct walk *walk, const char *kind, const struct names *names, uint32_t node, bool definition)
{
    if (names->n < 2)
        return;
    const char *schema = names->parts[names->n - 2];
    pgdbm__check_refer_object(walk->text, schema, kind, names->parts[names->n - 1], offset_of(walk, node, schema),
                              definition);
}

/* table.column%TYPE: the last part is of something inside the table. */
static void refer_column(struct walk *walk, const struct names *names, uint32_t node)
{
    if (names->n < 3)
        return;
    const char *schema = names->parts[names->n - 3];
    pgdbm__check_refer(walk->text, schema, names->parts[names->n - 2], offset_of(walk, node, schema));
}

/* Whether the statement makes what the list names. */
static bool is_definition(const struct walk *walk, uint32_t list)
{
    const struct pgdbm__check_tree *tree = walk->statement->tree;
    const struct pgdbm__check_node *node = &tree->nodes[walk->statement->node];
    if (tree->nodes[list].parent != walk->statement->node)
        return false;
    if (pgdbm__check_tree_key_is(tree, list, "funcname"))
        return pgdbm__check_tree_key_is(tree, walk->statement->node, "CreateFunctionStmt");
    return pgdbm__check_tree_key_is(tree, walk->statement->node, "DefineStmt") ||
           (node->key_bytes > 6 && memcmp(node->key, "Create", 6) == 0);
}

/* What a list of names is about, by its key. */
static const char *list_word(const struct walk *walk, uint32_t list)
{
    static const struct {
        const char *key, *word;
    } keys[] = {{"funcname", "function"},
                {"func_name", "function"},
                {"plhandler", "function"},
                {"typeName", "type"},
                {"domainname", "type"},
                {"names", "type"},
                {"name", "operator"},
                {"useOp", "operator"},
                {"operName", "operator"},
                {"collname", "collation"},
                {"collation", "collation"},
                {"conversion_name", "conversion"},
                {"opclass", "operator class"},
                {"opclassname", "operator class"},
                {"opfamilyname", "operator family"},
                {"cfgname", "text search configuration"},
                {"dictname", "text search dictionary"}};
    const struct pgdbm__check_tree *tree = walk->statement->tree;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (pgdbm__check_tree_key_is(tree, list, keys[i].key))
            return keys[i].word;
    if (pgdbm__check_tree_key_is(tree, walk->statement->node, "CreateStatsStmt") ||
        pgdbm__check_tree_key_is(tree, walk->statement->node, "AlterStatsStmt"))
        return "statistics";
    const char *word = statement_word(walk->statement);
    return word != NULL ? word : "object";
}

static void take_list(struct walk *walk, uint32_t list)
{
    const struct pgdbm__check_tree *tree = walk->statement->tree;
    uint32_t parent = tree->nodes[list].parent;
    struct names names;
    read_names(tree, list, &names);
    /* sfunc = app.f: the grammar takes it for a type. */
    bool option = pgdbm__check_tree_key_is(tree, tree->nodes[tree->nodes[parent].parent].parent, "DefElem");
    if (pgdbm__check_tree_flag(tree, parent, "pct_type"))
        refer_column(walk, &names, parent);
    else
        refer(walk, option ? "object" : list_word(walk, list), &names, parent, is_definition(walk, list));
}

/* DROP, ALTER, COMMENT, GRANT of a type or the like: lists of names whose kind the statement knows. */
static void take_items(struct walk *walk, uint32_t item)
{
    const struct pgdbm__check_tree *tree = walk->statement->tree;
    uint32_t items = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "List"), "items");
    const char *word = statement_word(walk->statement);
    struct names names;
    read_names(tree, items, &names);
    /* btree, app, class */
    bool method = word != NULL && strncmp(word, "operator ", 9) == 0;
    if (word != NULL && (!method || names.n > 2))
        refer(walk, word, &names, 0, false);
}

/* CREATE SEQUENCE ... OWNED BY schema.table.column */
static void take_owner(struct walk *walk, uint32_t name)
{
    const struct pgdbm__check_tree *tree = walk->statement->tree;
    uint32_t option = tree->nodes[name].parent;
    uint32_t list = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, option, "arg"), "List");
    struct names names;
    read_names(tree, pgdbm__check_tree_child(tree, list, "items"), &names);
    refer_column(walk, &names, option);
}

/* One name of a literal at *at, folded; false: there is none. */
static bool read_part(const char **at, char part[PGDBM__CHECK_NAME_BYTES])
{
    const char *from = *at;
    bool quoted = *from == '"';
    size_t bytes = 0;
    for (from += quoted; *from != '\0' && bytes + 1 < PGDBM__CHECK_NAME_BYTES; from++) {
        char c = *from;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
        bool inside = bytes > 0 && ((c >= '0' && c <= '9') || c == '$');
        if (quoted ? c == '"' : !letter && !inside)
            break;
        part[bytes++] = (char)(!quoted && c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    part[bytes] = '\0';
    if (quoted && *from != '"')
        return false;
    *at = from + quoted;
    return bytes > 0;
}

/* What a literal names: 'app.seq', 'app.f(int)'. */
static void read_literal(const char *text, struct names *names)
{
    names->n = 0;
    while (names->n < PARTS && read_part(&text, names->parts[names->n])) {
        names->n++;
        if (*text != '.')
            break;
        text++;
    }
    if (*text != '\0' && *text != '(' && *text != '[')
        names->n = 0;
}

/* What a cast to this type makes of a literal, or NULL; "" for a table, a sequence and the like. */
static const char *cast_word(const char *type)
{
    static const char *const types[][2] = {{"regclass", ""},
                                           {"regproc", "function"},
                                           {"regprocedure", "function"},
                                           {"regtype", "type"},
                                           {"regcollation", "collation"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i][0]) == 0)
            return types[i][1];
    return NULL;
}

/* The same of a function whose first argument it is. */
static const char *argument_word(const char *function)
{
    static const char *const functions[] = {
        "nextval",          "currval",       "setval",          "pg_get_serial_sequence",
        "pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size"};
    if (strncmp(function, "to_reg", 6) == 0)
        return cast_word(function + 3);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(function, functions[i]) == 0)
            return "";
    return NULL;
}

/* What a constant names, by the cast or call it stands in; NULL: nothing. */
static const char *constant_word(const struct pgdbm__check_tree *tree, uint32_t constant)
{
    char name[PGDBM__CHECK_NAME_BYTES];
    uint32_t inside = tree->nodes[constant].parent;
    uint32_t around = tree->nodes[inside].parent;
    uint32_t call = tree->nodes[around].parent;
    if (pgdbm__check_tree_key_is(tree, around, "TypeCast")) {
        uint32_t type = pgdbm__check_tree_child(tree, around, "typeName");
        uint32_t last = pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, type, "names"));
        return cast_word(pgdbm__check_tree_string(tree, last, name, sizeof name));
    }
    if (!pgdbm__check_tree_key_is(tree, around, "args") || !pgdbm__check_tree_key_is(tree, call, "FuncCall") ||
        pgdbm__check_tree_first(tree, around) != inside)
        return NULL;
    uint32_t last = pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, call, "funcname"));
    return argument_word(pgdbm__check_tree_string(tree, last, name, sizeof name));
}

/* A constant is kept as JSON, with its location at the end. */
static size_t constant_location(const struct pgdbm__check_node *node)
{
    size_t at = node->text_bytes, location = 0;
    while (at > 0 && node->text[at - 1] != ':')
        at--;
    for (; at < node->text_bytes && node->text[at] >= '0' && node->text[at] <= '9' && location < SIZE_MAX / 16; at++)
        location = location * 10 + (size_t)(node->text[at] - '0');
    return location;
}

static void take_constant(struct walk *walk, uint32_t constant)
{
    const struct pgdbm__check_statement *statement = walk->statement;
    const char *word = constant_word(statement->tree, constant);
    char text[3 * PGDBM__CHECK_NAME_BYTES];
    struct names names;
    if (word == NULL)
        return;
    read_literal(pgdbm__check_tree_constant(statement->tree, constant, text, sizeof text), &names);
    size_t location = constant_location(&statement->tree->nodes[constant]);
    if (names.n < 2 || location >= statement->end - statement->base)
        return;
    const char *schema = names.parts[names.n - 2];
    size_t offset = locate(walk->text, statement, statement->base + location, schema);
    if (word[0] == '\0')
        pgdbm__check_refer(walk->text, schema, names.parts[names.n - 1], offset);
    else
        pgdbm__check_refer_object(walk->text, schema, word, names.parts[names.n - 1], offset, false);
}

/* What stands in "object", or in "objects". */
static void take_statement(struct walk *walk)
{
    const struct pgdbm__check_tree *tree = walk->statement->tree;
    uint32_t objects = pgdbm__check_tree_child(tree, walk->statement->node, "objects");
    take_items(walk, pgdbm__check_tree_child(tree, walk->statement->node, "object"));
    for (uint32_t item = pgdbm__check_tree_first(tree, objects); item != 0; item = pgdbm__check_tree_next(tree, item))
        take_items(walk, item);
}

void pgdbm__check_objects(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_node *nodes = statement->tree->nodes;
    struct walk walk = {text, statement, statement->begin};
    take_statement(&walk);
    for (uint32_t i = statement->node; i < nodes[statement->node].end; i++) {
        if (nodes[i].tag == TAG_NAMES)
            take_list(&walk, i);
        else if (nodes[i].tag == TAG_CONSTANT)
            take_constant(&walk, i);
        else if (nodes[i].tag == TAG_AGAIN)
            i = nodes[i].end - 1;
        else if (nodes[i].tag == TAG_DEFNAME && pgdbm__check_tree_text_is(statement->tree, i, "owned_by"))
            take_owner(&walk, i);
    }
}
