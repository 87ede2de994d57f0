/* SPDX-License-Identifier: MIT */
/* `pgdbm schema clean`: everything in a schema goes, the schema itself stays, and with it its owner, its grants and its default
 * privileges. No state. */
#include "interrupt.h"
#include "output.h"
#include "schema.h"

#include <stdlib.h>
#include <string.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

/* Objects that an error names. */
enum { MAX_NAMED = 8, DEFAULT_LOCK_TIMEOUT_MS = 2000 };

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
    {"module", "NAME", NULL, "The schema of this module of the project"},
    {"cascade", NULL, NULL, "Also what depends on it in other schemas"},
    CLI_OPTION_LOCK_TIMEOUT,
    CLI_OPTION_YES,
};

/* `own`: what lies in the schema $1, without extensions, which are nobody's, and what goes with something else anyway. */
#define OWN                                                                                                            \
    "own AS (SELECT DISTINCT d.classid, d.objid FROM pg_depend d WHERE d.refclassid = 'pg_namespace'::regclass"        \
    " AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = $1::text) AND d.deptype = 'n'"                    \
    " AND d.classid <> 'pg_extension'::regclass AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid"   \
    " AND e.objid = d.objid AND e.objsubid = 0 AND e.deptype IN ('e', 'i')))"

static const char look_query[] =
    "WITH " OWN " SELECT n.nspname AS schema, (SELECT count(*) FROM own) AS objects,"
    " (SELECT count(*) FROM own JOIN pg_class c ON c.oid = objid WHERE classid = 'pg_class'::regclass"
    "  AND relkind IN ('r', 'p', 'f')) AS tables,"
    " (SELECT coalesce(sum(greatest(reltuples, 0)), 0)::int8 FROM own JOIN pg_class c ON c.oid = objid"
    "  WHERE classid = 'pg_class'::regclass AND relkind = 'r') AS rows_estimate,"
    " EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid AND relname = $2::text AND relkind = 'r') AS history,"
    " (SELECT string_agg(extname, ', ' ORDER BY extname) FROM pg_extension WHERE extnamespace = n.oid)"
    "  AS kept_extensions FROM pg_namespace n WHERE nspname = $1::text";

/* What would go with it elsewhere, as DROP ... CASCADE follows pg_depend (PostgreSQL documentation 53.18): whatever depends on
 * what goes, and what a part that goes is an internal part of (a view of its rule). Named are those that do not merely come
 * with another one, as an index with its table does. */
static const char outside_query[] =
    "WITH RECURSIVE " OWN ", gone AS (SELECT classid, objid, 0 AS objsubid FROM own UNION"
    " SELECT d.classid, d.objid, d.objsubid FROM gone g CROSS JOIN LATERAL ("
    "  SELECT classid, objid, objsubid FROM pg_depend WHERE refclassid = g.classid AND refobjid = g.objid"
    "  AND (g.objsubid = 0 OR refobjsubid = g.objsubid) AND deptype IN ('n', 'a', 'i', 'P', 'S')"
    "  UNION ALL SELECT refclassid, refobjid, refobjsubid FROM pg_depend WHERE classid = g.classid"
    "  AND objid = g.objid AND g.objsubid = 0 AND deptype = 'i') d),"
    " far AS MATERIALIZED (SELECT g.*, i.type, i.identity FROM gone g"
    "  CROSS JOIN LATERAL pg_identify_object(g.classid, g.objid, g.objsubid) i"
    "  CROSS JOIN LATERAL (SELECT coalesce(i.schema, (SELECT quote_ident(nspname) FROM pg_class c JOIN pg_namespace n"
    "   ON n.oid = relnamespace WHERE c.oid = CASE g.classid"
    "    WHEN 'pg_attrdef'::regclass THEN (SELECT adrelid FROM pg_attrdef WHERE oid = g.objid)"
    "    WHEN 'pg_trigger'::regclass THEN (SELECT tgrelid FROM pg_trigger WHERE oid = g.objid)"
    "    WHEN 'pg_policy'::regclass THEN (SELECT polrelid FROM pg_policy WHERE oid = g.objid)"
    "    WHEN 'pg_rewrite'::regclass THEN (SELECT ev_class FROM pg_rewrite WHERE oid = g.objid) END)) AS schema) s"
    "  WHERE s.schema <> quote_ident($1::text) AND s.schema !~ '^pg_toast')"
    " SELECT DISTINCT type || ' ' || identity AS object FROM far f WHERE NOT EXISTS ("
    "  SELECT FROM pg_depend h JOIN gone o ON o.classid = h.refclassid AND o.objid = h.refobjid"
    "  AND (o.objsubid = 0 OR o.objsubid = h.refobjsubid) WHERE h.classid = f.classid AND h.objid = f.objid"
    "  AND h.objsubid = f.objsubid AND (h.deptype = 'i' OR (h.deptype = 'a' AND f.type NOT LIKE '%table'))) ORDER BY 1";

