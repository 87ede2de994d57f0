/* SPDX-License-Identifier: MIT */
/* The rules on C, in the order of docs/check.md. */
#include "check/rules_c.h"

#define RULE(name, rule_id, level, what, because, instead)                                                             \
    const struct pgdbm__check_rule pgdbm__check_rule_##name = {                                                        \
        .id = rule_id, .severity = level, .summary = what, .why = because, .fix = instead}

RULE(string_built_sql, "string-built-sql", CHECK_ERROR, "SQL that the program puts together from pieces",
     "A value that becomes part of the text can become part of the statement, which is how injection works; and every "
     "text is "
     "a statement of its own, which the server prepares anew.",
     "Pass values as parameters: $1 in the text, pgdbm_args(...) beside it. Names of tables are templates: "
     "{{tables.NAME}}.");
RULE(module_without_name, "module-without-name", CHECK_ERROR, "migrations without a module's name",
     "The history says which module each file belongs to; without a name pgdbm refuses to migrate.",
     "Set .module in pgdbm_migrate_options, .name in pgdbm_module.");
RULE(
    second_pool, "second-pool", CHECK_ERROR, "a second pool to the same database in one program",
    "Each pool opens sessions of its own: the server runs out of them, and neither pool can use the other's idle ones.",
    "Open one pool with pgdbm_pool_open and attach a manager for each schema with pgdbm_attach.");
RULE(close_borrowed, "close-borrowed", CHECK_ERROR, "a manager or pool closed by a function that only borrows it",
     "The caller goes on using it. Whoever opened it closes it.",
     "Leave it open; or let the function's name say that it takes over: ..._close, ..._free, ..._destroy.");
RULE(
    bad_suppression, "bad-suppression", CHECK_ERROR, "a suppression that is malformed, has no reason, or is not needed",
    "What is allowed without a reason, or where nothing is wrong, hides the next mistake.",
    "Write pgdbm-check: allow RULE because REASON on the line of the finding or above it, and delete it when it is not "
    "needed any more.");

const struct pgdbm__check_rule *const pgdbm__check_c_rules[] = {
    &pgdbm__check_rule_string_built_sql, &pgdbm__check_rule_module_without_name, &pgdbm__check_rule_second_pool,
    &pgdbm__check_rule_close_borrowed,   &pgdbm__check_rule_bad_suppression,
};
const size_t pgdbm__check_n_c_rules = sizeof pgdbm__check_c_rules / sizeof pgdbm__check_c_rules[0];

bool pgdbm__check_is_c_rule(const struct pgdbm__check_rule *rule)
{
    for (size_t i = 0; i < pgdbm__check_n_c_rules; i++)
        if (pgdbm__check_c_rules[i] == rule)
            return true;
    return false;
}
