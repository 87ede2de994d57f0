/* SPDX-License-Identifier: MIT */
/* pgdbm: one pool, many schemas, and every module brings its own migrations.
 *
 * | pattern     | when                                          | how                                         |
 * |-------------|-----------------------------------------------|---------------------------------------------|
 * | standalone  | one service, or a process of its own          | pgdbm_open                                  |
 * | shared pool | several services in one process, many tenants | pgdbm_pool_open, then pgdbm_attach for each |
 * | dual mode   | a library that other programs link            | pgdbm_module_open                           |
 *
 * docs/choosing-a-pattern.md helps to choose. Manners of every call: inputs come first, outputs last; `T **out` is
 * yours to release with the matching call, a returned pointer is borrowed; releasing NULL is legal; zero in an options
 * struct means the default; errors are described in <pgdbm/error.h>. */
#ifndef PGDBM_PGDBM_H
#define PGDBM_PGDBM_H

#include <pgdbm/async.h>
#include <pgdbm/batch.h>
#include <pgdbm/config.h>
#include <pgdbm/copy.h>
#include <pgdbm/cursor.h>
#include <pgdbm/db.h>
#include <pgdbm/error.h>
#include <pgdbm/fleet.h>
#include <pgdbm/future.h>
#include <pgdbm/json.h>
#include <pgdbm/listen.h>
#include <pgdbm/log.h>
#include <pgdbm/memory.h>
#include <pgdbm/migrate.h>
#include <pgdbm/module.h>
#include <pgdbm/observe.h>
#include <pgdbm/params.h>
#include <pgdbm/pool.h>
#include <pgdbm/result.h>
#include <pgdbm/structs.h>
#include <pgdbm/transaction.h>
#include <pgdbm/types.h>
#include <pgdbm/version.h>

#endif
