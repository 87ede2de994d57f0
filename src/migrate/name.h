/* SPDX-License-Identifier: MIT */
/* The name of a migration file: which forms are known, which number it carries, which comes first. Pure functions. */
#ifndef PGDBM_MIGRATE_NAME_H
#define PGDBM_MIGRATE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* The forms, for messages. */
#define PGDBM__MIGRATION_FORMS "NNN_name.sql, V1__name.sql, 20251225120000_name.sql or 20251225_120000_name.sql"
/* The history table's columns are varchar(255) and varchar(100). */
#define PGDBM__FILENAME_LIMIT 255
#define PGDBM__MODULE_LIMIT 100

/* Whether `filename` has one of the forms; then `*version` (a span inside it) is its number as written. */
bool pgdbm__migration_name_parse(const char *filename, const char **version, size_t *version_bytes);

/* Whether the name ends as an SQL file's does, in whatever case: such a file must have one of the forms. */
bool pgdbm__migration_name_is_sql(const char *filename);

/* Below, at or above 0 as version `a` comes before, is equal to or comes after `b`. Numbers of any length: 2 comes
 * before 10, and 001 is 1. The underscore between a date and a time does not count. */
int pgdbm__migration_version_compare(const char *a, const char *b);

#endif
