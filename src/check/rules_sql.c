/* SPDX-License-Identifier: MIT */
/* The rules on SQL, in the order of docs/check.md. */
#include "check/rules_sql.h"

#define RULE(name, rule_id, level, what, because, instead)                                                             \
    const struct pgdbm__check_rule pgdbm__check_rule_##name = {                                                        \
        .id = rule_id, .severity = level, .summary = what, .why = because, .fix = instead}

RULE(bad_template, "bad-template", CHECK_ERROR, "a placeholder that pgdbm does not know",
     "The statement fails before it is sent.",
     "Write {{tables.NAME}}, {{tables.SCHEMA.NAME}} or {{schema}}; two braces that are none get a space: { {.");
RULE(sql_syntax, "sql-syntax", CHECK_ERROR, "SQL that PostgreSQL's grammar refuses",
     "The server will refuse it too, and no other rule could look at this statement.",
     "Correct the statement. If it is of a later PostgreSQL than this program's grammar, suppress the finding.");
RULE(hard_coded_schema, "hard-coded-schema", CHECK_ERROR, "a schema's name written into SQL",
     "The module can then live in that schema only: not beside itself, not in a tenant's schema, not in a test's.",
     "Write {{tables.NAME}} for a table of the module, {{schema}}.NAME for its functions and types, "
     "{{tables.SCHEMA.NAME}} for another module's, {{schema}} for the schema.");
RULE(bare_table, "bare-table", CHECK_ERROR, "a table without a template",
     "search_path decides which table it is, and pgdbm does not set it to the manager's schema: the statement finds no "
     "table, or another module's.",
     "Write {{tables.NAME}}.");
RULE(mixed_reference, "mixed-reference", CHECK_ERROR, "a table both with and without a template",
     "The two are different tables as soon as the manager has a schema: one half of the program writes what the other "
     "does not see.",
     "Write {{tables.NAME}} in both places.");
RULE(search_path, "search-path", CHECK_ERROR, "search_path set by hand",
     "Whatever runs next on the session finds other tables, and behind a pooler it is somebody else's session.",
     "Leave it alone and write {{tables.NAME}}; a function that needs a path gets it in CREATE FUNCTION ... SET "
     "search_path.");

RULE(transaction_control, "transaction-control", CHECK_ERROR, "a migration that begins or ends transactions",
     "The file is a transaction with its history row in it; COMMIT would end it half-way. pgdbm refuses the file.",
     "Take it out; with `-- pgdbm:no-transaction` in the header each statement is a transaction of its own.");
RULE(outside_transaction, "outside-transaction", CHECK_ERROR, "a statement that cannot run in a transaction",
     "The file is one transaction, so the server would refuse the statement. pgdbm refuses the file.",
     "Put it into a file of its own whose first line is `-- pgdbm:no-transaction`.");
RULE(new_enum_value, "new-enum-value", CHECK_ERROR, "a value of an enum used in the transaction that adds it",
     "PostgreSQL refuses it (55P04) until the transaction that ran ALTER TYPE ... ADD VALUE has committed.",
     "Use the value in the next file.");
RULE(lock_timeout_off, "lock-timeout-off", CHECK_ERROR, "a lock waited for without a limit",
     "While DDL waits for its lock behind a long transaction, everybody who comes later waits behind it.",
     "Leave lock_timeout as pgdbm sets it (2 s, then the file is tried again), or give it a limit.");
RULE(add_column_rewrite, "add-column-rewrite", CHECK_ERROR, "a new column that rewrites the table",
     "The table is copied under ACCESS EXCLUSIVE: nobody reads or writes it meanwhile.",
     "Add the column without the default, set the default in a second statement, and fill the rows in batches.");
RULE(add_column_not_null, "add-column-not-null", CHECK_ERROR, "a new NOT NULL column without a default",
     "It fails as soon as the table has a row.",
     "Give it a constant default, or add it without NOT NULL, fill it, and set NOT NULL later.");
RULE(alter_column_type, "alter-column-type", CHECK_ERROR, "a column's type changed in place",
     "Unless both types are stored alike, the table is copied and its indexes built under ACCESS EXCLUSIVE.",
     "Add a column of the new type, write both, fill the old rows in batches, then switch over.");
