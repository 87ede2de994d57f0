/* SPDX-License-Identifier: MIT */
/* What a run would send, without sending it. */
#ifndef PGDBM_MIGRATE_DRY_RUN_H
#define PGDBM_MIGRATE_DRY_RUN_H

#include "migrate/run.h"

/* Gives each file that would run its `sql`, ready for psql; the first one's begins with what makes the history table, if it is
 * missing. The run has been checked. Reads the catalog at most. */
pgdbm_status pgdbm__dry_run(struct pgdbm__run *run, pgdbm_error *err);

/* Appends what undoing one file would send. */
void pgdbm__dry_run_undo(const struct pgdbm__run *run, const struct pgdbm__script *down,
                         const struct pgdbm__history_row *row, struct pgdbm__buffer *sql);

#endif
