/* SPDX-License-Identifier: MIT */
/* How far other modules have come, as histories say: what a file's `-- pgdbm:requires users >= 12` is held against. */
#ifndef PGDBM_MIGRATE_HEADS_H
#define PGDBM_MIGRATE_HEADS_H

#include "migrate/run.h"

/* Zero-initialise. */
struct pgdbm__module_head {
    bool found;                              /* a history has something of the module */
    char version[PGDBM__FILENAME_LIMIT + 1]; /* the highest number; "" when none has one */
};

/* Adds what the history `table` (folded) of a schema has of `module`, recorded as that or as "<module>_<schema>". Nothing,
 * where there is no such table, or none that this role may read. */
pgdbm_status pgdbm__module_head_add(pgdbm_db *db, const char *schema, const char *table, const char *module,
                                    struct pgdbm__module_head *head, pgdbm_error *err);

/* MIGRATION when a file that the run would apply requires more of a module than the histories have, in the run's own schema, in
 * one called as the module is, or in public. Before the lock is taken: it works on the manager. */
pgdbm_status pgdbm__run_requirements(const struct pgdbm__run *run, pgdbm_error *err);

/* pgdbm_migrate for whoever has checked the requirements already. */
pgdbm_status pgdbm__migrate_ordered(pgdbm_db *db, const pgdbm_migrate_options *options, pgdbm_migration_report **report,
                                    pgdbm_error *err);

#endif
