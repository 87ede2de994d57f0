/* SPDX-License-Identifier: MIT */
/* DDL that is dangerous for a table that is in use. A table that the same file has made is not. No state beside the text. */
#include "check/ddl.h"

#include <stdio.h>
#include <string.h>

static bool key_is(const struct pgdbm__check_statement *statement, const char *key)
{
    return pgdbm__check_tree_key_is(statement->tree, statement->node, key);
}

size_t pgdbm__check_offset_of(const struct pgdbm__check_statement *statement, uint32_t node)
{
    size_t location = pgdbm__check_tree_number(statement->tree, node, "location");
    return location > 0 ? statement->base + location : statement->begin;
}

/* The table's name, without its schema: one file hardly makes two of the same name. */
static const char *table_of(const struct pgdbm__check_tree *tree, uint32_t range, char name[PGDBM__CHECK_NAME_BYTES])
{
    return pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, range, "relname"), name,
                                    PGDBM__CHECK_NAME_BYTES);
}

/* Whether others may use the table. */
static bool in_use(const struct pgdbm__check_text *text, const char *table)
{
    return table[0] != '\0' && !pgdbm__check_knows(text, KNOWN_CREATED, table);
}

/* Remembers a table that the statement makes. */
static void know_created(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char name[PGDBM__CHECK_NAME_BYTES];
    uint32_t range = 0;
    if (key_is(statement, "CreateStmt"))
        range = pgdbm__check_tree_child(tree, statement->node, "relation");
    else if (key_is(statement, "CreateForeignTableStmt"))
        range = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, statement->node, "base"), "relation");
    else if (key_is(statement, "CreateTableAsStmt"))
        range = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, statement->node, "into"), "rel");
    else if (key_is(statement, "SelectStmt"))
        range = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, statement->node, "intoClause"), "rel");
    if (range != 0)
        pgdbm__check_know(text, KNOWN_CREATED, table_of(tree, range, name));
}

/* A statement that waits for a lock others feel. */
static void takes_lock(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement,
                       const char *table)
{
    if (!text->lock_timeout_off || text->lock_timeout_told)
        return;
    text->lock_timeout_told = true;
    pgdbm__check_report(text, &pgdbm__check_rule_lock_timeout_off, statement->begin,
                        "this waits for its lock on %s without a limit, as lock_timeout is off", table);
}

/* "table.constraint" */
static const char *join(char out[2 * PGDBM__CHECK_NAME_BYTES], const char *table, const char *constraint)
{
    snprintf(out, (size_t)2 * PGDBM__CHECK_NAME_BYTES, "%s.%s", table, constraint);
    return out;
}

static void add_constraint(const struct pgdbm__check_alter *alter, uint32_t constraint)
{
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    size_t offset = pgdbm__check_offset_of(alter->statement, constraint);
    bool check = pgdbm__check_tree_child_is(tree, constraint, "contype", "CONSTR_CHECK");
    bool foreign = pgdbm__check_tree_child_is(tree, constraint, "contype", "CONSTR_FOREIGN");
    bool exclusion = pgdbm__check_tree_child_is(tree, constraint, "contype", "CONSTR_EXCLUSION");
    bool unique = pgdbm__check_tree_child_is(tree, constraint, "contype", "CONSTR_UNIQUE") ||
                  pgdbm__check_tree_child_is(tree, constraint, "contype", "CONSTR_PRIMARY");
    char name[PGDBM__CHECK_NAME_BYTES], joined[2 * PGDBM__CHECK_NAME_BYTES];
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, constraint, "conname"), name, sizeof name);
    if (check || foreign) {
        if (!pgdbm__check_tree_flag(tree, constraint, "skip_validation"))
            pgdbm__check_report(alter->text, &pgdbm__check_rule_constraint_not_valid, offset,
                                "this %s reads all of %s under a lock: add it NOT VALID",
                                check ? "CHECK" : "foreign key", alter->table);
        else
            pgdbm__check_know(alter->text, KNOWN_NOT_VALID, join(joined, alter->table, name));
    } else if (exclusion || (unique && pgdbm__check_tree_child(tree, constraint, "indexname") == 0))
        pgdbm__check_report(alter->text, &pgdbm__check_rule_constraint_builds_index, offset,
                            "this constraint builds its index while %s is locked", alter->table);
}

