/* SPDX-License-Identifier: MIT */
/* Rows as JSON, and rows from JSON: made and read by the server, so that every type is what PostgreSQL makes of it.
 *
 *     pgdbm_fetch_json(db, "SELECT id, email FROM {{tables.users}} ORDER BY id", pgdbm_no_args, &text, &err);
 *     // [{"id":1,"email":"alice@example.com"}, {"id":2,"email":null}]
 *
 *     pgdbm_insert_json(db, "users", text, &rows, &err); */
#ifndef PGDBM_JSON_H
#define PGDBM_JSON_H

#include <pgdbm/db.h>

PGDBM_BEGIN_DECLS

/* What a statement gives, as the text of a JSON array with an object for each row, in its order; "[]" without rows. The
 * server puts it together, so it is 1 GB at most. `*text` is the caller's, released with pgdbm_free; NULL after an error.
 * Errors: those of the verbs; QUERY (a statement that gives no rows: one that writes needs RETURNING). Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_fetch_json(pgdbm_db *db, const char *sql, pgdbm_params params, char **text,
                                           pgdbm_error *err);

/* Inserts the objects of a JSON array (or one object) into a table of the manager's schema (or `schema.table`), as one
 * statement: all or nothing. Each name in an object must be a column of the table as the catalog has it (PGDBM_ERR_TYPE
 * names the first that is none, and its element, from 1); a column that no object names has its default; one that some
 * objects name is NULL for the others. Arrays, composites and json columns take nested values. `rows` (may be NULL) is how
 * many were inserted. Two round trips: one to look what is named, one to insert. Errors: those of the verbs; QUERY (text
 * that is no JSON, no array of objects). Any thread. */
PGDBM_EXPORT pgdbm_status pgdbm_insert_json(pgdbm_db *db, const char *table, const char *json, int64_t *rows,
                                            pgdbm_error *err);

PGDBM_END_DECLS
#endif
