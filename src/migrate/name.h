/* SPDX-License-Identifier: MIT */
/* The name of a migration file: which forms are known, which number it carries, which comes first. And the name under
 * which a module is recorded. Pure functions. */
#ifndef PGDBM_MIGRATE_NAME_H
#define PGDBM_MIGRATE_NAME_H

#include <pgdbm/error.h>

#include <stdbool.h>
#include <stddef.h>

/* The forms, for messages. */
#define PGDBM__MIGRATION_FORMS                                                                                         \
    "NNN_name.sql, V1__name.sql, 20251225120000_name.sql, 20251225_120000_name.sql or R__name.sql"
/* The history table's columns are varchar(255) and varchar(100). */
#define PGDBM__FILENAME_LIMIT 255
#define PGDBM__MODULE_LIMIT 100

/* What a name says. The version is a span inside the name, as written; "" of a repeatable file. */
struct pgdbm__migration_name {
    const char *version;
    size_t version_bytes;
    size_t stem_bytes; /* of the name without .sql or .down.sql: what a file and its down part share */
    bool repeatable;   /* R__name.sql */
    bool down;         /* NNN_name.down.sql */
};

/* Whether `filename` has one of the forms. */
bool pgdbm__migration_name_parse(const char *filename, struct pgdbm__migration_name *name);

/* Whether the name ends as an SQL file's does, in whatever case: such a file must have one of the forms. */
bool pgdbm__migration_name_is_sql(const char *filename);

/* Below, at or above 0 as version `a` comes before, is equal to or comes after `b`. Numbers of any length: 2 comes
 * before 10, and 001 is 1. The underscore between a date and a time does not count. */
int pgdbm__migration_version_compare(const char *a, const char *b);

/* How a module is recorded: `module`, or "<module>_<schema>" when `schema` is not NULL. CONFIG when it is missing or longer
 * than the history holds. */
pgdbm_status pgdbm__migration_module_name(const char *module, const char *schema,
                                          char recorded[PGDBM__MODULE_LIMIT + 1], pgdbm_error *err);

#endif
