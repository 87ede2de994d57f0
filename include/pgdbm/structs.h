/* SPDX-License-Identifier: MIT */
/* Rows as C structs, by a table of the struct's fields:
 *
 *     struct user { int64_t id; const char *email; bool has_email; pgdbm_timestamp created; };
 *
 *     static const pgdbm_field user_fields[] = {
 *         PGDBM_FIELD(struct user, id, PGDBM_INT64),
 *         PGDBM_FIELD_NULLABLE(struct user, email, PGDBM_TEXT, has_email),
 *         PGDBM_FIELD(struct user, created, PGDBM_TIMESTAMP),
 *     };
 *     static const pgdbm_struct USER = PGDBM_STRUCT(struct user, user_fields);
 *
 *     pgdbm_fetch_structs(db, "SELECT id, email, created FROM {{tables.users}}", pgdbm_no_args, &USER, &result, &err);
 *     const struct user *users = pgdbm_result_structs(result);
 *     for (size_t i = 0; i < pgdbm_result_rows(result); i++)
 *         printf("%s\n", users[i].email);
 *     pgdbm_result_free(result);
 *
 * A field is matched with the column of its name. A column that no field has, a field that no column has, and types that
 * do not go together are PGDBM_ERR_TYPE, naming them, whether there are rows or not; the statement is not run then. A table
 * that is wrong by itself (a kind that is not the field's) is PGDBM_ERR_ARGUMENT.
 *
 * | kind               | C type of the field     | columns it is read from                                         |
 * |--------------------|-------------------------|-----------------------------------------------------------------|
 * | PGDBM_BOOL         | bool                    | bool                                                            |
 * | PGDBM_INT16        | int16_t                 | int2, int4, int8, oid; a value out of range is an error         |
 * | PGDBM_INT32        | int32_t                 | the same                                                        |
 * | PGDBM_INT64        | int64_t                 | the same                                                        |
 * | PGDBM_UINT32       | uint32_t                | the same                                                        |
 * | PGDBM_FLOAT        | float                   | float4, float8, integers it holds exactly                       |
 * | PGDBM_DOUBLE       | double                  | the same                                                        |
 * | PGDBM_TEXT         | const char *            | every type but bytea, as PostgreSQL prints it                   |
 * | PGDBM_BYTES        | pgdbm_blob              | bytea, the bytes of texts, enums, json, jsonb                   |
 * | PGDBM_TIMESTAMP    | pgdbm_timestamp         | timestamp, timestamptz                                          |
 * | PGDBM_DATE         | pgdbm_date              | date                                                            |
 * | PGDBM_TIME         | pgdbm_time              | time                                                            |
 * | PGDBM_TIMETZ       | pgdbm_timetz            | timetz                                                          |
 * | PGDBM_INTERVAL     | pgdbm_interval          | interval                                                        |
 * | PGDBM_DECIMAL      | pgdbm_decimal           | numeric that fits 128 bits, integers                            |
 * | PGDBM_UUID         | pgdbm_uuid              | uuid                                                            |
 * | PGDBM_INET         | pgdbm_inet              | inet, cidr                                                      |
 * | PGDBM_MACADDR      | pgdbm_macaddr           | macaddr                                                         |
 * | PGDBM_BITS         | pgdbm_bits              | bit, varbit                                                     |
 *
 * NULL goes into a field only with a companion: a bool that is true when there is a value (then a missing one leaves the
 * field zero). Without a companion a NULL column is PGDBM_ERR_TYPE; a text or bytes field may be a NULL pointer instead.
 * Writing works the same way round. Texts, bytes and bits of fetched structs belong to the result, which pgdbm_get_* do not
 * read. */
#ifndef PGDBM_STRUCTS_H
#define PGDBM_STRUCTS_H

#include <pgdbm/db.h>
#include <pgdbm/types.h>

#define PGDBM_NO_COMPANION SIZE_MAX

typedef struct pgdbm_field {
    const char *column;
    pgdbm_field_kind kind;
    size_t offset;
    size_t bytes;     /* of the field: must be those of its kind's C type */
    size_t companion; /* offset of the bool that says whether there is a value, or PGDBM_NO_COMPANION */
} pgdbm_field;

typedef struct pgdbm_struct {
    const char *name; /* for messages */
    size_t bytes;
    const pgdbm_field *fields;
    size_t n_fields;
} pgdbm_struct;

