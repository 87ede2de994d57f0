/* SPDX-License-Identifier: MIT */
/* What a migration may not do because it is a transaction; as src/migrate refuses it. No state beside the text. */
#include "check/text.h"

#include <string.h>

/* Whether a list of options has this one, and not as false, off, no or 0. */
static bool has_option(const struct pgdbm__check_tree *tree, uint32_t list, const char *name, bool otherwise)
{
    for (uint32_t item = pgdbm__check_tree_first(tree, list); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        uint32_t option = pgdbm__check_tree_child(tree, item, "DefElem");
        char value[8];
        if (!pgdbm__check_tree_text_is(tree, pgdbm__check_tree_child(tree, option, "defname"), name))
            continue;
        uint32_t argument = pgdbm__check_tree_child(tree, option, "arg");
        uint32_t string = pgdbm__check_tree_child(tree, argument, "String");
        pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, string, "sval"), value, sizeof value);
        uint32_t number = pgdbm__check_tree_child(tree, argument, "Integer");
        bool zero = number != 0 && pgdbm__check_tree_number(tree, number, "ival") == 0;
        return !zero && strcmp(value, "false") != 0 && strcmp(value, "off") != 0 && strcmp(value, "no") != 0;
    }
    return otherwise;
}

bool pgdbm__check_has_option(const struct pgdbm__check_tree *tree, uint32_t list, const char *name)
{
    return has_option(tree, list, name, false);
}

/* ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY */
static bool detaches_concurrently(const struct pgdbm__check_tree *tree, uint32_t node)
{
    uint32_t commands = pgdbm__check_tree_child(tree, node, "cmds");
    uint32_t command = pgdbm__check_tree_child(tree, pgdbm__check_tree_first(tree, commands), "AlterTableCmd");
    uint32_t partition = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, command, "def"), "PartitionCmd");
    return pgdbm__check_tree_flag(tree, partition, "concurrent");
}

static const char *outside_reindex(const struct pgdbm__check_tree *tree, uint32_t node)
{
    if (has_option(tree, pgdbm__check_tree_child(tree, node, "params"), "concurrently", false))
        return "REINDEX CONCURRENTLY";
    if (pgdbm__check_tree_child_is(tree, node, "kind", "REINDEX_OBJECT_SCHEMA"))
        return "REINDEX SCHEMA";
    if (pgdbm__check_tree_child_is(tree, node, "kind", "REINDEX_OBJECT_SYSTEM"))
        return "REINDEX SYSTEM";
    return pgdbm__check_tree_child_is(tree, node, "kind", "REINDEX_OBJECT_DATABASE") ? "REINDEX DATABASE" : NULL;
}

/* Statements that never run in a transaction. */
static const char *outside_always(const struct pgdbm__check_tree *tree, uint32_t node)
{
    static const struct {
        const char *key, *name;
    } kinds[] = {{"CreatedbStmt", "CREATE DATABASE"},
                 {"DropdbStmt", "DROP DATABASE"},
                 {"CreateTableSpaceStmt", "CREATE TABLESPACE"},
                 {"DropTableSpaceStmt", "DROP TABLESPACE"},
                 {"AlterSystemStmt", "ALTER SYSTEM"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (pgdbm__check_tree_key_is(tree, node, kinds[i].key))
            return kinds[i].name;
    return NULL;
}

/* What it is that cannot run in a transaction; NULL: it can. */
static const char *outside(const struct pgdbm__check_tree *tree, uint32_t node)
{
    uint32_t options = pgdbm__check_tree_child(tree, node, "options");
    bool concurrent = pgdbm__check_tree_flag(tree, node, "concurrent");
    if (pgdbm__check_tree_key_is(tree, node, "IndexStmt"))
        return concurrent ? "CREATE INDEX CONCURRENTLY" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "DropStmt"))
        return concurrent ? "DROP INDEX CONCURRENTLY" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "ReindexStmt"))
        return outside_reindex(tree, node);
    if (pgdbm__check_tree_key_is(tree, node, "VacuumStmt"))
        return pgdbm__check_tree_flag(tree, node, "is_vacuumcmd") ? "VACUUM" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "ClusterStmt"))
        return pgdbm__check_tree_child(tree, node, "relation") == 0 ? "CLUSTER without a table" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "DiscardStmt"))
        return pgdbm__check_tree_child_is(tree, node, "target", "DISCARD_ALL") ? "DISCARD ALL" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "AlterTableStmt"))
        return detaches_concurrently(tree, node) ? "ALTER TABLE ... DETACH PARTITION CONCURRENTLY" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "AlterDatabaseStmt"))
        return has_option(tree, options, "tablespace", false) ? "ALTER DATABASE ... SET TABLESPACE" : NULL;
    if (pgdbm__check_tree_key_is(tree, node, "CreateSubscriptionStmt"))
        return has_option(tree, options, "create_slot", has_option(tree, options, "connect", true))
                   ? "CREATE SUBSCRIPTION"
                   : NULL;
    return outside_always(tree, node);
}

void pgdbm__check_transactions(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    if (pgdbm__check_tree_key_is(statement->tree, statement->node, "TransactionStmt"))
        pgdbm__check_report(text, &pgdbm__check_rule_transaction_control, statement->begin,
                            "%s begins or ends transactions itself",
                            statement->down ? "this down part" : "this migration");
    const char *what = outside(statement->tree, statement->node);
    bool block = statement->body > 0;
    if (what == NULL || (text->no_transaction && !statement->down && !block))
        return;
    if (block)
        pgdbm__check_report(text, &pgdbm__check_rule_outside_transaction, statement->begin,
                            "%s cannot run in a transaction, which a DO block always is part of", what);
    else if (statement->down)
        pgdbm__check_report(text, &pgdbm__check_rule_outside_transaction, statement->begin,
                            "%s cannot run in a transaction, which a down part always is", what);
    else
        pgdbm__check_report(text, &pgdbm__check_rule_outside_transaction, statement->begin,
                            "%s cannot run in a transaction: this file needs the line -- pgdbm:no-transaction", what);
}
