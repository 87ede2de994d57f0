/* SPDX-License-Identifier: MIT */
/* Between the asynchronous verbs. */
#ifndef PGDBM_DB_ASYNC_H
#define PGDBM_DB_ASYNC_H

#include "db/manager.h"
#include "pool/task.h"

/* Whether the callback is a future's; the future is then kept until its callback has been called, or until `release`
 * because that will not happen. */
bool pgdbm__future_hold(pgdbm_done_callback on_done, void *context);
void pgdbm__future_release(bool held, void *context);

/* Makes the task one on this handle: its session, its deadlines, its account. */
void pgdbm__db_address(const pgdbm_db *db, const struct pgdbm__run *run, struct pgdbm_request *task);
/* Submits; on failure the task is freed. `request` (may be NULL) gets a handle. */
pgdbm_status pgdbm__db_submit(struct pgdbm_request *task, pgdbm_done_callback on_done, void *context,
                              pgdbm_request **request, pgdbm_error *err);

/* Ends a handle that nobody wants, without waiting. */
void pgdbm__db_abandon(pgdbm_db *db);

#endif
