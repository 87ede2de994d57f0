/* SPDX-License-Identifier: MIT */
/* Rows as JSON and from JSON. Both are SQL put around what the caller gave, run by the verbs; the server does the rest.
 * No state; any thread. */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/error.h"
#include "db/manager.h"
#include "sql/outer.h"
#include "sql/report.h"

#include <pgdbm/json.h>
#include <string.h>

/* The rows get a name that no sensible caller has. They are an item of WITH and no subquery, because only there may a
 * statement write; and of the outermost WITH, because only there may one of the caller's own items write. */
#define ROWS "\"pgdbm rows\""
#define CLOSING ") SELECT coalesce(pg_catalog.json_agg(" ROWS ".*), '[]') FROM " ROWS

/* A statement, and what stands before its outer statement: that belongs to no position that the caller knows. */
struct wrapped {
    char *sql;
    const char *opening;
    int characters_before;
};

static pgdbm_status wrap(const char *sql, struct wrapped *wrapped, pgdbm_error *err)
{
    size_t bytes = strlen(sql);
    struct pgdbm__outer outer = pgdbm__sql_outer(sql, bytes);
    struct pgdbm__buffer text = {0};
    if (!outer.gives_rows) {
        pgdbm__fail(err, PGDBM_ERR_QUERY, "the statement gives no rows that JSON could be made of");
        pgdbm__error_hint(err, "it must be SELECT, VALUES, TABLE, or INSERT, UPDATE, DELETE with RETURNING");
        pgdbm__error_statement(err, sql);
        return PGDBM_ERR_QUERY;
    }
    wrapped->opening = outer.with ? ", " ROWS " AS (" : "WITH " ROWS " AS (";
    wrapped->characters_before = pgdbm__place_of(sql, bytes, outer.begin).character - 1;
    pgdbm__buffer_append(&text, sql, outer.begin);
    pgdbm__buffer_text(&text, wrapped->opening);
    pgdbm__buffer_append(&text, sql + outer.begin, outer.end - outer.begin);
    pgdbm__buffer_text(&text, CLOSING);
    wrapped->sql = pgdbm__buffer_take(&text);
    pgdbm__buffer_free(&text);
    return wrapped->sql != NULL ? PGDBM_OK : pgdbm__fail_nomem(err, "composing a statement");
}

/* Makes an error speak of the statement that the caller wrote. */
static void unwrap(const char *sql, const struct wrapped *wrapped, pgdbm_error *err)
{
    if (err == NULL || err->statement[0] == '\0')
        return;
    int added = (int)strlen(wrapped->opening);
    if (err->position > wrapped->characters_before + added)
        err->position -= added;
    pgdbm__error_statement(err, sql);
}

pgdbm_status pgdbm_fetch_json(pgdbm_db *db, const char *sql, pgdbm_params params, char **text, pgdbm_error *err)
{
    char *expanded = NULL;
    struct wrapped wrapped = {0};
    if (db == NULL || sql == NULL || text == NULL)
        return pgdbm__fail_null(err, "pgdbm_fetch_json", db == NULL ? "db" : sql == NULL ? "sql" : "text");
    *text = NULL;
    pgdbm_status status = pgdbm__db_check_params(&params, "pgdbm_fetch_json", err);
    if (status == PGDBM_OK)
        status = pgdbm_expand(db, sql, &expanded, err); /* positions count in the expanded text */
    if (status == PGDBM_OK)
        status = wrap(expanded, &wrapped, err);
    if (status == PGDBM_OK) {
        status = pgdbm_fetch_value_text(db, wrapped.sql, params, text, err);
        if (status != PGDBM_OK)
            unwrap(expanded, &wrapped, err);
    }
    pgdbm__free(wrapped.sql);
    pgdbm__free(expanded);
    return status;
}

/* One object stands for an array of one. */
#define AS_ARRAY(json) "CASE json_typeof(" json ") WHEN 'object' THEN json_build_array(" json ") ELSE " json " END"

/* What stands in the JSON ($2) beside the columns of the table ($1): the number of elements; the columns that are named
 * and, for json_to_recordset, their types; and the first name that is no column, with its element. Two braces would be a
 * template, so a name with a brace is spelt U&"". Ordered, so that the same columns make the same statement again. */
static const char look_sql[] = "WITH element AS (SELECT e.object, e.position FROM json_array_elements(" AS_ARRAY(
    "$2::json") ")"
                " WITH ORDINALITY AS e(object, position)),"
                " name AS (SELECT k.name, min(ARRAY[e.position, k.position]) AS place FROM element e"
                " CROSS JOIN LATERAL json_object_keys(e.object) WITH ORDINALITY AS k(name, position) GROUP BY k.name),"
                " known AS (SELECT n.name, n.place, a.attnum, format_type(a.atttypid, a.atttypmod) AS type,"
                " '\"' || replace(a.attname, '\"', '\"\"') || '\"' AS quoted"
                " FROM name n LEFT JOIN pg_catalog.pg_attribute a"
                " ON a.attrelid = $1::regclass AND a.attname::text = n.name AND a.attnum > 0 AND NOT a.attisdropped),"
                " spelt AS (SELECT attnum, type, CASE WHEN strpos(quoted, '{') = 0 THEN quoted"
                " ELSE 'U&' || replace(replace(quoted, '\\', '\\\\'), '{', '\\007B') END AS quoted FROM known)"
                " SELECT (SELECT count(*) FROM element) AS elements,"
                " string_agg(quoted, ', ' ORDER BY attnum) AS columns,"
                " string_agg(quoted || ' ' || type, ', ' ORDER BY attnum) AS definitions,"
                " (SELECT name FROM known WHERE attnum IS NULL ORDER BY place LIMIT 1) AS stray,"
                " (SELECT min(place[1]) FROM known WHERE attnum IS NULL) AS stray_element"
                " FROM spelt";