/* Tables first: they take most of the rest with them. A routine is a function, a procedure or an aggregate; only DROP ROUTINE takes
 * an aggregate without arguments by this name. */
static const char drop_query[] =
    "WITH " OWN " SELECT string_agg('DROP ' || CASE WHEN type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'"
    " WHEN type = 'composite type' THEN 'TYPE' WHEN type = 'statistics object' THEN 'STATISTICS' ELSE upper(type) END"
    " || ' IF EXISTS ' || identity || ' CASCADE', '; ' ORDER BY type <> 'table', type, identity)"
    " FROM own CROSS JOIN LATERAL pg_identify_object(classid, objid, 0)";

/* Zero-initialise. */
struct cleaning {
    struct pgdbm__cli_session session;
    struct pgdbm__cli_places places;
    const char *name; /* the schema */
    bool cascade;
    int lock_timeout_ms; /* -1: off */
    pgdbm_result *found, *outside;
};

/* The schema that is named, or the module's. */
static int choose_schema(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                         struct cleaning *cleaning)
{
    const char *module = pgdbm__cli_value(command, given, "module");
    const struct pgdbm__cli_session *session = &cleaning->session;
    if ((module != NULL) == (given->n_arguments > 0))
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "give a schema's NAME, or --module for that of a module",
                                         "schema clean: %s",
                                         module != NULL ? "both NAME and --module" : "which schema?");
    if (!pgdbm__cli_places_read(command, given, &session->target, &cleaning->places))
        return CLI_FAILED;
    int code = CLI_FINE;
    if (module != NULL)
        code = pgdbm__cli_places_schema(session, &cleaning->places, module, &cleaning->name);
    else
        cleaning->name = given->arguments[0];
    if (code == CLI_FINE)
        code = pgdbm__cli_name_check(session, "schema", cleaning->name, false);
    if (code == CLI_FINE && pgdbm__cli_schema_is_system(cleaning->name))
        code = pgdbm__cli_session_refuse(session, CLI_USAGE, "name a schema of the project's",
                                         "%s is PostgreSQL's own and is left alone", cleaning->name);
    return code;
}

/* Names what would go elsewhere. */
static int refuse_outside(const struct cleaning *cleaning)
{
    size_t n = pgdbm_result_rows(cleaning->outside);
    pgdbm_error err = {.status = PGDBM_ERR_QUERY};
    snprintf(err.message, sizeof err.message,
             "%zu object%s in other schemas depend%s on the schema %s; nothing was done", n, n == 1 ? "" : "s",
             n == 1 ? "s" : "", cleaning->name);
    size_t length = 0;
    for (size_t i = 0; i < n && i < MAX_NAMED && length < sizeof err.detail - 1; i++)
        length += (size_t)snprintf(err.detail + length, sizeof err.detail - length, "%s%s", i > 0 ? ", " : "",
                                   pgdbm__cli_text_at(cleaning->outside, i, "object"));
    if (n > MAX_NAMED && length < sizeof err.detail - 1)
        snprintf(err.detail + length, sizeof err.detail - length, ", and %zu more", n - MAX_NAMED);
    snprintf(err.hint, sizeof err.hint, "--cascade drops them, too");
    (void)pgdbm__cli_session_fail(&cleaning->session, &err, false);
    return CLI_FAILED;
}

