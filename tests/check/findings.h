/* SPDX-License-Identifier: MIT */
/* What the rules say of a text of SQL, for tests: a run that keeps findings as lines "line:column rule". */
#ifndef PGDBM_TESTS_CHECK_FINDINGS_H
#define PGDBM_TESTS_CHECK_FINDINGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "check/check.h"

#include <cmocka.h>

/* Reads a literal of a program and fails unless exactly these findings come, in the order of their places: "1:15 bare-table". NULL ends.
 * What was not checked is "1:15 not-checked". */
void expect_sql(const char *sql, ...);
/* The same of a migration; of its name depends whether it is a way back. */
void expect_migration(const char *file, const char *sql, ...);

/* The same of a file that is no migration. */
void expect_script(const char *sql, ...);

/* For what the two cannot do: findings of several texts, sorted, a line each, with the message: to be freed. */
struct pgdbm__check_run *findings_begin(void);
char *findings_end(struct pgdbm__check_run *run);

#define UP "001_a.sql"

#endif
