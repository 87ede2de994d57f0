/* SPDX-License-Identifier: MIT */
/* The rules on SQL. docs/check.md explains each; a test compares. */
#ifndef PGDBM_CHECK_RULES_SQL_H
#define PGDBM_CHECK_RULES_SQL_H

#include "check/check.h"

/* All texts of SQL. */
extern const struct pgdbm__check_rule pgdbm__check_rule_bad_template, pgdbm__check_rule_sql_syntax,
    pgdbm__check_rule_hard_coded_schema, pgdbm__check_rule_bare_table, pgdbm__check_rule_mixed_reference,
    pgdbm__check_rule_search_path;

/* Migrations. */
extern const struct pgdbm__check_rule pgdbm__check_rule_transaction_control, pgdbm__check_rule_outside_transaction,
    pgdbm__check_rule_new_enum_value, pgdbm__check_rule_lock_timeout_off, pgdbm__check_rule_add_column_rewrite,
    pgdbm__check_rule_add_column_not_null, pgdbm__check_rule_alter_column_type, pgdbm__check_rule_set_not_null,
    pgdbm__check_rule_index_not_concurrent, pgdbm__check_rule_constraint_not_valid,
    pgdbm__check_rule_constraint_builds_index, pgdbm__check_rule_validate_with_add, pgdbm__check_rule_table_rewrite,
    pgdbm__check_rule_update_under_lock, pgdbm__check_rule_drop_table, pgdbm__check_rule_drop_column,
    pgdbm__check_rule_rename, pgdbm__check_rule_truncate_cascade;

extern const struct pgdbm__check_rule *const pgdbm__check_sql_rules[];
extern const size_t pgdbm__check_n_sql_rules;

#endif
