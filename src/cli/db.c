/* SPDX-License-Identifier: MIT */
/* `pgdbm db create|drop|reset`: databases come and go, from another one of their server. No state. */
#include "address.h"
#include "db_keep.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"
#include "session.h"

#include <stdlib.h>
#include <string.h>

#define N_OF(table) (sizeof(table) / sizeof(table)[0])

#define OPTION_FORCE                                                                                                   \
    {                                                                                                                  \
        "force", NULL, NULL, "End the sessions that are connected to it"                                               \
    }

static const struct pgdbm__cli_option create_options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
    {"if-not-exists", NULL, NULL, "Fine when it is there already"},
    {"owner", "ROLE", NULL, "Whose it is (default: the role that connects)"},
    {"template", "DATABASE", NULL, "What it is a copy of (default: template1)"},
    {"encoding", "NAME", NULL, "Its encoding (default: the template's)"},
};
static const struct pgdbm__cli_option drop_options[] = {
    CLI_OPTION_URL, CLI_OPTION_JSON, {"if-exists", NULL, NULL, "Fine when there is none"}, OPTION_FORCE, CLI_OPTION_YES,
};
static const struct pgdbm__cli_option reset_options[] = {
    CLI_OPTION_URL,
    CLI_OPTION_JSON,
    OPTION_FORCE,
    CLI_OPTION_YES,
};

/* The database that is to come or go. */
struct subject {
    struct pgdbm__cli_session session;
    struct pgdbm__cli_address address; /* the target's */
    const char *name;
    bool exists;
    int64_t n_sessions;
    char size[32];
};

static void release(struct subject *subject)
{
    pgdbm__cli_address_free(&subject->address);
    pgdbm__cli_session_close(&subject->session);
}

/* Which database is meant: the one in the target's address, or the one that is named. */
static int read_subject(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                        struct subject *subject)
{
    pgdbm_error err = {0};
    struct pgdbm__cli_session *session = &subject->session;
    bool is_new = strcmp(command->name, "create") == 0;
    int code = pgdbm__cli_session_read(command, given, session);
    if (code == CLI_FINE && given->n_arguments > 0)
        code = pgdbm__cli_name_check(session, "database", given->arguments[0], is_new);
    if (code != CLI_FINE)
        return code;
    code = pgdbm__cli_target_locate(&session->target, &err);
    if (code != CLI_FINE)
        return pgdbm__cli_session_fail(session, &err, true);
    if (!pgdbm__cli_address_read(&session->target.config, NULL, &subject->address)) {
        /* To a person it is said. */
        err = (pgdbm_error){.status = PGDBM_ERR_CONFIG, .message = "the connection string cannot be read"};
        if (session->json)
            (void)pgdbm__cli_print_json(json_pack("{s:o}", "error", pgdbm__cli_json_error(&err)));
        return CLI_USAGE;
    }
    subject->name = given->n_arguments > 0 ? given->arguments[0] : subject->address.database;
    if (subject->name == NULL)
        return pgdbm__cli_session_refuse(session, CLI_USAGE, "give its name", "nothing says which database is meant");
    pgdbm__cli_session_be_patient(session);
    return pgdbm__cli_name_check(session, "database", subject->name, is_new);
}

/* Without these a server is hard to get into, and they are nobody's. */
static int spare_maintenance(const struct subject *subject)
{
    static const char *const spared[] = {"postgres", "template0", "template1"};
    for (size_t i = 0; i < N_OF(spared); i++)
        if (strcmp(subject->name, spared[i]) == 0)
            return pgdbm__cli_session_refuse(&subject->session, CLI_USAGE, "name the project's database",
                                             "the server's own database %s is left alone", subject->name);
    return CLI_FINE;
}

