/* SPDX-License-Identifier: MIT */
/* The rows of pgdbm.target, made from the histories. Many histories are read by one statement; how many is limited by the
 * server's lock table, because each table and each of its indexes is locked while the statement runs.
 *
 * Roll-outs go on meanwhile, and nobody waits: a row is only overwritten when its digest still is what it was before the history
 * was read. Otherwise whoever wrote it knew better. One thread a call. */
#include "fleet/fleet.h"

#include "base/alloc.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* Histories a statement reads: some 4 locks each, and max_locks_per_transaction * max_connections is 6 400 by default. */
enum { PIECE = 500, PIECE_ATTEMPTS = 5 };

static const pgdbm_call patient = {.timeout_ms = -1};

/* A file that is recorded as applied. */
struct applied {
    const char *filename;
    const char *checksum;
    bool named;
    bool repeatable;
    char version[PGDBM__FILENAME_LIMIT + 1];
};

/* What is known of a tenant. */
struct finding {
    const char *schema;
    bool there, has_table;
    const char *was; /* its digest in pgdbm.target; NULL: no row. Borrowed from the piece's catalog */
    char *head, *digest;
    const char *state;
};

/* Some tenants that are looked at together. */
struct piece {
    pgdbm_fleet *fleet;
    pgdbm_db *session;
    struct finding *findings;
    size_t n_findings;
    pgdbm_result *catalog;
    pgdbm_result *rows; /* number of the finding, filename, checksum, named; by number */
    struct applied *applied;
    size_t n_applied, capacity;
};

static void piece_free(struct piece *piece)
{
    for (size_t i = 0; piece->findings != NULL && i < piece->n_findings; i++) {
        pgdbm__free(piece->findings[i].head);
        pgdbm__free(piece->findings[i].digest);
    }
    pgdbm__free(piece->findings);
    pgdbm__free(piece->applied);
    pgdbm_result_free(piece->catalog);
    pgdbm_result_free(piece->rows);
}

