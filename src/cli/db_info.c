/* SPDX-License-Identifier: MIT */
/* `pgdbm db test-connection|info`: what the target is, seen from a connection to it. No state. */
#include "address.h"
#include "output.h"
#include "session.h"

#include <string.h>
#include <time.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

/* Histories that are read for their modules; fleets have one for each tenant. */
#define MAX_HISTORIES "100"

static const struct pgdbm__cli_option options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
};

static double now_ms(void)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* What a connection is like; the texts are those of `seen` and `address`. */
struct connection {
    struct pgdbm__cli_address address;
    pgdbm_result *seen;
    double connect_ms, round_trip_ms;
};

/* The first statement is prepared as well, the second one is only sent and answered. */
static int measure(struct pgdbm__cli_session *session, struct connection *connection)
{
    pgdbm_error err = {0};
    int64_t one = 0;
    pgdbm_status status = PGDBM_OK;
    for (int turn = 0; status == PGDBM_OK && turn < 2; turn++) {
        double before = now_ms();
        status = pgdbm_fetch_value(session->db, "SELECT 1::int8", pgdbm_no_args, &one, &err);
        connection->round_trip_ms = now_ms() - before;
    }
    if (status == PGDBM_OK)
        status = pgdbm_fetch_one(session->db,
                                 "SELECT current_setting('server_version') AS version, current_database() AS database,"
                                 " session_user AS \"user\", host(inet_server_addr()) AS server_address,"
                                 " inet_server_port() AS server_port, coalesce(s.ssl, false) AS tls,"
                                 " s.version AS tls_version, s.cipher AS tls_cipher,"
                                 " pg_is_in_recovery() AS standby"
                                 " FROM (SELECT 1) one LEFT JOIN pg_stat_ssl s ON s.pid = pg_backend_pid()",
                                 pgdbm_no_args, &connection->seen, &err);
    return status == PGDBM_OK ? CLI_FINE : pgdbm__cli_session_fail(session, &err, false);
}

static json_t *json_connection(const struct connection *connection)
{
    static const char *const columns[] = {"version", "database",    "user",       "server_address", "server_port",
                                          "tls",     "tls_version", "tls_cipher", "standby",        NULL};
    json_t *rows = pgdbm__cli_json_rows(connection->seen, columns);
    json_t *row = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    json_object_set_new(row, "connected", json_true());
    json_object_set_new(row, "host", pgdbm__cli_json_text(connection->address.host));
    json_object_set_new(row, "port", pgdbm__cli_json_text(connection->address.port));
    json_object_set_new(row, "connect_ms", json_real(connection->connect_ms));
    json_object_set_new(row, "round_trip_ms", json_real(connection->round_trip_ms));
    return row;
}

static void print_connection(const struct connection *connection)
{
    const char *host = connection->address.host != NULL ? connection->address.host : "(the default socket)";
    const char *version = pgdbm__cli_text_at(connection->seen, 0, "tls_version");
    bool standby = strcmp(pgdbm__cli_text_at(connection->seen, 0, "standby"), "t") == 0;
    pgdbm__cli_print_line(stdout, "server      PostgreSQL %s%s", pgdbm__cli_text_at(connection->seen, 0, "version"),
                          standby ? ", a standby: read only" : "");
    pgdbm__cli_print_line(stdout, "host        %s", host);
    pgdbm__cli_print_line(stdout, "port        %s",
                          connection->address.port != NULL ? connection->address.port : "5432");
    pgdbm__cli_print_line(stdout, "database    %s", pgdbm__cli_text_at(connection->seen, 0, "database"));
    pgdbm__cli_print_line(stdout, "user        %s", pgdbm__cli_text_at(connection->seen, 0, "user"));
    if (version[0] != '\0')
        pgdbm__cli_print_line(stdout, "TLS         %s, %s", version,
                              pgdbm__cli_text_at(connection->seen, 0, "tls_cipher"));
    else
        printf("TLS         no\n");
    printf("connected   in %.1f ms, a round trip takes %.2f ms\n", connection->connect_ms, connection->round_trip_ms);
}