static int look(struct subject *subject)
{
    pgdbm_error err = {0};
    pgdbm_result *result = NULL;
    /* The size is for those who may connect. */
    if (pgdbm_fetch_one(subject->session.db,
                        "SELECT CASE WHEN has_database_privilege(oid, 'CONNECT') THEN"
                        " pg_size_pretty(pg_database_size(oid)) END AS size,"
                        " (SELECT count(*) FROM pg_stat_activity WHERE datid = d.oid) AS sessions"
                        " FROM pg_database d WHERE datname = $1::text",
                        pgdbm_args(subject->name), &result, &err) != PGDBM_OK)
        return pgdbm__cli_session_fail(&subject->session, &err, false);
    subject->exists = pgdbm_result_rows(result) > 0;
    subject->n_sessions = pgdbm__cli_int_at(result, 0, "sessions");
    const char *size = pgdbm__cli_text_at(result, 0, "size");
    snprintf(subject->size, sizeof subject->size, "%s%s", size[0] != '\0' ? ", " : "", size);
    pgdbm_result_free(result);
    return CLI_FINE;
}

static int answer(const struct subject *subject, const char *what_happened, const char *key, bool value)
{
    if (subject->session.json)
        return pgdbm__cli_session_answer(
            json_pack("{s:o, s:b}", "database", pgdbm__cli_json_text(subject->name), key, (int)value));
    if (!pgdbm__cli_settings.quiet)
        pgdbm__cli_print_line(stdout, "%s %s", subject->name, what_happened);
    return CLI_FINE;
}

/* What a person probably does next with an empty database. */
static void remark_next(const struct subject *subject)
{
    const char *own = subject->address.database;
    if (own == NULL || strcmp(own, subject->name) != 0)
        pgdbm__cli_remark("the project's address names another database%s%s", own != NULL ? ": " : "",
                          own != NULL ? own : "");
    else if (subject->session.target.project.n_modules > 0)
        pgdbm__cli_remark("it is empty; pgdbm migrate apply --all fills it");
}

static int refuse_existing(const struct subject *subject)
{
    return pgdbm__cli_session_refuse(&subject->session, CLI_FAILED,
                                     "--if-not-exists takes that for done; pgdbm db reset makes it anew",
                                     "the database %s is there already", subject->name);
}

static int create_it(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                     const struct subject *subject)
{
    pgdbm_error err = {0};
    bool tolerant = pgdbm__cli_value(command, given, "if-not-exists") != NULL;
    if (!subject->exists && pgdbm__cli_run_made(subject->session.db,
                                                "SELECT 'CREATE DATABASE ' || quote_ident($1::text)"
                                                " || coalesce(' OWNER ' || quote_ident($2::text), '')"
                                                " || coalesce(' TEMPLATE ' || quote_ident($3::text), '')"
                                                " || coalesce(' ENCODING ' || quote_literal($4::text), '')",
                                                pgdbm_args(subject->name, pgdbm__cli_value(command, given, "owner"),
                                                           pgdbm__cli_value(command, given, "template"),
                                                           pgdbm__cli_value(command, given, "encoding")),
                                                &err) == PGDBM_OK) {
        int code = answer(subject, "created", "created", true);
        remark_next(subject);
        return code;
    }
    /* Somebody else may have been faster. */
    if (!subject->exists && strcmp(err.sqlstate, "42P04") != 0 && strcmp(err.sqlstate, "23505") != 0)
        return pgdbm__cli_session_fail(&subject->session, &err, false);
    return tolerant ? answer(subject, "is there already", "created", false) : refuse_existing(subject);
}

static int create(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct subject subject = {0};
    int code = read_subject(command, given, &subject);
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open_server(&subject.session);
    if (code == CLI_FINE)
        code = look(&subject);
    if (code == CLI_FINE)
        code = create_it(command, given, &subject);
    release(&subject);
    return code;
}

static int refuse_in_use(const struct subject *subject)
{
    if (subject->n_sessions == 1)
        return pgdbm__cli_session_refuse(&subject->session, CLI_FAILED, "--force ends it",
                                         "1 session is connected to the database %s; nothing was done", subject->name);
    return pgdbm__cli_session_refuse(&subject->session, CLI_FAILED, "--force ends them",
                                     "%lld sessions are connected to the database %s; nothing was done",
                                     (long long)subject->n_sessions, subject->name);
}