static void validate_constraint(const struct pgdbm__check_alter *alter, uint32_t command)
{
    char name[PGDBM__CHECK_NAME_BYTES], joined[2 * PGDBM__CHECK_NAME_BYTES];
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, command, "name"), name, sizeof name);
    bool apart = alter->text->no_transaction && !alter->statement->down;
    if (!apart && pgdbm__check_knows(alter->text, KNOWN_NOT_VALID, join(joined, alter->table, name)))
        pgdbm__check_report(alter->text, &pgdbm__check_rule_validate_with_add, alter->statement->begin,
                            "%s is validated in the transaction that adds it to %s", name, alter->table);
    pgdbm__check_know(alter->text, KNOWN_VALIDATED, alter->table);
}

/* Where a subcommand has this name. */
static size_t locate(struct pgdbm__check_alter *alter, const char *name)
{
    alter->from = pgdbm__check_find_word(alter->text, alter->from, alter->statement->end, name);
    return alter->from;
}

static void drop_column(struct pgdbm__check_alter *alter, uint32_t command)
{
    char name[PGDBM__CHECK_NAME_BYTES];
    if (alter->statement->down)
        return;
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, command, "name"), name, sizeof name);
    pgdbm__check_report(alter->text, &pgdbm__check_rule_drop_column, locate(alter, name), "%s of %s is dropped", name,
                        alter->table);
}

static void set_not_null(struct pgdbm__check_alter *alter, uint32_t command)
{
    char name[PGDBM__CHECK_NAME_BYTES];
    /* A validated CHECK (column IS NOT NULL) makes the scan needless; which constraint it was is not looked at. */
    if (pgdbm__check_knows(alter->text, KNOWN_VALIDATED, alter->table))
        return;
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, command, "name"), name, sizeof name);
    pgdbm__check_report(alter->text, &pgdbm__check_rule_set_not_null, locate(alter, name),
                        "SET NOT NULL of %s reads all of %s while it is locked", name, alter->table);
}

/* One subcommand of ALTER TABLE. Returns whether others feel its lock. */
static bool alter_table(struct pgdbm__check_alter *alter, uint32_t command)
{
    static const char *const rewriting[] = {"AT_SetLogged", "AT_SetUnLogged", "AT_SetTableSpace", "AT_SetAccessMethod"};
    static const char *const mild[] = {"AT_ValidateConstraint", "AT_SetStatistics", "AT_SetRelOptions",
                                       "AT_ResetRelOptions"};
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    uint32_t kind = pgdbm__check_tree_child(tree, command, "subtype");
    uint32_t definition = pgdbm__check_tree_child(tree, command, "def");
    if (pgdbm__check_tree_text_is(tree, kind, "AT_AddColumn"))
        pgdbm__check_add_column(alter, pgdbm__check_tree_child(tree, definition, "ColumnDef"));
    else if (pgdbm__check_tree_text_is(tree, kind, "AT_AddConstraint"))
        add_constraint(alter, pgdbm__check_tree_child(tree, definition, "Constraint"));
    else if (pgdbm__check_tree_text_is(tree, kind, "AT_ValidateConstraint"))
        validate_constraint(alter, command);
    else if (pgdbm__check_tree_text_is(tree, kind, "AT_AlterColumnType"))
        pgdbm__check_column_type(alter, command);
    else if (pgdbm__check_tree_text_is(tree, kind, "AT_SetNotNull"))
        set_not_null(alter, command);
    else if (pgdbm__check_tree_text_is(tree, kind, "AT_DropColumn"))
        drop_column(alter, command);
    for (size_t i = 0; i < sizeof rewriting / sizeof *rewriting; i++)
        if (pgdbm__check_tree_text_is(tree, kind, rewriting[i]))
            pgdbm__check_report(alter->text, &pgdbm__check_rule_table_rewrite, alter->statement->begin,
                                "this copies all of %s while it is locked", alter->table);
    for (size_t i = 0; i < sizeof mild / sizeof *mild; i++)
        if (pgdbm__check_tree_text_is(tree, kind, mild[i]))
            return false;
    return true;
}

