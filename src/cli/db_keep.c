/* SPDX-License-Identifier: MIT */
/* The pieces of a database as statements, tried before they are needed. No state but the caller's. */
#include "db_keep.h"

#include "output.h"

#include <stdlib.h>
#include <string.h>

/* Settings that are lists of names are kept with the quotes of names; written as one literal they would be one name (the same list as
 * pg_dump's). Grants are made again as the owner's, whoever made them. */
static const char pieces[] =
    "WITH d AS (SELECT oid, datacl, quote_ident(datname) AS name, quote_ident(pg_get_userbyid(datdba)) AS owner"
    " FROM pg_database WHERE datname = $1::text),"
    " grants AS (SELECT a.grantee, a.privilege_type, bool_or(a.is_grantable) AS grantable"
    " FROM d, aclexplode(d.datacl) a GROUP BY 1, 2),"
    " settings AS (SELECT d.name AS database, r.rolname AS role, left(c, strpos(c, '=') - 1) AS setting,"
    " substr(c, strpos(c, '=') + 1) AS value FROM d JOIN pg_db_role_setting s ON s.setdatabase = d.oid"
    " LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c) "
    "SELECT 1 AS place, 'the comment' AS what,"
    " 'COMMENT ON DATABASE ' || name || ' IS ' || quote_literal(shobj_description(oid, 'pg_database')) AS statement"
    " FROM d WHERE shobj_description(oid, 'pg_database') IS NOT NULL "
    "UNION ALL SELECT 2, 'the grants', 'REVOKE ALL ON DATABASE ' || name || ' FROM PUBLIC, ' || owner ||"
    " coalesce((SELECT string_agg('; GRANT ' || privilege_type || ' ON DATABASE ' || name || ' TO ' || CASE grantee"
    " WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END || CASE WHEN grantable"
    " THEN ' WITH GRANT OPTION' ELSE '' END, '') FROM grants), '') FROM d WHERE datacl IS NOT NULL "
    "UNION ALL SELECT 3, 'the setting ' || setting || coalesce(' of the role ' || role, ''), 'ALTER ' || coalesce("
    "'ROLE ' || quote_ident(role) || ' IN ', '') || 'DATABASE ' || database || ' SET ' || quote_ident(setting) ||"
    " ' TO ' || CASE WHEN lower(setting) IN ('search_path', 'temp_tablespaces', 'local_preload_libraries',"
    " 'session_preload_libraries', 'shared_preload_libraries', 'unix_socket_directories') THEN coalesce("
    "(SELECT string_agg(quote_literal(CASE WHEN m[1] LIKE '\"%' THEN"
    " replace(substr(m[1], 2, length(m[1]) - 2), '\"\"', '\"') ELSE m[1] END), ', ' ORDER BY n)"
    " FROM regexp_matches(value, '(\"(?:[^\"]|\"\")*\"|[^,[:space:]]+)', 'g') WITH ORDINALITY AS found (m, n)),"
    " quote_literal('')) ELSE quote_literal(value) END FROM settings ORDER BY place, what";

static const char *what_of(const struct pgdbm__cli_keep *keep, size_t i)
{
    return pgdbm__cli_text_at(keep->pieces, i, "what");
}

static pgdbm_status out_of_memory(pgdbm_error *err)
{
    *err = (pgdbm_error){.status = PGDBM_ERR_NOMEM, .message = "out of memory"};
    return err->status;
}

/* Not what the moment brings: Ctrl-C and time-outs, locks, a server that is full. */
static bool is_refusal(const pgdbm_error *err)
{
    static const char *const passing[] = {"40", "53", "55", "57", "58"};
    if (err->sqlstate[0] == '\0' || err->status == PGDBM_ERR_CONNECTION)
        return false;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strncmp(err->sqlstate, passing[i], 2) == 0)
            return strcmp(err->sqlstate, "55P02") == 0; /* a setting that cannot be changed */
    return true;
}