static int test_connection(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct pgdbm__cli_session session = {0};
    struct connection connection = {0};
    int code = pgdbm__cli_session_read(command, given, &session);
    double before = now_ms();
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open(&session);
    connection.connect_ms = now_ms() - before;
    if (code == CLI_FINE && !pgdbm__cli_address_read(&session.target.config, NULL, &connection.address))
        code = CLI_FAILED;
    if (code == CLI_FINE)
        code = measure(&session, &connection);
    if (code == CLI_FINE && session.json)
        code = pgdbm__cli_session_answer(json_connection(&connection));
    else if (code == CLI_FINE)
        print_connection(&connection);
    pgdbm_result_free(connection.seen);
    pgdbm__cli_address_free(&connection.address);
    pgdbm__cli_session_close(&session);
    return code;
}

/* What `db info` shows, in the order of `queries`. */
enum { OVERVIEW, SCHEMAS, EXTENSIONS, MODULES, N_LISTS };

struct list {
    const char *name, *query; /* NULL: made by another one, below */
    const char *const *headings, *const *columns;
    size_t n_headings;
};

static const char *const overview_columns[] = {
    "database",   "version", "owner",       "encoding",        "collation",        "size",
    "size_bytes", "uptime",  "connections", "max_connections", "connections_here", NULL};
static const char *const schema_headings[] = {"SCHEMA", "TABLES", "SIZE"};
static const char *const schema_columns[] = {"schema", "tables", "size", "size_bytes", "locked", NULL};
static const char *const extension_headings[] = {"EXTENSION", "VERSION", "SCHEMA"};
static const char *const extension_columns[] = {"extension", "version", "schema", NULL};
static const char *const module_headings[] = {"MODULE", "SCHEMA", "MIGRATIONS", "LAST"};
static const char *const module_columns[] = {"module", "schema", "migrations", "head", NULL};

static const struct list lists[N_LISTS] = {
    [OVERVIEW] = {NULL,
                  "SELECT current_database() AS database, current_setting('server_version') AS version,"
                  " pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding,"
                  " datcollate AS collation, pg_size_pretty(pg_database_size(oid)) AS size,"
                  " pg_database_size(oid) AS size_bytes,"
                  " date_trunc('second', now() - pg_postmaster_start_time())::text AS uptime,"
                  " (SELECT count(*) FROM pg_stat_activity"
                  "  WHERE coalesce(backend_type, 'client backend') = 'client backend') AS connections,"
                  " current_setting('max_connections')::int8 AS max_connections,"
                  " (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid) AS connections_here"
                  " FROM pg_database d WHERE datname = current_database() AND $1::text IS NOT NULL",
                  NULL, overview_columns, 0},
    [SCHEMAS] = {"schemas",
                 CLI_SQL_SIZES " SELECT nspname AS schema, coalesce(tables, 0) AS tables,"
                               " pg_size_pretty(coalesce(bytes, 0)) AS size, coalesce(bytes, 0) AS size_bytes,"
                               " coalesce(locked, 0) AS locked FROM pg_namespace n"
                               " LEFT JOIN sizes ON relnamespace = n.oid"
                               " WHERE " CLI_SQL_NOT_SYSTEM " AND $1::text IS NOT NULL ORDER BY 1",
                 schema_headings, schema_columns, N_OF(schema_headings)},
    [EXTENSIONS] = {"extensions",
                    "SELECT extname AS extension, extversion AS version, nspname AS schema FROM pg_extension"
                    " JOIN pg_namespace n ON n.oid = extnamespace WHERE $1::text IS NOT NULL ORDER BY 1",
                    extension_headings, extension_columns, N_OF(extension_headings)},
    [MODULES] = {"modules", NULL, module_headings, module_columns, N_OF(module_headings)},
};

/* One statement over all histories that this role may read. */
static const char module_query[] =
    "SELECT string_agg(format('SELECT coalesce(module_name::text, '''') AS module, %L AS schema,"
    " count(*) AS migrations, (array_agg(filename::text ORDER BY id DESC))[1] AS head FROM %I.%I GROUP BY 1',"
    " nspname, nspname, relname), ' UNION ALL ') || ' ORDER BY 1, 2'"
    " FROM (SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    "  WHERE relname = $1::text AND relkind = 'r' AND has_schema_privilege(n.oid, 'USAGE')"
    "  AND has_table_privilege(c.oid, 'SELECT') AND position('{' || '{' IN nspname || relname) = 0"
    "  AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT attisdropped"
    "       AND attname IN ('id', 'module_name', 'filename')) = 3"
    "  ORDER BY nspname LIMIT " MAX_HISTORIES ") histories";

