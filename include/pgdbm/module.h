/* SPDX-License-Identifier: MIT */
/* Dual mode: a library that needs tables, written once, works with a database of its own or inside somebody's
 * application.
 *
 *     static const pgdbm_module AUDIT = {.name = "audit", .migrations = &audit_migrations};
 *
 *     pgdbm_status audit_open(const pgdbm_source *source, audit **out, pgdbm_error *err)
 *     { ... pgdbm_module_open(&AUDIT, source, &db, err); ... }
 *
 * The library's own migrations always run, wherever it lives; they are recorded under "<name>_<schema>", so that one
 * library in many schemas never collides. pgdbm_close on the manager ends exactly what the library opened. */
#ifndef PGDBM_MODULE_H
#define PGDBM_MODULE_H

#include <pgdbm/migrate.h>

typedef struct pgdbm_module {
    const char *name;
    const pgdbm_migrations *migrations;
    /* As in pgdbm_migrate_options: */
    const char *build;
    pgdbm_migration_policies policies;
    pgdbm_migration_callback on_progress;
    void *context; /* of the callback */
} pgdbm_module;

/* Where the module shall live: exactly one of connection_string, db, pool. */
typedef struct pgdbm_source {
    const char *connection_string; /* standalone: a pool of its own */
    pgdbm_db *db;                  /* the host's manager: its pool, and its schema unless `schema` says another */
    pgdbm_pool *pool;              /* the host's pool */
    const char *schema;            /* NULL: the host manager's, else the module's name */
    const pgdbm_config *config;    /* with connection_string: pool settings; its own connection fields must be empty */
} pgdbm_source;

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_module_open_at(const char *file, int line, const pgdbm_module *module,
                                               size_t module_bytes, const pgdbm_source *source, size_t source_bytes,
                                               pgdbm_db **db, pgdbm_error *err);

static inline pgdbm_status pgdbm_module_open_here(const char *file, int line, const pgdbm_module *module,
                                                  const pgdbm_source *source, pgdbm_db **db, pgdbm_error *err)
{
    return pgdbm_module_open_at(file, line, module, sizeof *module, source, sizeof *source, db, err);
}

/* pgdbm_module_open(const pgdbm_module *module, const pgdbm_source *source, pgdbm_db **db, pgdbm_error *err)
 *
 * Gives the module its manager, migrated and ready. `*db` is the caller's, released with pgdbm_close. Errors: ARGUMENT,
 * CONFIG (none or several of connection_string, db, pool: both ways out are named; a module without a name), SCHEMA,
 * and everything pgdbm_open, pgdbm_attach and pgdbm_migrate can return. After an error nothing is left open. */
#define pgdbm_module_open(...) pgdbm_module_open_here(PGDBM_HERE, __VA_ARGS__)

PGDBM_END_DECLS
#endif