struct look {
    int64_t elements;
    const char *columns, *definitions; /* NULL: no object names any */
    const char *stray;
    int64_t stray_element;
};

static pgdbm_status read_look(const pgdbm_result *result, struct look *look, pgdbm_error *err)
{
    pgdbm_status status = pgdbm_get_int64(result, 0, "elements", &look->elements, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, "columns", &look->columns, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, "definitions", &look->definitions, err);
    if (status == PGDBM_OK)
        status = pgdbm_get_text(result, 0, "stray", &look->stray, err);
    if (status == PGDBM_OK && look->stray != NULL)
        status = pgdbm_get_int64(result, 0, "stray_element", &look->stray_element, err);
    return status;
}

/* Nothing has been inserted yet, whatever happened to the look; and the caller has never seen its statement. */
static void explain_look(pgdbm_error *err)
{
    if (err == NULL)
        return;
    if (err->outcome != PGDBM_OUTCOME_ROLLED_BACK)
        pgdbm__error_outcome(err, PGDBM_OUTCOME_NOT_SENT);
    err->position = 0;
    err->statement[0] = '\0';
    if (strncmp(err->sqlstate, "22", 2) == 0)
        pgdbm__error_hint(err, "pgdbm_insert_json takes the text of a JSON array of objects, or of one object");
}

static pgdbm_status refuse_stray(const struct pgdbm__table *table, const struct look *look, pgdbm_error *err)
{
    char shown[128];
    pgdbm__fail(err, PGDBM_ERR_TYPE, "element %lld names \"%s\", which is no column of %s",
                (long long)look->stray_element, pgdbm__printable(look->stray, strlen(look->stray), shown, sizeof shown),
                table->quoted);
    pgdbm__error_detail(err, "elements are counted from 1; nothing was inserted");
    pgdbm__error_hint(err,
                      "names are compared as they are written, upper and lower case; leave out what has no column");
    return PGDBM_ERR_TYPE;
}

/* The columns have their types from the catalog. json_populate_recordset would need no list of them, but would also
 * check the domains of columns that nobody names. */
static char *compose_insert(const struct pgdbm__table *table, const struct look *look)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_format(&sql, "INSERT INTO %s ", table->quoted);
    if (look->columns == NULL)
        pgdbm__buffer_text(&sql, "SELECT FROM json_array_elements(" AS_ARRAY("$1::json") ")");
    else
        pgdbm__buffer_format(&sql, "(%s) SELECT %s FROM json_to_recordset(" AS_ARRAY("$1::json") ") AS rows(%s)",
                             look->columns, look->columns, look->definitions);
    char *made = pgdbm__buffer_take(&sql);
    pgdbm__buffer_free(&sql);
    return made;
}

static pgdbm_status insert(pgdbm_db *db, const struct pgdbm__table *table, const struct look *look, const char *json,
                           int64_t *rows, pgdbm_error *err)
{
    if (look->stray != NULL)
        return refuse_stray(table, look, err);
    if (look->elements == 0) {
        if (rows != NULL)
            *rows = 0;
        return PGDBM_OK;
    }
    char *sql = compose_insert(table, look);
    if (sql == NULL)
        return pgdbm__fail_nomem(err, "composing an INSERT");
    pgdbm_status status = pgdbm_execute(db, sql, pgdbm_args(json), rows, err);
    pgdbm__free(sql);
    return status;
}

pgdbm_status pgdbm_insert_json(pgdbm_db *db, const char *table, const char *json, int64_t *rows, pgdbm_error *err)
{
    struct pgdbm__table found;
    struct look look = {0};
    pgdbm_result *result = NULL;
    if (db == NULL || table == NULL || json == NULL)
        return pgdbm__fail_null(err, "pgdbm_insert_json", db == NULL ? "db" : table == NULL ? "table" : "json");
    pgdbm_status status = pgdbm__db_table(db, table, &found, err);
    if (status != PGDBM_OK)
        return status;
    status = pgdbm_fetch_one(db, look_sql, pgdbm_args((const char *)found.quoted, json), &result, err);
    if (status == PGDBM_OK)
        status = read_look(result, &look, err);
    if (status == PGDBM_OK)
        status = insert(db, &found, &look, json, rows, err);
    else
        explain_look(err);
    pgdbm_result_free(result);
    return status;
}