/* A field named as its column; one that may be NULL; and one whose column has another name. */
#define PGDBM_FIELD(type, member, kind) PGDBM_FIELD_NAMED(type, member, kind, #member)
#define PGDBM_FIELD_NAMED(type, member, kind, column)                                                                  \
    {                                                                                                                  \
        (column), (kind), offsetof(type, member), sizeof(((type *)0)->member), PGDBM_NO_COMPANION                      \
    }
#define PGDBM_FIELD_NULLABLE(type, member, kind, companion)                                                            \
    {                                                                                                                  \
#member, (kind), offsetof(type, member), sizeof(((type *)0)->member), offsetof(type, companion)                \
    }
#define PGDBM_STRUCT(type, fields)                                                                                     \
    {                                                                                                                  \
#type, sizeof(type), (fields), sizeof(fields) / sizeof *(fields)                                               \
    }

PGDBM_BEGIN_DECLS

PGDBM_EXPORT pgdbm_status pgdbm_fetch_structs_sized(pgdbm_db *db, const pgdbm_call *call, size_t call_bytes,
                                                    const char *sql, pgdbm_params params, const pgdbm_struct *shape,
                                                    pgdbm_result **result, pgdbm_error *err);

/* All rows of a statement, as structs. `*result` is the caller's, released with pgdbm_result_free, which frees the structs
 * and their texts at once; NULL after an error. `shape` must stay as long as the result. Errors: those of the verbs. */
static inline pgdbm_status pgdbm_fetch_structs(pgdbm_db *db, const char *sql, pgdbm_params params,
                                               const pgdbm_struct *shape, pgdbm_result **result, pgdbm_error *err)
{
    return pgdbm_fetch_structs_sized(db, NULL, 0, sql, params, shape, result, err);
}

static inline pgdbm_status pgdbm_fetch_structs_with(pgdbm_db *db, const pgdbm_call *call, const char *sql,
                                                    pgdbm_params params, const pgdbm_struct *shape,
                                                    pgdbm_result **result, pgdbm_error *err)
{
    return pgdbm_fetch_structs_sized(db, call, sizeof *call, sql, params, shape, result, err);
}

/* The structs, pgdbm_result_rows(result) of them. NULL when it has none. Borrowed from the result. */
PGDBM_EXPORT const void *pgdbm_result_structs(const pgdbm_result *result);

/* Inserts `count` structs into a table by one INSERT each, pipelined, in one transaction: all or nothing. `table` is the
 * name of a table of the manager's schema, or `schema.table`. `rows_affected` (may be NULL) is their number. An error names
 * the struct, from 1. For many rows pgdbm_copy_structs is faster; INSERT obeys rules and row security, too. */
PGDBM_EXPORT pgdbm_status pgdbm_insert_structs(pgdbm_db *db, const char *table, const pgdbm_struct *shape,
                                               const void *structs, size_t count, int64_t *rows_affected,
                                               pgdbm_error *err);

/* What happens when a row is there already. */
typedef struct pgdbm_upsert {
    const char *const *key; /* columns of a unique index: those of ON CONFLICT */
    size_t n_key;
    bool do_nothing; /* leave the row that is there; otherwise all fields but the key's, if any, are written over it */
} pgdbm_upsert;

PGDBM_EXPORT pgdbm_status pgdbm_upsert_structs_sized(pgdbm_db *db, const char *table, const pgdbm_struct *shape,
                                                     const void *structs, size_t count, const pgdbm_upsert *upsert,
                                                     size_t upsert_bytes, int64_t *rows_affected, pgdbm_error *err);

/* Inserts or updates: a COPY into a temporary table, then INSERT ... ON CONFLICT, in one transaction (in the one that `db`
 * is: a savepoint). It needs the privileges to select and to make temporary tables, too. `rows_affected` (may be NULL) counts
 * inserted and updated rows. Two structs with one key in one call are PGDBM_ERR_QUERY (21000) unless `do_nothing`. */
static inline pgdbm_status pgdbm_upsert_structs(pgdbm_db *db, const char *table, const pgdbm_struct *shape,
                                                const void *structs, size_t count, const pgdbm_upsert *upsert,
                                                int64_t *rows_affected, pgdbm_error *err)
{
    return pgdbm_upsert_structs_sized(db, table, shape, structs, count, upsert, sizeof *upsert, rows_affected, err);
}

PGDBM_END_DECLS
#endif