static void describe(const struct subject *subject, char *what, size_t bytes)
{
    const char *host = subject->address.host != NULL ? subject->address.host : "this machine";
    snprintf(what, bytes, "the database %s on %.150s would go, with everything in it%s", subject->name, host,
             subject->size);
}

/* Looks at the database, and refuses what --force is needed for. */
static int look_before_drop(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                            struct subject *subject)
{
    char what[320];
    struct pgdbm__cli_session *session = &subject->session;
    bool force = pgdbm__cli_value(command, given, "force") != NULL;
    int code = read_subject(command, given, subject);
    if (code == CLI_FINE)
        code = spare_maintenance(subject);
    if (code != CLI_FINE)
        return code;
    describe(subject, what, sizeof what);
    code = pgdbm__cli_confirm_can_ask(command, given, &session->target, what);
    if (code == CLI_FINE)
        code = pgdbm__cli_session_open_server(session);
    if (code == CLI_FINE)
        code = look(subject);
    return code == CLI_FINE && subject->n_sessions > 0 && !force ? refuse_in_use(subject) : code;
}

static int ask(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given, struct subject *subject)
{
    char what[320];
    describe(subject, what, sizeof what);
    return pgdbm__cli_session_confirm(command, given, &subject->session, subject->name, what);
}

/* The first Ctrl-C is too late for a database that is being removed: half of one cannot be used. */
static int drop_it(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                   struct subject *subject, bool *unknown)
{
    pgdbm_error err = {0};
    pgdbm__cli_interrupt_gently();
    if (pgdbm__cli_run_made(subject->session.db,
                            "SELECT 'DROP DATABASE ' || quote_ident($1::text)"
                            " || CASE WHEN $2::bool THEN ' WITH (FORCE)' ELSE '' END",
                            pgdbm_args(subject->name, pgdbm__cli_value(command, given, "force") != NULL),
                            &err) == PGDBM_OK)
        return CLI_FINE;
    if (strcmp(err.sqlstate, "3D000") == 0) {
        subject->exists = false; /* somebody else was faster */
        return CLI_FINE;
    }
    /* Sessions that came since. */
    if (strcmp(err.sqlstate, "55006") == 0 && look(subject) == CLI_FINE && subject->n_sessions > 0)
        return refuse_in_use(subject);
    *unknown = err.outcome == PGDBM_OUTCOME_UNKNOWN;
    if (*unknown)
        snprintf(err.hint, sizeof err.hint,
                 "whether the database was dropped is not known; pgdbm db test-connection tells");
    return pgdbm__cli_session_fail(&subject->session, &err, false);
}

static int drop(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct subject subject = {0};
    bool unknown = false;
    bool tolerant = pgdbm__cli_value(command, given, "if-exists") != NULL;
    int code = look_before_drop(command, given, &subject);
    if (code == CLI_FINE && subject.exists)
        code = ask(command, given, &subject);
    if (code == CLI_FINE && subject.exists)
        code = drop_it(command, given, &subject, &unknown);
    if (code == CLI_FINE && subject.exists)
        code = answer(&subject, "dropped", "dropped", true);
    else if (code == CLI_FINE && tolerant)
        code = answer(&subject, "is not there", "dropped", false);
    else if (code == CLI_FINE)
        code = pgdbm__cli_session_refuse(&subject.session, CLI_FAILED, "--if-exists takes that for done",
                                         "there is no database %s on this server", subject.name);
    release(&subject);
    return code;
}

/* The statement that makes the database again: of the same owner, encoding, locale and limits. What is not the same as template1's
 * is to be had from template0 only. The columns of locales are not the same in all versions. */