static void check_alter_table(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char table[PGDBM__CHECK_NAME_BYTES];
    struct pgdbm__check_alter alter = {text, statement, table, statement->begin};
    table_of(tree, pgdbm__check_tree_child(tree, statement->node, "relation"), table);
    if (!pgdbm__check_tree_child_is(tree, statement->node, "objtype", "OBJECT_TABLE") || !in_use(text, table))
        return;
    uint32_t commands = pgdbm__check_tree_child(tree, statement->node, "cmds");
    bool locks = false;
    for (uint32_t item = pgdbm__check_tree_first(tree, commands); item != 0; item = pgdbm__check_tree_next(tree, item))
        locks |= alter_table(&alter, pgdbm__check_tree_child(tree, item, "AlterTableCmd"));
    if (locks) {
        takes_lock(text, statement, table);
        pgdbm__check_know(text, KNOWN_LOCKED, table);
    }
}

static void check_index(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char table[PGDBM__CHECK_NAME_BYTES];
    uint32_t range = pgdbm__check_tree_child(tree, statement->node, "relation");
    bool children =
        pgdbm__check_tree_flag(tree, range, "inh"); /* ON ONLY: the partitions' indexes are attached later */
    if (!in_use(text, table_of(tree, range, table)) || pgdbm__check_tree_flag(tree, statement->node, "concurrent") ||
        !children)
        return;
    takes_lock(text, statement, table);
    pgdbm__check_report(text, &pgdbm__check_rule_index_not_concurrent, statement->begin,
                        "%s takes no writes while this index is built: CREATE INDEX CONCURRENTLY", table);
}

static void check_reindex(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char name[PGDBM__CHECK_NAME_BYTES];
    table_of(tree, pgdbm__check_tree_child(tree, statement->node, "relation"), name);
    if (in_use(text, name) &&
        !pgdbm__check_has_option(tree, pgdbm__check_tree_child(tree, statement->node, "params"), "concurrently"))
        pgdbm__check_report(text, &pgdbm__check_rule_index_not_concurrent, statement->begin,
                            "%s is locked while it is built anew: REINDEX ... CONCURRENTLY", name);
}

/* A dropped object's name: a list of strings, or, of a schema, one. */
static const char *dropped(const struct pgdbm__check_tree *tree, uint32_t item, char name[PGDBM__CHECK_NAME_BYTES])
{
    uint32_t items = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "List"), "items");
    uint32_t string = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, item, "String"), "sval");
    if (items != 0)
        string = pgdbm__check_tree_last_name(tree, items);
    return pgdbm__check_tree_string(tree, string, name, PGDBM__CHECK_NAME_BYTES);
}

static void check_drop(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char name[PGDBM__CHECK_NAME_BYTES];
    bool schema = pgdbm__check_tree_child_is(tree, statement->node, "removeType", "OBJECT_SCHEMA");
    if (!schema && !pgdbm__check_tree_child_is(tree, statement->node, "removeType", "OBJECT_TABLE"))
        return;
    uint32_t objects = pgdbm__check_tree_child(tree, statement->node, "objects");
    for (uint32_t item = pgdbm__check_tree_first(tree, objects); item != 0; item = pgdbm__check_tree_next(tree, item)) {
        if (!in_use(text, dropped(tree, item, name)))
            continue;
        takes_lock(text, statement, name);
        if (!statement->down)
            pgdbm__check_report(text, &pgdbm__check_rule_drop_table, statement->begin, "%s %s is dropped",
                                schema ? "the schema" : "the table", name);
    }
}

