/* SPDX-License-Identifier: MIT */
/* What a change of columns costs a table with rows. No state beside the text. */
#include "check/ddl.h"

#include <string.h>

static bool is_one_of(const struct pgdbm__check_tree *tree, uint32_t name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pgdbm__check_tree_text_is(tree, name, names[i]))
            return true;
    return false;
}

#define IS_ONE_OF(tree, name, names) is_one_of(tree, name, names, sizeof names / sizeof *names)

/* Whether a default has another value for each row. Functions that nobody knows are taken to be harmless. */
static bool is_volatile(const struct pgdbm__check_tree *tree, uint32_t expression)
{
    static const char *const functions[] = {"random",           "random_normal",    "gen_random_uuid",
                                            "gen_random_bytes", "uuid_generate_v1", "uuid_generate_v1mc",
                                            "uuid_generate_v4", "uuidv4",           "uuidv7",
                                            "clock_timestamp",  "timeofday",        "nextval"};
    for (uint32_t i = expression; expression != 0 && i < tree->nodes[expression].end; i++)
        if (tree->nodes[i].tag == TAG_FUNCTION_CALL &&
            IS_ONE_OF(tree, pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, i, "funcname")), functions))
            return true;
    return false;
}

/* What a column's definition says. */
struct column {
    bool serial, identity, stored, volatile_default, has_default, not_null, unique;
    uint32_t check, foreign; /* the constraint, if it is to be validated */
};

static void read_constraint(const struct pgdbm__check_tree *tree, uint32_t constraint, struct column *column)
{
    uint32_t kind = pgdbm__check_tree_child(tree, constraint, "contype");
    uint32_t expression = pgdbm__check_tree_child(tree, constraint, "raw_expr");
    bool valid = !pgdbm__check_tree_flag(tree, constraint, "skip_validation");
    if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_DEFAULT")) {
        column->has_default = true;
        column->volatile_default = is_volatile(tree, expression);
    } else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_NOTNULL"))
        column->not_null = true;
    else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_IDENTITY"))
        column->identity = true;
    else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_GENERATED"))
        column->stored = true;
    else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_UNIQUE"))
        column->unique = true;
    else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_PRIMARY"))
        column->unique = column->not_null = true;
    else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_CHECK") && valid)
        column->check = constraint;
    else if (pgdbm__check_tree_text_is(tree, kind, "CONSTR_FOREIGN") && valid)
        column->foreign = constraint;
}

static struct column read_column(const struct pgdbm__check_tree *tree, uint32_t definition)
{
    static const char *const serials[] = {"serial", "bigserial", "smallserial", "serial4", "serial8", "serial2"};
    struct column column = {0};
    uint32_t type = pgdbm__check_tree_child(tree, definition, "typeName");
    uint32_t constraints = pgdbm__check_tree_child(tree, definition, "constraints");
    column.serial =
        IS_ONE_OF(tree, pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, type, "names")), serials);
    for (uint32_t item = pgdbm__check_tree_first(tree, constraints); item != 0;
         item = pgdbm__check_tree_next(tree, item))
        read_constraint(tree, pgdbm__check_tree_child(tree, item, "Constraint"), &column);
    return column;
}

/* Why a new column makes PostgreSQL write every row; NULL: it does not. */
static const char *rewrites(const struct column *column)
{
    if (column->serial)
        return "its numbers (serial) are";
    if (column->identity)
        return "its numbers (IDENTITY) are";
    if (column->stored)
        return "its generated value is";
    return column->volatile_default ? "its default is another for each row, and is" : NULL;
}

void pgdbm__check_add_column(const struct pgdbm__check_alter *alter, uint32_t definition)
{
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    struct column column = read_column(tree, definition);
    size_t offset = pgdbm__check_offset_of(alter->statement, definition);
    const char *why = rewrites(&column);
    char name[PGDBM__CHECK_NAME_BYTES];
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, definition, "colname"), name, sizeof name);
    if (why != NULL)
        pgdbm__check_report(alter->text, &pgdbm__check_rule_add_column_rewrite, offset,
                            "adding %s rewrites %s: %s written into every row", name, alter->table, why);
    else if (column.not_null && !column.has_default)
        pgdbm__check_report(alter->text, &pgdbm__check_rule_add_column_not_null, offset,
                            "adding %s, NOT NULL without a default, fails when %s has rows", name, alter->table);
    if (column.unique)
        pgdbm__check_report(alter->text, &pgdbm__check_rule_constraint_builds_index, offset,
                            "adding %s builds a unique index while %s is locked", name, alter->table);
    if (column.check != 0)
        pgdbm__check_report(alter->text, &pgdbm__check_rule_constraint_not_valid,
                            pgdbm__check_offset_of(alter->statement, column.check),
                            "the CHECK of the new column %s reads all of %s: add it afterwards, NOT VALID", name,
                            alter->table);
    /* A new column that is NULL everywhere refers to nothing, and PostgreSQL knows. */
    if (column.foreign != 0 && column.has_default)
        pgdbm__check_report(alter->text, &pgdbm__check_rule_constraint_not_valid,
                            pgdbm__check_offset_of(alter->statement, column.foreign),
                            "the foreign key of the new column %s, which has a default, reads all of %s", name,
                            alter->table);
}

void pgdbm__check_column_type(const struct pgdbm__check_alter *alter, uint32_t command)
{
    static const char *const alike[] = {"text", "varchar", "citext", "numeric", "varbit"};
    const struct pgdbm__check_tree *tree = alter->statement->tree;
    char name[PGDBM__CHECK_NAME_BYTES];
    uint32_t definition = pgdbm__check_tree_child(tree, pgdbm__check_tree_child(tree, command, "def"), "ColumnDef");
    uint32_t type = pgdbm__check_tree_child(tree, definition, "typeName");
    bool converts = pgdbm__check_tree_child(tree, definition, "raw_default") != 0;
    bool array = pgdbm__check_tree_child(tree, type, "arrayBounds") != 0;
    /* A limit that is lifted, as from varchar(20) to varchar(40) or text, is what these are changed for, and costs nothing. */
    if (!converts && !array &&
        IS_ONE_OF(tree, pgdbm__check_tree_last_name(tree, pgdbm__check_tree_child(tree, type, "names")), alike))
        return;
    pgdbm__check_tree_string(tree, pgdbm__check_tree_child(tree, command, "name"), name, sizeof name);
    pgdbm__check_report(alter->text, &pgdbm__check_rule_alter_column_type,
                        pgdbm__check_offset_of(alter->statement, definition),
                        "another type of %s rewrites %s unless the two are stored alike", name, alter->table);
}