static const char remake[] =
    "WITH d AS (SELECT o.*, pg_encoding_to_char(encoding) AS charset, to_jsonb(o) ->> 'datlocprovider' AS provider,"
    " coalesce(to_jsonb(o) ->> 'datlocale', to_jsonb(o) ->> 'daticulocale') AS locale,"
    " to_jsonb(o) ->> 'daticurules' AS rules FROM pg_database o), "
    "p AS (SELECT n.*, spcname, n.dattablespace IS DISTINCT FROM t.dattablespace AS moved,"
    " r.rolsuper OR (r.rolcreatedb AND pg_has_role(n.datdba, CASE WHEN"
    " current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)) AS may_make,"
    " r.rolsuper OR has_tablespace_privilege(n.dattablespace, 'CREATE') AS may_place,"
    " (n.charset, n.datcollate, n.datctype, n.provider, n.locale, n.rules) IS NOT DISTINCT FROM"
    " (t.charset, t.datcollate, t.datctype, t.provider, t.locale, t.rules) AS alike"
    " FROM d n JOIN pg_roles r ON r.rolname = current_user JOIN pg_tablespace s ON s.oid = n.dattablespace"
    " LEFT JOIN d t ON t.datname = 'template1' WHERE n.datname = $1::text) "
    "SELECT CASE WHEN may_make THEN 'CREATE DATABASE ' || quote_ident(datname) || ' OWNER ' ||"
    " quote_ident(pg_get_userbyid(datdba)) || CASE WHEN alike THEN '' ELSE"
    " ' TEMPLATE template0 ENCODING ' || quote_literal(charset) ||"
    " coalesce(' LC_COLLATE ' || quote_literal(datcollate), '') ||"
    " coalesce(' LC_CTYPE ' || quote_literal(datctype), '') || CASE provider WHEN 'c' THEN ' LOCALE_PROVIDER libc'"
    " WHEN 'i' THEN ' LOCALE_PROVIDER icu ICU_LOCALE ' || quote_literal(locale) ||"
    " coalesce(' ICU_RULES ' || quote_literal(rules), '')"
    " WHEN 'b' THEN ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ' || quote_literal(locale) ELSE '' END END ||"
    " CASE WHEN moved AND may_place THEN ' TABLESPACE ' || quote_ident(spcname) ELSE '' END ||"
    " CASE WHEN datconnlimit >= 0 THEN ' CONNECTION LIMIT ' || datconnlimit ELSE '' END ||"
    " CASE WHEN datallowconn THEN '' ELSE ' ALLOW_CONNECTIONS false' END END AS statement,"
    " CASE WHEN moved AND NOT may_place THEN spcname END AS left_tablespace FROM p";

/* Before anything is dropped: what makes the database again, and what will not come again. */
static int plan_to_remake(const struct subject *subject, char **statement, struct pgdbm__cli_keep *keep)
{
    pgdbm_error err = {0};
    pgdbm_result *result = NULL;
    const struct pgdbm__cli_session *session = &subject->session;
    if (pgdbm_fetch_all(session->db, remake, pgdbm_args(subject->name), &result, &err) != PGDBM_OK)
        return pgdbm__cli_session_fail(session, &err, false);
    const char *text = pgdbm__cli_text_at(result, 0, "statement");
    const char *tablespace = pgdbm__cli_text_at(result, 0, "left_tablespace");
    int code = CLI_FINE;
    if (text[0] == '\0')
        code = pgdbm__cli_session_refuse(session, CLI_FAILED, "it must own the database, and have CREATEDB",
                                         "the role %s could not make the database %s again; nothing was dropped",
                                         subject->address.user, subject->name);
    else if ((*statement = strdup(text)) == NULL)
        code = pgdbm__cli_session_refuse(session, CLI_FAILED, NULL, "out of memory");
    else
        code = pgdbm__cli_keep_read(session, subject->name, keep);
    if (code == CLI_FINE && tablespace[0] != '\0')
        pgdbm__cli_print_line(stderr, "this role may make nothing in the tablespace %s: it would be in the default one",
                              tablespace);
    if (code == CLI_FINE)
        pgdbm__cli_keep_warn(keep);
    pgdbm_result_free(result);
    return code;
}

/* Nobody else knows it any more. */
static void print_what_it_was(const char *statement, const struct pgdbm__cli_keep *keep)
{
    pgdbm__cli_print_line(stderr, "%s;", statement);
    pgdbm__cli_keep_print(keep);
}