RULE(set_not_null, "set-not-null", CHECK_ERROR, "NOT NULL set with a scan of the whole table",
     "The scan runs under ACCESS EXCLUSIVE.",
     "Add CHECK (column IS NOT NULL) NOT VALID; in a later file VALIDATE CONSTRAINT, then SET NOT NULL, which needs no "
     "scan any more.");
RULE(index_not_concurrent, "index-not-concurrent", CHECK_ERROR, "an index built while nobody can write",
     "The table takes no writes until the index is built.",
     "CREATE INDEX CONCURRENTLY (REINDEX ... CONCURRENTLY) in a file with `-- pgdbm:no-transaction`.");
RULE(constraint_not_valid, "constraint-not-valid", CHECK_ERROR, "a constraint added with a scan of the whole table",
     "All rows are read under a lock that stops writes; a foreign key locks the other table too.",
     "Add it NOT VALID, and VALIDATE CONSTRAINT in a later file.");
RULE(constraint_builds_index, "constraint-builds-index", CHECK_ERROR, "a constraint that builds its index",
     "The index is built under ACCESS EXCLUSIVE: nobody reads or writes the table meanwhile.",
     "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT ... USING INDEX.");
RULE(validate_with_add, "validate-with-add", CHECK_ERROR, "a constraint validated in the transaction that adds it",
     "The lock of ADD CONSTRAINT is held during the scan, which NOT VALID was meant to avoid.",
     "Put VALIDATE CONSTRAINT into the next file.");
RULE(table_rewrite, "table-rewrite", CHECK_ERROR, "a statement that copies the whole table",
     "It holds ACCESS EXCLUSIVE until the copy is done.",
     "Do it when nobody needs the table, or use a tool that copies beside the traffic (pg_repack).");
RULE(update_under_lock, "update-under-lock", CHECK_ERROR, "all rows changed while the table is locked",
     "The transaction holds the lock of ALTER TABLE, and the update of every row runs under it.",
     "Change the rows in another file, or outside of migrations in batches.");
RULE(drop_table, "drop-table", CHECK_WARNING, "a table dropped",
     "Programs of the version before still use it while the new one is rolled out, and the rows are gone.",
     "Drop it one release after the last program that uses it, and say so in a suppression.");
RULE(drop_column, "drop-column", CHECK_WARNING, "a column dropped",
     "Programs of the version before still name it while the new one is rolled out, and the values are gone.",
     "Drop it one release after the last program that uses it, and say so in a suppression.");
RULE(rename, "rename", CHECK_WARNING, "a table, column or value renamed",
     "Programs of the version before still use the old name while the new one is rolled out.",
     "Add the new one beside the old one (a view for a table), move the programs, then drop the old one.");
RULE(truncate_cascade, "truncate-cascade", CHECK_ERROR, "a table emptied together with those that refer to it",
     "CASCADE empties tables that the statement does not name.", "Name the tables that are to be emptied.");

const struct pgdbm__check_rule *const pgdbm__check_sql_rules[] = {
    &pgdbm__check_rule_bad_template,
    &pgdbm__check_rule_sql_syntax,
    &pgdbm__check_rule_hard_coded_schema,
    &pgdbm__check_rule_bare_table,
    &pgdbm__check_rule_mixed_reference,
    &pgdbm__check_rule_search_path,
    &pgdbm__check_rule_transaction_control,
    &pgdbm__check_rule_outside_transaction,
    &pgdbm__check_rule_new_enum_value,
    &pgdbm__check_rule_lock_timeout_off,
    &pgdbm__check_rule_add_column_rewrite,
    &pgdbm__check_rule_add_column_not_null,
    &pgdbm__check_rule_alter_column_type,
    &pgdbm__check_rule_set_not_null,
    &pgdbm__check_rule_index_not_concurrent,
    &pgdbm__check_rule_constraint_not_valid,
    &pgdbm__check_rule_constraint_builds_index,
    &pgdbm__check_rule_validate_with_add,
    &pgdbm__check_rule_table_rewrite,
    &pgdbm__check_rule_update_under_lock,
    &pgdbm__check_rule_drop_table,
    &pgdbm__check_rule_drop_column,
    &pgdbm__check_rule_rename,
    &pgdbm__check_rule_truncate_cascade,
};
const size_t pgdbm__check_n_sql_rules = sizeof pgdbm__check_sql_rules / sizeof *pgdbm__check_sql_rules;
