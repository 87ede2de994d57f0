/* SPDX-License-Identifier: MIT */
/* Opening, asking, failing, and rows for people and programs. No state but the caller's. */
#include "session.h"

#include "address.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* PostgreSQL's limit for names (NAMEDATALEN - 1). */
enum { MAX_NAME_BYTES = 63 };

int pgdbm__cli_session_read(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            struct pgdbm__cli_session *session)
{
    session->json = pgdbm__cli_value(command, given, "json") != NULL;
    return pgdbm__cli_target_read(command, given, &session->target);
}

void pgdbm__cli_session_be_patient(struct pgdbm__cli_session *session)
{
    pgdbm_config *config = &session->target.config;
    if (config->command_timeout_ms == 0)
        config->command_timeout_ms = -1;
    if (config->statement_timeout_ms == 0)
        config->statement_timeout_ms = -1;
}

static int open_pool(struct pgdbm__cli_session *session, int max_connections, pgdbm_error *err)
{
    int code = pgdbm__cli_open_pool(&session->target, max_connections, &session->pool, err);
    if (code == CLI_FINE && pgdbm_attach(session->pool, NULL, &session->db, err) != PGDBM_OK)
        code = pgdbm__cli_exit_code(err, false);
    return code;
}

int pgdbm__cli_session_open(struct pgdbm__cli_session *session)
{
    pgdbm_error err = {0};
    return open_pool(session, 2, &err) == CLI_FINE ? CLI_FINE : pgdbm__cli_session_fail(session, &err, true);
}

/* Opens another database of the target's server; once, because nobody else may be connected to what is copied. */
static int open_database(struct pgdbm__cli_session *session, const char *name, pgdbm_error *err)
{
    struct pgdbm__cli_address address = {0};
    const pgdbm_config before = session->target.config;
    pgdbm_config *config = &session->target.config;
    int code = CLI_USAGE;
    *err = (pgdbm_error){.status = PGDBM_ERR_CONFIG, .message = "the connection string cannot be read"};
    if (pgdbm__cli_address_read(config, name, &address)) {
        config->connection_string = address.connection_string;
        config->host = config->database = config->user = config->password = NULL;
        config->port = 0;
        code = open_pool(session, 1, err);
    }
    session->target.config = before;
    pgdbm__cli_address_free(&address);
    return code;
}

int pgdbm__cli_session_open_server(struct pgdbm__cli_session *session)
{
    pgdbm_error err = {0};
    pgdbm_error second = {0};
    int code = pgdbm__cli_target_locate(&session->target, &err);
    if (code == CLI_FINE)
        code = open_database(session, "postgres", &err);
    /* It may have been dropped, or be closed to this role. */
    if (code != CLI_FINE && (strcmp(err.sqlstate, "3D000") == 0 || strcmp(err.sqlstate, "42501") == 0 ||
                             strcmp(err.sqlstate, "28000") == 0))
        code = open_database(session, "template1", &second);
    return code == CLI_FINE ? CLI_FINE : pgdbm__cli_session_fail(session, &err, true);
}

void pgdbm__cli_session_close(struct pgdbm__cli_session *session)
{
    pgdbm_close(session->db);
    pgdbm_pool_close(session->pool);
    pgdbm__cli_target_free(&session->target);
    *session = (struct pgdbm__cli_session){0};
}

int pgdbm__cli_session_confirm(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                               struct pgdbm__cli_session *session, const char *database, const char *what)
{
    if (pgdbm__cli_interrupt_end(CLI_FAILED) == CLI_INTERRUPTED)
        return CLI_INTERRUPTED;
    int code = pgdbm__cli_confirm(command, given, &session->target, database, what);
    if (code == CLI_FINE)
        pgdbm__cli_interrupt_watch(session->pool);
    return code;
}

int pgdbm__cli_session_fail(const struct pgdbm__cli_session *session, const pgdbm_error *err, bool opening)
{
    if (session->json)
        (void)pgdbm__cli_print_json(json_pack("{s:o}", "error", pgdbm__cli_json_error(err)));
    pgdbm__cli_say_library_error(err);
    return pgdbm__cli_exit_code(err, opening);
}