static void check_rename(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    uint32_t node = statement->node;
    char table[PGDBM__CHECK_NAME_BYTES], name[PGDBM__CHECK_NAME_BYTES];
    bool column = pgdbm__check_tree_child_is(tree, node, "renameType", "OBJECT_COLUMN") &&
                  pgdbm__check_tree_child_is(tree, node, "relationType", "OBJECT_TABLE");
    bool whole = pgdbm__check_tree_child_is(tree, node, "renameType", "OBJECT_TABLE");
    bool schema = pgdbm__check_tree_child_is(tree, node, "renameType", "OBJECT_SCHEMA");
    table_of(tree, pgdbm__check_tree_child(tree, node, "relation"), table);
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, node, schema || column ? "subname" : "newname"), name,
                             sizeof name);
    if (whole && !in_use(text, table)) {
        pgdbm__check_know(text, KNOWN_CREATED, name);
        return;
    }
    if (!(column && in_use(text, table)) && !whole && !schema)
        return;
    if (!schema)
        takes_lock(text, statement, table);
    if (statement->down)
        return;
    if (column)
        pgdbm__check_report(text, &pgdbm__check_rule_rename, statement->begin, "%s of %s is renamed", name, table);
    else
        pgdbm__check_report(text, &pgdbm__check_rule_rename, statement->begin, "%s is renamed", schema ? name : table);
}

static void check_truncate(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char table[PGDBM__CHECK_NAME_BYTES];
    uint32_t first = pgdbm__check_tree_first(tree, pgdbm__check_tree_child(tree, statement->node, "relations"));
    table_of(tree, pgdbm__check_tree_child(tree, first, "RangeVar"), table);
    if (!in_use(text, table))
        return;
    takes_lock(text, statement, table);
    if (pgdbm__check_tree_child_is(tree, statement->node, "behavior", "DROP_CASCADE") && !statement->down)
        pgdbm__check_report(text, &pgdbm__check_rule_truncate_cascade, statement->begin,
                            "TRUNCATE ... CASCADE empties what refers to %s, too", table);
}

/* VACUUM FULL and CLUSTER. */
static void check_rewrite(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char table[PGDBM__CHECK_NAME_BYTES];
    uint32_t range = pgdbm__check_tree_child(tree, statement->node, "relation");
    if (key_is(statement, "VacuumStmt")) {
        if (!pgdbm__check_has_option(tree, pgdbm__check_tree_child(tree, statement->node, "options"), "full"))
            return;
        uint32_t first = pgdbm__check_tree_first(tree, pgdbm__check_tree_child(tree, statement->node, "rels"));
        range = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, first, "VacuumRelation"), "relation");
    }
    table_of(tree, range, table);
    if (range != 0 && !in_use(text, table))
        return;
    pgdbm__check_report(text, &pgdbm__check_rule_table_rewrite, statement->begin,
                        "this copies all of %s while it is locked", range != 0 ? table : "every table");
}

static void check_update(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char table[PGDBM__CHECK_NAME_BYTES];
    table_of(tree, pgdbm__check_tree_child(tree, statement->node, "relation"), table);
    if (pgdbm__check_tree_child(tree, statement->node, "whereClause") != 0 ||
        (text->no_transaction && !statement->down) || !pgdbm__check_knows(text, KNOWN_LOCKED, table) || statement->down)
        return;
    pgdbm__check_report(text, &pgdbm__check_rule_update_under_lock, statement->begin,
                        "every row of %s is changed while this transaction holds the lock of ALTER TABLE", table);
}

/* CREATE TYPE ... AS ENUM; ALTER TYPE ... ADD VALUE, and RENAME VALUE. */
static void check_enum(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    const struct pgdbm__check_tree *tree = statement->tree;
    char type[PGDBM__CHECK_NAME_BYTES], value[PGDBM__CHECK_NAME_BYTES];
    uint32_t names = pgdbm__check_tree_child(tree, statement->node, "typeName");
    uint32_t old = pgdbm__check_tree_child(tree, statement->node, "oldVal");
    pgdbm__check_tree_string(tree, pgdbm__check_tree_last_name(tree, names), type, sizeof type);
    if (key_is(statement, "CreateEnumStmt")) {
        pgdbm__check_know(text, KNOWN_TYPE, type);
        return;
    }
    if (pgdbm__check_knows(text, KNOWN_TYPE, type))
        return;
    if (old == 0 && (!text->no_transaction || statement->down)) {
        pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, statement->node, "newVal"), value, sizeof value);
        pgdbm__check_know(text, KNOWN_ENUM_VALUE, value);
        pgdbm__check_know(text, KNOWN_ENUM, type);
        text->has_enum_values = true;
    } else if (old != 0 && !statement->down)
        pgdbm__check_report(text, &pgdbm__check_rule_rename, statement->begin, "'%s' of %s is renamed",
                            pgdbm__check_tree_string(tree, old, value, sizeof value), type);
}

