/* SPDX-License-Identifier: MIT */
/* The rules on C and C++, and the one on suppressions. docs/check.md explains each; a test compares. */
#ifndef PGDBM_CHECK_RULES_C_H
#define PGDBM_CHECK_RULES_C_H

#include "check/check.h"

extern const struct pgdbm__check_rule pgdbm__check_rule_string_built_sql, pgdbm__check_rule_module_without_name,
    pgdbm__check_rule_second_pool, pgdbm__check_rule_close_borrowed, pgdbm__check_rule_bad_suppression;

extern const struct pgdbm__check_rule *const pgdbm__check_c_rules[];
extern const size_t pgdbm__check_n_c_rules;

/* Whether a rule is one of these: they need no parser of SQL. */
bool pgdbm__check_is_c_rule(const struct pgdbm__check_rule *rule);

#endif