/* Which schemas and which tables are there, and what is known so far. */
static pgdbm_status look_at_catalog(struct piece *piece, const char *const *schemas, pgdbm_error *err)
{
    static const char sql[] =
        "SELECT n.oid IS NOT NULL, c.oid IS NOT NULL, t.digest"
        " FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY u(schema, number)"
        " LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = u.schema"
        " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $2 AND c.relkind IN ('r', 'p')"
        " LEFT JOIN pgdbm.target t ON t.module = $3 AND t.schema = u.schema ORDER BY u.number";
    pgdbm_status status = pgdbm_fetch_all_with(
        piece->session, &patient, sql,
        pgdbm_args(pgdbm_texts(schemas, piece->n_findings), piece->fleet->table, piece->fleet->module), &piece->catalog,
        err);
    for (size_t i = 0; status == PGDBM_OK && i < piece->n_findings; i++) {
        struct finding *finding = &piece->findings[i];
        finding->schema = schemas[i];
        status = pgdbm_get_bool(piece->catalog, i, 0, &finding->there, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_bool(piece->catalog, i, 1, &finding->has_table, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(piece->catalog, i, 2, &finding->was, err);
    }
    return status;
}

static void append_history_query(const struct piece *piece, size_t number, struct pgdbm__buffer *sql)
{
    const struct finding *finding = &piece->findings[number];
    pgdbm__buffer_format(sql, "%sSELECT %zu AS number, filename::text, checksum::text, module_name IS NOT NULL FROM ",
                         sql->length > 0 ? " UNION ALL " : "", number);
    pgdbm__quote_name(sql, finding->schema);
    pgdbm__buffer_text(sql, ".");
    pgdbm__quote_name(sql, piece->fleet->table);
    pgdbm__buffer_text(sql, " WHERE module_name = ");
    struct pgdbm__buffer name = {0};
    pgdbm__buffer_format(&name, "%s_%s", piece->fleet->module, finding->schema);
    if (name.failed)
        sql->failed = true;
    else
        pgdbm__quote_literal(sql, name.data, name.length);
    pgdbm__buffer_free(&name);
    pgdbm__buffer_text(sql, " OR module_name IS NULL");
}

static pgdbm_status read_histories(struct piece *piece, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm_status status = PGDBM_OK;
    for (size_t i = 0; i < piece->n_findings; i++)
        if (piece->findings[i].has_table)
            append_history_query(piece, i, &sql);
    if (sql.length > 0) {
        pgdbm__buffer_text(&sql, " ORDER BY number");
        pgdbm__buffer_append(&sql, "", 1);
        status = sql.failed
                     ? pgdbm__fail_nomem(err, "reading the histories")
                     : pgdbm_fetch_all_with(piece->session, &patient, sql.data, pgdbm_no_args, &piece->rows, err);
    } else if (sql.failed)
        status = pgdbm__fail_nomem(err, "reading the histories");
    pgdbm__buffer_free(&sql);
    return status;
}

static bool add_applied(struct piece *piece, const char *filename, const char *checksum, bool named)
{
    struct pgdbm__migration_name name = {0};
    if (piece->n_applied == piece->capacity) {
        size_t capacity = piece->capacity > 0 ? piece->capacity * 2 : 64;
        struct applied *grown = pgdbm__realloc(piece->applied, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        piece->applied = grown;
        piece->capacity = capacity;
    }
    struct applied *applied = &piece->applied[piece->n_applied++];
    *applied = (struct applied){.filename = filename, .checksum = checksum, .named = named};
    /* A name of no form has no number, stands first, and makes the tenant a diverged one. */
    if (pgdbm__migration_name_parse(filename, &name)) {
        applied->repeatable = name.repeatable;
        PGDBM__COPY_TEXT(applied->version, name.version, name.version_bytes);
    }
    return true;
}

static int compare_applied(const void *a, const void *b)
{
    const struct applied *x = a;
    const struct applied *y = b;
    int order = (int)x->repeatable - (int)y->repeatable;
    if (order == 0 && !x->repeatable)
        order = pgdbm__migration_version_compare(x->version, y->version);
    if (order == 0)
        order = strcmp(x->filename, y->filename);
    return order != 0 ? order : (int)y->named - (int)x->named;
}

static const struct pgdbm__migration_file *find_file(const pgdbm_fleet *fleet, const char *filename)
{
    for (size_t i = 0; i < fleet->set.n_files; i++)
        if (strcmp(fleet->set.files[i].filename, filename) == 0)
            return &fleet->set.files[i];
    return NULL;
}

/* Rows without a module's name are anybody's: they count for the files of this module that have no row of their own. */
static void drop_what_does_not_count(struct piece *piece)
{
    size_t kept = 0;
    for (size_t i = 0; i < piece->n_applied; i++) {
        const struct applied *applied = &piece->applied[i];
        bool again = kept > 0 && strcmp(piece->applied[kept - 1].filename, applied->filename) == 0;
        if (!again && (applied->named || find_file(piece->fleet, applied->filename) != NULL))
            piece->applied[kept++] = *applied;
    }
    piece->n_applied = kept;
}

/* Head, digest and state of what is in piece->applied. */
static pgdbm_status conclude(struct piece *piece, struct finding *finding, pgdbm_error *err)
{
    const pgdbm_fleet *fleet = piece->fleet;
    char chain[PGDBM__CHECKSUM_BYTES] = "";
    const char *head = "";
    struct pgdbm__buffer digest = {0};
    bool beginning = fleet->set.n_versioned == 0; /* all of the files are applied, and first */
    bool made = true;
    size_t numbered = 0;
    if (piece->n_applied > 0)
        qsort(piece->applied, piece->n_applied, sizeof *piece->applied, compare_applied);
    drop_what_does_not_count(piece);
    for (; numbered < piece->n_applied && !piece->applied[numbered].repeatable; numbered++) {
        const struct applied *applied = &piece->applied[numbered];
        made = made && pgdbm__migration_digest_step(chain, applied->filename, applied->checksum);
        head = applied->version;
        if (numbered + 1 == fleet->set.n_versioned)
            beginning = strcmp(chain, fleet->chain[numbered + 1]) == 0;
    }
    pgdbm__buffer_text(&digest, chain);
    for (size_t i = numbered; i < piece->n_applied; i++) {
        char tag[PGDBM__FLEET_TAG_BYTES] = "";
        made = made && pgdbm__fleet_tag(tag, piece->applied[i].filename, piece->applied[i].checksum);
        pgdbm__buffer_format(&digest, ":%s", tag);
    }
    pgdbm__free(finding->head);
    pgdbm__free(finding->digest);
    finding->head = pgdbm__strdup(head);
    finding->digest = pgdbm__buffer_take(&digest);
    pgdbm__buffer_free(&digest);
    if (!made || finding->head == NULL || finding->digest == NULL)
        return pgdbm__fail_nomem(err, "comparing the histories");
    size_t pending = 0;
    pgdbm_target_state state = pgdbm__fleet_judge(fleet, "behind", finding->head, finding->digest, &pending);
    if (state != PGDBM_TARGET_CURRENT && state != PGDBM_TARGET_BEHIND)
        state = beginning ? PGDBM_TARGET_AHEAD : PGDBM_TARGET_DIVERGED;
    finding->state = pgdbm_target_state_name(state);
    return PGDBM_OK;
}

/* A history that is not a beginning of the files may differ from them in comments only: read again, with the semantic
 * checksums, which stand in a column that older tables lack. */
static pgdbm_status look_closer(struct piece *piece, struct finding *finding, pgdbm_error *err)
{
    struct pgdbm__history history = {0};
    struct pgdbm__history_rows rows = {0};
    pgdbm_status status =
        pgdbm__history_init(&history, piece->fleet->module, finding->schema, piece->fleet->table, true, err);
    if (status == PGDBM_OK)
        status = pgdbm__history_read(&history, piece->session, &rows, err);
    piece->n_applied = 0;
    for (size_t i = 0; status == PGDBM_OK && i < rows.n_rows; i++) {
        const struct pgdbm__history_row *row = &rows.rows[i];
        const struct pgdbm__migration_file *file = find_file(piece->fleet, row->filename);
        bool same = file != NULL && row->semantic_checksum != NULL && !file->repeatable &&
                    strcmp(row->semantic_checksum, file->semantic_checksum) == 0;
        if (!add_applied(piece, row->filename, same ? file->checksum : row->checksum, row->named))
            status = pgdbm__fail_nomem(err, "comparing the histories");
    }
    if (status == PGDBM_OK)
        status = conclude(piece, finding, err);
    pgdbm__history_rows_free(&rows);
    pgdbm__history_free(&history);
    return status;
}

static pgdbm_status compare(struct piece *piece, size_t number, size_t *row, pgdbm_error *err)
{
    struct finding *finding = &piece->findings[number];
    pgdbm_status status = PGDBM_OK;
    piece->n_applied = 0;
    for (; status == PGDBM_OK && *row < pgdbm_result_rows(piece->rows); ++*row) {
        int64_t of = 0;
        const char *filename = NULL;
        const char *checksum = NULL;
        bool named = false;
        status = pgdbm_get_int64(piece->rows, *row, 0, &of, err);
        if (status == PGDBM_OK && (size_t)of != number)
            break;
        if (status == PGDBM_OK)
            status = pgdbm_get_text(piece->rows, *row, 1, &filename, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_text(piece->rows, *row, 2, &checksum, err);
        if (status == PGDBM_OK)
            status = pgdbm_get_bool(piece->rows, *row, 3, &named, err);
        if (status == PGDBM_OK && !add_applied(piece, filename, checksum, named))
            status = pgdbm__fail_nomem(err, "comparing the histories");
    }
    if (status == PGDBM_OK)
        status = conclude(piece, finding, err);
    size_t covered = 0;
    if (status == PGDBM_OK && !pgdbm__fleet_covers(piece->fleet, finding->digest, &covered))
        status = look_closer(piece, finding, err);
    return status;
}

/* What was found, in columns, as parameters: a statement for all. */
struct columns {
    const char **schema, **head, **digest, **state, **was;
    size_t n;
};

static bool columns_make(const struct piece *piece, struct columns *columns)
{
    const char **all = pgdbm__alloc_zero(piece->n_findings, 5 * sizeof *all);
    if (all == NULL)
        return false;
    *columns = (struct columns){all,
                                all + piece->n_findings,
                                all + 2 * piece->n_findings,
                                all + 3 * piece->n_findings,
                                all + 4 * piece->n_findings,
                                0};
    for (size_t i = 0; i < piece->n_findings; i++) {
        const struct finding *finding = &piece->findings[i];
        if (!finding->there)
            continue;
        columns->schema[columns->n] = finding->schema;
        columns->head[columns->n] = finding->head;
        columns->digest[columns->n] = finding->digest;
        columns->state[columns->n] = finding->state;
        columns->was[columns->n++] = finding->was;
    }
    return true;
}

#define FOUND                                                                                                          \
    " FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) u(schema, head, digest, "                \
    "state, was)"
#define KEEPS "(t.state = 'quarantined' OR (t.state = 'failed' AND u.state = 'behind' AND t.digest = u.digest))"

static pgdbm_status write_findings(struct piece *piece, pgdbm_error *err)
{
    static const char update[] =
        "UPDATE pgdbm.target t SET head = u.head, digest = u.digest,"
        " state = CASE WHEN " KEEPS " THEN t.state ELSE u.state END,"
        " attempts = CASE WHEN " KEEPS " THEN t.attempts ELSE 0 END, error = CASE WHEN " KEEPS " THEN t.error END,"
        " sqlstate = CASE WHEN " KEEPS " THEN t.sqlstate END, failed_at = CASE WHEN " KEEPS " THEN t.failed_at END,"
        " updated_at = pg_catalog.clock_timestamp()" FOUND
        " WHERE t.module = $1 AND t.schema = u.schema AND t.digest = u.was"
        " AND (t.head, t.digest, t.state) IS DISTINCT FROM (u.head, u.digest, u.state)"
        " AND NOT (" KEEPS " AND t.digest = u.digest)";
    static const char insert[] =
        "INSERT INTO pgdbm.target (module, schema, head, digest, state)"
        " SELECT $1, u.schema, u.head, u.digest, u.state" FOUND " WHERE u.was IS NULL ON CONFLICT DO NOTHING";
    struct columns columns = {0};
    if (!columns_make(piece, &columns))
        return pgdbm__fail_nomem(err, "writing what the histories say");
    const pgdbm_params params = pgdbm_args(piece->fleet->module, pgdbm_texts(columns.schema, columns.n),
                                           pgdbm_texts(columns.head, columns.n), pgdbm_texts(columns.digest, columns.n),
                                           pgdbm_texts(columns.state, columns.n), pgdbm_texts(columns.was, columns.n));
    pgdbm_status status = PGDBM_OK;
    if (columns.n > 0)
        status = pgdbm_execute_with(piece->session, &patient, update, params, NULL, err);
    if (status == PGDBM_OK && columns.n > 0)
        status = pgdbm_execute_with(piece->session, &patient, insert, params, NULL, err);
    pgdbm__free(columns.schema);
    return status;
}

static pgdbm_status look_at_piece(struct piece *piece, const char *const *schemas, pgdbm_error *err)
{
    size_t row = 0;
    piece->findings = pgdbm__alloc_zero(piece->n_findings, sizeof *piece->findings);
    if (piece->findings == NULL)
        return pgdbm__fail_nomem(err, "reading the histories");
    pgdbm_status status = look_at_catalog(piece, schemas, err);
    if (status == PGDBM_OK)
        status = read_histories(piece, err);
    for (size_t i = 0; status == PGDBM_OK && i < piece->n_findings; i++)
        if (piece->findings[i].there)
            status = compare(piece, i, &row, err);
    return status == PGDBM_OK ? write_findings(piece, err) : status;
}

static pgdbm_status sync_piece(pgdbm_fleet *fleet, pgdbm_db *session, const char *const *schemas, size_t n_schemas,
                               pgdbm_error *err)
{
    pgdbm_error cause = {0};
    pgdbm_status status = PGDBM_OK;
    for (int attempt = 0; attempt < PIECE_ATTEMPTS; attempt++) {
        struct piece piece = {.fleet = fleet, .session = session, .n_findings = n_schemas};
        status = look_at_piece(&piece, schemas, &cause);
        piece_free(&piece);
        /* A table was dropped, or made anew, between the catalog and the statement. */
        if (status == PGDBM_OK || (strcmp(cause.sqlstate, "42P01") != 0 && strcmp(cause.sqlstate, "3F000") != 0 &&
                                   strcmp(cause.sqlstate, "XX000") != 0))
            break;
    }
    if (status != PGDBM_OK && strcmp(cause.sqlstate, "53200") == 0 && n_schemas > 1) {
        /* The lock table is full: fewer at a time. */
        size_t half = n_schemas / 2;
        status = sync_piece(fleet, session, schemas, half, &cause);
        if (status == PGDBM_OK)
            status = sync_piece(fleet, session, schemas + half, n_schemas - half, &cause);
    }
    if (status != PGDBM_OK && err != NULL)
        *err = cause;
    return status;
}

pgdbm_status pgdbm__fleet_sync_schemas(pgdbm_fleet *fleet, pgdbm_db *session, const char *const *schemas,
                                       size_t n_schemas, pgdbm_error *err)
{
    pgdbm_status status = PGDBM_OK;
    for (size_t done = 0; status == PGDBM_OK && done < n_schemas; done += PIECE)
        status = sync_piece(fleet, session, schemas + done, n_schemas - done < PIECE ? n_schemas - done : PIECE, err);
    return status;
}

/* The fleet's schemas that are there and can be told apart in the history. */
static pgdbm_status list_schemas(pgdbm_fleet *fleet, pgdbm_db *session, pgdbm_result **result, const char ***names,
                                 size_t *n_names, pgdbm_error *err)
{
    struct pgdbm__buffer sql = {0};
    pgdbm__buffer_text(&sql, "SELECT s.schema FROM (");
    pgdbm__fleet_append_selection(fleet, &sql);
    pgdbm__buffer_text(&sql, ") s WHERE s.there ORDER BY 1");
    pgdbm__buffer_append(&sql, "", 1);
    pgdbm_status status = sql.failed ? pgdbm__fail_nomem(err, "listing a fleet's schemas")
                                     : pgdbm_fetch_all_with(session, &patient, sql.data, pgdbm_no_args, result, err);
    size_t n_rows = pgdbm_result_rows(*result);
    if (status == PGDBM_OK && (*names = pgdbm__alloc_zero(n_rows, sizeof **names)) == NULL)
        status = pgdbm__fail_nomem(err, "listing a fleet's schemas");
    for (size_t i = 0; status == PGDBM_OK && i < n_rows; i++) {
        const char *name = NULL;
        status = pgdbm_get_text(*result, i, 0, &name, err);
        if (status == PGDBM_OK && pgdbm__fleet_check_schema(fleet, name, NULL) == PGDBM_OK)
            (*names)[(*n_names)++] = name;
    }
    pgdbm__buffer_free(&sql);
    return status;
}

pgdbm_status pgdbm_fleet_sync(pgdbm_fleet *fleet, pgdbm_error *err)
{
    pgdbm_db *session = NULL;
    pgdbm_result *result = NULL;
    const char **names = NULL;
    size_t n_names = 0;
    if (fleet == NULL)
        return pgdbm__fail_null(err, "pgdbm_fleet_sync", "fleet");
    pgdbm_status status = pgdbm_pin(fleet->db, &session, err);
    if (status == PGDBM_OK)
        status = list_schemas(fleet, session, &result, &names, &n_names, err);
    if (status == PGDBM_OK)
        status = pgdbm__fleet_sync_schemas(fleet, session, names, n_names, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute_with(session, &patient,
                                    "DELETE FROM pgdbm.target t WHERE t.module = $1 AND NOT EXISTS"
                                    " (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = t.schema)",
                                    pgdbm_args(fleet->module), NULL, err);
    if (session != NULL)
        (void)pgdbm_retire(session, NULL); /* its server process has met every tenant's table */
    pgdbm_close(session);
    pgdbm__free(names);
    pgdbm_result_free(result);
    return status;
}