static int fetch_lists(struct pgdbm__cli_session *session, pgdbm_result **results)
{
    pgdbm_error err = {0};
    char *made = NULL;
    const char *table = session->target.project.migrations_table;
    pgdbm_status status = PGDBM_OK;
    if (table == NULL)
        table = "schema_migrations";
    for (size_t i = 0; status == PGDBM_OK && i < N_LISTS; i++)
        if (lists[i].query != NULL)
            status = pgdbm_fetch_all(session->db, lists[i].query, pgdbm_args(table), &results[i], &err);
    if (status == PGDBM_OK)
        status = pgdbm_fetch_value(session->db, module_query, pgdbm_args(table), &made, &err);
    if (status == PGDBM_OK && made != NULL)
        status = pgdbm_fetch_all(session->db, made, pgdbm_no_args, &results[MODULES], &err);
    pgdbm_free(made);
    return status == PGDBM_OK ? CLI_FINE : pgdbm__cli_session_fail(session, &err, false);
}

static json_t *json_info(pgdbm_result *const *results)
{
    json_t *rows = pgdbm__cli_json_rows(results[OVERVIEW], overview_columns);
    json_t *answer = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    for (size_t i = OVERVIEW + 1; i < N_LISTS; i++)
        json_object_set_new(answer, lists[i].name, pgdbm__cli_json_rows(results[i], lists[i].columns));
    return answer;
}

static int print_info(pgdbm_result *const *results)
{
    const pgdbm_result *overview = results[OVERVIEW];
    static const char *const labels[] = {"database", "version", "owner", "encoding", "collation", "size", "uptime"};
    int64_t locked = 0;
    for (size_t i = 0; i < N_OF(labels); i++)
        pgdbm__cli_print_line(stdout, "%-12s%s%s", labels[i], strcmp(labels[i], "version") == 0 ? "PostgreSQL " : "",
                              pgdbm__cli_text_at(overview, 0, labels[i]));
    pgdbm__cli_print_line(
        stdout, "%-12s%s of %s, %s to this database", "connections", pgdbm__cli_text_at(overview, 0, "connections"),
        pgdbm__cli_text_at(overview, 0, "max_connections"), pgdbm__cli_text_at(overview, 0, "connections_here"));
    for (size_t i = OVERVIEW + 1; i < N_LISTS; i++) {
        if (pgdbm_result_rows(results[i]) > 0)
            putchar('\n');
        if (!pgdbm__cli_print_rows(results[i], lists[i].headings, lists[i].columns, lists[i].n_headings))
            return CLI_FAILED;
    }
    for (size_t row = 0; row < pgdbm_result_rows(results[SCHEMAS]); row++)
        locked += pgdbm__cli_int_at(results[SCHEMAS], row, "locked");
    if (locked > 0)
        pgdbm__cli_remark("sizes are without %lld tables that are locked just now", (long long)locked);
    return CLI_FINE;
}

static int info(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct pgdbm__cli_session session = {0};
    pgdbm_result *results[N_LISTS] = {NULL};
    int code = pgdbm__cli_session_read(command, given, &session);
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open(&session);
    if (code == CLI_FINE)
        code = fetch_lists(&session, results);
    if (code == CLI_FINE)
        code = session.json ? pgdbm__cli_session_answer(json_info(results)) : print_info(results);
    for (size_t i = 0; i < N_LISTS; i++)
        pgdbm_result_free(results[i]);
    pgdbm__cli_session_close(&session);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_db_test_connection = {
    .group = "db",
    .name = "test-connection",
    .summary = "Say whether the project's database can be reached, and as whom",
    .description = "Connects, asks for an answer and prints server, address, user, TLS and times; never the password. "
                   "The exit code is 4 when it cannot be reached.",
    .example = "pgdbm db test-connection --env staging",
    .options = options,
    .n_options = N_OF(options),
    .run = test_connection,
};

const struct pgdbm__cli_command pgdbm__cli_db_info = {
    .group = "db",
    .name = "info",
    .summary = "Show what the project's database is and holds",
    .description =
        "Version, size, encoding, uptime, connections; schemas with their tables and sizes, extensions, and the "
        "modules that the histories know (those of " MAX_HISTORIES " schemas at most).",
    .example = "pgdbm db info --json",
    .options = options,
    .n_options = N_OF(options),
    .run = info,
};