/* What is there; once more within the transaction, because a person may have thought for long. */
static int look(struct cleaning *cleaning, pgdbm_db *db)
{
    pgdbm_error err = {0};
    const char *history = cleaning->session.target.project.migrations_table;
    pgdbm_result_free(cleaning->found);
    pgdbm_result_free(cleaning->outside);
    cleaning->found = cleaning->outside = NULL;
    if (pgdbm_fetch_one(db, look_query, pgdbm_args(cleaning->name, history != NULL ? history : "schema_migrations"),
                        &cleaning->found, &err) != PGDBM_OK ||
        pgdbm_fetch_all(db, outside_query, pgdbm_args(cleaning->name), &cleaning->outside, &err) != PGDBM_OK)
        return pgdbm__cli_session_fail(&cleaning->session, &err, false);
    if (pgdbm_result_rows(cleaning->found) == 0)
        return pgdbm__cli_session_refuse(&cleaning->session, CLI_FAILED, "pgdbm schema list names those that are there",
                                         "there is no schema %s", cleaning->name);
    return pgdbm_result_rows(cleaning->outside) > 0 && !cleaning->cascade ? refuse_outside(cleaning) : CLI_FINE;
}

/* "everything in the schema a would go: 2 tables with some 10 rows, ...": the caller's; NULL: out of memory, and said so. */
static char *describe(const struct cleaning *cleaning)
{
    char *text = NULL;
    size_t bytes = 0;
    size_t n_modules = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out != NULL) {
        fprintf(out, "everything in the schema %s would go", cleaning->name);
        if (cleaning->found != NULL) {
            fprintf(out, ": %lld objects, of them %lld tables with some %lld rows",
                    (long long)pgdbm__cli_int_at(cleaning->found, 0, "objects"),
                    (long long)pgdbm__cli_int_at(cleaning->found, 0, "tables"),
                    (long long)pgdbm__cli_int_at(cleaning->found, 0, "rows_estimate"));
            if (strcmp(pgdbm__cli_text_at(cleaning->found, 0, "history"), "t") == 0)
                fprintf(out, "; the history of migrations is one of them");
        }
        for (size_t i = 0; i < cleaning->places.n; i++)
            if (strcmp(cleaning->places.schemas[i], cleaning->name) == 0)
                fprintf(out, "%s%s", n_modules++ == 0 ? "; it is the schema of " : ", ", cleaning->places.modules[i]);
        for (size_t i = 0; i < pgdbm_result_rows(cleaning->outside); i++)
            fprintf(out, "%s%s", i == 0 ? "; with it, of other schemas: " : ", ",
                    pgdbm__cli_text_at(cleaning->outside, i, "object"));
    }
    if (out == NULL || fclose(out) != 0) {
        pgdbm__cli_say_error(NULL, "out of memory");
        free(text);
        return NULL;
    }
    return text;
}

static int ask(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
               struct cleaning *cleaning, bool looked)
{
    char *what = describe(cleaning);
    int code = CLI_FAILED;
    if (what != NULL && looked)
        code = pgdbm__cli_session_confirm(command, given, &cleaning->session, NULL, what);
    else if (what != NULL)
        code = pgdbm__cli_confirm_can_ask(command, given, &cleaning->session.target, what);
    free(what);
    return code;
}

static int fail(const struct cleaning *cleaning, pgdbm_error *err)
{
    if (strcmp(err->sqlstate, "55P03") == 0)
        snprintf(err->hint, sizeof err->hint,
                 "somebody works with it just now; nothing was done. Again later, or with a longer --lock-timeout");
    return pgdbm__cli_session_fail(&cleaning->session, err, false);
}

static pgdbm_status drop_objects(const struct cleaning *cleaning, pgdbm_db *tx, pgdbm_error *err)
{
    pgdbm_status status = pgdbm__cli_run_made(tx, drop_query, pgdbm_args(cleaning->name), err);
    return status == PGDBM_OK ? pgdbm_schema_changed(tx, err) : status;
}