/* Whether a literal is no value of an enum though it is written like one: something else is made of it, or it is a pattern. */
static bool is_no_enum(const struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement,
                       uint32_t constant)
{
    enum { FAR_ENOUGH = 32 };
    const struct pgdbm__check_tree *tree = statement->tree;
    char type[PGDBM__CHECK_NAME_BYTES];
    uint32_t at = constant;
    for (int i = 0; i < FAR_ENOUGH && at > statement->node; i++, at = tree->nodes[at].parent) {
        if (pgdbm__check_tree_key_is(tree, at, "SelectStmt"))
            return false;
        if (pgdbm__check_tree_key_is(tree, at, "FuncCall") ||
            (pgdbm__check_tree_key_is(tree, at, "A_Expr") &&
             (pgdbm__check_tree_child_is(tree, at, "kind", "AEXPR_LIKE") ||
              pgdbm__check_tree_child_is(tree, at, "kind", "AEXPR_ILIKE") ||
              pgdbm__check_tree_child_is(tree, at, "kind", "AEXPR_SIMILAR"))))
            return true;
        if (!pgdbm__check_tree_key_is(tree, at, "TypeCast"))
            continue;
        uint32_t names = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, at, "typeName"), "names");
        pgdbm__check_tree_string(tree, pgdbm__check_tree_last_name(tree, names), type, sizeof type);
        return !pgdbm__check_knows(text, KNOWN_ENUM, type);
    }
    return false;
}

/* A value that this transaction has added to a type. */
static void check_enum_use(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    static const char *const kinds[] = {"InsertStmt", "UpdateStmt", "DeleteStmt", "SelectStmt", "AlterTableStmt"};
    const struct pgdbm__check_tree *tree = statement->tree;
    char value[PGDBM__CHECK_NAME_BYTES];
    bool uses = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        uses = uses || key_is(statement, kinds[i]);
    for (uint32_t i = statement->node; uses && i < tree->nodes[statement->node].end; i++) {
        if (tree->nodes[i].tag != TAG_CONSTANT)
            continue;
        pgdbm__check_tree_constant(tree, i, value, sizeof value);
        if (pgdbm__check_knows(text, KNOWN_ENUM_VALUE, value) && !is_no_enum(text, statement, i)) {
            pgdbm__check_report(text, &pgdbm__check_rule_new_enum_value, statement->begin,
                                "'%s' was added to its type by this transaction, which cannot use it yet", value);
            return;
        }
    }
}

void pgdbm__check_ddl(struct pgdbm__check_text *text, const struct pgdbm__check_statement *statement)
{
    static const struct {
        const char *key;
        void (*check)(struct pgdbm__check_text *, const struct pgdbm__check_statement *);
    } kinds[] = {{"AlterTableStmt", check_alter_table}, {"IndexStmt", check_index},
                 {"ReindexStmt", check_reindex},        {"DropStmt", check_drop},
                 {"RenameStmt", check_rename},          {"TruncateStmt", check_truncate},
                 {"VacuumStmt", check_rewrite},         {"ClusterStmt", check_rewrite},
                 {"UpdateStmt", check_update},          {"DeleteStmt", check_update},
                 {"CreateEnumStmt", check_enum},        {"AlterEnumStmt", check_enum}};
    know_created(text, statement);
    if (text->has_enum_values)
        check_enum_use(text, statement);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (key_is(statement, kinds[i].key)) {
            kinds[i].check(text, statement);
            return;
        }
}