int pgdbm__cli_session_refuse(const struct pgdbm__cli_session *session, int code, const char *hint, const char *format,
                              ...)
{
    pgdbm_error err = {.status = code == CLI_USAGE ? PGDBM_ERR_ARGUMENT : PGDBM_ERR_QUERY};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(err.message, sizeof err.message, format, arguments);
    va_end(arguments);
    snprintf(err.hint, sizeof err.hint, "%s", hint != NULL ? hint : "");
    (void)pgdbm__cli_session_fail(session, &err, false);
    return code;
}

int pgdbm__cli_session_answer(json_t *answer)
{
    return pgdbm__cli_print_json(answer) ? CLI_FINE : CLI_FAILED;
}

pgdbm_status pgdbm__cli_run_made(pgdbm_db *db, const char *query, pgdbm_params params, pgdbm_error *err)
{
    char *statement = NULL;
    pgdbm_status status = pgdbm_fetch_value_text(db, query, params, &statement, err);
    pgdbm__cli_progress_say(0, 0, "waiting for the server");
    if (status == PGDBM_OK && statement != NULL)
        status = pgdbm_execute_simple(db, statement, err);
    pgdbm__cli_progress_end();
    pgdbm_free(statement);
    return status;
}

int pgdbm__cli_name_check(const struct pgdbm__cli_session *session, const char *what, const char *name, bool is_new)
{
    bool control = false;
    for (const char *at = name; *at != '\0'; at++)
        control = control || iscntrl((unsigned char)*at);
    if (strstr(name, "://") != NULL ||
        strstr(name, "password=") != NULL) /* not repeated: it may have a password in it */
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "an address is given with --url",
                                         "a %s's name is wanted, not an address", what);
    if (name[0] == '\0')
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "give its name", "a %s's name cannot be empty", what);
    if (strlen(name) > MAX_NAME_BYTES)
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "PostgreSQL would cut it off",
                                         "a %s's name has 63 bytes at most, this one has %zu: %.63s...", what,
                                         strlen(name), name);
    if (is_new && (control || strchr(name, '/') != NULL))
        return pgdbm__cli_session_refuse(
            session, CLI_USAGE, "best are small letters, digits and underscores: they need no quotes anywhere",
            "a new %s's name cannot have %s in it", what, control ? "control characters" : "a slash");
    return CLI_FINE;
}

const char *pgdbm__cli_text_at(const pgdbm_result *result, size_t row, const char *column)
{
    const char *text = NULL;
    return pgdbm_get_text(result, row, column, &text, NULL) == PGDBM_OK && text != NULL ? text : "";
}

int64_t pgdbm__cli_int_at(const pgdbm_result *result, size_t row, const char *column)
{
    int64_t value = 0;
    return pgdbm_get_int64(result, row, column, &value, NULL) == PGDBM_OK ? value : 0;
}

static json_t *json_value(const pgdbm_result *result, size_t row, const char *column)
{
    bool flag = false;
    int64_t number = 0;
    const char *text = NULL;
    if (pgdbm_get_bool(result, row, column, &flag, NULL) == PGDBM_OK)
        return json_boolean(flag);
    if (pgdbm_get_int64(result, row, column, &number, NULL) == PGDBM_OK)
        return json_integer((json_int_t)number);
    (void)pgdbm_get_text(result, row, column, &text, NULL);
    return pgdbm__cli_json_text(text);
}

json_t *pgdbm__cli_json_rows(const pgdbm_result *result, const char *const *columns)
{
    json_t *rows = json_array();
    for (size_t row = 0; row < pgdbm_result_rows(result); row++) {
        json_t *object = json_object();
        for (size_t i = 0; columns[i] != NULL; i++)
            json_object_set_new(object, columns[i], json_value(result, row, columns[i]));
        json_array_append_new(rows, object);
    }
    return rows;
}

bool pgdbm__cli_print_rows(const pgdbm_result *result, const char *const *headings, const char *const *columns,
                           size_t n_columns)
{
    size_t n_rows = pgdbm_result_rows(result);
    struct pgdbm__cli_cell *cells = calloc(n_rows + 1, n_columns * sizeof *cells);
    if (cells == NULL) {
        pgdbm__cli_say_error(NULL, "out of memory");
        return false;
    }
    for (size_t i = 0; i < n_rows * n_columns; i++)
        cells[i].text = pgdbm__cli_text_at(result, i / n_columns, columns[i % n_columns]);
    if (n_rows > 0)
        pgdbm__cli_print_table(headings, n_columns, cells, n_rows);
    free(cells);
    return true;
}