static int remake_it(const struct subject *subject, const char *statement, const struct pgdbm__cli_keep *keep)
{
    pgdbm_error err = {0};
    pgdbm__cli_progress_say(0, 0, "waiting for the server");
    pgdbm_status status = pgdbm_execute_simple(subject->session.db, statement, &err);
    pgdbm__cli_progress_end();
    if (status == PGDBM_OK)
        return pgdbm__cli_keep_restore(&subject->session, subject->name, keep);
    bool known = err.outcome != PGDBM_OUTCOME_UNKNOWN;
    int code = pgdbm__cli_session_refuse(
        &subject->session, CLI_FAILED,
        known ? "pgdbm db create makes it, once that is mended; it was:" : "pgdbm db test-connection tells; it was:",
        "the database %s was dropped%s. %s", subject->name,
        known ? " and could not be made again: it is not there now" : ", and whether it was made again is not known",
        err.message);
    print_what_it_was(statement, keep);
    return code;
}

static int reset_it(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given,
                    struct subject *subject)
{
    struct pgdbm__cli_keep keep = {0};
    char *statement = NULL;
    bool unknown = false;
    int code = plan_to_remake(subject, &statement, &keep);
    if (code == CLI_FINE)
        code = ask(command, given, subject);
    if (code == CLI_FINE)
        code = drop_it(command, given, subject, &unknown);
    if (unknown)
        print_what_it_was(statement, &keep);
    if (code == CLI_FINE)
        code = remake_it(subject, statement, &keep);
    if (code == CLI_FINE && subject->session.json)
        code = pgdbm__cli_session_answer(json_pack("{s:o, s:b, s:o}", "database", pgdbm__cli_json_text(subject->name),
                                                   "created", 1, "lost", pgdbm__cli_keep_lost(&keep)));
    else if (code == CLI_FINE)
        code = answer(subject, "dropped and created", "created", true);
    if (code == CLI_FINE)
        remark_next(subject);
    pgdbm__cli_keep_free(&keep);
    free(statement);
    return code;
}

static int reset(const struct pgdbm__cli_command *command, const struct pgdbm__cli_given *given)
{
    struct subject subject = {0};
    int code = look_before_drop(command, given, &subject);
    if (code == CLI_FINE)
        code = subject.exists ? reset_it(command, given, &subject) : create_it(command, given, &subject);
    release(&subject);
    return code;
}

const struct pgdbm__cli_command pgdbm__cli_db_create = {
    .group = "db",
    .name = "create",
    .summary = "Create the project's database on its server",
    .description = "The database of the project's address, or NAME on the same server, which is reached through its "
                   "database postgres, else template1. One that is there already is an error, unless "
                   "--if-not-exists. No schema is made: that is for migrations.",
    .example = "pgdbm db create && pgdbm migrate apply --all",
    .argument = "[NAME]",
    .max_arguments = 1,
    .arguments_optional = true,
    .options = create_options,
    .n_options = N_OF(create_options),
    .run = create,
};

const struct pgdbm__cli_command pgdbm__cli_db_drop = {
    .group = "db",
    .name = "drop",
    .summary = "Drop the project's database",
    .description = "The database of the project's address, or NAME on the same server. It asks first. While sessions "
                   "are connected it refuses, unless --force, which ends them. The server's own databases are left "
                   "alone.",
    .example = "pgdbm db drop shop_old --yes",
    .argument = "[NAME]",
    .max_arguments = 1,
    .arguments_optional = true,
    .options = drop_options,
    .n_options = N_OF(drop_options),
    .run = drop,
};

const struct pgdbm__cli_command pgdbm__cli_db_reset = {
    .group = "db",
    .name = "reset",
    .summary = "Drop the project's database and create it again, empty",
    .description =
        "With the same owner, encoding, locale, tablespace, limit of connections, comment, grants and settings "
        "(ALTER DATABASE ... SET, ALTER ROLE ... IN DATABASE ... SET); the grants become the owner's. It asks first, "
        "and "
        "looks whether the role may do all that before it drops: what it cannot make again is told. One that is not "
        "there is created.",
    .example = "pgdbm db reset --force --yes && pgdbm migrate apply --all",
    .argument = "[NAME]",
    .max_arguments = 1,
    .arguments_optional = true,
    .options = reset_options,
    .n_options = N_OF(reset_options),
    .run = reset,
};
