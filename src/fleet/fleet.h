/* SPDX-License-Identifier: MIT */
/* The fleet from inside: its files, its rows in pgdbm.target, and the SQL that its parts share. */
#ifndef PGDBM_FLEET_FLEET_H
#define PGDBM_FLEET_FLEET_H

#include "base/buffer.h"
#include "migrate/history.h"
#include "migrate/source.h"
#include "sql/identifier.h"

#include <pgdbm/fleet.h>
#include <pgdbm/transaction.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands in a template for the bare name of the tenant's schema. A file that has this byte in it goes the long way.
 * Whatever quotes it stands in, a schema's name cannot leave them, because it is a plain one (sql/identifier.h). */
#define PGDBM__FLEET_HOLE "\x01"

/* How a tenant's message begins: roll-outs know each other's sessions by it. */
#define PGDBM__FLEET_BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n"

/* Which schemas belong to a fleet: exactly one is set. */
struct pgdbm__fleet_selection {
    char **schemas; /* folded */
    size_t n_schemas;
    char *pattern;
    char *query; /* without a semicolon at its end */
};

struct pgdbm_fleet {
    pgdbm_pool *pool; /* borrowed */
    pgdbm_db *db;     /* a manager without a schema; any thread */
    char *module;
    char *build; /* NULL: none */
    char *table; /* the histories', folded */
    struct pgdbm__fleet_selection selection;
    /* Not changed after pgdbm_fleet_open; numbered files first. Borrows the program's compiled-in texts. */
    struct pgdbm__migration_set set;
    pgdbm_migration_text *texts;          /* the same files, for pgdbm_migrate */
    pgdbm_migrations migrations;          /* ... */
    const char *head;                     /* the newest number; "" without a numbered file */
    char (*chain)[PGDBM__CHECKSUM_BYTES]; /* chain[k]: digest of the first k numbered files; chain[0] is "" */
    char *digest;                         /* of a tenant that is current */
    struct pgdbm__history history;        /* of the tenant PGDBM__FLEET_HOLE: its SQL is a template */

    pthread_mutex_t mutex; /* guards what follows */
    bool has_mutex;
    char **attached; /* schemas that pgdbm_fleet_attach found current, sorted */
    size_t n_attached, attached_capacity;
};

/* digest.c
 *
 * A tenant's digest is <chain>[:<tag>]...: the chain is pgdbm__migration_digest_step over the numbered files that are
 * applied, in their order; the tags, in the order of their files' names, are one for each repeatable file as it last ran. ""
 * when nothing is applied. */
#define PGDBM__FLEET_TAG_BYTES 17

bool pgdbm__fleet_tag(char tag[PGDBM__FLEET_TAG_BYTES], const char *filename, const char *checksum);

/* Fills chain, digest and head of a fleet whose files are loaded. */
pgdbm_status pgdbm__fleet_digest_files(pgdbm_fleet *fleet, pgdbm_error *err);

/* How many numbered files a digest covers; false when it is not a beginning of this fleet's files. */
bool pgdbm__fleet_covers(const pgdbm_fleet *fleet, const char *digest, size_t *n_files);
/* Whether the repeatable file ran as it is now. */
bool pgdbm__fleet_has_run(const char *digest, const struct pgdbm__migration_file *file);

/* What a row of pgdbm.target says, beside this fleet's files (the program that wrote it may have had others): its state and
 * how many files are pending. */
pgdbm_target_state pgdbm__fleet_judge(const pgdbm_fleet *fleet, const char *state, const char *head, const char *digest,
                                      size_t *n_pending);

/* selection.c */

/* Appends a SELECT of the fleet's schemas, each once: schema (text), and whether it is there. Needs no parameters. */
void pgdbm__fleet_append_selection(const pgdbm_fleet *fleet, struct pgdbm__buffer *sql);
void pgdbm__fleet_literal(struct pgdbm__buffer *sql, const char *text);

/* "<module>_<schema>" must fit into the history, and the schema's name be a plain one. Errors: SCHEMA, CONFIG. */
pgdbm_status pgdbm__fleet_check_schema(const pgdbm_fleet *fleet, const char *schema, pgdbm_error *err);

/* message.c */

/* What tenants with a certain digest are sent: made once, then filled with the names of schemas. Zero-initialise. */
struct pgdbm__fleet_message {
    char *digest; /* of the tenants that it is for */
    char *text;   /* with holes; NULL when `unusual` or nothing is pending */
    size_t bytes;
    bool unusual;   /* must go through pgdbm_migrate: no-transaction files, several of which one changes the session */
    bool dirties;   /* may leave something in the session, which has to be cleaned before the next tenant */
    bool prepared;  /* needs the statements of pgdbm__fleet_append_prepare */
    size_t n_files; /* pending */
};

/* The message that brings tenants from `digest` to the newest file: BEGIN; claim; statements; rows of the history; the row of
 * pgdbm.target; COMMIT. A claim that is not to be had is SQLSTATE 22012. `prepared`: its sessions may have prepared statements.
 * Errors: MIGRATION, SCHEMA (the files), NOMEM. */
pgdbm_status pgdbm__fleet_message_make(const pgdbm_fleet *fleet, const char *digest, int lock_timeout_ms, bool prepared,
                                       struct pgdbm__fleet_message *message, pgdbm_error *err);
/* Appends statements that prepare a session for such messages. The claim and the update of the row are the same for all
 * tenants; to plan them takes the server a fifth of a tenant's time. */
void pgdbm__fleet_append_prepare(const pgdbm_fleet *fleet, int lock_timeout_ms, struct pgdbm__buffer *sql);
void pgdbm__fleet_message_free(struct pgdbm__fleet_message *message);

/* Appends a text with the schema's name in its holes. */
void pgdbm__fleet_fill(const char *text, size_t bytes, const char *schema, struct pgdbm__buffer *sql);

/* Parts of a message, with holes, for others that compose one (pgdbm_fleet_create_tenant); each ends with a semicolon.
 * The row of the history: its table has all columns. The row of pgdbm.target says that all files are applied. */
void pgdbm__fleet_append_history(const pgdbm_fleet *fleet, const struct pgdbm__migration_file *file,
                                 struct pgdbm__buffer *sql);
void pgdbm__fleet_append_target(const pgdbm_fleet *fleet, struct pgdbm__buffer *sql);

/* sync.c */

/* Makes the rows of pgdbm.target for these schemas from their histories, on a session that the caller pinned. */
pgdbm_status pgdbm__fleet_sync_schemas(pgdbm_fleet *fleet, pgdbm_db *session, const char *const *schemas,
                                       size_t n_schemas, pgdbm_error *err);

/* tenant.c */

/* Where pgdbm_migrate was: "003_orders.sql:12". */
struct pgdbm__fleet_place {
    char text[PGDBM__FILENAME_LIMIT + 24];
};

/* Brings one tenant to the newest file by pgdbm_migrate, then makes its row. TIMEOUT: another process is migrating it.
 * Takes sessions of the pool: the caller should hold none. `place` may be NULL. lock_timeout_ms 0: with all the patience of
 * pgdbm_migrate. */
pgdbm_status pgdbm__fleet_migrate_tenant(pgdbm_fleet *fleet, const char *schema, int lock_timeout_ms,
                                         struct pgdbm__fleet_place *place, pgdbm_error *err);

/* attach.c: the tenant is not known to be current any more. */
void pgdbm__fleet_forget(pgdbm_fleet *fleet, const char *schema);

#endif