/* Runs the statement behind a savepoint. What the server refuses is the piece's reason; other errors are errors. */
static pgdbm_status try_piece(pgdbm_db *tx, const char *statement, char **reason, pgdbm_error *err)
{
    pgdbm_db *savepoint = NULL;
    pgdbm_status status = pgdbm_begin(tx, NULL, &savepoint, err);
    if (status == PGDBM_OK)
        status = pgdbm_execute_simple(savepoint, statement, err);
    const bool refused = status != PGDBM_OK && is_refusal(err);
    if (status == PGDBM_OK)
        return pgdbm_commit(savepoint, err);
    if (!refused) {
        pgdbm_close(savepoint);
        return status;
    }
    *reason = strdup(err->message);
    status = pgdbm_rollback(savepoint, err);
    return *reason != NULL ? status : out_of_memory(err);
}

/* On the database that is there, in a transaction that is rolled back. */
static pgdbm_status try_all(pgdbm_db *db, struct pgdbm__cli_keep *keep, pgdbm_error *err)
{
    pgdbm_db *tx = NULL;
    size_t n = pgdbm_result_rows(keep->pieces);
    keep->reasons = calloc(n + 1, sizeof *keep->reasons);
    if (keep->reasons == NULL)
        return out_of_memory(err);
    pgdbm_status status = n > 0 ? pgdbm_begin(db, NULL, &tx, err) : PGDBM_OK;
    for (size_t i = 0; status == PGDBM_OK && i < n; i++)
        status = try_piece(tx, pgdbm__cli_text_at(keep->pieces, i, "statement"), &keep->reasons[i], err);
    pgdbm_close(tx);
    return status;
}

int pgdbm__cli_keep_read(const struct pgdbm__cli_session *session, const char *database, struct pgdbm__cli_keep *keep)
{
    pgdbm_error err = {0};
    if (pgdbm_fetch_all(session->db, pieces, pgdbm_args(database), &keep->pieces, &err) == PGDBM_OK &&
        try_all(session->db, keep, &err) == PGDBM_OK)
        return CLI_FINE;
    return pgdbm__cli_session_fail(session, &err, false);
}

void pgdbm__cli_keep_warn(const struct pgdbm__cli_keep *keep)
{
    for (size_t i = 0; i < pgdbm_result_rows(keep->pieces); i++)
        if (keep->reasons[i] != NULL)
            pgdbm__cli_print_line(stderr, "this role cannot make it again, and it will be gone: %s (%s)",
                                  what_of(keep, i), keep->reasons[i]);
}

json_t *pgdbm__cli_keep_lost(const struct pgdbm__cli_keep *keep)
{
    json_t *lost = json_array();
    for (size_t i = 0; i < pgdbm_result_rows(keep->pieces); i++)
        if (keep->reasons[i] != NULL)
            json_array_append_new(lost, pgdbm__cli_json_text(what_of(keep, i)));
    return lost;
}

int pgdbm__cli_keep_restore(const struct pgdbm__cli_session *session, const char *database,
                            const struct pgdbm__cli_keep *keep)
{
    pgdbm_error first = {0};
    char missing[300] = "";
    for (size_t i = 0; i < pgdbm_result_rows(keep->pieces); i++) {
        pgdbm_error err = {0};
        const char *statement = pgdbm__cli_text_at(keep->pieces, i, "statement");
        if (keep->reasons[i] != NULL || pgdbm_execute_simple(session->db, statement, &err) == PGDBM_OK)
            continue;
        size_t used = strlen(missing);
        snprintf(missing + used, sizeof missing - used, "%s%s", used > 0 ? ", " : "", what_of(keep, i));
        if (used == 0)
            first = err;
    }
    if (missing[0] == '\0')
        return CLI_FINE;
    (void)pgdbm__cli_session_refuse(session, CLI_FAILED, "they are to be made by hand; it had:",
                                    "the database %s was made anew, but without %s: %.300s", database, missing,
                                    first.message);
    pgdbm__cli_keep_print(keep);
    return CLI_FAILED;
}

void pgdbm__cli_keep_print(const struct pgdbm__cli_keep *keep)
{
    for (size_t i = 0; i < pgdbm_result_rows(keep->pieces); i++)
        pgdbm__cli_print_line(stderr, "%s;", pgdbm__cli_text_at(keep->pieces, i, "statement"));
}

void pgdbm__cli_keep_free(struct pgdbm__cli_keep *keep)
{
    for (size_t i = 0; keep->reasons != NULL && i < pgdbm_result_rows(keep->pieces); i++)
        free(keep->reasons[i]);
    free(keep->reasons);
    pgdbm_result_free(keep->pieces);
    *keep = (struct pgdbm__cli_keep){0};
}
