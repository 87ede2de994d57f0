/* SPDX-License-Identifier: MIT */
/* Finding PostgreSQL's programs and telling them where to connect. What everybody may read in a list of processes has no
 * password. No state but this process's environment. */
#include "client.h"

#include "address.h"
#include "interrupt.h"
#include "output.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "<folder>/<name>" if that can be run; the caller's. */
static char *program_in(const char *folder, size_t folder_bytes, const char *name)
{
    char *path = NULL;
    if (folder_bytes == 0 || asprintf(&path, "%.*s/%s", (int)folder_bytes, folder, name) < 0)
        return NULL;
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *program_in_path(const char *name)
{
    const char *path = getenv("PATH");
    char *found = NULL;
    while (found == NULL && path != NULL && *path != '\0') {
        size_t bytes = strcspn(path, ":");
        found = program_in(path, bytes, name);
        path += bytes + (path[bytes] == ':');
    }
    return found;
}

static char *newest_program(const char *name)
{
    char *found = NULL;
    double best = 0;
    struct dirent *entry;
    DIR *versions = opendir("/usr/lib/postgresql");
    while (versions != NULL && (entry = readdir(versions)) != NULL) {
        char folder[512];
        double version = strtod(entry->d_name, NULL);
        snprintf(folder, sizeof folder, "/usr/lib/postgresql/%s/bin", entry->d_name);
        char *candidate = version > best ? program_in(folder, strlen(folder), name) : NULL;
        if (candidate != NULL) {
            best = version;
            free(found);
            found = candidate;
        }
    }
    if (versions != NULL)
        closedir(versions);
    return found;
}

char *pgdbm__cli_client_find(const char *name)
{
    const char *chosen = getenv("PGDBM_POSTGRES_BIN");
    bool is_chosen = chosen != NULL && chosen[0] != '\0';
    char *found = is_chosen ? program_in(chosen, strlen(chosen), name) : program_in_path(name);
    if (found == NULL && !is_chosen)
        found = newest_program(name);
    if (found == NULL)
        pgdbm__cli_say_error("install the package postgresql-client (Fedora: postgresql), or set PGDBM_POSTGRES_BIN to "
                             "the folder it is in",
                             "%s was not found%s%s", name,
                             is_chosen ? " in PGDBM_POSTGRES_BIN=" : ", neither in PATH nor in /usr/lib/postgresql",
                             is_chosen ? chosen : "");
    return found;
}

int pgdbm__cli_client_reach(struct pgdbm__cli_target *target, const char *const *schemas, size_t n_schemas)
{
    pgdbm_error err = {0};
    pgdbm_pool *pool = NULL;
    pgdbm_config config = target->config;
    int code = CLI_FINE;
    for (size_t i = 0; code == CLI_FINE && i < n_schemas; i++) {
        config.schema = schemas[i];
        if (pgdbm_config_check(&config, &err) != PGDBM_OK)
            code = pgdbm__cli_exit_code(&err, true);
    }
    if (code == CLI_FINE)
        code = pgdbm__cli_open_pool(target, 1, &pool, &err);
    if (code != CLI_FINE)
        pgdbm__cli_say_library_error(&err);
    pgdbm_pool_close(pool);
    return pgdbm__cli_interrupt_end(code);
}

/* As the words of a setting on the command line of the server: a backslash before what would end a word. */
static void write_option_word(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
}

/* The options of the session with the search path behind them; the caller's. */
static char *options_with(const char *options, const char *schema)
{
    char *text = NULL;
    char *quoted = NULL;
    size_t bytes = 0;
    size_t quoted_bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    FILE *name = open_memstream(&quoted, &quoted_bytes);
    bool fine = out != NULL && name != NULL;
    if (name != NULL) {
        putc('"', name);
        for (; *schema != '\0'; schema++) {
            if (*schema == '"')
                putc('"', name);
            putc(*schema, name);
        }
        fputs("\", public", name);
        fine = fclose(name) == 0 && fine;
    }
    if (fine) {
        fprintf(out, "%s%s-c search_path=", options != NULL ? options : "", options != NULL ? " " : "");
        write_option_word(out, quoted);
    }
    if (out != NULL)
        fine = fclose(out) == 0 && fine;
    free(quoted);
    if (!fine) {
        free(text);
        text = NULL;
    }
    return text;
}

/* `options` stands last: it takes the place of what the string says before it. */
static char *write_argument(const struct pgdbm__cli_address *address, const char *schema)
{
    char *argument = NULL;
    char *options = schema != NULL ? options_with(address->options, schema) : NULL;
    char *pair = options != NULL ? pgdbm__cli_address_pair("options", options) : NULL;
    if ((schema != NULL && pair == NULL) ||
        asprintf(&argument, "--dbname=%s%s", address->shown_string, pair != NULL ? pair : "") < 0)
        argument = NULL;
    free(pair);
    free(options);
    return argument;
}

char *pgdbm__cli_client_argument(const struct pgdbm__cli_target *target, const char *schema)
{
    struct pgdbm__cli_address address = {0};
    char *argument = NULL;
    if (pgdbm__cli_address_read(&target->config, NULL, &address)) {
        argument = write_argument(&address, schema);
        if (argument != NULL && address.password != NULL && setenv("PGPASSWORD", address.password, 1) != 0) {
            free(argument);
            argument = NULL;
        }
        if (argument == NULL)
            pgdbm__cli_say_error(NULL, "out of memory");
    }
    pgdbm__cli_address_free(&address);
    return argument;
}
