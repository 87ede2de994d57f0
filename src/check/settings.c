/* SPDX-License-Identifier: MIT */
/* SET search_path in its forms, and lock_timeout switched off. No state beside the text. */
#include "check/text.h"

#include <stdlib.h>
#include <string.h>

/* The constant an argument is, as text; "" when it is none. */
static const char *argument(const struct pgdbm__check_tree *tree, uint32_t item, char *out, size_t out_bytes)
{
    return pgdbm__check_tree_constant(tree, pgdbm__check_tree_child(tree, item, "A_Const"), out, out_bytes);
}

static void set_search_path(struct pgdbm__check_text *text, size_t offset)
{
    pgdbm__check_report(text, &pgdbm__check_rule_search_path, offset, "search_path is set by hand");
}

/* A path in which no table of anybody's is found: empty, or of system schemas. */
static bool hides_all(const char *path)
{
    return path[0] == '\0' || (strncmp(path, "pg_", 3) == 0 && strchr(path, ',') == NULL);
}

/* Whether all arguments of SET are constants, and such paths. */
static bool all_hide(const struct pgdbm__check_tree *tree, uint32_t arguments)
{
    char path[PGDBM__CHECK_NAME_BYTES];
    for (uint32_t item = pgdbm__check_tree_first(tree, arguments); item != 0; item = pgdbm__check_tree_next(tree, item))
        if (pgdbm__check_tree_child(tree, item, "A_Const") == 0 || !hides_all(argument(tree, item, path, sizeof path)))
            return false;
    return true;
}

/* A function's own path: each schema in it must be a template, or everybody's. */
static void check_function_path(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement,
                                uint32_t arguments)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char schema[PGDBM__CHECK_NAME_BYTES];
    for (uint32_t item = pgdbm__check_tree_first(tree, arguments); item != 0;
         item = pgdbm__check_tree_next(tree, item)) {
        argument(tree, item, schema, sizeof schema);
        uint32_t constant = pgdbm__check_tree_child(tree, item, "A_Const");
        if (schema[0] == '\0' || schema[0] == PGDBM__CHECK_MARK || strncmp(schema, "pg_", 3) == 0 || constant == 0 ||
            strchr(schema, ',') != NULL)
            continue;
        pgdbm__check_report(text, &pgdbm__check_rule_hard_coded_schema,
                            pgdbm__check_find_word(text, statement->begin, statement->end, schema),
                            "the schema %s is written into a function's search_path", schema);
    }
}

/* SET in CREATE FUNCTION and ALTER FUNCTION. */
static void check_function(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement,
                           const char *options_key)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t options = pgdbm__check_tree_child(tree, statement->node, options_key);
    for (uint32_t item = pgdbm__check_tree_first(tree, options); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t value = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "DefElem"), "arg");
        uint32_t set = pgdbm__check_tree_child(tree, value, "VariableSetStmt");
        if (pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, set, "name"), "search_path"))
            check_function_path(text, statement, pgdbm__check_tree_child(tree, set, "args"));
    }
}

/* Whether a time is none: 0, 0s. */
static bool is_zero(const char *value)
{
    return value[0] != '\0' && strtod(value, NULL) == 0 && (value[0] == '0' || value[0] == '-');
}

static void check_set(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, uint32_t set)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t name = pgdbm__check_tree_child(tree, set, "name");
    char value[PGDBM__CHECK_NAME_BYTES];
    argument(tree, pgdbm__check_tree_first(tree, pgdbm__check_tree_child(tree, set, "args")), value, sizeof value);
    if (!pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, set, "kind"), "VAR_SET_VALUE"))
        return;
    if (pgdbm__check_tree_text_is(tree, name, "search_path")) {
        if (!all_hide(tree, pgdbm__check_tree_child(tree, set, "args")))
            set_search_path(text, statement->begin);
    } else if (text->runs && set == statement->node && pgdbm__check_tree_text_is(tree, name, "lock_timeout"))
        text->lock_timeout_off = is_zero(value);
}

/* set_config('search_path', ...). */
static void check_call(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement, uint32_t call)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char name[PGDBM__CHECK_NAME_BYTES];
    uint32_t function = pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, call, "funcname"));
    if (!pgdbm__check_tree_text_is(tree, function, "set_config"))
        return;
    uint32_t setting = pgdbm__check_tree_first(tree, pgdbm__check_tree_child(tree, call, "args"));
    if (setting == 0 || strcmp(argument(tree, setting, name, sizeof name), "search_path") != 0)
        return;
    uint32_t value = pgdbm__check_tree_next(tree, setting);
    bool constant = value != 0 && pgdbm__check_tree_child(tree, value, "A_Const") != 0;
    if (!constant || !hides_all(argument(tree, value, name, sizeof name)))
        set_search_path(text, statement->base + pgdbm__check_tree_number(tree, call, "location"));
}

void pgdbm__check_settings(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t node = statement->node;
    if (pgdbm__check_tree_key_is(tree, node, "VariableSetStmt"))
        check_set(text, statement, node);
    else if (pgdbm__check_tree_key_is(tree, node, "AlterRoleSetStmt") ||
             pgdbm__check_tree_key_is(tree, node, "AlterDatabaseSetStmt"))
        check_set(text, statement, pgdbm__check_tree_child(tree, node, "setstmt"));
    else if (pgdbm__check_tree_key_is(tree, node, "CreateFunctionStmt"))
        check_function(text, statement, "options");
    else if (pgdbm__check_tree_key_is(tree, node, "AlterFunctionStmt"))
        check_function(text, statement, "actions");
    for (uint32_t i = node; i < tree->nodes[node].end; i++)
        if (tree->nodes[i].tag == TAG_FUNCTION_CALL)
            check_call(text, statement, i);
}