/* All of it in one transaction, the second look included. */
static int clean_it(struct cleaning *cleaning)
{
    pgdbm_error err = {0};
    pgdbm_db *tx = NULL;
    char timeout[16];
    snprintf(timeout, sizeof timeout, "%d", cleaning->lock_timeout_ms > 0 ? cleaning->lock_timeout_ms : 0);
    if (pgdbm_begin(cleaning->session.db, NULL, &tx, &err) != PGDBM_OK)
        return fail(cleaning, &err);
    int code = CLI_FINE;
    if (pgdbm_execute(tx,
                      "SELECT set_config('lock_timeout', $1::text, true),"
                      " set_config('client_min_messages', 'warning', true)",
                      pgdbm_args((const char *)timeout), NULL, &err) != PGDBM_OK)
        code = fail(cleaning, &err);
    if (code == CLI_FINE)
        code = look(cleaning, tx);
    if (code == CLI_FINE && drop_objects(cleaning, tx, &err) != PGDBM_OK)
        code = fail(cleaning, &err);
    if (code != CLI_FINE) {
        (void)pgdbm_rollback(tx, NULL);
        return code;
    }
    return pgdbm_commit(tx, &err) == PGDBM_OK ? CLI_FINE : fail(cleaning, &err);
}

static int answer(const struct cleaning *cleaning)
{
    static const char *const columns[] = {"schema", "objects", "tables", "rows_estimate", "kept_extensions", NULL};
    const char *extensions = pgdbm__cli_text_at(cleaning->found, 0, "kept_extensions");
    if (cleaning->session.json) {
        json_t *outside = json_array();
        json_t *rows = pgdbm__cli_json_rows(cleaning->found, columns);
        for (size_t i = 0; i < pgdbm_result_rows(cleaning->outside); i++)
            json_array_append_new(outside, pgdbm__cli_json_text(pgdbm__cli_text_at(cleaning->outside, i, "object")));
        json_t *value = json_incref(json_array_get(rows, 0));
        json_decref(rows);
        json_object_set_new(value, "outside", outside);
        return pgdbm__cli_session_answer(value);
    }
    if (!pgdbm__cli_settings.quiet)
        printf("%s cleaned: %lld objects, of them %lld tables; %zu in other schemas\n", cleaning->name,
               (long long)pgdbm__cli_int_at(cleaning->found, 0, "objects"),
               (long long)pgdbm__cli_int_at(cleaning->found, 0, "tables"), pgdbm_result_rows(cleaning->outside));
    if (extensions[0] != '\0')
        pgdbm__cli_remark("extensions stay: %s", extensions);
    return CLI_FINE;
}

static int clean(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct cleaning cleaning = {
        .cascade = pgdbm__cli_value(command, given, "cascade") != NULL,
        .lock_timeout_ms = DEFAULT_LOCK_TIMEOUT_MS,
    };
    int code = pgdbm__cli_duration(command, given, "lock-timeout", &cleaning.lock_timeout_ms);
    if (code == CLI_FINE)
        code = pgdbm__cli_session_read(command, given, &cleaning.session);
    if (code == CLI_FINE)
        code = choose_schema(command, given, &cleaning);
    if (code == CLI_FINE)
        code = ask(command, given, &cleaning, false);
    pgdbm__cli_session_be_patient(&cleaning.session);
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open(&cleaning.session);
    if (code == CLI_FINE)
        code = look(&cleaning, cleaning.session.db);
    if (code == CLI_FINE && pgdbm__cli_int_at(cleaning.found, 0, "objects") > 0) {
        code = ask(command, given, &cleaning, true);
        if (code == CLI_FINE)
            code = clean_it(&cleaning);
    }
    if (code == CLI_FINE)
        code = answer(&cleaning);
    pgdbm_result_free(cleaning.found);
    pgdbm_result_free(cleaning.outside);
    pgdbm__cli_places_free(&cleaning.places);
    pgdbm__cli_session_close(&cleaning.session);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_schema_clean = {
    .group = "schema",
    .name = "clean",
    .summary = "Drop everything in a schema; the schema itself stays",
    .description =
        "Tables, views, functions, types and the history of migrations, in one transaction. Owner, grants and "
        "default privileges of the schema stay, and so do extensions. It asks first, and refuses when "
        "something in another schema depends on what would go, unless --cascade.",
    .example = "pgdbm schema clean --module orders --yes && pgdbm migrate apply --module orders",
    .argument = "[NAME]",
    .max_arguments = 1,
    .arguments_optional = true,
    .options = options,
    .n_options = N_OF(options),
    .run = clean,
};
